use super::*;
use crate::config::RetentionPolicy;
use std::collections::BTreeSet;

struct View {
    filter: SubjectFilter,
    floor: u64,
    acknowledged: BTreeSet<u64>,
}

impl ConsumerView for View {
    fn needs(&self, sequence: StreamSequence, subject: &[u8]) -> bool {
        let number = sequence.get();
        self.filter.matches(subject) && number > self.floor && !self.acknowledged.contains(&number)
    }

    fn floor(&self) -> StreamSequence {
        sequence(self.floor)
    }
}

fn view(subject: &str, floor: u64, acknowledged: &[u64]) -> View {
    View { filter: filter(subject), floor, acknowledged: acknowledged.iter().copied().collect() }
}

fn interest() -> Bench {
    Bench::new(StreamConfig { retention: RetentionPolicy::Interest, ..config(&["foo.*"]) })
}

#[test]
fn interest_stream_gives_out_sequences_for_what_nobody_takes() {
    let mut bench = interest();
    assert_eq!(bench.ack("foo.a", &[("Nats-Msg-Id", "x")], ""), r#"{"stream":"S","seq":1}"#);
    bench.wait(seconds(1));
    assert_eq!(bench.ack("foo.a", &[], ""), r#"{"stream":"S","seq":2}"#);
    let state = bench.stream.state();
    assert_eq!((state.messages, state.last_seq), (0, sequence(2)));
    assert_eq!(state.last_time, bench.now);
    let (published, _) = bench.publish_all("foo.b", &[("Nats-Msg-Id", "x")], "", "");
    assert_eq!(published, Published::Duplicate(sequence(1)), "the id is remembered");
    bench.interested_in(&["foo.b"]);
    assert_eq!(bench.publish_all("foo.a", &[], "", "").0, Published::NoInterest(sequence(3)));
    bench.put("foo.b");
    assert_eq!(bench.held(), [4]);
    bench.interested_in(&[]);
    assert_eq!(bench.publish_all("foo.b", &[], "", "").0, Published::NoInterest(sequence(5)));
}

#[test]
fn consumer_without_filter_takes_everything() {
    let mut bench = interest();
    bench.interested_in(&[""]);
    bench.put("foo.a");
    assert_eq!(bench.held(), [1]);
}

#[test]
fn message_goes_when_the_last_consumer_that_needs_it_acknowledges() {
    let mut bench = interest();
    bench.interested_in(&["foo.*", "foo.a"]);
    bench.put("foo.a");
    bench.put("foo.b");
    let (all, a) = (view("foo.*", 0, &[1]), view("foo.a", 0, &[]));
    let views: [&dyn ConsumerView; 2] = [&all, &a];
    assert_eq!(bench.stream.acknowledged(sequence(1), views, START), Ok(false));
    let (all, a) = (view("foo.*", 2, &[]), view("foo.a", 1, &[]));
    let views: [&dyn ConsumerView; 2] = [&all, &a];
    assert_eq!(bench.stream.acknowledged(sequence(1), views, START), Ok(true));
    assert_eq!(bench.stream.acknowledged(sequence(2), views, START), Ok(true));
    assert_eq!(bench.stream.acknowledged(sequence(1), views, START), Ok(false), "it is gone");
    assert_eq!(bench.held(), [] as [u64; 0]);
}

#[test]
fn limits_stream_keeps_what_is_acknowledged() {
    let mut bench = Bench::new(config(&["foo"]));
    bench.put("foo");
    assert_eq!(bench.stream.acknowledged_by_all(sequence(1), START), Ok(false));
    assert_eq!(bench.held(), [1]);
}

#[test]
fn work_queue_removes_what_is_acknowledged() {
    let work_queue = RetentionPolicy::WorkQueue;
    let mut bench = Bench::new(StreamConfig { retention: work_queue, ..config(&["foo"]) });
    bench.put("foo");
    bench.put("foo");
    assert_eq!(bench.stream.acknowledged_by_all(sequence(2), START), Ok(true));
    assert_eq!(bench.held(), [1]);
    assert_eq!(bench.stream.remove_unneeded(&[], START), Ok(0), "it waits for consumers");
}

#[test]
fn what_nobody_needs_is_removed_after_a_restart() {
    let mut bench = interest();
    bench.interested_in(&[""]);
    for subject in ["foo.a", "foo.b", "foo.a", "foo.b", "foo.a", "foo.b"] {
        bench.put(subject);
    }
    let (a, b) = (view("foo.a", 2, &[]), view("foo.b", 5, &[]));
    assert_eq!(bench.stream.remove_unneeded(&[&a, &b], START), Ok(3));
    assert_eq!(bench.held(), [3, 5, 6]);
}

#[test]
fn stream_that_becomes_one_by_interest_drops_what_is_acknowledged() {
    let mut bench = Bench::new(config(&["foo"]));
    for _ in 0..3 {
        bench.put("foo");
    }
    let interest =
        StreamConfig { retention: RetentionPolicy::Interest, ..bench.stream.config().clone() };
    bench.update(interest).expect("allowed");
    bench.interested_in(&["foo"]);
    let consumer = view("foo", 2, &[]);
    assert_eq!(bench.stream.remove_unneeded(&[&consumer], START), Ok(2));
    assert_eq!(bench.held(), [3]);
}

#[test]
fn interest_stream_is_emptied_with_its_last_consumer() {
    let mut bench = interest();
    bench.interested_in(&[""]);
    bench.put("foo.a");
    bench.interested_in(&[]);
    assert_eq!(bench.stream.purge_all(START), Ok(1));
    assert_eq!(bench.stream.state().messages, 0);
}
