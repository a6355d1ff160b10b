//! Finding and counting messages (spec 06 §15).

use super::cursor::MatchCursor;
use super::record::Record;
use super::subjects::SubjectState;
use super::{MemoryStore, Slot};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::message::StoredMessage;
use crate::store::Lookup;
use crate::time::Timestamp;
use crate::types::{SimpleState, StreamSequence};

/// Messages looked at one by one before the subject tree is asked where the next match is.
const SCAN_FIRST: usize = 64;
/// Subjects the tree is asked about in one search; a filter that matches more is likely to find a
/// message by scanning.
const MAX_SUBJECTS_ASKED: usize = 4096;
/// Links followed in one search before it goes on by scanning.
const MAX_STEPS: usize = 1 << 16;

fn subject(slot: &Slot) -> &[u8] {
    Record(&slot.record).subject()
}

impl MemoryStore {
    pub(super) fn load_at(&self, sequence: u64) -> StoreResult<StoredMessage> {
        self.check_open()?;
        match self.slots.get(sequence) {
            Some(slot) => Ok(Record(&slot.record).message(sequence)),
            None if sequence <= self.last => Err(StoreError::MessageNotFound),
            None => Err(StoreError::Eof),
        }
    }

    fn message(&self, sequence: u64) -> Option<StoredMessage> {
        self.slots.get(sequence).map(|slot| Record(&slot.record).message(sequence))
    }

    pub(super) fn find_next(&mut self, filter: &SubjectFilter, start: u64) -> Lookup {
        let start = start.max(self.first);
        let found = match filter {
            SubjectFilter::All => self.slots.next(start).map(|(sequence, _)| sequence),
            SubjectFilter::Literal(literal) => self.next_of_subject(literal, start),
            filter => self.next_matching(filter, start),
        };
        match found.and_then(|sequence| self.message(sequence)) {
            Some(message) => Lookup::Found(message),
            None => Lookup::Exhausted(self.last.into()),
        }
    }

    fn next_of_subject(&self, literal: &[u8], start: u64) -> Option<u64> {
        let state = self.subjects.find(literal)?;
        // A consumer of one subject asks from just behind the message it got last.
        if start > state.first
            && let Some(slot) = self.slots.get(start - 1)
            && subject(slot) == literal
        {
            return Some(slot.next).filter(|next| *next != 0);
        }
        // Neighbours are scanned before links are followed across the whole subject.
        if start <= state.last
            && let Some((sequence, _)) =
                self.slots.from(start).take(SCAN_FIRST).find(|(_, slot)| subject(slot) == literal)
        {
            return Some(sequence);
        }
        self.subject_from(state, start).map(|(sequence, _)| sequence)
    }

    fn next_matching(&mut self, filter: &SubjectFilter, start: u64) -> Option<u64> {
        if let Some(cursor) = &mut self.cursor
            && let Some(found) = cursor.next(&self.slots, filter, start)
        {
            return Some(found);
        }
        let scan = |from: u64, limit: usize| {
            self.slots
                .from(from)
                .take(limit)
                .find(|(_, slot)| filter.matches(subject(slot)))
                .map(|(sequence, _)| sequence)
        };
        if let Some(found) = scan(start, SCAN_FIRST) {
            return Some(found);
        }
        // The tree tells where the next message of each subject is, or that there is none.
        let (mut firsts, mut asked, mut steps) = (Vec::new(), 0, 0);
        let complete = filter.visit(&self.subjects, |_, state| {
            asked += 1;
            if state.last >= start {
                let (first, walked) = self.next_linked(state, start);
                firsts.push(first);
                steps += walked;
            }
            asked < MAX_SUBJECTS_ASKED && steps < MAX_STEPS
        });
        if !complete {
            return scan(start, usize::MAX);
        }
        let found = firsts.iter().copied().min();
        self.cursor = Some(MatchCursor::new(filter, start, self.last, firsts));
        found
    }

    /// The first message of a subject at or after `start`, which its last one is, and how many
    /// links were followed from the nearer end to find it.
    fn next_linked(&self, state: &SubjectState, start: u64) -> (u64, usize) {
        let mut steps = 0;
        if start.saturating_sub(state.first) < state.last - start {
            let mut sequence = state.first;
            while sequence < start
                && let Some(slot) = self.slots.get(sequence)
            {
                sequence = slot.next;
                steps += 1;
            }
            return (sequence, steps);
        }
        let mut sequence = state.last;
        while let Some(slot) = self.slots.get(sequence)
            && slot.previous >= start
        {
            sequence = slot.previous;
            steps += 1;
        }
        (sequence, steps)
    }

    pub(super) fn find_previous(&self, filter: &SubjectFilter, start: u64) -> Lookup {
        let start = start.min(self.last);
        let scan = || {
            self.slots
                .up_to(start)
                .find(|(_, slot)| filter.is_all() || filter.matches(subject(slot)))
                .map(|(sequence, _)| sequence)
        };
        let found = match filter {
            SubjectFilter::Literal(literal) => match self.subjects.find(literal) {
                None => None,
                Some(state) if state.first > start => None,
                Some(state) if state.last <= start => Some(state.last),
                Some(_) => scan(),
            },
            _ => scan(),
        };
        match found.and_then(|sequence| self.message(sequence)) {
            Some(message) => Lookup::Found(message),
            None => Lookup::Exhausted(self.first.into()),
        }
    }

    pub(super) fn find_last(&self, filter: &SubjectFilter) -> Option<StoredMessage> {
        let sequence = match filter {
            SubjectFilter::All => self.last,
            filter => {
                let mut last = None;
                filter.visit(&self.subjects, |_, state| {
                    last = last.max(Some(state.last));
                    true
                });
                last?
            }
        };
        self.message(sequence)
    }

    /// One past the last sequence when no message is that young.
    pub(super) fn first_at_or_after(&self, time: Timestamp) -> u64 {
        let end = self.last.saturating_add(1);
        let (mut low, mut high, mut found) = (self.first, end, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.slots.next(middle).filter(|(sequence, _)| *sequence < high) {
                None => high = middle,
                Some((sequence, slot)) if Record(&slot.record).timestamp() >= time => {
                    found = sequence;
                    high = middle;
                }
                Some((sequence, _)) => low = sequence + 1,
            }
        }
        found
    }

    /// Count and ends of the matching messages from `start` on.
    pub(super) fn state_from(&self, start: u64, filter: &SubjectFilter) -> SimpleState {
        let start = start.max(self.first);
        if start > self.last {
            return SimpleState::default();
        }
        if filter.is_all() {
            return self.whole_state_from(start);
        }
        let mut total = SimpleState::default();
        filter.visit(&self.subjects, |_, state| {
            if let Some((first, messages)) = self.subject_from(state, start) {
                total.messages += messages;
                if total.first.is_zero() || first < total.first.get() {
                    total.first = first.into();
                }
                total.last = total.last.max(state.last.into());
            }
            true
        });
        total
    }

    fn whole_state_from(&self, start: u64) -> SimpleState {
        if start == self.first {
            return SimpleState {
                messages: self.slots.len(),
                first: self.first.into(),
                last: self.last.into(),
            };
        }
        let sequence =
            |found: Option<(u64, &Slot)>| found.map_or(0, |(sequence, _)| sequence).into();
        let messages = self.slots.count_from(start);
        SimpleState {
            messages,
            first: sequence(self.slots.next(start)),
            last: sequence(self.slots.previous(self.last).filter(|_| messages > 0)),
        }
    }

    /// How many matching subjects have their last message at or after `start`.
    pub(super) fn subjects_ending_from(&self, start: u64, filter: &SubjectFilter) -> u64 {
        if start > self.last {
            return 0;
        }
        if filter.is_all() {
            return self.subjects.values().filter(|state| state.last >= start).count() as u64;
        }
        let mut count = 0;
        filter.visit(&self.subjects, |_, state| {
            count += u64::from(state.last >= start);
            true
        });
        count
    }

    pub(super) fn states_by_subject(
        &self,
        filter: &SubjectFilter,
    ) -> Vec<(Box<[u8]>, SimpleState)> {
        let mut states = Vec::new();
        filter.visit(&self.subjects, |subject, state: &SubjectState| {
            let state = SimpleState {
                messages: state.messages,
                first: state.first.into(),
                last: state.last.into(),
            };
            states.push((Box::from(subject), state));
            true
        });
        states.sort_unstable_by(|(one, _): &(Box<[u8]>, _), (other, _)| one.cmp(other));
        states
    }

    pub(super) fn last_of_each(
        &self,
        filters: &[SubjectFilter],
        max_sequence: u64,
        max_allowed: usize,
    ) -> StoreResult<Vec<StreamSequence>> {
        let max_sequence = if max_sequence == 0 { self.last } else { max_sequence };
        let allowed = if max_allowed == 0 { usize::MAX } else { max_allowed };
        let mut found: Vec<StreamSequence> = Vec::new();
        for filter in filters {
            filter.visit(&self.subjects, |_, state| {
                let mut last = state.last;
                while last > max_sequence {
                    last = self.slots.get(last).map_or(0, |slot| slot.previous);
                }
                if last != 0 {
                    found.push(last.into());
                }
                true
            });
            found.sort_unstable();
            found.dedup();
            if found.len() > allowed {
                return Err(StoreError::TooManyResults);
            }
        }
        Ok(found)
    }

    /// The matching sequences below `below`, ascending, at most `limit`.
    pub(super) fn matching_sequences(
        &self,
        filter: &SubjectFilter,
        below: u64,
        limit: usize,
    ) -> Vec<u64> {
        if let SubjectFilter::Literal(literal) = filter {
            let first = self.subjects.find(literal).map(|state| state.first);
            let next = |sequence: &u64| {
                self.slots.get(*sequence).map(|slot| slot.next).filter(|next| *next != 0)
            };
            let sequences = std::iter::successors(first, next);
            return sequences.take_while(|sequence| *sequence < below).take(limit).collect();
        }
        let ends = self.state_from(1, filter);
        let end = below.min(ends.last.get().saturating_add(1));
        self.slots
            .from(ends.first.get())
            .take_while(|(sequence, _)| *sequence < end)
            .filter(|(_, slot)| filter.matches(subject(slot)))
            .map(|(sequence, _)| sequence)
            .take(limit)
            .collect()
    }
}
