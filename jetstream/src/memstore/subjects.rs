//! The messages of each subject: who comes first and last, and the links between them.

use super::MemoryStore;
use super::record::Record;

/// The messages of one subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SubjectState {
    pub(super) messages: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl MemoryStore {
    /// Appends `sequence` to the messages of a subject; returns the one before it and what the
    /// subject has now, or `None` when it is the first. A message without a subject, or with one
    /// the tree refuses, stays unlinked.
    pub(super) fn link_last(
        &mut self,
        subject: &[u8],
        sequence: u64,
    ) -> Option<(u64, SubjectState)> {
        if subject.is_empty() {
            return None;
        }
        let first = SubjectState { messages: 1, first: sequence, last: sequence };
        let (state, inserted) = self.subjects.entry_or_insert_with(subject, || first)?;
        if inserted {
            return None;
        }
        let previous = std::mem::replace(&mut state.last, sequence);
        state.messages += 1;
        let state = *state;
        if let Some(slot) = self.slots.get_mut(previous) {
            slot.next = sequence;
        }
        Some((previous, state))
    }

    /// Takes `sequence`, which lay between `previous` and `next`, out of a subject's messages.
    pub(super) fn unlink(&mut self, sequence: u64, subject: &[u8], previous: u64, next: u64) {
        if let Some(slot) = self.slots.get_mut(previous) {
            slot.next = next;
        }
        if let Some(slot) = self.slots.get_mut(next) {
            slot.previous = previous;
        }
        if subject.is_empty() {
            return;
        }
        let Some(state) = self.subjects.find_mut(subject) else { return };
        if state.messages == 1 {
            self.subjects.delete(subject);
            return;
        }
        state.messages -= 1;
        if state.first == sequence {
            state.first = next;
        }
        if state.last == sequence {
            state.last = previous;
        }
    }

    /// The first message of a subject at or after `start`, and how many there are from it on.
    ///
    /// Walks from both ends at once, so it takes as many steps as the shorter side has messages.
    pub(super) fn subject_from(&self, state: &SubjectState, start: u64) -> Option<(u64, u64)> {
        if start <= state.first {
            return Some((state.first, state.messages));
        }
        if start > state.last {
            return None;
        }
        let (mut low, mut below) = (state.first, 0);
        let (mut high, mut above) = (state.last, 1);
        loop {
            if low >= start {
                return Some((low, state.messages - below));
            }
            below += 1;
            low = self.slots.get(low)?.next;
            let before = self.slots.get(high)?.previous;
            if before < start {
                return Some((high, above));
            }
            above += 1;
            high = before;
        }
    }

    pub(super) fn check_subjects(&self) {
        let mut linked = 0;
        self.subjects.iter_ordered(|subject, state| {
            let (mut previous, mut at, mut count) = (0, state.first, 0);
            while at != 0 {
                let slot = self.slots.get(at).expect("links lead to messages");
                assert_eq!(Record(&slot.record).subject(), subject, "links keep to the subject");
                assert_eq!(slot.previous, previous, "links go both ways");
                assert!(at > previous, "links ascend");
                (previous, at, count) = (at, slot.next, count + 1);
            }
            assert_eq!((previous, count), (state.last, state.messages));
            linked += count;
            true
        });
        let indexed = self
            .slots
            .from(0)
            .filter(|(_, slot)| self.subjects.find(Record(&slot.record).subject()).is_some());
        assert_eq!(indexed.count() as u64, linked, "every message of a subject is linked");
    }
}
