//! The command `sim`: runs seeds, plays one again, finds planted mistakes, and prints figures.
//!
//! Promises: the last line of standard output is JSON; exit code 1 where a promise did not hold, 2 where the question was
//! wrong. The seeds are the numbers from `--from` on.
//! Absent on purpose: more than one core.

use fieldkit_sim::{Campaign, Fault, Kinds, Outcome, PLANTED, Plan, Planted, RULES, Stall, Violation, minimised, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "Run worlds of kits, terminals and people with a seed each, and check what was promised

  sim [--seeds N] [--events M] [--from SEED] [--orders K] [--twice] [--without FAULT,…] [--planted NAME] [--dump DIR]
  sim --replay SEED [--events M] [--without FAULT,…] [--planted NAME] [--quiet] [--dump DIR]
  sim --planted all [--seeds N]      finds each planted mistake (a build with the feature `planted`)
  sim --planted rules [--seeds N]    leaves out each rule that guards limited goods (the same)
  --trial RULE: worlds with a hub in which what a rule is there for happens often, or with `rules`, that rule only
  --several: worlds of kits with a hub and limited goods in common, in place of kits with terminals (--alone)
";
/// Runs that go into making a failing seed small.
const MINIMISE_RUNS: u32 = 60;

#[derive(Default)]
struct Options {
    seeds: Option<u64>,
    events: Option<u64>,
    from: Option<u64>,
    orders: Option<u64>,
    replay: Option<u64>,
    kinds: Option<Kinds>,
    planted: Option<String>,
    trial: Option<Planted>,
    dump: Option<PathBuf>,
    twice: bool,
    quiet: bool,
    several: bool,
}

fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match name.as_str() {
            "--seeds" => options.seeds = Some(number(value()?)?),
            "--events" => options.events = Some(number(value()?)?),
            "--from" => options.from = Some(number(value()?)?),
            "--orders" => options.orders = Some(number(value()?)?),
            "--replay" => options.replay = Some(number(value()?)?),
            "--planted" => options.planted = Some(value()?),
            "--trial" => {
                let rule = Planted::from_word(&value()?).filter(|rule| RULES.contains(rule));
                (options.trial, options.several) = (Some(rule.ok_or("there is no such rule")?), true);
            }
            "--dump" => options.dump = Some(PathBuf::from(value()?)),
            "--without" => {
                let mut kinds = options.kinds.unwrap_or(Kinds::ALL);
                for word in value()?.split(',') {
                    kinds = kinds.without(Fault::from_word(word).ok_or(format!("there is no fault {word}"))?);
                }
                options.kinds = Some(kinds);
            }
            "--twice" => options.twice = true,
            "--several" => options.several = true,
            "--alone" => options.several = false,
            "--quiet" => options.quiet = true,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match read(arguments.into_iter()).and_then(|options| go(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprint!("error: {error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn go(options: &Options) -> Result<bool, String> {
    if options.planted.is_some() && !cfg!(feature = "planted") {
        return Err("nothing is planted in this build: build with --features planted".to_owned());
    }
    if options.planted.as_deref() == Some("rules") {
        return Ok(rules_off(options));
    }
    if options.planted.as_deref() == Some("all") {
        return Ok(find_planted(options));
    }
    let planted = match options.planted.as_deref() {
        None => None,
        Some(word) => Some(Planted::from_word(word).ok_or(format!("there is no mistake {word}"))?),
    };
    let events = options.events.unwrap_or(5_000);
    let plan = |seed| Plan {
        kinds: options.kinds.unwrap_or(Kinds::ALL),
        planted,
        trial: options.trial,
        orders: options.orders.unwrap_or(2),
        several: options.several,
        dumped: options.dump.is_some(),
        ..Plan::new(seed, events)
    };
    if let Some(seed) = options.replay {
        return replay(&Plan { traced: !options.quiet, ..plan(seed) }, options.dump.as_deref());
    }
    let (from, seeds) = (options.from.unwrap_or(1), options.seeds.unwrap_or(50));
    let mut campaign = Campaign::default();
    let mut changing = Vec::new();
    let begun = Instant::now();
    for seed in from..from.saturating_add(seeds) {
        let plan = plan(seed);
        let outcome = run(&plan);
        write(options.dump.as_deref(), seed, &outcome)?;
        if options.twice && run(&plan).hash != outcome.hash {
            changing.push(seed);
        }
        if let Some(violation) = outcome.violations.first() {
            eprintln!("{}: {}\n    {}", violation.invariant, violation.what, plan.line());
        }
        campaign.add(&plan, outcome);
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    // Each seed that ran twice did its events twice.
    let ran = campaign.events * if options.twice { 2 } else { 1 };
    tell(&campaign, events, ran * 60_000 / took_ms, &changing, options.twice);
    small(&campaign);
    Ok(campaign.failures.is_empty() && changing.is_empty())
}

/// Writes the files of a world into a directory of its own.
fn write(dump: Option<&Path>, seed: u64, outcome: &Outcome) -> Result<(), String> {
    let Some(dump) = dump else { return Ok(()) };
    let directory = dump.join(format!("seed-{seed}"));
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", directory.display());
    std::fs::create_dir_all(&directory).map_err(failed)?;
    for (name, text) in &outcome.files {
        std::fs::write(directory.join(name), text).map_err(failed)?;
    }
    Ok(())
}

fn list(title: &str, counts: &BTreeMap<&'static str, u64>) {
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    println!("{title}: {}", words.join(", "));
}

fn tell(campaign: &Campaign, events: u64, per_minute: u64, changing: &[u64], twice: bool) {
    let seeds = campaign.seeds.max(1);
    let tenth = |sum: u64| format!("{}.{}", sum / seeds, sum * 10 / seeds % 10);
    println!(
        "{} seeds of {events} events with faults and then healing, {} of them calm",
        campaign.seeds, campaign.calm
    );
    println!("{per_minute} events a minute on one core, runs, checks and folding in other orders together");
    println!("a seed has {} sales and {} faults on average", tenth(campaign.sales), tenth(campaign.faults_in_all()));
    list("done", &campaign.mix);
    list("faults", &campaign.faults);
    list("rare states", &campaign.rare);
    println!("rare states that were not reached: {:?}", campaign.missing());
    let stall = &campaign.stall;
    if campaign.several {
        println!(
            "limited goods: {} sold, {} of them twice where words put {} at risk; of {} attempts with the hub reachable {} were refused while a unit was unsold elsewhere; {} of {} starts without a link sold again within 5 s",
            stall.sold,
            stall.oversold,
            stall.at_risk,
            stall.attempts,
            stall.refused_unsold,
            stall.blips_in_time,
            stall.blips
        );
    }
    if twice {
        println!("each seed ran twice; seeds with two different traces: {changing:?}");
    }
    let goods = if campaign.several {
        format!(
            ",\"sold\":{},\"oversold\":{},\"unnamed\":{},\"put_at_risk_by_words\":{},\"attempts\":{},\"refused_while_unsold_elsewhere\":{},\"starts_without_a_link\":{},\"sold_within_5_s\":{}",
            stall.sold,
            stall.oversold,
            stall.unnamed,
            stall.at_risk,
            stall.attempts,
            stall.refused_unsold,
            stall.blips,
            stall.blips_in_time
        )
    } else {
        String::new()
    };
    println!(
        "{{\"seeds\":{},\"events\":{},\"events_per_minute\":{per_minute},\"sales\":{},\"faults\":{},\"violations\":{}{goods},\"rare_states_missing\":{:?}}}",
        campaign.seeds,
        campaign.events,
        campaign.sales,
        campaign.faults_in_all(),
        campaign.failures.len(),
        campaign.missing()
    );
}

/// Makes the first failing seeds small, one for each invariant.
fn small(campaign: &Campaign) {
    let mut told: Vec<&'static str> = Vec::new();
    for (plan, violations) in &campaign.failures {
        let Some(Violation { invariant, .. }) = violations.first() else { continue };
        if told.contains(invariant) {
            continue;
        }
        told.push(invariant);
        let smaller = minimised(plan, invariant, MINIMISE_RUNS);
        eprintln!("{invariant}, made smaller: {}", smaller.line());
    }
}

fn replay(plan: &Plan, dump: Option<&Path>) -> Result<bool, String> {
    let outcome = run(plan);
    write(dump, plan.seed, &outcome)?;
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("{} events, {} s, trace {:016x}", outcome.events, outcome.ended_ms / 1_000, outcome.hash);
    for violation in &outcome.violations {
        println!("{}: {}", violation.invariant, violation.what);
    }
    println!("{{\"seed\":{},\"events\":{},\"violations\":{}}}", plan.seed, outcome.events, outcome.violations.len());
    Ok(outcome.violations.is_empty())
}

/// How many units are sold more than once with each rule left out alone, and in the same worlds with it.
fn rules_off(options: &Options) -> bool {
    let (from, seeds) = (options.from.unwrap_or(1), options.seeds.unwrap_or(100));
    let mut figures = Vec::new();
    let mut all = true;
    for rule in RULES.iter().filter(|rule| options.trial.is_none_or(|only| only == **rule)) {
        let oversold = |planted: Option<Planted>| {
            let mut stall = Stall::default();
            for seed in from..from.saturating_add(seeds) {
                let new = Plan::new(seed, options.events.unwrap_or(5_000));
                stall.add(&run(&Plan { planted, trial: Some(*rule), several: true, orders: 0, ..new }).stall);
            }
            stall
        };
        let (without, with) = (oversold(Some(*rule)), oversold(None));
        println!(
            "without {}: {} of {} units sold more than once, {} that no word names; with it {} of {}, {}",
            rule.word(),
            without.oversold,
            without.sold,
            without.unnamed,
            with.oversold,
            with.sold,
            with.unnamed
        );
        all &= without.oversold > with.oversold && with.unnamed == 0;
        figures.push((rule.word(), without.oversold, with.oversold));
    }
    let words = |of: fn(&(&str, u64, u64)) -> u64| {
        figures.iter().map(|figure| format!("\"{}\":{}", figure.0, of(figure))).collect::<Vec<_>>().join(",")
    };
    let (off, on) = (words(|figure| figure.1), words(|figure| figure.2));
    println!("{{\"seeds\":{seeds},\"oversold_rules_off\":{{{off}}},\"oversold_rules_on\":{{{on}}}}}");
    all
}

fn find_planted(options: &Options) -> bool {
    let (seeds, mut found) = (options.seeds.unwrap_or(300), 0);
    let mistakes: Vec<_> = PLANTED.iter().filter(|(planted, _)| !RULES.contains(planted)).collect();
    for (planted, word) in &mistakes {
        let first = planted.found(seeds, options.events.unwrap_or(5_000));
        match first {
            Some((seed, violation)) => {
                found += 1;
                println!("{word}: {} at seed {seed}: {}", violation.invariant, violation.what);
            }
            None => println!("{word}: NOT FOUND in {seeds} seeds"),
        }
    }
    println!("{{\"planted\":{},\"planted_found\":{found}}}", mistakes.len());
    found == mistakes.len()
}
