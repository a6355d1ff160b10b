use super::*;

const ROLLUP: &str = "Nats-Rollup";

fn bench() -> Bench {
    let mut bench = Bench::new(StreamConfig { allow_rollup_hdrs: true, ..config(&["foo.*"]) });
    for subject in ["foo.a", "foo.b", "foo.a"] {
        bench.put(subject);
    }
    bench.effects();
    bench
}

#[test]
fn rollup_of_a_subject_keeps_the_others() {
    let mut bench = bench();
    bench.put_with("foo.a", &[(ROLLUP, "SUB")], "");
    assert_eq!(bench.held(), [2, 4]);
}

#[test]
fn rollup_of_all_keeps_only_the_message() {
    let mut bench = bench();
    bench.put_with("foo.a", &[(ROLLUP, "all")], "");
    assert_eq!(bench.held(), [4]);
}

#[test]
fn consumers_are_told_where_a_rollup_leaves_them() {
    let mut bench = bench();
    let message = Inbound {
        subject: Bytes::from_static(b"foo.a"),
        header: header(&[(ROLLUP, "sub")]),
        ..Inbound::default()
    };
    bench.stream.publish(message, START);
    let purged: Vec<StreamEffect> = bench
        .effects()
        .into_iter()
        .filter(|effect| matches!(effect, StreamEffect::Purged { .. }))
        .collect();
    assert_eq!(
        purged,
        [StreamEffect::Purged {
            filter: filter("foo.a"),
            stream_first: sequence(2),
            matching_first: sequence(4),
            last: sequence(4),
        }]
    );
}

#[test]
fn rollup_needs_permission_and_a_known_kind() {
    let mut bench = bench();
    let error = bench.error("foo.a", &[(ROLLUP, "Some\"")], "");
    assert_eq!(error.description, r#"rollup value invalid: "some\"""#);
    for config in [config(&["foo.*"]), StreamConfig { deny_purge: true, ..config(&["foo.*"]) }] {
        let mut bench = Bench::new(config);
        let error = bench.error("foo.a", &[(ROLLUP, "sub")], "");
        assert_eq!((error.err_code, error.code), (10111, 500));
        assert_eq!(error.description, "rollup not permitted");
    }
}

#[test]
fn sourced_rollup_passes_but_has_effect_only_where_allowed() {
    let sourced = || Inbound {
        subject: Bytes::from_static(b"foo.a"),
        header: header(&[(ROLLUP, "sub")]),
        from: Origin::Source,
        ..Inbound::default()
    };
    let mut denying = Bench::new(config(&["foo.*"]));
    denying.put("foo.a");
    assert_eq!(denying.stream.publish(sourced(), START), Published::Stored(sequence(2)));
    assert_eq!(denying.held(), [1, 2]);
    let mut allowing = bench();
    allowing.stream.publish(sourced(), START);
    assert_eq!(allowing.held(), [2, 4]);
}
