//! `meta.inf`, `meta.sum` and `meta.key` of a stream (spec 06, sections 3 and 4), and the block
//! size that follows from a configuration (section 5.3).

use super::FileStore;
use super::MAX_BLOCK_SIZE;
use super::files::disk_error;
use crate::config::{RetentionPolicy, StreamConfig, StreamMeta};
use crate::disk::{Durability, remove_file_if_exists};
use crate::error::{StoreError, StoreResult};

const MIN_BLOCK_SIZE: u64 = 32_000;
const MEDIUM_BLOCK_SIZE: u64 = 4 << 20;
const ENCRYPTED_BLOCK_SIZE: u64 = 2 << 20;
const DEFAULT_MAX_PAYLOAD: u64 = 1 << 20;
const ASSUMED_SUBJECT_LEN: u64 = 256;

/// The block size in bytes for a stream (spec 06, section 5.3). `max_payload` is the account's
/// limit for one message, 0 for none.
pub fn block_size_for(config: &StreamConfig, max_payload: u64, encrypted: bool) -> u64 {
    let estimate = if config.max_bytes > 0 {
        config.max_bytes.unsigned_abs()
    } else if config.max_msgs > 0 {
        let literal = config
            .subjects
            .iter()
            .filter(|subject| !crate::filter::has_wildcard(subject.as_bytes()))
            .map(String::len)
            .max();
        let subject = literal.map_or(ASSUMED_SUBJECT_LEN, |len| len as u64);
        let message = match (u64::try_from(config.max_msg_size), max_payload) {
            (Ok(size), _) if size > 0 => size,
            (_, 0) => DEFAULT_MAX_PAYLOAD,
            (_, payload) => payload,
        };
        config.max_msgs.unsigned_abs().saturating_mul(34 + subject + message)
    } else if config.max_msgs_per_subject > 0 {
        return MEDIUM_BLOCK_SIZE;
    } else if encrypted {
        return ENCRYPTED_BLOCK_SIZE;
    } else if config.retention == RetentionPolicy::Limits {
        return MAX_BLOCK_SIZE;
    } else {
        return MEDIUM_BLOCK_SIZE;
    };
    match (estimate / 4 + 1).div_ceil(100).saturating_mul(100) {
        size if size <= MIN_BLOCK_SIZE => MIN_BLOCK_SIZE,
        size if size >= MAX_BLOCK_SIZE => MAX_BLOCK_SIZE,
        _ => MEDIUM_BLOCK_SIZE,
    }
}

/// The text of a `meta.sum`: sixteen lower-case hexadecimal digits.
pub(super) fn sum_text(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FileStore {
    /// The JSON of `meta.inf`, in the clear.
    pub(super) fn meta_json(&self) -> StoreResult<Vec<u8>> {
        let meta = StreamMeta { created: self.created, config: self.config.clone() };
        serde_json::to_vec(&meta).map_err(|error| StoreError::Other(error.to_string()))
    }

    /// Opens the stream's key file. `false` when a key is configured but the stream has none yet.
    pub(super) fn open_key(&mut self) -> StoreResult<bool> {
        let path = self.paths.meta_key();
        let file = match self.disk.read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(disk_error("read", &path, &error)),
        };
        let Some(encryption) = &self.encryption else { return Err(StoreError::NoMainKey) };
        let (key, convert) = encryption
            .open_key_file(&self.config.name, &file)
            .map_err(super::recovery::encryption_error)?;
        if convert {
            let (cipher, name) = (encryption.cipher(), &self.config.name);
            let text = format!("Converting to {cipher} for stream '{name}'");
            self.warn(text);
        }
        self.key = Some(key);
        Ok(!convert)
    }

    /// Writes the meta files, with a new key when the stream is to be encrypted and has none. A
    /// key that is to be converted keeps its seed, so that the files it sealed stay readable
    /// whatever becomes durable first.
    pub(super) fn write_meta(&mut self, convert_key: bool) -> StoreResult<()> {
        let json = self.meta_json()?;
        let mut stored = json;
        if let Some(encryption) = &self.encryption {
            let random = &mut self.random;
            if convert_key || self.key.is_none() {
                let fill = &mut |bytes: &mut [u8]| random.fill(bytes);
                let (key, file) = match &self.key {
                    Some(old) => encryption.reseal(&self.config.name, old, fill),
                    None => encryption.generate(&self.config.name, fill),
                };
                let path = self.paths.meta_key();
                self.disk
                    .write_atomic(&path, &file, Durability::Synced)
                    .map_err(|error| disk_error("write", &path, &error))?;
                self.key = Some(key);
            }
            if let Some(key) = &self.key {
                stored = key.seal(&stored, &mut |bytes| random.fill(bytes));
            }
        }
        let sum = sum_text(&self.name_hash.sum(&stored));
        for (path, content) in
            [(self.paths.meta(), &stored[..]), (self.paths.meta_sum(), sum.as_bytes())]
        {
            self.disk
                .write_atomic(&path, content, Durability::Synced)
                .map_err(|error| disk_error("write", &path, &error))?;
        }
        Ok(())
    }

    /// Whether `meta.inf` has to be written at open: it is missing or empty.
    pub(super) fn meta_is_missing(&self) -> bool {
        self.disk.metadata(&self.paths.meta()).map_or(true, |found| found.len == 0)
    }

    /// Removes what servers before 2.10 left.
    pub(super) fn remove_legacy_files(&self) {
        let Ok(entries) = self.disk.list(&self.paths.msgs) else { return };
        for entry in entries {
            if entry.name.ends_with(".idx") || entry.name.ends_with(".fss") {
                let _ =
                    remove_file_if_exists(self.disk.as_ref(), &self.paths.msgs.join(entry.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sizes_follow_the_limits() {
        let sized = |edit: &dyn Fn(&mut StreamConfig), encrypted| {
            let mut config = StreamConfig { subjects: vec!["foo".into()], ..Default::default() };
            edit(&mut config);
            block_size_for(&config, 0, encrypted)
        };
        assert_eq!(sized(&|_| {}, false), 8 << 20);
        assert_eq!(sized(&|_| {}, true), 2 << 20);
        assert_eq!(sized(&|c| c.retention = RetentionPolicy::Interest, false), 4 << 20);
        assert_eq!(sized(&|c| c.max_msgs_per_subject = 1, true), 4 << 20);
        assert_eq!(sized(&|c| c.max_bytes = 10_000, false), 32_000);
        assert_eq!(sized(&|c| c.max_bytes = 1 << 20, false), 4 << 20);
        assert_eq!(sized(&|c| c.max_bytes = 1 << 40, true), 8 << 20);
        assert_eq!(sized(&|c| c.max_msgs = 1, false), 4 << 20);
        assert_eq!(
            sized(
                &|c| {
                    c.max_msgs = 10;
                    c.max_msg_size = 100;
                },
                false
            ),
            32_000
        );
    }
}
