//! The bounded queue between the threads that deliver and the thread that owns it.

use super::batch::Batch;
use crate::account::Account;
use ::sublist::{InterestListener, SublistError};
use eventloop::{Intake, Parcel, Waiter};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Connections that filled an inbox with more than this are not read any more ...
pub const INBOX_HOLD_BYTES: usize = 8 * 1024 * 1024;
/// ... until it holds no more than this.
const INBOX_RESUME_BYTES: usize = 4 * 1024 * 1024;
/// What threads of the server publish is refused by an inbox that holds more than this: they cannot
/// wait, and are bound to stop at some point.
pub const INBOX_REFUSE_BYTES: usize = 256 * 1024 * 1024;
/// Empty batches an inbox keeps for the threads that deliver to it.
const FREE_KEPT: usize = 16;

#[derive(Default)]
struct State {
    batches: VecDeque<Box<Batch>>,
    /// What is queued or taken and not settled yet.
    pending_bytes: usize,
    waiters: Vec<Waiter>,
    /// Watches whose interest changed; each is here at most once.
    changed: Vec<Arc<Watch>>,
    woken: bool,
    closed: bool,
}

/// Why a wait for messages ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There are messages.
    Messages,
    /// Somebody called [`Inbox::wake`], or watched interest changed.
    Woken,
    /// The deadline has passed.
    Deadline,
    /// The inbox is closed, and everything in it was taken.
    Closed,
}

/// A queue of messages for one thread.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    /// Empty batches.
    free: Mutex<Vec<Parcel>>,
    closed: AtomicBool,
    /// The same as in `state`, for a look without the lock.
    pending_bytes: AtomicUsize,
    refused: AtomicU64,
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Arc<Inbox> {
        Arc::default()
    }

    /// Whether it takes messages of a connection, or of a thread of this server. A connection can be
    /// held back, so only the end refuses its messages.
    #[inline]
    pub(crate) fn takes(&self, from_connection: bool) -> bool {
        if self.closed.load(Ordering::Relaxed) {
            return false;
        }
        if !from_connection && self.pending_bytes.load(Ordering::Relaxed) > INBOX_REFUSE_BYTES {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Bytes queued or being worked on.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Messages of this server's own threads that were refused because it was full.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits for messages, until the deadline; `into` is empty and gets them all.
    pub fn receive(&self, into: &mut VecDeque<Box<Batch>>, deadline: Option<Instant>) -> Wake {
        debug_assert!(into.is_empty());
        let mut state = self.state.lock();
        loop {
            if !state.batches.is_empty() {
                std::mem::swap(&mut state.batches, into);
                drop(state);
                into.iter_mut().for_each(|batch| batch.seal());
                return Wake::Messages;
            }
            if std::mem::take(&mut state.woken) {
                return Wake::Woken;
            }
            if state.closed {
                return Wake::Closed;
            }
            match deadline {
                None => self.arrived.wait(&mut state),
                Some(deadline) => {
                    if Instant::now() >= deadline
                        || self.arrived.wait_until(&mut state, deadline).timed_out()
                    {
                        if !state.batches.is_empty() || state.woken || state.closed {
                            continue;
                        }
                        return Wake::Deadline;
                    }
                }
            }
        }
    }

    /// The messages of a batch are done with: it counts no more, and those who wait for room go on.
    pub fn settle(&self, mut batch: Box<Batch>) {
        let bytes = batch.bytes();
        let waiters = {
            let mut state = self.state.lock();
            state.pending_bytes = state.pending_bytes.saturating_sub(bytes);
            self.pending_bytes.store(state.pending_bytes, Ordering::Relaxed);
            if state.pending_bytes <= INBOX_RESUME_BYTES {
                std::mem::take(&mut state.waiters)
            } else {
                Vec::new()
            }
        };
        waiters.into_iter().for_each(Waiter::resume);
        if batch.clear() {
            let mut free = self.free.lock();
            if free.len() < FREE_KEPT {
                free.push(batch);
            }
        }
    }

    /// Ends the owner's wait: it has something else to look at.
    pub fn wake(&self) {
        self.state.lock().woken = true;
        self.arrived.notify_one();
    }

    /// Takes nothing any more; the owner gets what is queued, and then [`Wake::Closed`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let waiters = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiters)
        };
        self.arrived.notify_all();
        waiters.into_iter().for_each(Waiter::resume);
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Watches the interest in a literal subject of an account. The current state is the first
    /// change; changes arrive by [`Inbox::take_changed`], the latest one alone when there are
    /// several.
    ///
    /// # Errors
    /// When the subject has wildcards.
    pub fn watch(
        self: &Arc<Inbox>,
        account: &Account,
        subject: &[u8],
        tag: u64,
    ) -> Result<Arc<Watch>, SublistError> {
        let watch = Arc::new_cyclic(|me| Watch {
            me: me.clone(),
            inbox: Arc::downgrade(self),
            subject: subject.into(),
            tag,
            has_interest: AtomicBool::new(false),
            queued: AtomicBool::new(false),
        });
        account.sublist.register_notification(subject, watch.clone())?;
        Ok(watch)
    }

    /// Ends a watch.
    pub fn unwatch(&self, account: &Account, watch: &Arc<Watch>) {
        let listener: Arc<dyn InterestListener> = watch.clone();
        account.sublist.clear_notification(&watch.subject, &listener);
    }

    /// Appends the tags of watches that changed, with whether there is interest now.
    pub fn take_changed(&self, into: &mut Vec<(u64, bool)>) {
        let changed = std::mem::take(&mut self.state.lock().changed);
        for watch in changed {
            // Before the state is read: a change that comes after is queued again.
            watch.queued.store(false, Ordering::SeqCst);
            into.push((watch.tag, watch.has_interest.load(Ordering::SeqCst)));
        }
    }
}

impl Intake for Inbox {
    fn parcel(&self) -> Parcel {
        self.free.lock().pop().unwrap_or_else(|| Box::<Batch>::default())
    }

    fn hand_over(&self, parcel: Parcel) -> bool {
        let Ok(batch) = parcel.downcast::<Batch>() else { return false };
        if batch.is_empty() {
            return false;
        }
        let bytes = batch.bytes();
        let full = {
            let mut state = self.state.lock();
            if state.closed {
                return false;
            }
            state.batches.push_back(batch);
            state.pending_bytes += bytes;
            self.pending_bytes.store(state.pending_bytes, Ordering::Relaxed);
            state.pending_bytes > INBOX_HOLD_BYTES
        };
        self.arrived.notify_one();
        full
    }

    fn wait_for_room(&self, waiter: Waiter) -> bool {
        let mut state = self.state.lock();
        if state.closed || state.pending_bytes <= INBOX_RESUME_BYTES {
            return false;
        }
        state.waiters.push(waiter);
        true
    }
}

/// A watched subject.
pub struct Watch {
    me: Weak<Watch>,
    inbox: Weak<Inbox>,
    subject: Box<[u8]>,
    tag: u64,
    has_interest: AtomicBool,
    /// It is among the changed ones of its inbox.
    queued: AtomicBool,
}

impl InterestListener for Watch {
    fn interest_changed(&self, has_interest: bool) {
        self.has_interest.store(has_interest, Ordering::SeqCst);
        if self.queued.swap(true, Ordering::SeqCst) {
            return;
        }
        if let (Some(me), Some(inbox)) = (self.me.upgrade(), self.inbox.upgrade()) {
            let mut state = inbox.state.lock();
            state.changed.push(me);
            state.woken = true;
            drop(state);
            inbox.arrived.notify_one();
        }
    }
}
