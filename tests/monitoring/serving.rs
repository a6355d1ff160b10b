//! HTTP on the monitoring port, and when the port is there.

use crate::support::{DEADLINE, wait_until};
use crate::{raw_request, request, start, start_with, try_start};
use nats_server::config::options::listen::Port;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

fn connect(m: &crate::Monitored) -> TcpStream {
    let stream = TcpStream::connect(m.http()).expect("connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream
}

#[test]
fn the_port_is_announced_before_clients_are_listened_to() {
    let m = start();
    let log = m.log();
    let monitor = log.find(&format!("Starting http monitor on {}", m.http()));
    let clients = log.find("Listening for client connections on ");
    assert!(monitor.is_some() && monitor < clients, "{log}");
}

#[test]
fn without_a_port_nothing_is_served() {
    let m = start_with(|o| o.http_port = Port::UNSET);
    assert_eq!(m.server.monitor_address(), None);
    assert!(!m.log().contains("monitor on"));
}

#[test]
fn the_port_listens_on_the_configured_host_only() {
    let m = start_with(|o| o.http_host = "127.0.0.2".into());
    assert_eq!(m.http().ip().to_string(), "127.0.0.2");
    assert_eq!(request(m.http(), "GET", "/varz").status, 200);
    let elsewhere = TcpStream::connect(("127.0.0.1", m.http().port()));
    assert_eq!(elsewhere.err().map(|e| e.kind()), Some(ErrorKind::ConnectionRefused));
}

fn start_error(configure: impl FnOnce(&mut nats_server::config::options::Options)) -> String {
    match try_start(configure) {
        Ok(_) => panic!("it starts"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn both_ports_are_refused() {
    let error = start_error(|o| {
        o.http_port = Port::from(8222);
        o.https_port = Port::from(8443);
    });
    assert_eq!(
        error,
        "Can't start monitoring: can't specify both HTTP (8222) and HTTPs (8443) ports"
    );
}

#[test]
fn https_needs_a_certificate() {
    let error = start_error(|o| {
        o.http_port = Port::UNSET;
        o.https_port = Port::RANDOM;
    });
    assert_eq!(error, "Can't start monitoring: TLS cert and key required for HTTPS");
}

#[test]
fn a_taken_port_fails_the_start() {
    let m = start();
    let port = m.http().port();
    let error = start_error(|o| o.http_port = Port::from(port));
    assert_eq!(
        error,
        format!(
            "Can't start monitoring: can't listen to the monitor port: \
             listen tcp 127.0.0.1:{port}: bind: address already in use"
        )
    );
}

#[test]
fn a_start_that_fails_later_closes_the_port_again() {
    let m = start();
    let taken = m.server.address().expect("it listens").port();
    let mut port = 0;
    let failed = try_start(|o| {
        // A free port, by letting go of one.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        port = free.local_addr().expect("its address").port();
        o.http_port = Port::from(port);
        o.port = Port::from(taken);
    });
    assert!(failed.is_err());
    wait_until("the port is closed", || TcpStream::connect(("127.0.0.1", port)).err());
}

#[test]
fn shutdown_closes_the_port_and_its_connections() {
    let m = start();
    let address = m.http();
    let mut idle = connect(&m);
    m.server.shutdown();
    let mut rest = Vec::new();
    // A reset is an end, too.
    if idle.read_to_end(&mut rest).is_ok() {
        assert_eq!(rest, b"");
    }
    let refused = TcpStream::connect(address);
    assert_eq!(refused.err().map(|e| e.kind()), Some(ErrorKind::ConnectionRefused));
}

#[test]
fn endpoints_are_below_the_base_path() {
    let m = start_with(|o| o.http_base_path = "nats/".into());
    let root = m.get("/nats");
    assert_eq!((root.status, root.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(root.body.contains("href=\"./nats/varz\""));
    let varz = m.json("/nats/varz");
    assert_eq!(varz["http_base_path"], "nats/", "as configured");
    assert_eq!(varz["http_req_stats"], serde_json::json!({"/": 1, "/varz": 1}));
    for path in ["/varz", "/", "/nats/", "/nats/nope"] {
        assert_eq!(m.get(path).status, 404, "{path}");
    }
}

#[test]
fn unknown_paths_are_not_found_and_unclean_ones_redirected() {
    let m = start();
    for path in ["/nope", "/varz/", "/debug", "/expvarz"] {
        let answer = m.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    }
    let answer = m.get("//varz?x=1");
    assert_eq!((answer.status, answer.header("Location")), (307, Some("/varz?x=1")));
}

#[test]
fn any_method_is_served_and_head_has_no_body() {
    let m = start();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = request(m.http(), method, "/healthz");
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#), "{method}");
    }
    let answer = request(m.http(), "HEAD", "/healthz");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("Content-Length"), Some("15"));
}

#[test]
fn callbacks_are_ignored() {
    let m = start();
    assert_eq!(m.get("/healthz?callback=foo").body, r#"{"status":"ok"}"#);
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let m = start();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut all: String = (0..50).map(|_| one("/healthz") + &one("/raftz")).collect();
    all += "GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let text = raw_request(m.http(), all.as_bytes());
    let statuses: Vec<&str> =
        text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses.len(), 101);
    assert!(statuses[..100].chunks(2).all(|pair| pair == ["200", "404"]), "{statuses:?}");
    assert!(text.ends_with("404 page not found\n"));
    assert_eq!(m.json("/varz")["http_req_stats"]["/healthz"], 50);
}

#[test]
fn requests_cut_anywhere_are_put_together() {
    let m = start();
    let mut stream = connect(&m);
    for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).expect("sends");
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with(r#"{"status":"ok"}"#), "{text}");
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let m = start();
    let refused = |bytes: &[u8]| {
        let text = raw_request(m.http(), bytes);
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(refused(b"garbage\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(refused(b"\x16\x03\x01\x00\xf4\x01\x00\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(
        refused(b"GET / HTTP/1.1\r\n\r\n"),
        "HTTP/1.1 400 Bad Request: missing required Host header"
    );
    assert_eq!(m.get("/healthz").status, 200, "others are served on");
}

#[test]
fn heads_are_bounded() {
    let m = start();
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1_100_000));
    let text = raw_request(m.http(), long.as_bytes());
    assert!(text.starts_with("HTTP/1.1 431 "), "{}", &text[..text.len().min(100)]);
    let large = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
        "a".repeat(1_000_000)
    );
    assert!(raw_request(m.http(), large.as_bytes()).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_slow_reader_gets_a_large_document_whole() {
    let m = start();
    let mut wire = m.client("");
    for n in 0..20_000 {
        wire.send(format!("SUB a.long.subject.to.make.the.document.large.{n} {n}\r\n"));
    }
    wire.sync();
    let mut slow = connect(&m);
    let one = "GET /subsz?subs=1&limit=20000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /subsz?subs=1&limit=20000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    slow.write_all(format!("{one}{one}{last}").as_bytes()).expect("sends");
    // Others are served while the answer waits for its reader.
    assert_eq!(m.get("/healthz").status, 200);
    let mut total = 0;
    let mut piece = [0; 4096];
    loop {
        match slow.read(&mut piece).expect("reads") {
            0 => break,
            n => total += n,
        }
    }
    let single = raw_request(m.http(), last.as_bytes()).len();
    assert!(single > 3_000_000, "{single}");
    // The other two answers lack `Connection: close`; times have up to nine digits.
    let least = 3 * (single - 100);
    assert!(total > least && total < 3 * (single + 100), "{total} of 3 times {single}");
}

#[test]
fn a_peer_that_sends_without_reading_is_cut_off() {
    let m = start();
    let mut wire = m.client("");
    for n in 0..5_000 {
        wire.send(format!("SUB a.long.subject.to.make.the.document.large.{n} {n}\r\n"));
    }
    wire.sync();
    let mut flood = connect(&m);
    flood.set_write_timeout(Some(DEADLINE)).expect("timeout");
    let requests = "GET /subsz?subs=1&limit=5000 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2_000);
    // Far more than the bound; sending fails as soon as the connection is closed.
    let cut = (0..1_000).any(|_| flood.write_all(requests.as_bytes()).is_err());
    assert!(cut);
    assert_eq!(m.get("/healthz").status, 200);
}

#[test]
fn many_peers_are_served_at_once_while_clients_come_and_go() {
    let m = start();
    std::thread::scope(|scope| {
        for path in
            ["/varz", "/varz", "/connz?state=all&subs=1", "/subsz?subs=1", "/routez", "/stacksz"]
        {
            let m = &m;
            scope.spawn(move || {
                for _ in 0..50 {
                    let answer = m.get(path);
                    assert_eq!(answer.status, 200, "{path}");
                }
            });
        }
        for n in 0..50 {
            let wire = m.busy_client(&format!("client-{n}"));
            if n % 10 != 0 {
                drop(wire);
            }
        }
    });
    m.wait_for_closed(50);
    assert_eq!(m.json("/varz")["total_connections"], 50);
    assert_eq!(m.json("/connz?state=all")["total"], 50);
}
