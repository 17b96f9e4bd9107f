//! Intervals of rights and the sums of a pool against plain sets of single units.

use fieldkit_core::body::UnitRange;
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::pool::{Deed, Pool};
use fieldkit_core::rights::{ISSUE_MAX, RangeSet, count};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Right = (PoolId, u32, u64);

fn pool(number: u8) -> PoolId {
    PoolId([number; 16])
}

/// Small ranges on both sides of the end of an issue, some of them not sound.
fn range() -> impl Strategy<Value = UnitRange> {
    let first = prop_oneof![8 => ISSUE_MAX - 12..ISSUE_MAX + 12, 1 => any::<u64>(), 1 => Just((1 << 63) - 2)];
    let count = prop_oneof![12 => 0u64..7, 1 => any::<u64>()];
    let generation = prop_oneof![12 => 0u32..3, 1 => Just(u32::MAX)];
    (0u8..2, first, count, generation).prop_map(|(number, first, count, generation)| UnitRange {
        pool: pool(number),
        first,
        count,
        generation,
    })
}

/// The units of a range one by one; none where it is not sound.
fn units(range: &UnitRange) -> Vec<Right> {
    if !range.is_sound() {
        return Vec::new();
    }
    (range.first..range.first + range.count).map(|unit| (range.pool, range.generation, unit)).collect()
}

fn all(ranges: &[UnitRange]) -> Vec<Right> {
    ranges.iter().flat_map(units).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(UnitRange),
    Remove(UnitRange),
    Take(u64),
    TakeLast(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => range().prop_map(Step::Insert),
        2 => range().prop_map(Step::Remove),
        1 => (0u64..9).prop_map(Step::Take),
        1 => (0u64..9).prop_map(Step::TakeLast),
    ]
}

proptest! {
    #[test]
    fn a_set_of_ranges_is_a_set_of_units(steps in vec(step(), 0..40), probe in range()) {
        let (mut set, mut plain) = (RangeSet::default(), BTreeSet::<Right>::new());
        for step in &steps {
            match step {
                Step::Insert(range) => {
                    set.insert(range);
                    plain.extend(units(range));
                }
                Step::Remove(range) => {
                    set.remove(range);
                    units(range).iter().for_each(|unit| {
                        plain.remove(unit);
                    });
                }
                Step::Take(wanted) | Step::TakeLast(wanted) => {
                    let before = set.clone();
                    let last = matches!(step, Step::TakeLast(_));
                    let taken = if last { set.take_last(*wanted) } else { set.take(*wanted) };
                    let enough = before.iter().any(|range| range.count >= *wanted);
                    prop_assert_eq!(count(&taken), before.count().min(*wanted));
                    prop_assert!(last || !enough || taken.len() <= 1, "one interval where one is enough");
                    for unit in all(&taken) {
                        prop_assert!(plain.remove(&unit), "each unit is taken once");
                    }
                }
            }
            let ranges: Vec<UnitRange> = set.iter().collect();
            prop_assert!(ranges.iter().all(UnitRange::is_sound));
            prop_assert_eq!(all(&ranges).into_iter().collect::<BTreeSet<_>>(), plain.clone());
            prop_assert_eq!(set.count(), plain.len() as u64);
            prop_assert_eq!(&RangeSet::of(&ranges), &set);
            let single = plain.iter().map(|(pool, generation, first)| UnitRange {
                pool: *pool, first: *first, count: 1, generation: *generation
            });
            prop_assert_eq!(&RangeSet::of(&single.collect::<Vec<_>>()), &set, "one form, however it was filled");
        }
        let both: BTreeSet<Right> = units(&probe).into_iter().filter(|unit| plain.contains(unit)).collect();
        prop_assert_eq!(all(&set.overlap(&probe)).into_iter().collect::<BTreeSet<_>>(), both);
        let part: BTreeSet<Right> = plain.iter().filter(|unit| unit.0 == pool(1)).copied().collect();
        prop_assert_eq!(all(&set.within(pool(1)).iter().collect::<Vec<_>>()).into_iter().collect::<BTreeSet<_>>(), part);
    }

    #[test]
    fn two_ranges_overlap_in_the_units_of_both(one in range(), other in range()) {
        let found = one.overlap(&other).filter(|_| one.is_sound() && other.is_sound());
        let both: Vec<Right> = units(&one).into_iter().filter(|unit| units(&other).contains(unit)).collect();
        prop_assert_eq!(found.map(|range| units(&range)).unwrap_or_default(), both);
    }

    #[test]
    fn what_an_op_brings_is_sound(hash: [u8; 32], count: u64) {
        let came = UnitRange::issued(pool(0), &Hash(hash), count);
        prop_assert_eq!(came.is_some(), (1..=ISSUE_MAX).contains(&count));
        prop_assert!(came.is_none_or(|range| range.is_sound() && range.serial() == 1));
    }

    #[test]
    fn a_pool_is_the_sum_of_its_single_units(
        deeds in vec((0u8..3, deed(), 0u64..10, 1u64..6, 0u32..3), 0..30),
        order in any::<u64>(),
    ) {
        let (mut sums, mut shuffled) = (Pool::default(), Pool::default());
        let mut single: BTreeMap<(u32, u64), Pool> = BTreeMap::new();
        let posts: Vec<(ReplicaKey, UnitRange, Deed)> = deeds.iter().map(|(author, deed, first, count, generation)| {
            let range = UnitRange { pool: pool(0), first: *first, count: *count, generation: *generation };
            (ReplicaKey([*author; 32]), range, *deed)
        }).collect();
        for (author, range, deed) in &posts {
            sums.apply(*author, range, *deed);
            for unit in range.first..range.end() {
                let one = UnitRange { first: unit, count: 1, ..*range };
                single.entry((0, unit)).or_default().apply(*author, &one, *deed);
            }
        }
        let mut other = posts.clone();
        other.sort_by_key(|(author, range, _)| (order ^ range.first, author.0, order ^ u64::from(range.generation)));
        other.iter().for_each(|(author, range, deed)| shuffled.apply(*author, range, *deed));
        prop_assert_eq!(&shuffled, &sums, "the order of arrival does not show");
        prop_assert_eq!(Pool::from_bytes(&sums.to_bytes()), Ok(sums.clone()));
        // Each unit by itself says what the pool says of it.
        for author in 0..3 {
            let author = ReplicaKey([author; 32]);
            let alone: BTreeSet<Right> = single.values().flat_map(|one| one.usable(pool(0), &author).iter().collect::<Vec<_>>())
                .flat_map(|range| units(&range)).collect();
            let usable: Vec<UnitRange> = sums.usable(pool(0), &author).iter().collect();
            prop_assert_eq!(all(&usable).into_iter().collect::<BTreeSet<_>>(), alone);
        }
        let extra = |one: &Pool| one.oversold(pool(0)).iter().map(|(range, each)| range.count * each).sum::<u64>();
        prop_assert_eq!(extra(&sums), single.values().map(extra).sum::<u64>());
        prop_assert_eq!(sums.contested(), single.values().map(Pool::contested).sum::<u64>());
        prop_assert_eq!(sums.frozen(), single.values().map(Pool::frozen).sum::<i64>());
        for cell in sums.cells.values() {
            let held: i64 = cell.held.values().sum();
            let gone = cell.frozen + cell.used + cell.declared + cell.written_off;
            prop_assert_eq!(cell.born, held + gone, "INV-15: what was born is somewhere");
        }
        let neighbours = sums.cells.iter().zip(sums.cells.iter().skip(1));
        for ((key, cell), (next, after)) in neighbours {
            let touching = key.0 == next.0 && key.1 + cell.count == next.1;
            let alike = fieldkit_core::pool::Cell { count: after.count, ..cell.clone() } == *after;
            prop_assert!(!(touching && alike), "equal neighbours are one");
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let replica = || (0u8..3).prop_map(|author| ReplicaKey([author; 32]));
    prop_oneof![
        4 => Just(Deed::Issue),
        2 => replica().prop_map(Deed::Grant),
        1 => Just(Deed::Freeze),
        3 => Just(Deed::Use),
        2 => replica().prop_map(Deed::Return),
        1 => replica().prop_map(Deed::Declare),
        1 => Just(Deed::WriteOff),
    ]
}

#[test]
fn a_pool_nobody_knows_oversells_nothing() {
    let nowhere = OpId { stream: StreamId([0; 16]), seq: 1 };
    assert!(Ledger::default().oversold(nowhere).is_empty());
}
