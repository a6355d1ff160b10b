//! Randomness of the engines: jitter, inboxes, identities of pins, of flow control requests and of
//! advisories.
//!
//! It comes from a seed, so that a run can be repeated. Nothing here protects anything: what it makes
//! must be different, not secret.

use crate::stream::sourcing::names::digit;
use std::time::Duration;

/// Length of the ids of advisories.
const ID_LEN: usize = 22;
/// Length of the random part of inboxes.
const INBOX_LEN: usize = 8;

/// A generator of 64 bits of state (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 32 bits.
    pub(crate) fn bits(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A time shorter than `below`.
    pub(crate) fn duration(&mut self, below: Duration) -> Duration {
        Duration::from_nanos(self.below(u64::try_from(below.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Appends `len` letters and digits.
    pub(crate) fn append_name(&mut self, len: usize, out: &mut String) {
        out.extend((0..len).map(|_| digit(self.next() >> 32)));
    }

    /// An id for an advisory.
    pub(crate) fn id(&mut self) -> String {
        let mut id = String::with_capacity(ID_LEN);
        self.append_name(ID_LEN, &mut id);
        id
    }

    /// A subject of its own below `prefix`.
    pub(crate) fn inbox(&mut self, prefix: &str) -> String {
        let mut inbox = format!("{prefix}.");
        self.append_name(INBOX_LEN, &mut inbox);
        inbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_of_different_names() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        let first = one.id();
        assert_eq!(first, other.id());
        assert_ne!(first, one.id());
        assert_ne!(first, Random::new(8).id());
        assert_eq!(first.len(), 22);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn inboxes_and_times_stay_within_their_bounds() {
        let inbox = Random::new(1).inbox("$JSC.R");
        assert!(inbox.starts_with("$JSC.R."));
        assert_eq!(inbox.len(), "$JSC.R.".len() + 8);
        assert!(Random::new(3).duration(Duration::from_millis(100)) < Duration::from_millis(100));
    }
}
