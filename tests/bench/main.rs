//! The bench executable: the product's own crates under the workloads of the comparison harness.
//!
//! `build KIT N DIR` makes an offline replica with the first N orders; `w1 DIR TILLS SECS` sells from N tills in a
//! closed loop through the product's command path. Orders come from `$ORDERS/KIT.jsonl` where that is set, else from a
//! seeded generator of the same shape (3 lines, Zipf-like SKUs). Each ends with one JSON line.
//! `raw DIR TILLS SECS` is the yardstick of `w1` (see `raw.rs`); `million DIR N` builds N orders and then measures the start: open to first sale, and resident memory.

#![expect(clippy::float_arithmetic, reason = "figures for people; no money is counted here")]

mod raw;

use fieldkit::kit::{Running, Settings, Stall};
use fieldkit_core::body::{Limit, Source};
use fieldkit_core::decide::{Command, ImportRow, LineRequest, OrderRequest, TenderRequest};
use fieldkit_core::id::Hash;
use fieldkit_core::op::{CommandKey, Key};
use fieldkit_core::order::Discount;
use fieldkit_http::desk::{Ask, Desk, Given};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Kinds of goods.
const SKUS: usize = 500;
/// Orders handed over at once while building.
const BUILD_WINDOW: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["build", kit, n, dir] => build(number(kit), number(n), Path::new(dir)),
        ["w1", dir, tills, secs] => w1(Path::new(dir), number(tills), secs.parse().unwrap_or(3.0)),
        ["raw", dir, tills, secs] => raw::run(Path::new(dir), number(tills), secs.parse().unwrap_or(3.0)),
        ["million", dir, n] => million(Path::new(dir), number(n)),
        _ => {
            eprintln!("usage: fieldkit-bench build KIT N DIR | w1 DIR TILLS SECS | raw DIR TILLS SECS | million DIR N");
            std::process::exit(2);
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// One order of the workload.
struct Sale {
    lines: Vec<(usize, i64)>,
    till: String,
}

fn sales(kit: usize, count: usize) -> Vec<Sale> {
    let file = std::env::var_os("ORDERS").map(|dir| PathBuf::from(dir).join(format!("{kit}.jsonl")));
    let text = file.and_then(|path| std::fs::read_to_string(path).ok());
    let Some(text) = text else { return generated(kit, count) };
    let read = |line: &str| -> Sale {
        let order: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let line = |line: &Value| {
            let sku = line["sku"].as_str().unwrap_or_default().trim_start_matches('S').parse().unwrap_or(0);
            (sku, line["qty"].as_i64().unwrap_or(1))
        };
        let lines = order["lines"].as_array().into_iter().flatten().map(line).collect();
        Sale { lines, till: order["till"].to_string() }
    };
    text.lines().take(count).map(read).collect()
}

fn generated(kit: usize, count: usize) -> Vec<Sale> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(kit as u64 + 1);
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut sale = || {
        let sku = |random: u64| ((SKUS as u64 * (random % 1000) * (random % 1000)) / 1_000_000) as usize % SKUS;
        let lines = (0..3).map(|_| (sku(next()), 1 + (next() % 10 / 7) as i64)).collect();
        Sale { lines, till: (next() % 4).to_string() }
    };
    (0..count).map(|_| sale()).collect()
}

fn price(sku: usize) -> i64 {
    (10 + (sku as i64 * 7919) % 400) * 25
}

/// A fresh stall with the workload's goods.
fn stall(dir: &Path) -> Running {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    }
    let settings = Settings::at(dir);
    Stall::bench().found(&settings).unwrap_or_else(|error| panic!("{error:#}"));
    let running = Running::start(&settings).unwrap_or_else(|error| panic!("{error:#}"));
    let row = |sku: usize| ImportRow {
        sku: format!("S{sku:03}"),
        edits: vec![
            fieldkit_core::body::Edit::Name(format!("Article {sku}")),
            fieldkit_core::body::Edit::Price(price(sku)),
            fieldkit_core::body::Edit::Limit(Limit::Soft),
        ],
        count: Some(1_000_000),
        mark: [sku as u8; 16],
    };
    let command = Command::Import {
        file: "bench".into(),
        rows: (0..SKUS).map(row).collect(),
        rejected: vec![],
        warnings: vec![],
    };
    give(&running.desk, command, 0, 0);
    running
}

fn command(sale: &Sale) -> Command {
    let line = |(sku, quantity): &(usize, i64)| LineRequest {
        sku: format!("S{sku:03}"),
        quantity: *quantity,
        price: None,
        discount: Discount::None,
        discount_reason: String::new(),
    };
    let total: i64 = sale.lines.iter().map(|(sku, quantity)| price(*sku) * quantity).sum();
    let none = String::new;
    Command::PlaceOrder(OrderRequest {
        lines: sale.lines.iter().map(line).collect(),
        discount: Discount::None,
        discount_reason: String::new(),
        tenders: vec![TenderRequest::Cash { minor: total, currency: "EUR".into() }],
        expected_total: None,
        source: Source { till: sale.till.clone(), campaign: none(), session: none(), variant: none() },
        cart_opened_ms: None,
    })
}

/// A key as our own pages make them: a client and a counter.
fn key(client: u32, counter: u64) -> CommandKey {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&client.to_be_bytes());
    bytes.push(0);
    fieldkit_core::codec::put_varint(&mut bytes, counter);
    let fingerprint = Hash::of(&bytes).half();
    CommandKey { key: Key::new(&bytes).unwrap_or_else(|| panic!("a key of {} bytes", bytes.len())), fingerprint }
}

fn hand_over(desk: &Desk, command: Command, client: u32, counter: u64) -> oneshot::Receiver<Given> {
    let (reply, answer) = oneshot::channel();
    let ask = Ask::Give { command, event: None, key: key(client, counter), reply };
    assert!(desk.ask(ask).is_ok(), "the desk is full or closed");
    answer
}

fn give(desk: &Desk, command: Command, client: u32, counter: u64) {
    let given = hand_over(desk, command, client, counter).blocking_recv();
    let given = given.unwrap_or_else(|_| panic!("the loop ended"));
    if let Err(failure) = given.result {
        panic!("refused: {failure:?}");
    }
}

fn fill(desk: &Desk, sales: &[Sale], first: u64) {
    let mut waiting = std::collections::VecDeque::new();
    for (at, sale) in sales.iter().enumerate() {
        waiting.push_back(hand_over(desk, command(sale), 9, first + at as u64 + 1));
        if waiting.len() >= BUILD_WINDOW {
            take(waiting.pop_front());
        }
    }
    while !waiting.is_empty() {
        take(waiting.pop_front());
    }
}

fn take(answer: Option<oneshot::Receiver<Given>>) {
    let given = answer.map(oneshot::Receiver::blocking_recv);
    assert!(matches!(&given, Some(Ok(given)) if given.result.is_ok()), "a sale was refused: {given:?}");
}

fn build(kit: usize, count: usize, dir: &Path) {
    let begun = Instant::now();
    let running = stall(dir);
    fill(&running.desk, &sales(kit, count), 0);
    running.stop();
    println!(
        "{}",
        json!({"role": "build", "wall_s": begun.elapsed().as_secs_f64(), "orders": count, "disk": disk(dir)})
    );
}

fn w1(dir: &Path, tills: usize, secs: f64) {
    let running = stall(dir);
    let stop = AtomicBool::new(false);
    let orders: Vec<Vec<Command>> =
        (0..tills).map(|till| sales(till + 1, 20_000).iter().map(command).collect()).collect();
    let groups = running.groups();
    let begun = Instant::now();
    let latencies: Vec<f64> = std::thread::scope(|threads| {
        let sell = |(till, orders): (usize, Vec<Command>)| {
            let (desk, stop) = (running.desk.clone(), &stop);
            threads.spawn(move || {
                let mut latencies = Vec::new();
                for (at, order) in orders.into_iter().enumerate() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    give(&desk, order, till as u32 + 1, at as u64 + 1);
                    latencies.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                latencies
            })
        };
        let tills: Vec<_> = orders.into_iter().enumerate().map(sell).collect();
        std::thread::park_timeout(Duration::from_secs_f64(secs));
        stop.store(true, Ordering::Relaxed);
        tills.into_iter().flat_map(|till| till.join().unwrap_or_default()).collect()
    });
    let wall = begun.elapsed().as_secs_f64();
    let groups = running.groups() - groups;
    running.stop();
    let batch = round(latencies.len() as f64 / groups.max(1) as f64);
    summary(mode(), tills, wall, latencies, batch);
}

/// One line of figures: sales a second, latencies in milliseconds, sales per commit.
fn summary(mode: &str, tills: usize, wall: f64, mut latencies: Vec<f64>, batch: f64) {
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| latencies.get(((latencies.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or(0.0);
    println!(
        "{}",
        json!({"w": "W1", "mode": mode, "tills": tills, "sales_per_s": (latencies.len() as f64 / wall).round(),
               "p50_ms": round(at(0.5)), "p99_ms": round(at(0.99)), "max_ms": round(at(1.0)), "batch": batch})
    );
}

/// The figures say whether the box was on.
fn mode() -> &'static str {
    if std::env::var("FIELDKIT_BLACK_BOX").is_ok_and(|place| place == "off") { "fieldkit, box off" } else { "fieldkit" }
}

fn million(dir: &Path, count: usize) {
    let begun = Instant::now();
    if !dir.join("journal.db").exists() {
        let running = stall(dir);
        let all = sales(1, 100_000.min(count));
        let mut left = count;
        while left > 0 {
            let part = left.min(all.len());
            fill(&running.desk, &all[..part], (count - left) as u64);
            left -= part;
        }
        running.stop();
    }
    let built = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let running = Running::start(&Settings::at(dir)).unwrap_or_else(|error| panic!("{error:#}"));
    let opened = begun.elapsed().as_secs_f64();
    give(&running.desk, command(&generated(7, 1)[0]), 77, u64::from(std::process::id()));
    let first_sale = begun.elapsed().as_secs_f64();
    let resident = fieldkit_tests::resident_kb();
    running.stop();
    println!(
        "{}",
        json!({"role": "million", "orders": count, "build_s": round(built), "open_s": round(opened),
               "first_sale_s": round(first_sale), "resident_kb": resident, "disk": disk(dir)})
    );
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn disk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |found| if found.is_dir() { disk(&entry.path()) } else { found.len() }))
        .sum()
}
