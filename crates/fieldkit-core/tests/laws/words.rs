//! Words, vows, asks and answers: what kits say about limited goods beside selling and giving them.
//!
//! Promises: whatever is said, in whatever order it arrives, everybody makes the same of it, and nobody sells what
//! another kit may sell.

use crate::audit::Audit;
use crate::merge::{Dice, folded};
use crate::rights::{PRINT, Step, limited_step, run, shared_out};
use crate::world::World;
use fieldkit_core::body::Admission;
use fieldkit_core::decide::Command;
use fieldkit_core::fork;
use fieldkit_core::id::{PoolId, Zero};
use fieldkit_core::op::Actor;
use fieldkit_core::rights::count;
use proptest::collection::vec;
use proptest::prelude::*;

/// What a kit says.
#[derive(Clone, Debug)]
pub enum Say {
    /// A person opens its limited goods, in one of its lives.
    Word { how: Admission, life: u8 },
    /// It keeps goods for others from now on.
    Vow,
    /// It asks another kit for some.
    Ask { of: usize },
    /// No further grant of a keeper counts for it.
    Answer { keeper: usize },
}

fn said() -> impl Strategy<Value = Step> {
    let how = prop_oneof![Just(Admission::Slip), Just(Admission::Owner)];
    let say = prop_oneof![
        6 => (how, 0u8..3).prop_map(|(how, life)| Say::Word { how, life }),
        1 => Just(Say::Vow),
        4 => (0usize..4).prop_map(|of| Say::Ask { of }),
        2 => (0usize..4).prop_map(|keeper| Say::Answer { keeper }),
    ];
    (0usize..4, say).prop_map(|(at, say)| Step::Say(at, say))
}

/// Lets a kit say something; a no changes nothing.
pub fn say(world: &mut World, at: usize, say: &Say) {
    let kits = world.kits.len();
    let replica = |world: &World, at: usize| world.kits[at % kits].author.replica;
    let (own, event, owner) = (replica(world, at), world.event, world.owner);
    let (command, actor) = match say {
        Say::Word { how, life } => (Command::AdmitHolding { how: *how, seen: 0, nonce: [*life; 16] }, owner),
        Say::Vow => (Command::VowKeeping { label: "hub".to_owned() }, owner),
        Say::Ask { of } => {
            let of = replica(world, *of);
            (Command::AskRights { sku: PRINT.to_owned(), of, quantity: 2 }, Actor::Device(Zero))
        }
        Say::Answer { keeper } => {
            let keeper = replica(world, *keeper);
            (Command::AnswerKeeper { keeper, on_behalf: own }, Actor::Device(Zero))
        }
    };
    let _ = world.kits[at % kits].run(&command, Some(event), actor);
}

proptest! {
    #[test]
    fn whatever_is_said_everybody_makes_the_same_of_it(
        kits in 2u8..5,
        shares in 0i64..7,
        steps in vec(prop_oneof![3 => limited_step(), 1 => said()], 1..70),
        seed: u64,
    ) {
        let mut world = shared_out(kits, shares);
        let event = world.event;
        let pool_id = PoolId::of(&event, PRINT);
        run(&mut world, &steps);
        world.sync_all();
        let union = world.kits[0].log.clone();
        let audit = Audit::of(&union, event);
        prop_assert_eq!(audit.out_too_many(), 0, "INV-13");
        prop_assert_eq!(audit.sold_twice(), 0, "INV-14");
        let ledger = &world.kits[0].ledger;
        let known = &ledger.events[&event];
        for kit in &world.kits {
            let replica = kit.author.replica;
            let (holds, may) = (known.pools[&pool_id].usable(pool_id, &replica), known.usable(pool_id, &replica));
            let more: Vec<_> = may.iter().filter(|range| count(&holds.overlap(range)) < range.count).collect();
            prop_assert_eq!(more, vec![], "a word names no more than is held");
        }
        let mut dice = Dice(seed);
        for _ in 0..20 {
            let other = folded(&union, &mut dice);
            prop_assert_eq!(other.state_bytes(), ledger.state_bytes());
        }
        prop_assert_eq!(fork::folded(&union).state_bytes(), ledger.state_bytes());
    }
}
