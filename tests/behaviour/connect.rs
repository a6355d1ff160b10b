//! CONNECT: options, order of processing, errors (spec 01 §4, §7.1).

use crate::support::Server;

#[test]
fn absent_options_keep_their_defaults() {
    let server = Server::start("");
    let mut client = server.connect();
    // Verbose, pedantic and echo are on.
    client.send("CONNECT {}\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\nPUB a.* 0\r\n\r\nPING\r\n");
    client.expect("+OK\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n");
    client.expect("-ERR 'Invalid Publish Subject'\r\n+OK\r\nPONG\r\n");
}

#[test]
fn names_of_options_match_in_any_case_and_unknown_ones_are_ignored() {
    let server = Server::start("");
    let mut client = server.connect();
    client
        .send("CONNECT {\"VERBOSE\":false,\"Pedantic\":false,\"new\":{\"a\":[1]},\"x\":null}\r\n");
    client.send("PUB a.* 0\r\n\r\nPING\r\n");
    client.expect("PONG\r\n");
}

#[test]
fn the_last_duplicate_wins_and_null_changes_nothing() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"verbose\":true,\"pedantic\":false}\r\n");
    client.expect("+OK\r\n");
    client.send("CONNECT {\"verbose\":null,\"pedantic\":null}\r\nPUB a.* 0\r\n\r\n");
    client.expect("+OK\r\n+OK\r\n");
    client.send("CONNECT null\r\nCONNECT{\"verbose\":false} \t\r\nPUB a.* 0\r\n\r\n");
    client.expect("+OK\r\n");
    client.expect_nothing();
}

#[test]
fn malformed_options_close_without_an_error_line() {
    let server = Server::start("debug: true");
    for json in [
        "",
        "x",
        "{",
        "[]",
        "5",
        "\"a\"",
        "{\"verbose\":1}",
        "{\"verbose\":\"true\"}",
        "{\"user\":5}",
        "{\"protocol\":\"1\"}",
        "{\"protocol\":1.5}",
        "{} x",
        "{\"verbose\":true}}",
        "{\"import\":5}",
        "{\"remote_account\":5}",
    ] {
        let mut client = server.connect();
        client.send(format!("CONNECT {json}\r\nPING\r\n"));
        client.expect_close();
    }
    server.wait_for_log("Client connection closed: Protocol Violation");
    for log in [
        "invalid character 'x' looking for beginning of value",
        "unexpected end of JSON input",
        "invalid character '}' after top-level value",
        "json: cannot unmarshal array into Go value of type server.ClientOpts",
        "json: cannot unmarshal number into Go struct field ClientOpts.verbose of type bool",
        "json: cannot unmarshal number 1.5 into Go struct field ClientOpts.protocol of type int",
    ] {
        server.wait_for_log(&format!(" - {log}"));
    }
}

#[test]
fn protocol_must_be_0_or_1() {
    let server = Server::start("debug: true");
    for bad in ["2", "-1", "22"] {
        let mut client = server.connect();
        client.send(format!("CONNECT {{\"protocol\":{bad}}}\r\nPING\r\n"));
        client.expect_error("invalid client protocol");
        client.expect_close();
    }
    server.wait_for_log("invalid client protocol");
    server.wait_for_log("Client connection closed: Bad Client Protocol Version");
}

#[test]
fn clients_may_not_choose_their_account() {
    let server = Server::start("debug: true");
    for options in ["\"account\":\"foo\"", "\"new_account\":true"] {
        let mut client = server.connect();
        client.send(format!("CONNECT {{{options}}}\r\nPING\r\n"));
        client.expect_error("Authorization Violation");
        client.expect_close();
    }
    server.wait_for_log("Client connection closed: Authentication Failure");
    let mut client = server.connect();
    client.send("CONNECT {\"account\":\"\",\"new_account\":false}\r\n");
    client.expect("+OK\r\n");
}

#[test]
fn no_responders_needs_headers() {
    let server = Server::start("debug: true");
    for options in ["\"no_responders\":true", "\"no_responders\":true,\"headers\":false"] {
        let mut client = server.connect();
        client.send(format!("CONNECT {{{options}}}\r\nPING\r\n"));
        client.expect_error("no responders requires headers support");
        client.expect_close();
    }
    server.wait_for_log("no responders requires headers support");
    server.wait_for_log("Client connection closed: No Responders Requires Headers");
    let server = Server::start("no_header_support: true");
    let mut client = server.connect();
    client.send("CONNECT {\"no_responders\":true,\"headers\":true}\r\nPING\r\n");
    client.expect_error("no responders requires headers support");
    client.expect_close();
}

#[test]
fn a_second_connect_drops_the_subscriptions_and_keeps_other_options() {
    let server = Server::start("");
    let mut client = server.client("\"headers\":true,\"no_responders\":true");
    client.send("SUB foo 1\r\nSUB rep 2\r\n");
    client.expect_nothing();
    client.send("CONNECT {\"pedantic\":true}\r\nPUB foo 2\r\nok\r\n");
    client.expect_nothing();
    // Not verbose as before, headers and no responders as before.
    client.send("SUB rep 2\r\nPUB foo rep 2\r\nok\r\n");
    let n = 32 + "foo".len();
    client.expect(format!("HMSG rep 2 {n} {n}\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\n"));
    client.send("PUB foo..a 2\r\nok\r\n");
    client.expect_error("Invalid Publish Subject");
}

#[test]
fn own_messages_come_back_unless_echo_is_off() {
    let server = Server::start("");
    let mut client = server.client("\"echo\":false");
    let mut other = server.client("");
    other.send("SUB foo 1\r\n");
    other.expect_nothing();
    client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\n");
    client.expect_nothing();
    other.expect("MSG foo 1 2\r\nok\r\n");
    other.send("PUB foo 2\r\nhi\r\n");
    other.expect("MSG foo 1 2\r\nhi\r\n");
    client.expect("MSG foo 1 2\r\nhi\r\n");
}
