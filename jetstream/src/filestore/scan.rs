//! Walking the bytes of a block that may be damaged.
//!
//! Every record is proved by its checksum. Where one is not provable, the next provable record is
//! searched byte by byte, so that damage costs the records it hit and none behind them (the
//! reference cuts the block there, spec 06, sections 11.3 and 22).

use std::ops::Range;

use super::record::{NamedHash, Record, RecordKind, find_next};

/// What a walk comes upon.
#[derive(Debug)]
pub(super) enum ScanItem<'a> {
    /// A proved record at this offset.
    Record(usize, &'a Record),
    /// Bytes that are no record.
    Damage(Range<usize>),
}

/// Reports the records and the damage of `data` in the order of their offsets.
pub(super) fn scan_verified(data: &[u8], hash: &NamedHash, visit: &mut dyn FnMut(ScanItem<'_>)) {
    let mut at = 0usize;
    let mut previous = 0u64;
    while at < data.len() {
        let found = match Record::read(&data[at..], hash) {
            Ok(record) => Some((at, record)),
            // Old records that lie about in reused bytes have lower sequences than those before
            // the damage; only what continues the block is believed.
            Err(_) => find_next(data, at + 1, hash, &|raw| {
                raw.kind == RecordKind::Tombstone || raw.seq > previous
            }),
        };
        let Some((start, record)) = found else {
            visit(ScanItem::Damage(at..data.len()));
            return;
        };
        if start > at {
            visit(ScanItem::Damage(at..start));
        }
        if record.kind != RecordKind::Tombstone {
            previous = previous.max(record.seq);
        }
        visit(ScanItem::Record(start, &record));
        at = start + record.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filestore::record::NewRecord;

    fn block(hash: &NamedHash, sequences: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        let mut data = Vec::new();
        for seq in sequences {
            let record = NewRecord {
                seq,
                timestamp: seq as i64,
                kind: RecordKind::Message,
                subject: b"foo",
                header: b"",
                payload: b"payload",
            };
            record.encode(&mut data, hash).unwrap();
        }
        data
    }

    fn walk(data: &[u8], hash: &NamedHash) -> (Vec<u64>, Vec<Range<usize>>) {
        let (mut records, mut damage) = (Vec::new(), Vec::new());
        scan_verified(data, hash, &mut |item| match item {
            ScanItem::Record(_, record) => records.push(record.seq),
            ScanItem::Damage(range) => damage.push(range),
        });
        (records, damage)
    }

    #[test]
    fn any_damaged_byte_costs_one_record_at_most() {
        let hash = NamedHash::for_block("S", 1);
        let good = block(&hash, 1..=5);
        let len = good.len() / 5;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let (records, damage) = walk(&bad, &hash);
            let hit = (at / len) as u64 + 1;
            let expected: Vec<u64> = (1..=5).filter(|seq| *seq != hit).collect();
            if records.len() == 5 {
                // A border between subject and payload moved; the format cannot show it.
                assert!((20..22).contains(&(at % len)), "byte {at}");
                continue;
            }
            assert_eq!(records, expected, "byte {at}");
            let start = (hit as usize - 1) * len;
            assert_eq!(damage.len(), 1, "byte {at}");
            assert_eq!(damage[0], start..start + len, "byte {at}");
        }
    }

    #[test]
    fn cut_blocks_keep_their_whole_records() {
        let hash = NamedHash::for_block("S", 1);
        let good = block(&hash, 1..=3);
        let len = good.len() / 3;
        for cut in 0..good.len() {
            let (records, damage) = walk(&good[..cut], &hash);
            assert_eq!(records.len(), cut / len);
            assert_eq!(damage.is_empty(), cut % len == 0);
        }
    }
}
