//! The file store as a [`Store`].

use bytes::Bytes;

use super::FileStore;
use crate::config::{StorageType, StreamConfig};
use crate::deletes::DeleteBlock;
use crate::disk::remove_dir_if_exists;
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::message::StoredMessage;
use crate::store::{
    DiscardNewCheck, Lookup, NewMessage, Pending, PurgeRequest, RandomSource, Snapshot,
    SnapshotRequest, Store, StoreEffect, Stored,
};
use crate::time::Timestamp;
use crate::types::{SimpleState, StreamSequence, StreamState};

impl Store for FileStore {
    fn config(&self) -> &StreamConfig {
        &self.config
    }

    fn storage_type(&self) -> StorageType {
        StorageType::File
    }

    fn store_message(&mut self, message: NewMessage<'_>, now: Timestamp) -> StoreResult<Stored> {
        self.note_time(now);
        self.store(message, 0, now.nanos(), DiscardNewCheck::Enforce)
    }

    fn store_raw_message(
        &mut self,
        message: NewMessage<'_>,
        sequence: StreamSequence,
        timestamp: Timestamp,
        check: DiscardNewCheck,
        now: Timestamp,
    ) -> StoreResult<Stored> {
        self.note_time(now);
        self.store(message, sequence.get(), timestamp.nanos(), check)
    }

    fn skip(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<StreamSequence> {
        self.note_time(now);
        self.skip_one(sequence.get(), false, now).map(StreamSequence::new)
    }

    fn skip_no_interest(
        &mut self,
        sequence: StreamSequence,
        now: Timestamp,
    ) -> StoreResult<StreamSequence> {
        self.note_time(now);
        self.skip_one(sequence.get(), true, now).map(StreamSequence::new)
    }

    fn skip_many(
        &mut self,
        sequence: StreamSequence,
        count: u64,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.note_time(now);
        self.skip_range(sequence.get(), count, now)
    }

    fn flush(&mut self) -> StoreResult<()> {
        self.writable()?;
        self.flush_last()
    }

    fn sync(&mut self) -> StoreResult<StreamSequence> {
        self.sync_now().map(StreamSequence::new)
    }

    fn durable_sequence(&self) -> StreamSequence {
        StreamSequence::new(self.durable)
    }

    fn load(&mut self, sequence: StreamSequence) -> StoreResult<StoredMessage> {
        self.load_message(sequence.get())
    }

    fn load_next(&mut self, filter: &SubjectFilter, start: StreamSequence) -> StoreResult<Lookup> {
        self.next_message(filter, start.get())
    }

    fn load_previous(
        &mut self,
        filter: &SubjectFilter,
        start: StreamSequence,
    ) -> StoreResult<Lookup> {
        self.previous_message(filter, start.get())
    }

    fn load_last(&mut self, filter: &SubjectFilter) -> StoreResult<StoredMessage> {
        self.last_message(filter).map_err(|_| StoreError::MessageNotFound)
    }

    fn subject_for_sequence(&mut self, sequence: StreamSequence) -> StoreResult<Bytes> {
        self.open_check()?;
        let seq = sequence.get();
        let position = self.position_of(seq).ok_or(StoreError::MessageNotFound)?;
        Ok(self.read_message(seq, position)?.subject_bytes())
    }

    fn sequence_from_time(&mut self, time: Timestamp) -> StreamSequence {
        StreamSequence::new(self.first_since(time))
    }

    fn filtered_state(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
    ) -> StoreResult<SimpleState> {
        self.filtered(start.get(), filter)
    }

    fn subjects_state(
        &mut self,
        filter: &SubjectFilter,
    ) -> StoreResult<Vec<(Box<[u8]>, SimpleState)>> {
        self.states_of_subjects(filter)
    }

    fn subjects_totals(&mut self, filter: &[u8]) -> StoreResult<Vec<(Box<[u8]>, u64)>> {
        let matching = self.matching_subjects(&SubjectFilter::new(filter));
        Ok(matching.into_iter().map(|(subject, info)| (subject, info.total)).collect())
    }

    fn all_last_sequences(&mut self) -> StoreResult<Vec<StreamSequence>> {
        self.last_sequences(&[SubjectFilter::All], 0, 0)
    }

    fn multi_last_sequences(
        &mut self,
        filters: &[SubjectFilter],
        max_sequence: StreamSequence,
        max_allowed: usize,
    ) -> StoreResult<Vec<StreamSequence>> {
        self.last_sequences(filters, max_sequence.get(), max_allowed)
    }

    fn num_pending(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
        last_per_subject: bool,
    ) -> StoreResult<Pending> {
        self.pending(start.get(), filter, last_per_subject)
    }

    fn state(&mut self) -> StreamState {
        self.detailed_state()
    }

    fn fast_state(&self) -> StreamState {
        self.state_without_lists()
    }

    fn utilization(&self) -> StoreResult<(u64, u64)> {
        let raw = self.blocks.iter().map(|block| block.raw_len).sum();
        Ok((raw, self.totals.bytes))
    }

    fn remove(&mut self, sequence: StreamSequence) -> StoreResult<bool> {
        self.remove_message(sequence.get())
    }

    fn erase(
        &mut self,
        sequence: StreamSequence,
        random: &mut dyn RandomSource,
    ) -> StoreResult<bool> {
        self.erase_message(sequence.get(), random)
    }

    fn purge(&mut self) -> StoreResult<u64> {
        self.purge_to(None)
    }

    fn purge_matching(&mut self, request: &PurgeRequest) -> StoreResult<u64> {
        self.purge_request(request)
    }

    fn compact(&mut self, sequence: StreamSequence) -> StoreResult<u64> {
        self.compact_to(sequence.get())
    }

    fn truncate(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<()> {
        self.note_time(now);
        self.truncate_to(sequence.get(), now)
    }

    fn sync_deleted(&mut self, deleted: &[DeleteBlock]) -> StoreResult<()> {
        self.remove_deleted(deleted)
    }

    fn encoded_state(&mut self, failed: u64) -> StoreResult<Vec<u8>> {
        self.open_check()?;
        Ok(self.replicated_state(failed))
    }

    fn update_config(&mut self, config: StreamConfig, now: Timestamp) -> StoreResult<()> {
        self.note_time(now);
        self.open_check()?;
        if config.name.is_empty() {
            return Err(StoreError::NameRequired);
        }
        if config.storage != StorageType::File {
            return Err(StoreError::FileStorageRequired);
        }
        let mut config = config;
        if config.max_msgs_per_subject < -1 {
            config.max_msgs_per_subject = -1;
        }
        let old = std::mem::replace(&mut self.config, config);
        if let Err(error) = self.write_meta(false) {
            self.config = old;
            return Err(error);
        }
        self.adopt_timers(now)?;
        self.enforce_max_messages()?;
        self.enforce_max_bytes()?;
        let per_subject = self.config.max_msgs_per_subject;
        let lowered = per_subject > 0
            && (old.max_msgs_per_subject <= 0 || per_subject < old.max_msgs_per_subject);
        if lowered {
            self.enforce_per_subject_everywhere()?;
        }
        self.expire(now)?;
        self.arm_after_open(now);
        self.tidy()
    }

    fn set_consumers(&mut self, count: u64) {
        self.consumers = count;
    }

    fn reset_proposals(&mut self) {
        self.expiry.forget_proposals();
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let timers = if self.failed.is_none() { self.expiry.deadline() } else { None };
        [timers, self.upkeep_deadline()].into_iter().flatten().min().map(Timestamp::from_nanos)
    }

    fn tick(&mut self, now: Timestamp) -> StoreResult<()> {
        self.note_time(now);
        self.open_check()?;
        if self.failed.is_none() {
            self.run_timers(now)?;
        }
        self.run_upkeep(now)
    }

    fn poll_effect(&mut self) -> Option<StoreEffect> {
        self.effects.pop_front()
    }

    fn snapshot(&mut self, request: SnapshotRequest) -> StoreResult<Snapshot> {
        self.take_snapshot(&request)
    }

    fn stop(&mut self, now: Timestamp) -> StoreResult<()> {
        self.note_time(now);
        self.open_check()?;
        let written = if self.failed.is_none() { self.write_index() } else { Ok(()) };
        self.close();
        written
    }

    fn delete(&mut self) -> StoreResult<()> {
        let was_closed = self.closed;
        self.close();
        let removed = self.remove_directory();
        if was_closed { Err(StoreError::Closed) } else { removed }
    }
}

impl FileStore {
    fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        if self.totals.bytes > 0 {
            let bytes = i64::try_from(self.totals.bytes).unwrap_or(i64::MAX);
            self.effects.push_back(StoreEffect::Usage { bytes: -bytes });
        }
        for block in &mut self.blocks {
            block.file = None;
            block.loaded = None;
        }
    }

    /// Gives the directory a name under which it counts as deleted, then removes it.
    fn remove_directory(&mut self) -> StoreResult<()> {
        let dir = self.paths.dir.clone();
        let failed = |error: std::io::Error| super::files::disk_error("remove", &dir, &error);
        let _ = crate::disk::remove_file_if_exists(self.disk.as_ref(), &self.paths.meta());
        let target = match (dir.parent(), dir.file_name()) {
            (Some(parent), Some(name)) => {
                let mut hidden = std::ffi::OsString::from(".");
                hidden.push(name);
                let hidden = parent.join(hidden);
                remove_dir_if_exists(self.disk.as_ref(), &hidden).map_err(failed)?;
                match self.disk.rename(&dir, &hidden) {
                    Ok(()) => {
                        let _ = self.disk.sync_dir(parent);
                        hidden
                    }
                    Err(_) => dir.clone(),
                }
            }
            _ => dir.clone(),
        };
        remove_dir_if_exists(self.disk.as_ref(), &target).map_err(failed)?;
        Ok(())
    }
}
