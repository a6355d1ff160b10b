use crate::api_error::{ApiError, ErrorKind};
use crate::config::{DiscardPolicy, StreamConfig};
use crate::stream::context::{BatchCount, BatchLimits, Resources};
use crate::stream::tests::{Bench, START, config, seconds, sequence};
use crate::stream::{Published, StreamContext, StreamEffect};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

const ID: &str = "Nats-Batch-Id";
const SEQUENCE: &str = "Nats-Batch-Sequence";
const COMMIT: &str = "Nats-Batch-Commit";

fn atomic() -> StreamConfig {
    StreamConfig { allow_atomic: true, ..config(&["foo.*"]) }
}

fn fast() -> StreamConfig {
    StreamConfig { allow_batched: true, ..config(&["foo.*"]) }
}

/// Publishes one message of an atomic batch, and gives the text of its answer.
fn add(bench: &mut Bench, id: &str, number: u64, fields: &[(&str, &str)]) -> String {
    add_to(bench, "foo.a", id, number, fields)
}

fn add_to(
    bench: &mut Bench,
    subject: &str,
    id: &str,
    number: u64,
    fields: &[(&str, &str)],
) -> String {
    let number = number.to_string();
    let mut all = vec![(ID, id), (SEQUENCE, number.as_str())];
    all.extend_from_slice(fields);
    let (published, sent) = bench.publish_all(subject, &all, &number, "reply");
    let answers: Vec<&Bytes> = sent
        .iter()
        .filter(|message| message.subject == "reply")
        .map(|message| &message.payload)
        .collect();
    assert_eq!(answers.len(), 1, "{published:?}");
    String::from_utf8(answers[0].to_vec()).expect("text")
}

fn is_error(answer: &str, kind: ErrorKind) {
    let number = format!(r#""err_code":{}"#, kind.err_code());
    assert!(answer.contains(&number), "{answer} is not {kind:?}");
}

fn abandoned(bench: &mut Bench) -> Vec<String> {
    bench
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            StreamEffect::Advisory { subject, json } => {
                assert_eq!(subject, "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S");
                let json = String::from_utf8(json).expect("text");
                Some(json.split_once(r#""batch":"#).expect("a batch").1.to_owned())
            }
            _ => None,
        })
        .collect()
}

#[test]
fn batch_is_stored_as_a_whole_when_it_is_committed() {
    let mut bench = Bench::new(atomic());
    bench.put("foo.z");
    assert_eq!(add(&mut bench, "b", 1, &[]), "");
    assert_eq!(add(&mut bench, "b", 2, &[]), "");
    assert_eq!(bench.held(), [1]);
    assert_eq!(
        add(&mut bench, "b", 3, &[(COMMIT, "1")]),
        r#"{"stream":"S","seq":4,"batch":"b","count":3}"#
    );
    assert_eq!(bench.held(), [1, 2, 3, 4]);
    assert_eq!(
        bench.header_of(4),
        "NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 3\r\nNats-Batch-Commit: 1\r\n\r\n"
    );
    assert_eq!(bench.stream.open_batches(), (0, 0));
}

#[test]
fn batch_can_end_without_a_message_of_its_own() {
    let mut bench = Bench::new(atomic());
    add(&mut bench, "b", 1, &[]);
    add(&mut bench, "b", 2, &[]);
    assert_eq!(
        add(&mut bench, "b", 3, &[(COMMIT, "eob")]),
        r#"{"stream":"S","seq":2,"batch":"b","count":2}"#
    );
    assert_eq!(bench.held(), [1, 2]);
    assert!(bench.header_of(2).ends_with("Nats-Batch-Commit: 1\r\n\r\n"));
    is_error(&add(&mut bench, "c", 1, &[(COMMIT, "eob")]), ErrorKind::AtomicPublishIncompleteBatch);
}

#[test]
fn messages_that_do_not_fit_their_batch_are_refused() {
    let mut bench = Bench::new(config(&["foo.*"]));
    is_error(&add(&mut bench, "b", 1, &[]), ErrorKind::AtomicPublishDisabled);
    let mut bench = Bench::new(atomic());
    let long = "b".repeat(65);
    is_error(&add(&mut bench, &long, 1, &[]), ErrorKind::AtomicPublishInvalidBatchId);
    is_error(&add(&mut bench, "b", 2, &[]), ErrorKind::AtomicPublishIncompleteBatch);
    is_error(&add(&mut bench, "b", 1001, &[]), ErrorKind::AtomicPublishTooLargeBatch);
    is_error(
        &add(&mut bench, "b", 1001, &[(COMMIT, "eob")]),
        ErrorKind::AtomicPublishIncompleteBatch,
    );
    for number in ["", "x", "-1"] {
        let answer = bench.ack("foo.a", &[(ID, "b"), (SEQUENCE, number)], "");
        is_error(&answer, ErrorKind::AtomicPublishMissingSeq);
    }
    let answer = bench.ack("foo.a", &[(ID, "b")], "");
    is_error(&answer, ErrorKind::AtomicPublishMissingSeq);
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn gap_or_unknown_end_drops_the_batch() {
    let mut bench = Bench::new(atomic());
    add(&mut bench, "b", 1, &[]);
    is_error(&add(&mut bench, "b", 3, &[]), ErrorKind::AtomicPublishIncompleteBatch);
    is_error(&add(&mut bench, "b", 2, &[]), ErrorKind::AtomicPublishIncompleteBatch);
    for commit in ["", "2", "unsupported"] {
        add(&mut bench, "b", 1, &[]);
        let answer = add(&mut bench, "b", 2, &[(COMMIT, commit)]);
        is_error(&answer, ErrorKind::AtomicPublishInvalidBatchCommit);
        assert_eq!(bench.stream.open_batches(), (0, 0));
    }
}

#[test]
fn abandoned_batch_is_told_in_both_accounts() {
    let mut bench = Bench::new(atomic());
    bench.publish_all("foo.a", &[(ID, "b"), (SEQUENCE, "1")], "", "");
    let message = |fields: &[(&str, &str)]| crate::stream::Inbound {
        subject: Bytes::from_static(b"foo.a"),
        header: crate::stream::tests::header(fields),
        ..crate::stream::Inbound::default()
    };
    bench.stream.publish(message(&[(ID, "b"), (SEQUENCE, "5")]), START);
    let effects = bench.effects();
    let StreamEffect::SystemAdvisory { json, .. } = &effects[1] else { panic!("{effects:?}") };
    let json = String::from_utf8_lossy(json);
    assert!(
        json.ends_with(r#""account":"$G","stream":"S","batch":"b","reason":"incomplete"}"#),
        "{json}"
    );
    bench.stream.publish(message(&[(ID, "b"), (SEQUENCE, "1")]), START);
    let level = ("Nats-Required-Api-Level", "5");
    bench.stream.publish(message(&[(ID, "b"), (SEQUENCE, "2"), level]), START);
    assert_eq!(abandoned(&mut bench), [r#""b","reason":"unsupported"}"#]);
    for number in 1..=1001 {
        let number = number.to_string();
        bench.stream.publish(message(&[(ID, "b"), (SEQUENCE, &number)]), START);
    }
    assert_eq!(abandoned(&mut bench), [r#""b","reason":"large"}"#]);
    let level = ("Nats-Required-Api-Level", "0");
    let fields = &[(ID, "b"), (SEQUENCE, "1"), level, (COMMIT, "1")];
    assert_eq!(
        bench.stream.publish(message(fields), START),
        Published::Stored(sequence(1)),
        "what is supported is taken off"
    );
    assert!(!bench.header_of(1).contains("Level"));
}

#[test]
fn silent_batch_times_out() {
    let mut bench = Bench::new(atomic());
    add(&mut bench, "b", 1, &[]);
    bench.wait(seconds(9));
    add(&mut bench, "b", 2, &[]);
    bench.wait(seconds(9));
    assert_eq!(bench.stream.open_batches(), (1, 0));
    bench.wait(seconds(2));
    assert_eq!(abandoned(&mut bench), [r#""b","reason":"timeout"}"#]);
    is_error(&add(&mut bench, "b", 3, &[]), ErrorKind::AtomicPublishIncompleteBatch);
}

#[test]
fn batch_may_not_grow_past_its_bound() {
    let batches = BatchLimits { max_messages: 2, ..BatchLimits::default() };
    let mut bench = Bench::with(atomic(), StreamContext { batches, ..StreamContext::default() });
    add(&mut bench, "b", 1, &[]);
    add(&mut bench, "b", 2, &[]);
    let answer = add(&mut bench, "b", 3, &[(COMMIT, "1")]);
    is_error(&answer, ErrorKind::AtomicPublishTooLargeBatch);
    assert!(answer.contains("atomic publish batch is too large: 2"));
    add(&mut bench, "b", 1, &[]);
    add(&mut bench, "b", 2, &[]);
    add(&mut bench, "b", 3, &[(COMMIT, "eob")]);
    assert_eq!(bench.held(), [1, 2]);
}

#[test]
fn open_batches_are_bounded_per_stream_and_server() {
    let batch_count = Arc::new(BatchCount::default());
    let batches = BatchLimits { atomic_per_stream: 2, atomic_total: 3, ..BatchLimits::default() };
    let context =
        || StreamContext { batches, batch_count: batch_count.clone(), ..StreamContext::default() };
    let (mut one, mut other) = (Bench::with(atomic(), context()), Bench::with(atomic(), context()));
    for id in ["a", "b"] {
        assert_eq!(add(&mut one, id, 1, &[]), "");
    }
    let answer = add(&mut one, "c", 1, &[]);
    is_error(&answer, ErrorKind::AtomicPublishTooManyInflight);
    assert!(answer.contains(r#""code":429"#));
    assert_eq!(add(&mut other, "a", 1, &[]), "");
    is_error(&add(&mut other, "b", 1, &[]), ErrorKind::AtomicPublishTooManyInflight);
    add(&mut one, "a", 2, &[(COMMIT, "1")]);
    assert_eq!(add(&mut other, "b", 1, &[]), "");
    drop(one);
    assert_eq!(add(&mut other, "a", 2, &[(COMMIT, "1")]).len(), 44);
    assert_eq!(add(&mut other, "c", 1, &[]), "");
}

/// Commits a batch of these messages, each a subject and fields, and gives the answer.
fn commit(bench: &mut Bench, messages: &[(&str, &[(&str, &str)])]) -> String {
    let mut answer = String::new();
    for (number, (subject, fields)) in (1..).zip(messages) {
        let mut fields = fields.to_vec();
        if number == messages.len() as u64 {
            fields.push((COMMIT, "1"));
        } else {
            assert_eq!(answer, "");
        }
        let text = number.to_string();
        let mut all = vec![(ID, "b"), (SEQUENCE, text.as_str())];
        all.extend_from_slice(&fields);
        answer = bench.ack(subject, &all, "");
    }
    answer
}

#[test]
fn any_broken_rule_drops_the_whole_batch() {
    let last = "Nats-Expected-Last-Sequence";
    let last_of = "Nats-Expected-Last-Subject-Sequence";
    let subject = "Nats-Expected-Last-Subject-Sequence-Subject";
    let id = "Nats-Msg-Id";
    let ok: (&str, &[(&str, &str)]) = ("foo.x", &[]);
    for (messages, kind) in [
        (
            &[ok, ("foo.a", &[("Nats-Expected-Last-Msg-Id", "x")][..])][..],
            ErrorKind::AtomicPublishUnsupportedHeaderBatch,
        ),
        (&[ok, ("foo.a", &[("Nats-Incr", "x")])], ErrorKind::MessageIncrInvalid),
        (&[ok, ("foo.a", &[("Nats-Incr", "1")])], ErrorKind::MessageIncrDisabled),
        (&[ok, ("foo.a", &[("Nats-Expected-Stream", "T")])], ErrorKind::StreamNotMatch),
        (&[ok, ("foo.a", &[("Nats-TTL", "1s")])], ErrorKind::MessageTtlDisabled),
        (&[ok, ("foo.a", &[("Nats-TTL", "soon")])], ErrorKind::MessageTtlDisabled),
        (
            &[("foo.a", &[(id, "1")]), ("foo.b", &[(id, "1")])],
            ErrorKind::AtomicPublishContainsDuplicateMessage,
        ),
        (&[ok, ("foo.b", &[(id, "known")])], ErrorKind::AtomicPublishContainsDuplicateMessage),
        (&[("foo.a", &[(last, "7")])], ErrorKind::StreamWrongLastSequence),
        (&[ok, ("foo.a", &[(last, "2")])], ErrorKind::StreamWrongLastSequenceConstant),
        (&[ok, ("foo.a", &[(last, "1")])], ErrorKind::StreamWrongLastSequence),
        (&[ok, ("foo.x", &[(last_of, "2")])], ErrorKind::StreamWrongLastSequenceConstant),
        (&[ok, ("foo.a", &[(last_of, "2")])], ErrorKind::StreamWrongLastSequence),
        (
            &[
                ("foo.a", &[(last_of, "1"), (subject, "foo.z")]),
                ("foo.b", &[(last_of, "2"), (subject, "foo.z")]),
            ],
            ErrorKind::StreamWrongLastSequence,
        ),
        (
            &[ok, ("foo.a", &[(subject, "foo.z")])],
            ErrorKind::StreamExpectedLastSeqPerSubjectInvalid,
        ),
        (&[ok, ("foo.a", &[("Nats-Schedule", "@every 1h")])], ErrorKind::MessageSchedulesDisabled),
        (&[ok, ("foo.a", &[("Nats-Rollup", "sub")])], ErrorKind::StreamRollupFailed),
    ] {
        let mut bench = Bench::new(atomic());
        bench.put_with("foo.z", &[(id, "known")], "");
        is_error(&commit(&mut bench, messages), kind);
        assert_eq!(bench.held(), [1], "{messages:?}");
        assert_eq!(bench.stream.open_batches(), (0, 0));
    }
}

#[test]
fn expectations_that_hold_let_the_batch_through() {
    let last = "Nats-Expected-Last-Sequence";
    let last_of = "Nats-Expected-Last-Subject-Sequence";
    let subject = "Nats-Expected-Last-Subject-Sequence-Subject";
    let mut bench = Bench::new(atomic());
    bench.put("foo.a");
    bench.put("foo.b");
    let answer = commit(
        &mut bench,
        &[
            ("foo.a", &[(last, "2"), (last_of, "1"), (subject, "foo.a"), ("Nats-Msg-Id", "x")]),
            ("foo.b", &[(last_of, "2"), (subject, "foo.b"), ("Nats-Msg-Id", "y")]),
        ],
    );
    assert_eq!(answer, r#"{"stream":"S","seq":4,"batch":"b","count":2}"#);
    assert!(bench.header_of(3).contains("Nats-Expected-Last-Subject-Sequence: 1\r\n"));
    let answer = commit(&mut bench, &[("foo.a", &[(last, "4")])]);
    assert_eq!(answer, r#"{"stream":"S","seq":5,"batch":"b","count":1}"#);
    let answer = commit(&mut bench, &[("foo.a", &[(last_of, "5")]), ("foo.a", &[])]);
    assert_eq!(answer, r#"{"stream":"S","seq":7,"batch":"b","count":2}"#);
    let again: &[(&str, &str)] = &[(last_of, "7")];
    let answer = commit(&mut bench, &[("foo.a", again), ("foo.a", again)]);
    is_error(&answer, ErrorKind::StreamWrongLastSequenceConstant);
}

#[test]
fn expectation_on_one_subject_may_be_repeated() {
    let last_of = "Nats-Expected-Last-Subject-Sequence";
    let subject = "Nats-Expected-Last-Subject-Sequence-Subject";
    let mut bench = Bench::new(atomic());
    bench.put("foo.z");
    let answer = commit(
        &mut bench,
        &[
            ("foo.a", &[(last_of, "1"), (subject, "foo.z")]),
            ("foo.b", &[(last_of, "1"), (subject, "foo.z")]),
        ],
    );
    assert_eq!(answer, r#"{"stream":"S","seq":3,"batch":"b","count":2}"#);
}

#[test]
fn rollups_in_a_batch_come_first() {
    let rolling = || {
        let mut bench = Bench::new(StreamConfig { allow_rollup_hdrs: true, ..atomic() });
        bench.put("foo.a");
        bench.put("foo.z");
        bench
    };
    let sub: &[(&str, &str)] = &[("Nats-Rollup", "sub")];
    let all: &[(&str, &str)] = &[("Nats-Rollup", "all")];
    let answer = commit(&mut rolling(), &[("foo.a", &[]), ("foo.a", sub)]);
    assert!(answer.contains("batch rollup sub invalid"), "{answer}");
    let answer = commit(&mut rolling(), &[("foo.a", &[]), ("foo.b", all)]);
    assert!(answer.contains("batch rollup all invalid"), "{answer}");
    let mut bench = rolling();
    commit(&mut bench, &[("foo.a", sub), ("foo.a", &[])]);
    assert_eq!(bench.held(), [2, 3, 4]);
    let mut bench = rolling();
    commit(&mut bench, &[("foo.b", all), ("foo.a", &[])]);
    assert_eq!(bench.held(), [3, 4]);
}

#[test]
fn full_stream_counts_the_batch_in() {
    let full = |config: StreamConfig| {
        let mut bench = Bench::new(StreamConfig { discard: DiscardPolicy::New, ..config });
        bench.put("foo.a");
        commit(&mut bench, &[("foo.b", &[]), ("foo.b", &[])])
    };
    assert!(full(StreamConfig { max_msgs: 2, ..atomic() }).contains("maximum messages exceeded"));
    assert!(full(StreamConfig { max_bytes: 150, ..atomic() }).contains("maximum bytes exceeded"));
    let per_subject =
        StreamConfig { max_msgs_per_subject: 1, discard_new_per_subject: true, ..atomic() };
    assert!(full(per_subject).contains("maximum messages per subject exceeded"));
    assert!(full(StreamConfig { max_msgs: 3, ..atomic() }).contains(r#""count":2"#));
}

#[test]
fn counters_in_a_batch_build_on_each_other() {
    let mut bench = Bench::new(StreamConfig { allow_msg_counter: true, ..atomic() });
    bench.put_with("foo.a", &[("Nats-Incr", "10")], "");
    commit(
        &mut bench,
        &[
            ("foo.a", &[("Nats-Incr", "1")]),
            ("foo.b", &[("Nats-Incr", "5")]),
            ("foo.a", &[("Nats-Incr", "2")]),
        ],
    );
    assert_eq!(bench.payload_of(4), r#"{"val":"13"}"#);
    assert_eq!(bench.payload_of(3), r#"{"val":"5"}"#);
    let answer = commit(&mut bench, &[("foo.a", &[("Nats-Incr", "1")]), ("foo.a", &[])]);
    is_error(&answer, ErrorKind::MessageIncrMissing);
}

#[test]
fn schedule_in_a_batch_is_known_to_the_messages_after_it() {
    let mut bench = Bench::new(StreamConfig { allow_msg_schedules: true, ..atomic() });
    let schedule: &[(&str, &str)] =
        &[("Nats-Schedule", "@every 1h"), ("Nats-Schedule-Target", "foo.t")];
    let ends: &[(&str, &str)] = &[("Nats-Schedule-Next", "purge"), ("Nats-Scheduler", "foo.s")];
    let answer = commit(&mut bench, &[("foo.s", &[]), ("foo.t", ends)]);
    is_error(&answer, ErrorKind::MessageSchedulesSchedulerInvalid);
    commit(&mut bench, &[("foo.s", schedule), ("foo.t", ends)]);
    assert_eq!(bench.held(), [2]);
}

struct Room(u64);

impl Resources for Room {
    fn server_exhausted(&self, _storage: crate::config::StorageType) -> bool {
        false
    }

    fn account_allows(
        &self,
        _storage: crate::config::StorageType,
        _replicas: i64,
        bytes: u64,
    ) -> Result<(), ApiError> {
        if bytes > self.0 { Err(ErrorKind::AccountResourcesExceeded.into()) } else { Ok(()) }
    }
}

#[test]
fn account_without_room_for_the_whole_batch_gets_none_of_it() {
    let context = StreamContext { resources: Arc::new(Room(200)), ..StreamContext::default() };
    let mut bench = Bench::with(atomic(), context);
    let answer = commit(&mut bench, &[("foo.a", &[]), ("foo.b", &[]), ("foo.c", &[])]);
    is_error(&answer, ErrorKind::AccountResourcesExceeded);
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn batches_do_not_see_each_other() {
    let mut bench = Bench::new(atomic());
    add(&mut bench, "a", 1, &[]);
    add(&mut bench, "b", 1, &[]);
    bench.put("foo.z");
    add(&mut bench, "b", 2, &[(COMMIT, "1")]);
    assert_eq!(
        add(&mut bench, "a", 2, &[(COMMIT, "1")]),
        r#"{"stream":"S","seq":5,"batch":"a","count":2}"#
    );
}

// Fast batches.

/// Publishes one message of a fast batch, and gives the texts of all answers.
fn send(bench: &mut Bench, place: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let reply = format!("r.{place}.$FI");
    let (_, sent) = bench.publish_all("foo.a", fields, "", &reply);
    sent.into_iter()
        .map(|message| {
            assert_eq!(message.subject, reply);
            String::from_utf8(message.payload.to_vec()).expect("text")
        })
        .collect()
}

fn ack(sequence: u64, messages: u16) -> String {
    format!(r#"{{"type":"ack","seq":{sequence},"msgs":{messages}}}"#)
}

fn end(sequence: u64, count: u64) -> Vec<String> {
    vec![format!(r#"{{"stream":"S","seq":{sequence},"batch":"b","count":{count}}}"#)]
}

#[test]
fn fast_batch_is_acknowledged_now_and_then() {
    let mut bench = Bench::new(fast());
    assert_eq!(send(&mut bench, "b.2.fail.1.0", &[]), [ack(0, 2)]);
    assert_eq!(send(&mut bench, "b.2.fail.2.1", &[]), [ack(2, 2)]);
    assert_eq!(send(&mut bench, "b.2.fail.3.1", &[]), [] as [String; 0]);
    assert_eq!(send(&mut bench, "b.2.fail.4.1", &[]), [ack(4, 2)]);
    assert_eq!(send(&mut bench, "b.2.fail.5.2", &[]), end(5, 5));
    assert_eq!(bench.held(), [1, 2, 3, 4, 5]);
    assert_eq!(bench.stream.open_batches(), (0, 0));
}

#[test]
fn fast_batch_can_end_without_a_message() {
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.fail.1.0", &[]);
    assert_eq!(send(&mut bench, "b.9.fail.2.3", &[]), end(1, 1));
    assert_eq!(send(&mut bench, "b.9.fail.1.2", &[]), end(2, 1), "a batch of one");
    assert_eq!(bench.held(), [1, 2]);
}

#[test]
fn batch_beside_another_works_its_way_up() {
    let mut bench = Bench::new(fast());
    send(&mut bench, "other.9.ok.1.0", &[]);
    assert_eq!(send(&mut bench, "b.5.ok.1.0", &[]), [ack(0, 1), ack(1, 2)]);
    assert_eq!(send(&mut bench, "b.5.ok.2.1", &[]), [] as [String; 0]);
    assert_eq!(send(&mut bench, "b.5.ok.3.1", &[]), [ack(3, 4)]);
}

#[test]
fn gap_is_reported_and_ends_batches_that_allow_none() {
    let gap =
        |expected, received| format!(r#"{{"type":"gap","last_seq":{expected},"seq":{received}}}"#);
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.ok.1.0", &[]);
    assert_eq!(send(&mut bench, "b.9.ok.4.1", &[]), [gap(2, 4)]);
    assert_eq!(send(&mut bench, "b.9.ok.5.2", &[]), end(3, 5));
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.fail.1.0", &[]);
    let mut answers = vec![gap(2, 4)];
    answers.extend(end(1, 1));
    assert_eq!(send(&mut bench, "b.9.fail.4.1", &[]), answers);
    is_error(&send(&mut bench, "b.9.fail.5.1", &[])[0], ErrorKind::BatchPublishUnknownBatchId);
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.ok.1.0", &[]);
    send(&mut bench, "b.9.ok.5.1", &[]);
    assert_eq!(send(&mut bench, "b.9.ok.3.1", &[]), end(2, 5), "going back ends any batch");
    assert_eq!(bench.held(), [1, 2]);
}

#[test]
fn ping_tells_how_far_the_batch_is() {
    let gap = r#"{"type":"gap","last_seq":3,"seq":8}"#;
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.2.ok.1.0", &[]);
    send(&mut bench, "b.2.ok.2.1", &[]);
    assert_eq!(send(&mut bench, "b.2.ok.2.4", &[]), [ack(2, 2)]);
    assert_eq!(send(&mut bench, "b.2.ok.7.4", &[]), [gap.to_owned(), ack(6, 2)]);
    assert_eq!(send(&mut bench, "b.2.ok.8.1", &[]), [ack(8, 2)]);
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.2.fail.1.0", &[]);
    send(&mut bench, "b.2.fail.2.1", &[]);
    let mut answers = vec![gap.to_owned()];
    answers.extend(end(2, 2));
    assert_eq!(send(&mut bench, "b.2.fail.7.4", &[]), answers);
}

#[test]
fn refused_message_is_told_and_ends_batches_that_allow_no_gap() {
    let wrong = &[("Nats-Expected-Stream", "T")][..];
    let told = |number| {
        format!(
            "{{\"type\":\"err\",\"seq\":{number},\"error\":{{\"code\":400,\"err_code\":10060,\
             \"description\":\"expected stream does not match\"}}}}"
        )
    };
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.ok.1.0", &[]);
    assert_eq!(send(&mut bench, "b.9.ok.2.1", wrong), [told(2)]);
    assert_eq!(send(&mut bench, "b.9.ok.3.2", &[]), end(2, 3));
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.fail.1.0", &[]);
    let mut answers = vec![told(2)];
    answers.extend(end(1, 1));
    assert_eq!(send(&mut bench, "b.9.fail.2.1", wrong), answers);
    let mut bench = Bench::new(fast());
    let answers = send(&mut bench, "b.9.fail.1.0", wrong);
    assert_eq!(answers[0], ack(0, 9));
    is_error(&answers[1], ErrorKind::StreamNotMatch);
    assert_eq!((answers.len(), bench.stream.open_batches()), (2, (0, 0)));
}

#[test]
fn error_on_the_committing_message_still_ends_the_batch() {
    let wrong = &[("Nats-Expected-Last-Sequence", "100")][..];
    for (gap, commit) in [("fail", 2), ("ok", 2), ("ok", 3)] {
        let mut bench = Bench::new(fast());
        assert_eq!(send(&mut bench, &format!("b.0.{gap}.1.0"), &[]), [ack(0, 10)]);
        let mut answers = send(&mut bench, &format!("b.0.{gap}.{commit}.2"), wrong);
        if commit == 3 {
            assert_eq!(answers.remove(0), r#"{"type":"gap","last_seq":2,"seq":3}"#);
        }
        assert!(answers[0].starts_with(&format!(r#"{{"type":"err","seq":{commit},"#)));
        assert!(answers[0].contains("wrong last sequence: 1"));
        assert_eq!(answers[1..], end(1, commit - 1));
        assert_eq!(bench.stream.open_batches(), (0, 0));
    }
}

#[test]
fn batch_of_repetitions_that_fails_ends_with_sequence_zero() {
    let mut bench = Bench::new(fast());
    bench.put_with("foo.z", &[("Nats-Msg-Id", "x")], "");
    assert_eq!(send(&mut bench, "b.2.fail.1.0", &[("Nats-Msg-Id", "x")]), [ack(0, 2)]);
    let answers = send(&mut bench, "b.2.fail.2.1", &[("Nats-Expected-Last-Sequence", "100")]);
    assert!(answers[0].starts_with(r#"{"type":"err","seq":2,"#));
    assert_eq!(answers[1..], end(0, 1));
}

#[test]
fn every_message_of_a_batch_may_be_a_repetition() {
    let id = [("Nats-Msg-Id", "x")];
    let mut bench = Bench::new(fast());
    bench.put_with("foo.z", &id, "");
    assert_eq!(send(&mut bench, "b.3.fail.1.0", &id), [ack(0, 3)]);
    assert_eq!(send(&mut bench, "b.3.fail.2.1", &id), [] as [String; 0]);
    assert_eq!(send(&mut bench, "b.3.fail.3.1", &id), [ack(3, 3)]);
    assert_eq!(send(&mut bench, "b.3.fail.4.1", &id), [] as [String; 0]);
    assert_eq!(send(&mut bench, "b.3.fail.5.2", &id), end(0, 5));
    // The first message is stored, the second repeats it.
    let id = [("Nats-Msg-Id", "y")];
    send(&mut bench, "b.9.fail.1.0", &id);
    send(&mut bench, "b.9.fail.2.1", &id);
    assert_eq!(send(&mut bench, "b.9.fail.3.3", &[]), end(2, 2));
}

#[test]
fn number_that_cannot_be_counted_on_from_is_refused() {
    for operation in [2, 3] {
        let mut bench = Bench::new(fast());
        assert_eq!(send(&mut bench, "b.1.ok.1.0", &[]), [ack(0, 1), ack(1, 1)]);
        let last = u64::MAX - 1;
        let gap = format!(r#"{{"type":"gap","last_seq":2,"seq":{last}}}"#);
        assert_eq!(send(&mut bench, &format!("b.1.ok.{last}.1"), &[]), [gap, ack(last, 1)]);
        let answers = send(&mut bench, &format!("b.1.ok.{}.{operation}", u64::MAX), &[]);
        is_error(&answers[0], ErrorKind::BatchPublishInvalidPattern);
    }
}

#[test]
fn fast_batches_are_bounded_over_all_streams() {
    let batch_count = Arc::new(BatchCount::default());
    let batches = BatchLimits { fast_total: 1, ..BatchLimits::default() };
    let context =
        || StreamContext { batches, batch_count: batch_count.clone(), ..StreamContext::default() };
    let (mut one, mut other) = (Bench::with(fast(), context()), Bench::with(fast(), context()));
    send(&mut one, "b.9.ok.1.0", &[]);
    is_error(&send(&mut other, "b.9.ok.1.2", &[])[0], ErrorKind::BatchPublishTooManyInflight);
    one.wait(seconds(11));
    is_error(&send(&mut one, "b.9.ok.2.2", &[])[0], ErrorKind::BatchPublishUnknownBatchId);
    assert_eq!(send(&mut other, "b.9.ok.1.2", &[]), end(1, 1));
}

#[test]
fn repeated_ids_count_as_stored() {
    let id = |id: &'static str| [("Nats-Msg-Id", id)];
    let mut bench = Bench::new(fast());
    bench.put_with("foo.z", &id("x"), "");
    send(&mut bench, "b.2.ok.1.0", &id("y"));
    assert_eq!(send(&mut bench, "b.2.ok.2.1", &id("x")), [ack(2, 2)]);
    assert_eq!(send(&mut bench, "b.2.ok.3.2", &id("z")), end(3, 3));
    let mut bench = Bench::new(fast());
    bench.put_with("foo.z", &id("x"), "");
    send(&mut bench, "b.9.ok.1.0", &id("x"));
    assert_eq!(send(&mut bench, "b.9.ok.2.3", &[]), end(0, 1), "nothing but repetitions");
    assert_eq!(
        send(&mut bench, "b.9.fail.1.2", &id("x")),
        [r#"{"stream":"S","seq":1,"duplicate": true,"batch":"b","count":1}"#]
    );
}

#[test]
fn fast_batch_is_refused_in_order() {
    let mut bench = Bench::new(config(&["foo.*"]));
    is_error(&send(&mut bench, "b.9.x.1.0", &[])[0], ErrorKind::BatchPublishDisabled);
    let mut bench = Bench::new(fast());
    is_error(&send(&mut bench, "b.9.x.1.0", &[])[0], ErrorKind::BatchPublishInvalidPattern);
    let long = format!("{}.9.ok.1.0", "b".repeat(65));
    is_error(&send(&mut bench, &long, &[])[0], ErrorKind::BatchPublishInvalidBatchId);
    is_error(&send(&mut bench, "b.9.ok.2.1", &[])[0], ErrorKind::BatchPublishUnknownBatchId);
    let level = [("Nats-Required-Api-Level", "5")];
    is_error(&send(&mut bench, "b.9.ok.1.0", &level)[0], ErrorKind::RequiredApiLevel);
    let level = [("Nats-Required-Api-Level", "4"), ("A", "b")];
    send(&mut bench, "b.9.ok.1.0", &level);
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nA: b\r\n\r\n");
    let batches = BatchLimits { fast_per_stream: 1, ..BatchLimits::default() };
    let mut bench = Bench::with(fast(), StreamContext { batches, ..StreamContext::default() });
    send(&mut bench, "b.9.ok.1.0", &[]);
    is_error(&send(&mut bench, "c.9.ok.1.0", &[])[0], ErrorKind::BatchPublishTooManyInflight);
}

#[test]
fn silent_fast_batch_is_forgotten_without_a_word() {
    let mut bench = Bench::new(fast());
    send(&mut bench, "b.9.ok.1.0", &[]);
    for number in 2..5 {
        bench.wait(seconds(9));
        send(&mut bench, &format!("b.9.ok.{number}.1"), &[]);
        assert_eq!(bench.stream.open_batches(), (0, 1), "every message gives it more time");
    }
    bench.wait(seconds(11));
    assert_eq!(bench.effects(), []);
    assert_eq!(bench.stream.open_batches(), (0, 0));
    is_error(&send(&mut bench, "b.9.ok.5.1", &[])[0], ErrorKind::BatchPublishUnknownBatchId);
    assert_eq!(send(&mut bench, "b.1000.ok.1.0", &[]), [ack(0, 500)], "no larger interval");
}

#[test]
fn fast_batch_on_a_stream_without_acks_still_gets_flow_control() {
    let mut bench = Bench::new(StreamConfig { no_ack: true, ..fast() });
    assert_eq!(send(&mut bench, "b.2.ok.1.0", &[]), [] as [String; 0]);
    assert_eq!(send(&mut bench, "b.2.ok.2.1", &[]), [ack(2, 2)]);
    assert_eq!(send(&mut bench, "b.2.ok.5.4", &[])[0], r#"{"type":"gap","last_seq":3,"seq":6}"#);
}

#[test]
fn batched_message_for_nobody_is_counted() {
    let interest = crate::config::RetentionPolicy::Interest;
    let mut bench = Bench::new(StreamConfig { retention: interest, ..fast() });
    send(&mut bench, "b.9.ok.1.0", &[]);
    assert_eq!(send(&mut bench, "b.9.ok.2.2", &[]), end(2, 2));
    assert_eq!(bench.stream.state().messages, 0);
}

proptest! {
    /// Whatever is sent in whatever order, a stream holds whole batches, one after the other.
    #[test]
    fn atomic_batches_are_whole_or_not_there(
        steps in prop::collection::vec((0_usize..3, 1_u64..5, 0_u8..4), 1..60),
    ) {
        let mut bench = Bench::new(atomic());
        let mut next = [1; 3];
        let mut committed = 0;
        for (batch, number, end) in steps {
            // Mostly the number that comes next, now and then any.
            let number = if end == 3 { number } else { next[batch] };
            let fields: &[(&str, &str)] = match end {
                1 => &[(COMMIT, "1")],
                2 => &[(COMMIT, "eob")],
                _ => &[],
            };
            let id = ["x", "y", "z"][batch];
            let answer = add(&mut bench, id, number, fields);
            if answer.is_empty() {
                next[batch] = number + 1;
            } else {
                next[batch] = 1;
                if !answer.contains("error") {
                    committed += if end == 2 { number - 1 } else { number };
                    let expected = format!(r#"{{"stream":"S","seq":{committed},"batch":"{id}","#);
                    prop_assert!(answer.starts_with(&expected), "{}", answer);
                }
            }
            prop_assert_eq!(bench.stream.last_sequence(), sequence(committed));
        }
        let mut inside = None;
        for number in 1..=committed {
            let header = bench.header_of(number);
            let value = |name| crate::headers::value(header.as_bytes(), name).map(<[u8]>::to_vec);
            let (id, place) = (value(ID), value(SEQUENCE).expect("there"));
            let place: u64 = String::from_utf8(place).expect("text").parse().expect("a number");
            match &inside {
                None => prop_assert_eq!(place, 1),
                Some((current, last)) => {
                    prop_assert_eq!(&id, current);
                    prop_assert_eq!(place, last + 1);
                }
            }
            inside = if value(COMMIT).is_some() { None } else { Some((id, place)) };
        }
        prop_assert!(inside.is_none(), "the last batch is whole");
    }

    /// Whatever is sent, the stream counts what it stores, and acknowledgements never go back.
    #[test]
    fn fast_batches_acknowledge_no_more_than_was_sent(
        steps in prop::collection::vec((1_u64..12, 0_u8..5, any::<bool>()), 1..60),
    ) {
        let mut bench = Bench::new(fast());
        let mut highest = 0;
        for (number, operation, gap_ok) in steps {
            let gap = if gap_ok { "ok" } else { "fail" };
            let before = bench.stream.last_sequence();
            let reply = format!("r.b.3.{gap}.{number}.{operation}.$FI");
            let (published, sent) = bench.publish_all("foo.a", &[], "", &reply);
            let stored = u64::from(matches!(published, Published::Stored(_)));
            prop_assert_eq!(bench.stream.last_sequence().get(), before.get() + stored);
            for message in sent {
                let json: serde_json::Value =
                    serde_json::from_slice(&message.payload).expect("json");
                if json["type"] == "ack" {
                    let acknowledged = json["seq"].as_u64().expect("a number");
                    prop_assert!(acknowledged <= 12);
                    prop_assert!(acknowledged >= highest || acknowledged == 0);
                    highest = acknowledged;
                } else {
                    highest = 0;
                }
            }
        }
    }
}
