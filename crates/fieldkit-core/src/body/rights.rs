//! Bodies about rights: named units of limited goods that move between replicas, buyers and the bin.
//!
//! Promises: as `body` does — numbers and fields are frozen. Each body names its units whole, so that what it does is
//! known without looking anything up. Units are named by the op that brought them (`StockMoved`); a sale names them in
//! its lines.
//! Absent on purpose: who may do this (`decide`), and what follows from it (`pool`).

use super::{StockReason, UnitRange};
use crate::codec::record;
use crate::id::{OpId, ReplicaKey};

record! {
    /// Rights given from the author to another replica: to that incarnation, never to a kit.
    pub struct RightsGranted {
        /// The SKU, in words.
        pub sku: String,
        /// Who may use them from now on.
        pub to: ReplicaKey,
        /// Which.
        pub ranges: Vec<UnitRange>,
        /// Why.
        pub reason: String,
        /// The `RightsAsked` that this answers, where it does.
        pub answers: Option<OpId>,
    }
}

record! {
    /// Units that an order had are free again, as the next generation.
    pub struct RightsReturned {
        /// The order.
        pub order: OpId,
        /// Who may use them from now on.
        pub to: ReplicaKey,
        /// Which, as the order had them.
        pub ranges: Vec<UnitRange>,
    }
}

record! {
    /// Units that an order has beside those of its lines, because a refund of it was undone.
    pub struct RightsUsed {
        /// The order.
        pub order: OpId,
        /// Which.
        pub ranges: Vec<UnitRange>,
    }
}

record! {
    /// Units that nobody can sell any more.
    pub struct RightsWrittenOff {
        /// The SKU, in words.
        pub sku: String,
        /// Which.
        pub ranges: Vec<UnitRange>,
        /// Why.
        pub reason: StockReason,
    }
}

record! {
    /// Rights of a pool that sells on at zero, given from the author to another replica for a time.
    pub struct RightsLeased {
        /// The SKU, in words.
        pub sku: String,
        /// Who may use them.
        pub to: ReplicaKey,
        /// Which.
        pub ranges: Vec<UnitRange>,
        /// For how long from this op on, in milliseconds.
        pub term_ms: u64,
        /// The author's wall clock, milliseconds since 1970 UTC, where a second source had confirmed it.
        pub confirmed_ms: Option<u64>,
        /// Why.
        pub reason: String,
    }
}

record! {
    /// A lease is over: what its holder has of it goes to the author as the next generation.
    pub struct LeaseLapsed {
        /// The SKU, in words.
        pub sku: String,
        /// The `RightsLeased`.
        pub lease: OpId,
        /// Who had it.
        pub holder: ReplicaKey,
        /// What the holder had of it, as far as the author knew.
        pub ranges: Vec<UnitRange>,
    }
}

record! {
    /// A holder is declared lost, and what it held goes to the author as the next generation.
    pub struct HolderDeclaredLost {
        /// The SKU, in words.
        pub sku: String,
        /// Who is lost.
        pub holder: ReplicaKey,
        /// What it held, as far as the author knew.
        pub ranges: Vec<UnitRange>,
        /// What is risked, as it was shown to the person who declared it.
        pub risk: String,
    }
}
