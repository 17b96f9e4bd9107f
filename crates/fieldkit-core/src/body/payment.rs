//! Bodies about payments by card, and the devices that take them.
//!
//! Promises: as `body` does — numbers and fields are frozen; a fact of a terminal is kept as the terminal said it.
//! Absent on purpose: what these facts mean together (`payment`), and any digit of a card beyond the first six and the
//! last four.

use crate::codec::{choice, record, words};
use crate::id::{OpId, Zero};
use crate::money::Currency;

words! {
    /// What a device does at a kit.
    pub enum DeviceRole {
        /// Takes cards.
        0 = Terminal "terminal",
        /// Feeds the kit while the mains is gone.
        1 = Ups "ups",
        /// Holds goods behind doors.
        2 = Locker "locker",
        /// Switches outlets.
        3 = Relay "relay",
        /// Reads codes.
        4 = Scanner "scanner",
        /// Prints slips.
        5 = Printer "printer",
    }
}

words! {
    /// The way by which a payment is collected.
    pub enum PaymentTender {
        /// By a terminal that the kit drives.
        0 = Card "card",
        /// By a reader of the crew's own beside the till.
        1 = CardExternal "card-external",
    }
}

words! {
    /// Who stopped a payment before a card was charged.
    pub enum CancelledBy {
        /// The buyer, at the terminal.
        0 = Buyer "buyer",
        /// The crew, at the till.
        1 = Crew "crew",
        /// The terminal by itself.
        2 = Terminal "terminal",
        /// The kit, before the terminal had heard of it.
        3 = Kit "kit",
    }
}

words! {
    /// What a terminal's record is about.
    pub enum RecordKind {
        /// A card charged.
        0 = Payment "payment",
        /// A charge undone before settlement.
        1 = Reversal "reversal",
        /// Money given back to a card.
        2 = Refund "refund",
        /// The terminal does not say.
        3 = Unstated "unstated",
    }
}

words! {
    /// Whether a card was charged, as a person found out.
    pub enum Charged {
        /// It was not.
        0 = No "no",
        /// It was.
        1 = Yes "yes",
    }
}

record! {
    /// A device that a person let this kit use.
    pub struct DeviceAccepted {
        /// What it does.
        pub role: DeviceRole,
        /// The driver that speaks with it.
        pub driver: String,
        /// What the device says it is: a terminal id, a serial number.
        pub identity: String,
        /// What the crew calls it.
        pub label: String,
    }
}

record! {
    /// A device that is no longer used.
    pub struct DeviceRetired {
        /// The op that accepted it.
        pub device: OpId,
    }
}

record! {
    /// One transaction as a terminal tells it.
    pub struct TerminalRecord {
        /// What it is about.
        pub kind: RecordKind,
        /// The terminal's id, empty where it does not say.
        pub terminal_id: String,
        /// The terminal's receipt number; it wraps, and may begin anew at the end of a day.
        pub receipt: u32,
        /// The terminal's trace number, 0 where it has none.
        pub trace: u32,
        /// Minor units.
        pub amount: i64,
        /// Their currency.
        pub currency: Currency,
        /// Month and day as `MMDD`.
        pub date: Option<u16>,
        /// Time of day as `HHMMSS`.
        pub time: Option<u32>,
        /// Name of the card's scheme.
        pub card_name: String,
        /// First six and last four digits at most.
        pub masked_pan: String,
        /// The issuer's authorisation.
        pub authorisation: String,
        /// The terminal's result code, 0 for fine.
        pub result: u8,
        /// Of a reversal: the trace number of the charge that it undid, where the terminal says.
        pub reversed_trace: Option<u32>,
    }
}

record! {
    /// A terminal's last transaction before something new is asked of it.
    #[derive(Default)]
    pub struct Baseline {
        /// The terminal's id, `None` where it was not asked.
        pub terminal_id: Option<String>,
        /// Receipt number of its last transaction.
        pub last_receipt: Option<u32>,
        /// Trace number of its last transaction.
        pub last_trace: Option<u32>,
        /// Date of its last transaction, `MMDD`.
        pub last_date: Option<u16>,
        /// Time of its last transaction, `HHMMSS`.
        pub last_time: Option<u32>,
    }
}

record! {
    /// A no of a terminal.
    pub struct TerminalAnswer {
        /// Its code.
        pub code: u32,
        /// Its words.
        pub text: String,
    }
}

record! {
    /// What a person found out about a payment whose outcome no terminal could tell.
    pub struct Closing {
        /// Whether the card was charged.
        pub charged: Charged,
        /// Where the person saw it.
        pub evidence: String,
    }
}

choice! {
    /// What happened to a payment.
    pub enum PaymentStep {
        /// The terminal is about to hear of it; its last transaction before.
        0 = Sent(Baseline),
        /// The terminal says that the card was charged; it waits for the kit's answer.
        1 = Approved(TerminalRecord),
        /// The terminal has the kit's answer: the money is taken.
        2 = Captured(Zero),
        /// The terminal says no.
        3 = Declined(TerminalAnswer),
        /// Stopped before a card was charged.
        4 = Cancelled(CancelledBy),
        /// Nobody knows whether the card was charged; why.
        5 = Unknown(String),
        /// The terminal was asked and did not charge; how that is known.
        6 = NotCharged(String),
        /// Charged without the issuer: the terminal will send it later.
        7 = AtRisk(TerminalRecord),
        /// The terminal charged something else than was asked.
        8 = Mismatched(TerminalRecord),
        /// The charge is to be undone; why.
        9 = ReversalIntended(String),
        /// The terminal is about to hear of the reversal; its last transaction before.
        10 = ReversalSent(Baseline),
        /// The charge was undone.
        11 = Reversed(TerminalRecord),
        /// The terminal will not undo it.
        12 = ReversalDeclined(TerminalAnswer),
        /// Nobody knows whether the charge was undone; why.
        13 = ReversalUnknown(String),
        /// A person found out.
        14 = ClosedByPerson(Closing),
    }
}

record! {
    /// A card is to be charged for an order. Durable before the terminal hears of it; its dot is the payment's id.
    pub struct PaymentIntended {
        /// The order.
        pub order: OpId,
        /// By which way.
        pub tender: PaymentTender,
        /// Minor units.
        pub amount: i64,
        /// Their currency.
        pub currency: Currency,
        /// The accepted device that is asked.
        pub device: Option<OpId>,
        /// What the crew calls it.
        pub label: String,
    }
}

record! {
    /// A step of a payment.
    pub struct PaymentMoved {
        /// The order.
        pub order: OpId,
        /// The payment.
        pub payment: OpId,
        /// What happened.
        pub step: PaymentStep,
    }
}

record! {
    /// A card charged on the crew's own reader, as the crew typed it. Its dot is the payment's id.
    pub struct PaymentAttested {
        /// The order.
        pub order: OpId,
        /// Minor units.
        pub amount: i64,
        /// Their currency.
        pub currency: Currency,
        /// The reader, in the crew's words.
        pub reader: String,
        /// The reader's reference, or the card's last four digits.
        pub reference: String,
    }
}

record! {
    /// A charge on a terminal that belongs to no order.
    pub struct ForeignPaymentFound {
        /// The accepted device that told of it.
        pub device: Option<OpId>,
        /// What it told.
        pub record: TerminalRecord,
    }
}

record! {
    /// A payment without order that a person has cleared up.
    pub struct ForeignPaymentSettled {
        /// The op that found it.
        pub found: OpId,
        /// What it was.
        pub note: String,
    }
}
