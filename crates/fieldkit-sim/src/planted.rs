//! Mistakes that are planted to see whether the checker finds them, one at a time, by name.
//!
//! Promises: a build without the feature `planted` has none of them, whatever is asked.
//! Absent on purpose: mistakes in what does not exist yet.

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
    (Planted::LeaseAfterReboot, "lease_after_reboot"),
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

    /// Whether only kits with a hub can show it.
    pub fn needs_others(self) -> bool {
        self == Planted::LeaseAfterReboot || RULES.contains(&self)
    }

    /// Plants what belongs into the engine.
    #[cfg(feature = "planted")]
    pub fn plant(self, engine: &mut Engine) {
        use fieldkit_engine::Mistake;
        match self {
            Planted::SkipSync | Planted::IgnoreBox | Planted::SameReplica | Planted::TakeAtOnce => {}
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
