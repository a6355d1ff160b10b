//! What a file stream costs its users: storing, and making durable what was stored.
//!
//! `plain_file` writes the same bytes to a file in the same pieces, which is the best a store could
//! do; `checksummed` also computes the checksums the format asks for.

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::config::{StorageType, StreamConfig};
use jetstream::disk::RealDisk;
use jetstream::filestore::record::{NamedHash, NewRecord, RecordKind};
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::store::{NewMessage, RandomSource, Store};
use jetstream::time::{DateTime, Timestamp};
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MESSAGES: usize = 200_000;
const PAYLOAD: [u8; 128] = [b'x'; 128];

#[derive(Debug)]
struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn open(dir: &Path, config: StreamConfig) -> FileStore {
    let config = StreamConfig {
        name: "S".to_owned(),
        subjects: vec![">".to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        ..config
    };
    let created = DateTime::parse("2024-01-01T00:00:00Z").expect("a date");
    let options =
        FileStoreOptions::new(Arc::new(RealDisk), dir.join("S"), created, Box::new(Zeros));
    FileStore::open(options, config, NOW).expect("a new directory")
}

fn put(store: &mut FileStore, subject: &str) {
    let message =
        NewMessage { subject: subject.as_bytes(), payload: &PAYLOAD, ..NewMessage::default() };
    store.store_message(message, NOW).expect("no limit refuses");
    while let Some(effect) = store.poll_effect() {
        black_box(effect);
    }
}

fn appending(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let mut run = 0;
    for (count, synced) in [(1, false), (1_000, false), (200_000, false), (1_000, true)] {
        let subjects: Vec<String> = (0..count).map(|n| format!("orders.region.{n}")).collect();
        group.bench_function(format!("subjects={count}/size=128/synced={synced}"), |bencher| {
            bencher.iter_batched(
                || {
                    run += 1;
                    open(&scratch.path().join(run.to_string()), StreamConfig::default())
                },
                |mut store| {
                    for n in 0..MESSAGES {
                        put(&mut store, &subjects[n % count]);
                    }
                    let done = if synced { store.sync().map(|_| ()) } else { store.flush() };
                    done.expect("room on the disk");
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    for (name, hashed, synced) in
        [("plain_file", false, false), ("checksummed", true, false), ("plain_file", false, true)]
    {
        let hash = NamedHash::for_block("S", 1);
        let record = NewRecord {
            seq: 1,
            timestamp: 1,
            kind: RecordKind::Message,
            subject: b"orders.region.123",
            header: b"",
            payload: &PAYLOAD,
        };
        let mut encoded = Vec::new();
        record.encode(&mut encoded, &hash).expect("short");
        group.bench_function(format!("{name}/size=128/synced={synced}"), |bencher| {
            bencher.iter_batched(
                || {
                    run += 1;
                    File::create(scratch.path().join(format!("{run}.plain"))).expect("a file")
                },
                |mut file| {
                    let mut piece = Vec::with_capacity(300 << 10);
                    for _ in 0..MESSAGES {
                        if hashed {
                            record.encode(&mut piece, &hash).expect("short");
                        } else {
                            piece.extend_from_slice(black_box(&encoded));
                        }
                        if piece.len() >= 256 << 10 {
                            file.write_all(&piece).expect("room on the disk");
                            piece.clear();
                        }
                    }
                    file.write_all(&piece).expect("room on the disk");
                    if synced {
                        file.sync_data().expect("a disk");
                    }
                    file
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn committing(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("commit");
    let mut store = open(scratch.path(), StreamConfig::default());
    for count in [1, 1_000] {
        group.throughput(Throughput::Elements(count));
        group.sample_size(20);
        group.bench_function(format!("messages={count}/size=128"), |bencher| {
            bencher.iter(|| {
                for _ in 0..count {
                    put(&mut store, "orders");
                }
                black_box(store.sync().expect("a disk"))
            });
        });
    }
    group.finish();
}

fn keeping_one(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("key_value");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let subjects: Vec<String> = (0..40_000).map(|n| format!("foo.{n}")).collect();
    let mut run = 0;
    group.bench_function("keys=40000/history=1/size=128", |bencher| {
        bencher.iter_batched(
            || {
                run += 1;
                let config = StreamConfig { max_msgs_per_subject: 1, ..StreamConfig::default() };
                open(&scratch.path().join(run.to_string()), config)
            },
            |mut store| {
                for n in 0..MESSAGES {
                    put(&mut store, &subjects[n * 7919 % subjects.len()]);
                }
                store.flush().expect("room on the disk");
                store
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

mod groups {
    // The macro makes a function that cannot carry a doc comment.
    #![allow(missing_docs)]
    use super::{appending, committing, keeping_one};
    criterion::criterion_group!(benches, appending, committing, keeping_one);
}
criterion_main!(groups::benches);
