//! Making a block's accounting from its bytes (spec 06, sections 5.2 and 11.3).

use hashbrown::HashMap;

use super::block::{Block, MAX_SPAN, Mark, PriorTombstones};
use super::record::{EMPTY_RECORD_LEN, NamedHash, Record, RecordKind};
use super::scan::ScanItem;
use crate::headers;
use crate::types::MessageTtl;

/// A tombstone as it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tombstone {
    pub seq: u64,
    pub timestamp: i64,
    /// Number of the block it lies in.
    pub block: u32,
}

/// What reading all blocks gave, beyond the blocks.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub tombstones: Vec<Tombstone>,
    /// The highest sequence any record tells of.
    pub last: Mark,
    pub lost_bytes: u64,
    /// First and last of sequences that may be lost: what a damaged place can have held.
    pub lost_ranges: Vec<(u64, u64)>,
    /// A block ended in this many damaged bytes behind this sequence; what follows it will tell
    /// which sequences they held.
    pub open_damage: Option<(u64, u64)>,
}

impl Findings {
    /// Notes `bytes` of damage between two sequences that are there.
    pub fn damage_between(&mut self, before: u64, after: u64, bytes: u64) {
        let count = after.saturating_sub(before).saturating_sub(1);
        // More sequences than records fit the place were a gap before it was damaged.
        if count > 0 && count <= bytes / EMPTY_RECORD_LEN as u64 {
            self.lost_ranges.push((before + 1, after - 1));
        }
    }

    fn note_last(&mut self, mark: Mark) {
        if mark.seq > self.last.seq || (mark.seq == self.last.seq && mark.timestamp != 0) {
            self.last = mark;
        }
    }
}

/// Reads one block, record by record.
#[derive(Debug)]
pub(super) struct BlockScan<'a> {
    data: &'a [u8],
    pub block: Block,
    /// Subjects with their messages.
    pub subjects: HashMap<&'a [u8], u64, ahash::RandomState>,
    pub records: u64,
    pub damaged_bytes: u64,
    /// Highest sequence of this block's records and of the blocks before.
    previous: u64,
    damage_here: u64,
    first_in_file: Option<u64>,
    lowest_tombstones: PriorTombstones,
}

impl<'a> BlockScan<'a> {
    pub fn new(data: &'a [u8], index: u32, hash: NamedHash, before: Mark) -> BlockScan<'a> {
        BlockScan {
            data,
            block: Block::new(index, hash, None, before),
            subjects: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            records: 0,
            damaged_bytes: 0,
            previous: before.seq,
            damage_here: 0,
            first_in_file: None,
            lowest_tombstones: PriorTombstones::None,
        }
    }

    pub fn take(&mut self, item: ScanItem<'_>, findings: &mut Findings) {
        match item {
            ScanItem::Damage(range) => {
                self.damage_here += range.len() as u64;
                self.damaged_bytes += range.len() as u64;
            }
            ScanItem::Record(at, record) => {
                self.records += 1;
                match record.kind {
                    RecordKind::Tombstone => self.tombstone(record, findings),
                    RecordKind::Erased if record.seq == 0 => {}
                    _ => self.sequence(at, record, findings),
                }
            }
        }
    }

    fn tombstone(&mut self, record: &Record, findings: &mut Findings) {
        let (seq, timestamp, block) = (record.seq, record.timestamp, self.block.index);
        findings.tombstones.push(Tombstone { seq, timestamp, block });
        self.lowest_tombstones.add(record.seq);
        self.block.told = self.block.told.max(record.seq);
        findings.note_last(Mark { seq: record.seq, timestamp: record.timestamp });
    }

    fn sequence(&mut self, at: usize, record: &Record, findings: &mut Findings) {
        let seq = record.seq;
        if seq <= self.previous {
            return;
        }
        if !self.block.is_empty() && seq - self.block.first.seq >= MAX_SPAN {
            // No writer spreads a block so far; believing it would cost memory without bound.
            self.damaged_bytes += record.len as u64;
            return;
        }
        if let Some((before, bytes)) = findings.open_damage.take() {
            self.damage_here += bytes;
            findings.damage_between(before, seq, self.damage_here);
        } else if self.damage_here > 0 {
            findings.damage_between(self.previous, seq, self.damage_here);
        }
        self.damage_here = 0;
        self.previous = seq;
        self.first_in_file.get_or_insert(seq);
        let timestamp =
            if record.timestamp == 0 { self.block.last.timestamp } else { record.timestamp };
        let mark = Mark { seq, timestamp };
        findings.note_last(mark);
        self.block.told = self.block.told.max(seq);
        let is_message = record.kind == RecordKind::Message;
        let block = &mut self.block;
        if block.is_empty() {
            block.last = mark;
            block.set_empty();
            if is_message {
                block.first = mark;
            }
        } else {
            let gap_end = if is_message { seq - 1 } else { seq };
            if gap_end > block.last.seq {
                block.deleted.insert_range(block.last.seq + 1..=gap_end);
            }
            block.last = mark;
        }
        if is_message {
            block.messages += 1;
            block.bytes += record.len as u64;
            self.parts(at, record);
        }
    }

    fn parts(&mut self, at: usize, record: &Record) {
        let data = self.data;
        let Some(bytes) = data.get(at..) else { return };
        if let Some(header) = bytes.get(record.header.clone()).filter(|h| !h.is_empty()) {
            if matches!(MessageTtl::of_header(header), Ok(MessageTtl::Seconds(_))) {
                self.block.ttls += 1;
            }
            if headers::has_value(header, headers::SCHEDULE) {
                self.block.schedules += 1;
            }
        }
        if let Some(subject) = bytes.get(record.subject.clone()).filter(|s| !s.is_empty()) {
            *self.subjects.entry(subject).or_default() += 1;
        }
    }

    /// So many bytes behind the last record could not be decompressed.
    pub fn cut_off(&mut self, bytes: u64) {
        self.damage_here += bytes;
        self.damaged_bytes += bytes;
    }

    /// Ends the block. Damage at its end is left to the blocks behind it to be named.
    pub fn finish(&mut self, findings: &mut Findings) {
        if self.damage_here > 0 {
            let (before, bytes) = findings.open_damage.unwrap_or((self.previous, 0));
            findings.open_damage = Some((before, bytes + self.damage_here));
        }
        findings.lost_bytes += self.damaged_bytes;
        if let Some(first) = self.first_in_file {
            self.block.file_first = first;
        }
        self.block.prior_tombstones = match self.lowest_tombstones {
            PriorTombstones::Within(low, high) if low < self.block.file_first => {
                PriorTombstones::Within(low, high.min(self.block.file_first - 1))
            }
            _ => PriorTombstones::None,
        };
    }
}
