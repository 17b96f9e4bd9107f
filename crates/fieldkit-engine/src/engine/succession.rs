//! A kit that went back goes on under a new key: what the old key says of the new one, and the ops that say so to all.
//!
//! Promises: whatever fails between a new key and the ops that admit it, the next start writes them; a key that another
//! one went on for is given up before it writes. The old key signs what it can before that.
//! Absent on purpose: key files (`fieldkit`), and what makes a kit notice (`fieldkit-core::witness`).

use super::Engine;
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::{Body, ReplicaAdmitted, RollbackNoticed};
use fieldkit_core::decide;
use fieldkit_core::id::{ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::op::Actor;
use fieldkit_core::stamp::ClockQuality;

/// What a new key goes on with. It is stored with the key before either is used: the old key may not be there to sign
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The replica before: the newest one of this kit.
    pub follows: ReplicaKey,
    /// The old key's word for the new one.
    pub admitted: ReplicaAdmitted,
    /// Why.
    pub noticed: RollbackNoticed,
}

impl Engine {
    /// Whether the kit's key went back although its journal did not: another key goes on for it there. Before anything
    /// is written the kit needs a key of its own again.
    pub fn key_went_back(&self) -> Option<RollbackNoticed> {
        let newest = self.ledger.newest_life(self.author.replica)?;
        let stream = StreamId::of(&newest, &Space::ORGANISATION);
        Some(RollbackNoticed { witness: "journal".to_owned(), stream, seen: self.ledger.head(&stream).seq, found: 0 })
    }

    /// What `key` is to go on with.
    pub fn succession(&self, key: &SigningKey, label: &str, noticed: RollbackNoticed) -> Succession {
        let old = self.author.replica;
        let replica = ReplicaKey(key.verifying_key().to_bytes());
        let proof = self.key.sign(&ReplicaAdmitted::signed_bytes(&replica, label)).to_bytes();
        let admitted = ReplicaAdmitted { replica, label: label.to_owned(), admitted_by: old.0, proof };
        Succession { follows: self.ledger.newest_life(old).unwrap_or(old), admitted, noticed }
    }

    /// Goes on as a new replica after a roll-back was noticed. The old key admits the new one.
    pub fn follow(&mut self, key: SigningKey, succession: &Succession, wall_ms: u64, quality: ClockQuality) {
        // Ops of the old replica are its last; its key signs them now.
        self.note_growth();
        self.sign_heads();
        let last_stamp = self.author.last_stamp;
        self.author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), Some(succession.follows));
        self.author.last_stamp = last_stamp;
        self.key = key;
        self.complete(succession, wall_ms, quality);
    }

    /// Writes the ops that admit this kit's key, where they are not in the journal: whether there were any to write.
    pub fn complete(&mut self, succession: &Succession, wall_ms: u64, quality: ClockQuality) -> bool {
        let replica = self.author.replica;
        if succession.admitted.replica != replica || self.ledger.replicas.contains_key(&replica) {
            return false;
        }
        let drafts = vec![
            Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(succession.admitted.clone())),
            Draft::new(Space::ORGANISATION, Body::RollbackNoticed(succession.noticed.clone())),
        ];
        self.write(drafts, &Context { actor: Actor::Device(Zero), wall_ms, quality, key: None });
        true
    }

    /// Whether `stream` is one that this kit's key writes, in a space that is known here.
    pub fn writes(&self, stream: &StreamId) -> bool {
        let events = self.ledger.events.iter().map(|(id, event)| decide::space_of(*id, event));
        events.chain([Space::ORGANISATION]).any(|space| self.author.stream(&space) == *stream)
    }
}
