//! Which messages streams keep for a consumer (spec 07a §A6, spec 07b §B4, §B5.5).

use super::*;

fn retaining(retention: RetentionPolicy, config: ConsumerConfig) -> Fixture {
    Fixture::on(memory(stream(|stream| stream.retention = retention)), config)
}

/// The messages the stream was told of.
fn acked(fixture: &mut Fixture) -> Vec<(u64, u64)> {
    let range = |effect: ConsumerEffect| match effect {
        ConsumerEffect::Acked { first, last } => Some((first.get(), last.get())),
        _ => None,
    };
    std::mem::take(&mut fixture.others).into_iter().filter_map(range).collect()
}

fn needed(fixture: &Fixture, subject: &str, up_to: u64) -> Vec<u64> {
    (1..=up_to).filter(|n| fixture.consumer.needs((*n).into(), subject.as_bytes())).collect()
}

#[test]
fn acknowledged_messages_are_told_one_by_one() {
    let mut fixture = retaining(RetentionPolicy::WorkQueue, push(|_| {}));
    fixture.publish_many(3);
    fixture.ack(2);
    fixture.answer(&fixture.last_of(1), "+TERM");
    assert_eq!(acked(&mut fixture), [(2, 2), (1, 1)]);
    fixture.answer(&fixture.last_of(3), "-NAK");
    fixture.answer(&fixture.last_of(3), "+WPI");
    assert!(acked(&mut fixture).is_empty());
    assert_eq!(needed(&fixture, "foo", 5), [3, 4, 5]);
}

#[test]
fn streams_with_limits_are_not_told() {
    let mut fixture = retaining(RetentionPolicy::Limits, push(|_| {}));
    fixture.publish_many(1);
    fixture.ack(1);
    assert!(fixture.others.is_empty());
}

#[test]
fn acknowledging_all_tells_what_was_pending_only() {
    let config = push(|config| {
        config.ack_policy = AckPolicy::All;
        config.filter_subject = "a".to_owned();
    });
    let mut fixture = retaining(RetentionPolicy::Interest, config);
    for subject in ["a", "a", "b", "a", "a", "a"] {
        fixture.publish(subject, "");
    }
    fixture.deliver();
    fixture.answer(&fixture.last_of(5), "");
    assert_eq!(acked(&mut fixture), [(1, 2), (4, 5)]);
    assert_eq!(needed(&fixture, "a", 7), [6, 7]);
    assert!(needed(&fixture, "b", 7).is_empty());
}

#[test]
fn without_acknowledgements_a_delivery_is_told() {
    let config = push(|config| config.ack_policy = AckPolicy::None);
    let mut fixture = retaining(RetentionPolicy::Interest, config);
    fixture.publish("foo", "");
    assert_eq!(needed(&fixture, "foo", 2), [1, 2]);
    fixture.deliver();
    assert_eq!(acked(&mut fixture), [(1, 1)]);
    assert_eq!(needed(&fixture, "foo", 2), [2]);
}

#[test]
fn given_up_messages_are_kept() {
    let mut fixture = retaining(
        RetentionPolicy::WorkQueue,
        push(|config| {
            config.max_deliver = 1;
            config.ack_wait = 100_000_000;
        }),
    );
    fixture.publish_many(2);
    fixture.advance_millis(150);
    assert!(acked(&mut fixture).is_empty());
    assert_eq!(needed(&fixture, "foo", 2), [1, 2]);
    fixture.ack(1);
    assert_eq!(acked(&mut fixture), [(1, 1)]);
    assert_eq!(needed(&fixture, "foo", 2), [2]);
}

#[test]
fn review_tells_what_went_unheard_once() {
    let mut fixture =
        retaining(RetentionPolicy::Interest, push(|config| config.filter_subject = "a".to_owned()));
    for subject in ["a", "b", "a", "a", "a"] {
        fixture.publish(subject, "");
    }
    fixture.deliver();
    for sequence in [1, 3, 5] {
        fixture.ack(sequence);
    }
    acked(&mut fixture);
    fixture.turn(|consumer, turn| consumer.review_interest(turn));
    assert_eq!(acked(&mut fixture), [(1, 1), (3, 3), (5, 5)]);
    fixture.turn(|consumer, turn| consumer.review_interest(turn));
    assert_eq!(acked(&mut fixture), [(5, 5)]);
    fixture.ack(4);
    acked(&mut fixture);
    fixture.turn(|consumer, turn| consumer.review_interest(turn));
    assert_eq!(acked(&mut fixture), [(4, 4), (5, 5)]);
}

#[test]
fn reset_forward_tells_what_is_left_behind() {
    let mut fixture = retaining(RetentionPolicy::Interest, pull(|_| {}));
    fixture.publish_many(4);
    let result = fixture.turn(|consumer, turn| consumer.reset(turn, Some(4.into())));
    assert_eq!(result, Ok(4.into()));
    assert_eq!(acked(&mut fixture), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(needed(&fixture, "foo", 5), [4, 5]);
}

#[test]
fn message_that_is_acknowledged_and_removed_does_not_count_twice() {
    let mut fixture = retaining(RetentionPolicy::WorkQueue, pull(|_| {}));
    fixture.publish_many(3);
    fixture.pull("r", "2");
    fixture.ack(2);
    fixture.remove(2);
    assert_eq!(fixture.info().num_pending, 1);
    assert_eq!(fixture.info().num_ack_pending, 1);
}
