//! Paying open orders: cards to charge, cash to take, orders to give up, payments to undo or to close by hand.
//!
//! Promises: one card at a time per order and per terminal; nothing is charged while an outcome is unknown; an order is
//! given up only when nobody's money is on it. Money stands in the account of whoever has it from the op that says so.
//! Absent on purpose: talk with terminals. A wish to charge or undo is an op; whoever drives the terminal acts on it once it is durable.

use super::sale::{self, Reader, TenderRequest};
use super::{Place, amount, dot, next_receipt, plain, report, rights, sum};
use crate::author::{Context, Draft};
use crate::body::{
    Body, CardTender, Charged, Closing, DeviceRole, Fiscal, OrderCancelled, OrderPaid, PaymentAttested,
    PaymentIntended, PaymentMoved, PaymentStep, PaymentTender, Plan, Tender,
};
use crate::event::Event;
use crate::id::{OpId, Space, Zero};
use crate::ledger::Ledger;
use crate::money::{Currency, Money};
use crate::op::{Account, Posting, Unit};
use crate::order::{Order, Sale, Stage};
use crate::payment::{Payment, PaymentState, booking};
use crate::refusal::{PaymentRefusal, Refusal};

/// Begins another attempt to charge a card.
pub(super) fn begin(
    ledger: &Ledger,
    order_id: OpId,
    part: Option<&(i64, String)>,
    device: Option<OpId>,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let order = waiting(ledger, order_id)?;
    rights::own_goods(ledger, order, place)?;
    let place = place.of(order);
    let (_, space, _) = place.any_event(ledger)?;
    let sale = &order.sale;
    let left = Money::new(sale.total.saturating_sub(order.collected()), sale.currency);
    let minor = match part {
        Some((minor, currency)) => sale::charged(*minor, currency, left)?,
        None => sale::charged(next_part(order, left.minor), left.currency.code(), left)?,
    };
    let (device, label) = terminal(ledger, device, &place)?;
    Ok(vec![intended(&space, order_id, Money::new(minor, sale.currency), device, label)])
}

/// What a card is charged where nobody says: the next part that was planned, else what the cash leaves open.
fn next_part(order: &Order, left: i64) -> i64 {
    let paid = |payment: &&Payment| payment.tender == PaymentTender::Card && payment.collected() > 0;
    let done = order.payments.iter().filter(paid).count();
    let card = |plan: &Plan| if let Plan::Card(minor) = plan { Some(*minor) } else { None };
    let cash = order.sale.planned_cash().iter().fold(0i64, |sum, cash| sum.saturating_add(cash.tendered));
    let part = order.sale.planned.iter().filter_map(card).nth(done);
    part.map_or(left.saturating_sub(cash), |minor| minor.min(left))
}

/// Pays an open order in cash, or by the crew's own reader.
pub(super) fn settle(
    ledger: &Ledger,
    order_id: OpId,
    tenders: &[TenderRequest],
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let order = waiting(ledger, order_id)?;
    rights::own_goods(ledger, order, place)?;
    let place = place.of(order);
    let (_, space, _) = place.any_event(ledger)?;
    if tenders.iter().any(|tender| matches!(tender, TenderRequest::Card { .. })) {
        let text = "an open order is settled in cash or by the crew's own reader";
        return Err(PaymentRefusal::CardTender(text).into());
    }
    let sale = &order.sale;
    let due = Money::new(sale.total.saturating_sub(order.collected()), sale.currency);
    let offer = sale::offer(tenders, due)?;
    let (mut drafts, mut parts) = (Vec::new(), offer.cash().into_iter().map(Tender::Cash).collect::<Vec<_>>());
    parts.extend(collected(order));
    for reader in &offer.readers {
        let payment = dot(ledger, &place, &space, drafts.len() as u64 + 1);
        drafts.push(attested(&space, order_id, reader, sale.currency));
        parts.push(external(payment, reader));
    }
    drafts.push(paid(ledger, order_id, sale, parts, offer.change, &place, context)?);
    Ok(drafts)
}

/// Gives an open order up.
pub(super) fn cancel(ledger: &Ledger, order_id: OpId, reason: &str, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let order = waiting(ledger, order_id)?;
    let reason = plain("the reason", reason, 1, 80)?;
    if order.collected() != 0 {
        return Err(PaymentRefusal::MoneyTaken(Money::new(order.collected(), order.sale.currency)).into());
    }
    let (event, space, _) = place.of(order).any_event(ledger)?;
    let units = sale::unit_postings(&event, &order.sale.lines, Account::HELD, Account::STOCK);
    let named = order.sale.lines.iter().map(|line| (line.sku.as_str(), u64::from(line.quantity)));
    let back = rights::returned(ledger, &space, order, named, place);
    let body = Body::OrderCancelled(OrderCancelled { order: order_id, reason });
    Ok(back.into_iter().chain([Draft::new(space, body).moving(units).answering()]).collect())
}

/// Undoes a payment of an order that it did not pay: the card was charged amiss, or the order is to be given up.
pub(super) fn reverse(
    ledger: &Ledger,
    order_id: OpId,
    payment_id: OpId,
    reason: &str,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (order, payment) = known(ledger, order_id, payment_id)?;
    let reason = plain("the reason", reason, 1, 80)?;
    if order.is_paid_by(payment_id) {
        let text = "this payment paid its order: void the order, and the card is paid back";
        return Err(PaymentRefusal::CardTender(text).into());
    }
    let (_, space, _) = place.of(order).any_event(ledger)?;
    let standing = payment.standing();
    let mut drafts = match (standing.state, standing.booked) {
        (PaymentState::Captured | PaymentState::AtRisk | PaymentState::Mismatched, _) => {
            own(ledger, payment, place)?;
            terminal_free(ledger, payment)?;
            vec![moved(&space, order_id, payment, PaymentStep::ReversalIntended(reason), Vec::new())]
        }
        (PaymentState::Attested | PaymentState::ClosedByPerson, Some(_)) => {
            paid_back_by_hand(&space, order_id, payment, &reason)
        }
        (state, _) => {
            return Err(
                PaymentRefusal::State { state: state.text(), what: "nothing is taken that could be undone" }.into()
            );
        }
    };
    answer_last(&mut drafts);
    Ok(drafts)
}

/// Closes a payment whose outcome no terminal could tell, or none can any more because its kit is gone.
pub(super) fn close(
    ledger: &Ledger,
    order_id: OpId,
    payment_id: OpId,
    charged: Charged,
    evidence: &str,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (order, payment) = known(ledger, order_id, payment_id)?;
    let evidence = plain("the evidence", evidence, 1, 200)?;
    let standing = payment.standing();
    let state = standing.state;
    let amiss = state == PaymentState::Mismatched || standing.before == PaymentState::Mismatched;
    let of_another_kit = own(ledger, payment, place).is_err() && state.holds_order();
    let closable = state.is_unknown() || state == PaymentState::Mismatched || of_another_kit;
    let what = match charged {
        _ if !closable => "a person closes only what no terminal can tell",
        // Money of another amount is no part of an order: it has to go back, by hand where no terminal does it.
        Charged::Yes if amiss => "undo it at the terminal by hand, then close it as not charged",
        Charged::Yes | Charged::No => "",
    };
    if !what.is_empty() {
        return Err(PaymentRefusal::State { state: state.text(), what }.into());
    }
    let step = PaymentStep::ClosedByPerson(Closing { charged, evidence });
    report::step(ledger, order, payment, step, place, context)
}

/// The order, which must wait for its payment, with no payment under way.
fn waiting(ledger: &Ledger, order_id: OpId) -> Result<&Order, Refusal> {
    let order =
        ledger.orders.get(&order_id).map(AsRef::as_ref).ok_or_else(|| Refusal::UnknownOrder(order_id.text()))?;
    sane(order)?;
    match order.stage() {
        Stage::Open => free(order).map(|()| order),
        Stage::Paid(_) | Stage::Cancelled(_) => Err(PaymentRefusal::OrderNotOpen(order.state().text()).into()),
    }
}

/// Refuses where another kit wrote amounts that no rule allows: nothing is reckoned with them.
pub(super) fn sane(order: &Order) -> Result<(), Refusal> {
    let cards = order.paid.iter().flat_map(|paid| paid.payments().map(|card| card.amount));
    let all: Vec<i64> = order.payments.iter().map(|payment| payment.amount).chain(cards).collect();
    for minor in &all {
        amount("an amount of this order", *minor)?;
    }
    if !all.is_empty() {
        amount("the total of this order", order.sale.total)?;
    }
    sum(all).map(|_| ())
}

/// Refuses while a payment of the order runs or is unknown.
pub(super) fn free(order: &Order) -> Result<(), Refusal> {
    let Some(payment) = order.held_by() else { return Ok(()) };
    let amount = Money::new(payment.amount, payment.currency);
    let (id, state) = (payment.payment_id.text(), payment.state());
    Err(if state.is_unknown() {
        PaymentRefusal::Unknown { payment: id, amount }.into()
    } else {
        PaymentRefusal::Running { payment: id, state: state.text(), amount }.into()
    })
}

/// An order and a payment of it.
pub(super) fn known(ledger: &Ledger, order: OpId, payment: OpId) -> Result<(&Order, &Payment), Refusal> {
    let order = ledger.orders.get(&order).map(AsRef::as_ref).ok_or_else(|| Refusal::UnknownOrder(order.text()))?;
    let found = order.payment(payment).ok_or_else(|| PaymentRefusal::UnknownPayment(payment.text()))?;
    sane(order)?;
    Ok((order, found))
}

/// Refuses where another kit runs the payment: only that kit's terminal can tell of it or undo it.
pub(super) fn own(ledger: &Ledger, payment: &Payment, place: &Place) -> Result<(), Refusal> {
    if ledger.runs_payment(place.replica, payment) { Ok(()) } else { Err(PaymentRefusal::Elsewhere.into()) }
}

/// The terminal to charge a card at, and its label: the one that was named, else the newest; it must be free.
pub(super) fn terminal(ledger: &Ledger, named: Option<OpId>, place: &Place) -> Result<(OpId, String), Refusal> {
    let mut usable = ledger.devices_of(place.replica, DeviceRole::Terminal);
    let found = match named {
        Some(named) => usable.find(|(id, _)| *id == named),
        None => usable.last(),
    };
    let (id, device) = found.ok_or(PaymentRefusal::NoTerminal)?;
    match ledger.holds_terminal(id) {
        Some(payment) => Err(held(payment)),
        None => Ok((id, device.body.label.clone())),
    }
}

/// Refuses where another payment holds the terminal of this one.
pub(super) fn terminal_free(ledger: &Ledger, payment: &Payment) -> Result<(), Refusal> {
    let other = payment.device.and_then(|device| ledger.holds_terminal(device));
    match other.filter(|other| other.payment_id != payment.payment_id) {
        Some(other) => Err(held(other)),
        None => Ok(()),
    }
}

/// Refuses where the terminal of this payment may be at another one now.
pub(super) fn terminal_idle(ledger: &Ledger, payment: &Payment) -> Result<(), Refusal> {
    let other = payment.device.and_then(|device| ledger.holds_terminal(device));
    match other.filter(|other| other.payment_id != payment.payment_id && other.standing().is_asked()) {
        Some(other) => Err(held(other)),
        None => Ok(()),
    }
}

fn held(payment: &Payment) -> Refusal {
    let (label, id) = (payment.label.clone(), payment.payment_id.text());
    PaymentRefusal::TerminalHeld { label, payment: id, state: payment.state().text() }.into()
}

/// Refuses while orders or payments of an event are not finished. Money at risk is: only time can tell.
pub(super) fn finished(event: &Event) -> Result<(), Refusal> {
    let running = |payment: &&Payment| payment.state().holds_order();
    let (orders, payments) = (event.open_orders.len(), event.open_payments.values().filter(running).count());
    if (orders, payments) == (0, 0) { Ok(()) } else { Err(PaymentRefusal::StillOpen { orders, payments }.into()) }
}

/// The wish to charge a card.
pub(super) fn intended(space: &Space, order: OpId, money: Money, device: OpId, label: String) -> Draft {
    let (amount, currency) = (money.minor, money.currency);
    let (tender, device) = (PaymentTender::Card, Some(device));
    let body = PaymentIntended { order, tender, amount, currency, device, label };
    Draft::new(space.clone(), Body::PaymentIntended(body)).answering()
}

/// What a reader of the crew's own took.
pub(super) fn attested(space: &Space, order: OpId, reader: &Reader, currency: Currency) -> Draft {
    let Reader { amount, reader, reference } = reader;
    let money = Money::new(*amount, currency);
    let body =
        PaymentAttested { order, amount: *amount, currency, reader: reader.clone(), reference: reference.clone() };
    Draft::new(space.clone(), Body::PaymentAttested(body)).moving(booking(None, Some(Account::ATTESTED), money))
}

/// The tender of a payment by a reader of the crew's own.
pub(super) fn external(payment: OpId, reader: &Reader) -> Tender {
    Tender::CardExternal(CardTender { payment, amount: reader.amount })
}

/// Tenders of the payments that an order has collected.
pub(super) fn collected(order: &Order) -> Vec<Tender> {
    let counting = order.payments.iter().filter(|payment| payment.collected() > 0);
    let tender = |payment: &Payment| {
        let card = CardTender { payment: payment.payment_id, amount: payment.amount };
        match payment.tender {
            PaymentTender::Card => Tender::Card(card),
            PaymentTender::CardExternal => Tender::CardExternal(card),
        }
    };
    counting.map(tender).collect()
}

/// An order paid: units go to the buyer, money becomes revenue and tax, the receipt gets its number.
pub(super) fn paid(
    ledger: &Ledger,
    order: OpId,
    sale: &Sale,
    tenders: Vec<Tender>,
    change: i64,
    place: &Place,
    context: &Context,
) -> Result<Draft, Refusal> {
    let (id, space, event) = place.any_event(ledger)?;
    let card = |tender: &Tender| match tender {
        Tender::Cash(_) => 0,
        Tender::Card(card) | Tender::CardExternal(card) => card.amount,
    };
    let by_card = sum(tenders.iter().map(card))?;
    let mut postings = without_cash(sale::money_postings(sale)?, by_card, sale.currency);
    postings.extend(sale::unit_postings(&id, &sale.lines, Account::HELD, Account::SOLD));
    let body = OrderPaid {
        order,
        receipt: next_receipt(ledger, place, &space),
        tenders,
        change,
        paid_ms: context.wall_ms,
        business_day: super::business_day(event, context.wall_ms),
        fiscal: Fiscal::NotRequired(Zero),
    };
    Ok(Draft::new(space, Body::OrderPaid(body)).moving(postings).answering())
}

/// Postings of cash of which `by_card` was no cash: payments had booked it as prepaid.
pub(super) fn without_cash(mut postings: Vec<Posting>, by_card: i64, currency: Currency) -> Vec<Posting> {
    let unit = Unit::Money(currency);
    for posting in &mut postings {
        if posting.account == Account::CASH && posting.unit == unit {
            posting.amount -= by_card;
        }
    }
    postings.push(Posting { account: Account::PREPAID, unit, amount: by_card });
    postings.retain(|posting| posting.amount != 0);
    postings
}

/// A step of a payment, with what it moves.
pub(super) fn moved(space: &Space, order: OpId, payment: &Payment, step: PaymentStep, moving: Vec<Posting>) -> Draft {
    let body = PaymentMoved { order, payment: payment.payment_id, step };
    Draft::new(space.clone(), Body::PaymentMoved(body)).moving(moving)
}

/// Money that the crew gives back on its own reader: intended and done in one breath, by the crew's word.
pub(super) fn paid_back_by_hand(space: &Space, order: OpId, payment: &Payment, reason: &str) -> Vec<Draft> {
    let money = Money::new(payment.amount, payment.currency);
    let closing = Closing { charged: Charged::No, evidence: "paid back by hand".to_owned() };
    let back = booking(payment.standing().booked, None, money);
    vec![
        moved(space, order, payment, PaymentStep::ReversalIntended(reason.to_owned()), Vec::new()),
        moved(space, order, payment, PaymentStep::ClosedByPerson(closing), back),
    ]
}

/// Lets the last draft, and no other, answer the command.
pub(super) fn answer_last(drafts: &mut [Draft]) {
    let last = drafts.len().saturating_sub(1);
    for (at, draft) in drafts.iter_mut().enumerate() {
        draft.answers = at == last;
    }
}
