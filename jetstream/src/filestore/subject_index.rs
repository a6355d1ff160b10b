//! Which sequences of a loaded block belong to which subject.
//!
//! A hash table holds one entry per subject with its first and last sequence, and every slot of the
//! block links to the next one of the same subject, so that going from message to message of one
//! subject costs one step each. Removed slots stay linked and are stepped over.

use hashbrown::HashTable;

const END: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Entry {
    subject: Box<[u8]>,
    hash: u64,
    first: u32,
    last: u32,
    /// Where the last search of this subject ended: readers go forward.
    cursor: u32,
    count: u32,
}

/// The subjects of one block. Sequences are given to it with the block's base, the sequence of
/// slot 0.
#[derive(Debug)]
pub(super) struct SubjectIndex {
    table: HashTable<Entry>,
    next: Vec<u32>,
    hasher: ahash::RandomState,
    subject_bytes: usize,
}

impl SubjectIndex {
    pub fn with_slots(slots: usize) -> SubjectIndex {
        SubjectIndex {
            table: HashTable::new(),
            next: vec![END; slots],
            hasher: ahash::RandomState::with_seeds(1, 2, 3, 4),
            subject_bytes: 0,
        }
    }

    pub fn memory(&self) -> usize {
        self.table.capacity() * (std::mem::size_of::<Entry>() + 1)
            + self.next.capacity() * 4
            + self.subject_bytes
    }

    pub fn grow(&mut self, slots: usize) {
        if self.next.len() < slots {
            self.next.resize(slots, END);
        }
    }

    /// Adds the highest sequence so far.
    pub fn append(&mut self, base: u64, seq: u64, subject: &[u8]) {
        let Some(slot) = slot_of(base, seq) else { return };
        self.grow(slot as usize + 1);
        let hash = self.hasher.hash_one(subject);
        let entry = self.table.entry(
            hash,
            |entry| entry.hash == hash && *entry.subject == *subject,
            |e| e.hash,
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
                self.subject_bytes += subject.len();
                free.insert(Entry {
                    subject: subject.into(),
                    hash,
                    first: slot,
                    last: slot,
                    cursor: slot,
                    count: 1,
                });
            }
        }
    }

    /// Takes one message of a subject out; its slot is dead from now on.
    pub fn remove(&mut self, subject: &[u8]) {
        let hash = self.hasher.hash_one(subject);
        let found =
            self.table.find_entry(hash, |entry| entry.hash == hash && *entry.subject == *subject);
        if let Ok(mut found) = found {
            let entry = found.get_mut();
            entry.count = entry.count.saturating_sub(1);
            if entry.count == 0 {
                found.remove();
            }
        }
    }

    fn entry_mut(&mut self, subject: &[u8]) -> Option<&mut Entry> {
        let hash = self.hasher.hash_one(subject);
        self.table.find_mut(hash, |entry| entry.hash == hash && *entry.subject == *subject)
    }

    /// The first live sequence of a subject at or after `from`.
    pub fn first_from(
        &mut self,
        base: u64,
        subject: &[u8],
        from: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Option<u64> {
        let hash = self.hasher.hash_one(subject);
        let entry =
            self.table.find_mut(hash, |entry| entry.hash == hash && *entry.subject == *subject)?;
        let from_slot = slot_of(base, from.max(base))?;
        let next = &self.next;
        let live = |slot: u32| is_live(base + u64::from(slot));
        // Dead slots at the front are passed once.
        while !live(entry.first) {
            entry.first = *next.get(entry.first as usize)?;
            if entry.first == END {
                return None;
            }
        }
        let mut slot = entry.first;
        if entry.cursor > slot && entry.cursor <= from_slot {
            slot = entry.cursor;
        }
        while slot != END && (slot < from_slot || !live(slot)) {
            slot = *next.get(slot as usize)?;
        }
        if slot == END {
            return None;
        }
        entry.cursor = slot;
        Some(base + u64::from(slot))
    }

    /// The last live sequence of a subject at or before `to`.
    pub fn last_to(
        &mut self,
        base: u64,
        subject: &[u8],
        to: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Option<u64> {
        let entry = self.entry_mut(subject)?.clone();
        let last = base + u64::from(entry.last);
        if last <= to && is_live(last) {
            return Some(last);
        }
        let mut found = None;
        let mut slot = entry.first;
        while slot != END {
            let seq = base + u64::from(slot);
            if seq > to {
                break;
            }
            if is_live(seq) {
                found = Some(seq);
            }
            slot = self.next.get(slot as usize).copied().unwrap_or(END);
        }
        found
    }

    /// Every subject with its number of messages, in no order.
    pub fn subjects(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.table.iter().map(|entry| (&*entry.subject, u64::from(entry.count)))
    }

    /// How many subjects there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }
}

fn slot_of(base: u64, seq: u64) -> Option<u32> {
    u32::try_from(seq.checked_sub(base)?).ok().filter(|slot| *slot != END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn subjects_are_found_among_others_and_after_removals() {
        let base = 10;
        let mut index = SubjectIndex::with_slots(0);
        let mut live = BTreeSet::new();
        let subject = |seq: u64| [b"a", b"b", b"c"][(seq % 3) as usize];
        for seq in base..base + 30 {
            index.append(base, seq, subject(seq));
            live.insert(seq);
        }
        for gone in [12, 15, 18, 39, 38, 25] {
            live.remove(&gone);
            index.remove(subject(gone));
        }
        for name in [b"a", b"b", b"c"] {
            let expected: Vec<u64> =
                live.iter().copied().filter(|seq| subject(*seq) == name).collect();
            let counted = index.subjects().find(|(subject, _)| *subject == name).unwrap();
            assert_eq!(counted.1, expected.len() as u64);
            for from in (0..45).chain([20, 11, 30]) {
                let next = index.first_from(base, name, from, &|seq| live.contains(&seq));
                assert_eq!(next, expected.iter().copied().find(|seq| *seq >= from), "{from}");
                let last = index.last_to(base, name, from, &|seq| live.contains(&seq));
                assert_eq!(last, expected.iter().copied().rfind(|seq| *seq <= from), "{from}");
            }
        }
        assert_eq!(index.first_from(base, b"d", 0, &|_| true), None);
        assert_eq!(index.len(), 3);
    }
}
