//! Limits by time: the stream's `max_age`, messages' own time to live, delete markers, and
//! schedules (spec 06 §14).

use super::record::Record;
use super::{MemoryStore, Slots, SubjectState, ttl_of};
use crate::message::StoredMessage;
use crate::schedules::{ScheduleSource, Schedules};
use crate::store::StoreEffect;
use crate::time::Timestamp;
use crate::timewheel::TimeWheel;
use crate::ttl;
use crate::types::MessageTtl;
use bytes::Bytes;
use std::time::Duration;
use sublist::stree::SubjectTree;

/// Expired messages are looked for at most this often, so that they do not slow down storing.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// How soon to look again while removals wait to be applied.
const PROPOSED_INTERVAL: Duration = Duration::from_secs(2);
/// Messages one pass removes or proposes; what is left is done by the next pass, at once.
const MAX_PER_PASS: usize = 10_000;

/// The messages of the store, for its schedules.
struct Source<'a> {
    slots: &'a Slots,
    subjects: &'a SubjectTree<SubjectState>,
}

impl ScheduleSource for Source<'_> {
    fn message(&mut self, sequence: u64) -> Option<StoredMessage> {
        self.slots.get(sequence).map(|slot| Record(&slot.record).message(sequence))
    }

    fn last_message(&mut self, subject: &[u8]) -> Option<StoredMessage> {
        let last = self.subjects.find(subject)?.last;
        self.message(last)
    }
}

impl MemoryStore {
    fn max_age(&self) -> Option<Duration> {
        Self::limit(self.config.max_age).map(Duration::from_nanos)
    }

    /// Notes when a stored message expires, and sees to it that someone looks.
    pub(super) fn track_expiry(
        &mut self,
        sequence: u64,
        ttl: MessageTtl,
        stored: Timestamp,
        now: Timestamp,
    ) {
        if let (Some(wheel), Some(expiry)) = (&mut self.wheel, ttl.expiry(stored)) {
            wheel.insert(sequence, expiry);
            self.arm_expiry(None, now);
        } else if self.age_deadline.is_none()
            && let Some(max_age) = self.max_age()
        {
            self.age_deadline = Some(now.saturating_add(max_age));
        }
    }

    /// The first message whose time was decided elsewhere may be old already.
    pub(super) fn note_replicated(&mut self, timestamp: Timestamp, now: Timestamp) {
        if !self.received_any && self.config.max_age != 0 && timestamp.nanos() > 0 {
            self.received_any = true;
            self.arm_expiry(Some(MIN_INTERVAL), now);
        }
    }

    pub(super) fn forget_expiry(&mut self, sequence: u64, record: Record<'_>) {
        let Some(wheel) = self.wheel.as_mut().filter(|wheel| !wheel.is_empty()) else { return };
        if let Some(expiry) = ttl_of(record.header()).expiry(record.timestamp()) {
            wheel.remove(sequence, expiry);
        }
    }

    /// Sets the deadline: no later than it was, and no sooner than [`MIN_INTERVAL`].
    /// `oldest_left` is how long the oldest message still has, when that is known.
    fn arm_expiry(&mut self, oldest_left: Option<Duration>, now: Timestamp) {
        let next_ttl = self.wheel.as_ref().and_then(TimeWheel::next_expiry);
        let max_age = self.max_age();
        if max_age.is_none() && next_ttl.is_none() {
            self.age_deadline = None;
            return;
        }
        let waiting = oldest_left.is_none() && !self.slots.is_empty() && max_age.is_some();
        let wait = [
            max_age,
            waiting.then_some(PROPOSED_INTERVAL),
            next_ttl.map(|expiry| expiry.saturating_since(now)),
            oldest_left,
        ];
        let wait = wait.into_iter().flatten().min().unwrap_or(MIN_INTERVAL).max(MIN_INTERVAL);
        let deadline = now.saturating_add(wait);
        self.age_deadline = Some(self.age_deadline.map_or(deadline, |armed| armed.min(deadline)));
    }

    /// Follows a changed configuration: whether messages have their own time to live, whether
    /// there are schedules, and the deadline.
    pub(super) fn update_tracking(&mut self, now: Timestamp) {
        if !self.config.allow_msg_ttl {
            self.wheel = None;
        } else if self.wheel.is_none() {
            let mut wheel = TimeWheel::new();
            for (sequence, slot) in self.slots.from(0) {
                let record = Record(&slot.record);
                if let Some(expiry) = ttl_of(record.header()).expiry(record.timestamp()) {
                    wheel.insert(sequence, expiry);
                }
            }
            self.wheel = Some(wheel);
        }
        if !self.config.allow_msg_schedules {
            self.schedules = None;
        } else if self.schedules.is_none() {
            let mut schedules = Schedules::new();
            for (sequence, slot) in self.slots.from(0) {
                let record = Record(&slot.record);
                let (subject, header) = (record.subject(), record.header());
                schedules.recover(sequence, subject, header, record.timestamp(), now);
            }
            schedules.arm(now);
            self.schedules = Some(schedules);
        }
        self.age_deadline = None;
        self.arm_expiry(None, now);
    }

    /// Removes what has expired, or asks the stream to.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let mut budget = MAX_PER_PASS;
        let oldest_left = self.expire_by_age(now, &mut budget);
        self.expire_by_ttl(now, &mut budget);
        self.age_deadline = None;
        if budget == 0 {
            self.age_deadline = Some(now);
        } else {
            self.arm_expiry(oldest_left, now);
        }
    }

    /// Expires by the stream's `max_age`; returns how long the first message that stays has left.
    fn expire_by_age(&mut self, now: Timestamp, budget: &mut usize) -> Option<Duration> {
        let max_age = self.max_age()?;
        let cutoff = now.saturating_sub(max_age);
        let mut from = self.first;
        while *budget > 0 {
            let (sequence, slot) = self.slots.next(from)?;
            let record = Record(&slot.record);
            if record.timestamp() > cutoff {
                return Some(record.timestamp().saturating_since(cutoff));
            }
            from = sequence.saturating_add(1);
            if ttl_of(record.header()) == MessageTtl::Never {
                continue;
            }
            *budget -= usize::from(self.expire_one(sequence, now));
        }
        None
    }

    /// Expires by the messages' own time to live, by ascending sequence.
    fn expire_by_ttl(&mut self, now: Timestamp, budget: &mut usize) {
        let Some(wheel) = &self.wheel else { return };
        let mut expired: Vec<(u64, Timestamp)> = wheel.expired(now).collect();
        expired.sort_unstable();
        for (sequence, expiry) in expired {
            if *budget == 0 {
                return;
            }
            if self.slots.get(sequence).is_some() {
                *budget -= usize::from(self.expire_one(sequence, now));
            } else if let Some(wheel) = &mut self.wheel {
                wheel.remove(sequence, expiry);
            }
        }
    }

    /// Removes an expired message; with delete markers, asks the stream to remove it or to put a
    /// marker in its place. False when it was asked already.
    fn expire_one(&mut self, sequence: u64, now: Timestamp) -> bool {
        let marker_ttl = self.config.subject_delete_marker_ttl;
        if marker_ttl < 1_000_000_000 {
            return self.remove_one(sequence);
        }
        let Some(slot) = self.slots.get(sequence) else { return false };
        let record = Record(&slot.record);
        let subject = record.subject();
        let held = self.subjects.find(subject).map_or(0, |state| state.messages);
        let Some(last) = self.markers.propose(sequence, subject, held, now) else { return false };
        let effect = if last && !ttl::is_delete_marker(record.header()) {
            StoreEffect::Publish {
                subject: Bytes::copy_from_slice(subject),
                header: ttl::max_age_marker(marker_ttl).into(),
                payload: Bytes::new(),
            }
        } else {
            StoreEffect::ProposeRemoval { sequence: sequence.into() }
        };
        self.effects.push_back(effect);
        true
    }

    /// Hands out the scheduled messages that are due.
    pub(super) fn fire_schedules(&mut self, now: Timestamp) {
        let Some(schedules) = &mut self.schedules else { return };
        let mut source = Source { slots: &self.slots, subjects: &self.subjects };
        for message in schedules.fire(now, &mut source) {
            self.effects.push_back(StoreEffect::Publish {
                subject: message.target,
                header: message.header,
                payload: message.payload,
            });
        }
    }
}
