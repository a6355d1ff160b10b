//! What a file stream costs its users: storing, and making durable what was stored.
//!
//! `plain_file` writes the same bytes to a file in the same pieces, which is the best a store could
//! do; `checksummed` also computes the checksums the format asks for.

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::config::{AckPolicy, ConsumerConfig, StorageType, StreamConfig};
use jetstream::consumer::ConsumerStore;
use jetstream::consumer::files::ConsumerDirectory;
use jetstream::deletes::DeleteBlock;
use jetstream::disk::{Durability, RealDisk};
use jetstream::filestore::record::{NamedHash, NewRecord, RecordKind};
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::filter::SubjectFilter;
use jetstream::store::{NewMessage, RandomSource, Store};
use jetstream::time::{DateTime, Timestamp};
use jetstream::types::StreamSequence;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
    open_with(dir, 0, config)
}

fn open_with(dir: &Path, block_size: u64, config: StreamConfig) -> FileStore {
    let config = StreamConfig {
        name: "S".to_owned(),
        subjects: vec![">".to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        ..config
    };
    let created = DateTime::parse("2024-01-01T00:00:00Z").expect("a date");
    let mut options =
        FileStoreOptions::new(Arc::new(RealDisk), dir.join("S"), created, Box::new(Zeros));
    options.block_size = block_size;
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

/// A stream of messages with short payloads and these subjects, in order.
fn filled<S: AsRef<str>>(
    dir: &Path,
    block_size: u64,
    subjects: impl IntoIterator<Item = S>,
) -> FileStore {
    let mut store = open_with(dir, block_size, StreamConfig::default());
    for (number, subject) in subjects.into_iter().enumerate() {
        let subject = subject.as_ref().as_bytes();
        let message = NewMessage { subject, payload: b"ok", ..NewMessage::default() };
        let time = NOW.saturating_add(Duration::from_secs(number as u64));
        store.store_message(message, time).expect("no limit refuses");
        while let Some(effect) = store.poll_effect() {
            black_box(effect);
        }
    }
    store
}

fn searching(criterion: &mut Criterion) {
    const MANY: u64 = 1_000_000;
    let mut group = criterion.benchmark_group("load_next");
    group.sample_size(10);
    let mut search = |name: &str, store: &mut FileStore, filter: &str, start: u64, found: bool| {
        let filter = SubjectFilter::new(filter);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let next = store.load_next(&filter, StreamSequence::new(start)).expect("open");
                assert_eq!(black_box(next).found().is_some(), found);
            });
        });
    };
    let thousand = |number: u64| format!("foo.{}", number * 7919 % 1024);

    let scratch = tempfile::tempdir().expect("a directory");
    let names = (0..100_000).map(thousand).chain(["foo.2222".to_owned(), "foo.3333".to_owned()]);
    let mut store = filled(scratch.path(), 0, names);
    search("literal/subjects=1024/start=10", &mut store, "foo.2222", 10, true);
    search("filter_of_the_stream/start=10", &mut store, "foo.*", 10, true);

    let scratch = tempfile::tempdir().expect("a directory");
    let mut store = filled(scratch.path(), 8192, (0..MANY).map(|_| "foo.bar"));
    search("nothing/start=1", &mut store, "foo.baz", 1, false);
    search("nothing/start=10", &mut store, "foo.baz", 10, false);
    put(&mut store, "foo.baz");
    search("only_the_last/start=1", &mut store, "foo.baz", 1, true);
    search("only_the_last/start=10", &mut store, "foo.baz", 10, true);

    let scratch = tempfile::tempdir().expect("a directory");
    let ends = || std::iter::once("foo.baz");
    let names = ends().chain((0..MANY).map(|_| "foo.bar")).chain(ends());
    let mut store = filled(scratch.path(), 8192, names);
    search("first_and_last/start=2", &mut store, "foo.baz", 2, true);

    let scratch = tempfile::tempdir().expect("a directory");
    let names = (0..MANY).map(|number| format!("foo.{}.bar", number * 7919 % 100_000 + 2));
    let names = std::iter::once("foo.1.baz".to_owned()).chain(names);
    let mut store = filled(scratch.path(), 0, names);
    search("wildcard/nothing_behind/start=2", &mut store, "foo.*.baz", 2, false);
    put(&mut store, "foo.1.baz");
    search("wildcard/first_and_last/start=2", &mut store, "foo.*.baz", 2, true);
    search("wildcard/near_the_end", &mut store, "foo.*.baz", MANY - 10, true);
    group.finish();
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    let scratch = tempfile::tempdir().expect("a directory");
    let mut store = filled(scratch.path(), 128, (0..1000).map(|_| "a".repeat(90)));
    group.bench_function("first/blocks=1000", |bencher| {
        bencher.iter(|| black_box(store.load(StreamSequence::new(1)).expect("held")));
    });
    group.bench_function("subject/blocks=1000", |bencher| {
        let first = StreamSequence::new(1);
        bencher.iter(|| black_box(store.subject_for_sequence(first).expect("held")));
    });
    let scratch = tempfile::tempdir().expect("a directory");
    let mut store = filled(scratch.path(), 16, (0..4096).map(|_| "foo.bar"));
    for (name, second) in [("start", 0), ("middle", 2048), ("end", 4095)] {
        let time = NOW.saturating_add(Duration::from_secs(second));
        group.bench_function(format!("sequence_from_time/blocks=4096/{name}"), |bencher| {
            bencher.iter(|| black_box(store.sequence_from_time(time)));
        });
    }
    group.finish();
}

fn following_deletes(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("sync_deleted");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let mut run = 0;
    for (name, every) in [("all", 1), ("every_second", 2)] {
        group.bench_function(format!("{name}/messages={MESSAGES}"), |bencher| {
            bencher.iter_batched(
                || {
                    run += 1;
                    let dir = scratch.path().join(run.to_string());
                    let store = filled(&dir, 1 << 20, (0..MESSAGES).map(|_| "foo"));
                    let deleted = if every == 1 {
                        DeleteBlock::Range { first: 1, count: MESSAGES as u64 }
                    } else {
                        DeleteBlock::Set((1..=MESSAGES as u64).step_by(every).collect())
                    };
                    (store, [deleted])
                },
                |(mut store, deleted)| {
                    store.sync_deleted(&deleted).expect("a disk");
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn making_consumers(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("consumer");
    group.sample_size(10);
    let mut number = 0;
    for durability in [Durability::Synced, Durability::Lazy] {
        group.bench_function(format!("create_and_stop/{durability:?}"), |bencher| {
            bencher.iter(|| {
                number += 1;
                let name = format!("obs22_{number}");
                let directory = ConsumerDirectory {
                    disk: Arc::new(RealDisk),
                    path: scratch.path().join(&name),
                    stream: "S".to_owned(),
                    durability,
                    encryption: None,
                    random: Box::new(|buffer| buffer.fill(0)),
                };
                let created = DateTime::parse("2024-01-01T00:00:00Z").expect("a date");
                let config =
                    ConsumerConfig { ack_policy: AckPolicy::All, ..ConsumerConfig::default() };
                let mut store = ConsumerStore::in_files(directory, &name, created, config)
                    .expect("a new directory");
                store.stop(NOW).expect("a disk");
            });
        });
    }
    group.finish();
}

mod groups {
    // The macro makes a function that cannot carry a doc comment.
    #![allow(missing_docs)]
    use super::{
        appending, committing, following_deletes, keeping_one, loading, making_consumers, searching,
    };
    criterion::criterion_group!(
        benches,
        appending,
        committing,
        keeping_one,
        searching,
        loading,
        following_deletes,
        making_consumers
    );
}
criterion_main!(groups::benches);
