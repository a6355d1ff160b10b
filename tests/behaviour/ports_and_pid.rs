//! Listeners, the pid file and the ports file (spec 01 §10, spec 02 §8).

use crate::support::{Server, Wire, wait_until};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

#[test]
fn a_random_port_is_announced_and_served() {
    let first = Server::start("");
    let second = Server::start("");
    assert_ne!(first.port(), second.port());
    assert_eq!(first.connect().info["port"], first.port());
    assert_eq!(second.connect().info["port"], second.port());
}

#[test]
fn any_address_serves_both_families() {
    let server = Server::start("listen: \"0.0.0.0:-1\"\ndebug: true");
    let v4 = Wire::open(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    assert_eq!(v4.info["client_ip"], "127.0.0.1");
    assert_eq!(v4.info["host"], "0.0.0.0");
    let local = v4.stream.local_addr().unwrap();
    server.wait_for_log(&format!("{local} - cid:"));
    let Ok(stream) =
        std::net::TcpStream::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, server.port())))
    else {
        // A machine without IPv6 has nothing more to show.
        assert!(std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err());
        return;
    };
    let mut v6 = Wire::over(stream);
    v6.take_first_info();
    assert_eq!(v6.info["client_ip"], "::1");
    let port = v6.stream.local_addr().unwrap().port();
    server.wait_for_log(&format!("[::1]:{port} - cid:"));
}

#[test]
fn the_pid_file_holds_the_pid_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nats.pid");
    let mut server = Server::start(&format!("pid_file: \"{}\"", path.display()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), server.pid().to_string());
    server.signal("TERM");
    server.wait_for_exit();
    assert!(path.exists());
}

#[test]
fn a_pid_file_that_cannot_be_written_is_fatal() {
    let config = "listen: \"127.0.0.1:-1\"\npid_file: \"/no/such/directory/pid\"";
    let (code, output) = Server::launch(Some(config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("Could not write pidfile: "), "{output}");
}

#[test]
fn the_ports_file_lists_the_listeners_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("ports_file_dir: \"{}\"\nhttp: \"127.0.0.1:-1\"", dir.path().display());
    let mut server = Server::start(&config);
    let path: PathBuf = dir.path().join(format!("nats-server_{}.ports", server.pid()));
    let text = wait_until("the ports file", || {
        std::fs::read_to_string(&path).ok().filter(|t| t.ends_with('}'))
    });
    let ports: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ports["nats"][0], server.url());
    let monitoring = ports["monitoring"][0].as_str().unwrap();
    assert!(monitoring.starts_with("http://127.0.0.1:"), "{monitoring}");
    assert!(ports.get("cluster").is_none());
    server.signal("TERM");
    server.wait_for_exit();
    assert!(!path.exists());
}

#[test]
fn the_log_says_what_is_started() {
    let server = Server::start("server_name: named");
    let id = server.connect().info["server_id"].as_str().unwrap().to_owned();
    let log = server.log_lines();
    let at = |text: &str| {
        log.iter().position(|l| l.contains(text)).unwrap_or_else(|| panic!("no {text:?}: {log:?}"))
    };
    let config = server.path("server.conf");
    let order = [
        at("Starting nats-server"),
        at("  Version:  2.14.5"),
        at("  Name:     named"),
        at(&format!("  ID:       {id}")),
        at(&format!("Using configuration file: {} (sha256:", config.display())),
        at(&format!("Listening for client connections on {}", server.address())),
        at("Server is ready"),
    ];
    assert!(order.is_sorted(), "{log:?}");
}

#[test]
fn a_configuration_may_end_in_a_comment() {
    let text = "{\n  \"listen\": \"127.0.0.1:-1\"\n}\n# wibble\n";
    let server = Server::launch(Some(text), &[]);
    server.wait_for_log("Server is ready");
}

#[test]
fn a_server_name_with_blanks_keeps_the_server_from_starting() {
    let text = "listen: \"127.0.0.1:-1\"\nserver_name: \"my server\"";
    let (code, output) = Server::launch(Some(text), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("server name cannot contain spaces"), "{output}");
}

#[test]
fn the_log_file_is_opened_anew_on_a_signal() {
    let text = "listen: \"127.0.0.1:-1\"\nlogfile: \"nats.log\"";
    let mut server = Server::launch(Some(text), &[]);
    let (path, moved) = (server.path("nats.log"), server.path("moved.log"));
    let wait_for = |path: &PathBuf, text: &str| {
        wait_until(text, || std::fs::read_to_string(path).ok().filter(|t| t.contains(text)))
    };
    wait_for(&path, "Server is ready");
    std::fs::rename(&path, &moved).unwrap();
    server.signal("USR1");
    wait_for(&path, "File log re-opened");
    server.signal("TERM");
    server.wait_for_exit();
    assert!(wait_for(&path, "Server Exiting..").contains("Trapped \"terminated\" signal"));
    assert!(!std::fs::read_to_string(&moved).unwrap().contains("re-opened"));
}
