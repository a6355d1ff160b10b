//! When answers that are waited for are forgotten: one thread looks after the tables of all
//! accounts, and sleeps until the first of them is due.

use super::Account;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The tables are not looked at more often than this, however short the configured times are.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

#[derive(Default)]
struct State {
    /// When a table has to be looked at next.
    next: Option<Instant>,
    ended: bool,
}

/// Tells the thread when to look.
#[derive(Default)]
pub struct Expiry {
    state: Mutex<State>,
    changed: Condvar,
}

impl Expiry {
    /// Something is due then.
    pub fn wake_by(&self, deadline: Instant) {
        let mut state = self.state.lock();
        if state.next.is_none_or(|next| deadline < next) {
            state.next = Some(deadline);
            self.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Forgets what is due in the accounts there are, until it is ended.
    pub fn run(&self, accounts: impl Fn() -> Vec<Arc<Account>>) {
        while self.wait() {
            let now = Instant::now();
            let accounts = accounts();
            let next = accounts.iter().filter_map(|a| a.existing_responses()?.expire(now)).min();
            if let Some(next) = next {
                self.wake_by(next.max(now + SHORTEST_PAUSE));
            }
        }
    }

    /// Waits until something is due. `false` at the end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return false;
            }
            match state.next {
                None => self.changed.wait(&mut state),
                Some(next) if next <= Instant::now() => {
                    state.next = None;
                    return true;
                }
                Some(next) => {
                    self.changed.wait_until(&mut state, next);
                }
            }
        }
    }
}
