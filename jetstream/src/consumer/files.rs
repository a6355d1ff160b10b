//! The directory of a consumer: `meta.inf`, `meta.sum`, `meta.key` and `o.dat`.
//!
//! Spec 06 §3, §4.3, §4.4, §10.2. Every file is replaced as a whole. With encryption, `meta.inf`
//! and `o.dat` are sealed with the consumer's seed, which lies sealed in `meta.key`.

use super::codec;
use super::state::ConsumerState;
use crate::config::{ConsumerConfig, ConsumerMeta};
use crate::disk::{self, Durability, SharedDisk};
use crate::error::{StoreError, StoreResult};
use crate::filestore::encryption::{AssetKey, EncryptionConfig, EncryptionError};
use crate::filestore::record::NamedHash;
use crate::gojson;
use crate::time::DateTime;
use std::fmt;
use std::io;
use std::path::PathBuf;

const META: &str = "meta.inf";
const META_SUM: &str = "meta.sum";
const META_KEY: &str = "meta.key";
const STATE: &str = "o.dat";
/// Holds the state while keys are being changed.
const STATE_SIDE: &str = "o.dat.new";

/// Fills a buffer with randomness.
pub type RandomSource = Box<dyn FnMut(&mut [u8]) + Send>;

/// Where and how a consumer's files are kept.
pub struct ConsumerDirectory {
    /// The file system.
    pub disk: SharedDisk,
    /// The consumer's own directory, `obs/<consumer>` of the stream.
    pub path: PathBuf,
    /// The stream's name.
    pub stream: String,
    /// Whether files must survive a power loss before a write returns.
    pub durability: Durability,
    /// The operator's keys, if files are to be encrypted.
    pub encryption: Option<EncryptionConfig>,
    /// Where nonces and seeds come from.
    pub random: RandomSource,
}

impl fmt::Debug for ConsumerDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The opened directory of a consumer.
#[derive(Debug)]
pub struct ConsumerFiles {
    directory: ConsumerDirectory,
    name: String,
    created: DateTime,
    key: Option<AssetKey>,
    has_state: bool,
}

impl ConsumerFiles {
    /// Opens a consumer's directory, making what is missing, and reads the state.
    ///
    /// Files in the clear are encrypted when there are keys now; files of another cipher or of
    /// the previous key are written anew. A directory that cannot be filled is removed again.
    pub(super) fn open(
        directory: ConsumerDirectory,
        name: &str,
        created: DateTime,
        config: &ConsumerConfig,
    ) -> StoreResult<(Self, ConsumerState)> {
        make_directory(&directory).map_err(|error| {
            StoreError::Other(format!("could not create consumer directory - {error}"))
        })?;
        let mut files = ConsumerFiles {
            directory,
            name: name.to_owned(),
            created,
            key: None,
            has_state: false,
        };
        let is_new = !files.exists(META);
        let opened = files.open_files(config, is_new);
        if opened.is_err() && is_new {
            // The error that matters is the first one.
            let _ = files.remove();
        }
        opened.map(|state| (files, state))
    }

    fn open_files(&mut self, config: &ConsumerConfig, is_new: bool) -> StoreResult<ConsumerState> {
        let rewrite = self.open_key()?;
        let plain = self.read_state()?;
        self.has_state = plain.is_some();
        let state = plain.as_deref().map_or(Ok(ConsumerState::default()), codec::decode)?;
        if rewrite {
            self.change_key(config, plain)?;
        } else if is_new {
            self.write_meta(config)?;
        }
        Ok(state)
    }

    /// Writes all files under a new key. The state goes to a side file first: key and state cannot
    /// be replaced at once, and a state without its key would be lost.
    fn change_key(&mut self, config: &ConsumerConfig, plain: Option<Vec<u8>>) -> StoreResult<()> {
        let Some(encryption) = self.directory.encryption.clone() else { return Ok(()) };
        let (key, file) = encryption.generate(&self.context(), &mut self.directory.random);
        self.key = Some(key);
        if let Some(plain) = &plain {
            let sealed = self.seal(plain.clone());
            self.replace(STATE_SIDE, &sealed)?;
        }
        self.replace(META_KEY, &file)?;
        self.write_meta(config)?;
        if let Some(plain) = plain {
            self.write_state(&plain)?;
            let side = self.directory.path.join(STATE_SIDE);
            disk::remove_file_if_exists(self.directory.disk.as_ref(), &side)
                .map_err(|error| self.error(STATE_SIDE, &error))?;
        }
        Ok(())
    }

    /// Opens `meta.key`; true when key and files must be written anew.
    fn open_key(&mut self) -> StoreResult<bool> {
        let Some(encryption) = &self.directory.encryption else {
            let encrypted = self.exists(META_KEY);
            return if encrypted { Err(StoreError::NoMainKey) } else { Ok(false) };
        };
        let Some(file) = self.read(META_KEY)? else { return Ok(true) };
        let (key, outdated) =
            encryption.open_key_file(&self.context(), &file).map_err(|error| match error {
                EncryptionError::BadKeySize => StoreError::EncryptionBadKeySize,
                _ => StoreError::UnableToRecoverKeys,
            })?;
        self.key = Some(key);
        Ok(outdated)
    }

    /// The name under which the consumer's key is derived.
    fn context(&self) -> String {
        format!("{}.{}", self.directory.stream, self.name)
    }

    /// The stored state in the clear; `None` when there is none.
    fn read_state(&self) -> StoreResult<Option<Vec<u8>>> {
        let Some(stored) = self.read(STATE)?.filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let Some(key) = &self.key else { return Ok(Some(stored)) };
        key.open(&stored).map(Some).or_else(|error| {
            // A change of keys may have been interrupted after the key was replaced.
            match self.read(STATE_SIDE)?.and_then(|side| key.open(&side).ok()) {
                Some(plain) => Ok(Some(plain)),
                None => Err(StoreError::Other(error.to_string())),
            }
        })
    }

    /// Whether a state was ever written.
    pub(super) fn has_state(&self) -> bool {
        self.has_state
    }

    /// Writes `meta.inf` and its checksum.
    pub(super) fn write_meta(&mut self, config: &ConsumerConfig) -> StoreResult<()> {
        let meta =
            ConsumerMeta { created: self.created, name: self.name.clone(), config: config.clone() };
        let json = gojson::to_vec(&meta).map_err(|error| StoreError::Other(error.to_string()))?;
        let bytes = self.seal(json);
        self.replace(META, &bytes)?;
        let hash = NamedHash::new(&format!("{}/{}", self.directory.stream, self.name));
        let sum: String = hash.sum(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.replace(META_SUM, sum.as_bytes())
    }

    /// Writes an encoded state.
    pub(super) fn write_state(&mut self, encoded: &[u8]) -> StoreResult<()> {
        let bytes = self.seal(encoded.to_vec());
        self.replace(STATE, &bytes)?;
        self.has_state = true;
        Ok(())
    }

    fn seal(&mut self, plain: Vec<u8>) -> Vec<u8> {
        match &self.key {
            Some(key) => key.seal(&plain, &mut self.directory.random),
            None => plain,
        }
    }

    /// Removes the directory.
    pub(super) fn remove(&mut self) -> StoreResult<()> {
        let path = &self.directory.path;
        disk::remove_dir_if_exists(self.directory.disk.as_ref(), path)
            .map(|_| ())
            .map_err(|error| self.error("", &error))
    }

    fn exists(&self, file: &str) -> bool {
        self.directory.disk.exists(&self.directory.path.join(file))
    }

    /// The contents of a file; `None` when it is not there.
    fn read(&self, file: &str) -> StoreResult<Option<Vec<u8>>> {
        match self.directory.disk.read(&self.directory.path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(file, &error)),
        }
    }

    fn replace(&self, file: &str, bytes: &[u8]) -> StoreResult<()> {
        let ConsumerDirectory { disk, path, durability, .. } = &self.directory;
        disk.write_atomic(&path.join(file), bytes, *durability)
            .map_err(|error| self.error(file, &error))
    }

    fn error(&self, file: &str, error: &io::Error) -> StoreError {
        let text = format!("{}: {error}", self.directory.path.join(file).display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace(text),
            io::ErrorKind::PermissionDenied => StoreError::PermissionDenied(text),
            _ => StoreError::Io(text),
        }
    }
}

/// Makes the consumer's directory, durably if its files are to be so.
fn make_directory(directory: &ConsumerDirectory) -> io::Result<()> {
    let ConsumerDirectory { disk, path, durability, .. } = directory;
    let is_new = !disk.exists(path);
    disk.create_dir_all(path)?;
    match path.parent() {
        Some(parent) if is_new && *durability == Durability::Synced => disk.sync_dir(parent),
        _ => Ok(()),
    }
}
