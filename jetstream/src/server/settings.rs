//! How JetStream is configured on this server.

use crate::consumers::AckFormat;
use crate::filestore::encryption::{Cipher, EncryptionConfig};
use crate::stream::context::BatchLimits;
use std::path::PathBuf;
use std::time::Duration;

/// When a publish is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Commit {
    /// Once it survives a power loss.
    #[default]
    Durable,
    /// Once the operating system has it. What was stored is made durable after this time.
    Lazy(Duration),
}

/// The operator's keys for files at rest.
#[derive(Clone)]
pub struct Keys {
    /// The key.
    pub current: String,
    /// The key that was in use before, or empty.
    pub previous: String,
    /// The cipher of new files.
    pub cipher: Cipher,
}

impl std::fmt::Debug for Keys {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

/// The settings of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of all accounts, which ends in `jetstream`.
    pub store_dir: PathBuf,
    /// Bytes streams may hold in memory.
    pub max_memory: i64,
    /// Bytes streams may hold in files.
    pub max_store: i64,
    /// The domain, if there is one.
    pub domain: Option<String>,
    /// Whether requests with unknown fields are refused.
    pub strict: bool,
    /// When a publish is acknowledged.
    pub commit: Commit,
    /// Encryption at rest.
    pub keys: Option<Keys>,
    /// The server's name.
    pub server_name: String,
    /// The server's id.
    pub server_id: String,
    /// The cluster's name, or empty.
    pub cluster: String,
    /// The largest payload a client may publish.
    pub max_payload: u64,
    /// Bytes that may wait for a client.
    pub max_pending: u64,
    /// Longest time for which message ids are remembered, in nanoseconds; 0 for any.
    pub max_duplicate_window: i64,
    /// Messages delivered and not acknowledged, of one consumer; 0 or less for any.
    pub max_ack_pending: i64,
    /// Messages of one pull request; 0 or less for any.
    pub max_request_batch: i64,
    /// Bounds on batches.
    pub batches: BatchLimits,
    /// The form of acknowledgement subjects.
    pub ack_format: AckFormat,
}

impl Settings {
    /// How the files of an account are encrypted, if they are.
    pub fn encryption(&self, account: &str) -> Option<EncryptionConfig> {
        let keys = self.keys.as_ref()?;
        let config = EncryptionConfig::new(&keys.current, account, keys.cipher);
        Some(if keys.previous.is_empty() {
            config
        } else {
            config.with_previous_key(&keys.previous)
        })
    }
}
