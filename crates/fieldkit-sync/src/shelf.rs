//! The shelf: what an exchange reads of a journal. Whoever stores ops implements it.
//!
//! Promises: `lacking` finds exactly the ops that a peer has not, in work proportional to them and to how far branches
//! lie apart. Absent on purpose: writing. What an exchange brings leaves it as an output.

use crate::tip::{Mark, Tip};
use fieldkit_core::codec::record;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::op::Head;
use std::collections::{BTreeMap, BTreeSet};

/// Ops as a journal has them, for reading. All answers are of what is durable. A disk that cannot be read is the shell's to
/// notice: it ends the session, whatever was answered.
pub trait Shelf {
    /// The organisation's public key, which is known before its founding is.
    fn organisation(&self) -> [u8; 32];
    /// The farthest signed ends, one for each branch of each stream. Together they are closed: what an op below one of
    /// them was caused by lies below one of them too, as it does where all streams are signed before an exchange.
    fn tips(&self) -> Vec<Tip>;
    /// Hashes of the ops that stand at this position, one for each branch.
    fn hashes(&self, op: OpId) -> Vec<Hash>;
    /// Whether a replica was admitted, by an op on whichever branch.
    fn admitted(&self, replica: &ReplicaKey) -> bool;
    /// Ops that `asks` want, causes first, from `from` on: 0, or what the parcel before said. Stops before `bytes_max`
    /// bytes are passed, but not before one op where one is left.
    fn missing(&self, asks: &[Ask], from: u64, bytes_max: usize) -> Parcel;

    /// Whether this very op is here.
    fn holds(&self, op: OpId, hash: &Hash) -> bool {
        self.hashes(op).contains(hash)
    }
    /// The whole hash of an op that a peer speaks of, where it is here.
    fn find(&self, stream: StreamId, mark: &Mark) -> Option<Hash> {
        self.hashes(OpId { stream, seq: mark.seq }).into_iter().find(|hash| hash.half() == mark.half)
    }
}

record! {
    /// Ops of one stream that a peer has not: at or below one of `tips`, and neither at nor below one of `common`.
    pub struct Ask {
        /// The stream.
        pub stream: StreamId,
        /// How far they go.
        pub tips: Vec<Head>,
        /// What the peer has. Every one of them is on the shelf.
        pub common: Vec<Head>,
    }
}

/// Some of the missing ops.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Parcel {
    /// Their bytes.
    pub ops: Vec<Vec<u8>>,
    /// Earlier ends of their streams, where they are kept: with them a peer can take ops before the last ones came.
    pub heads: Vec<Tip>,
    /// Where the next parcel starts; `None` where there is none.
    pub next: Option<u64>,
}

/// Hashes of the ops that `ask` wants, on whichever branches they stand. `before` loads the hash of the op before one.
pub fn lacking(ask: &Ask, before: impl Fn(OpId, &Hash) -> Option<Hash>) -> BTreeSet<Hash> {
    // The farthest first, down all branches at once, until all that is left is known to the peer.
    let mut ends: BTreeMap<(u64, Hash), bool> = BTreeMap::new();
    let tips = ask.tips.iter().map(|head| (head, false));
    for (head, known) in tips.chain(ask.common.iter().map(|head| (head, true))) {
        *ends.entry((head.seq, head.hash)).or_default() |= known;
    }
    let mut lacking = BTreeSet::new();
    let mut unknown = ends.values().filter(|known| !**known).count();
    while unknown > 0 {
        let Some(((seq, hash), known)) = ends.pop_last() else { break };
        if !known {
            unknown -= 1;
            lacking.insert(hash);
        }
        let Some(down) = before(OpId { stream: ask.stream, seq }, &hash).filter(|_| seq > 1) else { continue };
        match ends.get_mut(&(seq - 1, down)) {
            None => {
                ends.insert((seq - 1, down), known);
                unknown += usize::from(!known);
            }
            Some(there) if known && !*there => {
                *there = true;
                unknown -= 1;
            }
            Some(_) => {}
        }
    }
    lacking
}

/// Whether `low` is `high`, or lies below it on its branch. `before` loads the hash of the op before one.
pub fn is_below(stream: StreamId, low: &Head, high: &Head, before: impl Fn(OpId, &Hash) -> Option<Hash>) -> bool {
    let mut at = *high;
    while at.seq > low.seq {
        let Some(hash) = before(OpId { stream, seq: at.seq }, &at.hash) else { return false };
        at = Head { seq: at.seq - 1, hash };
    }
    at == *low
}

/// What is said of a stream to a peer that may have another branch: its ends, and ops below them at distances that
/// double, so that the parting point is found in one step and at most twice the way to it is walked.
pub(crate) fn samples(shelf: &impl Shelf, stream: StreamId, ends: &[Head]) -> BTreeSet<Mark> {
    let mut marks = BTreeSet::new();
    for end in ends {
        marks.insert(Mark::of(end.seq, &end.hash));
        let mut back = 1u64;
        while back < end.seq {
            let seq = end.seq - back;
            marks.extend(shelf.hashes(OpId { stream, seq }).iter().map(|hash| Mark::of(seq, hash)));
            back = back.saturating_mul(2);
        }
    }
    marks
}
