//! How long a consumer lives without use, its rests, and its end (spec 07b §B8, §B10).

use super::advisory::{Event, is_after};
use super::pulling::ended;
use super::{Consumer, ConsumerEffect, Mode, Turn};
use crate::consumer::state::PendingDelivery;
use crate::error::StoreResult;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use std::time::Duration;

/// How long a consumer without a durable name lives unless it says otherwise.
const DEFAULT_THRESHOLD: Duration = Duration::from_secs(5);
const DEFAULT_THRESHOLD_NANOS: i64 = 5_000_000_000;
const MIN_JITTER_MILLIS: u64 = 100;
const JITTER_MILLIS: u64 = 900;

impl Consumer {
    /// Finds how long the consumer lives without use.
    pub(super) fn set_inactive_threshold(&mut self) {
        let millis = MIN_JITTER_MILLIS + self.random.below(JITTER_MILLIS);
        let jitter = Duration::from_millis(millis);
        let given = u64::try_from(self.config().inactive_threshold).unwrap_or(0);
        self.inactive_threshold = if given > 0 {
            let given = Duration::from_nanos(given);
            if self.config().is_push() { given } else { given.saturating_add(jitter) }
        } else if self.config().is_durable() {
            Duration::ZERO
        } else {
            // The consumer shows the default, without jitter.
            self.store.amend_config(|config| config.inactive_threshold = DEFAULT_THRESHOLD_NANOS);
            DEFAULT_THRESHOLD.saturating_add(jitter)
        };
    }

    /// Starts counting anew, if the consumer does not live for ever.
    pub(super) fn restart_inactivity(&mut self, now: Timestamp) {
        let threshold = self.inactive_threshold;
        self.delete_deadline = (!threshold.is_zero()).then(|| now.saturating_add(threshold));
    }

    /// A client answered a message: the consumer is in use.
    pub(super) fn note_use(&mut self, now: Timestamp) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.last_used = now;
        }
        if self.delete_deadline.is_some() {
            self.restart_inactivity(now);
        }
    }

    /// Asks to be deleted when nobody used the consumer for too long.
    pub(super) fn check_inactivity(&mut self, turn: &mut Turn<'_>) {
        self.delete_deadline = None;
        if self.inactive_threshold.is_zero() {
            return;
        }
        match &self.mode {
            Mode::Push(push) if push.active => return,
            Mode::Push(_) => {}
            Mode::Pull(pull) => {
                let last_used = pull.last_used;
                self.delete_deadline = self.next_look(turn, last_used);
            }
        }
        if self.delete_deadline.is_none() {
            self.effect(ConsumerEffect::Delete);
        }
    }

    /// When to look again at a consumer that is still in use; `None` when it is not.
    fn next_look(&mut self, turn: &mut Turn<'_>, last_used: Timestamp) -> Option<Timestamp> {
        let threshold = self.inactive_threshold;
        let due = last_used.saturating_add(threshold);
        if due > turn.now {
            return Some(due);
        }
        self.check_waiting(turn.interest, turn.now, true);
        if matches!(&self.mode, Mode::Pull(pull) if !pull.waiting.is_empty()) {
            return Some(turn.now.saturating_add(threshold));
        }
        // A client may still be at work on a message: it is expected until its wait is over.
        let expected = |(stream, pending): (&StreamSequence, &PendingDelivery)| {
            let wait = self.wait_for(*stream).unwrap_or_default();
            pending.timestamp.saturating_add(wait).saturating_add(threshold)
        };
        let is_with_client =
            |(stream, _): &(&StreamSequence, &PendingDelivery)| !self.redelivery.contains(**stream);
        let at_work = self.progress.pending.iter().filter(is_with_client);
        at_work.map(expected).max().filter(|due| *due > turn.now)
    }

    /// Notes when the consumer goes on, if it rests.
    pub(super) fn set_pause_deadline(&mut self, now: Timestamp) {
        let until = self.config().pause_until.filter(|until| is_after(*until, now));
        if self.pause_deadline.is_some() && until.is_none() {
            self.ready = true;
        }
        self.pause_deadline = until.map(|until| until.to_timestamp());
    }

    /// How much longer the consumer rests; `None` when it does not.
    pub fn pause_remaining(&self, now: Timestamp) -> Option<Duration> {
        let until = self.config().pause_until.filter(|until| is_after(*until, now))?;
        Some(until.to_timestamp().saturating_since(now))
    }

    /// Tells those who watch that the consumer rests, after it was created or asked for again.
    pub(super) fn advise_if_paused(&mut self, now: Timestamp) {
        if self.pause_remaining(now).is_some() {
            self.advise(Event::pause(self.config(), now), now);
        }
    }

    /// Ends the requests of clients because the server stops. A consumer with replicas goes on
    /// elsewhere: its requests are left alone.
    pub fn announce_shutdown(&mut self) {
        if self.config().num_replicas <= 1 && !self.closed {
            self.end_all_requests(|request| ended(request, "409 Server Shutdown"));
        }
    }

    /// Stops the consumer, writing what is not yet written.
    ///
    /// # Errors
    /// Those of writing; the consumer is stopped all the same.
    pub fn stop(&mut self, now: Timestamp) -> StoreResult<()> {
        self.closed = true;
        self.store.stop(now)
    }

    /// Deletes the consumer with all it remembers. `with_stream` says that its stream is deleted
    /// and takes the files along.
    ///
    /// # Errors
    /// Those of removing its files; the consumer is deleted all the same.
    pub fn delete(&mut self, now: Timestamp, with_stream: bool) -> StoreResult<()> {
        if self.closed {
            return Ok(());
        }
        self.closed = true;
        self.advise(Event::Deleted, now);
        self.end_all_requests(|_| "NATS/1.0 409 Consumer Deleted\r\n\r\n".to_owned());
        if with_stream {
            self.store.stream_deleted();
            return Ok(());
        }
        self.store.delete()
    }

    /// Whether the consumer was stopped or deleted.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}
