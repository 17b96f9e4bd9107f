//! Why a device cannot be opened, and why a link ended.
//!
//! Promises: each error names the device; `hint` is the next step for a person. The cause stands in `source` and is not
//! repeated. A port tries again by itself after every one of them.

use crate::address::Place;
use crate::holder::Holder;
use crate::identity::Identity;
use std::io;
use std::path::PathBuf;

/// Why a device cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error("there is no {place}")]
    NotThere {
        /// Where it should be.
        place: Place,
    },
    /// Something else is there. It was not touched.
    #[error("{} is {what}, not a serial device", path.display())]
    NotADevice {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Another program has it.
    #[error("{} is in use by {}", path.display(), said(holders))]
    Busy {
        /// The path.
        path: PathBuf,
        /// Who, as far as the kernel tells.
        holders: Vec<Holder>,
    },
    /// The system does not let us.
    #[error("{} may not be opened by this user", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// Another device stands where ours stood. It was not opened.
    #[error("another device is at {}: {found}, where {expected} was", path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: Identity,
        /// What was there.
        expected: Identity,
    },
    /// Two devices carry one identity. None was opened.
    #[error("two devices are {identity}: {} and {}", paths[0].display(), paths[1].display())]
    Ambiguous {
        /// What both carry.
        identity: Identity,
        /// Where they are: two of them.
        paths: Box<[PathBuf; 2]>,
    },
    /// The device takes too long; the attempt goes on without us.
    #[error("{place} does not answer the system: it did not open within {waited_ms} ms")]
    Hangs {
        /// Where it is.
        place: Place,
        /// How long we waited.
        waited_ms: u64,
    },
    /// The system failed.
    #[error("{} cannot be opened", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No TCP link.
    #[error("{host}:{port} cannot be reached")]
    Unreachable {
        /// Name or address.
        host: String,
        /// Port number.
        port: u16,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    /// What a person may do.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::NotThere { .. } => "plug the device in; `fieldkit device scan` lists what is there",
            OpenError::NotADevice { .. } => "see `fieldkit device scan` for what is there",
            OpenError::Busy { holders, .. } => match holders.first() {
                Some(holder) => holder.hint(),
                None => "end the other program; as root, `fieldkit device scan` names it",
            },
            OpenError::Denied { .. } => {
                "put the user into the group that owns the device (usually dialout), then log in again"
            }
            OpenError::Replaced { .. } => "put the old device back, or accept the new one",
            OpenError::Ambiguous { .. } => "unplug one of them, or name it by its socket: see `fieldkit device scan`",
            OpenError::Hangs { .. } => "unplug the device and plug it in again",
            OpenError::System { .. } => "unplug the device and plug it in again; is it a serial device?",
            OpenError::Unreachable { .. } => "check that the device is on and in this network, and its address",
        }
    }

    /// The error with its causes, in one line.
    pub fn whole(&self) -> String {
        whole(self)
    }
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The device was unplugged or switched off.
    #[error("the device is gone")]
    Gone,
    /// The other side ended the TCP link.
    #[error("the other side hung up")]
    HungUp,
    /// The device took no more bytes.
    #[error("the device took no bytes for {waited_ms} ms; {left} were left")]
    Stuck {
        /// How long we waited.
        waited_ms: u64,
        /// Bytes of the command that were not taken.
        left: u64,
    },
    /// The system failed.
    #[error("the link failed")]
    System {
        /// How.
        source: io::Error,
    },
    /// Its user wanted it to end.
    #[error("the link was closed")]
    Closed,
}

impl Lost {
    /// The reason with its causes, in one line.
    pub fn whole(&self) -> String {
        whole(self)
    }
}

fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn said(holders: &[Holder]) -> String {
    match holders {
        [] => "another program".to_owned(),
        some => some.iter().map(Holder::to_string).collect::<Vec<_>>().join(" and "),
    }
}
