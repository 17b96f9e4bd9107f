//! Where transactions begin in what a till says: there a line of the script is due.
//!
//! Promises: a transaction is found once, however its bytes are cut and however often its block is repeated before an
//! answer; a command that the till gives while one runs begins nothing.
//! Absent on purpose: checksums, fields and timers. The machine behind reads the same bytes and judges them.

/// First bytes of the commands that move money: payment, reversal, refund.
const MONEY: [[u8; 2]; 3] = [[0x06, 0x01], [0x06, 0x30], [0x06, 0x31]];
/// The till wishes to stop what runs.
const STOP: [u8; 2] = [0x06, 0xb0];
/// How the terminal ends a command.
const ENDS: [[u8; 2]; 2] = [[0x06, 0x0f], [0x06, 0x1e]];
/// First byte of a refusal.
const REFUSED: u8 = 0x84;
/// Classes of commands; answers begin with others.
const COMMANDS: [u8; 4] = [0x04, 0x05, 0x06, 0x08];
/// A length of this byte means: two more follow, low byte first.
const LONG: u8 = 0xff;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const ENQ: u8 = 0x05;
const DLE: u8 = 0x10;

/// A listener beside the machine.
#[derive(Debug)]
pub enum Beginnings {
    /// ZVT over TCP.
    ZvtStream(Stream, Running),
    /// ZVT over a line.
    ZvtLine(Line, Running),
    /// Telium.
    Telium(Telium),
}

/// Whether a command runs that moves money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// None does.
    #[default]
    No,
    /// One does.
    Yes,
}

impl Beginnings {
    /// Takes a byte of the till. Where it tells that a transaction begins: how many bytes of it have come, with this one.
    pub fn byte(&mut self, byte: u8) -> Option<usize> {
        let (command, running) = match self {
            Beginnings::ZvtStream(stream, running) => (stream.byte(byte)?, running),
            Beginnings::ZvtLine(line, running) => (line.byte(byte)?, running),
            Beginnings::Telium(telium) => return telium.byte(byte),
        };
        let (head, bytes) = command;
        if MONEY.contains(&head) {
            let begins = *running == Running::No;
            *running = Running::Yes;
            return begins.then_some(bytes);
        }
        // A till that asks for something else has given the transaction up.
        if COMMANDS.contains(&head[0]) && head != STOP {
            *running = Running::No;
        }
        None
    }
    /// Hears what the terminal says.
    pub fn said(&mut self, bytes: &[u8]) {
        let (head, running) = match self {
            Beginnings::ZvtStream(_, running) => (bytes.get(..2), running),
            Beginnings::ZvtLine(_, running) => (bytes.get(2..4).filter(|_| bytes.starts_with(&[DLE, STX])), running),
            Beginnings::Telium(_) => return,
        };
        if head.is_some_and(|head| head[0] == REFUSED || ENDS.iter().any(|end| end == head)) {
            *running = Running::No;
        }
    }
    /// The link is another.
    pub fn reset(&mut self) {
        *self = match self {
            Beginnings::ZvtStream(..) => Beginnings::ZvtStream(Stream::default(), Running::No),
            Beginnings::ZvtLine(..) => Beginnings::ZvtLine(Line::default(), Running::No),
            Beginnings::Telium(_) => Beginnings::Telium(Telium::default()),
        };
    }
}

/// Commands in a stream: two bytes, a length, data.
#[derive(Debug, Default)]
pub struct Stream {
    head: Vec<u8>,
    /// Bytes of data still to come.
    left: usize,
}

impl Stream {
    fn byte(&mut self, byte: u8) -> Option<([u8; 2], usize)> {
        if self.left > 0 {
            self.left -= 1;
            return None;
        }
        self.head.push(byte);
        match *self.head {
            [class, instruction] => return Some(([class, instruction], 2)),
            [_, _, length] if length != LONG => self.data(usize::from(length)),
            [_, _, _, low, high] => self.data(usize::from(u16::from_le_bytes([low, high]))),
            _ => {}
        }
        None
    }
    fn data(&mut self, length: usize) {
        self.head.clear();
        self.left = length;
    }
}

/// Commands on a line, in frames.
#[derive(Debug, Default)]
pub struct Line {
    stage: Stage,
    /// The first two bytes of the command, as far as they have come.
    head: Vec<u8>,
    /// Bytes of the frame so far.
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Outside,
    Begin,
    Body,
    Escape,
    Checksum(u8),
}

impl Line {
    fn byte(&mut self, byte: u8) -> Option<([u8; 2], usize)> {
        self.bytes += 1;
        self.stage = match (self.stage, byte) {
            (Stage::Outside | Stage::Begin, DLE) => {
                self.bytes = 1;
                Stage::Begin
            }
            (Stage::Begin | Stage::Escape, STX) => {
                (self.bytes, self.head) = (2, Vec::new());
                Stage::Body
            }
            (Stage::Outside | Stage::Begin, _) => Stage::Outside,
            (Stage::Body, DLE) => Stage::Escape,
            (Stage::Escape, ETX) => Stage::Checksum(2),
            (Stage::Body, byte) | (Stage::Escape, byte @ DLE) => {
                self.head.push(byte);
                self.stage = Stage::Body;
                return match *self.head {
                    [class, instruction] => Some(([class, instruction], self.bytes)),
                    _ => None,
                };
            }
            (Stage::Escape, _) | (Stage::Checksum(1), _) => Stage::Outside,
            (Stage::Checksum(left), _) => Stage::Checksum(left - 1),
        };
        None
    }
}

/// A till that calls with `ENQ` may only look whether anybody is there; one that asks has begun a transaction. What goes
/// wrong may have to go wrong at the call, so a line is due there, and the next one only after an ask.
#[derive(Debug, Default)]
pub struct Telium {
    frame: Frame,
    /// A line was due at a call that no ask has followed yet.
    called: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Frame {
    #[default]
    Outside,
    Data,
    Checksum,
}

impl Telium {
    fn byte(&mut self, byte: u8) -> Option<usize> {
        let (frame, begins) = match (self.frame, byte) {
            (Frame::Outside | Frame::Data, STX) => {
                self.called = false;
                (Frame::Data, false)
            }
            (Frame::Data, ETX) => (Frame::Checksum, false),
            (Frame::Data, _) => (Frame::Data, false),
            (Frame::Outside, ENQ) => (Frame::Outside, !std::mem::replace(&mut self.called, true)),
            (Frame::Outside | Frame::Checksum, _) => (Frame::Outside, false),
        };
        self.frame = frame;
        begins.then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fieldkit_drivers::zvt::link::frame;

    const PAYMENT: &[u8] = &[6, 1, 10, 4, 0, 0, 0, 0, 9, 0x50, 0x49, 9, 0x78];
    const REVERSAL: &[u8] = &[6, 0x30, 6, 0, 0, 0, 0x87, 2, 0x31];
    const REPEAT: &[u8] = &[6, 0x20, 5, 0, 0, 0, 3, 3];
    const OK: &[u8] = &[0x80, 0, 0];
    const DONE: &[u8] = &[6, 0x0f, 0];
    const NONE: [usize; 0] = [];

    /// How much of each transaction had come when it was found.
    fn found(beginnings: &mut Beginnings, bytes: &[u8]) -> Vec<usize> {
        bytes.iter().filter_map(|byte| beginnings.byte(*byte)).collect()
    }

    fn stream() -> Beginnings {
        Beginnings::ZvtStream(Stream::default(), Running::No)
    }

    fn line() -> Beginnings {
        Beginnings::ZvtLine(Line::default(), Running::No)
    }

    #[test]
    fn each_transaction_is_found_once() {
        for (mut zvt, framed, seen) in [(stream(), false, 2), (line(), true, 4)] {
            let block = |apdu: &[u8]| if framed { frame(apdu) } else { apdu.to_vec() };
            assert_eq!(found(&mut zvt, &block(&[6, 0, 6, 0, 0, 0, 0x0e, 9, 0x78])), NONE);
            zvt.said(&block(DONE));
            assert_eq!(found(&mut zvt, &block(PAYMENT)), vec![seen]);
            // Repeated because its acknowledgement was lost, and stopped: still the same one.
            assert_eq!(found(&mut zvt, &[block(PAYMENT), block(&[6, 0xb0, 0]), block(PAYMENT)].concat()), NONE);
            zvt.said(&block(OK));
            assert_eq!(found(&mut zvt, &[block(OK), block(PAYMENT)].concat()), NONE, "it runs");
            zvt.said(&block(DONE));
            assert_eq!(found(&mut zvt, &[block(OK), block(REVERSAL)].concat()), vec![seen]);
            zvt.said(&block(&[0x84, 0x9c, 0]));
            assert_eq!(found(&mut zvt, &block(REVERSAL)), vec![seen], "it was refused");
            assert_eq!(found(&mut zvt, &[block(REPEAT), block(PAYMENT)].concat()), vec![seen], "it was given up");
            zvt.reset();
            assert_eq!(found(&mut zvt, &block(PAYMENT)), vec![seen]);
        }
    }

    #[test]
    fn data_that_looks_like_a_command_is_none() {
        let long = [&[6, 0xd3, 0xff, 6, 0][..], &[6, 1, 6, 1, 6, 1], PAYMENT].concat();
        assert_eq!(found(&mut stream(), &long), vec![2]);
        let inside = [frame(&[6, 0x20, 4, DLE, STX, 6, 1]), vec![0x06], frame(PAYMENT)].concat();
        assert_eq!(found(&mut line(), &inside), vec![4]);
        // A frame that never ends is left at the next.
        assert_eq!(found(&mut line(), &[&[DLE, STX, 5][..], &frame(PAYMENT)].concat()), vec![4]);
    }

    #[test]
    fn a_call_without_an_ask_uses_up_one_line() {
        let mut telium = Beginnings::Telium(Telium::default());
        let ask = b"\x020100000950010978          A010B010\x03\x0b";
        assert_eq!(found(&mut telium, &[ENQ, 4, ENQ, ENQ]), vec![1]);
        assert_eq!(found(&mut telium, ask), NONE);
        assert_eq!(found(&mut telium, &[4, 6, 6, ENQ]), vec![1]);
        assert_eq!(
            found(&mut telium, &[b"\x02a\x03\x05", ask.as_slice(), &[ENQ]].concat()),
            vec![1],
            "checksums do not call"
        );
    }
}
