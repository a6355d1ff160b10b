//! Mirrors and sources: messages of other streams (spec 07a §A11).

pub mod names;
