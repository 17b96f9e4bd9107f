//! The watch: after a start, whether this kit went back; while it runs, that somebody could tell if it ever does.
//!
//! Promises: in an organisation of several kits nothing limited is sold, given or answered for after a start before
//! every witness on duty has agreed, and has taken note of an op that no copy of this kit can have: two copies cannot
//! both get past one witness. What uses rights is answered once the witnesses on duty hold it, or once those that do
//! not are written down as lost, with the units that this puts at risk. A kit that is alone notices nothing.
//! Absent on purpose: how witnesses are reached (the shell), and what follows when one contradicts (`Engine::follow`).

use fieldkit_core::decide::{Command, Gate};
use fieldkit_core::event::EventState;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{CommandKey, Head};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long an answer waits for the witnesses on duty.
const ACK_MS: u64 = 250;

/// Names a witness: a black box on another medium, a till page that remembers. All that are there are on duty: one alone
/// may have missed what another one saw.
pub type WitnessName = [u8; 16];

/// What reaches the watch from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessInput {
    /// A witness says what it holds of a stream of this replica; whoever brings this has found it in the chain.
    Holds(WitnessName, StreamId, Head),
    /// A witness is out of reach.
    Left(WitnessName),
}

/// What the watch wants.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Give this as a command of the replica itself, at an event.
    Decide(OpId, Command, CommandKey),
    /// Let a witness take the second head for the first, if the first is what it holds.
    Tell(WitnessName, StreamId, Head, Head),
}

/// The watch over one event.
#[derive(Default)]
struct Duty {
    /// Whether the gate is open.
    open: bool,
    /// Witnesses on duty in this life.
    on_duty: BTreeSet<WitnessName>,
    /// The position that each of them must hold before the gate opens.
    fence: Option<u64>,
    /// Whether a `SetWatch` is under way.
    deciding: bool,
}

impl Duty {
    /// Whether somebody was put on duty in this life.
    fn has_begun(&self) -> bool {
        !self.on_duty.is_empty() || self.fence.is_some()
    }
}

/// What must be held before a turn is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    pub event: OpId,
    pub head: Head,
    pub stream: StreamId,
    /// Until when, once it is durable: a slow disk is no fault of a witness.
    until_ms: Option<u64>,
}

/// The watch.
#[derive(Default)]
pub(crate) struct WatchDesk {
    /// Drawn by lot; none where nobody watches at all, as in a kit that is being founded.
    nonce: Option<[u8; 16]>,
    /// Whether other kits were known when this life began; found out when it is first needed.
    shared: Option<bool>,
    duties: BTreeMap<OpId, Duty>,
    present: BTreeSet<WitnessName>,
    held: BTreeMap<(WitnessName, StreamId), Head>,
    /// What each was told last, so that it is told once.
    told: BTreeMap<(WitnessName, StreamId), Head>,
    /// Commands given so far.
    decided: u64,
    now_ms: u64,
    wishes: VecDeque<Wish>,
}

impl WatchDesk {
    /// Watches from now on.
    pub fn begin(&mut self, nonce: [u8; 16]) {
        self.nonce = Some(nonce);
    }

    /// The number drawn for this life.
    pub fn nonce(&self) -> Option<[u8; 16]> {
        self.nonce
    }

    pub fn tell_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Whether this replica may use its rights at an event.
    pub fn gate(&mut self, ledger: &Ledger, own: ReplicaKey, event: Option<OpId>) -> Gate {
        if self.nonce.is_none() || !self.began_shared(ledger, own) {
            return Gate::Open;
        }
        let duty = event.and_then(|event| self.duties.get(&event));
        if duty.is_some_and(|duty| duty.open) { Gate::Open } else { Gate::Shut }
    }

    /// Takes what a witness says.
    pub fn hear(&mut self, input: WitnessInput) {
        match input {
            WitnessInput::Holds(name, stream, head) => {
                self.present.insert(name);
                if self.told.get(&(name, stream)).is_some_and(|told| head.seq < told.seq) {
                    self.told.remove(&(name, stream));
                }
                let known = self.held.entry((name, stream)).or_default();
                if head.seq >= known.seq {
                    *known = head;
                }
            }
            WitnessInput::Left(name) => {
                self.present.remove(&name);
                self.told.retain(|(told, _), _| *told != name);
            }
        }
    }

    /// A person spoke in this life: what the word named may be used, and the ledger knows what that is.
    pub fn admitted(&mut self, event: OpId, nonce: [u8; 16]) {
        if self.nonce == Some(nonce) {
            self.duties.entry(event).or_default().open = true;
        }
    }

    /// An op of this life says who watches; it is durable.
    pub fn watch_set(&mut self, event: OpId, nonce: [u8; 16], witnesses: &[WitnessName], seq: u64) {
        let duty = self.duties.entry(event).or_default();
        if self.nonce == Some(nonce) {
            (duty.on_duty, duty.fence, duty.deciding) = (witnesses.iter().copied().collect(), Some(seq), false);
        }
    }

    /// A command of the watch was refused: it is tried again when something changes.
    pub fn refused(&mut self) {
        self.duties.values_mut().for_each(|duty| duty.deciding = false);
    }

    /// What the answers of a turn wait for, where it uses rights.
    pub fn needs(&self, event: OpId, stream: StreamId, head: Head) -> Option<Needs> {
        let duty = self.duties.get(&event)?;
        (!duty.on_duty.is_empty()).then_some(Needs { event, stream, head, until_ms: None })
    }

    /// Tells the witnesses on duty of a head that is durable now.
    fn tell(&mut self, event: OpId, stream: StreamId, head: Head) {
        let Some(duty) = self.duties.get(&event) else { return };
        for name in &duty.on_duty {
            let from = self.held.get(&(*name, stream)).copied().unwrap_or_default();
            if from.seq < head.seq && self.told.insert((*name, stream), head) != Some(head) {
                self.wishes.push_back(Wish::Tell(*name, stream, from, head));
            }
        }
    }

    /// An op that uses rights is durable: the witnesses hear of it, and have their time from now on.
    pub fn await_witnesses(&mut self, needs: &mut Needs) {
        self.tell(needs.event, needs.stream, needs.head);
        needs.until_ms = Some(self.now_ms + ACK_MS);
    }

    /// Whether answers need not wait any longer.
    pub fn is_met(&self, needs: &Needs) -> bool {
        let Some(duty) = self.duties.get(&needs.event) else { return true };
        duty.on_duty.iter().all(|name| self.holds(name, needs.stream, needs.head.seq))
    }

    /// Writes off the witnesses that keep an answer waiting for too long.
    pub fn give_up(&mut self, needs: &Needs) {
        if needs.until_ms.is_none_or(|until_ms| self.now_ms < until_ms) {
            return;
        }
        let held = |name: &WitnessName| self.holds(name, needs.stream, needs.head.seq);
        let Some(duty) = self.duties.get(&needs.event) else { return };
        let (stays, slow): (BTreeSet<WitnessName>, BTreeSet<WitnessName>) =
            duty.on_duty.iter().copied().partition(|name| held(name));
        // It is on duty again once it says something.
        self.present.retain(|name| !slow.contains(name));
        self.set(needs.event, &stays, &BTreeSet::new());
    }

    /// When `give_up` may have something to do.
    pub fn poll_timeout(&self, needs: Option<&Needs>) -> Option<u64> {
        let needs = needs.filter(|needs| self.duties.get(&needs.event).is_some_and(|duty| !duty.deciding))?;
        needs.until_ms
    }

    /// Does what is to be done on what is durable.
    pub fn act(&mut self, ledger: &Ledger, own: ReplicaKey) {
        if self.nonce.is_none() || !self.is_shared(ledger, own) {
            return;
        }
        let began_shared = self.began_shared(ledger, own);
        let open = ledger.events.iter().filter(|(_, event)| event.state() == EventState::Open);
        for (id, event) in open {
            let stream = StreamId::of(&own, &fieldkit_core::decide::space_of(*id, event));
            let duty = self.duties.entry(*id).or_default();
            duty.open |= !began_shared;
            if duty.deciding {
                continue;
            }
            if let Some(fence) = duty.fence {
                self.pass(*id, stream, fence, ledger.head(&stream));
            }
            let before = event.watches.get(&own).map(|watch| watch.witnesses.as_slice());
            if let Some(wanted) = self.wanted(before, *id, stream) {
                let missed = self.missed(before, *id, stream);
                self.set(*id, &wanted, &missed);
            }
        }
    }

    /// Opens the gate where everybody on duty holds the op that no copy of this kit can have. Whoever left meanwhile
    /// may have given its word to a copy: then all of them are asked anew.
    fn pass(&mut self, event: OpId, stream: StreamId, fence: u64, head: Head) {
        let Some(duty) = self.duties.get(&event) else { return };
        let passed = duty.on_duty.iter().all(|name| self.holds(name, stream, fence));
        let left = duty.on_duty.iter().any(|name| !self.present.contains(name));
        if !passed && !left {
            return self.tell(event, stream, head);
        }
        let Some(duty) = self.duties.get_mut(&event) else { return };
        duty.fence = None;
        if passed {
            duty.open |= !duty.on_duty.is_empty();
        } else {
            duty.on_duty.clear();
        }
    }

    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// Who should be on duty, where that is to be changed.
    fn wanted(&self, before: Option<&[WitnessName]>, event: OpId, stream: StreamId) -> Option<BTreeSet<WitnessName>> {
        let duty = self.duties.get(&event)?;
        let knows = |name: &&WitnessName| self.held.contains_key(&(**name, stream));
        let candidates: BTreeSet<WitnessName> = self.present.iter().filter(knows).copied().collect();
        if !duty.has_begun() {
            // Everybody on duty in the life before must agree, and remember, or a person has spoken.
            let agree =
                |before: &[WitnessName]| !before.is_empty() && before.iter().all(|name| self.agrees(name, stream));
            let agreed = before.is_none_or(|before| duty.open || agree(before));
            return (agreed && !candidates.is_empty()).then_some(candidates);
        }
        // New ones join; who left goes, unless nobody else would be there.
        let gone = duty.on_duty.iter().any(|name| !self.present.contains(name));
        let joined = candidates.iter().any(|name| !duty.on_duty.contains(name));
        ((gone || joined) && !candidates.is_empty() && duty.fence.is_none()).then_some(candidates)
    }

    /// Witnesses of the life before that did not agree, where a new watch begins without them, on a person's word.
    fn missed(&self, before: Option<&[WitnessName]>, event: OpId, stream: StreamId) -> BTreeSet<WitnessName> {
        if self.duties.get(&event).is_none_or(Duty::has_begun) {
            return BTreeSet::new();
        }
        before.into_iter().flatten().filter(|name| !self.agrees(name, stream)).copied().collect()
    }

    fn set(&mut self, event: OpId, witnesses: &BTreeSet<WitnessName>, missed: &BTreeSet<WitnessName>) {
        let Some(nonce) = self.nonce else { return };
        let Some(duty) = self.duties.get_mut(&event).filter(|duty| !duty.deciding) else { return };
        duty.deciding = true;
        let lost = duty.on_duty.union(missed).filter(|name| !witnesses.contains(*name)).copied().collect();
        self.decided += 1;
        let name = [&nonce[..], &self.decided.to_le_bytes()].concat();
        let command = Command::SetWatch { witnesses: witnesses.iter().copied().collect(), lost, nonce };
        let key = CommandKey::named(Hash::derived("fieldkit 2026-11 watch", &name), &nonce);
        self.wishes.push_back(Wish::Decide(event, command, key));
    }

    /// Whether a witness is there and remembers something of the stream.
    fn agrees(&self, name: &WitnessName, stream: StreamId) -> bool {
        self.present.contains(name) && self.holds(name, stream, 1)
    }

    fn holds(&self, name: &WitnessName, stream: StreamId, seq: u64) -> bool {
        self.held.get(&(*name, stream)).is_some_and(|head| head.seq >= seq)
    }

    /// Whether other kits were known when this life began.
    fn began_shared(&mut self, ledger: &Ledger, own: ReplicaKey) -> bool {
        let shared = self.is_shared(ledger, own);
        *self.shared.get_or_insert(shared)
    }

    /// Whether other kits are known.
    pub fn is_shared(&self, ledger: &Ledger, own: ReplicaKey) -> bool {
        ledger.replicas.keys().any(|replica| !ledger.goes_on_for(own, *replica))
    }
}
