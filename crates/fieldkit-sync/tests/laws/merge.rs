//! The merge law over bad lines: after they heal, all kits have the union of all ops, and equal states (INV-25, INV-26).

use crate::line::{HARMS, Harm, Line, Talk};
use crate::stall::{Dice, Stall};
use fieldkit_core::id::Hash;
use fieldkit_sync::shelf::Shelf;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Deed {
    Write {
        at: usize,
        what: u8,
        count: usize,
    },
    Sign(usize),
    /// A talk over a line on which each frame has one chance in this many to come to harm; with so many writes in between.
    Talk {
        between: (usize, usize),
        harm_one_in: usize,
        writes: usize,
        seed: u64,
    },
    Image(usize),
    PutBack(usize),
    Join(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let talk = ((0usize..6, 0usize..6), prop_oneof![Just(3usize), Just(12), Just(100_000)], 0usize..6, any::<u64>());
    prop_oneof![
        8 => (0usize..6, any::<u8>(), 1usize..5).prop_map(|(at, what, count)| Deed::Write { at, what, count }),
        3 => (0usize..6).prop_map(Deed::Sign),
        8 => talk.prop_map(|(between, harm_one_in, writes, seed)| Deed::Talk { between, harm_one_in, writes, seed }),
        1 => (0usize..6).prop_map(Deed::Image),
        1 => any::<usize>().prop_map(Deed::PutBack),
        1 => (0usize..6).prop_map(Deed::Join),
    ]
}

pub fn talk(stall: &mut Stall, kits: [usize; 2], seed: u64, harm: &mut dyn FnMut(usize) -> Harm) -> Talk {
    Line::new(stall, kits, seed, harm).play(stall)
}

/// Everybody signs, and neighbours on a ring talk over good lines until nothing moves.
pub fn heal(stall: &mut Stall, seed: u64) -> BTreeSet<Hash> {
    for at in 0..stall.kits.len() {
        stall.sign(at);
    }
    let union: BTreeSet<Hash> = stall.kits.iter().flat_map(|kit| kit.hashes()).collect();
    let kits = stall.kits.len();
    for round in 0..2 {
        for at in 0..kits {
            let talk = talk(stall, [at, (at + 1) % kits], seed ^ (round * 100 + at as u64), &mut |_| Harm::None);
            assert!(talk.closes.is_empty(), "a good line gives no reason to close: {:?}", talk.closes);
        }
    }
    union
}

fn play(stall: &mut Stall, deed: &Deed) {
    let count = stall.kits.len();
    match deed {
        Deed::Write { at, what, count: times } => stall.write(at % count, *what, *times),
        Deed::Sign(at) => stall.sign(at % count),
        Deed::Talk { between: (one, two), harm_one_in, writes, seed } => {
            let kits = [one % count, two % count];
            if kits[0] == kits[1] {
                return;
            }
            let mut dice = Dice(seed ^ 0x55);
            let mut harm = |_| match dice.below(*harm_one_in) {
                0 => HARMS[dice.below(HARMS.len())],
                _ => Harm::None,
            };
            // An exchange signs before it sends.
            kits.iter().for_each(|kit| stall.sign(*kit));
            let mut line = Line::new(stall, kits, *seed, &mut harm);
            line.writes = *writes;
            line.play(stall);
        }
        Deed::Image(at) => stall.image(at % count),
        Deed::PutBack(which) => stall.put_back(*which),
        Deed::Join(by) => stall.join(by % count),
    }
    stall.check();
}

proptest! {
    #[test]
    fn after_bad_lines_heal_all_kits_have_all_ops(
        kits in 2u8..4,
        deeds in vec(deed(), 1..25),
        seed: u64,
    ) {
        let mut stall = Stall::new(kits);
        for deed in &deeds {
            play(&mut stall, deed);
        }
        let union = heal(&mut stall, seed);
        stall.check_even(&union);
    }
}

/// Two kits whose histories differ on both sides, one of them forked.
fn apart() -> Stall {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    stall.write(1, 1, 3);
    stall.image(1);
    stall.write(1, 1, 2);
    stall.write(0, 0, 2);
    heal(&mut stall, 2);
    stall.put_back(0);
    stall.write(1, 2, 4);
    stall.write(0, 1, 3);
    stall.sign(0);
    stall.sign(1);
    stall
}

#[test]
fn a_talk_survives_each_harm_at_each_frame() {
    let frames = talk(&mut apart(), [0, 1], 7, &mut |_| Harm::None).frames;
    let mut closed = 0;
    for at in 0..frames {
        for harm in HARMS {
            let mut stall = apart();
            let talk = talk(&mut stall, [0, 1], 7, &mut |frame| if frame == at { harm } else { Harm::None });
            closed += usize::from(!talk.closes.is_empty());
            stall.check();
            let union = heal(&mut stall, 3);
            stall.check_even(&union);
        }
    }
    assert!(frames >= 8 && closed >= frames * 3, "{frames} frames, {closed} of the talks closed");
}

#[test]
fn both_sides_name_a_fork_and_the_copied_kit_hears_of_its_own_ops() {
    let mut stall = apart();
    let parts = stall.kits[0].shelf.ops().len();
    let told = talk(&mut stall, [0, 1], 7, &mut |_| Harm::None);
    assert_eq!(told.own_ahead.len(), 1, "kit 1 was put back: {told:?}");
    assert_eq!(told.own_ahead[0].0, 1);
    let forked: BTreeSet<usize> = told.forked.iter().map(|(kit, _)| *kit).collect();
    assert_eq!((told.forked.len(), forked), (2, BTreeSet::from([0, 1])));
    let known = fieldkit_core::fork::forks(stall.kits[0].shelf.ops());
    assert!(told.forked.iter().all(|(_, at)| known.values().any(|seq| seq == at)), "{known:?} {told:?}");
    assert!(stall.kits[0].shelf.ops().len() > parts);
    // It is said once: the next talk finds nothing new.
    let again = talk(&mut stall, [0, 1], 8, &mut |_| Harm::None);
    assert!(again.forked.is_empty() && again.own_ahead.is_empty() && again.takes == 0, "{again:?}");
}

#[test]
fn two_copies_of_one_kit_hear_of_each_other() {
    let mut stall = Stall::new(1);
    stall.write(0, 1, 3);
    stall.sign(0);
    let mut copy = stall.kits[0].clone();
    copy.written += 1;
    stall.kits.push(copy);
    for kit in 0..2 {
        stall.write(kit, 1, 2 + kit);
        stall.sign(kit);
    }
    let told = talk(&mut stall, [0, 1], 1, &mut |_| Harm::None);
    assert!(told.closes.is_empty(), "{told:?}");
    assert_eq!(told.own_ahead.iter().map(|(kit, _)| *kit).collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));
    assert_eq!(told.forked.len(), 2);
    assert_eq!(stall.kits[0].shelf.tips().len(), 3, "the organisation's stream, and two branches of the event's");
    let union = heal(&mut stall, 1);
    stall.check_even(&union);
}

#[test]
fn a_new_replica_follows_from_nothing() {
    let mut stall = Stall::new(1);
    stall.write(0, 1, 50);
    stall.join(0);
    let union = heal(&mut stall, 1);
    stall.check_even(&union);
    assert!(stall.kits[1].ledger.replicas.contains_key(&stall.kits[1].author.replica));
}

#[test]
fn three_kits_in_a_ring_of_broken_lines_converge() {
    let mut stall = Stall::new(3);
    heal(&mut stall, 1);
    for round in 0u64..40 {
        for kit in 0..3usize {
            stall.write(kit, round as u8, 2);
            stall.sign(kit);
            let mut dice = Dice(round * 3 + kit as u64);
            let cut = dice.below(14);
            talk(&mut stall, [kit, (kit + 1) % 3], round, &mut |frame| {
                if frame == cut { Harm::Cut } else { Harm::None }
            });
        }
    }
    let union = heal(&mut stall, 9);
    stall.check_even(&union);
}
