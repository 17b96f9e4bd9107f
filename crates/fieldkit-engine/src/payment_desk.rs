//! The payment desk: works one terminal off, from what the ledger says is open and what the driver reports.
//!
//! Promises: a terminal hears of a wish only when the op that says so is durable; a result is answered only when it is
//! durable; the driver is told to charge once for each payment, by the desk that recorded `Sent` — whatever is in doubt
//! is asked for and never charged again. On every link the terminal's last transaction is asked for first: it settles
//! what is open, and one that belongs to no order is recorded. One thing is done at a time.
//! Absent on purpose: rules (`decide`), bytes (`fieldkit-drivers`), and waiting: time comes with each input.

use crate::planted::{Mistake, Planted};
use fieldkit_core::body::{Baseline, CancelledBy, PaymentStep, RecordKind, TerminalAnswer, TerminalRecord};
use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::Command;
use fieldkit_core::device::Recognised;
use fieldkit_core::id::{Hash, OpId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::matching::{Heard, Match, baseline_of, matches};
use fieldkit_core::money::Money;
use fieldkit_core::op::CommandKey;
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_drivers::terminal::{
    Doubt, Driver, Input, Kind, NotSent, Output, Report, Request, Task, Transaction, Unavailable,
};
use std::collections::VecDeque;

/// Pause before a terminal is tried again that did not answer.
const REST_MS: u64 = 2_000;
/// How long a payment that was not sent waits for the link: a cable that is put back, a kit that has just started.
const LINK_WAIT_MS: u64 = 3_000;
/// How long the terminal's last transaction, once told, is taken for its last while nothing was asked of it. A person at
/// the terminal needs longer for a charge by hand.
const BASELINE_MS: u64 = 4_000;
/// ZVT's code for a payment that was reversed before (PA00P015 chapter 11).
const REVERSED_BEFORE: u8 = 0xB4;

/// What the crew sees of a terminal's doings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The terminal.
    pub device: OpId,
    /// The payment that runs on it.
    pub payment: Option<OpId>,
    /// How the link is.
    pub link: Link,
    /// What the terminal shows or prints, where that is news.
    pub text: Option<String>,
}

/// How the link to a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// No contact.
    Down,
    /// There is contact; the terminal has not answered yet.
    Up,
    /// It answers, and takes cards.
    Ready,
}

/// What leaves the desk.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Bytes for the terminal.
    Send(Vec<u8>),
    /// The link is of no more use.
    CloseLink,
    /// Decide this; say `answered` when it is durable or refused.
    Decide(Command, CommandKey),
    /// Show this.
    Show(Shown),
}

/// What follows when a command is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing.
    Rest,
    /// The terminal gets its answer: it was wanted.
    Accept,
    /// The terminal gets its answer: it shall take the money back.
    TakeBack,
    /// The driver is told.
    Ask(Request),
}

/// The desk of one terminal.
pub(crate) struct PaymentDesk {
    device: OpId,
    driver: Box<dyn Driver + Send>,
    link: Link,
    /// What the driver is doing, and for which payment.
    running: Option<(Task, Option<OpId>)>,
    /// Commands to give, one after the other, and what follows each.
    queue: VecDeque<(Command, Then)>,
    /// What follows the command that was given last, until it is answered.
    given: Option<Then>,
    /// The terminal's last transaction; `None` where it must be asked for first.
    baseline: Option<Baseline>,
    /// When that was told.
    baseline_ms: u64,
    terminal_id: String,
    /// What the running dialogue has told, and whether it was without the issuer.
    told: Option<(TerminalRecord, bool)>,
    /// Whether the crew asked for an end.
    stopping: bool,
    /// After a failure: when the terminal is tried again.
    rest_until_ms: Option<u64>,
    /// The payment that waits for the link, and until when.
    waits: Option<(OpId, u64)>,
    now_ms: u64,
    wishes: VecDeque<Wish>,
    planted: Planted,
}

impl PaymentDesk {
    pub fn new(device: OpId, driver: Box<dyn Driver + Send>, planted: Planted) -> Self {
        PaymentDesk {
            device,
            driver,
            link: Link::Down,
            running: None,
            queue: VecDeque::new(),
            given: None,
            baseline: None,
            baseline_ms: 0,
            terminal_id: String::new(),
            told: None,
            stopping: false,
            rest_until_ms: None,
            waits: None,
            now_ms: 0,
            wishes: VecDeque::new(),
            planted,
        }
    }

    /// Time has passed. What the desk begins by itself counts from here.
    pub fn tell_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// When time must be told; `acts` says whether the desk may act now. Where it may not, it goes on by itself once it may,
    /// and only the driver waits for the time.
    pub fn poll_timeout(&self, acts: bool) -> Option<u64> {
        let own = [self.rest_until_ms, self.waits.map(|(_, until_ms)| until_ms)];
        let own = own.into_iter().flatten().filter(|_| acts && self.given.is_none());
        own.chain(self.driver.poll_timeout()).min()
    }

    /// Something came from the port, or time has passed. `ledger` holds what is decided, durable or not.
    pub fn handle(&mut self, now_ms: u64, input: Input, ledger: &Ledger) {
        self.tell_time(now_ms);
        match input {
            Input::LinkUp => {
                self.rest_until_ms = None;
                self.set_link(Link::Up);
            }
            Input::LinkDown => {
                self.set_link(Link::Down);
                self.baseline = None;
            }
            Input::Bytes(_) | Input::Request(_) | Input::Recorded | Input::Refuse | Input::Hold | Input::Tick => {}
        }
        self.drive(input, ledger);
    }

    /// The crew wants the payment that runs to be stopped.
    pub fn stop(&mut self, ledger: &Ledger) {
        if self.running.is_some() {
            self.stopping = true;
            self.drive(Input::Request(Request::Abort), ledger);
        }
    }

    /// The crew wants the terminal to be asked once more for its last transaction.
    pub fn ask_again(&mut self) {
        self.baseline = None;
    }

    /// The command given last is durable, or was refused: what is refused would be refused again at once.
    pub fn answered(&mut self, decided: bool, ledger: &Ledger) {
        if !decided {
            self.rest_until_ms = Some(self.now_ms.saturating_add(REST_MS));
        }
        self.follow(decided, ledger);
    }

    fn follow(&mut self, decided: bool, ledger: &Ledger) {
        let Some(then) = self.given.take() else { return };
        match (then, decided) {
            (Then::Rest, _) | (Then::Ask(_), false) => {}
            (Then::Accept, true) => self.drive(Input::Recorded, ledger),
            // What cannot be recorded is not taken.
            (Then::TakeBack, _) | (Then::Accept, false) => self.drive(Input::Refuse, ledger),
            (Then::Ask(request), true) => self.request(request, ledger),
        }
    }

    /// Does the next thing. `ledger` must hold only what is durable.
    pub fn act(&mut self, ledger: &Ledger) {
        if self.given.is_some() {
            return;
        }
        while let Some((command, then)) = self.queue.pop_front() {
            let Some(key) = key(&command, self.device, ledger) else {
                // The payment was closed meanwhile, by a person; a terminal that waits is answered as if refused.
                self.given = Some(then);
                self.follow(false, ledger);
                continue;
            };
            self.given = Some(then);
            self.wishes.push_back(Wish::Decide(command, key));
            return;
        }
        self.rest_until_ms = self.rest_until_ms.filter(|until| *until > self.now_ms);
        if self.running.is_some() || self.rest_until_ms.is_some() {
            return;
        }
        let held = ledger.holds_terminal(self.device);
        // Who no longer waits needs no deadline.
        self.waits = self.waits.filter(|(waiting, _)| held.is_some_and(|payment| payment.payment_id == *waiting));
        // What somebody charged by hand meanwhile must not be taken for what is asked next.
        let fresh = held.is_none() || self.now_ms <= self.baseline_ms.saturating_add(BASELINE_MS);
        match (self.link, self.baseline.as_ref().filter(|_| fresh), held) {
            (Link::Down, _, Some(payment)) if payment.state() == PaymentState::Intended => {
                // The buyer stands at the counter: better a clear no than a long wait for a cable.
                if self.waited_for_link(payment.payment_id) {
                    self.step(payment, PaymentStep::Cancelled(CancelledBy::Kit), Then::Rest);
                    self.act(ledger);
                }
            }
            (Link::Down, _, _) => {}
            (Link::Up, _, _) => self.request_and_go_on(Request::Attach, ledger),
            (Link::Ready, None, Some(payment))
                if self.planted.is(Mistake::RetryCharge) && payment.state() == PaymentState::Unknown =>
            {
                self.request_and_go_on(Request::Authorise { amount: asked(payment) }, ledger);
            }
            (Link::Ready, None, _) => self.request_and_go_on(Request::LastTransaction, ledger),
            (Link::Ready, Some(baseline), Some(payment)) => {
                if let Some((step, request)) = next_step(payment, baseline) {
                    self.step(payment, step, Then::Ask(request));
                    self.act(ledger);
                }
            }
            (Link::Ready, Some(_), None) => {}
        }
    }

    fn set_baseline(&mut self, baseline: Option<Baseline>) {
        (self.baseline, self.baseline_ms) = (baseline, self.now_ms);
    }

    /// After a doubt the terminal is made ours once more before anything else: a line stays open, whatever was lost on it.
    fn find_out_anew(&mut self) {
        self.baseline = None;
        if self.link == Link::Ready {
            self.set_link(Link::Up);
        }
    }

    /// Whether a payment that was not sent has waited long enough.
    fn waited_for_link(&mut self, payment: OpId) -> bool {
        let until_ms = match self.waits {
            Some((known, until_ms)) if known == payment => until_ms,
            _ => self.now_ms.saturating_add(LINK_WAIT_MS),
        };
        let over = self.now_ms >= until_ms;
        self.waits = (!over).then_some((payment, until_ms));
        over
    }

    /// Asks, and does the next thing where the driver knew the answer by itself: then nothing else would come.
    fn request_and_go_on(&mut self, request: Request, ledger: &Ledger) {
        self.request(request, ledger);
        if self.running.is_none() {
            self.act(ledger);
        }
    }

    fn request(&mut self, request: Request, ledger: &Ledger) {
        let payment = ledger.holds_terminal(self.device).map(|payment| payment.payment_id);
        self.running = Some((request.task(), payment.filter(|_| request.task().moves_money())));
        if request.task().moves_money() {
            // Whatever comes of it, the terminal's last transaction is another one from here on.
            self.baseline = None;
        }
        self.show(None);
        self.drive(Input::Request(request), ledger);
    }

    fn drive(&mut self, input: Input, ledger: &Ledger) {
        self.driver.handle(self.now_ms, input);
        while let Some(output) = self.driver.poll_output() {
            match output {
                Output::Send(bytes) => self.wishes.push_back(Wish::Send(bytes)),
                Output::CloseLink => self.wishes.push_back(Wish::CloseLink),
                Output::Report(report) => self.take(report, ledger),
            }
        }
    }

    fn take(&mut self, report: Report, ledger: &Ledger) {
        let end = report.end();
        let running = self.running;
        if end.is_some_and(|task| running.is_some_and(|(known, _)| known == task)) {
            self.running = None;
            self.show(None);
        }
        match &report {
            Report::Attached { terminal_id, .. } => {
                self.terminal_id = terminal_id.clone().unwrap_or_default();
                self.set_link(Link::Ready);
            }
            Report::LastTransaction(told) => self.last_told(told.as_ref(), ledger),
            Report::LastTransactionUnavailable(why) => self.last_untold(*why, ledger),
            Report::Status { text, .. } | Report::Intermediate { text, .. } => self.show(Some(text.clone())),
            Report::PrintLine(_) | Report::AbortRefused | Report::EndOfDay(_) | Report::Alarm(_) => {}
            Report::Result(told) => self.result(told, running, ledger),
            Report::Completed(_)
            | Report::Declined { .. }
            | Report::Aborted { .. }
            | Report::TakenBack(_)
            | Report::Stands(_)
            | Report::NotSent { .. }
            | Report::Unknown { .. }
            | Report::Failed { .. } => self.ended(&report, running, ledger),
        }
    }

    /// Money moved, or is about to: the terminal waits for its answer.
    fn result(&mut self, told: &Transaction, running: Option<(Task, Option<OpId>)>, ledger: &Ledger) {
        let record = record_of(told, &self.terminal_id);
        let Some((payment, task)) = under_way(running, self.device, ledger) else { return };
        self.told = Some((record.clone(), told.offline));
        let standing = payment.standing();
        if task == Task::Reverse {
            // A terminal that undoes its last payment whatever it is asked must not undo another buyer's.
            let another = |charge: &TerminalRecord| {
                charge.trace > 0 && record.reversed_trace.is_some_and(|trace| trace != charge.trace)
            };
            if standing.record.is_some_and(another) {
                self.told = None;
                return self.drive(Input::Refuse, ledger);
            }
            // That it was asked for is durable. It is recorded once the terminal has the answer: before, it may not stand.
            return self.drive(Input::Recorded, ledger);
        }
        let baseline = standing.baseline.cloned().unwrap_or_default();
        match matches(asked(payment), &baseline, &record, Heard::InDialogue) {
            Match::Booked | Match::Unclear => self.step(payment, PaymentStep::Approved(record), Then::Accept),
            Match::Mismatch => self.step(payment, PaymentStep::Mismatched(record), Then::TakeBack),
            // An older transaction told again is no answer to this question. Unanswered, it changes nothing, and the
            // driver's wait ends in doubt.
            Match::Older | Match::Foreign | Match::Declined => {}
        }
    }

    /// The driver is done with a request.
    fn ended(&mut self, report: &Report, running: Option<(Task, Option<OpId>)>, ledger: &Ledger) {
        let told = self.told.take();
        let doubt = matches!(report, Report::Unknown { .. } | Report::Failed { .. });
        if doubt || matches!(report, Report::NotSent { why: NotSent::NotAttached, .. }) {
            self.find_out_anew();
        }
        match running {
            Some((Task::Authorise, Some(_))) => {
                let Some((payment, _)) = under_way(running, self.device, ledger) else { return };
                if matches!(report, Report::Completed(_)) {
                    self.set_baseline(told.as_ref().map(|(record, _)| baseline_of(record)));
                }
                if let Some(step) = charged(report, self.stopping, told) {
                    self.step(payment, step, Then::Rest);
                }
            }
            Some((Task::Reverse, Some(_))) => {
                let Some((payment, _)) = under_way(running, self.device, ledger) else { return };
                self.step(payment, reversed(report, told.map(|(record, _)| record)), Then::Rest);
            }
            Some((Task::Attach | Task::LastTransaction, _)) => {
                self.rest_until_ms = Some(self.now_ms.saturating_add(REST_MS));
                let held = ledger.holds_terminal(self.device);
                if let Some(payment) = held.filter(|payment| payment.state() == PaymentState::Intended) {
                    self.step(payment, PaymentStep::Cancelled(CancelledBy::Kit), Then::Rest);
                }
            }
            _ => {}
        }
        self.stopping = false;
    }

    /// The terminal told its last transaction.
    fn last_told(&mut self, told: Option<&Transaction>, ledger: &Ledger) {
        let held = ledger.holds_terminal(self.device).filter(|payment| payment.standing().is_asked());
        let Some(told) = told else {
            let terminal_id = Some(self.terminal_id.clone()).filter(|id| !id.is_empty());
            self.set_baseline(Some(Baseline { terminal_id, ..Baseline::default() }));
            if let Some(payment) = held {
                let step = match payment.state().is_reversing() {
                    true => PaymentStep::ReversalUnknown("the terminal remembers no transaction".to_owned()),
                    false => PaymentStep::NotCharged("the terminal remembers no transaction".to_owned()),
                };
                self.step(payment, step, Then::Rest);
            }
            return;
        };
        let record = record_of(told, &self.terminal_id);
        self.set_baseline(Some(baseline_of(&record)));
        match (ledger.recognise(self.device, &record), held) {
            (Recognised::Tells(payment, found), _) if payment.closed_last().is_some() => {
                self.tell_otherwise(payment, found, record);
            }
            (Recognised::Tells(payment, found), _) if payment.standing().is_asked() => {
                self.judge(payment, found, record, told.offline);
            }
            (Recognised::Tells(..), _) | (Recognised::Known, None) => {}
            (Recognised::Known, Some(payment)) => self.doubt(payment, "the terminal's last transaction is another one"),
            (Recognised::Foreign, Some(payment)) if undone_by_itself(payment, &record) => {
                self.step(payment, PaymentStep::Reversed(record), Then::Rest);
            }
            (Recognised::Foreign, held) => {
                if let Some(payment) = held {
                    self.doubt(payment, "another transaction came after it at the terminal");
                }
                if record.result == 0 {
                    let device = self.device;
                    self.queue.push_back((Command::RecordForeign { device, record }, Then::Rest));
                }
            }
        }
    }

    /// The terminal tells something that a person who closed the payment did not know.
    fn tell_otherwise(&mut self, payment: &Payment, found: Match, record: TerminalRecord) {
        match found {
            // Against a no the rules undo it; a yes is borne out.
            Match::Booked => self.step(payment, PaymentStep::Approved(record), Then::Rest),
            Match::Older | Match::Declined => {
                let why = format!("the terminal's last transaction is receipt {}", record.receipt);
                self.step(payment, PaymentStep::NotCharged(why), Then::Rest);
            }
            Match::Foreign | Match::Mismatch | Match::Unclear => {}
        }
    }

    /// The terminal does not tell its last transaction.
    fn last_untold(&mut self, why: Unavailable, ledger: &Ledger) {
        if let Unavailable::Doubt(_) = why {
            self.find_out_anew();
            self.rest_until_ms = Some(self.now_ms.saturating_add(REST_MS));
            return;
        }
        self.set_baseline(Some(Baseline::default()));
        if let Some(payment) = ledger.holds_terminal(self.device).filter(|payment| payment.standing().is_asked()) {
            self.doubt(payment, "the terminal does not tell its last transaction");
        }
    }

    /// The terminal's last transaction is about a payment whose outcome is open.
    fn judge(&mut self, payment: &Payment, found: Match, record: TerminalRecord, offline: bool) {
        let code = u32::from(record.result);
        let earlier = || format!("the terminal's last transaction is still receipt {}", record.receipt);
        match (payment.state().is_reversing(), found) {
            (true, Match::Booked) => self.step(payment, PaymentStep::Reversed(record), Then::Rest),
            (true, Match::Older) => {
                let no = TerminalAnswer { code: 0, text: earlier() };
                self.step(payment, PaymentStep::ReversalDeclined(no), Then::Rest);
            }
            (true, Match::Declined) => {
                let no = TerminalAnswer { code, text: "the terminal did not reverse it".to_owned() };
                self.step(payment, PaymentStep::ReversalDeclined(no), Then::Rest);
            }
            (false, Match::Booked) => {
                if payment.standing().record.is_none() {
                    self.step(payment, PaymentStep::Approved(record.clone()), Then::Rest);
                }
                let taken = if offline { PaymentStep::AtRisk(record) } else { PaymentStep::Captured(Zero) };
                self.step(payment, taken, Then::Rest);
            }
            (false, Match::Older) => self.step(payment, PaymentStep::NotCharged(earlier()), Then::Rest),
            (false, Match::Declined) => {
                let no = TerminalAnswer { code, text: "the terminal declined it".to_owned() };
                self.step(payment, PaymentStep::Declined(no), Then::Rest);
            }
            (false, Match::Mismatch) => self.step(payment, PaymentStep::Mismatched(record), Then::Rest),
            (true, Match::Mismatch) | (_, Match::Unclear | Match::Foreign) => {
                self.doubt(payment, "the terminal's last transaction cannot be told apart");
            }
        }
    }

    /// Records that nobody knows, where that is news.
    fn doubt(&mut self, payment: &Payment, why: &str) {
        if !payment.state().is_unknown() {
            let step = if payment.state().is_reversing() { PaymentStep::ReversalUnknown } else { PaymentStep::Unknown };
            self.step(payment, step(why.to_owned()), Then::Rest);
        }
    }

    fn step(&mut self, payment: &Payment, step: PaymentStep, then: Then) {
        let command = Command::MovePayment { order: payment.order, payment: payment.payment_id, step };
        self.queue.push_back((command, then));
    }

    fn set_link(&mut self, link: Link) {
        self.link = link;
        if link != Link::Down {
            self.waits = None;
        }
        self.show(None);
    }

    fn show(&mut self, text: Option<String>) {
        let payment = self.running.and_then(|(_, payment)| payment);
        self.wishes.push_back(Wish::Show(Shown { device: self.device, payment, link: self.link, text }));
    }
}

/// The key of a report: the same report, made again, has the same key.
fn key(command: &Command, device: OpId, ledger: &Ledger) -> Option<CommandKey> {
    match command {
        Command::MovePayment { payment, step, .. } => {
            let held = ledger.holds_terminal(device).filter(|held| held.payment_id == *payment);
            let closed = || ledger.open_payment(*payment).filter(|known| known.closed_last().is_some());
            Some(held.or_else(closed)?.command_key(step))
        }
        Command::RecordForeign { record, .. } => {
            let content = record.to_bytes();
            Some(CommandKey::named(Hash::derived("fieldkit 2026-11 payment without order", &content), &content))
        }
        _ => None,
    }
}

/// What is to be recorded and then asked for a payment that waits for its turn.
fn next_step(payment: &Payment, baseline: &Baseline) -> Option<(PaymentStep, Request)> {
    match payment.state() {
        PaymentState::Intended => {
            Some((PaymentStep::Sent(baseline.clone()), Request::Authorise { amount: asked(payment) }))
        }
        PaymentState::Reversing if !payment.standing().is_asked() => {
            let charge = payment.standing().record?;
            let amount = Money::new(charge.amount, charge.currency);
            Some((PaymentStep::ReversalSent(baseline.clone()), Request::Reverse { receipt: charge.receipt, amount }))
        }
        _ => None,
    }
}

fn asked(payment: &Payment) -> Money {
    Money::new(payment.amount, payment.currency)
}

/// Whether a terminal that got no answer took the payment back by itself.
fn undone_by_itself(payment: &Payment, record: &TerminalRecord) -> bool {
    record.kind == RecordKind::Reversal
        && record.result == 0
        && !payment.state().is_reversing()
        && (record.amount, record.currency) == (payment.amount, payment.currency)
}

/// The payment that the driver works on.
fn under_way(running: Option<(Task, Option<OpId>)>, device: OpId, ledger: &Ledger) -> Option<(&Payment, Task)> {
    let (task, payment) = running?;
    let held = ledger.holds_terminal(device).filter(|held| Some(held.payment_id) == payment)?;
    Some((held, task))
}

/// What the end of a charge means; `None` where it is recorded already.
fn charged(report: &Report, stopping: bool, told: Option<(TerminalRecord, bool)>) -> Option<PaymentStep> {
    Some(match report {
        Report::Completed(_) => match told {
            Some((record, true)) => PaymentStep::AtRisk(record),
            Some((_, false)) | None => PaymentStep::Captured(Zero),
        },
        Report::Declined { code, text, .. } => PaymentStep::Declined(answer(*code, text)),
        Report::Aborted { .. } if stopping => PaymentStep::Cancelled(CancelledBy::Crew),
        Report::Aborted { .. } => PaymentStep::Cancelled(CancelledBy::Terminal),
        Report::TakenBack(_) => PaymentStep::NotCharged("the terminal took it back".to_owned()),
        // The reversal that follows was intended with the mismatch.
        Report::Stands(_) => return None,
        Report::NotSent { .. } => PaymentStep::Cancelled(CancelledBy::Kit),
        Report::Unknown { why, .. } | Report::Failed { why, .. } => PaymentStep::Unknown(doubt_text(*why).to_owned()),
        _ => return None,
    })
}

/// What the end of a reversal means.
fn reversed(report: &Report, told: Option<TerminalRecord>) -> PaymentStep {
    match (report, told) {
        (Report::Completed(_), Some(record)) => PaymentStep::Reversed(record),
        (Report::Declined { code, .. } | Report::Aborted { code, .. }, _) if *code == REVERSED_BEFORE => {
            PaymentStep::ReversalUnknown("the terminal says that it was reversed before".to_owned())
        }
        (Report::Declined { code, text, .. } | Report::Aborted { code, text, .. }, _) => {
            PaymentStep::ReversalDeclined(answer(*code, text))
        }
        (Report::TakenBack(_), _) => {
            PaymentStep::ReversalDeclined(answer(0, "the terminal undid another payment instead, and took that back"))
        }
        (Report::NotSent { why, .. }, _) => PaymentStep::ReversalDeclined(answer(0, not_sent_text(*why))),
        (Report::Unknown { why, .. } | Report::Failed { why, .. }, _) => {
            PaymentStep::ReversalUnknown(doubt_text(*why).to_owned())
        }
        _ => PaymentStep::ReversalUnknown("the terminal did not say what it did".to_owned()),
    }
}

fn answer(code: u8, text: &str) -> TerminalAnswer {
    TerminalAnswer { code: u32::from(code), text: text.to_owned() }
}

fn doubt_text(why: Doubt) -> &'static str {
    match why {
        Doubt::LinkLost => "the link to the terminal broke",
        Doubt::NotAcknowledged => "the terminal did not take the bytes",
        Doubt::NoAnswer => "the terminal did not answer",
        Doubt::Silent => "the terminal fell silent",
        Doubt::NoResult => "the terminal did not say what it did",
        Doubt::Overtaken => "the terminal went on before its result was recorded",
        Doubt::AbortedLate => "the terminal gave up after it had the answer",
        Doubt::NotVerified => "the terminal could not verify it",
        Doubt::Busy => "the terminal is busy",
        Doubt::Refused(_) => "the terminal refuses to say",
        Doubt::Unreadable => "the terminal speaks what cannot be read",
    }
}

fn not_sent_text(why: NotSent) -> &'static str {
    match why {
        NotSent::NoLink => "there was no link to the terminal",
        NotSent::Silent => "the terminal did not answer",
        NotSent::NotAttached | NotSent::Busy => "the terminal was busy",
        NotSent::NothingRuns => "nothing ran",
        NotSent::Amount => "the amount is none for this terminal",
        NotSent::NotTheLast => "this terminal reverses its last payment only, and another one came after",
        NotSent::Unsupported => "this terminal cannot do that",
    }
}

/// A transaction as the ledger keeps it.
fn record_of(told: &Transaction, terminal_id: &str) -> TerminalRecord {
    let known = if told.terminal_id.is_empty() { terminal_id } else { &told.terminal_id };
    TerminalRecord {
        kind: match told.kind {
            Kind::Payment => RecordKind::Payment,
            Kind::Reversal => RecordKind::Reversal,
            Kind::Refund => RecordKind::Refund,
            Kind::Unstated => RecordKind::Unstated,
        },
        terminal_id: known.to_owned(),
        receipt: told.receipt,
        trace: told.trace,
        amount: told.amount.minor,
        currency: told.amount.currency,
        date: told.date.map(|date| u16::from(date.month) * 100 + u16::from(date.day)),
        time: told
            .time
            .map(|time| u32::from(time.hour) * 10_000 + u32::from(time.minute) * 100 + u32::from(time.second)),
        card_name: told.card_name.clone(),
        masked_pan: told.masked_pan.clone(),
        authorisation: told.authorisation.clone(),
        result: told.result,
        reversed_trace: told.reversed_trace,
    }
}
