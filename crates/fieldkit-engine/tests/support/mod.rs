//! What the engine's tests begin with: an organisation, its event and its first kit.

use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::body::{Prices, ReplicaAdmitted, Seller, TaxRate};
use fieldkit_core::decide::{Founding, NewEvent};
use fieldkit_core::id::{Hash, OpId, ReplicaKey};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::Actor;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_engine::Engine;

/// The wall clock at the beginning: noon of a day in November 2026.
pub const NOON_MS: u64 = 1_795_000_000_000;

/// The key of a number.
pub fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}

/// Its replica.
pub fn replica(of: u8) -> ReplicaKey {
    ReplicaKey(key(of).verifying_key().to_bytes())
}

/// An engine that has just founded an organisation under key 1, with the event and the owner.
pub fn founded() -> (Engine, OpId, Actor) {
    let organisation = key(99);
    let founding = Founding {
        name: "Quay".to_owned(),
        organisation_key: organisation.verifying_key().to_bytes(),
        label: "kit".to_owned(),
        proof: organisation.sign(&ReplicaAdmitted::signed_bytes(&replica(1), "kit")).to_bytes(),
        owner: Hash::of(b"owner"),
        event: NewEvent {
            name: "Harbour market".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            day_cutover_minutes: 240,
            currency: "EUR".to_owned(),
            seller: Seller { name: "Quay".to_owned(), address: String::new(), tax_id: String::new() },
            tax_rates: vec![TaxRate { id: "standard".to_owned(), name: "VAT".to_owned(), ppm: 190_000 }],
            prices: Prices::Inclusive,
            training: false,
            clone_from: None,
        },
    };
    let mut engine = Engine::new(Ledger::default(), key(1), None);
    engine.found(&founding, NOON_MS, ClockQuality::System).expect("the founding is in order");
    let event = *engine.ledger().events.keys().next().expect("the founding opened an event");
    let owner = Actor::Person(*engine.ledger().persons.keys().next().expect("the founding added an owner"));
    (engine, event, owner)
}
