//! What a consumer costs: delivering and acknowledging, many filters, and many consumers.

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::config::{AckPolicy, ConsumerConfig, StorageType, StreamConfig};
use jetstream::consumer::ConsumerStore;
use jetstream::consumers::config::{ConsumerLimits, defaults};
use jetstream::consumers::{
    AckFormat, AlwaysInterested, Budget, Consumer, ConsumerContext, ConsumerEffect, FilterIndex,
    NewConsumer, Turn,
};
use jetstream::memstore::MemoryStore;
use jetstream::store::{NewMessage, Store};
use jetstream::time::Timestamp;
use jetstream::types::MessageTtl;
use std::hint::black_box;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MESSAGES: usize = 10_000;

fn stream_config() -> StreamConfig {
    StreamConfig {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        storage: StorageType::Memory,
        num_replicas: 1,
        ..StreamConfig::default()
    }
}

fn put(store: &mut MemoryStore, subject: &str) -> u64 {
    let message = NewMessage {
        subject: subject.as_bytes(),
        header: b"",
        payload: &[b'x'; 128],
        ttl: MessageTtl::Unset,
    };
    let stored = store.store_message(message, NOW).expect("no limit refuses");
    while let Some(effect) = store.poll_effect() {
        black_box(effect);
    }
    stored.sequence.get()
}

/// A stream with messages of these subjects in turn.
fn filled(subjects: &[String], messages: usize) -> MemoryStore {
    let mut store = MemoryStore::new(stream_config()).expect("memory storage");
    for n in 0..messages {
        put(&mut store, &subjects[n % subjects.len()]);
    }
    store
}

fn config(ack_policy: AckPolicy, filters: &[String]) -> ConsumerConfig {
    let mut config = ConsumerConfig {
        name: "worker".to_owned(),
        durable_name: "worker".to_owned(),
        ack_policy,
        max_ack_pending: if ack_policy == AckPolicy::None { 0 } else { -1 },
        filter_subjects: filters.to_vec(),
        ..ConsumerConfig::default()
    };
    let limits = ConsumerLimits::default();
    defaults::apply(&mut config, &stream_config(), &limits, false).expect("defaults");
    config
}

fn consumer(store: &mut MemoryStore, config: ConsumerConfig, seed: u64) -> Consumer {
    let context = ConsumerContext {
        account: "$G".to_owned(),
        domain: None,
        ack_format: AckFormat::V1,
        max_payload: 0,
    };
    let name = config.name.clone();
    let new = NewConsumer {
        created: NOW.to_date_time(),
        store: ConsumerStore::in_memory(&name, config).expect("a name"),
        name,
        context: Arc::new(context),
        seed,
        active: true,
        recovering: false,
    };
    let mut turn = Turn { store, interest: &AlwaysInterested, now: NOW };
    let mut consumer = Consumer::new(&mut turn, new).expect("a consumer");
    while consumer.poll_effect().is_some() {}
    consumer
}

/// Asks for everything, a thousand messages at a time; acknowledges what came.
fn drain(store: &mut MemoryStore, consumer: &mut Consumer, acknowledges: bool) -> usize {
    let mut turn = Turn { store, interest: &AlwaysInterested, now: NOW };
    let mut replies = Vec::new();
    let mut total = 0;
    loop {
        let body = br#"{"batch":1000,"no_wait":true}"#;
        consumer.pull(&mut turn, b"_INBOX.client.1", b"", body, None);
        while consumer.is_ready() {
            consumer.deliver(&mut turn, Budget::default());
            while let Some(effect) = consumer.poll_effect() {
                if let ConsumerEffect::Deliver(delivery) = effect {
                    black_box(delivery.payload());
                    replies.push(delivery.reply);
                }
            }
        }
        while consumer.poll_effect().is_some() {}
        if replies.is_empty() {
            return total;
        }
        total += replies.len();
        for reply in replies.drain(..) {
            if acknowledges {
                consumer.ack(&mut turn, &reply, b"", b"+ACK", None);
            }
        }
    }
}

fn delivering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deliver");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let one = vec!["orders.new".to_owned()];
    let thousand: Vec<String> = (0..1_000).map(|n| format!("orders.{n}")).collect();
    let wildcards: Vec<String> = (0..1_000).map(|n| format!("orders.{n}.*")).collect();
    let deep: Vec<String> = (0..1_000).map(|n| format!("orders.{n}.x")).collect();
    for (name, subjects, filters, policy) in [
        ("ack=none/filters=0", &one, &[][..], AckPolicy::None),
        ("ack=explicit/filters=0", &one, &[][..], AckPolicy::Explicit),
        ("ack=explicit/filters=0/subjects=1000", &thousand, &[][..], AckPolicy::Explicit),
        ("ack=explicit/filters=1", &one, &one[..], AckPolicy::Explicit),
        ("ack=explicit/filters=1000", &thousand, &thousand[..], AckPolicy::Explicit),
        ("ack=explicit/filters=1000/wildcards", &deep, &wildcards[..], AckPolicy::Explicit),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut store = filled(subjects, MESSAGES);
                    let consumer = consumer(&mut store, config(policy, filters), 1);
                    (store, consumer)
                },
                |(mut store, mut consumer)| {
                    let acknowledges = policy != AckPolicy::None;
                    let delivered = drain(&mut store, &mut consumer, acknowledges);
                    assert_eq!(delivered, MESSAGES);
                    (store, consumer)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// One message in a hundred of a backlog matches.
fn sparse(criterion: &mut Criterion) {
    const OTHERS: usize = 100;
    let mut group = criterion.benchmark_group("sparse");
    group.sample_size(10);
    group.throughput(Throughput::Elements((MESSAGES / OTHERS) as u64));
    let thousand: Vec<String> = (0..1_000).map(|n| format!("orders.{n}")).collect();
    for (name, filters) in [("filters=1", &thousand[7..8]), ("filters=1000", &thousand[..])] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut store = filled(&thousand, 0);
                    for n in 0..MESSAGES {
                        let matching = &filters[n / OTHERS % filters.len()];
                        put(&mut store, if n % OTHERS == 0 { matching } else { "others" });
                    }
                    let consumer = consumer(&mut store, config(AckPolicy::Explicit, filters), 1);
                    (store, consumer)
                },
                |(mut store, mut consumer)| {
                    let delivered = drain(&mut store, &mut consumer, true);
                    assert_eq!(delivered, MESSAGES / OTHERS);
                    (store, consumer)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What a consumer costs for each message its stream stores.
fn storing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stored");
    let thousand: Vec<String> = (0..1_000).map(|n| format!("orders.{n}")).collect();
    let wildcards: Vec<String> = (0..1_000).map(|n| format!("orders.{n}.*")).collect();
    let one = vec!["orders.7".to_owned()];
    for (name, filters) in [
        ("filters=0", &[][..]),
        ("filters=1", &one[..]),
        ("filters=1000", &thousand[..]),
        ("filters=1000/wildcards", &wildcards[..]),
    ] {
        for (kind, subject) in [("matching", "orders.7"), ("other", "orders.none.of.them")] {
            let mut store = filled(&one, 1);
            let mut consumer = consumer(&mut store, config(AckPolicy::Explicit, filters), 1);
            let mut sequence = 1;
            group.bench_function(format!("{name}/{kind}"), |bencher| {
                bencher.iter(|| {
                    sequence += 1;
                    consumer.stored(sequence.into(), black_box(subject.as_bytes()));
                });
            });
        }
    }
    group.finish();
}

/// A thousand consumers of one stream: each gets every message, or each its own.
fn many_consumers(criterion: &mut Criterion) {
    const CONSUMERS: usize = 1_000;
    let mut group = criterion.benchmark_group("consumers=1000");
    group.sample_size(10);
    for (name, filtered) in [("own_filter", true), ("unfiltered", false)] {
        let subjects: Vec<String> = (0..CONSUMERS).map(|n| format!("orders.{n}")).collect();
        let mut store = filled(&subjects, 0);
        let mut index = FilterIndex::new();
        let mut consumers: Vec<Consumer> = Vec::new();
        for (id, subject) in subjects.iter().enumerate() {
            let filters = if filtered { std::slice::from_ref(subject) } else { &[] };
            let consumer = consumer(&mut store, config(AckPolicy::Explicit, filters), id as u64);
            index.insert(id, consumer.config());
            consumers.push(consumer);
        }
        let mut n = 0;
        let mut matching = Vec::new();
        group.bench_function(format!("{name}/store_deliver_ack"), |bencher| {
            bencher.iter(|| {
                n += 1;
                let subject = &subjects[n % CONSUMERS];
                let sequence = put(&mut store, subject);
                index.matching(subject.as_bytes(), |id| matching.push(id));
                for id in matching.drain(..) {
                    let consumer = &mut consumers[id];
                    consumer.stored(sequence.into(), subject.as_bytes());
                    let mut turn =
                        Turn { store: &mut store, interest: &AlwaysInterested, now: NOW };
                    consumer.pull(&mut turn, b"_INBOX.client.1", b"", b"1", None);
                    consumer.deliver(&mut turn, Budget::default());
                    while let Some(effect) = consumer.poll_effect() {
                        if let ConsumerEffect::Deliver(delivery) = effect {
                            consumer.ack(&mut turn, &delivery.reply, b"", b"", None);
                        }
                    }
                }
            });
        });
    }
    group.finish();
}

/// Makes consumers and lets them lie. What each holds is told by the growth of the process: run it
/// alone (`-- idle`), so that no memory of other benches is used again.
fn idling(criterion: &mut Criterion) {
    let mut store = filled(&["orders.new".to_owned()], 1);
    let before = resident_bytes();
    let consumers: Vec<Consumer> =
        (0..20_000).map(|n| consumer(&mut store, config(AckPolicy::Explicit, &[]), n)).collect();
    let grown = resident_bytes().saturating_sub(before);
    println!("idle: {} bytes a consumer", grown / consumers.len() as u64);
    drop(consumers);
    let mut group = criterion.benchmark_group("idle");
    group.sample_size(10);
    group.bench_function("create/consumers=20000", |bencher| {
        bencher.iter_batched(
            || filled(&["orders.new".to_owned()], 1),
            |mut store| {
                let consumers: Vec<Consumer> = (0..20_000)
                    .map(|n| consumer(&mut store, config(AckPolicy::Explicit, &[]), n))
                    .collect();
                (store, consumers)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The memory of this process that is not swapped out.
fn resident_bytes() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages = status.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// All groups.
fn main_groups() {
    let mut criterion = Criterion::default().configure_from_args();
    delivering(&mut criterion);
    sparse(&mut criterion);
    storing(&mut criterion);
    many_consumers(&mut criterion);
    idling(&mut criterion);
}

criterion_main!(main_groups);
