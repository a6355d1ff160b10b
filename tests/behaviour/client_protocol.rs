//! Commands and their answers (spec 01 §2 to §5).

use crate::support::Server;

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
    assert_eq!(info["port"], server.port());
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["server_name"], info["server_id"]);
    assert!(info["server_id"].as_str().unwrap().starts_with('N'));
    assert!(info.get("auth_required").is_none());
}

#[test]
fn published_messages_reach_matching_subscriptions() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo.* 1\r\nSUB bar.> 2\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    publisher.send("PUB foo.a 5\r\nhello\r\nPUB bar.b.c reply 005\r\nworld\r\nPUB foo 1\r\nx\r\n");
    publisher.expect_nothing();
    sub.expect("MSG foo.a 1 5\r\nhello\r\nMSG bar.b.c 2 reply 005\r\nworld\r\n");
    sub.expect_nothing();
}
