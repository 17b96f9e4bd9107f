//! Rights reckoned anew from the ops alone: unit by unit, each act with the right that it names (INV-13 to INV-16).
//!
//! Shares with the code under test only the names of units that an op brings, and the reading of bodies.

use fieldkit_core::body::{Body, UnitRange};
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, StreamId};
use fieldkit_core::op::SealedOp;
use std::collections::{BTreeMap, BTreeSet};

/// What an op does with one right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Born(ReplicaKey),
    Given(ReplicaKey),
    Taken,
    Back,
    Lost(ReplicaKey),
    Ended,
}

/// One act of one op by one replica.
#[derive(Clone, Debug)]
struct Event {
    by: ReplicaKey,
    act: Act,
    op: Hash,
}

/// The acts on each unit and generation, in the order of the log.
#[derive(Default)]
pub struct Audit {
    acts: BTreeMap<(PoolId, u64, u32), Vec<Event>>,
    past: BTreeMap<Hash, BTreeSet<Hash>>,
}

impl Audit {
    /// Of a log that holds causes first; ops that stand there again are left out.
    pub fn of<'a>(log: impl IntoIterator<Item = &'a SealedOp>, event: OpId) -> Self {
        let mut audit = Audit::default();
        let mut authors: BTreeMap<StreamId, ReplicaKey> = BTreeMap::new();
        for op in log {
            if audit.past.contains_key(&op.hash) {
                continue;
            }
            let mut past = BTreeSet::new();
            for cause in op.op.deps.iter().map(|dep| dep.hash).chain([op.op.prev]) {
                past.extend(audit.past.get(&cause).into_iter().flatten());
                past.insert(cause);
            }
            audit.past.insert(op.hash, past);
            let Ok(body) = Body::open(op.op.kind, &op.op.body) else { continue };
            if let Body::StreamOpened(opened) = &body {
                authors.insert(op.op.stream, opened.replica);
            }
            let Some(by) = authors.get(&op.op.stream) else { continue };
            for (range, act) in acts(op, &body, event, *by) {
                for unit in range.first..range.first + range.count {
                    let right = (range.pool, unit, range.generation);
                    audit.acts.entry(right).or_default().push(Event { by: *by, act, op: op.hash });
                }
            }
        }
        audit
    }

    fn count(&self, right: (PoolId, u64, u32), wanted: fn(&Act) -> bool) -> u64 {
        self.acts.get(&right).into_iter().flatten().filter(|event| wanted(&event.act)).count() as u64
    }

    fn units(&self) -> BTreeMap<(PoolId, u64), u32> {
        self.acts.keys().map(|(pool, unit, generation)| ((*pool, *unit), *generation)).collect()
    }

    /// Units that came to the stall.
    pub fn issued(&self) -> u64 {
        self.units().keys().map(|(pool, unit)| self.count((*pool, *unit, 0), |act| matches!(act, Act::Born(_)))).sum()
    }

    /// Buyers who have a unit now, beyond one for each that came (INV-13).
    pub fn out_too_many(&self) -> u64 {
        let units = self.units();
        let out = units.iter().map(|((pool, unit), last)| {
            let sum = |wanted: fn(&Act) -> bool| {
                (0..=*last).map(|generation| self.count((*pool, *unit, generation), wanted)).sum::<u64>()
            };
            let (taken, back) = (sum(|act| *act == Act::Taken), sum(|act| *act == Act::Back));
            let came = self.count((*pool, *unit, 0), |act| matches!(act, Act::Born(_)));
            taken.saturating_sub(back + came)
        });
        out.sum()
    }

    /// Sales of units whose last buyer did not bring them back before (INV-14).
    pub fn sold_twice(&self) -> u64 {
        let mut twice = 0;
        let mut last_out: BTreeSet<(PoolId, u64)> = BTreeSet::new();
        let mut rights: Vec<_> = self.acts.keys().collect();
        rights.sort_by_key(|(pool, unit, generation)| (*pool, *unit, *generation));
        for right in rights {
            let unit = (right.0, right.1);
            let taken = self.count(*right, |act| *act == Act::Taken);
            if taken == 0 {
                continue;
            }
            let born = self.count(*right, |act| matches!(act, Act::Born(_))) > 0;
            twice += taken.saturating_sub(u64::from(born && !last_out.contains(&unit)));
            if self.count(*right, |act| *act == Act::Back) > 0 {
                last_out.remove(&unit);
            } else {
                last_out.insert(unit);
            }
        }
        twice
    }

    /// Acts with a right that no chain of grants brought to whoever acted, in the past of the act (INV-16).
    pub fn without_a_right(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (right, events) in &self.acts {
            // Who holds it, and the act that made it so; then who had it when it ended.
            let mut holder: Option<(ReplicaKey, Hash)> = None;
            let mut sold: Option<Hash> = None;
            for event in events {
                let past = &self.past[&event.op];
                let holds = holder
                    .is_some_and(|(holder, since)| holder == event.by && (since == event.op || past.contains(&since)));
                let lawful = match event.act {
                    Act::Born(_) => holder.is_none() && sold.is_none(),
                    Act::Given(_) | Act::Taken | Act::Ended => holds,
                    Act::Back => sold.take().is_some_and(|since| past.contains(&since)),
                    Act::Lost(from) => holder.is_some_and(|(holder, _)| holder == from),
                };
                if !lawful {
                    wrong.push(format!("{:?} of unit {} generation {}", event.act, right.1, right.2));
                }
                match event.act {
                    Act::Born(to) | Act::Given(to) => holder = Some((to, event.op)),
                    Act::Taken => (holder, sold) = (None, Some(event.op)),
                    Act::Lost(_) | Act::Ended => holder = None,
                    Act::Back => {}
                }
            }
        }
        wrong
    }

    /// Units that are held, that orders have, that are written off: each unit in one place (INV-15).
    pub fn places(&self) -> (u64, u64, u64) {
        let (mut held, mut out, mut ended) = (0, 0, 0);
        for ((pool, unit), last) in self.units() {
            // Only the newest generation lies anywhere.
            let act = self.acts[&(pool, unit, last)].last().map(|event| event.act);
            match act {
                Some(Act::Born(_) | Act::Given(_)) => held += 1,
                Some(Act::Taken) => out += 1,
                Some(Act::Ended) => ended += 1,
                Some(Act::Back | Act::Lost(_)) | None => panic!("the next generation is born by the same op"),
            }
        }
        (held, out, ended)
    }
}

/// What an op does with which rights.
fn acts(op: &SealedOp, body: &Body, event: OpId, by: ReplicaKey) -> Vec<(UnitRange, Act)> {
    let each = |ranges: &[UnitRange], act: Act| ranges.iter().map(|range| (*range, act)).collect::<Vec<_>>();
    let again = |ranges: &[UnitRange], act: Act, to: ReplicaKey| {
        let next = |range: &UnitRange| UnitRange { generation: range.generation + 1, ..*range };
        ranges.iter().flat_map(|range| [(*range, act), (next(range), Act::Born(to))]).collect::<Vec<_>>()
    };
    match body {
        Body::StockMoved(moved) => {
            let pool = PoolId::of(&event, &moved.sku);
            let came = u64::try_from(moved.change).ok().and_then(|count| UnitRange::issued(pool, &op.hash, count));
            came.map(|range| (range, Act::Born(by))).into_iter().collect()
        }
        Body::OrderPlaced(body) => body.lines.iter().flat_map(|line| each(&line.units, Act::Taken)).collect(),
        Body::OrderOpened(body) => body.lines.iter().flat_map(|line| each(&line.units, Act::Taken)).collect(),
        Body::RightsGranted(body) => each(&body.ranges, Act::Given(body.to)),
        Body::RightsReturned(body) => again(&body.ranges, Act::Back, body.to),
        Body::RightsUsed(body) => each(&body.ranges, Act::Taken),
        Body::RightsWrittenOff(body) => each(&body.ranges, Act::Ended),
        Body::HolderDeclaredLost(body) => again(&body.ranges, Act::Lost(body.holder), by),
        Body::RightsLeased(body) => each(&body.ranges, Act::Given(body.to)),
        Body::LeaseLapsed(body) => again(&body.ranges, Act::Lost(body.holder), by),
        _ => Vec::new(),
    }
}
