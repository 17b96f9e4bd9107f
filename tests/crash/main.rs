//! The crash campaign: kills the shipped program at every step it takes, starts it again, and counts what is wrong.
//!
//! Points: each named failpoint at each of its hits, and each `pwrite64`, `fsync`, `fdatasync`, `openat`, `unlink`,
//! `ftruncate`, `rename` of a run, by strace; a share of the points is followed by a second kill inside the recovery.
//! After each point the command is repeated with its own key, and the ledger is asked: the sale is there exactly once,
//! what was acknowledged is there with the same id, receipts have no gap, every chain verifies.
//! Card payments have a terminal beside them (`cards.rs`).
//! Usage: `crash [--share N] [--every N] [cash] [refund] [card] [reversal]`; `--share N` takes every N-th strace point,
//! `--every N` every N-th point of all. Last line: JSON.

mod cards;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// System calls at which a run is killed.
const CALLS: &[&str] = &["pwrite64", "fsync", "fdatasync", "openat", "unlink", "ftruncate", "rename"];
/// Most hits of one call or failpoint that are tried; reaching it is an error, not a silent end.
const HITS_MAX: usize = 2_000;
/// Points that are tried at once.
const WORKERS: usize = 2;
/// Of so many points, one is followed by a second kill inside the recovery.
const DOUBLE_EVERY: usize = 5;

/// Where to kill.
#[derive(Clone, Debug)]
enum Point {
    Failpoint { name: String, hit: usize },
    Call { name: &'static str, hit: usize },
}

/// What a campaign counted.
#[derive(Default)]
struct Tally {
    points: AtomicUsize,
    double: AtomicUsize,
    lost: AtomicUsize,
    doubled: AtomicUsize,
    unexplained: AtomicUsize,
}

/// One scenario: what is done before, and the command that is killed.
struct Scenario {
    name: &'static str,
    template: PathBuf,
    command: Vec<String>,
    /// Orders and receipts after the command succeeded once.
    orders: usize,
    receipts: u64,
    /// Where its terminal listens, if it has one.
    port: Option<u16>,
}

fn main() -> ExitCode {
    let (mut share, mut every) = (1, 1);
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--share" => share = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1),
            "--every" => every = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1),
            other => wanted.push(other.to_owned()),
        }
    }
    if wanted.is_empty() {
        wanted = vec!["cash".into(), "refund".into()];
    }
    let program = fieldkit_tests::program();
    let scratch = fieldkit_tests::scratch("crash");
    let tally = Tally::default();
    let begun = Instant::now();
    for name in &wanted {
        let card = |name| [(); WORKERS].map(|()| cards::scenario(&program, &scratch, name, cards::free_port()));
        let scenarios = match name.as_str() {
            "cash" => [cash(&program, &scratch, 0), cash(&program, &scratch, 1)],
            "refund" => [refund(&program, &scratch, 0), refund(&program, &scratch, 1)],
            "card" => card("card"),
            "reversal" => card("reversal"),
            other => {
                eprintln!("error: there is no scenario {other:?}; cash, refund, card and reversal are");
                return ExitCode::from(2);
            }
        };
        campaign(&program, &scratch, &scenarios, [share, every], &tally);
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (lost, doubled, unexplained) = (count(&tally.lost), count(&tally.doubled), count(&tally.unexplained));
    eprintln!(
        "{} points ({} with a second kill in the recovery) in {:?}",
        count(&tally.points),
        count(&tally.double),
        begun.elapsed()
    );
    println!(
        "{}",
        json!({"points": count(&tally.points), "double": count(&tally.double), "lost": lost, "doubled": doubled,
               "unexplained": unexplained, "seconds": begun.elapsed().as_secs()})
    );
    if lost + doubled + unexplained > 0 {
        eprintln!("what it worked on is left in {}", scratch.display());
        return ExitCode::from(1);
    }
    std::fs::remove_dir_all(&scratch).unwrap_or_else(|error| panic!("{}: {error}", scratch.display()));
    ExitCode::SUCCESS
}

/// A cash sale, after one that is in the ledger already.
fn cash(program: &Path, scratch: &Path, worker: usize) -> Scenario {
    let template = scratch.join(format!("cash-template-{worker}"));
    fieldkit_tests::stall(program, &template);
    let sale = ["sell", "--line", "MUG=1", "--tender", "cash=20.00", "--json", "--idempotency-key"];
    succeed(&run(program, &template, &[&sale[..], &["before"]].concat(), &[]));
    let command = [&sale[..], &["crash-key"]].concat().into_iter().map(str::to_owned).collect();
    Scenario { name: "cash", template, command, orders: 2, receipts: 2, port: None }
}

/// A refund of a sale.
fn refund(program: &Path, scratch: &Path, worker: usize) -> Scenario {
    let template = scratch.join(format!("refund-template-{worker}"));
    fieldkit_tests::stall(program, &template);
    let sale = ["sell", "--line", "MUG=2", "--tender", "cash=50.00", "--json", "--idempotency-key", "before"];
    succeed(&run(program, &template, &sale, &[]));
    let command =
        ["refund", "--order", "1", "--line", "1=1", "--reason", "chipped", "--json", "--idempotency-key", "crash-key"];
    Scenario {
        name: "refund",
        template,
        command: command.map(str::to_owned).to_vec(),
        orders: 1,
        receipts: 2,
        port: None,
    }
}

fn campaign(
    program: &Path,
    scratch: &Path,
    scenarios: &[Scenario; WORKERS],
    [share, every]: [usize; 2],
    tally: &Tally,
) {
    let all = points(program, scratch, &scenarios[0], share);
    let points: Vec<Point> = all.into_iter().step_by(every.max(1)).collect();
    eprintln!("{}: {} points", scenarios[0].name, points.len());
    let next = AtomicUsize::new(0);
    let out = Mutex::new(());
    std::thread::scope(|threads| {
        for (worker, scenario) in scenarios.iter().enumerate() {
            let (next, out, points) = (&next, &out, &points);
            threads.spawn(move || {
                let dir = scratch.join(format!("{}-{worker}", scenario.name));
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(point) = points.get(at) else { return };
                    let second = (at % DOUBLE_EVERY == 0).then(|| &points[(at * 7 + 3) % points.len()]);
                    if let Err(text) = one(program, &dir, scenario, point, second, tally) {
                        let _guard = out.lock();
                        eprintln!("{}: {point:?} then {second:?}: {text}", scenario.name);
                    }
                }
            });
        }
    });
}

/// All points of a scenario: what a run without a kill passes through.
fn points(program: &Path, scratch: &Path, scenario: &Scenario, share: usize) -> Vec<Point> {
    let dir = scratch.join(format!("{}-count", scenario.name));
    let mut points = Vec::new();
    for name in fieldkit_sqlite::failpoint::NAMES {
        for hit in 1..=HITS_MAX {
            fresh(&scenario.template, &dir);
            let point = Point::Failpoint { name: (*name).to_owned(), hit };
            let died = match scenario.port {
                Some(port) => cards::dies(program, &dir, scenario, port, &point),
                None => killed(program, &dir, &scenario.command, &point).status.code().is_none(),
            };
            if !died {
                break;
            }
            points.push(point);
        }
    }
    let trace = scratch.join("trace");
    let calls: Vec<&str> = CALLS.iter().chain(scenario.port.map_or(&[][..], |_| cards::CALLS)).copied().collect();
    let text = match scenario.port {
        Some(port) => cards::trace(program, &dir, scenario, port, &calls.join(","), &trace),
        None => traced(program, &dir, scenario, &calls.join(","), &trace),
    };
    for name in calls {
        let start = format!("{name}(");
        let hits =
            text.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|call| call.starts_with(&start)));
        let hits = hits.count();
        assert!(hits < HITS_MAX, "{name} is called {hits} times in one command");
        points.extend((1..=hits).filter(|hit| hit % share == 0 || *hit == 1).map(|hit| Point::Call { name, hit }));
    }
    points
}

/// Traces one whole run and gives the text of the trace.
fn traced(program: &Path, dir: &Path, scenario: &Scenario, calls: &str, to: &Path) -> String {
    fresh(&scenario.template, dir);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"]).arg(to);
    command.arg(program).arg("--data").arg(dir).args(&scenario.command);
    let counted = command.output().unwrap_or_else(|error| panic!("strace cannot be run: {error}"));
    assert!(counted.status.success(), "a run under strace without a kill fails: {counted:?}");
    std::fs::read_to_string(to).unwrap_or_default()
}

/// Kills once, maybe kills the recovery, repeats the command with its key, and checks.
fn one(
    program: &Path,
    dir: &Path,
    scenario: &Scenario,
    point: &Point,
    second: Option<&Point>,
    tally: &Tally,
) -> Result<(), String> {
    tally.points.fetch_add(1, Ordering::Relaxed);
    if second.is_some() {
        tally.double.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(port) = scenario.port {
        let points: Vec<&Point> = [Some(point), second].into_iter().flatten().collect();
        return cards::one(program, dir, scenario, port, &points, tally);
    }
    fresh(&scenario.template, dir);
    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    for point in [Some(point), second].into_iter().flatten() {
        let output = killed(program, dir, &scenario.command, point);
        acknowledged.extend(order_id(&output));
    }
    let unexplained = |text: String| {
        tally.unexplained.fetch_add(1, Ordering::Relaxed);
        Err(text)
    };
    let repeated = run(program, dir, &scenario.command, &[]);
    let Some(id) = order_id(&repeated).filter(|_| repeated.status.success()) else {
        return unexplained(format!("the command fails after the kill: {}", text_of(&repeated)));
    };
    if acknowledged.iter().any(|known| *known != id) {
        tally.lost.fetch_add(1, Ordering::Relaxed);
        return Err(format!("acknowledged {acknowledged:?}, but the same key now gives {id}"));
    }
    check(program, dir, scenario, tally)
}

fn check(program: &Path, dir: &Path, scenario: &Scenario, tally: &Tally) -> Result<(), String> {
    let unexplained = |text: String| {
        tally.unexplained.fetch_add(1, Ordering::Relaxed);
        Err(text)
    };
    let output = run(program, dir, &["orders", "--json"], &[]);
    let Ok(Value::Array(orders)) = serde_json::from_slice::<Value>(&output.stdout) else {
        return unexplained(format!("orders cannot be listed: {}", text_of(&output)));
    };
    let refunds = orders.iter().flat_map(|order| order["refunds"].as_array().into_iter().flatten());
    let mut receipts: Vec<u64> = orders.iter().filter_map(|order| order["receipt"].as_u64()).collect();
    receipts.extend(refunds.filter_map(|refund| refund["receipt"].as_u64()));
    receipts.sort_unstable();
    let expected: Vec<u64> = (1..=scenario.receipts).collect();
    if orders.len() > scenario.orders || receipts.len() > expected.len() {
        tally.doubled.fetch_add(1, Ordering::Relaxed);
        return Err(format!("{} orders with receipts {receipts:?}", orders.len()));
    }
    if orders.len() < scenario.orders || receipts.len() < expected.len() {
        tally.lost.fetch_add(1, Ordering::Relaxed);
        return Err(format!("{} orders with receipts {receipts:?}", orders.len()));
    }
    if receipts != expected {
        return unexplained(format!("receipts {receipts:?}, not {expected:?}"));
    }
    let verified = run(program, dir, &["verify", "--json"], &[]);
    if !verified.status.success() {
        return unexplained(format!("verify: {}", text_of(&verified)));
    }
    Ok(())
}

fn killed(program: &Path, dir: &Path, command: &[String], point: &Point) -> Output {
    match point {
        Point::Failpoint { name, hit } => {
            run(program, dir, command, &[("FIELDKIT_FAILPOINT", &format!("{name}:{hit}"))])
        }
        Point::Call { name, hit } => {
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e"]);
            strace.arg(format!("inject={name}:signal=KILL:when={hit}"));
            strace.arg(program).arg("--data").arg(dir).args(command);
            strace.output().unwrap_or_else(|error| panic!("strace cannot be run: {error}"))
        }
    }
}

fn run(program: &Path, dir: &Path, command: &[impl AsRef<std::ffi::OsStr>], env: &[(&str, &str)]) -> Output {
    let mut process = Command::new(program);
    // What the program remembers of its kits stays apart from this user's own.
    process.env("XDG_STATE_HOME", dir.parent().unwrap_or(dir));
    process.arg("--data").arg(dir).args(command).envs(env.iter().copied());
    process.output().unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()))
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "the scenario cannot be set up: {}", text_of(output));
}

/// The id of the order that a run acknowledged.
fn order_id(output: &Output) -> Option<String> {
    let document: Value = serde_json::from_slice(&output.stdout).ok()?;
    document["order_id"].as_str().map(str::to_owned)
}

fn text_of(output: &Output) -> String {
    format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// A copy of the template in place of `dir`.
fn fresh(template: &Path, dir: &Path) {
    let removed = std::fs::remove_dir_all(dir);
    if let Err(error) = removed {
        assert!(error.kind() == std::io::ErrorKind::NotFound, "{}: {error}", dir.display());
    }
    copy(template, dir);
}

fn copy(from: &Path, to: &Path) {
    let result = std::fs::create_dir_all(to).and_then(|()| {
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                copy(&entry.path(), &to.join(entry.file_name()));
            } else if kind.is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        // A full disk must not look like a passed point.
        let _ = std::io::stderr().write_all(b"cannot copy the template\n");
        panic!("{}: {error}", to.display());
    }
}
