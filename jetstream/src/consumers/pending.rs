//! Messages whose acknowledgement is awaited, and when they are delivered again (spec 07b §B5,
//! §B11).

use super::acks::DELETED_BY_LIMITS;
use super::advisory::Event;
use super::{Consumer, Turn};
use crate::time::Timestamp;
use crate::types::{SequencePair, StreamSequence};
use std::time::Duration;

/// Waits end so much later, so that many end together.
const GRANULARITY: Duration = Duration::from_millis(1);
/// What looking at one pending message is allowed for: with many of them, they are looked at less
/// often than each millisecond.
const COST_OF_LOOKING: Duration = Duration::from_nanos(100);
/// A floor this far behind the stream's first message is set right.
const FLOOR_DRIFT: u64 = 50;

impl Consumer {
    /// How long to wait for the acknowledgement of a message, given how often it was delivered
    /// before; `None` for ever.
    pub(super) fn wait_for(&self, stream: StreamSequence) -> Option<Duration> {
        let wait = self.ack_wait()?;
        let backoff = &self.config().backoff;
        let Some(last) = backoff.len().checked_sub(1) else { return Some(wait) };
        let before = usize::try_from(self.progress.redeliveries(stream)).unwrap_or(last);
        let nanos = backoff.get(before.min(last)).copied().unwrap_or(0);
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
    }

    /// A message's wait starts at `from`.
    pub(super) fn expect_ack(&mut self, stream: StreamSequence, from: Timestamp) {
        if let Some(wait) = self.wait_for(stream) {
            let deadline = from.saturating_add(wait).saturating_add(GRANULARITY);
            self.pending_deadline = self.pending_deadline.into_iter().chain([deadline]).min();
        }
    }

    /// Queues messages that were not acknowledged in time for redelivery.
    pub(super) fn check_pending(&mut self, turn: &mut Turn<'_>) {
        self.pending_deadline = None;
        if self.ack_wait().is_none() {
            return;
        }
        let now = turn.now;
        self.drop_outdated_pending(turn);
        let mut expired = Vec::new();
        let mut next: Option<Timestamp> = None;
        for (stream, pending) in &self.progress.pending {
            let wait = self.wait_for(*stream).unwrap_or_default();
            let due = pending.timestamp.saturating_add(wait);
            if due > now {
                next = next.into_iter().chain([due]).min();
            } else if !self.redelivery.contains(*stream) {
                expired.push(*stream);
            }
        }
        expired.retain(|stream| !self.gave_up_expired(*stream, now));
        if let Some(first) = expired.first() {
            // They wait again from now on, in the order in which they waited before.
            let waited = |progress: &super::Progress| {
                progress
                    .pending
                    .get(first)
                    .map_or(0, |pending| now.nanos().saturating_sub(pending.timestamp.nanos()))
            };
            let offset = waited(&self.progress);
            for stream in &expired {
                self.redelivery.push(*stream);
                if let Some(pending) = self.progress.pending.get_mut(stream) {
                    let nanos = pending.timestamp.nanos().saturating_add(offset);
                    pending.timestamp = Timestamp::from_nanos(nanos);
                }
                let wait = self.wait_for(*stream).unwrap_or_default();
                next = next.into_iter().chain([now.saturating_add(wait)]).min();
            }
            self.ready = true;
        }
        if self.progress.pending.is_empty() {
            self.redelivery.clear();
            self.progress.floor = self.progress.delivered();
            return;
        }
        // Messages that wait for somebody to take them are looked at as they would expire again.
        let looked = COST_OF_LOOKING
            .saturating_mul(u32::try_from(self.progress.pending.len()).unwrap_or(u32::MAX));
        let earliest = now.saturating_add(GRANULARITY.max(looked));
        let usual = now.saturating_add(self.ack_wait().unwrap_or_default());
        self.pending_deadline = Some(next.unwrap_or(usual).max(earliest));
    }

    /// Forgets pending messages that are below the floor, or below the stream's first message.
    fn drop_outdated_pending(&mut self, turn: &mut Turn<'_>) {
        let first = turn.store.fast_state().first_seq.max(self.progress.floor.stream.next());
        let mut dropped = false;
        while let Some(entry) = self.progress.pending.first_entry()
            && *entry.key() < first
        {
            let (stream, pending) = entry.remove_entry();
            self.progress.redelivered.remove(&stream);
            self.redelivery.remove(stream);
            let floor = &mut self.progress.floor;
            floor.stream = floor.stream.max(stream);
            floor.consumer = floor.consumer.max(pending.sequence);
            dropped = true;
        }
        if dropped {
            self.record_state("check pending");
        }
    }

    /// Gives up a message that expired, if it was delivered as often as is allowed.
    ///
    /// What counts is how often it was delivered again: so only consumers that deliver once give
    /// up here, the others when the message is next taken from the queue (spec 07b §B5.3).
    fn gave_up_expired(&mut self, stream: StreamSequence, now: Timestamp) -> bool {
        let Some(max) = self.max_deliver() else { return false };
        // A delivery that reached nobody does not count, so the message is not given up for it.
        if self.progress.redelivered.get(&stream) == Some(&-1) {
            return false;
        }
        let count = self.progress.redeliveries(stream).max(1);
        if count < max {
            return false;
        }
        if count == max {
            self.advise(Event::MaxDeliver { stream_seq: stream.get(), deliveries: count }, now);
        }
        self.give_up(stream, count.saturating_add(1), now);
        self.progress.redelivered.insert(stream, i64::try_from(count).unwrap_or(i64::MAX));
        true
    }

    /// Gives up a message that is to be delivered for the `count`th time, if that is too often.
    pub(super) fn gave_up_redelivery(
        &mut self,
        stream: StreamSequence,
        count: u64,
        now: Timestamp,
    ) -> bool {
        let Some(max) = self.max_deliver() else { return false };
        if count <= max {
            return false;
        }
        if count == max.saturating_add(1) {
            self.advise(Event::MaxDeliver { stream_seq: stream.get(), deliveries: max }, now);
        }
        self.progress.note_redelivery(stream);
        self.give_up(stream, count, now);
        true
    }

    /// Takes a message off what is pending that is not delivered any more. It stays known as
    /// redelivered, so that its stream keeps it.
    fn give_up(&mut self, stream: StreamSequence, count: u64, now: Timestamp) {
        self.ready |= self.is_at_max_ack_pending();
        if let Some(pending) = self.progress.pending.remove(&stream) {
            self.record_delivered(pending.sequence, stream, count, pending.timestamp, now);
            self.progress.raise_floor(pending.sequence, stream);
        }
    }

    /// How often a message may be delivered; `None` for any number.
    fn max_deliver(&self) -> Option<u64> {
        u64::try_from(self.config().max_deliver).ok().filter(|max| *max > 0)
    }

    /// Delivers all pending messages again: their client changed.
    pub(super) fn expire_all_pending(&mut self, now: Timestamp) {
        let pending: Vec<StreamSequence> = self.progress.pending.keys().copied().collect();
        for stream in pending {
            if !self.redelivery.contains(stream) && !self.gave_up_expired(stream, now) {
                self.redelivery.push(stream);
                if let Some(pending) = self.progress.pending.get_mut(&stream) {
                    pending.timestamp = now;
                }
                self.expect_ack(stream, now);
            }
        }
        self.ready = true;
    }

    /// Sets the floor right where messages went away without the consumer hearing of each: those
    /// below the stream's first message are not awaited any more.
    pub(super) fn check_floor(&mut self, turn: &mut Turn<'_>) {
        let first = turn.store.fast_state().first_seq;
        let floor = self.progress.floor.stream;
        if first.is_zero() || floor >= first.previous() {
            return;
        }
        let gone: Vec<StreamSequence> =
            self.progress.pending.range(..first).map(|(stream, _)| *stream).collect();
        for stream in gone {
            self.terminate_gone(turn, stream, DELETED_BY_LIMITS);
        }
        if self.progress.floor.stream.get().saturating_add(FLOOR_DRIFT) >= first.get() {
            return;
        }
        self.progress.floor = match self.progress.pending.first_key_value() {
            Some((stream, pending)) => {
                SequencePair { consumer: pending.sequence.previous(), stream: stream.previous() }
            }
            None => {
                let delivered = self.progress.delivered();
                let stream = delivered.stream.max(first.previous());
                self.progress.next_stream = self.progress.next_stream.max(stream.next());
                SequencePair { stream, ..delivered }
            }
        };
    }

    /// Forgets how often messages were delivered that are gone from the stream. Those that remain
    /// stay known even below the floor: they may be past their last delivery.
    pub(super) fn forget_removed_redeliveries(&mut self, turn: &mut Turn<'_>) {
        let first = turn.store.fast_state().first_seq;
        let is_outdated = |stream: &StreamSequence| *stream < first;
        if self.progress.redelivered.keys().next().is_some_and(is_outdated) {
            self.progress.redelivered = self.progress.redelivered.split_off(&first);
            self.redelivery.keep_from(first);
            self.store.remove_redelivered_below(first);
        }
    }

    /// Counts the messages to be delivered anew.
    pub(super) fn count_pending(&mut self, turn: &mut Turn<'_>) {
        let last_per_subject =
            self.config().deliver_policy == crate::config::DeliverPolicy::LastPerSubject;
        let from = self.progress.next_stream;
        match turn.store.num_pending(from, &self.filter, last_per_subject) {
            Ok(pending) => {
                self.num_pending = i64::try_from(pending.total).unwrap_or(i64::MAX);
                self.counted_through = pending.valid_through;
            }
            Err(error) => {
                let text = format!(
                    "JetStream consumer '{} > {} > {}' could not count its messages: {error}",
                    self.context.account, self.stream, self.name
                );
                self.warn(text);
            }
        }
    }

    /// Messages to be delivered.
    pub(super) fn num_pending(&self) -> u64 {
        u64::try_from(self.num_pending).unwrap_or(0)
    }

    /// There is nothing behind the next message: then nothing is to be delivered.
    pub(super) fn reached_end(&mut self, turn: &mut Turn<'_>) {
        let last = turn.store.fast_state().last_seq;
        if self.progress.next_stream > last && self.num_pending != 0 {
            self.num_pending = 0;
            self.counted_through = last;
        }
    }
}
