//! Witnesses: whoever saw a head of this kit can tell that it went back.
//!
//! Promises: a verdict depends on the chain and on what was seen alone.
//! Absent on purpose: what follows from it (`fieldkit-engine`), and how it was told (`fieldkit-http`).

use crate::id::{Hash, StreamId};
use crate::op::Head;

/// What a witness says it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A whole head, as till pages and peers keep it.
    Head {
        /// The stream.
        stream: StreamId,
        /// Position and hash.
        head: Head,
    },
    /// What a person reads from a slip: position and four characters.
    Slip {
        /// Position.
        seq: u64,
        /// The characters.
        check: String,
    },
}

/// What the sighting means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The chain contains what was seen.
    Agrees,
    /// More was seen than is here: this kit went back.
    Ahead,
    /// Something else was seen in this place: this kit went back and wrote anew, or was copied.
    Contradicts,
    /// The stream is not known here.
    UnknownStream,
}

impl Verdict {
    /// The word.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Agrees => "agrees",
            Verdict::Ahead => "ahead",
            Verdict::Contradicts => "contradicts",
            Verdict::UnknownStream => "unknown_stream",
        }
    }
}

/// Judges what was seen at `seq` against the chain that ends in `head`; `found` is the hash at `seq`, where it is here.
pub fn judge(head: Head, seq: u64, found: Option<Hash>, matches: impl Fn(&Hash) -> bool) -> Verdict {
    match found {
        _ if head.seq == 0 => Verdict::UnknownStream,
        _ if seq > head.seq => Verdict::Ahead,
        Some(hash) if matches(&hash) => Verdict::Agrees,
        Some(_) | None => Verdict::Contradicts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_beyond_ours_means_that_we_went_back() {
        let ours = Head { seq: 5, hash: Hash::of(b"5") };
        assert_eq!(judge(ours, 6, None, |_| true), Verdict::Ahead);
        assert_eq!(judge(ours, 5, Some(ours.hash), |hash| *hash == Hash::of(b"5")), Verdict::Agrees);
        assert_eq!(judge(ours, 5, Some(ours.hash), |hash| *hash == Hash::of(b"6")), Verdict::Contradicts);
        assert_eq!(judge(Head::default(), 5, None, |_| true), Verdict::UnknownStream);
    }
}
