//! Disks: journal and black box as ops that are written first and synced later, and the state as rows behind them.
//!
//! Promises: a turn is on a device whole or not at all, as a record with a checksum and a database transaction are; what
//! was synced stays, what was not may be lost from its end; journal and box of one kit lose each by itself.
//! Absent on purpose: bytes and checksums, which the storage's own tests tear apart.

use crate::random::Random;
use crate::storage::Part;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::{Head, Key, SealedOp};
use fieldkit_core::order::Order;
use fieldkit_engine::Known;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many turns a disk forgets at most: what waits in its cache.
const LATE_TURNS: usize = 4;

/// A signed end as a device keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The stream.
    pub stream: StreamId,
    /// Its end.
    pub head: Head,
    /// The replica's signature.
    pub signature: [u8; 64],
}

/// One device: the ops of turns, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// The ops.
    pub ops: Vec<Arc<SealedOp>>,
    /// Where each stands.
    at: BTreeMap<OpId, usize>,
    /// Ops of other branches of forked streams, each with the number of ops before it.
    pub branches: Vec<(usize, Arc<SealedOp>)>,
    /// Signed ends, each with the number of ops before it.
    pub heads: Vec<(usize, SignedHead)>,
    /// Where turns end that are not synced.
    ends: Vec<usize>,
    /// Where turns end, synced or not.
    turns: Vec<usize>,
    /// How many ops are synced.
    pub synced: usize,
}

impl Device {
    /// One that holds this much, all of it synced.
    pub fn holding(part: Part) -> Self {
        let mut device = Device::default();
        device.write(&part.ops, &part.heads);
        device.write_branches(&part.branches);
        device.sync_all();
        device
    }

    /// What came behind so many ops, branches and heads.
    pub fn behind(&self, (ops, branches, heads): (usize, usize, usize)) -> Part {
        Part {
            ops: self.ops[ops..].to_vec(),
            branches: self.branches[branches..].iter().map(|(_, op)| op.clone()).collect(),
            heads: self.heads[heads..].iter().map(|(_, head)| head.clone()).collect(),
        }
    }

    /// How many ops, branches and heads it has.
    pub fn size(&self) -> (usize, usize, usize) {
        (self.ops.len(), self.branches.len(), self.heads.len())
    }

    /// Writes a turn; it is not synced.
    pub fn write(&mut self, ops: &[Arc<SealedOp>], heads: &[SignedHead]) {
        ops.iter().for_each(|op| self.push(op.clone()));
        let end = self.ops.len();
        self.heads.extend(heads.iter().map(|head| (end, head.clone())));
        self.ends.push(end);
        self.turns.push(end);
    }

    /// Forgets what is here of other branches of these streams.
    pub fn forget_branches(&mut self, of: &[Arc<SealedOp>]) {
        self.branches.retain(|(_, known)| !of.iter().any(|op| op.op.stream == known.op.stream));
    }

    /// Writes ops of other branches beside the last turn.
    pub fn write_branches(&mut self, branches: &[Arc<SealedOp>]) {
        let end = self.ops.len();
        for op in branches {
            if !self.branches.iter().any(|(_, known)| known.hash == op.hash) {
                self.branches.push((end, op.clone()));
            }
        }
    }

    fn push(&mut self, op: Arc<SealedOp>) {
        self.at.insert(op.id(), self.ops.len());
        self.ops.push(op);
    }

    /// The op at a position of the main branch, and its row.
    pub fn find(&self, id: &OpId) -> Option<(usize, &Arc<SealedOp>)> {
        let row = *self.at.get(id)?;
        Some((row, &self.ops[row]))
    }

    /// Whether this very op is here, on whichever branch.
    pub fn holds(&self, op: &SealedOp) -> bool {
        self.find(&op.id()).is_some_and(|(_, known)| known.hash == op.hash)
            || self.branches.iter().any(|(_, known)| known.hash == op.hash)
    }

    /// Everything up to `end` is synced.
    pub fn sync(&mut self, end: usize) {
        self.synced = self.synced.max(end.min(self.ops.len()));
        self.ends.retain(|known| *known > self.synced);
    }

    /// Everything written is synced.
    pub fn sync_all(&mut self) {
        self.sync(self.ops.len());
    }

    /// What was not synced is lost from some turn on; how many ops that are.
    pub fn lose(&mut self, random: &mut Random) -> usize {
        let kept = random.place(self.ends.len() + 1);
        let end = kept.checked_sub(1).map_or(self.synced, |last| self.ends[last]);
        self.cut(end)
    }

    /// Nothing that was not synced was written.
    pub fn lose_all(&mut self) -> usize {
        self.cut(self.synced)
    }

    /// What stands behind so many ops is not there any more.
    pub fn forget(&mut self, row: usize) {
        self.cut(row.min(self.ops.len()));
    }

    /// Where the turn begins that answered a command, if it is one of the last.
    pub fn late_turn_of(&self, key: &Key) -> Option<usize> {
        let answers = |op: &Arc<SealedOp>| op.op.key.as_ref().is_some_and(|own| own.key == *key);
        let row = self.ops.iter().rposition(answers)?;
        self.turns.iter().rev().take(LATE_TURNS).find(|end| **end <= row).copied()
    }

    /// The last turn was being written: it may be torn, and counts for nothing then.
    pub fn tear(&mut self, random: &mut Random) -> usize {
        let torn = !self.ends.is_empty() && random.chance(500);
        let before = self.ends.iter().rev().nth(1).copied().unwrap_or(self.synced);
        if torn { self.cut(before) } else { 0 }
    }

    fn cut(&mut self, end: usize) -> usize {
        let lost = self.ops.len() - end;
        for op in &self.ops[end..] {
            self.at.remove(&op.id());
        }
        self.ops.truncate(end);
        self.branches.retain(|(at, _)| *at <= end);
        self.heads.retain(|(at, _)| *at <= end);
        self.ends.clear();
        self.turns.retain(|known| *known <= end);
        self.synced = end;
        lost
    }

    /// The hash of the newest op of `stream` that is synced, and its position.
    pub fn synced_head(&self, stream: &StreamId) -> Option<Head> {
        let newest = self.ops[..self.synced].iter().rev().find(|op| op.op.stream == *stream)?;
        Some(Head { seq: newest.op.seq, hash: newest.hash })
    }

    /// Ends of all streams.
    fn ends_of_streams(&self) -> BTreeMap<StreamId, Head> {
        let head = |op: &Arc<SealedOp>| (op.op.stream, Head { seq: op.op.seq, hash: op.hash });
        self.ops.iter().map(head).collect()
    }

    /// Takes over what `other` has more, as far as it continues the chains; `Err` names an op that both have differently.
    /// Other branches stay where they are: a box has none, and other kits keep them.
    pub fn adopt(&mut self, other: &Device) -> Result<usize, OpId> {
        let same = self.ops.iter().zip(&other.ops).take_while(|(one, two)| one.hash == two.hash).count();
        if same == other.ops.len() {
            return Ok(0);
        }
        let own: BTreeMap<OpId, Hash> = self.ops[same..].iter().map(|op| (op.id(), op.hash)).collect();
        let (mut heads, mut adopted) = (self.ends_of_streams(), 0);
        for op in &other.ops[same..] {
            let head = heads.entry(op.op.stream).or_default();
            if op.op.seq <= head.seq {
                // What stands before the part that differs was compared already.
                if own.get(&op.id()).is_some_and(|hash| *hash != op.hash) {
                    return Err(op.id());
                }
            } else if op.follows(head) {
                *head = Head { seq: op.op.seq, hash: op.hash };
                self.push(op.clone());
                adopted += 1;
            } else if op.op.seq == head.seq + 1 {
                return Err(op.id());
            }
        }
        let end = self.ops.len();
        for (_, signed) in &other.heads {
            let known = |(_, own): &(usize, SignedHead)| (own.stream, own.head) == (signed.stream, signed.head);
            let op = self.find(&OpId { stream: signed.stream, seq: signed.head.seq });
            if op.is_some_and(|(_, op)| op.hash == signed.head.hash) && !self.heads.iter().any(known) {
                self.heads.push((end, signed.clone()));
            }
        }
        self.sync_all();
        Ok(adopted)
    }
}

/// What `state.db` holds: rows behind the journal, and now and then the whole ledger.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Ops of the journal that the snapshot holds, and the hash of the last of them.
    pub row: usize,
    /// That hash.
    pub hash: Hash,
    /// The ledger's bytes there.
    pub snapshot: Vec<u8>,
    /// Orders, newer than the snapshot perhaps.
    pub orders: BTreeMap<OpId, Arc<Order>>,
    /// Command keys, newer than the snapshot perhaps, with the op that answered.
    pub keys: BTreeMap<Key, (Known, Arc<SealedOp>)>,
}

impl State {
    /// Whether the snapshot belongs to this journal.
    pub fn fits(&self, journal: &Device) -> bool {
        self.row > 0 && journal.ops.get(self.row - 1).is_some_and(|op| op.hash == self.hash)
    }
}
