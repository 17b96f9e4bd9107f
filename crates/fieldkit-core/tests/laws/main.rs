//! The laws of the core, each tried on many made-up cases.
//!
//! Promises: 256 cases a law, `PROPTEST_CASES` for more; a failing case is shrunk, printed and kept as a seed.
//! Absent on purpose: files, time and threads — as in the crate itself.

mod apply;
mod arbitrary;
mod audit;
mod cards;
mod codec;
mod decide;
mod drawer;
mod forks;
mod intervals;
mod leases;
mod merge;
mod model;
mod money;
mod payments;
mod proof;
mod rights;
mod terminal;
mod words;
mod world;
