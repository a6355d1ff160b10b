//! Loading messages and finding the next, previous and last ones (spec 06, section 15).

use super::block::Block;
use super::record::RecordError;
use super::remove::LAST_BLOCK_IS_BOUND;
use super::{FileStore, SubjectInfo};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::message::{MessageLayout, StoredMessage};
use crate::store::Lookup;
use crate::time::Timestamp;
use crate::types::StreamSequence;

/// Records looked at one by one before a block's subject index is asked.
const LINEAR_SCAN: usize = 64;

/// A sequence with the position of its block.
pub(super) type Found = (u64, usize);

impl FileStore {
    /// The message at `seq`; 0 means the first.
    pub(super) fn load_message(&mut self, seq: u64) -> StoreResult<StoredMessage> {
        self.open_check()?;
        let totals = &self.totals;
        let seq = if seq == 0 { totals.first.seq } else { seq };
        if seq > totals.last.seq {
            return Err(StoreError::Eof);
        }
        if self.lost.sequences.contains(&seq) {
            return Err(self.lost_message(seq));
        }
        if totals.messages == 0 || seq < totals.first.seq {
            return Err(StoreError::MessageNotFound);
        }
        let position = self.position_at_or_after(seq);
        let Some(block) = self.blocks.get(position) else {
            return Err(StoreError::MessageNotFound);
        };
        if block.is_live(seq) {
            return self.read_message(seq, position);
        }
        if !block.is_empty() && seq >= block.first.seq {
            return Err(StoreError::DeletedMessage);
        }
        Err(StoreError::MessageNotFound)
    }

    fn lost_message(&self, seq: u64) -> StoreError {
        let position = self.position_at_or_after(seq);
        let block = self.blocks.get(position).map_or(0, |block| block.index);
        corrupt(block, RecordError::Checksum)
    }

    /// Reads a live message. One that cannot be proved is declared lost.
    pub(super) fn read_message(&mut self, seq: u64, position: usize) -> StoreResult<StoredMessage> {
        self.load_block(position)?;
        for last_try in [false, true] {
            let Some(block) = self.blocks.get_mut(position).filter(|b| b.is_live(seq)) else {
                break;
            };
            let index = block.index;
            match read_live(block, seq) {
                Ok(message) => return Ok(message),
                Err(error) if last_try => return Err(corrupt(index, error)),
                // A damaged record may only have stood in the way of the right one.
                Err(_) => self.find_damage(position),
            }
        }
        Err(self.lost_message(seq))
    }

    /// The first match at or after `start`.
    pub(super) fn next_message(
        &mut self,
        filter: &SubjectFilter,
        start: u64,
    ) -> StoreResult<Lookup> {
        self.open_check()?;
        let mut start = start;
        loop {
            let Some((seq, position)) = self.find_next(filter, start)? else {
                return Ok(Lookup::Exhausted(StreamSequence::new(self.totals.last.seq)));
            };
            match self.read_message(seq, position) {
                Ok(message) => return Ok(Lookup::Found(message)),
                // It is lost and accounted for; readers go on with what follows it.
                Err(StoreError::CorruptMessage { .. }) => start = seq + 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The last match at or before `start`.
    pub(super) fn previous_message(
        &mut self,
        filter: &SubjectFilter,
        start: u64,
    ) -> StoreResult<Lookup> {
        self.open_check()?;
        let mut start = start;
        loop {
            let Some((seq, position)) = self.find_previous(filter, start)? else {
                return Ok(Lookup::Exhausted(StreamSequence::new(self.totals.first.seq)));
            };
            match self.read_message(seq, position) {
                Ok(message) => return Ok(Lookup::Found(message)),
                Err(StoreError::CorruptMessage { .. }) => start = seq - 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The last message that matches.
    pub(super) fn last_message(&mut self, filter: &SubjectFilter) -> StoreResult<StoredMessage> {
        self.open_check()?;
        let seq = match filter {
            SubjectFilter::All => Some(self.totals.last.seq),
            _ => self.last_matching(filter, u64::MAX)?,
        };
        let found = seq.and_then(|seq| Some((seq, self.position_of(seq)?)));
        let (seq, position) = found.ok_or(StoreError::MessageNotFound)?;
        self.read_message(seq, position)
    }

    /// The subjects that match, with what is known of them.
    pub(super) fn matching_subjects(
        &self,
        filter: &SubjectFilter,
    ) -> Vec<(Box<[u8]>, SubjectInfo)> {
        let mut found: Vec<(Box<[u8]>, SubjectInfo)> = Vec::new();
        match filter {
            SubjectFilter::All => {
                self.subjects.iter_ordered(|subject, info| {
                    found.push((subject.into(), *info));
                    true
                });
            }
            SubjectFilter::Literal(subject) => {
                found.extend(self.subjects.find(subject).map(|info| (subject.clone(), *info)));
            }
            SubjectFilter::Wildcard(wildcard) => {
                self.subjects
                    .match_filter(wildcard, |subject, info| found.push((subject.into(), *info)));
                found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            }
            SubjectFilter::Any(_) => {
                for part in filter.parts() {
                    found.extend(self.matching_subjects(part));
                }
                found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                found.dedup_by(|(a, _), (b, _)| a == b);
            }
        }
        found
    }

    /// The blocks, from number `from` on, in which matches may be: pairs of first and last.
    fn candidate_blocks(&self, filter: &SubjectFilter) -> Vec<(u32, u32)> {
        let mut ranges = Vec::new();
        for part in filter.parts() {
            match part {
                SubjectFilter::Literal(subject) => {
                    let found = self.subjects.find(subject);
                    ranges.extend(found.map(|info| (info.first_block, info.last_block)));
                }
                SubjectFilter::Wildcard(wildcard) => {
                    self.subjects.match_filter(wildcard, |_, info| {
                        ranges.push((info.first_block, info.last_block));
                    });
                }
                SubjectFilter::All | SubjectFilter::Any(_) => ranges.push((0, u32::MAX)),
            }
        }
        ranges
    }

    /// The first live match at or after `start`, with the position of its block.
    pub(super) fn find_next(
        &mut self,
        filter: &SubjectFilter,
        start: u64,
    ) -> StoreResult<Option<Found>> {
        let mut start = start.max(self.totals.first.seq).max(1);
        if self.totals.messages == 0 || start > self.totals.last.seq {
            return Ok(None);
        }
        let mut position = self.position_at_or_after(start);
        // Subjects the index does not hold can only be found by looking.
        let unindexed = match filter {
            SubjectFilter::Literal(subject) => !sublist_indexes(subject),
            _ => false,
        };
        let mut candidates: Option<Vec<(u32, u32)>> = match filter {
            SubjectFilter::Literal(_) if !unindexed => Some(self.candidate_blocks(filter)),
            _ => None,
        };
        let mut scanned = false;
        while position < self.blocks.len() {
            let block = &self.blocks[position];
            if block.is_empty() || block.last.seq < start {
                position += 1;
                continue;
            }
            if filter.is_all() {
                match block.next_live(start) {
                    Some(seq) => return Ok(Some((seq, position))),
                    None => {
                        position += 1;
                        continue;
                    }
                }
            }
            if scanned && candidates.is_none() && !unindexed {
                candidates = Some(self.candidate_blocks(filter));
            }
            if let Some(ranges) = &candidates {
                let index = self.blocks[position].index;
                let next = ranges
                    .iter()
                    .filter(|(_, last)| *last >= index)
                    .map(|(first, _)| (*first).max(index))
                    .min();
                match next {
                    None => return Ok(None),
                    Some(next) if next > index => {
                        position = self.blocks.partition_point(|block| block.index < next);
                        continue;
                    }
                    Some(_) => {}
                }
            }
            self.load_block(position)?;
            let Some(block) = self.blocks.get_mut(position) else { return Ok(None) };
            if let Some(seq) = next_in_block(block, filter, start) {
                return Ok(Some((seq, position)));
            }
            start = start.max(self.blocks[position].last.seq.saturating_add(1));
            scanned = true;
            position += 1;
        }
        Ok(None)
    }

    /// The last live match at or before `start`, with the position of its block.
    pub(super) fn find_previous(
        &mut self,
        filter: &SubjectFilter,
        start: u64,
    ) -> StoreResult<Option<Found>> {
        let start = start.min(self.totals.last.seq);
        if self.totals.messages == 0 || start < self.totals.first.seq {
            return Ok(None);
        }
        let unindexed = match filter {
            SubjectFilter::Literal(subject) => !sublist_indexes(subject),
            _ => false,
        };
        let mut candidates: Option<Vec<(u32, u32)>> = None;
        let mut position = self.position_at_or_after(start).min(self.blocks.len() - 1) + 1;
        while position > 0 {
            position -= 1;
            let block = &self.blocks[position];
            if block.is_empty() || block.first.seq > start {
                continue;
            }
            if filter.is_all() {
                let mut seq = start.min(block.last.seq);
                while seq >= block.first.seq && block.deleted.contains(seq) {
                    seq -= 1;
                }
                if seq >= block.first.seq {
                    return Ok(Some((seq, position)));
                }
                continue;
            }
            if !unindexed {
                let index = block.index;
                let ranges = candidates.get_or_insert_with(|| self.candidate_blocks(filter));
                if !ranges.iter().any(|(first, last)| *first <= index && index <= *last) {
                    continue;
                }
            }
            self.load_block(position)?;
            let Some(block) = self.blocks.get_mut(position) else { return Ok(None) };
            if let Some(seq) = previous_in_block(block, filter, start) {
                return Ok(Some((seq, position)));
            }
        }
        Ok(None)
    }

    /// The first sequence of a subject at or after `from`.
    pub(super) fn first_of_subject(
        &mut self,
        subject: &[u8],
        from: u64,
    ) -> StoreResult<Option<u64>> {
        let Some(info) = self.subjects.find(subject).copied() else { return Ok(None) };
        if info.total == 1 && info.last != 0 && info.last != LAST_BLOCK_IS_BOUND {
            return Ok((info.last >= from).then_some(info.last));
        }
        let mut position = self.blocks.partition_point(|block| block.index < info.first_block);
        while let Some(block) = self.blocks.get(position) {
            let index = block.index;
            if index > info.last_block {
                break;
            }
            if !block.is_empty() && block.last.seq >= from {
                self.load_block(position)?;
                let found = first_in_block(&mut self.blocks[position], subject, from);
                if let Some(seq) = found {
                    if from <= self.totals.first.seq
                        && let Some(info) = self.subjects.find_mut(subject)
                    {
                        info.first_block = index;
                    }
                    return Ok(Some(seq));
                }
            }
            position += 1;
        }
        Ok(None)
    }

    /// The last sequence of a subject.
    pub(super) fn last_of_subject(&mut self, subject: &[u8]) -> StoreResult<Option<u64>> {
        let Some(info) = self.subjects.find(subject).copied() else { return Ok(None) };
        if info.last != 0 && info.last != LAST_BLOCK_IS_BOUND {
            return Ok(Some(info.last));
        }
        let mut position = self.blocks.partition_point(|block| block.index <= info.last_block);
        while position > 0 {
            position -= 1;
            let block = &self.blocks[position];
            if block.index < info.first_block {
                break;
            }
            if block.is_empty() {
                continue;
            }
            self.load_block(position)?;
            let block = &mut self.blocks[position];
            let index = block.index;
            if let Some(seq) = last_in_block(block, subject, u64::MAX) {
                if let Some(info) = self.subjects.find_mut(subject) {
                    info.last = seq;
                    info.last_block = index;
                }
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// The highest sequence of all subjects that match.
    fn last_matching(&mut self, filter: &SubjectFilter, to: u64) -> StoreResult<Option<u64>> {
        if let SubjectFilter::Literal(subject) = filter
            && sublist_indexes(subject)
        {
            return self.last_of_subject(subject);
        }
        Ok(self.find_previous(filter, to)?.map(|(seq, _)| seq))
    }

    /// The first sequence stored at or after `time`.
    pub(super) fn first_since(&mut self, time: Timestamp) -> u64 {
        if self.closed {
            return 0;
        }
        let nanos = time.nanos();
        let last = self.totals.last.seq;
        let mut position = 0;
        while let Some(block) = self.blocks.get(position) {
            if block.is_empty() || block.last.timestamp < nanos {
                position += 1;
                continue;
            }
            if self.load_block(position).is_err() {
                return last + 1;
            }
            let block = &self.blocks[position];
            // Times of messages rise with their sequences, apart from steps of the clock.
            let (mut low, mut high) = (block.first.seq, block.last.seq + 1);
            let mut found = block.last.seq + 1;
            while low < high {
                let middle = low + (high - low) / 2;
                match block.next_live(middle).filter(|seq| *seq < high) {
                    None => high = middle,
                    Some(seq) if block.timestamp(seq).unwrap_or(i64::MAX) >= nanos => {
                        found = seq;
                        high = middle;
                    }
                    Some(seq) => low = seq + 1,
                }
            }
            return found;
        }
        last + 1
    }
}

/// Whether the subject tree takes such a subject.
pub(super) fn sublist_indexes(subject: &[u8]) -> bool {
    !subject.is_empty() && sublist::stree::SubjectTree::<()>::is_indexable(subject)
}

fn corrupt(block: u32, error: RecordError) -> StoreError {
    StoreError::CorruptMessage { block: u64::from(block), reason: error.to_string() }
}

/// A live message as a slice of its block.
fn read_live(block: &mut Block, seq: u64) -> Result<StoredMessage, RecordError> {
    let raw = block.verified(seq)?;
    let loaded = block.loaded.as_mut().ok_or(RecordError::TooShort)?;
    let buffer = loaded.shared(seq, raw.payload.end).ok_or(RecordError::Overrun)?;
    let layout = MessageLayout {
        subject_start: raw.subject.start as u32,
        subject_len: raw.subject.len() as u16,
        header_start: raw.header.start as u32,
        header_len: raw.header.len() as u32,
        payload_start: raw.payload.start as u32,
    };
    let (sequence, timestamp) = (StreamSequence::new(seq), Timestamp::from_nanos(raw.timestamp));
    StoredMessage::new(buffer, layout, sequence, timestamp).ok_or(RecordError::Overrun)
}

pub(super) fn first_in_block(block: &mut Block, subject: &[u8], from: u64) -> Option<u64> {
    block
        .loaded
        .as_mut()?
        .with_subjects(|index, base, live| index.first_from(base, subject, from, live))
}

pub(super) fn last_in_block(block: &mut Block, subject: &[u8], to: u64) -> Option<u64> {
    block.loaded.as_mut()?.with_subjects(|index, base, live| index.last_to(base, subject, to, live))
}

/// The first match in a loaded block at or after `start`.
fn next_in_block(block: &mut Block, filter: &SubjectFilter, start: u64) -> Option<u64> {
    let mut seq = start;
    for _ in 0..LINEAR_SCAN {
        seq = block.next_live(seq)?;
        if block.loaded.as_ref()?.subject_of(seq).is_some_and(|subject| filter.matches(subject)) {
            return Some(seq);
        }
        seq += 1;
    }
    if let SubjectFilter::Literal(subject) = filter {
        return first_in_block(block, subject, seq);
    }
    let loaded = block.loaded.as_mut()?;
    let distinct = loaded.subject_index().len() as u64;
    if distinct < block.live_from(seq) / 4 {
        return block.loaded.as_mut()?.with_subjects(|index, base, live| {
            let names: Vec<Box<[u8]>> = index
                .subjects()
                .filter(|(subject, _)| filter.matches(subject))
                .map(|(subject, _)| subject.into())
                .collect();
            names.iter().filter_map(|name| index.first_from(base, name, seq, live)).min()
        });
    }
    while let Some(live) = block.next_live(seq) {
        let subject = block.loaded.as_ref()?.subject_of(live);
        if subject.is_some_and(|subject| filter.matches(subject)) {
            return Some(live);
        }
        seq = live + 1;
    }
    None
}

/// The last match in a loaded block at or before `start`.
fn previous_in_block(block: &mut Block, filter: &SubjectFilter, start: u64) -> Option<u64> {
    if let SubjectFilter::Literal(subject) = filter
        && sublist_indexes(subject)
    {
        return last_in_block(block, subject, start);
    }
    let mut seq = start.min(block.last.seq);
    while seq >= block.first.seq {
        let subject = block.loaded.as_ref()?.subject_of(seq);
        if subject.is_some_and(|subject| filter.matches(subject)) {
            return Some(seq);
        }
        seq = seq.checked_sub(1)?;
    }
    None
}
