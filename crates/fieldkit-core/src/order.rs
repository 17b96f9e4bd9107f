//! An order: how it is priced, how it is paid, what it says on a receipt, what is left to give back.
//!
//! Promises: pricing is a function of lines and discounts alone, and the parts sum to the total; an order's state is a
//! function of the set of ops about it. Discounts on the whole order are shared by largest remainder (`money::split`).
//! A cash sale is paid by the op that places it; any other order is open until it is paid or cancelled.
//! Absent on purpose: stock and permission, which are the rules' (`decide`).

use crate::body::{
    CardTender, CashTender, Fiscal, Line, OrderCancelled, OrderOpened, OrderPaid, OrderPlaced, OrderRefunded, Plan,
    Prices, RefundKind, RefundLine, RefundUndone, Source, Tender, UnitRange,
};
use crate::codec::record;
use crate::id::{Hash, OpId, StreamId};
use crate::money::{self, Currency, MoneyError};
use crate::op::{Account, Actor, SealedOp};
use crate::payment::{Move, Payment};
use crate::rights::RangeSet;
use crate::stamp::Stamp;

/// A discount as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// None.
    None,
    /// An amount in minor units.
    Minor(i64),
    /// Parts per million of the base.
    Ppm(u32),
}

impl Discount {
    /// The amount taken off `base`; `None` where it is negative or more than the base.
    pub fn of(self, base: i64) -> Option<i64> {
        let amount = match self {
            Discount::None => 0,
            Discount::Minor(amount) => amount,
            Discount::Ppm(ppm) if ppm <= 1_000_000 => money::scaled(base, ppm, 1_000_000).ok()?,
            Discount::Ppm(_) => return None,
        };
        (0..=base).contains(&amount).then_some(amount)
    }
}

/// What a line pays before tax on top: gross less its discount and its share of the order's.
pub fn line_payable(line: &Line) -> i64 {
    let gross = i128::from(line.unit_price) * i128::from(line.quantity);
    let payable = gross - i128::from(line.discount) - i128::from(line.order_discount);
    i64::try_from(payable).unwrap_or(i64::MAX)
}

/// What the buyer pays for a line, tax included.
pub fn line_total(line: &Line, prices: Prices) -> i64 {
    match prices {
        Prices::Inclusive => line_payable(line),
        Prices::Exclusive => line_payable(line).saturating_add(line.tax),
    }
}

/// Shares the order's discount over `lines`, sets each line's tax, and returns discount and total.
pub fn price(lines: &mut [Line], order_discount: Discount, prices: Prices) -> Result<Option<(i64, i64)>, MoneyError> {
    let mut bases = Vec::with_capacity(lines.len());
    let mut base_sum = 0;
    for line in lines.iter() {
        let base = money::add(money::times(line.unit_price, line.quantity)?, -line.discount)?;
        base_sum = money::add(base_sum, base)?;
        bases.push(base);
    }
    let Some(discount) = order_discount.of(base_sum) else { return Ok(None) };
    let shares = money::split(discount, &bases)?;
    let mut total = 0;
    for (line, share) in lines.iter_mut().zip(shares) {
        line.order_discount = share;
        line.tax = money::tax(line_payable(line), line.tax_ppm, prices)?;
        total = money::add(total, line_total(line, prices))?;
    }
    Ok(Some((discount, total)))
}

record! {
    /// A refund or void of an order.
    pub struct Refund {
        /// The op that made it.
        pub refund_id: OpId,
        /// What it says.
        pub body: OrderRefunded,
        /// When.
        pub stamp: Stamp,
        /// The op that undid it and its receipt number.
        pub undone: Option<(OpId, u64)>,
    }
}

record! {
    /// What was agreed: everything but how it was paid.
    pub struct Sale {
        /// The currency.
        pub currency: Currency,
        /// Whether prices contain tax.
        pub prices: Prices,
        /// The lines.
        pub lines: Vec<Line>,
        /// Discount on the whole order, already shared out over the lines.
        pub discount: i64,
        /// Why.
        pub discount_reason: String,
        /// What the buyer owes.
        pub total: i64,
        /// How it was to be paid, where it was not paid at once.
        pub planned: Vec<Plan>,
        /// Where it came from.
        pub source: Source,
        /// When the cart was opened, milliseconds since 1970 UTC.
        pub cart_opened_ms: Option<u64>,
        /// Business day of the agreement, in days since 1970-01-01.
        pub business_day: i64,
    }
}

impl Sale {
    /// What an opened order says.
    pub fn opened(body: OrderOpened) -> Self {
        Sale {
            currency: body.currency,
            prices: body.prices,
            lines: body.lines,
            discount: body.discount,
            discount_reason: body.discount_reason,
            total: body.total,
            planned: body.planned,
            source: body.source,
            cart_opened_ms: body.cart_opened_ms,
            business_day: body.business_day,
        }
    }

    /// Cash that was offered when it was agreed.
    pub fn planned_cash(&self) -> Vec<CashTender> {
        let cash = |plan: &Plan| match plan {
            Plan::Cash(cash) => Some(*cash),
            Plan::Card(_) | Plan::CardExternal(_) => None,
        };
        self.planned.iter().filter_map(cash).collect()
    }
}

record! {
    /// The op that paid or cancelled an open order.
    pub struct By {
        /// Its depth.
        pub lamport: u64,
        /// The op.
        pub op: OpId,
        /// Its hash.
        pub hash: Hash,
        /// Who.
        pub actor: Actor,
        /// When.
        pub stamp: Stamp,
    }
}

impl By {
    /// Of an op.
    pub fn of(op: &SealedOp) -> Self {
        By { lamport: op.op.lamport, op: op.id(), hash: op.hash, actor: op.op.actor, stamp: op.op.stamp }
    }
}

record! {
    /// How an order was paid.
    pub struct Paid {
        /// By which op; `None` for the op that placed it.
        pub by: Option<By>,
        /// Receipt number in that op's stream.
        pub receipt: u64,
        /// How it was paid.
        pub tenders: Vec<Tender>,
        /// Change given back, in cash.
        pub change: i64,
        /// When, milliseconds since 1970 UTC.
        pub paid_ms: u64,
        /// Business day, in days since 1970-01-01.
        pub business_day: i64,
        /// The fiscal step's result.
        pub fiscal: Fiscal,
    }
}

impl Paid {
    /// Payments among the tenders.
    pub fn payments(&self) -> impl Iterator<Item = &CardTender> {
        self.tenders.iter().filter_map(|tender| match tender {
            Tender::Cash(_) => None,
            Tender::Card(card) | Tender::CardExternal(card) => Some(card),
        })
    }
}

record! {
    /// Why an open order was given up.
    pub struct Cancelled {
        /// By which op.
        pub by: By,
        /// Why.
        pub reason: String,
    }
}

record! {
    /// Units that came back from an order, or that it took once more.
    pub struct UnitsMoved {
        /// The op.
        pub op: OpId,
        /// When.
        pub stamp: Stamp,
        /// Whether they came back.
        pub back: bool,
        /// Which, in the generation that the order had.
        pub ranges: Vec<UnitRange>,
    }
}

record! {
    /// An order and everything that happened to it.
    pub struct Order {
        /// The op that placed or opened it.
        pub order_id: OpId,
        /// Hash of that op.
        pub hash: Hash,
        /// The event.
        pub event: OpId,
        /// Who sold.
        pub actor: Actor,
        /// When.
        pub stamp: Stamp,
        /// What was agreed.
        pub sale: Sale,
        /// How it was paid: at most once, unless two kits did it without knowing of each other; the first counts.
        pub paid: Vec<Paid>,
        /// Why it was given up, by each op that did.
        pub cancelled: Vec<Cancelled>,
        /// Payments without cash, by op.
        pub payments: Vec<Payment>,
        /// Refunds and voids, by op.
        pub refunds: Vec<Refund>,
        /// Those that stand on another branch of a forked stream. They count; another op may have their ids.
        pub beside: Vec<Refund>,
        /// Named units that came and went since, by op.
        pub units: Vec<UnitsMoved>,
    }
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage<'a> {
    /// It waits for its payment.
    Open,
    /// It is paid.
    Paid(&'a Paid),
    /// It was given up before it was paid.
    Cancelled(&'a Cancelled),
}

/// Whether a refund was undone before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It was not, or by the same op.
    First,
    /// By another op: two kits did it without knowing of each other.
    Again,
}

/// What an order is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It waits for its payment.
    AwaitingPayment,
    /// Given up before it was paid.
    Cancelled,
    /// Paid, nothing given back.
    Paid,
    /// Some of it given back.
    PartRefunded,
    /// All of it given back.
    Refunded,
    /// Undone as a whole.
    Voided,
}

impl OrderState {
    /// The word.
    pub fn text(self) -> &'static str {
        match self {
            OrderState::AwaitingPayment => "awaiting_payment",
            OrderState::Cancelled => "cancelled",
            OrderState::Paid => "paid",
            OrderState::PartRefunded => "part_refunded",
            OrderState::Refunded => "refunded",
            OrderState::Voided => "voided",
        }
    }
}

impl Order {
    /// A cash sale, paid by its own op.
    pub fn placed(op: &SealedOp, event: OpId, body: OrderPlaced) -> Self {
        let sale = Sale {
            currency: body.currency,
            prices: body.prices,
            lines: body.lines,
            discount: body.discount,
            discount_reason: body.discount_reason,
            total: body.total,
            planned: Vec::new(),
            source: body.source,
            cart_opened_ms: body.cart_opened_ms,
            business_day: body.business_day,
        };
        let paid = Paid {
            by: None,
            receipt: body.receipt,
            tenders: body.tenders,
            change: body.change,
            paid_ms: body.paid_ms,
            business_day: body.business_day,
            fiscal: body.fiscal,
        };
        Order { paid: vec![paid], ..Order::agreed(op, event, sale) }
    }

    /// An order that waits for its payment.
    pub fn opened(op: &SealedOp, event: OpId, body: OrderOpened) -> Self {
        Order::agreed(op, event, Sale::opened(body))
    }

    fn agreed(op: &SealedOp, event: OpId, sale: Sale) -> Self {
        Order {
            order_id: op.id(),
            hash: op.hash,
            event,
            actor: op.op.actor,
            stamp: op.op.stamp,
            sale,
            paid: Vec::new(),
            cancelled: Vec::new(),
            payments: Vec::new(),
            refunds: Vec::new(),
            beside: Vec::new(),
            units: Vec::new(),
        }
    }

    /// How far it is. Money outweighs a cancellation.
    pub fn stage(&self) -> Stage<'_> {
        match (self.paid.first(), self.cancelled.first()) {
            (Some(paid), _) => Stage::Paid(paid),
            (None, Some(cancelled)) => Stage::Cancelled(cancelled),
            (None, None) => Stage::Open,
        }
    }

    /// How it was paid, where it was.
    pub fn paid(&self) -> Option<&Paid> {
        self.paid.first()
    }

    /// Its receipt: the stream whose series it is of, and the number; `None` until it is paid.
    pub fn receipt(&self) -> Option<(StreamId, u64)> {
        let paid = self.paid()?;
        let op = paid.by.as_ref().map_or(self.order_id, |by| by.op);
        Some((op.stream, paid.receipt))
    }

    /// The op that a slip of this order names: the one that paid it, else the one that opened it.
    pub fn mark(&self) -> (OpId, Hash) {
        let by = self.paid().and_then(|paid| paid.by.as_ref());
        by.map_or((self.order_id, self.hash), |by| (by.op, by.hash))
    }

    /// The payment of an id.
    pub fn payment(&self, id: OpId) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.payment_id == id)
    }

    /// Whether it was paid by this payment, among others.
    pub fn is_paid_by(&self, payment: OpId) -> bool {
        self.paid().is_some_and(|paid| paid.payments().any(|card| card.payment == payment))
    }

    /// The account in which the money of a payment stands. What never came is a loss where the goods are gone for it.
    pub fn booked(&self, payment: &Payment) -> Option<Account> {
        let standing = payment.standing();
        let lost = standing.lost.is_some() && self.is_paid_by(payment.payment_id);
        standing.booked.or(lost.then_some(Account::LOST))
    }

    /// What payments without cash contribute now.
    pub fn collected(&self) -> i64 {
        self.payments.iter().fold(0i64, |sum, payment| sum.saturating_add(payment.collected()))
    }

    /// The payment that must be cleared before another one begins or the order is settled or given up.
    pub fn held_by(&self) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.state().holds_order())
    }

    /// Units of a line that were given back and not undone.
    pub fn refunded_quantity(&self, line: u32) -> u64 {
        self.standing_parts(line).map(|part| u64::from(part.quantity)).sum()
    }

    /// Whether more units or money of it were given back than it had: two kits refunded it without knowing of each other.
    pub fn over_refunded(&self) -> bool {
        let over = |(at, line): (usize, &Line)| self.refunded_quantity(at as u32 + 1) > u64::from(line.quantity);
        let back: i128 = self.standing_refunds().map(|refund| i128::from(refund.body.amount)).sum();
        back > i128::from(self.sale.total) || self.sale.lines.iter().enumerate().any(over)
    }

    /// Parts of a line that were given back and not undone.
    fn standing_parts(&self, line: u32) -> impl Iterator<Item = &RefundLine> {
        self.standing_refunds().flat_map(|refund| &refund.body.lines).filter(move |part| part.line == line)
    }

    /// Refunds that were not undone.
    pub fn standing_refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().chain(&self.beside).filter(|refund| refund.undone.is_none())
    }

    /// What the order is now.
    pub fn state(&self) -> OrderState {
        match self.stage() {
            Stage::Open => return OrderState::AwaitingPayment,
            Stage::Cancelled(_) => return OrderState::Cancelled,
            Stage::Paid(_) => {}
        }
        if self.standing_refunds().any(|refund| refund.body.kind == RefundKind::Void) {
            return OrderState::Voided;
        }
        if self.standing_refunds().next().is_none() {
            return OrderState::Paid;
        }
        let whole = self
            .sale
            .lines
            .iter()
            .enumerate()
            .all(|(at, line)| self.refunded_quantity(at as u32 + 1) >= u64::from(line.quantity));
        if whole { OrderState::Refunded } else { OrderState::PartRefunded }
    }

    /// Money and tax given back for the next `quantity` units of `line`, so that all parts sum to the line, whatever was
    /// given back and undone before: each part tops up what stands to the share of all units given back by then.
    pub fn refund_part(&self, line: u32, quantity: u32) -> Result<RefundLine, MoneyError> {
        let sold = &self.sale.lines[line as usize - 1];
        let before = u32::try_from(self.refunded_quantity(line)).unwrap_or(u32::MAX);
        let after = before.saturating_add(quantity);
        let part = |whole: i64, of: fn(&RefundLine) -> i64| -> Result<i64, MoneyError> {
            let mut standing = 0;
            for part in self.standing_parts(line) {
                standing = money::add(standing, of(part))?;
            }
            let share = money::scaled(whole, after, sold.quantity)?;
            // Undoing a small part may leave more standing than the share; nothing is then taken back.
            Ok(money::add(share, -standing)?.max(0))
        };
        let amount = part(line_total(sold, self.sale.prices), |part| part.amount)?;
        Ok(RefundLine { line, quantity, amount, tax: part(sold.tax, |part| part.tax)? })
    }

    /// Folds a refund in; repetition changes nothing. `beside` says that it stands on another branch of its stream.
    pub fn add_refund(&mut self, refund_id: OpId, body: OrderRefunded, stamp: Stamp, beside: bool) {
        let known = if beside { &mut self.beside } else { &mut self.refunds };
        let place = |refund: &Refund| (refund.refund_id, refund.stamp);
        if known.iter().all(|refund| place(refund) != (refund_id, stamp)) {
            known.push(Refund { refund_id, body, stamp, undone: None });
            known.sort_by_key(place);
        }
    }

    /// Folds units in that came or went; repetition changes nothing.
    pub fn add_units(&mut self, moved: UnitsMoved) {
        if self.units.iter().all(|known| known.op != moved.op) {
            self.units.push(moved);
            self.units.sort_by_key(|known| known.op);
        }
    }

    /// Named units that the order has, of those that ops of the streams that are `own` took for it.
    pub fn units_out(&self, own: impl Fn(StreamId) -> bool) -> RangeSet {
        let lines = self.sale.lines.iter().filter(|_| own(self.order_id.stream)).flat_map(|line| &line.units);
        let taken = self.units.iter().filter(|moved| !moved.back && own(moved.op.stream));
        let mut out = RangeSet::of(lines.chain(taken.flat_map(|moved| &moved.ranges)));
        let back = self.units.iter().filter(|moved| moved.back).flat_map(|moved| &moved.ranges);
        back.for_each(|range| out.remove(range));
        out
    }

    /// Folds an undo in. The first by op id counts where two kits undid the same refund.
    /// `None` where the refund is not known. `beside` says that it stands on another branch of its stream.
    pub fn add_undo(&mut self, undo_id: OpId, body: &RefundUndone, beside: bool) -> Option<Undo> {
        let known = if beside { &mut self.beside } else { &mut self.refunds };
        let refund = known.iter_mut().find(|refund| refund.refund_id == body.refund)?;
        let again = refund.undone.is_some_and(|known| known.0 != undo_id);
        refund.undone = match refund.undone {
            Some(known) if known.0 <= undo_id => Some(known),
            _ => Some((undo_id, body.receipt)),
        };
        Some(if again { Undo::Again } else { Undo::First })
    }

    /// Folds in that it was paid; repetition changes nothing.
    pub fn add_paid(&mut self, by: By, body: OrderPaid) {
        let known = |paid: &Paid| paid.by.as_ref().is_some_and(|known| known.op == by.op);
        if !self.paid.iter().any(known) {
            self.paid.push(Paid {
                by: Some(by),
                receipt: body.receipt,
                tenders: body.tenders,
                change: body.change,
                paid_ms: body.paid_ms,
                business_day: body.business_day,
                fiscal: body.fiscal,
            });
            self.paid.sort_by_key(|paid| paid.by.as_ref().map(|by| (by.lamport, by.op)));
        }
    }

    /// Folds in that it was given up; repetition changes nothing.
    pub fn add_cancelled(&mut self, by: By, body: OrderCancelled) {
        if self.cancelled.iter().all(|known| known.by.op != by.op) {
            self.cancelled.push(Cancelled { by, reason: body.reason });
            self.cancelled.sort_by_key(|known| (known.by.lamport, known.by.op));
        }
    }

    /// Folds a payment in; repetition changes nothing.
    pub fn add_payment(&mut self, payment: Payment) {
        if self.payment(payment.payment_id).is_none() {
            self.payments.push(payment);
            self.payments.sort_by_key(|known| known.payment_id);
        }
    }

    /// Folds a step of a payment in; `false` where the payment is not known.
    pub fn add_move(&mut self, payment: OpId, step: Move) -> bool {
        let found = self.payments.iter_mut().find(|known| known.payment_id == payment);
        found.map(|found| found.add(step)).is_some()
    }

    /// The order as its author saw it right after `op`; of what other streams did, that which is stamped before it.
    pub fn as_of(&self, op: OpId) -> Order {
        let mut then = self.clone();
        let at = self.stamp_of(op);
        // Nobody had done anything about an order when it was placed.
        let seen = |id: OpId, stamp: Stamp| {
            if id.stream == op.stream {
                id.seq <= op.seq
            } else {
                op != self.order_id && at.is_none_or(|at| stamp <= at)
            }
        };
        then.paid.retain(|paid| paid.by.as_ref().is_none_or(|by| seen(by.op, by.stamp)));
        then.cancelled.retain(|known| seen(known.by.op, known.by.stamp));
        then.payments.retain(|payment| seen(payment.payment_id, payment.stamp));
        for payment in &mut then.payments {
            payment.moves.retain(|step| seen(step.op, step.stamp));
        }
        then.refunds.retain(|refund| seen(refund.refund_id, refund.stamp));
        then.beside.retain(|refund| refund.refund_id.stream != op.stream && seen(refund.refund_id, refund.stamp));
        then.units.retain(|moved| seen(moved.op, moved.stamp));
        for refund in &mut then.refunds {
            // The stamp of an undo is not kept, so it hides nothing.
            refund.undone = refund.undone.filter(|(undo, _)| undo.stream != op.stream || undo.seq <= op.seq);
        }
        then
    }

    /// When `op` did something about this order; `None` where that is not kept.
    fn stamp_of(&self, op: OpId) -> Option<Stamp> {
        let refunds = self.refunds.iter().map(|refund| (refund.refund_id, refund.stamp));
        let paid = self.paid.iter().filter_map(|paid| paid.by.as_ref()).map(|by| (by.op, by.stamp));
        let cancelled = self.cancelled.iter().map(|known| (known.by.op, known.by.stamp));
        let payments = self.payments.iter().map(|payment| (payment.payment_id, payment.stamp));
        let moves = self.payments.iter().flat_map(|payment| &payment.moves).map(|step| (step.op, step.stamp));
        let units = self.units.iter().map(|moved| (moved.op, moved.stamp));
        let mut all = refunds.chain(units).chain(paid).chain(cancelled).chain(payments).chain(moves);
        all.find(|(known, _)| *known == op).map(|(_, stamp)| stamp)
    }

    /// Net and tax per rate, in the order of the rates' first lines.
    pub fn taxes(&self) -> Vec<(String, u32, i64, i64)> {
        let mut sums: Vec<(String, u32, i64, i64)> = Vec::new();
        for line in &self.sale.lines {
            let net = line_total(line, self.sale.prices).saturating_sub(line.tax);
            match sums.iter_mut().find(|sum| sum.0 == line.tax_rate && sum.1 == line.tax_ppm) {
                Some(sum) => (sum.2, sum.3) = (sum.2.saturating_add(net), sum.3.saturating_add(line.tax)),
                None => sums.push((line.tax_rate.clone(), line.tax_ppm, net, line.tax)),
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(price: i64, quantity: u32, ppm: u32) -> Line {
        Line {
            sku: "A".into(),
            name: "A".into(),
            quantity,
            unit_price: price,
            discount: 0,
            discount_reason: String::new(),
            order_discount: 0,
            tax_rate: "standard".into(),
            tax_ppm: ppm,
            tax: 0,
            owner: String::new(),
            units: vec![],
        }
    }

    #[test]
    fn an_order_discount_is_shared_and_taxed_per_line() {
        let mut lines = [line(1000, 1, 190_000), line(333, 1, 70_000)];
        let priced = price(&mut lines, Discount::Minor(100), Prices::Inclusive);
        assert_eq!(priced, Ok(Some((100, 1233))));
        assert_eq!((lines[0].order_discount, lines[1].order_discount), (75, 25));
        assert_eq!(lines[0].tax, 148);
    }

    #[test]
    fn a_discount_over_the_base_is_no_discount() {
        assert_eq!(Discount::Minor(11).of(10), None);
        assert_eq!(Discount::Ppm(1_000_001).of(10), None);
        assert_eq!(Discount::Minor(-1).of(10), None);
        assert_eq!(price(&mut [line(10, 1, 0)], Discount::Minor(11), Prices::Inclusive), Ok(None));
    }
}
