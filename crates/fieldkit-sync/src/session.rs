//! A session: one connection with one peer, from the first frame to the last.
//!
//! The talk, which runs in both directions at once and independently: `Hello` with a digest of all signed ends; where the
//! digests differ, `Tips` tells the ends; the other side says `Want` for those it lacks, gets `Ops` batch by batch, each
//! after `More`, and answers `Seen` once they are durable. Growth is told by `Tips` again, when the last ones are answered.
//! Promises: one batch and one telling under way per direction; nothing is acknowledged before `Input::Stored`; every
//! frame that has no place, and every lost, repeated, swapped or damaged one, closes the session with its reason.
//! Absent on purpose: time. The shell says `Input::Idle` when it heard nothing for as long as it wants to wait; a second
//! time without a frame in between closes the session, so nothing hangs.

use crate::fault::{Close, Farewell, Fault};
use crate::intake::{Intake, Take};
use crate::shelf::{Ask, Shelf, samples};
use crate::tip::{Mark, Scope, Tip};
use crate::wire::{self, BATCH_BYTES, Batch, FRAME_BYTES_MAX, Hello, Lack, MARKS_MAX, Message, TIPS_MAX};
use fieldkit_core::id::{Hash, ReplicaKey, StreamId, Zero};
use fieldkit_core::op::{Head, SealedOp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many bytes of ops wait at most until a signed end vouches for them, if nobody says otherwise.
pub const UNPROVEN_BYTES_MAX: usize = 64 << 20;

/// Who exchanges what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// This replica.
    pub replica: ReplicaKey,
    /// What is offered and accepted.
    pub scope: Scope,
    /// How many bytes of ops may wait for a signed end.
    pub unproven_bytes_max: usize,
}

impl Terms {
    /// Everything, within the usual bounds.
    pub fn whole(replica: ReplicaKey) -> Self {
        Terms { replica, scope: Scope::Whole, unproven_bytes_max: UNPROVEN_BYTES_MAX }
    }
}

/// Everything that reaches a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A frame from the peer.
    Frame(Vec<u8>),
    /// What the last `Take` brought is durable, and the shelf shows it.
    Stored,
    /// The shelf has new signed ends: by own ops or by another session.
    Grew,
    /// Nothing came from the peer for a while.
    Idle,
    /// The connection is gone.
    Broken,
    /// Say goodbye.
    Close,
}

/// Everything that leaves a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame.
    Frame(Vec<u8>),
    /// Make this durable and say `Stored`.
    Take(Take),
    /// A stream has two branches from here on, as of the next `Take`. Said once a session.
    Forked {
        /// The stream.
        stream: StreamId,
        /// Where they part.
        at: u64,
    },
    /// The peer has signed ops of this replica that are not here: this kit went back, or was copied.
    OwnAhead {
        /// The stream.
        stream: StreamId,
        /// What the peer has.
        head: Head,
    },
    /// The peer has this op and all before it durably, by its own word.
    PeerHolds {
        /// The stream.
        stream: StreamId,
        /// How far.
        head: Head,
    },
    /// The last output.
    Closed(Close),
}

/// What this side does with the ends that the peer told.
#[derive(Debug, Default)]
enum Hearing {
    /// Nothing.
    #[default]
    Quiet,
    /// It waits for ops.
    Fetching(Vec<Tip>),
    /// It waits until the shell has stored ops; whether they were the last.
    Storing(Vec<Tip>, bool),
}

/// What this side told the peer.
#[derive(Debug, Default)]
enum Telling {
    /// Nothing that waits for an answer.
    #[default]
    Quiet,
    /// These ends.
    Told(Vec<Tip>),
    /// These, and ops below them are on their way: what is asked, and where the next batch starts.
    Serving(Vec<Tip>, Vec<Ask>, u64),
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    terms: Terms,
    /// Own ends as of the hello, until the peer's came.
    greeting: Option<Vec<Tip>>,
    peer: Option<ReplicaKey>,
    sent: u64,
    heard: u64,
    hearing: Hearing,
    telling: Telling,
    intake: Intake,
    /// Own ends that the peer knows of.
    shared: BTreeSet<(StreamId, Hash)>,
    /// Whether nothing was heard since the shell said so last.
    idle: bool,
    closed: bool,
    outputs: VecDeque<Output>,
}

impl Session {
    /// Begins, with a hello.
    pub fn new(terms: Terms, shelf: &impl Shelf) -> Self {
        let mut session = Session {
            terms,
            greeting: None,
            peer: None,
            sent: 0,
            heard: 0,
            hearing: Hearing::Quiet,
            telling: Telling::Quiet,
            intake: Intake::default(),
            shared: BTreeSet::new(),
            idle: false,
            closed: false,
            outputs: VecDeque::new(),
        };
        let tips = session.offered(shelf);
        let hello =
            Hello { organisation: shelf.organisation(), replica: session.terms.replica, digest: wire::digest(&tips) };
        session.send(&Message::Hello(hello));
        session.greeting = Some(tips);
        session
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, shelf: &impl Shelf) {
        if self.closed {
            return;
        }
        let done = match input {
            Input::Frame(bytes) => self.hear(&bytes, shelf),
            Input::Stored => self.stored(shelf),
            Input::Grew => self.tell(shelf),
            Input::Idle => self.idle(),
            Input::Broken => return self.close(Close::Broken),
            Input::Close => {
                self.send(&Message::Bye(Farewell::Done));
                return self.close(Close::Asked);
            }
        };
        if let Err(fault) = done {
            self.send(&Message::Bye(fault.farewell()));
            self.close(Close::Fault(fault));
        }
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Who the peer says it is, once it said so. The connection knows better: the shell compares.
    pub fn peer(&self) -> Option<ReplicaKey> {
        self.peer
    }

    /// Whether the session has closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether all that is known to both sides is told, brought and answered.
    pub fn is_even(&self) -> bool {
        let quiet = matches!((&self.hearing, &self.telling), (Hearing::Quiet, Telling::Quiet));
        self.greeting.is_none() && quiet && !self.closed
    }

    fn hear(&mut self, bytes: &[u8], shelf: &impl Shelf) -> Result<(), Fault> {
        let message = wire::open(bytes, self.heard)?;
        self.heard += 1;
        self.idle = false;
        match message {
            Message::Hello(hello) => self.greeted(&hello, shelf),
            Message::Bye(farewell) => {
                self.close(Close::Peer(farewell));
                Ok(())
            }
            _ if self.greeting.is_some() => Err(Fault::Unasked("something before its hello")),
            Message::Tips(tips) => self.told(tips, shelf),
            Message::Want(lacks) => self.wanted(&lacks, shelf),
            Message::Ops(batch) => self.brought(batch, shelf),
            Message::More(_) => match std::mem::take(&mut self.telling) {
                Telling::Serving(tips, asks, from) => self.serve(tips, asks, from, shelf),
                Telling::Quiet | Telling::Told(_) => Err(Fault::Unasked("more")),
            },
            Message::Seen(places) => self.seen(&places, shelf),
            Message::Alive(asks) => {
                if asks {
                    self.send(&Message::Alive(false));
                }
                Ok(())
            }
        }
    }

    fn greeted(&mut self, hello: &Hello, shelf: &impl Shelf) -> Result<(), Fault> {
        let Some(tips) = self.greeting.take() else { return Err(Fault::Unasked("hello")) };
        if hello.organisation != shelf.organisation() {
            return Err(Fault::Organisation);
        }
        self.peer = Some(hello.replica);
        if hello.digest == wire::digest(&tips) {
            tips.iter().for_each(|tip| self.peer_holds(tip));
        }
        self.tell(shelf)
    }

    // --- what the peer has and this side lacks

    fn told(&mut self, tips: Vec<Tip>, shelf: &impl Shelf) -> Result<(), Fault> {
        if !matches!(self.hearing, Hearing::Quiet) {
            return Err(Fault::Unasked("new ends before the last ones were answered"));
        }
        if tips.len() > TIPS_MAX {
            return Err(Fault::Tips(tips.len()));
        }
        let lacking = |tip: &&Tip| self.terms.scope.allows(&tip.space) && !shelf.holds(tip.op(), &tip.head.hash);
        let wanted: Vec<Tip> = tips.iter().filter(lacking).cloned().collect();
        // What is here was verified when it came.
        if let Some(bad) = wanted.iter().find(|tip| !tip.is_signed()) {
            return Err(Fault::Signature { stream: bad.stream(), seq: bad.head.seq });
        }
        for tip in wanted.iter().filter(|tip| tip.replica == self.terms.replica) {
            self.outputs.push_back(Output::OwnAhead { stream: tip.stream(), head: tip.head });
        }
        if wanted.is_empty() {
            return self.answer(&tips, shelf);
        }
        let lacks = self.lacks(&wanted, shelf);
        self.intake.expect(wanted);
        self.hearing = Hearing::Fetching(tips);
        self.send_bounded(&Message::Want(lacks))
    }

    /// What is wanted of each stream, and what is here of it.
    fn lacks(&self, wanted: &[Tip], shelf: &impl Shelf) -> Vec<Lack> {
        let mut streams: BTreeMap<StreamId, (Vec<Mark>, Vec<Head>)> = BTreeMap::new();
        for tip in wanted {
            streams.entry(tip.stream()).or_default().0.push(Mark::of(tip.head.seq, &tip.head.hash));
        }
        for tip in shelf.tips() {
            if let Some((_, own)) = streams.get_mut(&tip.stream()) {
                own.push(tip.head);
            }
        }
        let lack = |(stream, (tips, own)): (StreamId, (Vec<Mark>, Vec<Head>))| {
            // What both know needs no samples.
            let shared = own.iter().all(|head| self.shared.contains(&(stream, head.hash)));
            let have = if shared {
                own.iter().map(|head| Mark::of(head.seq, &head.hash)).collect()
            } else {
                samples(shelf, stream, &own)
            };
            Lack { stream, tips, have: have.into_iter().rev().take(MARKS_MAX).collect() }
        };
        streams.into_iter().map(lack).collect()
    }

    fn brought(&mut self, batch: Batch, shelf: &impl Shelf) -> Result<(), Fault> {
        let Hearing::Fetching(tips) = std::mem::take(&mut self.hearing) else {
            return Err(Fault::Unasked("ops"));
        };
        if batch.ops.is_empty() && !batch.last {
            return Err(Fault::Unasked("an empty batch"));
        }
        for tip in &batch.heads {
            if !self.intake.expects(&tip.stream()) {
                return Err(Fault::Unasked("an end of a stream that nobody wanted"));
            }
            if !tip.is_signed() {
                return Err(Fault::Signature { stream: tip.stream(), seq: tip.head.seq });
            }
        }
        self.intake.expect(batch.heads);
        for bytes in &batch.ops {
            let op = SealedOp::open(bytes).map_err(Fault::Op)?;
            self.intake.add(shelf, op, self.terms.unproven_bytes_max)?;
        }
        if let Some(take) = self.intake.release(shelf) {
            self.shared.extend(take.heads.iter().map(|tip| (tip.stream(), tip.head.hash)));
            for (stream, at) in &take.forks {
                self.outputs.push_back(Output::Forked { stream: *stream, at: *at });
            }
            self.outputs.push_back(Output::Take(take));
            self.hearing = Hearing::Storing(tips, batch.last);
            return Ok(());
        }
        self.go_on(tips, batch.last, shelf)
    }

    fn stored(&mut self, shelf: &impl Shelf) -> Result<(), Fault> {
        match std::mem::take(&mut self.hearing) {
            Hearing::Storing(tips, last) => self.go_on(tips, last, shelf)?,
            other => self.hearing = other,
        }
        self.tell(shelf)
    }

    fn go_on(&mut self, tips: Vec<Tip>, last: bool, shelf: &impl Shelf) -> Result<(), Fault> {
        if last {
            self.intake.finish(shelf)?;
            return self.answer(&tips, shelf);
        }
        self.hearing = Hearing::Fetching(tips);
        self.send(&Message::More(Zero));
        Ok(())
    }

    /// Says which of the ends told are durable here.
    fn answer(&mut self, tips: &[Tip], shelf: &impl Shelf) -> Result<(), Fault> {
        let mut places = Vec::new();
        for (place, tip) in (0u32..).zip(tips).filter(|(_, tip)| shelf.holds(tip.op(), &tip.head.hash)) {
            places.push(place);
            self.peer_holds(tip);
        }
        self.hearing = Hearing::Quiet;
        self.send_bounded(&Message::Seen(places))
    }

    fn peer_holds(&mut self, tip: &Tip) {
        self.shared.insert((tip.stream(), tip.head.hash));
        self.outputs.push_back(Output::PeerHolds { stream: tip.stream(), head: tip.head });
    }

    // --- what this side has and the peer lacks

    fn offered(&self, shelf: &impl Shelf) -> Vec<Tip> {
        let mut tips = shelf.tips();
        tips.retain(|tip| self.terms.scope.allows(&tip.space));
        tips
    }

    /// Tells ends that the peer does not know of, one telling at a time.
    fn tell(&mut self, shelf: &impl Shelf) -> Result<(), Fault> {
        if self.greeting.is_some() || !matches!(self.telling, Telling::Quiet) {
            return Ok(());
        }
        let tips = self.offered(shelf);
        let ends: BTreeSet<(StreamId, Hash)> = tips.iter().map(|tip| (tip.stream(), tip.head.hash)).collect();
        self.shared.retain(|end| ends.contains(end));
        // What the peer itself told is answered by `Seen`.
        let heard = match &self.hearing {
            Hearing::Quiet => [].as_slice(),
            Hearing::Fetching(tips) | Hearing::Storing(tips, _) => tips,
        };
        let is_new = |tip: &Tip| !self.shared.contains(&(tip.stream(), tip.head.hash)) && !heard.contains(tip);
        let new: Vec<Tip> = tips.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        if new.len() > TIPS_MAX {
            return Err(Fault::Tips(new.len()));
        }
        let message = Message::Tips(new.clone());
        self.telling = Telling::Told(new);
        self.send_bounded(&message)
    }

    fn wanted(&mut self, lacks: &[Lack], shelf: &impl Shelf) -> Result<(), Fault> {
        let Telling::Told(tips) = std::mem::take(&mut self.telling) else { return Err(Fault::Unasked("want")) };
        let mut told: BTreeMap<StreamId, BTreeMap<Mark, Head>> = BTreeMap::new();
        for tip in &tips {
            told.entry(tip.stream()).or_default().insert(Mark::of(tip.head.seq, &tip.head.hash), tip.head);
        }
        let mut asks = Vec::new();
        for lack in lacks {
            // Taken out: a stream is wanted once.
            let ends = told.remove(&lack.stream).ok_or(Fault::Unasked("want of a stream that was not told"))?;
            let end = |mark: &Mark| ends.get(mark).copied();
            let wanted: Option<Vec<Head>> = lack.tips.iter().map(end).collect();
            let wanted = wanted.ok_or(Fault::Unasked("want of an end that was not told"))?;
            if lack.have.len() > MARKS_MAX {
                return Err(Fault::Unasked("want that names too much"));
            }
            let found = |mark: &Mark| shelf.find(lack.stream, mark).map(|hash| Head { seq: mark.seq, hash });
            asks.push(Ask { stream: lack.stream, tips: wanted, common: lack.have.iter().filter_map(found).collect() });
        }
        self.serve(tips, asks, 0, shelf)
    }

    fn serve(&mut self, tips: Vec<Tip>, asks: Vec<Ask>, from: u64, shelf: &impl Shelf) -> Result<(), Fault> {
        let parcel = shelf.missing(&asks, from, BATCH_BYTES);
        let last = parcel.next.is_none();
        self.telling = match parcel.next {
            None => Telling::Told(tips),
            Some(next) => Telling::Serving(tips, asks, next),
        };
        self.send_bounded(&Message::Ops(Batch { ops: parcel.ops, heads: parcel.heads, last }))
    }

    fn seen(&mut self, places: &[u32], shelf: &impl Shelf) -> Result<(), Fault> {
        let Telling::Told(tips) = std::mem::take(&mut self.telling) else { return Err(Fault::Unasked("seen")) };
        let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = places.last().is_none_or(|last| usize::try_from(*last).is_ok_and(|last| last < tips.len()));
        if !ascending || !inside {
            return Err(Fault::Unasked("seen of ends that were not told"));
        }
        let seen: BTreeSet<u32> = places.iter().copied().collect();
        for (place, tip) in (0u32..).zip(&tips) {
            if seen.contains(&place) {
                self.peer_holds(tip);
            } else {
                // It does not want it: it need not be told once more.
                self.shared.insert((tip.stream(), tip.head.hash));
            }
        }
        self.tell(shelf)
    }

    // --- the connection

    fn idle(&mut self) -> Result<(), Fault> {
        if self.idle {
            return Err(Fault::Silent);
        }
        self.idle = true;
        self.send(&Message::Alive(true));
        Ok(())
    }

    fn send(&mut self, message: &Message) {
        self.outputs.push_back(Output::Frame(wire::frame(self.sent, message)));
        self.sent += 1;
    }

    fn send_bounded(&mut self, message: &Message) -> Result<(), Fault> {
        let frame = wire::frame(self.sent, message);
        if frame.len() > FRAME_BYTES_MAX {
            return Err(Fault::TooLong(frame.len()));
        }
        self.outputs.push_back(Output::Frame(frame));
        self.sent += 1;
        Ok(())
    }

    fn close(&mut self, close: Close) {
        self.closed = true;
        self.outputs.push_back(Output::Closed(close));
    }
}
