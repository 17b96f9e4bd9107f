//! The projector: one thread that writes state and views after each turn, and answers questions about the past.
//!
//! Promises: first in, first out, so that a question sees every turn that was handed over before it; waiting turns are
//! written together. What it writes is derived: a failure here is reported and leads to a rebuild, never to a lost sale.

use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::ledger::{Anomaly, Ledger};
use fieldkit_core::order::Order;
use fieldkit_engine::{Known, Projection};
use fieldkit_sqlite::StoreError;
use fieldkit_sqlite::state::{self, AnsweredCommand, StateReader, StateWriter};
use fieldkit_sqlite::views::{DrawerRow, EventRow, ItemRow, OrderRow, ViewBatch, ViewsReader, ViewsWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most jobs that wait. Few, because each holds thousands of orders: tills wait rather than memory grows.
pub const JOBS_MAX: usize = 2;

/// How often rows that could not be written are tried again.
const RETRY_MS: u64 = 1_000;
/// Orders that wait before rows are written.
const WAITING_ORDERS_MAX: usize = 2_048;
/// How long a changed row waits before it is written, where nobody asks.
const WAITING_MS_MAX: u64 = 200;

/// Rows to write.
#[derive(Default)]
pub struct Rows {
    /// The newest turn in here.
    pub turn: u64,
    /// The journal row up to which this goes, and the hash of its op.
    pub row: u64,
    /// The hash.
    pub row_hash: Hash,
    /// Orders, newest form, with the row of the op that placed them (or a later one, where that is long ago).
    pub orders: BTreeMap<OpId, (u64, Arc<Order>)>,
    /// Command keys.
    pub commands: Vec<AnsweredCommand>,
    /// Items.
    pub items: BTreeMap<(OpId, String), ItemRow>,
    /// Drawers.
    pub drawers: BTreeMap<(OpId, StreamId), DrawerRow>,
    /// Events.
    pub events: BTreeMap<OpId, EventRow>,
    /// All anomalies there are: settled ones disappear.
    pub anomalies: Vec<Anomaly>,
    /// The ledger's bytes, now and then.
    pub snapshot: Option<Vec<u8>>,
}

/// What turns changed since rows were last made: orders whole, everything else by name.
#[derive(Default)]
pub struct Waiting {
    turn: u64,
    orders: BTreeMap<OpId, (u64, Arc<Order>)>,
    commands: Vec<AnsweredCommand>,
    items: BTreeSet<(OpId, String)>,
    events: BTreeSet<OpId>,
}

impl Waiting {
    /// Nothing but the newest turn that is written already.
    pub fn of_turn(turn: u64) -> Waiting {
        Waiting { turn, ..Waiting::default() }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.commands.is_empty() && self.events.is_empty()
    }

    /// Whether so much waits that it must be handed over, even if tills then wait for the projector.
    pub fn is_full(&self) -> bool {
        self.orders.len() >= WAITING_ORDERS_MAX
    }

    /// Whether it has waited long enough for a projector that has nothing else to do.
    pub fn is_ripe(&self, since: Duration) -> bool {
        !self.is_empty() && since >= Duration::from_millis(WAITING_MS_MAX)
    }

    /// Adds a turn. `placed` has the journal rows of its ops, or what stands for them (`Store::place_of_row`), and `newest`
    /// the newest one; an order of an earlier turn keeps the row it has.
    pub fn add(&mut self, projection: Projection, newest: u64, placed: &BTreeMap<OpId, u64>) {
        self.turn = projection.turn;
        for order in projection.orders {
            let row = placed.get(&order.order_id).copied().unwrap_or(newest);
            let first = self.orders.get(&order.order_id).map_or(row, |known| known.0.min(row));
            self.orders.insert(order.order_id, (first, order));
        }
        let answered = |(key, known): (_, Known)| AnsweredCommand { key, fingerprint: known.fingerprint, op: known.op };
        self.commands.extend(projection.commands.into_iter().map(answered));
        self.items.extend(projection.items);
        self.events.extend(projection.events);
    }

    /// The rows, as the ledger has them now.
    pub fn rows(self, ledger: &Ledger, newest: (u64, Hash)) -> Rows {
        let mut rows = Rows { turn: self.turn, row: newest.0, row_hash: newest.1, ..Rows::default() };
        rows.orders = self.orders;
        rows.commands = self.commands;
        for (id, sku) in self.items {
            let item = ledger.events.get(&id).and_then(|event| ItemRow::of(id, event, &sku));
            rows.items.extend(item.map(|item| ((id, sku), item)));
        }
        for id in self.events {
            let Some(event) = ledger.events.get(&id) else { continue };
            rows.events.insert(id, EventRow::of(id, event));
            let drawers = event.drawers.keys().filter_map(|stream| DrawerRow::of(id, event, *stream));
            rows.drawers.extend(drawers.map(|drawer| ((id, drawer.stream), drawer)));
        }
        rows.anomalies = ledger.anomalies.values().cloned().collect();
        rows
    }
}

impl Rows {
    /// Adds later rows.
    pub fn merge(&mut self, later: Rows) {
        (self.turn, self.row, self.row_hash) = (later.turn, later.row, later.row_hash);
        for (id, (row, order)) in later.orders {
            let first = self.orders.get(&id).map_or(row, |known| known.0.min(row));
            self.orders.insert(id, (first, order));
        }
        self.commands.extend(later.commands);
        self.items.extend(later.items);
        self.drawers.extend(later.drawers);
        self.events.extend(later.events);
        self.anomalies = later.anomalies;
        self.snapshot = later.snapshot.or(self.snapshot.take());
    }

    /// Writes everything: state first, then views.
    pub fn write(&self, state: &mut StateWriter, views: &mut ViewsWriter) -> Result<(), StoreError> {
        let orders: Vec<&Order> = self.orders.values().map(|(_, order)| order.as_ref()).collect();
        state.put(state::Projection {
            row: self.row,
            row_hash: self.row_hash,
            orders: &orders,
            commands: &self.commands,
            snapshot: self.snapshot.as_deref(),
        })?;
        let orders: Vec<OrderRow<'_>> =
            self.orders.values().map(|(row, order)| OrderRow { row: *row, order }).collect();
        views.put(ViewBatch {
            row: self.row,
            row_hash: self.row_hash,
            orders: &orders,
            items: &self.items.values().cloned().collect::<Vec<_>>(),
            drawers: &self.drawers.values().cloned().collect::<Vec<_>>(),
            events: &self.events.values().cloned().collect::<Vec<_>>(),
            anomalies: &self.anomalies,
        })
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
    pub views: ViewsReader,
}

impl Past {
    /// Orders, newest first.
    pub fn orders(&mut self, limit: u32, before: Option<OpId>) -> Result<Vec<Order>, StoreError> {
        let before = before.map_or(Ok(None), |id| self.views.row_of(&id))?;
        let mut orders = Vec::new();
        for (_, id) in self.views.orders(limit, before)? {
            orders.extend(self.state.order(&id)?);
        }
        Ok(orders)
    }

    /// Payments with their orders; `None` where there is no payment to begin before.
    pub fn payments(&mut self, limit: u32, before: Option<&str>) -> Result<Option<Vec<(String, Order)>>, StoreError> {
        let Some(found) = self.views.payments(limit, before)? else { return Ok(None) };
        let mut payments = Vec::new();
        for (order, id) in found {
            payments.extend(self.state.order(&order)?.map(|order| (id, order)));
        }
        Ok(Some(payments))
    }
}

/// The handle of the thread.
pub struct Projector {
    /// Jobs go here.
    pub jobs: SyncSender<Job>,
    /// The newest turn that state and views hold.
    pub projected: Arc<AtomicU64>,
    /// Set while state or views cannot be written.
    pub failed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Projector {
    /// Starts the thread.
    pub fn start(state: StateWriter, views: ViewsWriter, past: Past) -> std::io::Result<Self> {
        let (jobs, receiver) = sync_channel(JOBS_MAX);
        let projected = Arc::new(AtomicU64::new(0));
        let failed = Arc::new(AtomicBool::new(false));
        let worker =
            Worker { state, views, past, projected: projected.clone(), failed: failed.clone(), unwritten: None };
        let thread = std::thread::Builder::new().name("projector".into()).spawn(move || worker.run(&receiver))?;
        Ok(Projector { jobs, projected, failed, thread })
    }

    /// Whether everything up to `turn` is written, or nothing can be: then a job handed over does not wait for long.
    pub fn has_written(&self, turn: u64) -> bool {
        self.projected.load(Ordering::Acquire) >= turn || self.failed.load(Ordering::Acquire)
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
    state: StateWriter,
    views: ViewsWriter,
    past: Past,
    projected: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
    /// Rows that could not be written yet: a full disk may have room again.
    unwritten: Option<Box<Rows>>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            // Rows that could not be written are tried again, with or without newer ones.
            let job = match &self.unwritten {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => jobs.recv_timeout(Duration::from_millis(RETRY_MS)),
            };
            match job {
                Ok(job) => self.work(job, jobs),
                Err(RecvTimeoutError::Timeout) => self.write(None),
                Err(RecvTimeoutError::Disconnected) => return self.write(None),
            }
        }
    }

    /// Does a job and those that wait behind it; rows are written together.
    fn work(&mut self, job: Job, jobs: &Receiver<Job>) {
        let mut waiting: Option<Box<Rows>> = None;
        let mut next = Some(job);
        while let Some(job) = next.take() {
            match job {
                Job::Write(rows) => match &mut waiting {
                    Some(known) => known.merge(*rows),
                    None => waiting = Some(rows),
                },
                Job::Ask(ask) => {
                    self.write(waiting.take());
                    ask(&mut self.past);
                }
            }
            next = jobs.try_recv().ok();
        }
        self.write(waiting);
    }

    fn write(&mut self, rows: Option<Box<Rows>>) {
        let rows = match (self.unwritten.take(), rows) {
            (Some(mut earlier), Some(rows)) => {
                earlier.merge(*rows);
                earlier
            }
            (earlier, rows) => match earlier.or(rows) {
                Some(rows) => rows,
                None => return,
            },
        };
        match rows.write(&mut self.state, &mut self.views) {
            Ok(()) => {
                self.projected.store(rows.turn, Ordering::Release);
                self.failed.store(false, Ordering::Release);
            }
            Err(error) => {
                if !self.failed.swap(true, Ordering::AcqRel) {
                    tracing::error!("state or views cannot be written: {error}; sales go on, lists may be old");
                }
                self.unwritten = Some(rows);
            }
        }
    }
}
