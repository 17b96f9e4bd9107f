//! Journal, black box, segments, state, views and people on a local disk.
//!
//! Promises: what `Store::commit` returned for survives a power cut; the journal is the truth and the black box its
//! second copy; everything else here can be deleted and comes back. Read in the order below.
//! Absent on purpose: rules of the shop (`fieldkit-core`), turns and effects (`fieldkit-engine`), the network.

pub mod error;
pub mod failpoint;
mod place;
mod sqlite;
mod journal;
mod black_box;
mod keeper;
mod start;
pub mod store;
mod segment;
pub mod verify;
pub mod state;
pub mod views;
pub mod people;
pub mod space;

pub use error::{Retry, StoreError};
pub use place::{BlackBoxPlace, Options};
pub use store::{Batch, BoxState, Commit, Copies, Maintenance, SignedHead, StartReport, Store};

#[cfg(test)]
extern crate self as fieldkit_sqlite;
#[cfg(test)]
#[path = "../tests/support/pen.rs"]
mod testing;
