//! Opening a store: from its index file when that is true, else from its blocks (spec 06, sections
//! 4.4, 11 and 13.6).
//!
//! Whatever mixture of old, cut, damaged and missing files is found, every provable record is kept
//! and none that is not provable is served. Damaged blocks are rewritten without their damage, so
//! that the reference, which cuts a block at its first bad record, keeps the rest too.

use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::block::{Block, MAX_SPAN, Mark, PriorTombstones};
use super::block_scan::{BlockScan, Findings, Tombstone};
use super::encryption::{AssetKey, EncryptionError};
use super::files::{BlockContent, Paths, disk_error, numbered, read_block, replace_block};
use super::index_db::{IndexError, IndexFile, IndexedBlock};
use super::record::{NamedHash, find_next, trailing_checksum};
use super::remove::Removal;
use super::scan::{ScanItem, scan_verified};
use super::{
    FileStore, FileStoreOptions, Lost, MAX_BLOCK_SIZE, SubjectInfo, Totals, add_subject, meta,
};
use crate::config::{PersistMode, StorageType, StreamConfig};
use crate::disk::{
    Durability, OpenMode, read_full_at, remove_dir_if_exists, remove_file_if_exists, staging_path,
};
use crate::error::{StoreError, StoreResult};
use crate::schedules::Schedules;
use crate::store::StoreEffect;
use crate::time::Timestamp;
use crate::timewheel::TimeWheel;

/// A skip may stand for so many sequences inside a block; more go into a block of their own.
const MAX_TRAILING_GAP: u64 = 64 << 10;

/// Why a store could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError(pub StoreError);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        OpenError(error)
    }
}

pub(super) fn encryption_error(error: EncryptionError) -> StoreError {
    match error {
        EncryptionError::BadKeySize => StoreError::EncryptionBadKeySize,
        EncryptionError::UnableToRecoverKeys => StoreError::UnableToRecoverKeys,
        EncryptionError::Unauthentic => StoreError::Other(error.to_string()),
    }
}

impl FileStore {
    /// Opens the store of a stream, making its directory when there is none.
    ///
    /// # Errors
    /// A directory that cannot be used, a wrong configuration, or keys that do not open it.
    /// Damage is no error: it is reported by the state and by effects.
    pub fn open(
        options: FileStoreOptions,
        config: StreamConfig,
        now: Timestamp,
    ) -> Result<FileStore, OpenError> {
        if config.name.is_empty() {
            return Err(StoreError::NameRequired.into());
        }
        if config.storage != StorageType::File {
            return Err(StoreError::FileStorageRequired.into());
        }
        if options.block_size > MAX_BLOCK_SIZE {
            let text = "filestore max block size is 8.00 MB".to_owned();
            return Err(StoreError::Other(text).into());
        }
        let mut config = config;
        if config.max_msgs_per_subject < -1 {
            config.max_msgs_per_subject = -1;
        }
        let block_size = match options.block_size {
            0 => meta::block_size_for(&config, 0, options.encryption.is_some()),
            size => size,
        };
        let mut store = FileStore {
            paths: Paths::new(&options.dir),
            name_hash: NamedHash::new(&config.name),
            disk: options.disk,
            compression: config.compression,
            config,
            created: options.created,
            random: options.random,
            encryption: options.encryption,
            key: None,
            block_size,
            cache_bytes: options.cache_bytes,
            cache_expire: options.cache_expire,
            totals: Totals::default(),
            blocks: Default::default(),
            subjects: Default::default(),
            lost: Lost::default(),
            consumers: 0,
            failed: None,
            closed: false,
            unsynced: Vec::new(),
            names_changed: false,
            doomed: Vec::new(),
            doomed_unsynced: Vec::new(),
            durable: 0,
            index_on_disk: false,
            dirty: false,
            effects: Default::default(),
            access: 0,
            now: now.nanos(),
            upkeep: super::upkeep::Upkeep::new(1),
            expiry: Default::default(),
            snapshots: Default::default(),
        };
        store.prepare_directories()?;
        let key_is_current = store.open_key()?;
        store.finish_purge()?;
        let convert_key = !key_is_current && store.encryption.is_some();
        let prior = store.recover_from_index();
        let (recovered, prior) = match prior {
            Ok(()) => (true, None),
            Err(prior) => (false, prior),
        };
        if !recovered {
            store.recover_from_blocks(prior.as_deref())?;
        }
        store.after_recovery(now, convert_key)?;
        Ok(store)
    }

    fn prepare_directories(&mut self) -> StoreResult<()> {
        let dir = self.paths.dir.clone();
        let missing: Vec<PathBuf> = dir
            .ancestors()
            .take_while(|above| !above.as_os_str().is_empty() && !self.disk.exists(above))
            .filter(|above| above.parent().is_some())
            .map(Path::to_path_buf)
            .collect();
        match self.disk.metadata(&dir) {
            Ok(found) if !found.is_dir => {
                return Err(StoreError::Other("storage directory is not a directory".into()));
            }
            Ok(_) => {}
            Err(_) => self.disk.create_dir_all(&dir).map_err(|error| {
                StoreError::Other(format!("could not create storage directory - {error}"))
            })?,
        }
        let probe = dir.join("_test_");
        let probed =
            self.disk.open(&probe, OpenMode::Create).and_then(|_| self.disk.remove_file(&probe));
        match probed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(_) => {
                return Err(StoreError::Other("storage directory is not writable".into()));
            }
        }
        let staging = self.paths.new_msgs();
        if !self.disk.exists(&self.paths.msgs) && !self.disk.exists(&staging) {
            self.disk.create_dir_all(&self.paths.msgs).map_err(|error| {
                StoreError::Other(format!("could not create message storage directory - {error}"))
            })?;
            self.names_changed = true;
        }
        self.disk.create_dir_all(&self.paths.consumers()).map_err(|error| {
            StoreError::Other(format!("could not create consumer storage directory - {error}"))
        })?;
        for parent in missing.iter().filter_map(|made| made.parent()).chain([dir.as_path()]) {
            self.disk.sync_dir(parent).map_err(|error| disk_error("sync", parent, &error))?;
        }
        Ok(())
    }

    /// Finishes or undoes a purge that was cut short.
    fn finish_purge(&mut self) -> StoreResult<()> {
        let staging = self.paths.new_msgs();
        let failed = |path: &Path, error: io::Error| disk_error("recover", path, &error);
        if let Ok(entries) = self.disk.list(&staging) {
            // An empty block is one whose content did not get to the disk; as long as the old
            // messages are in their place, nothing was purged.
            let old_moved = !self.disk.exists(&self.paths.msgs);
            let complete = entries.iter().any(|entry| {
                numbered(&entry.name, ".blk").is_some()
                    && (old_moved
                        || self
                            .disk
                            .metadata(&staging.join(&entry.name))
                            .is_ok_and(|found| found.len > 0))
            });
            if complete {
                let msgs = self.paths.msgs.clone();
                remove_dir_if_exists(self.disk.as_ref(), &msgs)
                    .map_err(|error| failed(&msgs, error))?;
                self.disk.rename(&staging, &msgs).map_err(|error| failed(&staging, error))?;
            } else {
                for entry in &entries {
                    if let Some(index) = numbered(&entry.name, ".key") {
                        let path = self.paths.block(index);
                        remove_file_if_exists(self.disk.as_ref(), &path)
                            .map_err(|error| failed(&path, error))?;
                    }
                }
                remove_dir_if_exists(self.disk.as_ref(), &staging)
                    .map_err(|error| failed(&staging, error))?;
            }
            self.disk.sync_dir(&self.paths.dir).map_err(|error| failed(&self.paths.dir, error))?;
        }
        let old = self.paths.purged();
        if !self.disk.exists(&self.paths.msgs) {
            if self.disk.exists(&old) {
                // The purge got no further than its first rename, and what it had staged is not
                // there: the old messages are all there is.
                self.disk.rename(&old, &self.paths.msgs).map_err(|error| failed(&old, error))?;
            } else {
                self.disk
                    .create_dir_all(&self.paths.msgs)
                    .map_err(|error| failed(&self.paths.msgs, error))?;
            }
            self.disk.sync_dir(&self.paths.dir).map_err(|error| failed(&self.paths.dir, error))?;
        }
        if self.disk.exists(&old) {
            self.upkeep.trash = true;
        }
        Ok(())
    }

    fn block_numbers(&self) -> StoreResult<Vec<u32>> {
        let entries =
            self.disk.list(&self.paths.msgs).map_err(|_| StoreError::DirectoryNotReadable)?;
        let mut numbers: Vec<u32> =
            entries.iter().filter_map(|entry| numbered(&entry.name, ".blk")).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Takes the index file's word, if everything that can be checked cheaply agrees with it. On
    /// failure gives back what the file said, when at least its checksum was right.
    fn recover_from_index(&mut self) -> Result<(), Option<Box<IndexFile>>> {
        let path = self.paths.index_db();
        let file = match self.disk.read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
            Err(error) => {
                self.warn(format!("Could not read stream state file: {error}"));
                return Err(None);
            }
        };
        self.index_on_disk = true;
        let index = match IndexFile::open(&file, &self.name_hash, self.key.as_ref()) {
            Ok(index) => Box::new(index),
            Err(error) => {
                self.warn(error.to_string());
                return Err(None);
            }
        };
        if let Err(error) = index.check() {
            self.warn(error.to_string());
            // What contradicts itself proves nothing of what was there before.
            return Err((error != IndexError::Inconsistent).then_some(index));
        }
        if index.blocks.is_empty() {
            return Err(Some(index));
        }
        match self.adopt_index(&index) {
            Ok(()) => Ok(()),
            Err(reason) => {
                self.warn(reason);
                self.blocks.clear();
                self.subjects.clear();
                Err(Some(index))
            }
        }
    }

    fn adopt_index(&mut self, index: &IndexFile) -> Result<(), String> {
        let numbers = self.block_numbers().map_err(|error| error.to_string())?;
        if numbers.last().is_some_and(|last| *last > index.last_block) {
            return Err("Stream state outdated, found extra blocks, will rebuild".into());
        }
        for listed in &index.blocks {
            if numbers.binary_search(&listed.index).is_err() {
                return Err(format!(
                    "Stream state detected prior state, could not locate msg block {}",
                    listed.index
                ));
            }
        }
        for listed in &index.blocks {
            let key = self.block_key(listed.index).map_err(|error| error.to_string())?;
            let Some(BlockKey { key, convert: false }) = key else {
                return Err("Stream state outdated, encryption changed, will rebuild".into());
            };
            let hash = self.hash_for_block(listed.index);
            let last = Mark { seq: listed.last_seq, timestamp: listed.last_time };
            let mut block = Block::new(listed.index, hash, key, last);
            block.first = Mark { seq: listed.first_seq, timestamp: listed.first_time };
            block.messages = listed.messages();
            block.bytes = listed.bytes;
            block.deleted = listed.deleted.clone();
            block.ttls = listed.ttls;
            block.schedules = listed.schedules;
            block.prior_tombstones = PriorTombstones::Unknown;
            block.file_first = 1;
            if block.messages == 0 {
                block.set_empty();
            }
            let path = self.paths.block(listed.index);
            let len = self.disk.metadata(&path).map_err(|error| error.to_string())?.len;
            block.raw_len = len;
            block.written = len;
            self.blocks.push_back(block);
        }
        let mut previous = 0;
        for block in &mut self.blocks {
            // Nothing of a block's file is below the block before it.
            block.file_first = previous + 1;
            if block.last.seq < previous {
                block.last.seq = previous;
                block.set_empty();
            }
            previous = block.last.seq;
        }
        self.check_last_block(index)?;
        self.totals = Totals {
            messages: index.messages,
            bytes: index.bytes,
            first: Mark { seq: index.first_seq, timestamp: index.first_time },
            last: Mark { seq: index.last_seq, timestamp: index.last_time },
        };
        if self.totals.messages == 0 && self.totals.first.timestamp == 0 {
            self.totals.first.timestamp = Timestamp::ZERO.nanos();
        }
        for subject in index.subjects.iter() {
            let info = SubjectInfo {
                total: subject.total,
                first_block: subject.first_block.min(subject.last_block),
                last_block: subject.last_block,
                last: 0,
            };
            if info.total > 0 {
                self.subjects.insert(subject.subject, info);
            }
        }
        self.remove_unlisted(index, &numbers);
        Ok(())
    }

    /// Compares the last block with what the index remembers of it, and finds out how long the
    /// raw content of all blocks is.
    fn check_last_block(&mut self, index: &IndexFile) -> Result<(), String> {
        let outdated =
            || "Stream state outdated, last block has additional entries, will rebuild".to_owned();
        let Some(block) = self.blocks.back_mut() else { return Err(outdated()) };
        let path = self.paths.block(block.index);
        let file = self.disk.open(&path, OpenMode::Read).map_err(|error| error.to_string())?;
        let mut checksum = [0u8; 8];
        if let Some(at) = block.raw_len.checked_sub(8) {
            let got = read_full_at(file.as_ref(), &mut checksum, at);
            if got.map_err(|error| error.to_string())? != checksum.len() {
                return Err(outdated());
            }
            if let Some(key) = &block.key {
                key.apply_keystream(&mut checksum, at);
            }
        }
        if checksum != index.last_checksum {
            return Err(outdated());
        }
        block.last_checksum = checksum;
        let mut start = [0u8; 5];
        for block in &mut self.blocks {
            if block.raw_len < start.len() as u64 {
                continue;
            }
            let path = self.paths.block(block.index);
            let file = self.disk.open(&path, OpenMode::Read).map_err(|e| e.to_string())?;
            let got = read_full_at(file.as_ref(), &mut start, 0).map_err(|e| e.to_string())?;
            if let Some(key) = &block.key {
                key.apply_keystream(&mut start, 0);
            }
            if got == start.len() && super::compression::is_compressed(&start) {
                block.sealed = true;
            }
        }
        Ok(())
    }

    /// Removes block files that the index does not list: they were dropped before it was written.
    fn remove_unlisted(&mut self, index: &IndexFile, numbers: &[u32]) {
        for number in numbers {
            if index.blocks.binary_search_by_key(number, |block| block.index).is_err() {
                self.doomed.push(self.paths.block(*number));
                self.doomed.push(self.paths.block_key(*number));
            }
        }
    }

    /// The key of a block: `None` inside when blocks are not encrypted. `Ok(None)` when its key
    /// file cannot be opened.
    fn block_key(&mut self, index: u32) -> StoreResult<Option<BlockKey>> {
        let path = self.paths.block_key(index);
        let file = match self.disk.read(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk_error("read", &path, &error)),
        };
        match (&self.encryption, file) {
            (None, None) => Ok(Some(BlockKey { key: None, convert: false })),
            (None, Some(_)) => Err(StoreError::NoMainKey),
            (Some(_), None) => Ok(Some(BlockKey { key: None, convert: true })),
            (Some(encryption), Some(file)) => {
                let context = format!("{}:{index}", self.config.name);
                match encryption.open_key_file(&context, &file) {
                    Ok((key, convert)) => Ok(Some(BlockKey { key: Some(key), convert })),
                    Err(_) => Ok(None),
                }
            }
        }
    }

    /// Reads every block.
    fn recover_from_blocks(&mut self, prior: Option<&IndexFile>) -> StoreResult<()> {
        self.drop_index_file()?;
        let numbers = self.block_numbers()?;
        let mut findings = Findings::default();
        for number in &numbers {
            self.recover_block(*number, &mut findings)?;
        }
        self.upkeep.next_block_index = numbers.last().map_or(1, |last| last.saturating_add(1));
        self.remove_orphan_keys(&numbers);
        let mut last = findings.last;
        self.totals.messages = self.blocks.iter().map(|block| block.messages).sum();
        self.totals.bytes = self.blocks.iter().map(|block| block.bytes).sum();
        let mut restore_last = false;
        if let Some(prior) = prior {
            let rolls_back =
                self.config.num_replicas > 1 || self.config.persist_mode == PersistMode::Async;
            if prior.last_seq > last.seq && !rolls_back {
                last = Mark { seq: prior.last_seq, timestamp: prior.last_time };
                restore_last = true;
            }
            missing_from(prior, &numbers, findings.last.seq, restore_last, &mut findings);
        }
        self.totals.last = last;
        self.settle_last_block(last)?;
        self.select_first();
        if last.seq == 0 && self.totals.messages == 0 {
            self.totals.first = Mark::default();
        }
        if restore_last {
            self.append_tombstone(last.seq, last.timestamp)?;
        }
        self.report_lost(&findings, prior);
        self.apply_tombstones(&mut findings.tombstones)?;
        self.dirty = true;
        Ok(())
    }

    /// Lets the last block end with the stream's last sequence.
    fn settle_last_block(&mut self, last: Mark) -> StoreResult<()> {
        let mut previous = Mark::default();
        for block in &mut self.blocks {
            if block.is_empty() {
                block.last = if block.last.seq > previous.seq { block.last } else { previous };
                block.set_empty();
            }
            previous = block.last;
        }
        let Some(block) = self.blocks.back_mut() else { return Ok(()) };
        if block.last.seq >= last.seq {
            return Ok(());
        }
        if block.is_empty() {
            block.last = last;
            block.set_empty();
        } else if last.seq - block.last.seq <= MAX_TRAILING_GAP {
            block.deleted.insert_range(block.last.seq + 1..=last.seq);
            block.last = last;
        } else {
            self.roll()?;
        }
        Ok(())
    }

    fn recover_block(&mut self, number: u32, findings: &mut Findings) -> StoreResult<()> {
        let path = self.paths.block(number);
        let Some(BlockKey { mut key, convert }) = self.block_key(number)? else {
            let len = self.disk.metadata(&path).map_or(0, |found| found.len);
            findings.lost_bytes += len;
            self.set_aside(number, "its key file cannot be opened");
            return Ok(());
        };
        let hash = self.hash_for_block(number);
        let mut content = read_block(self.disk.as_ref(), &path, key.as_ref())
            .map_err(|error| disk_error("read", &path, &error))?;
        if let Some((staged_key, staged)) = self.finish_conversion(number, &content, &key, &hash) {
            content = staged;
            key = staged_key;
        }
        let before = self
            .blocks
            .iter()
            .map(|block| block.last)
            .max_by_key(|last| last.seq)
            .unwrap_or_default();
        let mut scan = BlockScan::new(&content.data, number, hash.clone(), before);
        scan_verified(&content.data, &hash, &mut |item| scan.take(item, findings));
        scan.cut_off(content.missing);
        scan.finish(findings);
        if scan.records == 0 && (!content.data.is_empty() || content.missing > 0) {
            self.set_aside(number, "no record of it can be proved");
            return Ok(());
        }
        let BlockScan { mut block, subjects, damaged_bytes, .. } = scan;
        for (subject, messages) in &subjects {
            add_subject(&mut self.subjects, subject, *messages, number);
        }
        block.key = key;
        block.raw_len = content.data.len() as u64;
        block.written = block.raw_len;
        block.last_checksum = trailing_checksum(&content.data).unwrap_or_default();
        block.sealed = content.compressed;
        let damaged = damaged_bytes > 0 || content.damage.is_some();
        let converts = convert || (self.encryption.is_some() && block.key.is_none());
        if damaged {
            self.warn(format!(
                "Message block {number}.blk is damaged: {damaged_bytes} bytes hold no provable \
                 record"
            ));
        }
        if damaged || converts {
            let sound = sound_records(&content.data, &block.hash);
            self.replace_recovered(&mut block, sound, converts)?;
        }
        if self.disk.exists(&staging_path(&path)) {
            let _ = remove_file_if_exists(self.disk.as_ref(), &staging_path(&path));
        }
        self.blocks.push_back(block);
        Ok(())
    }

    /// A conversion of encryption that was cut short between its two renames left a key that does
    /// not fit its block. What fits is the staged block, or the block in the clear.
    fn finish_conversion(
        &mut self,
        number: u32,
        content: &BlockContent,
        key: &Option<AssetKey>,
        hash: &NamedHash,
    ) -> Option<(Option<AssetKey>, BlockContent)> {
        if key.is_none() || content.data.is_empty() || has_record(&content.data, hash) {
            return None;
        }
        let path = self.paths.block(number);
        let staged = staging_path(&path);
        if let Ok(found) = read_block(self.disk.as_ref(), &staged, key.as_ref())
            && has_record(&found.data, hash)
            && self.disk.rename(&staged, &path).is_ok()
        {
            self.names_changed = true;
            return Some((key.clone(), found));
        }
        let plain = read_block(self.disk.as_ref(), &path, None).ok()?;
        has_record(&plain.data, hash).then_some((None, plain))
    }

    /// Rewrites a block that was found damaged, or that is to be encrypted anew.
    fn replace_recovered(
        &mut self,
        block: &mut Block,
        content: Vec<u8>,
        convert: bool,
    ) -> StoreResult<()> {
        let path = self.paths.block(block.index);
        let mut staged_key = None;
        if convert && let Some(encryption) = &self.encryption {
            let context = format!("{}:{}", self.config.name, block.index);
            let random = &mut self.random;
            let fill = &mut |bytes: &mut [u8]| random.fill(bytes);
            staged_key = Some(match &block.key {
                Some(old) => encryption.reseal(&context, old, fill),
                None => encryption.generate(&context, fill),
            });
        }
        let result = match &staged_key {
            None => replace_block(self.disk.as_ref(), &path, block.key.as_ref(), content.clone()),
            Some((key, file)) => self.convert_files(block.index, key, file, content.clone()),
        };
        self.names_changed = true;
        match result {
            Ok(()) => {
                if let Some((key, _)) = staged_key {
                    block.key = Some(key);
                }
                block.sealed = false;
                block.raw_len = content.len() as u64;
                block.written = block.raw_len;
                block.last_checksum = trailing_checksum(&content).unwrap_or_default();
                Ok(())
            }
            Err(error) if staged_key.is_some() => Err(disk_error("convert", &path, &error)),
            Err(error) => {
                // The damage stays where it is and is stepped over whenever the block is read;
                // nothing can be appended behind it.
                block.sealed = true;
                self.warn(format!("Could not rewrite {}: {error}", path.display()));
                Ok(())
            }
        }
    }

    /// Puts a new key and the block encrypted with it in place. The block is staged before the
    /// key is replaced, so that one of both names always fits the key.
    fn convert_files(
        &self,
        index: u32,
        key: &AssetKey,
        key_file: &[u8],
        mut content: Vec<u8>,
    ) -> io::Result<()> {
        let path = self.paths.block(index);
        let staged = staging_path(&path);
        key.apply_keystream(&mut content, 0);
        let file = self.disk.open(&staged, OpenMode::CreateTruncate)?;
        file.write_at(&content, 0)?;
        file.sync_data()?;
        drop(file);
        self.disk.sync_dir(&self.paths.msgs)?;
        self.disk.write_atomic(&self.paths.block_key(index), key_file, Durability::Lazy)?;
        self.disk.rename(&staged, &path)?;
        self.disk.sync_dir(&self.paths.msgs)
    }

    /// Renames a block nothing can be read from, so that neither this nor another server removes
    /// what someone may still be able to use.
    fn set_aside(&mut self, number: u32, reason: &str) {
        self.warn(format!("Message block {number}.blk is set aside: {reason}"));
        for path in [self.paths.block(number), self.paths.block_key(number)] {
            let mut aside = path.clone().into_os_string();
            aside.push(".bad");
            if self.disk.exists(&path) {
                let _ = self.disk.rename(&path, Path::new(&aside));
            }
        }
        self.names_changed = true;
    }

    fn remove_orphan_keys(&mut self, numbers: &[u32]) {
        let Ok(entries) = self.disk.list(&self.paths.msgs) else { return };
        for entry in entries {
            if let Some(number) = numbered(&entry.name, ".key")
                && numbers.binary_search(&number).is_err()
            {
                let path = self.paths.msgs.join(entry.name);
                let _ = remove_file_if_exists(self.disk.as_ref(), &path);
                self.names_changed = true;
            }
        }
    }

    fn report_lost(&mut self, findings: &Findings, prior: Option<&IndexFile>) {
        self.lost.bytes += findings.lost_bytes;
        for (first, last) in &findings.lost_ranges {
            let mut seq = *first;
            while seq <= *last && (self.lost.sequences.len() as u64) < MAX_SPAN {
                if self.position_of(seq).is_none()
                    && prior.is_none_or(|prior| !was_dead(prior, seq))
                {
                    self.lost.sequences.insert(seq);
                }
                seq += 1;
            }
        }
        if !self.lost.is_empty() {
            self.warn(format!(
                "Recovery lost {} messages ({} bytes)",
                self.lost.sequences.len(),
                self.lost.bytes
            ));
        }
    }

    fn apply_tombstones(&mut self, tombstones: &mut Vec<Tombstone>) -> StoreResult<()> {
        // Of several, the one in the last block.
        tombstones.sort_unstable_by_key(|tombstone| (tombstone.seq, Reverse(tombstone.block)));
        tombstones.dedup_by_key(|tombstone| tombstone.seq);
        for tombstone in tombstones.iter() {
            self.lost.sequences.remove(&tombstone.seq);
            let block = self.position_of(tombstone.seq).and_then(|at| self.blocks.get(at));
            let precedes = block.is_some_and(|block| block.index > tombstone.block);
            let removed = self.take_out(tombstone.seq, Removal::Replay)?;
            // A block is kept for the sake of blocks before it. Where files stand in an order no
            // store writes, the message would be back once the tombstone's block is gone.
            if precedes && removed.is_some() {
                self.append_tombstone(tombstone.seq, tombstone.timestamp)?;
            }
        }
        Ok(())
    }

    fn after_recovery(&mut self, now: Timestamp, convert_key: bool) -> StoreResult<()> {
        if self.blocks.is_empty() {
            self.roll()?;
        }
        self.recover_timers(now)?;
        let counted: u64 = {
            let mut counted = 0;
            self.subjects.iter_unordered(|_, info| {
                counted += info.total;
                true
            });
            counted
        };
        if !self.subjects.is_empty() && counted > self.totals.messages {
            self.warn(format!(
                "Detected skew in subject-based total ({counted}) vs raw total ({}), rebuilding",
                self.totals.messages
            ));
            self.rebuild_subjects();
        }
        // In the order in which storing enforces them: what a newer message of its subject
        // displaced must not count against the stream, or older messages would go for it.
        self.enforce_per_subject_everywhere()?;
        self.enforce_max_messages()?;
        self.enforce_max_bytes()?;
        self.expire_at_open(now)?;
        self.upkeep.emptied = true;
        self.tidy()?;
        if self.config.first_seq > 0 && self.totals.first.seq < self.config.first_seq {
            self.compact_to(self.config.first_seq)?;
        }
        if convert_key || self.meta_is_missing() {
            self.write_meta(convert_key)?;
            if convert_key {
                self.drop_index_file()?;
            }
        }
        self.remove_legacy_files();
        self.sync_now()?;
        for position in 0..self.blocks.len().saturating_sub(1) {
            self.blocks[position].unload();
        }
        self.expiry.disarm();
        self.arm_after_open(now);
        // Who opens the store learns of what it holds, not of how that came about.
        self.effects.retain(|effect| matches!(effect, StoreEffect::Warn { .. }));
        if self.totals.bytes > 0 {
            let bytes = i64::try_from(self.totals.bytes).unwrap_or(i64::MAX);
            self.effects.push_back(StoreEffect::Usage { bytes });
        }
        Ok(())
    }

    fn recover_timers(&mut self, now: Timestamp) -> StoreResult<()> {
        let next = self.totals.last.seq + 1;
        if self.config.allow_msg_ttl {
            let path = self.paths.ttl_db();
            let (wheel, high) = match self.disk.read(&path) {
                Err(_) => (TimeWheel::new(), 0),
                Ok(file) => match TimeWheel::decode(&file) {
                    Ok((wheel, high)) if high <= next => (wheel, high),
                    Ok(_) => (TimeWheel::new(), 0),
                    Err(error) => {
                        self.warn(format!("Recovering TTL state from index errored: {error}"));
                        let _ = remove_file_if_exists(self.disk.as_ref(), &path);
                        (TimeWheel::new(), 0)
                    }
                },
            };
            self.expiry.ttls = Some(wheel);
            let from = high.max(self.totals.first.seq);
            if self.totals.messages > 0 && from < next {
                self.rescan_ttls(from)?;
            }
        }
        if self.config.allow_msg_schedules {
            let path = self.paths.schedules_db();
            let (schedules, high) = match self.disk.read(&path) {
                Err(_) => (Schedules::new(), 0),
                Ok(file) => match Schedules::decode(&file) {
                    Ok((schedules, high)) if high <= next => (schedules, high),
                    Ok(_) => (Schedules::new(), 0),
                    Err(error) => {
                        self.warn(format!(
                            "Recovering message scheduling state from index errored: {error}"
                        ));
                        let _ = remove_file_if_exists(self.disk.as_ref(), &path);
                        (Schedules::new(), 0)
                    }
                },
            };
            self.expiry.schedules = Some(schedules);
            let from = high.max(self.totals.first.seq);
            if self.totals.messages > 0 && from < next {
                self.rescan_schedules(from, now)?;
            }
            if let Some(schedules) = &mut self.expiry.schedules {
                schedules.arm(now);
            }
        }
        Ok(())
    }

    /// Age at open: with delete markers everything goes through the timer, which may publish.
    fn expire_at_open(&mut self, now: Timestamp) -> StoreResult<()> {
        if self.config.max_age > 0 && self.config.subject_delete_marker_ttl <= 0 {
            self.expire_by_age(now)?;
        }
        Ok(())
    }
}

/// Whether an index says of a sequence it covers that nothing was there.
fn was_dead(prior: &IndexFile, seq: u64) -> bool {
    let live = |block: &IndexedBlock| {
        seq >= block.first_seq && seq <= block.last_seq && !block.deleted.contains(seq)
    };
    seq <= prior.last_seq && !prior.blocks.iter().any(live)
}

/// Finds what an index lists as live and no block can hold any more: that of blocks that are not
/// there, since dropping a block takes the index along; and, with `behind`, what lies behind the
/// last sequence that was found.
fn missing_from(
    prior: &IndexFile,
    numbers: &[u32],
    last: u64,
    behind: bool,
    findings: &mut Findings,
) {
    for listed in &prior.blocks {
        if listed.messages() == 0 {
            continue;
        }
        let absent = numbers.binary_search(&listed.index).is_err();
        let from = if absent {
            findings.lost_bytes += listed.bytes;
            listed.first_seq
        } else if behind && listed.last_seq > last {
            listed.first_seq.max(last + 1)
        } else {
            continue;
        };
        let mut seq = from;
        while let Some(live) = listed.deleted.next_absent(seq)
            && live <= listed.last_seq
        {
            let end = listed.deleted.iter().find(|dead| *dead > live);
            let end = end.map_or(listed.last_seq, |dead| dead - 1).min(listed.last_seq);
            findings.lost_ranges.push((live, end));
            seq = end + 1;
        }
    }
}

/// A block's key and whether it has to be replaced.
struct BlockKey {
    key: Option<AssetKey>,
    convert: bool,
}

fn has_record(data: &Bytes, hash: &NamedHash) -> bool {
    find_next(data, 0, hash, &|_| true).is_some()
}

/// The provable records of a block, one behind the other.
fn sound_records(data: &Bytes, hash: &NamedHash) -> Vec<u8> {
    let mut sound = Vec::with_capacity(data.len());
    scan_verified(data, hash, &mut |item| {
        if let ScanItem::Record(at, record) = item
            && let Some(bytes) = data.get(at..at + record.len)
        {
            sound.extend_from_slice(bytes);
        }
    });
    sound
}
