//! Limits of connections and messages (spec 01 §1, §5.7, §7.1, §10).

use crate::support::{Server, Wire, wait_until};

#[test]
fn connections_above_the_limit_are_refused() {
    let server = Server::start("max_connections: 2\ndebug: true");
    let _first = server.client("");
    let second = server.client("");
    let mut third = server.connect();
    third.expect_error("maximum connections exceeded");
    third.expect_close();
    server.wait_for_log("maximum connections exceeded");
    server.wait_for_log("Client connection closed: Maximum Connections Exceeded");
    // A place that becomes free is given again.
    drop(second);
    wait_until("the place is free", || {
        let mut next = server.connect();
        next.try_send("PING\r\n");
        (next.try_line().as_deref() == Some("PONG")).then_some(())
    });
}

#[test]
fn a_refused_connection_is_not_served() {
    let server = Server::start("max_connections: 1");
    let mut sub = server.client("");
    sub.send("SUB > 1\r\n");
    sub.expect_nothing();
    for _ in 0..20 {
        let mut refused = Wire::raw(server.address());
        refused.try_send("CONNECT {\"verbose\":false}\r\nPUB foo 2\r\nno\r\nPING\r\n");
        assert!(refused.line().starts_with("INFO "));
        refused.expect_error("maximum connections exceeded");
        refused.expect_close();
    }
    sub.expect_nothing();
}

#[test]
fn a_limit_of_zero_connections_refuses_all() {
    let server = Server::start("max_connections: 0");
    let mut client = server.connect();
    client.expect_error("maximum connections exceeded");
    client.expect_close();
}

#[test]
fn subscriptions_above_the_limit_are_refused_and_the_connection_stays() {
    let server = Server::start("max_subscriptions: 10");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true}\r\n");
    client.expect("+OK\r\n");
    for n in 0..10 {
        client.send(format!("SUB foo.{n} {n}\r\n"));
        client.expect("+OK\r\n");
    }
    client.send("SUB bar 10\r\n");
    client.expect_error("maximum subscriptions exceeded");
    // Even an id in use, at the limit.
    client.send("SUB foo.1 1\r\n");
    client.expect_error("maximum subscriptions exceeded");
    server.wait_for_log("maximum subscriptions exceeded");
    client.send("UNSUB 1\r\nSUB bar 10\r\n");
    client.expect("+OK\r\n+OK\r\n");
    // Others have a limit of their own.
    let mut other = server.connect();
    other.send("SUB foo 1\r\n");
    other.expect("+OK\r\n");
}

#[test]
fn exceeding_the_subscription_limit_again_and_again_does_not_flood_the_log() {
    let server = Server::start("max_subs: 1");
    let mut client = server.client("");
    client.send("SUB foo 1\r\n");
    client.send("SUB foo 2\r\n".repeat(2000));
    let errors = client.sync();
    assert_eq!(errors.len(), 2000);
    assert!(errors.iter().all(|e| e == "-ERR 'maximum subscriptions exceeded'"));
    server.wait_for_log("maximum subscriptions exceeded");
    let lines = server.log_lines();
    let logged = lines.iter().filter(|l| l.contains("maximum subscriptions exceeded")).count();
    // Once every two seconds.
    assert!(logged < 20, "{logged}");
}

#[test]
fn subjects_with_too_many_tokens_are_refused() {
    let server = Server::start("max_sub_tokens: 3");
    let mut client = server.client("");
    client.send("SUB a.b.c 1\r\nSUB a.*.> 2\r\nSUB a.b.c.d 3\r\n");
    client.expect_error("Permissions Violation for Subscription to \"a.b.c.d\", too many tokens");
    server.wait_for_log("Subscription Violation Too Many Tokens - Subject \"a.b.c.d\", SID 3");
    client.send("SUB a.b.c.> q 4\r\n");
    client.expect_error("Permissions Violation for Subscription to \"a.b.c.>\", too many tokens");
    // Publishing is not limited.
    client.send("PUB a.b.c.d.e 2\r\nok\r\n");
    client.expect("MSG a.b.c.d.e 2 2\r\nok\r\n");
    client.expect_nothing();
}

#[test]
fn payloads_above_the_limit_are_refused_at_their_control_line() {
    let server = Server::start("max_payload: 10000\ndebug: true");
    let mut client = server.client("");
    let exact = "x".repeat(10_000);
    client.send(format!("SUB foo 1\r\nPUB foo 10000\r\n{exact}\r\n"));
    client.expect(format!("MSG foo 1 10000\r\n{exact}\r\n"));
    client.send("PUB foo 10001\r\n");
    client.expect_error("Maximum Payload Violation");
    client.expect_close();
    server.wait_for_log("maximum payload exceeded: 10001 vs 10000");
    server.wait_for_log("Client connection closed: Maximum Message Payload Exceeded");
    let mut client = server.client("");
    client.send("PUB foo 199380988\r\n");
    client.expect_error("Maximum Payload Violation");
    client.expect_close();
    // A size that is no size is another error.
    let mut client = server.client("");
    client.send("PUB foo 18446744073709551615123\r\n");
    client.expect_close();
}

#[test]
fn the_default_payload_limit_is_one_mebibyte() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 1048576\r\n");
    client.send(vec![b'x'; 1_048_576]);
    client.send("\r\n");
    let (line, payload) = client.message();
    assert_eq!((line.as_str(), payload.len()), ("MSG foo 1 1048576", 1_048_576));
    client.send("PUB foo 1048577\r\n");
    client.expect_error("Maximum Payload Violation");
    client.expect_close();
}

#[test]
fn unlimited_payloads_take_what_comes() {
    let server = Server::start("max_payload: -1");
    let mut client = server.client("");
    let size = 5 * 1024 * 1024;
    client.send(format!("SUB foo 1\r\nPUB foo {size}\r\n"));
    client.send(vec![b'x'; size]);
    client.send("\r\n");
    assert_eq!(client.message().1.len(), size);
}

#[test]
fn limits_that_contradict_each_other_keep_the_server_from_starting() {
    let config = "listen: \"127.0.0.1:-1\"\nmax_payload: 2000\nmax_pending: 1000";
    let (code, output) = Server::launch(Some(config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    let text = "max_payload (2000) cannot be higher than max_pending (1000)";
    assert!(output.contains(text), "{output}");
}

#[test]
fn the_limit_of_pending_bytes_may_exceed_32_bits() {
    let server = Server::start("max_pending: 2147483648");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nPUB foo 3\r\nmsg\r\n");
    client.expect("MSG foo 1 3\r\nmsg\r\n");
}
