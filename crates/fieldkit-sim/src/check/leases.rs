//! Leases against true time: no unit is sold by name after the end of its lease by more than the margin.
//!
//! Promises: when a lease was given and when a sale was made is what the world wrote down, and no kit's clock. Whose lease
//! it was is read from the ops, those that no kit holds any more included.
//! Absent on purpose: units sold twice in time and out of it (`several` counts and compares them).

use super::Findings;
use crate::genesis;
use crate::several::TEE;
use crate::world::World;
use fieldkit_core::body::{Body, RightsLeased, UnitRange};
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, Space, StreamId};
use fieldkit_core::lease::MARGIN_MS;
use fieldkit_core::ledger::{AnomalyKind, Ledger, about};
use fieldkit_core::op::SealedOp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A range of units that an op sells by name, by whom and when.
struct Sale {
    op: OpId,
    by: Option<ReplicaKey>,
    range: UnitRange,
    at_ms: u64,
}

/// INV-16: whoever names a leased unit has it, and its time is not over.
pub(super) fn check(world: &World, ops: &BTreeMap<Hash, Arc<SealedOp>>, findings: &mut Findings) {
    let destroyed = world.log.put_back.iter().flat_map(|put_back| &put_back.destroyed);
    let all: BTreeMap<Hash, &Arc<SealedOp>> = ops.values().chain(destroyed).map(|op| (op.hash, op)).collect();
    let keys = world.kits.iter().flat_map(|kit| (0..=kit.nth).map(|nth| genesis::key(kit.number, nth)));
    let stream = |replica: &ReplicaKey| StreamId::of(replica, &Space::Event(world.genesis.event));
    let authors: BTreeMap<StreamId, ReplicaKey> =
        keys.map(|key| genesis::replica(&key)).map(|replica| (stream(&replica), replica)).collect();
    let (mut given, mut sold) = (Vec::new(), Vec::new());
    for op in all.into_values() {
        let Some(at_ms) = world.leases.written_ms.get(&op.hash).copied() else { continue };
        match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::RightsLeased(body)) => given.push((at_ms, body)),
            Ok(Body::OrderPlaced(body)) => {
                let (id, by) = (op.id(), authors.get(&op.op.stream).copied());
                let units = body.lines.into_iter().flat_map(|line| line.units);
                sold.extend(units.map(|range| Sale { op: id, by, range, at_ms }));
            }
            _ => {}
        }
    }
    for sale in &sold {
        for unit in sale.range.first..sale.range.end() {
            match end_ms(&given, sale, unit) {
                None => findings.wrong("INV-16", format!("op {} names unit {unit} without a lease", sale.op)),
                Some(end_ms) if sale.at_ms > end_ms + MARGIN_MS => {
                    let late_ms = sale.at_ms - end_ms;
                    let what = format!("op {} sells unit {unit} {late_ms} ms after the end of its lease", sale.op);
                    findings.wrong("INV-16", what);
                }
                Some(_) => {}
            }
        }
    }
}

/// When the lease of a unit to its seller ended; of several the one of the newest generation, and then the last.
fn end_ms(given: &[(u64, RightsLeased)], sale: &Sale, unit: u64) -> Option<u64> {
    let of = |known: &&UnitRange| {
        let units = known.pool == sale.range.pool && (known.first..known.end()).contains(&unit);
        units && known.generation <= sale.range.generation
    };
    let to_seller = given.iter().filter(|(_, body)| Some(body.to) == sale.by);
    let ends = to_seller.filter_map(|(at_ms, body)| {
        let generation = body.ranges.iter().filter(of).map(|known| known.generation).max()?;
        Some((generation, *at_ms, *at_ms + body.term_ms))
    });
    ends.max().map(|(_, _, end_ms)| end_ms)
}

/// Whether kits contradict each other about ordinary goods: a sale in time was heard of after the lapse.
pub(super) fn contradicted(ledger: &Ledger, event: OpId) -> bool {
    let pool = about(PoolId::of(&event, TEE));
    ledger.anomalies.values().any(|anomaly| anomaly.op == pool && anomaly.kind == AnomalyKind::Contested)
}
