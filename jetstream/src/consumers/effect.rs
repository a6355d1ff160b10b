//! What a consumer asks its driver to do.

use super::advisory::Advisory;
use crate::message::StoredMessage;
use crate::types::StreamSequence;
use bytes::Bytes;

/// An order to the driver; orders are given, and to be carried out, in the order in which they
/// came about.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConsumerEffect {
    /// Deliver a message of the stream.
    Deliver(Delivery),
    /// Send a status, a heartbeat, a flow control request, or the empty confirmation of an
    /// acknowledgement. It has no payload.
    Send {
        /// Where it is sent; also the subject the receiver sees.
        subject: Bytes,
        /// The reply subject, empty for none.
        reply: Bytes,
        /// The header block, empty for none.
        header: Bytes,
    },
    /// Publish an advisory, if anybody listens.
    Advisory(Box<Advisory>),
    /// These messages are acknowledged: a stream that keeps only what is needed may remove those
    /// that no other consumer needs. Only given for such streams.
    Acked {
        /// The first of them.
        first: StreamSequence,
        /// The last of them.
        last: StreamSequence,
    },
    /// The consumer's interest changed: a stream that keeps only what is needed looks again at
    /// its messages from here on. Only given for such streams.
    InterestChanged {
        /// The first message to look at.
        from: StreamSequence,
    },
    /// Nobody used the consumer for too long: delete it.
    Delete,
    /// Something an operator should read in the log.
    Warn(String),
    /// Something an operator should read in the log as an error.
    Error(String),
}

/// A message on its way to a client.
///
/// Subject, header and payload are parts of the stored message: nothing was copied, unless the
/// consumer adds to the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// By which subject it is routed: the deliver subject, or the reply of a pull request.
    pub to: Bytes,
    /// Where the client acknowledges it.
    pub reply: Bytes,
    /// The header, when it is not the stored one.
    pub(super) header: Option<Bytes>,
    /// Whether the payload is left out.
    pub(super) headers_only: bool,
    /// The stored message.
    pub message: StoredMessage,
}

impl Delivery {
    /// The subject the client sees: the one the message was stored under.
    pub fn subject(&self) -> &[u8] {
        self.message.subject()
    }

    /// The header block the client sees; empty for none.
    pub fn header(&self) -> &[u8] {
        self.header.as_deref().unwrap_or_else(|| self.message.header())
    }

    /// The payload the client sees.
    pub fn payload(&self) -> &[u8] {
        if self.headers_only { &[] } else { self.message.payload() }
    }

    /// The header as a shared slice.
    pub fn header_bytes(&self) -> Bytes {
        self.header.clone().unwrap_or_else(|| self.message.header_bytes())
    }

    /// The payload as a shared slice.
    pub fn payload_bytes(&self) -> Bytes {
        if self.headers_only { Bytes::new() } else { self.message.payload_bytes() }
    }
}
