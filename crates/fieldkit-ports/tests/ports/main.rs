//! Scans of made-up trees.
//!
//! Absent on purpose: real USB, which needs hardware or a virtual machine.

mod scanning;

#[path = "../support/tree.rs"]
mod tree;
