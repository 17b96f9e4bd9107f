//! Known mistakes that a simulation plants, to see whether its checker finds them.
//!
//! Promises: without the feature `planted` there are none, and asking for one is the constant `false`.
//! Absent on purpose: any other use.

use fieldkit_core::ledger::Ledger;

/// A mistake.
#[cfg_attr(not(feature = "planted"), expect(dead_code, reason = "only a build with the feature plants them"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Answers leave when they are decided, and not when they are durable.
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
    /// All that guards limited goods but escrow itself is left out.
    PlainEscrow,
    /// After a start leases are used although nobody knows when they began.
    LeaseAfterReboot,
}

/// What is planted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted")]
    mistake: Option<Mistake>,
    /// The state before the batch.
    #[cfg(feature = "planted")]
    before: Option<Box<Ledger>>,
}

impl Planted {
    /// Of a mistake.
    #[cfg(feature = "planted")]
    pub fn of(mistake: Mistake) -> Self {
        Planted { mistake: Some(mistake), before: None }
    }

    /// Whether it is planted.
    #[cfg(feature = "planted")]
    pub fn is(&self, mistake: Mistake) -> bool {
        let guards = [Mistake::OpenGate, Mistake::DeafToWitnesses, Mistake::GrantAtOnce];
        self.mistake == Some(mistake) || (self.mistake == Some(Mistake::PlainEscrow) && guards.contains(&mistake))
    }

    /// Whether it is planted: never in this build.
    #[cfg(not(feature = "planted"))]
    pub fn is(&self, _mistake: Mistake) -> bool {
        false
    }

    /// The state to decide on: the one that there is.
    #[cfg(not(feature = "planted"))]
    pub fn or_before<'a>(&self, ledger: &'a Ledger) -> &'a Ledger {
        ledger
    }

    /// The state to decide on: the one that there is, or the one before the batch.
    #[cfg(feature = "planted")]
    pub fn or_before<'a>(&'a self, ledger: &'a Ledger) -> &'a Ledger {
        self.before.as_deref().unwrap_or(ledger)
    }

    /// A batch ends.
    #[cfg(not(feature = "planted"))]
    pub fn end_of_batch(&mut self, _ledger: &Ledger) {}

    /// A batch ends; the next begins with this state.
    #[cfg(feature = "planted")]
    pub fn end_of_batch(&mut self, ledger: &Ledger) {
        if self.is(Mistake::StaleBatch) {
            self.before = Some(Box::new(ledger.clone()));
        }
    }
}
