//! Frames: what two replicas say to each other, as bytes.
//!
//! Promises: version first, then the frame's number, so that a lost, repeated or swapped frame is noticed, and eight bytes
//! of BLAKE3 at the end, so that a damaged one is. Frozen by the golden bytes in `tests/golden/exchange`.
//! Absent on purpose: secrecy and authorship of frames, which are the connection's.

use crate::fault::{Farewell, Fault};
use crate::tip::{Mark, Tip};
use fieldkit_core::codec::{Canonical, DecodeError, Reader, choice, record};
use fieldkit_core::id::{Hash, ReplicaKey, StreamId, Zero};

/// The version of the exchange that this build speaks; it speaks no other.
pub const EXCHANGE_VERSION: u8 = 1;
/// The longest frame, in bytes: twice what the longest op and a batch need.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// How much is sent before the peer must ask for more, in bytes of ops; one op may be longer.
pub const BATCH_BYTES: usize = 256 << 10;
/// Most ends of streams told at once.
pub const TIPS_MAX: usize = 4096;
/// Most ops of one stream that a want may name.
pub const MARKS_MAX: usize = 1024;
/// Bytes of the check at the end of a frame.
const CHECK_BYTES: usize = 8;

record! {
    /// Who speaks, and whether there is anything to say.
    pub struct Hello {
        /// The organisation's public key.
        pub organisation: [u8; 32],
        /// The speaker.
        pub replica: ReplicaKey,
        /// The digest of all ends of streams that it may tell; where both are equal, nobody tells any.
        pub digest: [u8; 16],
    }
}

record! {
    /// What is lacking of a stream.
    pub struct Lack {
        /// The stream.
        pub stream: StreamId,
        /// Which of the ends told are wanted.
        pub tips: Vec<Mark>,
        /// What is there already.
        pub have: Vec<Mark>,
    }
}

record! {
    /// Ops of what was wanted.
    pub struct Batch {
        /// Their bytes, causes first.
        pub ops: Vec<Vec<u8>>,
        /// Earlier signed ends of their streams.
        pub heads: Vec<Tip>,
        /// Whether this was all.
        pub last: bool,
    }
}

choice! {
    /// What a frame says.
    pub enum Message {
        /// The first frame of each side.
        0 = Hello(Hello),
        /// Ends of streams that the speaker holds and the peer may not. Answered by `Seen`, after what it wants came.
        1 = Tips(Vec<Tip>),
        /// What the speaker lacks of the ends told. Answered by `Ops`.
        2 = Want(Vec<Lack>),
        /// Some of it.
        3 = Ops(Batch),
        /// The next batch may come.
        4 = More(Zero),
        /// Which of the ends told are durable here now, by their place among them.
        5 = Seen(Vec<u32>),
        /// A sign of life; one that asks (`true`) is answered by one that does not.
        6 = Alive(bool),
        /// The last frame.
        7 = Bye(Farewell),
    }
}

/// The bytes of the frame with this number.
pub fn frame(number: u64, message: &Message) -> Vec<u8> {
    let mut bytes = vec![EXCHANGE_VERSION];
    number.write(&mut bytes);
    message.write(&mut bytes);
    bytes.extend(check(&bytes));
    bytes
}

/// The message of the frame that is due.
pub fn open(bytes: &[u8], due: u64) -> Result<Message, Fault> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(Fault::TooLong(bytes.len()));
    }
    // First of all, for another version may check its frames in another way.
    let version = *bytes.first().ok_or(Fault::Damaged)?;
    if version != EXCHANGE_VERSION {
        return Err(Fault::Version(version));
    }
    let (said, found) = bytes.split_at(bytes.len().saturating_sub(CHECK_BYTES));
    if found != check(said) {
        return Err(Fault::Damaged);
    }
    let mut input = Reader::new(said);
    u8::read(&mut input).map_err(Fault::Malformed)?;
    let number = u64::read(&mut input).map_err(Fault::Malformed)?;
    if number != due {
        return Err(Fault::Sequence { expected: due, found: number });
    }
    let message = Message::read(&mut input).map_err(Fault::Malformed)?;
    match input.left() {
        0 => Ok(message),
        more => Err(Fault::Malformed(DecodeError::Trailing(more))),
    }
}

/// The digest of ends of streams: equal where the same ones are held.
pub fn digest(tips: &[Tip]) -> [u8; 16] {
    let mut ends: Vec<_> = tips.iter().map(|tip| (tip.stream(), (tip.head.seq, tip.head.hash))).collect();
    ends.sort();
    Hash::derived("fieldkit 2026-11 exchange tips", &ends.to_bytes()).half()
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&Hash::derived("fieldkit 2026-11 exchange frame", bytes).0[..CHECK_BYTES]);
    check
}
