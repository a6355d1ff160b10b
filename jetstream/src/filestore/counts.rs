//! Counting: states of subjects and filters, pending messages, the stream's detailed and binary
//! state (spec 06, sections 9.2, 15 and 16).

use super::FileStore;
use super::block::Block;
use super::lookup::last_in_block;
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
        let subjects = self.matching_subjects(filter);
        let total: u64 = subjects.iter().map(|(_, info)| info.total).sum();
        if start <= self.totals.first.seq || total == 0 {
            return Ok(total);
        }
        // Blocks wholly on one side of the start are counted on the shorter side; matches lie
        // between the first and last blocks of the subjects only.
        let lowest = subjects.iter().map(|(_, info)| info.first_block).min().unwrap_or(0);
        let highest = subjects.iter().map(|(_, info)| info.last_block).max().unwrap_or(0);
        let middle = self.position_at_or_after(start);
        let low = self.blocks.partition_point(|block| block.index < lowest);
        let high = self.blocks.partition_point(|block| block.index <= highest);
        if middle >= high {
            return Ok(0);
        }
        if middle < low {
            return Ok(total);
        }
        if middle - low < high - middle {
            let mut before = 0;
            for position in low..middle {
                before += self.count_in_block(position, filter, 0)?;
            }
            let whole = self.count_in_block(middle, filter, 0)?;
            let after = self.count_in_block(middle, filter, start)?;
            return Ok(total.saturating_sub(before + whole - after));
        }
        let mut count = 0;
        for position in middle..high {
            count += self.count_in_block(position, filter, start)?;
        }
        Ok(count)
    }

    fn count_in_block(
        &mut self,
        position: usize,
        filter: &SubjectFilter,
        start: u64,
    ) -> StoreResult<u64> {
        if self.blocks.get(position).is_none_or(Block::is_empty) {
            return Ok(0);
        }
        self.load_block(position)?;
        let block = &mut self.blocks[position];
        if start <= block.first.seq {
            let Some(loaded) = &mut block.loaded else { return Ok(0) };
            return Ok(loaded.with_subjects(|index, _, _| {
                index
                    .subjects()
                    .filter(|(subject, _)| filter.matches(subject))
                    .map(|(_, count)| count)
                    .sum()
            }));
        }
        let Some(loaded) = &block.loaded else { return Ok(0) };
        let mut count = 0;
        let mut seq = start;
        while let Some(live) = block.next_live(seq) {
            if loaded.subject_of(live).is_some_and(|subject| filter.matches(subject)) {
                count += 1;
            }
            seq = live + 1;
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
        if !last_per_subject {
            return Ok(Pending { total: self.count_from(start, filter)?, valid_through });
        }
        let start_block =
            self.blocks.get(self.position_at_or_after(start)).map_or(0, |block| block.index);
        let mut total = 0;
        for (subject, info) in self.matching_subjects(filter) {
            let decided = match info.last {
                0 if info.last_block > start_block => Some(true),
                0 | LAST_BLOCK_IS_BOUND if info.last_block < start_block => Some(false),
                0 | LAST_BLOCK_IS_BOUND => None,
                last => Some(last >= start),
            };
            let counts = match decided {
                Some(counts) => counts,
                None => self.last_of_subject(&subject)?.is_some_and(|last| last >= start),
            };
            total += u64::from(counts);
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
