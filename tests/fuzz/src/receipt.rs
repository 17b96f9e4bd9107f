//! Tokens from a camera: a receipt of the key, or not. The signature cannot be guessed, so COSE and base45 are reached
//! as text and as bytes.
#![no_main]

use fieldkit_core::receipt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The public key of the secret of 32 bytes of value 7, which the golden files use too.
    let key = [
        0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5, 0xf9, 0x95, 0x47, 0x76,
        0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2, 0x2c,
    ];
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = receipt::verify(text, &key);
    }
    let _ = receipt::verify(&base45(data), &key);
});

/// RFC 9285, so that bytes reach the parser behind it.
fn base45(data: &[u8]) -> String {
    const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let digit = |value: usize| char::from(ALPHABET[value % 45]);
    let mut text = String::new();
    for pair in data.chunks(2) {
        let value = pair.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
        text.extend([digit(value), digit(value / 45)]);
        if pair.len() == 2 {
            text.push(digit(value / 2025));
        }
    }
    text
}
