//! The state of a consumer and the rules by which it changes (spec 06 §10.3).

use crate::config::{AckPolicy, ConsumerConfig};
use crate::error::{StoreError, StoreResult};
use crate::time::Timestamp;
use crate::types::{ConsumerSequence, SequencePair, StreamSequence};
use std::collections::BTreeMap;

/// A message delivered and not yet acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingDelivery {
    /// The consumer sequence of its first delivery.
    pub sequence: ConsumerSequence,
    /// When it was delivered last.
    pub timestamp: Timestamp,
}

/// How far a consumer has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerState {
    /// The last delivery.
    pub delivered: SequencePair,
    /// Everything up to here is acknowledged.
    pub ack_floor: SequencePair,
    /// What is delivered above the floor and not acknowledged.
    pub pending: BTreeMap<StreamSequence, PendingDelivery>,
    /// How often messages were delivered again.
    pub redelivered: BTreeMap<StreamSequence, u64>,
}

impl ConsumerState {
    /// Whether anything was delivered, or a start was set.
    pub fn has_delivered(&self) -> bool {
        !self.delivered.consumer.is_zero() || !self.delivered.stream.is_zero()
    }

    /// Whether the parts fit each other.
    ///
    /// # Errors
    /// [`StoreError::BadConsumerAckFloor`], [`StoreError::BadStreamAckFloor`],
    /// [`StoreError::BadPendingEntry`].
    pub fn check(&self) -> StoreResult<()> {
        if self.ack_floor.consumer > self.delivered.consumer {
            return Err(StoreError::BadConsumerAckFloor);
        }
        if self.ack_floor.stream > self.delivered.stream {
            return Err(StoreError::BadStreamAckFloor);
        }
        let outside = |sequence: &&StreamSequence| {
            **sequence <= self.ack_floor.stream || **sequence > self.delivered.stream
        };
        match self.pending.keys().find(outside) {
            Some(sequence) => Err(StoreError::BadPendingEntry(sequence.get())),
            None => Ok(()),
        }
    }

    /// Whether taking over this state would take `current` back.
    pub fn is_older_than(&self, current: &ConsumerState) -> bool {
        self.delivered.consumer < current.delivered.consumer
            || self.ack_floor.stream < current.ack_floor.stream
    }

    pub(super) fn set_starting(&mut self, sequence: StreamSequence) {
        self.delivered.stream = sequence;
        self.ack_floor.stream = sequence;
    }

    /// Returns whether the state changed; so do the functions below.
    pub(super) fn update_starting(&mut self, policy: AckPolicy, sequence: StreamSequence) -> bool {
        if sequence <= self.delivered.stream {
            return false;
        }
        self.delivered.stream = sequence;
        if policy == AckPolicy::None {
            self.ack_floor.stream = sequence;
        }
        true
    }

    pub(super) fn update_delivered(
        &mut self,
        config: &ConsumerConfig,
        consumer: ConsumerSequence,
        stream: StreamSequence,
        count: u64,
        timestamp: Timestamp,
    ) -> StoreResult<bool> {
        let acknowledges = config.ack_policy != AckPolicy::None;
        if count != 1 && !acknowledges {
            return Err(StoreError::NoAckPolicy);
        }
        // A replayed log may tell of deliveries that are long acknowledged.
        if consumer <= self.ack_floor.consumer {
            return Ok(false);
        }
        if acknowledges {
            if stream > self.delivered.stream {
                let delivery = PendingDelivery { sequence: consumer, timestamp };
                self.pending.insert(stream, delivery);
            } else if let Some(pending) = self.pending.get_mut(&stream) {
                pending.timestamp = timestamp;
            }
        } else {
            self.ack_floor.consumer = self.ack_floor.consumer.max(consumer);
            if stream > self.delivered.stream {
                self.ack_floor.stream = stream;
            }
        }
        self.delivered.consumer = self.delivered.consumer.max(consumer);
        self.delivered.stream = self.delivered.stream.max(stream);
        if count > 1 {
            let limit = u64::try_from(config.max_deliver).unwrap_or(0);
            if limit > 0 && count > limit {
                self.pending.remove(&stream);
            }
            let again = self.redelivered.entry(stream).or_default();
            *again = (*again).max(count - 1);
        }
        Ok(true)
    }

    pub(super) fn update_acks(
        &mut self,
        policy: AckPolicy,
        consumer: ConsumerSequence,
        stream: StreamSequence,
    ) -> (bool, StoreResult<()>) {
        if policy == AckPolicy::None {
            return (false, Err(StoreError::NoAckPolicy));
        }
        let forgotten = self.redelivered.remove(&stream).is_some();
        if consumer <= self.ack_floor.consumer {
            return (forgotten, Ok(()));
        }
        let Some(pending) = self.pending.get(&stream).copied() else {
            return (forgotten, Err(StoreError::MessageNotFound));
        };
        if matches!(policy, AckPolicy::All | AckPolicy::FlowControl) {
            self.ack_floor = SequencePair { consumer, stream };
            self.pending = self.pending.split_off(&stream.next());
            self.redelivered = self.redelivered.split_off(&stream.next());
        } else {
            self.acknowledge_one(consumer, stream, pending);
        }
        (true, Ok(()))
    }

    /// Acknowledges one message of a consumer that acknowledges each.
    fn acknowledge_one(
        &mut self,
        consumer: ConsumerSequence,
        stream: StreamSequence,
        pending: PendingDelivery,
    ) {
        self.pending.remove(&stream);
        // What counts is the first delivery, when that is known.
        let consumer =
            if pending.sequence.is_zero() { consumer } else { consumer.min(pending.sequence) };
        if self.pending.is_empty() {
            self.ack_floor = self.delivered;
        } else if consumer == self.ack_floor.consumer.next() {
            self.ack_floor = SequencePair { consumer, stream };
            if self.delivered.consumer > consumer {
                self.raise_floor_to_next_pending();
            }
        }
    }

    /// The floor lies just before the next message that is pending.
    fn raise_floor_to_next_pending(&mut self) {
        let from = self.ack_floor.stream.next();
        if from > self.delivered.stream {
            return;
        }
        // Mostly nothing is pending below, and the next one is the first.
        let next = match self.pending.first_key_value() {
            Some((first, _)) if *first < from => self.pending.range(from..).next(),
            first => first,
        };
        if let Some((stream, pending)) =
            next.filter(|(stream, _)| **stream <= self.delivered.stream)
            && !pending.sequence.is_zero()
        {
            self.ack_floor =
                SequencePair { consumer: pending.sequence.previous(), stream: stream.previous() };
        }
    }

    pub(super) fn remove_redelivered_below(&mut self, sequence: StreamSequence) -> bool {
        let kept = self.redelivered.split_off(&sequence);
        let changed = !self.redelivered.is_empty();
        self.redelivered = kept;
        changed
    }
}
