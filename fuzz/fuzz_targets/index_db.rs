//! Any bytes are an index file or none; what is read is written and read back unchanged. An index
//! whose checksum is right and that lies beside a block is found out or costs no more than answers:
//! nothing is served that was not stored.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use jetstream::config::{StorageType, StreamConfig};
use jetstream::disk::{Disk, OpenMode, SimDisk};
use jetstream::filestore::index_db::IndexFile;
use jetstream::filestore::record::{NamedHash, NewRecord, RecordKind};
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::filter::SubjectFilter;
use jetstream::store::{RandomSource, Store};
use jetstream::time::{DateTime, Timestamp};
use jetstream::types::StreamSequence;
use libfuzzer_sys::fuzz_target;

struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn write(disk: &SimDisk, name: &str, content: &[u8]) {
    let path = Path::new("/S/msgs").join(name);
    let file = disk.open(&path, OpenMode::CreateTruncate).expect("a file");
    file.write_at(content, 0).expect("room");
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = IndexFile::decode(bytes) {
        assert_eq!(IndexFile::decode(&index.encode()), Ok(index));
    }
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/S/msgs")).expect("a directory");
    for number in 1..=2u32 {
        let hash = NamedHash::for_block("S", number);
        let mut data = Vec::new();
        for seq in u64::from(number) * 3 - 2..=u64::from(number) * 3 {
            let record = NewRecord {
                seq,
                timestamp: 7,
                kind: RecordKind::Message,
                subject: b"a",
                header: b"",
                payload: b"payload",
            };
            record.encode(&mut data, &hash).expect("short enough");
        }
        write(&disk, &format!("{number}.blk"), &data);
    }
    let mut file = bytes.to_vec();
    file.extend_from_slice(&NamedHash::new("S").sum(bytes));
    write(&disk, "index.db", &file);
    disk.sync_all();
    let created = DateTime::parse("2024-01-01T00:00:00Z").expect("a date");
    let options = FileStoreOptions::new(Arc::new(disk), "/S", created, Box::new(Zeros));
    let now = Timestamp::from_seconds(1_700_000_000);
    let config = StreamConfig {
        name: "S".into(),
        subjects: vec![">".into()],
        storage: StorageType::File,
        num_replicas: 1,
        ..StreamConfig::default()
    };
    let mut store = FileStore::open(options, config, now).expect("damage is no error");
    let mut start = StreamSequence::ZERO;
    while let Some(message) = store.load_next(&SubjectFilter::All, start).expect("open").found() {
        start = message.sequence().next();
        assert!((1..=6).contains(&message.sequence().get()));
        assert_eq!((message.subject(), message.payload()), (&b"a"[..], &b"payload"[..]));
    }
    let _ = store.load_last(&SubjectFilter::new("a"));
    let _ = store.subjects_state(&SubjectFilter::All).expect("open");
    let _ = store.state();
    let _ = store.stop(now);
});
