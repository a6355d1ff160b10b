//! Randomness of a stream: jitter, inboxes, ids. It comes from a seed, so that a run can be
//! repeated; nothing secret is made of it.

use super::sourcing::names::digit;
use std::time::Duration;

/// Length of the ids of advisories.
const ID_LEN: usize = 22;
/// Length of the random part of inboxes.
const INBOX_LEN: usize = 8;

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 32 bits.
    pub(super) fn bits(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// A time shorter than `below`.
    pub(super) fn duration(&mut self, below: Duration) -> Duration {
        let nanos = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.next() % nanos)
    }

    fn name(&mut self, len: usize) -> String {
        (0..len).map(|_| digit(self.next() >> 7)).collect()
    }

    /// An id for an advisory.
    pub(super) fn id(&mut self) -> String {
        self.name(ID_LEN)
    }

    /// A subject of its own below `prefix`.
    pub(super) fn inbox(&mut self, prefix: &str) -> String {
        format!("{prefix}.{}", self.name(INBOX_LEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_names() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        assert_eq!(one.id(), other.id());
        assert_ne!(one.id(), one.id());
        assert_eq!(one.id().len(), 22);
        let inbox = Random::new(1).inbox("$JSC.R");
        assert_eq!(inbox.len(), "$JSC.R.".len() + 8);
        assert!(Random::new(3).duration(Duration::from_millis(100)) < Duration::from_millis(100));
    }
}
