//! Every byte of a small journal, changed one at a time: clean with the same ops and heads, or named. Never a panic,
//! never another meaning.

#[path = "support/pen.rs"]
mod pen;

use fieldkit_sqlite::verify::{Fault, Verdict, verify_files};
use fieldkit_sqlite::{BlackBoxPlace, Options, Store};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

#[derive(Default)]
struct Counts {
    clean: u64,
    ops: u64,
    rows: u64,
    pages: u64,
}

fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        tempfile::tempdir_in(shm).expect("shared memory has room")
    } else {
        tempfile::tempdir().expect("the temporary directory has room")
    }
}

fn journal() -> Vec<u8> {
    let home = scratch();
    let options = Options::new(home.path().join("data"), BlackBoxPlace::Off);
    let (mut store, _) = Store::open(&options).expect("a new store opens");
    let (mut one, mut two) = (pen::Pen::new(1), pen::Pen::new(2));
    for _ in 0..6 {
        store.commit(one.write(1, 240).batch()).expect("a sound batch commits");
        store.commit(two.write(2, 240).batch()).expect("a sound batch commits");
    }
    store.close().expect("it closes");
    fs::read(options.data.join("journal.db")).expect("the journal is there")
}

fn flip_all(bytes: &[u8], parity: usize, sound: &Verdict) -> Counts {
    let home = scratch();
    let path = home.path().join("journal.db");
    fs::write(&path, bytes).expect("the copy fits");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("the copy opens");
    let mut counts = Counts::default();
    for at in (parity..bytes.len()).step_by(2) {
        let flipped = bytes[at] ^ (1 << (at / 2 % 8));
        file.write_all_at(&[flipped], at as u64).expect("the copy can be written");
        let verdict = verify_files(home.path());
        match &verdict.fault {
            None => {
                assert_eq!((verdict.ops, &verdict.heads), (sound.ops, &sound.heads), "byte {at} changed the meaning");
                counts.clean += 1;
            }
            Some(Fault::Op(_)) => counts.ops += 1,
            Some(Fault::Row { .. }) => counts.rows += 1,
            Some(Fault::Page { page, .. }) => {
                assert!(*page >= 1, "byte {at} names no page");
                counts.pages += 1;
            }
            Some(other) => panic!("byte {at}: {other}"),
        }
        file.write_all_at(&[bytes[at]], at as u64).expect("the copy can be written");
    }
    assert_eq!(&verify_files(home.path()), sound);
    counts
}

#[test]
fn every_flipped_byte_is_harmless_or_named() {
    let bytes = journal();
    let home = scratch();
    fs::write(home.path().join("journal.db"), &bytes).expect("the copy fits");
    let sound = verify_files(home.path());
    assert_eq!((sound.ops, sound.heads.len(), sound.signed, &sound.fault), (20, 2, 2, &None));
    let begun = std::time::Instant::now();
    let counts: Vec<Counts> = std::thread::scope(|scope| {
        let threads = [0, 1].map(|parity| {
            scope.spawn({
                let (bytes, sound) = (&bytes, &sound);
                move || flip_all(bytes, parity, sound)
            })
        });
        threads.map(|thread| thread.join().expect("no byte makes verification panic")).into()
    });
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let (clean, ops, rows, pages) = (sum(|c| c.clean), sum(|c| c.ops), sum(|c| c.rows), sum(|c| c.pages));
    println!(
        "{} bytes in {:?}: {clean} harmless, {ops} name an op, {rows} a row, {pages} a page",
        bytes.len(),
        begun.elapsed()
    );
    assert_eq!(clean + ops + rows + pages, bytes.len() as u64);
    assert!(ops > 5_000, "ops are named");
}
