//! Clients that do not read what is sent to them (spec 01 §8).

use crate::support::{Server, Wire, wait_until};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PAYLOAD: usize = 60_000;

/// One message whose number can be told.
fn publication(n: usize) -> Vec<u8> {
    let mut bytes = format!("PUB foo {PAYLOAD}\r\n{n:08}").into_bytes();
    bytes.resize(bytes.len() + PAYLOAD - 8, b'.');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A subscriber to `foo` that keeps its kernel from taking much.
fn subscriber(server: &Server) -> Wire {
    let socket = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )
    .expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("a small buffer");
    socket.connect(&server.address().into()).expect("connects");
    let mut sub = Wire::over(TcpStream::from(socket));
    sub.take_first_info();
    sub.answer_pings();
    sub.send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB foo 1\r\n");
    sub.expect_nothing();
    sub
}

/// Publishes until the log has a line with `text`; returns how many messages that took.
fn publish_until_logged(server: &Server, publisher: &mut Wire, text: &str) -> usize {
    let until = Instant::now() + crate::support::DEADLINE;
    let mut n = 0;
    while !server.log_lines().iter().any(|l| l.contains(text)) {
        assert!(Instant::now() < until, "no {text:?} after {n} messages");
        publisher.send(publication(n));
        publisher.expect_nothing();
        n += 1;
    }
    n
}

/// Reads to the end of the connection; counts whole messages, which must be numbered from 0.
fn messages_to_the_end(sub: &mut Wire) -> usize {
    let mut n = 0;
    while let Some(line) = sub.try_line() {
        if line != format!("MSG foo 1 {PAYLOAD}") {
            assert!(!line.starts_with("-ERR"), "{line}");
            break;
        }
        let Some(payload) = sub.try_bytes(PAYLOAD + 2) else { break };
        assert_eq!(&payload[..8], format!("{n:08}").as_bytes());
        n += 1;
    }
    n
}

#[test]
fn too_many_pending_bytes_close_the_connection() {
    let server = Server::start(
        "max_payload: 65536\nmax_pending: 500000\ndebug: true\nhttp: \"127.0.0.1:-1\"",
    );
    let mut slow = subscriber(&server);
    let mut healthy = server.client("");
    healthy.send("SUB foo 1\r\n");
    healthy.expect_nothing();
    let mut publisher = server.client("");
    let reader = std::thread::spawn(move || messages_to_the_end(&mut healthy));
    let text = "Slow Consumer Detected: MaxPending of 500000 Exceeded";
    let sent = publish_until_logged(&server, &mut publisher, text);
    server.wait_for_log("Client connection closed: Slow Consumer (Pending Bytes)");
    // What was pending is gone, and no error line was sent.
    assert!(messages_to_the_end(&mut slow) < sent);
    let v = server.monitor("/varz");
    assert_eq!(v["slow_consumers"], 1);
    assert_eq!(v["slow_consumer_stats"]["clients"], 1);
    // The others have missed nothing.
    publisher.expect_nothing();
    server.signal("TERM");
    assert_eq!(reader.join().unwrap(), sent);
}

#[test]
fn a_write_that_takes_too_long_closes_the_connection() {
    let server = Server::start("write_deadline: \"100ms\"\ndebug: true\nhttp: \"127.0.0.1:-1\"");
    let mut slow = subscriber(&server);
    let mut publisher = server.client("");
    let text = "Slow Consumer Detected: WriteDeadline of 100ms exceeded with ";
    let sent = publish_until_logged(&server, &mut publisher, text);
    let line = server.wait_for_log(text);
    assert!(line.contains(" chunks of ") && line.ends_with(" total bytes."), "{line}");
    server.wait_for_log("Client connection closed: Slow Consumer (Write Deadline)");
    assert!(messages_to_the_end(&mut slow) < sent);
    publisher.expect_nothing();
    assert_eq!(server.monitor("/varz")["slow_consumers"], 1);
}

#[test]
fn a_client_that_never_said_connect_is_a_slow_consumer_as_well() {
    let server = Server::start("write_deadline: \"100ms\"\nhttp: \"127.0.0.1:-1\"");
    let mut slow = server.connect();
    slow.send("SUB foo 1\r\n");
    slow.expect("+OK\r\n");
    let mut publisher = server.client("");
    publish_until_logged(&server, &mut publisher, "Slow Consumer Detected: WriteDeadline");
    let v = server.wait_for_monitor("/varz", |v| v["slow_consumers"] == 1);
    assert_eq!(v["slow_consumer_stats"]["clients"], 1);
    server.wait_for_monitor("/varz", |v| v["connections"] == 1);
}

#[test]
fn under_retry_a_reader_that_makes_progress_is_kept() {
    let server = Server::start(
        "write_deadline: \"1s\"\nwrite_timeout: retry\nmax_pending: 268435456\ndebug: true",
    );
    let mut slow = subscriber(&server);
    let mut publisher = server.client("");
    let total = 1200;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..total {
                publisher.send(publication(n));
            }
            publisher.expect_nothing();
        });
        // Message after message, not as fast as it could, until a deadline has passed.
        let logged = |text: &str| server.log_lines().iter().any(|l| l.contains(text));
        let mut detected = false;
        for n in 0..total {
            let (line, payload) = slow.message();
            assert_eq!(line, format!("MSG foo 1 {PAYLOAD}"));
            assert_eq!(&payload[..8], format!("{n:08}").as_bytes());
            let next = Instant::now() + Duration::from_millis(2);
            while !detected && Instant::now() < next {
                // It is told of as detected once, and then by its state.
                detected = logged("Slow Consumer State: WriteDeadline of 1s exceeded with ");
                std::thread::yield_now();
            }
        }
        assert!(detected);
    });
    slow.expect_nothing();
    let line = server.wait_for_log("Slow Consumer Recovered: Flush took ");
    assert!(line.contains("s with ") && line.contains(" chunks of "), "{line}");
    let lines = server.log_lines();
    let detected = lines.iter().filter(|l| l.contains("Slow Consumer Detected: WriteDeadline"));
    assert_eq!(detected.count(), 1);
    assert!(!lines.iter().any(|l| l.contains("Client connection closed: Slow")));
}

#[test]
fn a_write_that_fails_is_told_of() {
    let server = Server::start("debug: true");
    // Whether the end of a peer is noticed by reading or by writing is up to chance.
    wait_until("a write to fail", || {
        let mut gone = subscriber(&server);
        let mut publisher = server.client("");
        publisher.send(publication(0).repeat(20));
        gone.line();
        // There are bytes it has not read, so this resets the connection.
        drop(gone);
        publisher.send(publication(0).repeat(20));
        publisher.expect_nothing();
        let lines = server.log_lines();
        let failed = lines.iter().find(|l| l.contains("Error flushing: "))?.clone();
        let address = server.address();
        assert!(failed.contains(&format!("Error flushing: writev tcp {address}->127.0.0.1:")));
        let ends = [": writev: connection reset by peer", ": writev: broken pipe"];
        assert!(ends.iter().any(|end| failed.ends_with(end)), "{failed}");
        Some(())
    });
    server.wait_for_log("Client connection closed: Write Error");
}

#[test]
fn under_retry_a_reader_that_takes_nothing_is_closed() {
    let server = Server::start("write_deadline: \"100ms\"\nwrite_timeout: retry\ndebug: true");
    let slow = subscriber(&server);
    let mut publisher = server.client("");
    publish_until_logged(
        &server,
        &mut publisher,
        "Client connection closed: Slow Consumer (Write Deadline)",
    );
    drop(slow);
}

#[test]
fn a_reader_that_is_slow_for_a_while_loses_nothing() {
    let server = Server::start("max_payload: 65536");
    let mut slow = subscriber(&server);
    let mut publisher = server.client("");
    let total = 500;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..total {
                publisher.send(publication(n));
            }
            publisher.expect_nothing();
        });
        // All is on its way before the first byte is read.
        writer.join().unwrap();
    });
    for n in 0..total {
        let (_, payload) = slow.message();
        assert_eq!(&payload[..8], format!("{n:08}").as_bytes());
    }
    slow.expect_nothing();
}

#[test]
fn more_than_one_write_deadline_covers_is_delivered_whole() {
    const SIZE: usize = 16 * 1024 * 1024;
    let server = Server::start(
        "max_payload: 16777216\nmax_pending: 146800640\nwrite_deadline: \"30s\"\n\
         http: \"127.0.0.1:-1\"",
    );
    let mut slow = subscriber(&server);
    let mut publisher = server.client("");
    for n in 0..8_u8 {
        publisher.send(format!("PUB foo {SIZE}\r\n"));
        publisher.send(vec![b'0' + n; SIZE]);
        publisher.send("\r\n");
    }
    publisher.expect_nothing();
    let connections = server.monitor("/connz");
    let mut pending = connections["connections"].as_array().expect("a list").iter();
    // Above the 64 MiB that are written under one deadline.
    assert!(pending.any(|c| c["pending_bytes"].as_u64() > Some(64 << 20)), "{connections}");
    for n in 0..8_u8 {
        assert_eq!(slow.line(), format!("MSG foo 1 {SIZE}"));
        let payload = slow.bytes(SIZE + 2);
        assert!(payload[..SIZE].iter().all(|b| *b == b'0' + n), "message {n}");
    }
    slow.expect_nothing();
    assert_eq!(server.monitor("/varz")["slow_consumers"], 0);
}

/// A subscriber that read nothing for a moment got no more consideration until its queue was empty:
/// a publisher of 1 KiB messages filled it within a second and had it closed, where the process that
/// read was merely not scheduled. Near the limit a publisher is held back in any case.
#[test]
fn a_reader_that_goes_on_when_the_publisher_is_stalled_loses_nothing() {
    let server = Server::start("http: \"127.0.0.1:-1\"\ndebug: true");
    let mut slow = subscriber(&server);
    let mut publisher = server.client("");
    let total = 1_500;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..total {
                publisher.send(publication(n));
            }
        });
        server.wait_for_monitor("/varz", |v| v["stalled_clients"].as_i64() > Some(0));
        // The connection that was too slow carries the count (it was never counted there once).
        server.wait_for_monitor("/connz", |c| {
            let connections = c["connections"].as_array().expect("a list");
            connections.iter().any(|c| c["stalls"].as_i64() > Some(0))
        });
        let mut n = 0;
        while n < total {
            let line = slow.line();
            // The server asks for a sign of life meanwhile.
            if line != "PING" {
                assert_eq!(line, format!("MSG foo 1 {PAYLOAD}"));
                assert_eq!(&slow.bytes(PAYLOAD + 2)[..8], format!("{n:08}").as_bytes());
                n += 1;
            }
        }
    });
    assert_eq!(server.monitor("/varz")["slow_consumers"], 0);
    server.wait_for_log("Timed out of fast producer stall (10ms)");
    let line = server.wait_for_log("Producer was stalled for a total of ");
    assert!(line.contains("[WRN]") && line.contains("ms - Account:$G"), "{line}");
}

#[test]
fn without_stalling_messages_for_a_nearly_full_client_are_dropped() {
    let server = Server::start(
        "no_fast_producer_stall: true\nmax_payload: 65536\nmax_pending: 2000000\ndebug: true",
    );
    let mut slow = subscriber(&server);
    let mut healthy = server.client("");
    healthy.send("SUB foo 1\r\n");
    healthy.expect_nothing();
    let mut publisher = server.client("");
    let total = 400;
    for n in 0..total {
        publisher.send(publication(n));
        publisher.expect_nothing();
        let (_, payload) = healthy.message();
        assert_eq!(&payload[..8], format!("{n:08}").as_bytes());
    }
    // It got what it had room for, in order, and is still there.
    slow.send("PING\r\n");
    let mut got = Vec::new();
    loop {
        let line = slow.line();
        if line == "PONG" {
            break;
        }
        assert_eq!(line, format!("MSG foo 1 {PAYLOAD}"));
        got.push(String::from_utf8(slow.bytes(PAYLOAD + 2)[..8].to_vec()).unwrap());
    }
    assert!(!got.is_empty() && got.len() < total, "{}", got.len());
    assert!(got.is_sorted());
    // Once there is room it gets messages again.
    publisher.send(publication(total));
    assert_eq!(&slow.message().1[..8], format!("{total:08}").as_bytes());
    assert!(!server.log_lines().iter().any(|l| l.contains("Slow Consumer")));
}

#[test]
fn a_queue_member_that_is_nearly_full_is_passed_over_without_stalling() {
    let server =
        Server::start("no_fast_producer_stall: true\nmax_payload: 65536\nmax_pending: 500000");
    let mut slow = subscriber(&server);
    slow.send("UNSUB 1\r\nSUB foo q 1\r\n");
    slow.expect_nothing();
    let mut healthy = server.client("");
    healthy.send("SUB foo q 1\r\n");
    healthy.expect_nothing();
    let mut publisher = server.client("");
    let total = 600;
    let mut theirs = 0;
    for n in 0..total {
        publisher.send(publication(n));
        publisher.expect_nothing();
        healthy.send("PING\r\n");
        loop {
            let line = healthy.line();
            if line == "PONG" {
                break;
            }
            healthy.bytes(PAYLOAD + 2);
            theirs += 1;
        }
    }
    slow.send("PING\r\n");
    let mut other = 0;
    while slow.line() != "PONG" {
        slow.bytes(PAYLOAD + 2);
        other += 1;
    }
    // None was lost: who had no room was passed over.
    assert_eq!(theirs + other, total);
    assert!(theirs > total / 2, "{theirs}");
}

#[test]
fn a_producer_is_held_back_and_counted() {
    let server = Server::start("max_payload: 65536\nmax_pending: 8000000\nhttp: \"127.0.0.1:-1\"");
    let slow = subscriber(&server);
    let mut publisher = server.client("");
    let until = Instant::now() + crate::support::DEADLINE;
    let mut n = 0;
    while server.monitor("/varz")["stalled_clients"] == 0 {
        assert!(Instant::now() < until);
        for _ in 0..20 {
            publisher.send(publication(n));
            n += 1;
        }
        publisher.expect_nothing();
    }
    drop(slow);
}
