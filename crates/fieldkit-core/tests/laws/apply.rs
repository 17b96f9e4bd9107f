//! `apply` takes everything that can be decoded: it folds it, or names an anomaly, and never falls.

use crate::arbitrary;
use crate::world::{Kit, Terms, World, any_move, check_op, digest, terms, wish};
use fieldkit_core::author::{Author, Context};
use fieldkit_core::body::{Body, Prices, StreamOpened};
use fieldkit_core::decide::{self, Place};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Dep, Head, Op, SealedOp, Version};
use fieldkit_core::snapshot;
use fieldkit_core::stamp::ClockQuality;
use proptest::collection::vec;
use proptest::prelude::*;

/// A stream of a stranger: opened for `space`, then arbitrary bodies, well chained.
fn hostile(space: Space, ops: Vec<SealedOp>, deps: Vec<Dep>) -> Vec<SealedOp> {
    let replica = ReplicaKey([77; 32]);
    let stream = StreamId::of(&replica, &space);
    let opening = Body::StreamOpened(StreamOpened { replica, space, follows: None });
    let mut head = Head::default();
    let mut chained = Vec::new();
    let first = ops.first().map(|op| Op { kind: opening.kind(), body: opening.bytes(), ..op.op.clone() });
    for op in first.into_iter().chain(ops.into_iter().map(|op| op.op)) {
        let op = SealedOp::seal(Op {
            version: Version,
            stream,
            seq: head.seq + 1,
            prev: head.hash,
            deps: deps.clone(),
            ..op
        });
        head = Head { seq: op.op.seq, hash: op.hash };
        chained.push(op);
    }
    chained
}

/// Ops of any kind about orders and events that exist.
fn about(world: &World) -> impl Strategy<Value = Vec<SealedOp>> + use<> {
    let ledger = &world.kits[0].ledger;
    let mut known: Vec<OpId> = ledger.orders.keys().copied().collect();
    known.extend(ledger.orders.values().flat_map(|order| order.refunds.iter().map(|refund| refund.refund_id)));
    known.extend(ledger.orders.values().flat_map(|order| order.payments.iter().map(|payment| payment.payment_id)));
    known.extend(ledger.devices.keys().copied());
    known.extend([world.event, OpId { stream: StreamId([9; 16]), seq: 1 }]);
    let bodies = vec(arbitrary::body_about(prop::sample::select(known).boxed()), 1..6);
    (bodies, vec(arbitrary::op(), 6)).prop_map(|(bodies, ops)| {
        let with = |(body, op): (Body, SealedOp)| SealedOp::seal(Op { kind: body.kind(), body: body.bytes(), ..op.op });
        bodies.into_iter().zip(ops).map(with).collect()
    })
}

fn sold(wishes: &[crate::world::Wish]) -> World {
    let mut world = World::at_work(1, Terms { currency: "EUR", prices: Prices::Inclusive });
    for wish in wishes {
        let _ = world.step(0, &crate::world::Move::Do(wish.clone()));
    }
    world
}

proptest! {
    #[test]
    fn ops_out_of_nowhere_are_folded_or_left_out(ops in vec(arbitrary::op(), 1..12)) {
        let mut ledger = Ledger::default();
        for op in &ops {
            let head = ledger.head(&op.op.stream);
            let fits = op.op.seq <= head.seq || op.follows(&head);
            prop_assert_eq!(ledger.apply(op), fits);
        }
    }

    #[test]
    fn hostile_ops_change_no_law(
        (world, ops, space) in vec(wish(), 0..10).prop_map(|wishes| sold(&wishes)).prop_flat_map(|world| {
            let ops = about(&world);
            let space = prop_oneof![Just(Space::Event(world.event)), Just(Space::ORGANISATION)];
            (Just(std::rc::Rc::new(world)), ops, space)
        }),
        next in wish(),
    ) {
        let kit = &world.kits[0];
        let dep = |stream: &StreamId, head: Head| Dep { op: OpId { stream: *stream, seq: head.seq }, hash: head.hash };
        let deps: Vec<Dep> = kit.ledger.streams.iter().map(|(stream, known)| dep(stream, known.head)).collect();
        let mut ledger = kit.ledger.clone();
        for op in hostile(space, ops, deps) {
            prop_assert!(SealedOp::open(&op.bytes).is_ok());
            prop_assert!(ledger.apply(&op));
            prop_assert!(ledger.apply(&op), "known ops change nothing");
        }
        prop_assert_eq!(digest(&ledger), digest(&ledger));
        for order in ledger.orders.values() {
            let _ = (order.state(), order.taxes(), order.collected(), order.receipt(), order.mark());
            for payment in &order.payments {
                let named = payment.standing().against.iter().all(|found| ledger.anomalies.values().any(|anomaly| {
                    (anomaly.op, anomaly.kind) == (found.op, found.kind)
                }));
                prop_assert!(named, "each contradictory step is an anomaly");
                prop_assert_eq!(
                    payment.state().is_open() || payment.is_closed_at_terminal(),
                    ledger.events[&order.event].open_payments.contains_key(&payment.payment_id)
                );
            }
        }
        // The kit can still decide and write whatever the stranger said.
        let command = next.command(&ledger, world.event);
        let actor = crate::world::actor_of(&command, world.owner);
        let place = Place::at(kit.author.replica, Some(world.event));
        let context = Context { actor, wall_ms: kit.wall_ms, quality: ClockQuality::System, key: None };
        let mut author: Author = kit.author.clone();
        if let Ok(drafts) = decide::decide(&ledger, &command, &place, &context) {
            let lamport = ledger.lamport;
            for op in author.write(&mut ledger, drafts, &context) {
                prop_assert!(SealedOp::open(&op.bytes).is_ok(), "what was written can be opened");
                prop_assert!(op.op.lamport >= lamport, "depth never goes back");
            }
        }
    }

    #[test]
    fn a_snapshot_is_the_state(terms in terms(), moves in vec((0usize..2, any_move()), 0..30), at: usize, value: u8) {
        let mut world = World::at_work(2, terms);
        for (kit, step) in &moves {
            let _ = world.step(*kit, step);
        }
        let ledger = &world.kits[0].ledger;
        let mut bytes = ledger.state_bytes();
        let read = snapshot::read(&bytes).expect("a snapshot reads back");
        prop_assert_eq!(read.state_bytes(), bytes.clone());
        let at = at % bytes.len();
        bytes[at] ^= value.max(1);
        if let Ok(other) = snapshot::read(&bytes) {
            prop_assert_eq!(other.state_bytes(), bytes, "two byte forms of one state");
        }
    }
}

#[test]
fn a_stranger_cannot_stop_the_clock_or_the_depth() {
    let mut world = World::new(1, Terms { currency: "EUR", prices: Prices::Inclusive });
    let space = Space::Event(world.event);
    let (replica, kit) = (ReplicaKey([77; 32]), &mut world.kits[0]);
    let opening = Body::StreamOpened(StreamOpened { replica, space: space.clone(), follows: None });
    let mut op = kit.log[0].op.clone();
    (op.stream, op.kind, op.body) = (StreamId::of(&replica, &space), opening.kind(), opening.bytes());
    (op.lamport, op.stamp.physical_ms, op.stamp.counter) = (u64::MAX, u64::MAX, u32::MAX);
    assert!(kit.ledger.apply(&SealedOp::seal(op)));
    let owner = world.owner;
    let before = world.kits[0].log.len();
    let sold =
        world.step(0, &crate::world::Move::Do(crate::world::Wish::Sell { lines: vec![(0, 1, 0)], off: 0, extra: 0 }));
    let ops = sold.expect("a stranger's numbers stop no sale");
    assert_eq!(world.kits[0].log.len(), before + ops.len());
    assert!(ops.iter().all(|op| op.op.lamport == u64::MAX), "depth stands still at its bound, it never wraps");
    assert_eq!(ops.last().map(|op| op.op.actor), Some(owner));
    ops.iter().for_each(|op| check_op(&world.kits[0].ledger, op));
}

#[test]
fn an_op_that_leaves_a_gap_is_left_out() {
    let world = World::new(1, Terms { currency: "EUR", prices: Prices::Inclusive });
    let mut other = Kit::new(9);
    let last = world.kits[0].log.last().expect("the world has ops");
    assert!(!other.ledger.apply(last));
    assert_eq!(other.ledger.head(&last.op.stream), Head { seq: 0, hash: Hash::default() });
}
