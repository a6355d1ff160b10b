//! How far a consumer has come, as the server that delivers sees it (spec 07b §B4, §B5, §B11).
//!
//! The consumer's store holds the same as far as it is recorded. This view may be ahead: of a
//! filtered consumer, the next message can be far behind the last one that was delivered.
//!
//! Invariants ([`Progress::check_invariants`]): the floors are below what comes next; a message
//! is pending only if it was delivered.

use crate::consumer::state::{ConsumerState, PendingDelivery};
use crate::time::Timestamp;
use crate::types::{ConsumerSequence, SequencePair, StreamSequence};
use std::collections::BTreeMap;

/// Positions, and what is under way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Progress {
    /// The first message not yet looked at.
    pub(super) next_stream: StreamSequence,
    /// The number of the next delivery.
    pub(super) next_consumer: ConsumerSequence,
    /// Everything up to here is acknowledged.
    pub(super) floor: SequencePair,
    /// Messages delivered and not acknowledged.
    pub(super) pending: BTreeMap<StreamSequence, PendingDelivery>,
    /// How often messages were delivered again. -1 tells that the only delivery of a message
    /// reached nobody, so that the next one is its first.
    pub(super) redelivered: BTreeMap<StreamSequence, i64>,
}

impl Progress {
    /// A consumer that starts at a message.
    pub(super) fn starting_at(first: StreamSequence) -> Self {
        Progress {
            next_stream: first,
            next_consumer: ConsumerSequence::new(1),
            floor: SequencePair { consumer: ConsumerSequence::ZERO, stream: first.previous() },
            ..Progress::default()
        }
    }

    /// A consumer as its store remembers it.
    pub(super) fn restored(state: &ConsumerState) -> Self {
        let count = |(sequence, count): (&StreamSequence, &u64)| {
            (*sequence, i64::try_from(*count).unwrap_or(i64::MAX))
        };
        // The state comes from a file: what contradicts itself is read so that nothing is skipped
        // that could be pending.
        let last = state.pending.keys().next_back().copied().unwrap_or_default();
        let delivered = SequencePair {
            stream: state.delivered.stream.max(last),
            consumer: state.delivered.consumer,
        };
        Progress {
            next_stream: delivered.stream.next(),
            next_consumer: delivered.consumer.next(),
            floor: SequencePair {
                stream: state.ack_floor.stream.min(delivered.stream),
                consumer: state.ack_floor.consumer.min(delivered.consumer),
            },
            pending: state.pending.clone(),
            redelivered: state.redelivered.iter().map(count).collect(),
        }
    }

    /// What a store is to remember.
    pub(super) fn to_state(&self) -> ConsumerState {
        let count = |(sequence, count): (&StreamSequence, &i64)| {
            u64::try_from(*count).ok().filter(|count| *count > 0).map(|count| (*sequence, count))
        };
        ConsumerState {
            delivered: self.delivered(),
            ack_floor: self.floor,
            pending: self.pending.clone(),
            redelivered: self.redelivered.iter().filter_map(count).collect(),
        }
    }

    /// The last delivery, or just before the first.
    pub(super) fn delivered(&self) -> SequencePair {
        SequencePair {
            consumer: self.next_consumer.previous(),
            stream: self.next_stream.previous(),
        }
    }

    /// How often a message was delivered again so far.
    pub(super) fn redeliveries(&self, sequence: StreamSequence) -> u64 {
        let count = self.redelivered.get(&sequence).copied().unwrap_or(0);
        u64::try_from(count).unwrap_or(0)
    }

    /// The count of the next delivery of a message that was delivered before.
    pub(super) fn next_count(&self, sequence: StreamSequence) -> u64 {
        let count = self.redelivered.get(&sequence).copied().unwrap_or(0);
        u64::try_from(count.saturating_add(2)).unwrap_or(1)
    }

    /// Notes a delivery of a message that was delivered before.
    pub(super) fn note_redelivery(&mut self, sequence: StreamSequence) {
        let count = self.redelivered.entry(sequence).or_insert(0);
        *count = count.saturating_add(1);
        if *count == 0 {
            self.redelivered.remove(&sequence);
        }
    }

    /// Takes back a delivery that reached nobody.
    pub(super) fn forget_delivery(&mut self, sequence: StreamSequence) {
        let count = self.redelivered.entry(sequence).or_insert(0);
        *count = (*count - 1).max(-1);
        if *count == 0 {
            self.redelivered.remove(&sequence);
        }
    }

    /// A message was delivered; one that was delivered before keeps its number.
    pub(super) fn track(
        &mut self,
        stream: StreamSequence,
        consumer: ConsumerSequence,
        now: Timestamp,
    ) {
        self.pending
            .entry(stream)
            .and_modify(|pending| pending.timestamp = now)
            .or_insert(PendingDelivery { sequence: consumer, timestamp: now });
    }

    /// Moves the floor after a message, which was pending, was taken out.
    pub(super) fn raise_floor(&mut self, consumer: ConsumerSequence, stream: StreamSequence) {
        if self.pending.is_empty() {
            self.floor = self.delivered();
        } else if consumer == self.floor.consumer.next() {
            self.floor = SequencePair { consumer, stream };
            // Mostly nothing is pending below, and the next one is the first.
            let next = match self.pending.first_key_value() {
                Some((first, _)) if *first <= stream => self.pending.range(stream.next()..).next(),
                first => first,
            };
            if let Some((stream, pending)) = next
                && !pending.sequence.is_zero()
            {
                self.floor = SequencePair {
                    consumer: pending.sequence.previous(),
                    stream: stream.previous(),
                };
            }
        }
    }

    /// Acknowledges everything up to a delivery; returns what was pending.
    pub(super) fn acknowledge_up_to(
        &mut self,
        floor: SequencePair,
    ) -> BTreeMap<StreamSequence, PendingDelivery> {
        self.floor = floor;
        let above = floor.stream.next();
        if self.redelivered.keys().next().is_some_and(|first| *first < above) {
            self.redelivered = self.redelivered.split_off(&above);
        }
        let kept = self.pending.split_off(&above);
        std::mem::replace(&mut self.pending, kept)
    }

    /// Goes back to what a stream that lost its end can still tell (spec 06 §10.3).
    pub(super) fn reconcile(&mut self, last: StreamSequence) {
        if self.floor.stream > last {
            self.floor = SequencePair { consumer: self.next_consumer.previous(), stream: last };
            self.pending.clear();
            self.redelivered.clear();
        }
        drop(self.pending.split_off(&last.next()));
        drop(self.redelivered.split_off(&last.next()));
        let highest = self.pending.values().map(|pending| pending.sequence).max();
        match self.pending.keys().next_back().zip(highest) {
            Some((stream, consumer)) => {
                (self.next_stream, self.next_consumer) = (stream.next(), consumer.next());
            }
            None => {
                self.next_stream = self.floor.stream.next();
                self.next_consumer = self.floor.consumer.next();
            }
        }
    }

    /// Checks what the structure relies on.
    pub(super) fn check_invariants(&self) {
        assert!(self.floor.stream < self.next_stream || self.next_stream.is_zero());
        assert!(self.floor.consumer < self.next_consumer);
        if let Some((last, _)) = self.pending.last_key_value() {
            assert!(*last < self.next_stream, "{last} is pending before it was delivered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn progress(pending: &[(u64, u64)], next: (u64, u64), floor: (u64, u64)) -> Progress {
        let mut progress = Progress {
            next_stream: next.1.into(),
            next_consumer: next.0.into(),
            floor: SequencePair { consumer: floor.0.into(), stream: floor.1.into() },
            ..Progress::default()
        };
        for (consumer, stream) in pending {
            progress.track((*stream).into(), (*consumer).into(), NOW);
        }
        progress.check_invariants();
        progress
    }

    fn floor(progress: &Progress) -> (u64, u64) {
        (progress.floor.consumer.get(), progress.floor.stream.get())
    }

    #[test]
    fn floor_waits_for_the_gap_to_close() {
        let mut progress = progress(&[(1, 10), (2, 20), (3, 30)], (4, 41), (0, 9));
        progress.pending.remove(&20.into());
        progress.raise_floor(2.into(), 20.into());
        assert_eq!(floor(&progress), (0, 9));
        progress.pending.remove(&10.into());
        progress.raise_floor(1.into(), 10.into());
        assert_eq!(floor(&progress), (2, 29));
        progress.pending.remove(&30.into());
        progress.raise_floor(3.into(), 30.into());
        assert_eq!(floor(&progress), (3, 40));
    }

    #[test]
    fn failed_deliveries_do_not_count() {
        let mut progress = progress(&[(1, 1)], (2, 2), (0, 0));
        let sequence = StreamSequence::new(1);
        assert_eq!(progress.next_count(sequence), 2);
        progress.forget_delivery(sequence);
        assert_eq!((progress.next_count(sequence), progress.redeliveries(sequence)), (1, 0));
        progress.note_redelivery(sequence);
        assert_eq!(progress.next_count(sequence), 2);
        assert!(progress.redelivered.is_empty());
        progress.note_redelivery(sequence);
        assert_eq!((progress.next_count(sequence), progress.redeliveries(sequence)), (3, 1));
        progress.forget_delivery(sequence);
        assert_eq!(progress.next_count(sequence), 2);
    }

    #[test]
    fn state_survives_store_and_back() {
        let mut progress = progress(&[(2, 20), (3, 30)], (4, 31), (1, 19));
        progress.redelivered.insert(20.into(), 3);
        assert_eq!(Progress::restored(&progress.to_state()), progress);
        progress.redelivered.insert(30.into(), -1);
        assert_eq!(progress.to_state().redelivered.len(), 1);
    }

    #[test]
    fn state_that_contradicts_itself_is_made_to_fit() {
        let mut state = progress(&[(2, 20)], (3, 21), (1, 19)).to_state();
        state.pending.insert(99.into(), PendingDelivery { sequence: 50.into(), timestamp: NOW });
        state.ack_floor = SequencePair { consumer: 70.into(), stream: 200.into() };
        let restored = Progress::restored(&state);
        restored.check_invariants();
        assert_eq!(restored.next_stream.get(), 100);
        assert_eq!(restored.pending.len(), 2);
    }

    #[test]
    fn stream_that_lost_its_end_takes_the_consumer_back() {
        let mut ahead = progress(&[], (8, 8), (7, 7));
        ahead.reconcile(5.into());
        assert_eq!((floor(&ahead), ahead.next_stream.get()), ((7, 5), 6));
        let mut pending = progress(&[(3, 3), (4, 4), (6, 6)], (8, 8), (2, 2));
        pending.reconcile(5.into());
        assert_eq!((pending.next_stream.get(), pending.next_consumer.get()), (5, 5));
        assert_eq!(pending.pending.len(), 2);
        pending.check_invariants();
    }
}
