use super::*;
use crate::conformance::{self, Bench, Maker, START, Zeros, sequence};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn memory(config: StreamConfig) -> StreamConfig {
    StreamConfig { storage: StorageType::Memory, ..config }
}

pub(super) fn make(config: StreamConfig) -> Box<dyn Store> {
    Box::new(MemoryStore::new(memory(config)).expect("memory storage"))
}

fn bench(config: StreamConfig) -> Bench {
    let maker: Maker<'_> = &make;
    Bench::new(maker, config)
}

#[test]
fn other_storage_is_refused() {
    let config = StreamConfig { storage: StorageType::File, ..StreamConfig::default() };
    let refused = MemoryStore::new(config.clone()).map(|_| ());
    assert_eq!(refused, Err(StoreError::MemoryStorageRequired));
    let mut bench = bench(conformance::config());
    assert_eq!(bench.store.update_config(config, START), Err(StoreError::MemoryStorageRequired));
}

#[test]
fn message_is_accounted_with_sixteen_bytes_over_its_parts() {
    let mut bench = bench(conformance::config());
    let stored = bench.put_full("foo", "name:derek", b"Hello World", MessageTtl::Unset);
    assert_eq!(stored.expect("stored").bytes, 3 + 10 + 11 + 16);
}

#[test]
fn bytes_limit_drops_the_oldest() {
    let size = 3 + 512 + 16;
    let mut bench = bench(StreamConfig { max_bytes: size * 1024, ..conformance::config() });
    for _ in 0..1034 {
        bench.put_full("foo", "", &[0; 512], MessageTtl::Unset).expect("stored");
    }
    assert_eq!(bench.ends(), (11, 1034, 1024));
    assert_eq!(bench.state().bytes, 1024 * size as u64);
}

#[test]
fn unknown_sequences_are_not_found_and_removing_them_is_no_error() {
    let mut bench = bench(conformance::config());
    bench.put_many("foo", 3);
    bench.remove([2]);
    for absent in [0, 2] {
        assert_eq!(bench.store.load(sequence(absent)), Err(StoreError::MessageNotFound));
    }
    for absent in [0, 2, 9] {
        assert_eq!(bench.store.remove(sequence(absent)), Ok(false));
        assert_eq!(bench.store.erase(sequence(absent), &mut Zeros), Ok(false));
    }
}

#[test]
fn filtered_state_past_the_end_is_zero() {
    let mut bench = bench(conformance::config());
    bench.put_many("foo", 3);
    let state = bench.store.filtered_state(sequence(4), &SubjectFilter::All);
    assert_eq!(state, Ok(SimpleState::default()));
}

#[test]
fn totals_by_subject_and_none_for_an_empty_filter() {
    let mut bench = bench(conformance::config());
    for number in 0..300 {
        bench.put(if number % 3 == 0 { "foo.a" } else { "bar.a" });
    }
    let totals = |bench: &mut Bench, filter: &str| -> Vec<(String, u64)> {
        let totals = bench.store.subjects_totals(filter.as_bytes()).expect("open");
        let text = |subject: Box<[u8]>| String::from_utf8(subject.into()).expect("text");
        totals.into_iter().map(|(subject, total)| (text(subject), total)).collect()
    };
    let (foo, bar) = (("foo.a".to_owned(), 100), ("bar.a".to_owned(), 200));
    assert_eq!(totals(&mut bench, "foo.a"), std::slice::from_ref(&foo));
    assert_eq!(totals(&mut bench, "bar.*"), std::slice::from_ref(&bar));
    assert_eq!(totals(&mut bench, "*.*"), [bar.clone(), foo.clone()]);
    assert_eq!(totals(&mut bench, ">"), [bar, foo]);
    assert_eq!(totals(&mut bench, ""), []);
}

#[test]
fn purge_into_the_middle_is_unsupported() {
    let mut store = MemoryStore::new(memory(conformance::config())).expect("memory storage");
    for _ in 0..3 {
        let message = NewMessage { subject: b"foo", ..NewMessage::default() };
        store.store_message(message, START).expect("stored");
    }
    assert_eq!(store.purge_to(2), Err(StoreError::PartialPurgeUnsupported));
}

#[test]
fn snapshot_is_not_implemented_and_stop_may_be_repeated() {
    let mut bench = bench(conformance::config());
    let snapshot = bench.store.snapshot(SnapshotRequest::default()).map(|_| ());
    assert_eq!(snapshot.map_err(|error| error.to_string()), Err("no impl".to_owned()));
    assert_eq!(bench.store.stop(START), Ok(()));
    assert_eq!(bench.store.stop(START), Ok(()));
    assert_eq!(bench.store.delete(), Ok(()));
}

#[test]
fn subject_that_cannot_be_indexed_is_stored_but_not_found_by_subject() {
    let mut bench = bench(conformance::config());
    bench.put("foo.\u{7f}");
    bench.put("foo.a");
    assert_eq!(bench.state().num_subjects, 1);
    assert_eq!(bench.store.load(sequence(1)).map(|m| m.subject().to_vec()), Ok(b"foo.\x7f".into()));
    assert_eq!(bench.pending(1, "foo.*", false), 1);
    bench.remove([1, 2]);
    assert_eq!(bench.ends(), (3, 2, 0));
}

#[test]
fn gaps_of_any_length_cost_nothing_and_are_told_as_runs() {
    let mut bench = bench(conformance::config());
    bench.put("foo");
    let count = 1 << 50;
    bench.store.skip_many(sequence(2), count, START).expect("next");
    bench.put("foo");
    assert_eq!(bench.store.fast_state().num_deleted, count);
    let encoded = bench.store.encoded_state(0).expect("open");
    let state = ReplicatedState::decode(&encoded).expect("valid");
    assert_eq!(state.deleted, [DeleteBlock::Range { first: 2, count }]);
    assert_eq!(bench.pending(2, "foo", false), 1);
    let start = sequence(u64::MAX);
    assert_eq!(bench.store.skip_many(start, 1, START), Err(StoreError::SequenceMismatch));
    assert_eq!(
        bench.store.skip_many(sequence(0), u64::MAX, START),
        Err(StoreError::SequencesExhausted)
    );
}

#[test]
fn first_replicated_message_that_is_old_expires_soon() {
    let max_age = 3_600_000_000_000;
    let mut bench = bench(StreamConfig { max_age, ..conformance::config() });
    bench.now = START.saturating_add(Duration::from_secs(7200));
    let message = NewMessage { subject: b"foo", ..NewMessage::default() };
    let check = DiscardNewCheck::Skip;
    let now = bench.now;
    bench.store.store_raw_message(message, sequence(1), START, check, now).expect("next");
    bench.run(Duration::from_millis(250));
    assert_eq!(bench.ends(), (2, 1, 0));
}

#[test]
fn a_pass_over_many_expired_messages_is_cut_and_continued() {
    let mut bench = bench(StreamConfig { max_age: 1_000_000_000, ..conformance::config() });
    bench.put_many("foo", 25_000);
    let deadline = bench.store.next_deadline().expect("armed");
    bench.store.tick(deadline).expect("open");
    assert_eq!(bench.store.fast_state().messages, 15_000);
    assert_eq!(bench.store.next_deadline(), Some(deadline));
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.store.fast_state().messages, 0);
}

/// Operations of the model test; picks are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Put(u8),
    Skip(u8),
    Remove(u64),
    Purge { subject: u8, below: u64, keep: u64 },
    Compact(u64),
    Truncate(u64),
    Probe(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => any::<u8>().prop_map(Op::Put),
        2 => any::<u8>().prop_map(Op::Skip),
        8 => any::<u64>().prop_map(Op::Remove),
        1 => (any::<u8>(), any::<u64>(), 0_u64..5)
            .prop_map(|(subject, below, keep)| Op::Purge { subject, below, keep }),
        1 => any::<u64>().prop_map(Op::Compact),
        1 => any::<u64>().prop_map(Op::Truncate),
        6 => any::<u64>().prop_map(Op::Probe),
    ]
}

const SUBJECTS: [&str; 6] = ["foo.a", "foo.b", "foo.a.b", "bar.a", "bar.b", "baz"];
const FILTERS: [&[&str]; 9] = [
    &[">"],
    &["foo.a"],
    &["foo.*"],
    &["foo.>"],
    &["*.a"],
    &["baz", "bar.*"],
    &["foo.a", "foo.*", "*.b"],
    &["none"],
    &["none.*", "none"],
];

/// A store as simple as can be: subjects by sequence.
#[derive(Default)]
struct Model {
    messages: BTreeMap<u64, &'static str>,
    last: u64,
}

impl Model {
    fn first(&self) -> u64 {
        self.messages.first_key_value().map_or(self.last + 1, |(first, _)| *first)
    }

    fn matching(&self, filter: &SubjectFilter, from: u64) -> Vec<u64> {
        let matches = |(_, subject): &(&u64, &&'static str)| filter.matches(subject.as_bytes());
        self.messages.range(from..).filter(matches).map(|(number, _)| *number).collect()
    }

    fn probe(&self, store: &mut MemoryStore, start: u64) {
        for filters in FILTERS {
            let filter = SubjectFilter::any(filters);
            let from = self.matching(&filter, start);
            let next = store.find_next(&filter, start);
            assert_eq!(next.sequence().get(), from.first().copied().unwrap_or(self.last));
            let all = self.matching(&filter, 0);
            let before = all.iter().rev().find(|number| **number <= start);
            let previous = store.find_previous(&filter, start);
            assert_eq!(previous.found().map(|m| m.sequence().get()), before.copied());
            let state = store.state_from(start, &filter);
            assert_eq!(state.messages, from.len() as u64, "{filters:?} from {start}");
            if !filter.is_all() {
                assert_eq!(state.first.get(), from.first().copied().unwrap_or(0));
                assert_eq!(state.last.get(), from.last().copied().unwrap_or(0));
            }
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for number in &all {
                last.insert(self.messages[number], *number);
            }
            let ending = last.values().filter(|number| **number >= start).count();
            assert_eq!(store.subjects_ending_from(start, &filter), ending as u64);
            let states = store.states_by_subject(&filter);
            let lasts: Vec<u64> = states.iter().map(|(_, state)| state.last.get()).collect();
            assert_eq!(lasts, last.values().copied().collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn behaves_like_a_map_of_subjects(
        limit in 0_i64..4,
        ops in prop::collection::vec(op(), 0..150),
    ) {
        let config = StreamConfig { max_msgs_per_subject: limit, ..conformance::config() };
        let mut store = MemoryStore::new(memory(config)).expect("memory storage");
        let mut model = Model::default();
        let mut pushed = false;
        for op in ops {
            match op {
                Op::Put(pick) => {
                    let subject = SUBJECTS[usize::from(pick) % SUBJECTS.len()];
                    let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
                    store.store_message(message, START).expect("no limit refuses");
                    model.last += 1;
                    model.messages.insert(model.last, subject);
                    let held: Vec<u64> = model.matching(&SubjectFilter::new(subject), 0);
                    if limit > 0 && held.len() as i64 > limit {
                        model.messages.remove(&held[0]);
                    }
                    pushed = true;
                }
                Op::Skip(count) => {
                    store.skip_many(StreamSequence::ZERO, u64::from(count), START).expect("room");
                    model.last += u64::from(count);
                    pushed |= count > 0;
                }
                Op::Remove(pick) => {
                    let number = pick % (model.last + 2);
                    let removed = store.remove(number.into()).expect("open");
                    prop_assert_eq!(removed, model.messages.remove(&number).is_some());
                }
                Op::Purge { subject, below, keep } => {
                    let filter = SubjectFilter::any(FILTERS[1 + usize::from(subject) % 8]);
                    let below = below % (model.last + 3);
                    let all = model.matching(&filter, 0);
                    let most = (all.len() as u64).saturating_sub(keep) as usize;
                    let gone: Vec<u64> = all
                        .into_iter()
                        .filter(|number| below == 0 || *number < below)
                        .take(most)
                        .collect();
                    let request = PurgeRequest { filter, below: below.into(), keep };
                    prop_assert_eq!(store.purge_matching(&request), Ok(gone.len() as u64));
                    gone.iter().for_each(|number| { model.messages.remove(number); });
                }
                Op::Compact(pick) if pushed => {
                    let to = 1 + pick % (model.last + 2);
                    let kept = model.messages.split_off(&to);
                    let gone = std::mem::replace(&mut model.messages, kept);
                    prop_assert_eq!(store.compact(to.into()), Ok(gone.len() as u64));
                    model.last = model.last.max(to - 1);
                }
                Op::Truncate(pick) if model.last > 0 => {
                    let to = 1 + pick % model.last;
                    store.truncate(to.into(), START).expect("open");
                    model.messages.split_off(&(to + 1));
                    model.last = to;
                }
                Op::Compact(_) | Op::Truncate(_) => {}
                Op::Probe(pick) => model.probe(&mut store, pick % (model.last + 3)),
            }
            while store.poll_effect().is_some() {}
            store.check_invariants();
            let state = store.fast_state();
            prop_assert_eq!(state.messages, model.messages.len() as u64);
            prop_assert_eq!(state.last_seq.get(), model.last);
            if pushed {
                prop_assert_eq!(state.first_seq.get(), model.first());
            }
        }
    }
}

#[test]
fn few_matches_among_many_messages_are_found_whatever_happens_between_searches() {
    let mut bench = bench(conformance::config());
    let filter = SubjectFilter::new("bar.*");
    let next = |bench: &mut Bench, start: u64| {
        let found = bench.store.load_next(&filter, sequence(start)).expect("open").found();
        found.map(|message| message.sequence().get())
    };
    for round in 0..5 {
        bench.put_many("foo", 200);
        bench.put(&format!("bar.{}", round % 3));
    }
    // 201 bar.0, 402 bar.1, 603 bar.2, 804 bar.0, 1005 bar.1
    for (start, found) in [(0, 201), (202, 402), (403, 603), (604, 804), (805, 1005)] {
        assert_eq!(next(&mut bench, start), Some(found));
    }
    assert_eq!(next(&mut bench, 1006), None);
    assert_eq!(next(&mut bench, 300), Some(402), "back again");
    bench.remove([603]);
    assert_eq!(next(&mut bench, 403), Some(804), "what is removed is passed");
    bench.put_many("foo", 100);
    let new = bench.put("bar.new");
    assert_eq!(next(&mut bench, 805), Some(1005));
    assert_eq!(next(&mut bench, 1006), Some(new), "a subject that was not there");
    let other = SubjectFilter::new("bar.*.x");
    assert_eq!(bench.store.load_next(&other, sequence(1)).expect("open").found(), None);
    // Sequences that are given out again are looked at again.
    assert_eq!(next(&mut bench, 403), Some(804));
    bench.store.truncate(sequence(700), START).expect("open");
    bench.put_many("foo", 300);
    assert_eq!(next(&mut bench, 700), None);
    let last = bench.put("bar.1");
    assert_eq!(next(&mut bench, 700), Some(last));
    assert_eq!(next(&mut bench, 1), Some(201));
}
