//! PING, PONG and what happens without (spec 01 §9).

use crate::support::{Server, Wire, wait_until};
use std::time::{Duration, Instant};

fn connected(server: &Server) -> Wire {
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
    client
}

#[test]
fn a_client_that_does_not_answer_is_stale() {
    let server = Server::start("ping_interval: \"50ms\"\nping_max: 2\ndebug: true");
    let mut client = connected(&server);
    client.expect("PING\r\nPING\r\n");
    client.expect_error("Stale Connection");
    client.expect_close();
    server.wait_for_log("Client Ping Timer");
    server.wait_for_log("Stale Client Connection - Closing");
    server.wait_for_log("Client connection closed: Stale Connection");
}

#[test]
fn a_client_that_never_says_connect_is_stale_too() {
    let server = Server::start("ping_interval: \"30ms\"\nping_max: 1");
    let mut client = server.connect();
    client.expect("PING\r\n");
    client.expect_error("Stale Connection");
    client.expect_close();
}

#[test]
fn a_client_that_answers_stays() {
    let server = Server::start("ping_interval: \"20ms\"\nping_max: 2");
    let mut client = connected(&server);
    for _ in 0..10 {
        client.expect("PING\r\n");
        client.send("PONG\r\n");
    }
    client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\n");
    loop {
        let line = client.line();
        if line == "MSG foo 1 2" {
            break;
        }
        assert_eq!(line, "PING");
        client.send("PONG\r\n");
    }
}

#[test]
fn pongs_nobody_asked_for_do_no_harm_and_no_good() {
    let server = Server::start("ping_interval: \"50ms\"\nping_max: 2");
    let mut client = connected(&server);
    client.send("PONG\r\n".repeat(100));
    client.expect("PING\r\nPING\r\n");
    client.expect_error("Stale Connection");
    client.expect_close();
}

#[test]
fn a_pong_answers_all_pings_before_it() {
    let server = Server::start("ping_interval: \"30ms\"\nping_max: 3");
    let mut client = connected(&server);
    client.expect("PING\r\nPING\r\nPING\r\n");
    client.send("PONG\r\n");
    client.expect("PING\r\nPING\r\nPING\r\n");
    client.expect_error("Stale Connection");
}

#[test]
fn the_first_ping_comes_soon_after_connect_whatever_the_interval() {
    let server = Server::start("");
    let accepted = Instant::now();
    let mut client = connected(&server);
    // Activity does not put it off: the round-trip time is to be measured.
    client.expect_nothing();
    client.expect("PING\r\n");
    assert!(accepted.elapsed() >= Duration::from_secs(2));
}

#[test]
fn pings_are_put_off_while_the_client_is_active() {
    let server = Server::start("ping_interval: \"100ms\"\nping_max: 2\ndebug: true");
    let mut client = connected(&server);
    client.expect("PING\r\n");
    client.send("PONG\r\n");
    let count = |text: &str| server.log_lines().iter().filter(|l| l.contains(text)).count();
    wait_until("pings are delayed", || {
        for command in ["PING\r\n", "PUB bar 0\r\n\r\nPING\r\n", "SUB foo 1\r\nPING\r\n"] {
            client.send(command);
            for line in client.until_pong() {
                // Only if the machine stood still for an interval.
                assert_eq!(line, "PING");
                client.send("PONG\r\n");
            }
        }
        (count("Delaying PING due to remote client data or ping 0s ago") >= 3).then_some(())
    });
}

#[test]
fn an_active_client_need_not_answer() {
    // A client that publishes is alive, whether it answers the first PING or not.
    let server = Server::start("ping_interval: \"100ms\"\nping_max: 1\ndebug: true");
    let mut client = connected(&server);
    client.expect("PING\r\n");
    let count = |text: &str| server.log_lines().iter().filter(|l| l.contains(text)).count();
    wait_until("pings are delayed", || {
        client.send("PUB foo 0\r\n\r\nPING\r\n");
        client.expect("PONG\r\n");
        (count("Delaying PING") >= 3).then_some(())
    });
}

#[test]
fn pongs_are_no_activity() {
    let server = Server::start("ping_interval: \"100ms\"\nping_max: 1000\ndebug: true");
    let mut client = connected(&server);
    // PONG after PONG, and still every interval has its PING.
    let mut pings = 0;
    client.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    wait_until("five pings", || {
        client.send("PONG\r\n");
        let mut byte = [0; 6];
        if let Ok(n) = std::io::Read::read(&mut client.stream, &mut byte) {
            pings += byte[..n].iter().filter(|b| **b == b'I').count();
        }
        (pings >= 5).then_some(())
    });
    assert!(!server.log_lines().iter().any(|l| l.contains("Delaying PING")));
}

#[test]
fn client_pings_are_answered_at_once_and_before_connect() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("PING\r\nPING\r\n");
    client.expect("PONG\r\nPONG\r\n");
    client.send("CONNECT {\"verbose\":true}\r\nPING\r\n");
    client.expect("+OK\r\nPONG\r\n");
}

#[test]
fn round_trip_time_is_measured_by_pong() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nping_interval: \"50ms\"");
    let mut client = connected(&server);
    client.expect("PING\r\n");
    client.send("PONG\r\n");
    let v = server.wait_for_monitor("/connz", |v| v["connections"][0]["rtt"].is_string());
    assert_eq!(v["num_connections"], 1);
}

/// Services are measured with the round-trip time of their clients. One that never said CONNECT has
/// none, and is asked when a request goes to it.
#[test]
fn a_request_asks_for_a_round_trip_time_that_is_not_known() {
    let server = Server::start(
        "authorization { users: [ {user: a, password: b} ] }\nno_auth_user: a\ntrace: true",
    );
    let mut service = server.connect();
    service.send("SUB svc 1\r\n");
    service.expect("+OK\r\n");
    let mut client = server.client("\"user\":\"a\",\"pass\":\"b\"");
    // A client that has not even asked for a PONG may not expect a PING yet.
    client.send("PUB svc a.reply.that.is.long 0\r\n\r\n");
    client.expect_nothing();
    service.expect("MSG svc 1 a.reply.that.is.long 0\r\n\r\n");
    service.send("PING\r\n");
    service.expect("PONG\r\n");
    // The PING comes before the request, and not for a reply as short as those of a person.
    client.send("PUB svc of.fifteen.byte 0\r\n\r\nPUB svc of.sixteen.bytes 0\r\n\r\n");
    service
        .expect("MSG svc 1 of.fifteen.byte 0\r\n\r\nPING\r\nMSG svc 1 of.sixteen.bytes 0\r\n\r\n");
    server.wait_for_log("->> [PING]");
    service.send("PONG\r\n");
    assert!(service.sync().is_empty());
    client.send("PUB svc of.sixteen.bytes 0\r\n\r\n");
    service.expect("MSG svc 1 of.sixteen.bytes 0\r\n\r\n");
}

#[test]
fn a_client_that_said_nothing_is_asked_for_its_round_trip_time_after_two_seconds() {
    let server = Server::start("");
    let accepted = Instant::now();
    let mut service = server.connect();
    service.send("SUB svc 1\r\n");
    service.expect("+OK\r\n");
    let mut client = server.client("");
    loop {
        client.send("PUB svc of.sixteen.bytes 0\r\n\r\n");
        let line = service.line();
        if line == "PING" {
            break;
        }
        assert_eq!(line, "MSG svc 1 of.sixteen.bytes 0");
        assert!(service.line().is_empty());
    }
    assert!(accepted.elapsed() >= Duration::from_secs(2));
}
