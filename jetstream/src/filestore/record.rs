//! The records of message blocks: encoding, parsing, checksums (spec 06, section 5.1).
//!
//! ```text
//! 0   4  u32 LE  total length; bit 31: a header section is present
//! 4   8  u64 LE  sequence; bit 63: erased or skipped, bit 62: tombstone
//! 12  8  i64 LE  timestamp, nanoseconds
//! 20  2  u16 LE  subject length S
//! 22  S          subject
//! ..  4  u32 LE  header length H   } only with bit 31
//! ..  H          header            }
//! ..  M          payload, the rest
//! -8  8          HighwayHash-64 over bytes 4..20, subject, header, payload
//! ```
//!
//! [`RawRecord`] is what the bytes say; it becomes a [`Record`] only by its checksum. The lengths
//! are not covered by the checksum, but the total length and the header bit decide which bytes are,
//! so that a wrong one shows as a wrong checksum. A wrong subject length (without a header) or
//! header length only moves a border between parts that are hashed together; the format cannot
//! show that.

use std::fmt;
use std::ops::Range;

use highway::{HighwayHash, HighwayHasher, Key};
use sha2::{Digest, Sha256};

/// Bytes before the subject.
pub const FIXED_LEN: usize = 22;
/// Bytes of the checksum.
pub const CHECKSUM_LEN: usize = 8;
/// Length of a record with neither subject, header nor payload: skips and tombstones.
pub const EMPTY_RECORD_LEN: usize = FIXED_LEN + CHECKSUM_LEN;
/// The longest record that is stored or believed, in bytes.
pub const MAX_RECORD_LEN: usize = 32 << 20;

const HEADER_BIT: u32 = 1 << 31;
const ERASED_BIT: u64 = 1 << 63;
const TOMBSTONE_BIT: u64 = 1 << 62;

/// The checksum of a record, or of a file.
pub type Checksum = [u8; CHECKSUM_LEN];

/// HighwayHash-64 under a key made of a name (spec 06, section 1).
#[derive(Clone)]
pub struct NamedHash {
    key: [u64; 4],
}

impl fmt::Debug for NamedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamedHash")
    }
}

impl NamedHash {
    /// The hash keyed with SHA-256 of `name`.
    pub fn new(name: &str) -> NamedHash {
        let digest = Sha256::digest(name.as_bytes());
        let mut key = [0u64; 4];
        for (word, bytes) in key.iter_mut().zip(digest.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        NamedHash { key }
    }

    /// The hash for the records of block `index` of a stream.
    pub fn for_block(stream: &str, index: u32) -> NamedHash {
        NamedHash::new(&format!("{stream}-{index}"))
    }

    fn hasher(&self) -> HighwayHasher {
        HighwayHasher::new(Key(self.key))
    }

    /// The checksum of one piece of data.
    pub fn sum(&self, data: &[u8]) -> Checksum {
        self.sum_parts(&[data])
    }

    /// The checksum of pieces that follow each other.
    pub fn sum_parts(&self, parts: &[&[u8]]) -> Checksum {
        // The hash takes one short piece faster than several, by more than copying costs.
        const TOGETHER: usize = 256;
        let mut hasher = self.hasher();
        if parts.len() > 1 && parts.iter().map(|part| part.len()).sum::<usize>() <= TOGETHER {
            let mut all = [0u8; TOGETHER];
            let mut len = 0;
            for part in parts {
                all[len..len + part.len()].copy_from_slice(part);
                len += part.len();
            }
            hasher.append(&all[..len]);
            return hasher.finalize64().to_le_bytes();
        }
        for part in parts {
            hasher.append(part);
        }
        hasher.finalize64().to_le_bytes()
    }
}

/// What a record is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A message.
    Message,
    /// A sequence without a message: skipped, or erased with its bytes randomised.
    Erased,
    /// The memory of a delete, or of the last sequence of an emptied stream.
    Tombstone,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the smallest record.
    TooShort,
    /// Lengths that contradict each other.
    Sanity,
    /// The record would end behind the data.
    Overrun,
    /// Everything fits, but the bytes are not those that were written.
    Checksum,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordError::TooShort => "record too short",
            RecordError::Sanity => "sanity check failed",
            RecordError::Overrun => "message overrun",
            RecordError::Checksum => "invalid checksum",
        })
    }
}

impl std::error::Error for RecordError {}

/// Where the parts of a record lie, before anyone looked at its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Sequence, without the marking bits.
    pub seq: u64,
    /// Message, erased or tombstone.
    pub kind: RecordKind,
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    /// Total length in bytes.
    pub len: usize,
    /// Subject, relative to the record's start.
    pub subject: Range<usize>,
    /// Header, relative to the record's start; empty when there is none.
    pub header: Range<usize>,
    /// Payload, relative to the record's start.
    pub payload: Range<usize>,
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl RawRecord {
    /// Reads the lengths of the record at the start of `data`.
    ///
    /// # Errors
    /// The way in which the bytes cannot be a record; never [`RecordError::Checksum`].
    #[inline]
    pub fn parse(data: &[u8]) -> Result<RawRecord, RecordError> {
        let fixed: &[u8; FIXED_LEN] = data.first_chunk().ok_or(RecordError::TooShort)?;
        let [l0, l1, l2, l3, rest @ ..] = fixed;
        let [s0, s1, s2, s3, s4, s5, s6, s7, rest @ ..] = rest;
        let [t0, t1, t2, t3, t4, t5, t6, t7, n0, n1] = rest;
        let raw_len = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let raw_seq = u64::from_le_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7]);
        let timestamp = i64::from_le_bytes([*t0, *t1, *t2, *t3, *t4, *t5, *t6, *t7]);
        let subject_len = usize::from(u16::from_le_bytes([*n0, *n1]));
        let has_header = raw_len & HEADER_BIT != 0;
        let len = (raw_len & !HEADER_BIT) as usize;
        if !(EMPTY_RECORD_LEN..=MAX_RECORD_LEN).contains(&len) {
            return Err(RecordError::Sanity);
        }
        let body_end = len - CHECKSUM_LEN;
        let subject_end = FIXED_LEN + subject_len;
        let header_start = subject_end + if has_header { 4 } else { 0 };
        if header_start > body_end {
            return Err(RecordError::Sanity);
        }
        if len > data.len() {
            return Err(RecordError::Overrun);
        }
        let header_len = if has_header {
            u32_at(data, subject_end).ok_or(RecordError::Sanity)? as usize
        } else {
            0
        };
        if header_len > body_end - header_start {
            return Err(RecordError::Sanity);
        }
        let header_end = header_start + header_len;
        let kind = if raw_seq & TOMBSTONE_BIT != 0 {
            RecordKind::Tombstone
        } else if raw_seq & ERASED_BIT != 0 || raw_seq == 0 {
            RecordKind::Erased
        } else {
            RecordKind::Message
        };
        Ok(RawRecord {
            seq: raw_seq & !(ERASED_BIT | TOMBSTONE_BIT),
            kind,
            timestamp,
            len,
            subject: FIXED_LEN..subject_end,
            header: header_start..header_end,
            payload: header_end..body_end,
        })
    }

    /// Proves the record by its checksum; `data` is what it was parsed from.
    ///
    /// # Errors
    /// [`RecordError::Checksum`], or [`RecordError::Overrun`] when `data` is other, shorter data.
    #[inline]
    pub fn verify(self, data: &[u8], hash: &NamedHash) -> Result<Record, RecordError> {
        let part = |range: &Range<usize>| data.get(range.clone()).ok_or(RecordError::Overrun);
        let computed = hash.sum_parts(&[
            part(&(4..20))?,
            part(&self.subject)?,
            part(&self.header)?,
            part(&self.payload)?,
        ]);
        let checksum = self.stored_checksum(data).ok_or(RecordError::Overrun)?;
        if computed == checksum {
            Ok(Record { raw: self, checksum })
        } else {
            Err(RecordError::Checksum)
        }
    }

    fn stored_checksum(&self, data: &[u8]) -> Option<Checksum> {
        data.get(self.len - CHECKSUM_LEN..self.len)?.try_into().ok()
    }
}

/// A record whose checksum was found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    raw: RawRecord,
    checksum: Checksum,
}

impl Record {
    /// Parses and proves the record at the start of `data`.
    ///
    /// # Errors
    /// Why the bytes are no record, or not the one that was written.
    pub fn read(data: &[u8], hash: &NamedHash) -> Result<Record, RecordError> {
        RawRecord::parse(data)?.verify(data, hash)
    }

    /// The checksum found in the record.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }
}

impl std::ops::Deref for Record {
    type Target = RawRecord;

    fn deref(&self) -> &RawRecord {
        &self.raw
    }
}

/// Stored size of a message in bytes, which is also what counts against a stream's limits.
/// An empty header is stored as none.
#[inline]
pub fn stored_len(subject: usize, header: usize, payload: usize) -> u64 {
    let header = if header == 0 { 0 } else { 4 + header as u64 };
    EMPTY_RECORD_LEN as u64 + subject as u64 + header + payload as u64
}

/// What is to be appended.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Sequence, without marking bits.
    pub seq: u64,
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    /// Message, skip or tombstone; the latter two have no further parts.
    pub kind: RecordKind,
    /// Subject; at most 65,535 bytes.
    pub subject: &'a [u8],
    /// Header block; empty for none.
    pub header: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

impl<'a> NewRecord<'a> {
    /// A tombstone for `seq`.
    pub fn tombstone(seq: u64, timestamp: i64) -> NewRecord<'a> {
        let kind = RecordKind::Tombstone;
        NewRecord { seq, timestamp, kind, subject: &[], header: &[], payload: &[] }
    }

    /// A skip that reserves everything up to `seq`.
    pub fn skip(seq: u64, timestamp: i64) -> NewRecord<'a> {
        let kind = RecordKind::Erased;
        NewRecord { seq, timestamp, kind, subject: &[], header: &[], payload: &[] }
    }

    /// Length in bytes when encoded.
    pub fn encoded_len(&self) -> u64 {
        stored_len(self.subject.len(), self.header.len(), self.payload.len())
    }

    /// Appends the record to `out` and returns its checksum; `None`, with `out` untouched, when
    /// it is longer than [`MAX_RECORD_LEN`] or its subject than 65,535 bytes.
    #[inline]
    pub fn encode(&self, out: &mut impl bytes::BufMut, hash: &NamedHash) -> Option<Checksum> {
        let len = self.encoded_len();
        if len > MAX_RECORD_LEN as u64 {
            return None;
        }
        let subject_len = u16::try_from(self.subject.len()).ok()?;
        let mut raw_len = u32::try_from(len).ok()?;
        if !self.header.is_empty() {
            raw_len |= HEADER_BIT;
        }
        let marks = match self.kind {
            RecordKind::Message => 0,
            RecordKind::Erased => ERASED_BIT,
            RecordKind::Tombstone => TOMBSTONE_BIT,
        };
        let mut fixed = [0u8; FIXED_LEN];
        fixed[0..4].copy_from_slice(&raw_len.to_le_bytes());
        fixed[4..12].copy_from_slice(&(self.seq | marks).to_le_bytes());
        fixed[12..20].copy_from_slice(&self.timestamp.to_le_bytes());
        fixed[20..22].copy_from_slice(&subject_len.to_le_bytes());
        let checksum = hash.sum_parts(&[&fixed[4..20], self.subject, self.header, self.payload]);
        out.put_slice(&fixed);
        out.put_slice(self.subject);
        if !self.header.is_empty() {
            out.put_u32_le(u32::try_from(self.header.len()).ok()?);
            out.put_slice(self.header);
        }
        out.put_slice(self.payload);
        out.put_slice(&checksum);
        Some(checksum)
    }
}

/// Overwrites a record of `len` bytes at the start of `data` with an erased one for `seq`: the
/// length stays, everything else is `filler`, drawn by the caller at random (spec 06, section 5.1,
/// "erased"). Returns whether `data` was long enough.
pub fn erase_in_place(
    data: &mut [u8],
    len: usize,
    seq: u64,
    hash: &NamedHash,
    filler: &mut dyn FnMut(&mut [u8]),
) -> bool {
    let Some(record) = data.get_mut(..len) else { return false };
    let (Ok(raw_len), true) = (u32::try_from(len), len >= EMPTY_RECORD_LEN) else { return false };
    record[0..4].copy_from_slice(&raw_len.to_le_bytes());
    record[4..12].copy_from_slice(&(seq | ERASED_BIT).to_le_bytes());
    record[12..FIXED_LEN].fill(0);
    let body_end = len - CHECKSUM_LEN;
    filler(&mut record[FIXED_LEN..body_end]);
    let checksum = hash.sum_parts(&[&record[4..20], &record[FIXED_LEN..body_end]]);
    record[body_end..].copy_from_slice(&checksum);
    true
}

/// Searches `data` from `from` on for the next provable record, as after damage: any offset may
/// be the start of one, and the checksum decides. `plausible` may reject sequences that cannot be
/// there before their checksum is computed.
pub fn find_next(
    data: &[u8],
    from: usize,
    hash: &NamedHash,
    plausible: &dyn Fn(&RawRecord) -> bool,
) -> Option<(usize, Record)> {
    // Lying lengths could make each offset hash megabytes; the work is therefore bounded by a
    // multiple of the data, beyond which only records of ordinary size are tried.
    let mut budget = (data.len() as u64).saturating_mul(64).saturating_add(1 << 20);
    for at in from..data.len().saturating_sub(EMPTY_RECORD_LEN - 1) {
        let rest = &data[at..];
        let Ok(raw) = RawRecord::parse(rest) else { continue };
        if !plausible(&raw) {
            continue;
        }
        let cost = raw.len as u64;
        if cost > budget && cost > 4096 {
            continue;
        }
        budget = budget.saturating_sub(cost);
        if let Ok(record) = raw.verify(rest, hash) {
            return Some((at, record));
        }
    }
    None
}

/// The last eight bytes of a block, as index files remember them.
pub fn trailing_checksum(data: &[u8]) -> Option<Checksum> {
    u64_at(data, data.len().checked_sub(CHECKSUM_LEN)?).map(u64::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TS: i64 = 1_700_000_000_000_000_000;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn message<'a>(seq: u64, header: &'a [u8]) -> NewRecord<'a> {
        NewRecord {
            seq,
            timestamp: TS,
            kind: RecordKind::Message,
            subject: b"foo",
            header,
            payload: b"hello",
        }
    }

    #[test]
    fn known_records_are_encoded_bit_for_bit() {
        let hash = NamedHash::for_block("TEST", 1);
        let cases: [(NewRecord<'_>, &str); 4] = [
            (
                message(1, b""),
                "26000000 0100000000000000 00002a36fe9c9717 0300 666f6f 68656c6c6f
                 8da3424d916143b5",
            ),
            (
                message(2, b"NATS/1.0\r\nA: b\r\n\r\n"),
                "3c000080 0200000000000000 00002a36fe9c9717 0300 666f6f 12000000
                 4e4154532f312e300d0a413a20620d0a0d0a 68656c6c6f 72fc85a0c98543f3",
            ),
            (
                NewRecord::tombstone(1, TS),
                "1e000000 0100000000000040 00002a36fe9c9717 0000 b9fb55455802a657",
            ),
            (
                NewRecord::skip(3, TS),
                "1e000000 0300000000000080 00002a36fe9c9717 0000 66fdc7ec46f712cd",
            ),
        ];
        for (record, expected) in cases {
            let mut out = Vec::new();
            record.encode(&mut out, &hash).unwrap();
            assert_eq!(out, hex(expected), "{record:?}");
            assert_eq!(out.len() as u64, record.encoded_len());
            let read = Record::read(&out, &hash).unwrap();
            assert_eq!((read.seq, read.kind, read.timestamp), (record.seq, record.kind, TS));
            assert_eq!(&out[read.subject.clone()], record.subject);
            assert_eq!(&out[read.header.clone()], record.header);
            assert_eq!(&out[read.payload.clone()], record.payload);
            assert_eq!(trailing_checksum(&out), Some(read.checksum()));
        }
    }

    #[test]
    fn stream_meta_sum_matches_known_answer() {
        let sum = NamedHash::new("TEST").sum(b"{}");
        let text: String = sum.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(text, "b4a729b397bd5b14");
    }

    #[test]
    fn every_flipped_bit_is_noticed_except_where_the_format_cannot() {
        let hash = NamedHash::for_block("TEST", 1);
        let mut good = Vec::new();
        message(2, b"NATS/1.0\r\nA: b\r\n\r\n").encode(&mut good, &hash).unwrap();
        // The header length only moves the border between header and payload, and the checksum
        // covers the two without their border: the one field nothing protects.
        let header_len = FIXED_LEN + 3..FIXED_LEN + 7;
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let noticed = Record::read(&bad, &hash).is_err();
            assert!(noticed || header_len.contains(&(bit / 8)), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(Record::read(&good[..cut], &hash).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn header_bit_without_a_header_is_no_record() {
        let hash = NamedHash::for_block("TEST", 1);
        let mut record = Vec::new();
        NewRecord::skip(1, TS).encode(&mut record, &hash).unwrap();
        record[3] |= 0x80;
        assert_eq!(Record::read(&record, &hash), Err(RecordError::Sanity));
        assert_eq!(RawRecord::parse(&record), Err(RecordError::Sanity));
        // It costs itself, not what is behind it.
        message(2, b"").encode(&mut record, &hash).unwrap();
        let (at, found) = find_next(&record, 0, &hash, &|_| true).unwrap();
        assert_eq!((at, found.seq), (EMPTY_RECORD_LEN, 2));
    }

    #[test]
    fn message_over_32_mib_is_refused() {
        let hash = NamedHash::for_block("TEST", 1);
        let payload = vec![0; MAX_RECORD_LEN - EMPTY_RECORD_LEN - 3];
        let mut record = message(1, b"");
        record.payload = &payload;
        assert!(record.encode(&mut Vec::new(), &hash).is_some());
        let payload = vec![0; MAX_RECORD_LEN - EMPTY_RECORD_LEN - 2];
        record.payload = &payload;
        let mut out = Vec::new();
        assert!(record.encode(&mut out, &hash).is_none());
        assert!(out.is_empty());
    }

    #[test]
    fn erased_record_keeps_its_length_and_none_of_its_bytes() {
        let hash = NamedHash::for_block("TEST", 1);
        let mut data = Vec::new();
        message(7, b"NATS/1.0\r\nA: b\r\n\r\n").encode(&mut data, &hash).unwrap();
        let len = data.len();
        assert!(erase_in_place(&mut data, len, 7, &hash, &mut |bytes| bytes.fill(0xAA)));
        let record = Record::read(&data, &hash).unwrap();
        assert_eq!((record.seq, record.kind, record.timestamp), (7, RecordKind::Erased, 0));
        assert_eq!(record.len, len);
        assert!(record.subject.is_empty());
        assert!(!data.windows(5).any(|w| w == b"hello"));
        assert!(!erase_in_place(&mut data, len + 1, 7, &hash, &mut |_| {}));
    }

    #[test]
    fn records_behind_damage_are_found() {
        let hash = NamedHash::for_block("TEST", 1);
        let mut data = Vec::new();
        for seq in 1..=3 {
            message(seq, b"").encode(&mut data, &hash).unwrap();
        }
        let len = data.len() / 3;
        data[len + 1] = 0xff;
        assert!(Record::read(&data[len..], &hash).is_err());
        let (at, record) = find_next(&data, len, &hash, &|_| true).unwrap();
        assert_eq!((at, record.seq), (2 * len, 3));
        assert!(find_next(&data, len, &hash, &|raw| raw.seq < 3).is_none());
    }
}
