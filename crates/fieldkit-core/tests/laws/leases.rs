//! Leases: who may use units of a soft pool for a time, what a sale does without them, and what is said when a sale in time
//! is heard of too late.

use crate::audit::Audit;
use crate::merge::{Dice, folded};
use crate::rights::{MUG, PRINT, believe, lease, named, soft_sale, terms};
use crate::world::{Move, World};
use fieldkit_core::author::{Context, Draft};
use fieldkit_core::body::*;
use fieldkit_core::decide::{Command, StockChange};
use fieldkit_core::fork;
use fieldkit_core::id::{OpId, PoolId, ReplicaKey, Space, Zero};
use fieldkit_core::lease::{TERM_MS_MAX, TERM_MS_MIN};
use fieldkit_core::ledger::AnomalyKind;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::proof::{GrantProof, Link, ProofError};
use fieldkit_core::refusal::Refusal;
use fieldkit_core::rights::count;
use fieldkit_core::stamp::ClockQuality;
use std::collections::BTreeSet;

/// Kit 0 leases mugs to another kit, which hears of it.
fn leased(world: &mut World, to: usize, quantity: i64) -> OpId {
    let replica = world.kits[to].author.replica;
    let ops = world.kits[0].run(&lease(replica, quantity), Some(world.event), world.owner).expect("ten are here");
    world.sync(0, to);
    ops.last().expect("a lease is an op").id()
}

fn lapse(world: &mut World, lease: OpId) -> LeaseLapsed {
    let event = world.event;
    believe(&mut world.kits[0], event, &BTreeSet::from([lease]));
    let command = Command::LapseLease { lease };
    let ops = world.kits[0].run(&command, Some(event), Actor::Device(Zero)).expect("it is over");
    let Ok(Body::LeaseLapsed(body)) = Body::open(ops[0].op.kind, &ops[0].op.body) else { panic!("it says so") };
    body
}

/// Sells mugs at a kit; gives back how many units the sale names.
fn sell(world: &mut World, at: usize, quantity: u8) -> u64 {
    let ops = world.step(at, &Move::Do(soft_sale(quantity))).expect("soft goods sell on");
    let sale = ops.last().expect("a sale is an op");
    let Ok(Body::OrderPlaced(body)) = Body::open(sale.op.kind, &sale.op.body) else { panic!("it is a sale") };
    count(&body.lines[0].units)
}

#[test]
fn leased_units_are_named_while_the_lease_is_trusted() {
    let mut world = World::new(2, terms());
    let (event, pool) = (world.event, PoolId::of(&world.event, MUG));
    let lease = leased(&mut world, 1, 4);
    let holder = world.kits[1].author.replica;
    let here = |world: &World, at: usize| {
        let kit = &world.kits[at];
        kit.ledger.events[&event].here_for(pool, &kit.author.replica, &kit.leases.live)
    };
    assert_eq!((here(&world, 0), here(&world, 1)), (6, 6), "what rests is nowhere");
    assert_eq!(sell(&mut world, 1, 2), 0, "nobody told kit 1 how late it is");
    believe(&mut world.kits[1], event, &BTreeSet::new());
    assert_eq!(here(&world, 1), 8);
    assert_eq!(sell(&mut world, 1, 3), 3);
    assert_eq!(sell(&mut world, 1, 2), 0, "one is left of the lease, and a line is covered whole or not at all");
    world.sync_all();
    let body = lapse(&mut world, lease);
    assert_eq!((body.holder, count(&body.ranges)), (holder, 1), "three of the four are sold");
    assert_eq!(here(&world, 0), 3);
    world.sync_all();
    believe(&mut world.kits[1], event, &BTreeSet::new());
    assert!(world.kits[1].leases.live.is_empty() && world.kits[1].ledger.anomalies.is_empty());
    let again = world.kits[0].run(&Command::LapseLease { lease }, Some(event), Actor::Device(Zero));
    assert_eq!(again, Err(Refusal::UnknownLease(lease.text())));
}

#[test]
fn what_a_buyer_brings_back_is_still_of_the_lease() {
    let mut world = World::new(2, terms());
    let (event, owner) = (world.event, world.owner);
    let lease = leased(&mut world, 1, 2);
    believe(&mut world.kits[1], event, &BTreeSet::new());
    assert_eq!(sell(&mut world, 1, 2), 2);
    let order = *world.kits[1].ledger.orders.keys().next().expect("one was placed");
    let void = Command::Void { order, reason: "mistake".to_owned() };
    world.kits[1].run(&void, Some(event), owner).expect("it is the same day");
    assert_eq!(sell(&mut world, 1, 1), 1, "the same unit, one generation on");
    world.sync_all();
    let body = lapse(&mut world, lease);
    assert_eq!(body.ranges.iter().map(|range| (range.count, range.generation)).collect::<Vec<_>>(), [(1, 1)]);
    world.sync_all();
    let audit = Audit::of(&world.kits[0].log, event);
    assert_eq!((audit.sold_twice(), audit.without_a_right()), (0, Vec::new()));
}

#[test]
fn a_sale_in_time_that_is_heard_of_too_late_is_named() {
    let mut world = World::new(3, terms());
    let (event, pool) = (world.event, PoolId::of(&world.event, MUG));
    let lease = leased(&mut world, 1, 3);
    believe(&mut world.kits[1], event, &BTreeSet::new());
    assert_eq!(sell(&mut world, 1, 2), 2);
    // Nobody hears of it; the term ends, and another kit has the same units for a time.
    assert_eq!(count(&lapse(&mut world, lease).ranges), 3);
    leased(&mut world, 2, 10);
    believe(&mut world.kits[2], event, &BTreeSet::new());
    assert_eq!(sell(&mut world, 2, 10), 10);
    world.sync_all();
    let ledger = &world.kits[0].ledger;
    assert!(named(ledger, pool, AnomalyKind::Oversold) && named(ledger, pool, AnomalyKind::Contested));
    let extra: u64 = ledger.oversold(event).iter().map(|(range, each)| range.count * each).sum();
    let audit = Audit::of(&world.kits[0].log, event);
    assert_eq!((extra, audit.sold_twice()), (2, 2), "both are counted");
    assert_eq!(ledger.events[&event].here(pool), -2);
    let mut dice = Dice(7);
    for _ in 0..20 {
        assert_eq!(folded(&world.kits[0].log, &mut dice).state_bytes(), ledger.state_bytes(), "INV-26");
    }
    assert_eq!(fork::folded(&world.kits[0].log).state_bytes(), ledger.state_bytes());
}

#[test]
fn a_lapse_heard_of_late_is_named_where_nothing_was_sold_again() {
    let mut world = World::new(2, terms());
    let (event, pool) = (world.event, PoolId::of(&world.event, MUG));
    let lease = leased(&mut world, 1, 3);
    lapse(&mut world, lease);
    // The holder's clock stood still.
    believe(&mut world.kits[1], event, &BTreeSet::new());
    assert_eq!(sell(&mut world, 1, 1), 1);
    world.sync_all();
    for kit in &world.kits {
        assert!(named(&kit.ledger, pool, AnomalyKind::Contested) && !named(&kit.ledger, pool, AnomalyKind::Oversold));
    }
    let giver = world.kits[0].author.replica;
    let usable = world.kits[0].ledger.events[&event].pools[&pool].usable(pool, &giver).count();
    assert_eq!(usable, 9, "the unit that was sold rests");
}

#[test]
fn only_ordinary_goods_are_leased_for_a_sensible_time_and_only_what_is_here() {
    let mut world = World::new(3, terms());
    let (event, owner) = (world.event, world.owner);
    let replicas: Vec<ReplicaKey> = world.kits.iter().map(|kit| kit.author.replica).collect();
    let of = |sku: &str, quantity, to, term_ms| {
        let (sku, reason) = (sku.to_owned(), String::new());
        Command::LeaseRights { sku, quantity, to, term_ms, reason }
    };
    let mut ask = |at: usize, command: &Command| {
        world.kits[at].run(command, Some(event), owner).map(|_| ()).map_err(|refusal| refusal.to_string())
    };
    let no = |text: &str| Err(text.to_owned());
    let limited = r#""PRINT" cannot be given for a time: only counted goods that are not limited can"#;
    assert_eq!(ask(0, &of(PRINT, 1, replicas[1], TERM_MS_MIN)), no(limited));
    assert!(ask(0, &of("TIP", 1, replicas[1], TERM_MS_MIN)).is_err(), "nobody counts it");
    assert_eq!(ask(0, &of("NONE", 1, replicas[1], 1)), no(r#"there is no SKU "NONE" in the catalogue"#));
    for term_ms in [0, TERM_MS_MIN - 1, TERM_MS_MAX + 1, u64::MAX] {
        assert_eq!(ask(0, &of(MUG, 1, replicas[1], term_ms)), no("a term is from 2 minutes to 12 hours"));
    }
    assert!(ask(0, &of(MUG, 1, replicas[0], TERM_MS_MIN)).is_err(), "to itself");
    assert!(ask(0, &of(MUG, 0, replicas[1], TERM_MS_MIN)).is_err());
    assert_eq!(ask(0, &of(MUG, 4, replicas[1], TERM_MS_MAX)), Ok(()));
    let gone = r#"6 of "MUG" can be sold here, 7 were asked for, 4 at kit 1"#;
    assert_eq!(ask(0, &of(MUG, 7, replicas[2], TERM_MS_MIN)), no(gone));
    world.sync_all();
    let none = world.kits[1].run(&of(MUG, 1, replicas[2], TERM_MS_MIN), Some(event), owner);
    assert!(matches!(none, Err(Refusal::SoldOut { here: 0, .. })), "what one has for a time is not leased again");
}

#[test]
fn a_lease_ends_by_its_giver_alone_and_only_when_it_is_over() {
    let mut world = World::new(2, terms());
    let (event, owner) = (world.event, world.owner);
    let lease = leased(&mut world, 1, 3);
    let command = Command::LapseLease { lease };
    let early = world.kits[0].run(&command, Some(event), Actor::Device(Zero)).expect_err("it runs");
    assert_eq!(early.to_string(), r#""MUG" is given for a time that is not over by a clock that can be trusted"#);
    let person = world.kits[0].run(&command, Some(event), owner).map(|_| ());
    assert!(matches!(person, Err(Refusal::NotAllowed { .. })), "nobody declares what a clock must say");
    believe(&mut world.kits[1], event, &BTreeSet::from([lease]));
    let other = world.kits[1].run(&command, Some(event), Actor::Device(Zero)).expect_err("kit 1 gave nothing");
    assert_eq!(other.to_string(), format!("there is no lease {} that this kit gave", lease.text()));
}

#[test]
fn goods_that_become_limited_leave_their_leases_at_rest() {
    let mut world = World::new(2, terms());
    let (event, owner) = (world.event, world.owner);
    let lease = leased(&mut world, 1, 3);
    let hard = Command::ChangeItem { sku: MUG.to_owned(), edits: vec![Edit::Limit(Limit::Hard)] };
    world.kits[0].run(&hard, Some(event), owner).expect("the owner may");
    world.sync_all();
    believe(&mut world.kits[1], event, &BTreeSet::new());
    let refused = world.step(1, &Move::Do(soft_sale(1))).expect_err("a clock is not enough for limited goods");
    assert_eq!(refused.to_string(), r#"0 of "MUG" can be sold here, 1 were asked for, 7 at kit 0"#);
    believe(&mut world.kits[0], event, &BTreeSet::from([lease]));
    let lapsed = world.kits[0].run(&Command::LapseLease { lease }, Some(event), Actor::Device(Zero));
    assert_eq!(lapsed, Err(Refusal::NotLeased(MUG.to_owned())));
    assert!(world.step(0, &Move::Do(soft_sale(8))).is_err());
    let lost = Command::DeclareLost { sku: MUG.to_owned(), holder: world.kits[1].author.replica };
    world.kits[0].run(&lost, Some(event), owner).expect("the owner declares it");
    assert!(world.step(0, &Move::Do(soft_sale(10))).is_ok());
}

#[test]
fn a_word_about_a_lease_that_its_author_never_saw_ends_nothing() {
    let mut world = World::new(2, terms());
    let event = world.event;
    let stranger = world.kits[1].author.replica;
    // Kit 1 names the lease before it has heard of it.
    let stream = world.kits[0].author.stream(&Space::Event(event));
    let lease = OpId { stream, seq: world.kits[0].ledger.head(&stream).seq + 1 };
    let body = LeaseLapsed { sku: MUG.to_owned(), lease, holder: stranger, ranges: Vec::new() };
    let draft = Draft::new(Space::Event(event), Body::LeaseLapsed(body));
    world.kits[1].write(vec![draft], Actor::Device(Zero));
    assert_eq!(leased(&mut world, 1, 3), lease);
    world.sync_all();
    assert!(world.kits.iter().all(|kit| kit.ledger.events[&event].leases.contains_key(&lease)));
    let mut dice = Dice(3);
    for _ in 0..20 {
        assert_eq!(folded(&world.kits[0].log, &mut dice).state_bytes(), world.kits[0].ledger.state_bytes());
    }
}

#[test]
fn stock_that_comes_does_not_hide_what_is_leased() {
    let mut world = World::new(2, terms());
    let (event, owner) = (world.event, world.owner);
    leased(&mut world, 1, 10);
    let kit = &mut world.kits[0];
    let pool = PoolId::of(&event, MUG);
    let here =
        |kit: &crate::world::Kit| kit.ledger.events[&event].here_for(pool, &kit.author.replica, &kit.leases.live);
    assert_eq!(here(kit), 0);
    let more = Command::MoveStock { sku: MUG.to_owned(), change: StockChange::By(2), reason: StockReason::Delivered };
    kit.run(&more, Some(event), owner).expect("a delivery");
    assert_eq!(here(kit), 2);
}

#[test]
fn what_one_has_for_a_time_proves_no_grant() {
    let mut world = World::new(3, terms());
    let (event, owner) = (world.event, world.owner);
    let space = Space::Event(event);
    let [holder, third] = [1, 2].map(|kit: usize| world.kits[kit].author.replica);
    let leased = world.kits[0].run(&lease(holder, 3), Some(event), owner).expect("ten are here").remove(0);
    let Ok(Body::RightsLeased(body)) = Body::open(leased.op.kind, &leased.op.body) else { panic!("it is a lease") };
    let grant = |to| {
        let (sku, ranges, reason) = (MUG.to_owned(), body.ranges.clone(), String::new());
        Draft::new(space.clone(), Body::RightsGranted(RightsGranted { sku, to, ranges, reason, answers: None }))
    };
    // The same units, given for good by a branch of kit 0 that the lease is not on.
    let mut other = world.kits[0].author.clone();
    let mut ledger = world.kits[2].ledger.clone();
    let context = Context { actor: owner, wall_ms: world.kits[0].wall_ms, quality: ClockQuality::System, key: None };
    let given = other.write(&mut ledger, vec![grant(holder)], &context).remove(0);
    world.sync(0, 1);
    let passed = world.kits[1].write(vec![grant(third)], owner).remove(1);
    let mugs =
        |op: &&SealedOp| matches!(Body::open(op.op.kind, &op.op.body), Ok(Body::StockMoved(body)) if body.sku == MUG);
    let came = world.kits[0].log.iter().find(mugs).expect("they came").clone();
    let proven = |second: &SealedOp| {
        let (first, holder) = (&world.kits[0].key, &world.kits[1].key);
        let links = vec![Link::sign(&came, first), Link::sign(second, first), Link::sign(&passed, holder)];
        GrantProof { space: space.clone(), links }.verify(|_| true).map(|proven| proven.to)
    };
    assert_eq!(proven(&given), Ok(third));
    assert_eq!(proven(&leased), Err(ProofError::Unfounded));
}
