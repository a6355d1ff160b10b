//! The file store: a stream's messages in message blocks (spec 06).
//!
//! A [`FileStore`] owns one stream's directory. It has no thread and no clock: its driver appends,
//! then calls [`Store::sync`](crate::store::Store::sync), which makes everything appended so far
//! durable with one sync of one file, and gives it time with
//! [`Store::tick`](crate::store::Store::tick).
//!
//! How acknowledged data stays safe:
//! * What a call removes is gone from the files only after everything appended up to that call is
//!   durable: files of emptied blocks are unlinked, and blocks rewritten, behind a sync. A message
//!   that displaced another one and was lost in a crash therefore never takes the other one along.
//! * Removals that limits do not explain leave a tombstone, which is synced like a message.
//! * Files that are replaced are synced before they get their name.
//! * After a write or sync failed, the store takes nothing more until it is opened again.
//!
//! What is relied on of the disk: a directory's changes become durable in the order in which they
//! were made.
//!
//! The parts: `record`, `compression`, `encryption` (formats), `block`, `subject_index`, `scan`,
//! `cold` (one block in memory, or one record of it), `append` (write path), `remove`, `purge`, `limits`, `expiry`, `upkeep`
//! (what goes away), `lookup`, `counts` (questions), `index_db`, `recovery`, `meta` (opening),
//! `meta_file`, `snapshot`, `archive`, `restore`.

mod append;
pub mod archive;
mod block;
mod block_scan;
mod cold;
pub mod compression;
mod counts;
pub mod encryption;
mod expiry;
mod files;
pub mod index_db;
mod limits;
mod lookup;
mod meta;
pub mod meta_file;
mod purge;
pub mod record;
mod recovery;
mod remove;
pub mod restore;
mod scan;
mod snapshot;
mod store;
mod subject_index;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use sublist::stree::SubjectTree;

use self::block::{Block, Mark};
use self::encryption::{AssetKey, EncryptionConfig};
use self::files::{Paths, disk_error};
use self::record::NamedHash;
use crate::config::{StoreCompression, StreamConfig};
use crate::disk::{DiskFile, SharedDisk};
use crate::error::{StoreError, StoreResult};
use crate::store::{RandomSource, StoreEffect};
use crate::time::{DateTime, Timestamp};
use crate::types::{StreamSequence, StreamState};

pub use self::meta::block_size_for;
pub use self::recovery::OpenError;

/// The largest block size that is accepted, in bytes.
pub const MAX_BLOCK_SIZE: u64 = 8 << 20;
/// Bytes of loaded blocks a store keeps for readers unless told otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;
/// How long a loaded block stays without being read (spec 06, section 18).
pub const DEFAULT_CACHE_EXPIRE: Duration = Duration::from_secs(10);
/// Bytes that may wait before they are handed to the file without being asked for.
const FLUSH_THRESHOLD: u64 = 256 << 10;

/// How a store is opened; what belongs to the stream is in its [`StreamConfig`].
pub struct FileStoreOptions {
    /// The disk.
    pub disk: SharedDisk,
    /// The stream's directory.
    pub dir: PathBuf,
    /// Bytes of a message block; 0 for the default of the stream's configuration. At most
    /// [`MAX_BLOCK_SIZE`].
    pub block_size: u64,
    /// Bytes of loaded blocks to keep for readers. One block is kept even when it is larger.
    pub cache_bytes: usize,
    /// How long a loaded block stays without being read.
    pub cache_expire: Duration,
    /// Encryption at rest; `None` for files in the clear.
    pub encryption: Option<EncryptionConfig>,
    /// When the stream was created; written to `meta.inf`.
    pub created: DateTime,
    /// Randomness for keys and nonces.
    pub random: Box<dyn RandomSource + Send>,
}

impl fmt::Debug for FileStoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreOptions")
            .field("dir", &self.dir)
            .field("block_size", &self.block_size)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

impl FileStoreOptions {
    /// Options with defaults: derived block size, default cache, no encryption.
    pub fn new(
        disk: SharedDisk,
        dir: impl Into<PathBuf>,
        created: DateTime,
        random: Box<dyn RandomSource + Send>,
    ) -> FileStoreOptions {
        FileStoreOptions {
            disk,
            dir: dir.into(),
            block_size: 0,
            cache_bytes: DEFAULT_CACHE_BYTES,
            cache_expire: DEFAULT_CACHE_EXPIRE,
            encryption: None,
            created,
            random,
        }
    }
}

/// What the stream-wide index knows of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SubjectInfo {
    total: u64,
    /// No block below this one holds the subject.
    first_block: u32,
    last_block: u32,
    /// The last sequence, 0 when it must be looked up in the last block.
    last: u64,
}

/// Count, bytes and ends of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Totals {
    messages: u64,
    bytes: u64,
    first: Mark,
    last: Mark,
}

/// What was found lost since the store was opened.
#[derive(Debug, Default)]
struct Lost {
    sequences: BTreeSet<u64>,
    bytes: u64,
}

impl Lost {
    fn is_empty(&self) -> bool {
        self.sequences.is_empty() && self.bytes == 0
    }
}

/// A store of one stream's messages in files. See the module for what keeps them safe.
pub struct FileStore {
    disk: SharedDisk,
    paths: Paths,
    config: StreamConfig,
    created: DateTime,
    random: Box<dyn RandomSource + Send>,
    encryption: Option<EncryptionConfig>,
    /// The stream's own key, when it is encrypted.
    key: Option<AssetKey>,
    block_size: u64,
    /// How blocks are compressed. A changed configuration tells only of those rolled after the
    /// next opening (spec 06, section 5.6).
    compression: StoreCompression,
    cache_bytes: usize,
    cache_expire: Duration,
    name_hash: NamedHash,

    totals: Totals,
    blocks: VecDeque<Block>,
    subjects: SubjectTree<SubjectInfo>,
    lost: Lost,
    consumers: u64,

    /// Why the store takes no more writes.
    failed: Option<StoreError>,
    closed: bool,
    /// Blocks behind the last one whose files have bytes that are not durable.
    unsynced: Vec<u32>,
    /// Names of the message directory were made or changed since its last sync.
    names_changed: bool,
    /// Files to unlink once everything appended is durable.
    doomed: Vec<PathBuf>,
    /// Those of them that have bytes which are not durable.
    doomed_unsynced: Vec<Box<dyn DiskFile>>,
    durable: u64,
    /// An index file is on disk.
    index_on_disk: bool,
    /// Something changed since the index file was written.
    dirty: bool,

    effects: VecDeque<StoreEffect>,
    access: u64,
    /// The newest time any call has told.
    now: i64,
    upkeep: upkeep::Upkeep,
    expiry: expiry::Expiry,
    snapshots: snapshot::Running,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("dir", &self.paths.dir)
            .field("totals", &self.totals)
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

impl FileStore {
    fn open_check(&self) -> StoreResult<()> {
        if self.closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn writable(&self) -> StoreResult<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.open_check()
    }

    /// Remembers a failed write: what is on disk is not known any more.
    fn fail(&mut self, error: StoreError) -> StoreError {
        if self.failed.is_none() {
            self.warn(format!("Critical write error: {error}"));
            self.failed = Some(error.clone());
        }
        error
    }

    fn warn(&mut self, text: String) {
        self.effects.push_back(StoreEffect::Warn { text });
    }

    fn note_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now.nanos());
    }

    fn hash_for_block(&self, index: u32) -> NamedHash {
        NamedHash::for_block(&self.config.name, index)
    }

    /// The position of the block whose range holds `seq`, or the first one behind it.
    fn position_at_or_after(&self, seq: u64) -> usize {
        self.blocks.partition_point(|block| block.last.seq < seq)
    }

    /// The position of the block in which `seq` is live.
    fn position_of(&self, seq: u64) -> Option<usize> {
        let position = self.position_at_or_after(seq);
        self.blocks.get(position).filter(|block| block.is_live(seq)).map(|_| position)
    }

    fn position_of_block(&self, index: u32) -> Option<usize> {
        self.blocks.binary_search_by_key(&index, |block| block.index).ok()
    }

    /// Loads and indexes a block. Live messages that turn out to have no provable record are
    /// taken out and reported as lost.
    fn load_block(&mut self, position: usize) -> StoreResult<()> {
        self.access += 1;
        let access = self.access;
        let now = self.now;
        let Some(block) = self.blocks.get_mut(position) else {
            return Err(StoreError::NoMessageBlock);
        };
        block.used = access;
        block.used_at = now;
        if block.is_loaded() {
            return Ok(());
        }
        let path = self.paths.block(block.index);
        let mut content = match files::read_block(self.disk.as_ref(), &path, block.key.as_ref()) {
            Ok(content) => {
                block.packed = content.compressed;
                content.data
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(disk_error("read", &path, &error)),
        };
        match &mut block.loaded {
            Some(loaded) => {
                // The newest records are held already; the file gives what is before them.
                content.truncate(loaded.start);
                loaded.prepend(content);
            }
            None => block.loaded = Some(block::Loaded::whole(content)),
        }
        let missing = block.index_loaded();
        self.upkeep.note_cache_use(now, self.cache_expire);
        if let Some(missing) = missing {
            self.declare_lost(position, missing);
        }
        self.shrink_cache(position);
        Ok(())
    }

    /// Unloads the blocks that were not used for longest until the cache's bound is kept.
    fn shrink_cache(&mut self, keep: usize) {
        let mut held: usize = self.blocks.iter().map(Block::loaded_bytes).sum();
        while held > self.cache_bytes {
            let last = self.blocks.len().saturating_sub(1);
            let oldest = self
                .blocks
                .iter_mut()
                .enumerate()
                .filter(|(position, block)| {
                    *position != keep && *position != last && block.loaded.is_some()
                })
                .min_by_key(|(_, block)| block.used);
            let Some((_, block)) = oldest else { return };
            held -= block.loaded_bytes();
            block.unload();
        }
    }

    /// Takes messages out of the accounts whose records are damaged, and says so.
    fn declare_lost(&mut self, position: usize, missing: block::MissingRecords) {
        let Some(block) = self.blocks.get_mut(position) else { return };
        let count = missing.sequences.len() as u64;
        let bytes = block.bytes.saturating_sub(missing.live_bytes);
        for seq in &missing.sequences {
            block.deleted.insert(*seq);
        }
        block.messages = block.messages.saturating_sub(count);
        block.bytes = missing.live_bytes;
        // Its highest record may be one of those that cannot be proved.
        block.told = 0;
        let index = block.index;
        if block.messages == 0 {
            block.set_empty();
        } else if let Some(first) = block.deleted.next_absent(block.first.seq) {
            block.first.seq = first;
            block.first.timestamp = block.timestamp(first).unwrap_or(block.first.timestamp);
            block.deleted.remove_below(first);
        }
        self.totals.messages = self.totals.messages.saturating_sub(count);
        self.totals.bytes = self.totals.bytes.saturating_sub(bytes);
        self.lost.sequences.extend(&missing.sequences);
        self.lost.bytes += bytes;
        self.select_first();
        self.dirty = true;
        let (low, high) = (missing.sequences.first(), missing.sequences.last());
        self.warn(format!(
            "Message block {index}.blk is damaged: {count} messages ({bytes} bytes) between \
             sequences {} and {} are lost",
            low.copied().unwrap_or_default(),
            high.copied().unwrap_or_default()
        ));
        self.effects.push_back(StoreEffect::RemovedMany { messages: count, bytes });
        // Which subjects the lost messages had is not known: the totals are counted anew.
        self.rebuild_subjects();
    }

    /// Counts all subjects anew from the blocks.
    fn rebuild_subjects(&mut self) {
        self.subjects.clear();
        for position in 0..self.blocks.len() {
            let was_loaded = self.blocks[position].is_loaded();
            if self.blocks[position].is_empty() {
                continue;
            }
            // Damage in a further block comes back here by itself; the nested call then counts
            // everything, and this one must not count twice.
            let messages = self.totals.messages;
            let loaded = self.load_block(position);
            if self.totals.messages != messages {
                return;
            }
            if let Err(error) = loaded {
                self.warn(format!("Could not count subjects: {error}"));
                continue;
            }
            let block = &mut self.blocks[position];
            let index = block.index;
            if let Some(loaded) = &mut block.loaded {
                let subjects = &mut self.subjects;
                loaded.visit_subjects(|subject, messages| {
                    add_subject(subjects, subject, messages, index);
                });
            }
            if !was_loaded && position + 1 < self.blocks.len() {
                self.blocks[position].unload();
            }
        }
    }

    /// Sets the stream's first sequence from the blocks.
    fn select_first(&mut self) {
        match self.blocks.iter().find(|block| !block.is_empty()) {
            Some(block) => self.totals.first = block.first,
            None => {
                self.totals.first =
                    Mark { seq: self.totals.last.seq + 1, timestamp: Timestamp::ZERO.nanos() };
            }
        }
    }

    /// Time of a block's first message, looked up when it is not known.
    fn refresh_first_time(&mut self, position: usize) -> StoreResult<()> {
        let Some(block) = self.blocks.get(position) else { return Ok(()) };
        if block.is_empty() || block.first.timestamp != 0 {
            return Ok(());
        }
        self.load_block(position)?;
        if let Some(block) = self.blocks.get_mut(position)
            && let Some(timestamp) = block.timestamp(block.first.seq)
        {
            block.first.timestamp = timestamp;
        }
        Ok(())
    }

    fn state_without_lists(&self) -> StreamState {
        let totals = &self.totals;
        let span = (totals.last.seq > totals.first.seq)
            .then(|| (totals.last.seq - totals.first.seq + 1).saturating_sub(totals.messages));
        StreamState {
            messages: totals.messages,
            bytes: totals.bytes,
            first_seq: StreamSequence::new(totals.first.seq),
            first_time: time_of(totals.first),
            last_seq: StreamSequence::new(totals.last.seq),
            last_time: time_of(totals.last),
            num_subjects: self.subjects.len() as u64,
            num_deleted: span.unwrap_or_default(),
            consumers: self.consumers,
            ..StreamState::default()
        }
    }

    /// Checks what must hold between the calls; for tests and simulations.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn check_invariants(&self) {
        let mut messages = 0;
        let mut bytes = 0;
        let mut last = 0;
        for block in &self.blocks {
            messages += block.messages;
            bytes += block.bytes;
            if block.is_empty() {
                assert_eq!(block.first.seq, block.last.seq + 1, "empty block {}", block.index);
                assert!(block.deleted.is_empty(), "empty block {} has deletes", block.index);
            } else {
                assert!(block.first.seq > last, "blocks overlap at {}", block.index);
                let span = block.last.seq - block.first.seq + 1;
                assert_eq!(span - block.deleted.len(), block.messages, "block {}", block.index);
                assert!(!block.deleted.contains(block.first.seq), "block {}", block.index);
            }
            assert!(
                block.last.seq >= last,
                "blocks out of order at {}: {:?}",
                block.index,
                self.blocks.iter().map(|b| (b.index, b.first.seq, b.last.seq)).collect::<Vec<_>>()
            );
            last = block.last.seq;
        }
        assert_eq!(messages, self.totals.messages);
        assert_eq!(bytes, self.totals.bytes);
        assert!(last <= self.totals.last.seq);
        if messages > 0 {
            let first = self.blocks.iter().find(|block| !block.is_empty());
            assert_eq!(first.map(|block| block.first.seq), Some(self.totals.first.seq));
        }
        let mut indexed = 0;
        self.subjects.iter_unordered(|_, info| {
            assert!(info.total > 0 && info.first_block <= info.last_block);
            indexed += info.total;
            true
        });
        assert!(indexed <= messages);
    }
}

fn time_of(mark: Mark) -> Timestamp {
    if mark.timestamp == 0 { Timestamp::ZERO } else { Timestamp::from_nanos(mark.timestamp) }
}

fn add_subject(subjects: &mut SubjectTree<SubjectInfo>, subject: &[u8], messages: u64, block: u32) {
    if subject.is_empty() || messages == 0 {
        return;
    }
    let fresh = SubjectInfo { total: 0, first_block: block, last_block: block, last: 0 };
    if let Some((info, _)) = subjects.entry_or_insert_with(subject, || fresh) {
        info.total += messages;
        info.first_block = info.first_block.min(block);
        info.last_block = info.last_block.max(block);
        info.last = 0;
    }
}
