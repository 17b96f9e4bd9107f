//! The till's side of Telium "protocol E": a driver for terminals on a serial line. Status: experimental.
//!
//! Speaks: call (`ENQ`), ask, answer at the end of the payment. Debit and credit.
//!
//! Promises: an ask is sent again only when the terminal says that it did not get it (`NAK`); once sent, everything short of a
//! readable answer ends as unknown. An answer is acknowledged only after [`Input::Recorded`]. By default the terminal is asked
//! to leave the card out of its answer, so that no card data comes at all.
//! On garbage: dropped and counted. On silence: [`CALL_MS`] for a call, [`TAKE_MS`] for an ask, [`PAYMENT_MS`] for the buyer.
//! On reconnect: nothing can be asked; the call alone shows that somebody is there. An answer that comes after its request
//! has ended is not taken: there is nothing in it to tell it from the answer to the next.
//! Absent on purpose: reversal, last transaction, end of day, stop: the protocol has none. A terminal takes nothing back: a
//! refused result stands until it is refunded.

use crate::mask;
use crate::telium::codec::{AMOUNT_MAX, Answer, Ask, Control, Detail, Heard, Line, Wish, frame};
use crate::terminal::{
    Alarm, Doubt, Driver, Input, Kind, NotSent, Output, Report, Request, Task, Transaction, Unavailable,
};
use fieldkit_core::money::{Currency, Money};
use std::collections::VecDeque;

/// Wait for the answer to a call.
pub const CALL_MS: u64 = 2_000;
/// How often a call is made.
pub const CALLS_MAX: u32 = 3;
/// Wait for the acknowledgement of an ask.
pub const TAKE_MS: u64 = 5_000;
/// How often an ask is sent, the first time included.
pub const ASKS_MAX: u32 = 3;
/// Longest wait for the buyer and the issuer.
pub const PAYMENT_MS: u64 = 180_000;
/// Longest wait for an answer that was announced.
pub const ANSWER_MS: u64 = 5_000;
/// Longest wait for the desk to record a result.
pub const RECORD_MS: u64 = 4_500;
/// Noise that is worth an alarm, in bytes; then eight times as much, and so on.
pub const NOISE_BYTES: u64 = 64;

/// What a driver is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The till's number, 1 to 99.
    pub till: u8,
    /// The currency of the event.
    pub currency: Currency,
    /// Whether the card's number shall come, to be masked.
    pub detail: Detail,
}

/// The driver.
#[derive(Clone, Debug)]
pub struct Ecr {
    config: Config,
    line: Line,
    up: bool,
    attached: bool,
    running: Option<Running>,
    out: VecDeque<Queued>,
    noise: u64,
    noise_alarm: u64,
}

#[derive(Clone, Debug)]
struct Queued {
    output: Output,
    /// Whether polling it means that the ask may have been sent.
    ask: bool,
}

#[derive(Clone, Debug)]
struct Running {
    request: Request,
    phase: Phase,
    until_ms: u64,
    tries: u32,
    sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Called; may we speak?
    Calling,
    /// Asked; was it taken?
    Asking,
    /// The buyer's turn.
    Paying,
    /// The terminal announced its answer.
    Answering,
    /// The result is with the desk.
    Desk,
}

impl Driver for Ecr {
    fn handle(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::LinkUp => {
                self.lose();
                self.up = true;
            }
            Input::LinkDown => self.lose(),
            Input::Bytes(bytes) if self.up => self.bytes(now_ms, &bytes),
            Input::Bytes(_) | Input::Tick | Input::Hold => {}
            Input::Request(request) => self.request(now_ms, request),
            Input::Recorded => self.decided(Report::Completed),
            Input::Refuse => self.decided(Report::Stands),
        }
        self.expire(now_ms);
    }
    fn poll_output(&mut self) -> Option<Output> {
        let queued = self.out.pop_front()?;
        if let Some(running) = self.running.as_mut().filter(|_| queued.ask) {
            running.sent = true;
        }
        Some(queued.output)
    }
    fn poll_timeout(&self) -> Option<u64> {
        let running = self.running.as_ref().map(|running| running.until_ms);
        [running, self.line.deadline_ms()].into_iter().flatten().min()
    }
}

impl Ecr {
    /// A driver without a link.
    pub fn new(config: Config) -> Self {
        Ecr {
            config,
            line: Line::default(),
            up: false,
            attached: false,
            running: None,
            out: VecDeque::new(),
            noise: 0,
            noise_alarm: NOISE_BYTES,
        }
    }

    fn request(&mut self, now_ms: u64, request: Request) {
        let task = request.task();
        let fits = |amount: Money| (1..=AMOUNT_MAX).contains(&amount.minor) && amount.currency == self.config.currency;
        let why = match request {
            Request::Abort if self.running.is_some() => return self.report(Report::AbortRefused),
            Request::Abort => Some(NotSent::NothingRuns),
            _ if self.running.is_some() => Some(NotSent::Busy),
            Request::LastTransaction => {
                return self.report(Report::LastTransactionUnavailable(Unavailable::Unsupported));
            }
            Request::Reverse { .. } | Request::EndOfDay | Request::Diagnose | Request::LogOff => {
                Some(NotSent::Unsupported)
            }
            _ if !self.up => Some(NotSent::NoLink),
            Request::Attach => None,
            _ if !self.attached => Some(NotSent::NotAttached),
            Request::Authorise { amount } | Request::Refund { amount } => (!fits(amount)).then_some(NotSent::Amount),
        };
        match why {
            Some(why) => self.report(Report::NotSent { task, why }),
            None => {
                self.attached &= task != Task::Attach;
                let running = Running { request, phase: Phase::Calling, until_ms: 0, tries: 0, sent: false };
                self.running = Some(running);
                self.call(now_ms);
            }
        }
    }
    fn call(&mut self, now_ms: u64) {
        let Some(running) = &mut self.running else { return };
        running.tries += 1;
        running.until_ms = now_ms + CALL_MS;
        self.say(Control::Enq);
    }
    fn ask(&mut self, now_ms: u64) {
        let Some(running) = &mut self.running else { return };
        let (amount, wish) = match running.request {
            Request::Authorise { amount } => (amount, Wish::Debit),
            Request::Refund { amount } => (amount, Wish::Credit),
            _ => return,
        };
        running.tries += 1;
        (running.phase, running.until_ms) = (Phase::Asking, now_ms + TAKE_MS);
        let ask = Ask {
            till: self.config.till,
            minor: amount.minor,
            detail: self.config.detail,
            means: b'1',
            wish,
            currency: amount.currency.numeric(),
            private: *b"          ",
        };
        self.out.push_back(Queued { output: Output::Send(frame(&ask.bytes())), ask: true });
    }

    fn bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        for byte in bytes {
            if let Some(heard) = self.line.byte(now_ms, *byte) {
                self.heard(now_ms, &heard);
            }
        }
    }
    fn heard(&mut self, now_ms: u64, heard: &Heard) {
        let Some(running) = &mut self.running else {
            // A late answer, or nothing of ours.
            return if *heard == Heard::Noise {
                self.noise()
            };
        };
        match (running.phase, heard) {
            (Phase::Calling, Heard::Control(Control::Ack)) if running.request == Request::Attach => {
                self.attached = true;
                self.say(Control::Eot);
                self.finish(Report::Attached { terminal_id: None, currency: None });
            }
            (Phase::Calling, Heard::Control(Control::Ack)) => {
                running.tries = 0;
                self.ask(now_ms);
            }
            // It wants to tell the end of something else first.
            (Phase::Calling, Heard::Control(Control::Enq)) => self.give_up(Doubt::Busy),
            (Phase::Asking, Heard::Control(Control::Ack)) => {
                (running.phase, running.until_ms) = (Phase::Paying, now_ms + PAYMENT_MS);
                self.say(Control::Eot);
            }
            (Phase::Asking, Heard::Control(Control::Nak)) if running.tries < ASKS_MAX => self.ask(now_ms),
            (Phase::Asking, Heard::Control(Control::Nak)) => self.give_up(Doubt::NotAcknowledged),
            // A call in place of the acknowledgement: it was taken.
            (Phase::Asking | Phase::Paying | Phase::Answering, Heard::Control(Control::Enq)) => {
                (running.phase, running.until_ms) = (Phase::Answering, now_ms + ANSWER_MS);
                self.say(Control::Ack);
            }
            (Phase::Answering, Heard::Data(data)) => self.answer(now_ms, data),
            (Phase::Answering, Heard::Broken) => self.say(Control::Nak),
            (_, Heard::Noise) => self.noise(),
            _ => {}
        }
    }
    fn answer(&mut self, now_ms: u64, data: &[u8]) {
        let Some(running) = &mut self.running else { return };
        let task = running.request.task();
        let Some(answer) = Answer::read(data) else { return self.say(Control::Nak) };
        match answer.result {
            b'0' => {
                (running.phase, running.until_ms) = (Phase::Desk, now_ms + RECORD_MS);
                let transaction = self.transaction(task, &answer);
                self.report(Report::Result(transaction));
            }
            b'7' => {
                self.say(Control::Ack);
                self.finish(Report::Declined { task, code: 7, text: "the terminal says no".to_owned() });
            }
            _ => {
                self.say(Control::Ack);
                self.give_up(Doubt::NotVerified);
            }
        }
    }
    fn transaction(&mut self, task: Task, answer: &Answer) -> Transaction {
        let none = Currency::from_code("XXX").unwrap_or(self.config.currency);
        let report = answer.report.as_deref().unwrap_or_default();
        let number = report.split(|byte| *byte == b' ').next().unwrap_or_default();
        let shown = number.iter().map(|byte| if byte.is_ascii_digit() { char::from(*byte) } else { '*' });
        let pan = mask::number(&shown.collect::<String>());
        let private = mask::text(&answer.private);
        if pan.seen || private.seen {
            self.report(Report::Alarm(Alarm::PanSeen));
        }
        Transaction {
            kind: if task == Task::Refund { Kind::Refund } else { Kind::Payment },
            terminal_id: String::new(),
            receipt: 0,
            trace: 0,
            amount: Money::new(answer.minor, Currency::from_numeric(answer.currency).unwrap_or(none)),
            date: None,
            time: None,
            card_name: String::new(),
            masked_pan: pan.text,
            authorisation: private.text.trim().to_owned(),
            result: 0,
            offline: false,
            reversed_trace: None,
        }
    }
    /// The desk has decided. The money stands whatever we say; the acknowledgement only ends the talk.
    fn decided(&mut self, end: fn(Task) -> Report) {
        let Some(running) = self.running.as_ref().filter(|running| running.phase == Phase::Desk) else { return };
        let task = running.request.task();
        self.say(Control::Ack);
        self.finish(end(task));
    }

    fn expire(&mut self, now_ms: u64) {
        if let Some(heard) = self.line.tick(now_ms) {
            self.heard(now_ms, &heard);
        }
        let Some(running) = self.running.as_ref().filter(|running| running.until_ms <= now_ms) else { return };
        match running.phase {
            Phase::Calling if running.tries < CALLS_MAX => self.call(now_ms),
            Phase::Calling => self.give_up(Doubt::NoAnswer),
            Phase::Asking => self.give_up(Doubt::NotAcknowledged),
            Phase::Paying | Phase::Answering => self.give_up(Doubt::Silent),
            Phase::Desk => self.give_up(Doubt::Overtaken),
        }
    }
    fn lose(&mut self) {
        self.out.retain(|queued| !matches!(queued.output, Output::Send(_)));
        self.line = Line::default();
        self.give_up(Doubt::LinkLost);
        self.up = false;
    }
    fn give_up(&mut self, why: Doubt) {
        self.attached = false;
        let Some(running) = self.running.take() else { return };
        let task = running.request.task();
        let end = match (task, why) {
            (Task::Attach, why) => Report::Failed { task, why },
            (_, why) if running.sent => Report::Unknown { task, why },
            (_, Doubt::NoAnswer) => Report::NotSent { task, why: NotSent::Silent },
            (_, Doubt::Busy) => Report::NotSent { task, why: NotSent::Busy },
            (_, _) => Report::NotSent { task, why: NotSent::NoLink },
        };
        self.report(end);
    }
    fn finish(&mut self, end: Report) {
        self.running = None;
        self.report(end);
    }

    fn say(&mut self, control: Control) {
        self.out.push_back(Queued { output: Output::Send(vec![control.byte()]), ask: false });
    }
    fn report(&mut self, report: Report) {
        self.out.push_back(Queued { output: Output::Report(report), ask: false });
    }
    fn noise(&mut self) {
        self.noise += 1;
        if self.noise >= self.noise_alarm {
            self.noise_alarm = self.noise.saturating_mul(8);
            self.report(Report::Alarm(Alarm::Noise { bytes: self.noise }));
        }
    }
}
