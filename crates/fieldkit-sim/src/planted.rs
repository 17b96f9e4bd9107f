//! Mistakes that are planted to see whether the checker finds them, one at a time, by name.
//!
//! Promises: a build without the feature `planted` has none of them, whatever is asked.
//! Absent on purpose: mistakes in what does not exist yet.

use crate::log::Violation;
use crate::run::{Plan, run};
use crate::swarm::Fault;
use fieldkit_engine::Engine;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The storage says that a turn is durable before it is.
    SkipSync,
    /// At a start, what the box has more than the journal is left where it is.
    IgnoreBox,
    /// The engine answers when it has decided, and not when that is durable.
    AnswerBeforeSync,
    /// A charge whose outcome is open is asked for once more.
    RetryCharge,
    /// Keys of commands are not remembered.
    ForgetKeys,
    /// Orders are let go of before the rows hold what they have become.
    StaleRow,
    /// Commands of one batch are decided on the state before it.
    StaleBatch,
    /// After a start limited goods are sold at once.
    OpenGate,
    /// Answers do not wait for the witnesses on duty.
    DeafToWitnesses,
    /// A keeper's grant leaves before anybody else holds it.
    GrantAtOnce,
    /// A kit that went back goes on as the same replica, whoever says so.
    SameReplica,
    /// What a lost keeper held is taken over before anybody answered.
    TakeAtOnce,
    /// Escrow alone: all of these.
    PlainEscrow,
    /// An exchange takes an op as known where its position is, whatever its hash.
    DedupeBySeq,
    /// What is stored of the other branches of a stream is overwritten by what came last.
    ForkOverwritten,
    /// Of two branches of a forked stream only the one with the later stamp is counted.
    WinnerByClock,
    /// Keys of commands are remembered where they were answered, and not with ops that come from others.
    KeyNotReplicated,
    /// A holder's word about a lost keeper counts by who gave it, and not by when.
    EarlyReport,
    /// A grant counts for the kit, whichever of its replicas was granted it.
    GrantToKit,
    /// Units that come back are free where they were taken back, and once more where they had been.
    ReturnTwice,
    /// What another branch did with units is applied to the running pool, in place of folding all ops anew.
    StepByStep,
    /// The slip of a sale leaves the printer when it is decided, and not when it is durable.
    PrintBeforeSync,
    /// After a start leases are used although nobody knows when they began.
    LeaseAfterReboot,
}

/// Rules that guard limited goods, each of which can be left out.
pub const RULES: &[Planted] = &[
    Planted::PlainEscrow,
    Planted::OpenGate,
    Planted::DeafToWitnesses,
    Planted::SameReplica,
    Planted::TakeAtOnce,
    Planted::GrantAtOnce,
];

/// All of them with their words.
pub const PLANTED: &[(Planted, &str)] = &[
    (Planted::SkipSync, "skip_sync"),
    (Planted::IgnoreBox, "ignore_box"),
    (Planted::AnswerBeforeSync, "answer_before_sync"),
    (Planted::RetryCharge, "retry_charge"),
    (Planted::ForgetKeys, "forget_keys"),
    (Planted::StaleRow, "stale_row"),
    (Planted::StaleBatch, "stale_batch"),
    (Planted::OpenGate, "open_gate"),
    (Planted::DeafToWitnesses, "deaf_to_witnesses"),
    (Planted::GrantAtOnce, "grant_at_once"),
    (Planted::SameReplica, "same_replica"),
    (Planted::TakeAtOnce, "take_at_once"),
    (Planted::PlainEscrow, "plain_escrow"),
    (Planted::DedupeBySeq, "dedupe_by_seq"),
    (Planted::ForkOverwritten, "fork_overwritten"),
    (Planted::WinnerByClock, "winner_by_clock"),
    (Planted::KeyNotReplicated, "key_not_replicated"),
    (Planted::EarlyReport, "early_report"),
    (Planted::GrantToKit, "grant_to_kit"),
    (Planted::ReturnTwice, "return_twice"),
    (Planted::StepByStep, "step_by_step"),
    (Planted::PrintBeforeSync, "print_before_sync"),
    (Planted::LeaseAfterReboot, "lease_after_reboot"),
];

/// Those that kits alone never show: they take a hub, other kits, and roll-backs that somebody else notices.
const AMONG_SEVERAL: &[Planted] = &[
    Planted::DedupeBySeq,
    Planted::ForkOverwritten,
    Planted::WinnerByClock,
    Planted::KeyNotReplicated,
    Planted::EarlyReport,
    Planted::GrantToKit,
    Planted::StepByStep,
    Planted::LeaseAfterReboot,
];

impl Planted {
    /// Of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        PLANTED.iter().find(|(_, known)| *known == word).map(|(planted, _)| *planted)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        PLANTED.iter().find(|(planted, _)| *planted == self).map_or("", |(_, word)| word)
    }

    /// Whether it shows among kits with a hub only.
    pub fn is_among_several(self) -> bool {
        RULES.contains(&self) || AMONG_SEVERAL.contains(&self)
    }

    /// The invariants that it breaks: by one of them it is to be found. None for rules, which show in units that are sold
    /// more than once.
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Planted::SkipSync | Planted::AnswerBeforeSync | Planted::ForgetKeys | Planted::KeyNotReplicated => {
                &["INV-01"]
            }
            Planted::IgnoreBox => &["INV-24", "INV-28"],
            Planted::RetryCharge => &["INV-02", "INV-03"],
            Planted::StaleRow => &["INV-09", "INV-25"],
            Planted::StaleBatch => &["INV-11", "INV-13", "INV-23"],
            Planted::OpenGate | Planted::DeafToWitnesses | Planted::GrantAtOnce => &[],
            Planted::SameReplica | Planted::TakeAtOnce | Planted::PlainEscrow => &[],
            Planted::GrantToKit => &["INV-13"],
            Planted::DedupeBySeq | Planted::ForkOverwritten | Planted::WinnerByClock => &["INV-24"],
            Planted::EarlyReport => &["INV-13", "INV-16"],
            Planted::LeaseAfterReboot => &["INV-16"],
            Planted::ReturnTwice => &["INV-15"],
            Planted::StepByStep => &["INV-24", "INV-25"],
            Planted::PrintBeforeSync => &["INV-12"],
        }
    }

    /// The plan of a seed in which it is looked for. Other orders of the same ops would show none of them.
    #[must_use]
    pub fn plan(self, seed: u64, events: u64) -> Plan {
        Plan { planted: Some(self), several: self.is_among_several(), orders: 0, ..Plan::new(seed, events) }
    }

    /// The first of so many seeds in which an invariant that it breaks finds it, and what that one says.
    pub fn found(self, seeds: u64, events: u64) -> Option<(u64, Violation)> {
        (1..=seeds).find_map(|seed| {
            let violations = run(&self.plan(seed, events)).violations;
            let named = violations.into_iter().find(|violation| self.breaks().contains(&violation.invariant));
            named.map(|violation| (seed, violation))
        })
    }

    /// What a rule is there for: the faults among which leaving it out shows, and how often each is. Where none are
    /// named, worlds are as their seeds have them.
    pub fn trial(self) -> &'static [(Fault, u64)] {
        match self {
            Planted::DeafToWitnesses => &[(Fault::DiskForgets, 3), (Fault::PageSleeps, 3), (Fault::CutLink, 1)],
            Planted::TakeAtOnce => &[(Fault::RestoreHub, 2), (Fault::CutLink, 3)],
            Planted::GrantAtOnce => &[(Fault::HubForgets, 1)],
            _ => &[],
        }
    }

    /// Plants what belongs into the engine.
    #[cfg(feature = "planted")]
    pub fn plant(self, engine: &mut Engine) {
        use fieldkit_engine::Mistake;
        match self {
            Planted::SkipSync | Planted::IgnoreBox | Planted::SameReplica => {}
            Planted::TakeAtOnce => engine.plant(Mistake::TakeAtOnce),
            Planted::DedupeBySeq | Planted::ForkOverwritten | Planted::PrintBeforeSync => {}
            Planted::WinnerByClock => engine.plant(Mistake::WinnerByClock),
            Planted::KeyNotReplicated => engine.plant(Mistake::KeyNotReplicated),
            Planted::EarlyReport => engine.plant(Mistake::EarlyReport),
            Planted::GrantToKit => engine.plant(Mistake::GrantToKit),
            Planted::ReturnTwice => engine.plant(Mistake::ReturnTwice),
            Planted::StepByStep => engine.plant(Mistake::StepByStep),
            Planted::OpenGate => engine.plant(Mistake::OpenGate),
            Planted::DeafToWitnesses => engine.plant(Mistake::DeafToWitnesses),
            Planted::GrantAtOnce => engine.plant(Mistake::GrantAtOnce),
            Planted::PlainEscrow => engine.plant(Mistake::PlainEscrow),
            Planted::LeaseAfterReboot => engine.plant(Mistake::LeaseAfterReboot),
            Planted::AnswerBeforeSync => engine.plant(Mistake::AnswerBeforeSync),
            Planted::RetryCharge => engine.plant(Mistake::RetryCharge),
            Planted::ForgetKeys => engine.plant(Mistake::ForgetKeys),
            Planted::StaleRow => engine.plant(Mistake::StaleRow),
            Planted::StaleBatch => engine.plant(Mistake::StaleBatch),
        }
    }

    /// Nothing is planted in this build.
    #[cfg(not(feature = "planted"))]
    pub fn plant(self, _engine: &mut Engine) {}
}
