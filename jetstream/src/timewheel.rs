//! Which messages expire when, and the file that remembers it.
//!
//! Spec 06 §7 (`thw.db`). The reference hashes expiries into a wheel of one-second slots; an
//! ordered set gives the same answers, fires in order, knows the next expiry exactly, and needs
//! no per-slot maps.
//!
//! File layout, integers little endian:
//! ```text
//! u8 1 | u64 entries | u64 high sequence | entries x (varint expiry ns, uvarint sequence)
//! ```

use crate::time::Timestamp;
use crate::varint::{put_uvarint, put_varint, take_uvarint, take_varint};
use std::collections::BTreeSet;
use std::fmt;

const VERSION: u8 = 1;
/// Bytes before the first entry.
pub(crate) const HEADER_LEN: usize = 17;

/// Expiries of sequences.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TimeWheel {
    entries: BTreeSet<(i64, u64)>,
}

/// Why bytes are not the state of a wheel or of schedules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WheelDecodeError {
    /// Shorter than the header.
    ShortBuffer,
    /// Of an unknown version.
    UnknownVersion,
    /// An entry breaks off.
    UnexpectedEof,
}

impl fmt::Display for WheelDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WheelDecodeError::ShortBuffer => "short buffer",
            WheelDecodeError::UnknownVersion => "thw: encoded version not known",
            WheelDecodeError::UnexpectedEof => "unexpected EOF",
        })
    }
}

impl std::error::Error for WheelDecodeError {}

/// Appends the header of `thw.db` and `sched.db`.
pub(crate) fn put_header(out: &mut Vec<u8>, entries: usize, high_sequence: u64) {
    out.push(VERSION);
    out.extend_from_slice(&(entries as u64).to_le_bytes());
    out.extend_from_slice(&high_sequence.to_le_bytes());
}

/// Takes that header off: the number of entries and the high sequence.
pub(crate) fn take_header(input: &mut &[u8]) -> Result<(u64, u64), WheelDecodeError> {
    let (header, rest) =
        input.split_first_chunk::<HEADER_LEN>().ok_or(WheelDecodeError::ShortBuffer)?;
    let (version, numbers) = header.split_first().ok_or(WheelDecodeError::ShortBuffer)?;
    if *version != VERSION {
        return Err(WheelDecodeError::UnknownVersion);
    }
    *input = rest;
    let (count, high) = numbers.split_at(8);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    Ok((number(count), number(high)))
}

impl TimeWheel {
    /// A wheel without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `sequence` expire at `expiry`.
    pub fn insert(&mut self, sequence: u64, expiry: Timestamp) {
        self.entries.insert((expiry.nanos(), sequence));
    }

    /// Forgets an entry; false when there is none.
    pub fn remove(&mut self, sequence: u64, expiry: Timestamp) -> bool {
        self.entries.remove(&(expiry.nanos(), sequence))
    }

    /// Moves an entry; false, changing nothing, when there is none.
    pub fn update(&mut self, sequence: u64, old: Timestamp, new: Timestamp) -> bool {
        let found = self.remove(sequence, old);
        if found {
            self.insert(sequence, new);
        }
        found
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets every entry.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The earliest expiry.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.entries.first().map(|(expiry, _)| Timestamp::from_nanos(*expiry))
    }

    /// The entries that have expired by `now`, earliest first, which stay until removed.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = (u64, Timestamp)> + '_ {
        self.entries
            .range(..=(now.nanos(), u64::MAX))
            .map(|(expiry, sequence)| (*sequence, Timestamp::from_nanos(*expiry)))
    }

    /// Takes out the entries that have expired by `now`, earliest first.
    pub fn take_expired(&mut self, now: Timestamp) -> Vec<(u64, Timestamp)> {
        let Some(after) = now.nanos().checked_add(1) else {
            return std::mem::take(&mut self.entries)
                .into_iter()
                .map(|(expiry, sequence)| (sequence, Timestamp::from_nanos(expiry)))
                .collect();
        };
        let later = self.entries.split_off(&(after, 0));
        std::mem::replace(&mut self.entries, later)
            .into_iter()
            .map(|(expiry, sequence)| (sequence, Timestamp::from_nanos(expiry)))
            .collect()
    }

    /// The contents of `thw.db`; the wheel covers the sequences below `high_sequence`.
    pub fn encode(&self, high_sequence: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.entries.len() * 12);
        put_header(&mut out, self.entries.len(), high_sequence);
        for (expiry, sequence) in &self.entries {
            put_varint(&mut out, *expiry);
            put_uvarint(&mut out, *sequence);
        }
        out
    }

    /// Reads what [`TimeWheel::encode`] wrote: the wheel and the high sequence. Bytes after the
    /// last entry are not looked at.
    pub fn decode(bytes: &[u8]) -> Result<(TimeWheel, u64), WheelDecodeError> {
        let mut input = bytes;
        let (count, high_sequence) = take_header(&mut input)?;
        let mut wheel = TimeWheel::new();
        for _ in 0..count {
            let expiry = take_varint(&mut input).ok_or(WheelDecodeError::UnexpectedEof)?;
            let sequence = take_uvarint(&mut input).ok_or(WheelDecodeError::UnexpectedEof)?;
            wheel.entries.insert((expiry, sequence));
        }
        Ok((wheel, high_sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn entries_are_added_once_and_removed_by_their_expiry() {
        let mut wheel = TimeWheel::new();
        wheel.insert(1, at(10));
        wheel.insert(1, at(10));
        assert_eq!(wheel.len(), 1);
        assert!(!wheel.remove(999, at(10)));
        assert!(wheel.remove(1, at(10)));
        assert!(!wheel.remove(1, at(10)));
        assert!(wheel.is_empty());
    }

    #[test]
    fn update_moves_an_entry_or_reports_its_absence() {
        let mut wheel = TimeWheel::new();
        wheel.insert(1, at(5));
        assert!(wheel.update(1, at(5), at(10)));
        assert!(!wheel.update(2, at(5), at(10)));
        assert_eq!((wheel.len(), wheel.next_expiry()), (1, Some(at(10))));
    }

    #[test]
    fn only_what_is_due_expires_in_order() {
        let mut wheel = TimeWheel::new();
        for (sequence, expiry) in [(4, 4), (1, 1), (3, 3), (2, 2)] {
            wheel.insert(sequence, at(expiry));
        }
        assert_eq!(wheel.expired(at(2)).collect::<Vec<_>>(), [(1, at(1)), (2, at(2))]);
        assert_eq!(wheel.len(), 4);
        assert_eq!(wheel.take_expired(at(3)), [(1, at(1)), (2, at(2)), (3, at(3))]);
        assert_eq!(wheel.next_expiry(), Some(at(4)));
        assert_eq!(wheel.take_expired(Timestamp::from_nanos(i64::MAX)), [(4, at(4))]);
    }

    #[test]
    fn entries_that_share_a_second_of_the_wheel_expire_in_their_own_round() {
        let mut wheel = TimeWheel::new();
        wheel.insert(1, at(1));
        wheel.insert(2, at(1 + 4096));
        wheel.insert(3, at(1 + 2 * 4096));
        assert_eq!(wheel.take_expired(at(1)), [(1, at(1))]);
        assert_eq!(wheel.take_expired(at(4096)), []);
        assert_eq!(wheel.take_expired(at(1 + 4096)), [(2, at(1 + 4096))]);
        assert_eq!(wheel.next_expiry(), Some(at(1 + 2 * 4096)));
    }

    #[test]
    fn next_expiry_follows_every_change() {
        let mut wheel = TimeWheel::new();
        assert_eq!(wheel.next_expiry(), None);
        wheel.insert(1, at(10));
        wheel.insert(2, at(5));
        assert_eq!(wheel.next_expiry(), Some(at(5)));
        wheel.remove(2, at(5));
        assert_eq!(wheel.next_expiry(), Some(at(10)));
    }

    #[test]
    fn expired_entries_stay_until_they_are_removed() {
        let mut wheel = TimeWheel::new();
        for sequence in 1..=4 {
            wheel.insert(sequence, at(10));
        }
        for _ in 0..2 {
            let expired = wheel.expired(at(10)).map(|(sequence, _)| sequence);
            assert_eq!(expired.collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
        assert!(wheel.remove(2, at(10)) && wheel.remove(4, at(10)));
        let expired = wheel.expired(at(10)).map(|(sequence, _)| sequence);
        assert_eq!(expired.collect::<Vec<_>>(), [1, 3]);
        assert!(wheel.remove(1, at(10)) && wheel.remove(3, at(10)));
        assert_eq!((wheel.len(), wheel.expired(at(10)).count()), (0, 0));
    }

    #[test]
    fn many_entries_survive_updates_and_removals() {
        let count = 100_000;
        let mut wheel = TimeWheel::new();
        for sequence in 0..count {
            wheel.insert(sequence, at(sequence as i64));
        }
        for sequence in (0..count).step_by(2) {
            assert!(wheel.update(sequence, at(sequence as i64), at((sequence + count) as i64)));
        }
        for sequence in (1..count).step_by(2) {
            assert!(wheel.remove(sequence, at(sequence as i64)));
        }
        assert_eq!((wheel.len(), wheel.next_expiry()), (50_000, Some(at(100_000))));
    }

    #[test]
    fn empty_file_is_a_header() {
        assert_eq!(TimeWheel::new().encode(7), [1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn broken_files_tell_what_is_wrong() {
        let mut wheel = TimeWheel::new();
        wheel.insert(1, at(1));
        let bytes = wheel.encode(2);
        assert_eq!(TimeWheel::decode(&bytes[..16]), Err(WheelDecodeError::ShortBuffer));
        for len in HEADER_LEN..bytes.len() {
            assert_eq!(TimeWheel::decode(&bytes[..len]), Err(WheelDecodeError::UnexpectedEof));
        }
        let mut other = bytes.clone();
        other[0] = 2;
        assert_eq!(TimeWheel::decode(&other), Err(WheelDecodeError::UnknownVersion));
        other = bytes;
        other[8] = 255;
        assert_eq!(TimeWheel::decode(&other), Err(WheelDecodeError::UnexpectedEof));
        assert_eq!(WheelDecodeError::ShortBuffer.to_string(), "short buffer");
        assert_eq!(WheelDecodeError::UnexpectedEof.to_string(), "unexpected EOF");
    }

    proptest! {
        #[test]
        fn the_file_reads_back(
            entries in prop::collection::btree_set((any::<i64>(), any::<u64>()), 0..50),
            high in any::<u64>(),
        ) {
            let wheel = TimeWheel { entries };
            prop_assert_eq!(TimeWheel::decode(&wheel.encode(high)), Ok((wheel, high)));
        }

        #[test]
        fn any_bytes_decode_or_fail_cleanly(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(version) = bytes.first_mut() {
                *version = 1;
            }
            let _ = TimeWheel::decode(&bytes);
        }
    }
}
