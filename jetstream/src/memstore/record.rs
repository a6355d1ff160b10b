//! How a memory store lays out one message in one allocation.
//!
//! ```text
//! 0   8   timestamp, nanoseconds, little endian
//! 8   2   subject length
//! 10  4   header length
//! 14  S   subject
//! ..  H   header
//! ..  M   payload
//! ```

use crate::message::{MessageLayout, StoredMessage};
use crate::store::NewMessage;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use std::sync::Arc;

const FIXED_LEN: usize = 14;
/// Scratch memory kept between messages; larger ones get theirs for themselves.
const MAX_SCRATCH: usize = 64 * 1024;
/// What the memory store accounts for a message beside its parts (spec 06 §17).
const ACCOUNTED_OVERHEAD: u64 = 16;

/// Bytes accounted for a message.
pub(super) fn accounted_size(subject: usize, header: usize, payload: usize) -> u64 {
    (subject as u64)
        .saturating_add(header as u64)
        .saturating_add(payload as u64)
        .saturating_add(ACCOUNTED_OVERHEAD)
}

/// Encodes a message, using `scratch` to put it together; `None` when a part is too long for its
/// length field or the whole for 32-bit offsets.
pub(super) fn encode(
    message: &NewMessage<'_>,
    timestamp: Timestamp,
    scratch: &mut Vec<u8>,
) -> Option<Arc<[u8]>> {
    let subject_len = u16::try_from(message.subject.len()).ok()?;
    let header_len = u32::try_from(message.header.len()).ok()?;
    u32::try_from(accounted_size(
        message.subject.len(),
        message.header.len(),
        message.payload.len(),
    ))
    .ok()?;
    scratch.clear();
    scratch.extend_from_slice(&timestamp.nanos().to_le_bytes());
    scratch.extend_from_slice(&subject_len.to_le_bytes());
    scratch.extend_from_slice(&header_len.to_le_bytes());
    scratch.extend_from_slice(message.subject);
    scratch.extend_from_slice(message.header);
    scratch.extend_from_slice(message.payload);
    let record = Arc::from(scratch.as_slice());
    scratch.shrink_to(MAX_SCRATCH);
    Some(record)
}

/// Reads a record that [`encode`] made.
#[derive(Clone, Copy)]
pub(super) struct Record<'a>(pub(super) &'a Arc<[u8]>);

impl<'a> Record<'a> {
    fn fixed<const N: usize>(self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("records start with their fixed part")
    }

    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_nanos(i64::from_le_bytes(self.fixed(0)))
    }

    fn subject_len(self) -> u16 {
        u16::from_le_bytes(self.fixed(8))
    }

    fn header_len(self) -> u32 {
        u32::from_le_bytes(self.fixed(10))
    }

    pub(super) fn subject(self) -> &'a [u8] {
        &self.0[FIXED_LEN..FIXED_LEN + usize::from(self.subject_len())]
    }

    pub(super) fn header(self) -> &'a [u8] {
        let start = FIXED_LEN + usize::from(self.subject_len());
        &self.0[start..start + self.header_len() as usize]
    }

    pub(super) fn accounted_size(self) -> u64 {
        (self.0.len() - FIXED_LEN) as u64 + ACCOUNTED_OVERHEAD
    }

    /// The message, sharing the record's memory.
    pub(super) fn message(self, sequence: u64) -> StoredMessage {
        let subject_len = self.subject_len();
        let header_len = self.header_len();
        let header_start = FIXED_LEN as u32 + u32::from(subject_len);
        let layout = MessageLayout {
            subject_start: FIXED_LEN as u32,
            subject_len,
            header_start,
            header_len,
            payload_start: header_start + header_len,
        };
        let buffer = Bytes::from_owner(SharedRecord(Arc::clone(self.0)));
        StoredMessage::new(buffer, layout, StreamSequence::new(sequence), self.timestamp())
            .expect("the lengths of a record are those it was made with")
    }
}

struct SharedRecord(Arc<[u8]>);

impl AsRef<[u8]> for SharedRecord {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
