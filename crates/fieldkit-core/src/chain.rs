//! Checking a journal from outside: every op canonical, every chain unbroken, every signed head true.
//!
//! Promises: the first bad op is named, with what is wrong about it; nothing is folded and nothing is repaired.
//! Absent on purpose: storage. Ops arrive as bytes, in the order of each stream.

use crate::body::{Body, StreamOpened};
use crate::id::{Hash, OpId, ReplicaKey, StreamId};
use crate::op::{Head, OpError, SealedOp};
use std::collections::BTreeMap;

/// What is wrong about the first bad op.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The bytes are no op.
    #[error("op {seq} of series {series} cannot be read: {source}")]
    Unreadable {
        /// Series of the stream that it was filed under.
        series: String,
        /// Position that it was filed under.
        seq: u64,
        /// Why.
        source: OpError,
    },
    /// The bytes are another op than the one filed here.
    #[error("op {seq} of series {series} is filed in the wrong place")]
    Misfiled {
        /// Series of the stream.
        series: String,
        /// Position.
        seq: u64,
    },
    /// The op does not continue the chain.
    #[error("op {seq} of series {series} does not continue the chain (an op was edited, dropped, moved or inserted)")]
    Broken {
        /// Series of the stream.
        series: String,
        /// Position.
        seq: u64,
    },
    /// A stream's first op does not bind it to a key.
    #[error("series {series} is not bound to its key")]
    Unbound {
        /// Series of the stream.
        series: String,
    },
    /// The head's signature does not verify.
    #[error("the head of series {series} at op {seq} is not signed by its key")]
    Signature {
        /// Series of the stream.
        series: String,
        /// Position of the head.
        seq: u64,
    },
    /// The stored head names an op that is not there.
    #[error(
        "series {series} ends at op {found}, but its signed head is op {signed}: the end of the journal is missing"
    )]
    Short {
        /// Series of the stream.
        series: String,
        /// Where it ends.
        found: u64,
        /// Where it should.
        signed: u64,
    },
}

/// Walks the ops of any number of streams.
#[derive(Clone, Debug, Default)]
pub struct ChainCheck {
    heads: BTreeMap<StreamId, (Head, Option<ReplicaKey>)>,
    ops: u64,
}

impl ChainCheck {
    /// Checks the next op of `stream`, filed under `seq`.
    pub fn next(&mut self, stream: StreamId, seq: u64, bytes: &[u8]) -> Result<SealedOp, ChainError> {
        let series = || stream.series();
        let op = SealedOp::open(bytes).map_err(|source| ChainError::Unreadable { series: series(), seq, source })?;
        if op.id() != (OpId { stream, seq }) {
            return Err(ChainError::Misfiled { series: series(), seq });
        }
        let (head, replica) = self.heads.entry(stream).or_default();
        if !op.follows(head) {
            return Err(ChainError::Broken { series: series(), seq });
        }
        if seq == 1 {
            let Ok(Body::StreamOpened(StreamOpened { replica: key, space, .. })) = Body::open(op.op.kind, &op.op.body)
            else {
                return Err(ChainError::Unbound { series: series() });
            };
            if StreamId::of(&key, &space) != stream {
                return Err(ChainError::Unbound { series: series() });
            }
            *replica = Some(key);
        }
        *head = Head { seq, hash: op.hash };
        self.ops += 1;
        Ok(op)
    }

    /// Checks a signed head of `stream` against its chain; `there` is the hash of the op at its position, where one is
    /// filed. Ends are signed now and then, so ops may stand behind the signed one: the chain alone vouches for them.
    pub fn signed_head(
        &self,
        stream: StreamId,
        signed: Head,
        there: Option<Hash>,
        signature: &[u8; 64],
    ) -> Result<(), ChainError> {
        let series = stream.series();
        let (head, replica) = self.heads.get(&stream).copied().unwrap_or_default();
        if head.seq < signed.seq {
            return Err(ChainError::Short { series, found: head.seq, signed: signed.seq });
        }
        let valid = there == Some(signed.hash) && replica.is_some_and(|key| signed.verify(&stream, &key, signature));
        if valid { Ok(()) } else { Err(ChainError::Signature { series, seq: signed.seq }) }
    }

    /// Ops checked so far.
    pub fn ops(&self) -> u64 {
        self.ops
    }

    /// The ends of all chains.
    pub fn heads(&self) -> impl Iterator<Item = (StreamId, Head)> + '_ {
        self.heads.iter().map(|(stream, (head, _))| (*stream, *head))
    }
}
