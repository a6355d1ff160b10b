use super::*;

const SCHEDULE: &str = "Nats-Schedule";
const TARGET: &str = "Nats-Schedule-Target";
const SOURCE: &str = "Nats-Schedule-Source";
const NEXT: &str = "Nats-Schedule-Next";
const SCHEDULER: &str = "Nats-Scheduler";

fn scheduled() -> StreamConfig {
    StreamConfig { allow_msg_schedules: true, ..config(&["s.*", "t.*"]) }
}

#[test]
fn schedule_headers_are_checked_in_order() {
    let mut bench = Bench::new(scheduled());
    let at = (SCHEDULE, "@every 1h");
    let to = (TARGET, "t.a");
    for (fields, err_code) in [
        (&[("Nats-Schedule-Time-Zone", "Nowhere/Land"), (SCHEDULE, "x")][..], 10223),
        (&[("Nats-Schedule-Time-Zone", ""), (SCHEDULE, "x")], 10223),
        (&[(SCHEDULE, "every now and then")], 10189),
        (&[at, ("Nats-Schedule-Time-Zone", "Europe/Berlin")], 10189),
        (&[at, ("Nats-Schedule-TTL", "x"), ("Nats-Schedule-Rollup", "all")], 10191),
        (&[at, ("Nats-Schedule-TTL", "1s"), ("Nats-Schedule-Rollup", "all")], 10192),
        (&[at, ("Nats-Schedule-TTL", "1s")], 10166),
        (&[at], 10190),
        (&[at, (TARGET, "t.*")], 10190),
        (&[at, (TARGET, "s.a")], 10190),
        (&[at, (TARGET, "elsewhere"), (SOURCE, "t.*")], 10203),
        (&[at, (TARGET, "elsewhere")], 10190),
        (&[at, to, (SOURCE, "t.a")], 10203),
        (&[at, to, (SOURCE, "s.a")], 10203),
        (&[at, to, (SOURCE, "elsewhere")], 10203),
        (&[at, to, ("Nats-Rollup", "all")], 10192),
        (&[(NEXT, "soon"), (SCHEDULER, "s.b")], 10212),
        (&[(NEXT, "purge")], 10212),
        (&[(NEXT, "purge"), (SCHEDULER, "s.a")], 10212),
        (&[(NEXT, "purge"), (SCHEDULER, "s.*")], 10212),
        (&[(SCHEDULER, "s.b")], 10212),
    ] {
        assert_eq!(bench.code("s.a", fields), err_code, "{fields:?}");
    }
    let mut plain = Bench::new(config(&["s.*", "t.*"]));
    for fields in [
        &[at, to][..],
        &[(SCHEDULE, "x")],
        &[(SCHEDULE, "x"), ("Nats-Schedule-Time-Zone", "?")],
        &[(NEXT, "purge"), (SCHEDULER, "s.b")],
    ] {
        assert_eq!(plain.code("s.a", fields), 10188, "{fields:?}");
    }
}

#[test]
fn schedule_replaces_the_one_before_it_on_its_subject() {
    let mut bench = Bench::new(scheduled());
    bench.put_with("s.a", &[(SCHEDULE, "@every 1h"), (TARGET, "t.a")], "one");
    bench.put_with("s.a", &[(SCHEDULE, "@every 1h"), (TARGET, "t.a")], "two");
    assert_eq!(bench.held(), [2]);
    assert_eq!(
        bench.header_of(2),
        "NATS/1.0\r\nNats-Schedule: @every 1h\r\nNats-Schedule-Target: t.a\r\n\
         Nats-Rollup: sub\r\n\r\n"
    );
}

#[test]
fn single_schedule_fires_once_and_is_gone() {
    let mut bench = Bench::new(scheduled());
    let at = START.saturating_add(seconds(5)).to_string();
    bench.put_with("s.a", &[(SCHEDULE, &format!("@at {at}")), (TARGET, "t.a"), ("A", "b")], "x");
    bench.wait(seconds(4));
    assert_eq!(bench.held(), [1]);
    bench.wait(seconds(2));
    assert_eq!(bench.held(), [2]);
    let fired = bench.load(2);
    assert_eq!((fired.subject(), fired.payload()), (&b"t.a"[..], &b"x"[..]));
    assert_eq!(
        bench.header_of(2),
        "NATS/1.0\r\nA: b\r\nNats-Scheduler: s.a\r\nNats-Schedule-Next: purge\r\n\r\n"
    );
    bench.wait(seconds(60));
    assert_eq!(bench.held(), [2]);
}

#[test]
fn repeating_schedule_goes_on_until_it_is_ended() {
    let mut bench = Bench::new(scheduled());
    bench.put_with("s.a", &[(SCHEDULE, "@every 10s"), (TARGET, "t.a")], "");
    bench.wait(seconds(25));
    assert_eq!(bench.held(), [1, 2, 3]);
    // Only a schedule can be ended.
    assert_eq!(bench.code("t.b", &[(NEXT, "purge"), (SCHEDULER, "t.a")]), 10212);
    bench.put_with("t.b", &[(NEXT, "purge"), (SCHEDULER, "s.a")], "");
    assert_eq!(bench.held(), [2, 3, 4]);
    bench.wait(seconds(60));
    assert_eq!(bench.held(), [2, 3, 4]);
}

#[test]
fn message_on_the_subject_of_a_schedule_cancels_it() {
    let mut bench = Bench::new(scheduled());
    bench.put_with("s.a", &[(SCHEDULE, "@every 10s"), (TARGET, "t.a")], "");
    bench.put("s.a");
    bench.wait(seconds(60));
    assert_eq!(bench.held(), [1, 2]);
}

#[test]
fn last_message_of_an_expired_subject_leaves_a_marker() {
    let mut bench = Bench::new(StreamConfig {
        max_age: 10_000_000_000,
        subject_delete_marker_ttl: 60_000_000_000,
        ..config(&["foo.*"])
    });
    bench.put("foo.a");
    bench.put("foo.b");
    bench.wait(seconds(5));
    bench.put("foo.a");
    bench.wait(seconds(8));
    // The older message of a just went; the only one of b became a marker.
    assert_eq!(bench.held(), [3, 4]);
    assert_eq!(bench.load(4).subject(), b"foo.b");
    assert_eq!(
        bench.header_of(4),
        "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1m0s\r\nNats-Rollup: sub\r\n\r\n"
    );
    bench.wait(seconds(5));
    assert_eq!(bench.held(), [4, 5]);
    bench.wait(seconds(120));
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn time_to_live_is_no_shorter_than_that_of_markers() {
    let marked = |max_msgs_per_subject| {
        Bench::new(StreamConfig {
            max_msgs_per_subject,
            subject_delete_marker_ttl: 60_000_000_000,
            ..config(&["foo"])
        })
    };
    let mut bench = marked(-1);
    bench.put_with("foo", &[("Nats-TTL", "5s"), ("A", "b")], "");
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nA: b\r\nNats-TTL: 60\r\n\r\n");
    bench.put_with("foo", &[("Nats-TTL", "2m")], "");
    assert_eq!(bench.header_of(2), "NATS/1.0\r\nNats-TTL: 2m\r\n\r\n");
    let mut bench = marked(1);
    bench.put_with("foo", &[("Nats-TTL", "5s")], "");
    assert_eq!(bench.header_of(1), "NATS/1.0\r\nNats-TTL: 5s\r\n\r\n");
}
