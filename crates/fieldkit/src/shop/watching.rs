//! Witnesses: pages, slips and a box on a medium of its own, which can tell that this kit was put back.
//!
//! Promises: a page that contradicts makes this kit a new replica at once; one that agrees watches from then on, and what
//! it is told to remember comes back as its own word. What a box has more is taken over before anything starts; from then on it
//! watches as long as it takes every turn. A slip is a person's word and makes nothing happen by itself.
//! Absent on purpose: when limited goods open (`fieldkit-engine`).

use super::{Shop, fatal};
use fieldkit_core::body::RollbackNoticed;
use fieldkit_core::decide::{Gate, space_of};
use fieldkit_core::id::{OpId, StreamId};
use fieldkit_core::op::Head;
use fieldkit_core::witness::{Sighting, Verdict};
use fieldkit_engine::{Input, Turn, WitnessInput};
use fieldkit_http::desk::{PageId, Update};
use std::collections::BTreeMap;

impl Shop {
    /// Judges a sighting; a roll-back makes this kit a new replica at once.
    pub(super) fn witness(&mut self, sighting: Option<Sighting>, page: Option<PageId>) -> Verdict {
        let Some(sighting) = sighting else {
            self.watches(page, None);
            return Verdict::Agrees;
        };
        let mut found = BTreeMap::new();
        let (candidate, who) = match &sighting {
            Sighting::Head { stream, head } => (OpId { stream: *stream, seq: head.seq }, "page"),
            Sighting::Slip { seq, .. } => (OpId { stream: self.engine.newest_stream(), seq: *seq }, "slip"),
        };
        match self.store.op(candidate) {
            Ok(op) => drop(op.map(|op| found.insert(candidate, op.hash))),
            Err(error) => fatal("the journal cannot be read", &error),
        }
        let (stream, position, verdict) = self.engine.judge(&sighting, |id| found.get(&id).copied());
        let own = self.engine.writes(&stream);
        // A page knows what it saw; a person may have mistyped a slip, and is only told.
        let went_back = who == "page" && matches!(verdict, Verdict::Ahead | Verdict::Contradicts);
        if own && went_back && self.store.takes_ops() {
            let found = self.engine.ledger().head(&stream).seq;
            self.follow(RollbackNoticed { witness: who.to_owned(), stream, seen: position, found });
        }
        if let (Verdict::Agrees, Sighting::Head { stream, head }) = (verdict, &sighting)
            && own
        {
            self.watches(page, Some((*stream, *head)));
        }
        verdict
    }

    /// A page holds a head, which stands in the chain, or nothing; from now on it watches the event that sales go to.
    fn watches(&mut self, page: Option<PageId>, held: Option<(StreamId, Head)>) {
        let Some(PageId(name)) = page.filter(|_| self.engine.nonce().is_some()) else { return };
        let mut holds: BTreeMap<StreamId, Head> = held.into_iter().collect();
        if let Some(stream) = self.selling_stream() {
            holds.entry(stream).or_default();
        }
        for (stream, head) in holds {
            // What it said of another stream is no news of this one.
            if held.is_none_or(|(known, _)| known == stream) || !self.pages.contains(&(name, stream)) {
                self.hear(Input::Witness(WitnessInput::Holds(name, stream, head)));
            }
            self.pages.insert((name, stream));
        }
    }

    /// The own stream of the event that sales go to.
    fn selling_stream(&self) -> Option<StreamId> {
        let id = self.standing.event?;
        let event = self.engine.ledger().events.get(&id)?;
        Some(StreamId::of(&self.engine.replica(), &space_of(id, event)))
    }

    /// A page does not follow any more.
    pub(super) fn page_left(&mut self, page: PageId) {
        self.pages.retain(|(name, _)| *name != page.0);
        self.hear(Input::Witness(WitnessInput::Left(page.0)));
    }

    /// How a box on a medium of its own stands when nothing is on its way to it.
    pub(super) fn box_stands(&mut self) {
        let stream = self.selling_stream();
        let held = stream.map(|stream| (stream, self.engine.ledger().head(&stream)));
        self.box_says(held);
        self.pump();
        self.end_reports();
    }

    /// A turn is durable; a box that watches has it too.
    pub(super) fn box_holds(&mut self, turn: &Turn) {
        if self.boxed.is_none() && self.store.box_witness().is_none() {
            return;
        }
        let Some(stream) = self.selling_stream() else { return };
        let newest = turn.ops.iter().rfind(|op| op.op.stream == stream);
        let newest = newest.map(|op| Head { seq: op.op.seq, hash: op.hash });
        let elsewhere = self.boxed.is_some_and(|(_, known)| known != Some(stream));
        let held = newest.or(elsewhere.then(Head::default));
        self.box_says(held.map(|head| (stream, head)));
    }

    fn box_says(&mut self, held: Option<(StreamId, Head)>) {
        let now = self.store.box_witness().filter(|_| self.engine.nonce().is_some());
        if let Some((gone, _)) = self.boxed.filter(|(was, _)| Some(*was) != now) {
            self.engine.handle(Input::Witness(WitnessInput::Left(gone)));
        }
        self.boxed = now.map(|name| (name, self.selling_stream()));
        if let (Some(name), Some((stream, head))) = (now, held) {
            self.engine.handle(Input::Witness(WitnessInput::Holds(name, stream, head)));
        }
    }

    /// Lets time pass for answers that wait for a witness, and tells pages when limited goods open or shut.
    pub(super) fn watch_on(&mut self) {
        let now_ms = self.terminals.now_ms();
        if self.engine.poll_watch().is_some_and(|at_ms| at_ms <= now_ms) {
            self.hear(Input::Tick(now_ms));
        }
        let shut = self.is_shut();
        if std::mem::replace(&mut self.pace.shut, shut) != shut {
            self.publish(Update::Status);
            self.publish(Update::Catalogue);
        }
    }

    /// What follows from it may be an answer, or a command of the kit's own.
    fn hear(&mut self, input: Input) {
        self.tell_time();
        self.engine.handle(input);
        self.pump();
        self.end_reports();
    }

    /// Whether limited goods wait for a witness.
    fn is_shut(&mut self) -> bool {
        let event = self.standing.event;
        event.is_some_and(|event| self.engine.gate(event) != Gate::Open)
    }
}
