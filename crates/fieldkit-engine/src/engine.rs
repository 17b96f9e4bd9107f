//! The engine: one ledger, one author, one turn at a time.
//!
//! The order of a turn (each step is an input or an output of this machine): commands are decided and applied in
//! memory; `Input::EndOfBatch` yields `Output::Append`; the shell syncs and says `Input::Synced`; only then come
//! `Output::Reply`, `Output::Payments` and `Output::Project`. Later commands of a batch see earlier ones. A failed sync is
//! never reported here: the process ends, because memory is ahead of the disk.

mod several;
mod succession;

pub use succession::Succession;

use crate::io::{Asked, DeviceInput, DeviceOutput, Foreign, Input, Load, Output, Ticket};
use crate::lease_desk::LeaseDesk;
use crate::payment_desk::{PaymentDesk, Wish};
use crate::planted::{Mistake, Planted};
use crate::stock_desk::{Policy, StockDesk};
use crate::turn::{Answer, Known, Outcome, Projection, Reading, Turn, moved_by, read_answer};
use crate::watch_desk::{self, Needs, WatchDesk};
use ed25519_dalek::SigningKey;
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::Body;
use fieldkit_core::decide::{self, Command, Founding, Gate, Place};
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Account, Actor, CommandKey, Head, Key, SealedOp, Unit};
use fieldkit_core::order::Order;
use fieldkit_core::payment::Payment;
use fieldkit_core::refusal::Refusal;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_core::witness::{Sighting, Verdict, judge};
use fieldkit_drivers::terminal::{self, Driver};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Turns after which the ends of streams are signed at the latest: a signature costs as much time as half a sale.
pub const SIGN_TURNS: u64 = 64;

/// Whose command it is, where it is the engine's own.
#[derive(Clone, Copy, Debug)]
enum Reporter {
    Device(OpId),
    Watch,
    Stock,
    Lease,
}

/// Tickets of the engine's own commands have this bit.
const OWN_TICKET: u64 = 1 << 63;

/// A key answered lately: what the answering op says, and the turn that made it.
struct Recent {
    known: Known,
    reading: Option<Reading>,
    turn: u64,
}

/// What leaves once a turn's ops are durable.
#[derive(Default)]
struct Release {
    replies: Vec<(Ticket, Box<Answer>)>,
    payments: Vec<Payment>,
    projection: Projection,
    /// What its answers wait for beside the disk.
    needs: Vec<Needs>,
    /// Own ops about the watch.
    watch: Vec<(OpId, u64, Body)>,
    refold: bool,
}

/// Commands of the engine's own that are under way.
#[derive(Default)]
struct Reports {
    under_way: BTreeMap<Ticket, Reporter>,
    given: u64,
}

impl Reports {
    /// A ticket for the next one.
    fn begin(&mut self, reporter: Reporter) -> Ticket {
        self.given += 1;
        let ticket = Ticket(OWN_TICKET | self.given);
        self.under_way.insert(ticket, reporter);
        ticket
    }

    /// Whether the kit wishes this by itself, and nobody waits for a refusal.
    fn is_silent(&self, ticket: Ticket) -> bool {
        matches!(self.under_way.get(&ticket), Some(Reporter::Watch | Reporter::Stock | Reporter::Lease))
    }
}

/// A command that waits for a lookup, and the newest turn that the state held when it was asked for.
struct Waiting {
    asked: Box<Asked>,
    projected: u64,
}

/// The brain.
pub struct Engine {
    ledger: Ledger,
    author: Author,
    key: SigningKey,
    turn: Turn,
    turns: u64,
    /// Own streams that grew since their end was signed, and the turns since then.
    unsigned: BTreeSet<StreamId>,
    unsigned_turns: u64,
    projection: Projection,
    replies: Vec<(Ticket, Box<Answer>)>,
    /// Orders and payments that the open turn moved.
    moved: BTreeSet<(OpId, OpId)>,
    /// Turns given out and not yet synced, the oldest first: what each will release.
    unsynced: VecDeque<Release>,
    /// Turns that are durable and wait for witnesses.
    unwitnessed: VecDeque<Release>,
    /// Events in which the open turn uses rights, and the last op that does.
    used: BTreeMap<OpId, (StreamId, Head)>,
    /// Where own streams ended when this life began.
    begun: BTreeMap<StreamId, u64>,
    /// Replicas that are connected.
    linked: BTreeSet<ReplicaKey>,
    /// How far other replicas hold own streams.
    held_by: BTreeMap<(StreamId, ReplicaKey), u64>,
    /// Own ops about the watch in the open turn.
    watch_ops: Vec<(OpId, u64, Body)>,
    watch: WatchDesk,
    stock: StockDesk,
    leases: LeaseDesk,
    waiting: BTreeMap<Ticket, Waiting>,
    /// The newest turn that the state holds.
    projected: u64,
    outputs: VecDeque<Output>,
    /// Keys answered in turns that state.db may not hold yet.
    recent_keys: BTreeMap<Key, Recent>,
    /// Keys of what was done on other branches, with the fingerprint and what is said to whoever asks again.
    done_beside: BTreeMap<Key, ([u8; 16], Refusal)>,
    /// The turn in which an order was last used.
    order_turns: BTreeMap<OpId, u64>,
    /// Desks by the device that they work.
    desks: BTreeMap<OpId, PaymentDesk>,
    reports: Reports,
    planted: Planted,
}

impl Engine {
    /// Starts with what was folded so far. `follows` names the replica before a noticed roll-back.
    pub fn new(ledger: Ledger, key: SigningKey, follows: Option<ReplicaKey>) -> Self {
        let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), follows);
        Engine {
            ledger,
            author,
            key,
            turn: Turn::default(),
            turns: 0,
            unsigned: BTreeSet::new(),
            unsigned_turns: 0,
            projection: Projection::default(),
            replies: Vec::new(),
            moved: BTreeSet::new(),
            unsynced: VecDeque::new(),
            unwitnessed: VecDeque::new(),
            used: BTreeMap::new(),
            held_by: BTreeMap::new(),
            linked: BTreeSet::new(),
            begun: BTreeMap::new(),
            watch_ops: Vec::new(),
            watch: WatchDesk::default(),
            stock: StockDesk::default(),
            leases: LeaseDesk::default(),
            waiting: BTreeMap::new(),
            projected: 0,
            outputs: VecDeque::new(),
            recent_keys: BTreeMap::new(),
            done_beside: BTreeMap::new(),
            order_turns: BTreeMap::new(),
            desks: BTreeMap::new(),
            reports: Reports::default(),
            planted: Planted::default(),
        }
    }

    /// Plants a mistake, to see whether a checker finds it.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, mistake: Mistake) {
        self.planted = Planted::of(mistake);
    }

    /// Takes note of the signed ends that the journal has, so that own streams which grew since are signed.
    pub fn signed(&mut self, heads: &BTreeMap<StreamId, Head>) {
        let signed = |stream: &StreamId| heads.get(stream).map_or(0, |head| head.seq);
        let own = self.ledger.streams.iter().filter(|(_, known)| known.replica == Some(self.author.replica));
        let grown = own.filter(|(stream, known)| known.head.seq > signed(stream)).map(|(stream, _)| *stream);
        self.unsigned = grown.collect();
    }

    /// The folded state; between turns it holds only what is durable.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The replica that writes.
    pub fn replica(&self) -> ReplicaKey {
        self.author.replica
    }

    /// The key that signs heads and receipts.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Folds an op of the journal in at start; `order` is the one that it wants, where it is not at hand.
    pub fn fold(&mut self, op: &SealedOp, order: Option<Order>) -> bool {
        if let Some(order) = order {
            self.ledger.orders.entry(order.order_id).or_insert_with(|| Arc::new(order));
        }
        let applied = self.ledger.apply(op);
        self.note(op);
        self.collect_orders();
        applied
    }

    /// The rows that folding changed so far; the shell projects them and lets the orders go.
    pub fn take_folded(&mut self) -> Projection {
        self.turns += 1;
        for recent in self.recent_keys.values_mut() {
            recent.turn = self.turns;
        }
        for turn in self.order_turns.values_mut() {
            *turn = self.turns;
        }
        // What was folded from the journal was durable before; open payments are in the ledger by name.
        self.moved.clear();
        self.finish_projection()
    }

    /// Writes the ops that found an organisation.
    pub fn found(&mut self, founding: &Founding, wall_ms: u64, quality: ClockQuality) -> Result<(), Refusal> {
        let drafts = founding.drafts(self.author.replica)?;
        let context = Context { actor: Actor::Device(Zero), wall_ms, quality, key: None };
        self.write(drafts, &context);
        Ok(())
    }

    /// Judges what a witness saw; `hash_at` looks up the hash of an op that the journal holds.
    pub fn judge(&self, sighting: &Sighting, hash_at: impl Fn(OpId) -> Option<Hash>) -> (StreamId, u64, Verdict) {
        match sighting {
            Sighting::Head { stream, head } => {
                let found = hash_at(OpId { stream: *stream, seq: head.seq });
                let verdict = judge(self.ledger.head(stream), head.seq, found, |hash| *hash == head.hash);
                // A witness that saw an own stream of which nothing is here saw more than is here.
                let lost = verdict == Verdict::UnknownStream && self.writes(stream);
                (*stream, head.seq, if lost { Verdict::Ahead } else { verdict })
            }
            Sighting::Slip { seq, check } => {
                let stream = self.newest_stream();
                let found = hash_at(OpId { stream, seq: *seq });
                let matches = |hash: &Hash| hash.check4().eq_ignore_ascii_case(check);
                (stream, *seq, judge(self.ledger.head(&stream), *seq, found, matches))
            }
        }
    }

    /// Whether `key` was answered in a turn that `state.db` may not hold yet.
    pub fn remembers(&self, key: &Key) -> bool {
        self.recent_keys.contains_key(key)
    }

    /// The own stream of the newest event, the organisation's where there is none.
    pub fn newest_stream(&self) -> StreamId {
        let newest = self.ledger.events.iter().next_back();
        let space = newest.map_or(Space::ORGANISATION, |(id, event)| decide::space_of(*id, event));
        self.author.stream(&space)
    }

    /// Feeds one input.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Command(ticket, asked) => self.admit(ticket, asked),
            Input::Loaded { ticket, answered, orders } => self.loaded(ticket, answered, orders),
            Input::EndOfBatch => self.end_of_batch(),
            Input::SignDue if self.unsigned.is_empty() => {}
            Input::SignDue => self.unsigned_turns = SIGN_TURNS,
            Input::Synced => self.synced(),
            Input::Projected(turn) => self.projected(turn),
            Input::Foreign(foreign) => self.take(*foreign),
            Input::Witness(input) => self.watch.hear(input),
            Input::Linked(peer, true) => drop(self.linked.insert(peer)),
            Input::Linked(peer, false) => drop(self.linked.remove(&peer)),
            Input::PeerHolds(peer, stream, seq) => {
                let held = self.held_by.entry((stream, peer)).or_default();
                *held = seq.max(*held);
            }
            Input::Tick(now_ms) => self.tell_time(now_ms),
            Input::Device(device, now_ms, input) => self.device(device, now_ms, input),
        }
        self.release_witnessed();
        self.work_desks();
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When which device wants a `DeviceInput::Tick`, if nothing else comes: later than it was told last.
    pub fn poll_timeout(&self) -> Option<(u64, OpId)> {
        let acts = self.is_durable();
        self.desks.iter().filter_map(|(device, desk)| Some((desk.poll_timeout(acts)?, *device))).min()
    }

    /// Says how late it is, on the clock of `Input::Device`. To be said before every other input while terminals are
    /// worked: a request that follows from a command or a sync waits for its answer from then on.
    pub fn tell_time(&mut self, now_ms: u64) {
        self.watch.tell_time(now_ms);
        self.leases.tell_time(now_ms);
        for desk in self.desks.values_mut() {
            desk.tell_time(now_ms);
        }
    }

    /// Works an accepted terminal from now on.
    pub fn add_terminal(&mut self, device: OpId, driver: Box<dyn Driver + Send>) {
        self.desks.insert(device, PaymentDesk::new(device, driver, self.planted.clone()));
    }

    fn device(&mut self, device: OpId, now_ms: u64, input: DeviceInput) {
        let Some(desk) = self.desks.get_mut(&device) else { return };
        match input {
            DeviceInput::LinkUp => desk.handle(now_ms, terminal::Input::LinkUp, &self.ledger),
            DeviceInput::LinkDown => desk.handle(now_ms, terminal::Input::LinkDown, &self.ledger),
            DeviceInput::Bytes(bytes) => desk.handle(now_ms, terminal::Input::Bytes(bytes), &self.ledger),
            DeviceInput::Tick => desk.handle(now_ms, terminal::Input::Tick, &self.ledger),
            DeviceInput::Stop => desk.stop(&self.ledger),
            DeviceInput::AskAgain => desk.ask_again(),
        }
    }

    /// Lets desks do their next things. They act on what is durable, so not while a turn is open or on its way.
    fn work_desks(&mut self) {
        let durable = self.is_durable();
        if self.is_written() {
            self.work_watch();
        }
        if durable {
            self.work_stock();
            self.work_leases();
        }
        for (device, desk) in &mut self.desks {
            if durable {
                desk.act(&self.ledger);
            }
            while let Some(wish) = desk.poll_wish() {
                let output = match wish {
                    Wish::Send(bytes) => Output::Device(*device, DeviceOutput::Send(bytes)),
                    Wish::CloseLink => Output::Device(*device, DeviceOutput::CloseLink),
                    Wish::Show(shown) => Output::Device(*device, DeviceOutput::Show(shown)),
                    Wish::Decide(command, key) => {
                        let ticket = self.reports.begin(Reporter::Device(*device));
                        Output::Decide(ticket, None, Box::new(command), key)
                    }
                };
                self.outputs.push_back(output);
            }
        }
    }

    /// Whether no turn is open or on its way.
    fn is_durable(&self) -> bool {
        self.is_written() && self.unwitnessed.is_empty()
    }

    /// Whether all that was decided is on the disk.
    fn is_written(&self) -> bool {
        self.unsynced.is_empty() && self.turn.ops.is_empty() && self.replies.is_empty()
    }

    fn admit(&mut self, ticket: Ticket, asked: Box<Asked>) {
        let key_at_hand = self.recent_keys.contains_key(&asked.key.key);
        let order = asked.command.wants();
        let order_at_hand = order.is_none_or(|id| self.ledger.orders.contains_key(&id));
        let key = Some(asked.key.key.clone());
        self.waiting.insert(ticket, Waiting { asked, projected: self.projected });
        // A key of a turn not yet projected is answered from memory; every other key is looked up. Both are looked up
        // if one must be: what is at hand now may have been let go when the answer comes.
        if key_at_hand && order_at_hand {
            return self.decide(ticket, None);
        }
        self.outputs.push_back(Output::Load(Load { ticket, key, order }));
    }

    fn loaded(&mut self, ticket: Ticket, answered: Option<(Known, SealedOp)>, orders: Vec<Arc<Order>>) {
        for order in orders {
            self.order_turns.insert(order.order_id, self.turns + 1);
            self.ledger.orders.entry(order.order_id).or_insert(order);
        }
        self.decide(ticket, answered);
    }

    fn decide(&mut self, ticket: Ticket, answered: Option<(Known, SealedOp)>) {
        let Some(Waiting { asked, .. }) = self.waiting.remove(&ticket) else { return };
        let recent = self.recent_keys.get(&asked.key.key).map(|recent| (recent.known, recent.reading.clone()));
        let known = recent.or(answered.map(|(known, op)| (known, read_answer(&op))));
        let answer = match (self.repeat_beside(&asked), known) {
            (Some(beside), _) => beside,
            (None, Some((known, reading))) => self.repeat(&asked, known, reading),
            (None, None) => self.answer_anew(&asked, self.reports.is_silent(ticket)),
        };
        self.replies.push((ticket, Box::new(answer)));
    }

    fn repeat(&mut self, asked: &Asked, known: Known, reading: Option<Reading>) -> Answer {
        if let Some(refusal) = several::reused(asked, &known.fingerprint) {
            return Answer { result: Err(refusal), repeated: false };
        }
        let result = match reading {
            Some(Reading::Plain(result)) => result,
            Some(Reading::Order { order }) => match self.ledger.orders.get(&order) {
                Some(found) => Ok(Outcome::Order(Arc::new(found.as_of(known.op)))),
                None => Err(Refusal::UnknownOrder(order.text())),
            },
            None => Err(Refusal::UnknownOrder(known.op.text())),
        };
        Answer { result, repeated: true }
    }

    /// A wish of the kit's own that the rules refuse leaves no trace: `silent`.
    fn answer_anew(&mut self, asked: &Asked, silent: bool) -> Answer {
        let place = self.place_of(asked);
        let context = Context {
            actor: asked.actor,
            wall_ms: asked.wall_ms,
            quality: asked.quality,
            key: Some(asked.key.clone()),
        };
        self.planted.look(&self.ledger, self.author.replica);
        let decided = match self.slip_of_now(asked) {
            Some(refusal) => Err(refusal),
            None => decide::decide(self.planted.or_instead(&self.ledger), &asked.command, &place, &context),
        };
        let (drafts, refusal) = match decided {
            Ok(drafts) => (drafts, None),
            Err(refusal) if silent => return Answer { result: Err(refusal), repeated: false },
            Err(refusal) => {
                if let Refusal::SoldOut { sku, .. } = &refusal {
                    self.stock.wanted(sku);
                }
                (vec![decide::record_refusal(&self.ledger, &refusal, &place)], Some(refusal))
            }
        };
        let range = self.write(drafts, &context);
        if let Some(refusal) = refusal {
            return Answer { result: Err(refusal), repeated: false };
        }
        let answering = self.turn.ops[range].iter().find(|op| op.op.key.is_some());
        let result = match answering.and_then(read_answer) {
            Some(Reading::Plain(result)) => result,
            Some(Reading::Order { order }) => match self.ledger.orders.get(&order) {
                Some(found) => Ok(Outcome::Order(found.clone())),
                None => Err(Refusal::UnknownOrder(order.text())),
            },
            None => Ok(Outcome::Drawer),
        };
        Answer { result, repeated: false }
    }

    /// Writes drafts into the open turn; returns their range in it.
    fn write(&mut self, drafts: Vec<Draft>, context: &Context) -> std::ops::Range<usize> {
        let start = self.turn.ops.len();
        let ops = self.author.write(&mut self.ledger, self.planted.drafts(drafts), context);
        for op in &ops {
            self.note(op);
            self.note_rights(op);
            self.leases.note(op.id());
        }
        self.turn.ops.extend(ops);
        self.collect_orders();
        start..self.turn.ops.len()
    }

    /// Notes the rows that an op changes and the key that it answers.
    fn note(&mut self, op: &SealedOp) {
        if let Some(key) = &op.op.key
            && !self.planted.is(Mistake::ForgetKeys)
            && (!self.planted.is(Mistake::KeyNotReplicated) || self.writes(&op.op.stream))
        {
            let known = Known { fingerprint: key.fingerprint, op: op.id() };
            let recent = Recent { known, reading: read_answer(op), turn: self.turns + 1 };
            self.recent_keys.insert(key.key.clone(), recent);
            self.projection.commands.push((key.key.clone(), known));
        }
        self.moved.extend(moved_by(op));
        let space = self.ledger.streams.get(&op.op.stream).and_then(|stream| stream.space.clone());
        let Some(event_id) = space.and_then(|space| space.event()) else {
            if let Ok(Body::EventOpened(_)) = Body::open(op.op.kind, &op.op.body) {
                self.projection.events.push(op.id());
            } else if let Ok(Body::EventClosed(body)) = Body::open(op.op.kind, &op.op.body) {
                self.projection.events.push(body.event);
            }
            return;
        };
        self.projection.events.push(event_id);
        for sku in skus(op, &event_id, &self.ledger) {
            self.projection.items.push((event_id, sku));
        }
    }

    fn collect_orders(&mut self) {
        for id in self.ledger.take_changed() {
            self.order_turns.insert(id, self.turns + 1);
            self.projection.orders.retain(|known| known.order_id != id);
            if let Some(order) = self.ledger.orders.get(&id) {
                self.projection.orders.push(order.clone());
            }
        }
    }

    fn end_of_batch(&mut self) {
        let mut replies = std::mem::take(&mut self.replies);
        if self.planted.is(Mistake::AnswerBeforeSync) {
            self.release(Release { replies: std::mem::take(&mut replies), ..Release::default() });
        }
        self.planted.end_of_batch(&self.ledger);
        self.note_growth();
        // Where others are, each end is signed: a key that is lost leaves nothing that nobody can vouch for.
        let due = self.unsigned_turns >= SIGN_TURNS || self.watch.is_shared(&self.ledger, self.author.replica);
        let signing = due && !self.unsigned.is_empty();
        let nothing = self.turn.ops.is_empty() && self.turn.branches.is_empty() && self.turn.heads.is_empty();
        if nothing && !signing {
            // Repeated answers may speak of ops that are still on their way to the disk, or to a witness.
            match self.unsynced.back_mut().or(self.unwitnessed.back_mut()) {
                Some(last) => last.replies.append(&mut replies),
                None => self.release(Release { replies, ..Release::default() }),
            }
            return;
        }
        if signing {
            self.sign_heads();
        }
        self.turns += 1;
        let projection = self.finish_projection();
        let moved = std::mem::take(&mut self.moved);
        let now = |(order, payment): (OpId, OpId)| self.ledger.orders.get(&order)?.payment(payment).cloned();
        let payments = moved.into_iter().filter_map(now).collect();
        let used = std::mem::take(&mut self.used);
        let needs =
            used.iter().filter_map(|(event, (stream, head))| self.watch.needs(*event, *stream, *head)).collect();
        let refold = self.planted.branches(&mut self.ledger, &self.turn.branches);
        let watch = std::mem::take(&mut self.watch_ops);
        self.unsynced.push_back(Release { replies, payments, projection, needs, watch, refold });
        self.turn.number = self.turns;
        let turn = std::mem::take(&mut self.turn);
        self.outputs.push_back(Output::Append(turn));
    }

    /// Notes the streams that the open turn has made longer; its heads end those signed before a change of the key.
    fn note_growth(&mut self) {
        let signed = |op: &SealedOp| self.turn.heads.iter().any(|(stream, ..)| *stream == op.op.stream);
        // Streams of other replicas are signed by those.
        let own = |op: &SealedOp| {
            let known = self.ledger.streams.get(&op.op.stream);
            known.is_some_and(|known| known.replica == Some(self.author.replica))
        };
        let grown = self.turn.ops.iter().filter(|op| own(op) && !signed(op)).map(|op| op.op.stream);
        self.unsigned.extend(grown);
        self.unsigned_turns += u64::from(!self.turn.ops.is_empty());
    }

    /// Signs the ends of the streams that grew since they were signed last.
    fn sign_heads(&mut self) {
        for stream in std::mem::take(&mut self.unsigned) {
            let head = self.ledger.head(&stream);
            self.turn.heads.push((stream, head, head.sign(&stream, &self.key)));
        }
        self.unsigned_turns = 0;
    }

    fn synced(&mut self) {
        let Some(mut release) = self.unsynced.pop_front() else { return };
        for (event, seq, body) in std::mem::take(&mut release.watch) {
            match body {
                Body::WatchSet(body) => self.watch.watch_set(event, body.nonce, &body.witnesses, seq),
                Body::HoldingAdmitted(body) => self.watch.admitted(event, body.nonce),
                _ => {}
            }
        }
        release.needs.iter_mut().for_each(|needs| self.watch.await_witnesses(needs));
        self.unwitnessed.push_back(release);
    }

    fn release(&mut self, release: Release) {
        let Release { replies, payments, projection, refold, .. } = release;
        for (ticket, answer) in replies {
            match self.reports.under_way.remove(&ticket) {
                None => self.outputs.push_back(Output::Reply(ticket, answer)),
                Some(Reporter::Device(device)) => {
                    if let Some(desk) = self.desks.get_mut(&device) {
                        desk.answered(answer.result.is_ok(), &self.ledger);
                    }
                }
                Some(Reporter::Watch) if answer.result.is_err() => self.watch.refused(),
                Some(Reporter::Watch) => {}
                Some(Reporter::Stock) => self.stock.answered(),
                Some(Reporter::Lease) => self.leases.answered(),
            }
        }
        if refold {
            self.outputs.push_back(Output::Refold);
        }
        if !payments.is_empty() {
            self.outputs.push_back(Output::Payments(payments));
        }
        if !projection.commands.is_empty() || !projection.events.is_empty() || !projection.orders.is_empty() {
            self.outputs.push_back(Output::Project(Box::new(projection)));
        }
    }

    fn finish_projection(&mut self) -> Projection {
        let mut projection = std::mem::take(&mut self.projection);
        projection.turn = self.turns;
        projection.items.sort();
        projection.items.dedup();
        projection.events.sort();
        projection.events.dedup();
        projection
    }

    /// Lets go of orders and keys that state.db holds now.
    fn projected(&mut self, turn: u64) {
        self.projected = self.projected.max(turn);
        // A command under way was looked up when the state held less; what came after that look stays at hand.
        let looked_up = self.waiting.values().map(|waiting| waiting.projected).min();
        let held = looked_up.map_or(self.projected, |oldest| oldest.min(self.projected));
        self.recent_keys.retain(|_, recent| recent.turn > held);
        let held = if self.planted.is(Mistake::StaleRow) { u64::MAX } else { held };
        let done: Vec<OpId> = self.order_turns.iter().filter(|(_, used)| **used <= held).map(|(id, _)| *id).collect();
        for id in done {
            self.order_turns.remove(&id);
            self.ledger.orders.remove(&id);
        }
    }
}

/// SKUs whose units or fields an op changes.
fn skus(op: &SealedOp, event: &OpId, ledger: &Ledger) -> Vec<String> {
    // A sale was just folded: its lines stand in the ledger, and its body need not be read once more.
    if let Some(order) = ledger.orders.get(&op.id()) {
        return order.sale.lines.iter().map(|line| line.sku.clone()).collect();
    }
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::ItemDefined(body)) => vec![body.sku],
        Ok(Body::StockMoved(body)) => vec![body.sku],
        // What a word leaves out rests from now on, and what it names does not any more.
        Ok(Body::HoldingAdmitted(_)) => {
            let limited = ledger.events.get(event).into_iter().flat_map(|event| event.limited());
            limited.map(|(sku, _)| sku.clone()).collect()
        }
        Ok(Body::OrderPlaced(body)) => body.lines.into_iter().map(|line| line.sku).collect(),
        Ok(Body::OrderOpened(body)) => body.lines.into_iter().map(|line| line.sku).collect(),
        Ok(Body::OrderRefunded(_) | Body::RefundUndone(_) | Body::OrderPaid(_) | Body::OrderCancelled(_)) => {
            let shown = |account: Account| account == Account::SOLD || account == Account::STOCK;
            let touched = |sku: &&String| {
                let unit = Unit::Pool(PoolId::of(event, sku));
                op.op.postings.iter().any(|posting| posting.unit == unit && shown(posting.account))
            };
            let items = ledger.events.get(event).map(|event| event.items.keys());
            items.into_iter().flatten().filter(touched).cloned().collect()
        }
        _ => Vec::new(),
    }
}
