//! Bodies about who could tell that a kit went back, and about replicas that answer for each other.
//!
//! Promises: as `body` does — numbers and fields are frozen. Each start that opens limited goods writes an op with a
//! number drawn by lot, so that two copies of one kit part at once and are told apart.
//! Absent on purpose: who may write this (`decide`), and when it is asked for (`fieldkit-engine`).

use super::UnitRange;
use crate::codec::{record, words};
use crate::id::{PoolId, ReplicaKey};

words! {
    /// Why limited goods may be sold although no witness could say that this kit did not go back.
    pub enum Admission {
        /// A person typed the number of the last slip.
        0 = Slip "slip",
        /// The owner says so.
        1 = Owner "owner",
    }
}

record! {
    /// From here on these witnesses see each op about rights before it is answered.
    pub struct WatchSet {
        /// Names of the witnesses, ascending; none where nobody watches.
        pub witnesses: Vec<[u8; 16]>,
        /// Those that watched before and left without having seen this.
        pub lost: Vec<[u8; 16]>,
        /// Limited units that the author holds now: at risk, should it be put back to a time before this with one of
        /// the lost as its only witness.
        pub at_risk: u64,
        /// Drawn by lot at each start.
        pub nonce: [u8; 16],
    }
}

record! {
    /// Pools are opened after a start without their witnesses.
    pub struct HoldingAdmitted {
        /// On whose word.
        pub how: Admission,
        /// The position that the slip named, 0 where there was none.
        pub seen: u64,
        /// Which pools.
        pub pools: Vec<PoolId>,
        /// Units that the author holds of them: at risk, should the word be wrong. Of what it was given before, nothing
        /// else counts for it any more.
        pub ranges: Vec<UnitRange>,
        /// Drawn by lot at each start.
        pub nonce: [u8; 16],
    }
}

record! {
    /// The author keeps limited goods for other kits and sells none itself: all that leaves it are grants.
    pub struct KeeperVowed {
        /// What people call it.
        pub label: String,
    }
}

record! {
    /// A replica asks another for rights. A later ask of the same replica for the same goods takes its place.
    pub struct RightsAsked {
        /// The SKU, in words.
        pub sku: String,
        /// Who is asked.
        pub of: ReplicaKey,
        /// How many.
        pub quantity: u32,
    }
}

record! {
    /// All that the author, or whom it stands for, will ever use of what a lost keeper gave: what was known here of the
    /// keeper's stream. A grant of the keeper behind it is void for them.
    pub struct HolderAnswered {
        /// The keeper that is lost.
        pub holder: ReplicaKey,
        /// For whom this is said: the author, or a replica that the owner declares absent.
        pub on_behalf: ReplicaKey,
        /// The newest position of the keeper's stream at this event that is known.
        pub seen: u64,
    }
}
