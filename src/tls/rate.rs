//! The limit of TLS handshakes per second (`connection_rate_limit`, spec 04 §12).

use parking_lot::Mutex;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// When the current window ends; none has begun before the first connection.
    end: Option<Instant>,
    admitted: u64,
    rejected: u64,
}

/// Counts handshakes in windows of a second; a window begins with the first connection after the
/// one before has ended.
#[derive(Debug)]
pub struct RateLimit {
    limit: u64,
    state: Mutex<State>,
}

impl RateLimit {
    /// At most `limit` handshakes a window; `None` where that is no limit.
    #[must_use]
    pub fn new(limit: i64) -> Option<RateLimit> {
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0)?;
        Some(RateLimit { limit, state: Mutex::new(State::default()) })
    }

    /// Whether another handshake may begin now.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        if state.end.is_none_or(|end| now > end) {
            state.end = Some(now + WINDOW);
            state.admitted = 0;
        }
        if state.admitted < self.limit {
            state.admitted += 1;
            return true;
        }
        state.rejected += 1;
        false
    }

    /// Connections rejected since the last call.
    pub fn take_rejected(&self) -> u64 {
        std::mem::take(&mut self.state.lock().rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_exactly_the_limit() {
        assert!(RateLimit::new(0).is_none() && RateLimit::new(-1).is_none());
        let limit = RateLimit::new(3).unwrap();
        let start = Instant::now();
        let admitted = |at: u64| {
            let at = start + Duration::from_millis(at);
            (0..5).filter(|_| limit.admits(at)).count()
        };
        assert_eq!(admitted(0), 3);
        assert_eq!(admitted(1000), 0);
        assert_eq!(limit.take_rejected(), 7);
        // The window begins with the first connection, not at a full second.
        assert_eq!(admitted(1500), 3);
        assert_eq!(admitted(2400), 0);
        assert_eq!(admitted(2501), 3);
        assert_eq!(limit.take_rejected(), 9);
        assert_eq!(limit.take_rejected(), 0);
    }
}
