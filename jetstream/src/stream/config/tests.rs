use super::*;
use crate::config::{
    ExternalStream, RePublish, StreamConsumerLimits, StreamConsumerSource, StreamSource,
    SubjectTransformConfig,
};
use std::collections::BTreeMap;

fn named(name: &str) -> StreamConfig {
    StreamConfig { name: name.to_owned(), ..StreamConfig::default() }
}

fn on(subjects: &[&str]) -> StreamConfig {
    StreamConfig {
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        ..named("S")
    }
}

fn source(name: &str) -> StreamSource {
    StreamSource { name: name.to_owned(), ..StreamSource::default() }
}

fn transform(from: &str, to: &str) -> SubjectTransformConfig {
    SubjectTransformConfig { source: from.to_owned(), destination: to.to_owned() }
}

fn external(api: &str, deliver: &str) -> ExternalStream {
    ExternalStream { api_prefix: api.to_owned(), deliver_prefix: deliver.to_owned() }
}

fn consumer(name: &str, deliver: &str) -> StreamConsumerSource {
    StreamConsumerSource { name: name.to_owned(), deliver_subject: deliver.to_owned() }
}

fn mirror(of: StreamSource) -> StreamConfig {
    StreamConfig { mirror: Some(of), ..named("S") }
}

fn sourcing(sources: Vec<StreamSource>) -> StreamConfig {
    StreamConfig { sources, ..named("S") }
}

#[derive(Default)]
struct Streams(BTreeMap<String, StreamConfig>);

impl Streams {
    fn of(configs: impl IntoIterator<Item = StreamConfig>) -> Self {
        Streams(configs.into_iter().map(|config| (config.name.clone(), config)).collect())
    }
}

impl StreamLookup for Streams {
    fn config(&self, name: &str) -> Option<&StreamConfig> {
        self.0.get(name)
    }
}

fn error(config: &StreamConfig) -> (u16, String) {
    error_in(config, &ConfigContext::default())
}

fn error_in(config: &StreamConfig, context: &ConfigContext<'_>) -> (u16, String) {
    let error = validate(config, context).expect_err("invalid");
    (error.err_code, error.description.into_owned())
}

fn pedantic() -> ConfigContext<'static> {
    ConfigContext { pedantic: true, ..ConfigContext::default() }
}

fn valid(config: &StreamConfig) -> StreamConfig {
    validate(config, &ConfigContext::default()).expect("valid")
}

#[test]
fn minimal_configuration_gets_every_default() {
    let config = valid(&named("ORDERS"));
    let expected = StreamConfig {
        subjects: vec!["ORDERS".to_owned()],
        max_msgs: -1,
        max_msgs_per_subject: -1,
        max_bytes: -1,
        max_msg_size: -1,
        max_consumers: -1,
        num_replicas: 1,
        duplicate_window: DEFAULT_DUPLICATE_WINDOW,
        ..named("ORDERS")
    };
    assert_eq!(config, expected);
    assert_eq!(valid(&expected), expected, "defaults are stable");
}

#[test]
fn names_are_checked_before_anything_else() {
    let text = "stream name is required and can not contain '.', '*', '>', '\\', '/'";
    for name in ["", "a b", "a\tb", "a\rb", "a\nb", "a\x0cb", "a.b", "a*", "a>", "a\\b", "a/b"] {
        let config = StreamConfig { num_replicas: 9, ..named(name) };
        assert_eq!(error(&config), (10052, text.to_owned()), "{name:?}");
    }
    assert_eq!(
        error(&named(&"n".repeat(256))),
        (10052, "stream name is too long, maximum allowed is 255".to_owned())
    );
    valid(&named(&"n".repeat(255)));
    let described = |len| StreamConfig { description: "d".repeat(len), ..named("S") };
    valid(&described(4096));
    assert_eq!(
        error(&described(4097)),
        (10052, "stream description is too long, maximum allowed is 4096".to_owned())
    );
    let metadata = BTreeMap::from([("k".to_owned(), "v".repeat(131_072))]);
    assert_eq!(
        error(&StreamConfig { metadata, ..named("S") }),
        (10052, "stream metadata exceeds maximum size of 131072 bytes".to_owned())
    );
}

#[test]
fn each_broken_rule_has_its_error() {
    let second = 1_000_000_000;
    let plain = named("S");
    for (config, err_code, text) in [
        (StreamConfig { num_replicas: 6, ..plain.clone() }, 10052, "maximum replicas is 5"),
        (
            StreamConfig { num_replicas: -1, ..plain.clone() },
            10133,
            "replicas count cannot be negative",
        ),
        (StreamConfig { max_age: -1, ..plain.clone() }, 10052, "max age can not be negative"),
        (
            StreamConfig { max_age: 99_999_999, ..plain.clone() },
            10052,
            "max age needs to be >= 100ms",
        ),
        (
            StreamConfig { duplicate_window: -1, ..plain.clone() },
            10052,
            "duplicates window can not be negative",
        ),
        (
            StreamConfig { max_age: second, duplicate_window: 2 * second, ..plain.clone() },
            10052,
            "duplicates window can not be larger then max age",
        ),
        (
            StreamConfig { duplicate_window: 99_999_999, ..plain.clone() },
            10052,
            "duplicates window needs to be >= 100ms",
        ),
        (
            StreamConfig { deny_purge: true, allow_rollup_hdrs: true, ..plain.clone() },
            10052,
            "roll-ups require the purge permission",
        ),
        (
            StreamConfig { subject_delete_marker_ttl: -1, ..plain.clone() },
            10052,
            "subject delete marker TTL must not be negative",
        ),
        (
            StreamConfig { subject_delete_marker_ttl: second - 1, ..plain.clone() },
            10052,
            "subject delete marker TTL must be at least 1 second",
        ),
        (
            StreamConfig {
                discard: DiscardPolicy::New,
                allow_msg_schedules: true,
                ..plain.clone()
            },
            10052,
            "message scheduling cannot use discard new",
        ),
        (
            StreamConfig { discard_new_per_subject: true, ..plain.clone() },
            10052,
            "discard new per subject requires discard new policy to be set",
        ),
        (
            StreamConfig {
                discard_new_per_subject: true,
                discard: DiscardPolicy::New,
                ..plain.clone()
            },
            10052,
            "discard new per subject requires max msgs per subject > 0",
        ),
        (
            StreamConfig {
                placement: Some(Placement { preferred: "x".to_owned(), ..Placement::default() }),
                ..plain.clone()
            },
            10052,
            "preferred server not permitted in placement",
        ),
    ] {
        assert_eq!(error(&config), (err_code, text.to_owned()));
    }
}

#[test]
fn counter_streams_exclude_what_would_lose_counts() {
    let counter = StreamConfig { allow_msg_counter: true, ..named("S") };
    valid(&counter);
    for (config, text) in [
        (
            StreamConfig { discard: DiscardPolicy::New, ..counter.clone() },
            "counter stream cannot use discard new",
        ),
        (
            StreamConfig { allow_msg_ttl: true, ..counter.clone() },
            "counter stream cannot use message TTLs",
        ),
        (
            StreamConfig { allow_msg_schedules: true, ..counter.clone() },
            "counter stream cannot use message schedules",
        ),
        (
            StreamConfig { retention: RetentionPolicy::Interest, ..counter.clone() },
            "counter stream can only use limits retention",
        ),
    ] {
        assert_eq!(error(&config), (10052, text.to_owned()));
    }
}

#[test]
fn async_persistence_is_for_single_file_streams_without_atomic_batches() {
    let plain = StreamConfig { persist_mode: PersistMode::Async, ..named("S") };
    valid(&plain);
    for (config, text) in [
        (
            StreamConfig { storage: StorageType::Memory, ..plain.clone() },
            "async persist mode is only supported on file storage",
        ),
        (
            StreamConfig { num_replicas: 3, ..plain.clone() },
            "async persist mode is not supported on replicated streams",
        ),
        (
            StreamConfig { allow_atomic: true, ..plain.clone() },
            "async persist mode is not supported with atomic batch publish",
        ),
    ] {
        assert_eq!(error(&config), (10052, text.to_owned()));
    }
}

#[test]
fn negative_limits_are_normalized_unless_pedantic() {
    let plain = named("S");
    for (config, field) in [
        (StreamConfig { max_msgs: -2, ..plain.clone() }, "max_msgs"),
        (StreamConfig { max_msgs_per_subject: -2, ..plain.clone() }, "max_msgs_per_subject"),
        (StreamConfig { max_bytes: -2, ..plain.clone() }, "max_bytes"),
        (StreamConfig { max_msg_size: -2, ..plain.clone() }, "max_msg_size"),
        (StreamConfig { max_consumers: -2, ..plain.clone() }, "max_consumers"),
    ] {
        let normalized = valid(&config);
        assert_eq!(normalized, valid(&plain));
        let text = format!("pedantic mode: {field} must be set to -1");
        assert_eq!(error_in(&config, &pedantic()), (10157, text));
    }
    validate(&plain, &pedantic()).expect("0 is no mistake");
}

#[test]
fn duplicate_window_follows_age_and_server_limit() {
    let minute = 60_000_000_000;
    let aged = StreamConfig { max_age: minute, ..named("S") };
    assert_eq!(valid(&aged).duplicate_window, minute);
    assert_eq!(
        error_in(&aged, &pedantic()),
        (10157, "pedantic mode: duplicate window cannot be bigger than max age".to_owned())
    );
    let limited = ConfigContext { max_duplicate_window: minute, ..ConfigContext::default() };
    let config = validate(&named("S"), &limited).expect("capped");
    assert_eq!(config.duplicate_window, minute);
    assert_eq!(
        error_in(&named("S"), &ConfigContext { pedantic: true, ..limited }),
        (10157, "pedantic mode: duplicate window limits are higher than current limits".to_owned())
    );
    let explicit = StreamConfig { duplicate_window: 2 * minute, ..named("S") };
    assert_eq!(
        error_in(&explicit, &limited),
        (10052, "duplicates window can not be larger then server limit of 1m0s".to_owned())
    );
    assert_eq!(valid(&mirror(source("O"))).duplicate_window, 0);
    assert_eq!(valid(&sourcing(vec![source("O")])).duplicate_window, 0);
}

#[test]
fn delete_markers_and_schedules_turn_on_what_they_need() {
    let markers =
        StreamConfig { subject_delete_marker_ttl: 1_000_000_000, deny_purge: true, ..named("S") };
    let config = valid(&markers);
    assert!(config.allow_msg_ttl && config.allow_rollup_hdrs && !config.deny_purge);
    assert_eq!(
        error_in(&markers, &pedantic()),
        (10052, "subject delete marker cannot be set if message TTLs are disabled".to_owned())
    );
    assert_eq!(
        error_in(&StreamConfig { allow_msg_ttl: true, ..markers }, &pedantic()),
        (10052, "subject delete marker cannot be set if roll-ups are disabled".to_owned())
    );
    let schedules = StreamConfig { allow_msg_schedules: true, deny_purge: true, ..named("S") };
    let config = valid(&schedules);
    assert!(config.allow_rollup_hdrs && !config.deny_purge);
    assert_eq!(
        error_in(&schedules, &pedantic()),
        (10052, "message scheduling cannot be set if roll-ups are disabled".to_owned())
    );
}

#[test]
fn subjects_are_valid_distinct_and_outside_of_the_api() {
    for (subjects, text) in [
        (&["foo..bar"][..], "invalid subject"),
        (&["foo bar"], "invalid subject"),
        (&["foo", "foo"], "subject \"foo\" overlaps with \"foo\""),
        (&[">"], "capturing all subjects requires no-ack to be true"),
        (&["$JS.>"], "subjects that overlap with jetstream api require no-ack to be true"),
        (&["$JS.API.>"], "subjects that overlap with jetstream api require no-ack to be true"),
        (&["$JSC.x"], "subjects that overlap with jetstream api require no-ack to be true"),
        (&["*.x"], "subjects that overlap with jetstream api require no-ack to be true"),
        (&["$SYS.>"], "subjects that overlap with system api require no-ack to be true"),
        (&["$SYS.SERVER.x"], "subjects that overlap with system api require no-ack to be true"),
        (&["a.*", "b", "a.b"], "subject \"a.*\" overlaps with \"a.b\""),
    ] {
        assert_eq!(error(&on(subjects)), (10052, text.to_owned()), "{subjects:?}");
    }
    for subjects in [&["$JS.EVENT.>"][..], &["$SYS.ACCOUNT.>"], &["$KV.b.>"], &["a.*", "b.>"]] {
        valid(&on(subjects));
    }
    let silent = |subjects| StreamConfig { no_ack: true, ..on(subjects) };
    valid(&silent(&[">"]));
    valid(&silent(&["$JS.>", "$SYS.>"]));
    assert_eq!(
        error(&StreamConfig { num_replicas: 3, ..silent(&[">"]) }),
        (10052, "capturing all subjects requires replicas of 1".to_owned())
    );
}

#[test]
fn account_may_require_and_limit_max_bytes() {
    let required = ConfigContext { max_bytes_required: true, ..ConfigContext::default() };
    assert_eq!(error_in(&named("S"), &required).0, 10113);
    let limited = ConfigContext {
        file_max_stream_bytes: 100,
        memory_max_stream_bytes: 200,
        ..ConfigContext::default()
    };
    let sized = |max_bytes, storage| StreamConfig { max_bytes, storage, ..named("S") };
    assert_eq!(error_in(&sized(101, StorageType::File), &limited).0, 10122);
    assert_eq!(error_in(&sized(201, StorageType::Memory), &limited).0, 10122);
    validate(&sized(100, StorageType::File), &limited).expect("fits");
    validate(&sized(200, StorageType::Memory), &limited).expect("fits");
}

#[test]
fn stream_transform_names_its_fault() {
    let with =
        |from, to| StreamConfig { subject_transform: Some(transform(from, to)), ..on(&["foo.*"]) };
    valid(&with("foo.*", "bar.$1"));
    valid(&with("", ""));
    assert_eq!(
        error(&with("foo..*", "bar")),
        (10155, "stream transform source: invalid subject foo..*".to_owned())
    );
    let (code, text) = error(&with("foo.*", "bar.{{nope(1)}}"));
    assert_eq!(code, 10156);
    assert_eq!(
        text,
        "stream transform: invalid mapping destination: unknown function in {{nope(1)}}"
    );
}

#[test]
fn republish_fills_in_its_source_and_forms_no_cycle() {
    let with = |from: &str, to: &str| StreamConfig {
        republish: Some(RePublish {
            source: from.to_owned(),
            destination: to.to_owned(),
            headers_only: false,
        }),
        ..on(&["foo.>"])
    };
    let config = valid(&with("", "rp.>"));
    assert_eq!(config.republish.expect("kept").source, ">");
    assert_eq!(
        error_in(&with("", "rp.>"), &pedantic()),
        (10157, "pedantic mode: republish source can not be empty".to_owned())
    );
    assert_eq!(
        error(&with(">", "foo.x.>")),
        (10052, "stream configuration for republish destination forms a cycle".to_owned())
    );
    assert_eq!(
        error(&with("foo.*", "rp.>")),
        (
            10052,
            "stream configuration for republish with transform from 'foo.*' to 'rp.>' not valid"
                .to_owned()
        )
    );
    let implicit =
        StreamConfig { subject_transform: Some(transform("foo.>", "bar.>")), ..with(">", ">") };
    let republish = valid(&implicit).republish.expect("kept");
    assert_eq!((republish.source.as_str(), republish.destination.as_str()), ("bar.>", "bar.>"));
    assert_eq!(
        error_in(&implicit, &pedantic()),
        (10157, "pedantic mode: implicit republish based on subject transform".to_owned())
    );
}

#[test]
fn empty_placement_is_dropped() {
    let config = StreamConfig { placement: Some(Placement::default()), ..named("S") };
    assert_eq!(valid(&config).placement, None);
}

#[test]
fn mirror_excludes_what_would_make_it_differ() {
    let plain = mirror(source("O"));
    let filtered = |source: StreamSource| StreamSource { filter_subject: "a".to_owned(), ..source };
    let transformed = |transforms: &[(&str, &str)]| StreamSource {
        subject_transforms: transforms.iter().map(|(from, to)| transform(from, to)).collect(),
        ..source("O")
    };
    let durable =
        |name, deliver| StreamSource { consumer: Some(consumer(name, deliver)), ..source("O") };
    valid(&plain);
    valid(&mirror(filtered(source("O"))));
    valid(&mirror(durable("C", "d")));
    for (config, err_code) in [
        (StreamConfig { first_seq: 5, ..plain.clone() }, 10143),
        (StreamConfig { subjects: vec!["a".to_owned()], ..plain.clone() }, 10034),
        (StreamConfig { sources: vec![source("A")], ..plain.clone() }, 10031),
        (StreamConfig { allow_msg_counter: true, ..plain.clone() }, 10173),
        (StreamConfig { allow_atomic: true, ..plain.clone() }, 10198),
        (StreamConfig { allow_batched: true, ..plain.clone() }, 10209),
        (StreamConfig { allow_msg_schedules: true, ..plain.clone() }, 10186),
        (mirror(durable("a.b", "d")), 10213),
        (mirror(durable("C", "")), 10213),
        (mirror(durable("C", "d.*")), 10213),
        (mirror(filtered(durable("C", "d"))), 10213),
        (mirror(StreamSource { opt_start_seq: 2, ..durable("C", "d") }), 10213),
        (mirror(filtered(transformed(&[("a", "b")]))), 10150),
        (StreamConfig { subject_delete_marker_ttl: 2_000_000_000, ..plain.clone() }, 10052),
        (mirror(transformed(&[("a..b", "c")])), 10151),
        (mirror(transformed(&[("a", "c.{{x(}}")])), 10154),
        (mirror(transformed(&[("a.*", "c.$1"), ("a.b", "d")])), 10152),
        (mirror(source("a.b")), 10142),
        (mirror(source("")), 10142),
    ] {
        assert_eq!(error(&config).0, err_code, "{config:?}");
    }
}

#[test]
fn mirror_inherits_direct_gets_of_an_origin_that_is_seen() {
    let origin =
        |allow_direct, max_msg_size| StreamConfig { allow_direct, max_msg_size, ..named("O") };
    let streams = Streams::of([origin(true, 10)]);
    let context = ConfigContext { streams: &streams, ..ConfigContext::default() };
    let plain = mirror(source("O"));
    assert!(validate(&plain, &context).expect("valid").mirror_direct);
    assert_eq!(
        error_in(&plain, &ConfigContext { pedantic: true, ..context }),
        (
            10157,
            "pedantic mode: origin stream has direct get set, mirror has it disabled".to_owned()
        )
    );
    assert_eq!(error_in(&StreamConfig { max_msg_size: 9, ..plain.clone() }, &context).0, 10030);
    validate(&StreamConfig { max_msg_size: 10, ..plain.clone() }, &context).expect("large enough");
    let streams = Streams::of([origin(false, -1)]);
    let context = ConfigContext { streams: &streams, ..ConfigContext::default() };
    let direct = StreamConfig { mirror_direct: true, ..plain };
    assert!(!validate(&direct, &context).expect("valid").mirror_direct);
    assert!(valid(&direct).mirror_direct, "the origin is not seen");
}

#[test]
fn sources_are_distinct_and_well_formed() {
    let filtered = |filter: &str| StreamSource { filter_subject: filter.to_owned(), ..source("A") };
    let transformed = |transforms: &[(&str, &str)]| StreamSource {
        subject_transforms: transforms.iter().map(|(from, to)| transform(from, to)).collect(),
        ..source("A")
    };
    let durable =
        |name, deliver| StreamSource { consumer: Some(consumer(name, deliver)), ..source("A") };
    valid(&sourcing(vec![source("A"), filtered("x"), filtered("y"), source("B")]));
    valid(&sourcing(vec![transformed(&[("a.*", "b"), ("c.>", "d.>")])]));
    valid(&sourcing(vec![durable("C", "d"), durable("D", "e")]));
    for (sources, err_code) in [
        (vec![source("a b")], 10141),
        (vec![source("A"), source("A")], 10140),
        (
            vec![StreamSource { filter_subject: "f".to_owned(), ..transformed(&[("a", "b")]) }],
            10144,
        ),
        (vec![transformed(&[("a..b", "c")])], 10145),
        (vec![transformed(&[("a", "{{x(}}")])], 10146),
        (vec![transformed(&[("a.b", "c"), ("a.*", "d")])], 10147),
        (vec![durable("C", "d.>")], 10215),
        (
            vec![
                durable("C", "d"),
                StreamSource { subject_transforms: vec![transform("x", "y")], ..durable("C", "d") },
            ],
            10216,
        ),
    ] {
        assert_eq!(error(&sourcing(sources)).0, err_code);
    }
    let scheduled = StreamConfig { allow_msg_schedules: true, ..sourcing(vec![source("A")]) };
    assert_eq!(error(&scheduled).0, 10187);
    let streams = Streams::of([StreamConfig { max_msg_size: 10, ..named("A") }]);
    let context = ConfigContext { streams: &streams, ..ConfigContext::default() };
    let small = StreamConfig { max_msg_size: 9, ..sourcing(vec![source("A")]) };
    assert_eq!(error_in(&small, &context).0, 10046);
}

#[test]
fn external_prefixes_stay_clear_of_subjects_and_api() {
    let from = |api, deliver| {
        sourcing(vec![
            source("A"),
            StreamSource { external: Some(external(api, deliver)), ..source("B") },
        ])
    };
    let streams = Streams::of([StreamConfig { subjects: vec![">".to_owned()], ..named("A") }]);
    let context = ConfigContext { streams: &streams, ..ConfigContext::default() };
    validate(&from("$JS.hub.API", ""), &context).expect("valid");
    assert_eq!(
        error(&from("$JS.hub.API", "d.*")),
        (10024, "stream external delivery prefix d.* must not contain wildcards".to_owned())
    );
    assert_eq!(
        error_in(&from("$JS.hub.API", "d"), &context),
        (10022, "stream external delivery prefix d overlaps with stream subject >".to_owned())
    );
    assert_eq!(
        error(&from("a.*", "")),
        (
            10052,
            "stream external api prefix \"a.*\" must be a valid subject without wildcards"
                .to_owned()
        )
    );
    assert_eq!(
        error(&from("$JS.API", "")),
        (10021, "stream external api prefix $JS.API must not overlap with $JS.API".to_owned())
    );
}

#[test]
fn cycles_through_sources_and_mirrors_are_found() {
    let cycle = (10052, "detected cycle".to_owned());
    let streams = Streams::of([
        StreamConfig { subjects: vec!["x".to_owned()], ..sourcing(vec![source("S")]) }.renamed("A"),
        mirror(source("S")).renamed("M"),
        sourcing(vec![source("S")]).renamed("B"),
    ]);
    let context = ConfigContext { streams: &streams, ..ConfigContext::default() };
    let on_x = |sources| StreamConfig { sources, ..on(&["x"]) };
    assert_eq!(error_in(&on_x(vec![source("A")]), &context), cycle);
    assert_eq!(error_in(&on_x(vec![source("M")]), &context), cycle);
    assert_eq!(error_in(&mirror(source("S")), &context), cycle);
    let itself = StreamSource { filter_subject: "y".to_owned(), ..source("S") };
    validate(&on_x(vec![itself]), &context).expect("its own subjects do not match the filter");
}

trait Renamed {
    fn renamed(self, name: &str) -> Self;
}

impl Renamed for StreamConfig {
    fn renamed(self, name: &str) -> Self {
        StreamConfig { name: name.to_owned(), ..self }
    }
}

#[test]
fn updates_that_cannot_be_undone_are_refused() {
    let old = valid(&StreamConfig {
        deny_delete: true,
        deny_purge: true,
        allow_msg_ttl: true,
        ..on(&["a"])
    });
    let scheduled = valid(&StreamConfig { allow_msg_schedules: true, ..on(&["a"]) });
    let work_queue = valid(&StreamConfig { retention: RetentionPolicy::WorkQueue, ..on(&["a"]) });
    let sealed = StreamConfig { sealed: true, ..old.clone() };
    let prefix = "stream configuration update can not";
    for (old, new, text) in [
        (&old, old.clone().renamed("T"), "stream configuration name must match original".into()),
        (
            &old,
            StreamConfig { storage: StorageType::Memory, ..old.clone() },
            format!("{prefix} change storage type"),
        ),
        (
            &old,
            StreamConfig { retention: RetentionPolicy::WorkQueue, ..old.clone() },
            format!("{prefix} change retention policy to/from workqueue"),
        ),
        (
            &work_queue,
            StreamConfig { retention: RetentionPolicy::Interest, ..work_queue.clone() },
            format!("{prefix} change retention policy to/from workqueue"),
        ),
        (&sealed, old.clone(), format!("{prefix} unseal a sealed stream")),
        (
            &old,
            StreamConfig { deny_delete: false, ..old.clone() },
            format!("{prefix} cancel deny message deletes"),
        ),
        (
            &old,
            StreamConfig { deny_purge: false, ..old.clone() },
            format!("{prefix} cancel deny purge"),
        ),
        (
            &old,
            StreamConfig { allow_msg_ttl: false, ..old.clone() },
            "message TTL status can not be disabled".into(),
        ),
        (
            &scheduled,
            StreamConfig { allow_msg_schedules: false, ..scheduled.clone() },
            "message schedules can not be disabled".into(),
        ),
        (
            &work_queue,
            StreamConfig { persist_mode: PersistMode::Async, ..work_queue.clone() },
            format!("{prefix} change persist mode"),
        ),
        (
            &scheduled,
            StreamConfig {
                allow_msg_counter: true,
                allow_msg_schedules: false,
                ..scheduled.clone()
            },
            format!("{prefix} change message counter setting"),
        ),
    ] {
        let error = check_update(old, &new, &ConfigContext::default()).expect_err("refused");
        assert_eq!((error.err_code, error.description.as_ref()), (10052, text.as_str()));
    }
    let interest = StreamConfig { retention: RetentionPolicy::Interest, ..old.clone() };
    check_update(&old, &interest, &ConfigContext::default()).expect("allowed");
}

#[test]
fn mirror_can_be_removed_but_not_changed() {
    let context = ConfigContext::default();
    let old = valid(&mirror(source("O")));
    let other = mirror(source("P"));
    assert_eq!(check_update(&old, &other, &context).expect_err("refused").err_code, 10055);
    let plain = valid(&on(&["a"]));
    assert_eq!(
        check_update(&plain, &mirror(source("O")), &context).expect_err("refused").err_code,
        10055
    );
    let promoted = check_update(&old, &on(&["a"]), &context).expect("allowed");
    assert_eq!(promoted.mirror, None);
}

#[test]
fn sealing_forces_what_keeps_the_stream_as_it_is() {
    let old = valid(&StreamConfig { max_age: 120_000_000_000, ..on(&["a"]) });
    let requested = StreamConfig { sealed: true, allow_rollup_hdrs: true, ..old.clone() };
    let new = check_update(&old, &requested, &ConfigContext::default()).expect("allowed");
    assert_eq!((new.max_age, new.discard), (0, DiscardPolicy::New));
    assert!(new.sealed && new.deny_delete && new.deny_purge && !new.allow_rollup_hdrs);
}

#[test]
fn omitted_fields_of_an_update_take_their_defaults() {
    let old = valid(&StreamConfig { max_age: 120_000_000_000, max_msgs: 5, ..on(&["a"]) });
    let new = check_update(&old, &on(&["a"]), &ConfigContext::default()).expect("allowed");
    assert_eq!((new.max_age, new.max_msgs), (0, -1));
}

#[test]
fn lowered_consumer_limits_name_the_consumers_above_them() {
    let limits = |inactive_threshold, max_ack_pending| StreamConfig {
        consumer_limits: StreamConsumerLimits { inactive_threshold, max_ack_pending },
        ..named("S")
    };
    let consumers = [("a", 10, 5), ("b", 20, 1), ("c", 1, 9)];
    let check = |old: &StreamConfig, new: &StreamConfig| {
        check_consumer_limits(old, new, consumers).map_err(|error| error.to_string())
    };
    let text = |names| Err(format!("change to limits violates consumers: {names} (10069)"));
    assert_eq!(check(&limits(0, 0), &limits(15, 0)), text("b"));
    assert_eq!(check(&limits(0, 0), &limits(5, 5)), text("a, b, c"));
    assert_eq!(check(&limits(5, 5), &limits(5, 5)), Ok(()), "nothing was lowered");
    assert_eq!(check(&limits(5, 5), &limits(0, 0)), Ok(()));
}

#[test]
fn streams_of_an_account_share_no_subjects() {
    let list = |subjects: &[&str]| on(subjects).subjects;
    assert!(subjects_overlap(&list(&["a", "b.*"]), &list(&["c", "b.x"])));
    assert!(!subjects_overlap(&list(&["a", "b.*"]), &list(&["c", "b.x.y"])));
    assert!(!subjects_overlap(&[], &list(&["a"])));
}
