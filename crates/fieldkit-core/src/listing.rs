//! The payments of an order as every list shows them: each attempt, then the cash.
//!
//! Promises: one order in all lists, so that a table, a page and a reply never differ; change is taken from the last
//! cash first, and what an attempt is asked for is told whatever became of it.
//! Absent on purpose: forms of any one edge (SQL, JSON).

use crate::body::{Tender, TerminalRecord};
use crate::order::Order;

/// A payment as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Printed id: that of the payment, or the order's with the number of the cash among the tenders.
    pub payment_id: String,
    /// Means of paying.
    pub tender: &'static str,
    /// What it is now.
    pub state: &'static str,
    /// What was asked for; of cash, what is kept.
    pub amount: i64,
    /// What was handed over.
    pub tendered: i64,
    /// What counts for the order now.
    pub taken: i64,
    /// How a settlement names it.
    pub reference: Option<String>,
    /// The charge, as the terminal told it.
    pub record: Option<&'a TerminalRecord>,
}

/// The payments of an order. Cash of an order that waits is not taken yet, and not listed.
pub fn listed(order: &Order) -> Vec<Listed<'_>> {
    let mut all: Vec<Listed<'_>> = Vec::with_capacity(1);
    for payment in &order.payments {
        let standing = payment.standing();
        all.push(Listed {
            payment_id: payment.payment_id.text(),
            tender: payment.tender.text(),
            state: standing.state.text(),
            amount: payment.amount,
            tendered: payment.amount,
            taken: payment.collected(),
            reference: payment.reference(),
            record: standing.record,
        });
    }
    let Some(paid) = order.paid() else { return all };
    let (first, mut change) = (all.len(), paid.change);
    for (at, tender) in paid.tenders.iter().enumerate().rev() {
        let Tender::Cash(cash) = tender else { continue };
        let back = change.min(cash.tendered);
        change = change.saturating_sub(back);
        all.push(Listed {
            payment_id: format!("{}.{}", order.order_id.text(), at + 1),
            tender: "cash",
            state: "captured",
            amount: cash.tendered.saturating_sub(back),
            tendered: cash.tendered,
            taken: cash.tendered.saturating_sub(back),
            reference: None,
            record: None,
        });
    }
    all[first..].reverse();
    all
}
