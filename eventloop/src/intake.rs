//! Queues inside the process as destinations: what one thread stages for another part of the
//! application is handed over in batches, like the bytes for a connection.
//!
//! A [`Stager`](crate::Stager) collects one batch for each [`Intake`] while a read batch is worked
//! on, and gives it away with everything else it hands over: one lock and at most one wake-up a
//! batch. An intake that is full says so, and the connections whose input filled it are not read
//! until it has room again. Unlike an egress queue it is waited for as long as it takes: its owner
//! is a thread of this process, not a peer that may be slow for ever.

use crate::Token;
use crate::mailbox::{Mailbox, Note};
use std::any::Any;
use std::sync::Arc;

/// What an application queue takes in one hand-over. Its type is the queue's own affair.
pub type Parcel = Box<dyn Any + Send>;

/// A queue of the application that messages are staged for.
pub trait Intake: Send + Sync + 'static {
    /// An empty parcel, to be filled by the staging thread.
    fn parcel(&self) -> Parcel;

    /// Takes a filled parcel over. Whether the queue is full now: who filled it should wait.
    fn hand_over(&self, parcel: Parcel) -> bool;

    /// Remembers `waiter`, to be told by [`Waiter::resume`] once there is room. `false` if there is
    /// room already, or nothing is taken any more.
    fn wait_for_room(&self, waiter: Waiter) -> bool;
}

/// A connection that is not read until an intake has room.
pub struct Waiter {
    mailbox: Arc<Mailbox>,
    token: Token,
}

impl Waiter {
    pub(crate) fn new(mailbox: Arc<Mailbox>, token: Token) -> Waiter {
        Waiter { mailbox, token }
    }

    /// There is room: the connection is read again.
    pub fn resume(self) {
        self.mailbox.note(Note::Room(self.token));
    }
}
