//! Worlds whose kits keep their journal on the storage that ships, over disks that lose power, are full, and fail.
//!
//! Promises: a seed that fails is printed with the line that plays it again; some seeds play twice and leave the same trace;
//! what must have happened is counted, and nothing of it is zero. `FIELDKIT_SEEDS` and `FIELDKIT_FROM` say which seeds
//! (`scripts/sim --sqlite`; one alone prints what happens), `FIELDKIT_DISK` names a mistake of the disk.
//! Absent on purpose: kits with a hub, whose journals are the model.

mod disk;
mod journal;
mod vfs;

use disk::{MISTAKES, PLANTED, Planted, Tally};
use fieldkit_sim::{Outcome, Plan, Violation, run_on};
use journal::{Course, Handle, Journal};
use std::cell::RefCell;
use std::rc::Rc;

/// Seeds of every test run.
const SEEDS: u64 = 100;
const EVENTS: u64 = 5_000;
/// Every so many seeds one plays twice.
const TWICE: u64 = 20;
/// Seeds within which a mistake is to be found.
const FOUND_WITHIN: u64 = 100;

/// What came of a world, of its journals and of their disks.
struct Played {
    outcome: Outcome,
    courses: Vec<(Course, Tally)>,
}

fn play(plan: &Plan, planted: Option<Planted>) -> Played {
    let seed = plan.seed;
    let home = fieldkit_tests::scratch(&format!("world-{seed}-{planted:?}"));
    let mut handles = Vec::new();
    let mut outcome = run_on(plan, &mut |kit| {
        let journal = Journal::new(&home.join(format!("kit-{kit}")), seed, kit as u64, planted);
        let handle = Handle(Rc::new(RefCell::new(journal)));
        handles.push(handle.clone());
        Some(Box::new(handle))
    });
    let mut courses = Vec::new();
    for Handle(journal) in &handles {
        let mut journal = journal.borrow_mut();
        journal.finish();
        outcome.violations.append(&mut journal.violations);
        courses.push((journal.course, journal.tally()));
    }
    std::fs::remove_dir_all(&home).expect("a scratch directory can be removed");
    Played { outcome, courses }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

fn planted() -> Option<Planted> {
    let word = std::env::var("FIELDKIT_DISK").ok()?;
    let found = PLANTED.iter().find(|(_, known)| *known == word);
    Some(found.unwrap_or_else(|| panic!("FIELDKIT_DISK: there is no mistake {word}")).0)
}

#[test]
fn worlds_on_sqlite_keep_what_was_promised() {
    let (asked, from) = (number("FIELDKIT_SEEDS"), number("FIELDKIT_FROM").unwrap_or(1));
    let (planted, seeds) = (planted(), asked.unwrap_or(SEEDS));
    let (mut sales, mut courses, mut failures) = (0, Vec::new(), Vec::new());
    for seed in from..from + seeds {
        let plan = Plan { traced: seeds == 1, ..Plan::new(seed, EVENTS) };
        let Played { outcome, courses: more } = play(&plan, planted);
        outcome.lines.iter().for_each(|line| println!("{line}"));
        if seed % TWICE == 0 {
            let again = play(&plan, planted).outcome.hash;
            assert_eq!(again, outcome.hash, "one seed, two traces: scripts/sim --sqlite 1 {seed}");
        }
        sales += outcome.sales;
        courses.extend(more);
        if let Some(Violation { invariant, what }) = outcome.violations.first() {
            println!("{invariant}: {what}\n    scripts/sim --sqlite 1 {seed}");
            failures.push(seed);
        }
    }
    let course = |of: fn(&Course) -> u64| courses.iter().map(|(course, _)| of(course)).sum::<u64>();
    let disk = |of: fn(&Tally) -> u64| courses.iter().map(|(_, tally)| of(tally)).sum::<u64>();
    let counts = [
        ("sales", sales),
        ("commits", course(|course| course.commits)),
        ("checkpoints", course(|course| course.checkpoints)),
        ("kills", course(|course| course.kills)),
        ("starts", course(|course| course.starts)),
        ("starts_cut_short", course(|course| course.starts_cut_short)),
        ("turns_that_came_through_an_end", course(|course| course.came_through)),
        ("turns_that_did_not", course(|course| course.did_not)),
        ("cuts", disk(|tally| tally.cuts)),
        ("writes_lost", disk(|tally| tally.lost)),
        ("writes_torn", disk(|tally| tally.torn)),
        ("files_reordered", disk(|tally| tally.reordered)),
        ("eio_on_write", disk(|tally| tally.eio_on_write)),
        ("eio_on_sync", disk(|tally| tally.eio_on_sync)),
        ("enospc", disk(|tally| tally.enospc)),
        ("saved_by_ballast", course(|course| course.saved_by_ballast)),
    ];
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("\"{word}\":{count}")).collect();
    println!("{{\"seeds\":{seeds},{},\"violations\":{}}}", words.join(","), failures.len());
    assert!(failures.is_empty(), "seeds {failures:?}");
    // Few seeds need not see everything.
    let missing: Vec<&str> = counts.iter().filter(|(_, count)| *count == 0).map(|(word, _)| *word).collect();
    assert!(asked.is_some() || missing.is_empty(), "{missing:?} never happened");
}

#[test]
fn mistakes_of_the_disk_are_found_by_inv_29() {
    for planted in MISTAKES {
        let found = (1..=FOUND_WITHIN).find_map(|seed| {
            let violations = play(&Plan::new(seed, EVENTS), Some(*planted)).outcome.violations;
            let named = violations.into_iter().find(|violation| violation.invariant == "INV-29");
            named.map(|violation| (seed, violation.what))
        });
        let (seed, what) = found.unwrap_or_else(|| panic!("{planted:?} was not found in {FOUND_WITHIN} seeds"));
        println!("{planted:?}: seed {seed}: {what}");
    }
}
