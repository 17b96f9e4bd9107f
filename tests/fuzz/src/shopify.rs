//! Product files from anywhere: read or refused, and twice the same.
#![no_main]

use fieldkit_core::money::Currency;
use fieldkit_core::shopify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let euro = Currency::from_code("EUR").expect("EUR is in ISO 4217");
    assert_eq!(shopify::read(data, euro), shopify::read(data, euro));
});
