//! What a message costs on its way to a part of this server: matched, staged, handed over in
//! batches, received and looked at, on one thread.

#![allow(missing_docs)] // The functions that criterion's macros make have none.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eventloop::Stager;
use nats_server::config::options::Options;
use nats_server::delivery::{Fanout, Kind, Message, Origin};
use nats_server::internal::{Client, Inbox};
use nats_server::logging::Logger;
use nats_server::server::Server;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

const MESSAGES: usize = 1_000;

fn hand_over(c: &mut Criterion) {
    let options = Arc::new(Options::with_defaults());
    let server = Server::new(options, Arc::new(Logger::new())).expect("a server");
    let inbox = Inbox::new();
    let account = server.global_account();
    let client = Client::new(&server, Kind::JetStream, account, &inbox);
    client.subscribe(b"bench.>", None, 1).expect("a valid subject");
    let origin = Origin::client(u64::MAX, true);
    let mut group = c.benchmark_group("hand_over");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for (batch, size) in [(500, 128), (50, 128), (1, 128), (50, 1024)] {
        let mut payload = vec![b'x'; size];
        payload.extend_from_slice(b"\r\n");
        let digits = size.to_string();
        let (mut fanout, mut stager) = (Fanout::new(7, false), Stager::new(None));
        let mut batches = VecDeque::new();
        let mut round = || {
            for n in 0..MESSAGES {
                let message = Message {
                    subject: b"bench.subject",
                    reply: b"_INBOX.abcdefghijklm.1",
                    header_len: 0,
                    header_digits: b"",
                    size_digits: digits.as_bytes(),
                    payload_crlf: &payload,
                    tail: None,
                };
                let mut share = || bytes::Bytes::copy_from_slice(&payload);
                fanout.deliver(&mut stager, account, &origin, &message, &mut share);
                if n % batch == batch - 1 {
                    stager.hand_over(0, None, |_, _| {});
                }
            }
            inbox.receive(&mut batches, None);
            for batch in batches.drain(..) {
                batch.iter().for_each(|message| {
                    black_box((message.body, message.reply));
                });
                inbox.settle(batch);
            }
        };
        let name = format!("batch={batch}/size={size}");
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(&mut round));
    }
    group.finish();
}

criterion_group!(benches, hand_over);
criterion_main!(benches);
