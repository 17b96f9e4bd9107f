//! Tips: how far a stream goes, by its author's word.
//!
//! Promises: a tip names the key and the space that its stream is bound to, so that it is verified alone, before any op.
//! Absent on purpose: whether the author was admitted (`intake`).

use fieldkit_core::codec::record;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use fieldkit_core::op::Head;
use std::collections::BTreeSet;

record! {
    /// A head with its author's signature.
    pub struct Tip {
        /// The author.
        pub replica: ReplicaKey,
        /// The space; with the author it makes the stream.
        pub space: Space,
        /// The newest op that is vouched for.
        pub head: Head,
        /// Ed25519 over `fieldkit head v1`, stream, head.
        pub signature: [u8; 64],
    }
}

impl Tip {
    /// The stream.
    pub fn stream(&self) -> StreamId {
        StreamId::of(&self.replica, &self.space)
    }

    /// The op that it ends with.
    pub fn op(&self) -> OpId {
        OpId { stream: self.stream(), seq: self.head.seq }
    }

    /// Whether the author signed it.
    pub fn is_signed(&self) -> bool {
        self.head.seq > 0 && self.head.verify(&self.stream(), &self.replica, &self.signature)
    }
}

record! {
    /// An op of a stream that is spoken of, in few bytes: who has it knows the rest.
    #[derive(Copy, PartialOrd, Ord)]
    pub struct Mark {
        /// Its position.
        pub seq: u64,
        /// The first 16 bytes of its hash.
        pub half: [u8; 16],
    }
}

impl Mark {
    /// Of the op at `seq` with `hash`.
    pub fn of(seq: u64, hash: &Hash) -> Self {
        Mark { seq, half: hash.half() }
    }
}

/// What an exchange may speak of. The organisation's space always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// These spaces.
    Spaces(BTreeSet<Space>),
}

impl Scope {
    /// Whether ops of `space` may travel.
    pub fn allows(&self, space: &Space) -> bool {
        match self {
            Scope::Whole => true,
            Scope::Spaces(spaces) => space.event().is_none() || spaces.contains(space),
        }
    }
}
