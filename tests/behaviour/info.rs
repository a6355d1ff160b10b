//! INFO: what it says and when it is sent (spec 01 §3).

use crate::support::{Server, Wire};

#[test]
fn info_names_the_server_and_its_limits() {
    let server = Server::start("");
    let client = server.connect();
    let info = &client.info;
    assert_eq!(info["version"], "2.14.5");
    assert_eq!(info["proto"], 1);
    assert_eq!(info["api_lvl"], 4);
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1_048_576);
    assert_eq!(info["host"], "127.0.0.1");
    assert_eq!(info["port"], server.port());
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert!(info["client_id"].as_u64().unwrap() > 0);
    assert!(info["server_id"].as_str().unwrap().starts_with('N'));
    assert!(info["xkey"].as_str().unwrap().starts_with('X'));
    assert!(!info["go"].as_str().unwrap().is_empty());
    for absent in [
        "auth_required",
        "tls_required",
        "tls_verify",
        "tls_available",
        "jetstream",
        "nonce",
        "cluster",
        "connect_urls",
        "ws_connect_urls",
        "ldm",
        "connect_info",
        "remote_account",
        "ip",
    ] {
        assert!(info.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn info_line_has_a_blank_before_its_end_and_fields_in_order() {
    let server = Server::start("");
    let mut client = Wire::raw(server.address());
    let mut line = String::new();
    while !line.ends_with('\n') {
        line.push(char::from(client.bytes(1)[0]));
    }
    assert!(line.starts_with("INFO {\"server_id\":\"N"), "{line:?}");
    assert!(line.ends_with("} \r\n"), "{line:?}");
    assert!(!line.contains("\": "), "{line:?}");
    let order = ["server_id", "server_name", "version", "proto", "go", "host", "port", "headers"];
    let later = ["max_payload", "client_id", "client_ip", "api_lvl", "xkey"];
    let at: Vec<usize> = order
        .iter()
        .chain(&later)
        .map(|f| line.find(&format!("\"{f}\":")).unwrap_or_else(|| panic!("no {f} in {line}")))
        .collect();
    assert!(at.is_sorted(), "{line}");
}

#[test]
fn server_name_is_the_id_unless_configured() {
    let server = Server::start("");
    let info = server.connect().info;
    assert_eq!(info["server_name"], info["server_id"]);
    let server = Server::start("server_name: my_name");
    assert_eq!(server.connect().info["server_name"], "my_name");
}

#[test]
fn characters_special_to_html_are_escaped() {
    let server = Server::start("server_name: \"a<b>&c\"");
    let mut client = Wire::raw(server.address());
    let line = client.line();
    assert!(line.contains(r#""server_name":"a\u003cb\u003e\u0026c""#), "{line}");
}

#[test]
fn client_ids_are_not_given_twice() {
    let server = Server::start("");
    let ids: Vec<u64> =
        (0..5).map(|_| server.connect().info["client_id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[test]
fn configured_limits_and_header_support_are_announced() {
    let server = Server::start("max_payload: 1000\nno_header_support: true");
    let info = server.connect().info;
    assert_eq!(info["max_payload"], 1000);
    assert_eq!(info["headers"], false);
}

#[test]
fn unlimited_payload_is_announced_as_minus_one() {
    let server = Server::start("max_payload: -1");
    assert_eq!(server.connect().info["max_payload"], -1);
}

#[test]
fn required_authentication_is_announced() {
    for auth in ["authorization { token: s3cret }", "authorization { user: u, password: p }"] {
        let server = Server::start(auth);
        assert_eq!(server.connect().info["auth_required"], true);
    }
}

#[test]
fn first_ping_after_connect_is_followed_by_info_of_the_connection() {
    let server = Server::start("");
    let mut client = server.connect();
    let id = client.info["client_id"].clone();
    client.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    client.expect("PONG\r\n");
    let info = client.next_info();
    assert_eq!(info["connect_info"], true);
    assert_eq!(info["remote_account"], "$G");
    assert!(info.get("acc_is_sys").is_none());
    assert_eq!(info["client_id"], id);
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["max_payload"], 1_048_576);
    client.send("PING\r\n");
    client.expect("PONG\r\n");
    client.expect_nothing();
}

#[test]
fn clients_of_protocol_0_get_no_second_info() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"protocol\":0}\r\nPING\r\nPING\r\n");
    client.expect("PONG\r\nPONG\r\n");
    client.expect_nothing();
}

#[test]
fn pings_before_connect_do_not_bring_info() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("PING\r\nPING\r\n");
    client.expect("PONG\r\nPONG\r\n");
    client.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    client.expect("PONG\r\n");
    assert_eq!(client.next_info()["connect_info"], true);
}

#[test]
fn advertised_address_replaces_host_and_port() {
    let server = Server::start("client_advertise: \"me:1\"");
    let info = server.connect().info;
    assert_eq!((info["host"].as_str(), info["port"].as_u64()), (Some("me"), Some(1)));
    // Without a port, or with one that means any, it is the port that is listened on.
    for advertise in ["me", "me:0", "me:-1"] {
        let server = Server::start(&format!("client_advertise: \"{advertise}\""));
        let info = server.connect().info;
        assert_eq!(info["host"], "me");
        assert_eq!(info["port"], server.port());
    }
}

#[test]
fn a_bad_advertised_address_is_fatal() {
    let config = "listen: \"127.0.0.1:-1\"\nclient_advertise: \"addr:::123\"";
    let (code, output) = Server::launch(Some(config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{output}");
    let text = "Error setting server INFO with ClientAdvertise value of addr:::123, err=";
    assert!(output.contains(text), "{output}");
}
