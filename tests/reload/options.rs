//! Options other than users and accounts.

use crate::support::{Server, Wire, wait_until};
use crate::told;
use serde_json::json;

const MONITOR: &str = "http: \"127.0.0.1:-1\"\n";

#[test]
fn a_reload_without_a_change_says_what_it_always_says_and_keeps_clients() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\n");
    client.expect_nothing();
    assert_eq!(server.reload(""), Ok(()));
    assert_eq!(told(&server), ["Reloaded: authorization users", "Reloaded: accounts"]);
    let line = server.wait_for_log("Reloaded server configuration (sha256:");
    assert!(line.ends_with(')'), "{line}");
    client.send("PUB foo 2\r\nhi\r\n");
    assert_eq!(client.message().1, b"hi");
}

#[test]
fn a_server_without_a_file_has_nothing_to_reload() {
    let server = Server::launch(None, &["-a", "127.0.0.1", "-p", "-1"]);
    server.wait_for_log("Server is ready");
    let text = "can only reload config when a file is provided using -c or --config";
    assert_eq!(server.reload_file(), Err(text.to_owned()));
}

#[test]
fn every_change_is_told_in_order() {
    let server = Server::start("");
    let config = "
        client_advertise: \"me:1\"
        debug: false
        max_traced_msg_len: 7
        max_connections: 10
        ping_interval: \"5s\"
        ping_max: 1
        authorization { timeout: 1.5 }
        max_control_line: 512
        max_payload: 1024
        no_fast_producer_stall: true
        write_deadline: \"3s\"
        connect_error_reports: 2
        reconnect_error_reports: 3
        server_tags: [\"a:b\"]
        server_metadata { k: v }
        prof_block_rate: 9
    ";
    assert_eq!(server.reload(config), Ok(()));
    let expected = [
        "Reload: client_advertise = me:1",
        "Reloaded: max_connections = 10",
        "Reloaded: authorization users",
        "Reloaded: accounts",
        "Reloaded: ping_interval = 5s",
        "Reloaded: ping_max = 1",
        "Reloaded: authorization timeout = 1.5",
        "Reloaded: max_control_line = 512",
        "Reloaded: max_payload = 1024",
        "Reloaded: fast producers will not be stalled",
        "Reloaded: prof_block_rate = 9",
        "Reloaded: write_deadline = 3s",
        "Reloaded: max_traced_msg_len = 7",
        "Reloaded: connect_error_reports = 2",
        "Reloaded: reconnect_error_reports = 3",
        "Reloaded: tags",
        "Reloaded: metadata",
    ];
    assert_eq!(told(&server), expected);
    assert_eq!(server.reload(""), Ok(()));
    let back = told(&server);
    assert_eq!(back.len(), expected.len());
    assert!(back.contains(&"Reloaded: fast producers will be stalled".to_owned()));
    assert!(back.contains(&"Reload: client_advertise = ".to_owned()));
}

#[test]
fn monitoring_shows_what_was_reloaded_and_when() {
    let server = Server::start(MONITOR);
    let before = server.monitor("/varz");
    let config = "
        max_connections: 12
        max_payload: 1000
        max_control_line: 500
        ping_interval: \"7s\"
        ping_max: 3
        write_deadline: \"4s\"
        authorization { user: u, password: p, timeout: 9 }
        server_tags: [\"t\"]
        server_metadata { key1: value1, key2: value2 }
    ";
    assert_eq!(server.reload(&format!("{MONITOR}{config}")), Ok(()));
    let after = server.monitor("/varz");
    let expected = json!({
        "max_connections": 12, "max_payload": 1000, "max_control_line": 500,
        "ping_interval": 7_000_000_000_i64, "ping_max": 3, "write_deadline": 4_000_000_000_i64,
        "auth_required": true, "auth_timeout": 9, "tags": ["t"],
        "metadata": {"key1": "value1", "key2": "value2"},
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(after[key], *value, "{key}");
        assert_ne!(before[key], *value, "{key}");
    }
    for key in ["config_load_time", "config_digest"] {
        assert_ne!(after[key], before[key], "{key}");
    }
    assert_eq!(after["start"], before["start"]);
    let refusal = server.reload(&format!("{MONITOR}max_pending: 12345678"));
    let text = "config reload not supported for MaxPending: old=67108864, new=12345678";
    assert_eq!(refusal, Err(text.to_owned()));
    let unchanged = server.monitor("/varz");
    for key in ["config_load_time", "config_digest", "max_payload", "max_pending", "tags"] {
        assert_eq!(unchanged[key], after[key], "{key}");
    }
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let server = Server::start("max_payload: 100");
    let mut client = server.client("");
    let wrong = |config: &str, text: &str| {
        let refusal = server.reload(config).expect_err("a refusal");
        assert!(refusal.contains(text), "{refusal}");
    };
    wrong("max_payload: 200, nonsense: 1", "unknown field \"nonsense\"");
    wrong("max_payload: 200, debug: 5", "interface conversion");
    wrong("max_payload: {", "");
    wrong("max_payload: 200, max_pending: 100", "max_payload (200) cannot be higher");
    wrong("max_payload: 200, max_subs: 10", "MaxSubs: old=0, new=10");
    wrong("max_payload: 200, server_name: other", "ServerName: old=, new=other");
    wrong("max_payload: 200, no_auth_user: nobody", "no_auth_user");
    wrong("max_payload: 200, log_file: \"/nonexistent/dir/a.log\"", "error opening file: open");
    wrong("max_payload: 200, tls { cert_file: \"/nonexistent\", key_file: \"x\" }", "nonexistent");
    std::fs::remove_file(server.path("server.conf")).unwrap();
    assert!(server.reload_file().is_err_and(|e| e.contains("no such file or directory")));
    client.send(format!("PUB foo 101\r\n{}\r\n", "x".repeat(101)));
    client.expect_error("Maximum Payload Violation");
    assert_eq!(server.client("").info["max_payload"], 100);
}

#[test]
fn limits_hold_for_clients_that_are_connected_already() {
    let server = Server::start("");
    let (mut payload, mut line) = (server.client(""), server.client(""));
    let mut subscriber = server.client("");
    subscriber.send("SUB foo 1\r\n");
    subscriber.expect_nothing();
    payload.send("PUB foo 5\r\nhello\r\n");
    assert_eq!(subscriber.message().1, b"hello");
    assert_eq!(server.reload("max_payload: 1, max_control_line: 100"), Ok(()));
    payload.send("PUB foo 5\r\nhello\r\n");
    payload.expect_error("Maximum Payload Violation");
    payload.expect_close();
    line.send(format!("SUB {} 1\r\n", "a".repeat(100)));
    line.expect_error("maximum control line exceeded");
    line.expect_close();
    subscriber.expect_nothing();
    assert_eq!(server.connect().info["max_payload"], 1);
}

#[test]
fn clients_beyond_a_lower_limit_are_closed_and_told() {
    let server = Server::start(MONITOR);
    let mut clients: Vec<Wire> = (0..5).map(|_| server.client("")).collect();
    assert_eq!(server.reload(&format!("{MONITOR}max_connections: 2")), Ok(()));
    let told = told(&server);
    assert_eq!(
        told[..2],
        ["Closed 3 connections to fall within max_connections", "Reloaded: max_connections = 2"]
    );
    server.wait_for_monitor("/varz", |v| v["connections"] == 2);
    let closed = server.monitor("/connz?state=closed");
    assert_eq!(closed["num_connections"], 3);
    let mut open = 0;
    for client in &mut clients {
        client.send("PING\r\n");
        match client.line().as_str() {
            "PONG" => open += 1,
            line => assert_eq!(line, "-ERR 'maximum connections exceeded'"),
        }
    }
    assert_eq!(open, 2);
    let mut refused = server.connect();
    refused.expect_error("maximum connections exceeded");
    assert_eq!(server.reload(&format!("{MONITOR}max_connections: -1")), Ok(()));
    server.wait_for_monitor("/varz", |v| v["connections"] == 0);
}

#[test]
fn new_connections_are_told_the_advertised_address() {
    let server = Server::start("");
    let at = |server: &Server| {
        let info = server.connect().info;
        (info["host"].as_str().unwrap().to_owned(), info["port"].as_u64().unwrap())
    };
    let port = u64::from(server.port());
    let cases = [("me:1", 1), ("me", port), ("me:-1", port)];
    for (text, port) in cases {
        assert_eq!(server.reload(&format!("client_advertise: \"{text}\"")), Ok(()));
        assert_eq!(at(&server), ("me".to_owned(), port), "{text}");
    }
    assert_eq!(server.reload(""), Ok(()));
    assert_eq!(at(&server), ("127.0.0.1".to_owned(), port));
    let refusal = server.reload("client_advertise: \"a:b:c\"").unwrap_err();
    assert!(refusal.starts_with("invalid ClientAdvertise value of a:b:c, err="), "{refusal}");
}

#[test]
fn flags_win_over_the_file_at_every_reload() {
    let server = Server::start_with("max_payload: 10\ndebug: false", &["-n", "named", "-D"]);
    assert_eq!(server.reload("max_payload: 20\ndebug: false"), Ok(()));
    let lines = told(&server);
    assert!(lines.contains(&"Reloaded: max_payload = 20".to_owned()));
    assert!(!lines.iter().any(|l| l.contains("debug")));
    assert_eq!(server.connect().info["server_name"], "named");
    server.wait_for_log("[DBG]");
}

#[test]
fn signals_of_another_process_reload_too() {
    let server = Server::start("");
    server.rewrite_config("max_payload: 33");
    let command = format!("reload={}", server.pid());
    let mut other = Server::launch(None, &["--signal", &command]);
    assert_eq!(other.wait_for_exit(), (Some(0), String::new()));
    server.wait_for_log("Reloaded: max_payload = 33");
    wait_until("INFO", || (server.connect().info["max_payload"] == 33).then_some(()));
}

#[test]
fn features_that_are_missing_cannot_be_reloaded_into_being() {
    let server = Server::start("");
    for config in [
        "websocket { port: -1, no_tls: true }",
        "mqtt { port: -1 }",
        "gateway { name: a, port: -1 }",
    ] {
        assert!(server.reload(config).is_err(), "{config}");
    }
    let text = "config reload not supported for cluster host: old=, new=0.0.0.0";
    assert_eq!(server.reload("cluster { name: a, port: -1 }"), Err(text.to_owned()));
    server.client("").expect_nothing();
}
