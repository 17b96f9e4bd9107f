//! Drivers against simulated terminals, with a desk that keeps a journal, and everything that can break in between.
//!
//! Promises: the world is one thread and virtual time; a run is a function of its plan. After each run the desk's journal
//! and the terminal's own agree payment by payment: none lost, none doubled, none left open.
//! Absent on purpose: ports, files, clocks — as in the crate itself.

mod cuts;
mod desk;
mod faults;
mod telium;
mod world;
