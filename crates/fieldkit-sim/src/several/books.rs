//! A kit's journal as an exchange reads it: what is durable, branches of forked streams too.
//!
//! Promises: as `fieldkit_sync::shelf` asks; a limit on a stream keeps what lies behind it back.
//! Absent on purpose: speed over long journals, which no world has.

use crate::disk::Device;
use crate::kit::Kit;
use crate::planted::Planted;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Head, SealedOp};
use fieldkit_sync::shelf::{Ask, Parcel, Shelf, is_below, lacking};
use fieldkit_sync::tip::Tip;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A kit's journal as an exchange reads it.
pub(super) struct Books<'a> {
    device: &'a Device,
    ledger: &'a Ledger,
    limits: BTreeMap<StreamId, u64>,
    /// Whether an op is held where another one stands in its place.
    by_seq: bool,
}

impl<'a> Books<'a> {
    /// Of a kit that runs, as far as `peer` may be told.
    pub fn of(kit: &'a Kit, peer: Option<ReplicaKey>, planted: Option<Planted>) -> Option<Self> {
        let engine = kit.engine.as_ref()?;
        let limits = peer.map(|peer| engine.tellable(&peer)).unwrap_or_default();
        let by_seq = planted == Some(Planted::DedupeBySeq);
        Some(Books { device: &kit.journal, ledger: engine.ledger(), limits, by_seq })
    }

    fn before(&self, id: OpId, hash: &Hash) -> Option<Hash> {
        let main = self.device.find(&id).map(|(_, op)| op).filter(|op| op.hash == *hash);
        let op = main.or_else(|| self.device.branches.iter().map(|(_, op)| op).find(|op| op.hash == *hash));
        op.map(|op| op.op.prev)
    }

    fn is_parted(&self, stream: &StreamId) -> bool {
        self.device.branches.iter().any(|(_, op)| op.op.stream == *stream)
    }
}

impl Shelf for Books<'_> {
    fn organisation(&self) -> [u8; 32] {
        self.ledger.organisation.as_ref().map(|(_, founded)| founded.key).unwrap_or_default()
    }

    fn tips(&self) -> Vec<Tip> {
        let before = |op: OpId, hash: &Hash| self.before(op, hash);
        let mut tips: BTreeMap<StreamId, Vec<Tip>> = BTreeMap::new();
        for (end, signed) in self.device.heads.iter().rev() {
            let limit = self.limits.get(&signed.stream).copied().unwrap_or(u64::MAX);
            let Some(known) = self.ledger.streams.get(&signed.stream) else { continue };
            let (Some(replica), Some(space)) = (known.replica, known.space.clone()) else { continue };
            if *end > self.device.synced || signed.head.seq > limit {
                continue;
            }
            let known = tips.entry(signed.stream).or_default();
            let parted = self.is_parted(&signed.stream);
            let told = |tip: &Tip| match parted {
                false => tip.head.seq >= signed.head.seq,
                true => is_below(signed.stream, &signed.head, &tip.head, before),
            };
            if !known.iter().any(told) {
                if parted {
                    known.retain(|tip| !is_below(signed.stream, &tip.head, &signed.head, before));
                } else {
                    known.clear();
                }
                known.push(Tip { replica, space, head: signed.head, signature: signed.signature });
            }
        }
        tips.into_values().flatten().collect()
    }

    fn hashes(&self, op: OpId) -> Vec<Hash> {
        let main = self.device.find(&op).filter(|(row, _)| *row < self.device.synced).map(|(_, op)| op.hash);
        let branches =
            self.device.branches.iter().filter(|(end, known)| *end <= self.device.synced && known.id() == op);
        main.into_iter().chain(branches.map(|(_, op)| op.hash)).collect()
    }

    fn holds(&self, op: OpId, hash: &Hash) -> bool {
        let there = self.hashes(op);
        there.contains(hash) || (self.by_seq && !there.is_empty())
    }

    fn admitted(&self, replica: &ReplicaKey) -> bool {
        self.ledger.replicas.contains_key(replica)
    }

    fn missing(&self, asks: &[Ask], from: u64, bytes_max: usize) -> Parcel {
        let wanted: BTreeMap<StreamId, BTreeSet<Hash>> = asks
            .iter()
            .filter(|ask| self.is_parted(&ask.stream))
            .map(|ask| (ask.stream, lacking(ask, |id, hash| self.before(id, hash))))
            .collect();
        let farthest = |heads: &[Head]| heads.iter().map(|head| head.seq).max().unwrap_or(0);
        let spans: BTreeMap<StreamId, (u64, u64)> =
            asks.iter().map(|ask| (ask.stream, (farthest(&ask.common), farthest(&ask.tips)))).collect();
        let is_wanted = |op: &SealedOp| match (wanted.get(&op.op.stream), spans.get(&op.op.stream)) {
            (Some(hashes), _) => hashes.contains(&op.hash),
            (None, Some((behind, to))) => (behind + 1..=*to).contains(&op.op.seq),
            (None, None) => false,
        };
        // Depth puts causes first, where ops of branches stand apart from the others.
        let branches = self.device.branches.iter().filter(|(end, _)| *end <= self.device.synced).map(|(_, op)| op);
        let mut rows: Vec<&Arc<SealedOp>> = self.device.ops[..self.device.synced].iter().collect();
        if !self.device.branches.is_empty() {
            rows.extend(branches);
            rows.sort_by_key(|op| (op.op.lamport, op.op.stream, op.op.seq, op.hash));
        }
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let (mut parcel, mut bytes) = (Parcel::default(), 0);
        for (row, op) in rows.iter().enumerate().skip(from).filter(|(_, op)| is_wanted(op)) {
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
