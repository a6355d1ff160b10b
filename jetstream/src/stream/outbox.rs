//! What a stream has to say, held back until what it speaks of is durable.
//!
//! Acknowledgements, republished messages and flow control leave in the order in which they came
//! about, and none before the messages stored until then are safe (spec 07a §A7.9).
//! Other effects do not wait.

use super::message::{Outbound, StreamEffect};
use crate::types::StreamSequence;
use bytes::Bytes;
use std::collections::VecDeque;

/// The effects not yet taken. Held are at most the answers to what was published since the last
/// sync, which is the driver's to bound.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    ready: VecDeque<StreamEffect>,
    /// With the sequence that must be durable first; ascending.
    held: VecDeque<(StreamSequence, Outbound)>,
    durable: StreamSequence,
    /// Change in bytes not yet told.
    usage: i64,
}

impl Outbox {
    pub(super) fn new(durable: StreamSequence) -> Self {
        Outbox { durable, ..Outbox::default() }
    }

    /// Adds an effect that need not wait.
    pub(super) fn push(&mut self, effect: StreamEffect) {
        self.ready.push_back(effect);
    }

    /// Sends a message once everything up to `after` is durable, and after all held before it.
    pub(super) fn hold(&mut self, after: StreamSequence, message: Outbound) {
        debug_assert!(self.held.back().is_none_or(|(earlier, _)| *earlier <= after));
        self.held.push_back((after, message));
    }

    pub(super) fn stored(&mut self, sequence: StreamSequence, subject: Bytes) {
        self.ready.push_back(StreamEffect::Stored { sequence, subject });
    }

    pub(super) fn add_usage(&mut self, delta: i64) {
        self.usage = self.usage.saturating_add(delta);
    }

    /// Everything up to `sequence` is durable.
    pub(super) fn committed(&mut self, sequence: StreamSequence) {
        self.durable = self.durable.max(sequence);
    }

    /// Whether something waits for a sync.
    pub(super) fn is_holding(&self) -> bool {
        self.held.front().is_some_and(|(after, _)| *after > self.durable)
    }

    pub(super) fn poll(&mut self) -> Option<StreamEffect> {
        if let Some(effect) = self.ready.pop_front() {
            return Some(effect);
        }
        if self.held.front().is_some_and(|(after, _)| *after <= self.durable) {
            return self.held.pop_front().map(|(_, message)| StreamEffect::Send(message));
        }
        let delta = std::mem::take(&mut self.usage);
        (delta != 0).then_some(StreamEffect::Usage { delta })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &'static str) -> Outbound {
        Outbound::plain(Bytes::from_static(subject.as_bytes()), "")
    }

    fn sent(outbox: &mut Outbox) -> Vec<Bytes> {
        std::iter::from_fn(|| outbox.poll())
            .filter_map(|effect| match effect {
                StreamEffect::Send(message) => Some(message.subject),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn answers_wait_for_their_sequence_and_keep_their_order() {
        let mut outbox = Outbox::new(StreamSequence::new(4));
        for (after, subject) in [(4, "a"), (5, "b"), (5, "c"), (7, "d")] {
            outbox.hold(StreamSequence::new(after), message(subject));
        }
        outbox.push(StreamEffect::Send(message("now")));
        assert_eq!(sent(&mut outbox), ["now", "a"]);
        assert!(outbox.is_holding());
        outbox.committed(StreamSequence::new(6));
        assert_eq!(sent(&mut outbox), ["b", "c"]);
        outbox.committed(StreamSequence::new(3));
        assert_eq!(sent(&mut outbox), [] as [Bytes; 0]);
        outbox.committed(StreamSequence::new(7));
        assert!(!outbox.is_holding());
        assert_eq!(sent(&mut outbox), ["d"]);
    }

    #[test]
    fn usage_is_told_in_one_sum() {
        let mut outbox = Outbox::default();
        outbox.add_usage(10);
        outbox.add_usage(-4);
        assert_eq!(outbox.poll(), Some(StreamEffect::Usage { delta: 6 }));
        outbox.add_usage(3);
        outbox.add_usage(-3);
        assert_eq!(outbox.poll(), None);
    }
}
