//! The delivery path without sockets: match, choose, encode and stage for every subscriber.
//!
//! `fan_out/subs=N/size=S` is the cost of one published message with N subscribers; the bytes are
//! handed over to the egress queues every thousand messages, as after a read batch, and dropped.

#![allow(missing_docs)] // The functions that criterion's macros make have none.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eventloop::{
    Egress, Limits, Mailbox, Reactor, Slots, Staged, Stager, TcpStream, Token, WriteMode,
};
use nats_server::client::ClientShared;
use nats_server::config::options::Options;
use nats_server::delivery::{Fanout, Message, Origin};
use nats_server::logging::{ConnectionKind, ConnectionLabel, Logger};
use nats_server::server::Server;
use nats_server::subscription::{Destination, Subscription};
use nats_server::worker::Worker;
use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::sync::Arc;

const BATCH: usize = 1_000;

struct Setup {
    server: Arc<Server>,
    subscribers: Vec<Arc<Egress>>,
    /// Keeps the peers' sockets open.
    _peers: Vec<StdStream>,
}

fn setup(subs: usize, queue: Option<&[u8]>) -> Setup {
    let options = Arc::new(Options::with_defaults());
    let server = Server::new(options, Arc::new(Logger::new())).expect("a server");
    let mut reactor = Reactor::<Worker>::new(Arc::new(Slots::default())).expect("a poll");
    let mailbox: Arc<Mailbox> = reactor.core().mailbox().clone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut subscribers = Vec::new();
    let mut peers = Vec::new();
    for n in 0..subs {
        let peer = StdStream::connect(address).expect("connects");
        let (ours, from) = listener.accept().expect("accepts");
        ours.set_nonblocking(true).expect("nonblocking");
        let token = Token { key: n as u32, generation: 1 };
        let limits = Limits { max_pending_bytes: usize::MAX, write_deadline_ms: 10_000 };
        let socket = Arc::new(TcpStream::from_std(ours));
        let egress = Arc::new(Egress::new(socket, token, n as u32, mailbox.clone(), limits));
        egress.set_mode(WriteMode::Owner);
        subscribers.push(egress.clone());
        peers.push(peer);
        let client = Arc::new(client(&server, n as u64 + 10, from, egress));
        let to = Destination::Client(client.clone());
        let sub = Arc::new(Subscription::new(b"bench.subject", queue, b"1", to));
        client.remember(&sub);
        server.global_account().sublist.insert(sub).expect("a valid subject");
    }
    Setup { server, subscribers, _peers: peers }
}

fn client(server: &Arc<Server>, cid: u64, peer: SocketAddr, egress: Arc<Egress>) -> ClientShared {
    let label = ConnectionLabel::new(ConnectionKind::Client, peer, None, cid);
    ClientShared::new(server.clone(), cid, peer, egress, 0, label)
}

fn deliver(setup: &Setup, fanout: &mut Fanout, stager: &mut Stager, payload_crlf: &[u8]) {
    let digits = (payload_crlf.len() - 2).to_string();
    let mut tail = digits.clone().into_bytes();
    tail.extend_from_slice(b"\r\n");
    tail.extend_from_slice(payload_crlf);
    let origin = Origin::client(1, true);
    for _ in 0..BATCH {
        let message = Message {
            subject: b"bench.subject",
            reply: b"",
            header_len: 0,
            header_digits: b"",
            size_digits: digits.as_bytes(),
            payload_crlf,
            tail: Some(&tail),
        };
        let mut share = || bytes::Bytes::copy_from_slice(payload_crlf);
        fanout.deliver(stager, setup.server.global_account(), &origin, &message, &mut share);
    }
    stager.hand_over(0, None, |_, _| {});
    let mut taken = Staged::new();
    for egress in &setup.subscribers {
        let bytes = egress.take(&mut taken);
        taken.clear();
        egress.settle(bytes);
    }
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    for (subs, size) in [(1, 16), (10, 16), (100, 128), (10, 1024)] {
        let setup = setup(subs, None);
        let mut payload = vec![b'x'; size];
        payload.extend_from_slice(b"\r\n");
        let mut fanout = Fanout::new(7, false);
        let mut stager = Stager::new(None);
        group.throughput(Throughput::Elements((BATCH * subs) as u64));
        let name = format!("subs={subs}/size={size}");
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| deliver(&setup, &mut fanout, &mut stager, &payload));
        });
    }
    group.finish();
}

fn queue_group(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue_group");
    let setup = setup(4, Some(b"workers"));
    let mut fanout = Fanout::new(7, false);
    let mut stager = Stager::new(None);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("members=4/size=16", |b| {
        b.iter(|| deliver(&setup, &mut fanout, &mut stager, b"0123456789abcdef\r\n"));
    });
    group.finish();
}

criterion_group!(benches, fan_out, queue_group);
criterion_main!(benches);
