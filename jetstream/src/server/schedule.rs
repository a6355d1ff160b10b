//! When streams and consumers are to be looked at.
//!
//! A deadline that moves back leaves its old entry where it is: whoever is woken too early is asked
//! again. One that moves forward gets a new entry.

use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// A stream or a consumer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Asset {
    Stream(u64),
    Consumer(u64),
}

/// Invariant: an asset has one entry at most, the one that `armed` has.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    entries: BTreeSet<(Timestamp, Asset)>,
    armed: HashMap<Asset, Timestamp, ahash::RandomState>,
}

impl Schedule {
    /// The earliest entry.
    pub fn next(&self) -> Option<Timestamp> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// The asset is to be looked at then, if ever.
    pub fn arm(&mut self, asset: Asset, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else { return };
        match self.armed.get_mut(&asset) {
            Some(armed) if *armed <= deadline => return,
            Some(armed) => {
                self.entries.remove(&(*armed, asset));
                *armed = deadline;
            }
            None => {
                self.armed.insert(asset, deadline);
            }
        }
        self.entries.insert((deadline, asset));
    }

    /// Takes an asset that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Asset> {
        let (at, asset) = *self.entries.first()?;
        if at > now {
            return None;
        }
        self.entries.remove(&(at, asset));
        self.armed.remove(&asset);
        Some(asset)
    }

    /// The asset is gone.
    pub fn forget(&mut self, asset: Asset) {
        if let Some(at) = self.armed.remove(&asset) {
            self.entries.remove(&(at, asset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_come_when_due_and_once() {
        let at = Timestamp::from_nanos;
        let mut schedule = Schedule::default();
        schedule.arm(Asset::Stream(1), Some(at(50)));
        schedule.arm(Asset::Consumer(1), Some(at(40)));
        schedule.arm(Asset::Stream(1), Some(at(30)));
        schedule.arm(Asset::Stream(1), Some(at(60)));
        schedule.arm(Asset::Stream(2), None);
        assert_eq!(schedule.next(), Some(at(30)));
        assert_eq!(schedule.take_due(at(29)), None);
        assert_eq!(schedule.take_due(at(50)), Some(Asset::Stream(1)));
        assert_eq!(schedule.take_due(at(50)), Some(Asset::Consumer(1)));
        assert_eq!(schedule.take_due(at(90)), None);
        schedule.arm(Asset::Stream(3), Some(at(1)));
        schedule.forget(Asset::Stream(3));
        assert_eq!(schedule.next(), None);
    }
}
