//! Purge, compact and truncate (spec 06, sections 13.5 to 13.7).

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::{Block, Loaded, Mark, PriorTombstones};
use super::files::{disk_error, replace_block};
use super::record::{RawRecord, RecordKind, trailing_checksum};
use super::remove::Removal;
use super::{FileStore, Totals};
use crate::config::StoreCompression;
use crate::disk::{OpenMode, remove_dir_if_exists, remove_file_if_exists};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::store::{PurgeRequest, StoreEffect};
use crate::time::Timestamp;
use crate::types::StreamSequence;

impl FileStore {
    /// Removes everything; the next message gets `next`, or one past the last sequence.
    ///
    /// A new block with a tombstone for the last sequence is made durable in a directory of its
    /// own, which then takes the place of the message directory: after a crash either all
    /// messages are there or none.
    pub(super) fn purge_to(&mut self, next: Option<u64>) -> StoreResult<u64> {
        self.writable()?;
        let Totals { messages, bytes, mut last, .. } = self.totals;
        if let Some(next) = next.filter(|next| *next > last.seq + 1) {
            last.seq = next - 1;
        }
        let index = match self.blocks.back() {
            None => self.upkeep.next_block_index,
            Some(block) => block.index.checked_add(1).ok_or(StoreError::NoMessageBlock)?,
        };
        let before = std::mem::replace(&mut self.totals.last, last);
        match self.swap_directory(index, last) {
            Ok(block) => {
                self.blocks.clear();
                self.blocks.push_back(block);
            }
            Err(error) => {
                self.totals.last = before;
                return Err(self.fail(error));
            }
        }
        self.totals = Totals {
            messages: 0,
            bytes: 0,
            first: Mark { seq: last.seq + 1, timestamp: Timestamp::ZERO.nanos() },
            last,
        };
        self.subjects.clear();
        self.expiry.clear();
        self.upkeep.forget_all_blocks(index);
        self.unsynced.clear();
        self.doomed.clear();
        self.doomed_unsynced.clear();
        self.names_changed = false;
        self.index_on_disk = false;
        self.durable = last.seq;
        self.dirty = true;
        if messages > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
        Ok(messages)
    }

    fn swap_directory(&mut self, index: u32, last: Mark) -> StoreResult<Block> {
        let staging = self.paths.new_msgs();
        let old = self.paths.purged();
        let disk = self.disk.clone();
        let failed = |action: &str, path: &std::path::Path| {
            let action = action.to_owned();
            let path = path.to_path_buf();
            move |error: std::io::Error| disk_error(&action, &path, &error)
        };
        remove_dir_if_exists(disk.as_ref(), &staging).map_err(failed("remove", &staging))?;
        remove_dir_if_exists(disk.as_ref(), &old).map_err(failed("remove", &old))?;
        disk.create_dir_all(&staging).map_err(failed("create", &staging))?;
        // A block with its final name says that the purge is to be finished: it gets it last.
        let mut block = self.create_block_in(&staging, index, "blk.tmp")?;
        if last.seq > 0 {
            let record = super::record::NewRecord::tombstone(last.seq, last.timestamp);
            block.append(&record).ok_or(StoreError::MessageTooLarge)?;
            block.prior_tombstones = PriorTombstones::None;
        }
        let path = staging.join(format!("{index}.blk.tmp"));
        super::append::write_pending(disk.as_ref(), &path, &mut block)
            .map_err(failed("write", &path))?;
        if let Some(file) = &block.file {
            file.sync_data().map_err(failed("sync", &path))?;
        }
        block.unsynced = false;
        disk.rename(&path, &staging.join(format!("{index}.blk")))
            .map_err(failed("rename", &path))?;
        disk.sync_dir(&staging).map_err(failed("sync", &staging))?;
        // Durable before the old directory goes: from here on recovery finishes the purge.
        disk.sync_dir(&self.paths.dir).map_err(failed("sync", &self.paths.dir))?;
        disk.rename(&self.paths.msgs, &old).map_err(failed("rename", &self.paths.msgs))?;
        disk.rename(&staging, &self.paths.msgs).map_err(failed("rename", &staging))?;
        disk.sync_dir(&self.paths.dir).map_err(failed("sync", &self.paths.dir))?;
        self.upkeep.trash = true;
        Ok(block)
    }

    /// Removes what `request` names.
    pub(super) fn purge_request(&mut self, request: &PurgeRequest) -> StoreResult<u64> {
        self.writable()?;
        let below = request.below.get();
        if below == 1 {
            return Ok(0);
        }
        if request.filter.is_all() {
            if below > 1 {
                return self.compact_to(below);
            }
            if request.keep == 0 {
                return self.purge_to(None);
            }
        }
        let start = self.totals.first.seq;
        let mut left = u64::MAX;
        if request.keep > 0 {
            let total = self.filtered(start, &request.filter)?.messages;
            if request.keep >= total {
                return Ok(0);
            }
            left = total - request.keep;
        }
        let mut messages = 0u64;
        let mut bytes = 0u64;
        let mut only = 0u64;
        let mut seq = start;
        while messages < left {
            let Some((found, _)) = self.find_next(&request.filter, seq)? else { break };
            if below > 0 && found >= below {
                break;
            }
            seq = found + 1;
            if let Some(removed) = self.take_out(found, Removal::Request)? {
                messages += 1;
                bytes += removed.bytes;
                only = found;
            }
        }
        match messages {
            0 => {}
            1 => {
                let subject = request.filter.as_subject().unwrap_or_default();
                self.effects.push_back(StoreEffect::Removed {
                    sequence: StreamSequence::new(only),
                    subject: Bytes::copy_from_slice(subject),
                    bytes,
                });
            }
            _ => self.effects.push_back(StoreEffect::RemovedMany { messages, bytes }),
        }
        self.tidy()?;
        Ok(messages)
    }

    /// Removes everything below `seq`.
    pub(super) fn compact_to(&mut self, seq: u64) -> StoreResult<u64> {
        self.writable()?;
        if seq == 0 {
            return self.purge_to(None);
        }
        if seq > self.totals.last.seq {
            return self.purge_to(Some(seq));
        }
        if self.totals.messages == 0 || seq <= self.totals.first.seq {
            return Ok(0);
        }
        self.bury_displaced()?;
        let (mut messages, mut bytes) = (0, 0);
        let mut position = 0;
        while let Some(block) = self.blocks.get(position)
            && block.last.seq < seq
        {
            if !block.is_empty() {
                let (gone, size) = self.empty_block(position, Removal::Request)?;
                messages += gone;
                bytes += size;
            }
            position += 1;
        }
        if let Some(block) = self.blocks.get(position)
            && block.first.seq < seq
            && !block.is_empty()
        {
            let (gone, size) = self.remove_head(position, seq)?;
            messages += gone;
            bytes += size;
        }
        self.select_first();
        if self.totals.messages > 0 {
            let position = self.position_of(self.totals.first.seq).unwrap_or_default();
            self.refresh_first_time(position)?;
            self.select_first();
        }
        if messages > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
        self.tidy()?;
        Ok(messages)
    }

    /// Removes the messages of one block that are below `seq`, with a tombstone for each, or by
    /// rewriting the block when most of it goes.
    fn remove_head(&mut self, position: usize, seq: u64) -> StoreResult<(u64, u64)> {
        self.load_block(position)?;
        let block = &self.blocks[position];
        let index = block.index;
        let goes = block.messages - block.live_from(seq);
        let rewrite = block.raw_len > 2 << 20 && goes * 2 > block.messages;
        let (mut messages, mut bytes) = (0, 0);
        while let Some(block) = self.blocks.get(position)
            && let Some(first) = block.next_live(block.first.seq)
            && first < seq
        {
            match self.take_out(first, if rewrite { Removal::Replay } else { Removal::Request })? {
                Some(removed) => {
                    messages += 1;
                    bytes += removed.bytes;
                }
                None if self.blocks.get(position).is_some_and(|b| b.is_live(first)) => break,
                None => {}
            }
        }
        if rewrite {
            // What was removed leaves no tombstone; it must be gone before anything else counts
            // on it, and files of dropped blocks must be gone before it.
            self.tidy()?;
            self.sync_now()?;
            if let Some(position) = self.position_of_block(index) {
                self.rewrite_live(position)?;
                self.sync_names()?;
            }
        }
        Ok((messages, bytes))
    }

    /// Removes everything above `seq`, which becomes the last sequence.
    pub(super) fn truncate_to(&mut self, seq: u64, now: Timestamp) -> StoreResult<()> {
        self.writable()?;
        if seq == 0 {
            return self.reset(now);
        }
        if seq >= self.totals.last.seq {
            return if seq == self.totals.last.seq { Ok(()) } else { Err(StoreError::Eof) };
        }
        self.bury_displaced()?;
        self.sync_now()?;
        self.drop_index_file()?;
        self.sync_names()?;
        let before = self.totals;
        let position = self.position_at_or_after(seq);
        let timestamp = self.truncated_time(position, seq)?;
        let absent = self.position_of(seq).is_none();
        // Removals would be forgotten with the blocks that remember them, so these are written
        // again first, to blocks of their own: what was removed below the cut stays remembered,
        // what was removed above it until its records are gone too.
        let (mut kept, meanwhile) =
            self.tombstones_behind(position, seq)?.into_iter().partition::<Vec<_>, _>(below(seq));
        if absent {
            // No message tells the new last sequence. Once the records above it are gone, only
            // this tombstone does.
            kept.push((seq, timestamp));
        }
        let end = self.blocks.len();
        self.append_block_of_tombstones(kept)?;
        let kept_end = self.blocks.len();
        self.append_block_of_tombstones(meanwhile)?;
        self.sync_now()?;
        let meanwhile = self.blocks.split_off(kept_end);
        let spared = self.blocks.split_off(end);
        let behind = self.blocks.split_off(self.blocks.len().min(position + 1));
        self.unlink_blocks(behind)?;
        if position < self.blocks.len() {
            self.cut_block(position, seq, timestamp)?;
            let block = &self.blocks[position];
            if !spared.is_empty() && self.compression == StoreCompression::S2 {
                // It is not the last block any more.
                self.upkeep.compress.insert(block.index);
            }
        }
        self.unlink_blocks(meanwhile)?;
        for mut block in spared {
            block.last = Mark { seq, timestamp };
            block.set_empty();
            block.file_first = seq + 1;
            self.blocks.push_back(block);
        }
        self.totals.last = Mark { seq, timestamp };
        self.totals.messages = self.blocks.iter().map(|block| block.messages).sum();
        self.totals.bytes = self.blocks.iter().map(|block| block.bytes).sum();
        self.select_first();
        self.sync_now()?;
        if !self.subjects.is_empty() {
            self.rebuild_subjects();
        }
        self.expiry.truncate(seq);
        self.upkeep.emptied = true;
        self.tidy()?;
        self.sync_now()?;
        self.dirty = true;
        let messages = before.messages - self.totals.messages.min(before.messages);
        let bytes = before.bytes - self.totals.bytes.min(before.bytes);
        if messages > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
        Ok(())
    }

    /// Writes tombstones to new blocks.
    fn append_block_of_tombstones(&mut self, tombstones: Vec<(u64, i64)>) -> StoreResult<()> {
        if !tombstones.is_empty() {
            self.roll()?;
        }
        for (target, timestamp) in tombstones {
            self.append_tombstone(target, timestamp)?;
        }
        Ok(())
    }

    /// Removes the files of blocks, the newest first, and makes it durable that they are gone.
    fn unlink_blocks(&mut self, blocks: VecDeque<Block>) -> StoreResult<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        for block in blocks.into_iter().rev() {
            for path in [self.paths.block(block.index), self.paths.block_key(block.index)] {
                if let Err(error) = remove_file_if_exists(self.disk.as_ref(), &path) {
                    return Err(self.fail(disk_error("remove", &path, &error)));
                }
            }
            self.upkeep.forget_block(block.index);
        }
        self.names_changed = true;
        self.sync_names()
    }

    fn truncated_time(&mut self, position: usize, seq: u64) -> StoreResult<i64> {
        let Some(block) = self.blocks.get(position) else {
            return Ok(self.totals.last.timestamp);
        };
        if !block.is_live(seq) {
            return Ok(block.last.timestamp);
        }
        self.load_block(position)?;
        let block = &self.blocks[position];
        Ok(block.timestamp(seq).unwrap_or(block.last.timestamp))
    }

    /// The tombstones in the blocks from `position` on that remember removals in blocks before
    /// theirs, but for those of `seq`, the sequence of the cut.
    fn tombstones_behind(&mut self, position: usize, seq: u64) -> StoreResult<Vec<(u64, i64)>> {
        let mut kept = Vec::new();
        for at in position..self.blocks.len() {
            let block = &self.blocks[at];
            if block.prior_tombstones == PriorTombstones::None {
                continue;
            }
            if at == position && block.file_first <= seq {
                // This block is cut, and its own tombstones are looked at then.
                continue;
            }
            let was_loaded = block.is_loaded();
            self.load_block(at)?;
            let block = &mut self.blocks[at];
            let content = block.loaded.as_mut().map(Loaded::contiguous).unwrap_or_default();
            for (raw, _) in records(&content) {
                if raw.kind == RecordKind::Tombstone && raw.seq != seq {
                    kept.push((raw.seq, raw.timestamp));
                }
            }
            if !was_loaded {
                block.unload();
            }
        }
        Ok(kept)
    }

    /// Takes all records of sequences above `seq` out of a block.
    fn cut_block(&mut self, position: usize, seq: u64, timestamp: i64) -> StoreResult<()> {
        self.load_block(position)?;
        let block = &mut self.blocks[position];
        let content = block.loaded.as_mut().map(Loaded::contiguous).unwrap_or_default();
        // Tombstones of sequences that will be given out again must go too.
        let mut kept = Vec::with_capacity(content.len());
        for (raw, at) in records(&content) {
            if raw.seq <= seq
                && let Some(bytes) = content.get(at..at + raw.len)
            {
                kept.extend_from_slice(bytes);
            }
        }
        let path = self.paths.block(block.index);
        let in_place = content.starts_with(&kept) && !block.sealed && is_raw_file(self, position);
        let block = &mut self.blocks[position];
        let result = if in_place {
            cut_file(self.disk.as_ref(), &path, block, kept.len() as u64)
        } else {
            block.file = None;
            replace_block(self.disk.as_ref(), &path, block.key.as_ref(), kept.clone())
                .and_then(|()| self.disk.sync_dir(&self.paths.msgs))
        };
        if let Err(error) = result {
            return Err(self.fail(disk_error("truncate", &path, &error)));
        }
        let block = &mut self.blocks[position];
        block.sealed = false;
        block.packed = false;
        block.unsynced = false;
        block.raw_len = kept.len() as u64;
        block.written = block.raw_len;
        block.last_checksum = trailing_checksum(&kept).unwrap_or_default();
        let kept = Bytes::from(kept);
        block.told = highest(&kept);
        let gone = block.live_from(seq + 1);
        block.messages = block.messages.saturating_sub(gone);
        block.deleted.remove_above(seq);
        block.last = Mark { seq, timestamp };
        block.file_first = block.file_first.min(seq + 1);
        if block.messages == 0 {
            block.set_empty();
        }
        block.loaded = Some(Loaded::whole(kept));
        block.bytes = block.live_bytes_loaded();
        if let Some(missing) = block.index_loaded() {
            self.declare_lost(position, missing);
        }
        Ok(())
    }

    /// Removes everything and forgets the sequences: numbering starts again.
    fn reset(&mut self, now: Timestamp) -> StoreResult<()> {
        let Totals { messages, bytes, .. } = self.totals;
        self.doomed.clear();
        self.doomed_unsynced.clear();
        self.drop_index_file()?;
        let mut files = Vec::new();
        while let Some(block) = self.blocks.pop_back() {
            files.push(self.paths.block(block.index));
            files.push(self.paths.block_key(block.index));
        }
        // Blocks that were dropped before must not come back either.
        if let Ok(entries) = self.disk.list(&self.paths.msgs) {
            for entry in entries.into_iter().rev() {
                if super::files::numbered(&entry.name, ".blk").is_some()
                    || super::files::numbered(&entry.name, ".key").is_some()
                {
                    files.push(self.paths.msgs.join(entry.name));
                }
            }
        }
        for path in files {
            if let Err(error) = remove_file_if_exists(self.disk.as_ref(), &path) {
                return Err(self.fail(disk_error("remove", &path, &error)));
            }
        }
        self.names_changed = true;
        self.sync_names()?;
        self.unsynced.clear();
        self.subjects.clear();
        self.expiry.clear();
        self.upkeep.forget_all_blocks(0);
        self.totals = Totals::default();
        self.totals.last.timestamp = 0;
        self.roll()?;
        self.totals.last.timestamp = now.nanos();
        self.totals.first = Mark::default();
        if let Some(block) = self.blocks.back_mut() {
            block.last.timestamp = now.nanos();
        }
        self.sync_now()?;
        self.dirty = true;
        if messages > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
        Ok(())
    }

    /// Removes the messages of a replica's delete blocks.
    pub(super) fn remove_deleted(
        &mut self,
        blocks: &[crate::deletes::DeleteBlock],
    ) -> StoreResult<()> {
        self.writable()?;
        for block in blocks {
            let (first, last, _) = block.state();
            if first > self.totals.last.seq {
                break;
            }
            if matches!(block, crate::deletes::DeleteBlock::Range { .. }) {
                self.empty_blocks_within(first, last)?;
            }
            let mut seq = first.max(self.totals.first.seq);
            while seq <= last
                && let Some((live, _)) = self.find_next(&SubjectFilter::All, seq)?
                && live <= last
            {
                let listed = match block {
                    crate::deletes::DeleteBlock::Range { .. } => true,
                    crate::deletes::DeleteBlock::Set(set) => set.contains(live),
                    crate::deletes::DeleteBlock::List(list) => list.binary_search(&live).is_ok(),
                };
                if listed && let Some(removed) = self.take_out(live, Removal::Request)? {
                    self.effects.push_back(StoreEffect::Removed {
                        sequence: StreamSequence::new(live),
                        subject: removed.subject,
                        bytes: removed.bytes,
                    });
                }
                seq = live + 1;
            }
        }
        self.tidy()
    }
}

impl FileStore {
    /// Empties the blocks that lie wholly in a range of deletes. They leave no tombstones, so
    /// their files have to go: the last block stays, and so do blocks with tombstones that
    /// earlier ones need.
    fn empty_blocks_within(&mut self, first: u64, last: u64) -> StoreResult<()> {
        let inside =
            |block: &Block| !block.is_empty() && block.first.seq >= first && block.last.seq <= last;
        let (mut messages, mut bytes, mut position) = (0, 0, 0);
        while position + 1 < self.blocks.len() {
            let goes = inside(&self.blocks[position]) && !self.has_needed_tombstones(position);
            if goes {
                if messages == 0 {
                    self.bury_displaced()?;
                }
                let (gone, size) = self.empty_block(position, Removal::Request)?;
                messages += gone;
                bytes += size;
            }
            position += 1;
        }
        if messages > 0 {
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
        }
        self.tidy()
    }
}

fn below(seq: u64) -> impl FnMut(&(u64, i64)) -> bool {
    move |(target, _)| *target < seq
}

fn cut_file(
    disk: &dyn crate::disk::Disk,
    path: &std::path::Path,
    block: &mut Block,
    len: u64,
) -> std::io::Result<()> {
    if block.file.is_none() {
        block.file = Some(disk.open(path, OpenMode::ReadWrite)?);
    }
    if let Some(file) = &block.file {
        file.set_len(len)?;
        file.sync_data()?;
    }
    Ok(())
}

fn is_raw_file(store: &FileStore, position: usize) -> bool {
    let Some(block) = store.blocks.get(position) else { return false };
    let path = store.paths.block(block.index);
    store.disk.metadata(&path).is_ok_and(|found| found.len == block.raw_len)
        && !super::upkeep::file_is_compressed(store, block)
}

/// The highest sequence of the records of sound content.
pub(super) fn highest(content: &Bytes) -> u64 {
    records(content).map(|(raw, _)| raw.seq).max().unwrap_or_default()
}

/// The records of sound content with their offsets.
pub(super) fn records(content: &Bytes) -> impl Iterator<Item = (RawRecord, usize)> + '_ {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let raw = RawRecord::parse(content.get(at..)?).ok()?;
        let start = at;
        at += raw.len;
        Some((raw, start))
    })
}
