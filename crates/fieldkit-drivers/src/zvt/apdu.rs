//! ZVT commands as they travel (PA00P015 5.2): two bytes of control field, a length, data.
//!
//! Promises: what is read writes the same bytes where the sender used the shortest length; memory is bounded by
//! [`BYTES_MAX`]. `Debug` shows the control field and the length alone, for the data may hold card numbers.
//! Absent on purpose: what the data means (`fields`, `message`).

use std::fmt;

/// Longest command taken, in all. The longest on record has 4,093 bytes (a terminal's configuration as print lines).
pub const BYTES_MAX: usize = 8192;
/// A length of this byte means: two more follow, low byte first.
const LONG: u8 = 0xff;

/// What a control field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `04 01`: the terminal tells the time.
    SetTime,
    /// `04 0F`: the result of a transaction.
    StatusInformation,
    /// `04 FF`: what the terminal shows right now.
    Intermediate,
    /// `05 01`: how is the terminal?
    StatusEnquiry,
    /// `06 00`: registration.
    Register,
    /// `06 01`: a payment.
    Authorise,
    /// `06 02`: log-off.
    LogOff,
    /// `06 0F`: the terminal is done.
    Completion,
    /// `06 1E`: the terminal has ended it without success.
    Abort,
    /// `06 20`: tell the last transaction again.
    RepeatReceipt,
    /// `06 30`: take a payment back by its receipt number.
    Reverse,
    /// `06 31`: pay out to a card.
    Refund,
    /// `06 50`: end of day.
    EndOfDay,
    /// `06 70`: diagnosis.
    Diagnose,
    /// `06 93`: initialisation.
    Initialise,
    /// `06 B0`: the till wishes to stop.
    Stop,
    /// `06 D1`: one line to print.
    PrintLine,
    /// `06 D3`: several lines to print.
    PrintBlock,
    /// Any other.
    Other(u8, u8),
}

/// Known control fields.
const COMMANDS: &[(u8, u8, Command)] = &[
    (0x04, 0x01, Command::SetTime),
    (0x04, 0x0f, Command::StatusInformation),
    (0x04, 0xff, Command::Intermediate),
    (0x05, 0x01, Command::StatusEnquiry),
    (0x06, 0x00, Command::Register),
    (0x06, 0x01, Command::Authorise),
    (0x06, 0x02, Command::LogOff),
    (0x06, 0x0f, Command::Completion),
    (0x06, 0x1e, Command::Abort),
    (0x06, 0x20, Command::RepeatReceipt),
    (0x06, 0x30, Command::Reverse),
    (0x06, 0x31, Command::Refund),
    (0x06, 0x50, Command::EndOfDay),
    (0x06, 0x70, Command::Diagnose),
    (0x06, 0x93, Command::Initialise),
    (0x06, 0xb0, Command::Stop),
    (0x06, 0xd1, Command::PrintLine),
    (0x06, 0xd3, Command::PrintBlock),
];

/// Whether an APDU asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It wants something.
    Command(Command),
    /// `80 00`, and `84 00`, which the paper calls positive too.
    Accepted,
    /// `84 xx` with its code.
    Refused(u8),
}

/// One command or answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Apdu {
    class: u8,
    instruction: u8,
    data: Vec<u8>,
}

/// What reading the front of a byte stream gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// More bytes are needed.
    Partial,
    /// An APDU, and how many bytes it took.
    Whole(Apdu, usize),
    /// A length beyond [`BYTES_MAX`]: this is no APDU of ours.
    TooLong,
}

impl Apdu {
    /// A command. `None` where the data is too long to send.
    pub fn command(command: Command, data: Vec<u8>) -> Option<Self> {
        let (class, instruction) = match command {
            Command::Other(class, instruction) => (class, instruction),
            known => {
                let found = COMMANDS.iter().find(|(_, _, command)| *command == known);
                found.map(|(class, instruction, _)| (*class, *instruction))?
            }
        };
        (data.len() + 5 <= BYTES_MAX).then_some(Apdu { class, instruction, data })
    }
    /// A command without data.
    pub fn bare(command: Command) -> Self {
        Apdu::command(command, Vec::new()).expect("nothing is never too long")
    }
    /// `80 00 00`.
    pub fn accepted() -> Self {
        Apdu { class: 0x80, instruction: 0, data: Vec::new() }
    }
    /// `84 xx 00`.
    pub fn refused(code: u8) -> Self {
        Apdu { class: 0x84, instruction: code, data: Vec::new() }
    }
    /// What it is.
    pub fn kind(&self) -> Kind {
        match (self.class, self.instruction) {
            (0x80, _) | (0x84, 0) => Kind::Accepted,
            (0x84, code) => Kind::Refused(code),
            (class, instruction) => {
                let known = COMMANDS.iter().find(|known| (known.0, known.1) == (class, instruction));
                Kind::Command(known.map_or(Command::Other(class, instruction), |known| known.2))
            }
        }
    }
    /// The data behind the length.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
    /// The bytes, with the shortest length.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.class, self.instruction];
        match u8::try_from(self.data.len()) {
            Ok(length) if length != LONG => bytes.push(length),
            _ => {
                bytes.push(LONG);
                bytes.extend(u16::try_from(self.data.len()).unwrap_or(u16::MAX).to_le_bytes());
            }
        }
        bytes.extend(&self.data);
        bytes
    }
    /// Reads the front of a stream.
    pub fn read(bytes: &[u8]) -> Read {
        let (length, header) = match bytes {
            [_, _, LONG, low, high, ..] => (usize::from(u16::from_le_bytes([*low, *high])), 5),
            [_, _, LONG, ..] => return Read::Partial,
            [_, _, length, ..] => (usize::from(*length), 3),
            _ => return Read::Partial,
        };
        let end = header + length;
        if end > BYTES_MAX {
            return Read::TooLong;
        }
        match bytes.get(header..end) {
            Some(data) => Read::Whole(Apdu { class: bytes[0], instruction: bytes[1], data: data.to_vec() }, end),
            None => Read::Partial,
        }
    }
    /// Reads exactly one.
    pub fn whole(bytes: &[u8]) -> Option<Self> {
        match Apdu::read(bytes) {
            Read::Whole(apdu, used) if used == bytes.len() => Some(apdu),
            Read::Whole(..) | Read::Partial | Read::TooLong => None,
        }
    }
}

impl fmt::Debug for Apdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X} {:02X} [{} bytes]", self.class, self.instruction, self.data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_lengths_begin_at_255() {
        let at = |length: usize| Apdu::command(Command::PrintBlock, vec![7; length]).expect("short enough").bytes();
        assert_eq!(at(254)[..4], [0x06, 0xd3, 0xfe, 7]);
        assert_eq!(at(255)[..6], [0x06, 0xd3, 0xff, 0xff, 0x00, 7]);
        assert_eq!(at(1121)[..5], [0x06, 0xd3, 0xff, 0x61, 0x04]);
        assert!(Apdu::command(Command::PrintBlock, vec![0; BYTES_MAX - 5]).is_some());
        assert!(Apdu::command(Command::PrintBlock, vec![0; BYTES_MAX - 4]).is_none());
        assert_eq!(Apdu::read(&[0x06, 0xd3, 0xff, 0xfb, 0x1f]), Read::Partial);
        assert_eq!(Apdu::read(&[0x06, 0xd3, 0xff, 0xfc, 0x1f]), Read::TooLong);
    }

    #[test]
    fn answers_are_told_from_commands() {
        let kind = |bytes: &[u8]| Apdu::whole(bytes).map(|apdu| apdu.kind());
        assert_eq!(kind(&[0x80, 0, 0]), Some(Kind::Accepted));
        assert_eq!(kind(&[0x84, 0, 0]), Some(Kind::Accepted));
        assert_eq!(kind(&[0x84, 0x9c, 0]), Some(Kind::Refused(0x9c)));
        assert_eq!(kind(&[6, 1, 0]), Some(Kind::Command(Command::Authorise)));
        assert_eq!(kind(&[0x0f, 0xa1, 0]), Some(Kind::Command(Command::Other(0x0f, 0xa1))));
        assert_eq!(kind(&[6, 1, 0, 0]), None);
    }

    #[test]
    fn data_is_not_printed() {
        let apdu = Apdu::command(Command::StatusInformation, vec![0x41; 8]).expect("short enough");
        assert_eq!(format!("{apdu:?}"), "04 0F [8 bytes]");
    }

    proptest! {
        #[test]
        fn apdus_round_trip(class: u8, instruction: u8, data in prop::collection::vec(any::<u8>(), 0..700), more: u8) {
            let apdu = Apdu { class, instruction, data };
            let mut bytes = apdu.bytes();
            prop_assert_eq!(Apdu::whole(&bytes), Some(apdu.clone()));
            for end in 0..bytes.len() {
                prop_assert_eq!(Apdu::read(&bytes[..end]), Read::Partial);
            }
            let length = bytes.len();
            bytes.push(more);
            prop_assert_eq!(Apdu::read(&bytes), Read::Whole(apdu, length));
        }
    }
}
