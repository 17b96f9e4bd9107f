//! Whether what a terminal tells is the payment that was asked for.
//!
//! Promises: a pure function of what was asked, the terminal's last transaction before, and its record; two equal
//! amounts in a row are never taken for one another; where the numbers leave a doubt, the answer is `Unclear` and a
//! person decides. Receipt numbers wrap at 9,999 and may begin anew after an end of day, trace numbers wrap at 999,999;
//! then date and time decide, which terminals tell without a year.
//! Absent on purpose: asking the terminal again, and what follows from a match (`decide`).

use crate::body::{Baseline, RecordKind, TerminalRecord};
use crate::money::Money;

/// Receipt numbers run from 1 to this.
const RECEIPT_MAX: u32 = 9_999;
/// Trace numbers run from 1 to this; 0 means that there is none.
const TRACE_MAX: u32 = 999_999;
/// Seconds of a day.
const DAY_SECONDS: u32 = 86_400;
/// A year of months with 31 days each: dates of one year keep their order in it.
const YEAR_SECONDS: u32 = 12 * 31 * DAY_SECONDS;

/// How a record came to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// As the answer to the request itself.
    InDialogue,
    /// As the terminal's last transaction, asked for later.
    Asked,
}

/// What a record is to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the payment: the card was charged as asked.
    Booked,
    /// It is what the terminal had done before: the card was not charged.
    Older,
    /// It is the terminal's no to the payment.
    Declined,
    /// It is of another terminal, or something that was not asked for.
    Foreign,
    /// The terminal did what was asked with another amount or currency.
    Mismatch,
    /// The numbers do not tell.
    Unclear,
}

/// Compares a record with what was asked for after `baseline`.
pub fn matches(asked: Money, baseline: &Baseline, record: &TerminalRecord, heard: Heard) -> Match {
    if baseline.terminal_id.as_deref().is_some_and(|id| differ(id, &record.terminal_id)) {
        return Match::Foreign;
    }
    let age = age(baseline, record);
    // The answer to a request is new, unless it is a frame from before that is told once more.
    let new = age == Age::Newer || (heard == Heard::InDialogue && age == Age::Unclear);
    let as_asked = (record.amount, record.currency) == (asked.minor, asked.currency);
    let takes_back = matches!(record.kind, RecordKind::Reversal | RecordKind::Refund);
    match (new, age) {
        (false, Age::Unclear) => Match::Unclear,
        (false, _) => Match::Older,
        (true, _) if takes_back || record.reversed_trace.is_some() => Match::Foreign,
        (true, _) if record.result != 0 && (as_asked || heard == Heard::InDialogue) => Match::Declined,
        (true, _) if record.result != 0 => Match::Unclear,
        (true, _) if as_asked => Match::Booked,
        (true, _) if heard == Heard::InDialogue => Match::Mismatch,
        (true, _) => Match::Foreign,
    }
}

/// Compares a record, asked for after `baseline`, with the reversal of `charge`: `Booked` means that it was undone.
pub fn undoes(charge: &TerminalRecord, baseline: &Baseline, record: &TerminalRecord) -> Match {
    let of_another = record.reversed_trace.is_some_and(|trace| charge.trace > 0 && trace != charge.trace);
    let as_charged = (record.amount, record.currency) == (charge.amount, charge.currency);
    if differ(&charge.terminal_id, &record.terminal_id) {
        return Match::Foreign;
    }
    match age(baseline, record) {
        Age::Unclear => Match::Unclear,
        Age::Same | Age::Older => Match::Older,
        Age::Newer if of_another || !as_charged => Match::Foreign,
        Age::Newer if record.kind == RecordKind::Reversal || speaks_again_of(charge, record) => {
            if record.result == 0 {
                Match::Booked
            } else {
                Match::Declined
            }
        }
        // A terminal that does not state what a record is about may tell of a second charge as well.
        Age::Newer if record.kind == RecordKind::Unstated => Match::Unclear,
        Age::Newer => Match::Foreign,
    }
}

/// Whether a later record bears the charge's own receipt number, which no other charge has.
fn speaks_again_of(charge: &TerminalRecord, record: &TerminalRecord) -> bool {
    record.kind == RecordKind::Unstated && charge.receipt > 0 && record.receipt == charge.receipt
}

/// Whether two terminals are not one, as far as both say.
fn differ(one: &str, other: &str) -> bool {
    !one.is_empty() && !other.is_empty() && one != other
}

/// Whether two records tell of one transaction.
pub fn is_same(one: &TerminalRecord, other: &TerminalRecord) -> bool {
    let key = |record: &TerminalRecord| (record.receipt, record.trace, record.amount, record.currency);
    let moment = |record: &TerminalRecord| record.date.zip(record.time);
    let apart = moment(one).zip(moment(other)).is_some_and(|(one, other)| one != other);
    // A terminal that repeats a transaction may not state any more what it was.
    let stated = one.kind != RecordKind::Unstated && other.kind != RecordKind::Unstated;
    let alike = !stated || one.kind == other.kind;
    !differ(&one.terminal_id, &other.terminal_id) && key(one) == key(other) && alike && !apart
}

/// Whether the numbers of a record say that it came after another one.
pub fn is_newer(record: &TerminalRecord, than: &TerminalRecord) -> bool {
    age(&baseline_of(than), record) == Age::Newer
}

/// The baseline that a record leaves behind.
pub fn baseline_of(record: &TerminalRecord) -> Baseline {
    Baseline {
        terminal_id: Some(record.terminal_id.clone()).filter(|id| !id.is_empty()),
        last_receipt: Some(record.receipt),
        last_trace: Some(record.trace).filter(|trace| *trace > 0),
        last_date: record.date,
        last_time: record.time,
    }
}

/// A record beside the terminal's last transaction before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Newer,
    Same,
    Older,
    Unclear,
}

/// Where a number stands on its circle, seen from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ahead,
    Same,
    Behind,
}

fn age(baseline: &Baseline, record: &TerminalRecord) -> Age {
    if baseline.last_receipt.is_none() && baseline.last_trace.is_none() {
        // A terminal that was asked and had no transaction: whatever it tells now is new.
        return if baseline.terminal_id.is_some() { Age::Newer } else { Age::Unclear };
    }
    let trace = place(baseline.last_trace.filter(|last| *last > 0), Some(record.trace), TRACE_MAX);
    let receipt = place(baseline.last_receipt, Some(record.receipt), RECEIPT_MAX);
    let last_moment = moment(baseline.last_date, baseline.last_time);
    let time = place(last_moment, moment(record.date, record.time), YEAR_SECONDS);
    let agree = trace.is_none() || receipt.is_none() || trace == receipt;
    match (trace.or(receipt), time) {
        (Some(Place::Ahead), _) => Age::Newer,
        // Equal or smaller numbers at a later time: the terminal counts anew.
        (Some(Place::Same | Place::Behind), Some(Place::Ahead)) => Age::Newer,
        (Some(Place::Same), _) if agree => Age::Same,
        (Some(Place::Same | Place::Behind), Some(Place::Same | Place::Behind)) => Age::Older,
        (Some(Place::Same | Place::Behind), None) | (None, _) => Age::Unclear,
    }
}

/// Whether `new` lies ahead of `last` on a circle of 1 to `most`: up to half of it is ahead, the rest is behind.
fn place(last: Option<u32>, new: Option<u32>, most: u32) -> Option<Place> {
    let (last, new) = last.zip(new)?;
    if last == 0 || new == 0 || last > most || new > most {
        return None;
    }
    Some(match (new + most - last) % most {
        0 => Place::Same,
        steps if steps <= most / 2 => Place::Ahead,
        _ => Place::Behind,
    })
}

/// Seconds since the year began, from 1; `None` where date or time is missing or none.
fn moment(date: Option<u16>, time: Option<u32>) -> Option<u32> {
    let (date, time) = date.zip(time)?;
    let (month, day) = (u32::from(date / 100), u32::from(date % 100));
    let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((month - 1) * 31 + day - 1) * DAY_SECONDS + hour * 3_600 + minute * 60 + second + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn code(code: &str) -> Currency {
        Currency::from_code(code).expect("these codes are in ISO 4217")
    }

    fn record(receipt: u32, trace: u32, amount: i64) -> TerminalRecord {
        TerminalRecord {
            kind: RecordKind::Payment,
            terminal_id: "52523535".into(),
            receipt,
            trace,
            amount,
            currency: code("EUR"),
            date: None,
            time: None,
            card_name: String::new(),
            masked_pan: String::new(),
            authorisation: String::new(),
            result: 0,
            reversed_trace: None,
        }
    }

    fn at(date: u16, time: u32, record: TerminalRecord) -> TerminalRecord {
        TerminalRecord { date: Some(date), time: Some(time), ..record }
    }

    #[track_caller]
    fn check(before: &TerminalRecord, after: &TerminalRecord, heard: Heard, expected: Match) {
        assert_eq!(matches(Money::new(950, code("EUR")), &baseline_of(before), after, heard), expected);
    }

    #[test]
    fn the_next_transaction_of_the_amount_is_the_payment() {
        check(&record(231, 975, 400), &record(232, 976, 950), Heard::Asked, Match::Booked);
        check(&record(231, 975, 400), &record(232, 976, 950), Heard::InDialogue, Match::Booked);
        // Diagnosis and declines take trace numbers too.
        check(&record(231, 975, 400), &record(232, 999, 950), Heard::Asked, Match::Booked);
    }

    #[test]
    fn two_equal_amounts_in_a_row_are_two() {
        let before = at(1120, 140_501, record(231, 975, 950));
        check(&before, &before, Heard::Asked, Match::Older);
        check(&before, &before, Heard::InDialogue, Match::Older);
        check(&before, &at(1120, 140_530, record(232, 976, 950)), Heard::Asked, Match::Booked);
        check(&record(231, 0, 950), &record(231, 0, 950), Heard::Asked, Match::Older);
        check(&record(231, 0, 950), &record(232, 0, 950), Heard::Asked, Match::Booked);
    }

    #[test]
    fn numbers_wrap() {
        check(&record(9_999, 0, 400), &record(1, 0, 950), Heard::Asked, Match::Booked);
        check(&record(9_998, 0, 400), &record(3, 0, 950), Heard::Asked, Match::Booked);
        check(&record(231, 999_999, 400), &record(232, 1, 950), Heard::Asked, Match::Booked);
        let new_year = at(101, 100, record(1, 0, 950));
        check(&at(1231, 235_900, record(1, 0, 1)), &new_year, Heard::Asked, Match::Booked);
    }

    #[test]
    fn receipts_that_begin_anew_are_told_by_trace_or_time() {
        check(&record(231, 975, 400), &record(1, 977, 950), Heard::Asked, Match::Booked);
        let evening = at(1120, 190_000, record(231, 0, 950));
        check(&evening, &at(1121, 90_000, record(1, 0, 950)), Heard::Asked, Match::Booked);
        // The same number again, a day later: another transaction.
        let one = at(1120, 90_000, record(1, 1, 950));
        check(&one, &at(1121, 90_000, record(1, 1, 950)), Heard::Asked, Match::Booked);
        check(&record(231, 0, 950), &record(1, 0, 950), Heard::Asked, Match::Unclear);
    }

    #[test]
    fn what_was_before_is_older() {
        let before = at(1120, 140_501, record(231, 975, 400));
        check(&before, &at(1120, 140_000, record(230, 974, 950)), Heard::Asked, Match::Older);
        check(&before, &at(1120, 140_000, record(230, 974, 950)), Heard::InDialogue, Match::Older);
        check(&record(231, 975, 400), &record(230, 974, 950), Heard::Asked, Match::Unclear);
        check(&before, &at(1120, 130_000, record(232, 975, 950)), Heard::Asked, Match::Older);
    }

    #[test]
    fn another_terminal_or_another_deed_is_foreign() {
        let other = TerminalRecord { terminal_id: "11111111".into(), ..record(232, 976, 950) };
        check(&record(231, 975, 400), &other, Heard::Asked, Match::Foreign);
        let undone = TerminalRecord { kind: RecordKind::Reversal, ..record(232, 976, 950) };
        check(&record(231, 975, 400), &undone, Heard::Asked, Match::Foreign);
        let unstated = TerminalRecord { kind: RecordKind::Unstated, reversed_trace: Some(9), ..record(232, 976, 950) };
        check(&record(231, 975, 400), &unstated, Heard::Asked, Match::Foreign);
        let nameless = TerminalRecord { terminal_id: String::new(), ..record(232, 976, 950) };
        check(&record(231, 975, 400), &nameless, Heard::Asked, Match::Booked);
        check(&record(231, 975, 400), &record(232, 976, 951), Heard::Asked, Match::Foreign);
    }

    #[test]
    fn another_amount_or_currency_in_the_dialogue_is_a_mismatch() {
        check(&record(231, 975, 400), &record(232, 976, 951), Heard::InDialogue, Match::Mismatch);
        let dollars = TerminalRecord { currency: code("USD"), ..record(232, 976, 950) };
        check(&record(231, 975, 400), &dollars, Heard::InDialogue, Match::Mismatch);
    }

    #[test]
    fn a_no_that_is_new_is_a_decline() {
        let no = TerminalRecord { result: 0x6f, ..record(232, 976, 950) };
        check(&record(231, 975, 400), &no, Heard::Asked, Match::Declined);
        let other = TerminalRecord { result: 0x6f, ..record(232, 976, 1) };
        check(&record(231, 975, 400), &other, Heard::Asked, Match::Unclear);
    }

    #[test]
    fn without_a_baseline_only_the_dialogue_tells() {
        let asked = Money::new(950, code("EUR"));
        let nothing = Baseline::default();
        assert_eq!(matches(asked, &nothing, &record(1, 1, 950), Heard::Asked), Match::Unclear);
        assert_eq!(matches(asked, &nothing, &record(1, 1, 950), Heard::InDialogue), Match::Booked);
        let fresh = Baseline { terminal_id: Some("52523535".into()), ..Baseline::default() };
        assert_eq!(matches(asked, &fresh, &record(1, 1, 950), Heard::Asked), Match::Booked);
    }

    #[test]
    fn a_reversal_is_told_from_another_charge() {
        let charge = record(231, 975, 950);
        let check = |after: TerminalRecord, expected: Match| {
            assert_eq!(undoes(&charge, &baseline_of(&charge), &after), expected, "{after:?}");
        };
        let undone = |receipt, amount| TerminalRecord { kind: RecordKind::Reversal, ..record(receipt, 976, amount) };
        check(undone(231, 950), Match::Booked);
        check(undone(232, 950), Match::Booked);
        check(undone(232, 951), Match::Foreign);
        check(TerminalRecord { result: 0xb4, ..undone(232, 950) }, Match::Declined);
        check(charge.clone(), Match::Older);
        check(record(232, 976, 950), Match::Foreign);
        let unstated = |record| TerminalRecord { kind: RecordKind::Unstated, ..record };
        check(unstated(record(232, 976, 950)), Match::Unclear);
        check(unstated(record(231, 976, 950)), Match::Booked);
        check(unstated(record(231, 975, 950)), Match::Older);
        check(TerminalRecord { reversed_trace: Some(975), ..undone(232, 950) }, Match::Booked);
        check(TerminalRecord { reversed_trace: Some(974), ..undone(232, 950) }, Match::Foreign);
        check(TerminalRecord { terminal_id: "1".into(), ..undone(232, 950) }, Match::Foreign);
    }

    #[test]
    fn a_transaction_told_twice_is_one() {
        let one = at(1120, 140_501, record(231, 975, 950));
        assert!(is_same(&one, &one.clone()));
        assert!(is_same(&one, &record(231, 975, 950)), "one telling may leave the time out");
        let repeated = TerminalRecord { kind: RecordKind::Unstated, ..one.clone() };
        assert!(is_same(&one, &repeated), "a repeated telling may not state what it was");
        assert!(!is_same(&one, &TerminalRecord { kind: RecordKind::Reversal, ..one.clone() }));
        assert!(!is_same(&one, &at(1121, 140_501, record(231, 975, 950))));
        assert!(!is_same(&one, &at(1120, 140_501, record(232, 976, 950))));
    }
}
