//! Rights as intervals: named units of a pool, of one generation each, and sets of them.
//!
//! Promises: total — whatever another replica wrote, arithmetic neither overflows nor falls; a set has one form, whatever
//! the order in which it was filled. Units are named by the op that brought them to the stall: 43 bits of its hash, then
//! 20 bits that count from 0, so that replicas that cannot talk never give one name twice, and forks of one replica
//! do not either.
//! Absent on purpose: who holds what (`pool`).

use crate::body::UnitRange;
use crate::id::{Hash, PoolId};
use std::collections::BTreeMap;

/// Bits that count the units of one issue.
const INDEX_BITS: u32 = 20;
/// Most units that one op brings, and most of one range.
pub const ISSUE_MAX: u64 = 1 << INDEX_BITS;
/// The end of all unit names.
const UNITS_END: u64 = 1 << 63;

impl UnitRange {
    /// The units that the op of `hash` brings to `pool`; `None` where they are none or too many.
    pub fn issued(pool: PoolId, hash: &Hash, count: u64) -> Option<Self> {
        let mut front = [0; 8];
        front.copy_from_slice(&hash.0[..8]);
        let first = (u64::from_be_bytes(front) >> (INDEX_BITS + 1)) << INDEX_BITS;
        (1..=ISSUE_MAX).contains(&count).then_some(UnitRange { pool, first, count, generation: 0 })
    }

    /// Whether these are units of one issue, and not of the last generation there is.
    pub fn is_sound(&self) -> bool {
        let room = ISSUE_MAX - self.first % ISSUE_MAX;
        self.first < UNITS_END && (1..=room).contains(&self.count) && self.generation < u32::MAX
    }

    /// The first unit behind a sound range.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// The same units after they came back.
    pub fn next(&self) -> Self {
        UnitRange { generation: self.generation.saturating_add(1), ..*self }
    }

    /// What a person calls the first unit: its number within its issue, from 1.
    pub fn serial(&self) -> u64 {
        self.first % ISSUE_MAX + 1
    }

    /// The units that both have.
    pub fn overlap(&self, other: &UnitRange) -> Option<UnitRange> {
        let (first, end) = (self.first.max(other.first), self.end().min(other.end()));
        let same = (self.pool, self.generation) == (other.pool, other.generation);
        (same && first < end).then(|| UnitRange { first, count: end - first, ..*self })
    }
}

/// How many units `ranges` have.
pub fn count(ranges: &[UnitRange]) -> u64 {
    ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count))
}

/// A set of rights of any pools: disjoint ranges, none touching the next of its issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: BTreeMap<(PoolId, u32, u64), u64>,
}

impl RangeSet {
    /// The set of all `ranges`; what is not sound is left out.
    pub fn of<'a>(ranges: impl IntoIterator<Item = &'a UnitRange>) -> Self {
        let mut set = RangeSet::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }

    /// Its ranges, by pool, generation and first unit.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = UnitRange> + '_ {
        self.ranges.iter().map(|((pool, generation, first), count)| UnitRange {
            pool: *pool,
            first: *first,
            count: *count,
            generation: *generation,
        })
    }

    /// How many units it has.
    pub fn count(&self) -> u64 {
        self.ranges.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds a range; units that are there already stay there once.
    pub fn insert(&mut self, range: &UnitRange) {
        if !range.is_sound() {
            return;
        }
        let (mut first, mut end) = (range.first, range.end());
        for known in self.near(range) {
            // Two issues never become one range.
            let joined = (known.end() != first || first % ISSUE_MAX != 0)
                && (known.first != end || end % ISSUE_MAX != 0)
                && known.end() >= first;
            if joined {
                self.ranges.remove(&(known.pool, known.generation, known.first));
                (first, end) = (first.min(known.first), end.max(known.end()));
            }
        }
        self.ranges.insert((range.pool, range.generation, first), end - first);
    }

    /// Takes a range out, as far as it is there.
    pub fn remove(&mut self, range: &UnitRange) {
        for known in self.near(range) {
            let Some(both) = known.overlap(range) else { continue };
            let key = |first| (known.pool, known.generation, first);
            self.ranges.remove(&key(known.first));
            if known.first < both.first {
                self.ranges.insert(key(known.first), both.first - known.first);
            }
            if both.end() < known.end() {
                self.ranges.insert(key(both.end()), known.end() - both.end());
            }
        }
    }

    /// The units of `range` that are in the set.
    pub fn overlap(&self, range: &UnitRange) -> Vec<UnitRange> {
        self.near(range).iter().filter_map(|known| known.overlap(range)).collect()
    }

    /// The part of one pool.
    pub fn within(&self, pool: PoolId) -> RangeSet {
        let part = self.ranges.range((pool, 0, 0)..=(pool, u32::MAX, u64::MAX));
        RangeSet { ranges: part.map(|(key, count)| (*key, *count)).collect() }
    }

    /// Takes `wanted` units out, or all there are: from the first range that has enough, else from as many as it needs.
    pub fn take(&mut self, wanted: u64) -> Vec<UnitRange> {
        let whole = self.iter().find(|range| range.count >= wanted);
        let mut taken = Vec::new();
        let mut left = wanted;
        for range in whole.into_iter().chain(self.iter()) {
            let part = UnitRange { count: range.count.min(left), ..range };
            if left == 0 || (whole == Some(range) && !taken.is_empty()) {
                break;
            }
            left -= part.count;
            taken.push(part);
        }
        taken.iter().for_each(|part| self.remove(part));
        taken
    }

    /// Takes `wanted` units out from the end, or all there are.
    pub fn take_last(&mut self, wanted: u64) -> Vec<UnitRange> {
        let mut taken = Vec::new();
        let mut left = wanted;
        for range in self.iter().rev() {
            let count = range.count.min(left);
            if count == 0 {
                break;
            }
            left -= count;
            taken.push(UnitRange { first: range.end() - count, count, ..range });
        }
        taken.iter().for_each(|part| self.remove(part));
        taken.reverse();
        taken
    }

    /// Ranges of the same pool and generation that overlap or touch `range`; none where it is not sound.
    fn near(&self, range: &UnitRange) -> Vec<UnitRange> {
        if !range.is_sound() {
            return Vec::new();
        }
        let (pool, generation) = (range.pool, range.generation);
        let before = range.first.saturating_sub(ISSUE_MAX);
        let part = self.ranges.range((pool, generation, before)..=(pool, generation, range.end()));
        let known = part.map(|((_, _, first), count)| UnitRange { pool, first: *first, count: *count, generation });
        known.filter(|known| known.end() >= range.first).collect()
    }
}
