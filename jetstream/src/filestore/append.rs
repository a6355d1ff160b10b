//! The write path: appending records, rolling blocks, flushing and syncing (spec 06, sections 5.3,
//! 12 and 13.1, 13.2).
//!
//! Records are encoded into the last block's tail and handed to its file in large writes, at the
//! latest when [`FLUSH_THRESHOLD`] bytes wait. One sync makes everything appended so far durable;
//! what earlier calls removed leaves the disk behind it.

use super::block::{Block, Mark};
use super::files::disk_error;
use super::record::{NewRecord, RecordKind, stored_len};
use super::{FLUSH_THRESHOLD, FileStore, SubjectInfo};
use crate::config::{DiscardPolicy, StoreCompression};
use crate::disk::{Durability, OpenMode, remove_file_if_exists};
use crate::error::{StoreError, StoreResult};
use crate::headers;
use crate::store::{DiscardNewCheck, NewMessage, StoreEffect, Stored};
use crate::time::Timestamp;
use crate::types::{MessageTtl, StreamSequence};

/// Deletes that may pile up in a block by skips before a new one is started.
const MAX_SKIPS_IN_BLOCK: u64 = 64 << 10;

/// What a subject held before a message was stored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeldBefore {
    pub messages: u64,
    /// As in [`SubjectInfo::last`].
    pub last: u64,
}

impl FileStore {
    /// Stores a message as [`crate::store::Store::store_raw_message`] tells.
    pub(super) fn store(
        &mut self,
        message: NewMessage<'_>,
        sequence: u64,
        timestamp: i64,
        check: DiscardNewCheck,
    ) -> StoreResult<Stored> {
        self.writable()?;
        let seq = self.next_sequence(sequence)?;
        let len = stored_len(message.subject.len(), message.header.len(), message.payload.len());
        let replaced = self.admit(&message, len, check)?;
        if seq != self.totals.last.seq + 1 {
            return Err(StoreError::SequenceMismatch);
        }
        let record = NewRecord {
            seq,
            timestamp,
            kind: RecordKind::Message,
            subject: message.subject,
            header: message.header,
            payload: message.payload,
        };
        self.append_record(&record)?;
        let held = self.account_message(&record, len, message.ttl);
        self.effects
            .push_back(StoreEffect::Added { sequence: StreamSequence::new(seq), bytes: len });
        self.expiry.on_stored(
            seq,
            Timestamp::from_nanos(timestamp),
            &message,
            &self.config,
            Timestamp::from_nanos(self.now),
        );
        if replaced {
            self.remove_oldest_of(message.subject)?;
        } else {
            self.enforce_per_subject_on(message.subject, held)?;
        }
        if self.config.discard == DiscardPolicy::Old {
            self.enforce_max_messages()?;
            self.enforce_max_bytes()?;
        }
        self.tidy()?;
        if self.blocks.back().is_some_and(|block| block.pending() >= FLUSH_THRESHOLD) {
            self.flush_last()?;
        }
        self.dirty = true;
        Ok(Stored {
            sequence: StreamSequence::new(seq),
            timestamp: Timestamp::from_nanos(timestamp),
            bytes: len,
        })
    }

    /// The sequence to use when the caller gave `sequence`, 0 for any.
    fn next_sequence(&self, sequence: u64) -> StoreResult<u64> {
        let next = self.totals.last.seq.saturating_add(1);
        if sequence != 0 && sequence != next {
            return Err(StoreError::SequenceMismatch);
        }
        Ok(next)
    }

    /// Takes an appended message into all accounts; returns what its subject held before.
    fn account_message(&mut self, record: &NewRecord<'_>, len: u64, ttl: MessageTtl) -> HeldBefore {
        let mark = Mark { seq: record.seq, timestamp: record.timestamp };
        let block = self.blocks.back_mut().expect("the record was appended to it");
        if block.raw_len == len {
            block.file_first = record.seq;
        }
        block.file_first = block.file_first.min(record.seq);
        if block.is_empty() {
            block.first = mark;
        } else if record.seq > block.last.seq + 1 {
            block.deleted.insert_range(block.last.seq + 1..=record.seq - 1);
        }
        block.last = mark;
        block.messages += 1;
        block.bytes += len;
        if matches!(ttl, MessageTtl::Seconds(_)) {
            block.ttls += 1;
        }
        if !record.header.is_empty() && headers::has_value(record.header, headers::SCHEDULE) {
            block.schedules += 1;
        }
        let index = block.index;
        if self.totals.messages == 0 {
            self.totals.first = mark;
        }
        self.totals.messages += 1;
        self.totals.bytes += len;
        self.totals.last = mark;
        if !record.subject.is_empty() {
            let fresh =
                SubjectInfo { total: 0, first_block: index, last_block: index, last: record.seq };
            if let Some((info, _)) = self.subjects.entry_or_insert_with(record.subject, || fresh) {
                let held = HeldBefore { messages: info.total, last: info.last };
                info.total += 1;
                info.last_block = index;
                info.last = record.seq;
                return held;
            }
        }
        HeldBefore::default()
    }

    /// Skips a sequence (spec 06, section 13.2).
    pub(super) fn skip_one(
        &mut self,
        sequence: u64,
        dates_last: bool,
        now: Timestamp,
    ) -> StoreResult<u64> {
        self.writable()?;
        let seq = self.next_sequence(sequence)?;
        let tick = now.nanos() - now.nanos().rem_euclid(100_000_000);
        let last_time = self.totals.last.timestamp;
        let timestamp = if dates_last || last_time == 0 { tick } else { last_time };
        self.append_record(&NewRecord::skip(seq, timestamp))?;
        self.account_skips(seq, timestamp);
        Ok(seq)
    }

    /// Skips `count` sequences with one record.
    pub(super) fn skip_range(
        &mut self,
        sequence: u64,
        count: u64,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.writable()?;
        let first = self.next_sequence(sequence)?;
        if count == 0 {
            return Ok(());
        }
        let last = first.checked_add(count - 1).ok_or(StoreError::SequenceMismatch)?;
        if last >= 1 << 62 {
            return Err(StoreError::SequenceMismatch);
        }
        let crowded = self.blocks.back().is_some_and(|block| {
            !block.is_empty() && block.deleted.len().saturating_add(count) > MAX_SKIPS_IN_BLOCK
        });
        if crowded {
            self.roll()?;
        }
        let tick = now.nanos() - now.nanos().rem_euclid(100_000_000);
        let last_time = self.totals.last.timestamp;
        let timestamp = if last_time == 0 { tick } else { last_time };
        self.append_record(&NewRecord::skip(last, timestamp))?;
        self.account_skips(last, timestamp);
        Ok(())
    }

    fn account_skips(&mut self, last: u64, timestamp: i64) {
        let mark = Mark { seq: last, timestamp };
        let block = self.blocks.back_mut().expect("the record was appended to it");
        block.file_first = block.file_first.min(last);
        if block.is_empty() {
            block.last = mark;
            block.set_empty();
        } else {
            block.deleted.insert_range(block.last.seq + 1..=last);
            block.last = mark;
        }
        self.totals.last = mark;
        if self.totals.messages == 0 {
            let seq = last + 1;
            self.totals.first = Mark { seq, timestamp: Timestamp::ZERO.nanos() };
        }
        self.dirty = true;
    }

    /// Writes a tombstone for a sequence to the last block.
    pub(super) fn append_tombstone(&mut self, seq: u64, timestamp: i64) -> StoreResult<()> {
        self.append_record(&NewRecord::tombstone(seq, timestamp))?;
        let block = self.blocks.back_mut().expect("the record was appended to it");
        if seq < block.file_first {
            block.prior_tombstones.add(seq);
        }
        Ok(())
    }

    /// Encodes a record into the last block, rolling it when it is full.
    fn append_record(&mut self, record: &NewRecord<'_>) -> StoreResult<()> {
        let len = record.encoded_len();
        if len > super::record::MAX_RECORD_LEN as u64 || record.subject.len() > 0xffff {
            return Err(StoreError::MessageTooLarge);
        }
        let full = match self.blocks.back() {
            None => true,
            Some(block) => {
                block.sealed || (block.raw_len > 0 && block.raw_len + len > self.block_size)
            }
        };
        if full {
            self.roll()?;
        }
        let block = self.blocks.back_mut().expect("rolling made one");
        if block.append(record).is_none() {
            return Err(StoreError::MessageTooLarge);
        }
        if block.pending() >= 2 * FLUSH_THRESHOLD {
            self.flush_last()?;
        }
        Ok(())
    }

    /// Starts a new last block.
    pub(super) fn roll(&mut self) -> StoreResult<()> {
        self.flush_last()?;
        let index = match self.blocks.back() {
            None => self.upkeep.next_block_index,
            Some(block) => block.index.checked_add(1).ok_or(StoreError::NoMessageBlock)?,
        };
        let block = self.create_block(index)?;
        if let Some(old) = self.blocks.back_mut() {
            if old.unsynced {
                self.unsynced.push(old.index);
            } else {
                old.file = None;
            }
            if self.compression == StoreCompression::S2 && old.raw_len >= 8 {
                self.upkeep.compress.insert(old.index);
            }
            if old.is_empty() {
                self.upkeep.emptied = true;
            }
        }
        self.blocks.push_back(block);
        self.names_changed = true;
        self.upkeep.next_block_index = index.saturating_add(1);
        Ok(())
    }

    /// Makes the files of a new block.
    fn create_block(&mut self, index: u32) -> StoreResult<Block> {
        let dir = self.paths.msgs.clone();
        self.create_block_in(&dir, index, "blk")
    }

    /// Makes the files of a new block in `dir`; the block's name ends like `suffix`.
    pub(super) fn create_block_in(
        &mut self,
        dir: &std::path::Path,
        index: u32,
        suffix: &str,
    ) -> StoreResult<Block> {
        let mut key = None;
        if let Some(encryption) = &self.encryption {
            let context = format!("{}:{index}", self.config.name);
            let random = &mut self.random;
            let (made, file) = encryption.generate(&context, &mut |bytes| random.fill(bytes));
            let path = dir.join(format!("{index}.key"));
            let written = self.disk.write_atomic(&path, &file, Durability::Lazy);
            if let Err(error) = written {
                return Err(self.fail(disk_error("write", &path, &error)));
            }
            key = Some(made);
        }
        let path = dir.join(format!("{index}.{suffix}"));
        let mut block = Block::new(index, self.hash_for_block(index), key, self.totals.last);
        match self.disk.open(&path, OpenMode::CreateTruncate) {
            Ok(file) => block.file = Some(file),
            Err(error) => {
                let error = match disk_error("create", &path, &error) {
                    denied @ StoreError::PermissionDenied(_) => denied,
                    full @ StoreError::NoSpace(_) => full,
                    other => StoreError::Io(format!("Error creating msg block file: {other}")),
                };
                return Err(self.fail(error));
            }
        }
        Ok(block)
    }

    /// Hands the last block's waiting bytes to its file.
    pub(super) fn flush_last(&mut self) -> StoreResult<()> {
        let Some(block) = self.blocks.back_mut() else { return Ok(()) };
        if block.pending() == 0 {
            return Ok(());
        }
        block.used_at = self.now;
        self.upkeep.note_cache_use(self.now, self.cache_expire);
        let path = self.paths.block(block.index);
        if let Err(error) = write_pending(self.disk.as_ref(), &path, block) {
            return Err(self.fail(disk_error("write", &path, &error)));
        }
        Ok(())
    }

    /// Makes everything appended so far durable, then unlinks what is not needed any more.
    pub(super) fn sync_now(&mut self) -> StoreResult<u64> {
        self.writable()?;
        if !self.doomed.is_empty() {
            self.tell_last()?;
        }
        self.flush_last()?;
        for index in std::mem::take(&mut self.unsynced) {
            if let Some(position) = self.position_of_block(index) {
                self.sync_block(position)?;
                self.blocks[position].file = None;
            }
        }
        if let Some(last) = self.blocks.len().checked_sub(1)
            && self.blocks[last].unsynced
        {
            self.sync_block(last)?;
        }
        for file in std::mem::take(&mut self.doomed_unsynced) {
            // A crash may bring the file back; torn, it would look like a loss.
            if let Err(error) = file.sync_data() {
                let error = disk_error("sync", &self.paths.msgs, &error);
                return Err(self.fail(error));
            }
        }
        self.sync_names()?;
        self.durable = self.totals.last.seq;
        self.unlink_doomed()?;
        // A block dropped whole leaves no tombstones: that it is gone must be durable too.
        self.sync_names()?;
        Ok(self.durable)
    }

    fn sync_block(&mut self, position: usize) -> StoreResult<()> {
        let block = &mut self.blocks[position];
        let path = self.paths.block(block.index);
        let synced = (|| {
            if block.file.is_none() {
                block.file = Some(self.disk.open(&path, OpenMode::ReadWrite)?);
            }
            block.file.as_ref().map_or(Ok(()), |file| file.sync_data())
        })();
        if let Err(error) = synced {
            return Err(self.fail(disk_error("sync", &path, &error)));
        }
        block.unsynced = false;
        Ok(())
    }

    /// Makes the names of the message directory durable, if any changed.
    pub(super) fn sync_names(&mut self) -> StoreResult<()> {
        if self.names_changed {
            if let Err(error) = self.disk.sync_dir(&self.paths.msgs) {
                let error = disk_error("sync", &self.paths.msgs, &error);
                return Err(self.fail(error));
            }
            self.names_changed = false;
        }
        Ok(())
    }

    /// Unlinks the files of dropped blocks. An index that lists them goes first: with it, a
    /// missing block would look like a loss.
    fn unlink_doomed(&mut self) -> StoreResult<()> {
        if self.doomed.is_empty() {
            return Ok(());
        }
        self.drop_index_file()?;
        for path in std::mem::take(&mut self.doomed) {
            if let Err(error) = remove_file_if_exists(self.disk.as_ref(), &path) {
                return Err(self.fail(disk_error("remove", &path, &error)));
            }
        }
        self.names_changed = true;
        self.upkeep.doomed_displaced = false;
        Ok(())
    }

    /// Removes the index file, which is about to become untrue.
    pub(super) fn drop_index_file(&mut self) -> StoreResult<()> {
        if self.index_on_disk {
            let path = self.paths.index_db();
            if let Err(error) = remove_file_if_exists(self.disk.as_ref(), &path) {
                return Err(self.fail(disk_error("remove", &path, &error)));
            }
            self.index_on_disk = false;
            self.names_changed = true;
            self.dirty = true;
        }
        Ok(())
    }
}

/// Writes what waits in a block to its file.
pub(super) fn write_pending(
    disk: &dyn crate::disk::Disk,
    path: &std::path::Path,
    block: &mut Block,
) -> std::io::Result<()> {
    if block.file.is_none() {
        block.file = Some(disk.open(path, OpenMode::ReadWrite)?);
    }
    let (Some(file), Some(loaded)) = (&block.file, &mut block.loaded) else {
        return Ok(());
    };
    loaded.seal_tail();
    let from = block.written as usize;
    for (start, bytes) in loaded.segments_from(from) {
        let skip = from.saturating_sub(start);
        let at = (start + skip) as u64;
        match &block.key {
            None => file.write_at(&bytes[skip..], at)?,
            Some(key) => {
                let mut sealed = bytes[skip..].to_vec();
                key.apply_keystream(&mut sealed, at);
                file.write_at(&sealed, at)?;
            }
        }
        block.unsynced = true;
    }
    block.written = block.raw_len;
    Ok(())
}
