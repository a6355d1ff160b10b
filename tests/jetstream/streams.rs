//! Streams: publishing, getting, domains, accounts.

use crate::{api, client, create, request, start};

#[test]
fn publishes_are_acknowledged_and_messages_can_be_got() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    server.wait_for_log("---------------- JETSTREAM ----------------");
    let mut wire = client(&server, "");
    assert_eq!(wire.info["jetstream"], true);
    for storage in ["file", "memory"] {
        let rest =
            format!(r#","subjects":["{storage}.*"],"storage":"{storage}","allow_direct":true"#);
        create(&mut wire, storage, &rest);
        let ack = request(&mut wire, &format!("{storage}.a"), "hello");
        assert_eq!(ack, format!(r#"{{"stream":"{storage}","seq":1}}"#));
        let direct = request(&mut wire, &format!("$JS.API.DIRECT.GET.{storage}.{storage}.a"), "");
        assert!(direct.contains("Nats-Sequence: 1\r\n") && direct.ends_with("hello"), "{direct}");
        let info = api(&mut wire, &format!("STREAM.INFO.{storage}"), "");
        assert_eq!(info["state"]["messages"], 1);
    }
    // Nobody answers for what is not there.
    let none = request(&mut wire, "$JS.API.DIRECT.GET.nope", "{\"seq\":1}");
    assert!(none.starts_with("NATS/1.0 503"), "{none}");
    let none = request(&mut wire, "$JS.API.CONSUMER.MSG.NEXT.file.nope", "1");
    assert!(none.starts_with("NATS/1.0 503"), "{none}");
}

#[test]
fn without_jetstream_its_api_finds_no_responder() {
    let server = crate::support::Server::start("");
    let mut wire = client(&server, "");
    let none = request(&mut wire, "$JS.API.INFO", "");
    assert!(none.starts_with("NATS/1.0 503"), "{none}");
}

#[test]
fn a_domain_has_subjects_of_its_own() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "domain: hub", "");
    let mut wire = client(&server, "");
    assert_eq!(wire.info["domain"], "hub");
    let body = r#"{"name":"S"}"#;
    let created = request(&mut wire, "$JS.hub.API.STREAM.CREATE.S", body);
    assert!(created.contains("\"did_create\":true"), "{created}");
    assert_eq!(request(&mut wire, "S", "x"), r#"{"stream":"S","domain":"hub","seq":1}"#);
    assert_eq!(api(&mut wire, "STREAM.INFO.S", "")["domain"], "hub");
}

#[test]
fn accounts_use_jetstream_only_where_they_may_and_through_imports() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(
        store.path(),
        "",
        "accounts { \
         A { jetstream: enabled, users: [ {user: a, password: p} ], \
             exports: [ {service: \"$JS.API.>\"} ] }, \
         B { users: [ {user: b, password: p} ] }, \
         C { users: [ {user: c, password: p} ], \
             imports: [ {service: {account: A, subject: \"$JS.API.>\"}, to: \"js.>\"} ] } }",
    );
    let mut a = client(&server, r#""user":"a","pass":"p""#);
    create(&mut a, "S", "");
    let mut b = client(&server, r#""user":"b","pass":"p""#);
    assert_eq!(api(&mut b, "STREAM.NAMES", "")["error"]["err_code"], 10039);
    let mut c = client(&server, r#""user":"c","pass":"p""#);
    let names = request(&mut c, "js.STREAM.NAMES", "");
    assert!(names.contains(r#""streams":["S"]"#), "{names}");
}

#[test]
fn a_mirror_follows_its_origin() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "O", "");
    for n in 0..10 {
        request(&mut wire, "O", &n.to_string());
    }
    create(&mut wire, "M", r#","mirror":{"name":"O"}"#);
    crate::support::wait_until("the mirror has everything", || {
        let info = api(&mut wire, "STREAM.INFO.M", "");
        (info["state"]["messages"] == 10).then_some(())
    });
}
