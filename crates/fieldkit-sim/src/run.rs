//! Running seeds: a phase with faults, a phase of healing, a check; campaigns; and making a failing seed small.
//!
//! Promises: a run that panics is a violation like any other, with its seed; the same plan has the same hash.
//! Absent on purpose: clocks and files (`main`).

use crate::check;
use crate::dump;
use crate::log::{RARE, RARE_SEVERAL, Violation};
use crate::planted::Planted;
use crate::several::Stall;
use crate::storage::Storages;
use crate::swarm::{FAULTS, Kinds, Swarm, Temper};
use crate::world::World;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How long healing may take.
const HEAL_MS: u64 = 2 * 3_600_000;
/// How many times the events with faults healing may take at most.
const HEAL_EVENTS: u64 = 4;
/// A day of the world: a run with few events ends with it.
const DAY_MS: u64 = 30 * 24 * 3_600_000;
/// How long everybody must rest before all is said to be still.
const STILL_MS: u64 = 15_000;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Events with faults; healing comes on top.
    pub events: u64,
    /// Kinds of faults that are let in.
    pub kinds: Kinds,
    /// A mistake to plant.
    pub planted: Option<Planted>,
    /// The rule that is on trial: its faults happen, often, and no others.
    pub trial: Option<Planted>,
    /// Random orders in which everything is folded again.
    pub orders: u64,
    /// Whether the trace is kept in words.
    pub traced: bool,
    /// Whether the kits have a hub and limited goods in common.
    pub several: bool,
    /// Whether the world is given out as files.
    pub dumped: bool,
}

impl Plan {
    /// Of a seed, with everything.
    pub fn new(seed: u64, events: u64) -> Self {
        Plan {
            seed,
            events,
            kinds: Kinds::ALL,
            planted: None,
            trial: None,
            orders: 2,
            traced: false,
            several: false,
            dumped: false,
        }
    }

    /// The line that plays it again.
    pub fn line(&self) -> String {
        let mut line = format!("scripts/sim --replay {} --events {}", self.seed, self.events);
        if self.several {
            line.push_str(" --several");
        }
        if let Some(rule) = self.trial {
            line.push_str(&format!(" --trial {}", rule.word()));
        }
        let left_out = self.kinds.left_out();
        if !left_out.is_empty() {
            line.push_str(&format!(" --without {}", left_out.join(",")));
        }
        if let Some(planted) = self.planted {
            line.push_str(&format!(" --planted {}", planted.word()));
        }
        line
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong.
    pub violations: Vec<Violation>,
    /// The trace in one number.
    pub hash: u64,
    /// Events, those of healing included.
    pub events: u64,
    /// Sales.
    pub sales: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare states.
    pub rare: BTreeMap<&'static str, u64>,
    /// The mix.
    pub mix: BTreeMap<&'static str, u64>,
    /// The trace in words.
    pub lines: Vec<String>,
    /// Virtual time.
    pub ended_ms: u64,
    /// What came of limited goods.
    pub stall: Stall,
    /// The world as files, by name, where they are wanted.
    pub files: BTreeMap<String, String>,
}

/// Runs a plan.
pub fn run(plan: &Plan) -> Outcome {
    run_on(plan, &mut |_| None)
}

/// Runs a plan with kits whose journals are kept by storages of another make.
pub fn run_on(plan: &Plan, storages: Storages<'_>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| run_through(plan, storages))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let what = format!("it panicked: {}", text.unwrap_or_default());
            Outcome { violations: vec![Violation { invariant: "PANIC", what }], ..Outcome::default() }
        }
    }
}

fn run_through(plan: &Plan, storages: Storages<'_>) -> Outcome {
    let swarm = if plan.several { Swarm::several } else { Swarm::drawn };
    let mut swarm = swarm(plan.seed, plan.kinds);
    swarm.try_rule(plan.trial.map_or(&[], Planted::trial));
    let mut world = World::new(plan.seed, swarm, plan.planted, plan.traced, storages);
    while world.log.events < plan.events + world.leases.lull_events && world.step(DAY_MS) {}
    world.heal();
    let end_ms = world.now_ms + HEAL_MS;
    let mut rested_ms = None;
    while world.step(end_ms) {
        let since_ms = match (world.everybody_rests() && world.all_is_even(), rested_ms) {
            (false, _) => None,
            (true, known) => Some(known.unwrap_or(world.now_ms)),
        };
        rested_ms = since_ms;
        let begun = plan.events.saturating_add(world.leases.lull_events);
        let endless = world.log.events > begun.saturating_mul(HEAL_EVENTS);
        if endless || since_ms.is_some_and(|since_ms| world.now_ms > since_ms + STILL_MS) {
            break;
        }
    }
    let violations = check::check(&mut world, plan.seed, plan.orders);
    rare_at_the_end(&mut world);
    let files = if plan.dumped { dump::files(&world) } else { BTreeMap::new() };
    let sales = ["sales_cash", "sales_card", "sales_own_reader"];
    Outcome {
        violations,
        hash: world.log.hash,
        events: world.log.events,
        sales: sales.iter().filter_map(|word| world.log.mix.get(word)).sum(),
        faults: world.log.faults,
        rare: world.log.rare,
        mix: world.log.mix,
        lines: world.log.lines.unwrap_or_default(),
        ended_ms: world.now_ms,
        stall: world.stall,
        files,
    }
}

/// Rare states that are seen in what the kits hold in the end.
fn rare_at_the_end(world: &mut World) {
    use fieldkit_core::body::{Body, CancelledBy, PaymentStep};
    let mut reached: Vec<&'static str> = Vec::new();
    for op in world.kits.iter().flat_map(|kit| &kit.journal.ops) {
        match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::PaymentMoved(body)) => reached.extend(match body.step {
                PaymentStep::Unknown(_) => Some("payment_unknown"),
                PaymentStep::AtRisk(_) => Some("at_risk"),
                PaymentStep::Declined(_) => Some("declined"),
                PaymentStep::NotCharged(_) => Some("not_charged"),
                PaymentStep::Mismatched(_) => Some("mismatched"),
                PaymentStep::Reversed(_) => Some("reversed"),
                PaymentStep::ReversalUnknown(_) => Some("reversal_unknown"),
                PaymentStep::Cancelled(CancelledBy::Kit) => Some("cancelled_by_kit"),
                _ => None,
            }),
            Ok(Body::ForeignPaymentFound(_)) => reached.push("foreign_found"),
            _ => {}
        }
    }
    for kit in &world.kits {
        let Some(engine) = &kit.engine else { continue };
        let orders = kit.state.orders.values().chain(engine.ledger().orders.values());
        for order in orders {
            let void = order.standing_refunds().any(|back| back.body.kind == fieldkit_core::body::RefundKind::Void);
            if void && order.paid().is_some_and(|paid| paid.payments().next().is_some()) {
                reached.push("voided_card");
            }
            for payment in &order.payments {
                let steps = || payment.moves.iter().map(|step| &step.step);
                let doubt = steps().position(|step| matches!(step, PaymentStep::Unknown(_)));
                let taken = steps().rposition(|step| matches!(step, PaymentStep::Captured(_)));
                if doubt.zip(taken).is_some_and(|(doubt, taken)| doubt < taken) {
                    reached.push("captured_after_doubt");
                }
            }
        }
    }
    for put_back in world.log.put_back.iter().filter(|put_back| !put_back.destroyed.is_empty()) {
        if !world.log.told.iter().any(|told| told.kit == put_back.kit) {
            reached.push("roll_back_unnoticed");
        }
    }
    if world.kits.len() > 1 {
        reached.push("kits_merged");
    }
    for what in reached {
        world.log.reached(what);
    }
}

/// Sums over many seeds.
#[derive(Debug, Default)]
pub struct Campaign {
    /// Seeds.
    pub seeds: u64,
    /// Calm ones among them.
    pub calm: u64,
    /// Events.
    pub events: u64,
    /// Sales.
    pub sales: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare states.
    pub rare: BTreeMap<&'static str, u64>,
    /// The mix.
    pub mix: BTreeMap<&'static str, u64>,
    /// What came of limited goods.
    pub stall: Stall,
    /// Whether the worlds are kits with a hub.
    pub several: bool,
    /// Failing plans with what is wrong.
    pub failures: Vec<(Plan, Vec<Violation>)>,
}

impl Campaign {
    /// Adds what came of a plan.
    pub fn add(&mut self, plan: &Plan, outcome: Outcome) {
        self.seeds += 1;
        self.several = plan.several;
        self.calm += u64::from(Swarm::drawn(plan.seed, plan.kinds).temper == Temper::Calm);
        self.events += outcome.events;
        self.sales += outcome.sales;
        self.stall.add(&outcome.stall);
        let lists = [(&mut self.faults, outcome.faults), (&mut self.rare, outcome.rare), (&mut self.mix, outcome.mix)];
        for (sums, new) in lists {
            for (word, count) in new {
                *sums.entry(word).or_default() += count;
            }
        }
        if !outcome.violations.is_empty() {
            self.failures.push((*plan, outcome.violations));
        }
    }

    /// Faults in all.
    pub fn faults_in_all(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Rare states that were not reached.
    pub fn missing(&self) -> Vec<&'static str> {
        let list = if self.several { RARE_SEVERAL } else { RARE };
        list.iter().filter(|word| !self.rare.contains_key(*word)).copied().collect()
    }
}

/// The same failure with fewer kinds of faults and fewer events, as far as so many runs go.
pub fn minimised(plan: &Plan, invariant: &str, runs_max: u32) -> Plan {
    let mut runs = 0;
    let mut fails = |plan: &Plan| {
        runs += 1;
        runs <= runs_max && run(plan).violations.iter().any(|violation| violation.invariant == invariant)
    };
    let mut best = *plan;
    for (fault, _) in FAULTS {
        let fewer = Plan { kinds: best.kinds.without(*fault), ..best };
        if fails(&fewer) {
            best = fewer;
        }
    }
    let (mut low, mut high) = (0, best.events);
    while high - low > 8 {
        let shorter = Plan { events: low + (high - low) / 2, ..best };
        if fails(&shorter) {
            (best, high) = (shorter, shorter.events);
        } else {
            low = shorter.events;
        }
    }
    best
}
