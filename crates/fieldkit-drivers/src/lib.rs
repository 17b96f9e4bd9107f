//! Device protocols as state machines, and the simulated devices that speak them back.
//!
//! Promises: bytes, time and decisions come as inputs, bytes and reports leave as outputs; equal inputs give equal outputs.
//! Every wait has a deadline, every buffer a bound. Machines share one grammar: `handle(now_ms, input)`, `poll_output()`,
//! `poll_timeout()`. Read in the order below.
//! Absent on purpose: ports, sockets, files and clocks (an adapter pumps bytes), and what a sale is (the payment desk
//! above decides; a driver only reports what the terminal said).

pub mod mask;
pub mod telium;
pub mod terminal;
pub mod terminal_peer;
pub mod zvt;
