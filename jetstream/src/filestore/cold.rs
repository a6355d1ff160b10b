//! Reading single records of blocks that are not loaded.
//!
//! Whoever reads here and there in a large stream, or replaces the values of a large key-value
//! stream, would otherwise load a whole block for each record. Every block that was once appended
//! to or loaded knows where some of its records begin ([`Marks`]); from the mark before a record to
//! the next one is read instead. Readers that go on in the same place load the block as before, and
//! so does every read that meets anything unexpected, for that is where damage is dealt with.

use bytes::Bytes;

use super::FileStore;
use super::block::Block;
use super::record::{RawRecord, RecordKind};
use crate::disk::{OpenMode, read_full_at};

/// Bytes between two marks, at least.
const SPACING: u32 = 16 << 10;
/// A read so many sequences behind the one before it, or fewer, goes on in the same place.
const NEAR: u64 = 64;
/// Single reads after which a block of a stream that fits into the cache is loaded.
const READS_BEFORE_LOADING: u32 = 32;

/// Where some records of a block begin: offset and sequence, both ascending.
#[derive(Debug, Default)]
pub(super) struct Marks {
    places: Vec<(u32, u64)>,
    /// The sequence read last by itself, and how many were.
    last_read: u64,
    reads: u32,
}

impl Marks {
    /// Notes a message record; records must be told in the order of their offsets.
    #[inline]
    pub fn note(&mut self, offset: u32, seq: u64) {
        match self.places.last() {
            Some((last, _)) if offset - last < SPACING => {}
            _ => self.places.push((offset, seq)),
        }
    }

    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// The offsets between which the record of a sequence begins; the second is open at the end.
    fn around(&self, seq: u64) -> Option<(u32, Option<u32>)> {
        let after = self.places.partition_point(|(_, marked)| *marked <= seq);
        let (start, _) = *self.places.get(after.checked_sub(1)?)?;
        Some((start, self.places.get(after).map(|(offset, _)| *offset)))
    }
}

/// A record that was read by itself, and proved.
pub(super) struct ColdRecord {
    pub raw: RawRecord,
    /// Its bytes up to the end of its payload.
    pub bytes: Bytes,
}

impl FileStore {
    /// Reads a live record without loading its block, if that is the cheaper way and all goes well.
    pub(super) fn read_cold(&mut self, position: usize, seq: u64) -> Option<ColdRecord> {
        let block = self.blocks.get(position)?;
        if block.loaded.is_some() || block.packed || block.pending() > 0 {
            return None;
        }
        let fits = self.fits_cache();
        let block = self.blocks.get_mut(position)?;
        let near = seq.wrapping_sub(block.marks.last_read) <= NEAR;
        block.marks.last_read = seq;
        block.marks.reads = block.marks.reads.saturating_add(1);
        if near || (fits && block.marks.reads > READS_BEFORE_LOADING) {
            block.marks.reads = 0;
            return None;
        }
        let block = &self.blocks[position];
        let (start, end) = block.marks.around(seq)?;
        let end = end.map_or(block.raw_len, u64::from);
        let mut piece = vec![0; usize::try_from(end.checked_sub(u64::from(start))?).ok()?];
        let path = self.paths.block(block.index);
        let read = match &block.file {
            Some(file) => read_full_at(file.as_ref(), &mut piece, u64::from(start)),
            None => {
                let file = self.disk.open(&path, OpenMode::Read).ok()?;
                read_full_at(file.as_ref(), &mut piece, u64::from(start))
            }
        };
        if read.ok()? != piece.len() {
            return None;
        }
        if let Some(key) = &block.key {
            key.apply_keystream(&mut piece, u64::from(start));
        }
        let (raw, at) = find(&piece, block, seq)?;
        let bytes = Bytes::from(piece).slice(at..at + raw.payload.end);
        Some(ColdRecord { raw, bytes })
    }

    /// Whether all blocks together could stay loaded.
    pub(super) fn fits_cache(&self) -> bool {
        let mut left = self.cache_bytes as u64;
        self.blocks.iter().all(|block| {
            let fits = block.raw_len <= left;
            left = left.saturating_sub(block.raw_len);
            fits
        })
    }
}

/// The record of a sequence in a piece of its block, proved.
fn find(piece: &[u8], block: &Block, seq: u64) -> Option<(RawRecord, usize)> {
    let mut at = 0;
    loop {
        let rest = piece.get(at..)?;
        let raw = RawRecord::parse(rest).ok()?;
        if raw.kind == RecordKind::Message && raw.seq == seq {
            raw.clone().verify(rest, &block.hash).ok()?;
            return Some((raw, at));
        }
        at += raw.len;
    }
}
