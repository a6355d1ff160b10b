//! What a memory stream costs its users: storing, and finding the next message.

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::config::{StorageType, StreamConfig};
use jetstream::filter::SubjectFilter;
use jetstream::memstore::MemoryStore;
use jetstream::store::{Lookup, NewMessage, Store};
use jetstream::time::Timestamp;
use jetstream::types::{MessageTtl, StreamSequence};
use std::hint::black_box;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn store(config: StreamConfig) -> MemoryStore {
    let config = StreamConfig { storage: StorageType::Memory, ..config };
    MemoryStore::new(config).expect("memory storage")
}

fn put(store: &mut MemoryStore, subject: &str, payload: &[u8]) {
    let subject = subject.as_bytes();
    let message = NewMessage { subject, header: b"", payload, ttl: MessageTtl::Unset };
    store.store_message(message, NOW).expect("no limit refuses");
    while let Some(effect) = store.poll_effect() {
        black_box(effect);
    }
}

fn storing(criterion: &mut Criterion) {
    const MESSAGES: usize = 1_000_000;
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for count in [1, 1_000, 1_000_000] {
        let subjects: Vec<String> = (0..count).map(|n| format!("orders.region.{n}")).collect();
        group.bench_function(format!("subjects={count}/size=128"), |bencher| {
            bencher.iter_batched(
                || store(StreamConfig::default()),
                |mut store| {
                    for n in 0..MESSAGES {
                        put(&mut store, &subjects[n % count], &[b'x'; 128]);
                    }
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    let subjects: Vec<String> = (0..40_000).map(|n| format!("foo.{n}")).collect();
    group.throughput(Throughput::Elements(2 * subjects.len() as u64));
    group.bench_function("key_value/keys=40000/history=1", |bencher| {
        bencher.iter_batched(
            || store(StreamConfig { max_msgs_per_subject: 1, ..StreamConfig::default() }),
            |mut store| {
                for subject in subjects.iter().rev().chain(&subjects) {
                    put(&mut store, subject, b"");
                }
                store
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    let mut one = store(StreamConfig::default());
    for _ in 0..1_000_000 {
        put(&mut one, "orders", &[b'x'; 128]);
    }
    let mut at = 0;
    group.bench_function("by_sequence/messages=1000000", |bencher| {
        bencher.iter(|| {
            at = at % 1_000_000 + 1;
            black_box(one.load(StreamSequence::new(at)).expect("held"))
        });
    });
    for (name, filter, every) in [
        ("wildcard/every=10000", "foo.baz.*", 10_000),
        ("wildcard/every=100000", "foo.baz.*", 100_000),
        ("literal/every=100000", "foo.baz.0", 100_000),
    ] {
        let mut store = store(StreamConfig::default());
        for n in 0..10_000_000 {
            if n % every != 0 {
                put(&mut store, "foo.bar", b"ok");
            } else if filter.ends_with('*') {
                put(&mut store, &format!("foo.baz.{n}"), b"ok");
            } else {
                put(&mut store, filter, b"ok");
            }
        }
        let filter = SubjectFilter::new(filter);
        group.sample_size(10);
        group.bench_function(format!("all_by_{name}/messages=10000000"), |bencher| {
            bencher.iter(|| {
                let (mut start, mut count) = (StreamSequence::ZERO, 0);
                while let Ok(Lookup::Found(message)) = store.load_next(&filter, start) {
                    start = message.sequence().next();
                    count += 1;
                }
                assert_eq!(count, 10_000_000 / every);
            });
        });
    }
    group.finish();
}

fn counting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("num_pending");
    let mut store = store(StreamConfig::default());
    put(&mut store, "foo.bar.baz", b"abc");
    store.skip_many(StreamSequence::ZERO, 1_000_000, NOW).expect("room");
    put(&mut store, "foo.bar.baz", b"abc");
    let filter = SubjectFilter::new("foo.*.baz");
    for start in [400_000, 600_000] {
        group.bench_function(format!("gap=1000000/start={start}"), |bencher| {
            bencher.iter(|| {
                let pending = store.num_pending(StreamSequence::new(start), &filter, false);
                assert_eq!(pending.expect("open").total, 1);
            });
        });
    }
    group.finish();
}

mod groups {
    // The macro makes a function that cannot carry a doc comment.
    #![allow(missing_docs)]
    use super::{counting, loading, storing};
    criterion::criterion_group!(benches, storing, loading, counting);
}
criterion_main!(groups::benches);
