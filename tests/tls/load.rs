//! Many encrypted connections, large payloads, and certificates replaced while they are in use.

use crate::certificates::{Authority, Pair};
use crate::support::{Server, wait_until};
use crate::wire::{Secure, Setup};
use nats_server::config::options::Options;
use nats_server::config::options::listen::Port;
use nats_server::config::options::tls::{CertificatePair, TlsOptions};
use nats_server::logging::{LogOptions, Logger};
use nats_server::tls::ServerTls;
use std::io::Write;
use std::sync::Arc;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
}

#[test]
fn payloads_of_any_size_go_both_ways() {
    let authority = Authority::new();
    let files = authority.server_config();
    let server = Server::start(&format!("max_payload: 8MB\ntls {{ {files} }}"));
    for version in [&eventloop::rustls::version::TLS12, &eventloop::rustls::version::TLS13] {
        let mut setup = Setup::new(&authority);
        setup.versions = vec![version];
        let mut sub = Secure::client(server.address(), &setup);
        sub.send("SUB foo 1\r\n");
        sub.sync();
        let sizes = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 200_000, 1 << 20, 8_000_000];
        let publisher = std::thread::spawn({
            let (setup, address) = (setup.clone(), server.address());
            move || {
                let mut publisher = Secure::client(address, &setup);
                for size in sizes {
                    publisher.send(format!("PUB foo {size}\r\n"));
                    publisher.send(pattern(size));
                    publisher.send("\r\n");
                }
                publisher.sync();
            }
        });
        for size in sizes {
            let mut want = format!("MSG foo 1 {size}\r\n").into_bytes();
            want.extend_from_slice(&pattern(size));
            want.extend_from_slice(b"\r\n");
            sub.expect(want);
        }
        publisher.join().unwrap();
    }
}

#[test]
fn small_messages_keep_their_order_through_plain_and_encrypted_connections() {
    const MESSAGES: usize = 20_000;
    let authority = Authority::new();
    let files = authority.server_config();
    let server = Server::start(&format!("allow_non_tls: true\ntls {{ {files} }}"));
    let setup = Setup::new(&authority);
    let mut secure = Secure::client(server.address(), &setup);
    let mut plain = server.client("");
    secure.send("SUB foo 1\r\n");
    secure.sync();
    plain.send("SUB foo 1\r\n");
    plain.sync();
    let publisher = std::thread::spawn({
        let address = server.address();
        move || {
            let mut publisher = Secure::client(address, &setup);
            let mut batch = Vec::new();
            for n in 0..MESSAGES {
                write!(batch, "PUB foo 8\r\n{n:08}\r\n").unwrap();
                if batch.len() > 10_000 {
                    publisher.send(&batch);
                    batch.clear();
                }
            }
            publisher.send(&batch);
            publisher.sync();
        }
    });
    let reader = std::thread::spawn(move || {
        for n in 0..MESSAGES {
            plain.expect(format!("MSG foo 1 8\r\n{n:08}\r\n"));
        }
    });
    for n in 0..MESSAGES {
        secure.expect(format!("MSG foo 1 8\r\n{n:08}\r\n"));
    }
    reader.join().unwrap();
    publisher.join().unwrap();
}

#[test]
fn hundreds_of_clients_connect_at_once() {
    const THREADS: usize = 8;
    const EACH: usize = 40;
    let authority = Authority::new();
    let files = authority.server_config();
    let server = Server::start(&format!("tls {{ {files}, timeout: 15 }}"));
    let setup = Setup::new(&authority);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (setup, address) = (setup.clone(), server.address());
            std::thread::spawn(move || {
                let mut all: Vec<_> = (0..EACH).map(|_| Secure::client(address, &setup)).collect();
                for client in &mut all {
                    client.send("SUB foo 1\r\n");
                    client.sync();
                }
                all
            })
        })
        .collect();
    let mut all: Vec<Secure> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let mut publisher = Secure::client(server.address(), &setup);
    publisher.send("PUB foo 2\r\nhi\r\n");
    for client in &mut all {
        client.expect("MSG foo 1 2\r\nhi\r\n");
    }
    publisher.sync();
}

#[test]
fn a_reader_that_stops_is_a_slow_consumer_over_tls_too() {
    let authority = Authority::new();
    let files = authority.server_config();
    let server =
        Server::start(&format!("max_pending: 4MB\nhttp: \"127.0.0.1:-1\"\ntls {{ {files} }}"));
    let setup = Setup::new(&authority);
    let mut slow = Secure::client(server.address(), &setup);
    slow.send("SUB foo 1\r\n");
    slow.sync();
    let mut publisher = Secure::client(server.address(), &setup);
    let payload = pattern(100_000);
    wait_until("the slow consumer is closed", || {
        publisher.send("PUB foo 100000\r\n");
        publisher.send(&payload);
        publisher.send("\r\n");
        let varz = server.monitor("/varz");
        (varz["slow_consumers"] == 1).then_some(())
    });
    publisher.sync();
    drop(slow);
}

fn tls_options(pair: &Pair) -> TlsOptions {
    let pair = CertificatePair {
        chain: pair.chain.clone().into_bytes(),
        key: pair.key.clone().into(),
        ..CertificatePair::default()
    };
    TlsOptions { certificates: vec![pair], ..TlsOptions::default() }
}

#[test]
fn certificates_are_replaced_under_live_clients() {
    let (before, after) = (Authority::new(), Authority::new());
    let mut options = Options {
        host: "127.0.0.1".to_owned(),
        port: Port::RANDOM,
        tls: Some(tls_options(&before.server("localhost"))),
        ..Options::default()
    };
    options.set_baseline();
    let log = Arc::new(Logger::new());
    log.configure(&LogOptions { no_log: true, ..LogOptions::default() }).unwrap();
    let server = nats_server::server::Server::new(Arc::new(options), log).unwrap();
    server.start().unwrap();
    let address = server.address().unwrap();
    let (old, new) = (Setup::new(&before), Setup::new(&after));
    let mut live = Secure::client(address, &old);
    live.send("SUB foo 1\r\n");
    live.sync();
    // A handshake that has begun ends with what it began with.
    let mut begun = crate::wire::open(address);
    crate::wire::plain_line(&mut begun);
    let replacement = ServerTls::new(&tls_options(&after.server("localhost"))).unwrap();
    server.replace_tls(Some(Arc::new(replacement)));
    let mut begun = Secure::upgrade(begun, &old).unwrap();
    begun.try_greet("").unwrap();
    assert!(Secure::try_connect(address, &old).is_err());
    let mut fresh = Secure::client(address, &new);
    for publisher in [&mut fresh, &mut begun] {
        publisher.send("PUB foo 2\r\nhi\r\n");
        publisher.sync();
        live.expect("MSG foo 1 2\r\nhi\r\n");
    }
    live.sync();
    // Without TLS new clients are plain ones, and the others stay encrypted.
    server.replace_tls(None);
    let plain = crate::support::Wire::open(address);
    assert!(plain.info.get("tls_required").is_none());
    live.sync();
    server.shutdown();
}
