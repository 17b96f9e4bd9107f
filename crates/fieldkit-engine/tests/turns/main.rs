//! The order of a turn, and commands that come twice, under a shell that does everything late.
//!
//! Promises checked: no reply before its ops are durable; one key, one op; the same key gets the same answer, in one
//! batch, across batches and after projection; the journal verifies and folds to the engine's own state.

#[path = "../support/mod.rs"]
mod support;

use fieldkit_core::body::{
    Baseline, Body, DeviceAccepted, DeviceRole, Edit, Limit, PaymentStep, RecordKind, RollbackNoticed, Source,
    StockReason, TerminalRecord,
};
use fieldkit_core::chain::ChainCheck;
use fieldkit_core::decide::{Command, LineRequest, NewItem, OrderRequest, StockChange, TenderRequest};
use fieldkit_core::id::{Hash, OpId, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, CommandKey, Head, Key, SealedOp};
use fieldkit_core::order::{Discount, Order, OrderState};
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_core::refusal::Refusal;
use fieldkit_core::snapshot;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_core::witness::{Sighting, Verdict};
use fieldkit_engine::{
    Answer, Asked, Engine, Input, Known, Load, Outcome, Output, Projection, SIGN_TURNS, Succession, Ticket, Turn,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use support::{NOON_MS, founded, key};

/// A shell whose disk, state and lookups are as late as the test wants.
struct Shell {
    engine: Engine,
    event: OpId,
    owner: Actor,
    /// Turns given to the disk and not yet synced.
    unsynced: VecDeque<Turn>,
    /// Ops that are durable.
    journal: Vec<SealedOp>,
    turns: Vec<Turn>,
    /// What `state.db` holds.
    keys: BTreeMap<Key, (Known, SealedOp)>,
    orders: BTreeMap<OpId, Arc<Order>>,
    unprojected: VecDeque<Projection>,
    /// Lookups done, their answers not yet given.
    lookups: VecDeque<Input>,
    hold_lookups: bool,
    asked: BTreeMap<Ticket, Key>,
    answers: BTreeMap<Ticket, Answer>,
    tickets: u64,
    /// The wall clock's time, where it stands still.
    stopped_ms: Option<u64>,
    /// What terminals were told to do, in the order in which it left.
    payments: Vec<Payment>,
}

impl Shell {
    fn new() -> Self {
        let (engine, event, owner) = founded();
        let mut shell = Shell {
            engine,
            event,
            owner,
            unsynced: VecDeque::new(),
            journal: Vec::new(),
            turns: Vec::new(),
            keys: BTreeMap::new(),
            orders: BTreeMap::new(),
            unprojected: VecDeque::new(),
            lookups: VecDeque::new(),
            hold_lookups: false,
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            stopped_ms: None,
            payments: Vec::new(),
        };
        shell.settle();
        for sku in ["MUG", "PRINT"] {
            let edits = vec![Edit::Name(sku.to_owned()), Edit::Price(333), Edit::Limit(Limit::Hard)];
            let new = NewItem { sku: sku.to_owned(), edits, count: Some(6) };
            shell.ask(sku.as_bytes(), 0, Command::AddItem(new));
        }
        shell.settle();
        shell
    }

    /// Gives a command; the fingerprint tells requests of one key apart.
    fn ask(&mut self, key: &[u8], fingerprint: u8, command: Command) -> Ticket {
        let key = Key::new(key).expect("a key has 1 to 64 bytes");
        self.ask_as(self.owner, CommandKey { key, fingerprint: [fingerprint; 16] }, command)
    }

    /// Reports a step of a payment under the key of the report.
    fn report(&mut self, payment: OpId, step: PaymentStep) -> Ticket {
        let open = &self.engine.ledger().events[&self.event].open_payments;
        let known = open.get(&payment).cloned().or_else(|| {
            let payments = self.orders.values().flat_map(|order| &order.payments);
            payments.into_iter().find(|known| known.payment_id == payment).cloned()
        });
        let known = known.expect("the payment is known");
        let (key, order) = (known.command_key(&step), known.order);
        self.ask_as(Actor::Device(Zero), key, Command::MovePayment { order, payment, step })
    }

    fn ask_as(&mut self, actor: Actor, key: CommandKey, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket, key.key.clone());
        let asked = Asked {
            command,
            event: Some(self.event),
            actor,
            key,
            wall_ms: self.stopped_ms.unwrap_or(NOON_MS + self.tickets * 1_000),
            quality: ClockQuality::System,
        };
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
        self.pump();
        ticket
    }

    fn pump(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Load(load) => {
                    let loaded = self.look_up(load);
                    self.lookups.push_back(loaded);
                }
                Output::Append(turn) => self.unsynced.push_back(turn),
                Output::Reply(ticket, answer) => {
                    let key = &self.asked[&ticket];
                    let durable = self.journal.iter().any(|op| op.op.key.as_ref().is_some_and(|own| own.key == *key));
                    assert!(durable, "an answer left before its ops were durable");
                    assert!(self.answers.insert(ticket, *answer).is_none(), "a command was answered twice");
                }
                Output::Payments(payments) => {
                    for payment in payments {
                        let told = payment.moves.last().map_or(payment.payment_id, |last| last.op);
                        let durable = self.journal.iter().any(|op| op.id() == told);
                        assert!(durable, "a payment left before its newest op was durable");
                        self.payments.push(payment);
                    }
                }
                Output::Project(projection) => self.unprojected.push_back(*projection),
                Output::Tell(..) | Output::Refold => panic!("this kit is alone"),
                Output::Device(..) | Output::Decide(..) => panic!("this kit works no terminal"),
            }
            if !self.hold_lookups {
                self.give_lookups();
            }
        }
    }

    /// What `state.db` says now, however late it will be told.
    fn look_up(&self, load: Load) -> Input {
        let answered = load.key.and_then(|key| self.keys.get(&key)).cloned();
        let spoken_of = answered.as_ref().and_then(|(_, op)| match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::OrderPlaced(_) | Body::OrderOpened(_)) => Some(op.id()),
            _ => Ledger::wants(op),
        });
        let wanted = [load.order, spoken_of].into_iter().flatten();
        let orders = wanted.filter_map(|id| self.orders.get(&id)).cloned().collect();
        Input::Loaded { ticket: load.ticket, answered, orders }
    }

    fn give_lookups(&mut self) {
        while let Some(loaded) = self.lookups.pop_front() {
            self.engine.handle(loaded);
        }
    }

    fn end_of_batch(&mut self) {
        self.engine.handle(Input::EndOfBatch);
        self.pump();
    }

    fn sign(&mut self) {
        self.engine.handle(Input::SignDue);
        self.end_of_batch();
        self.sync();
    }

    fn sync(&mut self) {
        let Some(turn) = self.unsynced.pop_front() else { return };
        self.journal.extend(turn.ops.iter().cloned());
        self.turns.push(turn);
        self.engine.handle(Input::Synced);
        self.pump();
    }

    fn project(&mut self) {
        let Some(projection) = self.unprojected.pop_front() else { return };
        for order in projection.orders {
            self.orders.insert(order.order_id, order);
        }
        for (key, known) in projection.commands {
            let op = self.journal.iter().find(|op| op.id() == known.op).expect("projected ops are durable");
            self.keys.insert(key, (known, op.clone()));
        }
        self.engine.handle(Input::Projected(projection.turn));
        self.pump();
    }

    /// Lets everything come in.
    fn settle(&mut self) {
        self.hold_lookups = false;
        self.give_lookups();
        self.pump();
        self.end_of_batch();
        while !self.unsynced.is_empty() || !self.unprojected.is_empty() {
            self.sync();
            self.project();
        }
    }

    /// Goes on under another key; what a key file would hold.
    fn follow(&mut self, nth: u8, noticed: RollbackNoticed) -> Succession {
        let key = key(nth);
        let succession = self.engine.succession(&key, "kit", noticed);
        let wall_ms = self.stopped_ms.unwrap_or(NOON_MS + 9_999);
        self.engine.follow(key, &succession, wall_ms, ClockQuality::System);
        succession
    }

    /// The process ends and starts again with the key `nth`: what was not durable is gone.
    fn start(&mut self, nth: u8, succession: Option<&Succession>) {
        self.unsynced.clear();
        let follows = succession.map(|succession| succession.follows);
        self.engine = Engine::new(Ledger::default(), key(nth), follows);
        for op in &self.journal {
            assert!(self.engine.fold(op, None), "the journal has no gap");
        }
        self.engine.signed(&self.turns.iter().flat_map(|turn| &turn.heads).map(|head| (head.0, head.1)).collect());
        self.unprojected.push_back(self.engine.take_folded());
        self.settle();
    }

    fn answer(&self, ticket: Ticket) -> &Answer {
        self.answers.get(&ticket).expect("the command was answered")
    }

    /// The journal from outside: chains, heads, keys, and the state that it folds to.
    fn check(&self) {
        let mut chain = ChainCheck::default();
        let mut ledger = Ledger::default();
        let mut keys = BTreeMap::new();
        let mut hashes = BTreeMap::new();
        for turn in &self.turns {
            for op in &turn.ops {
                chain.next(op.op.stream, op.op.seq, &op.bytes).expect("each op continues its chain");
                assert!(ledger.apply(op));
                hashes.insert(op.id(), op.hash);
                if let Some(key) = &op.op.key {
                    assert!(keys.insert(key.key.clone(), op.id()).is_none(), "a key was answered by two ops");
                }
            }
            for (stream, head, signature) in &turn.heads {
                let there = hashes.get(&OpId { stream: *stream, seq: head.seq }).copied();
                chain.signed_head(*stream, *head, there, signature).expect("each head is signed by its key");
            }
        }
        assert_eq!(ledger.state_bytes(), self.engine.ledger().state_bytes(), "the journal folds to the engine's state");
        for (id, order) in &self.orders {
            assert_eq!(ledger.orders.get(id), Some(order), "an order's row is what the journal says");
        }
    }
}

fn sale(units: i64) -> Command {
    Command::PlaceOrder(OrderRequest {
        lines: vec![LineRequest {
            sku: "MUG".to_owned(),
            quantity: units,
            price: None,
            discount: Discount::None,
            discount_reason: String::new(),
        }],
        discount: Discount::None,
        discount_reason: String::new(),
        tenders: vec![TenderRequest::Cash { minor: 5_000, currency: "EUR".to_owned() }],
        expected_total: None,
        source: Source { till: "a".into(), campaign: String::new(), session: String::new(), variant: String::new() },
        cart_opened_ms: None,
    })
}

/// The same sale by card, at a terminal that the kit accepted.
fn by_card(units: i64) -> Command {
    let Command::PlaceOrder(request) = sale(units) else { unreachable!("a sale places an order") };
    Command::PlaceOrder(OrderRequest { tenders: vec![TenderRequest::Card { amount: None, device: None }], ..request })
}

fn terminal() -> Command {
    Command::AcceptDevice(DeviceAccepted {
        role: DeviceRole::Terminal,
        driver: "zvt".to_owned(),
        identity: "52523535".to_owned(),
        label: "terminal".to_owned(),
    })
}

fn charge(amount: i64) -> TerminalRecord {
    TerminalRecord {
        kind: RecordKind::Payment,
        terminal_id: "52523535".to_owned(),
        receipt: 231,
        trace: 975,
        amount,
        currency: fieldkit_core::money::Currency::from_code("EUR").expect("EUR is in ISO 4217"),
        date: None,
        time: None,
        card_name: String::new(),
        masked_pan: String::new(),
        authorisation: String::new(),
        result: 0,
        reversed_trace: None,
    }
}

fn refund(order: OpId, units: u32) -> Command {
    Command::Refund { order, lines: Some(vec![(1, units)]), reason: "broken".to_owned(), restock: true, in_cash: false }
}

fn order_of(answer: &Answer) -> OpId {
    match &answer.result {
        Ok(Outcome::Order(order)) => order.order_id,
        other => panic!("an order was expected, not {other:?}"),
    }
}

/// Two answers that a client cannot tell apart.
#[track_caller]
fn check_same(first: &Answer, second: &Answer) {
    match (&first.result, &second.result) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (Err(first), Err(second)) => {
            assert_eq!((first.code(), first.to_string()), (second.code(), second.to_string()));
            assert_eq!((first.next_step(), first.status()), (second.next_step(), second.status()));
        }
        (first, second) => panic!("one key, two answers: {first:?} and {second:?}"),
    }
}

#[test]
fn a_key_twice_in_one_batch_is_one_sale() {
    let mut shell = Shell::new();
    let (first, second) = (shell.ask(b"k", 1, sale(1)), shell.ask(b"k", 1, sale(1)));
    shell.settle();
    check_same(shell.answer(first), shell.answer(second));
    assert!(!shell.answer(first).repeated && shell.answer(second).repeated);
    shell.check();
}

#[test]
fn a_key_twice_across_batches_is_one_sale() {
    let mut shell = Shell::new();
    let first = shell.ask(b"k", 1, sale(1));
    shell.end_of_batch();
    shell.sync();
    let second = shell.ask(b"k", 1, sale(1));
    shell.settle();
    check_same(shell.answer(first), shell.answer(second));
    shell.check();
}

#[test]
fn a_key_after_its_turn_was_projected_is_answered_from_the_state() {
    let mut shell = Shell::new();
    let first = shell.ask(b"k", 1, sale(1));
    shell.settle();
    assert!(shell.engine.ledger().orders.is_empty(), "orders are let go once the state holds them");
    let second = shell.ask(b"k", 1, sale(1));
    let order = order_of(shell.answer(first));
    let back = shell.ask(b"r", 2, refund(order, 1));
    shell.settle();
    let (third, again) = (shell.ask(b"k", 1, sale(1)), shell.ask(b"r", 2, refund(order, 1)));
    shell.settle();
    check_same(shell.answer(first), shell.answer(second));
    check_same(shell.answer(first), shell.answer(third));
    check_same(shell.answer(back), shell.answer(again));
    shell.check();
}

#[test]
fn a_lookup_that_comes_late_sells_nothing_twice() {
    let mut shell = Shell::new();
    shell.hold_lookups = true;
    let first = shell.ask(b"k", 1, sale(1));
    shell.give_lookups();
    let second = shell.ask(b"k", 1, sale(1));
    let other = shell.ask(b"o", 1, sale(1));
    // The lookup of the second was done before the first was projected, and is told after it.
    let late = shell.lookups.pop_front().expect("the second was looked up or answered from memory");
    shell.end_of_batch();
    shell.sync();
    shell.project();
    shell.engine.handle(late);
    shell.settle();
    shell.check();
    for ticket in [first, second, other] {
        assert!(shell.answer(ticket).result.is_ok());
    }
}

#[test]
fn an_order_looked_up_late_is_not_refunded_twice() {
    let mut shell = Shell::new();
    let sold = shell.ask(b"s", 1, sale(1));
    shell.settle();
    let order = order_of(shell.answer(sold));
    shell.hold_lookups = true;
    let first = shell.ask(b"a", 1, refund(order, 1));
    let second = shell.ask(b"b", 1, refund(order, 1));
    let early = shell.lookups.pop_front().expect("the order was looked up");
    shell.engine.handle(early);
    shell.end_of_batch();
    shell.sync();
    shell.project();
    shell.settle();
    assert!(shell.answer(first).result.is_ok());
    let refused = shell.answer(second).result.as_ref().err().map(Refusal::code);
    assert_eq!(refused, Some("refund_quantity"));
    shell.check();
}

#[test]
fn a_key_with_other_content_is_refused_with_both_fingerprints() {
    let mut shell = Shell::new();
    let first = shell.ask(b"k", 0xaa, sale(1));
    let in_batch = shell.ask(b"k", 0xbb, sale(2));
    shell.settle();
    let ops = shell.journal.len();
    let later = shell.ask(b"k", 0xcc, sale(3));
    shell.settle();
    assert!(shell.answer(first).result.is_ok());
    for (ticket, now) in [(in_batch, "bb"), (later, "cc")] {
        let expected = Refusal::KeyReused { then: "aa".repeat(16), now: now.repeat(16) };
        assert_eq!(shell.answer(ticket).result, Err(expected));
    }
    assert_eq!(shell.journal.len(), ops, "a reused key writes nothing");
    shell.check();
}

#[test]
fn a_refusal_is_recorded_and_repeated() {
    let mut shell = Shell::new();
    let first = shell.ask(b"k", 1, sale(7));
    shell.settle();
    // The stock is filled up; the same key is still refused, a new one sells.
    let more = Command::MoveStock { sku: "MUG".to_owned(), change: StockChange::By(9), reason: StockReason::Delivered };
    shell.ask(b"m", 1, more);
    let second = shell.ask(b"k", 1, sale(7));
    let other = shell.ask(b"n", 1, sale(7));
    shell.settle();
    check_same(shell.answer(first), shell.answer(second));
    assert_eq!(shell.answer(second).result.as_ref().err().map(Refusal::code), Some("sold_out"));
    assert!(shell.answer(other).result.is_ok());
    shell.check();
}

#[test]
fn later_commands_of_a_batch_see_earlier_ones() {
    let mut shell = Shell::new();
    let (first, second) = (shell.ask(b"a", 1, sale(4)), shell.ask(b"b", 1, sale(4)));
    shell.settle();
    assert!(shell.answer(first).result.is_ok());
    assert_eq!(shell.answer(second).result.as_ref().err().map(Refusal::code), Some("sold_out"));
}

#[test]
fn answers_of_the_next_turn_wait_for_the_next_sync() {
    let mut shell = Shell::new();
    let first = shell.ask(b"a", 1, sale(1));
    shell.end_of_batch();
    let second = shell.ask(b"b", 1, sale(1));
    shell.sync();
    assert!(shell.answers.contains_key(&first) && !shell.answers.contains_key(&second));
    shell.settle();
    assert!(shell.answers.contains_key(&second));
    shell.check();
}

#[test]
fn a_batch_of_repeats_waits_for_the_turn_before_it() {
    let mut shell = Shell::new();
    let first = shell.ask(b"a", 1, sale(1));
    shell.end_of_batch();
    let second = shell.ask(b"a", 1, sale(1));
    shell.end_of_batch();
    assert!(!shell.answers.contains_key(&first) && !shell.answers.contains_key(&second));
    shell.settle();
    check_same(shell.answer(first), shell.answer(second));
    shell.check();
}

#[test]
fn a_kit_that_went_back_goes_on_as_a_new_replica() {
    let mut shell = Shell::new();
    let sold = shell.ask(b"a", 1, sale(2));
    shell.settle();
    let (old, order) = (shell.engine.replica(), order_of(shell.answer(sold)));
    let sighting = RollbackNoticed { witness: "slip".to_owned(), stream: order.stream, seen: 99, found: order.seq };
    shell.follow(2, sighting);
    let new = shell.engine.replica();
    assert_ne!(old, new);
    let next = shell.ask(b"b", 1, sale(1));
    let back = shell.ask(b"c", 1, refund(order, 1));
    let again = shell.ask(b"a", 1, sale(2));
    shell.settle();
    check_same(shell.answer(sold), shell.answer(again));
    assert!(shell.answer(back).result.is_ok());
    let placed = match &shell.answer(next).result {
        Ok(Outcome::Order(order)) => order.receipt().map(|(_, number)| number),
        other => panic!("the new replica sells: {other:?}"),
    };
    assert_eq!(placed, Some(1), "a new replica has a series of its own");
    let ledger = shell.engine.ledger();
    assert!(ledger.replicas.contains_key(&new) && ledger.anomalies.is_empty());
    shell.check();
}

fn page(stream: StreamId) -> RollbackNoticed {
    RollbackNoticed { witness: "page".to_owned(), stream, seen: 99, found: 1 }
}

#[test]
fn what_a_new_key_is_owed_is_written_by_the_next_start() {
    let mut shell = Shell::new();
    let stream = shell.engine.newest_stream();
    let succession = shell.follow(2, page(stream));
    shell.end_of_batch();
    let written = shell.unsynced.back().map(|turn| turn.ops.len());
    assert_eq!(written, Some(3), "an opening, the admission and why");
    // The kit dies of this sync.
    shell.start(2, Some(&succession));
    let new = shell.engine.replica();
    assert!(!shell.engine.ledger().replicas.contains_key(&new), "nobody knows of the new key");
    assert!(shell.engine.complete(&succession, NOON_MS, ClockQuality::System));
    shell.settle();
    assert!(shell.engine.ledger().replicas.contains_key(&new));
    let says = |op: &SealedOp| Body::open(op.op.kind, &op.op.body).ok() == Some(Body::RollbackNoticed(page(stream)));
    assert_eq!(shell.journal.iter().filter(|op| says(op)).count(), 1);
    shell.start(2, Some(&succession));
    assert!(!shell.engine.complete(&succession, NOON_MS, ClockQuality::System), "it is owed nothing more");
    // The next one is admitted by a key that was admitted.
    shell.follow(3, page(shell.engine.newest_stream()));
    shell.settle();
    assert!(shell.engine.ledger().replicas.contains_key(&shell.engine.replica()));
    assert!(shell.engine.ledger().anomalies.is_empty());
    shell.check();
}

#[test]
fn a_key_that_another_one_went_on_for_is_noticed_and_given_up() {
    let mut shell = Shell::new();
    shell.ask(b"terminal", 0, terminal());
    shell.settle();
    for nth in [2, 3] {
        shell.follow(nth, page(shell.engine.newest_stream()));
        shell.settle();
        assert_eq!(shell.engine.key_went_back(), None, "{nth} is the newest key");
    }
    let (newest, sold) = (shell.engine.replica(), shell.ask(b"a", 1, by_card(1)));
    shell.settle();
    assert!(shell.answer(sold).result.is_ok());
    for nth in [1, 2] {
        shell.start(nth, None);
        let noticed = shell.engine.key_went_back().expect("a newer key wrote here");
        let stream = StreamId::of(&newest, &Space::ORGANISATION);
        let expected = RollbackNoticed { witness: "journal".to_owned(), stream, seen: 3, found: 0 };
        assert_eq!(noticed, expected, "{nth}");
    }
    let noticed = shell.engine.key_went_back().expect("a newer key wrote here");
    let succession = shell.follow(4, noticed);
    assert_eq!(succession.follows, newest, "the line goes on from its end");
    shell.settle();
    assert_eq!(shell.engine.key_went_back(), None);
    let ledger = shell.engine.ledger();
    let payments: Vec<_> = ledger.events[&shell.event].open_payments.values().collect();
    assert_eq!(payments.len(), 1);
    assert!(payments.iter().all(|payment| ledger.runs_payment(shell.engine.replica(), payment)));
    assert!(ledger.replicas.contains_key(&shell.engine.replica()) && ledger.anomalies.is_empty());
    shell.check();
}

#[test]
fn an_own_stream_that_is_lost_whole_is_a_roll_back() {
    let mut shell = Shell::new();
    shell.follow(2, page(shell.engine.newest_stream()));
    shell.settle();
    let seen = |stream| Sighting::Head { stream, head: Head { seq: 7, hash: Hash::of(b"7") } };
    let check = |shell: &Shell, stream, expected: Verdict| {
        assert_eq!(shell.engine.judge(&seen(stream), |_| None), (stream, 7, expected));
    };
    let own = shell.engine.newest_stream();
    assert_eq!(shell.engine.ledger().head(&own).seq, 0, "the new key has not sold");
    check(&shell, own, Verdict::Ahead);
    check(&shell, StreamId([5; 16]), Verdict::UnknownStream);
}

#[test]
fn a_repeat_says_the_same_although_the_clock_stood_and_the_kit_started_again_as_another() {
    let mut shell = Shell::new();
    shell.stopped_ms = Some(NOON_MS - 999);
    let sold = shell.ask(b"a", 1, sale(3));
    shell.settle();
    let order = order_of(shell.answer(sold));
    shell.ask(b"b", 1, refund(order, 1));
    shell.settle();
    shell.start(1, None);
    shell.follow(2, page(order.stream));
    let last = shell.ask(b"c", 1, refund(order, 1));
    shell.settle();
    let again = shell.ask(b"c", 1, refund(order, 1));
    shell.settle();
    check_same(shell.answer(last), shell.answer(again));
    let stamps: Vec<_> = shell.journal.iter().map(|op| op.op.stamp).collect();
    assert!(stamps.is_sorted(), "no stamp goes back: {stamps:?}");
    shell.check();
}

#[test]
fn ends_are_signed_after_64_turns_and_when_it_is_due() {
    let mut shell = Shell::new();
    shell.sign();
    let begun = shell.turns.len();
    let signed = |shell: &Shell| shell.turns[begun..].iter().map(|turn| turn.heads.len()).collect::<Vec<_>>();
    for turn in 0..SIGN_TURNS {
        shell.ask(&turn.to_be_bytes(), 1, sale(1));
        shell.settle();
    }
    let mut expected = vec![0; SIGN_TURNS as usize - 1];
    expected.push(1);
    assert_eq!(signed(&shell), expected);
    shell.sign();
    assert_eq!(signed(&shell), expected, "a signed end is not signed again");
    shell.ask(b"one more", 1, sale(1));
    shell.settle();
    shell.sign();
    expected.extend([0, 1]);
    assert_eq!(signed(&shell), expected);
    assert_eq!(shell.turns.last().map(|turn| turn.ops.len()), Some(0), "a signature needs no op");
    shell.check();
}

#[test]
fn an_end_that_a_kill_left_unsigned_is_signed_after_the_start() {
    let mut shell = Shell::new();
    shell.sign();
    let signed: BTreeMap<_, _> =
        shell.turns.iter().flat_map(|turn| &turn.heads).map(|(stream, head, _)| (*stream, *head)).collect();
    shell.ask(b"k", 1, sale(1));
    shell.settle();
    let mut engine = Engine::new(Ledger::default(), shell.engine.signing_key().clone(), None);
    for op in &shell.journal {
        engine.fold(op, None);
    }
    engine.signed(&signed);
    engine.handle(Input::SignDue);
    engine.handle(Input::EndOfBatch);
    let Some(Output::Append(turn)) = engine.poll_output() else { panic!("nothing is signed") };
    let stream = shell.engine.newest_stream();
    let head = shell.engine.ledger().head(&stream);
    assert_eq!(turn.heads.iter().map(|(stream, head, _)| (*stream, *head)).collect::<Vec<_>>(), [(stream, head)]);
    assert_eq!(turn.ops, []);
}

#[test]
fn a_follower_of_an_open_turn_signs_no_head_of_the_old_key() {
    let mut shell = Shell::new();
    shell.ask(b"a", 1, sale(1));
    let stream = shell.engine.newest_stream();
    let sighting = RollbackNoticed { witness: "page".to_owned(), stream, seen: 99, found: 1 };
    shell.follow(2, sighting);
    shell.settle();
    shell.check();
}

/// One thing that a shell may do next.
#[derive(Clone, Debug)]
enum Step {
    Sell { key: u8, units: i64 },
    Refund { key: u8, order: usize },
    EndOfBatch,
    Sync,
    Project,
    HoldLookups(bool),
    GiveLookup,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, 0i64..3).prop_map(|(key, units)| Step::Sell { key, units }),
        4 => (20u8..28, any::<usize>()).prop_map(|(key, order)| Step::Refund { key, order }),
        4 => Just(Step::EndOfBatch),
        4 => Just(Step::Sync),
        3 => Just(Step::Project),
        1 => any::<bool>().prop_map(Step::HoldLookups),
        2 => Just(Step::GiveLookup),
    ]
}

proptest! {
    #[test]
    fn no_schedule_of_the_shell_breaks_a_promise(steps in vec(step(), 1..60)) {
        let mut shell = Shell::new();
        let mut requests: BTreeMap<u8, (Command, Vec<Ticket>)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Sell { key, units } => {
                    // The first request of a key decides what the key means; later ones repeat it.
                    let (command, tickets) = requests.entry(key).or_insert_with(|| (sale(units), Vec::new()));
                    tickets.push(shell.ask(&[key], key, command.clone()));
                }
                Step::Refund { key, order } => {
                    let known: Vec<OpId> = shell.engine.ledger().orders.keys().chain(shell.orders.keys()).copied().collect();
                    let order = known.get(order % known.len().max(1)).copied().unwrap_or(shell.event);
                    let (command, tickets) = requests.entry(key).or_insert_with(|| (refund(order, 1), Vec::new()));
                    tickets.push(shell.ask(&[key], key, command.clone()));
                }
                Step::EndOfBatch => shell.end_of_batch(),
                Step::Sync => shell.sync(),
                Step::Project => shell.project(),
                Step::HoldLookups(hold) => shell.hold_lookups = hold,
                Step::GiveLookup => {
                    if let Some(loaded) = shell.lookups.pop_front() {
                        shell.engine.handle(loaded);
                        shell.pump();
                    }
                }
            }
        }
        shell.settle();
        shell.check();
        for (_, tickets) in requests.values() {
            let answers: Vec<&Answer> = tickets.iter().map(|ticket| shell.answer(*ticket)).collect();
            prop_assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1, "one key, one deed");
            for answer in &answers {
                check_same(answers[0], answer);
            }
        }
    }
}

#[test]
fn a_payment_leaves_only_after_its_intent_is_durable() {
    let mut shell = Shell::new();
    shell.ask(b"t", 1, terminal());
    shell.settle();
    shell.ask(b"k", 1, by_card(2));
    shell.end_of_batch();
    assert!(shell.payments.is_empty(), "no terminal hears of an amount that is not on the disk");
    shell.sync();
    assert_eq!(shell.payments.iter().map(Payment::state).collect::<Vec<_>>(), [PaymentState::Intended]);
    shell.settle();
    let payment = shell.payments[0].payment_id;
    shell.report(payment, PaymentStep::Sent(Baseline::default()));
    shell.end_of_batch();
    assert_eq!(shell.payments.len(), 1);
    shell.settle();
    assert_eq!(shell.payments.last().map(Payment::state), Some(PaymentState::Sent));
    shell.check();
}

#[test]
fn a_report_told_twice_is_answered_and_written_once() {
    let mut shell = Shell::new();
    shell.ask(b"t", 1, terminal());
    shell.settle();
    let sold = shell.ask(b"k", 1, by_card(2));
    shell.settle();
    let payment = shell.payments[0].payment_id;
    let mut tickets = Vec::new();
    for step in [
        PaymentStep::Sent(Baseline::default()),
        PaymentStep::Approved(charge(666)),
        PaymentStep::Approved(charge(666)),
        PaymentStep::Captured(Zero),
        PaymentStep::Approved(charge(666)),
        PaymentStep::Captured(Zero),
    ] {
        tickets.push(shell.report(payment, step));
        shell.settle();
    }
    let repeated: Vec<bool> = tickets.iter().map(|ticket| shell.answer(*ticket).repeated).collect();
    assert_eq!(repeated, [false, false, true, false, true, true], "PAY-05");
    check_same(shell.answer(tickets[1]), shell.answer(tickets[2]));
    check_same(shell.answer(tickets[3]), shell.answer(tickets[5]));
    let order = shell.orders.values().next().expect("one order was placed");
    assert_eq!((order.state(), order.payments[0].moves.len()), (OrderState::Paid, 3));
    // The sale itself, asked again: the answer that was given then, which waited for the card.
    let again = shell.ask(b"k", 1, by_card(2));
    shell.settle();
    check_same(shell.answer(sold), shell.answer(again));
    let refused = shell.ask(b"v", 1, Command::CancelOrder { order: order_of(shell.answer(sold)), reason: "x".into() });
    shell.settle();
    let twice = shell.ask(b"v", 1, Command::CancelOrder { order: order_of(shell.answer(sold)), reason: "x".into() });
    shell.settle();
    check_same(shell.answer(refused), shell.answer(twice));
    assert!(matches!(&shell.answer(twice).result, Err(refusal) if refusal.status() == 409));
    shell.check();
}

#[test]
fn a_start_from_a_snapshot_knows_what_is_open() {
    let mut shell = Shell::new();
    shell.ask(b"t", 1, terminal());
    shell.ask(b"k", 1, by_card(2));
    shell.settle();
    let payment = shell.payments[0].payment_id;
    shell.report(payment, PaymentStep::Sent(Baseline::default()));
    shell.settle();
    let (bytes, known) = (shell.engine.ledger().state_bytes(), shell.journal.len());
    assert!(shell.engine.ledger().orders.is_empty(), "orders are let go, what is open about them is not");
    for step in [PaymentStep::Unknown("power".to_owned()), PaymentStep::Approved(charge(666))] {
        shell.report(payment, step);
        shell.settle();
    }
    let ledger = snapshot::read(&bytes).expect("a snapshot reads back");
    let mut engine = Engine::new(ledger, key(1), None);
    let open = |engine: &Engine| engine.ledger().events[&shell.event].open_payments[&payment].state();
    assert_eq!(open(&engine), PaymentState::Sent);
    // The state on disk may hold the order as it was later; folding what is known already changes nothing.
    for op in &shell.journal[known..] {
        let order = Ledger::wants(op).and_then(|id| shell.orders.get(&id)).cloned();
        assert!(engine.fold(op, order.map(Arc::unwrap_or_clone)));
    }
    assert_eq!(open(&engine), PaymentState::Approved);
    assert_eq!(engine.ledger().state_bytes(), shell.engine.ledger().state_bytes());
    let projection = engine.take_folded();
    assert_eq!(projection.orders, shell.orders.values().cloned().collect::<Vec<_>>());
    shell.check();
}
