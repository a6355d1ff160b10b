//! A thread of its own for a part of this server: inbox, publisher, deadlines, an orderly end.

use super::batch::Batch;
use super::inbox::{Inbox, Wake};
use super::publisher::Publisher;
use crate::server::Server;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// What a part of this server works with on its thread.
///
/// The loop of a part: [`Context::wait`] until its next deadline; take the batches, look at each
/// message, give the batch back; look at its mail and at changed interest; go on until
/// [`Wake::Closed`].
pub struct Context {
    inbox: Arc<Inbox>,
    /// For sending messages.
    pub publisher: Publisher,
    batches: VecDeque<Box<Batch>>,
}

impl Context {
    /// The context of the calling thread, which owns `inbox`.
    pub fn new(server: Arc<Server>, inbox: Arc<Inbox>) -> Context {
        Context { inbox, publisher: Publisher::new(server), batches: VecDeque::new() }
    }

    /// The inbox.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        self.publisher.server()
    }

    /// Hands over what was published, and waits for messages, until the deadline.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Wake {
        self.publisher.hand_over();
        if !self.batches.is_empty() {
            return Wake::Messages;
        }
        self.inbox.receive(&mut self.batches, deadline)
    }

    /// The next batch of messages. It is to be given back.
    pub fn next_batch(&mut self) -> Option<Box<Batch>> {
        self.batches.pop_front()
    }

    /// The messages of a batch are done with.
    pub fn settle(&mut self, batch: Box<Batch>) {
        self.inbox.settle(batch);
    }
}

/// Orders for a part of this server from other threads, besides messages. The senders are few and
/// wait for what comes of their orders, which bounds it.
pub struct Mail<T> {
    orders: Mutex<Vec<T>>,
    inbox: Arc<Inbox>,
}

impl<T> Mail<T> {
    /// Mail for the owner of that inbox.
    pub fn new(inbox: Arc<Inbox>) -> Mail<T> {
        Mail { orders: Mutex::new(Vec::new()), inbox }
    }

    /// Leaves an order and wakes the thread. Gives it back if the thread takes no more.
    ///
    /// # Errors
    /// The order, when the inbox is closed.
    pub fn send(&self, order: T) -> Result<(), T> {
        if self.inbox.is_closed() {
            return Err(order);
        }
        self.orders.lock().push(order);
        self.inbox.wake();
        Ok(())
    }

    /// All orders that have come.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.orders.lock())
    }
}

/// Starts a thread for a part of this server. It ends when the server closes its inbox at shutdown,
/// and is waited for.
///
/// # Errors
/// When the system has no thread to give.
pub fn spawn(
    server: &Arc<Server>,
    name: &str,
    inbox: Arc<Inbox>,
    run: impl FnOnce(Context) + Send + 'static,
) -> io::Result<()> {
    let context_server = server.clone();
    let own = inbox.clone();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let handle = thread.spawn(move || run(Context::new(context_server, own)))?;
    server.add_internal(inbox, handle);
    Ok(())
}
