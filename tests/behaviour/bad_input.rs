//! Peers that send what they should not, or not what they should: they harm nobody but themselves.

use crate::support::{Server, Wire};
use std::net::Shutdown;

const MIB: u64 = 1024 * 1024;

/// The server still does its work.
fn serves(server: &Server) {
    let mut client = server.client("");
    client.send("SUB check 1\r\nPUB check 2\r\nok\r\n");
    client.expect("MSG check 1 2\r\nok\r\n");
}

#[test]
fn a_malformed_peer_disturbs_nobody() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    // A generator with a fixed seed: the run is the same every time.
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..200 {
        let mut garbage = Vec::new();
        for _ in 0..64 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            garbage.extend_from_slice(&x.to_be_bytes());
        }
        let prefix = ["", "PUB ", "SUB ", "CONNECT ", "HPUB foo 3 9\r\n", "-ERR ", "PUB foo 9\r\n"];
        let mut bad = server.connect();
        bad.try_send(prefix[n % prefix.len()]);
        bad.try_send(&garbage);
        bad.try_send("\r\n");
        drop(bad);
        publisher.send(format!("PUB foo 4\r\n{n:04}\r\n"));
        sub.expect(format!("MSG foo 1 4\r\n{n:04}\r\n"));
    }
    publisher.expect_nothing();
}

#[test]
fn a_huge_payload_is_refused_before_it_is_read() {
    let server = Server::start("");
    let before = server.resident_bytes();
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false}\r\nPUB foo 67108864\r\n");
    let block = vec![b'x'; 1024 * 1024];
    // The connection is closed under the sender.
    let refused = (0..64).any(|_| !client.try_send(&block));
    assert!(refused, "64 MiB were taken");
    assert!(server.resident_bytes() < before + 16 * MIB);
    serves(&server);
}

#[test]
fn announced_payloads_cost_memory_only_as_they_come() {
    let server = Server::start("max_payload: 67108864\nmax_pending: 67108864");
    let before = server.resident_bytes();
    // A hundred peers that announce 64 MiB each, and send a little of it.
    let mut peers: Vec<Wire> = (0..100).map(|_| server.client("")).collect();
    for peer in &mut peers {
        peer.send(format!("PUB foo 67108864\r\n{}", "x".repeat(10_000)));
    }
    serves(&server);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown}");
}

#[test]
fn a_payload_of_64_mebibytes_is_delivered_where_it_is_allowed() {
    let server = Server::start("max_payload: 67108864\nmax_pending: 134217728");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            publisher.send("PUB foo 67108864\r\n");
            let block = vec![b'x'; 1024 * 1024];
            for _ in 0..64 {
                publisher.send(&block);
            }
            publisher.send("\r\n");
        });
        let (line, payload) = sub.message();
        assert_eq!(line, "MSG foo 1 67108864");
        assert!(payload.len() == 64 * 1024 * 1024 && payload.iter().all(|b| *b == b'x'));
    });
    serves(&server);
}

#[test]
fn endless_lines_cost_no_memory() {
    let server = Server::start("");
    let before = server.resident_bytes();
    let block = vec![b'x'; 1024 * 1024];
    for start in ["PING", "+OK "] {
        // Nothing limits these, and nothing of them is kept.
        let mut client = server.client("");
        client.send(start);
        for _ in 0..64 {
            client.send(&block);
        }
        client.send("\r\nPING\r\n");
        client.until_pong();
    }
    let blanks = vec![b' '; 1024 * 1024];
    let mut client = server.client("");
    client.send("PUB ");
    for _ in 0..64 {
        client.send(&blanks);
    }
    client.send("foo 0\r\n\r\n");
    client.expect_nothing();
    assert!(server.resident_bytes() < before + 16 * MIB);
}

#[test]
fn peers_that_send_byte_by_byte_and_stop_anywhere_are_waited_for() {
    let server = Server::start("");
    let script = b"CONNECT {\"verbose\":false}\r\nPUB foo 5\r\nhello\r\nSUB foo 1\r\n";
    // One peer stops after every byte of the script.
    let mut peers: Vec<Wire> = Vec::new();
    for end in 0..script.len() {
        let mut peer = server.connect();
        for byte in &script[..end] {
            peer.send([*byte]);
        }
        peers.push(peer);
    }
    serves(&server);
    // Each can go on where it stopped.
    for (end, peer) in peers.iter_mut().enumerate() {
        peer.send(&script[end..]);
        peer.send("PUB foo 2\r\nok\r\n");
    }
    for peer in &mut peers {
        let mut got = 0;
        while got < 1 {
            let line = peer.line();
            got += usize::from(line.starts_with("MSG foo 1 "));
        }
    }
}

#[test]
fn a_peer_that_only_closes_its_sending_side_gets_what_was_due() {
    let server = Server::start("debug: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\nPING\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect("MSG foo 1 2\r\nok\r\nPONG\r\n");
    client.expect_close();
    server.wait_for_log("Client connection closed: Client Closed");
}

#[test]
fn a_flood_of_connects_is_answered_one_by_one() {
    let server = Server::start("");
    let before = server.resident_bytes();
    let mut client = server.connect();
    let one = "CONNECT {\"verbose\":true,\"name\":\"again\",\"protocol\":1}\r\n";
    for _ in 0..50 {
        client.send(one.repeat(200));
        client.expect("+OK\r\n".repeat(200));
    }
    client.send("PING\r\n");
    client.expect("PONG\r\n");
    assert!(server.resident_bytes() < before + 16 * MIB);
    serves(&server);
}

#[test]
fn a_flood_of_commands_whose_answers_are_not_read_is_bounded() {
    // Answers count as pending bytes, as deliveries do.
    let server = Server::start("max_payload: 65536\nmax_pending: 1000000\ndebug: true");
    let before = server.resident_bytes();
    let mut client = server.connect();
    let flood = "PING\r\n".repeat(20_000);
    let closed = (0..2000).any(|_| !client.try_send(&flood));
    assert!(closed, "never closed");
    server.wait_for_log("Client connection closed: Slow Consumer");
    assert!(server.resident_bytes() < before + 32 * MIB);
    serves(&server);
}

#[test]
fn long_names_in_connect_are_kept_within_the_control_line() {
    let server = Server::start("http: \"127.0.0.1:-1\"");
    let name = "n".repeat(4000);
    let mut client = server.connect();
    client.send(format!("CONNECT {{\"name\":\"{name}\"}}\r\n"));
    client.expect("+OK\r\n");
    assert_eq!(server.monitor("/connz")["connections"][0]["name"], name.as_str());
    let mut client = server.connect();
    client.send(format!("CONNECT {{\"name\":\"{name}{name}\"}}\r\n"));
    client.expect_error("maximum control line exceeded");
    client.expect_close();
}

#[test]
fn deeply_nested_json_is_refused() {
    let server = Server::start("max_control_line: 1000000");
    let mut client = server.connect();
    let deep = "[".repeat(400_000);
    client.try_send(format!("CONNECT {{\"a\":{deep}}}\r\n"));
    client.expect_close();
    let mut client = server.connect();
    client.try_send(format!("INFO {{\"a\":{deep}}}\r\n"));
    client.expect_close();
    serves(&server);
}
