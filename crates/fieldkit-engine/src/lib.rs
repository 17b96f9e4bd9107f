//! The brain of kit and hub: inputs in, turns and effects out.
//!
//! Promises: no effect of a turn leaves before the shell has said that the turn's ops are durable; a command's key is
//! looked up before it is decided, so that a repeated command is answered and not done again.
//! Absent on purpose: threads, clocks, files. The shell brings time and loads, and carries effects out.

mod engine;
mod io;
mod lease_desk;
mod payment_desk;
mod planted;
mod stock_desk;
mod turn;
mod watch_desk;

pub use engine::{Engine, SIGN_TURNS, Succession};
pub use io::{Asked, DeviceInput, DeviceOutput, Foreign, Input, Load, Output, Ticket};
pub use payment_desk::{Link, Shown};
#[cfg(feature = "planted")]
pub use planted::Mistake;
pub use stock_desk::Policy;
pub use turn::{Answer, Known, Outcome, Projection, Turn};
pub use watch_desk::{WitnessInput, WitnessName};
