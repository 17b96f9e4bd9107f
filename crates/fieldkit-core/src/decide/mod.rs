//! What may be done: a command and the ledger in, drafts or a refusal out.
//!
//! Promises: every business rule stands here, roles included, checked in the order of the code; nothing is changed.
//! A command that is answered leaves at least one op, so that its key is remembered wherever the ops go.
//! Absent on purpose: time and randomness (they come in the context), durability, devices.

mod catalogue;
mod drawer;
mod event;
mod give_back;
mod lease;
mod report;
mod rights;
mod sale;
mod settle;
mod watch;

pub use catalogue::{ImportRow, NewItem, StockChange};
pub use event::{Founding, NewEvent, business_day};
pub use rights::{available, is_own};
pub use sale::{LineRequest, OrderRequest, TenderRequest};
pub use watch::unanswered;

use crate::author::{Context, Draft};
use crate::body::{
    Admission, Body, Charged, CommandRefused, DeviceAccepted, Direction, Edit, PaymentStep, Role, StockReason,
    TerminalRecord,
};
use crate::card_number;
use crate::event::{Event, EventState};
use crate::id::{OpId, ReplicaKey, Space, StreamId};
use crate::ledger::Ledger;
use crate::op::Actor;
use crate::order::Order;
use crate::refusal::{PaymentRefusal, Refusal};
use std::collections::BTreeSet;

/// A wish from the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open an event.
    OpenEvent(NewEvent),
    /// Close an event.
    CloseEvent,
    /// Add an item.
    AddItem(NewItem),
    /// Change an item.
    ChangeItem {
        /// Which.
        sku: String,
        /// To what.
        edits: Vec<Edit>,
    },
    /// Change the stock of an item.
    MoveStock {
        /// Which.
        sku: String,
        /// How.
        change: StockChange,
        /// Why.
        reason: StockReason,
    },
    /// Take over a catalogue file.
    Import {
        /// Name of the file.
        file: String,
        /// Its variants.
        rows: Vec<ImportRow>,
        /// Lines rejected by the reader.
        rejected: Vec<(u32, String)>,
        /// Warnings of the reader.
        warnings: Vec<String>,
    },
    /// Sell.
    PlaceOrder(OrderRequest),
    /// Give goods and money back.
    Refund {
        /// The order.
        order: OpId,
        /// Lines and quantities, `None` for all that is left.
        lines: Option<Vec<(u32, u32)>>,
        /// Why.
        reason: String,
        /// Whether the units may be sold again.
        restock: bool,
        /// Whether cash is asked for, where the order was paid by card.
        in_cash: bool,
    },
    /// Undo a whole order on its day.
    Void {
        /// The order.
        order: OpId,
        /// Why.
        reason: String,
    },
    /// Undo a refund or void.
    UndoRefund {
        /// The order.
        order: OpId,
        /// The refund.
        refund: OpId,
    },
    /// Begin another attempt to charge a card for an open order.
    BeginPayment {
        /// The order.
        order: OpId,
        /// Minor units and their currency code; `None` for the part that comes next.
        amount: Option<(i64, String)>,
        /// At which terminal; `None` for the one there is.
        device: Option<OpId>,
    },
    /// Pay an open order in cash, or by the crew's own reader.
    SettleOrder {
        /// The order.
        order: OpId,
        /// What the buyer gives for what is left to pay.
        tenders: Vec<TenderRequest>,
    },
    /// Give an open order up.
    CancelOrder {
        /// The order.
        order: OpId,
        /// Why.
        reason: String,
    },
    /// Undo a payment that did not pay its order.
    ReversePayment {
        /// The order.
        order: OpId,
        /// The payment.
        payment: OpId,
        /// Why.
        reason: String,
    },
    /// Close a payment whose outcome no terminal could tell.
    ClosePayment {
        /// The order.
        order: OpId,
        /// The payment.
        payment: OpId,
        /// Whether the card was charged.
        charged: Charged,
        /// Where that was seen.
        evidence: String,
    },
    /// Report a step of a payment: the devices' alone. Its key is `Payment::command_key`.
    MovePayment {
        /// The order.
        order: OpId,
        /// The payment.
        payment: OpId,
        /// What happened.
        step: PaymentStep,
    },
    /// Report a charge that belongs to no order: the devices' alone.
    RecordForeign {
        /// The accepted terminal.
        device: OpId,
        /// What it told.
        record: TerminalRecord,
    },
    /// Clear a payment without order up.
    SettleForeign {
        /// The op that found it.
        found: OpId,
        /// What it was.
        note: String,
    },
    /// Give rights to units of a hard pool to another replica.
    GrantRights {
        /// The SKU.
        sku: String,
        /// How many.
        quantity: i64,
        /// To whom.
        to: ReplicaKey,
        /// Why.
        reason: String,
        /// The `RightsAsked` that this answers, where it does.
        answers: Option<OpId>,
    },
    /// Give rights to units of a soft pool to another replica for a time.
    LeaseRights {
        /// The SKU.
        sku: String,
        /// How many.
        quantity: i64,
        /// To whom.
        to: ReplicaKey,
        /// For how long, in milliseconds.
        term_ms: u64,
        /// Why.
        reason: String,
    },
    /// Say that a lease is over: the replica's alone.
    LapseLease {
        /// The op that gave it.
        lease: OpId,
    },
    /// Ask another replica for rights.
    AskRights {
        /// The SKU.
        sku: String,
        /// Who is asked.
        of: ReplicaKey,
        /// How many.
        quantity: u32,
    },
    /// Keep limited goods for other kits, and sell none here.
    VowKeeping {
        /// What people call this replica.
        label: String,
    },
    /// Say who watches this replica: the replica's alone.
    SetWatch {
        /// Names of the witnesses.
        witnesses: Vec<[u8; 16]>,
        /// Those that watched before and did not see this.
        lost: Vec<[u8; 16]>,
        /// Drawn by lot at each start.
        nonce: [u8; 16],
    },
    /// Open limited goods after a start without their witnesses.
    AdmitHolding {
        /// On whose word; a slip was compared with the chain by whoever gives this.
        how: Admission,
        /// The position on the slip, 0 where there is none.
        seen: u64,
        /// Drawn by lot at each start.
        nonce: [u8; 16],
    },
    /// Say that what is known of a lost keeper's grants is all that counts.
    AnswerKeeper {
        /// The keeper.
        keeper: ReplicaKey,
        /// For whom: this replica itself, or one that the owner declares absent.
        on_behalf: ReplicaKey,
    },
    /// Take over what a lost keeper held, once everybody answered.
    TakeOver {
        /// The keeper.
        keeper: ReplicaKey,
    },
    /// Let units go that another kit took back for an order of this one.
    ReleaseUnits {
        /// The order.
        order: OpId,
    },
    /// Take over what a replica holds that will not come back.
    DeclareLost {
        /// The SKU.
        sku: String,
        /// Who is lost.
        holder: ReplicaKey,
    },
    /// Let another kit into the organisation.
    AdmitReplica {
        /// The public key that it made.
        replica: ReplicaKey,
        /// What people call it.
        label: String,
        /// This replica's signature over `ReplicaAdmitted::signed_bytes`.
        proof: [u8; 64],
    },
    /// Let a device be used at this kit.
    AcceptDevice(DeviceAccepted),
    /// Stop using a device.
    RetireDevice {
        /// The op that accepted it.
        device: OpId,
    },
    /// Open the drawer.
    OpenDrawer {
        /// Opening cash in minor units.
        amount: i64,
    },
    /// Put cash in or take it out.
    MoveCash {
        /// Which way.
        direction: Direction,
        /// Minor units.
        amount: i64,
        /// Why.
        reason: String,
    },
    /// Count the drawer and end its session.
    CountDrawer {
        /// Minor units found.
        counted: i64,
        /// A word on a difference.
        note: String,
    },
}

impl Command {
    /// The order that must be at hand before the command is decided.
    pub fn wants(&self) -> Option<OpId> {
        match self {
            Command::Refund { order, .. }
            | Command::Void { order, .. }
            | Command::UndoRefund { order, .. }
            | Command::BeginPayment { order, .. }
            | Command::SettleOrder { order, .. }
            | Command::CancelOrder { order, .. }
            | Command::ReversePayment { order, .. }
            | Command::ClosePayment { order, .. }
            | Command::MovePayment { order, .. }
            | Command::ReleaseUnits { order } => Some(*order),
            _ => None,
        }
    }

    /// Who may give it.
    fn givers(&self) -> Givers {
        match self {
            Command::OpenEvent(_) | Command::CloseEvent | Command::Import { .. } => Givers::Persons(&[Role::Owner]),
            Command::AdmitReplica { .. } => Givers::Persons(&[Role::Owner]),
            Command::AddItem(_) | Command::ChangeItem { .. } | Command::DeclareLost { .. } => {
                Givers::Persons(&[Role::Owner])
            }
            Command::AcceptDevice(_) | Command::RetireDevice { .. } => Givers::Persons(&[Role::Owner]),
            Command::MoveStock { .. }
            | Command::PlaceOrder(_)
            | Command::Refund { .. }
            | Command::Void { .. }
            | Command::UndoRefund { .. }
            | Command::BeginPayment { .. }
            | Command::SettleOrder { .. }
            | Command::CancelOrder { .. }
            | Command::ReversePayment { .. }
            | Command::ClosePayment { .. }
            | Command::SettleForeign { .. }
            | Command::OpenDrawer { .. }
            | Command::MoveCash { .. }
            | Command::CountDrawer { .. } => Givers::Persons(&[Role::Owner, Role::Seller]),
            Command::MovePayment { .. } | Command::RecordForeign { .. } => Givers::Devices,
            Command::GrantRights { .. } | Command::ReleaseUnits { .. } | Command::AskRights { .. } => {
                Givers::Any(&[Role::Owner, Role::Seller])
            }
            Command::LeaseRights { .. } => Givers::Persons(&[Role::Owner, Role::Seller]),
            Command::SetWatch { .. } | Command::TakeOver { .. } | Command::LapseLease { .. } => Givers::Devices,
            Command::AdmitHolding { how: Admission::Slip, .. } => Givers::Persons(&[Role::Owner, Role::Seller]),
            Command::AdmitHolding { how: Admission::Owner, .. } => Givers::Persons(&[Role::Owner]),
            Command::AnswerKeeper { .. } | Command::VowKeeping { .. } => Givers::Any(&[Role::Owner]),
        }
    }
}

/// Who may give a command.
enum Givers {
    /// Persons who hold one of these roles.
    Persons(&'static [Role]),
    /// The replica itself, for what its devices report; no person can claim that a terminal took money.
    Devices,
    /// Persons who hold one of these roles, and the replica itself by its policy.
    Any(&'static [Role]),
}

/// Whether a replica may use its rights now: after a start only once it is known that it did not go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    #[default]
    Open,
    /// It may not.
    Shut,
}

/// What a replica may do about leases now, by a clock that may be trusted. Without one it may do nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Leases to it that are not near their end: their units may be sold.
    pub live: BTreeSet<OpId>,
    /// Leases of it whose term and margin are over.
    pub over: BTreeSet<OpId>,
}

/// Where a command is decided: by which replica, at which event.
#[derive(Clone, Debug)]
pub struct Place {
    /// The replica that writes.
    pub replica: ReplicaKey,
    /// The event, where one is chosen.
    pub event: Option<OpId>,
    /// Whether it may use its rights.
    pub gate: Gate,
    /// What it may do about leases.
    pub leases: LeaseTimes,
}

impl Place {
    /// A replica at an event that may use its rights, and has no clock for leases.
    pub fn at(replica: ReplicaKey, event: Option<OpId>) -> Self {
        Place { replica, event, gate: Gate::Open, leases: LeaseTimes::default() }
    }

    /// Whether rights may not be used now.
    fn is_shut(&self) -> bool {
        self.gate == Gate::Shut
    }

    /// The event's space, and the event, which must be open.
    fn open_event<'a>(&self, ledger: &'a Ledger) -> Result<(OpId, Space, &'a Event), Refusal> {
        let (id, space, event) = self.any_event(ledger)?;
        match event.state() {
            EventState::Open => Ok((id, space, event)),
            EventState::Closed => Err(Refusal::EventClosed(event.opened.name.clone())),
        }
    }

    /// The same replica at the event of `order`.
    fn of(&self, order: &Order) -> Place {
        Place { event: Some(order.event), ..self.clone() }
    }

    /// The event's space, and the event, open or closed.
    fn any_event<'a>(&self, ledger: &'a Ledger) -> Result<(OpId, Space, &'a Event), Refusal> {
        let id = self.event.ok_or(Refusal::NoEvent)?;
        let event = ledger.events.get(&id).ok_or_else(|| Refusal::UnknownEvent(id.text()))?;
        Ok((id, space_of(id, event), event))
    }
}

/// The space of an event.
pub fn space_of(id: OpId, event: &Event) -> Space {
    if event.opened.training { Space::Training(id) } else { Space::Event(id) }
}

/// Decides a command.
pub fn decide(ledger: &Ledger, command: &Command, place: &Place, context: &Context) -> Result<Vec<Draft>, Refusal> {
    let allowed = match command.givers() {
        Givers::Persons(roles) => ledger.holds(&context.actor, roles),
        Givers::Devices => matches!(context.actor, Actor::Device(_)),
        Givers::Any(roles) => matches!(context.actor, Actor::Device(_)) || ledger.holds(&context.actor, roles),
    };
    if !allowed {
        return Err(Refusal::NotAllowed { who: "the person at this till".to_owned() });
    }
    match command {
        Command::OpenEvent(new) => event::open(ledger, new, place),
        Command::CloseEvent => event::close(ledger, place),
        Command::AddItem(new) => catalogue::add(ledger, new, place),
        Command::ChangeItem { sku, edits } => catalogue::change(ledger, sku, edits, place),
        Command::MoveStock { sku, change, reason } => catalogue::move_stock(ledger, sku, *change, *reason, place),
        Command::Import { file, rows, rejected, warnings } => {
            catalogue::import(ledger, file, rows, rejected, warnings, place)
        }
        Command::PlaceOrder(request) => sale::place(ledger, request, place, context),
        Command::Refund { order, lines, reason, restock, in_cash } => {
            let back = give_back::Back { lines: lines.as_deref(), reason, restock: *restock, in_cash: *in_cash };
            give_back::refund(ledger, *order, &back, place, context)
        }
        Command::Void { order, reason } => give_back::void(ledger, *order, reason, place, context),
        Command::UndoRefund { order, refund } => give_back::undo(ledger, *order, *refund, place, context),
        Command::BeginPayment { order, amount, device } => {
            settle::begin(ledger, *order, amount.as_ref(), *device, place)
        }
        Command::SettleOrder { order, tenders } => settle::settle(ledger, *order, tenders, place, context),
        Command::CancelOrder { order, reason } => settle::cancel(ledger, *order, reason, place),
        Command::ReversePayment { order, payment, reason } => settle::reverse(ledger, *order, *payment, reason, place),
        Command::ClosePayment { order, payment, charged, evidence } => {
            settle::close(ledger, *order, *payment, *charged, evidence, place, context)
        }
        Command::MovePayment { order, payment, step } => {
            report::move_payment(ledger, *order, *payment, step, place, context)
        }
        Command::RecordForeign { device, record } => report::record_foreign(ledger, *device, record, place),
        Command::SettleForeign { found, note } => report::settle_foreign(ledger, *found, note, place),
        Command::GrantRights { sku, quantity, to, reason, answers } => {
            rights::grant(ledger, sku, *quantity, *to, reason, *answers, place)
        }
        Command::LeaseRights { sku, quantity, to, term_ms, reason } => {
            let wanted = lease::Wanted { sku, quantity: *quantity, to: *to, term_ms: *term_ms, reason };
            lease::lease(ledger, &wanted, place, context)
        }
        Command::LapseLease { lease } => lease::lapse(ledger, *lease, place),
        Command::AskRights { sku, of, quantity } => watch::ask(ledger, sku, *of, *quantity, place),
        Command::VowKeeping { label } => watch::vow(ledger, label, place),
        Command::SetWatch { witnesses, lost, nonce } => watch::set(ledger, witnesses, lost, *nonce, place),
        Command::AdmitHolding { how, seen, nonce } => watch::admit(ledger, *how, *seen, *nonce, place),
        Command::AnswerKeeper { keeper, on_behalf } => watch::answer(ledger, *keeper, *on_behalf, place, context),
        Command::TakeOver { keeper } => watch::take_over(ledger, *keeper, place),
        Command::ReleaseUnits { order } => rights::release(ledger, *order, place),
        Command::DeclareLost { sku, holder } => rights::declare_lost(ledger, sku, *holder, place),
        Command::AdmitReplica { replica, label, proof } => event::admit(ledger, *replica, label, *proof, place),
        Command::AcceptDevice(device) => report::accept(ledger, device, place),
        Command::RetireDevice { device } => report::retire(ledger, *device, place),
        Command::OpenDrawer { amount } => drawer::open(ledger, *amount, place),
        Command::MoveCash { direction, amount, reason } => {
            drawer::move_cash(ledger, *direction, *amount, reason, place)
        }
        Command::CountDrawer { counted, note } => drawer::count(ledger, *counted, note, place),
    }
}

/// The draft that records a refusal, so that the same key gets the same answer, wherever it is asked.
pub fn record_refusal(ledger: &Ledger, refusal: &Refusal, place: &Place) -> Draft {
    let space = place.event.and_then(|id| ledger.events.get(&id).map(|event| space_of(id, event)));
    let body = CommandRefused {
        code: refusal.code().to_owned(),
        detail: refusal.to_string(),
        next_step: refusal.next_step().to_owned(),
    };
    Draft::new(space.unwrap_or(Space::ORGANISATION), Body::CommandRefused(body)).answering()
}

/// A text of the crew's: trimmed, within bounds, without control characters.
fn text(what: &'static str, given: &str, min: usize, max: usize) -> Result<String, Refusal> {
    let trimmed = given.trim();
    let length = trimmed.chars().count();
    if (min..=max).contains(&length) && !trimmed.chars().any(char::is_control) {
        Ok(trimmed.to_owned())
    } else {
        Err(Refusal::Text { what, min, max })
    }
}

/// A text in which no card number may stand.
fn plain(what: &'static str, given: &str, min: usize, max: usize) -> Result<String, Refusal> {
    let text = text(what, given, min, max)?;
    if card_number::stands_in(&text) { Err(PaymentRefusal::CardNumber { what }.into()) } else { Ok(text) }
}

/// A text from outside as a refusal repeats it: its first 64 characters, so that the op that records the refusal stays
/// short whatever was sent.
fn shown(given: &str) -> String {
    given.chars().take(64).collect()
}

/// An amount from outside.
fn amount(what: &'static str, given: i64) -> Result<i64, Refusal> {
    if (0..=crate::money::AMOUNT_MAX).contains(&given) { Ok(given) } else { Err(Refusal::Amount { what }) }
}

/// A sum of amounts that another kit may have written.
fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64, Refusal> {
    amounts.into_iter().try_fold(0, crate::money::add).map_err(|_| Refusal::Overflow)
}

/// The dot of the `nth` op from now, counted from 1, that this replica writes in `space`. A stream's first op opens it.
fn dot(ledger: &Ledger, place: &Place, space: &Space, nth: u64) -> OpId {
    let stream = StreamId::of(&place.replica, space);
    let head = ledger.head(&stream).seq;
    OpId { stream, seq: head + nth + u64::from(head == 0) }
}

/// The stream's next receipt number.
fn next_receipt(ledger: &Ledger, place: &Place, space: &Space) -> u64 {
    let stream = StreamId::of(&place.replica, space);
    ledger.streams.get(&stream).map_or(0, |known| known.receipts) + 1
}
