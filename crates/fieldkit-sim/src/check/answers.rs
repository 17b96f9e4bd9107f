//! What was answered: it survives, it was done once, and it was said once.
//!
//! Promises: an op may be missing only where the injector destroyed its only copy; an answer that spoke of two devices
//! outlives one of them.
//! Absent on purpose: what the answers were worth (`money`).

use super::{Findings, Union};
use crate::log::Said;
use crate::world::World;
use fieldkit_core::body::Body;
use fieldkit_core::id::OpId;
use fieldkit_core::op::Key;
use std::collections::BTreeMap;

pub(super) fn check(world: &World, union: &Union, findings: &mut Findings) {
    let mut by_key: BTreeMap<&Key, Vec<OpId>> = BTreeMap::new();
    for (id, (op, _)) in &union.ops {
        if let Some(key) = &op.op.key {
            by_key.entry(&key.key).or_default().push(*id);
        }
    }
    for (key, ops) in by_key.iter().filter(|(_, ops)| ops.len() > 1) {
        findings.wrong("INV-01", format!("the command {:?} was done {} times: {ops:?}", key.bytes(), ops.len()));
    }
    // Whether the box went back with the disk, by the keys of what was destroyed.
    let mut destroyed: BTreeMap<&Key, bool> = BTreeMap::new();
    for put_back in &world.log.put_back {
        for key in put_back.destroyed.iter().filter_map(|op| op.op.key.as_ref()) {
            *destroyed.entry(&key.key).or_default() |= put_back.both;
        }
    }
    for (key, given) in world.log.given.iter().filter(|(_, given)| !given.answers.is_empty()) {
        let done = by_key.get(key).map_or(&[][..], Vec::as_slice);
        match (destroyed.get(key), done) {
            (None, []) => {
                let what = format!("kit {} answered {:?} and lost it: {:?}", given.kit, key.bytes(), given.answers);
                findings.wrong("INV-01", what);
            }
            (Some(false), []) if given.answers.iter().any(|(_, two_devices)| *two_devices) => {
                let what = format!("kit {} said that two devices have {:?}; one was put back", given.kit, key.bytes());
                findings.wrong("INV-01", what);
            }
            (None, [op]) => said(union, *op, &given.answers, findings),
            _ => {}
        }
    }
}

/// Every answer under one key says the same, and it is what the op says.
fn said(union: &Union, op: OpId, answers: &[(Said, bool)], findings: &mut Findings) {
    let first = &answers[0].0;
    if let Some((other, _)) = answers.iter().find(|(said, _)| said != first) {
        findings.wrong("INV-01", format!("one command, two answers: {first:?} and {other:?}"));
    }
    let body = union.ops.get(&op).and_then(|(_, body)| body.as_ref());
    let agrees = match (first, body) {
        (Said::Refused(code), Some(Body::CommandRefused(body))) => *code == body.code,
        (Said::Order(order, _, total), Some(_)) => {
            union.ledger.orders.get(order).is_some_and(|known| known.sale.total == *total)
        }
        (Said::Done, Some(body)) => !matches!(body, Body::CommandRefused(_)),
        (_, None) | (Said::Refused(_), Some(_)) => false,
    };
    if !agrees {
        findings.wrong("INV-01", format!("op {op} does not say what was answered: {first:?}"));
    }
}
