//! The yardstick: what plain SQLite with group commit does with the same sales, and nothing else.
//!
//! Promises: WAL, `synchronous=FULL`, one writer that commits whatever waits; per sale a receipt number, an order, three
//! lines and three stock cells. No chain, no signature, no second copy, no rules: the limit that the product is held to.

use crate::{Sale, price, round, summary};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

/// Most sales of one commit.
const GROUP_MAX: usize = 512;

type Job = (usize, Sale, SyncSender<u64>);

/// Sells from `tills` threads for `secs` seconds.
pub fn run(dir: &Path, tills: usize, secs: f64) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    }
    std::fs::create_dir_all(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let connection = open(dir).unwrap_or_else(|error| panic!("{error}"));
    let (stop, groups) = (AtomicBool::new(false), AtomicU64::new(0));
    let orders: Vec<Vec<Sale>> = (0..tills).map(|till| crate::sales(till + 1, 20_000)).collect();
    let (jobs, waiting) = channel::<Job>();
    let begun = Instant::now();
    let latencies: Vec<f64> = std::thread::scope(|threads| {
        let groups = &groups;
        threads.spawn(move || write(&connection, &waiting, groups).unwrap_or_else(|error| panic!("{error}")));
        let sell = |(till, orders): (usize, Vec<Sale>)| {
            let (jobs, stop) = (jobs.clone(), &stop);
            threads.spawn(move || {
                let mut latencies = Vec::new();
                for order in orders {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    let (reply, receipt) = sync_channel(1);
                    let sold = jobs.send((till, order, reply)).is_ok() && receipt.recv().is_ok();
                    assert!(sold, "the writer ended");
                    latencies.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                latencies
            })
        };
        let sellers: Vec<_> = orders.into_iter().enumerate().map(sell).collect();
        drop(jobs);
        std::thread::park_timeout(Duration::from_secs_f64(secs));
        stop.store(true, Ordering::Relaxed);
        sellers.into_iter().flat_map(|seller| seller.join().unwrap_or_default()).collect()
    });
    let batch = latencies.len() as f64 / groups.load(Ordering::Relaxed).max(1) as f64;
    summary("plain SQLite, group commit", tills, begun.elapsed().as_secs_f64(), latencies, round(batch));
}

fn open(dir: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(dir.join("raw.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE receipts(till INTEGER PRIMARY KEY, n INTEGER);
         CREATE TABLE orders(id INTEGER PRIMARY KEY, till INTEGER, receipt INTEGER, amount INTEGER);
         CREATE TABLE lines(id INTEGER PRIMARY KEY, sku INTEGER, quantity INTEGER, price INTEGER);
         CREATE TABLE stock(sku INTEGER PRIMARY KEY, sold INTEGER);",
    )?;
    Ok(connection)
}

fn write(connection: &Connection, waiting: &Receiver<Job>, groups: &AtomicU64) -> rusqlite::Result<()> {
    let mut id = 0;
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            let Ok(job) = waiting.try_recv() else { break };
            group.push(job);
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (till, sale, _) in &group {
            id += 1;
            sell(connection, id, *till, sale)?;
        }
        connection.execute_batch("COMMIT")?;
        groups.fetch_add(1, Ordering::Relaxed);
        for (_, _, reply) in group {
            // The till may have stopped.
            let _ = reply.send(id as u64);
        }
    }
    Ok(())
}

fn sell(connection: &Connection, id: i64, till: usize, sale: &Sale) -> rusqlite::Result<()> {
    let receipt: i64 = connection
        .prepare_cached("INSERT INTO receipts VALUES (?, 1) ON CONFLICT (till) DO UPDATE SET n = n + 1 RETURNING n")?
        .query_row([till as i64], |row| row.get(0))?;
    let amount: i64 = sale.lines.iter().map(|(sku, quantity)| price(*sku) * quantity).sum();
    connection.prepare_cached("INSERT INTO orders VALUES (?, ?, ?, ?)")?.execute(params![
        id,
        till as i64,
        receipt,
        amount
    ])?;
    for (at, (sku, quantity)) in sale.lines.iter().enumerate() {
        connection.prepare_cached("INSERT INTO lines VALUES (?, ?, ?, ?)")?.execute(params![
            id * 4 + at as i64,
            *sku as i64,
            quantity,
            price(*sku)
        ])?;
        connection
            .prepare_cached(
                "INSERT INTO stock VALUES (?, ?) ON CONFLICT (sku) DO UPDATE SET sold = sold + excluded.sold",
            )?
            .execute(params![*sku as i64, quantity])?;
    }
    Ok(())
}
