//! How other threads reach a reactor: a list of notes and messages, and one wake-up for all of them.
//!
//! Bounds: a connection has at most one outstanding note of each kind (the egress queue sees to
//! that), so the notes are bounded by the connections. Application messages are bounded by their
//! senders (accepted sockets, control commands).

use crate::Token;
use mio::Waker;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an egress queue tells the reactor that owns its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Bytes were queued that only the owner may write.
    Flush(Token),
    /// The destination that held this connection's reads back has drained (or is gone).
    Resume(Token),
    /// An application queue that held this connection's reads back has room (or is gone).
    Room(Token),
    /// A write would block: the write deadline has to be watched.
    Blocked(Token),
    /// A batch that was kept past its write deadline is written.
    Recovered(Token),
    /// Another thread has closed the connection's egress; the owner takes it down.
    Close(Token),
}

/// The receiving side of a reactor, shared by all threads.
pub struct Mailbox {
    notes: Mutex<Vec<Note>>,
    waker: Waker,
    /// Set while a wake-up is on its way, so that a burst costs one system call.
    woken: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Mailbox {
        Mailbox { notes: Mutex::new(Vec::new()), waker, woken: AtomicBool::new(false) }
    }

    /// Leaves a note and wakes the reactor.
    pub fn note(&self, note: Note) {
        self.notes.lock().push(note);
        self.wake();
    }

    /// Wakes the reactor.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Waking can only fail for want of kernel memory; the reactor then looks at its mail at
            // its next event or timer.
            if self.waker.wake().is_err() {
                self.woken.store(false, Ordering::Release);
            }
        }
    }

    /// Called by the reactor before it takes its mail: what comes later wakes it again.
    pub(crate) fn open(&self) {
        self.woken.store(false, Ordering::Release);
    }

    pub(crate) fn take_notes(&self, into: &mut Vec<Note>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut *self.notes.lock(), into);
    }
}

/// Sends application messages to a reactor from any thread.
pub struct Sender<M> {
    queue: Arc<Mutex<Vec<M>>>,
    mailbox: Arc<Mailbox>,
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Sender { queue: self.queue.clone(), mailbox: self.mailbox.clone() }
    }
}

impl<M> Sender<M> {
    pub(crate) fn new(queue: Arc<Mutex<Vec<M>>>, mailbox: Arc<Mailbox>) -> Sender<M> {
        Sender { queue, mailbox }
    }

    /// Queues a message and wakes the reactor.
    pub fn send(&self, message: M) {
        self.queue.lock().push(message);
        self.mailbox.wake();
    }

    /// The reactor's mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}
