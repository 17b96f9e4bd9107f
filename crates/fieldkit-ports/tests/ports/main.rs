//! Ports on pseudo-terminals and on TCP links of this machine, and scans of made-up trees.
//!
//! Promises: every wait is for a state and has a deadline; devices are unplugged by closing the other end.
//! Absent on purpose: real USB, which needs hardware or a virtual machine.

mod identities;
mod opening;
mod scanning;
mod serial;
mod tcp;

#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/told.rs"]
mod told;
#[path = "../support/tree.rs"]
mod tree;
