//! ZVT over TCP (PA00P016 chapter 4): bare commands in a byte stream, cut anywhere.
//!
//! Promises: the same commands come out however the stream is cut; memory is bounded by the longest command. A stream
//! has no marks to find the next command by, so the first byte that cannot begin one makes the stream useless
//! ([`Event::Broken`]), as does a command that takes longer than [`WHOLE_MS`] to arrive.
//! Absent on purpose: sockets.

use crate::zvt::apdu::{Apdu, BYTES_MAX, Read};

/// Longest time for a command to arrive whole.
pub const WHOLE_MS: u64 = 10_000;
/// First bytes that begin a command or an answer.
const CLASSES: &[u8] = &[0x04, 0x05, 0x06, 0x08, 0x0f, 0x80, 0x84];

/// What the stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command or an answer.
    Apdu(Apdu),
    /// The stream is useless; so many bytes were dropped.
    Broken(u64),
}

/// The receiving half of a stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    begun_ms: u64,
    broken: bool,
}

impl Stream {
    /// Takes bytes and gives back what is whole.
    pub fn bytes(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && !self.broken {
            if self.bytes.is_empty() {
                self.begun_ms = now_ms;
            }
            let (taken, after) = rest.split_at(rest.len().min(BYTES_MAX));
            self.bytes.extend(taken);
            rest = after;
            self.cut(&mut events);
            if !self.bytes.is_empty() && !events.is_empty() {
                self.begun_ms = now_ms;
            }
        }
        events
    }
    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) -> Option<Event> {
        let late = self.deadline_ms().is_some_and(|deadline| deadline <= now_ms);
        late.then(|| self.give_up())
    }
    /// When time matters next.
    pub fn deadline_ms(&self) -> Option<u64> {
        (!self.bytes.is_empty()).then_some(self.begun_ms + WHOLE_MS)
    }
    /// Bytes held.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    fn cut(&mut self, events: &mut Vec<Event>) {
        let mut at = 0;
        while let Some(class) = self.bytes.get(at) {
            if !CLASSES.contains(class) {
                self.bytes.drain(..at);
                events.push(self.give_up());
                return;
            }
            match Apdu::read(&self.bytes[at..]) {
                Read::Partial => break,
                Read::Whole(apdu, used) => {
                    events.push(Event::Apdu(apdu));
                    at += used;
                }
                Read::TooLong => {
                    self.bytes.drain(..at);
                    events.push(self.give_up());
                    return;
                }
            }
        }
        self.bytes.drain(..at);
    }
    fn give_up(&mut self) -> Event {
        self.broken = true;
        Event::Broken(std::mem::take(&mut self.bytes).len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apdus(bytes: &[u8]) -> Vec<Event> {
        Stream::default().bytes(0, bytes)
    }

    #[test]
    fn what_begins_no_command_breaks_the_stream() {
        let mut stream = Stream::default();
        let events = stream.bytes(0, &[0x80, 0, 0, 0x47, 0x45, 0x54]);
        assert_eq!(events, vec![Event::Apdu(Apdu::accepted()), Event::Broken(3)]);
        assert_eq!((stream.bytes(0, &[0x80, 0, 0]), stream.held(), stream.deadline_ms()), (vec![], 0, None));
        assert_eq!(apdus(&[6, 0xd3, 0xff, 0xff, 0xff]), vec![Event::Broken(5)]);
    }

    #[test]
    fn a_command_has_its_time() {
        let mut stream = Stream::default();
        assert_eq!(stream.bytes(5, &[0x80, 0]), vec![]);
        assert_eq!(stream.bytes(9_000, &[]), vec![]);
        assert_eq!(stream.tick(5 + WHOLE_MS - 1), None);
        assert_eq!(stream.tick(5 + WHOLE_MS), Some(Event::Broken(2)));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_commands(
            commands in prop::collection::vec((0usize..7, any::<u8>(), prop::collection::vec(any::<u8>(), 0..400)), 1..8),
            cuts in prop::collection::vec(1usize..60, 1..40),
        ) {
            let mut bytes = Vec::new();
            for (class, instruction, data) in commands {
                let length = u16::try_from(data.len()).expect("short").to_le_bytes();
                bytes.extend([CLASSES[class], instruction, 0xff, length[0], length[1]]);
                bytes.extend(data);
            }
            let whole = apdus(&bytes);
            let (mut stream, mut pieces, mut rest) = (Stream::default(), Vec::new(), bytes.as_slice());
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.extend(stream.bytes(0, piece));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&pieces, &whole);
            prop_assert!(whole.iter().all(|event| matches!(event, Event::Apdu(_))));
            prop_assert_eq!(stream.held(), 0);
        }
    }

    #[test]
    fn garbage_never_panics_and_holds_little() {
        let mut state = 1u64;
        let mut stream = Stream::default();
        for at in 0..100_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let broken = stream.bytes(at, &[(state >> 33) as u8]).iter().any(|event| matches!(event, Event::Broken(_)));
            assert!(stream.held() <= BYTES_MAX);
            if broken || stream.tick(at).is_some() {
                stream = Stream::default();
            }
        }
    }
}
