//! Kits that are put back to an earlier day and do not notice: what they sold twice is named, unit by unit (INV-18).

use crate::audit::Audit;
use crate::merge::Dice;
use crate::rights::{MUG, PRINT, Step, believe, grant, lease, limited_step, named, shared_out, soft_sale, some_lease};
use crate::words;
use crate::world::{Kit, Move, Wish, World};
use fieldkit_core::author::Author;
use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::Command;
use fieldkit_core::fork;
use fieldkit_core::id::{Hash, OpId, PoolId, Space, Zero};
use fieldkit_core::ledger::{AnomalyKind, Ledger};
use fieldkit_core::op::{Actor, SealedOp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

/// A step, or an image of a kit's card, or its card put back to an image.
#[derive(Clone, Debug)]
enum Deed {
    Do(Step),
    Image(usize),
    PutBack(usize, u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        16 => limited_step().prop_map(Deed::Do),
        2 => (0usize..4).prop_map(Deed::Image),
        2 => (0usize..4, any::<u8>()).prop_map(|(at, which)| Deed::PutBack(at, which)),
    ]
}

/// What a card holds.
struct Image {
    author: Author,
    ledger: Ledger,
    log: Vec<SealedOp>,
}

/// Kits that may be put back, and every op that was ever written, which the black boxes have.
struct Stall {
    world: World,
    images: Vec<Vec<Image>>,
    /// Kits that know of a fork of their own: they write no more.
    dead: Vec<bool>,
    ever: Vec<SealedOp>,
    under_way: Vec<Vec<SealedOp>>,
}

impl Stall {
    fn new(kits: u8, shares: i64) -> Self {
        let world = shared_out(kits, shares);
        let ever = world.kits[0].log.clone();
        let images = world.kits.iter().map(|_| Vec::new()).collect();
        Stall { images, dead: vec![false; usize::from(kits)], ever, under_way: Vec::new(), world }
    }

    /// Ops of `log` reach a kit, which compares hashes and folds anew where it sees a fork.
    fn take(&mut self, to: usize, log: &[SealedOp]) {
        let kit = &mut self.world.kits[to];
        let known: BTreeSet<Hash> = kit.log.iter().map(|op| op.hash).collect();
        let new: Vec<SealedOp> = log.iter().filter(|op| !known.contains(&op.hash)).cloned().collect();
        kit.log.extend(new.iter().cloned());
        let forks = fork::forks(&kit.log);
        if forks.is_empty() {
            new.iter().for_each(|op| assert!(kit.ledger.apply(op), "a log holds causes first"));
        } else if !new.is_empty() {
            kit.ledger = fork::folded(&kit.log);
        }
        self.dead[to] |= forks.contains_key(&kit.author.stream(&Space::Event(self.world.event)));
    }

    fn command(&mut self, at: usize, command: &Command, actor: Actor) -> bool {
        let event = Some(self.world.event);
        !self.dead[at] && self.world.kits[at].run(command, event, actor).is_ok()
    }

    fn step(&mut self, deed: &Deed) {
        let count = self.world.kits.len();
        let (event, owner) = (self.world.event, self.world.owner);
        let before: Vec<usize> = self.world.kits.iter().map(|kit| kit.log.len()).collect();
        match deed {
            Deed::Do(Step::Do(at, wish)) if !self.dead[at % count] => {
                let _ = self.world.step(*at, &Move::Do(wish.clone()));
            }
            Deed::Do(Step::Do(..)) => {}
            Deed::Do(Step::Grant { from, to, quantity }) => {
                let to = self.world.kits[to % count].author.replica;
                self.command(from % count, &grant(to, *quantity), Actor::Device(Zero));
            }
            Deed::Do(Step::Release { at, order }) => {
                if !self.dead[at % count] {
                    crate::rights::release(&mut self.world.kits[at % count], *order, event, owner);
                }
            }
            Deed::Do(Step::Lease { to, quantity, told }) => {
                let replica = self.world.kits[to % count].author.replica;
                self.command(0, &lease(replica, *quantity), owner);
                if *told {
                    let log = self.world.kits[0].log.clone();
                    self.take(to % count, &log);
                }
            }
            Deed::Do(Step::Lapse { which }) => {
                // What the holder sold in time may come to light later.
                if let Some((id, _)) = some_lease(&self.world, *which) {
                    believe(&mut self.world.kits[0], event, &BTreeSet::from([id]));
                    self.command(0, &Command::LapseLease { lease: id }, Actor::Device(Zero));
                }
            }
            Deed::Do(Step::SellSoft { at, quantity }) => {
                believe(&mut self.world.kits[at % count], event, &BTreeSet::new());
                if !self.dead[at % count] {
                    let _ = self.world.step(*at, &Move::Do(soft_sale(*quantity)));
                }
            }
            Deed::Do(Step::Send { from }) => self.under_way.push(self.world.kits[from % count].log.clone()),
            Deed::Do(Step::Say(at, what)) => {
                if !self.dead[at % count] {
                    words::say(&mut self.world, *at, what);
                }
            }
            Deed::Do(Step::Deliver { to, which }) => {
                let log = self.under_way.get(usize::from(*which) % self.under_way.len().max(1)).cloned();
                let at = to % count;
                log.into_iter().for_each(|log| self.take(at, &log));
            }
            Deed::Image(at) => {
                let Kit { author, ledger, log, .. } = &self.world.kits[at % count];
                let image = Image { author: author.clone(), ledger: ledger.clone(), log: log.clone() };
                self.images[at % count].push(image);
            }
            Deed::PutBack(at, which) => self.put_back(at % count, *which),
        }
        if let Deed::Do(step) = deed
            && let Some(at) = step.author()
        {
            let new = self.world.kits[at % count].log[before[at % count]..].to_vec();
            self.ever.extend(new);
        }
    }

    fn put_back(&mut self, at: usize, which: u8) {
        let images = &self.images[at];
        let Some(image) = images.get(usize::from(which) % images.len().max(1)) else { return };
        let kit = &mut self.world.kits[at];
        (kit.author, kit.ledger, kit.log) = (image.author.clone(), image.ledger.clone(), image.log.clone());
        // It does not notice until somebody brings it ops of its own that it does not know.
        self.dead[at] = false;
    }
}

fn extra(ledger: &Ledger, event: OpId) -> u64 {
    ledger.oversold(event).iter().map(|(range, each)| range.count * each).sum()
}

/// Checks a stall's whole past; gives back how many units were sold too often.
fn check(stall: &Stall, dice: &mut Dice) -> u64 {
    let event = stall.world.event;
    let ledger = fork::folded(&stall.ever);
    let audit = Audit::of(&stall.ever, event);
    let extra = extra(&ledger, event);
    assert_eq!(extra, audit.sold_twice(), "INV-18: number named is number oversold");
    assert!(audit.out_too_many() <= extra, "INV-13 fails by named units alone");
    let number = |kind: AnomalyKind| u16::from_bytes(&kind.to_bytes()).expect("anomaly kinds are numbers");
    let oversold = |sku| named(&ledger, PoolId::of(&event, sku), AnomalyKind::Oversold);
    assert_eq!(oversold(PRINT) || oversold(MUG), extra > 0);
    for (stream, seq) in fork::forks(&stall.ever) {
        let fork = (OpId { stream, seq }, number(AnomalyKind::Fork));
        assert!(ledger.anomalies.contains_key(&fork), "INV-24: no fork is silent");
    }
    // The same set in any order, with ops up to three times, is the same state.
    for _ in 0..3 {
        let mut ops: Vec<&SealedOp> = stall.ever.iter().collect();
        for _ in 0..stall.ever.len() / 2 {
            ops.push(&stall.ever[dice.below(stall.ever.len())]);
        }
        for at in 0..ops.len() {
            let other = dice.below(ops.len());
            ops.swap(at, other);
        }
        assert_eq!(fork::folded(ops).state_bytes(), ledger.state_bytes(), "INV-26");
    }
    extra
}

proptest! {
    #[test]
    fn what_kits_that_were_put_back_sold_twice_is_named(
        kits in 2u8..5,
        shares in 0i64..5,
        deeds in vec(deed(), 1..80),
        seed: u64,
    ) {
        let mut stall = Stall::new(kits, shares);
        for deed in &deeds {
            stall.step(deed);
        }
        check(&stall, &mut Dice(seed));
    }
}

#[test]
fn kits_that_are_put_back_do_oversell_in_these_laws() {
    let mut runner = TestRunner::deterministic();
    let (mut forked, mut oversold, mut units) = (0, 0, 0);
    for _ in 0..200 {
        let deeds = vec(deed(), 60..80).new_tree(&mut runner).expect("the strategy rejects nothing").current();
        let mut stall = Stall::new(3, 4);
        deeds.iter().for_each(|deed| stall.step(deed));
        let named = check(&stall, &mut Dice(1));
        forked += usize::from(!fork::forks(&stall.ever).is_empty());
        (oversold, units) = (oversold + usize::from(named > 0), units + named);
    }
    println!("of 200 stalls {forked} forked, {oversold} oversold {units} units, all named");
    assert!(forked > 50 && oversold > 10, "{forked} {oversold}");
}

#[test]
fn a_unit_sold_on_both_branches_is_named_once() {
    let mut stall = Stall::new(2, 0);
    let sell = |quantity| Deed::Do(Step::Do(0, Wish::Sell { lines: vec![(2, quantity, 0)], off: 0, extra: 0 }));
    for deed in [Deed::Image(0), sell(3), Deed::PutBack(0, 0), sell(2)] {
        stall.step(&deed);
    }
    assert_eq!(check(&stall, &mut Dice(1)), 2);
}

#[test]
fn what_a_forked_kit_gave_away_rests_until_a_person_decides() {
    let mut stall = Stall::new(3, 0);
    let owner = stall.world.owner;
    let event = stall.world.event;
    let replicas: Vec<_> = stall.world.kits.iter().map(|kit| kit.author.replica).collect();
    stall.step(&Deed::Image(0));
    assert!(stall.command(0, &grant(replicas[1], 6), owner));
    let one = stall.world.kits[0].log.clone();
    stall.step(&Deed::PutBack(0, 0));
    assert!(stall.command(0, &grant(replicas[2], 6), owner));
    let other = stall.world.kits[0].log.clone();
    // Each knows one branch, and sells.
    stall.take(1, &one);
    stall.take(2, &other);
    let sell = |kit| Deed::Do(Step::Do(kit, Wish::Sell { lines: vec![(2, 1, 0)], off: 0, extra: 0 }));
    let sold = |stall: &Stall, kit: usize| stall.world.kits[kit].ledger.orders.len();
    stall.step(&sell(1));
    assert_eq!(sold(&stall, 1), 1);
    // Then kit 1 hears of the other branch, and holds still.
    stall.take(1, &other);
    stall.step(&sell(1));
    assert_eq!(sold(&stall, 1), 1, "it rests");
    let known = &stall.world.kits[1].ledger.events[&event];
    assert_eq!(known.pools[&PoolId::of(&event, PRINT)].frozen(), 12);
}

#[test]
fn what_another_branch_gave_back_is_given_back() {
    let mut stall = Stall::new(2, 0);
    let owner = stall.world.owner;
    stall.step(&Deed::Do(Step::Do(0, Wish::Sell { lines: vec![(2, 2, 0)], off: 0, extra: 0 })));
    let order = *stall.world.kits[0].ledger.orders.keys().next().expect("it was placed");
    let back = |reason: &str| Command::Refund {
        order,
        lines: Some(vec![(1, 1)]),
        reason: reason.to_owned(),
        restock: true,
        in_cash: false,
    };
    // Both branches give one of two back; then two are back, whichever branch is the stream.
    stall.step(&Deed::Image(0));
    assert!(stall.command(0, &back("chipped"), owner));
    let one = stall.world.kits[0].log.clone();
    stall.step(&Deed::PutBack(0, 0));
    assert!(stall.command(0, &back("too small"), owner));
    let other = stall.world.kits[0].log.clone();
    stall.take(1, &one);
    stall.take(1, &other);
    let known = &stall.world.kits[1].ledger.orders[&order];
    assert_eq!((known.refunds.len(), known.beside.len()), (1, 1));
    assert_eq!(known.refunded_quantity(1), 2);
    assert!(!known.over_refunded());
    assert!(!stall.command(1, &back("changed mind"), owner), "nothing of it is left to give back");
}
