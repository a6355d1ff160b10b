//! What the engine asks of whoever drives it: messages, subscriptions, the log.

use bytes::Bytes;

/// Who an account's messages come from: a stream, or the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The API and the advisories of an account.
    pub const API: ClientId = ClientId(0);
}

/// What a subscription is for. The driver hands what arrives to
/// [`JetStream::received`](super::JetStream::received) with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Target {
    /// Requests to the API.
    Api,
    /// Messages for a stream.
    Publish(u64),
    /// Requests for messages of a stream.
    DirectGet(u64),
    /// The same, with the subject of the message at the end of the request's.
    DirectGetLast(u64),
    /// Messages and answers for the sources of a stream: the stream, and its own number.
    Source(u64, u64),
    /// Acknowledgements for a consumer.
    Ack(u64),
    /// Answers to a consumer's flow control.
    FlowControl(u64),
    /// Pull requests.
    Next(u64),
    /// Requests to start a consumer anew.
    Reset(u64),
}

/// A message on its way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// By which subject it is routed.
    pub to: &'a [u8],
    /// The subject receivers see.
    pub subject: &'a [u8],
    /// The reply subject, or empty.
    pub reply: &'a [u8],
    /// The header block, or empty.
    pub header: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// A payload for one subject.
    pub fn plain(subject: &'a [u8], payload: &'a [u8]) -> Outgoing<'a> {
        Outgoing { to: subject, subject, payload, ..Outgoing::default() }
    }
}

/// A message that came in. Its parts may be slices of a shared buffer.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The subject.
    pub subject: Bytes,
    /// The reply subject, or empty.
    pub reply: Bytes,
    /// The header block, or empty.
    pub header: Bytes,
    /// The payload.
    pub payload: Bytes,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// For operators who look closely.
    Debug,
    /// As usual.
    Info,
    /// To be looked at.
    Warn,
    /// To be repaired.
    Error,
}

/// The driver, as the engine sees it. Nothing here may call the engine back.
pub trait Outside {
    /// Sends a message in an account.
    fn send(&mut self, account: &str, from: ClientId, message: Outgoing<'_>);

    /// Sends a message in the system account, if there is one.
    fn send_system(&mut self, subject: &str, payload: &[u8]);

    /// Whether anybody in the account would get a message of that subject.
    fn has_interest(&self, account: &str, subject: &[u8]) -> bool;

    /// Subscribes in an account. The same target may have several subjects.
    fn subscribe(
        &mut self,
        account: &str,
        from: ClientId,
        subject: &str,
        queue: Option<&str>,
        target: Target,
    );

    /// Ends a subscription.
    fn unsubscribe(&mut self, subject: &str, target: Target);

    /// Ends all subscriptions for a target.
    fn unsubscribe_all(&mut self, target: Target);

    /// Watches the interest in a literal subject for a consumer, instead of what it watched
    /// before; `None` watches nothing. Changes go to
    /// [`JetStream::interest_changed`](super::JetStream::interest_changed).
    fn watch(&mut self, account: &str, subject: Option<&str>, consumer: u64);

    /// Writes a line to the log.
    fn log(&mut self, level: Level, text: &str);
}
