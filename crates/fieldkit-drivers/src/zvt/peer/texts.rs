//! What a simulated terminal says, byte by byte.
//!
//! Promises: the same transaction is told with the same bytes, at once and when repeated.
//! Absent on purpose: when it is said (`peer`).

use super::Config;
use super::book::{Day, Stored, Type};
use crate::terminal_peer::Civil;
use crate::zvt::apdu::{Apdu, Command};
use crate::zvt::fields::{Fields, Tagged, digits};
use crate::zvt::message::{container, money, short, tag, totals_field};

/// The simulated card: masked by the terminal, as it should be.
const CARD: [u8; 8] = [0x55, 0x98, 0x83, 0xee, 0xee, 0xee, 0x80, 0x74];
/// A number that checks, in the test range of a brand; for the fault that lets card data out.
const FULL_PAN: &[u8] = b"4111 1111 1111 1111";
const TRACK_2: &[u8] = b";5555555555554444=29121010000000000?";
const BINARY_PAN: &[u8] = b"\x41\x11\x11\x11\x11\x11\x11\x11";

/// `06 0F` with version and state, the answer to an enquiry.
pub(super) fn state(state: u8) -> Apdu {
    short(Command::Completion, [b"\xf0\xf0\xf5sim-1".as_slice(), &[state]].concat())
}

/// `06 0F` after a registration.
pub(super) fn registered(config: &Config) -> Apdu {
    let ids = config.message_ids.then(|| Tagged::new(tag::MESSAGE_ID, vec![0, 0, 0]));
    let mut fields = Fields::default()
        .with(tag::STATUS, vec![0x00])
        .with(tag::TERMINAL_ID, terminal_id(&config.terminal_id))
        .with(tag::CURRENCY, digits(u64::from(config.currency.numeric()), 2));
    container(&Vec::from_iter(ids)).all().iter().for_each(|field| fields.push(field.tag, field.value.clone()));
    short(Command::Completion, fields.bytes())
}

fn terminal_id(text: &str) -> Vec<u8> {
    digits(text.parse().unwrap_or(0), 4)
}

/// `06 1E`.
pub(super) fn abort(code: u8) -> Apdu {
    short(Command::Abort, vec![code])
}

/// `04 0F` of a terminal that has done nothing yet: a receipt number that does not exist.
pub(super) fn nothing(config: &Config) -> Apdu {
    let fields = Fields::default()
        .with(tag::RESULT, vec![0])
        .with(tag::AMOUNT, digits(0, 6))
        .with(tag::RECEIPT, digits(0, 2))
        .with(tag::TRACE, digits(0, 3))
        .with(tag::TERMINAL_ID, terminal_id(&config.terminal_id));
    short(Command::StatusInformation, fields.bytes())
}

/// `04 0F` of a transaction.
pub(super) fn status(stored: &Stored, config: &Config, told: u32, pan_in_text: bool) -> Apdu {
    let mut fields = Fields::default().with(tag::RESULT, vec![stored.result]);
    money(stored.amount).all().iter().for_each(|field| fields.push(field.tag, field.value.clone()));
    let mut fields = dated(fields, stored.at_s)
        .with(tag::PAN, CARD.to_vec())
        .with(tag::RECEIPT, digits(u64::from(stored.numbers.receipt), 2))
        .with(tag::AUTHORISATION, format!("{:06}\0\0", stored.numbers.trace * 7 % 1_000_000).into_bytes())
        .with(tag::TRACE, digits(u64::from(stored.numbers.trace), 3))
        .with(tag::TERMINAL_ID, terminal_id(&config.terminal_id))
        .with(tag::CARD_TYPE, vec![0x06])
        .with(tag::CARD_NAME, b"Mastercard\0".to_vec());
    if let Some(of) = stored.of {
        fields.push(tag::REVERSED_TRACE, digits(u64::from(of.trace), 3));
    }
    if pan_in_text {
        fields.push(tag::TEXT, [b"CARD ", FULL_PAN, b"\r", TRACK_2, b"\r", BINARY_PAN].concat());
    }
    if config.counts && stored.result == 0 {
        let marks = container(&[Tagged::new(tag::COUNT, count(told))]);
        marks.all().iter().for_each(|field| fields.push(field.tag, field.value.clone()));
    }
    short(Command::StatusInformation, fields.bytes())
}

/// How many results were told, as the till gives it back.
pub(super) fn count(told: u32) -> Vec<u8> {
    digits(u64::from(told), 2)
}

/// `04 0F` of an end of day.
pub(super) fn totals(config: &Config, day: &Day, trace: u32, at_s: u64) -> Apdu {
    let payments = u8::try_from(day.payments).unwrap_or(u8::MAX);
    let fields = Fields::default()
        .with(tag::RESULT, vec![0])
        .with(tag::AMOUNT, digits(day.sum.unsigned_abs(), 6))
        .with(tag::CURRENCY, digits(u64::from(config.currency.numeric()), 2))
        .with(tag::TRACE, digits(u64::from(trace), 3));
    let fields = dated(fields, at_s).with(tag::TOTALS, totals_field(day.first, day.last, payments, day.sum));
    short(Command::StatusInformation, fields.bytes())
}

fn dated(fields: Fields, at_s: u64) -> Fields {
    let at = Civil::of(at_s);
    let time = u64::from(at.hour) * 10_000 + u64::from(at.minute) * 100 + u64::from(at.second);
    let date = u64::from(at.month) * 100 + u64::from(at.day);
    fields.with(tag::TIME, digits(time, 3)).with(tag::DATE, digits(date, 2))
}

/// The receipt as lines, for tills that leave it to the terminal.
pub(super) fn receipt(stored: &Stored, terminal_id: &str) -> Vec<Apdu> {
    let title = match stored.kind {
        Type::Payment | Type::Foreign => "Payment",
        Type::Reversal => "Reversal",
        Type::Refund => "Refund",
    };
    let lines = [
        title.to_owned(),
        format!("Terminal {terminal_id}"),
        format!("Receipt {:04}  Trace {:06}", stored.numbers.receipt, stored.numbers.trace),
        stored.amount.to_string(),
    ];
    lines.iter().map(|text| line(text.as_bytes())).collect()
}

/// A line that should never have been printed.
pub(super) fn pan_line() -> Apdu {
    line(&[b"Card ", FULL_PAN, b" ", TRACK_2].concat())
}

fn line(text: &[u8]) -> Apdu {
    short(Command::PrintLine, [&[0x00], text].concat())
}

/// Bytes without meaning, the same ones each time.
pub(super) fn garbage(count: u32) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(Some(count), next).skip(1);
    states.take(usize::try_from(count).unwrap_or(0)).map(|state| (state >> 24) as u8).collect()
}
