//! How many bytes a device may bring: so many a second, and a burst.
//!
//! Promises: over any span, no more pass than the burst and the rate times the span. Time comes as an argument.
//! Absent on purpose: what becomes of the rest.

use std::time::{Duration, Instant};

/// What may still pass.
#[derive(Debug)]
pub(crate) struct Allowance {
    bytes_per_s: u32,
    burst: u32,
    /// Bytes in hand, in millionths, so that short spans are not rounded away.
    in_hand: u64,
    at: Instant,
}

/// Millionths of a byte: one byte a second is one of them a microsecond.
const PART: u64 = 1_000_000;

impl Allowance {
    /// A full burst in hand.
    pub fn new(now: Instant, bytes_per_s: u32, burst: u32) -> Allowance {
        Allowance { bytes_per_s, burst, in_hand: u64::from(burst) * PART, at: now }
    }

    /// How many of `bytes` may pass now; they are taken.
    pub fn take(&mut self, now: Instant, bytes: usize) -> usize {
        let gone = now.saturating_duration_since(self.at).min(Duration::from_secs(3_600));
        self.at = self.at.max(now);
        let gone_us = u64::try_from(gone.as_micros()).unwrap_or(u64::MAX);
        let full = u64::from(self.burst) * PART;
        self.in_hand = self.in_hand.saturating_add(gone_us.saturating_mul(u64::from(self.bytes_per_s))).min(full);
        let pass = usize::try_from(self.in_hand / PART).unwrap_or(usize::MAX).min(bytes);
        self.in_hand -= pass as u64 * PART;
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_passes_than_rate_and_burst_allow() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(begin, 1_000, 500);
        assert_eq!(allowance.take(begin, 400), 400);
        assert_eq!(allowance.take(begin, 400), 100);
        assert_eq!(allowance.take(begin, 1), 0);
        assert_eq!(allowance.take(begin + Duration::from_millis(10), 400), 10);
        // A long rest fills the burst and no more.
        assert_eq!(allowance.take(begin + Duration::from_secs(100), 4_000), 500);
    }

    #[test]
    fn short_spans_are_not_rounded_away() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(begin, 1_000, 500);
        assert_eq!(allowance.take(begin, 500), 500);
        let passed: usize = (1..=10_000).map(|at| allowance.take(begin + Duration::from_micros(100 * at), 1)).sum();
        assert_eq!(passed, 1_000);
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let begin = Instant::now() + Duration::from_secs(1);
        let mut allowance = Allowance::new(begin, 1_000, 10);
        assert_eq!(allowance.take(begin, 10), 10);
        assert_eq!(allowance.take(begin - Duration::from_secs(1), 10), 0);
        assert_eq!(allowance.take(begin - Duration::from_secs(1), 10), 0);
    }
}
