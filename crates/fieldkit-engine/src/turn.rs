//! What a turn is made of: ops to append, answers to release after it, rows to project.

use fieldkit_core::body::{Body, CatalogueImported};
use fieldkit_core::id::{OpId, StreamId};
use fieldkit_core::op::{Head, Key, SealedOp};
use fieldkit_core::order::Order;
use fieldkit_core::refusal::Refusal;
use std::sync::Arc;

/// One group of ops that becomes durable together.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Number of the turn since the start of the process, from 1.
    pub number: u64,
    /// The ops, in the order in which they were made.
    pub ops: Vec<SealedOp>,
    /// Ops of other branches of forked streams.
    pub branches: Vec<SealedOp>,
    /// Ends of streams that grew, signed: now and then, not at every turn.
    pub heads: Vec<(StreamId, Head, [u8; 64])>,
}

/// Rows that a turn changed, for state and views.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// The turn.
    pub turn: u64,
    /// Orders as they are after the turn.
    pub orders: Vec<Arc<Order>>,
    /// Command keys with their fingerprint and the op that answers them.
    pub commands: Vec<(Key, Known)>,
    /// SKUs whose units or fields changed, with their event.
    pub items: Vec<(OpId, String)>,
    /// Events whose own row or drawers changed.
    pub events: Vec<OpId>,
}

/// A command key seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Fingerprint of the first request.
    pub fingerprint: [u8; 16],
    /// The op that answers it.
    pub op: OpId,
}

/// What a command achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An order, as it was right after the command.
    Order(Arc<Order>),
    /// An item was added, changed, counted.
    Item(String),
    /// A catalogue was taken over.
    Imported(CatalogueImported),
    /// The drawer changed.
    Drawer,
    /// An event was opened or closed.
    Event(OpId),
    /// A device was accepted or retired.
    Device(OpId),
    /// A payment without order was found or cleared up.
    Foreign(OpId),
    /// Something about rights of limited goods that is not about one SKU.
    Rights,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was achieved, or why not.
    pub result: Result<Outcome, Refusal>,
    /// Whether it was answered before and only repeated now.
    pub repeated: bool,
}

/// The kind of a sale; a test holds it to `Body::KINDS`.
const ORDER_PLACED: u16 = 32;

/// Kinds of ops that begin or move payments; a test holds them to `Body::KINDS`.
const PAYMENT_KINDS: std::ops::RangeInclusive<u16> = 64..=66;

/// What the op that answers a command says of its outcome; the order it speaks of, where it does.
#[derive(Clone)]
pub(crate) enum Reading {
    Order { order: OpId },
    Plain(Result<Outcome, Refusal>),
}

pub(crate) fn read_answer(op: &SealedOp) -> Option<Reading> {
    // Most answers are sales; what they say is in the ledger, and the body need not be read.
    if op.op.kind == ORDER_PLACED {
        return Some(Reading::Order { order: op.id() });
    }
    Some(match Body::open(op.op.kind, &op.op.body).ok()? {
        Body::OrderPlaced(_) => Reading::Order { order: op.id() },
        Body::OrderRefunded(body) => Reading::Order { order: body.order },
        Body::RefundUndone(body) => Reading::Order { order: body.order },
        Body::OrderOpened(_) => Reading::Order { order: op.id() },
        Body::OrderPaid(body) => Reading::Order { order: body.order },
        Body::OrderCancelled(body) => Reading::Order { order: body.order },
        Body::PaymentIntended(body) => Reading::Order { order: body.order },
        Body::PaymentMoved(body) => Reading::Order { order: body.order },
        Body::PaymentAttested(body) => Reading::Order { order: body.order },
        Body::DeviceAccepted(_) => Reading::Plain(Ok(Outcome::Device(op.id()))),
        Body::DeviceRetired(body) => Reading::Plain(Ok(Outcome::Device(body.device))),
        Body::ForeignPaymentFound(_) => Reading::Plain(Ok(Outcome::Foreign(op.id()))),
        Body::ForeignPaymentSettled(body) => Reading::Plain(Ok(Outcome::Foreign(body.found))),
        Body::ItemDefined(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::StockMoved(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::RightsGranted(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::RightsWrittenOff(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::HolderDeclaredLost(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::RightsAsked(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::RightsLeased(body) => Reading::Plain(Ok(Outcome::Item(body.sku))),
        Body::LeaseLapsed(_) => Reading::Plain(Ok(Outcome::Rights)),
        // An admission that follows from a roll-back answers nobody, and nobody reads it.
        Body::ReplicaAdmitted(_) => Reading::Plain(Ok(Outcome::Rights)),
        Body::WatchSet(_) | Body::HoldingAdmitted(_) | Body::KeeperVowed(_) | Body::HolderAnswered(_) => {
            Reading::Plain(Ok(Outcome::Rights))
        }
        Body::RightsReturned(body) => Reading::Order { order: body.order },
        Body::RightsUsed(body) => Reading::Order { order: body.order },
        Body::CatalogueImported(body) => Reading::Plain(Ok(Outcome::Imported(body))),
        Body::DrawerOpened(_) | Body::CashMoved(_) | Body::DrawerCounted(_) => Reading::Plain(Ok(Outcome::Drawer)),
        Body::EventOpened(_) => Reading::Plain(Ok(Outcome::Event(op.id()))),
        Body::EventClosed(body) => Reading::Plain(Ok(Outcome::Event(body.event))),
        Body::CommandRefused(body) => {
            let (code, detail, next_step) = (body.code, body.detail, body.next_step);
            Reading::Plain(Err(Refusal::Repeated { code, detail, next_step }))
        }
        Body::StreamOpened(_)
        | Body::OrganisationFounded(_)
        | Body::PersonAdded(_)
        | Body::RoleGranted(_)
        | Body::FoldRaised(_)
        | Body::RollbackNoticed(_) => return None,
    })
}

/// The order and the payment that an op moves, where it does.
pub(crate) fn moved_by(op: &SealedOp) -> Option<(OpId, OpId)> {
    // Few ops are about payments; the others need not be read.
    if !PAYMENT_KINDS.contains(&op.op.kind) {
        return None;
    }
    match Body::open(op.op.kind, &op.op.body).ok()? {
        Body::PaymentIntended(body) => Some((body.order, op.id())),
        Body::PaymentMoved(body) => Some((body.order, body.payment)),
        Body::PaymentAttested(body) => Some((body.order, op.id())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_told_by_their_number_are_those_in_the_table() {
        let found = Body::KINDS.iter().find(|(_, name)| *name == "OrderPlaced");
        assert_eq!(found.map(|(kind, _)| *kind), Some(ORDER_PLACED));
        let of_payments = Body::KINDS.iter().filter(|(kind, _)| PAYMENT_KINDS.contains(kind));
        let names: Vec<&str> = of_payments.map(|(_, name)| *name).collect();
        assert_eq!(names, ["PaymentIntended", "PaymentMoved", "PaymentAttested"]);
    }
}
