//! People: buyers with carts at tills, and the crew that gives back, undoes, cancels, clears up and counts.
//!
//! Promises: a person knows what the till shows and what the terminal's own journal says, and nothing else; one who gets
//! no answer asks again under the same key, and may walk away.
//! Absent on purpose: what a kit may be asked for by others than its crew.

use crate::genesis;
use crate::log::Said;
use crate::swarm::Fault;
use crate::world::{Again, Event, World, name};
use fieldkit_core::body::{
    Charged, DeviceAccepted, DeviceRole, Direction, Edit, Limit, PaymentStep, RollbackNoticed, Source, StockReason,
};
use fieldkit_core::decide::{Command, LineRequest, NewItem, OrderRequest, StockChange, TenderRequest};
use fieldkit_core::id::{Hash, OpId, PoolId, StreamId};
use fieldkit_core::money::{Currency, Money};
use fieldkit_core::op::{CommandKey, Head, Key};
use fieldkit_core::order::{Discount, Order, Stage};
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_core::witness::{Sighting, Verdict};
use fieldkit_drivers::terminal_peer::Event as TerminalEvent;
use std::collections::{BTreeMap, VecDeque};

/// How long somebody waits for an answer before asking again.
const PATIENCE_MS: u64 = 4_000;
/// How often, before giving up.
const TRIES_MAX: u32 = 12;
/// How often a till looks at an order that waits.
const LOOK_MS: u64 = 1_500;
/// How long the crew waits before it looks into the terminal's journal.
const DOUBT_MS: u64 = 60_000;
/// Cards tried for one order.
const CARDS_MAX: u32 = 3;
/// Orders that a till remembers.
const ORDERS_MAX: usize = 24;

/// A command that waits for its answer.
struct Pending {
    key: CommandKey,
    command: Command,
    tries: u32,
}

/// An order that somebody waits for.
#[derive(Clone, Copy)]
struct Watch {
    order: OpId,
    since_ms: u64,
    cards: u32,
}

/// A till.
pub struct Till {
    /// At which kit.
    pub kit: usize,
    /// Its waits so far: one that is over wakes nobody.
    pub turn: u64,
    number: usize,
    keys: u32,
    pending: Option<Pending>,
    watch: Option<Watch>,
    pub orders: VecDeque<OpId>,
    pub todo: VecDeque<Command>,
    pub head: Option<(StreamId, Head)>,
    counted: bool,
    /// What its page remembers of each stream as a witness, and which page it is.
    pub holds: BTreeMap<StreamId, Head>,
    /// See `holds`.
    pub page: u64,
    /// Until when its page hears nothing.
    pub asleep_ms: u64,
    /// The newest slip that was printed before the kit last started.
    pub old_slip: Option<(StreamId, Head)>,
    /// Since when it was told that limited goods are shut.
    pub shut_ms: Option<u64>,
    /// Whether nothing is left to do.
    pub rests: bool,
}

impl Till {
    /// Whether its pending command is a sale of `sku`.
    pub fn wants(&self, sku: &str) -> bool {
        let command = self.pending.as_ref().map(|pending| &pending.command);
        let wants = |line: &LineRequest| line.sku == sku;
        matches!(command, Some(Command::PlaceOrder(request)) if request.lines.iter().any(wants))
    }

    /// Nobody is there any more.
    pub fn leave(&mut self) {
        self.turn += 1;
        (self.pending, self.watch, self.rests) = (None, None, true);
    }
}

fn none() -> String {
    String::new()
}

fn line(sku: &str, quantity: i64) -> LineRequest {
    LineRequest { sku: sku.to_owned(), quantity, price: None, discount: Discount::None, discount_reason: none() }
}

/// The item that a kit alone has, and sells no more of than there are.
fn own_sku(kit: usize) -> String {
    genesis::label(kit).replace("kit ", "MUG-")
}

fn item(sku: &str, price: i64, limit: Limit, count: i64, rate: &str) -> Command {
    let edits = vec![
        Edit::Name(sku.to_owned()),
        Edit::Price(price),
        Edit::Limit(limit),
        Edit::TaxRate(rate.to_owned()),
        Edit::OpenPrice(sku == "GIFT"),
    ];
    Command::AddItem(NewItem { sku: sku.to_owned(), edits, count: (limit != Limit::Uncounted).then_some(count) })
}

impl World {
    /// Tills of a kit, the first of which sets it up.
    pub(crate) fn set_up(&mut self, kit: usize) {
        let accepted = DeviceAccepted {
            role: DeviceRole::Terminal,
            driver: "sim".to_owned(),
            identity: self.terminals[kit].identity(),
            label: "terminal".to_owned(),
        };
        let units = i64::try_from(self.people.within(5, 60)).unwrap_or(5);
        let todo = VecDeque::from([
            item("TEE", 2_500, Limit::Soft, 40, "standard"),
            item("PIN", 333, Limit::Soft, 500, "reduced"),
            item("GIFT", 0, Limit::Uncounted, 0, "standard"),
            item(&own_sku(kit), 950, Limit::Hard, units, "standard"),
            Command::AcceptDevice(accepted),
            Command::OpenDrawer { amount: 10_000 },
        ]);
        for number in 0..self.swarm.tills {
            let todo = if number == 0 { todo.clone() } else { VecDeque::new() };
            self.add_till(kit, number, todo);
        }
    }

    /// A till of a kit, with what it does first.
    pub(crate) fn add_till(&mut self, kit: usize, number: usize, todo: VecDeque<Command>) {
        self.tills.push(Till {
            kit,
            turn: 0,
            number,
            keys: 0,
            pending: None,
            watch: None,
            orders: VecDeque::new(),
            todo,
            head: None,
            counted: false,
            holds: BTreeMap::new(),
            page: 0,
            asleep_ms: 0,
            old_slip: None,
            shut_ms: None,
            rests: false,
        });
        let till = self.tills.len() - 1;
        self.wake(till, 1 + 1_000 * number as u64);
    }

    /// A person does something after a while; an earlier plan is forgotten.
    pub(crate) fn wake(&mut self, till: usize, wait_ms: u64) {
        self.tills[till].turn += 1;
        let turn = self.tills[till].turn;
        self.after(wait_ms, Event::Person { till, turn });
    }

    /// A person does the next thing.
    pub(crate) fn act(&mut self, till: usize) {
        if let Some(pending) = &mut self.tills[till].pending {
            pending.tries += 1;
            if pending.tries <= TRIES_MAX || self.healing {
                return self.send(till);
            }
            self.tills[till].pending = None;
        }
        let kit = self.tills[till].kit;
        if self.kits[kit].engine.is_none() {
            return self.wake(till, 1_000);
        }
        if let Some(command) = self.tills[till].todo.pop_front() {
            return self.give(till, command);
        }
        if let Some(watch) = self.tills[till].watch {
            return self.look(till, watch);
        }
        if self.swarm.several.is_some() {
            return self.visit(till);
        }
        if self.healing {
            return self.tidy_up(till);
        }
        if self.kits[kit].device.is_none() {
            return self.wake(till, 1_000);
        }
        let command = self.wish(till);
        self.give(till, command);
    }

    /// Gives a new command.
    pub(crate) fn give(&mut self, till: usize, command: Command) {
        let now = &mut self.tills[till];
        now.keys += 1;
        let mut key = vec![u8::try_from(now.kit).unwrap_or(0), u8::try_from(now.number).unwrap_or(0)];
        key.extend_from_slice(&now.keys.to_be_bytes());
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&Hash::of(&key).0[..16]);
        let key = Key::new(&key).expect("six bytes are within a key's length");
        let key = CommandKey { key, fingerprint };
        now.pending = Some(Pending { key, command, tries: 0 });
        self.send(till);
    }

    /// Sends the command that waits, and waits for its answer.
    fn send(&mut self, till: usize) {
        let Some(Pending { key, command, tries }) = &self.tills[till].pending else { return };
        let (kit, key, again) = (self.tills[till].kit, key.clone(), *tries > 0);
        let command = Box::new(command.clone());
        if again {
            self.log.did("asked_again");
        }
        if *tries == 1 && self.log.given.get(&key.key).is_some_and(|given| given.answers.is_empty()) {
            self.log.reached("lost_turn_was_repeated");
        }
        let way_ms = self.nature.within(1, 20);
        self.after(way_ms, Event::Ask { kit, till, key, command, again: Again::No });
        let abandons = self.swarm.giver(Fault::Abandon);
        if self.people.chance(abandons) && self.tills[till].todo.is_empty() && self.kits[kit].device.is_some() {
            self.log.fault(Fault::Abandon);
            self.tills[till].pending = None;
        }
        self.wake(till, PATIENCE_MS);
    }

    /// An answer arrives.
    pub(crate) fn answered(
        &mut self,
        till: usize,
        key: &Key,
        said: Said,
        two_devices: bool,
        head: Option<(StreamId, Head)>,
    ) {
        if said == Said::Refused("key_reused".to_owned()) {
            self.log.reached("key_reused_refused");
            return;
        }
        let Some(given) = self.log.given.get_mut(key) else { return };
        given.answers.push((said.clone(), two_devices));
        let content = given.key.clone();
        self.tills[till].head = head.or(self.tills[till].head);
        self.weigh_answer(till, &said);
        let Some(pending) = self.tills[till].pending.take_if(|pending| pending.key.key == *key) else { return };
        let kit = self.tills[till].kit;
        self.count(&pending.command, &said);
        if matches!(pending.command, Command::AcceptDevice(_)) && said == Said::Done {
            let ledger = self.kits[kit].engine.as_ref().map(fieldkit_engine::Engine::ledger);
            self.kits[kit].device =
                ledger.and_then(|ledger| ledger.devices.keys().copied().find(|id| !self.is_taken(id)));
            self.attach(kit);
        }
        if let Said::Order(order, state, _) = said {
            self.remember(till, order, state);
        }
        for (fault, again) in [(Fault::Repeat, Again::Repeat), (Fault::KeyReused, Again::Reuse)] {
            let rate = self.swarm.giver(fault);
            if self.people.chance(rate) {
                self.log.fault(fault);
                let mut key = content.clone();
                if again == Again::Reuse {
                    key.fingerprint = [7; 16];
                }
                let command = Box::new(pending.command.clone());
                let wait_ms = self.people.within(1, 3_000);
                self.after(wait_ms, Event::Ask { kit, till, key, command, again });
            }
        }
        let pause_ms = self.people.within(1, self.swarm.pause_ms);
        self.wake(till, if self.tills[till].todo.is_empty() && !self.healing { pause_ms } else { 10 });
    }

    /// Whether another kit uses a device.
    fn is_taken(&self, device: &OpId) -> bool {
        self.kits.iter().any(|kit| kit.device == Some(*device))
    }

    fn count(&mut self, command: &Command, said: &Said) {
        if let Said::Refused(code) = said {
            self.log.did("refused");
            if code == "sold_out" {
                self.log.reached("sold_out");
            }
            return;
        }
        let what = match command {
            Command::PlaceOrder(request) if request.is_cash() => "sales_cash",
            Command::PlaceOrder(request) => {
                let card = |tender: &TenderRequest| matches!(tender, TenderRequest::Card { .. });
                if request.tenders.iter().any(card) { "sales_card" } else { "sales_own_reader" }
            }
            Command::Refund { .. } => "refunds",
            Command::Void { .. } => "voids",
            Command::UndoRefund { .. } => {
                self.log.reached("undone_refund");
                "undone"
            }
            Command::CancelOrder { .. } => {
                self.log.reached("cancelled_order");
                "cancelled"
            }
            Command::ClosePayment { charged, .. } => {
                self.log.reached(match charged {
                    Charged::Yes => "closed_as_charged",
                    Charged::No => "closed_as_not_charged",
                });
                "closed_by_person"
            }
            Command::SettleForeign { .. } => {
                self.log.reached("foreign_settled");
                "foreign_settled"
            }
            Command::CountDrawer { note, .. } => {
                if !note.is_empty() {
                    self.log.reached("drawer_variance");
                }
                "drawer_counts"
            }
            _ => "others",
        };
        self.log.did(what);
    }

    fn remember(&mut self, till: usize, order: OpId, state: &str) {
        let now_ms = self.now_ms;
        let this = &mut self.tills[till];
        if !this.orders.contains(&order) {
            this.orders.push_back(order);
            if this.orders.len() > ORDERS_MAX {
                this.orders.pop_front();
            }
        }
        let cards = this.watch.filter(|watch| watch.order == order).map_or(1, |watch| watch.cards);
        let kit = self.tills[till].kit;
        let moving = self.kits[kit].order(&order).is_some_and(|order| order.held_by().is_some());
        let waits = state == "awaiting_payment" || moving;
        let since_ms =
            self.tills[till].watch.filter(|watch| watch.order == order).map_or(now_ms, |watch| watch.since_ms);
        self.tills[till].watch = waits.then_some(Watch { order, since_ms, cards });
    }

    /// Looks at an order that waits, and does what helps.
    fn look(&mut self, till: usize, watch: Watch) {
        let kit = self.tills[till].kit;
        let Some(order) = self.kits[kit].order(&watch.order).cloned() else {
            self.tills[till].watch = None;
            return self.wake(till, 10);
        };
        let waited_ms = self.now_ms.saturating_sub(watch.since_ms);
        let id = watch.order;
        if let Some(payment) = order.held_by() {
            let command = self.clear_up(kit, &order, payment, waited_ms);
            return match command {
                Some(command) => {
                    // After this one the crew waits as long again.
                    self.tills[till].watch = Some(Watch { since_ms: self.now_ms, ..watch });
                    self.give(till, command);
                }
                None => self.wake(till, LOOK_MS),
            };
        }
        if !matches!(order.stage(), Stage::Open) {
            self.tills[till].watch = None;
            return self.wake(till, 10);
        }
        let command = if watch.cards < CARDS_MAX && self.takes_cards(kit) && !self.healing {
            self.tills[till].watch = Some(Watch { cards: watch.cards + 1, ..watch });
            Command::BeginPayment { order: id, amount: None, device: self.kits[kit].device }
        } else if order.collected() > 0 || self.people.chance(600) {
            let cash = TenderRequest::Cash { minor: 100_000, currency: "EUR".to_owned() };
            self.tills[till].watch = None;
            Command::SettleOrder { order: id, tenders: vec![cash] }
        } else {
            self.tills[till].watch = None;
            Command::CancelOrder { order: id, reason: "the buyer left".to_owned() }
        };
        self.give(till, command);
    }

    /// What the crew does about a payment that waits, if it does something.
    fn clear_up(&mut self, kit: usize, order: &Order, payment: &Payment, waited_ms: u64) -> Option<Command> {
        let (order, id) = (order.order_id, payment.payment_id);
        let declined = payment.moves.iter().any(|known| matches!(known.step, PaymentStep::ReversalDeclined(_)));
        match payment.state() {
            state if state.is_unknown() && waited_ms > DOUBT_MS => {
                let charged = if self.stands(kit, payment) { Charged::Yes } else { Charged::No };
                if charged == Charged::No {
                    self.undo_others(kit, payment);
                }
                let evidence = "the terminal's journal".to_owned();
                Some(Command::ClosePayment { order, payment: id, charged, evidence })
            }
            PaymentState::Mismatched if waited_ms > DOUBT_MS && declined => {
                // The terminal would not: somebody undoes it there by hand, and says so.
                let record = payment.standing().record.map(|record| (record.amount, record.currency));
                let from = self.kits[kit].intended.get(&id).copied().unwrap_or(0);
                let standing = self.terminals[kit].standing();
                let charge = standing.range(from..).find(|(_, entry)| {
                    entry.event != TerminalEvent::Foreign && Some((entry.amount.minor, entry.amount.currency)) == record
                });
                let place = charge.map(|(place, _)| *place);
                self.terminals[kit].undone.extend(place);
                let evidence = "undone at the terminal by hand".to_owned();
                Some(Command::ClosePayment { order, payment: id, charged: Charged::No, evidence })
            }
            PaymentState::Mismatched if waited_ms > DOUBT_MS => {
                let reason = "another amount was charged".to_owned();
                Some(Command::ReversePayment { order, payment: id, reason })
            }
            _ => None,
        }
    }

    /// Whether the terminal's journal shows a charge that is this payment's: of its amount, made since it was intended,
    /// not by hand, and of no other payment.
    fn stands(&self, kit: usize, payment: &Payment) -> bool {
        let from = self.kits[kit].intended.get(&payment.payment_id).copied().unwrap_or(0);
        let standing = self.terminals[kit].standing();
        standing.range(from..).any(|(_, entry)| {
            entry.event != TerminalEvent::Foreign
                && (entry.amount.minor, entry.amount.currency) == (payment.amount, payment.currency)
        })
    }

    /// A charge of another amount that the terminal's journal shows in this payment's time is undone there by hand.
    fn undo_others(&mut self, kit: usize, payment: &Payment) {
        let Some(from) = self.kits[kit].intended.get(&payment.payment_id).copied() else { return };
        let newest = self.kits[kit].intended.values().all(|other| *other <= from);
        let standing = self.terminals[kit].standing();
        let others = standing.range(from..).filter(|(_, entry)| entry.event != TerminalEvent::Foreign);
        let others: Vec<usize> = others.map(|(place, _)| *place).collect();
        // While it is open the terminal serves nobody else; of an older one nobody could say so.
        if newest {
            self.terminals[kit].undone.extend(others);
        }
    }

    /// At the end of the day: what is open is finished, the drawer is counted.
    fn tidy_up(&mut self, till: usize) {
        let (kit, now_ms) = (self.tills[till].kit, self.now_ms);
        if self.tills[till].number > 0 {
            return self.tills[till].rests = true;
        }
        let open = self.open_orders(kit);
        let ledger = self.kits[kit].engine.as_ref().map(fieldkit_engine::Engine::ledger);
        let payments = ledger.into_iter().flat_map(|ledger| ledger.events.values());
        let held = payments.flat_map(|event| event.open_payments.values()).find(|known| known.state().holds_order());
        if let Some(order) = open.first().copied().or(held.map(|payment| payment.order)) {
            self.tills[till].watch = Some(Watch { order, since_ms: now_ms, cards: CARDS_MAX });
            self.tills[till].rests = false;
            return self.wake(till, LOOK_MS);
        }
        if !self.tills[till].counted {
            self.tills[till].counted = true;
            let command = self.count_drawer(kit);
            return self.give(till, command);
        }
        self.tills[till].rests = true;
        // Something may still come from the terminal.
        self.wake(till, 10_000);
    }

    fn count_drawer(&mut self, kit: usize) -> Command {
        let engine = self.kits[kit].engine.as_ref();
        let stream = engine.map(fieldkit_engine::Engine::newest_stream);
        let event = engine.and_then(|engine| engine.ledger().events.get(&self.genesis.event));
        let drawer = event.zip(stream).and_then(|(event, stream)| event.drawers.get(&stream));
        let expected = drawer.map_or(0, |drawer| i64::try_from(drawer.expected.0).unwrap_or(0)).max(0);
        let off = if self.people.chance(300) { i64::try_from(self.people.below(500)).unwrap_or(0) } else { 0 };
        let note = if off == 0 { none() } else { "short change".to_owned() };
        Command::CountDrawer { counted: expected + off, note }
    }

    // --- wishes ---

    fn wish(&mut self, till: usize) -> Command {
        let kit = self.tills[till].kit;
        let pool = PoolId::of(&self.genesis.event, &own_sku(kit));
        let event = self.kits[kit].engine.as_ref().and_then(|engine| engine.ledger().events.get(&self.genesis.event));
        let here = event.map_or(0, |event| event.here(pool));
        if here < 3 && self.people.chance(250) {
            let change = StockChange::By(i64::try_from(self.people.within(5, 40)).unwrap_or(5));
            return Command::MoveStock { sku: own_sku(kit), change, reason: StockReason::Delivered };
        }
        if self.people.chance(self.swarm.deeds)
            && let Some(deed) = self.deed(till)
        {
            return deed;
        }
        let mut lines = Vec::new();
        for _ in 0..self.people.within(1, 3) {
            let quantity = i64::try_from(self.people.within(1, 3)).unwrap_or(1);
            // Most people see that nothing is left; some ask all the same.
            let own = if here >= 3 || self.people.chance(150) { 3 } else { 0 };
            let which = self.people.weighed(&[3, 4, 1, own]);
            lines.push(match which {
                0 => line("TEE", quantity),
                1 => line("PIN", quantity),
                2 => {
                    let minor = i64::try_from(self.people.within(1, 2_000)).unwrap_or(1);
                    let currency = Currency::from_code("EUR").expect("EUR is in ISO 4217");
                    LineRequest { price: Some(Money::new(minor, currency)), ..line("GIFT", 1) }
                }
                _ => line(&own_sku(kit), quantity),
            });
        }
        if self.people.chance(100) {
            lines[0].discount = Discount::Ppm(100_000);
            lines[0].discount_reason = "a friend".to_owned();
        }
        let (card, reader) = (self.people.chance(self.swarm.cards), self.people.chance(60));
        let cash = |minor| TenderRequest::Cash { minor, currency: "EUR".to_owned() };
        let tenders = if card && self.takes_cards(kit) {
            let rest = TenderRequest::Card { amount: None, device: self.kits[kit].device };
            if self.people.chance(150) { vec![cash(100), rest] } else { vec![rest] }
        } else if reader {
            lines.truncate(1);
            lines[0] = line("PIN", 3);
            let reference = format!("R{}", self.people.below(100_000));
            let currency = "EUR".to_owned();
            vec![TenderRequest::CardExternal { minor: 999, currency, reader: "reader".to_owned(), reference }]
        } else {
            vec![cash(50_000)]
        };
        let source = Source { till: format!("till {till}"), campaign: none(), session: none(), variant: none() };
        Command::PlaceOrder(OrderRequest {
            lines,
            discount: Discount::None,
            discount_reason: none(),
            tenders,
            expected_total: None,
            source,
            cart_opened_ms: None,
        })
    }

    /// Something that is no sale.
    fn deed(&mut self, till: usize) -> Option<Command> {
        let kit = self.tills[till].kit;
        let some = (!self.tills[till].orders.is_empty()).then(|| {
            let at = self.people.place(self.tills[till].orders.len());
            self.tills[till].orders[at]
        });
        let minor = i64::try_from(self.people.within(1, 40)).unwrap_or(1) * 50;
        match self.people.weighed(&[6, 5, 4, 2, 2, 2, 2, 3, 2]) {
            0 => {
                let all = self.people.chance(500);
                let (restock, in_cash) = (self.people.chance(600), self.people.chance(700));
                let lines = if all { None } else { Some(vec![(1, 1)]) };
                Some(Command::Refund { order: some?, lines, reason: "broken".to_owned(), restock, in_cash })
            }
            1 => Some(Command::Void { order: some?, reason: "mistyped".to_owned() }),
            2 => {
                let order = self.kits[kit].order(&some?)?;
                let refund = order.standing_refunds().last()?.refund_id;
                Some(Command::UndoRefund { order: some?, refund })
            }
            3 => Some(Command::MoveCash { direction: Direction::In, amount: minor, reason: "coins".to_owned() }),
            4 => Some(Command::MoveCash { direction: Direction::Out, amount: minor, reason: "lunch".to_owned() }),
            5 => {
                let reason = StockReason::Delivered;
                Some(Command::MoveStock { sku: own_sku(kit), change: StockChange::By(minor / 50), reason })
            }
            6 => Some(Command::ChangeItem { sku: "TEE".to_owned(), edits: vec![Edit::Price(2_000 + minor)] }),
            7 => {
                let events = self.kits[kit].engine.as_ref()?.ledger().events.values();
                let foreign = events.flat_map(|event| event.foreign.values());
                let open = foreign.filter(|foreign| foreign.settled.is_none()).find_map(|open| open.found.first());
                Some(Command::SettleForeign { found: *open?, note: "typed at the terminal".to_owned() })
            }
            _ => {
                self.tills[till].todo.push_back(Command::OpenDrawer { amount: 5_000 });
                Some(self.count_drawer(kit))
            }
        }
    }

    // --- pages ---

    /// A page that was open all the time tells the kit the newest entry that it saw.
    pub(crate) fn tell_head(&mut self, till: usize) {
        let kit = self.tills[till].kit;
        let (Some((stream, head)), Some(engine)) = (self.tills[till].head, &self.kits[kit].engine) else { return };
        let Some((stream, seen, verdict)) = self.kits[kit].judge(&Sighting::Head { stream, head }) else { return };
        let own = engine.writes(&stream);
        let found = engine.ledger().head(&stream).seq;
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("the page of till {till} saw entry {seen}: {verdict:?}"));
        if !own || !matches!(verdict, Verdict::Ahead | Verdict::Contradicts) {
            return;
        }
        let destroyed = |id: OpId| {
            let of_kit = self.log.put_back.iter().filter(|put_back| put_back.kit == kit);
            of_kit.flat_map(|put_back| &put_back.destroyed).any(|op| op.id() == id)
        };
        if self.swarm.several.is_none() && !destroyed(OpId { stream, seq: seen }) {
            let what = format!("kit {kit} believes that it went back: entry {seen} of {stream:?} is not there");
            self.log.wrong("INV-27", what);
        }
        self.follow(kit, RollbackNoticed { witness: "page".to_owned(), stream, seen, found });
    }

    /// Whether everybody rests.
    pub fn everybody_rests(&self) -> bool {
        self.tills.iter().all(|till| till.rests && till.pending.is_none())
    }

    /// What is still not done, in words.
    pub fn undone(&self) -> Vec<String> {
        let waits = |till: &&Till| !till.rests || till.pending.is_some();
        let tell = |till: &Till| {
            let asks = till.pending.as_ref().map_or("nothing".to_owned(), |pending| name(&pending.command));
            format!("till {} of kit {} waits for {asks}, an order: {}", till.number, till.kit, till.watch.is_some())
        };
        self.tills.iter().filter(waits).map(tell).collect()
    }
}
