//! Why a traced message did not go out, where it takes a look inside to bring that about (spec 04
//! §10.3).

use crate::support::Wire;
use crate::{Monitored, start};
use nats_server::subscription::Subscription;
use serde_json::Value;
use std::sync::Arc;

const HEADERS: &str = r#""headers":true"#;

/// The server's side of a connection's subscription 1.
fn subscription(m: &Monitored, wire: &Wire) -> Arc<Subscription> {
    let cid = wire.info["client_id"].as_u64().expect("an id");
    m.server.client(cid).and_then(|c| c.subscription(b"1")).expect("a subscription")
}

/// Publishes a traced message, and returns the error of the one egress in its trace.
fn error_of_egress(sees: &mut Wire, only: bool) -> Value {
    let only = if only { "Nats-Trace-Only: true\r\n" } else { "" };
    let header = format!("NATS/1.0\r\nNats-Trace-Dest: trace.to\r\n{only}\r\n");
    sees.send(format!("HPUB bar {} {}\r\n{header}hello\r\n", header.len(), header.len() + 5));
    let (line, payload) = sees.message();
    assert!(line.starts_with("MSG trace.to "), "{line}");
    let trace: Value = serde_json::from_slice(&payload).expect("a trace");
    let events = trace["events"].as_array().expect("events");
    let out: Vec<_> = events.iter().filter(|e| e["type"] == "eg").collect();
    assert_eq!(out.len(), 1, "{trace}");
    out[0]["error"].clone()
}

#[test]
fn ended_subscriptions_get_nothing() {
    let m = start();
    let mut sees = m.client(HEADERS);
    sees.send("SUB trace.to 1\r\n");
    for only in [true, false] {
        let mut wire = m.client(HEADERS);
        wire.send("SUB bar 1\r\n");
        wire.sync();
        let sub = subscription(&m, &wire);
        assert_eq!(error_of_egress(&mut sees, only), Value::Null);
        sub.set_max(10);
        sub.count_many(20);
        if only {
            assert_eq!(error_of_egress(&mut sees, only), Value::Null, "it does not count");
            sub.close();
            let text = "Not delivered because subscription is closed";
            assert_eq!(error_of_egress(&mut sees, only), text);
        } else {
            let text = "Not delivered because auto-unsubscribe exceeded";
            assert_eq!(error_of_egress(&mut sees, only), text);
        }
    }
}

#[test]
fn closed_connections_get_nothing() {
    let m = start();
    let mut sees = m.client(HEADERS);
    sees.send("SUB trace.to 1\r\n");
    let mut wire = m.client(HEADERS);
    wire.send("SUB bar 1\r\n");
    wire.sync();
    let cid = wire.info["client_id"].as_u64().expect("an id");
    m.server.client(cid).expect("connected").egress.close();
    let text = "Not delivered because client is closed";
    assert_eq!(error_of_egress(&mut sees, false), text);
}
