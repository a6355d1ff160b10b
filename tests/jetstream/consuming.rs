//! Consumers: pull, push, acknowledgements.

use crate::{api, client, consumer, create, request, start};

#[test]
fn pull_requests_get_messages_under_their_own_subjects() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "S", r#","subjects":["s.*"]"#);
    consumer(&mut wire, "S", "c", "");
    for n in 0..3 {
        request(&mut wire, &format!("s.{n}"), &n.to_string());
    }
    wire.send("PUB $JS.API.CONSUMER.MSG.NEXT.S.c inbox 1\r\n3\r\n");
    let mut acks = Vec::new();
    for n in 0..3 {
        let (line, body) = wire.message();
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[1], format!("s.{n}"));
        assert_eq!(body, n.to_string().as_bytes());
        assert!(fields[3].starts_with(&format!("$JS.ACK.S.c.1.{}.{}.", n + 1, n + 1)), "{line}");
        acks.push(fields[3].to_owned());
    }
    // Asked for a confirmation, an acknowledgement gets one.
    for ack in &acks {
        assert_eq!(request(&mut wire, ack, "+ACK"), "");
    }
    let info = api(&mut wire, "CONSUMER.INFO.S.c", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 3);
    assert_eq!(info["num_ack_pending"], 0);
    let empty = request(&mut wire, "$JS.API.CONSUMER.MSG.NEXT.S.c", r#"{"no_wait":true}"#);
    assert!(empty.starts_with("NATS/1.0 404"), "{empty}");
}

#[test]
fn push_consumers_follow_the_interest_in_their_subject() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "S", "");
    consumer(&mut wire, "S", "p", r#","deliver_subject":"out""#);
    request(&mut wire, "S", "1");
    assert!(api(&mut wire, "CONSUMER.INFO.S.p", "")["push_bound"].is_null());
    let mut reader = server.client("");
    reader.send("SUB out 5\r\n");
    let (line, body) = reader.message();
    assert!(line.starts_with("MSG S 5 $JS.ACK.S.p.1.1.1."), "{line}");
    assert_eq!(body, b"1");
    assert_eq!(api(&mut wire, "CONSUMER.INFO.S.p", "")["push_bound"], true);
}

#[test]
fn a_work_queue_holds_what_is_not_acknowledged() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "W", r#","retention":"workqueue""#);
    consumer(&mut wire, "W", "c", "");
    request(&mut wire, "W", "job");
    wire.send("PUB $JS.API.CONSUMER.MSG.NEXT.W.c inbox 1\r\n1\r\n");
    let (line, _) = wire.message();
    assert_eq!(api(&mut wire, "STREAM.INFO.W", "")["state"]["messages"], 1);
    let ack = line.split(' ').nth(3).expect("where to acknowledge").to_owned();
    assert_eq!(request(&mut wire, &ack, "+ACK"), "");
    assert_eq!(api(&mut wire, "STREAM.INFO.W", "")["state"]["messages"], 0);
}
