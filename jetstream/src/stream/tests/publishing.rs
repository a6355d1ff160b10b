use super::*;
use crate::api_error::ErrorKind;
use crate::config::{RePublish, SubjectTransformConfig};
use crate::stream::context::Resources;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ID: &str = "Nats-Msg-Id";
const LAST: &str = "Nats-Expected-Last-Sequence";
const LAST_OF_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence";
const OTHER_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

#[test]
fn message_is_stored_answered_and_told_to_consumers() {
    let mut bench = Bench::new(config(&["foo.*"]));
    let message = Inbound {
        subject: Bytes::from_static(b"foo.a"),
        reply: Bytes::from_static(b"_INBOX.1"),
        payload: Bytes::from_static(b"hello"),
        ..Inbound::default()
    };
    assert_eq!(bench.stream.publish(message, START), Published::Stored(sequence(1)));
    assert_eq!(
        bench.effects(),
        [
            StreamEffect::Stored { sequence: sequence(1), subject: Bytes::from_static(b"foo.a") },
            StreamEffect::Send(Outbound {
                subject: Bytes::from_static(b"_INBOX.1"),
                payload: Bytes::from_static(br#"{"stream":"S","seq":1}"#),
                ..Outbound::default()
            }),
            StreamEffect::Usage { delta: 5 + 5 + 16 },
        ]
    );
    assert_eq!(bench.payload_of(1), "hello");
}

#[test]
fn answers_wait_until_what_they_speak_of_is_durable() {
    let mut bench = Bench::new(config(&["foo"]));
    let publish = |bench: &mut Bench, id: &str| {
        let message = Inbound {
            subject: Bytes::from_static(b"foo"),
            reply: Bytes::from_static(b"r"),
            header: header(&[(ID, id)]),
            ..Inbound::default()
        };
        bench.stream.publish(message, START)
    };
    let sends = |bench: &mut Bench| {
        std::iter::from_fn(|| bench.stream.poll_effect())
            .filter(|effect| matches!(effect, StreamEffect::Send(_)))
            .count()
    };
    publish(&mut bench, "a");
    publish(&mut bench, "b");
    // The repeated message is only as durable as the one it repeats.
    assert_eq!(publish(&mut bench, "b"), Published::Duplicate(sequence(2)));
    assert_eq!(sends(&mut bench), 0);
    assert!(bench.stream.is_holding_answers());
    bench.stream.committed(sequence(1));
    assert_eq!(sends(&mut bench), 1);
    bench.stream.committed(sequence(2));
    assert_eq!(sends(&mut bench), 2);
    assert!(!bench.stream.is_holding_answers());
}

#[test]
fn nothing_is_answered_without_reply_or_by_streams_without_acks() {
    let mut bench = Bench::new(config(&["foo"]));
    assert_eq!(bench.publish_all("foo", &[], "", "").1, []);
    assert_eq!(bench.publish_all("foo", &[(LAST, "9")], "", "").1, []);
    let mut bench = Bench::new(StreamConfig { no_ack: true, ..config(&["foo"]) });
    assert_eq!(bench.publish_all("foo", &[], "", "reply").1, []);
    assert_eq!(bench.publish_all("foo", &[(LAST, "9")], "", "reply").1, []);
    assert_eq!(bench.held(), [1]);
}

#[test]
fn acknowledgement_names_the_domain() {
    let context = StreamContext { domain: Some("hub".to_owned()), ..StreamContext::default() };
    let mut bench = Bench::with(config(&["foo"]), context);
    assert_eq!(bench.ack("foo", &[(ID, "a")], ""), r#"{"stream":"S","domain":"hub","seq":1}"#);
    assert_eq!(
        bench.ack("foo", &[(ID, "a")], ""),
        r#"{"stream":"S","domain":"hub","seq":1,"duplicate": true}"#
    );
}

#[test]
fn status_and_request_info_are_not_stored() {
    let mut bench = Bench::new(config(&["foo"]));
    let message = Inbound {
        subject: Bytes::from_static(b"foo"),
        header: Bytes::from_static(
            b"NATS/1.0 503 No\r\nA: b\r\nNats-Request-Info: {\"acc\":\"A\"}\r\n\r\n",
        ),
        ..Inbound::default()
    };
    bench.stream.publish(message, START);
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nA: b\r\n\r\n");
}

#[test]
fn repeated_id_is_answered_with_the_first_sequence_until_the_window_closes() {
    let mut bench =
        Bench::new(StreamConfig { duplicate_window: 2_000_000_000, ..config(&["foo", "bar"]) });
    bench.put_with("foo", &[(ID, "a")], "");
    assert_eq!(bench.ack("bar", &[(ID, "a")], ""), r#"{"stream":"S","seq":1,"duplicate": true}"#);
    bench.wait(seconds(1));
    assert_eq!(bench.stream.message_ids(), 1);
    bench.wait(seconds(1));
    assert_eq!(bench.stream.message_ids(), 0);
    assert_eq!(bench.ack("foo", &[(ID, "a")], ""), r#"{"stream":"S","seq":2}"#);
}

#[test]
fn ids_are_known_again_after_a_restart() {
    let mut bench =
        Bench::new(StreamConfig { duplicate_window: 5_000_000_000, ..config(&["foo"]) });
    bench.put_with("foo", &[(ID, "old")], "");
    bench.wait(seconds(4));
    bench.put_with("foo", &[(ID, "new")], "");
    bench.wait(seconds(2));
    let now = bench.now;
    bench.stream.start(now);
    assert_eq!(bench.stream.message_ids(), 1);
    let (published, _) = bench.publish_all("foo", &[(ID, "new")], "", "");
    assert_eq!(published, Published::Duplicate(sequence(2)));
    let id = "Nats-Expected-Last-Msg-Id";
    assert_eq!(bench.error("foo", &[(id, "x")], "").description, "wrong last msg ID: new");
    bench.put_with("foo", &[(id, "new")], "");
}

#[test]
fn ids_that_contain_other_ids_are_told_apart() {
    let mut bench = Bench::new(config(&["foo"]));
    for (number, id) in (1..).zip(["1", "11", "111", "1 1", "Nats-Msg-Id"]) {
        assert_eq!(bench.put_with("foo", &[("X-Nats-Msg-Id", "1"), (ID, id)], ""), number);
    }
}

#[test]
fn expectations_are_compared_with_what_is_stored() {
    let mut bench = Bench::new(config(&["foo.*"]));
    bench.put_with("foo.a", &[(LAST, "0"), (LAST_OF_SUBJECT, "0")], "");
    bench.put_with("foo.b", &[(LAST, "1"), (LAST_OF_SUBJECT, "0")], "");
    for (fields, err_code, text) in [
        (&[(LAST, "1")][..], 10071, "wrong last sequence: 2"),
        (&[(LAST, "x")], 10071, "wrong last sequence: 2"),
        (&[(LAST_OF_SUBJECT, "2")], 10071, "wrong last sequence: 1"),
        (&[(LAST_OF_SUBJECT, "0")], 10071, "wrong last sequence: 1"),
        (&[(LAST_OF_SUBJECT, "-1")], 10071, "wrong last sequence: 1"),
        (&[(LAST_OF_SUBJECT, "1"), (OTHER_SUBJECT, "foo.b")], 10071, "wrong last sequence: 2"),
        (&[(LAST_OF_SUBJECT, "1"), (OTHER_SUBJECT, "foo.*")], 10071, "wrong last sequence: 2"),
        (&[(LAST_OF_SUBJECT, "1"), (OTHER_SUBJECT, "foo.c")], 10071, "wrong last sequence: 0"),
        (
            &[(OTHER_SUBJECT, "foo.b")],
            10193,
            "missing sequence for expected last sequence per subject",
        ),
        (&[("Nats-Expected-Stream", "T")], 10060, "expected stream does not match"),
        (&[("Nats-Expected-Last-Msg-Id", "x")], 10070, "wrong last msg ID: "),
    ] {
        let error = bench.error("foo.a", fields, "");
        assert_eq!((error.err_code, error.description.as_ref()), (err_code, text), "{fields:?}");
    }
    bench.put_with("foo.a", &[(LAST_OF_SUBJECT, "2"), (OTHER_SUBJECT, "foo.*")], "");
    bench.put_with("foo.a", &[("Nats-Expected-Stream", "S"), (LAST_OF_SUBJECT, "3")], "");
}

#[test]
fn expecting_no_message_works_again_after_a_delete() {
    let mut bench = Bench::new(config(&["foo"]));
    bench.put("foo");
    assert_eq!(bench.code("foo", &[(LAST_OF_SUBJECT, "0")]), 10071);
    bench.stream.delete_message(sequence(1), None, START).expect("there");
    bench.put_with("foo", &[(LAST_OF_SUBJECT, "0")], "");
}

#[test]
fn failed_expectation_wins_over_a_known_id() {
    let mut bench = Bench::new(config(&["foo"]));
    let fields = &[(ID, "a"), (LAST, "0")];
    bench.put_with("foo", fields, "");
    assert_eq!(bench.code("foo", fields), 10071);
}

#[test]
fn last_message_id_is_that_of_the_message_before() {
    let mut bench = Bench::new(config(&["foo"]));
    let last = "Nats-Expected-Last-Msg-Id";
    bench.put_with("foo", &[(ID, "a")], "");
    bench.put_with("foo", &[(ID, "b"), (last, "a")], "");
    assert_eq!(bench.code("foo", &[(last, "a")]), 10070);
    bench.put("foo");
    assert_eq!(bench.error("foo", &[(last, "b")], "").description, "wrong last msg ID: ");
}

#[test]
fn first_broken_rule_in_order_is_answered() {
    let plain = config(&["foo"]);
    let mut bench = Bench::new(StreamConfig { max_msg_size: 300, ..plain });
    // Each message breaks its rule and all those after it.
    let broken = [
        (("Nats-Incr", "x"), 10171),
        (("Nats-Expected-Stream", "T"), 10060),
        (("Nats-TTL", "1s"), 10166),
        ((LAST_OF_SUBJECT, "7"), 10071),
        ((LAST, "7"), 10071),
        (("Nats-Schedule", "never"), 10188),
        (("Nats-Expected-Last-Msg-Id", "x"), 10070),
        (("Nats-Rollup", "sub"), 10111),
    ];
    let large = "x".repeat(300);
    for start in 0..broken.len() {
        let fields: Vec<(&str, &str)> =
            broken[start..].iter().rev().map(|(field, _)| *field).collect();
        assert_eq!(bench.error("foo", &fields, &large).err_code, broken[start].1);
    }
    assert_eq!(bench.error("foo", &[("A", "b")], &large).err_code, 10054);
}

#[test]
fn sealed_stream_takes_nothing() {
    let mut bench = Bench::new(config(&["foo"]));
    bench.put("foo");
    let sealed = StreamConfig { sealed: true, ..bench.stream.config().clone() };
    bench.update(sealed).expect("allowed");
    assert_eq!(bench.code("foo", &[(LAST, "9")]), 10109);
    assert_eq!(
        bench.stream.delete_message(sequence(1), None, START).map_err(|error| error.err_code),
        Err(10109)
    );
}

#[test]
fn size_of_header_and_payload_is_bounded() {
    let mut bench = Bench::new(StreamConfig { max_msg_size: 20, ..config(&["foo"]) });
    bench.put_with("foo", &[], &"x".repeat(20));
    assert_eq!(bench.error("foo", &[], &"x".repeat(21)).err_code, 10054);
    let fields = &[("A", "b")];
    let header_len = header(fields).len();
    bench.put_with("foo", fields, &"x".repeat(20 - header_len));
    assert_eq!(bench.error("foo", fields, &"x".repeat(21 - header_len)).err_code, 10054);
    let mut bench = Bench::new(config(&["foo"]));
    assert_eq!(bench.error("foo", &[("A", &"b".repeat(65_600))], "").err_code, 10097);
    let overhead = header(&[("A", "")]).len();
    bench.put_with("foo", &[("A", &"b".repeat(65_535 - overhead))], "");
}

#[test]
fn record_that_no_file_can_hold_is_refused() {
    let config = StreamConfig {
        storage: StorageType::File,
        max_msg_size: -1,
        max_msgs: -1,
        max_bytes: -1,
        ..config(&["foo"])
    };
    // The store is one in memory: the rule must hold before the store is asked.
    let store = MemoryStore::new(super::config(&["foo"])).expect("memory storage");
    let mut stream = Stream::new(config, START, Box::new(store), StreamContext::default());
    let large = |len: usize| Inbound {
        subject: Bytes::from_static(b"foo"),
        payload: Bytes::from(vec![0; len]),
        ..Inbound::default()
    };
    let max = (32 << 20) - 30 - 3;
    let error = ErrorKind::StreamStoreFailed.with("message too large");
    assert_eq!(stream.publish(large(max + 1), START), Published::Refused(error));
    assert_eq!(stream.publish(large(max), START), Published::Stored(sequence(1)));
}

#[test]
fn full_stream_refuses_new_messages_in_the_reference_s_order() {
    let new = crate::config::DiscardPolicy::New;
    let full = |config: StreamConfig| {
        let mut bench = Bench::new(StreamConfig { discard: new, ..config });
        bench.put("foo.a");
        bench.put("foo.b");
        let error = bench.error("foo.c", &[], "");
        assert_eq!((error.err_code, error.code), (10077, 503));
        error.description.into_owned()
    };
    let plain = config(&["foo.*"]);
    assert_eq!(full(StreamConfig { max_msgs: 2, ..plain.clone() }), "maximum messages exceeded");
    assert_eq!(full(StreamConfig { max_bytes: 45, ..plain.clone() }), "maximum bytes exceeded");
    let mut bench = Bench::new(StreamConfig {
        discard: new,
        max_msgs_per_subject: 1,
        discard_new_per_subject: true,
        ..plain.clone()
    });
    bench.put("foo.a");
    assert_eq!(bench.error("foo.a", &[], "").description, "maximum messages per subject exceeded");
    bench.put("foo.b");
    let mut bench =
        Bench::new(StreamConfig { discard: new, max_msgs: 2, max_msgs_per_subject: 1, ..plain });
    bench.put("foo.a");
    bench.put("foo.b");
    bench.put("foo.a");
    assert_eq!(bench.held(), [2, 3], "a message that replaces another is taken");
    assert_eq!(bench.code("foo.c", &[]), 10077);
}

struct Limited {
    exhausted: AtomicBool,
    largest: AtomicU64,
}

impl Resources for Limited {
    fn server_exhausted(&self, _storage: StorageType) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    fn account_allows(
        &self,
        _storage: StorageType,
        replicas: i64,
        bytes: u64,
    ) -> Result<(), ApiError> {
        assert_eq!(replicas, 1);
        if bytes > self.largest.load(Ordering::Relaxed) {
            return Err(ErrorKind::AccountResourcesExceeded.into());
        }
        Ok(())
    }
}

#[test]
fn limits_of_server_and_account_are_asked_for_after_the_rules() {
    let limited =
        Arc::new(Limited { exhausted: AtomicBool::new(true), largest: AtomicU64::new(18) });
    let context = StreamContext { resources: limited.clone(), ..StreamContext::default() };
    let mut bench = Bench::with(config(&["a"]), context);
    assert_eq!(bench.code("a", &[(LAST, "5")]), 10071);
    let error = bench.error("a", &[], "");
    assert_eq!((error.err_code, error.code), (10023, 503));
    limited.exhausted.store(false, Ordering::Relaxed);
    bench.put_with("a", &[], "x");
    let error = bench.error("a", &[], "xx");
    assert_eq!((error.err_code, error.code), (10002, 400));
}

#[test]
fn subject_is_transformed_before_anything_else() {
    let mut bench = Bench::new(StreamConfig {
        subject_transform: Some(SubjectTransformConfig {
            source: "foo.*".to_owned(),
            destination: "bar.$1.x".to_owned(),
        }),
        ..config(&["foo.*", "other"])
    });
    bench.put("foo.a");
    assert_eq!(bench.load(1).subject(), b"bar.a.x");
    bench.put_with("foo.a", &[(LAST_OF_SUBJECT, "1")], "");
    bench.put("other");
    assert_eq!(bench.load(3).subject(), b"other");
}

#[test]
fn republished_message_tells_where_it_is_stored_and_comes_before_the_ack() {
    let republish = |headers_only| {
        Bench::new(StreamConfig {
            republish: Some(RePublish {
                source: "foo.*".to_owned(),
                destination: "rp.$1".to_owned(),
                headers_only,
            }),
            ..config(&["foo.*", "bar"])
        })
    };
    let mut bench = republish(false);
    bench.put("foo.a");
    bench.put("bar");
    let (_, sent) = bench.publish_all("foo.a", &[("A", "b")], "hello", "reply");
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0].subject[..], &sent[0].payload[..]), (&b"rp.a"[..], &b"hello"[..]));
    assert_eq!(
        sent[0].header,
        "NATS/1.0\r\nA: b\r\nNats-Stream: S\r\nNats-Subject: foo.a\r\nNats-Sequence: 3\r\n\
         Nats-Time-Stamp: 2023-11-14T22:13:20Z\r\nNats-Last-Sequence: 1\r\n\r\n"
    );
    assert_eq!(sent[1].subject, "reply");
    let mut bench = republish(true);
    let (_, sent) = bench.publish_all("foo.a", &[], "hello", "");
    assert_eq!(sent[0].payload, "");
    assert_eq!(
        sent[0].header,
        "NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: foo.a\r\nNats-Sequence: 1\r\n\
         Nats-Time-Stamp: 2023-11-14T22:13:20Z\r\nNats-Last-Sequence: 0\r\nNats-Msg-Size: 5\r\n\r\n"
    );
}

#[test]
fn republish_to_something_that_is_no_subject_is_suppressed() {
    let mut bench = Bench::new(StreamConfig {
        republish: Some(RePublish {
            source: "one".to_owned(),
            destination: "uno\r\nPUB hijacked 2\r\nno\r\n".to_owned(),
            headers_only: false,
        }),
        ..config(&["one"])
    });
    let message = Inbound { subject: Bytes::from_static(b"one"), ..Inbound::default() };
    assert_eq!(bench.stream.publish(message, START), Published::Stored(sequence(1)));
    let effects = bench.effects();
    assert!(!effects.iter().any(|effect| matches!(effect, StreamEffect::Send(_))));
    assert!(
        effects.contains(&StreamEffect::Warn(
            "Stream '$G > S' suppressing republish with invalid subject \
         \"uno\\r\\nPUB hijacked 2\\r\\nno\\r\\n\""
                .to_owned()
        ))
    );
}

#[test]
fn message_dropped_for_overload_is_answered_even_without_acks() {
    let mut bench = Bench::new(StreamConfig { no_ack: true, ..config(&["foo"]) });
    bench.stream.dropped(&Bytes::new());
    bench.stream.dropped(&Bytes::from_static(b"reply"));
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header, "NATS/1.0 429 Too Many Requests\r\n\r\n");
    assert!(sent[0].payload.starts_with(br#"{"error":{"code":429,"err_code":10167"#));
}

#[test]
fn counter_adds_up_and_answers_with_its_value() {
    let mut bench = Bench::new(StreamConfig { allow_msg_counter: true, ..config(&["c.*"]) });
    let incr = "Nats-Incr";
    assert_eq!(bench.ack("c.a", &[(incr, "1")], ""), r#"{"stream":"S","seq":1,"val":"1"}"#);
    assert_eq!(bench.ack("c.a", &[(incr, "+41")], ""), r#"{"stream":"S","seq":2,"val":"42"}"#);
    assert_eq!(bench.ack("c.b", &[(incr, "-5")], ""), r#"{"stream":"S","seq":3,"val":"-5"}"#);
    assert_eq!(bench.payload_of(2), r#"{"val":"42"}"#);
    assert_eq!(bench.header_of(2), "NATS/1.0\r\nNats-Incr: +41\r\n\r\n");
    for (fields, payload, err_code) in [
        (&[][..], "", 10169),
        (&[("A", "b")], "", 10169),
        (&[(incr, "1.5")], "", 10171),
        (&[(incr, "1")], "x", 10170),
        (&[(incr, "1"), ("Nats-Rollup", "sub")], "", 10171),
        (&[(incr, "1"), (LAST, "3")], "", 10171),
        (&[(incr, "1"), ("Nats-Expected-Stream", "S")], "", 10171),
    ] {
        assert_eq!(bench.error("c.a", fields, payload).err_code, err_code, "{fields:?}");
    }
    let mut plain = Bench::new(config(&["c.*"]));
    assert_eq!(plain.code("c.a", &[(incr, "1")]), 10168);
}

#[test]
fn counter_whose_value_cannot_be_read_is_broken() {
    let mut bench = Bench::new(StreamConfig { allow_msg_counter: true, ..config(&["c"]) });
    let broken = Proposal {
        subject: Bytes::from_static(b"c"),
        payload: Bytes::from_static(b"?"),
        ..Proposal::default()
    };
    bench.stream.apply(&broken, Place::Next, START);
    bench.effects();
    assert_eq!(bench.code("c", &[("Nats-Incr", "1")]), 10172);
}

#[test]
fn counter_larger_than_a_payload_is_refused() {
    let context = StreamContext { max_payload: 60, ..StreamContext::default() };
    let stream = StreamConfig { allow_msg_counter: true, ..config(&["c"]) };
    let mut bench = Bench::with(stream, context);
    bench.put_with("c", &[("Nats-Incr", "999999999")], "");
    assert_eq!(bench.code("c", &[("Nats-Incr", "9999999999999999")]), 10054);
}

#[test]
fn store_that_fails_leaves_the_publisher_without_answer() {
    let mut bench = Bench::new(config(&["foo"]));
    bench.put("foo");
    bench.stream.store_failed(StoreError::Io("disk on fire".to_owned()));
    let (published, sent) = bench.publish_all("foo", &[], "", "reply");
    assert_eq!(published, Published::Failed(StoreError::Io("disk on fire".to_owned())));
    assert_eq!(sent, []);
    assert!(bench.stream.write_error().is_some());
}

#[test]
fn time_to_live_needs_permission_and_sense() {
    let ttl = "Nats-TTL";
    let mut bench = Bench::new(config(&["foo"]));
    assert_eq!(bench.code("foo", &[(ttl, "1s")]), 10166);
    assert_eq!(bench.code("foo", &[(ttl, "never")]), 10166);
    assert_eq!(bench.code("foo", &[(ttl, "soon")]), 10165);
    let mut bench = Bench::new(StreamConfig { allow_msg_ttl: true, ..config(&["foo"]) });
    for invalid in ["soon", "-1", "500ms", "0.5s"] {
        assert_eq!(bench.code("foo", &[(ttl, invalid)]), 10165, "{invalid}");
    }
    bench.put_with("foo", &[(ttl, "1s")], "");
    bench.put_with("foo", &[(ttl, "5")], "");
    bench.put_with("foo", &[(ttl, "NEVER")], "");
    bench.wait(seconds(2));
    assert_eq!(bench.held(), [2, 3]);
    bench.wait(seconds(10));
    assert_eq!(bench.held(), [3]);
}

#[test]
fn applying_at_a_place_needs_the_next_sequence() {
    let mut bench = Bench::new(config(&["foo"]));
    let proposal = Proposal { subject: Bytes::from_static(b"foo"), ..Proposal::default() };
    let at = |number| Place::At { sequence: sequence(number), timestamp: START };
    // A stream without any state may start anywhere.
    assert_eq!(bench.stream.apply(&proposal, at(5), START), Published::Stored(sequence(5)));
    assert_eq!(bench.stream.apply(&proposal, at(7), START), Published::OutOfSequence);
    assert_eq!(bench.stream.apply(&proposal, at(6), START), Published::Stored(sequence(6)));
    assert_eq!(bench.held(), [5, 6]);
}
