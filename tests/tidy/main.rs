//! Does the house stand: arrows, bans, sizes, root listing, licences, words.
//!
//! Promises: each check reads text and names path, line and reason; each has a test that a planted fault is found.
//! Absent on purpose: formatting and lints, which are rustfmt's and clippy's.

mod arrows;
mod bans;
mod licences;
mod root;
mod sizes;
mod source;
mod words;

/// Fails with every fault on a line of its own.
#[track_caller]
fn expect_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Fails unless the planted fault, and it alone, is found and told with `part`.
#[track_caller]
fn expect_one(faults: Vec<String>, part: &str) {
    assert_eq!(faults.len(), 1, "one planted fault: {faults:?}");
    assert!(faults[0].contains(part), "{:?} does not say {part:?}", faults[0]);
}
