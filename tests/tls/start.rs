//! Starts that fail, and what is said at those that do not.

use crate::certificates::Authority;
use crate::support::Server;

fn failure(config: &str) -> String {
    let config = format!("listen: \"127.0.0.1:-1\"\n{config}\n");
    let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    output
}

#[test]
fn certificates_that_cannot_be_used_fail_the_start() {
    let authority = Authority::new();
    let (cert, key) = authority.write("a", &authority.server("localhost"));
    let (_, other) = authority.write("b", &authority.server("localhost"));
    let table = [
        (
            format!("cert_file: {cert:?}, key_file: {other:?}"),
            "error parsing X509 certificate/key pair: tls: private key does not match public key",
        ),
        (
            format!("cert_file: {key:?}, key_file: {cert:?}"),
            "error parsing X509 certificate/key pair: tls: failed to find certificate PEM data in \
             certificate input, but did find a private key; PEM inputs may have been switched",
        ),
        (format!("cert_file: {cert:?}"), "missing 'key_file' in TLS configuration"),
        (format!("key_file: {key:?}"), "missing 'cert_file' in TLS configuration"),
        (
            format!("cert_file: {cert:?}, key_file: \"/nowhere/key.pem\""),
            "error parsing X509 certificate/key pair: open /nowhere/key.pem: no such file or directory",
        ),
        (
            format!("cert_file: {cert:?}, key_file: {key:?}, ca_file: {key:?}, verify: true"),
            "failed to parse root ca certificate",
        ),
        (
            format!("cert_file: {cert:?}, key_file: {key:?}, curve_preferences: [CurveP521]"),
            "none of the configured curves is supported: CurveP521",
        ),
    ];
    for (tls, want) in table {
        let output = failure(&format!("tls {{ {tls} }}"));
        assert!(output.contains(want), "{tls}: {output}");
    }
}

#[test]
fn ocsp_is_refused_by_name() {
    let authority = Authority::new();
    let (files, ca) = (authority.server_config(), authority.ca_config());
    let output = failure(&format!("ocsp: true\ntls {{ {files} }}"));
    assert!(output.contains("not supported by this build: ocsp"), "{output}");
    let output = failure(&format!("tls {{ {files}, {ca}, verify: true, ocsp_peer: true }}"));
    assert!(output.contains("not supported by this build: ocsp_peer"), "{output}");
    // Switched off, it is not missed.
    Server::start(&format!("ocsp: false\ntls {{ {files}, ocsp_peer: false }}"));
}

#[test]
fn suites_that_are_not_offered_are_warned_of() {
    let authority = Authority::new();
    let files = authority.server_config();
    let server = Server::start(&format!(
        "tls {{ {files}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, \
         TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256] }}"
    ));
    let line = server.wait_for_log(
        "TLS cipher suite TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not supported and not offered",
    );
    assert!(line.contains("[WRN]"), "{line}");
}

#[test]
fn flags_configure_tls() {
    let authority = Authority::new();
    let (cert, key) = authority.write("flags", &authority.server("localhost"));
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (cert, key) = (text(cert), text(key));
    let ca = text(authority.dir.path().join("ca.pem"));
    let server = Server::start_with(
        "",
        &["--tlsverify", "--tlscert", &cert, "--tlskey", &key, "--tlscacert", &ca],
    );
    let setup = crate::wire::Setup::new(&authority).with_certificate(&authority.client("jim"));
    crate::wire::Secure::client(server.address(), &setup).sync();
}
