//! Bringing back what is stored (spec 06 §4.4).

use super::{JetStream, Level, Outside, layout};
use crate::api_level;
use crate::config::{ConsumerMeta, StreamMeta};
use crate::disk::remove_dir_if_exists;
use crate::filestore::record::NamedHash;
use crate::time::Timestamp;
use std::path::Path;

const META: &str = "meta.inf";
const META_SUM: &str = "meta.sum";
const META_KEY: &str = "meta.key";

impl JetStream {
    /// Brings back an account's streams, each with its consumers.
    pub(super) fn recover_account(&mut self, account: &str, now: Timestamp, out: &mut dyn Outside) {
        let dir = layout::streams(&self.settings.store_dir, account);
        let Ok(entries) = self.disk.list(&dir) else { return };
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let path = dir.join(&entry.name);
            if entry.name.starts_with('.') {
                // A stream whose deletion was cut short.
                if let Err(error) = remove_dir_if_exists(self.disk.as_ref(), &path) {
                    out.log(Level::Warn, &format!("Could not remove {}: {error}", path.display()));
                }
                continue;
            }
            if let Err(text) = self.recover_stream(account, &path, now, out) {
                out.log(Level::Warn, &text);
            }
        }
    }

    fn recover_stream(
        &mut self,
        account: &str,
        path: &Path,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(), String> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let content = self.read_meta(account, path, &name, true)?;
        let meta: StreamMeta = serde_json::from_slice(&content).map_err(|error| {
            format!("  Error unmarshalling stream metafile {:?}: {error}", path.join(META))
        })?;
        if !api_level::supports(&meta.config.metadata) {
            return Err(format!(
                "  Detected unsupported stream '{account} > {}', it stays offline",
                meta.config.name
            ));
        }
        let mut config = meta.config;
        repair(&mut config);
        let label = format!("'{account} > {}'", config.name);
        out.log(Level::Info, &format!("  Starting restore for stream {label}"));
        let store = self
            .open_store(account, &config, meta.created, now)
            .map_err(|error| format!("  Error recreating stream {label}: {error}"))?;
        let messages = store.fast_state().messages;
        let id = self.add_stream(account, config, meta.created.to_timestamp(), store, now, out);
        let consumers = layout::consumers(path);
        let entries = self.disk.list(&consumers).unwrap_or_default();
        let names: Vec<String> = entries.into_iter().filter(|e| e.is_dir).map(|e| e.name).collect();
        if !names.is_empty() {
            let count = names.len();
            out.log(Level::Info, &format!("  Recovering {count} consumers for stream - {label}"));
        }
        for consumer in names {
            if let Err(text) = self.recover_consumer(id, &consumers.join(&consumer), now, out) {
                out.log(Level::Warn, &text);
            }
        }
        self.remove_unneeded(id, now, out);
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.stream.start(now);
        }
        let batches = layout::batches(path);
        // A stage that could not be read to its end is kept: the next start may succeed.
        if self.finish_batch(id, &batches, now, out)
            && let Err(error) = remove_dir_if_exists(self.disk.as_ref(), &batches)
        {
            out.log(Level::Warn, &format!("Could not remove {}: {error}", batches.display()));
        }
        self.mark_dirty(id);
        self.pump_stream(id, now, out);
        let text = format!("  Restored {} messages for stream {label}", with_commas(messages));
        out.log(Level::Info, &text);
        Ok(())
    }

    /// Stores the rest of a batch whose first part was stored when the server stopped. Whether
    /// nothing that was staged is needed any more.
    fn finish_batch(
        &mut self,
        id: u64,
        batches: &Path,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> bool {
        let Some(entry) = self.streams.get_mut(&id) else { return true };
        let Some((hash, stored)) = entry.stream.unfinished_batch() else { return true };
        let label = format!("'{} > {}'", entry.account, entry.name);
        let encryption = self.settings.encryption(&entry.account);
        let finished = super::streams::open_stage(
            &self.disk,
            batches,
            encryption,
            (self.secrets)(),
            &hash,
            now,
        )
        .and_then(|mut stage| entry.stream.recover_batch(&mut *stage, stored, now));
        if let Err(error) = finished {
            let text = format!("  Error recovering a batch of stream {label}: {error}");
            out.log(Level::Warn, &text);
            return false;
        }
        true
    }

    fn recover_consumer(
        &mut self,
        stream: u64,
        path: &Path,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(), String> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(entry) = self.streams.get(&stream) else { return Ok(()) };
        let (stream_name, account) = (&entry.name, &entry.account);
        let context = format!("{stream_name}:{name}");
        let content = self.read_meta(account, path, &context, false)?;
        let meta: ConsumerMeta = serde_json::from_slice(&content).map_err(|error| {
            format!("    Error unmarshalling consumer metafile {:?}: {error}", path.join(META))
        })?;
        if !api_level::supports(&meta.config.metadata) {
            return Err(format!("    Detected unsupported consumer '{context}', it stays offline"));
        }
        let name = if meta.name.is_empty() { name } else { meta.name };
        self.add_consumer(stream, &name, meta.config, meta.created, true, now, out)
            .map(|_| ())
            .map_err(|error| format!("    Error restoring consumer '{context}' state: {error}"))
    }

    /// The checked content of an asset's `meta.inf`; `name` is what its key is derived with. The
    /// checksum of a consumer must be there, but is not looked at (spec 06 §3).
    fn read_meta(
        &self,
        account: &str,
        path: &Path,
        name: &str,
        is_stream: bool,
    ) -> Result<Vec<u8>, String> {
        let kind = if is_stream { "stream" } else { "consumer" };
        let meta_path = path.join(META);
        let content = self
            .disk
            .read(&meta_path)
            .map_err(|_| format!("  Missing {kind} metafile for {meta_path:?}"))?;
        let sum_path = path.join(META_SUM);
        let sum = self
            .disk
            .read(&sum_path)
            .map_err(|_| format!("  Missing {kind} checksum file {sum_path:?}"))?;
        let hashed = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let expected: String =
            NamedHash::new(&hashed).sum(&content).iter().map(|b| format!("{b:02x}")).collect();
        if is_stream && sum != expected.as_bytes() {
            return Err(format!(
                "  Stream metafile {meta_path:?}: checksums do not match {:?} vs {expected:?}",
                String::from_utf8_lossy(&sum)
            ));
        }
        let key_path = path.join(META_KEY);
        let Ok(key) = self.disk.read(&key_path) else { return Ok(content) };
        let Some(encryption) = self.settings.encryption(account) else {
            return Err(format!("  {kind} metafile is encrypted, but there is no key for it"));
        };
        let (key, _) = encryption
            .open_key_file(name, &key)
            .map_err(|error| format!("  Error decrypting our {kind} metafile: {error}"))?;
        key.open(&content)
            .map_err(|error| format!("  Error decrypting our {kind} metafile: {error}"))
    }
}

/// Repairs what earlier versions stored and this one does not accept (spec 07a §A15).
fn repair(config: &mut crate::config::StreamConfig) {
    for subject in &mut config.subjects {
        let trimmed = subject.trim().to_owned();
        *subject = trimmed;
    }
    if config.mirror.is_some() {
        config.subjects.clear();
        config.duplicate_window = 0;
    }
}

/// A number with a comma before each three digits.
fn with_commas(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::with_commas;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(with_commas(n), text);
        }
    }
}
