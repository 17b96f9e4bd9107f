//! The crash campaign of card payments: the daemon is killed at every step while a terminal charges or reverses.
//!
//! Each point has its own terminal (`fieldkit simulate terminal`, alive all the time) and its own copy of a stall. After
//! the kill, or two, the daemon is started again, the command is repeated with its own key and finished as a crew would;
//! then the terminal's journal and the ledger must agree payment by payment, and nothing may be in doubt.

use crate::{Point, Scenario, Tally, fresh, run, text_of};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// System calls at which a daemon that works a terminal is killed, beside those of the journal.
pub const CALLS: &[&str] = &["sendto", "recvfrom", "writev", "write"];
/// A daemon that lives longer than this is killed: it hangs.
const DAEMON_SECONDS_MAX: &str = "60";
/// How long a payment may take to reach an end.
const PAYMENT_SECONDS_MAX: u64 = 30;
/// Between two looks at a payment.
const LOOK_MS: u64 = 20;
/// Tries of a crew to bring a payment or a reversal to its end.
const TRIES_MAX: usize = 4;

/// A card terminal at work.
struct Terminal {
    process: Child,
    journal: PathBuf,
}

impl Terminal {
    fn start(program: &Path, dir: &Path, port: u16) -> Terminal {
        let journal = dir.join("terminal.ndjson");
        let mut command = Command::new(program);
        command.args(["simulate", "terminal", "--buyer-ms", "5", "--tcp", &format!("127.0.0.1:{port}"), "--journal"]);
        command.arg(&journal).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("no terminal: {error}"));
        let mut line = String::new();
        let out = process.stdout.take().unwrap_or_else(|| panic!("the terminal has a stdout"));
        BufReader::new(out).read_line(&mut line).unwrap_or_else(|error| panic!("no terminal: {error}"));
        assert!(line.starts_with("READY"), "the terminal did not start: {line:?}");
        Terminal { process, journal }
    }

    /// Receipt, trace and amount of every charge that stands.
    fn charges(&self) -> Vec<(u64, u64, i64)> {
        let text = std::fs::read_to_string(&self.journal).unwrap_or_default();
        let mut standing = Vec::new();
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |name: &str| entry[name].as_u64().unwrap_or(0);
            let key = (number("receipt"), number("trace"), entry["amount"].as_i64().unwrap_or(0));
            match entry["event"].as_str() {
                Some("committed" | "foreign") => standing.push(key),
                Some("reversed" | "auto_reversed") => standing.retain(|known| (known.0, known.1) != (key.0, key.1)),
                _ => {}
            }
        }
        standing
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A daemon, maybe with a point at which it dies.
struct Daemon {
    process: Child,
    alive: bool,
}

impl Daemon {
    fn start(program: &Path, dir: &Path, url: &str, point: Option<&Point>) -> Daemon {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", DAEMON_SECONDS_MAX]);
        match point {
            Some(Point::Failpoint { name, hit }) => {
                command.env("FIELDKIT_FAILPOINT", format!("{name}:{hit}"));
            }
            Some(Point::Call { name, hit }) => {
                command.args(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e"]);
                command.arg(format!("inject={name}:signal=KILL:when={hit}"));
            }
            None => {}
        }
        command.arg(program).arg("--data").arg(dir).args(arguments(url));
        Daemon::spawn(command, dir)
    }

    fn spawn(mut command: Command, dir: &Path) -> Daemon {
        command.env("XDG_STATE_HOME", dir.parent().unwrap_or(dir));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("no daemon: {error}"));
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            // A daemon that is killed before it is ready says nothing.
            let _ = BufReader::new(out).read_line(&mut line);
        }
        Daemon { process, alive: line.starts_with("READY") }
    }

    fn lives(&mut self) -> bool {
        self.alive = self.alive && matches!(self.process.try_wait(), Ok(None));
        self.alive
    }

    /// Ends it in order, where it still lives.
    fn stop(mut self, dir: &Path) {
        if self.lives() {
            let holder = std::fs::read_to_string(dir.join("lock")).unwrap_or_default();
            let pid: String = holder.chars().take_while(char::is_ascii_digit).collect();
            // It may die at this very moment.
            let _ = Command::new("kill").arg(&pid).stderr(Stdio::null()).status();
        }
        let _ = self.process.wait();
    }
}

fn arguments(url: &str) -> [String; 6] {
    ["up", "--api-only", "--listen", "127.0.0.1:0", "--device", &format!("terminal={url}")].map(str::to_owned)
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no port: {error}"));
    listener.local_addr().map_or(0, |address| address.port())
}

/// A stall that took one card at the terminal behind `port`; the command that is killed sells again, or voids.
pub fn scenario(program: &Path, scratch: &Path, name: &'static str, port: u16) -> Scenario {
    let template = scratch.join(format!("{name}-template-{port}"));
    fieldkit_tests::stall(program, &template);
    let url = url(port);
    let terminal = Terminal::start(program, &template, port);
    let mut daemon = Daemon::start(program, &template, &url, None);
    assert!(daemon.lives(), "the daemon does not start");
    let sale = ["sell", "--line", "MUG=1", "--tender", "card", "--json", "--idempotency-key"];
    let first = run(program, &template, &[&sale[..], &["before"]].concat(), &[]);
    let first = crate::order_id(&first).unwrap_or_else(|| panic!("no first sale: {}", text_of(&first)));
    settle(program, &template, &mut daemon).unwrap_or_else(|text| panic!("the first sale does not end: {text}"));
    daemon.stop(&template);
    drop(terminal);
    let void = ["refund", "--order", &first, "--void", "--reason", "mistyped", "--json", "--idempotency-key"];
    let command = if name == "card" { &sale[..] } else { &void[..] };
    let command = [command, &["crash-key"]].concat().into_iter().map(str::to_owned).collect();
    let orders = if name == "card" { 2 } else { 1 };
    Scenario { name, template, command, orders, receipts: 2, port: Some(port) }
}

fn url(port: u16) -> String {
    format!("zvt+tcp://127.0.0.1:{port}")
}

/// Traces one whole run and gives the text of the trace.
pub fn trace(program: &Path, dir: &Path, scenario: &Scenario, port: u16, calls: &str, to: &Path) -> String {
    fresh(&scenario.template, dir);
    let terminal = Terminal::start(program, dir, port);
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", DAEMON_SECONDS_MAX, "strace", "-f", "-qq", "-e", &format!("trace={calls}"), "-o"]);
    command.arg(to).arg(program).arg("--data").arg(dir).args(arguments(&url(port)));
    let mut daemon = Daemon::spawn(command, dir);
    let given = run(program, dir, &scenario.command, &[]);
    assert!(given.status.success(), "a run without a kill fails: {}", text_of(&given));
    settle(program, dir, &mut daemon).unwrap_or_else(|text| panic!("a run without a kill does not end: {text}"));
    daemon.stop(dir);
    drop(terminal);
    std::fs::read_to_string(to).unwrap_or_default()
}

/// Whether a failpoint is reached: the daemon dies of it.
pub fn dies(program: &Path, dir: &Path, scenario: &Scenario, port: u16, point: &Point) -> bool {
    fresh(&scenario.template, dir);
    let _terminal = Terminal::start(program, dir, port);
    under(program, dir, scenario, &url(port), point)
}

/// Runs the scenario under a point; whether the daemon died.
fn under(program: &Path, dir: &Path, scenario: &Scenario, url: &str, point: &Point) -> bool {
    let mut daemon = Daemon::start(program, dir, url, Some(point));
    if daemon.lives() {
        run(program, dir, &scenario.command, &[]);
        // A daemon that dies leaves the payment where it is.
        let _ = settle(program, dir, &mut daemon);
    }
    // One that lives may meet the point on its way out; either way it has ended then.
    let died = !daemon.lives();
    daemon.stop(dir);
    died
}

/// Waits until no payment is under way.
fn settle(program: &Path, dir: &Path, daemon: &mut Daemon) -> Result<Vec<Value>, String> {
    let begun = Instant::now();
    loop {
        let output = run(program, dir, &["orders", "--json"], &[]);
        if !daemon.lives() {
            return Err("the daemon ended".to_owned());
        }
        if let Ok(Value::Array(orders)) = serde_json::from_slice::<Value>(&output.stdout) {
            let payments = orders.iter().flat_map(|order| order["payments"].as_array().into_iter().flatten());
            let open = ["intended", "sent", "unknown", "approved", "reversing", "reversal_unknown", "mismatched"];
            let state = |payment: &Value| payment["state"].as_str().unwrap_or_default().to_owned();
            let under_way: Vec<String> = payments.map(state).filter(|state| open.contains(&state.as_str())).collect();
            if under_way.is_empty() {
                return Ok(orders);
            }
            if begun.elapsed() > Duration::from_secs(PAYMENT_SECONDS_MAX) {
                return Err(format!("payments are still {under_way:?}"));
            }
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
}

/// Kills once or twice, brings the day to its end, and compares both journals.
pub fn one(
    program: &Path,
    dir: &Path,
    scenario: &Scenario,
    port: u16,
    points: &[&Point],
    tally: &Tally,
) -> Result<(), String> {
    fresh(&scenario.template, dir);
    let terminal = Terminal::start(program, dir, port);
    for point in points {
        under(program, dir, scenario, &url(port), point);
    }
    let unexplained = |text: String| {
        tally.unexplained.fetch_add(1, Ordering::Relaxed);
        text
    };
    let mut daemon = Daemon::start(program, dir, &url(port), None);
    let finished = finish(program, dir, scenario, &mut daemon).map_err(unexplained);
    daemon.stop(dir);
    let orders = finished?;
    agree(&orders, scenario, &terminal.charges(), tally)?;
    let verified = run(program, dir, &["verify", "--json"], &[]);
    if verified.status.success() { Ok(()) } else { Err(unexplained(format!("verify: {}", text_of(&verified)))) }
}

/// What a crew does after a kill: the same again, and what is left open once more.
fn finish(program: &Path, dir: &Path, scenario: &Scenario, daemon: &mut Daemon) -> Result<Vec<Value>, String> {
    let repeated = run(program, dir, &scenario.command, &[]);
    if crate::order_id(&repeated).is_none() {
        return Err(format!("the command fails after the kill: {}", text_of(&repeated)));
    }
    let mut orders = settle(program, dir, daemon)?;
    for attempt in 0..TRIES_MAX {
        let wanted = if scenario.name == "card" { "paid" } else { "voided" };
        let open = orders.iter().find(|order| order["state"] != wanted && order["state"] != "cancelled");
        let Some(open) = open.filter(|order| order["state"] != "paid" || scenario.name != "card") else {
            return Ok(orders);
        };
        let id = open["order_id"].as_str().unwrap_or_default().to_owned();
        let key = format!("again-{attempt}");
        let again = match scenario.name {
            "card" => vec!["payments", "begin", &id, "--idempotency-key", &key, "--json"],
            _ => vec!["refund", "--order", &id, "--void", "--reason", "again", "--idempotency-key", &key, "--json"],
        };
        let output = run(program, dir, &again, &[]);
        if crate::order_id(&output).is_none() {
            return Err(format!("{again:?}: {}", text_of(&output)));
        }
        orders = settle(program, dir, daemon)?;
    }
    Err(format!("{TRIES_MAX} tries did not end it"))
}

/// Whether terminal and ledger tell the same.
fn agree(orders: &[Value], scenario: &Scenario, charges: &[(u64, u64, i64)], tally: &Tally) -> Result<(), String> {
    let payments = orders.iter().flat_map(|order| order["payments"].as_array().into_iter().flatten());
    let number = |payment: &Value, name: &str| payment[name].as_u64().unwrap_or(0);
    let taken = payments.filter(|payment| payment["state"] == "captured");
    let mut taken: Vec<(u64, u64, i64)> = taken
        .map(|payment| {
            let amount = payment["amount"]["minor"].as_i64().unwrap_or(0);
            (number(payment, "terminal_receipt"), number(payment, "trace"), amount)
        })
        .collect();
    let mut charges = charges.to_vec();
    taken.sort_unstable();
    charges.sort_unstable();
    let expected = if scenario.name == "card" { 2 } else { 0 };
    let told = format!("the terminal took {charges:?}, the ledger {taken:?}");
    if charges.len() > expected || charges.len() > taken.len() {
        tally.doubled.fetch_add(1, Ordering::Relaxed);
        return Err(told);
    }
    if charges.len() < expected || taken.len() > charges.len() || orders.len() != scenario.orders {
        tally.lost.fetch_add(1, Ordering::Relaxed);
        return Err(format!("{told}, {} orders", orders.len()));
    }
    let refunds = orders.iter().flat_map(|order| order["refunds"].as_array().into_iter().flatten());
    let mut receipts: Vec<u64> = orders.iter().filter_map(|order| order["receipt"].as_u64()).collect();
    receipts.extend(refunds.filter_map(|refund| refund["receipt"].as_u64()));
    receipts.sort_unstable();
    if charges != taken || receipts != (1..=scenario.receipts).collect::<Vec<u64>>() {
        tally.unexplained.fetch_add(1, Ordering::Relaxed);
        return Err(format!("{told}, receipts {receipts:?}"));
    }
    Ok(())
}
