//! `/metrics` and the page at the root.

use crate::{Monitored, start};
use std::collections::BTreeMap;

/// Samples by name and labels, checked to be well-formed and grouped by family.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut family = String::new();
    let mut seen = Vec::new();
    let mut samples = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").expect("an end");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert!(!seen.contains(&name.to_owned()), "{name} comes twice");
            seen.push(name.to_owned());
            family = name.to_owned();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(sample.starts_with(&family), "{line} in {family}");
        assert!(sample.ends_with('}'), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(sample.to_owned(), value).is_none(), "{line} comes twice");
    }
    samples
}

fn metrics(m: &Monitored, query: &str) -> BTreeMap<String, f64> {
    let answer = m.get(&format!("/metrics{query}"));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(kind)));
    samples(&answer.body)
}

fn name(m: &Monitored) -> String {
    m.json("/varz")["server_name"].as_str().unwrap().to_owned()
}

#[test]
fn figures_have_the_names_of_the_exporter() {
    let m = start();
    let _client = m.busy_client("busy");
    let figures = metrics(&m, "");
    let server = format!("server_id=\"{}\"", name(&m));
    let of = |figure: &str| {
        let key = format!("gnatsd_{figure}{{{server}}}");
        *figures.get(&key).unwrap_or_else(|| panic!("{key}"))
    };
    for (figure, value) in [
        ("varz_connections", 1.0),
        ("varz_in_msgs", 1.0),
        ("varz_in_bytes", 5.0),
        ("varz_out_client_msgs", 1.0),
        ("varz_max_payload", 1_048_576.0),
        ("varz_ping_interval", 120e9),
        ("varz_slow_consumer_stats_clients", 0.0),
        ("connz_num_connections", 1.0),
        ("connz_total", 1.0),
        ("connz_in_msgs", 1.0),
        ("connz_out_bytes", 5.0),
        ("connz_subscriptions", 1.0),
        ("subsz_total", 0.0),
        ("routez_num_routes", 0.0),
        ("leafz_conn_nodes_total", 0.0),
        ("healthz_status", 0.0),
        ("healthz_js_server_only_status", 0.0),
    ] {
        assert_eq!(of(figure), value, "{figure}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = of("varz_start") / 1000.0;
    assert!((now.as_secs_f64() - start).abs() < 600.0, "{start}");
    let text = |figure: &str, value: &str| {
        let key = format!("gnatsd_{figure}{{{server},value=\"{value}\"}}");
        assert_eq!(figures.get(&key), Some(&1.0), "{key}");
    };
    text("varz_version", "2.14.5");
    text("healthz_status_value", "ok");
    let account = format!("account=\"$G\",account_id=\"$G\",account_name=\"$G\",{server}");
    assert_eq!(figures[&format!("gnatsd_accstatz_current_connections{{{account}}}")], 1.0);
    assert_eq!(figures[&format!("gnatsd_accstatz_received_bytes{{{account}}}")], 5.0);
    let disabled =
        figures.iter().find(|(key, _)| key.starts_with("jetstream_server_jetstream_disabled{"));
    assert_eq!(disabled.map(|(_, value)| *value), Some(1.0));
}

#[test]
fn a_prefix_replaces_the_first_part_of_all_names() {
    let m = start();
    let figures = metrics(&m, "?prefix=nats");
    assert!(figures.keys().all(|key| key.starts_with("nats_")));
    assert!(figures.keys().any(|key| key.starts_with("nats_varz_mem{")));
    assert!(figures.keys().any(|key| key.starts_with("nats_server_total_streams{")));
    let odd = metrics(&m, "?prefix=a%22%0Ab");
    assert!(odd.keys().all(|key| key.starts_with("a__b_")));
}

#[test]
fn connections_are_shown_one_by_one_only_when_asked_for() {
    let m = start();
    let _one = m.busy_client("one \\\"quoted\\\"");
    let each = |query: &str| {
        let figures = metrics(&m, query);
        figures.into_iter().filter(|(key, _)| key.contains("cid=")).collect::<Vec<_>>()
    };
    assert!(each("").is_empty());
    let shown = each("?connections=1");
    let sent = shown.iter().find(|(key, _)| key.starts_with("gnatsd_connz_in_bytes{")).unwrap();
    assert_eq!(sent.1, 5.0);
    assert!(sent.0.contains("name=\"one \\\"quoted\\\"\""), "{}", sent.0);
    m.expect_bad_request(
        "/metrics?connections=x",
        "Error decoding boolean for 'connections': strconv.ParseBool: parsing \"x\": invalid syntax",
    );
}

#[test]
fn histograms_add_up() {
    let m = start();
    let _client = m.busy_client("busy");
    let figures = metrics(&m, "");
    let server = format!("server_id=\"{}\"", name(&m));
    for histogram in ["reactor_pass_seconds", "connection_pending_bytes", "connection_rtt_seconds"]
    {
        let count = figures[&format!("gnatsd_{histogram}_count{{{server}}}")];
        let all = figures[&format!("gnatsd_{histogram}_bucket{{{server},le=\"+Inf\"}}")];
        assert_eq!(count, all, "{histogram}");
        assert!(count >= 1.0, "{histogram}");
        let prefix = format!("gnatsd_{histogram}_bucket{{");
        let buckets: Vec<f64> =
            figures.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, n)| *n).collect();
        assert!(buckets.len() == 13 && buckets.iter().all(|n| *n <= count), "{histogram}");
    }
}
