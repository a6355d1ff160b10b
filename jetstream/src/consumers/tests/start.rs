//! Where consumers start (spec 07b §B2.7).

use super::*;
use crate::config::DeliverPolicy;

/// Messages of subjects `a`, `b`, `a`, `b`, `c`, a second apart; the first two are gone.
fn filled() -> Box<dyn Store> {
    let mut store = memory(stream(|_| {}));
    for (n, subject) in ["x", "x", "a", "b", "a", "b", "c"].into_iter().enumerate() {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        let at = START.saturating_add(Duration::from_secs(n as u64));
        store.store_message(message, at).expect("stored");
    }
    for sequence in [1, 2] {
        store.remove(sequence.into()).expect("removed");
    }
    while store.poll_effect().is_some() {}
    store
}

/// The positions a new consumer tells, and what it delivers.
fn started(store: Box<dyn Store>, change: impl FnOnce(&mut ConsumerConfig)) -> (u64, Vec<u64>) {
    let mut fixture = Fixture::on(store, push(change));
    let info = fixture.info();
    let position = info.delivered.sequence;
    assert_eq!(position, info.ack_floor.sequence);
    assert_eq!(position.consumer.get(), 0);
    let pending = info.num_pending;
    fixture.deliver();
    let delivered = fixture.take_sequences();
    assert_eq!(pending, delivered.len() as u64);
    (position.stream.get(), delivered)
}

#[test]
fn every_policy_has_its_start() {
    let all = |_: &mut ConsumerConfig| {};
    assert_eq!(started(filled(), all), (2, vec![3, 4, 5, 6, 7]));
    let last = |config: &mut ConsumerConfig| config.deliver_policy = DeliverPolicy::Last;
    assert_eq!(started(filled(), last), (6, vec![7]));
    let last_of = |config: &mut ConsumerConfig| {
        config.deliver_policy = DeliverPolicy::Last;
        config.filter_subjects = vec!["a".to_owned(), "x".to_owned()];
    };
    assert_eq!(started(filled(), last_of), (4, vec![5]));
    let new = |config: &mut ConsumerConfig| config.deliver_policy = DeliverPolicy::New;
    assert_eq!(started(filled(), new), (7, vec![]));
    let per_subject = |config: &mut ConsumerConfig| {
        config.deliver_policy = DeliverPolicy::LastPerSubject;
        config.filter_subject = ">".to_owned();
    };
    assert_eq!(started(filled(), per_subject), (4, vec![5, 6, 7]));
}

#[test]
fn start_sequence_is_raised_to_the_first_message_but_may_lie_ahead() {
    for (sequence, position, delivered) in
        [(1, 2, vec![3, 4, 5, 6, 7]), (5, 4, vec![5, 6, 7]), (100, 99, vec![])]
    {
        let by_sequence = |config: &mut ConsumerConfig| {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = sequence;
        };
        assert_eq!(started(filled(), by_sequence), (position, delivered), "{sequence}");
    }
}

#[test]
fn start_time_finds_the_first_message_at_or_after_it() {
    for (seconds, filter, position, delivered) in [
        (0, "", 2, vec![3, 4, 5, 6, 7]),
        (4, "", 4, vec![5, 6, 7]),
        (60, "", 7, vec![]),
        (4, "b", 4, vec![6]),
        (3, "b", 3, vec![4, 6]),
    ] {
        let by_time = |config: &mut ConsumerConfig| {
            config.deliver_policy = DeliverPolicy::ByStartTime;
            let time = START.saturating_add(Duration::from_secs(seconds));
            config.opt_start_time = Some(time.to_date_time());
            config.filter_subject = filter.to_owned();
        };
        assert_eq!(started(filled(), by_time), (position, delivered), "{seconds} {filter}");
    }
}

#[test]
fn empty_stream_starts_at_its_first_message() {
    for policy in [DeliverPolicy::All, DeliverPolicy::Last, DeliverPolicy::New] {
        let store = memory(stream(|_| {}));
        let change = |config: &mut ConsumerConfig| config.deliver_policy = policy;
        assert_eq!(started(store, change), (0, vec![]), "{policy:?}");
    }
    let mut fixture = Fixture::new(push(|config| config.deliver_policy = DeliverPolicy::New));
    fixture.publish_many(2);
    assert_eq!(fixture.take_sequences(), [1, 2]);
}

#[test]
fn start_sequence_ahead_of_an_empty_stream_is_waited_for() {
    let mut fixture = Fixture::new(push(|config| {
        config.deliver_policy = DeliverPolicy::ByStartSequence;
        config.opt_start_seq = 3;
    }));
    fixture.publish_many(4);
    assert_eq!(fixture.take_sequences(), [3, 4]);
}

#[test]
fn mirrors_do_not_wait_for_what_the_stream_has_not_reached() {
    let mut fixture = Fixture::new(push(|config| {
        config.durable_name.clear();
        config.direct = true;
        config.ack_policy = AckPolicy::None;
        config.deliver_policy = DeliverPolicy::ByStartSequence;
        config.opt_start_seq = 50;
    }));
    fixture.publish_many(2);
    assert_eq!(fixture.take_sequences(), [1, 2]);
}

#[test]
fn one_message_per_subject_makes_last_per_subject_an_ordinary_start() {
    let mut store = memory(stream(|config| config.max_msgs_per_subject = 1));
    for subject in ["a", "b", "a"] {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    while store.poll_effect().is_some() {}
    let per_subject = |config: &mut ConsumerConfig| {
        config.deliver_policy = DeliverPolicy::LastPerSubject;
        config.filter_subject = ">".to_owned();
    };
    let mut fixture = Fixture::on(store, push(per_subject));
    assert!(fixture.consumer.skip_list.is_none());
    assert_eq!(fixture.info().num_pending, 2);
    fixture.deliver();
    assert_eq!(fixture.take_sequences(), [2, 3]);
}

#[test]
fn start_time_with_several_filters_begins_at_the_first_message_of_any() {
    let mut store = memory(stream(|_| {}));
    for subject in ["foo", "bar", "baz", "biz", "faz", "foo", "biz"] {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    while store.poll_effect().is_some() {}
    let past = START.saturating_sub(Duration::from_secs(90));
    let future = START.saturating_add(Duration::from_secs(60));
    for (filters, time, pending, position) in [
        (&["foo"][..], past, 2, 0),
        (&["foo", "bar", "baz"], past, 4, 0),
        (&["bar", "baz"], past, 2, 1),
        (&["foo", "biz"], past, 4, 0),
        (&["foo", "biz"], future, 0, 7),
    ] {
        let config = checked(
            pull(|config| {
                config.filter_subjects = filters.iter().map(|f| (*f).to_owned()).collect();
                config.deliver_policy = DeliverPolicy::ByStartTime;
                config.opt_start_time = Some(time.to_date_time());
            }),
            store.config(),
        );
        let deaf = Deaf::default();
        let mut turn = Turn { store: &mut *store, interest: &deaf, now: START };
        let mut consumer = Consumer::new(&mut turn, new_consumer(config)).expect("a consumer");
        let info = consumer.info(&mut turn);
        assert_eq!((info.num_pending, info.delivered.sequence.stream.get()), (pending, position));
    }
}
