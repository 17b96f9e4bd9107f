//! Money, receipts, goods and drawers, by plain counting over the bodies of ops.
//!
//! Promises: sums are made from what orders and counts say, and compared with what the accounts say.
//! Absent on purpose: terminals (`terminals`).

use super::{Findings, Union};
use crate::world::World;
use fieldkit_core::body::{Body, Direction, Limit, RefundKind, Tender};
use fieldkit_core::id::{OpId, PoolId, StreamId};
use fieldkit_core::ledger::AnomalyKind;
use fieldkit_core::op::{Account, Unit};
use fieldkit_core::order::{Order, Paid, Stage};
use std::collections::BTreeMap;

pub(super) fn check(world: &World, union: &Union, findings: &mut Findings) {
    anomalies(union, findings);
    receipts(union, findings);
    for order in union.ledger.orders.values() {
        tenders(order, findings);
    }
    books(world, union, findings);
    stock(world, union, findings);
    drawers(union, findings);
}

/// Contradictions that kits which never met cannot have made.
fn anomalies(union: &Union, findings: &mut Findings) {
    for anomaly in union.ledger.anomalies.values() {
        let invariant = match anomaly.kind {
            // What a terminal did against what was known is named, and that is all that can be done.
            AnomalyKind::Payment | AnomalyKind::Lost | AnomalyKind::Mismatch => continue,
            AnomalyKind::OverRefund | AnomalyKind::Repeated => "INV-09",
            AnomalyKind::PaidTwice => "INV-03",
            AnomalyKind::PaidCancelled => "INV-06",
            AnomalyKind::Oversold => "INV-13",
            AnomalyKind::Contested => "INV-15",
            AnomalyKind::Fork => "INV-24",
            AnomalyKind::Malformed
            | AnomalyKind::Stream
            | AnomalyKind::Missing
            | AnomalyKind::Space
            | AnomalyKind::Proof
            | AnomalyKind::UnknownKind => "INV-23",
        };
        findings.wrong(invariant, format!("op {}: {}", anomaly.op, anomaly.detail));
    }
}

/// Receipts of a series are 1, 2, 3 …
fn receipts(union: &Union, findings: &mut Findings) {
    let mut last: BTreeMap<StreamId, u64> = BTreeMap::new();
    for (id, (_, body)) in &union.ops {
        let receipt = match body {
            Some(Body::OrderPlaced(body)) => body.receipt,
            Some(Body::OrderPaid(body)) => body.receipt,
            Some(Body::OrderRefunded(body)) => body.receipt,
            Some(Body::RefundUndone(body)) => body.receipt,
            _ => continue,
        };
        let last = last.entry(id.stream).or_default();
        if receipt != *last + 1 {
            findings.wrong("INV-11", format!("series {}: receipt {receipt} after {last}", id.stream.series()));
        }
        *last = receipt;
    }
}

fn cash_of(paid: &Paid) -> i64 {
    let cash = |tender: &Tender| if let Tender::Cash(cash) = tender { cash.tendered } else { 0 };
    paid.tenders.iter().map(cash).sum::<i64>() - paid.change
}

fn cards_of(paid: &Paid) -> i64 {
    paid.payments().map(|card| card.amount).sum()
}

/// What an order took is what it costs, and no more goes back than came.
fn tenders(order: &Order, findings: &mut Findings) {
    let id = order.order_id;
    if let Some(paid) = order.paid()
        && cash_of(paid) + cards_of(paid) != order.sale.total
    {
        let (took, total) = (cash_of(paid) + cards_of(paid), order.sale.total);
        findings.wrong("INV-06", format!("order {id} took {took} for {total}"));
    }
    let back: i64 = order.standing_refunds().map(|refund| refund.body.amount).sum();
    if back > order.sale.total {
        findings.wrong("INV-09", format!("order {id} gave {back} of {} back", order.sale.total));
    }
    let taken = order.payments.iter().filter(|payment| payment.collected() > 0);
    let taken: i64 = taken.map(|payment| payment.amount).sum();
    if taken > order.sale.total {
        findings.wrong("INV-03", format!("cards were charged {taken} for order {id} of {}", order.sale.total));
    }
}

/// What the accounts say is what the orders say.
fn books(world: &World, union: &Union, findings: &mut Findings) {
    let Some(event) = union.ledger.events.get(&world.genesis.event) else { return };
    let unit = Unit::Money(event.opened.currency);
    let balance = |account| event.balance(account, unit);
    let orders = || union.ledger.orders.values();
    let sold: i64 = orders().filter(|order| order.paid().is_some()).map(|order| order.sale.total).sum();
    let back: i64 = orders().flat_map(|order| order.standing_refunds()).map(|refund| refund.body.amount).sum();
    let revenue = -(balance(Account::SALES) + balance(Account::TAX));
    if revenue != sold - back {
        findings.wrong("INV-07", format!("revenue is {revenue}, orders less refunds are {}", sold - back));
    }
    for account in [Account::CARD, Account::AT_RISK, Account::ATTESTED] {
        let booked = |order: &Order| -> i64 {
            let booked = order.payments.iter().filter(|payment| order.booked(payment) == Some(account));
            booked.map(|payment| payment.amount).sum()
        };
        let sum: i64 = orders().map(|order| booked(order)).sum();
        if balance(account) != sum {
            findings.wrong("INV-07", format!("{account:?} is {}, payments are {sum}", balance(account)));
        }
    }
    let sums: i128 = event.balances.iter().filter(|((_, of), _)| *of == unit).map(|(_, sum)| sum.0).sum();
    if sums != 0 {
        findings.wrong("INV-07", format!("all accounts together are {sums}"));
    }
}

/// No more of a limited item is sold or held than there was.
fn stock(world: &World, union: &Union, findings: &mut Findings) {
    let id = world.genesis.event;
    let Some(event) = union.ledger.events.get(&id) else { return };
    for (sku, _) in event.items.iter().filter(|(_, item)| item.limit() == Limit::Hard) {
        let moved = union.ops.values().filter_map(|(_, body)| match body {
            Some(Body::StockMoved(body)) if body.sku == *sku => Some(body.change),
            _ => None,
        });
        let there: i64 = moved.sum();
        let gone: i64 = union.ledger.orders.values().map(|order| taken(order, sku)).sum();
        if gone > there {
            findings.wrong("INV-13", format!("{gone} of {sku} are sold, of {there}"));
        }
        let here = event.here(PoolId::of(&id, sku));
        if here != there - gone {
            findings.wrong("INV-15", format!("{here} of {sku} are here, {there} less {gone} should be"));
        }
    }
}

/// Units of an item that an order keeps from being sold.
fn taken(order: &Order, sku: &str) -> i64 {
    if matches!(order.stage(), Stage::Cancelled(_)) {
        return 0;
    }
    let lines = || (1u32..).zip(&order.sale.lines).filter(|(_, line)| line.sku == sku);
    let sold: i64 = lines().map(|(_, line)| i64::from(line.quantity)).sum();
    let back = order.standing_refunds().filter(|refund| refund.body.restock).flat_map(|refund| &refund.body.lines);
    let back = back.filter(|part| lines().any(|(number, _)| number == part.line));
    sold - back.map(|part| i64::from(part.quantity)).sum::<i64>()
}

/// Each count expected what plain counting says was in the drawer.
fn drawers(union: &Union, findings: &mut Findings) {
    let mut cash: BTreeMap<StreamId, Option<i64>> = BTreeMap::new();
    let given: BTreeMap<OpId, i64> =
        union.ops.iter().filter_map(|(id, (_, body))| Some((*id, cash_given(union, body)?))).collect();
    for (id, (_, body)) in &union.ops {
        let drawer = cash.entry(id.stream).or_default();
        let mut moves = |amount: i64| {
            if let Some(cash) = drawer {
                *cash += amount;
            }
        };
        match body {
            Some(Body::DrawerOpened(body)) => *drawer = Some(body.amount),
            Some(Body::CashMoved(body)) if body.direction == Direction::In => moves(body.amount),
            Some(Body::CashMoved(body)) => moves(-body.amount),
            Some(Body::OrderPlaced(body)) => {
                let tendered = |tender: &Tender| if let Tender::Cash(cash) = tender { cash.tendered } else { 0 };
                moves(body.tenders.iter().map(tendered).sum::<i64>() - body.change);
            }
            Some(Body::OrderPaid(body)) => {
                let tendered = |tender: &Tender| if let Tender::Cash(cash) = tender { cash.tendered } else { 0 };
                moves(body.tenders.iter().map(tendered).sum::<i64>() - body.change);
            }
            Some(Body::OrderRefunded(_)) => moves(-given.get(id).copied().unwrap_or(0)),
            Some(Body::RefundUndone(body)) => moves(given.get(&body.refund).copied().unwrap_or(0)),
            Some(Body::DrawerCounted(body)) => {
                if *drawer != Some(body.expected) {
                    let series = id.stream.series();
                    let what =
                        format!("series {series}: {drawer:?} should be there, the count expected {}", body.expected);
                    findings.wrong("INV-10", what);
                }
                *drawer = None;
            }
            _ => {}
        }
    }
}

/// Cash that a refund or void gives back: a void goes back by the means that the order was paid with.
fn cash_given(union: &Union, body: &Option<Body>) -> Option<i64> {
    let Some(Body::OrderRefunded(body)) = body else { return None };
    let paid = union.ledger.orders.get(&body.order).and_then(|order| order.paid());
    let by_card = if body.kind == RefundKind::Void { paid.map_or(0, cards_of) } else { 0 };
    Some(body.amount - by_card)
}
