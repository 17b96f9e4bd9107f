//! A shelf in memory: for replicas that keep no files, and for worlds that are played.
//!
//! Promises: ops in the order they were put, found by position and hash; of the signed ends the farthest of each branch.
//! Absent on purpose: checks. What is put here was checked by the intake, or was written here.

use crate::intake::{Take, admission};
use crate::shelf::{Ask, Parcel, Shelf, is_below, lacking};
use crate::tip::Tip;
use fieldkit_core::body::{Body, ReplicaAdmitted};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use std::collections::{BTreeMap, BTreeSet};

/// Ops of one organisation.
#[derive(Clone, Debug)]
pub struct Memory {
    organisation: [u8; 32],
    ops: Vec<SealedOp>,
    /// Where the ops of a position stand.
    at: BTreeMap<OpId, Vec<usize>>,
    /// Streams with branches.
    parted: BTreeSet<StreamId>,
    tips: BTreeMap<StreamId, Vec<Tip>>,
    /// Streams of the organisation's space.
    of_organisation: BTreeSet<StreamId>,
    admitted: BTreeSet<ReplicaKey>,
    /// Admissions by replicas that are not admitted themselves.
    open: Vec<ReplicaAdmitted>,
}

impl Memory {
    /// An empty shelf of the organisation with this public key.
    pub fn new(organisation: [u8; 32]) -> Self {
        Memory {
            organisation,
            ops: Vec::new(),
            at: BTreeMap::new(),
            parted: BTreeSet::new(),
            tips: BTreeMap::new(),
            of_organisation: BTreeSet::new(),
            admitted: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    /// The ops, in the order they were put.
    pub fn ops(&self) -> &[SealedOp] {
        &self.ops
    }

    /// Puts an op at the end; `false` where it is here.
    pub fn put(&mut self, op: &SealedOp) -> bool {
        if self.holds(op.id(), &op.hash) {
            return false;
        }
        let there = self.at.entry(op.id()).or_default();
        there.push(self.ops.len());
        if there.len() > 1 {
            self.parted.insert(op.op.stream);
        }
        if op.op.seq == 1
            && let Ok(Body::StreamOpened(opened)) = Body::open(op.op.kind, &op.op.body)
            && opened.space == Space::ORGANISATION
        {
            self.of_organisation.insert(op.op.stream);
        }
        if self.of_organisation.contains(&op.op.stream)
            && let Some(admitted) = admission(op)
        {
            self.open.push(admitted);
            self.admit();
        }
        self.ops.push(op.clone());
        true
    }

    /// Notes a signed end of a stream whose ops are here; ends below it are not told any more.
    pub fn sign(&mut self, tip: Tip) {
        let stream = tip.stream();
        let mut tips = self.tips.remove(&stream).unwrap_or_default();
        if !tips.iter().any(|known| self.is_below(stream, &tip.head, &known.head)) {
            tips.retain(|known| !self.is_below(stream, &known.head, &tip.head));
            tips.push(tip);
        }
        self.tips.insert(stream, tips);
    }

    /// Puts what an exchange brought; gives back the ops that are new.
    pub fn take(&mut self, take: &Take) -> Vec<SealedOp> {
        let new = take.ops.iter().filter(|op| self.put(op)).cloned().collect();
        take.heads.iter().for_each(|tip| self.sign(tip.clone()));
        new
    }

    fn admit(&mut self) {
        loop {
            let before = self.open.len();
            for one in std::mem::take(&mut self.open) {
                if one.admitted_by == self.organisation || self.admitted.contains(&ReplicaKey(one.admitted_by)) {
                    self.admitted.insert(one.replica);
                } else {
                    self.open.push(one);
                }
            }
            if self.open.len() == before {
                return;
            }
        }
    }

    fn row(&self, op: OpId, hash: &Hash) -> Option<&SealedOp> {
        self.at.get(&op)?.iter().map(|row| &self.ops[*row]).find(|there| there.hash == *hash)
    }

    /// Whether `low` is `high` or lies below it; where there are no branches, the position says it.
    fn is_below(&self, stream: StreamId, low: &Head, high: &Head) -> bool {
        let before = |op, hash: &Hash| self.row(op, hash).map(|op| op.op.prev);
        low.seq <= high.seq && (!self.parted.contains(&stream) || is_below(stream, low, high, before))
    }

    /// Whether an op is asked for, and up to where in a stream of one branch.
    fn wanted(&self, ask: &Ask) -> Wanted {
        if self.parted.contains(&ask.stream) {
            return Wanted::These(lacking(ask, |op, hash| self.row(op, hash).map(|op| op.op.prev)));
        }
        let farthest = |heads: &[Head]| heads.iter().map(|head| head.seq).max().unwrap_or(0);
        Wanted::Between(farthest(&ask.common), farthest(&ask.tips))
    }
}

/// Ops of a stream that a peer lacks.
enum Wanted {
    /// Those behind the first position, up to the second.
    Between(u64, u64),
    /// These.
    These(BTreeSet<Hash>),
}

impl Shelf for Memory {
    fn organisation(&self) -> [u8; 32] {
        self.organisation
    }

    fn tips(&self) -> Vec<Tip> {
        self.tips.values().flatten().cloned().collect()
    }

    fn hashes(&self, op: OpId) -> Vec<Hash> {
        self.at.get(&op).into_iter().flatten().map(|row| self.ops[*row].hash).collect()
    }

    fn admitted(&self, replica: &ReplicaKey) -> bool {
        self.admitted.contains(replica)
    }

    fn missing(&self, asks: &[Ask], from: u64, bytes_max: usize) -> Parcel {
        let wanted: BTreeMap<StreamId, Wanted> = asks.iter().map(|ask| (ask.stream, self.wanted(ask))).collect();
        let is_wanted = |op: &SealedOp| match wanted.get(&op.op.stream) {
            None => false,
            Some(Wanted::Between(behind, to)) => (behind + 1..=*to).contains(&op.op.seq),
            Some(Wanted::These(hashes)) => hashes.contains(&op.hash),
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let mut parcel = Parcel::default();
        let mut bytes = 0;
        for (row, op) in self.ops.iter().enumerate().skip(from).filter(|(_, op)| is_wanted(op)) {
            bytes += op.bytes.len();
            if bytes > bytes_max && !parcel.ops.is_empty() {
                parcel.next = Some(row as u64);
                break;
            }
            parcel.ops.push(op.bytes.clone());
        }
        parcel
    }
}
