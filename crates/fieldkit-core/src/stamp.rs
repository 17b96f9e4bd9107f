//! Hybrid logical time: when an op was written, and how far that is to be believed.
//!
//! Promises: a stamp never goes back on one replica, whatever the wall clock does and however often the kit starts; it decides nothing about money or
//! stock (winners are chosen by Lamport depth). After Kulkarni et al., *Logical Physical Clocks*, OPODIS 2014.

use crate::codec::{record, words};

words! {
    /// What stands behind a stamp's physical part.
    pub enum ClockQuality {
        /// Before the floor or never confirmed: the clock may be wrong by years.
        0 = Unverified "unverified",
        /// The system clock, not before the floor.
        1 = System "system",
        /// Confirmed by a second source.
        2 = Confirmed "confirmed",
    }
}

record! {
    /// A hybrid logical clock reading.
    #[derive(Copy, PartialOrd, Ord)]
    pub struct Stamp {
        /// Milliseconds since 1970-01-01 UTC.
        pub physical_ms: u64,
        /// Distinguishes stamps of one millisecond.
        pub counter: u32,
        /// How far to believe it.
        pub quality: ClockQuality,
    }
}

impl Stamp {
    /// The last stamp there can be in `floor_ms`, where that is later: of ops that are only known by their milliseconds,
    /// the counters are not known.
    pub fn not_before(self, floor_ms: u64) -> Stamp {
        if floor_ms <= self.physical_ms {
            return self;
        }
        Stamp { physical_ms: floor_ms, counter: u32::MAX, quality: ClockQuality::Unverified }
    }

    /// The first stamp after `self` when the wall clock reads `wall_ms`.
    pub fn next(self, wall_ms: u64, quality: ClockQuality) -> Stamp {
        if wall_ms > self.physical_ms {
            return Stamp { physical_ms: wall_ms, counter: 0, quality };
        }
        // The clock stands still or went back: time is taken from the last stamp, and says so.
        let quality =
            if wall_ms.saturating_add(300_000) < self.physical_ms { ClockQuality::Unverified } else { quality };
        match self.counter.checked_add(1) {
            Some(counter) => Stamp { physical_ms: self.physical_ms, counter, quality },
            // A stranger's op may have carried the last millisecond there is; time then stands still, and the shop goes on.
            None => Stamp { physical_ms: self.physical_ms.saturating_add(1), counter: 0, quality },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back() {
        let mut last = Stamp { physical_ms: 1_000_000_000, counter: 0, quality: ClockQuality::System };
        for wall in [1_000_000_001, 5, 5, 1_000_000_001, 1_000_000_002] {
            let next = last.next(wall, ClockQuality::System);
            assert!((next.physical_ms, next.counter) > (last.physical_ms, last.counter));
            last = next;
        }
    }

    #[test]
    fn a_start_with_a_clock_behind_the_floor_gives_no_earlier_stamp() {
        let begun = Stamp { physical_ms: 0, counter: 0, quality: ClockQuality::Unverified };
        let before = Stamp { physical_ms: 1_000_000_000, counter: 41, quality: ClockQuality::System };
        for wall in [5, 999_999_999, 1_000_000_000, 1_000_000_001] {
            let next = begun.not_before(before.physical_ms).next(wall, ClockQuality::System);
            assert!(next > before, "{next:?} at {wall}");
        }
        assert_eq!(before.not_before(before.physical_ms), before, "what is known needs no guess");
    }

    #[test]
    fn a_clock_that_went_back_is_marked() {
        let last = Stamp { physical_ms: 1_000_000_000, counter: 0, quality: ClockQuality::System };
        assert_eq!(last.next(5, ClockQuality::System).quality, ClockQuality::Unverified);
    }
}
