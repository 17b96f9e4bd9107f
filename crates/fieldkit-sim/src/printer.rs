//! Printers: a slip leaves one for each sale of its kit, with the number and the check of the op that sold.
//!
//! Promises: a slip leaves with the answers, when its sale is durable and whoever watches has seen it; what is in a buyer's
//! hand stays there, whatever becomes of the kit.
//! Absent on purpose: paper that runs out, slips of refunds, and a slip's second print: a process that dies between the
//! sale and its slip prints none.

use crate::log::Slip;
use crate::planted::Planted;
use crate::world::World;
use fieldkit_core::id::OpId;
use fieldkit_core::order::Order;
use std::sync::Arc;

impl World {
    /// Orders as they are once a turn's answers leave: those that this kit was paid for have their slip.
    pub(crate) fn print(&mut self, kit: usize, orders: &[Arc<Order>]) {
        for order in orders {
            let paid_by = order.paid().map(|paid| paid.by.as_ref().map_or(order.order_id, |by| by.op));
            let own = |op: &OpId| self.kits[kit].engine.as_ref().is_some_and(|engine| engine.writes(&op.stream));
            let sold = paid_by.filter(own).and_then(|op| self.kits[kit].journal.find(&op));
            let Some(((_, receipt), (_, sold))) = order.receipt().zip(sold) else { continue };
            let slip = Slip { kit, op: sold.id(), receipt };
            self.log.slips.entry(sold.hash).or_insert(slip);
        }
    }

    /// Prints sales that are only decided, where that is the mistake.
    pub(crate) fn print_at_once(&mut self, kit: usize) {
        let engine = self.kits[kit].engine.as_ref().filter(|_| self.planted == Some(Planted::PrintBeforeSync));
        let orders = engine.map(|engine| engine.ledger().orders.values().cloned().collect::<Vec<_>>());
        self.print(kit, &orders.unwrap_or_default());
    }
}
