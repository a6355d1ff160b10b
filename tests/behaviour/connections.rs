//! Many connections, and no descriptors left for more.

use crate::support::{Server, Wire, wait_until};
use std::net::TcpStream;

#[test]
fn connections_without_descriptors_wait_and_are_served_later() {
    let server = Server::start_with_open_files(40, "");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    // More than there can be: the kernel takes them, the server cannot.
    let mut waiting: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let line = server.wait_for_log("Temporary Client Accept Error(");
    let text =
        format!("(accept tcp {}: accept4: too many open files), sleeping 10ms", server.address());
    assert!(line.contains(&text), "{line}");
    // Who is connected is served as ever.
    sub.send("PUB foo 2\r\nok\r\n");
    sub.expect("MSG foo 1 2\r\nok\r\n");
    // The first ones go, and the others get their turn.
    waiting.drain(..60);
    for stream in waiting {
        let mut wire = Wire::over(stream);
        wire.take_first_info();
        wire.expect_nothing();
    }
    server.client("");
}

#[test]
fn failing_to_accept_pauses_longer_and_longer_up_to_a_second() {
    let mut server = Server::start_with_open_files(40, "");
    let held: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    server.wait_for_log("sleeping 1000ms");
    let pauses: Vec<String> = server
        .log_lines()
        .iter()
        .filter_map(|l| l.split_once("), sleeping ").map(|(_, pause)| pause.to_owned()))
        .collect();
    let doubling = ["10ms", "20ms", "40ms", "80ms", "160ms", "320ms", "640ms", "1000ms"];
    assert_eq!(pauses[..doubling.len()], doubling);
    // The pause does not hold up the end.
    server.signal("TERM");
    server.wait_for_exit();
    let errors = server.log_lines().iter().filter(|l| l.contains("Accept Error")).count();
    assert!(errors <= doubling.len() + 5, "{errors}");
    drop(held);
}

#[test]
fn a_thousand_connections_are_served_with_little_memory() {
    // This process needs as many descriptors as the server.
    nats_server::process::limits::raise_open_files().unwrap();
    let server = Server::start("");
    server.client("");
    let before = server.resident_bytes();
    let mut clients: Vec<Wire> = (0..1000).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("CONNECT {\"verbose\":false}\r\nSUB foo 1\r\nPING\r\n");
    }
    for client in &mut clients {
        client.expect("PONG\r\n");
    }
    let each = server.resident_bytes().saturating_sub(before) / 1000;
    assert!(each < 32 * 1024, "{each} bytes for each connection");
    let mut publisher = server.client("");
    publisher.send("PUB foo 5\r\nhello\r\n".repeat(10));
    for client in &mut clients {
        client.expect("MSG foo 1 5\r\nhello\r\n".repeat(10));
    }
    drop(clients);
    publisher.expect_nothing();
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let server =
        Server::start("http: \"127.0.0.1:-1\"\nmax_closed_clients: 10\nno_system_account: true");
    let round = || {
        for _ in 0..200 {
            let mut client = server.connect();
            client.send("CONNECT {\"verbose\":false}\r\nSUB foo.* 1\r\nSUB bar q 2\r\nPING\r\n");
            client.expect("PONG\r\n");
        }
        server.wait_for_monitor("/varz", |v| v["connections"] == 0 && v["subscriptions"] == 0);
    };
    round();
    let before = server.resident_bytes();
    for _ in 0..5 {
        round();
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "{grown}");
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    wait_until("descriptors are closed", || (open() < 40).then_some(()));
}

#[test]
fn nothing_is_done_behind_what_closes_the_connection() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nno_system_account: true");
    for last in ["PUB foo\r\n", "-ERR 'bye'\r\n", "CONNECT {]\r\n", "SUB a 1\r\nCONNECT {]\r\n"] {
        let mut client = server.connect();
        client.send(format!("{last}SUB foo 1\r\nSUB bar 2\r\nPING\r\n"));
        let answers = std::iter::from_fn(|| client.try_line()).collect::<Vec<_>>();
        assert!(!answers.iter().any(|line| line == "PONG"), "{last:?}: {answers:?}");
    }
    server.wait_for_monitor("/varz", |v| v["connections"] == 0);
    let subs = server.monitor("/subsz");
    assert_eq!((&subs["num_inserts"], &subs["num_subscriptions"]), (&1.into(), &0.into()));
}

#[test]
fn who_connects_and_closes_at_once_is_forgotten() {
    let server = Server::start("http: \"127.0.0.1:-1\"");
    for _ in 0..500 {
        drop(TcpStream::connect(server.address()).unwrap());
    }
    server.wait_for_monitor("/varz", |v| v["total_connections"] == 500 && v["connections"] == 0);
    server.client("");
}
