//! Atomic batches: staged message by message, checked and stored together (spec 07a §A9).

use super::MAX_ID_LEN;
use super::staged::Staged;
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::StorageType;
use crate::error::StoreError;
use crate::headers;
use crate::schedules::next_firing;
use crate::store::{NewMessage, Store};
use crate::stream::Stream;
use crate::stream::apply::{Member, Place};
use crate::stream::check::{Proposal, Refusal};
use crate::stream::context::{self, BatchCount};
use crate::stream::message::{Inbound, Outbound, Published};
use crate::stream::publish_headers::{PublishHeaders, given, number};
use crate::stream::sourcing::names::short_hash;
use crate::stream::{counter, rules};
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use hashbrown::HashMap;
use std::sync::Arc;

/// Ends a batch without a message of its own.
const END_OF_BATCH: &[u8] = b"eob";
/// Ends a batch with its message.
const COMMIT: &[u8] = b"1";

/// Why a batch was given up, as advisories say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::stream) enum Abandoned {
    Timeout,
    Large,
    Incomplete,
    Unsupported,
}

impl Abandoned {
    pub(in crate::stream) fn as_str(self) -> &'static str {
        match self {
            Abandoned::Timeout => "timeout",
            Abandoned::Large => "large",
            Abandoned::Incomplete => "incomplete",
            Abandoned::Unsupported => "unsupported",
        }
    }
}

struct AtomicBatch {
    /// The number of the last message.
    last: u64,
    deadline: Timestamp,
    store: Box<dyn Store>,
}

/// The open atomic batches of a stream. Each also counts in the server's [`BatchCount`].
pub(in crate::stream) struct AtomicBatches {
    open: HashMap<Bytes, AtomicBatch, ahash::RandomState>,
    /// No batch times out before this.
    deadline: Option<Timestamp>,
    /// Stores of committed batches, to be deleted when the stream has their messages for good.
    committed: Vec<(StreamSequence, Box<dyn Store>)>,
    count: Arc<BatchCount>,
}

impl AtomicBatches {
    pub(in crate::stream) fn new(count: Arc<BatchCount>) -> Self {
        AtomicBatches { open: HashMap::default(), deadline: None, committed: Vec::new(), count }
    }

    pub(in crate::stream) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(in crate::stream) fn len(&self) -> usize {
        self.open.len()
    }

    /// Drops a batch and what it staged.
    fn remove(&mut self, id: &[u8]) {
        if let Some(mut batch) = self.open.remove(id) {
            context::subtract(self.count.atomic());
            // What is left of it is deleted at the next start.
            let _ = batch.store.delete();
        }
    }

    /// Everything up to `sequence` is durable.
    pub(in crate::stream) fn durable(&mut self, sequence: StreamSequence) {
        self.committed.retain_mut(|(last, store)| {
            let done = *last <= sequence;
            if done {
                let _ = store.delete();
            }
            !done
        });
    }

    /// Drops all batches.
    pub(in crate::stream) fn clear(&mut self) {
        let ids: Vec<Bytes> = self.open.keys().cloned().collect();
        for id in ids {
            self.remove(&id);
        }
        self.deadline = None;
    }
}

impl Drop for AtomicBatches {
    fn drop(&mut self) {
        for _ in 0..self.open.len() {
            context::subtract(self.count.atomic());
        }
    }
}

impl std::fmt::Debug for AtomicBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtomicBatches").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

/// What a message says about the end of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    None,
    With,
    Without,
}

impl Stream {
    /// Takes in a message of an atomic batch.
    pub(in crate::stream) fn publish_atomic(
        &mut self,
        message: Inbound,
        id: Bytes,
        now: Timestamp,
    ) -> Published {
        self.expire_atomic(now);
        if let Err(error) = self.check_batch_message(&message) {
            return self.refuse(&message.reply, error);
        }
        match self.stage_atomic(&message, &id, now) {
            Ok(End::None) => {
                if self.answers(&message.reply) {
                    self.send_held(Outbound::plain(message.reply, ""));
                }
                Published::Staged
            }
            Ok(end) => self.commit_atomic(message, &id, end, now),
            Err(error) => self.refuse(&message.reply, error),
        }
    }

    /// What stands in the way of any message of a batch.
    pub(super) fn check_batch_message(&mut self, message: &Inbound) -> Result<(), ApiError> {
        let storage = self.config.storage;
        if self.config.sealed {
            return Err(ErrorKind::StreamSealed.into());
        }
        if self.context.resources.server_exhausted(storage) {
            self.warn(format!("JetStream {storage} resource limits exceeded for server"));
            return Err(ErrorKind::InsufficientResources.into());
        }
        let (header, payload) = (message.header.len(), message.payload.len());
        let size = rules::stored_size(storage, message.subject.len(), header, payload);
        let replicas = self.config.num_replicas;
        if let Err(error) = self.context.resources.account_allows(storage, replicas, size) {
            self.warn(format!(
                "JetStream account limits exceeded for '{}': {error}",
                self.context.account
            ));
            return Err(error);
        }
        if rules::exceeds_max_msg_size(&self.config, header, payload) {
            return Err(ErrorKind::StreamMessageExceedsMaximum.into());
        }
        Ok(())
    }

    /// Gives a batch up and tells who listens for that.
    fn abandon(&mut self, id: &[u8], reason: Abandoned, now: Timestamp) {
        self.atomic.remove(id);
        self.advise_batch_abandoned(id, reason, now);
    }

    /// Adds a message to its batch, which it may start.
    fn stage_atomic(
        &mut self,
        message: &Inbound,
        id: &Bytes,
        now: Timestamp,
    ) -> Result<End, ApiError> {
        if !self.config.allow_atomic {
            return Err(ErrorKind::AtomicPublishDisabled.into());
        }
        if id.len() > MAX_ID_LEN {
            return Err(ErrorKind::AtomicPublishInvalidBatchId.into());
        }
        let fields = PublishHeaders::parse(&message.header);
        let Some(sequence) = fields.batch_sequence.and_then(number) else {
            return Err(ErrorKind::AtomicPublishMissingSeq.into());
        };
        let limits = self.context.batches;
        let without_message = fields.batch_commit == Some(END_OF_BATCH);
        let size = if without_message { sequence.saturating_sub(1) } else { sequence };
        if !self.atomic.open.contains_key(id) {
            if sequence != 1 {
                return Err(if size > limits.max_messages {
                    ErrorKind::AtomicPublishTooLargeBatch.with(limits.max_messages)
                } else {
                    ErrorKind::AtomicPublishIncompleteBatch.into()
                });
            }
            self.open_atomic(id, now)?;
        }
        let end = match fields.batch_commit {
            None => End::None,
            Some(COMMIT) => End::With,
            Some(END_OF_BATCH) => End::Without,
            Some(_) => {
                self.atomic.remove(id);
                return Err(ErrorKind::AtomicPublishInvalidBatchCommit.into());
            }
        };
        let mut header = message.header.clone();
        if given(fields.required_api_level).is_some() {
            if api_level::exceeds_level(&header) {
                self.abandon(id, Abandoned::Unsupported, now);
                return Err(ErrorKind::RequiredApiLevel.into());
            }
            let mut rest = header.to_vec();
            headers::remove(&mut rest, headers::REQUIRED_API_LEVEL);
            header = rest.into();
        }
        let Some(batch) = self.atomic.open.get_mut(id) else {
            return Err(ErrorKind::AtomicPublishIncompleteBatch.into());
        };
        batch.deadline = now.saturating_add(limits.timeout);
        batch.last += 1;
        if batch.last != sequence || (sequence == 1 && end == End::Without) {
            self.abandon(id, Abandoned::Incomplete, now);
            return Err(ErrorKind::AtomicPublishIncompleteBatch.into());
        }
        if size > limits.max_messages {
            self.abandon(id, Abandoned::Large, now);
            return Err(ErrorKind::AtomicPublishTooLargeBatch.with(limits.max_messages));
        }
        let staged = NewMessage {
            subject: &message.subject,
            header: &header,
            payload: &message.payload,
            ..NewMessage::default()
        };
        // The last message is staged too, so that the stage alone tells that the batch is whole.
        let stored = batch.store.store_message(staged, now);
        while batch.store.poll_effect().is_some() {}
        if !stored.is_ok_and(|stored| stored.sequence.get() == sequence) {
            self.abandon(id, Abandoned::Incomplete, now);
            return Err(ErrorKind::AtomicPublishIncompleteBatch.into());
        }
        Ok(end)
    }

    fn open_atomic(&mut self, id: &Bytes, now: Timestamp) -> Result<(), ApiError> {
        let limits = self.context.batches;
        if self.atomic.open.len() >= limits.atomic_per_stream
            || !context::try_add(self.atomic.count.atomic(), limits.atomic_total)
        {
            return Err(ErrorKind::AtomicPublishTooManyInflight.into());
        }
        let hash = short_hash(&String::from_utf8_lossy(id));
        let store = match self.context.staging.open(&hash) {
            Ok(store) => store,
            Err(_) => {
                context::subtract(self.atomic.count.atomic());
                return Err(ErrorKind::AtomicPublishIncompleteBatch.into());
            }
        };
        let deadline = now.saturating_add(limits.timeout);
        // The id must not keep the block alive that its message came in.
        let id = Bytes::copy_from_slice(id);
        self.atomic.open.insert(id, AtomicBatch { last: 0, deadline, store });
        self.atomic.deadline = Some(self.atomic.deadline.map_or(deadline, |d| d.min(deadline)));
        Ok(())
    }

    /// Gives up the batches that were silent for too long.
    pub(in crate::stream) fn expire_atomic(&mut self, now: Timestamp) {
        if self.atomic.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut expired: Vec<Bytes> = self
            .atomic
            .open
            .iter()
            .filter(|(_, batch)| batch.deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        expired.sort_unstable();
        for id in expired {
            self.abandon(&id, Abandoned::Timeout, now);
        }
        self.atomic.deadline = self.atomic.open.values().map(|batch| batch.deadline).min();
    }

    /// Checks all messages of a batch, and stores all or none.
    fn commit_atomic(
        &mut self,
        message: Inbound,
        id: &Bytes,
        end: End,
        now: Timestamp,
    ) -> Published {
        let reply = message.reply;
        // Should the server stop halfway, the stage must be there to go on with.
        let ready = match self.atomic.open.get_mut(id) {
            Some(batch) => batch.store.sync().is_ok(),
            None => false,
        };
        if !ready {
            self.abandon(id, Abandoned::Incomplete, now);
            return self.refuse(&reply, ErrorKind::AtomicPublishIncompleteBatch.into());
        }
        let proposals = match self.check_atomic(id, end, now) {
            Ok(proposals) => proposals,
            Err(error) => {
                self.atomic.remove(id);
                return self.refuse(&reply, error);
            }
        };
        let published = self.store_atomic(proposals, &reply, now);
        if let Some(mut batch) = self.atomic.open.remove(id) {
            context::subtract(self.atomic.count.atomic());
            if self.config.storage == StorageType::File {
                self.atomic.committed.push((self.last_sequence, batch.store));
            } else {
                let _ = batch.store.delete();
            }
        }
        published
    }

    fn check_atomic(
        &mut self,
        id: &Bytes,
        end: End,
        now: Timestamp,
    ) -> Result<Vec<Proposal>, ApiError> {
        let incomplete = || ApiError::from(ErrorKind::AtomicPublishIncompleteBatch);
        let last = self.atomic.open.get(id).ok_or_else(incomplete)?.last;
        let last = if end == End::Without { last.saturating_sub(1) } else { last };
        let mut staged = Staged::default();
        let mut proposals = Vec::new();
        for sequence in 1..=last {
            let batch = self.atomic.open.get_mut(id).ok_or_else(incomplete)?;
            let message = batch.store.load(sequence.into()).map_err(|_| incomplete())?;
            let (header, payload) = (message.header_bytes(), message.payload_bytes());
            if headers::has_value(&header, headers::EXPECTED_LAST_MESSAGE_ID) {
                return Err(ErrorKind::AtomicPublishUnsupportedHeaderBatch
                    .with(headers::EXPECTED_LAST_MESSAGE_ID));
            }
            let subject = self.transformed(message.subject_bytes());
            let reply = Bytes::new();
            let proposal = Proposal { subject, reply, header, payload, trusted: false };
            match self.check_staged(&mut staged, proposal, now) {
                Ok(proposal) => proposals.push(proposal),
                Err(Refusal::Error(error)) => return Err(error),
                Err(Refusal::Duplicate(_)) => {
                    return Err(ErrorKind::AtomicPublishContainsDuplicateMessage.into());
                }
            }
        }
        if end == End::Without
            && let Some(proposal) = proposals.last_mut()
        {
            proposal.header = committed_header(&proposal.header);
        }
        // Room is asked for once: a batch must not end where the account's limit does.
        let (storage, replicas) = (self.config.storage, self.config.num_replicas);
        self.context.resources.account_allows(storage, replicas, staged.bytes())?;
        Ok(proposals)
    }

    fn store_atomic(
        &mut self,
        mut proposals: Vec<Proposal>,
        reply: &Bytes,
        now: Timestamp,
    ) -> Published {
        if let Some(last) = proposals.last_mut() {
            last.reply = reply.clone();
        }
        let mut published = Published::Handled;
        for proposal in &proposals {
            let fields = PublishHeaders::parse(&proposal.header);
            let member = Stream::atomic_member(&fields);
            published = self.apply_as(proposal, Place::Next, member, now);
            if matches!(published, Published::Failed(_)) {
                break;
            }
        }
        published
    }

    /// Stores the rest of a batch that was being committed when the server stopped, from its
    /// `stage`, and returns how many messages that were. To be called at start when
    /// [`unfinished_batch`](Stream::unfinished_batch) names a batch. When this is done without an
    /// error all stages can be deleted: what they had is durable, or was never committed.
    ///
    /// # Errors
    /// What keeps the stage from being read or its messages from being stored. The stream then
    /// ends in a part of a batch, and the stage must stay.
    pub fn recover_batch(
        &mut self,
        stage: &mut dyn Store,
        stored: u64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let end = stage.fast_state().last_seq;
        let commit = stage.load(end)?;
        let commit = headers::value(commit.header(), headers::BATCH_COMMIT).map(<[u8]>::to_vec);
        let without_message = match commit.as_deref() {
            Some(COMMIT) => false,
            Some(END_OF_BATCH) => true,
            _ => return Err(StoreError::Other("batch without its end".to_owned())),
        };
        let last = if without_message { end.previous() } else { end };
        let mut recovered = 0;
        for sequence in stored.saturating_add(1)..=last.get() {
            let message = stage.load(sequence.into())?;
            let mut header = message.header_bytes();
            if without_message && sequence == last.get() {
                header = committed_header(&header);
            }
            let subject = self.transformed(message.subject_bytes());
            let payload = message.payload_bytes();
            let reply = Bytes::new();
            let mut proposal = Proposal { subject, reply, header, payload, trusted: false };
            self.complete(&mut proposal, now);
            if let Published::Failed(error) = self.apply_as(&proposal, Place::Next, Member::No, now)
            {
                return Err(error);
            }
            recovered += 1;
        }
        self.settle(now);
        self.sync()?;
        Ok(recovered)
    }

    /// Makes of a staged message what its checks made of it before the server stopped.
    fn complete(&mut self, proposal: &mut Proposal, now: Timestamp) {
        let header = proposal.header.clone();
        let fields = PublishHeaders::parse(&header);
        if self.config.allow_msg_counter
            && let Ok(Some(increment)) = counter::increment(fields.increment)
            && let Ok(mut counter) = self.load_counter(&proposal.subject)
        {
            // The message was found to fit before.
            let _ = self.advance(&mut counter, proposal, increment, u64::MAX);
        }
        if given(fields.rollup).is_none() && matches!(next_firing(&header, now, now), Ok(Some(_))) {
            proposal.header = rules::with_rollup(&header).into();
        }
    }

    /// The batch of which the stream holds the first messages but not the last: the hash of its
    /// id, which names its stage, and how many messages are stored.
    pub fn unfinished_batch(&mut self) -> Option<(String, u64)> {
        if !self.config.allow_atomic || self.config.num_replicas > 1 {
            return None;
        }
        let last = self.store.load(self.last_sequence).ok()?;
        let fields = PublishHeaders::parse(last.header());
        if given(fields.batch_commit).is_some() {
            return None;
        }
        let id = given(fields.batch_id)?;
        let stored = fields.batch_sequence.and_then(number)?;
        Some((short_hash(&String::from_utf8_lossy(id)), stored))
    }
}

/// The header of the message that turned out to be the last.
fn committed_header(header: &[u8]) -> Bytes {
    let mut header = header.to_vec();
    headers::append(&mut header, headers::BATCH_COMMIT, "1");
    header.into()
}
