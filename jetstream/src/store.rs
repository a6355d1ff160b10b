//! The interface of a message store, for files and for memory alike.
//!
//! Spec 06 §13 (operations), §14 (limits by time), §15 (lookups), §12 (durability). A store is an
//! engine: it has no clock, no thread and no callback. Its driver
//! 1. calls an operation, passing the time where the operation depends on it;
//! 2. drains [`Store::poll_effect`] after *every* call that can change the store, so that the
//!    effects it queues stay as few as one call can cause;
//! 3. calls [`Store::tick`] once [`Store::next_deadline`] has passed, then does 2 again;
//! 4. acknowledges what it appended only after [`Store::sync`] has returned a sequence at or
//!    above it (unless the stream's configuration asks for less).
//!
//! Loads take `&mut self` because stores keep caches and correct lazily kept totals on the way.

use crate::config::{StorageType, StreamConfig};
use crate::deletes::DeleteBlock;
use crate::error::StoreResult;
use crate::filter::SubjectFilter;
use crate::message::StoredMessage;
use crate::time::Timestamp;
use crate::types::{MessageTtl, SimpleState, StreamSequence, StreamState};
use bytes::Bytes;
use std::io::Read;

/// A message to be stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewMessage<'a> {
    /// The subject; records of RAFT logs have none.
    pub subject: &'a [u8],
    /// The header block with its `NATS/1.0` line, empty for none.
    pub header: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// What the header says of its time to live; inert unless the stream allows it.
    pub ttl: MessageTtl,
}

/// Where a message was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Its sequence.
    pub sequence: StreamSequence,
    /// Its time.
    pub timestamp: Timestamp,
    /// The bytes the store accounts for it.
    pub bytes: u64,
}

/// Whether a store refuses a message when a stream that discards new messages is full.
///
/// Followers must accept what their leader accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiscardNewCheck {
    /// Refuse it: a leader, or a stream without replicas.
    Enforce,
    /// Accept it.
    Skip,
}

/// What a search for the next or previous message found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The message.
    Found(StoredMessage),
    /// Nothing up to here: the last sequence when searching forward, the first when searching
    /// backward. Clients are told [`crate::error::StoreError::Eof`].
    Exhausted(StreamSequence),
}

impl Lookup {
    /// The message found, if any.
    pub fn found(self) -> Option<StoredMessage> {
        match self {
            Lookup::Found(message) => Some(message),
            Lookup::Exhausted(_) => None,
        }
    }

    /// How far the search got: the message's sequence, or where it gave up.
    pub fn sequence(&self) -> StreamSequence {
        match self {
            Lookup::Found(message) => message.sequence(),
            Lookup::Exhausted(sequence) => *sequence,
        }
    }
}

/// A count of messages to be delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    /// How many.
    pub total: u64,
    /// The last sequence that was counted; later messages are not included.
    pub valid_through: StreamSequence,
}

/// Which messages a purge removes (spec 06 §13.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurgeRequest {
    /// Of these subjects.
    pub filter: SubjectFilter,
    /// Below this sequence; 0 for any.
    pub below: StreamSequence,
    /// How many of the matching messages to leave.
    pub keep: u64,
}

/// Something the store asks its driver to do or to account for.
///
/// Effects are queued in the order in which they came about.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreEffect {
    /// One message was added.
    Added {
        /// Its sequence.
        sequence: StreamSequence,
        /// Bytes accounted for it.
        bytes: u64,
    },
    /// One message went away.
    Removed {
        /// Its sequence.
        sequence: StreamSequence,
        /// Its subject, or the filter of a purge that removed just this message from files.
        subject: Bytes,
        /// Bytes accounted for it.
        bytes: u64,
    },
    /// Messages went away at once: consumers must count anew.
    RemovedMany {
        /// How many.
        messages: u64,
        /// Bytes accounted for them.
        bytes: u64,
    },
    /// The bytes held changed without a message coming or going: negative when the store stops,
    /// positive when a recovered store is taken into the account's usage.
    Usage {
        /// Signed change in bytes.
        bytes: i64,
    },
    /// A message expired, but the stream decides: without replicas it calls [`Store::remove`],
    /// with replicas its leader proposes the removal (spec 06 §14.4).
    ProposeRemoval {
        /// Its sequence.
        sequence: StreamSequence,
    },
    /// The stream is to publish this message to itself, through its usual path: a delete marker
    /// (spec 06 §14.4) or a scheduled message (spec 06 §14.5).
    Publish {
        /// The subject; of a scheduled message its target.
        subject: Bytes,
        /// The header block.
        header: Bytes,
        /// The payload.
        payload: Bytes,
    },
    /// Something an operator should read in the log.
    Warn {
        /// The text, without a prefix.
        text: String,
    },
}

/// What a snapshot includes (spec 06 §19).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SnapshotRequest {
    /// Whether every message is checked first.
    pub check_messages: bool,
    /// The consumers to include.
    pub consumers: Vec<ConsumerSnapshot>,
    /// When the snapshot is taken; the archive's entries carry it.
    pub now: Timestamp,
}

/// A consumer's files in a snapshot, in the clear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerSnapshot {
    /// The name of its directory.
    pub name: String,
    /// The contents of `meta.inf`.
    pub meta: Bytes,
    /// The encoded state, or the text of the error that kept it from being encoded.
    pub state: Result<Bytes, String>,
}

/// A snapshot being read out.
pub struct Snapshot {
    /// The state of the stream when it was taken.
    pub state: StreamState,
    /// The archive (spec 06 §19.1). Reading it does not hinder the store.
    pub archive: Box<dyn Read + Send>,
}

/// Random bytes, from whoever drives the store.
pub trait RandomSource {
    /// Fills `buffer` with bytes that cannot be guessed.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// A store of the messages of one stream.
pub trait Store: Send {
    /// The configuration in force.
    fn config(&self) -> &StreamConfig;

    /// Where messages are held.
    fn storage_type(&self) -> StorageType;

    /// Appends a message with the next sequence and the time `now`, enforcing the limits of a
    /// stream that discards new messages (spec 06 §13.1).
    fn store_message(&mut self, message: NewMessage<'_>, now: Timestamp) -> StoreResult<Stored>;

    /// Appends a message whose sequence and time were decided elsewhere. The sequence must be the
    /// next one, or 0 to have it chosen, else [`StoreError::SequenceMismatch`].
    ///
    /// [`StoreError::SequenceMismatch`]: crate::error::StoreError::SequenceMismatch
    fn store_raw_message(
        &mut self,
        message: NewMessage<'_>,
        sequence: StreamSequence,
        timestamp: Timestamp,
        check: DiscardNewCheck,
        now: Timestamp,
    ) -> StoreResult<Stored>;

    /// Uses up the next sequence without a message (spec 06 §13.2); `sequence` as in
    /// [`Store::store_raw_message`].
    fn skip(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<StreamSequence>;

    /// Like [`Store::skip`], for a message nobody is interested in: it also dates the last
    /// sequence.
    fn skip_no_interest(
        &mut self,
        sequence: StreamSequence,
        now: Timestamp,
    ) -> StoreResult<StreamSequence>;

    /// Uses up `count` sequences, from `sequence` as in [`Store::skip`].
    fn skip_many(
        &mut self,
        sequence: StreamSequence,
        count: u64,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// Hands everything appended to the operating system.
    fn flush(&mut self) -> StoreResult<()>;

    /// Makes everything appended so far survive a power loss; returns the last sequence that
    /// does. A memory store has nothing to do and returns its last sequence.
    fn sync(&mut self) -> StoreResult<StreamSequence>;

    /// The last sequence known to survive a power loss.
    fn durable_sequence(&self) -> StreamSequence;

    /// The message at `sequence` (spec 06 §15).
    fn load(&mut self, sequence: StreamSequence) -> StoreResult<StoredMessage>;

    /// The first matching message at or after `start`.
    fn load_next(&mut self, filter: &SubjectFilter, start: StreamSequence) -> StoreResult<Lookup>;

    /// The last matching message at or before `start`.
    fn load_previous(
        &mut self,
        filter: &SubjectFilter,
        start: StreamSequence,
    ) -> StoreResult<Lookup>;

    /// The last message that matches; every failure is reported as
    /// [`StoreError::MessageNotFound`](crate::error::StoreError::MessageNotFound).
    fn load_last(&mut self, filter: &SubjectFilter) -> StoreResult<StoredMessage>;

    /// The subject of the message at `sequence`.
    fn subject_for_sequence(&mut self, sequence: StreamSequence) -> StoreResult<Bytes>;

    /// The first sequence whose message was stored at or after `time`; one past the last when
    /// there is none.
    fn sequence_from_time(&mut self, time: Timestamp) -> StreamSequence;

    /// Count and ends of the matching messages at or after `start`.
    fn filtered_state(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
    ) -> StoreResult<SimpleState>;

    /// The state of every matching subject, in the order of their bytes.
    fn subjects_state(
        &mut self,
        filter: &SubjectFilter,
    ) -> StoreResult<Vec<(Box<[u8]>, SimpleState)>>;

    /// The number of messages of every matching subject, in the order of their bytes. The filter
    /// is a text because an empty one means everything in files and nothing in memory.
    fn subjects_totals(&mut self, filter: &[u8]) -> StoreResult<Vec<(Box<[u8]>, u64)>>;

    /// The last sequence of every subject, ascending.
    fn all_last_sequences(&mut self) -> StoreResult<Vec<StreamSequence>>;

    /// The last sequences, at or below `max_sequence` (0 for any), of all subjects that match any
    /// of `filters`, ascending and each once. More than `max_allowed` (if not 0) is
    /// [`StoreError::TooManyResults`](crate::error::StoreError::TooManyResults).
    fn multi_last_sequences(
        &mut self,
        filters: &[SubjectFilter],
        max_sequence: StreamSequence,
        max_allowed: usize,
    ) -> StoreResult<Vec<StreamSequence>>;

    /// How many messages match at or after `start`; with `last_per_subject`, how many matching
    /// subjects have their last message there.
    fn num_pending(
        &mut self,
        start: StreamSequence,
        filter: &SubjectFilter,
        last_per_subject: bool,
    ) -> StoreResult<Pending>;

    /// The state with all deleted sequences and what was lost.
    fn state(&mut self) -> StreamState;

    /// The state without lists; cheap.
    fn fast_state(&self) -> StreamState;

    /// Bytes taken including what is deleted but not yet reclaimed, and bytes accounted for.
    fn utilization(&self) -> StoreResult<(u64, u64)>;

    /// Removes a message for good; false when it was gone already (spec 06 §13.3).
    fn remove(&mut self, sequence: StreamSequence) -> StoreResult<bool>;

    /// Like [`Store::remove`], and overwrites its bytes.
    fn erase(
        &mut self,
        sequence: StreamSequence,
        random: &mut dyn RandomSource,
    ) -> StoreResult<bool>;

    /// Removes everything; returns how many messages. The last sequence stays.
    fn purge(&mut self) -> StoreResult<u64>;

    /// Removes what `request` names (spec 06 §13.5); returns how many messages.
    fn purge_matching(&mut self, request: &PurgeRequest) -> StoreResult<u64>;

    /// Removes everything below `sequence` (spec 06 §13.7); returns how many messages.
    fn compact(&mut self, sequence: StreamSequence) -> StoreResult<u64>;

    /// Removes everything above `sequence`, which becomes the last; 0 resets the store.
    fn truncate(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<()>;

    /// Removes the sequences another replica holds nothing under (spec 06 §9.2).
    fn sync_deleted(&mut self, deleted: &[DeleteBlock]) -> StoreResult<()>;

    /// The binary stream state for replication; `failed` is the stream's count of refused
    /// proposals (spec 06 §9.2).
    fn encoded_state(&mut self, failed: u64) -> StoreResult<Vec<u8>>;

    /// Takes over a changed configuration and enforces it (spec 06 §13.9).
    fn update_config(&mut self, config: StreamConfig, now: Timestamp) -> StoreResult<()>;

    /// Tells the store how many consumers the stream has, for its state.
    fn set_consumers(&mut self, count: u64);

    /// Forgets which removals, markers and scheduled messages were already proposed: this server
    /// became leader or stopped being it.
    fn reset_proposals(&mut self);

    /// When [`Store::tick`] has work, if ever.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Does what has fallen due: expiry, schedules, and upkeep of files.
    fn tick(&mut self, now: Timestamp) -> StoreResult<()>;

    /// The oldest effect not yet taken.
    fn poll_effect(&mut self) -> Option<StoreEffect>;

    /// An archive of the stream (spec 06 §19).
    fn snapshot(&mut self, request: SnapshotRequest) -> StoreResult<Snapshot>;

    /// Closes the store, writing what it holds back. Every call after it fails with
    /// [`StoreError::Closed`](crate::error::StoreError::Closed).
    fn stop(&mut self, now: Timestamp) -> StoreResult<()>;

    /// Closes the store and removes all it holds.
    fn delete(&mut self) -> StoreResult<()>;
}
