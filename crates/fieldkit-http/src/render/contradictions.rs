//! What kits did without knowing of each other, and a person has to settle.
//!
//! Promises: each contradiction about goods or money given back stands among the notices as long as it stands in the ledger.
//! Absent on purpose: cards (`payments` tells of those), and contradictions of single ops, which `verify` and the tables
//! list.

use crate::desk::Shelf;
use crate::wire;
use fieldkit_core::event::Event;
use fieldkit_core::id::{OpId, PoolId};
use fieldkit_core::ledger::{Anomaly, AnomalyKind};
use fieldkit_core::pool::too_many;

/// Contradictions, those about sold goods first.
pub fn notices<'a>(shelf: &Shelf<'a>) -> impl Iterator<Item = wire::Notice> {
    let said = shelf.ledger.anomalies.values().filter_map(|anomaly| contradiction(shelf, anomaly));
    said.collect::<Vec<_>>().into_iter().chain(below_zero(shelf))
}

fn contradiction(shelf: &Shelf<'_>, anomaly: &Anomaly) -> Option<wire::Notice> {
    let told = |code: &'static str, text: String, next_step: &str| {
        Some(wire::Notice { level: "warn", code, text, next_step: next_step.to_owned() })
    };
    match anomaly.kind {
        AnomalyKind::Oversold => told(
            "oversold",
            format!("{}.", capital(&anomaly.detail)),
            "Deliver that many more, or give as many buyers their money back.",
        ),
        AnomalyKind::Contested => told(
            "contested",
            format!("{}.", capital(&anomaly.detail)),
            "Count them where they lie, then correct the stock at the kit that has them.",
        ),
        AnomalyKind::OverRefund => told(
            "over_refund",
            format!("More was given back for {} than was paid.", order_name(shelf, anomaly.op)),
            "Look at its refunds; undo one with `fieldkit refund --undo`, or note the money as lost.",
        ),
        _ => None,
    }
}

/// An order by its receipt where that is at hand.
fn order_name(shelf: &Shelf<'_>, id: OpId) -> String {
    let known = shelf.ledger.orders.get(&id).and_then(|order| order.receipt());
    known.map_or_else(
        || format!("order {}", id.text()),
        |(stream, number)| format!("receipt {}-{number}", stream.series()),
    )
}

/// Limited goods of the open event of which more went than came, beyond what units tell: a kit sold them without limit.
fn below_zero<'a>(shelf: &Shelf<'a>) -> impl Iterator<Item = wire::Notice> {
    let open = super::open_event(shelf);
    let short = open.into_iter().flat_map(|(id, event)| {
        event.limited().filter_map(move |(sku, item)| {
            let pool = PoolId::of(&id, sku);
            let here = event.here(pool);
            // Units that are named as sold more than once stand among the notices already.
            let beyond = if here < 0 { here.saturating_add(named(event, pool)) } else { 0 };
            (beyond < 0).then(|| (beyond.unsigned_abs(), item.name_or(sku).to_owned()))
        })
    });
    short.map(|(beyond, name)| wire::Notice {
        level: "warn",
        code: "below_zero",
        text: format!("{beyond} of {name} went beyond what came: some were sold before a kit knew of the limit."),
        next_step: "Count them, and correct the stock or give the last buyers their money back.".to_owned(),
    })
}

/// Units that are named as sold more than once.
fn named(event: &Event, pool: PoolId) -> i64 {
    let of_pool = event.pools.get(&pool).map(|known| known.oversold(pool)).unwrap_or_default();
    i64::try_from(too_many(&of_pool)).unwrap_or(i64::MAX)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
