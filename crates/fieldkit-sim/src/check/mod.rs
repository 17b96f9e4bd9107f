//! The checker: from ops, the log of answers, the terminals' journals and the injector's log, whether what was promised
//! holds.
//!
//! Promises: every violation names its invariant (`docs/reference/invariants.md`); nothing of a kit is asked for but its
//! files, and the state in memory only to compare it with what the files say.
//! Absent on purpose: repair, and any decoder of its own (one in another language shares only test vectors).

mod answers;
mod leases;
mod money;
mod refold;
mod several;
mod slips;
mod terminals;

use crate::log::Violation;
use crate::world::World;
use fieldkit_core::body::{Body, RollbackNoticed};
use fieldkit_core::chain::ChainCheck;
use fieldkit_core::id::OpId;
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::SealedOp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All ops that some device still holds, with what they say.
pub(crate) struct Union {
    /// The ops.
    pub ops: BTreeMap<OpId, (Arc<SealedOp>, Option<Body>)>,
    /// What they fold to, every order at hand.
    pub ledger: Ledger,
}

/// What is found wrong.
#[derive(Default)]
pub(crate) struct Findings {
    pub found: Vec<Violation>,
}

impl Findings {
    /// Something is wrong.
    pub fn wrong(&mut self, invariant: &'static str, what: String) {
        self.found.push(Violation { invariant, what });
    }
}

/// Checks a world that has come to rest. `orders` says in how many random orders everything is folded again.
pub fn check(world: &mut World, seed: u64, orders: u64) -> Vec<Violation> {
    let mut findings = Findings { found: world.log.violations.clone() };
    if world.swarm.several.is_some() {
        chains(world, &mut findings);
        slips::check(world, &mut findings);
        world.stall = several::check(world, orders, &mut findings);
        return findings.found;
    }
    let world = &*world;
    let union = unite(world, &mut findings);
    chains(world, &mut findings);
    answers::check(world, &union, &mut findings);
    money::check(world, &union, &mut findings);
    slips::check(world, &mut findings);
    terminals::check(world, &union, &mut findings);
    refold::check(world, &union, seed, orders, &mut findings);
    rest(world, &union, &mut findings);
    findings.found
}

/// Brings together what all devices hold; one position with two ops is a fork.
fn unite(world: &World, findings: &mut Findings) -> Union {
    let mut ops: BTreeMap<OpId, (Arc<SealedOp>, Option<Body>)> = BTreeMap::new();
    let mut ledger = Ledger::default();
    for kit in &world.kits {
        for op in kit.journal.ops.iter().chain(&kit.black_box.ops) {
            match ops.get(&op.id()) {
                Some((known, _)) if known.hash != op.hash => {
                    findings.wrong("INV-24", format!("kit {}: two ops at {}", kit.number, op.id()));
                }
                Some(_) => {}
                None => {
                    if !ledger.apply(op) {
                        findings.wrong("INV-23", format!("kit {}: op {} leaves a gap", kit.number, op.id()));
                    }
                    let body = Body::open(op.op.kind, &op.op.body).ok();
                    ops.insert(op.id(), (op.clone(), body));
                }
            }
        }
    }
    Union { ops, ledger }
}

/// Each journal verifies, with its signed ends; the box holds what the journal holds.
fn chains(world: &World, findings: &mut Findings) {
    for kit in &world.kits {
        let mut chain = ChainCheck::default();
        let mut hashes = BTreeMap::new();
        for op in &kit.journal.ops {
            if let Err(error) = chain.next(op.op.stream, op.op.seq, &op.bytes) {
                findings.wrong("INV-23", format!("kit {}: {error}", kit.number));
                break;
            }
            hashes.insert(op.id(), op.hash);
        }
        for (_, signed) in &kit.journal.heads {
            let id = OpId { stream: signed.stream, seq: signed.head.seq };
            let there = hashes.get(&id).copied();
            if kit.journal.branches.iter().any(|(_, op)| op.id() == id && op.hash == signed.head.hash) {
                continue;
            }
            if let Err(error) = chain.signed_head(signed.stream, signed.head, there, &signed.signature) {
                findings.wrong("INV-23", format!("kit {}: {error}", kit.number));
            }
        }
        let whole = !kit.box_behind && kit.engine.is_some() && kit.on_disk.is_empty();
        let lacks = kit.black_box.ops.iter().filter(|op| hashes.get(&op.id()) != Some(&op.hash)).count();
        if whole && (lacks > 0 || kit.black_box.ops.len() != hashes.len()) {
            let (journal, black_box) = (hashes.len(), kit.black_box.ops.len());
            let what = format!("kit {}: {journal} ops in the journal, {black_box} in the box", kit.number);
            findings.wrong("INV-28", format!("{what}, {lacks} of them strange to it"));
        }
    }
}

/// Everybody has come to an end, no doubt is left, and roll-backs that were told of are written down.
fn rest(world: &World, union: &Union, findings: &mut Findings) {
    for what in world.undone() {
        findings.wrong("INV-05", format!("after everything healed, {what}"));
    }
    for order in union.ledger.orders.values() {
        for payment in order.payments.iter().filter(|payment| payment.state().holds_terminal()) {
            let (id, state) = (payment.payment_id, payment.state().text());
            findings.wrong("INV-05", format!("after everything healed, payment {id} is {state}"));
        }
    }
    for told in &world.log.told {
        let says = |body: &Body| matches!(body, Body::RollbackNoticed(noticed) if *noticed == told.noticed);
        let destroyed = world.log.put_back.iter().flat_map(|put_back| &put_back.destroyed);
        let mut bodies = union.ops.values().filter_map(|(_, body)| body.clone());
        let mut gone = destroyed.filter_map(|op| Body::open(op.op.kind, &op.op.body).ok());
        // A disk that was put back before its journal had the ops took the key file with it.
        let forgotten = world.log.put_back.iter().any(|put_back| put_back.noticed.as_ref() == Some(&told.noticed));
        if !forgotten && !bodies.any(|body| says(&body)) && !gone.any(|body| says(&body)) {
            let (kit, RollbackNoticed { witness, seen, .. }) = (told.kit, &told.noticed);
            let what = format!("kit {kit} was told of entry {seen} by a {witness} and wrote nothing down");
            findings.wrong("INV-27", what);
        }
    }
}
