//! Bytes of Telium: single control characters, and `STX data ETX LRC`, where LRC is the exclusive-or of data and `ETX`.
//!
//! Promises: what is read writes the same bytes; a frame holds at most [`DATA_MAX`] bytes and takes at most [`FRAME_MS`];
//! a frame that begins within another ends it.
//! Absent on purpose: who calls whom when (`ecr`, `peer`).

/// Longest data taken; the longest answer has 80 bytes.
pub const DATA_MAX: usize = 128;
/// Longest pause between two bytes of a frame.
pub const BYTE_MS: u64 = 500;
/// Longest time for a frame in all: 83 bytes take a tenth of a second at 9600 baud.
pub const FRAME_MS: u64 = 3_000;
/// Length of an ask.
const ASK: usize = 34;
/// Lengths of an answer without and with a report, and of the report.
const ANSWER_SHORT: usize = 25;
const ANSWER_FULL: usize = 80;
const REPORT: usize = 55;
/// Behind the ask's private field: wait for the end of the payment; let the terminal decide on asking the issuer.
const WAIT_AND_DECIDE: &[u8; 8] = b"A010B010";
/// The largest amount of eight digits.
pub const AMOUNT_MAX: i64 = 99_999_999;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// A control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// May I speak?
    Enq,
    /// Yes; taken.
    Ack,
    /// No; not taken.
    Nak,
    /// I am done.
    Eot,
}

impl Control {
    /// Its byte.
    pub fn byte(self) -> u8 {
        match self {
            Control::Enq => 0x05,
            Control::Ack => 0x06,
            Control::Nak => 0x15,
            Control::Eot => 0x04,
        }
    }
    fn read(byte: u8) -> Option<Self> {
        [Control::Enq, Control::Ack, Control::Nak, Control::Eot].into_iter().find(|control| control.byte() == byte)
    }
}

/// What the line brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A control character.
    Control(Control),
    /// Data with a right checksum.
    Data(Vec<u8>),
    /// A frame that is none.
    Broken,
    /// A byte that belongs to nothing.
    Noise,
}

/// The receiving end of a line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    stage: Stage,
    data: Vec<u8>,
    begun_ms: u64,
    last_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Data,
    Checksum,
}

impl Line {
    /// Takes one byte.
    pub fn byte(&mut self, now_ms: u64, byte: u8) -> Option<Heard> {
        self.last_ms = now_ms;
        match (self.stage, byte) {
            (Stage::Idle | Stage::Data, STX) => {
                *self = Line { stage: Stage::Data, data: Vec::new(), begun_ms: now_ms, last_ms: now_ms };
                None
            }
            (Stage::Idle, byte) => Some(Control::read(byte).map_or(Heard::Noise, Heard::Control)),
            (Stage::Data, ETX) => {
                self.stage = Stage::Checksum;
                None
            }
            (Stage::Data, byte) => {
                self.data.push(byte);
                (self.data.len() > DATA_MAX).then(|| self.drop_frame())
            }
            (Stage::Checksum, found) => {
                let data = std::mem::take(&mut self.data);
                self.stage = Stage::Idle;
                Some(if checksum(&data) == found { Heard::Data(data) } else { Heard::Broken })
            }
        }
    }
    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) -> Option<Heard> {
        let late = self.deadline_ms().is_some_and(|deadline| deadline <= now_ms);
        late.then(|| self.drop_frame())
    }
    /// When time matters next.
    pub fn deadline_ms(&self) -> Option<u64> {
        let within = (self.last_ms + BYTE_MS).min(self.begun_ms + FRAME_MS);
        (self.stage != Stage::Idle).then_some(within)
    }
    /// Bytes held.
    pub fn held(&self) -> usize {
        self.data.len()
    }
    fn drop_frame(&mut self) -> Heard {
        *self = Line::default();
        Heard::Broken
    }
}

fn checksum(data: &[u8]) -> u8 {
    data.iter().fold(ETX, |sum, byte| sum ^ byte)
}

/// Data on the line.
pub fn frame(data: &[u8]) -> Vec<u8> {
    [&[STX], data, &[ETX, checksum(data)]].concat()
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Money from a card.
    Debit,
    /// Money to a card.
    Credit,
    /// What we do not ask for: taking back, pre-authorising. Its character.
    Other(u8),
}

/// Whether the answer brings the report of the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Without: no card data comes at all.
    #[default]
    Short,
    /// With the card's number, which is masked on arrival.
    Full,
}

/// What the till asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The till's number, 1 to 99.
    pub till: u8,
    /// Minor units, at most [`AMOUNT_MAX`].
    pub minor: i64,
    /// Which answer is wanted.
    pub detail: Detail,
    /// The means of payment; `1` is a card.
    pub means: u8,
    /// What is asked for.
    pub wish: Wish,
    /// ISO 4217 number.
    pub currency: u16,
    /// Ten characters of the till's own.
    pub private: [u8; 10],
}

impl Ask {
    /// The data; eight bytes behind the private field ask for an answer at the end, and leave it to the terminal to ask the
    /// issuer.
    pub fn bytes(&self) -> Vec<u8> {
        let wish = match self.wish {
            Wish::Debit => b'0',
            Wish::Credit => b'1',
            Wish::Other(byte) => byte,
        };
        let detail = if self.detail == Detail::Full { b'1' } else { b'0' };
        let mut data = format!("{:02}{:08}", self.till.min(99), self.minor.clamp(0, AMOUNT_MAX)).into_bytes();
        data.extend([detail, self.means, wish]);
        data.extend(format!("{:03}", self.currency.min(999)).into_bytes());
        data.extend(self.private);
        data.extend(WAIT_AND_DECIDE);
        data
    }
    /// Reads the data.
    pub fn read(data: &[u8]) -> Option<Self> {
        if data.len() != ASK || !data.is_ascii() {
            return None;
        }
        let wish = match data[12] {
            b'0' => Wish::Debit,
            b'1' => Wish::Credit,
            byte => Wish::Other(byte),
        };
        Some(Ask {
            till: number(&data[..2])?.try_into().ok()?,
            minor: number(&data[2..10])?.try_into().ok()?,
            detail: if data[10] == b'1' { Detail::Full } else { Detail::Short },
            means: data[11],
            wish,
            currency: number(&data[13..16])?.try_into().ok()?,
            private: data[16..26].try_into().ok()?,
        })
    }
}

/// What the terminal answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The till's number.
    pub till: u8,
    /// `0` yes, `7` no, `9` not verified.
    pub result: u8,
    /// Minor units.
    pub minor: i64,
    /// The means of payment.
    pub means: u8,
    /// The report, where it was asked for.
    pub report: Option<Vec<u8>>,
    /// ISO 4217 number.
    pub currency: u16,
    /// Ten characters: the terminal's sign for the payment, where it gives one.
    pub private: [u8; 10],
}

impl Answer {
    /// The data.
    pub fn bytes(&self) -> Vec<u8> {
        let mut data = format!("{:02}", self.till.min(99)).into_bytes();
        data.push(self.result);
        data.extend(format!("{:08}", self.minor.clamp(0, AMOUNT_MAX)).into_bytes());
        data.push(self.means);
        if let Some(report) = &self.report {
            let mut report = report.clone();
            report.resize(REPORT, b' ');
            data.extend(report);
        }
        data.extend(format!("{:03}", self.currency.min(999)).into_bytes());
        data.extend(self.private);
        data
    }
    /// Reads the data, of either length.
    pub fn read(data: &[u8]) -> Option<Self> {
        let report = match data.len() {
            ANSWER_SHORT => 0,
            ANSWER_FULL => REPORT,
            _ => return None,
        };
        let (front, rest) = data.split_at(12);
        let (report, rest) = rest.split_at(report);
        Some(Answer {
            till: number(&front[..2])?.try_into().ok()?,
            result: front[2],
            minor: number(&front[3..11])?.try_into().ok()?,
            means: front[11],
            report: (!report.is_empty()).then(|| report.to_vec()),
            currency: number(&rest[..3])?.try_into().ok()?,
            private: rest[3..].try_into().ok()?,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(bytes: &[u8]) -> Vec<Heard> {
        let mut line = Line::default();
        bytes.iter().filter_map(|byte| line.byte(0, *byte)).collect()
    }

    #[test]
    fn controls_frames_and_noise_are_told_apart() {
        let mut bytes = vec![0x05, 0x06, 0x15, 0x04, b'x'];
        bytes.extend(&frame(b"01")[..3]);
        bytes.extend(frame(b"02"));
        bytes.extend([STX, b'3', ETX, 0]);
        let expected = [
            Heard::Control(Control::Enq),
            Heard::Control(Control::Ack),
            Heard::Control(Control::Nak),
            Heard::Control(Control::Eot),
            Heard::Noise,
            Heard::Data(b"02".to_vec()),
            Heard::Broken,
        ];
        assert_eq!(heard(&bytes), expected);
    }

    #[test]
    fn frames_have_a_length_and_a_time() {
        let mut line = Line::default();
        line.byte(0, STX);
        for _ in 0..DATA_MAX {
            assert_eq!(line.byte(0, b'1'), None);
        }
        assert_eq!((line.byte(0, b'1'), line.held()), (Some(Heard::Broken), 0));
        line.byte(0, STX);
        assert_eq!((line.tick(BYTE_MS - 1), line.tick(BYTE_MS)), (None, Some(Heard::Broken)));
        line.byte(0, STX);
        let mut now = 0;
        while line.held() < 100 {
            now += BYTE_MS - 1;
            if line.tick(now).is_some() {
                break;
            }
            line.byte(now, b'1');
        }
        assert_eq!((now, line.held()), (3_493, 0), "the frame's own time ended it");
    }

    #[test]
    fn garbage_never_panics_and_holds_little() {
        let (mut state, mut line) = (3u64, Line::default());
        for at in 0..100_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = line.byte(at, (state >> 33) as u8 & 0x3f);
            let _ = line.tick(at);
            assert!(line.held() <= DATA_MAX);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..90), length in 0usize..4) {
            let mut data = data;
            data.resize([data.len(), ASK, ANSWER_SHORT, ANSWER_FULL][length], b'1');
            if let Some(ask) = Ask::read(&data) {
                prop_assert_eq!(Ask::read(&ask.bytes()), Some(ask));
            }
            if let Some(answer) = Answer::read(&data) {
                prop_assert_eq!(answer.bytes(), data);
            }
        }
    }
}
