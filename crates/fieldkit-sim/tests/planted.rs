//! Known mistakes, planted one at a time: each is found within 300 seeds, by the invariant that it breaks and not by a
//! panic.
//!
//! Promises: a checker that goes blind fails here.
//! Absent on purpose: a build without the feature `planted` has no mistakes, and nothing to find.
#![cfg(feature = "planted")]

use fieldkit_sim::{PLANTED, Plan, RULES, run};

const SEEDS: u64 = 300;

/// Each mistake and the invariants by which it may be found first.
const FOUND_BY: &[(&str, &[&str])] = &[
    ("skip_sync", &["INV-01"]),
    ("ignore_box", &["INV-24", "INV-28"]),
    ("answer_before_sync", &["INV-01"]),
    ("retry_charge", &["INV-02", "INV-03"]),
    ("forget_keys", &["INV-01"]),
    ("stale_row", &["INV-09", "INV-25"]),
    ("stale_batch", &["INV-11", "INV-13", "INV-23"]),
    ("lease_after_reboot", &["INV-16"]),
];

#[test]
fn each_planted_mistake_is_found_by_the_invariant_that_it_breaks() {
    for (planted, word) in PLANTED.iter().filter(|(planted, _)| !RULES.contains(planted)) {
        let (_, by) = FOUND_BY.iter().find(|(known, _)| known == word).expect("each mistake stands in the table");
        let found = (1..=SEEDS).find_map(|seed| {
            let several = planted.needs_others();
            let plan = Plan { planted: Some(*planted), several, ..Plan::new(seed, 5_000) };
            let violations = run(&plan).violations;
            let named = violations.into_iter().find(|violation| by.contains(&violation.invariant));
            named.map(|violation| (seed, violation))
        });
        let (seed, violation) = found.unwrap_or_else(|| panic!("{word} was not found in {SEEDS} seeds"));
        println!("{word}: {} at seed {seed}: {}", violation.invariant, violation.what);
    }
}

#[test]
fn without_any_one_rule_limited_goods_are_oversold() {
    for rule in RULES {
        let oversold = (1..=SEEDS).find_map(|seed| {
            let plan = Plan { planted: Some(*rule), several: true, orders: 0, ..Plan::new(seed, 5_000) };
            let stall = run(&plan).stall;
            (stall.oversold > 0).then_some((seed, stall.oversold))
        });
        let (seed, units) = oversold.unwrap_or_else(|| panic!("{} oversells nothing in {SEEDS} seeds", rule.word()));
        println!("without {}: {units} units at seed {seed}", rule.word());
    }
}
