//! What simulated terminals share: their journal, their faults, and the machine's inputs and outputs.
//!
//! Promises: a journal entry leaves before the bytes that tell the till of it, and those bytes wait until the entry is
//! confirmed; a terminal built from its entries remembers what it had committed, and takes back what nobody acknowledged.
//! Absent on purpose: JSON, files and sockets, which belong to the shell that runs the machine.

use fieldkit_core::money::{Currency, Money};

/// What reaches a simulated terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerInput {
    /// A till has connected.
    LinkUp,
    /// It is gone.
    LinkDown,
    /// Bytes from the till, in any pieces.
    Bytes(Vec<u8>),
    /// The journal entry that was given out last is on disk.
    Journalled,
    /// Something shall go wrong.
    Fault(Fault),
    /// Nothing but time has come.
    Tick,
}

/// What leaves a simulated terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerOutput {
    /// Bytes for the till.
    Send(Vec<u8>),
    /// The link breaks.
    CloseLink,
    /// To be written and synced; nothing more leaves until [`PeerInput::Journalled`].
    Journal(Entry),
}

/// A machine that plays a terminal.
pub trait Peer {
    /// Takes what has come at `now_ms`.
    fn handle(&mut self, now_ms: u64, input: PeerInput);
    /// What leaves next.
    fn poll_output(&mut self) -> Option<PeerOutput>;
    /// When to call with [`PeerInput::Tick`], if nothing else comes.
    fn poll_timeout(&self) -> Option<u64>;
}

/// One line of the terminal's own journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// What was moved; of an end of day, its sum.
    pub amount: Money,
    /// The receipt number of the payment concerned; of a reversal, the one that it takes back.
    pub receipt: u32,
    /// Its trace number.
    pub trace: u32,
    /// Which terminal.
    pub terminal_id: String,
    /// When, in seconds since 1970, by the terminal's clock.
    pub at_s: u64,
    /// The receipt and trace number of the reversal itself.
    pub own: Option<Numbers>,
    /// Whether the terminal said yes without asking the issuer.
    pub offline: bool,
}

/// A receipt number and a trace number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// 1 to 9999, then 1 again.
    pub receipt: u32,
    /// 1 to 999999, then 1 again.
    pub trace: u32,
}

impl Numbers {
    /// The next pair.
    #[must_use]
    pub fn next(self) -> Self {
        Numbers { receipt: self.receipt % 9_999 + 1, trace: self.trace % 999_999 + 1 }
    }
}

/// What happened at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A card was charged; written before the till hears of it.
    Approved,
    /// The till acknowledged the charge: it stands.
    Committed,
    /// No charge: the issuer said no, or, on some terminals, nobody acknowledged.
    Declined,
    /// A standing charge was taken back by its number.
    Reversed,
    /// A charge that nobody acknowledged, or that the till refused, was taken back.
    AutoReversed,
    /// Money went to a card.
    Refunded,
    /// Stopped at the terminal.
    Aborted,
    /// The day was settled.
    EndOfDay,
    /// A charge that this till did not ask for.
    Foreign,
}

/// Events and their words in the journal.
const EVENTS: &[(Event, &str)] = &[
    (Event::Approved, "approved"),
    (Event::Committed, "committed"),
    (Event::Declined, "declined"),
    (Event::Reversed, "reversed"),
    (Event::AutoReversed, "auto_reversed"),
    (Event::Refunded, "refunded"),
    (Event::Aborted, "aborted"),
    (Event::EndOfDay, "end_of_day"),
    (Event::Foreign, "foreign"),
];

impl Event {
    /// Its word.
    pub fn word(self) -> &'static str {
        EVENTS.iter().find(|(event, _)| *event == self).map_or("", |(_, word)| word)
    }
    /// The event of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        EVENTS.iter().find(|(_, known)| *known == word).map(|(event, _)| *event)
    }
}

/// Something that goes wrong on demand: at the next payment unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The issuer says no, with this code.
    Decline(u8),
    /// The buyer presses stop.
    Abort,
    /// Says nothing at all any more, until [`Fault::Speak`] or a power cycle.
    Mute,
    /// Speaks again.
    Speak,
    /// The first answer to the next command comes so many milliseconds late.
    Late(u64),
    /// The next so many blocks have a wrong checksum.
    BadChecksum(u32),
    /// The next so many blocks of the till are not taken.
    Nak(u32),
    /// The link breaks after so many bytes to the till, counted from the next command on.
    CutAfter(u64),
    /// The link breaks after so many bytes from the till, counted from now on.
    CutAfterReceived(u64),
    /// The link breaks, everything that was not on disk is forgotten, and the terminal starts again.
    PowerCycle,
    /// Charges this many minor units instead.
    WrongAmount(i64),
    /// Charges in this currency instead (ISO 4217 number).
    WrongCurrency(u16),
    /// Charges only this many minor units.
    Partial(i64),
    /// Somebody charges a card at the terminal itself, now.
    Foreign(i64),
    /// Tells the result twice.
    RepeatApproval,
    /// So many meaningless bytes before the next answer.
    Garbage(u32),
    /// So many status messages at once, unasked, now.
    Flood(u32),
    /// Card numbers and tracks in the texts.
    PanInText,
    /// Says yes without asking the issuer.
    Offline,
    /// The next so many commands find the terminal busy.
    Busy(u32),
    /// The next so many enquiries and payments find a forgotten card in the reader.
    CardInserted(u32),
}

/// Commands of a script or a person: word, what follows it, what it does.
pub const FAULT_HELP: &[(&str, &str, &str)] = &[
    ("decline", "[CODE]", "the issuer says no: two hexadecimal digits or three decimal ones, 05 if none are given"),
    ("abort", "", "the buyer presses stop"),
    ("mute", "", "says nothing any more, until speak or power-cycle"),
    ("speak", "", "speaks again"),
    ("late", "MS", "the next first answer comes so many milliseconds late"),
    ("bad-crc", "N", "the next N blocks have a wrong checksum"),
    ("nak", "N", "the next N blocks of the till are not taken"),
    ("cut-after", "N", "the link breaks after N bytes to the till, counted from the next command on"),
    ("cut-after-received", "N", "the link breaks after N more bytes from the till"),
    ("power-cycle", "", "the link breaks and the terminal starts again"),
    ("wrong-amount", "MINOR", "charges this instead"),
    ("wrong-currency", "NUMBER", "charges in this currency instead, such as 840"),
    ("partial", "MINOR", "charges only this"),
    ("foreign", "MINOR", "somebody charges a card at the terminal, now"),
    ("repeat-approval", "", "tells the result twice"),
    ("garbage", "N", "N meaningless bytes before the next answer"),
    ("flood", "N", "N status messages at once, now"),
    ("pan-in-text", "", "card numbers and tracks in the texts"),
    ("offline", "", "says yes without asking the issuer"),
    ("busy", "N", "the next N commands find the terminal busy"),
    ("card-inserted", "N", "the next N enquiries or payments find a card in the reader"),
];

/// A line that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A word that stands in no list.
    #[error("there is no fault {0:?}")]
    Word(String),
    /// The word needs a number.
    #[error("{0} needs {1}")]
    Number(&'static str, &'static str),
    /// The word stands alone.
    #[error("nothing follows {0}")]
    Surplus(&'static str),
}

impl Fault {
    /// Reads a line such as `decline 51` or `cut-after 12`.
    pub fn read(line: &str) -> Result<Fault, FaultError> {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        let &(word, needs, _) =
            FAULT_HELP.iter().find(|(known, _, _)| *known == word).ok_or_else(|| FaultError::Word(word.to_owned()))?;
        let argument = words.next();
        if words.next().is_some() || (needs.is_empty() && argument.is_some()) {
            return Err(FaultError::Surplus(word));
        }
        let number = || argument.and_then(|text| text.parse::<u64>().ok()).ok_or(FaultError::Number(word, needs));
        let small = || number().and_then(|value| u32::try_from(value).map_err(|_| FaultError::Number(word, needs)));
        let minor = || number().and_then(|value| i64::try_from(value).map_err(|_| FaultError::Number(word, needs)));
        Ok(match word {
            "decline" => match argument.map(result_code) {
                None => Fault::Decline(0x05),
                Some(Some(code)) => Fault::Decline(code),
                Some(None) => return Err(FaultError::Number(word, needs)),
            },
            "abort" => Fault::Abort,
            "mute" => Fault::Mute,
            "speak" => Fault::Speak,
            "late" => Fault::Late(number()?),
            "bad-crc" => Fault::BadChecksum(small()?),
            "nak" => Fault::Nak(small()?),
            "cut-after" => Fault::CutAfter(number()?),
            "cut-after-received" => Fault::CutAfterReceived(number()?),
            "power-cycle" => Fault::PowerCycle,
            "wrong-amount" => Fault::WrongAmount(minor()?),
            "wrong-currency" => {
                Fault::WrongCurrency(u16::try_from(number()?).map_err(|_| FaultError::Number(word, needs))?)
            }
            "partial" => Fault::Partial(minor()?),
            "foreign" => Fault::Foreign(minor()?),
            "repeat-approval" => Fault::RepeatApproval,
            "garbage" => Fault::Garbage(small()?),
            "flood" => Fault::Flood(small()?),
            "pan-in-text" => Fault::PanInText,
            "offline" => Fault::Offline,
            "busy" => Fault::Busy(small()?),
            "card-inserted" => Fault::CardInserted(small()?),
            _ => return Err(FaultError::Word(word.to_owned())),
        })
    }
}

/// A result code: two hexadecimal digits as papers print it, or a decimal number of three.
fn result_code(text: &str) -> Option<u8> {
    let code = if text.len() > 2 { text.parse() } else { u8::from_str_radix(text, 16) };
    code.ok().filter(|code| *code != 0)
}

/// Faults that wait for their moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub decline: Option<u8>,
    pub abort: bool,
    pub mute: bool,
    pub late_ms: u64,
    pub bad_checksum: u32,
    pub nak: u32,
    pub cut_after: Option<u64>,
    pub cut_after_received: Option<u64>,
    pub amount: Option<i64>,
    pub currency: Option<Currency>,
    pub repeat_approval: bool,
    pub garbage: u32,
    pub pan_in_text: bool,
    pub offline: bool,
    pub busy: u32,
    pub card_inserted: u32,
}

impl Faults {
    /// Keeps what waits; returns what happens now.
    pub fn arm(&mut self, fault: Fault) -> Option<Fault> {
        match fault {
            Fault::Decline(code) => self.decline = Some(code),
            Fault::Abort => self.abort = true,
            Fault::Mute => self.mute = true,
            Fault::Speak => self.mute = false,
            Fault::Late(ms) => self.late_ms = ms,
            Fault::BadChecksum(count) => self.bad_checksum = count,
            Fault::Nak(count) => self.nak = count,
            Fault::CutAfter(bytes) => self.cut_after = Some(bytes),
            Fault::CutAfterReceived(bytes) => self.cut_after_received = Some(bytes),
            Fault::WrongAmount(minor) | Fault::Partial(minor) => self.amount = Some(minor),
            Fault::WrongCurrency(number) => self.currency = Currency::from_numeric(number),
            Fault::RepeatApproval => self.repeat_approval = true,
            Fault::Garbage(count) => self.garbage = count,
            Fault::PanInText => self.pan_in_text = true,
            Fault::Offline => self.offline = true,
            Fault::Busy(count) => self.busy = count,
            Fault::CardInserted(count) => self.card_inserted = count,
            Fault::PowerCycle | Fault::Foreign(_) | Fault::Flood(_) => return Some(fault),
        }
        None
    }
    /// One less of `count`, while there is one.
    pub fn take(count: &mut u32) -> bool {
        let some = *count > 0;
        *count = count.saturating_sub(1);
        some
    }
}

/// A civil date and time, as a terminal prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Civil {
    /// Of seconds since 1970, in the proleptic Gregorian calendar: years counted from March, so that the leap day is last.
    pub fn of(seconds: u64) -> Self {
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let part = |value: u64| u8::try_from(value).unwrap_or(0);
        Civil {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: part(month),
            day: part(day_of_year - (153 * march_month + 2) / 5 + 1),
            hour: part(seconds / 3_600 % 24),
            minute: part(seconds / 60 % 60),
            second: part(seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_and_helped() {
        for (word, needs, _) in FAULT_HELP {
            let line = if needs.is_empty() { (*word).to_owned() } else { format!("{word} 12") };
            assert!(Fault::read(&line).is_ok(), "{line}");
            assert_eq!(Fault::read(&format!("{word} 1 2")), Err(FaultError::Surplus(word)));
            if !needs.is_empty() {
                assert_eq!(Fault::read(&format!("{word} x")), Err(FaultError::Number(word, needs)));
            }
        }
        assert_eq!(Fault::read("decline"), Ok(Fault::Decline(0x05)));
        assert_eq!(Fault::read(" decline 6c "), Ok(Fault::Decline(0x6c)));
        assert_eq!(Fault::read("decline 107"), Ok(Fault::Decline(107)));
        assert_eq!(Fault::read("decline 300"), Err(FaultError::Number("decline", "[CODE]")));
        assert_eq!(Fault::read("decline 00"), Err(FaultError::Number("decline", "[CODE]")));
        assert_eq!(Fault::read("explode"), Err(FaultError::Word("explode".to_owned())));
        assert_eq!(FaultError::Number("late", "MS").to_string(), "late needs MS");
    }

    #[test]
    fn events_have_words_both_ways() {
        for (event, word) in EVENTS {
            assert_eq!((event.word(), Event::from_word(word)), (*word, Some(*event)));
        }
        assert_eq!(Event::from_word("else"), None);
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!(Numbers { receipt: 9_999, trace: 999_999 }.next(), Numbers { receipt: 1, trace: 1 });
        assert_eq!(Numbers::default().next(), Numbers { receipt: 1, trace: 1 });
    }

    #[test]
    fn civil_dates_are_right() {
        let check = |seconds, expected: (u64, u8, u8, u8, u8, u8)| {
            let civil = Civil::of(seconds);
            assert_eq!((civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second), expected);
        };
        check(0, (1970, 1, 1, 0, 0, 0));
        check(951_782_399, (2000, 2, 28, 23, 59, 59));
        check(951_782_400, (2000, 2, 29, 0, 0, 0));
        check(951_868_800, (2000, 3, 1, 0, 0, 0));
        check(1_795_268_000, (2026, 11, 21, 13, 33, 20));
        check(4_107_542_399, (2100, 2, 28, 23, 59, 59));
        check(4_107_542_400, (2100, 3, 1, 0, 0, 0));
    }
}
