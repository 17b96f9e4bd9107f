//! Room on the disk: how much is left, and the ballast that is held back for sales that were begun.
//!
//! Promises: the ballast is real blocks, not a promise of them; the caller learns that space is critical before a sale
//! starts, not in the middle of one.
//! Absent on purpose: the refusal itself.

use crate::error::StoreError;
use crate::failpoint;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The most that is held back.
const BALLAST_MAX: u64 = 64 << 20;
/// Below this there is no point.
const BALLAST_MIN: u64 = 64 << 10;
/// Disk used by an op, log, index, state, views and box included, until there are enough to measure.
const BYTES_PER_OP: u64 = 8 << 10;
/// Ops that a low disk still takes.
const LOW_OPS: u64 = 5_000;
/// Ops that a critical disk still takes: those begun, and the closing of the event.
const CRITICAL_OPS: u64 = 64;
/// Room that one checkpoint and its log may need.
const HEADROOM: u64 = 1 << 20;

/// How full the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Room for days.
    Ok,
    /// Room for hours: say so.
    Low,
    /// Room for what was begun: start no new sale.
    Critical,
}

/// Room on the journal's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes free to this user, the ballast not counted.
    pub bytes_free: u64,
    /// Bytes held back.
    pub bytes_ballast: u64,
    /// Bytes that an op takes, everything included.
    pub bytes_per_op: u64,
    /// How full that is.
    pub level: Level,
}

impl Space {
    /// Looks at the disk under `directory`, which holds `ops` ops.
    pub(crate) fn look(directory: &Path, ballast: &Ballast, ops: u64) -> Result<Space, StoreError> {
        let bytes_free = bytes_free(directory)?;
        let used: u64 = ["journal.db", "state.db", "views.db", "black-box.fkb"]
            .iter()
            .filter_map(|name| std::fs::metadata(directory.join(name)).ok())
            .map(|found| found.len())
            .sum();
        let bytes_per_op = if ops < 1_000 { BYTES_PER_OP } else { (used / ops).clamp(512, BYTES_PER_OP) };
        let level = match bytes_free {
            free if free < HEADROOM + CRITICAL_OPS * bytes_per_op => Level::Critical,
            free if free < HEADROOM + LOW_OPS * bytes_per_op => Level::Low,
            _ => Level::Ok,
        };
        Ok(Space { bytes_free, bytes_ballast: ballast.bytes(), bytes_per_op, level })
    }
}

/// A file that holds space back.
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    pub fn at(path: PathBuf) -> Ballast {
        Ballast { path }
    }

    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Makes the ballast where it is missing and there is room; says whether it is there.
    pub fn restore(&self) -> bool {
        if self.bytes() > 0 {
            return true;
        }
        let Some(directory) = self.path.parent() else { return false };
        let Ok(free) = bytes_free(directory) else { return false };
        let bytes = BALLAST_MAX.min(free / 10);
        if bytes < BALLAST_MIN {
            return false;
        }
        failpoint::hit("ballast.before_create");
        let made = File::create(&self.path).and_then(|file| {
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
            file.sync_all()
        });
        failpoint::hit("ballast.after_create");
        if let Err(error) = made {
            // Where blocks cannot be reserved there is no ballast; an empty file would pretend one.
            tracing::warn!(path = %self.path.display(), "no space could be held back: {error}");
            let _ = std::fs::remove_file(&self.path);
            return false;
        }
        true
    }

    /// Gives the space back to the disk; `false` where none was held.
    pub fn release(&self) -> bool {
        let held = self.bytes() > 0;
        let released = held && std::fs::remove_file(&self.path).is_ok();
        if released {
            tracing::warn!(path = %self.path.display(), "the disk is full: the space held back is given up");
            failpoint::hit("ballast.after_release");
        }
        released
    }
}

fn bytes_free(directory: &Path) -> Result<u64, StoreError> {
    let found = rustix::fs::statvfs(directory).map_err(|error| StoreError::io("look at", directory)(error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
