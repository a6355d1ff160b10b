//! Requests for messages and how they end (spec 07b §B6).

use super::*;

fn status(to: &str, text: &str) -> (String, String) {
    (to.to_owned(), text.to_owned())
}

fn counts(messages: i64, bytes: i64) -> String {
    format!("Nats-Pending-Messages: {messages}\r\nNats-Pending-Bytes: {bytes}\r\n\r\n")
}

#[test]
fn requests_are_served_in_turn() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.pull("a", "2");
    fixture.pull("b", "2");
    fixture.pull("c", "1");
    fixture.publish_many(10);
    let served: Vec<String> = fixture.take_got().into_iter().map(|got| got.to).collect();
    assert_eq!(served, ["a", "b", "c", "a", "b"]);
    assert_eq!(fixture.info().num_waiting, 0);
    assert!(fixture.take_statuses().is_empty());
}

#[test]
fn bodies_give_the_batch() {
    for (body, batch) in
        [("", 1), ("3", 3), (r#"{"batch":4}"#, 4), ("what", 1), ("0", 1), (r#"{}"#, 1), ("-5", 1)]
    {
        let mut fixture = Fixture::new(pull(|_| {}));
        fixture.publish_many(10);
        fixture.pull("r", body);
        assert_eq!(fixture.take_got().len(), batch, "{body:?}");
    }
}

#[test]
fn request_without_reply_is_ignored() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.pull("", "1");
    assert_eq!(fixture.info().num_waiting, 0);
    assert!(fixture.take_statuses().is_empty());
}

#[test]
fn refusals_come_in_their_order() {
    let limited = |config: &mut ConsumerConfig| {
        config.max_batch = 5;
        config.max_expires = 2_000_000_000;
        config.max_bytes = 100;
    };
    for (body, refusal) in [
        (
            r#"{"batch":"x"}"#,
            "400 Bad Request - json: cannot unmarshal string into Go struct field JSApiConsumerGetNextRequest.batch of type int",
        ),
        (
            r#"{"batch":9,"idle_heartbeat":10,"expires":1}"#,
            "400 Bad Request - heartbeat value too large",
        ),
        (
            r#"{"batch":9,"expires":99000000000,"max_bytes":999}"#,
            "409 Exceeded MaxRequestBatch of 5",
        ),
        ("9", "409 Exceeded MaxRequestBatch of 5"),
        (r#"{"expires":99000000000,"max_bytes":999}"#, "409 Exceeded MaxRequestExpires of 2s"),
        (r#"{"max_bytes":999,"min_pending":1}"#, "409 Exceeded MaxRequestMaxBytes of 100"),
        (r#"{"min_pending":1,"id":"x"}"#, "400 Bad Request - Not a Overflow Priority consumer"),
        (r#"{"min_ack_pending":1}"#, "400 Bad Request - Not a Overflow Priority consumer"),
        (r#"{"id":"x","priority":77}"#, "400 Bad Request - Not a Pinned Client Priority consumer"),
        (r#"{"priority":10}"#, "400 Bad Request - Priority must be between 0 and 9"),
        (r#"{"priority":-1}"#, "400 Bad Request - Priority must be between 0 and 9"),
    ] {
        let mut fixture = Fixture::new(pull(limited));
        fixture.pull("r", body);
        assert_eq!(fixture.take_statuses(), [status("r", refusal)], "{body}");
        assert_eq!(fixture.info().num_waiting, 0);
    }
}

#[test]
fn request_without_expires_may_wait_longer_than_the_limit() {
    let mut fixture = Fixture::new(pull(|config| config.max_expires = 1_000_000_000));
    fixture.pull("r", r#"{"batch":1}"#);
    assert_eq!(fixture.info().num_waiting, 1);
}

#[test]
fn push_consumer_and_newer_clients_are_told_so() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.pull("r", "1");
    assert_eq!(fixture.take_statuses(), [status("r", "409 Consumer is push based")]);
    let mut fixture = Fixture::new(pull(|_| {}));
    let header = b"NATS/1.0\r\nNats-Required-Api-Level: 99\r\n\r\n";
    fixture.turn(|consumer, turn| consumer.pull(turn, b"r", header, b"1", None));
    assert_eq!(fixture.take_statuses(), [status("r", "412 Required Api Level")]);
}

#[test]
fn request_ends_with_what_was_left_of_it() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", r#"{"batch":3,"max_bytes":1000,"expires":1000000000}"#);
    let got = fixture.take_got().remove(0);
    let size = got.subject.len() + got.reply.len() + got.payload.len();
    fixture.advance_millis(999);
    assert!(fixture.statuses.is_empty());
    fixture.advance_millis(1);
    let left = counts(2, 1_000 - i64::try_from(size).expect("small"));
    let header = format!("NATS/1.0 408 Request Timeout\r\n{left}");
    assert_eq!(fixture.statuses, [("r".to_owned(), header, String::new())]);
    assert_eq!(fixture.info().num_waiting, 0);
}

#[test]
fn no_wait_ends_at_once_without_messages() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.pull("r", r#"{"batch":3,"no_wait":true}"#);
    assert_eq!(
        fixture.statuses,
        [("r".to_owned(), "NATS/1.0 404 No Messages\r\n\r\n".to_owned(), String::new())]
    );
}

#[test]
fn no_wait_gets_what_is_there() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(3);
    fixture.pull("r", r#"{"batch":10,"no_wait":true}"#);
    assert_eq!(fixture.take_sequences(), [1, 2, 3]);
    assert_eq!(fixture.take_statuses(), [status("r", "404 No Messages")]);
    fixture.publish_many(1);
    assert!(fixture.take_got().is_empty());
}

#[test]
fn no_wait_is_refused_when_others_take_all_there_is() {
    let mut fixture = Fixture::new(pull(|config| config.max_ack_pending = 1));
    fixture.publish_many(4);
    fixture.pull("a", "10");
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.pull("b", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(fixture.take_statuses(), [status("b", "408 Requests Pending")]);
}

#[test]
fn no_wait_with_expires_waits_for_the_first_messages_only() {
    let mut fixture = Fixture::new(pull(|_| {}));
    let body = r#"{"batch":10,"no_wait":true,"expires":1000000000}"#;
    fixture.pull("r", body);
    assert_eq!(fixture.info().num_waiting, 1);
    assert!(fixture.take_statuses().is_empty());
    fixture.publish_many(2);
    assert_eq!(fixture.take_sequences(), [1, 2]);
    assert_eq!(fixture.take_statuses(), [status("r", "404 No Messages")]);
    fixture.pull("r", body);
    fixture.advance_millis(1_000);
    assert_eq!(fixture.take_statuses(), [status("r", "408 Request Timeout")]);
}

#[test]
fn no_wait_does_not_end_while_acknowledgements_are_missing() {
    let mut fixture = Fixture::new(pull(|config| config.max_ack_pending = 1));
    fixture.publish_many(2);
    fixture.pull("r", r#"{"batch":2,"no_wait":true,"expires":5000000000}"#);
    assert_eq!(fixture.take_sequences(), [1]);
    assert!(fixture.take_statuses().is_empty());
    fixture.ack_again(1);
    assert_eq!(fixture.take_sequences(), [2]);
}

#[test]
fn no_wait_counts_messages_that_are_due_again() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = 100_000_000));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    fixture.advance_millis(150);
    fixture.pull("r", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(fixture.take_sequences(), [1, 1]);
}

#[test]
fn too_many_requests_are_refused_unless_they_watch_for_heartbeats() {
    let mut fixture = Fixture::new(pull(|config| config.max_waiting = 2));
    fixture.pull("a", "1");
    fixture.pull("b", "1");
    fixture.pull("c", "1");
    assert_eq!(fixture.take_statuses(), [status("c", "409 Exceeded MaxWaiting")]);
    fixture.pull("d", r#"{"batch":1,"expires":5000000000,"idle_heartbeat":1000000000}"#);
    assert!(fixture.take_statuses().is_empty());
    assert_eq!(fixture.info().num_waiting, 2);
}

#[test]
fn requests_nobody_listens_for_make_room() {
    let mut fixture = Fixture::new(pull(|config| config.max_waiting = 2));
    fixture.pull("a", "1");
    fixture.pull("b", "1");
    fixture.deaf.0.borrow_mut().insert(b"a".to_vec());
    fixture.pull("c", "1");
    assert_eq!(fixture.take_statuses(), [status("c", "409 Exceeded MaxWaiting")]);
    // They are looked for once a second.
    fixture.advance_millis(1_001);
    fixture.pull("c", "1");
    assert!(fixture.take_statuses().is_empty());
    fixture.publish_many(2);
    let served: Vec<String> = fixture.take_got().into_iter().map(|got| got.to).collect();
    assert_eq!(served, ["b", "c"]);
}

#[test]
fn requests_nobody_listens_for_are_dropped_silently() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.pull("gone", "1");
    fixture.pull("here", "1");
    fixture.deaf.0.borrow_mut().insert(b"gone".to_vec());
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "here");
    assert!(fixture.take_statuses().is_empty());
    fixture.pull("later", "1");
    assert_eq!(fixture.info().num_waiting, 1);
    fixture.consumer.reply_interest_lost(b"later");
    assert_eq!(fixture.info().num_waiting, 0);
}

#[test]
fn interest_of_an_importing_account_counts() {
    struct Importer(bool);
    impl ReplyInterest for Importer {
        fn has_interest(&self, account: Option<&str>, subject: &[u8], _: Duration) -> bool {
            self.0 && account == Some("B") && subject == b"inbox.b"
        }
    }
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish("foo", "");
    fixture.publish("foo", "");
    for (listens, expected) in [(true, None), (false, Some("408 Interest Expired"))] {
        let imported =
            ImportedInterest { account: "B".into(), subject: Bytes::from_static(b"inbox.b") };
        let interest = Importer(listens);
        let mut turn = Turn { store: &mut *fixture.store, interest: &interest, now: START };
        fixture.consumer.pull(&mut turn, b"_R_.x", b"", b"1", Some(imported));
        fixture.consumer.deliver(&mut turn, Budget::default());
        fixture.collect();
        let told: Vec<String> = fixture.take_statuses().into_iter().map(|(_, text)| text).collect();
        assert_eq!(told, expected.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(fixture.take_got().len(), usize::from(listens));
    }
}

#[test]
fn byte_budget_is_spent_message_by_message() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for _ in 0..5 {
        fixture.publish("foo", &"x".repeat(100));
    }
    fixture.pull("r", "1");
    let got = fixture.take_got().remove(0);
    let size =
        i64::try_from(got.subject.len() + got.reply.len() + got.payload.len()).expect("small");
    // Two fit, the third does not.
    let budget = 2 * size + 10;
    fixture.pull("r", &format!(r#"{{"batch":10,"max_bytes":{budget}}}"#));
    assert_eq!(fixture.take_sequences(), [2, 3]);
    let header = format!("NATS/1.0 409 Message Size Exceeds MaxBytes\r\n{}", counts(8, 10));
    assert_eq!(fixture.statuses, [("r".to_owned(), header, String::new())]);
    fixture.statuses.clear();
    // Spent exactly, nothing is said.
    fixture.pull("r", &format!(r#"{{"batch":10,"max_bytes":{size}}}"#));
    assert_eq!(fixture.take_sequences(), [4]);
    assert!(fixture.statuses.is_empty());
    assert_eq!(fixture.info().num_waiting, 0);
}

#[test]
fn batch_with_bytes_left_is_said_to_be_complete() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(3);
    fixture.pull("r", r#"{"batch":1,"max_bytes":1000}"#);
    let (_, header, _) = fixture.statuses.remove(0);
    assert!(header.starts_with("NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 0\r\n"));
    fixture.pull("r", r#"{"max_bytes":1000}"#);
    let (_, header, _) = fixture.statuses.remove(0);
    assert!(header.starts_with("NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: -1\r\n"));
    assert_eq!(fixture.take_got().len(), 2);
}

#[test]
fn heartbeats_come_until_a_message_does() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    fixture.pull("r", r#"{"batch":2,"expires":1000000000,"idle_heartbeat":300000000}"#);
    fixture.advance_millis(300);
    let header =
        "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n\r\n";
    assert_eq!(fixture.statuses, [("r".to_owned(), header.to_owned(), String::new())]);
    fixture.statuses.clear();
    fixture.advance_millis(200);
    fixture.publish_many(1);
    fixture.advance_millis(299);
    assert!(fixture.statuses.is_empty());
    fixture.advance_millis(1);
    assert_eq!(fixture.take_statuses(), [status("r", "100 Idle Heartbeat")]);
    fixture.advance_millis(200);
    assert_eq!(fixture.take_statuses(), [status("r", "408 Request Timeout")]);
}

#[test]
fn message_that_reached_nobody_is_given_to_another_request() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("gone", "1");
    fixture.take_got();
    fixture.pull("here", "1");
    fixture.turn(|consumer, turn| consumer.delivery_failed(turn, 1.into(), b"gone"));
    fixture.deliver();
    let got = fixture.take_got().remove(0);
    assert_eq!((got.to.as_str(), got.numbers().2), ("here", 1));
}

#[test]
fn failed_message_is_credited_to_a_request_that_goes_on() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", "2");
    fixture.turn(|consumer, turn| consumer.delivery_failed(turn, 1.into(), b"r"));
    fixture.deliver();
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [1, 1, 2]);
    assert_eq!(fixture.info().num_waiting, 0);
}

#[test]
fn requests_end_each_at_its_own_time() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for expires in [200, 100, 25, 75] {
        fixture.pull(&format!("i.{expires}"), &format!(r#"{{"expires":{expires}000000}}"#));
    }
    fixture.advance_millis(300);
    let order: Vec<String> = fixture.take_statuses().into_iter().map(|(to, _)| to).collect();
    assert_eq!(order, ["i.25", "i.75", "i.100", "i.200"]);
    assert_eq!(fixture.info().num_waiting, 0);
}

#[test]
fn many_requests_that_are_over_leave_nothing_behind() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for _ in 0..100 {
        fixture.pull("r", r#"{"batch":50000000,"expires":100000000}"#);
    }
    assert_eq!(fixture.info().num_waiting, 100);
    // Even if nobody looked after them in time.
    fixture.now = fixture.now.saturating_add(Duration::from_millis(200));
    assert_eq!(fixture.info().num_waiting, 0);
    assert_eq!(fixture.take_statuses().len(), 100);
}

#[test]
fn only_request_that_may_wait_still_ends_in_time() {
    let mut fixture = Fixture::new(pull(|config| config.max_waiting = 1));
    fixture.pull("r", r#"{"batch":1,"expires":250000000}"#);
    fixture.advance_millis(250);
    assert_eq!(fixture.take_statuses(), [status("r", "408 Request Timeout")]);
    fixture.pull("a", "1");
    fixture.pull("b", "1");
    assert_eq!(fixture.take_statuses(), [status("b", "409 Exceeded MaxWaiting")]);
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].to, "a");
}
