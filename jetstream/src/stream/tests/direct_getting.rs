use super::*;
use crate::api_error::ErrorKind;

fn bench() -> Bench {
    let mut bench = Bench::new(StreamConfig { allow_direct: true, ..config(&["foo.*"]) });
    for (number, subject) in (1..).zip(["foo.a", "foo.b", "foo.a", "foo.c", "foo.b", "foo.a"]) {
        let payload = number.to_string();
        if number == 2 {
            bench.put_with(subject, &[("A", "b")], &payload);
        } else {
            bench.put_with(subject, &[], &payload);
        }
        bench.wait(seconds(1));
    }
    bench.stream.delete_message(sequence(4), None, START).expect("there");
    bench
}

/// The answer to a request, its messages as (header, payload).
fn get(bench: &mut Bench, body: &str) -> Vec<(String, String)> {
    let answer = bench.stream.direct_get(Bytes::from_static(b"r"), b"", body.as_bytes());
    collect(bench, answer.expect("a reply"))
}

fn get_last(bench: &mut Bench, subject: &str, body: &str) -> Vec<(String, String)> {
    let reply = Bytes::from_static(b"r");
    let answer = bench.stream.direct_get_last(subject.as_bytes(), reply, b"", body.as_bytes());
    collect(bench, answer.expect("a reply"))
}

fn collect(bench: &mut Bench, mut answer: DirectGet) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    std::iter::from_fn(|| bench.stream.next_direct(&mut answer))
        .map(|message| {
            assert_eq!((message.subject, message.reply), (Bytes::from_static(b"r"), Bytes::new()));
            (text(message.header), text(message.payload))
        })
        .collect()
}

fn status(text: &str) -> Vec<(String, String)> {
    vec![(format!("NATS/1.0 {text}\r\n\r\n"), String::new())]
}

fn payloads(answer: &[(String, String)]) -> Vec<&str> {
    answer.iter().map(|(_, payload)| payload.as_str()).collect()
}

#[test]
fn single_message_tells_where_it_is_from() {
    let mut bench = bench();
    assert_eq!(
        get(&mut bench, r#"{"seq":1}"#),
        [(
            "NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: foo.a\r\nNats-Sequence: 1\r\n\
             Nats-Time-Stamp: 2023-11-14T22:13:20Z\r\n\r\n"
                .to_owned(),
            "1".to_owned()
        )]
    );
    assert_eq!(
        get(&mut bench, r#"{"seq":2,"unknown":{}}"#)[0].0,
        "NATS/1.0\r\nA: b\r\nNats-Stream: S\r\nNats-Subject: foo.b\r\nNats-Sequence: 2\r\n\
         Nats-Time-Stamp: 2023-11-14T22:13:21Z\r\n\r\n"
    );
    assert_eq!(get(&mut bench, r#"{"seq":2,"no_hdr":true}"#), [(String::new(), "2".to_owned())]);
    for (body, payload) in [
        (r#"{"last_by_subj":"foo.a"}"#, "6"),
        (r#"{"last_by_subj":"foo.*"}"#, "6"),
        (r#"{"next_by_subj":"foo.b"}"#, "2"),
        (r#"{"next_by_subj":"foo.b","seq":3}"#, "5"),
        (r#"{"next_by_subj":"foo.*","seq":4}"#, "5"),
        (r#"{"start_time":"2023-11-14T22:13:21.5Z"}"#, "3"),
        (r#"{"start_time":"2023-11-14T22:13:21.5Z","next_by_subj":"foo.b"}"#, "5"),
    ] {
        assert_eq!(payloads(&get(&mut bench, body)), [payload], "{body}");
    }
}

#[test]
fn requests_are_refused_in_order() {
    let mut bench = bench();
    for (body, text) in [
        ("", "408 Empty Request"),
        ("{", "408 Malformed Request"),
        (r#"{"seq":"1"}"#, "408 Malformed Request"),
        ("{}", "408 Empty Request"),
        ("null", "408 Empty Request"),
        (r#"{"batch":5}"#, "408 Empty Request"),
        (r#"{"seq":1,"last_by_subj":"foo.a"}"#, "408 Bad Request"),
        (r#"{"seq":1,"start_time":"2023-11-14T22:13:20Z"}"#, "408 Bad Request"),
        (r#"{"last_by_subj":"a","start_time":"2023-11-14T22:13:20Z"}"#, "408 Bad Request"),
        (r#"{"last_by_subj":"a","next_by_subj":"b"}"#, "408 Bad Request"),
        (r#"{"last_by_subj":"a","batch":1}"#, "408 Bad Request"),
        (r#"{"last_by_subj":"a","multi_last":["b"]}"#, "408 Bad Request"),
        (r#"{"next_by_subj":"a","multi_last":["b"]}"#, "408 Bad Request"),
        (
            r#"{"multi_last":["b"],"up_to_seq":1,"up_to_time":"2023-11-14T22:13:20Z"}"#,
            "408 Bad Request",
        ),
        (r#"{"seq":4}"#, "404 Message Not Found"),
        (r#"{"seq":9}"#, "404 Message Not Found"),
        (r#"{"last_by_subj":"bar"}"#, "404 Message Not Found"),
        (r#"{"seq":9,"batch":5}"#, "404 Message Not Found"),
        (
            r#"{"start_time":"2033-01-01T00:00:00Z","next_by_subj":"foo.a","batch":1}"#,
            "404 Message Not Found",
        ),
        (r#"{"multi_last":["bar.*"]}"#, "404 No Results"),
        (r#"{"multi_last":["foo.*"],"up_to_time":"2023-11-14T22:13:20Z"}"#, "404 No Results"),
    ] {
        assert_eq!(get(&mut bench, body), status(text), "{body}");
    }
    let level = header(&[("Nats-Required-Api-Level", "5")]);
    let answer = bench.stream.direct_get(Bytes::from_static(b"r"), &level, b"{");
    let answer = collect(&mut bench, answer.expect("a reply"));
    assert_eq!(answer, status("412 Required Api Level"));
    let answer = bench.stream.direct_get_last(b"foo.a", Bytes::from_static(b"r"), &level, b"");
    let answer = collect(&mut bench, answer.expect("a reply"));
    assert_eq!(answer, status("412 Required Api Level"));
    assert!(bench.stream.direct_get(Bytes::new(), b"", b"{}").is_none(), "nobody to answer");
}

#[test]
fn subject_form_gives_the_last_message_and_takes_little_else() {
    let mut bench = bench();
    assert_eq!(payloads(&get_last(&mut bench, "foo.b", "")), ["5"]);
    assert_eq!(
        get_last(&mut bench, "foo.b", r#"{"no_hdr":true,"max_bytes":1}"#),
        [(String::new(), "5".to_owned())]
    );
    for (subject, body, text) in [
        ("", "", "408 Bad Request"),
        ("foo.b", "{", "408 Malformed Request"),
        ("foo.b", r#"{"seq":1}"#, "408 Bad Request"),
        ("foo.b", r#"{"batch":1}"#, "408 Bad Request"),
        ("foo.x", "", "404 Message Not Found"),
    ] {
        assert_eq!(get_last(&mut bench, subject, body), status(text), "{subject} {body}");
    }
}

#[test]
fn batch_steps_over_deletes_and_counts_down() {
    let mut bench = bench();
    let answer = get(&mut bench, r#"{"seq":3,"batch":2}"#);
    assert_eq!(payloads(&answer), ["3", "5", ""]);
    assert!(answer[0].0.ends_with("Nats-Num-Pending: 2\r\nNats-Last-Sequence: 0\r\n\r\n"));
    assert!(answer[1].0.ends_with("Nats-Num-Pending: 1\r\nNats-Last-Sequence: 3\r\n\r\n"));
    assert_eq!(
        answer[2].0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 5\r\n\r\n"
    );
    let answer = get(&mut bench, r#"{"seq":1,"batch":10,"next_by_subj":"foo.b"}"#);
    assert_eq!(payloads(&answer), ["2", "5", ""]);
    assert_eq!(
        answer[2].0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 5\r\n\r\n"
    );
    let answer = get(&mut bench, r#"{"seq":1,"batch":10,"no_hdr":true}"#);
    assert_eq!(payloads(&answer), ["1", "2", "3", "5", "6", ""]);
    assert!(answer[5].0.contains("Nats-Num-Pending: 5\r\n"), "not counted down");
}

#[test]
fn batch_ends_when_its_bytes_are_used_up() {
    let mut bench = bench();
    // Each message is six bytes of subject and payload.
    assert_eq!(payloads(&get(&mut bench, r#"{"seq":1,"batch":9,"max_bytes":1}"#)), ["1", ""]);
    let answer = get(&mut bench, r#"{"seq":3,"batch":9,"max_bytes":12}"#);
    assert_eq!(payloads(&answer), ["3", "5", ""]);
    assert!(answer[2].0.contains("Nats-Num-Pending: 1\r\n"));
}

#[test]
fn batch_without_a_bound_ends_where_a_connection_could_not_take_more() {
    let context = StreamContext { max_pending: 12, ..StreamContext::default() };
    let mut bench = Bench::with(config(&["foo.*"]), context);
    for number in 0..5 {
        bench.put_with("foo.a", &[], &number.to_string());
    }
    assert_eq!(payloads(&get(&mut bench, r#"{"seq":1,"batch":9}"#)), ["0", "1", ""]);
    let body = r#"{"seq":1,"batch":9,"max_bytes":18,"next_by_subj":"foo.a"}"#;
    assert_eq!(payloads(&get(&mut bench, body)), ["0", "1", "2", ""]);
}

#[test]
fn message_stored_while_a_batch_is_read_is_counted() {
    let mut bench = bench();
    let body = br#"{"seq":5,"batch":2}"#;
    let mut answer = bench.stream.direct_get(Bytes::from_static(b"r"), b"", body).expect("a reply");
    bench.stream.next_direct(&mut answer);
    bench.put("foo.z");
    let rest = collect(&mut bench, answer);
    assert_eq!(
        rest[1].0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 6\r\n\r\n"
    );
}

#[test]
fn last_messages_of_several_subjects_come_in_order() {
    let mut bench = bench();
    let answer = get(&mut bench, r#"{"multi_last":["foo.a","foo.b","foo.c"],"no_hdr":true}"#);
    assert_eq!(payloads(&answer), ["5", "6", ""]);
    assert!(answer[0].0.ends_with("Nats-Num-Pending: 1\r\nNats-Last-Sequence: 0\r\n\r\n"));
    assert_eq!(
        answer[2].0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 6\r\n\
         Nats-UpTo-Sequence: 6\r\n\r\n"
    );
    for (body, expected) in [
        (r#"{"multi_last":["foo.*"],"up_to_seq":4}"#, &["2", "3", ""][..]),
        (r#"{"multi_last":["foo.*"],"up_to_time":"2023-11-14T22:13:22Z"}"#, &["1", "2", ""]),
        (r#"{"multi_last":["foo.*"],"seq":6}"#, &["6", ""]),
        (r#"{"multi_last":["foo.*"],"batch":1}"#, &["5", ""]),
        (r#"{"multi_last":["foo.*"],"max_bytes":1}"#, &["5", ""]),
    ] {
        assert_eq!(payloads(&get(&mut bench, body)), expected, "{body}");
    }
}

#[test]
fn message_that_vanished_ends_the_answer() {
    let mut bench = bench();
    let body = br#"{"multi_last":["foo.*"]}"#;
    let answer = bench.stream.direct_get(Bytes::from_static(b"r"), b"", body).expect("a reply");
    bench.stream.delete_message(sequence(5), None, START).expect("there");
    assert_eq!(collect(&mut bench, answer), status("404 Message Not Found"));
}

#[test]
fn too_many_subjects_are_refused() {
    let mut bench = Bench::new(config(&["foo.*"]));
    for number in 0..1025 {
        bench.put(&format!("foo.{number}"));
    }
    assert_eq!(get(&mut bench, r#"{"multi_last":["foo.*"]}"#), status("413 Too Many Results"));
}

#[test]
fn api_request_for_a_message_has_rules_of_its_own() {
    let mut bench = bench();
    let mut get = |body: &str| {
        let request: GetRequest = serde_json::from_str(body).expect("readable");
        bench.stream.get_message(&request).map(|message| message.sequence().get())
    };
    for (body, expected) in [
        (r#"{"seq":1}"#, Ok(1)),
        (r#"{"last_by_subj":"foo.*"}"#, Ok(6)),
        (r#"{"next_by_subj":"foo.b","seq":3}"#, Ok(5)),
        (r#"{"next_by_subj":"foo.b","start_time":"2023-11-14T22:13:22Z"}"#, Ok(5)),
        (r#"{"start_time":"2023-11-14T22:13:22Z"}"#, Ok(3)),
        (r#"{"seq":4}"#, Err(ErrorKind::NoMessageFound)),
        (r#"{"last_by_subj":"x"}"#, Err(ErrorKind::NoMessageFound)),
        ("{}", Err(ErrorKind::BadRequest)),
        (r#"{"seq":1,"batch":1}"#, Err(ErrorKind::BadRequest)),
        (r#"{"seq":1,"max_bytes":1}"#, Err(ErrorKind::BadRequest)),
        (r#"{"seq":1,"last_by_subj":"a"}"#, Err(ErrorKind::BadRequest)),
        (r#"{"last_by_subj":"a","next_by_subj":"a"}"#, Err(ErrorKind::BadRequest)),
    ] {
        assert_eq!(get(body), expected.map_err(ApiError::from), "{body}");
    }
}
