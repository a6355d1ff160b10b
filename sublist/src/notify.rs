//! Notifications of interest in an exact subject, as the system asks for when it waits for a
//! subscriber to come or to go. Implements the interest notifications of spec 01 §14.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use ahash::RandomState;

use crate::error::SublistError;

/// Told when the interest in a subject appears or vanishes.
///
/// Calls come in the order of the changes, from the thread that makes the change and while it
/// holds the sublist: an implementation must neither block nor call the sublist, but note the
/// value or queue it.
pub trait InterestListener: Send + Sync {
    /// Interest is there (true) or gone (false).
    fn interest_changed(&self, has_interest: bool);
}

/// A bounded channel: what finds it full is dropped.
impl InterestListener for SyncSender<bool> {
    fn interest_changed(&self, has_interest: bool) {
        // Whoever does not drain the channel, or is gone, misses the value, by contract.
        let _ = self.try_send(has_interest);
    }
}

/// Who watches which subject and queue group. Callers register a handful at a time.
#[derive(Default)]
pub(crate) struct Watches {
    by_key: HashMap<Box<[u8]>, Watch, RandomState>,
}

/// Invariant: not without listeners.
struct Watch {
    has_interest: bool,
    listeners: Vec<Arc<dyn InterestListener>>,
}

impl Watches {
    /// Registers a listener and tells it the current state.
    pub(crate) fn register(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        listener: Arc<dyn InterestListener>,
        has_interest: bool,
    ) -> Result<(), SublistError> {
        let watch = self
            .by_key
            .entry(key(subject, queue))
            .or_insert_with(|| Watch { has_interest, listeners: Vec::new() });
        if watch.listeners.iter().any(|present| is_same(present, &listener)) {
            return Err(SublistError::AlreadyRegistered);
        }
        listener.interest_changed(has_interest);
        watch.listeners.push(listener);
        Ok(())
    }

    /// Whether the listener was registered.
    pub(crate) fn clear(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        listener: &Arc<dyn InterestListener>,
    ) -> bool {
        let key = key(subject, queue);
        let Some(watch) = self.by_key.get_mut(&key) else { return false };
        let Some(at) = watch.listeners.iter().position(|l| is_same(l, listener)) else {
            return false;
        };
        watch.listeners.swap_remove(at);
        if watch.listeners.is_empty() {
            self.by_key.remove(&key);
        }
        true
    }

    /// The first subscription to this very subject and queue group came, or the last left.
    pub(crate) fn changed(&mut self, subject: &[u8], queue: Option<&[u8]>, has_interest: bool) {
        if self.by_key.is_empty() {
            return;
        }
        let Some(watch) = self.by_key.get_mut(&key(subject, queue)) else { return };
        if watch.has_interest != has_interest {
            watch.has_interest = has_interest;
            watch.listeners.iter().for_each(|l| l.interest_changed(has_interest));
        }
    }
}

/// Subject and queue cannot run into each other: the subject's length comes first.
fn key(subject: &[u8], queue: Option<&[u8]>) -> Box<[u8]> {
    let queue = queue.unwrap_or_default();
    [&subject.len().to_ne_bytes()[..], subject, queue].concat().into()
}

fn is_same(a: &Arc<dyn InterestListener>, b: &Arc<dyn InterestListener>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}
