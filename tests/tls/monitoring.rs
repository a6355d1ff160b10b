//! Monitoring over HTTPS (spec 04 §2).

use crate::certificates::Authority;
use crate::support::Server;
use crate::wire::{Secure, Setup, open};
use std::io::{Read, Write};
use std::net::SocketAddr;

fn start(authority: &Authority, tls: &str) -> (Server, SocketAddr) {
    let (files, ca) = (authority.server_config(), authority.ca_config());
    let server = Server::start(&format!("https: \"127.0.0.1:-1\"\ntls {{ {files}, {ca}, {tls} }}"));
    let line = server.wait_for_log("Starting https monitor on ");
    let address = line.rsplit(' ').next().and_then(|a| a.parse().ok()).unwrap();
    (server, address)
}

fn get(client: &mut Secure, path: &str) -> String {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    let mut answer = String::new();
    client.stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn documents_are_served_encrypted_and_without_client_certificates() {
    let authority = Authority::new();
    let (_server, address) = start(&authority, "verify: true");
    let mut client = Secure::upgrade(open(address), &Setup::new(&authority)).unwrap();
    let answer = get(&mut client, "/varz");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let body = &answer[answer.find("{").unwrap()..];
    assert!(body.contains("\"tls_verify\": true"), "{body}");
}

#[test]
fn a_plain_request_is_told_where_it_is() {
    let authority = Authority::new();
    let (server, address) = start(&authority, "");
    let mut plain = open(address);
    plain.write_all(b"GET /varz HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
    server.wait_for_log("client sent an HTTP request to an HTTPS server");
}

#[test]
fn garbage_is_reported_and_hurts_nobody_else() {
    let authority = Authority::new();
    let (server, address) = start(&authority, "");
    let mut bad = open(address);
    bad.write_all(b"\0\0\0\0\0\0\0\0").unwrap();
    let local = bad.local_addr().unwrap();
    server.wait_for_log(&format!("monitoring: TLS handshake error from {local}: "));
    let mut client = Secure::upgrade(open(address), &Setup::new(&authority)).unwrap();
    assert!(get(&mut client, "/healthz").contains("\"status\":\"ok\""));
}

#[test]
fn another_certificate_serves_after_a_reload() {
    let (one, two) = (Authority::new(), Authority::new());
    let (server, address) = start(&one, "verify_and_map: true");
    let connect = |of: &Authority| Secure::upgrade(open(address), &Setup::new(of));
    assert!(connect(&two).is_err() && connect(&one).is_ok());
    let (files, ca) = (two.server_config(), two.ca_config());
    let config = format!("https: \"127.0.0.1:-1\"\ntls {{ {files}, {ca}, verify_and_map: true }}");
    assert_eq!(server.reload(&config), Ok(()));
    assert!(connect(&one).is_err());
    let answer = get(&mut connect(&two).unwrap(), "/healthz");
    assert!(answer.contains("\"status\":\"ok\""), "no certificate is asked for: {answer}");
}
