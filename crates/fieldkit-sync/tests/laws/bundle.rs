//! Bundles on a stick: the same as an exchange, one way; importing twice changes nothing.

use crate::merge::heal;
use crate::stall::{Dice, Kit, Stall};
use fieldkit_core::id::{Space, StreamId};
use fieldkit_core::op::Head;
use fieldkit_sync::bundle::{Bundle, BundleError};
use fieldkit_sync::fault::Fault;
use fieldkit_sync::shelf::Shelf;
use fieldkit_sync::tip::Scope;
use proptest::prelude::*;

fn make(kit: &Kit, known: &[(StreamId, Head)]) -> Vec<u8> {
    Bundle::of(&kit.shelf, kit.author.replica, &Scope::Whole, known)
}

fn open(bytes: &[u8], kit: &Kit) -> Result<Bundle, BundleError> {
    Bundle::open(bytes, &kit.shelf, &kit.author.replica, &Scope::Whole)
}

fn ends(kit: &Kit) -> Vec<(StreamId, Head)> {
    kit.shelf.tips().iter().map(|tip| (tip.stream(), tip.head)).collect()
}

/// Two kits, the first of which has written `count` ops more.
fn ahead(count: usize) -> Stall {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    stall.write(0, 1, count);
    stall.write(0, 0, 1);
    stall.sign(0);
    stall
}

#[test]
fn a_bundle_brings_what_an_exchange_would() {
    let mut stall = ahead(200);
    let bundle = open(&make(&stall.kits[0], &[]), &stall.kits[1]).expect("the bundle is whole");
    assert_eq!(bundle.take.heads.len(), 2);
    stall.kits[1].take(&bundle.take, true);
    assert_eq!(stall.kits[1].hashes(), stall.kits[0].hashes());
    assert_eq!(ends(&stall.kits[1]), ends(&stall.kits[0]), "what it brought can be given on");
    assert_eq!(bundle.maker_holds.len(), 2);
    let again = open(&make(&stall.kits[0], &[]), &stall.kits[1]).expect("the bundle is whole");
    assert!(again.take.ops.is_empty() && again.take.heads.is_empty(), "importing twice changes nothing");
}

#[test]
fn what_the_receiver_is_known_to_have_is_left_out() {
    let stall = ahead(10);
    let known = ends(&stall.kits[1]);
    let (whole, less) = (make(&stall.kits[0], &[]), make(&stall.kits[0], &known));
    assert!(less.len() < whole.len());
    let ops = |bytes: &[u8]| open(bytes, &stall.kits[1]).expect("the bundle is whole").take.ops;
    assert_eq!(ops(&less), ops(&whole));
    // Whoever has less than that is told.
    let new = Kit::new(9, &crate::stall::organisation());
    assert!(matches!(open(&less, &new), Err(BundleError::Gap(_))));
    assert_eq!(open(&whole, &new).expect("the bundle is whole").take.ops, stall.kits[0].shelf.ops());
}

#[test]
fn a_cut_or_damaged_bundle_gives_nothing() {
    let stall = ahead(3);
    let good = make(&stall.kits[0], &[]);
    let mut dice = Dice(1);
    for cut in 0..good.len() {
        let error = open(&good[..cut], &stall.kits[1]).expect_err("a cut bundle gives nothing");
        assert_eq!(error, if cut < 16 { BundleError::NoBundle } else { BundleError::Damaged });
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << dice.below(8);
        assert!(open(&bad, &stall.kits[1]).is_err(), "a changed byte {at}");
    }
    let mut later = good.clone();
    later[16] = 2;
    assert_eq!(open(&later, &stall.kits[1]), Err(BundleError::Version(2)));
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(open(&longer, &stall.kits[1]), Err(BundleError::Damaged));
}

#[test]
fn bundles_of_others_and_of_strangers_are_refused() {
    let stall = ahead(3);
    let other = ed25519_dalek::SigningKey::from_bytes(&[98; 32]);
    let foreign = Kit::new(5, &other);
    assert_eq!(open(&make(&stall.kits[0], &[]), &foreign), Err(BundleError::Organisation));
    // A kit that nobody admitted, though it knows the organisation.
    let mut stranger = Kit::new(77, &crate::stall::organisation());
    let bundle = open(&make(&stall.kits[0], &[]), &stranger).expect("the bundle is whole");
    stranger.take(&bundle.take, true);
    let mut stall = stall;
    stall.kits.push(stranger);
    stall.write(2, 1, 2);
    stall.sign(2);
    let stranger = stall.kits[2].author.replica;
    let error = open(&make(&stall.kits[2], &[]), &stall.kits[1]);
    assert_eq!(error, Err(BundleError::Fault(Fault::Stranger(stranger))));
}

#[test]
fn own_ops_in_a_bundle_tell_a_kit_that_it_went_back() {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    stall.image(1);
    stall.write(1, 1, 3);
    heal(&mut stall, 2);
    let bytes = make(&stall.kits[0], &[]);
    assert!(open(&bytes, &stall.kits[1]).expect("the bundle is whole").own_ahead.is_empty());
    stall.put_back(0);
    let bundle = open(&bytes, &stall.kits[1]).expect("the bundle is whole");
    assert_eq!(bundle.own_ahead.len(), 1);
    assert_eq!(bundle.take.ops.len(), 4, "an opening and three ops");
    let scope = Scope::Spaces([].into());
    let narrow = Bundle::open(&bytes, &stall.kits[1].shelf, &stall.kits[1].author.replica, &scope);
    assert!(narrow.expect("the bundle is whole").take.ops.is_empty(), "the event is out of scope");
    let narrow = Bundle::of(&stall.kits[0].shelf, stall.kits[0].author.replica, &scope, &[]);
    let new = Kit::new(9, &crate::stall::organisation());
    let brought = open(&narrow, &new).expect("the bundle is whole").take;
    assert!(brought.heads.iter().all(|tip| tip.space == Space::ORGANISATION) && !brought.ops.is_empty());
}

proptest! {
    #[test]
    fn bundles_alone_bring_all_kits_together(
        writes in prop::collection::vec((0usize..3, any::<u8>(), 1usize..4, 0usize..3), 1..20),
    ) {
        let mut stall = Stall::new(3);
        let carry = |stall: &mut Stall, from: usize, to: usize| {
            stall.sign(from);
            let known = ends(&stall.kits[to]);
            let bundle = open(&make(&stall.kits[from], &known), &stall.kits[to]).expect("the bundle is whole");
            stall.kits[to].take(&bundle.take, true);
        };
        carry(&mut stall, 0, 1);
        carry(&mut stall, 0, 2);
        for (at, what, count, to) in writes {
            stall.write(at, what, count);
            if to != at {
                carry(&mut stall, at, to);
            }
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            carry(&mut stall, from, to);
        }
        let union = stall.kits[0].hashes();
        stall.check();
        stall.check_even(&union);
    }
}
