//! The state of one event: its catalogue, its accounts, its drawers, and what is still open at it.
//!
//! Promises: a pure fold of ops; balances come from postings alone, so ops of unknown kinds are counted too. Orders and
//! payments that wait for something are named here, so that a start from a snapshot knows them.
//! Absent on purpose: orders, which are loaded one by one (`ledger`).

use crate::body::{DrawerCounted, Edit, EventOpened, ForeignPaymentFound, Limit, TerminalRecord, UnitRange};
use crate::codec::{Canonical, DecodeError, Reader, record, words};
use crate::id::{Hash, OpId, PoolId, ReplicaKey, StreamId};
use crate::lattice::{Register, Seen, Write};
use crate::lease::Lease;
use crate::op::{Account, Posting, Unit};
use crate::payment::Payment;
use crate::pool::Pool;
use crate::rights::RangeSet;
use std::collections::{BTreeMap, BTreeSet};

words! {
    /// Whether an event still sells.
    pub enum EventState {
        /// It sells.
        0 = Open "open",
        /// It is closed.
        1 = Closed "closed",
    }
}

/// A sum of postings. Wide enough that no number of ops can overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance(pub i128);

impl Canonical for Balance {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.to_le_bytes().write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Balance(i128::from_le_bytes(Canonical::read(input)?)))
    }
}

record! {
    /// An item of the catalogue: every field keeps concurrent edits until a person has settled them.
    #[derive(Default)]
    pub struct Item {
        /// Name on tiles and receipts.
        pub name: Register<String>,
        /// Price in minor units.
        pub price: Register<i64>,
        /// Tax rate id.
        pub tax_rate: Register<String>,
        /// Whether the price is typed at the till.
        pub open_price: Register<bool>,
        /// Barcode.
        pub barcode: Register<String>,
        /// Picture.
        pub image: Register<Option<Hash>>,
        /// Product that a variant belongs to.
        pub product: Register<String>,
        /// Options of a variant.
        pub options: Register<Vec<(String, String)>>,
        /// What happens at zero.
        pub limit: Register<Limit>,
        /// Whose goods.
        pub owner: Register<String>,
        /// Whether it is offered.
        pub offered: Register<bool>,
        /// The imported row that it came from.
        pub import_mark: Register<[u8; 16]>,
    }
}

impl Item {
    /// Sets one field.
    pub fn edit(&mut self, seen: &Seen, lamport: u64, op: OpId, edit: Edit) {
        match edit {
            Edit::Name(value) => self.name.set(seen, Write { lamport, op, value }),
            Edit::Price(value) => self.price.set(seen, Write { lamport, op, value }),
            Edit::TaxRate(value) => self.tax_rate.set(seen, Write { lamport, op, value }),
            Edit::OpenPrice(value) => self.open_price.set(seen, Write { lamport, op, value }),
            Edit::Barcode(value) => self.barcode.set(seen, Write { lamport, op, value }),
            Edit::Image(value) => self.image.set(seen, Write { lamport, op, value }),
            Edit::Product(value) => self.product.set(seen, Write { lamport, op, value }),
            Edit::Options(value) => self.options.set(seen, Write { lamport, op, value }),
            Edit::Limit(value) => self.limit.set(seen, Write { lamport, op, value }),
            Edit::Owner(value) => self.owner.set(seen, Write { lamport, op, value }),
            Edit::Offered(value) => self.offered.set(seen, Write { lamport, op, value }),
        }
    }

    /// What happens at zero; soft where nobody said.
    pub fn limit(&self) -> Limit {
        self.limit.value().copied().unwrap_or(Limit::Soft)
    }

    /// The name, the SKU where it has none.
    pub fn name_or<'a>(&'a self, sku: &'a str) -> &'a str {
        self.name.value().map_or(sku, String::as_str)
    }
}

record! {
    /// A count that ended a drawer session.
    pub struct Count {
        /// What was found and expected.
        pub body: DrawerCounted,
        /// Milliseconds since 1970 UTC.
        pub at_ms: u64,
    }
}

record! {
    /// Cash in or out during a session.
    pub struct Movement {
        /// What happened.
        pub body: crate::body::CashMoved,
        /// Milliseconds since 1970 UTC.
        pub at_ms: u64,
    }
}

record! {
    /// The drawer of one kit at one event.
    #[derive(Default)]
    pub struct Drawer {
        /// When the running session began, `None` where none runs.
        pub opened_ms: Option<u64>,
        /// Opening cash of the running session.
        pub opening: i64,
        /// What should be in it now: the cash of the running session.
        pub expected: Balance,
        /// Cash taken less cash given back while no session ran: nobody counts it here.
        pub while_closed: Balance,
        /// Cash in and out during the session.
        pub movements: Vec<Movement>,
        /// The last count.
        pub last_count: Option<Count>,
    }
}

impl Drawer {
    /// A session begins. Before its opening cash is posted, so that the cash belongs to it.
    pub(crate) fn open(&mut self, opening: i64, at_ms: u64) {
        (self.opened_ms, self.opening) = (Some(at_ms), opening);
    }

    /// Cash came in or went out.
    fn post(&mut self, amount: i64) {
        let sum = if self.opened_ms.is_some() { &mut self.expected } else { &mut self.while_closed };
        sum.0 = sum.0.wrapping_add(i128::from(amount));
    }

    /// The session ends; its postings are done. What the count leaves is cash of no session: it may have taken along
    /// what stood outside.
    pub(crate) fn count(&mut self, count: Count) {
        self.while_closed.0 = self.while_closed.0.wrapping_add(self.expected.0);
        self.expected = Balance::default();
        self.last_count = Some(count);
        (self.opened_ms, self.opening) = (None, 0);
        self.movements.clear();
    }
}

record! {
    /// How a payment without order was cleared up.
    pub struct Settlement {
        /// Depth of the op.
        pub lamport: u64,
        /// The op.
        pub op: OpId,
        /// What it was.
        pub note: String,
    }
}

record! {
    /// A payment without order: a charge on a terminal that no order asked for.
    pub struct Foreign {
        /// What the terminal told, and of which device.
        pub body: ForeignPaymentFound,
        /// The ops that found it; the first is its id.
        pub found: BTreeSet<OpId>,
        /// How it was cleared up; the first settlement counts.
        pub settled: Option<Settlement>,
    }
}

impl Foreign {
    /// What tells one terminal's transactions apart, however often and by whom they are found.
    pub fn key(record: &TerminalRecord) -> [u8; 16] {
        let mut bytes = record.terminal_id.to_bytes();
        (record.receipt, record.trace).write(&mut bytes);
        (record.amount, record.date).write(&mut bytes);
        Hash::derived("fieldkit 2026-11 foreign payment", &bytes).half()
    }
}

record! {
    /// Who watches a replica, by its own last word.
    pub struct Watch {
        /// Names of the witnesses; none where nobody watches.
        pub witnesses: Vec<[u8; 16]>,
        /// The op.
        pub op: OpId,
    }
}

record! {
    /// An ask for rights that was not answered yet.
    pub struct Ask {
        /// The op.
        pub op: OpId,
        /// Who is asked.
        pub of: ReplicaKey,
        /// How many.
        pub quantity: u32,
    }
}

record! {
    /// A grant of a keeper.
    pub struct KeeperGrant {
        /// Who may use the rights.
        pub to: ReplicaKey,
        /// Which.
        pub ranges: Vec<UnitRange>,
    }
}

record! {
    /// A replica opened limited goods on a person's word: whoever speaks so may have forgotten what it did before.
    pub struct Word {
        /// Drawn by lot for the life in which it was spoken.
        pub nonce: [u8; 16],
        /// The first op of that life that says so.
        pub since: u64,
        /// What the word named.
        pub ranges: Vec<UnitRange>,
        /// What came afterwards from whoever had seen the word, by the op.
        pub fresh: BTreeMap<OpId, Fresh>,
    }
}

record! {
    /// Units that an op of somebody who had seen a word brought to the replica that goes by it.
    pub struct Fresh {
        /// How far its author had seen the replica.
        pub seen: u64,
        /// The units.
        pub ranges: Vec<UnitRange>,
        /// Units that came back from a buyer, as they were before.
        pub back: Vec<UnitRange>,
    }
}

impl Word {
    /// What counts for the replica: what was named, what is fresh, and of that what came back.
    pub fn named(&self) -> RangeSet {
        let fresh = self.fresh.values().flat_map(|fresh| &fresh.ranges);
        let mut back: Vec<&UnitRange> = self.fresh.values().flat_map(|fresh| &fresh.back).collect();
        back.sort_by_key(|range| range.generation);
        let mut of_fresh = RangeSet::of(fresh);
        for range in back {
            of_fresh.overlap(range).iter().for_each(|part| of_fresh.insert(&part.next()));
        }
        let mut named = RangeSet::of(&self.ranges);
        of_fresh.iter().for_each(|range| named.insert(&range));
        named
    }
}

record! {
    /// What a replica has of a lost keeper.
    pub struct HolderAnswer {
        /// The newest position of the keeper that counts.
        pub seen: u64,
        /// Whether the replica said so itself; else a person spoke for it.
        pub own: bool,
    }
}

record! {
    /// One event.
    pub struct Event {
        /// How it was opened.
        pub opened: EventOpened,
        /// When, milliseconds since 1970 UTC.
        pub opened_ms: u64,
        /// When it was closed.
        pub closed_ms: Option<u64>,
        /// The rules by which its ops are folded.
        pub fold_version: u32,
        /// The catalogue by SKU.
        pub items: BTreeMap<String, Item>,
        /// Sums of postings.
        pub balances: BTreeMap<(Account, Unit), Balance>,
        /// Drawers by the stream of their kit.
        pub drawers: BTreeMap<StreamId, Drawer>,
        /// Orders placed or opened.
        pub orders: u64,
        /// Refunds and voids, undone ones included.
        pub refunds: u64,
        /// Orders that wait for their payment.
        pub open_orders: BTreeSet<OpId>,
        /// Payments that something is still to come of.
        pub open_payments: BTreeMap<OpId, Payment>,
        /// Payments without order, by what tells them apart.
        pub foreign: BTreeMap<[u8; 16], Foreign>,
        /// Who holds which named units, by pool.
        pub pools: BTreeMap<PoolId, Pool>,
        /// Who watches each replica that ever said so.
        pub watches: BTreeMap<ReplicaKey, Watch>,
        /// Replicas that keep limited goods and sell none.
        pub keepers: BTreeSet<ReplicaKey>,
        /// What keepers gave, by the op.
        pub keeper_grants: BTreeMap<OpId, KeeperGrant>,
        /// What replicas have of lost keepers, by keeper and replica.
        pub answers: BTreeMap<(ReplicaKey, ReplicaKey), HolderAnswer>,
        /// Replicas that go on on a person's word.
        pub words: BTreeMap<ReplicaKey, Word>,
        /// Asks without an answer, by pool and asker.
        pub asks: BTreeMap<(PoolId, ReplicaKey), Ask>,
        /// Leases that are not over, by the op that gave them.
        pub leases: BTreeMap<OpId, Lease>,
    }
}

impl Event {
    /// A fresh event.
    pub fn new(opened: EventOpened, opened_ms: u64) -> Self {
        Event {
            fold_version: opened.fold_version,
            opened,
            opened_ms,
            closed_ms: None,
            items: BTreeMap::new(),
            balances: BTreeMap::new(),
            drawers: BTreeMap::new(),
            orders: 0,
            refunds: 0,
            open_orders: BTreeSet::new(),
            open_payments: BTreeMap::new(),
            foreign: BTreeMap::new(),
            pools: BTreeMap::new(),
            watches: BTreeMap::new(),
            keepers: BTreeSet::new(),
            keeper_grants: BTreeMap::new(),
            answers: BTreeMap::new(),
            words: BTreeMap::new(),
            asks: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }

    /// Whether it still sells.
    pub fn state(&self) -> EventState {
        if self.closed_ms.is_some() { EventState::Closed } else { EventState::Open }
    }

    /// Adds an op's postings to the sums, and its cash to the drawer of `stream`.
    pub fn post(&mut self, stream: StreamId, postings: &[Posting]) {
        for posting in postings {
            let sum = self.balances.entry((posting.account, posting.unit)).or_default();
            sum.0 = sum.0.wrapping_add(i128::from(posting.amount));
            if posting.account == Account::CASH && posting.unit == Unit::Money(self.opened.currency) {
                self.drawers.entry(stream).or_default().post(posting.amount);
            }
        }
    }

    /// The sum of one account.
    pub fn balance(&self, account: Account, unit: Unit) -> i64 {
        let sum = self.balances.get(&(account, unit)).copied().unwrap_or_default();
        i64::try_from(sum.0).unwrap_or(if sum.0 < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether an item is sold by rights: never more of it than there is.
    pub fn is_limited(&self, sku: &str) -> bool {
        self.items.get(sku).is_some_and(|item| item.limit() == Limit::Hard)
    }

    /// The items that are sold by rights.
    pub fn limited(&self) -> impl Iterator<Item = (&String, &Item)> {
        self.items.iter().filter(|(_, item)| item.limit() == Limit::Hard)
    }

    /// Units of a pool that may still be sold; below zero where more were sold than counted.
    pub fn here(&self, pool: PoolId) -> i64 {
        self.balance(Account::STOCK, Unit::Pool(pool))
    }

    /// Units of a pool that may be sold by the replicas that are `own`: all of them less what others hold.
    pub fn here_at(&self, pool: PoolId, own: impl Fn(&ReplicaKey) -> bool) -> i64 {
        let Some(rights) = self.pools.get(&pool) else { return self.here(pool) };
        let elsewhere = rights.holders().into_iter().filter(|(replica, _)| !own(replica));
        let elsewhere = elsewhere.fold(rights.frozen(), |sum, (_, held)| sum.saturating_add(held));
        self.here(pool).saturating_sub(elsewhere)
    }

    /// What a replica may use of a pool: what it holds and nobody contradicts, less what a word of its own left out.
    pub fn usable(&self, id: PoolId, replica: &ReplicaKey) -> RangeSet {
        let Some(pool) = self.pools.get(&id) else { return RangeSet::default() };
        let usable = pool.usable(id, replica);
        let Some(word) = self.words.get(replica) else { return usable };
        let named = word.named();
        RangeSet::of(usable.iter().flat_map(|range| named.overlap(&range)).collect::<Vec<_>>().iter())
    }

    /// Units of a pool that a replica holds and that a word of its own left out.
    pub fn resting(&self, id: PoolId, replica: &ReplicaKey) -> i64 {
        let Some(pool) = self.pools.get(&id).filter(|_| self.words.contains_key(replica)) else { return 0 };
        let left_out = pool.usable(id, replica).count().saturating_sub(self.usable(id, replica).count());
        i64::try_from(left_out).unwrap_or(i64::MAX)
    }

    /// Units of a soft pool that `replica` may sell: all of them less what others have by leases, and what rests here
    /// because its lease is not among the `live`.
    pub fn here_for(&self, pool: PoolId, replica: &ReplicaKey, live: &BTreeSet<OpId>) -> i64 {
        let away = self.leased(pool, |id, lease| lease.to != *replica || !live.contains(id));
        self.here(pool).saturating_sub(i64::try_from(away.count()).unwrap_or(i64::MAX))
    }

    /// Units of a pool that holders have by leases that are `wanted`.
    pub fn leased(&self, id: PoolId, wanted: impl Fn(&OpId, &Lease) -> bool) -> RangeSet {
        let mut units = RangeSet::default();
        let Some(pool) = self.pools.get(&id).filter(|_| !self.leases.is_empty()) else { return units };
        for (_, lease) in self.leases.iter().filter(|(op, lease)| wanted(op, lease)) {
            lease.held(id, pool).iter().for_each(|range| units.insert(&range));
        }
        units
    }

    /// Whether `replica` ever gave rights of a pool to another one.
    pub fn gave(&self, pool: &PoolId, replica: &ReplicaKey) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.givers.contains(replica))
    }

    /// Units of a pool that buyers hold.
    pub fn sold(&self, pool: PoolId) -> i64 {
        self.balance(Account::SOLD, Unit::Pool(pool))
    }

    /// Units of a pool that are set aside for orders that wait for their payment.
    pub fn held(&self, pool: PoolId) -> i64 {
        self.balance(Account::HELD, Unit::Pool(pool))
    }

    /// The payment without order that `op` found, with its id.
    pub fn foreign_found_by(&self, op: OpId) -> Option<(OpId, &Foreign)> {
        let foreign = self.foreign.values().find(|foreign| foreign.found.contains(&op))?;
        foreign.found.first().map(|first| (*first, foreign))
    }

    /// A tax rate by id.
    pub fn tax_ppm(&self, id: &str) -> Option<u32> {
        self.opened.tax_rates.iter().find(|rate| rate.id == id).map(|rate| rate.ppm)
    }
}
