//! Counting: states of subjects and filters, pending messages, the stream's detailed and binary
//! state (spec 06, sections 9.2, 15 and 16).

use super::FileStore;
use super::lookup::{Candidate, last_in_block};
use super::remove::LAST_BLOCK_IS_BOUND;
use crate::deletes::{DeleteBlock, ReplicatedState};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::store::Pending;
use crate::types::{LostStreamData, SimpleState, StreamSequence, StreamState};

impl FileStore {
    /// Count and ends of the matches at or after `start`.
    pub(super) fn filtered(
        &mut self,
        start: u64,
        filter: &SubjectFilter,
    ) -> StoreResult<SimpleState> {
        let totals = self.totals;
        let start = start.max(totals.first.seq);
        if start > totals.last.seq {
            return Ok(SimpleState {
                messages: 0,
                first: StreamSequence::new(totals.first.seq),
                last: StreamSequence::new(totals.last.seq),
            });
        }
        if filter.is_all() && start == totals.first.seq {
            return Ok(SimpleState {
                messages: totals.messages,
                first: StreamSequence::new(totals.first.seq),
                last: StreamSequence::new(totals.last.seq),
            });
        }
        let messages = self.count_from(start, filter)?;
        if messages == 0 {
            return Ok(SimpleState::default());
        }
        let first = self.find_next(filter, start)?.map_or(0, |(seq, _)| seq);
        let last = self.find_previous(filter, u64::MAX)?.map_or(0, |(seq, _)| seq);
        Ok(SimpleState {
            messages,
            first: StreamSequence::new(first),
            last: StreamSequence::new(last),
        })
    }

    /// How many messages match at or after `start`.
    fn count_from(&mut self, start: u64, filter: &SubjectFilter) -> StoreResult<u64> {
        if filter.is_all() {
            return Ok(self.blocks.iter().map(|block| block.live_from(start)).sum());
        }
        let mut candidates = self.candidates(filter);
        let total: u64 = candidates.iter().map(|one| one.total).sum();
        if start <= self.totals.first.seq || total == 0 {
            return Ok(total);
        }
        let middle = self.position_at_or_after(start);
        let Some(middle_block) = self.blocks.get(middle).map(|block| block.index) else {
            return Ok(0);
        };
        // Most subjects lie on one side of the start as a whole; of the others, the blocks on the
        // shorter side are counted.
        let mut count = 0;
        candidates.retain(|one| {
            if one.first_block > middle_block {
                count += one.total;
            }
            one.may_be_in(middle_block)
        });
        let lowest = candidates.iter().map(|one| one.first_block).min();
        let highest = candidates.iter().map(|one| one.last_block).max();
        let (Some(lowest), Some(highest)) = (lowest, highest) else { return Ok(count) };
        let low = self.blocks.partition_point(|block| block.index < lowest);
        let high = self.blocks.partition_point(|block| block.index <= highest);
        let here = self.count_in_block(middle, filter, &candidates, start)?;
        if middle - low < high - middle {
            let whole = self.count_in_block(middle, filter, &candidates, 0)?;
            let mut before = whole.saturating_sub(here);
            for position in low..middle {
                before += self.count_in_block(position, filter, &candidates, 0)?;
            }
            let total: u64 = candidates.iter().map(|one| one.total).sum();
            return Ok(count + total.saturating_sub(before));
        }
        count += here;
        for position in middle + 1..high {
            count += self.count_in_block(position, filter, &candidates, 0)?;
        }
        Ok(count)
    }

    /// How many messages of the candidates, which are all subjects that match and may be here, a
    /// block holds at or after `start`.
    fn count_in_block(
        &mut self,
        position: usize,
        filter: &SubjectFilter,
        candidates: &[Candidate],
        start: u64,
    ) -> StoreResult<u64> {
        let Some(block) = self.blocks.get(position).filter(|block| !block.is_empty()) else {
            return Ok(0);
        };
        let index = block.index;
        if !candidates.iter().any(|one| one.may_be_in(index)) {
            return Ok(0);
        }
        self.load_block(position)?;
        let Some(loaded) = &mut self.blocks[position].loaded else { return Ok(0) };
        let mut count = 0;
        if candidates.len() > loaded.count_subjects() {
            let prefix = filter.literal_prefix();
            if start == 0 {
                loaded.visit_subjects(|subject, messages| {
                    if subject.starts_with(prefix) && filter.matches(subject) {
                        count += messages;
                    }
                });
            } else {
                loaded.visit_from(start, |_, subject| {
                    let matches = subject.starts_with(prefix) && filter.matches(subject);
                    count += u64::from(matches);
                    true
                });
            }
            return Ok(count);
        }
        for one in candidates.iter().filter(|one| one.may_be_in(index)) {
            count += loaded.count_of(&one.subject, one.hash, start);
        }
        Ok(count)
    }

    /// The state of every subject that matches.
    pub(super) fn states_of_subjects(
        &mut self,
        filter: &SubjectFilter,
    ) -> StoreResult<Vec<(Box<[u8]>, SimpleState)>> {
        self.open_check()?;
        let mut states = Vec::new();
        for (subject, info) in self.matching_subjects(filter) {
            let first = self.first_of_subject(&subject, 0)?.unwrap_or_default();
            let last = self.last_of_subject(&subject)?.unwrap_or_default();
            let state = SimpleState {
                messages: info.total,
                first: StreamSequence::new(first),
                last: StreamSequence::new(last),
            };
            states.push((subject, state));
        }
        Ok(states)
    }

    /// The last sequence of every subject that matches, at or below `max`.
    pub(super) fn last_sequences(
        &mut self,
        filters: &[SubjectFilter],
        max: u64,
        max_allowed: usize,
    ) -> StoreResult<Vec<StreamSequence>> {
        self.open_check()?;
        let totals = self.totals;
        if totals.messages == 0 || (max != 0 && (max > totals.last.seq || max < totals.first.seq)) {
            return Ok(Vec::new());
        }
        let max = if max == 0 { totals.last.seq } else { max };
        let mut sequences = std::collections::BTreeSet::new();
        for filter in filters {
            for (subject, _) in self.matching_subjects(filter) {
                let Some(last) = self.last_of_subject_to(&subject, max)? else { continue };
                sequences.insert(StreamSequence::new(last));
                if max_allowed > 0 && sequences.len() > max_allowed {
                    return Err(StoreError::TooManyResults);
                }
            }
        }
        Ok(sequences.into_iter().collect())
    }

    fn last_of_subject_to(&mut self, subject: &[u8], max: u64) -> StoreResult<Option<u64>> {
        let Some(last) = self.last_of_subject(subject)? else { return Ok(None) };
        if last <= max {
            return Ok(Some(last));
        }
        let Some(info) = self.subjects.find(subject).copied() else { return Ok(None) };
        let mut position = (self.position_at_or_after(max) + 1).min(self.blocks.len());
        while position > 0 {
            position -= 1;
            let block = &self.blocks[position];
            if block.index < info.first_block {
                break;
            }
            if block.is_empty() || block.first.seq > max || block.index > info.last_block {
                continue;
            }
            self.load_block(position)?;
            if let Some(seq) = last_in_block(&mut self.blocks[position], subject, max) {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// How many messages are pending for a consumer that starts at `start`.
    pub(super) fn pending(
        &mut self,
        start: u64,
        filter: &SubjectFilter,
        last_per_subject: bool,
    ) -> StoreResult<Pending> {
        self.open_check()?;
        let valid_through = StreamSequence::new(self.totals.last.seq);
        if self.totals.messages == 0 || start > self.totals.last.seq {
            return Ok(Pending { total: 0, valid_through });
        }
        let start = start.max(self.totals.first.seq);
        if last_per_subject && start == self.totals.first.seq {
            // Every subject ends at or behind the first message.
            let mut total = 0;
            filter.visit(&self.subjects, |_, _| {
                total += 1;
                true
            });
            return Ok(Pending { total, valid_through });
        }
        if !last_per_subject {
            return Ok(Pending { total: self.count_from(start, filter)?, valid_through });
        }
        let start_block =
            self.blocks.get(self.position_at_or_after(start)).map_or(0, |block| block.index);
        let mut total = 0;
        let mut undecided: Vec<Box<[u8]>> = Vec::new();
        filter.visit(&self.subjects, |subject, info| {
            match info.last {
                0 if info.last_block > start_block => total += 1,
                0 | LAST_BLOCK_IS_BOUND if info.last_block < start_block => {}
                0 | LAST_BLOCK_IS_BOUND => undecided.push(subject.into()),
                last => total += u64::from(last >= start),
            }
            true
        });
        for subject in undecided {
            total += u64::from(self.last_of_subject(&subject)?.is_some_and(|last| last >= start));
        }
        Ok(Pending { total, valid_through })
    }

    /// The state with its lists.
    pub(super) fn detailed_state(&self) -> StreamState {
        let mut state = self.state_without_lists();
        if state.num_deleted > 0 {
            let mut deleted = Vec::new();
            for block in self.delete_blocks() {
                deleted.extend(block.iter());
            }
            deleted.sort_unstable();
            deleted.retain(|seq| *seq >= self.totals.first.seq && *seq <= self.totals.last.seq);
            state.num_deleted = deleted.len() as u64;
            state.deleted = deleted;
        }
        if !self.lost.is_empty() {
            let sequences: Vec<u64> = self.lost.sequences.iter().copied().collect();
            state.lost = Some(LostStreamData {
                messages: (!sequences.is_empty()).then_some(sequences),
                bytes: self.lost.bytes,
            });
        }
        state
    }

    /// What is deleted between first and last: gaps between blocks as runs, deletes of blocks as
    /// sets.
    pub(super) fn delete_blocks(&self) -> Vec<DeleteBlock> {
        let mut found = Vec::new();
        let mut previous = self.totals.first.seq.saturating_sub(1);
        for block in self.blocks.iter().filter(|block| !block.is_empty()) {
            if block.first.seq > previous + 1 {
                found.push(DeleteBlock::Range {
                    first: previous + 1,
                    count: block.first.seq - previous - 1,
                });
            }
            if !block.deleted.is_empty() {
                found.push(DeleteBlock::Set(block.deleted.clone()));
            }
            previous = block.last.seq;
        }
        if previous < self.totals.last.seq && self.totals.messages > 0 {
            found.push(DeleteBlock::Range {
                first: previous + 1,
                count: self.totals.last.seq - previous,
            });
        }
        found
    }

    /// The binary state for replication.
    pub(super) fn replicated_state(&self, failed: u64) -> Vec<u8> {
        let totals = &self.totals;
        ReplicatedState {
            messages: totals.messages,
            bytes: totals.bytes,
            first: StreamSequence::new(totals.first.seq),
            last: StreamSequence::new(totals.last.seq),
            failed,
            deleted: self.delete_blocks(),
        }
        .encode()
    }
}
