//! The data directory: who holds it, and whether its disk can be trusted.
//!
//! Promises: one process per directory; symbolic links, hard links and file systems without honest locks and syncs are
//! refused with a reason before anything is opened.
//! Absent on purpose: the choice of a directory, and free space (`space`).

use crate::error::StoreError;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The journal's file name.
pub const JOURNAL: &str = "journal.db";
/// The box's file name, in a data directory and on a stick.
pub const BLACK_BOX: &str = "black-box.fkb";
/// The file that stands while the box lacks acknowledged ops.
pub const BEHIND: &str = "box-behind";
/// The file that names the box that belongs to a data directory.
pub const BOX_ID: &str = "box-id";
/// The file that says where the box was last.
pub const BOX_PLACE: &str = "box-place";
/// Private derived state.
pub const STATE: &str = "state.db";
/// Public tables.
pub const VIEWS: &str = "views.db";
/// Sealed personal data.
pub const PEOPLE: &str = "people.db";
/// The directory of segment files.
pub const SEGMENTS: &str = "segments";
/// The file that holds space back.
pub const BALLAST: &str = "ballast";
const LOCK: &str = "lock";

/// Where the black box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlackBoxPlace {
    /// A file in the data directory: a copy, not a second device.
    InData,
    /// A file elsewhere, at best on another device.
    At(PathBuf),
    /// None.
    Off,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made if its parent exists.
    pub data: PathBuf,
    /// The black box.
    pub black_box: BlackBoxPlace,
    /// Whether an empty data directory may take over the history of a box that it has never seen.
    pub restore: bool,
}

impl Options {
    /// A store at `data`, never taking over a strange box.
    pub fn new(data: impl Into<PathBuf>, black_box: BlackBoxPlace) -> Self {
        Options { data: data.into(), black_box, restore: false }
    }

    /// The box's file.
    pub(crate) fn box_path(&self, data: &Path) -> Option<PathBuf> {
        match &self.black_box {
            BlackBoxPlace::InData => Some(data.join(BLACK_BOX)),
            BlackBoxPlace::At(path) => Some(path.clone()),
            BlackBoxPlace::Off => None,
        }
    }
}

/// A data directory that this process holds.
pub(crate) struct Place {
    pub path: PathBuf,
    pub device: u64,
    _lock: File,
}

impl Place {
    /// Makes, checks and locks the directory.
    pub fn take(data: &Path) -> Result<Place, StoreError> {
        match fs::DirBuilder::new().mode(0o700).create(data) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("make the directory", data)(error));
            }
            _ => {}
        }
        let path = data.canonicalize().map_err(StoreError::io("find", data))?;
        let found = fs::metadata(&path).map_err(StoreError::io("look at", &path))?;
        if !found.is_dir() {
            return Err(StoreError::Place { path, reason: "it is not a directory".into() });
        }
        trusted_file_system(&path)?;
        let lock = lock(&path)?;
        for name in [JOURNAL, "journal.db-wal", STATE, VIEWS, PEOPLE, BLACK_BOX] {
            plain_file(&path.join(name))?;
        }
        Ok(Place { path, device: found.dev(), _lock: lock })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Refuses anything at `path` that is not a plain file of one name. Absence is fine.
pub(crate) fn plain_file(path: &Path) -> Result<(), StoreError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("look at", path)(error)),
    };
    let refuse = |reason: &str| Err(StoreError::Place { path: path.to_owned(), reason: reason.into() });
    if found.file_type().is_symlink() {
        return refuse("it is a symbolic link, and the log beside it would be another file's");
    }
    if !found.is_file() {
        return refuse("it is not a plain file");
    }
    if found.nlink() > 1 {
        return refuse("it has a second name (hard link), and a second program could write to it");
    }
    Ok(())
}

/// Syncs a directory, so that names made or removed in it survive.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = File::open(path).map_err(StoreError::io("open", path))?;
    directory.sync_all().map_err(StoreError::io("sync", path))
}

/// Writes a small file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary).map_err(StoreError::io("write", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(StoreError::io("write", path))?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file_path = path.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&file_path, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| StoreError::io("open", &file_path)(error.into()))?;
    let mut file = File::from(file);
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let pid = if read.is_ok() && !pid.is_empty() { pid.trim().to_owned() } else { "unknown".into() };
            return Err(StoreError::Locked { path: path.to_owned(), pid });
        }
        Err(error) => return Err(StoreError::io("lock", &file_path)(error.into())),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    match written {
        // On a full disk the lock itself still holds, and reading must go on.
        Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(StoreError::io("write", &file_path)(error)),
        _ => Ok(file),
    }
}

/// File systems whose locks, syncs or names cannot be relied on, by the magic number that `statfs` reports.
const DISTRUSTED: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0000_4d44, "FAT"),
    (0x2011_bab0, "exFAT"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
];

fn trusted_file_system(path: &Path) -> Result<(), StoreError> {
    let found = rustix::fs::statfs(path).map_err(|error| StoreError::io("look at", path)(error.into()))?;
    // The field's width differs between systems; magic numbers have 32 bits.
    let magic = found.f_type as u32;
    match DISTRUSTED.iter().find(|(known, _)| *known == magic) {
        None => Ok(()),
        Some((_, name)) => Err(StoreError::Place {
            path: path.to_owned(),
            reason: format!("it is on a {name} file system, whose locks and syncs cannot be relied on"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_the_first_ones_process() {
        let home = tempfile::tempdir().unwrap();
        let _first = Place::take(home.path()).unwrap();
        let Err(error) = Place::take(home.path()) else { panic!("two holders") };
        assert!(matches!(&error, StoreError::Locked { pid, .. } if *pid == std::process::id().to_string()), "{error}");
    }

    #[test]
    fn links_are_refused_with_a_reason() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("other"), b"x").unwrap();
        fs::hard_link(home.path().join("other"), home.path().join(JOURNAL)).unwrap();
        let Err(error) = Place::take(home.path()) else { panic!("hard link taken") };
        assert!(error.to_string().contains("second name"), "{error}");
        fs::remove_file(home.path().join(JOURNAL)).unwrap();
        std::os::unix::fs::symlink(home.path().join("other"), home.path().join(JOURNAL)).unwrap();
        let Err(error) = Place::take(home.path()) else { panic!("symbolic link taken") };
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_missing_parent_is_an_error_with_the_path() {
        let home = tempfile::tempdir().unwrap();
        let Err(error) = Place::take(&home.path().join("a/b")) else { panic!("made two levels") };
        assert!(error.to_string().contains("a/b"), "{error}");
    }
}
