//! Streams and services that accounts share (spec 03 §16 to §18).

use crate::accepted;
use crate::support::{Server, Wire, wait_until};

/// Two accounts, A exporting and B importing.
fn server(exports: &str, imports: &str) -> Server {
    Server::start(&format!(
        "accounts {{ \
         A {{ exports = [ {exports} ], users = [ {{user: a, password: p}} ] }}, \
         B {{ imports = [ {imports} ], users = [ {{user: b, password: p}} ] }}, \
         C {{ users = [ {{user: c, password: p}} ] }} }}"
    ))
}

fn user(server: &Server, name: &str) -> Wire {
    accepted(server, &format!(r#""user":"{name}","pass":"p","headers":true"#))
}

fn requestor(server: &Server, name: &str) -> Wire {
    let members =
        format!(r#""user":"{name}","pass":"p","headers":true,"no_responders":true,"name":"req""#);
    accepted(server, &members)
}

/// The reply subject and the payload of the next message, which may have headers.
fn request(wire: &mut Wire) -> (String, String) {
    let (line, payload) = wire.message();
    let fields: Vec<&str> = line.split(' ').collect();
    let is_headers = fields[0] == "HMSG";
    let with_reply = fields.len() == if is_headers { 6 } else { 5 };
    let reply = if with_reply { fields[3].to_owned() } else { String::new() };
    (reply, String::from_utf8_lossy(&payload).into_owned())
}

#[test]
fn streams_are_imported_under_the_configured_subject() {
    let server = server(
        "{stream: \"orders.*\"}, {stream: news}, {stream: \"deep.>\"}, {stream: \"map.*.*\"}, \
         {stream: \"same.*.*\"}",
        "{stream: {account: A, subject: \"orders.*\"}}, \
         {stream: {account: A, subject: news}, to: \"from.a\"}, \
         {stream: {account: A, subject: \"deep.>\"}, prefix: pre}, \
         {stream: {account: A, subject: \"map.*.*\"}, to: \"swap.$2.$1\"}, \
         {stream: {account: A, subject: \"same.*.*\"}, to: \"same.$1.{{wildcard(2)}}\"}",
    );
    let (mut a, mut b, mut c) = (user(&server, "a"), user(&server, "b"), user(&server, "c"));
    b.send("SUB > 1\r\n");
    b.expect_nothing();
    c.send("SUB > 1\r\n");
    c.expect_nothing();
    for (published, delivered) in [
        ("orders.new", "orders.new"),
        ("news", "from.a"),
        ("deep.x.y", "pre.deep.x.y"),
        ("map.x.y", "swap.y.x"),
        ("same.x.y", "same.x.y"),
    ] {
        a.send(format!("PUB {published} 2\r\nhi\r\n"));
        a.expect_nothing();
        b.expect(format!("MSG {delivered} 1 2\r\nhi\r\n"));
    }
    a.send("PUB other 0\r\n\r\nPUB orders.a.b 0\r\n\r\n");
    a.expect_nothing();
    b.expect_nothing();
    c.expect_nothing();
    // The way leads in one direction only.
    a.send("SUB > 1\r\n");
    a.expect_nothing();
    b.send("PUB orders.new 0\r\n\r\n");
    b.expect("MSG orders.new 1 0\r\n\r\n");
    a.expect_nothing();
}

#[test]
fn subscriptions_narrower_than_the_import_get_their_part() {
    let server = server(
        "{stream: \"map.*.*\"}",
        "{stream: {account: A, subject: \"map.*.*\"}, to: \"swap.$2.$1\"}",
    );
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    b.send("SUB swap.y.* 1\r\nSUB swap.y.x 2\r\nSUB swap.z.* 3\r\nSUB map.x.y 4\r\n");
    b.expect_nothing();
    a.send("PUB map.x.y 0\r\n\r\n");
    a.expect_nothing();
    let mut lines: Vec<String> = (0..2).map(|_| b.message().0).collect();
    lines.sort();
    assert_eq!(lines, ["MSG swap.y.x 1 0", "MSG swap.y.x 2 0"]);
    b.expect_nothing();
}

#[test]
fn queue_groups_are_shared_with_the_exporting_account() {
    let server = server("{stream: jobs}", "{stream: {account: A, subject: jobs}, to: \"a.jobs\"}");
    let (mut a, mut member, mut b) = (user(&server, "a"), user(&server, "a"), user(&server, "b"));
    member.send("SUB jobs q 1\r\n");
    member.expect_nothing();
    b.send("SUB a.jobs q 1\r\n");
    b.expect_nothing();
    for _ in 0..200 {
        a.send("PUB jobs 0\r\n\r\n");
    }
    a.expect_nothing();
    let count = |wire: &mut Wire| wire.sync().iter().filter(|l| l.starts_with("MSG")).count();
    let (in_a, in_b) = (count(&mut member), count(&mut b));
    assert_eq!(in_a + in_b, 200);
    assert!(in_a > 40 && in_b > 40, "{in_a} and {in_b}");
}

#[test]
fn imported_subscriptions_end_with_unsub_limit_and_connection() {
    let server = server("{stream: news}", "{stream: {account: A, subject: news}}");
    let mut a = requestor(&server, "a");
    let mut b = user(&server, "b");
    b.send("SUB news 1\r\nSUB news 2\r\nUNSUB 1\r\nUNSUB 2 2\r\n");
    b.expect_nothing();
    for _ in 0..3 {
        a.send("PUB news 0\r\n\r\n");
    }
    a.expect_nothing();
    assert_eq!(b.sync().iter().filter(|l| l.starts_with("MSG news 2")).count(), 2);
    b.send("SUB news 3\r\n");
    b.expect_nothing();
    drop(b);
    // Nobody is left: a request tells so.
    a.send("SUB inbox 9\r\n");
    wait_until("the subscription ends", || {
        a.send("PUB news inbox 0\r\n\r\n");
        a.sync().iter().any(|l| l.starts_with("HMSG inbox")).then_some(())
    });
}

#[test]
fn imported_messages_respect_denials_here() {
    let server = Server::start(
        "accounts { A { exports = [ {stream: \"s.*\"} ], users = [ {user: a, password: p} ] }, \
         B { imports = [ {stream: {account: A, subject: \"s.*\"}, prefix: x} ], users = [ \
         {user: b, password: p, permissions: {subscribe: {deny: \"x.s.no\"}}} ] } }",
    );
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    b.send("SUB x.> 1\r\n");
    b.expect_nothing();
    a.send("PUB s.no 0\r\n\r\nPUB s.yes 0\r\n\r\n");
    a.expect_nothing();
    b.expect("MSG x.s.yes 1 0\r\n\r\n");
    b.expect_nothing();
}

#[test]
fn services_answer_requests_of_other_accounts() {
    let server = server(
        "{service: \"time.*\"}, {service: plain}",
        "{service: {account: A, subject: \"time.*\"}, to: \"clock.*\"}, \
         {service: {account: A, subject: plain}}",
    );
    let (mut a, mut b) = (user(&server, "a"), requestor(&server, "b"));
    a.send("SUB time.* 1\r\nSUB plain 2\r\n");
    a.expect_nothing();
    b.send("SUB inbox.* 1\r\n");
    b.expect_nothing();
    for (published, delivered) in [("clock.utc", "time.utc"), ("plain", "plain")] {
        b.send(format!("PUB {published} inbox.1 2\r\nhi\r\n"));
        b.expect_nothing();
        let (line, payload) = a.message();
        assert!(line.starts_with(&format!("HMSG {delivered} ")), "{line}");
        let reply = line.split(' ').nth(3).expect("a reply").to_owned();
        assert!(reply.starts_with("_R_.") && reply.len() == 17, "{reply}");
        let text = String::from_utf8(payload).expect("text");
        assert!(
            text.starts_with("NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\",\"rtt\":"),
            "{text}"
        );
        assert!(text.ends_with("}\r\n\r\nhi"), "{text}");
        a.send(format!("PUB {reply} 4\r\ndone\r\n"));
        a.expect_nothing();
        b.expect("MSG inbox.1 1 4\r\ndone\r\n");
        // Only one answer is passed on.
        a.send(format!("PUB {reply} 4\r\nmore\r\n"));
        a.expect_nothing();
        b.expect_nothing();
    }
}

#[test]
fn a_service_without_subscribers_has_no_responders() {
    let server = server("{service: req}", "{service: {account: A, subject: req}}");
    let mut b = requestor(&server, "b");
    b.send("SUB inbox 1\r\nPUB req inbox 0\r\n\r\n");
    b.expect("HMSG inbox 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: req\r\n\r\n\r\n");
}

#[test]
fn requests_of_accounts_that_do_not_import_do_not_arrive() {
    let server = server("{service: req}", "{service: {account: A, subject: req}}");
    let (mut a, mut c) = (user(&server, "a"), user(&server, "c"));
    a.send("SUB > 1\r\n");
    a.expect_nothing();
    c.send("PUB req 0\r\n\r\n");
    c.expect_nothing();
    a.expect_nothing();
}

#[test]
fn streamed_answers_go_on_until_an_empty_one() {
    for kind in ["stream", "chunked"] {
        let server = server(
            &format!("{{service: req, response: {kind}}}"),
            "{service: {account: A, subject: req}}",
        );
        let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
        a.send("SUB req 1\r\n");
        a.expect_nothing();
        b.send("SUB inbox 1\r\nPUB req inbox 0\r\n\r\n");
        b.expect_nothing();
        let (reply, _) = request(&mut a);
        for _ in 0..3 {
            a.send(format!("PUB {reply} 2\r\nok\r\n"));
            a.expect_nothing();
            b.expect("MSG inbox 1 2\r\nok\r\n");
        }
        a.send(format!("PUB {reply} 0\r\n\r\nPUB {reply} 2\r\nno\r\n"));
        a.expect_nothing();
        b.expect("MSG inbox 1 0\r\n\r\n");
        b.expect_nothing();
    }
}

#[test]
fn answers_that_take_too_long_are_dropped() {
    let server =
        server("{service: req, threshold: \"5ms\"}", "{service: {account: A, subject: req}}");
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    a.send("SUB req 1\r\n");
    a.expect_nothing();
    b.send("SUB inbox 1\r\n");
    b.expect_nothing();
    // The server's time passes while commands go to and fro, a few more every time.
    let mut round_trips = 0;
    wait_until("an answer comes too late", || {
        b.send("PUB req inbox 0\r\n\r\n");
        b.expect_nothing();
        let (reply, _) = request(&mut a);
        round_trips += 50;
        for _ in 0..round_trips {
            a.expect_nothing();
        }
        a.send(format!("PUB {reply} 2\r\nok\r\n"));
        a.expect_nothing();
        b.sync().is_empty().then_some(())
    });
}

#[test]
fn services_are_told_about_the_requestor_if_it_is_shared() {
    let server = server("{service: req}", "{service: {account: A, subject: req}, share: true}");
    let (mut a, mut b) = (user(&server, "a"), requestor(&server, "b"));
    a.send("SUB req 1\r\n");
    a.expect_nothing();
    // What the client says of itself is replaced.
    let header = "NATS/1.0\r\nNats-Request-Info: forged\r\nX: y\r\n\r\n";
    b.send(format!("HPUB req inbox {0} {1}\r\n{header}hi\r\n", header.len(), header.len() + 2));
    b.expect_nothing();
    let (_, payload) = request(&mut a);
    assert!(payload.starts_with("NATS/1.0\r\nX: y\r\nNats-Request-Info: {"), "{payload}");
    let json = payload.split("Info: ").nth(1).and_then(|t| t.split("\r\n").next());
    let info: serde_json::Value = serde_json::from_str(json.expect("a header")).expect("JSON");
    for (key, value) in
        [("acc", "B"), ("user", "b"), ("name", "req"), ("host", "127.0.0.1"), ("kind", "Client")]
    {
        assert_eq!(info[key], value, "{info}");
    }
    assert!(info["start"].is_string() && info["id"].is_u64() && info["server"].is_string());
    assert!(payload.ends_with("\r\n\r\nhi"));
}

#[test]
fn imports_may_be_chained_and_answers_find_the_way_back() {
    let server = Server::start(
        "accounts { \
         A { exports = [ {service: deep} ], users = [ {user: a, password: p} ] }, \
         B { imports = [ {service: {account: A, subject: deep}, to: mid} ], \
             exports = [ {service: mid} ], users = [ {user: b, password: p} ] }, \
         C { imports = [ {service: {account: B, subject: mid}, to: top} ], \
             users = [ {user: c, password: p} ] } }",
    );
    let (mut a, mut c) = (user(&server, "a"), user(&server, "c"));
    a.send("SUB deep 1\r\n");
    a.expect_nothing();
    c.send("SUB inbox 1\r\nPUB top inbox 2\r\nhi\r\n");
    c.expect_nothing();
    let (reply, payload) = request(&mut a);
    assert!(payload.contains("\"acc\":\"C\",\"svc\":\"B\""), "{payload}");
    a.send(format!("PUB {reply} 2\r\nok\r\n"));
    a.expect_nothing();
    c.expect("MSG inbox 1 2\r\nok\r\n");
}

#[test]
fn an_answer_may_ask_for_an_answer() {
    let server = server("{service: req}", "{service: {account: A, subject: req}}");
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    a.send("SUB req 1\r\nSUB back 2\r\n");
    a.expect_nothing();
    b.send("SUB inbox 1\r\nPUB req inbox 0\r\n\r\n");
    b.expect_nothing();
    let (reply, _) = request(&mut a);
    a.send(format!("PUB {reply} back 1\r\n?\r\n"));
    a.expect_nothing();
    let (second, payload) = request(&mut b);
    assert!(second.starts_with("_R_.") && payload == "?");
    b.send(format!("PUB {second} 1\r\n!\r\n"));
    b.expect_nothing();
    a.expect("MSG back 2 1\r\n!\r\n");
}

#[test]
fn mappings_of_the_exporting_account_apply_to_requests() {
    let server = Server::start(
        "accounts { A { exports = [ {service: req} ], mappings { req: real }, \
         users = [ {user: a, password: p} ] }, \
         B { imports = [ {service: {account: A, subject: req}} ], users = [ {user: b, password: p} ] } }",
    );
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    a.send("SUB real 1\r\n");
    a.expect_nothing();
    b.send("PUB req 0\r\n\r\n");
    b.expect_nothing();
    assert!(a.message().0.starts_with("HMSG real 1 "));
}

#[test]
fn the_same_service_may_come_from_several_accounts() {
    let server = Server::start(
        "accounts { A { exports = [ {service: req} ], users = [ {user: a, password: p} ] }, \
         B { exports = [ {service: req} ], users = [ {user: b, password: p} ] }, \
         C { imports = [ {service: {account: A, subject: req}}, {service: {account: B, subject: req}} ], \
         users = [ {user: c, password: p} ] } }",
    );
    let (mut a, mut b, mut c) = (user(&server, "a"), user(&server, "b"), user(&server, "c"));
    for wire in [&mut a, &mut b] {
        wire.send("SUB req 1\r\n");
        wire.expect_nothing();
    }
    c.send("PUB req 0\r\n\r\n");
    c.expect_nothing();
    assert!(a.message().0.starts_with("HMSG req"));
    assert!(b.message().0.starts_with("HMSG req"));
}

#[test]
fn large_requests_and_answers_cross_whole() {
    let server = server("{service: req}", "{service: {account: A, subject: req}}");
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    a.send("SUB req 1\r\n");
    a.expect_nothing();
    b.send("SUB inbox 1\r\n");
    b.expect_nothing();
    let body = "x".repeat(200_000);
    b.send(format!("PUB req inbox {}\r\n{body}\r\n", body.len()));
    b.expect_nothing();
    let (reply, payload) = request(&mut a);
    assert!(payload.ends_with(&format!("\r\n\r\n{body}")));
    a.send(format!("PUB {reply} {}\r\n{body}\r\n", body.len()));
    a.expect_nothing();
    b.expect(format!("MSG inbox 1 {}\r\n{body}\r\n", body.len()));
}

#[test]
fn imports_that_are_not_allowed_stop_the_start() {
    for (exports, imports, error) in [
        (
            "{stream: s, accounts: [C]}",
            "{stream: {account: A, subject: s}}",
            "Error adding stream import \"s\": stream import not authorized",
        ),
        (
            "{service: s, accounts: [C]}",
            "{service: {account: A, subject: s}}",
            "Error adding service import \"s\": service import not authorized",
        ),
        (
            "{service: \"s.*\", account_token_position: 2}",
            "{service: {account: A, subject: \"s.C\"}}",
            "Error adding service import \"s.C\": service import not authorized",
        ),
        ("", "{stream: {account: A, subject: s}}", "stream import not authorized"),
        ("", "{stream: {account: X, subject: s}}", "\"X\" account not defined for stream import"),
    ] {
        let config = format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{ A {{ exports = [ {exports} ] }}, \
             B {{ imports = [ {imports} ] }}, C {{}} }}"
        );
        let mut server = Server::launch(Some(&config), &[]);
        let (code, output) = server.wait_for_exit();
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(error), "{output}");
    }
}

#[test]
fn imports_that_are_allowed_by_list_or_token_work() {
    let server = server(
        "{service: s, accounts: [B]}, {service: \"t.*\", account_token_position: 2}",
        "{service: {account: A, subject: s}}, {service: {account: A, subject: \"t.B\"}, to: mine}",
    );
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    a.send("SUB s 1\r\nSUB t.* 2\r\n");
    a.expect_nothing();
    b.send("PUB s 0\r\n\r\nPUB mine 0\r\n\r\n");
    b.expect_nothing();
    assert!(a.message().0.starts_with("HMSG s 1"));
    assert!(a.message().0.starts_with("HMSG t.B 2"));
}

/// An account of a cycle test: exports, and what it imports from whom under which name.
type Sharing<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str, &'a str)]);

fn sharing_config(kind: &str, accounts: &[Sharing<'_>]) -> String {
    let mut config = "listen: \"127.0.0.1:-1\"\naccounts {\n".to_owned();
    for (name, exports, imports) in accounts {
        let exports: Vec<String> = exports.iter().map(|e| format!("{{{kind}: \"{e}\"}}")).collect();
        let imports: Vec<String> = imports
            .iter()
            .map(|(from, subject, to)| {
                let to = if to.is_empty() { String::new() } else { format!(", to: \"{to}\"") };
                format!("{{{kind}: {{account: {from}, subject: \"{subject}\"}}{to}}}")
            })
            .collect();
        let (exports, imports) = (exports.join(", "), imports.join(", "));
        config.push_str(&format!("{name} {{ exports = [{exports}], imports = [{imports}] }}\n"));
    }
    config.push_str("}\n");
    config
}

#[test]
fn cycles_are_refused_and_chains_are_not() {
    // kind, accounts, cycle
    let table: &[(&str, &[Sharing<'_>], bool)] = &[
        ("service", &[("A", &["x"], &[("B", "x", "")]), ("B", &["x"], &[("A", "x", "")])], true),
        ("service", &[("A", &["*"], &[("B", "x", "")]), ("B", &["x"], &[("A", "*", "")])], true),
        (
            "service",
            &[
                ("A", &["*"], &[("B", "x", "")]),
                ("B", &["x"], &[("C", "x", "")]),
                ("C", &["*"], &[("A", "*", "")]),
            ],
            true,
        ),
        ("service", &[("A", &["a"], &[("B", "b", "a")]), ("B", &["b"], &[("A", "a", "b")])], true),
        (
            "service",
            &[
                ("A", &["*"], &[("B", "x", "")]),
                ("B", &["x"], &[("C", "y", "")]),
                ("C", &["*"], &[("A", "*", "")]),
            ],
            false,
        ),
        (
            "service",
            &[
                ("A", &["x"], &[("B", "x", "")]),
                ("B", &["x"], &[("C", "x", "")]),
                ("C", &["x"], &[("D", "x", "")]),
                ("D", &["x"], &[]),
            ],
            false,
        ),
        ("service", &[("A", &["*"], &[("B", "x", "x")]), ("B", &["x"], &[("A", "*", "$1")])], true),
        (
            "service",
            &[("A", &["a.*"], &[("B", "a.*", "b.*")]), ("B", &["a.*"], &[("A", "a.x", "c.x")])],
            false,
        ),
        // The first of the imports of A leads nowhere, the second one round.
        (
            "service",
            &[
                ("A", &["*"], &[("C", "x", ""), ("D", "y", "")]),
                ("C", &["x"], &[]),
                ("D", &["y"], &[("E", "y", "")]),
                ("E", &["*"], &[("A", "*", "")]),
            ],
            true,
        ),
        (
            "stream",
            &[
                ("A", &["*"], &[("C", "x", "x"), ("D", "y", "y")]),
                ("C", &["x"], &[]),
                ("D", &["y"], &[("E", "y", "y")]),
                ("E", &["*"], &[("A", "*", "")]),
            ],
            true,
        ),
        ("stream", &[("A", &["*"], &[("B", "x", "x")]), ("B", &["x"], &[("A", "*", "$1")])], true),
        ("stream", &[("A", &["x"], &[("B", "x", "")]), ("B", &["x"], &[("A", "x", "")])], true),
        ("stream", &[("A", &["*"], &[("B", "y", "")]), ("B", &["y"], &[("A", "x", "y")])], true),
        (
            "stream",
            &[
                ("A", &["x"], &[("B", "y", "")]),
                ("B", &["y"], &[("C", "z", "y")]),
                ("C", &["z"], &[("A", "x", "y")]),
            ],
            false,
        ),
    ];
    for (kind, accounts, cycle) in table {
        let config = sharing_config(kind, accounts);
        let mut server = Server::launch(Some(&config), &["-t"]);
        let (code, output) = server.wait_for_exit();
        assert_eq!(code, Some(i32::from(*cycle)), "{config}\n{output}");
        assert_eq!(output.contains("import forms a cycle"), *cycle, "{config}\n{output}");
    }
}

#[test]
fn an_import_of_everything_does_not_send_answers_round() {
    let direct = "accounts { \
         A { imports = [ {service: {account: B, subject: \">\"}} ], users = [ {user: a, password: p} ] }, \
         B { exports = [ {service: \">\"} ], users = [ {user: x, password: p} ] } }";
    let over_two = "accounts { \
         A { imports = [ {service: {account: B, subject: \">\"}} ], users = [ {user: a, password: p} ] }, \
         B { exports = [ {service: \">\"} ], imports = [ {service: {account: C, subject: \">\"}} ] }, \
         C { exports = [ {service: \">\"} ], users = [ {user: x, password: p} ] } }";
    for config in [direct, over_two] {
        let server = Server::start(config);
        let (mut service, mut client) = (user(&server, "x"), user(&server, "a"));
        service.send("SUB foo 1\r\n");
        service.expect_nothing();
        client.send("SUB inbox 1\r\nPUB foo inbox 2\r\nhi\r\n");
        client.expect_nothing();
        let (reply, _) = request(&mut service);
        service.send(format!("PUB {reply} 5\r\nHELLO\r\n"));
        service.expect_nothing();
        client.expect("MSG inbox 1 5\r\nHELLO\r\n");
        client.expect_nothing();
        service.expect_nothing();
    }
}

#[test]
fn subscriptions_of_any_width_get_an_imported_stream() {
    let to_prefix = [">", "my.*", "my.>", "my.test", "*.>", "*.*", "*.test"];
    let to_transform = [
        ">",
        "*.*.*.>",
        "*.2.*.>",
        "*.*.1.>",
        "*.2.1.>",
        "*.*.*.*",
        "*.2.1.*",
        "*.*.*.test",
        "*.*.1.test",
        "*.2.*.test",
        "*.2.1.test",
        "my.*.*.*",
        "my.>",
        "my.*.>",
        "my.*.*.>",
        "my.2.>",
        "my.2.1.>",
        "my.*.1.>",
        "my.2.*.>",
        "my.2.1.*",
        "my.*.*.test",
        "my.2.1.test",
    ];
    for (stream, to, published, delivered, subscriptions) in [
        (">", "prefix: my", "test", "my.test", to_prefix.as_slice()),
        ("*.*.>", "to: \"my.$2.$1.>\"", "1.2.test", "my.2.1.test", to_transform.as_slice()),
    ] {
        let server = server(
            &format!("{{stream: \"{stream}\"}}"),
            &format!("{{stream: {{account: A, subject: \"{stream}\"}}, {to}}}"),
        );
        let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
        for subject in subscriptions {
            b.send(format!("SUB {subject} 1\r\n"));
            b.expect_nothing();
            a.send(format!("PUB {published} 5\r\nhello\r\n"));
            a.expect_nothing();
            b.expect(format!("MSG {delivered} 1 5\r\nhello\r\n"));
            b.send("UNSUB 1\r\n");
            b.expect_nothing();
        }
    }
}

#[test]
fn one_subscription_gets_streams_of_several_imports() {
    let server = Server::start(
        "accounts { \
         A { exports = [ {stream: foo}, {stream: bar}, {stream: test} ], users = [ {user: a, password: p} ] }, \
         B { exports = [ {stream: test} ], users = [ {user: b, password: p} ] }, \
         C { imports = [ {stream: {account: A, subject: foo}, prefix: pub}, \
             {stream: {account: A, subject: bar}, prefix: pub}, \
             {stream: {account: A, subject: test}}, {stream: {account: B, subject: test}} ], \
             users = [ {user: c, password: p} ] } }",
    );
    let (mut a, mut b, mut c) = (user(&server, "a"), user(&server, "b"), user(&server, "c"));
    c.send("SUB pub.* 1\r\nSUB test 2\r\n");
    c.expect_nothing();
    a.send("PUB foo 5\r\nhello\r\nPUB bar 5\r\nworld\r\nPUB test 1\r\na\r\n");
    a.expect_nothing();
    c.expect("MSG pub.foo 1 5\r\nhello\r\nMSG pub.bar 1 5\r\nworld\r\nMSG test 2 1\r\na\r\n");
    b.send("PUB test 1\r\nb\r\n");
    b.expect_nothing();
    c.expect("MSG test 2 1\r\nb\r\n");
    c.expect_nothing();
}

#[test]
fn an_account_may_import_its_own_service() {
    let server = Server::start(
        "accounts { A { exports = [ {service: echo, accounts: [A]} ], \
         imports = [ {service: {account: A, subject: echo}} ], \
         users = [ {user: a, password: p} ] } }",
    );
    let (mut service, mut client) = (user(&server, "a"), requestor(&server, "a"));
    service.send("SUB echo 1\r\n");
    service.expect_nothing();
    client.send("SUB inbox 1\r\nPUB echo inbox 2\r\nhi\r\n");
    client.expect_nothing();
    // Once from the client itself, and once through the import.
    let mut replies = [request(&mut service).0, request(&mut service).0];
    replies.sort();
    assert!(replies[0].starts_with("_R_.") && replies[1] == "inbox", "{replies:?}");
    for reply in replies {
        service.send(format!("PUB {reply} 2\r\nok\r\n"));
        service.expect_nothing();
        client.expect("MSG inbox 1 2\r\nok\r\n");
    }
}

#[test]
fn a_service_and_a_stream_of_one_subject_do_not_double_messages() {
    let server = server(
        "{stream: \"DW.>\"}, {service: \"DW.>\"}",
        "{stream: {account: A, subject: \"DW.>\"}, prefix: t}, \
         {service: {account: A, subject: \"DW.>\"}, to: \"t.DW.>\"}",
    );
    let mut a = user(&server, "a");
    a.send("SUB > 1\r\nPUB DW.test.1 0\r\n\r\n");
    a.expect("MSG DW.test.1 1 0\r\n\r\n");
    a.expect_nothing();
    // A request that came through the service does not come back through the stream.
    let mut b = user(&server, "b");
    b.send("SUB t.> 1\r\n");
    b.expect_nothing();
    b.send("PUB t.DW.x 0\r\n\r\n");
    b.expect("MSG t.DW.x 1 0\r\n\r\n");
    b.expect_nothing();
    assert!(a.message().0.starts_with("HMSG DW.x 1 "));
}

#[test]
fn duplicate_imports_stop_the_start() {
    for (exports, import, error) in [
        ("{stream: s}", "{stream: {account: A, subject: s}}", "stream import already exists"),
        (
            "{service: s}",
            "{service: {account: A, subject: s}}",
            "Duplicate service import subject \"s\", previously used in import for account \"A\", subject \"s\"",
        ),
    ] {
        let config = format!(
            "listen: \"127.0.0.1:-1\"\naccounts {{ A {{ exports = [ {exports} ] }}, \
             B {{ imports = [ {import}, {import} ] }} }}"
        );
        let mut server = Server::launch(Some(&config), &[]);
        let (code, output) = server.wait_for_exit();
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(error), "{output}");
    }
}

#[test]
fn a_service_beside_a_stream_of_everything_gets_each_request_once() {
    let server = server(
        "{stream: \">\"}, {service: my.service}",
        "{stream: {account: A, subject: \">\"}}, {service: {account: A, subject: my.service}}",
    );
    let (mut a, mut b) = (user(&server, "a"), user(&server, "b"));
    let mut requests = |a: &mut Wire, expected: usize| {
        b.send("PUB my.service foo 2\r\nhi\r\n");
        b.sync();
        let lines = a.sync();
        let got = lines.iter().filter(|line| line.contains("MSG my.service ")).count();
        assert_eq!(got, expected, "{lines:?}");
    };
    a.send("SUB my.service 1\r\n");
    a.expect_nothing();
    requests(&mut a, 1);
    a.send("UNSUB 1\r\nSUB my.service prod 2\r\n");
    a.expect_nothing();
    requests(&mut a, 1);
    // The importer has a member of the same group: requests still go where the service is.
    let mut member = user(&server, "b");
    member.send("SUB my.service prod 3\r\n");
    member.expect_nothing();
    requests(&mut a, 1);
}
