//! Refusals about payments, the orders that wait for them, and the devices that take them.
//!
//! Promises: as `refusal` does. Where nobody knows whether money was taken, the next step asks, and never charges again.
//! Absent on purpose: a terminal's no, which is a fact and no refusal.

use crate::money::Money;

/// Why a command about a payment was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRefusal {
    /// A payment runs already.
    #[error("a payment of {amount} is {state} ({payment}); a second one must wait for its outcome")]
    Running {
        /// Printed id of the payment.
        payment: String,
        /// What it is now.
        state: &'static str,
        /// Its amount.
        amount: Money,
    },
    /// The outcome of a payment is not known.
    #[error("nobody knows yet whether {amount} were taken ({payment}); no card is charged before that is cleared up")]
    Unknown {
        /// Printed id of the payment.
        payment: String,
        /// Its amount.
        amount: Money,
    },
    /// The terminal is taken by another payment.
    #[error("{label:?} has a payment of another order whose outcome is open ({payment}, {state})")]
    TerminalHeld {
        /// What the crew calls the terminal.
        label: String,
        /// Printed id of the payment.
        payment: String,
        /// What it is now.
        state: &'static str,
    },
    /// No terminal is accepted here.
    #[error("this kit has no card terminal")]
    NoTerminal,
    /// The payment is not known.
    #[error("there is no payment {0}")]
    UnknownPayment(String),
    /// The payment is not in a state that fits.
    #[error("the payment is {state}; {what}")]
    State {
        /// What it is now.
        state: &'static str,
        /// What it would have to be.
        what: &'static str,
    },
    /// Another kit runs the payment.
    #[error("another kit runs this payment")]
    Elsewhere,
    /// The order is paid or was given up.
    #[error("the order is {0}; it does not wait for its payment")]
    OrderNotOpen(&'static str),
    /// The order waits for its payment, or was given up.
    #[error("the order is {0}; there is nothing to give back")]
    OrderNotPaid(&'static str),
    /// Money on the order must go back first.
    #[error("{0} were taken for this order already")]
    MoneyTaken(Money),
    /// An amount for a card is nothing, or more than is left to pay.
    #[error("a card can be charged from 1 minor unit to {left}, what is left to pay")]
    CardAmount {
        /// What is left to pay.
        left: Money,
    },
    /// What is asked for is not done with a card here.
    #[error("{0}")]
    CardTender(&'static str),
    /// A card number was typed where none may stand.
    #[error("{what} looks like a card number; none is stored")]
    CardNumber {
        /// Which text.
        what: &'static str,
    },
    /// A refund of a card order that nobody asked for in cash.
    #[error("{0} of this order were paid by card")]
    CardRefund(Money),
    /// More than is still with the kit.
    #[error("{left} of this order can still be given back, {wanted} were asked for")]
    RefundAmount {
        /// What is left.
        left: Money,
        /// What was asked for.
        wanted: Money,
    },
    /// A void whose money went back to a card.
    #[error("the money of this void went back to a card")]
    UndoCard,
    /// Orders or payments of the event are open.
    #[error("{orders} orders and {payments} payments of this event are not finished")]
    StillOpen {
        /// Orders that wait for their payment.
        orders: usize,
        /// Payments whose outcome is open.
        payments: usize,
    },
    /// The device is not known, or not this kit's.
    #[error("this kit has no device {0}")]
    UnknownDevice(String),
    /// The device is accepted already.
    #[error("{0:?} is accepted already")]
    DeviceKnown(String),
    /// The terminal's transaction is no news.
    #[error("this transaction of the terminal is recorded already")]
    TransactionKnown,
    /// The payment without order is not known.
    #[error("there is no payment without order {0}")]
    UnknownForeign(String),
    /// It was cleared up before.
    #[error("this payment without order was cleared up before")]
    ForeignSettled,
}

impl PaymentRefusal {
    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            PaymentRefusal::Running { .. } => "payment_running",
            PaymentRefusal::Unknown { .. } => "payment_unknown",
            PaymentRefusal::TerminalHeld { .. } => "terminal_held",
            PaymentRefusal::NoTerminal => "no_terminal",
            PaymentRefusal::UnknownPayment(_) => "unknown_payment",
            PaymentRefusal::State { .. } => "payment_state",
            PaymentRefusal::Elsewhere => "payment_elsewhere",
            PaymentRefusal::OrderNotOpen(_) => "order_not_open",
            PaymentRefusal::OrderNotPaid(_) => "order_not_paid",
            PaymentRefusal::MoneyTaken(_) => "money_taken",
            PaymentRefusal::CardAmount { .. } => "card_amount",
            PaymentRefusal::CardTender(_) => "card_tender",
            PaymentRefusal::CardNumber { .. } => "card_number",
            PaymentRefusal::CardRefund(_) => "card_refund",
            PaymentRefusal::RefundAmount { .. } => "refund_amount",
            PaymentRefusal::UndoCard => "undo_card",
            PaymentRefusal::StillOpen { .. } => "still_open",
            PaymentRefusal::UnknownDevice(_) => "unknown_device",
            PaymentRefusal::DeviceKnown(_) => "device_known",
            PaymentRefusal::TransactionKnown => "transaction_known",
            PaymentRefusal::UnknownForeign(_) => "unknown_foreign",
            PaymentRefusal::ForeignSettled => "foreign_settled",
        }
    }

    /// The one next step.
    pub fn next_step(&self) -> &'static str {
        match self {
            PaymentRefusal::Running { .. } => "Wait for the terminal, or stop the payment there.",
            PaymentRefusal::Unknown { .. } => {
                "Look at the terminal's own journal and close the payment, or connect the terminal and it is asked."
            }
            PaymentRefusal::TerminalHeld { .. } => "Clear that payment up first, or take cash.",
            PaymentRefusal::NoTerminal => {
                "Take cash, or the crew's own reader with `card-external=AMOUNT:REFERENCE`, or attach a terminal with \
                 `fieldkit up --device terminal=URL`."
            }
            PaymentRefusal::UnknownPayment(_) => "Look the payment up with `fieldkit payments`.",
            PaymentRefusal::State { .. } => "Look at the payment with `fieldkit payments`.",
            PaymentRefusal::Elsewhere => "Do it at the kit that began the payment.",
            PaymentRefusal::OrderNotOpen(_) => "Look at the order with `fieldkit orders`.",
            PaymentRefusal::OrderNotPaid(_) => "Cancel the order if it is not wanted any more.",
            PaymentRefusal::MoneyTaken(_) => "Pay the card back first, or let the buyer pay the rest.",
            PaymentRefusal::CardAmount { .. } => "Correct the amount.",
            PaymentRefusal::CardTender(_) => "Begin a card payment for the rest instead.",
            PaymentRefusal::CardNumber { .. } => "Give the reader's reference or the card's last four digits.",
            PaymentRefusal::CardRefund(_) => "Void the order on its day, or ask for the refund in cash.",
            PaymentRefusal::RefundAmount { .. } => "Lower the quantity; the rest went back to the card.",
            PaymentRefusal::UndoCard => "Sell again and charge the card anew.",
            PaymentRefusal::StillOpen { .. } => "Finish or cancel the orders, and clear the payments up.",
            PaymentRefusal::UnknownDevice(_) => "See the devices in `fieldkit status`.",
            PaymentRefusal::DeviceKnown(_) => "Nothing is to be done.",
            PaymentRefusal::TransactionKnown | PaymentRefusal::ForeignSettled => "Nothing is to be done.",
            PaymentRefusal::UnknownForeign(_) => "Look it up among the payments without order.",
        }
    }
}

/// The HTTP status that fits a code of these refusals, `None` where it is none of them.
pub(super) fn status(code: &str) -> Option<u16> {
    Some(match code {
        "unknown_payment" | "unknown_device" | "unknown_foreign" => 404,
        "card_amount" | "card_tender" | "card_number" | "refund_amount" => 422,
        "payment_running" | "payment_unknown" | "terminal_held" | "no_terminal" | "payment_state"
        | "payment_elsewhere" | "order_not_open" | "order_not_paid" | "money_taken" | "card_refund" | "undo_card"
        | "still_open" | "device_known" | "transaction_known" | "foreign_settled" => 409,
        _ => return None,
    })
}
