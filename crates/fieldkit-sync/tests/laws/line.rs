//! A line between two kits: frames wait, break off, are lost, come twice, in another order, or damaged.

use crate::stall::{Dice, Stall};
use fieldkit_core::op::Head;
use fieldkit_sync::fault::Close;
use fieldkit_sync::intake::Take;
use fieldkit_sync::session::{Input, Output, Session, Terms};
use fieldkit_sync::shelf::Shelf;
use std::collections::VecDeque;

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    None,
    Lose,
    Twice,
    Swap,
    Flip,
    Cut,
}

pub const HARMS: [Harm; 5] = [Harm::Lose, Harm::Twice, Harm::Swap, Harm::Flip, Harm::Cut];

/// What a talk was.
#[derive(Debug, Default)]
pub struct Talk {
    pub frames: usize,
    pub bytes: usize,
    /// Bytes of ops that were new where they came.
    pub useful: usize,
    pub closes: Vec<(usize, Close)>,
    pub forked: Vec<(usize, u64)>,
    pub own_ahead: Vec<(usize, Head)>,
    pub peer_holds: usize,
    pub takes: usize,
}

struct Side {
    kit: usize,
    session: Session,
    /// Frames on their way to this side.
    inbox: VecDeque<Vec<u8>>,
    /// Brought and not yet durable.
    brought: VecDeque<Take>,
    closed: bool,
}

pub struct Line<'a> {
    sides: [Side; 2],
    dice: Dice,
    harm: &'a mut dyn FnMut(usize) -> Harm,
    whole: bool,
    pub talk: Talk,
    /// Kits that write while they talk: how many more times.
    pub writes: usize,
}

impl<'a> Line<'a> {
    pub fn new(stall: &Stall, kits: [usize; 2], seed: u64, harm: &'a mut dyn FnMut(usize) -> Harm) -> Self {
        let terms = |kit: usize| Terms::whole(stall.kits[kit].author.replica);
        Line::with(stall, kits, kits.map(terms), seed, harm)
    }

    pub fn with(
        stall: &Stall,
        kits: [usize; 2],
        terms: [Terms; 2],
        seed: u64,
        harm: &'a mut dyn FnMut(usize) -> Harm,
    ) -> Self {
        let whole = terms.iter().all(|terms| terms.scope == fieldkit_sync::tip::Scope::Whole);
        let [one, two] = terms;
        let side = |kit: usize, terms: Terms| Side {
            kit,
            session: Session::new(terms, &stall.kits[kit].shelf),
            inbox: VecDeque::new(),
            brought: VecDeque::new(),
            closed: false,
        };
        let sides = [side(kits[0], one), side(kits[1], two)];
        Line { sides, dice: Dice(seed), harm, whole, talk: Talk::default(), writes: 0 }
    }

    /// Plays until both sides have no more to say, or have closed. Never longer than a bound: nothing hangs.
    pub fn play(mut self, stall: &mut Stall) -> Talk {
        let mut rests = 0;
        for _ in 0..20_000 {
            self.empty(stall, 0);
            self.empty(stall, 1);
            if self.sides.iter().all(|side| side.closed) {
                return self.talk;
            }
            let at = self.dice.below(2);
            if self.step(stall, at) || self.step(stall, 1 - at) {
                rests = 0;
                continue;
            }
            if self.writes > 0 && self.sides.iter().all(|side| !side.closed) {
                continue;
            }
            if self.sides.iter().all(|side| side.session.is_even()) {
                return self.talk;
            }
            // Nothing moves and not all is said: something was lost.
            rests += 1;
            assert!(rests < 4, "a session hangs: {:?}", self.talk);
            for side in 0..2 {
                self.say(stall, side, Input::Idle);
                self.empty(stall, side);
            }
        }
        panic!("a talk that does not end: {:?}", self.talk);
    }

    /// One thing that happens at a side; whether there was any.
    fn step(&mut self, stall: &mut Stall, at: usize) -> bool {
        let kit = self.sides[at].kit;
        if self.writes > 0 && self.dice.below(4) == 0 {
            self.writes -= 1;
            stall.write(kit, self.writes as u8, 1);
            if self.dice.below(3) > 0 {
                stall.sign(kit);
                self.say(stall, at, Input::Grew);
            }
            return true;
        }
        if self.dice.below(2) == 0
            && let Some(take) = self.sides[at].brought.pop_front()
        {
            let before = stall.kits[kit].hashes();
            let new = take.ops.iter().filter(|op| !before.contains(&op.hash));
            self.talk.useful += new.map(|op| op.bytes.len()).sum::<usize>();
            stall.kits[kit].take(&take, self.whole);
            stall.check();
            self.say(stall, at, Input::Stored);
            return true;
        }
        if let Some(frame) = self.sides[at].inbox.pop_front() {
            self.say(stall, at, Input::Frame(frame));
            return true;
        }
        !self.sides[at].brought.is_empty()
    }

    fn say(&mut self, stall: &Stall, at: usize, input: Input) {
        let side = &mut self.sides[at];
        side.session.handle(input, &stall.kits[side.kit].shelf);
    }

    fn empty(&mut self, stall: &mut Stall, at: usize) {
        while let Some(output) = self.sides[at].session.poll_output() {
            assert!(!self.sides[at].closed, "nothing follows the end: {output:?}");
            let (kit, peer) = (self.sides[at].kit, self.sides[1 - at].kit);
            match output {
                Output::Frame(bytes) => self.carry(1 - at, bytes),
                Output::Take(take) => {
                    assert!(!take.ops.is_empty());
                    self.talk.takes += 1;
                    self.sides[at].brought.push_back(take);
                }
                Output::Forked { at: seq, .. } => self.talk.forked.push((kit, seq)),
                Output::OwnAhead { stream, head } => {
                    let own = stall.kits[kit].shelf.hashes(fieldkit_core::id::OpId { stream, seq: head.seq });
                    assert!(!own.contains(&head.hash), "own ops that are ahead are not here");
                    self.talk.own_ahead.push((kit, head));
                    stall.kits[kit].dead = true;
                }
                Output::PeerHolds { stream, head } => {
                    let held = fieldkit_core::id::OpId { stream, seq: head.seq };
                    assert!(stall.kits[peer].shelf.holds(held, &head.hash), "what a peer holds is durable there");
                    self.talk.peer_holds += 1;
                }
                Output::Closed(close) => {
                    self.sides[at].closed = true;
                    self.sides[at].brought.clear();
                    self.talk.closes.push((kit, close));
                }
            }
        }
        // What one side closed, the other hears of at last.
        if self.sides[at].closed && !self.sides[1 - at].closed && self.sides[1 - at].inbox.is_empty() {
            self.say(stall, 1 - at, Input::Broken);
        }
    }

    fn carry(&mut self, to: usize, mut bytes: Vec<u8>) {
        let harm = (self.harm)(self.talk.frames);
        self.talk.frames += 1;
        self.talk.bytes += bytes.len();
        let inbox = &mut self.sides[to].inbox;
        match harm {
            Harm::None => inbox.push_back(bytes),
            Harm::Lose => {}
            Harm::Twice => {
                inbox.push_back(bytes.clone());
                inbox.push_back(bytes);
            }
            Harm::Swap => {
                let before = inbox.pop_back();
                inbox.push_back(bytes);
                inbox.extend(before);
            }
            Harm::Flip => {
                let at = self.dice.below(bytes.len() * 8);
                bytes[at / 8] ^= 1 << (at % 8);
                inbox.push_back(bytes);
            }
            Harm::Cut => {
                inbox.clear();
                self.sides.iter_mut().for_each(|side| side.inbox.clear());
                // Both ends see it.
                self.sides[to].inbox.push_back(Vec::new());
            }
        }
    }
}
