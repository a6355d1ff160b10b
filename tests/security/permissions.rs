//! What users may publish and subscribe to (spec 03 §12, spec 01 §7.3).

use crate::accepted;
use crate::support::{Server, Wire};

/// A server with a user `u` of these permissions and an unrestricted user `all`.
fn server(permissions: &str) -> Server {
    Server::start(&format!(
        "authorization {{ users = [ {{user: u, password: p, permissions: {permissions}}}, \
         {{user: all, password: p}} ] }}"
    ))
}

fn user(server: &Server) -> Wire {
    accepted(server, r#""user":"u","pass":"p""#)
}

fn all(server: &Server) -> Wire {
    accepted(server, r#""user":"all","pass":"p""#)
}

fn publish_error(subject: &str) -> String {
    format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'")
}

fn subscribe_error(subject: &str) -> String {
    format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'")
}

#[test]
fn publishing_is_allowed_and_denied_by_subject() {
    let server = server("{publish: {allow: [\"foo.>\", bar], deny: foo.secret}}");
    let (mut u, mut sink) = (user(&server), all(&server));
    sink.send("SUB > 1\r\n");
    sink.expect_nothing();
    for (subject, allowed) in
        [("bar", true), ("foo.a.b", true), ("foo", false), ("foo.secret", false), ("baz", false)]
    {
        // Twice, so that the second one is answered from the cache.
        for _ in 0..2 {
            u.send(format!("PUB {subject} 2\r\nhi\r\n"));
            if allowed {
                u.expect_nothing();
                sink.expect(format!("MSG {subject} 1 2\r\nhi\r\n"));
            } else {
                assert_eq!(u.sync(), [publish_error(subject)]);
            }
        }
    }
    sink.expect_nothing();
    server.wait_for_log("Publish Violation - Subject \"foo.secret\"");
}

#[test]
fn a_violation_is_not_followed_by_ok() {
    let server = server("{publish: foo, subscribe: foo}");
    let mut u = user(&server);
    u.send("CONNECT {\"verbose\":true,\"user\":\"u\",\"pass\":\"p\"}\r\n");
    u.expect("+OK\r\n");
    u.send("PUB bar 0\r\n\r\nPUB foo 0\r\n\r\nSUB bar 1\r\nSUB foo 2\r\n");
    u.expect_error("Permissions Violation for Publish to \"bar\"");
    u.expect("+OK\r\n");
    u.expect_error("Permissions Violation for Subscription to \"bar\"");
    u.expect("+OK\r\n");
    u.send("HMSG x 1 0 0\r\n\r\n");
    u.expect_error("Permissions Violation for Publish to \"\"");
}

#[test]
fn subscribing_is_allowed_and_denied_by_subject_and_queue_group() {
    let server = server(
        "{subscribe: {allow: [foo, \"jobs\", \"jobs v1\", \"only *.dev\", \"wide.*\", den], deny: [\"foo.x\", \"wide.no\", \"den *.dev\"]}}",
    );
    let mut u = user(&server);
    for (n, (subject, queue, allowed)) in [
        ("foo", "", true),
        ("foo", "any", true),
        ("bar", "", false),
        ("jobs", "", true),
        ("jobs", "v1", true),
        ("jobs", "v2", false),
        ("only", "", false),
        ("only", "a.dev", true),
        ("only", "a.prod", false),
        ("wide.*", "", true),
        ("wide.>", "", true),
        ("wide.no", "", false),
        ("wide.no", "q", false),
        (">", "", false),
        ("foo", "_sys_", false),
        ("den", "", true),
        ("den", "a.dev", false),
        ("den", "a.prod", true),
    ]
    .into_iter()
    .enumerate()
    {
        let (space, using) = if queue.is_empty() {
            (String::new(), String::new())
        } else {
            (format!("{queue} "), format!(" using queue \"{queue}\""))
        };
        u.send(format!("SUB {subject} {space}{n}\r\n"));
        let expected = if allowed {
            Vec::new()
        } else {
            vec![format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"{using}'")]
        };
        assert_eq!(u.sync(), expected, "{subject} {queue}");
    }
    server.wait_for_log("Subscription Violation - Subject \"bar\", SID 2");
    server.wait_for_log("Subscription Violation - Subject \"jobs\", Queue: \"v2\", SID 5");
}

#[test]
fn wide_subscriptions_do_not_get_denied_messages() {
    let server = server("{subscribe: {deny: [\"foo.secret\", \"jobs q\"]}}");
    let (mut u, mut source) = (user(&server), all(&server));
    u.send("SUB foo.* 1\r\nSUB jobs p 2\r\n");
    u.expect_nothing();
    for _ in 0..2 {
        source.send("PUB foo.secret 1\r\nx\r\nPUB foo.open 1\r\ny\r\nPUB jobs 1\r\nz\r\n");
        source.expect_nothing();
        u.expect("MSG foo.open 1 1\r\ny\r\nMSG jobs 2 1\r\nz\r\n");
    }
    u.expect_nothing();
}

#[test]
fn a_queue_group_moves_on_to_a_member_that_may_have_the_message() {
    let server = server("{subscribe: {deny: foo.secret}}");
    let (mut u, mut other, mut source) = (user(&server), all(&server), all(&server));
    u.send("SUB foo.* q 1\r\n");
    u.expect_nothing();
    other.send("SUB foo.* q 1\r\n");
    other.expect_nothing();
    for _ in 0..50 {
        source.send("PUB foo.secret 1\r\nx\r\n");
    }
    source.expect_nothing();
    for _ in 0..50 {
        other.expect("MSG foo.secret 1 1\r\nx\r\n");
    }
    u.expect_nothing();
}

#[test]
fn a_denied_delivery_is_no_responder() {
    let server = server("{subscribe: {deny: foo.secret}}");
    let mut u = user(&server);
    u.send("SUB foo.* 1\r\n");
    u.expect_nothing();
    let mut source =
        accepted(&server, r#""user":"all","pass":"p","headers":true,"no_responders":true"#);
    source.send("SUB inbox 9\r\nPUB foo.secret inbox 0\r\n\r\n");
    source.expect("HMSG inbox 9 42 42\r\nNATS/1.0 503\r\nNats-Subject: foo.secret\r\n\r\n\r\n");
}

#[test]
fn answers_are_allowed_as_often_as_configured() {
    for (config, uses) in [("true", 1), ("{max: 3, expires: \"1m\"}", 3), ("{max: 2}", 2)] {
        let server = server(&format!("{{subscribe: req, allow_responses: {config}}}"));
        let (mut service, mut requestor) = (user(&server), all(&server));
        service.send("SUB req 1\r\n");
        service.expect_nothing();
        service.send("PUB inbox.1 0\r\n\r\n");
        assert_eq!(service.sync(), [publish_error("inbox.1")], "nothing was asked yet");
        requestor.send("SUB inbox.* 1\r\nPUB req inbox.1 2\r\nhi\r\n");
        requestor.expect_nothing();
        service.expect("MSG req 1 inbox.1 2\r\nhi\r\n");
        for _ in 0..uses {
            service.send("PUB inbox.1 2\r\nok\r\n");
            service.expect_nothing();
            requestor.expect("MSG inbox.1 1 2\r\nok\r\n");
        }
        service.send("PUB inbox.1 2\r\nno\r\n");
        assert_eq!(service.sync(), [publish_error("inbox.1")], "{config}");
        service.send("PUB other 0\r\n\r\n");
        assert_eq!(service.sync(), [publish_error("other")]);
        requestor.expect_nothing();
    }
}

#[test]
fn answers_without_limit_are_allowed_for_ever() {
    let server = server("{subscribe: req, allow_responses: {max: -1, expires: \"-1s\"}}");
    let (mut service, mut requestor) = (user(&server), all(&server));
    service.send("SUB req 1\r\n");
    service.expect_nothing();
    requestor.send("SUB inbox.* 1\r\nPUB req inbox.1 0\r\n\r\n");
    requestor.expect_nothing();
    service.expect("MSG req 1 inbox.1 0\r\n\r\n");
    for _ in 0..200 {
        service.send("PUB inbox.1 2\r\nok\r\n");
    }
    service.expect_nothing();
    for _ in 0..200 {
        requestor.expect("MSG inbox.1 1 2\r\nok\r\n");
    }
}

#[test]
fn an_answer_comes_too_late_after_its_time() {
    let server = server("{subscribe: req, allow_responses: {max: 1000, expires: \"1ns\"}}");
    let (mut service, mut requestor) = (user(&server), all(&server));
    service.send("SUB req 1\r\n");
    service.expect_nothing();
    requestor.send("PUB req inbox 0\r\n\r\n");
    requestor.expect_nothing();
    service.expect("MSG req 1 inbox 0\r\n\r\n");
    service.send("PUB inbox 0\r\n\r\n");
    assert_eq!(service.sync(), [publish_error("inbox")]);
}

#[test]
fn default_permissions_apply_to_users_without_their_own() {
    let server = Server::start(
        "authorization { default_permissions { publish: {deny: a}, subscribe: {deny: b} }, \
         users = [ {user: u, password: p}, \
         {user: all, password: p, permissions: {publish: {deny: b}}} ] }",
    );
    let (mut u, mut other) = (user(&server), all(&server));
    u.send("PUB a 0\r\n\r\nPUB b 0\r\n\r\nSUB b 1\r\nSUB a 2\r\n");
    assert_eq!(u.sync(), [publish_error("a"), subscribe_error("b")]);
    // No part of the defaults is merged in.
    other.send("PUB a 0\r\n\r\nPUB b 0\r\n\r\nSUB b 1\r\nSUB a 2\r\n");
    assert_eq!(other.sync(), [publish_error("b")]);
}

#[test]
fn reserved_subjects_are_refused_whatever_the_permissions() {
    let server = server("{publish: \">\"}");
    let mut u = user(&server);
    for subject in ["_GR_.a", "$NRG.x"] {
        u.send(format!("PUB {subject} 0\r\n\r\n"));
        assert_eq!(u.sync(), [publish_error(subject)]);
    }
    for reply in ["_R_.a", "$JS.ACK.a", "_GR_.a"] {
        u.send(format!("PUB foo {reply} 0\r\n\r\n"));
        assert_eq!(
            u.sync(),
            [format!("-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'")]
        );
    }
}
