//! The loop: one thread that decides, writes and answers.
//!
//! Promises: commands that wait are decided together and become durable with one sync; nothing is answered before it
//! is durable; looks see only what is durable. The first failed sync ends the process, because memory is ahead of the
//! disk. A group waits for tills that were just answered, but never longer than half a sync and 1 ms.
//! Absent on purpose: rules (`fieldkit-core`), the order of a turn (`fieldkit-engine`).

mod exchange;
mod succession;
mod terminals;
mod watching;

pub(crate) use exchange::{batches, not_taken};
pub use terminals::{Attach, Terminals};

use crate::projector::{Job, Past, Projector, Waiting};
use crate::standing::Standing;
use fieldkit_core::chain::ChainCheck;
use fieldkit_core::decide::Command;
use fieldkit_core::id::{Hash, OpId, StreamId, Zero};
use fieldkit_core::ledger;
use fieldkit_core::op::{Actor, CommandKey, SealedOp};
use fieldkit_core::order::Order;
use fieldkit_core::receipt;
use fieldkit_engine::{
    Asked, Engine, Input, Known, Load, Outcome, Output, Projection, Succession, Ticket, Turn, WitnessName,
};
use fieldkit_http::desk::{Ask, Durability, Failure, Gain, Given, OrderSelector, PageId, Shelf, Update, Verified};
use fieldkit_sqlite::state::StateReader;
use fieldkit_sqlite::{Batch, Copies, SignedHead, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

/// Most commands of one group.
pub const GROUP_MAX: usize = 512;
/// Longest wait for more commands of a group.
const GROUP_WAIT_US_MAX: u64 = 1_000;
/// How often a loop looks after its storage, idle or not.
const IDLE_MS: u64 = 200;
/// Ops checked between two turns while a check runs.
const CHECK_OPS: u64 = 256;
/// Ops between two snapshots of the ledger.
const SNAPSHOT_OPS: u64 = 4_096;
/// Commits between two looks at the disk's free space.
const SPACE_COMMITS: u32 = 64;

/// The loop's own things.
pub struct Shop {
    /// What is asked.
    pub asks: Receiver<Ask>,
    /// The brain.
    pub engine: Engine,
    /// The journal and its box.
    pub store: Store,
    /// Finished aggregates, for commands.
    pub state: StateReader,
    /// Writes state and views.
    pub projector: Projector,
    /// Open pages.
    pub updates: broadcast::Sender<Update>,
    /// What the crew should know, and where things are.
    pub standing: Standing,
    /// The data directory.
    pub data: PathBuf,
    /// What people call the kit.
    pub label: String,
    /// What the kit's key goes on with.
    pub succession: Option<Succession>,
    /// Who acts where nobody signed in.
    pub actor: Actor,
    /// Terminals that it drives.
    pub terminals: Terminals,
    /// Pages that watch, and the streams that they spoke of.
    pub pages: BTreeSet<(WitnessName, StreamId)>,
    /// The box that watches, on a medium of its own, and the stream that it spoke of.
    pub boxed: Option<(WitnessName, Option<StreamId>)>,
    /// Devices to open first.
    pub attach: Option<Attach>,
    /// Set when the loop is to end although ports still hold its queue.
    pub stopping: Arc<AtomicBool>,
    /// Loop bookkeeping.
    pub pace: Pace,
}

/// How the loop keeps its pace.
pub struct Pace {
    ticket: u64,
    /// Whether limited goods waited for a witness when pages heard of it last.
    shut: bool,
    replies: BTreeMap<Ticket, oneshot::Sender<Given>>,
    /// Whether the kit itself gave a command since the last turn ended.
    reported: bool,
    /// Whether a terminal told of a payment without order since then.
    found: bool,
    /// Commands that the next group can expect.
    expected: usize,
    /// The first ask that arrived while a group was being synced.
    early: Option<Ask>,
    /// Smoothed time of a sync, in microseconds.
    sync_us: u64,
    commits: u32,
    /// When the storage was looked after last.
    looked_after: Instant,
    snapshot_row: u64,
    checking: Option<Checking>,
    waiting: Waiting,
    handed: Instant,
    /// The newest turn whose rows were handed over.
    handed_turn: u64,
    projected: u64,
    /// The journal's newest row and its hash.
    pub newest: (u64, Hash),
    /// Set once another branch of a stream is durable: the next start folds all anew.
    refold: bool,
    /// Rows of the last turn's ops.
    placed: BTreeMap<OpId, u64>,
    /// Groups and the commands in them, for the bench.
    pub groups: Arc<AtomicU64>,
}

impl Pace {
    /// After a start: the journal's newest row, and where group commits are counted.
    pub fn new(newest: (u64, Hash), groups: Arc<AtomicU64>) -> Self {
        Pace {
            ticket: 0,
            shut: false,
            replies: BTreeMap::new(),
            reported: false,
            found: false,
            expected: 0,
            early: None,
            sync_us: 0,
            commits: 0,
            looked_after: Instant::now(),
            snapshot_row: 0,
            checking: None,
            waiting: Waiting::default(),
            handed: Instant::now(),
            handed_turn: 0,
            projected: 0,
            newest,
            refold: false,
            placed: BTreeMap::new(),
            groups,
        }
    }
}

/// A check of the whole journal, done between turns.
struct Checking {
    check: ChainCheck,
    row: u64,
    bad: Option<String>,
    replies: Vec<oneshot::Sender<Verified>>,
}

/// A reason to stop walking the journal.
enum Walk {
    Enough,
    Store(StoreError),
}

impl From<StoreError> for Walk {
    fn from(error: StoreError) -> Self {
        Walk::Store(error)
    }
}

impl Shop {
    /// Serves asks until the desk is gone, then puts everything away. Returns whether it is to begin anew.
    pub fn run(mut self) -> bool {
        self.go_on();
        self.box_stands();
        if let Some(attach) = self.attach.take() {
            self.attach(attach);
        }
        let mut first = None;
        loop {
            // An ask that arrived while a terminal's report was synced comes next.
            let ask = match first.take().or_else(|| self.pace.early.take()) {
                Some(ask) => Ok(ask),
                None if self.pace.checking.is_some() => match self.asks.try_recv() {
                    Ok(ask) => Ok(ask),
                    Err(TryRecvError::Empty) => Err(RecvTimeoutError::Timeout),
                    Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                },
                None => self.asks.recv_timeout(self.rest(Duration::from_millis(IDLE_MS))),
            };
            match ask {
                Ok(Ask::Wake) | Err(RecvTimeoutError::Timeout) => {
                    if self.stopping.load(Ordering::Acquire) {
                        break;
                    }
                    if self.is_due() {
                        self.idle();
                    }
                }
                Ok(ask) => first = self.group(ask),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.pace.refold {
                break;
            }
            self.work_terminals();
            self.watch_on();
            self.check_step();
        }
        let refold = self.pace.refold;
        self.put_away();
        refold
    }

    /// Takes the asks that wait, decides the commands among them as one turn, then answers the looks.
    /// Returns the first ask of the next group, where one arrived during the sync.
    fn group(&mut self, first: Ask) -> Option<Ask> {
        let mut looks = Vec::new();
        let mut taken = 0;
        self.take(first, &mut looks, &mut taken);
        let patience = Duration::from_micros((self.pace.sync_us / 2).min(GROUP_WAIT_US_MAX));
        let begun = Instant::now();
        while taken < GROUP_MAX {
            let ask = match self.asks.try_recv() {
                Ok(ask) => ask,
                Err(_) if taken > 0 && taken < self.pace.expected => {
                    match self.asks.recv_timeout(patience.saturating_sub(begun.elapsed())) {
                        Ok(ask) => ask,
                        Err(_) => break,
                    }
                }
                Err(_) => break,
            };
            self.take(ask, &mut looks, &mut taken);
        }
        if taken > 0 {
            self.turn();
        }
        for look in looks {
            self.answer(look);
        }
        let ripe = self.pace.waiting.is_ripe(self.pace.handed.elapsed()) && self.rows_are_written();
        if ripe || self.pace.waiting.is_full() {
            self.hand_over();
        }
        let next = self.pace.early.take();
        self.pace.expected = taken + usize::from(next.is_some());
        // Questions that never pause must not keep the kit from seeing that the disk has room again.
        if self.is_due() || self.pace.commits >= SPACE_COMMITS {
            self.look_after();
        }
        next
    }

    /// Whether the storage was last looked after long enough ago.
    fn is_due(&self) -> bool {
        self.pace.looked_after.elapsed() >= Duration::from_millis(IDLE_MS)
    }

    fn take(&mut self, ask: Ask, looks: &mut Vec<Ask>, taken: &mut usize) {
        match ask {
            Ask::Give { mut command, event, key, reply } => {
                self.complete(&mut command);
                let terminal = self.at_terminal(&mut command).err().map(Failure::Refused);
                if let Some(failure) = self.unable(Some(&command)).or(terminal).filter(|_| !self.answered_before(&key))
                {
                    let durability = self.standing.durability;
                    // The asker may be gone; then nobody needs the answer.
                    let _ = reply.send(Given { result: Err(failure), repeated: false, durability });
                    return;
                }
                *taken += 1;
                self.give(command, event, key, reply);
            }
            other => looks.push(other),
        }
    }

    /// Whether the answer stands already: a repeat writes nothing, so a full disk is no reason to withhold it.
    fn answered_before(&self, key: &CommandKey) -> bool {
        let known = || self.state.command(&key.key).unwrap_or_else(|error| fatal("the state cannot be read", &error));
        self.engine.remembers(&key.key) || known().is_some()
    }

    /// Why nothing can be written now, if so.
    fn unable(&self, command: Option<&Command>) -> Option<Failure> {
        if let Some(text) = &self.standing.no_space {
            return Some(Failure::Unable {
                code: "no_space",
                detail: text.clone(),
                next_step: "Free space on this disk; the till goes on by itself.".to_owned(),
            });
        }
        let cash_sale = matches!(command, Some(Command::PlaceOrder(request)) if request.is_cash());
        if self.standing.safe_mode && !cash_sale {
            return Some(Failure::Unable {
                code: "safe_mode",
                detail: "this kit is in safe mode: it takes cash sales into the black box, and nothing else".to_owned(),
                next_step: "Copy the data directory, then see `fieldkit verify`.".to_owned(),
            });
        }
        None
    }

    fn give(&mut self, command: Command, event: Option<OpId>, key: CommandKey, reply: oneshot::Sender<Given>) {
        self.pace.ticket += 1;
        let ticket = Ticket(self.pace.ticket);
        self.pace.replies.insert(ticket, reply);
        self.tell_time();
        let (wall_ms, quality) = self.standing.time(self.engine.ledger().floor_ms);
        let event = event.or(self.standing.event);
        let asked = Asked { command, event, actor: self.actor, key, wall_ms, quality };
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
        self.pump();
    }

    /// Ends the turn: sync, answers, rows; and those of the reports that follow from it.
    fn turn(&mut self) {
        self.pace.reported = true;
        self.end_reports();
    }

    /// Ends turns for as long as terminals have something to record.
    fn end_reports(&mut self) {
        while std::mem::take(&mut self.pace.reported) {
            self.end_turn();
        }
    }

    fn end_turn(&mut self) {
        let projected = self.projector.projected.load(Ordering::Acquire);
        if projected != self.pace.projected {
            self.pace.projected = projected;
            self.engine.handle(Input::Projected(projected));
        }
        self.tell_time();
        let found = std::mem::take(&mut self.pace.found);
        self.engine.handle(Input::EndOfBatch);
        self.pump();
        if found {
            self.publish(Update::Status);
        }
    }

    /// Carries out what the engine wants.
    fn pump(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Load(load) => self.load(load),
                Output::Append(turn) => {
                    self.append(&turn);
                    self.box_holds(&turn);
                    self.tell_time();
                    self.engine.handle(Input::Synced);
                }
                Output::Reply(ticket, answer) => {
                    if let Some(reply) = self.pace.replies.remove(&ticket) {
                        let result = answer.result.map(gain).map_err(Failure::Refused);
                        if let Ok(gain) = &result {
                            self.tell(gain, answer.repeated);
                        }
                        let durability = self.standing.durability;
                        // The asker may be gone; the op stays.
                        let _ = reply.send(Given { result, repeated: answer.repeated, durability });
                    }
                }
                Output::Payments(_) => {}
                Output::Device(device, output) => self.device(device, output),
                Output::Decide(ticket, event, command, key) => {
                    self.pace.found |= matches!(*command, Command::RecordForeign { .. });
                    self.decide_as(ticket, Actor::Device(Zero), event, *command, key);
                }
                Output::Tell(page, stream, from, to) => {
                    self.publish(Update::Remember { page: PageId(page), stream, from, to });
                }
                Output::Refold => self.pace.refold = true,
                Output::Project(projection) => self.project(*projection),
            }
        }
    }

    fn on_a_branch(&self, id: OpId, is_it: impl Fn(&SealedOp) -> bool) -> Option<SealedOp> {
        if !self.store.is_parted(&id.stream) {
            return None;
        }
        let branches = self.store.branches().unwrap_or_else(|error| fatal("the journal cannot be read", &error));
        branches.into_iter().map(|(_, op)| op).find(|op| op.id() == id && is_it(op))
    }

    fn load(&mut self, load: Load) {
        let mut orders = Vec::new();
        let mut answered = None;
        if let Some(key) = &load.key {
            let found = self.state.command(key).unwrap_or_else(|error| fatal("the state cannot be read", &error));
            if let Some(found) = found {
                let op = self.store.op(found.op).unwrap_or_else(|error| fatal("the journal cannot be read", &error));
                // The branch that is folded as a stream may be another one than the journal has as its rows.
                let answers = |op: &SealedOp| op.op.key.as_ref().is_some_and(|known| known.key == *key);
                let op = op.filter(answers).or_else(|| self.on_a_branch(found.op, answers));
                answered = op.map(|op| (Known { fingerprint: found.fingerprint, op: found.op }, op));
            }
        }
        let spoken_of = answered.as_ref().and_then(|(_, op)| order_of(op));
        for id in [load.order, spoken_of].into_iter().flatten() {
            match self.state.order(&id) {
                Ok(order) => orders.extend(order.map(Arc::new)),
                Err(error) => fatal("the state cannot be read", &error),
            }
        }
        self.engine.handle(Input::Loaded { ticket: load.ticket, answered, orders });
    }

    /// Makes a turn durable. A failure ends the process: nothing of the turn was acknowledged.
    fn append(&mut self, turn: &Turn) {
        let heads: Vec<SignedHead> = turn
            .heads
            .iter()
            .map(|(stream, head, signature)| SignedHead { stream: *stream, head: *head, signature: *signature })
            .collect();
        let begun = Instant::now();
        match self.store.commit(Batch { ops: &turn.ops, heads: &heads, branches: &turn.branches }) {
            Ok(commit) => {
                let first = commit.row + 1 - turn.ops.len() as u64;
                let placed = turn.ops.iter().zip(first..);
                self.pace.placed = placed.map(|(op, row)| (op.id(), self.store.place_of_row(row))).collect();
                // Whoever waits now was not among those who are answered next: the group to come can expect both.
                if self.pace.early.is_none() {
                    self.pace.early = self.asks.try_recv().ok();
                }
                self.pace.newest = (commit.row, turn.ops.last().map_or(self.pace.newest.1, |op| op.hash));
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.pace.sync_us = (self.pace.sync_us * 7 + took) / 8;
                self.pace.commits += 1;
                self.pace.groups.fetch_add(1, Ordering::Relaxed);
                self.standing.started();
                let durability = match commit.copies {
                    Copies::OnThisKit => Durability::OnThisKit,
                    Copies::OnTwoDevices => Durability::OnTwoDevices,
                };
                if self.standing.saw(durability, commit.box_state) {
                    self.publish(Update::Status);
                }
            }
            Err(error) => fatal("the sale could not be made durable and was not acknowledged", &error),
        }
    }

    /// Keeps what a turn changed until it is handed over; open pages hear of it at once.
    fn project(&mut self, projection: Projection) {
        if self.updates.receiver_count() > 0 {
            for (event, sku) in &projection.items {
                self.publish(Update::Stock { event: *event, sku: sku.clone() });
            }
            for order in &projection.orders {
                self.publish(Update::Order(order.clone()));
            }
            if !projection.orders.is_empty() {
                self.publish(Update::Drawer);
            }
        }
        let placed = std::mem::take(&mut self.pace.placed);
        self.pace.waiting.add(projection, self.store.place_of_row(self.pace.newest.0), &placed);
    }

    /// Hands what waits to the projector: rows are made of what is there now, so that an item sold a hundred times is
    /// written once.
    fn hand_over(&mut self) {
        let waiting = std::mem::take(&mut self.pace.waiting);
        let snapshot = self.pace.newest.0.saturating_sub(self.pace.snapshot_row) >= SNAPSHOT_OPS;
        self.send_rows(waiting, snapshot);
    }

    fn send_rows(&mut self, waiting: Waiting, snapshot: bool) {
        let ledger = self.engine.ledger();
        let mut rows = waiting.rows(ledger, self.pace.newest);
        if snapshot {
            rows.snapshot = Some(ledger.state_bytes());
            self.pace.snapshot_row = self.pace.newest.0;
        }
        self.pace.handed = Instant::now();
        self.pace.handed_turn = rows.turn;
        // A full queue makes the tills wait for the projector, so that memory stays bounded.
        if self.projector.jobs.send(Job::Write(Box::new(rows))).is_err() {
            tracing::error!("the projector has ended; lists cannot be written");
        }
    }

    fn ask_past(&mut self, ask: impl FnOnce(&mut Past) + Send + 'static) {
        if !self.pace.waiting.is_empty() {
            self.hand_over();
        }
        if self.projector.jobs.send(Job::Ask(Box::new(ask))).is_err() {
            tracing::error!("the projector has ended; lists cannot be shown");
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Give { .. } | Ask::Wake => {}
            Ask::Export { receiver, reply } => drop(reply.send(self.export(receiver))),
            Ask::Import { bytes, reply } => self.import(&bytes, reply),
            // The asker may be gone.
            Ask::Device { device, wish, reply } => drop(reply.send(self.wish(device, wish))),
            Ask::Look(look) => self.look(look),
            Ask::Order { selector, reply } => self.find_order(selector, reply),
            Ask::Orders { limit, before, reply } => self.ask_past(move |past| {
                match past.orders(limit, before) {
                    // The asker may be gone.
                    Ok(orders) => drop(reply.send(orders)),
                    Err(error) => tracing::error!("the orders cannot be listed: {error}"),
                }
            }),
            Ask::Payments { limit, before, reply } => self.ask_past(move |past| {
                match past.payments(limit, before.as_deref()) {
                    // The asker may be gone.
                    Ok(payments) => drop(reply.send(payments)),
                    Err(error) => tracing::error!("the payments cannot be listed: {error}"),
                }
            }),
            Ask::OrderOfRefund { refund, reply } => {
                self.ask_past(move |past| match past.views.order_of_refund(&refund) {
                    Ok(order) => drop(reply.send(order)),
                    Err(error) => tracing::error!("the refund cannot be looked up: {error}"),
                })
            }
            Ask::PageLeft { page } => self.page_left(page),
            Ask::Witness { sighting, page, reply } => {
                let verdict = self.witness(sighting, page);
                // The witness may be gone.
                let _ = reply.send(verdict);
            }
            Ask::Choose { event, reply } => {
                self.standing.choose(self.engine.ledger(), event, &self.data);
                self.publish(Update::Status);
                self.publish(Update::Catalogue);
                // The asker may be gone.
                let _ = reply.send(self.standing.event == Some(event));
            }
            Ask::Verify { reply } => match &mut self.pace.checking {
                Some(checking) => checking.replies.push(reply),
                None => {
                    let check = ChainCheck::default();
                    self.pace.checking = Some(Checking { check, row: 0, bad: None, replies: vec![reply] });
                }
            },
        }
    }

    fn look(&mut self, look: Box<dyn FnOnce(&Shelf<'_>) + Send>) {
        self.tell_time();
        let gate = self.standing.event.map(|event| self.engine.gate(event)).unwrap_or_default();
        let leases = self.standing.event.map(|event| self.engine.leases(event)).unwrap_or_default();
        let ledger = self.engine.ledger();
        let (now_ms, quality) = self.standing.time(ledger.floor_ms);
        let key = self.engine.signing_key();
        let receipt_token = |order: &Order| {
            let event = ledger.events.get(&order.event);
            let seller = event.map_or("", |event| event.opened.seller.name.as_str());
            receipt::token(order, seller, event.is_some_and(|event| event.opened.training), key)
        };
        look(&Shelf {
            ledger,
            replica: self.engine.replica(),
            kit: &self.label,
            event: self.standing.event,
            stream: self.engine.newest_stream(),
            durability: self.standing.durability,
            gate,
            leases,
            black_box: self.standing.box_word(),
            box_same_medium: self.standing.box_same_medium(),
            safe_mode: self.standing.safe_mode,
            clock_quality: quality.text(),
            now_ms,
            notices: &self.standing.notices,
            devices: &self.terminals.shown,
            receipt_token: &receipt_token,
        });
    }

    fn find_order(&mut self, selector: OrderSelector, reply: oneshot::Sender<Option<Order>>) {
        let series = |wanted: &str| {
            let streams = self.engine.ledger().streams.keys();
            streams.copied().find(|stream| stream.series().eq_ignore_ascii_case(wanted))
        };
        let by_receipt: Option<(StreamId, u64)> = match &selector {
            OrderSelector::Id(_) => None,
            OrderSelector::Receipt { series: Some(name), number } => series(name).map(|stream| (stream, *number)),
            OrderSelector::Receipt { series: None, number } => Some((self.engine.newest_stream(), *number)),
        };
        self.ask_past(move |past| {
            let id = match (selector, by_receipt) {
                (OrderSelector::Id(id), _) => Ok(Some(id)),
                (_, Some((stream, number))) => past.views.order_by_receipt(&stream.series(), number),
                (_, None) => Ok(None),
            };
            let order = id.and_then(|id| id.map_or(Ok(None), |id| past.state.order(&id)));
            match order {
                // The asker may be gone.
                Ok(order) => drop(reply.send(order)),
                Err(error) => tracing::error!("the order cannot be read: {error}"),
            }
        });
    }

    fn tell(&mut self, gain: &Gain, repeated: bool) {
        if repeated {
            return;
        }
        match gain {
            // Whoever follows hears of what changed, whoever changed it (`project`).
            Gain::Order(_) => {}
            Gain::Item(_) | Gain::Imported(_) => self.publish(Update::Catalogue),
            Gain::Drawer => {
                self.publish(Update::Drawer);
                // Whether it is open is part of the status.
                self.publish(Update::Status);
            }
            Gain::Device(_) | Gain::Foreign(_) | Gain::Rights => self.publish(Update::Status),
            Gain::Event(event) => {
                self.standing.choose(self.engine.ledger(), *event, &self.data);
                self.publish(Update::Status);
                self.publish(Update::Catalogue);
            }
        }
    }

    fn publish(&self, update: Update) {
        // Without open pages nobody listens.
        let _ = self.updates.send(update);
    }

    fn idle(&mut self) {
        self.standing.idle();
        self.sign();
        self.look_after();
        // The loop never waits here for a projector that still has much to write: looks are answered meanwhile.
        if !self.rows_are_written() {
            return;
        }
        if !self.pace.waiting.is_empty() {
            self.hand_over();
        } else if self.pace.newest.0 != self.pace.snapshot_row && self.pace.checking.is_none() {
            self.send_rows(Waiting::of_turn(self.pace.projected), true);
        }
    }

    /// Looks after the storage: the box's gaps, a checkpoint, a segment, free space.
    fn look_after(&mut self) {
        (self.pace.looked_after, self.pace.commits) = (Instant::now(), 0);
        match self.store.maintain() {
            Ok(done) => {
                if self.standing.looked_after(&self.store, done.box_state) {
                    self.publish(Update::Status);
                    self.box_stands();
                }
            }
            Err(error) => fatal("the storage fails", &error),
        }
        if self.standing.look_at_space(&mut self.store, self.projector.failed.load(Ordering::Acquire)) {
            self.publish(Update::Status);
        }
    }

    fn check_step(&mut self) {
        let Some(mut checking) = self.pace.checking.take() else { return };
        let mut left = CHECK_OPS;
        let mut bad = None;
        let walked = self.store.replay(checking.row, &mut |row, op: SealedOp| {
            if let Err(error) = checking.check.next(op.op.stream, op.op.seq, &op.bytes) {
                bad = Some(error.to_string());
                return Err(Walk::Enough);
            }
            checking.row = row;
            left -= 1;
            if left == 0 { Err(Walk::Enough) } else { Ok(()) }
        });
        if let Err(Walk::Store(error)) = walked {
            bad = Some(error.to_string());
        }
        checking.bad = bad;
        if checking.bad.is_none() && left == 0 {
            self.pace.checking = Some(checking);
            return;
        }
        self.end_check(checking);
    }

    fn end_check(&mut self, checking: Checking) {
        let bad = checking.bad.or_else(|| self.check_heads(&checking.check).err());
        let (ops, heads) = (checking.check.ops(), checking.check.heads().collect::<Vec<_>>());
        let business = self.engine.ledger().business_bytes();
        self.ask_past(move |past| {
            let mut digest = ledger::Digest::new(&business);
            let hashed = past.state.order_hashes(&mut |_, hash| digest.add(hash));
            let digest = hashed.map(|()| digest.finish()).map_err(|error| tracing::error!("no digest: {error}")).ok();
            for reply in checking.replies {
                let verified = Verified { ops, heads: heads.clone(), first_bad: bad.clone(), digest };
                // The asker may be gone.
                let _ = reply.send(verified);
            }
        });
    }

    /// Checks every signed head against the chains walked.
    fn check_heads(&mut self, check: &ChainCheck) -> Result<(), String> {
        for signed in self.store.signed_heads().map_err(|error| error.to_string())? {
            let id = OpId { stream: signed.stream, seq: signed.head.seq };
            let there = self.store.op(id).map_err(|error| error.to_string())?.map(|op| op.hash);
            let checked = check.signed_head(signed.stream, signed.head, there, &signed.signature);
            checked.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether all rows that were handed over are written.
    fn rows_are_written(&self) -> bool {
        self.projector.has_written(self.pace.handed_turn)
    }

    /// Signs the ends of streams that grew, where anything can be written.
    fn sign(&mut self) {
        if self.standing.no_space.is_none() && self.store.takes_ops() {
            self.engine.handle(Input::SignDue);
            self.turn();
        }
    }

    fn put_away(mut self) {
        self.part();
        self.sign();
        let waiting = std::mem::take(&mut self.pace.waiting);
        self.send_rows(waiting, true);
        drop(self.state);
        self.projector.stop();
        self.standing.started();
        if let Err(error) = self.store.close() {
            tracing::error!("the journal was not closed in order: {error}; nothing acknowledged is lost");
        }
    }
}

fn gain(outcome: Outcome) -> Gain {
    match outcome {
        Outcome::Order(order) => Gain::Order(order),
        Outcome::Item(sku) => Gain::Item(sku),
        Outcome::Imported(body) => Gain::Imported(body),
        Outcome::Drawer => Gain::Drawer,
        Outcome::Event(event) => Gain::Event(event),
        Outcome::Device(device) => Gain::Device(device),
        Outcome::Foreign(found) => Gain::Foreign(found),
        Outcome::Rights => Gain::Rights,
    }
}

/// The order that an op speaks of.
fn order_of(op: &SealedOp) -> Option<OpId> {
    use fieldkit_core::body::Body;
    match Body::open(op.op.kind, &op.op.body).ok()? {
        Body::OrderPlaced(_) | Body::OrderOpened(_) => Some(op.id()),
        _ => fieldkit_core::ledger::Ledger::wants(op),
    }
}

/// Ends the process at once: memory may be ahead of the disk.
fn fatal(what: &str, error: &StoreError) -> ! {
    fatal_text(&format!("{what}: {error}\nhint: {}", error.hint()))
}

fn fatal_text(text: &str) -> ! {
    crate::say::talk(&format!("error: {text}"));
    crate::say::talk("the kit ends here; started again it checks everything first");
    std::process::exit(1);
}
