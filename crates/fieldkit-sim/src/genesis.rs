//! The beginning: an organisation, its event, and each kit admitted to it before it is parted from the others.
//!
//! Promises: the ops are those of the first kit; every other kit begins with a copy of them, as one that joins does.
//! Absent on purpose: joining over a line, which the kits cannot do yet.

use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::{Body, Prices, ReplicaAdmitted, Seller, TaxRate};
use fieldkit_core::decide::{Founding, NewEvent};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::stamp::ClockQuality;
use std::sync::Arc;

/// The wall clock at the beginning: noon of a day in November 2026.
pub const NOON_MS: u64 = 1_795_000_000_000;

/// What every kit begins with.
pub struct Genesis {
    /// The first ops.
    pub ops: Vec<Arc<SealedOp>>,
    /// The event.
    pub event: OpId,
    /// Who runs it.
    pub owner: Actor,
    /// The kit that was admitted last, of whom none of the others has heard, and the ops that admit it.
    pub newcomer: Option<(usize, Vec<Arc<SealedOp>>)>,
}

/// The `nth` key of a kit.
pub fn key(kit: usize, nth: u8) -> SigningKey {
    let mut secret = [nth; 32];
    secret[0] = u8::try_from(kit).unwrap_or(u8::MAX);
    SigningKey::from_bytes(&secret)
}

/// The replica of a key.
pub fn replica(key: &SigningKey) -> ReplicaKey {
    ReplicaKey(key.verifying_key().to_bytes())
}

fn founding(first: &SigningKey) -> Founding {
    let organisation = SigningKey::from_bytes(&[99; 32]);
    Founding {
        name: "Quay".to_owned(),
        organisation_key: organisation.verifying_key().to_bytes(),
        label: "kit A".to_owned(),
        proof: organisation.sign(&ReplicaAdmitted::signed_bytes(&replica(first), "kit A")).to_bytes(),
        owner: Hash::of(b"owner"),
        event: NewEvent {
            name: "Harbour market".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            day_cutover_minutes: 240,
            currency: "EUR".to_owned(),
            seller: Seller { name: "Quay".to_owned(), address: String::new(), tax_id: String::new() },
            tax_rates: vec![
                TaxRate { id: "standard".to_owned(), name: "VAT 19 %".to_owned(), ppm: 190_000 },
                TaxRate { id: "reduced".to_owned(), name: "VAT 7 %".to_owned(), ppm: 70_000 },
            ],
            prices: Prices::Inclusive,
            training: false,
            clone_from: None,
        },
    }
}

impl Genesis {
    /// Of so many kits; one of them may have been admitted out of sight of the others.
    pub fn new(kits: usize, newcomer: Option<usize>) -> Self {
        let first = key(0, 0);
        let mut ledger = Ledger::default();
        let mut author = Author::new(replica(&first), None);
        let context =
            Context { actor: Actor::Device(Zero), wall_ms: NOON_MS, quality: ClockQuality::System, key: None };
        let mut drafts = founding(&first).drafts(replica(&first)).expect("the founding is in order");
        let admission = |kit: usize| {
            let (joining, label) = (replica(&key(kit, 0)), label(kit));
            let proof = first.sign(&ReplicaAdmitted::signed_bytes(&joining, &label)).to_bytes();
            let admitted = ReplicaAdmitted { replica: joining, label, admitted_by: replica(&first).0, proof };
            Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(admitted))
        };
        drafts.extend((1..kits).filter(|kit| Some(*kit) != newcomer).map(admission));
        let ops = author.write(&mut ledger, drafts, &context);
        let event = *ledger.events.keys().next().expect("the founding opened an event");
        let owner = Actor::Person(*ledger.persons.keys().next().expect("the founding added an owner"));
        let newcomer = newcomer.map(|kit| {
            let mut author = Author::new(replica(&key(kit, 0)), None);
            (kit, author.write(&mut ledger, vec![admission(kit)], &context).into_iter().map(Arc::new).collect())
        });
        Genesis { ops: ops.into_iter().map(Arc::new).collect(), event, owner, newcomer }
    }
}

/// What the crew calls a kit.
pub fn label(kit: usize) -> String {
    format!("kit {}", ["A", "B", "C", "D"].get(kit).unwrap_or(&"Z"))
}
