//! The till's side of ZVT: a driver for terminals over serial line or TCP. Status: beta.
//!
//! Speaks PA00P015 13.08: registration, status enquiry, initialisation, diagnosis, payment, reversal by receipt number,
//! refund, last transaction, end of day, abort, log-off. The till writes the receipts itself (bit 7 of the configuration
//! byte is 0), so that exactly one answer binds: the one to the result.
//!
//! Promises:
//! - The answer to a result leaves only after [`Input::Recorded`]. Unrecorded for [`RECORD_MS`], it stays away, the outcome is
//!   unknown, and the terminal takes the payment back.
//! - A command that moves money is sent once. Over a line its block is repeated only when the terminal says that it did not
//!   get it. Everything that may have reached the terminal and did not come to a clear end ends as unknown, and the next
//!   thing to do is `Attach`, then `LastTransaction`.
//! - A result that nobody waits for is never answered: an unanswered payment does not stand.
//! - A repeated result is told to the desk once and answered the same way again.
//! - The terminal's count of results (`1F1F`) is given back only as this session has seen it; an older one would make the
//!   terminal take back a payment that stands.
//!
//! On garbage: dropped and counted; over TCP the stream has no way back and is closed. On silence: [`T3_MS`] for an answer,
//! [`T4_MS`] between messages, longer where the terminal asks for it, [`DIALOGUE_MS`] in all; then the till asks the terminal
//! to stop, and gives up. On reconnect: `Attach`, which waits up to [`BUSY_MS`] for a terminal that is still busy.
//! Absent on purpose: what a payment is for, and any second try.

mod steps;

use crate::mask::Masked;
use crate::terminal::{
    Alarm, Doubt, Driver, Input, Kind, NotSent, Output, Profile, Repeat as Told, Report, Request, ReversalReach, Task,
    Transaction, Unavailable,
};
use crate::zvt::apdu::{Apdu, Command, Kind as ApduKind};
use crate::zvt::carrier::{Carrier, Event, Framing};
use crate::zvt::link::Repeat;
use crate::zvt::message::{Done, Shown, Status, code, code_text, print_lines};
use fieldkit_core::money::{Currency, Money};
use std::collections::VecDeque;

/// Longest wait for the answer to a command (T3).
pub const T3_MS: u64 = 5_000;
/// Longest silence of a terminal that works (T4), unless it asks for more.
pub const T4_MS: u64 = 180_000;
/// Longest wait for the desk to record a result: less than a terminal waits for its answer.
pub const RECORD_MS: u64 = 4_500;
/// Longest wait after asking a silent terminal to stop.
pub const STOP_MS: u64 = 10_000;
/// Pause before a busy terminal is asked again.
pub const PAUSE_MS: u64 = 2_000;
/// Longest patience with a busy terminal.
pub const BUSY_MS: u64 = 60_000;
/// Longest a request may take in all.
pub const DIALOGUE_MS: u64 = 900_000;
/// Messages a second above which a terminal floods us.
pub const MESSAGES_MAX: u32 = 500;
/// Noise that is worth an alarm, in bytes; then eight times as much, and so on.
pub const NOISE_BYTES: u64 = 64;
/// The largest amount that the protocol can carry.
const AMOUNT_MAX: i64 = 999_999_999_999;
/// The largest receipt number.
const RECEIPT_MAX: u32 = 9_999;

/// What a driver is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Line or stream.
    pub framing: Framing,
    /// The till's password at the terminal, six digits; 0 unless somebody set one.
    pub password: u32,
    /// The currency of the event.
    pub currency: Currency,
    /// How the terminal departs from the paper.
    pub profile: Profile,
    /// Whether to offer numbered messages (chapter 5). Our reading of it; no real terminal was seen to use them.
    pub message_ids: bool,
}

/// The driver.
#[derive(Clone, Debug)]
pub struct Ecr {
    config: Config,
    carrier: Carrier,
    up: bool,
    attached: bool,
    terminal_id: Option<String>,
    /// The receipt number of the last transaction, as far as this session knows.
    last_receipt: Option<u32>,
    count: Option<Vec<u8>>,
    message_id: Option<u32>,
    running: Option<Running>,
    out: VecDeque<Queued>,
    noise: u64,
    noise_alarm: u64,
    messages: Messages,
}

/// An output, and whether it is a command whose polling means that it may have been sent.
#[derive(Clone, Debug)]
struct Queued {
    output: Output,
    command: bool,
}

/// How many messages came within the second that began then.
#[derive(Clone, Copy, Debug, Default)]
struct Messages {
    since_ms: u64,
    count: u32,
}

/// The request that runs.
#[derive(Clone, Debug)]
struct Running {
    request: Request,
    step: Step,
    phase: Phase,
    /// The number of the command that was sent last.
    command: u64,
    until_ms: u64,
    /// When the request has taken too long in all.
    end_ms: u64,
    /// Until when a busy terminal is asked again.
    busy_ms: u64,
    /// Whether the command's bytes were polled.
    sent: bool,
    stop: Stop,
    outcome: Outcome,
    offline: bool,
    /// What the terminal needs before it can work, and its currency; learnt while attaching.
    needs: steps::Needs,
    currency: Option<Currency>,
}

/// Which command of a request; all but `Attach` have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Enquire,
    Register,
    Initialise,
    Diagnose,
    Only,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The command is on its way; the line decides when that has failed.
    Sending,
    /// It was taken; its answer is awaited.
    Answer,
    /// The terminal leads.
    Terminal,
    /// A report that binds is out; the desk decides.
    Desk,
    /// The terminal is busy; the command is sent again after a pause.
    Pause,
    /// Asked to stop after a silence; the last wait.
    Stopping,
}

/// Whether the desk wishes to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    Wanted,
    Asked,
}

/// What the terminal has said so far.
#[derive(Clone, Debug)]
enum Outcome {
    None,
    Declined(u8),
    Result(Found),
    /// Totals of an end of day, and whether they were answered.
    Totals(Standing),
    /// The answer to the question for the last transaction.
    Last(Option<Transaction>),
}

/// A result and how it stands between us.
#[derive(Clone, Debug)]
struct Found {
    transaction: Transaction,
    count: Option<Vec<u8>>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The terminal waits for our answer.
    Asked,
    /// It was told to ask again; then it will hear this, if the desk has decided by then.
    Held(Option<Decision>),
    /// It was answered.
    Answered(Decision),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Recorded,
    Refused,
}

impl Driver for Ecr {
    fn handle(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::LinkUp => {
                self.lose(Doubt::LinkLost);
                self.carrier.reset();
                self.up = true;
            }
            Input::LinkDown => self.lose(Doubt::LinkLost),
            Input::Bytes(bytes) if self.up => self.carrier.bytes(now_ms, &bytes),
            Input::Bytes(_) | Input::Tick => {}
            Input::Request(request) => self.request(now_ms, request),
            Input::Recorded => self.decide(now_ms, Some(Decision::Recorded)),
            Input::Refuse => self.decide(now_ms, Some(Decision::Refused)),
            Input::Hold => self.decide(now_ms, None),
        }
        self.drain(now_ms);
        self.expire(now_ms);
    }
    fn poll_output(&mut self) -> Option<Output> {
        let queued = self.out.pop_front()?;
        if let Some(running) = self.running.as_mut().filter(|_| queued.command) {
            running.sent = true;
        }
        Some(queued.output)
    }
    fn poll_timeout(&self) -> Option<u64> {
        [self.deadline_ms(), self.carrier.deadline_ms()].into_iter().flatten().min()
    }
}

impl Ecr {
    /// A driver without a link.
    pub fn new(config: Config) -> Self {
        Ecr {
            config,
            carrier: Carrier::new(config.framing),
            up: false,
            attached: false,
            terminal_id: None,
            last_receipt: None,
            count: None,
            message_id: None,
            running: None,
            out: VecDeque::new(),
            noise: 0,
            noise_alarm: NOISE_BYTES,
            messages: Messages::default(),
        }
    }

    // --- the desk's wishes ---

    fn request(&mut self, now_ms: u64, request: Request) {
        if request == Request::Abort {
            return self.stop(now_ms);
        }
        let task = request.task();
        match self.refusal(&request) {
            Some(why) => self.report(Report::NotSent { task, why }),
            None if request == Request::LastTransaction && self.config.profile.repeat == Told::Bare => {
                self.report(Report::LastTransactionUnavailable(Unavailable::Unsupported));
            }
            None => self.begin(now_ms, request),
        }
    }
    /// Why a request cannot even begin, in this order.
    fn refusal(&self, request: &Request) -> Option<NotSent> {
        if self.running.is_some() {
            return Some(NotSent::Busy);
        }
        if !self.up {
            return Some(NotSent::NoLink);
        }
        if !self.attached && *request != Request::Attach {
            return Some(NotSent::NotAttached);
        }
        let fits = |amount: &Money| (1..=AMOUNT_MAX).contains(&amount.minor) && amount.currency == self.config.currency;
        match request {
            Request::Authorise { amount } | Request::Refund { amount } if !fits(amount) => Some(NotSent::Amount),
            Request::Reverse { receipt, amount } => {
                let last_only = self.config.profile.reversal == ReversalReach::LastOnly;
                if !fits(amount) || !(1..=RECEIPT_MAX).contains(receipt) {
                    Some(NotSent::Amount)
                } else if last_only && self.last_receipt != Some(*receipt) {
                    Some(NotSent::NotTheLast)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
    fn begin(&mut self, now_ms: u64, request: Request) {
        let attach = request == Request::Attach;
        if attach {
            self.attached = false;
            (self.terminal_id, self.last_receipt, self.count, self.message_id) = (None, None, None, None);
        }
        self.running = Some(Running {
            request,
            step: if attach { Step::Enquire } else { Step::Only },
            phase: Phase::Sending,
            command: 0,
            until_ms: u64::MAX,
            end_ms: now_ms + DIALOGUE_MS,
            busy_ms: now_ms + BUSY_MS,
            sent: false,
            stop: Stop::No,
            outcome: Outcome::None,
            offline: false,
            needs: steps::Needs::default(),
            currency: None,
        });
        self.command(now_ms);
    }
    /// Sends the command of the step.
    fn command(&mut self, now_ms: u64) {
        let Some((request, step)) = self.running.as_ref().map(|running| (running.request, running.step)) else {
            return;
        };
        let apdu = self.command_of(request, step);
        let repeat = if request.task().moves_money() { Repeat::OnNak } else { Repeat::Always };
        let Some(running) = &mut self.running else { return };
        (running.phase, running.until_ms) = (Phase::Sending, u64::MAX);
        running.command = self.carrier.send(now_ms, &apdu, repeat);
        self.flush();
    }
    fn stop(&mut self, now_ms: u64) {
        let Some(running) = &mut self.running else {
            return self.report(Report::NotSent { task: Task::Abort, why: NotSent::NothingRuns });
        };
        match (running.phase, &mut running.outcome) {
            (Phase::Sending | Phase::Answer, _) => running.stop = Stop::Wanted,
            (Phase::Pause, _) => {
                let task = running.request.task();
                self.running = None;
                self.report(Report::Aborted { task, code: code::ABORTED, text: code_text(code::ABORTED) });
            }
            (Phase::Terminal, Outcome::Result(found)) => match &mut found.standing {
                Standing::Held(decision) => *decision = Some(Decision::Refused),
                Standing::Asked | Standing::Answered(_) => self.report(Report::AbortRefused),
            },
            (Phase::Terminal, _) => self.ask_to_stop(now_ms),
            (Phase::Desk, _) => self.report(Report::AbortRefused),
            (Phase::Stopping, _) => {}
        }
    }
    fn ask_to_stop(&mut self, now_ms: u64) {
        if let Some(running) = &mut self.running {
            running.stop = Stop::Asked;
        }
        self.answer(now_ms, &Apdu::bare(Command::Stop));
    }
    /// What the desk says to a report that binds; `None` asks for a moment.
    fn decide(&mut self, now_ms: u64, decision: Option<Decision>) {
        let Some(running) = &mut self.running else { return };
        let standing = match &mut running.outcome {
            Outcome::Result(found) => &mut found.standing,
            // There is nothing about totals to refuse.
            Outcome::Totals(standing) if decision == Some(Decision::Recorded) => standing,
            _ => return,
        };
        match (running.phase, *standing) {
            (Phase::Desk, Standing::Asked) => {
                *standing = decision.map_or(Standing::Held(None), Standing::Answered);
                self.answer_standing(now_ms);
            }
            (_, Standing::Held(_)) if decision.is_some() => *standing = Standing::Held(decision),
            _ => {}
        }
    }
    /// Answers the result as it now stands, and lets the terminal go on.
    fn answer_standing(&mut self, now_ms: u64) {
        let Some(running) = &mut self.running else { return };
        (running.phase, running.until_ms) = (Phase::Terminal, now_ms + T4_MS);
        let standing = match &running.outcome {
            Outcome::Result(found) => {
                if found.standing == Standing::Answered(Decision::Recorded) {
                    self.last_receipt = Some(found.transaction.receipt);
                    self.count = found.count.clone().or(self.count.take());
                }
                found.standing
            }
            Outcome::Totals(standing) => *standing,
            _ => return,
        };
        let answer = match standing {
            Standing::Answered(Decision::Recorded) => Apdu::accepted(),
            Standing::Answered(Decision::Refused) => Apdu::refused(code::GOODS_NOT_GIVEN),
            Standing::Held(_) => Apdu::refused(code::BUSY),
            Standing::Asked => return,
        };
        self.answer(now_ms, &answer);
    }

    // --- what the terminal says ---

    fn drain(&mut self, now_ms: u64) {
        loop {
            while let Some(event) = self.carrier.poll() {
                self.event(now_ms, event);
            }
            self.carrier.tick(now_ms);
            let Some(event) = self.carrier.poll() else { return };
            self.event(now_ms, event);
        }
    }
    fn event(&mut self, now_ms: u64, event: Event) {
        match event {
            Event::Send(bytes, number) => self.leave(bytes, number),
            Event::Taken(number) => {
                let sending = |running: &&mut Running| running.phase == Phase::Sending && running.command == number;
                if let Some(running) = self.running.as_mut().filter(sending) {
                    (running.phase, running.until_ms) = (Phase::Answer, now_ms + T3_MS);
                }
            }
            Event::Lost(_) => self.give_up(Doubt::NotAcknowledged),
            Event::Noise(bytes) => self.noise(bytes),
            Event::Broken(bytes) => {
                self.noise_alarm = self.noise_alarm.min(self.noise + 1);
                self.noise(bytes.max(1));
                self.give_up(Doubt::Unreadable);
                self.close();
            }
            Event::Apdu(apdu) => match apdu.kind() {
                ApduKind::Accepted => self.accepted(now_ms),
                ApduKind::Refused(code) => self.refused(now_ms, code),
                ApduKind::Command(command) if self.surplus(now_ms, command) => {}
                ApduKind::Command(command) => self.told(now_ms, command, apdu.data()),
            },
        }
    }
    /// Whether a message is one too many. What decides over money is never dropped.
    fn surplus(&mut self, now_ms: u64, command: Command) -> bool {
        if now_ms >= self.messages.since_ms + 1_000 {
            self.messages = Messages { since_ms: now_ms, count: 0 };
        }
        self.messages.count = self.messages.count.saturating_add(1);
        if self.messages.count == MESSAGES_MAX + 1 {
            self.report(Report::Alarm(Alarm::Flood));
        }
        let decides = matches!(command, Command::StatusInformation | Command::Completion | Command::Abort);
        self.messages.count > MESSAGES_MAX && !decides
    }
    fn accepted(&mut self, now_ms: u64) {
        let Some(running) = self.running.as_mut().filter(|running| running.phase == Phase::Answer) else { return };
        if running.request == Request::LogOff {
            self.attached = false;
            return self.finish(Report::Completed(Task::LogOff));
        }
        (running.phase, running.until_ms) = (Phase::Terminal, now_ms + T4_MS);
        if running.stop == Stop::Wanted {
            self.ask_to_stop(now_ms);
        }
    }
    fn refused(&mut self, now_ms: u64, code: u8) {
        let Some(running) = &mut self.running else { return };
        match running.phase {
            Phase::Answer if code == code::BUSY && !running.request.task().moves_money() => self.pause(now_ms, code),
            Phase::Answer => self.turned_down(now_ms, code),
            Phase::Terminal if running.stop == Stop::Asked => {
                running.stop = Stop::No;
                self.report(Report::AbortRefused);
            }
            Phase::Stopping => self.fall_silent(),
            Phase::Sending | Phase::Terminal | Phase::Desk | Phase::Pause => {}
        }
    }
    /// The command was not begun.
    fn turned_down(&mut self, now_ms: u64, code: u8) {
        let Some(running) = &self.running else { return };
        match running.request.task() {
            Task::Attach => self.attach_step_ended(now_ms, Err(code)),
            Task::LastTransaction => {
                self.finish(Report::LastTransactionUnavailable(Unavailable::Refused(code)));
            }
            task => self.finish(Report::Aborted { task, code, text: code_text(code) }),
        }
    }
    /// Waits a moment for a busy terminal, unless patience is over.
    fn pause(&mut self, now_ms: u64, code: u8) {
        let Some(running) = &mut self.running else { return };
        if now_ms + PAUSE_MS > running.busy_ms {
            return self.give_up(Doubt::Busy);
        }
        (running.phase, running.until_ms) = (Phase::Pause, now_ms + PAUSE_MS);
        self.report(Report::Status { code, text: code_text(code) });
    }
    fn told(&mut self, now_ms: u64, command: Command, data: &[u8]) {
        match self.running.as_ref().map(|running| running.phase) {
            Some(Phase::Terminal | Phase::Stopping) => self.dialogue(now_ms, command, data),
            Some(Phase::Desk) => self.while_deciding(command, data),
            Some(Phase::Sending | Phase::Answer | Phase::Pause) | None => self.unasked(now_ms, command),
        }
    }
    /// From an older dialogue, or for no reason. What moves nothing is answered, so that the terminal gets on; a result is not.
    fn unasked(&mut self, now_ms: u64, command: Command) {
        match command {
            Command::StatusInformation => {}
            Command::Intermediate | Command::Completion | Command::Abort | Command::SetTime => {
                self.answer(now_ms, &Apdu::accepted());
            }
            Command::PrintLine | Command::PrintBlock => self.answer(now_ms, &Apdu::accepted()),
            _ => self.answer(now_ms, &Apdu::refused(code::NOT_POSSIBLE)),
        }
    }
    /// While the desk decides, the terminal has nothing to say but the same result again. An answer to anything else could be
    /// taken for the answer to the result.
    fn while_deciding(&mut self, command: Command, data: &[u8]) {
        let again = match (command, self.running.as_ref().map(|running| &running.outcome)) {
            (Command::StatusInformation, Some(Outcome::Result(found))) => {
                Status::read(data).is_some_and(|status| same(&status, &found.transaction))
            }
            (Command::StatusInformation, Some(Outcome::Totals(_))) => true,
            _ => false,
        };
        if !again {
            self.give_up(Doubt::Overtaken);
        }
    }
    fn dialogue(&mut self, now_ms: u64, command: Command, data: &[u8]) {
        match command {
            Command::StatusInformation => return self.status(now_ms, data),
            Command::Completion => return self.completed(now_ms, data),
            Command::Abort => return self.aborted(now_ms, data),
            Command::Intermediate => self.shown(now_ms, data),
            Command::PrintLine | Command::PrintBlock => {
                for line in print_lines(command, data) {
                    self.line(line);
                }
                self.wait(now_ms, T4_MS);
            }
            Command::SetTime => {}
            _ => return self.answer(now_ms, &Apdu::refused(code::NOT_POSSIBLE)),
        }
        self.answer(now_ms, &Apdu::accepted());
    }
    fn shown(&mut self, now_ms: u64, data: &[u8]) {
        let Some(Shown { code, wait_minutes, text }) = Shown::read(data) else { return };
        if let Some(running) = &mut self.running {
            running.offline |= code == code::SHOW_OFFLINE;
        }
        self.wait(now_ms, if wait_minutes > 0 { u64::from(wait_minutes) * 60_000 } else { T4_MS });
        let text = self.masked(text);
        self.report(Report::Intermediate { code, text });
    }
    fn status(&mut self, now_ms: u64, data: &[u8]) {
        let Some(status) = Status::read(data) else {
            // Not to be acknowledged: the terminal takes back what it meant.
            return self.noise(data.len() as u64);
        };
        if status.pan_seen {
            self.report(Report::Alarm(Alarm::PanSeen));
        }
        let Some(running) = &self.running else { return };
        match running.request.task() {
            Task::Authorise | Task::Reverse | Task::Refund => self.result(now_ms, &status),
            Task::LastTransaction => self.last(now_ms, status),
            Task::EndOfDay => self.totals(now_ms, status),
            Task::Attach | Task::Diagnose | Task::Abort | Task::LogOff => {}
        }
    }
    fn result(&mut self, now_ms: u64, status: &Status) {
        let Some(running) = &mut self.running else { return };
        if let Outcome::Result(found) = &mut running.outcome {
            if same(status, &found.transaction) {
                if let Standing::Held(Some(decision)) = found.standing {
                    found.standing = Standing::Answered(decision);
                }
                self.answer_standing(now_ms);
            }
            // Another result in the same dialogue was not asked for: not answered.
            return;
        }
        status.lines.iter().for_each(|line| self.report(Report::PrintLine(line.clone())));
        let kind = match self.running.as_ref().map(|running| running.request.task()) {
            Some(Task::Reverse) => Kind::Reversal,
            Some(Task::Refund) => Kind::Refund,
            _ => Kind::Payment,
        };
        let terminal_id = self.terminal_id.clone().unwrap_or_default();
        let Some(running) = &mut self.running else { return };
        if status.result != 0 {
            running.outcome = Outcome::Declined(status.result);
            self.wait(now_ms, T4_MS);
            return self.answer(now_ms, &Apdu::accepted());
        }
        let mut transaction = status.transaction(kind, self.config.currency, &terminal_id);
        transaction.offline = running.offline;
        let found = Found { transaction: transaction.clone(), count: status.count.clone(), standing: Standing::Asked };
        running.outcome = Outcome::Result(found);
        (running.phase, running.until_ms) = (Phase::Desk, now_ms + RECORD_MS);
        self.report(Report::Result(transaction));
    }

    // --- ends ---

    fn completed(&mut self, now_ms: u64, data: &[u8]) {
        self.answer(now_ms, &Apdu::accepted());
        let Some(running) = &self.running else { return };
        let task = running.request.task();
        let declined = |code| Report::Declined { task, code, text: code_text(code) };
        let end = match (task, &running.outcome) {
            (Task::Attach, _) => return self.attach_step_ended(now_ms, Ok(Done::read(data))),
            (Task::LastTransaction, Outcome::Last(last)) => Report::LastTransaction(last.clone()),
            (Task::LastTransaction, Outcome::Declined(code)) => {
                Report::LastTransactionUnavailable(Unavailable::Refused(*code))
            }
            (Task::LastTransaction, _) => Report::LastTransactionUnavailable(Unavailable::NoResult),
            (_, Outcome::Declined(code)) => declined(*code),
            (_, Outcome::Result(Found { standing: Standing::Answered(Decision::Recorded), .. })) => {
                Report::Completed(task)
            }
            (_, Outcome::Result(Found { standing: Standing::Held(_), .. })) => return self.give_up(Doubt::Overtaken),
            (_, Outcome::Result(_)) => return self.give_up(Doubt::NoResult),
            (_, Outcome::Totals(_)) => Report::Completed(task),
            (_, Outcome::None) if task.moves_money() => return self.give_up(Doubt::NoResult),
            (_, Outcome::None | Outcome::Last(_)) => Report::Completed(task),
        };
        self.finish(end);
    }
    fn aborted(&mut self, now_ms: u64, data: &[u8]) {
        self.answer(now_ms, &Apdu::accepted());
        let Some(running) = &self.running else { return };
        let task = running.request.task();
        let code = data.first().copied().unwrap_or(code::ABORTED);
        let said = |code: u8| match code {
            0x01..=0x63 => Report::Declined { task, code, text: code_text(code) },
            _ => Report::Aborted { task, code, text: code_text(code) },
        };
        let end = match (task, &running.outcome) {
            (Task::Attach, _) => return self.attach_step_ended(now_ms, Err(code)),
            (Task::LastTransaction, Outcome::Last(last)) => Report::LastTransaction(last.clone()),
            (Task::LastTransaction, _) => Report::LastTransactionUnavailable(Unavailable::Refused(code)),
            (_, Outcome::None | Outcome::Last(_)) => said(code),
            (_, Outcome::Declined(code)) => Report::Declined { task, code: *code, text: code_text(*code) },
            (_, Outcome::Result(Found { standing: Standing::Answered(Decision::Refused), .. })) => {
                Report::TakenBack(task)
            }
            (_, Outcome::Result(Found { standing: Standing::Held(_), .. })) => return self.give_up(Doubt::Overtaken),
            (_, Outcome::Result(_) | Outcome::Totals(_)) => return self.give_up(Doubt::AbortedLate),
        };
        self.finish(end);
    }
    fn finish(&mut self, end: Report) {
        self.running = None;
        self.report(end);
    }
    /// No clear end: what moves money is in doubt, unless nothing was sent or the terminal has said no.
    fn give_up(&mut self, why: Doubt) {
        self.attached = false;
        let Some(running) = self.running.take() else { return };
        let task = running.request.task();
        let end = match (task, running.outcome) {
            (Task::LastTransaction, Outcome::Last(last)) => Report::LastTransaction(last),
            (Task::LastTransaction, _) => Report::LastTransactionUnavailable(Unavailable::Doubt(why)),
            (_, Outcome::Declined(code)) => Report::Declined { task, code, text: code_text(code) },
            (_, _) if !running.sent => Report::NotSent { task, why: NotSent::NoLink },
            (Task::Authorise | Task::Reverse | Task::Refund | Task::EndOfDay, _) => Report::Unknown { task, why },
            (_, _) => Report::Failed { task, why },
        };
        self.report(end);
    }
    /// The terminal does not speak any more: over TCP the stream is closed, so that it notices.
    fn fall_silent(&mut self) {
        let answered = !matches!(self.running.as_ref().map(|running| running.phase), Some(Phase::Answer));
        self.give_up(if answered { Doubt::Silent } else { Doubt::NoAnswer });
        if self.config.framing == Framing::Tcp {
            self.close();
        }
    }
    fn close(&mut self) {
        self.out.push_back(Queued { output: Output::CloseLink, command: false });
        self.lose(Doubt::LinkLost);
    }
    fn lose(&mut self, why: Doubt) {
        // What was not polled will not be sent any more.
        self.out.retain(|queued| !matches!(queued.output, Output::Send(_)));
        self.give_up(why);
        self.up = false;
        self.attached = false;
    }

    // --- time ---

    fn deadline_ms(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.until_ms.min(running.end_ms))
    }
    fn expire(&mut self, now_ms: u64) {
        if self.deadline_ms().is_none_or(|deadline| deadline > now_ms) {
            return;
        }
        let Some(running) = &mut self.running else { return };
        match running.phase {
            Phase::Pause => self.command(now_ms),
            Phase::Desk => {
                self.give_up(Doubt::Overtaken);
                if self.config.framing == Framing::Tcp {
                    self.close();
                }
            }
            Phase::Terminal if running.request.task().moves_money() && running.stop != Stop::Asked => {
                (running.phase, running.until_ms) = (Phase::Stopping, now_ms + STOP_MS);
                running.end_ms = now_ms + STOP_MS;
                self.ask_to_stop(now_ms);
            }
            Phase::Sending | Phase::Answer | Phase::Terminal | Phase::Stopping => self.fall_silent(),
        }
        self.drain(now_ms);
    }
    /// Gives the terminal more time, unless it was asked to stop.
    fn wait(&mut self, now_ms: u64, ms: u64) {
        if let Some(running) = self.running.as_mut().filter(|running| running.phase == Phase::Terminal) {
            running.until_ms = now_ms + ms;
        }
    }

    // --- small things ---

    fn answer(&mut self, now_ms: u64, apdu: &Apdu) {
        self.carrier.send(now_ms, apdu, Repeat::Always);
        self.flush();
    }
    /// Bytes leave before what is reported next.
    fn flush(&mut self) {
        while let Some(Event::Send(bytes, number)) = self.carrier.poll_send() {
            self.leave(bytes, number);
        }
    }
    fn leave(&mut self, bytes: Vec<u8>, number: Option<u64>) {
        let command = self.running.as_ref().is_some_and(|running| number == Some(running.command));
        self.out.push_back(Queued { output: Output::Send(bytes), command });
    }
    fn report(&mut self, report: Report) {
        self.out.push_back(Queued { output: Output::Report(report), command: false });
    }
    fn line(&mut self, masked: Masked) {
        let line = self.masked(masked);
        self.report(Report::PrintLine(line));
    }
    fn masked(&mut self, masked: Masked) -> String {
        if masked.seen {
            self.report(Report::Alarm(Alarm::PanSeen));
        }
        masked.text
    }
    fn noise(&mut self, bytes: u64) {
        self.noise += bytes;
        if self.noise >= self.noise_alarm {
            self.noise_alarm = self.noise.saturating_mul(8);
            self.report(Report::Alarm(Alarm::Noise { bytes: self.noise }));
        }
    }
}

/// Whether a result is the one that we know: by receipt, trace, amount and currency.
fn same(status: &Status, known: &Transaction) -> bool {
    let again = status.transaction(known.kind, known.amount.currency, &known.terminal_id);
    status.result == known.result
        && (again.receipt, again.trace, again.amount) == (known.receipt, known.trace, known.amount)
}

#[cfg(test)]
mod tests;
