//! Golden bytes: the exchange, frozen. Each frame in `tests/golden/exchange` is written so and read so, and a bundle too.
//!
//! Promises: new files come from `FIELDKIT_GOLDEN=write`, which never changes a file that is there;
//! `FIELDKIT_GOLDEN=overwrite` does, and is a decision record, not a detail.

#![expect(clippy::disallowed_methods, reason = "golden files are files, and a variable says whether to write them")]

use ed25519_dalek::SigningKey;
use fieldkit_core::body::{Body, StreamOpened};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::op::{Actor, Head, Op, SealedOp, Version};
use fieldkit_core::stamp::{ClockQuality, Stamp};
use fieldkit_sync::bundle::{Bundle, BundleError};
use fieldkit_sync::fault::{Farewell, Fault};
use fieldkit_sync::memory::Memory;
use fieldkit_sync::tip::{Mark, Scope, Tip};
use fieldkit_sync::wire::{self, Batch, Hello, Lack, Message};
use std::path::PathBuf;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn replica() -> ReplicaKey {
    ReplicaKey(key().verifying_key().to_bytes())
}

fn space() -> Space {
    Space::Event(OpId { stream: StreamId(*b"fieldkit-golden!"), seq: 6 })
}

fn op() -> SealedOp {
    let body = Body::StreamOpened(StreamOpened { replica: replica(), space: space(), follows: None });
    SealedOp::seal(Op {
        version: Version,
        stream: StreamId::of(&replica(), &space()),
        seq: 1,
        prev: Hash::default(),
        lamport: 300,
        stamp: Stamp { physical_ms: 1_795_000_000_000, counter: 0, quality: ClockQuality::System },
        deps: vec![],
        actor: Actor::Device(Zero),
        key: None,
        postings: vec![],
        kind: body.kind(),
        body: body.bytes(),
    })
}

fn tip() -> Tip {
    let head = Head { seq: 1, hash: op().hash };
    Tip { replica: replica(), space: space(), head, signature: head.sign(&op().op.stream, &key()) }
}

/// One message of each kind, with every field in use.
fn messages() -> Vec<(&'static str, Message)> {
    let hello = Hello { organisation: [9; 32], replica: replica(), digest: wire::digest(&[tip()]) };
    let marks = |seqs: &[u64]| seqs.iter().map(|seq| Mark::of(*seq, &Hash([4; 32]))).collect();
    let lack = Lack { stream: tip().stream(), tips: marks(&[300]), have: marks(&[200, 199, 198, 196, 192, 184]) };
    let batch = Batch { ops: vec![op().bytes], heads: vec![tip()], last: true };
    vec![
        ("0-Hello", Message::Hello(hello)),
        ("1-Tips", Message::Tips(vec![tip()])),
        ("2-Want", Message::Want(vec![lack])),
        ("3-Ops", Message::Ops(batch)),
        ("4-More", Message::More(Zero)),
        ("5-Seen", Message::Seen(vec![0, 127, 128])),
        ("6-Alive", Message::Alive(true)),
        ("7-Bye", Message::Bye(Farewell::Rules)),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/exchange"))
}

fn check_file(name: &str, bytes: &[u8]) {
    let path = folder().join(format!("{name}.hex"));
    let hex = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let wanted = bytes.chunks(32).map(hex).collect::<Vec<_>>().join("\n") + "\n";
    let found = std::fs::read_to_string(&path).ok();
    let asked = std::env::var("FIELDKIT_GOLDEN").unwrap_or_default();
    match (found, asked.as_str()) {
        (Some(found), _) if found == wanted => {}
        (None, "write" | "overwrite") | (Some(_), "overwrite") => {
            std::fs::write(&path, wanted).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        (Some(found), _) => assert_eq!(found, wanted, "{name}: the format is frozen, and these bytes changed"),
        (None, _) => panic!("{} is missing; FIELDKIT_GOLDEN=write makes it", path.display()),
    }
}

fn read_file(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits = text.replace('\n', "");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("golden files are hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_message_has_its_golden_bytes() {
    for (number, (name, message)) in (0u64..).zip(messages()) {
        // Frames of one side are numbered from 0; these stand about the place where a number takes two bytes.
        let number = number + 124;
        check_file(name, &wire::frame(number, &message));
        assert_eq!(wire::open(&read_file(name), number), Ok(message), "{name}");
    }
}

#[test]
fn a_frame_that_is_harmed_anywhere_is_noticed() {
    for (name, message) in messages() {
        let frame = wire::frame(3, &message);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let fault = wire::open(&bad, 3).expect_err("a changed bit is noticed");
            assert!(matches!(fault, Fault::Damaged | Fault::Version(_)), "{name}: {fault:?}");
        }
        for end in 0..frame.len() {
            assert_eq!(wire::open(&frame[..end], 3), Err(Fault::Damaged), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_bundle_has_its_golden_bytes() {
    let mut shelf = Memory::new([9; 32]);
    shelf.put(&op());
    shelf.sign(tip());
    check_file("bundle", &Bundle::of(&shelf, replica(), &Scope::Whole, &[]));
    let bytes = read_file("bundle");
    let opened = Bundle::open(&bytes, &shelf, &replica(), &Scope::Whole).expect("the bundle is whole");
    assert!(opened.take.ops.is_empty());
    assert_eq!(opened.maker_holds, vec![(tip().stream(), tip().head)]);
    // Its author was not admitted where nothing is known.
    let refused = Bundle::open(&bytes, &Memory::new([9; 32]), &replica(), &Scope::Whole);
    assert_eq!(refused, Err(BundleError::Fault(Fault::Stranger(replica()))));
}
