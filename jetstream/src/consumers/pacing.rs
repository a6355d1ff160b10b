//! When the next message may go out: rate limits and replay at the original pace (spec 07b §B3.4).
//!
//! Both hold one message back until its moment has come. The moment is found when the message is
//! first looked at; from then on the message is paid for and only waits.

use crate::time::Timestamp;
use crate::types::StreamSequence;
use std::time::Duration;

/// Shorter waits between replayed messages are left out.
const MIN_REPLAY_DELAY: Duration = Duration::from_millis(1);

/// The pace of one consumer that has one.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Pacing {
    rate: Option<TokenBucket>,
    replay: Option<Replay>,
    /// The message that is held back, and until when.
    held: Option<(StreamSequence, Timestamp)>,
}

/// Replays at the pace at which messages were stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Replay {
    /// Messages up to here are replayed.
    until: StreamSequence,
    /// When the message delivered last was stored.
    previous: Option<Timestamp>,
}

/// Bytes that may go out.
#[derive(Clone, Copy, PartialEq, Debug)]
struct TokenBucket {
    bytes_per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Timestamp,
}

impl TokenBucket {
    /// Takes `bytes`; returns how long to wait for them.
    fn take(&mut self, bytes: u64, now: Timestamp) -> Duration {
        let elapsed = now.saturating_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.bytes_per_second).min(self.burst);
        // A message larger than the burst goes out with it: the reference would wait forever.
        self.tokens -= as_f64(bytes).min(self.burst.max(1.0));
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.bytes_per_second).unwrap_or(Duration::MAX)
    }
}

/// Sizes and rates are far below what a float holds exactly, or need not be exact.
#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact above 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

impl Pacing {
    /// Sets or removes the limit, in bits per second; `burst` is in bytes.
    pub(super) fn set_rate(&mut self, bits_per_second: u64, burst: u64, now: Timestamp) {
        let burst = as_f64(burst);
        self.rate = (bits_per_second > 0).then_some(TokenBucket {
            bytes_per_second: as_f64((bits_per_second / 8).max(1)),
            burst,
            tokens: burst,
            filled: now,
        });
    }

    /// Replays messages up to `until`.
    pub(super) fn replay_until(&mut self, until: StreamSequence) {
        self.replay = Some(Replay { until, previous: None });
    }

    /// Notes that there is nothing to deliver before `next`.
    pub(super) fn caught_up(&mut self, next: StreamSequence) {
        if self.replay.is_some_and(|replay| next > replay.until) {
            self.replay = None;
        }
    }

    /// Whether it has become of no use.
    pub(super) fn is_done(&self) -> bool {
        self.rate.is_none() && self.replay.is_none()
    }

    /// When the message that is held back may go out.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.held.map(|(_, until)| until)
    }

    /// Nothing is held back any more: the message is gone, or nobody takes it.
    pub(super) fn let_go(&mut self) {
        self.held = None;
    }

    /// Whether a message, stored at `stored`, may go out now; else it is held back.
    pub(super) fn admit(
        &mut self,
        sequence: StreamSequence,
        stored: Timestamp,
        bytes: u64,
        now: Timestamp,
    ) -> bool {
        let until = match self.held {
            Some((held, until)) if held == sequence => until,
            _ => now.saturating_add(self.delay(stored, bytes, now)),
        };
        if until > now {
            self.held = Some((sequence, until));
            return false;
        }
        self.held = None;
        if let Some(replay) = &mut self.replay {
            replay.previous = Some(stored);
        }
        true
    }

    fn delay(&mut self, stored: Timestamp, bytes: u64, now: Timestamp) -> Duration {
        let previous = self.replay.and_then(|replay| replay.previous);
        let replay = previous
            .map(|previous| stored.saturating_since(previous))
            .filter(|delay| *delay > MIN_REPLAY_DELAY)
            .unwrap_or_default();
        let rate = self.rate.as_mut().map(|rate| rate.take(bytes, now)).unwrap_or_default();
        replay.max(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn after(millis: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn rate_lets_a_burst_through_and_then_so_many_bytes_a_second() {
        let mut pacing = Pacing::default();
        // 1,000 bytes a second.
        pacing.set_rate(8_000, 500, NOW);
        assert!(pacing.admit(1.into(), NOW, 500, NOW));
        assert!(!pacing.admit(2.into(), NOW, 250, NOW));
        assert_eq!(pacing.deadline(), Some(after(250)));
        assert!(!pacing.admit(2.into(), NOW, 250, after(249)));
        assert!(pacing.admit(2.into(), NOW, 250, after(250)));
        assert_eq!(pacing.deadline(), None);
        // After a rest the burst is available again, but no more.
        assert!(pacing.admit(3.into(), NOW, 500, after(10_000)));
        assert!(!pacing.admit(4.into(), NOW, 1, after(10_000)));
        pacing.set_rate(0, 0, NOW);
        assert!(pacing.is_done());
    }

    #[test]
    fn message_larger_than_the_burst_goes_out() {
        let mut pacing = Pacing::default();
        pacing.set_rate(8_000, 100, NOW);
        assert!(pacing.admit(1.into(), NOW, 5_000, NOW));
        assert!(!pacing.admit(2.into(), NOW, 5_000, NOW));
        assert!(pacing.admit(2.into(), NOW, 5_000, after(100)));
    }

    #[test]
    fn replay_keeps_the_distance_between_messages() {
        let mut pacing = Pacing::default();
        pacing.replay_until(3.into());
        assert!(pacing.admit(1.into(), after(0), 1, after(50_000)));
        assert!(!pacing.admit(2.into(), after(30), 1, after(50_000)));
        assert_eq!(pacing.deadline(), Some(after(50_030)));
        assert!(pacing.admit(2.into(), after(30), 1, after(50_030)));
        assert!(pacing.admit(3.into(), after(31), 1, after(50_030)));
        pacing.caught_up(3.into());
        assert!(!pacing.is_done());
        pacing.caught_up(4.into());
        assert!(pacing.is_done());
        assert!(pacing.admit(4.into(), after(90_000), 1, after(50_031)));
    }
}
