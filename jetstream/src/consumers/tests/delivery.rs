//! What is delivered, in which order and form (spec 07b §B3, §B11, §B12).

use super::*;
use crate::config::{DeliverPolicy, ReplayPolicy};

#[test]
fn message_keeps_its_subject_header_and_payload() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish_with("orders.1", b"NATS/1.0\r\nA: b\r\n\r\n", "hello");
    fixture.deliver();
    let nanos = START.nanos();
    assert_eq!(
        fixture.take_got(),
        [Got {
            to: "deliver".to_owned(),
            subject: "orders.1".to_owned(),
            reply: format!("$JS.ACK.S.C.1.1.1.{nanos}.0"),
            header: "NATS/1.0\r\nA: b\r\n\r\n".to_owned(),
            payload: "hello".to_owned(),
        }]
    );
}

#[test]
fn delivery_shares_the_stored_bytes() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish("foo", "payload");
    let mut turn = Turn { store: &mut *fixture.store, interest: &fixture.deaf, now: fixture.now };
    fixture.consumer.deliver(&mut turn, Budget::default());
    let stored = fixture.store.load(1.into()).expect("the message");
    while let Some(effect) = fixture.consumer.poll_effect() {
        if let ConsumerEffect::Deliver(delivery) = effect {
            assert_eq!(delivery.payload_bytes().as_ptr(), stored.payload().as_ptr());
            assert_eq!(delivery.header_bytes().len(), 0);
            return;
        }
    }
    panic!("nothing was delivered");
}

#[test]
fn ack_subject_of_the_second_version_names_domain_and_account() {
    let config = checked(push(|_| {}), &stream(|_| {}));
    let context = ConsumerContext {
        domain: Some("HUB".to_owned()),
        ack_format: AckFormat::V2,
        ..(*context()).clone()
    };
    let new = NewConsumer { context: Arc::new(context), ..new_consumer(config) };
    let mut fixture = Fixture::with(memory(stream(|_| {})), new);
    fixture.publish_many(1);
    let got = fixture.take_got().remove(0);
    assert!(got.reply.starts_with("$JS.ACK.HUB."), "{}", got.reply);
    assert_eq!(got.numbers(), (1, 1, 1, 0));
    // Both versions are accepted.
    fixture.answer_with_reply("$JS.ACK.S.C.1.1.1.0.0", "inbox", "");
    assert_eq!(fixture.info().num_ack_pending, 0);
    assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())]);
}

#[test]
fn names_with_percent_signs_are_literal_in_ack_subjects() {
    for (ack_format, start) in [(AckFormat::V1, "$JS.ACK."), (AckFormat::V2, "$JS.ACK._.")] {
        let mut store = memory(stream(|config| config.name = "TEST%".to_owned()));
        let config = checked(push(|_| {}), store.config());
        let context = ConsumerContext { ack_format, ..(*context()).clone() };
        let name = "dur%d".to_owned();
        let new = NewConsumer { name, context: Arc::new(context), ..new_consumer(config) };
        let deaf = Deaf::default();
        let mut turn = Turn { store: &mut *store, interest: &deaf, now: START };
        let mut consumer = Consumer::new(&mut turn, new).expect("a consumer");
        let message = NewMessage { subject: b"foo", payload: b"x", ..NewMessage::default() };
        turn.store.store_message(message, START).expect("stored");
        consumer.stored(1.into(), b"foo");
        consumer.deliver(&mut turn, Budget::default());
        let reply = std::iter::from_fn(|| consumer.poll_effect()).find_map(|effect| match effect {
            ConsumerEffect::Deliver(delivery) => Some(text(&delivery.reply)),
            _ => None,
        });
        let reply = reply.expect("a delivery");
        assert!(reply.starts_with(start), "{reply}");
        assert!(reply.contains(".TEST%.dur%d.1.1.1."), "{reply}");
        consumer.ack(&mut turn, reply.as_bytes(), b"", b"", None);
        assert_eq!(consumer.info(&mut turn).num_ack_pending, 0);
    }
}

#[test]
fn pending_counts_down_with_each_first_delivery() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for n in 0..4 {
        fixture.publish("foo", &n.to_string());
    }
    assert_eq!(fixture.info().num_pending, 4);
    fixture.pull("r", "3");
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 1, 1, 3), (2, 2, 1, 2), (3, 3, 1, 1)]);
    assert_eq!(fixture.info().num_pending, 1);
}

#[test]
fn filters_select_messages_in_stream_order() {
    let mut fixture = Fixture::new(push(|config| {
        config.filter_subjects = vec!["a.*".to_owned(), "c".to_owned()];
    }));
    for subject in ["a.1", "b.1", "c", "a.2", "d", "c"] {
        fixture.publish(subject, "");
    }
    assert_eq!(fixture.info().num_pending, 4);
    fixture.deliver();
    let got = fixture.take_got();
    assert_eq!(got.iter().map(Got::sequence).collect::<Vec<_>>(), [1, 3, 4, 6]);
    assert_eq!(fixture.info().num_pending, 0);
    assert_eq!(fixture.positions(), ((4, 6), (0, 0)));
    fixture.answer(&got[0], "");
    fixture.answer(&got[1], "");
    assert_eq!(fixture.positions().1, (2, 3));
    fixture.answer(&got[2], "");
    fixture.answer(&got[3], "");
    assert_eq!(fixture.positions().1, (4, 6));
}

#[test]
fn consumer_without_matching_messages_stays_idle() {
    let mut fixture = Fixture::new(push(|config| config.filter_subject = "x".to_owned()));
    fixture.deliver();
    fixture.publish("foo", "");
    assert!(!fixture.consumer.is_ready());
    assert_eq!(fixture.info().num_pending, 0);
    fixture.publish("x", "");
    assert!(fixture.consumer.is_ready());
}

#[test]
fn headers_only_leaves_the_payload_out_and_tells_its_size() {
    let mut fixture = Fixture::new(push(|config| config.headers_only = true));
    fixture.publish("foo", "12345");
    fixture.publish_with("foo", b"NATS/1.0\r\nA: b\r\n\r\n", "");
    fixture.deliver();
    let got = fixture.take_got();
    assert_eq!(
        (got[0].header.as_str(), got[0].payload.as_str()),
        ("NATS/1.0\r\nNats-Msg-Size: 5\r\n\r\n", "")
    );
    assert_eq!(got[1].header, "NATS/1.0\r\nA: b\r\nNats-Msg-Size: 0\r\n\r\n");
}

#[test]
fn headers_only_may_be_switched() {
    let mut fixture = Fixture::new(push(|config| config.headers_only = true));
    fixture.publish_many(1);
    let mut config = fixture.consumer.config().clone();
    config.headers_only = false;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.publish_many(1);
    let payloads: Vec<String> = fixture.take_got().into_iter().map(|got| got.payload).collect();
    assert_eq!(payloads, ["", "m0"]);
}

#[test]
fn without_acknowledgements_both_positions_move_together() {
    let mut fixture = Fixture::new(push(|config| config.ack_policy = AckPolicy::None));
    fixture.publish_many(3);
    assert_eq!(fixture.positions(), ((3, 3), (3, 3)));
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_redelivered), (0, 0));
}

#[test]
fn too_many_unacknowledged_messages_stop_new_ones() {
    let mut fixture = Fixture::new(push(|config| config.max_ack_pending = 2));
    fixture.publish_many(4);
    assert_eq!(fixture.take_sequences(), [1, 2]);
    assert!(!fixture.consumer.is_ready());
    fixture.ack_again(1);
    assert_eq!(fixture.take_sequences(), [3]);
}

#[test]
fn redeliveries_flow_while_too_many_are_unacknowledged() {
    let mut fixture = Fixture::new(push(|config| config.max_ack_pending = 2));
    fixture.publish_many(3);
    let first = fixture.last_of(1);
    fixture.take_got();
    fixture.answer(&first, "-NAK");
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn any_number_may_be_unacknowledged_without_limit() {
    let mut fixture = Fixture::new(push(|config| config.max_ack_pending = -1));
    fixture.publish_many(3_000);
    assert_eq!(fixture.info().num_ack_pending, 3_000);
}

#[test]
fn budget_bounds_one_call() {
    let mut fixture = Fixture::new(push(|_| {}));
    for _ in 0..5 {
        fixture.publish("foo", "x");
    }
    let budget = Budget { messages: 2, bytes: 1 << 20 };
    let delivered = fixture.turn(|consumer, turn| consumer.deliver(turn, budget));
    assert_eq!(delivered.messages, 2);
    assert!(fixture.consumer.is_ready());
    let budget = Budget { messages: 100, bytes: 1 };
    let delivered = fixture.turn(|consumer, turn| consumer.deliver(turn, budget));
    assert_eq!(delivered.messages, 1);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1, 2, 3, 4, 5]);
}

#[test]
fn rate_limit_spreads_messages_over_time() {
    let store = memory(stream(|config| config.max_msg_size = 1_000));
    // 1,000 bytes a second.
    let mut fixture = Fixture::on(store, push(|config| config.rate_limit_bps = 8_000));
    for _ in 0..30 {
        fixture.publish("foo", &"x".repeat(450));
    }
    fixture.deliver();
    let first = fixture.take_got();
    let size = |got: &Got| got.subject.len() + got.reply.len() + got.payload.len();
    let burst: usize = first.iter().map(size).sum();
    assert!(burst <= 1_000 && first.len() == 2, "{burst} bytes at once");
    fixture.advance_millis(10_000);
    let bytes: usize = fixture.take_got().iter().map(size).sum();
    assert!((9_000..=11_000).contains(&bytes), "{bytes} bytes in 10 seconds");
}

#[test]
fn rate_limit_may_be_lifted() {
    let store = memory(stream(|config| config.max_msg_size = 100));
    let mut fixture = Fixture::on(store, push(|config| config.rate_limit_bps = 8));
    fixture.publish_many(10);
    assert!(fixture.take_got().len() < 3);
    let mut config = fixture.consumer.config().clone();
    config.rate_limit_bps = 0;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.publish_many(1);
    assert!(fixture.take_got().len() >= 9);
}

#[test]
fn replay_keeps_the_pace_until_it_has_caught_up() {
    for ack_policy in [AckPolicy::Explicit, AckPolicy::None] {
        replays_at_its_pace(ack_policy);
    }
}

fn replays_at_its_pace(ack_policy: AckPolicy) {
    let mut store = memory(stream(|_| {}));
    for (at, subject) in [(0, "a"), (500, "b"), (500, "c"), (2_000, "d")] {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        let stored = START.saturating_sub(Duration::from_secs(60));
        let stored = stored.saturating_add(Duration::from_millis(at));
        store.store_message(message, stored).expect("stored");
        while store.poll_effect().is_some() {}
    }
    let config = push(|config| {
        config.replay_policy = ReplayPolicy::Original;
        config.ack_policy = ack_policy;
    });
    let mut fixture = Fixture::on(store, config);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.advance_millis(499);
    assert!(fixture.take_sequences().is_empty());
    fixture.advance_millis(1);
    assert_eq!(fixture.take_sequences(), [2, 3]);
    fixture.advance_millis(1_499);
    assert!(fixture.take_sequences().is_empty());
    fixture.advance_millis(1);
    assert_eq!(fixture.take_sequences(), [4]);
    // What comes from now on comes at once.
    fixture.advance_millis(5_000);
    fixture.publish_many(2);
    assert_eq!(fixture.take_sequences(), [5, 6]);
}

#[test]
fn replay_of_a_pull_consumer_waits_too() {
    let mut store = memory(stream(|_| {}));
    for at in [0, 100] {
        let message = NewMessage { subject: b"foo", ..NewMessage::default() };
        let stored = START.saturating_sub(Duration::from_secs(1));
        let stored = stored.saturating_add(Duration::from_millis(at));
        store.store_message(message, stored).expect("stored");
        while store.poll_effect().is_some() {}
    }
    let mut fixture =
        Fixture::on(store, pull(|config| config.replay_policy = ReplayPolicy::Original));
    fixture.pull("r", "5");
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.advance_millis(100);
    assert_eq!(fixture.take_sequences(), [2]);
}

#[test]
fn deleted_messages_are_passed_over() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for n in 0..5 {
        fixture.publish("foo", &n.to_string());
    }
    fixture.remove(2);
    fixture.remove(3);
    assert_eq!(fixture.info().num_pending, 3);
    fixture.pull("r", "10");
    assert_eq!(fixture.take_sequences(), [1, 4, 5]);
    assert_eq!(fixture.info().num_pending, 0);
}

#[test]
fn pushed_out_messages_are_not_pending() {
    let store = memory(stream(|config| config.max_msgs_per_subject = 1));
    let mut fixture = Fixture::on(store, pull(|_| {}));
    for _ in 0..10 {
        fixture.publish("kv", "x");
    }
    assert_eq!(fixture.info().num_pending, 1);
    fixture.pull("r", "10");
    assert_eq!(fixture.take_sequences(), [10]);
}

#[test]
fn last_per_subject_delivers_one_of_each_and_then_what_is_new() {
    let mut store = memory(stream(|_| {}));
    for subject in ["a.1", "a.2", "a.1", "b", "a.2", "a.3"] {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
        while store.poll_effect().is_some() {}
    }
    let mut fixture = Fixture::on(
        store,
        pull(|config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subject = "a.*".to_owned();
        }),
    );
    let info = fixture.info();
    assert_eq!(info.num_pending, 3);
    fixture.publish("b", "");
    fixture.publish("a.1", "");
    assert_eq!(fixture.info().num_pending, 4);
    fixture.pull("r", "2");
    assert_eq!(fixture.take_sequences(), [3, 5]);
    fixture.remove(6);
    assert_eq!(fixture.info().num_pending, 1);
    fixture.pull("r", "5");
    assert_eq!(fixture.take_sequences(), [8]);
    assert_eq!(fixture.info().num_pending, 0);
}

#[test]
fn multi_filter_consumer_of_many_wildcards_gets_each_message_once() {
    let filters: Vec<String> = (0..50).map(|n| format!("f.{n}.*")).collect();
    let mut fixture = Fixture::new(push(|config| config.filter_subjects = filters));
    for n in 0..100 {
        fixture.publish(&format!("f.{n}.x"), "");
    }
    assert_eq!(fixture.info().num_pending, 50);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), (1..=50).collect::<Vec<_>>());
}

#[test]
fn idle_consumer_is_small_and_wants_nothing() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.deliver();
    assert_eq!(fixture.consumer.next_deadline(), None);
    assert!(!fixture.consumer.is_ready());
    assert!(size_of::<Consumer>() <= 1_600, "{} bytes", size_of::<Consumer>());
    fixture.publish_many(100);
    fixture.pull("r", "100");
    for sequence in 1..=100 {
        fixture.ack(sequence);
    }
    assert_eq!(fixture.consumer.effects.capacity(), 0);
    let Mode::Pull(pull) = &fixture.consumer.mode else { panic!("a pull consumer") };
    assert!(pull.waiting.is_empty());
}

#[test]
fn filters_that_look_alike_deliver_each_message_once() {
    for (filters, subject, delivered) in [
        (["s.A", "s.A.>"], "s.A", 10),
        (["s.A", "s.*.A"], "s.A", 10),
        (["s.x.A", "s.x.A.>"], "s.x", 0),
        (["e.foo.*", "e.*.foo"], "e.foo.foo", 10),
    ] {
        let mut fixture = Fixture::new(push(|config| {
            config.filter_subjects = filters.iter().map(|filter| (*filter).to_owned()).collect();
        }));
        for _ in 0..10 {
            fixture.publish(subject, "");
        }
        assert_eq!(fixture.info().num_pending, delivered, "{filters:?}");
        fixture.deliver();
        assert_eq!(fixture.take_got().len() as u64, delivered, "{filters:?}");
        assert_eq!(fixture.info().num_pending, 0);
    }
}

#[test]
fn pull_consumer_may_go_without_acknowledgements() {
    let mut fixture = Fixture::new(pull(|config| config.ack_policy = AckPolicy::None));
    fixture.publish_many(3);
    fixture.pull("r", "2");
    assert_eq!(fixture.take_sequences(), [1, 2]);
    assert_eq!(fixture.positions(), ((2, 2), (2, 2)));
    fixture.advance_millis(60_000);
    fixture.pull("r", "2");
    assert_eq!(fixture.take_sequences(), [3]);
}

#[test]
fn last_of_each_subject_counts_once_however_many_there_are() {
    let mut store = memory(stream(|config| config.max_msgs_per_subject = 2));
    for subject in ["p.a", "p.b", "p.c", "c.a", "c.b", "c.c", "p.b", "p.c"] {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    while store.poll_effect().is_some() {}
    let mut fixture = Fixture::on(
        store,
        pull(|config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subject = "p.*".to_owned();
        }),
    );
    assert_eq!(fixture.info().num_pending, 3);
    fixture.pull("r", "9");
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 1, 1, 2), (7, 2, 1, 1), (8, 3, 1, 0)]);
}

#[test]
fn last_of_each_subject_moves_the_floor_to_just_before_what_is_awaited() {
    let mut store = memory(stream(|_| {}));
    for subject in ["e.1", "e.1", "d.1", "d.1", "d.1", "d.1", "d.1", "e.2", "e.2", "e.2", "o", "o"]
    {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    while store.poll_effect().is_some() {}
    let mut fixture = Fixture::on(
        store,
        push(|config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subjects = vec!["e.*".to_owned(), "d.>".to_owned()];
        }),
    );
    fixture.deliver();
    fixture.ack(2);
    fixture.ack(7);
    assert_eq!(fixture.positions(), ((3, 10), (2, 9)));
    assert_eq!(fixture.take_sequences(), [2, 7, 10]);
}

#[test]
fn redeliveries_come_before_the_rest_of_the_last_messages() {
    let mut store = memory(stream(|_| {}));
    for n in 0..20 {
        let subject = format!("foo.{n}");
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    while store.poll_effect().is_some() {}
    let mut fixture = Fixture::on(
        store,
        pull(|config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subject = ">".to_owned();
            config.max_ack_pending = 10;
            config.ack_wait = 250_000_000;
        }),
    );
    fixture.pull("r", "10");
    assert_eq!(fixture.take_sequences(), (1..=10).collect::<Vec<_>>());
    fixture.advance_millis(500);
    fixture.pull("r", "10");
    let again = fixture.take_got();
    assert_eq!(again.iter().map(Got::sequence).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    for got in &again {
        fixture.answer(got, "+ACK");
    }
    fixture.pull("r", "20");
    assert_eq!(fixture.take_sequences(), (11..=20).collect::<Vec<_>>());
}

#[test]
fn positions_are_those_of_deliveries_not_of_what_was_passed_over() {
    let mut fixture = Fixture::new(pull(|config| config.filter_subject = "a".to_owned()));
    fixture.publish("a", "");
    fixture.publish("b", "");
    assert_eq!(fixture.positions(), ((0, 0), (0, 0)));
    fixture.pull("r", "2");
    assert_eq!(fixture.positions(), ((1, 1), (0, 0)));
    fixture.ack(1);
    assert_eq!(fixture.positions(), ((1, 1), (1, 1)));
}

#[test]
fn limits_of_the_stream_bound_what_is_pending() {
    let store = memory(stream(|config| config.max_msgs = 100));
    let mut fixture = Fixture::on(store, pull(|_| {}));
    for _ in 0..1_000 {
        fixture.publish("foo", "x");
    }
    assert_eq!(fixture.info().num_pending, 100);
    fixture.pull("r", "1");
    assert_eq!(fixture.take_sequences(), [901]);
}

#[test]
fn message_that_is_gone_before_its_moment_leaves_no_deadline() {
    let store = memory(stream(|config| config.max_msg_size = 100));
    let mut fixture = Fixture::on(store, push(|config| config.rate_limit_bps = 800));
    for _ in 0..3 {
        fixture.publish("foo", &"x".repeat(90));
    }
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.ack_again(1);
    fixture.store.purge().expect("purged");
    fixture.pass_on(None);
    fixture.turn(|consumer, turn| consumer.purged(turn, None));
    fixture.advance_millis(60_000);
    assert_eq!(fixture.consumer.next_deadline(), None);
    assert!(fixture.take_got().is_empty());
}

#[test]
fn consumer_that_has_caught_up_goes_straight_to_the_next_match() {
    let mut fixture = Fixture::new(push(|config| config.filter_subject = "a".to_owned()));
    fixture.publish("a", "");
    fixture.deliver();
    for _ in 0..100 {
        fixture.publish("b", "");
    }
    fixture.publish("a", "");
    assert_eq!(fixture.consumer.progress.next_stream.get(), 102);
    fixture.publish("a", "");
    assert_eq!(fixture.consumer.progress.next_stream.get(), 102);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1, 102, 103]);
    // With another filter, what was passed over is delivered.
    fixture.publish("b", "");
    let mut config = fixture.consumer.config().clone();
    config.filter_subject.clear();
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.publish("a", "");
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [104, 105]);
}

#[test]
fn stream_that_tells_of_messages_late_is_followed_all_the_same() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.deliver();
    let message = NewMessage { subject: b"foo", ..NewMessage::default() };
    for _ in 0..3 {
        fixture.store.store_message(message, START).expect("stored");
    }
    while fixture.store.poll_effect().is_some() {}
    fixture.consumer.stored(1.into(), b"foo");
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [1, 2, 3]);
    fixture.consumer.stored(2.into(), b"foo");
    fixture.consumer.stored(3.into(), b"foo");
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [4]);
    assert_eq!(fixture.info().num_pending, 0);
}
