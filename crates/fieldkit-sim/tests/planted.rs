//! Known mistakes, planted one at a time: each is found within 300 seeds, by the invariant that it breaks and not by a
//! panic.
//!
//! Promises: a checker that goes blind fails here.
//! Absent on purpose: a build without the feature `planted` has no mistakes, and nothing to find.
#![cfg(feature = "planted")]

use fieldkit_sim::{PLANTED, Plan, RULES, run};

const SEEDS: u64 = 300;
const EVENTS: u64 = 5_000;

#[test]
fn each_planted_mistake_is_found_by_the_invariant_that_it_breaks() {
    for (planted, word) in PLANTED.iter().filter(|(planted, _)| !RULES.contains(planted)) {
        let found = planted.found(SEEDS, EVENTS);
        let (seed, violation) = found.unwrap_or_else(|| panic!("{word} was not found in {SEEDS} seeds"));
        println!("{word}: {} at seed {seed}: {}", violation.invariant, violation.what);
    }
}

#[test]
fn without_any_one_rule_limited_goods_are_oversold() {
    for rule in RULES {
        let oversold = (1..=SEEDS).find_map(|seed| {
            let plan = Plan { trial: Some(*rule), ..rule.plan(seed, EVENTS) };
            let without = run(&plan).stall.oversold;
            let with = || run(&Plan { planted: None, ..plan }).stall.oversold;
            (without > 0 && without > with()).then_some((seed, without))
        });
        let (seed, units) = oversold.unwrap_or_else(|| panic!("{} oversells nothing in {SEEDS} seeds", rule.word()));
        println!("without {}: {units} units at seed {seed}, fewer with it", rule.word());
    }
}
