//! What goes into a stream and what comes out of it.

use crate::api_error::ApiError;
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::types::StreamSequence;
use bytes::Bytes;

/// Who hands a message to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// A client, through one of the stream's subjects.
    #[default]
    Client,
    /// A source of the stream.
    Source,
    /// The origin the stream mirrors.
    Mirror,
    /// The stream itself: a scheduled message or a delete marker.
    Internal,
}

impl Origin {
    /// Whether the message was accepted by a stream before. Then it is not asked again for
    /// permissions its publisher had there.
    pub(super) fn is_trusted(self) -> bool {
        self != Origin::Client
    }
}

/// A message for a stream. All parts may be slices of a shared buffer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inbound {
    /// The subject, without wildcards.
    pub subject: Bytes,
    /// Where the acknowledgement goes; empty for nowhere.
    pub reply: Bytes,
    /// The header block with its `NATS/1.0` line; empty for none.
    pub header: Bytes,
    /// The payload.
    pub payload: Bytes,
    /// Who hands it in.
    pub from: Origin,
}

/// A message a stream publishes in its account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outbound {
    /// The subject.
    pub subject: Bytes,
    /// Where an answer goes; empty for nowhere.
    pub reply: Bytes,
    /// The header block; empty for none.
    pub header: Bytes,
    /// The payload.
    pub payload: Bytes,
}

impl Outbound {
    /// A message of a payload alone.
    pub(super) fn plain(subject: Bytes, payload: impl Into<Bytes>) -> Self {
        Outbound { subject, payload: payload.into(), ..Outbound::default() }
    }

    /// A message of a header alone.
    pub(super) fn status(subject: Bytes, header: impl Into<Bytes>) -> Self {
        Outbound { subject, header: header.into(), ..Outbound::default() }
    }
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Published {
    /// It is stored.
    Stored(StreamSequence),
    /// Its sequence was given out, but no consumer wants it.
    NoInterest(StreamSequence),
    /// A message of the same id is stored already, at this sequence if it is known.
    Duplicate(StreamSequence),
    /// It waits for the rest of its batch.
    Staged,
    /// It was for the upkeep of a batch, and is done with.
    Handled,
    /// It is not taken, and the publisher is told.
    Refused(ApiError),
    /// It is not taken because its place in the stream is another than the one expected.
    OutOfSequence,
    /// The store failed. Nobody is told, as it is unknown what is stored.
    Failed(StoreError),
}

impl Published {
    /// The sequence the message was given, if it was.
    pub fn sequence(&self) -> Option<StreamSequence> {
        match self {
            Published::Stored(sequence) | Published::NoInterest(sequence) => Some(*sequence),
            _ => None,
        }
    }
}

/// A subscription a stream holds for its mirror or sources.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriptionId(pub(super) u64);

impl SubscriptionId {
    /// The number, unique within the stream.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Something a stream asks of its driver.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StreamEffect {
    /// Publish this in the stream's account, in the order of the effects.
    Send(Outbound),
    /// A message was stored: consumers may deliver it.
    Stored {
        /// Its sequence.
        sequence: StreamSequence,
        /// Its subject.
        subject: Bytes,
    },
    /// A message is gone: consumers forget it.
    Removed {
        /// Its sequence.
        sequence: StreamSequence,
        /// Its subject, or the filter of a purge that removed just this message.
        subject: Bytes,
    },
    /// Messages went away at once: consumers count anew.
    RemovedMany {
        /// How many.
        messages: u64,
        /// The first sequence that is left.
        first: StreamSequence,
    },
    /// A purge was carried out: consumers move to what is left (spec 07a §A5).
    Purged {
        /// What was purged.
        filter: SubjectFilter,
        /// The first sequence of the stream.
        stream_first: StreamSequence,
        /// The first sequence left that matches the filter; 0 for none.
        matching_first: StreamSequence,
        /// The last sequence of the stream.
        last: StreamSequence,
    },
    /// Publish this advisory in the stream's account if there is interest.
    Advisory {
        /// The subject.
        subject: String,
        /// The JSON.
        json: Vec<u8>,
    },
    /// Publish this advisory in the system account if there is interest.
    SystemAdvisory {
        /// The subject.
        subject: String,
        /// The JSON.
        json: Vec<u8>,
    },
    /// The bytes the stream takes changed.
    Usage {
        /// Signed change in bytes.
        delta: i64,
    },
    /// Subscribe to this subject in the stream's account, and hand what comes in to
    /// [`Stream::received`](super::Stream::received).
    Subscribe {
        /// The subscription.
        id: SubscriptionId,
        /// The subject, without wildcards.
        subject: Bytes,
    },
    /// Drop the subscription.
    Unsubscribe {
        /// The subscription.
        id: SubscriptionId,
    },
    /// A mirror has caught up: it may answer direct gets for its origin from now on.
    MirrorCaughtUp,
    /// The store cannot go on: the disk is full, access is refused, or data is damaged.
    StoreFailed(StoreError),
    /// Something an operator should read in the log, at most once in a while for the same text.
    Warn(String),
}
