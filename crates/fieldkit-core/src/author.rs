//! Writing ops: drafts become sealed ops at the end of the author's own streams.
//!
//! Promises: sequence numbers are dense, hashes chain, deps name each foreign head that is new to the stream, Lamport
//! depth and stamp exceed all that is known, also after a start; the first op of a stream opens it. Each op is applied to
//! the ledger as it is made.
//! Absent on purpose: the decision what to write (`decide`), durability (`fieldkit-engine`).

use crate::body::{Body, StreamOpened};
use crate::id::{OpId, ReplicaKey, Space, StreamId};
use crate::ledger::Ledger;
use crate::op::{Actor, CommandKey, Dep, Op, Posting, SealedOp, Version};
use crate::stamp::{ClockQuality, Stamp};

/// An op to be: a space, a body, its postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where it goes.
    pub space: Space,
    /// What it says.
    pub body: Body,
    /// What it moves.
    pub postings: Vec<Posting>,
    /// Whether it answers the command (and so carries its key).
    pub answers: bool,
}

impl Draft {
    /// A draft without postings that does not answer.
    pub fn new(space: Space, body: Body) -> Self {
        Draft { space, body, postings: Vec::new(), answers: false }
    }
    /// With postings.
    pub fn moving(mut self, postings: Vec<Posting>) -> Self {
        self.postings = postings;
        self
    }
    /// As the answer to its command.
    pub fn answering(mut self) -> Self {
        self.answers = true;
        self
    }
}

/// Who writes, and since when.
#[derive(Clone, Debug)]
pub struct Author {
    /// The replica's key.
    pub replica: ReplicaKey,
    /// The replica that it follows, where a roll-back was noticed.
    pub follows: Option<ReplicaKey>,
    /// The last stamp given.
    pub last_stamp: Stamp,
}

impl Author {
    /// An author that has not written yet.
    pub fn new(replica: ReplicaKey, follows: Option<ReplicaKey>) -> Self {
        let last_stamp = Stamp { physical_ms: 0, counter: 0, quality: ClockQuality::Unverified };
        Author { replica, follows, last_stamp }
    }

    /// The author's stream in `space`.
    pub fn stream(&self, space: &Space) -> StreamId {
        StreamId::of(&self.replica, space)
    }

    /// Seals `drafts` in order and applies each.
    pub fn write(&mut self, ledger: &mut Ledger, drafts: Vec<Draft>, context: &Context) -> Vec<SealedOp> {
        let mut ops = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let stream = self.stream(&draft.space);
            if ledger.head(&stream).seq == 0 {
                let opening = StreamOpened { replica: self.replica, space: draft.space.clone(), follows: self.follows };
                let opening = Draft::new(draft.space.clone(), Body::StreamOpened(opening));
                ops.push(self.write_one(ledger, stream, opening, context, None));
            }
            let key = if draft.answers { context.key.clone() } else { None };
            ops.push(self.write_one(ledger, stream, draft, context, key));
        }
        ops
    }

    fn write_one(
        &mut self,
        ledger: &mut Ledger,
        stream: StreamId,
        draft: Draft,
        context: &Context,
        key: Option<CommandKey>,
    ) -> SealedOp {
        let head = ledger.head(&stream);
        self.last_stamp = self.last_stamp.not_before(ledger.floor_ms).next(context.wall_ms, context.quality);
        let op = SealedOp::seal(Op {
            version: Version,
            stream,
            seq: head.seq + 1,
            prev: head.hash,
            // A stranger's op may have carried the greatest depth there is; then the stream decides alone.
            lamport: ledger.lamport.saturating_add(1),
            stamp: self.last_stamp,
            deps: deps(ledger, &stream),
            actor: context.actor,
            key,
            postings: draft.postings,
            kind: draft.body.kind(),
            body: draft.body.bytes(),
        });
        let applied = ledger.apply_read(&op, Ok(draft.body));
        assert!(applied, "an op written at the head of its own stream leaves no gap");
        op
    }
}

/// What an author needs to know about a command.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who caused it.
    pub actor: Actor,
    /// The wall clock, milliseconds since 1970 UTC.
    pub wall_ms: u64,
    /// How far it is to be believed.
    pub quality: ClockQuality,
    /// The command's key and fingerprint.
    pub key: Option<CommandKey>,
}

/// Heads of other streams that the stream's author had not seen at its newest op.
fn deps(ledger: &Ledger, stream: &StreamId) -> Vec<Dep> {
    let seen = ledger.streams.get(stream).map(|known| &known.seen);
    let unseen = |other: &StreamId, seq: u64| seen.is_none_or(|seen| seen.get(other) < seq);
    ledger
        .streams
        .iter()
        .filter(|(other, known)| *other != stream && unseen(other, known.head.seq))
        .map(|(other, known)| Dep { op: OpId { stream: *other, seq: known.head.seq }, hash: known.head.hash })
        .collect()
}
