//! Foreign code and foreign bytes against ours: what another maker wrote or recorded, our drivers and simulated terminals
//! must understand.
//!
//! Promises: nothing foreign lies in this repository; it is read where cargo keeps it. All in memory, no port is opened.
//! Absent on purpose: peers that cargo cannot fetch; they have scripts of their own.

mod recorded;
mod till;
