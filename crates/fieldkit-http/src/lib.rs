//! Pages and API of a kit.

pub mod desk;
