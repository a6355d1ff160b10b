use super::*;
use crate::api_error::ErrorKind;
use crate::config::{
    DiscardPolicy, ExternalStream, StreamConsumerSource, StreamSource, SubjectTransformConfig,
};
use crate::stream::tests::{Bench, START, config, header, seconds, sequence};
use crate::stream::{Published, StreamContext};
use std::time::Duration;

fn origin(name: &str) -> StreamSource {
    StreamSource { name: name.to_owned(), ..StreamSource::default() }
}

fn mirror(of: StreamSource) -> StreamConfig {
    StreamConfig { mirror: Some(of), ..config(&[]) }
}

fn sourcing(sources: Vec<StreamSource>) -> StreamConfig {
    StreamConfig { sources, ..config(&[]) }
}

fn filtered(name: &str, filter: &str) -> StreamSource {
    StreamSource { filter_subject: filter.to_owned(), ..origin(name) }
}

fn transformed(name: &str, from: &str, to: &str) -> StreamSource {
    let transform = SubjectTransformConfig { source: from.to_owned(), destination: to.to_owned() };
    StreamSource { subject_transforms: vec![transform], ..origin(name) }
}

/// A request the stream made, and the subscription on which it expects the answer.
#[derive(Debug)]
struct Request {
    answers: SubscriptionId,
    message: Outbound,
}

impl Request {
    fn subject(&self) -> &str {
        std::str::from_utf8(&self.message.subject).expect("text")
    }

    fn config(&self) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_slice(&self.message.payload).expect("json");
        body["config"].clone()
    }
}

/// The requests made up to `time` from now.
fn requests(bench: &mut Bench, time: Duration) -> Vec<Request> {
    bench.wait(time);
    let effects = bench.effects();
    effects
        .iter()
        .zip(effects.iter().skip(1))
        .filter_map(|(subscribe, send)| match (subscribe, send) {
            (StreamEffect::Subscribe { id, subject }, StreamEffect::Send(message)) => {
                assert_eq!(*subject, message.reply);
                Some(Request { answers: *id, message: message.clone() })
            }
            _ => None,
        })
        .collect()
}

fn request(bench: &mut Bench) -> Request {
    let mut requests = requests(bench, Duration::from_millis(200));
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

/// Has the stream receive something, and gives what it does then.
fn receive(
    bench: &mut Bench,
    on: SubscriptionId,
    subject: &str,
    reply: &str,
    header: &[u8],
    payload: &str,
) -> Vec<StreamEffect> {
    let message = Inbound {
        subject: Bytes::copy_from_slice(subject.as_bytes()),
        reply: Bytes::copy_from_slice(reply.as_bytes()),
        header: Bytes::copy_from_slice(header),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        ..Inbound::default()
    };
    bench.stream.received(on, message, bench.now);
    bench.effects()
}

fn answer(bench: &mut Bench, request: &Request, body: &str) -> Vec<StreamEffect> {
    receive(bench, request.answers, "", "", b"", body)
}

/// Answers a request with a consumer named `C`, and gives the subscription for its deliveries.
fn connect(bench: &mut Bench, request: &Request, delivered: u64) -> SubscriptionId {
    let body = format!(
        "{{\"name\":\"C\",\"config\":{{\"deliver_subject\":\"$JS.X.y\"}},\
         \"delivered\":{{\"stream_seq\":{delivered}}}}}"
    );
    let effects = answer(bench, request, &body);
    assert!(effects.contains(&StreamEffect::Unsubscribe { id: request.answers }));
    effects
        .iter()
        .find_map(|effect| match effect {
            StreamEffect::Subscribe { id, subject } if subject == "$JS.X.y" => Some(*id),
            _ => None,
        })
        .expect("a subscription")
}

/// Delivers a message the origin has at `number`, as its consumer's `delivery`.
fn deliver(
    bench: &mut Bench,
    on: SubscriptionId,
    subject: &str,
    number: u64,
    delivery: u64,
    fields: &[(&str, &str)],
) -> Vec<StreamEffect> {
    let time = START.nanos() - 1_000_000_000 + i64::try_from(number).expect("small");
    let reply = format!("$JS.ACK.O.C.1.{number}.{delivery}.{time}.7");
    receive(bench, on, subject, &reply, &header(fields), &number.to_string())
}

fn is_waiting(bench: &Bench) -> bool {
    bench.stream.sourcing.links.iter().all(|link| matches!(link.phase, Phase::Waiting { .. }))
}

#[test]
fn mirror_asks_its_origin_for_a_consumer() {
    let mut bench = Bench::new(mirror(origin("O")));
    assert!(requests(&mut bench, Duration::from_millis(99)).is_empty());
    let request = request(&mut bench);
    assert_eq!(request.subject(), "$JS.API.CONSUMER.CREATE.O");
    assert_eq!(request.message.header, "NATS/1.0\r\nNats-Required-Api-Level: 4\r\n\r\n");
    let deliver = request.config()["deliver_subject"].as_str().expect("text").to_owned();
    assert!(deliver.starts_with("$JS.M.") && deliver.len() == 14, "{deliver}");
    let hash = names::short_hash("S $G");
    let expected = format!(
        "{{\"stream_name\":\"O\",\"config\":{{\"name\":\"JS_MIRROR_{hash}\",\
         \"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"ack_wait\":79200000000000,\
         \"max_deliver\":1,\"replay_policy\":\"instant\",\"flow_control\":true,\
         \"deliver_subject\":\"{deliver}\",\"idle_heartbeat\":1000000000,\
         \"inactive_threshold\":10000000000,\"num_replicas\":0,\"direct\":true,\"sourcing\":true,\
         \"metadata\":{{\"_nats.mirror.acc\":\"$G\",\"_nats.mirror.stream\":\"S\"}}}},\
         \"action\":\"\"}}"
    );
    assert_eq!(request.message.payload, expected);
}

#[test]
fn domain_is_part_of_the_request() {
    let context = StreamContext { domain: Some("hub".to_owned()), ..StreamContext::default() };
    let mut bench = Bench::with(mirror(origin("O")), context);
    let config = request(&mut bench).config();
    assert_eq!(config["metadata"]["_nats.mirror.domain"], "hub");
    assert_eq!(config["name"], format!("JS_MIRROR_{}", names::short_hash("S $G hub")));
}

#[test]
fn filter_is_part_of_the_request_and_its_subject() {
    let name = format!("JS_MIRROR_{}", names::short_hash("S $G"));
    for source in [filtered("O", "a.*"), transformed("O", "a.*", "b.$1")] {
        let mut bench = Bench::new(mirror(source));
        let request = request(&mut bench);
        assert_eq!(request.subject(), format!("$JS.API.CONSUMER.CREATE.O.{name}.a.*"));
        assert_eq!(request.config()["filter_subject"], "a.*");
        assert_eq!(request.config().get("filter_subjects"), None);
    }
    let mut both = transformed("O", "a.*", "b.$1");
    both.subject_transforms
        .push(SubjectTransformConfig { source: "c".to_owned(), destination: "d".to_owned() });
    let mut bench = Bench::new(mirror(both));
    let request = request(&mut bench);
    assert_eq!(request.subject(), "$JS.API.CONSUMER.CREATE.O");
    assert_eq!(request.config()["filter_subjects"], serde_json::json!(["a.*", "c"]));
}

#[test]
fn prefixes_lead_to_another_account() {
    let external = ExternalStream {
        api_prefix: "$JS.hub.API".to_owned(),
        deliver_prefix: "deliver".to_owned(),
    };
    let away = |source: StreamSource| StreamSource { external: Some(external.clone()), ..source };
    let mut bench = Bench::new(mirror(away(origin("O"))));
    let asked = request(&mut bench);
    assert_eq!(asked.subject(), "$JS.hub.API.CONSUMER.CREATE.O");
    let deliver = asked.config()["deliver_subject"].as_str().expect("text").to_owned();
    assert!(deliver.starts_with("deliver.M."), "{deliver}");
    let mut bench = Bench::new(sourcing(vec![away(origin("O"))]));
    let deliver = request(&mut bench).config()["deliver_subject"].clone();
    assert!(deliver.as_str().expect("text").starts_with("deliver.S."), "{deliver}");
}

#[test]
fn mirrored_message_keeps_sequence_and_time() {
    let mut bench = Bench::new(mirror(origin("O")));
    let request = request(&mut bench);
    let on = connect(&mut bench, &request, 0);
    deliver(
        &mut bench,
        on,
        "foo.a",
        1,
        1,
        &[
            ("A", "b"),
            ("Nats-Expected-Last-Sequence", "9"),
            ("Nats-Batch-Id", "x"),
            ("Nats-Msg-Id", "same"),
        ],
    );
    deliver(&mut bench, on, "foo.b", 2, 2, &[("Nats-Msg-Id", "same")]);
    assert_eq!(bench.held(), [1, 2]);
    let message = bench.load(1);
    assert_eq!(message.timestamp().nanos(), START.nanos() - 1_000_000_000 + 1);
    assert_eq!((message.subject(), message.payload()), (&b"foo.a"[..], &b"1"[..]));
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nA: b\r\nNats-Msg-Id: same\r\n\r\n");
    let info = bench.stream.mirror_info(bench.now).expect("a mirror");
    assert_eq!((info.name.as_str(), info.lag, info.active), ("O", 6, 0));
}

#[test]
fn info_of_a_mirror_that_never_heard_of_its_origin() {
    let bench = Bench::new(mirror(filtered("O", "a")));
    let info = bench.stream.mirror_info(START).expect("a mirror");
    assert_eq!(
        serde_json::to_string(&info).expect("plain value"),
        r#"{"name":"O","lag":0,"active":-1,"filter_subject":"a"}"#
    );
    assert_eq!(bench.stream.sources_info(START), []);
}

#[test]
fn sequences_the_origin_no_longer_has_are_skipped() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    deliver(&mut bench, on, "foo", 5, 2, &[]);
    assert_eq!(bench.held(), [1, 5]);
    assert_eq!(bench.stream.last_sequence(), sequence(5));
}

#[test]
fn empty_mirror_starts_where_its_origin_does() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 99);
    assert_eq!(bench.stream.last_sequence(), sequence(99));
    deliver(&mut bench, on, "foo", 100, 1, &[]);
    let state = bench.stream.state();
    assert_eq!((state.first_seq, state.messages), (sequence(100), 1));
}

#[test]
fn mirror_goes_on_after_its_last_message() {
    let start = StreamSource { opt_start_seq: 50, ..origin("O") };
    let mut bench = Bench::new(mirror(start));
    let asked = request(&mut bench);
    assert_eq!(asked.config()["deliver_policy"], "by_start_sequence");
    assert_eq!(asked.config()["opt_start_seq"], 50);
    let on = connect(&mut bench, &asked, 49);
    deliver(&mut bench, on, "foo", 50, 1, &[]);
    let now = bench.now;
    bench.stream.start(now);
    let asked = request(&mut bench);
    assert_eq!(asked.config()["opt_start_seq"], 51);
    // What it delivered to nobody is skipped.
    let on = connect(&mut bench, &asked, 60);
    deliver(&mut bench, on, "foo", 61, 1, &[]);
    assert_eq!(bench.held(), [50, 61]);
}

#[test]
fn lost_repeated_and_foreign_deliveries_are_told_apart() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    let other = "$JS.ACK.O.D.1.2.2.1700000000000000000.0";
    receive(&mut bench, on, "foo", other, b"", "x");
    let again = "$JS.ACK.O.C.2.2.2.1700000000000000000.0";
    receive(&mut bench, on, "foo", again, b"", "x");
    receive(&mut bench, on, "foo", "garbage", b"", "x");
    deliver(&mut bench, on, "foo", 1, 2, &[]);
    assert_eq!(bench.held(), [1]);
    deliver(&mut bench, on, "foo", 2, 3, &[]);
    assert_eq!(bench.held(), [1, 2]);
    let effects = deliver(&mut bench, on, "foo", 4, 5, &[]);
    assert_eq!(effects, [StreamEffect::Unsubscribe { id: on }]);
    assert!(is_waiting(&bench));
    deliver(&mut bench, on, "foo", 3, 4, &[]);
    assert_eq!(bench.held(), [1, 2], "the subscription is gone");
    let asked = requests(&mut bench, seconds(3));
    assert_eq!(asked[0].config()["opt_start_seq"], 3);
}

#[test]
fn heartbeat_finds_lost_deliveries_and_keeps_the_link_alive() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    let heartbeat = |bench: &mut Bench, delivered: u64| {
        let header = format!(
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {delivered}\r\n\
             Nats-Last-Stream: 1\r\n\r\n"
        );
        receive(bench, on, "$JS.X.y", "", header.as_bytes(), "")
    };
    for _ in 0..5 {
        bench.wait(seconds(5));
        assert_eq!(heartbeat(&mut bench, 1), []);
    }
    assert!(!is_waiting(&bench));
    heartbeat(&mut bench, 2);
    assert!(is_waiting(&bench));
}

#[test]
fn silent_origin_is_asked_anew() {
    let mut bench = Bench::new(sourcing(vec![origin("O")]));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    assert!(requests(&mut bench, seconds(9)).is_empty());
    let asked = requests(&mut bench, seconds(2));
    assert_eq!(asked[0].config()["opt_start_seq"], 2);
    let info = &bench.stream.sources_info(bench.now)[0];
    assert_eq!(info.active, 11_000_000_000);
}

#[test]
fn flow_control_is_answered_with_what_is_stored_once_it_is_durable() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 4);
    let header = b"NATS/1.0 100 FlowControl Request\r\n\r\n";
    let time = START.nanos();
    let message = |reply: &str, header: &[u8], payload: &'static str| Inbound {
        subject: Bytes::from_static(b"foo"),
        reply: Bytes::copy_from_slice(reply.as_bytes()),
        header: Bytes::copy_from_slice(header),
        payload: Bytes::from_static(payload.as_bytes()),
        ..Inbound::default()
    };
    let delivery = message(&format!("$JS.ACK.O.C.1.5.1.{time}.0"), b"", "x");
    bench.stream.received(on, delivery, START);
    bench.stream.received(on, message("$JS.FC.O.C.z", header, ""), START);
    let sends = |bench: &mut Bench| -> Vec<Outbound> {
        std::iter::from_fn(|| bench.stream.poll_effect())
            .filter_map(|effect| match effect {
                StreamEffect::Send(message) => Some(message),
                _ => None,
            })
            .collect()
    };
    assert_eq!(sends(&mut bench), []);
    bench.stream.committed(sequence(5));
    let sent = sends(&mut bench);
    assert_eq!(sent[0].subject, "$JS.FC.O.C.z");
    assert_eq!(sent[0].header, "NATS/1.0\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 5\r\n\r\n");
    let stalled = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\
        Nats-Consumer-Stalled: $JS.FC.O.C.w\r\n\r\n";
    let effects = receive(&mut bench, on, "$JS.X.y", "", stalled, "");
    let expected = Outbound::plain(Bytes::from_static(b"$JS.FC.O.C.w"), "");
    assert_eq!(effects, [StreamEffect::Send(expected)]);
}

#[test]
fn error_of_the_origin_is_shown_until_it_is_asked_again() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let body = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
    let effects = answer(&mut bench, &asked, body);
    assert!(effects.contains(&StreamEffect::Warn(
        "JetStream error response for create mirror consumer: stream not found (10059)".to_owned()
    )));
    let info = bench.stream.mirror_info(bench.now).expect("a mirror");
    assert_eq!(info.error, Some(ErrorKind::StreamNotFound.into()));
    assert!(requests(&mut bench, seconds(11)).is_empty(), "it backs off");
    let asked = requests(&mut bench, seconds(2));
    assert_eq!(asked.len(), 1);
    assert_eq!(bench.stream.mirror_info(bench.now).expect("a mirror").error, None);
    let answer_without_consumer = answer(&mut bench, &asked[0], "{}");
    assert!(!answer_without_consumer.is_empty());
    let info = bench.stream.mirror_info(bench.now).expect("a mirror");
    let error = info.error.expect("an error");
    assert_eq!(error.to_string(), "invalid consumer create response (10029)");
}

#[test]
fn answer_that_does_not_come_is_waited_for_half_a_minute() {
    let mut bench = Bench::new(sourcing(vec![origin("O")]));
    let asked = request(&mut bench);
    assert!(requests(&mut bench, seconds(29)).is_empty());
    let effects = answer(&mut bench, &asked, "not json");
    assert!(matches!(&effects[..], [StreamEffect::Warn(_)]), "{effects:?}");
    bench.wait(seconds(1));
    assert!(is_waiting(&bench));
    assert!(bench.effects().contains(&StreamEffect::Unsubscribe { id: asked.answers }));
    assert_eq!(requests(&mut bench, seconds(11)).len(), 1);
}

#[test]
fn older_origin_is_asked_for_a_plain_consumer() {
    for code in ["10185", "10025"] {
        let mut bench = Bench::new(sourcing(vec![origin("O")]));
        let first = request(&mut bench);
        let body = format!(r#"{{"error":{{"code":400,"err_code":{code}}}}}"#);
        bench.stream.received(
            first.answers,
            Inbound { payload: Bytes::from(body), ..Inbound::default() },
            bench.now,
        );
        let second = request(&mut bench);
        assert_eq!(second.message.header, "");
        assert_ne!(second.message.reply, first.message.reply);
        let config = second.config();
        assert_eq!(config.get("sourcing"), None);
        let name = config["name"].as_str().expect("text").to_owned();
        let prefix = format!("{}_", first.config()["name"].as_str().expect("text"));
        assert!(name.starts_with(&prefix) && name.len() == prefix.len() + 8, "{name}");
        connect(&mut bench, &second, 0);
    }
}

#[test]
fn provided_consumer_is_reset_and_must_use_flow_control() {
    let consumer =
        StreamConsumerSource { name: "DUR".to_owned(), deliver_subject: "deliver.here".to_owned() };
    let durable = StreamSource { consumer: Some(consumer), ..origin("O") };
    for (config, err_code) in [(mirror(durable.clone()), 10214), (sourcing(vec![durable]), 10217)] {
        let mut bench = Bench::new(config);
        let asked = request(&mut bench);
        assert_eq!(asked.subject(), "$JS.API.CONSUMER.RESET.O.DUR");
        assert_eq!((&asked.message.header[..], &asked.message.payload[..]), (&b""[..], &b""[..]));
        let with = |policy: &str| {
            format!(
                "{{\"name\":\"DUR\",\"config\":{{\"ack_policy\":\"{policy}\",\
                 \"deliver_subject\":\"deliver.here\"}},\"delivered\":{{\"stream_seq\":0}}}}"
            )
        };
        answer(&mut bench, &asked, &with("explicit"));
        let infos = bench.stream.sources_info(START);
        let info = bench.stream.mirror_info(START).unwrap_or_else(|| infos[0].clone());
        assert_eq!(info.error.expect("an error").err_code, err_code);
        let asked = requests(&mut bench, seconds(20)).remove(0);
        let effects = answer(&mut bench, &asked, &with("flow_control"));
        assert!(effects.iter().any(|effect| matches!(
            effect,
            StreamEffect::Subscribe { subject, .. } if subject == "deliver.here"
        )));
    }
}

#[test]
fn mirror_that_has_caught_up_says_so_once() {
    let mut bench = Bench::new(StreamConfig { mirror_direct: true, ..mirror(origin("O")) });
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    let far = "$JS.ACK.O.C.1.1.1.1700000000000000000.10";
    let effects = receive(&mut bench, on, "foo", far, b"", "x");
    assert!(!effects.contains(&StreamEffect::MirrorCaughtUp));
    assert!(deliver(&mut bench, on, "foo", 2, 2, &[]).contains(&StreamEffect::MirrorCaughtUp));
    assert!(!deliver(&mut bench, on, "foo", 3, 3, &[]).contains(&StreamEffect::MirrorCaughtUp));
}

#[test]
fn sourced_message_tells_where_it_is_from() {
    let mut bench = Bench::new(sourcing(vec![origin("O")]));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 6);
    deliver(
        &mut bench,
        on,
        "foo.a",
        7,
        1,
        &[
            ("A", "b"),
            ("Nats-Stream-Source", "X 1 > > y"),
            ("Nats-Expected-Last-Sequence", "99"),
            ("Nats-Batch-Id", "x"),
        ],
    );
    assert_eq!(bench.held(), [1]);
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nA: b\r\nNats-Stream-Source: O 7 > > foo.a\r\n\r\n");
    assert_eq!(bench.load(1).timestamp(), bench.now, "it has a time of its own");
    deliver(&mut bench, on, "foo.b", 9, 2, &[]);
    assert_eq!(bench.held(), [1, 2]);
    assert_eq!(bench.header_of(2), "NATS/1.0\r\nNats-Stream-Source: O 9 > > foo.b\r\n\r\n");
}

#[test]
fn sourced_subjects_are_transformed() {
    let mut bench = Bench::new(sourcing(vec![transformed("O", "foo.*", "bar.$1")]));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo.a", 1, 1, &[]);
    deliver(&mut bench, on, "other", 2, 2, &[]);
    assert_eq!(bench.load(1).subject(), b"bar.a");
    assert_eq!(
        bench.header_of(1),
        "NATS/1.0\r\nNats-Stream-Source: O 1 foo.* bar.$1 foo.a\r\n\r\n"
    );
    assert_eq!(bench.load(2).subject(), b"other");
}

#[test]
fn source_names_its_consumer_by_all_it_has() {
    let mut bench = Bench::new(sourcing(vec![origin("O")]));
    let id = names::short_hash("S $G");
    let config = request(&mut bench).config();
    assert_eq!(config["name"], format!("JS_SRC_{}", names::short_hash(&id)));
    assert_eq!(config["metadata"]["_nats.src.stream"], "S");
    let mut bench = Bench::new(sourcing(vec![filtered("O", "a"), filtered("O", "b")]));
    let asked = requests(&mut bench, Duration::from_millis(200));
    let hash = names::short_hash(&format!("{id} O b >"));
    assert!(asked.iter().any(|request| request.config()["name"] == format!("JS_SRC_{hash}")));
}

#[test]
fn source_starts_where_it_is_told_to_or_at_the_last_local_time() {
    let at = |text: &str| crate::time::DateTime::parse(text).expect("a time");
    let early = StreamSource { opt_start_time: Some(at("2020-01-01T00:00:00Z")), ..origin("O") };
    let by_sequence = StreamSource { opt_start_seq: 7, ..origin("O") };
    let mut bench = Bench::new(sourcing(vec![by_sequence]));
    assert_eq!(request(&mut bench).config()["opt_start_seq"], 7);
    let mut bench = Bench::new(sourcing(vec![early.clone()]));
    assert_eq!(request(&mut bench).config()["opt_start_time"], "2020-01-01T00:00:00Z");
    let mut bench =
        Bench::new(StreamConfig { subjects: vec!["own".to_owned()], ..sourcing(vec![early]) });
    bench.put("own");
    let config = request(&mut bench).config();
    assert_eq!(config["deliver_policy"], "by_start_time");
    assert_eq!(config["opt_start_time"], "2023-11-14T22:13:20Z");
}

#[test]
fn full_stream_makes_its_source_wait() {
    let mut bench = Bench::new(StreamConfig {
        max_msgs: 1,
        discard: DiscardPolicy::New,
        ..sourcing(vec![origin("O")])
    });
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    let effects = deliver(&mut bench, on, "foo", 2, 2, &[]);
    assert_eq!(effects, [StreamEffect::Unsubscribe { id: on }], "and warns of nothing");
    bench.stream.remove(sequence(1), START).expect("open");
    let asked = requests(&mut bench, seconds(3));
    assert_eq!(asked[0].config()["opt_start_seq"], 2);
    let on = connect(&mut bench, &asked[0], 1);
    deliver(&mut bench, on, "foo", 2, 1, &[]);
    assert_eq!(bench.held(), [2]);
}

#[test]
fn repeated_ids_of_sources_are_passed_over_within_a_window() {
    let with = |duplicate_window| {
        let mut bench =
            Bench::new(StreamConfig { duplicate_window, ..sourcing(vec![origin("O")]) });
        let asked = request(&mut bench);
        let on = connect(&mut bench, &asked, 0);
        deliver(&mut bench, on, "foo", 1, 1, &[("Nats-Msg-Id", "x")]);
        deliver(&mut bench, on, "foo", 2, 2, &[("Nats-Msg-Id", "x")]);
        deliver(&mut bench, on, "foo", 3, 3, &[]);
        bench.held().len()
    };
    assert_eq!(with(120_000_000_000), 2);
    assert_eq!(with(0), 3);
}

#[test]
fn sourced_counters_are_added_up_over_sources() {
    let mut bench = Bench::new(StreamConfig {
        allow_msg_counter: true,
        ..sourcing(vec![transformed("A", "a.>", "c.>"), transformed("B", "b.>", "c.>")])
    });
    let asked = requests(&mut bench, Duration::from_millis(200));
    let on: Vec<SubscriptionId> =
        asked.iter().map(|request| connect(&mut bench, request, 0)).collect();
    let subject_of = |request: &Request| {
        if request.message.payload.starts_with(br#"{"stream_name":"A""#) { "a.x" } else { "b.x" }
    };
    let count = |bench: &mut Bench, which: usize, number: u64, value: &str| {
        let reply = format!("$JS.ACK.O.C.1.{number}.{number}.1700000000000000000.0");
        let header = header(&[("Nats-Incr", "+1")]);
        let payload = format!(r#"{{"val":"{value}"}}"#);
        receive(bench, on[which], subject_of(&asked[which]), &reply, &header, &payload);
    };
    count(&mut bench, 0, 1, "10");
    count(&mut bench, 1, 1, "5");
    count(&mut bench, 0, 2, "12");
    assert_eq!(bench.payload_of(3), r#"{"val":"17"}"#);
    assert!(bench.header_of(3).contains("Nats-Incr: 2\r\n"));
}

#[test]
fn sources_go_on_after_a_restart() {
    let sources =
        vec![filtered("A", "a"), transformed("B", "b.*", "x.$1"), origin("C"), origin("D")];
    let mut bench =
        Bench::new(StreamConfig { subjects: vec!["own".to_owned()], ..sourcing(sources) });
    let mut store = |subject: &str, source: &str| {
        let message = Inbound {
            subject: Bytes::copy_from_slice(subject.as_bytes()),
            header: header(&[("Nats-Stream-Source", source)]),
            from: super::super::Origin::Source,
            ..Inbound::default()
        };
        assert!(matches!(bench.stream.publish(message, START), Published::Stored(_)));
    };
    store("a", "A 5 a > a");
    store("x.1", "B 9 b.* x.$1 b.1");
    store("x.1", "B 12 b.* x.$1 b.1");
    store("c", "C 3");
    store("a", "A 4 other > a");
    bench.put("own");
    let now = bench.now;
    bench.stream.start(now);
    let next: Vec<u64> =
        bench.stream.sourcing.links.iter().map(|link| link.next_sequence).collect();
    assert_eq!(next, [6, 13, 4, 1]);
}

#[test]
fn sources_come_and_go_with_the_configuration() {
    let mut bench = Bench::new(sourcing(vec![origin("A"), origin("B")]));
    let asked = requests(&mut bench, Duration::from_millis(200));
    for request in &asked {
        connect(&mut bench, request, 0);
    }
    bench.update(sourcing(vec![origin("B"), origin("C")])).expect("allowed");
    let effects = bench.effects();
    let hash = names::short_hash(&names::short_hash("S $G"));
    let delete = format!("$JS.API.CONSUMER.DELETE.A.JS_SRC_{hash}");
    let deletes: Vec<&Outbound> = effects
        .iter()
        .filter_map(|effect| match effect {
            StreamEffect::Send(message) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(deletes.len(), 1);
    assert_eq!(deletes[0].subject, delete);
    let dropped = effects.iter().filter(|e| matches!(e, StreamEffect::Unsubscribe { .. })).count();
    assert_eq!(dropped, 1, "that of A");
    let asked = request(&mut bench);
    assert_eq!(asked.subject(), "$JS.API.CONSUMER.CREATE.C");
    let names: Vec<String> =
        bench.stream.sources_info(bench.now).into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["B", "C"]);
}

#[test]
fn promoted_mirror_takes_messages_of_its_own() {
    let mut bench = Bench::new(mirror(origin("O")));
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    bench.update(config(&["foo"])).expect("allowed");
    let effects = bench.effects();
    assert!(effects.contains(&StreamEffect::Unsubscribe { id: on }));
    let delete = format!("$JS.API.CONSUMER.DELETE.O.JS_MIRROR_{}", names::short_hash("S $G"));
    assert!(
        effects.iter().any(
            |effect| matches!(effect, StreamEffect::Send(message) if message.subject == delete)
        )
    );
    assert_eq!(bench.stream.mirror_info(bench.now), None);
    assert_eq!(bench.put("foo"), 2);
    deliver(&mut bench, on, "foo", 3, 2, &[]);
    assert_eq!(bench.held(), [1, 2]);
}

#[test]
fn deleted_stream_has_its_consumers_deleted_but_not_provided_ones() {
    let consumer =
        StreamConsumerSource { name: "DUR".to_owned(), deliver_subject: "here".to_owned() };
    let durable = StreamSource { consumer: Some(consumer), ..origin("B") };
    let mut bench = Bench::new(sourcing(vec![origin("A"), durable]));
    bench.stream.delete(START).expect("open");
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].subject.starts_with(b"$JS.API.CONSUMER.DELETE.A.JS_SRC_"));
    assert_eq!(bench.stream.next_deadline(), None);
}

#[test]
fn mirror_out_of_step_starts_over() {
    let mut bench = Bench::new(StreamConfig { max_msg_size: 1, ..mirror(origin("O")) });
    let asked = request(&mut bench);
    let on = connect(&mut bench, &asked, 0);
    deliver(&mut bench, on, "foo", 1, 1, &[]);
    let large = "$JS.ACK.O.C.1.2.2.1700000000000000000.0";
    let effects = receive(&mut bench, on, "foo", large, b"", "xx");
    assert!(matches!(&effects[..], [StreamEffect::Warn(_)]), "{effects:?}");
    deliver(&mut bench, on, "foo", 3, 3, &[]);
    assert!(is_waiting(&bench), "the sequence after is not the next");
    assert_eq!(bench.held(), [1]);
}
