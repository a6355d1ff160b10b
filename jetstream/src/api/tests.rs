//! Requests as clients send them, with the texts of the reference.

use super::decode::{decode, is_empty, looks_like_json};
use super::requests::{CreateConsumerRequest, PurgeRequest, StreamConfigRequest};
use super::responses::Page;
use super::shapes::{CREATE_CONSUMER_REQUEST, STREAM_CONFIG_REQUEST, STREAM_PURGE_REQUEST};
use super::subjects::{Call, ConsumerCall, StreamCall};

fn stream(json: &str) -> Result<StreamConfigRequest, String> {
    decode(json.as_bytes(), &STREAM_CONFIG_REQUEST, true)
}

fn consumer(json: &str) -> Result<CreateConsumerRequest, String> {
    decode(json.as_bytes(), &CREATE_CONSUMER_REQUEST, true)
}

#[test]
fn wrong_requests_are_refused_in_the_reference_s_words() {
    const FIELD: &str = "json: cannot unmarshal";
    for (json, error) in [
        (
            r#"{"max_msgs":"x"}"#,
            "string into Go struct field StreamConfigRequest.StreamConfig.max_msgs of type int64",
        ),
        (
            r#"{"mirror":{"name":4}}"#,
            "number into Go struct field StreamSource.StreamConfig.mirror.name of type string",
        ),
        (
            r#"{"sources":[{"name":4}]}"#,
            "number into Go struct field StreamSource.StreamConfig.sources.name of type string",
        ),
        (
            r#"{"subjects":[4]}"#,
            "number into Go struct field StreamConfigRequest.StreamConfig.subjects of type string",
        ),
        (
            r#"{"subjects":4}"#,
            "number into Go struct field StreamConfigRequest.StreamConfig.subjects of type []string",
        ),
        (
            r#"{"max_age":1.5}"#,
            "number 1.5 into Go struct field StreamConfigRequest.StreamConfig.max_age of type \
             time.Duration",
        ),
        (
            r#"{"max_msg_size":99999999999}"#,
            "number 99999999999 into Go struct field \
             StreamConfigRequest.StreamConfig.max_msg_size of type int32",
        ),
        (
            r#"{"metadata":{"a":1}}"#,
            "number into Go struct field StreamConfigRequest.StreamConfig.metadata of type string",
        ),
        (
            r#"{"pedantic":5}"#,
            "number into Go struct field StreamConfigRequest.pedantic of type bool",
        ),
        ("[]", "array into Go value of type server.StreamConfigRequest"),
        ("\"a\"", "string into Go value of type server.StreamConfigRequest"),
    ] {
        assert_eq!(stream(json), Err(format!("{FIELD} {error}")), "{json}");
    }
    for (json, error) in [
        (r#"{"retention":"x"}"#, r#"can not unmarshal "\"x\"""#),
        (r#"{"retention":4}"#, r#"can not unmarshal "4""#),
        (r#"{"compression":"x"}"#, "unknown compression algorithm"),
        (
            r#"{"mirror":{"opt_start_time":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
        ),
        (r#"{"mirror":{"opt_start_time":5}}"#, "Time.UnmarshalJSON: input is not a JSON string"),
        (r#"{"mirror":{"x":5}}"#, r#"json: unknown field "x""#),
        (r#"{"extra":5,"max_msgs":"x"}"#, r#"json: unknown field "extra""#),
        (r#"{"name":"A"} x"#, "invalid character 'x' looking for beginning of value at offset 14"),
        ("{x", "invalid character 'x' looking for beginning of object key string at offset 2"),
        (r#"{"name":"A""#, "unexpected EOF"),
    ] {
        assert_eq!(stream(json), Err(error.to_owned()), "{json}");
    }
    assert_eq!(
        consumer(r#"{"config":{"max_deliver":"4"}}"#),
        Err(format!(
            "{FIELD} string into Go struct field ConsumerConfig.config.max_deliver of type int"
        ))
    );
    assert_eq!(consumer(r#"{"action":"x"}"#), Err("unknown consumer action: \"x\"".to_owned()));
}

#[test]
fn requests_are_read_as_leniently_as_the_reference_does() {
    let request = stream(
        r#" {"NAME":"a","name":"B","max_age":null,"Discard":"NEW","subjects":["x"],"mirror":null}
            {"max_msgs":5,"subjects":["y","z"]} "#,
    )
    .expect("several values in one");
    assert_eq!(request.config.name, "B", "the last one counts");
    assert_eq!(request.config.subjects, ["y", "z"]);
    assert_eq!(request.config.max_msgs, 5);
    assert_eq!(request.config.discard, crate::config::DiscardPolicy::New);
    assert!(request.config.mirror.is_none());
    assert_eq!(stream(""), Ok(StreamConfigRequest::default()));
    let lenient: PurgeRequest =
        decode(br#"{"seq":18446744073709551615,"x":[{}]}"#, &STREAM_PURGE_REQUEST, false)
            .expect("unknown fields are nothing");
    assert_eq!(lenient.sequence, u64::MAX);
}

#[test]
fn bodies_are_told_apart() {
    for (body, json, empty) in [
        ("", false, true),
        ("  ", false, true),
        ("{}", true, true),
        (" { \n} ", true, true),
        ("[", true, false),
        ("x", false, false),
        ("{\"a\":1}", true, false),
    ] {
        assert_eq!(looks_like_json(body.as_bytes()), json, "{body:?}");
        assert_eq!(is_empty(body.as_bytes()), empty, "{body:?}");
    }
}

#[test]
fn subjects_name_what_is_asked_for() {
    let stream = |stream, call| Some(Call::Stream { stream, call });
    for (subject, call) in [
        ("$JS.API.INFO", Some(Call::AccountInfo)),
        ("$JS.API.STREAM.CREATE.A", stream("A", StreamCall::Create)),
        ("$JS.API.STREAM.MSG.GET.A", stream("A", StreamCall::MessageGet)),
        ("$JS.API.CONSUMER.NAMES.A", stream("A", StreamCall::ConsumerNames)),
        ("$JS.API.CONSUMER.CREATE.A", Some(Call::ConsumerCreate { stream: "A" })),
        ("$JS.API.CONSUMER.CREATE.A.C.foo.>", Some(Call::ConsumerCreate { stream: "A" })),
        (
            "$JS.API.CONSUMER.INFO.A.C",
            Some(Call::Consumer { stream: "A", consumer: "C", call: ConsumerCall::Info }),
        ),
        ("$JS.API.STREAM.CREATE", None),
        ("$JS.API.STREAM.CREATE.A.B", None),
        ("$JS.API.META.LEADER.STEPDOWN", None),
        ("$JS.API", None),
    ] {
        assert_eq!(Call::parse(subject), call, "{subject}");
    }
    let call = Call::parse("$JS.API.CONSUMER.LIST.A").expect("served");
    assert_eq!(call.response_type(), "io.nats.jetstream.api.v1.consumer_list_response");
}

#[test]
fn pages_stay_within_what_there_is() {
    let all = [1, 2, 3, 4, 5];
    for (offset, limit, start, shown) in
        [(0, 2, 0, &[1, 2][..]), (-7, 9, 0, &all), (4, 2, 4, &[5]), (99, 2, 5, &[])]
    {
        let (page, part) = Page::of(&all, offset, limit);
        assert_eq!((page.total, page.offset, page.limit), (5, start, limit));
        assert_eq!(part, shown);
    }
}
