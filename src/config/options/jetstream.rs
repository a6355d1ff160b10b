//! `jetstream` (spec 02 §5.12).

use crate::config::secret::Secret;
use std::time::Duration;

/// JetStream of the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JetStreamOptions {
    /// `enabled`.
    pub enabled: bool,
    /// `strict: false`: accept unknown fields in API requests.
    pub no_strict: bool,
    /// `max_memory_store` in bytes; -1 chooses by the machine.
    pub max_memory: i64,
    /// Whether `max_memory_store` was configured, if only to zero.
    pub max_memory_set: bool,
    /// `max_file_store` in bytes; -1 chooses by the disk.
    pub max_store: i64,
    /// Whether `max_file_store` was configured, if only to zero.
    pub max_store_set: bool,
    /// `sync_interval`.
    pub sync_interval: Duration,
    /// `sync_interval: always`.
    pub sync_always: bool,
    /// Whether `sync_interval` was configured.
    pub sync_set: bool,
    /// `domain`.
    pub domain: String,
    /// `encryption_key`.
    pub key: Secret,
    /// `prev_encryption_key`.
    pub previous_key: Secret,
    /// `cipher`.
    pub cipher: StoreCipher,
    /// `extension_hint`.
    pub extension_hint: String,
    /// `unique_tag`, in lower case.
    pub unique_tag: String,
    /// `limits`.
    pub limits: JetStreamLimits,
    /// `tpm`.
    pub tpm: TpmOptions,
    /// `max_outstanding_catchup` in bytes; zero takes the default of 64 MiB.
    pub max_catchup: i64,
    /// `max_buffered_size` in bytes; zero takes the default of 128 MiB.
    pub max_buffered_size: i64,
    /// `max_buffered_msgs`; zero takes the default of 100,000.
    pub max_buffered_messages: i64,
    /// `request_queue_limit`.
    pub request_queue_limit: i64,
    /// `info_queue_limit`.
    pub info_queue_limit: i64,
    /// `meta_compact`: entries before the meta log is compacted, 0 by size alone.
    pub meta_compact: u64,
    /// `meta_compact_size` in bytes.
    pub meta_compact_size: u64,
    /// `meta_compact_sync`.
    pub meta_compact_sync: bool,
    /// `max_concurrent_io`.
    pub max_concurrent_io: i64,
}

/// The cipher of encrypted stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreCipher {
    /// ChaCha20-Poly1305.
    #[default]
    ChaCha,
    /// AES-GCM.
    Aes,
}

/// `limits {}`; zero is no limit, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// `max_request_batch`.
    pub max_request_batch: i64,
    /// `max_ack_pending`.
    pub max_ack_pending: i64,
    /// `max_ha_assets`.
    pub max_ha_assets: i64,
    /// `duplicate_window`.
    pub duplicate_window: Duration,
    /// `batch { max_inflight_per_stream }`.
    pub max_batch_inflight_per_stream: i64,
    /// `batch { max_inflight_total }`.
    pub max_batch_inflight_total: i64,
    /// `batch { max_msgs }`.
    pub max_batch_messages: i64,
    /// `batch { timeout }`.
    pub max_batch_timeout: Duration,
}

/// `tpm {}`: keeping the encryption key in a trusted platform module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TpmOptions {
    /// `keys_file`.
    pub keys_file: String,
    /// `encryption_password`.
    pub key_password: Secret,
    /// `srk_password`.
    pub srk_password: Secret,
    /// `pcr`; zero takes the default of 22.
    pub pcr: i64,
}
