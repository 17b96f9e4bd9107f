//! Ids typed by people: read or refused; what reads prints the same.
#![no_main]

use fieldkit_core::id::{OpId, StreamId, print_id, read_id};
use fieldkit_core::money::{Currency, parse_minor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(bytes) = read_id(text) {
        assert_eq!(read_id(&print_id(&bytes)), Some(bytes));
    }
    if let Some(id) = OpId::from_text(text) {
        assert_eq!(OpId::from_text(&id.text()), Some(id));
    }
    let _ = StreamId::from_text(text);
    for code in ["EUR", "JPY", "BHD"] {
        let _ = Currency::from_code(code).map(|currency| parse_minor(text, currency));
    }
});
