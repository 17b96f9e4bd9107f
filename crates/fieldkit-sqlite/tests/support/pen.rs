//! Ops with real keys, for tests.

use ed25519_dalek::SigningKey;
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::{Body, CommandRefused};
use fieldkit_core::id::{ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::stamp::ClockQuality;
use fieldkit_sqlite::{Batch, SignedHead};

/// A replica that writes ops into its organisation's space.
pub struct Pen {
    key: SigningKey,
    author: Author,
    pub ledger: Ledger,
    clock: u64,
}

/// Ops and the heads they end in.
#[derive(Clone, Debug)]
pub struct Written {
    pub ops: Vec<SealedOp>,
    pub heads: Vec<SignedHead>,
}

impl Written {
    pub fn batch(&self) -> Batch<'_> {
        Batch { ops: &self.ops, heads: &self.heads }
    }
}

impl Pen {
    pub fn new(seed: u8) -> Pen {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), None);
        Pen { key, author, ledger: Ledger::default(), clock: 1_750_000_000_000 }
    }

    pub fn stream(&self) -> StreamId {
        self.author.stream(&Space::ORGANISATION)
    }

    /// `count` more ops with about `bytes` bytes of text each; the first call also opens the stream.
    pub fn write(&mut self, count: usize, bytes: usize) -> Written {
        let draft = |at: usize| {
            let detail = format!("{at:08}").repeat(bytes / 8);
            let body = CommandRefused { code: "test".into(), detail, next_step: String::new() };
            Draft::new(Space::ORGANISATION, Body::CommandRefused(body))
        };
        self.write_drafts((0..count).map(draft).collect())
    }

    fn write_drafts(&mut self, drafts: Vec<Draft>) -> Written {
        self.clock += 1000;
        let context =
            Context { actor: Actor::Device(Zero), wall_ms: self.clock, quality: ClockQuality::System, key: None };
        let ops = self.author.write(&mut self.ledger, drafts, &context);
        let stream = self.stream();
        let head = self.ledger.head(&stream);
        let signature = head.sign(&stream, &self.key);
        Written { ops, heads: vec![SignedHead { stream, head, signature }] }
    }
}
