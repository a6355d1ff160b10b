//! The connection to one origin: asking for a consumer, and following what it delivers.
//!
//! A link is idle, waits for the time of its next attempt, waits for the answer to a request, or
//! receives. Whatever goes wrong leads back to waiting for the next attempt.

use super::names::index_name;
use super::request::Kind;
use crate::api_error::ApiError;
use crate::config::{ConsumerConfig, StreamSource};
use crate::stream::message::SubscriptionId;
use crate::time::Timestamp;
use bytes::Bytes;
use std::time::Duration;
use sublist::transform::SubjectTransform;

/// How long the answer to a request may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An origin that is silent for so long is asked anew. Its consumer should be heard of each second.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10);
/// Least time between two requests.
const MIN_INTERVAL: Duration = Duration::from_secs(2);
/// How much longer it takes with each failure.
const BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(120);
/// Requests of many streams are spread by so much, on top of as much again.
pub(super) const JITTER: Duration = Duration::from_millis(100);

/// What a link is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing: it was not started, or was stopped.
    Idle,
    /// Waiting to ask.
    Waiting { until: Timestamp },
    /// Waiting for an answer.
    Asking {
        answers: SubscriptionId,
        until: Timestamp,
        /// What was asked for; nothing when an existing consumer was reset.
        requested: Option<Box<ConsumerConfig>>,
    },
    /// Taking what comes.
    Receiving { deliveries: SubscriptionId },
}

/// The connection to a mirror's origin or to a source.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) kind: Kind,
    pub(super) source: StreamSource,
    /// See [`index_name`].
    pub(super) index_name: String,
    /// In the order of the configuration, without those that leave subjects as they are.
    transforms: Vec<SubjectTransform>,
    pub(super) phase: Phase,
    /// The name of the consumer that delivers; empty before there is one.
    pub(super) consumer: Bytes,
    /// The last sequence of the origin that was dealt with.
    pub(super) origin_sequence: u64,
    /// Where a source starts next: the sequence to ask for.
    pub(super) next_sequence: u64,
    /// The last delivery of the consumer.
    pub(super) delivered: u64,
    /// How many messages the origin has that are not here yet.
    pub(super) lag: u64,
    /// When the origin's consumer was last heard of.
    pub(super) last_heard: Option<Timestamp>,
    last_request: Option<Timestamp>,
    failures: u32,
    pub(super) error: Option<ApiError>,
    /// Whether it was told that the mirror has caught up.
    pub(super) has_caught_up: bool,
}

impl Link {
    pub(super) fn new(kind: Kind, source: &StreamSource) -> Self {
        let transforms = source
            .subject_transforms
            .iter()
            .filter_map(|config| {
                let (from, to) = (config.source.as_bytes(), config.destination.as_bytes());
                SubjectTransform::new(from, to).ok().flatten()
            })
            .collect();
        Link {
            kind,
            source: source.clone(),
            index_name: index_name(source),
            transforms,
            phase: Phase::Idle,
            consumer: Bytes::new(),
            origin_sequence: 0,
            next_sequence: 1,
            delivered: 0,
            lag: 0,
            last_heard: None,
            last_request: None,
            failures: 0,
            error: None,
            has_caught_up: false,
        }
    }

    /// The subject under which a message of the origin is stored.
    pub(super) fn transformed(&self, subject: &Bytes, mut random: impl FnMut() -> u32) -> Bytes {
        self.transforms
            .iter()
            .find_map(|transform| transform.match_subject(subject, &mut random).ok())
            .map_or_else(|| subject.clone(), Bytes::from)
    }

    /// Waits for the next attempt; `jitter` is shorter than [`JITTER`].
    pub(super) fn wait(&mut self, jitter: Duration, now: Timestamp) {
        let since = self.last_request.map(|last| now.saturating_since(last));
        let throttle = since.map_or(Duration::ZERO, |since| MIN_INTERVAL.saturating_sub(since));
        let backoff = BACKOFF.saturating_mul(self.failures).min(MAX_BACKOFF);
        let until = now.saturating_add(throttle + backoff + JITTER + jitter);
        self.phase = Phase::Waiting { until };
    }

    /// Notes that a request is being made.
    pub(super) fn asks(&mut self, now: Timestamp) {
        self.last_request = Some(now);
        self.error = None;
    }

    /// Notes that an attempt failed.
    pub(super) fn failed(&mut self, error: Option<ApiError>) {
        self.failures = self.failures.saturating_add(1);
        if error.is_some() {
            self.error = error;
        }
    }

    /// Notes that a consumer delivers to us from now on.
    pub(super) fn connected(&mut self, deliveries: SubscriptionId, name: &str, now: Timestamp) {
        self.phase = Phase::Receiving { deliveries };
        self.consumer = Bytes::copy_from_slice(name.as_bytes());
        self.delivered = 0;
        self.last_heard = Some(now);
        self.failures = 0;
        self.error = None;
    }

    /// When there is something to do unless something comes in.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Waiting { until } | Phase::Asking { until, .. } => Some(*until),
            Phase::Receiving { .. } => {
                self.last_heard.map(|heard| heard.saturating_add(STALLED_AFTER))
            }
        }
    }

    /// The subscription the link has.
    pub(super) fn subscription(&self) -> Option<SubscriptionId> {
        match self.phase {
            Phase::Asking { answers, .. } => Some(answers),
            Phase::Receiving { deliveries } => Some(deliveries),
            _ => None,
        }
    }

    /// Notes how many messages follow the one just received.
    pub(super) fn set_pending(&mut self, pending: u64) {
        self.lag = pending.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_spaced_and_back_off() {
        let now = Timestamp::from_seconds(1000);
        let mut link = Link::new(Kind::Source, &StreamSource::default());
        let waits = |link: &mut Link, now: Timestamp| {
            link.wait(Duration::from_millis(50), now);
            let until = link.deadline().expect("waiting");
            until.saturating_since(now).as_millis()
        };
        assert_eq!(waits(&mut link, now), 150);
        link.asks(now);
        assert_eq!(waits(&mut link, now), 2150);
        assert_eq!(waits(&mut link, now.saturating_add(Duration::from_secs(1))), 1150);
        assert_eq!(waits(&mut link, now.saturating_add(Duration::from_secs(9))), 150);
        link.failed(None);
        assert_eq!(waits(&mut link, now), 12_150);
        for _ in 0..50 {
            link.failed(None);
        }
        assert_eq!(waits(&mut link, now), 122_150);
    }
}
