//! Slips in buyers' hands against the ops: each carries the number and the check of a sale that stands.
//!
//! Promises: a sale whose last copy the injector destroyed is missed by nobody's slip, and no other one is.
//! Absent on purpose: numbers without gaps and twice on different sales (`money`).

use super::Findings;
use crate::world::World;
use fieldkit_core::body::Body;
use fieldkit_core::id::Hash;
use fieldkit_core::op::SealedOp;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn check(world: &World, findings: &mut Findings) {
    let destroyed = world.log.put_back.iter().flat_map(|put_back| &put_back.destroyed);
    let destroyed: BTreeSet<Hash> = destroyed.map(|op| op.hash).collect();
    for (hash, slip) in world.log.slips.iter().filter(|(hash, _)| !destroyed.contains(*hash)) {
        let devices = world.kits.iter().filter(|kit| !kit.gone).flat_map(|kit| [&kit.journal, &kit.black_box]);
        let mut there = devices.flat_map(|device| {
            let main = device.find(&slip.op).map(|(_, op)| op);
            main.into_iter().chain(device.branches.iter().map(|(_, op)| op))
        });
        let sold = there.find(|op| op.hash == *hash).map(receipt);
        if sold != Some(Some(slip.receipt)) {
            let what =
                format!("kit {} printed receipt {} for op {}, which is nowhere", slip.kit, slip.receipt, slip.op);
            findings.wrong("INV-12", what);
        }
    }
}

/// The receipt number that a sale took.
fn receipt(op: &Arc<SealedOp>) -> Option<u64> {
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::OrderPlaced(body)) => Some(body.receipt),
        Ok(Body::OrderPaid(body)) => Some(body.receipt),
        _ => None,
    }
}
