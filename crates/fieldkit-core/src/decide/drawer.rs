//! The cash drawer: opening, cash in and out, counting.

use super::{Place, amount, plain};
use crate::author::Draft;
use crate::body::{Body, CashMoved, Direction, DrawerCounted, DrawerOpened};
use crate::event::{Drawer, Event};
use crate::id::{Space, StreamId};
use crate::ledger::Ledger;
use crate::money::Money;
use crate::op::{Account, Posting, Unit};
use crate::refusal::Refusal;

/// Opens a drawer session.
pub(super) fn open(ledger: &Ledger, opening: i64, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    let opening = amount("the opening cash", opening)?;
    if is_open(event, place, &space) {
        return Err(Refusal::DrawerOpen);
    }
    let body = Body::DrawerOpened(DrawerOpened { amount: opening });
    Ok(vec![Draft::new(space, body).moving(moved(event, opening)).answering()])
}

/// Puts cash in or takes it out.
pub(super) fn move_cash(
    ledger: &Ledger,
    direction: Direction,
    given: i64,
    reason: &str,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    let given = amount("the amount", given)?;
    if given == 0 {
        return Err(Refusal::Amount { what: "the amount" });
    }
    let reason = plain("the reason", reason, 1, 80)?;
    if !is_open(event, place, &space) {
        return Err(Refusal::DrawerClosed);
    }
    let signed = if direction == Direction::In { given } else { -given };
    let body = Body::CashMoved(CashMoved { direction, amount: given, reason });
    Ok(vec![Draft::new(space, body).moving(moved(event, signed)).answering()])
}

/// Counts the drawer, also after the event is closed: the difference is recorded, the cash leaves with the crew, the
/// session ends.
pub(super) fn count(ledger: &Ledger, counted: i64, note: &str, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.any_event(ledger)?;
    let counted = amount("the count", counted)?;
    let note = plain("the note", note, 0, 200)?;
    let found = drawer(event, place, &space).filter(|drawer| drawer.opened_ms.is_some());
    let found = found.ok_or(Refusal::DrawerClosed)?;
    let expected = i64::try_from(found.expected.0).map_err(|_| Refusal::Overflow)?;
    let currency = event.opened.currency;
    if counted != expected && note.is_empty() {
        let (counted, expected) = (Money::new(counted, currency), Money::new(expected, currency));
        return Err(Refusal::VarianceNote { counted, expected });
    }
    let unit = Unit::Money(currency);
    let taken = expected.checked_neg().ok_or(Refusal::Overflow)?;
    let variance = expected.checked_sub(counted).ok_or(Refusal::Overflow)?;
    let postings = vec![
        Posting { account: Account::CASH, unit, amount: taken },
        Posting { account: Account::CASH_MOVED, unit, amount: counted },
        Posting { account: Account::CASH_VARIANCE, unit, amount: variance },
    ];
    let body = Body::DrawerCounted(DrawerCounted { counted, expected, note });
    Ok(vec![Draft::new(space, body).moving(postings).answering()])
}

/// Whether a session of this kit's drawer runs.
pub(super) fn is_open(event: &Event, place: &Place, space: &Space) -> bool {
    drawer(event, place, space).is_some_and(|drawer| drawer.opened_ms.is_some())
}

fn drawer<'a>(event: &'a Event, place: &Place, space: &Space) -> Option<&'a Drawer> {
    event.drawers.get(&StreamId::of(&place.replica, space))
}

fn moved(event: &Event, amount: i64) -> Vec<Posting> {
    let unit = Unit::Money(event.opened.currency);
    vec![
        Posting { account: Account::CASH, unit, amount },
        Posting { account: Account::CASH_MOVED, unit, amount: -amount },
    ]
}
