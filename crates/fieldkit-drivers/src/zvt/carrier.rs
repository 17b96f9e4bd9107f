//! How ZVT commands travel: over a serial line with frames, or over TCP without. One face for both.
//!
//! Promises: what is sent is followed by exactly one [`Event::Taken`] or [`Event::Lost`] with its number, unless the carrier is
//! reset; over TCP the stream takes everything at once.
//! Absent on purpose: ports and sockets.

use crate::zvt::apdu::Apdu;
use crate::zvt::link::{self, Link, Repeat};
use crate::zvt::tcp::{self, Stream};
use std::collections::VecDeque;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// 9600 8N2 and the like.
    Serial,
    /// Port 20007 and the like.
    Tcp,
}

/// What travelling brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes to send, and the number of the command or answer in them.
    Send(Vec<u8>, Option<u64>),
    /// A command or an answer has come.
    Apdu(Apdu),
    /// What was sent with this number has been taken.
    Taken(u64),
    /// What was sent with this number was not taken.
    Lost(u64),
    /// So many bytes belonged to nothing.
    Noise(u64),
    /// The stream is of no more use.
    Broken(u64),
}

/// A line or a stream.
#[derive(Clone, Debug)]
pub struct Carrier {
    framing: Framing,
    link: Link,
    stream: Stream,
    /// The number of the last command or answer that went into the stream.
    numbered: u64,
    events: VecDeque<Event>,
}

impl Carrier {
    /// A fresh one.
    pub fn new(framing: Framing) -> Self {
        Carrier { framing, link: Link::default(), stream: Stream::default(), numbered: 0, events: VecDeque::new() }
    }
    /// Which.
    pub fn framing(&self) -> Framing {
        self.framing
    }
    /// Forgets everything: the port was opened anew.
    pub fn reset(&mut self) {
        *self = Carrier::new(self.framing);
    }
    /// Sends; returns the number.
    pub fn send(&mut self, now_ms: u64, apdu: &Apdu, repeat: Repeat) -> u64 {
        match self.framing {
            Framing::Serial => self.link.send(now_ms, apdu, repeat),
            Framing::Tcp => {
                self.numbered += 1;
                self.events.extend([Event::Send(apdu.bytes(), Some(self.numbered)), Event::Taken(self.numbered)]);
                self.numbered
            }
        }
    }
    /// What is to be sent next, before anything else that travelling brought.
    pub fn poll_send(&mut self) -> Option<Event> {
        let at = self.events.iter().position(|event| matches!(event, Event::Send(..)));
        at.and_then(|at| self.events.remove(at)).or_else(|| self.link.poll_wire().map(Event::from))
    }
    /// Takes bytes.
    pub fn bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        match self.framing {
            Framing::Serial => self.link.bytes(now_ms, bytes),
            Framing::Tcp => {
                let events = self.stream.bytes(now_ms, bytes);
                self.events.extend(events.into_iter().map(Event::from));
            }
        }
    }
    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) {
        self.link.tick(now_ms);
        self.events.extend(self.stream.tick(now_ms).map(Event::from));
    }
    /// When time matters next.
    pub fn deadline_ms(&self) -> Option<u64> {
        [self.link.deadline_ms(), self.stream.deadline_ms()].into_iter().flatten().min()
    }
    /// What travelling brought next.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.link.poll().map(Event::from))
    }
    /// Spoils the checksum of the next blocks, and refuses the next that come: faults of the simulated terminal.
    pub(crate) fn spoil(&mut self, checksums: &mut u32, refusals: &mut u32) {
        if self.framing == Framing::Serial {
            self.link.spoil += std::mem::take(checksums);
            self.link.refuse += std::mem::take(refusals);
        }
    }
}

impl From<link::Event> for Event {
    fn from(event: link::Event) -> Self {
        match event {
            link::Event::Wire(bytes, number) => Event::Send(bytes, number),
            link::Event::Apdu(apdu) => Event::Apdu(apdu),
            link::Event::Taken(number) => Event::Taken(number),
            link::Event::Lost(number) => Event::Lost(number),
            link::Event::Noise(bytes) => Event::Noise(bytes),
        }
    }
}

impl From<tcp::Event> for Event {
    fn from(event: tcp::Event) -> Self {
        match event {
            tcp::Event::Apdu(apdu) => Event::Apdu(apdu),
            tcp::Event::Broken(bytes) => Event::Broken(bytes),
        }
    }
}
