//! ZVT, the protocol between tills and card terminals in Germany and Austria: commands PA00P015 (13.08), transport PA00P016.
//!
//! Promises: the till side ([`ecr`]) and the simulated terminal ([`peer`]) share the codec below, each over both carriers:
//! serial with framing and checksum, TCP without.
//! Absent on purpose: what the paper has for petrol pumps, cheque readers and loyalty; file transfer.

pub mod apdu;
pub mod carrier;
pub mod ecr;
pub mod fields;
pub mod link;
pub mod message;
pub mod peer;
pub mod tcp;
