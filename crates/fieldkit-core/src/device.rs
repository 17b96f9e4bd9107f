//! Devices that persons let the kit use, and what terminals told last.
//!
//! Promises: a pure fold; a device belongs to the replica that accepted it and to those that follow this one. What a
//! terminal told last is known across events, because its counters run on.
//! Absent on purpose: ports, drivers and links, which are no facts of the shop.

use crate::body::{Charged, DeviceAccepted, DeviceRole, PaymentStep, TerminalRecord};
use crate::codec::record;
use crate::id::{OpId, ReplicaKey};
use crate::ledger::Ledger;
use crate::matching::{Heard, Match, baseline_of, is_newer, is_same, matches, undoes};
use crate::money::Money;
use crate::payment::Payment;
use std::cmp::Reverse;

/// Records of one terminal that are kept, the newest by depth: a terminal that takes charges back by itself tells of an
/// earlier transaction again, and that one is known.
pub(crate) const RECORDS_KEPT_MAX: usize = 16;
/// Most replicas that one kit is taken to have been before.
const LIVES_MAX: usize = 64;

record! {
    /// A device.
    pub struct Device {
        /// What was accepted.
        pub body: DeviceAccepted,
        /// The replica that accepted it.
        pub replica: Option<ReplicaKey>,
        /// The op that retired it; the first by op where several did.
        pub retired: Option<OpId>,
    }
}

record! {
    /// One of the things that a terminal told last.
    pub struct LastRecord {
        /// Depth of the op.
        pub lamport: u64,
        /// The op.
        pub op: OpId,
        /// What it told.
        pub record: TerminalRecord,
    }
}

/// What a terminal's last transaction is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised<'a> {
    /// It was recorded before.
    Known,
    /// It tells about this payment, whose outcome is open.
    Tells(&'a Payment, Match),
    /// It belongs to no payment: a "payment without order".
    Foreign,
}

impl Ledger {
    /// Whether `replica` is `other`, or goes on for it after a roll-back.
    pub fn goes_on_for(&self, replica: ReplicaKey, other: ReplicaKey) -> bool {
        let before = |known: &ReplicaKey| self.follows.get(known).copied();
        std::iter::successors(Some(replica), before).take(LIVES_MAX).any(|known| known == other)
    }

    /// The newest replica that goes on for `replica`, where one does: the last of the longest line of those that were
    /// admitted, the least key among equals.
    pub fn newest_life(&self, replica: ReplicaKey) -> Option<ReplicaKey> {
        let before = |known: &ReplicaKey| self.follows.get(known).copied();
        let lives = |newer: ReplicaKey| {
            std::iter::successors(Some(newer), before).take(LIVES_MAX).position(|known| known == replica)
        };
        let newer = self.follows.keys().filter(|newer| **newer != replica && self.replicas.contains_key(newer));
        let newer = newer.filter_map(|newer| Some((lives(*newer)?, Reverse(*newer))));
        newer.max().map(|(_, Reverse(newest))| newest)
    }

    /// Whether `replica` runs a payment: only the kit that began it can ask its terminal, or undo it there.
    pub fn runs_payment(&self, replica: ReplicaKey, payment: &Payment) -> bool {
        let author = self.streams.get(&payment.payment_id.stream).and_then(|stream| stream.replica);
        author.is_some_and(|author| self.goes_on_for(replica, author))
    }

    /// Devices of a role that `replica` may use, in ascending order of their ids.
    pub fn devices_of(&self, replica: ReplicaKey, role: DeviceRole) -> impl Iterator<Item = (OpId, &Device)> {
        let usable = move |device: &Device| {
            let own = device.replica.is_some_and(|accepted| self.goes_on_for(replica, accepted));
            own && device.retired.is_none() && device.body.role == role
        };
        self.devices.iter().filter(move |(_, device)| usable(device)).map(|(id, device)| (*id, device))
    }

    /// The payment for which a terminal takes nothing else, because a later transaction would hide its outcome: the one
    /// that the terminal may be at now, else one that waits for it.
    pub fn holds_terminal(&self, device: OpId) -> Option<&Payment> {
        let payments = self.events.values().flat_map(|event| event.open_payments.values());
        let holding = payments.filter(|payment| payment.device == Some(device) && payment.state().holds_terminal());
        holding.min_by_key(|payment| !payment.standing().is_asked())
    }

    /// What the last transaction of `device`, as the terminal tells it when asked, is to the ledger.
    pub fn recognise(&self, device: OpId, record: &TerminalRecord) -> Recognised<'_> {
        if let Some(payment) = self.holds_terminal(device) {
            match told_about(payment, record) {
                Match::Foreign => {}
                _ if self.is_overtaken(payment, record) => {}
                other => return Recognised::Tells(payment, other),
            }
        }
        let mut closed = self.closed_payments(device);
        if let Some((payment, found)) = closed.clone().find_map(|payment| Some((payment, otherwise(payment, record)?)))
        {
            return Recognised::Tells(payment, found);
        }
        let told = self
            .terminals
            .get(&record.terminal_id)
            .is_some_and(|kept| kept.iter().any(|last| is_same(&last.record, record)));
        let found = || {
            let key = crate::event::Foreign::key(record);
            self.events.values().any(|event| event.foreign.contains_key(&key))
        };
        if told || found() {
            return Recognised::Known;
        }
        // Nothing was told of it before: it may be what a person closed without knowing.
        let asked = |payment: &&Payment| {
            let standing = payment.standing();
            let money = Money::new(payment.amount, payment.currency);
            let of = |baseline| matches(money, baseline, record, Heard::Asked) == Match::Booked;
            standing.record.is_none() && standing.baseline.is_some_and(of) && !self.is_overtaken(payment, record)
        };
        closed.find(asked).map_or(Recognised::Foreign, |payment| Recognised::Tells(payment, Match::Booked))
    }

    /// Whether the terminal told of something else since the payment was sent to it, and `record` is newer than that: the
    /// terminal was done with the payment by then, and what came later is not about it.
    fn is_overtaken(&self, payment: &Payment, record: &TerminalRecord) -> bool {
        let sent = payment.moves.iter().rev().find(|step| matches!(step.step, PaymentStep::Sent(_)));
        let Some(sent) = sent.filter(|_| payment.standing().record.is_none()) else { return false };
        let mut kept = self.terminals.get(&record.terminal_id).into_iter().flatten();
        kept.any(|last| last.lamport > sent.lamport && is_newer(record, &last.record))
    }

    /// Payments at a terminal that a person closed, and of which nothing was told since.
    fn closed_payments(&self, device: OpId) -> impl Iterator<Item = &Payment> + Clone {
        let payments = self.events.values().flat_map(|event| event.open_payments.values());
        payments.filter(move |payment| payment.device == Some(device) && payment.closed_last().is_some())
    }

    /// A payment about which something is open, by its id.
    pub fn open_payment(&self, id: OpId) -> Option<&Payment> {
        self.events.values().find_map(|event| event.open_payments.get(&id))
    }
}

/// What a record says against a person who closed a payment: `Booked` that the card is charged, `Older` or `Declined`
/// that it is not.
fn otherwise(payment: &Payment, record: &TerminalRecord) -> Option<Match> {
    let standing = payment.standing();
    let charged = payment.closed_last()?.charged;
    let same = standing.record.is_some_and(|charge| is_same(charge, record));
    match charged {
        Charged::No if same && record.result == 0 => Some(Match::Booked),
        Charged::Yes if same && record.result != 0 => Some(Match::Declined),
        Charged::Yes if standing.baseline.is_some_and(|baseline| *baseline == baseline_of(record)) => {
            Some(Match::Older)
        }
        Charged::No | Charged::Yes => None,
    }
}

/// What a record that was asked for is to a payment whose outcome is open. For a reversal, `Booked` says that it was done.
fn told_about(payment: &Payment, record: &TerminalRecord) -> Match {
    let standing = payment.standing();
    let reversing = standing.state.is_reversing();
    let charging = standing.is_asked() && !reversing;
    match (standing.record, standing.baseline) {
        (Some(charge), Some(baseline)) if reversing && standing.reversal_sent => undoes(charge, baseline, record),
        // Terminals undo by themselves what the kit did not answer.
        (Some(charge), _) if reversing => undoes(charge, &baseline_of(charge), record),
        // A terminal that had no answer may keep the charge as declined under its own numbers.
        (Some(charge), _) if is_same(charge, record) && record.result != 0 => Match::Declined,
        (Some(charge), _) if is_same(charge, record) => Match::Booked,
        // It told of the charge, had no answer, and remembers what was before: it took the charge back.
        (Some(_), Some(baseline)) if charging => {
            match matches(Money::new(payment.amount, payment.currency), baseline, record, Heard::Asked) {
                Match::Older => Match::Older,
                _ => Match::Foreign,
            }
        }
        (None, Some(baseline)) if charging => {
            matches(Money::new(payment.amount, payment.currency), baseline, record, Heard::Asked)
        }
        _ => Match::Foreign,
    }
}
