//! What is answered about the server.

use crate::support::Server;
use crate::{ACCOUNTS, Asker, id, user};
use serde_json::{Value, json};

const PING: &str = "$SYS.REQ.SERVER.PING";

fn start() -> (Server, Asker, String) {
    let server = Server::start(&format!(
        "{ACCOUNTS}\nserver_name: S1\nserver_tags: [\"zone:a\", \"x\"]\nserver_metadata {{ k: v }}"
    ));
    let asker = Asker::new(&server, "sys");
    let id = id(&server);
    (server, asker, id)
}

/// The fields of the `server` block, in order.
const SERVER_KEYS: [&str; 11] = [
    "name",
    "host",
    "id",
    "ver",
    "tags",
    "metadata",
    "feature_flags",
    "jetstream",
    "flags",
    "seq",
    "time",
];

#[test]
fn documents_are_answered_in_an_envelope_by_id_and_by_ping() {
    let (_server, mut asker, id) = start();
    let table: [(&str, &[&str]); 11] = [
        ("VARZ", &["server_id", "server_name", "version", "connections", "system_account"]),
        ("SUBSZ", &["server_id", "now", "num_subscriptions", "total", "offset", "limit"]),
        ("CONNZ", &["server_id", "now", "num_connections", "total", "connections", "cid"]),
        ("ROUTEZ", &["server_id", "server_name", "now", "num_routes", "routes"]),
        ("GATEWAYZ", &["server_id", "now", "outbound_gateways", "inbound_gateways"]),
        ("LEAFZ", &["server_id", "now", "leafnodes", "leafs"]),
        ("ACCOUNTZ", &["server_id", "now", "system_account", "accounts"]),
        ("JSZ", &["memory", "storage", "api", "server_id", "now", "disabled", "config"]),
        ("HEALTHZ", &["status", "status_code"]),
        ("EXPVARZ", &["memstats", "cmdline"]),
        ("IPQUEUESZ", &["System recvQ", "pending", "in_progress"]),
    ];
    for (name, keys) in table {
        for subject in [format!("{PING}.{name}"), format!("$SYS.REQ.SERVER.{id}.{name}")] {
            let answer = asker.answer(&subject, "");
            let all = [&["server"], &SERVER_KEYS[..], &["data"], keys].concat();
            answer.has_in_order(&all);
            let json = answer.json();
            assert_eq!(json["server"]["name"], "S1", "{name}");
            assert_eq!(json["server"]["id"], id, "{name}");
            assert!(json.get("error").is_none(), "{name}");
            assert!(answer.header.is_empty());
        }
    }
    assert_eq!(asker.ask(&format!("{PING}.RAFTZ"), "")["data"], json!({}));
    assert_eq!(asker.ask(&format!("{PING}.HEALTHZ"), "")["data"]["status_code"], 200);
}

#[test]
fn identity_and_statistics_have_no_envelope() {
    let (_server, mut asker, id) = start();
    let idz = asker.ask(&format!("{PING}.IDZ"), "");
    assert_eq!(idz, json!({"name": "S1", "host": "127.0.0.1", "id": id}));
    for subject in
        [PING.to_owned(), format!("{PING}.STATSZ"), format!("$SYS.REQ.SERVER.{id}.STATSZ")]
    {
        let answer = asker.answer(&subject, "");
        let own = [
            "statsz",
            "start",
            "mem",
            "cores",
            "cpu",
            "connections",
            "total_connections",
            "active_accounts",
            "subscriptions",
            "sent",
            "msgs",
            "bytes",
            "sent_to_clients",
            "received",
            "received_from_clients",
            "slow_consumers",
            "active_servers",
            "gomaxprocs",
        ];
        answer.has_in_order(&[&["server"], &SERVER_KEYS[..], &own].concat());
        let json = answer.json();
        assert_eq!(json["statsz"]["active_servers"], 1);
        assert!(json["statsz"].get("slow_consumer_stats").is_none());
    }
}

#[test]
fn filters_choose_servers() {
    let (_server, mut asker, _) = start();
    for body in [
        "{}",
        r#"{"server_name":"S"}"#,
        r#"{"server_name":"S1","exact_match":true}"#,
        r#"{"host":"0.0"}"#,
        r#"{"tags":["X"," zone:a "]}"#,
        r#"{"SERVER_NAME":"S1","unknown":[1]}"#,
    ] {
        assert!(asker.ask(&format!("{PING}.ROUTEZ"), body)["data"].is_object(), "{body}");
        assert!(asker.ask(PING, body)["statsz"].is_object(), "{body}");
    }
    for body in [
        r#"{"server_name":"S2"}"#,
        r#"{"server_name":"S","exact_match":true}"#,
        r#"{"host":"10.0.0.1"}"#,
        r#"{"cluster":"c"}"#,
        r#"{"domain":"d"}"#,
        r#"{"tags":["x","y"]}"#,
    ] {
        asker.is_ignored(&format!("{PING}.ROUTEZ"), body);
        asker.is_ignored(PING, body);
    }
}

#[test]
fn requests_that_are_wrong_are_told_so() {
    let (_server, mut asker, _) = start();
    let mut error = |service: &str, body: &str| -> Value {
        let answer = asker.answer(&format!("{PING}.{service}"), body);
        let json = answer.json();
        assert_eq!(json["error"]["code"] == 500, json.get("data").is_some(), "{service} {body}");
        assert!(json["data"].is_null());
        json["error"].clone()
    };
    let bad = |text: &str| json!({"code": 400, "description": text});
    let failed = |text: &str| json!({"code": 500, "description": text});
    assert_eq!(error("VARZ", "{"), bad("unexpected end of JSON input"));
    assert_eq!(
        error("VARZ", "5"),
        bad("json: cannot unmarshal number into Go value of type server.VarzEventOptions")
    );
    assert_eq!(
        error("CONNZ", r#"{"limit":"x"}"#),
        bad("json: cannot unmarshal string into Go struct field \
             ConnzEventOptions.ConnzOptions.limit of type int")
    );
    assert_eq!(
        error("STATSZ", r#"{"tags":5}"#),
        bad("json: cannot unmarshal number into Go struct field \
             StatszEventOptions.EventFilterOptions.tags of type []string")
    );
    assert_eq!(error("CONNZ", r#"{"sort":"foo"}"#), failed("invalid sorting option: foo"));
    assert_eq!(
        error("CONNZ", r#"{"filter_subject":"foo"}"#),
        failed("filter by subject only valid with account filtering")
    );
    assert_eq!(
        error("SUBSZ", r#"{"test":"a.*"}"#),
        failed("invalid test subject, must be valid publish subject: a.*")
    );
    assert_eq!(error("ACCOUNTZ", r#"{"account":"NO"}"#), failed("Account NO does not exist"));
}

#[test]
fn connections_are_filtered_sorted_and_paged_by_message_too() {
    let (server, mut asker, _) = start();
    let mut client = server.client(&user("a"));
    client.send("SUB foo.bar 1\r\nSUB other queue 2\r\n");
    client.expect_nothing();
    let cid = client.info["client_id"].clone();
    let mut connz = |body: &str| asker.ask(&format!("{PING}.CONNZ"), body)["data"].clone();
    let of_a = connz(r#"{"acc":"A","auth":true,"subscriptions":true}"#);
    assert_eq!((&of_a["total"], &of_a["connections"][0]["cid"]), (&json!(1), &cid));
    assert_eq!(of_a["connections"][0]["authorized_user"], "a");
    assert_eq!(of_a["connections"][0]["subscriptions_list"], json!(["foo.bar", "other"]));
    let detail = connz(r#"{"acc":"A","filter_subject":"foo.*","subscriptions_detail":true}"#);
    assert_eq!(detail["connections"][0]["subscriptions_list_detail"][1]["qgroup"], "queue");
    assert_eq!(connz(r#"{"acc":"A","filter_subject":"bar"}"#)["connections"], json!([]));
    assert_eq!(connz(r#"{"user":"a"}"#)["num_connections"], 1);
    assert_eq!(connz(r#"{"limit":1,"offset":1,"sort":"cid"}"#)["num_connections"], 1);
    assert_eq!(connz(&format!(r#"{{"cid":{cid}}}"#))["connections"][0]["cid"], cid);
    drop(client);
    server.wait_for_log("Server is ready");
    let closed = crate::support::wait_until("a closed connection", || {
        let closed = connz(r#"{"state":1,"acc":"A"}"#);
        (closed["num_connections"] == 1).then_some(closed)
    });
    assert_eq!(closed["connections"][0]["reason"], "Client Closed");
    assert_eq!(connz(r#"{"state":5}"#)["connections"], json!([]));
}

#[test]
fn answers_are_compressed_when_that_is_asked_for() {
    use std::io::Read;
    let (_server, mut asker, _) = start();
    let subject = format!("{PING}.VARZ");
    let mut ask = |encoding: &str, body: &str| {
        let header = format!("NATS/1.0\r\nAccept-Encoding: {encoding}\r\n\r\n");
        let answer = asker.answer_with(&subject, &header, body);
        (String::from_utf8(answer.header).unwrap(), answer.body)
    };
    let plain = |json: &[u8]| -> Value { serde_json::from_slice(json).unwrap() };
    let (header, body) = ask("gzip", "");
    assert_eq!(header, "NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n");
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(plain(&decoded)["data"]["server_name"], "S1");
    let (header, body) = ask("gzip, snappy", "");
    assert_eq!(header, "NATS/1.0\r\nContent-Encoding: snappy\r\n\r\n");
    decoded.clear();
    snap::read::FrameDecoder::new(&body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(plain(&decoded)["data"]["server_name"], "S1");
    let (header, body) = ask("br", "");
    assert_eq!(header, "NATS/1.0\r\nContent-Encoding: identity\r\n\r\n");
    assert_eq!(plain(&body)["data"]["server_name"], "S1");
    let (header, body) = ask("gzip", "{");
    assert_eq!((header.as_str(), &plain(&body)["error"]["code"]), ("", &json!(400)));
}

#[test]
fn profiles_that_cannot_be_made_say_why() {
    let (_server, mut asker, _) = start();
    let mut error = |body: &str| {
        let data = asker.ask(&format!("{PING}.PROFILEZ"), body)["data"].clone();
        assert!(data["profile"].is_null());
        data["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(error(""), "Profile name not specified");
    assert_eq!(error(r#"{"name":"nope"}"#), "Profile \"nope\" not found");
    assert_eq!(error(r#"{"name":"cpu"}"#), "Duration 0s should be between 0s and 15s");
    assert_eq!(
        error(r#"{"name":"cpu","duration":16000000000}"#),
        "Duration 16s should be between 0s and 15s"
    );
}

#[test]
fn a_profile_of_the_processor_is_made_while_other_requests_are_answered() {
    let (server, mut asker, id) = start();
    for subject in [format!("{PING}.PROFILEZ"), format!("$SYS.REQ.SERVER.{id}.PROFILEZ")] {
        let body = r#"{"name":"cpu","duration":500000000}"#;
        let mut profiler = Asker::new(&server, "sys");
        profiler.send(&subject, "", body);
        assert_eq!(asker.ask(&format!("{PING}.IDZ"), "")["id"], id);
        // There is one at a time; which of two comes first nobody says.
        let other = asker.ask(&format!("{PING}.PROFILEZ"), body)["data"].clone();
        let mut both = [profiler.next_answer().json()["data"].clone(), other];
        both.sort_by_key(|data| data["profile"].is_null());
        let [data, busy] = both;
        assert_eq!(busy["error"], "Failed to start CPU profile: cpu profiling already in use");
        assert_eq!(data["error"], "");
        let profile = data_encoding::BASE64.decode(data["profile"].as_str().unwrap().as_bytes());
        let profile = profile.expect("base64");
        let mut decoded = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&profile[..]);
        std::io::Read::read_to_end(&mut decoder, &mut decoded).expect("gzip");
        let has = |text: &[u8]| decoded.windows(text.len()).any(|w| w == text);
        assert!(has(b"cpu") && has(b"nanoseconds"), "the units of the samples");
    }
}

#[test]
fn profiles_are_served_on_a_port_of_their_own() {
    use std::io::{Read, Write};
    let server = Server::start("prof_port: -1");
    let line = server.wait_for_log("profiling port: ");
    let port: u16 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
        (head, answer)
    };
    assert!(get("/debug/pprof/").0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get("/debug/vars").0.contains("\r\n\r\n{\n\"cmdline\": ["));
    assert!(get("/debug/pprof/cmdline").0.contains("nats-server\0-c\0"));
    assert!(get("/debug/pprof/heap").0.starts_with("HTTP/1.1 404 "));
    let (head, answer) = get("/debug/pprof/profile?seconds=1");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/octet-stream\r\n"), "{head}");
    assert!(answer.windows(3).any(|w| w == [0x1f, 0x8b, 8]), "it is compressed");
}

#[test]
fn a_connection_can_be_kicked() {
    let (server, mut asker, id) = start();
    let mut client = server.client(&user("a"));
    let kick = format!("$SYS.REQ.SERVER.{id}.KICK");
    let body = format!("{{\"cid\":{}}}", client.info["client_id"]);
    let answer = asker.ask(&kick, &body);
    assert!(answer["server"].is_object());
    assert!(answer.get("error").is_none() && answer.get("data").is_none());
    assert_eq!(client.try_line(), None);
    let unknown = asker.ask(&kick, "{\"cid\":4711}");
    assert_eq!(
        unknown["error"],
        json!({"code": 500, "description": "no such client or leafnode id"})
    );
    assert!(unknown.get("data").is_none());
    asker.is_ignored(&kick, "");
    server.wait_for_log("SYSTEM - Error unmarshalling kick client request: unexpected end of JSON");
    let closed = asker.ask(&format!("{PING}.CONNZ"), r#"{"state":1,"acc":"A"}"#);
    assert_eq!(closed["data"]["connections"][0]["reason"], "Kicked");
}

#[test]
fn a_single_client_can_be_told_to_go() {
    let (server, mut asker, id) = start();
    let ldm = format!("$SYS.REQ.SERVER.{id}.LDM");
    let of = |wire: &crate::support::Wire| format!("{{\"cid\":{}}}", wire.info["client_id"]);
    let mut client = server.client(&format!("{},\"protocol\":1", user("a")));
    assert!(asker.ask(&ldm, &of(&client)).get("error").is_none());
    assert_eq!(client.next_info()["ldm"], true);
    client.expect_nothing();
    let old = server.client(&user("a"));
    let text = "client does not support Lame Duck Mode or is not ready to receive the notification";
    assert_eq!(asker.ask(&ldm, &of(&old))["error"]["description"], text);
    let unknown = asker.ask(&ldm, "{\"cid\":4711}");
    assert_eq!(unknown["error"]["description"], "no such client id");
}

#[test]
fn the_configuration_is_reloaded_on_request() {
    let (server, mut asker, id) = start();
    let reload = format!("$SYS.REQ.SERVER.{id}.RELOAD");
    let names = "server_name: S1\nserver_tags: [\"zone:a\", \"x\"]\nserver_metadata { k: v }";
    server.rewrite_config(&format!("{ACCOUNTS}\n{names}\nmax_payload: 12345"));
    let done = asker.ask(&reload, "");
    assert!(done.get("error").is_none() && done.get("data").is_none());
    assert_eq!(server.connect().info["max_payload"], 12345);
    server.rewrite_config(&format!("{ACCOUNTS}\n{names}\nmax_pending: 23456789"));
    let refused = asker.ask(&reload, "");
    let text = "config reload not supported for MaxPending: old=67108864, new=23456789";
    assert_eq!(refused["error"], json!({"code": 500, "description": text}));
    asker.is_ignored(&reload, r#"{"server_name":"other"}"#);
    assert_eq!(asker.ask(&reload, "{")["error"]["code"], 400);
    server.rewrite_config("garbage and nonsense");
    let refused = asker.ask(&reload, "")["error"]["description"].clone();
    assert!(
        refused.as_str().is_some_and(|text| text.contains("Expected a top-level value to end"))
    );
    assert_eq!(server.connect().info["max_payload"], 12345);
    // Other accounts cannot ask for it.
    let mut other = Asker::new(&server, "a");
    let answer = other.answer(&reload, "");
    assert!(answer.header.starts_with(b"NATS/1.0 503"), "no responders");
}

#[test]
fn subscribers_are_counted_on_request() {
    let (server, mut asker, _) = start();
    let debug = "$SYS.DEBUG.SUBSCRIBERS";
    let mut client = server.client(&user("sys"));
    client.send("SUB foo.a 1\r\nSUB foo.b q 2\r\nSUB foo.b q 3\r\nSUB foo.b r 4\r\n");
    client.expect_nothing();
    let mut count = |body: &str| {
        String::from_utf8(asker.answer(debug, body).body).unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(count("foo.a"), 1);
    assert_eq!(count("foo.b"), 3);
    assert_eq!(count("foo.b q"), 2);
    assert_eq!(count("foo.*"), 4);
    assert_eq!(count("foo.* r"), 1);
    assert_eq!(count("bar"), 0);
}
