//! A lease: rights of a soft pool that another replica has for a time.
//!
//! Promises: the fold knows no clock. A lease begins with the op that gives it and ends with the op of its giver that says
//! so; what lies between is decided by whoever has a clock that may be trusted. Its units are known by their names, so that one that a
//! buyer brought back to the holder is still of the lease.
//! Absent on purpose: clocks (`fieldkit-engine`), and who may lease what (`decide`).

use crate::body::UnitRange;
use crate::codec::record;
use crate::id::{PoolId, ReplicaKey};
use crate::pool::Pool;
use crate::rights::RangeSet;

/// Shortest term of a lease.
pub const TERM_MS_MIN: u64 = 120_000;
/// Longest term of a lease: a day at a market.
pub const TERM_MS_MAX: u64 = 43_200_000;
/// By how much a holder stops before the end of a term, and a giver waits after it. A clock that a time service pulls may be
/// off by 500 parts in a million, which is 21.6 s in the longest term; a confirmed wall clock by much less than the rest.
pub const MARGIN_MS: u64 = 30_000;

record! {
    /// A lease that is not over.
    pub struct Lease {
        /// The SKU, in words.
        pub sku: String,
        /// Who gave it.
        pub from: ReplicaKey,
        /// Who may use its units.
        pub to: ReplicaKey,
        /// Which, as they were given.
        pub ranges: Vec<UnitRange>,
        /// For how long.
        pub term_ms: u64,
        /// The giver's wall clock when it was given, where a second source had confirmed it.
        pub confirmed_ms: Option<u64>,
        /// The stamp of the op that gave it, for people.
        pub given_ms: u64,
        /// The newest position of the holder's stream that the giver had seen: the term begins after it was written.
        pub seen: u64,
    }
}

impl Lease {
    /// Units that the holder has of it, one generation or another on.
    pub fn held(&self, id: PoolId, pool: &Pool) -> RangeSet {
        let mut held = RangeSet::default();
        let given: Vec<&UnitRange> = self.ranges.iter().filter(|range| range.pool == id).collect();
        if given.is_empty() {
            return held;
        }
        for known in pool.usable(id, &self.to).iter() {
            let since = given.iter().filter(|range| range.generation <= known.generation);
            let parts = since.filter_map(|range| known.overlap(&UnitRange { generation: known.generation, ..**range }));
            parts.for_each(|part| held.insert(&part));
        }
        held
    }
}
