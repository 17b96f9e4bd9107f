//! Grants that prove themselves: true where the whole past says so, and never where anything of them was changed.

use crate::rights::{Step, limited_step, run, shared_out};
use crate::world::{Kit, World};
use ed25519_dalek::SigningKey;
use fieldkit_core::body::{Body, UnitRange};
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{ReplicaKey, Space};
use fieldkit_core::op::SealedOp;
use fieldkit_core::pool::deeds;
use fieldkit_core::proof::{GrantProof, Link, ProofError};
use proptest::collection::vec;
use proptest::prelude::*;

/// The proof that a kit would make of one of its grants: all ops that it has seen about the units, then the grant.
fn proof_of(world: &World, kit: &Kit, grant: &SealedOp) -> GrantProof {
    let event = world.event;
    let about = |op: &SealedOp| -> Vec<UnitRange> {
        let body = Body::open(op.op.kind, &op.op.body).expect("the log can be read");
        deeds(&op.hash, &event, &body).into_iter().flat_map(|(_, ranges)| ranges).collect()
    };
    let units = about(grant);
    let touches = |op: &SealedOp| {
        let any = |one: &UnitRange| {
            units.iter().any(|unit| unit.pool == one.pool && unit.first < one.end() && one.first < unit.end())
        };
        about(op).iter().any(any)
    };
    let at = kit.log.iter().position(|op| op.hash == grant.hash).expect("the grant is in its giver's log");
    let sign = |op: &SealedOp| Link::sign(op, signer(world, op));
    GrantProof {
        space: Space::Event(event),
        links: kit.log[..=at]
            .iter()
            .filter(|op| op.op.stream != world.kits[0].log[0].op.stream && touches(op))
            .map(sign)
            .collect(),
    }
}

/// The key of an op's author.
fn signer<'a>(world: &'a World, op: &SealedOp) -> &'a SigningKey {
    let space = Space::Event(world.event);
    let author = world.kits.iter().find(|kit| kit.author.stream(&space) == op.op.stream);
    &author.expect("each op is of one of the kits").key
}

proptest! {
    #[test]
    fn each_grant_proves_itself_and_nothing_else(
        steps in vec(limited_step(), 1..60),
        which: usize,
        at: usize,
        value in 1u8..,
        cut: usize,
    ) {
        let mut world = shared_out(3, 4);
        run(&mut world, &[steps, vec![Step::Grant { from: 0, to: 1, quantity: 1 }]].concat());
        let admitted = |key: &ReplicaKey| world.kits.iter().any(|kit| kit.author.replica == *key);
        let of = |kit: &Kit| kit.author.stream(&Space::Event(world.event));
        let grants = world.kits.iter().flat_map(|kit| kit.log.iter().filter(move |op| op.op.kind == 80 && op.op.stream == of(kit)).map(move |op| (kit, op)));
        let grants: Vec<_> = grants.collect();
        let (kit, grant) = grants[which % grants.len()];
        let proof = proof_of(&world, kit, grant);
        let Ok(Body::RightsGranted(body)) = Body::open(80, &grant.op.body) else { panic!("it is a grant") };
        let bytes = proof.to_bytes();
        let (read, proven) = GrantProof::open(&bytes, admitted).expect("a grant of a rightful holder proves itself");
        prop_assert_eq!(&read, &proof);
        prop_assert_eq!((proven.from, proven.to, proven.ranges.clone()), (kit.author.replica, body.to, body.ranges));
        // Any byte changed, any op left out, and nobody admitted.
        let mut changed = bytes.clone();
        changed[at % bytes.len()] ^= value;
        prop_assert!(GrantProof::open(&changed, admitted).is_err());
        let mut short = proof.clone();
        short.links.remove(cut % proof.links.len());
        // Without its end it may prove the grant before.
        prop_assert_ne!(short.verify(admitted).ok(), Some(proven.clone()));
        prop_assert_eq!(proof.verify(|_| false), Err(ProofError::Stranger(1)));
        let mut twice = proof.clone();
        twice.links.push(twice.links[proof.links.len() - 1].clone());
        prop_assert_eq!(twice.verify(admitted), Err(ProofError::Order(proof.links.len() + 1)));
    }

    #[test]
    fn any_bytes_are_a_proof_or_none(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(GrantProof::open(&bytes, |_| true).is_err());
    }
}
