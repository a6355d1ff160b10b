//! Peers that break the protocol, at every point of it; others must not notice.

use crate::certificates::Authority;
use crate::support::{Server, Wire, wait_until};
use crate::wire::{Secure, Setup, open, plain_line};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

fn start(authority: &Authority, tls: &str) -> Server {
    let files = authority.server_config();
    Server::start(&format!("debug: true\nhttp: \"127.0.0.1:-1\"\ntls {{ {files}, {tls} }}"))
}

/// Reasons of the closed connections, oldest first.
fn reasons(server: &Server) -> Vec<String> {
    let closed = server.monitor("/connz?state=closed");
    let connections = closed["connections"].as_array().unwrap();
    connections.iter().map(|c| c["reason"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_reason(server: &Server, reason: &str) {
    wait_until(reason, || reasons(server).iter().any(|r| r == reason).then_some(()));
}

fn greeted(server: &Server) -> TcpStream {
    let mut stream = open(server.address());
    plain_line(&mut stream);
    stream
}

/// The bytes a client begins with.
fn hello(authority: &Authority) -> Vec<u8> {
    let mut session = Setup::new(authority).session();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_no_tls_is_a_probe_and_not_an_error() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let mut witness = Secure::client(server.address(), &Setup::new(&authority));
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\0\0\0", b"\xff\xff\xff\xff\xff\xff"] {
        let mut stream = greeted(&server);
        stream.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    wait_until("three failures", || {
        (reasons(&server).iter().filter(|r| *r == "TLS Handshake Failure").count() == 3)
            .then_some(())
    });
    let text = "TLS handshake error: tls: first record does not look like a TLS handshake";
    let lines = server.log_lines();
    assert_eq!(lines.iter().filter(|l| l.contains(text) && l.contains("[DBG]")).count(), 3);
    assert!(!lines.iter().any(|l| l.contains("[ERR]")), "{lines:?}");
    witness.sync();
    // They have been idle no longer than they lived.
    let closed = server.monitor("/connz?state=closed");
    for connection in closed["connections"].as_array().unwrap() {
        let text = |key: &str| connection[key].as_str().unwrap().to_owned();
        assert_eq!(text("idle"), text("uptime"));
        assert!(text("last_activity") >= text("start"), "{connection}");
    }
}

#[test]
fn a_broken_handshake_is_an_error() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let mut witness = Secure::client(server.address(), &Setup::new(&authority));
    let good = hello(&authority);
    // A record of the right kind whose content is none.
    let mut nonsense = good.clone();
    for byte in &mut nonsense[5..] {
        *byte = 0xaa;
    }
    // A hello, and then bytes that are no record.
    let mut follows = good.clone();
    follows.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    // A record longer than records may be.
    let long = [0x16, 3, 1, 0xff, 0xff].to_vec();
    for bytes in [nonsense, follows, long] {
        let mut stream = greeted(&server);
        stream.write_all(&bytes).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    wait_until("three failures", || {
        (reasons(&server).iter().filter(|r| *r == "TLS Handshake Failure").count() == 3)
            .then_some(())
    });
    let errors = |l: &&String| l.contains("[ERR]") && l.contains("TLS handshake error: tls: ");
    assert_eq!(server.log_lines().iter().filter(errors).count(), 3);
    witness.sync();
}

#[test]
fn a_peer_that_leaves_in_the_handshake_is_reported() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let good = hello(&authority);
    let stream = greeted(&server);
    stream.shutdown(Shutdown::Write).unwrap();
    server.wait_for_log("TLS handshake error: EOF");
    let mut stream = greeted(&server);
    stream.write_all(&good[..good.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wait_until("two failures", || {
        (reasons(&server).iter().filter(|r| *r == "TLS Handshake Failure").count() == 2)
            .then_some(())
    });
}

#[test]
fn monitoring_shows_who_has_not_begun_the_handshake() {
    let authority = Authority::new();
    let server = start(&authority, "timeout: 10");
    let waiting = greeted(&server);
    let connz = server.monitor("/connz");
    assert_eq!(connz["num_connections"], 1);
    let shown = &connz["connections"][0];
    assert!(shown.get("tls_version").is_none() && shown.get("tls_cipher_suite").is_none());
    drop(waiting);
}

#[test]
fn who_leaves_before_the_handshake_is_forgotten() {
    let authority = Authority::new();
    let server = start(&authority, "");
    for _ in 0..100 {
        drop(open(server.address()));
    }
    server.wait_for_monitor("/varz", |v| v["total_connections"] == 100 && v["connections"] == 0);
    Secure::client(server.address(), &Setup::new(&authority)).sync();
}

#[test]
fn a_handshake_that_stalls_ends_with_its_timeout() {
    let authority = Authority::new();
    let server = start(&authority, "timeout: 0.1");
    let mut witness = Secure::client(server.address(), &Setup::new(&authority));
    let good = hello(&authority);
    // Nothing at all, half a hello, and a whole one without what should follow.
    for part in [0, good.len() / 2, good.len()] {
        let mut stream = greeted(&server);
        stream.write_all(&good[..part]).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.windows(4).any(|w| w == b"-ERR"), "{rest:?}");
    }
    wait_for_reason(&server, "TLS Handshake Failure");
    // A connection is closed before its line is written.
    let lines = wait_until("three timeouts in the log", || {
        let lines = server.log_lines();
        let logged =
            |text: &str| lines.iter().filter(|l| l.contains(text) && l.contains("[DBG]")).count();
        let all = logged("TLS handshake timeout") == 3 && logged("i/o timeout") == 3;
        all.then_some(lines)
    });
    assert!(!lines.iter().any(|l| l.contains("[ERR]")), "{lines:?}");
    witness.sync();
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let mut stream = greeted(&server);
    let mut session = Setup::new(&authority).session();
    while session.is_handshaking() {
        while session.wants_write() {
            let mut bytes = Vec::new();
            session.write_tls(&mut bytes).unwrap();
            for byte in bytes {
                stream.write_all(&[byte]).unwrap();
            }
        }
        if session.is_handshaking() {
            session.read_tls(&mut stream).unwrap();
            session.process_new_packets().unwrap();
        }
    }
    session.writer().write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").unwrap();
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"PONG\r\n") {
        session.read_tls(&mut stream).unwrap();
        session.process_new_packets().unwrap();
        let mut piece = [0; 1024];
        if let Ok(n) = session.reader().read(&mut piece) {
            answer.extend_from_slice(&piece[..n]);
        }
    }
}

#[test]
fn a_record_that_was_changed_ends_the_connection_and_nothing_of_it_is_executed() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let mut witness = Secure::client(server.address(), &Setup::new(&authority));
    witness.send("SUB foo 1\r\n");
    witness.sync();
    let mut bad = Secure::client(server.address(), &Setup::new(&authority));
    bad.stream.conn.writer().write_all(b"PUB foo 2\r\nhi\r\n").unwrap();
    let mut bytes = Vec::new();
    bad.stream.conn.write_tls(&mut bytes).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bad.stream.sock.write_all(&bytes).unwrap();
    wait_for_reason(&server, "Read Error");
    witness.sync();
    // What precedes a broken record counts.
    let mut bad = Secure::client(server.address(), &Setup::new(&authority));
    bad.stream.conn.writer().write_all(b"PUB foo 2\r\nok\r\n").unwrap();
    let mut bytes = Vec::new();
    bad.stream.conn.write_tls(&mut bytes).unwrap();
    bytes.extend_from_slice(b"not a record");
    bad.stream.sock.write_all(&bytes).unwrap();
    witness.expect("MSG foo 1 2\r\nok\r\n");
    witness.sync();
}

#[test]
fn a_stream_cut_in_a_record_is_an_end() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let mut cut = Secure::client(server.address(), &Setup::new(&authority));
    cut.stream.conn.writer().write_all(b"PUB foo 2\r\nhi\r\n").unwrap();
    let mut bytes = Vec::new();
    cut.stream.conn.write_tls(&mut bytes).unwrap();
    cut.stream.sock.write_all(&bytes[..bytes.len() / 2]).unwrap();
    cut.stream.sock.shutdown(Shutdown::Write).unwrap();
    wait_for_reason(&server, "Client Closed");
    let mut polite = Secure::client(server.address(), &Setup::new(&authority));
    polite.stream.conn.send_close_notify();
    polite.stream.flush().unwrap();
    let mut rest = Vec::new();
    // The server says goodbye too.
    polite.stream.read_to_end(&mut rest).unwrap();
}

#[test]
fn floods_of_alerts_and_of_empty_records_end_the_connection() {
    let authority = Authority::new();
    let server = start(&authority, "timeout: 10");
    let mut witness = Secure::client(server.address(), &Setup::new(&authority));
    let warning = [0x15, 3, 3, 0, 2, 1, 90];
    let empty = [0x16, 3, 3, 0, 0];
    for record in [&warning[..], &empty] {
        let mut stream = greeted(&server);
        let flood = record.repeat(2_000);
        // The server may close before it is all sent.
        let _ = stream.write_all(&flood);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    wait_until("two failures", || {
        (reasons(&server).iter().filter(|r| *r == "TLS Handshake Failure").count() == 2)
            .then_some(())
    });
    witness.sync();
}

#[test]
fn many_failed_handshakes_leave_nothing_behind() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let fail = |count: usize| {
        for _ in 0..count {
            let mut wire = Wire::open(server.address());
            wire.send("not TLS at all\r\n");
            let mut rest = Vec::new();
            let _ = wire.stream.read_to_end(&mut rest);
        }
        wait_until("all are closed", || {
            (server.monitor("/connz")["num_connections"] == 0).then_some(())
        });
    };
    fail(500);
    let before = server.resident_bytes();
    fail(1_500);
    let grown = server.resident_bytes().saturating_sub(before);
    // The ring of closed connections keeps a few hundred bytes of each.
    assert!(grown < 16 << 20, "{grown} bytes more");
}
