//! Pages and API of a kit.
//!
//! Promises: every answer that is no success is a problem document with a code, what happened, what was touched and
//! the one next step; every write carries a key and can be repeated; pages of other origins can neither write nor read.
//! Absent on purpose: rules (`fieldkit-core`), storage, sockets and their limits (the binary's).

pub mod desk;
pub mod guard;
pub mod key;
pub mod pages;
pub mod pictures;
pub mod problem;
pub mod wire;

mod catalogue;
mod extract;
mod hear;
mod render;
mod routes;
mod shop;

pub use guard::Policy;
pub use pages::PAGE_IS_STUB;
pub use pictures::{NoPictures, Pictures};
pub use routes::{open_api, router};
pub use shop::{ANSWER_SECONDS_MAX, IMPORT_SECONDS_MAX, VERIFY_SECONDS_MAX};

#[cfg(test)]
mod tests;
