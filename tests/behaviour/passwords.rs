//! One token or one user for all (spec 01 §2.9, §7.1, §9.4).

use crate::support::Server;

const TOKEN: &str = "authorization { token: s3cret }\ndebug: true";
const USER: &str = "authorization { user: derek, password: foobar }\ndebug: true";

#[test]
fn the_right_credentials_are_let_in() {
    for (config, right) in
        [(TOKEN, "\"auth_token\":\"s3cret\""), (USER, "\"user\":\"derek\",\"pass\":\"foobar\"")]
    {
        let server = Server::start(config);
        let mut client = server.connect();
        client.send(format!("CONNECT {{{right}}}\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\n"));
        client.expect("+OK\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n");
    }
}

#[test]
fn wrong_credentials_are_refused_and_closed() {
    for (config, wrong, identity) in [
        (TOKEN, "\"auth_token\":\"wrong\"", " - Token \"[REDACTED]\""),
        (TOKEN, "\"auth_token\":\"\"", ""),
        (TOKEN, "", ""),
        (TOKEN, "\"user\":\"s3cret\",\"pass\":\"s3cret\"", " - User \"s3cret\""),
        (USER, "\"user\":\"derek\",\"pass\":\"foo\"", " - User \"derek\""),
        (USER, "\"user\":\"ivan\",\"pass\":\"foobar\"", " - User \"ivan\""),
        (USER, "\"user\":\"derek\"", " - User \"derek\""),
        (USER, "\"auth_token\":\"foobar\"", " - Token \"[REDACTED]\""),
    ] {
        let server = Server::start(config);
        let mut client = server.connect();
        client.send(format!("CONNECT {{{wrong}}}\r\nPING\r\n"));
        client.expect_error("Authorization Violation");
        client.expect_close();
        let line = server.wait_for_log("authentication error");
        assert!(line.ends_with(&format!("authentication error{identity}")), "{line}");
        server.wait_for_log("Client connection closed: Authentication Failure");
        let log = server.log_lines().join("\n");
        assert!(!log.contains("foobar") && !log.contains("wrong"), "{log}");
    }
}

#[test]
fn anything_but_connect_is_refused_on_its_first_byte() {
    let server = Server::start(USER);
    for bytes in ["P", "PING\r\n", "PUB foo 2\r\nok\r\n", "SUB foo 1\r\n", "G", "\r\n", "{"] {
        let mut client = server.connect();
        client.send(bytes);
        client.expect_error("Authorization Violation");
        client.expect_close();
    }
    // What may become CONNECT is parsed as such.
    let mut client = server.connect();
    client.send("cXX");
    client.expect_error("Unknown Protocol Operation");
    client.expect_close();
}

#[test]
fn commands_behind_connect_in_one_write_are_served() {
    let server = Server::start(USER);
    let mut client = server.connect();
    client.send("connect {\"user\":\"derek\",\"pass\":\"foobar\",\"verbose\":false}\r\nPING\r\n");
    client.expect("PONG\r\n");
}

#[test]
fn who_does_not_authenticate_in_time_is_closed() {
    let server = Server::start("authorization { token: s3cret, timeout: 0.1 }\ndebug: true");
    let mut silent = server.connect();
    let mut begun = server.connect();
    begun.send("CONNECT {\"auth_tok");
    silent.expect_error("Authentication Timeout");
    silent.expect_close();
    begun.expect_error("Authentication Timeout");
    begun.expect_close();
    server.wait_for_log("Client connection closed: Authentication Timeout");
}

#[test]
fn who_has_authenticated_is_not_timed_out() {
    let server = Server::start("authorization { token: s3cret, timeout: 0.1 }");
    let mut client = server.connect();
    client.send("CONNECT {\"auth_token\":\"s3cret\",\"verbose\":false}\r\nPING\r\n");
    client.expect("PONG\r\n");
    // A connection that came later runs into the limit: by then the first one would have, too.
    let mut late = server.connect();
    late.expect_error("Authentication Timeout");
    client.expect_nothing();
}

#[test]
fn a_second_connect_must_authenticate_again() {
    let server = Server::start(TOKEN);
    let mut client = server.connect();
    client.send("CONNECT {\"auth_token\":\"s3cret\"}\r\nCONNECT {\"auth_token\":\"no\"}\r\n");
    client.expect("+OK\r\n");
    client.expect_error("Authorization Violation");
    client.expect_close();
}
