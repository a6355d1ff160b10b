//! JetStream of the real binary, over sockets.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use support::{Server, Wire};

mod consuming;
mod durability;
mod monitoring;
mod streams;

/// A server with JetStream in that directory, and what else its configuration says.
fn start(store: &Path, jetstream: &str, rest: &str) -> Server {
    let store = store.display();
    Server::start(&format!(
        "http: \"127.0.0.1:-1\"\njetstream {{\n store_dir: \"{store}\"\n {jetstream}\n}}\n{rest}"
    ))
}

/// A client that gets answers on `inbox`.
fn client(server: &Server, options: &str) -> Wire {
    let comma = if options.is_empty() { "" } else { "," };
    let mut wire =
        server.client(&format!("\"headers\":true,\"no_responders\":true{comma}{options}"));
    wire.send("SUB inbox 1\r\n");
    wire.expect_nothing();
    wire
}

/// Publishes with a reply subject; the answer's header block and payload.
fn request(wire: &mut Wire, subject: &str, body: &str) -> String {
    wire.send(format!("PUB {subject} inbox {}\r\n{body}\r\n", body.len()));
    let (_, answer) = wire.message();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request to the API; its answer.
fn api(wire: &mut Wire, call: &str, body: &str) -> serde_json::Value {
    let answer = request(wire, &format!("$JS.API.{call}"), body);
    serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

fn create(wire: &mut Wire, name: &str, rest: &str) {
    let body = format!(r#"{{"name":"{name}"{rest}}}"#);
    let created = api(wire, &format!("STREAM.CREATE.{name}"), &body);
    assert_eq!(created["did_create"], true, "{created}");
}

fn consumer(wire: &mut Wire, stream: &str, name: &str, rest: &str) {
    let config = format!(r#"{{"durable_name":"{name}","ack_policy":"explicit"{rest}}}"#);
    let body = format!(r#"{{"stream_name":"{stream}","config":{config}}}"#);
    let created = api(wire, &format!("CONSUMER.CREATE.{stream}.{name}"), &body);
    assert_eq!(created["name"], name, "{created}");
}
