//! Ops from anywhere: opened, chained, folded; what opens encodes to the same bytes.
#![no_main]

use fieldkit_core::chain::ChainCheck;
use fieldkit_core::codec::Canonical;
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Op, SealedOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut ledger = Ledger::default();
    let mut chain = ChainCheck::default();
    // Several ops, each behind its length in two bytes.
    let mut rest = data;
    while let [low, high, more @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (bytes, after) = more.split_at(length);
        rest = after;
        let Ok(op) = SealedOp::open(bytes) else { continue };
        assert_eq!(op.op.to_bytes(), bytes, "two byte forms of one op");
        let _ = chain.next(op.op.stream, op.op.seq, bytes);
        ledger.apply(&op);
        // The fuzzer cannot guess hashes: the same op, put where it continues what is known.
        let head = ledger.head(&op.op.stream);
        let chained = SealedOp::seal(Op { seq: head.seq + 1, prev: head.hash, ..op.op });
        assert!(ledger.apply(&chained));
        let bytes = ledger.state_bytes();
        let read = fieldkit_core::snapshot::read(&bytes).expect("a state reads back");
        assert_eq!(read.state_bytes(), bytes);
    }
});
