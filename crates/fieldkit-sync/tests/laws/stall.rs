//! Kits of one organisation that write real ops, sign now and then, are copied, put back and joined by new ones.

use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::*;
use fieldkit_core::decide::{Founding, NewEvent};
use fieldkit_core::fork;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::stamp::ClockQuality;
use fieldkit_sync::intake::Take;
use fieldkit_sync::memory::Memory;
use fieldkit_sync::shelf::Shelf;
use fieldkit_sync::tip::Tip;
use std::collections::BTreeSet;

/// Noon of a day in 2026.
const NOON_MS: u64 = 1_795_000_000_000;

/// A small generator, so that a case is its seed. SplitMix64, after Steele, Lea and Flood, OOPSLA 2014.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

#[derive(Clone)]
pub struct Kit {
    pub key: SigningKey,
    pub author: Author,
    pub ledger: Ledger,
    pub shelf: Memory,
    /// Own streams with ops behind their signed end.
    pub unsigned: BTreeSet<StreamId>,
    /// A kit that heard of own ops that it has not writes no more.
    pub dead: bool,
    pub written: u64,
}

pub struct Stall {
    pub kits: Vec<Kit>,
    pub events: Vec<OpId>,
    pub images: Vec<(usize, Kit)>,
    /// Hashes of all ops that lie below an end that their author signed.
    pub signed: BTreeSet<Hash>,
}

pub fn organisation() -> SigningKey {
    SigningKey::from_bytes(&[99; 32])
}

impl Kit {
    pub fn new(number: u8, organisation: &SigningKey) -> Self {
        let key = SigningKey::from_bytes(&[number + 1; 32]);
        let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), None);
        let shelf = Memory::new(organisation.verifying_key().to_bytes());
        Kit { key, author, ledger: Ledger::default(), shelf, unsigned: BTreeSet::new(), dead: false, written: 0 }
    }

    pub fn write(&mut self, drafts: Vec<Draft>) -> Vec<SealedOp> {
        self.written += 1;
        let wall_ms = NOON_MS + self.written * 1000;
        let context = Context { actor: Actor::Device(Zero), wall_ms, quality: ClockQuality::System, key: None };
        let ops = self.author.write(&mut self.ledger, drafts, &context);
        for op in &ops {
            assert!(self.shelf.put(op), "an op that was just written is new");
            self.unsigned.insert(op.op.stream);
        }
        ops
    }

    /// Signs all own streams, as an exchange wants it.
    pub fn sign(&mut self) -> BTreeSet<Hash> {
        let mut signed = BTreeSet::new();
        for stream in std::mem::take(&mut self.unsigned) {
            let known = &self.ledger.streams[&stream];
            let (head, space) = (known.head, known.space.clone().expect("own streams are opened"));
            let signature = head.sign(&stream, &self.key);
            self.shelf.sign(Tip { replica: self.author.replica, space, head, signature });
            let mut hash = head.hash;
            while let Some(op) = self.shelf.ops().iter().rev().find(|op| op.hash == hash) {
                signed.insert(op.hash);
                hash = op.op.prev;
            }
        }
        signed
    }

    pub fn admission(&self, replica: ReplicaKey, label: &str) -> Draft {
        let proof = self.key.sign(&ReplicaAdmitted::signed_bytes(&replica, label)).to_bytes();
        let admitted_by = self.author.replica.0;
        let body = ReplicaAdmitted { replica, label: label.to_owned(), admitted_by, proof };
        Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(body))
    }

    /// Makes durable what an exchange brought, and checks that it can be folded in this order.
    pub fn take(&mut self, take: &Take, whole: bool) {
        for op in &take.ops {
            let before = OpId { seq: op.op.seq.saturating_sub(1), ..op.id() };
            assert!(op.op.seq == 1 || self.shelf.holds(before, &op.op.prev), "an op comes after the one before it");
            let causes = op.op.deps.iter().all(|dep| self.shelf.holds(dep.op, &dep.hash));
            assert!(causes || !whole, "an op comes after its causes");
            if self.shelf.put(op) && op.follows(&self.ledger.head(&op.op.stream)) {
                assert!(self.ledger.apply(op), "what follows can be folded");
            }
        }
        self.shelf.take(take);
        let forks = fork::forks(self.shelf.ops());
        let own = |stream: &StreamId| self.ledger.streams.get(stream).and_then(|known| known.replica);
        self.dead |= forks.keys().any(|stream| own(stream) == Some(self.author.replica));
        if forks.is_empty() {
            for op in self.shelf.ops() {
                assert!(op.op.seq <= self.ledger.head(&op.op.stream).seq, "without forks all ops are folded");
            }
        } else if !self.dead {
            self.ledger = fork::folded(self.shelf.ops());
        }
    }

    pub fn hashes(&self) -> BTreeSet<Hash> {
        self.shelf.ops().iter().map(|op| op.hash).collect()
    }
}

impl Stall {
    /// `kits` kits that were admitted, of whom the first alone knows it yet.
    pub fn new(kits: u8) -> Self {
        let organisation = organisation();
        let mut kits: Vec<Kit> = (0..kits).map(|number| Kit::new(number, &organisation)).collect();
        let replica = kits[0].author.replica;
        let founding = Founding {
            name: "Quay".to_owned(),
            organisation_key: organisation.verifying_key().to_bytes(),
            label: "kit 0".to_owned(),
            proof: organisation.sign(&ReplicaAdmitted::signed_bytes(&replica, "kit 0")).to_bytes(),
            owner: Hash::of(b"owner"),
            event: new_event(),
        };
        let ops = kits[0].write(founding.drafts(replica).expect("the founding is in order"));
        let event = ops.iter().find(|op| op.op.kind == 6).expect("the founding opens an event").id();
        for other in 1..kits.len() {
            let admission = kits[0].admission(kits[other].author.replica, &format!("kit {other}"));
            kits[0].write(vec![admission]);
        }
        let signed = kits[0].sign();
        Stall { kits, events: vec![event], images: Vec::new(), signed }
    }

    pub fn sign(&mut self, at: usize) {
        let signed = self.kits[at].sign();
        self.signed.extend(signed);
    }

    /// A kit writes something: about goods at an event, or about persons.
    pub fn write(&mut self, at: usize, what: u8, count: usize) {
        let event = self.events[usize::from(what) % self.events.len()];
        let kit = &mut self.kits[at];
        if kit.dead || !kit.ledger.events.contains_key(&event) {
            return;
        }
        for _ in 0..count {
            let number = kit.written;
            let draft = match what % 5 {
                0 => Draft::new(
                    Space::ORGANISATION,
                    Body::PersonAdded(PersonAdded { commitment: Hash::of(&number.to_le_bytes()) }),
                ),
                _ => {
                    let edits = vec![Edit::Name(format!("thing {number}")), Edit::Price(number as i64)];
                    let sku = format!("SKU-{}", what % 3);
                    Draft::new(Space::Event(event), Body::ItemDefined(ItemDefined { sku, edits, import_mark: None }))
                }
            };
            kit.write(vec![draft]);
        }
    }

    /// Admits a new kit, which leaves with all that the other knows: without its admission it would be a stranger for ever
    /// if the other is put back to the day before.
    pub fn join(&mut self, by: usize) {
        if self.kits[by].dead || self.kits[by].ledger.organisation.is_none() || self.kits.len() >= 6 {
            return;
        }
        let number = self.kits.len();
        let mut kit = Kit::new(number as u8 + 100, &organisation());
        let admission = self.kits[by].admission(kit.author.replica, &format!("kit {number}"));
        self.kits[by].write(vec![admission]);
        self.sign(by);
        let shelf = &self.kits[by].shelf;
        kit.take(&Take { ops: shelf.ops().to_vec(), heads: shelf.tips(), ..Take::default() }, true);
        self.kits.push(kit);
    }

    pub fn image(&mut self, at: usize) {
        let kit = self.kits[at].clone();
        self.images.push((at, kit));
    }

    /// Puts a kit back to an image. It does not notice, until somebody shows it own ops that it has not.
    pub fn put_back(&mut self, which: usize) {
        if let Some((at, kit)) = self.images.get(which % self.images.len().max(1)) {
            let written = self.kits[*at].written;
            self.kits[*at] = kit.clone();
            // Its clock goes on, so it writes something else than before.
            self.kits[*at].written = written;
        }
    }

    /// What holds at all times.
    pub fn check(&self) {
        for kit in &self.kits {
            for op in kit.shelf.ops() {
                let own = |stream: &StreamId| kit.ledger.streams.get(stream).and_then(|known| known.replica);
                let foreign = own(&op.op.stream) != Some(kit.author.replica);
                assert!(!foreign || self.signed.contains(&op.hash), "a foreign op lies below a signed end");
            }
        }
    }

    /// What holds when all has been exchanged.
    pub fn check_even(&self, union: &BTreeSet<Hash>) {
        let state = |kit: &Kit| fork::folded(kit.shelf.ops()).state_bytes();
        let first = state(&self.kits[0]);
        for (at, kit) in self.kits.iter().enumerate() {
            assert_eq!(kit.hashes(), *union, "kit {at} has the union of all ops");
            assert_eq!(state(kit), first, "kits with equal ops have equal states");
        }
    }
}

fn new_event() -> NewEvent {
    NewEvent {
        name: "Harbour market".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        day_cutover_minutes: 240,
        currency: "EUR".to_owned(),
        seller: Seller { name: "Quay".to_owned(), address: String::new(), tax_id: String::new() },
        tax_rates: vec![TaxRate { id: "none".to_owned(), name: "none".to_owned(), ppm: 0 }],
        prices: Prices::Inclusive,
        training: false,
        clone_from: None,
    }
}
