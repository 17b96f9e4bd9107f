//! Opening one line, once: a serial device or a TCP link.
//!
//! Promises: no file is ever made or written to; a serial line is ours alone (lock and `TIOCEXCL`), raw, set as asked, and
//! empty of what was said before us; a device that is not the one we know is not touched.
//! Absent on purpose: trying again, and draining a line (`tcdrain` may hang for good).

use crate::address::{DataBits, Parity, Place, SerialSettings, Signal, StopBits};
use crate::error::OpenError;
use crate::holder::{Holder, holders};
use crate::identity::Identity;
use crate::scan::{Roots, identity_at, with_identity};
use rustix::net::sockopt;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_serial::{ClearBuffer, ErrorKind, FlowControl, SerialPort, SerialStream};

/// A silent TCP link is asked after this long whether anybody is there,
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// then again after this long,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// so many times: a terminal that lost its power is noticed after 11 s at the latest.
const KEEPALIVE_COUNT: u32 = 3;
/// Bytes that nobody confirms end a TCP link after this long.
const UNCONFIRMED_MS_MAX: u32 = 10_000;

/// Bytes both ways.
pub(crate) trait Line: AsyncRead + AsyncWrite + Send + Unpin {
    /// Throws away what waits in the kernel, so that closing does not wait for a device that takes nothing.
    fn discard(&self);
}

impl Line for SerialStream {
    fn discard(&self) {
        if let Err(error) = self.clear(ClearBuffer::All) {
            tracing::debug!("a line that is gone has nothing to discard: {error}");
        }
    }
}

impl Line for TcpStream {
    fn discard(&self) {}
}

/// A line that is open.
pub(crate) struct Opened {
    pub line: Box<dyn Line>,
    /// Path or address, as it really is.
    pub at: String,
    pub identity: Option<Identity>,
    pub also_held_by: Vec<Holder>,
}

/// The serial line that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub place: Place,
    pub settings: SerialSettings,
    /// What the device at the place was known by when it was there last.
    pub known_as: Option<Identity>,
}

/// Finds and opens a serial line. May hang in the kernel: to be called aside.
pub(crate) fn open_serial(roots: &Roots, runtime: &Handle, wanted: &Wanted) -> Result<Opened, OpenError> {
    let (path, identity) = locate(roots, wanted)?;
    must_be_a_device(&path)?;
    let line = open(roots, runtime, &path, wanted.settings)?;
    // Another device may have taken the name in between.
    if identity_at(roots, &path) != identity {
        return Err(OpenError::NotThere { place: wanted.place.clone() });
    }
    let at = path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string();
    let also_held_by = holders(roots, &path).into_iter().filter(|holder| !holder.is_ours()).collect();
    Ok(Opened { line: Box::new(line), at, identity, also_held_by })
}

/// Where the device is today: by what it is known by, else at its path, as long as no other device is there.
fn locate(roots: &Roots, wanted: &Wanted) -> Result<(PathBuf, Option<Identity>), OpenError> {
    let known_as = match &wanted.place {
        Place::Usb(identity) => Some(identity),
        Place::Path(_) => wanted.known_as.as_ref(),
    };
    if let Some(identity) = known_as {
        match with_identity(roots, identity).as_slice() {
            [] => {}
            [one] => return Ok((one.path.clone(), one.identity.clone())),
            [one, other, ..] => {
                let paths = Box::new([one.path.clone(), other.path.clone()]);
                return Err(OpenError::Ambiguous { identity: identity.clone(), paths });
            }
        }
    }
    let Place::Path(path) = &wanted.place else { return Err(OpenError::NotThere { place: wanted.place.clone() }) };
    match (identity_at(roots, path), known_as) {
        (Some(found), Some(expected)) => {
            Err(OpenError::Replaced { path: path.clone(), found, expected: expected.clone() })
        }
        (found, _) => Ok((path.clone(), found)),
    }
}

fn must_be_a_device(path: &Path) -> Result<(), OpenError> {
    let kind = fs::metadata(path).map_err(|source| failed(path, source))?.file_type();
    if kind.is_char_device() {
        return Ok(());
    }
    let kinds = [
        (kind.is_file(), "a plain file"),
        (kind.is_dir(), "a directory"),
        (kind.is_block_device(), "a disk"),
        (kind.is_fifo(), "a pipe"),
    ];
    let what = kinds.iter().find_map(|(is, what)| is.then_some(*what)).unwrap_or("a socket");
    Err(OpenError::NotADevice { path: path.to_owned(), what })
}

fn failed(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::NotThere { place: Place::Path(path) },
        io::ErrorKind::PermissionDenied => OpenError::Denied { path },
        _ => OpenError::System { path, source },
    }
}

fn open(roots: &Roots, runtime: &Handle, path: &Path, settings: SerialSettings) -> Result<SerialStream, OpenError> {
    let not_text = || failed(path, io::Error::new(io::ErrorKind::InvalidInput, "the path is no text"));
    let text = path.to_str().ok_or_else(not_text)?;
    let frame = settings.frame();
    let builder = tokio_serial::new(text, settings.baud())
        .data_bits(match frame.data {
            DataBits::Seven => tokio_serial::DataBits::Seven,
            DataBits::Eight => tokio_serial::DataBits::Eight,
        })
        .parity(match frame.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(match frame.stop {
            StopBits::One => tokio_serial::StopBits::One,
            StopBits::Two => tokio_serial::StopBits::Two,
        })
        .flow_control(FlowControl::None)
        .preserve_dtr_on_open()
        .exclusive(true);
    let entered = runtime.enter();
    let mut line = SerialStream::open(&builder).map_err(|error| refused(roots, path, error))?;
    drop(entered);
    let level = match settings.dtr() {
        Signal::AsFound => None,
        Signal::On => Some(true),
        Signal::Off => Some(false),
    };
    if let Some(Err(error)) = level.map(|level| line.write_data_terminal_ready(level)) {
        tracing::debug!("{} has no DTR signal: {error}", path.display());
    }
    // What was said to nobody is nobody's; a late answer to an earlier program least of all.
    line.clear(ClearBuffer::Input).map_err(|error| refused(roots, path, error))?;
    Ok(line)
}

fn refused(roots: &Roots, path: &Path, error: tokio_serial::Error) -> OpenError {
    match error.kind() {
        // What serialport says where TIOCEXCL or the lock is another's.
        ErrorKind::NoDevice => OpenError::Busy { path: path.to_owned(), holders: holders(roots, path) },
        ErrorKind::Unknown if error.description == NO_LINE => {
            OpenError::NotADevice { path: path.to_owned(), what: "a device without a serial line" }
        }
        ErrorKind::Unknown | ErrorKind::InvalidInput | ErrorKind::Io(_) => failed(path, error.into()),
    }
}

/// What nix says for `ENOTTY`. If it ever says something else, the error only becomes less clear.
const NO_LINE: &str = "Not a typewriter";

/// Opens a TCP link.
pub(crate) async fn connect(host: &str, port: u16, limit: Duration) -> Result<Opened, OpenError> {
    let unreachable = |source| OpenError::Unreachable { host: host.to_owned(), port, source };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", limit.as_millis()));
    let link = tokio::time::timeout(limit, TcpStream::connect((host, port))).await;
    let link = link.map_err(|_| unreachable(late()))?.map_err(unreachable)?;
    let at = tune(&link).map_err(unreachable)?;
    Ok(Opened { line: Box::new(link), at, identity: None, also_held_by: Vec::new() })
}

fn tune(link: &TcpStream) -> io::Result<String> {
    let peer = link.peer_addr()?;
    // A free port of this machine may be given to our own end: TCP then talks to itself.
    if link.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    link.set_nodelay(true)?;
    sockopt::set_socket_keepalive(link, true)?;
    sockopt::set_tcp_keepidle(link, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(link, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(link, KEEPALIVE_COUNT)?;
    sockopt::set_tcp_user_timeout(link, UNCONFIRMED_MS_MAX)?;
    Ok(peer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_told_by_name() {
        let check = |errno: rustix::io::Errno, expected: &str, hint: &str| {
            let error = failed(Path::new("/dev/ttyUSB0"), errno.into());
            assert_eq!(error.whole(), expected);
            assert!(error.hint().contains(hint), "{}", error.hint());
        };
        check(rustix::io::Errno::NOENT, "there is no /dev/ttyUSB0", "plug the device in");
        check(rustix::io::Errno::ACCESS, "/dev/ttyUSB0 may not be opened by this user", "dialout");
        check(
            rustix::io::Errno::NXIO,
            "/dev/ttyUSB0 cannot be opened: No such device or address (os error 6)",
            "is it a serial device?",
        );
    }
}
