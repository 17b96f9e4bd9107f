//! Commits, starts after every kind of loss, and the box's troubles.

use super::*;
use crate::error::StoreError;
use crate::place::BlackBoxPlace;
use crate::testing::{Pen, Written};
use fieldkit_core::op::SealedOp;
use std::fs;
use std::os::unix::fs::FileExt;

struct Bench {
    home: tempfile::TempDir,
    options: Options,
    pen: Pen,
}

impl Bench {
    fn new() -> Bench {
        // In memory where that is possible: these tests are about bytes, not about the disk's speed.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let place = BlackBoxPlace::At(home.path().join("stick.fkb"));
        let options = Options::new(home.path().join("data"), place);
        Bench { home, options, pen: Pen::new(7) }
    }
    fn open(&self) -> (Store, StartReport) {
        Store::open(&self.options).unwrap()
    }
    fn fill(&mut self, store: &mut Store, commits: usize) -> Vec<Written> {
        (0..commits)
            .map(|_| {
                let written = self.pen.write(1, 400);
                store.commit(written.batch()).unwrap();
                written
            })
            .collect()
    }
    fn data(&self, name: &str) -> PathBuf {
        self.options.data.join(name)
    }
    fn stick(&self) -> PathBuf {
        self.home.path().join("stick.fkb")
    }
}

fn all(store: &mut Store) -> Vec<SealedOp> {
    let mut ops = Vec::new();
    store
        .replay::<StoreError>(0, &mut |row, op| {
            assert_eq!(row, ops.len() as u64 + 1);
            ops.push(op);
            Ok(())
        })
        .unwrap();
    ops
}

fn ops(written: &[Written]) -> Vec<SealedOp> {
    written.iter().flat_map(|written| written.ops.clone()).collect()
}

#[test]
fn what_was_committed_is_there_after_a_start() {
    let mut bench = Bench::new();
    let (mut store, report) = bench.open();
    assert_eq!(report, StartReport::default());
    let written = bench.fill(&mut store, 5);
    let expected = ops(&written);
    assert_eq!(store.op(expected[3].id()).unwrap().as_ref(), Some(&expected[3]));
    store.close().unwrap();
    assert!(!bench.data("journal.db-wal").exists(), "a closed journal is one file");
    let (mut store, report) = bench.open();
    assert_eq!((report.ops, report.adopted, report.refilled), (6, 0, 0));
    assert_eq!(all(&mut store), expected);
    assert_eq!(store.heads()[&bench.pen.stream()].hash, expected[5].hash);
}

#[test]
fn a_dropped_store_opens_like_a_closed_one() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 300);
    while store.maintain().unwrap().more {}
    drop(store);
    let (mut store, report) = bench.open();
    assert_eq!((report.ops, report.adopted, report.journal_fault), (301, 0, None));
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn an_op_known_already_changes_nothing_and_another_in_its_place_is_a_fork() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 2);
    store.commit(written[0].batch()).unwrap();
    assert_eq!(store.last_row(), 3);
    let mut twin = Pen::new(7);
    twin.write(1, 8);
    let other = twin.write(1, 16);
    let error = store.commit(other.batch()).unwrap_err();
    assert!(matches!(error, StoreError::Fork { seq: 3, .. }), "{error}");
}

#[test]
fn an_op_that_leaves_a_gap_is_an_error() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 1);
    bench.pen.write(1, 8);
    let error = store.commit(bench.pen.write(1, 8).batch()).unwrap_err();
    assert!(matches!(error, StoreError::Gap { seq: 4, head: 2, .. }), "{error}");
}

#[test]
fn a_deleted_log_comes_back_from_the_box() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 20);
    drop(store);
    fs::remove_file(bench.data("journal.db-wal")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 21);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_deleted_journal_comes_back_from_the_box() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 20);
    store.close().unwrap();
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 21);
    assert_eq!(all(&mut store), ops(&written));
    drop(store);
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!((report.adopted, report.set_aside.len()), (21, 1), "the orphaned log is kept");
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn an_old_journal_copied_back_catches_up_with_the_box() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 20);
    store.close().unwrap();
    fs::copy(bench.data("journal.db"), bench.data("old")).unwrap();
    let (mut store, _) = bench.open();
    written.extend(bench.fill(&mut store, 1_600));
    while store.maintain().unwrap().more {}
    written.extend(bench.fill(&mut store, 30));
    drop(store);
    // The log of the younger journal is left beside the old copy: mixed, the two would be neither.
    fs::rename(bench.data("old"), bench.data("journal.db")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 1_630);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_younger_log_beside_an_old_journal_is_moved_aside() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 20);
    store.checkpoint().unwrap();
    fs::copy(bench.data("journal.db"), bench.data("old")).unwrap();
    for _ in 0..3 {
        written.extend(bench.fill(&mut store, 30));
        store.checkpoint().unwrap();
    }
    written.extend(bench.fill(&mut store, 3));
    drop(store);
    fs::rename(bench.data("old"), bench.data("journal.db")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!((report.adopted, report.set_aside.len()), (93, 1));
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_deleted_box_is_filled_again() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 600);
    store.close().unwrap();
    fs::remove_file(bench.stick()).unwrap();
    let (store, report) = bench.open();
    assert_eq!((report.refilled, store.box_state()), (601, BoxState::Whole));
    store.close().unwrap();
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 601);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_box_cut_anywhere_is_filled_again() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 6);
    store.close().unwrap();
    let whole = fs::read(bench.stick()).unwrap();
    let used = 4096 + 7 * 700;
    for cut in (0..used).step_by(97).chain([4095, 4096, 4097]) {
        fs::write(bench.stick(), &whole[..cut]).unwrap();
        let (mut store, _) = Store::open(&bench.options).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(store.box_state(), BoxState::Whole, "cut at {cut}");
        assert_eq!(all(&mut store), ops(&written), "cut at {cut}");
        store.close().unwrap();
        fs::remove_file(bench.data("journal.db")).unwrap();
        let (store, report) = bench.open();
        assert_eq!(report.adopted, 7, "cut at {cut}");
        store.close().unwrap();
    }
}

#[test]
fn a_flipped_box_record_is_named_and_replaced() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 6);
    drop(store);
    let file = fs::OpenOptions::new().write(true).open(bench.stick()).unwrap();
    file.write_all_at(b"\xff", 4096 + 48 + 30).unwrap();
    let (mut store, report) = bench.open();
    assert!(report.box_fault.is_some_and(|fault| fault.contains("record 1 ")), "the record is named");
    assert_eq!(store.box_state(), BoxState::Whole);
    assert_eq!(all(&mut store), ops(&written));
    store.close().unwrap();
    fs::remove_file(bench.data("journal.db")).unwrap();
    assert_eq!(bench.open().1.adopted, 7);
}

#[test]
fn records_behind_a_flipped_one_still_reach_a_journal_that_lost_its_tail() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 6);
    store.checkpoint().unwrap();
    written.extend(bench.fill(&mut store, 6));
    drop(store);
    fs::remove_file(bench.data("journal.db-wal")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(bench.stick()).unwrap();
    file.write_all_at(b"\xff", 4096 + 48 + 30).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 6);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_damaged_journal_is_rebuilt_from_the_box_and_kept() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let written = bench.fill(&mut store, 40);
    store.close().unwrap();
    let whole = fs::read(bench.data("journal.db")).unwrap();
    let mut cases: Vec<Vec<u8>> = (0..whole.len()).step_by(1777).map(|cut| whole[..cut].to_vec()).collect();
    for page in 0..whole.len() / 4096 {
        let mut hit = whole.clone();
        hit[page * 4096..page * 4096 + 4096].fill(0x5a);
        cases.push(hit);
    }
    let mut rebuilt = 0;
    for (case, bytes) in cases.iter().enumerate() {
        fs::write(bench.data("journal.db"), bytes).unwrap();
        let (mut store, report) = Store::open(&bench.options).unwrap_or_else(|error| panic!("case {case}: {error}"));
        rebuilt += u32::from(report.rebuilt > 0);
        assert!(report.rebuilt == 0 || report.set_aside.len() == 1, "case {case}");
        assert_eq!(all(&mut store), ops(&written), "case {case}");
        store.close().unwrap();
    }
    assert!(rebuilt > 10, "{rebuilt} of {}", cases.len());
}

#[test]
fn a_damaged_journal_with_ops_that_no_box_has_is_left_alone() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 200);
    store.close().unwrap();
    let mut bytes = fs::read(bench.data("journal.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(bench.data("journal.db"), &bytes).unwrap();
    fs::remove_file(bench.stick()).unwrap();
    let Err(error) = Store::open(&bench.options) else { panic!("opened") };
    assert!(matches!(&error, StoreError::Unrepaired { lacking, .. } if *lacking > 50), "{error}");
    assert!(error.hint().contains("copy the data directory"));
    assert_eq!(fs::read(bench.data("journal.db")).unwrap(), bytes);
}

#[test]
fn two_sound_histories_that_differ_name_the_first_op() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 2);
    store.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    let options = Options::new(other.path().join("data"), BlackBoxPlace::InData);
    let (mut store, _) = Store::open(&options).unwrap();
    let mut twin = Pen::new(7);
    store.commit(twin.write(1, 400).batch()).unwrap();
    store.commit(twin.write(1, 16).batch()).unwrap();
    store.close().unwrap();
    fs::copy(other.path().join("data/black-box.fkb"), bench.stick()).unwrap();
    let Err(error) = Store::open(&bench.options) else { panic!("opened") };
    assert!(matches!(&error, StoreError::Contradiction { seq: 3, .. }), "{error}");
}

#[test]
fn another_kits_box_is_refused_and_the_sale_goes_on() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 2);
    store.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(&Options::new(other.path().join("data"), BlackBoxPlace::InData)).unwrap();
    store.commit(Pen::new(8).write(1, 16).batch()).unwrap();
    store.close().unwrap();
    let strange = fs::read(other.path().join("data/black-box.fkb")).unwrap();
    fs::write(bench.stick(), &strange).unwrap();
    let (mut store, report) = bench.open();
    assert!(report.box_fault.is_some_and(|fault| fault.contains("another kit")));
    assert_eq!(store.commit(bench.pen.write(1, 8).batch()).unwrap().box_state, BoxState::Behind);
    store.close().unwrap();
    assert_eq!(fs::read(bench.stick()).unwrap(), strange, "a strange box is not written to");
    // An empty kit does not take a stranger's history over by accident, only when told to.
    let fresh = tempfile::tempdir().unwrap();
    let mut options = Options::new(fresh.path().join("data"), BlackBoxPlace::At(bench.stick()));
    assert!(matches!(Store::open(&options), Err(StoreError::ForeignBox { .. })));
    options.restore = true;
    assert_eq!(Store::open(&options).unwrap().1.adopted, 2);
}

#[test]
fn a_missing_box_never_holds_a_sale_and_catches_up() {
    let mut bench = Bench::new();
    bench.options.black_box = BlackBoxPlace::At(bench.home.path().join("stick/box.fkb"));
    let (mut store, report) = bench.open();
    assert!(report.box_fault.is_some());
    let begun = Instant::now();
    bench.fill(&mut store, 10);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(bench.data("box-behind").exists());
    store.close().unwrap();
    fs::create_dir(bench.home.path().join("stick")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!((report.refilled, store.box_state()), (11, BoxState::Whole));
    assert!(!bench.data("box-behind").exists());
    assert_eq!(store.commit(bench.pen.write(1, 8).batch()).unwrap().box_state, BoxState::Whole);
}

#[test]
fn a_box_that_hangs_holds_one_sale_a_quarter_second_and_no_other() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    let (stuck, _queue) = store.link.keeper.as_ref().unwrap().stuck();
    let working = store.link.keeper.replace(stuck).unwrap();
    let begun = Instant::now();
    let next = bench.pen.write(1, 400);
    let commit = store.commit(next.batch()).unwrap();
    assert_eq!((commit.box_state, commit.copies), (BoxState::Behind, Copies::OnThisKit));
    assert!(begun.elapsed() >= BOX_WAIT && begun.elapsed() < Duration::from_secs(2));
    assert!(bench.data("box-behind").exists());
    written.push(next);
    let begun = Instant::now();
    written.extend(bench.fill(&mut store, 100));
    assert!(begun.elapsed() < Duration::from_secs(2));
    // It answers again: what it missed is handed to it step by step.
    store.link.keeper = Some(working);
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.box_state() != BoxState::Whole {
        assert!(Instant::now() < deadline);
        store.maintain().unwrap();
    }
    assert!(!bench.data("box-behind").exists());
    store.close().unwrap();
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, _) = bench.open();
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_box_that_failed_is_opened_again_and_filled_up() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    store.link.keeper.as_ref().unwrap().fail();
    written.extend(bench.fill(&mut store, 300));
    assert_eq!((store.box_state(), store.box_fault()), (BoxState::Behind, Some("pulled out".into())));
    store.link.tried = Instant::now() - BOX_RETRY;
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.box_state() != BoxState::Whole {
        assert!(Instant::now() < deadline);
        store.maintain().unwrap();
    }
    store.close().unwrap();
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, _) = bench.open();
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn safe_mode_sells_into_the_box_and_the_journal_adopts_it() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    store.close().unwrap();
    let (mut safe, report) = Store::open_black_box_only(&bench.options).unwrap();
    assert_eq!(report.ops, 4);
    written.extend(bench.fill(&mut safe, 2));
    assert_eq!(all(&mut safe), ops(&written));
    safe.close().unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 2);
    assert_eq!(all(&mut store), ops(&written));
    store.close().unwrap();
    fs::write(bench.data("box-behind"), b"").unwrap();
    let (mut safe, _) = Store::open_black_box_only(&bench.options).unwrap();
    let error = safe.commit(bench.pen.write(1, 8).batch()).unwrap_err();
    assert!(matches!(error, StoreError::BoxNotWhole { .. }), "{error}");
}

#[test]
fn safe_mode_takes_over_what_only_the_journal_has() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    drop(store);
    let before = fs::read(bench.stick()).unwrap();
    let (mut store, _) = bench.open();
    written.extend(bench.fill(&mut store, 1));
    drop(store);
    // The last commit reached the journal, and the power went before the box had it.
    fs::write(bench.stick(), &before).unwrap();
    let (mut safe, report) = Store::open_black_box_only(&bench.options).unwrap();
    assert_eq!((report.ops, report.refilled), (4, 1));
    written.extend(bench.fill(&mut safe, 1));
    safe.close().unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 1);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_journal_cut_behind_a_kill_is_noticed() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 200);
    store.checkpoint().unwrap();
    written.extend(bench.fill(&mut store, 4));
    drop(store);
    for part in [2, 3, 5] {
        let journal = fs::OpenOptions::new().write(true).open(bench.data("journal.db")).unwrap();
        let length = journal.metadata().unwrap().len();
        journal.set_len(length - length / part).unwrap();
        let (mut store, report) = bench.open();
        assert_eq!(all(&mut store), ops(&written), "a {part}th cut off");
        assert!(report.rebuilt > 0, "a {part}th cut off");
        drop(store);
    }
}

#[test]
fn a_full_journal_is_an_error_of_its_own_and_the_box_is_adopted_later() {
    let mut bench = Bench::new();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    store.journal.connection().pragma_update(None, "max_page_count", 20).unwrap();
    let error = loop {
        let next = bench.pen.write(4, 4000);
        written.push(next.clone());
        if let Err(error) = store.commit(next.batch()) {
            break error;
        }
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert!(!bench.data("ballast").exists(), "the ballast was given up first");
    let before = store.last_row();
    store.close().unwrap();
    let (mut store, report) = bench.open();
    assert_eq!((report.adopted, report.ops), (4, before + 4));
    assert_eq!(all(&mut store), ops(&written));
}

impl Bench {
    /// The box in a directory of its own, as on a stick.
    fn with_stick() -> Bench {
        let mut bench = Bench::new();
        let dir = bench.home.path().join("stick");
        fs::create_dir(&dir).unwrap();
        bench.options.black_box = BlackBoxPlace::At(dir.join("black-box.fkb"));
        bench
    }
    fn stick_dir(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap().join("stick")
    }
}

#[test]
fn a_box_missing_at_a_start_is_noticed_and_taken_back_when_it_comes() {
    let mut bench = Bench::with_stick();
    let (mut store, report) = bench.open();
    assert_eq!(report.box_absence, None);
    let mut written = bench.fill(&mut store, 3);
    store.close().unwrap();
    fs::rename(bench.stick_dir(), bench.home.path().join("pocket")).unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.box_absence, Some(BoxAbsence::NotThere(bench.stick_dir())));
    written.extend(bench.fill(&mut store, 300));
    assert_eq!((store.box_state(), bench.stick_dir().exists()), (BoxState::Behind, false));
    fs::rename(bench.home.path().join("pocket"), bench.stick_dir()).unwrap();
    store.maintain().unwrap();
    assert_eq!(store.box_state(), BoxState::Behind, "it is not looked for all the time");
    store.link.tried = Instant::now() - BOX_RETRY;
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.box_state() != BoxState::Whole {
        assert!(Instant::now() < deadline);
        store.maintain().unwrap();
    }
    written.extend(bench.fill(&mut store, 1));
    store.close().unwrap();
    assert!(!bench.data("box-behind").exists());
    fs::remove_file(bench.data("journal.db")).unwrap();
    let (mut store, _) = bench.open();
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_box_with_ops_that_the_journal_lacks_is_left_to_the_next_start() {
    let mut bench = Bench::with_stick();
    let (mut store, _) = bench.open();
    let mut written = bench.fill(&mut store, 3);
    store.close().unwrap();
    let old = fs::read(bench.data("journal.db")).unwrap();
    let (mut store, _) = bench.open();
    written.extend(bench.fill(&mut store, 2));
    store.close().unwrap();
    fs::write(bench.data("journal.db"), old).unwrap();
    fs::rename(bench.stick_dir(), bench.home.path().join("pocket")).unwrap();
    let (mut store, _) = bench.open();
    fs::rename(bench.home.path().join("pocket"), bench.stick_dir()).unwrap();
    store.link.tried = Instant::now() - BOX_RETRY;
    store.maintain().unwrap();
    assert!(store.link.keeper.is_none(), "its ops would be missing in memory");
    store.close().unwrap();
    let (mut store, report) = bench.open();
    assert_eq!(report.adopted, 2);
    assert_eq!(all(&mut store), ops(&written));
}

#[test]
fn a_mount_point_without_its_stick_is_not_taken_for_the_stick() {
    let mut bench = Bench::with_stick();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 3);
    store.close().unwrap();
    // As it is written down where a stick was mounted, which a test may not do.
    let was = format!("on a medium of its own\n{}\n", bench.stick_dir().display());
    fs::write(bench.data("box-place"), was).unwrap();
    fs::remove_file(bench.stick_dir().join("black-box.fkb")).unwrap();
    for mode in ["whole", "safe"] {
        let report = match mode {
            "whole" => bench.open().1,
            _ => match Store::open_black_box_only(&bench.options) {
                Err(StoreError::BoxNotWhole { .. }) => break,
                other => panic!("{:?}", other.map(|_| ())),
            },
        };
        assert_eq!(report.box_absence, Some(BoxAbsence::NotThere(bench.stick_dir())), "{mode}");
    }
    assert_eq!(fs::read_dir(bench.stick_dir()).unwrap().count(), 0, "nothing hides under the stick");
}

#[test]
fn a_box_that_is_not_named_again_or_begun_anew_is_said() {
    let mut bench = Bench::with_stick();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 3);
    store.close().unwrap();
    let named = bench.options.clone();
    bench.options.black_box = BlackBoxPlace::InData;
    let (store, report) = bench.open();
    assert_eq!(report.box_absence, Some(BoxAbsence::NotNamed(bench.stick_dir())));
    assert_eq!(store.box_state(), BoxState::Whole, "a copy on the same disk meanwhile");
    store.close().unwrap();
    bench.options.black_box = BlackBoxPlace::Off;
    assert_eq!(bench.open().1.box_absence, None, "who says off knows");
    bench.options = named;
    assert_eq!(bench.open().1.box_absence, None);
    fs::remove_file(bench.stick_dir().join("black-box.fkb")).unwrap();
    let (store, report) = bench.open();
    assert_eq!(report.box_absence, Some(BoxAbsence::BegunAnew(bench.stick_dir())));
    assert_eq!((report.refilled, store.box_state()), (4, BoxState::Whole));
    store.close().unwrap();
    assert_eq!(bench.open().1.box_absence, None, "once");
}

#[test]
fn a_box_is_verified_without_its_journal() {
    let mut bench = Bench::with_stick();
    let (mut store, _) = bench.open();
    bench.fill(&mut store, 3);
    store.link.keeper.as_ref().unwrap().fail();
    bench.fill(&mut store, 300);
    store.link.tried = Instant::now() - BOX_RETRY;
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.box_state() != BoxState::Whole {
        assert!(Instant::now() < deadline);
        store.maintain().unwrap();
    }
    bench.fill(&mut store, 2);
    store.close().unwrap();
    let path = verify::black_box_at(&bench.stick_dir()).unwrap();
    assert_eq!(verify::black_box_at(&path), Some(path.clone()));
    assert_eq!(verify::black_box_at(&bench.options.data), None, "there is a journal");
    let clean = verify::verify_box(&path).unwrap();
    assert_eq!((clean.fault, clean.ops, clean.signed), (None, 306, 1));
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(613).filter(|at| !(48..4096).contains(at)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, flipped).unwrap();
        let found = verify::verify_box(&path);
        assert!(found.is_err() || found.is_ok_and(|verdict| verdict.fault.is_some()), "byte {at}");
    }
}
