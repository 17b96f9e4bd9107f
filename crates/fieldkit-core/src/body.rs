//! The kinds of ops and what their bodies hold.
//!
//! Promises: a kind's number and its fields never change their meaning; new facts get new kinds. A kind that this build
//! does not know is kept, relayed, chained and counted by its postings, never dropped.
//! Absent on purpose: names and contacts of persons (a salted commitment stands here, the text is sealed apart).

mod payment;
mod rights;
mod watch;

pub use payment::{
    Baseline, CancelledBy, Charged, Closing, DeviceAccepted, DeviceRetired, DeviceRole, ForeignPaymentFound,
    ForeignPaymentSettled, PaymentAttested, PaymentIntended, PaymentMoved, PaymentStep, PaymentTender, RecordKind,
    TerminalAnswer, TerminalRecord,
};
pub use rights::{
    HolderDeclaredLost, LeaseLapsed, RightsGranted, RightsLeased, RightsReturned, RightsUsed, RightsWrittenOff,
};
pub use watch::{Admission, HolderAnswered, HoldingAdmitted, KeeperVowed, RightsAsked, WatchSet};

use crate::codec::{Canonical, DecodeError, choice, record, words};
use crate::id::{Hash, OpId, PoolId, ReplicaKey, Space, Zero};
use crate::money::Currency;
use ed25519_dalek::{Signature, VerifyingKey};

words! {
    /// Whether prices contain their tax.
    pub enum Prices {
        /// Prices contain tax.
        0 = Inclusive "inclusive",
        /// Tax comes on top.
        1 = Exclusive "exclusive",
    }
}

words! {
    /// What a person may do.
    pub enum Role {
        /// Everything.
        0 = Owner "owner",
        /// Sell, refund, handle the drawer, count stock.
        1 = Seller "seller",
        /// Look, and nothing else.
        2 = Auditor "auditor",
    }
}

words! {
    /// How a pool answers when it is empty.
    pub enum Limit {
        /// Sells on and records an anomaly.
        0 = Soft "soft",
        /// Refuses.
        1 = Hard "hard",
        /// Not counted at all.
        2 = Uncounted "uncounted",
    }
}

words! {
    /// Why stock changed without a sale.
    pub enum StockReason {
        /// Delivered to the stall.
        0 = Delivered "delivered",
        /// Counted on the shelf.
        1 = Counted "counted",
        /// Found again.
        2 = Found "found",
        /// Damaged.
        3 = Damaged "damaged",
        /// Lost or stolen.
        4 = Lost "lost",
        /// Read from an imported catalogue.
        5 = Imported "imported",
    }
}

words! {
    /// What a refund is.
    pub enum RefundKind {
        /// Goods or money given back after the sale.
        0 = Refund "refund",
        /// The whole order undone on the day, as an entry of its own.
        1 = Void "void",
    }
}

words! {
    /// The direction of a cash movement.
    pub enum Direction {
        /// Into the drawer.
        0 = In "in",
        /// Out of the drawer.
        1 = Out "out",
    }
}

record! {
    /// The first op of every stream: binds it to its replica and space.
    pub struct StreamOpened {
        /// The only key that may write here.
        pub replica: ReplicaKey,
        /// The space.
        pub space: Space,
        /// The replica that this one follows after a roll-back or a move, if any.
        pub follows: Option<ReplicaKey>,
    }
}

record! {
    /// An organisation and its key, whose secret stands as words on paper.
    pub struct OrganisationFounded {
        /// What it is called.
        pub name: String,
        /// Its public key.
        pub key: [u8; 32],
    }
}

record! {
    /// A replica admitted by the organisation's key or by a replica that was admitted before.
    pub struct ReplicaAdmitted {
        /// The replica.
        pub replica: ReplicaKey,
        /// What people call the kit.
        pub label: String,
        /// Who admits: the organisation's key or a replica's.
        pub admitted_by: [u8; 32],
        /// Ed25519 of the admitting key over `fieldkit admit v1`, replica, label.
        pub proof: [u8; 64],
    }
}

impl ReplicaAdmitted {
    /// The bytes that `proof` covers.
    pub fn signed_bytes(replica: &ReplicaKey, label: &str) -> Vec<u8> {
        let mut bytes = b"fieldkit admit v1".to_vec();
        replica.write(&mut bytes);
        label.to_owned().write(&mut bytes);
        bytes
    }

    /// Whether whoever it says admitted did sign it. Whether that one might is another question.
    pub fn is_signed(&self) -> bool {
        let signed = Self::signed_bytes(&self.replica, &self.label);
        let proof = Signature::from_bytes(&self.proof);
        VerifyingKey::from_bytes(&self.admitted_by).is_ok_and(|key| key.verify_strict(&signed, &proof).is_ok())
    }
}

record! {
    /// A person; who they are is sealed elsewhere.
    pub struct PersonAdded {
        /// BLAKE3 over a secret salt and the sealed record's plain text.
        pub commitment: Hash,
    }
}

record! {
    /// A role given to a person.
    pub struct RoleGranted {
        /// To whom.
        pub person: OpId,
        /// Which.
        pub role: Role,
    }
}

record! {
    /// Who sells, as receipts must say.
    pub struct Seller {
        /// Legal name.
        pub name: String,
        /// Postal address.
        pub address: String,
        /// Tax number, empty where there is none.
        pub tax_id: String,
    }
}

record! {
    /// A tax rate of an event.
    pub struct TaxRate {
        /// Short name used by items.
        pub id: String,
        /// Text on receipts.
        pub name: String,
        /// Parts per million: 19 % is 190,000.
        pub ppm: u32,
    }
}

record! {
    /// An event and all that receipts need to know of it.
    pub struct EventOpened {
        /// What it is called.
        pub name: String,
        /// IANA time zone.
        pub zone: String,
        /// Minutes after midnight at which a business day begins.
        pub day_cutover_minutes: u16,
        /// Its only currency.
        pub currency: Currency,
        /// Who sells.
        pub seller: Seller,
        /// Its tax rates, the default first.
        pub tax_rates: Vec<TaxRate>,
        /// Whether prices contain tax.
        pub prices: Prices,
        /// Whether it is for practice only.
        pub training: bool,
        /// The rules by which its ops are folded.
        pub fold_version: u32,
        /// The event whose catalogue it began with.
        pub cloned_from: Option<OpId>,
    }
}

record! {
    /// The end of an event.
    pub struct EventClosed {
        /// Which.
        pub event: OpId,
    }
}

record! {
    /// New rules of folding, for an open event.
    pub struct FoldRaised {
        /// The event.
        pub event: OpId,
        /// From here on.
        pub fold_version: u32,
    }
}

choice! {
    /// One field of an item, set.
    pub enum Edit {
        /// Name on tiles and receipts.
        0 = Name(String),
        /// Price in minor units of the event's currency.
        1 = Price(i64),
        /// A tax rate's id.
        2 = TaxRate(String),
        /// Whether the price is typed at the till.
        3 = OpenPrice(bool),
        /// Barcode, empty for none.
        4 = Barcode(String),
        /// BLAKE3 of the picture's bytes.
        5 = Image(Option<Hash>),
        /// The product that a variant belongs to.
        6 = Product(String),
        /// Option names and values of a variant.
        7 = Options(Vec<(String, String)>),
        /// What happens at zero.
        8 = Limit(Limit),
        /// Whose goods they are, empty for the seller's own.
        9 = Owner(String),
        /// Whether it is still offered.
        10 = Offered(bool),
    }
}

record! {
    /// An item defined or changed; items are known by their SKU within the event.
    pub struct ItemDefined {
        /// The SKU.
        pub sku: String,
        /// The fields set.
        pub edits: Vec<Edit>,
        /// Mark of the imported row that this came from.
        pub import_mark: Option<[u8; 16]>,
    }
}

record! {
    /// Stock changed without a sale; the postings carry the units.
    pub struct StockMoved {
        /// The SKU.
        pub sku: String,
        /// By how much.
        pub change: i64,
        /// Why.
        pub reason: StockReason,
    }
}

record! {
    /// What an import did, as it was answered.
    pub struct CatalogueImported {
        /// Name of the file.
        pub file: String,
        /// Variants created.
        pub created: u32,
        /// Variants changed.
        pub changed: u32,
        /// Variants left alone.
        pub unchanged: u32,
        /// Lines rejected with their reasons.
        pub rejected: Vec<(u32, String)>,
        /// What the crew should know.
        pub warnings: Vec<String>,
    }
}

record! {
    /// Named units of a pool: the right to sell them, as an interval of one generation.
    #[derive(Copy)]
    pub struct UnitRange {
        /// The pool.
        pub pool: PoolId,
        /// First unit.
        pub first: u64,
        /// How many.
        pub count: u64,
        /// How often these units came back before.
        pub generation: u32,
    }
}

record! {
    /// One line of an order: everything is copied, so later changes touch nothing.
    pub struct Line {
        /// The SKU.
        pub sku: String,
        /// Its name then.
        pub name: String,
        /// How many.
        pub quantity: u32,
        /// Price of one, in minor units.
        pub unit_price: i64,
        /// Discount on this line.
        pub discount: i64,
        /// Why.
        pub discount_reason: String,
        /// This line's share of the order's discount.
        pub order_discount: i64,
        /// The tax rate's id.
        pub tax_rate: String,
        /// The rate in parts per million.
        pub tax_ppm: u32,
        /// Tax of the line, inside or on top of it.
        pub tax: i64,
        /// Whose goods, empty for the seller's own.
        pub owner: String,
        /// The named units sold, for limited goods.
        pub units: Vec<UnitRange>,
    }
}

record! {
    /// Cash handed over; the change given back stands with the order.
    #[derive(Copy)]
    pub struct CashTender {
        /// Minor units handed over.
        pub tendered: i64,
    }
}

record! {
    /// What a payment of its own contributes to an order.
    #[derive(Copy)]
    pub struct CardTender {
        /// The payment.
        pub payment: OpId,
        /// Minor units.
        pub amount: i64,
    }
}

choice! {
    /// A means of paying.
    pub enum Tender {
        /// Notes and coins.
        0 = Cash(CashTender),
        /// A card, charged by a terminal that the kit drives.
        1 = Card(CardTender),
        /// A card, charged on a reader of the crew's own.
        2 = CardExternal(CardTender),
    }
}

choice! {
    /// How an order is to be paid.
    pub enum Plan {
        /// Notes and coins, as offered.
        0 = Cash(CashTender),
        /// By card at a terminal: minor units.
        1 = Card(i64),
        /// By card on the crew's own reader: minor units.
        2 = CardExternal(i64),
    }
}

record! {
    /// Where a sale came from. Empty texts mean unknown.
    pub struct Source {
        /// The place of sale.
        pub till: String,
        /// Campaign.
        pub campaign: String,
        /// Session of a series.
        pub session: String,
        /// Variant of an experiment.
        pub variant: String,
    }
}

choice! {
    /// What the fiscal device said before the receipt was made.
    pub enum Fiscal {
        /// No device is required here.
        0 = NotRequired(Zero),
        /// The device will sign later.
        1 = Pending(Zero),
        /// The device failed; the receipt says so.
        2 = Failed(String),
        /// The device's signature.
        3 = Signed(Vec<u8>),
    }
}

record! {
    /// A sale, whole: lines, tenders, receipt number.
    pub struct OrderPlaced {
        /// Receipt number in the stream's series, dense from 1.
        pub receipt: u64,
        /// The currency.
        pub currency: Currency,
        /// Whether prices contain tax.
        pub prices: Prices,
        /// The lines.
        pub lines: Vec<Line>,
        /// Discount on the whole order, already shared out over the lines.
        pub discount: i64,
        /// Why.
        pub discount_reason: String,
        /// What the buyer owes.
        pub total: i64,
        /// How it was paid.
        pub tenders: Vec<Tender>,
        /// Change given back.
        pub change: i64,
        /// Where it came from.
        pub source: Source,
        /// When the cart was opened, milliseconds since 1970 UTC.
        pub cart_opened_ms: Option<u64>,
        /// When it was paid.
        pub paid_ms: u64,
        /// Business day, in days since 1970-01-01, by the event's zone and cut-over.
        pub business_day: i64,
        /// The fiscal step's result.
        pub fiscal: Fiscal,
    }
}

record! {
    /// An order whose goods are set aside until it is paid. Its dot is the order's id; the units go from stock to held.
    pub struct OrderOpened {
        /// The currency.
        pub currency: Currency,
        /// Whether prices contain tax.
        pub prices: Prices,
        /// The lines.
        pub lines: Vec<Line>,
        /// Discount on the whole order, already shared out over the lines.
        pub discount: i64,
        /// Why.
        pub discount_reason: String,
        /// What the buyer owes.
        pub total: i64,
        /// How it is to be paid.
        pub planned: Vec<Plan>,
        /// Where it came from.
        pub source: Source,
        /// When the cart was opened, milliseconds since 1970 UTC.
        pub cart_opened_ms: Option<u64>,
        /// Business day, in days since 1970-01-01, by the event's zone and cut-over.
        pub business_day: i64,
    }
}

record! {
    /// An open order paid: the units go from held to sold, the receipt gets its number.
    pub struct OrderPaid {
        /// The order.
        pub order: OpId,
        /// Receipt number in the stream's series, dense from 1.
        pub receipt: u64,
        /// How it was paid.
        pub tenders: Vec<Tender>,
        /// Change given back, in cash.
        pub change: i64,
        /// When it was paid.
        pub paid_ms: u64,
        /// Business day, in days since 1970-01-01, by the event's zone and cut-over.
        pub business_day: i64,
        /// The fiscal step's result.
        pub fiscal: Fiscal,
    }
}

record! {
    /// An open order given up: the units go back to stock.
    pub struct OrderCancelled {
        /// The order.
        pub order: OpId,
        /// Why.
        pub reason: String,
    }
}

record! {
    /// Units of one line given back.
    #[derive(Copy)]
    pub struct RefundLine {
        /// Line number from 1.
        pub line: u32,
        /// How many.
        pub quantity: u32,
        /// Money given back for them.
        pub amount: i64,
        /// The tax in it.
        pub tax: i64,
    }
}

record! {
    /// Money given back.
    pub struct OrderRefunded {
        /// The order.
        pub order: OpId,
        /// Refund or void.
        pub kind: RefundKind,
        /// Receipt number of this entry.
        pub receipt: u64,
        /// What came back.
        pub lines: Vec<RefundLine>,
        /// Sum given back: a refund in cash, a void by the means that the order was paid with.
        pub amount: i64,
        /// Why.
        pub reason: String,
        /// Whether the units may be sold again.
        pub restock: bool,
        /// Business day.
        pub business_day: i64,
    }
}

record! {
    /// A refund or void undone: money and units are where they were before it.
    pub struct RefundUndone {
        /// The order.
        pub order: OpId,
        /// The refund.
        pub refund: OpId,
        /// Receipt number of this entry.
        pub receipt: u64,
        /// Business day.
        pub business_day: i64,
    }
}

record! {
    /// The drawer opened with cash in it.
    pub struct DrawerOpened {
        /// Minor units.
        pub amount: i64,
    }
}

record! {
    /// Cash put in or taken out.
    pub struct CashMoved {
        /// Which way.
        pub direction: Direction,
        /// Minor units, positive.
        pub amount: i64,
        /// Why.
        pub reason: String,
    }
}

record! {
    /// The drawer counted; this ends its session.
    pub struct DrawerCounted {
        /// What was there.
        pub counted: i64,
        /// What the ledger expected.
        pub expected: i64,
        /// A word on a difference.
        pub note: String,
    }
}

record! {
    /// A command refused, as it was answered: the same key gets the same answer.
    pub struct CommandRefused {
        /// Stable code.
        pub code: String,
        /// What happened.
        pub detail: String,
        /// The next step.
        pub next_step: String,
    }
}

record! {
    /// A roll-back noticed: what a witness had seen, and what was found.
    pub struct RollbackNoticed {
        /// Who noticed: `page`, `slip`, `journal`.
        pub witness: String,
        /// The stream that went back.
        pub stream: crate::id::StreamId,
        /// The position that the witness had seen.
        pub seen: u64,
        /// The position found.
        pub found: u64,
    }
}

/// A body that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A kind of a later version.
    Unknown(u16),
    /// A known kind with bytes that are not its body.
    Malformed(DecodeError),
}

macro_rules! bodies {
    ($($(#[$meta:meta])* $kind:literal = $name:ident,)*) => {
        /// The body of an op of a kind that this build knows.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Body { $($(#[$meta])* $name($name),)* }
        impl Body {
            /// The kind's number.
            pub fn kind(&self) -> u16 {
                match self { $(Body::$name(_) => $kind,)* }
            }
            /// The kind's name.
            pub fn name(kind: u16) -> &'static str {
                match kind { $($kind => stringify!($name),)* _ => "of a later version" }
            }
            /// The body's bytes.
            pub fn bytes(&self) -> Vec<u8> {
                match self { $(Body::$name(body) => body.to_bytes(),)* }
            }
            /// Reads the body of an op of `kind`.
            pub fn open(kind: u16, bytes: &[u8]) -> Result<Body, BodyError> {
                match kind {
                    $($kind => $name::from_bytes(bytes).map(Body::$name).map_err(BodyError::Malformed),)*
                    other => Err(BodyError::Unknown(other)),
                }
            }
            /// All kinds that this build knows.
            pub const KINDS: &'static [(u16, &'static str)] = &[$(($kind, stringify!($name)),)*];
        }
    };
}
bodies! {
    /// A stream begins.
    1 = StreamOpened,
    /// The organisation begins.
    2 = OrganisationFounded,
    /// A replica joins.
    3 = ReplicaAdmitted,
    /// A person joins.
    4 = PersonAdded,
    /// A role is given.
    5 = RoleGranted,
    /// An event begins.
    6 = EventOpened,
    /// An event ends.
    7 = EventClosed,
    /// Folding rules change.
    8 = FoldRaised,
    /// A roll-back was noticed.
    9 = RollbackNoticed,
    /// A command was refused.
    10 = CommandRefused,
    /// A device is let in.
    11 = DeviceAccepted,
    /// A device is no longer used.
    12 = DeviceRetired,
    /// An item is defined or changed.
    16 = ItemDefined,
    /// Stock changes without a sale.
    17 = StockMoved,
    /// A catalogue was imported.
    18 = CatalogueImported,
    /// A sale.
    32 = OrderPlaced,
    /// Money given back.
    33 = OrderRefunded,
    /// A refund undone.
    34 = RefundUndone,
    /// An order waits for its payment.
    35 = OrderOpened,
    /// An open order is paid.
    36 = OrderPaid,
    /// An open order is given up.
    37 = OrderCancelled,
    /// The drawer opens.
    48 = DrawerOpened,
    /// Cash in or out.
    49 = CashMoved,
    /// The drawer is counted.
    50 = DrawerCounted,
    /// A card is to be charged.
    64 = PaymentIntended,
    /// A payment takes a step.
    65 = PaymentMoved,
    /// A card was charged on the crew's own reader.
    66 = PaymentAttested,
    /// A charge without an order was found.
    67 = ForeignPaymentFound,
    /// A charge without an order is cleared up.
    68 = ForeignPaymentSettled,
    /// Rights go to another replica.
    80 = RightsGranted,
    /// Rights come back from an order.
    81 = RightsReturned,
    /// An order takes rights once more.
    82 = RightsUsed,
    /// Rights end.
    83 = RightsWrittenOff,
    /// Rights are taken over from a holder that is lost.
    84 = HolderDeclaredLost,
    /// Witnesses watch from here on.
    85 = WatchSet,
    /// Limited goods are opened without their witnesses.
    86 = HoldingAdmitted,
    /// A replica keeps limited goods and sells none.
    87 = KeeperVowed,
    /// A replica asks for rights.
    88 = RightsAsked,
    /// A replica says what it has of a lost keeper.
    89 = HolderAnswered,
    /// Rights go to another replica for a time.
    90 = RightsLeased,
    /// A lease is over.
    91 = LeaseLapsed,
}
