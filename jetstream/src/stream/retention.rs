//! Which messages of interest and work queue streams may go (spec 07a §A6).
//!
//! Consumers are not known here: the driver tells the stream what they filter by, and shows them
//! as [`ConsumerView`]s where a decision depends on what they still need.

use super::Stream;
use crate::config::RetentionPolicy;
use crate::error::StoreResult;
use crate::filter::SubjectFilter;
use crate::store::Lookup;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use sublist::gsl::SimpleSublist;

/// What retention asks of a consumer.
pub trait ConsumerView {
    /// Whether the consumer has not yet acknowledged the message of this sequence and subject,
    /// and is to deliver it.
    fn needs(&self, sequence: StreamSequence, subject: &[u8]) -> bool;

    /// The sequence up to which it needs nothing any more.
    fn floor(&self) -> StreamSequence;
}

/// The subjects any consumer of the stream takes.
#[derive(Debug, Default)]
pub(super) struct Interest {
    filters: SimpleSublist,
}

impl Interest {
    pub(super) fn has_interest(&self, subject: &[u8]) -> bool {
        self.filters.has_interest(subject)
    }

    fn set<'a>(&mut self, filters: impl IntoIterator<Item = &'a [u8]>) {
        self.filters = SimpleSublist::new();
        for filter in filters {
            let filter = if filter.is_empty() { b">" } else { filter };
            // Filters of consumers are valid subjects; one that is not can match nothing.
            let _ = self.filters.insert(filter, ());
        }
    }
}

/// Whether no consumer needs a message any more.
pub fn is_unneeded<'a>(
    sequence: StreamSequence,
    subject: &[u8],
    consumers: impl IntoIterator<Item = &'a dyn ConsumerView>,
) -> bool {
    !consumers.into_iter().any(|consumer| consumer.needs(sequence, subject))
}

impl Stream {
    /// Whether messages go when consumers have acknowledged them.
    pub fn removes_acknowledged(&self) -> bool {
        self.config.retention != RetentionPolicy::Limits
    }

    /// Tells the stream the filters of all its consumers, where an empty one means everything.
    /// Interest streams store only what one of them takes. To be called whenever a consumer is
    /// added, changed or deleted.
    pub fn set_interest<'a>(
        &mut self,
        filters: impl IntoIterator<Item = &'a [u8]>,
        consumers: u64,
    ) {
        self.interest.set(filters);
        self.store.set_consumers(consumers);
    }

    /// A consumer acknowledged this message. It is removed if no consumer needs it any more;
    /// returns whether that was so.
    ///
    /// # Errors
    /// Those of the store.
    pub fn acknowledged<'a>(
        &mut self,
        sequence: StreamSequence,
        consumers: impl IntoIterator<Item = &'a dyn ConsumerView>,
        now: Timestamp,
    ) -> StoreResult<bool> {
        if !self.removes_acknowledged() || sequence < self.store.fast_state().first_seq {
            return Ok(false);
        }
        let Ok(subject) = self.store.subject_for_sequence(sequence) else { return Ok(false) };
        if !is_unneeded(sequence, &subject, consumers) {
            return Ok(false);
        }
        self.acknowledged_by_all(sequence, now)
    }

    /// All consumers have acknowledged this message: it is removed. Returns whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn acknowledged_by_all(
        &mut self,
        sequence: StreamSequence,
        now: Timestamp,
    ) -> StoreResult<bool> {
        if !self.removes_acknowledged() || sequence.is_zero() {
            return Ok(false);
        }
        let removed = self.store.remove(sequence);
        self.settle(now);
        removed
    }

    /// Removes everything that no consumer needs: after a restart, and when the stream becomes one
    /// by interest. Returns how many messages went. A work queue without consumers keeps all.
    ///
    /// Each message up to the highest floor is asked for: there are few, as most went when they
    /// were acknowledged, and one below every floor may still be needed after its last delivery.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remove_unneeded(
        &mut self,
        consumers: &[&dyn ConsumerView],
        now: Timestamp,
    ) -> StoreResult<u64> {
        if !self.removes_acknowledged()
            || (consumers.is_empty() && self.config.retention == RetentionPolicy::WorkQueue)
        {
            return Ok(0);
        }
        let mut removed = 0;
        // Beyond the highest floor every message still waits for someone.
        let end = consumers.iter().map(|consumer| consumer.floor()).max().unwrap_or_default();
        let mut next = self.store.fast_state().first_seq;
        while next <= end {
            let Ok(Lookup::Found(message)) = self.store.load_next(&SubjectFilter::All, next) else {
                break;
            };
            let (sequence, subject) = (message.sequence(), message.subject_bytes());
            if sequence > end {
                break;
            }
            let unneeded = is_unneeded(sequence, &subject, consumers.iter().copied());
            if unneeded && self.store.remove(sequence)? {
                removed += 1;
            }
            self.drain_store();
            next = sequence.next();
        }
        self.settle(now);
        Ok(removed)
    }
}
