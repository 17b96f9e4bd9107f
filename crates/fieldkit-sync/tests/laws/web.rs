//! Kits that talk with all others at once, as a hub does: what one session brings, the others tell on.

use crate::stall::{Dice, Stall};
use fieldkit_core::id::Hash;
use fieldkit_sync::intake::Take;
use fieldkit_sync::session::{Input, Output, Session, Terms};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

/// One end of one line.
struct End {
    kit: usize,
    /// The other end of the line.
    other: usize,
    session: Session,
    inbox: VecDeque<Vec<u8>>,
    brought: VecDeque<Take>,
}

struct Web {
    ends: Vec<End>,
    bytes: usize,
}

impl Web {
    fn new(stall: &Stall, lines: &[(usize, usize)]) -> Self {
        let mut ends = Vec::new();
        for (one, two) in lines {
            let first = ends.len();
            for (kit, other) in [(*one, first + 1), (*two, first)] {
                let session = Session::new(Terms::whole(stall.kits[kit].author.replica), &stall.kits[kit].shelf);
                ends.push(End { kit, other, session, inbox: VecDeque::new(), brought: VecDeque::new() });
            }
        }
        Web { ends, bytes: 0 }
    }

    fn say(&mut self, stall: &Stall, at: usize, input: Input) {
        let end = &mut self.ends[at];
        end.session.handle(input, &stall.kits[end.kit].shelf);
        while let Some(output) = self.ends[at].session.poll_output() {
            match output {
                Output::Frame(bytes) => {
                    self.bytes += bytes.len();
                    let other = self.ends[at].other;
                    self.ends[other].inbox.push_back(bytes);
                }
                Output::Take(take) => self.ends[at].brought.push_back(take),
                Output::Closed(close) => panic!("good lines give no reason to close: {close:?}"),
                Output::Forked { .. } | Output::OwnAhead { .. } | Output::PeerHolds { .. } => {}
            }
        }
    }

    /// Says to all ends of a kit but one that its shelf has grown.
    fn grew(&mut self, stall: &Stall, kit: usize, but: Option<usize>) {
        for at in (0..self.ends.len()).filter(|at| Some(*at) != but) {
            if self.ends[at].kit == kit {
                self.say(stall, at, Input::Grew);
            }
        }
    }

    fn play(&mut self, stall: &mut Stall, dice: &mut Dice, mut writes: usize) {
        for at in 0..self.ends.len() {
            self.say(stall, at, Input::Grew);
        }
        for _ in 0..50_000 {
            let busy: Vec<usize> = (0..self.ends.len())
                .filter(|at| !self.ends[*at].inbox.is_empty() || !self.ends[*at].brought.is_empty())
                .collect();
            if writes > 0 && (busy.is_empty() || dice.below(6) == 0) {
                writes -= 1;
                let kit = dice.below(stall.kits.len());
                stall.write(kit, writes as u8, 1);
                stall.sign(kit);
                self.grew(stall, kit, None);
                continue;
            }
            let Some(at) = busy.get(dice.below(busy.len())).copied() else {
                assert!(self.ends.iter().all(|end| end.session.is_even()), "nothing moves, and not all is said");
                return;
            };
            let kit = self.ends[at].kit;
            if let Some(frame) = self.ends[at].inbox.pop_front() {
                self.say(stall, at, Input::Frame(frame));
            } else if let Some(take) = self.ends[at].brought.pop_front() {
                // Another session may have brought the same: its ops are known by their hashes.
                stall.kits[kit].take(&take, true);
                self.say(stall, at, Input::Stored);
                self.grew(stall, kit, Some(at));
            }
        }
        panic!("talks that do not end");
    }
}

proptest! {
    #[test]
    fn kits_that_talk_with_all_others_at_once_have_all_ops(
        kits in 3u8..5,
        before in vec((0usize..4, any::<u8>(), 1usize..4), 0..8),
        hub: bool,
        seed: u64,
    ) {
        let mut stall = Stall::new(kits);
        let count = usize::from(kits);
        crate::merge::heal(&mut stall, seed);
        for (at, what, times) in before {
            stall.write(at % count, what, times);
            stall.sign(at % count);
        }
        let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |two| (one, two)));
        let lines: Vec<(usize, usize)> = pairs.filter(|(one, _)| !hub || *one == 0).collect();
        let mut web = Web::new(&stall, &lines);
        web.play(&mut stall, &mut Dice(seed), 30);
        stall.check();
        let union: BTreeSet<Hash> = stall.kits.iter().flat_map(|kit| kit.hashes()).collect();
        stall.check_even(&union);
    }
}
