//! Changing a consumer, starting it anew, and changes of its stream (spec 07b §B2.4, §B9, §B11).

use super::*;
use crate::config::DeliverPolicy;
use crate::filter::SubjectFilter;
use crate::store::PurgeRequest;

fn update(fixture: &mut Fixture, change: impl FnOnce(&mut ConsumerConfig)) -> Result<(), String> {
    let mut config = fixture.consumer.config().clone();
    change(&mut config);
    let result = fixture.turn(|consumer, turn| consumer.update_config(turn, config));
    fixture.deliver();
    result.map_err(|error| error.to_string())
}

fn reset(fixture: &mut Fixture, body: &str) -> String {
    let json = fixture.turn(|consumer, turn| consumer.answer_reset(turn, b"", body.as_bytes()));
    fixture.deliver();
    text(&json)
}

fn purge(fixture: &mut Fixture, subject: &str, below: u64, keep: u64) {
    let filter = SubjectFilter::new(subject);
    let request = PurgeRequest { filter, below: below.into(), keep };
    fixture.store.purge_matching(&request).expect("purged");
    fixture.pass_on(None);
    let subject = Some(subject).filter(|subject| !subject.is_empty());
    fixture.turn(|consumer, turn| consumer.purged(turn, subject));
    fixture.deliver();
}

#[test]
fn raised_max_ack_pending_goes_on_at_once() {
    let mut fixture = Fixture::new(push(|config| config.max_ack_pending = 1));
    fixture.publish_many(3);
    assert_eq!(fixture.take_sequences(), [1]);
    update(&mut fixture, |config| config.max_ack_pending = 2).expect("allowed");
    assert_eq!(fixture.take_sequences(), [2]);
}

#[test]
fn changed_filter_counts_anew_and_does_not_go_back() {
    let mut fixture = Fixture::new(pull(|config| config.filter_subject = "a".to_owned()));
    for subject in ["a", "b", "a", "b", "b"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "2");
    assert_eq!(fixture.take_sequences(), [1, 3]);
    update(&mut fixture, |config| config.filter_subject = "b".to_owned()).expect("allowed");
    assert_eq!(fixture.info().num_pending, 2);
    fixture.publish("a", "");
    fixture.publish("b", "");
    assert_eq!(fixture.info().num_pending, 3);
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [4, 5, 7]);
}

#[test]
fn removed_filter_delivers_everything() {
    let mut fixture = Fixture::new(pull(|config| {
        config.filter_subjects = vec!["one".to_owned(), "two".to_owned()];
    }));
    for subject in ["one", "two", "three"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "1");
    update(&mut fixture, |config| config.filter_subjects.clear()).expect("allowed");
    assert_eq!(fixture.info().num_pending, 2);
    fixture.pull("r", "1");
    fixture.pull("r", "1");
    assert_eq!(fixture.take_sequences(), [1, 2, 3]);
}

#[test]
fn changed_filter_asks_an_interest_stream_to_look_again() {
    let store = memory(stream(|config| config.retention = RetentionPolicy::Interest));
    let mut fixture = Fixture::on(store, pull(|config| config.filter_subject = "a".to_owned()));
    fixture.publish("a", "");
    update(&mut fixture, |config| config.filter_subject = "b".to_owned()).expect("allowed");
    let from = StreamSequence::new(1);
    assert_eq!(fixture.others, [ConsumerEffect::InterestChanged { from }]);
}

#[test]
fn changed_deliver_subject_gets_what_is_pending_again() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish_many(2);
    fixture.take_got();
    let in_use = update(&mut fixture, |config| config.deliver_subject = "other".to_owned());
    assert_eq!(in_use, Err("consumer name already in use (10013)".to_owned()));
    fixture.deaf.0.borrow_mut().insert(b"deliver".to_vec());
    update(&mut fixture, |config| config.deliver_subject = "other".to_owned()).expect("allowed");
    let got = fixture.take_got();
    let seen: Vec<_> = got.iter().map(|got| (got.to.as_str(), got.sequence())).collect();
    assert_eq!(seen, [("other", 1), ("other", 2)]);
}

#[test]
fn changed_backoff_is_taken_over() {
    let mut fixture = Fixture::new(push(|config| config.ack_wait = 100_000_000));
    fixture.publish_many(1);
    update(&mut fixture, |config| {
        config.backoff = vec![200_000_000, 400_000_000];
        config.ack_wait = 200_000_000;
    })
    .expect("allowed");
    fixture.take_got();
    fixture.advance_millis(199);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(3);
    assert_eq!(fixture.take_got().len(), 1);
    fixture.advance_millis(390);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(15);
    assert_eq!(fixture.take_got().len(), 1);
}

#[test]
fn what_cannot_change_leaves_everything_as_it_was() {
    let mut fixture = Fixture::new(pull(|_| {}));
    let before = fixture.consumer.config().clone();
    let refused = update(&mut fixture, |config| {
        config.ack_policy = AckPolicy::All;
        config.description = "new".to_owned();
    });
    assert_eq!(refused, Err("ack policy can not be updated (10012)".to_owned()));
    assert_eq!(fixture.consumer.config(), &before);
}

#[test]
fn closed_consumer_cannot_change() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.consumer.stop(START).expect("stopped");
    let refused = update(&mut fixture, |config| config.description = "new".to_owned());
    assert_eq!(refused, Err("consumer does not exist (10149)".to_owned()));
}

#[test]
fn reset_goes_back_to_the_floor() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish_many(4);
    fixture.ack(1);
    fixture.ack(3);
    fixture.take_got();
    let json = reset(&mut fixture, "");
    assert!(json.starts_with(r#"{"type":"io.nats.jetstream.api.v1.consumer_reset_response","stream_name":"S","name":"C","#), "{json}");
    assert!(json.contains(r#""delivered":{"consumer_seq":0,"stream_seq":1},"ack_floor":{"consumer_seq":0,"stream_seq":1},"num_ack_pending":0"#), "{json}");
    assert!(json.contains(r#""_nats.level":"4""#), "{json}");
    assert!(json.ends_with(r#""reset_seq":2}"#), "{json}");
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(2, 1, 1, 2), (3, 2, 1, 1), (4, 3, 1, 0)]);
    fixture.advance_millis(60_000);
    assert_eq!(fixture.take_sequences(), [2, 3, 4]);
}

#[test]
fn reset_goes_where_the_deliver_policy_allows() {
    let sequence = |n| format!(r#"{{"seq":{n}}}"#);
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish_many(5);
    fixture.take_got();
    assert!(reset(&mut fixture, &sequence(4)).ends_with(r#""reset_seq":4}"#));
    assert_eq!(fixture.take_sequences(), [4, 5]);
    assert!(reset(&mut fixture, &sequence(1)).ends_with(r#""reset_seq":1}"#));
    assert_eq!(fixture.take_sequences(), [1, 2, 3, 4, 5]);

    let mut fixture = Fixture::new(push(|config| {
        config.deliver_policy = DeliverPolicy::ByStartSequence;
        config.opt_start_seq = 3;
    }));
    fixture.publish_many(5);
    fixture.take_got();
    let refusal = |text: &str| {
        format!(
            r#"{{"type":"io.nats.jetstream.api.v1.consumer_reset_response","error":{{"code":400,"err_code":10204,"description":"invalid reset: {text}"}},"reset_seq":0}}"#
        )
    };
    assert_eq!(reset(&mut fixture, &sequence(2)), refusal("below start seq"));
    assert!(fixture.take_got().is_empty());
    reset(&mut fixture, &sequence(3));
    assert_eq!(fixture.take_sequences(), [3, 4, 5]);

    let mut fixture = Fixture::new(push(|config| {
        config.deliver_policy = DeliverPolicy::ByStartTime;
        let time = START.saturating_add(Duration::from_secs(1));
        config.opt_start_time = Some(time.to_date_time());
    }));
    fixture.publish_many(2);
    fixture.advance_millis(1_000);
    fixture.publish_many(2);
    assert_eq!(reset(&mut fixture, &sequence(2)), refusal("below start time"));
    assert!(reset(&mut fixture, &sequence(3)).ends_with(r#""reset_seq":3}"#));

    let mut fixture = Fixture::new(push(|config| config.deliver_policy = DeliverPolicy::New));
    assert_eq!(reset(&mut fixture, &sequence(1)), refusal("not allowed"));
}

#[test]
fn reset_requests_are_checked() {
    let mut fixture = Fixture::new(push(|_| {}));
    let error = r#""err_code":10025,"description":"invalid JSON: json: cannot unmarshal string into Go struct field JSApiConsumerResetRequest.seq of type uint64"},"reset_seq":0}"#;
    assert!(reset(&mut fixture, r#"{"seq":"x"}"#).ends_with(error));
    let header = b"NATS/1.0\r\nNats-Required-Api-Level: 99\r\n\r\n";
    let json = fixture.turn(|consumer, turn| consumer.answer_reset(turn, header, b""));
    assert!(text(&json).contains(r#""code":412,"err_code":10185"#));
}

#[test]
fn reset_keeps_requests_that_wait() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", "3");
    fixture.take_got();
    reset(&mut fixture, r#"{"seq":1}"#);
    assert_eq!(fixture.take_sequences(), [1]);
    assert_eq!(fixture.info().num_waiting, 1);
}

#[test]
fn purge_up_to_a_message_forgets_what_was_below() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(10);
    fixture.pull("r", "4");
    fixture.take_got();
    purge(&mut fixture, "", 4, 0);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (1, 6));
    assert_eq!(info.ack_floor.sequence.stream.get(), 3);
    fixture.ack_again(4);
    assert_eq!(fixture.positions().1, (4, 4));
    purge(&mut fixture, "", 8, 0);
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [8, 9, 10]);
}

#[test]
fn purge_of_the_consumers_subject_goes_on_behind_it() {
    let mut fixture = Fixture::new(pull(|config| config.filter_subject = "a".to_owned()));
    for subject in ["a", "b", "a", "a", "b"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "1");
    fixture.take_got();
    purge(&mut fixture, "a", 0, 0);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));
    fixture.publish("a", "");
    fixture.pull("r", "1");
    assert_eq!(fixture.take_sequences(), [6]);
}

#[test]
fn purge_of_some_subjects_leaves_the_others() {
    let mut fixture = Fixture::new(pull(|config| {
        config.filter_subjects = vec!["a".to_owned(), "b".to_owned()];
    }));
    for subject in ["a", "b", "a", "b", "b"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "3");
    fixture.take_got();
    purge(&mut fixture, "a", 0, 0);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (1, 2));
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [4, 5]);
}

#[test]
fn purge_of_a_subject_is_seen_by_a_consumer_without_filter() {
    let mut fixture = Fixture::new(pull(|_| {}));
    for subject in ["a", "b", "a", "b", "a"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "3");
    fixture.take_got();
    purge(&mut fixture, "a", 0, 0);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (1, 1));
    fixture.ack_again(2);
    assert_eq!(fixture.info().num_ack_pending, 0);
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [4]);
}

#[test]
fn purge_of_other_subjects_changes_nothing() {
    let mut fixture = Fixture::new(pull(|config| config.filter_subject = "a".to_owned()));
    for subject in ["a", "b", "a"] {
        fixture.publish(subject, "");
    }
    fixture.pull("r", "1");
    purge(&mut fixture, "b", 0, 0);
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (1, 1));
}

#[test]
fn purge_that_keeps_some_leaves_them_pending() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(10);
    purge(&mut fixture, "", 0, 3);
    assert_eq!(fixture.info().num_pending, 3);
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [8, 9, 10]);
}

#[test]
fn many_removed_messages_are_counted_anew_and_not_awaited() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(10);
    fixture.pull("r", "3");
    fixture.take_got();
    fixture.take_events();
    fixture.store.compact(6.into()).expect("compacted");
    while fixture.store.poll_effect().is_some() {}
    fixture.turn(|consumer, turn| consumer.removed_many(turn));
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 5));
    assert_eq!(fixture.take_events().len(), 3);
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [6, 7, 8, 9, 10]);
}

#[test]
fn info_has_the_form_of_the_api() {
    let mut fixture = Fixture::new(push(|config| config.max_ack_pending = 10));
    let info = fixture.info();
    let json = text(&crate::gojson::to_vec(&info).expect("plain struct"));
    assert_eq!(
        json,
        concat!(
            r#"{"stream_name":"S","name":"C","created":"2023-11-14T22:13:20Z","config":{"durable_name":"C","name":"C","#,
            r#""deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"#,
            r#""replay_policy":"instant","max_ack_pending":10,"deliver_subject":"deliver","num_replicas":0},"#,
            r#""delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0},"#,
            r#""num_ack_pending":0,"num_redelivered":0,"num_waiting":0,"num_pending":0,"push_bound":true,"#,
            r#""ts":"2023-11-14T22:13:20Z"}"#
        )
    );
    let mut fixture = Fixture::new(pull(|config| {
        config.priority_policy = PriorityPolicy::PinnedClient;
        config.priority_groups = vec!["A".to_owned(), "B".to_owned()];
    }));
    let info = fixture.info();
    let json = text(&crate::gojson::to_vec(&info).expect("plain struct"));
    assert!(
        json.ends_with(r#""priority_groups":[{"group":"A","pinned_ts":"0001-01-01T00:00:00Z"}]}"#)
    );
}

#[test]
fn sampling_may_be_switched_on() {
    let mut fixture = Fixture::new(push(|_| {}));
    update(&mut fixture, |config| config.sample_freq = "100%".to_owned()).expect("allowed");
    fixture.publish_many(1);
    fixture.take_events();
    fixture.ack(1);
    assert!(matches!(fixture.take_events()[..], [Event::Acked { .. }]));
}

#[test]
fn consumer_below_the_stream_goes_on_at_its_first_message() {
    let mut fixture = Fixture::new(push(|_| {}));
    fixture.publish_many(10);
    for sequence in 1..=10 {
        fixture.ack(sequence);
    }
    let state = fixture.consumer.store().state().expect("open").clone();
    fixture.consumer.stop(START).expect("stopped");
    fixture.store.compact(1_000_000.into()).expect("compacted");
    while fixture.store.poll_effect().is_some() {}
    let mut new = new_consumer(fixture.consumer.config().clone());
    new.store.update(state).expect("a valid state");
    new.recovering = true;
    let mut turn = Turn { store: &mut *fixture.store, interest: &fixture.deaf, now: START };
    fixture.consumer = Consumer::new(&mut turn, new).expect("a consumer");
    fixture.collect();
    let info = fixture.info();
    assert_eq!(info.num_ack_pending, 0);
    // What was delivered stays what was delivered.
    assert_eq!(info.delivered.sequence.stream.get(), 10);
    assert_eq!(fixture.consumer.progress.next_stream.get(), 1_000_000);
    fixture.take_got();
    fixture.publish_many(1);
    assert_eq!(fixture.take_sequences(), [1_000_000]);
}

#[test]
fn purge_that_keeps_half_of_what_is_pending_keeps_exact_positions() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = 1_000_000_000));
    fixture.publish_many(100);
    fixture.pull("r", "100");
    fixture.take_got();
    purge(&mut fixture, "", 0, 50);
    fixture.advance_millis(2_000);
    let counts = |fixture: &mut Fixture| {
        let info = fixture.info();
        (info.num_ack_pending, info.num_pending, info.num_redelivered)
    };
    assert_eq!((fixture.positions().1, counts(&mut fixture)), ((50, 50), (50, 0, 0)));
    fixture.publish_many(100);
    assert_eq!((fixture.positions().1, counts(&mut fixture)), ((50, 50), (50, 100, 0)));
    fixture.pull("r", "50");
    let got = fixture.take_got();
    assert_eq!(got.len(), 50);
    assert_eq!(fixture.positions(), ((150, 100), (50, 50)));
    assert_eq!(counts(&mut fixture), (50, 100, 50));
    got.iter().for_each(|got| fixture.answer(got, "+ACK"));
    assert_eq!(fixture.positions(), ((150, 100), (150, 100)));
    assert_eq!(counts(&mut fixture), (0, 100, 0));
    fixture.pull("r", "100");
    let got = fixture.take_got();
    got.iter().for_each(|got| fixture.answer(got, "+ACK"));
    assert_eq!(fixture.positions(), ((250, 200), (250, 200)));
    assert_eq!(counts(&mut fixture), (0, 0, 0));
}
