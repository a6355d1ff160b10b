//! The index file `index.db`: the full state of a stream, so that opening it need not read its
//! blocks (spec 06, sections 6 and 11.2).
//!
//! ```text
//! u8 11 | u8 version
//! uvarint messages | uvarint bytes | uvarint first | varint time | uvarint last | varint time
//! uvarint subjects { uvarint len | bytes | uvarint total | uvarint first block | uvarint last }
//! uvarint blocks { uvarint number | uvarint bytes | uvarint first | varint time - base
//!                  | uvarint last | varint time - base | uvarint deleted
//!                  | uvarint ttls (v2) | uvarint schedules (v3) | sequence set if deleted > 0 }
//! uvarint number of the last block | 8 bytes checksum of its last record
//! 8 bytes HighwayHash-64 of all before
//! ```
//! [`IndexFile`] is what such a file says; whether it is true, recovery finds out.

use std::fmt;

use super::block::Block;
use super::record::{CHECKSUM_LEN, Checksum, NamedHash};
use super::remove::LAST_BLOCK_IS_BOUND;
use super::{FileStore, files::disk_error};
use crate::disk::Durability;
use crate::error::StoreResult;
use crate::seqset::SequenceSet;
use crate::time::Timestamp;
use crate::varint::{put_uvarint, put_varint, take_uvarint, take_varint};

const MAGIC: u8 = 11;
const VERSION: u8 = 4;
/// Nothing shorter is an index file.
const MIN_LEN: usize = 32;

/// Why an index file is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexError {
    /// Shorter than any index; its length in bytes.
    TooShort(usize),
    /// The file's own checksum is wrong.
    Checksum,
    /// The stream's key does not open it.
    Encryption(String),
    /// Not an index, or of an unknown version.
    Version,
    /// A subject of an impossible length.
    SubjectLength(u64),
    /// A subject that is no subject.
    Subject,
    /// A damaged delete set.
    Deletes(String),
    /// A number is missing or overlong.
    Truncated,
    /// The checksum of the last record is missing.
    NoChecksum,
    /// The last block is not the last one listed.
    LastBlock,
    /// Totals that do not add up.
    Inconsistent,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::TooShort(len) => write!(f, "Stream state too short ({len} bytes)"),
            IndexError::Checksum => f.write_str("Stream state checksum did not match"),
            IndexError::Encryption(error) => {
                write!(f, "Stream state error reading encryption key: {error}")
            }
            IndexError::Version => f.write_str("Stream state magic and version mismatch"),
            IndexError::SubjectLength(len) => write!(f, "Stream state bad subject len ({len})"),
            IndexError::Subject => f.write_str("Stream state corrupt subject detected"),
            IndexError::Deletes(error) => {
                write!(f, "Stream state error decoding avl dmap: {error}")
            }
            IndexError::Truncated | IndexError::NoChecksum => {
                f.write_str("Stream state has no checksum present")
            }
            IndexError::LastBlock => {
                f.write_str("Stream state block does not exist or index mismatch")
            }
            IndexError::Inconsistent => {
                f.write_str("Stream state encountered internal inconsistency on recover")
            }
        }
    }
}

impl std::error::Error for IndexError {}

/// A subject as the index file lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedSubject<'a> {
    /// The subject.
    pub subject: &'a [u8],
    /// Its messages.
    pub total: u64,
    /// No lower block holds it.
    pub first_block: u32,
    /// The block of its last message.
    pub last_block: u32,
}

/// The subjects of an index file, in the form they have there: there may be millions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexedSubjects {
    count: u64,
    /// Σ of their messages.
    messages: u64,
    encoded: Vec<u8>,
}

impl IndexedSubjects {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a subject.
    pub fn push(&mut self, subject: IndexedSubject<'_>) {
        let out = &mut self.encoded;
        put_uvarint(out, subject.subject.len() as u64);
        out.extend_from_slice(subject.subject);
        put_uvarint(out, subject.total);
        put_uvarint(out, u64::from(subject.first_block));
        put_uvarint(out, u64::from(subject.last_block));
        self.count += 1;
        self.messages = self.messages.saturating_add(subject.total);
    }

    /// The subjects in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = IndexedSubject<'_>> {
        let mut rest = &self.encoded[..];
        // What was put in was found sound, or made here.
        std::iter::from_fn(move || take_subject(&mut rest, VERSION).ok())
    }
}

/// A block as the index file lists it. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedBlock {
    /// The block's number.
    pub index: u32,
    /// Bytes of its live messages.
    pub bytes: u64,
    /// First live sequence; one past the last when empty.
    pub first_seq: u64,
    /// Its time.
    pub first_time: i64,
    /// Last sequence.
    pub last_seq: u64,
    /// Its time.
    pub last_time: i64,
    /// Deletes between them.
    pub deleted: SequenceSet,
    /// Messages with a time to live.
    pub ttls: u64,
    /// Schedules.
    pub schedules: u64,
}

impl IndexedBlock {
    /// Live messages.
    pub fn messages(&self) -> u64 {
        (self.last_seq.wrapping_add(1))
            .checked_sub(self.first_seq)
            .map_or(0, |span| span.saturating_sub(self.deleted.len()))
    }
}

/// What an index file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexFile {
    /// Messages of the stream.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First sequence.
    pub first_seq: u64,
    /// Its time, 0 for none.
    pub first_time: i64,
    /// Last sequence.
    pub last_seq: u64,
    /// Its time, 0 for none.
    pub last_time: i64,
    /// The subjects.
    pub subjects: IndexedSubjects,
    /// The blocks, by ascending number.
    pub blocks: Vec<IndexedBlock>,
    /// The block that was being written.
    pub last_block: u32,
    /// The checksum of that block's last record, zeros when it had none.
    pub last_checksum: Checksum,
}

impl IndexFile {
    /// The file's content without its own checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MAGIC, VERSION];
        put_uvarint(&mut out, self.messages);
        put_uvarint(&mut out, self.bytes);
        put_uvarint(&mut out, self.first_seq);
        put_varint(&mut out, self.first_time);
        put_uvarint(&mut out, self.last_seq);
        put_varint(&mut out, self.last_time);
        put_uvarint(&mut out, self.subjects.len());
        out.extend_from_slice(&self.subjects.encoded);
        put_uvarint(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_uvarint(&mut out, u64::from(block.index));
            put_uvarint(&mut out, block.bytes);
            put_uvarint(&mut out, block.first_seq);
            put_varint(&mut out, block.first_time.wrapping_sub(self.first_time));
            put_uvarint(&mut out, block.last_seq);
            put_varint(&mut out, block.last_time.wrapping_sub(self.first_time));
            put_uvarint(&mut out, block.deleted.len());
            put_uvarint(&mut out, block.ttls);
            put_uvarint(&mut out, block.schedules);
            if !block.deleted.is_empty() {
                block.deleted.encode_into(&mut out);
            }
        }
        put_uvarint(&mut out, u64::from(self.last_block));
        out.extend_from_slice(&self.last_checksum);
        out
    }

    /// Reads the content of a file whose checksum was found right and taken off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(content: &[u8]) -> Result<IndexFile, IndexError> {
        let (&[magic, version], mut rest) =
            content.split_first_chunk::<2>().ok_or(IndexError::TooShort(content.len()))?;
        if magic != MAGIC || !(1..=VERSION).contains(&version) {
            return Err(IndexError::Version);
        }
        let input = &mut rest;
        let mut index = IndexFile {
            messages: number(input)?,
            bytes: number(input)?,
            first_seq: number(input)?,
            first_time: signed(input)?,
            last_seq: number(input)?,
            last_time: signed(input)?,
            ..IndexFile::default()
        };
        let subjects = number(input)?;
        for _ in 0..subjects {
            index.subjects.push(take_subject(input, version)?);
        }
        let blocks = number(input)?;
        for _ in 0..blocks {
            index.blocks.push(take_block(input, version, index.first_time)?);
        }
        index.last_block = block_number(number(input)?)?;
        let checksum = input.first_chunk::<CHECKSUM_LEN>().ok_or(IndexError::NoChecksum)?;
        index.last_checksum = *checksum;
        Ok(index)
    }

    /// Reads a file: its checksum, then, with the stream's key, what is sealed in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(
        file: &[u8],
        hash: &NamedHash,
        key: Option<&super::encryption::AssetKey>,
    ) -> Result<IndexFile, IndexError> {
        if file.len() < MIN_LEN {
            return Err(IndexError::TooShort(file.len()));
        }
        let (content, sum) =
            file.split_last_chunk::<CHECKSUM_LEN>().ok_or(IndexError::TooShort(file.len()))?;
        if hash.sum(content) != *sum {
            return Err(IndexError::Checksum);
        }
        match key {
            None => IndexFile::decode(content),
            Some(key) => {
                let opened =
                    key.open(content).map_err(|e| IndexError::Encryption(e.to_string()))?;
                IndexFile::decode(&opened)
            }
        }
    }

    /// Whether the file agrees with itself.
    ///
    /// # Errors
    /// [`IndexError::LastBlock`] and [`IndexError::Inconsistent`].
    pub fn check(&self) -> Result<(), IndexError> {
        if self.blocks.last().map_or(0, |block| block.index) != self.last_block {
            return Err(IndexError::LastBlock);
        }
        let (mut messages, mut bytes, mut previous) = (0u64, 0u64, None::<&IndexedBlock>);
        for block in &self.blocks {
            if let Some(previous) = previous
                && (previous.index >= block.index
                    || (block.messages() > 0 && block.first_seq <= previous.last_seq))
            {
                return Err(IndexError::Inconsistent);
            }
            let (low, high, count) = block.deleted.state();
            let outside = count > 0 && (low < block.first_seq || high > block.last_seq);
            let span = block.last_seq.wrapping_add(1).checked_sub(block.first_seq);
            if outside || span.is_none_or(|span| span < count || span > super::block::MAX_SPAN) {
                return Err(IndexError::Inconsistent);
            }
            messages = messages.checked_add(block.messages()).ok_or(IndexError::Inconsistent)?;
            bytes = bytes.checked_add(block.bytes).ok_or(IndexError::Inconsistent)?;
            previous = Some(block);
        }
        let last = self.blocks.iter().map(|block| block.last_seq).max().unwrap_or(0);
        let first = self.blocks.iter().find(|block| block.messages() > 0);
        let first_agrees = self.first_seq <= 1
            || first.map_or(self.first_seq == self.last_seq.saturating_add(1), |block| {
                block.first_seq == self.first_seq
            });
        // Messages without a subject count too, so that there may be more of all than of these.
        if messages != self.messages
            || self.subjects.messages > messages
            || bytes != self.bytes
            || last != self.last_seq
            || !first_agrees
        {
            return Err(IndexError::Inconsistent);
        }
        Ok(())
    }
}

fn number(input: &mut &[u8]) -> Result<u64, IndexError> {
    take_uvarint(input).ok_or(IndexError::Truncated)
}

fn signed(input: &mut &[u8]) -> Result<i64, IndexError> {
    take_varint(input).ok_or(IndexError::Truncated)
}

fn block_number(value: u64) -> Result<u32, IndexError> {
    u32::try_from(value).map_err(|_| IndexError::LastBlock)
}

fn take_subject<'a>(input: &mut &'a [u8], version: u8) -> Result<IndexedSubject<'a>, IndexError> {
    let len = number(input)?;
    let taken = usize::try_from(len).ok().and_then(|len| input.split_at_checked(len));
    let (subject, rest) =
        taken.filter(|(s, _)| !s.is_empty()).ok_or(IndexError::SubjectLength(len))?;
    *input = rest;
    // Subjects never hold bytes that could end a protocol line or a token.
    // A replacement character is what damage in the memory of an older server left there.
    let replaced = memchr::memmem::find(subject, "\u{fffd}".as_bytes()).is_some();
    if replaced || subject.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(IndexError::Subject);
    }
    let total = number(input)?;
    let first_block = block_number(number(input)?)?;
    let last_block =
        if version >= 4 || total > 1 { block_number(number(input)?)? } else { first_block };
    Ok(IndexedSubject { subject, total, first_block, last_block })
}

fn take_block(input: &mut &[u8], version: u8, base: i64) -> Result<IndexedBlock, IndexError> {
    let index = block_number(number(input)?)?;
    let bytes = number(input)?;
    let first_seq = number(input)?;
    let first_time = signed(input)?.wrapping_add(base);
    let last_seq = number(input)?;
    let last_time = signed(input)?.wrapping_add(base);
    let deletes = number(input)?;
    let ttls = if version >= 2 { number(input)? } else { 0 };
    let schedules = if version >= 3 { number(input)? } else { 0 };
    let mut deleted = SequenceSet::new();
    if deletes > 0 {
        let (set, used) =
            SequenceSet::decode(input).map_err(|error| IndexError::Deletes(error.to_string()))?;
        *input = input.get(used..).ok_or(IndexError::Truncated)?;
        deleted = set;
    }
    Ok(IndexedBlock {
        index,
        bytes,
        first_seq,
        first_time,
        last_seq,
        last_time,
        deleted,
        ttls,
        schedules,
    })
}

/// Times in the file: "none" is 0 there.
fn stored_time(timestamp: i64) -> i64 {
    if timestamp == Timestamp::ZERO.nanos() { 0 } else { timestamp }
}

fn indexed(block: &Block) -> IndexedBlock {
    IndexedBlock {
        index: block.index,
        bytes: block.bytes,
        first_seq: block.first.seq,
        first_time: stored_time(block.first.timestamp),
        last_seq: block.last.seq,
        last_time: stored_time(block.last.timestamp),
        deleted: block.deleted.clone(),
        ttls: block.ttls,
        schedules: block.schedules,
    }
}

impl FileStore {
    /// Makes everything durable, then writes the index file and those of the timers.
    pub(super) fn write_index(&mut self) -> StoreResult<()> {
        // The index does not tell which deletes have tombstones: after it, all have.
        self.bury_displaced()?;
        self.sync_now()?;
        self.pin_last_blocks()?;
        let content = self.index_content().encode();
        let mut file = match &self.key {
            None => content,
            Some(key) => {
                let random = &mut self.random;
                key.seal(&content, &mut |bytes| random.fill(bytes))
            }
        };
        let sum = self.name_hash.sum(&file);
        file.extend_from_slice(&sum);
        self.write_state_file(&self.paths.index_db(), &file)?;
        self.index_on_disk = true;
        self.dirty = false;
        let high = self.totals.last.seq + 1;
        if let Some(wheel) = &self.expiry.ttls {
            let encoded = wheel.encode(high);
            self.write_state_file(&self.paths.ttl_db(), &encoded)?;
        }
        if let Some(schedules) = &self.expiry.schedules {
            let encoded = schedules.encode(high);
            self.write_state_file(&self.paths.schedules_db(), &encoded)?;
        }
        Ok(())
    }

    /// Files that can be made again: a failed write is told, and the old file, which the failed
    /// one did not replace, is removed by the caller's next change.
    fn write_state_file(&self, path: &std::path::Path, content: &[u8]) -> StoreResult<()> {
        self.disk
            .write_atomic(path, content, Durability::Synced)
            .map_err(|error| disk_error("write", path, &error))
    }

    pub(super) fn index_content(&self) -> IndexFile {
        let totals = &self.totals;
        let mut index = IndexFile {
            messages: totals.messages,
            bytes: totals.bytes,
            first_seq: totals.first.seq,
            first_time: stored_time(totals.first.timestamp),
            last_seq: totals.last.seq,
            last_time: stored_time(totals.last.timestamp),
            blocks: self.blocks.iter().map(indexed).collect(),
            ..IndexFile::default()
        };
        if let Some(last) = self.blocks.back() {
            index.last_block = last.index;
            index.last_checksum = last.last_checksum;
        }
        // The last block tells the stream's last sequence, whatever its own records say.
        if let Some(last) = index.blocks.last_mut()
            && last.last_seq < totals.last.seq
            && last.messages() == 0
        {
            last.last_seq = totals.last.seq;
            last.first_seq = totals.last.seq + 1;
        }
        self.subjects.iter_ordered(|subject, info| {
            index.subjects.push(IndexedSubject {
                subject,
                total: info.total,
                first_block: info.first_block,
                last_block: info.last_block,
            });
            true
        });
        index
    }

    /// Looks up the last blocks of subjects of which only a bound is known: the file must tell
    /// them exactly.
    fn pin_last_blocks(&mut self) -> StoreResult<()> {
        let mut vague: Vec<Box<[u8]>> = Vec::new();
        self.subjects.iter_ordered(|subject, info| {
            if info.last == LAST_BLOCK_IS_BOUND && info.first_block < info.last_block {
                vague.push(subject.into());
            }
            true
        });
        for subject in vague {
            self.last_of_subject(&subject)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> IndexFile {
        let mut deleted = SequenceSet::new();
        deleted.insert(4);
        let mut subjects = IndexedSubjects::default();
        let subject = b"foo.bar";
        subjects.push(IndexedSubject { subject, total: 4, first_block: 2, last_block: 9 });
        IndexFile {
            messages: 4,
            bytes: 200,
            first_seq: 3,
            first_time: 1000,
            last_seq: 7,
            last_time: 5000,
            subjects,
            blocks: vec![
                IndexedBlock {
                    index: 2,
                    bytes: 150,
                    first_seq: 3,
                    first_time: 1000,
                    last_seq: 6,
                    last_time: 3000,
                    deleted,
                    ttls: 1,
                    schedules: 2,
                },
                IndexedBlock {
                    index: 9,
                    bytes: 50,
                    first_seq: 7,
                    first_time: 5000,
                    last_seq: 7,
                    last_time: 5000,
                    deleted: SequenceSet::new(),
                    ttls: 0,
                    schedules: 0,
                },
            ],
            last_block: 9,
            last_checksum: [1, 2, 3, 4, 5, 6, 7, 8],
        }
    }

    #[test]
    fn index_survives_and_agrees_with_itself() {
        let index = sample();
        index.check().unwrap();
        assert_eq!(IndexFile::decode(&index.encode()).unwrap(), index);
        let subjects: Vec<_> = index.subjects.iter().collect();
        assert_eq!((subjects.len(), subjects[0].subject), (1, &b"foo.bar"[..]));
    }

    #[test]
    fn pristine_empty_index_of_an_old_server_is_read() {
        let mut file = vec![0x0b, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1];
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(&[0x33, 0x98, 0xfa, 0xf1, 0x77, 0x79, 0xa6, 0xcd]);
        let index = IndexFile::open(&file, &NamedHash::new("STREAM"), None).unwrap();
        assert_eq!((index.messages, index.blocks.len(), index.last_block), (0, 1, 1));
        assert_eq!((index.blocks[0].first_seq, index.blocks[0].last_seq), (1, 0));
        index.check().unwrap();
    }

    #[test]
    fn cut_and_changed_files_are_refused() {
        let hash = NamedHash::new("S");
        let mut file = sample().encode();
        for cut in 0..file.len() {
            assert!(IndexFile::decode(&file[..cut]).is_err(), "cut {cut}");
        }
        let sum = hash.sum(&file);
        file.extend_from_slice(&sum);
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(IndexFile::open(&bad, &hash, None), Err(IndexError::Checksum));
        }
        assert_eq!(IndexFile::open(&file[..20], &hash, None), Err(IndexError::TooShort(20)));
    }

    #[test]
    fn contradictions_are_noticed() {
        type Break = fn(&mut IndexFile);
        let breaks: [Break; 7] = [
            |index| index.messages += 1,
            |index| index.bytes -= 1,
            |index| index.last_seq += 1,
            |index| index.first_seq += 1,
            |index| index.blocks[1].first_seq = 6,
            |index| index.blocks[0].last_seq = 1,
            |index| {
                let subject = b"x";
                let one = IndexedSubject { subject, total: 1, first_block: 2, last_block: 2 };
                index.subjects.push(one);
            },
        ];
        for (number, make_wrong) in breaks.iter().enumerate() {
            let mut index = sample();
            make_wrong(&mut index);
            assert_eq!(index.check(), Err(IndexError::Inconsistent), "{number}");
        }
        let mut index = sample();
        index.last_block = 2;
        assert_eq!(index.check(), Err(IndexError::LastBlock));
    }
}
