//! Known mistakes that a simulation plants, to see whether its checker finds them.
//!
//! Promises: without the feature `planted` there are none, and asking for one is the constant `false`.
//! Absent on purpose: any other use.

use fieldkit_core::author::Draft;
use fieldkit_core::fork;
use fieldkit_core::id::ReplicaKey;
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::SealedOp;
#[cfg(feature = "planted")]
use {
    fieldkit_core::body::Body,
    fieldkit_core::event::HolderAnswer,
    fieldkit_core::id::{Hash, OpId, Space},
    fieldkit_core::pool::deeds,
    std::collections::{BTreeMap, BTreeSet},
};

/// A mistake.
#[cfg_attr(not(feature = "planted"), expect(dead_code, reason = "only a build with the feature plants them"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Answers leave when they are decided, and not when they are durable.
    AnswerBeforeSync,
    /// A charge whose outcome is open is asked for once more.
    RetryCharge,
    /// Keys of commands are not remembered.
    ForgetKeys,
    /// Orders are let go of before the rows hold what they have become.
    StaleRow,
    /// Commands of one batch are decided on the state before it.
    StaleBatch,
    /// After a start limited goods are sold at once.
    OpenGate,
    /// Answers do not wait for the witnesses on duty.
    DeafToWitnesses,
    /// A keeper's grant leaves before anybody else holds it.
    GrantAtOnce,
    /// What a lost keeper held is taken over before anybody answered.
    TakeAtOnce,
    /// All that guards limited goods but escrow itself is left out.
    PlainEscrow,
    /// Of two branches of a forked stream only the one with the later stamp is counted, as a register would.
    WinnerByClock,
    /// Keys of commands are remembered where they were answered, and not with ops that come from others.
    KeyNotReplicated,
    /// A holder's word about a lost keeper counts by who gave it, and not by when: an ask that the keeper had heard before
    /// it gave, or an answer from when the keeper before was lost, is taken for the answer that its goods wait for.
    EarlyReport,
    /// A grant counts for the kit: whoever goes on for a replica uses what that one was granted.
    GrantToKit,
    /// Units that come back are free where they were taken back, and once more where they had been.
    ReturnTwice,
    /// What another branch of a stream did with units is applied to the running pool, step by step, in place of folding
    /// all ops anew: it spares a start that takes seconds. Nothing then names the fork, what was given behind it does not
    /// rest, and its money is not counted.
    StepByStep,
    /// After a start leases are used although nobody knows when they began.
    LeaseAfterReboot,
}

/// What is planted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted")]
    mistake: Option<Mistake>,
    /// What is decided on in place of the state: the one before the batch, or what a mistake makes of it.
    #[cfg(feature = "planted")]
    instead: Option<Box<Ledger>>,
}

impl Planted {
    /// Of a mistake.
    #[cfg(feature = "planted")]
    pub fn of(mistake: Mistake) -> Self {
        Planted { mistake: Some(mistake), instead: None }
    }

    /// Whether it is planted.
    #[cfg(feature = "planted")]
    pub fn is(&self, mistake: Mistake) -> bool {
        let guards = [Mistake::OpenGate, Mistake::DeafToWitnesses, Mistake::GrantAtOnce, Mistake::TakeAtOnce];
        self.mistake == Some(mistake) || (self.mistake == Some(Mistake::PlainEscrow) && guards.contains(&mistake))
    }

    /// Whether it is planted: never in this build.
    #[cfg(not(feature = "planted"))]
    pub fn is(&self, _mistake: Mistake) -> bool {
        false
    }

    /// The state to decide on: the one that there is.
    #[cfg(not(feature = "planted"))]
    pub fn or_instead<'a>(&self, ledger: &'a Ledger) -> &'a Ledger {
        ledger
    }

    /// The state to decide on: the one that there is, or another.
    #[cfg(feature = "planted")]
    pub fn or_instead<'a>(&'a self, ledger: &'a Ledger) -> &'a Ledger {
        self.instead.as_deref().unwrap_or(ledger)
    }

    /// Something is to be decided.
    #[cfg(not(feature = "planted"))]
    pub fn look(&mut self, _ledger: &Ledger, _own: ReplicaKey) {}

    /// Something is to be decided: makes of the state what the mistake sees.
    #[cfg(feature = "planted")]
    pub fn look(&mut self, ledger: &Ledger, own: ReplicaKey) {
        let sees = match self.mistake {
            _ if self.is(Mistake::TakeAtOnce) && ledger.events.values().any(|event| event.keepers.len() > 1) => {
                as_if_all_had_answered
            }
            Some(Mistake::EarlyReport) if ledger.events.values().any(|event| event.keepers.len() > 1) => {
                by_who_answered
            }
            Some(Mistake::GrantToKit) if ledger.follows.contains_key(&own) => as_one_kit,
            _ => return,
        };
        let mut instead = Box::new(ledger.clone());
        sees(&mut instead, own);
        self.instead = Some(instead);
    }

    /// What is to be written: what was decided.
    #[cfg(not(feature = "planted"))]
    pub fn drafts(&self, drafts: Vec<Draft>) -> Vec<Draft> {
        drafts
    }

    /// What is to be written: what was decided, returns twice.
    #[cfg(feature = "planted")]
    pub fn drafts(&self, drafts: Vec<Draft>) -> Vec<Draft> {
        let twice = |draft: &Draft| self.is(Mistake::ReturnTwice) && matches!(draft.body, Body::RightsReturned(_));
        let again = |draft: Draft| {
            let first = twice(&draft).then(|| Draft { answers: false, ..draft.clone() });
            first.into_iter().chain([draft])
        };
        drafts.into_iter().flat_map(again).collect()
    }

    /// The ledger of all ops, whichever branch they are of.
    #[cfg(not(feature = "planted"))]
    pub fn folded<'a>(&self, ops: impl IntoIterator<Item = &'a SealedOp>) -> Ledger {
        fork::folded(ops)
    }

    /// The ledger of all ops, or of each fork of the branch with the later stamp, with all forks named.
    #[cfg(feature = "planted")]
    pub fn folded<'a>(&self, ops: impl IntoIterator<Item = &'a SealedOp>) -> Ledger {
        let ops: Vec<&SealedOp> = ops.into_iter().collect();
        if !self.is(Mistake::WinnerByClock) {
            return fork::folded(ops);
        }
        let forks = fork::forks(ops.iter().copied());
        let mut ledger = fork::folded(later_branches(ops));
        ledger.forks = forks;
        ledger
    }

    /// Other branches came: all is folded anew.
    #[cfg(not(feature = "planted"))]
    pub fn branches(&self, _ledger: &mut Ledger, branches: &[SealedOp]) -> bool {
        !branches.is_empty()
    }

    /// Other branches came: whether all is folded anew. If not, what they did with units is done to the pools.
    #[cfg(feature = "planted")]
    pub fn branches(&self, ledger: &mut Ledger, branches: &[SealedOp]) -> bool {
        if !self.is(Mistake::StepByStep) {
            return !branches.is_empty();
        }
        branches.iter().for_each(|op| step(ledger, op));
        false
    }

    /// A batch ends.
    #[cfg(not(feature = "planted"))]
    pub fn end_of_batch(&mut self, _ledger: &Ledger) {}

    /// A batch ends; the next begins with this state.
    #[cfg(feature = "planted")]
    pub fn end_of_batch(&mut self, ledger: &Ledger) {
        if self.is(Mistake::StaleBatch) {
            self.instead = Some(Box::new(ledger.clone()));
        }
    }
}

/// Nobody is waited for.
#[cfg(feature = "planted")]
fn as_if_all_had_answered(ledger: &mut Ledger, _own: ReplicaKey) {
    for event in ledger.events.values_mut() {
        for keeper in &event.keepers {
            for replica in ledger.replicas.keys() {
                event.answers.entry((*keeper, *replica)).or_insert(HolderAnswer { seen: u64::MAX, own: true });
            }
        }
    }
}

/// Whoever ever told a keeper what it has, by an ask or by an answer, has answered for all of them.
#[cfg(feature = "planted")]
fn by_who_answered(ledger: &mut Ledger, _own: ReplicaKey) {
    for event in ledger.events.values_mut() {
        let answered = event.answers.keys().map(|(_, replica)| *replica);
        let asks = event.asks.iter().filter(|(_, ask)| event.keepers.contains(&ask.of));
        let asked = asks.map(|((_, replica), _)| *replica).chain(event.keeper_grants.values().map(|grant| grant.to));
        let who: BTreeSet<ReplicaKey> = answered.chain(asked).collect();
        for keeper in &event.keepers {
            for replica in &who {
                event.answers.entry((*keeper, *replica)).or_insert(HolderAnswer { seen: u64::MAX, own: true });
            }
        }
    }
}

/// What past lives of this kit were granted is its own.
#[cfg(feature = "planted")]
fn as_one_kit(ledger: &mut Ledger, own: ReplicaKey) {
    let past = ledger.replicas.keys().filter(|other| **other != own && ledger.goes_on_for(own, **other));
    let past: Vec<ReplicaKey> = past.copied().collect();
    for event in ledger.events.values_mut() {
        let granted = past.iter().filter(|other| !event.keepers.contains(other));
        for other in granted {
            for cell in event.pools.values_mut().flat_map(|pool| pool.cells.values_mut()) {
                if let Some(held) = cell.held.remove(other) {
                    *cell.held.entry(own).or_default() += held;
                }
            }
        }
    }
}

/// Does to the pools what an op does with units.
#[cfg(feature = "planted")]
fn step(ledger: &mut Ledger, op: &SealedOp) {
    let Some(stream) = ledger.streams.get(&op.op.stream) else { return };
    let event_id = stream.space.as_ref().and_then(Space::event);
    let Some((author, event_id)) = stream.replica.zip(event_id) else { return };
    let Ok(body) = Body::open(op.op.kind, &op.op.body) else { return };
    let Some(event) = ledger.events.get_mut(&event_id) else { return };
    for (deed, ranges) in deeds(&op.hash, &event_id, &body) {
        for range in ranges.iter().filter(|range| range.is_sound()) {
            event.pools.entry(range.pool).or_default().apply(author, range, deed);
        }
    }
}

/// Of the branches of each forked stream the one whose first op has the later stamp.
#[cfg(feature = "planted")]
fn later_branches(ops: Vec<&SealedOp>) -> Vec<&SealedOp> {
    let mut by_depth = ops.clone();
    by_depth.sort_by_key(|op| (op.op.stream, op.op.seq, op.op.stamp.physical_ms, op.op.stamp.counter, op.hash));
    // The last one wins, as long as what it continues has won.
    let mut won: BTreeMap<OpId, Hash> = BTreeMap::new();
    for op in by_depth {
        let before = won.get(&OpId { seq: op.op.seq.saturating_sub(1), ..op.id() });
        if op.op.seq == 1 || before == Some(&op.op.prev) {
            won.insert(op.id(), op.hash);
        }
    }
    ops.into_iter().filter(|op| won.get(&op.id()) == Some(&op.hash)).collect()
}
