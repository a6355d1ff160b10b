//! Unpacking a snapshot's archive into a directory (spec 06, section 19.3).
//!
//! The archive arrives in chunks. Paths are checked before anything is written, and sizes are
//! reported before their content is taken, so that the caller can refuse what its limits do not
//! allow.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::archive::{ArchiveError, ArchiveEvent, ArchiveReader};
use super::compression::{CompressionError, StreamDecoder};
use super::files::disk_error;
use crate::disk::{DiskFile, OpenMode, SharedDisk};
use crate::error::StoreError;

/// Why an archive is not restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreError {
    /// The compressed stream is damaged.
    Compression(CompressionError),
    /// The archive is damaged.
    Archive(ArchiveError),
    /// A path that leads out of the directory, or something that is no regular file.
    UnexpectedContent(String),
    /// The archive ended before it was complete.
    Incomplete,
    /// The files together are larger than allowed.
    TooLarge,
    /// The disk failed.
    Disk(StoreError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Compression(error) => error.fmt(f),
            RestoreError::Archive(error) => error.fmt(f),
            RestoreError::UnexpectedContent(name) => write!(f, "unexpected content ({name})"),
            RestoreError::Incomplete => f.write_str("unexpected EOF"),
            RestoreError::TooLarge => f.write_str("maximum bytes exceeded"),
            RestoreError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RestoreError {}

/// An archive being unpacked. Call [`Restore::feed`] with each chunk, then [`Restore::finish`].
#[derive(Debug)]
pub struct Restore {
    disk: SharedDisk,
    dir: PathBuf,
    decoder: StreamDecoder,
    reader: ArchiveReader,
    file: Option<(PathBuf, Box<dyn DiskFile>, u64)>,
    total: u64,
    max_bytes: u64,
    finished: bool,
    dirs: std::collections::BTreeSet<PathBuf>,
}

impl Restore {
    /// Unpacks into `dir`, which is made when it is not there. All files together may take
    /// `max_bytes`.
    pub fn new(disk: SharedDisk, dir: &Path, max_bytes: u64) -> Restore {
        Restore {
            disk,
            dir: dir.to_path_buf(),
            decoder: StreamDecoder::default(),
            reader: ArchiveReader::default(),
            file: None,
            total: 0,
            max_bytes,
            finished: false,
            dirs: Default::default(),
        }
    }

    /// Takes a chunk. Returns the bytes of files the archive has announced so far.
    ///
    /// # Errors
    /// The archive is refused, or the disk failed; what was unpacked is the caller's to remove.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<u64, RestoreError> {
        self.decoder.feed(chunk);
        while let Some(content) = self.decoder.next_chunk().map_err(RestoreError::Compression)? {
            self.reader.feed(&content);
            while let Some(event) = self.reader.next_event().map_err(RestoreError::Archive)? {
                self.take(event)?;
            }
        }
        Ok(self.total)
    }

    /// Ends the input; everything unpacked is durable then.
    ///
    /// # Errors
    /// [`RestoreError::Incomplete`], or the disk failed.
    pub fn finish(self) -> Result<(), RestoreError> {
        if !self.finished || !self.decoder.is_at_boundary() {
            return Err(RestoreError::Incomplete);
        }
        for dir in self.dirs.iter().rev() {
            self.disk.sync_dir(dir).map_err(|error| failed("sync", dir, &error))?;
        }
        Ok(())
    }

    fn take(&mut self, event: ArchiveEvent) -> Result<(), RestoreError> {
        match event {
            ArchiveEvent::Start { name, len, regular } => {
                let Some(path) = self.inside(&name).filter(|_| regular) else {
                    return Err(RestoreError::UnexpectedContent(name));
                };
                self.total = self.total.saturating_add(len);
                if self.total > self.max_bytes {
                    return Err(RestoreError::TooLarge);
                }
                if let Some(parent) = path.parent() {
                    self.disk
                        .create_dir_all(parent)
                        .map_err(|error| failed("create", parent, &error))?;
                    for dir in parent.ancestors().take_while(|dir| dir.starts_with(&self.dir)) {
                        self.dirs.insert(dir.to_path_buf());
                    }
                }
                let file = self
                    .disk
                    .open(&path, OpenMode::CreateTruncate)
                    .map_err(|error| failed("create", &path, &error))?;
                self.file = Some((path, file, 0));
            }
            ArchiveEvent::Content(content) => {
                if let Some((path, file, written)) = &mut self.file {
                    file.write_at(&content, *written)
                        .map_err(|error| failed("write", path, &error))?;
                    *written += content.len() as u64;
                }
            }
            ArchiveEvent::End => {
                if let Some((path, file, _)) = self.file.take() {
                    file.sync_data().map_err(|error| failed("sync", &path, &error))?;
                }
            }
            ArchiveEvent::Finished => self.finished = true,
        }
        Ok(())
    }

    /// The place for an entry, if its path stays inside the directory.
    fn inside(&self, name: &str) -> Option<PathBuf> {
        let mut path = self.dir.clone();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        (path != self.dir).then_some(path)
    }
}

fn failed(action: &str, path: &Path, error: &std::io::Error) -> RestoreError {
    RestoreError::Disk(disk_error(action, path, error))
}
