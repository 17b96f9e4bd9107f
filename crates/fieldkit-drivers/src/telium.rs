//! Telium "protocol E" (Concert), the small serial protocol of French card terminals.
//!
//! Promises: the till side ([`ecr`]) and the simulated terminal ([`peer`]) share the codec.
//! Absent on purpose: the dialects with cheques, fidelity cards and forced authorisation. The protocol has no number for a
//! payment and no question for the last one: a cut after the ask is in doubt until a person looks at the terminal.

pub mod codec;
pub mod ecr;
pub mod peer;
