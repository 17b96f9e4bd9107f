//! A kit with the real engine and driver, a simulated terminal, and a wire between them that can break at any byte.
//!
//! Promises: what the kit's journal has not is lost when the kit dies; what the terminal's journal has not is lost when
//! the terminal does. Bytes arrive at once and in order; what was in flight when the wire broke is gone.
//! Absent on purpose: jitter, and a crew that does more than try again when it may.

use crate::support::{NOON_MS, founded, key};
use fieldkit_core::body::*;
use fieldkit_core::decide::{Command, LineRequest, NewItem, OrderRequest, TenderRequest};
use fieldkit_core::id::{OpId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, CommandKey, Key, SealedOp};
use fieldkit_core::order::{Discount, Order, OrderState};
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_core::refusal::Refusal;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_drivers::terminal::Driver;
use fieldkit_drivers::terminal_peer::{Entry, Event, Fault, Peer, PeerInput, PeerOutput};
use fieldkit_engine::{
    Answer, Asked, DeviceInput, DeviceOutput, Engine, Input, Known, Link, Load, Outcome, Output, Projection, Ticket,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a broken wire stays broken.
const OUTAGE_MS: u64 = 3_000;
/// How soon a closed link is opened again.
const REOPEN_MS: u64 = 100;
/// Longer than any run should take.
const PATIENCE_MS: u64 = 3_600_000;
/// More rounds than any run takes.
const ROUNDS_MAX: u64 = 20_000;
/// How often the crew tries to charge the card for one order.
const TRIES_MAX: usize = 6;
/// What a sale is, in minor units.
const PRICE: i64 = 950;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToTerminal,
    ToKit,
}

/// What happens at a byte or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The wire breaks after so many bytes that way.
    Cut(Way, u64),
    /// The kit dies before its n-th output.
    KitDies(u64),
    /// The terminal loses power at its n-th output; a journal entry there is written.
    TerminalDies(u64),
}

/// How to make the two ends anew.
pub struct Ends {
    pub driver: Box<dyn Fn() -> Box<dyn Driver + Send>>,
    pub terminal: Box<dyn Fn(&[Entry]) -> Box<dyn Peer>>,
}

/// What the crew wants done with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Pay,
    PayAndVoid,
}

pub struct World {
    ends: Ends,
    engine: Engine,
    event: OpId,
    owner: Actor,
    pub device: OpId,
    /// The kit's own journal, and what `state.db` holds.
    pub journal: Vec<SealedOp>,
    keys: BTreeMap<Key, (Known, SealedOp)>,
    orders: BTreeMap<OpId, Arc<Order>>,
    answers: BTreeMap<Ticket, Answer>,
    tickets: u64,
    terminal: Box<dyn Peer>,
    /// The terminal's own.
    pub entries: Vec<Entry>,
    pub now_ms: u64,
    up: bool,
    reopen_ms: u64,
    dead_until_ms: u64,
    pub link: Link,
    pub plan: Option<Break>,
    /// Bytes so far, to the terminal and to the kit; outputs so far, of the kit and of the terminal.
    pub passed: [u64; 2],
    pub outputs: [u64; 2],
    wishes: Vec<(OpId, Plan)>,
    turn_open: bool,
    /// Turns that the disk has not synced, while it is slow.
    unsynced: Option<usize>,
}

impl World {
    pub fn new(ends: Ends) -> Self {
        let (engine, event, owner) = founded();
        let mut world = World {
            terminal: (ends.terminal)(&[]),
            ends,
            engine,
            event,
            owner,
            device: event,
            journal: Vec::new(),
            keys: BTreeMap::new(),
            orders: BTreeMap::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            entries: Vec::new(),
            now_ms: 1_000,
            up: false,
            reopen_ms: 0,
            dead_until_ms: 0,
            link: Link::Down,
            plan: None,
            passed: [0; 2],
            outputs: [0; 2],
            wishes: Vec::new(),
            turn_open: false,
            unsynced: None,
        };
        world.close_turn();
        let edits = vec![Edit::Name("Mug".to_owned()), Edit::Price(PRICE), Edit::Limit(Limit::Hard)];
        world
            .give(Command::AddItem(NewItem { sku: "MUG".to_owned(), edits, count: Some(9) }))
            .expect("the item is new");
        let accepted = DeviceAccepted {
            role: DeviceRole::Terminal,
            driver: "zvt".to_owned(),
            identity: "52523535".to_owned(),
            label: "terminal".to_owned(),
        };
        let Ok(Outcome::Device(device)) = world.give(Command::AcceptDevice(accepted)) else { panic!("no device") };
        world.device = device;
        world.engine.add_terminal(device, (world.ends.driver)());
        world.close_turn();
        world
    }

    /// An order for one mug, to be charged on the terminal.
    pub fn sell(&mut self, plan: Plan) {
        // A quiet minute: what begins now must not count its waits from the last byte.
        self.now_ms += 60_000;
        self.engine.tell_time(self.now_ms);
        let none = String::new;
        let request = OrderRequest {
            lines: vec![LineRequest {
                sku: "MUG".to_owned(),
                quantity: 1,
                price: None,
                discount: Discount::None,
                discount_reason: none(),
            }],
            discount: Discount::None,
            discount_reason: none(),
            tenders: vec![TenderRequest::Card { amount: None, device: None }],
            expected_total: None,
            source: Source { till: none(), campaign: none(), session: none(), variant: none() },
            cart_opened_ms: None,
        };
        match self.give(Command::PlaceOrder(request)) {
            Ok(Outcome::Order(order)) => self.wishes.push((order.order_id, plan)),
            other => panic!("no order: {other:?}"),
        }
    }

    /// Gives a person's command; where the kit dies before it answers, once more under the same key.
    fn give(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let key = Key::new(&(self.tickets + 1).to_be_bytes()).expect("eight bytes are within a key's length");
        for _ in 0..2 {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.hand(ticket, command.clone(), self.owner, CommandKey { key: key.clone(), fingerprint: [1; 16] });
            self.turn_open = true;
            while self.kit_output() {}
            if let Some(answer) = self.answers.remove(&ticket) {
                return answer.result;
            }
        }
        panic!("a command is answered when its turn is durable");
    }

    fn hand(&mut self, ticket: Ticket, command: Command, actor: Actor, key: CommandKey) {
        let wall_ms = NOON_MS + self.now_ms;
        let asked = Asked { command, event: Some(self.event), actor, key, wall_ms, quality: ClockQuality::System };
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
    }

    fn close_turn(&mut self) {
        self.turn_open = true;
        while self.kit_output() {}
    }

    /// From now on the disk takes its time; a command of the crew's is on its way to it.
    pub fn write_slowly(&mut self) {
        self.unsynced = Some(0);
        self.tickets += 1;
        let key = Key::new(b"slowly").expect("a key has 1 to 64 bytes");
        let command = Command::OpenDrawer { amount: 5_000 };
        self.hand(Ticket(self.tickets), command, self.owner, CommandKey { key, fingerprint: [1; 16] });
        self.close_turn();
        assert_eq!(self.unsynced, Some(1), "the turn is on its way");
    }

    /// The disk has synced what was on its way.
    pub fn sync(&mut self) {
        for _ in 0..self.unsynced.take().unwrap_or(0) {
            self.engine.handle(Input::Synced);
        }
        while self.kit_output() {}
    }

    /// Tells the kit what time it is; when it wants to hear of it next.
    pub fn wait(&mut self, by_ms: u64) -> Option<u64> {
        self.now_ms += by_ms;
        self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::Tick));
        self.engine.poll_timeout().map(|(at_ms, _)| at_ms)
    }

    fn look_up(&self, load: Load) -> Input {
        let answered = load.key.and_then(|key| self.keys.get(&key)).cloned();
        let spoken_of = answered.as_ref().and_then(|(_, op)| Ledger::wants(op));
        let wanted = [load.order, spoken_of].into_iter().flatten();
        let orders = wanted.filter_map(|id| self.orders.get(&id)).cloned().collect();
        Input::Loaded { ticket: load.ticket, answered, orders }
    }

    fn project(&mut self, projection: Projection) {
        for order in projection.orders {
            self.orders.insert(order.order_id, order);
        }
        for (key, known) in projection.commands {
            let op = self.journal.iter().find(|op| op.id() == known.op).expect("projected ops are durable");
            self.keys.insert(key, (known, op.clone()));
        }
        self.engine.handle(Input::Projected(projection.turn));
    }

    /// Carries one output of the kit out; `false` where there is none.
    fn kit_output(&mut self) -> bool {
        if self.plan == Some(Break::KitDies(self.outputs[0])) {
            self.plan = None;
            self.kill_kit();
            return true;
        }
        let Some(output) = self.engine.poll_output() else {
            // A desk's command is looked up and decided by now: its turn closes.
            let closes = std::mem::take(&mut self.turn_open);
            if closes {
                self.engine.handle(Input::EndOfBatch);
            }
            return closes;
        };
        self.outputs[0] += 1;
        match output {
            Output::Load(load) => {
                let loaded = self.look_up(load);
                self.engine.handle(loaded);
            }
            Output::Append(turn) => {
                self.journal.extend(turn.ops);
                match &mut self.unsynced {
                    Some(turns) => *turns += 1,
                    None => self.engine.handle(Input::Synced),
                }
            }
            Output::Reply(ticket, answer) => drop(self.answers.insert(ticket, *answer)),
            Output::Payments(_) => {}
            Output::Project(projection) => self.project(*projection),
            Output::Tell(..) | Output::Refold => panic!("this kit is alone"),
            Output::Decide(ticket, _, command, key) => {
                self.hand(ticket, *command, Actor::Device(Zero), key);
                self.turn_open = true;
            }
            Output::Device(_, DeviceOutput::Send(bytes)) => self.carry(Way::ToTerminal, &bytes),
            Output::Device(_, DeviceOutput::CloseLink) => {
                (self.up, self.reopen_ms) = (false, self.now_ms + REOPEN_MS);
                self.terminal.handle(self.now_ms, PeerInput::LinkDown);
                self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::LinkDown));
            }
            Output::Device(_, DeviceOutput::Show(shown)) => self.link = shown.link,
        }
        true
    }

    fn terminal_output(&mut self) -> bool {
        let Some(output) = self.terminal.poll_output() else { return false };
        let dies = self.plan == Some(Break::TerminalDies(self.outputs[1]));
        self.outputs[1] += 1;
        match output {
            PeerOutput::Journal(entry) => {
                self.entries.push(entry);
                if !dies {
                    self.terminal.handle(self.now_ms, PeerInput::Journalled);
                }
            }
            PeerOutput::Send(bytes) if !dies => self.carry(Way::ToKit, &bytes),
            PeerOutput::CloseLink if !dies => self.down(),
            PeerOutput::Send(_) | PeerOutput::CloseLink => {}
        }
        if dies {
            self.plan = None;
            self.terminal = (self.ends.terminal)(&self.entries);
            self.terminal.handle(self.now_ms, PeerInput::Tick);
            self.down();
            self.dead_until_ms = self.now_ms + OUTAGE_MS;
        }
        true
    }

    fn kill_kit(&mut self) {
        let mut engine = Engine::new(Ledger::default(), key(1), None);
        for op in &self.journal {
            engine.fold(op, None);
        }
        let folded = engine.take_folded();
        self.orders = folded.orders.iter().map(|order| (order.order_id, order.clone())).collect();
        (self.engine, self.turn_open) = (engine, false);
        self.project(folded);
        self.engine.add_terminal(self.device, (self.ends.driver)());
        self.terminal.handle(self.now_ms, PeerInput::LinkDown);
        (self.up, self.reopen_ms, self.link) = (false, self.now_ms + REOPEN_MS, Link::Down);
    }

    fn open(&mut self) {
        self.up = true;
        self.terminal.handle(self.now_ms, PeerInput::LinkUp);
        self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::LinkUp));
    }

    fn down(&mut self) {
        (self.up, self.reopen_ms) = (false, self.now_ms + REOPEN_MS);
        self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::LinkDown));
        self.terminal.handle(self.now_ms, PeerInput::LinkDown);
    }

    fn carry(&mut self, way: Way, bytes: &[u8]) {
        if self.dead_until_ms > self.now_ms || !self.up {
            return;
        }
        let begin = self.passed[way as usize];
        self.passed[way as usize] += bytes.len() as u64;
        let mut bytes = bytes.to_vec();
        let cut = match self.plan {
            Some(Break::Cut(of, at)) if of == way && begin <= at && at < begin + bytes.len() as u64 => {
                bytes.truncate((at - begin) as usize);
                true
            }
            _ => false,
        };
        match way {
            Way::ToTerminal => self.terminal.handle(self.now_ms, PeerInput::Bytes(bytes)),
            Way::ToKit => self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::Bytes(bytes))),
        }
        if cut {
            self.plan = None;
            self.dead_until_ms = self.now_ms + OUTAGE_MS;
            self.down();
        }
    }

    /// Runs until the crew has what it wants and both sides rest.
    pub fn run(&mut self) {
        let end_ms = self.now_ms + PATIENCE_MS;
        for _ in 0..ROUNDS_MAX {
            while self.kit_output() || self.terminal_output() {}
            if !self.up && self.reopen_ms <= self.now_ms && self.dead_until_ms <= self.now_ms {
                self.open();
                continue;
            }
            if self.crew() {
                continue;
            }
            if self.up && self.link == Link::Ready && self.wishes.is_empty() {
                return;
            }
            let reopen = (!self.up).then(|| self.reopen_ms.max(self.dead_until_ms));
            let device = self.engine.poll_timeout().map(|(at, _)| at);
            let due = [device, self.terminal.poll_timeout(), reopen].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end_ms) else { break };
            self.now_ms = self.now_ms.max(due);
            self.engine.handle(Input::Device(self.device, self.now_ms, DeviceInput::Tick));
            self.terminal.handle(self.now_ms, PeerInput::Tick);
        }
        let open: Vec<_> = self.wishes.iter().map(|(id, _)| self.told(&self.order(id))).collect();
        panic!(
            "no end at {} ms, {:?}, up {} link {:?} timeouts {:?} {:?}\n{open:#?}\n{:?}",
            self.now_ms,
            self.plan,
            self.up,
            self.link,
            self.engine.poll_timeout(),
            self.terminal.poll_timeout(),
            self.entries
        );
    }

    /// The crew's next step; `false` where it waits or is done.
    fn crew(&mut self) -> bool {
        let Some((id, plan)) = self.wishes.first().copied() else { return false };
        let order = self.order(&id);
        let rests = order.payments.iter().all(|payment| !payment.state().holds_terminal());
        if !rests || self.link != Link::Ready {
            return false;
        }
        match (order.state(), plan) {
            (OrderState::AwaitingPayment, _) if order.payments.len() < TRIES_MAX => {
                self.give(Command::BeginPayment { order: id, amount: None, device: None }).is_ok()
            }
            (OrderState::Paid, Plan::PayAndVoid) => {
                self.give(Command::Void { order: id, reason: "changed their mind".to_owned() }).is_ok()
            }
            _ => {
                self.wishes.remove(0);
                true
            }
        }
    }

    /// Somebody charges a card at the terminal itself, over what a sale of this day is.
    pub fn charge_by_hand(&mut self) {
        self.now_ms += 60_000;
        self.terminal.handle(self.now_ms, PeerInput::Fault(Fault::Foreign(PRICE)));
    }

    /// An order in short, for a run that went wrong.
    fn told(&self, order: &Order) -> String {
        let steps = |payment: &Payment| payment.moves.iter().map(|step| format!("{:?}", step.step)).collect::<Vec<_>>();
        let payments = order.payments.iter().map(|payment| format!("{} {:#?}", payment.state().text(), steps(payment)));
        format!("{}: {}", order.state().text(), payments.collect::<Vec<_>>().join("; "))
    }

    pub fn order(&self, id: &OpId) -> Arc<Order> {
        let found = self.engine.ledger().orders.get(id).or_else(|| self.orders.get(id));
        found.expect("an order of this run").clone()
    }

    pub fn payments(&self) -> Vec<Payment> {
        let ids: BTreeSet<OpId> = self.orders.keys().chain(self.engine.ledger().orders.keys()).copied().collect();
        ids.iter().flat_map(|id| self.order(id).payments.clone()).collect()
    }

    /// The terminal's journal and the ledger agree payment by payment, and nothing is left in doubt.
    #[track_caller]
    pub fn check(&self, plan: Option<Break>) {
        let orders: Vec<String> = self.orders.keys().map(|id| self.told(&self.order(id))).collect();
        let context = || format!("{plan:?}\n{orders:#?}\n{:?}", self.entries);
        let mut standing: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        for entry in &self.entries {
            let reference = (entry.receipt, entry.trace);
            match entry.event {
                Event::Committed => drop(standing.insert(reference, entry.amount.minor)),
                Event::Reversed | Event::AutoReversed | Event::Declined => drop(standing.remove(&reference)),
                Event::Approved | Event::Refunded | Event::Aborted | Event::EndOfDay | Event::Foreign => {}
            }
        }
        let mut booked: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        for payment in self.payments() {
            let standing = payment.standing();
            assert!(!payment.state().is_unknown() && !payment.state().holds_terminal(), "in doubt: {}", context());
            assert!(standing.against.is_empty(), "contradictions: {}", context());
            if payment.state() == PaymentState::Captured {
                let record = standing.record.expect("a captured payment has a record");
                let doubled = booked.insert((record.receipt, record.trace), record.amount);
                assert!(doubled.is_none(), "booked twice: {}", context());
            }
        }
        assert_eq!(booked, standing, "{}", context());
        let by_hand = self.entries.iter().filter(|entry| entry.event == Event::Foreign).count();
        let listed: usize = self.engine.ledger().events.values().map(|event| event.foreign.len()).sum();
        assert_eq!(listed, by_hand, "payments without order: {}", context());
        assert!(self.engine.ledger().anomalies.is_empty(), "{:?}: {}", self.engine.ledger().anomalies, context());
        let mut refolded = Ledger::default();
        for op in &self.journal {
            assert!(refolded.apply(op));
        }
        assert_eq!(refolded.state_bytes(), self.engine.ledger().state_bytes(), "the journal folds to the state");
    }

    /// Orders paid and not voided.
    pub fn paid(&self) -> usize {
        self.orders.keys().filter(|id| self.order(id).state() == OrderState::Paid).count()
    }
}
