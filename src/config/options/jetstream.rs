//! `jetstream` (spec 02 §5.12).

use super::{Options, defaults};
use crate::config::lang::{Kind, Table, Value};
use crate::config::load::{Loader, boolean, duration_text, integer, storage_size, string};
use crate::config::report::Diagnostic;
use crate::config::secret::Secret;
use crate::config::text::quote;
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

/// Bounds of `max_concurrent_io`.
const CONCURRENT_IO: std::ops::RangeInclusive<i64> = 4..=8192;

impl Loader<'_> {
    pub(super) fn jetstream(&mut self, options: &mut Options, value: &Value) {
        let result = match &value.kind {
            Kind::Bool(on) => {
                options.jetstream.enabled = *on;
                Ok(())
            }
            Kind::String(_) => enabled_word(value).map(|on| options.jetstream.enabled = on),
            Kind::Table(fields) => self
                .jetstream_block(options, fields)
                .map_err(|error| error.wrong_type_of_block(value)),
            _ => {
                let found = value.type_name();
                let text = format!("Expected map, bool or string to define JetStream, got {found}");
                Err(Diagnostic::at(value, text))
            }
        };
        self.ok(result);
    }

    fn jetstream_block(&mut self, options: &mut Options, fields: &Table) -> Result<(), Diagnostic> {
        let mut enabled = true;
        for (key, value) in fields.iter() {
            let jetstream = &mut options.jetstream;
            let name = key.to_lowercase();
            match name.as_str() {
                "strict" => match value.kind {
                    Kind::Bool(strict) => jetstream.no_strict = !strict,
                    _ => {
                        let text = format!(
                            "Expected 'true' or 'false' for bool value, got '{}'",
                            value.as_verb_s()
                        );
                        return Err(Diagnostic::at(value, text));
                    }
                },
                "store" | "store_dir" | "storedir" => {
                    if !options.store_dir.is_empty() {
                        let text = "Duplicate 'store_dir' configuration";
                        return Err(Diagnostic::at(value, text));
                    }
                    options.store_dir = string(value)?;
                }
                "sync" | "sync_interval" => {
                    if value.as_text().is_some_and(|text| text.eq_ignore_ascii_case("always")) {
                        jetstream.sync_interval = defaults::SYNC_INTERVAL;
                        jetstream.sync_always = true;
                    } else {
                        jetstream.sync_interval = self.duration(key, value)?;
                    }
                    jetstream.sync_set = true;
                }
                "max_memory_store" | "max_mem_store" | "max_mem" => {
                    jetstream.max_memory = size("max_mem_store", value)?;
                    jetstream.max_memory_set = true;
                }
                "max_file_store" | "max_file" => {
                    jetstream.max_store = size("max_file_store", value)?;
                    jetstream.max_store_set = true;
                }
                "domain" => jetstream.domain = string(value)?,
                "enable" | "enabled" => enabled = boolean(value)?,
                "key" | "ek" | "encryption_key" => jetstream.key = string(value)?.into(),
                "prev_key" | "prev_ek" | "prev_encryption_key" => {
                    jetstream.previous_key = string(value)?.into();
                }
                "cipher" => jetstream.cipher = cipher(value)?,
                "extension_hint" => jetstream.extension_hint = string(value)?,
                "limits" => self.jetstream_limits(&mut jetstream.limits, value)?,
                "tpm" => self.jetstream_tpm(jetstream, value)?,
                "unique_tag" => {
                    jetstream.unique_tag = string(value)?.trim().to_lowercase();
                }
                "max_outstanding_catchup" => jetstream.max_catchup = size(&name, value)?,
                "max_buffered_size" => jetstream.max_buffered_size = size(&name, value)?,
                "max_buffered_msgs" => jetstream.max_buffered_messages = count(key, value)?,
                "request_queue_limit" => jetstream.request_queue_limit = count(key, value)?,
                "info_queue_limit" => jetstream.info_queue_limit = count(key, value)?,
                "meta_compact" => {
                    let number = integer(value).ok().and_then(|n| u64::try_from(n).ok());
                    jetstream.meta_compact = number.ok_or_else(|| not_absolute(key, value, ""))?;
                }
                "meta_compact_size" => {
                    let number = u64::try_from(size(&name, value)?);
                    jetstream.meta_compact_size =
                        number.map_err(|_| not_absolute(key, value, ""))?;
                }
                "meta_compact_sync" => jetstream.meta_compact_sync = boolean(value)?,
                "max_concurrent_io" => {
                    let number = integer(value).ok().filter(|n| CONCURRENT_IO.contains(n));
                    jetstream.max_concurrent_io =
                        number.ok_or_else(|| not_absolute(key, value, " between 4 and 8192"))?;
                }
                _ => self.unknown(key, value),
            }
        }
        options.jetstream.enabled = enabled;
        Ok(())
    }

    fn jetstream_limits(
        &mut self,
        limits: &mut JetStreamLimits,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let not_map = |value: &Value, what: &str| {
            let found = value.type_name();
            Diagnostic::at(value, format!("Expected a map to define {what}, got {found}"))
        };
        *limits = JetStreamLimits::default();
        let fields = block.as_table().ok_or_else(|| not_map(block, "JetStreamLimits"))?;
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "max_ack_pending" => limits.max_ack_pending = integer(value)?,
                "max_ha_assets" => limits.max_ha_assets = integer(value)?,
                "max_request_batch" => limits.max_request_batch = integer(value)?,
                "duplicate_window" => limits.duplicate_window = self.bare_duration(value)?,
                "batch" => {
                    let fields = value.as_table().ok_or_else(|| not_map(value, "batch limits"))?;
                    for (key, value) in fields.iter() {
                        match key.to_lowercase().as_str() {
                            "max_inflight_per_stream" => {
                                limits.max_batch_inflight_per_stream = integer(value)?;
                            }
                            "max_inflight_total" => {
                                limits.max_batch_inflight_total = integer(value)?;
                            }
                            "max_msgs" => limits.max_batch_messages = integer(value)?,
                            "timeout" => limits.max_batch_timeout = self.bare_duration(value)?,
                            _ => self.unknown(key, value),
                        }
                    }
                }
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    /// A duration whose error is reported without a position, as the reference does here.
    fn bare_duration(&mut self, value: &Value) -> Result<Duration, Diagnostic> {
        let duration = duration_text(value)?.map_err(Diagnostic::general);
        Ok(self.ok(duration).unwrap_or_default().clamp_to_zero())
    }

    fn jetstream_tpm(
        &mut self,
        jetstream: &mut JetStreamOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let found = block.type_name();
            let text = format!("Expected a map to define JetStreamLimits, got {found}");
            return Err(Diagnostic::at(block, text));
        };
        let tpm = &mut jetstream.tpm;
        *tpm = TpmOptions::default();
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "keys_file" => tpm.keys_file = string(value)?,
                "encryption_password" => tpm.key_password = string(value)?.into(),
                "srk_password" => tpm.srk_password = string(value)?.into(),
                "pcr" => tpm.pcr = integer(value)?,
                "cipher" => jetstream.cipher = cipher(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }
}

/// `enabled` or `disabled` as a word.
pub(super) fn enabled_word(value: &Value) -> Result<bool, Diagnostic> {
    let word = string(value)?;
    match word.to_lowercase().as_str() {
        "enabled" | "enable" => Ok(true),
        "disabled" | "disable" => Ok(false),
        _ => {
            let text = format!("Expected 'enabled' or 'disabled' for string value, got '{word}'");
            Err(Diagnostic::at(value, text))
        }
    }
}

fn cipher(value: &Value) -> Result<StoreCipher, Diagnostic> {
    let name = string(value)?;
    match name.to_lowercase().as_str() {
        "chacha" | "chachapoly" => Ok(StoreCipher::ChaCha),
        "aes" => Ok(StoreCipher::Aes),
        _ => Err(Diagnostic::at(value, format!("Unknown cipher type: {}", quote(&name)))),
    }
}

fn size(prefix: &str, value: &Value) -> Result<i64, Diagnostic> {
    storage_size(value).map_err(|error| Diagnostic::at(value, format!("{prefix} {error}")))
}

fn count(key: &str, value: &Value) -> Result<i64, Diagnostic> {
    integer(value).map_err(|_| {
        let text = format!("Expected a parseable size for {}, got {value}", quote(key));
        Diagnostic::at(value, text)
    })
}

fn not_absolute(key: &str, value: &Value, range: &str) -> Diagnostic {
    let key = quote(key);
    Diagnostic::at(value, format!("Expected an absolute size for {key}{range}, got {value}"))
}
