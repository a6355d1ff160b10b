//! Loading messages and finding the next, previous and last ones (spec 06, section 15).

use bytes::Bytes;

use super::block::Block;
use super::record::{RawRecord, RecordError};
use super::remove::LAST_BLOCK_IS_BOUND;
use super::subject_index::SubjectHash;
use super::{FileStore, SubjectInfo};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::message::{MessageLayout, StoredMessage};
use crate::store::Lookup;
use crate::time::Timestamp;
use crate::types::StreamSequence;

/// Records looked at one by one before an index of a block's subjects is made.
const LINEAR_SCAN: usize = 64;
/// Subjects a block's index is asked for one by one; to find one of more, its records are looked at.
const MAX_ASKED: usize = 2048;

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
        if let Some(cold) = self.read_cold(position, seq)
            && let Some(message) = message_of(&cold.raw, cold.bytes, seq)
        {
            return Ok(message);
        }
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

    /// The subjects that match, with what is known of them, in the order of their bytes.
    pub(super) fn matching_subjects(
        &self,
        filter: &SubjectFilter,
    ) -> Vec<(Box<[u8]>, SubjectInfo)> {
        let mut found: Vec<(Box<[u8]>, SubjectInfo)> = Vec::new();
        filter.visit(&self.subjects, |subject, info| {
            found.push((subject.into(), *info));
            true
        });
        if matches!(filter, SubjectFilter::Any(_)) {
            found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        found
    }

    /// The subjects that match with the blocks they may be in.
    pub(super) fn candidates(&self, filter: &SubjectFilter) -> Vec<Candidate> {
        let mut found = Vec::new();
        filter.visit(&self.subjects, |subject, info| {
            found.push(Candidate {
                subject: subject.into(),
                hash: SubjectHash::of(subject),
                total: info.total,
                first_block: info.first_block,
                last_block: info.last_block,
            });
            true
        });
        found
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
        let unindexed = is_unindexed(filter);
        let mut candidates: Option<Vec<Candidate>> = match filter {
            SubjectFilter::Literal(_) if !unindexed => Some(self.candidates(filter)),
            _ => None,
        };
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
            if let Some(candidates) = &candidates {
                let index = block.index;
                let next = candidates
                    .iter()
                    .filter(|candidate| candidate.last_block >= index)
                    .map(|candidate| candidate.first_block.max(index))
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
            let found = match &candidates {
                Some(candidates) if candidates.len() <= MAX_ASKED => {
                    first_of_candidates(block, candidates, start)
                }
                _ => next_in_block(block, filter, start),
            };
            if let Some(seq) = found {
                return Ok(Some((seq, position)));
            }
            start = start.max(self.blocks[position].last.seq.saturating_add(1));
            if candidates.is_none() && !unindexed {
                candidates = Some(self.candidates(filter));
            }
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
        let unindexed = is_unindexed(filter);
        let mut candidates: Option<Vec<Candidate>> = match filter {
            SubjectFilter::Literal(_) if !unindexed => Some(self.candidates(filter)),
            _ => None,
        };
        let mut position = self.position_at_or_after(start).min(self.blocks.len() - 1) + 1;
        while position > 0 {
            position -= 1;
            let block = &self.blocks[position];
            if block.is_empty() || block.first.seq > start {
                continue;
            }
            if filter.is_all() {
                match block.previous_live(start) {
                    Some(seq) => return Ok(Some((seq, position))),
                    None => continue,
                }
            }
            let index = block.index;
            if candidates.as_ref().is_some_and(|all| !all.iter().any(|one| one.may_be_in(index))) {
                continue;
            }
            self.load_block(position)?;
            let Some(block) = self.blocks.get_mut(position) else { return Ok(None) };
            let found = match &candidates {
                Some(candidates) if candidates.len() <= MAX_ASKED => {
                    last_of_candidates(block, candidates, start)
                }
                _ => previous_in_block(block, filter, start),
            };
            if let Some(seq) = found {
                return Ok(Some((seq, position)));
            }
            if candidates.is_none() && !unindexed {
                candidates = Some(self.candidates(filter));
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
        let Some(info) = self.subjects.find_mut(subject) else { return Ok(None) };
        if info.last != 0 && info.last != LAST_BLOCK_IS_BOUND {
            return Ok(Some(info.last));
        }
        // Most often it is in the last block that is known, and that block is loaded.
        let position = self.blocks.binary_search_by_key(&info.last_block, |block| block.index);
        if let Some(block) = position.ok().and_then(|position| self.blocks.get_mut(position))
            && block.is_loaded()
            && let Some(seq) = last_in_block(block, subject, u64::MAX)
        {
            info.last = seq;
            return Ok(Some(seq));
        }
        let info = *info;
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
            let was_loaded = block.is_loaded();
            self.load_block(position)?;
            if !was_loaded && info.last == 0 && !self.fits_cache() {
                self.learn_last(position);
            }
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

    /// Notes the last sequences of all subjects whose last message is in this block, so that it
    /// need not be loaded again for each of them.
    fn learn_last(&mut self, position: usize) {
        let block = &mut self.blocks[position];
        let (index, Some(loaded)) = (block.index, &mut block.loaded) else { return };
        let subjects = &mut self.subjects;
        loaded.visit_lasts(|subject, last| {
            if let Some(info) = subjects.find_mut(subject)
                && info.last == 0
                && info.last_block == index
            {
                info.last = last;
            }
        });
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
    message_of(&raw, buffer, seq).ok_or(RecordError::Overrun)
}

fn message_of(raw: &RawRecord, buffer: Bytes, seq: u64) -> Option<StoredMessage> {
    let layout = MessageLayout {
        subject_start: raw.subject.start as u32,
        subject_len: raw.subject.len() as u16,
        header_start: raw.header.start as u32,
        header_len: raw.header.len() as u32,
        payload_start: raw.payload.start as u32,
    };
    let (sequence, timestamp) = (StreamSequence::new(seq), Timestamp::from_nanos(raw.timestamp));
    StoredMessage::new(buffer, layout, sequence, timestamp)
}

/// A subject that matches, with the blocks it may be in.
#[derive(Debug)]
pub(super) struct Candidate {
    pub subject: Box<[u8]>,
    pub hash: SubjectHash,
    pub total: u64,
    pub first_block: u32,
    pub last_block: u32,
}

impl Candidate {
    pub fn may_be_in(&self, block: u32) -> bool {
        self.first_block <= block && block <= self.last_block
    }
}

fn is_unindexed(filter: &SubjectFilter) -> bool {
    matches!(filter, SubjectFilter::Literal(subject) if !sublist_indexes(subject))
}

pub(super) fn first_in_block(block: &mut Block, subject: &[u8], from: u64) -> Option<u64> {
    block.loaded.as_mut()?.first_of(subject, SubjectHash::of(subject), from)
}

pub(super) fn last_in_block(block: &mut Block, subject: &[u8], to: u64) -> Option<u64> {
    block.loaded.as_mut()?.last_of(subject, SubjectHash::of(subject), to)
}

/// The first message of any of these subjects at or after `start`. What is near is found without
/// an index.
fn first_of_candidates(block: &mut Block, candidates: &[Candidate], start: u64) -> Option<u64> {
    let index = block.index;
    let loaded = block.loaded.as_mut()?;
    if let [only] = candidates
        && !loaded.has_index()
    {
        let (mut looked, mut found) = (0, None);
        loaded.visit_from(start, |seq, subject| {
            looked += 1;
            found = (*subject == *only.subject).then_some(seq);
            found.is_none() && looked < LINEAR_SCAN
        });
        if found.is_some() || looked < LINEAR_SCAN {
            return found;
        }
    }
    candidates
        .iter()
        .filter(|one| one.may_be_in(index))
        .filter_map(|one| loaded.first_of(&one.subject, one.hash, start))
        .min()
}

fn last_of_candidates(block: &mut Block, candidates: &[Candidate], to: u64) -> Option<u64> {
    let index = block.index;
    let loaded = block.loaded.as_mut()?;
    candidates
        .iter()
        .filter(|one| one.may_be_in(index))
        .filter_map(|one| loaded.last_of(&one.subject, one.hash, to))
        .max()
}

/// The first match in a loaded block at or after `start`, one record after the other, unless the
/// block has few subjects.
fn next_in_block(block: &mut Block, filter: &SubjectFilter, start: u64) -> Option<u64> {
    let loaded = block.loaded.as_mut()?;
    if loaded.deserves_index() {
        let distinct = loaded.count_subjects() as u64;
        if distinct * 4 < block.messages {
            let mut names: Vec<Box<[u8]>> = Vec::new();
            let loaded = block.loaded.as_mut()?;
            loaded.visit_subjects(|subject, _| {
                if filter.matches(subject) {
                    names.push(subject.into());
                }
            });
            let mut first = |name: &[u8]| loaded.first_of(name, SubjectHash::of(name), start);
            return names.iter().filter_map(|name| first(name)).min();
        }
    }
    let (prefix, mut found) = (filter.literal_prefix(), None);
    block.loaded.as_mut()?.visit_from(start, |seq, subject| {
        if subject.starts_with(prefix) && filter.matches(subject) {
            found = Some(seq);
        }
        found.is_none()
    });
    found
}

/// The last match in a loaded block at or before `start`.
fn previous_in_block(block: &mut Block, filter: &SubjectFilter, start: u64) -> Option<u64> {
    let prefix = filter.literal_prefix();
    let mut seq = block.previous_live(start)?;
    loop {
        let subject = block.loaded.as_ref()?.subject_of(seq);
        if subject.is_some_and(|subject| subject.starts_with(prefix) && filter.matches(subject)) {
            return Some(seq);
        }
        seq = block.previous_live(seq.checked_sub(1)?)?;
    }
}
