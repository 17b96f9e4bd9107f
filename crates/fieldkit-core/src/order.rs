//! An order: how it is priced, what it says on a receipt, what is left to give back.
//!
//! Promises: pricing is a function of lines and discounts alone, and the parts sum to the total; an order's state is a
//! function of the set of ops about it. Discounts on the whole order are shared by largest remainder (`money::split`).
//! Absent on purpose: stock and permission, which are the rules' (`decide`).

use crate::body::{Line, OrderPlaced, OrderRefunded, Prices, RefundKind, RefundLine, RefundUndone};
use crate::codec::record;
use crate::id::{Hash, OpId};
use crate::money::{self, MoneyError};
use crate::op::Actor;
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
    /// An order and everything that happened to it.
    pub struct Order {
        /// The op that placed it.
        pub order_id: OpId,
        /// Hash of that op.
        pub hash: Hash,
        /// The event.
        pub event: OpId,
        /// Who sold.
        pub actor: Actor,
        /// When.
        pub stamp: Stamp,
        /// What was sold and how it was paid.
        pub placed: OrderPlaced,
        /// Refunds and voids, by op.
        pub refunds: Vec<Refund>,
    }
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
            OrderState::Paid => "paid",
            OrderState::PartRefunded => "part_refunded",
            OrderState::Refunded => "refunded",
            OrderState::Voided => "voided",
        }
    }
}

impl Order {
    /// Units of a line that were given back and not undone.
    pub fn refunded_quantity(&self, line: u32) -> u64 {
        self.standing_parts(line).map(|part| u64::from(part.quantity)).sum()
    }

    /// Whether more units or money of it were given back than it had: two kits refunded it without knowing of each other.
    pub fn over_refunded(&self) -> bool {
        let over = |(at, line): (usize, &Line)| self.refunded_quantity(at as u32 + 1) > u64::from(line.quantity);
        let back: i128 = self.standing_refunds().map(|refund| i128::from(refund.body.amount)).sum();
        back > i128::from(self.placed.total) || self.placed.lines.iter().enumerate().any(over)
    }

    /// Parts of a line that were given back and not undone.
    fn standing_parts(&self, line: u32) -> impl Iterator<Item = &RefundLine> {
        self.standing_refunds().flat_map(|refund| &refund.body.lines).filter(move |part| part.line == line)
    }

    /// Refunds that were not undone.
    pub fn standing_refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().filter(|refund| refund.undone.is_none())
    }

    /// What the order is now.
    pub fn state(&self) -> OrderState {
        if self.standing_refunds().any(|refund| refund.body.kind == RefundKind::Void) {
            return OrderState::Voided;
        }
        if self.standing_refunds().next().is_none() {
            return OrderState::Paid;
        }
        let whole = self
            .placed
            .lines
            .iter()
            .enumerate()
            .all(|(at, line)| self.refunded_quantity(at as u32 + 1) >= u64::from(line.quantity));
        if whole { OrderState::Refunded } else { OrderState::PartRefunded }
    }

    /// Money and tax given back for the next `quantity` units of `line`, so that all parts sum to the line, whatever was
    /// given back and undone before: each part tops up what stands to the share of all units given back by then.
    pub fn refund_part(&self, line: u32, quantity: u32) -> Result<RefundLine, MoneyError> {
        let sold = &self.placed.lines[line as usize - 1];
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
        let amount = part(line_total(sold, self.placed.prices), |part| part.amount)?;
        Ok(RefundLine { line, quantity, amount, tax: part(sold.tax, |part| part.tax)? })
    }

    /// Folds a refund in; repetition changes nothing.
    pub fn add_refund(&mut self, refund_id: OpId, body: OrderRefunded, stamp: Stamp) {
        if self.refunds.iter().all(|refund| refund.refund_id != refund_id) {
            self.refunds.push(Refund { refund_id, body, stamp, undone: None });
            self.refunds.sort_by_key(|refund| refund.refund_id);
        }
    }

    /// Folds an undo in. The first by op id counts where two kits undid the same refund.
    /// `None` where the refund is not known.
    pub fn add_undo(&mut self, undo_id: OpId, body: &RefundUndone) -> Option<Undo> {
        let refund = self.refunds.iter_mut().find(|refund| refund.refund_id == body.refund)?;
        let again = refund.undone.is_some_and(|known| known.0 != undo_id);
        refund.undone = match refund.undone {
            Some(known) if known.0 <= undo_id => Some(known),
            _ => Some((undo_id, body.receipt)),
        };
        Some(if again { Undo::Again } else { Undo::First })
    }

    /// The order as its author saw it right after `op`; of other streams' refunds, those stamped before it.
    pub fn as_of(&self, op: OpId) -> Order {
        let mut then = self.clone();
        let known = |id: &OpId| id.stream != op.stream || id.seq <= op.seq;
        // An order has no refunds when it is placed; the stamp of an undo is not kept, so it hides nothing.
        let stamps = self.refunds.iter().find(|refund| refund.refund_id == op).map(|refund| refund.stamp);
        let before = |refund: &Refund| stamps.is_none_or(|stamp| refund.stamp <= stamp);
        let foreign = |refund: &Refund| refund.refund_id.stream != op.stream && before(refund) && op != self.order_id;
        let own = |refund: &Refund| refund.refund_id.stream == op.stream && known(&refund.refund_id);
        then.refunds.retain(|refund| own(refund) || foreign(refund));
        for refund in &mut then.refunds {
            refund.undone = refund.undone.filter(|(undo, _)| known(undo));
        }
        then
    }

    /// Net and tax per rate, in the order of the rates' first lines.
    pub fn taxes(&self) -> Vec<(String, u32, i64, i64)> {
        let mut sums: Vec<(String, u32, i64, i64)> = Vec::new();
        for line in &self.placed.lines {
            let net = line_total(line, self.placed.prices).saturating_sub(line.tax);
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
