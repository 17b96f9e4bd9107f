//! The disks as SQLite sees them: a file system that is the default one of this process.
//!
//! Promises: every database that this process opens lies on a disk that was set up; nothing else is opened. The device says
//! of itself what SQLite's own file system for Unix says: sectors of 4,096 bytes, and no harm to bytes beside a write.
//! Absent on purpose: shared memory and locks. A journal has one connection, and its directory a lock of its own.

use crate::disk::{Disk, Trouble};
use sqlite_plugin::flags::{AccessFlags, CreateMode, LockLevel, OpenKind, OpenMode, OpenOpts};
use sqlite_plugin::vars;
use sqlite_plugin::vfs::{RegisterOpts, Vfs, VfsHandle, VfsResult, register_static};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

/// Disks by the directory of their files.
static DISKS: LazyLock<Mutex<BTreeMap<PathBuf, Shared>>> = LazyLock::new(|| {
    let name = c"faults".to_owned();
    let registered = register_static(name, Faults, RegisterOpts { make_default: true });
    assert!(registered.is_ok(), "SQLite takes a file system");
    Mutex::new(BTreeMap::new())
});

/// A disk that SQLite and the world both reach.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    /// Sets a disk up under a directory, in the place of one that was there.
    pub fn set_up(home: &Path, disk: Disk) -> Shared {
        let shared = Shared(Arc::new(Mutex::new(disk)));
        lock(&DISKS).insert(home.to_owned(), shared.clone());
        shared
    }

    /// Takes the disk under a directory away: nothing can be opened there any more.
    pub fn take_away(home: &Path) {
        lock(&DISKS).remove(home);
    }

    /// The disk; nobody may keep it while SQLite works.
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The disk and the name on it that a path means.
fn place(path: &str) -> VfsResult<(Shared, String)> {
    let path = Path::new(path);
    let shared = path.parent().and_then(|home| lock(&DISKS).get(home).cloned());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    shared.zip(name).ok_or(vars::SQLITE_CANTOPEN)
}

struct Faults;

/// An open file.
struct Handle {
    shared: Shared,
    name: String,
    file: File,
    life: u64,
    readonly: bool,
    /// Whether the next sync syncs the directory, too, as SQLite's own file system does for a log that it may make.
    names_too: bool,
}

impl Handle {
    /// The disk, unless this handle is of a process that is dead.
    fn disk(&self) -> VfsResult<MutexGuard<'_, Disk>> {
        let disk = self.shared.disk();
        if disk.life == self.life { Ok(disk) } else { Err(vars::SQLITE_IOERR) }
    }
}

impl VfsHandle for Handle {
    fn readonly(&self) -> bool {
        self.readonly
    }

    fn in_memory(&self) -> bool {
        false
    }
}

impl Vfs for Faults {
    type Handle = Handle;

    fn open(&self, path: Option<&str>, opts: OpenOpts) -> VfsResult<Handle> {
        let (shared, name) = place(path.ok_or(vars::SQLITE_CANTOPEN)?)?;
        let make = matches!(opts.mode(), OpenMode::ReadWrite { create: CreateMode::Create | CreateMode::MustCreate });
        let mut disk = shared.disk();
        let file = disk.open(&name, make).map_err(|_| vars::SQLITE_CANTOPEN)?;
        let (life, readonly) = (disk.life, opts.mode().is_readonly());
        drop(disk);
        let names_too = make && matches!(opts.kind(), OpenKind::Wal | OpenKind::MainJournal | OpenKind::SuperJournal);
        Ok(Handle { shared, name, file, life, readonly, names_too })
    }

    fn delete(&self, path: &str) -> VfsResult<()> {
        let (shared, name) = place(path)?;
        let removed = shared.disk().remove(&name);
        if removed { Ok(()) } else { Err(vars::SQLITE_IOERR_DELETE_NOENT) }
    }

    fn access(&self, path: &str, flags: AccessFlags) -> VfsResult<bool> {
        let found = std::fs::metadata(path);
        // As on Unix, an empty file counts as none where only its being there is asked.
        Ok(found.is_ok_and(|found| flags != AccessFlags::Exists || found.len() > 0))
    }

    fn file_size(&self, handle: &mut Handle) -> VfsResult<usize> {
        let length = handle.file.metadata().map_err(|_| vars::SQLITE_IOERR_FSTAT)?.len();
        usize::try_from(length).map_err(|_| vars::SQLITE_IOERR_FSTAT)
    }

    fn truncate(&self, handle: &mut Handle, size: usize) -> VfsResult<()> {
        handle.disk()?.set_length(&handle.name, &handle.file, size);
        Ok(())
    }

    fn write(&self, handle: &mut Handle, offset: usize, data: &[u8]) -> VfsResult<usize> {
        let written = handle.disk()?.write(&handle.name, &handle.file, offset, data);
        written.map(|()| data.len()).map_err(|trouble| match trouble {
            Trouble::Full => vars::SQLITE_FULL,
            Trouble::Failed => vars::SQLITE_IOERR_WRITE,
        })
    }

    fn read(&self, handle: &mut Handle, offset: usize, data: &mut [u8]) -> VfsResult<usize> {
        drop(handle.disk()?);
        let mut done = 0;
        while done < data.len() {
            match handle.file.read_at(&mut data[done..], (offset + done) as u64) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(_) => return Err(vars::SQLITE_IOERR_READ),
            }
        }
        Ok(done)
    }

    fn sync(&self, handle: &mut Handle) -> VfsResult<()> {
        // The file system for Unix says the same of any error here.
        let mut disk = handle.disk()?;
        disk.sync(&handle.name).map_err(|_| vars::SQLITE_IOERR_FSYNC)?;
        if handle.names_too {
            disk.sync_names();
        }
        drop(disk);
        handle.names_too = false;
        Ok(())
    }

    fn lock(&self, _handle: &mut Handle, _level: LockLevel) -> VfsResult<()> {
        Ok(())
    }

    fn unlock(&self, _handle: &mut Handle, _level: LockLevel) -> VfsResult<()> {
        Ok(())
    }

    fn check_reserved_lock(&self, _handle: &mut Handle) -> VfsResult<bool> {
        Ok(false)
    }

    fn close(&self, _handle: Handle) -> VfsResult<()> {
        Ok(())
    }

    fn sector_size(&self, _handle: &mut Handle) -> VfsResult<i32> {
        Ok(4096)
    }

    fn device_characteristics(&self, _handle: &mut Handle) -> VfsResult<i32> {
        Ok(vars::SQLITE_IOCAP_POWERSAFE_OVERWRITE)
    }
}
