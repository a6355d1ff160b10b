use super::*;
use crate::config::RePublish;

#[test]
fn lower_limits_are_enforced_at_once() {
    let mut bench = Bench::new(config(&["foo.*"]));
    for subject in ["foo.a", "foo.b", "foo.a", "foo.b"] {
        bench.put(subject);
    }
    bench.update(StreamConfig { max_msgs_per_subject: 1, ..config(&["foo.*"]) }).expect("allowed");
    assert_eq!(bench.held(), [3, 4]);
    bench.update(StreamConfig { max_msgs: 1, ..config(&["foo.*"]) }).expect("allowed");
    assert_eq!(bench.held(), [4]);
    bench.wait(seconds(10));
    bench.update(StreamConfig { max_age: 5_000_000_000, ..config(&["foo.*"]) }).expect("allowed");
    bench.wait(seconds(1));
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn update_is_told_to_who_listens() {
    let context = StreamContext { domain: Some("hub".to_owned()), ..StreamContext::default() };
    let mut bench = Bench::with(config(&["foo"]), context);
    bench.update(config(&["bar"])).expect("allowed");
    let effects = bench.effects();
    let StreamEffect::Advisory { subject, json } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(subject, "$JS.EVENT.ADVISORY.STREAM.UPDATED.S");
    let json = String::from_utf8(json.clone()).expect("text");
    let (before, after) = json.split_once(r#""id":""#).expect("an id");
    assert_eq!(before, r#"{"type":"io.nats.jetstream.advisory.v1.stream_action","#);
    assert_eq!(
        &after[22..],
        concat!(
            r#"","timestamp":"2023-11-14T22:13:20Z","stream":"S","action":"modify","#,
            r#""domain":"hub"}"#
        )
    );
}

#[test]
fn changed_window_counts_for_ids_that_are_known() {
    let window = |seconds: i64| StreamConfig {
        duplicate_window: seconds * 1_000_000_000,
        ..config(&["foo"])
    };
    let mut bench = Bench::new(window(10));
    bench.put_with("foo", &[("Nats-Msg-Id", "a")], "");
    bench.wait(seconds(3));
    bench.update(window(2)).expect("allowed");
    assert_eq!(bench.stream.message_ids(), 0);
    bench.put_with("foo", &[("Nats-Msg-Id", "a")], "");
}

#[test]
fn republishing_and_transforming_change_with_the_configuration() {
    let mut bench = Bench::new(config(&["foo.*"]));
    assert_eq!(bench.publish_all("foo.a", &[], "", "").1, []);
    let republish =
        RePublish { source: ">".to_owned(), destination: "rp.>".to_owned(), headers_only: false };
    let transform = crate::config::SubjectTransformConfig {
        source: "foo.*".to_owned(),
        destination: "bar.$1".to_owned(),
    };
    bench
        .update(StreamConfig {
            republish: Some(republish),
            subject_transform: Some(transform),
            ..config(&["foo.*"])
        })
        .expect("allowed");
    let (_, sent) = bench.publish_all("foo.a", &[], "", "");
    assert_eq!(sent[0].subject, "rp.bar.a");
    bench.update(config(&["foo.*"])).expect("allowed");
    assert_eq!(bench.publish_all("foo.a", &[], "", "").1, []);
    assert_eq!(bench.load(3).subject(), b"foo.a");
}

#[test]
fn allowing_time_to_live_counts_for_messages_that_are_stored() {
    let mut bench = Bench::new(config(&["foo"]));
    let sourced = Inbound {
        subject: Bytes::from_static(b"foo"),
        header: header(&[("Nats-TTL", "1s")]),
        from: Origin::Source,
        ..Inbound::default()
    };
    bench.stream.publish(sourced, START);
    bench.wait(seconds(60));
    assert_eq!(bench.held(), [1], "stored, and not enforced");
    bench.update(StreamConfig { allow_msg_ttl: true, ..config(&["foo"]) }).expect("allowed");
    bench.wait(seconds(1));
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn disallowed_batches_are_dropped() {
    let mut bench =
        Bench::new(StreamConfig { allow_atomic: true, allow_batched: true, ..config(&["foo"]) });
    bench.publish_all("foo", &[("Nats-Batch-Id", "a"), ("Nats-Batch-Sequence", "1")], "", "");
    bench.publish_all("foo", &[], "", "r.b.10.ok.1.0.$FI");
    assert_eq!(bench.stream.open_batches(), (1, 1));
    bench.update(config(&["foo"])).expect("allowed");
    assert_eq!(bench.stream.open_batches(), (0, 0));
}
