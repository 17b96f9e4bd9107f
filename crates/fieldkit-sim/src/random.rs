//! Numbers from a seed: splitmix64 (Steele, Lea and Flood 2014).
//!
//! Promises: the same seed gives the same numbers on every machine and in every build.
//! Absent on purpose: secrecy and statistics beyond what a schedule needs.

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The numbers of a seed; `stream` parts sources of one seed that must not disturb each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Random { state: seed ^ stream.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        mixed.number();
        mixed
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of the remainder is less than one in 2^40 for every bound that a world draws.
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A place in a list of `length`.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of a list that is not empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.place(from.len())]
    }

    /// A place in `weights`, the heavier the likelier; the last where all are 0.
    pub fn weighed(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return place;
            }
            left -= weight;
        }
        weights.len().saturating_sub(1)
    }
}

/// Spreads the bits of a number.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_its_numbers() {
        // The first outputs of splitmix64 for the state 0, as published with the algorithm.
        let mut random = Random { state: 0 };
        assert_eq!(random.number(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.number(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(7, 1);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&random.within(3, 5)));
            assert!(random.weighed(&[0, 2, 0, 5]) % 2 == 1);
        }
        assert_eq!(random.below(0), 0);
        assert!(!random.chance(0) && random.chance(1_000));
    }
}
