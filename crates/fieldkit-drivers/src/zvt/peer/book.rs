//! What a simulated terminal remembers.
//!
//! Promises: the same book comes out of the journal that went in while it was written; receipt numbers are found from the
//! newest back, because they come round.
//! Absent on purpose: messages (`peer`), and anything older than [`KEPT_MAX`] transactions.

use crate::terminal_peer::{Entry, Event, Numbers};
use crate::zvt::message::code;
use fieldkit_core::money::Money;

/// Transactions remembered: one round of receipt numbers.
const KEPT_MAX: usize = 9_999;

/// What a transaction was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Payment,
    Reversal,
    Refund,
    Foreign,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Told, and not acknowledged.
    Open,
    Standing,
    Reversed,
    Declined,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub kind: Type,
    state: State,
    pub amount: Money,
    pub numbers: Numbers,
    /// Of a reversal: what it takes back.
    pub of: Option<Numbers>,
    pub at_s: u64,
    pub offline: bool,
    pub result: u8,
}

impl Stored {
    pub fn new(kind: Type, amount: Money, numbers: Numbers, at_s: u64) -> Self {
        let state = if kind == Type::Payment { State::Open } else { State::Standing };
        Stored { kind, state, amount, numbers, of: None, at_s, offline: false, result: 0 }
    }
}

/// What a search for a payment found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    None,
    Standing(Stored),
    Reversed,
}

/// What a day came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    pub first: u32,
    pub last: u32,
    pub payments: u32,
    pub sum: i64,
}

/// The memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    kept: Vec<Stored>,
    /// Where the running day begins in `kept`.
    day: usize,
    /// The numbers used last.
    pub numbers: Numbers,
    /// How many results were told.
    pub count: u32,
}

impl Book {
    /// The book of a past.
    pub fn of(numbers: Numbers, past: &[Entry]) -> Self {
        let mut book = Book { numbers, ..Book::default() };
        past.iter().for_each(|entry| book.take(entry));
        book
    }
    fn take(&mut self, entry: &Entry) {
        let numbers = Numbers { receipt: entry.receipt, trace: entry.trace };
        match entry.event {
            Event::Approved => self.again(Type::Payment, entry, numbers),
            Event::Foreign => self.again(Type::Foreign, entry, numbers),
            Event::Refunded => self.again(Type::Refund, entry, numbers),
            Event::Reversed => {
                self.again(Type::Reversal, entry, entry.own.unwrap_or(numbers));
                self.reversed(numbers);
            }
            Event::Committed => self.committed(numbers),
            Event::AutoReversed => self.reversed(numbers),
            Event::Declined => {
                if self.find(|stored| stored.numbers == numbers).is_none() {
                    self.again(Type::Payment, entry, numbers);
                }
                self.declined(numbers, code::ABORTED);
            }
            Event::EndOfDay => self.close_day(false),
            Event::Aborted => {}
        }
        let told = matches!(entry.event, Event::Approved | Event::Reversed | Event::Refunded);
        self.count = self.count.wrapping_add(u32::from(told));
    }
    fn again(&mut self, kind: Type, entry: &Entry, own: Numbers) {
        let mut stored = Stored::new(kind, entry.amount, own, entry.at_s);
        stored.offline = entry.offline;
        stored.of = entry.own.map(|_| Numbers { receipt: entry.receipt, trace: entry.trace });
        self.numbers = own;
        self.keep(stored);
    }
    /// Remembers, and forgets the oldest.
    pub fn keep(&mut self, stored: Stored) {
        let mut stored = stored;
        if stored.result != 0 {
            stored.state = State::Declined;
        }
        self.kept.push(stored);
        if self.kept.len() > KEPT_MAX {
            self.kept.remove(0);
            self.day = self.day.saturating_sub(1);
        }
    }
    /// The one that nobody acknowledged.
    pub fn open(&self) -> Option<Stored> {
        self.kept.iter().rev().find(|stored| stored.state == State::Open).cloned()
    }
    pub fn committed(&mut self, numbers: Numbers) {
        self.set(numbers, State::Standing, 0);
    }
    pub fn reversed(&mut self, numbers: Numbers) {
        self.set(numbers, State::Reversed, 0);
    }
    pub fn declined(&mut self, numbers: Numbers, code: u8) {
        self.set(numbers, State::Declined, code);
    }
    fn set(&mut self, numbers: Numbers, state: State, result: u8) {
        if let Some(stored) = self.kept.iter_mut().rev().find(|stored| stored.numbers == numbers) {
            (stored.state, stored.result) = (state, result);
        }
    }
    fn find(&self, which: impl Fn(&Stored) -> bool) -> Option<&Stored> {
        self.kept.iter().rev().find(|stored| which(stored))
    }
    /// The last transaction that a question for it brings. One that nobody acknowledged is as if it had not been, unless the
    /// terminal keeps such as declined.
    pub fn last(&self) -> Option<Stored> {
        let unacknowledged = |stored: &Stored| {
            let taken_back =
                stored.state == State::Reversed && !self.kept.iter().any(|other| other.of == Some(stored.numbers));
            stored.state == State::Open || taken_back
        };
        self.find(|stored| !unacknowledged(stored)).cloned()
    }
    /// The last transaction, if it is a payment that stands.
    pub fn last_standing(&self) -> Option<Stored> {
        self.last().filter(|last| last.kind == Type::Payment && last.state == State::Standing)
    }
    /// The payment with this receipt number.
    pub fn payment(&self, receipt: u32) -> Found {
        Book::found(self.find(|stored| Book::reversible(stored) && stored.numbers.receipt == receipt))
    }
    /// The last payment, whatever its number.
    pub fn last_payment(&self) -> Found {
        Book::found(self.find(Book::reversible))
    }
    fn reversible(stored: &Stored) -> bool {
        matches!(stored.kind, Type::Payment | Type::Foreign) && stored.state != State::Declined
    }
    fn found(stored: Option<&Stored>) -> Found {
        match stored {
            Some(stored) if stored.state == State::Standing => Found::Standing(stored.clone()),
            Some(stored) if stored.state == State::Reversed => Found::Reversed,
            Some(_) | None => Found::None,
        }
    }
    /// What the day has come to so far.
    pub fn day(&self) -> Day {
        let mut day = Day::default();
        for stored in self.kept.get(self.day..).unwrap_or_default() {
            let standing = stored.state == State::Standing;
            match stored.kind {
                Type::Payment | Type::Foreign if standing => {
                    day.payments += 1;
                    day.sum += stored.amount.minor;
                }
                Type::Refund if standing => day.sum -= stored.amount.minor,
                Type::Payment | Type::Foreign | Type::Refund | Type::Reversal => {}
            }
            day.first = if day.first == 0 { stored.numbers.receipt } else { day.first };
            day.last = stored.numbers.receipt;
        }
        day
    }
    /// The day is over.
    pub fn close_day(&mut self, numbers_restart: bool) {
        self.day = self.kept.len();
        if numbers_restart {
            self.numbers.receipt = 0;
        }
    }
}
