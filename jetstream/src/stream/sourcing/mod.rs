//! Mirrors and sources: messages of other streams (spec 07a §A11).

pub mod names;

use super::Stream;
use crate::config::StreamConfig;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Sourcing;

impl Sourcing {
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
    pub(super) fn check_invariants(&self) {}
}

impl Stream {
    pub(super) fn start_sourcing(&mut self, _now: Timestamp) {}
    pub(super) fn tick_sourcing(&mut self, _now: Timestamp) {}
    pub(super) fn stop_sourcing(&mut self) {}
    pub(super) fn delete_sourcing_consumers(&mut self) {}
    pub(super) fn update_sourcing(&mut self, _old: &StreamConfig, _now: Timestamp) {}
}
