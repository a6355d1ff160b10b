//! Subject mappings of accounts (spec 03 §15.1).

use crate::accepted;
use crate::support::{Server, Wire};

/// Publishes `n` messages to a subject and returns how many `sink` got, by subject.
fn spread(
    source: &mut Wire,
    sink: &mut Wire,
    subject: &str,
    n: usize,
) -> std::collections::BTreeMap<String, usize> {
    for _ in 0..n {
        source.send(format!("PUB {subject} 0\r\n\r\n"));
    }
    source.expect_nothing();
    let mut counts = std::collections::BTreeMap::new();
    for line in sink.sync() {
        if let Some(rest) = line.strip_prefix("MSG ") {
            let subject = rest.split(' ').next().unwrap_or_default().to_owned();
            *counts.entry(subject).or_default() += 1;
        }
    }
    counts
}

#[test]
fn published_subjects_are_mapped() {
    let server = Server::start(
        "mappings { foo: bar, \"a.*.*\": \"b.$2.$1\", \"w.>\": \"v.>\", \"p.*\": \"p.{{partition(3,1)}}.$1\" }",
    );
    let (mut source, mut sink) = (accepted(&server, ""), accepted(&server, ""));
    sink.send("SUB > 1\r\n");
    sink.expect_nothing();
    for (published, delivered) in [
        ("foo", "bar"),
        ("bar", "bar"),
        ("a.x.y", "b.y.x"),
        ("a.x", "a.x"),
        ("w.x.y", "v.x.y"),
        // A mapping is not applied to its own result.
        ("b.y.x", "b.y.x"),
    ] {
        source.send(format!("PUB {published} reply 2\r\nhi\r\n"));
        sink.expect(format!("MSG {delivered} 1 reply 2\r\nhi\r\n"));
    }
    source.expect_nothing();
    let first = spread(&mut source, &mut sink, "p.some", 1);
    assert_eq!(spread(&mut source, &mut sink, "p.some", 1), first, "partitions are stable");
}

#[test]
fn destinations_share_messages_by_weight_and_the_rest_stays() {
    let server =
        Server::start("mappings { foo: [ {dest: one, weight: 20%}, {dest: two, weight: 30} ] }");
    let (mut source, mut sink) = (accepted(&server, ""), accepted(&server, ""));
    sink.send("SUB > 1\r\n");
    sink.expect_nothing();
    let counts = spread(&mut source, &mut sink, "foo", 5000);
    assert_eq!(counts.values().sum::<usize>(), 5000);
    for (subject, least, most) in [("one", 700, 1300), ("two", 1150, 1850), ("foo", 2100, 2900)] {
        let n = counts.get(subject).copied().unwrap_or(0);
        assert!((least..=most).contains(&n), "{subject}: {n}");
    }
}

#[test]
fn a_source_among_its_destinations_loses_the_rest() {
    let server = Server::start("mappings { foo: {dest: foo, weight: 50} }");
    let (mut source, mut sink) = (accepted(&server, ""), accepted(&server, ""));
    sink.send("SUB foo 1\r\n");
    sink.expect_nothing();
    let counts = spread(&mut source, &mut sink, "foo", 2000);
    let n = counts.get("foo").copied().unwrap_or(0);
    assert!((800..=1200).contains(&n), "{n}");
}

#[test]
fn destinations_of_other_clusters_are_not_used() {
    let server = Server::start(
        "mappings { foo: [ {dest: there, weight: 100, cluster: OTHER}, {dest: here, weight: 100} ] }",
    );
    let (mut source, mut sink) = (accepted(&server, ""), accepted(&server, ""));
    sink.send("SUB > 1\r\n");
    sink.expect_nothing();
    let counts = spread(&mut source, &mut sink, "foo", 20);
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("here".to_owned(), 20)]);
}

#[test]
fn permissions_are_about_the_mapped_subject() {
    let server = Server::start(
        "accounts { A { mappings { foo: bar, open: foo }, users = [ \
         {user: a, password: p, permissions: {publish: bar}} ] } }",
    );
    let mut a = accepted(&server, r#""user":"a","pass":"p""#);
    a.send("PUB foo 0\r\n\r\n");
    a.expect_nothing();
    a.send("PUB open 0\r\n\r\n");
    assert_eq!(a.sync(), ["-ERR 'Permissions Violation for Publish to \"foo\"'"]);
}

#[test]
fn the_status_of_a_request_without_responders_tells_the_mapped_subject() {
    let server = Server::start("mappings { foo: bar }");
    let mut client = accepted(&server, "\"headers\":true,\"no_responders\":true");
    client.send("SUB inbox 1\r\nPUB foo inbox 0\r\n\r\n");
    client.expect("HMSG inbox 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: bar\r\n\r\n\r\n");
}

#[test]
fn mappings_of_one_account_leave_others_alone() {
    let server = Server::start(
        "accounts { A { mappings { foo: bar }, users = [ {user: a, password: p} ] }, \
         B { users = [ {user: b, password: p} ] } }",
    );
    let mut a = accepted(&server, r#""user":"a","pass":"p""#);
    let mut b = accepted(&server, r#""user":"b","pass":"p""#);
    a.send("SUB > 1\r\nPUB foo 0\r\n\r\n");
    a.expect("MSG bar 1 0\r\n\r\n");
    b.send("SUB > 1\r\nPUB foo 0\r\n\r\n");
    b.expect("MSG foo 1 0\r\n\r\n");
}
