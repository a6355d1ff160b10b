//! What can go wrong in a store, with the texts that reach the wire (spec 06 §21).

use std::fmt;

/// An error of a message store or consumer store.
///
/// `Display` gives the exact texts of spec 06 §21: publish failures carry them to clients.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was stopped or deleted.
    Closed,
    /// No message is held under what was asked for.
    MessageNotFound,
    /// The message asked for was deleted.
    DeletedMessage,
    /// The sequence asked for is past the last one.
    Eof,
    /// A stream that discards new messages holds `max_msgs`.
    MaxMessages,
    /// A stream that discards new messages would exceed `max_bytes`.
    MaxBytes,
    /// A stream that discards new messages holds `max_msgs_per_subject` of the subject.
    MaxMessagesPerSubject,
    /// Another snapshot of the stream is being taken.
    SnapshotInProgress,
    /// The record would exceed what a record can hold.
    MessageTooLarge,
    /// The configuration names another storage type.
    WrongStorageType,
    /// An acknowledgement for a consumer that takes none.
    NoAckPolicy,
    /// The given sequence is not the one after the last.
    SequenceMismatch,
    /// The stream has given out its last sequence.
    SequencesExhausted,
    /// More subjects match than were allowed for.
    TooManyResults,
    /// A consumer state older than what is held.
    OldUpdate,
    /// A binary stream state broke off or contradicts itself.
    CorruptStreamState,
    /// Not a binary stream state at all.
    BadStreamStateEncoding,
    /// A replica starts elsewhere than its leader.
    FirstSequenceMismatch,
    /// A state file (`index.db`, `o.dat`) cannot be understood.
    CorruptState,
    /// A state file is older than the blocks.
    PriorState,
    /// A state file has this unknown version.
    UnsupportedVersion(u8),
    /// Unwritten data is still held.
    PendingDataStillPresent,
    /// Encrypted data, but no key is configured.
    EncryptionNotEnabled,
    /// A key file has a wrong length.
    EncryptionBadKeySize,
    /// No known key opens the data.
    UnableToRecoverKeys,
    /// A cipher this server does not know.
    UnknownCipher,
    /// An encrypted store, but no key is configured.
    NoMainKey,
    /// No such message block.
    NoMessageBlock,
    /// A message block is larger than memory can address.
    BlockSizeExceeded,
    /// The file of a message block is gone or empty.
    BlockDataMissing,
    /// The state is too large to be written when that is optional.
    StateTooBig,
    /// The directory cannot be read.
    DirectoryNotReadable,
    /// A record of message block `block` is damaged; `reason` is one of the texts of spec 06
    /// §11.4, such as `invalid checksum`.
    CorruptMessage {
        /// The number of the block.
        block: u64,
        /// What is wrong with the record.
        reason: String,
    },
    /// A configuration is needed.
    ConfigRequired,
    /// The memory store was given a configuration for files.
    MemoryStorageRequired,
    /// The file store was given a configuration for memory.
    FileStorageRequired,
    /// The store has no name.
    NameRequired,
    /// The memory store cannot be purged to a sequence inside it.
    PartialPurgeUnsupported,
    /// The memory store takes no snapshots.
    NotImplemented,
    /// A consumer without name or configuration.
    BadConsumerConfig,
    /// A consumer's acknowledged sequence is past its delivered one.
    BadConsumerAckFloor,
    /// A stream sequence acknowledged is past the delivered one.
    BadStreamAckFloor,
    /// A pending entry at or below the floor, or past what was delivered.
    BadPendingEntry(u64),
    /// A call of the operating system failed; the text names file and cause.
    Io(String),
    /// The disk has no room left.
    NoSpace(String),
    /// The operating system refuses access; the text names the file.
    PermissionDenied(String),
    /// A text that fits no other variant, given whole.
    Other(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            StoreError::Closed => "store is closed",
            StoreError::MessageNotFound => "no message found",
            StoreError::DeletedMessage => "deleted message",
            StoreError::Eof => "stream store EOF",
            StoreError::MaxMessages => "maximum messages exceeded",
            StoreError::MaxBytes => "maximum bytes exceeded",
            StoreError::MaxMessagesPerSubject => "maximum messages per subject exceeded",
            StoreError::SnapshotInProgress => "snapshot in progress",
            StoreError::MessageTooLarge => "message too large",
            StoreError::WrongStorageType => "wrong storage type",
            StoreError::NoAckPolicy => "ack policy is none",
            StoreError::SequenceMismatch => "expected sequence does not match store",
            StoreError::SequencesExhausted => "no sequence is left to give out",
            StoreError::TooManyResults => "too many matching results for request",
            StoreError::OldUpdate => "old update ignored",
            StoreError::CorruptStreamState => "stream state snapshot is corrupt",
            StoreError::BadStreamStateEncoding => "bad stream state encoding",
            StoreError::FirstSequenceMismatch => "first sequence mismatch",
            StoreError::CorruptState => "corrupt state file",
            StoreError::PriorState => "prior state file",
            StoreError::PendingDataStillPresent => "pending data still present",
            StoreError::EncryptionNotEnabled => "encryption not enabled",
            StoreError::EncryptionBadKeySize => "encryption bad key size",
            StoreError::UnableToRecoverKeys => "unable to recover keys",
            StoreError::UnknownCipher => "unknown cipher",
            StoreError::NoMainKey => "encrypted store encountered with no main key",
            StoreError::NoMessageBlock => "no message block",
            StoreError::BlockSizeExceeded => "message block size exceeded int capacity",
            StoreError::BlockDataMissing => "message block data missing",
            StoreError::StateTooBig => "store state too big for optional write",
            StoreError::DirectoryNotReadable => "storage directory not readable",
            StoreError::ConfigRequired => "config required",
            StoreError::MemoryStorageRequired => "memStore requires memory storage type in config",
            StoreError::FileStorageRequired => "fileStore requires file storage type in config",
            StoreError::NameRequired => "name required",
            StoreError::PartialPurgeUnsupported => "partial purges not supported on memory store",
            StoreError::NotImplemented => "no impl",
            StoreError::BadConsumerConfig => "bad consumer config",
            StoreError::BadConsumerAckFloor => "bad ack floor for consumer",
            StoreError::BadStreamAckFloor => "bad ack floor for stream",
            StoreError::UnsupportedVersion(version) => {
                return write!(f, "unsupported version: {version}");
            }
            StoreError::BadPendingEntry(sequence) => {
                return write!(f, "bad pending entry, sequence [{sequence}] out of range");
            }
            StoreError::CorruptMessage { block, reason } => {
                return write!(f, "malformed or corrupt message in {block}.blk: {reason}");
            }
            StoreError::Io(text)
            | StoreError::NoSpace(text)
            | StoreError::PermissionDenied(text)
            | StoreError::Other(text) => text,
        };
        f.write_str(text)
    }
}

impl std::error::Error for StoreError {}

/// The result of an operation of a store.
pub type StoreResult<T> = Result<T, StoreError>;
