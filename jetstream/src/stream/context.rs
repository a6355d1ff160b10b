//! What a stream knows of the server around it.

use crate::api_error::ApiError;
use crate::config::{StorageType, StreamConfig};
use crate::error::StoreResult;
use crate::memstore::MemoryStore;
use crate::store::Store;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the account and the server have room for. Answers may be a moment old.
pub trait Resources: Send + Sync {
    /// Whether the server holds more in this kind of storage than it is configured for.
    fn server_exhausted(&self, storage: StorageType) -> bool;

    /// Whether the account may hold so many more bytes in a stream of so many replicas; the error
    /// is the publisher's answer.
    fn account_allows(
        &self,
        storage: StorageType,
        replicas: i64,
        bytes: u64,
    ) -> Result<(), ApiError>;
}

/// Room for everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Resources for Unlimited {
    fn server_exhausted(&self, _storage: StorageType) -> bool {
        false
    }

    fn account_allows(
        &self,
        _storage: StorageType,
        _replicas: i64,
        _bytes: u64,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Where the messages of an atomic batch wait for its end.
pub trait StagingArea: Send {
    /// An empty store for the batch whose id has this hash. Messages must survive a crash of the
    /// server where the stream is in files, so that a batch that was half moved over when it
    /// crashed can be completed (see [`Stream::recover_batch`](super::Stream::recover_batch)).
    ///
    /// # Errors
    /// What keeps a store from being made.
    fn open(&mut self, hash: &str) -> StoreResult<Box<dyn Store>>;
}

/// Staging in memory, for streams in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStaging;

impl StagingArea for MemoryStaging {
    fn open(&mut self, _hash: &str) -> StoreResult<Box<dyn Store>> {
        let config = StreamConfig { storage: StorageType::Memory, ..StreamConfig::default() };
        Ok(Box::new(MemoryStore::new(config)?))
    }
}

/// Bounds on batches (`limits.batch` of the configuration).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchLimits {
    /// Atomic batches open in one stream.
    pub atomic_per_stream: usize,
    /// Atomic batches open in the server.
    pub atomic_total: usize,
    /// Fast batches open in one stream.
    pub fast_per_stream: usize,
    /// Fast batches open in the server.
    pub fast_total: usize,
    /// Messages of an atomic batch.
    pub max_messages: u64,
    /// How long a batch may be silent.
    pub timeout: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        BatchLimits {
            atomic_per_stream: 50,
            atomic_total: 1000,
            fast_per_stream: 1000,
            fast_total: 50_000,
            max_messages: 1000,
            timeout: Duration::from_secs(10),
        }
    }
}

/// How many batches are open in the whole server, counted by all its streams.
#[derive(Debug, Default)]
pub struct BatchCount {
    atomic: AtomicUsize,
    fast: AtomicUsize,
}

impl BatchCount {
    pub(super) fn atomic(&self) -> &AtomicUsize {
        &self.atomic
    }

    pub(super) fn fast(&self) -> &AtomicUsize {
        &self.fast
    }
}

/// Adds one unless that would exceed `limit`.
pub(super) fn try_add(count: &AtomicUsize, limit: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < limit).then_some(open + 1)
        })
        .is_ok()
}

/// Takes one away that was added.
pub(super) fn subtract(count: &AtomicUsize) {
    count.fetch_sub(1, Ordering::Relaxed);
}

/// What a stream is told of its surroundings when it is made.
pub struct StreamContext {
    /// The account's name.
    pub account: String,
    /// The JetStream domain, if one is configured.
    pub domain: Option<String>,
    /// The largest payload a client may publish, header included; bounds counters.
    pub max_payload: u64,
    /// The server's `max_pending` in bytes; bounds an answer to a direct get.
    pub max_pending: u64,
    /// Bounds on batches.
    pub batches: BatchLimits,
    /// The server's count of open batches.
    pub batch_count: Arc<BatchCount>,
    /// What account and server have room for.
    pub resources: Arc<dyn Resources>,
    /// Where atomic batches wait.
    pub staging: Box<dyn StagingArea>,
    /// Seeds jitter and names.
    pub seed: u64,
}

impl Default for StreamContext {
    /// An account without limits on a server with default settings; batches wait in memory.
    fn default() -> Self {
        StreamContext {
            account: "$G".to_owned(),
            domain: None,
            max_payload: 1 << 20,
            max_pending: 64 << 20,
            batches: BatchLimits::default(),
            batch_count: Arc::default(),
            resources: Arc::new(Unlimited),
            staging: Box::new(MemoryStaging),
            seed: 0,
        }
    }
}

impl fmt::Debug for StreamContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamContext")
            .field("account", &self.account)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
