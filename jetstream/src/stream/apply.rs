//! Storing what passed the checks, and all that follows from it (spec 07a §A7.3 from rule 22 on,
//! §A7.5, §A7.6).

use super::ack::Tail;
use super::batch::FastReply;
use super::check::{Consequences, Proposal};
use super::message::{Inbound, Origin, Outbound, Published, StreamEffect};
use super::publish_headers::{PublishHeaders, Rollup, given, number};
use super::{Stream, counter, rules};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::RetentionPolicy;
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::headers;
use crate::store::{DiscardNewCheck, NewMessage, PurgeRequest, StoreEffect};
use crate::time::Timestamp;
use crate::types::{MessageTtl, StreamSequence};
use bytes::Bytes;

/// Where a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// After the last one, at the time of storing.
    Next,
    /// At this sequence and time, decided by a leader or by the origin of a mirror.
    At {
        /// The sequence.
        sequence: StreamSequence,
        /// The time.
        timestamp: Timestamp,
    },
}

/// What is known of a message's batch when it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Member<'a> {
    /// It is in none.
    No,
    /// In an atomic batch of this id, at this place of it.
    Atomic { id: &'a [u8], sequence: u64 },
    /// In a fast batch.
    Fast(&'a FastReply),
}

impl Stream {
    /// Stores a message that [`check`](Stream::check) let through, answers its publisher, and
    /// carries out what its header asks for.
    pub fn apply(&mut self, proposal: &Proposal, place: Place, now: Timestamp) -> Published {
        let fields = PublishHeaders::parse(&proposal.header);
        let published = self.apply_as(proposal, place, Self::atomic_member(&fields), now);
        self.settle(now);
        published
    }

    pub(super) fn apply_as(
        &mut self,
        proposal: &Proposal,
        place: Place,
        member: Member<'_>,
        now: Timestamp,
    ) -> Published {
        if let Some(error) = &self.write_error {
            return Published::Failed(error.clone());
        }
        if let Place::At { sequence, .. } = place
            && !self.take_position(sequence)
        {
            return Published::OutOfSequence;
        }
        let fields = PublishHeaders::parse(&proposal.header);
        let what_follows = Consequences::of(&fields);
        let storage = self.config.storage;
        // Batches were asked about before, as a whole.
        let is_single = matches!(member, Member::No);
        if is_single && self.context.resources.server_exhausted(storage) {
            self.warn(format!("JetStream {storage} resource limits exceeded for server"));
            return self.refuse(&proposal.reply, ErrorKind::InsufficientResources.into());
        }
        if self.config.retention == RetentionPolicy::Interest
            && !self.interest.has_interest(&proposal.subject)
        {
            return self.skip(proposal, &what_follows, member, now);
        }
        let republish = self.republish_destination(&proposal.subject);
        let size = self.stored_size(proposal);
        let replicas = self.config.num_replicas;
        if is_single
            && let Err(error) = self.context.resources.account_allows(storage, replicas, size)
        {
            self.warn(format!(
                "JetStream {} resource limits exceeded for account: {}",
                storage.as_str(),
                crate::quote::quote(&self.context.account)
            ));
            return self.refuse(&proposal.reply, error);
        }
        let (ttl, header) = match self.time_to_live(&fields, &proposal.header) {
            Ok(both) => both,
            Err(error) => return self.refuse(&proposal.reply, error),
        };
        let message = NewMessage {
            subject: &proposal.subject,
            header: &header,
            payload: &proposal.payload,
            ttl,
        };
        let stored = match place {
            Place::Next => self.store.store_message(message, now),
            Place::At { sequence, timestamp } => self.store.store_raw_message(
                message,
                sequence,
                timestamp,
                DiscardNewCheck::Enforce,
                now,
            ),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return self.store_refused(&proposal.reply, error),
        };
        let sequence = stored.sequence;
        self.last_sequence = sequence;
        self.remember(what_follows.message_id, sequence, stored.timestamp);
        self.drain_store();
        self.outbox.stored(sequence, proposal.subject.clone());
        if let Err(error) = self.roll_up(&proposal.subject, &what_follows, 1) {
            return self.store_failed(error);
        }
        if let Some((destination, last)) = republish {
            let message = self.republished(destination, last, proposal, &header, &stored);
            self.outbox.hold(self.last_sequence, message);
        }
        self.acknowledge(proposal, sequence, member, now);
        Published::Stored(sequence)
    }

    /// Makes `sequence` the next one where that is allowed: an empty copy starts where its origin
    /// does.
    fn take_position(&mut self, sequence: StreamSequence) -> bool {
        if sequence == self.last_sequence.next() {
            return true;
        }
        if !self.last_sequence.is_zero() && self.config.mirror.is_none() {
            return false;
        }
        let state = self.store.fast_state();
        if !state.first_seq.is_zero() || self.store.compact(sequence).is_err() {
            return false;
        }
        self.drain_store();
        self.last_sequence = sequence.previous();
        true
    }

    /// The time to live, and the header that tells of it. It is no shorter than that of delete
    /// markers, or a marker could be gone before a message it must outlive.
    fn time_to_live(
        &self,
        fields: &PublishHeaders<'_>,
        header: &Bytes,
    ) -> Result<(MessageTtl, Bytes), ApiError> {
        let ttl = rules::ttl(fields)?;
        let least = self.config.subject_delete_marker_ttl / 1_000_000_000;
        match (ttl, u64::try_from(least)) {
            (MessageTtl::Seconds(seconds), Ok(least))
                if seconds > 0 && seconds < least && self.config.max_msgs_per_subject != 1 =>
            {
                let mut header = header.to_vec();
                headers::remove(&mut header, headers::TTL);
                headers::append(&mut header, headers::TTL, &least.to_string());
                Ok((MessageTtl::Seconds(least), header.into()))
            }
            _ => Ok((ttl, header.clone())),
        }
    }

    /// Gives out a sequence for a message no consumer wants.
    fn skip(
        &mut self,
        proposal: &Proposal,
        what_follows: &Consequences<'_>,
        member: Member<'_>,
        now: Timestamp,
    ) -> Published {
        let sequence = match self.store.skip_no_interest(StreamSequence::default(), now) {
            Ok(sequence) => sequence,
            Err(error) => return self.store_refused(&proposal.reply, error),
        };
        self.last_sequence = sequence;
        self.remember(what_follows.message_id, sequence, now);
        self.drain_store();
        if let Err(error) = self.roll_up(&proposal.subject, what_follows, 0) {
            return self.store_failed(error);
        }
        self.acknowledge(proposal, sequence, member, now);
        Published::NoInterest(sequence)
    }

    fn remember(&mut self, message_id: &[u8], sequence: StreamSequence, stored: Timestamp) {
        if self.last_message_id != message_id {
            self.last_message_id.clear();
            self.last_message_id.extend_from_slice(message_id);
        }
        if !message_id.is_empty() {
            self.dedupe.insert(message_id, sequence, stored);
        }
    }

    /// Removes what the message replaces. Only streams that allow rollups do, whoever it is from.
    fn roll_up(
        &mut self,
        subject: &[u8],
        what_follows: &Consequences<'_>,
        keep: u64,
    ) -> Result<(), StoreError> {
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Ok(());
        }
        let filter = match what_follows.rollup {
            Some(Rollup::Subject) => Some(SubjectFilter::new(subject)),
            Some(Rollup::All) => Some(SubjectFilter::All),
            None => None,
        };
        let below = StreamSequence::default();
        if let Some(filter) = filter {
            self.purge_store(PurgeRequest { filter, below, keep })?;
        }
        if let Some(schedule) = what_follows.ended_schedule {
            let filter = SubjectFilter::new(schedule);
            self.purge_store(PurgeRequest { filter, below, keep: 0 })?;
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        proposal: &Proposal,
        sequence: StreamSequence,
        member: Member<'_>,
        now: Timestamp,
    ) {
        if let Member::Fast(fast) = member {
            return self.register_fast(fast, &proposal.reply, now);
        }
        if !self.answers(&proposal.reply) {
            return;
        }
        let value;
        let tail = match member {
            Member::Atomic { id, sequence } => Tail::Batch { id, count: sequence },
            _ if self.config.allow_msg_counter => {
                value = counter::value_of(&proposal.payload);
                Tail::Counter(&value)
            }
            _ => Tail::Plain,
        };
        let ack = self.ack.ack(sequence, tail);
        self.send_held(Outbound::plain(proposal.reply.clone(), ack));
    }

    /// Whether a publisher is answered.
    pub(super) fn answers(&self, reply: &[u8]) -> bool {
        !self.config.no_ack && !reply.is_empty()
    }

    /// Sends after what was sent before, and after what is stored is durable.
    pub(super) fn send_held(&mut self, message: Outbound) {
        self.outbox.hold(self.last_sequence, message);
    }

    /// Tells the publisher that its message is not taken.
    pub(super) fn refuse(&mut self, reply: &Bytes, error: ApiError) -> Published {
        if self.answers(reply) {
            let answer = Outbound::plain(reply.clone(), self.ack.error(&error));
            self.send_held(answer);
        }
        Published::Refused(error)
    }

    /// The store did not take a message: for its limits, or because it fails.
    fn store_refused(&mut self, reply: &Bytes, error: StoreError) -> Published {
        match error {
            StoreError::MaxMessages
            | StoreError::MaxBytes
            | StoreError::MaxMessagesPerSubject
            | StoreError::MessageTooLarge
            | StoreError::Closed => {
                self.drain_store();
                self.refuse(reply, ErrorKind::StreamStoreFailed.with(error))
            }
            StoreError::SequenceMismatch => Published::OutOfSequence,
            _ => self.store_failed(error),
        }
    }

    /// After a failed write it is unknown what is stored: the stream takes nothing any more.
    pub(super) fn store_failed(&mut self, error: StoreError) -> Published {
        if self.write_error.is_none() {
            self.warn(format!(
                "JetStream failed to store a msg on stream '{} > {}': {error}",
                self.context.account, self.config.name
            ));
            self.outbox.push(StreamEffect::StoreFailed(error.clone()));
            self.write_error = Some(error.clone());
        }
        Published::Failed(error)
    }

    pub(super) fn warn(&mut self, text: String) {
        self.outbox.push(StreamEffect::Warn(text));
    }

    /// Turns what the store has to say into effects of the stream. What it wants to have
    /// published is put aside for [`settle`](Stream::settle).
    pub(super) fn drain_store(&mut self) {
        while let Some(effect) = self.store.poll_effect() {
            match effect {
                StoreEffect::Added { bytes, .. } => self.outbox.add_usage(signed(bytes)),
                StoreEffect::Removed { sequence, subject, bytes } => {
                    self.outbox.add_usage(-signed(bytes));
                    self.outbox.push(StreamEffect::Removed { sequence, subject });
                }
                StoreEffect::RemovedMany { messages, bytes } => {
                    self.outbox.add_usage(-signed(bytes));
                    let first = self.store.fast_state().first_seq;
                    self.outbox.push(StreamEffect::RemovedMany { messages, first });
                }
                StoreEffect::Usage { bytes } => self.outbox.add_usage(bytes),
                StoreEffect::ProposeRemoval { sequence } => self.expired.push(sequence),
                StoreEffect::Publish { subject, header, payload } => {
                    let from = Origin::Internal;
                    let reply = Bytes::new();
                    self.internal.push_back(Inbound { subject, reply, header, payload, from });
                }
                StoreEffect::Warn { text } => self.warn(text),
            }
        }
    }

    /// Carries out what the store asked for. Called at the end of every entry point that can make
    /// messages expire or schedules fire; what is stored here does not cause more of it, as both
    /// happen only when their time has come.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.drain_store();
        for sequence in std::mem::take(&mut self.expired) {
            if let Err(error) = self.store.remove(sequence) {
                self.store_failed(error);
            }
            self.drain_store();
        }
        while let Some(message) = self.internal.pop_front() {
            self.publish_single(message, now);
            self.drain_store();
        }
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    /// The batch a stored header speaks of.
    pub(super) fn atomic_member<'a>(fields: &PublishHeaders<'a>) -> Member<'a> {
        match given(fields.batch_id) {
            None => Member::No,
            Some(id) => {
                Member::Atomic { id, sequence: fields.batch_sequence.and_then(number).unwrap_or(0) }
            }
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
