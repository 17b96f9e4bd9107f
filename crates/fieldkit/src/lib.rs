//! `fieldkit`: config, wiring, the loop, the command line — as a library, so that the bench and tests run the same.
//!
//! Promises: every failure ends with its chain of causes and a next step.
//! Absent on purpose: rules, formats, protocols; they live in the crates named after them.

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod devices;
pub mod identity;
pub mod kit;
pub mod say;

mod demo;
mod joining;
mod known;
mod people;
mod pictures;
mod projector;
mod serve;
mod shelf;
mod shop;
mod simulate;
mod standing;
