//! What can go wrong between the ledger and the disk, and what to do about it.
//!
//! Promises: each error names the file, stream or op concerned; `hint` is the next step for a person, `retry` the one
//! for a program. The cause stands in `source` and is not repeated.
//! Absent on purpose: refusals of the shop, which are `fieldkit-core`'s.

use crate::sqlite::SqliteError;
use fieldkit_core::chain::ChainError;
use std::io;
use std::path::{Path, PathBuf};

/// What a caller may do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call may succeed at once.
    Now,
    /// It may succeed in a while.
    Later,
    /// A person has to do something first; see the hint.
    AfterOperator,
    /// Never with this process: end it and start again.
    Never,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A second daemon on one data directory.
    #[error("{} is in use by another fieldkit, process {pid}", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, as it wrote itself down.
        pid: String,
    },
    /// A place that cannot be trusted with a journal.
    #[error("{} cannot hold the journal: {reason}", path.display())]
    Place {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {what} {}", path.display())]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: SqliteError,
    },
    /// The disk is full. The journal is as it was before.
    #[error("no space left to write {}", path.display())]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The file system was made read-only under the daemon, usually by the kernel after an error.
    #[error("{} is on a disk that has become read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// A write or sync failed: what the disk holds is unknown until the next start.
    #[error("the disk failed while writing {}", path.display())]
    StorageFailing {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: SqliteError,
    },
    /// Two different ops claim one place.
    #[error("op {seq} of series {series} exists twice with different content")]
    Fork {
        /// The series.
        series: String,
        /// The position.
        seq: u64,
    },
    /// An op that does not continue its stream.
    #[error("op {seq} of series {series} does not follow op {head}, the newest one")]
    Gap {
        /// The series.
        series: String,
        /// The op's position.
        seq: u64,
        /// The newest op.
        head: u64,
    },
    /// Journal and black box are both sound and disagree.
    #[error("the journal and the black box {} disagree from op {seq} of series {series} on", path.display())]
    Contradiction {
        /// The box.
        path: PathBuf,
        /// The series.
        series: String,
        /// The first op that differs.
        seq: u64,
    },
    /// The box belongs to another kit.
    #[error("the black box {} belongs to another kit (its first series is {series})", path.display())]
    ForeignBox {
        /// The box.
        path: PathBuf,
        /// The first series in it.
        series: String,
    },
    /// A stored op or head is not what it should be.
    #[error("{} is damaged", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ChainError,
    },
    /// Damage that is not one op's.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The journal is damaged and holds ops that the box lacks.
    #[error(
        "{} is damaged ({detail}) and the black box lacks {lacking} ops that can still be read from it",
        path.display()
    )]
    Unrepaired {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        detail: String,
        /// Ops that only the damaged file holds.
        lacking: u64,
    },
    /// A file written by a later version.
    #[error("{} was written by a later version of fieldkit", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// Safe mode without a box that is whole.
    #[error("the black box cannot take sales alone: {reason}")]
    BoxNotWhole {
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// What a program may do.
    pub fn retry(&self) -> Retry {
        match self {
            StoreError::Locked { .. } | StoreError::Place { .. } | StoreError::NoSpace { .. } => Retry::AfterOperator,
            StoreError::Contradiction { .. } | StoreError::ForeignBox { .. } => Retry::AfterOperator,
            StoreError::Chain { .. } | StoreError::Damaged { .. } | StoreError::Unrepaired { .. } => {
                Retry::AfterOperator
            }
            StoreError::Newer { .. } | StoreError::BoxNotWhole { .. } => Retry::AfterOperator,
            StoreError::ReadOnly { .. } => Retry::AfterOperator,
            StoreError::Io { .. } | StoreError::Sqlite { .. } => Retry::Later,
            StoreError::StorageFailing { .. } | StoreError::Fork { .. } | StoreError::Gap { .. } => Retry::Never,
        }
    }

    /// The next step for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            StoreError::Locked { .. } => "stop the other fieldkit, or use the one that runs",
            StoreError::Place { .. } => "choose a directory on a local disk (ext4, xfs, btrfs) with --data",
            StoreError::Io { .. } => "check that the directory exists, can be written by this user and has space left",
            StoreError::Sqlite { .. } => "check the disk, then start again; the black box holds the same ops",
            StoreError::NoSpace { .. } => "free some space on this disk, then start again",
            StoreError::ReadOnly { .. } => {
                "what was acknowledged is safe; export it, then move the data to another disk or card"
            }
            StoreError::StorageFailing { .. } => "start again; if it comes back, move the data to another disk or card",
            StoreError::Fork { .. } | StoreError::Gap { .. } => "start again; nothing that was stored has been changed",
            StoreError::Contradiction { .. } => {
                "start with another --black-box directory and keep the old one: what it has more comes with a file of a kit that heard of it"
            }
            StoreError::ForeignBox { .. } => {
                "put in this kit's own black box, or start once with --restore to take this one's history over"
            }
            StoreError::Chain { .. } | StoreError::Damaged { .. } => {
                "start the daemon: it repairs what the black box still holds"
            }
            StoreError::Unrepaired { .. } => {
                "copy the data directory to another disk first, put in the black box that belongs to it, start again"
            }
            StoreError::Newer { .. } => "start the version that wrote it, or a later one",
            StoreError::BoxNotWhole { .. } => "sell on paper until the journal opens again",
        }
    }

    /// Whether the file itself is bad, so that a copy should replace it.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreError::Chain { .. } | StoreError::Damaged { .. } => true,
            StoreError::Sqlite { source, .. } => source.is_damage(),
            _ => false,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { path: path.to_owned() },
            _ => StoreError::Io { what, path: path.to_owned(), source },
        }
    }

    /// For reads and for writes outside of commits.
    pub(crate) fn sqlite(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
        move |source| {
            let source = SqliteError::from(source);
            let path = path.to_owned();
            if source.is_full() { StoreError::NoSpace { path } } else { StoreError::Sqlite { what, path, source } }
        }
    }

    /// For commits and checkpoints: what is not "full" leaves the disk unknown.
    pub(crate) fn failing(path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
        move |source| {
            let source = SqliteError::from(source);
            let path = path.to_owned();
            let read_only = rustix::fs::statvfs(&path)
                .is_ok_and(|found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
            match source.is_full() {
                true => StoreError::NoSpace { path },
                false if read_only => StoreError::ReadOnly { path },
                false => StoreError::StorageFailing { path, source },
            }
        }
    }

    pub(crate) fn chain(path: &Path) -> impl FnOnce(ChainError) -> StoreError {
        move |source| StoreError::Chain { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, detail: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: path.to_owned(), detail: detail.into() }
    }
}
