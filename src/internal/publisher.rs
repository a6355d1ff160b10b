//! The delivery context of a thread that is no reactor.

use super::client::Client;
use crate::account::{Account, TrafficBatch};
use crate::delivery::{Fanout, Message, Origin, SHARE_ABOVE_BYTES};
use crate::server::Server;
use bytes::Bytes;
use eventloop::{Egress, HOLD_ABOVE_BYTES, HandOver, Stager};
use parser::encode::Decimal;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A message that a part of this server sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// Subject.
    pub subject: &'a [u8],
    /// Reply subject, or empty.
    pub reply: &'a [u8],
    /// Header with its version line and end, or empty.
    pub header: &'a [u8],
    /// What follows the header.
    pub body: &'a [u8],
}

/// Stages the messages of one thread, and hands them over.
///
/// Traffic counts as spec 01 §15 has it: what internal clients send is not received from anybody,
/// what it is delivered as counts for the account and the server.
pub struct Publisher {
    server: Arc<Server>,
    fanout: Fanout,
    stager: Stager,
    /// What follows the subject id in `MSG`, of the message being sent.
    tail: Vec<u8>,
    traffic: Vec<(Arc<Account>, TrafficBatch)>,
    heavy: Vec<Arc<Egress>>,
}

impl Publisher {
    /// A context for the calling thread.
    pub fn new(server: Arc<Server>) -> Publisher {
        let seed = server.random_below(u64::MAX);
        Publisher {
            server,
            // Internal messages are never dropped for want of speed.
            fanout: Fanout::new(seed, false),
            stager: Stager::new(None),
            tail: Vec::new(),
            traffic: Vec::new(),
            heavy: Vec::new(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// A random number, not fit for secrets.
    pub fn random_bits(&mut self) -> u32 {
        self.fanout.random_bits()
    }

    /// Publishes in the client's account. Whether anybody gets it.
    pub fn publish(&mut self, from: &Client, message: &Outgoing<'_>) -> bool {
        self.publish_in(from.account(), &from.origin(), message)
    }

    /// Publishes in the client's account to everyone who would get a message of the subject
    /// `route`; they see the message's own. Whether anybody gets it.
    pub fn publish_by(&mut self, from: &Client, route: &[u8], message: &Outgoing<'_>) -> bool {
        self.send(from.account(), &from.origin(), Some(route), message)
    }

    /// Publishes in any account.
    pub fn publish_in(
        &mut self,
        account: &Arc<Account>,
        origin: &Origin<'_>,
        message: &Outgoing<'_>,
    ) -> bool {
        self.send(account, origin, None, message)
    }

    fn send(
        &mut self,
        account: &Arc<Account>,
        origin: &Origin<'_>,
        route: Option<&[u8]>,
        message: &Outgoing<'_>,
    ) -> bool {
        let Outgoing { subject, reply, header, body } = *message;
        let size = header.len() + body.len();
        let size_digits = Decimal::new(size as u64);
        let header_digits = Decimal::new(header.len() as u64);
        let tail = &mut self.tail;
        tail.clear();
        tail.reserve(reply.len() + size + 48);
        if !reply.is_empty() {
            tail.extend_from_slice(reply);
            tail.push(b' ');
        }
        if !header.is_empty() {
            tail.extend_from_slice(header_digits.as_bytes());
            tail.push(b' ');
        }
        tail.extend_from_slice(size_digits.as_bytes());
        tail.extend_from_slice(b"\r\n");
        let payload_start = tail.len();
        tail.extend_from_slice(header);
        tail.extend_from_slice(body);
        tail.extend_from_slice(b"\r\n");
        let payload_crlf = tail.get(payload_start..).unwrap_or_default();
        let message = Message {
            subject,
            reply,
            header_len: header.len(),
            header_digits: header_digits.as_bytes(),
            size_digits: size_digits.as_bytes(),
            payload_crlf,
            tail: Some(tail),
        };
        let mut shared: Option<Bytes> = None;
        let mut share =
            || shared.get_or_insert_with(|| Bytes::copy_from_slice(payload_crlf)).clone();
        self.fanout.trace = self.server.log.trace_enabled();
        let delivered = match route {
            None => self.fanout.deliver(&mut self.stager, account, origin, &message, &mut share),
            Some(route) => {
                let stager = &mut self.stager;
                self.fanout.deliver_by(stager, account, origin, route, &message, &mut share)
            }
        };
        if self.tail.capacity() > SHARE_ABOVE_BYTES * 16 {
            self.tail = Vec::new();
        }
        let batch = self.fanout.take_traffic();
        match self.traffic.iter_mut().find(|(known, _)| Arc::ptr_eq(known, account)) {
            Some((_, sum)) => sum.add(&batch),
            None => self.traffic.push((account.clone(), batch)),
        }
        if self.stager.staged_bytes() >= eventloop::STAGING_BUDGET_BYTES {
            self.hand_over();
        }
        delivered.any
    }

    /// Whether somebody would get a message of that subject.
    pub fn has_interest(&self, account: &Account, subject: &[u8]) -> bool {
        account.sublist.has_interest(subject)
    }

    /// Hands over everything that was published.
    pub fn hand_over(&mut self) {
        if self.stager.is_empty() {
            return;
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.stager.wall_nanos = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        let heavy = &mut self.heavy;
        self.stager.hand_over(self.server.ticks(), None, |egress, outcome| {
            if let HandOver::Pending(bytes) | HandOver::Owner(bytes) = outcome
                && bytes > HOLD_ABOVE_BYTES
                && !heavy.iter().any(|known| Arc::ptr_eq(known, egress))
            {
                heavy.push(egress.clone());
            }
        });
        // Nobody here can be held back for a full inbox.
        self.stager.take_full_intakes();
        for (account, batch) in self.traffic.drain(..) {
            account.traffic.add(&batch);
            self.server.stats.client_traffic.add(&batch);
        }
    }

    /// Connections that had much pending after a hand-over, since this was last asked: who sends
    /// them bulk data should let them drain.
    pub fn take_heavy(&mut self) -> Vec<Arc<Egress>> {
        std::mem::take(&mut self.heavy)
    }
}
