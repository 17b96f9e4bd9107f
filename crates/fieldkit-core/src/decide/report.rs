//! What devices report, steps of payments and payments without order, with what follows from it; and the devices.
//!
//! Promises: a fact of a terminal is recorded whatever it contradicts, and its money is booked by the same op; the
//! consequences stand in the same batch — a covered order is paid, an undone one is voided, and what was charged amiss
//! or found after all is to be undone. A record of another amount than was asked is never an approval.
//! Absent on purpose: whether a terminal's record is the payment asked for, which a driver's user compares with `matching`.

use super::settle::{self, answer_last, moved};
use super::{Place, dot, give_back, plain, text};
use crate::author::{Context, Draft};
use crate::body::{
    Body, DeviceAccepted, DeviceRetired, ForeignPaymentFound, ForeignPaymentSettled, PaymentStep, TerminalAnswer,
    TerminalRecord,
};
use crate::card_number;
use crate::device::Recognised;
use crate::id::{OpId, Space};
use crate::ledger::Ledger;
use crate::money::Money;
use crate::order::{Order, Stage};
use crate::payment::{Move, Payment, PaymentState, Standing, booking};
use crate::refusal::{PaymentRefusal, Refusal};

/// Longest text of a terminal that is kept.
const SAID_LENGTH_MAX: usize = 200;

/// Records a step that a terminal reports.
pub(super) fn move_payment(
    ledger: &Ledger,
    order_id: OpId,
    payment_id: OpId,
    reported: &PaymentStep,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (order, payment) = settle::known(ledger, order_id, payment_id)?;
    if matches!(reported, PaymentStep::ClosedByPerson(_)) {
        return Err(Refusal::NotAllowed { who: "a device".to_owned() });
    }
    settle::own(ledger, payment, place)?;
    if matches!(reported, PaymentStep::Sent(_) | PaymentStep::ReversalSent(_)) {
        settle::terminal_idle(ledger, payment)?;
    }
    step(ledger, order, payment, as_asked(payment, clean(reported)), place, context)
}

/// A step, the money that it moves, and what follows from it.
pub(super) fn step(
    ledger: &Ledger,
    order: &Order,
    payment: &Payment,
    step: PaymentStep,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let place = place.of(order);
    let (_, space, _) = place.any_event(ledger)?;
    let id = payment.payment_id;
    let mut after = order.clone();
    let op = dot(ledger, &place, &space, 1);
    let lamport = ledger.lamport.saturating_add(1);
    after.add_move(id, Move { op, lamport, stamp: order.stamp, step: step.clone() });
    // What a terminal is about to hear is written each time that it is about to hear it.
    let told =
        matches!(step, PaymentStep::ReversalSent(_)) && payment.moves.last().is_none_or(|last| last.step != step);
    let before = payment.standing();
    let Some(moved_on) = after.payment(id).filter(|moved_on| told || moved_on.standing() != before) else {
        let (state, what) = (before.state.text(), "this report says nothing new");
        return Err(PaymentRefusal::State { state, what }.into());
    };
    let (now, money) = (moved_on.standing(), Money::new(payment.amount, payment.currency));
    let moving = booking(order.booked(payment), after.booked(moved_on), money);
    let mut drafts = vec![moved(&space, order.order_id, payment, step, moving)];
    if let Some(reason) = amiss(order, payment, &before, &now) {
        drafts.push(moved(&space, order.order_id, payment, PaymentStep::ReversalIntended(reason), Vec::new()));
    } else if matches!(order.stage(), Stage::Open) && after.collected() > order.collected() {
        drafts.extend(covered(ledger, &after, &place, context)?);
    } else if before.state.is_reversing() {
        drafts.extend(give_back::undone(ledger, &after, payment, &place, context)?);
    }
    answer_last(&mut drafts);
    Ok(drafts)
}

/// Why a charge is to be undone at once, if so: of another amount, after a no, or for an order that needs it no more.
fn amiss(order: &Order, payment: &Payment, before: &Standing<'_>, now: &Standing<'_>) -> Option<String> {
    use PaymentState as State;
    let charged = matches!(now.state, State::Approved | State::AtRisk | State::Captured | State::Mismatched);
    // A charge that the terminal would not undo is for a person; asking again by itself would never end.
    let asked_before = before.state.is_reversing();
    if !charged || asked_before || before.state == now.state {
        return None;
    }
    let paid_by_it = order.is_paid_by(payment.payment_id);
    let no_before = before.state.says_no_money() || (before.state == State::ClosedByPerson && before.booked.is_none());
    if now.state == State::Mismatched {
        Some("another amount was charged than was asked".to_owned())
    } else if no_before && !(paid_by_it && before.lost.is_some()) {
        Some("money was found after all".to_owned())
    } else if !matches!(order.stage(), Stage::Open) && !paid_by_it {
        Some(format!("the order is {}", order.state().text().replace('_', " ")))
    } else {
        None
    }
}

/// The op that pays an open order whose tenders cover it now.
fn covered(ledger: &Ledger, order: &Order, place: &Place, context: &Context) -> Result<Option<Draft>, Refusal> {
    let cash = order.sale.planned_cash();
    let offered = cash.iter().fold(0i64, |sum, cash| sum.saturating_add(cash.tendered));
    let change = offered.saturating_add(order.collected()).saturating_sub(order.sale.total);
    let tenders = cash.into_iter().map(crate::body::Tender::Cash).chain(settle::collected(order)).collect();
    if order.held_by().is_some() || change < 0 || change > offered {
        return Ok(None);
    }
    settle::paid(ledger, order.order_id, &order.sale, tenders, change, place, context).map(Some)
}

/// An approval of something else than was asked is none.
fn as_asked(payment: &Payment, step: PaymentStep) -> PaymentStep {
    match step {
        PaymentStep::Approved(record) | PaymentStep::AtRisk(record)
            if (record.amount, record.currency) != (payment.amount, payment.currency) =>
        {
            PaymentStep::Mismatched(record)
        }
        other => other,
    }
}

/// A report with its texts as they may be kept.
fn clean(step: &PaymentStep) -> PaymentStep {
    let answer = |answer: &TerminalAnswer| TerminalAnswer { code: answer.code, text: said(&answer.text) };
    match step {
        PaymentStep::Approved(record) => PaymentStep::Approved(clean_record(record)),
        PaymentStep::AtRisk(record) => PaymentStep::AtRisk(clean_record(record)),
        PaymentStep::Mismatched(record) => PaymentStep::Mismatched(clean_record(record)),
        PaymentStep::Reversed(record) => PaymentStep::Reversed(clean_record(record)),
        PaymentStep::Declined(no) => PaymentStep::Declined(answer(no)),
        PaymentStep::ReversalDeclined(no) => PaymentStep::ReversalDeclined(answer(no)),
        PaymentStep::Unknown(why) => PaymentStep::Unknown(said(why)),
        PaymentStep::NotCharged(evidence) => PaymentStep::NotCharged(said(evidence)),
        PaymentStep::ReversalIntended(reason) => PaymentStep::ReversalIntended(said(reason)),
        PaymentStep::ReversalUnknown(why) => PaymentStep::ReversalUnknown(said(why)),
        PaymentStep::Sent(_)
        | PaymentStep::Captured(_)
        | PaymentStep::Cancelled(_)
        | PaymentStep::ReversalSent(_)
        | PaymentStep::ClosedByPerson(_) => step.clone(),
    }
}

fn clean_record(record: &TerminalRecord) -> TerminalRecord {
    TerminalRecord {
        terminal_id: said(&record.terminal_id),
        card_name: said(&record.card_name),
        masked_pan: said(&record.masked_pan),
        authorisation: said(&record.authorisation),
        ..record.clone()
    }
}

/// A terminal's words: no control characters, no card number, not without end.
fn said(words: &str) -> String {
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_LENGTH_MAX);
    card_number::masked(plain.collect::<String>().trim())
}

/// Records a charge on a terminal that belongs to no order.
pub(super) fn record_foreign(
    ledger: &Ledger,
    device: OpId,
    record: &TerminalRecord,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, _) = place.any_event(ledger)?;
    own_device(ledger, device, place)?;
    let record = clean_record(record);
    match ledger.recognise(device, &record) {
        Recognised::Known => Err(PaymentRefusal::TransactionKnown.into()),
        Recognised::Tells(payment, _) => {
            let amount = Money::new(payment.amount, payment.currency);
            let (id, state) = (payment.payment_id.text(), payment.state().text());
            Err(PaymentRefusal::Running { payment: id, state, amount }.into())
        }
        Recognised::Foreign => {
            let body = ForeignPaymentFound { device: Some(device), record };
            Ok(vec![Draft::new(space, Body::ForeignPaymentFound(body)).answering()])
        }
    }
}

/// Clears a payment without order up.
pub(super) fn settle_foreign(ledger: &Ledger, found: OpId, note: &str, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.any_event(ledger)?;
    let note = plain("the note", note, 1, 200)?;
    let known = event.foreign_found_by(found).ok_or_else(|| PaymentRefusal::UnknownForeign(found.text()))?;
    if known.1.settled.is_some() {
        return Err(PaymentRefusal::ForeignSettled.into());
    }
    let body = ForeignPaymentSettled { found: known.0, note };
    Ok(vec![Draft::new(space, Body::ForeignPaymentSettled(body)).answering()])
}

/// Lets a device be used.
pub(super) fn accept(ledger: &Ledger, device: &DeviceAccepted, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let body = DeviceAccepted {
        role: device.role,
        driver: text("the driver", &device.driver, 1, 40)?,
        identity: text("the device's identity", &device.identity, 1, 200)?,
        label: text("the device's name", &device.label, 1, 60)?,
    };
    let same = |known: &DeviceAccepted| (&known.driver, &known.identity) == (&body.driver, &body.identity);
    if ledger.devices_of(place.replica, body.role).any(|(_, known)| same(&known.body)) {
        return Err(PaymentRefusal::DeviceKnown(body.identity).into());
    }
    Ok(vec![Draft::new(Space::ORGANISATION, Body::DeviceAccepted(body)).answering()])
}

/// Stops using a device; a terminal only once no outcome depends on it.
pub(super) fn retire(ledger: &Ledger, device: OpId, place: &Place) -> Result<Vec<Draft>, Refusal> {
    own_device(ledger, device, place)?;
    if let Some(payment) = ledger.holds_terminal(device) {
        let (label, id) = (payment.label.clone(), payment.payment_id.text());
        return Err(PaymentRefusal::TerminalHeld { label, payment: id, state: payment.state().text() }.into());
    }
    Ok(vec![Draft::new(Space::ORGANISATION, Body::DeviceRetired(DeviceRetired { device })).answering()])
}

fn own_device(ledger: &Ledger, device: OpId, place: &Place) -> Result<(), Refusal> {
    let unknown = || PaymentRefusal::UnknownDevice(device.text());
    let found = ledger.devices.get(&device).filter(|found| found.retired.is_none()).ok_or_else(unknown)?;
    let own = found.replica.is_some_and(|accepted| ledger.goes_on_for(place.replica, accepted));
    if own { Ok(()) } else { Err(unknown().into()) }
}
