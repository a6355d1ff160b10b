//! What a stream costs the publishers: a message from the subscription to its acknowledgement,
//! on a store in memory, so that the store's own cost is small.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::config::{StorageType, StreamConfig};
use jetstream::memstore::MemoryStore;
use jetstream::stream::config::{ConfigContext, validate};
use jetstream::stream::{Inbound, Stream, StreamContext};
use jetstream::time::Timestamp;
use std::hint::black_box;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MESSAGES: usize = 100_000;
/// Messages between two syncs, as a worker under load has them.
const GROUP: usize = 256;

fn stream(config: StreamConfig) -> Stream {
    let requested = StreamConfig {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        storage: StorageType::Memory,
        ..config
    };
    let config = validate(&requested, &ConfigContext::default()).expect("valid");
    let store = Box::new(MemoryStore::new(config.clone()).expect("memory storage"));
    Stream::new(config, NOW, store, StreamContext::default())
}

fn publish_all(mut stream: Stream, messages: &[Inbound]) -> Stream {
    for group in messages.chunks(GROUP) {
        for message in group {
            black_box(stream.publish(message.clone(), NOW));
        }
        stream.sync().expect("in memory");
        while let Some(effect) = stream.poll_effect() {
            black_box(effect);
        }
    }
    stream
}

fn messages(header: impl Fn(usize) -> String) -> Vec<Inbound> {
    let payload = Bytes::from(vec![b'x'; 128]);
    (0..MESSAGES)
        .map(|number| Inbound {
            subject: Bytes::from(format!("orders.region.{}", number % 100)),
            reply: Bytes::from_static(b"_INBOX.abcdefghijklmnopqrstuv.12345678"),
            header: Bytes::from(header(number)),
            payload: payload.clone(),
            ..Inbound::default()
        })
        .collect()
}

fn publishing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let plain = messages(|_| String::new());
    let with_id = messages(|number| format!("NATS/1.0\r\nNats-Msg-Id: order-{number}\r\n\r\n"));
    let expecting =
        messages(|number| format!("NATS/1.0\r\nNats-Expected-Last-Sequence: {number}\r\n\r\n"));
    for (name, messages) in
        [("plain", &plain), ("message_id", &with_id), ("expected_last_sequence", &expecting)]
    {
        group.bench_function(format!("{name}/size=128"), |bencher| {
            bencher.iter_batched(
                || stream(StreamConfig::default()),
                |stream| publish_all(stream, messages),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

mod groups {
    // The macro makes a function that cannot carry a doc comment.
    #![allow(missing_docs)]
    use super::publishing;
    criterion::criterion_group!(benches, publishing);
}
criterion_main!(groups::benches);
