//! The memory store: messages of one stream, gone when the server is.
//!
//! Spec 06 §13 to §15 with the differences of §17. Messages lie in [`slots::Slots`] by sequence;
//! those of one subject are linked to each other in both directions, and a subject tree knows both
//! ends and the count. So limits per subject, lookups by subject and counts follow links instead
//! of scanning, and what is deleted need not be remembered: it is what is missing.
//!
//! Invariants ([`MemoryStore::check_invariants`]): the links of a subject visit its messages in
//! ascending order, and the tree's entry names the first, the last and their number; `bytes` is
//! the sum of all accounted sizes; `first` is the first message, or one past `last` when there is
//! none (0 in a store that never held anything).

mod cursor;
mod expiry;
mod lookup;
mod record;
mod slots;
mod subjects;

use crate::config::{DiscardPolicy, StorageType, StreamConfig};
use crate::deletes::{DeleteBlock, ReplicatedState};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::headers;
use crate::markers::MarkerProposals;
use crate::message::StoredMessage;
use crate::schedules::Schedules;
use crate::seqset::SequenceSet;
use crate::store::{
    DiscardNewCheck, Lookup, NewMessage, Pending, PurgeRequest, RandomSource, Snapshot,
    SnapshotRequest, Store, StoreEffect, Stored,
};
use crate::time::Timestamp;
use crate::timewheel::TimeWheel;
use crate::types::{MessageTtl, SimpleState, StreamSequence, StreamState};
use bytes::Bytes;
use cursor::MatchCursor;
use record::Record;
use slots::{Slot, Slots};
use std::collections::VecDeque;
use std::sync::Arc;
use subjects::SubjectState;
use sublist::stree::SubjectTree;

/// A gap of at least this many sequences is told to replicas as a run, not as members of a set.
const MIN_RUN: u64 = 1 << 16;

/// The detailed state lists at most so many deleted sequences; their number is always exact. A
/// peer can have a gap of any length skipped at no cost, so its listing needs a bound.
const MAX_DELETED_LISTED: usize = 1 << 24;

/// A message store in memory.
///
/// See [`crate::store`] for how a store is driven.
#[derive(Debug)]
pub struct MemoryStore {
    config: StreamConfig,
    slots: Slots,
    subjects: SubjectTree<SubjectState>,
    bytes: u64,
    /// The first message, or one past `last` when there is none.
    first: u64,
    last: u64,
    last_time: Timestamp,
    consumers: u64,
    /// Expiries of messages, when the stream allows messages their own.
    wheel: Option<TimeWheel>,
    schedules: Option<Schedules>,
    markers: MarkerProposals,
    /// When to look for expired messages next.
    age_deadline: Option<Timestamp>,
    /// Whether a message was stored whose time was decided elsewhere.
    received_any: bool,
    effects: VecDeque<StoreEffect>,
    scratch: Vec<u8>,
    /// Where the last search for few subjects got to.
    cursor: Option<MatchCursor>,
    closed: bool,
}

/// A message that was taken out.
struct Removed {
    record: Arc<[u8]>,
    bytes: u64,
}

impl MemoryStore {
    /// An empty store. The configuration must ask for memory storage.
    pub fn new(config: StreamConfig) -> StoreResult<Self> {
        if config.storage != StorageType::Memory {
            return Err(StoreError::MemoryStorageRequired);
        }
        let mut store = MemoryStore {
            slots: Slots::default(),
            subjects: SubjectTree::new(),
            bytes: 0,
            first: 0,
            last: 0,
            last_time: Timestamp::ZERO,
            consumers: 0,
            wheel: config.allow_msg_ttl.then(TimeWheel::new),
            schedules: config.allow_msg_schedules.then(Schedules::new),
            markers: MarkerProposals::new(),
            age_deadline: None,
            received_any: false,
            effects: VecDeque::new(),
            scratch: Vec::new(),
            cursor: None,
            closed: false,
            config,
        };
        store.config.max_msgs_per_subject = store.config.max_msgs_per_subject.max(-1);
        if store.config.first_seq > 0 {
            store.purge_to(store.config.first_seq)?;
        }
        Ok(store)
    }

    /// Bytes of heap memory the store holds for `n` messages beside the messages' own records.
    pub fn index_heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.subjects.heap_bytes()
    }

    fn check_open(&self) -> StoreResult<()> {
        if self.closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// A configured limit; `None` when there is none.
    fn limit(value: i64) -> Option<u64> {
        u64::try_from(value).ok().filter(|limit| *limit > 0)
    }

    fn max_per_subject(&self) -> Option<u64> {
        Self::limit(self.config.max_msgs_per_subject)
    }

    /// The sequence the next message gets, given the one it was told to get.
    fn next_sequence(&self, given: StreamSequence) -> StoreResult<u64> {
        let next = self.last.checked_add(1).ok_or(StoreError::SequencesExhausted)?;
        if given.get() == next || given.is_zero() {
            Ok(next)
        } else {
            Err(StoreError::SequenceMismatch)
        }
    }

    /// Whether a full stream that discards new messages takes this one (spec 06 §13.1).
    fn check_discard_new(&self, message: &NewMessage<'_>, bytes: u64) -> StoreResult<()> {
        if self.config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let held = self.subjects.find(message.subject).filter(|_| !message.subject.is_empty());
        let full = held.filter(|subject| {
            self.max_per_subject().is_some_and(|limit| subject.messages >= limit)
        });
        if full.is_some()
            && self.config.discard_new_per_subject
            && !headers::has_value(message.header, headers::ROLLUP)
        {
            return Err(StoreError::MaxMessagesPerSubject);
        }
        let over_count =
            Self::limit(self.config.max_msgs).is_some_and(|limit| self.slots.len() >= limit);
        if over_count && full.is_none() {
            return Err(StoreError::MaxMessages);
        }
        let over_bytes = Self::limit(self.config.max_bytes)
            .is_some_and(|limit| self.bytes.saturating_add(bytes) > limit);
        if over_bytes {
            // The oldest message of the subject goes: that must make enough room.
            let freed = full
                .and_then(|subject| self.slots.get(subject.first))
                .map(|slot| Record(&slot.record).accounted_size());
            if freed.is_none_or(|freed| freed < bytes) {
                return Err(StoreError::MaxBytes);
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        message: &NewMessage<'_>,
        sequence: StreamSequence,
        timestamp: Timestamp,
        check: DiscardNewCheck,
        now: Timestamp,
    ) -> StoreResult<Stored> {
        self.check_open()?;
        let bytes = record::accounted_size(
            message.subject.len(),
            message.header.len(),
            message.payload.len(),
        );
        if check == DiscardNewCheck::Enforce {
            self.check_discard_new(message, bytes)?;
        }
        let sequence = self.next_sequence(sequence)?;
        let record = record::encode(message, timestamp, &mut self.scratch)
            .ok_or(StoreError::MessageTooLarge)?;

        if self.slots.is_empty() {
            self.first = sequence;
        }
        let linked = self.link_last(message.subject, sequence);
        let previous = linked.map_or(0, |(previous, _)| previous);
        self.slots.push(sequence, Slot { record, previous, next: 0 });
        self.bytes = self.bytes.saturating_add(bytes);
        self.last = sequence;
        self.last_time = timestamp;
        self.effects.push_back(StoreEffect::Added { sequence: sequence.into(), bytes });

        if let (Some((_, state)), Some(limit)) = (linked, self.max_per_subject()) {
            // The first message of the subject, the one behind it, and so on.
            let mut first = state.first;
            for _ in limit..state.messages {
                let next = self.slots.get(first).map_or(0, |slot| slot.next);
                self.remove_one(first);
                first = next;
            }
        }
        self.enforce_stream_limits();
        self.track_expiry(sequence, message.ttl, timestamp, now);
        if let Some(schedules) = &mut self.schedules {
            schedules.on_stored(sequence, message.subject, message.header, timestamp, now);
        }
        Ok(Stored { sequence: sequence.into(), timestamp, bytes })
    }

    /// Removes the oldest messages of a subject above its limit.
    fn enforce_subject_limit(&mut self, subject: &[u8]) {
        let Some(limit) = self.max_per_subject() else { return };
        while let Some(state) = self.subjects.find(subject).filter(|state| state.messages > limit) {
            let first = state.first;
            self.remove_one(first);
        }
    }

    /// Removes the oldest messages above the stream's limits.
    fn enforce_stream_limits(&mut self) {
        if self.config.discard != DiscardPolicy::Old {
            return;
        }
        let max_messages = Self::limit(self.config.max_msgs).unwrap_or(u64::MAX);
        let max_bytes = Self::limit(self.config.max_bytes).unwrap_or(u64::MAX);
        while self.slots.len() > max_messages || self.bytes > max_bytes {
            if !self.remove_one(self.first) {
                break;
            }
        }
    }

    /// Removes a message and reports it.
    fn remove_one(&mut self, sequence: u64) -> bool {
        let Some(removed) = self.take_out(sequence) else { return false };
        self.effects.push_back(StoreEffect::Removed {
            sequence: sequence.into(),
            subject: Bytes::copy_from_slice(Record(&removed.record).subject()),
            bytes: removed.bytes,
        });
        true
    }

    fn report_many(&mut self, messages: u64, bytes: u64) {
        if messages > 0 || bytes > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
    }

    /// Takes a message out of everything that knows of it.
    fn take_out(&mut self, sequence: u64) -> Option<Removed> {
        let slot = self.slots.remove(sequence)?;
        let record = Record(&slot.record);
        let bytes = record.accounted_size();
        self.bytes = self.bytes.saturating_sub(bytes);
        if sequence == self.first {
            self.first = self
                .slots
                .next(sequence)
                .map_or(self.last.saturating_add(1), |(sequence, _)| sequence);
        }
        self.unlink(sequence, record.subject(), slot.previous, slot.next);
        self.markers.remove(sequence, record.subject());
        self.forget_expiry(sequence, record);
        if let Some(schedules) = &mut self.schedules {
            schedules.remove(sequence);
        }
        Some(Removed { bytes, record: slot.record })
    }

    /// Removes everything and lets the next message have sequence `first`, or the one after the
    /// last if `first` is 0.
    fn purge_to(&mut self, first: u64) -> StoreResult<u64> {
        let first = match first {
            0 => self.last.saturating_add(1),
            first if first < self.last => return Err(StoreError::PartialPurgeUnsupported),
            first => first,
        };
        let (messages, bytes) = (self.slots.len(), self.bytes);
        self.clear_messages();
        self.first = first;
        self.last = first - 1;
        self.report_many(messages, bytes);
        Ok(messages)
    }

    fn clear_messages(&mut self) {
        self.slots.clear();
        self.subjects.clear();
        self.cursor = None;
        self.bytes = 0;
        self.markers.clear();
        if let Some(wheel) = &mut self.wheel {
            wheel.clear();
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.clear();
        }
    }

    /// What is missing between the first and the last sequence.
    fn gaps(&self) -> impl Iterator<Item = std::ops::RangeInclusive<u64>> + '_ {
        let mut expected = self.first;
        let end = self.last.saturating_add(1);
        let present = self.slots.from(self.first).map(|(sequence, _)| sequence);
        let held = !self.slots.is_empty();
        present.chain(held.then_some(end)).filter_map(move |sequence| {
            let gap = expected..=sequence.saturating_sub(1);
            let missing = sequence > expected;
            expected = sequence.saturating_add(1);
            missing.then_some(gap)
        })
    }

    /// Sequences between the first and the last that hold nothing.
    fn num_deleted(&self) -> u64 {
        if self.last > self.first {
            (self.last - self.first + 1).saturating_sub(self.slots.len())
        } else {
            0
        }
    }

    /// Panics when an invariant of the store does not hold. Takes time in proportion to the
    /// number of messages.
    pub fn check_invariants(&self) {
        self.slots.check_invariants();
        self.subjects.check_invariants();
        let sizes = self.slots.from(0).map(|(_, slot)| Record(&slot.record).accounted_size());
        assert_eq!(sizes.sum::<u64>(), self.bytes, "bytes are the sum of the messages'");
        match self.slots.next(0) {
            Some((sequence, _)) => assert_eq!(sequence, self.first, "first is the first message"),
            None if self.last == 0 => assert!(self.first <= 1),
            None => assert_eq!(self.first, self.last.saturating_add(1)),
        }
        assert!(self.slots.previous(u64::MAX).is_none_or(|(sequence, _)| sequence <= self.last));
        self.check_subjects();
        if let Some(schedules) = &self.schedules {
            schedules.check_invariants();
        }
    }
}

impl Store for MemoryStore {
    fn config(&self) -> &StreamConfig {
        &self.config
    }

    fn storage_type(&self) -> StorageType {
        StorageType::Memory
    }

    fn store_message(&mut self, message: NewMessage<'_>, now: Timestamp) -> StoreResult<Stored> {
        self.store(&message, StreamSequence::ZERO, now, DiscardNewCheck::Enforce, now)
    }

    fn store_raw_message(
        &mut self,
        message: NewMessage<'_>,
        sequence: StreamSequence,
        timestamp: Timestamp,
        check: DiscardNewCheck,
        now: Timestamp,
    ) -> StoreResult<Stored> {
        let stored = self.store(&message, sequence, timestamp, check, now)?;
        self.note_replicated(timestamp, now);
        Ok(stored)
    }

    fn skip(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<StreamSequence> {
        self.check_open()?;
        let sequence = self.next_sequence(sequence)?;
        self.skip_to(sequence, now);
        Ok(sequence.into())
    }

    fn skip_no_interest(
        &mut self,
        sequence: StreamSequence,
        now: Timestamp,
    ) -> StoreResult<StreamSequence> {
        let sequence = self.skip(sequence, now)?;
        self.last_time = now;
        Ok(sequence)
    }

    fn skip_many(
        &mut self,
        sequence: StreamSequence,
        count: u64,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.check_open()?;
        let first = self.next_sequence(sequence)?;
        if let Some(more) = count.checked_sub(1) {
            let last = first.checked_add(more).ok_or(StoreError::SequencesExhausted)?;
            self.skip_to(last, now);
        }
        Ok(())
    }

    fn flush(&mut self) -> StoreResult<()> {
        self.check_open()
    }

    fn sync(&mut self) -> StoreResult<StreamSequence> {
        self.check_open()?;
        Ok(self.durable_sequence())
    }

    fn durable_sequence(&self) -> StreamSequence {
        self.last.into()
    }

    fn load(&mut self, sequence: StreamSequence) -> StoreResult<StoredMessage> {
        self.load_at(sequence.get())
    }

    fn load_next(&mut self, filter: &SubjectFilter, start: StreamSequence) -> StoreResult<Lookup> {
        self.check_open()?;
        Ok(self.find_next(filter, start.get()))
    }

    fn load_previous(
        &mut self,
        filter: &SubjectFilter,
        start: StreamSequence,
    ) -> StoreResult<Lookup> {
        self.check_open()?;
        Ok(self.find_previous(filter, start.get()))
    }

    fn load_last(&mut self, filter: &SubjectFilter) -> StoreResult<StoredMessage> {
        self.find_last(filter).ok_or(StoreError::MessageNotFound)
    }

    fn subject_for_sequence(&mut self, sequence: StreamSequence) -> StoreResult<Bytes> {
        let slot = self.slots.get(sequence.get()).ok_or(StoreError::MessageNotFound)?;
        Ok(Bytes::copy_from_slice(Record(&slot.record).subject()))
    }

    fn sequence_from_time(&mut self, time: Timestamp) -> StreamSequence {
        self.first_at_or_after(time).into()
    }

    fn filtered_state(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
    ) -> StoreResult<SimpleState> {
        self.check_open()?;
        Ok(self.state_from(start.get(), filter))
    }

    fn subjects_state(
        &mut self,
        filter: &SubjectFilter,
    ) -> StoreResult<Vec<(Box<[u8]>, SimpleState)>> {
        self.check_open()?;
        Ok(self.states_by_subject(filter))
    }

    fn subjects_totals(&mut self, filter: &[u8]) -> StoreResult<Vec<(Box<[u8]>, u64)>> {
        self.check_open()?;
        let mut totals = Vec::new();
        self.subjects.match_filter(filter, |subject, state| {
            totals.push((subject.into(), state.messages));
        });
        Ok(totals)
    }

    fn all_last_sequences(&mut self) -> StoreResult<Vec<StreamSequence>> {
        self.check_open()?;
        let mut last: Vec<StreamSequence> =
            self.subjects.values().map(|state| state.last.into()).collect();
        last.sort_unstable();
        Ok(last)
    }

    fn multi_last_sequences(
        &mut self,
        filters: &[SubjectFilter],
        max_sequence: StreamSequence,
        max_allowed: usize,
    ) -> StoreResult<Vec<StreamSequence>> {
        self.check_open()?;
        self.last_of_each(filters, max_sequence.get(), max_allowed)
    }

    fn num_pending(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
        last_per_subject: bool,
    ) -> StoreResult<Pending> {
        self.check_open()?;
        let total = if last_per_subject {
            self.subjects_ending_from(start.get(), filter)
        } else {
            self.state_from(start.get(), filter).messages
        };
        Ok(Pending { total, valid_through: self.last.into() })
    }

    fn state(&mut self) -> StreamState {
        let mut state = self.fast_state();
        state.deleted = self.gaps().flatten().take(MAX_DELETED_LISTED).collect();
        state
    }

    fn fast_state(&self) -> StreamState {
        let first_time = self
            .slots
            .get(self.first)
            .map_or(Timestamp::ZERO, |slot| Record(&slot.record).timestamp());
        StreamState {
            messages: self.slots.len(),
            bytes: self.bytes,
            first_seq: self.first.into(),
            first_time,
            last_seq: self.last.into(),
            last_time: self.last_time,
            num_subjects: self.subjects.len() as u64,
            num_deleted: self.num_deleted(),
            consumers: self.consumers,
            ..StreamState::default()
        }
    }

    fn utilization(&self) -> StoreResult<(u64, u64)> {
        Ok((self.bytes, self.bytes))
    }

    fn remove(&mut self, sequence: StreamSequence) -> StoreResult<bool> {
        self.check_open()?;
        Ok(self.remove_one(sequence.get()))
    }

    fn erase(
        &mut self,
        sequence: StreamSequence,
        random: &mut dyn RandomSource,
    ) -> StoreResult<bool> {
        self.check_open()?;
        let Some(mut removed) = self.take_out(sequence.get()) else { return Ok(false) };
        self.effects.push_back(StoreEffect::Removed {
            sequence,
            subject: Bytes::copy_from_slice(Record(&removed.record).subject()),
            bytes: removed.bytes,
        });
        // A reader may still hold the message; then its bytes go with the last one.
        if let Some(bytes) = Arc::get_mut(&mut removed.record) {
            random.fill(bytes);
        }
        Ok(true)
    }

    fn purge(&mut self) -> StoreResult<u64> {
        self.check_open()?;
        self.purge_to(0)
    }

    fn purge_matching(&mut self, request: &PurgeRequest) -> StoreResult<u64> {
        self.check_open()?;
        let below = request.below.get();
        match request.filter {
            _ if below == 1 => Ok(0),
            SubjectFilter::All if below > 1 => self.compact(request.below),
            SubjectFilter::All if request.keep == 0 => self.purge_to(0),
            _ => Ok(self.purge_some(request)),
        }
    }

    fn compact(&mut self, sequence: StreamSequence) -> StoreResult<u64> {
        self.check_open()?;
        let sequence = sequence.get();
        if sequence == 0 {
            return self.purge_to(0);
        }
        if self.first > sequence {
            return Ok(0);
        }
        if sequence > self.last {
            return self.purge_to(sequence);
        }
        let gone: Vec<u64> = self
            .slots
            .from(self.first)
            .map(|(gone, _)| gone)
            .take_while(|gone| *gone < sequence)
            .collect();
        let purged = self.take_out_all(&gone);
        self.report_many(purged.0, purged.1);
        Ok(purged.0)
    }

    fn truncate(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        let sequence = sequence.get();
        if sequence == 0 {
            let (messages, bytes) = (self.slots.len(), self.bytes);
            self.clear_messages();
            (self.first, self.last, self.last_time) = (0, 0, now);
            self.report_many(messages, bytes);
            return Ok(());
        }
        if let Some(slot) = self.slots.get(sequence) {
            self.last_time = Record(&slot.record).timestamp();
        }
        let gone: Vec<u64> = self
            .slots
            .up_to(self.last)
            .map(|(gone, _)| gone)
            .take_while(|gone| *gone > sequence)
            .collect();
        let (messages, bytes) = self.take_out_all(&gone);
        // Sequences it knows will be given out again.
        self.cursor = None;
        self.last = sequence;
        if self.slots.is_empty() {
            self.first = sequence.saturating_add(1);
        }
        self.report_many(messages, bytes);
        Ok(())
    }

    fn sync_deleted(&mut self, deleted: &[DeleteBlock]) -> StoreResult<()> {
        self.check_open()?;
        for block in deleted {
            let (first, last, _) = block.state();
            if first > self.last {
                continue;
            }
            // Only what is held is looked at, so that a long run costs nothing.
            let gone: Vec<u64> = match block {
                DeleteBlock::Range { .. } => self
                    .slots
                    .from(first)
                    .map(|(sequence, _)| sequence)
                    .take_while(|sequence| *sequence <= last)
                    .collect(),
                _ => block.iter().filter(|sequence| self.slots.get(*sequence).is_some()).collect(),
            };
            for sequence in gone {
                self.remove_one(sequence);
            }
        }
        Ok(())
    }

    fn encoded_state(&mut self, failed: u64) -> StoreResult<Vec<u8>> {
        self.check_open()?;
        let mut set = SequenceSet::new();
        let mut deleted = Vec::new();
        for gap in self.gaps() {
            let count = gap.end() - gap.start() + 1;
            if count >= MIN_RUN {
                deleted.push(DeleteBlock::Range { first: *gap.start(), count });
            } else {
                set.insert_range(gap);
            }
        }
        if !set.is_empty() {
            deleted.push(DeleteBlock::Set(set));
        }
        // Readers stop at the first block past their last sequence.
        deleted.sort_by_key(|block| block.state().0);
        let state = ReplicatedState {
            messages: self.slots.len(),
            bytes: self.bytes,
            first: self.first.into(),
            last: self.last.into(),
            failed,
            deleted,
        };
        Ok(state.encode())
    }

    fn update_config(&mut self, config: StreamConfig, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        if config.storage != StorageType::Memory {
            return Err(StoreError::MemoryStorageRequired);
        }
        let limit_before = self.max_per_subject();
        self.config = config;
        self.config.max_msgs_per_subject = self.config.max_msgs_per_subject.max(-1);
        self.update_tracking(now);
        self.enforce_stream_limits();
        if let Some(limit) = self.max_per_subject()
            && limit_before.is_none_or(|before| limit < before)
        {
            let mut over: Vec<Box<[u8]>> = Vec::new();
            self.subjects.iter_ordered(|subject, state| {
                if state.messages > limit {
                    over.push(subject.into());
                }
                true
            });
            over.iter().for_each(|subject| self.enforce_subject_limit(subject));
        }
        if self.config.max_age > 0 || self.config.allow_msg_ttl {
            self.expire(now);
        }
        self.fire_schedules(now);
        Ok(())
    }

    fn set_consumers(&mut self, count: u64) {
        self.consumers = count;
    }

    fn reset_proposals(&mut self) {
        if let Some(schedules) = &mut self.schedules {
            schedules.clear_in_flight();
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let schedules = self.schedules.as_ref().and_then(Schedules::next_deadline);
        [self.age_deadline, schedules].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        if self.age_deadline.is_some_and(|deadline| deadline <= now) {
            self.expire(now);
        }
        let schedules = self.schedules.as_ref().and_then(Schedules::next_deadline);
        if schedules.is_some_and(|deadline| deadline <= now) {
            self.fire_schedules(now);
        }
        Ok(())
    }

    fn poll_effect(&mut self) -> Option<StoreEffect> {
        self.effects.pop_front()
    }

    fn snapshot(&mut self, _request: SnapshotRequest) -> StoreResult<Snapshot> {
        Err(StoreError::NotImplemented)
    }

    fn stop(&mut self, _now: Timestamp) -> StoreResult<()> {
        if self.closed {
            return Ok(());
        }
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        self.clear_messages();
        self.first = self.last.saturating_add(1);
        self.age_deadline = None;
        self.closed = true;
        self.effects.push_back(StoreEffect::Usage { bytes: -bytes });
        Ok(())
    }

    fn delete(&mut self) -> StoreResult<()> {
        self.stop(Timestamp::ZERO)
    }
}

impl MemoryStore {
    /// Lets `last` be the last sequence, with nothing stored up to it.
    fn skip_to(&mut self, last: u64, now: Timestamp) {
        self.last = last;
        if self.last_time.is_zero() {
            self.last_time = now;
        }
        if self.slots.is_empty() {
            self.first = last.saturating_add(1);
        }
    }

    /// Takes messages out without reporting them one by one; returns their number and bytes.
    fn take_out_all(&mut self, sequences: &[u64]) -> (u64, u64) {
        sequences
            .iter()
            .filter_map(|sequence| self.take_out(*sequence))
            .fold((0, 0), |(messages, bytes), removed| (messages + 1, bytes + removed.bytes))
    }

    /// Removes matching messages, oldest first, below a sequence and down to a number to keep.
    fn purge_some(&mut self, request: &PurgeRequest) -> u64 {
        let total = self.state_from(1, &request.filter).messages;
        if total == 0 || (request.keep > 0 && request.keep >= total) {
            return 0;
        }
        let below = match request.below.get() {
            0 => u64::MAX,
            below => below,
        };
        let allowed = usize::try_from(total - request.keep).unwrap_or(usize::MAX);
        let gone = self.matching_sequences(&request.filter, below, allowed);
        let Some(first) = gone.first() else { return 0 };
        if let [only] = gone.as_slice() {
            return u64::from(self.remove_one(*only));
        }
        debug_assert!(self.slots.get(*first).is_some());
        let (messages, bytes) = self.take_out_all(&gone);
        self.report_many(messages, bytes);
        messages
    }
}

/// A time to live that cannot be read counts as none: the stream refused it when it came, or did
/// not look because it did not allow any.
fn ttl_of(header: &[u8]) -> MessageTtl {
    MessageTtl::of_header(header).unwrap_or(MessageTtl::Unset)
}

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod tests;
