//! `/varz`.

use crate::{keys, start, start_bare, start_with};
use nats_server::config::options::Options;
use nats_server::config::options::listen::{Port, WriteTimeout};
use nats_server::config::options::mqtt::MqttOptions;
use nats_server::config::options::proxies::ProxiesOptions;
use nats_server::config::options::tls::TlsOptions;
use nats_server::config::options::websocket::WebsocketOptions;
use nats_server::config::text::SignedDuration;
use nats_server::logging::Logger;
use nats_server::monitor::varz::varz;
use nats_server::server::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Every field of a server that has nothing configured, in the order of the reference.
const FIELDS: [&str; 58] = [
    "server_id",
    "server_name",
    "version",
    "proto",
    "go",
    "host",
    "port",
    "max_connections",
    "ping_interval",
    "ping_max",
    "http_host",
    "http_port",
    "http_base_path",
    "https_port",
    "auth_timeout",
    "max_control_line",
    "max_payload",
    "max_pending",
    "cluster",
    "gateway",
    "leaf",
    "mqtt",
    "websocket",
    "jetstream",
    "tls_timeout",
    "write_deadline",
    "start",
    "now",
    "uptime",
    "mem",
    "cores",
    "gomaxprocs",
    "cpu",
    "connections",
    "total_connections",
    "routes",
    "remotes",
    "leafnodes",
    "in_msgs",
    "in_bytes",
    "in_client_msgs",
    "in_client_bytes",
    "out_msgs",
    "out_bytes",
    "out_client_msgs",
    "out_client_bytes",
    "slow_consumers",
    "stale_connections",
    "stalled_clients",
    "subscriptions",
    "http_req_stats",
    "config_load_time",
    "config_digest",
    "feature_flags",
    "system_account",
    "slow_consumer_stats",
    "stale_connection_stats",
    "disk_io_wait_stats",
];

#[test]
fn fields_have_the_names_and_order_of_the_reference() {
    let m = start();
    let body = m.get("/varz").body;
    assert_eq!(keys(&body), FIELDS);
    // Parts that are not configured are there and empty.
    for part in ["cluster", "gateway", "leaf", "mqtt", "websocket", "jetstream"] {
        assert!(body.contains(&format!("  \"{part}\": {{}},\n")), "{part} in {body}");
    }
    assert!(!body.contains("cluster_port"));
    assert!(!body.ends_with('\n'));
}

#[test]
fn defaults_are_those_of_the_reference() {
    let m = start();
    let v = m.json("/varz");
    let info = m.server.info();
    assert_eq!(v["server_id"], info.server_id);
    assert_eq!(v["server_name"], info.server_id, "a server without a name has its id as name");
    assert_eq!(v["version"], "2.14.5");
    assert_eq!(v["port"], m.server.address().expect("it listens").port());
    let table = [
        ("proto", json!(1)),
        ("host", json!("127.0.0.1")),
        ("max_connections", json!(65536)),
        ("ping_interval", json!(120_000_000_000_u64)),
        ("ping_max", json!(2)),
        ("http_host", json!("127.0.0.1")),
        // As configured, not the one that was found.
        ("http_port", json!(-1)),
        ("http_base_path", json!("")),
        ("https_port", json!(0)),
        ("auth_timeout", json!(2)),
        ("max_control_line", json!(4096)),
        ("max_payload", json!(1_048_576)),
        ("max_pending", json!(67_108_864)),
        ("tls_timeout", json!(2)),
        ("write_deadline", json!(10_000_000_000_u64)),
        ("config_digest", json!("")),
        ("feature_flags", json!({"js_ack_fc_v2": false, "js_raft_delete_range": false})),
        ("system_account", json!("$SYS")),
        ("http_req_stats", json!({"/varz": 1})),
        (
            "disk_io_wait_stats",
            json!({"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0}),
        ),
    ];
    for (field, value) in table {
        assert_eq!(v[field], value, "{field}");
    }
    assert_eq!(v["start"], v["config_load_time"]);
    assert!(v["now"].as_str() >= v["start"].as_str());
    assert!(v["mem"].as_u64().is_some_and(|n| n > 0));
    assert!(v["cores"].as_u64().is_some_and(|n| n > 0));
}

#[test]
fn traffic_and_connections_are_counted() {
    let m = start_bare();
    let wire = m.busy_client("app");
    let v = m.json("/varz");
    let table = [
        ("connections", 1),
        ("total_connections", 1),
        ("in_msgs", 1),
        ("in_bytes", 5),
        ("in_client_msgs", 1),
        ("in_client_bytes", 5),
        ("out_msgs", 1),
        ("out_bytes", 5),
        ("out_client_msgs", 1),
        ("out_client_bytes", 5),
        ("subscriptions", 1),
    ];
    for (field, value) in table {
        assert_eq!(v[field], value, "{field}");
    }
    drop(wire);
    m.wait_for_closed(1);
    let v = m.json("/varz");
    assert_eq!((&v["connections"], &v["total_connections"]), (&json!(0), &json!(1)));
    assert_eq!(v["subscriptions"], 0);
}

#[test]
fn configuration_is_shown() {
    let m = start_with(|o| {
        o.server_name = "lab".into();
        o.server_tags = vec!["tag".into(), "rack:1".into()];
        o.server_metadata = BTreeMap::from([
            ("key1".to_owned(), "value1".to_owned()),
            ("key2".to_owned(), "value2".to_owned()),
        ]);
        o.feature_flags =
            BTreeMap::from([("js_ack_fc_v2".to_owned(), true), ("unknown".to_owned(), true)]);
        o.max_subscriptions = 77;
        o.write_timeout = WriteTimeout::Retry;
        o.username = "u".into();
        o.password = "p".into();
        o.auth_timeout = Duration::from_millis(1500);
        o.no_system_account = true;
        o.config_digest = "sha256:abc".into();
    });
    let v = m.json("/varz");
    let table = [
        ("server_name", json!("lab")),
        ("tags", json!(["tag", "rack:1"])),
        ("metadata", json!({"key1": "value1", "key2": "value2"})),
        ("feature_flags", json!({"js_ack_fc_v2": true, "js_raft_delete_range": false})),
        ("max_subscriptions", json!(77)),
        ("write_timeout", json!("retry")),
        ("auth_required", json!(true)),
        ("auth_timeout", json!(1.5)),
        ("config_digest", json!("sha256:abc")),
    ];
    for (field, value) in table {
        assert_eq!(v[field], value, "{field}");
    }
    assert!(v.get("system_account").is_none());
    assert_eq!(m.json("/accountz")["accounts"], json!(["$G"]));
}

/// The document of a server that is made but not started: it comes from the options.
fn document(options: Options) -> Value {
    let server = Server::new(options.into(), Arc::new(Logger::new())).expect("a server");
    serde_json::to_value(varz(&server)).expect("plain data")
}

#[test]
fn configured_parts_are_shown_even_when_they_do_not_run() {
    let mut options = Options::with_defaults();
    options.cluster.port = Port::from(6222);
    options.cluster.write_deadline = Duration::from_secs(3);
    options.cluster.write_timeout = WriteTimeout::Close;
    options.gateway.name = "east".into();
    options.gateway.port = Port::from(7222);
    options.leafnode.port = Port::from(7422);
    options.proxies = Some(ProxiesOptions { trusted: vec!["UKEY".into()] });
    options.set_baseline();
    let v = document(options);
    assert_eq!(
        v["cluster"],
        json!({
            "addr": "0.0.0.0", "cluster_port": 6222, "auth_timeout": 2.0, "tls_timeout": 2.0,
            "pool_size": 3, "write_deadline": 3_000_000_000_u64, "write_timeout": "close",
        })
    );
    // The deadlines of gateways and leafnodes are those of the cluster, as in the reference.
    assert_eq!(
        v["gateway"],
        json!({
            "name": "east", "host": "0.0.0.0", "port": 7222, "auth_timeout": 2.0,
            "tls_timeout": 2.0, "write_deadline": 3_000_000_000_u64, "write_timeout": "close",
        })
    );
    assert_eq!(
        v["leaf"],
        json!({
            "host": "0.0.0.0", "port": 7422, "auth_timeout": 2.0, "tls_timeout": 2.0,
            "write_deadline": 3_000_000_000_u64, "write_timeout": "close",
        })
    );
    assert_eq!(v["proxies"], json!({"trusted": [{"key": "UKEY"}]}));
}

#[test]
fn every_setting_of_mqtt_and_websocket_is_shown() {
    let pin = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069";
    let tls = TlsOptions {
        verify_and_map: true,
        pinned_certs: BTreeSet::from([pin.to_owned()]),
        ..TlsOptions::default()
    };
    let mut options = Options::with_defaults();
    options.mqtt = MqttOptions {
        host: "127.0.0.1".into(),
        port: Port::RANDOM,
        no_auth_user: "someuser".into(),
        js_domain: "js".into(),
        auth_timeout: Duration::from_secs(2),
        tls: Some(tls.clone()),
        tls_timeout: Duration::from_secs(3),
        ack_wait: SignedDuration::from_secs(4),
        max_ack_pending: 256,
        ..MqttOptions::default()
    };
    options.websocket = WebsocketOptions {
        host: "127.0.0.1".into(),
        port: Port::RANDOM,
        advertise: "somehost:8080".into(),
        no_auth_user: "someuser".into(),
        jwt_cookie: "somecookiename".into(),
        auth_timeout: Duration::from_secs(2),
        no_tls: true,
        tls: Some(tls),
        same_origin: true,
        allowed_origins: vec!["https://origin1".into(), "https://origin2".into()],
        compression: true,
        handshake_timeout: Duration::from_secs(4),
        ..WebsocketOptions::default()
    };
    let v = document(options);
    assert_eq!(
        v["mqtt"],
        json!({
            "host": "127.0.0.1", "port": -1, "no_auth_user": "someuser", "auth_timeout": 2.0,
            "tls_map": true, "tls_timeout": 3.0, "tls_pinned_certs": [pin], "js_domain": "js",
            "ack_wait": 4_000_000_000_u64, "max_ack_pending": 256,
        })
    );
    assert_eq!(
        v["websocket"],
        json!({
            "host": "127.0.0.1", "port": -1, "advertise": "somehost:8080",
            "no_auth_user": "someuser", "jwt_cookie": "somecookiename",
            "handshake_timeout": 4_000_000_000_u64, "auth_timeout": 2.0, "no_tls": true,
            "tls_map": true, "tls_pinned_certs": [pin], "same_origin": true,
            "allowed_origins": ["https://origin1", "https://origin2"], "compression": true,
        })
    );
}

#[test]
fn stale_connections_are_counted_by_kind() {
    let m = start_with(|o| {
        o.ping_interval = Duration::from_millis(20);
        o.ping_max = 1;
    });
    // Answers nothing.
    let wire = m.client("");
    m.wait_for_closed(1);
    let v = m.json("/varz");
    assert_eq!(v["stale_connections"], 1);
    let by_kind = json!({"clients": 1, "routes": 0, "gateways": 0, "leafs": 0});
    assert_eq!(v["stale_connection_stats"], by_kind);
    let closed = m.json("/connz?state=closed")["connections"][0].clone();
    assert_eq!(closed["reason"], "Stale Connection");
    drop(wire);
}

#[test]
fn slow_consumers_are_counted_by_kind_and_account() {
    let m = start_with(|o| o.max_pending = 256 * 1024);
    let mut slow = m.client(r#""name":"slow""#);
    slow.send("SUB big 1\r\n");
    slow.sync();
    let mut publisher = m.client("");
    let payload = "x".repeat(512 * 1024);
    // The socket buffers take some of it first.
    while m.server.client_count() == 2 {
        publisher.send(format!("PUB big {}\r\n{payload}\r\n", payload.len()));
        publisher.sync();
    }
    m.wait_for_closed(1);
    let v = m.json("/varz");
    assert_eq!(v["slow_consumers"], 1);
    let by_kind = json!({"clients": 1, "routes": 0, "gateways": 0, "leafs": 0});
    assert_eq!(v["slow_consumer_stats"], by_kind);
    assert_eq!(m.json("/accstatz")["account_statz"][0]["slow_consumers"], 1);
    let closed: Value = m.json("/connz?state=closed&sort=reason")["connections"][0].clone();
    assert_eq!(closed["reason"], "Slow Consumer (Pending Bytes)");
}

#[test]
fn documents_that_are_not_asked_for_over_http_are_not_counted() {
    let m = start();
    for _ in 0..10 {
        let value = serde_json::to_value(varz(&m.server)).expect("plain data");
        assert_eq!(value["http_req_stats"], json!({}));
    }
    m.json("/connz");
    m.json("/connz");
    m.get("/connz?auth=xxx");
    m.get("/subsz?subs=xxx");
    m.get("/nope");
    m.get("/stacksz");
    m.get("/debug/vars");
    m.get("/raftz");
    m.get("/ipqueuesz");
    m.get("/");
    let counted = m.json("/varz")["http_req_stats"].clone();
    // Connections and routes are counted when the parameters are good, the others in any case.
    assert_eq!(counted, json!({"/": 1, "/connz": 2, "/subsz": 1, "/varz": 1}));
}
