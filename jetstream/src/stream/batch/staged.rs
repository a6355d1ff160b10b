//! The checks of messages that are judged before those in front of them are stored
//! (spec 07a §A9, at commit).

use crate::api_error::{ApiError, ErrorKind};
use crate::config::{DiscardPolicy, StreamConfig};
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::headers;
use crate::stream::Stream;
use crate::stream::check::{Proposal, Refusal, without_request_info};
use crate::stream::counter::Counter;
use crate::stream::publish_headers::{PublishHeaders, Rollup, expected_sequence, given};
use crate::stream::rules::{self, Scheduling};
use crate::time::Timestamp;
use crate::types::MessageTtl;
use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

/// What the messages checked so far will have changed.
#[derive(Debug, Default)]
pub(super) struct Staged {
    message_ids: HashSet<Bytes, ahash::RandomState>,
    counters: HashMap<Bytes, Counter, ahash::RandomState>,
    subjects: HashMap<Bytes, Subject, ahash::RandomState>,
    /// Per subject the last sequence that was expected, and found.
    expected: HashMap<Bytes, u64, ahash::RandomState>,
    messages: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Subject {
    messages: u64,
    is_schedule: bool,
}

impl Staged {
    /// Bytes of all messages together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// How many messages a limit allows, if it is one.
fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|limit| *limit > 0)
}

impl Stream {
    /// Checks a message that comes after those in `staged`, and adds it to them. Its subject must
    /// be transformed already.
    pub(super) fn check_staged(
        &mut self,
        staged: &mut Staged,
        mut proposal: Proposal,
        now: Timestamp,
    ) -> Result<Proposal, Refusal> {
        if rules::is_too_large(&self.config, self.stored_size(&proposal)) {
            return Err(ErrorKind::StreamStoreFailed.with(StoreError::MessageTooLarge).into());
        }
        let header = without_request_info(proposal.header.clone());
        proposal.header = header.clone();
        let fields = PublishHeaders::parse(&header);
        if header.len() > rules::MAX_HEADER_LEN {
            return Err(ErrorKind::StreamHeaderExceedsMaximum.into());
        }
        let increment =
            rules::check_increment(&fields, &proposal.payload, &self.config, proposal.trusted)?;
        rules::check_expected_stream(&fields, &self.config)?;
        check_ttl(&fields, &self.config)?;
        self.check_staged_id(staged, &fields, now)?;
        if self.config.allow_msg_counter {
            let Some(increment) = increment else {
                return Err(ErrorKind::MessageIncrMissing.into());
            };
            let mut counter = match staged.counters.remove(&proposal.subject) {
                Some(counter) => counter,
                None => self.load_counter(&proposal.subject)?,
            };
            let max_len = match u64::try_from(self.config.max_msg_size) {
                Ok(max) => max.min(self.context.max_payload),
                Err(_) => self.context.max_payload,
            };
            self.advance(&mut counter, &mut proposal, increment, max_len)?;
            staged.counters.insert(proposal.subject.clone(), counter);
        }
        self.check_staged_expectations(staged, &fields, &proposal.subject)?;
        let mut is_schedule = false;
        if !proposal.trusted && !header.is_empty() {
            let (store, subjects) = (&mut self.store, &staged.subjects);
            let is_other = |scheduler: &[u8]| match subjects.get(scheduler) {
                Some(subject) => !subject.is_schedule,
                None => store
                    .load_last(&SubjectFilter::new(scheduler))
                    .is_ok_and(|last| !headers::has_value(last.header(), headers::SCHEDULE)),
            };
            let (subject, config) = (&proposal.subject, &self.config);
            match rules::check_schedule(&fields, &header, subject, config, now, is_other)? {
                Scheduling::None => {}
                Scheduling::Schedule { add_rollup } => {
                    is_schedule = true;
                    if add_rollup {
                        proposal.header = rules::with_rollup(&proposal.header).into();
                    }
                }
            }
        }
        self.check_staged_rollup(staged, &fields, &proposal)?;
        let has_rollup = headers::value(&proposal.header, headers::ROLLUP).is_some();
        self.stage(staged, &proposal, is_schedule, has_rollup)?;
        Ok(proposal)
    }

    fn check_staged_id(
        &self,
        staged: &mut Staged,
        fields: &PublishHeaders<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(id) = given(fields.message_id) else { return Ok(()) };
        if staged.message_ids.contains(id) {
            return Err(ErrorKind::AtomicPublishContainsDuplicateMessage.into());
        }
        if let Some(sequence) = self.dedupe.find(id, now) {
            return Err(Refusal::Duplicate(sequence));
        }
        staged.message_ids.insert(Bytes::copy_from_slice(id));
        Ok(())
    }

    fn check_staged_expectations(
        &mut self,
        staged: &mut Staged,
        fields: &PublishHeaders<'_>,
        subject: &[u8],
    ) -> Result<(), ApiError> {
        if let Some(expected) = expected_sequence(fields.expected_last_sequence) {
            let actual = self.last_sequence.get().saturating_add(staged.messages);
            if expected != actual {
                return Err(ErrorKind::StreamWrongLastSequence.with(actual));
            }
            if staged.messages > 0 {
                return Err(ErrorKind::StreamWrongLastSequenceConstant.into());
            }
        }
        let Some((expected, subject)) = rules::expected_last_of_subject(fields, subject)? else {
            return Ok(());
        };
        // What the batch itself writes cannot be expected.
        if staged.subjects.contains_key(subject) {
            return Err(ErrorKind::StreamWrongLastSequenceConstant.into());
        }
        match staged.expected.get(subject) {
            Some(found) if *found == expected => Ok(()),
            Some(found) => Err(ErrorKind::StreamWrongLastSequence.with(found)),
            None => {
                self.check_last_of_subject(expected, subject)?;
                staged.expected.insert(Bytes::copy_from_slice(subject), expected);
                Ok(())
            }
        }
    }

    fn check_staged_rollup(
        &self,
        staged: &Staged,
        fields: &PublishHeaders<'_>,
        proposal: &Proposal,
    ) -> Result<(), ApiError> {
        match rules::check_rollup(fields, &self.config, proposal.trusted)? {
            Some(Rollup::Subject) if staged.subjects.contains_key(&proposal.subject) => {
                Err(ErrorKind::StreamRollupFailed.with("batch rollup sub invalid"))
            }
            Some(Rollup::All) if staged.messages > 0 => {
                Err(ErrorKind::StreamRollupFailed.with("batch rollup all invalid"))
            }
            _ => Ok(()),
        }
    }

    /// Adds the message, unless the stream would refuse it for being full.
    fn stage(
        &mut self,
        staged: &mut Staged,
        proposal: &Proposal,
        is_schedule: bool,
        has_rollup: bool,
    ) -> Result<(), ApiError> {
        staged.messages += 1;
        staged.bytes = staged.bytes.saturating_add(self.stored_size(proposal));
        let subject = staged.subjects.entry(proposal.subject.clone()).or_default();
        subject.messages += 1;
        subject.is_schedule = is_schedule;
        if self.config.discard != DiscardPolicy::New {
            return Ok(());
        }
        let full = |error: StoreError| Err(ErrorKind::StreamStoreFailed.with(error));
        let state = self.store.fast_state();
        let exceeds = |max: i64, held: u64, more: u64| {
            limit(max).is_some_and(|max| held.saturating_add(more) > max)
        };
        if exceeds(self.config.max_msgs, state.messages, staged.messages) {
            return full(StoreError::MaxMessages);
        }
        if exceeds(self.config.max_bytes, state.bytes, staged.bytes) {
            return full(StoreError::MaxBytes);
        }
        if self.config.discard_new_per_subject && !has_rollup {
            let totals = self.store.subjects_totals(&proposal.subject).unwrap_or_default();
            let held = totals
                .iter()
                .find(|(subject, _)| **subject == *proposal.subject)
                .map_or(0, |(_, held)| *held);
            if exceeds(self.config.max_msgs_per_subject, held, subject.messages) {
                return full(StoreError::MaxMessagesPerSubject);
            }
        }
        Ok(())
    }
}

/// Unlike for messages of their own, a time to live that cannot be read counts as one.
fn check_ttl(fields: &PublishHeaders<'_>, config: &StreamConfig) -> Result<(), ApiError> {
    let ttl = rules::ttl(fields);
    if !config.allow_msg_ttl && ttl != Ok(MessageTtl::Unset) {
        return Err(ErrorKind::MessageTtlDisabled.into());
    }
    ttl.map(|_| ())
}
