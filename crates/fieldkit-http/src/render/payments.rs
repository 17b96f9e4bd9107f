//! Payments, charges that belong to no order, and what the crew should know of both.
//!
//! Promises: as `render` does. Words about a payment are those of the step that made it what it is now.
//! Absent on purpose: what may be done next, which the rules say when it is tried.

use super::{shown_event, wire};
use crate::desk::Shelf;
use fieldkit_core::body::{CancelledBy, PaymentStep, TerminalAnswer, TerminalRecord};
use fieldkit_core::event::{Event, Foreign};
use fieldkit_core::id::OpId;
use fieldkit_core::listing::{Listed, listed};
use fieldkit_core::money;
use fieldkit_core::order::{Order, Stage};
use fieldkit_core::payment::{Payment, PaymentState};
use wire::Money;

/// Payments of an order, in the order of all lists.
pub fn payments(order: &Order) -> Vec<wire::Payment> {
    // Lists name each attempt first, then the cash.
    let attempts = order.payments.iter().map(Some).chain(std::iter::repeat(None));
    listed(order).into_iter().zip(attempts).map(|(listed, attempt)| payment(order, listed, attempt)).collect()
}

fn payment(order: &Order, listed: Listed<'_>, attempt: Option<&Payment>) -> wire::Payment {
    let money = |minor| Money::new(minor, order.sale.currency);
    let label = attempt.map(|attempt| attempt.label.clone()).filter(|label| !label.is_empty());
    wire::Payment {
        payment_id: listed.payment_id,
        order_id: order.order_id.text(),
        tender: listed.tender,
        state: listed.state,
        amount: money(listed.amount),
        tendered: money(listed.tendered),
        change: money(listed.tendered.saturating_sub(listed.amount)),
        taken: money(listed.taken),
        reference: listed.reference,
        terminal_id: listed.record.map(|record| record.terminal_id.clone()).filter(|id| !id.is_empty()),
        terminal_receipt: listed.record.map(|record| record.receipt).filter(|number| *number > 0),
        trace: listed.record.map(|record| record.trace).filter(|trace| *trace > 0),
        card: listed.record.map(card),
        charged: listed.record.map(|record| Money::new(record.amount, record.currency)),
        device_id: attempt.and_then(|attempt| attempt.device).map(|device| device.text()),
        label,
        said: attempt.and_then(said),
    }
}

fn card(record: &TerminalRecord) -> String {
    format!("{} {}", record.card_name, record.masked_pan).trim().to_owned()
}

/// What is left to pay.
pub fn left(order: &Order) -> Money {
    let minor = match order.stage() {
        Stage::Open => order.sale.total.saturating_sub(order.collected()),
        Stage::Paid(_) | Stage::Cancelled(_) => 0,
    };
    Money::new(minor, order.sale.currency)
}

/// The words of the newest step that fits what the payment is now.
fn said(payment: &Payment) -> Option<String> {
    let state = payment.state();
    payment.moves.iter().rev().find_map(|step| words(&step.step, state)).filter(|words| !words.is_empty())
}

fn words(step: &PaymentStep, state: PaymentState) -> Option<String> {
    use PaymentState as State;
    match (step, state) {
        (PaymentStep::Declined(no), State::Declined) => Some(answer(no)),
        (PaymentStep::Cancelled(by), State::Cancelled) => Some(stopped(*by).to_owned()),
        (PaymentStep::Unknown(why), State::Unknown) | (PaymentStep::ReversalUnknown(why), State::ReversalUnknown) => {
            Some(why.clone())
        }
        (PaymentStep::NotCharged(evidence), State::NotCharged) => Some(evidence.clone()),
        (PaymentStep::ClosedByPerson(closing), State::ClosedByPerson) => Some(closing.evidence.clone()),
        // The charge stands, because the terminal would not undo it.
        (
            PaymentStep::ReversalDeclined(no),
            State::Captured | State::AtRisk | State::Mismatched | State::Attested | State::ClosedByPerson,
        ) => Some(answer(no)),
        _ => None,
    }
}

fn answer(no: &TerminalAnswer) -> String {
    if no.text.is_empty() { format!("code {}", no.code) } else { no.text.clone() }
}

fn stopped(by: CancelledBy) -> &'static str {
    match by {
        CancelledBy::Buyer => "stopped by the buyer",
        CancelledBy::Crew => "stopped by the crew",
        CancelledBy::Terminal => "stopped by the terminal",
        CancelledBy::Kit => "stopped by the kit, before the terminal heard of it",
    }
}

/// Charges that belong to no order, of an event (`None` means the open one), as they were found.
pub fn foreign_payments(shelf: &Shelf<'_>, event: Option<OpId>) -> Vec<wire::ForeignPayment> {
    let Some((_, event)) = shown_event(shelf, event) else { return Vec::new() };
    let mut found: Vec<(OpId, &Foreign)> = event.foreign.values().filter_map(named).collect();
    found.sort_by_key(|(id, _)| *id);
    found.into_iter().map(|(id, foreign)| foreign_payment(id, foreign)).collect()
}

/// The event at which a charge was found that belongs to no order.
pub fn event_of_foreign(shelf: &Shelf<'_>, found: OpId) -> Option<OpId> {
    shelf.ledger.events.iter().find(|(_, event)| event.foreign_found_by(found).is_some()).map(|(id, _)| *id)
}

/// A charge that belongs to no order.
pub fn foreign(shelf: &Shelf<'_>, found: OpId) -> Option<wire::ForeignPayment> {
    let known = shelf.ledger.events.values().find_map(|event| event.foreign_found_by(found));
    known.map(|(id, foreign)| foreign_payment(id, foreign))
}

fn named(foreign: &Foreign) -> Option<(OpId, &Foreign)> {
    foreign.found.first().map(|first| (*first, foreign))
}

fn foreign_payment(id: OpId, foreign: &Foreign) -> wire::ForeignPayment {
    let record = &foreign.body.record;
    let pair = |number: u32, place: u32| number / place % 100;
    wire::ForeignPayment {
        found_id: id.text(),
        device_id: foreign.body.device.map(|device| device.text()),
        terminal_id: record.terminal_id.clone(),
        amount: Money::new(record.amount, record.currency),
        receipt: record.receipt,
        trace: Some(record.trace).filter(|trace| *trace > 0),
        card: card(record),
        date: record.date.map(|date| format!("{:02}-{:02}", pair(date.into(), 100), pair(date.into(), 1))),
        time: record.time.map(|time| format!("{:02}:{:02}:{:02}", pair(time, 10_000), pair(time, 100), pair(time, 1))),
        settled: foreign.settled.is_some(),
        note: foreign.settled.as_ref().map(|settled| settled.note.clone()),
    }
}

/// Payments whose outcome only a terminal or a person can tell, of all events: they hold their terminals.
pub fn payment_notices<'a>(shelf: &Shelf<'a>) -> impl Iterator<Item = wire::Notice> {
    let open = shelf.ledger.events.values().flat_map(|event| event.open_payments.values());
    open.filter_map(|payment| {
        let (text, next_step) = in_doubt(payment)?;
        Some(wire::Notice { level: "warn", code: "payment_unknown", text, next_step: next_step.to_owned() })
    })
}

/// What is in doubt about a payment, and what is to be done.
fn in_doubt(payment: &Payment) -> Option<(String, &'static str)> {
    let asked = money::Money::new(payment.amount, payment.currency);
    let label = if payment.label.is_empty() { "The terminal" } else { &payment.label };
    let standing = payment.standing();
    match standing.state {
        PaymentState::Unknown => Some((
            format!("{label} may have charged a card {asked}: do not charge it again."),
            "Ask the terminal, or `fieldkit device ask`; where it cannot tell, look at its journal and close the payment.",
        )),
        PaymentState::ReversalUnknown => Some((
            format!("{label} may have undone a charge of {asked}, or not."),
            "Ask the terminal, or `fieldkit device ask`; where it cannot tell, look at its journal and close the payment.",
        )),
        PaymentState::Mismatched => {
            let charged = standing.record.map(|record| money::Money::new(record.amount, record.currency).to_string());
            let charged = charged.unwrap_or_else(|| "another amount".to_owned());
            Some((
                format!("{label} charged a card {charged} where {asked} was asked for."),
                "Undo the charge; where the terminal will not, undo it there by hand and close the payment as not charged.",
            ))
        }
        PaymentState::ClosedByPerson if !standing.against.is_empty() => Some((
            format!("A payment of {asked} was closed as charged, but {label} did not charge it: the money is missing."),
            "Void its order, or take the money from the buyer and note it.",
        )),
        _ => None,
    }
}

/// Events at which charges were found that belong to no order and that nobody has cleared up.
pub fn foreign_notices<'a>(shelf: &Shelf<'a>) -> impl Iterator<Item = wire::Notice> {
    let shown = shelf.event;
    shelf.ledger.events.iter().filter_map(move |(id, event)| {
        let open = event.foreign.values().filter(|foreign| foreign.settled.is_none()).count();
        (open > 0).then(|| without_order(open, event, Some(*id) == shown))
    })
}

fn without_order(open: usize, event: &Event, here: bool) -> wire::Notice {
    let charges = if open == 1 {
        "1 charge on a terminal belongs".to_owned()
    } else {
        format!("{open} charges on a terminal belong")
    };
    let name = &event.opened.name;
    let (at, option) = if here { (String::new(), "") } else { (format!(" (found at {name})"), " --event NAME") };
    wire::Notice {
        level: "warn",
        code: "payment_without_order",
        text: format!("{charges} to no order{at}."),
        next_step: format!("Find out what it was and clear it up, also with `fieldkit payments foreign{option}`."),
    }
}
