//! The rules of the shop: ids, money, ops, decide, apply, merge.
//!
//! Promises: no clock, no file, no network, no randomness — they arrive as arguments; equal inputs give equal bytes on
//! every machine. Read in the order below.
//! Absent on purpose: storage (`fieldkit-sqlite`), turns and effects (`fieldkit-engine`), pages (`fieldkit-http`).

pub mod codec;
pub mod id;
pub mod money;
pub mod stamp;
pub mod op;
pub mod body;
pub mod lattice;
pub mod order;
pub mod event;
pub mod ledger;
pub mod snapshot;
pub mod author;
pub mod decide;
pub mod refusal;
pub mod receipt;
pub mod shopify;
pub mod chain;
