//! The handshake itself: versions, suites, curves, several certificates.

use crate::certificates::Authority;
use crate::support::Server;
use crate::wire::{Secure, Setup};
use eventloop::rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use eventloop::rustls::version::{TLS12, TLS13};

fn start(authority: &Authority, tls: &str) -> Server {
    let files = authority.server_config();
    Server::start(&format!("debug: true\ntls {{ {files}, {tls} }}"))
}

#[test]
fn info_requires_tls_and_the_connection_works_encrypted() {
    let authority = Authority::new();
    let server = start(&authority, "");
    server.wait_for_log("TLS required for client connections");
    let mut client = Secure::client(server.address(), &Setup::new(&authority));
    assert_eq!(client.info["tls_required"], true);
    assert!(client.info.get("tls_verify").is_none());
    assert!(client.info.get("tls_available").is_none());
    client.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\n");
    client.expect("MSG foo 1 5\r\nhello\r\n");
    server.wait_for_log("Starting TLS client connection handshake");
    server.wait_for_log("TLS handshake complete");
    server.wait_for_log("TLS version 1.3, cipher suite TLS_AES_128_GCM_SHA256");
}

#[test]
fn both_versions_are_spoken_and_the_lower_one_can_be_excluded() {
    let authority = Authority::new();
    let mut old = Setup::new(&authority);
    old.versions = vec![&TLS12];
    let mut new = Setup::new(&authority);
    new.versions = vec![&TLS13];
    let server = start(&authority, "");
    let mut client = Secure::client(server.address(), &old);
    client.sync();
    server.wait_for_log("TLS version 1.2, cipher suite TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    Secure::client(server.address(), &new).sync();
    let server = start(&authority, "min_version: \"1.3\"");
    Secure::client(server.address(), &new).sync();
    assert!(Secure::try_connect(server.address(), &old).is_err());
    server.wait_for_log("TLS handshake error: tls: client offered only unsupported versions");
}

#[test]
fn only_configured_suites_are_agreed_on() {
    let authority = Authority::new();
    let server = start(&authority, "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]");
    let mut setup = Setup::new(&authority);
    setup.versions = vec![&TLS12];
    Secure::client(server.address(), &setup).sync();
    server.wait_for_log("cipher suite TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    setup.suites = Some(vec![cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]);
    assert!(Secure::try_connect(server.address(), &setup).is_err());
    server.wait_for_log(
        "TLS handshake error: tls: no cipher suite supported by both client and server",
    );
}

#[test]
fn only_configured_curves_are_agreed_on() {
    let authority = Authority::new();
    let server = start(&authority, "curve_preferences: [CurveP384]");
    let mut setup = Setup::new(&authority);
    setup.groups = Some(vec![kx_group::X25519, kx_group::SECP384R1]);
    Secure::client(server.address(), &setup).sync();
    setup.groups = Some(vec![kx_group::X25519]);
    assert!(Secure::try_connect(server.address(), &setup).is_err());
    // The hybrid that the reference prefers is there by default.
    let server = start(&authority, "");
    setup.groups = Some(vec![kx_group::X25519MLKEM768]);
    Secure::client(server.address(), &setup).sync();
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new();
    let files: Vec<String> = ["a.example", "b.example"]
        .into_iter()
        .map(|name| {
            let (cert, key) = authority.write(name, &authority.server(name));
            format!("{{ cert_file: {cert:?}, key_file: {key:?} }}")
        })
        .collect();
    let server = Server::start(&format!("tls {{ certs: [ {} ] }}", files.join(", ")));
    for name in ["a.example", "b.example"] {
        let mut setup = Setup::new(&authority);
        setup.name = name;
        Secure::client(server.address(), &setup).sync();
    }
    // Any other name gets the first one, which is not this client's.
    let mut setup = Setup::new(&authority);
    setup.name = "c.example";
    assert!(Secure::try_connect(server.address(), &setup).is_err());
}

#[test]
fn a_client_that_does_not_trust_the_server_says_so() {
    let authority = Authority::new();
    let server = start(&authority, "");
    let stranger = Authority::new();
    assert!(Secure::try_connect(server.address(), &Setup::new(&stranger)).is_err());
    server.wait_for_log("TLS handshake error: remote error: tls: unknown certificate authority");
    server.wait_for_log("Client connection closed: TLS Handshake Failure");
}

#[test]
fn no_more_handshakes_begin_in_a_second_than_allowed() {
    let authority = Authority::new();
    let server = start(&authority, "connection_rate_limit: 3");
    let mut refused = Vec::new();
    let mut plain: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for wire in &mut plain {
        // A connection that may go on gets nothing more until it begins its handshake.
        wire.stream.set_nonblocking(true).unwrap();
    }
    server.wait_for_log("connections due to TLS rate limiting");
    for mut wire in plain {
        wire.stream.set_nonblocking(false).unwrap();
        wire.stream.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        let mut bytes = [0; 256];
        if let Ok(n) = std::io::Read::read(&mut wire.stream, &mut bytes) {
            refused.push(String::from_utf8_lossy(&bytes[..n]).into_owned());
        }
    }
    // The connects may straddle windows, each of which admits three.
    assert!(refused.len() >= 25, "{} refused", refused.len());
    for text in refused {
        let want = "-ERR 'Connection throttling is active. Please try again later.'\r\n";
        assert!(text == want || text.is_empty(), "{text:?}");
    }
    server.wait_for_log("Client connection closed: Maximum Connections Exceeded");
}
