//! Text of a device: as many characters as bytes, and a card number in it does not survive, whatever stands around it.
#![no_main]

use fieldkit_drivers::mask;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert_eq!(mask::text(data).text.chars().count(), data.len());
    // No digit may join the number, or it would be another one.
    let (before, after) = data.split_at(data.len() / 2);
    let masked = mask::text(&[before, b" :", b"4111111111111111", b": ", after].concat());
    let number: String = masked.text.chars().skip(before.len() + 2).take(16).collect();
    assert!(masked.seen && number[6..12] == *"******", "{}", masked.text);
});
