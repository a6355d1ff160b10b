//! The stream engine (spec 07a).

pub mod config;
pub mod sourcing;
