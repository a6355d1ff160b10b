//! Lame duck mode (spec 01 §12.2).

use crate::support::{Server, Wire};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const QUICK: &str = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"0s\"\ndebug: true";

fn informed(server: &Server) -> Wire {
    let mut client = server.client("\"protocol\":1");
    assert_eq!(client.info["connect_info"], true);
    client.expect_nothing();
    client
}

#[test]
fn without_clients_the_server_ends_at_once() {
    let mut server = Server::start("");
    server.signal("USR2");
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("Trapped \"user defined signal 2\" signal"), "{output}");
    assert!(output.contains("Entering lame duck mode, stop accepting new clients"), "{output}");
    assert!(!output.contains("Closing existing clients"), "{output}");
    assert!(output.contains("Server Exiting.."), "{output}");
}

#[test]
fn clients_that_understand_it_are_told() {
    let mut server = Server::start(QUICK);
    let mut new = informed(&server);
    let mut old = server.client("\"protocol\":0");
    server.signal("USR2");
    let info = new.next_info();
    assert_eq!(info["ldm"], true);
    assert!(info.get("connect_urls").is_none(), "{info}");
    assert!(info.get("connect_info").is_none(), "{info}");
    new.expect_close();
    old.expect_close();
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(0));
    assert!(output.contains("Closing existing clients"), "{output}");
    assert!(output.contains("Client connection closed: Server Shutdown"), "{output}");
}

#[test]
fn no_new_clients_are_taken_while_the_present_ones_are_served() {
    let server = Server::start("lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"20s\"");
    let mut client = informed(&server);
    server.signal("USR2");
    assert_eq!(client.next_info()["ldm"], true);
    crate::support::wait_until("the listener is closed", || {
        TcpStream::connect(server.address()).is_err().then_some(())
    });
    client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\n");
    client.expect("MSG foo 1 2\r\nok\r\n");
    // Terminating it is ignored meanwhile; a second lame duck changes nothing.
    server.signal("TERM");
    server.wait_for_log("Trapped \"terminated\" signal");
    server.signal("USR2");
    client.expect_nothing();
    // An interrupt ends it at once.
    let mut server = server;
    let start = Instant::now();
    server.signal("INT");
    client.expect_close();
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(0));
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(output.matches("Entering lame duck mode").count(), 1, "{output}");
    assert!(!output.contains("Closing existing clients"), "{output}");
}

#[test]
fn clients_are_closed_one_after_the_other() {
    let mut server = Server::start(QUICK);
    let mut clients: Vec<Wire> = (0..3).map(|_| informed(&server)).collect();
    let start = Instant::now();
    server.signal("USR2");
    for client in &mut clients {
        assert_eq!(client.next_info()["ldm"], true);
        client.expect_close();
    }
    // Three clients have two pauses of half a second to one second between them.
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.wait_for_exit().0, Some(0));
}

#[test]
fn invalid_periods_keep_the_server_from_starting() {
    for (config, text) in [
        ("lame_duck_duration: \"20s\"", "invalid lame_duck_duration of 20s, minimum is 30 seconds"),
        ("lame_duck_grace_period: \"-1s\"", "invalid lame_duck_grace_period, needs to be positive"),
        (
            "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"30s\"",
            "lame duck grace period (30s) should be strictly lower than lame duck duration (30s)",
        ),
    ] {
        let config = format!("listen: \"127.0.0.1:-1\"\n{config}");
        let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(text), "{output}");
    }
}
