//! One value, one byte form; and no bytes that make the decoder fall.

use crate::arbitrary;
use fieldkit_core::body::Body;
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{OpId, print_id, read_id};
use fieldkit_core::op::{Op, SealedOp};
use fieldkit_core::{receipt, shopify, snapshot};
use proptest::prelude::*;

/// One change of some bytes.
fn mutated(mut bytes: Vec<u8>, at: usize, value: u8, how: u8) -> Vec<u8> {
    let at = at % (bytes.len() + 1);
    match how % 4 {
        0 if at < bytes.len() => bytes[at] ^= value.max(1),
        1 => bytes.insert(at, value),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        _ => bytes.truncate(at),
    }
    bytes
}

proptest! {
    #[test]
    fn an_op_survives_its_own_bytes(op in arbitrary::op()) {
        let opened = SealedOp::open(&op.bytes);
        prop_assert_eq!(opened.as_ref(), Ok(&op));
    }

    #[test]
    fn a_body_survives_its_own_bytes(body in arbitrary::body()) {
        prop_assert_eq!(Body::open(body.kind(), &body.bytes()), Ok(body));
    }

    #[test]
    fn changed_bytes_are_refused_or_another_op(op in arbitrary::op(), at: usize, value: u8, how: u8) {
        let bytes = mutated(op.bytes.clone(), at, value, how);
        if let Ok(other) = Op::from_bytes(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes.clone(), "two byte forms of one op");
            prop_assert_eq!(other == op.op, bytes == op.bytes);
        }
    }

    #[test]
    fn changed_bytes_of_a_body_are_refused_or_another_body(
        body in arbitrary::body(), at: usize, value: u8, how: u8
    ) {
        let before = body.bytes();
        let bytes = mutated(before.clone(), at, value, how);
        if let Ok(other) = Body::open(body.kind(), &bytes) {
            prop_assert_eq!(other.bytes(), bytes.clone(), "two byte forms of one body");
            prop_assert_eq!(other == body, bytes == before);
        }
    }

    #[test]
    fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind: u16) {
        if let Ok(op) = SealedOp::open(&bytes) {
            prop_assert_eq!(op.op.to_bytes(), bytes.clone());
        }
        let _ = Body::open(kind % 64, &bytes);
        let _ = snapshot::read(&bytes);
        let _ = receipt::verify(&String::from_utf8_lossy(&bytes), &[7; 32]);
        let euro = fieldkit_core::money::Currency::from_code("EUR").expect("EUR is in ISO 4217");
        let _ = shopify::read(&bytes, euro);
    }

    #[test]
    fn a_printed_id_reads_back(id in arbitrary::op_id(), bytes in proptest::collection::vec(any::<u8>(), 1..38)) {
        prop_assert_eq!(OpId::from_text(&id.text()), Some(id));
        prop_assert_eq!(read_id(&print_id(&bytes)), Some(bytes));
    }

    #[test]
    fn any_text_is_an_id_or_none(text in arbitrary::text(), ascii in "[0-9A-Za-z*-]{0,40}") {
        let _ = OpId::from_text(&text);
        if let Some(bytes) = read_id(&ascii) {
            prop_assert!(print_id(&bytes).eq_ignore_ascii_case(&ascii.to_ascii_uppercase().replace(['I', 'L'], "1").replace('O', "0")));
        }
    }
}
