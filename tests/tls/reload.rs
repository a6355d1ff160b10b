//! TLS that changes while the server runs (spec 02 §11.5).

use crate::certificates::Authority;
use crate::support::Server;
use crate::wire::{Secure, Setup};

fn members(authority: &Authority, name: &str) -> String {
    let (cert, key) = authority.write(name, &authority.server("localhost"));
    format!("cert_file: {cert:?}, key_file: {key:?}")
}

#[test]
fn tls_is_switched_on_and_off_for_connections_to_come() {
    let authority = Authority::new();
    let on = format!("tls {{ {} }}", members(&authority, "a"));
    let server = Server::start("");
    let mut plain = server.client("");
    assert_eq!(server.reload(&on), Ok(()));
    server.wait_for_log("Reloaded: tls = enabled");
    // With TLS there is more time to authenticate.
    server.wait_for_log("Reloaded: authorization timeout = 3");
    plain.expect_nothing();
    let mut secure = Secure::client(server.address(), &Setup::new(&authority));
    assert_eq!(secure.info["tls_required"], true);
    assert_eq!(server.reload(""), Ok(()));
    server.wait_for_log("Reloaded: tls = disabled");
    assert!(server.connect().info.get("tls_required").is_none());
    server.client("").expect_nothing();
    secure.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\n");
    secure.expect("MSG foo 1 5\r\nhello\r\n");
}

#[test]
fn another_certificate_and_rule_are_for_handshakes_to_come() {
    let (one, two) = (Authority::new(), Authority::new());
    let server = Server::start(&format!("tls {{ {} }}", members(&one, "a")));
    let mut before = Secure::client(server.address(), &Setup::new(&one));
    before.send("SUB foo 1\r\n");
    before.sync();
    let config = format!("tls {{ {}, {}, verify: true }}", members(&two, "b"), two.ca_config());
    assert_eq!(server.reload(&config), Ok(()));
    assert!(Secure::try_client(server.address(), &Setup::new(&one), "").is_err());
    let setup = Setup::new(&two);
    assert!(Secure::try_client(server.address(), &setup, "").is_err(), "no certificate");
    let mut after = Secure::client(server.address(), &setup.with_certificate(&two.client("c")));
    assert_eq!(after.info["tls_verify"], true);
    after.send("PUB foo 5\r\nhello\r\n");
    before.expect("MSG foo 1 5\r\nhello\r\n");
}

#[test]
fn files_that_changed_on_disk_are_read_again() {
    let (one, two) = (Authority::new(), Authority::new());
    let config = format!("tls {{ {} }}", members(&one, "server"));
    let server = Server::start(&config);
    Secure::client(server.address(), &Setup::new(&one)).sync();
    let renewed = two.server("localhost");
    one.write("server", &renewed);
    assert!(Secure::try_client(server.address(), &Setup::new(&two), "").is_err());
    assert_eq!(server.reload(&config), Ok(()));
    server.wait_for_log("Reloaded: tls = enabled");
    Secure::client(server.address(), &Setup::new(&two)).sync();
}

#[test]
fn several_certificates_come_and_go() {
    let (one, two) = (Authority::new(), Authority::new());
    let pair = |authority: &Authority| {
        let (cert, key) = authority.write("pair", &authority.server("localhost"));
        format!("{{cert_file: {cert:?}, key_file: {key:?}}}")
    };
    let server = Server::start(&format!("tls {{ certs: [{}] }}", pair(&one)));
    Secure::client(server.address(), &Setup::new(&one)).sync();
    assert_eq!(
        server.reload(&format!("tls {{ certs: [{}, {}] }}", pair(&two), pair(&one))),
        Ok(())
    );
    Secure::client(server.address(), &Setup::new(&two)).sync();
    let wrong = server.reload("tls { certs: [{cert_file: \"/nonexistent\", key_file: \"k\"}] }");
    assert!(wrong.is_err_and(|e| e.contains("nonexistent")));
    Secure::client(server.address(), &Setup::new(&two)).sync();
}

#[test]
fn settings_of_the_handshake_are_told_and_rules_of_users_cannot_change() {
    let authority = Authority::new();
    let files = members(&authority, "a");
    let server = Server::start(&format!("tls {{ {files} }}"));
    let pin = "ab".repeat(32);
    let config = format!(
        "tls {{ {files}, timeout: 1.5, pinned_certs: [\"{pin}\"], handshake_first: \"200ms\" }}"
    );
    assert_eq!(server.reload(&config), Ok(()));
    for line in [
        "Reloaded: tls timeout = 1.5",
        "Reloaded: 1 pinned_certs",
        "Reloaded: Client TLS handshake first: true",
        "Reloaded: Client TLS handshake first fallback delay: 200ms",
    ] {
        server.wait_for_log(line);
    }
    let ca = authority.ca_config();
    for (member, field) in [
        (format!("{ca}, verify_and_map: true"), "TLSMap: old=false, new=true"),
        ("connection_rate_limit: 5".to_owned(), "TLSRateLimit: old=0, new=5"),
    ] {
        let refusal = server.reload(&format!("tls {{ {files}, {member} }}"));
        assert_eq!(refusal, Err(format!("config reload not supported for {field}")));
    }
    assert_eq!(
        server.reload(&format!("allow_non_tls: true\ntls {{ {files} }}")),
        Err("config reload not supported for AllowNonTLS: old=false, new=true".to_owned())
    );
}

#[test]
fn tls_that_is_optional_stays_so_through_a_reload() {
    let authority = Authority::new();
    let tls = format!("tls {{ {} }}\nallow_non_tls: true", members(&authority, "a"));
    let server = Server::start(&format!("ping_interval: \"10s\"\n{tls}"));
    let check = || {
        let info = server.connect().info;
        assert_eq!(info["tls_available"], true);
        assert!(info.get("tls_required").is_none(), "{info}");
        server.client("").expect_nothing();
    };
    check();
    assert_eq!(server.reload(&format!("ping_interval: \"20s\"\n{tls}")), Ok(()));
    check();
}
