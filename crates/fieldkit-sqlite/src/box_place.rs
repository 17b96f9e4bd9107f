//! Where the black box was: written down beside the journal, so that one that is not there is noticed.
//!
//! Promises: a directory on the kit's own disk is never taken for the stick that was mounted there; nothing is made in it.
//! Absent on purpose: whose box it is (`start`), and what the crew is told.

use crate::error::StoreError;
use crate::place::{self, BlackBoxPlace, Options, Place};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A box that was known and is not where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoxAbsence {
    /// The start was told of no box; the last one was in this directory.
    NotNamed(PathBuf),
    /// The directory is gone, or lies on the kit's own disk now: the stick that was mounted there is not.
    NotThere(PathBuf),
    /// The directory held no box of this kit, though the last one was there; a new one was begun.
    BegunAnew(PathBuf),
}

/// The directory of the box when it was last in use.
#[derive(PartialEq, Eq)]
struct Remembered {
    dir: PathBuf,
    own_medium: bool,
}

/// What is missing, before the box is opened.
pub(crate) fn absence(options: &Options, place: &Place) -> Option<BoxAbsence> {
    let known = read(place)?;
    match &options.black_box {
        BlackBoxPlace::Off => None,
        BlackBoxPlace::InData => (known.dir != place.path).then_some(BoxAbsence::NotNamed(known.dir)),
        BlackBoxPlace::At(path) if directory(path) == known.dir => {
            let found = fs::metadata(&known.dir);
            let there = found.is_ok_and(|found| !known.own_medium || found.dev() != place.device);
            (!there).then_some(BoxAbsence::NotThere(known.dir))
        }
        // Another place than before: whoever names it knows.
        BlackBoxPlace::At(_) => None,
    }
}

/// The directory, where the last box was in the one that the options name.
pub(crate) fn same_as_before(options: &Options, place: &Place) -> Option<PathBuf> {
    let BlackBoxPlace::At(path) = &options.black_box else { return None };
    read(place).map(|known| known.dir).filter(|dir| *dir == directory(path))
}

/// Writes down where the box on `device` is. A full disk is no reason to stop: then the next start writes it.
pub(crate) fn remember(options: &Options, place: &Place, device: u64) -> Result<(), StoreError> {
    let BlackBoxPlace::At(path) = &options.black_box else { return Ok(()) };
    let now = Remembered { dir: directory(path), own_medium: device != place.device };
    if read(place).as_ref() == Some(&now) {
        return Ok(());
    }
    let word: &[u8] = if now.own_medium { OWN } else { SAME };
    let bytes = [word, b"\n", now.dir.as_os_str().as_bytes(), b"\n"].concat();
    match place::write_whole(&place.join(place::BOX_PLACE), &bytes) {
        Err(error) if !matches!(error, StoreError::NoSpace { .. }) => Err(error),
        _ => Ok(()),
    }
}

const OWN: &[u8] = b"on a medium of its own";
const SAME: &[u8] = b"on the kit's own disk";

/// What was written down; a file that cannot be read says nothing.
fn read(place: &Place) -> Option<Remembered> {
    let bytes = fs::read(place.join(place::BOX_PLACE)).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let dir = bytes[end + 1..].strip_suffix(b"\n")?;
    let own_medium = match &bytes[..end] {
        OWN => true,
        SAME => false,
        _ => return None,
    };
    Some(Remembered { dir: PathBuf::from(OsStr::from_bytes(dir)), own_medium })
}

/// The box's directory by its whole name.
fn directory(path: &Path) -> PathBuf {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    dir.canonicalize().or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.to_owned())
}
