//! Leases by the clocks of two kits: a term is counted on a clock that only goes forward, a start makes a lease rest until a
//! second source confirms the time, and its giver says when it is over.
//!
//! Promises checked: each edge of term and margin; what a start forgets; wall clocks that are wrong by years.

#[path = "../support/mod.rs"]
mod support;

use ed25519_dalek::Signer;
use fieldkit_core::body::{Body, Edit, Limit, ReplicaAdmitted, Source};
use fieldkit_core::decide::{Command, LineRequest, NewItem, OrderRequest, TenderRequest};
use fieldkit_core::id::{OpId, PoolId, Zero};
use fieldkit_core::lease::{MARGIN_MS, TERM_MS_MIN};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, CommandKey, Key, SealedOp};
use fieldkit_core::order::Discount;
use fieldkit_core::rights::count;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_engine::{Asked, Engine, Foreign, Input, Output, Ticket};
use support::{NOON_MS, founded, key, replica};

const YEAR_MS: i64 = 31_536_000_000;
/// What a holder may use of the term of all leases here.
const USABLE_MS: u64 = TERM_MS_MIN - MARGIN_MS;

/// A kit whose disk is quick. Its clock counts from its start, its wall clock may be wrong.
struct Kit {
    number: u8,
    engine: Engine,
    event: OpId,
    owner: Actor,
    journal: Vec<SealedOp>,
    tickets: u64,
    begun_ms: u64,
    wall_off_ms: i64,
    quality: ClockQuality,
}

impl Kit {
    fn found() -> Self {
        let (engine, event, owner) = founded();
        let (journal, quality) = (Vec::new(), ClockQuality::System);
        let (tickets, begun_ms, wall_off_ms) = (0, 0, 0);
        let mut kit = Kit { number: 1, engine, event, owner, journal, tickets, begun_ms, wall_off_ms, quality };
        kit.settle(0);
        kit
    }

    /// A new process, whose clock begins at any number.
    fn start(&mut self, now_ms: u64) {
        self.engine = Engine::new(Ledger::default(), key(self.number), None);
        for op in &self.journal {
            self.engine.fold(op, None);
        }
        self.engine.take_folded();
        self.begun_ms = now_ms;
        self.tick(now_ms);
    }

    fn feed(&mut self, now_ms: u64, input: Input) {
        self.engine.tell_time(now_ms - self.begun_ms);
        self.engine.handle(input);
        self.settle(now_ms);
    }

    fn tick(&mut self, now_ms: u64) {
        self.feed(now_ms, Input::Tick(now_ms - self.begun_ms));
    }

    /// Gives a command; what it wrote, or the code of the refusal.
    fn ask(&mut self, now_ms: u64, command: Command) -> Result<Vec<SealedOp>, String> {
        let before = self.journal.len();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let name = [&[self.number][..], &self.tickets.to_be_bytes(), &now_ms.to_be_bytes()].concat();
        let key = Key::new(&name).expect("17 bytes are within a key's length");
        self.engine.tell_time(now_ms - self.begun_ms);
        self.give(now_ms, ticket, self.owner, command, CommandKey { key, fingerprint: [0; 16] });
        let answer = self.settle(now_ms).expect("a command is answered");
        answer.map(|()| self.journal[before..].to_vec())
    }

    fn give(&mut self, now_ms: u64, ticket: Ticket, actor: Actor, command: Command, key: CommandKey) {
        let wall_ms = (NOON_MS + now_ms).saturating_add_signed(self.wall_off_ms);
        let asked = Asked { command, event: Some(self.event), actor, key, wall_ms, quality: self.quality };
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
    }

    fn settle(&mut self, now_ms: u64) -> Option<Result<(), String>> {
        let mut answered = None;
        loop {
            self.engine.handle(Input::EndOfBatch);
            let Some(output) = self.engine.poll_output() else { return answered };
            match output {
                Output::Load(load) => {
                    let (ticket, orders) = (load.ticket, Vec::new());
                    self.engine.handle(Input::Loaded { ticket, answered: None, orders });
                }
                Output::Append(turn) => {
                    self.journal.extend(turn.ops);
                    self.engine.handle(Input::Synced);
                }
                Output::Reply(_, answer) => {
                    answered = Some(answer.result.map(|_| ()).map_err(|refusal| refusal.code().to_owned()));
                }
                Output::Decide(ticket, _, command, key) => {
                    self.give(now_ms, ticket, Actor::Device(Zero), *command, key);
                }
                Output::Payments(_) | Output::Project(_) | Output::Tell(..) => {}
                Output::Device(..) | Output::Refold => panic!("there is nothing of the kind"),
            }
        }
    }

    /// Takes over what another kit has.
    fn hear(&mut self, now_ms: u64, other: &Kit) {
        let new = |op: &&SealedOp| op.op.seq > self.engine.ledger().head(&op.op.stream).seq;
        let ops: Vec<SealedOp> = other.journal.iter().filter(new).cloned().collect();
        self.feed(now_ms, Input::Foreign(Box::new(Foreign { ops, ..Foreign::default() })));
    }

    /// Sells one mug; whether the sale names it.
    fn names(&mut self, now_ms: u64) -> bool {
        let line = LineRequest {
            sku: "MUG".to_owned(),
            quantity: 1,
            price: None,
            discount: Discount::None,
            discount_reason: String::new(),
        };
        let none = String::new;
        let order = OrderRequest {
            lines: vec![line],
            discount: Discount::None,
            discount_reason: String::new(),
            tenders: vec![TenderRequest::Cash { minor: 333, currency: "EUR".to_owned() }],
            expected_total: None,
            source: Source { till: "a".to_owned(), campaign: none(), session: none(), variant: none() },
            cart_opened_ms: None,
        };
        let ops = self.ask(now_ms, Command::PlaceOrder(order)).expect("soft goods sell on");
        let bodies = ops.iter().filter_map(|op| Body::open(op.op.kind, &op.op.body).ok());
        let sale =
            bodies.filter_map(|body| if let Body::OrderPlaced(body) = body { Some(body) } else { None }).next_back();
        count(&sale.expect("a sale is an op").lines[0].units) == 1
    }

    /// Leases to the other kit in force here, and units of theirs that lapsed.
    fn leases(&self) -> (usize, Vec<u64>) {
        let bodies = self.journal.iter().filter_map(|op| Body::open(op.op.kind, &op.op.body).ok());
        let lapsed = bodies.filter_map(|body| if let Body::LeaseLapsed(body) = body { Some(body) } else { None });
        (self.engine.ledger().events[&self.event].leases.len(), lapsed.map(|body| count(&body.ranges)).collect())
    }
}

/// Two kits of one organisation and ten mugs at the first; each has sold one, and the other has heard of it, at `at_ms`.
fn stall(at_ms: u64) -> (Kit, Kit) {
    let mut giver = Kit::found();
    let proof = key(1).sign(&ReplicaAdmitted::signed_bytes(&replica(2), "kit B")).to_bytes();
    giver
        .ask(0, Command::AdmitReplica { replica: replica(2), label: "kit B".to_owned(), proof })
        .expect("an owner admits");
    let edits = vec![Edit::Name("MUG".to_owned()), Edit::Price(333), Edit::Limit(Limit::Soft)];
    let item = NewItem { sku: "MUG".to_owned(), edits, count: Some(10) };
    giver.ask(0, Command::AddItem(item)).expect("the item is in order");
    let engine = Engine::new(Ledger::default(), key(2), None);
    let (event, owner, quality) = (giver.event, giver.owner, ClockQuality::System);
    let (tickets, begun_ms, wall_off_ms) = (0, 0, 0);
    let mut holder =
        Kit { number: 2, engine, event, owner, journal: Vec::new(), tickets, begun_ms, wall_off_ms, quality };
    holder.hear(at_ms, &giver);
    assert!(!giver.names(at_ms) && !holder.names(at_ms), "ordinary goods are sold without a name");
    giver.hear(at_ms, &holder);
    (giver, holder)
}

fn lease(giver: &mut Kit, now_ms: u64, quantity: i64) -> Result<Vec<SealedOp>, String> {
    let (sku, reason) = ("MUG".to_owned(), String::new());
    giver.ask(now_ms, Command::LeaseRights { sku, quantity, to: replica(2), term_ms: TERM_MS_MIN, reason })
}

#[test]
fn a_holder_counts_from_what_the_giver_had_heard_of_it() {
    let (mut giver, mut holder) = stall(1_000);
    // The giver gives it 30 s after it heard of the holder, and the message takes another 30 s.
    lease(&mut giver, 31_000, 4).expect("nine are here");
    holder.hear(61_000, &giver);
    assert!(holder.names(61_000));
    assert!(holder.names(1_000 + USABLE_MS - 1));
    assert!(!holder.names(1_000 + USABLE_MS), "it may have been given to it then, for all it knows");
}

#[test]
fn a_giver_waits_a_margin_longer_than_the_term() {
    let (mut giver, mut holder) = stall(1_000);
    lease(&mut giver, 2_000, 4).expect("nine are here");
    let over_ms = giver.engine.poll_watch().expect("it waits for the end");
    assert_eq!(over_ms, 2_000 + TERM_MS_MIN + MARGIN_MS);
    holder.hear(3_000, &giver);
    assert!(holder.names(3_000));
    giver.hear(4_000, &holder);
    giver.tick(over_ms - 1);
    assert_eq!(giver.leases(), (1, vec![]));
    giver.tick(over_ms);
    assert_eq!(giver.leases(), (0, vec![3]), "one of the four was sold");
    assert_eq!(giver.engine.poll_watch(), None);
    holder.hear(over_ms, &giver);
    assert!(holder.engine.ledger().anomalies.is_empty() && !holder.names(over_ms));
}

#[test]
fn after_a_start_a_lease_rests_and_a_wrong_wall_clock_does_not_wake_it() {
    let (mut giver, mut holder) = stall(1_000);
    lease(&mut giver, 2_000, 4).expect("nine are here");
    holder.hear(3_000, &giver);
    assert!(holder.names(3_000));
    for wall_off_ms in [-10 * YEAR_MS, 0, 10 * YEAR_MS] {
        holder.wall_off_ms = wall_off_ms;
        holder.start(4_000);
        assert!(!holder.names(5_000), "nobody says how long it was away");
    }
    let pool = PoolId::of(&holder.event, "MUG");
    let own = holder.engine.replica();
    let event = &holder.engine.ledger().events[&holder.event];
    let here = event.here_for(pool, &own, &holder.engine.leases(holder.event).live);
    assert_eq!(here, event.here(pool) - 3, "what rests is not here");
}

#[test]
fn a_second_source_at_both_ends_wakes_what_rests() {
    let (mut giver, mut holder) = stall(1_000);
    giver.quality = ClockQuality::Confirmed;
    lease(&mut giver, 2_000, 4).expect("nine are here");
    holder.hear(3_000, &giver);
    holder.start(4_000);
    assert!(!holder.names(5_000));
    holder.quality = ClockQuality::Confirmed;
    assert!(holder.names(6_000));
    // From then on its own clock counts, whatever becomes of the other.
    (holder.quality, holder.wall_off_ms) = (ClockQuality::System, -10 * YEAR_MS);
    assert!(holder.names(2_000 + USABLE_MS - 1));
    assert!(!holder.names(2_000 + USABLE_MS));
    // A time service that is suddenly years off is not believed either.
    holder.quality = ClockQuality::Confirmed;
    assert!(!holder.names(2_001 + USABLE_MS));
}

#[test]
fn a_lease_of_a_giver_that_nobody_confirmed_stays_at_rest() {
    let (mut giver, mut holder) = stall(1_000);
    giver.wall_off_ms = 10 * YEAR_MS;
    lease(&mut giver, 2_000, 4).expect("nine are here");
    holder.hear(3_000, &giver);
    holder.start(4_000);
    holder.quality = ClockQuality::Confirmed;
    assert!(!holder.names(5_000));
}

#[test]
fn a_giver_that_was_started_waits_a_whole_term_more_or_for_a_second_source() {
    for confirmed in [false, true] {
        let (mut giver, _) = stall(1_000);
        giver.quality = if confirmed { ClockQuality::Confirmed } else { ClockQuality::System };
        lease(&mut giver, 2_000, 4).expect("nine are here");
        let (term_over_ms, begun_ms) = (2_000 + TERM_MS_MIN + MARGIN_MS, 100_000);
        giver.wall_off_ms = if confirmed { 0 } else { 10 * YEAR_MS };
        giver.start(begun_ms);
        assert!(!giver.names(term_over_ms - 1));
        assert_eq!(giver.leases(), (1, vec![]));
        assert!(!giver.names(term_over_ms));
        let ended = if confirmed { (0, vec![4]) } else { (1, vec![]) };
        assert_eq!(giver.leases(), ended, "confirmed: {confirmed}");
        giver.tick(begun_ms + TERM_MS_MIN + MARGIN_MS);
        assert_eq!(giver.leases(), (0, vec![4]));
    }
}

#[test]
fn the_one_that_goes_on_for_a_giver_ends_its_leases() {
    let (mut giver, mut holder) = stall(1_000);
    lease(&mut giver, 2_000, 4).expect("nine are here");
    holder.hear(3_000, &giver);
    let stream = giver.engine.newest_stream();
    let witness = "page".to_owned();
    let noticed = fieldkit_core::body::RollbackNoticed { witness, stream, seen: 9, found: 7 };
    let succession = giver.engine.succession(&key(41), "kit", noticed);
    giver.engine.follow(key(41), &succession, NOON_MS + 4_000, ClockQuality::System);
    giver.settle(4_000);
    giver.tick(2_000 + TERM_MS_MIN + MARGIN_MS);
    assert_eq!(giver.leases(), (0, vec![4]));
}
