//! What an exchange costs: in proportion to what is missing, whatever is common.

use crate::line::{Harm, Talk};
use crate::merge::{heal, talk};
use crate::stall::{Kit, Stall};
use fieldkit_core::author::Draft;
use fieldkit_core::body::{Body, Edit, ItemDefined};
use fieldkit_core::id::Space;
use fieldkit_sync::shelf::Shelf;
use proptest::prelude::*;

fn write(kit: &mut Kit, event: fieldkit_core::id::OpId, count: usize) {
    for number in 0..count {
        let edits = vec![Edit::Name(format!("a thing with a name {number}")), Edit::Price(number as i64)];
        let body = ItemDefined { sku: format!("SKU-{number}"), edits, import_mark: None };
        kit.write(vec![Draft::new(Space::Event(event), Body::ItemDefined(body))]);
    }
}

/// Two kits with `common` ops in common, and so many more at each.
fn differ(common: usize, more: [usize; 2]) -> Stall {
    let mut stall = Stall::new(2);
    let event = stall.events[0];
    write(&mut stall.kits[0], event, common / 2);
    heal(&mut stall, 1);
    write(&mut stall.kits[1], event, common / 2);
    heal(&mut stall, 1);
    for (kit, more) in stall.kits.iter_mut().zip(more) {
        write(kit, event, more);
        kit.sign();
    }
    // What is signed is not what is asked here: kits of this file are honest.
    stall.signed = stall.kits.iter().flat_map(|kit| kit.hashes()).collect();
    stall
}

fn cost(stall: &mut Stall) -> Talk {
    talk(stall, [0, 1], 5, &mut |_| Harm::None)
}

/// What a session may cost besides ops: greetings, and for each end told its telling, want and answer.
fn allowance(stall: &Stall) -> usize {
    let ends = stall.kits.iter().map(|kit| kit.shelf.tips().len()).sum::<usize>();
    256 + 700 * ends
}

#[test]
fn ten_missing_of_ten_thousand_cost_no_more_than_ten() {
    let mut few = differ(100, [10, 0]);
    let mut many = differ(10_000, [10, 0]);
    let (small, large) = (cost(&mut few), cost(&mut many));
    println!("10 missing: {} bytes of 100, {} bytes of 10,000, {} useful", small.bytes, large.bytes, large.useful);
    assert_eq!(many.kits[0].hashes(), many.kits[1].hashes());
    assert!(large.bytes <= large.useful + allowance(&many), "{large:?}");
    assert!(large.bytes <= small.bytes + 512, "a longer past costs a few more samples: {small:?} {large:?}");
}

#[test]
fn equal_heads_cost_one_small_frame_each_way() {
    let mut stall = differ(1000, [0, 0]);
    let talk = cost(&mut stall);
    println!("equal heads: {} frames, {} bytes", talk.frames, talk.bytes);
    assert_eq!((talk.frames, talk.takes), (2, 0));
    assert!(talk.bytes <= 200, "{talk:?}");
    assert_eq!(talk.peer_holds, 2 * stall.kits[0].shelf.tips().len(), "each side hears that all is held");
}

#[test]
fn many_missing_travel_in_batches_at_little_more_than_their_size() {
    let mut stall = differ(10, [5_000, 3_000]);
    let talk = cost(&mut stall);
    println!("8,000 missing: {} bytes for {} useful, {} frames", talk.bytes, talk.useful, talk.frames);
    assert_eq!(stall.kits[0].hashes(), stall.kits[1].hashes());
    assert!(talk.bytes * 100 <= talk.useful * 105, "{} for {}", talk.bytes, talk.useful);
    assert!(talk.frames > 10, "no batch is the whole log");
}

#[test]
fn the_parting_point_of_branches_is_found_in_one_step() {
    let mut stall = differ(4_000, [0, 0]);
    let event = stall.events[0];
    stall.image(1);
    write(&mut stall.kits[1], event, 20);
    stall.sign(1);
    heal(&mut stall, 2);
    stall.put_back(0);
    stall.kits[1].written += 1;
    write(&mut stall.kits[1], event, 7);
    stall.sign(1);
    let talk = cost(&mut stall);
    println!("branches of 20 and 7 on 4,000: {} bytes for {} useful", talk.bytes, talk.useful);
    assert_eq!(stall.kits[0].hashes(), stall.kits[1].hashes());
    assert_eq!(talk.forked.len(), 2);
    assert!(talk.bytes <= 3 * talk.useful + allowance(&stall), "{talk:?}");
}

proptest! {
    #[test]
    fn bytes_are_at_most_three_times_what_is_useful(common in 0usize..300, one in 0usize..60, two in 0usize..60) {
        let mut stall = differ(common, [one, two]);
        let talk = cost(&mut stall);
        prop_assert_eq!(stall.kits[0].hashes(), stall.kits[1].hashes());
        prop_assert!(talk.bytes <= 3 * talk.useful + allowance(&stall), "{:?}", talk);
    }
}

#[test]
fn a_sale_on_a_live_line_costs_less_than_three_times_its_op() {
    let mut stall = differ(100, [0, 0]);
    let mut harm = |_| Harm::None;
    let mut line = crate::line::Line::new(&stall, [0, 1], 3, &mut harm);
    line.writes = 400;
    let talk = line.play(&mut stall);
    println!("400 ops as they are written: {} bytes for {} useful", talk.bytes, talk.useful);
    assert!(talk.useful > 0 && talk.bytes <= 3 * talk.useful, "{} for {}", talk.bytes, talk.useful);
}
