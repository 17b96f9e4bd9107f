//! What may be done: a command and the ledger in, drafts or a refusal out.
//!
//! Promises: every business rule stands here, roles included, checked in the order of the code; nothing is changed.
//! A command that is answered leaves at least one op, so that its key is remembered wherever the ops go.
//! Absent on purpose: time and randomness (they come in the context), durability, devices.

mod catalogue;
mod drawer;
mod event;
mod give_back;
mod sale;

pub use catalogue::{ImportRow, NewItem, StockChange};
pub use event::{Founding, NewEvent, business_day};
pub use sale::{LineRequest, OrderRequest, TenderRequest};

use crate::author::{Context, Draft};
use crate::body::{Body, CommandRefused, Direction, Edit, Role, StockReason};
use crate::event::{Event, EventState};
use crate::id::{OpId, ReplicaKey, Space};
use crate::ledger::Ledger;
use crate::refusal::Refusal;

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
            Command::Refund { order, .. } | Command::Void { order, .. } | Command::UndoRefund { order, .. } => {
                Some(*order)
            }
            _ => None,
        }
    }

    /// Roles that may give it.
    fn roles(&self) -> &'static [Role] {
        match self {
            Command::OpenEvent(_) | Command::CloseEvent | Command::Import { .. } => &[Role::Owner],
            Command::AddItem(_) | Command::ChangeItem { .. } => &[Role::Owner],
            Command::MoveStock { .. }
            | Command::PlaceOrder(_)
            | Command::Refund { .. }
            | Command::Void { .. }
            | Command::UndoRefund { .. }
            | Command::OpenDrawer { .. }
            | Command::MoveCash { .. }
            | Command::CountDrawer { .. } => &[Role::Owner, Role::Seller],
        }
    }
}

/// Where a command is decided: by which replica, at which event.
#[derive(Clone, Debug)]
pub struct Place {
    /// The replica that writes.
    pub replica: ReplicaKey,
    /// The event, where one is chosen.
    pub event: Option<OpId>,
}

impl Place {
    /// The event's space, and the event, which must be open.
    fn open_event<'a>(&self, ledger: &'a Ledger) -> Result<(OpId, Space, &'a Event), Refusal> {
        let (id, space, event) = self.any_event(ledger)?;
        match event.state() {
            EventState::Open => Ok((id, space, event)),
            EventState::Closed => Err(Refusal::EventClosed(event.opened.name.clone())),
        }
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
    if !ledger.holds(&context.actor, command.roles()) {
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
        Command::Refund { order, lines, reason, restock } => {
            give_back::refund(ledger, *order, lines.as_deref(), reason, *restock, place, context)
        }
        Command::Void { order, reason } => give_back::void(ledger, *order, reason, place, context),
        Command::UndoRefund { order, refund } => give_back::undo(ledger, *order, *refund, place, context),
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

/// A text from outside as a refusal repeats it: its first 64 characters, so that the op that records the refusal stays
/// short whatever was sent.
fn shown(given: &str) -> String {
    given.chars().take(64).collect()
}

/// An amount from outside.
fn amount(what: &'static str, given: i64) -> Result<i64, Refusal> {
    if (0..=crate::money::AMOUNT_MAX).contains(&given) { Ok(given) } else { Err(Refusal::Amount { what }) }
}

/// The stream's next receipt number.
fn next_receipt(ledger: &Ledger, place: &Place, space: &Space) -> u64 {
    let stream = crate::id::StreamId::of(&place.replica, space);
    ledger.streams.get(&stream).map_or(0, |known| known.receipts) + 1
}
