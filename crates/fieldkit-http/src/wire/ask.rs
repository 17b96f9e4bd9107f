//! Requests.

use super::{Direction, Limit, LineQuantity, Money, Prices, Seller, Source, TaxRate, Whole};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Nothing more to say; also an empty body will do.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// An event to open.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    /// What it is called.
    pub name: String,
    /// IANA time zone.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// Minutes after midnight at which a business day begins; 240 where it is left out.
    #[serde(default = "four_hours")]
    #[schema(value_type = u16)]
    pub day_cutover_minutes: Whole,
    /// Its only currency, an ISO 4217 code.
    pub currency: String,
    /// Who sells.
    #[serde(default)]
    pub seller: Seller,
    /// Tax rates, the default first; none means one rate of zero.
    #[serde(default)]
    pub tax_rates: Vec<TaxRate>,
    /// Whether prices contain tax; they do where it is left out.
    #[serde(default = "inclusive")]
    pub prices: Prices,
    /// Whether it is for practice only.
    #[serde(default)]
    pub training: bool,
    /// The event whose catalogue it begins with.
    #[serde(default)]
    pub clone_from: Option<String>,
}

fn four_hours() -> Whole {
    Whole(240)
}

fn inclusive() -> Prices {
    Prices::Inclusive
}

/// An item to add.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// Its SKU, 1 to 64 characters, unique within the event.
    pub sku: String,
    /// Name on tiles and receipts, 1 to 200 characters.
    pub name: String,
    /// Its price; may be left out where the price is open.
    #[serde(default)]
    pub price: Option<Money>,
    /// A tax rate's id; the event's first where it is left out.
    #[serde(default)]
    pub tax_rate: Option<String>,
    /// Whether the price is typed at the till.
    #[serde(default)]
    pub open_price: bool,
    /// Units at hand; not counted where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub count: Option<Whole>,
    /// Barcode.
    #[serde(default)]
    pub barcode: Option<String>,
    /// What happens at zero; soft where it is counted, else uncounted.
    #[serde(default)]
    pub limit: Option<Limit>,
}

/// Fields of an item to change; what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemChange {
    /// Name on tiles and receipts.
    #[serde(default)]
    pub name: Option<String>,
    /// Its price. Also settles a contradiction between two prices.
    #[serde(default)]
    pub price: Option<Money>,
    /// A tax rate's id.
    #[serde(default)]
    pub tax_rate: Option<String>,
    /// Whether the price is typed at the till.
    #[serde(default)]
    pub open_price: Option<bool>,
    /// Barcode, empty for none.
    #[serde(default)]
    pub barcode: Option<String>,
    /// What happens at zero.
    #[serde(default)]
    pub limit: Option<Limit>,
    /// Whether it is offered.
    #[serde(default)]
    pub offered: Option<bool>,
}

/// A change of stock: either `change` or `count`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockChange {
    /// By so many units.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub change: Option<Whole>,
    /// To so many units.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub count: Option<Whole>,
    /// Why.
    pub reason: StockReason,
}

/// Why stock changed without a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockReason {
    /// Delivered to the stall.
    Delivered,
    /// Counted on the shelf.
    Counted,
    /// Found again.
    Found,
    /// Damaged.
    Damaged,
    /// Lost or stolen.
    Lost,
}

/// A discount: either `minor` or `ppm`.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// Minor units off.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub minor: Option<Whole>,
    /// Parts per million off: 10 % is 100000.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub ppm: Option<Whole>,
}

/// A line to sell.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// The SKU.
    pub sku: String,
    /// Units.
    #[schema(value_type = u32)]
    pub quantity: Whole,
    /// Price of one, for open-price items only.
    #[serde(default)]
    pub price: Option<Money>,
    /// Discount on the line.
    #[serde(default)]
    pub discount: Option<Discount>,
    /// Why; required with a discount.
    #[serde(default)]
    pub discount_reason: Option<String>,
}

/// Means of paying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TenderKind {
    /// Notes and coins.
    Cash,
    /// A card at a terminal of the kit.
    Card,
    /// A card on a reader of the crew's own.
    CardExternal,
}

/// What the buyer hands over.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTender {
    /// Means of paying.
    pub kind: TenderKind,
    /// Cash: what was handed over; the change is amount less total. A card: what to charge; left out, what is left to pay.
    #[serde(default)]
    pub amount: Option<Money>,
    /// The crew's own reader: its reference, or the card's last four digits. Never a card number.
    #[serde(default)]
    pub reference: Option<String>,
    /// The crew's own reader: which, in the crew's words.
    #[serde(default)]
    pub reader: Option<String>,
    /// A card: the id of the terminal to charge it at; left out, the one there is.
    #[serde(default)]
    pub device: Option<String>,
}

/// Another attempt to charge a card for an order that waits.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// What to charge; left out, the part that comes next.
    #[serde(default)]
    pub amount: Option<Money>,
    /// The id of the terminal; left out, the one there is.
    #[serde(default)]
    pub device: Option<String>,
}

/// What the buyer gives for the rest of an order that waits.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSettlement {
    /// Cash, or cards on a reader of the crew's own.
    pub tenders: Vec<NewTender>,
}

/// An order that waits, to give up.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCancellation {
    /// Why, 1 to 80 characters.
    pub reason: String,
}

/// A charge to undo.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReversal {
    /// Why, 1 to 80 characters.
    pub reason: String,
}

/// What a person found out about a payment whose outcome no terminal could tell.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClosing {
    /// Whether the card was charged.
    pub charged: bool,
    /// Where that was seen, 1 to 200 characters.
    pub evidence: String,
}

/// How a payment without order was cleared up.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// What it was, 1 to 200 characters.
    pub note: String,
}

/// A sale.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// 1 to 500 lines.
    pub lines: Vec<NewLine>,
    /// Discount on the whole order.
    #[serde(default)]
    pub discount: Option<Discount>,
    /// Why; required with a discount.
    #[serde(default)]
    pub discount_reason: Option<String>,
    /// How it is paid; may be empty where the total is zero.
    pub tenders: Vec<NewTender>,
    /// The total that the buyer was shown; another one is refused.
    #[serde(default)]
    pub expected_total: Option<Money>,
    /// Where the sale came from.
    #[serde(default)]
    pub source: Option<Source>,
    /// When the cart was opened, RFC 3339.
    #[serde(default)]
    pub cart_opened_at: Option<String>,
}

/// Goods and money to give back.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// Lines and quantities; null or left out for all that is left.
    #[serde(default)]
    pub lines: Option<Vec<LineQuantity>>,
    /// Why, 1 to 80 characters.
    pub reason: String,
    /// How the money goes back: cash. An order paid by card is refunded in cash only where that is said here.
    #[serde(default)]
    pub tender: Option<TenderKind>,
    /// Whether the units may be sold again; they may where it is left out.
    #[serde(default = "yes")]
    pub restock: bool,
}

fn yes() -> bool {
    true
}

/// A whole order to undo on its business day.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVoid {
    /// Why, 1 to 80 characters.
    pub reason: String,
}

/// A drawer session to begin.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawerOpening {
    /// Opening cash.
    pub amount: Money,
}

/// A drawer counted; this ends its session.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawerCount {
    /// What was found.
    pub counted: Money,
    /// A word on a difference; required where there is one.
    #[serde(default)]
    pub note: Option<String>,
    /// Whose drawer, open or closed; the open event's where it is left out.
    #[serde(default)]
    pub event: Option<String>,
}

/// Which drawer.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DrawerQuery {
    /// At this event, open or closed; at the open one where it is left out.
    #[serde(default)]
    pub event: Option<String>,
}

/// Cash put in or taken out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CashMove {
    /// Which way.
    pub direction: Direction,
    /// How much, more than zero.
    pub amount: Money,
    /// Why, 1 to 80 characters.
    pub reason: String,
}

/// What a witness saw: a head (`stream`, `seq`, `hash`), or the mark of a slip; or, of a page with neither, that it is
/// there and remembers nothing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// The stream.
    #[serde(default)]
    pub stream: Option<String>,
    /// Position in it.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub seq: Option<Whole>,
    /// BLAKE3 of the op there, hexadecimal.
    #[serde(default)]
    pub hash: Option<String>,
    /// Four characters of the hash; ignored where the hash is given.
    #[serde(default)]
    pub check: Option<String>,
    /// The mark of a slip.
    #[serde(default)]
    #[schema(example = "52-Q4TM")]
    pub slip: Option<String>,
    /// The page that says so, 32 hexadecimal digits that it drew by lot once; it keeps what it says.
    #[serde(default)]
    pub page: Option<String>,
}

/// Who follows.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowQuery {
    /// The page, as in `Sighting`.
    pub page: Option<String>,
}

/// Which orders.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrdersQuery {
    /// At most so many, 1 to 200; 50 where it is left out.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only orders older than this one.
    #[serde(default)]
    pub before: Option<String>,
}

/// Which payments.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentsQuery {
    /// At most so many, 1 to 200; 50 where it is left out.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only payments before this one.
    #[serde(default)]
    pub before: Option<String>,
}

/// Which payments without order.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ForeignQuery {
    /// Of this event, open or closed; of the open one where it is left out.
    #[serde(default)]
    pub event: Option<String>,
}

/// Which file.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Name of the file, for the record.
    #[serde(default)]
    pub name: Option<String>,
    /// Directory of pictures that are named without a host. Heeded over the kit's own socket only.
    #[serde(default)]
    pub pictures: Option<String>,
}
