//! The checks a message passes before it is stored, in the reference's order (spec 07a §A7.3).

use super::Stream;
use super::counter::Counter;
use super::message::Inbound;
use super::publish_headers::{PublishHeaders, Rollup, expected_sequence, given};
use super::rules::{self, Scheduling};
use crate::api_error::{ApiError, ErrorKind};
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::headers;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use num_bigint::BigInt;

/// A message that may be stored: its subject is the transformed one, its header and payload are
/// those to store. A replicated stream proposes it, others apply it at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proposal {
    /// The subject to store.
    pub subject: Bytes,
    /// Where the acknowledgement goes.
    pub reply: Bytes,
    /// The header block to store.
    pub header: Bytes,
    /// The payload to store.
    pub payload: Bytes,
    /// Whether it comes from a source, a mirror's origin or the stream itself.
    pub trusted: bool,
}

/// Why a message is not stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It breaks a rule.
    Error(ApiError),
    /// A message of its id is stored already.
    Duplicate(StreamSequence),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Error(error)
    }
}

impl From<ErrorKind> for Refusal {
    fn from(kind: ErrorKind) -> Self {
        Refusal::Error(kind.into())
    }
}

impl Stream {
    /// What becomes of a subject that comes in.
    pub(super) fn transformed(&mut self, subject: Bytes) -> Bytes {
        let Some(transform) = &self.transform else { return subject };
        let random = &mut self.random;
        match transform.match_subject(&subject, || random.bits()) {
            Ok(transformed) => transformed.into(),
            // A subject the transform is not for stays as it is.
            Err(_) => subject,
        }
    }

    /// Checks a message of its own, one that is in no batch, against all rules that need nothing
    /// but the stream. Changes nothing.
    ///
    /// # Errors
    /// The first rule it breaks, or the message it repeats.
    pub fn check(&mut self, message: Inbound, now: Timestamp) -> Result<Proposal, Refusal> {
        let trusted = message.from.is_trusted();
        let mut proposal = Proposal {
            subject: self.transformed(message.subject),
            reply: message.reply,
            header: message.header,
            payload: message.payload,
            trusted,
        };
        self.check_record(&proposal)?;
        if self.config.sealed {
            return Err(ErrorKind::StreamSealed.into());
        }
        let mut increment = None;
        if !proposal.header.is_empty() {
            self.check_header(&mut proposal, &mut increment, now)?;
        }
        if self.config.allow_msg_counter {
            self.count(&mut proposal, increment)?;
        }
        let (header, payload) = (proposal.header.len(), proposal.payload.len());
        if rules::exceeds_max_msg_size(&self.config, header, payload) {
            return Err(ErrorKind::StreamMessageExceedsMaximum.into());
        }
        if header > rules::MAX_HEADER_LEN {
            return Err(ErrorKind::StreamHeaderExceedsMaximum.into());
        }
        Ok(proposal)
    }

    fn check_record(&self, proposal: &Proposal) -> Result<(), ApiError> {
        if rules::is_too_large(&self.config, self.stored_size(proposal)) {
            return Err(ErrorKind::StreamStoreFailed.with(StoreError::MessageTooLarge));
        }
        Ok(())
    }

    pub(super) fn stored_size(&self, proposal: &Proposal) -> u64 {
        rules::stored_size(
            self.config.storage,
            proposal.subject.len(),
            proposal.header.len(),
            proposal.payload.len(),
        )
    }

    fn check_header(
        &mut self,
        proposal: &mut Proposal,
        increment: &mut Option<BigInt>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut header = proposal.header.clone();
        if PublishHeaders::parse(&header).request_info.is_some() {
            header = without_request_info(header);
        }
        let fields = PublishHeaders::parse(&header);
        let trusted = proposal.trusted;
        *increment = rules::check_increment(&fields, &proposal.payload, &self.config, trusted)?;
        rules::check_expected_stream(&fields, &self.config)?;
        if !trusted
            && !self.config.allow_msg_ttl
            && rules::ttl(&fields).is_ok_and(|ttl| ttl != crate::types::MessageTtl::Unset)
        {
            return Err(ErrorKind::MessageTtlDisabled.into());
        }
        let expected = rules::expected_last_of_subject(&fields, &proposal.subject)?;
        if let Some((expected, subject)) = expected {
            self.check_last_of_subject(expected, subject)?;
        }
        if let Some(expected) = expected_sequence(fields.expected_last_sequence)
            && expected != self.last_sequence.get()
        {
            return Err(ErrorKind::StreamWrongLastSequence.with(self.last_sequence).into());
        }
        proposal.header = header.clone();
        if !trusted {
            let (store, config) = (&mut self.store, &self.config);
            let is_other = |subject: &[u8]| {
                store
                    .load_last(&SubjectFilter::new(subject))
                    .is_ok_and(|last| !headers::has_value(last.header(), headers::SCHEDULE))
            };
            let scheduling =
                rules::check_schedule(&fields, &header, &proposal.subject, config, now, is_other)?;
            if scheduling == (Scheduling::Schedule { add_rollup: true }) {
                proposal.header = rules::with_rollup(&header).into();
            }
        }
        if let Some(id) = given(fields.message_id)
            && self.config.mirror.is_none()
            && let Some(sequence) = self.dedupe.find(id, now)
        {
            return Err(Refusal::Duplicate(sequence));
        }
        self.check_last_message_id(&fields)?;
        rules::check_rollup(&fields, &self.config, trusted)?;
        Ok(())
    }

    /// That the last message of a subject, which may have wildcards, has this sequence; 0 stands
    /// for no message.
    pub(super) fn check_last_of_subject(
        &mut self,
        expected: u64,
        subject: &[u8],
    ) -> Result<(), ApiError> {
        let last = self.store.load_last(&SubjectFilter::new(subject));
        let actual = last.map_or(0, |message| message.sequence().get());
        if actual == expected {
            Ok(())
        } else {
            Err(ErrorKind::StreamWrongLastSequence.with(actual))
        }
    }

    /// That the message before this one has the id the publisher takes it to have.
    pub(super) fn check_last_message_id(
        &self,
        fields: &PublishHeaders<'_>,
    ) -> Result<(), ApiError> {
        match given(fields.expected_last_message_id) {
            Some(expected) if expected != &self.last_message_id[..] => {
                let last = String::from_utf8_lossy(&self.last_message_id);
                Err(ErrorKind::StreamWrongLastMsgId.with(last))
            }
            _ => Ok(()),
        }
    }

    /// The last state of the counter of a subject.
    pub(super) fn load_counter(&mut self, subject: &[u8]) -> Result<Counter, ApiError> {
        match self.store.load_last(&SubjectFilter::new(subject)) {
            Ok(last) => Counter::of_message(last.header(), last.payload()),
            Err(_) => Ok(Counter::default()),
        }
    }

    /// Turns an increment into the counter's new value.
    fn count(
        &mut self,
        proposal: &mut Proposal,
        increment: Option<BigInt>,
    ) -> Result<(), ApiError> {
        let Some(increment) = increment else {
            return Err(ErrorKind::MessageIncrMissing.into());
        };
        let mut counter = self.load_counter(&proposal.subject)?;
        self.advance(&mut counter, proposal, increment, self.context.max_payload)
    }

    /// Adds to a counter, and replaces header and payload by those of its new value, which may
    /// have `max_len` bytes.
    pub(super) fn advance(
        &self,
        counter: &mut Counter,
        proposal: &mut Proposal,
        increment: BigInt,
        max_len: u64,
    ) -> Result<(), ApiError> {
        let source = headers::value(&proposal.header, headers::STREAM_SOURCE);
        let (header, payload) = counter.add(
            increment,
            source,
            &proposal.subject,
            &proposal.header,
            &proposal.payload,
        )?;
        if (header.len() as u64).saturating_add(payload.len() as u64) > max_len {
            return Err(ErrorKind::StreamMessageExceedsMaximum.into());
        }
        proposal.header = header.into();
        proposal.payload = payload.into();
        Ok(())
    }
}

/// A header without what an import added to tell where the message comes from.
pub(super) fn without_request_info(header: Bytes) -> Bytes {
    if headers::value(&header, headers::REQUEST_INFO).is_none() {
        return header;
    }
    let mut rest = header.to_vec();
    headers::remove(&mut rest, headers::REQUEST_INFO);
    rest.into()
}

/// What a stored message asks for beyond being stored, read from its header again when it is
/// applied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consequences<'a> {
    pub(super) message_id: &'a [u8],
    pub(super) rollup: Option<Rollup>,
    /// The schedule it ends.
    pub(super) ended_schedule: Option<&'a [u8]>,
}

impl<'a> Consequences<'a> {
    pub(super) fn of(fields: &PublishHeaders<'a>) -> Self {
        let ends = given(fields.schedule_next) == Some(rules::PURGE);
        Consequences {
            message_id: fields.message_id.unwrap_or_default(),
            rollup: given(fields.rollup).and_then(|value| Rollup::parse(value).ok()),
            ended_schedule: given(fields.scheduler).filter(|_| ends),
        }
    }
}
