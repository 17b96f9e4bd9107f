//! Merge laws (INV-25, INV-26): the state is a function of the set of ops, whatever the order and however often.

use crate::world::{Kit, World, any_move, check_books, digest, terms};
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{OpId, StreamId};
use fieldkit_core::lattice::{Register, Seen, Write, see};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::SealedOp;
use proptest::collection::vec;
use proptest::prelude::*;

/// A small generator for shuffles, so that a case is its seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: usize) -> usize {
        // SplitMix64, after Steele, Lea and Flood, OOPSLA 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

/// Folds `ops` in a random order that respects causes, each op one to three times.
pub fn folded(ops: &[SealedOp], dice: &mut Dice) -> Ledger {
    let mut ledger = Ledger::default();
    let mut waiting: Vec<&SealedOp> = ops.iter().collect();
    let mut done: Vec<&SealedOp> = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<usize> = (0..waiting.len())
            .filter(|at| {
                let op = waiting[*at];
                let causes = op.op.deps.iter().all(|dep| ledger.head(&dep.op.stream).seq >= dep.op.seq);
                causes && op.follows(&ledger.head(&op.op.stream))
            })
            .collect();
        let op = waiting.swap_remove(ready[dice.below(ready.len())]);
        for _ in 0..=dice.below(3) {
            assert!(ledger.apply(op));
        }
        done.push(op);
        let again = done[dice.below(done.len())];
        assert!(ledger.apply(again), "an op known before changes nothing");
    }
    ledger
}

proptest! {
    #[test]
    fn the_state_is_a_function_of_the_set(
        kits in 2u8..5,
        terms in terms(),
        moves in vec((0usize..4, any_move()), 1..40),
        seed: u64,
    ) {
        let mut world = World::at_work(kits, terms);
        for (at, step) in &moves {
            let _ = world.step(*at, step);
        }
        world.sync_all();
        let union = world.kits[0].log.clone();
        let (state, sum) = (world.kits[0].ledger.state_bytes(), world.kits[0].digest());
        check_books(&world.kits[0].ledger, &union);
        for kit in &world.kits[1..] {
            prop_assert_eq!(kit.digest(), sum, "replicas with equal heads have equal digests");
            prop_assert_eq!(&kit.ledger.state_bytes(), &state);
        }
        let mut dice = Dice(seed);
        for _ in 0..20 {
            let ledger = folded(&union, &mut dice);
            prop_assert_eq!(&ledger.state_bytes(), &state);
            prop_assert_eq!(&ledger.orders, &world.kits[0].ledger.orders);
            prop_assert_eq!(digest(&ledger), sum);
        }
    }

    #[test]
    fn partial_merges_end_in_the_same_state(
        terms in terms(),
        moves in vec((0usize..3, any_move()), 1..30),
        pairs in vec((0usize..3, 0usize..3), 0..10),
    ) {
        let mut world = World::at_work(3, terms);
        for (at, step) in &moves {
            let _ = world.step(*at, step);
        }
        let mut late = Kit::new(50);
        for (from, to) in pairs {
            world.sync(from, to);
            late.take(&world.kits[from].log);
        }
        world.sync_all();
        late.take(&world.kits[0].log);
        prop_assert_eq!(late.digest(), world.kits[0].digest());
        prop_assert_eq!(late.ledger.state_bytes(), world.kits[0].ledger.state_bytes());
    }

    #[test]
    fn a_register_keeps_what_nobody_overwrote(script in vec((0usize..3, 0u8..5, any::<bool>()), 1..20), seed: u64) {
        // Three writers; each write is seen by its own writer, and by all where the flag says so.
        let stream = |writer: usize| StreamId([writer as u8; 16]);
        let mut seen = [Seen::default(), Seen::default(), Seen::default()];
        let mut writes = Vec::new();
        for (depth, (writer, value, shared)) in script.iter().enumerate() {
            let op = OpId { stream: stream(*writer), seq: seen[*writer].get(&stream(*writer)) + 1 };
            let before = seen[*writer].clone();
            see(&mut seen[*writer], op);
            writes.push((before, Write { lamport: depth as u64 + 1, op, value: *value }));
            if *shared {
                let known = seen[*writer].clone();
                for other in &mut seen {
                    for dot in known.iter() {
                        see(other, OpId { stream: *dot.actor, seq: dot.counter });
                    }
                }
            }
        }
        // What must be left: writes that no other write had seen.
        let standing = |write: &Write<u8>| !writes.iter().any(|(seen, _)| seen.get(&write.op.stream) >= write.op.seq);
        let mut left: Vec<&Write<u8>> = writes.iter().map(|(_, write)| write).filter(|write| standing(write)).collect();
        left.sort_by_key(|write| (write.lamport, write.op));
        let mut dice = Dice(seed);
        for _ in 0..20 {
            let mut waiting: Vec<usize> = (0..writes.len()).collect();
            let mut known = Seen::default();
            let mut register = Register::default();
            while !waiting.is_empty() {
                let ready = |at: &usize| writes[*at].0.iter().all(|dot| known.get(dot.actor) >= dot.counter);
                let ready: Vec<usize> = (0..waiting.len()).filter(|at| ready(&waiting[*at])).collect();
                let (before, write) = &writes[waiting.remove(ready[dice.below(ready.len())])];
                for _ in 0..=dice.below(3) {
                    register.set(before, write.clone());
                }
                see(&mut known, write.op);
            }
            prop_assert_eq!(register.value(), left.last().map(|write| &write.value));
            let different = left.iter().any(|write| write.value != left[0].value);
            prop_assert_eq!(!register.conflict().is_empty(), different);
            prop_assert_eq!(Register::from_bytes(&register.to_bytes()), Ok(register));
        }
    }
}
