//! Which sequences of a loaded block belong to which subject.
//!
//! A hash table holds one entry per subject with its first and last slot, and every slot of the
//! block links to the next one of the same subject, so that going from message to message of one
//! subject costs one step each. Removed slots stay linked and are stepped over. The subjects
//! themselves are read where they stand in the block's bytes, which do not change while they are
//! loaded.

use hashbrown::HashTable;

const END: u32 = u32::MAX;
/// Slots looked at from the end before the links are followed from the beginning.
const LOOK_BACK: usize = 64;

/// Where the index finds what it does not hold: the subjects at their places, and which slots are
/// live.
pub(super) trait Slots {
    /// The subject of the record at this offset of the block.
    fn subject(&self, offset: u32) -> Option<&[u8]>;
    /// The offset of a slot's record, while it is live.
    fn offset(&self, slot: u32) -> Option<u32>;
}

/// The hash by which all blocks find a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubjectHash(u32);

impl SubjectHash {
    pub fn of(subject: &[u8]) -> SubjectHash {
        let hash = ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(subject);
        SubjectHash((hash >> 32) as u32)
    }

    /// The table takes its position from the low bits and its tag from the high ones.
    fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: SubjectHash,
    /// Offset of a record that has the subject.
    named_at: u32,
    first: u32,
    last: u32,
    /// Where the last search of this subject ended: readers go forward.
    cursor: u32,
    count: u32,
}

/// The subjects of one block, by slot.
#[derive(Debug)]
pub(super) struct SubjectIndex {
    table: HashTable<Entry>,
    next: Vec<u32>,
}

impl SubjectIndex {
    pub fn with_slots(slots: usize) -> SubjectIndex {
        SubjectIndex { table: HashTable::new(), next: vec![END; slots] }
    }

    pub fn memory(&self) -> usize {
        self.table.capacity() * (std::mem::size_of::<Entry>() + 1) + self.next.capacity() * 4
    }

    pub fn grow(&mut self, slots: usize) {
        if self.next.len() < slots {
            self.next.resize(slots, END);
        }
    }

    /// Adds the highest slot so far, whose record is at `offset`.
    pub fn append(&mut self, slot: u32, subject: &[u8], offset: u32, slots: &impl Slots) {
        if slot == END {
            return;
        }
        self.grow(slot as usize + 1);
        let hash = SubjectHash::of(subject);
        let entry = self.table.entry(
            hash.spread(),
            |entry| entry.hash == hash && slots.subject(entry.named_at) == Some(subject),
            |entry| entry.hash.spread(),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(mut found) => {
                let entry = found.get_mut();
                if let Some(link) = self.next.get_mut(entry.last as usize) {
                    *link = slot;
                }
                entry.last = slot;
                entry.count += 1;
            }
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(Entry {
                    hash,
                    named_at: offset,
                    first: slot,
                    last: slot,
                    cursor: slot,
                    count: 1,
                });
            }
        }
    }

    /// Takes one message of a subject out; its slot is dead from now on.
    pub fn remove(&mut self, subject: &[u8], slots: &impl Slots) {
        let hash = SubjectHash::of(subject);
        let found = self.table.find_entry(hash.spread(), |entry| {
            entry.hash == hash && slots.subject(entry.named_at) == Some(subject)
        });
        if let Ok(mut found) = found {
            let entry = found.get_mut();
            entry.count = entry.count.saturating_sub(1);
            if entry.count == 0 {
                found.remove();
            }
        }
    }

    fn entry_mut<'a>(
        table: &'a mut HashTable<Entry>,
        subject: &[u8],
        hash: SubjectHash,
        slots: &impl Slots,
    ) -> Option<&'a mut Entry> {
        table.find_mut(hash.spread(), |entry| {
            entry.hash == hash && slots.subject(entry.named_at) == Some(subject)
        })
    }

    /// The first live slot of a subject at or after `from`.
    pub fn first_from(
        &mut self,
        subject: &[u8],
        hash: SubjectHash,
        from: u32,
        slots: &impl Slots,
    ) -> Option<u32> {
        let entry = Self::entry_mut(&mut self.table, subject, hash, slots)?;
        let next = &self.next;
        let live = |slot: u32| slots.offset(slot).is_some();
        // Dead slots at the front are passed once.
        while !live(entry.first) {
            entry.first = *next.get(entry.first as usize)?;
            if entry.first == END {
                return None;
            }
        }
        let mut slot = entry.first;
        if entry.cursor > slot && entry.cursor <= from {
            slot = entry.cursor;
        }
        while slot != END && (slot < from || !live(slot)) {
            slot = *next.get(slot as usize)?;
        }
        if slot == END {
            return None;
        }
        entry.cursor = slot;
        Some(slot)
    }

    /// The last live slot of a subject at or before `to`.
    pub fn last_to(
        &mut self,
        subject: &[u8],
        hash: SubjectHash,
        to: u32,
        slots: &impl Slots,
    ) -> Option<u32> {
        let entry = Self::entry_mut(&mut self.table, subject, hash, slots)?;
        if entry.last <= to && slots.offset(entry.last).is_some() {
            return Some(entry.last);
        }
        let end = entry.last.min(to);
        for slot in (entry.first..=end).rev().take(LOOK_BACK) {
            let here = slots.offset(slot).and_then(|offset| slots.subject(offset));
            if here == Some(subject) {
                return Some(slot);
            }
        }
        let mut found = None;
        let mut slot = entry.first;
        while slot != END && slot <= to {
            if slots.offset(slot).is_some() {
                found = Some(slot);
            }
            slot = self.next.get(slot as usize).copied().unwrap_or(END);
        }
        if let Some(found) = found
            && to >= entry.last
        {
            // What is behind it is dead for good, and need not be walked again.
            entry.last = found;
            if let Some(link) = self.next.get_mut(found as usize) {
                *link = END;
            }
        }
        found
    }

    /// How many live messages of a subject there are at or after `from`.
    pub fn count_from(
        &mut self,
        subject: &[u8],
        hash: SubjectHash,
        from: u32,
        slots: &impl Slots,
    ) -> u64 {
        let Some(entry) = Self::entry_mut(&mut self.table, subject, hash, slots) else { return 0 };
        if from <= entry.first {
            return u64::from(entry.count);
        }
        let mut count = 0;
        let mut slot = entry.first;
        while slot != END {
            count += u64::from(slot >= from && slots.offset(slot).is_some());
            slot = self.next.get(slot as usize).copied().unwrap_or(END);
        }
        count
    }

    /// Every subject with its number of messages, in no order.
    pub fn subjects<'a>(&self, slots: &'a impl Slots) -> impl Iterator<Item = (&'a [u8], u64)> {
        self.table
            .iter()
            .filter_map(move |entry| Some((slots.subject(entry.named_at)?, u64::from(entry.count))))
    }

    /// Every subject with its last live slot, in no order; those whose last slot is dead are left
    /// out.
    pub fn lasts<'a>(&self, slots: &'a impl Slots) -> impl Iterator<Item = (&'a [u8], u32)> {
        self.table.iter().filter_map(move |entry| {
            slots.offset(entry.last)?;
            Some((slots.subject(entry.named_at)?, entry.last))
        })
    }

    /// How many subjects there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Slots whose record is at ten times their number.
    struct Listed {
        live: BTreeSet<u32>,
    }

    fn name(slot: u32) -> &'static [u8] {
        [b"a", b"b", b"c"][(slot % 3) as usize]
    }

    impl Slots for Listed {
        fn subject(&self, offset: u32) -> Option<&[u8]> {
            Some(name(offset / 10))
        }

        fn offset(&self, slot: u32) -> Option<u32> {
            self.live.contains(&slot).then_some(slot * 10)
        }
    }

    #[test]
    fn subjects_are_found_among_others_and_after_removals() {
        let mut index = SubjectIndex::with_slots(0);
        let mut slots = Listed { live: BTreeSet::new() };
        for slot in 0..300 {
            slots.live.insert(slot);
            index.append(slot, name(slot), slot * 10, &slots);
        }
        let gone = [0, 2, 3, 5, 29, 28, 15].into_iter().chain(200..300).chain(60..160);
        for slot in gone {
            slots.live.remove(&slot);
            index.remove(name(slot), &slots);
        }
        for subject in [b"a", b"b", b"c"] {
            let hash = SubjectHash::of(subject);
            let expected: Vec<u32> =
                slots.live.iter().copied().filter(|slot| name(*slot) == subject).collect();
            let counted = index.subjects(&slots).find(|(found, _)| found == subject).unwrap();
            assert_eq!(counted.1, expected.len() as u64);
            for from in (0..305).chain([20, 11, 30, 299, 60]) {
                let next = index.first_from(subject, hash, from, &slots);
                assert_eq!(next, expected.iter().copied().find(|slot| *slot >= from), "{from}");
                let last = index.last_to(subject, hash, from, &slots);
                assert_eq!(last, expected.iter().copied().rfind(|slot| *slot <= from), "{from}");
                let count = index.count_from(subject, hash, from, &slots);
                assert_eq!(count, expected.iter().filter(|slot| **slot >= from).count() as u64);
            }
        }
        assert_eq!(index.first_from(b"d", SubjectHash::of(b"d"), 0, &slots), None);
        assert_eq!(index.len(), 3);
        // What is appended behind dead slots is found behind what is left.
        slots.live.insert(300);
        index.append(300, name(300), 3000, &slots);
        let hash = SubjectHash::of(b"a");
        assert_eq!(index.last_to(b"a", hash, 1000, &slots), Some(300));
        assert_eq!(index.first_from(b"a", hash, 199, &slots), Some(300));
    }
}
