//! Kits with others: units sold once, sales that outlive a kit, and everybody of one mind in the end.
//!
//! Promises: units are reckoned from the ops alone, those that no kit holds any more included, where somebody was
//! answered: what buyers carried away. A unit may be sold twice only where words that were written down put it at risk.
//! Absent on purpose: cards, which these kits do not take.

use super::{Findings, leases};
use crate::several::{DROP, Stall};
use crate::world::World;
use fieldkit_core::body::{Body, Line, UnitRange};
use fieldkit_core::fork;
use fieldkit_core::id::{Hash, PoolId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Key, SealedOp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
            let deeds = fieldkit_core::pool::deeds(&op.hash, &world.genesis.event, &body);
            for (deed, ranges) in deeds {
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
    for (stream, seq) in fork::forks(together.ops.values().map(AsRef::as_ref)) {
        if together.ledger.forks.get(&stream) != Some(&seq) {
            findings.wrong("INV-24", format!("the fork of {stream:?} at {seq} is not named"));
        }
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

/// Units used, by pool, unit and generation: how often, and how often they came back.
#[derive(Default)]
struct Reckoning {
    used: BTreeMap<(PoolId, u64, u32), u64>,
    back: BTreeSet<(PoolId, u64, u32)>,
    at_risk: u64,
}

impl Reckoning {
    fn of<'a>(ops: impl IntoIterator<Item = &'a Arc<SealedOp>>) -> Self {
        let mut reckoning = Reckoning::default();
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
                Ok(Body::HoldingAdmitted(body)) => reckoning.at_risk += body.at_risk,
                Ok(Body::HolderDeclaredLost(body)) if !body.risk.is_empty() => {
                    reckoning.at_risk += fieldkit_core::rights::count(&body.ranges);
                }
                _ => {}
            }
        }
        reckoning
    }

    fn uses(&mut self, ranges: &[UnitRange]) {
        each(ranges).for_each(|unit| *self.used.entry(unit).or_default() += 1);
    }

    fn sold(&self) -> u64 {
        self.used.values().sum()
    }

    /// How often a unit went to a buyer that another one had.
    fn sold_twice(&self) -> u64 {
        let mut twice = 0;
        for ((pool, unit, generation), times) in &self.used {
            twice += times - 1;
            let before = generation.checked_sub(1).map(|before| (*pool, *unit, before));
            twice += u64::from(before.is_some_and(|one| self.used.contains_key(&one) && !self.back.contains(&one)));
        }
        twice
    }
}

fn each(ranges: &[UnitRange]) -> impl Iterator<Item = (PoolId, u64, u32)> + '_ {
    ranges.iter().flat_map(|range| (range.first..range.end()).map(|unit| (range.pool, unit, range.generation)))
}

fn units(world: &World, together: &Together, findings: &mut Findings) -> Stall {
    let answered = |op: &&Arc<SealedOp>| {
        let given = op.op.key.as_ref().and_then(|key| world.log.given.get(&key.key));
        op.op.key.is_none() || given.is_none_or(|given| !given.answers.is_empty())
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
    let known = Reckoning::of(together.ops.values());
    let oversold = carried.sold_twice();
    if oversold > carried.at_risk {
        let what = format!("{oversold} of {DROP} were sold more than once, {} were named at risk", carried.at_risk);
        findings.wrong("INV-13", what);
    }
    let named: u64 =
        together.ledger.oversold(world.genesis.event).iter().map(|(range, times)| range.count * times).sum();
    if named != known.sold_twice() {
        let what = format!("{} were sold more than once by the ops, {named} are named", known.sold_twice());
        findings.wrong("INV-18", what);
    }
    Stall { sold: carried.sold(), oversold, at_risk: carried.at_risk, ..world.stall }
}
