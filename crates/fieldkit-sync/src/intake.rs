//! The intake: ops that came, waiting until they are known to be their authors'.
//!
//! Promises: an op leaves only below an end that its author signed, when its author was admitted, and after every cause
//! of it that the peer brought. What waits is bounded. Ops are told apart by hash; those held here already are passed over.
//! Absent on purpose: frames (`session`, `bundle`), and waiting for causes that nobody brings: a peer that may not see all
//! spaces has ops whose causes it never had.

use crate::fault::Fault;
use crate::shelf::Shelf;
use crate::tip::Tip;
use fieldkit_core::body::{Body, ReplicaAdmitted, StreamOpened};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use fieldkit_core::op::SealedOp;
use std::collections::{BTreeMap, BTreeSet};

/// Ops to make durable, with the signed ends that vouch for them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Take {
    /// Causes first, branches too. Ops that another exchange brought meanwhile may be among them.
    pub ops: Vec<SealedOp>,
    /// Ends of their streams. Kept beside the ops, they let them be given on.
    pub heads: Vec<Tip>,
    /// Streams that part with these ops, and where.
    pub forks: BTreeMap<StreamId, u64>,
}

/// Ops that wait for their proof.
#[derive(Debug, Default)]
pub struct Intake {
    /// In order of arrival.
    waiting: Vec<SealedOp>,
    /// The same by hash: the hash before, and whether an end vouches for it.
    known: BTreeMap<Hash, (Hash, bool)>,
    /// Hashes by position.
    at: BTreeMap<OpId, Vec<Hash>>,
    /// Ends that no op has reached.
    unreached: Vec<Tip>,
    /// Ends that an op has reached which still waits.
    reached: Vec<Tip>,
    /// Authors and spaces of streams, as their ends say.
    streams: BTreeMap<StreamId, (ReplicaKey, Space)>,
    /// Causes that did not come before what they caused.
    absent: BTreeSet<Hash>,
    /// Replicas admitted by ops that were given on.
    admitted: BTreeSet<ReplicaKey>,
    /// Streams that were said to part.
    parted: BTreeSet<StreamId>,
    forks: BTreeMap<StreamId, u64>,
    bytes: usize,
}

impl Intake {
    /// Expects ops below these ends, which are signed.
    pub fn expect(&mut self, tips: impl IntoIterator<Item = Tip>) {
        for tip in tips {
            self.streams.insert(tip.stream(), (tip.replica, tip.space.clone()));
            self.unreached.push(tip);
        }
    }

    /// Takes in one op of a stream that is expected; one that is here already changes nothing.
    pub fn add(&mut self, shelf: &impl Shelf, op: SealedOp, bytes_max: usize) -> Result<(), Fault> {
        let (id, prev) = (op.id(), op.op.prev);
        let Some((replica, space)) = self.streams.get(&id.stream) else {
            return Err(Fault::Unasked("an op of a stream that nobody wanted"));
        };
        if self.known.contains_key(&op.hash) || shelf.holds(id, &op.hash) {
            return Ok(());
        }
        if self.absent.contains(&op.hash) {
            return Err(Fault::Causes(id));
        }
        if id.seq == 1 {
            let opened = Body::open(op.op.kind, &op.op.body);
            let bound = |opened: &StreamOpened| opened.replica == *replica && opened.space == *space;
            if !matches!(&opened, Ok(Body::StreamOpened(opened)) if bound(opened)) || prev != Hash::default() {
                return Err(Fault::Unbound(id.stream));
            }
        } else if !self.is_here(shelf, OpId { seq: id.seq - 1, ..id }, &prev) {
            return Err(Fault::Gap(id));
        }
        let absent = op.op.deps.iter().filter(|dep| !self.is_here(shelf, dep.op, &dep.hash)).map(|dep| dep.hash);
        let absent: Vec<Hash> = absent.collect();
        self.absent.extend(absent);
        self.bytes += op.bytes.len();
        if self.bytes > bytes_max {
            return Err(Fault::Unproven(self.bytes));
        }
        self.note_fork(shelf, id, &op.hash);
        self.known.insert(op.hash, (prev, false));
        self.at.entry(id).or_default().push(op.hash);
        self.waiting.push(op);
        Ok(())
    }

    /// Gives on what is proven now; `None` where it is nothing.
    pub fn release(&mut self, shelf: &impl Shelf) -> Option<Take> {
        if !self.prove() {
            return None;
        }
        let free = self.free(shelf);
        if free.is_empty() {
            return None;
        }
        let mut take = Take::default();
        for op in std::mem::take(&mut self.waiting) {
            if !free.contains(&op.hash) {
                self.waiting.push(op);
                continue;
            }
            self.bytes -= op.bytes.len();
            self.known.remove(&op.hash);
            if let Some(there) = self.at.get_mut(&op.id()) {
                there.retain(|hash| *hash != op.hash);
            }
            if self.forks.get(&op.op.stream) == Some(&op.op.seq) {
                self.forks.remove(&op.op.stream);
                self.parted.insert(op.op.stream);
                take.forks.insert(op.op.stream, op.op.seq);
            }
            take.ops.push(op);
        }
        self.at.retain(|_, there| !there.is_empty());
        let (done, waiting) =
            std::mem::take(&mut self.reached).into_iter().partition(|tip| free.contains(&tip.head.hash));
        (take.heads, self.reached) = (done, waiting);
        Some(take)
    }

    /// Checks that nothing is left, and forgets what was expected. To be asked once all came and is durable.
    pub fn finish(&mut self, shelf: &impl Shelf) -> Result<(), Fault> {
        let stranger = |op: &SealedOp| {
            let proven = self.known.get(&op.hash).is_some_and(|(_, proven)| *proven);
            let author = self.streams.get(&op.op.stream).map(|(replica, _)| *replica);
            author.filter(|author| proven && !self.is_admitted(shelf, author))
        };
        if let Some(stranger) = self.waiting.iter().find_map(stranger) {
            return Err(Fault::Stranger(stranger));
        }
        if !self.waiting.is_empty() {
            return Err(Fault::Unsigned(self.waiting.len()));
        }
        let lacking = self.unreached.iter().find(|tip| !shelf.holds(tip.op(), &tip.head.hash));
        if let Some(tip) = lacking {
            return Err(Fault::NotBrought(tip.op()));
        }
        self.unreached.clear();
        self.streams.clear();
        self.absent.clear();
        Ok(())
    }

    /// Whether ops of a stream are expected.
    pub fn expects(&self, stream: &StreamId) -> bool {
        self.streams.contains_key(stream)
    }

    fn is_here(&self, shelf: &impl Shelf, op: OpId, hash: &Hash) -> bool {
        self.known.contains_key(hash) || shelf.holds(op, hash)
    }

    fn is_admitted(&self, shelf: &impl Shelf, replica: &ReplicaKey) -> bool {
        self.admitted.contains(replica) || shelf.admitted(replica)
    }

    /// Notes where a stream parts: another op stands in this place, and there is one op only in the place before.
    fn note_fork(&mut self, shelf: &impl Shelf, id: OpId, hash: &Hash) {
        let others = |id: OpId| {
            let mut there: BTreeSet<Hash> = shelf.hashes(id).into_iter().collect();
            there.extend(self.at.get(&id).into_iter().flatten());
            there
        };
        let parts = others(id).iter().any(|other| other != hash);
        if parts
            && !self.parted.contains(&id.stream)
            && (id.seq == 1 || others(OpId { seq: id.seq - 1, ..id }).len() == 1)
        {
            let first = self.forks.entry(id.stream).or_insert(id.seq);
            *first = id.seq.min(*first);
        }
    }

    /// Marks what lies below ends that were reached; whether there was any.
    fn prove(&mut self) -> bool {
        let before = self.unreached.len();
        for tip in std::mem::take(&mut self.unreached) {
            if !self.at.get(&tip.op()).is_some_and(|there| there.contains(&tip.head.hash)) {
                self.unreached.push(tip);
                continue;
            }
            let mut at = tip.head.hash;
            while let Some((prev, proven)) = self.known.get_mut(&at).filter(|(_, proven)| !*proven) {
                *proven = true;
                at = *prev;
            }
            self.reached.push(tip);
        }
        self.unreached.len() < before
    }

    /// What may go: vouched for, by an author admitted at the latest by what goes along, after its causes.
    fn free(&mut self, shelf: &impl Shelf) -> BTreeSet<Hash> {
        let mut free: BTreeSet<Hash> = BTreeSet::new();
        for op in &self.waiting {
            let (_, proven) = self.known.get(&op.hash).copied().unwrap_or_default();
            if proven && self.causes_wait(op).all(|cause| free.contains(&cause)) {
                free.insert(op.hash);
            }
        }
        // Without a stranger's ops those that they caused stay too, and among them may be an admission. What goes ends with
        // a signed end, so that nothing is stored that could not be given on.
        loop {
            let admitted = self.admitted_by(shelf, &free);
            let covered = self.covered(&free);
            let mut left: BTreeSet<Hash> = BTreeSet::new();
            for op in self.waiting.iter().filter(|op| covered.contains(&op.hash)) {
                let author = self.streams.get(&op.op.stream).map(|(replica, _)| replica);
                let known = author.is_some_and(|author| admitted.contains(author) || self.is_admitted(shelf, author));
                if known && self.causes_wait(op).all(|cause| left.contains(&cause)) {
                    left.insert(op.hash);
                }
            }
            if left.len() == free.len() {
                self.admitted.extend(admitted);
                return left;
            }
            free = left;
        }
    }

    /// What waits below ends that are among `free` themselves.
    fn covered(&self, free: &BTreeSet<Hash>) -> BTreeSet<Hash> {
        let mut covered = BTreeSet::new();
        for tip in self.reached.iter().filter(|tip| free.contains(&tip.head.hash)) {
            let mut at = tip.head.hash;
            while let Some((prev, _)) = self.known.get(&at).filter(|_| !covered.contains(&at)) {
                covered.insert(at);
                at = *prev;
            }
        }
        covered
    }

    /// What caused an op and waits as well.
    fn causes_wait<'a>(&'a self, op: &'a SealedOp) -> impl Iterator<Item = Hash> + 'a {
        let causes = op.op.deps.iter().map(|dep| dep.hash).chain([op.op.prev]);
        causes.filter(|cause| self.known.contains_key(cause))
    }

    /// Replicas that ops among `free` admit.
    fn admitted_by(&self, shelf: &impl Shelf, free: &BTreeSet<Hash>) -> BTreeSet<ReplicaKey> {
        let of_organisation = |op: &&SealedOp| {
            let space = self.streams.get(&op.op.stream).map(|(_, space)| space);
            free.contains(&op.hash) && space == Some(&Space::ORGANISATION)
        };
        let mut open: Vec<ReplicaAdmitted> =
            self.waiting.iter().filter(of_organisation).filter_map(admission).collect();
        let mut admitted = BTreeSet::new();
        loop {
            let before = open.len();
            open.retain(|one| {
                let by = ReplicaKey(one.admitted_by);
                let may = by.0 == shelf.organisation() || admitted.contains(&by) || self.is_admitted(shelf, &by);
                if may {
                    admitted.insert(one.replica);
                }
                !may
            });
            if open.len() == before {
                return admitted;
            }
        }
    }
}

/// What an op says about an admission, if whoever it names did sign it.
pub fn admission(op: &SealedOp) -> Option<ReplicaAdmitted> {
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::ReplicaAdmitted(admitted)) if admitted.is_signed() => Some(admitted),
        Ok(_) | Err(_) => None,
    }
}
