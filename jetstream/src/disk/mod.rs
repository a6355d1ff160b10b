//! All access to files goes through [`Disk`]: the stores never name `std::fs`.
//!
//! [`RealDisk`] is the operating system's file system; [`SimDisk`] is a deterministic model of one
//! that loses unsynced writes, tears them, flips bits, truncates, fills up, and fails or crashes
//! at a chosen call. A store that survives the second may be trusted with the first.
//!
//! What the callers rely on, and no more:
//! * bytes written are durable after [`DiskFile::sync_data`] returned, not before;
//! * a name made, renamed or removed is durable after [`Disk::sync_dir`] of its directory
//!   returned, not before;
//! * a rename inside one directory is atomic: after a crash either name state is found.

mod real;
mod sim;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use real::RealDisk;
pub use sim::{Fault, SimDisk, SyncCounts};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; made (mode 0600) when it is not there.
    Create,
    /// As [`OpenMode::Create`], and emptied when it is there.
    CreateTruncate,
}

/// Whether a small file's replacement must survive a power loss before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The file and its directory are synced.
    Synced,
    /// Left to the operating system: atomic for other readers, not durable.
    Lazy,
}

/// One name of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of the path; names that are not UTF-8 are left out of listings, since
    /// no file of a store has one.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// What is known of a path without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes; 0 for directories.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// An open file. Dropping it closes it, without a sync.
pub trait DiskFile: Debug + Send {
    /// Reads at most `buf.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `data` at `offset`; on an error any part may have been written.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros, to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The current length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes content and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// A file system, as far as a store needs one.
pub trait Disk: Debug + Send + Sync {
    /// Opens or makes a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a directory (mode 0700) and those above it; nothing happens when it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names of a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Length and kind of a path.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Gives a file or directory another name, replacing a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything below it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "file too large"))?;
        let mut data = vec![0; len];
        let got = read_full_at(file.as_ref(), &mut data, 0)?;
        data.truncate(got);
        Ok(data)
    }

    /// Replaces a small file as a whole: staged as `<name>.tmp`, then renamed over `path`, so
    /// that a reader, or a restart, finds the old content or the new, never a mixture. The staged
    /// bytes are always synced before the rename, since a rename may become durable before the
    /// data does.
    fn write_atomic(&self, path: &Path, data: &[u8], durability: Durability) -> io::Result<()> {
        let staged = staging_path(path);
        let written = (|| {
            let file = self.open(&staged, OpenMode::CreateTruncate)?;
            file.write_at(data, 0)?;
            file.sync_data()?;
            drop(file);
            self.rename(&staged, path)
        })();
        if let Err(error) = written {
            // What could not be staged is of no use; that it is in the way is no second error.
            let _ = self.remove_file(&staged);
            return Err(error);
        }
        if durability == Durability::Synced
            && let Some(dir) = path.parent()
        {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    /// Whether something has this name.
    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
}

/// A disk as the stores hold it.
pub type SharedDisk = Arc<dyn Disk>;

/// The name under which the replacement of `path` is staged (spec 06, section 2).
pub fn staging_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Fills `buf` from `offset` on, as far as the file goes; the number of bytes read.
pub fn read_full_at(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0usize;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Removes a file; one that is not there is no error.
pub fn remove_file_if_exists(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a directory with its content; one that is not there is no error.
pub fn remove_dir_if_exists(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
