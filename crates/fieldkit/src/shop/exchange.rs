//! Files between kits: what the loop gives to another kit and takes from it.
//!
//! Promises: a bundle is verified whole before anything of it is written; what it brings becomes durable in turns that a
//! power cut may part, and then the same file brings the rest. A file that knows this kit's own future says that the kit
//! was put back: it goes on as a new replica, then takes the file.
//! Absent on purpose: verifying (`fieldkit-sync`), folding (`fieldkit-engine`).

use super::{Shop, fatal};
use crate::shelf::StoreShelf;
use ed25519_dalek::Signer;
use fieldkit_core::body::{ReplicaAdmitted, RollbackNoticed};
use fieldkit_core::decide::Command;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::lattice;
use fieldkit_core::op::Head;
use fieldkit_engine::{Foreign, Input};
use fieldkit_http::desk::{Failure, Imported, Update};
use fieldkit_sqlite::Store;
use fieldkit_sync::bundle::{Bundle, BundleError, Label};
use fieldkit_sync::intake::Take;
use fieldkit_sync::tip::Scope;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Most ops of one commit.
const BATCH_OPS: usize = 4_096;

impl Shop {
    /// A bundle of everything, or of what `receiver` is not known to have.
    pub(super) fn export(&mut self, receiver: Option<ReplicaKey>) -> Result<Vec<u8>, Failure> {
        // Others are told of a stream up to its signed end.
        self.sign();
        let ledger = self.engine.ledger();
        let Some((_, organisation)) = &ledger.organisation else { return Err(no_organisation()) };
        let known = receiver.map(|receiver| self.known_to(receiver)).unwrap_or_default();
        let shelf = StoreShelf::new(&self.store, ledger, organisation.key).unwrap_or_else(|error| unreadable(&error));
        let bytes = Bundle::of(&shelf, self.engine.replica(), &Scope::Whole, &known);
        match shelf.fault() {
            None => Ok(bytes),
            Some(error) => unreadable(&error),
        }
    }

    /// Ends of streams that a kit has, by what it wrote last.
    fn known_to(&self, receiver: ReplicaKey) -> Vec<(StreamId, Head)> {
        let ledger = self.engine.ledger();
        let mut seen: BTreeMap<StreamId, u64> = BTreeMap::new();
        for (stream, known) in ledger.streams.iter().filter(|(_, known)| known.replica == Some(receiver)) {
            let own = (*stream, known.head.seq);
            for (stream, seq) in lattice::entries(&known.seen).into_iter().chain([own]) {
                let newest = seen.entry(stream).or_default();
                *newest = seq.max(*newest);
            }
        }
        let mut known = Vec::new();
        for (stream, seq) in seen.into_iter().filter(|(stream, _)| !self.store.is_parted(stream)) {
            let hashes = self.store.hashes(OpId { stream, seq }).unwrap_or_else(|error| unreadable(&error));
            known.extend(hashes.first().map(|hash| (stream, Head { seq, hash: *hash })));
        }
        known
    }

    /// Takes a bundle and answers once it is durable.
    pub(super) fn import(&mut self, bytes: &[u8], reply: oneshot::Sender<Result<Imported, Failure>>) {
        let imported = match self.unable(None) {
            Some(failure) => Err(failure),
            None => self.take_bundle(bytes),
        };
        // The asker may be gone; what came stays.
        let _ = reply.send(imported);
    }

    fn take_bundle(&mut self, bytes: &[u8]) -> Result<Imported, Failure> {
        let label = Label::read(bytes).map_err(|error| not_taken(&error))?;
        let mut bundle = self.open(bytes)?;
        let rolled_back = bundle.own_ahead.first().copied();
        if let Some((stream, seen)) = rolled_back {
            let found = self.engine.ledger().head(&stream).seq;
            self.follow(RollbackNoticed { witness: "file".to_owned(), stream, seen: seen.seq, found });
            bundle = self.open(bytes)?;
        }
        let (new, forked) = (bundle.take.ops.len() as u64, !bundle.take.forks.is_empty());
        self.take_in(bundle.take);
        if self.standing.event.is_none()
            && let Some(newest) = self.engine.ledger().events.keys().next_back().copied()
        {
            self.standing.choose(self.engine.ledger(), newest, &self.data);
        }
        if new > 0 {
            [Update::Catalogue, Update::Drawer, Update::Status].into_iter().for_each(|update| self.publish(update));
        }
        Ok(Imported {
            from: self.engine.ledger().label(&label.replica),
            ops: label.ops as u64,
            new,
            streams: label.streams as u64,
            rolled_back: rolled_back.is_some(),
            forked: forked || self.pace.refold,
        })
    }

    /// Verifies a bundle against what is here.
    fn open(&self, bytes: &[u8]) -> Result<Bundle, Failure> {
        let ledger = self.engine.ledger();
        let Some((_, organisation)) = &ledger.organisation else { return Err(no_organisation()) };
        let shelf = StoreShelf::new(&self.store, ledger, organisation.key).unwrap_or_else(|error| unreadable(&error));
        let opened = Bundle::open(bytes, &shelf, &self.engine.replica(), &Scope::Whole);
        match shelf.fault() {
            None => opened.map_err(|error| not_taken(&error)),
            Some(error) => unreadable(&error),
        }
    }

    /// Writes what came, a turn for each batch.
    fn take_in(&mut self, take: Take) {
        for mut foreign in batches(take, &self.store) {
            for id in self.engine.wanted(&foreign.ops) {
                let order = self.state.order(&id).unwrap_or_else(|error| fatal("the state cannot be read", &error));
                foreign.orders.extend(order.map(Arc::new));
            }
            self.engine.handle(Input::Foreign(Box::new(foreign)));
            self.turn();
            self.hand_over();
        }
    }

    /// Adds what only the kit knows: its signature under an admission, the number of this life.
    pub(super) fn complete(&self, command: &mut Command) {
        match command {
            Command::AdmitReplica { replica, label, proof } => {
                *label = label.trim().to_owned();
                *proof = self.engine.signing_key().sign(&ReplicaAdmitted::signed_bytes(replica, label)).to_bytes();
            }
            // Where nobody watches, each word is one of its own.
            Command::AdmitHolding { nonce, .. } => {
                let own = || crate::identity::random().unwrap_or_default();
                *nonce = self.engine.nonce().unwrap_or_else(own);
            }
            _ => {}
        }
    }
}

/// Cuts what came into turns, causes first: each holds ops that continue rows, then ops of branches.
pub(crate) fn batches(take: Take, store: &Store) -> Vec<Foreign> {
    let mut ends = store.heads();
    let mut heads: BTreeMap<Hash, Vec<_>> = BTreeMap::new();
    for tip in take.heads {
        heads.entry(tip.head.hash).or_default().push((tip.stream(), tip.head, tip.signature));
    }
    let mut batches: Vec<Foreign> = Vec::new();
    for op in take.ops {
        let stream = op.op.stream;
        let end = ends.entry(stream).or_default();
        // Of a stream that was forked before, any branch may be the one that is folded as the stream.
        let continues = !store.is_parted(&stream) && op.follows(end);
        let fits = |batch: &Foreign| {
            batch.ops.len() + batch.branches.len() < BATCH_OPS && (batch.branches.is_empty() || !continues)
        };
        if !batches.last().is_some_and(fits) {
            batches.push(Foreign::default());
        }
        let Some(batch) = batches.last_mut() else { continue };
        batch.heads.extend(heads.remove(&op.hash).unwrap_or_default());
        if continues {
            *end = Head { seq: op.op.seq, hash: op.hash };
            batch.ops.push(op);
        } else {
            batch.branches.push(op);
        }
    }
    batches
}

fn unreadable(error: &fieldkit_sqlite::StoreError) -> ! {
    fatal("the journal cannot be read", error)
}

fn no_organisation() -> Failure {
    let detail = "this kit belongs to no organisation yet".to_owned();
    Failure::Bundle { code: "bundle_organisation", detail, next_step: "Finish joining: `fieldkit join finish FILE`." }
}

/// The no to a bundle, with what causes it.
pub(crate) fn not_taken(error: &BundleError) -> Failure {
    let (code, next_step) = match error {
        BundleError::Organisation => ("bundle_organisation", "Take a file of a kit of this organisation."),
        BundleError::Version(_) => ("bundle_version", "Update this program, or the one that made the file."),
        BundleError::Gap(_) => ("bundle_gap", "Make a whole one on the other kit: `fieldkit sync export --out FILE`."),
        BundleError::NoBundle | BundleError::Damaged | BundleError::Malformed(_) | BundleError::Fault(_) => {
            ("bundle", "Make the file once more on the other kit, and copy it again.")
        }
    };
    let mut detail = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        detail.push_str(&format!(" ({cause})"));
    }
    Failure::Bundle { code, detail, next_step }
}
