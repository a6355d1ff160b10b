//! Messages that are not acknowledged in time (spec 07b §B5).

use super::*;
use crate::consumers::advisory::AboutDelivery;

const WAIT: i64 = 100_000_000;

fn waiting(change: impl FnOnce(&mut ConsumerConfig)) -> Fixture {
    Fixture::new(push(|config| {
        config.ack_wait = WAIT;
        change(config);
    }))
}

#[test]
fn unacknowledged_messages_are_delivered_again_in_stream_order() {
    let mut fixture = waiting(|_| {});
    fixture.publish_many(3);
    fixture.ack(2);
    fixture.take_got();
    fixture.advance_millis(99);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(2);
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 4, 2, 0), (3, 5, 2, 0)]);
    fixture.advance_millis(102);
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 6, 3, 0), (3, 7, 3, 0)]);
    assert_eq!(fixture.info().num_redelivered, 2);
}

#[test]
fn acknowledging_a_redelivery_counts_for_the_first_delivery() {
    let mut fixture = waiting(|_| {});
    fixture.publish_many(2);
    fixture.advance_millis(102);
    let again = fixture.last_of(1);
    assert_eq!(again.numbers().1, 3);
    fixture.answer(&again, "");
    assert_eq!(fixture.positions().1, (1, 1));
    fixture.ack(2);
    assert_eq!(fixture.positions(), ((4, 2), (4, 2)));
    assert_eq!(fixture.info().num_redelivered, 0);
}

#[test]
fn backoff_gives_each_redelivery_its_own_wait() {
    let mut fixture = waiting(|config| {
        config.backoff = vec![WAIT, 2 * WAIT, 5 * WAIT];
        config.max_deliver = 5;
    });
    fixture.publish_many(1);
    fixture.take_got();
    let mut delivered = fixture.now;
    for millis in [100, 200, 500, 500] {
        while fixture.take_got().is_empty() {
            fixture.advance_millis(1);
        }
        let waited = fixture.now.saturating_since(delivered);
        let late = waited.checked_sub(Duration::from_millis(millis));
        assert!(late.is_some_and(|late| late <= Duration::from_millis(2)), "{waited:?}");
        delivered = fixture.now;
    }
}

#[test]
fn message_is_given_up_after_its_last_delivery() {
    let mut fixture = waiting(|config| config.max_deliver = 3);
    fixture.publish_many(1);
    fixture.take_events();
    fixture.advance_millis(1_000);
    assert_eq!(fixture.take_got().len(), 3);
    assert_eq!(fixture.take_events(), [Event::MaxDeliver { stream_seq: 1, deliveries: 3 }]);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_redelivered), (0, 1));
    // The floor moves past it with the next acknowledgement.
    fixture.publish_many(1);
    fixture.ack(2);
    assert_eq!(fixture.positions().1, (4, 2));
}

#[test]
fn single_delivery_is_given_up_when_its_wait_ends() {
    let mut fixture = waiting(|config| config.max_deliver = 1);
    fixture.publish_many(2);
    fixture.take_events();
    fixture.advance_millis(102);
    assert_eq!(fixture.take_got().len(), 2);
    let given_up = |stream_seq| Event::MaxDeliver { stream_seq, deliveries: 1 };
    assert_eq!(fixture.take_events(), [given_up(1), given_up(2)]);
    let info = fixture.info();
    // What would only tell of messages that were given up is not told.
    assert_eq!((info.num_ack_pending, info.num_redelivered), (0, 0));
    fixture.publish_many(1);
    assert_eq!(fixture.take_got()[0].numbers(), (3, 3, 1, 0));
    assert_eq!(fixture.info().num_pending, 0);
}

#[test]
fn pull_consumer_gives_up_when_somebody_asks() {
    let mut fixture = Fixture::new(pull(|config| {
        config.ack_wait = WAIT;
        config.max_deliver = 2;
    }));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    fixture.advance_millis(150);
    fixture.pull("r", "1");
    fixture.take_events();
    fixture.advance_millis(150);
    assert_eq!(fixture.info().num_ack_pending, 1);
    assert!(fixture.take_events().is_empty());
    fixture.pull("r", "1");
    assert_eq!(fixture.take_got().len(), 2);
    assert_eq!(fixture.info().num_ack_pending, 0);
    assert_eq!(fixture.take_events(), [Event::MaxDeliver { stream_seq: 1, deliveries: 2 }]);
}

#[test]
fn giving_up_makes_room_for_new_messages() {
    let mut fixture = waiting(|config| {
        config.max_deliver = 1;
        config.max_ack_pending = 2;
    });
    fixture.publish_many(6);
    fixture.advance_millis(1_000);
    assert_eq!(fixture.take_sequences(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn raised_max_deliver_does_not_bring_given_up_messages_back() {
    let mut fixture = waiting(|config| config.max_deliver = 1);
    fixture.publish_many(1);
    fixture.advance_millis(150);
    let mut config = fixture.consumer.config().clone();
    config.max_deliver = 5;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.advance_millis(1_000);
    assert_eq!(fixture.take_got().len(), 1);
    // New messages get what the new number says.
    fixture.publish_many(1);
    fixture.advance_millis(2_000);
    assert_eq!(fixture.take_sequences(), [2; 5]);
}

#[test]
fn failed_delivery_does_not_count() {
    let mut fixture = waiting(|config| config.max_deliver = 2);
    fixture.publish_many(1);
    for _ in 0..3 {
        fixture.turn(|consumer, turn| consumer.delivery_failed(turn, 1.into(), b"deliver"));
        fixture.advance_millis(102);
    }
    let deliveries: Vec<u64> = fixture.take_got().iter().map(|got| got.numbers().2).collect();
    assert_eq!(deliveries, [1, 1, 1, 1]);
    fixture.advance_millis(1_000);
    let deliveries: Vec<u64> = fixture.take_got().iter().map(|got| got.numbers().2).collect();
    assert_eq!(deliveries, [2]);
}

#[test]
fn deleted_message_is_terminated_and_never_delivered_again() {
    let mut fixture = waiting(|_| {});
    fixture.publish_many(3);
    fixture.take_events();
    fixture.take_got();
    fixture.remove(2);
    let delivery = AboutDelivery { consumer_seq: 2, stream_seq: 2, deliveries: 1 };
    let reason = "Unacknowledged message was deleted".to_owned();
    assert_eq!(fixture.take_events(), [Event::Terminated { delivery, reason }]);
    assert_eq!(fixture.info().num_ack_pending, 2);
    fixture.advance_millis(102);
    assert_eq!(fixture.take_sequences(), [1, 3]);
}

#[test]
fn deleted_message_does_not_acknowledge_others_of_an_ack_all_consumer() {
    let mut fixture = waiting(|config| config.ack_policy = AckPolicy::All);
    fixture.publish_many(3);
    fixture.take_got();
    fixture.remove(2);
    assert_eq!(fixture.info().num_ack_pending, 2);
    fixture.advance_millis(102);
    assert_eq!(fixture.take_sequences(), [1, 3]);
    fixture.ack_again(3);
    assert_eq!(fixture.positions().1.1, 3);
}

#[test]
fn deleted_message_is_taken_off_the_redelivery_queue() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = WAIT));
    fixture.publish_many(3);
    fixture.pull("r", "3");
    fixture.take_got();
    fixture.advance_millis(150);
    fixture.remove(1);
    fixture.pull("r", "3");
    assert_eq!(fixture.take_sequences(), [2, 3]);
}

#[test]
fn deleting_a_given_up_message_forgets_it() {
    let mut fixture = waiting(|config| config.max_deliver = 2);
    fixture.publish_many(1);
    fixture.advance_millis(500);
    assert_eq!(fixture.info().num_redelivered, 1);
    fixture.remove(1);
    assert_eq!(fixture.info().num_redelivered, 0);
    assert!(fixture.consumer.store().state().expect("open").redelivered.is_empty());
}

#[test]
fn acknowledging_a_given_up_message_late_forgets_it() {
    let mut fixture = waiting(|config| config.max_deliver = 2);
    fixture.publish_many(1);
    fixture.advance_millis(500);
    fixture.ack(1);
    assert_eq!(fixture.info().num_redelivered, 0);
}

#[test]
fn expired_messages_of_a_pull_consumer_wait_for_a_request() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = WAIT));
    fixture.publish_many(2);
    fixture.pull("r", "2");
    fixture.take_got();
    fixture.advance_millis(5_000);
    assert!(fixture.take_got().is_empty());
    fixture.pull("r", "5");
    assert_eq!(fixture.take_sequences(), [1, 2]);
}

#[test]
fn request_that_cannot_take_a_redelivery_leaves_it_first_in_line() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = WAIT));
    for payload in ["large payload, too large for a small request", "a", "b"] {
        fixture.publish("foo", payload);
    }
    fixture.pull("r", "3");
    fixture.take_got();
    fixture.advance_millis(150);
    fixture.pull("small", r#"{"batch":1,"max_bytes":50,"expires":1000000000}"#);
    assert!(fixture.take_got().is_empty());
    fixture.pull("r", "3");
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(1, 4, 2, 0), (2, 5, 2, 0), (3, 6, 2, 0)]);
}

#[test]
fn shorter_wait_is_looked_at_soon() {
    let mut fixture = waiting(|config| config.ack_wait = 60_000_000_000);
    fixture.publish_many(1);
    fixture.take_got();
    let mut config = fixture.consumer.config().clone();
    config.ack_wait = 50_000_000;
    fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
    fixture.advance_millis(101);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn redelivered_message_is_not_counted_as_pending_again() {
    let mut fixture = waiting(|_| {});
    fixture.publish_many(1);
    fixture.advance_millis(250);
    fixture.publish("foo", "");
    assert_eq!(fixture.info().num_pending, 1);
}

#[test]
fn purge_of_the_stream_forgets_what_was_pending() {
    let mut fixture = waiting(|_| {});
    fixture.publish_many(3);
    fixture.take_got();
    fixture.store.purge().expect("purged");
    fixture.pass_on(None);
    fixture.turn(|consumer, turn| consumer.purged(turn, None));
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));
    fixture.advance_millis(1_000);
    assert!(fixture.take_got().is_empty());
    assert_eq!(fixture.positions(), ((3, 3), (3, 3)));
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [4]);
}

#[test]
fn as_many_backoffs_as_deliveries_are_all_waited_for() {
    let mut fixture = waiting(|config| {
        config.backoff = vec![WAIT, 2 * WAIT, 3 * WAIT];
        config.max_deliver = 3;
    });
    fixture.publish_many(1);
    fixture.take_got();
    fixture.advance_millis(105);
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.advance_millis(190);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(10);
    assert_eq!(fixture.take_sequences(), [1]);
    fixture.take_events();
    fixture.advance_millis(10_000);
    assert!(fixture.take_got().is_empty());
    assert_eq!(fixture.take_events(), [Event::MaxDeliver { stream_seq: 1, deliveries: 3 }]);
}

#[test]
fn short_wait_of_a_new_message_is_not_held_up_by_a_long_one() {
    let mut fixture = waiting(|config| {
        config.backoff = vec![WAIT, 40 * WAIT];
        config.max_deliver = 3;
    });
    fixture.publish_many(1);
    fixture.advance_millis(110);
    assert_eq!(fixture.take_sequences(), [1, 1]);
    // The first message waits for seconds now; the second one does not.
    fixture.publish_many(1);
    fixture.take_got();
    fixture.advance_millis(105);
    assert_eq!(fixture.take_sequences(), [2]);
}

#[test]
fn floor_moves_past_given_up_messages_while_others_are_pending() {
    let mut fixture = Fixture::new(pull(|config| {
        config.ack_wait = WAIT;
        config.max_deliver = 2;
    }));
    fixture.publish_many(3);
    for _ in 0..2 {
        fixture.pull("r", "3");
        fixture.advance_millis(150);
    }
    fixture.publish_many(1);
    fixture.take_got();
    fixture.pull("r", "1");
    assert_eq!(fixture.take_sequences(), [4]);
    let progress = &fixture.consumer.progress;
    assert_eq!((progress.pending.len(), progress.redelivered.len()), (1, 3));
    assert_eq!(progress.floor.stream.get(), 3);
}

#[test]
fn given_up_messages_are_forgotten_when_the_stream_drops_them() {
    let given_up = || {
        let mut fixture = waiting(|config| config.max_deliver = 2);
        fixture.publish_many(5);
        fixture.advance_millis(1_000);
        let state = fixture.consumer.store().state().expect("open");
        assert_eq!((state.redelivered.len(), state.pending.len()), (5, 0));
        fixture
    };
    let is_forgotten = |fixture: &mut Fixture| {
        assert_eq!(fixture.info().num_redelivered, 0);
        assert!(fixture.consumer.store().state().expect("open").redelivered.is_empty());
    };
    let mut fixture = given_up();
    fixture.store.compact(6.into()).expect("compacted");
    fixture.pass_on(None);
    fixture.turn(|consumer, turn| consumer.removed_many(turn));
    is_forgotten(&mut fixture);
    let mut fixture = given_up();
    fixture.store.purge().expect("purged");
    fixture.pass_on(None);
    fixture.turn(|consumer, turn| consumer.purged(turn, None));
    is_forgotten(&mut fixture);
}

#[test]
fn expired_messages_count_as_acknowledged() {
    let store = memory(stream(|config| config.max_age = 2_000_000_000));
    let mut fixture = Fixture::on(store, pull(|config| config.ack_wait = 1_000_000_000));
    fixture.publish_many(100);
    fixture.pull("r", "100");
    fixture.advance_millis(3_000);
    let now = fixture.now;
    fixture.store.tick(now).expect("expired");
    fixture.pass_on(None);
    assert_eq!(fixture.store.fast_state().messages, 0);
    assert_eq!(fixture.positions(), ((100, 100), (100, 100)));
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending, info.num_redelivered), (0, 0, 0));
}

#[test]
fn every_round_of_an_ack_all_consumer_is_in_order() {
    let mut fixture = waiting(|config| config.ack_policy = AckPolicy::All);
    fixture.publish_many(100);
    fixture.advance_millis(450);
    let rounds: Vec<u64> = (0..5).flat_map(|_| 1..=100).collect();
    assert_eq!(fixture.take_sequences(), rounds);
}

#[test]
fn message_refused_ten_times_comes_ten_times() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    for n in 1..=10 {
        fixture.pull("r", "1");
        let got = fixture.take_got().remove(0);
        assert_eq!(got.numbers(), (1, n, n, 0));
        fixture.answer(&got, "-NAK");
    }
}

#[test]
fn given_up_messages_are_reported_where_there_could_be_redeliveries() {
    let mut fixture = Fixture::new(pull(|config| {
        config.ack_wait = WAIT;
        config.max_deliver = 1;
    }));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    let counts = |fixture: &mut Fixture| {
        let info = fixture.info();
        (info.num_ack_pending, info.num_redelivered)
    };
    assert_eq!(counts(&mut fixture), (1, 0));
    fixture.advance_millis(150);
    assert_eq!(counts(&mut fixture), (0, 0));
    for max_deliver in [2, -1] {
        let mut config = fixture.consumer.config().clone();
        config.max_deliver = max_deliver;
        fixture.turn(|consumer, turn| consumer.update_config(turn, config)).expect("allowed");
        assert_eq!(counts(&mut fixture), (0, 1));
    }
}

#[test]
fn pending_messages_are_not_looked_at_more_often_than_they_can_expire() {
    let mut fixture = waiting(|config| {
        config.backoff = vec![WAIT / 2, 5 * WAIT, 20 * WAIT];
        config.max_deliver = 1_000;
    });
    fixture.publish_many(1);
    fixture.advance_millis(560);
    assert_eq!(fixture.take_sequences(), [1, 1, 1]);
    let mut looks = 0;
    let end = fixture.now.saturating_add(Duration::from_millis(1_900));
    while let Some(deadline) = fixture.consumer.next_deadline().filter(|at| *at <= end) {
        fixture.now = deadline;
        fixture.turn(|consumer, turn| consumer.tick(turn));
        looks += 1;
    }
    assert!(looks <= 1, "{looks}");
}

#[test]
fn message_after_a_purge_is_delivered_again() {
    let mut fixture = waiting(|_| {});
    fixture.publish("foo.a", "show once");
    fixture.deliver();
    fixture.store.purge().expect("purged");
    fixture.pass_on(None);
    fixture.turn(|consumer, turn| consumer.purged(turn, None));
    fixture.publish("foo.b", "show twice");
    fixture.deliver();
    fixture.advance_millis(150);
    assert_eq!(fixture.take_sequences(), [1, 2, 2]);
}
