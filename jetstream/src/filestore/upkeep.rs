//! What a store does when it is given time: compressing and compacting blocks, dropping cached
//! blocks, writing the index file, emptying the trash (spec 06, sections 5.4, 5.6, 6 and 18).

use std::collections::BTreeSet;
use std::time::Duration;

use super::FileStore;
use super::block::{Block, Loaded, PriorTombstones};
use super::compression;
use super::files::{disk_error, replace_block};
use super::purge::records;
use super::record::RecordKind;
use crate::disk::{OpenMode, read_full_at, remove_dir_if_exists, remove_file_if_exists};
use crate::error::StoreResult;
use crate::seqset::SequenceSet;
use crate::time::Timestamp;

/// How often the index file is written while the stream changes.
const INDEX_INTERVAL: Duration = Duration::from_secs(120);
/// Subjects, or deletes, beyond which the index file is only written when it must be.
const MAX_OPTIONAL_ENTRIES: u64 = 1_000_000;
/// Tombstones for displaced messages that the index file is worth.
const MAX_BURIED: u64 = 100_000;
/// An empty last block larger than this is given up for a new one.
const IDLE_EMPTY_BLOCK: u64 = 64 << 10;
/// Files of a purge that are removed at a time.
const TRASH_BATCH: usize = 64;

/// Work that waits for time.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// A block became empty; the block list is to be tidied.
    pub emptied: bool,
    /// Blocks to be compressed.
    pub compress: BTreeSet<u32>,
    /// Blocks that may be mostly dead.
    pub compact: BTreeSet<u32>,
    /// Some block holds displaced messages without tombstones.
    pub displaced: bool,
    /// So does some dropped block whose file is not unlinked yet.
    pub doomed_displaced: bool,
    /// A purge left a directory behind.
    pub trash: bool,
    /// The number the first block gets when there is none.
    pub next_block_index: u32,
    cache_deadline: Option<i64>,
    index_deadline: Option<i64>,
}

impl Upkeep {
    /// Nothing to do, with the number the first block gets.
    pub fn new(next_block_index: u32) -> Upkeep {
        Upkeep { next_block_index, ..Upkeep::default() }
    }

    pub fn forget_block(&mut self, index: u32) {
        self.compress.remove(&index);
        self.compact.remove(&index);
    }

    /// Forgets all blocks; `last` is the one that stays.
    pub fn forget_all_blocks(&mut self, last: u32) {
        self.compress.clear();
        self.compact.clear();
        self.emptied = false;
        self.doomed_displaced = false;
        self.next_block_index = last.saturating_add(1);
    }

    pub fn note_cache_use(&mut self, now: i64, expire: Duration) {
        let due = now.saturating_add(nanos(expire));
        if self.cache_deadline.is_none() {
            self.cache_deadline = Some(due);
        }
    }

    fn has_work(&self) -> bool {
        !self.compress.is_empty() || !self.compact.is_empty() || self.trash
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl FileStore {
    pub(super) fn upkeep_deadline(&self) -> Option<i64> {
        if self.closed || self.failed.is_some() {
            return None;
        }
        if self.upkeep.has_work() {
            return Some(self.now);
        }
        let index =
            if self.dirty { Some(self.upkeep.index_deadline.unwrap_or(self.now)) } else { None };
        [self.upkeep.cache_deadline, index].into_iter().flatten().min()
    }

    /// Does the upkeep that is due.
    pub(super) fn run_upkeep(&mut self, now: Timestamp) -> StoreResult<()> {
        let now = now.nanos();
        self.expire_cache(now);
        if self.failed.is_some() {
            return Ok(());
        }
        if self.upkeep.trash {
            self.empty_trash();
        }
        self.retire_empty_last_block()?;
        if self.upkeep.has_work() {
            // Rewriting drops bytes of removed messages: what displaced them comes first.
            self.sync_now()?;
        }
        while let Some(index) = self.upkeep.compact.pop_first() {
            self.compact_if_worth(index)?;
        }
        if let Some(index) = self.upkeep.compress.pop_first() {
            self.compress_block(index)?;
        }
        if self.dirty {
            match self.upkeep.index_deadline {
                None => {
                    self.upkeep.index_deadline = Some(now.saturating_add(nanos(INDEX_INTERVAL)))
                }
                Some(due) if due <= now => {
                    self.upkeep.index_deadline = Some(now.saturating_add(nanos(INDEX_INTERVAL)));
                    self.find_compactable();
                    if !self.upkeep.compact.is_empty() {
                        self.sync_now()?;
                    }
                    while let Some(index) = self.upkeep.compact.pop_first() {
                        self.compact_if_worth(index)?;
                    }
                    self.write_index_if_small()?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn write_index_if_small(&mut self) -> StoreResult<()> {
        let deletes: u64 = self.blocks.iter().map(|block| block.deleted.len()).sum();
        let displaced: u64 = self.blocks.iter().map(|block| block.displaced.len()).sum();
        if self.subjects.len() as u64 > MAX_OPTIONAL_ENTRIES
            || deletes > MAX_OPTIONAL_ENTRIES
            || displaced > MAX_BURIED
        {
            // Opening after a crash reads the blocks instead, which costs time, not data.
            self.dirty = false;
            return Ok(());
        }
        self.write_index()
    }

    fn expire_cache(&mut self, now: i64) {
        if self.upkeep.cache_deadline.is_none_or(|due| due > now) {
            return;
        }
        let expire = nanos(self.cache_expire);
        let mut next = None;
        for block in &mut self.blocks {
            if block.loaded.is_none() {
                continue;
            }
            let due = block.used_at.saturating_add(expire);
            if due <= now {
                block.unload();
            }
            if block.loaded.is_some() && block.pending() == 0 {
                next = Some(next.map_or(due, |next: i64| next.min(due)));
            }
        }
        self.upkeep.cache_deadline = next;
    }

    /// Removes a part of what a purge left; what fails is tried again when the store is opened.
    fn empty_trash(&mut self) {
        let trash = self.paths.purged();
        let Ok(entries) = self.disk.list(&trash) else {
            self.upkeep.trash = false;
            return;
        };
        let left = entries.len();
        for entry in entries.into_iter().take(TRASH_BATCH) {
            let path = trash.join(entry.name);
            let removed = if entry.is_dir {
                remove_dir_if_exists(self.disk.as_ref(), &path)
            } else {
                remove_file_if_exists(self.disk.as_ref(), &path)
            };
            if removed.is_err() {
                self.upkeep.trash = false;
                return;
            }
        }
        if left <= TRASH_BATCH {
            let _ = remove_dir_if_exists(self.disk.as_ref(), &trash);
            self.upkeep.trash = false;
        }
    }

    /// A last block without messages keeps its dead bytes until something is appended that does
    /// not fit; when they are many, a new block takes over.
    fn retire_empty_last_block(&mut self) -> StoreResult<()> {
        let idle = self
            .blocks
            .back()
            .is_some_and(|block| block.is_empty() && block.raw_len > IDLE_EMPTY_BLOCK);
        if idle {
            self.roll()?;
            self.upkeep.emptied = true;
            self.tidy()?;
        }
        Ok(())
    }

    /// Schedules all blocks that are mostly dead for compaction, as the sync interval does.
    fn find_compactable(&mut self) {
        let last = self.blocks.len().saturating_sub(1);
        for block in self.blocks.iter().take(last) {
            let worth = block.bytes * 2 < block.raw_len;
            if worth && block.compacted_at != Some(block.bytes) {
                self.upkeep.compact.insert(block.index);
            }
        }
    }

    fn compact_if_worth(&mut self, index: u32) -> StoreResult<()> {
        let Some(position) = self.position_of_block(index) else { return Ok(()) };
        let block = &self.blocks[position];
        let is_last = position + 1 == self.blocks.len();
        if is_last || block.is_empty() || block.bytes * 2 >= block.raw_len {
            return Ok(());
        }
        if block.compacted_at.is_some_and(|at| block.bytes * 2 >= at) {
            return Ok(());
        }
        self.load_block(position)?;
        self.rewrite_live(position)?;
        self.sync_names()
    }

    /// Rewrites a block without what is dead: only live messages and tombstones that are still
    /// needed stay.
    pub(super) fn rewrite_live(&mut self, position: usize) -> StoreResult<()> {
        let last = self.totals.last;
        if !self.blocks[position].is_live(last.seq) && !self.last_is_told(Some(position)) {
            // The record that tells the stream's last sequence may be among those that go.
            self.append_tombstone(last.seq, last.timestamp)?;
            self.sync_now()?;
        }
        self.flush_last()?;
        self.load_block(position)?;
        let removed_elsewhere = self.removed_in_other_blocks(position);
        let block = &mut self.blocks[position];
        let Some(loaded) = &mut block.loaded else { return Ok(()) };
        let content = loaded.contiguous();
        let mut kept = Vec::with_capacity(block.bytes as usize);
        let mut prior = PriorTombstones::None;
        let mut previous = 0u64;
        let mut trailing_kept = false;
        let (first, last) = (block.first.seq, block.last.seq);
        for (raw, at) in records(&content) {
            let keep = match raw.kind {
                RecordKind::Message => {
                    let fresh = raw.seq > previous;
                    previous = previous.max(raw.seq);
                    fresh && block.is_live(raw.seq)
                }
                RecordKind::Tombstone => {
                    // Also one below the stream's first sequence: without it, the record it
                    // is for would be a message again when blocks are all there is.
                    let needed = raw.seq < first && removed_elsewhere.contains(raw.seq);
                    if needed {
                        prior.add(raw.seq);
                    }
                    needed || raw.seq == self.totals.last.seq
                }
                RecordKind::Erased => {
                    // Only the last skip tells where the block ends.
                    let ends = raw.seq == last && !block.is_live(last);
                    trailing_kept |= ends;
                    ends
                }
            };
            if keep && let Some(bytes) = content.get(at..at + raw.len) {
                kept.extend_from_slice(bytes);
            }
        }
        let is_last = position + 1 == self.blocks.len();
        let block = &mut self.blocks[position];
        block.prior_tombstones = prior;
        block.file_first = first;
        block.displaced.clear();
        if !is_last && !trailing_kept && !block.is_live(last) {
            self.pull_back_last(position);
        }
        let may_compress = !is_last;
        self.rewrite_block(position, kept, may_compress)?;
        let block = &mut self.blocks[position];
        block.compacted_at = Some(block.bytes);
        self.drop_index_file()?;
        self.dirty = true;
        Ok(())
    }

    /// Lets a block end with its last live message: deletes behind it are a gap between blocks.
    fn pull_back_last(&mut self, position: usize) {
        let block = &mut self.blocks[position];
        let mut last = block.last.seq;
        while last > block.first.seq && block.deleted.contains(last) {
            last -= 1;
        }
        let timestamp = block.timestamp(last).unwrap_or(block.last.timestamp);
        block.deleted.remove_above(last);
        block.last = super::block::Mark { seq: last, timestamp };
    }

    /// What other blocks hold as deletes between their live messages, and therefore may still
    /// hold as records.
    fn removed_in_other_blocks(&self, position: usize) -> SequenceSet {
        let others = self.blocks.iter().enumerate().filter(|(at, _)| *at != position);
        let mut all = SequenceSet::new();
        for (_, block) in others {
            all.union_with(&block.deleted);
            if block.file_first < block.first.seq {
                all.insert_range(block.file_first..=block.first.seq - 1);
            }
            if block.is_empty() && block.file_first <= block.last.seq {
                all.insert_range(block.file_first..=block.last.seq);
            }
        }
        all
    }

    fn compress_block(&mut self, index: u32) -> StoreResult<()> {
        let Some(position) = self.position_of_block(index) else { return Ok(()) };
        if position + 1 == self.blocks.len() || self.blocks[position].raw_len < 8 {
            return Ok(());
        }
        let was_loaded = self.blocks[position].is_loaded();
        self.load_block(position)?;
        let block = &mut self.blocks[position];
        let content = block.loaded.as_mut().map(Loaded::contiguous).unwrap_or_default();
        let Ok(packed) = compression::compress_block(&content) else { return Ok(()) };
        if packed.len() as u64 >= block.raw_len {
            return Ok(());
        }
        let path = self.paths.block(index);
        block.file = None;
        let replaced = replace_block(self.disk.as_ref(), &path, block.key.as_ref(), packed);
        if let Err(error) = replaced {
            return Err(self.fail(disk_error("write", &path, &error)));
        }
        self.names_changed = true;
        self.blocks[position].packed = true;
        if !was_loaded {
            self.blocks[position].unload();
        }
        Ok(())
    }
}

/// Whether a block's file starts like a compressed one.
pub(super) fn file_is_compressed(store: &FileStore, block: &Block) -> bool {
    let path = store.paths.block(block.index);
    let Ok(file) = store.disk.open(&path, OpenMode::Read) else { return false };
    let mut start = [0u8; 5];
    if read_full_at(file.as_ref(), &mut start, 0).unwrap_or(0) < start.len() {
        return false;
    }
    if let Some(key) = &block.key {
        key.apply_keystream(&mut start, 0);
    }
    compression::is_compressed(&start)
}
