//! Sets of sequences: which messages of a stream or a block are gone.
//!
//! Spec 06 §9.1. The encodings are the reference's: bitmaps of 2048 sequences in the pre-order of
//! a balanced tree. In memory a set is an ordered map of such ranges, each held in the smallest of
//! three forms ([`chunk::Chunk`]): a few offsets, a bitmap, or "all of them". Bases are always
//! multiples of 2048 here; unaligned ones of other writers are re-aligned when decoded.
//!
//! Invariants: no chunk is empty; `len` is the sum of the chunks' counts.

mod chunk;
mod codec;

pub use codec::SequenceSetError;

use chunk::{Chunk, SPAN};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// An ordered set of sequences.
#[derive(Clone, Default)]
pub struct SequenceSet {
    /// Chunks by the number of their range: sequence / 2048.
    chunks: BTreeMap<u64, Chunk>,
    len: u64,
}

fn split(sequence: u64) -> (u64, u16) {
    (sequence / SPAN, (sequence % SPAN) as u16)
}

impl SequenceSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many sequences are in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many ranges of 2048 sequences the set touches: the nodes of its encoding.
    pub fn nodes(&self) -> usize {
        self.chunks.len()
    }

    /// Adds a sequence; false when it was there.
    pub fn insert(&mut self, sequence: u64) -> bool {
        let (key, offset) = split(sequence);
        let added = self.chunks.entry(key).or_default().insert(offset);
        self.len += u64::from(added);
        added
    }

    /// Adds all sequences of a range, in time that depends on the 2048s it spans.
    pub fn insert_range(&mut self, range: RangeInclusive<u64>) {
        if range.is_empty() {
            return;
        }
        let (first_key, first_offset) = split(*range.start());
        let (last_key, last_offset) = split(*range.end());
        for key in first_key..=last_key {
            let from = if key == first_key { first_offset } else { 0 };
            let to = if key == last_key { last_offset } else { (SPAN - 1) as u16 };
            let added = self.chunks.entry(key).or_default().insert_range(from, to);
            self.len += u64::from(added);
        }
    }

    /// Takes a sequence out; false when it was not there.
    pub fn remove(&mut self, sequence: u64) -> bool {
        let (key, offset) = split(sequence);
        let Some(chunk) = self.chunks.get_mut(&key) else { return false };
        let removed = chunk.remove(offset);
        if removed {
            self.len -= 1;
            if chunk.is_empty() {
                self.chunks.remove(&key);
            }
        }
        removed
    }

    /// Takes out every sequence below `sequence`.
    pub fn remove_below(&mut self, sequence: u64) {
        let (key, offset) = split(sequence);
        let mut kept = self.chunks.split_off(&key);
        std::mem::swap(&mut self.chunks, &mut kept);
        self.len -= kept.values().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        self.remove_within(key, |chunk| chunk.retain(offset, (SPAN - 1) as u16));
    }

    /// Takes out every sequence above `sequence`.
    pub fn remove_above(&mut self, sequence: u64) {
        let (key, offset) = split(sequence);
        let dropped = self.chunks.split_off(&(key + 1));
        self.len -= dropped.values().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        self.remove_within(key, |chunk| chunk.retain(0, offset));
    }

    /// Applies a removal that tells its count to one chunk.
    fn remove_within(&mut self, key: u64, removal: impl FnOnce(&mut Chunk) -> u32) {
        if let Some(chunk) = self.chunks.get_mut(&key) {
            self.len -= u64::from(removal(chunk));
            if chunk.is_empty() {
                self.chunks.remove(&key);
            }
        }
    }

    /// Whether a sequence is in the set.
    pub fn contains(&self, sequence: u64) -> bool {
        let (key, offset) = split(sequence);
        self.chunks.get(&key).is_some_and(|chunk| chunk.contains(offset))
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The lowest sequence.
    pub fn min(&self) -> Option<u64> {
        let (key, chunk) = self.chunks.first_key_value()?;
        Some(key * SPAN + u64::from(chunk.first()?))
    }

    /// The highest sequence.
    pub fn max(&self) -> Option<u64> {
        let (key, chunk) = self.chunks.last_key_value()?;
        Some(key * SPAN + u64::from(chunk.last()?))
    }

    /// Lowest, highest and count; zeros for the empty set.
    pub fn state(&self) -> (u64, u64, u64) {
        (self.min().unwrap_or(0), self.max().unwrap_or(0), self.len)
    }

    /// The sequences, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks
            .iter()
            .flat_map(|(key, chunk)| chunk.iter().map(move |offset| key * SPAN + u64::from(offset)))
    }

    /// The first sequence at or after `sequence` that is *not* in the set; `None` past the end of
    /// the numbers.
    pub fn next_absent(&self, sequence: u64) -> Option<u64> {
        let (mut key, mut offset) = split(sequence);
        loop {
            let Some(chunk) = self.chunks.get(&key) else {
                return Some(key * SPAN + u64::from(offset));
            };
            if let Some(absent) = chunk.next_absent(offset) {
                return Some(key * SPAN + u64::from(absent));
            }
            key = key.checked_add(1).filter(|key| *key <= u64::MAX / SPAN)?;
            offset = 0;
        }
    }

    /// How many sequences at or after `sequence` are in the set; the shorter side is counted.
    pub fn count_from(&self, sequence: u64) -> u64 {
        let (key, offset) = split(sequence);
        let whole = |chunks: std::collections::btree_map::Range<'_, u64, Chunk>| {
            chunks.map(|(_, chunk)| u64::from(chunk.count())).sum::<u64>()
        };
        let below = self
            .chunks
            .get(&key)
            .map_or(0, |chunk| chunk.iter().take_while(|held| *held < offset).count() as u64);
        let middle = match (self.chunks.first_key_value(), self.chunks.last_key_value()) {
            (Some((first, _)), Some((last, _))) => first + (last - first) / 2,
            _ => return 0,
        };
        if key > middle {
            whole(self.chunks.range(key..)) - below
        } else {
            self.len - whole(self.chunks.range(..key)) - below
        }
    }

    /// Adds every sequence of `other`.
    pub fn union_with(&mut self, other: &SequenceSet) {
        for (key, chunk) in &other.chunks {
            let mine = self.chunks.entry(*key).or_default();
            let before = mine.count();
            mine.union_with(chunk);
            self.len += u64::from(mine.count() - before);
        }
    }

    /// The union of several sets.
    pub fn union_of<'a>(sets: impl IntoIterator<Item = &'a SequenceSet>) -> SequenceSet {
        let mut sets: Vec<&SequenceSet> = sets.into_iter().collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.len));
        let mut sets = sets.into_iter();
        let mut union = sets.next().cloned().unwrap_or_default();
        for set in sets {
            union.union_with(set);
        }
        union
    }

    /// Bytes of heap memory the set holds, counting an entry of the map with what its nodes leave
    /// unused at worst.
    pub fn heap_bytes(&self) -> usize {
        let entry = 2 * (size_of::<u64>() + size_of::<Chunk>());
        self.chunks.values().map(|chunk| entry + chunk.heap_bytes()).sum()
    }

    /// Panics when an invariant of the module does not hold.
    pub fn check_invariants(&self) {
        let mut len = 0;
        for (key, chunk) in &self.chunks {
            assert!(!chunk.is_empty(), "chunk {key} is empty");
            chunk.check_invariants();
            len += u64::from(chunk.count());
        }
        assert_eq!(len, self.len, "the count is the sum of the chunks'");
    }
}

impl PartialEq for SequenceSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(|((key, chunk), (other_key, other))| {
                key == other_key && chunk.same_members(other)
            })
    }
}

impl Eq for SequenceSet {}

impl std::fmt::Debug for SequenceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().take(64)).finish()?;
        if self.len > 64 { write!(f, " and {} more", self.len - 64) } else { Ok(()) }
    }
}

impl FromIterator<u64> for SequenceSet {
    fn from_iter<I: IntoIterator<Item = u64>>(sequences: I) -> Self {
        let mut set = SequenceSet::new();
        set.extend(sequences);
        set
    }
}

impl Extend<u64> for SequenceSet {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, sequences: I) {
        for sequence in sequences {
            self.insert(sequence);
        }
    }
}

#[cfg(test)]
mod tests;
