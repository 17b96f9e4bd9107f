//! Card numbers in texts where none may stand: found, masked, refused.
//!
//! Promises: a run of 13 to 19 digits with a valid check digit (ISO/IEC 7812, Luhn) is found, also where spaces or
//! hyphens part it; no more than the first six and the last four digits of it are left. Texts of persons are refused also
//! where dots, slashes, underlines or dashes part it, or its digits are full-width.
//! Absent on purpose: other disguises (BCD, base64, track data), which the drivers know and mask first.

/// Fewest and most digits of a card number.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Digits that may be kept in front and at the end.
const KEPT: (usize, usize) = (6, 4);

/// Whether a card number stands in `text`.
pub fn stands_in(text: &str) -> bool {
    let plain = |letter: char| match letter {
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(letter) - 0xff10, 10).unwrap_or(letter),
        '.' | '_' | '/' | '\u{a0}' | '\u{202f}' | '\u{2010}'..='\u{2015}' => '-',
        other => other,
    };
    find(text.chars().map(plain).collect::<String>().as_bytes(), 0).is_some()
}

/// The text with every card number masked.
pub fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(digits) = find(&bytes, from) {
        for at in &digits[KEPT.0..digits.len() - KEPT.1] {
            bytes[*at] = b'*';
        }
        from = digits[digits.len() - 1] + 1;
    }
    // Only ASCII digits were replaced, by ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Places of the digits of the first card number that begins at or after `from`.
fn find(text: &[u8], from: usize) -> Option<Vec<usize>> {
    let groups = groups(text, from);
    for first in 0..groups.len() {
        let mut digits: Vec<usize> = Vec::new();
        for group in &groups[first..] {
            let joined = digits.last().is_none_or(|last| parted(&text[last + 1..group.start]));
            if !joined || digits.len() + group.len() > *DIGITS.end() {
                break;
            }
            digits.extend(group.clone());
            if DIGITS.contains(&digits.len()) && luhn(digits.iter().map(|at| text[*at])) {
                return Some(digits);
            }
        }
    }
    None
}

/// Runs of digits.
fn groups(text: &[u8], from: usize) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    for at in (from..text.len()).filter(|at| text[*at].is_ascii_digit()) {
        match groups.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// Whether what stands between two groups only parts one number.
fn parted(between: &[u8]) -> bool {
    matches!(between, [b' ' | b'-'])
}

fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let value = |(at, digit): (usize, u8)| {
        let digit = u32::from(digit - b'0');
        let doubled = if at % 2 == 1 { digit * 2 } else { digit };
        doubled / 10 + doubled % 10
    };
    digits.rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_card_numbers_are_found_however_they_are_parted() {
        for text in [
            "4111.1111.1111.1111",
            "4111_1111_1111_1111",
            "4111/1111/1111/1111",
            "4111\u{2013}1111\u{2013}1111\u{2013}1111",
        ] {
            assert!(stands_in(text), "{text}");
        }
        assert!(stands_in(
            &"4111111111111111".chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c)).collect::<String>()
        ));
        for text in ["2026-11-20 19:23:35", "12.50/13.00/14.50", "TAAA4X9KQ2", "4006381333931"] {
            assert!(!stands_in(text), "{text}");
        }
    }

    #[test]
    fn card_numbers_are_found_in_any_spacing_and_masked() {
        for (text, left) in [
            ("4111111111111111", "411111******1111"),
            ("card 4111 1111 1111 1111, thanks", "card 4111 11** **** 1111, thanks"),
            ("5500-0000-0000-0004 12/26", "5500-00**-****-0004 12/26"),
            ("378282246310005", "378282*****0005"),
            ("a 4111111111111111 b 4222222222222", "a 411111******1111 b 422222***2222"),
        ] {
            assert!(stands_in(text), "{text}");
            assert_eq!(masked(text), left);
            assert!(!stands_in(&masked(text)));
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in ["", "1234", "TAAA4X9KQ2", "4111111111111112", "4006381333931", "20261120140500", "é 42"] {
            assert!(!stands_in(text), "{text}");
            assert_eq!(masked(text), text);
        }
        let long = "4111111111111111".repeat(3);
        assert!(!stands_in(&long), "a run longer than any card number is none");
    }
}
