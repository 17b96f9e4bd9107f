//! One exchange between two replicas as a state machine: both end with the union of their ops.
//!
//! Promises: no clock, no file, no network, no thread — frames and loads arrive as arguments; only ops that their author
//! signed, and that an admitted replica wrote, are given on, causes first. Read in the order below.
//! Absent on purpose: carrying frames (QUIC, TLS, a stick), knowing who is at the other end (mutual TLS), storing and
//! folding ops (`fieldkit-engine` and its shell).

pub mod bundle;
pub mod fault;
pub mod intake;
pub mod memory;
pub mod session;
pub mod shelf;
pub mod tip;
pub mod wire;
