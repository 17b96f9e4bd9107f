//! Terminals against the ledger: every charge that stands is known, every payment that is taken was charged, once.
//!
//! Promises: numbers are compared where the terminal tells them, amounts where it does not; what was charged while the
//! only copy of the ledger was destroyed later is nobody's to know.
//! Absent on purpose: charges by hand that nobody could hear of: a terminal tells its last transaction only.

use super::{Findings, Union};
use crate::terminal::Terminal;
use crate::world::World;
use fieldkit_core::body::{Charged, Closing, TerminalRecord};
use fieldkit_core::id::OpId;
use fieldkit_core::op::Account;
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_drivers::terminal_peer::{Entry, Event};
use std::collections::BTreeMap;

/// How long a terminal may be at something when its kit goes back.
const UNDER_WAY_S: u64 = 120;

pub(super) fn check(world: &World, union: &Union, findings: &mut Findings) {
    for kit in &world.kits {
        let Some(device) = kit.device else { continue };
        let orders = union.ledger.orders.values();
        let payments = orders.flat_map(|order| &order.payments).filter(|payment| payment.device == Some(device));
        let windows = world.log.put_back.iter().filter(|put_back| put_back.kit == kit.number);
        let gone = windows.filter(|put_back| !put_back.destroyed.is_empty());
        // What the terminal was at when the kit went back comes after it.
        let end = |at_s: u64| {
            let later = |entry: &Entry| entry.at_s > at_s + UNDER_WAY_S;
            let entries = &world.terminals[kit.number].entries;
            entries.iter().position(later).unwrap_or(entries.len())
        };
        let windows: Vec<(usize, usize)> = gone.map(|put_back| (put_back.entries, end(put_back.at_s))).collect();
        let mut book = Book { terminal: &world.terminals[kit.number], left: BTreeMap::new(), excused: windows };
        book.left = book.terminal.standing().into_iter().filter(|(_, entry)| entry.event != Event::Foreign).collect();
        book.settle(kit.number, &payments.collect::<Vec<_>>(), findings);
        book.account_for_the_rest(kit.number, union, device, findings);
    }
}

/// Charges that stand at a terminal and that nobody has named yet.
struct Book<'a> {
    terminal: &'a Terminal,
    left: BTreeMap<usize, &'a Entry>,
    /// Parts of the journal of which the ledger's only copy was destroyed.
    excused: Vec<(usize, usize)>,
}

impl Book<'_> {
    /// Takes off what payments say.
    fn settle(&mut self, kit: usize, payments: &[&Payment], findings: &mut Findings) {
        // What is known by number first; then what a person saw in the journal.
        for payment in payments {
            let standing = payment.standing();
            let Some(record) = standing.record.filter(|_| self.terminal.tells_numbers()) else { continue };
            let taken = matches!(standing.booked, Some(Account::CARD | Account::AT_RISK));
            let named = standing.state == PaymentState::Mismatched || !standing.against.is_empty();
            match self.take(|entry| is(entry, record)) {
                Some(_) if taken || named || standing.state == PaymentState::ClosedByPerson => {}
                Some(place) if self.is_excused(place) => {}
                Some(_) => {
                    let (id, state) = (payment.payment_id, payment.state().text());
                    let what = format!("kit {kit}: receipt {} stands, but payment {id} is {state}", record.receipt);
                    findings.wrong("INV-02", what);
                }
                None if taken && !self.was_undone_later(record) => {
                    let (id, receipt) = (payment.payment_id, record.receipt);
                    let what = format!("kit {kit}: payment {id} took receipt {receipt}, which does not stand");
                    findings.wrong("INV-04", what);
                }
                None => {}
            }
        }
        for payment in payments.iter().filter(|payment| is_named(payment)) {
            // The crew gave the money back by hand, or the ledger names another amount: the charge may stand, or not.
            let amount = payment.standing().record.map_or(payment.amount, |record| record.amount);
            self.take(|entry| entry.amount.minor == amount);
        }
        for payment in payments {
            let standing = payment.standing();
            let told = standing.record.is_some() && self.terminal.tells_numbers();
            let charged = standing.closed.is_some_and(|closing| closing.charged == Charged::Yes);
            if told || standing.booked.is_none() || (self.terminal.tells_numbers() && !charged) {
                continue;
            }
            let money = (payment.amount, payment.currency);
            if self.take(|entry| (entry.amount.minor, entry.amount.currency) == money).is_none()
                && self.excused.is_empty()
            {
                let what = format!("kit {kit}: payment {} took money that no terminal has", payment.payment_id);
                findings.wrong("INV-04", what);
            }
        }
    }

    /// Whatever is left must stand in a list of charges without order, or be in doubt.
    fn account_for_the_rest(&mut self, kit: usize, union: &Union, device: OpId, findings: &mut Findings) {
        let listed = union.ledger.events.values().flat_map(|event| event.foreign.values());
        let records: Vec<&TerminalRecord> =
            listed.filter(|foreign| foreign.body.device == Some(device)).map(|foreign| &foreign.body.record).collect();
        for (place, entry) in &self.left {
            let known = records.iter().any(|record| is(entry, record));
            if !known && !self.is_excused(*place) {
                let (receipt, amount) = (entry.receipt, entry.amount);
                findings.wrong("INV-02", format!("kit {kit}: nobody knows of receipt {receipt} over {amount}"));
            }
        }
    }

    fn take(&mut self, fits: impl Fn(&Entry) -> bool) -> Option<usize> {
        // What nobody needs to know of is named last.
        let fitting = self.left.iter().filter(|(_, entry)| fits(entry)).map(|(place, _)| *place);
        let place = fitting.min_by_key(|place| (self.is_excused(*place), *place))?;
        self.left.remove(&place).map(|_| place)
    }

    fn is_excused(&self, place: usize) -> bool {
        self.excused.iter().any(|(from, to)| (*from..*to).contains(&place))
    }

    /// Whether the charge was undone by what was destroyed later.
    fn was_undone_later(&self, record: &TerminalRecord) -> bool {
        let undone = |entry: &Entry| matches!(entry.event, Event::Reversed | Event::AutoReversed) && is(entry, record);
        let place = self.terminal.entries.iter().position(undone);
        place.is_some_and(|place| self.is_excused(place))
    }
}

/// Whether the ledger names a charge of this payment that need not stand.
fn is_named(payment: &Payment) -> bool {
    let by_hand = |closing: &Closing| closing.evidence == "paid back by hand";
    let standing = payment.standing();
    standing.state == PaymentState::Mismatched || standing.closed.is_some_and(by_hand)
}

/// Whether a record tells of an entry.
fn is(entry: &Entry, record: &TerminalRecord) -> bool {
    let money = (entry.amount.minor, entry.amount.currency) == (record.amount, record.currency);
    (entry.receipt, entry.trace) == (record.receipt, record.trace) && money
}
