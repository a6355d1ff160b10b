//! What one delivering thread has for one inbox: messages behind one another in one buffer.
//!
//! Layout of a message in the buffer: subject, reply, header, body, without separators. A large
//! message keeps header and body in the read block they arrived in.

use super::client::Endpoint;
use crate::account::Account;
use crate::client::ClientShared;
use crate::delivery::{Kind, Message, Origin, SHARE_ABOVE_BYTES, Share};
use crate::subscription::{Destination, Subscription};
use bytes::Bytes;
use parser::headers;
use std::sync::Arc;

/// The header that tells a service who asks.
const REQUEST_INFO: &[u8] = b"Nats-Request-Info";
/// What a message occupies besides its bytes, for the bounds of queues.
const ITEM_BYTES: usize = 64;
/// A buffer that grew larger than this is not kept for the next batch.
const KEPT_BYTES: usize = 256 * 1024;
/// No index.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Item {
    start: usize,
    subject_len: u32,
    reply_len: u32,
    header_len: u32,
    body_len: u32,
    /// Index of the large message's bytes, or [`NONE`].
    shared: u32,
    subscription: u32,
    /// Index of the client that sent it, or [`NONE`].
    client: u32,
    kind: Kind,
}

/// Messages for one inbox, in the order in which they were delivered.
#[derive(Default)]
pub struct Batch {
    /// While it is being filled.
    data: Vec<u8>,
    /// The same bytes once it was received: parts of it can be kept.
    frozen: Bytes,
    items: Vec<Item>,
    shared: Vec<Bytes>,
    /// Subscriptions with the number of messages for each; the same one may come several times.
    subscriptions: Vec<(Arc<Subscription>, i64)>,
    clients: Vec<Arc<ClientShared>>,
    shared_bytes: usize,
}

/// A message that was received.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The subscription that matched. It may have ended since.
    pub subscription: &'a Arc<Subscription>,
    /// What kind of connection, or part of this server, it comes from.
    pub kind: Kind,
    /// The client connection that sent it, if it was one of this server.
    pub client: Option<&'a Arc<ClientShared>>,
    /// Subject.
    pub subject: &'a [u8],
    /// Reply subject, or empty.
    pub reply: &'a [u8],
    /// Header with its version line and end, or empty.
    pub header: &'a [u8],
    /// What follows the header.
    pub body: &'a [u8],
    shared: Option<&'a Bytes>,
    frozen: &'a Bytes,
}

impl<'a> Received<'a> {
    /// The tag given when subscribing.
    pub fn tag(&self) -> u64 {
        self.endpoint().map_or(0, |endpoint| endpoint.tag)
    }

    /// The account it was delivered in.
    pub fn account(&self) -> Option<&'a Arc<Account>> {
        self.endpoint().map(|endpoint| endpoint.client.account())
    }

    fn endpoint(&self) -> Option<&'a Endpoint> {
        match &self.subscription.to {
            Destination::Internal(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// The subject as a slice that outlives the batch. Nothing is copied.
    pub fn subject_bytes(&self) -> Bytes {
        self.frozen.slice_ref(self.subject)
    }

    /// The reply subject as a slice that outlives the batch.
    pub fn reply_bytes(&self) -> Bytes {
        self.frozen.slice_ref(self.reply)
    }

    /// The header as a slice that outlives the batch.
    pub fn header_bytes(&self) -> Bytes {
        self.shared.unwrap_or(self.frozen).slice_ref(self.header)
    }

    /// The body as a slice that outlives the batch.
    pub fn body_bytes(&self) -> Bytes {
        self.shared.unwrap_or(self.frozen).slice_ref(self.body)
    }

    /// Who asks, when the message came through a service import: JSON of spec 03 §18.
    pub fn request_info(&self) -> Option<&'a [u8]> {
        if self.header.is_empty() { None } else { headers::get(self.header, REQUEST_INFO) }
    }
}

/// A message length as it is noted; lengths of messages are bounded by the payload limit.
fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Batch {
    /// Appends a message for `subscription`.
    #[inline]
    pub(crate) fn push(
        &mut self,
        subscription: &Arc<Subscription>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) {
        let start = self.data.len();
        let len = message.len();
        let header_len = message.header_len.min(len);
        let large = len > SHARE_ABOVE_BYTES;
        let copied = if large { 0 } else { len };
        self.data.reserve(message.subject.len() + message.reply.len() + copied);
        self.data.extend_from_slice(message.subject);
        self.data.extend_from_slice(message.reply);
        let mut shared = NONE;
        if large {
            shared = length(self.shared.len());
            self.shared_bytes += len;
            self.shared.push(share().slice(..len));
        } else {
            self.data.extend_from_slice(&message.payload_crlf[..len]);
        }
        let subscription = self.subscription_index(subscription);
        let client = origin.client.map_or(NONE, |client| self.client_index(client));
        self.items.push(Item {
            start,
            subject_len: length(message.subject.len()),
            reply_len: length(message.reply.len()),
            header_len: length(header_len),
            body_len: length(len - header_len),
            shared,
            subscription,
            client,
            kind: origin.kind,
        });
    }

    /// Most messages of a batch are for one subscription: only the last one is compared.
    #[inline]
    fn subscription_index(&mut self, subscription: &Arc<Subscription>) -> u32 {
        match self.subscriptions.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, subscription) => *count += 1,
            _ => self.subscriptions.push((subscription.clone(), 1)),
        }
        length(self.subscriptions.len() - 1)
    }

    #[inline]
    fn client_index(&mut self, client: &Arc<ClientShared>) -> u32 {
        match self.clients.last() {
            Some(last) if Arc::ptr_eq(last, client) => {}
            _ => self.clients.push(client.clone()),
        }
        length(self.clients.len() - 1)
    }

    /// Messages.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Memory it stands for, for the bounds of queues.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.frozen.len() + self.shared_bytes + self.items.len() * ITEM_BYTES
    }

    /// To be called once it is complete, before anything is read: counts the deliveries on their
    /// subscriptions.
    pub(super) fn seal(&mut self) {
        self.frozen = Bytes::from(std::mem::take(&mut self.data));
        for (subscription, messages) in &self.subscriptions {
            subscription.count_many(*messages);
        }
    }

    /// The messages, in order; none before the batch was received.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.items.iter().filter_map(|item| self.received(item))
    }

    fn received(&self, item: &Item) -> Option<Received<'_>> {
        let rest = self.frozen.get(item.start..)?;
        let (subject, rest) = rest.split_at_checked(item.subject_len as usize)?;
        let (reply, rest) = rest.split_at_checked(item.reply_len as usize)?;
        let shared = self.shared.get(item.shared as usize);
        let payload = shared.map_or(rest, |shared| &shared[..]);
        let (header, rest) = payload.split_at_checked(item.header_len as usize)?;
        Some(Received {
            subscription: &self.subscriptions.get(item.subscription as usize)?.0,
            kind: item.kind,
            client: self.clients.get(item.client as usize),
            subject,
            reply,
            header,
            body: rest.get(..item.body_len as usize)?,
            shared,
            frozen: &self.frozen,
        })
    }

    /// Empties it. Whether its buffers are worth keeping.
    pub(super) fn clear(&mut self) -> bool {
        // Where parts were kept, the next batch needs a buffer of its own.
        let frozen = std::mem::take(&mut self.frozen);
        self.data = frozen.try_into_mut().map(Vec::from).unwrap_or_default();
        self.data.clear();
        self.items.clear();
        self.shared.clear();
        self.subscriptions.clear();
        self.clients.clear();
        self.shared_bytes = 0;
        self.data.capacity() <= KEPT_BYTES
    }
}
