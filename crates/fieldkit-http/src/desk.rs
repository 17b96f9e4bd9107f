//! The desk: where pages and programs hand their wishes to the one loop that writes.
//!
//! Promises: the queue is bounded and a full one is said at once (`Busy`); every ask is answered or its answer channel
//! closes. Looks see only what is durable.
//! Absent on purpose: rules and storage; this crate knows neither.

use fieldkit_core::body::CatalogueImported;
use fieldkit_core::decide::{Command, Gate, LeaseTimes};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{CommandKey, Head};
use fieldkit_core::order::Order;
use fieldkit_core::refusal::Refusal;
use fieldkit_core::witness::{Sighting, Verdict};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use tokio::sync::{broadcast, oneshot};

/// Most asks that wait at once.
pub const DESK_QUEUE_MAX: usize = 1024;

/// Names a page that remembers; drawn by lot by the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId(pub [u8; 16]);

impl PageId {
    /// From 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(PageId)
    }

    /// As 32 hexadecimal digits.
    pub fn text(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

/// What the loop can be asked.
pub enum Ask {
    /// Do this, once.
    Give {
        /// The command.
        command: Command,
        /// At which event; `None` means the open one.
        event: Option<OpId>,
        /// Its key and fingerprint.
        key: CommandKey,
        /// The answer, after it is durable.
        reply: oneshot::Sender<Given>,
    },
    /// Look at the durable state. Must be quick: the till waits meanwhile.
    Look(Box<dyn FnOnce(&Shelf<'_>) + Send>),
    /// One order by id or by receipt.
    Order {
        /// Which.
        selector: OrderSelector,
        /// The answer.
        reply: oneshot::Sender<Option<Order>>,
    },
    /// Orders, newest first.
    Orders {
        /// At most so many.
        limit: u32,
        /// Older than this one.
        before: Option<OpId>,
        /// The answer.
        reply: oneshot::Sender<Vec<Order>>,
    },
    /// Payments, those of the newest orders first.
    Payments {
        /// At most so many.
        limit: u32,
        /// Before this one.
        before: Option<String>,
        /// Ids of payments with their orders; `None` where there is no such payment.
        reply: oneshot::Sender<Option<Vec<(String, Order)>>>,
    },
    /// The order that a refund belongs to.
    OrderOfRefund {
        /// The refund.
        refund: OpId,
        /// The answer.
        reply: oneshot::Sender<Option<OpId>>,
    },
    /// What a witness saw.
    Witness {
        /// The sighting; none from a page that remembers nothing.
        sighting: Option<Sighting>,
        /// The page that says so, and goes on watching.
        page: Option<PageId>,
        /// What it means.
        reply: oneshot::Sender<Verdict>,
    },
    /// A page that watches does not follow any more. Nothing is answered.
    PageLeft {
        /// Which.
        page: PageId,
    },
    /// Let sales go to another open event.
    Choose {
        /// Which.
        event: OpId,
        /// Whether it is open.
        reply: oneshot::Sender<bool>,
    },
    /// Check everything.
    Verify {
        /// The answer.
        reply: oneshot::Sender<Verified>,
    },
    /// A wish about a device, that no op records.
    Device {
        /// Which.
        device: OpId,
        /// What.
        wish: DeviceWish,
        /// Whether there is such a device here.
        reply: oneshot::Sender<bool>,
    },
    /// Make a bundle: of everything, or of what a kit lacks.
    Export {
        /// The kit that will take it, where it is known.
        receiver: Option<ReplicaKey>,
        /// Its bytes.
        reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
    },
    /// Take a bundle.
    Import {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What it brought.
        reply: oneshot::Sender<Result<Imported, Failure>>,
    },
    /// A device has something to say. Nothing is answered.
    Wake,
}

/// What a bundle brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Who made it.
    pub from: String,
    /// Ops in it.
    pub ops: u64,
    /// Those that were new.
    pub new: u64,
    /// Streams that it speaks of.
    pub streams: u64,
    /// Whether it told that this kit was put back: it is a new replica from now on.
    pub rolled_back: bool,
    /// Whether two histories of one kit came together; the kit starts anew to count both.
    pub forked: bool,
}

/// What the crew can want of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceWish {
    /// Stop what runs on it, if that is still possible.
    Stop,
    /// Ask it once more for its last transaction.
    AskAgain,
}

/// How the contact with a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No contact.
    Down,
    /// There is contact; the device has not answered yet.
    Up,
    /// It answers, and can be used.
    Ready,
}

impl LinkState {
    /// In a word.
    pub fn text(self) -> &'static str {
        match self {
            LinkState::Down => "down",
            LinkState::Up => "up",
            LinkState::Ready => "ready",
        }
    }
}

/// An accepted device, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceShown {
    /// The op that accepted it.
    pub device: OpId,
    /// `terminal`.
    pub role: &'static str,
    /// What the crew calls it.
    pub label: String,
    /// What it speaks and where it is, as `kit.toml` says.
    pub url: String,
    /// How the contact is.
    pub link: LinkState,
    /// Why there is no contact, where that is known.
    pub trouble: Option<String>,
    /// The payment that runs on it.
    pub payment: Option<OpId>,
    /// What it shows now.
    pub text: Option<String>,
}

/// How an order is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderSelector {
    /// By id.
    Id(OpId),
    /// By receipt number, with its series where it is given.
    Receipt {
        /// Four characters; `None` means this kit's own at the open event.
        series: Option<String>,
        /// The number.
        number: u64,
    },
}

/// What a command gave.
#[derive(Clone, Debug)]
pub struct Given {
    /// What was achieved, or why not.
    pub result: Result<Gain, Failure>,
    /// Whether the key was answered before.
    pub repeated: bool,
    /// Where the ops are now.
    pub durability: Durability,
}

/// What a command achieved.
#[derive(Clone, Debug)]
pub enum Gain {
    /// An order.
    Order(Arc<Order>),
    /// An item by SKU.
    Item(String),
    /// A catalogue.
    Imported(CatalogueImported),
    /// The drawer.
    Drawer,
    /// An event.
    Event(OpId),
    /// A device.
    Device(OpId),
    /// A payment without order.
    Foreign(OpId),
    /// Something about rights that is not about one SKU.
    Rights,
}

/// Why a command gave nothing.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The rules say no.
    Refused(Refusal),
    /// A bundle gave nothing.
    Bundle {
        /// Stable word.
        code: &'static str,
        /// What is wrong with it.
        detail: String,
        /// The one next step.
        next_step: &'static str,
    },
    /// The kit cannot write now (disk full, safe mode); nothing was recorded.
    Unable {
        /// Stable word.
        code: &'static str,
        /// What happened.
        detail: String,
        /// The one next step.
        next_step: String,
    },
}

/// Where acknowledged ops are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// On this kit's own storage.
    #[default]
    OnThisKit,
    /// On two devices.
    OnTwoDevices,
}

impl Durability {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Durability::OnThisKit => "on this kit",
            Durability::OnTwoDevices => "on two devices",
        }
    }
}

/// Something the crew should know now.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What a look sees.
pub struct Shelf<'a> {
    /// The folded state, durable.
    pub ledger: &'a Ledger,
    /// The replica that writes.
    pub replica: ReplicaKey,
    /// What people call the kit.
    pub kit: &'a str,
    /// The event that sales go to.
    pub event: Option<OpId>,
    /// The own stream whose head witnesses keep.
    pub stream: StreamId,
    /// Where acknowledged ops are.
    pub durability: Durability,
    /// Whether limited goods of several kits may be sold, and which if not.
    pub gate: Gate,
    /// What this kit may do about leases at the event that sales go to.
    pub leases: LeaseTimes,
    /// `healthy`, `behind`, `missing` or `off`.
    pub black_box: &'static str,
    /// Whether the black box is on the kit's own medium.
    pub box_same_medium: bool,
    /// Whether only cash sales into the black box are possible.
    pub safe_mode: bool,
    /// `unverified`, `system` or `confirmed`.
    pub clock_quality: &'static str,
    /// The wall clock, milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// What the crew should know.
    pub notices: &'a [Notice],
    /// The devices that this kit drives.
    pub devices: &'a [DeviceShown],
    /// Makes the signed receipt token of an order; `None` until it is paid.
    pub receipt_token: &'a dyn Fn(&Order) -> Option<String>,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Ops checked.
    pub ops: u64,
    /// Heads found.
    pub heads: Vec<(StreamId, Head)>,
    /// The first bad thing, in words.
    pub first_bad: Option<String>,
    /// Digest of the business state.
    pub digest: Option<Hash>,
}

/// A change that open pages hear of.
#[derive(Clone, Debug)]
pub enum Update {
    /// Units of an item.
    Stock {
        /// The event.
        event: OpId,
        /// The item.
        sku: String,
    },
    /// An order placed or changed.
    Order(Arc<Order>),
    /// Items added or changed.
    Catalogue,
    /// The drawer.
    Drawer,
    /// Durability, notices, event.
    Status,
    /// A page is to remember the second head in place of the first.
    Remember {
        /// Which page.
        page: PageId,
        /// Of which stream.
        stream: StreamId,
        /// What it holds.
        from: Head,
        /// What it shall hold.
        to: Head,
    },
    /// A device: its contact, or what it shows.
    Device(OpId),
    /// The kit stops: whoever follows is let go.
    Stopping,
}

/// The loop cannot take more now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The queue is full.
    Busy,
    /// The loop has ended.
    Ended,
}

/// The way to the loop, cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// Asks go here.
    pub asks: SyncSender<Ask>,
    /// Changes come from here.
    pub updates: broadcast::Sender<Update>,
}

impl Desk {
    /// Hands an ask over without waiting.
    pub fn ask(&self, ask: Ask) -> Result<(), Closed> {
        self.asks.try_send(ask).map_err(|error| match error {
            TrySendError::Full(_) => Closed::Busy,
            TrySendError::Disconnected(_) => Closed::Ended,
        })
    }

    /// Looks at the state and brings back what `look` made of it.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf<'_>) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (sender, receiver) = oneshot::channel();
        self.ask(Ask::Look(Box::new(move |shelf| {
            // The asker may be gone; then nobody needs the answer.
            let _ = sender.send(look(shelf));
        })))?;
        receiver.await.map_err(|_| Closed::Ended)
    }
}
