//! Rights: what a few kits sell of ten limited units while messages are lost, late, repeated and out of order, and
//! while kits are put back to an earlier day without noticing.

use crate::arbitrary;
use crate::audit::Audit;
use crate::merge::{Dice, folded};
use crate::words::{self, Say};
use crate::world::{Kit, Move, SKUS, Terms, Wish, World};
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::Draft;
use fieldkit_core::body::*;
use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::{Command, LeaseTimes, StockChange, TenderRequest};
use fieldkit_core::fork;
use fieldkit_core::id::{OpId, PoolId, ReplicaKey, Space, Zero};
use fieldkit_core::lease::TERM_MS_MIN;
use fieldkit_core::ledger::{AnomalyKind, Ledger, about};
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::order::{Order, Stage};
use fieldkit_core::refusal::Refusal;
use fieldkit_core::rights::count;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const PRINT: &str = SKUS[2];
/// The PRINT among the SKUs that wishes speak of.
const PRINT_AT: u8 = 2;
/// A soft one.
pub const MUG: &str = SKUS[0];
const MUG_AT: u8 = 0;

/// One thing that happens to rights.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command about PRINT.
    Do(usize, Wish),
    Grant {
        from: usize,
        to: usize,
        quantity: i64,
    },
    Release {
        at: usize,
        order: u8,
    },
    /// A kit packs up all that it has; the message may arrive at any time, at any kit, any number of times, or never.
    /// The first kit, which brought them, leases units of a soft pool; the other one hears of it at once, or like of
    /// everything.
    Lease {
        to: usize,
        quantity: i64,
        told: bool,
    },
    /// One of its leases is over.
    Lapse {
        which: u8,
    },
    /// A sale that leased units may cover.
    SellSoft {
        at: usize,
        quantity: u8,
    },
    Send {
        from: usize,
    },
    Deliver {
        to: usize,
        which: u8,
    },
    Say(usize, Say),
}

pub fn terms() -> Terms {
    Terms { currency: "EUR", prices: Prices::Inclusive }
}

fn limited_wish() -> impl Strategy<Value = Wish> {
    let lines = || vec((Just(PRINT_AT), 1u8..4, Just(0u32)), 1..3);
    prop_oneof![
        12 => lines().prop_map(|lines| Wish::Sell { lines, off: 0, extra: 0 }),
        3 => lines().prop_map(|lines| Wish::SellByCard { lines, cash: 0 }),
        1 => lines().prop_map(|lines| Wish::SellByReader { lines, share: 80 }),
        6 => (any::<u8>(), prop::option::of(vec((1u8..3, 1u8..3), 1..3)), prop::bool::weighted(0.8))
            .prop_map(|(order, lines, restock)| Wish::Refund { order, lines, restock }),
        2 => any::<u8>().prop_map(|order| Wish::Void { order }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(order, refund)| Wish::Undo { order, refund }),
        2 => any::<u8>().prop_map(|order| Wish::Cancel { order }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(order, by_reader)| Wish::Settle { order, by_reader }),
        2 => (any::<u8>(), prop::option::of(any::<u8>())).prop_map(|(order, share)| Wish::Begin { order, share }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(payment, luck)| Wish::Report { payment, luck }),
        1 => any::<u8>().prop_map(|payment| Wish::Reverse { payment }),
        1 => (any::<u8>(), arbitrary::charged()).prop_map(|(payment, charged)| Wish::Close { payment, charged }),
        2 => (-3i64..5).prop_map(|by| Wish::Stock {
            sku: PRINT_AT,
            change: StockChange::By(by),
            reason: if by < 0 { StockReason::Damaged } else { StockReason::Delivered },
        }),
        1 => (0i64..12).prop_map(|to| Wish::Stock {
            sku: PRINT_AT,
            change: StockChange::To(to),
            reason: StockReason::Counted,
        }),
    ]
}

pub fn limited_step() -> impl Strategy<Value = Step> {
    let kit = || 0usize..4;
    prop_oneof![
        16 => (kit(), limited_wish()).prop_map(|(at, wish)| Step::Do(at, wish)),
        5 => (kit(), kit(), 1i64..5).prop_map(|(from, to, quantity)| Step::Grant { from, to, quantity }),
        5 => (kit(), any::<u8>()).prop_map(|(at, order)| Step::Release { at, order }),
        2 => (1usize..4, 1i64..5, any::<bool>()).prop_map(|(to, quantity, told)| Step::Lease { to, quantity, told }),
        1 => any::<u8>().prop_map(|which| Step::Lapse { which }),
        3 => (kit(), 1u8..3).prop_map(|(at, quantity)| Step::SellSoft { at, quantity }),
        4 => kit().prop_map(|from| Step::Send { from }),
        6 => (kit(), any::<u8>()).prop_map(|(to, which)| Step::Deliver { to, which }),
    ]
}

impl Step {
    /// The kit that writes, where one does.
    pub fn author(&self) -> Option<usize> {
        match self {
            Step::Do(at, _) | Step::Say(at, _) | Step::Release { at, .. } | Step::SellSoft { at, .. } => Some(*at),
            Step::Grant { from, .. } => Some(*from),
            Step::Lease { .. } | Step::Lapse { .. } => Some(0),
            Step::Send { .. } | Step::Deliver { .. } => None,
        }
    }
}

/// A kit believes in all leases but those that are over, and in the end of these.
pub fn believe(kit: &mut Kit, event: OpId, over: &BTreeSet<OpId>) {
    let leases = &kit.ledger.events[&event].leases;
    let live = leases.iter().filter(|(id, lease)| lease.to == kit.author.replica && !over.contains(id));
    kit.leases = LeaseTimes { live: live.map(|(id, _)| *id).collect(), over: over.clone() };
}

pub fn soft_sale(quantity: u8) -> Wish {
    Wish::Sell { lines: vec![(MUG_AT, quantity, 0)], off: 0, extra: 0 }
}

/// One of the leases that a kit gave, and to which kit.
pub fn some_lease(world: &World, which: u8) -> Option<(OpId, usize)> {
    let leases = &world.kits[0].ledger.events[&world.event].leases;
    let (id, lease) = leases.iter().nth(usize::from(which) % leases.len().max(1))?;
    Some((*id, world.kits.iter().position(|kit| kit.author.replica == lease.to)?))
}

/// A stall with 10 units, and `shares` more for each kit but the first, given out and known before the kits part.
pub fn shared_out(kits: u8, shares: i64) -> World {
    let mut world = World::at_work(kits, terms());
    let (event, owner) = (world.event, world.owner);
    if shares > 0 {
        let change = StockChange::By(shares * i64::from(kits - 1));
        let more = Command::MoveStock { sku: PRINT.to_owned(), change, reason: StockReason::Delivered };
        world.kits[0].run(&more, Some(event), owner).expect("the delivery is in order");
        (1..world.kits.len()).for_each(|to| give(&mut world, 0, to, shares));
    }
    world.sync_all();
    world
}

/// Lets a kit release units of one of its orders, where there is one with units to release.
pub fn release(kit: &mut Kit, number: u8, event: OpId, owner: Actor) {
    let orders: Vec<OpId> = kit.ledger.orders.keys().copied().collect();
    let from = usize::from(number) % orders.len().max(1);
    for order in orders[from..].iter().chain(&orders[..from]) {
        if kit.run(&Command::ReleaseUnits { order: *order }, Some(event), owner).is_ok() {
            return;
        }
    }
}

/// Runs steps on kits whose messages are whole logs; gives back how many sales were made.
pub fn run(world: &mut World, steps: &[Step]) -> usize {
    let count = world.kits.len();
    let (event, owner) = (world.event, world.owner);
    let mut under_way: Vec<Vec<SealedOp>> = Vec::new();
    let mut sales = 0;
    let mut over = BTreeSet::new();
    for step in steps {
        match step {
            Step::Do(at, wish) => {
                let done = world.step(*at, &Move::Do(wish.clone()));
                sales += usize::from(matches!(wish, Wish::Sell { .. }) && done.is_ok());
            }
            Step::Grant { from, to, quantity } => {
                let to = world.kits[to % count].author.replica;
                let _ = world.kits[from % count].run(&grant(to, *quantity), Some(event), Actor::Device(Zero));
            }
            Step::Release { at, order } => {
                release(&mut world.kits[at % count], *order, event, owner);
            }
            Step::Say(at, what) => words::say(world, *at, what),
            Step::Lease { to, quantity, told } => {
                let replica = world.kits[to % count].author.replica;
                let _ = world.kits[0].run(&lease(replica, *quantity), Some(event), owner);
                if *told {
                    world.sync(0, to % count);
                }
            }
            Step::Lapse { which } => {
                // The holder stopped in time, and its word of what it sold is there.
                let Some((id, holder)) = some_lease(world, *which) else { continue };
                world.sync(holder, 0);
                over.insert(id);
                believe(&mut world.kits[0], event, &over);
                let lapse = Command::LapseLease { lease: id };
                world.kits[0].run(&lapse, Some(event), Actor::Device(Zero)).expect("the lease is over");
            }
            Step::SellSoft { at, quantity } => {
                believe(&mut world.kits[at % count], event, &over);
                world.step(*at, &Move::Do(soft_sale(*quantity))).expect("soft goods sell on");
            }
            Step::Send { from } => under_way.push(world.kits[from % count].log.clone()),
            Step::Deliver { to, which } => {
                if let Some(log) = under_way.get(usize::from(*which) % under_way.len().max(1)) {
                    world.kits[to % count].take(log);
                }
            }
        }
    }
    sales
}

pub fn grant(to: ReplicaKey, quantity: i64) -> Command {
    Command::GrantRights { sku: PRINT.to_owned(), quantity, to, reason: "asked".to_owned(), answers: None }
}

pub fn lease(to: ReplicaKey, quantity: i64) -> Command {
    let reason = "the other hall".to_owned();
    Command::LeaseRights { sku: MUG.to_owned(), quantity, to, term_ms: TERM_MS_MIN, reason }
}

/// Units that a kit would sell now, found by asking it.
fn sellable(kit: &Kit, event: OpId, owner: Actor) -> i64 {
    let mut tried = 0;
    let asks = |quantity: u8| Wish::Sell { lines: vec![(PRINT_AT, quantity, 0)], off: 0, extra: 0 };
    let place = fieldkit_core::decide::Place::at(kit.author.replica, Some(event));
    let context = fieldkit_core::author::Context {
        actor: owner,
        wall_ms: kit.wall_ms,
        quality: fieldkit_core::stamp::ClockQuality::System,
        key: None,
    };
    for quantity in 1..=60 {
        let command = asks(quantity).command(&kit.ledger, event);
        if fieldkit_core::decide::decide(&kit.ledger, &command, &place, &context).is_err() {
            break;
        }
        tried = i64::from(quantity);
    }
    tried
}

pub fn named(ledger: &Ledger, pool: PoolId, kind: AnomalyKind) -> bool {
    let number = u16::from_bytes(&kind.to_bytes()).expect("anomaly kinds are numbers");
    ledger.anomalies.contains_key(&(about(pool), number))
}

proptest! {
    #[test]
    fn limited_goods_are_never_oversold_and_each_unit_is_in_one_place(
        kits in 2u8..5,
        shares in 0i64..7,
        steps in vec(limited_step(), 1..70),
        seed: u64,
    ) {
        let mut world = shared_out(kits, shares);
        let event = world.event;
        let pool_id = PoolId::of(&event, PRINT);
        run(&mut world, &steps);
        world.sync_all();
        let union = world.kits[0].log.clone();
        let audit = Audit::of(&union, event);
        prop_assert_eq!(audit.without_a_right(), Vec::<String>::new(), "INV-16");
        prop_assert_eq!(audit.out_too_many(), 0, "INV-13");
        prop_assert_eq!(audit.sold_twice(), 0, "INV-14");
        let ledger = &world.kits[0].ledger;
        let known = &ledger.events[&event];
        let (held, out, ended) = audit.places();
        prop_assert_eq!(held + out + ended, audit.issued(), "INV-15");
        let by_sums: i64 = known.pools.values().flat_map(|pool| pool.holders().into_values()).sum();
        prop_assert_eq!(u64::try_from(by_sums), Ok(held), "INV-15: what is held");
        let usable: u64 = known.pools.iter().map(|(id, pool)| {
            world.kits.iter().map(|kit| pool.usable(*id, &kit.author.replica).count()).sum::<u64>()
        }).sum();
        prop_assert_eq!(usable, held, "without forks and losses all that is held may be used");
        prop_assert!(ledger.oversold(event).is_empty());
        for kind in [AnomalyKind::Oversold, AnomalyKind::Contested] {
            prop_assert!(!named(ledger, pool_id, kind) && !named(ledger, PoolId::of(&event, MUG), kind));
        }
        check_orders(ledger);
        // INV-26, with rights in the state.
        let mut dice = Dice(seed);
        for _ in 0..20 {
            let other = folded(&union, &mut dice);
            prop_assert_eq!(other.state_bytes(), ledger.state_bytes());
            prop_assert_eq!(&other.orders, &ledger.orders);
        }
        prop_assert_eq!(fork::folded(&union).state_bytes(), ledger.state_bytes());
    }

    #[test]
    fn what_is_not_sold_can_be_sold_once_all_is_known(
        kits in 2u8..5,
        shares in 0i64..7,
        steps in vec(limited_step(), 1..50),
    ) {
        let mut world = shared_out(kits, shares);
        let (event, owner) = (world.event, world.owner);
        run(&mut world, &steps);
        world.sync_all();
        // Each kit lets go what others took back for its orders.
        for at in 0..world.kits.len() {
            let orders: Vec<OpId> = world.kits[at].ledger.orders.keys().copied().collect();
            for order in orders {
                let _ = world.kits[at].run(&Command::ReleaseUnits { order }, Some(event), owner);
            }
        }
        world.sync_all();
        let known = &world.kits[0].ledger.events[&event];
        let pool = PoolId::of(&event, PRINT);
        let held: i64 = known.pools[&pool].holders().into_values().sum();
        let can_sell: i64 = world.kits.iter().map(|kit| sellable(kit, event, owner)).sum();
        prop_assert!(can_sell <= known.here(pool).max(0), "never more than the count of the goods");
        if held <= known.here(pool) {
            prop_assert_eq!(can_sell, held, "nothing is stranded");
        }
    }

    #[test]
    fn a_kit_alone_sells_by_the_count_of_the_goods(wishes in vec(limited_wish(), 1..50)) {
        let mut world = World::at_work(1, terms());
        let (event, owner) = (world.event, world.owner);
        for wish in &wishes {
            let _ = world.step(0, &Move::Do(wish.clone()));
            let ledger = &world.kits[0].ledger;
            let here = ledger.events[&event].here(PoolId::of(&event, PRINT)).max(0);
            let sellable = sellable(&world.kits[0], event, owner);
            if ledger.anomalies.values().any(|anomaly| anomaly.kind == AnomalyKind::OverRefund) {
                // What came back twice by the books came back once: its unit has one name.
                prop_assert!(sellable <= here);
                break;
            }
            prop_assert_eq!(sellable, here);
        }
    }
}

/// Each limited unit sold has a name, and whoever paid and did not bring it back has a unit for it. An order that one kit
/// gave up while another took its money is named as such, and a person decides.
fn check_orders(ledger: &Ledger) {
    for line in ledger.orders.values().flat_map(|order| &order.sale.lines).filter(|line| line.sku == PRINT) {
        assert_eq!(count(&line.units), u64::from(line.quantity), "{line:?}");
    }
    let paid = |order: &&Arc<Order>| matches!(order.stage(), Stage::Paid(_)) && order.cancelled.is_empty();
    for order in ledger.orders.values().filter(paid) {
        let kept: u64 = (1..)
            .zip(&order.sale.lines)
            .map(|(at, line): (u32, &Line)| {
                // Nobody takes soft goods anew when a refund is undone.
                let named = if line.sku == PRINT { count(&line.units) } else { 0 };
                named.saturating_sub(order.refunded_quantity(at))
            })
            .sum();
        assert!(order.units_out(|_| true).count() >= kept, "{order:?}");
    }
}

fn sell(world: &mut World, at: usize, quantity: u8) -> Result<(), Refusal> {
    let wish = Wish::Sell { lines: vec![(PRINT_AT, quantity, 0)], off: 0, extra: 0 };
    world.step(at, &Move::Do(wish)).map(|_| ())
}

fn give(world: &mut World, from: usize, to: usize, quantity: i64) {
    let (event, owner) = (world.event, world.owner);
    let to = world.kits[to].author.replica;
    world.kits[from].run(&grant(to, quantity), Some(event), owner).expect("the grant is in order");
}

fn last_order(world: &World, at: usize) -> OpId {
    let ledger = &world.kits[at].ledger;
    let newest = ledger.orders.values().max_by_key(|order| order.stamp.physical_ms);
    newest.expect("an order was placed").order_id
}

#[test]
fn two_kits_apart_sell_ten_and_not_eleven() {
    let mut world = World::new(2, terms());
    give(&mut world, 0, 1, 4);
    world.sync_all();
    let mut sold = [0, 0];
    for _ in 0..11 {
        for (at, sold) in sold.iter_mut().enumerate() {
            *sold += u64::from(sell(&mut world, at, 1).is_ok());
        }
    }
    assert_eq!(sold, [6, 4]);
    world.sync_all();
    assert_eq!(Audit::of(&world.kits[0].log, world.event).places(), (20, 10, 0), "the soft ones are still held");
}

#[test]
fn a_grant_is_used_by_the_one_it_names_and_only_once_known() {
    let mut world = World::new(2, terms());
    give(&mut world, 0, 1, 10);
    let refused = sell(&mut world, 0, 1).expect_err("the giver has none left");
    assert_eq!(refused.to_string(), r#"0 of "PRINT" can be sold here, 1 were asked for, 10 at kit 1"#);
    let refused = sell(&mut world, 1, 1).expect_err("kit 1 has not heard of it");
    assert_eq!(refused.to_string(), r#"0 of "PRINT" can be sold here, 1 were asked for, 10 at kit 0"#);
    world.sync_all();
    assert_eq!(sell(&mut world, 1, 10), Ok(()));
}

#[test]
fn another_kits_refund_rests_until_the_seller_lets_go() {
    let mut world = World::new(2, terms());
    sell(&mut world, 0, 10).expect("kit 0 holds ten");
    world.sync_all();
    let (event, owner) = (world.event, world.owner);
    let order = last_order(&world, 0);
    let back =
        Command::Refund { order, lines: Some(vec![(1, 2)]), reason: "torn".to_owned(), restock: true, in_cash: false };
    world.kits[1].run(&back, Some(event), owner).expect("any kit gives money back");
    assert!(sell(&mut world, 1, 1).is_err(), "the seller may have taken the same units back");
    let undo = |refund| Command::UndoRefund { order, refund };
    let refund = world.kits[1].ledger.orders[&order].refunds[0].refund_id;
    assert!(world.kits[1].run(&undo(refund), Some(event), owner).is_err(), "kit 1 has no unit to hand out");
    let release = Command::ReleaseUnits { order };
    assert!(world.kits[1].run(&release, Some(event), owner).is_err(), "it sold nothing");
    world.sync_all();
    assert!(sell(&mut world, 0, 1).is_err(), "the goods are at kit 1");
    world.kits[0].run(&release, Some(event), owner).expect("two came back");
    assert_eq!(world.kits[0].run(&release, Some(event), owner).map(|_| ()), Err(Refusal::NothingLeft));
    world.sync_all();
    assert_eq!(sell(&mut world, 1, 2), Ok(()));
    let units = world.kits[1].ledger.orders[&last_order(&world, 1)].sale.lines[0].units.clone();
    assert_eq!((units[0].generation, units[0].serial()), (1, 9), "the same serials, one generation on");
}

#[test]
fn a_refund_and_a_sale_at_one_kit_keep_the_serial() {
    let mut world = World::new(1, terms());
    let (event, owner) = (world.event, world.owner);
    sell(&mut world, 0, 10).expect("ten are here");
    let order = last_order(&world, 0);
    let back = Command::Void { order, reason: "mistake".to_owned() };
    let ops = world.kits[0].run(&back, Some(event), owner).expect("it is the same day");
    assert_eq!(ops.len(), 2, "the units, and the entry that answers");
    let refund = world.kits[0].ledger.orders[&order].refunds[0].refund_id;
    let undo = Command::UndoRefund { order, refund };
    world.kits[0].run(&undo, Some(event), owner).expect("the units are still here");
    let out = world.kits[0].ledger.orders[&order].units_out(|_| true);
    let ranges: Vec<(u64, u64, u32)> =
        out.iter().map(|range| (range.serial(), range.count, range.generation)).collect();
    assert_eq!(ranges, [(1, 10, 1)]);
    assert!(sell(&mut world, 0, 1).is_err());
}

#[test]
fn what_a_lost_holder_sold_after_all_is_named() {
    let mut world = World::new(3, terms());
    give(&mut world, 0, 1, 2);
    world.sync_all();
    let (event, owner) = (world.event, world.owner);
    sell(&mut world, 1, 1).expect("kit 1 holds two");
    let holder = world.kits[1].author.replica;
    let lost = Command::DeclareLost { sku: PRINT.to_owned(), holder };
    let kit = &mut world.kits[0];
    let by_itself = kit.run(&lost, Some(event), Actor::Device(Zero)).map(|_| ());
    assert!(matches!(by_itself, Err(Refusal::NotAllowed { .. })), "a person declares it");
    let ops = kit.run(&lost, Some(event), owner).expect("the owner declares it");
    let Ok(Body::HolderDeclaredLost(body)) = Body::open(ops[0].op.kind, &ops[0].op.body) else { panic!("it says so") };
    assert_eq!(body.risk, "what kit 1 sold of these 2 before it was lost is sold twice");
    let again = kit.run(&lost, Some(event), owner).map(|_| ());
    assert!(matches!(again, Err(Refusal::NothingHeld { .. })));
    sell(&mut world, 0, 9).expect("eight and one of the two");
    // Kit 1 comes back with its sale: one unit has two buyers, unless it is the one that is left.
    world.sync_all();
    let ledger = &world.kits[0].ledger;
    let sold_twice = Audit::of(&world.kits[0].log, event).sold_twice();
    assert_eq!((ledger.oversold(event).len() as u64, sold_twice), (1, 1));
    let pool = PoolId::of(&event, PRINT);
    assert!(named(ledger, pool, AnomalyKind::Oversold) && named(ledger, pool, AnomalyKind::Contested));
    assert_eq!(sell(&mut world, 0, 1), Ok(()), "nobody sold the other one");
    assert!(sell(&mut world, 0, 1).is_err());
}

/// The first op of a new life names the one before.
fn noticed(kit: &mut Kit) {
    let stream = kit.log[0].op.stream;
    let noticed = RollbackNoticed { witness: "page".to_owned(), stream, seen: 9, found: 7 };
    kit.write(vec![Draft::new(Space::ORGANISATION, Body::RollbackNoticed(noticed))], Actor::Device(Zero));
}

#[test]
fn what_is_contested_rests() {
    let mut world = World::new(3, terms());
    give(&mut world, 0, 1, 2);
    world.sync_all();
    let (event, owner) = (world.event, world.owner);
    let can_sell = |world: &World| [0, 1, 2].map(|at| sellable(&world.kits[at], event, owner));
    let lost = Command::DeclareLost { sku: PRINT.to_owned(), holder: world.kits[1].author.replica };
    sell(&mut world, 1, 1).expect("kit 1 holds two");
    world.kits[0].run(&lost, Some(event), owner).expect("the owner declares it");
    assert_eq!(can_sell(&world), [10, 1, 0], "nobody knows yet");
    world.sync_all();
    assert_eq!(can_sell(&world), [9, 0, 0], "the one that kit 1 sold is not sold again");
    // Two kits take over from one.
    let holder = world.kits[0].author.replica;
    let lost = Command::DeclareLost { sku: PRINT.to_owned(), holder };
    for at in [1, 2] {
        world.kits[at].run(&lost, Some(event), owner).expect("the owner declares it");
    }
    assert!(can_sell(&world)[1..].iter().all(|units| *units >= 8), "each believes to be the only one");
    world.sync_all();
    assert_eq!(can_sell(&world), [0, 0, 0], "a person has to decide whose they are");
}

#[test]
fn a_kit_alone_that_was_put_back_goes_on_selling() {
    let mut world = World::new(1, terms());
    sell(&mut world, 0, 3).expect("ten are here");
    let old = world.kits[0].author.replica;
    let log = world.kits[0].log.clone();
    let mut kit = Kit::new(40);
    kit.author.follows = Some(old);
    kit.take(&log);
    noticed(&mut kit);
    world.kits[0] = kit;
    assert!(sell(&mut world, 0, 8).is_err());
    assert_eq!(sell(&mut world, 0, 7), Ok(()));
    let taken = world.kits[0].log.iter().filter(|op| op.op.kind == 84).count();
    assert_eq!(taken, 1, "what its past life held is taken over once");
}

#[test]
fn one_of_several_kits_that_was_put_back_takes_nothing_over() {
    let mut world = World::new(2, terms());
    let old = world.kits[0].author.replica;
    let log = world.kits[0].log.clone();
    let mut kit = Kit::new(40);
    kit.author.follows = Some(old);
    kit.take(&log);
    noticed(&mut kit);
    world.kits[0] = kit;
    let refused = sell(&mut world, 0, 1).expect_err("its past life may have given them away");
    assert_eq!(refused.to_string(), r#"0 of "PRINT" can be sold here, 1 were asked for, 10 at kit 0"#);
}

#[test]
fn goods_set_aside_are_paid_where_they_were_set_aside() {
    let mut world = World::at_work(2, terms());
    let (event, owner) = (world.event, world.owner);
    let card = Wish::SellByCard { lines: vec![(PRINT_AT, 1, 0)], cash: 0 };
    world.step(0, &Move::Do(card)).expect("one is here");
    let of_card = |step| Move::Do(Wish::Report { payment: 0, luck: step });
    // Sent, then declined: the order waits for other money.
    for luck in [0, 150] {
        world.step(0, &of_card(luck)).expect("the terminal says so");
    }
    world.sync_all();
    let (order, euro) = (last_order(&world, 0), "EUR".to_owned());
    let tenders = vec![TenderRequest::Cash { minor: 999, currency: euro }];
    let settle = Command::SettleOrder { order, tenders };
    let begin = Command::BeginPayment { order, amount: None, device: None };
    for command in [&settle, &begin] {
        let refused = world.kits[1].run(command, Some(event), owner).expect_err("kit 0 may give it up");
        assert_eq!(refused.code(), "payment_elsewhere");
    }
    world.kits[0].run(&settle, Some(event), owner).expect("kit 0 has the goods");
}

#[test]
fn less_than_others_hold_is_not_counted_away() {
    let mut world = World::new(2, terms());
    give(&mut world, 0, 1, 4);
    let (event, owner) = (world.event, world.owner);
    let stock = |change, reason| Command::MoveStock { sku: PRINT.to_owned(), change, reason };
    let kit = &mut world.kits[0];
    let refused = kit.run(&stock(StockChange::By(-7), StockReason::Lost), Some(event), owner).map(|_| ());
    assert!(matches!(refused, Err(Refusal::SoldOut { here: 6, wanted: 7, .. })));
    // What is counted is this kit's shelf.
    kit.run(&stock(StockChange::To(5), StockReason::Counted), Some(event), owner).expect("one of six is gone");
    assert_eq!(kit.ledger.events[&event].here(PoolId::of(&event, PRINT)), 9);
    assert_eq!(sellable(kit, event, owner), 5);
    assert_eq!(Audit::of(&kit.log, event).places(), (29, 0, 1));
}

#[test]
fn only_what_is_limited_is_given_and_only_to_others() {
    let mut world = World::new(2, terms());
    let (event, owner) = (world.event, world.owner);
    let (own, other) = (world.kits[0].author.replica, world.kits[1].author.replica);
    let kit = &mut world.kits[0];
    let mut refused =
        |command: &Command| kit.run(command, Some(event), owner).expect_err("it is refused").code().to_owned();
    let soft =
        Command::GrantRights { sku: SKUS[0].to_owned(), quantity: 1, to: other, reason: String::new(), answers: None };
    assert_eq!(refused(&soft), "not_limited");
    assert_eq!(refused(&grant(own, 1)), "unknown_kit");
    assert_eq!(refused(&grant(ReplicaKey([9; 32]), 1)), "unknown_kit");
    assert_eq!(refused(&grant(other, 11)), "sold_out");
    assert_eq!(refused(&grant(other, 0)), "quantity");
}

#[test]
fn the_steps_of_these_laws_reach_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..200 {
        let steps = vec(limited_step(), 140..150).new_tree(&mut runner).expect("nothing is rejected").current();
        let mut world = shared_out(3, 6);
        let sales = run(&mut world, &steps);
        *reached.entry("sales").or_default() += sales;
        world.sync_all();
        for op in &world.kits[0].log {
            let seller = |order: &OpId| order.stream == op.op.stream;
            let what = match Body::open(op.op.kind, &op.op.body) {
                Ok(Body::RightsGranted(_)) => "grants",
                Ok(Body::RightsLeased(_)) => "leases",
                Ok(Body::LeaseLapsed(body)) if body.ranges.is_empty() => "leases that ended sold out",
                Ok(Body::LeaseLapsed(_)) => "lapses",
                Ok(Body::OrderPlaced(body))
                    if body.lines.iter().any(|line| line.sku == MUG && !line.units.is_empty()) =>
                {
                    "sales of leased units"
                }
                Ok(Body::RightsReturned(body))
                    if body.to != world.kits[0].ledger.streams[&op.op.stream].replica.expect("it is bound") =>
                {
                    "releases to others"
                }
                Ok(Body::RightsReturned(_)) => "returns",
                Ok(Body::RightsUsed(_)) => "undone refunds",
                Ok(Body::RightsWrittenOff(_)) => "write-offs",
                Ok(Body::OrderRefunded(body)) if body.restock && !seller(&body.order) => "refunds elsewhere",
                Ok(Body::OrderPlaced(body))
                    if body.lines.iter().any(|line| line.units.iter().any(|range| range.generation > 0)) =>
                {
                    "resold units"
                }
                Ok(Body::OrderPlaced(body)) if body.lines.iter().any(|line| line.units.len() > 1) => {
                    "lines of several intervals"
                }
                Ok(Body::CommandRefused(_)) | Ok(_) | Err(_) => continue,
            };
            *reached.entry(what).or_default() += 1;
        }
    }
    println!("in 200 stalls of three kits: {reached:?}");
    assert!(reached.len() == 13 && reached.values().all(|times| *times > 10), "{reached:?}");
}

#[test]
fn a_kit_that_an_owner_lets_in_is_known_by_its_name() {
    let mut world = World::new(2, Terms { currency: "EUR", prices: Prices::Inclusive });
    let key = SigningKey::from_bytes(&[41; 32]);
    let replica = ReplicaKey(key.verifying_key().to_bytes());
    let admit = |kit: &Kit, label: &str| {
        let proof = kit.key.sign(&ReplicaAdmitted::signed_bytes(&replica, label)).to_bytes();
        Command::AdmitReplica { replica, label: label.to_owned(), proof }
    };
    let (owner, kit) = (world.owner, &mut world.kits[1]);
    let command = admit(kit, "kit B");
    let nobody = kit.run(&command, None, Actor::Device(Zero));
    assert!(matches!(nobody, Err(Refusal::NotAllowed { .. })), "a kit does not let others in by itself");
    let Command::AdmitReplica { proof, .. } = admit(kit, "another name") else { unreachable!() };
    let forged = Command::AdmitReplica { replica, label: "kit B".to_owned(), proof };
    assert!(matches!(kit.run(&forged, None, owner), Err(Refusal::NotAllowed { .. })), "the proof is of another name");
    assert!(matches!(kit.run(&admit(kit, " "), None, owner), Err(Refusal::Text { .. })));
    assert!(kit.run(&command, None, owner).is_ok());
    assert_eq!(kit.ledger.label(&replica), "kit B");
    assert_eq!(kit.run(&command, None, owner), Err(Refusal::KitKnown("kit B".to_owned())));
    let log = kit.log.clone();
    world.kits[0].take(&log);
    assert!(world.kits[0].ledger.replicas.contains_key(&replica) && world.kits[0].ledger.anomalies.is_empty());
}
