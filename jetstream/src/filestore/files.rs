//! The files of a store directory: names, reading and replacing message blocks (spec 06, sections
//! 2, 4.3 and 5.5).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::compression::{self, CompressionError};
use super::encryption::AssetKey;
use crate::disk::{Disk, OpenMode, read_full_at, remove_file_if_exists, staging_path};
use crate::error::StoreError;

/// The longest block content that is read. Blocks hold 8 MiB, or one record of 32 MiB.
const MAX_BLOCK_CONTENT: u64 = 256 << 20;

/// The paths of one store.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub dir: PathBuf,
    pub msgs: PathBuf,
}

impl Paths {
    pub fn new(dir: &Path) -> Paths {
        Paths { dir: dir.to_path_buf(), msgs: dir.join("msgs") }
    }

    pub fn block(&self, index: u32) -> PathBuf {
        self.msgs.join(format!("{index}.blk"))
    }

    pub fn block_key(&self, index: u32) -> PathBuf {
        self.msgs.join(format!("{index}.key"))
    }

    pub fn index_db(&self) -> PathBuf {
        self.msgs.join("index.db")
    }

    pub fn ttl_db(&self) -> PathBuf {
        self.msgs.join("thw.db")
    }

    pub fn schedules_db(&self) -> PathBuf {
        self.msgs.join("sched.db")
    }

    pub fn consumers(&self) -> PathBuf {
        self.dir.join("obs")
    }

    pub fn purged(&self) -> PathBuf {
        self.dir.join("__msgs__")
    }

    pub fn new_msgs(&self) -> PathBuf {
        self.dir.join("__new_msgs__")
    }

    pub fn meta(&self) -> PathBuf {
        self.dir.join("meta.inf")
    }

    pub fn meta_sum(&self) -> PathBuf {
        self.dir.join("meta.sum")
    }

    pub fn meta_key(&self) -> PathBuf {
        self.dir.join("meta.key")
    }
}

/// The number in a name like `12.blk`; only the form the server writes is believed.
pub(super) fn numbered(name: &str, suffix: &str) -> Option<u32> {
    let number = name.strip_suffix(suffix)?;
    let parsed: u32 = number.parse().ok()?;
    (number.bytes().all(|b| b.is_ascii_digit())).then_some(parsed)
}

/// The content of a block file, in the clear.
#[derive(Debug)]
pub(super) struct BlockContent {
    pub data: Bytes,
    pub compressed: bool,
    /// Decompression stopped here; `data` is what came before.
    pub damage: Option<CompressionError>,
    /// Bytes of content that are missing because of it.
    pub missing: u64,
}

/// Reads a block file.
pub(super) fn read_block(
    disk: &dyn Disk,
    path: &Path,
    key: Option<&AssetKey>,
) -> io::Result<BlockContent> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > MAX_BLOCK_CONTENT {
        let text = StoreError::BlockSizeExceeded.to_string();
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut data = vec![0; len as usize];
    let got = read_full_at(file.as_ref(), &mut data, 0)?;
    data.truncate(got);
    if let Some(key) = key {
        key.apply_keystream(&mut data, 0);
    }
    Ok(open_content(data))
}

/// Decompresses what was read from a block file, if it is compressed.
pub(super) fn open_content(data: Vec<u8>) -> BlockContent {
    if !compression::is_compressed(&data) {
        return BlockContent {
            data: Bytes::from(data),
            compressed: false,
            damage: None,
            missing: 0,
        };
    }
    let salvaged = compression::decompress_block(&data, MAX_BLOCK_CONTENT as usize);
    let missing = match salvaged.damage {
        None => 0,
        Some(_) => salvaged
            .stated
            .clamp(1, MAX_BLOCK_CONTENT)
            .saturating_sub(salvaged.data.len() as u64)
            .max(1),
    };
    BlockContent { data: salvaged.data.into(), compressed: true, damage: salvaged.damage, missing }
}

/// Replaces a block file as a whole. The new content is durable before it gets the block's name;
/// that it has the name is durable with the next sync of the directory.
pub(super) fn replace_block(
    disk: &dyn Disk,
    path: &Path,
    key: Option<&AssetKey>,
    mut content: Vec<u8>,
) -> io::Result<()> {
    if let Some(key) = key {
        key.apply_keystream(&mut content, 0);
    }
    let staged = staging_path(path);
    let result = (|| {
        let file = disk.open(&staged, OpenMode::CreateTruncate)?;
        file.write_at(&content, 0)?;
        file.sync_data()?;
        drop(file);
        disk.rename(&staged, path)
    })();
    if result.is_err() {
        let _ = remove_file_if_exists(disk, &staged);
    }
    result
}

/// An error of the disk as the store reports it.
pub(super) fn disk_error(action: &str, path: &Path, error: &io::Error) -> StoreError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::NoSpace(format!("{action} {path}: no space left on device"))
        }
        io::ErrorKind::PermissionDenied => {
            StoreError::PermissionDenied(format!("{action} {path}: permission denied"))
        }
        _ => StoreError::Io(format!("{action} {path}: {error}")),
    }
}
