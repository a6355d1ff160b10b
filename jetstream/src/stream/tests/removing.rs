use super::*;
use crate::conformance::Zeros;
use crate::store::PurgeRequest;

fn bench() -> Bench {
    let mut bench = Bench::new(config(&["foo.*"]));
    for subject in ["foo.a", "foo.b", "foo.a", "foo.b", "foo.a"] {
        bench.put(subject);
    }
    bench.effects();
    bench
}

fn purge(subject: &str, below: u64, keep: u64) -> PurgeRequest {
    PurgeRequest { filter: filter(subject), below: sequence(below), keep }
}

#[test]
fn purge_takes_what_it_names() {
    for (request, purged, held) in [
        (purge("", 0, 0), 5, &[][..]),
        (purge(">", 3, 0), 2, &[3, 4, 5]),
        (purge("", 1, 0), 0, &[1, 2, 3, 4, 5]),
        (purge("", 0, 2), 3, &[4, 5]),
        (purge("", 0, 9), 0, &[1, 2, 3, 4, 5]),
        (purge("foo.a", 0, 0), 3, &[2, 4]),
        (purge("foo.a", 5, 0), 2, &[2, 4, 5]),
        (purge("foo.a", 0, 1), 2, &[2, 4, 5]),
        (purge("foo.x", 0, 0), 0, &[1, 2, 3, 4, 5]),
    ] {
        let mut bench = bench();
        assert_eq!(bench.stream.purge(request.clone(), START), Ok(purged), "{request:?}");
        assert_eq!(bench.held(), held, "{request:?}");
        assert_eq!(bench.put("foo.a"), 6, "numbering goes on");
    }
}

#[test]
fn purge_past_the_end_moves_the_numbering() {
    let mut bench = bench();
    assert_eq!(bench.stream.purge(purge("", 100, 0), START), Ok(5));
    let state = bench.stream.state();
    assert_eq!((state.first_seq, state.last_seq), (sequence(100), sequence(99)));
    assert_eq!(bench.put("foo.a"), 100);
}

#[test]
fn purge_is_refused_when_it_contradicts_itself_or_is_denied() {
    let mut bench = bench();
    let refused =
        |bench: &mut Bench, request| bench.stream.purge(request, START).expect_err("refused");
    assert_eq!(refused(&mut bench, purge("", 2, 2)).err_code, 10003);
    let denied = StreamConfig { deny_purge: true, ..bench.stream.config().clone() };
    bench.update(denied).expect("allowed");
    let error = refused(&mut bench, purge("", 0, 0));
    assert_eq!(error.to_string(), "stream purge not permitted (10110)");
    let sealed = StreamConfig { sealed: true, ..bench.stream.config().clone() };
    bench.update(sealed).expect("allowed");
    assert_eq!(refused(&mut bench, purge("", 0, 0)).err_code, 10109);
}

#[test]
fn deleted_message_is_told_to_consumers_and_gone() {
    let mut bench = bench();
    bench.stream.delete_message(sequence(2), None, START).expect("there");
    assert_eq!(
        bench.effects(),
        [
            StreamEffect::Removed { sequence: sequence(2), subject: Bytes::from_static(b"foo.b") },
            StreamEffect::Usage { delta: -(5 + 16) },
        ]
    );
    bench.stream.delete_message(sequence(5), Some(&mut Zeros), START).expect("there");
    assert_eq!(bench.held(), [1, 3, 4]);
    assert_eq!(bench.stream.last_sequence(), sequence(5), "the last sequence stays");
    let error = bench.stream.delete_message(sequence(2), None, START).expect_err("gone");
    assert_eq!(error.to_string(), "sequence 2 not found (10043)");
}

#[test]
fn deleting_can_be_denied() {
    let mut bench = Bench::new(StreamConfig { deny_delete: true, ..config(&["foo"]) });
    bench.put("foo");
    let error = bench.stream.delete_message(sequence(1), None, START).expect_err("denied");
    assert_eq!(error.to_string(), "message delete not permitted (10057)");
}

#[test]
fn limits_evict_the_oldest_and_tell_of_it() {
    let mut bench = Bench::new(StreamConfig { max_msgs: 2, ..config(&["foo"]) });
    for _ in 0..3 {
        bench.put("foo");
    }
    assert_eq!(bench.held(), [2, 3]);
    let usage: i64 = 2 * (3 + 16);
    assert_eq!(bench.stream.state().bytes, usage as u64);
}

#[test]
fn deleted_stream_says_so_and_takes_nothing_any_more() {
    let mut bench = bench();
    bench.stream.delete(START).expect("open");
    let effects = bench.effects();
    let StreamEffect::Advisory { subject, json } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(subject, "$JS.EVENT.ADVISORY.STREAM.DELETED.S");
    let json = String::from_utf8_lossy(json);
    assert!(json.contains(r#""stream":"S","action":"delete"}"#), "{json}");
    assert_eq!(effects.last(), Some(&StreamEffect::Usage { delta: -5 * (5 + 16) }));
    assert!(matches!(
        bench.publish_all("foo.a", &[], "", "").0,
        Published::Refused(error) if error.description == "store is closed"
    ));
}

#[test]
fn first_sequence_of_a_new_stream_is_configured() {
    let mut bench = Bench::new(StreamConfig { first_seq: 100, ..config(&["foo"]) });
    assert_eq!(bench.stream.last_sequence(), sequence(99));
    assert_eq!(bench.put("foo"), 100);
}
