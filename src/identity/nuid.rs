//! NUIDs: 22 characters, unique and cheap.
//!
//! Twelve random characters, then ten that count: the counter starts anywhere and advances by a
//! random stride, and before it would overflow a new prefix is drawn. Only the prefix makes an
//! identifier unique across processes, so it must come from a strong generator; the caller
//! passes random bytes in.

use super::{BASE62, base62};

/// Characters of an identifier.
pub const NUID_BYTES: usize = 22;

const PREFIX_BYTES: usize = 12;
const SEQUENCE_BYTES: usize = NUID_BYTES - PREFIX_BYTES;

/// The counter stays below this: ten digits in base 62.
const MAX_SEQUENCE: u64 = 839_299_365_868_340_224;
const _: () = assert!(MAX_SEQUENCE == 62u64.pow(SEQUENCE_BYTES as u32));

/// The stride lies in this range, the end excluded.
const STRIDES: std::ops::Range<u64> = 33..333;

/// Fills a buffer with unpredictable bytes.
pub type RandomSource = Box<dyn FnMut(&mut [u8]) + Send>;

/// A generator of identifiers. It belongs to one owner; two must not share a seed.
pub struct Nuid {
    random: RandomSource,
    prefix: [u8; PREFIX_BYTES],
    sequence: u64,
    stride: u64,
}

impl Nuid {
    /// A generator that draws from the given source now and whenever its counter runs out.
    pub fn new(random: RandomSource) -> Self {
        let mut nuid = Nuid { random, prefix: [b'0'; PREFIX_BYTES], sequence: 0, stride: 1 };
        nuid.restart();
        nuid
    }

    /// The next identifier.
    pub fn next_id(&mut self) -> String {
        self.sequence = self.sequence.saturating_add(self.stride);
        if self.sequence >= MAX_SEQUENCE {
            self.restart();
        }
        let mut id = String::with_capacity(NUID_BYTES);
        id.extend(self.prefix.iter().map(|byte| char::from(*byte)));
        let mut place = MAX_SEQUENCE / 62;
        while place > 0 {
            id.push(base62(self.sequence / place));
            place /= 62;
        }
        id
    }

    fn restart(&mut self) {
        for slot in &mut self.prefix {
            *slot = draw_digit(&mut self.random);
        }
        self.sequence = draw(&mut self.random) % MAX_SEQUENCE;
        self.stride = STRIDES.start + draw(&mut self.random) % (STRIDES.end - STRIDES.start);
    }
}

fn draw(random: &mut RandomSource) -> u64 {
    let mut bytes = [0; 8];
    random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A uniformly drawn digit: bytes beyond the last whole multiple of 62 are drawn again, a bounded
/// number of times so that a broken source cannot hang the server.
fn draw_digit(random: &mut RandomSource) -> u8 {
    let mut byte = [0];
    for _ in 0..64 {
        random(&mut byte);
        if byte[0] < 248 {
            break;
        }
    }
    BASE62[usize::from(byte[0] % 62)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A source that counts, so that runs can be repeated.
    fn counting(mut next: u8) -> RandomSource {
        Box::new(move |buffer| {
            for byte in buffer {
                *byte = next;
                next = next.wrapping_add(37);
            }
        })
    }

    #[test]
    fn identifiers_have_22_alphanumeric_characters() {
        let mut nuid = Nuid::new(counting(3));
        for _ in 0..100 {
            let id = nuid.next_id();
            assert_eq!(id.len(), NUID_BYTES);
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        }
    }

    #[test]
    fn identifiers_do_not_repeat() {
        let mut nuid = Nuid::new(counting(3));
        let seen: HashSet<String> = (0..100_000).map(|_| nuid.next_id()).collect();
        assert_eq!(seen.len(), 100_000);
    }

    #[test]
    fn identifiers_of_one_prefix_ascend() {
        let mut nuid = Nuid::new(counting(3));
        nuid.sequence = 0;
        let first = nuid.next_id();
        let second = nuid.next_id();
        assert_eq!(first[..PREFIX_BYTES], second[..PREFIX_BYTES]);
        assert!(first < second);
    }

    #[test]
    fn the_counter_is_written_in_base_62() {
        let mut nuid = Nuid::new(counting(3));
        nuid.sequence = 0;
        nuid.stride = 61 + 62 * 35;
        assert_eq!(&nuid.next_id()[PREFIX_BYTES..], "00000000Zz");
    }

    #[test]
    fn a_counter_that_runs_out_draws_a_new_prefix() {
        let mut nuid = Nuid::new(counting(3));
        let before = nuid.prefix;
        nuid.sequence = MAX_SEQUENCE - 1;
        let id = nuid.next_id();
        assert_ne!(before, nuid.prefix);
        assert!(id.as_bytes().starts_with(&nuid.prefix));
    }
}
