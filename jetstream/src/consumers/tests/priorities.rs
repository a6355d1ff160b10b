//! Priority groups (spec 07b §B7).

use super::*;
use crate::config::PriorityPolicy;

fn grouped(policy: PriorityPolicy) -> Fixture {
    Fixture::new(pull(|config| {
        config.priority_policy = policy;
        config.priority_groups = vec!["A".to_owned(), "B".to_owned()];
    }))
}

fn pin_id(got: &Got) -> &str {
    let value = got.header.split("Nats-Pin-Id:").nth(1).expect("a pin id");
    value.lines().next().unwrap_or_default().trim()
}

fn statuses(fixture: &mut Fixture) -> Vec<String> {
    fixture.take_statuses().into_iter().map(|(to, text)| format!("{to}: {text}")).collect()
}

#[test]
fn requests_must_name_a_group_of_the_consumer() {
    let mut fixture = grouped(PriorityPolicy::Overflow);
    fixture.pull("r", r#"{"batch":1}"#);
    fixture.pull("r", r#"{"batch":1,"group":"Z"}"#);
    assert_eq!(
        statuses(&mut fixture),
        [
            "r: 400 Bad Request - Priority Group missing",
            "r: 400 Bad Request - Invalid Priority Group"
        ]
    );
    fixture.pull("r", r#"{"batch":1,"group":"B"}"#);
    // A request that is not JSON carries no group, and is not asked for one.
    fixture.pull("plain", "1");
    assert_eq!(fixture.info().num_waiting, 2);
}

#[test]
fn overflow_serves_a_request_once_enough_is_pending() {
    let mut fixture = grouped(PriorityPolicy::Overflow);
    fixture.pull("over", r#"{"batch":5,"group":"A","min_pending":3}"#);
    fixture.publish_many(2);
    assert!(fixture.take_got().is_empty());
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [1]);
    assert_eq!(fixture.info().num_waiting, 1);
    fixture.pull("plain", r#"{"batch":5,"group":"A"}"#);
    let served: Vec<String> = fixture.take_got().into_iter().map(|got| got.to).collect();
    assert_eq!(served, ["plain", "plain"]);
}

#[test]
fn overflow_serves_a_request_once_enough_is_unacknowledged() {
    let mut fixture = grouped(PriorityPolicy::Overflow);
    fixture.pull("over", r#"{"batch":5,"group":"A","min_ack_pending":2}"#);
    fixture.publish_many(4);
    assert!(fixture.take_got().is_empty());
    fixture.pull("plain", r#"{"batch":2,"group":"A"}"#);
    let served: Vec<String> = fixture.take_got().into_iter().map(|got| got.to).collect();
    assert_eq!(served, ["plain", "plain", "over", "over"]);
}

#[test]
fn overflow_needs_only_one_of_both_limits() {
    let mut fixture = grouped(PriorityPolicy::Overflow);
    fixture.pull("over", r#"{"batch":1,"group":"A","min_pending":1,"min_ack_pending":99}"#);
    fixture.publish_many(1);
    assert_eq!(fixture.take_got().len(), 1);
}

#[test]
fn lowest_priority_number_is_served_first() {
    let mut fixture = grouped(PriorityPolicy::Prioritized);
    fixture.pull("plain", "2");
    fixture.pull("b", r#"{"batch":2,"group":"A","priority":2}"#);
    fixture.pull("a", r#"{"batch":1,"group":"A","priority":1}"#);
    fixture.pull("c", r#"{"batch":2,"group":"A","priority":2}"#);
    fixture.publish_many(7);
    let served: Vec<String> = fixture.take_got().into_iter().map(|got| got.to).collect();
    assert_eq!(served, ["a", "b", "c", "b", "c", "plain", "plain"]);
}

#[test]
fn first_client_is_pinned_and_others_wait() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.take_events();
    fixture.pull("one", r#"{"batch":2,"group":"A"}"#);
    fixture.pull("two", r#"{"batch":2,"group":"A"}"#);
    fixture.publish_many(5);
    let got = fixture.take_got();
    let id = pin_id(&got[0]).to_owned();
    assert_eq!(id.len(), 22);
    assert_eq!(got.iter().map(|got| got.to.as_str()).collect::<Vec<_>>(), ["one", "one"]);
    assert!(got.iter().all(|got| pin_id(got) == id));
    let (account, group) = ("$G".to_owned(), "A".to_owned());
    assert_eq!(fixture.take_events(), [Event::Pinned { account, group, id: id.clone() }]);
    let info = fixture.info();
    let shown = info::PriorityGroupInfo {
        group: "A".to_owned(),
        pinned_client_id: id.clone(),
        pinned_ts: START,
    };
    assert_eq!(info.priority_groups, [shown]);
    assert_eq!(info.num_waiting, 1);
    fixture.pull("one", &format!(r#"{{"batch":1,"group":"A","id":"{id}"}}"#));
    assert_eq!(fixture.take_got()[0].to, "one");
    fixture.pull("old", r#"{"batch":1,"group":"A","id":"other"}"#);
    assert_eq!(statuses(&mut fixture), ["old: 423 Nats-Pin-Id mismatch"]);
}

#[test]
fn pin_ends_when_the_client_does_not_ask_again() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    let mut config = fixture.consumer.config().clone();
    config.priority_timeout = 1_000_000_000;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.pull("one", r#"{"batch":1,"group":"A"}"#);
    fixture.publish_many(1);
    let id = pin_id(&fixture.take_got()[0]).to_owned();
    fixture.pull("two", r#"{"batch":1,"group":"A"}"#);
    fixture.publish("foo", "");
    fixture.advance_millis(900);
    fixture.pull("one", &format!(r#"{{"batch":1,"group":"A","id":"{id}"}}"#));
    assert_eq!(fixture.take_got()[0].to, "one");
    fixture.take_events();
    fixture.publish("foo", "");
    fixture.advance_millis(999);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(1);
    let got = fixture.take_got().remove(0);
    assert_eq!(got.to, "two");
    assert_ne!(pin_id(&got), id);
    let (account, group) = ("$G".to_owned(), "A".to_owned());
    let events = fixture.take_events();
    let timeout = Event::Unpinned { account, group, reason: "timeout" };
    assert_eq!(events[0], timeout);
    assert!(matches!(&events[1], Event::Pinned { .. }));
    // The old client learns of it.
    fixture.pull("one", &format!(r#"{{"batch":1,"group":"A","id":"{id}"}}"#));
    assert_eq!(statuses(&mut fixture), ["one: 423 Nats-Pin-Id mismatch"]);
}

#[test]
fn request_of_an_old_pin_ends_when_nobody_is_pinned() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("old", r#"{"batch":3,"group":"A","id":"old"}"#);
    fixture.publish_many(1);
    let header = "NATS/1.0 423 Nats-Wrong-Pin-Id\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n";
    assert_eq!(fixture.statuses, [("old".to_owned(), header.to_owned(), String::new())]);
    assert!(fixture.take_got().is_empty());
}

#[test]
fn operator_unpins() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("one", r#"{"batch":5,"group":"A"}"#);
    fixture.pull("two", r#"{"batch":5,"group":"A"}"#);
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "one");
    fixture.take_events();
    fixture.consumer.unpin("A", START);
    fixture.collect();
    let (account, group) = ("$G".to_owned(), "A".to_owned());
    assert_eq!(fixture.take_events(), [Event::Unpinned { account, group, reason: "admin" }]);
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "two");
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "two");
    assert_eq!(statuses(&mut fixture), ["one: 423 Nats-Wrong-Pin-Id"]);
}

#[test]
fn client_that_cannot_take_the_message_is_not_pinned() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.take_events();
    fixture.pull("small", r#"{"batch":1,"max_bytes":10,"group":"A"}"#);
    fixture.publish_many(1);
    assert_eq!(statuses(&mut fixture), ["small: 409 Message Size Exceeds MaxBytes"]);
    assert_eq!(fixture.info().priority_groups[0].pinned_client_id, "");
    fixture.pull("large", r#"{"batch":1,"group":"A"}"#);
    assert_eq!(fixture.take_got()[0].to, "large");
}

#[test]
fn client_that_is_gone_is_not_pinned() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("gone", r#"{"batch":1,"group":"A"}"#);
    fixture.deaf.0.borrow_mut().insert(b"gone".to_vec());
    fixture.pull("here", r#"{"batch":1,"group":"A"}"#);
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "here");
}

#[test]
fn plain_request_is_served_unpinned_with_an_empty_id() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("plain", "1");
    fixture.publish_many(1);
    let got = fixture.take_got().remove(0);
    assert_eq!((got.to.as_str(), pin_id(&got)), ("plain", ""));
    assert_eq!(fixture.info().priority_groups[0].pinned_client_id, "");
}

#[test]
fn standby_keeps_its_bytes_while_another_client_is_served() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("one", r#"{"batch":100,"group":"A"}"#);
    fixture.pull("standby", r#"{"batch":100,"max_bytes":500,"group":"A"}"#);
    for _ in 0..50 {
        fixture.publish("foo", &"x".repeat(200));
    }
    fixture.deliver();
    assert!(fixture.take_got().iter().all(|got| got.to == "one"));
    assert!(fixture.statuses.is_empty());
    assert_eq!(fixture.info().num_waiting, 2);
}

#[test]
fn pin_outlives_interest_until_its_time_is_over() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.pull("one", r#"{"batch":3,"group":"A"}"#);
    fixture.pull(
        "two",
        r#"{"batch":3,"group":"A","expires":600000000000,"idle_heartbeat":60000000000}"#,
    );
    fixture.publish_many(1);
    let first = pin_id(&fixture.take_got()[0]).to_owned();
    fixture.deaf.0.borrow_mut().insert(b"one".to_vec());
    fixture.publish_many(1);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(119_000);
    assert!(fixture.take_got().is_empty());
    assert_eq!(statuses(&mut fixture), ["two: 100 Idle Heartbeat"]);
    fixture.advance_millis(1_000);
    let got = fixture.take_got().remove(0);
    assert_eq!(got.to, "two");
    assert_ne!(pin_id(&got), first);
}

#[test]
fn pin_ends_although_a_request_still_waits() {
    let mut fixture = grouped(PriorityPolicy::PinnedClient);
    fixture.publish_many(1);
    fixture.pull("one", r#"{"batch":2,"group":"A","expires":300000000000}"#);
    let id = pin_id(&fixture.take_got()[0]).to_owned();
    fixture.ack_again(1);
    fixture.advance_millis(119_999);
    assert_eq!(fixture.info().priority_groups[0].pinned_client_id, id);
    fixture.advance_millis(1);
    assert_eq!(fixture.info().priority_groups[0].pinned_client_id, "");
    fixture.advance_millis(180_000);
    assert_eq!(statuses(&mut fixture), ["one: 408 Request Timeout"]);
}
