//! The rules of the shop: ids, money, ops, decide, apply, merge.
//!
//! Promises: no clock, no file, no network, no randomness — they arrive as arguments; equal inputs give equal bytes on
//! every machine. Read in the order below.
//! Absent on purpose: storage (`fieldkit-sqlite`), turns and effects (`fieldkit-engine`), pages (`fieldkit-http`).

pub mod author;
pub mod body;
pub mod card_number;
pub mod chain;
pub mod codec;
pub mod decide;
pub mod device;
pub mod event;
pub mod fork;
pub mod id;
pub mod lattice;
pub mod lease;
pub mod ledger;
pub mod listing;
pub mod matching;
pub mod money;
pub mod op;
pub mod order;
pub mod payment;
pub mod pool;
pub mod proof;
pub mod receipt;
pub mod refusal;
pub mod rights;
pub mod shopify;
pub mod snapshot;
pub mod stamp;
pub mod witness;
