//! The stall again, in plain integers: what a child would count must be what the ledger says (INV-10).
//!
//! Prices, discounts and tax are whole per unit here, so that each refund is known without the code under test.

use crate::world::{Terms, World, here};
use fieldkit_core::body::{Direction, Edit, Prices, StockReason};
use fieldkit_core::decide::{Command, LineRequest, OrderRequest, StockChange, TenderRequest};
use fieldkit_core::id::{OpId, Space};
use fieldkit_core::op::{Account, Unit};
use fieldkit_core::order::Discount;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A sale as the model remembers it: units sold, price paid for one, and each refund's units, undone or not.
struct Sold {
    id: OpId,
    sku: &'static str,
    units: i64,
    paid_each: i64,
    refunds: Vec<(OpId, i64, bool)>,
}

impl Sold {
    fn left(&self) -> i64 {
        self.units - self.refunds.iter().filter(|refund| !refund.2).map(|refund| refund.1).sum::<i64>()
    }
}

#[derive(Default)]
struct Model {
    price: BTreeMap<&'static str, i64>,
    stock: BTreeMap<&'static str, i64>,
    /// Cash of the running session.
    drawer: i64,
    drawer_open: bool,
    /// Cash taken while none ran.
    while_closed: i64,
    variance: i64,
    sales: Vec<Sold>,
}

#[derive(Clone, Debug)]
enum Step {
    Sell { tee: bool, units: i64, off_each: i64, extra: i64 },
    Refund { sale: usize, units: i64 },
    Void { sale: usize },
    Undo { sale: usize, refund: usize },
    Price { tee: bool, price: i64 },
    Count { tee: bool, units: i64 },
    Open(i64),
    Cash { into: bool, amount: i64 },
    CountDrawer { off_by: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0i64..5, 0i64..200, -50i64..500)
            .prop_map(|(tee, units, off_each, extra)| Step::Sell { tee, units, off_each, extra }),
        4 => (any::<usize>(), 0i64..5).prop_map(|(sale, units)| Step::Refund { sale, units }),
        2 => any::<usize>().prop_map(|sale| Step::Void { sale }),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(sale, refund)| Step::Undo { sale, refund }),
        1 => (any::<bool>(), -10i64..3000).prop_map(|(tee, price)| Step::Price { tee, price }),
        1 => (any::<bool>(), -2i64..20).prop_map(|(tee, units)| Step::Count { tee, units }),
        2 => (-5i64..9000).prop_map(Step::Open),
        2 => (any::<bool>(), -5i64..900).prop_map(|(into, amount)| Step::Cash { into, amount }),
        2 => (-9i64..9).prop_map(|off_by| Step::CountDrawer { off_by }),
    ]
}

fn sku(tee: bool) -> &'static str {
    if tee { "TEE" } else { "MUG" }
}

impl Model {
    /// Where cash goes now.
    fn cash(&mut self) -> &mut i64 {
        if self.drawer_open { &mut self.drawer } else { &mut self.while_closed }
    }

    /// Does a step; `None` where a stallholder would say no.
    fn step(&mut self, step: &Step) -> Option<()> {
        let sales = self.sales.len().max(1);
        match step {
            Step::Sell { tee, units, off_each, extra } => {
                let (sku, price) = (sku(*tee), self.price[sku(*tee)]);
                (*units > 0 && *off_each <= price && *extra >= 0).then_some(())?;
                let paid_each = price - off_each;
                *self.cash() += units * paid_each;
                *self.stock.entry(sku).or_default() -= units;
                let id = OpId { stream: fieldkit_core::id::StreamId([0; 16]), seq: 0 };
                self.sales.push(Sold { id, sku, units: *units, paid_each, refunds: vec![] });
            }
            Step::Refund { sale, units } => {
                let sold = self.sales.get_mut(sale % sales)?;
                (*units > 0 && *units <= sold.left()).then_some(())?;
                sold.refunds.push((sold.id, *units, false));
                *self.stock.entry(sold.sku).or_default() += units;
                let paid = units * sold.paid_each;
                *self.cash() -= paid;
            }
            Step::Void { sale } => {
                let sold = self.sales.get_mut(sale % sales)?;
                (sold.left() == sold.units).then_some(())?;
                sold.refunds.push((sold.id, sold.units, false));
                *self.stock.entry(sold.sku).or_default() += sold.units;
                let paid = sold.units * sold.paid_each;
                *self.cash() -= paid;
            }
            Step::Undo { sale, refund } => {
                let sold = self.sales.get_mut(sale % sales)?;
                let refunds = sold.refunds.len().max(1);
                let found = sold.refunds.get_mut(refund % refunds).filter(|refund| !refund.2)?;
                found.2 = true;
                *self.stock.entry(sold.sku).or_default() -= found.1;
                let paid = found.1 * sold.paid_each;
                *self.cash() += paid;
            }
            Step::Price { tee, price } => {
                (*price >= 0).then_some(())?;
                self.price.insert(sku(*tee), *price);
            }
            Step::Count { tee, units } => {
                (*units >= 0).then_some(())?;
                self.stock.insert(sku(*tee), *units);
            }
            Step::Open(amount) => {
                (*amount >= 0 && !self.drawer_open).then_some(())?;
                (self.drawer, self.drawer_open) = (*amount, true);
            }
            Step::Cash { into, amount } => {
                (*amount > 0 && self.drawer_open).then_some(())?;
                self.drawer += if *into { *amount } else { -amount };
            }
            Step::CountDrawer { off_by } => {
                (self.drawer_open && self.drawer + off_by >= 0).then_some(())?;
                self.variance += off_by;
                (self.drawer, self.drawer_open) = (0, false);
            }
        }
        Some(())
    }

    /// The same step as a command.
    fn command(&self, step: &Step) -> Command {
        let nowhere = OpId { stream: fieldkit_core::id::StreamId([0; 16]), seq: 1 };
        let sold = |sale: &usize| self.sales.get(sale % self.sales.len().max(1));
        let order = |sale: &usize| sold(sale).map_or(nowhere, |sold| sold.id);
        match step {
            Step::Sell { tee, units, off_each, extra } => {
                let due = (self.price[sku(*tee)] - off_each) * units;
                let line = LineRequest {
                    sku: sku(*tee).to_owned(),
                    quantity: *units,
                    price: None,
                    discount: Discount::Minor(off_each * units),
                    discount_reason: "scratched".to_owned(),
                };
                let cash = TenderRequest::Cash { minor: due + extra, currency: "EUR".to_owned() };
                let euro = fieldkit_core::money::Currency::from_code("EUR").expect("EUR is in ISO 4217");
                let plain = crate::world::sale(&[], 0, 0, euro);
                Command::PlaceOrder(OrderRequest { lines: vec![line], tenders: vec![cash], ..plain })
            }
            Step::Refund { sale, units } => Command::Refund {
                order: order(sale),
                lines: Some(vec![(1, u32::try_from(*units).unwrap_or(0))]),
                reason: "broken".to_owned(),
                restock: true,
                in_cash: false,
            },
            Step::Void { sale } => Command::Void { order: order(sale), reason: "mistake".to_owned() },
            Step::Undo { sale, refund } => {
                let refunds = sold(sale).map(|sold| sold.refunds.as_slice()).unwrap_or_default();
                let found = refunds.get(refund % refunds.len().max(1)).map_or(nowhere, |refund| refund.0);
                Command::UndoRefund { order: order(sale), refund: found }
            }
            Step::Price { tee, price } => {
                Command::ChangeItem { sku: sku(*tee).to_owned(), edits: vec![Edit::Price(*price)] }
            }
            Step::Count { tee, units } => Command::MoveStock {
                sku: sku(*tee).to_owned(),
                change: StockChange::To(*units),
                reason: StockReason::Counted,
            },
            Step::Open(amount) => Command::OpenDrawer { amount: *amount },
            Step::Cash { into, amount } => Command::MoveCash {
                direction: if *into { Direction::In } else { Direction::Out },
                amount: *amount,
                reason: "bank".to_owned(),
            },
            Step::CountDrawer { off_by } => {
                Command::CountDrawer { counted: self.drawer + off_by, note: "counted twice".to_owned() }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_ledger_says_what_plain_counting_says(steps in vec(step(), 1..60), exclusive: bool) {
        // Exclusive prices carry no tax here, so that what is paid stays what was counted.
        let prices = if exclusive { Prices::Exclusive } else { Prices::Inclusive };
        let mut world = World::new(1, Terms { currency: "EUR", prices });
        let (event, owner) = (world.event, world.owner);
        let mut model = Model {
            price: BTreeMap::from([("MUG", 1450), ("TEE", 2333)]),
            stock: BTreeMap::from([("MUG", 10), ("TEE", 10)]),
            ..Model::default()
        };
        for sku in ["MUG", "TEE"].into_iter().filter(|_| exclusive) {
            let untaxed = Command::ChangeItem { sku: sku.to_owned(), edits: vec![Edit::TaxRate("none".to_owned())] };
            world.kits[0].run(&untaxed, Some(event), owner).expect("the change is in order");
        }
        for step in &steps {
            let command = model.command(step);
            let counted = model.step(step);
            world.kits[0].wall_ms += 1_000;
            let answer = world.kits[0].run(&command, Some(event), owner);
            prop_assert_eq!(counted.is_some(), answer.is_ok(), "{:?}: {:?}", step, answer.err());
            if let Ok(ops) = &answer {
                let id = ops.last().map(fieldkit_core::op::SealedOp::id).expect("an answer is an op");
                match step {
                    Step::Sell { .. } => model.sales.last_mut().expect("a sale was counted").id = id,
                    Step::Refund { sale, .. } | Step::Void { sale } => {
                        let at = sale % model.sales.len();
                        model.sales[at].refunds.last_mut().expect("a refund was counted").0 = id;
                    }
                    _ => {}
                }
            }
            let ledger = &world.kits[0].ledger;
            let found = ledger.events.get(&event).expect("the event is known");
            let stream = world.kits[0].author.stream(&Space::Event(event));
            let drawer = found.drawers.get(&stream);
            prop_assert_eq!(drawer.map_or(0, |drawer| drawer.expected.0), i128::from(model.drawer), "{:?}", step);
            let apart = drawer.map_or(0, |drawer| drawer.while_closed.0);
            prop_assert_eq!(apart, i128::from(model.while_closed), "{:?}", step);
            let cash = found.balance(Account::CASH, Unit::Money(found.opened.currency));
            prop_assert_eq!(cash, model.drawer + model.while_closed, "all cash is in one of the two");
            prop_assert_eq!(drawer.is_some_and(|drawer| drawer.opened_ms.is_some()), model.drawer_open);
            prop_assert_eq!(found.balance(Account::CASH_VARIANCE, Unit::Money(found.opened.currency)), -model.variance);
            for (sku, units) in &model.stock {
                prop_assert_eq!(here(ledger, event, sku), *units, "{} after {:?}", sku, step);
            }
            for sold in &model.sales {
                let order = ledger.orders.get(&sold.id).expect("each sale has its order");
                prop_assert_eq!(order.sale.total, sold.units * sold.paid_each);
                prop_assert_eq!(order.refunded_quantity(1), u64::try_from(sold.units - sold.left()).unwrap_or(0));
            }
        }
    }
}
