//! Headers, and the message that says that nobody responds (spec 01 §5.1 to §5.4).

use crate::support::Server;

const BLOCK: &str = "NATS/1.0\r\nA: b\r\n\r\n";

#[test]
fn headers_reach_receivers_that_know_them() {
    let server = Server::start("");
    let mut sub = server.client("\"headers\":true");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut client = server.client("\"headers\":true");
    client.send(format!("HPUB foo 18 20\r\n{BLOCK}ok\r\nHPUB foo reply 18 18\r\n{BLOCK}\r\n"));
    sub.expect(format!("HMSG foo 1 18 20\r\n{BLOCK}ok\r\n"));
    sub.expect(format!("HMSG foo 1 reply 18 18\r\n{BLOCK}\r\n"));
}

#[test]
fn headers_are_removed_for_receivers_that_do_not_know_them() {
    let server = Server::start("");
    let mut sub = server.client("\"headers\":false");
    sub.send("SUB foo 1\r\nSUB foo q 2\r\n");
    sub.expect_nothing();
    let mut client = server.client("\"headers\":true");
    client.send(format!("HPUB foo reply 018 0020\r\n{BLOCK}ok\r\n"));
    // The size is written anew, without the publisher's zeros.
    sub.expect("MSG foo 1 reply 2\r\nok\r\nMSG foo 2 reply 2\r\nok\r\n");
    client.send(format!("HPUB foo 18 18\r\n{BLOCK}\r\n"));
    sub.expect("MSG foo 1 0\r\n\r\nMSG foo 2 0\r\n\r\n");
}

#[test]
fn large_messages_lose_their_headers_too() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut client = server.client("\"headers\":true");
    let body = "0123456789".repeat(10_000);
    client.send(format!("HPUB foo 18 {}\r\n{BLOCK}{body}\r\n", 18 + body.len()));
    let (line, payload) = sub.message();
    assert_eq!(line, format!("MSG foo 1 {}", body.len()));
    assert!(payload == body.as_bytes());
}

#[test]
fn header_blocks_are_not_judged() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true");
    client.send("SUB foo 1\r\nHPUB foo 12 14\r\nName:Derek\r\nOK\r\n");
    client.expect("HMSG foo 1 12 14\r\nName:Derek\r\nOK\r\n");
    client.send("HPUB foo 3 3\r\n\0\r\n\r\n");
    client.expect("HMSG foo 1 3 3\r\n\0\r\n\r\n");
}

#[test]
fn a_header_size_of_zero_makes_a_message_without_headers() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true");
    client.send("SUB foo 1\r\nHPUB foo 0 2\r\nok\r\nHPUB foo r 00 0\r\n\r\n");
    client.expect("MSG foo 1 2\r\nok\r\nMSG foo 1 r 0\r\n\r\n");
}

#[test]
fn hpub_without_negotiated_headers_closes_without_an_error_line() {
    let server = Server::start("debug: true");
    let mut client = server.client("\"headers\":false");
    client.send(format!("HPUB foo 18 18\r\n{BLOCK}\r\n"));
    client.expect_close();
    server.wait_for_log("message headers not supported");
    server.wait_for_log("Client connection closed: Protocol Violation");
    let server = Server::start("no_header_support: true");
    let mut client = server.client("\"headers\":true");
    assert_eq!(client.info["headers"], false);
    client.send(format!("HPUB foo 18 18\r\n{BLOCK}\r\n"));
    client.expect_close();
    server.wait_for_log("message headers not supported");
}

#[test]
fn max_payload_counts_headers() {
    let server = Server::start("max_payload: 20");
    let mut client = server.client("\"headers\":true");
    client.send(format!("SUB foo 1\r\nHPUB foo 18 20\r\n{BLOCK}ok\r\n"));
    client.expect(format!("HMSG foo 1 18 20\r\n{BLOCK}ok\r\n"));
    client.send("HPUB foo 18 21\r\n");
    client.expect_error("Maximum Payload Violation");
    client.expect_close();
}

#[test]
fn a_request_that_reaches_nobody_is_answered_with_503() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true,\"no_responders\":true");
    client.send("SUB rep.* 7\r\nPUB foo.bar rep.1 2\r\nok\r\n");
    client.expect("HMSG rep.1 7 39 39\r\nNATS/1.0 503\r\nNats-Subject: foo.bar\r\n\r\n\r\n");
    // Also for headers, and for no payload.
    client.send(format!("HPUB a rep.2 18 18\r\n{BLOCK}\r\nPUB b rep.3 0\r\n\r\n"));
    client.expect("HMSG rep.2 7 33 33\r\nNATS/1.0 503\r\nNats-Subject: a\r\n\r\n\r\n");
    client.expect("HMSG rep.3 7 33 33\r\nNATS/1.0 503\r\nNats-Subject: b\r\n\r\n\r\n");
}

#[test]
fn nothing_is_said_when_somebody_got_the_request_or_nobody_would_hear() {
    let server = Server::start("");
    let mut service = server.client("");
    service.send("SUB foo 1\r\n");
    service.expect_nothing();
    let mut client = server.client("\"headers\":true,\"no_responders\":true");
    client.send("SUB rep 7\r\nPUB foo rep 2\r\nok\r\n");
    client.expect_nothing();
    // No reply subject; no subscription for the reply; only one in a queue group.
    client.send("PUB bar 2\r\nok\r\nPUB bar other 2\r\nok\r\n");
    client.send("SUB qrep q 8\r\nPUB bar qrep 2\r\nok\r\n");
    client.expect_nothing();
    // Not asked for.
    let mut client = server.client("\"headers\":true");
    client.send("SUB rep 7\r\nPUB bar rep 2\r\nok\r\n");
    client.expect_nothing();
}

#[test]
fn a_subscription_of_another_client_is_not_told_of_missing_responders() {
    let server = Server::start("");
    let mut other = server.client("\"headers\":true");
    other.send("SUB rep 7\r\n");
    other.expect_nothing();
    let mut client = server.client("\"headers\":true,\"no_responders\":true");
    client.send("PUB foo rep 2\r\nok\r\n");
    client.expect_nothing();
    other.expect_nothing();
}

#[test]
fn own_subscriptions_without_echo_are_no_responders() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true,\"no_responders\":true,\"echo\":false");
    client.send("SUB foo 1\r\nSUB rep 2\r\nPUB foo rep 2\r\nok\r\n");
    client.expect("HMSG rep 2 35 35\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\n");
}
