//! `/metrics`: the server's figures in OpenMetrics text. The reference has no such endpoint; names
//! and labels are those of `prometheus-nats-exporter`, so that dashboards and alerts for it work.
//!
//! `prefix` replaces the first part of all names, as the exporter's option of that name does;
//! `connections=true` adds figures of each connection (at most [`MAX_CONNECTIONS`]), which are left
//! out unless asked for because each connection makes new series. Accounts are shown up to
//! [`MAX_ACCOUNTS`].
//!
//! Histograms are made of what is there when somebody asks (pending bytes and round-trip times of
//! connections), or counted by each reactor for itself once per pass; nothing is counted per
//! message.

use super::accstatz::accstatz;
use super::connz::{ConnzOptions, connz};
use super::healthz::{HealthzOptions, healthz};
use super::histogram::{Histogram, Snapshot};
use super::jsz::{JszOptions, jsz};
use super::links::{gatewayz, leafz, routez};
use super::parameters;
use super::request::Query;
use super::response::Status;
use super::subsz::{SubszOptions, subsz};
use super::varz::varz;
use crate::server::Server;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Accounts that are shown, by name.
const MAX_ACCOUNTS: usize = 1000;
/// Connections that are shown where that is asked for.
const MAX_CONNECTIONS: i64 = 10_000;
/// The first part of names, unless another is asked for: of the server's figures ...
const SERVER_PREFIX: &str = "gnatsd";
/// ... and of those of JetStream.
const JETSTREAM_PREFIX: &str = "jetstream";

/// The first class of histograms of bytes.
const FIRST_BYTES: u64 = 1024;
/// The first class of histograms of times, in nanoseconds.
pub const FIRST_NANOS: u64 = 1_000;

/// The families, by name: one kind and its samples each.
#[derive(Default)]
struct Families {
    by_name: BTreeMap<String, Family>,
    prefix: Option<String>,
}

struct Family {
    kind: &'static str,
    samples: Vec<String>,
}

/// Labels of a sample, in order.
type Labels<'a> = [(&'a str, &'a str)];

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn labelled(labels: &Labels<'_>) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    pairs.join(",")
}

/// What a name may consist of.
fn name_part(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    text.trim_matches('/').chars().map(good).collect()
}

impl Families {
    fn name(&self, prefix: &str, rest: &str) -> String {
        format!("{}_{rest}", self.prefix.as_deref().unwrap_or(prefix))
    }

    fn push(&mut self, name: String, kind: &'static str, sample: String) {
        let family = self.by_name.entry(name);
        family.or_insert_with(|| Family { kind, samples: Vec::new() }).samples.push(sample);
    }

    fn gauge(&mut self, prefix: &str, rest: &str, labels: &Labels<'_>, value: &str) {
        let name = self.name(prefix, rest);
        let sample = format!("{name}{{{}}} {value}", labelled(labels));
        self.push(name, "gauge", sample);
    }

    fn counter(&mut self, rest: &str, labels: &Labels<'_>, value: u64) {
        let name = self.name(SERVER_PREFIX, rest);
        let sample = format!("{name}_total{{{}}} {value}", labelled(labels));
        self.push(name, "counter", sample);
    }

    /// A histogram; `scale` is what a unit of its values is worth.
    fn histogram(&mut self, rest: &str, labels: &Labels<'_>, snapshot: &Snapshot, scale: f64) {
        let name = self.name(SERVER_PREFIX, rest);
        let labels = labelled(labels);
        let mut sample = String::new();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let scaled = |value: u64| value as f64 * scale;
        for (end, count) in &snapshot.classes {
            let end = scaled(*end);
            // A String takes every write.
            let _ = writeln!(sample, "{name}_bucket{{{labels},le=\"{end}\"}} {count}");
        }
        let (count, sum) = (snapshot.count, scaled(snapshot.sum));
        let _ = writeln!(sample, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = write!(sample, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}");
        self.push(name, "histogram", sample);
    }

    /// Every number in a document under the names of its fields, as the exporter does it.
    fn numbers(&mut self, endpoint: &str, server: &str, fields: &Map<String, Value>) {
        for (key, value) in fields {
            let name = format!("{endpoint}_{}", name_part(key));
            match value {
                Value::Number(number) => {
                    let labels = [("server_id", server)];
                    self.gauge(SERVER_PREFIX, &name, &labels, &number.to_string());
                }
                Value::Object(fields) => self.numbers(&name, server, fields),
                _ => {}
            }
        }
    }

    /// A text, as a label of a sample that is always 1.
    fn text(&mut self, name: &str, server: &str, value: &str) {
        self.gauge(SERVER_PREFIX, name, &[("server_id", server), ("value", value)], "1");
    }

    fn encode(self) -> Vec<u8> {
        let mut out = String::new();
        for (name, family) in self.by_name {
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            for sample in family.samples {
                out.push_str(&sample);
                out.push('\n');
            }
        }
        out.push_str("# EOF\n");
        out.into_bytes()
    }
}

/// The fields of a document.
fn fields(document: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(fields)) => fields,
        // Documents are structures in memory: they are objects.
        _ => Map::new(),
    }
}

/// A point in time, as milliseconds since the epoch.
fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}

/// Takes the snapshot.
///
/// # Errors
/// The text of the 400 answer.
pub fn metrics(server: &Server, query: &Query) -> Result<Vec<u8>, String> {
    let connections = parameters::bool(query, "connections")?;
    let prefix = Some(name_part(query.get("prefix"))).filter(|prefix| !prefix.is_empty());
    let mut families = Families { prefix, ..Families::default() };
    let info = server.info();
    let name = info.server_name.as_str();
    general(&mut families, server, name);
    let subsz = subsz(server, &SubszOptions::default())?;
    families.numbers("subsz", name, &fields(&subsz));
    families.numbers("routez", name, &fields(&routez(server)));
    families.numbers("gatewayz", name, &fields(&gatewayz(server)));
    let leafnodes = fields(&leafz(server)).get("leafnodes").map(Value::to_string);
    let leafnodes = leafnodes.unwrap_or_else(|| "0".to_owned());
    families.gauge(SERVER_PREFIX, "leafz_conn_nodes_total", &[("server_id", name)], &leafnodes);
    health(&mut families, server, name);
    accounts(&mut families, server, name);
    all_connections(&mut families, server, name);
    if connections {
        each_connection(&mut families, server, name)?;
    }
    jetstream(&mut families, server, name)?;
    let passes = server.pass_durations();
    families.histogram("reactor_pass_seconds", &[("server_id", name)], &passes, 1e-9);
    if let Some(system) = server.system() {
        families.counter("system_events_dropped", &[("server_id", name)], system.dropped());
    }
    Ok(families.encode())
}

fn general(families: &mut Families, server: &Server, name: &str) {
    let fields = fields(&varz(server));
    families.numbers("varz", name, &fields);
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    for key in ["server_id", "server_name", "version"] {
        families.text(&format!("varz_{key}"), name, text(key).unwrap_or_default());
    }
    for key in ["start", "config_load_time"] {
        if let Some(at) = text(key).and_then(milliseconds) {
            let labels = [("server_id", name)];
            families.gauge(SERVER_PREFIX, &format!("varz_{key}"), &labels, &at.to_string());
        }
    }
}

fn health(families: &mut Families, server: &Server, name: &str) {
    let probes = [
        ("healthz", HealthzOptions::default()),
        (
            "healthz_js_enabled_only",
            HealthzOptions { js_enabled_only: true, ..HealthzOptions::default() },
        ),
        (
            "healthz_js_server_only",
            HealthzOptions { js_server_only: true, ..HealthzOptions::default() },
        ),
    ];
    for (probe, options) in probes {
        let (status, document) = healthz(server, &options);
        let failed = if status == Status::Ok { "0" } else { "1" };
        let rest = format!("{probe}_status");
        families.gauge(SERVER_PREFIX, &rest, &[("server_id", name)], failed);
        families.text(&format!("{rest}_value"), name, document.status);
    }
}

/// What the exporter calls the figures of an account, and where they stand in `/accstatz`.
const ACCOUNT_FIGURES: [(&str, &str); 9] = [
    ("current_connections", "/conns"),
    ("total_connections", "/total_conns"),
    ("leaf_nodes", "/leafnodes"),
    ("subscriptions", "/num_subscriptions"),
    ("sent_messages", "/sent/msgs"),
    ("sent_bytes", "/sent/bytes"),
    ("received_messages", "/received/msgs"),
    ("received_bytes", "/received/bytes"),
    ("slow_consumers", "/slow_consumers"),
];

fn accounts(families: &mut Families, server: &Server, name: &str) {
    let document = Value::Object(fields(&accstatz(server, true)));
    let accounts = document["account_statz"].as_array().map_or(&[][..], Vec::as_slice);
    for account in accounts.iter().take(MAX_ACCOUNTS) {
        let text = |key: &str| account[key].as_str().unwrap_or_default().to_owned();
        let (id, tag) = (text("acc"), text("name"));
        let labels =
            [("account", &*id), ("account_id", &*id), ("account_name", &*tag), ("server_id", name)];
        for (figure, pointer) in ACCOUNT_FIGURES {
            let value = account.pointer(pointer).map_or_else(|| "0".to_owned(), Value::to_string);
            families.gauge(SERVER_PREFIX, &format!("accstatz_{figure}"), &labels, &value);
        }
    }
}

/// Figures of a connection that can be added up.
const SUMS: [&str; 6] =
    ["pending_bytes", "subscriptions", "in_msgs", "out_msgs", "in_bytes", "out_bytes"];

fn all_connections(families: &mut Families, server: &Server, name: &str) {
    let labels = [("server_id", name)];
    let mut sums = [0_i128; SUMS.len()];
    let (pending, rtt) = (Histogram::new(FIRST_BYTES), Histogram::new(FIRST_NANOS));
    let clients = server.clients();
    for client in &clients {
        let pending_bytes = client.egress.pending_bytes();
        let (out_msgs, out_bytes) = client.egress.delivered();
        let wide = |n: usize| i128::try_from(n).unwrap_or(i128::MAX);
        let own = [
            wide(pending_bytes),
            wide(client.subscription_count()),
            i128::from(client.in_messages.load(Ordering::Relaxed)),
            i128::from(out_msgs),
            i128::from(client.in_bytes.load(Ordering::Relaxed)),
            i128::from(out_bytes),
        ];
        for (sum, own) in sums.iter_mut().zip(own) {
            *sum = sum.saturating_add(own);
        }
        pending.note(u64::try_from(pending_bytes).unwrap_or(u64::MAX));
        if !client.rtt().is_zero() {
            rtt.note(u64::try_from(client.rtt().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    let count = clients.len().to_string();
    for (figure, value) in [("num_connections", &*count), ("total", &*count), ("offset", "0")] {
        families.gauge(SERVER_PREFIX, &format!("connz_{figure}"), &labels, value);
    }
    for (figure, sum) in SUMS.iter().zip(sums) {
        families.gauge(SERVER_PREFIX, &format!("connz_{figure}"), &labels, &sum.to_string());
    }
    families.histogram("connection_pending_bytes", &labels, &pending.snapshot(), 1.0);
    families.histogram("connection_rtt_seconds", &labels, &rtt.snapshot(), 1e-9);
}

fn each_connection(families: &mut Families, server: &Server, name: &str) -> Result<(), String> {
    let options = ConnzOptions { auth: true, limit: MAX_CONNECTIONS, ..ConnzOptions::default() };
    let document = Value::Object(fields(&connz(server, &options)?));
    for connection in document["connections"].as_array().map_or(&[][..], Vec::as_slice) {
        let text = |key: &str| match &connection[key] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let account = text("account");
        let keys = ["cid", "ip", "kind", "lang", "name", "name_tag", "port", "type", "version"];
        let values = keys.map(text);
        let mut labels: Vec<(&str, &str)> =
            vec![("account", &account), ("account_id", &account), ("server_id", name)];
        labels.extend(keys.iter().zip(&values).map(|(key, value)| (*key, value.as_str())));
        labels.sort_unstable();
        for figure in SUMS {
            let value = connection[figure].to_string();
            families.gauge(SERVER_PREFIX, &format!("connz_{figure}"), &labels, &value);
        }
    }
    Ok(())
}

fn jetstream(families: &mut Families, server: &Server, name: &str) -> Result<(), String> {
    let document = Value::Object(fields(&jsz(server, &JszOptions::default())?));
    let disabled = document["disabled"].as_bool().unwrap_or(false);
    let info = server.info();
    let options = server.options();
    let labels = [
        ("cluster", info.cluster.as_str()),
        ("domain", options.jetstream.domain.as_str()),
        ("is_meta_leader", "true"),
        ("meta_leader", ""),
        ("server_id", name),
        ("server_name", name),
    ];
    let number =
        |pointer: &str| document.pointer(pointer).map_or_else(|| "0".to_owned(), Value::to_string);
    let figures = [
        ("jetstream_disabled", String::from(if disabled { "1" } else { "0" })),
        ("total_streams", number("/streams")),
        ("total_consumers", number("/consumers")),
        ("total_messages", number("/messages")),
        ("total_message_bytes", number("/bytes")),
        ("max_memory", number("/config/max_memory")),
        ("max_storage", number("/config/max_storage")),
    ];
    for (figure, value) in figures {
        families.gauge(JETSTREAM_PREFIX, &format!("server_{figure}"), &labels, &value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_made_fit() {
        assert_eq!(name_part("/varz"), "varz");
        assert_eq!(name_part("debug/vars"), "debug_vars");
        assert_eq!(labelled(&[("a", "b\"\\\n")]), "a=\"b\\\"\\\\\\n\"");
    }

    #[test]
    fn families_are_written_together_whatever_the_order_they_came_in() {
        let mut families = Families { prefix: Some("nats".to_owned()), ..Families::default() };
        families.gauge(SERVER_PREFIX, "b", &[("x", "1")], "5");
        families.counter("a", &[], 7);
        families.gauge(SERVER_PREFIX, "b", &[("x", "2")], "6");
        let text = String::from_utf8(families.encode()).unwrap();
        assert_eq!(
            text,
            "# TYPE nats_a counter\nnats_a_total{} 7\n\
             # TYPE nats_b gauge\nnats_b{x=\"1\"} 5\nnats_b{x=\"2\"} 6\n# EOF\n"
        );
    }

    #[test]
    fn numbers_in_documents_are_named_by_their_path() {
        let mut families = Families::default();
        let document = serde_json::json!({"a": 1, "b": {"/c": 2.5, "d": "text"}, "e": [3]});
        let Value::Object(fields) = document else { panic!() };
        families.numbers("varz", "s", &fields);
        let text = String::from_utf8(families.encode()).unwrap();
        assert_eq!(
            text,
            "# TYPE gnatsd_varz_a gauge\ngnatsd_varz_a{server_id=\"s\"} 1\n\
             # TYPE gnatsd_varz_b_c gauge\ngnatsd_varz_b_c{server_id=\"s\"} 2.5\n# EOF\n"
        );
    }
}
