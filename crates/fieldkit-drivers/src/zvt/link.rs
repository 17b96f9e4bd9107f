//! ZVT over a serial line (PA00P016 chapters 2 and 3): framing, checksum, acknowledgement, repeats.
//!
//! Frame: `DLE STX`, the command with each `DLE` doubled, `DLE ETX`, two bytes of checksum, low one first, never doubled.
//! Checksum: CRC-16, reflected polynomial 0x8408, start 0, over command and `ETX`. Each block is answered by one byte.
//!
//! Promises: garbage costs at most the frame that it touches; memory is bounded by the longest command; a frame is
//! dropped when its bytes pause too long ([`T1_MS`]) or when it takes too long in all ([`FRAME_MS`]).
//! A block that moves money is repeated only when the other side says that it did not get it (`NAK`), never on silence:
//! the silence may be a lost acknowledgement, and a terminal may take the same block for a second payment. Other blocks
//! are repeated on silence too, up to [`REPEATS_MAX`] times. A block that comes while an acknowledgement is awaited
//! acknowledges: half-duplex, the other side has no reason to speak before it has heard us. The same block twice within
//! [`TWICE_MS`], with nothing sent by us in between, is one whose acknowledgement was lost: acknowledged again and not
//! passed on.
//! Absent on purpose: what is said; numbering, which the serial protocol does not have.

use crate::zvt::apdu::{Apdu, BYTES_MAX};
use std::collections::VecDeque;

/// Longest pause between two bytes of a frame.
pub const T1_MS: u64 = 200;
/// Longest wait for the acknowledgement of a block.
pub const T2_MS: u64 = 5_000;
/// Longest time for a frame in all: the longest command, each byte doubled, takes 19 s at 9600 baud with two stop bits.
pub const FRAME_MS: u64 = 20_000;
/// How often a block is sent again.
pub const REPEATS_MAX: u32 = 2;
/// How long after its first coming a block can be a repeat: the last is sent after two silences.
pub const TWICE_MS: u64 = 12_500;
/// Blocks that may wait for the line.
const WAITING_MAX: usize = 8;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const DLE: u8 = 0x10;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

/// When a block may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// On `NAK` and on silence.
    Always,
    /// On `NAK` alone.
    OnNak,
}

/// What the line brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes to send, and the block that they carry; none in a bare acknowledgement.
    Wire(Vec<u8>, Option<u64>),
    /// A command or an answer.
    Apdu(Apdu),
    /// This block has been taken.
    Taken(u64),
    /// This block was not taken.
    Lost(u64),
    /// So many bytes belonged to nothing.
    Noise(u64),
}

/// One end of the line.
#[derive(Clone, Debug, Default)]
pub struct Link {
    reading: Reading,
    sending: Option<Block>,
    waiting: VecDeque<(u64, Apdu, Repeat)>,
    /// The number of the last block.
    numbered: u64,
    /// The last block passed on, and when; until we send one.
    last: Option<(Apdu, u64)>,
    events: VecDeque<Event>,
    /// Blocks still to be spoilt, and blocks still to be refused: faults of the simulated terminal.
    pub(crate) spoil: u32,
    pub(crate) refuse: u32,
}

#[derive(Clone, Debug)]
struct Block {
    number: u64,
    bytes: Vec<u8>,
    repeat: Repeat,
    sent: u32,
    deadline_ms: u64,
}

/// Where in a frame we are.
#[derive(Clone, Debug, Default)]
struct Reading {
    stage: Stage,
    body: Vec<u8>,
    begun_ms: u64,
    last_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// `DLE` outside a frame.
    Begin,
    Body,
    /// `DLE` inside a frame.
    Escape,
    Checksum,
    /// The low byte is here.
    ChecksumHigh(u8),
}

impl Link {
    /// Sends a command or an answer, after those that wait; returns its number.
    pub fn send(&mut self, now_ms: u64, apdu: &Apdu, repeat: Repeat) -> u64 {
        self.numbered += 1;
        let number = self.numbered;
        if self.sending.is_none() {
            self.begin_block(now_ms, number, apdu, repeat);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((number, apdu.clone(), repeat));
        } else {
            self.events.push_back(Event::Lost(number));
        }
        number
    }
    /// Takes bytes.
    pub fn bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        let mut noise = 0;
        for byte in bytes {
            noise += u64::from(!self.byte(now_ms, *byte));
        }
        if noise > 0 {
            self.events.push_back(Event::Noise(noise));
        }
    }
    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) {
        if self.reading.deadline_ms().is_some_and(|deadline| deadline <= now_ms) {
            self.drop_frame();
        }
        if self.sending.as_ref().is_some_and(|block| block.deadline_ms <= now_ms) {
            self.again(now_ms, Repeat::Always);
        }
    }
    /// When time matters next.
    pub fn deadline_ms(&self) -> Option<u64> {
        let block = self.sending.as_ref().map(|block| block.deadline_ms);
        [self.reading.deadline_ms(), block].into_iter().flatten().min()
    }
    /// What the line brought next.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// What is to be sent next, before anything else that the line brought.
    pub fn poll_wire(&mut self) -> Option<Event> {
        let at = self.events.iter().position(|event| matches!(event, Event::Wire(..)))?;
        self.events.remove(at)
    }
    /// Bytes held.
    pub fn held(&self) -> usize {
        self.reading.body.len()
    }

    /// Whether the byte belongs to something.
    fn byte(&mut self, now_ms: u64, byte: u8) -> bool {
        let reading = &mut self.reading;
        reading.last_ms = now_ms;
        match (reading.stage, byte) {
            (Stage::Idle, DLE) => reading.stage = Stage::Begin,
            // Late ones, after a block that acknowledged by itself, are no noise.
            (Stage::Idle, ACK) => self.taken(now_ms),
            (Stage::Idle, NAK) => self.again(now_ms, Repeat::OnNak),
            (Stage::Idle, _) => return false,
            (Stage::Begin, STX) | (Stage::Escape, STX) => self.begin(now_ms),
            (Stage::Begin, DLE) => return false,
            (Stage::Begin, _) => {
                reading.stage = Stage::Idle;
                return false;
            }
            (Stage::Body, DLE) => reading.stage = Stage::Escape,
            (Stage::Body, byte) => return self.body(byte),
            (Stage::Escape, DLE) => {
                reading.stage = Stage::Body;
                return self.body(DLE);
            }
            (Stage::Escape, ETX) => reading.stage = Stage::Checksum,
            (Stage::Escape, _) => {
                self.drop_frame();
                return false;
            }
            (Stage::Checksum, low) => reading.stage = Stage::ChecksumHigh(low),
            (Stage::ChecksumHigh(low), high) => return self.end(now_ms, [low, high]),
        }
        true
    }
    fn begin(&mut self, now_ms: u64) {
        self.reading = Reading { stage: Stage::Body, body: Vec::new(), begun_ms: now_ms, last_ms: now_ms };
    }
    fn body(&mut self, byte: u8) -> bool {
        self.reading.body.push(byte);
        let fits = self.reading.body.len() <= BYTES_MAX;
        if !fits {
            self.drop_frame();
        }
        fits
    }
    /// The frame is broken: say so, and look for the next.
    fn drop_frame(&mut self) {
        let answer = self.reading.stage != Stage::Begin;
        self.reading = Reading::default();
        if answer {
            self.events.push_back(Event::Wire(vec![NAK], None));
        }
    }
    fn end(&mut self, now_ms: u64, found: [u8; 2]) -> bool {
        let body = std::mem::take(&mut self.reading.body);
        self.reading = Reading::default();
        let apdu = Apdu::whole(&body).filter(|_| checksum(&body) == u16::from_le_bytes(found));
        let Some(apdu) = apdu else {
            self.events.push_back(Event::Wire(vec![NAK], None));
            // What looked like a checksum may have been the beginning of the next frame.
            match found {
                [DLE, STX] => self.begin(now_ms),
                [_, DLE] => self.reading = Reading { stage: Stage::Begin, last_ms: now_ms, ..Reading::default() },
                _ => {}
            }
            return false;
        };
        if self.refuse > 0 {
            self.refuse -= 1;
            self.events.push_back(Event::Wire(vec![NAK], None));
            return true;
        }
        self.events.push_back(Event::Wire(vec![ACK], None));
        let twice = self.last.as_ref().is_some_and(|(last, at)| *last == apdu && now_ms < at + TWICE_MS);
        if !twice {
            self.last = Some((apdu.clone(), now_ms));
            self.taken(now_ms);
            self.events.push_back(Event::Apdu(apdu));
        }
        true
    }
    fn taken(&mut self, now_ms: u64) {
        if let Some(block) = self.sending.take() {
            self.events.push_back(Event::Taken(block.number));
            self.next(now_ms);
        }
    }
    /// Sends the block again, where it may be for this `cause`; gives it up where not.
    fn again(&mut self, now_ms: u64, cause: Repeat) {
        let Some(block) = &self.sending else { return };
        let may = cause == Repeat::OnNak || block.repeat == Repeat::Always;
        if may && block.sent <= REPEATS_MAX {
            self.transmit(now_ms);
        } else {
            self.events.push_back(Event::Lost(block.number));
            self.sending = None;
            self.next(now_ms);
        }
    }
    fn next(&mut self, now_ms: u64) {
        if let Some((number, apdu, repeat)) = self.waiting.pop_front() {
            self.begin_block(now_ms, number, &apdu, repeat);
        }
    }
    fn begin_block(&mut self, now_ms: u64, number: u64, apdu: &Apdu, repeat: Repeat) {
        self.last = None;
        self.sending = Some(Block { number, bytes: frame(&apdu.bytes()), repeat, sent: 0, deadline_ms: 0 });
        self.transmit(now_ms);
    }
    fn transmit(&mut self, now_ms: u64) {
        let Some(block) = &mut self.sending else { return };
        block.sent += 1;
        block.deadline_ms = now_ms + T2_MS;
        let mut bytes = block.bytes.clone();
        if self.spoil > 0 {
            self.spoil -= 1;
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x5a;
            }
        }
        let number = block.number;
        self.events.push_back(Event::Wire(bytes, Some(number)));
    }
}

impl Reading {
    fn deadline_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Idle => None,
            Stage::Begin => Some(self.last_ms + T1_MS),
            Stage::Body | Stage::Escape | Stage::Checksum | Stage::ChecksumHigh(_) => {
                Some((self.last_ms + T1_MS).min(self.begun_ms + FRAME_MS))
            }
        }
    }
}

/// The bytes of a block on the line.
pub fn frame(apdu: &[u8]) -> Vec<u8> {
    let mut bytes = vec![DLE, STX];
    for byte in apdu {
        if *byte == DLE {
            bytes.push(DLE);
        }
        bytes.push(*byte);
    }
    bytes.extend([DLE, ETX]);
    bytes.extend(checksum(apdu).to_le_bytes());
    bytes
}

/// CRC-16/KERMIT over a command and `ETX`.
fn checksum(apdu: &[u8]) -> u16 {
    let bits = |sum: u16, _| if sum & 1 == 1 { sum >> 1 ^ 0x8408 } else { sum >> 1 };
    let byte = |sum: u16, byte: &u8| (0..8).fold(sum ^ u16::from(*byte), bits);
    apdu.iter().chain([&ETX]).fold(0, byte)
}

#[cfg(test)]
mod tests;
