//! The simulated ZVT terminal: what a till hears from a real one, and what goes wrong on demand.
//!
//! Promises: a payment stands only after the till's answer to its result; an unanswered one is taken back at once when the
//! link breaks, else after [`ANSWER_MS`]. A charge is in the journal before the till hears of it, and its end before the
//! dialogue ends. Built from its journal it knows its last transaction, its numbers and what is still open.
//! Deviating terminals are played by profile: no reversal of its own, bare completion, reversal of the last alone.
//! Absent on purpose: cards, hosts and money; a second till at the same time.

mod book;
mod texts;

use crate::terminal::{Profile, Repeat as Told, ReversalReach, Unanswered};
use crate::terminal_peer::{Entry, Event, Fault, Faults, Numbers, Peer, PeerInput, PeerOutput};
use crate::zvt::apdu::{Apdu, Command, Kind};
use crate::zvt::carrier::{self, Carrier, Framing};
use crate::zvt::fields::{Fields, tagged};
use crate::zvt::link::{Repeat, frame};
use crate::zvt::message::{code, config, short, tag};
use book::{Book, Found, Stored, Type};
use fieldkit_core::money::{Currency, Money};
use std::collections::VecDeque;

/// How long the till may take to answer a result, or anything else.
pub const ANSWER_MS: u64 = 5_000;
/// Pause before a result is told again to a till that asked for a moment.
pub const AGAIN_MS: u64 = 2_000;
/// How often a result is told to a till that asks for a moment: thirty seconds.
pub const TELLS_MAX: u32 = 15;

/// What a simulated terminal is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Line or stream.
    pub framing: Framing,
    /// Eight digits.
    pub terminal_id: String,
    /// Its currency.
    pub currency: Currency,
    /// How it departs from the paper.
    pub profile: Profile,
    /// The last numbers used before the first transaction.
    pub numbers: Numbers,
    /// Its clock when `now_ms` is 0, in seconds since 1970.
    pub epoch_s: u64,
    /// How long a buyer takes with the card.
    pub buyer_ms: u64,
    /// Whether it counts its results (`1F1F`) and takes the last one back from a till that has missed it.
    pub counts: bool,
    /// Whether it numbers messages (`1F73`).
    pub message_ids: bool,
    /// Whether receipt numbers begin anew after an end of day.
    pub numbers_restart: bool,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Terminal {
    config: Config,
    carrier: Carrier,
    up: bool,
    /// The configuration byte of the registration; nothing is shown or printed before one.
    registered: u8,
    message_id: Option<Vec<u8>>,
    book: Book,
    dialogue: Option<Dialogue>,
    delayed: Option<(u64, Apdu)>,
    faults: Faults,
    /// Bytes until the link breaks, once a command has come.
    cut_left: Option<u64>,
    out: VecDeque<PeerOutput>,
    journalling: bool,
    now_ms: u64,
}

/// What runs.
#[derive(Clone, Debug, Default)]
struct Dialogue {
    steps: VecDeque<Step>,
    waiting: Waiting,
    until_ms: u64,
    /// What is told and not yet acknowledged.
    open: Option<Stored>,
    tells: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waiting {
    /// For time to pass.
    #[default]
    Time,
    /// For an answer; none is as good as any.
    Answer,
    /// For the answer that the open transaction hangs on.
    Binding,
}

#[derive(Clone, Debug)]
enum Step {
    /// Say, and wait for an answer.
    Say(Apdu),
    /// Say, and take the open transaction back unless it is answered well.
    Bind(Apdu),
    /// Let time pass.
    Pause(u64),
    /// Charge the card, or not.
    Charge(Money),
    /// The open transaction stands from now on.
    Commit,
}

impl Peer for Terminal {
    fn handle(&mut self, now_ms: u64, input: PeerInput) {
        self.now_ms = now_ms;
        match input {
            PeerInput::LinkUp => {
                self.lose();
                self.carrier.reset();
                self.carrier.spoil(&mut self.faults.bad_checksum, &mut self.faults.nak);
                self.up = true;
            }
            PeerInput::LinkDown => self.lose(),
            PeerInput::Bytes(bytes) => self.bytes(&bytes),
            PeerInput::Journalled => self.journalling = false,
            PeerInput::Fault(fault) => self.fault(fault),
            PeerInput::Tick => {}
        }
        self.drain();
        self.expire();
        self.drain();
    }
    fn poll_output(&mut self) -> Option<PeerOutput> {
        if self.journalling {
            return None;
        }
        let output = self.out.pop_front()?;
        self.journalling = matches!(output, PeerOutput::Journal(_));
        Some(output)
    }
    fn poll_timeout(&self) -> Option<u64> {
        let dialogue = self.dialogue.as_ref().map(|dialogue| dialogue.until_ms);
        let delayed = self.delayed.as_ref().map(|(until_ms, _)| *until_ms);
        [dialogue, delayed, self.carrier.deadline_ms()].into_iter().flatten().min()
    }
}

impl Terminal {
    /// A terminal with this past; what nobody acknowledged in it is taken back first.
    pub fn new(config: Config, past: &[Entry]) -> Self {
        let mut terminal = Terminal {
            carrier: Carrier::new(config.framing),
            book: Book::of(config.numbers, past),
            config,
            up: false,
            registered: 0,
            message_id: None,
            dialogue: None,
            delayed: None,
            faults: Faults::default(),
            cut_left: None,
            out: VecDeque::new(),
            journalling: false,
            now_ms: 0,
        };
        if let Some(open) = terminal.book.open() {
            terminal.take_back(open);
        }
        terminal
    }

    // --- faults and links ---

    fn fault(&mut self, fault: Fault) {
        match self.faults.arm(fault) {
            Some(Fault::PowerCycle) => {
                self.out.retain(|output| matches!(output, PeerOutput::Journal(_)));
                self.cut();
                (self.faults, self.registered, self.message_id) = (Faults::default(), 0, None);
            }
            Some(Fault::Foreign(minor)) => {
                let stored = self.stored(Type::Foreign, Money::new(minor, self.config.currency));
                self.note(Event::Foreign, &stored);
                self.book.keep(stored);
            }
            Some(Fault::Flood(count)) => {
                let shown = short(Command::Intermediate, vec![0x0e]).bytes();
                let bytes = if self.config.framing == Framing::Serial { frame(&shown) } else { shown };
                (0..count).for_each(|_| self.push(bytes.clone()));
            }
            _ => {}
        }
        if self.up {
            self.carrier.spoil(&mut self.faults.bad_checksum, &mut self.faults.nak);
        }
        if self.faults.cut_after_received == Some(0) {
            self.cut();
        }
    }
    fn bytes(&mut self, bytes: &[u8]) {
        if !self.up || self.faults.mute {
            return;
        }
        let Some(left) = self.faults.cut_after_received else {
            return self.carrier.bytes(self.now_ms, bytes);
        };
        let used = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.carrier.bytes(self.now_ms, &bytes[..used]);
        self.faults.cut_after_received = Some(left - used as u64);
        if left == used as u64 {
            self.drain();
            self.cut();
        }
    }
    /// Breaks the link.
    fn cut(&mut self) {
        if self.up {
            self.out.push_back(PeerOutput::CloseLink);
        }
        self.lose();
    }
    fn lose(&mut self) {
        self.up = false;
        (self.cut_left, self.faults.cut_after_received, self.delayed) = (None, None, None);
        if let Some(open) = self.dialogue.take().and_then(|dialogue| dialogue.open) {
            self.take_back(open);
        }
    }
    /// Sends bytes, as far as the link holds.
    fn push(&mut self, bytes: Vec<u8>) {
        if !self.up || self.faults.mute {
            return;
        }
        match self.cut_left {
            Some(left) if bytes.len() as u64 >= left => {
                self.out.push_back(PeerOutput::Send(bytes[..usize::try_from(left).unwrap_or(0)].to_vec()));
                self.cut();
            }
            Some(left) => {
                self.cut_left = Some(left - bytes.len() as u64);
                self.out.push_back(PeerOutput::Send(bytes));
            }
            None => self.out.push_back(PeerOutput::Send(bytes)),
        }
    }
    fn drain(&mut self) {
        loop {
            self.carrier.tick(self.now_ms);
            let Some(event) = self.carrier.poll() else { return };
            match event {
                carrier::Event::Send(bytes, _) => self.push(bytes),
                carrier::Event::Apdu(apdu) => self.heard(apdu),
                carrier::Event::Broken(_) => self.cut(),
                // A till that does not take a block does not answer it either; the wait for the answer ends it.
                carrier::Event::Taken(_) | carrier::Event::Lost(_) | carrier::Event::Noise(_) => {}
            }
        }
    }
    fn expire(&mut self) {
        if self.delayed.as_ref().is_some_and(|(until_ms, _)| *until_ms <= self.now_ms)
            && let Some((_, apdu)) = self.delayed.take()
        {
            self.command(&apdu);
        }
        let Some(dialogue) = self.dialogue.as_mut().filter(|dialogue| dialogue.until_ms <= self.now_ms) else { return };
        match dialogue.waiting {
            Waiting::Time | Waiting::Answer => self.advance(),
            Waiting::Binding => self.withdraw(code::ABORTED),
        }
    }

    // --- what the till says ---

    fn heard(&mut self, apdu: Apdu) {
        match apdu.kind() {
            _ if !self.up => {}
            Kind::Accepted => self.answered(None),
            Kind::Refused(code) => self.answered(Some(code)),
            Kind::Command(_) => {
                self.cut_left = self.cut_left.or(self.faults.cut_after.take());
                if self.faults.garbage > 0 {
                    let garbage = texts::garbage(std::mem::take(&mut self.faults.garbage));
                    self.push(garbage);
                }
                let late_ms = std::mem::take(&mut self.faults.late_ms);
                if late_ms > 0 && self.dialogue.is_none() {
                    self.delayed = Some((self.now_ms + late_ms, apdu));
                } else {
                    self.command(&apdu);
                }
            }
        }
    }
    fn answered(&mut self, refused: Option<u8>) {
        let Some(dialogue) = &mut self.dialogue else { return };
        match (dialogue.waiting, refused) {
            (Waiting::Time, _) => {}
            (Waiting::Answer, _) | (Waiting::Binding, None) => self.advance(),
            (Waiting::Binding, Some(code::BUSY)) if dialogue.tells < TELLS_MAX => {
                dialogue.tells += 1;
                let again = dialogue.open.clone();
                let apdu = again.map(|open| self.status(&open));
                self.prepend([Some(Step::Pause(AGAIN_MS)), apdu.map(Step::Bind)]);
                self.advance();
            }
            (Waiting::Binding, Some(code)) => self.withdraw(code),
        }
    }
    fn command(&mut self, apdu: &Apdu) {
        let Kind::Command(command) = apdu.kind() else { return };
        if command == Command::Stop {
            return self.stopped();
        }
        if self.dialogue.is_some() || self.delayed.is_some() || Faults::take(&mut self.faults.busy) {
            return self.say(&Apdu::refused(code::BUSY));
        }
        let pays = matches!(command, Command::Authorise | Command::Refund | Command::Reverse);
        if pays && Faults::take(&mut self.faults.card_inserted) {
            return self.say(&Apdu::refused(code::CARD_INSERTED));
        }
        let fixed = match command {
            Command::Reverse | Command::Refund | Command::RepeatReceipt | Command::EndOfDay => 3,
            _ => 0,
        };
        let (fields, _) = Fields::read(apdu.data().get(fixed..).unwrap_or_default());
        if pays || command == Command::EndOfDay {
            if self.said_before(&fields) {
                return;
            }
            self.catch_up(&fields);
        }
        self.begin(command, apdu.data(), &fields);
    }
    fn begin(&mut self, command: Command, data: &[u8], fields: &Fields) {
        let steps = match command {
            Command::StatusEnquiry => {
                let card = Faults::take(&mut self.faults.card_inserted);
                vec![Step::Say(texts::state(if card { code::CARD_INSERTED } else { 0 }))]
            }
            Command::Register => {
                self.registered = data.get(3).copied().unwrap_or(0);
                // Numbers begin anew with each registration.
                self.message_id = None;
                vec![Step::Say(texts::registered(&self.config))]
            }
            Command::Initialise | Command::Diagnose => vec![Step::Say(Apdu::bare(Command::Completion))],
            Command::Authorise => match self.amount(fields) {
                Ok(amount) => self.payment(amount),
                Err(code) => return self.say(&Apdu::refused(code)),
            },
            Command::Refund => match self.amount(fields) {
                Ok(amount) => self.tell(Type::Refund, amount, None),
                Err(code) => return self.say(&Apdu::refused(code)),
            },
            Command::Reverse => self.reversal(fields),
            Command::RepeatReceipt => self.repeat(),
            Command::EndOfDay => self.end_of_day(),
            Command::LogOff => {
                self.registered = 0;
                return self.say(&Apdu::accepted());
            }
            _ => return self.say(&Apdu::refused(code::NOT_POSSIBLE)),
        };
        self.say(&Apdu::accepted());
        let open = self.dialogue.take().and_then(|dialogue| dialogue.open);
        self.dialogue = Some(Dialogue { steps: steps.into(), open, ..Dialogue::default() });
        self.advance();
    }
    /// The till wishes to stop: possible until the card is charged.
    fn stopped(&mut self) {
        let early = |step: &Step| matches!(step, Step::Charge(_));
        match &mut self.dialogue {
            Some(dialogue) if dialogue.steps.iter().any(early) => {
                dialogue.steps = VecDeque::from([Step::Say(texts::abort(code::ABORTED))]);
                self.say(&Apdu::accepted());
                let stored = self.unnumbered();
                self.note(Event::Aborted, &stored);
                self.advance();
            }
            Some(_) | None => self.say(&Apdu::refused(code::NOT_POSSIBLE)),
        }
    }
    /// Whether a numbered message comes the second time.
    fn said_before(&mut self, fields: &Fields) -> bool {
        let id = tagged(&fields.tagged(), tag::MESSAGE_ID).filter(|_| self.config.message_ids).map(<[u8]>::to_vec);
        let before = id.is_some() && id == self.message_id;
        self.message_id = id.or(self.message_id.take());
        before
    }
    /// A till whose count is one behind has missed the last result: it is taken back (chapter 4).
    fn catch_up(&mut self, fields: &Fields) {
        let count = tagged(&fields.tagged(), tag::COUNT).map(<[u8]>::to_vec);
        if self.config.counts
            && count.is_some_and(|count| count == texts::count(self.book.count.wrapping_sub(1)))
            && let Some(last) = self.book.last_standing()
        {
            self.note(Event::AutoReversed, &last);
            self.book.reversed(last.numbers);
        }
    }

    // --- what it does ---

    fn amount(&self, fields: &Fields) -> Result<Money, u8> {
        let minor = fields.number(tag::AMOUNT).and_then(|minor| i64::try_from(minor).ok()).ok_or(0x9a)?;
        let named =
            fields.number(tag::CURRENCY).is_none_or(|number| number == u64::from(self.config.currency.numeric()));
        if named { Ok(Money::new(minor, self.config.currency)) } else { Err(code::WRONG_CURRENCY) }
    }
    fn payment(&mut self, amount: Money) -> Vec<Step> {
        let mut steps = self.show(code::SHOW_INSERT);
        if std::mem::take(&mut self.faults.abort) {
            let stored = self.unnumbered();
            self.note(Event::Aborted, &stored);
            steps.push(Step::Say(texts::abort(code::ABORTED)));
            return steps;
        }
        steps.push(Step::Pause(self.config.buyer_ms));
        steps.extend(self.show(if self.faults.offline { code::SHOW_OFFLINE } else { code::SHOW_ISSUER }));
        steps.push(Step::Charge(amount));
        steps
    }
    /// Charges the card as the faults will have it, and tells the result.
    fn charge(&mut self, asked: Money) -> Vec<Step> {
        let minor = self.faults.amount.take().unwrap_or(asked.minor);
        let amount = Money::new(minor, self.faults.currency.take().unwrap_or(asked.currency));
        if let Some(code) = self.faults.decline.take() {
            let mut stored = self.stored(Type::Payment, amount);
            stored.result = code;
            self.note(Event::Declined, &stored);
            let told = self.status(&stored);
            self.book.keep(stored);
            return vec![Step::Say(told), Step::Say(texts::abort(code))];
        }
        let steps = self.tell(Type::Payment, amount, None);
        if let Some(open) = self.dialogue.as_ref().and_then(|dialogue| dialogue.open.clone()) {
            self.note(Event::Approved, &open);
            self.book.keep(open);
        }
        steps
    }
    /// Opens a transaction: told now, standing when it is answered.
    fn tell(&mut self, kind: Type, amount: Money, of: Option<Numbers>) -> Vec<Step> {
        let mut stored = self.stored(kind, amount);
        stored.of = of;
        stored.offline = std::mem::take(&mut self.faults.offline);
        self.book.count = self.book.count.wrapping_add(1);
        let told = self.status(&stored);
        self.dialogue.get_or_insert_default().open = Some(stored.clone());
        let mut steps = vec![Step::Bind(told.clone())];
        if self.registered & config::LINES_BY_TERMINAL != 0 {
            steps.extend(texts::receipt(&stored, &self.config.terminal_id).into_iter().map(Step::Bind));
        }
        steps.push(Step::Commit);
        if std::mem::take(&mut self.faults.repeat_approval) {
            steps.push(Step::Say(told));
        }
        if std::mem::take(&mut self.faults.pan_in_text) {
            steps.push(Step::Say(texts::pan_line()));
        }
        steps.push(Step::Say(Apdu::bare(Command::Completion)));
        steps
    }
    fn reversal(&mut self, fields: &Fields) -> Vec<Step> {
        let receipt = fields.number(tag::RECEIPT).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let found = match self.config.profile.reversal {
            ReversalReach::Numbered => self.book.payment(receipt),
            ReversalReach::LastOnly => self.book.last_payment(),
        };
        let asked = fields.number(tag::AMOUNT).and_then(|minor| i64::try_from(minor).ok());
        match found {
            Found::Standing(payment) if asked.is_none_or(|minor| minor == payment.amount.minor) => {
                self.tell(Type::Reversal, payment.amount, Some(payment.numbers))
            }
            Found::Reversed => vec![Step::Say(texts::abort(code::ALREADY_REVERSED))],
            Found::Standing(_) | Found::None => vec![Step::Say(texts::abort(code::REVERSAL_NOT_POSSIBLE))],
        }
    }
    fn repeat(&mut self) -> Vec<Step> {
        let done = Step::Say(Apdu::bare(Command::Completion));
        match (self.config.profile.repeat, self.book.last()) {
            (Told::Bare, _) => vec![done],
            (Told::Told, Some(last)) => vec![Step::Say(self.status(&last)), done],
            (Told::Told, None) => vec![Step::Say(texts::nothing(&self.config)), done],
        }
    }
    fn end_of_day(&mut self) -> Vec<Step> {
        let day = self.book.day();
        let mut stored = self.unnumbered();
        stored.amount.minor = day.sum;
        self.note(Event::EndOfDay, &stored);
        let told = texts::totals(&self.config, &day, self.book.numbers.trace, stored.at_s);
        self.book.close_day(self.config.numbers_restart);
        vec![Step::Say(told), Step::Say(Apdu::bare(Command::Completion))]
    }
    /// The next step, until one waits.
    fn advance(&mut self) {
        let Some(dialogue) = &mut self.dialogue else { return };
        dialogue.until_ms = self.now_ms + ANSWER_MS;
        match dialogue.steps.pop_front() {
            None => self.dialogue = None,
            Some(Step::Say(apdu)) => {
                dialogue.waiting = Waiting::Answer;
                self.say(&apdu);
            }
            Some(Step::Bind(apdu)) => {
                dialogue.waiting = Waiting::Binding;
                self.say(&apdu);
            }
            Some(Step::Pause(ms)) => (dialogue.waiting, dialogue.until_ms) = (Waiting::Time, self.now_ms + ms),
            Some(Step::Charge(amount)) => {
                let steps = self.charge(amount);
                self.prepend(steps.into_iter().map(Some));
                self.advance();
            }
            Some(Step::Commit) => {
                if let Some(open) = dialogue.open.take() {
                    self.commit(open);
                }
                self.advance();
            }
        }
    }
    fn prepend(&mut self, steps: impl IntoIterator<Item = Option<Step>, IntoIter: DoubleEndedIterator>) {
        if let Some(dialogue) = &mut self.dialogue {
            steps.into_iter().rev().flatten().for_each(|step| dialogue.steps.push_front(step));
        }
    }
    fn commit(&mut self, open: Stored) {
        match open.kind {
            Type::Payment => {
                self.note(Event::Committed, &open);
                self.book.committed(open.numbers);
            }
            Type::Reversal => {
                self.note(Event::Reversed, &open);
                self.book.reversed(open.of.unwrap_or_default());
                self.book.keep(open);
            }
            Type::Refund => {
                self.note(Event::Refunded, &open);
                self.book.keep(open);
            }
            Type::Foreign => {}
        }
    }
    /// The till has not acknowledged, or refused: taken back, and said so.
    fn withdraw(&mut self, code: u8) {
        let shown = self.show(code::SHOW_REVERSAL);
        let Some(dialogue) = &mut self.dialogue else { return };
        dialogue.steps = shown.into();
        dialogue.steps.push_back(Step::Say(texts::abort(code)));
        if let Some(open) = dialogue.open.take() {
            self.take_back(open);
        }
        self.advance();
    }
    /// What was told and not acknowledged stands no more. Reversals and refunds had not been done yet.
    fn take_back(&mut self, open: Stored) {
        if open.kind == Type::Payment {
            let kept = self.config.profile.unanswered == Unanswered::Declined;
            self.note(if kept { Event::Declined } else { Event::AutoReversed }, &open);
            if kept { self.book.declined(open.numbers, code::ABORTED) } else { self.book.reversed(open.numbers) }
        }
    }

    // --- small things ---

    fn say(&mut self, apdu: &Apdu) {
        self.carrier.send(self.now_ms, apdu, Repeat::Always);
    }
    /// What it shows, if the till wants to know.
    fn show(&self, code: u8) -> Vec<Step> {
        let wanted = self.registered & config::INTERMEDIATE != 0;
        wanted.then(|| Step::Say(short(Command::Intermediate, vec![code, 0x00]))).into_iter().collect()
    }
    fn status(&self, stored: &Stored) -> Apdu {
        texts::status(stored, &self.config, self.book.count, self.faults.pan_in_text)
    }
    fn at_s(&self) -> u64 {
        self.config.epoch_s + self.now_ms / 1_000
    }
    fn unnumbered(&self) -> Stored {
        Stored::new(Type::Payment, Money::new(0, self.config.currency), Numbers::default(), self.at_s())
    }
    fn stored(&mut self, kind: Type, amount: Money) -> Stored {
        self.book.numbers = self.book.numbers.next();
        Stored::new(kind, amount, self.book.numbers, self.at_s())
    }
    fn note(&mut self, event: Event, stored: &Stored) {
        let of = stored.of.unwrap_or(stored.numbers);
        self.out.push_back(PeerOutput::Journal(Entry {
            event,
            amount: stored.amount,
            receipt: of.receipt,
            trace: of.trace,
            terminal_id: self.config.terminal_id.clone(),
            at_s: self.at_s(),
            own: stored.of.map(|_| stored.numbers),
            offline: stored.offline,
        }));
    }
}
