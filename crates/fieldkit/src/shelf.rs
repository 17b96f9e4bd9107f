//! The shelf of an exchange over the kit's store.
//!
//! Promises: work in proportion to what a peer lacks; one order over rows and branches, causes first. A disk that cannot
//! be read is kept as the fault, and whoever used the shelf asks for it afterwards.
//! Absent on purpose: writing, which is the loop's.

use fieldkit_core::id::{Hash, OpId, ReplicaKey};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Head, SealedOp};
use fieldkit_sqlite::{Position, Store, StoreError};
use fieldkit_sync::intake::admission;
use fieldkit_sync::shelf::{Ask, Parcel, Shelf, is_below, lacking};
use fieldkit_sync::tip::Tip;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What an exchange reads of a kit.
pub struct StoreShelf<'a> {
    store: &'a Store,
    ledger: &'a Ledger,
    organisation: [u8; 32],
    /// Replicas that only a branch admits.
    admitted: BTreeSet<ReplicaKey>,
    fault: RefCell<Option<StoreError>>,
}

/// What comes next of one stream.
enum Next {
    /// The op at a place, and those behind it up to another.
    Run { op: OpId, to: u64 },
    /// One op of a forked stream.
    One { op: OpId, hash: Hash },
}

impl<'a> StoreShelf<'a> {
    /// Over what a kit has. `organisation` is the public key of the one that it belongs to.
    pub fn new(store: &'a Store, ledger: &'a Ledger, organisation: [u8; 32]) -> Result<Self, StoreError> {
        let mut shelf =
            StoreShelf { store, ledger, organisation, admitted: BTreeSet::new(), fault: RefCell::new(None) };
        let mut open: Vec<_> = store.branches()?.iter().filter_map(|(_, op)| admission(op)).collect();
        loop {
            let before = open.len();
            open.retain(|one| {
                let by = ReplicaKey(one.admitted_by);
                let may =
                    by.0 == organisation || shelf.ledger.replicas.contains_key(&by) || shelf.admitted.contains(&by);
                if may {
                    shelf.admitted.insert(one.replica);
                }
                !may
            });
            if open.len() == before {
                return Ok(shelf);
            }
        }
    }

    /// What went wrong while it was read; what it answered since is not to be used.
    pub fn fault(self) -> Option<StoreError> {
        self.fault.into_inner()
    }

    fn read<T: Default>(&self, found: Result<T, StoreError>) -> T {
        found.unwrap_or_else(|error| {
            self.fault.borrow_mut().get_or_insert(error);
            T::default()
        })
    }

    fn try_tips(&self) -> Result<Vec<Tip>, StoreError> {
        let ends = self.store.signed_ends()?;
        let mut tips = Vec::with_capacity(ends.len());
        for (at, end) in ends.iter().enumerate() {
            let Some(known) = self.ledger.streams.get(&end.stream) else { continue };
            let (Some(replica), Some(space)) = (known.replica, known.space.clone()) else { continue };
            let before = |op, hash: &Hash| self.read(self.before(op, hash));
            let mut below = false;
            if self.store.is_parted(&end.stream) {
                for (other, farther) in ends.iter().enumerate().filter(|(_, other)| other.stream == end.stream) {
                    below |= other != at
                        && end.head != farther.head
                        && is_below(end.stream, &end.head, &farther.head, before);
                }
            }
            if !below {
                tips.push(Tip { replica, space, head: end.head, signature: end.signature });
            }
        }
        Ok(tips)
    }

    /// The hash of the op before one.
    fn before(&self, op: OpId, hash: &Hash) -> Result<Option<Hash>, StoreError> {
        let there = self.store.placed(op)?.into_iter().find(|placed| placed.hash == *hash);
        Ok(there.and_then(|placed| SealedOp::open(&placed.bytes).ok()).map(|op| op.op.prev))
    }

    /// What an ask begins with, at or behind `from`.
    fn begin(&self, ask: &Ask, from: Position, queue: &mut BTreeMap<Position, Next>) -> Result<(), StoreError> {
        let stream = ask.stream;
        if self.store.is_parted(&stream) {
            let places: RefCell<BTreeMap<Hash, u64>> = RefCell::default();
            places.borrow_mut().extend(ask.tips.iter().map(|tip| (tip.hash, tip.seq)));
            let wanted = lacking(ask, |op, hash| {
                let before = self.read(self.before(op, hash));
                if let Some(before) = before {
                    places.borrow_mut().insert(before, op.seq - 1);
                }
                before
            });
            for hash in wanted {
                let Some(seq) = places.borrow().get(&hash).copied() else { continue };
                let op = OpId { stream, seq };
                let there = self.store.placed(op)?.into_iter().find(|placed| placed.hash == hash);
                if let Some(placed) = there.filter(|placed| placed.position >= from) {
                    queue.insert(placed.position, Next::One { op, hash });
                }
            }
            return Ok(());
        }
        let farthest = |heads: &[Head]| heads.iter().map(|head| head.seq).max().unwrap_or(0);
        let (mut seq, to) = (farthest(&ask.common) + 1, farthest(&ask.tips));
        // Rows grow with positions, so that the place to go on from is found by halving.
        let mut end = to + 1;
        while seq < end && from > Position::default() {
            let middle = seq + (end - seq) / 2;
            let row = self.store.row_at(OpId { stream, seq: middle })?;
            if row.is_some_and(|row| Position::of_row(row) < from) {
                seq = middle + 1;
            } else {
                end = middle;
            }
        }
        self.go_on(OpId { stream, seq }, to, queue)
    }

    fn go_on(&self, op: OpId, to: u64, queue: &mut BTreeMap<Position, Next>) -> Result<(), StoreError> {
        if op.seq <= to
            && let Some(row) = self.store.row_at(op)?
        {
            queue.insert(Position::of_row(row), Next::Run { op, to });
        }
        Ok(())
    }

    fn try_missing(&self, asks: &[Ask], from: u64, bytes_max: usize) -> Result<Parcel, StoreError> {
        let mut queue = BTreeMap::new();
        for ask in asks {
            self.begin(ask, Position(from), &mut queue)?;
        }
        let (mut parcel, mut bytes) = (Parcel::default(), 0);
        while let Some((position, next)) = queue.pop_first() {
            let there = match &next {
                Next::Run { op, .. } => self.store.placed(*op)?.into_iter().next(),
                Next::One { op, hash } => self.store.placed(*op)?.into_iter().find(|placed| placed.hash == *hash),
            };
            let Some(placed) = there else { continue };
            bytes += placed.bytes.len();
            if bytes > bytes_max && !parcel.ops.is_empty() {
                parcel.next = Some(position.0);
                break;
            }
            parcel.ops.push(placed.bytes);
            if let Next::Run { op, to } = next {
                self.go_on(OpId { seq: op.seq + 1, ..op }, to, &mut queue)?;
            }
        }
        Ok(parcel)
    }
}

impl Shelf for StoreShelf<'_> {
    fn organisation(&self) -> [u8; 32] {
        self.organisation
    }

    fn tips(&self) -> Vec<Tip> {
        self.read(self.try_tips())
    }

    fn hashes(&self, op: OpId) -> Vec<Hash> {
        self.read(self.store.hashes(op))
    }

    fn admitted(&self, replica: &ReplicaKey) -> bool {
        self.ledger.replicas.contains_key(replica) || self.admitted.contains(replica)
    }

    fn missing(&self, asks: &[Ask], from: u64, bytes_max: usize) -> Parcel {
        self.read(self.try_missing(asks, from, bytes_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use fieldkit_core::author::{Author, Context, Draft};
    use fieldkit_core::body::{Body, CommandRefused};
    use fieldkit_core::id::{Space, Zero};
    use fieldkit_core::op::Actor;
    use fieldkit_core::stamp::ClockQuality;
    use fieldkit_sqlite::{Batch, BlackBoxPlace, Options, SignedHead};
    use fieldkit_sync::memory::Memory;

    /// A replica that writes, and what it knows.
    #[derive(Clone)]
    struct Writer {
        key: SigningKey,
        author: Author,
        ledger: Ledger,
    }

    impl Writer {
        fn new(seed: u8) -> Self {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), None);
            Writer { key, author, ledger: Ledger::default() }
        }

        fn write(&mut self, word: &str, count: usize) -> Vec<SealedOp> {
            let body = |at: usize| CommandRefused {
                code: "test".to_owned(),
                detail: format!("{word} {at}"),
                next_step: String::new(),
            };
            let draft = |at| Draft::new(Space::ORGANISATION, Body::CommandRefused(body(at)));
            let (actor, quality) = (Actor::Device(Zero), ClockQuality::System);
            let context = Context { actor, wall_ms: 1_790_000_000_000, quality, key: None };
            self.author.write(&mut self.ledger, (0..count).map(draft).collect(), &context)
        }

        fn hear(&mut self, ops: &[SealedOp]) {
            ops.iter().for_each(|op| assert!(self.ledger.apply(op)));
        }

        fn end(&self) -> SignedHead {
            let stream = self.author.stream(&Space::ORGANISATION);
            let head = self.ledger.head(&stream);
            SignedHead { stream, head, signature: head.sign(&stream, &self.key) }
        }

        fn tip(&self) -> Tip {
            let SignedHead { head, signature, .. } = self.end();
            Tip { replica: self.author.replica, space: Space::ORGANISATION, head, signature }
        }
    }

    /// Two kits that hear of each other now and then, one of them with a twin; in a store and in memory.
    fn kits(store: &mut Store) -> (Memory, [Writer; 3]) {
        let mut memory = Memory::new([7; 32]);
        let mut put = |ops: &[SealedOp], branches: &[SealedOp], heads: &[SignedHead]| {
            store.commit(Batch { ops, heads, branches }).expect("a commit");
            ops.iter().chain(branches).for_each(|op| assert!(memory.put(op)));
        };
        let (mut one, mut other) = (Writer::new(1), Writer::new(2));
        for round in 1..=6 {
            let ops = one.write("one", round);
            other.hear(&ops);
            put(&ops, &[], &[]);
            let ops = other.write("other", 7 - round);
            one.hear(&ops);
            put(&ops, &[], &[]);
        }
        let mut twin = one.clone();
        let ops = one.write("one", 3);
        put(&ops, &[], &[one.end(), other.end()]);
        put(&[], &twin.write("its twin", 4), &[]);
        put(&[], &twin.write("its twin", 2), &[twin.end()]);
        put(&other.write("other", 2), &[], &[other.end()]);
        let writers = [one, other, twin];
        writers.iter().for_each(|writer| memory.sign(writer.tip()));
        (memory, writers)
    }

    fn open(home: &tempfile::TempDir) -> Store {
        let options = Options::new(home.path().join("data"), BlackBoxPlace::Off);
        Store::open(&options).expect("a store").0
    }

    /// All parcels of at most so many bytes, one after the other.
    fn parcels(shelf: &impl Shelf, asks: &[Ask], bytes_max: usize) -> Vec<Vec<u8>> {
        let (mut ops, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let parcel = shelf.missing(asks, at, bytes_max);
            assert!(parcel.next.is_none_or(|next| next > at), "it goes on");
            ops.extend(parcel.ops);
            from = parcel.next;
        }
        ops
    }

    #[test]
    fn the_store_gives_what_a_shelf_in_memory_gives() {
        let home = tempfile::tempdir().expect("a directory");
        let mut store = open(&home);
        let (memory, writers) = kits(&mut store);
        store.close().expect("closed");
        let store = open(&home);
        let shelf = StoreShelf::new(&store, &writers[1].ledger, [7; 32]).expect("a shelf");
        let sorted = |mut tips: Vec<Tip>| {
            tips.sort_by_key(|tip| (tip.stream(), tip.head.seq, tip.head.hash));
            tips
        };
        assert_eq!(sorted(shelf.tips()), sorted(memory.tips()));
        let [one, other, twin] = writers.each_ref().map(|writer| writer.end());
        let at = |end: &SignedHead, seq: u64| Head { seq, hash: memory.hashes(OpId { stream: end.stream, seq })[0] };
        let ask = |end: &SignedHead, tips: &[Head], common: &[Head]| Ask {
            stream: end.stream,
            tips: tips.to_vec(),
            common: common.to_vec(),
        };
        let all = ask(&one, &[one.head, twin.head], &[]);
        for asks in [
            vec![all.clone(), ask(&other, &[other.head], &[])],
            vec![ask(&one, &[one.head, twin.head], &[at(&one, 9)]), ask(&other, &[other.head], &[at(&other, 20)])],
            vec![ask(&one, &[twin.head], &[one.head]), ask(&other, &[at(&other, 12)], &[at(&other, 4)])],
            vec![ask(&other, &[other.head], &[other.head])],
            vec![all],
        ] {
            let whole = memory.missing(&asks, 0, usize::MAX).ops;
            for bytes_max in [1, 700, usize::MAX] {
                assert_eq!(parcels(&shelf, &asks, bytes_max), whole, "{asks:?} in parcels of {bytes_max}");
            }
        }
        assert!(shelf.fault().is_none());
    }
}
