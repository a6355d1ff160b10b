//! Messages that are published later: which schedules a stream holds and what they publish.
//!
//! Spec 06 §14.5, and §7 for the file `sched.db`. A schedule is a stored message; its own subject
//! identifies it. The store tells [`Schedules`] of every message it stores and removes, asks
//! [`Schedules::next_deadline`] when to call [`Schedules::fire`], and hands what that returns to
//! the stream, which publishes it. A schedule that was handed out rests until the stream has
//! stored the published message (whose header re-arms it) or the server changes roles.
//!
//! File layout, integers little endian:
//! ```text
//! u8 1 | u64 entries | u64 high sequence
//!     | entries x (u16 subject length, subject, varint next fire ns, uvarint sequence)
//! ```

mod cron;
mod pattern;

pub use pattern::{Firing, InvalidSchedule, next_firing};

use crate::headers;
use crate::message::StoredMessage;
use crate::time::{DateTime, Timestamp};
use crate::timewheel::{HEADER_LEN, TimeWheel, WheelDecodeError, put_header, take_header};
use crate::ttl::InvalidTtl;
use crate::types::MessageTtl;
use crate::varint::{put_uvarint, put_varint, take_uvarint, take_varint};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Firings are looked for at most this often, so that they do not slow down storing.
pub const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// The value of [`headers::SCHEDULE_NEXT`] that ends a schedule.
const NEXT_PURGE: &str = "purge";

/// Why the contents of `sched.db` cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScheduleDecodeError(WheelDecodeError);

impl fmt::Display for ScheduleDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            WheelDecodeError::UnknownVersion => {
                f.write_str("msg scheduling: encoded version not known")
            }
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for ScheduleDecodeError {}

impl From<WheelDecodeError> for ScheduleDecodeError {
    fn from(error: WheelDecodeError) -> Self {
        ScheduleDecodeError(error)
    }
}

/// The messages schedules refer to.
pub trait ScheduleSource {
    /// The message at a sequence, if it is still held.
    fn message(&mut self, sequence: u64) -> Option<StoredMessage>;
    /// The last message of a subject.
    fn last_message(&mut self, subject: &[u8]) -> Option<StoredMessage>;
}

/// A message a schedule publishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledMessage {
    /// The sequence of the schedule.
    pub sequence: u64,
    /// The subject to publish to.
    pub target: Bytes,
    /// The header block.
    pub header: Bytes,
    /// The payload.
    pub payload: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Schedule {
    sequence: u64,
    next: Timestamp,
    /// Handed out, and not yet stored.
    in_flight: bool,
}

/// The schedules of one stream.
///
/// Invariants: `wheel` holds exactly the `next` and `sequence` of each schedule, and
/// `subjects` the way from sequence to subject.
#[derive(Clone, Debug, Default)]
pub struct Schedules {
    by_subject: BTreeMap<Box<[u8]>, Schedule>,
    subjects: BTreeMap<u64, Box<[u8]>>,
    wheel: TimeWheel,
    /// When to fire next; moved forward only by [`Schedules::fire`].
    deadline: Option<Timestamp>,
}

impl Schedules {
    /// No schedules.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many schedules there are.
    pub fn len(&self) -> usize {
        self.by_subject.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }

    /// When the schedule of a subject fires next, and its sequence.
    pub fn get(&self, subject: &[u8]) -> Option<(u64, Timestamp)> {
        self.by_subject.get(subject).map(|schedule| (schedule.sequence, schedule.next))
    }

    /// Takes note of a message that was stored: it may set, replace, remove or re-arm a schedule.
    pub fn on_stored(
        &mut self,
        sequence: u64,
        subject: &[u8],
        header: &[u8],
        timestamp: Timestamp,
        now: Timestamp,
    ) {
        if header.is_empty() && self.by_subject.is_empty() {
            return;
        }
        match next_firing(header, timestamp, now) {
            Ok(Some(firing)) => {
                self.insert(sequence, subject, firing.at());
                self.arm(now);
            }
            Ok(None) | Err(_) => {
                if !headers::has_value(header, headers::SCHEDULER) {
                    self.remove_subject(subject);
                }
            }
        }
        self.rearm_published(header, now);
    }

    /// A message that a repeating schedule published tells when that schedule is due again.
    fn rearm_published(&mut self, header: &[u8], now: Timestamp) {
        let Some(next) = headers::value(header, headers::SCHEDULE_NEXT) else { return };
        let Some(next) = std::str::from_utf8(next).ok().and_then(|next| DateTime::parse(next).ok())
        else {
            return;
        };
        let Some(subject) = headers::value(header, headers::SCHEDULER) else { return };
        let Some(schedule) = self.by_subject.get_mut(subject) else { return };
        let next = next.to_timestamp();
        self.wheel.remove(schedule.sequence, schedule.next);
        self.wheel.insert(schedule.sequence, next);
        schedule.next = next;
        schedule.in_flight = false;
        self.arm(now);
    }

    /// Takes in a message found while a stream is opened.
    pub fn recover(
        &mut self,
        sequence: u64,
        subject: &[u8],
        header: &[u8],
        timestamp: Timestamp,
        now: Timestamp,
    ) {
        if let Ok(Some(firing)) = next_firing(header, timestamp, now) {
            self.insert(sequence, subject, firing.at());
        }
    }

    fn insert(&mut self, sequence: u64, subject: &[u8], next: Timestamp) {
        self.remove_subject(subject);
        self.wheel.insert(sequence, next);
        self.subjects.insert(sequence, subject.into());
        self.by_subject.insert(subject.into(), Schedule { sequence, next, in_flight: false });
    }

    /// The message at `sequence` is gone.
    pub fn remove(&mut self, sequence: u64) {
        if let Some(subject) = self.subjects.get(&sequence).cloned() {
            self.remove_subject(&subject);
        }
    }

    /// Removes the schedule of a subject.
    pub fn remove_subject(&mut self, subject: &[u8]) {
        if let Some(schedule) = self.by_subject.remove(subject) {
            self.wheel.remove(schedule.sequence, schedule.next);
            self.subjects.remove(&schedule.sequence);
        }
    }

    /// Removes every schedule.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Lets every schedule that was handed out fire again.
    pub fn clear_in_flight(&mut self) {
        self.by_subject.values_mut().for_each(|schedule| schedule.in_flight = false);
    }

    /// Sets the deadline by what is due next, no sooner than [`MIN_INTERVAL`] from now and never
    /// later than it already was.
    pub fn arm(&mut self, now: Timestamp) {
        let Some(next) = self.wheel.next_expiry() else {
            self.deadline = None;
            return;
        };
        let deadline = next.max(now.saturating_add(MIN_INTERVAL));
        self.deadline = Some(self.deadline.map_or(deadline, |armed| armed.min(deadline)));
    }

    /// When to call [`Schedules::fire`].
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// What is due by `now`, by ascending sequence. Schedules that cannot be carried out are
    /// dropped.
    pub fn fire(
        &mut self,
        now: Timestamp,
        source: &mut dyn ScheduleSource,
    ) -> Vec<ScheduledMessage> {
        let mut due: Vec<(u64, Timestamp)> = self.wheel.expired(now).collect();
        due.sort_unstable();
        let mut messages = Vec::new();
        for (sequence, at) in due {
            let subject = self.subjects.get(&sequence);
            let Some(subject) = subject.filter(|subject| {
                self.by_subject.get(*subject).is_some_and(|schedule| !schedule.in_flight)
            }) else {
                continue;
            };
            let subject = subject.clone();
            match scheduled_message(sequence, at, now, source) {
                Some(message) => {
                    messages.push(message);
                    if let Some(schedule) = self.by_subject.get_mut(&subject) {
                        schedule.in_flight = true;
                    }
                }
                None => self.remove_subject(&subject),
            }
        }
        self.deadline = None;
        self.arm(now);
        messages
    }

    /// The contents of `sched.db`, covering the sequences below `high_sequence`. Subjects are cut
    /// at 65535 bytes, which no stored subject exceeds.
    pub fn encode(&self, high_sequence: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.by_subject.len() * 48);
        put_header(&mut out, self.by_subject.len(), high_sequence);
        for (subject, schedule) in &self.by_subject {
            let len = u16::try_from(subject.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend(subject.iter().take(usize::from(len)));
            put_varint(&mut out, schedule.next.nanos());
            put_uvarint(&mut out, schedule.sequence);
        }
        out
    }

    /// Reads what [`Schedules::encode`] wrote: the schedules and the high sequence.
    pub fn decode(bytes: &[u8]) -> Result<(Schedules, u64), ScheduleDecodeError> {
        let mut input = bytes;
        let (count, high_sequence) = take_header(&mut input)?;
        let mut schedules = Schedules::new();
        for _ in 0..count {
            let (subject, next, sequence) =
                take_entry(&mut input).ok_or(WheelDecodeError::UnexpectedEof)?;
            schedules.remove(sequence);
            schedules.insert(sequence, subject, next);
        }
        Ok((schedules, high_sequence))
    }

    /// Panics when an invariant of the type does not hold.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_subject.len(), self.subjects.len());
        assert_eq!(self.by_subject.len(), self.wheel.len());
        for (subject, schedule) in &self.by_subject {
            assert_eq!(self.subjects.get(&schedule.sequence), Some(subject));
            assert!(self.wheel.clone().remove(schedule.sequence, schedule.next));
        }
    }
}

fn take_entry<'a>(input: &mut &'a [u8]) -> Option<(&'a [u8], Timestamp, u64)> {
    let (len, rest) = input.split_first_chunk::<2>()?;
    let (subject, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    *input = rest;
    let next = Timestamp::from_nanos(take_varint(input)?);
    Some((subject, next, take_uvarint(input)?))
}

/// The message the schedule at `sequence` publishes; `None` when it must be dropped.
fn scheduled_message(
    sequence: u64,
    at: Timestamp,
    now: Timestamp,
    source: &mut dyn ScheduleSource,
) -> Option<ScheduledMessage> {
    let schedule = source.message(sequence)?;
    let header = schedule.header();
    let firing = next_firing(header, at, now).ok()??;
    let ttl = schedule_ttl(header).ok()?;
    let target = headers::value(header, headers::SCHEDULE_TARGET)?;
    if target.is_empty() {
        return None;
    }
    let target = Bytes::copy_from_slice(target);
    let rollup = text(headers::value(header, headers::SCHEDULE_ROLLUP));
    let content = match headers::value(header, headers::SCHEDULE_SOURCE) {
        None | Some([]) => schedule.clone(),
        Some(subject) => source.last_message(subject).unwrap_or_else(|| schedule.clone()),
    };
    let mut header = content.header().to_vec();
    headers::remove_with_prefix(&mut header, "Nats-Schedule");
    headers::remove_with_prefix(&mut header, "Nats-Expected-");
    headers::remove(&mut header, headers::MESSAGE_ID);
    headers::remove(&mut header, headers::TTL);
    headers::remove(&mut header, headers::ROLLUP);
    headers::append(&mut header, headers::SCHEDULER, &text(Some(schedule.subject())));
    match firing {
        Firing::Once(_) => headers::append(&mut header, headers::SCHEDULE_NEXT, NEXT_PURGE),
        Firing::Repeating(next) => {
            headers::append(&mut header, headers::SCHEDULE_NEXT, &next.to_string());
        }
    }
    if !ttl.is_empty() {
        headers::append(&mut header, headers::TTL, &ttl);
    }
    if !rollup.is_empty() {
        headers::append(&mut header, headers::ROLLUP, &rollup);
    }
    Some(ScheduledMessage {
        sequence,
        target,
        header: header.into(),
        payload: content.payload_bytes(),
    })
}

/// The time to live for what is published, as it was given; empty for none.
fn schedule_ttl(header: &[u8]) -> Result<String, InvalidTtl> {
    match headers::value(header, headers::SCHEDULE_TTL) {
        None | Some([]) => Ok(String::new()),
        Some(ttl) => MessageTtl::parse(ttl).map(|_| text(Some(ttl))),
    }
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
