//! The ids of the messages stored lately, by which repeated ones are found (spec 07a §A7.4).

use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// Expired ids are cleared away no more often than this.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    sequence: StreamSequence,
    stored: Timestamp,
}

/// The ids of a window of time. As many are held as were stored within the window.
///
/// Invariant: `order` has an element for every entry of `entries`, the oldest first, and maybe
/// more for ids that were stored again.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    window: Duration,
    entries: HashMap<Bytes, Entry, ahash::RandomState>,
    order: VecDeque<(Timestamp, Bytes)>,
    deadline: Option<Timestamp>,
}

/// The window a configuration asks for; nothing is remembered without one.
fn window_of(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

impl Dedupe {
    pub(super) fn new(window_nanos: i64) -> Self {
        Dedupe { window: window_of(window_nanos), ..Dedupe::default() }
    }

    /// The sequence under which a message of this id is stored.
    pub(super) fn find(&self, id: &[u8], now: Timestamp) -> Option<StreamSequence> {
        let entry = self.entries.get(id)?;
        (!self.is_expired(entry.stored, now)).then_some(entry.sequence)
    }

    /// Remembers that a message of this id was stored.
    pub(super) fn insert(&mut self, id: &[u8], sequence: StreamSequence, stored: Timestamp) {
        if self.window.is_zero() {
            return;
        }
        let id = Bytes::copy_from_slice(id);
        self.entries.insert(id.clone(), Entry { sequence, stored });
        self.order.push_back((stored, id));
        if self.deadline.is_none() {
            self.deadline = Some(stored.saturating_add(self.window));
        }
    }

    /// Takes over another window, which also counts for the ids held.
    pub(super) fn set_window(&mut self, nanos: i64, now: Timestamp) {
        self.window = window_of(nanos);
        self.expire(now);
    }

    fn is_expired(&self, stored: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(stored) >= self.window
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Forgets the ids that are past the window.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((stored, _)) = self.order.front()
            && self.is_expired(*stored, now)
        {
            let Some((stored, id)) = self.order.pop_front() else { break };
            if self.entries.get(&id).is_some_and(|entry| entry.stored == stored) {
                self.entries.remove(&id);
            }
        }
        self.deadline = self.order.front().map(|(stored, _)| {
            stored.saturating_add(self.window).max(now.saturating_add(MIN_INTERVAL))
        });
        if self.order.is_empty() {
            // A burst of ids should not hold memory for good.
            self.entries.shrink_to_fit();
            self.order.shrink_to_fit();
        }
    }

    /// How many ids are held.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn sequence(number: u64) -> StreamSequence {
        StreamSequence::new(number)
    }

    #[test]
    fn id_is_known_until_the_window_has_passed() {
        let mut dedupe = Dedupe::new(2 * SECOND);
        dedupe.insert(b"a", sequence(1), at(10));
        assert_eq!(dedupe.find(b"a", at(11)), Some(sequence(1)));
        assert_eq!(dedupe.find(b"b", at(11)), None);
        assert_eq!(dedupe.find(b"a", at(12)), None);
        assert_eq!(dedupe.next_deadline(), Some(at(12)));
        dedupe.expire(at(12));
        assert_eq!((dedupe.len(), dedupe.next_deadline()), (0, None));
    }

    #[test]
    fn without_a_window_nothing_is_remembered() {
        let mut dedupe = Dedupe::new(0);
        dedupe.insert(b"a", sequence(1), at(10));
        assert_eq!((dedupe.find(b"a", at(10)), dedupe.len()), (None, 0));
        assert_eq!(dedupe.next_deadline(), None);
    }

    #[test]
    fn id_stored_again_lives_on() {
        let mut dedupe = Dedupe::new(2 * SECOND);
        dedupe.insert(b"a", sequence(1), at(10));
        dedupe.insert(b"a", sequence(5), at(11));
        dedupe.expire(at(12));
        assert_eq!(dedupe.find(b"a", at(12)), Some(sequence(5)));
    }

    #[test]
    fn shorter_window_forgets_at_once_and_longer_one_keeps() {
        let mut dedupe = Dedupe::new(10 * SECOND);
        dedupe.insert(b"a", sequence(1), at(10));
        dedupe.insert(b"b", sequence(2), at(13));
        dedupe.set_window(2 * SECOND, at(14));
        assert_eq!(dedupe.find(b"a", at(14)), None);
        assert_eq!(dedupe.find(b"b", at(14)), Some(sequence(2)));
        dedupe.set_window(20 * SECOND, at(14));
        assert_eq!(dedupe.find(b"b", at(30)), Some(sequence(2)));
        dedupe.set_window(0, at(30));
        assert_eq!(dedupe.len(), 0);
    }

    proptest! {
        /// Against a list of all that was ever stored.
        #[test]
        fn finds_what_a_full_history_finds(
            steps in prop::collection::vec((0_u8..6, 0_i64..4, any::<bool>()), 1..80),
        ) {
            let window = 5;
            let mut dedupe = Dedupe::new(window * SECOND);
            let mut history = BTreeMap::new();
            let mut now = 100;
            for (number, (id, pause, tick)) in (1..).zip(steps) {
                now += pause;
                if tick {
                    dedupe.expire(at(now));
                }
                let expected = history
                    .get(&id)
                    .filter(|(_, stored)| now - stored < window)
                    .map(|(number, _)| sequence(*number));
                prop_assert_eq!(dedupe.find(&[id], at(now)), expected);
                if expected.is_none() {
                    dedupe.insert(&[id], sequence(number), at(now));
                    history.insert(id, (number, now));
                }
            }
            dedupe.expire(at(now));
            let alive = history.values().filter(|(_, stored)| now - stored < window).count();
            prop_assert_eq!(dedupe.len(), alive);
        }
    }
}
