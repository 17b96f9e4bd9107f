//! A world with a seed: kits with their disks, terminals and people, and everything that goes wrong with them.
//!
//! Promises: everything follows from the seed; a violation names its invariant, the seed and the line that plays it
//! again. The engine is the one that ships.
//! Two sorts of worlds: kits alone, each with a terminal, and kits with a hub and limited goods in common (`several`).
//! Absent on purpose: cards at kits with a hub, and SQLite, whose journal the tests put under kits (`storage`).

mod check;
mod disk;
mod dump;
mod faults;
mod genesis;
mod kit;
mod line;
mod log;
mod people;
mod planted;
mod printer;
mod random;
mod run;
mod several;
mod storage;
mod swarm;
mod terminal;
mod world;

pub use disk::SignedHead;
pub use log::{RARE, Violation};
pub use planted::{PLANTED, Planted, RULES};
pub use random::Random;
pub use run::{Campaign, Outcome, Plan, minimised, run, run_on};
pub use several::Stall;
pub use storage::{Copied, End, Part, Stopped, Storage, Storages};
pub use swarm::{FAULTS, Fault, Kinds, Temper};
