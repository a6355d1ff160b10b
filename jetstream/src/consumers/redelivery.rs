//! Messages to be delivered again, in the order in which they are due (spec 07b §B5).
//!
//! A late acknowledgement takes a message out wherever it stands: its entry stays behind and is
//! passed over, until the entries that are left behind outnumber the others.

use crate::types::StreamSequence;
use std::collections::{BTreeMap, VecDeque};

/// A queue without duplicates.
#[derive(Debug, Default)]
pub(super) struct RedeliveryQueue {
    /// Messages with the ticket they got when they were added. An entry counts if its ticket is
    /// the one in `members`.
    entries: VecDeque<(StreamSequence, u64)>,
    members: BTreeMap<StreamSequence, u64>,
    next_ticket: u64,
}

impl RedeliveryQueue {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn contains(&self, sequence: StreamSequence) -> bool {
        self.members.contains_key(&sequence)
    }

    /// Adds a message at the end, unless it is queued already.
    pub(super) fn push(&mut self, sequence: StreamSequence) {
        if self.contains(sequence) {
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.members.insert(sequence, ticket);
        self.entries.push_back((sequence, ticket));
    }

    /// The message that is next.
    pub(super) fn front(&mut self) -> Option<StreamSequence> {
        while let Some((sequence, ticket)) = self.entries.front() {
            if self.members.get(sequence) == Some(ticket) {
                return Some(*sequence);
            }
            self.entries.pop_front();
        }
        None
    }

    /// Takes the message out that is next.
    pub(super) fn pop(&mut self) -> Option<StreamSequence> {
        let sequence = self.front()?;
        self.entries.pop_front();
        self.members.remove(&sequence);
        self.shrink();
        Some(sequence)
    }

    /// Takes a message out; returns whether it was queued.
    pub(super) fn remove(&mut self, sequence: StreamSequence) -> bool {
        let removed = self.members.remove(&sequence).is_some();
        if removed {
            self.shrink();
        }
        removed
    }

    /// Keeps only messages from `first` on.
    pub(super) fn keep_from(&mut self, first: StreamSequence) {
        self.members = self.members.split_off(&first);
        self.shrink();
    }

    pub(super) fn clear(&mut self) {
        *self = RedeliveryQueue { next_ticket: self.next_ticket, ..RedeliveryQueue::default() };
    }

    fn shrink(&mut self) {
        if self.members.is_empty() {
            self.clear();
        } else if self.entries.len() > 2 * self.members.len() + 16 {
            let members = &self.members;
            self.entries.retain(|(sequence, ticket)| members.get(sequence) == Some(ticket));
        }
    }

    /// Checks what the structure relies on.
    pub(super) fn check_invariants(&self) {
        let valid = |entry: &&(StreamSequence, u64)| self.members.get(&entry.0) == Some(&entry.1);
        assert_eq!(self.entries.iter().filter(valid).count(), self.members.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn queue_agrees_with_a_list(operations in prop::collection::vec((0_u8..5, 1_u64..12), 0..200)) {
            let mut queue = RedeliveryQueue::default();
            let mut model: Vec<u64> = Vec::new();
            for (operation, number) in operations {
                let sequence = StreamSequence::new(number);
                match operation {
                    0 | 1 => {
                        queue.push(sequence);
                        if !model.contains(&number) {
                            model.push(number);
                        }
                    }
                    2 => {
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(queue.pop().map(StreamSequence::get), expected);
                    }
                    3 => {
                        prop_assert_eq!(queue.remove(sequence), model.contains(&number));
                        model.retain(|queued| *queued != number);
                    }
                    _ => {
                        queue.keep_from(sequence);
                        model.retain(|queued| *queued >= number);
                    }
                }
                queue.check_invariants();
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.front().map(StreamSequence::get), model.first().copied());
            }
        }
    }
}
