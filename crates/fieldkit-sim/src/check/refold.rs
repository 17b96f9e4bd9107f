//! The state is a function of the set of ops: in whatever causal order, each op once or more often.
//!
//! Promises: a kit's memory and rows are what its journal folds to, byte for byte; what all kits hold together folds to
//! the same bytes in every order.
//! Absent on purpose: the meaning of the state.

use super::{Findings, Union};
use crate::random::Random;
use crate::world::World;
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::SealedOp;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn check(world: &World, union: &Union, seed: u64, orders: u64, findings: &mut Findings) {
    let alone = world.kits.len() == 1;
    for kit in &world.kits {
        let Some(engine) = &kit.engine else { continue };
        let mut folded = Ledger::default();
        // What one kit alone holds is folded already.
        let ledger = if alone {
            &union.ledger
        } else {
            for op in &kit.journal.ops {
                folded.apply(op);
            }
            &folded
        };
        if engine.ledger().state_bytes() != ledger.state_bytes() {
            findings.wrong("INV-25", format!("kit {}: the state is not what the journal folds to", kit.number));
        }
        for (id, order) in &ledger.orders {
            if kit.order(id) != Some(order) {
                findings.wrong("INV-25", format!("kit {}: order {id} is not what the journal folds to", kit.number));
                break;
            }
        }
    }
    let expected = bytes(&union.ledger);
    let mut random = Random::new(seed, 9);
    for nth in 0..orders {
        match fold_at_random(union, &mut random) {
            Some(ledger) if bytes(&ledger) == expected => {}
            Some(_) => findings.wrong("INV-26", format!("order {nth} of the same ops folds to other bytes")),
            None => findings.wrong("INV-26", "ops wait for causes that nobody has".to_owned()),
        }
    }
}

fn bytes(ledger: &Ledger) -> Hash {
    let mut bytes = ledger.state_bytes();
    ledger.orders.values().for_each(|order| order.write(&mut bytes));
    Hash::of(&bytes)
}

/// Folds all ops, causes first, each one to three times, otherwise as chance has it.
fn fold_at_random(union: &Union, random: &mut Random) -> Option<Ledger> {
    let mut streams: BTreeMap<StreamId, Vec<&Arc<SealedOp>>> = BTreeMap::new();
    for (op, _) in union.ops.values() {
        streams.entry(op.op.stream).or_default().push(op);
    }
    let mut ledger = Ledger::default();
    let mut next: Vec<(Vec<&Arc<SealedOp>>, usize)> = streams.into_values().map(|ops| (ops, 0)).collect();
    let mut left = union.ops.len();
    let mut last: Option<&Arc<SealedOp>> = None;
    while left > 0 {
        let known = |op: &OpId| ledger.head(&op.stream).seq >= op.seq;
        let ready = |(ops, at): &(Vec<&Arc<SealedOp>>, usize)| {
            ops.get(*at).is_some_and(|op| op.op.deps.iter().all(|dep| known(&dep.op)))
        };
        let from = random.place(next.len());
        let turn = (0..next.len()).map(|at| (from + at) % next.len()).find(|at| ready(&next[*at]))?;
        // A run of some length, as partial merges come.
        for _ in 0..random.within(1, 40) {
            let (ops, at) = &mut next[turn];
            let known = |op: &OpId| ledger.head(&op.stream).seq >= op.seq;
            let Some(op) = ops.get(*at).filter(|op| op.op.deps.iter().all(|dep| known(&dep.op))) else { break };
            for _ in 0..random.within(1, 3) {
                ledger.apply(op);
            }
            if let Some(last) = last.filter(|_| random.chance(200)) {
                ledger.apply(last);
            }
            last = Some(op);
            *at += 1;
            left -= 1;
        }
    }
    Some(ledger)
}
