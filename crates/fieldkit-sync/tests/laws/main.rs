//! The laws of the exchange, each tried on many made-up cases.
//!
//! Promises: 256 cases a law, `PROPTEST_CASES` for more; a failing case is shrunk, printed and kept as a seed.
//! Absent on purpose: files, time and threads — as in the crate itself.

mod bundle;
mod cost;
mod lacking;
mod line;
mod merge;
mod refuse;
mod stall;
mod web;
