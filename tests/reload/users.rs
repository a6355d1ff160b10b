//! Who may be connected, and what they may do.

use crate::support::{Server, Wire};
use crate::{closed, refused, told};
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;

const MONITOR: &str = "http: \"127.0.0.1:-1\"\n";

fn user(name: &str, password: &str) -> String {
    format!("\"user\":\"{name}\",\"pass\":\"{password}\"")
}

fn login(server: &Server, members: &str) -> Wire {
    let mut wire = server.connect();
    wire.send(format!("CONNECT {{\"verbose\":false,{members}}}\r\nPING\r\n"));
    wire
}

fn is_refused(server: &Server, members: &str) {
    refused(&mut login(server, members));
}

#[test]
fn switching_authentication_on_ends_anonymous_connections() {
    for (config, members) in [
        ("authorization { user: tyler, password: s3cr3t }", user("tyler", "s3cr3t")),
        ("authorization { token: s3cr3t }", "\"auth_token\":\"s3cr3t\"".to_owned()),
        ("authorization { users: [{user: tyler, password: s3cr3t}] }", user("tyler", "s3cr3t")),
    ] {
        let server = Server::start("");
        let mut anonymous = server.client("");
        assert_eq!(server.reload(config), Ok(()));
        refused(&mut anonymous);
        assert_eq!(server.connect().info["auth_required"], true);
        is_refused(&server, "\"name\":\"nobody\"");
        server.client(&members).expect_nothing();
    }
}

#[test]
fn switching_authentication_off_keeps_connections() {
    for (config, members) in [
        ("authorization { user: tyler, password: s3cr3t }", user("tyler", "s3cr3t")),
        ("authorization { token: s3cr3t }", "\"auth_token\":\"s3cr3t\"".to_owned()),
        ("authorization { users: [{user: tyler, password: s3cr3t}] }", user("tyler", "s3cr3t")),
    ] {
        let server = Server::start(config);
        let mut client = server.client(&members);
        assert_eq!(server.reload(""), Ok(()));
        client.expect_nothing();
        assert!(server.connect().info.get("auth_required").is_none());
        server.client("").expect_nothing();
    }
}

#[test]
fn other_credentials_of_the_single_user_end_its_connections() {
    let server = Server::start("authorization { user: tyler, password: one }");
    let mut client = server.client(&user("tyler", "one"));
    assert_eq!(server.reload("authorization { user: tyler, password: one, timeout: 3 }"), Ok(()));
    client.expect_nothing();
    assert_eq!(server.reload("authorization { user: derek, password: two }"), Ok(()));
    let lines = told(&server);
    assert!(lines.contains(&"Reloaded: authorization username".to_owned()));
    assert!(lines.contains(&"Reloaded: authorization password".to_owned()));
    refused(&mut client);
    is_refused(&server, &user("tyler", "one"));
    server.client(&user("derek", "two")).expect_nothing();
    server.wait_for_log("authentication error - User \"tyler\"");
}

#[test]
fn another_token_ends_connections_with_the_old_one() {
    let server = Server::start("authorization { token: one }");
    let mut client = server.client("\"auth_token\":\"one\"");
    assert_eq!(server.reload("authorization { token: two }"), Ok(()));
    assert!(told(&server).contains(&"Reloaded: authorization token".to_owned()));
    refused(&mut client);
    is_refused(&server, "\"auth_token\":\"one\"");
    server.client("\"auth_token\":\"two\"").expect_nothing();
}

#[test]
fn users_whose_password_changed_are_refused_those_that_are_gone_are_closed_others_stay() {
    let server = Server::start(&format!(
        "{MONITOR}authorization {{ users: [
            {{user: a, password: one}}, {{user: b, password: one}}, {{user: c, password: one}} ] }}"
    ));
    let (mut a, mut b, mut c) = (
        server.client(&user("a", "one")),
        server.client(&user("b", "one")),
        server.client(&user("c", "one")),
    );
    let config = "authorization { users: [{user: a, password: two}, {user: c, password: one}] }";
    assert_eq!(server.reload(&format!("{MONITOR}{config}")), Ok(()));
    refused(&mut a);
    closed(&mut b);
    c.expect_nothing();
    is_refused(&server, &user("b", "one"));
    server.client(&user("a", "two")).expect_nothing();
    let reasons = server.wait_for_monitor("/connz?state=closed", |v| {
        v["connections"].as_array().is_some_and(|c| c.len() >= 3)
    });
    let reason = |cid: &serde_json::Value| {
        let all = reasons["connections"].as_array().unwrap();
        let found = all.iter().find(|c| c["cid"] == *cid).unwrap();
        found["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(&a.info["client_id"]), "Authentication Failure");
    assert_eq!(reason(&b.info["client_id"]), "Client Closed");
}

#[test]
fn hashed_passwords_are_not_hashed_again_unless_the_hash_is_another() {
    let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
    let (one, same, other) = (hash("sesame"), hash("sesame"), hash("other"));
    let config =
        |hash: &str| format!("authorization {{ users: [{{user: a, password: \"{hash}\"}}] }}");
    let server = Server::start(&config(&one));
    let mut client = server.client(&user("a", "sesame"));
    for hash in [&one, &same, &same] {
        assert_eq!(server.reload(&config(hash)), Ok(()));
        client.expect_nothing();
    }
    assert_eq!(server.reload(&config(&other)), Ok(()));
    refused(&mut client);
}

#[test]
fn the_user_without_credentials_can_get_another_password() {
    let config = |password: &str| {
        format!(
            "no_auth_user: a\nauthorization {{ users: [{{user: a, password: {password}}},
             {{user: b, password: x}}] }}"
        )
    };
    let server = Server::start(&config("one"));
    let mut client = server.client("");
    assert_eq!(server.reload(&config("two")), Ok(()));
    client.expect_nothing();
    let refusal = server.reload("authorization { users: [{user: a, password: two}] }");
    let text = "config reload not supported for NoAuthUser: old=a, new=";
    assert_eq!(refusal, Err(text.to_owned()));
    let invalid =
        server.reload("no_auth_user: a\nauthorization { users: [{user: b, password: x}] }");
    assert!(invalid.is_err_and(|e| e.contains("no_auth_user")));
    client.expect_nothing();
    assert_eq!(server.reload("authorization { users: [{user: b, password: x}] }"), Ok(()));
    closed(&mut client);
}

#[test]
fn nkey_users_come_and_go() {
    let (one, two) = (KeyPair::new_user(), KeyPair::new_user());
    let config =
        |key: &KeyPair| format!("authorization {{ users: [{{nkey: {}}}] }}", key.public_key());
    let connect = |server: &Server, key: &KeyPair| {
        let mut wire = server.connect();
        let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
        let signature = BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes()).unwrap());
        let public = key.public_key();
        wire.send(format!(
            "CONNECT {{\"verbose\":false,\"nkey\":\"{public}\",\"sig\":\"{signature}\"}}\r\nPING\r\n"
        ));
        wire
    };
    let server = Server::start(&config(&one));
    let mut client = connect(&server, &one);
    client.until_pong();
    assert_eq!(server.reload(&config(&one)), Ok(()));
    assert!(!told(&server).iter().any(|l| l.contains("nkey")));
    client.expect_nothing();
    assert_eq!(server.reload(&config(&two)), Ok(()));
    assert!(told(&server).contains(&"Reloaded: authorization nkey users".to_owned()));
    closed(&mut client);
    refused(&mut connect(&server, &one));
    connect(&server, &two).until_pong();
}

#[test]
fn nkey_users_move_between_accounts() {
    let (one, two) = (KeyPair::new_user(), KeyPair::new_user());
    let users = |key: &KeyPair| format!("users: [{{nkey: {}}}]", key.public_key());
    let account_of = |server: &Server, key: &KeyPair| {
        let mut wire = server.connect();
        let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
        let signature = BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes()).unwrap());
        let public = key.public_key();
        wire.send(format!(
            "CONNECT {{\"verbose\":false,\"protocol\":1,\"nkey\":\"{public}\",\"sig\":\"{signature}\"}}\r\nPING\r\n"
        ));
        assert_eq!(wire.line(), "PONG");
        wire.next_info()["remote_account"].clone()
    };
    let accounts = format!("accounts {{ A {{ {} }}, B {{ {} }} }}", users(&one), users(&two));
    let server = Server::start(&format!("{MONITOR}{accounts}"));
    assert_eq!(account_of(&server, &one), "A");
    assert_eq!(account_of(&server, &two), "B");
    let moved =
        format!("authorization {{ {} }}\naccounts {{ B {{ {} }} }}", users(&two), users(&one));
    assert_eq!(server.reload(&format!("{MONITOR}{moved}")), Ok(()));
    assert_eq!(account_of(&server, &one), "B");
    assert_eq!(account_of(&server, &two), "$G");
    assert_eq!(server.monitor("/accountz")["accounts"], serde_json::json!(["$G", "$SYS", "B"]));
}

#[test]
fn subscriptions_that_are_denied_now_are_removed_one_by_one() {
    let config = |permissions: &str| {
        format!(
            "authorization {{ users: [{{user: a, password: x, permissions: {{ {permissions} }}}},
             {{user: free, password: x}}] }}"
        )
    };
    let server = Server::start(&config("subscribe: [\"foo\", \"bar\", \"q\"]"));
    let mut client = server.client(&user("a", "x"));
    client.send("SUB foo 1\r\nSUB bar 2\r\nSUB q group 3\r\n");
    client.expect_nothing();
    assert_eq!(server.reload(&config("subscribe: [\"bar\"], publish: [\"out\"]")), Ok(()));
    client.expect_error("Permissions Violation for Subscription to \"foo\" (sid \"1\")");
    client.expect_error(
        "Permissions Violation for Subscription to \"q\" using queue \"group\" (sid \"3\")",
    );
    server.wait_for_log("Removed sub \"foo\" (sid \"1\") for User \"a\" - not authorized");
    server.wait_for_log(
        "Removed sub \"q\" using queue \"group\" (sid \"3\") for User \"a\" - not authorized",
    );
    let mut free = server.client(&user("free", "x"));
    free.send("PUB foo 1\r\nf\r\nPUB q 1\r\nq\r\nPUB bar 1\r\nb\r\n");
    assert_eq!(client.message().0, "MSG bar 2 1");
    client.send("PUB in 1\r\ni\r\nPUB out 1\r\no\r\n");
    client.expect_error("Permissions Violation for Publish to \"in\"");
    client.expect_nothing();
    // What is allowed again has to be subscribed to again.
    assert_eq!(server.reload(&config("subscribe: [\"foo\", \"bar\"]")), Ok(()));
    client.send("SUB foo 4\r\n");
    client.expect_nothing();
    free.send("PUB foo 1\r\nf\r\n");
    assert_eq!(client.message().0, "MSG foo 4 1");
}

#[test]
fn a_denied_queue_group_loses_its_subscription() {
    let config = |deny: &str| {
        format!(
            "authorization {{ users: [{{user: a, password: x, permissions: {{
             subscribe: {{ allow: [\">\"], deny: [{deny}] }} }} }}] }}"
        )
    };
    let server = Server::start(&config(""));
    let mut client = server.client(&user("a", "x"));
    client.send("SUB foo v1 1\r\nSUB foo v2 2\r\n");
    client.expect_nothing();
    assert_eq!(server.reload(&config("\"foo v1\"")), Ok(()));
    client.expect_error(
        "Permissions Violation for Subscription to \"foo\" using queue \"v1\" (sid \"1\")",
    );
    client.send("PUB foo 1\r\nx\r\n");
    assert_eq!(client.message().0, "MSG foo 2 1");
}

#[test]
fn a_connection_that_has_not_logged_in_yet_does_so_by_the_new_rules() {
    let server = Server::start("");
    let mut early = server.connect();
    let mut wrong = server.connect();
    assert_eq!(server.reload("authorization { token: t }"), Ok(()));
    early.send("CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\nPING\r\n");
    early.until_pong();
    wrong.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    refused(&mut wrong);
}

#[test]
fn proxies_that_are_trusted_no_longer_lose_their_connections() {
    let proxy = KeyPair::new_from_raw(nkeys::KeyPairType::Server, [7; 32]).unwrap();
    let other = KeyPair::new_from_raw(nkeys::KeyPairType::Server, [8; 32]).unwrap();
    let config = |keys: &[&KeyPair]| {
        let keys: Vec<String> =
            keys.iter().map(|k| format!("{{key: {}}}", k.public_key())).collect();
        format!("{MONITOR}proxies {{ trusted: [{}] }}", keys.join(", "))
    };
    let server = Server::start(&config(&[&proxy, &other]));
    let connect = |key: &KeyPair| {
        let mut wire = server.connect();
        let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
        let signature = BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes()).unwrap());
        wire.send(format!(
            "CONNECT {{\"verbose\":false,\"proxy_sig\":\"{signature}\"}}\r\nPING\r\n"
        ));
        wire.until_pong();
        wire
    };
    let (mut one, mut two, mut direct) = (connect(&proxy), connect(&other), server.client(""));
    let shown = server.monitor("/connz");
    assert_eq!(shown["connections"][0]["proxy"]["key"], proxy.public_key());
    assert!(shown["connections"][2].get("proxy").is_none());
    assert_eq!(server.reload(&config(&[&other])), Ok(()));
    let key = proxy.public_key();
    assert!(
        told(&server).contains(&format!("Reloaded: proxies trusted keys [\"{key}\"] were removed"))
    );
    refused(&mut one);
    two.expect_nothing();
    // The reference crashes when the block goes.
    assert_eq!(server.reload(MONITOR), Ok(()));
    refused(&mut two);
    direct.expect_nothing();
    assert_eq!(server.reload(&config(&[&proxy])), Ok(()));
    assert!(
        told(&server).contains(&format!("Reloaded: proxies trusted keys [\"{key}\"] were added"))
    );
    let reasons = server.monitor("/connz?state=closed");
    assert_eq!(reasons["connections"][0]["reason"], "Proxy Not Trusted");
    connect(&proxy).expect_nothing();
}
