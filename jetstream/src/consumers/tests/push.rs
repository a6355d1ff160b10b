//! Interest, heartbeats and flow control of push consumers (spec 07b §B3.4, §B3.5).

use super::*;

const SECOND: i64 = 1_000_000_000;

fn with_flow_control(change: impl FnOnce(&mut ConsumerConfig)) -> Fixture {
    Fixture::new(push(|config| {
        config.flow_control = true;
        config.idle_heartbeat = SECOND;
        config.max_ack_pending = -1;
        change(config);
    }))
}

/// The reply of the flow control request that was sent last.
fn request(fixture: &mut Fixture) -> Option<String> {
    let statuses = std::mem::take(&mut fixture.statuses);
    let request = statuses
        .into_iter()
        .rev()
        .find(|(_, header, _)| header == "NATS/1.0 100 FlowControl Request\r\n\r\n");
    request.map(|(to, _, reply)| {
        assert_eq!(to, "deliver");
        reply
    })
}

#[test]
fn nothing_is_sent_while_nobody_listens() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.consumer.interest_changed(false, START);
    fixture.publish_many(2);
    assert!(fixture.take_got().is_empty());
    assert!(!fixture.info().push_bound);
    fixture.consumer.interest_changed(true, START);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1, 2]);
    assert!(fixture.info().push_bound);
}

#[test]
fn failed_delivery_stops_until_somebody_listens_again() {
    let mut fixture = Fixture::new(push(|config| config.ack_wait = 100_000_000));
    fixture.publish_many(1);
    fixture.deaf.0.borrow_mut().insert(b"deliver".to_vec());
    fixture.turn(|consumer, turn| consumer.delivery_failed(turn, 1.into(), b"deliver"));
    fixture.publish_many(1);
    fixture.advance_millis(1_000);
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.deaf.0.borrow_mut().clear();
    let now = fixture.now;
    fixture.consumer.interest_changed(true, now);
    fixture.deliver();
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 2, 1, 1), (2, 3, 1, 0)]);
}

#[test]
fn heartbeats_tell_the_last_delivery() {
    let mut fixture = Fixture::new(push(|config| config.idle_heartbeat = SECOND));
    fixture.publish_many(2);
    fixture.advance_millis(999);
    assert!(fixture.statuses.is_empty());
    fixture.advance_millis(1);
    let header =
        "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n";
    assert_eq!(fixture.statuses, [("deliver".to_owned(), header.to_owned(), String::new())]);
    fixture.statuses.clear();
    fixture.advance_millis(500);
    fixture.publish_many(1);
    fixture.advance_millis(999);
    assert!(fixture.statuses.is_empty());
    fixture.advance_millis(3_001);
    assert_eq!(fixture.statuses.len(), 4);
}

#[test]
fn no_heartbeats_while_nobody_listens() {
    let mut fixture = Fixture::new(push(|config| config.idle_heartbeat = SECOND));
    fixture.consumer.interest_changed(false, START);
    assert_eq!(fixture.consumer.next_deadline(), None);
    fixture.advance_millis(5_000);
    assert!(fixture.statuses.is_empty());
}

#[test]
fn flow_control_asks_at_half_of_the_window_and_stalls_at_all_of_it() {
    let mut fixture = with_flow_control(|_| {});
    let payload = "x".repeat(256 << 10);
    for _ in 0..4 {
        fixture.publish("foo", &payload);
    }
    fixture.deliver();
    let reply = request(&mut fixture).expect("a request past 1 MiB");
    assert!(reply.starts_with("$JS.FC.S.C.") && reply.len() == "$JS.FC.S.C.".len() + 4);
    for _ in 0..10 {
        fixture.publish("foo", &payload);
    }
    fixture.deliver();
    assert_eq!(fixture.take_got().len(), 8);
    assert_eq!(request(&mut fixture), None);
    // Heartbeats tell where the answer is awaited.
    fixture.advance_millis(1_000);
    let (_, header, _) = fixture.statuses.remove(0);
    assert!(header.ends_with(&format!("Nats-Consumer-Stalled: {reply}\r\n\r\n")), "{header}");
    // Only the latest request is answered.
    fixture.turn(|consumer, turn| consumer.flow_control_reply(turn, b"$JS.FC.S.C.none", b""));
    fixture.deliver();
    assert!(fixture.take_got().is_empty());
    fixture.turn(|consumer, turn| consumer.flow_control_reply(turn, reply.as_bytes(), b""));
    fixture.deliver();
    assert_eq!(fixture.take_got().len(), 6);
    let next = request(&mut fixture).expect("another request");
    assert_ne!(next, reply);
}

#[test]
fn flow_control_subject_of_the_second_version_names_domain_and_account() {
    let config = checked(
        push(|config| {
            config.flow_control = true;
            config.idle_heartbeat = SECOND;
        }),
        &stream(|_| {}),
    );
    let context = ConsumerContext { ack_format: AckFormat::V2, ..(*context()).clone() };
    let new = NewConsumer { context: Arc::new(context), ..new_consumer(config) };
    let mut fixture = Fixture::with(memory(stream(|_| {})), new);
    fixture.publish("foo", &"x".repeat(2 << 20));
    fixture.deliver();
    let reply = request(&mut fixture).expect("a request");
    assert!(reply.starts_with("$JS.FC._.") && reply.contains(".S.C."), "{reply}");
}

#[test]
fn acknowledgements_by_flow_control_take_all_up_to_the_told_message() {
    let mut fixture = with_flow_control(|config| {
        config.ack_policy = AckPolicy::FlowControl;
        config.max_ack_pending = 3;
    });
    fixture.publish_many(6);
    assert_eq!(fixture.take_sequences(), [1, 2, 3]);
    let reply = request(&mut fixture).expect("asked for because of max_ack_pending");
    let header = b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n";
    fixture.turn(|consumer, turn| consumer.flow_control_reply(turn, reply.as_bytes(), header));
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [4, 5]);
    assert_eq!(fixture.positions().1, (2, 2));
    assert_eq!(fixture.info().num_ack_pending, 3);
}

#[test]
fn acknowledgements_by_flow_control_are_asked_for_when_idle() {
    let mut fixture = with_flow_control(|config| {
        config.ack_policy = AckPolicy::FlowControl;
        config.max_ack_pending = 100;
    });
    fixture.publish_many(2);
    assert_eq!(request(&mut fixture), None);
    fixture.advance_millis(1_000);
    let reply = request(&mut fixture).expect("a request with the heartbeat");
    // It is not asked again before the answer, nor delivered again.
    fixture.advance_millis(60_000);
    assert_eq!(request(&mut fixture), None);
    assert_eq!(fixture.take_got().len(), 2);
    let header = b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n";
    fixture.turn(|consumer, turn| consumer.flow_control_reply(turn, reply.as_bytes(), header));
    assert_eq!(fixture.positions().1, (2, 2));
    fixture.advance_millis(5_000);
    assert_eq!(request(&mut fixture), None);
}

#[test]
fn ordered_consumer_sees_gapless_numbers_and_no_redelivery() {
    let mut fixture = Fixture::new(push(|config| {
        config.durable_name.clear();
        config.ack_policy = AckPolicy::None;
        config.max_deliver = 1;
        config.mem_storage = true;
        config.num_replicas = 1;
        config.flow_control = true;
        config.idle_heartbeat = 5 * SECOND;
        config.ack_wait = 22 * 3600 * SECOND;
    }));
    fixture.publish_many(10);
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, (1..=10).map(|n| (n, n, 1, 10 - n)).collect::<Vec<_>>());
    fixture.advance_millis(60_000);
    assert!(fixture.take_got().is_empty());
}

#[test]
fn messages_of_other_subjects_do_not_hold_heartbeats_back() {
    let mut fixture = Fixture::new(push(|config| {
        config.filter_subject = "bar".to_owned();
        config.idle_heartbeat = 100_000_000;
    }));
    for _ in 0..20 {
        fixture.publish("foo", "");
        fixture.deliver();
        fixture.advance_millis(10);
    }
    assert_eq!(fixture.take_statuses().len(), 2);
}
