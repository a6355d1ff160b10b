//! Suppression of repeated statements ("spec 02, 10.7").
//!
//! The first statement with a given key is logged; the same key again is not, until a tick finds
//! the entry old enough and forgets it. The key is the rendered text or, where a caller chooses
//! so, the text with its variable parts left out. Whoever logs calls
//! [`StatementLimiter::tick_if_due`] first, which ticks at most once per [`TICK`]: nothing has to
//! run while nothing is logged.
//!
//! Unlike the reference's, the table is bounded: statements can carry text a peer controls, so a
//! peer could otherwise grow it at will within one second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The least time between two ticks, and the age at which an entry goes.
pub const TICK: Duration = Duration::from_secs(1);

/// Most keys remembered at once; further new statements are held back until the next tick. This
/// is also the most lines per second the limited statements can produce.
const MAX_STATEMENTS: usize = 16 * 1024;

/// Decides which of the repeated statements are logged; shared by all threads.
#[derive(Default)]
pub struct StatementLimiter {
    hasher: ahash::RandomState,
    seen: Mutex<std::collections::HashMap<u64, Instant, ahash::RandomState>>,
    /// When the last tick was; nothing before the first statement.
    ticked: Mutex<Option<Instant>>,
}

impl StatementLimiter {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a statement with this key may be logged now.
    pub fn allow(&self, key: &str, now: Instant) -> bool {
        let hash = self.hasher.hash_one(key);
        let mut seen = self.seen.lock();
        if seen.contains_key(&hash) || seen.len() >= MAX_STATEMENTS {
            return false;
        }
        seen.insert(hash, now);
        true
    }

    /// Ticks if the last tick is [`TICK`] ago.
    pub fn tick_if_due(&self, now: Instant) {
        let mut ticked = self.ticked.lock();
        if ticked.is_none_or(|last| now.saturating_duration_since(last) >= TICK) {
            *ticked = Some(now);
            drop(ticked);
            self.tick(now);
        }
    }

    /// Forgets the statements logged at least [`TICK`] ago.
    pub fn tick(&self, now: Instant) {
        self.tick_older_than(now, TICK);
    }

    /// Forgets the statements logged at least `age` ago.
    pub fn tick_older_than(&self, now: Instant, age: Duration) {
        let mut seen = self.seen.lock();
        seen.retain(|_, logged| now.saturating_duration_since(*logged) < age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_held_back_until_a_tick_finds_them_old() {
        let limiter = StatementLimiter::new();
        let start = Instant::now();
        assert!(limiter.allow("maximum connections exceeded", start));
        assert!(!limiter.allow("maximum connections exceeded", start + TICK * 5));
        assert!(limiter.allow("another statement", start));
        limiter.tick(start + TICK / 2);
        assert!(!limiter.allow("maximum connections exceeded", start + TICK));
        limiter.tick(start + TICK);
        assert!(limiter.allow("maximum connections exceeded", start + TICK));
    }

    #[test]
    fn a_suppressed_repeat_does_not_prolong_the_entry() {
        let limiter = StatementLimiter::new();
        let start = Instant::now();
        assert!(limiter.allow("x", start));
        assert!(!limiter.allow("x", start + TICK / 2));
        limiter.tick(start + TICK);
        assert!(limiter.allow("x", start + TICK));
    }

    #[test]
    fn a_tick_is_due_once_in_its_time() {
        let limiter = StatementLimiter::new();
        let start = Instant::now();
        limiter.tick_if_due(start);
        assert!(limiter.allow("x", start + TICK / 4));
        limiter.tick_if_due(start + TICK);
        assert!(!limiter.allow("x", start + TICK), "not old enough at that tick");
        limiter.tick_if_due(start + TICK * 3 / 2);
        assert!(!limiter.allow("x", start + TICK * 3 / 2), "no tick was due");
        limiter.tick_if_due(start + TICK * 2);
        assert!(limiter.allow("x", start + TICK * 2));
    }

    #[test]
    fn the_table_is_bounded() {
        let limiter = StatementLimiter::new();
        let start = Instant::now();
        let logged = (0..MAX_STATEMENTS * 2).filter(|n| limiter.allow(&n.to_string(), start));
        assert_eq!(logged.count(), MAX_STATEMENTS);
        limiter.tick(start + TICK);
        assert!(limiter.allow("new", start + TICK));
    }
}
