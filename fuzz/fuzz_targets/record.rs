//! Any bytes are a record or none. What is read has its parts inside the bytes and is written again
//! as it was; what is written is read back, and any change of it is noticed or changes a border only.
#![no_main]

use arbitrary::Arbitrary;
use jetstream::filestore::record::{
    EMPTY_RECORD_LEN, NamedHash, NewRecord, Record, RecordKind, find_next,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    seq: u64,
    timestamp: i64,
    subject: &'a [u8],
    header: &'a [u8],
    payload: &'a [u8],
    flip: Option<(u16, u8)>,
    noise: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let hash = NamedHash::for_block("S", 1);
    if let Ok(record) = Record::read(input.noise, &hash) {
        assert!(record.payload.end <= input.noise.len());
    }
    let seq = (input.seq & !(3 << 62)).max(1);
    let subject = &input.subject[..input.subject.len().min(0xffff)];
    let record = NewRecord {
        seq,
        timestamp: input.timestamp,
        kind: RecordKind::Message,
        subject,
        header: input.header,
        payload: input.payload,
    };
    let mut bytes = input.noise.to_vec();
    let start = bytes.len();
    record.encode(&mut bytes, &hash).expect("short enough");
    let good = bytes[start..].to_vec();
    assert!(good.len() >= EMPTY_RECORD_LEN);
    let read = Record::read(&good, &hash).expect("just written");
    assert_eq!((read.seq, read.timestamp, read.len), (seq, input.timestamp, good.len()));
    assert_eq!(&good[read.subject.clone()], subject);
    assert_eq!(&good[read.header.clone()], input.header);
    assert_eq!(&good[read.payload.clone()], input.payload);
    // Whatever stands before it, the record is found, or one that ends no later than it.
    let (at, found) = find_next(&bytes, 0, &hash, &|_| true).expect("there is one");
    assert!(at <= start && at + found.len <= bytes.len());
    if let Some((at, mask)) = input.flip {
        let mut bad = good.clone();
        let at = usize::from(at) % bad.len();
        bad[at] ^= mask;
        if let Ok(other) = Record::read(&bad, &hash) {
            // The checksum covers the parts in a row, without where one ends and the next begins.
            let parts = |bytes: &[u8], record: &Record| {
                let mut all = bytes[4..20].to_vec();
                for part in [&record.subject, &record.header, &record.payload] {
                    all.extend_from_slice(&bytes[part.clone()]);
                }
                all
            };
            assert_eq!(parts(&bad, &other), parts(&good, &read));
        }
    }
});
