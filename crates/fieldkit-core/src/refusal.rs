//! Refusals: the rules' typed no, each with a stable code, what happened, and the one next step.
//!
//! Promises: a refusal leaves money and stock as they were; its text names the thing refused in the crew's words.
//! Absent on purpose: circumstances (disk, port, peer), which are errors of the adapters.

mod payment;

pub use payment::PaymentRefusal;

use crate::lease::{TERM_MS_MAX, TERM_MS_MIN};
use crate::money::{AMOUNT_MAX, Currency, Money};

/// What stands in every refusal about money and stock.
pub const NOTHING_MOVED: &str = "Nothing was recorded: no money and no stock moved.";

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The actor's roles do not allow it.
    #[error("{who} may not do this")]
    NotAllowed {
        /// Whose roles.
        who: String,
    },
    /// There is no event to sell at.
    #[error("no event is open")]
    NoEvent,
    /// The event is not known.
    #[error("there is no event {0}")]
    UnknownEvent(String),
    /// The event is closed.
    #[error("the event {0} is closed")]
    EventClosed(String),
    /// A text is missing or too long.
    #[error("{what} must have {min} to {max} characters and no control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
    },
    /// The zone is not in the IANA database.
    #[error("{0:?} is no IANA time zone")]
    Zone(String),
    /// The currency is not in ISO 4217.
    #[error("{0:?} is no ISO 4217 currency")]
    UnknownCurrency(String),
    /// The tax rates do not make sense.
    #[error("{0}")]
    TaxRates(String),
    /// The SKU is not in the catalogue.
    #[error("there is no SKU {0:?} in the catalogue")]
    UnknownSku(String),
    /// The SKU is taken.
    #[error("the SKU {0:?} is in the catalogue already")]
    SkuTaken(String),
    /// The item is no longer offered.
    #[error("{0:?} is not offered any more")]
    NotOffered(String),
    /// An amount is negative or beyond the limit.
    #[error("{what} must be from 0 to {max}", max = AMOUNT_MAX)]
    Amount {
        /// Which amount.
        what: &'static str,
    },
    /// A sum leaves the range of amounts.
    #[error("the amounts are too large to add up")]
    Overflow,
    /// A quantity is zero, negative or absurd.
    #[error("the quantity {quantity} of {sku:?} is not from 1 to {max}")]
    Quantity {
        /// The SKU.
        sku: String,
        /// What was asked for.
        quantity: i64,
        /// The limit.
        max: u32,
    },
    /// A stock change is zero or absurd.
    #[error("the stock of {0:?} can change by 1 to 1,000,000 units at a time, and a count is from 0 to 1,000,000")]
    StockChange(String),
    /// The order has no lines, or too many.
    #[error("an order has 1 to {max} lines, this one has {found}")]
    Lines {
        /// Lines given.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A list is too long.
    #[error("at most {max} {what} can be given at once, these are {found}")]
    TooMany {
        /// What it lists.
        what: &'static str,
        /// How many were given.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The item's price is fixed.
    #[error("the price of {0:?} is fixed; it was given one")]
    PriceFixed(String),
    /// The item's price is open, and none was given.
    #[error("the price of {0:?} is typed at the till; it was given none")]
    PriceMissing(String),
    /// The discount is negative or more than there is to pay.
    #[error("a discount takes off between nothing and everything that {0} costs")]
    Discount(String),
    /// The discount has no reason.
    #[error("the discount on {0} has no reason")]
    DiscountReason(String),
    /// The page saw another total.
    #[error("the total is {total}, not {expected}: a price changed meanwhile")]
    TotalDiffers {
        /// The total by the ledger.
        total: Money,
        /// The total by the caller.
        expected: Money,
    },
    /// A tender is in another currency than the event.
    #[error("this event sells in {event:?}, the amount is in {given}", event = event.code())]
    WrongCurrency {
        /// The event's.
        event: Currency,
        /// The one given.
        given: String,
    },
    /// The tenders do not cover the total.
    #[error("{missing} is missing: {tendered} was given for {total}")]
    TenderMissing {
        /// What is missing.
        missing: Money,
        /// What was given.
        tendered: Money,
        /// What is owed.
        total: Money,
    },
    /// A hard pool has not enough units.
    #[error("{here} of {sku:?} can be sold here, {wanted} were asked for{held}", held = held(elsewhere))]
    SoldOut {
        /// The SKU.
        sku: String,
        /// Units at hand.
        here: i64,
        /// Units asked for.
        wanted: i64,
        /// Kits that hold more, and how much.
        elsewhere: Vec<(String, i64)>,
    },
    /// The kit was started, and nobody told yet that it did not go back.
    #[error("{0:?} is limited, and after a start a witness must tell first that this kit was not put back")]
    GateShut(String),
    /// The kit goes by a person's word, which left these units out.
    #[error(
        "{resting} of {sku:?} rest here: the kit goes by a word, and nobody can tell whether these were sold before it"
    )]
    AtRest {
        /// The SKU.
        sku: String,
        /// Units that rest.
        resting: i64,
    },
    /// The command was done in a history of this kit that stands beside its record.
    #[error("this was done before, in a part of this kit's past that stands beside its record{receipt}; it is counted")]
    DoneBeside {
        /// The receipt that was given, as ` (receipt 12)`, or nothing.
        receipt: String,
    },
    /// The slip was printed after the start.
    #[error("this slip was printed since the kit was started: it says nothing about the time before")]
    SlipOfNow,
    /// A replica that only keeps limited goods does not sell them.
    #[error("{0:?} is limited, and this kit keeps it for others")]
    Keeper(String),
    /// A lost keeper's goods are taken over only when everybody answered.
    #[error("not answered yet: {0}")]
    Unanswered(String),
    /// Rights are given to replicas that were admitted, and taken over from them, and never from or to oneself.
    #[error("{0} is no other kit of this organisation")]
    UnknownKit(String),
    /// The kit is one of the organisation.
    #[error("{0} was admitted before")]
    KitKnown(String),
    /// The pool is not hard.
    #[error("{0:?} is sold by every kit without asking")]
    NotLimited(String),
    /// Limited and uncounted goods are not given for a time.
    #[error("{0:?} cannot be given for a time: only counted goods that are not limited can")]
    NotLeased(String),
    /// A term is too short or too long.
    #[error("a term is from {min} minutes to {max} hours", min = TERM_MS_MIN / 60_000, max = TERM_MS_MAX / 3_600_000)]
    Term,
    /// There is no such lease, or another replica gave it.
    #[error("there is no lease {0} that this kit gave")]
    UnknownLease(String),
    /// The lease is not over, or nobody can say so.
    #[error("{0:?} is given for a time that is not over by a clock that can be trusted")]
    LeaseRuns(String),
    /// There is nothing to take over.
    #[error("{kit} holds no {sku:?} that could be taken over")]
    NothingHeld {
        /// The kit.
        kit: String,
        /// The SKU.
        sku: String,
    },
    /// The order is not known.
    #[error("there is no order {0}")]
    UnknownOrder(String),
    /// The refund is not known.
    #[error("there is no refund {0}")]
    UnknownRefund(String),
    /// The order has no such line.
    #[error("the order has no line {0}")]
    UnknownLine(u32),
    /// More units than are left.
    #[error("{left} of line {line} can still be given back, {wanted} were asked for")]
    RefundQuantity {
        /// The line.
        line: u32,
        /// Units left.
        left: u64,
        /// Units asked for.
        wanted: u64,
    },
    /// Nothing is left to give back.
    #[error("all of this order was given back before")]
    NothingLeft,
    /// A void comes too late.
    #[error("an order can be voided on its own business day and before anything of it was given back")]
    VoidTooLate,
    /// The refund was undone before.
    #[error("this refund was undone before")]
    UndoneBefore,
    /// A payment, its order or its device does not allow it.
    #[error("{0}")]
    Payment(PaymentRefusal),
    /// A drawer session runs.
    #[error("the drawer is open already")]
    DrawerOpen,
    /// No drawer session runs.
    #[error("the drawer is not open")]
    DrawerClosed,
    /// The event cannot be closed over cash that nobody counted.
    #[error("the drawer of {0} is open and not counted")]
    DrawerUncounted(String),
    /// A difference without a word.
    #[error("{counted} was counted and {expected} expected; a difference needs a note")]
    VarianceNote {
        /// Counted.
        counted: Money,
        /// Expected.
        expected: Money,
    },
    /// The key was used for something else.
    #[error("this idempotency key was used for another request (then {then}, now {now})")]
    KeyReused {
        /// Fingerprint of the first request.
        then: String,
        /// Fingerprint of this one.
        now: String,
    },
    /// A refusal answered before; the same key gets the same answer.
    #[error("{detail}")]
    Repeated {
        /// Its code.
        code: String,
        /// What happened.
        detail: String,
        /// The next step.
        next_step: String,
    },
}

/// Who holds more, as the end of a sentence.
fn held(elsewhere: &[(String, i64)]) -> String {
    elsewhere.iter().map(|(kit, held)| format!(", {held} at {kit}")).collect()
}

impl From<PaymentRefusal> for Refusal {
    fn from(refusal: PaymentRefusal) -> Self {
        Refusal::Payment(refusal)
    }
}

impl Refusal {
    /// A stable word for scripts.
    pub fn code(&self) -> &str {
        match self {
            Refusal::NotAllowed { .. } => "not_allowed",
            Refusal::NoEvent => "no_event",
            Refusal::UnknownEvent(_) => "unknown_event",
            Refusal::EventClosed(_) => "event_closed",
            Refusal::Text { .. } => "text",
            Refusal::Zone(_) => "unknown_zone",
            Refusal::UnknownCurrency(_) => "unknown_currency",
            Refusal::TaxRates(_) => "tax_rates",
            Refusal::UnknownSku(_) => "unknown_sku",
            Refusal::SkuTaken(_) => "sku_taken",
            Refusal::NotOffered(_) => "not_offered",
            Refusal::Amount { .. } => "amount",
            Refusal::Overflow => "overflow",
            Refusal::Quantity { .. } => "quantity",
            Refusal::StockChange(_) => "stock_change",
            Refusal::Lines { .. } => "lines",
            Refusal::TooMany { .. } => "too_many",
            Refusal::PriceFixed(_) => "price_fixed",
            Refusal::PriceMissing(_) => "price_missing",
            Refusal::Discount(_) => "discount",
            Refusal::DiscountReason(_) => "discount_reason",
            Refusal::TotalDiffers { .. } => "total_differs",
            Refusal::WrongCurrency { .. } => "wrong_currency",
            Refusal::TenderMissing { .. } => "tender_missing",
            Refusal::SoldOut { .. } => "sold_out",
            Refusal::GateShut(_) => "gate_shut",
            Refusal::AtRest { .. } => "at_rest",
            Refusal::DoneBeside { .. } => "done_beside",
            Refusal::SlipOfNow => "slip_of_now",
            Refusal::Keeper(_) => "keeper",
            Refusal::Unanswered(_) => "unanswered",
            Refusal::UnknownKit(_) => "unknown_kit",
            Refusal::KitKnown(_) => "kit_known",
            Refusal::NotLimited(_) => "not_limited",
            Refusal::NotLeased(_) => "not_leased",
            Refusal::Term => "term",
            Refusal::UnknownLease(_) => "unknown_lease",
            Refusal::LeaseRuns(_) => "lease_runs",
            Refusal::NothingHeld { .. } => "nothing_held",
            Refusal::UnknownOrder(_) => "unknown_order",
            Refusal::UnknownRefund(_) => "unknown_refund",
            Refusal::UnknownLine(_) => "unknown_line",
            Refusal::RefundQuantity { .. } => "refund_quantity",
            Refusal::NothingLeft => "nothing_left",
            Refusal::VoidTooLate => "void_too_late",
            Refusal::UndoneBefore => "undone_before",
            Refusal::Payment(refusal) => refusal.code(),
            Refusal::DrawerOpen => "drawer_open",
            Refusal::DrawerClosed => "drawer_closed",
            Refusal::DrawerUncounted(_) => "drawer_uncounted",
            Refusal::VarianceNote { .. } => "variance_note",
            Refusal::KeyReused { .. } => "key_reused",
            Refusal::Repeated { code, .. } => code,
        }
    }

    /// The one next step.
    pub fn next_step(&self) -> &str {
        match self {
            Refusal::NotAllowed { .. } => "Ask the owner to do it.",
            Refusal::NoEvent => "Open an event: `fieldkit event create`, or the Event page of the till.",
            Refusal::UnknownEvent(_) => "See the events with `fieldkit event list`.",
            Refusal::EventClosed(_) => "Open a new event and clone this one's catalogue.",
            Refusal::Text { .. } => "Shorten or complete the text.",
            Refusal::Zone(_) => "Use a name such as Europe/Berlin.",
            Refusal::UnknownCurrency(_) => "Use a code such as EUR.",
            Refusal::TaxRates(_) => "Correct the tax rates.",
            Refusal::UnknownSku(_) => "Look the SKU up with `fieldkit stock`, or add it with `fieldkit catalog set`.",
            Refusal::SkuTaken(_) => "Choose another SKU, or change the item that has it.",
            Refusal::NotOffered(_) => "Offer it again on the Stock page.",
            Refusal::Amount { .. } | Refusal::Overflow => "Correct the amount.",
            Refusal::Quantity { .. } | Refusal::StockChange(_) => "Correct the quantity.",
            Refusal::Lines { .. } => "Put at least one item into the cart, or split the order.",
            Refusal::TooMany { .. } => "Give fewer, or add up those of one kind.",
            Refusal::PriceFixed(_) => "Leave the price out, or give a discount with a reason.",
            Refusal::PriceMissing(_) => "Type its price.",
            Refusal::Discount(_) => "Correct the discount.",
            Refusal::DiscountReason(_) => "Say why in a few words.",
            Refusal::TotalDiffers { .. } => "Show the buyer the new total and confirm again.",
            Refusal::WrongCurrency { .. } => "Give the amount in the event's currency.",
            Refusal::TenderMissing { .. } => "Ask the buyer for the rest.",
            Refusal::SoldOut { .. } => "Lower the quantity, or ask a kit that holds more.",
            Refusal::GateShut(_) => "Open a till page that was open before, or type the number of the last slip.",
            Refusal::AtRest { .. } => {
                "Ask another kit for some, or let the owner open these: `fieldkit rights admit --owner`."
            }
            Refusal::DoneBeside { .. } => "Do not do it again: nothing more is to be taken or given for it.",
            Refusal::SlipOfNow => "Type the number of the last slip from before.",
            Refusal::Keeper(_) => "Sell it at a kit that was given some.",
            Refusal::Unanswered(_) => "Connect the kits that are named, or let the owner declare them absent.",
            Refusal::UnknownKit(_) => "Look at the kits of the organisation: `fieldkit rights list`.",
            Refusal::KitKnown(_) => "Give it what is known here: `fieldkit sync export`.",
            Refusal::NotLimited(_) => "Limit the item first, or simply sell it.",
            Refusal::NotLeased(_) => "Leave the term out.",
            Refusal::Term => "Correct the term.",
            Refusal::UnknownLease(_) => "Look at `fieldkit rights list`.",
            Refusal::LeaseRuns(_) => "Wait until the term is over.",
            Refusal::NothingHeld { .. } => "Nothing is to be done.",
            Refusal::UnknownOrder(_) => "Look the order up with `fieldkit orders`.",
            Refusal::UnknownRefund(_) => "Look the refund up in its order.",
            Refusal::UnknownLine(_) => "Use a line number of the receipt.",
            Refusal::RefundQuantity { .. } => "Lower the quantity.",
            Refusal::NothingLeft => "Nothing is to be done.",
            Refusal::VoidTooLate => "Refund the order instead.",
            Refusal::UndoneBefore => "Nothing is to be done.",
            Refusal::Payment(refusal) => refusal.next_step(),
            Refusal::DrawerOpen => "Count the drawer first, then open it again.",
            Refusal::DrawerClosed => "Open the drawer with its opening cash.",
            Refusal::DrawerUncounted(_) => "Count the drawer first: the Drawer page, or `fieldkit cash count AMOUNT`.",
            Refusal::VarianceNote { .. } => "Count again, or add a note.",
            Refusal::KeyReused { .. } => "Use a new key for a new request.",
            Refusal::Repeated { next_step, .. } => next_step,
        }
    }

    /// The HTTP status that fits: 403, 404, 409 or 422.
    pub fn status(&self) -> u16 {
        match self.code() {
            "not_allowed" => 403,
            "unknown_event" | "unknown_order" | "unknown_refund" | "unknown_kit" | "unknown_lease" => 404,
            "no_event" | "event_closed" | "sku_taken" | "total_differs" | "sold_out" | "slip_of_now" | "gate_shut"
            | "at_rest" | "done_beside" | "keeper" | "unanswered" | "kit_known" | "not_limited" | "not_leased"
            | "lease_runs" | "nothing_held" | "nothing_left" | "void_too_late" | "undone_before" | "drawer_open"
            | "drawer_closed" | "drawer_uncounted" | "key_reused" => 409,
            // Also where it is only repeated: the same key gets the same answer.
            code => payment::status(code).unwrap_or(422),
        }
    }
}
