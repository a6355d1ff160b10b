//! What survives.

use crate::{api, client, consumer, create, request, start};

#[test]
fn acknowledged_messages_survive_a_kill_under_load() {
    let store = tempfile::tempdir().expect("a directory");
    let mut stored = 0;
    for round in 0..3 {
        let mut server = start(store.path(), "", "");
        let mut wire = client(&server, "");
        if round == 0 {
            create(&mut wire, "S", "");
        }
        let info = api(&mut wire, "STREAM.INFO.S", "");
        let found = info["state"]["messages"].as_u64().expect("a number");
        assert!(found >= stored, "{found} of {stored} messages");
        // Two hundred are waited for, as many more are on their way when it dies.
        let publish = "PUB S inbox 4\r\ndata\r\n".repeat(400);
        wire.send(&publish);
        let mut last = found;
        for _ in 0..200 {
            let (_, ack) = wire.message();
            let ack: serde_json::Value = serde_json::from_slice(&ack).expect("JSON");
            last = ack["seq"].as_u64().expect("a sequence");
        }
        stored = last;
        server.signal("KILL");
        server.wait_for_exit();
    }
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    let info = api(&mut wire, "STREAM.INFO.S", "");
    assert!(info["state"]["last_seq"].as_u64() >= Some(stored));
}

#[test]
fn streams_and_consumers_come_back_after_a_shutdown() {
    let store = tempfile::tempdir().expect("a directory");
    let mut server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "S", r#","subjects":["s"],"description":"kept""#);
    consumer(&mut wire, "S", "c", "");
    for n in 0..5 {
        request(&mut wire, "s", &n.to_string());
    }
    request(&mut wire, "$JS.API.CONSUMER.MSG.NEXT.S.c", "1");
    assert_eq!(request(&mut wire, "$JS.ACK.S.c.1.1.1.0.0", "+ACK"), "");
    server.signal("TERM");
    server.wait_for_exit();
    let server = start(store.path(), "", "");
    server.wait_for_log("Restored 5 messages for stream '$G > S'");
    let mut wire = client(&server, "");
    let info = api(&mut wire, "STREAM.INFO.S", "");
    assert_eq!(info["config"]["description"], "kept");
    assert_eq!(info["state"]["messages"], 5);
    let info = api(&mut wire, "CONSUMER.INFO.S.c", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 1);
    assert_eq!(request(&mut wire, "$JS.API.CONSUMER.MSG.NEXT.S.c", "1"), "1");
}
