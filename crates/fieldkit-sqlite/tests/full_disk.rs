//! A disk that is full, really: a small file system in memory. Needs the right to mount; says so and ends without.

#[path = "support/pen.rs"]
mod pen;

use fieldkit_sqlite::space::Level;
use fieldkit_sqlite::{BlackBoxPlace, Options, Store, StoreError};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(size: &str) -> Option<Mounted> {
        let home = tempfile::tempdir().expect("there is room");
        let options = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(home.path()).status();
        done.is_ok_and(|status| status.success()).then_some(Mounted(home))
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Fills the disk to the last block, as a camera roll would.
fn fill(directory: &Path) {
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(directory.join("photos")).expect("a name fits");
    while file.write_all(&[7; 4096]).is_ok() {}
}

fn count(store: &mut Store) -> u64 {
    let mut count = 0;
    let counted = store.replay::<StoreError>(0, &mut |_, _| {
        count += 1;
        Ok(())
    });
    counted.expect("a full disk can be read");
    count
}

#[test]
fn a_full_disk_loses_nothing_and_can_be_read() {
    let Some(disk) = Mounted::new("12m") else {
        println!("skipped: this user may not mount");
        return;
    };
    let options = Options::new(disk.path().join("data"), BlackBoxPlace::InData);
    let mut pen = pen::Pen::new(4);
    let (mut store, _) = Store::open(&options).expect("a new store opens");
    store.commit(pen.write(1, 400).batch()).expect("there is room");
    store.close().expect("it closes");
    // Closed, the log is gone: the next start has to make do without room for it.
    fill(disk.path());
    let (mut store, _) = Store::open(&options).expect("a full disk opens");
    assert_eq!(store.space().expect("the disk answers").level, Level::Critical);
    let ballast = store.space().expect("the disk answers").bytes_ballast;
    assert!(ballast > 64 << 10);
    let mut acknowledged = 2;
    let error = loop {
        match store.commit(pen.write(1, 20_000).batch()) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        let _ = store.maintain().expect("maintenance lives with a full disk");
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert!(acknowledged > 10, "the ballast took {acknowledged} ops");
    assert_eq!(store.space().expect("the disk answers").bytes_ballast, 0);
    drop(store);
    // Started again on the same full disk: everything is there to be read.
    fill(disk.path());
    let (mut store, report) = Store::open(&options).expect("a full disk opens");
    assert_eq!(count(&mut store), acknowledged + report.adopted);
    let mut later = pen.clone();
    if report.full {
        assert!(matches!(store.commit(later.write(1, 8).batch()), Err(StoreError::NoSpace { .. })));
    }
    drop(store);
    fs::remove_file(disk.path().join("photos")).expect("photos can go");
    let (mut store, _) = Store::open(&options).expect("it opens");
    assert_eq!(count(&mut store), acknowledged + 1, "the last sale reached the box and is adopted");
    store.commit(pen.write(1, 8).batch()).expect("sales go on");
}
