//! Labels of connections and traces of what passes through them (spec 01 §13).

use crate::support::{Server, wait_until};

/// Lines behind the label, in order, of the connection's trace.
fn traced(server: &Server, direction: &str) -> Vec<String> {
    server
        .log_lines()
        .iter()
        .filter(|l| l.contains("[TRC]") && l.contains(direction))
        .map(|l| l.split_once(direction).map(|(_, rest)| rest.to_owned()).unwrap())
        .collect()
}

#[test]
fn labels_have_address_and_id_and_after_connect_who_it_is() {
    let server = Server::start("debug: true");
    let mut client = server.connect();
    let id = client.info["client_id"].clone();
    let address = client.stream.local_addr().unwrap();
    let line = server.wait_for_log("Client connection created");
    assert!(line.ends_with(&format!("{address} - cid:{id} - Client connection created")), "{line}");
    client.send(
        "CONNECT {\"version\":\"1.0.0\",\"lang\":\"go\",\"name\":\"test\",\"user\":\"joe\"}\r\n",
    );
    client.expect("+OK\r\n");
    drop(client);
    let line = server.wait_for_log("Client connection closed");
    let label = format!("{address} - cid:{id} - \"v1.0.0:go:test\" - \"$G/user:joe\" - ");
    assert!(line.contains(&label), "{line}");
}

#[test]
fn empty_parts_of_labels_are_left_out() {
    for (connect, part) in [
        ("{\"version\":\"1.0.0\"}", " - \"v1.0.0\" - "),
        ("{\"lang\":\"go\"}", " - \"go\" - "),
        ("{\"name\":\"test\"}", " - \"test\" - "),
        ("{\"lang\":\"go\",\"name\":\"test\"}", " - \"go:test\" - "),
        ("{\"version\":\"1.0.0\",\"name\":\"test\"}", " - \"v1.0.0:test\" - "),
        ("{\"auth_token\":\"secret\"}", " - \"$G/token\" - "),
    ] {
        let server = Server::start("debug: true");
        let mut client = server.connect();
        let id = client.info["client_id"].clone();
        client.send(format!("CONNECT {connect}\r\n"));
        client.expect("+OK\r\n");
        // Only the first CONNECT counts.
        client.send("CONNECT {\"name\":\"other\",\"user\":\"x\"}\r\n");
        client.expect("+OK\r\n");
        drop(client);
        let line = server.wait_for_log("Client connection closed");
        assert!(line.contains(&format!("cid:{id}{part}Client")), "{line}");
        assert!(!line.contains("other") && !line.contains("secret"), "{line}");
    }
}

#[test]
fn operations_are_traced_with_their_arguments() {
    let server = Server::start("trace: true");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true,\"headers\":true,\"pedantic\":false}\r\n");
    client.send("SUB foo.* 1\r\nPUB foo.a  reply 5 \r\nhello\r\nUNSUB 1\r\n");
    client.send("HPUB bar 12 14\r\nNATS/1.0\r\n\r\nok\r\nPONG\r\nPUB bar 0\r\n\r\nPING\r\n");
    client.expect(
        "+OK\r\n+OK\r\n+OK\r\nMSG foo.a 1 reply 5\r\nhello\r\n+OK\r\n+OK\r\n+OK\r\nPONG\r\n",
    );
    server.wait_for_log("->> [PONG]");
    assert_eq!(
        traced(&server, "<<- "),
        [
            r#"[CONNECT {"verbose":true,"headers":true,"pedantic":false}]"#,
            "[SUB foo.* 1]",
            "[PUB foo.a  reply 5 ]",
            r#"MSG_PAYLOAD: ["hello"]"#,
            "[UNSUB 1]",
            "[HPUB bar 12 14]",
            r#"MSG_PAYLOAD: ["NATS/1.0\r\n\r\nok"]"#,
            "[PONG]",
            "[PUB bar 0]",
            "[PING]",
        ]
    );
    assert_eq!(
        traced(&server, "->> "),
        [
            "[OK]",
            "[OK]",
            "[OK]",
            "[MSG foo.a 1 reply 5]",
            r#"MSG_PAYLOAD: ["hello"]"#,
            "[OK]",
            "[OK]",
            "[OK]",
            "[PONG]",
        ]
    );
    assert_eq!(traced(&server, "<-> "), ["[DELSUB 1]"]);
}

#[test]
fn a_publication_is_traced_by_its_line_before_its_payload_is_judged() {
    let server = Server::start("trace: true");
    let mut client = server.client("");
    client.send("PUB foo 2\r\nok no end\r\n");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
    server.wait_for_log("->> [-ERR Unknown Protocol Operation]");
    let lines = server.log_lines();
    let of = |text: &str| lines.iter().position(|l| l.contains(text));
    assert!(of("<<- [PUB foo 2]").expect("the line") < of("[-ERR Unknown").expect("the error"));
    // Nor does it wait for a payload that never comes.
    let mut client = server.client("");
    client.send("HPUB bar 12 100\r\nNATS");
    server.wait_for_log("<<- [HPUB bar 12 100]");
    drop(client);
}

/// The lines of a mapped publication stood in the order MAPPING, PUB; those of a pedantic client's
/// bad subject with the error behind the payload.
#[test]
fn what_becomes_of_a_publication_is_traced_in_order() {
    let server = Server::start("trace: true\nmappings: { a: b }");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false}\r\nPUB a 2\r\nok\r\nPUB c..d 1\r\nx\r\nPING\r\n");
    client.expect_error("Invalid Publish Subject");
    client.expect("PONG\r\n");
    server.wait_for_log("->> [PONG]");
    let lines = traced(&server, " - cid:");
    let lines = lines.iter().filter_map(|l| l.split_once(" - ").map(|(_, line)| line));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            r#"<<- [CONNECT {"verbose":false}]"#,
            "<<- [PUB a 2]",
            "<<- [MAPPING a -> b]",
            r#"<<- MSG_PAYLOAD: ["ok"]"#,
            "<<- [PUB c..d 1]",
            "->> [-ERR Invalid Publish Subject]",
            r#"<<- MSG_PAYLOAD: ["x"]"#,
            "<<- [PING]",
            "->> [PONG]",
        ]
    );
}

#[test]
fn subscriptions_that_end_with_their_connection_are_traced() {
    let server = Server::start("trace: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nSUB bar 2\r\n");
    client.expect_nothing();
    // A second CONNECT drops them, and so does the end of the connection.
    client.send("CONNECT {}\r\nSUB foo 3\r\n");
    client.expect_nothing();
    server.wait_for_log("<-> [DELSUB 1]");
    server.wait_for_log("<-> [DELSUB 2]");
    drop(client);
    server.wait_for_log("<-> [DELSUB 3]");
}

#[test]
fn sizes_are_traced_as_they_were_sent() {
    let server = Server::start("trace: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 005\r\nhello\r\n");
    client.expect("MSG foo 1 005\r\nhello\r\n");
    server.wait_for_log("<<- [PUB foo 005]");
    server.wait_for_log("->> [MSG foo 1 005]");
}

#[test]
fn errors_and_pings_to_the_client_are_traced() {
    let server = Server::start("trace: true\nping_interval: \"20ms\"\nping_max: 1");
    let mut client = server.connect();
    client.send("SUB foo..a 1\r\n");
    client.expect_error("Invalid Subject");
    client.expect("PING\r\n");
    client.expect_error("Stale Connection");
    server.wait_for_log("->> [-ERR Invalid Subject]");
    server.wait_for_log("->> [PING]");
}

#[test]
fn secrets_in_connect_are_not_logged() {
    let server = Server::start("trace: true\ndebug: true");
    let mut client = server.connect();
    client.send(
        "CONNECT {\"user\":\"joe\",\"pass\":\"s1cret\",\"auth_token\":\"s2cret\",\
         \"sig\":\"s3cret\",\"nkey\":\"s4cret\",\"proxy_sig\":\"s5cret\",\"name\":\"n\"}\r\nPING\r\n",
    );
    client.expect("+OK\r\nPONG\r\n");
    let line = server.wait_for_log("<<- [CONNECT ");
    for shown in [r#""user":"joe""#, r#""pass":"[REDACTED]""#, r#""auth_token":"[REDACTED]""#] {
        assert!(line.contains(shown), "{line}");
    }
    for n in 1..=5 {
        assert!(!line.contains(&format!("s{n}cret")), "{line}");
    }
}

#[test]
fn long_payloads_are_traced_up_to_a_length() {
    let server = Server::start("trace: true\nmax_traced_msg_len: 10");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 16\r\nover length text\r\nPUB foo 10\r\nten bytes!\r\n");
    client.expect("MSG foo 1 16\r\nover length text\r\nMSG foo 1 10\r\nten bytes!\r\n");
    server.wait_for_log(r#"->> MSG_PAYLOAD: ["ten bytes!"]"#);
    for direction in ["<<- ", "->> "] {
        server.wait_for_log(&format!(r#"{direction}MSG_PAYLOAD: ["over lengt..."]"#));
    }
}

#[test]
fn only_headers_are_traced_when_so_configured() {
    let server = Server::start("trace: true\ntrace_headers: true");
    let mut client = server.client("\"headers\":true");
    client
        .send("PUB foo 5\r\nplain\r\nHPUB foo 20 24\r\nNATS/1.0\r\nFoo: 1\r\n\r\nbody\r\nPING\r\n");
    client.expect("PONG\r\n");
    server.wait_for_log(r#"<<- MSG_PAYLOAD: ["NATS/1.0\r\nFoo: 1"]"#);
    let log = server.log_lines().join("\n");
    assert!(!log.contains("plain") && !log.contains("body"), "{log}");
}

#[test]
fn deliveries_are_traced_as_the_receiver_gets_them() {
    let server = Server::start("trace: true");
    let mut plain = server.client("\"headers\":false");
    plain.send("SUB foo 1\r\n");
    plain.expect_nothing();
    let mut client = server.client("\"headers\":true");
    client.send("SUB foo 2\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nok\r\nPING\r\n");
    plain.expect("MSG foo 1 2\r\nok\r\n");
    client.expect("HMSG foo 2 12 14\r\nNATS/1.0\r\n\r\nok\r\n");
    server.wait_for_log("->> [MSG foo 1 2]");
    server.wait_for_log("->> [HMSG foo 2 12 14]");
    server.wait_for_log(r#"->> MSG_PAYLOAD: ["ok"]"#);
    server.wait_for_log(r#"->> MSG_PAYLOAD: ["NATS/1.0\r\n\r\nok"]"#);
}

#[test]
fn errors_are_counted_once_and_close_reasons_are_kept() {
    let server = Server::start("debug: true\nhttp: \"127.0.0.1:-1\"\nmax_payload: 100");
    let mut client = server.client("\"name\":\"greedy\"");
    client.send("SUB foo 1\r\nPUB foo 101\r\n");
    client.expect_error("Maximum Payload Violation");
    client.expect_close();
    let v = server.wait_for_monitor("/connz?state=closed&subs=1", |v| v["num_connections"] == 1);
    let c = &v["connections"][0];
    assert_eq!(c["reason"], "Maximum Message Payload Exceeded");
    assert_eq!(c["name"], "greedy");
    assert_eq!(c["subscriptions_list"][0], "foo");
    // Many more: the ring keeps them, and the open ones are none.
    for _ in 0..20 {
        server.client("");
    }
    server.wait_for_monitor("/connz?state=closed", |v| v["total"] == 21);
    server.wait_for_monitor("/connz", |v| v["num_connections"] == 0);
}

/// What the client is told stands before what the log says of it, but for a payload that is too
/// large; the same lines in another order would tell another story to whoever reads them.
#[test]
fn errors_are_traced_before_they_are_logged() {
    let server = Server::start(
        "trace: true\ndebug: true\nmax_control_line: 64\nmax_payload: 8\n\
         authorization { token: t, timeout: 0.1 }",
    );
    let connect = "CONNECT {\"auth_token\":\"t\",\"verbose\":false}\r\n";
    let too_long = format!("{connect}SUB {} 1\r\n", "a".repeat(64));
    for (input, first, second) in [
        (format!("{connect}PUX"), "->> [-ERR Unknown Protocol Operation]", "parser ERROR"),
        (too_long, "->> [-ERR maximum control line", " - maximum control line exceeded"),
        (format!("{connect}PUB a 9\r\n"), "maximum payload exceeded", "->> [-ERR Maximum Payload"),
        (String::new(), "->> [-ERR Authentication Timeout]", " - Authentication Timeout"),
    ] {
        let mut client = server.connect();
        let id = format!(" - cid:{} - ", client.info["client_id"]);
        client.send(&input);
        while client.try_line().is_some() {}
        let lines = wait_until("its end", || {
            let lines = server.log_lines();
            let closed = |l: &String| l.contains(&id) && l.contains("Client connection closed: ");
            lines.iter().any(closed).then_some(lines)
        });
        let of = |text: &str| {
            let found = |l: &String| l.contains(&id) && l.contains(text);
            lines.iter().position(found).unwrap_or_else(|| panic!("{text}: {lines:#?}"))
        };
        assert!(of(first) < of(second), "{lines:#?}");
    }
}
