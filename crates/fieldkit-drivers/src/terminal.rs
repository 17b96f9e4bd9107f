//! What every terminal driver speaks with its user, the payment desk above it.
//!
//! Promises: each [`Request`] but `Abort`, which ends another, has exactly one end, a report for which [`Report::end`] is not
//! `None`; a request that may have reached the terminal and whose outcome is not known ends as [`Report::Unknown`], never as success or failure, and is
//! never sent again. A report that binds ([`Report::binds`]) is answered to the terminal only after [`Input::Recorded`].
//! Absent on purpose: orders, retries and judgement. Whether a transaction is the one that was asked for, the desk says.

use fieldkit_core::money::{Currency, Money};

/// A wish of the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Find out how the terminal is and make it ours; first on every new link, and after every doubt.
    Attach,
    /// Take money from a card.
    Authorise {
        /// How much.
        amount: Money,
    },
    /// Take a payment back by its receipt number.
    Reverse {
        /// The receipt number of the payment.
        receipt: u32,
        /// What it was over.
        amount: Money,
    },
    /// Pay out to a card.
    Refund {
        /// How much.
        amount: Money,
    },
    /// Ask for the last transaction that the terminal remembers.
    LastTransaction,
    /// Settle the terminal's day.
    EndOfDay,
    /// Let the terminal talk to its host.
    Diagnose,
    /// Stop what runs, if that is still possible.
    Abort,
    /// Hand the terminal back to the crew's fingers.
    LogOff,
}

impl Request {
    /// Its kind.
    pub fn task(&self) -> Task {
        match self {
            Request::Attach => Task::Attach,
            Request::Authorise { .. } => Task::Authorise,
            Request::Reverse { .. } => Task::Reverse,
            Request::Refund { .. } => Task::Refund,
            Request::LastTransaction => Task::LastTransaction,
            Request::EndOfDay => Task::EndOfDay,
            Request::Diagnose => Task::Diagnose,
            Request::Abort => Task::Abort,
            Request::LogOff => Task::LogOff,
        }
    }
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// [`Request::Attach`].
    Attach,
    /// [`Request::Authorise`].
    Authorise,
    /// [`Request::Reverse`].
    Reverse,
    /// [`Request::Refund`].
    Refund,
    /// [`Request::LastTransaction`].
    LastTransaction,
    /// [`Request::EndOfDay`].
    EndOfDay,
    /// [`Request::Diagnose`].
    Diagnose,
    /// [`Request::Abort`].
    Abort,
    /// [`Request::LogOff`].
    LogOff,
}

impl Task {
    /// Whether money moves: sent once, in doubt when it may have arrived.
    pub fn moves_money(self) -> bool {
        matches!(self, Task::Authorise | Task::Reverse | Task::Refund)
    }
}

/// What reaches a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The port or socket is open.
    LinkUp,
    /// It is gone. Nothing that was not polled before was sent.
    LinkDown,
    /// Bytes from the terminal, in any pieces.
    Bytes(Vec<u8>),
    /// A wish of the desk.
    Request(Request),
    /// The last report that binds is durable: the answer may go out.
    Recorded,
    /// The result is not wanted (goods not given, wrong amount): the terminal shall take it back.
    Refuse,
    /// Not decided yet (a door is opening): ask again in a moment.
    Hold,
    /// Nothing but time has come; [`Driver::poll_timeout`] said when.
    Tick,
}

/// What leaves a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for the terminal. Polled means: may have been sent.
    Send(Vec<u8>),
    /// The link is of no more use; close it, and open another.
    CloseLink,
    /// Something for the desk.
    Report(Report),
}

/// A transaction as the terminal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What it was, as far as that is known.
    pub kind: Kind,
    /// The terminal that did it; empty where it never said.
    pub terminal_id: String,
    /// Its receipt number, 1 to 9999; 0 where there is none.
    pub receipt: u32,
    /// Its trace number; 0 where there is none.
    pub trace: u32,
    /// What was moved, which may differ from what was asked. The currency is `XXX` where the terminal names none that exists.
    pub amount: Money,
    /// Month and day on the terminal's calendar.
    pub date: Option<Date>,
    /// Time on the terminal's clock.
    pub time: Option<Time>,
    /// The card's brand as text.
    pub card_name: String,
    /// The card's number: first six, last four, the rest `*`.
    pub masked_pan: String,
    /// What the issuer gave as sign of its yes.
    pub authorisation: String,
    /// The terminal's result; 0 is a yes.
    pub result: u8,
    /// Whether the terminal said yes without asking the issuer.
    pub offline: bool,
    /// Of a reversal: the trace number of what it took back.
    pub reversed_trace: Option<u32>,
}

/// What a transaction was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Money came.
    Payment,
    /// A payment was taken back.
    Reversal,
    /// Money went.
    Refund,
    /// The terminal repeats it and does not say.
    Unstated,
}

/// A day without a year, as terminals print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// What the terminal counted over its day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum, in minor units of the terminal's currency, as far as it was told.
    pub amount: Option<i64>,
    /// The first receipt number, as far as it was told.
    pub receipt_first: Option<u32>,
    /// The last receipt number.
    pub receipt_last: Option<u32>,
    /// Per brand: name, number of payments, sum.
    pub brands: Vec<BrandTotal>,
}

/// One brand's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandTotal {
    /// The brand.
    pub brand: &'static str,
    /// How many payments.
    pub count: u32,
    /// Their sum in minor units.
    pub amount: i64,
}

/// What a driver tells the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// End of `Attach`: the terminal is ours.
    Attached {
        /// Its number, where it tells.
        terminal_id: Option<String>,
        /// Its currency, where it tells.
        currency: Option<Currency>,
    },
    /// The terminal is not ready, and says why; the driver goes on trying for a while.
    Status {
        /// The terminal's code.
        code: u8,
        /// What that means.
        text: String,
    },
    /// What the terminal shows right now.
    Intermediate {
        /// The terminal's code.
        code: u8,
        /// What that means, or the terminal's own words.
        text: String,
    },
    /// A line of the terminal's own print, masked.
    PrintLine(String),
    /// Money moved. Binds: unanswered until recorded or refused; unanswered for long, a terminal takes it back.
    Result(Transaction),
    /// The day's totals. Binds.
    EndOfDay(Totals),
    /// End: done, and the terminal knows that we know.
    Completed(Task),
    /// End: the terminal or the issuer said no. No money moved.
    Declined {
        /// Which request.
        task: Task,
        /// The terminal's code.
        code: u8,
        /// What that means.
        text: String,
    },
    /// End: stopped by somebody, or not begun. No money moved.
    Aborted {
        /// Which request.
        task: Task,
        /// The terminal's code.
        code: u8,
        /// What that means.
        text: String,
    },
    /// End: we refused the result, and the terminal took it back.
    TakenBack(Task),
    /// End: we refused the result, and this terminal cannot take back: the money stands until it is refunded.
    Stands(Task),
    /// End of `LastTransaction`: what the terminal remembers; `None` means it has none yet.
    LastTransaction(Option<Transaction>),
    /// End of `LastTransaction`: the terminal does not tell.
    LastTransactionUnavailable(Unavailable),
    /// End: the request never left the kit.
    NotSent {
        /// Which request.
        task: Task,
        /// Why.
        why: NotSent,
    },
    /// End: it may have been sent, and what came of it is not known. Ask, never repeat.
    Unknown {
        /// Which request.
        task: Task,
        /// Why.
        why: Doubt,
    },
    /// End of a request that moves no money: it did not work.
    Failed {
        /// Which request.
        task: Task,
        /// Why.
        why: Doubt,
    },
    /// It is too late to stop; what runs goes on.
    AbortRefused,
    /// Something that a person should hear of.
    Alarm(Alarm),
}

impl Report {
    /// Of which request this is the end.
    pub fn end(&self) -> Option<Task> {
        match self {
            Report::Attached { .. } => Some(Task::Attach),
            Report::LastTransaction(_) | Report::LastTransactionUnavailable(_) => Some(Task::LastTransaction),
            Report::Completed(task) | Report::TakenBack(task) | Report::Stands(task) => Some(*task),
            Report::Declined { task, .. } | Report::Aborted { task, .. } => Some(*task),
            Report::NotSent { task, .. } | Report::Unknown { task, .. } | Report::Failed { task, .. } => Some(*task),
            Report::Status { .. } | Report::Intermediate { .. } | Report::PrintLine(_) | Report::Result(_) => None,
            Report::EndOfDay(_) | Report::AbortRefused | Report::Alarm(_) => None,
        }
    }
    /// Whether the terminal waits until this is recorded.
    pub fn binds(&self) -> bool {
        matches!(self, Report::Result(_) | Report::EndOfDay(_))
    }
}

/// Why a request never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no link, or it broke before the first byte.
    NoLink,
    /// `Attach` comes first.
    NotAttached,
    /// Another request runs; this one is dropped and the other goes on.
    Busy,
    /// Nothing runs that could be stopped.
    NothingRuns,
    /// The amount is not positive, too large for the protocol, or in another currency than the terminal's.
    Amount,
    /// The terminal does not answer the call that comes before a request.
    Silent,
    /// This terminal reverses its last payment whatever number is given, and this is not its last.
    NotTheLast,
    /// The protocol has no such thing.
    Unsupported,
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The link broke.
    LinkLost,
    /// The terminal did not take the bytes.
    NotAcknowledged,
    /// The terminal did not answer the command.
    NoAnswer,
    /// The terminal answered and then fell silent.
    Silent,
    /// The terminal said that it is done, and not what it did.
    NoResult,
    /// The terminal went on before the result was recorded.
    Overtaken,
    /// The terminal gave up after it had the answer.
    AbortedLate,
    /// The terminal says that it could not verify.
    NotVerified,
    /// The terminal is busy with something else, for long.
    Busy,
    /// The terminal refuses.
    Refused(u8),
    /// The terminal speaks what cannot be read.
    Unreadable,
}

/// Why the last transaction cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The protocol has no such question.
    Unsupported,
    /// The terminal refuses with a code.
    Refused(u8),
    /// The terminal says it is done and tells nothing.
    NoResult,
    /// Something on the way.
    Doubt(Doubt),
}

/// What a person should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Card data came where none should; it was masked.
    PanSeen,
    /// Bytes that belong to nothing; so many since the link came up.
    Noise {
        /// Bytes dropped.
        bytes: u64,
    },
    /// More messages than a terminal has reason to send; the surplus is dropped.
    Flood,
}

/// How a terminal departs from the paper. Facts from the field, none of them visible on the wire beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What happens to a payment whose result is never answered.
    pub unanswered: Unanswered,
    /// What the question for the last transaction brings.
    pub repeat: Repeat,
    /// What a reversal by number reverses.
    pub reversal: ReversalReach,
}

/// What happens to a payment whose result is never answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unanswered {
    /// The terminal reverses it by itself.
    #[default]
    Reversed,
    /// The terminal keeps it as declined (card complete, Austria).
    Declined,
}

/// What the question for the last transaction brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// The result again.
    #[default]
    Told,
    /// A bare completion (PAX A80 at Global Payments): the question is not asked, and doubt needs a person.
    Bare,
}

/// What a reversal by number reverses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReversalReach {
    /// The payment with that number.
    #[default]
    Numbered,
    /// The last payment, whatever the number (PAX A80 at Global Payments).
    LastOnly,
}

/// A driver of a terminal: a machine without threads, clocks or ports.
pub trait Driver {
    /// Takes what has come at `now_ms`, on a clock that only goes forward.
    fn handle(&mut self, now_ms: u64, input: Input);
    /// What leaves next.
    fn poll_output(&mut self) -> Option<Output>;
    /// When to call with [`Input::Tick`], if nothing else comes.
    fn poll_timeout(&self) -> Option<u64>;
}
