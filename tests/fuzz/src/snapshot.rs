//! States from a disk that lies: read or refused; what reads writes the same bytes.
#![no_main]

use fieldkit_core::snapshot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(ledger) = snapshot::read(data) {
        assert_eq!(ledger.state_bytes(), data, "two byte forms of one state");
    }
});
