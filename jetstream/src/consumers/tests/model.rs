//! Random operations against a naive model: no message is lost, none is delivered against the
//! rules, and what is counted is what there is (spec 07b §B5, §B11, §B12).

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const ACK_WAIT: Duration = Duration::from_millis(200);
const SUBJECTS: [&str; 4] = ["a", "b.1", "b.2", "c"];

/// What a test does. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Operation {
    Publish(usize),
    Pull { batch: u8, no_wait: bool, expires: u16 },
    Ack(usize),
    Nak(usize),
    NakLater(usize, u16),
    Progress(usize),
    Term(usize),
    Remove(usize),
    PurgeBelow(usize),
    PurgeSubject(usize),
    Advance(u16),
    Fail(usize),
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let pick = || 0_usize..64;
    prop_oneof![
        8 => (0..SUBJECTS.len()).prop_map(Publish),
        6 => (1_u8..6, any::<bool>(), 0_u16..500)
            .prop_map(|(batch, no_wait, expires)| Pull { batch, no_wait, expires }),
        6 => pick().prop_map(Ack),
        2 => pick().prop_map(Nak),
        1 => (pick(), 1_u16..600).prop_map(|(at, millis)| NakLater(at, millis)),
        1 => pick().prop_map(Progress),
        1 => pick().prop_map(Term),
        1 => pick().prop_map(Remove),
        1 => pick().prop_map(PurgeBelow),
        1 => (0..SUBJECTS.len()).prop_map(PurgeSubject),
        3 => (1_u16..400).prop_map(Advance),
        1 => pick().prop_map(Fail),
        1 => Just(Restart),
    ]
}

/// A message as the model knows it.
#[derive(Clone, Debug, Default)]
struct Known {
    matches: bool,
    exists: bool,
    /// Deliveries that reached somebody.
    delivered: u64,
    /// Acknowledged or terminated.
    done: bool,
    /// It may be delivered again from this moment on.
    again_from: Option<Timestamp>,
    /// Whether its latest delivery may have been forgotten or may come early.
    loose: bool,
}

struct Model {
    fixture: Fixture,
    messages: BTreeMap<u64, Known>,
    highest: u64,
    next_consumer: u64,
    max_deliver: i64,
    max_ack_pending: usize,
}

impl Model {
    fn new(max_deliver: i64, max_ack_pending: i64) -> Self {
        let fixture = Fixture::new(pull(|config| {
            config.filter_subjects = vec!["a".to_owned(), "b.*".to_owned()];
            config.ack_wait = i64::try_from(ACK_WAIT.as_nanos()).expect("small");
            config.max_deliver = max_deliver;
            config.max_ack_pending = max_ack_pending;
        }));
        let max_ack_pending = usize::try_from(max_ack_pending).unwrap_or(usize::MAX);
        Model {
            fixture,
            messages: BTreeMap::new(),
            highest: 0,
            next_consumer: 1,
            max_deliver,
            max_ack_pending,
        }
    }

    fn is_past_last(&self, known: &Known) -> bool {
        u64::try_from(self.max_deliver).is_ok_and(|max| known.delivered >= max)
    }

    /// Takes note of what was delivered since.
    fn observe(&mut self) {
        for got in self.fixture.take_got() {
            let (sequence, consumer, count, _) = got.numbers();
            assert_eq!(consumer, self.next_consumer, "numbers have no gap");
            self.next_consumer += 1;
            let now = self.fixture.now;
            let known = self.messages.get(&sequence).cloned().expect("a published message");
            assert!(known.matches && known.exists && !known.done, "{sequence}: {known:?}");
            if known.delivered == 0 && !known.loose {
                assert!(sequence > self.highest, "first deliveries are in order");
            } else {
                assert!(known.again_from.is_some_and(|from| from <= now), "{sequence} too early");
            }
            assert!(!self.is_past_last(&known), "{sequence} too often");
            assert_eq!(count, known.delivered + 1, "{sequence}");
            self.highest = self.highest.max(sequence);
            let known = self.messages.get_mut(&sequence).expect("a published message");
            known.delivered += 1;
            known.loose = false;
            known.again_from = Some(now.saturating_add(ACK_WAIT));
        }
        let info = self.fixture.info();
        let unseen = |(sequence, known): &(&u64, &Known)| {
            known.matches && known.exists && **sequence > self.highest
        };
        let expected = self.messages.iter().filter(unseen).count();
        assert_eq!(info.num_pending, expected as u64);
        assert!(info.num_ack_pending <= self.max_ack_pending);
        let state = self.fixture.consumer.store().state().expect("open");
        assert_eq!(state.pending.len(), info.num_ack_pending);
        for (sequence, known) in &self.messages {
            if known.exists {
                let subject = if known.matches { b"a".as_slice() } else { b"c" };
                let needed = self.fixture.consumer.needs((*sequence).into(), subject);
                assert_eq!(needed, known.matches && !known.done, "{sequence}: {known:?}");
            }
        }
    }

    /// A message that is with a client, if there is any.
    fn pick(&self, at: usize) -> Option<u64> {
        let with_client: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, known)| known.exists && known.delivered > 0 && !known.done)
            .map(|(sequence, _)| *sequence)
            .collect();
        (!with_client.is_empty()).then(|| with_client[at % with_client.len()])
    }

    fn answer(&mut self, sequence: u64, payload: &str) {
        let state = self.fixture.consumer.store().state().expect("open");
        let pending = state.pending.get(&sequence.into());
        // What was given up has no delivery that could be named; any will do.
        let consumer = pending.map_or(1, |pending| pending.sequence.get());
        let subject = format!("$JS.ACK.S.C.1.{sequence}.{consumer}.0.0");
        self.fixture.turn(|consumer, turn| {
            consumer.ack(turn, subject.as_bytes(), b"", payload.as_bytes(), None);
        });
    }

    fn known(&mut self, sequence: u64) -> &mut Known {
        self.messages.get_mut(&sequence).expect("a published message")
    }

    fn gone(&mut self, is_gone: impl Fn(u64) -> bool) {
        for (sequence, known) in &mut self.messages {
            known.exists &= !is_gone(*sequence);
        }
    }

    fn apply(&mut self, operation: &Operation) {
        let now = self.fixture.now;
        match *operation {
            Operation::Publish(at) => {
                let subject = SUBJECTS[at];
                let sequence = self.fixture.publish(subject, "x");
                let known = Known { matches: subject != "c", exists: true, ..Known::default() };
                self.messages.insert(sequence, known);
            }
            Operation::Pull { batch, no_wait, expires } => {
                let expires = u64::from(expires) * 1_000_000;
                let body =
                    format!(r#"{{"batch":{batch},"no_wait":{no_wait},"expires":{expires}}}"#);
                self.fixture.turn(|consumer, turn| {
                    consumer.pull(turn, b"r", b"", body.as_bytes(), None);
                });
            }
            Operation::Ack(at) => {
                if let Some(sequence) = self.pick(at) {
                    self.answer(sequence, "+ACK");
                    self.known(sequence).done = true;
                }
            }
            Operation::Term(at) => {
                if let Some(sequence) = self.pick(at) {
                    self.answer(sequence, "+TERM");
                    self.known(sequence).done = true;
                }
            }
            Operation::Nak(at) => {
                if let Some(sequence) = self.pick(at) {
                    self.answer(sequence, "-NAK");
                    self.known(sequence).again_from = Some(now);
                }
            }
            Operation::NakLater(at, millis) => {
                if let Some(sequence) = self.pick(at) {
                    self.answer(sequence, &format!("-NAK {millis}ms"));
                    let from = now.saturating_add(Duration::from_millis(millis.into()));
                    self.known(sequence).again_from = Some(from);
                }
            }
            Operation::Progress(at) => {
                // A message that is due already may come at once.
                if let Some(sequence) = self.pick(at)
                    && self.known(sequence).again_from.is_some_and(|from| from > now)
                {
                    self.answer(sequence, "+WPI");
                    self.known(sequence).again_from = Some(now.saturating_add(ACK_WAIT));
                }
            }
            Operation::Remove(at) => {
                let existing: Vec<u64> =
                    self.messages.iter().filter(|(_, k)| k.exists).map(|(s, _)| *s).collect();
                if !existing.is_empty() {
                    let sequence = existing[at % existing.len()];
                    self.gone(|gone| gone == sequence);
                    self.fixture.remove(sequence);
                }
            }
            Operation::PurgeBelow(at) => {
                let first = self.fixture.store.fast_state().first_seq.get();
                let below = first + at as u64 % 8;
                self.gone(|gone| gone < below);
                self.purge(None, below);
            }
            Operation::PurgeSubject(at) => {
                let subject = SUBJECTS[at];
                let purged: BTreeSet<u64> = self
                    .fixture
                    .store
                    .subjects_state(&SubjectFilter::new(subject))
                    .map(|_| self.sequences_of(subject))
                    .expect("readable");
                self.gone(|gone| purged.contains(&gone));
                self.purge(Some(subject), 0);
            }
            Operation::Advance(millis) => {
                let end = now.saturating_add(Duration::from_millis(millis.into()));
                while let Some(deadline) =
                    self.fixture.consumer.next_deadline().filter(|deadline| *deadline <= end)
                {
                    self.fixture.now = self.fixture.now.max(deadline);
                    self.fixture.turn(|consumer, turn| consumer.tick(turn));
                    self.fixture.deliver();
                    self.observe();
                }
                self.fixture.now = end;
            }
            Operation::Fail(at) => {
                let state = self.fixture.consumer.store().state().expect("open");
                let pending: Vec<u64> = state.pending.keys().map(|s| s.get()).collect();
                if !pending.is_empty() {
                    let sequence = pending[at % pending.len()];
                    self.fixture.turn(|consumer, turn| {
                        consumer.delivery_failed(turn, sequence.into(), b"r");
                    });
                    let known = self.known(sequence);
                    known.delivered = known.delivered.saturating_sub(1);
                    known.loose = true;
                    known.again_from = Some(now);
                }
            }
            Operation::Restart => self.restart(),
        }
        self.fixture.deliver();
        self.observe();
    }

    fn sequences_of(&mut self, subject: &str) -> BTreeSet<u64> {
        let filter = SubjectFilter::new(subject);
        let mut found = BTreeSet::new();
        let mut next = StreamSequence::new(1);
        while let Ok(crate::store::Lookup::Found(message)) =
            self.fixture.store.load_next(&filter, next)
        {
            found.insert(message.sequence().get());
            next = message.sequence().next();
        }
        found
    }

    fn purge(&mut self, subject: Option<&str>, below: u64) {
        let request = crate::store::PurgeRequest {
            filter: SubjectFilter::new(subject.unwrap_or_default()),
            below: below.into(),
            keep: 0,
        };
        self.fixture.store.purge_matching(&request).expect("purged");
        self.fixture.pass_on(None);
        self.fixture.turn(|consumer, turn| consumer.purged(turn, subject));
    }

    /// The server starts again with what the consumer's store remembers.
    fn restart(&mut self) {
        let config = self.fixture.consumer.config().clone();
        let state = self.fixture.consumer.store().state().expect("open").clone();
        let mut new = new_consumer(config);
        if state.has_delivered() {
            new.store.update(state).expect("a valid state");
        } else {
            new.store.set_starting(StreamSequence::ZERO, self.fixture.now).expect("memory");
        }
        new.recovering = true;
        let now = self.fixture.now;
        let mut turn = Turn { store: &mut *self.fixture.store, interest: &self.fixture.deaf, now };
        self.fixture.consumer = Consumer::new(&mut turn, new).expect("a consumer");
        self.fixture.collect();
        // Messages that were not delivered again yet wait anew, or less; what failed is not known
        // to have failed any more.
        let state = self.fixture.consumer.store().state().expect("open").clone();
        for (sequence, known) in &mut self.messages {
            if let Some(pending) = state.pending.get(&(*sequence).into()) {
                let redelivered = state.redelivered.get(&(*sequence).into()).copied().unwrap_or(0);
                known.delivered = redelivered + 1;
                known.again_from = Some(pending.timestamp.saturating_add(ACK_WAIT).min(now));
            }
        }
        self.highest = self.highest.max(state.delivered.stream.get());
    }

    /// Delivers and acknowledges all that is left.
    fn finish(&mut self) {
        for _ in 0..200 {
            self.apply(&Operation::Advance(1_000));
            self.apply(&Operation::Pull { batch: 100, no_wait: false, expires: 100 });
            while let Some(sequence) = self.pick(0) {
                self.answer(sequence, "");
                self.known(sequence).done = true;
            }
            let is_left = |known: &Known| known.matches && known.exists && !known.done;
            if !self.messages.values().any(is_left) {
                break;
            }
        }
        for (sequence, known) in &self.messages {
            assert!(!known.matches || !known.exists || known.done, "{sequence} was lost");
        }
        let info = self.fixture.info();
        assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));
        // Past messages that were given up the floor moves with the next acknowledgement only.
        if self.max_deliver < 0 {
            assert_eq!(info.delivered.sequence.consumer, info.ack_floor.sequence.consumer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_message_is_lost_and_none_delivered_against_the_rules(
        max_deliver in prop_oneof![Just(-1_i64), Just(2), Just(3)],
        max_ack_pending in prop_oneof![Just(-1_i64), Just(1), Just(3)],
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut model = Model::new(max_deliver, max_ack_pending);
        for operation in &operations {
            model.apply(operation);
        }
        model.finish();
    }
}
