use super::*;
use crate::api_error::ApiError;
use crate::config::{DeliverPolicy, Placement, ReplayPolicy, StreamConsumerLimits};
use crate::time::DateTime;

const SECOND: i64 = 1_000_000_000;

fn stream() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        num_replicas: 1,
        ..StreamConfig::default()
    }
}

fn pull() -> ConsumerConfig {
    ConsumerConfig { name: "C".to_owned(), durable_name: "C".to_owned(), ..Default::default() }
}

fn push() -> ConsumerConfig {
    ConsumerConfig { deliver_subject: "deliver".to_owned(), ..pull() }
}

fn applied(config: ConsumerConfig) -> ConsumerConfig {
    with_defaults(config, &stream(), &ConsumerLimits::default())
}

fn with_defaults(
    mut config: ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
) -> ConsumerConfig {
    defaults::apply(&mut config, stream, limits, false).expect("nobody is pedantic");
    config
}

/// The number and text of an error.
fn told(result: Result<(), ApiError>) -> Option<(u16, String)> {
    result.err().map(|error| (error.err_code, error.description.into_owned()))
}

/// What a configuration with its defaults is told.
fn checked(config: ConsumerConfig) -> Option<(u16, String)> {
    let stream = stream();
    let limits = ConsumerLimits::default();
    told(validate::check(&with_defaults(config, &stream, &limits), &stream, &limits, false))
}

fn code(config: ConsumerConfig) -> Option<u16> {
    checked(config).map(|(code, _)| code)
}

#[test]
fn defaults_fill_in_what_was_left_out() {
    let config = applied(ConsumerConfig { ack_policy: AckPolicy::Explicit, ..pull() });
    assert_eq!(config.max_deliver, -1);
    assert_eq!(config.max_waiting, 512);
    assert_eq!(config.ack_wait, 30 * SECOND);
    assert_eq!(config.max_ack_pending, 1_000);
    let config = applied(pull());
    assert_eq!((config.ack_wait, config.max_ack_pending), (0, 0));
    let config = applied(ConsumerConfig { ack_policy: AckPolicy::All, ..push() });
    assert_eq!((config.max_waiting, config.ack_wait), (0, 30 * SECOND));
    let config =
        applied(ConsumerConfig { priority_policy: PriorityPolicy::PinnedClient, ..pull() });
    assert_eq!(config.priority_timeout, 120 * SECOND);
    let config = applied(ConsumerConfig { ack_policy: AckPolicy::FlowControl, ..push() });
    assert!(config.flow_control);
    assert_eq!((config.idle_heartbeat, config.ack_wait), (SECOND, 0));
}

#[test]
fn defaults_bring_back_what_is_out_of_range() {
    let config = applied(ConsumerConfig {
        max_deliver: -7,
        max_waiting: -1,
        max_ack_pending: -5,
        max_batch: -1,
        max_expires: -1,
        max_bytes: -1,
        idle_heartbeat: -1,
        inactive_threshold: -1,
        priority_timeout: -1,
        ..pull()
    });
    let expected =
        ConsumerConfig { max_deliver: -1, max_waiting: 512, max_ack_pending: -1, ..pull() };
    assert_eq!(config, expected);
}

#[test]
fn first_backoff_is_the_ack_wait() {
    let config = applied(ConsumerConfig {
        ack_policy: AckPolicy::Explicit,
        ack_wait: 5,
        backoff: vec![7, 8],
        ..pull()
    });
    assert_eq!(config.ack_wait, 7);
}

#[test]
fn limits_of_server_account_and_stream_are_defaults_too() {
    let explicit = ConsumerConfig { ack_policy: AckPolicy::Explicit, ..pull() };
    for (server, account, expected) in
        [(0, 0, 1_000), (500, 0, 500), (500, 20, 20), (5_000, 0, 1_000)]
    {
        let limits = ConsumerLimits {
            server_max_ack_pending: server,
            account_max_ack_pending: account,
            ..ConsumerLimits::default()
        };
        let config = with_defaults(explicit.clone(), &stream(), &limits);
        assert_eq!(config.max_ack_pending, expected);
    }
    let consumer_limits =
        StreamConsumerLimits { inactive_threshold: 9 * SECOND, max_ack_pending: 42 };
    let stream = StreamConfig { consumer_limits, ..stream() };
    let config = with_defaults(explicit, &stream, &ConsumerLimits::default());
    assert_eq!((config.max_ack_pending, config.inactive_threshold), (42, 9 * SECOND));
    // So a push consumer that acknowledges nothing has a limit it may not have.
    let config = with_defaults(push(), &stream, &ConsumerLimits::default());
    let result = validate::check(&config, &stream, &ConsumerLimits::default(), false);
    assert_eq!(told(result).map(|(code, _)| code), Some(10082));
    let limits = ConsumerLimits { server_max_request_batch: 250, ..ConsumerLimits::default() };
    assert_eq!(with_defaults(pull(), &super::tests::stream(), &limits).max_batch, 250);
    assert_eq!(with_defaults(push(), &super::tests::stream(), &limits).max_batch, 0);
}

#[test]
fn pedantic_clients_are_told_instead() {
    let limited = StreamConfig {
        consumer_limits: StreamConsumerLimits { inactive_threshold: 1, max_ack_pending: 1 },
        ..stream()
    };
    let batch = ConsumerLimits { server_max_request_batch: 5, ..ConsumerLimits::default() };
    let none = ConsumerLimits::default();
    let plain = stream();
    let set = |change: fn(&mut ConsumerConfig)| {
        let mut config = pull();
        change(&mut config);
        config
    };
    for (config, stream, limits, text) in [
        (set(|c| c.max_deliver = -2), &plain, none, "max_deliver must be set to -1"),
        (set(|c| c.max_waiting = -1), &plain, none, "max_waiting must not be negative"),
        (set(|c| c.max_ack_pending = -2), &plain, none, "max_ack_pending must be set to -1"),
        (set(|c| c.max_batch = -1), &plain, none, "max_batch must not be negative"),
        (set(|c| c.max_expires = -1), &plain, none, "max_expires must not be negative"),
        (set(|c| c.max_bytes = -1), &plain, none, "max_bytes must not be negative"),
        (set(|c| c.idle_heartbeat = -1), &plain, none, "idle_heartbeat must not be negative"),
        (
            set(|c| c.inactive_threshold = -1),
            &plain,
            none,
            "inactive_threshold must not be negative",
        ),
        (set(|c| c.priority_timeout = -1), &plain, none, "priority_timeout must not be negative"),
        (
            set(|c| c.backoff = vec![5]),
            &plain,
            none,
            "first backoff value has to equal batch AckWait",
        ),
        (pull(), &limited, none, "max_ack_pending must be set if it's configured in stream limits"),
        (
            set(|c| c.max_ack_pending = 1),
            &limited,
            none,
            "inactive_threshold must be set if it's configured in stream limits",
        ),
        (pull(), &plain, batch, "max_request_batch must be set if it's JetStream limits are set"),
    ] {
        let mut config = config;
        let result = defaults::apply(&mut config, stream, &limits, true);
        assert_eq!(told(result), Some((10157, format!("pedantic mode: {text}"))));
    }
    // What only fills in is no reason to complain.
    assert_eq!(defaults::apply(&mut pull(), &plain, &none, true), Ok(()));
    let mut config = ConsumerConfig { ack_policy: AckPolicy::FlowControl, ..push() };
    defaults::apply(&mut config, &plain, &none, true).expect("nothing to adjust");
    assert!(!config.flow_control);
}

#[test]
fn names_and_replicas_are_checked_first() {
    let text = r"consumer name can not contain '.', '*', '>', '\', '/'";
    for name in ["a.b", "a*", ">", "a b", "a/b", r"a\b", "a\t"] {
        let config = ConsumerConfig { name: name.to_owned(), ..ConsumerConfig::default() };
        assert_eq!(checked(config), Some((10052, text.to_owned())), "{name}");
    }
    let text = r"consumer durable name can not contain '.', '*', '>', '\', '/'";
    let config = ConsumerConfig { durable_name: "a.b".to_owned(), ..ConsumerConfig::default() };
    assert_eq!(checked(config), Some((10052, text.to_owned())));
    assert_eq!(code(ConsumerConfig { num_replicas: 3, ..pull() }), Some(10126));
    assert_eq!(code(ConsumerConfig { num_replicas: -1, ..pull() }), Some(10133));
    let stream = StreamConfig { num_replicas: 3, retention: RetentionPolicy::Interest, ..stream() };
    let config = ConsumerConfig { num_replicas: 1, ..applied(pull()) };
    let limits = ConsumerLimits::default();
    let result = validate::check(&config, &stream, &limits, false);
    assert_eq!(told(result).map(|(code, _)| code), Some(10134));
    assert_eq!(validate::check(&config, &stream, &limits, true), Ok(()));
}

#[test]
fn waits_and_deliveries_are_checked() {
    assert_eq!(code(ConsumerConfig { backoff: vec![1, -1], ..pull() }), Some(10184));
    assert_eq!(code(ConsumerConfig { ack_wait: -1, ..pull() }), Some(10183));
    let explicit = ConsumerConfig { ack_policy: AckPolicy::Explicit, ..pull() };
    for (backoffs, max_deliver, refused) in
        [(3, 2, true), (3, 3, false), (3, 4, false), (3, -1, false)]
    {
        let config =
            ConsumerConfig { backoff: vec![SECOND; backoffs], max_deliver, ..explicit.clone() };
        assert_eq!(code(config).is_some(), refused, "{max_deliver}");
    }
    let config = ConsumerConfig { description: "x".repeat(4_097), ..pull() };
    let text = "consumer description is too long, maximum allowed is 4096";
    assert_eq!(checked(config), Some((10107, text.to_owned())));
}

#[test]
fn acknowledging_by_flow_control_has_its_rules() {
    let valid = applied(ConsumerConfig { ack_policy: AckPolicy::FlowControl, ..push() });
    let check = |change: fn(&mut ConsumerConfig)| {
        let mut config = valid.clone();
        change(&mut config);
        told(validate::check(&config, &stream(), &ConsumerLimits::default(), false))
    };
    assert_eq!(check(|_| {}), None);
    let code = |told: Option<(u16, String)>| told.map(|(code, _)| code);
    assert_eq!(code(check(|c| c.deliver_subject.clear())), Some(10218));
    assert_eq!(code(check(|c| c.flow_control = false)), Some(10219));
    let text = "flow control ack policy heartbeat needs to be 1s".to_owned();
    assert_eq!(check(|c| c.idle_heartbeat = 2 * SECOND), Some((10052, text)));
    assert_eq!(code(check(|c| c.max_ack_pending = 0)), Some(10220));
    assert_eq!(code(check(|c| c.max_ack_pending = -1)), Some(10220));
    assert_eq!(code(check(|c| c.ack_wait = 1)), Some(10221));
    assert_eq!(code(check(|c| c.backoff = vec![0])), Some(10221));
    assert_eq!(code(check(|c| c.max_deliver = 5)), Some(10222));
}

#[test]
fn push_consumers_have_their_rules() {
    let deliver = |subject: &str| ConsumerConfig { deliver_subject: subject.to_owned(), ..pull() };
    assert_eq!(code(deliver("a.*")), Some(10079));
    assert_eq!(code(deliver("a.>")), Some(10079));
    assert_eq!(code(deliver("a..b")), Some(10112));
    assert_eq!(code(deliver("a b")), Some(10112));
    assert_eq!(code(deliver(" x")), Some(10112));
    assert_eq!(code(deliver("orders.mine")), Some(10081));
    assert_eq!(code(ConsumerConfig { max_waiting: 5, ..push() }), Some(10080));
    assert_eq!(code(ConsumerConfig { max_ack_pending: 5, ..push() }), Some(10082));
    assert_eq!(code(ConsumerConfig { idle_heartbeat: 99_999_999, ..push() }), Some(10083));
    assert_eq!(code(ConsumerConfig { idle_heartbeat: 100_000_000, ..push() }), None);
    assert_eq!(code(ConsumerConfig { flow_control: true, ..push() }), Some(10108));
}

#[test]
fn pull_consumers_have_their_rules() {
    assert_eq!(code(ConsumerConfig { rate_limit_bps: 8, ..pull() }), Some(10086));
    assert_eq!(code(ConsumerConfig { idle_heartbeat: SECOND, ..pull() }), Some(10088));
    assert_eq!(code(ConsumerConfig { flow_control: true, ..pull() }), Some(10089));
    assert_eq!(code(ConsumerConfig { max_expires: 999_999, ..pull() }), Some(10115));
    assert_eq!(code(ConsumerConfig { max_expires: 1_000_000, ..pull() }), None);
    assert_eq!(code(ConsumerConfig { direct: true, ..pull() }), Some(10090));
    assert_eq!(code(ConsumerConfig { direct: true, ..push() }), Some(10091));
    let limits = ConsumerLimits { server_max_request_batch: 10, ..ConsumerLimits::default() };
    let config = applied(ConsumerConfig { max_batch: 11, ..pull() });
    let text = "consumer max request batch exceeds server limit of 10".to_owned();
    let result = validate::check(&config, &stream(), &limits, false);
    assert_eq!(told(result), Some((10125, text)));
    let queue = StreamConfig { retention: RetentionPolicy::WorkQueue, ..stream() };
    let result = validate::check(&applied(pull()), &queue, &limits, false);
    assert_eq!(told(result).map(|(code, _)| code), Some(10084));
    let interest = StreamConfig { retention: RetentionPolicy::Interest, ..stream() };
    assert_eq!(validate::check(&applied(pull()), &interest, &limits, false), Ok(()));
}

#[test]
fn limits_of_server_account_and_stream_are_named() {
    let config = ConsumerConfig {
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 100,
        inactive_threshold: 90 * SECOND,
        ..pull()
    };
    let config = applied(config);
    let consumer_limits = StreamConsumerLimits { max_ack_pending: 70, ..Default::default() };
    let limited = StreamConfig { consumer_limits, ..stream() };
    for (server, account, limit) in [(90, 80, 90), (0, 80, 80), (0, 0, 70)] {
        let limits = ConsumerLimits {
            server_max_ack_pending: server,
            account_max_ack_pending: account,
            ..ConsumerLimits::default()
        };
        let text = format!("consumer max ack pending exceeds system limit of {limit}");
        let result = validate::check(&config, &limited, &limits, false);
        assert_eq!(told(result), Some((10121, text)));
    }
    let consumer_limits =
        StreamConsumerLimits { inactive_threshold: 60 * SECOND, ..Default::default() };
    let limited = StreamConfig { consumer_limits, ..stream() };
    let result = validate::check(&config, &limited, &ConsumerLimits::default(), false);
    let text = "consumer inactive threshold exceeds system limit of 1m0s".to_owned();
    assert_eq!(told(result), Some((10153, text)));
}

#[test]
fn filters_must_be_subjects_that_do_not_cover_each_other() {
    let filters = |filters: &[&str]| ConsumerConfig {
        filter_subjects: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        ..pull()
    };
    let single = |filter: &str| ConsumerConfig { filter_subject: filter.to_owned(), ..pull() };
    assert_eq!(code(single("anything.>")), None);
    let bad = Some((10052, "invalid subject".to_owned()));
    assert_eq!(checked(single("a..b")), bad);
    assert_eq!(checked(filters(&["a", "b..c"])), bad);
    assert_eq!(code(filters(&["a", ""])), Some(10139));
    let both = ConsumerConfig { filter_subject: "a".to_owned(), ..filters(&["b"]) };
    assert_eq!(code(both), Some(10136));
    assert_eq!(code(filters(&["a", "a"])), Some(10138));
    assert_eq!(code(filters(&["a.*", "a.b"])), Some(10138));
    assert_eq!(code(filters(&["a.b", "a.>"])), Some(10138));
    assert_eq!(code(filters(&["a.foo.*", "a.*.foo"])), None);
    assert_eq!(code(filters(&["a", "b", "a.b"])), None);
}

#[test]
fn many_filters_are_compared_as_few_are() {
    let base: Vec<String> = (0..200).map(|n| format!("f.{n}.x")).collect();
    let with = |filter: &str| {
        let mut filter_subjects = base.clone();
        filter_subjects.push(filter.to_owned());
        code(ConsumerConfig { filter_subjects, ..pull() })
    };
    assert_eq!(with("g"), None);
    assert_eq!(with("f.7.x"), Some(10138));
    assert_eq!(with("f.7.*"), Some(10138));
    assert_eq!(with("f.>"), Some(10138));
    assert_eq!(with("*.7.x"), Some(10138));
    assert_eq!(with("f.7.x.*"), None);
    assert_eq!(with("f.*.y"), None);
    assert_eq!(with("f..x"), Some(10052));
}

#[test]
fn start_must_fit_the_deliver_policy() {
    let time = DateTime::parse("2024-01-01T00:00:00Z").ok();
    let also = |policy: &str, start: &str| {
        format!(
            "consumer delivery policy is deliver {policy}, but optional start {start} is also set"
        )
    };
    let not = |policy: &str, what: &str| {
        format!("consumer delivery policy is deliver {policy}, but optional {what} is not set")
    };
    let filtered = ConsumerConfig { filter_subject: "a".to_owned(), ..pull() };
    for (policy, name) in [
        (DeliverPolicy::All, "all"),
        (DeliverPolicy::Last, "last"),
        (DeliverPolicy::LastPerSubject, "last per subject"),
        (DeliverPolicy::New, "new"),
    ] {
        let config = ConsumerConfig { deliver_policy: policy, ..filtered.clone() };
        assert_eq!(checked(config.clone()), None);
        let sequence = ConsumerConfig { opt_start_seq: 1, opt_start_time: time, ..config.clone() };
        assert_eq!(checked(sequence), Some((10094, also(name, "sequence"))));
        let with_time = ConsumerConfig { opt_start_time: time, ..config };
        assert_eq!(checked(with_time), Some((10094, also(name, "time"))));
    }
    let by_sequence = ConsumerConfig { deliver_policy: DeliverPolicy::ByStartSequence, ..pull() };
    assert_eq!(
        checked(by_sequence.clone()),
        Some((10094, not("by start sequence", "start sequence")))
    );
    let both = ConsumerConfig { opt_start_seq: 1, opt_start_time: time, ..by_sequence.clone() };
    assert_eq!(checked(both), Some((10094, also("by start sequence", "time"))));
    assert_eq!(checked(ConsumerConfig { opt_start_seq: 1, ..by_sequence }), None);
    let by_time = ConsumerConfig { deliver_policy: DeliverPolicy::ByStartTime, ..pull() };
    assert_eq!(checked(by_time.clone()), Some((10094, not("by start time", "start time"))));
    let both = ConsumerConfig { opt_start_seq: 1, opt_start_time: time, ..by_time.clone() };
    assert_eq!(checked(both), Some((10094, also("by start time", "start sequence"))));
    assert_eq!(checked(ConsumerConfig { opt_start_time: time, ..by_time }), None);
    let unfiltered = ConsumerConfig { deliver_policy: DeliverPolicy::LastPerSubject, ..pull() };
    assert_eq!(checked(unfiltered), Some((10094, not("last per subject", "filter subject"))));
}

#[test]
fn sampling_is_a_number_with_or_without_percent_sign() {
    let sampled = |text: &str| ConsumerConfig { sample_freq: text.to_owned(), ..pull() };
    for (text, percent) in [("", 0), ("0", 0), ("30", 30), ("30%", 30), ("+5", 5), ("200", 200)] {
        assert_eq!(checked(sampled(text)), None, "{text}");
        assert_eq!(sampled(text).sample_percent(), percent);
    }
    let refused = |text: &str| {
        let start = "failed to parse consumer sampling configuration: ";
        checked(sampled(text)).map(|(code, told)| {
            assert_eq!(code, 10095);
            told.trim_start_matches(start).to_owned()
        })
    };
    let parsing = |text: &str| Some(format!("strconv.Atoi: parsing {text}"));
    assert_eq!(refused("x%"), parsing(r#""x": invalid syntax"#));
    assert_eq!(refused("%"), parsing(r#""": invalid syntax"#));
    assert_eq!(refused("1.5"), parsing(r#""1.5": invalid syntax"#));
    assert_eq!(
        refused("99999999999999999999"),
        parsing(r#""99999999999999999999": value out of range"#)
    );
    assert_eq!(refused("-1").as_deref(), Some("<nil>"));
}

#[test]
fn names_metadata_and_groups_are_checked_last() {
    let config = ConsumerConfig { name: "other".to_owned(), ..pull() };
    assert_eq!(code(config), Some(10132));
    let metadata = [("k".to_owned(), "x".repeat(128 * 1024))].into();
    let text = "consumer metadata exceeds maximum size of 128KB".to_owned();
    assert_eq!(checked(ConsumerConfig { metadata, ..pull() }), Some((10135, text)));
    let grouped = |groups: &[&str], policy| ConsumerConfig {
        priority_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        priority_policy: policy,
        ..pull()
    };
    let overflow = PriorityPolicy::Overflow;
    assert_eq!(code(grouped(&["A", "a-Z/0_=9", "group/consumer=A"], overflow)), None);
    for name in ["A B", "A\tB", "group-name-that-is-too-long", "\r\n"] {
        assert_eq!(code(grouped(&[name], overflow)), Some(10162), "{name:?}");
    }
    let push = ConsumerConfig { deliver_subject: "d".to_owned(), ..grouped(&["A"], overflow) };
    assert_eq!(code(push), Some(10178));
    assert_eq!(code(grouped(&[], overflow)), Some(10159));
    assert_eq!(code(grouped(&["A", ""], overflow)), Some(10161));
    assert_eq!(code(grouped(&["a b"], overflow)), Some(10162));
    assert_eq!(code(grouped(&["12345678901234567"], overflow)), Some(10162));
    assert_eq!(code(grouped(&["A"], PriorityPolicy::None)), Some(10196));
    assert_eq!(code(ConsumerConfig { priority_timeout: 1, ..pull() }), Some(10197));
    let placement = Some(Placement { preferred: "s1".to_owned(), ..Placement::default() });
    let stream = StreamConfig { placement, ..stream() };
    let result = validate::check(&applied(pull()), &stream, &ConsumerLimits::default(), false);
    let text = "preferred server not permitted in placement".to_owned();
    assert_eq!(told(result), Some((10052, text)));
}

#[test]
fn updates_name_what_cannot_change() {
    let current = applied(ConsumerConfig { ack_policy: AckPolicy::Explicit, ..push() });
    let changed = |change: fn(&mut ConsumerConfig), is_bound| {
        let mut requested = current.clone();
        change(&mut requested);
        told(update::check(&current, &requested, is_bound))
    };
    let fixed = |text: &str| Some((10012, format!("{text} can not be updated")));
    assert_eq!(changed(|c| c.deliver_policy = DeliverPolicy::New, false), fixed("deliver policy"));
    assert_eq!(changed(|c| c.mem_storage = true, false), fixed("storage type"));
    assert_eq!(changed(|c| c.opt_start_seq = 5, false), fixed("start sequence"));
    assert_eq!(changed(|c| c.opt_start_time = Some(DateTime::ZERO), false), fixed("start time"));
    assert_eq!(changed(|c| c.ack_policy = AckPolicy::All, false), fixed("ack policy"));
    assert_eq!(
        changed(|c| c.replay_policy = ReplayPolicy::Original, false),
        fixed("replay policy")
    );
    assert_eq!(changed(|c| c.idle_heartbeat = SECOND, false), fixed("heart beats"));
    assert_eq!(changed(|c| c.flow_control = true, false), fixed("flow control"));
    assert_eq!(changed(|c| c.max_waiting = 1, false), fixed("max waiting"));
    let text = "can not update push consumer to pull based".to_owned();
    assert_eq!(changed(|c| c.deliver_subject.clear(), false), Some((10012, text)));
    let text = "consumer name already in use".to_owned();
    assert_eq!(changed(|c| c.deliver_subject = "x".to_owned(), true), Some((10013, text)));
    assert_eq!(changed(|c| c.deliver_subject = "x".to_owned(), false), None);
    let too_many = |c: &mut ConsumerConfig| {
        c.backoff = vec![1, 2];
        c.max_deliver = 1;
    };
    assert_eq!(changed(too_many, false).map(|(code, _)| code), Some(10116));
    let result = update::check(&applied(pull()), &applied(push()), false);
    let text = "can not update pull consumer to push based".to_owned();
    assert_eq!(told(result), Some((10012, text)));
    let allowed = |c: &mut ConsumerConfig| {
        c.description = "d".to_owned();
        c.ack_wait = 1;
        c.max_deliver = 9;
        c.filter_subject = "f".to_owned();
        c.sample_freq = "5".to_owned();
        c.max_ack_pending = 7;
        c.headers_only = true;
        c.inactive_threshold = 8;
        c.rate_limit_bps = 9;
        c.deliver_group = "g".to_owned();
        c.metadata.insert("k".to_owned(), "v".to_owned());
    };
    assert_eq!(changed(allowed, true), None);
}

#[test]
fn same_configuration_may_differ_in_versions() {
    let mut stored = applied(pull());
    stored.metadata.insert("_nats.req.level".to_owned(), "0".to_owned());
    let mut requested = applied(pull());
    requested.metadata.insert("_nats.ver".to_owned(), "9".to_owned());
    requested.metadata.insert("_nats.req.level".to_owned(), "1".to_owned());
    assert!(update::is_same(&mut requested, &stored));
    requested.description = "other".to_owned();
    assert!(!update::is_same(&mut requested, &stored));
}

#[test]
fn consumers_of_a_stream_are_limited() {
    let others: Vec<(String, ConsumerConfig)> =
        vec![("A".to_owned(), pull()), ("B".to_owned(), ConsumerConfig { direct: true, ..push() })];
    let others = || others.iter().map(|(name, config)| (name.as_str(), config));
    for (of_stream, of_account, refused) in
        [(1, 0, true), (2, 0, false), (-1, 1, true), (5, 1, true), (0, 0, false), (1, 5, true)]
    {
        let stream = StreamConfig { max_consumers: of_stream, ..stream() };
        let limits = ConsumerLimits { account_max_consumers: of_account, ..Default::default() };
        let result = admission::check_new(&pull(), &stream, &limits, others());
        let expected = refused.then(|| (10026, "maximum consumers limit reached".to_owned()));
        assert_eq!(told(result), expected, "{of_stream} {of_account}");
    }
}

#[test]
fn work_queue_gives_each_message_to_one_consumer() {
    let queue = StreamConfig { retention: RetentionPolicy::WorkQueue, ..stream() };
    let named = |name: &str, filter: &str| ConsumerConfig {
        name: name.to_owned(),
        durable_name: name.to_owned(),
        filter_subject: filter.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..ConsumerConfig::default()
    };
    let check = |config: &ConsumerConfig, others: &[ConsumerConfig]| {
        let others = others.iter().map(|other| (other.name.as_str(), other));
        let result = admission::check_new(config, &queue, &ConsumerLimits::default(), others);
        told(result).map(|(code, _)| code)
    };
    assert_eq!(check(&named("A", ""), &[]), None);
    assert_eq!(
        check(&ConsumerConfig { ack_policy: AckPolicy::All, ..named("A", "") }, &[]),
        Some(10098)
    );
    let from_new = ConsumerConfig { deliver_policy: DeliverPolicy::New, ..named("A", "") };
    assert_eq!(check(&from_new, &[]), Some(10101));
    assert_eq!(check(&named("B", ""), &[named("A", "a")]), Some(10099));
    assert_eq!(check(&named("B", "b"), &[named("A", "")]), Some(10100));
    assert_eq!(check(&named("B", "a.*"), &[named("A", "*.b")]), Some(10100));
    assert_eq!(check(&named("B", "b"), &[named("A", "a")]), None);
    // Consumers of mirrors and sources are left out on both sides.
    let internal = ConsumerConfig { direct: true, ..named("M", "") };
    assert_eq!(check(&named("B", "b"), std::slice::from_ref(&internal)), None);
    let internal = ConsumerConfig { ack_policy: AckPolicy::None, ..internal };
    assert_eq!(check(&internal, &[named("A", "")]), None);
    let others = [named("A", "a"), named("B", "b")];
    let others = || others.iter().map(|other| (other.name.as_str(), other));
    assert_eq!(admission::check_partition(&named("A", "c"), others()), Ok(()));
    assert_eq!(admission::check_partition(&named("A", "a"), others()), Ok(()));
    assert!(admission::check_partition(&named("A", "b"), others()).is_err());
    // Taking the filters away is not noticed, as in the reference.
    assert_eq!(admission::check_partition(&named("A", ""), others()), Ok(()));
}

#[test]
fn durable_names_have_a_longest_length() {
    let name = "n".repeat(256);
    let config = ConsumerConfig { durable_name: name, ..ConsumerConfig::default() };
    let none = std::iter::empty::<(&str, &ConsumerConfig)>();
    let result = admission::check_new(&config, &stream(), &ConsumerLimits::default(), none);
    let text = "consumer name is too long, maximum allowed is 255".to_owned();
    assert_eq!(told(result), Some((10102, text)));
}

#[test]
fn made_up_names_are_valid_and_differ() {
    let names: Vec<String> = (0..100).map(admission::generated_name).collect();
    assert!(names.iter().all(|name| name.len() == 8 && validate::is_valid_name(name)));
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len());
}

#[test]
fn request_must_agree_with_its_subject() {
    let named = |name: &str| ConsumerConfig { name: name.to_owned(), ..ConsumerConfig::default() };
    let durable =
        |name: &str| ConsumerConfig { durable_name: name.to_owned(), ..ConsumerConfig::default() };
    let filtered = |filter: &str| ConsumerConfig { filter_subject: filter.to_owned(), ..named("") };
    for (subject, config, code) in [
        ("CONSUMER.DURABLE.CREATE.S", durable("C"), 10016),
        ("CONSUMER.DURABLE.CREATE.S.C.x", durable("C"), 10016),
        ("CONSUMER.CREATE.T", named(""), 10056),
        ("CONSUMER.DURABLE.CREATE.T.C", durable("D"), 10056),
        ("CONSUMER.CREATE.S.a/b", named(""), 10127),
        (r"CONSUMER.CREATE.S.a\b", named(""), 10127),
        ("CONSUMER.CREATE.S", named("a/b"), 10127),
        ("CONSUMER.DURABLE.CREATE.S.C", named(""), 10018),
        ("CONSUMER.DURABLE.CREATE.S.C", durable("D"), 10017),
        ("CONSUMER.CREATE.S.C", durable("D"), 10017),
        ("CONSUMER.CREATE.S", durable("D"), 10020),
        (
            "CONSUMER.CREATE.S.C.a.b",
            ConsumerConfig { filter_subjects: vec!["a.b".to_owned()], ..named("") },
            10137,
        ),
        ("CONSUMER.CREATE.S.C.a.b", filtered("a"), 10131),
        ("CONSUMER.CREATE.S.C.a.b", filtered(""), 10131),
        ("CONSUMER.CREATE.S.C", ConsumerConfig { num_replicas: 3, ..named("") }, 10074),
    ] {
        let mut config = config;
        let error = request::check(&format!("$JS.API.{subject}"), "S", &mut config);
        let error = error.expect_err(subject).expect("an answer");
        assert_eq!(error.err_code, code, "{subject}");
    }
    for (subject, config, name) in [
        ("CONSUMER.CREATE.S", named(""), ""),
        ("CONSUMER.CREATE.S", named("E"), "E"),
        ("CONSUMER.CREATE.S.C", named("other"), "C"),
        ("CONSUMER.CREATE.S.C", durable("C"), "C"),
        ("CONSUMER.CREATE.S.C.a.>", filtered("a.>"), "C"),
        ("CONSUMER.DURABLE.CREATE.S.C", durable("C"), "C"),
    ] {
        let mut config = config;
        assert_eq!(request::check(&format!("$JS.API.{subject}"), "S", &mut config), Ok(()));
        assert_eq!(config.name, name, "{subject}");
    }
    assert_eq!(request::check("$JS.API.CONSUMER.CREATE", "S", &mut named("")), Err(None));
}

#[test]
fn consumers_of_sources_follow_the_retention_of_their_origin() {
    let asked = ConsumerConfig {
        name: "N".to_owned(),
        direct: true,
        sourcing: true,
        ack_wait: 5,
        max_deliver: 1,
        inactive_threshold: 7,
        ..ConsumerConfig::default()
    };
    let mut config = asked.clone();
    request::prepare_sourcing(&mut config, &stream(), "12345678");
    assert_eq!(config, ConsumerConfig { name: "N-12345678".to_owned(), ..asked.clone() });
    let queue = StreamConfig { retention: RetentionPolicy::WorkQueue, ..stream() };
    let mut config = asked;
    request::prepare_sourcing(&mut config, &queue, "12345678");
    let expected = ConsumerConfig {
        name: "N".to_owned(),
        durable_name: "N".to_owned(),
        sourcing: true,
        ack_policy: AckPolicy::FlowControl,
        ..ConsumerConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn request_cannot_change_a_pause_or_where_a_source_started() {
    let until = DateTime::parse("2030-01-01T00:00:00Z").ok();
    let current = ConsumerConfig {
        pause_until: until,
        deliver_policy: DeliverPolicy::ByStartSequence,
        opt_start_seq: 9,
        ..pull()
    };
    let mut requested = pull();
    request::keep_unchangeable(&mut requested, &current);
    assert_eq!(requested, ConsumerConfig { pause_until: until, ..pull() });
    let mut requested = ConsumerConfig { sourcing: true, ..pull() };
    request::keep_unchangeable(&mut requested, &current);
    assert_eq!(
        (requested.deliver_policy, requested.opt_start_seq),
        (DeliverPolicy::ByStartSequence, 9)
    );
}

#[test]
fn features_need_an_api_level() {
    let until = DateTime::parse("2030-01-01T00:00:00Z").ok();
    assert_eq!(pull().required_api_level(), 0);
    assert_eq!(ConsumerConfig { pause_until: until, ..pull() }.required_api_level(), 1);
    let zero = Some(DateTime::ZERO);
    assert_eq!(ConsumerConfig { pause_until: zero, ..pull() }.required_api_level(), 0);
    assert_eq!(ConsumerConfig { priority_timeout: 1, ..pull() }.required_api_level(), 1);
    let by_flow_control = ConsumerConfig { ack_policy: AckPolicy::FlowControl, ..push() };
    assert_eq!(by_flow_control.required_api_level(), 4);
}

#[test]
fn replicas_follow_the_stream_except_for_plain_ephemerals() {
    let of = |replicas, retention| StreamConfig { num_replicas: replicas, retention, ..stream() };
    let ephemeral = ConsumerConfig { name: "E".to_owned(), ..ConsumerConfig::default() };
    let durable = |num_replicas| ConsumerConfig { num_replicas, ..pull() };
    assert_eq!(ephemeral.replicas(&of(3, RetentionPolicy::Limits)), 1);
    assert_eq!(ephemeral.replicas(&of(3, RetentionPolicy::Interest)), 3);
    assert_eq!(durable(0).replicas(&of(3, RetentionPolicy::Limits)), 3);
    assert_eq!(durable(1).replicas(&of(3, RetentionPolicy::Limits)), 1);
    assert_eq!(durable(5).replicas(&of(3, RetentionPolicy::Limits)), 3);
}
