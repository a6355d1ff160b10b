//! A message block in memory: its accounting, and its bytes while they are loaded.
//!
//! The accounting ([`Block`]) is always there. The bytes ([`Loaded`]) are there for the block being
//! written and for blocks read lately; everything a reader gets is a slice of them. Bytes are held
//! as segments, none of which cuts a record; the newest records of the block being written stand in
//! a tail that is not shared yet and becomes a segment when it is flushed.
//!
//! Invariants: a sequence is live in a block when it lies in `first..=last` and is not in
//! `deleted`; `messages` counts them. An empty block has `first = last + 1`. Live sequences of
//! different blocks are disjoint and ascend with the block's number.

use bytes::{Bytes, BytesMut};

use super::cold::Marks;
use super::encryption::AssetKey;
use super::record::{Checksum, NamedHash, NewRecord, RawRecord, RecordError, RecordKind};
use super::scan::{ScanItem, scan_verified};
use super::subject_index::{Slots, SubjectHash, SubjectIndex};
use crate::disk::DiskFile;
use crate::seqset::SequenceSet;

/// A place in the stream with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub seq: u64,
    pub timestamp: i64,
}

/// Slot without a live record.
const NO_RECORD: u32 = u32::MAX;
/// Set in a slot's offset once the record's checksum was found right.
const VERIFIED: u32 = 1 << 31;
/// Sequences a block may span: far beyond what writers produce, and a bound on what a damaged or
/// hostile file can make us allocate.
pub(super) const MAX_SPAN: u64 = 1 << 24;
/// Room for new records in the tail; a larger record gets its own.
const TAIL_CAPACITY: usize = 256 << 10;

/// The sequences that tombstones in a block may aim at in earlier blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PriorTombstones {
    None,
    Within(u64, u64),
    /// Taken over from an index file, which does not tell.
    Unknown,
}

impl PriorTombstones {
    pub fn add(&mut self, seq: u64) {
        *self = match *self {
            PriorTombstones::None => PriorTombstones::Within(seq, seq),
            PriorTombstones::Within(low, high) => {
                PriorTombstones::Within(low.min(seq), high.max(seq))
            }
            PriorTombstones::Unknown => PriorTombstones::Unknown,
        };
    }

    pub fn may_hit(self, first: u64, last: u64) -> bool {
        match self {
            PriorTombstones::None => false,
            PriorTombstones::Within(low, high) => low <= last && high >= first,
            PriorTombstones::Unknown => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Block {
    pub index: u32,
    pub hash: NamedHash,
    pub key: Option<AssetKey>,
    /// Bytes of records, dead ones included; the file's length unless it is compressed.
    pub raw_len: u64,
    /// Live messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    pub first: Mark,
    pub last: Mark,
    pub deleted: SequenceSet,
    /// What limits removed and the file still holds, without a tombstone.
    pub displaced: SequenceSet,
    /// Messages with a time to live, and schedules; lets a rescan skip the block.
    pub ttls: u64,
    pub schedules: u64,
    pub last_checksum: Checksum,
    pub prior_tombstones: PriorTombstones,
    /// The first sequence the block has, or ever had, in its file: what tombstones elsewhere may
    /// be needed for.
    pub file_first: u64,
    /// The highest sequence that a record of the block is known to have, tombstones included: what
    /// the file alone proves of the stream's last sequence. It may be too low, never too high.
    pub told: u64,
    pub file: Option<Box<dyn DiskFile>>,
    /// Bytes handed to the file.
    pub written: u64,
    /// Whether the file has bytes that are not durable.
    pub unsynced: bool,
    /// Whether nothing can be appended any more, because the file is compressed or damaged.
    pub sealed: bool,
    /// Whether the file is compressed, as far as the marks reach.
    pub packed: bool,
    pub marks: Marks,
    pub loaded: Option<Loaded>,
    /// When it was last read, on the store's access counter and clock.
    pub used: u64,
    pub used_at: i64,
    /// Live bytes after the last compaction, or when it was found not to pay.
    pub compacted_at: Option<u64>,
}

impl Block {
    pub fn new(index: u32, hash: NamedHash, key: Option<AssetKey>, last: Mark) -> Block {
        Block {
            index,
            hash,
            key,
            raw_len: 0,
            messages: 0,
            bytes: 0,
            first: Mark { seq: last.seq + 1, timestamp: 0 },
            last,
            deleted: SequenceSet::new(),
            displaced: SequenceSet::new(),
            ttls: 0,
            schedules: 0,
            last_checksum: [0; 8],
            prior_tombstones: PriorTombstones::None,
            file_first: last.seq + 1,
            told: 0,
            file: None,
            written: 0,
            unsynced: false,
            sealed: false,
            packed: false,
            marks: Marks::default(),
            loaded: None,
            used: 0,
            used_at: 0,
            compacted_at: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub fn is_live(&self, seq: u64) -> bool {
        seq >= self.first.seq
            && seq <= self.last.seq
            && self.messages > 0
            && !self.deleted.contains(seq)
    }

    /// The first live sequence at or after `seq`.
    pub fn next_live(&self, seq: u64) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        self.deleted.next_absent(seq.max(self.first.seq)).filter(|next| *next <= self.last.seq)
    }

    /// The last live sequence at or before `seq`.
    pub fn previous_live(&self, seq: u64) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let mut seq = seq.min(self.last.seq);
        while seq >= self.first.seq && self.deleted.contains(seq) {
            seq -= 1;
        }
        (seq >= self.first.seq).then_some(seq)
    }

    /// Live messages at or after `seq`.
    pub fn live_from(&self, seq: u64) -> u64 {
        if self.is_empty() || seq > self.last.seq {
            return 0;
        }
        if seq <= self.first.seq {
            return self.messages;
        }
        let span = self.last.seq - seq + 1;
        span.saturating_sub(self.deleted.count_from(seq))
    }

    /// Bytes of the live records that are loaded, without an index.
    pub fn live_bytes_loaded(&mut self) -> u64 {
        let Some(mut loaded) = self.loaded.take() else { return 0 };
        let content = loaded.contiguous();
        self.loaded = Some(loaded);
        let (mut at, mut previous, mut bytes) = (0usize, 0u64, 0u64);
        while let Some(rest) = content.get(at..)
            && let Ok(raw) = RawRecord::parse(rest)
        {
            if raw.kind == RecordKind::Message && raw.seq > previous {
                previous = raw.seq;
                if self.is_live(raw.seq) {
                    bytes += raw.len as u64;
                }
            }
            at += raw.len;
        }
        bytes
    }

    /// Makes the block empty behind its last sequence.
    pub fn set_empty(&mut self) {
        self.messages = 0;
        self.bytes = 0;
        self.first = Mark { seq: self.last.seq + 1, timestamp: 0 };
        self.deleted.clear();
    }

    /// Whether all bytes of the block are loaded.
    pub fn is_loaded(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| loaded.start == 0)
    }

    /// Bytes that wait to be written.
    pub fn pending(&self) -> u64 {
        self.raw_len - self.written
    }

    /// The bytes of a live record; its slot must be known live.
    pub fn record_bytes(&self, seq: u64) -> Option<&[u8]> {
        self.loaded.as_ref()?.record(seq)
    }

    /// The time of a live record.
    pub fn timestamp(&self, seq: u64) -> Option<i64> {
        Some(RawRecord::parse(self.record_bytes(seq)?).ok()?.timestamp)
    }

    /// Proves a live record, once per load.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verified(&mut self, seq: u64) -> Result<RawRecord, RecordError> {
        let loaded = self.loaded.as_mut().ok_or(RecordError::TooShort)?;
        let slot = loaded.slot(seq).ok_or(RecordError::TooShort)?;
        let bytes = loaded.record(seq).ok_or(RecordError::TooShort)?;
        let raw = RawRecord::parse(bytes)?;
        let known = loaded.offsets.get(slot).is_some_and(|offset| offset & VERIFIED != 0);
        if !known {
            raw.clone().verify(bytes, &self.hash)?;
            if let Some(offset) = loaded.offsets.get_mut(slot) {
                *offset |= VERIFIED;
            }
        }
        Ok(raw)
    }

    /// Appends a record to the tail; the caller has seen to it that the block takes it. Returns
    /// its length, or `None` when the record is too large.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Option<u64> {
        let len = record.encoded_len();
        let start = self.raw_len as usize;
        let loaded = self.loaded.get_or_insert_with(|| Loaded::partial(start, self.last.seq + 1));
        let offset = loaded.append(record, len, &self.hash)?;
        self.last_checksum = offset.1;
        self.raw_len += len;
        self.told = self.told.max(record.seq);
        if record.kind == RecordKind::Message {
            loaded.put_slot(record.seq, offset.0 | VERIFIED);
            self.marks.note(offset.0, record.seq);
            let slot = loaded.slot_from(record.seq);
            if let Some(index) = &mut loaded.subjects {
                let places = Places { content: &loaded.content, offsets: &loaded.offsets };
                index.append(slot, record.subject, offset.0, &places);
            }
        }
        Some(len)
    }

    /// Forgets the record of a sequence that is not live any more.
    pub fn forget_slot(&mut self, seq: u64) {
        if let Some(loaded) = &mut self.loaded {
            loaded.clear_slot(seq);
        }
    }

    /// Gives loaded bytes back, except what is not written yet.
    pub fn unload(&mut self) {
        if self.pending() == 0 {
            self.loaded = None;
        } else if let Some(loaded) = &mut self.loaded {
            loaded.drop_written(self.written as usize);
        }
    }

    /// Bytes of memory the loaded form takes.
    pub fn loaded_bytes(&self) -> usize {
        self.loaded.as_ref().map_or(0, Loaded::memory)
    }
}

/// The bytes of a block, as far as they are held.
#[derive(Debug)]
struct Content {
    segments: Vec<(usize, Bytes)>,
    tail: BytesMut,
    tail_start: usize,
}

impl Content {
    /// The bytes from a file offset on, to the end of their segment.
    fn bytes_at(&self, offset: usize) -> Option<&[u8]> {
        let (start, bytes) = self.piece_at(offset)?;
        bytes.get(offset - start..)
    }

    /// The segment, or the tail, that a file offset lies in.
    fn piece_at(&self, offset: usize) -> Option<(usize, &[u8])> {
        if offset >= self.tail_start {
            return Some((self.tail_start, &self.tail[..]));
        }
        let (start, bytes) = self.segment_at(offset)?;
        Some((*start, &bytes[..]))
    }

    fn segment_at(&self, offset: usize) -> Option<&(usize, Bytes)> {
        if let [only] = self.segments.as_slice() {
            return Some(only);
        }
        let after = self.segments.partition_point(|(start, _)| *start <= offset);
        self.segments.get(after.checked_sub(1)?)
    }

    fn subject_at(&self, offset: usize) -> Option<&[u8]> {
        subject_of_record(self.bytes_at(offset)?)
    }
}

/// The subject of the record that starts here.
fn subject_of_record(bytes: &[u8]) -> Option<&[u8]> {
    let len = usize::from(u16::from_le_bytes([*bytes.get(20)?, *bytes.get(21)?]));
    bytes.get(22..22 + len)
}

/// The bytes of a block with the places of its live records.
#[derive(Debug)]
pub(super) struct Loaded {
    /// File offset of the first byte held; 0 when the block is held whole.
    pub start: usize,
    content: Content,
    /// Sequence of slot 0.
    pub base: u64,
    pub offsets: Vec<u32>,
    subjects: Option<SubjectIndex>,
    /// Records that searches have looked at one by one since the block was loaded: when they are
    /// many, an index is worth making.
    looked_at: usize,
}

/// What the subject index needs of a loaded block.
struct Places<'a> {
    content: &'a Content,
    offsets: &'a [u32],
}

impl Slots for Places<'_> {
    fn subject(&self, offset: u32) -> Option<&[u8]> {
        self.content.subject_at(offset as usize)
    }

    fn offset(&self, slot: u32) -> Option<u32> {
        let offset = *self.offsets.get(slot as usize)?;
        (offset != NO_RECORD).then_some(offset & !VERIFIED)
    }
}

impl Loaded {
    /// Holds nothing yet but what will be appended at `start`.
    fn partial(start: usize, base: u64) -> Loaded {
        Loaded {
            start,
            content: Content { segments: Vec::new(), tail: BytesMut::new(), tail_start: start },
            base,
            offsets: Vec::new(),
            subjects: None,
            looked_at: 0,
        }
    }

    /// Holds a block's content from its first byte on, without slots.
    pub fn whole(content: Bytes) -> Loaded {
        let len = content.len();
        let mut loaded = Loaded::partial(0, 0);
        if len > 0 {
            loaded.content.segments.push((0, content));
        }
        loaded.content.tail_start = len;
        loaded
    }

    /// Puts the missing beginning before what is held.
    pub fn prepend(&mut self, content: Bytes) {
        if !content.is_empty() {
            self.content.segments.insert(0, (0, content));
        }
        self.start = 0;
    }

    fn memory(&self) -> usize {
        let held: usize = self.content.segments.iter().map(|(_, bytes)| bytes.len()).sum();
        let index = self.subjects.as_ref().map_or(0, SubjectIndex::memory);
        held + self.content.tail.capacity() + self.offsets.capacity() * 4 + index
    }

    fn append(
        &mut self,
        record: &NewRecord<'_>,
        len: u64,
        hash: &NamedHash,
    ) -> Option<(u32, Checksum)> {
        let len = usize::try_from(len).ok()?;
        if self.content.tail.capacity() - self.content.tail.len() < len {
            // A new tail instead of a longer one: growing would copy what is there.
            self.seal_tail();
            self.content.tail = BytesMut::with_capacity(TAIL_CAPACITY.max(len));
        }
        let offset = self.content.tail_start + self.content.tail.len();
        let checksum = record.encode(&mut self.content.tail, hash)?;
        Some((u32::try_from(offset).ok()?, checksum))
    }

    /// Makes the tail a segment, which readers and the writer can share.
    pub fn seal_tail(&mut self) {
        let content = &mut self.content;
        if content.tail.is_empty() {
            return;
        }
        let sealed = content.tail.split().freeze();
        let start = content.tail_start;
        content.tail_start += sealed.len();
        content.segments.push((start, sealed));
    }

    /// The segments at or behind the file offset `from`; the tail must be sealed.
    pub fn segments_from(&self, from: usize) -> impl Iterator<Item = (usize, &Bytes)> {
        self.content
            .segments
            .iter()
            .filter(move |(start, bytes)| start + bytes.len() > from)
            .map(|(start, bytes)| (*start, bytes))
    }

    fn drop_written(&mut self, written: usize) {
        let content = &mut self.content;
        content.segments.retain(|(start, _)| *start >= written);
        self.start = content.segments.first().map_or(content.tail_start, |(start, _)| *start);
        let start = self.start as u32;
        let keep_from = self
            .offsets
            .iter()
            .position(|offset| *offset != NO_RECORD && (*offset & !VERIFIED) >= start)
            .unwrap_or(self.offsets.len());
        self.offsets.drain(..keep_from);
        self.base += keep_from as u64;
        self.subjects = None;
    }

    /// All bytes in one piece.
    pub fn contiguous(&mut self) -> Bytes {
        self.seal_tail();
        match self.content.segments.as_slice() {
            [] => Bytes::new(),
            [(_, only)] => only.clone(),
            many => {
                let mut all = Vec::with_capacity(many.iter().map(|(_, b)| b.len()).sum());
                for (_, bytes) in many {
                    all.extend_from_slice(bytes);
                }
                Bytes::from(all)
            }
        }
    }

    fn slot(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base)?).ok()
    }

    /// The slot of the first sequence at or after `seq`.
    fn slot_from(&self, seq: u64) -> u32 {
        u32::try_from(seq.saturating_sub(self.base)).unwrap_or(NO_RECORD)
    }

    fn put_slot(&mut self, seq: u64, offset: u32) {
        if self.offsets.is_empty() {
            self.base = seq;
        }
        let Some(slot) = self.slot(seq) else { return };
        if slot >= self.offsets.len() {
            self.offsets.resize(slot + 1, NO_RECORD);
            if let Some(index) = &mut self.subjects {
                index.grow(slot + 1);
            }
        }
        self.offsets[slot] = offset;
    }

    fn clear_slot(&mut self, seq: u64) {
        let Some(slot) = self.slot(seq) else { return };
        let Some(offset) = self.offsets.get(slot).copied().filter(|o| *o != NO_RECORD) else {
            return;
        };
        if let Some(index) = &mut self.subjects
            && let Some(subject) = self.content.subject_at((offset & !VERIFIED) as usize)
        {
            index.remove(subject, &Places { content: &self.content, offsets: &self.offsets });
        }
        self.offsets[slot] = NO_RECORD;
    }

    pub fn has_record(&self, seq: u64) -> bool {
        self.record_offset(seq).is_some()
    }

    fn record(&self, seq: u64) -> Option<&[u8]> {
        self.content.bytes_at(self.record_offset(seq)?)
    }

    /// File offset of a live record.
    pub fn record_offset(&self, seq: u64) -> Option<usize> {
        let offset = *self.offsets.get(self.slot(seq)?)?;
        (offset != NO_RECORD).then_some((offset & !VERIFIED) as usize)
    }

    /// A record of `len` bytes as a shared slice. Small records still in the tail are copied, so
    /// that reading right behind the writer does not cut the tail into pieces.
    pub fn shared(&mut self, seq: u64, len: usize) -> Option<Bytes> {
        const COPY: usize = 4 << 10;
        let offset = self.record_offset(seq)?;
        if offset >= self.content.tail_start {
            let at = offset - self.content.tail_start;
            if len <= COPY {
                return Some(Bytes::copy_from_slice(self.content.tail.get(at..at + len)?));
            }
            self.seal_tail();
        }
        let (start, bytes) = self.content.segment_at(offset)?;
        let at = offset - start;
        (at + len <= bytes.len()).then(|| bytes.slice(at..at + len))
    }

    /// The index of the block's subjects, made when it is first asked for, with what it needs.
    fn index(&mut self) -> (&mut SubjectIndex, Places<'_>) {
        let places = Places { content: &self.content, offsets: &self.offsets };
        let index = self.subjects.get_or_insert_with(|| {
            let mut index = SubjectIndex::with_slots(places.offsets.len());
            for slot in 0..places.offsets.len() as u32 {
                if let Some(offset) = places.offset(slot)
                    && let Some(subject) = places.subject(offset)
                {
                    index.append(slot, subject, offset, &places);
                }
            }
            index
        });
        (index, places)
    }

    pub fn has_index(&self) -> bool {
        self.subjects.is_some()
    }

    /// The number of different subjects.
    pub fn count_subjects(&mut self) -> usize {
        self.index().0.len()
    }

    /// Calls `visit` with every subject and its number of live messages, in no order.
    pub fn visit_subjects(&mut self, mut visit: impl FnMut(&[u8], u64)) {
        let (index, places) = self.index();
        for (subject, count) in index.subjects(&places) {
            visit(subject, count);
        }
    }

    /// Calls `visit` with every subject and its last live sequence, in no order.
    pub fn visit_lasts(&mut self, mut visit: impl FnMut(&[u8], u64)) {
        let base = self.base;
        let (index, places) = self.index();
        for (subject, last) in index.lasts(&places) {
            visit(subject, base + u64::from(last));
        }
    }

    /// The first live sequence of a subject at or after `from`.
    pub fn first_of(&mut self, subject: &[u8], hash: SubjectHash, from: u64) -> Option<u64> {
        let (base, from) = (self.base, self.slot_from(from));
        let (index, places) = self.index();
        Some(base + u64::from(index.first_from(subject, hash, from, &places)?))
    }

    /// The last live sequence of a subject at or before `to`.
    pub fn last_of(&mut self, subject: &[u8], hash: SubjectHash, to: u64) -> Option<u64> {
        let base = self.base;
        let to = u32::try_from(to.checked_sub(base)?).unwrap_or(NO_RECORD - 1);
        let (index, places) = self.index();
        Some(base + u64::from(index.last_to(subject, hash, to, &places)?))
    }

    /// How many live messages of a subject there are at or after `from`.
    pub fn count_of(&mut self, subject: &[u8], hash: SubjectHash, from: u64) -> u64 {
        let from = self.slot_from(from);
        let (index, places) = self.index();
        index.count_from(subject, hash, from, &places)
    }

    /// Calls `visit` with the live sequences from `from` on and their subjects, ascending, until it
    /// says so by returning false.
    pub fn visit_from(&mut self, from: u64, mut visit: impl FnMut(u64, &[u8]) -> bool) {
        let first = self.slot_from(from) as usize;
        let (mut start, mut piece): (usize, &[u8]) = (usize::MAX, &[]);
        for (slot, offset) in self.offsets.iter().enumerate().skip(first) {
            if *offset == NO_RECORD {
                continue;
            }
            let offset = (*offset & !VERIFIED) as usize;
            if offset < start || offset - start >= piece.len() {
                let Some(found) = self.content.piece_at(offset) else { return };
                (start, piece) = found;
            }
            let Some(subject) = piece.get(offset - start..).and_then(subject_of_record) else {
                return;
            };
            self.looked_at += 1;
            if !visit(self.base + slot as u64, subject) {
                return;
            }
        }
    }

    /// Whether so many records were looked at one by one that an index would have been cheaper.
    pub fn deserves_index(&self) -> bool {
        self.subjects.is_some() || self.looked_at > 2 * self.offsets.len()
    }

    /// The subject of a live sequence.
    pub fn subject_of(&self, seq: u64) -> Option<&[u8]> {
        self.content.subject_at(self.record_offset(seq)?)
    }
}

/// What indexing a block's bytes found wrong: live sequences that have no provable record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MissingRecords {
    pub sequences: Vec<u64>,
    /// Bytes of the records that are there.
    pub live_bytes: u64,
}

impl Block {
    /// Finds the records of the live sequences in the loaded bytes. Checksums are left to the
    /// first access of each record, unless the structure shows damage: then all are checked, and
    /// records behind the damage are searched for.
    pub fn index_loaded(&mut self) -> Option<MissingRecords> {
        let mut loaded = self.loaded.take()?;
        loaded.subjects = None;
        let sound = self.index_trusting(&mut loaded);
        let missing = if sound { None } else { Some(self.index_verifying(&mut loaded)) };
        self.loaded = Some(loaded);
        missing.filter(|missing| !missing.sequences.is_empty())
    }

    /// As [`Block::index_loaded`], with every checksum checked.
    pub fn index_loaded_verifying(&mut self) -> Option<MissingRecords> {
        let mut loaded = self.loaded.take()?;
        loaded.subjects = None;
        let missing = self.index_verifying(&mut loaded);
        self.loaded = Some(loaded);
        Some(missing).filter(|missing| !missing.sequences.is_empty())
    }

    fn reset_slots(&self, loaded: &mut Loaded) {
        loaded.base = self.first.seq;
        loaded.offsets.clear();
        if !self.is_empty() {
            let span = (self.last.seq - self.first.seq + 1).min(MAX_SPAN);
            loaded.offsets.resize(span as usize, NO_RECORD);
        }
    }

    fn index_trusting(&mut self, loaded: &mut Loaded) -> bool {
        self.reset_slots(loaded);
        self.marks.clear();
        let mut found = 0u64;
        let mut previous = 0u64;
        let mut offsets = std::mem::take(&mut loaded.offsets);
        let mut expected = loaded.start;
        let held = &loaded.content;
        let tail = (held.tail_start, &held.tail[..]);
        let segments = held.segments.iter().map(|(start, bytes)| (*start, &bytes[..]));
        let mut sound = true;
        'all: for (start, bytes) in segments.chain(std::iter::once(tail)) {
            if start != expected {
                sound = false;
                break;
            }
            let mut at = 0usize;
            while at < bytes.len() {
                let Ok(raw) = RawRecord::parse(&bytes[at..]) else {
                    sound = false;
                    break 'all;
                };
                if raw.kind == RecordKind::Message && raw.seq > previous {
                    previous = raw.seq;
                    self.marks.note((start + at) as u32, raw.seq);
                    if self.is_live(raw.seq)
                        && let Some(slot) = offsets.get_mut((raw.seq - self.first.seq) as usize)
                    {
                        found += 1;
                        *slot = (start + at) as u32;
                    }
                }
                at += raw.len;
            }
            expected = start + bytes.len();
        }
        loaded.offsets = offsets;
        let sound = sound && found == self.messages;
        if !sound {
            self.marks.clear();
        }
        sound
    }

    fn index_verifying(&mut self, loaded: &mut Loaded) -> MissingRecords {
        let content = loaded.contiguous();
        self.marks.clear();
        self.reset_slots(loaded);
        let mut missing = MissingRecords::default();
        let mut previous = 0u64;
        scan_verified(&content, &self.hash, &mut |item| {
            if let ScanItem::Record(at, record) = item
                && record.kind == RecordKind::Message
                && record.seq > previous
            {
                previous = record.seq;
                if self.is_live(record.seq)
                    && let Some(slot) =
                        loaded.offsets.get_mut((record.seq - self.first.seq) as usize)
                {
                    *slot = at as u32 | VERIFIED;
                    missing.live_bytes += record.len as u64;
                }
            }
        });
        let mut seq = self.first.seq;
        while let Some(live) = self.next_live(seq) {
            if !loaded.has_record(live) {
                missing.sequences.push(live);
                if missing.sequences.len() as u64 >= MAX_SPAN {
                    break;
                }
            }
            seq = live + 1;
        }
        missing
    }
}
