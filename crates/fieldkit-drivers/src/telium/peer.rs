//! The simulated Telium terminal.
//!
//! Promises: an ask that was taken is carried out, link or no link: that is what makes a cut a doubt. A charge is in the
//! journal before the till hears of it, and stands at once, because the protocol has no way to take it back.
//! Absent on purpose: cards, hosts and money; receipts. Numbers in the journal are its own, the till never hears them.

use crate::telium::codec::{Answer, Ask, Control, Detail, Heard, Line, Wish, frame};
use crate::terminal_peer::{Entry, Event, Fault, Faults, Numbers, Peer, PeerInput, PeerOutput};
use fieldkit_core::money::{Currency, Money};
use std::collections::VecDeque;

/// Wait for the answer to a call, and for an acknowledgement.
pub const CALL_MS: u64 = 2_000;
/// How often it calls, and how often it sends an answer.
pub const CALLS_MAX: u32 = 3;
/// The card's number that a till hears which asks for it: masked by the terminal, as it should be.
const CARD: &[u8] = b"559883******8074";
/// A number that checks; for the fault that lets card data out.
const FULL_PAN: &[u8] = b"4111111111111111";

/// What a simulated terminal is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name in the journal.
    pub terminal_id: String,
    /// Its currency.
    pub currency: Currency,
    /// The last numbers used.
    pub numbers: Numbers,
    /// Its clock when `now_ms` is 0, in seconds since 1970.
    pub epoch_s: u64,
    /// How long a buyer takes with the card.
    pub buyer_ms: u64,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Terminal {
    config: Config,
    line: Line,
    up: bool,
    numbers: Numbers,
    phase: Phase,
    until_ms: u64,
    tries: u32,
    faults: Faults,
    cut_left: Option<u64>,
    again: bool,
    out: VecDeque<PeerOutput>,
    journalling: bool,
    now_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The till may speak.
    Listening,
    /// The ask is taken; the buyer has the card.
    Paying(Ask),
    /// Calling the till to tell the end.
    Calling(Answer),
    /// Told; was it taken?
    Telling(Answer),
}

impl Peer for Terminal {
    fn handle(&mut self, now_ms: u64, input: PeerInput) {
        self.now_ms = now_ms;
        match input {
            PeerInput::LinkUp => {
                self.lose();
                self.up = true;
            }
            PeerInput::LinkDown => self.lose(),
            PeerInput::Bytes(bytes) => self.bytes(&bytes),
            PeerInput::Journalled => self.journalling = false,
            PeerInput::Fault(fault) => self.fault(fault),
            PeerInput::Tick => {}
        }
        self.expire();
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
        let phase = (self.phase != Phase::Idle).then_some(self.until_ms);
        [phase, self.line.deadline_ms()].into_iter().flatten().min()
    }
}

impl Terminal {
    /// A terminal with this past.
    pub fn new(config: Config, past: &[Entry]) -> Self {
        let charges = past.iter().rev().find(|entry| entry.event != Event::Aborted);
        let numbers = charges.map(|entry| Numbers { receipt: entry.receipt, trace: entry.trace });
        let numbers = numbers.unwrap_or(config.numbers);
        Terminal {
            config,
            line: Line::default(),
            up: false,
            numbers,
            phase: Phase::Idle,
            until_ms: 0,
            tries: 0,
            faults: Faults::default(),
            cut_left: None,
            again: false,
            out: VecDeque::new(),
            journalling: false,
            now_ms: 0,
        }
    }

    fn fault(&mut self, fault: Fault) {
        match self.faults.arm(fault) {
            Some(Fault::PowerCycle) => {
                self.out.retain(|output| matches!(output, PeerOutput::Journal(_)));
                (self.phase, self.faults) = (Phase::Idle, Faults::default());
                self.cut();
            }
            Some(Fault::Foreign(minor)) => self.note(Event::Foreign, Money::new(minor, self.config.currency), false),
            Some(Fault::Flood(count)) => (0..count).for_each(|_| self.say(Control::Enq)),
            _ => {}
        }
        if self.faults.cut_after_received == Some(0) {
            self.cut();
        }
    }
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.up || self.faults.mute {
                return;
            }
            if let Some(heard) = self.line.byte(self.now_ms, *byte) {
                self.heard(&heard);
            }
            if let Some(left) = &mut self.faults.cut_after_received {
                *left -= 1;
                if *left == 0 {
                    self.cut();
                }
            }
        }
    }
    fn heard(&mut self, heard: &Heard) {
        match (self.phase.clone(), heard) {
            (Phase::Idle, Heard::Control(Control::Enq)) => {
                self.cut_left = self.cut_left.or(self.faults.cut_after.take());
                let garbage = std::mem::take(&mut self.faults.garbage);
                (0..garbage).for_each(|at| self.push(vec![0x80 | (at * 37) as u8]));
                let busy = Faults::take(&mut self.faults.busy) || Faults::take(&mut self.faults.card_inserted);
                if busy {
                    return self.say(Control::Nak);
                }
                self.say(Control::Ack);
                self.go(Phase::Listening, CALL_MS);
            }
            (Phase::Listening, Heard::Data(data)) => match Ask::read(data) {
                Some(ask) if !Faults::take(&mut self.faults.nak) => {
                    self.say(Control::Ack);
                    let late_ms = std::mem::take(&mut self.faults.late_ms);
                    self.go(Phase::Paying(ask), self.config.buyer_ms + late_ms);
                }
                Some(_) | None => {
                    self.say(Control::Nak);
                    self.go(Phase::Listening, CALL_MS);
                }
            },
            (Phase::Listening, Heard::Broken) => self.say(Control::Nak),
            (Phase::Listening, Heard::Control(Control::Eot)) => self.phase = Phase::Idle,
            (Phase::Calling(answer), Heard::Control(Control::Ack)) => {
                self.tries = 0;
                self.tell(answer);
            }
            (Phase::Telling(answer), Heard::Control(Control::Nak)) if self.tries < CALLS_MAX => self.tell(answer),
            (Phase::Telling(answer), Heard::Control(Control::Ack)) => {
                self.say(Control::Eot);
                self.phase = Phase::Idle;
                if std::mem::take(&mut self.again) {
                    self.tries = 0;
                    self.call(answer);
                }
            }
            _ => {}
        }
    }
    /// The buyer is done: charged or not, whoever listens.
    fn pay(&mut self, ask: &Ask) {
        let minor = self.faults.amount.take().unwrap_or(ask.minor);
        let asked = Currency::from_numeric(ask.currency).unwrap_or(self.config.currency);
        let amount = Money::new(minor, self.faults.currency.take().unwrap_or(asked));
        let stopped = std::mem::take(&mut self.faults.abort);
        let declined =
            self.faults.decline.take().is_some() || amount.currency != asked || asked != self.config.currency;
        let offline = std::mem::take(&mut self.faults.offline);
        let yes = !stopped && !declined && matches!(ask.wish, Wish::Debit | Wish::Credit);
        match ask.wish {
            _ if stopped => self.note(Event::Aborted, amount, false),
            Wish::Debit if yes => {
                self.note(Event::Approved, amount, offline);
                self.repeat(Event::Committed, amount, offline);
            }
            Wish::Credit if yes => self.note(Event::Refunded, amount, offline),
            Wish::Debit | Wish::Credit | Wish::Other(_) => self.note(Event::Declined, amount, false),
        }
        let card = if std::mem::take(&mut self.faults.pan_in_text) { FULL_PAN } else { CARD };
        let mut private = *b"          ";
        private.copy_from_slice(format!("TX{:08}", self.numbers.trace).as_bytes());
        self.again = std::mem::take(&mut self.faults.repeat_approval);
        self.tries = 0;
        self.call(Answer {
            till: ask.till,
            result: if yes { b'0' } else { b'7' },
            minor: amount.minor,
            means: ask.means,
            report: (ask.detail == Detail::Full).then(|| card.to_vec()),
            currency: amount.currency.numeric(),
            private,
        });
    }
    fn call(&mut self, answer: Answer) {
        self.tries += 1;
        self.say(Control::Enq);
        self.go(Phase::Calling(answer), CALL_MS);
    }
    fn tell(&mut self, answer: Answer) {
        self.tries += 1;
        let mut bytes = frame(&answer.bytes());
        if Faults::take(&mut self.faults.bad_checksum)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 0x5a;
        }
        self.push(bytes);
        self.go(Phase::Telling(answer), CALL_MS);
    }
    fn go(&mut self, phase: Phase, ms: u64) {
        (self.phase, self.until_ms) = (phase, self.now_ms + ms);
    }
    fn expire(&mut self) {
        if let Some(heard) = self.line.tick(self.now_ms) {
            self.heard(&heard);
        }
        if self.phase == Phase::Idle || self.until_ms > self.now_ms {
            return;
        }
        match self.phase.clone() {
            Phase::Paying(ask) => self.pay(&ask),
            Phase::Calling(answer) if self.tries < CALLS_MAX => self.call(answer),
            Phase::Telling(answer) if self.tries < CALLS_MAX => self.tell(answer),
            Phase::Idle | Phase::Listening | Phase::Calling(_) | Phase::Telling(_) => self.phase = Phase::Idle,
        }
    }
    fn cut(&mut self) {
        if self.up {
            self.out.push_back(PeerOutput::CloseLink);
        }
        self.lose();
    }
    fn lose(&mut self) {
        self.up = false;
        self.line = Line::default();
        (self.cut_left, self.faults.cut_after_received) = (None, None);
        if self.phase == Phase::Listening {
            self.phase = Phase::Idle;
        }
    }
    fn say(&mut self, control: Control) {
        self.push(vec![control.byte()]);
    }
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
    fn note(&mut self, event: Event, amount: Money, offline: bool) {
        self.numbers = self.numbers.next();
        self.repeat(event, amount, offline);
    }
    /// An entry about the numbers in use.
    fn repeat(&mut self, event: Event, amount: Money, offline: bool) {
        self.out.push_back(PeerOutput::Journal(Entry {
            event,
            amount,
            receipt: self.numbers.receipt,
            trace: self.numbers.trace,
            terminal_id: self.config.terminal_id.clone(),
            at_s: self.config.epoch_s + self.now_ms / 1_000,
            own: None,
            offline,
        }));
    }
}
