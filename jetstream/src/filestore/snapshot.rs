//! Taking a snapshot of a stream (spec 06, section 19.1).
//!
//! The archive is made while it is read: a block is read, opened and compressed into it when the
//! reader gets there. The store goes on meanwhile; a block that is gone by then held only messages
//! that were removed since, and then the index, which would not be true, is left out.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::FileStore;
use super::archive::{ArchiveWriter, Entry};
use super::compression::StreamEncoder;
use super::encryption::AssetKey;
use super::files::read_block;
use super::meta::sum_text;
use super::record::{NamedHash, trailing_checksum};
use crate::disk::SharedDisk;
use crate::error::{StoreError, StoreResult};
use crate::store::{ConsumerSnapshot, Snapshot, SnapshotRequest};
use crate::time::Timestamp;

/// Whether a snapshot is being read out; shared with its archive.
#[derive(Debug, Default, Clone)]
pub(super) struct Running(Arc<AtomicBool>);

/// Marks the snapshot as running until it is dropped.
struct RunningGuard(Running);

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// What is still to be put into the archive.
enum Part {
    Bytes { name: String, content: Bytes },
    Block { index: u32, path: PathBuf, key: Option<AssetKey> },
    Index { content: Vec<u8>, last_checksum: [u8; 8] },
    Error(String),
}

/// The archive of a running snapshot.
struct Archive {
    disk: SharedDisk,
    name_hash: NamedHash,
    parts: VecDeque<Part>,
    writer: ArchiveWriter,
    encoder: StreamEncoder,
    ready: Vec<u8>,
    taken: usize,
    /// Checksum at the end of the last block that was put in.
    last_checksum: [u8; 8],
    incomplete: bool,
    finished: bool,
    _running: RunningGuard,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl Archive {
    fn add(&mut self, name: &str, content: &[u8]) {
        let mut tar = Vec::new();
        self.writer.entry(&Entry { name, content }, &mut tar);
        self.encoder.write(&tar, &mut self.ready);
    }

    /// The archive ends with the text of what went wrong.
    fn fail(&mut self, text: &str) {
        self.add("errors.txt", text.as_bytes());
        self.parts.clear();
    }

    fn step(&mut self) {
        self.ready.clear();
        self.taken = 0;
        match self.parts.pop_front() {
            Some(Part::Bytes { name, content }) => self.add(&name, &content),
            Some(Part::Error(text)) => self.fail(&text),
            Some(Part::Block { index, path, key }) => {
                match read_block(self.disk.as_ref(), &path, key.as_ref()) {
                    Ok(content) => {
                        if let Some(damage) = content.damage {
                            let text =
                                format!("Could not decompress message block [{index}]: {damage}");
                            self.fail(&text);
                            return;
                        }
                        self.last_checksum = trailing_checksum(&content.data).unwrap_or_default();
                        self.add(&format!("msgs/{index}.blk"), &content.data);
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.incomplete = true;
                    }
                    Err(error) => {
                        self.fail(&format!("Could not read message block [{index}]: {error}"));
                    }
                }
            }
            Some(Part::Index { mut content, last_checksum }) => {
                if !self.incomplete && self.last_checksum == last_checksum {
                    let sum = self.name_hash.sum(&content);
                    content.extend_from_slice(&sum);
                    self.add("msgs/index.db", &content);
                }
            }
            None => {
                let mut tar = Vec::new();
                self.writer.finish(&mut tar);
                self.encoder.write(&tar, &mut self.ready);
                self.encoder.finish(&mut self.ready);
                self.finished = true;
            }
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() {
            if self.finished {
                return Ok(0);
            }
            self.step();
        }
        let rest = self.ready.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

impl FileStore {
    /// Starts a snapshot. Everything appended is durable before it.
    pub(super) fn take_snapshot(&mut self, request: &SnapshotRequest) -> StoreResult<Snapshot> {
        self.writable()?;
        if self.snapshots.0.swap(true, Ordering::AcqRel) {
            return Err(StoreError::SnapshotInProgress);
        }
        let guard = RunningGuard(self.snapshots.clone());
        if request.check_messages {
            self.check_all()?;
        }
        self.sync_now()?;
        let mut parts = VecDeque::new();
        self.add_meta(&mut parts);
        for block in &self.blocks {
            parts.push_back(Part::Block {
                index: block.index,
                path: self.paths.block(block.index),
                key: block.key.clone(),
            });
        }
        let index = self.index_content();
        parts
            .push_back(Part::Index { content: index.encode(), last_checksum: index.last_checksum });
        for consumer in &request.consumers {
            add_consumer(&mut parts, &self.config.name, consumer);
        }
        let archive = Archive {
            disk: self.disk.clone(),
            name_hash: self.name_hash.clone(),
            parts,
            writer: ArchiveWriter::new(time_or_now(request.now, self.now)),
            encoder: StreamEncoder::default(),
            ready: Vec::new(),
            taken: 0,
            last_checksum: [0; 8],
            incomplete: false,
            finished: false,
            _running: guard,
        };
        Ok(Snapshot { state: self.detailed_state(), archive: Box::new(archive) })
    }

    fn add_meta(&self, parts: &mut VecDeque<Part>) {
        match self.meta_json() {
            Ok(json) => {
                let sum = sum_text(&self.name_hash.sum(&json));
                parts.push_back(Part::Bytes { name: "meta.inf".into(), content: json.into() });
                parts.push_back(Part::Bytes {
                    name: "meta.sum".into(),
                    content: sum.into_bytes().into(),
                });
            }
            Err(error) => {
                parts.push_back(Part::Error(format!("Could not gather stream meta file: {error}")))
            }
        }
    }

    /// Checks every record of every block.
    fn check_all(&mut self) -> StoreResult<()> {
        let before = self.lost.sequences.len();
        for position in 0..self.blocks.len() {
            if self.blocks[position].is_empty() {
                continue;
            }
            self.load_block(position)
                .map_err(|error| StoreError::Other(format!("snapshot check failed: {error}")))?;
            self.find_damage(position);
            if position + 1 < self.blocks.len() {
                self.blocks[position].unload();
            }
        }
        match self.lost.sequences.len().saturating_sub(before) {
            0 => Ok(()),
            bad => Err(StoreError::Other(format!("snapshot check detected {bad} bad messages"))),
        }
    }
}

fn time_or_now(asked: Timestamp, now: i64) -> Timestamp {
    if asked.is_zero() { Timestamp::from_nanos(now) } else { asked }
}

fn add_consumer(parts: &mut VecDeque<Part>, stream: &str, consumer: &ConsumerSnapshot) {
    let name = &consumer.name;
    let sum = sum_text(&NamedHash::new(&format!("{stream}/{name}")).sum(&consumer.meta));
    parts.push_back(Part::Bytes {
        name: format!("obs/{name}/meta.inf"),
        content: consumer.meta.clone(),
    });
    parts.push_back(Part::Bytes {
        name: format!("obs/{name}/meta.sum"),
        content: sum.into_bytes().into(),
    });
    match &consumer.state {
        Ok(state) => parts
            .push_back(Part::Bytes { name: format!("obs/{name}/o.dat"), content: state.clone() }),
        Err(error) => parts.push_back(Part::Error(format!(
            "Could not encode consumer state for {name:?}: {error}"
        ))),
    }
}
