//! Byte pumps for devices: serial lines and TCP, opened, kept open, and found again after they were gone.
//!
//! Promises: a port never creates a file, never shares a line, never waits without a deadline, and never holds up its
//! user: a device that hangs costs a thread, not the program. Nothing is ever sent to find out what a device is.
//! Read in the order below.
//! Absent on purpose: what bytes mean (drivers), who may be trusted with money (the desk), USB without a tty.

pub mod address;
pub mod identity;
pub mod url;

pub mod known;
pub mod scan;

pub mod error;
pub mod holder;
pub mod port;

mod allowance;
mod aside;
mod line;
mod pump;

pub use address::{Address, Place};
pub use error::{Lost, OpenError};
pub use identity::Identity;
pub use port::{LinkNumber, Plan, Port, PortCommand, PortEvent};
pub use scan::Roots;
pub use url::{DeviceUrl, Role};
