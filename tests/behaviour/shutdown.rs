//! Signals that end the server, and what connections see of it (spec 01 §12.1, spec 02 §9).

use crate::support::{Server, Wire};
use std::net::TcpStream;

#[test]
fn terminate_and_interrupt_end_with_exit_code_0() {
    for (signal, name) in [("TERM", "terminated"), ("INT", "interrupt")] {
        let mut server = Server::start("");
        let mut clients: Vec<Wire> = (0..10).map(|_| server.client("")).collect();
        server.signal(signal);
        // No error line.
        for client in &mut clients {
            client.expect_close();
        }
        let (code, output) = server.wait_for_exit();
        assert_eq!(code, Some(0), "{output}");
        let at = |text: &str| output.find(text).unwrap_or_else(|| panic!("no {text:?}: {output}"));
        assert!(at(&format!("Trapped \"{name}\" signal")) < at("Initiating Shutdown..."));
        assert!(at("Initiating Shutdown...") < at("Server Exiting.."));
        assert!(TcpStream::connect(server.address()).is_err());
    }
}

#[test]
fn connections_are_closed_for_the_shutdown() {
    let server = Server::start("debug: true");
    let _client = server.client("");
    server.signal("TERM");
    server.wait_for_log("Client connection closed: Server Shutdown");
}

#[test]
fn what_is_pending_is_delivered_before_the_end() {
    let mut server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    let payload = vec![b'x'; 500_000];
    for _ in 0..20 {
        publisher.send("PUB foo 500000\r\n");
        publisher.send(&payload);
        publisher.send("\r\n");
    }
    publisher.expect_nothing();
    server.signal("TERM");
    server.wait_for_log("Initiating Shutdown...");
    for _ in 0..20 {
        assert_eq!(sub.message().1.len(), 500_000);
    }
    sub.expect_close();
    assert_eq!(server.wait_for_exit().0, Some(0));
}

#[test]
fn a_peer_that_does_not_read_holds_up_the_end_no_longer_than_the_write_deadline() {
    let mut server = Server::start("write_deadline: \"3s\"");
    let mut stuck = server.client("");
    stuck.send("SUB foo 1\r\n");
    stuck.expect_nothing();
    let mut publisher = server.client("");
    let payload = vec![b'x'; 1_000_000];
    for _ in 0..30 {
        publisher.send("PUB foo 1000000\r\n");
        publisher.send(&payload);
        publisher.send("\r\n");
    }
    publisher.expect_nothing();
    server.signal("TERM");
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(0));
    assert!(output.contains("Server Exiting.."), "{output}");
    drop(stuck);
}

#[test]
fn signals_in_any_number_shut_down_once() {
    let mut server = Server::start("");
    let _clients: Vec<Wire> = (0..5).map(|_| server.client("")).collect();
    for _ in 0..5 {
        // The process may have ended already.
        let _ = std::process::Command::new("kill")
            .args(["-TERM", &server.pid().to_string()])
            .stderr(std::process::Stdio::null())
            .status();
    }
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(0));
    assert_eq!(output.matches("Initiating Shutdown...").count(), 1, "{output}");
    assert_eq!(output.matches("Server Exiting..").count(), 1, "{output}");
}

#[test]
fn the_port_can_be_used_again_at_once() {
    let mut server = Server::start("");
    let port = server.port();
    let _client = server.client("");
    server.signal("TERM");
    server.wait_for_exit();
    let second = Server::start(&format!("listen: \"127.0.0.1:{port}\""));
    assert_eq!(second.port(), port);
    second.client("");
}

#[test]
fn a_taken_port_is_fatal() {
    let first = Server::start("");
    let config = format!("listen: \"127.0.0.1:{}\"", first.port());
    let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    let text = format!("Error listening on port: 127.0.0.1:{}, ", first.port());
    assert!(output.contains(&text), "{output}");
    assert!(output.contains("address already in use"), "{output}");
    assert!(!output.contains("Server is ready"));
    // The first one was not disturbed.
    first.client("");
}

#[test]
fn a_listener_that_cannot_be_opened_is_fatal() {
    for config in ["listen: \"x.x.x.x:-1\"", "listen: \"127.0.0.1:-1\"\nhttp: \"x.x.x.x:-1\""] {
        let (code, output) = Server::launch(Some(config), &[]).wait_for_exit();
        assert_eq!(code, Some(1), "{output}");
        assert!(!output.contains("Server is ready"), "{output}");
    }
}
