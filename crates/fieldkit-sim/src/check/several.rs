//! Kits with others: units sold once, sales that outlive a kit, and everybody of one mind in the end.
//!
//! Promises: units are reckoned from the ops alone, those that no kit holds any more included, where somebody was
//! answered: what buyers carried away. A unit may be sold twice only where words that were written down put it at risk.
//! Absent on purpose: cards, which these kits do not take.

use super::{Findings, leases};
use crate::log::Said;
use crate::several::{DROP, Stall};
use crate::world::World;
use fieldkit_core::body::{Body, Line, UnitRange};
use fieldkit_core::fork;
use fieldkit_core::id::{Hash, PoolId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Account, Key, SealedOp, Unit};
use fieldkit_core::pool::deeds;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ops that may wait for witnesses at once.
const WAITING_MAX: u64 = 8;
/// Most replicas of one kit that are looked through.
const LIVES_MAX: usize = 64;

/// Ops of all kits by hash, and what they fold to.
struct Together {
    ops: BTreeMap<Hash, Arc<SealedOp>>,
    ledger: Ledger,
}

/// Checks; what came of limited goods stands in the answer.
pub(super) fn check(world: &mut World, orders: u64, findings: &mut Findings) -> Stall {
    let mut ops: BTreeMap<Hash, Arc<SealedOp>> = BTreeMap::new();
    for kit in world.kits.iter().filter(|kit| !kit.gone) {
        let branches = kit.journal.branches.iter().chain(&kit.black_box.branches).map(|(_, op)| op);
        for op in kit.journal.ops.iter().chain(&kit.black_box.ops).chain(branches) {
            ops.entry(op.hash).or_insert_with(|| op.clone());
        }
    }
    let ledger = fork::folded(ops.values().map(AsRef::as_ref));
    let together = Together { ops, ledger };
    answers(world, &together, findings);
    one_mind(world, &together, findings);
    forks(world, &together, findings);
    once(&together, findings);
    back_once(&together, findings);
    taken_over(&together, findings);
    again(&together, orders, findings);
    let stall = units(world, &together, findings);
    leases::check(world, &together.ops, findings);
    if leases::contradicted(&together.ledger, world.genesis.event) {
        world.log.reached("lease_contradicted");
    }
    if world.log.lines.is_some() && stall.oversold > 0 {
        tell(world, &together);
    }
    stall
}

/// The past of units that were sold more than once, for whoever reads the trace.
fn tell(world: &mut World, together: &Together) {
    let destroyed = world.log.put_back.iter().flat_map(|put_back| &put_back.destroyed);
    let mut all: BTreeMap<Hash, Arc<SealedOp>> = together.ops.clone();
    all.extend(destroyed.map(|op| (op.hash, op.clone())));
    let reckoning = Reckoning::of(all.values());
    let twice: BTreeSet<(PoolId, u64)> =
        reckoning.used.iter().filter(|(_, times)| **times > 1).map(|((pool, unit, _), _)| (*pool, *unit)).collect();
    let mut ordered: Vec<&Arc<SealedOp>> = all.values().collect();
    ordered.sort_by_key(|op| (op.op.lamport, op.op.stream, op.op.seq));
    let now_ms = world.now_ms;
    for (pool, unit) in twice {
        for op in &ordered {
            let Ok(body) = Body::open(op.op.kind, &op.op.body) else { continue };
            for (deed, ranges) in deeds(&op.hash, &world.genesis.event, &body) {
                if let Some(range) =
                    ranges.iter().find(|range| range.pool == pool && (range.first..range.end()).contains(&unit))
                {
                    let gone = if together.ops.contains_key(&op.hash) { "" } else { " (destroyed)" };
                    let line = format!(
                        "UNIT {unit} generation {}: {deed:?} by op {} depth {}{gone}",
                        range.generation,
                        op.id(),
                        op.op.lamport
                    );
                    world.log.line(now_ms, || line);
                }
            }
        }
    }
}

/// What was answered is there, unless the injector destroyed its last copy.
fn answers(world: &World, together: &Together, findings: &mut Findings) {
    let keys = |ops: &mut dyn Iterator<Item = &Arc<SealedOp>>| -> BTreeSet<Key> {
        ops.filter_map(|op| op.op.key.as_ref()).map(|key| key.key.clone()).collect()
    };
    let there = keys(&mut together.ops.values());
    let destroyed = keys(&mut world.log.put_back.iter().flat_map(|put_back| &put_back.destroyed));
    for (key, given) in world.log.given.iter().filter(|(_, given)| !given.answers.is_empty()) {
        if !there.contains(key) && !destroyed.contains(key) {
            let what = format!("kit {} answered {:?} and it is nowhere: {:?}", given.kit, key.bytes(), given.answers);
            findings.wrong("INV-01", what);
        }
    }
}

/// Whoever can be reached has everything, and makes the same of it; each journal folds to what its kit has in memory.
fn one_mind(world: &World, together: &Together, findings: &mut Findings) {
    if !world.all_is_even() {
        findings.wrong("INV-32", "long after everything healed, somebody lacks something".to_owned());
    }
    let expected = together.ledger.business_bytes();
    for (at, kit) in world.kits.iter().enumerate().filter(|(_, kit)| !kit.gone) {
        let Some(engine) = &kit.engine else {
            findings.wrong("INV-32", format!("kit {at} is down for ever"));
            continue;
        };
        let branches = kit.journal.branches.iter().map(|(_, op)| op);
        let own = fork::folded(kit.journal.ops.iter().chain(branches).map(AsRef::as_ref));
        if own.state_bytes() != engine.ledger().state_bytes() {
            findings.wrong("INV-25", format!("kit {at}: the state is not what its journal folds to"));
        } else if own.business_bytes() != expected {
            let lacks =
                together.ops.values().filter(|op| !kit.journal.holds(op)).map(|op| (op.id(), Body::name(op.op.kind)));
            let lacks: Vec<_> = lacks.take(3).collect();
            findings.wrong("INV-25", format!("kit {at}: it has not what all have together; it lacks {lacks:?} …"));
        }
    }
}

/// Each fork is named by everybody, both branches are counted, and units that are sold more than once are named.
fn forks(world: &World, together: &Together, findings: &mut Findings) {
    let parted = fork::forks(together.ops.values().map(AsRef::as_ref));
    let reckoned = Reckoning::of(together.ops.values());
    let known = reckoned.sold_twice();
    let mut sums: BTreeMap<(Account, Unit), i128> = BTreeMap::new();
    for posting in together.ops.values().flat_map(|op| &op.op.postings) {
        *sums.entry((posting.account, posting.unit)).or_default() += i128::from(posting.amount);
    }
    sums.retain(|_, sum| *sum != 0);
    for (at, kit) in world.kits.iter().enumerate().filter(|(_, kit)| !kit.gone) {
        let Some(ledger) = kit.engine.as_ref().map(fieldkit_engine::Engine::ledger) else { continue };
        for (stream, seq) in &parted {
            if ledger.forks.get(stream) != Some(seq) {
                let series = stream.series();
                findings.wrong("INV-24", format!("kit {at} does not name the fork of series {series} at {seq}"));
            }
        }
        let event = ledger.events.get(&world.genesis.event);
        let balances = event.into_iter().flat_map(|event| &event.balances).filter(|(_, sum)| sum.0 != 0);
        if !parted.is_empty() && !balances.map(|(of, sum)| (of, &sum.0)).eq(&sums) {
            findings.wrong("INV-24", format!("kit {at} does not count the money and goods of both branches"));
        }
        let cells = event.into_iter().flat_map(|event| event.pools.values()).flat_map(|pool| pool.cells.values());
        let used: i64 = cells.map(|cell| cell.used * i64::try_from(cell.count).unwrap_or(0)).sum();
        if !parted.is_empty() && u64::try_from(used).ok() != Some(reckoned.sold()) {
            let what = format!("{} units were sold on all branches, kit {at} counts {used}", reckoned.sold());
            findings.wrong("INV-24", what);
        }
        let named: u64 = ledger.oversold(world.genesis.event).iter().map(|(range, times)| range.count * times).sum();
        if named != known {
            let what = format!("{known} were sold more than once by the ops, kit {at} names {named}");
            findings.wrong("INV-18", what);
        }
    }
}

/// No command is done once more by somebody who knew the op that had answered it.
fn once(together: &Together, findings: &mut Findings) {
    let mut by_key: BTreeMap<&Key, Vec<&Arc<SealedOp>>> = BTreeMap::new();
    for op in together.ops.values() {
        if let Some(key) = &op.op.key {
            by_key.entry(&key.key).or_default().push(op);
        }
    }
    for (key, ops) in by_key.iter().filter(|(_, ops)| ops.len() > 1) {
        let again = ops.iter().find_map(|op| Some((op, ops.iter().find(|first| together.knew(op, first))?)));
        if let Some((op, first)) = again {
            let (key, first, op) = (key.bytes(), first.id(), op.id());
            findings.wrong("INV-01", format!("the command {key:?} was done by {first}, and by {op} once more"));
        }
    }
}

/// No unit comes back by the word of somebody who knew that it had: sold again, it is one of the next generation.
fn back_once(together: &Together, findings: &mut Findings) {
    let mut returns: BTreeMap<(PoolId, u64, u32), Vec<&Arc<SealedOp>>> = BTreeMap::new();
    for op in together.ops.values() {
        if let Ok(Body::RightsReturned(body)) = Body::open(op.op.kind, &op.op.body) {
            each(&body.ranges).for_each(|unit| returns.entry(unit).or_default().push(op));
        }
    }
    for ((_, unit, generation), ops) in returns.iter().filter(|(_, ops)| ops.len() > 1) {
        if ops.iter().any(|op| ops.iter().any(|first| together.knew(op, first))) {
            let what = format!("unit {unit} of generation {generation} came back {} times", ops.len());
            findings.wrong("INV-15", what);
        }
    }
}

/// What a lost keeper held is taken over by right only where everybody else had answered for it, as far as whoever took it
/// over had heard of them.
fn taken_over(together: &Together, findings: &mut Findings) {
    for op in together.ops.values() {
        let Ok(Body::HolderDeclaredLost(lost)) = Body::open(op.op.kind, &op.op.body) else { continue };
        // On a person's word it is taken over at once, with the units at risk.
        if !lost.risk.is_empty() {
            continue;
        }
        let (mut admitted, mut answered) = (BTreeSet::new(), BTreeSet::new());
        let mut follows: BTreeMap<ReplicaKey, ReplicaKey> = BTreeMap::new();
        let mut author = None;
        for cause in together.past(op) {
            match Body::open(cause.op.kind, &cause.op.body) {
                Ok(Body::ReplicaAdmitted(body)) => drop(admitted.insert(body.replica)),
                Ok(Body::HolderAnswered(body)) if body.holder == lost.holder => drop(answered.insert(body.on_behalf)),
                Ok(Body::StreamOpened(body)) => {
                    author = author.or((cause.op.stream == op.op.stream).then_some(body.replica));
                    follows.extend(body.follows.map(|before| (body.replica, before)));
                }
                _ => {}
            }
        }
        let line =
            |of: ReplicaKey| std::iter::successors(Some(of), |known| follows.get(known).copied()).take(LIVES_MAX);
        let own: BTreeSet<ReplicaKey> = author.into_iter().chain([lost.holder]).flat_map(line).collect();
        if let Some(silent) = admitted.iter().find(|replica| !own.contains(*replica) && !answered.contains(*replica)) {
            let (id, units) = (op.id(), fieldkit_core::rights::count(&lost.ranges));
            let what =
                format!("op {id} takes over {units} units of a keeper for which {} had not answered", silent.label());
            findings.wrong("INV-16", what);
        }
    }
}

impl Together {
    /// What the author of an op had seen.
    fn past(&self, op: &SealedOp) -> Vec<&Arc<SealedOp>> {
        let (mut open, mut past) = (causes(op), BTreeMap::new());
        while let Some(hash) = open.pop() {
            if let Some(cause) = self.ops.get(&hash).filter(|_| !past.contains_key(&hash)) {
                open.extend(causes(cause));
                past.insert(hash, cause);
            }
        }
        past.into_values().collect()
    }

    /// Whether the author of an op had seen another one.
    fn knew(&self, op: &SealedOp, other: &SealedOp) -> bool {
        let (mut open, mut seen) = (causes(op), BTreeSet::new());
        while let Some(hash) = open.pop() {
            if hash == other.hash {
                return true;
            }
            let cause = self.ops.get(&hash).filter(|cause| cause.op.lamport > other.op.lamport);
            if let Some(cause) = cause.filter(|_| seen.insert(hash)) {
                open.extend(causes(cause));
            }
        }
        false
    }
}

/// The same set in another order folds to the same bytes.
fn again(together: &Together, orders: u64, findings: &mut Findings) {
    if orders == 0 {
        return;
    }
    let backwards = fork::folded(together.ops.values().rev().map(AsRef::as_ref));
    if backwards.state_bytes() != together.ledger.state_bytes() {
        findings.wrong("INV-26", "the same ops in another order fold to other bytes".to_owned());
    }
}

/// What an op comes right after.
fn causes(op: &SealedOp) -> Vec<Hash> {
    op.op.deps.iter().map(|dep| dep.hash).chain([op.op.prev]).collect()
}

/// Units used, by pool, unit and generation: how often, and how often they came back.
#[derive(Default)]
struct Reckoning {
    used: BTreeMap<(PoolId, u64, u32), u64>,
    back: BTreeSet<(PoolId, u64, u32)>,
    /// Units that words put at risk, and how often.
    at_risk: BTreeMap<(PoolId, u64), u64>,
}

impl Reckoning {
    fn of<'a>(ops: impl IntoIterator<Item = &'a Arc<SealedOp>>) -> Self {
        let mut reckoning = Reckoning::default();
        let ops: Vec<&Arc<SealedOp>> = ops.into_iter().collect();
        reckoning.written_off(&ops);
        for op in ops {
            let lines =
                |lines: &[Line]| -> Vec<UnitRange> { lines.iter().flat_map(|line| line.units.clone()).collect() };
            match Body::open(op.op.kind, &op.op.body) {
                Ok(Body::OrderPlaced(body)) => reckoning.uses(&lines(&body.lines)),
                Ok(Body::OrderOpened(body)) => reckoning.uses(&lines(&body.lines)),
                Ok(Body::RightsUsed(body)) => reckoning.uses(&body.ranges),
                Ok(Body::RightsReturned(body)) => {
                    reckoning.back.extend(each(&body.ranges));
                }
                Ok(Body::HoldingAdmitted(body)) => reckoning.risks(&body.ranges),
                Ok(Body::HolderDeclaredLost(body)) if !body.risk.is_empty() => reckoning.risks(&body.ranges),
                _ => {}
            }
        }
        reckoning
    }

    /// What waited for a witness that was written off, and what was sold until the next ones watched, was at risk: the op
    /// that says so is the word.
    fn written_off(&mut self, ops: &[&Arc<SealedOp>]) {
        let mut watches: BTreeMap<StreamId, Vec<(u64, bool)>> = BTreeMap::new();
        let mut uses: Vec<(StreamId, u64, Vec<UnitRange>)> = Vec::new();
        for op in ops {
            match Body::open(op.op.kind, &op.op.body) {
                Ok(Body::WatchSet(body)) => {
                    watches.entry(op.op.stream).or_default().push((op.op.seq, !body.lost.is_empty()));
                }
                Ok(Body::OrderPlaced(body)) => {
                    let ranges = body.lines.iter().flat_map(|line| line.units.clone()).collect();
                    uses.push((op.op.stream, op.op.seq, ranges));
                }
                _ => {}
            }
        }
        watches.values_mut().for_each(|known| known.sort_unstable());
        for (stream, seq, ranges) in uses {
            let known = watches.get(&stream).into_iter().flatten();
            let before = known.clone().rfind(|(at, _)| *at < seq).is_some_and(|(_, lost)| *lost);
            let waited = known.clone().any(|(at, lost)| *lost && (seq..=seq + WAITING_MAX).contains(at));
            if before || waited {
                self.risks(&ranges);
            }
        }
    }

    fn uses(&mut self, ranges: &[UnitRange]) {
        each(ranges).for_each(|unit| *self.used.entry(unit).or_default() += 1);
    }

    fn risks(&mut self, ranges: &[UnitRange]) {
        each(ranges).for_each(|(pool, unit, _)| *self.at_risk.entry((pool, unit)).or_default() += 1);
    }

    fn sold(&self) -> u64 {
        self.used.values().sum()
    }

    /// Units that went to a buyer while the last one had them, and how often.
    fn twice(&self) -> BTreeMap<(PoolId, u64), u64> {
        let mut twice = BTreeMap::new();
        for (unit, times) in &self.used {
            let last = self.used.range((unit.0, unit.1, 0)..*unit).next_back();
            let out = last.is_some_and(|(last, _)| !self.back.contains(last));
            *twice.entry((unit.0, unit.1)).or_default() += times - 1 + u64::from(out);
        }
        twice.retain(|_, times| *times > 0);
        twice
    }

    fn sold_twice(&self) -> u64 {
        self.twice().values().sum()
    }
}

fn each(ranges: &[UnitRange]) -> impl Iterator<Item = (PoolId, u64, u32)> + '_ {
    ranges.iter().flat_map(|range| (range.first..range.end()).map(|unit| (range.pool, unit, range.generation)))
}

fn units(world: &World, together: &Together, findings: &mut Findings) -> Stall {
    // A key that is asked for again may be answered by another op than the one that was destroyed.
    let answered = |op: &&Arc<SealedOp>| {
        let given = op.op.key.as_ref().and_then(|key| world.log.given.get(&key.key));
        let by_this = |(said, _): &(Said, bool)| match said {
            Said::Order(order, ..) => Body::name(op.op.kind) != "OrderPlaced" || *order == op.id(),
            Said::Refused(_) | Said::Done => Body::name(op.op.kind) != "OrderPlaced",
        };
        given.is_none_or(|given| given.answers.iter().any(by_this))
    };
    let destroyed: BTreeMap<Hash, &Arc<SealedOp>> = world
        .log
        .put_back
        .iter()
        .flat_map(|put_back| &put_back.destroyed)
        .filter(answered)
        .filter(|op| !together.ops.contains_key(&op.hash))
        .map(|op| (op.hash, op))
        .collect();
    let mut carried = Reckoning::of(together.ops.values().chain(destroyed.into_values()));
    let limited = PoolId::of(&world.genesis.event, DROP);
    carried.used.retain(|(pool, ..), _| *pool == limited);
    let twice = carried.twice();
    let oversold: u64 = twice.values().sum();
    let named = |unit: &(PoolId, u64)| carried.at_risk.get(unit).copied().unwrap_or(0);
    let unnamed: u64 = twice.iter().map(|(unit, times)| times.saturating_sub(named(unit))).sum();
    if unnamed > 0 {
        let what =
            format!("{oversold} of {DROP} were sold more than once, {unnamed} of them without a word that names them");
        findings.wrong("INV-13", what);
    }
    Stall { sold: carried.sold(), oversold, unnamed, at_risk: carried.at_risk.values().sum(), ..world.stall }
}
