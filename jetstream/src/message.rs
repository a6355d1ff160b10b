//! A stored message, read without copying it out of the store.

use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use std::fmt;

/// A message as a store holds it.
///
/// All parts are slices of one shared buffer: reading one costs a reference count, and its bytes
/// stay readable after the store has dropped the message.
#[derive(Clone)]
pub struct StoredMessage {
    buffer: Bytes,
    subject_start: u32,
    header_start: u32,
    payload_start: u32,
    subject_len: u16,
    header_len: u32,
    sequence: StreamSequence,
    timestamp: Timestamp,
}

/// Where the parts of a message lie in its buffer. Gaps between parts are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageLayout {
    /// Offset of the first byte of the subject.
    pub subject_start: u32,
    /// Length of the subject.
    pub subject_len: u16,
    /// Offset of the first byte of the header block.
    pub header_start: u32,
    /// Length of the header block, 0 when there is none.
    pub header_len: u32,
    /// Offset of the first byte of the payload, which reaches to the end of the buffer.
    pub payload_start: u32,
}

impl StoredMessage {
    /// A message over `buffer`, or `None` when a part of `layout` reaches past its end.
    pub fn new(
        buffer: Bytes,
        layout: MessageLayout,
        sequence: StreamSequence,
        timestamp: Timestamp,
    ) -> Option<Self> {
        let len = buffer.len() as u64;
        let subject_end = u64::from(layout.subject_start) + u64::from(layout.subject_len);
        let header_end = u64::from(layout.header_start) + u64::from(layout.header_len);
        if subject_end > len || header_end > len || u64::from(layout.payload_start) > len {
            return None;
        }
        let MessageLayout { subject_start, subject_len, header_start, header_len, payload_start } =
            layout;
        Some(StoredMessage {
            buffer,
            subject_start,
            header_start,
            payload_start,
            subject_len,
            header_len,
            sequence,
            timestamp,
        })
    }

    /// A message of its own buffer, copied from its parts.
    pub fn from_parts(
        subject: &[u8],
        header: &[u8],
        payload: &[u8],
        sequence: StreamSequence,
        timestamp: Timestamp,
    ) -> Option<Self> {
        let mut buffer = Vec::with_capacity(subject.len() + header.len() + payload.len());
        buffer.extend_from_slice(subject);
        buffer.extend_from_slice(header);
        buffer.extend_from_slice(payload);
        let layout = MessageLayout {
            subject_start: 0,
            subject_len: u16::try_from(subject.len()).ok()?,
            header_start: u32::try_from(subject.len()).ok()?,
            header_len: u32::try_from(header.len()).ok()?,
            payload_start: u32::try_from(subject.len().checked_add(header.len())?).ok()?,
        };
        Self::new(Bytes::from(buffer), layout, sequence, timestamp)
    }

    fn part(&self, start: u32, len: usize) -> std::ops::Range<usize> {
        let start = start as usize;
        start..start + len
    }

    fn payload_range(&self) -> std::ops::Range<usize> {
        self.payload_start as usize..self.buffer.len()
    }

    /// The subject the message was published to, as bytes.
    pub fn subject(&self) -> &[u8] {
        &self.buffer[self.part(self.subject_start, usize::from(self.subject_len))]
    }

    /// The whole header block starting with its `NATS/1.0` line; empty when there is none.
    pub fn header(&self) -> &[u8] {
        &self.buffer[self.part(self.header_start, self.header_len as usize)]
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.buffer[self.payload_range()]
    }

    /// The subject as a shared slice.
    pub fn subject_bytes(&self) -> Bytes {
        self.buffer.slice(self.part(self.subject_start, usize::from(self.subject_len)))
    }

    /// The header block as a shared slice.
    pub fn header_bytes(&self) -> Bytes {
        self.buffer.slice(self.part(self.header_start, self.header_len as usize))
    }

    /// The payload as a shared slice.
    pub fn payload_bytes(&self) -> Bytes {
        self.buffer.slice(self.payload_range())
    }

    /// The stream sequence.
    pub fn sequence(&self) -> StreamSequence {
        self.sequence
    }

    /// When the message was stored.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

/// Messages are equal when their parts are, wherever these lie.
impl PartialEq for StoredMessage {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
            && self.timestamp == other.timestamp
            && self.subject() == other.subject()
            && self.header() == other.header()
            && self.payload() == other.payload()
    }
}

impl Eq for StoredMessage {}

impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage")
            .field("sequence", &self.sequence)
            .field("timestamp", &self.timestamp)
            .field("subject", &String::from_utf8_lossy(self.subject()))
            .field("header", &String::from_utf8_lossy(self.header()))
            .field("payload", &String::from_utf8_lossy(self.payload()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        let message = StoredMessage::from_parts(
            b"foo",
            b"NATS/1.0\r\n\r\n",
            b"hello",
            StreamSequence::new(7),
            Timestamp::from_nanos(9),
        )
        .expect("small parts");
        assert_eq!(message.subject(), b"foo");
        assert_eq!(message.header(), b"NATS/1.0\r\n\r\n");
        assert_eq!(message.payload(), b"hello");
        assert_eq!(message.payload_bytes().as_ref(), b"hello");
        assert_eq!(message.sequence().get(), 7);
    }

    #[test]
    fn layout_past_the_buffer_is_refused() {
        let layout = MessageLayout {
            subject_start: 0,
            subject_len: 4,
            header_start: 4,
            header_len: u32::MAX,
            payload_start: 4,
        };
        let built = StoredMessage::new(
            Bytes::from_static(b"foo."),
            layout,
            StreamSequence::new(1),
            Timestamp::ZERO,
        );
        assert_eq!(built, None);
    }
}
