//! Refunds, voids, and undoing them.

use super::{Place, next_receipt, text};
use crate::author::{Context, Draft};
use crate::body::{Body, Limit, Line, OrderRefunded, RefundKind, RefundLine, RefundUndone};
use crate::event::{Event, Item};
use crate::id::{OpId, PoolId};
use crate::ledger::Ledger;
use crate::money::{self, MoneyError};
use crate::op::{Account, Posting, Unit};
use crate::order::Order;
use crate::refusal::Refusal;
use std::collections::BTreeMap;

/// Gives goods and money back, also after the event is closed.
pub(super) fn refund(
    ledger: &Ledger,
    order_id: OpId,
    lines: Option<&[(u32, u32)]>,
    reason: &str,
    restock: bool,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let order = known(ledger, order_id)?;
    let reason = text("the reason", reason, 1, 80)?;
    let parts = match lines {
        Some(asked) => asked_parts(order, asked)?,
        None => all_parts(order)?,
    };
    if parts.is_empty() {
        return Err(Refusal::NothingLeft);
    }
    write(ledger, order, parts, RefundKind::Refund, reason, restock, place, context)
}

/// Undoes a whole order on its own business day.
pub(super) fn void(
    ledger: &Ledger,
    order_id: OpId,
    reason: &str,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let order = known(ledger, order_id)?;
    let reason = text("the reason", reason, 1, 80)?;
    let event = ledger.events.get(&order.event).ok_or(Refusal::NoEvent)?;
    let same_day = super::business_day(event, context.wall_ms) == order.placed.business_day;
    if !same_day || order.standing_refunds().next().is_some() {
        return Err(Refusal::VoidTooLate);
    }
    let parts = all_parts(order)?;
    write(ledger, order, parts, RefundKind::Void, reason, true, place, context)
}

/// Undoes a refund or void: money and units go back to where they were.
pub(super) fn undo(
    ledger: &Ledger,
    order_id: OpId,
    refund_id: OpId,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let order = known(ledger, order_id)?;
    let refund = order.refunds.iter().find(|refund| refund.refund_id == refund_id);
    let refund = refund.ok_or_else(|| Refusal::UnknownRefund(refund_id.text()))?;
    if refund.undone.is_some() {
        return Err(Refusal::UndoneBefore);
    }
    let place = Place { replica: place.replica, event: Some(order.event) };
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
    if refund.body.restock {
        still_here(event, order, &refund.body.lines)?;
    }
    Ok(vec![Draft::new(space, Body::RefundUndone(body)).moving(postings).answering()])
}

fn known(ledger: &Ledger, order: OpId) -> Result<&Order, Refusal> {
    ledger.orders.get(&order).map(AsRef::as_ref).ok_or_else(|| Refusal::UnknownOrder(order.text()))
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
    for (at, sold) in order.placed.lines.iter().enumerate() {
        let line = at as u32 + 1;
        let left = u64::from(sold.quantity).saturating_sub(order.refunded_quantity(line));
        if let Some(quantity) = u32::try_from(left).ok().filter(|left| *left > 0) {
            parts.push(order.refund_part(line, quantity).map_err(|_| Refusal::Overflow)?);
        }
    }
    Ok(parts)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one entry, each of another kind")]
fn write(
    ledger: &Ledger,
    order: &Order,
    lines: Vec<RefundLine>,
    kind: RefundKind,
    reason: String,
    restock: bool,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let place = Place { replica: place.replica, event: Some(order.event) };
    let (_, space, event) = place.any_event(ledger)?;
    let mut amount = 0;
    for line in &lines {
        amount = money::add(amount, line.amount).map_err(|_| Refusal::Overflow)?;
    }
    let postings = postings(order, &lines, restock).map_err(|_| Refusal::Overflow)?;
    let body = OrderRefunded {
        order: order.order_id,
        kind,
        receipt: next_receipt(ledger, &place, &space),
        lines,
        amount,
        reason,
        restock,
        business_day: super::business_day(event, context.wall_ms),
    };
    Ok(vec![Draft::new(space, Body::OrderRefunded(body)).moving(postings).answering()])
}

/// Limited goods that came back may have been sold since; then the refund stands.
fn still_here(event: &Event, order: &Order, parts: &[RefundLine]) -> Result<(), Refusal> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for part in parts {
        let Some(line) = line(order, part.line) else { continue };
        *wanted.entry(&line.sku).or_default() += i64::from(part.quantity);
    }
    for (sku, wanted) in wanted {
        let here = event.here(PoolId::of(&order.event, sku));
        let limit = event.items.get(sku).map_or(Limit::Soft, Item::limit);
        if limit == Limit::Hard && here < wanted {
            return Err(Refusal::SoldOut { sku: sku.to_owned(), here: here.max(0), wanted });
        }
    }
    Ok(())
}

/// Line `number` of an order, counted from 1.
fn line(order: &Order, number: u32) -> Option<&Line> {
    order.placed.lines.get((number as usize).checked_sub(1)?)
}

fn postings(order: &Order, parts: &[RefundLine], restock: bool) -> Result<Vec<Posting>, MoneyError> {
    let unit = Unit::Money(order.placed.currency);
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
