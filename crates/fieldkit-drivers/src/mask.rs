//! Card numbers and tracks in text from a device, hidden before anything else sees the text.
//!
//! Promises: what looks like a card number keeps its first six and last four digits at most, whatever the writing: plain,
//! with single spaces or dashes, as binary-coded digits, in base64, or as track 1 or 2, of which nothing else stays.
//! Amounts, times, references and article numbers are left alone, because a number counts only with an issuer's range, an
//! issuer's length and a right check digit (Luhn).
//! Known gaps, each weighed: a 13-digit number that begins with 4 is both an article number of German goods and an old Visa
//! number; one that checks as an article number (EAN-13) is left alone, since Visa stopped issuing that length. Binary-coded
//! digits whose bytes all happen to be letters are left alone (one number in sixty), since words look the same.
//! Runs of more than 19 digits are no card number.

/// Fewest digits of a card number.
const DIGITS_MIN: usize = 13;
/// Most digits of a card number.
const DIGITS_MAX: usize = 19;
/// Digits at the front that may be kept.
const KEPT_FRONT: usize = 6;
/// Digits at the end that may be kept.
const KEPT_END: usize = 4;
/// Base64 of thirteen digits has at least this many characters.
const BASE64_MIN: usize = 18;
/// Longest track 1 with its sentinels.
const TRACK_1_MAX: usize = 79;

/// Text that may be shown, stored and logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The text; hidden characters are `*`, control characters are blanks.
    pub text: String,
    /// Whether anything was hidden: card data that should not have come.
    pub seen: bool,
}

/// Text of a device in code page 437, as ZVT sends it.
pub fn text(bytes: &[u8]) -> Masked {
    let mut hidden = vec![false; bytes.len()];
    hide_written(bytes, &mut hidden);
    hide_binary(bytes, &mut hidden);
    hide_base64(bytes, &mut hidden);
    let shown = |(byte, hidden): (&u8, &bool)| if *hidden { '*' } else { character(*byte) };
    Masked { text: bytes.iter().zip(&hidden).map(shown).collect(), seen: hidden.contains(&true) }
}

/// A field that holds an account number: digits, and `*` for those that the terminal hid itself. First six and last four
/// stay; of a short one only the last four.
pub fn number(digits: &str) -> Masked {
    let count = digits.chars().count();
    let front = if count >= DIGITS_MIN { KEPT_FRONT } else { 0 };
    let kept = |at: usize| at < front || at + KEPT_END >= count;
    let text = digits.chars().enumerate().map(|(at, digit)| if kept(at) { digit } else { '*' }).collect();
    let clear = digits.chars().filter(char::is_ascii_digit).count();
    Masked { text, seen: clear > KEPT_FRONT + KEPT_END }
}

/// A group of digits without a gap.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    length: usize,
}

/// Numbers and tracks written in ASCII.
fn hide_written(bytes: &[u8], hidden: &mut [bool]) {
    let groups = groups(bytes);
    let mut at = 0;
    while at < groups.len() {
        let group = groups[at];
        if !hide_track(bytes, group, hidden) {
            hide_plain(bytes, group, hidden);
        }
        at += hide_spaced(bytes, &groups[at..], hidden).max(1);
    }
}

fn groups(bytes: &[u8]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut() {
            Some(group) if group.start + group.length == at => group.length += 1,
            _ => groups.push(Group { start: at, length: 1 }),
        }
    }
    groups
}

/// One group that is a card number as a whole; leading zeros are padding, for no card number begins with one.
fn hide_plain(bytes: &[u8], group: Group, hidden: &mut [bool]) {
    let places: Vec<usize> = (group.start..group.start + group.length).skip_while(|at| bytes[*at] == b'0').collect();
    hide_if_card(bytes, &places, hidden);
}

/// Several groups with one blank or dash between them; returns how many groups were used up.
fn hide_spaced(bytes: &[u8], groups: &[Group], hidden: &mut [bool]) -> usize {
    let joined = |pair: &[Group]| {
        let end = pair[0].start + pair[0].length;
        pair[1].start == end + 1 && matches!(bytes[end], b' ' | b'-')
    };
    let chain = 1 + groups.windows(2).take_while(|pair| joined(pair)).count();
    let single = groups[..chain].iter().all(|group| group.length == 1);
    for used in (2..=chain).rev() {
        let window = &groups[..used];
        // Single digits in a row make a number only as a whole, as printers with wide letters write it.
        let even = window[..used - 1].iter().all(|group| group.length > 1);
        if (single && used == chain) || even {
            let places: Vec<usize> = window.iter().flat_map(|group| group.start..group.start + group.length).collect();
            if hide_if_card(bytes, &places, hidden) {
                return used;
            }
        }
    }
    if single { chain } else { 0 }
}

fn hide_if_card(bytes: &[u8], places: &[usize], hidden: &mut [bool]) -> bool {
    let digits: Vec<u8> = places.iter().map(|at| bytes[*at].wrapping_sub(b'0')).collect();
    let card = is_card(&digits);
    if card {
        hide_middle(places, hidden);
    }
    card
}

fn hide_middle(places: &[usize], hidden: &mut [bool]) {
    for at in &places[KEPT_FRONT..places.len() - KEPT_END] {
        hidden[*at] = true;
    }
}

/// A track: account number, separator, and at least expiry and service code. Its form is enough, whatever the number.
fn hide_track(bytes: &[u8], group: Group, hidden: &mut [bool]) -> bool {
    let end = group.start + group.length;
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&group.length) {
        return false;
    }
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = match bytes.get(end) {
        Some(b'=' | b'D' | b'd') if digits(end + 1) >= 7 => {
            let track = |byte: &&u8| byte.is_ascii_digit() || matches!(**byte, b'=' | b'D' | b'd' | b'F' | b'f' | b'?');
            bytes[end..].iter().take_while(track).count()
        }
        Some(b'^') => {
            let to_sentinel = bytes[end..].iter().position(|byte| *byte == b'?').map(|at| at + 1);
            to_sentinel.unwrap_or(TRACK_1_MAX).min(bytes.len() - end)
        }
        _ => return false,
    };
    let places: Vec<usize> = (group.start..end).collect();
    hide_middle(&places, hidden);
    hidden[end..end + rest].fill(true);
    true
}

/// Numbers as two digits a byte, perhaps as a track with `D` as separator. At least one byte is no letter.
fn hide_binary(bytes: &[u8], hidden: &mut [bool]) {
    for at in 0..bytes.len() {
        // Letters before the number may make a second number with its front: both are hidden.
        if let Some(length) = binary_length(&bytes[at..]) {
            hidden[at..at + length].fill(true);
        }
    }
}

/// Bytes of the binary-coded number or track that begins here.
fn binary_length(bytes: &[u8]) -> Option<usize> {
    let nibbles: Vec<u8> = bytes.iter().take(DIGITS_MAX).flat_map(|byte| [byte >> 4, byte & 0x0f]).collect();
    let run = nibbles.iter().take_while(|nibble| **nibble <= 9).count();
    let lengths = (DIGITS_MIN..=DIGITS_MAX.min(run)).rev();
    for digits in lengths {
        let used = digits.div_ceil(2);
        let after = nibbles.get(digits).copied();
        let ends = digits % 2 == 0 || matches!(after, Some(0x0d | 0x0f));
        let letters = bytes[..used].iter().all(|byte| matches!(byte, 0x20..=0x7e));
        if ends && !letters && is_card(&nibbles[..digits]) {
            let track = nibbles[digits..].iter().take_while(|nibble| **nibble <= 9 || **nibble == 0x0d).count();
            let whole = if after == Some(0x0d) { digits + track } else { digits };
            return Some(whole.div_ceil(2));
        }
    }
    None
}

/// Base64 (either alphabet) whose bytes hold a written number, at any of the four ways to cut it, or are a binary one.
fn hide_base64(bytes: &[u8], hidden: &mut [bool]) {
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| sextet(**byte).is_some()).count();
        if length >= BASE64_MIN && (0..4).any(|cut| holds_card(&decoded(&bytes[at + cut..at + length]), cut)) {
            hidden[at..at + length].fill(true);
        }
        at += length + 1;
    }
}

fn holds_card(bytes: &[u8], cut: usize) -> bool {
    let mut hidden = vec![false; bytes.len()];
    hide_written(bytes, &mut hidden);
    hidden.contains(&true) || (cut == 0 && binary_length(bytes) == Some(bytes.len()))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0u32, 0);
    for value in text.iter().filter_map(|byte| sextet(*byte)) {
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Whether digits (values, not characters) are a card number: issuer, length and check digit.
fn is_card(digits: &[u8]) -> bool {
    let valid = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && luhn(digits) && issued(digits);
    valid && !(digits.len() == 13 && ean(digits))
}

fn luhn(digits: &[u8]) -> bool {
    let worth = |(at, digit): (usize, &u8)| match at % 2 {
        0 => u32::from(*digit),
        _ if *digit > 4 => u32::from(*digit) * 2 - 9,
        _ => u32::from(*digit) * 2,
    };
    digits.iter().rev().enumerate().map(worth).sum::<u32>() % 10 == 0
}

/// The check of an article number: weights one and three, from the end.
fn ean(digits: &[u8]) -> bool {
    let worth = |(at, digit): (usize, &u8)| if at % 2 == 0 { u32::from(*digit) } else { u32::from(*digit) * 3 };
    digits.iter().rev().enumerate().map(worth).sum::<u32>() % 10 == 0
}

/// Ranges in use, by the first four digits, and the lengths issued in them: Visa, Mastercard, Mir, American Express,
/// Diners, JCB, Discover, Maestro, UnionPay and girocard, RuPay, Troy. ISO 7812 leaves 0, 1, 7 and most of 8 and 9 to others.
fn issued(digits: &[u8]) -> bool {
    let front = digits[..4].iter().fold(0, |front, digit| front * 10 + u32::from(*digit));
    let length = digits.len();
    match front {
        4000..=4999 => matches!(length, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 | 8100..=8299 | 9792 => length == 16,
        3400..=3499 | 3700..=3799 => length == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&length),
        2200..=2204 | 3528..=3589 | 5000..=5099 | 5600..=6999 => (16..=19).contains(&length),
        _ => false,
    }
}

/// The upper half of code page 437.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

fn character(byte: u8) -> char {
    match byte {
        0x20..=0x7e => char::from(byte),
        0x80..=0xff => CODE_PAGE_437.chars().nth(usize::from(byte - 0x80)).unwrap_or(' '),
        0x00..=0x1f | 0x7f => ' ',
    }
}

#[cfg(test)]
mod tests;
