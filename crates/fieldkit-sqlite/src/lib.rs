//! Journal, black box, segments, state, views and people on a local disk.
//!
//! Promises: what `Store::commit` returned for survives a power cut; the journal is the truth and the black box its
//! second copy; everything else here can be deleted and comes back. Read in the order below.
//! Absent on purpose: rules of the shop (`fieldkit-core`), turns and effects (`fieldkit-engine`), the network.

mod black_box;
mod box_place;
mod branches;
pub mod error;
pub mod failpoint;
mod journal;
mod keeper;
pub mod people;
mod place;
mod segment;
pub mod space;
mod sqlite;
mod start;
pub mod state;
pub mod store;
pub mod verify;
pub mod views;

pub use box_place::BoxAbsence;
pub use branches::{Placed, Position};
pub use error::{Retry, StoreError};
pub use place::{BLACK_BOX, BlackBoxPlace, Options};
pub use store::{Batch, BoxState, Commit, Copies, Maintenance, SignedHead, StartReport, Store};

#[cfg(test)]
extern crate self as fieldkit_sqlite;
#[cfg(test)]
#[path = "../tests/support/pen.rs"]
mod testing;
