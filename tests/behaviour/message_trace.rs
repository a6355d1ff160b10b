//! Messages that ask to be traced, on one server (spec 04 §10).

use crate::support::{Server, Wire};
use serde_json::{Value, json};
use std::io::Read;

const HEADERS: &str = r#""headers":true,"no_responders":true"#;
/// A `traceparent` whose caller records.
const RECORDED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

fn client(server: &Server, options: &str) -> Wire {
    let comma = if options.is_empty() { "" } else { "," };
    server.client(&format!("{HEADERS}{comma}{options}"))
}

fn user(name: &str) -> String {
    format!("\"user\":\"{name}\",\"pass\":\"x\"")
}

/// A connection that gets the traces sent to `trace.to`.
fn tracer(server: &Server, options: &str) -> Wire {
    let mut wire = client(server, options);
    wire.send("SUB trace.to 900\r\n");
    wire.expect_nothing();
    wire
}

/// HPUB with these header lines and the body `hello`. `to` is a subject, or one and a reply.
fn hpub(to: &str, headers: &str) -> String {
    let header = format!("NATS/1.0\r\n{headers}\r\n");
    format!("HPUB {to} {} {}\r\n{header}hello\r\n", header.len(), header.len() + 5)
}

/// The same, asking for a trace.
fn traced(to: &str, only: bool) -> String {
    hpub(to, asking(only))
}

fn asking(only: bool) -> &'static str {
    if only {
        "Nats-Trace-Dest: trace.to\r\nNats-Trace-Only: true\r\n"
    } else {
        "Nats-Trace-Dest: trace.to\r\n"
    }
}

fn next_trace(wire: &mut Wire) -> Value {
    let (line, payload) = wire.message();
    assert!(line.starts_with("MSG trace.to 900 "), "{line}");
    serde_json::from_slice(&payload).expect("a trace")
}

/// The events of a trace of one kind, without their times.
fn events(trace: &Value, kind: &str) -> Vec<Value> {
    let mut all = trace["events"].as_array().expect("events").clone();
    assert_eq!(all[0]["type"], "in", "{trace}");
    for event in &mut all {
        let time = event.as_object_mut().and_then(|e| e.remove("ts")).expect("a time");
        assert!(time.as_str().is_some_and(|t| t.starts_with("20")), "{time}");
    }
    all.retain(|e| e["type"] == kind);
    all
}

fn cid(wire: &Wire) -> Value {
    wire.info["client_id"].clone()
}

#[test]
fn a_trace_tells_the_way_of_a_message() {
    let server = Server::start("server_name: S1\nmappings { foo: bar }");
    let mut publisher = tracer(&server, "");
    publisher.send(traced("dummy", true));
    let trace = next_trace(&mut publisher);
    assert_eq!(trace["server"]["name"], "S1");
    let request = json!({
        "header": {"Nats-Trace-Dest": ["trace.to"], "Nats-Trace-Only": ["true"]},
        "msgsize": 10 + asking(true).len() + 2 + 5,
    });
    assert_eq!(trace["request"], request);
    let came =
        json!({"type": "in", "kind": 0, "cid": cid(&publisher), "acc": "$G", "subj": "dummy"});
    assert_eq!(events(&trace, "in"), [came]);
    assert_eq!(trace["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(trace.get("hops"), None);

    let mut two = client(&server, r#""name":"two""#);
    two.send("SUB bar 1\r\nSUB bar 2\r\n");
    two.expect_nothing();
    let mut any = client(&server, "");
    any.send("SUB * 3\r\n");
    any.expect_nothing();
    for only in [true, false] {
        publisher.send(hpub("foo", &format!("App: some value\r\n{}", asking(only))));
        let trace = next_trace(&mut publisher);
        assert_eq!(trace["request"]["header"]["App"], json!(["some value"]));
        assert_eq!(events(&trace, "in")[0]["subj"], "foo");
        assert_eq!(events(&trace, "sm"), [json!({"type": "sm", "to": "bar"})]);
        let mut out = events(&trace, "eg");
        out.sort_by_key(|e| e["sub"].to_string());
        let of_two = json!({
            "type": "eg", "kind": 0, "cid": cid(&two), "name": "two", "sub": "bar",
        });
        let of_any = json!({"type": "eg", "kind": 0, "cid": cid(&any), "sub": "*"});
        assert_eq!(out, [of_any, of_two.clone(), of_two]);
        if !only {
            for _ in 0..2 {
                let (line, payload) = two.message();
                assert!(line.starts_with("HMSG bar "), "{line}");
                let expected =
                    "NATS/1.0\r\nApp: some value\r\nNats-Trace-Dest: trace.to\r\n\r\nhello";
                assert_eq!(String::from_utf8_lossy(&payload), expected, "the headers stay");
            }
            assert!(any.message().0.starts_with("HMSG bar 3 "));
        }
        two.expect_nothing();
        any.expect_nothing();
    }
    publisher.expect_nothing();
}

#[test]
fn only_one_of_a_queue_group_is_reached() {
    let server = Server::start("");
    let mut publisher = tracer(&server, "");
    let mut one = client(&server, "");
    one.send("SUB foo bar 1\r\n");
    one.expect_nothing();
    let mut two = client(&server, "");
    two.send("SUB foo bar 1\r\nSUB * baz 2\r\n");
    two.expect_nothing();
    for only in [true, false] {
        publisher.send(traced("foo", only));
        let trace = next_trace(&mut publisher);
        let mut out: Vec<_> = events(&trace, "eg")
            .iter()
            .map(|e| {
                (e["queue"].as_str().unwrap().to_owned(), e["sub"].as_str().unwrap().to_owned())
            })
            .collect();
        out.sort();
        let expected = [("bar", "foo"), ("baz", "*")].map(|(q, s)| (q.to_owned(), s.to_owned()));
        assert_eq!(out, expected);
        let got = [&mut one, &mut two]
            .map(|w| w.sync().iter().filter(|line| line.starts_with("HMSG")).count());
        assert_eq!(got.iter().sum::<usize>(), if only { 0 } else { 2 });
    }
}

const ERRORS: &str = r#"accounts { A { users: [{
    user: a, password: x, permissions {
        subscribe { allow: ["trace.to", "foo", "bar.>"], deny: "bar.bat" }
        publish { allow: ["foo", "bar.>", "trace.to"], deny: "bar.baz" }
    }
}] } }"#;

#[test]
fn a_refused_message_is_traced_with_the_reason() {
    let server = Server::start(ERRORS);
    let mut sees = tracer(&server, &user("a"));
    sees.send("SUB foo 1\r\n");
    sees.expect_nothing();
    for only in [true, false] {
        let mut publisher = client(&server, &user("a"));
        for (to, error) in [
            ("bar.baz", "Permissions Violation for Publish to \"bar.baz\""),
            ("_GR_.foo", "Permissions Violation for Publish to \"_GR_.foo\""),
            ("foo _R_.bar", "Permissions Violation for Publish with Reply of \"_R_.bar\""),
        ] {
            publisher.send(traced(to, only));
            publisher.expect_error(error);
            let trace = next_trace(&mut sees);
            assert_eq!(events(&trace, "in")[0]["error"], error);
            assert_eq!(events(&trace, "eg"), [] as [Value; 0]);
        }
    }
    sees.expect_nothing();
}

#[test]
fn a_message_that_does_not_reach_a_subscriber_says_why() {
    let server = Server::start(ERRORS);
    let mut sees = tracer(&server, &user("a"));
    for only in [true, false] {
        let mut silent = client(&server, &format!("{},\"echo\":false", user("a")));
        silent.send("SUB foo 1\r\n");
        silent.send(traced("foo", only));
        let out = events(&next_trace(&mut sees), "eg");
        assert_eq!(out[0]["error"], "Not delivered because of no echo");
        drop(silent);
        let mut denied = client(&server, &user("a"));
        denied.send("SUB bar.> 1\r\n");
        denied.send(traced("bar.bat", only));
        let trace = next_trace(&mut sees);
        let out = events(&trace, "eg");
        assert_eq!(out.len(), 1, "{trace}");
        assert_eq!(out[0]["error"], "Not delivered because subscription denies this subject");
        denied.expect_nothing();
    }
}

const TRACER_AND_PUBLISHER: &str = r#"accounts { A { users: [
    {user: t, password: x, permissions { subscribe: ["trace.to", "foo"], publish: "trace.to" } },
    {user: p, password: x, permissions { publish: "foo" } },
    {user: all, password: x, permissions { publish: ">" } }
], TRACE
} }"#;

#[test]
fn whoever_may_not_publish_traces_there_publishes_nothing() {
    for by_account in [false, true] {
        let account = if by_account { "trace_dest: trace.to" } else { "" };
        let server = Server::start(&TRACER_AND_PUBLISHER.replace("TRACE", account));
        let mut sees = tracer(&server, &user("t"));
        sees.send("SUB foo 1\r\n");
        for only in ["", "Nats-Trace-Only: true\r\n"] {
            let asks = if by_account { RECORDED } else { asking(false) };
            let mut publisher = client(&server, &user("p"));
            publisher.send(hpub("foo", &format!("{asks}{only}")));
            publisher.expect_error("Permissions Violation for Publish to \"trace.to\"");
        }
        sees.expect_nothing();
    }
}

#[test]
fn reserved_subjects_are_no_destinations() {
    for reserved in ["_GR_.trace", "$NRG.trace"] {
        for by_account in [false, true] {
            let account =
                if by_account { format!("trace_dest: \"{reserved}\"") } else { String::new() };
            let server = Server::start(&TRACER_AND_PUBLISHER.replace("TRACE", &account));
            let mut sees = client(&server, &user("t"));
            sees.send("SUB foo 1\r\n");
            for only in ["", "Nats-Trace-Only: true\r\n"] {
                let mut publisher = client(&server, &user("all"));
                let asks = match by_account {
                    true => RECORDED.to_owned(),
                    false => format!("Nats-Trace-Dest: {reserved}\r\n"),
                };
                publisher.send(hpub("foo", &format!("{asks}{only}")));
                let error = format!("Permissions Violation for Publish to \"{reserved}\"");
                publisher.expect_error(&error);
            }
            sees.expect_nothing();
        }
    }
}

#[test]
fn an_invalid_destination_is_logged() {
    let server = Server::start("");
    let mut wire = client(&server, "");
    wire.send("SUB foo 1\r\n");
    for only in [true, false] {
        let only_line = if only { "Nats-Trace-Only: on\r\n" } else { "" };
        wire.send(hpub("foo", &format!("Nats-Trace-Dest: a.*\r\n{only_line}")));
        server.wait_for_log("Destination \"a.*\" is not valid, won't be able to trace events");
        if !only {
            assert!(wire.message().0.starts_with("HMSG foo "));
        }
        wire.expect_nothing();
    }
}

#[test]
fn too_large_a_message_is_traced_as_far_as_its_headers_came() {
    let server = Server::start("max_payload: 1024");
    let mut sees = tracer(&server, "");
    for only in [true, false] {
        let header = format!("NATS/1.0\r\n{}\r\n", asking(only));
        let mut publisher = client(&server, "");
        publisher.send(format!("HPUB foo {} 2048\r\n{header}AAAAAAAA", header.len()));
        publisher.expect_error("Maximum Payload Violation");
        publisher.expect_close();
        let trace = next_trace(&mut sees);
        assert_eq!(trace["request"]["msgsize"], 2048);
        let came = &events(&trace, "in")[0];
        assert_eq!(
            (&came["subj"], &came["error"]),
            (&json!("foo"), &json!("maximum payload exceeded"))
        );
        assert_eq!(events(&trace, "eg"), [] as [Value; 0]);
    }
    // What looks like a header in the payload is none.
    let mut publisher = client(&server, "");
    publisher.send(format!("HPUB foo 10 2048\r\nNATS/1.0\r\nAA\r\n{}", asking(false)));
    publisher.expect_error("Maximum Payload Violation");
    publisher.expect_close();
    sees.expect_nothing();
}

#[test]
fn too_large_a_message_is_not_traced_to_where_its_publisher_may_not() {
    let accounts = TRACER_AND_PUBLISHER.replace("TRACE", "");
    let server = Server::start(&format!("max_payload: 1024\n{accounts}"));
    let mut sees = tracer(&server, &user("t"));
    let header = format!("NATS/1.0\r\n{}\r\n", asking(false));
    let mut publisher = client(&server, &user("p"));
    publisher.send(format!("HPUB foo {} 2048\r\n{header}AAAAAAAA", header.len()));
    publisher.expect_error("Permissions Violation for Publish to \"trace.to\"");
    publisher.expect_error("Maximum Payload Violation");
    publisher.expect_close();
    sees.expect_nothing();
}

#[test]
fn the_header_of_another_origin_ends_tracing() {
    let accounts = "accounts { A { users: [{user: a, password: x}], trace_dest: trace.to } }";
    let server = Server::start(accounts);
    let mut sees = tracer(&server, &user("a"));
    let mut wire = client(&server, &user("a"));
    wire.send("SUB foo 1\r\n");
    for (asks, delivered) in [
        (asking(true).to_owned(), false),
        (asking(false).to_owned(), true),
        (format!("{RECORDED}Nats-Trace-Only: true\r\n"), true),
        (RECORDED.to_owned(), true),
    ] {
        let logged = server.log_lines().len();
        wire.send(hpub("foo", &format!("Nats-Trace-Origin-Account: B\r\n{asks}")));
        if delivered {
            let payload = String::from_utf8(wire.message().1).expect("text");
            assert!(payload.contains("Nats-Trace-Dest: trace disabled\r\n"), "{payload}");
            assert!(!payload.contains("trace.to"), "{payload}");
            assert!(payload.contains("Nats-Trace-Origin-Account: B\r\n"), "{payload}");
            assert_eq!(payload.contains("traceparent"), asks.contains("traceparent"));
        }
        wire.expect_nothing();
        let text = "Message tracing disabled because of header \"Nats-Trace-Origin-Account\" \
                    with value=\"B\"";
        crate::support::wait_until("the error is logged", || {
            server.log_lines()[logged..].iter().any(|line| line.contains(text)).then_some(())
        });
    }
    sees.expect_nothing();
}

#[test]
fn a_trace_context_is_traced_to_where_the_account_says() {
    let accounts = |trace: &str| {
        format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{
                A {{ users: [{{user: a, password: x}}], trace_dest: trace.to }}
                B {{ users: [{{user: b, password: x}}], {trace} }}
            }}"
        )
    };
    let server = Server::start(&accounts(""));
    let mut sees = tracer(&server, &user("a"));
    sees.send("SUB other 901\r\n");
    let mut wire = client(&server, &user("a"));
    wire.send("SUB foo 1\r\n");
    wire.expect_nothing();
    let parent = |flags: &str| {
        format!("TraceParent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}\r\n")
    };
    // The headers, whether the message is delivered, and where its trace goes.
    let only = "Nats-Trace-Only: true\r\n";
    let other = "Nats-Trace-Dest: other\r\n";
    for (headers, delivered, to) in [
        (RECORDED.to_owned(), true, Some("trace.to")),
        (parent("01"), true, Some("trace.to")),
        (parent("25"), true, Some("trace.to")),
        (parent("00"), true, None),
        (format!("{RECORDED}{only}"), true, Some("trace.to")),
        (format!("{}{only}", parent("00")), true, None),
        (format!("{other}{RECORDED}"), true, Some("other")),
        (format!("{other}{}", parent("00")), true, Some("other")),
        (format!("{other}{only}{RECORDED}"), false, Some("other")),
        (format!("{other}{only}{}", parent("00")), false, Some("other")),
    ] {
        wire.send(hpub("foo", &headers));
        if delivered {
            assert!(wire.message().0.starts_with("HMSG foo "), "{headers}");
        }
        wire.expect_nothing();
        if let Some(to) = to {
            let line = sees.message().0;
            assert!(line.starts_with(&format!("MSG {to} ")), "{headers}: {line}");
        }
        sees.expect_nothing();
    }
    // Another account says nothing, until it does.
    let mut wire = client(&server, &user("b"));
    wire.send("SUB foo 1\r\nSUB trace.b 2\r\n");
    wire.send(hpub("foo", RECORDED));
    assert!(wire.message().0.starts_with("HMSG foo "));
    wire.expect_nothing();
    server.reload(&accounts("trace_dest: trace.b")).expect("a reload");
    wire.send(hpub("foo", RECORDED));
    let mut got = [wire.message().0, wire.message().0];
    got.sort();
    assert!(got[0].starts_with("HMSG foo ") && got[1].starts_with("MSG trace.b "), "{got:?}");
    wire.expect_nothing();
}

#[test]
fn an_account_traces_the_share_it_says() {
    let accounts = |sampling: &str| {
        format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{ A {{
                users: [{{user: a, password: x}}], msg_trace: {{dest: trace.to {sampling}}}
            }} }}"
        )
    };
    let server = Server::start(&accounts(""));
    let mut sees = tracer(&server, &user("a"));
    let mut subscriber = client(&server, &user("a"));
    subscriber.send("SUB foo 1\r\n");
    let mut wire = client(&server, &user("a"));
    for (sampling, least, most) in [("", 400, 400), (", sampling: \"25%\"", 1, 200), ("", 400, 400)]
    {
        server.reload(&accounts(sampling)).expect("a reload");
        wire.send(hpub("foo", RECORDED).repeat(400));
        wire.expect_nothing();
        let lines = sees.sync();
        let traced = lines.iter().filter(|line| line.starts_with("MSG trace.to ")).count();
        assert!((least..=most).contains(&traced), "{traced}");
        let untraced = (0..400)
            .filter(|_| {
                let payload = String::from_utf8(subscriber.message().1).expect("text");
                payload.contains("Nats-Trace-Dest: trace disabled\r\n")
            })
            .count();
        assert_eq!(traced + untraced, 400);
    }
}

#[test]
fn traces_are_compressed_on_request() {
    let server = Server::start("server_name: S1");
    let mut wire = client(&server, "");
    wire.send("SUB trace.to 900\r\n");
    for (accepts, encoding) in
        [("gzip", "gzip"), ("snappy", "snappy"), ("s2", "snappy"), ("bad one", "identity")]
    {
        wire.send(hpub("foo", &format!("{}Accept-Encoding: {accepts}\r\n", asking(false))));
        let (line, payload) = wire.message();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "HMSG", "{line}");
        let (header, body) = payload.split_at(words[words.len() - 2].parse().expect("a length"));
        let header = String::from_utf8_lossy(header);
        assert!(header.contains(&format!("Content-Encoding: {encoding}\r\n")), "{header}");
        let mut text = Vec::new();
        let mut decoder: Box<dyn Read> = match encoding {
            "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
            "snappy" => Box::new(snap::read::FrameDecoder::new(body)),
            _ => Box::new(body),
        };
        decoder.read_to_end(&mut text).expect("decodes");
        let trace: Value = serde_json::from_slice(&text).expect("a trace");
        assert_eq!(trace["server"]["name"], "S1");
        assert_eq!(events(&trace, "in")[0]["subj"], "foo");
    }
}

#[test]
fn a_stream_is_traced_into_other_accounts_where_the_import_allows_it() {
    let accounts = |allow: bool| {
        format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{
                A {{ users: [{{user: a, password: x}}], exports: [{{stream: \"info.*.*.>\"}}] }}
                B {{ users: [{{user: b, password: x}}], imports: [
                    {{stream: {{account: A, subject: \"info.*.*.>\"}},
                      to: \"B.info.$2.$1.>\", allow_trace: {allow}}}] }}
                C {{ users: [{{user: c, password: x}}], imports: [
                    {{stream: {{account: A, subject: \"info.*.*.>\"}},
                      to: \"C.info.$1.$2.>\", allow_trace: {allow}}}] }}
            }}"
        )
    };
    let server = Server::start(&accounts(false));
    let mut publisher = tracer(&server, &user("a"));
    let mut b = client(&server, &format!("{},\"name\":\"one\"", user("b")));
    b.send("SUB B.info.*.*.> 1\r\n");
    b.expect_nothing();
    let mut c = client(&server, &format!("{},\"name\":\"two\"", user("c")));
    c.send("SUB C.info.> group 1\r\n");
    c.expect_nothing();
    for allow in [false, true, false] {
        server.reload(&accounts(allow)).expect("a reload");
        for only in [true, false] {
            publisher.send(traced("info.11.22.bar", only));
            let trace = next_trace(&mut publisher);
            if !only {
                assert!(b.message().0.starts_with("HMSG B.info.22.11.bar "));
                assert!(c.message().0.starts_with("HMSG C.info.11.22.bar "));
            }
            b.expect_nothing();
            c.expect_nothing();
            let came = &events(&trace, "in")[0];
            assert_eq!((&came["acc"], &came["subj"]), (&json!("A"), &json!("info.11.22.bar")));
            let mut crossed = events(&trace, "se");
            crossed.sort_by_key(|e| e["acc"].to_string());
            assert_eq!(
                crossed,
                [
                    json!({"type": "se", "acc": "B", "to": "B.info.22.11.bar"}),
                    json!({"type": "se", "acc": "C", "to": "C.info.11.22.bar"}),
                ]
            );
            let mut out = events(&trace, "eg");
            out.sort_by_key(|e| e["acc"].to_string());
            let expected = [
                json!({"type": "eg", "kind": 0, "cid": cid(&b), "name": "one", "acc": "B",
                       "sub": "info.*.*.>"}),
                json!({"type": "eg", "kind": 0, "cid": cid(&c), "name": "two", "acc": "C",
                       "sub": "info.*.*.>", "queue": "group"}),
            ];
            assert_eq!(out, if allow { expected.to_vec() } else { vec![] }, "{trace}");
            publisher.expect_nothing();
        }
    }
}

#[test]
fn a_request_is_traced_into_other_accounts_where_the_export_allows_it() {
    let accounts = |allow: bool| {
        format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{
                A {{ users: [{{user: a, password: x}}], mappings {{ bar: bozo }},
                     exports: [{{service: \">\", allow_trace: {allow}}}] }}
                B {{ users: [{{user: b, password: x}}],
                     imports: [{{service: {{account: A, subject: \">\"}}}}],
                     exports: [{{service: \">\", allow_trace: {allow}}}] }}
                C {{ users: [{{user: c, password: x}}],
                     exports: [{{service: \">\", allow_trace: {allow}}}] }}
                D {{ users: [{{user: d, password: x}}], mappings {{ bat: baz }}, imports: [
                    {{service: {{account: B, subject: bar}}, to: baz}}
                    {{service: {{account: C, subject: \">\"}}}}] }}
            }}"
        )
    };
    let server = Server::start(&accounts(false));
    let mut asks = client(&server, &user("d"));
    asks.send("SUB trace.to 900\r\nSUB inbox 1\r\n");
    asks.expect_nothing();
    let mut a = client(&server, &format!("{},\"name\":\"of A\"", user("a")));
    a.send("SUB * group 1\r\n");
    a.expect_nothing();
    let mut c = client(&server, &format!("{},\"name\":\"of C\"", user("c")));
    c.send("SUB baz 1\r\n");
    c.expect_nothing();
    for allow in [false, true, false] {
        server.reload(&accounts(allow)).expect("a reload");
        for only in [true, false] {
            asks.send(traced("bat inbox", only));
            let trace = next_trace(&mut asks);
            if !only {
                for (wire, subject) in [(&mut a, "bozo"), (&mut c, "baz")] {
                    let (line, payload) = wire.message();
                    let words: Vec<&str> = line.split(' ').collect();
                    assert_eq!(words[..3], ["HMSG", subject, "1"], "{line}");
                    let payload = String::from_utf8(payload).expect("text");
                    let disabled = payload.contains("Nats-Trace-Dest: trace disabled\r\n");
                    assert_eq!(disabled, !allow, "{payload}");
                    wire.send(format!("PUB {} 2\r\nok\r\n", words[3]));
                }
                for _ in 0..2 {
                    assert_eq!(asks.message(), ("MSG inbox 1 2".to_owned(), b"ok".to_vec()));
                }
            }
            for wire in [&mut asks, &mut a, &mut c] {
                wire.expect_nothing();
            }
            let came = &events(&trace, "in")[0];
            assert_eq!((&came["acc"], &came["subj"]), (&json!("D"), &json!("bat")));
            assert_eq!(events(&trace, "sm"), [json!({"type": "sm", "to": "baz"})]);
            let mut crossed = events(&trace, "si");
            crossed.sort_by_key(|e| e["acc"].to_string());
            let mut expected = vec![
                json!({"type": "si", "acc": "B", "from": "baz", "to": "bar"}),
                json!({"type": "si", "acc": "C", "from": "baz", "to": "baz"}),
            ];
            if allow {
                expected.insert(0, json!({"type": "si", "acc": "A", "from": "bar", "to": "bozo"}));
            }
            assert_eq!(crossed, expected, "{trace}");
            let mut out = events(&trace, "eg");
            out.sort_by_key(|e| e["acc"].to_string());
            let expected = [
                json!({"type": "eg", "kind": 0, "cid": cid(&a), "name": "of A", "acc": "A",
                       "sub": "*", "queue": "group"}),
                json!({"type": "eg", "kind": 0, "cid": cid(&c), "name": "of C", "acc": "C",
                       "sub": "baz"}),
            ];
            assert_eq!(out, if allow { expected.to_vec() } else { vec![] }, "{trace}");
        }
    }
}
