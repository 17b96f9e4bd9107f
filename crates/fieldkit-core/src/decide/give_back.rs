//! Refunds, voids, and undoing them.
//!
//! Promises: a refund gives cash, and for an order paid by card only where that is asked for; a void gives each tender
//! back by its own means, and is an entry once the last card is paid back.
//! Absent on purpose: talk with terminals (`report` hears of it).

use super::settle::{self, answer_last};
use super::{Place, next_receipt, plain, rights, sum};
use crate::author::{Context, Draft};
use crate::body::{Body, Line, OrderRefunded, PaymentStep, RefundKind, RefundLine, RefundUndone};
use crate::id::{OpId, PoolId};
use crate::ledger::Ledger;
use crate::money::{self, Money, MoneyError};
use crate::op::{Account, Posting, Unit};
use crate::order::{Order, Paid};
use crate::payment::Payment;
use crate::refusal::{PaymentRefusal, Refusal};
use std::collections::BTreeMap;

/// Units asked back, and how.
pub(super) struct Back<'a> {
    /// Lines and quantities, `None` for all that is left.
    pub lines: Option<&'a [(u32, u32)]>,
    /// Why.
    pub reason: &'a str,
    /// Whether the units may be sold again.
    pub restock: bool,
    /// Whether cash is asked for, where the order was paid by card.
    pub in_cash: bool,
}

/// Gives goods and money back, also after the event is closed.
pub(super) fn refund(
    ledger: &Ledger,
    order_id: OpId,
    asked: &Back<'_>,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (order, paid) = known(ledger, order_id)?;
    let reason = plain("the reason", asked.reason, 1, 80)?;
    let lines = match asked.lines {
        Some(asked) => asked_parts(order, asked)?,
        None => all_parts(order)?,
    };
    if lines.is_empty() {
        return Err(Refusal::NothingLeft);
    }
    in_cash(order, paid, &lines, asked.in_cash)?;
    let entry = Entry { lines, kind: RefundKind::Refund, reason, restock: asked.restock, by_card: 0 };
    write(ledger, order, entry, place, context)
}

/// Refuses cash for a card where nobody asked for it, and more than did not go back to cards already.
fn in_cash(order: &Order, paid: &Paid, lines: &[RefundLine], asked: bool) -> Result<(), Refusal> {
    let by_card = sum(paid.payments().map(|card| card.amount))?;
    if by_card == 0 {
        return Ok(());
    }
    settle::free(order)?;
    let money = |minor| Money::new(minor, order.sale.currency);
    if !asked {
        return Err(PaymentRefusal::CardRefund(money(by_card)).into());
    }
    let gone = |id: OpId| order.payment(id).is_some_and(|payment| payment.collected() == 0);
    let gone = sum(paid.payments().filter(|card| gone(card.payment)).map(|card| card.amount))?;
    let given = sum(order.standing_refunds().map(|refund| refund.body.amount))?;
    let wanted = sum(lines.iter().map(|part| part.amount))?;
    let left = order.sale.total.saturating_sub(gone).saturating_sub(given);
    if gone > 0 && wanted > left {
        return Err(PaymentRefusal::RefundAmount { left: money(left), wanted: money(wanted) }.into());
    }
    Ok(())
}

/// Undoes a whole order on its own business day. Cards are paid back first: the entry comes with the last of them.
pub(super) fn void(
    ledger: &Ledger,
    order_id: OpId,
    reason: &str,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (order, paid) = known(ledger, order_id)?;
    let reason = plain("the reason", reason, 1, 80)?;
    let event = ledger.events.get(&order.event).ok_or(Refusal::NoEvent)?;
    let same_day = super::business_day(event, context.wall_ms) == paid.business_day;
    if !same_day || order.standing_refunds().next().is_some() {
        return Err(Refusal::VoidTooLate);
    }
    settle::free(order)?;
    let place = place.of(order);
    let (_, space, _) = place.any_event(ledger)?;
    let mut drafts = Vec::new();
    for card in paid.payments() {
        let (_, payment) = settle::known(ledger, order_id, card.payment)?;
        match order.booked(payment) {
            Some(Account::CARD | Account::AT_RISK) => {
                settle::own(ledger, payment, &place)?;
                settle::terminal_free(ledger, payment)?;
                let step = PaymentStep::ReversalIntended(reason.clone());
                drafts.push(settle::moved(&space, order_id, payment, step, Vec::new()));
            }
            Some(Account::LOST) => {
                let state = payment.state().text();
                return Err(PaymentRefusal::State { state, what: "its money never came, so none can go back" }.into());
            }
            _ => {}
        }
    }
    if drafts.is_empty() {
        drafts = voided(ledger, order, paid, reason, &place, context)?;
    }
    answer_last(&mut drafts);
    Ok(drafts)
}

/// The void of an order whose card was just paid back, unless another card of it is still to be.
pub(super) fn undone(
    ledger: &Ledger,
    order: &Order,
    payment: &Payment,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let Some(paid) = order.paid() else { return Ok(Vec::new()) };
    let booked = |id: OpId| order.payment(id).and_then(|payment| payment.standing().booked);
    let at_terminal =
        |card: &crate::body::CardTender| matches!(booked(card.payment), Some(Account::CARD | Account::AT_RISK));
    let void_stands = order.standing_refunds().any(|refund| refund.body.kind == RefundKind::Void);
    if !order.is_paid_by(payment.payment_id)
        || booked(payment.payment_id).is_some()
        || void_stands
        || paid.payments().any(at_terminal)
    {
        return Ok(Vec::new());
    }
    let reason = payment.reversal_reason().unwrap_or_default().to_owned();
    voided(ledger, order, paid, reason, place, context)
}

/// The entry of a void, after what the crew pays back by hand.
fn voided(
    ledger: &Ledger,
    order: &Order,
    paid: &Paid,
    reason: String,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, _) = place.any_event(ledger)?;
    let mut drafts = Vec::new();
    let by_hand = order.payments.iter().filter(|payment| payment.standing().booked == Some(Account::ATTESTED));
    for payment in by_hand.filter(|payment| order.is_paid_by(payment.payment_id)) {
        drafts.extend(settle::paid_back_by_hand(&space, order.order_id, payment, &reason));
    }
    let by_card = sum(paid.payments().map(|card| card.amount))?;
    // The whole of it, whatever another kit gave back meanwhile: the cards were paid back whole.
    let lines = all_parts(&Order { refunds: Vec::new(), ..order.clone() })?;
    let entry = Entry { lines, kind: RefundKind::Void, reason, restock: true, by_card };
    drafts.extend(write(ledger, order, entry, place, context)?);
    Ok(drafts)
}

/// Undoes a refund or void: money and units go back to where they were.
pub(super) fn undo(
    ledger: &Ledger,
    order_id: OpId,
    refund_id: OpId,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (order, paid) = known(ledger, order_id)?;
    let refund = order.refunds.iter().find(|refund| refund.refund_id == refund_id);
    let refund = refund.ok_or_else(|| Refusal::UnknownRefund(refund_id.text()))?;
    if refund.undone.is_some() {
        return Err(Refusal::UndoneBefore);
    }
    if refund.body.kind == RefundKind::Void && paid.payments().next().is_some() {
        return Err(PaymentRefusal::UndoCard.into());
    }
    let place = place.of(order);
    let (_, space, event) = place.any_event(ledger)?;
    let body = RefundUndone {
        order: order_id,
        refund: refund_id,
        receipt: next_receipt(ledger, &place, &space),
        business_day: super::business_day(event, context.wall_ms),
    };
    let mut postings = postings(order, &refund.body.lines, refund.body.restock).map_err(|_| Refusal::Overflow)?;
    for posting in &mut postings {
        posting.amount = -posting.amount;
    }
    let wanted = if refund.body.restock { quantities(order, &refund.body.lines) } else { BTreeMap::new() };
    let mut drafts = rights::retaken(ledger, order, wanted, &place)?;
    drafts.push(Draft::new(space, Body::RefundUndone(body)).moving(postings).answering());
    Ok(drafts)
}

/// The order, which must be paid, and how it was.
fn known(ledger: &Ledger, order: OpId) -> Result<(&Order, &Paid), Refusal> {
    let order = ledger.orders.get(&order).map(AsRef::as_ref).ok_or_else(|| Refusal::UnknownOrder(order.text()))?;
    let paid = order.paid().ok_or_else(|| PaymentRefusal::OrderNotPaid(order.state().text()))?;
    settle::sane(order)?;
    Ok((order, paid))
}

fn asked_parts(order: &Order, asked: &[(u32, u32)]) -> Result<Vec<RefundLine>, Refusal> {
    let mut parts: Vec<RefundLine> = Vec::new();
    for (line, quantity) in asked {
        let sold = self::line(order, *line).ok_or(Refusal::UnknownLine(*line))?;
        let left = u64::from(sold.quantity).saturating_sub(order.refunded_quantity(*line));
        let repeated = parts.iter().any(|part| part.line == *line);
        if *quantity == 0 || repeated || u64::from(*quantity) > left {
            return Err(Refusal::RefundQuantity { line: *line, left, wanted: u64::from(*quantity) });
        }
        parts.push(order.refund_part(*line, *quantity).map_err(|_| Refusal::Overflow)?);
    }
    Ok(parts)
}

fn all_parts(order: &Order) -> Result<Vec<RefundLine>, Refusal> {
    let mut parts = Vec::new();
    for (at, sold) in order.sale.lines.iter().enumerate() {
        let line = at as u32 + 1;
        let left = u64::from(sold.quantity).saturating_sub(order.refunded_quantity(line));
        if let Some(quantity) = u32::try_from(left).ok().filter(|left| *left > 0) {
            parts.push(order.refund_part(line, quantity).map_err(|_| Refusal::Overflow)?);
        }
    }
    Ok(parts)
}

/// An entry to be: what comes back, how, and how much of its money went back to cards.
struct Entry {
    lines: Vec<RefundLine>,
    kind: RefundKind,
    reason: String,
    restock: bool,
    by_card: i64,
}

fn write(
    ledger: &Ledger,
    order: &Order,
    entry: Entry,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let place = place.of(order);
    let (_, space, event) = place.any_event(ledger)?;
    let amount = sum(entry.lines.iter().map(|line| line.amount))?;
    let mut postings = postings(order, &entry.lines, entry.restock).map_err(|_| Refusal::Overflow)?;
    if entry.by_card != 0 {
        postings = settle::without_cash(postings, -entry.by_card, order.sale.currency);
    }
    let wanted = if entry.restock { quantities(order, &entry.lines) } else { BTreeMap::new() };
    let back = rights::returned(ledger, &space, order, wanted, &place);
    let body = OrderRefunded {
        order: order.order_id,
        kind: entry.kind,
        receipt: next_receipt(ledger, &place, &space),
        lines: entry.lines,
        amount,
        reason: entry.reason,
        restock: entry.restock,
        business_day: super::business_day(event, context.wall_ms),
    };
    let entry = Draft::new(space, Body::OrderRefunded(body)).moving(postings).answering();
    Ok(back.into_iter().chain([entry]).collect())
}

/// Units of each SKU among parts of an order.
fn quantities<'a>(order: &'a Order, parts: &[RefundLine]) -> BTreeMap<&'a str, u64> {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for part in parts {
        let Some(line) = line(order, part.line) else { continue };
        *wanted.entry(&line.sku).or_default() += u64::from(part.quantity);
    }
    wanted
}

/// Line `number` of an order, counted from 1.
fn line(order: &Order, number: u32) -> Option<&Line> {
    order.sale.lines.get((number as usize).checked_sub(1)?)
}

fn postings(order: &Order, parts: &[RefundLine], restock: bool) -> Result<Vec<Posting>, MoneyError> {
    let unit = Unit::Money(order.sale.currency);
    let mut amount = 0;
    let mut tax = 0;
    for part in parts {
        amount = money::add(amount, part.amount)?;
        tax = money::add(tax, part.tax)?;
    }
    let mut postings = vec![
        Posting { account: Account::CASH, unit, amount: -amount },
        Posting { account: Account::SALES, unit, amount: money::add(amount, -tax)? },
        Posting { account: Account::TAX, unit, amount: tax },
    ];
    let back = if restock { Account::STOCK } else { Account::WRITTEN_OFF };
    for part in parts {
        let Some(line) = line(order, part.line) else { continue };
        let unit = Unit::Pool(PoolId::of(&order.event, &line.sku));
        let quantity = i64::from(part.quantity);
        postings.push(Posting { account: back, unit, amount: quantity });
        postings.push(Posting { account: Account::SOLD, unit, amount: -quantity });
    }
    Ok(postings)
}
