//! The PROXY protocol in front of client connections (spec 01 §11).

use crate::support::{Server, Wire};
use serde_json::Value;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\nPING\r\n";

fn server() -> Server {
    Server::start("proxy_protocol: true\ndebug: true\nhttp: \"127.0.0.1:-1\"")
}

/// Sends a header and CONNECT; gives the INFO that follows the first PONG.
fn connected(server: &Server, header: &[u8]) -> (Wire, Value) {
    let mut client = server.connect();
    assert!(client.info.get("client_ip").is_none(), "{}", client.info);
    client.send(header);
    client.send(CONNECT);
    client.expect("PONG\r\n");
    let info = client.next_info();
    (client, info)
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.push(command);
    bytes.push(family);
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn ipv4() -> Vec<u8> {
    let mut body = vec![192, 168, 1, 50, 10, 0, 0, 1];
    body.extend_from_slice(&12345u16.to_be_bytes());
    body.extend_from_slice(&4222u16.to_be_bytes());
    body
}

#[test]
fn version_1_gives_the_address_of_the_client() {
    let server = server();
    server.wait_for_log("PROXY protocol enabled for client connections");
    let header = b"PROXY TCP4 203.0.113.50 10.0.0.1 54321 4222\r\n";
    let (client, info) = connected(&server, header);
    assert_eq!(info["client_ip"], "203.0.113.50");
    let connz = server.monitor("/connz");
    assert_eq!(connz["connections"][0]["ip"], "203.0.113.50");
    assert_eq!(connz["connections"][0]["port"], 54321);
    // Log lines name the proxy.
    let local = client.stream.local_addr().unwrap();
    drop(client);
    let line = server.wait_for_log("Client connection closed: Client Closed");
    assert!(line.contains(&format!("{local} - cid:")), "{line}");
}

#[test]
fn version_1_takes_ipv6_and_the_bytes_behind_the_header() {
    let server = server();
    let header = b"PROXY TCP6 2001:db8::1 2001:db8::2 12345 443\r\nPING\r\n";
    let mut client = server.connect();
    client.send(header);
    client.expect("PONG\r\n");
    client.send(CONNECT);
    client.expect("PONG\r\n");
    assert_eq!(client.next_info()["client_ip"], "2001:db8::1");
    assert_eq!(server.monitor("/connz")["connections"][0]["ip"], "2001:db8::1");
}

#[test]
fn version_2_gives_the_address_of_the_client() {
    let server = server();
    let (_client, info) = connected(&server, &v2(0x21, 0x11, &ipv4()));
    assert_eq!(info["client_ip"], "192.168.1.50");
    let connz = server.monitor("/connz");
    assert_eq!(connz["connections"][0]["ip"], "192.168.1.50");
    assert_eq!(connz["connections"][0]["port"], 12345);
    // Additional fields are skipped.
    let mut body = ipv4();
    body.extend_from_slice(&[0x20; 300]);
    assert_eq!(connected(&server, &v2(0x21, 0x11, &body)).1["client_ip"], "192.168.1.50");
    let mut body = std::net::Ipv6Addr::LOCALHOST.octets().to_vec();
    body.extend_from_slice(&[0; 16]);
    body.extend_from_slice(&[0, 7, 0, 8]);
    assert_eq!(connected(&server, &v2(0x21, 0x21, &body)).1["client_ip"], "::1");
}

#[test]
fn checks_by_the_proxy_itself_keep_the_address_of_the_socket() {
    let server = server();
    let headers = [v2(0x20, 0x00, b""), v2(0x20, 0x11, &ipv4()), v2(0x21, 0x01, &[1, 2, 3]), {
        b"PROXY UNKNOWN whatever it says\r\n".to_vec()
    }];
    for header in headers {
        assert_eq!(connected(&server, &header).1["client_ip"], "127.0.0.1");
    }
}

#[test]
fn connections_without_a_header_are_served() {
    let server = server();
    assert_eq!(connected(&server, b"").1["client_ip"], "127.0.0.1");
    let mut client = server.connect();
    client.send("PING\r\n");
    client.expect("PONG\r\n");
    // A verb that begins like a header, and one that is not valid.
    let mut client = server.connect();
    client.send("PROXYX\r\n");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
}

#[test]
fn headers_may_come_byte_by_byte() {
    let server = server();
    let mut v1 = b"PROXY TCP4 203.0.113.50 10.0.0.1 54321 4222\r\n".to_vec();
    v1.extend_from_slice(CONNECT.as_bytes());
    let mut v2 = v2(0x21, 0x11, &ipv4());
    v2.extend_from_slice(CONNECT.as_bytes());
    for (bytes, ip) in [(v1, "203.0.113.50"), (v2, "192.168.1.50")] {
        let mut client = server.connect();
        for byte in bytes {
            client.send([byte]);
        }
        client.expect("PONG\r\n");
        assert_eq!(client.next_info()["client_ip"], ip);
    }
}

#[test]
fn bad_headers_close_without_an_error_line_and_are_logged() {
    let server = server();
    let long = format!("PROXY TCP4 {}", "1".repeat(200));
    let short4 = v2(0x21, 0x11, &[1, 2, 3]);
    let short6 = v2(0x21, 0x21, &[1; 20]);
    let cases: [(&[u8], &str); 14] = [
        (b"PROXY TCP4 1.2.3.4\r\n", "invalid PROXY protocol header: invalid v1 format"),
        (b"PROXY TCP4 x 10.0.0.1 1 2\r\n", "invalid PROXY protocol header: invalid address"),
        (b"PROXY TCP4 ::1 ::2 1 2\r\n", "invalid PROXY protocol header: TCP4 with IPv6 address"),
        (
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "invalid PROXY protocol header: TCP6 with IPv4 address",
        ),
        (
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "invalid PROXY protocol header: invalid protocol UDP4",
        ),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 x 2\r\n", "invalid source port: "),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n", "invalid dest port: "),
        (long.as_bytes(), "invalid PROXY protocol header: v1 line too long"),
        (b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0", "invalid PROXY protocol header: invalid signature"),
        (b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0", "invalid PROXY protocol header: invalid version 0x"),
        (b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\0", "unknown PROXY protocol command: 0x0f"),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\0",
            "unsupported PROXY protocol feature: only STREAM protocol supported",
        ),
        (&short4, "IPv4 address data too short: 3 bytes"),
        (&short6, "IPv6 address data too short: 20 bytes"),
    ];
    for (bytes, log) in cases {
        let mut client = server.connect();
        let local = client.stream.local_addr().unwrap();
        client.send(bytes);
        client.expect_close();
        let line = server.wait_for_log(log);
        let text = format!("Error reading PROXY protocol header from {local}: {log}");
        assert!(line.contains(&text), "{line}");
    }
    server.wait_for_log("Client connection closed: Protocol Violation");
    let mut client = server.connect();
    client.send(v2(0x21, 0x31, &[0; 216]));
    client.expect_close();
    server.wait_for_log("unsupported PROXY protocol feature: unsupported address family 0x30");
}

#[test]
fn a_peer_that_closes_within_the_header_is_logged() {
    let server = server();
    for bytes in [&b"PRO"[..], b"PROXY TCP4 1", b"\r\n\r\n\0\r\nQUI"] {
        let mut client = server.connect();
        let local = client.stream.local_addr().unwrap();
        client.send(bytes);
        drop(client);
        server.wait_for_log(&format!(
            "Error reading PROXY protocol header from {local}: failed to read"
        ));
    }
}

#[test]
fn silent_peers_are_closed_and_disturb_nobody() {
    let server = server();
    let mut silent = server.connect();
    let mut begun = server.connect();
    begun.send("PROXY TCP4 1.2.3.4");
    assert_eq!(connected(&server, b"").1["client_ip"], "127.0.0.1");
    silent.expect_close();
    begun.expect_close();
    let log = "Error reading PROXY protocol header from ";
    server.wait_for_log(&format!("{log}{}", silent.stream.local_addr().unwrap()));
    server.wait_for_log(&format!("{log}{}", begun.stream.local_addr().unwrap()));
}

#[test]
fn without_the_option_a_header_is_no_protocol() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("PROXY TCP4 203.0.113.50 10.0.0.1 54321 4222\r\n");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
}
