//! The watch: limited goods of several kits under the eyes of pages, through starts, copies and pages that go away.
//!
//! Promises checked: a kit alone notices nothing; after a start nothing limited is sold before everybody on duty agrees
//! and holds an op that no copy has; an answer waits for the witnesses, and not for ever; of two copies one gets past.

#[path = "../support/mod.rs"]
mod support;

use ed25519_dalek::Signer;
use fieldkit_core::body::{Body, Edit, Limit, ReplicaAdmitted, Source};
use fieldkit_core::decide::{Command, Gate, LineRequest, NewItem, OrderRequest, TenderRequest};
use fieldkit_core::id::{OpId, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, CommandKey, Head, Key, SealedOp};
use fieldkit_core::order::Discount;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_engine::{Asked, Engine, Input, Output, Policy, Ticket, WitnessInput, WitnessName};
use std::collections::BTreeMap;
use support::{NOON_MS, founded, key, replica};

const PAGE: WitnessName = [1; 16];
const OTHER: WitnessName = [2; 16];

/// A page: what it holds of the kit's stream.
#[derive(Clone, Default)]
struct Page {
    holds: Head,
    /// Whether it takes what it is told.
    awake: bool,
}

/// A kit with pages, whose disk is quick.
struct Kit {
    engine: Engine,
    event: OpId,
    owner: Actor,
    journal: Vec<SealedOp>,
    answers: BTreeMap<Ticket, Result<(), String>>,
    pages: BTreeMap<WitnessName, Page>,
    tickets: u64,
    now_ms: u64,
}

impl Kit {
    /// A kit with ten limited prints that was just founded, alone or beside another one.
    fn new(alone: bool) -> Self {
        let (engine, event, owner) = founded();
        let (answers, pages) = (BTreeMap::new(), BTreeMap::new());
        let mut kit = Kit { engine, event, owner, journal: Vec::new(), answers, pages, tickets: 0, now_ms: 1_000 };
        kit.settle();
        let edits = vec![Edit::Name("PRINT".to_owned()), Edit::Price(333), Edit::Limit(Limit::Hard)];
        kit.ask(Command::AddItem(NewItem { sku: "PRINT".to_owned(), edits, count: Some(10) }));
        if !alone {
            let proof = key(1).sign(&ReplicaAdmitted::signed_bytes(&replica(2), "kit B")).to_bytes();
            kit.ask(Command::AdmitReplica { replica: replica(2), label: "kit B".to_owned(), proof });
        }
        kit
    }

    /// Starts anew, with a number drawn for this life.
    fn start(&mut self, nonce: u8) {
        let mut engine = Engine::new(Ledger::default(), key(1), None);
        for op in &self.journal {
            engine.fold(op, None);
        }
        engine.take_folded();
        engine.guard([nonce; 16], Policy::default());
        self.engine = engine;
        self.settle();
    }

    fn stream(&self) -> StreamId {
        StreamId::of(&self.engine.replica(), &Space::Event(self.event))
    }

    fn feed(&mut self, input: Input) {
        self.engine.tell_time(self.now_ms);
        self.engine.handle(input);
        self.settle();
    }

    /// A page says what it holds.
    fn hear(&mut self, name: WitnessName) {
        let page = self.pages.entry(name).or_insert(Page { holds: Head::default(), awake: true });
        let holds = page.holds;
        let stream = self.stream();
        self.feed(Input::Witness(WitnessInput::Holds(name, stream, holds)));
    }

    fn ask(&mut self, command: Command) -> Ticket {
        let actor = self.owner;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let key = Key::new(&self.tickets.to_be_bytes()).expect("eight bytes are within a key's length");
        self.give(ticket, actor, command, CommandKey { key, fingerprint: [0; 16] });
        self.settle();
        ticket
    }

    fn give(&mut self, ticket: Ticket, actor: Actor, command: Command, key: CommandKey) {
        let (event, wall_ms, quality) = (Some(self.event), NOON_MS + self.now_ms, ClockQuality::System);
        let asked = Asked { command, event, actor, key, wall_ms, quality };
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
    }

    fn sell(&mut self) -> Ticket {
        let line = LineRequest {
            sku: "PRINT".to_owned(),
            quantity: 1,
            price: None,
            discount: Discount::None,
            discount_reason: String::new(),
        };
        let source =
            Source { till: "a".to_owned(), campaign: String::new(), session: String::new(), variant: String::new() };
        self.ask(Command::PlaceOrder(OrderRequest {
            lines: vec![line],
            discount: Discount::None,
            discount_reason: String::new(),
            tenders: vec![TenderRequest::Cash { minor: 333, currency: "EUR".to_owned() }],
            expected_total: None,
            source,
            cart_opened_ms: None,
        }))
    }

    fn said(&self, ticket: Ticket) -> Option<Result<(), &str>> {
        self.answers.get(&ticket).map(|said| said.as_ref().copied().map_err(String::as_str))
    }

    /// Lets everything happen that follows by itself.
    fn settle(&mut self) {
        loop {
            self.engine.handle(Input::EndOfBatch);
            let mut happened = false;
            while let Some(output) = self.engine.poll_output() {
                happened = true;
                match output {
                    Output::Load(load) => {
                        let (ticket, orders) = (load.ticket, Vec::new());
                        self.engine.handle(Input::Loaded { ticket, answered: None, orders });
                    }
                    Output::Append(turn) => {
                        self.journal.extend(turn.ops);
                        self.engine.handle(Input::Synced);
                    }
                    Output::Reply(ticket, answer) => {
                        let said = answer.result.map(|_| ()).map_err(|refusal| refusal.code().to_owned());
                        assert!(self.answers.insert(ticket, said).is_none(), "answered twice");
                    }
                    Output::Decide(ticket, _, command, key) => {
                        self.give(ticket, Actor::Device(Zero), *command, key);
                    }
                    Output::Tell(name, stream, from, to) => {
                        let page = self.pages.entry(name).or_default();
                        if page.awake && page.holds == from {
                            page.holds = to;
                            let holds = WitnessInput::Holds(name, stream, to);
                            self.engine.handle(Input::Witness(holds));
                        }
                    }
                    Output::Payments(_) | Output::Project(_) => {}
                    Output::Device(..) | Output::Refold => panic!("there is nothing of the kind"),
                }
            }
            if !happened {
                return;
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let event = self.event;
        self.engine.gate(event) == Gate::Open
    }

    /// What the ops about the watch say: how many watch, and how many were lost.
    fn watches(&self) -> Vec<(usize, usize)> {
        let bodies = self.journal.iter().filter_map(|op| Body::open(op.op.kind, &op.op.body).ok());
        let watch = bodies.filter_map(|body| if let Body::WatchSet(body) = body { Some(body) } else { None });
        watch.map(|body| (body.witnesses.len(), body.lost.len())).collect()
    }
}

#[test]
fn a_kit_alone_notices_nothing() {
    let mut kit = Kit::new(true);
    kit.start(7);
    assert!(kit.is_open());
    kit.hear(PAGE);
    let sale = kit.sell();
    assert_eq!(kit.said(sale), Some(Ok(())));
    assert_eq!(kit.watches(), []);
}

#[test]
fn after_a_start_a_page_that_agrees_opens_what_is_limited() {
    let mut kit = Kit::new(false);
    kit.start(7);
    let early = kit.sell();
    assert_eq!(kit.said(early), Some(Err("gate_shut")));
    kit.hear(PAGE);
    assert!(kit.is_open(), "the first page there is");
    let sale = kit.sell();
    assert_eq!(kit.said(sale), Some(Ok(())));
    kit.start(8);
    kit.hear(OTHER);
    assert!(!kit.is_open(), "this one never watched");
    kit.hear(PAGE);
    assert!(kit.is_open());
}

#[test]
fn an_answer_waits_for_the_pages_and_not_for_ever() {
    let mut kit = Kit::new(false);
    kit.start(7);
    kit.hear(PAGE);
    if let Some(page) = kit.pages.get_mut(&PAGE) {
        page.awake = false;
    }
    let sale = kit.sell();
    assert_eq!(kit.said(sale), None, "the page does not hold it");
    let at_ms = kit.engine.poll_watch().expect("it waits for a time");
    assert_eq!(at_ms, kit.now_ms + 250);
    kit.now_ms = at_ms;
    kit.feed(Input::Tick(at_ms));
    assert_eq!(kit.said(sale), Some(Ok(())));
    assert_eq!(kit.watches(), [(1, 0), (0, 1)], "who was lost is written down before the answer leaves");
}

#[test]
fn of_two_copies_of_a_kit_one_gets_past_the_page() {
    let mut first = Kit::new(false);
    first.start(7);
    first.hear(PAGE);
    let mut second = Kit::new(false);
    second.journal.clone_from(&first.journal);
    first.start(8);
    second.start(9);
    let before = first.pages[&PAGE].clone();
    first.hear(PAGE);
    assert!(first.is_open());
    // The second one heard the page before, and tells it its own newest op now.
    second.pages.insert(PAGE, Page { awake: false, ..before });
    second.hear(PAGE);
    assert!(!second.is_open(), "the page holds what the first one told it");
    assert_ne!(first.journal.last().map(|op| op.hash), second.journal.last().map(|op| op.hash), "they parted at once");
}

#[test]
fn what_another_branch_did_is_not_done_again() {
    let mut kit = Kit::new(true);
    let image = kit.journal.clone();
    let first = kit.sell();
    let beside = kit.journal.split_off(image.len());
    // The disk is put back unnoticed, and another sale takes the place of the first.
    kit.start(1);
    let second = kit.sell();
    assert_eq!(beside[0].id(), kit.journal[image.len()].id());
    let mut engine = Engine::new(Ledger::default(), key(1), None);
    let all: Vec<SealedOp> = kit.journal.iter().chain(&beside).cloned().collect();
    engine.fold_all(&all);
    engine.take_folded();
    kit.engine = engine;
    let length = kit.journal.len();
    let (owner, mut said) = (kit.owner, Vec::new());
    for ticket in [first, second] {
        let key = Key::new(&ticket.0.to_be_bytes()).expect("eight bytes are within a key's length");
        let again = Ticket(ticket.0 + 100);
        kit.give(again, owner, Command::CloseEvent, CommandKey { key, fingerprint: [0; 16] });
        kit.settle();
        said.push(kit.said(again).expect("it is answered").map_err(str::to_owned));
    }
    said.sort();
    assert_eq!(said, [Ok(()), Err("done_beside".to_owned())]);
    assert_eq!(kit.journal.len(), length, "nothing was done");
}
