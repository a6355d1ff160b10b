//! The order of INFO, PROXY header, TLS handshake and commands (spec 01 §10).

use crate::certificates::Authority;
use crate::support::{Server, Wire};
use crate::wire::{Secure, Setup, info_of, open, plain_line};
use std::io::{Read, Write};

fn start(authority: &Authority, tls: &str, others: &str) -> Server {
    let files = authority.server_config();
    Server::start(&format!("debug: true\n{others}\ntls {{ {files}, {tls} }}"))
}

const PROXY_V1: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 4222\r\n";

fn proxy_v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[0x21, 0x11, 0, 12]);
    header.extend_from_slice(&[203, 0, 113, 7, 192, 0, 2, 1]);
    header.extend_from_slice(&4711_u16.to_be_bytes());
    header.extend_from_slice(&4222_u16.to_be_bytes());
    header
}

#[test]
fn handshake_first_sends_info_encrypted() {
    let authority = Authority::new();
    let server = start(&authority, "handshake_first: true", "");
    server.wait_for_log(
        "Clients that are not using \"TLS Handshake First\" option will fail to connect",
    );
    let mut client = Secure::upgrade(open(server.address()), &Setup::new(&authority)).unwrap();
    let info = info_of(&client.line());
    assert_eq!(info["tls_required"], true);
    client.try_greet("").unwrap();
    client.sync();
}

#[test]
fn handshake_first_gives_a_client_that_waits_for_info_no_byte() {
    let authority = Authority::new();
    let server = start(&authority, "handshake_first: true, timeout: 0.2", "");
    let mut waiting = Wire::raw(server.address());
    server.wait_for_log("TLS handshake timeout");
    server.wait_for_log("Client connection closed: TLS Handshake Failure");
    waiting.expect_close();
}

#[test]
fn handshake_first_falls_back_to_info_after_the_delay() {
    let authority = Authority::new();
    let server = start(&authority, "handshake_first: 100ms", "");
    server.wait_for_log("TLS required for client connections");
    // A client that waits for INFO gets it and then encrypts.
    let mut client = Secure::client(server.address(), &Setup::new(&authority));
    assert_eq!(client.info["tls_required"], true);
    client.sync();
    // One that begins at once gets it encrypted.
    let mut client = Secure::upgrade(open(server.address()), &Setup::new(&authority)).unwrap();
    assert_eq!(info_of(&client.line())["tls_required"], true);
    client.try_greet("").unwrap();
}

#[test]
fn the_fallback_serves_plain_clients_where_they_are_allowed() {
    let authority = Authority::new();
    let server = start(&authority, "handshake_first: auto", "allow_non_tls: true");
    server.wait_for_log("TLS available for client connections");
    let mut plain = server.connect();
    assert_eq!(plain.info["tls_available"], true);
    assert!(plain.info.get("tls_required").is_none());
    plain.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    plain.until_pong();
    let mut late = Secure::client(server.address(), &Setup::new(&authority));
    late.sync();
    let mut first = Secure::upgrade(open(server.address()), &Setup::new(&authority)).unwrap();
    // Whoever begins with the handshake is told that it is required.
    assert_eq!(info_of(&first.line())["tls_required"], true);
    first.try_greet("").unwrap();
}

#[test]
fn plain_and_encrypted_clients_share_a_port_where_allowed() {
    let authority = Authority::new();
    let server = start(&authority, "", "allow_non_tls: true");
    server.wait_for_log("TLS available for client connections");
    let mut plain = server.client("");
    assert_eq!(plain.info["tls_available"], true);
    assert!(plain.info.get("tls_required").is_none());
    plain.send("SUB foo 1\r\n");
    plain.sync();
    let mut secure = Secure::client(server.address(), &Setup::new(&authority));
    secure.send("PUB foo 2\r\nhi\r\n");
    secure.sync();
    plain.expect("MSG foo 1 2\r\nhi\r\n");
}

#[test]
fn a_silent_client_is_served_in_the_clear_after_the_timeout_where_allowed() {
    let authority = Authority::new();
    let server = start(
        &authority,
        "timeout: 0.05",
        "allow_non_tls: true\nauthorization { timeout: 0.1, token: x }",
    );
    let mut silent = server.connect();
    // The authentication timer starts when the choice is made; it shows that it was.
    silent.expect_error("Authentication Timeout");
}

#[test]
fn a_proxy_header_precedes_the_handshake() {
    let authority = Authority::new();
    let server = start(&authority, "", "proxy_protocol: true\nhttp: \"127.0.0.1:-1\"");
    for header in [PROXY_V1.to_vec(), proxy_v2()] {
        let mut plain = open(server.address());
        let info = info_of(&plain_line(&mut plain));
        assert!(info.get("client_ip").is_none());
        plain.write_all(&header).unwrap();
        let mut client = Secure::upgrade(plain, &Setup::new(&authority)).unwrap();
        client.try_greet("").unwrap();
        let connz = server.monitor("/connz");
        let connection = &connz["connections"][0];
        assert_eq!(connection["ip"], "203.0.113.7");
        assert_eq!(connection["port"], 4711);
        assert_eq!(connection["tls_version"], "1.3");
        drop(client);
        crate::support::wait_until("the connection ends", || {
            (server.monitor("/connz")["num_connections"] == 0).then_some(())
        });
    }
}

#[test]
fn what_follows_a_proxy_header_decides_about_tls_where_both_are_allowed() {
    let authority = Authority::new();
    let server = start(&authority, "", "proxy_protocol: true\nallow_non_tls: true");
    for header in [PROXY_V1.to_vec(), proxy_v2()] {
        let mut plain = open(server.address());
        plain_line(&mut plain);
        plain.write_all(&header).unwrap();
        let mut client = Secure::upgrade(plain, &Setup::new(&authority)).unwrap();
        client.try_greet("").unwrap();
        let mut plain = server.connect();
        plain.send(&header);
        plain.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
        plain.until_pong();
    }
    // Without a header the first bytes decide as well.
    Secure::client(server.address(), &Setup::new(&authority)).sync();
    server.client("").sync();
}

#[test]
fn a_handshake_first_client_behind_a_proxy_sees_its_own_address() {
    let authority = Authority::new();
    let server = start(&authority, "handshake_first: auto", "proxy_protocol: true");
    let mut plain = open(server.address());
    plain.write_all(PROXY_V1).unwrap();
    let mut client = Secure::upgrade(plain, &Setup::new(&authority)).unwrap();
    let info = info_of(&client.line());
    assert_eq!(info["client_ip"], "203.0.113.7");
    client.try_greet("").unwrap();
    // Without a header, and without TLS first, the fallback still works.
    Secure::client(server.address(), &Setup::new(&authority)).sync();
}

#[test]
fn commands_before_the_handshake_are_not_executed() {
    let authority = Authority::new();
    let server = start(&authority, "", "");
    let mut plain = server.connect();
    plain.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    server
        .wait_for_log("TLS handshake error: tls: first record does not look like a TLS handshake");
    server.wait_for_log("Client connection closed: TLS Handshake Failure");
    // An alert may come, but nothing of the protocol.
    let mut rest = Vec::new();
    let _ = plain.stream.read_to_end(&mut rest);
    assert!(!rest.windows(4).any(|w| w == b"PONG" || w == b"-ERR"), "{rest:?}");
}

#[test]
fn a_connection_too_many_is_refused_in_the_clear() {
    let authority = Authority::new();
    let server = start(&authority, "", "max_connections: 1");
    let mut one = Secure::client(server.address(), &Setup::new(&authority));
    let mut two = server.connect();
    two.expect_error("maximum connections exceeded");
    two.expect_close();
    one.sync();
}

#[test]
fn authentication_has_its_time_after_the_handshake() {
    let authority = Authority::new();
    let server = start(&authority, "timeout: 5", "authorization { token: t, timeout: 0.05 }");
    // Slower than an authentication may be: it is a handshake still.
    let mut plain = open(server.address());
    assert_eq!(info_of(&plain_line(&mut plain))["auth_required"], true);
    let mut fast = Secure::connect(server.address(), &Setup::new(&authority));
    assert_eq!(fast.line(), "-ERR 'Authentication Timeout'");
    let mut client = Secure::upgrade(plain, &Setup::new(&authority)).unwrap();
    client.try_greet("\"auth_token\":\"t\"").unwrap();
    client.sync();
    let refused =
        Secure::try_client(server.address(), &Setup::new(&authority), "\"auth_token\":\"x\"");
    assert_eq!(refused.map(|_| ()).unwrap_err().to_string(), "-ERR 'Authorization Violation'");
}

#[test]
fn encrypted_clients_are_pinged() {
    let authority = Authority::new();
    let server = start(&authority, "", "ping_interval: 50ms\nping_max: 1");
    let mut client = Secure::client(server.address(), &Setup::new(&authority));
    let mut lines = vec![client.line()];
    while lines.last().is_some_and(|line| line == "PING") {
        lines.push(client.line());
    }
    assert_eq!(lines.last().map(String::as_str), Some("-ERR 'Stale Connection'"));
    assert!(lines.len() > 1);
}
