//! Removing single messages and whole blocks from the accounts, and dropping emptied blocks (spec
//! 06, sections 13.3 and 13.4).

use bytes::Bytes;

use super::block::Mark;
use super::compression;
use super::files::{disk_error, replace_block};
use super::purge::highest;
use super::record::{RawRecord, erase_in_place, trailing_checksum};
use super::{FileStore, SubjectInfo};
use crate::config::StoreCompression;
use crate::error::{StoreError, StoreResult};
use crate::store::{RandomSource, StoreEffect};
use crate::types::{MessageTtl, StreamSequence};

/// What [`SubjectInfo::last`] holds when even the last block is only an upper bound.
pub(super) const LAST_BLOCK_IS_BOUND: u64 = u64::MAX;

/// Why a message is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Someone asked for it: a tombstone remembers it.
    Request,
    /// A limit displaced it. Opening the store would derive that from what displaced it; should
    /// that be removed too, a tombstone is written first.
    Limit,
    /// A tombstone was found.
    Replay,
}

/// A message that was taken out.
#[derive(Debug)]
pub(super) struct TakenOut {
    pub subject: Bytes,
    pub bytes: u64,
}

impl FileStore {
    /// Removes a message on someone's behalf.
    pub(super) fn remove_message(&mut self, seq: u64) -> StoreResult<bool> {
        self.writable()?;
        self.check_removable(seq)?;
        let Some(removed) = self.take_out(seq, Removal::Request)? else { return Ok(false) };
        self.effects.push_back(StoreEffect::Removed {
            sequence: StreamSequence::new(seq),
            subject: removed.subject,
            bytes: removed.bytes,
        });
        self.tidy()?;
        Ok(true)
    }

    fn check_removable(&self, seq: u64) -> StoreResult<()> {
        if seq == 0 {
            return Err(StoreError::MessageNotFound);
        }
        if seq > self.totals.last.seq {
            return Err(StoreError::Eof);
        }
        if self.totals.messages == 0 || seq < self.totals.first.seq {
            return Err(StoreError::MessageNotFound);
        }
        Ok(())
    }

    /// Removes a message and overwrites its bytes in the file. Encrypted blocks are left as they
    /// are: the same keystream under changed bytes would give them away.
    pub(super) fn erase_message(
        &mut self,
        seq: u64,
        random: &mut dyn RandomSource,
    ) -> StoreResult<bool> {
        self.writable()?;
        self.check_removable(seq)?;
        let Some(position) = self.position_of(seq) else { return Ok(false) };
        if self.encryption.is_some() || self.blocks[position].key.is_some() {
            return self.remove_message(seq);
        }
        self.load_block(position)?;
        let Some(position) = self.position_of(seq) else { return Ok(false) };
        let block = &mut self.blocks[position];
        let index = block.index;
        let place = block
            .verified(seq)
            .ok()
            .and_then(|raw| Some((block.loaded.as_ref()?.record_offset(seq)?, raw.len)));
        let Some(removed) = self.take_out(seq, Removal::Request)? else { return Ok(false) };
        self.effects.push_back(StoreEffect::Removed {
            sequence: StreamSequence::new(seq),
            subject: removed.subject,
            bytes: removed.bytes,
        });
        if let Some((offset, len)) = place {
            self.overwrite(index, seq, offset, len, random)?;
        }
        self.tidy()?;
        self.sync_now()?;
        Ok(true)
    }

    fn overwrite(
        &mut self,
        index: u32,
        seq: u64,
        offset: usize,
        len: usize,
        random: &mut dyn RandomSource,
    ) -> StoreResult<()> {
        self.flush_last()?;
        let Some(position) = self.position_of_block(index) else { return Ok(()) };
        self.load_block(position)?;
        let is_last = position + 1 == self.blocks.len();
        let block = &mut self.blocks[position];
        let Some(loaded) = &mut block.loaded else { return Ok(()) };
        let mut content = loaded.contiguous().to_vec();
        let Some(record) = content.get_mut(offset..) else { return Ok(()) };
        if !erase_in_place(record, len, seq, &block.hash, &mut |bytes| random.fill(bytes)) {
            return Ok(());
        }
        self.rewrite_block(position, content, !is_last)
    }

    /// Replaces a block's records by others with the same live messages. The block must have
    /// nothing waiting to be written.
    pub(super) fn rewrite_block(
        &mut self,
        position: usize,
        content: Vec<u8>,
        may_compress: bool,
    ) -> StoreResult<()> {
        let compress =
            may_compress && self.compression == StoreCompression::S2 && content.len() >= 8;
        let path = self.paths.block(self.blocks[position].index);
        let block = &self.blocks[position];
        debug_assert_eq!(block.pending(), 0);
        let stored = if compress {
            compression::compress_block(&content)
                .map_err(|error| StoreError::Other(error.to_string()))?
        } else {
            content.clone()
        };
        let replaced = replace_block(self.disk.as_ref(), &path, block.key.as_ref(), stored);
        if let Err(error) = replaced {
            return Err(self.fail(disk_error("write", &path, &error)));
        }
        self.names_changed = true;
        let block = &mut self.blocks[position];
        // The open file is the replaced one.
        block.file = None;
        block.unsynced = false;
        block.packed = compress;
        block.raw_len = content.len() as u64;
        block.written = block.raw_len;
        block.last_checksum = trailing_checksum(&content).unwrap_or_default();
        let content = Bytes::from(content);
        block.told = highest(&content);
        block.loaded = Some(super::block::Loaded::whole(content));
        let missing = block.index_loaded();
        if let Some(missing) = missing {
            self.declare_lost(position, missing);
        }
        Ok(())
    }

    /// Length of a live message's record.
    pub(super) fn record_len(&mut self, seq: u64) -> StoreResult<u64> {
        let Some(position) = self.position_of(seq) else { return Ok(0) };
        self.load_block(position)?;
        let Some(position) = self.position_of(seq) else { return Ok(0) };
        let raw = self.blocks[position].verified(seq).ok();
        Ok(raw.map_or(0, |raw| raw.len as u64))
    }

    /// Takes a live message out of all accounts, with a tombstone for it unless limits explain
    /// that it is gone. `None` when it is not there, or turns out to be damaged.
    pub(super) fn take_out(&mut self, seq: u64, why: Removal) -> StoreResult<Option<TakenOut>> {
        if self.position_of(seq).is_none() {
            return Ok(None);
        }
        if why == Removal::Request {
            self.bury_displaced()?;
        }
        let Some(position) = self.position_of(seq) else { return Ok(None) };
        // The first message's successor has to be dated, for which its block is needed.
        let cold = if self.blocks[position].first.seq == seq {
            None
        } else {
            self.read_cold(position, seq)
        };
        let (raw, record) = match cold {
            Some(cold) => (cold.raw, cold.bytes),
            None => match self.loaded_record(seq)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let Some(position) = self.position_of(seq) else { return Ok(None) };
        let subject = record.slice(raw.subject.clone());
        let ttl = match record.get(raw.header.clone()) {
            Some(header) if !header.is_empty() && self.expiry.has_ttls() => {
                MessageTtl::of_header(header).unwrap_or_default()
            }
            _ => MessageTtl::Unset,
        };
        let len = raw.len as u64;
        if why == Removal::Request {
            // A roll this may cause adds a block behind, so that positions stay.
            self.append_tombstone(seq, raw.timestamp)?;
        }
        let block = &mut self.blocks[position];
        block.forget_slot(seq);
        if why == Removal::Limit {
            block.displaced.insert(seq);
            self.upkeep.displaced = true;
        }
        block.messages -= 1;
        block.bytes = block.bytes.saturating_sub(len);
        if block.messages == 0 {
            block.set_empty();
            self.upkeep.emptied = true;
        } else if seq == block.first.seq {
            let next = block.deleted.next_absent(seq + 1).unwrap_or(block.last.seq);
            let timestamp = block.timestamp(next).unwrap_or(0);
            block.first = Mark { seq: next, timestamp };
            block.deleted.remove_below(next);
        } else {
            block.deleted.insert(seq);
        }
        if block.raw_len > 2 << 20 && block.bytes * 2 < block.raw_len {
            self.upkeep.compact.insert(block.index);
        }
        let index = block.index;
        self.totals.messages -= 1;
        self.totals.bytes = self.totals.bytes.saturating_sub(len);
        self.forget_subject(&subject, seq, index);
        if seq == self.totals.first.seq {
            self.select_first();
        }
        self.expiry.on_removed(seq, raw.timestamp, ttl);
        self.dirty = true;
        Ok(Some(TakenOut { subject, bytes: len }))
    }

    /// The record of a live message, from its block; `None` when it turns out to be damaged.
    fn loaded_record(&mut self, seq: u64) -> StoreResult<Option<(RawRecord, Bytes)>> {
        let Some(position) = self.position_of(seq) else { return Ok(None) };
        self.load_block(position)?;
        let Some(position) = self.position_of(seq) else { return Ok(None) };
        if self.blocks[position].verified(seq).is_err() {
            self.find_damage(position);
        }
        let Some(block) = self.blocks.get_mut(position).filter(|block| block.is_live(seq)) else {
            return Ok(None);
        };
        let Ok(raw) = block.verified(seq) else { return Ok(None) };
        let Some(bytes) = block.record_bytes(seq) else { return Ok(None) };
        // Only what stands before the payload is wanted; it is copied, since a slice would keep
        // the block in memory.
        let Some(before) = bytes.get(..raw.payload.start) else { return Ok(None) };
        Ok(Some((raw, Bytes::copy_from_slice(before))))
    }

    fn forget_subject(&mut self, subject: &[u8], seq: u64, block: u32) {
        if subject.is_empty() {
            return;
        }
        let gone = match self.subjects.find_mut(subject) {
            None => false,
            Some(info) => {
                info.total -= 1;
                if info.last == seq {
                    info.last = LAST_BLOCK_IS_BOUND;
                } else if info.last == 0 && info.last_block == block {
                    // It may have been the last one of this block.
                    info.last = LAST_BLOCK_IS_BOUND;
                }
                info.total == 0
            }
        };
        if gone {
            self.subjects.delete(subject);
        }
    }

    /// Checks every record of a block, after one was found damaged.
    pub(super) fn find_damage(&mut self, position: usize) {
        let missing = self.blocks[position].index_loaded_verifying();
        if let Some(missing) = missing {
            self.declare_lost(position, missing);
        }
    }

    /// Takes all messages of a block out of the accounts; returns how many and their bytes.
    pub(super) fn empty_block(&mut self, position: usize, why: Removal) -> StoreResult<(u64, u64)> {
        if !self.subjects.is_empty() && !self.blocks[position].is_empty() {
            self.load_block(position)?;
        }
        let block = &mut self.blocks[position];
        let (messages, bytes) = (block.messages, block.bytes);
        let index = block.index;
        if let Some(loaded) = &mut block.loaded
            && !self.subjects.is_empty()
        {
            let subjects = &mut self.subjects;
            loaded.visit_subjects(|subject, count| forget_many(subjects, subject, count, index));
        }
        let block = &mut self.blocks[position];
        if messages > 0 && block.schedules > 0 {
            let mut seq = block.first.seq;
            while let Some(live) = block.next_live(seq) {
                self.expiry.unschedule(live);
                seq = live + 1;
            }
        }
        if messages > 0 && why == Removal::Limit {
            block.displaced.insert_range(block.first.seq..=block.last.seq);
            self.upkeep.displaced = true;
        }
        block.set_empty();
        if block.pending() == 0 {
            block.loaded = None;
        } else {
            // What is not written yet stays held; that nothing of it is live is in the accounts.
            block.index_loaded();
        }
        self.upkeep.emptied = true;
        self.totals.messages -= messages;
        self.totals.bytes -= bytes;
        self.select_first();
        self.dirty = true;
        Ok((messages, bytes))
    }

    /// Writes tombstones for what limits displaced and files still hold. Needed before anything is
    /// removed on request: with what displaced them gone, nothing else would tell.
    pub(super) fn bury_displaced(&mut self) -> StoreResult<()> {
        if self.upkeep.displaced || self.upkeep.doomed_displaced {
            // A crash must not keep the tombstones and lose what displaced the messages. Nor may
            // it bring back files of dropped blocks: what limits displaced there gets none.
            self.sync_now()?;
        }
        if !std::mem::take(&mut self.upkeep.displaced) {
            return Ok(());
        }
        let mut position = 0;
        let mut buried = false;
        while let Some(block) = self.blocks.get_mut(position) {
            let displaced = std::mem::take(&mut block.displaced);
            let timestamp = block.last.timestamp;
            for seq in displaced.iter() {
                self.append_tombstone(seq, timestamp)?;
                buried = true;
            }
            position += 1;
        }
        if buried {
            // Nor may it keep what is written next, which may remove what displaced them, and
            // lose these: no disk promises to keep writes in their order.
            self.sync_now()?;
        }
        Ok(())
    }

    /// Drops the blocks that hold nothing anyone needs. Their files are unlinked by the next sync.
    pub(super) fn tidy(&mut self) -> StoreResult<()> {
        if !std::mem::take(&mut self.upkeep.emptied) {
            return Ok(());
        }
        let mut position = 0;
        while position + 1 < self.blocks.len() {
            let block = &self.blocks[position];
            let needed = !block.is_empty() || self.has_needed_tombstones(position);
            if needed {
                position += 1;
            } else {
                self.drop_block(position);
            }
        }
        Ok(())
    }

    /// Whether a block may hold tombstones for messages in the files of blocks before it.
    pub(super) fn has_needed_tombstones(&self, position: usize) -> bool {
        let prior = self.blocks[position].prior_tombstones;
        let mut earlier = self.blocks.iter().take(position);
        earlier.any(|block| prior.may_hit(block.file_first, block.last.seq))
    }

    fn drop_block(&mut self, position: usize) {
        let Some(block) = self.blocks.remove(position) else { return };
        self.upkeep.doomed_displaced |= !block.displaced.is_empty();
        if block.unsynced
            && let Some(file) = block.file
        {
            self.doomed_unsynced.push(file);
        }
        self.doomed.push(self.paths.block(block.index));
        self.doomed.push(self.paths.block_key(block.index));
        self.upkeep.forget_block(block.index);
    }

    /// Whether a record in some block other than `but` has the stream's last sequence.
    pub(super) fn last_is_told(&self, but: Option<usize>) -> bool {
        let last = self.totals.last.seq;
        let others = self.blocks.iter().enumerate().filter(|(at, _)| Some(*at) != but);
        last == 0 || others.rev().any(|(_, block)| block.told >= last || block.is_live(last))
    }

    /// Writes a tombstone for the stream's last sequence unless a file that stays tells it: with
    /// the files that are about to go, sequences would be given out a second time.
    pub(super) fn tell_last(&mut self) -> StoreResult<()> {
        if self.last_is_told(None) {
            return Ok(());
        }
        self.append_tombstone(self.totals.last.seq, self.totals.last.timestamp)
    }
}

fn forget_many(
    subjects: &mut sublist::stree::SubjectTree<SubjectInfo>,
    subject: &[u8],
    count: u64,
    block: u32,
) {
    let gone = match subjects.find_mut(subject) {
        None => false,
        Some(info) => {
            info.total = info.total.saturating_sub(count);
            if info.last_block == block {
                info.last = LAST_BLOCK_IS_BOUND;
            } else if info.first_block == block {
                info.first_block = block + 1;
            }
            info.total == 0
        }
    };
    if gone {
        subjects.delete(subject);
    }
}
