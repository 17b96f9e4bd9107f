//! Forks: a replica that was copied, or put back without noticing, writes two histories from one position on.
//!
//! Promises: `folded` is a function of the set of ops alone, whatever their order and however often each stands there.
//! Ops are told apart by hash, never by position. Of two branches the one whose first op has the smaller hash is folded
//! as the stream; the ops of all others are counted — money, units and rights — and the fork is named.
//! Absent on purpose: noticing a fork among stored ops (whoever stores them compares hashes, then folds anew with this).

use crate::id::{Hash, StreamId};
use crate::ledger::Ledger;
use crate::op::SealedOp;
use std::collections::{BTreeMap, BTreeSet};

/// Ops of both branches, as they must be folded.
#[derive(Debug, Default)]
struct Branches<'a> {
    /// By hash.
    ops: BTreeMap<Hash, &'a SealedOp>,
    /// Ops by what they continue.
    after: BTreeMap<(StreamId, Hash), Vec<Hash>>,
    /// Ops of the main branches.
    main: BTreeSet<Hash>,
    /// Where streams part.
    forks: BTreeMap<StreamId, u64>,
}

/// The ledger of a set of ops. What does not continue its stream is left out; a cause that is not there is not waited for.
pub fn folded<'a>(ops: impl IntoIterator<Item = &'a SealedOp>) -> Ledger {
    let branches = Branches::of(ops);
    let mut ledger = Ledger::default();
    for (stream, seq) in &branches.forks {
        ledger.name_fork(*stream, *seq);
    }
    for op in branches.in_order() {
        if branches.main.contains(&op.hash) {
            ledger.apply(op);
        } else {
            ledger.apply_branch(op);
        }
    }
    ledger
}

/// Ops of `ops` that stand on another branch than the one that is folded as their stream, by hash.
pub fn beside<'a>(ops: impl IntoIterator<Item = &'a SealedOp>) -> BTreeSet<Hash> {
    let branches = Branches::of(ops);
    branches.ops.into_keys().filter(|hash| !branches.main.contains(hash)).collect()
}

/// Streams with two branches among `ops`, and where they part.
pub fn forks<'a>(ops: impl IntoIterator<Item = &'a SealedOp>) -> BTreeMap<StreamId, u64> {
    Branches::of(ops).forks
}

impl<'a> Branches<'a> {
    fn of(ops: impl IntoIterator<Item = &'a SealedOp>) -> Self {
        let mut found = Branches::default();
        for op in ops {
            if found.ops.insert(op.hash, op).is_none() {
                found.after.entry((op.op.stream, op.op.prev)).or_default().push(op.hash);
            }
        }
        let streams: BTreeSet<StreamId> = found.ops.values().map(|op| op.op.stream).collect();
        for stream in streams {
            found.choose(stream);
        }
        found
    }

    /// Walks a stream from its beginning, always by the smaller hash, and notes where it parts first.
    fn choose(&mut self, stream: StreamId) {
        let (mut at, mut seq) = (Hash::default(), 1);
        loop {
            let next = self.after.get(&(stream, at)).into_iter().flatten();
            let next: BTreeSet<Hash> = next.filter(|hash| self.ops[*hash].op.seq == seq).copied().collect();
            if next.len() > 1 {
                self.forks.entry(stream).or_insert(seq);
            }
            let Some(first) = next.first() else { return };
            self.main.insert(*first);
            (at, seq) = (*first, seq.saturating_add(1));
        }
    }

    /// Causes before what they caused, and otherwise by depth, stream, position and hash.
    fn in_order(&self) -> Vec<&'a SealedOp> {
        let mut missing: BTreeMap<Hash, usize> = BTreeMap::new();
        let mut waits: BTreeMap<Hash, Vec<Hash>> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        let key = |op: &SealedOp| (op.op.lamport, op.op.stream, op.op.seq, op.hash);
        for op in self.ops.values() {
            let before = (op.op.seq > 1).then_some(op.op.prev);
            let deps = op.op.deps.iter().map(|dep| dep.hash).filter(|cause| self.ops.contains_key(cause));
            let causes: BTreeSet<Hash> = deps.chain(before).collect();
            if causes.is_empty() {
                ready.insert(key(op));
            }
            missing.insert(op.hash, causes.len());
            causes.into_iter().for_each(|cause| waits.entry(cause).or_default().push(op.hash));
        }
        let mut ordered = Vec::with_capacity(self.ops.len());
        while let Some((_, _, _, hash)) = ready.pop_first() {
            ordered.push(self.ops[&hash]);
            for waiting in waits.remove(&hash).unwrap_or_default() {
                let Some(left) = missing.get_mut(&waiting) else { continue };
                *left -= 1;
                if *left == 0 {
                    ready.insert(key(self.ops[&waiting]));
                }
            }
        }
        ordered
    }
}
