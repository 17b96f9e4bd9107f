//! The op: an immutable fact, its envelope, its hash, its place in a chain.
//!
//! Frozen by the golden bytes in `tests/golden/op`: version, stream, seq, prev, lamport, stamp, deps, actor, command
//! key, postings, kind, body, in this order and in the canonical encoding of `codec`. The canonical bytes *are* the op;
//! its hash is BLAKE3 over them. Postings stand outside the body, so that a kit counts kinds that it does not know.
//! Absent on purpose: signatures on single ops (heads are signed), and any reading of the body (see `body`).

use crate::codec::{Canonical, DecodeError, Reader, choice, put_bytes, record};
use crate::id::{Hash, OpId, PoolId, ReplicaKey, StreamId, Zero};
use crate::money::Currency;
use crate::stamp::Stamp;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// The envelope version that this build writes; it reads no other.
pub const ENVELOPE_VERSION: u8 = 1;
/// The longest op accepted, in bytes.
pub const OP_BYTES_MAX: usize = 1 << 20;
/// The longest command key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;

record! {
    /// The head of another stream when an op was written.
    #[derive(Copy)]
    pub struct Dep {
        /// The other stream's newest op known to the author.
        pub op: OpId,
        /// Its hash.
        pub hash: Hash,
    }
}

choice! {
    /// Who caused an op.
    #[derive(Copy)]
    pub enum Actor {
        /// The replica itself.
        0 = Device(Zero),
        /// A person, by the op that added them.
        1 = Person(OpId),
    }
}

record! {
    /// What makes a command repeatable: its key, and a fingerprint of its content.
    pub struct CommandKey {
        /// The caller's key, at most 64 bytes.
        pub key: Key,
        /// The first 16 bytes of BLAKE3 over the request.
        pub fingerprint: [u8; 16],
    }
}

impl CommandKey {
    /// The key of what the kit says by itself: `name` is of this and nothing else, `content` is all that is said.
    pub fn named(name: Hash, content: &[u8]) -> Self {
        CommandKey { key: Key(name.0.to_vec()), fingerprint: Hash::of(content).half() }
    }
}

/// A command key: 1 to 64 bytes, chosen by the caller, unique per command.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of `bytes`; `None` where they are none or too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=KEY_BYTES_MAX).contains(&bytes.len()).then(|| Key(bytes.to_vec()))
    }
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Canonical for Key {
    fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.0);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Key::new(input.bytes()?).ok_or(DecodeError::Range("command key"))
    }
}

choice! {
    /// What a posting counts.
    #[derive(Copy, PartialOrd, Ord)]
    pub enum Unit {
        /// Minor units of a currency.
        0 = Money(Currency),
        /// Units of a pool.
        1 = Pool(PoolId),
    }
}

/// An account that postings move between. Numbers from 1,000 up are free for kinds yet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account(pub u16);

impl Account {
    /// Cash in the drawer.
    pub const CASH: Account = Account(1);
    /// Revenue without tax.
    pub const SALES: Account = Account(2);
    /// Tax owed.
    pub const TAX: Account = Account(3);
    /// Money put into or taken out of the drawer by the crew.
    pub const CASH_MOVED: Account = Account(4);
    /// Cash over or short at a count.
    pub const CASH_VARIANCE: Account = Account(5);
    /// Money that terminals of the kit have taken.
    pub const CARD: Account = Account(6);
    /// Money that the crew's own readers have taken, by the crew's word, until a settlement confirms it.
    pub const ATTESTED: Account = Account(7);
    /// Money that terminals have taken without the issuer.
    pub const AT_RISK: Account = Account(8);
    /// Money taken for orders that are not paid whole, or no longer.
    pub const PREPAID: Account = Account(9);
    /// Money at risk that never came.
    pub const LOST: Account = Account(10);
    /// Units that may be sold here.
    pub const STOCK: Account = Account(16);
    /// Units handed to buyers.
    pub const SOLD: Account = Account(17);
    /// Units delivered, found, counted in.
    pub const SUPPLY: Account = Account(18);
    /// Units damaged, lost, written off.
    pub const WRITTEN_OFF: Account = Account(19);
    /// Units set aside for orders that wait for their payment.
    pub const HELD: Account = Account(20);
}

impl Canonical for Account {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Canonical::read(input).map(Account)
    }
}

record! {
    /// One leg of a double entry. Per unit, the postings of an op sum to zero.
    #[derive(Copy)]
    pub struct Posting {
        /// The account that changes.
        pub account: Account,
        /// What is counted.
        pub unit: Unit,
        /// By how much.
        pub amount: i64,
    }
}

record! {
    /// The envelope and body of one op.
    pub struct Op {
        /// Always [`ENVELOPE_VERSION`].
        pub version: Version,
        /// The stream it belongs to.
        pub stream: StreamId,
        /// Position in the stream, dense from 1.
        pub seq: u64,
        /// Hash of the op before it; zero for the first.
        pub prev: Hash,
        /// One more than the deepest op that its author knew.
        pub lamport: u64,
        /// When, and how surely.
        pub stamp: Stamp,
        /// Heads of other streams that changed since the author's previous op, ascending.
        pub deps: Vec<Dep>,
        /// Who.
        pub actor: Actor,
        /// The command that it answers, where there is one.
        pub key: Option<CommandKey>,
        /// Money and units moved.
        pub postings: Vec<Posting>,
        /// What the body is; see `body`.
        pub kind: u16,
        /// The body's canonical bytes.
        pub body: Vec<u8>,
    }
}

/// The envelope version byte: decodes only if this build can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl Canonical for Version {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(ENVELOPE_VERSION);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.take(1)?[0] {
            ENVELOPE_VERSION => Ok(Version),
            other => Err(DecodeError::Tag { what: "envelope version", value: u64::from(other) }),
        }
    }
}

/// Why bytes are not an op.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Longer than [`OP_BYTES_MAX`].
    #[error("an op of {0} bytes is longer than the limit")]
    TooLong(usize),
    /// Not canonical.
    #[error("not a canonical op")]
    Decode(#[source] DecodeError),
    /// Sequence numbers start at 1.
    #[error("an op cannot stand at position 0")]
    Position,
    /// Deps are not strictly ascending, or name the op's own stream.
    #[error("the deps are not in ascending order or name the op's own stream")]
    Deps,
    /// Postings of one unit do not sum to zero.
    #[error("the postings do not balance")]
    Unbalanced,
}

/// An op with its canonical bytes and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedOp {
    /// The op.
    pub op: Op,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// BLAKE3 of the bytes.
    pub hash: Hash,
}

impl SealedOp {
    /// Seals an op that this build made.
    pub fn seal(op: Op) -> Self {
        let bytes = op.to_bytes();
        let hash = Hash::of(&bytes);
        SealedOp { op, bytes, hash }
    }

    /// Opens bytes from anywhere: canonical, in range, balanced, or refused.
    pub fn open(bytes: &[u8]) -> Result<Self, OpError> {
        if bytes.len() > OP_BYTES_MAX {
            return Err(OpError::TooLong(bytes.len()));
        }
        let op = Op::from_bytes(bytes).map_err(OpError::Decode)?;
        if op.seq == 0 {
            return Err(OpError::Position);
        }
        let ascending = op.deps.windows(2).all(|pair| pair[0].op.stream < pair[1].op.stream);
        if !ascending || op.deps.iter().any(|dep| dep.op.stream == op.stream) {
            return Err(OpError::Deps);
        }
        if !balanced(&op.postings) {
            return Err(OpError::Unbalanced);
        }
        Ok(SealedOp { op, bytes: bytes.to_vec(), hash: Hash::of(bytes) })
    }

    /// The op's dot.
    pub fn id(&self) -> OpId {
        OpId { stream: self.op.stream, seq: self.op.seq }
    }

    /// Whether this op continues a chain that ends in `head`.
    pub fn follows(&self, head: &Head) -> bool {
        head.seq.checked_add(1) == Some(self.op.seq) && self.op.prev == head.hash
    }
}

/// Whether the postings of each unit sum to zero.
pub fn balanced(postings: &[Posting]) -> bool {
    postings.iter().all(|one| {
        let same = postings.iter().filter(|other| other.unit == one.unit);
        same.map(|posting| i128::from(posting.amount)).sum::<i128>() == 0
    })
}

record! {
    /// The end of a stream's chain.
    #[derive(Copy, Default)]
    pub struct Head {
        /// Position of the newest op; 0 where there is none.
        pub seq: u64,
        /// Its hash; zero where there is none.
        pub hash: Hash,
    }
}

impl Head {
    /// The bytes that a head signature covers.
    fn signed_bytes(&self, stream: &StreamId) -> Vec<u8> {
        let mut bytes = b"fieldkit head v1".to_vec();
        stream.write(&mut bytes);
        self.write(&mut bytes);
        bytes
    }

    /// Signs the head of `stream`.
    pub fn sign(&self, stream: &StreamId, key: &SigningKey) -> [u8; 64] {
        key.sign(&self.signed_bytes(stream)).to_bytes()
    }

    /// Whether `signature` is `replica`'s over this head.
    pub fn verify(&self, stream: &StreamId, replica: &ReplicaKey, signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&replica.0) else { return false };
        key.verify_strict(&self.signed_bytes(stream), &Signature::from_bytes(signature)).is_ok()
    }
}
