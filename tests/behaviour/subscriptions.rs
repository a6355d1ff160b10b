//! Subjects, SUB and what matches (spec 01 §5.7, §6).

use crate::support::Server;

#[test]
fn invalid_subjects_are_refused_and_the_connection_stays() {
    let server = Server::start("");
    for pedantic in [false, true] {
        let mut client = server.connect();
        client.send(format!("CONNECT {{\"pedantic\":{pedantic}}}\r\n"));
        client.expect("+OK\r\n");
        for subject in ["foo.", ".foo", ".", "foo..bar", "foo.>.bar", ">.foo", ".foo."] {
            client.send(format!("SUB {subject} 1\r\n"));
            // No +OK follows.
            client.expect_error("Invalid Subject");
            client.send(format!("SUB {subject} q 1\r\nPING\r\n"));
            client.expect("-ERR 'Invalid Subject'\r\nPONG\r\n");
        }
        // The id is still free.
        client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\n");
        client.expect("+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n");
    }
}

#[test]
fn wildcards_match_whole_tokens() {
    let server = Server::start("");
    let mut sub = server.client("");
    let subjects = ["foo", "foo.*", "foo.>", "*", ">", "*.bar", "foo.bar", "*.*", "foo.*.baz"];
    for (sid, subject) in subjects.iter().enumerate() {
        sub.send(format!("SUB {subject} {sid}\r\n"));
    }
    sub.expect_nothing();
    let mut client = server.client("");
    let cases: [(&str, &[&str]); 8] = [
        ("foo", &["foo", "*", ">"]),
        ("bar", &["*", ">"]),
        ("FOO", &["*", ">"]),
        ("foo.bar", &["foo.*", "foo.>", ">", "*.bar", "foo.bar", "*.*"]),
        ("foo.x", &["foo.*", "foo.>", ">", "*.*"]),
        ("foo.x.baz", &["foo.>", ">", "foo.*.baz"]),
        ("a.b.c.d", &[">"]),
        // A subject with an empty token matches nobody.
        ("foo..bar", &[]),
    ];
    for (subject, matching) in cases {
        client.send(format!("PUB {subject} 1\r\nx\r\n"));
        client.expect_nothing();
        let mut got: Vec<String> = Vec::new();
        for line in sub.sync() {
            if let Some(rest) = line.strip_prefix("MSG ") {
                let sid: usize = rest.split(' ').nth(1).unwrap().parse().unwrap();
                assert_eq!(rest.split(' ').next(), Some(subject));
                got.push(subjects[sid].to_owned());
            }
        }
        got.sort();
        let mut want: Vec<String> = matching.iter().map(|s| (*s).to_owned()).collect();
        want.sort();
        assert_eq!(got, want, "{subject}");
    }
}

#[test]
fn wildcard_characters_inside_tokens_are_literal() {
    let server = Server::start("");
    let mut client = server.client("");
    for subject in ["foo*", ">bar", "foo.**", "a,*,>,b", "foo.bar,*,>", "*a.b"] {
        client.send(format!("SUB {subject} 1\r\nPUB {subject} 2\r\nok\r\n"));
        client.expect(format!("MSG {subject} 1 2\r\nok\r\n"));
        client.send("PUB foox 1\r\nx\r\nPUB foo.xx 1\r\nx\r\nPUB a,b,c,b 1\r\nx\r\nUNSUB 1\r\n");
        client.expect_nothing();
    }
}

#[test]
fn published_wildcards_are_tokens_like_any_other() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo.* 1\r\nSUB foo.bar 2\r\nPUB foo.* 2\r\nok\r\nPUB foo.> 2\r\nok\r\n");
    client.expect("MSG foo.* 1 2\r\nok\r\nMSG foo.> 1 2\r\nok\r\n");
    client.expect_nothing();
}

#[test]
fn subjects_may_hold_any_bytes() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send(&b"SUB foo\"\x01\xff.\xc3\xa9 1\r\nPUB foo\"\x01\xff.\xc3\xa9 1\r\nx\r\n"[..]);
    client.expect(&b"MSG foo\"\x01\xff.\xc3\xa9 1 1\r\nx\r\n"[..]);
}

#[test]
fn a_sid_in_use_keeps_its_subscription() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true,\"pedantic\":false}\r\n");
    client.send("SUB foo 1\r\nSUB foo 1\r\nSUB bar q 1\r\n");
    client.expect("+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    client.send("PUB foo 2\r\nok\r\nPUB bar 2\r\nok\r\nPING\r\n");
    client.expect("+OK\r\nMSG foo 1 2\r\nok\r\n+OK\r\nPONG\r\n");
}

#[test]
fn several_subscriptions_of_a_client_are_served_each() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nSUB foo 2\r\nSUB foo 3\r\nPUB foo 2\r\nok\r\nUNSUB 2\r\n");
    let mut sids: Vec<String> = (0..3).map(|_| client.message().0).collect();
    sids.sort();
    assert_eq!(sids, ["MSG foo 1 2", "MSG foo 2 2", "MSG foo 3 2"]);
    client.send("PUB foo 2\r\nok\r\n");
    let mut sids: Vec<String> = (0..2).map(|_| client.message().0).collect();
    sids.sort();
    assert_eq!(sids, ["MSG foo 1 2", "MSG foo 3 2"]);
    client.expect_nothing();
}

#[test]
fn unsubscribing_an_unknown_sid_is_no_error() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true}\r\nUNSUB 77\r\nUNSUB 77 5\r\nPING\r\n");
    client.expect("+OK\r\n+OK\r\n+OK\r\nPONG\r\n");
}

#[test]
fn unsubscribed_is_unsubscribed() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nSUB foo 2\r\nUNSUB 1\r\nPUB foo 5\r\nhello\r\n");
    client.expect("MSG foo 2 5\r\nhello\r\n");
    client.send("UNSUB 2\r\nPUB foo 5\r\nhello\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\n");
    client.expect("MSG foo 1 2\r\nok\r\n");
    client.expect_nothing();
}

#[test]
fn subscriptions_end_with_their_connection() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nno_system_account: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nSUB bar 2\r\nSUB bar.* q 3\r\n");
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 3);
    client.send("UNSUB 1\r\n");
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 2);
    drop(client);
    server.wait_for_monitor("/subsz", |v| v["num_subscriptions"] == 0);
    let mut other = server.client("\"headers\":true,\"no_responders\":true");
    other.send("SUB rep 1\r\nPUB foo rep 0\r\n\r\n");
    other.expect("HMSG rep 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\n");
}

#[test]
fn a_duplicate_sid_is_one_subscription() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nno_system_account: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nSUB foo 1\r\n");
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 1);
}

#[test]
fn the_queue_group_of_the_system_is_refused() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true}\r\nSUB foo _sys_ 1\r\nPING\r\n");
    client.expect("+OK\r\n");
    client.expect_error("Permissions Violation for Subscription to \"foo\" using queue \"_sys_\"");
    client.expect("PONG\r\n");
    server.wait_for_log("Subscription Violation - Subject \"foo\", Queue: \"_sys_\", SID 1");
}

#[test]
fn reserved_subjects_are_refused_and_dropped() {
    let server = Server::start("");
    let mut all = server.client("");
    all.send("SUB > 1\r\n");
    all.expect_nothing();
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true}\r\n");
    client.expect("+OK\r\n");
    for subject in ["_GR_.x", "_GR_.a.b.c", "$NRG.x", "$NRG.V.abc"] {
        client.send(format!("PUB {subject} 2\r\nno\r\n"));
        client.expect_error(&format!("Permissions Violation for Publish to \"{subject}\""));
        server.wait_for_log(&format!("Publish Violation - Subject \"{subject}\""));
    }
    for reply in ["_R_.x", "_R_.", "$JS.ACK.x", "_GR_.x"] {
        client.send(format!("PUB foo {reply} 2\r\nno\r\n"));
        client
            .expect_error(&format!("Permissions Violation for Publish with Reply of \"{reply}\""));
        server.wait_for_log(&format!("Publish Violation - Reply \"{reply}\""));
    }
    all.expect_nothing();
    // These only look like it.
    for subject in ["_R_.x", "$JS.ACK.x", "_GR_", "_GR", "$NRG"] {
        client.send(format!("PUB {subject} 2\r\nok\r\n"));
        client.expect("+OK\r\n");
        all.expect(format!("MSG {subject} 1 2\r\nok\r\n"));
    }
    for reply in ["$JS.ACK.", "_GR_.", "_R_", "_INBOX.x", "$JS.ACK"] {
        client.send(format!("PUB foo {reply} 2\r\nok\r\n"));
        client.expect("+OK\r\n");
        all.expect(format!("MSG foo 1 {reply} 2\r\nok\r\n"));
    }
}

#[test]
fn quoted_parts_of_errors_are_escaped() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send(&b"PUB _GR_.\"\\\x01\xff\xc3\xa9 1\r\nx\r\n"[..]);
    client.expect(
        "-ERR 'Permissions Violation for Publish to \"_GR_.\\\"\\\\\\x01\\xff\u{e9}\"'\r\n",
    );
}
