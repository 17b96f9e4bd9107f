//! Limited goods on the move: asks are answered, running low is noticed, and a lost keeper's goods find their way back.
//!
//! Promises: it gives no more than half of what is here, so that goods do not gather where nobody buys them; it acts
//! only on what is durable, one command at a time, and never while the gate is shut. Whatever it does is a command like
//! any other, refused where the rules say no: a mistake here strands goods and sells none twice.
//! Absent on purpose: the rules (`fieldkit-core`), and links (the shell).

use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::{self, Command, Gate, Place};
use fieldkit_core::event::{Event, EventState};
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::CommandKey;
use std::collections::{BTreeMap, BTreeSet};

/// How limited goods are shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What people call this replica, where it keeps goods for others and sells none.
    pub keeper: Option<String>,
    /// Units of a SKU from which down this replica asks for more; 0 where a person asks.
    pub low: i64,
    /// How many it asks for.
    pub batch: u32,
}

/// What the desk wants: a command of the replica itself, at an event.
pub(crate) type Wish = (OpId, Command, CommandKey);

/// The desk.
#[derive(Default)]
pub(crate) struct StockDesk {
    policy: Option<Policy>,
    /// Whether a command is under way.
    busy: bool,
    /// Commands given, and the number of ops then: none is given twice on the same ledger.
    given: BTreeMap<Vec<u8>, u64>,
    /// SKUs that a buyer wanted in vain since they were asked for.
    wanted: BTreeSet<String>,
    decided: u64,
}

impl StockDesk {
    pub fn begin(&mut self, policy: Policy) {
        self.policy = Some(policy);
    }

    /// Whether it acts at all.
    pub fn is_begun(&self) -> bool {
        self.policy.is_some()
    }

    /// A buyer wanted a SKU in vain.
    pub fn wanted(&mut self, sku: &str) {
        self.wanted.insert(sku.to_owned());
    }

    /// Its command was answered.
    pub fn answered(&mut self) {
        self.busy = false;
    }

    /// What is to be done next, on what is durable.
    pub fn act(
        &mut self,
        ledger: &Ledger,
        own: ReplicaKey,
        mut gate: impl FnMut(OpId) -> Gate,
        linked: &BTreeSet<ReplicaKey>,
    ) -> Option<Wish> {
        let policy = self.policy.clone().filter(|_| !self.busy)?;
        for (id, event) in ledger.events.iter().filter(|(_, event)| event.state() == EventState::Open) {
            let place = Place { gate: gate(*id), ..Place::at(own, Some(*id)) };
            if place.gate != Gate::Open {
                continue;
            }
            let wish = self
                .keep(ledger, *id, event, &place, &policy)
                .or_else(|| self.answer_asks(ledger, *id, event, &place, linked))
                .or_else(|| self.ask(ledger, *id, event, &place, &policy));
            if wish.is_some() {
                self.busy = true;
                return wish;
            }
        }
        None
    }

    /// Vows, and what a lost keeper asks of everybody.
    fn keep(&mut self, ledger: &Ledger, id: OpId, event: &Event, place: &Place, policy: &Policy) -> Option<Wish> {
        if let Some(label) = &policy.keeper
            && !event.keepers.contains(&place.replica)
        {
            return self.give(ledger, id, Command::VowKeeping { label: label.clone() });
        }
        for keeper in event.keepers.iter().filter(|keeper| is_followed(ledger, keeper)) {
            if *keeper == place.replica {
                continue;
            }
            let command = if ledger.goes_on_for(place.replica, *keeper) {
                let mut limited = event.pools.iter().filter(|(_, known)| event.is_limited(&known.sku));
                let held = limited.any(|(pool, known)| known.usable(*pool, keeper).count() > 0);
                let ready = decide::unanswered(ledger, event, *keeper, place.replica).is_empty();
                (held && ready).then_some(Command::TakeOver { keeper: *keeper })
            } else {
                // A kit that goes by a word may have forgotten what it has: a person speaks for it.
                let silent = event.words.contains_key(&place.replica);
                let answered = event.answers.contains_key(&(*keeper, place.replica));
                (!answered && !silent).then_some(Command::AnswerKeeper { keeper: *keeper, on_behalf: place.replica })
            };
            if let Some(wish) = command.and_then(|command| self.give(ledger, id, command)) {
                return Some(wish);
            }
        }
        None
    }

    /// Gives to those who ask this replica.
    fn answer_asks(
        &mut self,
        ledger: &Ledger,
        id: OpId,
        event: &Event,
        place: &Place,
        linked: &BTreeSet<ReplicaKey>,
    ) -> Option<Wish> {
        for ((pool, asker), ask) in event.asks.iter().filter(|(_, ask)| ask.of == place.replica) {
            let Some(known) = event.pools.get(pool) else { continue };
            let available = decide::available(ledger, place, &known.sku);
            // A keeper sells none itself; others even things out, which comes to an end.
            let more = match event.keepers.contains(&place.replica) {
                true => available,
                false => available.saturating_sub(units(event, *pool, asker)),
            };
            let quantity = i64::from(ask.quantity).min(more.saturating_add(1) / 2);
            if quantity <= 0 {
                continue;
            }
            let second = !event.keepers.contains(&place.replica) || linked.iter().any(|other| other != asker);
            let reason = if second { "asked" } else { "asked; nobody else was connected to hold this" };
            let (sku, reason) = (known.sku.clone(), reason.to_owned());
            let command = Command::GrantRights { sku, quantity, to: *asker, reason, answers: Some(ask.op) };
            if let Some(wish) = self.give(ledger, id, command) {
                return Some(wish);
            }
        }
        None
    }

    /// Asks whoever has most, where little is left here.
    fn ask(&mut self, ledger: &Ledger, id: OpId, event: &Event, place: &Place, policy: &Policy) -> Option<Wish> {
        if policy.low <= 0 || policy.keeper.is_some() {
            return None;
        }
        for (sku, _) in event.limited() {
            let pool = PoolId::of(&id, sku);
            let Some(known) = event.pools.get(&pool) else { continue };
            let holders = known.holders();
            // What rests at somebody is nobody's to give.
            let has = |replica: &ReplicaKey| units(event, pool, replica);
            let waiting = event.asks.get(&(pool, place.replica)).is_some_and(|ask| has(&ask.of) > 0);
            let here = decide::available(ledger, place, sku);
            if waiting || here > policy.low {
                continue;
            }
            // Whoever has hardly more is asked only where a buyer waits: or two kits ask each other for ever.
            let wanted = here <= 0 && self.wanted.contains(sku);
            let enough = if wanted { 1 } else { here.saturating_add(2) };
            let others = holders.keys().filter(|replica| **replica != place.replica && !is_followed(ledger, replica));
            let best = others.filter(|replica| has(replica) > 0);
            let best = best.max_by_key(|replica| (event.keepers.contains(replica), has(replica)));
            let gives = |replica: &&ReplicaKey| has(replica) >= enough || event.keepers.contains(replica);
            let Some(of) = best.filter(gives).copied() else { continue };
            self.wanted.remove(sku);
            let command = Command::AskRights { sku: sku.clone(), of, quantity: policy.batch.max(1) };
            if let Some(wish) = self.give(ledger, id, command) {
                return Some(wish);
            }
        }
        None
    }

    /// A command, unless it was given on this ledger before: then it was refused.
    fn give(&mut self, ledger: &Ledger, event: OpId, command: Command) -> Option<Wish> {
        let what = format!("{command:?}").into_bytes();
        if self.given.get(&what) == Some(&ledger.lamport) {
            return None;
        }
        self.given.retain(|_, lamport| *lamport == ledger.lamport);
        self.given.insert(what.clone(), ledger.lamport);
        self.decided += 1;
        let name = [&event.to_bytes()[..], &ledger.lamport.to_le_bytes(), &self.decided.to_le_bytes(), &what].concat();
        Some((event, command, CommandKey::named(Hash::of(&name), &what)))
    }
}

/// Units of a pool that a replica may use.
fn units(event: &Event, pool: PoolId, replica: &ReplicaKey) -> i64 {
    i64::try_from(event.usable(pool, replica).count()).unwrap_or(i64::MAX)
}

/// Whether another replica goes on for this one.
fn is_followed(ledger: &Ledger, replica: &ReplicaKey) -> bool {
    ledger.follows.values().any(|before| before == replica)
}
