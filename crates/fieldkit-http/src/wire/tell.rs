//! Replies.

use super::{Currency, Direction, Limit, LineQuantity, Money, Prices, Seller, Source, TaxRate};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Where acknowledged ops are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Durability {
    /// `on this kit` or `on two devices`.
    pub word: &'static str,
    /// The black box: `healthy`, `behind`, `missing` or `off`.
    #[serde(rename = "box")]
    pub black_box: &'static str,
    /// Whether the black box is on the kit's own medium.
    pub box_same_medium: bool,
    /// Since when, where that is known (RFC 3339).
    pub since: Option<String>,
}

/// The clock.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Clock {
    /// `unverified`, `system` or `confirmed`.
    pub quality: &'static str,
    /// What it reads (RFC 3339, in the event's zone).
    pub now: String,
}

/// The end of a stream's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Head {
    /// The stream.
    pub stream: String,
    /// Position of its newest op; 0 where there is none.
    pub seq: u64,
    /// BLAKE3 of that op, hexadecimal.
    pub hash: String,
    /// Four characters of the hash, as slips print them.
    pub check: String,
}

/// Something the crew should know now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Notice {
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// Stable word.
    pub code: &'static str,
    /// What is.
    pub text: String,
    /// The one next step.
    pub next_step: String,
}

/// What works now. Without an open event, `currency` to `seller` speak of the newest one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    /// What people call the kit.
    pub kit: String,
    /// Short name of the key that writes.
    pub replica: String,
    /// Version of the program.
    pub version: &'static str,
    /// The event that sales go to.
    pub event: Option<String>,
    /// Its name.
    pub event_name: Option<String>,
    /// ISO 4217 code.
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// Decimal places of the currency.
    pub currency_exponent: u32,
    /// IANA time zone.
    pub zone: String,
    /// Whether prices contain tax.
    pub prices: Prices,
    /// Tax rates, the default first.
    pub tax_rates: Vec<TaxRate>,
    /// Who sells.
    pub seller: Option<Seller>,
    /// Whether the event is for practice only.
    pub training: bool,
    /// Whether only cash sales into the black box are possible.
    pub safe_mode: bool,
    /// Where acknowledged ops are.
    pub durability: Durability,
    /// Devices that this kit drives.
    pub devices: Vec<Device>,
    /// Links; none yet.
    pub links: Vec<Value>,
    /// Money that terminals took without the issuer and that may never come.
    pub exposure: Option<Money>,
    /// Power; not known yet.
    pub power: Option<Value>,
    /// The clock.
    pub clock: Clock,
    /// The head that witnesses keep.
    pub head: Head,
    /// `open` or `closed`.
    pub drawer: &'static str,
    /// Limited goods that are not sold yet after a start; null where all are sold.
    pub shut: Option<super::Shut>,
    /// What the crew should know, most urgent first as the kit sorts it.
    pub notices: Vec<Notice>,
}

/// A device that this kit drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Device {
    /// The op that accepted it.
    pub device_id: String,
    /// `terminal`.
    pub role: &'static str,
    /// What the crew calls it.
    pub label: String,
    /// What it speaks and where it is.
    #[schema(example = "zvt+tcp://192.168.1.5:20007")]
    pub url: String,
    /// `down` (no contact), `up` (it has not answered yet) or `ready`.
    pub link: &'static str,
    /// Why there is no contact, where that is known.
    pub trouble: Option<String>,
    /// The payment that runs on it.
    pub payment_id: Option<String>,
    /// What it shows now, such as `Insert card`.
    pub text: Option<String>,
}

/// An event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// What it is called.
    pub name: String,
    /// `open` or `closed`.
    pub state: &'static str,
    /// IANA time zone.
    pub zone: String,
    /// ISO 4217 code.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// RFC 3339.
    pub opened_at: String,
    /// RFC 3339.
    pub closed_at: Option<String>,
    /// Who sells.
    pub seller: Seller,
    /// Tax rates, the default first.
    pub tax_rates: Vec<TaxRate>,
    /// Whether prices contain tax.
    pub prices: Prices,
    /// Minutes after midnight at which a business day begins.
    pub day_cutover_minutes: u16,
    /// Whether it is for practice only.
    pub training: bool,
    /// The event whose catalogue it began with.
    pub cloned_from: Option<String>,
    /// Orders placed.
    pub orders: u64,
}

/// An event by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventName {
    /// Its id.
    pub event_id: String,
    /// What it is called.
    pub name: String,
}

/// An event that was closed, and where sales go now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClosedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// The event that sales go to now; null where none is open.
    pub sales_go_to: Option<EventName>,
}

/// An item and its stock.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Item {
    /// Its SKU.
    pub sku: String,
    /// Name on tiles and receipts.
    pub name: String,
    /// The product that a variant belongs to, empty where it stands alone.
    pub product: String,
    /// Option names and values of a variant.
    pub options: Vec<(String, String)>,
    /// Its price; zero where it is open and none was given.
    pub price: Money,
    /// A tax rate's id.
    pub tax_rate: String,
    /// The rate in parts per million.
    pub tax_ppm: u32,
    /// Address of its picture.
    pub image: Option<String>,
    /// Barcode.
    pub barcode: Option<String>,
    /// Whether the price is typed at the till.
    pub open_price: bool,
    /// What happens at zero.
    pub limit: Limit,
    /// Whether it is offered.
    pub offered: bool,
    /// Units that can be sold here; below zero where more were sold than counted.
    pub here: i64,
    /// Units that other kits may sell; 0 where the item is not limited.
    pub elsewhere: i64,
    /// Units sold.
    pub sold: i64,
    /// Prices that were set without knowing of each other; set one to settle it.
    pub price_conflict: Vec<Money>,
}

/// What an import did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImportResult {
    /// Variants created.
    pub created: u32,
    /// Variants changed.
    pub changed: u32,
    /// Variants left alone.
    pub unchanged: u32,
    /// Lines rejected.
    pub rejected: Vec<RejectedLine>,
    /// What the crew should know.
    pub warnings: Vec<String>,
}

/// A line of a catalogue file that was rejected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RejectedLine {
    /// Line of the file, from 1.
    pub line: u32,
    /// Why.
    pub reason: String,
}

/// A line of an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderLine {
    /// Line number from 1.
    pub line: u32,
    /// The SKU.
    pub sku: String,
    /// Its name then.
    pub name: String,
    /// Units.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
    /// Discount on this line.
    pub discount: Money,
    /// Why.
    pub discount_reason: String,
    /// This line's share of the order's discount.
    pub order_discount: Money,
    /// What the buyer pays for the line, tax included.
    pub total: Money,
    /// The tax rate's id.
    pub tax_rate: String,
    /// The rate in parts per million.
    pub tax_ppm: u32,
    /// Tax of the line.
    pub tax: Money,
    /// Units given back.
    pub refunded_quantity: u64,
}

/// Net and tax of one rate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TaxSum {
    /// The rate's id.
    pub rate: String,
    /// Parts per million.
    pub ppm: u32,
    /// Without tax.
    pub net: Money,
    /// Tax.
    pub tax: Money,
}

/// One attempt to collect.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Payment {
    /// Its id.
    pub payment_id: String,
    /// The order.
    pub order_id: String,
    /// `cash`, `card` (a terminal of the kit) or `card-external` (a reader of the crew's own).
    pub tender: &'static str,
    /// `intended`, `sent`, `unknown`, `approved`, `captured`, `at_risk`, `declined`, `cancelled`, `reversing`,
    /// `reversal_unknown`, `reversed`, `not_charged`, `mismatched`, `closed_by_person` or `attested`; cash is `captured`.
    pub state: &'static str,
    /// What was asked for; of cash, what the kit keeps of it.
    pub amount: Money,
    /// What was handed over.
    pub tendered: Money,
    /// What went back at once.
    pub change: Money,
    /// What counts for the order now; nothing where the attempt came to nothing or was undone.
    pub taken: Money,
    /// Reference as settlement files carry it: what the crew typed, else the terminal's id and trace number.
    #[schema(example = "52523535-000975")]
    pub reference: Option<String>,
    /// Id of the terminal.
    pub terminal_id: Option<String>,
    /// Receipt number of the terminal.
    pub terminal_receipt: Option<u32>,
    /// Trace number of the terminal.
    pub trace: Option<u32>,
    /// The card's scheme and masked number.
    pub card: Option<String>,
    /// What the terminal says it charged.
    pub charged: Option<Money>,
    /// The terminal that was asked.
    pub device_id: Option<String>,
    /// What the crew calls the terminal or the reader; null for cash.
    #[schema(example = "counter left")]
    pub label: Option<String>,
    /// Why it came to nothing or is not known, in the words of the terminal or the kit; of a payment that a person closed,
    /// the evidence. Null where there is nothing to say.
    #[schema(example = "Card not accepted")]
    pub said: Option<String>,
}

/// A charge on a terminal that belongs to no order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ForeignPayment {
    /// Its id: the op that found it.
    pub found_id: String,
    /// The terminal that told of it.
    pub device_id: Option<String>,
    /// Id of the terminal.
    pub terminal_id: String,
    /// What was charged.
    pub amount: Money,
    /// Receipt number of the terminal.
    pub receipt: u32,
    /// Trace number of the terminal; null where it has none.
    pub trace: Option<u32>,
    /// The card's scheme and masked number.
    pub card: String,
    /// Month and day as the terminal says.
    #[schema(example = "11-20")]
    pub date: Option<String>,
    /// Time of day as the terminal says.
    #[schema(example = "12:00:59")]
    pub time: Option<String>,
    /// Whether it was cleared up.
    pub settled: bool,
    /// How it was cleared up.
    pub note: Option<String>,
}

/// A refund or void.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Refund {
    /// Its id.
    pub refund_id: String,
    /// Receipt series of the kit that gave it back.
    pub series: String,
    /// Receipt number of this entry in that series.
    pub receipt: u64,
    /// `refund` or `void`.
    pub kind: &'static str,
    /// Money given back.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// When (RFC 3339).
    pub at: String,
    /// Whether it was undone.
    pub undone: bool,
    /// What came back.
    pub lines: Vec<LineQuantity>,
    /// Whether the units may be sold again.
    pub restock: bool,
}

/// An order and everything that happened to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Order {
    /// Its id.
    pub order_id: String,
    /// Receipt number in its series; null until it is paid.
    pub receipt: Option<u64>,
    /// Four characters that name the series.
    pub series: String,
    /// `awaiting_payment`, `cancelled`, `paid`, `part_refunded`, `refunded` or `voided`.
    pub state: &'static str,
    /// When (RFC 3339, in the event's zone).
    pub placed_at: String,
    /// Business day by the event's zone and cut-over.
    #[schema(example = "2026-11-20")]
    pub business_day: String,
    /// Its lines.
    pub lines: Vec<OrderLine>,
    /// Discount on the whole, shared out over the lines.
    pub discount: Money,
    /// Why.
    pub discount_reason: String,
    /// What the buyer owed.
    pub total: Money,
    /// What is left to pay; nothing once it is paid or given up.
    pub left: Money,
    /// Net and tax per rate.
    pub taxes: Vec<TaxSum>,
    /// Change given back.
    pub change: Money,
    /// How it was paid.
    pub payments: Vec<Payment>,
    /// Refunds and voids.
    pub refunds: Vec<Refund>,
    /// `on this kit` or `on two devices`.
    pub durability: &'static str,
    /// Position and four characters of the op, for the slip.
    #[schema(example = "52-Q4TM")]
    pub slip: String,
    /// The signed receipt: the text inside the QR; null until it is paid.
    pub receipt_token: Option<String>,
    /// Whether it is for practice only.
    pub training: bool,
    /// Where the sale came from.
    pub source: Source,
    /// When the cart was opened (RFC 3339).
    pub cart_opened_at: Option<String>,
    /// Who sold.
    pub operator: Option<String>,
    /// Who sells.
    pub seller: Seller,
    /// The event.
    pub event: String,
    /// Its name.
    pub event_name: String,
    /// What the crew should know.
    pub warnings: Vec<String>,
}

/// Cash put in or taken out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Movement {
    /// Which way.
    pub direction: Direction,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// When (RFC 3339).
    pub at: String,
}

/// A count of the drawer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Count {
    /// What was there.
    pub counted: Money,
    /// What the ledger expected.
    pub expected: Money,
    /// Counted less expected.
    pub variance: Money,
    /// A word on the difference.
    pub note: String,
    /// When (RFC 3339).
    pub at: String,
}

/// A drawer of this kit that is open where no sales go.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UncountedDrawer {
    /// The event.
    pub event: String,
    /// Its name.
    pub event_name: String,
    /// What should be in it.
    pub expected: Money,
}

/// The drawer of this kit at an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Drawer {
    /// The event; null where none is open.
    pub event: Option<String>,
    /// Its name.
    pub event_name: Option<String>,
    /// `open` or `closed`.
    pub state: &'static str,
    /// When the session began (RFC 3339).
    pub opened_at: Option<String>,
    /// Opening cash; null without an event.
    pub opening: Option<Money>,
    /// What should be in it now: opening cash and the cash of the session; null without an event.
    pub expected: Option<Money>,
    /// Cash taken less cash given back while no drawer was open, all through the event. It is not in `expected`.
    pub while_closed: Option<Money>,
    /// Cash in and out during the session.
    pub movements: Vec<Movement>,
    /// The last count.
    pub last_count: Option<Count>,
    /// Drawers of this kit at other events that wait to be counted.
    pub uncounted: Vec<UncountedDrawer>,
}

/// What a sighting means.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verdict {
    /// `agrees`, `ahead` (this kit went back), `contradicts` or `unknown_stream`.
    pub verdict: &'static str,
}

/// The head of a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StreamHead {
    /// The stream.
    pub stream: String,
    /// Position.
    pub seq: u64,
    /// BLAKE3 of the op there, hexadecimal.
    pub hash: String,
}

/// The first bad thing that a check found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FirstBad {
    /// What it is.
    pub detail: String,
}

/// A public key that signs receipts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicKey {
    /// `OKP` (RFC 8037).
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// First 8 bytes of the key, hexadecimal: the key id in receipts.
    pub kid: String,
    /// The key, base64url without padding.
    pub x: String,
    /// The same as COSE_Key (RFC 9052), hexadecimal.
    pub cose: String,
    /// What people call the kit.
    pub label: String,
    /// The replica's printed name.
    pub replica: String,
    /// Whether this kit writes with it now.
    pub current: bool,
}

/// Public keys of the organisation and its kits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Keys {
    /// Kits, this one first.
    pub keys: Vec<PublicKey>,
    /// The organisation's key, base64url without padding.
    pub organisation: Option<String>,
}

/// The result of a check.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verification {
    /// Whether nothing bad was found.
    pub ok: bool,
    /// Ops checked.
    pub ops: u64,
    /// Heads found.
    pub heads: Vec<StreamHead>,
    /// The first bad thing.
    pub first_bad: Option<FirstBad>,
    /// Digest of the business state, hexadecimal.
    pub digest: Option<String>,
}

/// Units of an item, as `updates` sends them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StockUpdate {
    /// The SKU.
    pub sku: String,
    /// Units that can be sold here.
    pub here: i64,
    /// Units that other kits may sell.
    pub elsewhere: i64,
    /// Units sold.
    pub sold: i64,
}

/// An order, as `updates` sends it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderUpdate {
    /// Its id.
    pub order_id: String,
    /// Receipt number; null until it is paid.
    pub receipt: Option<u64>,
    /// Series.
    pub series: String,
    /// What it is now.
    pub state: &'static str,
    /// What the buyer owed.
    pub total: Money,
}
