//! Users, nkeys, passwords and tokens (spec 03 §2 to §4, spec 01 §2.9 and §4).

use crate::support::{Server, Wire};
use crate::{accepted, connect_line, login, refused};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use nkeys::KeyPair;

/// Of `sesame`.
fn hash() -> String {
    bcrypt::hash("sesame", 4).expect("hashed")
}

#[test]
fn several_users_log_in_with_their_own_passwords() {
    let server = Server::start(
        "authorization { users = [ {user: alice, password: foo}, {user: bob, password: bar} ] }",
    );
    assert_eq!(server.connect().info["auth_required"], true);
    assert!(server.connect().info.get("nonce").is_none());
    accepted(&server, r#""user":"alice","pass":"foo""#);
    accepted(&server, r#""user":"bob","pass":"bar""#);
    refused(&server, r#""user":"alice","pass":"bar""#);
    refused(&server, r#""user":"carol","pass":"foo""#);
    refused(&server, "");
    server.wait_for_log("authentication error - User \"carol\"");
    server.wait_for_log("Plaintext passwords detected, use nkeys or bcrypt");
}

#[test]
fn hashed_passwords_are_checked() {
    let server = Server::start(&format!(
        "authorization {{ users = [ {{user: a, password: \"{}\"}}, {{user: b, password: \"plain\"}} ] }}",
        hash()
    ));
    accepted(&server, r#""user":"a","pass":"sesame""#);
    refused(&server, r#""user":"a","pass":"wrong""#);
    refused(&server, &format!(r#""user":"a","pass":"{}""#, hash()));
    accepted(&server, r#""user":"b","pass":"plain""#);
}

#[test]
fn a_single_user_and_a_token_may_be_hashed() {
    let single = Server::start(&format!("authorization {{ user: u, password: \"{}\" }}", hash()));
    accepted(&single, r#""user":"u","pass":"sesame""#);
    refused(&single, r#""user":"u","pass":"other""#);
    let token = Server::start(&format!("authorization {{ token: \"{}\" }}", hash()));
    accepted(&token, r#""auth_token":"sesame""#);
    refused(&token, r#""auth_token":"other""#);
    token.wait_for_log("authentication error - Token \"[REDACTED]\"");
}

#[test]
fn commands_behind_a_connect_wait_for_the_password_and_keep_their_order() {
    let server = Server::start(&format!(
        "authorization {{ users = [ {{user: a, password: \"{}\"}} ] }}",
        hash()
    ));
    let mut wire = server.connect();
    let mut all =
        String::from("CONNECT {\"user\":\"a\",\"pass\":\"sesame\",\"verbose\":false}\r\n");
    all.push_str("SUB foo 1\r\n");
    for n in 0..500 {
        all.push_str(&format!("PUB foo 3\r\n{n:03}\r\n"));
    }
    all.push_str("PING\r\n");
    wire.send(&all);
    for n in 0..500 {
        wire.expect(format!("MSG foo 1 3\r\n{n:03}\r\n"));
    }
    wire.expect("PONG\r\n");
}

#[test]
fn a_client_that_leaves_while_its_password_is_checked_harms_nobody() {
    let server = Server::start(&format!(
        "authorization {{ users = [ {{user: a, password: \"{}\"}} ] }}",
        bcrypt::hash("sesame", 6).expect("hashed")
    ));
    for _ in 0..20 {
        let mut wire = server.connect();
        wire.send(connect_line(r#""user":"a","pass":"sesame""#));
    }
    accepted(&server, r#""user":"a","pass":"sesame""#);
}

#[test]
fn logins_that_are_hashed_do_not_hold_up_other_connections() {
    let server = Server::start(&format!(
        "authorization {{ users = [ {{user: slow, password: \"{}\"}}, {{user: b, password: b}} ] }}",
        bcrypt::hash("sesame", 9).expect("hashed")
    ));
    let mut other = accepted(&server, r#""user":"b","pass":"b""#);
    let mut slow: Vec<Wire> =
        (0..4).map(|_| login(&server, r#""user":"slow","pass":"sesame""#)).collect();
    // All of these are answered although no password can have been checked yet: the last of the
    // slow logins is still to be answered afterwards.
    for _ in 0..50 {
        other.expect_nothing();
    }
    for wire in &mut slow {
        assert_eq!(wire.until_pong(), Vec::<String>::new());
    }
}

fn nkey_server(key: &KeyPair, more: &str) -> Server {
    Server::start(&format!("authorization {{ users = [ {{nkey: {}}} {more} ] }}", key.public_key()))
}

fn signed(wire: &Wire, key: &KeyPair) -> Vec<u8> {
    let nonce = wire.info["nonce"].as_str().expect("a nonce");
    assert_eq!(nonce.len(), 15);
    key.sign(nonce.as_bytes()).expect("signs")
}

#[test]
fn nkey_users_sign_the_nonce_of_their_connection() {
    let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server = nkey_server(&key, ", {user: u, password: p}");
    for encode in [|b: &[u8]| BASE64URL_NOPAD.encode(b), |b: &[u8]| BASE64.encode(b)] {
        let mut wire = server.connect();
        let sig = encode(&signed(&wire, &key));
        let members = format!(r#""nkey":"{}","sig":"{sig}""#, key.public_key());
        wire.send(connect_line(&members));
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        // The same signature is worth nothing on another connection.
        refused(&server, &members);
    }
    let mut wire = server.connect();
    let sig = BASE64URL_NOPAD.encode(&signed(&wire, &other));
    wire.send(connect_line(&format!(r#""nkey":"{}","sig":"{sig}""#, key.public_key())));
    wire.expect_error("Authorization Violation");
    wire.expect_close();
    refused(&server, &format!(r#""nkey":"{}""#, key.public_key()));
    refused(&server, &format!(r#""nkey":"{}","sig":"@""#, key.public_key()));
    accepted(&server, r#""user":"u","pass":"p""#);
    server.wait_for_log(&format!("authentication error - Nkey \"{}\"", key.public_key()));
}

#[test]
fn every_connection_gets_a_nonce_of_its_own() {
    let server = nkey_server(&KeyPair::new_user(), "");
    let nonces: std::collections::HashSet<String> = (0..20)
        .map(|_| server.connect().info["nonce"].as_str().expect("a nonce").to_owned())
        .collect();
    assert_eq!(nonces.len(), 20);
}

#[test]
fn clients_without_credentials_become_the_no_auth_user() {
    let server = Server::start(
        "authorization { users = [ {user: a, password: p}, {user: guest, password: g, \
         permissions: {publish: open}} ] }\nno_auth_user: guest",
    );
    assert!(server.connect().info.get("auth_required").is_none());
    let mut guest = accepted(&server, "");
    guest.send("PUB open 0\r\n\r\nPUB closed 0\r\n\r\n");
    assert_eq!(guest.sync(), [r#"-ERR 'Permissions Violation for Publish to "closed"'"#]);
    let mut a = accepted(&server, r#""user":"a","pass":"p""#);
    a.send("PUB closed 0\r\n\r\n");
    a.expect_nothing();
    refused(&server, r#""user":"guest""#);
    refused(&server, r#""auth_token":"x""#);
}

#[test]
fn the_no_auth_user_may_leave_connect_out() {
    let server = Server::start(
        "authorization { users = [ {user: guest, password: g} ] }\nno_auth_user: guest",
    );
    let mut wire = server.connect();
    wire.send("PING\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\n");
    wire.expect("PONG\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n");
    // A CONNECT may still follow, and is the second one.
    wire.send(connect_line(""));
    wire.expect("PONG\r\n");
    wire.send("PUB foo 2\r\nno\r\n");
    wire.expect_nothing();
}

#[test]
fn other_commands_before_connect_are_refused() {
    let restricted = [
        "authorization { user: u, password: p }".to_owned(),
        "authorization { users = [ {user: g, password: p} ] }".to_owned(),
        "authorization { users = [ {user: g, password: p, proxy_required: true} ] }\n\
         no_auth_user: g"
            .to_owned(),
        "authorization { users = [ {user: g, password: p, connection_types: [MQTT]} ] }\n\
         no_auth_user: g"
            .to_owned(),
        {
            let key = KeyPair::new_user().public_key();
            format!("authorization {{ users = [ {{nkey: {key}}} ] }}\nno_auth_user: {key}")
        },
    ];
    for config in restricted {
        let server = Server::start(&config);
        let mut wire = server.connect();
        wire.send("PING\r\n");
        wire.expect_error("Authorization Violation");
        wire.expect_close();
    }
}

#[test]
fn silence_ends_with_the_authentication_timeout() {
    for config in [
        "authorization { user: u, password: p, timeout: 0.1 }",
        "authorization { timeout: 0.1, users = [ {user: g, password: p} ] }\nno_auth_user: g",
    ] {
        let server = Server::start(config);
        let mut wire = server.connect();
        wire.expect_error("Authentication Timeout");
        wire.expect_close();
    }
}

#[test]
fn users_may_be_restricted_to_kinds_of_connections() {
    let server = Server::start(
        "authorization { users = [ \
         {user: a, password: p, allowed_connection_types: [standard, WEBSOCKET]}, \
         {user: b, password: p, allowed_connection_types: [MQTT, LEAFNODE]} ] }",
    );
    accepted(&server, r#""user":"a","pass":"p""#);
    refused(&server, r#""user":"b","pass":"p""#);
}

#[test]
fn users_may_be_restricted_to_trusted_proxies() {
    let proxy = KeyPair::new_server();
    let server = Server::start(&format!(
        "proxies {{ trusted = [ {{key: {}}} ] }}\n\
         authorization {{ users = [ {{user: a, password: p, proxy_required: true}}, \
         {{user: b, password: p}} ] }}\nserver_name: proxied\nhttp: \"127.0.0.1:-1\"",
        proxy.public_key()
    ));
    let by_proxy = |key: &KeyPair, user: &str| {
        let mut wire = server.connect();
        let sig = BASE64URL_NOPAD.encode(&signed(&wire, key));
        wire.send(connect_line(&format!(r#""user":"{user}","pass":"p","proxy_sig":"{sig}""#)));
        wire
    };
    assert_eq!(by_proxy(&proxy, "a").until_pong(), Vec::<String>::new());
    assert_eq!(by_proxy(&proxy, "b").until_pong(), Vec::<String>::new());
    accepted(&server, r#""user":"b","pass":"p""#);
    refused(&server, r#""user":"a","pass":"p""#);
    let mut wire = by_proxy(&KeyPair::new_server(), "b");
    wire.expect_error("Authorization Violation");
    wire.expect_close();
}

#[test]
fn a_later_connect_authenticates_anew() {
    let server = Server::start(
        "accounts { A { users = [ {user: a, password: p} ] }, B { users = [ {user: b, password: p} ] } }",
    );
    let mut in_b = accepted(&server, r#""user":"b","pass":"p""#);
    let mut wire = accepted(&server, r#""user":"a","pass":"p""#);
    wire.send("SUB foo 1\r\n");
    wire.expect_nothing();
    wire.send(connect_line(r#""user":"b","pass":"p""#));
    assert_eq!(wire.until_pong(), Vec::<String>::new());
    // The subscription is gone, and so is the first account.
    in_b.send("SUB bar 1\r\nPUB foo 1\r\nx\r\n");
    in_b.expect_nothing();
    wire.send("PUB bar 2\r\nhi\r\n");
    wire.expect_nothing();
    in_b.expect("MSG bar 1 2\r\nhi\r\n");
    wire.send(connect_line(r#""user":"b","pass":"wrong""#));
    wire.expect_error("Authorization Violation");
    wire.expect_close();
}

#[test]
fn naming_an_account_is_a_violation() {
    let server = Server::start("");
    refused(&server, r#""account":"A""#);
    refused(&server, r#""new_account":true"#);
}

#[test]
fn bad_credentials_of_any_shape_are_refused_without_harm() {
    let key = KeyPair::new_user();
    let server = nkey_server(&key, "");
    let long = "A".repeat(1500);
    for members in [
        format!(r#""nkey":"{long}""#),
        format!(r#""nkey":"{}","sig":"{long}""#, key.public_key()),
        format!(r#""nkey":"{}","sig":"\u0000""#, key.public_key()),
        r#""nkey":"","sig":"AAAA""#.to_owned(),
        format!(r#""user":"{long}","pass":"{long}""#),
        format!(r#""jwt":"{long}""#),
    ] {
        refused(&server, &members);
    }
}

#[test]
fn unknown_connection_types_stop_the_start() {
    let config = "listen: \"127.0.0.1:-1\"\nauthorization { users = [ \
                  {user: u, password: p, allowed_connection_types: [STANDARD, TELEGRAPH]} ] }\n";
    let mut server = Server::launch(Some(config), &[]);
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("invalid connection types [\"TELEGRAPH\"]"), "{output}");
}
