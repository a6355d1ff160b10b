//! A store whose block file holds anything, proper records among it, opens. It serves nothing that
//! was not written, its accounts agree with what it serves, and it is the same store when it is
//! opened again, with or without its index.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arbitrary::Arbitrary;
use jetstream::config::{StorageType, StoreCompression, StreamConfig};
use jetstream::disk::{Disk, OpenMode, SimDisk};
use jetstream::filestore::compression::compress_block;
use jetstream::filestore::record::{NamedHash, NewRecord, RecordKind};
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::filter::SubjectFilter;
use jetstream::store::{RandomSource, Store};
use jetstream::time::{DateTime, Timestamp};
use jetstream::types::StreamSequence;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Piece {
    Message { step: u8, subject: u8, payload: u8 },
    Skip { step: u8 },
    Tombstone { target: u8 },
    Garbage(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct Block {
    pieces: Vec<Piece>,
    compressed: bool,
    cut: Option<u16>,
    flips: Vec<(u16, u8)>,
}

#[derive(Debug, Arbitrary)]
struct Input {
    blocks: Vec<Block>,
    per_subject: bool,
}

struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

const DIR: &str = "/S";

fn open(disk: &SimDisk, config: &StreamConfig) -> FileStore {
    let created = DateTime::parse("2024-01-01T00:00:00Z").expect("a date");
    let options = FileStoreOptions::new(Arc::new(disk.clone()), DIR, created, Box::new(Zeros));
    let now = Timestamp::from_seconds(1_700_000_000);
    FileStore::open(options, config.clone(), now).expect("damage is no error")
}

type Messages = BTreeMap<u64, (Vec<u8>, Vec<u8>)>;

fn contents(store: &mut FileStore) -> Messages {
    let (mut all, mut start) = (Messages::new(), StreamSequence::ZERO);
    while let Some(message) = store.load_next(&SubjectFilter::All, start).expect("open").found() {
        start = message.sequence().next();
        let parts = (message.subject().to_vec(), message.payload().to_vec());
        all.insert(message.sequence().get(), parts);
    }
    store.check_invariants();
    let state = store.state();
    assert_eq!(state.messages, all.len() as u64);
    all
}

fuzz_target!(|input: Input| {
    let disk = SimDisk::new(1);
    disk.create_dir_all(&Path::new(DIR).join("msgs")).expect("a directory");
    let mut written: BTreeMap<u64, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut seq = 0u64;
    let blocks = &input.blocks[..input.blocks.len().min(4)];
    for (at, block) in blocks.iter().enumerate() {
        let number = at as u32 + 1;
        let hash = NamedHash::for_block("S", number);
        let mut data = Vec::new();
        for piece in &block.pieces {
            let mut record = NewRecord::skip(seq, 7);
            let (subject, payload);
            match piece {
                Piece::Garbage(bytes) => {
                    data.extend_from_slice(bytes);
                    continue;
                }
                Piece::Message { step, subject: name, payload: fill } => {
                    seq += u64::from(*step);
                    subject = vec![b'a' + name % 4];
                    payload = vec![*fill; usize::from(*fill)];
                    record.kind = RecordKind::Message;
                    record.seq = seq.max(1);
                    record.subject = &subject;
                    record.payload = &payload;
                    let all = [&subject[..], &payload[..]].concat();
                    written.entry(record.seq).or_default().insert(all);
                }
                Piece::Skip { step } => {
                    seq += u64::from(*step);
                    record.seq = seq;
                }
                Piece::Tombstone { target } => {
                    record = NewRecord::tombstone(u64::from(*target), 7);
                }
            }
            record.encode(&mut data, &hash).expect("short enough");
        }
        if block.compressed
            && let Ok(packed) = compress_block(&data)
        {
            data = packed;
        }
        for (place, mask) in block.flips.iter().take(8) {
            let len = data.len().max(1);
            if let Some(byte) = data.get_mut(usize::from(*place) % len) {
                *byte ^= mask;
            }
        }
        if let Some(cut) = block.cut {
            data.truncate(usize::from(cut));
        }
        let path = Path::new(DIR).join("msgs").join(format!("{number}.blk"));
        let file = disk.open(&path, OpenMode::CreateTruncate).expect("a file");
        file.write_at(&data, 0).expect("room");
    }
    disk.sync_all();
    let config = StreamConfig {
        name: "S".into(),
        subjects: vec![">".into()],
        storage: StorageType::File,
        compression: StoreCompression::S2,
        num_replicas: 1,
        max_msgs_per_subject: if input.per_subject { 1 } else { 0 },
        ..StreamConfig::default()
    };
    let mut store = open(&disk, &config);
    let found = contents(&mut store);
    for (seq, (subject, payload)) in &found {
        let all = [&subject[..], &payload[..]].concat();
        let known = written.get(seq).is_some_and(|known| known.contains(&all));
        assert!(known, "{seq} was not written");
    }
    let last = store.fast_state().last_seq;
    store.sync().expect("a disk");
    drop(store);
    let _ = disk.remove_file(&Path::new(DIR).join("msgs/index.db"));
    let mut store = open(&disk, &config);
    assert_eq!(contents(&mut store), found, "without its index");
    assert!(store.fast_state().last_seq >= last);
    store.stop(Timestamp::from_seconds(1_700_000_001)).expect("a disk");
    let mut store = open(&disk, &config);
    assert_eq!(contents(&mut store), found, "with its index");
    assert!(store.fast_state().last_seq >= last);
});
