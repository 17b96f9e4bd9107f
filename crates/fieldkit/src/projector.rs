//! The projector: one thread that writes state and views after each turn, and answers questions about the past.
//!
//! Promises: first in, first out, so that a question sees every turn that was handed over before it; waiting turns are
//! written together. What it writes is derived: a failure here is reported and leads to a rebuild, never to a lost sale.

use fieldkit_core::id::OpId;
use fieldkit_core::op::Key;
use fieldkit_core::order::Order;
use fieldkit_sqlite::state::{Projection, StateReader, StateWriter};
use fieldkit_sqlite::views::{Views, ViewRows};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Most jobs that wait.
pub const JOBS_MAX: usize = 64;

/// Rows to write.
#[derive(Default)]
pub struct Rows {
    /// The newest turn in here.
    pub turn: u64,
    /// The journal row up to which this goes.
    pub row: u64,
    /// Orders by id, newest form.
    pub orders: BTreeMap<OpId, Order>,
    /// Command keys.
    pub commands: Vec<(Key, [u8; 16], OpId)>,
    /// Rows of the public tables that are not orders.
    pub views: ViewRows,
    /// The ledger's bytes, now and then.
    pub snapshot: Option<Vec<u8>>,
}

impl Rows {
    /// Adds later rows.
    pub fn merge(&mut self, later: Rows) {
        self.turn = later.turn;
        self.row = later.row;
        self.orders.extend(later.orders);
        self.commands.extend(later.commands);
        self.views.merge(later.views);
        self.snapshot = later.snapshot.or(self.snapshot.take());
    }
}

/// What the projector can be asked to do.
pub enum Job {
    /// Write rows.
    Write(Box<Rows>),
    /// Answer a question.
    Ask(Box<dyn FnOnce(&mut Past) + Send>),
}

/// Everything finished, for questions.
pub struct Past {
    /// Finished aggregates.
    pub state: StateReader,
    /// Public tables.
    pub views: Views,
}

/// The handle of the thread.
pub struct Projector {
    /// Jobs go here.
    pub jobs: SyncSender<Job>,
    /// The newest turn that state and views hold.
    pub projected: Arc<AtomicU64>,
    /// Set once state or views could not be written.
    pub failed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Projector {
    /// Starts the thread.
    pub fn start(writer: StateWriter, past: Past) -> std::io::Result<Self> {
        let (jobs, receiver) = sync_channel(JOBS_MAX);
        let projected = Arc::new(AtomicU64::new(0));
        let failed = Arc::new(AtomicBool::new(false));
        let worker = Worker { writer, past, projected: projected.clone(), failed: failed.clone() };
        let thread = std::thread::Builder::new().name("projector".into()).spawn(move || worker.run(&receiver))?;
        Ok(Projector { jobs, projected, failed, thread })
    }

    /// Writes what waits and ends.
    pub fn stop(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the projector ended badly; state and views are rebuilt at the next start");
        }
    }
}

struct Worker {
    writer: StateWriter,
    past: Past,
    projected: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let mut waiting: Option<Box<Rows>> = None;
            let mut next = Some(job);
            while let Some(job) = next.take() {
                match job {
                    Job::Write(rows) => match &mut waiting {
                        Some(known) => known.merge(*rows),
                        None => waiting = Some(rows),
                    },
                    Job::Ask(ask) => {
                        if let Some(rows) = waiting.take() {
                            self.write(*rows);
                        }
                        ask(&mut self.past);
                    }
                }
                next = jobs.try_recv().ok();
            }
            if let Some(rows) = waiting.take() {
                self.write(*rows);
            }
        }
    }

    fn write(&mut self, rows: Rows) {
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        let orders: Vec<Order> = rows.orders.into_values().collect();
        let projection = Projection {
            row: rows.row,
            orders: &orders,
            commands: &rows.commands,
            snapshot: rows.snapshot.as_deref(),
        };
        let written = self.writer.put(&projection).and_then(|()| self.past.views.put(rows.row, &orders, &rows.views));
        match written {
            Ok(()) => self.projected.store(rows.turn, Ordering::Release),
            Err(error) => {
                tracing::error!("state or views cannot be written: {error}; sales go on, lists may be old");
                self.failed.store(true, Ordering::Release);
            }
        }
    }
}
