//! Stored messages published again under another subject (spec 07a §A7.6).

use super::Stream;
use super::check::Proposal;
use super::message::Outbound;
use crate::config::{RePublish, StreamConfig};
use crate::filter::SubjectFilter;
use crate::headers;
use crate::quote::quote;
use crate::store::Stored;
use crate::types::StreamSequence;
use bytes::Bytes;
use std::io::Write;
use sublist::subject::is_valid_publish_subject;
use sublist::transform::SubjectTransform;

/// A republish setting, resolved.
#[derive(Clone, Debug)]
pub(super) struct Republish {
    transform: SubjectTransform,
    headers_only: bool,
}

impl Republish {
    /// What a valid configuration asks for.
    pub(super) fn of(config: &StreamConfig) -> Option<Self> {
        let RePublish { source, destination, headers_only } = config.republish.as_ref()?;
        let transform = SubjectTransform::new(source.as_bytes(), destination.as_bytes());
        Some(Republish { transform: transform.ok()??, headers_only: *headers_only })
    }
}

impl Stream {
    /// Where a message of this subject is published again, and the last sequence the subject has
    /// until then.
    pub(super) fn republish_destination(
        &mut self,
        subject: &[u8],
    ) -> Option<(Bytes, StreamSequence)> {
        let republish = self.republish.as_ref()?;
        let random = &mut self.random;
        let destination = republish.transform.match_subject(subject, || random.bits()).ok()?;
        if !is_valid_publish_subject(&destination) {
            self.warn(format!(
                "Stream '{} > {}' suppressing republish with invalid subject {}",
                self.context.account,
                self.config.name,
                quote(&String::from_utf8_lossy(&destination))
            ));
            return None;
        }
        let last = self.store.load_last(&SubjectFilter::new(subject));
        let last = last.map_or(StreamSequence::default(), |message| message.sequence());
        Some((destination.into(), last))
    }

    /// The message to publish.
    pub(super) fn republished(
        &self,
        destination: Bytes,
        last: StreamSequence,
        proposal: &Proposal,
        stored_header: &Bytes,
        stored: &Stored,
    ) -> Outbound {
        let mut header = open_block(stored_header, 128);
        put(&mut header, headers::STREAM, &self.config.name);
        put_bytes(&mut header, headers::SUBJECT, &proposal.subject);
        put(&mut header, headers::SEQUENCE, stored.sequence);
        put(&mut header, headers::TIME_STAMP, stored.timestamp);
        put(&mut header, headers::LAST_SEQUENCE, last);
        let payload = if self.republish.as_ref().is_some_and(|republish| republish.headers_only) {
            put(&mut header, headers::MESSAGE_SIZE, proposal.payload.len());
            Bytes::new()
        } else {
            proposal.payload.clone()
        };
        header.extend_from_slice(b"\r\n");
        Outbound { subject: destination, reply: Bytes::new(), header: header.into(), payload }
    }
}

/// A header block without its last line, so that fields can be added.
pub(super) fn open_block(header: &[u8], room: usize) -> Vec<u8> {
    const EMPTY: &[u8] = b"NATS/1.0\r\n";
    let mut block = Vec::with_capacity(header.len() + EMPTY.len() + room);
    match header.strip_suffix(b"\r\n") {
        Some(open) if !open.is_empty() => block.extend_from_slice(open),
        _ => block.extend_from_slice(EMPTY),
    }
    block
}

/// Adds a field to an open block.
pub(super) fn put(block: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(block, "{name}: {value}\r\n");
}

/// Adds a field whose value was never checked to be a text.
pub(super) fn put_bytes(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.extend_from_slice(name.as_bytes());
    block.extend_from_slice(b": ");
    block.extend_from_slice(value);
    block.extend_from_slice(b"\r\n");
}
