//! Randomness of one consumer: jitter, identities of pins and of flow control requests.
//!
//! The caller seeds it, so that a run can be repeated. Nothing here protects anything: what it
//! makes must be different, not secret.

use crate::stream::sourcing::names::digit;

/// A generator of 64 bits of state (SplitMix64).
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

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Appends `len` letters and digits.
    pub(super) fn append_name(&mut self, len: usize, out: &mut String) {
        out.extend((0..len).map(|_| digit(self.next() >> 32)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_of_different_names() {
        let name = |random: &mut Random| {
            let mut name = String::new();
            random.append_name(22, &mut name);
            name
        };
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        let first = name(&mut one);
        assert_eq!(first, name(&mut other));
        assert_ne!(first, name(&mut one));
        assert_ne!(first, name(&mut Random::new(8)));
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
