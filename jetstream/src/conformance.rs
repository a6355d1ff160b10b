//! What every message store must do, whatever it keeps messages in.
//!
//! Each function below [`Bench`] takes a maker of empty stores and is one test; every store lists
//! all of them among its own tests. Where the two stores differ on purpose (spec 06 §17), the
//! behaviour is tested beside the store instead.

use crate::config::{DiscardPolicy, StreamConfig};
use crate::deletes::{DeleteBlock, ReplicatedState};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::store::{
    DiscardNewCheck, Lookup, NewMessage, PurgeRequest, RandomSource, Store, StoreEffect, Stored,
};
use crate::time::Timestamp;
use crate::types::{MessageTtl, StreamSequence, StreamState};
use std::time::Duration;

/// Makes an empty store; the maker sets the storage type.
pub(crate) type Maker<'a> = &'a dyn Fn(StreamConfig) -> Box<dyn Store>;

/// The moment at which tests start.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A store with a clock.
pub(crate) struct Bench {
    pub(crate) store: Box<dyn Store>,
    pub(crate) now: Timestamp,
}

/// Randomness that is none.
pub(crate) struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

pub(crate) fn sequence(number: u64) -> StreamSequence {
    StreamSequence::new(number)
}

pub(crate) fn config() -> StreamConfig {
    StreamConfig {
        name: "TEST".to_owned(),
        subjects: vec!["foo.>".to_owned(), "foo".to_owned(), "bar.>".to_owned()],
        num_replicas: 1,
        ..StreamConfig::default()
    }
}

impl Bench {
    pub(crate) fn new(make: Maker<'_>, config: StreamConfig) -> Self {
        Bench { store: make(config), now: START }
    }

    pub(crate) fn put_full(
        &mut self,
        subject: &str,
        header: &str,
        payload: &[u8],
        ttl: MessageTtl,
    ) -> StoreResult<Stored> {
        let (subject, header) = (subject.as_bytes(), header.as_bytes());
        self.store.store_message(NewMessage { subject, header, payload, ttl }, self.now)
    }

    /// Stores a message without header or payload.
    pub(crate) fn put(&mut self, subject: &str) -> u64 {
        let stored = self.put_full(subject, "", b"", MessageTtl::Unset).expect("stored");
        stored.sequence.get()
    }

    pub(crate) fn put_many(&mut self, subject: &str, count: usize) {
        for _ in 0..count {
            self.put(subject);
        }
    }

    pub(crate) fn put_raw(&mut self, subject: &str, check: DiscardNewCheck) -> StoreResult<Stored> {
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        self.store.store_raw_message(message, StreamSequence::ZERO, self.now, check, self.now)
    }

    pub(crate) fn remove(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            assert_eq!(self.store.remove(sequence(number)), Ok(true), "remove {number}");
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// Lets time pass, ticking at every deadline on the way.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        while let Some(deadline) = self.store.next_deadline().filter(|at| *at <= end) {
            self.now = deadline.max(self.now);
            self.store.tick(self.now).expect("tick");
        }
        self.now = end;
    }

    pub(crate) fn effects(&mut self) -> Vec<StoreEffect> {
        std::iter::from_fn(|| self.store.poll_effect()).collect()
    }

    pub(crate) fn state(&mut self) -> StreamState {
        self.store.state()
    }

    /// First and last sequence and the number of messages.
    pub(crate) fn ends(&mut self) -> (u64, u64, u64) {
        let (state, fast) = (self.store.state(), self.store.fast_state());
        assert_eq!(
            (state.first_seq, state.last_seq, state.messages, state.num_deleted),
            (fast.first_seq, fast.last_seq, fast.messages, fast.num_deleted),
            "both states agree"
        );
        (state.first_seq.get(), state.last_seq.get(), state.messages)
    }

    fn next(&mut self, filter: &SubjectFilter, start: u64) -> Lookup {
        self.store.load_next(filter, sequence(start)).expect("open")
    }

    fn previous(&mut self, filter: &SubjectFilter, start: u64) -> Lookup {
        self.store.load_previous(filter, sequence(start)).expect("open")
    }

    fn ends_of(&mut self, subject: &str) -> (u64, u64, u64) {
        let states = self.store.subjects_state(&SubjectFilter::new(subject)).expect("open");
        let [(found, state)] = states.as_slice() else { panic!("{subject}: {states:?}") };
        assert_eq!(**found, *subject.as_bytes());
        (state.first.get(), state.last.get(), state.messages)
    }

    pub(crate) fn last_sequences(&mut self, filters: &[&str], max: u64) -> Vec<u64> {
        let filters: Vec<_> = filters.iter().map(SubjectFilter::new).collect();
        let found = self.store.multi_last_sequences(&filters, sequence(max), 0).expect("open");
        found.into_iter().map(StreamSequence::get).collect()
    }

    pub(crate) fn pending(&mut self, start: u64, filter: &str, last_per_subject: bool) -> u64 {
        let filter = SubjectFilter::new(filter);
        let pending =
            self.store.num_pending(sequence(start), &filter, last_per_subject).expect("open");
        assert_eq!(pending.valid_through, self.store.fast_state().last_seq);
        pending.total
    }

    pub(crate) fn purge(&mut self, subject: &str, below: u64, keep: u64) -> u64 {
        let filter = SubjectFilter::new(subject);
        let request = PurgeRequest { filter, below: sequence(below), keep };
        self.store.purge_matching(&request).expect("open")
    }
}

pub(crate) fn stored_message_reads_back(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    assert_eq!(bench.ends(), (0, 0, 0));
    let header = "NATS/1.0\r\nName: x\r\n\r\n";
    let stored = bench.put_full("foo", header, b"Hello World", MessageTtl::Unset).expect("stored");
    assert_eq!((stored.sequence.get(), stored.timestamp), (1, START));
    let message = bench.store.load(sequence(1)).expect("held");
    assert_eq!(message.subject(), b"foo");
    assert_eq!(message.header(), header.as_bytes());
    assert_eq!(message.payload(), b"Hello World");
    assert_eq!((message.sequence().get(), message.timestamp()), (1, START));
    assert_eq!(
        bench.effects(),
        [StoreEffect::Added { sequence: sequence(1), bytes: stored.bytes }]
    );
    let state = bench.state();
    assert_eq!((state.messages, state.bytes, state.num_subjects), (1, stored.bytes, 1));
    assert_eq!((state.first_time, state.last_time), (START, START));
    assert_eq!(bench.store.subject_for_sequence(sequence(1)).as_deref(), Ok(&b"foo"[..]));
    for absent in [0, 2] {
        let found = bench.store.subject_for_sequence(sequence(absent));
        assert_eq!(found, Err(StoreError::MessageNotFound), "{absent}");
    }
    assert_eq!(bench.store.load(sequence(2)), Err(StoreError::Eof));
    // The message outlives its removal for those who read it before.
    assert_eq!(bench.store.erase(sequence(1), &mut Zeros), Ok(true));
    assert_eq!(message.payload(), b"Hello World");
    assert_eq!(bench.ends(), (2, 1, 0));
}

pub(crate) fn limit_on_messages_drops_the_oldest(make: Maker<'_>) {
    let mut bench = Bench::new(make, StreamConfig { max_msgs: 10, ..config() });
    bench.put_many("foo", 11);
    assert_eq!(bench.ends(), (2, 11, 10));
    assert!(bench.store.load(sequence(1)).is_err());
}

pub(crate) fn raw_message_must_have_the_next_sequence(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let message = NewMessage { subject: b"foo", ..NewMessage::default() };
    let mut raw = |number: u64| {
        let check = DiscardNewCheck::Skip;
        bench.store.store_raw_message(
            message,
            sequence(number),
            Timestamp::from_nanos(7),
            check,
            START,
        )
    };
    assert_eq!(raw(2), Err(StoreError::SequenceMismatch));
    assert_eq!(raw(1).map(|stored| stored.sequence.get()), Ok(1));
    assert_eq!(raw(1), Err(StoreError::SequenceMismatch));
    assert_eq!(raw(0).map(|stored| stored.sequence.get()), Ok(2));
    let message = bench.store.load(sequence(2)).expect("held");
    assert_eq!(message.timestamp(), Timestamp::from_nanos(7));
}

pub(crate) fn discard_new_refuses_but_followers_accept(make: Maker<'_>) {
    let full = |change: fn(&mut StreamConfig)| {
        let mut config = StreamConfig { discard: DiscardPolicy::New, ..config() };
        change(&mut config);
        config
    };
    let per_subject = Some(StoreError::MaxMessagesPerSubject);
    // 33 bytes hold one of these messages in either store, and not two.
    for (config, expected) in [
        (full(|c| c.max_msgs = 1), Some(StoreError::MaxMessages)),
        (full(|c| c.max_bytes = 33), Some(StoreError::MaxBytes)),
        (full(|c| c.max_msgs_per_subject = 1), None),
        (full(|c| (c.max_msgs, c.max_msgs_per_subject) = (1, 1)), None),
        (full(|c| (c.max_bytes, c.max_msgs_per_subject) = (33, 1)), None),
        (
            full(|c| (c.max_msgs_per_subject, c.discard_new_per_subject) = (1, true)),
            per_subject.clone(),
        ),
        (
            full(|c| {
                (c.max_msgs, c.max_msgs_per_subject, c.discard_new_per_subject) = (1, 1, true);
            }),
            per_subject.clone(),
        ),
        (
            full(|c| {
                (c.max_bytes, c.max_msgs_per_subject, c.discard_new_per_subject) = (33, 1, true);
            }),
            per_subject,
        ),
    ] {
        let replaces = config.max_msgs_per_subject > 0;
        let mut bench = Bench::new(make, config);
        bench.put("foo");
        let stored = bench.put_raw("foo", DiscardNewCheck::Enforce).map(|_| ());
        assert_eq!(stored, expected.clone().map_or(Ok(()), Err));
        let last = if expected.is_none() { 2 } else { 1 };
        assert_eq!(bench.ends(), (last, last, 1));
        bench.put_raw("foo", DiscardNewCheck::Skip).expect("followers accept");
        let (first, messages) = if replaces { (last + 1, 1) } else { (last, 2) };
        assert_eq!(bench.ends(), (first, last + 1, messages));
    }
}

pub(crate) fn bytes_limit_with_discard_new_refuses_and_keeps_what_it_has(make: Maker<'_>) {
    let mut probe = Bench::new(make, config());
    let size = probe.put_full("tiny", "", &[0; 7], MessageTtl::Unset).expect("stored").bytes;
    let max_bytes = i64::try_from(3 * size + size / 2).expect("small");
    let config = StreamConfig { max_bytes, discard: DiscardPolicy::New, ..config() };
    let mut bench = Bench::new(make, config);
    for attempt in 0..10 {
        let stored = bench.put_full("tiny", "", &[0; 7], MessageTtl::Unset).map(|_| ());
        assert_eq!(stored, if attempt < 3 { Ok(()) } else { Err(StoreError::MaxBytes) });
    }
    let state = bench.state();
    assert_eq!((state.messages, state.bytes), (3, 3 * size));
}

pub(crate) fn discard_new_lets_rollups_through(make: Maker<'_>) {
    let mut bench = Bench::new(
        make,
        StreamConfig {
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_msgs_per_subject: 1,
            ..config()
        },
    );
    bench.put("foo");
    let rollup = "NATS/1.0\r\nNats-Rollup: sub\r\n\r\n";
    assert!(bench.put_full("foo", rollup, b"", MessageTtl::Unset).is_ok());
    assert_eq!(bench.ends(), (2, 2, 1));
    let refused = bench.put_full("foo", "NATS/1.0\r\nA: b\r\n\r\n", b"", MessageTtl::Unset);
    assert_eq!(refused, Err(StoreError::MaxMessagesPerSubject));
}

pub(crate) fn subject_limit_is_enforced_when_set_or_lowered(make: Maker<'_>) {
    let mut bench = Bench::new(make, StreamConfig { max_msgs_per_subject: 10, ..config() });
    let set = |bench: &mut Bench, limit| {
        let config = StreamConfig { max_msgs_per_subject: limit, ..bench.store.config().clone() };
        bench.store.update_config(config, bench.now).expect("valid");
    };
    set(&mut bench, 50);
    bench.put_many("foo", 22);
    assert_eq!(bench.ends_of("foo"), (1, 22, 22));
    set(&mut bench, 10);
    assert_eq!(bench.ends_of("foo"), (13, 22, 10));
    set(&mut bench, 0);
    bench.put_many("foo", 5);
    assert_eq!(bench.ends_of("foo"), (13, 27, 15));
    set(&mut bench, 1);
    assert_eq!(bench.ends(), (27, 27, 1));
    set(&mut bench, -2);
    assert_eq!(bench.store.config().max_msgs_per_subject, -1);
}

pub(crate) fn subject_limit_keeps_the_newest(make: Maker<'_>) {
    let mut bench = Bench::new(make, StreamConfig { max_msgs_per_subject: -1, ..config() });
    let payload = vec![0; 64 * 1024];
    let mut newest = 0;
    for round in 0..3 {
        let last = bench.put("foo.0");
        if round == 2 {
            bench.remove([last]);
        } else {
            newest = last;
        }
        for other in 1..=9 {
            let subject = format!("foo.{other}");
            bench.put_full(&subject, "", &payload, MessageTtl::Unset).expect("stored");
        }
    }
    let config = StreamConfig { max_msgs_per_subject: 1, ..bench.store.config().clone() };
    bench.store.update_config(config, bench.now).expect("valid");
    assert_eq!(bench.ends_of("foo.0"), (newest, newest, 1));
    let last = bench.store.load_last(&SubjectFilter::new("foo.0")).expect("held");
    assert_eq!(last.sequence().get(), newest);
    assert_eq!(bench.next(&SubjectFilter::new("foo.0"), 0).sequence().get(), newest);
}

pub(crate) fn initial_first_sequence_is_honoured(make: Maker<'_>) {
    let mut bench = Bench::new(make, StreamConfig { first_seq: 1000, ..config() });
    assert_eq!(bench.ends(), (1000, 999, 0));
    assert_eq!((bench.put("foo.A"), bench.put("foo.B")), (1000, 1001));
    assert_eq!(bench.ends(), (1000, 1001, 2));
}

pub(crate) fn deleted_sequences_are_those_between_first_and_last(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 10);
    assert!(bench.state().deleted.is_empty());
    bench.remove([2, 4, 6, 8]);
    assert_eq!(bench.state().deleted, [2, 4, 6, 8]);
    bench.remove([1, 3]);
    assert_eq!(bench.state().deleted, [6, 8]);
    assert_eq!(bench.ends(), (5, 10, 4));
    assert_eq!(bench.store.purge(), Ok(4));
    assert!(bench.state().deleted.is_empty());
}

pub(crate) fn removing_everything_leaves_first_one_past_last(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 10);
    bench.remove(1..=10);
    let state = bench.state();
    assert_eq!((state.first_seq.get(), state.last_seq.get(), state.messages), (11, 10, 0));
    assert_eq!((state.bytes, state.num_subjects), (0, 0));
    assert!(state.first_time.is_zero() && !state.last_time.is_zero());
    assert_eq!(bench.put("foo"), 11);
}

pub(crate) fn removal_effects_tell_what_went(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo.a", 3);
    let added: Vec<u64> = bench
        .effects()
        .into_iter()
        .map(|effect| match effect {
            StoreEffect::Added { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    bench.remove([2]);
    let [StoreEffect::Removed { sequence, subject, bytes }] = &bench.effects()[..] else {
        panic!("one removal");
    };
    assert_eq!((sequence.get(), subject.as_ref(), *bytes), (2, &b"foo.a"[..], added[1]));
    assert_eq!(bench.store.purge(), Ok(2));
    let bytes = added[0] + added[2];
    assert_eq!(bench.effects(), [StoreEffect::RemovedMany { messages: 2, bytes }]);
}

pub(crate) fn purge_keeps_the_last_sequence(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 10);
    bench.remove(2..=9);
    assert_eq!(bench.store.purge(), Ok(2));
    assert_eq!(bench.ends(), (11, 10, 0));
    assert_eq!(bench.state().num_subjects, 0);
    assert_eq!(bench.put("foo"), 11);
    assert_eq!(bench.state().num_deleted, 0);
}

pub(crate) fn purge_of_an_unused_store_sets_first_to_one(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    assert_eq!(bench.store.purge(), Ok(0));
    assert_eq!(bench.ends(), (1, 0, 0));
    assert_eq!(bench.purge("", 0, 0), 0);
    assert_eq!(bench.ends(), (1, 0, 0));
}

pub(crate) fn purge_up_to_one_does_nothing(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for _ in 0..5 {
        bench.put("foo");
        bench.put("bar.x");
    }
    for (subject, keep) in [("", 0), (">", 0), ("foo", 0), ("", 3), ("foo", 3)] {
        assert_eq!(bench.purge(subject, 1, keep), 0, "{subject} {keep}");
        assert_eq!(bench.ends(), (1, 10, 10));
    }
}

pub(crate) fn purge_of_a_subject_takes_only_its_messages(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for _ in 0..10 {
        bench.put("foo.a");
        bench.put("foo.b");
    }
    assert_eq!(bench.purge("foo.a", 11, 0), 5);
    assert_eq!(bench.ends_of("foo.a"), (11, 19, 5));
    assert_eq!(bench.purge("foo.a", 0, 2), 3);
    assert_eq!(bench.ends_of("foo.a"), (17, 19, 2));
    assert_eq!(bench.purge("foo.a", 0, 2), 0);
    bench.effects();
    assert_eq!(bench.purge("foo.a", 18, 1), 1);
    assert!(matches!(&bench.effects()[..], [StoreEffect::Removed { .. }]));
    assert_eq!(bench.purge("foo.*", 0, 1), 10);
    assert_eq!(bench.ends(), (20, 20, 1));
    assert_eq!(bench.purge("foo.b", 0, 0), 1);
    assert_eq!(bench.ends(), (21, 20, 0));
}

pub(crate) fn purge_keeps_the_newest_of_what_remains(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 50);
    bench.remove((2..=50).step_by(2));
    assert_eq!(bench.ends(), (1, 50, 25));
    assert_eq!(bench.purge("", 0, 5), 20);
    assert_eq!(bench.ends(), (41, 50, 5));
}

pub(crate) fn purge_up_to_a_deleted_sequence(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 10);
    bench.remove([2, 9]);
    assert_eq!(bench.purge("", 9, 0), 7);
    assert_eq!(bench.ends(), (10, 10, 1));
}

pub(crate) fn compact_moves_first_past_deletes(make: Maker<'_>) {
    for (to, purged) in [(2, 1), (3, 1), (4, 2)] {
        let mut bench = Bench::new(make, config());
        bench.put_many("foo", 3);
        bench.remove([2]);
        assert_eq!(bench.store.compact(sequence(to)), Ok(purged));
        assert_eq!(bench.ends(), (to.max(3), 3, 2 - purged));
        assert_eq!(bench.state().num_deleted, 0);
    }
}

pub(crate) fn compact_over_a_fully_deleted_range_empties_the_store(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 3);
    bench.remove([2, 3]);
    assert_eq!(bench.ends(), (1, 3, 1));
    assert_eq!(bench.store.compact(sequence(2)), Ok(1));
    assert_eq!(bench.ends(), (4, 3, 0));
    assert!(bench.state().first_time.is_zero());
}

pub(crate) fn compact_past_the_end_sets_the_next_sequence(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 10);
    assert_eq!(bench.store.compact(sequence(6)), Ok(5));
    assert_eq!(bench.ends(), (6, 10, 5));
    assert_eq!(bench.store.compact(sequence(5)), Ok(0));
    assert_eq!(bench.store.compact(sequence(100)), Ok(5));
    assert_eq!(bench.ends(), (100, 99, 0));
    assert_eq!(bench.put("foo"), 100);
    assert_eq!(bench.store.compact(sequence(0)), Ok(1));
    assert_eq!(bench.ends(), (101, 100, 0));
}

pub(crate) fn compact_forgets_subjects(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for subject in 0..1000 {
        bench.put(&format!("foo.{subject}"));
    }
    assert_eq!(bench.store.compact(sequence(501)), Ok(500));
    assert_eq!(bench.state().num_subjects, 500);
}

pub(crate) fn truncate_removes_everything_above(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 49);
    bench.put_many("bar.x", 51);
    bench.store.truncate(sequence(50), bench.now).expect("valid");
    assert_eq!(bench.ends(), (1, 50, 50));
    bench.remove([10, 20, 30, 40]);
    bench.store.truncate(sequence(25), bench.now).expect("valid");
    assert_eq!(bench.ends(), (1, 25, 23));
    let state = bench.state();
    assert_eq!((state.num_subjects, state.deleted), (1, vec![10, 20]));
    bench.store.truncate(sequence(1), bench.now).expect("valid");
    assert_eq!(bench.ends(), (1, 1, 1));
    assert_eq!(bench.put("foo"), 2);
}

pub(crate) fn truncate_to_zero_resets(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 1000);
    let bytes = bench.state().bytes;
    bench.remove([2]);
    bench.store.truncate(sequence(0), bench.now).expect("valid");
    assert_eq!(bench.ends(), (0, 0, 0));
    let state = bench.state();
    assert_eq!((state.bytes, state.num_subjects, state.num_deleted), (0, 0, 0));
    bench.put_many("foo", 1000);
    assert_eq!(bench.ends(), (1, 1000, 1000));
    let state = bench.state();
    assert_eq!((state.bytes, state.num_subjects, state.num_deleted), (bytes, 1, 0));
}

pub(crate) fn truncate_to_a_removed_message(make: Maker<'_>) {
    for erase in [false, true] {
        for held in [0, 1] {
            let mut bench = Bench::new(make, config());
            bench.put_many("foo", held);
            let last = bench.put("foo");
            let removed = if erase {
                bench.store.erase(sequence(last), &mut Zeros)
            } else {
                bench.store.remove(sequence(last))
            };
            assert_eq!(removed, Ok(true));
            bench.store.truncate(sequence(last), bench.now).expect("valid");
            let first = if held == 0 { 2 } else { 1 };
            assert_eq!(bench.ends(), (first, last, held as u64));
        }
    }
}

pub(crate) fn skip_uses_up_sequences(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let now = bench.now;
    assert_eq!(bench.store.skip_many(sequence(10), 100, now), Err(StoreError::SequenceMismatch));
    assert_eq!(bench.store.skip(sequence(2), now), Err(StoreError::SequenceMismatch));
    assert_eq!(bench.store.skip_many(sequence(1), 100, now), Ok(()));
    assert_eq!(bench.ends(), (101, 100, 0));
    assert_eq!(bench.store.skip_many(sequence(0), 100_000, now), Ok(()));
    assert_eq!(bench.ends(), (100_101, 100_100, 0));
    assert_eq!(bench.store.skip(sequence(0), now), Ok(sequence(100_101)));
    assert_eq!(bench.put("foo"), 100_102);
    assert_eq!(bench.store.skip_many(sequence(100_103), 10, now), Ok(()));
    assert_eq!(bench.store.skip(sequence(100_113), now), Ok(sequence(100_113)));
    assert_eq!(bench.ends(), (100_102, 100_113, 1));
    assert_eq!(bench.state().deleted, (100_103..=100_113).collect::<Vec<u64>>());
    assert!(bench.effects().iter().all(|effect| matches!(effect, StoreEffect::Added { .. })));
}

pub(crate) fn skip_keeps_the_last_time_unless_there_is_none(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    assert!(bench.state().last_time.is_zero());
    bench.store.skip(sequence(0), bench.now).expect("next");
    assert_eq!(bench.state().last_time, START);
    bench.pass(Duration::from_secs(60));
    bench.store.skip(sequence(0), bench.now).expect("next");
    bench.store.skip_many(sequence(0), 5, bench.now).expect("next");
    assert_eq!((bench.state().last_time, bench.ends()), (START, (8, 7, 0)));

    let mut bench = Bench::new(make, config());
    let day = Duration::from_secs(86_400);
    bench.put("foo");
    bench.now = START.saturating_add(30 * day);
    bench.store.skip_many(sequence(2), 10, bench.now).expect("next");
    bench.store.skip(sequence(12), bench.now).expect("next");
    bench.store.skip_many(sequence(13), 5, bench.now).expect("next");
    assert_eq!(bench.state().last_time, START);
    bench.now = START.saturating_add(15 * day);
    assert_eq!(bench.put("foo"), 18);
    for (time, expected) in [(0, 1), (5, 18), (15, 18), (16, 19)] {
        let found = bench.store.sequence_from_time(START.saturating_add(time * day));
        assert_eq!(found.get(), expected, "{time} days");
    }
}

pub(crate) fn skip_without_interest_dates_the_last_sequence(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for number in 1..=2 {
        bench.pass(Duration::from_secs(1));
        let skipped = bench.store.skip_no_interest(sequence(0), bench.now);
        assert_eq!(skipped, Ok(sequence(number)));
        let state = bench.state();
        assert_eq!((state.messages, state.last_time), (0, bench.now));
    }
}

pub(crate) fn next_message_of_a_union_of_filters(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for subject in 0..1000 {
        bench.put(&format!("foo.{subject}"));
    }
    let all_literals: Vec<String> = (0..1000).map(|subject| format!("foo.{subject}")).collect();
    for filter in [SubjectFilter::any(["foo.>"]), SubjectFilter::any(&all_literals)] {
        for start in 1..=1000 {
            let message = bench.next(&filter, start).found().expect("every message matches");
            assert_eq!(message.sequence().get(), start);
        }
    }
    let filter = SubjectFilter::any(["foo.2", "foo.222", "foo.999"]);
    let mut start = 1;
    for expected in [3, 223, 1000] {
        let found = bench.next(&filter, start).found().expect("one more");
        assert_eq!(found.sequence().get(), expected);
        start = expected + 1;
    }
    assert_eq!(bench.next(&filter, start), Lookup::Exhausted(sequence(1000)));
}

pub(crate) fn next_message_of_a_wildcard_behind_many_others(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for subject in 0..300 {
        bench.put(&format!("bar.{subject}"));
    }
    bench.put("foo.1");
    let filter = SubjectFilter::new("foo.*");
    let found = bench.next(&filter, 1).found().expect("the last one");
    assert_eq!((found.subject(), found.sequence().get()), (&b"foo.1"[..], 301));
    assert_eq!(bench.next(&filter, 302), Lookup::Exhausted(sequence(301)));
    assert_eq!(bench.next(&SubjectFilter::new("baz.*"), 1), Lookup::Exhausted(sequence(301)));
}

pub(crate) fn next_message_of_a_literal_and_its_bounds(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for (subject, count) in [
        ("foo.bar.a", 1),
        ("foo.baz.bar", 10),
        ("foo.bar.b", 1),
        ("foo.baz.bar", 10),
        ("foo.baz.bar.no.match", 10),
    ] {
        bench.put_many(subject, count);
    }
    for (filter, start, expected) in [
        ("foo.bar.a", 0, Some(1)),
        ("foo.bar.a", 2, None),
        ("foo.baz.bar", 1, Some(2)),
        ("foo.baz.bar", 11, Some(11)),
        ("foo.baz.bar", 12, Some(13)),
        ("foo.baz.bar", 22, Some(22)),
        ("foo.baz.bar", 23, None),
        ("foo.nope", 1, None),
        ("foo.bar.*", 0, Some(1)),
        ("foo.bar.*", 2, Some(12)),
        ("foo.bar.*", 13, None),
        ("foo.baz.*", 1, Some(2)),
        ("foo.baz.*", 12, Some(13)),
        ("foo.baz.*", 23, None),
        ("foo.nope.*", 1, None),
        ("foo.>", 32, Some(32)),
        ("", 33, None),
    ] {
        let found = bench.next(&SubjectFilter::new(filter), start);
        assert_eq!(found.sequence().get(), expected.unwrap_or(32), "{filter} from {start}");
        assert_eq!(found.found().is_some(), expected.is_some(), "{filter} from {start}");
    }
}

pub(crate) fn previous_message_by_filter(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for subject in ["foo.1", "bar.1", "foo.2", "bar.2", "foo.3"] {
        bench.put(subject);
    }
    for (filters, start, expected) in [
        (&[""][..], 5, Some(5)),
        (&["foo.2"], 5, Some(3)),
        (&["foo.2"], 3, Some(3)),
        (&["foo.2"], 2, None),
        (&["foo.*"], 5, Some(5)),
        (&["foo.*"], 4, Some(3)),
        (&["baz.*"], 5, None),
        (&["foo.1", "bar.2"], 9, Some(4)),
        (&["foo.1", "bar.2"], 3, Some(1)),
        (&[">"], 5, Some(5)),
        (&[">"], 0, None),
    ] {
        let found = bench.previous(&SubjectFilter::any(filters), start);
        assert_eq!(found.sequence().get(), expected.unwrap_or(1), "{filters:?} to {start}");
        assert_eq!(found.found().is_some(), expected.is_some(), "{filters:?} to {start}");
    }
    bench.remove([5, 3]);
    assert_eq!(bench.previous(&SubjectFilter::All, 100).sequence().get(), 4);
    assert_eq!(bench.previous(&SubjectFilter::new("foo.*"), 100).sequence().get(), 1);
}

pub(crate) fn subject_ends_follow_every_removal(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let foo = SubjectFilter::new("foo");
    let check = |bench: &mut Bench, first: u64, last: u64, messages: u64| {
        assert_eq!(bench.ends_of("foo"), (first, last, messages));
        assert_eq!(bench.next(&foo, 0).sequence().get(), first);
        let found = bench.store.load_last(&foo).expect("held");
        assert_eq!(found.sequence().get(), last);
    };
    bench.put_many("foo", 4);
    check(&mut bench, 1, 4, 4);
    for (removed, first, last, messages) in [(1, 2, 4, 3), (4, 2, 3, 2), (2, 3, 3, 1)] {
        bench.remove([removed]);
        check(&mut bench, first, last, messages);
    }
    bench.put_many("foo", 3);
    check(&mut bench, 3, 7, 4);
    bench.remove([7, 3, 5]);
    check(&mut bench, 6, 6, 1);
    bench.put("foo");
    bench.remove([8]);
    bench.put("foo");
    check(&mut bench, 6, 9, 2);
    bench.put_many("foo", 2);
    bench.remove([9, 6, 10]);
    check(&mut bench, 11, 11, 1);
}

pub(crate) fn last_sequences_of_filters(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for first in ["foo", "bar"] {
        for _ in 0..33 {
            for second in ["foo", "bar", "baz"] {
                bench.put(&format!("{first}.{second}"));
            }
        }
    }
    for (filters, max, expected) in [
        (&["foo.*"][..], 3, &[1, 2, 3][..]),
        (&["foo.*"], 0, &[97, 98, 99]),
        (&["bar.*"], 0, &[196, 197, 198]),
        (&["bar.*"], 99, &[]),
        (&["foo.foo", "foo.bar", "foo.baz"], 3, &[1, 2, 3]),
        (&["foo.foo", "foo.bar", "foo.baz"], 0, &[97, 98, 99]),
        (&["bar.foo", "bar.bar", "bar.baz"], 99, &[]),
        (&["foo.foo"], 3, &[1]),
        (&["foo.*", "foo.bar"], 3, &[1, 2, 3]),
        (&["bar.>", "bar.bar", "bar.baz"], 0, &[196, 197, 198]),
        (&[">"], 0, &[97, 98, 99, 196, 197, 198]),
        (&[">"], 99, &[97, 98, 99]),
        (&["foo.foo", "bar.baz"], 100, &[97]),
        (&["foo.foo"], 95, &[94]),
    ] {
        assert_eq!(bench.last_sequences(filters, max), expected, "{filters:?} up to {max}");
    }
    let all = bench.store.all_last_sequences().expect("open");
    assert_eq!(all, [97, 98, 99, 196, 197, 198].map(sequence));
    bench.remove([97, 94, 2]);
    assert_eq!(bench.last_sequences(&["foo.foo"], 0), [91]);
    assert_eq!(bench.last_sequences(&["foo.foo"], 96), [91]);
    assert_eq!(bench.store.config().subjects, config().subjects, "filters leave these alone");
}

pub(crate) fn last_sequences_above_the_allowed_number_are_refused(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    for subject in 1..=100 {
        bench.put(&format!("foo.{subject}"));
    }
    let filters = [SubjectFilter::new("foo.*")];
    let mut found = |allowed| bench.store.multi_last_sequences(&filters, sequence(0), allowed);
    assert_eq!(found(10), Err(StoreError::TooManyResults));
    assert_eq!(found(99), Err(StoreError::TooManyResults));
    assert_eq!(found(100).map(|found| found.len()), Ok(100));
}

pub(crate) fn last_message_follows_removals(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 3);
    assert_eq!(bench.last_sequences(&["foo"], 0), [3]);
    bench.remove([3]);
    assert_eq!(bench.last_sequences(&["foo"], 0), [2]);
    let mut last = |filter: &str, expected: StoreResult<u64>| {
        let found = bench.store.load_last(&SubjectFilter::new(filter));
        assert_eq!(found.map(|message| message.sequence().get()), expected, "{filter}");
    };
    last("foo", Ok(2));
    last("f*", Err(StoreError::MessageNotFound));
    last("*", Ok(2));
    // Everything means the message at the last sequence, and that one was removed.
    last("", Err(StoreError::MessageNotFound));
    assert_eq!(bench.put("foo"), 4);
    bench.remove([4]);
    let found = bench.store.load_last(&SubjectFilter::new("foo")).expect("held");
    assert_eq!(found.sequence().get(), 2);
}

pub(crate) fn pending_agrees_with_a_scan(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let tokens = ["foo", "bar", "baz"];
    let mut mix = 88_172_645_463_325_252_u64;
    let mut token = || {
        mix ^= mix << 13;
        mix ^= mix >> 7;
        mix ^= mix << 17;
        tokens[(mix % 3) as usize]
    };
    let count = 3000;
    let mut subjects = vec![String::new()];
    for _ in 0..count {
        let subject = format!("foo.{}.{}.{}", token(), token(), token());
        bench.put(&subject);
        subjects.push(subject);
    }
    let removed: Vec<u64> = (7..count).step_by(11).collect();
    bench.remove(removed.iter().copied());
    removed.iter().for_each(|number| subjects[*number as usize].clear());

    let filters = [
        "foo.>",
        "*.bar.>",
        "foo.bar.*.baz",
        "*.foo.bar.*",
        "foo.foo.bar.baz",
        "*.*.*.baz",
        "none",
    ];
    for start in [0, 1, 2, 200, 444, 1555, 2222, 2999, 3000, 3001] {
        for filter in filters {
            let matching = SubjectFilter::new(filter);
            let found: Vec<u64> = (start.max(1)..=count)
                .filter(|number| matching.matches(subjects[*number as usize].as_bytes()))
                .collect();
            let state = bench.store.filtered_state(sequence(start), &matching).expect("open");
            if start <= count {
                let ends = (found.first().copied(), found.last().copied());
                let expected = (found.len() as u64, ends.0.unwrap_or(0), ends.1.unwrap_or(0));
                let state = (state.messages, state.first.get(), state.last.get());
                assert_eq!(state, expected, "{filter} from {start}");
            }
            assert_eq!(bench.pending(start, filter, false), found.len() as u64);
            let mut last: Vec<&String> = found.iter().map(|n| &subjects[*n as usize]).collect();
            last.sort_unstable();
            last.dedup();
            assert_eq!(bench.pending(start, filter, true), last.len() as u64, "{filter} {start}");
        }
        let union = SubjectFilter::any(["*.bar.>", "foo.bar.foo.foo", "foo.foo.bar.baz"]);
        let expected = (start.max(1)..=count)
            .filter(|number| union.matches(subjects[*number as usize].as_bytes()))
            .count() as u64;
        let pending = bench.store.num_pending(sequence(start), &union, false).expect("open");
        assert_eq!(pending.total, expected, "union from {start}");
        let held = (start.max(1)..=count).filter(|n| !subjects[*n as usize].is_empty()).count();
        assert_eq!(bench.pending(start, ">", false), held as u64);
    }
}

pub(crate) fn pending_last_per_subject_counts_subjects_not_messages(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo.A", 10);
    bench.put("foo.B");
    bench.put("foo.C");
    bench.store.skip_many(sequence(13), 87, bench.now).expect("next");
    bench.put("foo.B");
    bench.store.skip_many(sequence(101), 899, bench.now).expect("next");
    assert_eq!(bench.put("foo.C"), 1000);
    assert_eq!(bench.pending(13, "foo.*", true), 2);
    assert_eq!(bench.pending(1, "foo.*", true), 3);
    assert_eq!(bench.pending(101, ">", true), 1);
    assert_eq!(bench.pending(4, "foo.*", false), 11);
    let union = SubjectFilter::any(["foo.A", "foo.*"]);
    let pending = bench.store.num_pending(sequence(13), &union, true).expect("open");
    assert_eq!(pending.total, 2);
}

pub(crate) fn sequence_from_time_steps_over_deletes(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    assert_eq!(bench.store.sequence_from_time(START).get(), 1);
    for _ in 0..10 {
        bench.put("foo");
        bench.pass(Duration::from_secs(1));
    }
    bench.remove(4..=7);
    for (seconds, expected) in [(0, 1), (1, 2), (2, 3), (3, 8), (6, 8), (7, 8), (9, 10), (10, 11)] {
        let found =
            bench.store.sequence_from_time(START.saturating_add(Duration::from_secs(seconds)));
        assert_eq!(found.get(), expected, "{seconds} seconds");
    }
    assert_eq!(bench.store.sequence_from_time(Timestamp::from_nanos(0)).get(), 1);
    bench.remove([10]);
    let found = bench.store.sequence_from_time(START.saturating_add(Duration::from_secs(1)));
    assert_eq!(found.get(), 2);
}

pub(crate) fn message_ttl_removes_only_while_allowed(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let header = "NATS/1.0\r\nNats-TTL: 1\r\n\r\n";
    let ttl = MessageTtl::Seconds(1);
    let allow = |bench: &mut Bench, allow_msg_ttl| {
        let config = StreamConfig { allow_msg_ttl, ..bench.store.config().clone() };
        bench.store.update_config(config, bench.now).expect("valid");
    };
    bench.put_full("foo", header, b"", ttl).expect("stored");
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.ends(), (1, 1, 1));
    allow(&mut bench, true);
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.ends(), (2, 1, 0), "enabling looks at what is there");
    for _ in 0..10 {
        bench.put_full("foo", header, b"", ttl).expect("stored");
    }
    bench.run(Duration::from_millis(900));
    assert_eq!(bench.ends(), (2, 11, 10));
    bench.run(Duration::from_millis(400));
    assert_eq!(bench.ends(), (12, 11, 0));
    allow(&mut bench, false);
    bench.put_full("foo", header, b"", ttl).expect("stored");
    bench.run(Duration::from_secs(3600));
    assert_eq!(bench.ends(), (12, 12, 1));
    // Files have their upkeep besides.
    if bench.store.storage_type() == crate::config::StorageType::Memory {
        assert_eq!(bench.store.next_deadline(), None);
    }
}

pub(crate) fn max_age_removes_and_never_stays(make: Maker<'_>) {
    let age = StreamConfig { max_age: 10_000_000_000, allow_msg_ttl: true, ..config() };
    let mut bench = Bench::new(make, age);
    for round in 0..2 {
        bench.put_many("foo", 100);
        bench.run(Duration::from_secs(9));
        assert_eq!(bench.state().messages, 100, "round {round}");
        bench.run(Duration::from_secs(2));
        assert_eq!((bench.state().messages, bench.state().bytes), (0, 0), "round {round}");
    }
    let never = "NATS/1.0\r\nNats-TTL: never\r\n\r\n";
    bench.put_full("foo", never, b"", MessageTtl::Never).expect("stored");
    bench.put("foo");
    bench.run(Duration::from_secs(13));
    assert_eq!(bench.ends(), (201, 202, 1));
    // A longer time to live of its own does not outlast the stream's.
    let long = "NATS/1.0\r\nNats-TTL: 1h\r\n\r\n";
    bench.put_full("foo", long, b"", MessageTtl::Seconds(3600)).expect("stored");
    bench.run(Duration::from_secs(13));
    assert_eq!(bench.ends(), (201, 203, 1));
}

pub(crate) fn last_expired_message_of_a_subject_becomes_a_marker(make: Maker<'_>) {
    let second = 1_000_000_000;
    let mut bench = Bench::new(
        make,
        StreamConfig {
            max_age: second,
            allow_msg_ttl: true,
            allow_rollup_hdrs: true,
            subject_delete_marker_ttl: second,
            ..config()
        },
    );
    bench.put_many("foo.a", 3);
    bench.effects();
    bench.run(Duration::from_millis(1300));
    let effects = bench.effects();
    let [
        StoreEffect::ProposeRemoval { sequence: first },
        StoreEffect::ProposeRemoval { sequence: second },
        StoreEffect::Publish { subject, header, payload },
    ] = &effects[..]
    else {
        panic!("two removals and a marker, got {effects:?}");
    };
    assert_eq!((first.get(), second.get(), subject.as_ref()), (1, 2, &b"foo.a"[..]));
    assert_eq!(
        std::str::from_utf8(header),
        Ok("NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1s\r\nNats-Rollup: sub\r\n\r\n")
    );
    assert!(payload.is_empty());
    assert_eq!(bench.state().messages, 3, "the stream decides when they go");
    // Nothing happens to the proposals: they are made again after two seconds.
    bench.run(Duration::from_millis(1500));
    assert_eq!(bench.effects(), []);
    bench.run(Duration::from_millis(1500));
    assert_eq!(bench.effects().len(), 3);
    bench.remove([1, 2, 3]);
    // The marker itself goes without leaving another one.
    let marker = std::str::from_utf8(header).expect("text");
    bench.put_full("foo.a", marker, b"", MessageTtl::Seconds(1)).expect("stored");
    bench.effects();
    bench.run(Duration::from_millis(1500));
    assert_eq!(bench.effects(), [StoreEffect::ProposeRemoval { sequence: sequence(4) }]);
}

pub(crate) fn schedule_is_published_and_rearmed(make: Maker<'_>) {
    let mut bench = Bench::new(make, StreamConfig { allow_msg_schedules: true, ..config() });
    let every = "NATS/1.0\r\nNats-Schedule: @every 1500ms\r\nNats-Schedule-Target: foo.out\r\n\r\n";
    bench.put_full("foo.in", every, b"tick", MessageTtl::Unset).expect("stored");
    bench.effects();
    bench.run(Duration::from_millis(1400));
    assert_eq!(bench.effects(), []);
    bench.run(Duration::from_millis(300));
    let effects = bench.effects();
    let [StoreEffect::Publish { subject, header, payload }] = &effects[..] else {
        panic!("one message, got {effects:?}");
    };
    assert_eq!((subject.as_ref(), payload.as_ref()), (&b"foo.out"[..], &b"tick"[..]));
    // Half a second is rounded up, then the interval is added again.
    let header = std::str::from_utf8(header).expect("text");
    assert_eq!(
        header,
        "NATS/1.0\r\nNats-Scheduler: foo.in\r\nNats-Schedule-Next: 2023-11-14T22:13:23.5Z\r\n\r\n"
    );
    bench.run(Duration::from_secs(10));
    assert_eq!(bench.effects(), [], "not again until it is stored");
    bench.put_full("foo.out", header, b"tick", MessageTtl::Unset).expect("stored");
    bench.effects();
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.effects().len(), 1);
    // Removing the schedule ends it.
    bench.remove([1]);
    bench.effects();
    bench.store.reset_proposals();
    bench.run(Duration::from_secs(10));
    assert_eq!(bench.effects(), []);
}

pub(crate) fn replicated_state_tells_all_deletes(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 1000);
    bench.remove((2..=1000).step_by(3));
    bench.store.skip_many(sequence(1001), 200_000, bench.now).expect("next");
    bench.put("foo");
    let encoded = bench.store.encoded_state(22).expect("open");
    let decoded = ReplicatedState::decode(&encoded).expect("valid");
    let state = bench.state();
    assert_eq!((decoded.messages, decoded.bytes), (state.messages, state.bytes));
    assert_eq!((decoded.first, decoded.last), (state.first_seq, state.last_seq));
    assert_eq!(decoded.failed, 22);
    let mut deleted: Vec<u64> = decoded.deleted.iter().flat_map(DeleteBlock::iter).collect();
    deleted.sort_unstable();
    assert_eq!(deleted, state.deleted);
}

pub(crate) fn deletes_of_a_replica_are_followed(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    bench.put_many("foo", 100);
    bench.effects();
    let blocks = [
        DeleteBlock::Range { first: 1, count: 10 },
        DeleteBlock::Set([5, 20, 22].into_iter().collect()),
        DeleteBlock::List(vec![20, 30]),
        DeleteBlock::Range { first: 95, count: u64::MAX },
        DeleteBlock::Set([101].into_iter().collect()),
    ];
    bench.store.sync_deleted(&blocks).expect("open");
    assert_eq!(bench.ends(), (11, 100, 81));
    let expected: Vec<u64> = [20, 22, 30].into_iter().chain(95..=100).collect();
    assert_eq!(bench.state().deleted, expected);
    bench.store.sync_deleted(&blocks).expect("open");
    assert_eq!(bench.ends(), (11, 100, 81));
}

pub(crate) fn closed_store_refuses(make: Maker<'_>) {
    let mut bench = Bench::new(make, config());
    let bytes = bench.put_full("foo", "", b"", MessageTtl::Unset).expect("stored").bytes;
    bench.effects();
    bench.store.stop(bench.now).expect("first time");
    let bytes = i64::try_from(bytes).expect("small");
    assert_eq!(bench.effects(), [StoreEffect::Usage { bytes: -bytes }]);
    let closed = StoreError::Closed;
    assert_eq!(bench.put_full("foo", "", b"", MessageTtl::Unset).map(|_| ()), Err(closed.clone()));
    assert_eq!(bench.store.remove(sequence(1)), Err(closed.clone()));
    assert_eq!(bench.store.load(sequence(1)).map(|_| ()), Err(closed.clone()));
    assert_eq!(bench.store.purge(), Err(closed.clone()));
    assert_eq!(bench.store.sync().map(|_| ()), Err(closed));
    let last = bench.store.load_last(&SubjectFilter::new("foo")).map(|_| ());
    assert_eq!(last, Err(StoreError::MessageNotFound));
    assert_eq!(bench.store.next_deadline(), None);
}
