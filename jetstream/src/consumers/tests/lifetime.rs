//! How long consumers live, rest, and how they end (spec 07b §B8, §B10).

use super::*;

const SECOND: i64 = 1_000_000_000;

fn asks_to_be_deleted(fixture: &Fixture) -> bool {
    fixture.others.contains(&ConsumerEffect::Delete)
}

fn ephemeral(config: &mut ConsumerConfig) {
    config.durable_name.clear();
}

#[test]
fn ephemeral_lives_some_seconds_and_shows_five() {
    let mut fixture = Fixture::new(pull(ephemeral));
    assert_eq!(fixture.consumer.config().inactive_threshold, 5 * SECOND);
    fixture.advance_millis(5_099);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(901);
    assert!(asks_to_be_deleted(&fixture));
    assert_eq!(fixture.consumer.next_deadline(), None);
}

#[test]
fn durable_lives_for_ever_unless_it_says_otherwise() {
    let mut fixture = Fixture::new(pull(|_| {}));
    assert_eq!(fixture.consumer.next_deadline(), None);
    fixture.advance_millis(1_000_000);
    assert!(!asks_to_be_deleted(&fixture));
    let mut fixture = Fixture::new(pull(|config| config.inactive_threshold = SECOND));
    fixture.advance_millis(2_000);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn push_consumer_lives_while_somebody_listens() {
    let mut fixture = Fixture::new(push(|config| {
        ephemeral(config);
        config.inactive_threshold = 10 * SECOND;
    }));
    fixture.advance_millis(60_000);
    assert!(!asks_to_be_deleted(&fixture));
    let now = fixture.now;
    fixture.consumer.interest_changed(false, now);
    fixture.advance_millis(9_000);
    let now = fixture.now;
    fixture.consumer.interest_changed(true, now);
    fixture.advance_millis(60_000);
    assert!(!asks_to_be_deleted(&fixture));
    let now = fixture.now;
    fixture.consumer.interest_changed(false, now);
    fixture.advance_millis(9_999);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(1);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn push_consumer_nobody_ever_listened_to_is_deleted() {
    let config = checked(push(ephemeral), &stream(|_| {}));
    let new = NewConsumer { active: false, ..new_consumer(config) };
    let mut fixture = Fixture::with(memory(stream(|_| {})), new);
    fixture.advance_millis(6_000);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn acknowledgements_keep_a_push_consumer_without_listeners_alive() {
    let mut fixture = Fixture::new(push(|config| config.inactive_threshold = SECOND));
    fixture.publish_many(3);
    fixture.consumer.interest_changed(false, START);
    for sequence in 1..=3 {
        fixture.advance_millis(800);
        fixture.ack(sequence);
    }
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(1_000);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn requests_that_wait_keep_a_pull_consumer_alive() {
    let mut fixture = Fixture::new(pull(|config| config.inactive_threshold = SECOND));
    fixture.pull("r", r#"{"batch":1,"expires":30000000000}"#);
    fixture.advance_millis(29_000);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(4_000);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn requests_nobody_listens_for_do_not_keep_a_consumer_alive() {
    let mut fixture = Fixture::new(pull(|config| config.inactive_threshold = SECOND));
    fixture.pull("r", r#"{"batch":1,"expires":30000000000}"#);
    fixture.deaf.0.borrow_mut().insert(b"r".to_vec());
    fixture.advance_millis(5_000);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn message_at_work_keeps_a_pull_consumer_alive() {
    let mut fixture = Fixture::new(pull(|config| {
        config.inactive_threshold = SECOND;
        config.ack_wait = 10 * SECOND;
    }));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    // Nobody asks again, but the message may still be acknowledged.
    fixture.advance_millis(10_900);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.ack(1);
    fixture.advance_millis(900);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(1_200);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn changed_threshold_counts_from_the_change() {
    let mut fixture = Fixture::new(pull(|config| config.inactive_threshold = SECOND));
    fixture.advance_millis(900);
    let mut config = fixture.consumer.config().clone();
    config.inactive_threshold = 5 * SECOND;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.advance_millis(4_000);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(2_100);
    assert!(asks_to_be_deleted(&fixture));
}

#[test]
fn creation_and_deletion_are_told() {
    let mut fixture = Fixture::new(pull(|_| {}));
    assert_eq!(fixture.take_events(), [Event::Created]);
    fixture.pull("a", "1");
    fixture.pull("b", "1");
    fixture.consumer.delete(START, false).expect("deleted");
    fixture.collect();
    assert_eq!(fixture.take_events(), [Event::Deleted]);
    let header = "NATS/1.0 409 Consumer Deleted\r\n\r\n".to_owned();
    let told = |to: &str| (to.to_owned(), header.clone(), String::new());
    assert_eq!(fixture.statuses, [told("a"), told("b")]);
    // From now on it does nothing.
    fixture.statuses.clear();
    fixture.pull("c", "1");
    fixture.publish("foo", "");
    assert!(!fixture.consumer.is_ready());
    assert_eq!(fixture.consumer.next_deadline(), None);
    assert!(fixture.statuses.is_empty() && fixture.got.is_empty());
}

#[test]
fn shutdown_is_told_to_those_who_wait() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.pull("r", r#"{"batch":7,"max_bytes":500}"#);
    fixture.consumer.announce_shutdown();
    fixture.collect();
    let header = "NATS/1.0 409 Server Shutdown\r\nNats-Pending-Messages: 7\r\nNats-Pending-Bytes: 500\r\n\r\n";
    assert_eq!(fixture.statuses, [("r".to_owned(), header.to_owned(), String::new())]);
}

#[test]
fn paused_consumer_delivers_nothing_until_its_time_has_come() {
    let mut fixture = Fixture::new(push(|config| {
        config.ack_wait = 100_000_000;
        config.idle_heartbeat = SECOND;
    }));
    fixture.publish_many(2);
    fixture.take_got();
    fixture.take_events();
    let until = START.saturating_add(Duration::from_secs(10)).to_date_time();
    fixture.turn(|consumer, turn| consumer.pause(turn, Some(until))).expect("written");
    assert_eq!(fixture.take_events(), [Event::Pause { paused: true, until }]);
    fixture.publish_many(1);
    fixture.advance_millis(4_000);
    // Not even redeliveries; but heartbeats go on, and acknowledgements count.
    assert!(fixture.take_got().is_empty());
    assert_eq!(fixture.take_statuses().len(), 4);
    fixture.ack_again(1);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending, info.paused), (1, 1, true));
    assert_eq!(info.pause_remaining, Some(6_000_000_000));
    fixture.advance_millis(6_000);
    assert_eq!(fixture.take_sequences(), [2, 3]);
    assert_eq!(fixture.take_events(), [Event::Pause { paused: false, until }]);
    let info = fixture.info();
    assert_eq!((info.paused, info.pause_remaining), (false, None));
    assert_eq!(info.config.and_then(|config| config.pause_until), Some(until));
}

#[test]
fn pause_ends_early_when_asked() {
    let mut fixture = Fixture::new(push(|_| {}));
    let until = START.saturating_add(Duration::from_secs(3_600)).to_date_time();
    fixture.turn(|consumer, turn| consumer.pause(turn, Some(until))).expect("written");
    fixture.publish_many(1);
    assert!(fixture.take_got().is_empty());
    fixture.take_events();
    fixture.turn(|consumer, turn| consumer.pause(turn, None)).expect("written");
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1]);
    assert_eq!(fixture.take_events(), [Event::Pause { paused: false, until: DateTime::ZERO }]);
    assert_eq!(fixture.consumer.config().pause_until, None);
}

#[test]
fn pausing_needs_a_newer_api_level_and_keeps_utc() {
    let mut fixture = Fixture::new(push(|_| {}));
    let until = DateTime::parse("2030-01-01T02:00:00+02:00").expect("a date");
    fixture.turn(|consumer, turn| consumer.pause(turn, Some(until))).expect("written");
    let config = fixture.consumer.config();
    assert_eq!(config.metadata.get("_nats.req.level").map(String::as_str), Some("1"));
    assert_eq!(
        config.pause_until.map(|until| until.to_string()).as_deref(),
        Some("2030-01-01T00:00:00Z")
    );
}

#[test]
fn consumer_created_paused_tells_so_and_rests() {
    let until = START.saturating_add(Duration::from_secs(5)).to_date_time();
    let mut fixture = Fixture::new(push(|config| config.pause_until = Some(until)));
    assert_eq!(fixture.take_events(), [Event::Created, Event::Pause { paused: true, until }]);
    fixture.publish_many(1);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(5_000);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn pull_requests_wait_and_expire_during_a_pause() {
    let mut fixture = Fixture::new(pull(|_| {}));
    let until = START.saturating_add(Duration::from_secs(5)).to_date_time();
    fixture.turn(|consumer, turn| consumer.pause(turn, Some(until))).expect("written");
    fixture.publish_many(1);
    fixture.pull("short", r#"{"batch":1,"expires":1000000000}"#);
    fixture.pull("long", r#"{"batch":1,"expires":60000000000}"#);
    fixture.advance_millis(2_000);
    assert_eq!(fixture.take_statuses(), [("short".to_owned(), "408 Request Timeout".to_owned())]);
    fixture.advance_millis(3_000);
    assert_eq!(fixture.take_got()[0].to, "long");
}

#[test]
fn pause_in_the_past_does_not_rest() {
    let until = START.saturating_sub(Duration::from_secs(5)).to_date_time();
    let mut fixture = Fixture::new(push(|config| config.pause_until = Some(until)));
    assert_eq!(fixture.take_events(), [Event::Created]);
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [1]);
    assert!(!fixture.info().paused);
}

#[test]
fn backoff_keeps_a_pull_consumer_alive() {
    let mut fixture = Fixture::new(pull(|config| {
        config.inactive_threshold = SECOND / 2;
        config.backoff = vec![2 * SECOND, 4 * SECOND];
    }));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    fixture.advance_millis(2_100);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.pull("r", "1");
    assert_eq!(fixture.take_sequences(), [1, 1]);
    fixture.advance_millis(3_900);
    assert!(!asks_to_be_deleted(&fixture));
    fixture.advance_millis(2_200);
    assert!(asks_to_be_deleted(&fixture));
}
