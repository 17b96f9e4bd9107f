//! Leases by this kit's own clock: which of those that it has may be used, and which of those that it gave are over.
//!
//! Promises: time is counted on the clock of `Input::Tick`, which only goes forward and counts suspend. A holder counts a term
//! from an op of its own that the giver had seen, so from before it began; a giver counts it from when the lease was
//! durable, so from after. What one process counted is lost with it: then leases rest, and only a wall clock that a second
//! source confirmed on both sides, or at the giver a whole term more, goes on. Both keep a margin.
//! Absent on purpose: who confirms the wall clock (the shell), and the rules (`fieldkit-core`).

use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::{Command, LeaseTimes, space_of};
use fieldkit_core::event::{Event, EventState};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::lease::{Lease, MARGIN_MS, TERM_MS_MAX};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::CommandKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Own ops are noted no oftener than this: by so much a term may seem to begin too early. Of the longest term 4,320 are
/// remembered in a stream.
const NOTE_MS: u64 = 10_000;

/// An own op of this life.
#[derive(Clone, Copy, Debug)]
struct Note {
    seq: u64,
    at_ms: u64,
}

/// What the desk wants: a command of the replica itself, at an event.
pub(crate) type Wish = (OpId, Command, CommandKey);

/// The desk.
#[derive(Default)]
pub(crate) struct LeaseDesk {
    /// The clock; none before it was told for the first time.
    now_ms: Option<u64>,
    /// What the wall clock read when a second source confirmed it last, and the clock then.
    confirmed: Option<(u64, u64)>,
    notes: BTreeMap<StreamId, VecDeque<Note>>,
    /// Since when leases are known in this life.
    known: BTreeMap<OpId, u64>,
    /// When the next lease that this replica gave is over, if no wall clock says so before.
    due_ms: Option<u64>,
    /// Whether a command is under way.
    busy: bool,
    /// Leases that were called over, and the ledger's depth then: none is on the same ledger again.
    called: BTreeMap<OpId, u64>,
}

impl LeaseDesk {
    pub fn tell_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(Some(now_ms));
    }

    /// A second source confirmed what the wall clock reads. Once it did, a reading that has leapt since is not believed.
    pub fn confirm(&mut self, wall_ms: u64) {
        let Some(now_ms) = self.now_ms else { return };
        if self.wall_ms(now_ms).is_none_or(|expected_ms| expected_ms.abs_diff(wall_ms) <= MARGIN_MS) {
            self.confirmed = Some((wall_ms, now_ms));
        }
    }

    /// An own op was written.
    pub fn note(&mut self, op: OpId) {
        let Some(at_ms) = self.now_ms else { return };
        let notes = self.notes.entry(op.stream).or_default();
        if notes.back().is_none_or(|last| at_ms >= last.at_ms + NOTE_MS) {
            notes.push_back(Note { seq: op.seq, at_ms });
        }
        while notes.front().is_some_and(|first| at_ms - first.at_ms > TERM_MS_MAX) {
            notes.pop_front();
        }
    }

    /// Its command was answered.
    pub fn answered(&mut self) {
        self.busy = false;
    }

    /// What a replica may do about the leases of an event now. With `trusting`, a lease whose beginning is not known
    /// began when this life heard of it: that is a mistake.
    pub fn times(&self, ledger: &Ledger, own: ReplicaKey, event: OpId, trusting: bool) -> LeaseTimes {
        let mut times = LeaseTimes::default();
        let (Some(known), Some(now_ms)) = (ledger.events.get(&event), self.now_ms) else { return times };
        let stream = StreamId::of(&own, &space_of(event, known));
        for (id, lease) in &known.leases {
            let trusted = || trusting && self.known.get(id).is_some_and(|since| now_ms - since < lease.term_ms);
            if lease.to == own && (self.is_live(lease, stream, now_ms) || trusted()) {
                times.live.insert(*id);
            }
            if is_giver(ledger, own, lease) && self.is_over(*id, lease, now_ms) {
                times.over.insert(*id);
            }
        }
        times
    }

    fn is_live(&self, lease: &Lease, stream: StreamId, now_ms: u64) -> bool {
        let usable_ms = lease.term_ms.saturating_sub(MARGIN_MS);
        let notes = self.notes.get(&stream).into_iter().flatten();
        let before = notes.take_while(|note| note.seq <= lease.seen).last();
        let counted = before.is_some_and(|note| now_ms - note.at_ms < usable_ms);
        let by_wall = self.wall_ms(now_ms).zip(lease.confirmed_ms).is_some_and(|(wall_ms, given_ms)| {
            given_ms <= wall_ms.saturating_add(MARGIN_MS) && wall_ms.saturating_sub(given_ms) < usable_ms
        });
        counted || by_wall
    }

    fn is_over(&self, id: OpId, lease: &Lease, now_ms: u64) -> bool {
        let over_ms = lease.term_ms.saturating_add(MARGIN_MS);
        let counted = self.known.get(&id).is_some_and(|since| now_ms - since >= over_ms);
        let by_wall = self.wall_ms(now_ms).zip(lease.confirmed_ms);
        counted || by_wall.is_some_and(|(wall_ms, given_ms)| wall_ms.saturating_sub(given_ms) >= over_ms)
    }

    /// What a confirmed wall clock would read now, however it was set since.
    fn wall_ms(&self, now_ms: u64) -> Option<u64> {
        self.confirmed.map(|(wall_ms, at_ms)| wall_ms.saturating_add(now_ms - at_ms))
    }

    /// What is to be done next, on what is durable.
    pub fn act(&mut self, ledger: &Ledger, own: ReplicaKey) -> Option<Wish> {
        let now_ms = self.now_ms?;
        let open = || ledger.events.iter().filter(|(_, event)| event.state() == EventState::Open);
        let there: BTreeSet<OpId> = open().flat_map(|(_, event)| event.leases.keys().copied()).collect();
        self.known.retain(|id, _| there.contains(id));
        self.called.retain(|id, _| there.contains(id));
        for id in there {
            self.known.entry(id).or_insert(now_ms);
        }
        self.due_ms = None;
        for (event_id, event) in open() {
            let ends = |lease: &Lease| is_giver(ledger, own, lease) && !is_limited(event, lease);
            for (id, lease) in event.leases.iter().filter(|(_, lease)| ends(lease)) {
                if !self.is_over(*id, lease, now_ms) {
                    let since_ms = self.known.get(id).copied().unwrap_or(now_ms);
                    let over_ms = since_ms.saturating_add(lease.term_ms).saturating_add(MARGIN_MS);
                    self.due_ms = Some(self.due_ms.map_or(over_ms, |due_ms| due_ms.min(over_ms)));
                } else if !self.busy && self.called.insert(*id, ledger.lamport) != Some(ledger.lamport) {
                    self.busy = true;
                    return Some(call(*event_id, *id, ledger.lamport));
                }
            }
        }
        None
    }

    /// When `act` may have something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.due_ms.filter(|_| !self.busy)
    }
}

/// Whether a replica gave a lease, or goes on for the one that did.
fn is_giver(ledger: &Ledger, own: ReplicaKey, lease: &Lease) -> bool {
    ledger.goes_on_for(own, lease.from)
}

/// Whether its goods became limited: then no clock ends it.
fn is_limited(event: &Event, lease: &Lease) -> bool {
    event.is_limited(&lease.sku)
}

fn call(event: OpId, lease: OpId, lamport: u64) -> Wish {
    let what = lease.to_bytes();
    let name = [&lamport.to_le_bytes()[..], &what].concat();
    let key = CommandKey::named(Hash::derived("fieldkit 2026-11 lapse", &name), &what);
    (event, Command::LapseLease { lease }, key)
}
