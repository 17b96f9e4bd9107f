//! A simulated terminal with its own journal, and the line to it.
//!
//! Promises: bytes arrive in order, or are lost; what was in flight when the line broke is gone; what the terminal had
//! not written when it lost power may be gone, the rest is remembered.
//! Absent on purpose: the terminal itself (`fieldkit_drivers`).

use crate::genesis::NOON_MS;
use crate::swarm::Protocol;
use fieldkit_core::money::Currency;
use fieldkit_drivers::telium::{self, codec::Detail};
use fieldkit_drivers::terminal::{Driver, Profile};
use fieldkit_drivers::terminal_peer::{Entry, Event, Numbers, Peer};
use fieldkit_drivers::zvt::{self, carrier::Framing};
use std::collections::{BTreeMap, BTreeSet};

/// How long a buyer takes with the card.
const BUYER_MS: u64 = 2_000;

/// The terminal of one kit.
pub struct Terminal {
    protocol: Protocol,
    number: usize,
    numbers: Numbers,
    /// The machine.
    pub peer: Box<dyn Peer>,
    /// Its journal.
    pub entries: Vec<Entry>,
    /// Entries that are on disk for sure.
    pub synced: usize,
    /// Whether the line is open.
    pub up: bool,
    /// Connections so far: bytes of an earlier one arrive nowhere.
    pub connection: u64,
    /// Until when the line stays broken.
    pub broken_until_ms: u64,
    /// When bytes that are under way have arrived, to the terminal and to the kit.
    pub free_ms: [u64; 2],
    /// When the machine is told that time has passed.
    pub tick_ms: Option<u64>,
    /// Whether an attempt to open the line is due.
    pub opening: bool,
    /// Charges that somebody undid at the terminal by hand, by the place of their entry.
    pub undone: BTreeSet<usize>,
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

impl Terminal {
    /// The terminal of a kit.
    pub fn new(number: usize, protocol: Protocol, numbers: Numbers) -> Self {
        Terminal {
            protocol,
            number,
            numbers,
            peer: machine(protocol, number, numbers, &[]),
            entries: Vec::new(),
            synced: 0,
            up: false,
            connection: 0,
            broken_until_ms: 0,
            free_ms: [0; 2],
            tick_ms: None,
            opening: false,
            undone: BTreeSet::new(),
        }
    }

    /// What it says it is.
    pub fn identity(&self) -> String {
        identity(self.number)
    }

    /// The till's side.
    pub fn driver(&self) -> Box<dyn Driver + Send> {
        let framing = match self.protocol {
            Protocol::ZvtTcp => Framing::Tcp,
            Protocol::ZvtSerial => Framing::Serial,
            Protocol::Telium => {
                let config = telium::ecr::Config { till: 1, currency: euro(), detail: Detail::default() };
                return Box::new(telium::ecr::Ecr::new(config));
            }
        };
        let profile = Profile::default();
        let config = zvt::ecr::Config { framing, password: 0, currency: euro(), profile, message_ids: false };
        Box::new(zvt::ecr::Ecr::new(config))
    }

    /// Whether it tells the numbers of its transactions.
    pub fn tells_numbers(&self) -> bool {
        self.protocol != Protocol::Telium
    }

    /// Whether bytes may be lost without the line breaking.
    pub fn is_serial(&self) -> bool {
        self.protocol != Protocol::ZvtTcp
    }

    /// Starts again from its journal; whether something in it was still open.
    pub fn restart(&mut self) -> bool {
        self.synced = self.entries.len();
        self.peer = machine(self.protocol, self.number, self.numbers, &self.entries);
        self.tick_ms = None;
        self.entries.last().is_some_and(|entry| entry.event == Event::Approved)
    }

    /// Charges that stand, by the place of their entry; those by hand among them.
    pub fn standing(&self) -> BTreeMap<usize, &Entry> {
        let mut standing: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut by_hand = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let numbers = (entry.receipt, entry.trace);
            match entry.event {
                Event::Committed => drop(standing.insert(numbers, place)),
                Event::Reversed | Event::AutoReversed | Event::Declined => drop(standing.remove(&numbers)),
                Event::Foreign => by_hand.push(place),
                Event::Approved | Event::Refunded | Event::Aborted | Event::EndOfDay => {}
            }
        }
        let stands = standing.into_values().chain(by_hand).filter(|place| !self.undone.contains(place));
        stands.map(|place| (place, &self.entries[place])).collect()
    }
}

fn identity(number: usize) -> String {
    format!("5252{:04}", 3_500 + number)
}

fn machine(protocol: Protocol, number: usize, numbers: Numbers, past: &[Entry]) -> Box<dyn Peer> {
    let (terminal_id, currency, epoch_s, buyer_ms) = (identity(number), euro(), NOON_MS / 1_000, BUYER_MS);
    let framing = match protocol {
        Protocol::ZvtTcp => Framing::Tcp,
        Protocol::ZvtSerial => Framing::Serial,
        Protocol::Telium => {
            let config = telium::peer::Config { terminal_id, currency, numbers, epoch_s, buyer_ms };
            return Box::new(telium::peer::Terminal::new(config, past));
        }
    };
    let config = zvt::peer::Config {
        framing,
        terminal_id,
        currency,
        profile: Profile::default(),
        numbers,
        epoch_s,
        buyer_ms,
        counts: false,
        message_ids: false,
        numbers_restart: false,
    };
    Box::new(zvt::peer::Terminal::new(config, past))
}
