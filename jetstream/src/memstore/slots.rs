//! The messages of a memory store, by sequence.
//!
//! Sequences come in ascending order and go in any. They are held in chunks of 64: a bitmap tells
//! which are there, and a packed vector holds one [`Slot`] for each. Chunks lie in a ring ordered
//! by their number, so that the usual gapless stream is indexed directly, while a stream with few
//! survivors pays only for those. Gaps of any length cost nothing.
//!
//! Invariants: chunk numbers strictly ascend; each chunk has as many slots as bits; the first and
//! last chunk are not empty; `holes` counts the empty ones between.

use std::collections::VecDeque;
use std::sync::Arc;

/// Sequences of one chunk.
const SPAN: u64 = 64;

/// One message and its place among those of its subject.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The encoded message, see `record`.
    pub(super) record: Arc<[u8]>,
    /// The message of the same subject before this one, 0 for none.
    pub(super) previous: u64,
    /// The message of the same subject after this one, 0 for none.
    pub(super) next: u64,
}

#[derive(Debug)]
struct Chunk {
    /// Sequence / 64.
    number: u64,
    present: u64,
    slots: Vec<Slot>,
}

impl Chunk {
    /// The index of a sequence's slot, whether it is there or not.
    fn rank(&self, bit: u32) -> usize {
        (self.present & ((1 << bit) - 1)).count_ones() as usize
    }
}

/// Messages by sequence.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: VecDeque<Chunk>,
    /// Empty chunks that were not yet taken out of the ring.
    holes: usize,
    len: u64,
}

fn split(sequence: u64) -> (u64, u32) {
    (sequence / SPAN, (sequence % SPAN) as u32)
}

impl Slots {
    /// How many messages there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The index of the first chunk whose number is at least `number`.
    fn lower_bound(&self, number: u64) -> usize {
        let Some(front) = self.chunks.front() else { return 0 };
        if number <= front.number {
            return 0;
        }
        // Numbers strictly ascend, so a chunk lies at most as far from the front as its number.
        let farthest = usize::try_from(number - front.number).unwrap_or(usize::MAX);
        if self.chunks.get(farthest).is_some_and(|chunk| chunk.number == number) {
            return farthest;
        }
        let (mut low, mut high) = (0, farthest.min(self.chunks.len()));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.chunks[middle].number < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn locate(&self, sequence: u64) -> Option<(usize, usize)> {
        let (number, bit) = split(sequence);
        let index = self.lower_bound(number);
        let chunk = self.chunks.get(index)?;
        let there = chunk.number == number && chunk.present & (1 << bit) != 0;
        there.then(|| (index, chunk.rank(bit)))
    }

    /// The slot of a sequence.
    pub(super) fn get(&self, sequence: u64) -> Option<&Slot> {
        let (index, rank) = self.locate(sequence)?;
        self.chunks.get(index)?.slots.get(rank)
    }

    /// The slot of a sequence, to be changed.
    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut Slot> {
        let (index, rank) = self.locate(sequence)?;
        self.chunks.get_mut(index)?.slots.get_mut(rank)
    }

    /// Adds a message above all others.
    pub(super) fn push(&mut self, sequence: u64, slot: Slot) {
        let (number, bit) = split(sequence);
        match self.chunks.back_mut() {
            Some(chunk) if chunk.number == number => {
                debug_assert!(chunk.present >> bit == 0, "sequences ascend");
                chunk.present |= 1 << bit;
                chunk.slots.push(slot);
            }
            last => {
                debug_assert!(last.is_none_or(|chunk| chunk.number < number), "sequences ascend");
                self.chunks.push_back(Chunk { number, present: 1 << bit, slots: vec![slot] });
            }
        }
        self.len += 1;
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Slot> {
        let (index, rank) = self.locate(sequence)?;
        let chunk = self.chunks.get_mut(index)?;
        chunk.present &= !(1 << split(sequence).1);
        let slot = chunk.slots.remove(rank);
        if chunk.slots.len() * 4 <= chunk.slots.capacity() {
            let keep = chunk.slots.len() * 2;
            chunk.slots.shrink_to(keep);
        }
        self.len -= 1;
        if chunk.slots.is_empty() {
            self.holes += 1;
            self.drop_holes();
        }
        Some(slot)
    }

    /// Keeps the ends of the ring free of empty chunks, and their share below a half.
    fn drop_holes(&mut self) {
        while self.chunks.front().is_some_and(|chunk| chunk.slots.is_empty()) {
            self.chunks.pop_front();
            self.holes -= 1;
        }
        while self.chunks.back().is_some_and(|chunk| chunk.slots.is_empty()) {
            self.chunks.pop_back();
            self.holes -= 1;
        }
        if self.holes * 2 > self.chunks.len() {
            self.chunks.retain(|chunk| !chunk.slots.is_empty());
            self.holes = 0;
        }
        if self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The messages from `sequence` on, ascending.
    pub(super) fn from(&self, sequence: u64) -> impl Iterator<Item = (u64, &Slot)> + '_ {
        let (number, bit) = split(sequence);
        let start = self.lower_bound(number);
        self.chunks.range(start..).flat_map(move |chunk| {
            let from = if chunk.number == number { bit } else { 0 };
            let mut rest = chunk.present & (u64::MAX << from);
            chunk.slots[chunk.rank(from)..].iter().map(move |slot| {
                let sequence = chunk.number * SPAN + u64::from(rest.trailing_zeros());
                rest &= rest.wrapping_sub(1);
                (sequence, slot)
            })
        })
    }

    /// The messages up to `sequence`, descending.
    pub(super) fn up_to(&self, sequence: u64) -> impl Iterator<Item = (u64, &Slot)> + '_ {
        let (number, bit) = split(sequence);
        let start = self.lower_bound(number);
        let end = match self.chunks.get(start) {
            Some(chunk) if chunk.number == number => start + 1,
            _ => start,
        };
        self.chunks.range(..end).rev().flat_map(move |chunk| {
            let upto = if chunk.number == number { bit } else { 63 };
            let mut rest = chunk.present & (u64::MAX >> (63 - upto));
            chunk.slots[..rest.count_ones() as usize].iter().rev().map(move |slot| {
                let highest = 63 - rest.leading_zeros();
                rest &= !(1 << highest);
                (chunk.number * SPAN + u64::from(highest), slot)
            })
        })
    }

    /// The first message at or after `sequence`.
    pub(super) fn next(&self, sequence: u64) -> Option<(u64, &Slot)> {
        self.from(sequence).next()
    }

    /// The last message at or before `sequence`.
    pub(super) fn previous(&self, sequence: u64) -> Option<(u64, &Slot)> {
        self.up_to(sequence).next()
    }

    /// How many messages there are at or after `sequence`.
    pub(super) fn count_from(&self, sequence: u64) -> u64 {
        let (number, bit) = split(sequence);
        let start = self.lower_bound(number);
        let partial = match self.chunks.get(start) {
            Some(chunk) if chunk.number == number => chunk.rank(bit) as u64,
            _ => 0,
        };
        // The shorter side is counted.
        if start * 2 > self.chunks.len() {
            let upper: usize = self.chunks.range(start..).map(|chunk| chunk.slots.len()).sum();
            upper as u64 - partial
        } else {
            let lower: usize = self.chunks.range(..start).map(|chunk| chunk.slots.len()).sum();
            self.len - lower as u64 - partial
        }
    }

    /// Bytes of heap memory beside the records.
    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
            + self
                .chunks
                .iter()
                .map(|chunk| chunk.slots.capacity() * size_of::<Slot>())
                .sum::<usize>()
    }

    pub(super) fn check_invariants(&self) {
        let mut last = None;
        let (mut len, mut holes) = (0, 0);
        for chunk in &self.chunks {
            assert!(last.is_none_or(|last| last < chunk.number), "chunks ascend");
            last = Some(chunk.number);
            assert_eq!(chunk.present.count_ones() as usize, chunk.slots.len());
            len += chunk.slots.len() as u64;
            holes += usize::from(chunk.slots.is_empty());
        }
        assert_eq!((len, holes), (self.len, self.holes));
        assert!(self.chunks.front().is_none_or(|chunk| !chunk.slots.is_empty()));
        assert!(self.chunks.back().is_none_or(|chunk| !chunk.slots.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn slot(sequence: u64) -> Slot {
        Slot { record: Arc::from(sequence.to_le_bytes()), previous: 0, next: 0 }
    }

    fn value(slot: &Slot) -> u64 {
        u64::from_le_bytes(slot.record[..].try_into().expect("eight bytes"))
    }

    #[test]
    fn a_gap_of_any_length_costs_nothing() {
        let mut slots = Slots::default();
        slots.push(1, slot(1));
        slots.push(u64::MAX, slot(u64::MAX));
        slots.check_invariants();
        assert!(slots.heap_bytes() < 1024);
        assert_eq!(slots.next(2).map(|(sequence, _)| sequence), Some(u64::MAX));
        assert_eq!(slots.previous(u64::MAX - 1).map(|(sequence, _)| sequence), Some(1));
        assert_eq!(slots.count_from(2), 1);
    }

    #[test]
    fn memory_of_removed_messages_is_given_back() {
        let mut slots = Slots::default();
        for sequence in 1..=100_000 {
            slots.push(sequence, slot(sequence));
        }
        for sequence in (1..=100_000).filter(|sequence| sequence % 1000 != 0) {
            slots.remove(sequence);
        }
        slots.check_invariants();
        assert_eq!(slots.len(), 100);
        assert!(slots.heap_bytes() < 100 * 400, "{}", slots.heap_bytes());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(u64),
        Remove(u64),
        RemoveFront(u64),
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(
            ops in prop::collection::vec(
                prop_oneof![
                    6 => prop_oneof![9 => 1_u64..4, 1 => 60_u64..400].prop_map(Op::Push),
                    3 => any::<u64>().prop_map(Op::Remove),
                    2 => (1_u64..4).prop_map(Op::RemoveFront),
                ],
                0..300,
            )
        ) {
            let mut slots = Slots::default();
            let mut model = BTreeMap::new();
            let mut last = 0;
            for op in ops {
                match op {
                    Op::Push(step) => {
                        last += step;
                        slots.push(last, slot(last));
                        model.insert(last, last);
                    }
                    Op::Remove(pick) => {
                        let sequence = pick % (last + 2);
                        let removed = slots.remove(sequence).map(|slot| value(&slot));
                        prop_assert_eq!(removed, model.remove(&sequence));
                    }
                    Op::RemoveFront(count) => {
                        for _ in 0..count {
                            let Some((first, _)) = slots.next(0) else { break };
                            slots.remove(first);
                            prop_assert_eq!(model.pop_first().map(|(key, _)| key), Some(first));
                        }
                    }
                }
                slots.check_invariants();
            }
            prop_assert_eq!(slots.len(), model.len() as u64);
            for probe in (0..last + 70).step_by(13) {
                let found: Vec<u64> = slots.from(probe).map(|(sequence, _)| sequence).collect();
                let expected: Vec<u64> = model.range(probe..).map(|(key, _)| *key).collect();
                prop_assert_eq!(slots.count_from(probe), expected.len() as u64);
                prop_assert_eq!(found, expected);
                let found: Vec<u64> = slots.up_to(probe).map(|(sequence, _)| sequence).collect();
                let expected: Vec<u64> = model.range(..=probe).rev().map(|(key, _)| *key).collect();
                prop_assert_eq!(found, expected);
                prop_assert_eq!(slots.get(probe).map(value), model.get(&probe).copied());
            }
        }
    }
}
