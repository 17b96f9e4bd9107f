//! Folding what waits for its payment: open orders, payments and their steps, devices, payments without order.
//!
//! Promises: as the ledger does — total, and a function of the op set. What is open is kept by name at its event.
//! Absent on purpose: the meaning of a payment's steps (`payment`).

use super::{AnomalyKind, Ledger, Stream, number};
use crate::body::{
    Body, DeviceAccepted, DeviceRetired, ForeignPaymentFound, ForeignPaymentSettled, PaymentMoved, PaymentStep,
    TerminalRecord,
};
use crate::device::{Device, LastRecord, RECORDS_KEPT_MAX};
use crate::event::{Foreign, Settlement};
use crate::id::OpId;
use crate::money::Money;
use crate::op::SealedOp;
use crate::order::{By, Order, Stage};
use crate::payment::{Against, Move, Payment};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Anomalies that steps of payments may raise.
const OF_STEPS: [AnomalyKind; 3] = [AnomalyKind::Payment, AnomalyKind::Lost, AnomalyKind::Mismatch];

impl Ledger {
    /// Folds a body about open orders and payments; any other belongs to the organisation.
    pub(super) fn fold_payment(&mut self, op: &SealedOp, event_id: OpId, body: Body) {
        match body {
            Body::OrderOpened(body) => {
                if let Some(event) = self.events.get_mut(&event_id) {
                    event.orders += 1;
                }
                self.orders.insert(op.id(), Arc::new(Order::opened(op, event_id, body)));
                self.order_changed(op.id());
            }
            Body::OrderPaid(body) => {
                self.take_receipt(op.op.stream, body.receipt);
                self.in_order(op, body.order, |order| order.add_paid(By::of(op), body));
            }
            Body::OrderCancelled(body) => {
                self.in_order(op, body.order, |order| order.add_cancelled(By::of(op), body));
            }
            Body::PaymentIntended(body) => {
                let order = body.order;
                let payment = Payment::intended(op.id(), body, op.op.stamp);
                self.in_order(op, order, |order| order.add_payment(payment));
            }
            Body::PaymentAttested(body) => {
                let order = body.order;
                let payment = Payment::attested(op.id(), body, op.op.stamp);
                self.in_order(op, order, |order| order.add_payment(payment));
            }
            Body::PaymentMoved(body) => self.fold_move(op, body),
            Body::ForeignPaymentFound(body) => self.fold_foreign(op, event_id, body),
            Body::ForeignPaymentSettled(body) => self.fold_settlement(op, event_id, body),
            _ => self.anomaly(op, AnomalyKind::Space, "this kind belongs to the organisation"),
        }
    }

    fn in_order(&mut self, op: &SealedOp, order_id: OpId, change: impl FnOnce(&mut Order)) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            return self.anomaly(op, AnomalyKind::Missing, "the order is not known");
        };
        change(Arc::make_mut(order));
        self.order_changed(order_id);
    }

    fn fold_move(&mut self, op: &SealedOp, body: PaymentMoved) {
        let told = match &body.step {
            PaymentStep::Approved(record)
            | PaymentStep::AtRisk(record)
            | PaymentStep::Mismatched(record)
            | PaymentStep::Reversed(record) => Some(record.clone()),
            _ => None,
        };
        if let Some(record) = told {
            self.terminal_told(op, record);
        }
        let step = Move { op: op.id(), lamport: op.op.lamport, stamp: op.op.stamp, step: body.step };
        let Some(order) = self.orders.get_mut(&body.order) else {
            return self.anomaly(op, AnomalyKind::Missing, "the order is not known");
        };
        if !Arc::make_mut(order).add_move(body.payment, step) {
            return self.anomaly(op, AnomalyKind::Missing, "the payment is not known");
        }
        self.order_changed(body.order);
    }

    fn terminal_told(&mut self, op: &SealedOp, record: TerminalRecord) {
        // One that does not say which it is cannot be asked about its last.
        if record.terminal_id.is_empty() {
            return;
        }
        let told = LastRecord { lamport: op.op.lamport, op: op.id(), record };
        let kept = self.terminals.entry(told.record.terminal_id.clone()).or_default();
        let at = kept.partition_point(|known| (known.lamport, known.op) > (told.lamport, told.op));
        if kept.get(at).is_none_or(|known| known.op != told.op) {
            kept.insert(at, told);
            kept.truncate(RECORDS_KEPT_MAX);
        }
    }

    /// Names what is open about an order, and what is contradictory: both are matters of the order as it is now.
    fn order_changed(&mut self, order_id: OpId) {
        self.changed.insert(order_id);
        let Some(order) = self.orders.get(&order_id) else { return };
        if let Some(event) = self.events.get_mut(&order.event) {
            match order.stage() {
                Stage::Open => event.open_orders.insert(order_id),
                Stage::Paid(_) | Stage::Cancelled(_) => event.open_orders.remove(&order_id),
            };
            for payment in &order.payments {
                if payment.state().is_open() {
                    event.open_payments.insert(payment.payment_id, payment.clone());
                } else {
                    event.open_payments.remove(&payment.payment_id);
                }
            }
        }
        let (twice, given_up) = (order.paid.len() > 1, !order.paid.is_empty() && !order.cancelled.is_empty());
        let steps = order.payments.iter().flat_map(|payment| &payment.moves).map(|step| step.op);
        let steps: BTreeSet<OpId> = steps.collect();
        let mut against: Vec<_> = order.payments.iter().flat_map(|payment| payment.standing().against).collect();
        against.extend(order.payments.iter().filter_map(|payment| lost(order, payment)));
        for (op, kind) in steps.into_iter().flat_map(|op| OF_STEPS.map(|kind| (op, kind))) {
            self.anomalies.remove(&(op, number(kind)));
        }
        for found in against {
            self.contradict(found.op, found.kind, &found.detail);
        }
        let mut weigh = |kind: AnomalyKind, holds: bool, detail: &str| {
            if holds {
                self.contradict(order_id, kind, detail);
            } else {
                self.anomalies.remove(&(order_id, number(kind)));
            }
        };
        weigh(AnomalyKind::PaidTwice, twice, "the order was paid twice");
        weigh(AnomalyKind::PaidCancelled, given_up, "the order was given up, and paid");
    }

    pub(super) fn fold_device(&mut self, op: &SealedOp, body: DeviceAccepted) {
        let replica = self.streams.get(&op.op.stream).and_then(|stream: &Stream| stream.replica);
        self.devices.insert(op.id(), Device { body, replica, retired: None });
    }

    pub(super) fn fold_retirement(&mut self, op: &SealedOp, body: &DeviceRetired) {
        let Some(device) = self.devices.get_mut(&body.device) else {
            return self.anomaly(op, AnomalyKind::Missing, "the device is not known");
        };
        device.retired = Some(device.retired.map_or(op.id(), |known| known.min(op.id())));
    }

    fn fold_foreign(&mut self, op: &SealedOp, event_id: OpId, body: ForeignPaymentFound) {
        self.terminal_told(op, body.record.clone());
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let key = Foreign::key(&body.record);
        match event.foreign.get_mut(&key) {
            Some(known) => {
                // The first op by its id speaks, whichever arrived first.
                if known.found.first().is_some_and(|first| op.id() < *first) {
                    known.body = body;
                }
                known.found.insert(op.id());
            }
            None => {
                let found = BTreeSet::from([op.id()]);
                event.foreign.insert(key, Foreign { body, found, settled: None });
            }
        }
    }

    fn fold_settlement(&mut self, op: &SealedOp, event_id: OpId, body: ForeignPaymentSettled) {
        let foreign = self.events.get_mut(&event_id).map(|event| event.foreign.values_mut());
        let found = foreign.into_iter().flatten().find(|foreign| foreign.found.contains(&body.found));
        let Some(found) = found else {
            return self.anomaly(op, AnomalyKind::Missing, "the payment without order is not known");
        };
        let settlement = Settlement { lamport: op.op.lamport, op: op.id(), note: body.note };
        let first =
            found.settled.as_ref().is_none_or(|known| (settlement.lamport, settlement.op) < (known.lamport, known.op));
        if first {
            found.settled = Some(settlement);
        }
    }
}

/// Money at risk that never came, for goods that are gone.
fn lost(order: &Order, payment: &Payment) -> Option<Against> {
    let op = payment.standing().lost.filter(|_| order.is_paid_by(payment.payment_id))?;
    let money = Money::new(payment.amount, payment.currency);
    let detail = format!("{money} were taken offline and declined later: the goods are gone");
    Some(Against { op, kind: AnomalyKind::Lost, detail })
}
