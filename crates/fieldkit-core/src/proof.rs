//! A grant as a proof of its own: the ops that brought its rights to whoever may use them now, each signed by its author.
//!
//! Promises: verified without any other op — with the keys of admitted replicas alone. Every right granted stands at the
//! end of a chain from the op that brought its unit to the stall; whatever is cut, added, put in another order or signed
//! by another key is refused. Each op is signed as the head of its stream that it once was.
//! Absent on purpose: that the giver gave the same right to nobody else (its forks show that, once both are known), who
//! was admitted (the verifier says so), and how a proof travels.

use crate::body::{Body, UnitRange};
use crate::codec::{Canonical, DecodeError, record};
use crate::id::{PoolId, ReplicaKey, Space, StreamId};
use crate::op::{Head, OpError, SealedOp};
use crate::pool::{Pool, deeds};
use crate::rights::{self, RangeSet};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;

/// Most ops of a proof.
pub const LINKS_MAX: usize = 256;

record! {
    /// One op of a chain, with its author's word that it stands in its stream.
    pub struct Link {
        /// The author.
        pub replica: ReplicaKey,
        /// The op's bytes.
        pub op: Vec<u8>,
        /// Ed25519 over the head that the op was.
        pub signature: [u8; 64],
    }
}

record! {
    /// The ops that brought rights to a replica, causes first; the last one is the grant.
    pub struct GrantProof {
        /// The space of all streams in it: one event.
        pub space: Space,
        /// The chain.
        pub links: Vec<Link>,
    }
}

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Who gave.
    pub from: ReplicaKey,
    /// Who may use the rights.
    pub to: ReplicaKey,
    /// Which.
    pub ranges: Vec<UnitRange>,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bytes are no proof.
    #[error("the bytes are no proof of a grant")]
    Decode(#[source] DecodeError),
    /// It has no ops, too many, or is of no event.
    #[error("a proof has 1 to {LINKS_MAX} ops of one event")]
    Form,
    /// An op cannot be read.
    #[error("op {0} of the proof cannot be read")]
    Op(usize, #[source] OpError),
    /// An author was not admitted.
    #[error("the author of op {0} of the proof is not admitted")]
    Stranger(usize),
    /// An op is not its author's.
    #[error("op {0} of the proof is not signed by its author")]
    Signature(usize),
    /// Two ops stand at one position, or a later one stands before an earlier one.
    #[error("op {0} of the proof contradicts one before it")]
    Order(usize),
    /// The last op grants nothing.
    #[error("the proof does not end with a grant")]
    NoGrant,
    /// A right does not come from the op that brought its unit to the stall.
    #[error("the proof does not show where its rights come from")]
    Unfounded,
}

impl Link {
    /// Of an op that the holder of `key` wrote.
    pub fn sign(op: &SealedOp, key: &SigningKey) -> Self {
        let head = Head { seq: op.op.seq, hash: op.hash };
        let replica = ReplicaKey(key.verifying_key().to_bytes());
        Link { replica, op: op.bytes.clone(), signature: head.sign(&op.op.stream, key) }
    }
}

impl GrantProof {
    /// Reads a proof and verifies it; `admitted` says whose ops count.
    pub fn open(bytes: &[u8], admitted: impl Fn(&ReplicaKey) -> bool) -> Result<(GrantProof, Proven), ProofError> {
        let proof = GrantProof::from_bytes(bytes).map_err(ProofError::Decode)?;
        let proven = proof.verify(admitted)?;
        Ok((proof, proven))
    }

    /// Verifies it by its own ops.
    pub fn verify(&self, admitted: impl Fn(&ReplicaKey) -> bool) -> Result<Proven, ProofError> {
        let event = self.space.event().filter(|_| (1..=LINKS_MAX).contains(&self.links.len()));
        let event = event.ok_or(ProofError::Form)?;
        let mut pools: BTreeMap<PoolId, Pool> = BTreeMap::new();
        let mut newest: BTreeMap<StreamId, u64> = BTreeMap::new();
        let mut leased = RangeSet::default();
        let mut granted = None;
        for (at, link) in self.links.iter().enumerate() {
            let number = at + 1;
            let op = self.read(number, link, &admitted)?;
            if newest.insert(op.op.stream, op.op.seq).is_some_and(|before| before >= op.op.seq) {
                return Err(ProofError::Order(number));
            }
            let body = Body::open(op.op.kind, &op.op.body).map_err(|_| ProofError::Unfounded)?;
            for (deed, ranges) in deeds(&op.hash, &event, &body) {
                for range in ranges.iter().filter(|range| range.is_sound()) {
                    pools.entry(range.pool).or_default().apply(link.replica, range, deed);
                }
            }
            if let Body::RightsLeased(body) = &body {
                body.ranges.iter().for_each(|range| leased.insert(range));
            }
            granted = if let Body::RightsGranted(body) = body { Some((link.replica, body)) } else { None };
        }
        let (from, body) = granted.ok_or(ProofError::NoGrant)?;
        for range in &body.ranges {
            let usable = pools.get(&range.pool).map(|pool| pool.usable(range.pool, &body.to)).unwrap_or_default();
            // What somebody has for a time is nobody's to give away.
            let own = leased.overlap(range).is_empty();
            if !range.is_sound() || !own || rights::count(&usable.overlap(range)) != range.count {
                return Err(ProofError::Unfounded);
            }
        }
        Ok(Proven { from, to: body.to, ranges: body.ranges })
    }

    fn read(&self, number: usize, link: &Link, admitted: impl Fn(&ReplicaKey) -> bool) -> Result<SealedOp, ProofError> {
        let op = SealedOp::open(&link.op).map_err(|error| ProofError::Op(number, error))?;
        if !admitted(&link.replica) {
            return Err(ProofError::Stranger(number));
        }
        let head = Head { seq: op.op.seq, hash: op.hash };
        let bound = StreamId::of(&link.replica, &self.space) == op.op.stream;
        let signed = bound && head.verify(&op.op.stream, &link.replica, &link.signature);
        if signed { Ok(op) } else { Err(ProofError::Signature(number)) }
    }
}
