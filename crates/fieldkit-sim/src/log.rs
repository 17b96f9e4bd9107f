//! What stands outside of every kit: what was asked and answered, what was injected, what was reached, and the trace.
//!
//! Promises: nothing here is read by a kit; the trace's hash covers the time, the number and the content of each event.
//! Absent on purpose: verdicts (`check`).

use crate::random::mix;
use crate::swarm::Fault;
use fieldkit_core::body::RollbackNoticed;
use fieldkit_core::id::{Hash, OpId};
use fieldkit_core::op::{CommandKey, Key, SealedOp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An order, in which state, with what total.
    Order(OpId, &'static str, i64),
    /// No, with its code.
    Refused(String),
    /// It is done.
    Done,
}

/// A command that somebody gave.
#[derive(Clone, Debug)]
pub struct Given {
    /// At which kit.
    pub kit: usize,
    /// Its key and content.
    pub key: CommandKey,
    /// What was answered, each time that the answer arrived, and whether two devices had it then.
    pub answers: Vec<(Said, bool)>,
}

/// A slip that left a kit's printer.
#[derive(Clone, Debug)]
pub struct Slip {
    /// The kit.
    pub kit: usize,
    /// The op that its number is of: series and position.
    pub op: OpId,
    /// The receipt number on it.
    pub receipt: u64,
}

/// A disk that was put back.
#[derive(Clone, Debug)]
pub struct PutBack {
    /// Whose.
    pub kit: usize,
    /// Ops of which no copy was left.
    pub destroyed: Vec<Arc<SealedOp>>,
    /// What the key file that was there had to say.
    pub noticed: Option<RollbackNoticed>,
    /// Entries of the terminal's journal when the image was taken.
    pub entries: usize,
    /// When it was put back, in seconds since 1970.
    pub at_s: u64,
    /// Whether the box went back, too.
    pub both: bool,
}

/// What told a kit that it went back.
#[derive(Clone, Debug)]
pub struct Told {
    /// The kit.
    pub kit: usize,
    /// What was seen, and by whom.
    pub noticed: RollbackNoticed,
}

/// The log.
#[derive(Debug, Default)]
pub struct Log {
    /// Commands by their keys.
    pub given: BTreeMap<Key, Given>,
    /// Slips in buyers' hands, by what their QR proves.
    pub slips: BTreeMap<Hash, Slip>,
    /// Disks put back.
    pub put_back: Vec<PutBack>,
    /// What pages and journals told.
    pub told: Vec<Told>,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// States that are seldom reached, with how often they were.
    pub rare: BTreeMap<&'static str, u64>,
    /// What was sold, given back, and so on.
    pub mix: BTreeMap<&'static str, u64>,
    /// What a checker inside the run found: an invariant and what is wrong.
    pub violations: Vec<Violation>,
    /// Events so far.
    pub events: u64,
    /// The trace in one number.
    pub hash: u64,
    /// The trace in words, where it is wanted.
    pub lines: Option<Vec<String>>,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
}

impl Log {
    /// Something was injected.
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.word()).or_default() += 1;
        self.add(fault as u64 + 1_000);
    }

    /// A rare state was reached.
    pub fn reached(&mut self, what: &'static str) {
        *self.rare.entry(what).or_default() += 1;
    }

    /// Something was done.
    pub fn did(&mut self, what: &'static str) {
        *self.mix.entry(what).or_default() += 1;
    }

    /// Something is wrong.
    pub fn wrong(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// A number for the hash of the trace.
    pub fn add(&mut self, number: u64) {
        self.hash = mix(self.hash.rotate_left(7) ^ number);
    }

    /// Bytes for the hash of the trace.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    /// A line for people, made only where somebody reads it.
    pub fn line(&mut self, now_ms: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10}.{:03} s  {}", now_ms / 1_000, now_ms % 1_000, text()));
        }
    }
}

/// States that are seldom reached and that exist today; a campaign that misses one says so.
pub const RARE: &[&str] = &[
    "answer_repeated",
    "at_risk",
    "box_adopted",
    "box_behind",
    "box_refilled",
    "cancelled_by_kit",
    "cancelled_order",
    "captured_after_doubt",
    "clock_behind_floor",
    "closed_as_charged",
    "closed_as_not_charged",
    "declined",
    "died_of_full_disk",
    "died_of_sync",
    "drawer_variance",
    "foreign_found",
    "foreign_settled",
    "journal_lost_tail",
    "key_reused_refused",
    "key_went_back",
    "kits_merged",
    "lost_turn_was_repeated",
    "mismatched",
    "not_charged",
    "only_copy_destroyed",
    "payment_unknown",
    "reversal_unknown",
    "reversed",
    "roll_back_noticed",
    "roll_back_unnoticed",
    "sold_out",
    "state_from_snapshot",
    "state_folded_anew",
    "succession_completed",
    "terminal_restarted_open",
    "two_turns_on_their_way",
    "undone_refund",
    "voided_card",
];

/// The same for kits that have a hub.
pub const RARE_SEVERAL: &[&str] = &[
    "absent_declared",
    "absent_holder_declared",
    "admission_by_slip",
    "answer_repeated",
    "box_adopted",
    "box_behind",
    "epoch_answered",
    "folded_with_branches",
    "fork_seen",
    "hub_restored",
    "journal_lost_tail",
    "lease_contradicted",
    "lease_woken",
    "only_copy_destroyed",
    "roll_back_noticed",
    "roll_back_unnoticed",
    "slip_disagreed",
    "sold_out",
    "told_by_a_peer",
    "two_turns_on_their_way",
    "witness_disagreed",
];
