//! A pool: for each unit and generation, who holds it, or what became of it.
//!
//! Promises: a pure sum. Each op adds its own entry to the units that it names, so the order of arrival does not show,
//! and two branches of a forked replica are both counted. Per unit and generation, what was born equals what is held,
//! frozen, used, declared lost and written off; a unit lies in one place as long as nobody used what it did not hold,
//! and where somebody did, the sums say so. Equal neighbours are one cell, so history costs nothing once it is even.
//! Absent on purpose: what soft pools sell without a lease (they name no units), and rules (`decide`).

use crate::body::{Body, Line, UnitRange};
use crate::codec::record;
use crate::id::{Hash, OpId, PoolId, ReplicaKey};
use crate::rights::{ISSUE_MAX, RangeSet};
use std::collections::{BTreeMap, BTreeSet};

record! {
    /// Neighbouring units of one generation that have the same past.
    #[derive(Default)]
    pub struct Cell {
        /// How many.
        pub count: u64,
        /// How often each came into being: 1, unless replicas contradict each other.
        pub born: i64,
        /// Who holds it; below zero for whoever gave or used what it did not hold. Zeros are left out.
        pub held: BTreeMap<ReplicaKey, i64>,
        /// Given away by a forked replica behind its fork: at rest until a person decides.
        pub frozen: i64,
        /// How often an order took it.
        pub used: i64,
        /// How often it came back from an order, as the next generation.
        pub returned: i64,
        /// How often it was taken over, from a lost holder or after a lease, as the next generation.
        pub declared: i64,
        /// How often it was written off.
        pub written_off: i64,
    }
}

impl Cell {
    /// Adds to what `replica` holds.
    fn hold(&mut self, replica: ReplicaKey, change: i64) {
        let held = self.held.entry(replica).or_default();
        *held = held.wrapping_add(change);
        if *held == 0 {
            self.held.remove(&replica);
        }
    }

    /// Whether nobody contradicts anybody.
    fn is_clean(&self) -> bool {
        let (born, used) = (self.born == 1, (0..=1).contains(&self.used));
        let ended = self.used.saturating_add(self.declared).saturating_add(self.written_off) <= 1;
        let held = self.held.values().all(|held| *held > 0);
        born && used && ended && held && self.frozen == 0 && (0..=self.used).contains(&self.returned)
    }

    /// Whether it came back from an order or a lost holder, and nowhere else it lies.
    fn is_over(&self) -> bool {
        self.is_clean() && self.held.is_empty() && self.returned.saturating_add(self.declared) == 1
    }

    /// Whether these are the same but for their number.
    fn is_like(&self, other: &Cell) -> bool {
        Cell { count: 0, ..self.clone() } == Cell { count: 0, ..other.clone() }
    }
}

/// What an op does with the rights that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Brings them to the stall.
    Issue,
    /// Gives them to another replica.
    Grant(ReplicaKey),
    /// Gives them away behind a fork.
    Freeze,
    /// Takes them for an order.
    Use,
    /// Takes them back from an order, for a replica.
    Return(ReplicaKey),
    /// Takes them over from a lost holder, or from one whose lease is over.
    Declare(ReplicaKey),
    /// Ends them.
    WriteOff,
}

/// What an op of an event does with which rights.
pub fn deeds(op: &Hash, event: &OpId, body: &Body) -> Vec<(Deed, Vec<UnitRange>)> {
    let of_lines = |lines: &[Line]| -> Vec<(Deed, Vec<UnitRange>)> {
        lines.iter().filter(|line| !line.units.is_empty()).map(|line| (Deed::Use, line.units.clone())).collect()
    };
    match body {
        Body::StockMoved(body) => {
            let came = u64::try_from(body.change).ok();
            let came = came.and_then(|count| UnitRange::issued(PoolId::of(event, &body.sku), op, count));
            came.map(|range| (Deed::Issue, vec![range])).into_iter().collect()
        }
        Body::OrderPlaced(body) => of_lines(&body.lines),
        Body::OrderOpened(body) => of_lines(&body.lines),
        Body::RightsGranted(body) => vec![(Deed::Grant(body.to), body.ranges.clone())],
        Body::RightsReturned(body) => vec![(Deed::Return(body.to), body.ranges.clone())],
        Body::RightsUsed(body) => vec![(Deed::Use, body.ranges.clone())],
        Body::RightsWrittenOff(body) => vec![(Deed::WriteOff, body.ranges.clone())],
        Body::HolderDeclaredLost(body) => vec![(Deed::Declare(body.holder), body.ranges.clone())],
        Body::RightsLeased(body) => vec![(Deed::Grant(body.to), body.ranges.clone())],
        Body::LeaseLapsed(body) => vec![(Deed::Declare(body.holder), body.ranges.clone())],
        _ => Vec::new(),
    }
}

record! {
    /// The rights of one pool.
    #[derive(Default)]
    pub struct Pool {
        /// The SKU, where an op brought units of it.
        pub sku: String,
        /// Who ever gave rights away.
        pub givers: BTreeSet<ReplicaKey>,
        /// By generation and first unit.
        pub cells: BTreeMap<(u32, u64), Cell>,
    }
}

/// How many sales too many these are, as `Pool::oversold` lists them.
pub fn too_many(over: &[(UnitRange, u64)]) -> u64 {
    over.iter().fold(0, |sum, (range, each)| sum.saturating_add(range.count.saturating_mul(*each)))
}

impl Pool {
    /// Adds what `author` did with a sound range, and says whether all is still clean there.
    pub(crate) fn add(&mut self, author: ReplicaKey, range: &UnitRange, deed: Deed) -> bool {
        self.apply(author, range, deed);
        let again = matches!(deed, Deed::Return(_) | Deed::Declare(_)).then(|| range.next());
        let clean = |range: &UnitRange| self.over(range).all(|(_, cell)| cell.is_clean());
        clean(range) && again.as_ref().is_none_or(clean)
    }

    /// Adds what `author` did with a sound range.
    pub fn apply(&mut self, author: ReplicaKey, range: &UnitRange, deed: Deed) {
        self.post(range, |cell| match deed {
            Deed::Issue => {
                cell.born = cell.born.wrapping_add(1);
                cell.hold(author, 1);
            }
            Deed::Grant(to) => {
                cell.hold(author, -1);
                cell.hold(to, 1);
            }
            Deed::Freeze => {
                cell.hold(author, -1);
                cell.frozen = cell.frozen.wrapping_add(1);
            }
            Deed::Use => {
                cell.hold(author, -1);
                cell.used = cell.used.wrapping_add(1);
            }
            Deed::Return(_) => cell.returned = cell.returned.wrapping_add(1),
            Deed::Declare(holder) => {
                cell.hold(holder, -1);
                cell.declared = cell.declared.wrapping_add(1);
            }
            Deed::WriteOff => {
                cell.hold(author, -1);
                cell.written_off = cell.written_off.wrapping_add(1);
            }
        });
        let again = match deed {
            Deed::Return(to) => Some(to),
            Deed::Declare(_) => Some(author),
            Deed::Issue | Deed::Grant(_) | Deed::Freeze | Deed::Use | Deed::WriteOff => None,
        };
        if let Some(to) = again {
            self.post(&range.next(), |cell| {
                cell.born = cell.born.wrapping_add(1);
                cell.hold(to, 1);
            });
        }
    }

    /// Takes a grant of `author` to `to` back out of the sums.
    pub(crate) fn withdraw(&mut self, author: ReplicaKey, to: ReplicaKey, range: &UnitRange) {
        self.post(range, |cell| {
            cell.hold(author, 1);
            cell.hold(to, -1);
        });
    }

    /// What `replica` may use now: what it holds and nobody contradicts.
    pub fn usable(&self, id: PoolId, replica: &ReplicaKey) -> RangeSet {
        let mut usable = RangeSet::default();
        for ((generation, first), cell) in &self.cells {
            if !cell.is_clean() || !cell.held.contains_key(replica) {
                continue;
            }
            let range = UnitRange { pool: id, first: *first, count: cell.count, generation: *generation };
            self.founded(range).iter().for_each(|part| usable.insert(part));
        }
        usable
    }

    /// The units of a range that are over in each generation before.
    fn founded(&self, range: UnitRange) -> Vec<UnitRange> {
        let mut parts = vec![range];
        for generation in (0..range.generation).rev() {
            let before = parts.iter().map(|part| UnitRange { generation, ..*part });
            let over = before.flat_map(|before| self.over(&before)).filter(|(_, cell)| cell.is_over());
            parts = over.map(|(part, _)| UnitRange { generation: range.generation, ..part }).collect();
            if parts.is_empty() {
                break;
            }
        }
        parts
    }

    /// What each replica holds by the sums, zeros left out.
    pub fn holders(&self) -> BTreeMap<ReplicaKey, i64> {
        let mut holders: BTreeMap<ReplicaKey, i64> = BTreeMap::new();
        for cell in self.cells.values() {
            for (replica, held) in &cell.held {
                let sum = holders.entry(*replica).or_default();
                *sum = sum.saturating_add(times(*held, cell.count));
            }
        }
        holders.retain(|_, held| *held != 0);
        holders
    }

    /// Units that rest because a forked replica gave them away.
    pub fn frozen(&self) -> i64 {
        self.cells.values().fold(0, |sum, cell| sum.saturating_add(times(cell.frozen, cell.count)))
    }

    /// Units that went to more buyers than can have them, each with how many are too many. A generation is sold once, and
    /// only after the last one before it that was sold came back.
    pub fn oversold(&self, id: PoolId) -> Vec<(UnitRange, u64)> {
        let mut over = Vec::new();
        // Units whose last buyer has them, as if they were of the first generation.
        let mut out = RangeSet::default();
        for ((generation, first), cell) in self.cells.iter().filter(|(_, cell)| cell.used > 0) {
            let range = UnitRange { pool: id, first: *first, count: cell.count, generation: 0 };
            let lawful = cell.born.clamp(0, 1);
            let mut rest = RangeSet::of([&range]);
            for part in out.overlap(&range) {
                rest.remove(&part);
                over.push((UnitRange { generation: *generation, ..part }, cell.used));
            }
            let beyond = cell.used.saturating_sub(lawful);
            over.extend(rest.iter().map(|part| (UnitRange { generation: *generation, ..part }, beyond)));
            if cell.returned > 0 {
                out.remove(&range);
            } else {
                out.insert(&range);
            }
        }
        let extra = |extra: i64| u64::try_from(extra).ok().filter(|extra| *extra > 0);
        over.into_iter().filter_map(|(range, count)| Some((range, extra(count)?))).collect()
    }

    /// Units about which replicas contradict each other.
    pub fn contested(&self) -> u64 {
        let contested = self.cells.values().filter(|cell| !cell.is_clean());
        contested.fold(0, |sum, cell| sum.saturating_add(cell.count))
    }

    /// Cells under `range`, cut to it.
    fn over<'a>(&'a self, range: &UnitRange) -> impl Iterator<Item = (UnitRange, &'a Cell)> + use<'a> {
        let range = *range;
        let from = range.first.saturating_sub(ISSUE_MAX);
        let cells = self.cells.range((range.generation, from)..(range.generation, range.end()));
        cells.filter_map(move |((_, first), cell)| {
            let known = UnitRange { first: *first, count: cell.count, ..range };
            known.overlap(&range).map(|part| (part, cell))
        })
    }

    /// Changes each cell of a range, cut out where needed; equal neighbours become one again.
    fn post(&mut self, range: &UnitRange, change: impl Fn(&mut Cell)) {
        let (generation, end) = (range.generation, range.end());
        self.cut(generation, range.first);
        self.cut(generation, end);
        let known: Vec<(u64, u64)> = self
            .cells
            .range((generation, range.first)..(generation, end))
            .map(|(key, cell)| (key.1, cell.count))
            .collect();
        let mut at = range.first;
        for (first, count) in known.into_iter().chain([(end, 0)]) {
            if at < first {
                self.cells.insert((generation, at), Cell { count: first - at, ..Cell::default() });
            }
            at = first.saturating_add(count);
        }
        self.cells.range_mut((generation, range.first)..(generation, end)).for_each(|(_, cell)| change(cell));
        self.join(generation, range.first, end);
    }

    /// Makes `at` the beginning of a cell, where one lies across it.
    fn cut(&mut self, generation: u32, at: u64) {
        let before = self.cells.range_mut((generation, 0)..(generation, at)).next_back();
        let Some(((_, first), cell)) = before else { return };
        let front = at - *first;
        if front < cell.count {
            let back = Cell { count: cell.count - front, ..cell.clone() };
            cell.count = front;
            self.cells.insert((generation, at), back);
        }
    }

    /// Makes equal neighbours one, from the cell before `first` to the one at `end`, and drops what is nothing.
    fn join(&mut self, generation: u32, first: u64, end: u64) {
        let before = self.cells.range((generation, 0)..(generation, first)).next_back().map(|(key, _)| key.1);
        let from = before.unwrap_or(first);
        let keys: Vec<u64> = self.cells.range((generation, from)..=(generation, end)).map(|(key, _)| key.1).collect();
        let mut last: Option<u64> = None;
        for key in keys {
            let Some(cell) = self.cells.get(&(generation, key)) else { continue };
            if cell.is_like(&Cell::default()) {
                self.cells.remove(&(generation, key));
                continue;
            }
            let into = last.filter(|_| key % ISSUE_MAX != 0).filter(|last| {
                let known = self.cells.get(&(generation, *last));
                known.is_some_and(|known| last + known.count == key && known.is_like(cell))
            });
            match into {
                Some(into) => {
                    let count = cell.count;
                    self.cells.remove(&(generation, key));
                    if let Some(known) = self.cells.get_mut(&(generation, into)) {
                        known.count += count;
                    }
                }
                None => last = Some(key),
            }
        }
    }
}

fn times(each: i64, count: u64) -> i64 {
    each.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX))
}
