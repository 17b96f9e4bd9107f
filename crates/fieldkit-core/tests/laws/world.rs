//! A few kits of one organisation at one stall, driven by small moves, and the books that must always balance.

use crate::arbitrary;
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::*;
use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::{
    self, Command, Founding, ImportRow, LeaseTimes, LineRequest, NewEvent, NewItem, OrderRequest, Place, StockChange,
    TenderRequest,
};
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, Space, Zero};
use fieldkit_core::ledger::{AnomalyKind, Ledger};
use fieldkit_core::money::{Currency, Money};
use fieldkit_core::op::{Account, Actor, Posting, SealedOp, Unit, balanced};
use fieldkit_core::order::{Discount, line_total};
use fieldkit_core::refusal::Refusal;
use fieldkit_core::snapshot;
use fieldkit_core::stamp::ClockQuality;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Noon of a day in 2026.
pub const NOON_MS: u64 = 1_795_000_000_000;
/// The SKUs that moves speak of.
pub const SKUS: [&str; 4] = ["MUG", "TEE", "PRINT", "TIP"];

pub struct Kit {
    pub key: SigningKey,
    pub author: Author,
    pub ledger: Ledger,
    /// All ops that it holds, causes first.
    pub log: Vec<SealedOp>,
    pub wall_ms: u64,
    /// What its clock says of leases.
    pub leases: LeaseTimes,
}

pub struct World {
    pub kits: Vec<Kit>,
    pub event: OpId,
    pub owner: Actor,
}

impl std::fmt::Debug for World {
    /// The bodies of the first kit's log, which is all that a failing case needs to be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bodies = self.kits[0].log.iter().map(|op| Body::open(op.op.kind, &op.op.body));
        f.debug_list().entries(bodies).finish()
    }
}

/// How the stall of a world sells.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub currency: &'static str,
    pub prices: Prices,
}

pub fn terms() -> impl Strategy<Value = Terms> {
    let currency = prop_oneof![Just("EUR"), Just("JPY"), Just("BHD")];
    (currency, arbitrary::prices()).prop_map(|(currency, prices)| Terms { currency, prices })
}

pub fn new_event(terms: Terms) -> NewEvent {
    let rate = |id: &str, ppm| TaxRate { id: id.to_owned(), name: id.to_owned(), ppm };
    NewEvent {
        name: "Harbour market".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        day_cutover_minutes: 240,
        currency: terms.currency.to_owned(),
        seller: Seller { name: "Quay".to_owned(), address: String::new(), tax_id: String::new() },
        tax_rates: vec![rate("standard", 190_000), rate("reduced", 70_000), rate("none", 0)],
        prices: terms.prices,
        training: false,
        clone_from: None,
    }
}

impl Kit {
    pub fn new(number: u8) -> Self {
        let key = SigningKey::from_bytes(&[number + 1; 32]);
        let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), None);
        let wall_ms = NOON_MS + u64::from(number) * 7_000;
        Kit { key, author, ledger: Ledger::default(), log: Vec::new(), wall_ms, leases: LeaseTimes::default() }
    }

    pub fn write(&mut self, drafts: Vec<Draft>, actor: Actor) -> Vec<SealedOp> {
        let context = Context { actor, wall_ms: self.wall_ms, quality: ClockQuality::System, key: None };
        let ops = self.author.write(&mut self.ledger, drafts, &context);
        self.log.extend(ops.iter().cloned());
        ops
    }

    /// Decides and writes; the ops are checked as they are made.
    pub fn run(&mut self, command: &Command, event: Option<OpId>, actor: Actor) -> Result<Vec<SealedOp>, Refusal> {
        let place = Place { leases: self.leases.clone(), ..Place::at(self.author.replica, event) };
        let context = Context { actor, wall_ms: self.wall_ms, quality: ClockQuality::System, key: None };
        let drafts = decide::decide(&self.ledger, command, &place, &context)?;
        let ops = self.write(drafts, actor);
        for op in &ops {
            check_op(&self.ledger, op);
        }
        Ok(ops)
    }

    /// Takes over what `log` holds beyond this kit's own heads.
    pub fn take(&mut self, log: &[SealedOp]) {
        for op in log {
            if op.op.seq > self.ledger.head(&op.op.stream).seq {
                assert!(self.ledger.apply(op), "a log holds causes first");
                self.log.push(op.clone());
            }
        }
    }

    /// Admits a kit, as a kit that was itself admitted.
    pub fn admit(&mut self, replica: ReplicaKey, label: &str) {
        let proof = self.key.sign(&ReplicaAdmitted::signed_bytes(&replica, label)).to_bytes();
        let admitted_by = self.author.replica.0;
        let admitted = ReplicaAdmitted { replica, label: label.to_owned(), admitted_by, proof };
        let drafts = vec![Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(admitted))];
        self.write(drafts, Actor::Device(Zero));
    }

    pub fn digest(&self) -> Hash {
        digest(&self.ledger)
    }
}

/// The crew's business and all orders as one hash.
pub fn digest(ledger: &Ledger) -> Hash {
    let mut bytes = Vec::new();
    snapshot::write_business(ledger, &mut bytes);
    ledger.orders.values().for_each(|order| order.write(&mut bytes));
    Hash::of(&bytes)
}

impl World {
    /// Founds a stall of `kits` kits with four items: two counted softly, one hard, one with an open price.
    pub fn new(kits: u8, terms: Terms) -> Self {
        let mut kits: Vec<Kit> = (0..kits).map(Kit::new).collect();
        let organisation = SigningKey::from_bytes(&[99; 32]);
        let replica = kits[0].author.replica;
        let founding = Founding {
            name: "Quay".to_owned(),
            organisation_key: organisation.verifying_key().to_bytes(),
            label: "kit 0".to_owned(),
            proof: organisation.sign(&ReplicaAdmitted::signed_bytes(&replica, "kit 0")).to_bytes(),
            owner: Hash::of(b"owner"),
            event: new_event(terms),
        };
        let ops = kits[0].write(founding.drafts(replica).expect("the founding is in order"), Actor::Device(Zero));
        let made = |kind: u16| ops.iter().find(|op| op.op.kind == kind).expect("the founding made it").id();
        let (owner, event) = (Actor::Person(made(4)), made(6));
        for other in 1..kits.len() {
            let replica = kits[other].author.replica;
            kits[0].admit(replica, &format!("kit {other}"));
        }
        for (sku, price, tax, limit) in [
            ("MUG", 1450, "standard", Limit::Soft),
            ("TEE", 2333, "reduced", Limit::Soft),
            ("PRINT", 999, "none", Limit::Hard),
        ] {
            let edits =
                vec![Edit::Name(sku.to_owned()), Edit::Price(price), Edit::TaxRate(tax.to_owned()), Edit::Limit(limit)];
            let new = NewItem { sku: sku.to_owned(), edits, count: Some(10) };
            kits[0].run(&Command::AddItem(new), Some(event), owner).expect("the item is in order");
        }
        let edits = vec![Edit::Name("Tip".to_owned()), Edit::OpenPrice(true)];
        let tip = NewItem { sku: "TIP".to_owned(), edits, count: None };
        kits[0].run(&Command::AddItem(tip), Some(event), owner).expect("the item is in order");
        let log = kits[0].log.clone();
        kits[1..].iter_mut().for_each(|kit| kit.take(&log));
        World { kits, event, owner }
    }

    /// The same stall with a terminal accepted at each kit.
    pub fn at_work(kits: u8, terms: Terms) -> Self {
        let mut world = World::new(kits, terms);
        let (event, owner) = (world.event, world.owner);
        for (at, kit) in world.kits.iter_mut().enumerate() {
            kit.run(&Command::AcceptDevice(terminal(at)), Some(event), owner).expect("the terminal is in order");
        }
        world.sync_all();
        world
    }

    /// Moves ops one way.
    pub fn sync(&mut self, from: usize, to: usize) {
        let log = self.kits[from].log.clone();
        self.kits[to].take(&log);
    }

    /// Moves all ops everywhere.
    pub fn sync_all(&mut self) {
        for from in 0..self.kits.len() {
            self.sync(from, 0);
        }
        for to in 1..self.kits.len() {
            self.sync(0, to);
        }
    }

    /// Does one move at one kit; a refusal is a fine outcome.
    pub fn step(&mut self, at: usize, step: &Move) -> Result<Vec<SealedOp>, Refusal> {
        let count = self.kits.len();
        let (event, owner) = (self.event, self.owner);
        let kit = &mut self.kits[at % count];
        kit.wall_ms += 1_000;
        match step {
            Move::Sync(to) => {
                self.sync(at % count, to % count);
                Ok(Vec::new())
            }
            Move::Clock(wall_ms) => {
                kit.wall_ms = *wall_ms;
                Ok(Vec::new())
            }
            Move::Admit(number, label) => {
                kit.admit(ReplicaKey([*number; 32]), label);
                Ok(Vec::new())
            }
            Move::Unknown(kind, postings) => {
                let op = unknown(kit, event, *kind, postings.clone());
                Ok(vec![op])
            }
            Move::Do(wish) => {
                let command = wish.command(&kit.ledger, event);
                kit.run(&command, Some(event), actor_of(&command, owner))
            }
        }
    }
}

/// The terminal of a kit.
pub fn terminal(kit: usize) -> DeviceAccepted {
    DeviceAccepted {
        role: DeviceRole::Terminal,
        driver: "zvt".to_owned(),
        identity: format!("5252353{kit}"),
        label: format!("terminal {kit}"),
    }
}

/// Who gives a command: the replica for what its devices report, the owner for everything else.
pub fn actor_of(command: &Command, owner: Actor) -> Actor {
    match command {
        Command::MovePayment { .. } | Command::RecordForeign { .. } => Actor::Device(Zero),
        _ => owner,
    }
}

/// An op of a kind that this build does not know, written at `kit` as a later build would.
fn unknown(kit: &mut Kit, event: OpId, kind: u16, postings: Vec<Posting>) -> SealedOp {
    let stand_in = Draft::new(
        Space::Event(event),
        Body::StockMoved(StockMoved { sku: "MUG".to_owned(), change: 0, reason: StockReason::Counted }),
    )
    .moving(postings);
    // The draft is written on a copy, its kind changed, and the op folded in like one from outside.
    let mut copy = kit.ledger.clone();
    let context =
        Context { actor: Actor::Device(Zero), wall_ms: kit.wall_ms, quality: ClockQuality::System, key: None };
    let mut ops = kit.author.clone().write(&mut copy, vec![stand_in], &context);
    let mut last = ops.pop().expect("one draft makes at least one op").op;
    (last.kind, last.body) = (60_000 + kind % 5, vec![1, 2, 3]);
    ops.push(SealedOp::seal(last));
    kit.take(&ops);
    kit.log.last().expect("an op was taken").clone()
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Move {
    Sync(usize),
    Clock(u64),
    Admit(u8, String),
    Unknown(u16, Vec<Posting>),
    Do(Wish),
}

/// A command in small numbers that mostly make sense.
#[derive(Clone, Debug)]
pub enum Wish {
    Sell {
        lines: Vec<(u8, u8, u32)>,
        off: u32,
        extra: u16,
    },
    Refund {
        order: u8,
        lines: Option<Vec<(u8, u8)>>,
        restock: bool,
    },
    Void {
        order: u8,
    },
    Undo {
        order: u8,
        refund: u8,
    },
    /// A sale by card: so much of it in cash first, in parts of 1/255.
    SellByCard {
        lines: Vec<(u8, u8, u32)>,
        cash: u8,
    },
    /// A sale by the crew's own reader, the rest in cash.
    SellByReader {
        lines: Vec<(u8, u8, u32)>,
        share: u8,
    },
    Begin {
        order: u8,
        share: Option<u8>,
    },
    Settle {
        order: u8,
        by_reader: bool,
    },
    Cancel {
        order: u8,
    },
    /// A step that a device reports: the one that comes next, where `luck` is small.
    Report {
        payment: u8,
        luck: u8,
    },
    Reverse {
        payment: u8,
    },
    Close {
        payment: u8,
        charged: Charged,
    },
    Foreign {
        receipt: u8,
    },
    SettleForeign {
        which: u8,
    },
    Retire {
        device: u8,
    },
    Change {
        sku: u8,
        edit: Edit,
    },
    Stock {
        sku: u8,
        change: StockChange,
        reason: StockReason,
    },
    Import {
        rows: Vec<(u8, i64, u8)>,
    },
    OpenDrawer(u16),
    MoveCash(Direction, u16),
    CountDrawer(i8),
    OpenEvent {
        clone: bool,
    },
    CloseEvent,
}

fn sane_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        "[a-z]{1,3}".prop_map(Edit::Name),
        (0i64..5000).prop_map(Edit::Price),
        prop_oneof![Just("standard"), Just("none")].prop_map(|id| Edit::TaxRate(id.to_owned())),
        any::<bool>().prop_map(Edit::Offered),
        arbitrary::limit().prop_map(Edit::Limit),
        "[a-z]{0,2}".prop_map(Edit::Owner),
    ]
}

pub fn wish() -> impl Strategy<Value = Wish> {
    let line = (0u8..4, 1u8..4, prop_oneof![3 => Just(0u32), 1 => 0u32..=1_000_000]);
    let off = prop_oneof![3 => Just(0u32), 1 => 0u32..=1_000_000];
    let change = prop_oneof![(-3i64..9).prop_map(StockChange::By), (0i64..12).prop_map(StockChange::To)];
    prop_oneof![
        8 => (vec(line.clone(), 1..4), off, 0u16..500).prop_map(|(lines, off, extra)| Wish::Sell { lines, off, extra }),
        5 => (any::<u8>(), prop::option::of(vec((1u8..4, 1u8..3), 1..3)), any::<bool>())
            .prop_map(|(order, lines, restock)| Wish::Refund { order, lines, restock }),
        2 => any::<u8>().prop_map(|order| Wish::Void { order }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(order, refund)| Wish::Undo { order, refund }),
        40 => by_card(line),
        3 => (0u8..4, sane_edit()).prop_map(|(sku, edit)| Wish::Change { sku, edit }),
        2 => (0u8..4, change, arbitrary::reason()).prop_map(|(sku, change, reason)| Wish::Stock { sku, change, reason }),
        1 => vec((0u8..6, 0i64..9, any::<u8>()), 1..4).prop_map(|rows| Wish::Import { rows }),
        2 => any::<u16>().prop_map(Wish::OpenDrawer),
        2 => (arbitrary::direction(), any::<u16>()).prop_map(|(way, amount)| Wish::MoveCash(way, amount)),
        2 => any::<i8>().prop_map(Wish::CountDrawer),
        1 => any::<bool>().prop_map(|clone| Wish::OpenEvent { clone }),
    ]
}

/// Wishes about what waits for its payment.
fn by_card(line: impl Strategy<Value = (u8, u8, u32)> + Clone + 'static) -> impl Strategy<Value = Wish> {
    let share = prop_oneof![2 => Just(0u8), 1 => any::<u8>()];
    prop_oneof![
        6 => (vec(line.clone(), 1..3), share.clone()).prop_map(|(lines, cash)| Wish::SellByCard { lines, cash }),
        3 => (vec(line, 1..3), share).prop_map(|(lines, share)| Wish::SellByReader { lines, share }),
        2 => (any::<u8>(), prop::option::of(any::<u8>())).prop_map(|(order, share)| Wish::Begin { order, share }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(order, by_reader)| Wish::Settle { order, by_reader }),
        4 => any::<u8>().prop_map(|order| Wish::Cancel { order }),
        30 => (any::<u8>(), any::<u8>()).prop_map(|(payment, luck)| Wish::Report { payment, luck }),
        2 => any::<u8>().prop_map(|payment| Wish::Reverse { payment }),
        2 => (any::<u8>(), arbitrary::charged()).prop_map(|(payment, charged)| Wish::Close { payment, charged }),
        1 => (0u8..6).prop_map(|receipt| Wish::Foreign { receipt }),
        1 => any::<u8>().prop_map(|which| Wish::SettleForeign { which }),
        1 => (0u8..3).prop_map(|device| Wish::Retire { device }),
    ]
}

pub fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        30 => wish().prop_map(Move::Do),
        8 => (0usize..4).prop_map(Move::Sync),
        1 => (0u64..NOON_MS * 2).prop_map(Move::Clock),
        1 => (200u8..203, "[a-c]").prop_map(|(number, label)| Move::Admit(number, label)),
        1 => (any::<u16>(), arbitrary::postings()).prop_map(|(kind, postings)| Move::Unknown(kind, postings)),
        1 => Just(Move::Do(Wish::CloseEvent)),
    ]
}

impl Wish {
    /// The command that it means for what `ledger` holds.
    pub fn command(&self, ledger: &Ledger, event: OpId) -> Command {
        let currency = ledger.events.get(&event).map(|event| event.opened.currency).expect("the event is known");
        let order = |number: u8| {
            let ids: Vec<OpId> = ledger.orders.keys().copied().collect();
            ids.get(usize::from(number) % ids.len().max(1)).copied().unwrap_or(event)
        };
        let sku = |number: u8| SKUS[usize::from(number) % SKUS.len()].to_owned();
        match self {
            Wish::Sell { lines, off, extra } => Command::PlaceOrder(sale(lines, *off, *extra, currency)),
            Wish::Refund { order: number, lines, restock } => {
                let lines = lines.as_ref().map(|lines| lines.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
                let (order, reason) = (order(*number), "broken".to_owned());
                Command::Refund { order, lines, reason, restock: *restock, in_cash: *restock }
            }
            Wish::Void { order: number } => Command::Void { order: order(*number), reason: "mistake".to_owned() },
            Wish::Undo { order: number, refund } => {
                let order = order(*number);
                let refunds = ledger.orders.get(&order).map(|order| order.refunds.as_slice()).unwrap_or_default();
                let found = refunds.get(usize::from(*refund) % refunds.len().max(1));
                Command::UndoRefund { order, refund: found.map_or(order, |refund| refund.refund_id) }
            }
            Wish::SellByCard { .. }
            | Wish::SellByReader { .. }
            | Wish::Begin { .. }
            | Wish::Settle { .. }
            | Wish::Cancel { .. }
            | Wish::Report { .. }
            | Wish::Reverse { .. }
            | Wish::Close { .. }
            | Wish::Foreign { .. }
            | Wish::SettleForeign { .. }
            | Wish::Retire { .. } => crate::cards::command(self, ledger, event),
            Wish::Change { sku: number, edit } => Command::ChangeItem { sku: sku(*number), edits: vec![edit.clone()] },
            Wish::Stock { sku: number, change, reason } => {
                Command::MoveStock { sku: sku(*number), change: *change, reason: *reason }
            }
            Wish::Import { rows } => Command::Import {
                file: "shop.csv".to_owned(),
                rows: rows.iter().map(row).collect(),
                rejected: vec![],
                warnings: vec![],
            },
            Wish::OpenDrawer(amount) => Command::OpenDrawer { amount: i64::from(*amount) },
            Wish::MoveCash(direction, amount) => {
                let amount = i64::from(*amount);
                Command::MoveCash { direction: *direction, amount, reason: "bank".to_owned() }
            }
            Wish::CountDrawer(counted) => {
                Command::CountDrawer { counted: i64::from(*counted) + 500, note: "counted".to_owned() }
            }
            Wish::OpenEvent { clone } => {
                let terms = Terms { currency: "EUR", prices: Prices::Inclusive };
                let clone_from = clone.then_some(event).filter(|_| currency.code() == "EUR");
                Command::OpenEvent(NewEvent { clone_from, ..new_event(terms) })
            }
            Wish::CloseEvent => Command::CloseEvent,
        }
    }
}

fn row((number, count, mark): &(u8, i64, u8)) -> ImportRow {
    let edits = vec![Edit::Name(format!("row {mark}")), Edit::Price(i64::from(*mark))];
    let sku = SKUS.get(usize::from(*number)).map_or_else(|| format!("NEW-{number}"), |sku| (*sku).to_owned());
    ImportRow { sku, edits, count: Some(*count), mark: [*mark; 16] }
}

/// A cash sale that tenders enough.
pub fn sale(lines: &[(u8, u8, u32)], off: u32, extra: u16, currency: Currency) -> OrderRequest {
    let line = |(sku, quantity, off): &(u8, u8, u32)| {
        let sku = SKUS[usize::from(*sku) % SKUS.len()];
        LineRequest {
            sku: sku.to_owned(),
            quantity: i64::from(*quantity),
            price: (sku == "TIP").then(|| Money::new(123, currency)),
            discount: Discount::Ppm(*off),
            discount_reason: "friend".to_owned(),
        }
    };
    OrderRequest {
        lines: lines.iter().map(line).collect(),
        discount: Discount::Ppm(off),
        discount_reason: "late".to_owned(),
        tenders: vec![TenderRequest::Cash { minor: 200_000 + i64::from(extra), currency: currency.code().to_owned() }],
        expected_total: None,
        source: Source { till: "a".into(), campaign: String::new(), session: String::new(), variant: String::new() },
        cart_opened_ms: None,
    }
}

pub fn moved(op: &SealedOp, account: Account, unit: Unit) -> i64 {
    let legs = op.op.postings.iter().filter(|leg| leg.account == account && leg.unit == unit);
    legs.map(|leg| leg.amount).sum()
}

/// What holds for every op that `decide` made: INV-07 and INV-08 of it alone.
pub fn check_op(ledger: &Ledger, op: &SealedOp) {
    assert_eq!(SealedOp::open(&op.bytes).as_ref(), Ok(op), "an op that was written can be opened");
    assert!(balanced(&op.op.postings), "INV-07: postings of each unit sum to zero");
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::OrderPlaced(placed)) => check_order(op, &placed),
        Ok(Body::OrderRefunded(refunded)) => check_refund(ledger, op, &refunded),
        Ok(Body::OrderPaid(paid)) => crate::cards::check_paid(ledger, op, &paid),
        Ok(_) => {}
        Err(error) => panic!("a body that was written can be read: {error:?}"),
    }
}

fn check_order(op: &SealedOp, placed: &OrderPlaced) {
    let unit = Unit::Money(placed.currency);
    let sum = |part: &dyn Fn(&Line) -> i64| placed.lines.iter().map(part).sum::<i64>();
    let cash = |tender: &Tender| match tender {
        Tender::Cash(cash) => cash.tendered,
        Tender::Card(_) | Tender::CardExternal(_) => panic!("a sale in one op is paid in cash"),
    };
    let tendered: i64 = placed.tenders.iter().map(cash).sum();
    let (total, tax) = (sum(&|line| line_total(line, placed.prices)), sum(&|line| line.tax));
    assert_eq!(total, placed.total, "INV-08: lines add up to the total");
    assert_eq!(tendered - placed.change, placed.total, "INV-08: tenders less change are the total");
    assert_eq!(sum(&|line| line.order_discount), placed.discount, "INV-08: the discount is shared out whole");
    assert_eq!(moved(op, Account::CASH, unit), placed.total, "the drawer takes the total");
    assert_eq!(moved(op, Account::SALES, unit), tax - total, "revenue is what is not tax");
    assert_eq!(moved(op, Account::TAX, unit), -tax, "the tax posted is the tax on the receipt");
}

fn check_refund(ledger: &Ledger, op: &SealedOp, refunded: &OrderRefunded) {
    let order = ledger.orders.get(&refunded.order).expect("the order is at hand");
    let unit = Unit::Money(order.sale.currency);
    let amount: i64 = refunded.lines.iter().map(|part| part.amount).sum();
    let by_card: i64 = match (refunded.kind, order.paid()) {
        (RefundKind::Void, Some(paid)) => paid.payments().map(|card| card.amount).sum(),
        _ => 0,
    };
    assert_eq!(amount, refunded.amount, "a refund is the sum of its lines");
    assert_eq!(moved(op, Account::CASH, unit), by_card - amount, "the drawer gives what no card was paid back");
    assert_eq!(moved(op, Account::PREPAID, unit), -by_card, "what cards were paid back is owed no more");
    assert!(refunded.lines.iter().all(|part| part.amount >= 0), "no part of a refund is negative");
}

/// What holds for a ledger as a whole: INV-07, INV-09, INV-11.
pub fn check_books(ledger: &Ledger, log: &[SealedOp]) {
    for event in ledger.events.values() {
        let mut sums: BTreeMap<Unit, i128> = BTreeMap::new();
        for ((_, unit), balance) in &event.balances {
            *sums.entry(*unit).or_default() += balance.0;
        }
        assert!(sums.values().all(|sum| *sum == 0), "INV-07: all accounts of a unit sum to zero");
    }
    crate::cards::check_money(ledger);
    let over = u16::from_bytes(&AnomalyKind::OverRefund.to_bytes()).expect("anomaly kinds are numbers");
    for order in ledger.orders.values() {
        let back: i64 = order.standing_refunds().map(|refund| refund.body.amount).sum();
        let named = ledger.anomalies.contains_key(&(order.order_id, over));
        assert!(back <= order.sale.total || named, "INV-09: {back} given back of {}", order.sale.total);
    }
    let mut series: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for op in log.iter().filter(|op| seen.insert(op.id())) {
        let receipt = match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::OrderPlaced(body)) => body.receipt,
            Ok(Body::OrderPaid(body)) => body.receipt,
            Ok(Body::OrderRefunded(body)) => body.receipt,
            Ok(Body::RefundUndone(body)) => body.receipt,
            _ => continue,
        };
        series.entry(op.op.stream).or_default().push(receipt);
    }
    for numbers in series.values() {
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(*numbers, expected, "INV-11: receipts of a series are 1, 2, 3 …");
    }
}

/// Units at hand by the ledger.
pub fn here(ledger: &Ledger, event: OpId, sku: &str) -> i64 {
    ledger.events.get(&event).map_or(0, |known| known.here(PoolId::of(&event, sku)))
}
