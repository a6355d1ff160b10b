//! The store as a whole. The formats are tested beside their code.

mod config;
mod counting;
mod crashing;
mod encrypted;
mod every_store;
mod faults;
mod loading;
mod model;
mod ranges;
mod reclaiming;
mod recovering;
mod removing;
mod restarting;
mod storing;
mod timed;

use std::path::PathBuf;
use std::sync::Arc;

use super::encryption::{Cipher, EncryptionConfig};
use super::{FileStore, FileStoreOptions};
use crate::config::{StorageType, StoreCompression, StreamConfig};
use crate::disk::{Disk, OpenMode, SimDisk};
use crate::filter::SubjectFilter;
use crate::store::{NewMessage, RandomSource, Store, StoreEffect};
use crate::time::{DateTime, Timestamp};
use crate::types::{MessageTtl, StreamSequence, StreamState};

/// Bytes that are as good as random for a test, and the same in every run.
#[derive(Debug, Clone)]
pub(super) struct TestRandom(pub u64);

impl TestRandom {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

impl RandomSource for TestRandom {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

pub(super) fn seq(number: u64) -> StreamSequence {
    StreamSequence::new(number)
}

pub(super) fn filter(text: &str) -> SubjectFilter {
    SubjectFilter::new(text)
}

/// A stream on a simulated disk with a clock of its own.
pub(super) struct Rig {
    pub disk: SimDisk,
    pub config: StreamConfig,
    pub block_size: u64,
    pub cache_bytes: usize,
    pub encryption: Option<EncryptionConfig>,
    pub now: i64,
    pub store: Option<FileStore>,
    pub opened: Vec<StoreEffect>,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(|_| {})
    }

    pub fn with(edit: impl FnOnce(&mut StreamConfig)) -> Rig {
        let mut config = StreamConfig {
            name: "S".into(),
            subjects: vec![">".into()],
            storage: StorageType::File,
            num_replicas: 1,
            ..StreamConfig::default()
        };
        edit(&mut config);
        let mut rig = Rig {
            disk: SimDisk::new(7),
            config,
            block_size: 0,
            cache_bytes: super::DEFAULT_CACHE_BYTES,
            encryption: None,
            now: 1_700_000_000_000_000_000,
            store: None,
            opened: Vec::new(),
        };
        rig.open();
        rig
    }

    /// As [`Rig::with`], with blocks of this size.
    pub fn small(block_size: u64, edit: impl FnOnce(&mut StreamConfig)) -> Rig {
        let mut rig = Rig::with(edit);
        rig.close_roughly();
        rig.disk = SimDisk::new(7);
        rig.block_size = block_size;
        rig.open();
        rig
    }

    /// Runs `work` on a stream in the clear, on a compressed one and on encrypted ones, with blocks
    /// of this size, or of the usual one for 0.
    pub fn each(block_size: u64, edit: impl Fn(&mut StreamConfig), mut work: impl FnMut(&mut Rig)) {
        for cipher in [None, Some(Cipher::ChaCha), Some(Cipher::Aes)] {
            for compression in [StoreCompression::None, StoreCompression::S2] {
                let mut rig = Rig::with(|config| {
                    edit(config);
                    config.compression = compression;
                });
                rig.close_roughly();
                rig.disk = SimDisk::new(7);
                rig.block_size = block_size;
                rig.encryption = cipher.map(|cipher| EncryptionConfig::new("key", "$G", cipher));
                rig.open();
                work(&mut rig);
            }
        }
    }

    /// Starts a new block.
    pub fn roll(&mut self) {
        self.store().roll().unwrap();
    }

    /// First and last sequence of every block with messages.
    pub fn spans(&mut self) -> Vec<(u64, u64)> {
        let blocks = self.store().blocks.iter().filter(|block| !block.is_empty());
        blocks.map(|block| (block.first.seq, block.last.seq)).collect()
    }

    /// Drops everything that is loaded.
    pub fn unload(&mut self) {
        self.store().flush().unwrap();
        self.store().blocks.iter_mut().for_each(super::block::Block::unload);
    }

    /// First sequences of the blocks that are loaded, and how many records were read by themselves.
    pub fn loaded(&mut self) -> Vec<u64> {
        let blocks = self.store().blocks.iter().filter(|block| block.loaded.is_some());
        blocks.map(|block| block.first.seq).collect()
    }

    /// Gives the store time until every block that is worth it is compacted and compressed.
    pub fn upkeep(&mut self) {
        self.tick_after(1.0);
        for _ in 0..4 {
            self.tick_after(130.0);
        }
    }

    pub fn dir() -> PathBuf {
        PathBuf::from("/jetstream/S")
    }

    pub fn options(&self) -> FileStoreOptions {
        let created = DateTime::parse("2024-01-01T00:00:00Z").unwrap();
        let disk = Arc::new(self.disk.clone());
        let mut options =
            FileStoreOptions::new(disk, Rig::dir(), created, Box::new(TestRandom(99)));
        options.block_size = self.block_size;
        options.cache_bytes = self.cache_bytes;
        options.encryption = self.encryption.clone();
        options
    }

    pub fn try_open(&mut self) -> Result<(), super::OpenError> {
        let store =
            FileStore::open(self.options(), self.config.clone(), Timestamp::from_nanos(self.now))?;
        self.store = Some(store);
        self.opened = self.effects();
        self.store().check_invariants();
        Ok(())
    }

    pub fn open(&mut self) {
        self.try_open().unwrap();
    }

    pub fn store(&mut self) -> &mut FileStore {
        self.store.as_mut().unwrap()
    }

    pub fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    /// Lets the clock go on by so many seconds.
    pub fn wait(&mut self, seconds: f64) {
        self.now += (seconds * 1e9) as i64;
    }

    /// Lets the clock go on and gives the store its time.
    pub fn tick_after(&mut self, seconds: f64) {
        self.wait(seconds);
        let now = self.time();
        self.store().tick(now).unwrap();
        self.store().check_invariants();
    }

    /// Stops the store and opens it again.
    pub fn reopen(&mut self) {
        let now = self.time();
        self.store().stop(now).unwrap();
        self.store = None;
        self.open();
    }

    /// Forgets the store without stopping it: the process is killed, the machine goes on.
    pub fn close_roughly(&mut self) {
        self.store = None;
    }

    /// Syncs, then kills the process.
    pub fn kill_after_sync(&mut self) {
        self.store().sync().unwrap();
        self.close_roughly();
        self.open();
    }

    /// Kills the process with everything durable, and removes the index file.
    pub fn lose_index(&mut self) {
        self.store().sync().unwrap();
        self.close_roughly();
        self.disk.sync_all();
        let _ = self.disk.remove_file(&self.file("index.db"));
        self.open();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        Rig::dir().join("msgs").join(name)
    }

    pub fn put(&mut self, subject: &str, payload: &str) -> u64 {
        self.put_with(subject, "", payload)
    }

    pub fn put_with(&mut self, subject: &str, header: &str, payload: &str) -> u64 {
        self.try_put(subject, header, payload).unwrap()
    }

    pub fn try_put(
        &mut self,
        subject: &str,
        header: &str,
        payload: &str,
    ) -> crate::error::StoreResult<u64> {
        self.now += 1_000;
        let now = self.time();
        let ttl = MessageTtl::of_header(header.as_bytes()).unwrap_or_default();
        let message = NewMessage {
            subject: subject.as_bytes(),
            header: header.as_bytes(),
            payload: payload.as_bytes(),
            ttl,
        };
        let stored = self.store().store_message(message, now)?;
        self.store().check_invariants();
        Ok(stored.sequence.get())
    }

    pub fn put_many(&mut self, subject: &str, count: usize) {
        for _ in 0..count {
            self.put(subject, "payload");
        }
    }

    /// Tries to store in a store that may be closed.
    pub fn try_put_closed(&mut self, subject: &str) -> crate::error::StoreResult<u64> {
        let now = self.time();
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        Ok(self.store().store_message(message, now)?.sequence.get())
    }

    pub fn remove(&mut self, number: u64) -> bool {
        let removed = self.store().remove(seq(number)).unwrap();
        self.store().check_invariants();
        removed
    }

    pub fn state(&mut self) -> StreamState {
        self.store().state()
    }

    /// Messages, first and last sequence.
    pub fn shape(&mut self) -> (u64, u64, u64) {
        let state = self.store().fast_state();
        (state.messages, state.first_seq.get(), state.last_seq.get())
    }

    pub fn effects(&mut self) -> Vec<StoreEffect> {
        let store = self.store();
        std::iter::from_fn(|| store.poll_effect()).collect()
    }

    /// Every message that can be read, as (sequence, subject, header, payload).
    pub fn all(&mut self) -> Vec<(u64, String, String, String)> {
        let mut found = Vec::new();
        let mut start = 0;
        loop {
            let next = self.store().load_next(&SubjectFilter::All, seq(start)).unwrap();
            let Some(message) = next.found() else { return found };
            start = message.sequence().get() + 1;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push((
                message.sequence().get(),
                text(message.subject()),
                text(message.header()),
                text(message.payload()),
            ));
        }
    }

    pub fn sequences(&mut self) -> Vec<u64> {
        self.all().into_iter().map(|(number, ..)| number).collect()
    }

    /// Names of the message directory that end like this.
    pub fn files(&self, suffix: &str) -> Vec<String> {
        let entries = self.disk.list(&Rig::dir().join("msgs")).unwrap();
        entries.into_iter().map(|e| e.name).filter(|name| name.ends_with(suffix)).collect()
    }

    pub fn read_file(&self, name: &str) -> Vec<u8> {
        self.disk.read(&self.file(name)).unwrap()
    }

    pub fn write_file(&self, name: &str, content: &[u8]) {
        let file = self.disk.open(&self.file(name), OpenMode::CreateTruncate).unwrap();
        file.write_at(content, 0).unwrap();
        self.disk.sync_all();
    }
}
