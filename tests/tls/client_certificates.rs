//! Clients' certificates: verified, pinned, shown.

use crate::certificates::Authority;
use crate::support::{Server, wait_until};
use crate::wire::{Secure, Setup};
use data_encoding::HEXLOWER;
use eventloop::rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;

fn start(authority: &Authority, tls: &str, others: &str) -> Server {
    let (files, ca) = (authority.server_config(), authority.ca_config());
    Server::start(&format!("debug: true\n{others}\ntls {{ {files}, {ca}, {tls} }}"))
}

fn spki_sha256(pair: &crate::certificates::Pair) -> String {
    let der = pair.der();
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    HEXLOWER.encode(&Sha256::digest(parsed.public_key().raw))
}

#[test]
fn a_certificate_of_the_authority_is_required() {
    let authority = Authority::new();
    let server = start(&authority, "verify: true", "");
    let own = authority.client("jim");
    for version in [&TLS12, &TLS13] {
        let mut setup = Setup::new(&authority);
        setup.versions = vec![version];
        assert!(Secure::try_client(server.address(), &setup, "").is_err());
        let setup = setup.with_certificate(&own);
        let mut client = Secure::client(server.address(), &setup);
        assert_eq!(client.info["tls_verify"], true);
        client.sync();
    }
    server.wait_for_log("TLS handshake error: tls: client didn't provide a certificate");
    server.wait_for_log("Client connection closed: TLS Handshake Failure");
}

#[test]
fn a_certificate_of_a_stranger_is_refused_and_named_in_the_log() {
    let authority = Authority::new();
    let server = start(&authority, "verify: true", "");
    let stranger = Authority::new().client("mallory");
    let setup = Setup::new(&authority).with_certificate(&stranger);
    assert!(Secure::try_client(server.address(), &setup, "").is_err());
    let line = server.wait_for_log(
        "TLS handshake error: tls: failed to verify certificate: \
         x509: certificate signed by unknown authority",
    );
    let fingerprint = HEXLOWER.encode(&Sha256::digest(stranger.der()));
    assert!(line.ends_with(&format!(" (CN=mallory,O=Synadia SHA-256: {fingerprint})")), "{line}");
    assert!(line.contains("[ERR]"), "{line}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = start(&authority, "verify: true", "");
    let old = authority.issue(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let setup = Setup::new(&authority).with_certificate(&old);
    assert!(Secure::try_client(server.address(), &setup, "").is_err());
    let line = server.wait_for_log("x509: certificate has expired or is not yet valid");
    assert!(line.contains(" is after 2020-01-02T00:00:00Z"), "{line}");
}

#[test]
fn only_pinned_keys_are_accepted() {
    let authority = Authority::new();
    let (pinned, other) = (authority.client("pinned"), authority.client("other"));
    let pin = spki_sha256(&pinned).to_uppercase();
    let server = start(&authority, &format!("verify: true, pinned_certs: [\"{pin}\"]"), "");
    let setup = Setup::new(&authority).with_certificate(&pinned);
    Secure::client(server.address(), &setup).sync();
    let setup = Setup::new(&authority).with_certificate(&other);
    assert!(Secure::try_client(server.address(), &setup, "").is_err());
    let line = server.wait_for_log("TLS handshake error: certificate not pinned");
    assert!(line.contains("[ERR]"), "{line}");
    let line = server.wait_for_log("Failed pinned cert test for key id: ");
    assert!(line.ends_with(&spki_sha256(&other)), "{line}");
    server.wait_for_log("Client connection closed: TLS Handshake Failure");
}

#[test]
fn pins_need_a_certificate() {
    let authority = Authority::new();
    let pin = "a".repeat(64);
    let server = start(&authority, &format!("pinned_certs: [\"{pin}\"]"), "");
    assert!(Secure::try_client(server.address(), &Setup::new(&authority), "").is_err());
    server.wait_for_log("Failed pinned cert test as client did not provide a certificate");
}

#[test]
fn monitoring_shows_the_session_and_the_certificate() {
    let authority = Authority::new();
    let server = start(&authority, "verify: true", "http: \"127.0.0.1:-1\"");
    let own = authority.client("jim");
    let setup = Setup::new(&authority).with_certificate(&own);
    let mut client = Secure::client(server.address(), &setup);
    let shown = server.monitor("/connz?auth=1")["connections"][0].clone();
    assert_eq!(shown["tls_version"], "1.3");
    assert_eq!(shown["tls_cipher_suite"], "TLS_AES_128_GCM_SHA256");
    assert!(shown.get("tls_first").is_none());
    let certificate = &shown["tls_peer_certs"][0];
    assert_eq!(certificate["subject"], "CN=jim,O=Synadia");
    assert_eq!(certificate["spki_sha256"], spki_sha256(&own));
    assert_eq!(certificate["cert_sha256"], HEXLOWER.encode(&Sha256::digest(own.der())));
    assert!(server.monitor("/connz")["connections"][0].get("tls_peer_certs").is_none());
    let varz = server.monitor("/varz");
    assert_eq!((&varz["tls_required"], &varz["tls_verify"]), (&true.into(), &true.into()));
    assert!(varz["tls_cert_not_after"].as_str().unwrap().ends_with('Z'));
    client.sync();
    drop(client);
    let closed = wait_until("the connection is closed", || {
        let closed = server.monitor("/connz?state=closed&auth=1");
        closed["connections"].get(0).cloned()
    });
    assert_eq!(closed["tls_version"], "1.3");
    assert!(closed.get("tls_peer_certs").is_none());
}

#[test]
fn resumed_sessions_keep_the_clients_identity() {
    let authority = Authority::new();
    let server = start(&authority, "verify: true", "http: \"127.0.0.1:-1\"");
    let own = authority.client("jim");
    let setup = Setup::new(&authority).with_certificate(&own);
    // Tickets are kept from one connection to the next.
    let config = setup.config();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = Secure::connect_with(server.address(), &config);
        client.try_greet("").unwrap();
        kinds.push(client.stream.conn.handshake_kind());
        let shown = server.monitor("/connz?auth=1&sort=start");
        let last = shown["connections"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["tls_peer_certs"][0]["subject"], "CN=jim,O=Synadia");
    }
    assert_eq!(kinds[1], Some(eventloop::rustls::HandshakeKind::Resumed));
}

#[test]
fn a_certificate_names_the_user() {
    let authority = Authority::new();
    let users = "authorization { users: [ { user: \"a@example\" }, { user: \"spiffe://x/b\" }, \
                 { user: \"O=Synadia,CN=jim\" }, { user: \"c.example\", password: secret } ] }";
    let server = start(&authority, "verify_and_map: true", users);
    let with_name =
        |name: rcgen::SanType| authority.issue(|params| params.subject_alt_names = vec![name]);
    let email = with_name(rcgen::SanType::Rfc822Name("a@example".try_into().unwrap()));
    let uri = with_name(rcgen::SanType::URI("spiffe://x/b".try_into().unwrap()));
    let dns = with_name(rcgen::SanType::DnsName("c.example".try_into().unwrap()));
    let refused = "-ERR 'Authorization Violation'".to_owned();
    let outcome = |pair: &crate::certificates::Pair, options: &str| {
        let setup = Setup::new(&authority).with_certificate(pair);
        let client = Secure::try_client(server.address(), &setup, options);
        client.map(|_| ()).map_err(|e| e.to_string())
    };
    for pair in [&email, &uri, &authority.client("jim")] {
        assert_eq!(outcome(pair, ""), Ok(()));
    }
    assert_eq!(outcome(&authority.client("joe"), ""), Err(refused.clone()));
    // A password that the user has is still asked for; a name that is sent is not looked at.
    assert_eq!(outcome(&dns, ""), Err(refused));
    assert_eq!(outcome(&dns, "\"user\":\"other\",\"pass\":\"secret\""), Ok(()));
}
