//! The remaining endpoints.

use crate::{keys, start, start_with, wait_until};
use nats_server::config::options::Options;
use nats_server::logging::Logger;
use nats_server::monitor::healthz::{HealthzOptions, healthz};
use nats_server::monitor::response::Status;
use nats_server::server::Server;
use serde_json::json;
use std::sync::Arc;

#[test]
fn all_documents_name_the_same_server() {
    let m = start();
    let id = m.server.info().server_id.clone();
    for path in [
        "/varz",
        "/connz",
        "/routez",
        "/gatewayz",
        "/leafz",
        "/subsz",
        "/accountz",
        "/accstatz",
        "/jsz",
    ] {
        assert_eq!(m.json(path)["server_id"], id, "{path}");
    }
}

#[test]
fn links_are_empty_lists() {
    let m = start();
    let r = m.json("/routez");
    assert_eq!((&r["num_routes"], &r["routes"]), (&json!(0), &json!([])));
    assert_eq!(r["server_name"], m.server.info().server_name);
    assert_eq!(
        keys(&m.get("/routez").body),
        ["server_id", "server_name", "now", "num_routes", "routes"]
    );
    let g = m.json("/gatewayz?accs=1&gw_name=x");
    assert_eq!((&g["outbound_gateways"], &g["inbound_gateways"]), (&json!({}), &json!({})));
    let l = m.json("/leafz?acc=x");
    assert_eq!((&l["leafnodes"], &l["leafs"]), (&json!(0), &json!([])));
    let boolean = |name: &str, value: &str| {
        format!(
            "Error decoding boolean for '{name}': strconv.ParseBool: parsing \"{value}\": invalid syntax"
        )
    };
    m.expect_bad_request("/routez?subs=xxx", &boolean("subs", "xxx"));
    m.expect_bad_request("/gatewayz?subs=xxx", &boolean("subs", "xxx"));
    m.expect_bad_request("/gatewayz?accs=xxx", &boolean("accs", "xxx"));
    m.expect_bad_request("/leafz?subs=detail", &boolean("subs", "detail"));
}

#[test]
fn accounts_are_listed_and_described() {
    let m = start();
    let mut wire = m.client("");
    wire.send("SUB foo 1\r\n");
    wire.sync();
    let all = m.json("/accountz");
    assert_eq!(all["system_account"], "$SYS");
    assert_eq!(all["accounts"], json!(["$G", "$SYS"]));
    assert!(all.get("account_detail").is_none());
    let one = m.json("/accountz?acc=$G");
    assert!(one.get("accounts").is_none());
    let detail = &one["account_detail"];
    assert_eq!(detail["account_name"], "$G");
    assert_eq!(detail["name_tag"], "$G");
    assert_eq!((&detail["expired"], &detail["complete"]), (&json!(false), &json!(true)));
    assert_eq!((&detail["client_connections"], &detail["subscriptions"]), (&json!(1), &json!(5)));
    assert_eq!(detail["sublist_stats"]["num_inserts"], 5, "its own and what it imports");
    assert!(detail.get("is_system").is_none());
    assert_eq!(m.json("/accountz?acc=$SYS")["account_detail"]["is_system"], true);
    m.expect_bad_request("/accountz?acc=foobar", "Account foobar does not exist");
}

#[test]
fn account_statistics_leave_out_unused_accounts() {
    let m = start();
    assert_eq!(m.json("/accstatz")["account_statz"], json!([]));
    let unused = m.json("/accstatz?unused=1")["account_statz"].clone();
    assert_eq!(crate::strings(&unused, "acc"), ["$G", "$SYS"]);
    let _wire = m.busy_client("app");
    let none = json!({"msgs": 0, "bytes": 0});
    let data = json!({"msgs": 1, "bytes": 5, "gateways": none, "routes": none, "leafs": none});
    assert_eq!(
        m.json("/accstatz")["account_statz"],
        json!([{
            "acc": "$G", "name": "$G", "conns": 1, "leafnodes": 0, "total_conns": 1,
            "num_subscriptions": 5, "sent": data, "received": data, "slow_consumers": 0,
        }])
    );
}

#[test]
fn jetstream_is_disabled() {
    let m = start();
    let j = m.json("/jsz?accounts=true&streams=1&consumers=1&config=1");
    assert_eq!(j["disabled"], true);
    assert_eq!(j["config"], json!({"max_memory": 0, "max_storage": 0}));
    assert_eq!(j["api"], json!({"level": 0, "total": 0, "errors": 0}));
    assert_eq!(j["total"], 0);
    assert!(j.get("account_details").is_none());
    m.expect_bad_request("/jsz?leader-only=1", "filtered response: not leader");
    for name in ["accounts", "streams", "consumers", "direct-consumers", "config", "raft"] {
        let text = format!(
            "Error decoding boolean for '{name}': strconv.ParseBool: parsing \"x\": invalid syntax"
        );
        m.expect_bad_request(&format!("/jsz?{name}=x"), &text);
    }
}

#[test]
fn a_healthy_server_says_ok() {
    let m = start();
    for query in [
        "",
        "?js-enabled=1",
        "?js-enabled-only=true",
        "?js-server-only=true",
        "?js-meta-only=1",
        "?details=1",
        "?account=x&stream=y&consumer=z",
    ] {
        let answer = m.get(&format!("/healthz{query}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#), "{query}");
    }
    assert!(m.log().contains("Healthcheck: js-enabled deprecated, use js-enabled-only instead"));
}

#[test]
fn health_of_a_stream_needs_its_account_and_of_a_consumer_its_stream() {
    let m = start();
    let stream = r#"\"account\" must not be empty when checking stream health"#;
    let consumer = r#"\"stream\" must not be empty when checking consumer health"#;
    for (query, text) in [("stream=x", stream), ("account=a&consumer=x", consumer)] {
        let answer = m.get(&format!("/healthz?{query}"));
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.body, format!(r#"{{"status":"error","error":"{text}"}}"#));
        let answer = m.get(&format!("/healthz?details=1&{query}"));
        assert_eq!(answer.status, 400);
        let error = format!(r#"{{"type":"BAD_REQUEST","error":"{text}"}}"#);
        assert_eq!(answer.body, format!(r#"{{"status":"error","errors":[{error}]}}"#));
    }
    let log = m.log();
    assert!(log.contains(&format!("Healthcheck failed: \"{stream}\"")), "{log}");
    assert!(log.contains("Healthcheck failed: 1 errors"), "{log}");
    let answer = m.get("/healthz?js-enabled-only=x");
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (400, Some("text/plain; charset=utf-8"))
    );
}

/// The health of a server that was made but not started.
fn health(configure: impl FnOnce(&mut Options), options: &HealthzOptions) -> (Status, String) {
    let mut o = Options::with_defaults();
    configure(&mut o);
    let server = Server::new(Arc::new(o), Arc::new(Logger::new())).expect("a server");
    let (status, document) = healthz(&server, options);
    (status, serde_json::to_string(&document).expect("plain data"))
}

#[test]
fn a_server_that_does_not_listen_is_not_healthy() {
    let text = "failed to be ready for connections after 1ms: server";
    let plain = health(|_| {}, &HealthzOptions::default());
    let expected = format!(r#"{{"status":"error","error":"{text}"}}"#);
    assert_eq!(plain, (Status::InternalServerError, expected));
    let details = HealthzOptions { details: true, ..HealthzOptions::default() };
    let error = format!(r#"{{"type":"CONNECTION","error":"{text}"}}"#);
    let expected = format!(r#"{{"status":"error","errors":[{error}]}}"#);
    assert_eq!(health(|_| {}, &details), (Status::InternalServerError, expected));
}

#[test]
fn jetstream_that_is_configured_but_does_not_run_is_unavailable() {
    let store = tempfile::tempdir().expect("a directory");
    let m = start_with(|o| {
        o.jetstream.enabled = true;
        o.store_dir = store.path().display().to_string();
    });
    assert_eq!(m.get("/healthz").status, 200);
    m.server.jetstream().expect("it was started").disable("the disk is full");
    let text = "JetStream not enabled (10076)";
    for query in ["", "?js-enabled-only=true", "?js-meta-only=true"] {
        let answer = m.get(&format!("/healthz{query}"));
        let expected = format!(r#"{{"status":"unavailable","error":"{text}"}}"#);
        assert_eq!((answer.status, answer.body), (503, expected), "{query}");
    }
    let answer = m.get("/healthz?details=true");
    let error = format!(r#"{{"type":"JETSTREAM","error":"{text}"}}"#);
    assert_eq!(
        (answer.status, answer.body),
        (503, format!(r#"{{"status":"error","errors":[{error}]}}"#))
    );
    assert_eq!(m.get("/healthz?js-server-only=true").status, 200);
}

#[test]
fn there_are_no_raft_nodes_and_no_queues_to_show() {
    let m = start();
    for path in ["/raftz", "/raftz?acc=x&group=y"] {
        let answer = m.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (404, "No Raft nodes registered"));
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    }
    assert_eq!(m.json("/ipqueuesz"), json!({}));
    assert_eq!(m.get("/ipqueuesz?all=x").status, 400);
}

#[test]
fn threads_are_shown_by_name() {
    let m = start();
    let answer = m.get("/stacksz");
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    // Threads name themselves when they begin to run.
    for name in ["\nmonitor\n", "\nreactor-0\n"] {
        wait_until("a thread has its name", || m.get("/stacksz").body.contains(name).then_some(()));
    }
}

#[test]
fn variables_are_json_of_their_own() {
    let m = start();
    let answer = m.get("/debug/vars");
    assert_eq!(answer.header("Content-Type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert!(answer.body.starts_with("{\n\"cmdline\": [\""), "{}", answer.body);
    let vars: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(vars["memstats"]["Sys"].as_u64().is_some_and(|n| n > 0));
}

#[test]
fn the_root_is_a_page_in_ascii() {
    let m = start();
    let answer = m.get("/");
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(answer.body.is_ascii());
    assert!(answer.body.contains("v2.14.5"));
    assert!(answer.body.contains("href=\"./connz\""));
}

#[test]
fn imports_of_one_subject_from_two_accounts_are_both_shown() {
    use nats_server::config::options::account::{AccountOptions, ServiceExport, ServiceImport};
    let m = crate::start_with(|o| {
        let mut app = AccountOptions::new("APP");
        for name in ["CLOUD", "CLOUD2"] {
            let mut account = AccountOptions::new(name);
            let export = ServiceExport { subject: "downlink.>".to_owned(), ..Default::default() };
            account.service_exports.push(export);
            o.accounts.push(account);
            app.service_imports.push(ServiceImport {
                account: name.to_owned(),
                subject: "downlink.>".to_owned(),
                to: "event.>".to_owned(),
                share: false,
            });
        }
        o.accounts.push(app);
    });
    let detail = m.json("/accountz?acc=APP")["account_detail"].clone();
    let mut of: Vec<_> = detail["imports"]
        .as_array()
        .expect("imports")
        .iter()
        .filter(|i| i["subject"] == "downlink.>")
        .inspect(|i| assert_eq!(i["local_subject"], "event.>"))
        .map(|i| i["account"].as_str().expect("a name").to_owned())
        .collect();
    of.sort();
    assert_eq!(of, ["CLOUD", "CLOUD2"]);
}
