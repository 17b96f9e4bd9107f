//! A driver, a terminal, a desk, and wires that can be cut, muted and spoilt at any byte.
//!
//! Promises: bytes arrive at once, in order; what was in flight when the wire broke is gone.
//! Absent on purpose: jitter; it would make runs longer and find nothing that a cut does not.

use crate::desk::{Desk, Reference, State};
use fieldkit_core::money::{Currency, Money};
use fieldkit_drivers::terminal::{Driver, Input, Output, Report, Request};
use fieldkit_drivers::terminal_peer::{Entry, Event, Fault, Peer, PeerInput, PeerOutput};
use std::collections::BTreeSet;

/// How long a broken wire stays broken.
const OUTAGE_MS: u64 = 3_000;
/// How soon a closed link is opened again.
const REOPEN_MS: u64 = 100;
/// Longer than anything should take.
const PATIENCE_MS: u64 = 3_600_000;
/// More than any run takes.
const TURNS_MAX: u64 = 20_000;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToTerminal,
    ToKit,
}

/// Who notices that the wire broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    Both,
    Kit,
    Terminal,
    Nobody,
}

/// What happens at a byte or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The wire breaks after so many bytes that way.
    Cut(Way, u64, Notice),
    /// This byte is lost.
    Lost(Way, u64),
    /// This byte is changed.
    Changed(Way, u64, u8),
    /// The kit dies before its n-th output.
    KitDies(u64),
    /// The terminal loses power at its n-th output; a journal entry there is still written, or not.
    TerminalDies(u64, Disk),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Written,
    NotWritten,
}

/// How to make the two ends anew.
pub struct Ends {
    pub driver: Box<dyn Fn() -> Box<dyn Driver>>,
    pub terminal: Box<dyn Fn(&[Entry]) -> Box<dyn Peer>>,
    /// Whether opening the link tells the terminal (a stream) or not (a cable).
    pub stream: bool,
}

pub struct World {
    ends: Ends,
    driver: Box<dyn Driver>,
    pub terminal: Box<dyn Peer>,
    pub desk: Desk,
    /// The terminal's own.
    pub journal: Vec<Entry>,
    pub now_ms: u64,
    /// Whether the kit believes in the link.
    up: bool,
    /// When a closed link is opened again.
    reopen_ms: u64,
    dead_until_ms: u64,
    /// Whether a terminal that noticed a broken cable waits for it to be whole.
    waits: bool,
    pub plan: Option<Break>,
    /// Goes wrong at the desk's n-th try.
    pub armed: Option<(usize, Fault)>,
    /// Bytes so far, to the terminal and to the kit; outputs so far, of the kit and of the terminal.
    pub passed: [u64; 2],
    pub outputs: [u64; 2],
    /// What the kit sent, for tests to look at.
    pub sent: Vec<Vec<u8>>,
}

pub fn euro(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").expect("EUR is in ISO 4217"))
}

impl World {
    pub fn new(ends: Ends, sales: &[i64]) -> Self {
        World {
            driver: (ends.driver)(),
            terminal: (ends.terminal)(&[]),
            ends,
            desk: Desk::new(sales.iter().map(|minor| euro(*minor)).collect()),
            journal: Vec::new(),
            now_ms: 1_000,
            up: false,
            reopen_ms: 0,
            dead_until_ms: 0,
            waits: false,
            plan: None,
            armed: None,
            passed: [0; 2],
            outputs: [0; 2],
            sent: Vec::new(),
        }
    }
    pub fn fault(&mut self, fault: Fault) {
        self.terminal.handle(self.now_ms, PeerInput::Fault(fault));
        self.settle();
    }
    /// One request by hand, on a link that is up; the reports until its end.
    pub fn ask(&mut self, request: Request) -> Vec<Report> {
        let begin = self.desk.reports.len();
        self.desk.running = Some(request.task());
        self.driver.handle(self.now_ms, Input::Request(request));
        for _ in 0..TURNS_MAX {
            self.settle();
            if self.desk.running.is_none() {
                return self.desk.reports[begin..].to_vec();
            }
            self.pass();
        }
        panic!("{request:?} does not end: {:?}", &self.desk.reports[begin..]);
    }
    /// Opens the link and attaches.
    pub fn attach(&mut self) -> Vec<Report> {
        self.open();
        self.ask(Request::Attach)
    }
    /// Says something to the driver now.
    pub fn say(&mut self, input: Input) {
        self.driver.handle(self.now_ms, input);
        self.settle();
    }
    /// Lets so much time pass, or until nothing is due.
    pub fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(due) = self.due().filter(|due| *due <= end_ms) {
            self.now_ms = self.now_ms.max(due);
            self.turn();
        }
        self.now_ms = end_ms;
        self.turn();
    }
    fn turn(&mut self) {
        self.driver.handle(self.now_ms, Input::Tick);
        self.terminal.handle(self.now_ms, PeerInput::Tick);
        self.settle();
    }
    fn due(&self) -> Option<u64> {
        [self.driver.poll_timeout(), self.terminal.poll_timeout()].into_iter().flatten().min()
    }
    fn pass(&mut self) {
        let due = self.due().unwrap_or_else(|| panic!("nothing is due: {:?}", self.desk.reports));
        self.now_ms = self.now_ms.max(due);
        self.turn();
    }
    /// Runs until the desk has nothing left to do and the terminal is quiet.
    pub fn run(&mut self) {
        let end_ms = self.now_ms + PATIENCE_MS;
        let mut turns = 0;
        while self.now_ms < end_ms && turns < TURNS_MAX {
            turns += 1;
            self.settle();
            if !self.up && self.reopen_ms <= self.now_ms && self.dead_until_ms <= self.now_ms {
                self.open();
                continue;
            }
            if self.waits && self.dead_until_ms <= self.now_ms {
                self.waits = false;
                self.terminal.handle(self.now_ms, PeerInput::LinkUp);
                continue;
            }
            if let Some(request) = self.up.then(|| self.desk.wish()).flatten() {
                if let Some((_, fault)) = self.armed.take_if(|(at, _)| self.desk.tries.len() == *at) {
                    self.fault(fault);
                }
                self.driver.handle(self.now_ms, Input::Request(request));
                continue;
            }
            let reopen = (!self.up && self.desk.work_left()).then(|| self.reopen_ms.max(self.dead_until_ms));
            let whole = self.waits.then_some(self.dead_until_ms);
            let due = [self.driver.poll_timeout(), self.terminal.poll_timeout(), reopen, whole];
            let Some(due) = due.into_iter().flatten().min() else { return };
            self.now_ms = self.now_ms.max(due);
            self.driver.handle(self.now_ms, Input::Tick);
            self.terminal.handle(self.now_ms, PeerInput::Tick);
        }
        let reports = &self.desk.reports[self.desk.reports.len().saturating_sub(20)..];
        panic!(
            "no end after {turns} turns, {} ms: {:?}\n{reports:?}\n{:?}",
            self.now_ms,
            self.plan,
            self.desk.tries.last()
        );
    }
    /// Runs until nothing moves at this moment.
    pub fn settle(&mut self) {
        loop {
            let kit = self.kit_output();
            let terminal = self.terminal_output();
            if !kit && !terminal {
                return;
            }
        }
    }
    fn kit_output(&mut self) -> bool {
        if self.plan == Some(Break::KitDies(self.outputs[0])) {
            self.plan = None;
            self.kill_kit();
            return true;
        }
        let Some(output) = self.driver.poll_output() else { return false };
        self.outputs[0] += 1;
        match output {
            Output::Send(bytes) => {
                self.sent.push(bytes.clone());
                self.carry(Way::ToTerminal, &bytes);
            }
            Output::CloseLink => {
                (self.up, self.reopen_ms) = (false, self.now_ms + REOPEN_MS);
                self.desk.link_lost();
                if self.ends.stream && self.dead_until_ms <= self.now_ms {
                    self.terminal.handle(self.now_ms, PeerInput::LinkDown);
                }
            }
            Output::Report(report) => {
                if let Some(input) = self.desk.report(report) {
                    self.driver.handle(self.now_ms, input);
                }
            }
        }
        true
    }
    fn terminal_output(&mut self) -> bool {
        let Some(output) = self.terminal.poll_output() else { return false };
        let dies = match self.plan {
            Some(Break::TerminalDies(at, disk)) if at == self.outputs[1] => Some(disk),
            _ => None,
        };
        self.outputs[1] += 1;
        match (output, dies) {
            (PeerOutput::Journal(entry), None) => {
                self.journal.push(entry);
                self.terminal.handle(self.now_ms, PeerInput::Journalled);
            }
            (PeerOutput::Journal(entry), Some(disk)) => {
                if disk == Disk::Written {
                    self.journal.push(entry);
                }
                self.kill_terminal();
            }
            (_, Some(_)) => self.kill_terminal(),
            (PeerOutput::Send(bytes), None) => self.carry(Way::ToKit, &bytes),
            (PeerOutput::CloseLink, None) => self.down(Notice::Both),
        }
        true
    }
    fn kill_kit(&mut self) {
        self.driver = (self.ends.driver)();
        self.desk.forget();
        (self.up, self.reopen_ms) = (false, self.now_ms + REOPEN_MS);
        if self.ends.stream {
            self.terminal.handle(self.now_ms, PeerInput::LinkDown);
        }
    }
    fn kill_terminal(&mut self) {
        self.plan = None;
        self.terminal = (self.ends.terminal)(&self.journal);
        self.terminal.handle(self.now_ms, PeerInput::Tick);
        self.down(Notice::Both);
        self.dead_until_ms = self.now_ms + OUTAGE_MS;
    }
    fn open(&mut self) {
        self.up = true;
        self.driver.handle(self.now_ms, Input::LinkUp);
        self.terminal.handle(self.now_ms, PeerInput::LinkUp);
    }
    fn down(&mut self, notice: Notice) {
        if matches!(notice, Notice::Both | Notice::Kit) {
            (self.up, self.reopen_ms) = (false, self.now_ms + REOPEN_MS);
            self.driver.handle(self.now_ms, Input::LinkDown);
            self.desk.link_lost();
        }
        if matches!(notice, Notice::Both | Notice::Terminal) {
            self.terminal.handle(self.now_ms, PeerInput::LinkDown);
            self.waits = notice == Notice::Terminal && !self.ends.stream;
        }
    }
    fn carry(&mut self, way: Way, bytes: &[u8]) {
        if self.dead_until_ms > self.now_ms {
            return;
        }
        let begin = self.passed[way as usize];
        let mut bytes = bytes.to_vec();
        self.passed[way as usize] += bytes.len() as u64;
        let within = |at: u64| (begin <= at && at < begin + bytes.len() as u64).then(|| (at - begin) as usize);
        let mut cut = None;
        match self.plan {
            Some(Break::Cut(of, at, notice)) if of == way => {
                if let Some(at) = within(at) {
                    bytes.truncate(at);
                    cut = Some(notice);
                }
            }
            Some(Break::Lost(of, at)) if of == way => {
                if let Some(at) = within(at) {
                    bytes.remove(at);
                    self.plan = None;
                }
            }
            Some(Break::Changed(of, at, by)) if of == way => {
                if let Some(at) = within(at) {
                    bytes[at] ^= by;
                    self.plan = None;
                }
            }
            _ => {}
        }
        match way {
            Way::ToTerminal => self.terminal.handle(self.now_ms, PeerInput::Bytes(bytes)),
            Way::ToKit => self.driver.handle(self.now_ms, Input::Bytes(bytes)),
        }
        if let Some(notice) = cut {
            self.plan = None;
            self.dead_until_ms = self.now_ms + OUTAGE_MS;
            self.down(notice);
        }
    }

    // --- what must hold ---

    /// References of charges that stand, by the terminal's own journal; panics if one is still open.
    pub fn standing(&self) -> BTreeSet<Reference> {
        let (mut open, mut standing) = (BTreeSet::new(), BTreeSet::new());
        for entry in &self.journal {
            let reference = (entry.receipt, entry.trace);
            match entry.event {
                Event::Approved => assert!(open.insert(reference), "approved twice: {entry:?}"),
                Event::Committed => {
                    assert!(open.remove(&reference), "committed what was not open: {entry:?}");
                    standing.insert(reference);
                }
                Event::AutoReversed | Event::Reversed | Event::Declined => {
                    open.remove(&reference);
                    standing.remove(&reference);
                }
                Event::Refunded | Event::Aborted | Event::EndOfDay | Event::Foreign => {}
            }
        }
        assert!(open.is_empty(), "{:?}: left open {open:?}\n{:?}", self.plan, self.journal);
        standing
    }
    /// Both journals agree, and each sale is paid exactly once.
    #[track_caller]
    pub fn check(&self, plan: Option<Break>) {
        let captured: Vec<Reference> = self
            .desk
            .tries
            .iter()
            .filter_map(|found| match found.state {
                State::Captured(reference) => Some(reference),
                State::Open | State::NotCharged | State::Unknown => None,
            })
            .collect();
        let set: BTreeSet<Reference> = captured.iter().copied().collect();
        assert_eq!(set, self.standing(), "{plan:?}: {:?}\n{:?}", self.desk.tries, self.journal);
        assert_eq!(set.len(), captured.len(), "{plan:?}: one charge for two tries");
        for sale in 0..self.desk.sales.len() {
            let paid = |found: &&crate::desk::Try| found.sale == sale && matches!(found.state, State::Captured(_));
            assert_eq!(self.desk.tries.iter().filter(paid).count(), 1, "{plan:?}: sale {sale}: {:?}", self.desk.tries);
        }
        assert!(self.desk.tries.iter().all(|found| found.state != State::Unknown), "{plan:?}: in doubt after asking");
    }
}
