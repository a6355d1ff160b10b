//! Queue groups (spec 01 §5.9).

use crate::support::{Server, Wire};
use std::collections::BTreeMap;

/// Messages by subscription id, after everything was delivered.
fn tally(client: &mut Wire) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in client.sync() {
        if let Some(rest) = line.strip_prefix("MSG ") {
            *counts.entry(rest.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn one_member_of_a_group_gets_each_message_and_all_get_some() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo g1 1\r\nSUB foo g1 2\r\n");
    client.send("PUB foo 2\r\nok\r\n".repeat(1000));
    let counts = tally(&mut client);
    assert_eq!(counts.values().sum::<usize>(), 1000);
    // Evenly at random: 1000 throws of a coin stay within these bounds but once in 10^22.
    assert!(counts.values().all(|n| (350..=650).contains(n)), "{counts:?}");
    assert_eq!(counts.len(), 2);
}

#[test]
fn every_group_gets_every_message_and_plain_subscriptions_too() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo g1 1\r\nSUB foo g1 2\r\nSUB foo g2 3\r\nSUB foo g2 4\r\nSUB foo 5\r\n");
    client.send("PUB foo 2\r\nok\r\n".repeat(400));
    let counts = tally(&mut client);
    assert_eq!(counts["1"] + counts["2"], 400);
    assert_eq!(counts["3"] + counts["4"], 400);
    assert_eq!(counts["5"], 400);
}

#[test]
fn one_name_is_one_group_across_subjects() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo.bar q 1\r\nSUB foo.* q 2\r\nSUB > q 3\r\nSUB foo.> other 4\r\n");
    client.send("PUB foo.bar 2\r\nok\r\n".repeat(300));
    let counts = tally(&mut client);
    assert_eq!(counts["1"] + counts["2"] + counts["3"], 300);
    assert_eq!(counts["4"], 300);
    assert_eq!(counts.len(), 4);
}

#[test]
fn members_of_several_connections_share_the_messages() {
    let server = Server::start("");
    let mut members: Vec<Wire> = (0..4).map(|_| server.client("")).collect();
    for member in &mut members {
        member.send("SUB foo q 1\r\n");
        member.expect_nothing();
    }
    let mut publisher = server.client("");
    publisher.send("PUB foo 2\r\nok\r\n".repeat(1000));
    publisher.expect_nothing();
    let counts: Vec<usize> = members.iter_mut().map(|m| tally(m)["1"]).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert!(counts.iter().all(|n| (120..=400).contains(n)), "{counts:?}");
}

#[test]
fn a_member_without_echo_is_passed_over_for_its_own_messages() {
    let server = Server::start("");
    let mut silent = server.client("\"echo\":false");
    silent.send("SUB foo q 1\r\n");
    silent.expect_nothing();
    let mut other = server.client("");
    other.send("SUB foo q 2\r\n");
    other.expect_nothing();
    silent.send("PUB foo 2\r\nok\r\n".repeat(100));
    silent.expect_nothing();
    assert_eq!(tally(&mut other)["2"], 100);
    drop(other);
    // Alone in its group it gets nothing.
    silent.send("PUB foo 2\r\nok\r\n".repeat(10));
    silent.expect_nothing();
}

#[test]
fn a_member_that_leaves_is_not_chosen_any_more() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo q 1\r\nSUB foo q 2\r\nUNSUB 1\r\n");
    client.send("PUB foo 2\r\nok\r\n".repeat(50));
    assert_eq!(tally(&mut client), BTreeMap::from([("2".to_owned(), 50)]));
}
