//! Subscriptions, and where their messages go.

use crate::account::{Account, Responses, ServiceImport, StreamImport};
use crate::client::ClientShared;
use crate::delivery::Link;
use crate::internal::Endpoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Who a subscription delivers to.
pub enum Destination {
    /// An application's connection.
    Client(Arc<ClientShared>),
    /// A part of this server.
    Internal(Endpoint),
    /// A connection to another server: a route, gateway or leafnode.
    Link(Arc<dyn Link>),
    /// A subscription in another account, which imports a stream of this one.
    Shadow(Box<Shadow>),
    /// A service of another account.
    Service(Arc<ServiceImport>),
    /// Accounts that wait for answers of this one's services.
    Responses(Arc<Responses>),
}

/// A subscription of another account, as it stands in the account that exports to it.
pub struct Shadow {
    /// Which stream it is about.
    pub import: Arc<StreamImport>,
    /// The account that imports.
    pub importer: Arc<Account>,
    /// The client's own subscription: its state is that of the shadow.
    pub parent: Arc<Subscription>,
}

/// One subscription, shared by the sublist, its connection and the caches of all reactors.
pub struct Subscription {
    /// Subject, queue group and blank-framed id, one behind the other.
    text: Box<[u8]>,
    subject_len: u32,
    /// Length of the queue group plus one; zero without one.
    queue_len: u32,
    /// Who gets the messages.
    pub to: Destination,
    delivered: AtomicI64,
    /// Deliveries after which the subscription ends; zero means never.
    max: AtomicI64,
    closed: AtomicBool,
}

impl Subscription {
    /// A subscription for `to`. `sid` is the client's name for it.
    pub fn new(subject: &[u8], queue: Option<&[u8]>, sid: &[u8], to: Destination) -> Subscription {
        let q = queue.unwrap_or_default();
        let mut text = Vec::with_capacity(subject.len() + q.len() + sid.len() + 2);
        text.extend_from_slice(subject);
        text.extend_from_slice(q);
        text.push(b' ');
        text.extend_from_slice(sid);
        text.push(b' ');
        Subscription {
            text: text.into_boxed_slice(),
            subject_len: subject.len() as u32,
            queue_len: queue.map_or(0, |q| q.len() as u32 + 1),
            to,
            delivered: AtomicI64::new(0),
            max: AtomicI64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    fn sid_start(&self) -> usize {
        self.subject_len as usize + self.queue_len.saturating_sub(1) as usize
    }

    /// The client's id of the subscription with a blank on both sides, as it stands in `MSG`.
    pub fn framed_sid(&self) -> &[u8] {
        &self.text[self.sid_start()..]
    }

    /// The client's id of the subscription.
    pub fn sid(&self) -> &[u8] {
        let framed = self.framed_sid();
        &framed[1..framed.len() - 1]
    }

    /// Messages delivered since SUB.
    pub fn delivered(&self) -> i64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// The auto-unsubscribe limit, or zero.
    pub fn max(&self) -> i64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Sets or clears (zero) the auto-unsubscribe limit.
    pub fn set_max(&self, max: i64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Counts one delivery; returns the count with it.
    pub fn count(&self) -> i64 {
        self.delivered.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts deliveries that were made before.
    pub fn count_many(&self, messages: i64) {
        self.delivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// Ends the subscription: nothing is delivered any more. Tells whether this call did it.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl sublist::Subscription for Subscription {
    fn subject(&self) -> &[u8] {
        &self.text[..self.subject_len as usize]
    }

    fn queue(&self) -> Option<&[u8]> {
        (self.queue_len > 0).then(|| &self.text[self.subject_len as usize..self.sid_start()])
    }

    fn weight(&self) -> u32 {
        match &self.to {
            Destination::Link(link) => link.queue_weight(self),
            _ => 1,
        }
    }
}
