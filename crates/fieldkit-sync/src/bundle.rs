//! Bundles: an exchange as a file on a stick, one way and without an answer.
//!
//! Promises: verified as a session verifies, by the signed ends that it carries; importing it twice changes nothing; a cut
//! or damaged one gives nothing. Whoever makes one for a receiver whose ends it knows leaves out what that one has.
//! Absent on purpose: secrecy. A bundle is as open as a journal.

use crate::fault::Fault;
use crate::intake::{Intake, Take};
use crate::shelf::{Ask, Shelf};
use crate::tip::{Scope, Tip};
use crate::wire::BATCH_BYTES;
use fieldkit_core::codec::{Canonical, DecodeError, Reader, put_bytes, record};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use std::collections::{BTreeMap, BTreeSet};

/// How a bundle begins.
pub const MAGIC: &[u8; 16] = b"fieldkit bundle\n";
/// The version that this build writes; it reads no other.
pub const BUNDLE_VERSION: u8 = 1;
/// Bytes of the hash at its end.
const HASH_BYTES: usize = 32;

record! {
    /// What a bundle holds, behind magic and version and before its hash.
    pub struct Content {
        /// The organisation's public key.
        pub organisation: [u8; 32],
        /// Who made it.
        pub replica: ReplicaKey,
        /// All ends of streams that the maker has.
        pub tips: Vec<Tip>,
        /// Ops below them, causes first.
        pub ops: Vec<Vec<u8>>,
    }
}

/// A bundle that was read and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Who made it.
    pub replica: ReplicaKey,
    /// What is new, to be made durable whole. Empty where all is here.
    pub take: Take,
    /// Ends of own streams that are not here: this kit went back, or was copied.
    pub own_ahead: Vec<(StreamId, Head)>,
    /// What the maker has, by its own word; of these ends, a witness.
    pub maker_holds: Vec<(StreamId, Head)>,
}

/// Why a file gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is something else.
    #[error("the file is no bundle")]
    NoBundle,
    /// Of another version.
    #[error("the bundle is of version {0}, which this program does not know")]
    Version(u8),
    /// Cut, or damaged.
    #[error("the bundle is cut or damaged: make it once more")]
    Damaged,
    /// Its hash is right, and it cannot be read.
    #[error("the bundle cannot be read")]
    Malformed(#[source] DecodeError),
    /// It is of others.
    #[error("the bundle belongs to another organisation")]
    Organisation,
    /// It leaves out ops that this replica has not.
    #[error("the bundle was made for a replica that has more than this one: make a whole one")]
    Gap(#[source] Fault),
    /// What it holds breaks the rules.
    #[error("the bundle is not taken")]
    Fault(#[source] Fault),
}

/// What a bundle says about itself, before anything of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The organisation's public key.
    pub organisation: [u8; 32],
    /// Who made it.
    pub replica: ReplicaKey,
    /// Streams whose ends it names.
    pub streams: usize,
    /// Ops in it.
    pub ops: usize,
}

impl Label {
    /// Reads what a file says about itself.
    pub fn read(bytes: &[u8]) -> Result<Label, BundleError> {
        let Content { organisation, replica, tips, ops } = read(bytes)?;
        let streams: BTreeSet<StreamId> = tips.iter().map(Tip::stream).collect();
        Ok(Label { organisation, replica, streams: streams.len(), ops: ops.len() })
    }
}

impl Bundle {
    /// A bundle of all that `scope` allows, but for what lies below `known`: ends that the receiver is known to have.
    pub fn of(shelf: &impl Shelf, replica: ReplicaKey, scope: &Scope, known: &[(StreamId, Head)]) -> Vec<u8> {
        let tips: Vec<Tip> = shelf.tips().into_iter().filter(|tip| scope.allows(&tip.space)).collect();
        let mut asks: BTreeMap<StreamId, Ask> = BTreeMap::new();
        for tip in &tips {
            let stream = tip.stream();
            let ask = asks.entry(stream).or_insert_with(|| Ask { stream, tips: Vec::new(), common: Vec::new() });
            ask.tips.push(tip.head);
        }
        for (stream, head) in known {
            let here = shelf.holds(OpId { stream: *stream, seq: head.seq }, &head.hash);
            if let Some(ask) = asks.get_mut(stream).filter(|_| here) {
                ask.common.push(*head);
            }
        }
        let asks: Vec<Ask> = asks.into_values().collect();
        let mut ops = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let parcel = shelf.missing(&asks, at, BATCH_BYTES);
            ops.extend(parcel.ops);
            from = parcel.next;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.push(BUNDLE_VERSION);
        put_bytes(&mut bytes, &Content { organisation: shelf.organisation(), replica, tips, ops }.to_bytes());
        bytes.extend(check(&bytes).0);
        bytes
    }

    /// Reads and verifies a bundle for `replica`, whose ops `shelf` holds. Nothing of a bad one is given on.
    pub fn open(bytes: &[u8], shelf: &impl Shelf, replica: &ReplicaKey, scope: &Scope) -> Result<Bundle, BundleError> {
        let content = read(bytes)?;
        if content.organisation != shelf.organisation() {
            return Err(BundleError::Organisation);
        }
        if let Some(bad) = content.tips.iter().find(|tip| !tip.is_signed()) {
            return Err(BundleError::Fault(Fault::Signature { stream: bad.stream(), seq: bad.head.seq }));
        }
        let ends = |tip: &Tip| (tip.stream(), tip.head);
        let (here, new): (Vec<Tip>, Vec<Tip>) =
            content.tips.into_iter().partition(|tip| shelf.holds(tip.op(), &tip.head.hash));
        let wanted: Vec<Tip> = new.into_iter().filter(|tip| scope.allows(&tip.space)).collect();
        let own_ahead = wanted.iter().filter(|tip| tip.replica == *replica).map(ends).collect();
        let maker_holds = here.iter().chain(&wanted).map(ends).collect();
        let fault = |fault| match fault {
            Fault::Gap(_) | Fault::NotBrought(_) => BundleError::Gap(fault),
            other => BundleError::Fault(other),
        };
        let mut intake = Intake::default();
        intake.expect(wanted);
        for op in &content.ops {
            let op = SealedOp::open(op).map_err(|error| fault(Fault::Op(error)))?;
            // What is out of scope here is passed over, and so are streams that are here whole.
            if intake.expects(&op.op.stream) {
                intake.add(shelf, op, bytes.len()).map_err(fault)?;
            }
        }
        let take = intake.release(shelf).unwrap_or_default();
        intake.finish(shelf).map_err(fault)?;
        Ok(Bundle { replica: content.replica, take, own_ahead, maker_holds })
    }
}

fn read(bytes: &[u8]) -> Result<Content, BundleError> {
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(BundleError::NoBundle)?;
    let version = *rest.first().ok_or(BundleError::Damaged)?;
    if version != BUNDLE_VERSION {
        return Err(BundleError::Version(version));
    }
    let (said, found) = bytes.split_at(bytes.len().saturating_sub(HASH_BYTES));
    if found != check(said).0 || said.len() <= MAGIC.len() {
        return Err(BundleError::Damaged);
    }
    let mut input = Reader::new(&said[MAGIC.len() + 1..]);
    let content = input.bytes().map_err(BundleError::Malformed)?;
    match input.left() {
        0 => Content::from_bytes(content).map_err(BundleError::Malformed),
        more => Err(BundleError::Malformed(DecodeError::Trailing(more))),
    }
}

fn check(bytes: &[u8]) -> Hash {
    Hash::derived("fieldkit 2026-11 bundle", bytes)
}
