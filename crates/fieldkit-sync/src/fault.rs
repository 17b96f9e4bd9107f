//! Why an exchange ends, and what is said about it.
//!
//! Promises: each cause has its own words; what the peer is told is a word of `Farewell`, never a text.
//! Absent on purpose: what to do then. A shell connects again, at once after a broken line, later after a fault.

use fieldkit_core::codec::{DecodeError, words};
use fieldkit_core::id::{OpId, ReplicaKey, StreamId};
use fieldkit_core::op::OpError;

/// Why a session closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// The shell asked for it.
    #[error("the exchange was ended here")]
    Asked,
    /// The connection is gone.
    #[error("the connection broke")]
    Broken,
    /// The peer said goodbye.
    #[error("the other side ended the exchange: {}", .0.text())]
    Peer(Farewell),
    /// The peer did something that cannot be.
    #[error("the exchange was given up")]
    Fault(#[source] Fault),
}

/// What is wrong about what a peer sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A frame is longer than the limit.
    #[error("a frame of {0} bytes is longer than the limit")]
    TooLong(usize),
    /// The peer speaks another version of the protocol.
    #[error("the other side speaks version {0} of the exchange, which this program does not know")]
    Version(u8),
    /// The check at the end of a frame is wrong.
    #[error("a frame was damaged on the way")]
    Damaged,
    /// A frame is missing, came twice, or out of order.
    #[error("frame {expected} was due, frame {found} came")]
    Sequence {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The frame says nothing known.
    #[error("a frame cannot be read")]
    Malformed(#[source] DecodeError),
    /// A frame came where it has no place.
    #[error("the other side said {0} where it has no place")]
    Unasked(&'static str),
    /// The peer belongs to others.
    #[error("the other side belongs to another organisation")]
    Organisation,
    /// The peer has been quiet for too long.
    #[error("the other side does not answer")]
    Silent,
    /// More tips than may be told at once.
    #[error("{0} ends of streams are more than an exchange can tell")]
    Tips(usize),
    /// An end of a stream is not signed by its author.
    #[error("the end of series {} at op {seq} is not signed by its author", .stream.series())]
    Signature {
        /// The stream.
        stream: StreamId,
        /// Position of the end.
        seq: u64,
    },
    /// Bytes that are no op.
    #[error("an op cannot be read")]
    Op(#[source] OpError),
    /// An op does not continue what is here.
    #[error("op {0} does not follow the one before it")]
    Gap(OpId),
    /// A stream does not begin with the op that binds it.
    #[error("series {} does not begin with the op that binds it to its key", .0.series())]
    Unbound(StreamId),
    /// An op came before what it was caused by.
    #[error("op {0} came after an op that it caused")]
    Causes(OpId),
    /// More bytes wait for a signed end than may.
    #[error("{0} bytes came without a signed end, which is more than is kept")]
    Unproven(usize),
    /// All that was asked for is said to have come, and some of it lacks a signed end.
    #[error("{0} ops came without a signed end")]
    Unsigned(usize),
    /// Ops of a replica that nobody admitted.
    #[error("ops of {} came, whom nobody admitted", .0.label())]
    Stranger(ReplicaKey),
    /// All that was asked for is said to have come, and did not.
    #[error("op {0} was told and not brought")]
    NotBrought(OpId),
}

words! {
    /// What a peer is told at the end.
    pub enum Farewell {
        /// All is said, or the program ends.
        0 = Done "it had no more to say",
        /// Another version is spoken.
        1 = Version "it speaks another version",
        /// Another organisation.
        2 = Organisation "it belongs to another organisation",
        /// A frame was lost, damaged, repeated, or came out of order.
        3 = Line "frames were lost or damaged on the way",
        /// No answer came.
        4 = Silent "it heard nothing for too long",
        /// Ops of a replica that nobody admitted.
        5 = Stranger "it does not know the author of some ops",
        /// More came than fits.
        6 = TooMuch "it was too much at once",
        /// What came breaks the rules.
        7 = Rules "what it heard breaks the rules of the exchange",
    }
}

impl Fault {
    /// What the peer is told of it.
    pub fn farewell(&self) -> Farewell {
        match self {
            Fault::Version(_) => Farewell::Version,
            Fault::Organisation => Farewell::Organisation,
            Fault::Damaged | Fault::Sequence { .. } => Farewell::Line,
            Fault::Silent => Farewell::Silent,
            Fault::Stranger(_) => Farewell::Stranger,
            Fault::TooLong(_) | Fault::Tips(_) | Fault::Unproven(_) => Farewell::TooMuch,
            Fault::Malformed(_)
            | Fault::Unasked(_)
            | Fault::Signature { .. }
            | Fault::Op(_)
            | Fault::Gap(_)
            | Fault::Unbound(_)
            | Fault::Causes(_)
            | Fault::Unsigned(_)
            | Fault::NotBrought(_) => Farewell::Rules,
        }
    }
}
