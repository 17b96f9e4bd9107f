//! What the fields of ZVT data mean: results, totals, status, texts.
//!
//! Promises: card numbers are cut to first six and last four here, and every text is masked; nothing behind this module
//! sees more. Expiry dates, tracks and security codes are not read at all. A result without a result code is unreadable.
//! Absent on purpose: who says what when (`ecr`, `peer`).

use crate::mask::{self, Masked};
use crate::terminal::{BrandTotal, Date, Kind, Time, Totals, Transaction};
use crate::zvt::apdu::{Apdu, Command};
use crate::zvt::fields::{Fields, Tagged, decimal, digits, tagged};
use fieldkit_core::money::{Currency, Money};

/// Bitmap numbers that we use; PA00P015 chapter 9.
pub(crate) mod tag {
    pub const SERVICE: u8 = 0x03;
    pub const AMOUNT: u8 = 0x04;
    pub const CONTAINER: u8 = 0x06;
    pub const TRACE: u8 = 0x0b;
    pub const TIME: u8 = 0x0c;
    pub const DATE: u8 = 0x0d;
    pub const STATUS: u8 = 0x19;
    pub const PAN: u8 = 0x22;
    pub const RESULT: u8 = 0x27;
    pub const TERMINAL_ID: u8 = 0x29;
    pub const REVERSED_TRACE: u8 = 0x37;
    pub const AUTHORISATION: u8 = 0x3b;
    pub const TEXT: u8 = 0x3c;
    pub const CURRENCY: u8 = 0x49;
    pub const TOTALS: u8 = 0x60;
    pub const RECEIPT: u8 = 0x87;
    pub const CARD_TYPE: u8 = 0x8a;
    pub const CARD_NAME: u8 = 0x8b;
    /// In the container: a line of text.
    pub const LINE: u32 = 0x07;
    /// In the container: lines for a display.
    pub const DISPLAY: u32 = 0x24;
    /// In the container: lines for a printer.
    pub const PRINT: u32 = 0x25;
    /// In the container: the terminal's count of results, which the till gives back (chapter 4).
    pub const COUNT: u32 = 0x1f1f;
    /// In the container: the number of a message (chapter 5).
    pub const MESSAGE_ID: u32 = 0x1f73;
}

/// Codes that we act on; PA00P015 chapters 10 and 11.
pub(crate) mod code {
    pub const ABORTED: u8 = 0x6c;
    pub const GOODS_NOT_GIVEN: u8 = 0x66;
    pub const NOT_POSSIBLE: u8 = 0x83;
    pub const BUSY: u8 = 0x9c;
    pub const ALREADY_REVERSED: u8 = 0xb4;
    pub const REVERSAL_NOT_POSSIBLE: u8 = 0xb5;
    pub const INITIALISE: u8 = 0x51;
    pub const DIAGNOSE: u8 = 0xc2;
    pub const WRONG_CURRENCY: u8 = 0x6f;
    pub const CARD_INSERTED: u8 = 0xdc;
    /// Intermediate: insert a card.
    pub const SHOW_INSERT: u8 = 0x0a;
    /// Intermediate: waiting for the issuer.
    pub const SHOW_ISSUER: u8 = 0x04;
    /// Intermediate: the terminal takes the payment back by itself.
    pub const SHOW_REVERSAL: u8 = 0x05;
    /// Intermediate: done without the issuer.
    pub const SHOW_OFFLINE: u8 = 0xf3;
}

/// Bits of the configuration byte of a registration; PA00P015 2.1.
pub(crate) mod config {
    /// The till prints receipts of payments.
    pub const RECEIPTS_BY_TILL: u8 = 0x02;
    /// The till prints what else there is to print.
    pub const REPORTS_BY_TILL: u8 = 0x04;
    /// The till wants to know what the terminal shows.
    pub const INTERMEDIATE: u8 = 0x08;
    /// Nobody types an amount at the terminal.
    pub const AMOUNT_BY_TILL: u8 = 0x10;
    /// The terminal writes the receipts and sends lines; without it the till writes them from the result.
    pub const LINES_BY_TERMINAL: u8 = 0x80;
}

/// The brands of the totals field, in its order.
const BRANDS: [&str; 7] = ["girocard", "JCB", "Mastercard", "American Express", "Visa", "Diners", "others"];

/// A result (`04 0F`), masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// 0 is a yes.
    pub result: u8,
    /// Minor units.
    pub amount: Option<i64>,
    /// ISO 4217 number.
    pub currency: Option<u16>,
    /// Receipt number, 0 where there is none.
    pub receipt: u32,
    /// Trace number, 0 where there is none.
    pub trace: u32,
    /// Trace number of what a reversal took back.
    pub reversed_trace: Option<u32>,
    /// The terminal's date.
    pub date: Option<Date>,
    /// The terminal's time.
    pub time: Option<Time>,
    /// Account number, cut.
    pub pan: String,
    /// Terminal number.
    pub terminal_id: Option<String>,
    /// Brand, masked.
    pub card_name: String,
    /// The issuer's sign, masked.
    pub authorisation: String,
    /// Further text, masked, by lines.
    pub lines: Vec<String>,
    /// Totals of the day.
    pub totals: Option<Totals>,
    /// The terminal's count of results, as it came.
    pub count: Option<Vec<u8>>,
    /// Whether card data came that should not.
    pub pan_seen: bool,
}

impl Status {
    /// Reads the data of a `04 0F`. `None` without a result code, or with an amount that is none: never to be acknowledged.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (fields, _) = Fields::read(data);
        let result = *fields.first(tag::RESULT)?.first()?;
        let amount = match fields.first(tag::AMOUNT) {
            Some(_) => Some(i64::try_from(fields.number(tag::AMOUNT)?).ok()?),
            None => None,
        };
        let mut pan_seen = false;
        let mut seen = |masked: Masked| {
            pan_seen |= masked.seen;
            masked.text.trim().to_owned()
        };
        let pan = seen(fields.first(tag::PAN).map(account).unwrap_or_default());
        let card_name = seen(mask::text(fields.first(tag::CARD_NAME).unwrap_or_default()));
        let authorisation = seen(mask::text(fields.first(tag::AUTHORISATION).unwrap_or_default()));
        let text = fields.first(tag::TEXT).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\r' || *byte == b'\n').map(|line| seen(mask::text(line)));
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        let small = |tag| fields.number(tag).and_then(|number| u32::try_from(number).ok());
        Some(Status {
            result,
            amount,
            currency: fields.number(tag::CURRENCY).and_then(|number| u16::try_from(number).ok()),
            receipt: small(tag::RECEIPT).unwrap_or(0),
            trace: small(tag::TRACE).unwrap_or(0),
            reversed_trace: small(tag::REVERSED_TRACE),
            date: fields.first(tag::DATE).and_then(date),
            time: fields.first(tag::TIME).and_then(time),
            pan,
            terminal_id: terminal_id(&fields),
            card_name,
            authorisation,
            lines,
            totals: totals(&fields, amount),
            count: tagged(&fields.tagged(), tag::COUNT).map(<[u8]>::to_vec),
            pan_seen,
        })
    }
    /// The transaction that it tells of; `currency` and `terminal_id` hold where it names none.
    pub fn transaction(&self, kind: Kind, currency: Currency, terminal_id: &str) -> Transaction {
        let none = Currency::from_code("XXX").unwrap_or(currency);
        let named = |number| Currency::from_numeric(number).unwrap_or(none);
        let kind = if kind == Kind::Unstated && self.reversed_trace.is_some() { Kind::Reversal } else { kind };
        Transaction {
            kind,
            terminal_id: self.terminal_id.clone().unwrap_or_else(|| terminal_id.to_owned()),
            receipt: self.receipt,
            trace: self.trace,
            amount: Money::new(self.amount.unwrap_or(0), self.currency.map_or(currency, named)),
            date: self.date,
            time: self.time,
            card_name: self.card_name.clone(),
            masked_pan: self.pan.clone(),
            authorisation: self.authorisation.clone(),
            result: self.result,
            offline: false,
            reversed_trace: self.reversed_trace,
        }
    }
}

/// Digits of an account number field: `E` was masked by the terminal, `F` fills up.
fn account(value: &[u8]) -> Masked {
    let halves = value.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let shown =
        halves.take_while(|half| *half != 0x0f).map(|half| if half <= 9 { char::from(b'0' + half) } else { '*' });
    mask::number(&shown.collect::<String>())
}

fn terminal_id(fields: &Fields) -> Option<String> {
    fields.number(tag::TERMINAL_ID).map(|number| format!("{number:08}"))
}

fn part(value: u8) -> Option<u8> {
    decimal(&[value]).and_then(|number| u8::try_from(number).ok())
}

fn date(value: &[u8]) -> Option<Date> {
    let date = Date { month: part(*value.first()?)?, day: part(*value.get(1)?)? };
    ((1..=12).contains(&date.month) && (1..=31).contains(&date.day)).then_some(date)
}

fn time(value: &[u8]) -> Option<Time> {
    let time = Time { hour: part(*value.first()?)?, minute: part(*value.get(1)?)?, second: part(*value.get(2)?)? };
    (time.hour < 24 && time.minute < 60 && time.second < 60).then_some(time)
}

/// Totals: first and last receipt number, then per brand a count (binary) and a sum.
fn totals(fields: &Fields, amount: Option<i64>) -> Option<Totals> {
    let value = fields.first(tag::TOTALS)?;
    let receipt = |bytes: Option<&[u8]>| bytes.and_then(decimal).and_then(|number| u32::try_from(number).ok());
    let brands = value.get(4..).unwrap_or_default().chunks_exact(7).zip(BRANDS);
    let brand = |(bytes, brand): (&[u8], &'static str)| {
        let amount = decimal(&bytes[1..]).and_then(|sum| i64::try_from(sum).ok())?;
        (bytes[0] > 0).then_some(BrandTotal { brand, count: u32::from(bytes[0]), amount })
    };
    Some(Totals {
        amount,
        receipt_first: receipt(value.get(..2)),
        receipt_last: receipt(value.get(2..4)),
        brands: brands.filter_map(brand).collect(),
    })
}

/// The totals field, for the simulated terminal.
pub(crate) fn totals_field(first: u32, last: u32, count: u8, sum: i64) -> Vec<u8> {
    let mut bytes = [digits(u64::from(first), 2), digits(u64::from(last), 2)].concat();
    for brand in BRANDS {
        let own = brand == "Mastercard";
        bytes.push(if own { count } else { 0 });
        bytes.extend(digits(if own { sum.unsigned_abs() } else { 0 }, 6));
    }
    bytes
}

/// What a terminal shows (`04 FF`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its code.
    pub code: u8,
    /// For how many minutes the till shall wait; 0 or nothing means as agreed.
    pub wait_minutes: u8,
    /// The terminal's own words, or ours for the code; masked.
    pub text: Masked,
}

impl Shown {
    /// Reads the data; `None` if there is none.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (code, rest) = data.split_first()?;
        let (wait, rest) = match rest {
            [wait] | [wait, 0x06, ..] => (part(*wait).unwrap_or(0), &rest[1..]),
            _ => (0, rest),
        };
        let (fields, _) = Fields::read(rest);
        let display = fields.tagged().into_iter().find(|tagged| tagged.tag == tag::DISPLAY);
        let lines = display.map(|display| display.inner()).unwrap_or_default();
        let lines = lines.into_iter().filter(|line| line.tag == tag::LINE).map(|line| mask::text(&line.value));
        let text = lines.fold(Masked::default(), |all, line| Masked {
            text: format!("{} {}", all.text, line.text.trim()).trim().to_owned(),
            seen: all.seen || line.seen,
        });
        let text = if text.text.is_empty() { Masked { text: show_text(*code), seen: false } } else { text };
        Some(Shown { code: *code, wait_minutes: wait, text })
    }
}

/// Lines to print (`06 D1` and `06 D3`), masked.
pub fn print_lines(command: Command, data: &[u8]) -> Vec<Masked> {
    match command {
        Command::PrintLine => data.get(1..).map(|line| vec![mask::text(line)]).unwrap_or_default(),
        Command::PrintBlock => {
            let (fields, _) = Fields::read(data);
            let blocks = fields.tagged().into_iter().filter(|tagged| tagged.tag == tag::PRINT);
            let lines = blocks.flat_map(|block| block.inner()).filter(|line| line.tag == tag::LINE);
            lines.map(|line| mask::text(&line.value)).collect()
        }
        _ => Vec::new(),
    }
}

/// How a terminal ended a command well (`06 0F`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Its state, as answer to an enquiry.
    pub state: Option<u8>,
    /// After a registration: what it needs (bit 0 initialisation, bit 1 diagnosis).
    pub needs: u8,
    /// Its number.
    pub terminal_id: Option<String>,
    /// Its currency, ISO 4217 number.
    pub currency: Option<u16>,
    /// Whether it numbers its messages.
    pub message_ids: bool,
}

impl Done {
    /// Reads the data in any of its forms: fields, or software version with three digits of length and a state behind it.
    pub fn read(data: &[u8]) -> Self {
        if let [0xf0..=0xf9, 0xf0..=0xf9, 0xf0..=0xf9, rest @ ..] = data {
            let length = data[..3].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit & 0x0f));
            return Done { state: rest.get(length).copied(), ..Done::default() };
        }
        if let [state] = data {
            return Done { state: Some(*state), ..Done::default() };
        }
        let (fields, _) = Fields::read(data);
        Done {
            state: fields.first(tag::RESULT).and_then(|value| value.first().copied()),
            needs: fields.first(tag::STATUS).and_then(|value| value.first().copied()).unwrap_or(0),
            terminal_id: terminal_id(&fields),
            currency: fields.number(tag::CURRENCY).and_then(|number| u16::try_from(number).ok()),
            message_ids: tagged(&fields.tagged(), tag::MESSAGE_ID).is_some(),
        }
    }
}

/// Amount and currency as fields.
pub(crate) fn money(amount: Money) -> Fields {
    Fields::default()
        .with(tag::AMOUNT, digits(amount.minor.unsigned_abs(), 6))
        .with(tag::CURRENCY, digits(u64::from(amount.currency.numeric()), 2))
}

/// A container with these values; nothing where there are none.
pub(crate) fn container(all: &[Tagged]) -> Fields {
    if all.is_empty() { Fields::default() } else { Fields::default().with(tag::CONTAINER, Tagged::write(all)) }
}

/// A command of a few short fields.
pub(crate) fn short(command: Command, data: Vec<u8>) -> Apdu {
    Apdu::command(command, data).expect("a few short fields fit")
}

/// What a result or an abort means, in our words.
pub fn code_text(code: u8) -> String {
    let text = match code {
        0x00 => "no error",
        0x01..=0x63 => return format!("the issuer says no ({code:02X})"),
        0x64 => "the card cannot be read",
        0x65 => "the card's data is missing",
        0x66 => "the terminal could not do it",
        0x67 | 0x68 => "not allowed for this card",
        0x6a => "the terminal's memory is full; an end of day empties it",
        0x6b => "switched off in the terminal",
        code::ABORTED => "stopped at the terminal, or nobody came",
        0x6e => "the card is blocked",
        code::WRONG_CURRENCY => "the terminal does not take this currency",
        0x71 => "not enough money on the card",
        0x72 => "the card's chip failed",
        0x78 => "the card has expired",
        0x79 => "the card is not valid yet",
        0x7a => "the card is not known",
        0x7d => "the terminal could not talk to its host",
        code::NOT_POSSIBLE => "not possible now",
        0x85 => "the terminal has lost its key",
        0x9a => "the terminal did not understand",
        0x9b => "the terminal could not dial its host",
        code::BUSY => "the terminal is busy",
        0xa0 | 0xa1 | 0xa3 => "the terminal cannot reach its host",
        0xb1 | 0xb2 => "the terminal's memory is full; an end of day empties it",
        code::ALREADY_REVERSED => "it has already been taken back",
        code::REVERSAL_NOT_POSSIBLE => "it cannot be taken back any more",
        code::DIAGNOSE => "the terminal wants a diagnosis",
        0xc3 => "above the terminal's limit",
        0xc5 => "the terminal does not take this kind of payment",
        0xc6 => "the terminal does not take this currency",
        0xc8 => "below the terminal's limit",
        0xcc => "the terminal's printer is not ready",
        code::CARD_INSERTED => "a card is still in the reader",
        0xf0 => "the terminal's day is not settled",
        _ => return format!("the terminal says {code:02X}"),
    };
    text.to_owned()
}

/// What the terminal shows, in our words. The upper range says the same and asks to remove the card.
fn show_text(code: u8) -> String {
    let text = match if (0x41..=0x67).contains(&code) { code - 0x40 } else { code } {
        0x00 => "confirm the amount",
        0x01 | 0x02 => "look at the terminal",
        0x03 => "not accepted",
        code::SHOW_ISSUER => "waiting for the issuer",
        code::SHOW_REVERSAL => "the terminal takes the payment back",
        0x06 => "the terminal sends what it has kept",
        0x07 => "the card is not accepted",
        0x08 => "the card is not known",
        0x09 => "the card has expired",
        code::SHOW_INSERT => "insert or hold the card",
        0x0b => "remove the card",
        0x0c => "the card cannot be read",
        0x0e | 0x17 => "please wait",
        0x0f => "the terminal settles its day",
        0x10 => "the card is not valid",
        0x14 => "not enough money on the card",
        0x15 => "wrong PIN",
        0x18 => "too many wrong PINs",
        0x1b | 0x1c => "approved",
        0x1d => "declined",
        0x28 => "choosing the currency",
        0x29 | 0xe1 => "choosing the language",
        0x2c | 0xe0 => "choosing the card's use",
        0xc8 => "waiting for the crew",
        0xd2 => "the terminal dials",
        0xf1 => "the terminal is offline",
        0xf2 => "the terminal is online",
        code::SHOW_OFFLINE => "done without the issuer",
        _ => return format!("the terminal shows {code:02X}"),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_texts_come_from_code_or_container() {
        let shown = |data: &[u8]| Shown::read(data).map(|shown| (shown.code, shown.wait_minutes, shown.text.text));
        assert_eq!(shown(&[0x17]), Some((0x17, 0, "please wait".to_owned())));
        assert_eq!(shown(&[0x4a, 0x05]), Some((0x4a, 5, "insert or hold the card".to_owned())));
        let own = [0xff, 0x01, 0x06, 0x0a, 0x24, 0x08, 0x07, 0x02, b'H', b'i', 0x07, 0x02, b'4', b'2'];
        assert_eq!(shown(&own), Some((0xff, 1, "Hi 42".to_owned())));
        assert_eq!(shown(&[]), None);
        assert_eq!(show_text(0xee), "the terminal shows EE");
    }

    #[test]
    fn completions_have_several_forms() {
        let state = |data: &[u8]| Done::read(data).state;
        assert_eq!(state(b"\xf0\xf0\xf72.14.15\x9c"), Some(0x9c));
        assert_eq!(state(b"\xf0\xf0\xf72.14"), None);
        assert_eq!(state(&[0xdc]), Some(0xdc));
        assert_eq!(state(&[]), None);
        let done = Done::read(&[0x19, 0x02, 0x29, 0x52, 0x52, 0x35, 0x35, 0x49, 0x09, 0x78]);
        assert_eq!((done.needs, done.terminal_id.as_deref(), done.currency), (2, Some("52523535"), Some(978)));
    }

    #[test]
    fn results_that_cannot_be_read_are_none() {
        assert_eq!(Status::read(&[0x04, 0, 0, 0, 0, 0, 1]), None, "no result code");
        assert_eq!(Status::read(&[0x27, 0, 0x04, 0, 0, 0, 0, 0, 0x1a]), None, "an amount that is none");
        let status = Status::read(&[0x27, 0, 0x0c, 0x25, 0, 0, 0x0d, 0x13, 0x01]).expect("a result");
        assert_eq!((status.time, status.date), (None, None), "no such hour, no such month");
    }

    #[test]
    fn full_account_numbers_are_cut_and_told() {
        let data = [0x27, 0, 0x22, 0xf1, 0xf0, 0x47, 0x11, 0, 0x80, 0x05, 0x75, 0x70, 0x38, 0, 0x4f];
        let status = Status::read(&data).expect("a result");
        assert_eq!((status.pan.as_str(), status.pan_seen), ("471100*********8004", true));
        let data = [0x27, 0, 0x22, 0xf0, 0xf8, 0x55, 0x98, 0x83, 0xee, 0xee, 0xee, 0x80, 0x74];
        let status = Status::read(&data).expect("a result");
        assert_eq!((status.pan.as_str(), status.pan_seen), ("559883******8074", false));
    }

    #[test]
    fn a_currency_that_is_none_is_none() {
        let euro = Currency::from_code("EUR").expect("EUR is in ISO 4217");
        let of = |data: &[u8]| Status::read(data).map(|status| status.transaction(Kind::Payment, euro, "1").amount);
        let data = [0x27, 0, 0x04, 0, 0, 0, 0, 0x09, 0x50, 0x49, 0x00, 0x01];
        assert_eq!(of(&data).map(|money| money.currency.code().to_owned()), Some("XXX".to_owned()));
        assert_eq!(of(&data[..9]), Some(Money::new(950, euro)));
    }
}
