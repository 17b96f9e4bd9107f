//! What a peer may say: frames are read or refused, what reads writes the same bytes, and a session takes nothing that is
//! not signed. The fuzzer guesses neither checks nor signatures: messages are put into good frames.
#![no_main]

use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::{Body, ReplicaAdmitted};
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{ReplicaKey, Space, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::Actor;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_sync::bundle::{BUNDLE_VERSION, Bundle, Content, MAGIC};
use fieldkit_sync::memory::Memory;
use fieldkit_sync::session::{Input, Output, Session, Terms};
use fieldkit_sync::tip::{Scope, Tip};
use fieldkit_sync::wire::{self, Hello, Message};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// A shelf of the organisation of the golden bytes, with one admission on it.
static SHELF: LazyLock<(Memory, ReplicaKey)> = LazyLock::new(|| {
    let organisation = SigningKey::from_bytes(&[7; 32]);
    let key = SigningKey::from_bytes(&[8; 32]);
    let replica = ReplicaKey(key.verifying_key().to_bytes());
    let proof = organisation.sign(&ReplicaAdmitted::signed_bytes(&replica, "kit")).to_bytes();
    let admitted_by = organisation.verifying_key().to_bytes();
    let body = ReplicaAdmitted { replica, label: "kit".to_owned(), admitted_by, proof };
    let drafts = vec![Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(body))];
    let context = Context { actor: Actor::Device(Zero), wall_ms: 1, quality: ClockQuality::System, key: None };
    let mut ledger = Ledger::default();
    let mut shelf = Memory::new(admitted_by);
    for op in Author::new(replica, None).write(&mut ledger, drafts, &context) {
        shelf.put(&op);
        let head = ledger.head(&op.op.stream);
        if head.seq == op.op.seq {
            let signature = head.sign(&op.op.stream, &key);
            shelf.sign(Tip { replica, space: Space::ORGANISATION, head, signature });
        }
    }
    (shelf, replica)
});

fuzz_target!(|data: &[u8]| {
    let (shelf, replica) = &*SHELF;
    let _ = wire::open(data, 0);
    let _ = Bundle::open(data, shelf, replica, &Scope::Whole);
    if let Ok(content) = Content::from_bytes(data) {
        assert_eq!(content.to_bytes(), data, "two byte forms of one bundle");
        let _ = Bundle::open(&[MAGIC.as_slice(), &[BUNDLE_VERSION], data].concat(), shelf, replica, &Scope::Whole);
    }
    let mut session = Session::new(Terms::whole(*replica), shelf);
    let admitted_by = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    let hello = Message::Hello(Hello { organisation: admitted_by, replica: *replica, digest: [0; 16] });
    session.handle(Input::Frame(wire::frame(0, &hello)), shelf);
    // Several messages, each behind its length in two bytes.
    let (mut rest, mut number) = (data, 1);
    while let [low, high, more @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (bytes, after) = more.split_at(length);
        rest = after;
        let Ok(message) = Message::from_bytes(bytes) else { continue };
        assert_eq!(message.to_bytes(), bytes, "two byte forms of one message");
        session.handle(Input::Frame(wire::frame(number, &message)), shelf);
        number += 1;
        while let Some(output) = session.poll_output() {
            let Output::Take(take) = output else { continue };
            assert!(take.heads.iter().all(Tip::is_signed) && !take.heads.is_empty());
            session.handle(Input::Stored, shelf);
        }
    }
});
