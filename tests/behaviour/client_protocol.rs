//! Commands and their notation (spec 01 §2).

use crate::support::Server;

/// Not verbose, not pedantic.
const QUIET: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

#[test]
fn published_messages_reach_matching_subscriptions() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo.* 1\r\nSUB bar.> 2\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    publisher.send("PUB foo.a 5\r\nhello\r\nPUB bar.b.c reply 005\r\nworld\r\nPUB foo 1\r\nx\r\n");
    publisher.expect_nothing();
    sub.expect("MSG foo.a 1 5\r\nhello\r\nMSG bar.b.c 2 reply 005\r\nworld\r\n");
    sub.expect_nothing();
}

#[test]
fn verbs_are_recognised_in_any_case() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("cOnNeCt {\"verbose\":false}\r\nsub foo 1\r\npUb foo 2\r\nok\r\nuNsUb 1\r\n");
    client.send("pub foo 2\r\nno\r\npInG\r\n");
    client.expect("MSG foo 1 2\r\nok\r\nPONG\r\n");
}

#[test]
fn control_lines_may_end_in_lf_alone() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false}\nSUB foo 1\nPUB foo 2\nok\r\nUNSUB 1\nPING\n");
    client.expect("MSG foo 1 2\r\nok\r\nPONG\r\n");
}

#[test]
fn payload_must_end_in_cr_lf() {
    let server = Server::start("");
    for bad in ["PUB foo 2\r\nok\nPING\r\n", "PUB foo 2\r\nokx\r\n", "PUB foo 2\r\nok\rx"] {
        let mut client = server.client("");
        client.send(bad);
        client.expect_error("Unknown Protocol Operation");
        client.expect_close();
    }
}

#[test]
fn anything_may_follow_ping_pong_and_ok_on_their_line() {
    let server = Server::start("");
    let mut client = server.client("");
    let long = "x".repeat(9000);
    client.send(format!("PINGxyz\nPING {long}\r\nPONG {long}\r\n+OK {long}\r\n+ok\nPING\r\n"));
    client.expect("PONG\r\nPONG\r\nPONG\r\n");
    client.expect_nothing();
}

#[test]
fn blanks_and_tabs_separate_arguments() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB \t foo\t\tq  1 \t\r\nPUB  \tfoo \t reply\t5\t \r\nhello\r\nUNSUB \t1 \r\n");
    client.expect("MSG foo 1 reply 5\r\nhello\r\n");
    client.send("PUB foo 2\r\nno\r\n");
    client.expect_nothing();
    // Blanks in front of the argument do not count towards the control line.
    client.send(format!("PUB{}foo 1\r\na\r\n", " ".repeat(9000)));
    client.expect_nothing();
}

#[test]
fn digits_of_sizes_are_delivered_as_they_were_sent() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true");
    client.send("SUB foo 1\r\nPUB foo 005\r\nhello\r\nPUB foo 000000000\r\n\r\n");
    client.expect("MSG foo 1 005\r\nhello\r\nMSG foo 1 000000000\r\n\r\n");
    client.send("HPUB foo 012 0014\r\nNATS/1.0\r\n\r\nok\r\n");
    client.expect("HMSG foo 1 012 0014\r\nNATS/1.0\r\n\r\nok\r\n");
}

#[test]
fn empty_payloads_are_messages() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 0\r\n\r\nPUB foo reply 0\r\n\r\n");
    client.expect("MSG foo 1 0\r\n\r\nMSG foo 1 reply 0\r\n\r\n");
}

#[test]
fn sid_and_queue_are_opaque() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send(&b"SUB foo a-sid.\xff\"\r\nSUB bar q\x01\xfe s\r\n"[..]);
    client.send("PUB foo 1\r\nx\r\nPUB bar 1\r\ny\r\n");
    client.expect(&b"MSG foo a-sid.\xff\" 1\r\nx\r\nMSG bar s 1\r\ny\r\n"[..]);
}

#[test]
fn commands_are_the_same_however_they_are_cut() {
    let server = Server::start("");
    let script = "CONNECT {\"verbose\":true,\"headers\":true}\r\nSUB foo.*  1\r\nSUB bar 2\r\n\
                  PUB foo.a reply 5\r\nhello\r\nHPUB bar 12 14\r\nNATS/1.0\r\n\r\nok\r\n\
                  UNSUB 1 9\r\nUNSUB 2\r\nPING\r\n+OK\r\nPONG\r\nPUB foo.b 0\r\n\r\nPING\r\n";
    let answer = "+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG foo.a 1 reply 5\r\nhello\r\n\
                  +OK\r\nHMSG bar 2 12 14\r\nNATS/1.0\r\n\r\nok\r\n+OK\r\n+OK\r\nPONG\r\n\
                  +OK\r\nMSG foo.b 1 0\r\n\r\nPONG\r\n";
    for size in [1, 2, 3, 7, 64, script.len()] {
        let mut client = server.connect();
        client.answer_pings();
        for piece in script.as_bytes().chunks(size) {
            client.send(piece);
        }
        client.expect(answer);
    }
}

#[test]
fn connect_cut_before_its_line_end_waits_for_it() {
    let server = Server::start("");
    let mut client = server.connect();
    let mut other = server.client("");
    client.send("CONNECT {\"verbose\":true,\"tls_required\":false,\"pedantic\":true}");
    // The bytes have been read before the rest is sent: the other connection answers after them.
    other.expect_nothing();
    client.send("\r\n");
    client.expect("+OK\r\n");
}

#[test]
fn commands_begin_right_behind_the_line_before() {
    let server = Server::start("");
    for bad in ["\r\n", " PING\r\n", "PING\r\n\r\n", "\tPING\r\n"] {
        let mut client = server.client("");
        client.send(bad);
        if bad.starts_with('P') {
            client.expect("PONG\r\n");
        }
        client.expect_error("Unknown Protocol Operation");
        client.expect_close();
    }
}

#[test]
fn verbs_of_other_kinds_of_connections_are_refused() {
    let server = Server::start("");
    let verbs = [
        "MSG foo 1 2\r\nok\r\n",
        "RMSG $G foo 2\r\nok\r\n",
        "RS+ $G foo\r\n",
        "LS+ foo\r\n",
        "LMSG foo 2\r\nok\r\n",
        "A+ $G\r\n",
        "A- $G\r\n",
        "XYZ\r\n",
    ];
    for verb in verbs {
        let mut client = server.client("");
        client.send(verb);
        client.expect_error("Unknown Protocol Operation");
        client.expect_close();
    }
}

#[test]
fn verbs_run_into_their_arguments_are_refused() {
    let server = Server::start("debug: true");
    let bad = [
        "PUB\r\n",
        "PUBS foo 2\r\nok\r\n",
        "SUB\r\n",
        "SUBZZZ foo 1\r\n",
        "UNSUB\r\n",
        "UNSUB_2\r\n",
        "HPUB\r\n",
        "-ERR\r\n",
        "PINX\r\n",
        "PONX\r\n",
        "Px\r\n",
        "PUx\r\n",
        "SUx\r\n",
        "UNx\r\n",
        "+Ox\r\n",
        "CONNECx {}\r\n",
        "ZZZ",
    ];
    for verb in bad {
        let mut client = server.client("");
        client.send(verb);
        client.expect_error("Unknown Protocol Operation");
        client.expect_close();
    }
    server.wait_for_log("Client connection closed: Protocol Violation");
}

#[test]
fn unexpected_bytes_are_logged_with_state_and_snippet() {
    let server = Server::start("");
    let cases = [
        ("GET / HTTP/1.1\r\n", r#"state=0, i=0: proto='"GET / HTTP/1.1\r"...'"#),
        ("PUBX foo\r\n", r#"state=31, i=3: proto='"X foo\r"...'"#),
        ("PIX", r#"state=34, i=2: proto='""...'"#),
        (
            "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\r\n",
            r#"state=0, i=0: proto='"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"...'"#,
        ),
    ];
    for (bytes, log) in cases {
        let mut client = server.connect();
        client.send(bytes);
        client.expect_error("Unknown Protocol Operation");
        client.expect_close();
        server.wait_for_log(&format!("Client parser ERROR, {log}"));
    }
}

#[test]
fn wrong_arguments_close_without_an_error_line() {
    let server = Server::start("debug: true");
    let cases = [
        ("PUB \r\n", r#"processPub Parse Error: "\r""#),
        ("PUB foo\r\n", r#"processPub Parse Error: "foo""#),
        ("PUB a b c 1\r\n", r#"processPub Parse Error: "a b c 1""#),
        ("PUB foo x\r\n", r#"processPub Bad or Missing Size: "foo x""#),
        ("PUB foo -1\r\n", r#"processPub Bad or Missing Size: "foo -1""#),
        ("PUB foo 1234567890\r\n", r#"processPub Bad or Missing Size: "foo 1234567890""#),
        (
            "PUB foo 18446744073709551615123\r\n",
            r#"processPub Bad or Missing Size: "foo 18446744073709551615123""#,
        ),
        ("HPUB foo 2\r\n", r#"processHeaderPub Parse Error: "foo 2""#),
        ("HPUB a b c 1 2\r\n", r#"processHeaderPub Parse Error: "a b c 1 2""#),
        ("HPUB foo x 2\r\n", r#"processHeaderPub Bad or Missing Header Size: "foo x 2""#),
        ("HPUB foo 2 x\r\n", r#"processHeaderPub Bad or Missing Total Size: "foo 2 x""#),
        ("HPUB foo 3 2\r\n", r#"processHeaderPub Header Size larger then TotalSize: "foo 3 2""#),
        ("SUB foo\r\n", r#"processSub Parse Error: "foo""#),
        ("SUB a b c d\r\n", r#"processSub Parse Error: "a b c d""#),
        ("UNSUB a b c\r\n", r#"processUnsub Parse Error: "a b c""#),
    ];
    for (bytes, log) in cases {
        let mut client = server.client("\"headers\":true");
        client.send(bytes);
        client.expect_close();
        server.wait_for_log(log);
    }
    server.wait_for_log("Client connection closed: Protocol Violation");
}

#[test]
fn an_error_line_from_the_client_is_logged_and_ends_the_connection() {
    let server = Server::start("debug: true");
    let mut client = server.client("");
    client.send("-ERR 'no good'\r\n");
    client.expect_close();
    server.wait_for_log("Client Error 'no good'");
    server.wait_for_log("Client connection closed: Parse Error");
}

#[test]
fn control_line_limit_counts_the_argument_only() {
    let server = Server::start("debug: true");
    let mut client = server.client("");
    // The argument "<subject> 1" has exactly 4096 bytes.
    client.send(format!("SUB {} 1\r\n", "a".repeat(4094)));
    client.expect_nothing();
    client.send(format!("SUB {} 1\r\n", "a".repeat(4095)));
    client.expect_error("maximum control line exceeded");
    client.expect_close();
    server.wait_for_log("maximum control line exceeded");
    server.wait_for_log("Client connection closed: Maximum Control Line Exceeded");
}

#[test]
fn an_overlong_line_fails_before_its_end_comes() {
    let server = Server::start("max_control_line: 256");
    for verb in ["PUB ", "SUB ", "UNSUB ", "CONNECT ", "HPUB ", "-ERR "] {
        let mut client = server.client("\"headers\":true");
        client.send(format!("{verb}{}", "2".repeat(257)));
        client.expect_error("maximum control line exceeded");
        client.expect_close();
        // Nothing is wrong with as many bytes as are allowed.
        let mut client = server.client("\"headers\":true");
        client.send(format!("{verb}{}", "2".repeat(256)));
        let mut other = server.client("");
        other.expect_nothing();
        assert!(server.client("").sync().is_empty());
    }
}

#[test]
fn hmsg_from_a_client_is_an_empty_message_to_nobody() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("SUB > 1\r\nHMSG whatever it says\r\n\r\nPING\r\n");
    client.expect("+OK\r\n+OK\r\nPONG\r\n");
    client.send("HMSG foo\r\nxx");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
}

#[test]
fn info_from_a_client_is_read_and_ignored() {
    let server = Server::start("debug: true");
    let mut client = server.connect();
    client.send("INFO {}\r\nINFO{\"server_id\":\"x\",\"what\":[1]}\r\nINFO null\r\nPING\r\n");
    client.expect("PONG\r\n");
    for bad in ["INFO x\r\n", "INFO\r\n", "INFO [1]\r\n", "INFO 5\r\n", "INFO {} x\r\n"] {
        let mut client = server.connect();
        client.send(bad);
        client.expect_close();
    }
    let mut client = server.connect();
    client.send("INFO {\"PORT\":\"x\"}\r\n");
    client.expect_close();
    server.wait_for_log("json: cannot unmarshal string into Go struct field Info.port of type int");
    server.wait_for_log("Client connection closed: Protocol Violation");
}

#[test]
fn every_command_works_before_connect() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("PING\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\nUNSUB 1\r\nPING\r\n");
    client.expect("PONG\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n+OK\r\nPONG\r\n");
    // Pedantic is the default, too.
    client.send("PUB foo.* 2\r\nok\r\n");
    client.expect_error("Invalid Publish Subject");
    client.expect("+OK\r\n");
    // Headers are not.
    client.send("HPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    client.expect_close();
    server.wait_for_log("message headers not supported");
}

#[test]
fn http_on_the_client_port_is_refused() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
    let mut client = server.connect();
    client.send("CONNECT host:443 HTTP/1.1\r\n");
    client.expect_close();
}

#[test]
fn a_payload_cut_short_takes_the_next_command_for_its_rest() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send(QUIET);
    let command = "PUB example 10000\r\n";
    let good = format!("{}\r\n", "A".repeat(10_000));
    let short = "B".repeat(3371);
    client.try_send(format!("{command}{good}{command}{good}{command}{short}{command}{good}"));
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
}

#[test]
fn verbose_clients_get_ok_for_all_but_ping() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true,\"pedantic\":false}\r\n");
    client.expect("+OK\r\n");
    client.send("PING\r\n");
    client.expect("PONG\r\n");
    client.send("CONNECT {\"verbose\":true,\"pedantic\":true,\"tls_required\":false}\r\n");
    client.expect("+OK\r\n");
    client.send("PUB foo 2\r\nok\r\n");
    client.expect("+OK\r\n");
    client.send("SUB foo 1\r\n");
    client.expect("+OK\r\n");
    client.send("UNSUB 1\r\n");
    client.expect("+OK\r\n");
    client.send("UNSUB 77\r\nPONG\r\n+OK\r\nPING\r\n");
    client.expect("+OK\r\nPONG\r\n");
}

#[test]
fn pedantic_clients_are_told_of_invalid_publish_subjects() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"pedantic\":true}\r\nSUB foo.* 1\r\n");
    for subject in ["foo.*", "foo.>", ">", "*", "foo.", ".foo", "foo..*", "foo..bar"] {
        client.send(format!("PUB {subject} 2\r\nok\r\n"));
        client.expect_error("Invalid Publish Subject");
        // It is processed nevertheless: a wildcard is a token like any other.
        if subject == "foo.*" || subject == "foo.>" {
            client.expect(format!("MSG {subject} 1 2\r\nok\r\n"));
        }
    }
    // The reply is never judged.
    client.send("PUB bar foo..* 2\r\nok\r\n");
    client.expect_nothing();
}

#[test]
fn a_cut_publication_of_a_pedantic_client_is_judged_twice() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true,\"pedantic\":true}\r\nSUB foo.* 1\r\n");
    client.expect("+OK\r\n+OK\r\n");
    client.send("PUB foo.* 5\r\nhe");
    client.expect_error("Invalid Publish Subject");
    client.expect_error("Invalid Publish Subject");
    client.send("llo\r\n");
    client.expect("+OK\r\nMSG foo.* 1 5\r\nhello\r\n");
}
