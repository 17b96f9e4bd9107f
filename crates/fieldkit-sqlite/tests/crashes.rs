//! The process killed at every named step: what was acknowledged is there, and the next start ends in the same place.

#[path = "support/pen.rs"]
mod pen;

use fieldkit_core::op::SealedOp;
use fieldkit_sqlite::{BlackBoxPlace, BoxState, Options, Store, StoreError, failpoint};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const HOME: &str = "FIELDKIT_TEST_HOME";

fn options(home: &Path) -> Options {
    Options::new(home.join("data"), BlackBoxPlace::At(home.join("stick.fkb")))
}

/// Not a test of its own: what the killed process does. Prints a line for each acknowledged commit.
#[test]
fn child() {
    let Ok(home) = std::env::var(HOME) else { return };
    let (mut store, _) = Store::open(&options(Path::new(&home))).expect("the store opens");
    let (mut pen, mut done) = (pen::Pen::new(3), 0);
    let known = store.last_row();
    let mut out = std::io::stdout().lock();
    while done < 160 {
        let written = pen.write(1, 9000);
        done += 1;
        if written.ops.last().is_some_and(|op| op.op.seq <= known) {
            continue;
        }
        store.commit(written.batch()).expect("it commits");
        writeln!(out, "\nACK {}", written.ops.last().map_or(0, |op| op.op.seq)).expect("the pipe holds");
        store.maintain().expect("maintenance works");
        // Far more often than a kit would, so that kills meet one in the middle of a run.
        if done % 50 == 0 {
            store.checkpoint().expect("the log is moved");
        }
    }
    store.close().expect("it closes");
}

fn run(home: &Path, failpoint: Option<&str>) -> (Output, u64) {
    run_by(Command::new(std::env::current_exe().expect("the test has a file")), home, failpoint)
}

/// Runs the child under `strace`, which makes one system call fail or kill.
fn run_injected(home: &Path, injection: &str) -> (Output, u64) {
    let call = injection.split(':').next().unwrap_or_default();
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
        "-e",
        &format!("inject={injection}"),
    ]);
    command.arg(std::env::current_exe().expect("the test has a file"));
    run_by(command, home, None)
}

fn run_by(mut command: Command, home: &Path, failpoint: Option<&str>) -> (Output, u64) {
    command.args(["--exact", "child", "--nocapture"]).env(HOME, home).env_remove("FIELDKIT_FAILPOINT");
    if let Some(failpoint) = failpoint {
        command.env("FIELDKIT_FAILPOINT", failpoint);
    }
    let output = command.output().expect("the child runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let acknowledged = text.lines().filter_map(|line| line.strip_prefix("ACK ")?.parse().ok()).max().unwrap_or(0);
    (output, acknowledged)
}

/// Everything acknowledged is there, in journal and box alike, and is what was written.
fn check(home: &Path, acknowledged: u64, what: &str) {
    let (mut store, _) = Store::open(&options(home)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.box_state() != BoxState::Whole {
        assert!(Instant::now() < deadline, "{what}: the box stays behind");
        store.maintain().expect("maintenance works");
    }
    let mut ops: Vec<SealedOp> = Vec::new();
    store
        .replay::<StoreError>(0, &mut |_, op| {
            ops.push(op);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(ops.len() as u64 >= acknowledged, "{what}: {} of {acknowledged} acknowledged ops", ops.len());
    let mut pen = pen::Pen::new(3);
    let mut expected = Vec::new();
    while expected.len() < ops.len() {
        expected.extend(pen.write(1, 9000).ops);
    }
    assert_eq!(ops[..], expected[..ops.len()], "{what}");
    let verdict = store.verify();
    assert!(verdict.is_clean(), "{what}: {:?}", verdict.fault);
    store.close().expect("it closes");
}

#[test]
fn acknowledged_ops_survive_a_kill_at_every_step_of_a_run() {
    let mut fired = Vec::new();
    for name in failpoint::NAMES {
        for hit in [1, 2, 37] {
            let home = tempfile::tempdir().expect("there is room");
            let failpoint = format!("{name}:{hit}");
            let (output, acknowledged) = run(home.path(), Some(&failpoint));
            if output.status.success() {
                assert_eq!(acknowledged, 161, "{failpoint}");
                break;
            }
            fired.push(failpoint.clone());
            check(home.path(), acknowledged, &failpoint);
        }
    }
    println!("{} kills: {fired:?}", fired.len());
    for name in
        ["journal.before_commit:1", "journal.after_commit:37", "box.after_write:37", "journal.after_checkpoint:2"]
    {
        assert!(fired.iter().any(|one| one == name), "{name} never fired");
    }
}

#[test]
fn a_start_killed_at_any_step_of_a_repair_is_repaired_by_the_next() {
    let whole = tempfile::tempdir().expect("there is room");
    let (output, acknowledged) = run(whole.path(), None);
    assert!(output.status.success());
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("journal deleted", |home| fs::remove_file(home.join("data/journal.db")).expect("it was there")),
        ("box deleted", |home| fs::remove_file(home.join("stick.fkb")).expect("it was there")),
        ("box cut", |home| {
            let box_path = home.join("stick.fkb");
            let bytes = fs::read(&box_path).expect("it was there");
            fs::write(&box_path, &bytes[..bytes.len() / 3]).expect("there is room");
        }),
        ("journal overwritten", |home| {
            let path = home.join("data/journal.db");
            let mut bytes = fs::read(&path).expect("it was there");
            bytes[4096..40_960].fill(0x5a);
            fs::write(&path, bytes).expect("there is room");
        }),
    ];
    let mut kills = 0;
    for (what, spoil) in spoil {
        for name in failpoint::NAMES {
            let home = tempfile::tempdir().expect("there is room");
            fs::create_dir(home.path().join("data")).expect("it is new");
            for file in ["data/journal.db", "data/box-id", "stick.fkb"] {
                fs::copy(whole.path().join(file), home.path().join(file)).expect("there is room");
            }
            spoil(home.path());
            // Killed twice in a row, at the same step.
            for _ in 0..2 {
                kills += u32::from(!run(home.path(), Some(name)).0.status.success());
            }
            check(home.path(), acknowledged, &format!("{what}, {name}"));
        }
    }
    println!("{kills} kills");
    assert!(kills > 40, "{kills}");
}

#[test]
fn a_system_call_that_fails_or_kills_loses_nothing_acknowledged() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace is not installed");
        return;
    }
    let (mut failed, mut runs) = (0, 0);
    let points = (1..=20).chain([35, 50, 80, 120, 200, 330]);
    for point in points {
        for fault in [
            format!("fdatasync:error=EIO:when={point}"),
            format!("fsync:error=EIO:when={point}"),
            format!("pwrite64:error=ENOSPC:when={point}"),
            format!("pwrite64:error=EIO:when={point}"),
            format!("pwrite64:signal=KILL:when={point}"),
        ] {
            let home = tempfile::tempdir().expect("there is room");
            let (output, acknowledged) = run_injected(home.path(), &fault);
            runs += 1;
            failed += u32::from(!output.status.success());
            check(home.path(), acknowledged, &fault);
        }
    }
    println!("{runs} faults, {failed} ended the process");
    assert!(failed > 50, "{failed} of {runs}");
}
