//! Fast batches: stored as they come, answered now and then (spec 07a §A10).

use super::MAX_ID_LEN;
use super::reply::{FastReply, Operation};
use super::staged::Staged;
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::headers;
use crate::stream::Stream;
use crate::stream::ack::{Tail, flow_ack, flow_error, flow_gap};
use crate::stream::apply::{Member, Place};
use crate::stream::check::{Proposal, Refusal};
use crate::stream::context::{self, BatchCount};
use crate::stream::message::{Inbound, Outbound, Published};
use crate::stream::publish_headers::PublishHeaders;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use hashbrown::HashMap;
use std::sync::Arc;

/// The largest interval of acknowledgements, shared by the open batches.
const MAX_INTERVAL: u16 = 500;

#[derive(Debug)]
struct FastBatch {
    deadline: Timestamp,
    /// The highest number seen.
    last: u64,
    /// The number up to which all is stored or passed over; at most `last`.
    persisted: u64,
    /// The number of the last acknowledgement; at most `persisted`.
    acknowledged: u64,
    /// The sequence in the stream of the last message stored.
    stream_sequence: StreamSequence,
    /// Messages accepted and not yet stored: none unless the stream is replicated.
    pending: u32,
    /// An acknowledgement goes out after so many messages.
    interval: u16,
    /// The largest interval the publisher takes.
    max_interval: u16,
    gap_ok: bool,
    /// It ended, and the final acknowledgement waits for pending messages.
    committing: bool,
}

/// The open fast batches of a stream. Each also counts in the server's [`BatchCount`].
#[derive(Debug)]
pub(in crate::stream) struct FastBatches {
    open: HashMap<Bytes, FastBatch, ahash::RandomState>,
    /// No batch times out before this.
    deadline: Option<Timestamp>,
    count: Arc<BatchCount>,
}

impl FastBatches {
    pub(in crate::stream) fn new(count: Arc<BatchCount>) -> Self {
        FastBatches { open: HashMap::default(), deadline: None, count }
    }

    pub(in crate::stream) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(in crate::stream) fn len(&self) -> usize {
        self.open.len()
    }

    fn remove(&mut self, id: &[u8]) {
        if self.open.remove(id).is_some() {
            context::subtract(self.count.fast());
        }
    }

    /// Drops all batches.
    pub(in crate::stream) fn clear(&mut self) {
        for _ in 0..self.open.len() {
            context::subtract(self.count.fast());
        }
        self.open.clear();
        self.deadline = None;
    }

    /// Forgets the batches that were silent for too long; nobody is told.
    pub(in crate::stream) fn expire(&mut self, now: Timestamp) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let count = &self.count;
        self.open.retain(|_, batch| {
            let alive = batch.deadline > now;
            if !alive {
                context::subtract(count.fast());
            }
            alive
        });
        self.deadline = self.open.values().map(|batch| batch.deadline).min();
    }
}

impl Drop for FastBatches {
    fn drop(&mut self) {
        self.clear();
    }
}

impl FastBatch {
    /// When nothing is pending, all that was seen is done with.
    fn catch_up(&mut self) {
        if self.pending == 0 {
            self.persisted = self.last;
        }
    }

    /// The acknowledgement that is due, if one is. Several become the last of them. The interval
    /// moves toward an equal share of [`MAX_INTERVAL`].
    fn due(&mut self, open: usize) -> Option<Bytes> {
        let interval = u64::from(self.interval.max(1));
        let steps = self.persisted.saturating_sub(self.acknowledged) / interval;
        if steps == 0 {
            return None;
        }
        self.acknowledged += steps * interval;
        let share = MAX_INTERVAL / u16::try_from(open.max(1)).unwrap_or(u16::MAX);
        let target = share.max(1).min(self.max_interval);
        self.interval = if self.interval < target {
            self.interval.saturating_mul(2).min(target)
        } else {
            (self.interval / 2).max(target)
        };
        Some(self.ack())
    }

    /// The last acknowledgement.
    fn ack(&self) -> Bytes {
        flow_ack(self.acknowledged, self.interval)
    }
}

impl Stream {
    /// Takes in a message of a fast batch; `fast` is `None` when its reply cannot be read.
    pub(in crate::stream) fn publish_fast(
        &mut self,
        mut message: Inbound,
        fast: Option<FastReply>,
        now: Timestamp,
    ) -> Published {
        self.fast.expire(now);
        message.subject = self.transformed(message.subject);
        let fast = match self.admit_fast(&message, fast, now) {
            Ok(fast) => fast,
            Err(error) => return self.refuse(&message.reply, error),
        };
        if let Err(error) = strip_api_level(&mut message) {
            self.fast.remove(&fast.id);
            return self.refuse(&message.reply, error);
        }
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return Published::Handled };
        if !batch.committing {
            batch.deadline = now.saturating_add(self.context.batches.timeout);
        }
        if fast.operation == Operation::Ping {
            self.ping_fast(&message, &fast);
            return Published::Handled;
        }
        if !self.follow_fast(&message, &fast) {
            return Published::Handled;
        }
        self.store_fast(message, &fast, now)
    }

    /// Sends a word on a batch, in the order of all answers.
    fn send_flow(&mut self, reply: &Bytes, payload: Bytes) {
        if !reply.is_empty() {
            self.send_held(Outbound::plain(reply.clone(), payload));
        }
    }

    /// The batch the message is part of, which it may start.
    fn admit_fast(
        &mut self,
        message: &Inbound,
        fast: Option<FastReply>,
        now: Timestamp,
    ) -> Result<FastReply, ApiError> {
        self.check_batch_message(message)?;
        if !self.config.allow_batched {
            return Err(ErrorKind::BatchPublishDisabled.into());
        }
        let Some(fast) = fast else {
            return Err(ErrorKind::BatchPublishInvalidPattern.into());
        };
        if fast.id.len() > MAX_ID_LEN {
            return Err(ErrorKind::BatchPublishInvalidBatchId.into());
        }
        if self.fast.open.contains_key(&fast.id) {
            return Ok(fast);
        }
        if fast.sequence != 1 {
            return Err(ErrorKind::BatchPublishUnknownBatchId.into());
        }
        let limits = self.context.batches;
        if self.fast.open.len() >= limits.fast_per_stream
            || !context::try_add(self.fast.count.fast(), limits.fast_total)
        {
            return Err(ErrorKind::BatchPublishTooManyInflight.into());
        }
        let deadline = now.saturating_add(limits.timeout);
        // A batch beside others has to work its way up.
        let interval = if self.fast.open.is_empty() { fast.flow.min(MAX_INTERVAL) } else { 1 };
        let batch = FastBatch {
            deadline,
            last: 0,
            persisted: 0,
            acknowledged: 0,
            stream_sequence: StreamSequence::default(),
            pending: 0,
            interval,
            max_interval: fast.flow,
            gap_ok: fast.gap_ok,
            committing: false,
        };
        // The id must not keep the block alive that its message came in.
        self.fast.open.insert(Bytes::copy_from_slice(&fast.id), batch);
        self.fast.deadline = Some(self.fast.deadline.map_or(deadline, |d| d.min(deadline)));
        Ok(fast)
    }

    /// Says how far the batch is, and that messages got lost if the publisher is further.
    fn ping_fast(&mut self, message: &Inbound, fast: &FastReply) {
        let open = self.fast.open.len();
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return };
        let mut answers = Vec::new();
        let mut ended = false;
        if fast.sequence > batch.last {
            answers.push(flow_gap(batch.last + 1, fast.sequence + 1));
            if batch.gap_ok {
                batch.last = fast.sequence;
                batch.catch_up();
                answers.push(batch.due(open).unwrap_or_else(|| batch.ack()));
            } else {
                ended = true;
            }
        } else {
            answers.push(batch.ack());
        }
        for answer in answers {
            self.send_flow(&message.reply, answer);
        }
        // A batch whose end has to wait is still told where it is.
        if ended
            && !self.commit_fast(&fast.id, &message.reply)
            && let Some(ack) = self.fast.open.get(&fast.id).map(FastBatch::ack)
        {
            self.send_flow(&message.reply, ack);
        }
    }

    /// Follows the numbers of a batch up to this message, and its end. Whether the message is to
    /// be stored.
    fn follow_fast(&mut self, message: &Inbound, fast: &FastReply) -> bool {
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return false };
        if batch.committing {
            // It ended for an error; the publisher waits for the final acknowledgement.
            return false;
        }
        let expected = batch.last + 1;
        let mut gap = None;
        let mut ended = false;
        if fast.sequence > expected {
            gap = Some(flow_gap(expected, fast.sequence));
            ended = !batch.gap_ok;
        } else if fast.sequence < expected {
            ended = true;
        }
        if !ended {
            batch.last = fast.sequence;
        }
        if let Some(gap) = gap {
            self.send_flow(&message.reply, gap);
        }
        if ended {
            self.commit_fast(&fast.id, &message.reply);
            return false;
        }
        if fast.operation == Operation::CommitWithout {
            if let Some(batch) = self.fast.open.get_mut(&fast.id) {
                batch.last = batch.last.saturating_sub(1);
                batch.catch_up();
            }
            self.commit_fast(&fast.id, &message.reply);
            return false;
        }
        if fast.operation == Operation::Commit {
            if let Some(batch) = self.fast.open.get_mut(&fast.id) {
                batch.committing = true;
            }
        } else if fast.sequence == 1
            && self.answers(&message.reply)
            && let Some(interval) = self.fast.open.get(&fast.id).map(|batch| batch.interval)
        {
            self.send_flow(&message.reply, flow_ack(0, interval));
        }
        true
    }

    /// Ends a batch: at once if all of it is stored, else when it is. Whether that was at once.
    fn commit_fast(&mut self, id: &Bytes, reply: &Bytes) -> bool {
        let Some(batch) = self.fast.open.get_mut(id) else { return true };
        batch.committing = true;
        if batch.last != batch.persisted {
            return false;
        }
        let (sequence, count) = (batch.stream_sequence, batch.last);
        self.fast.remove(id);
        self.final_ack(id, reply, sequence, count);
        true
    }

    fn final_ack(&mut self, id: &Bytes, reply: &Bytes, sequence: StreamSequence, count: u64) {
        // Sent even by streams that acknowledge nothing: it is the last word on the batch.
        let ack = self.ack.ack(sequence, Tail::Batch { id, count });
        self.send_flow(reply, ack);
    }

    fn store_fast(&mut self, message: Inbound, fast: &FastReply, now: Timestamp) -> Published {
        let Inbound { subject, reply, header, payload, .. } = message;
        let proposal = Proposal { subject, reply, header, payload, trusted: false };
        let fields_header = proposal.header.clone();
        let reply = proposal.reply.clone();
        let checked = self
            .check_last_message_id(&PublishHeaders::parse(&fields_header))
            .map_err(Refusal::Error)
            .and_then(|()| self.check_staged(&mut Staged::default(), proposal, now));
        let proposal = match checked {
            Ok(proposal) => proposal,
            Err(refusal) => return self.refuse_fast(&reply, fast, refusal),
        };
        if let Some(batch) = self.fast.open.get_mut(&fast.id) {
            batch.pending = batch.pending.saturating_add(1);
        }
        let published = self.apply_as(&proposal, Place::Next, Member::Fast(fast), now);
        if published.sequence().is_none()
            && let Some(batch) = self.fast.open.get_mut(&fast.id)
        {
            batch.pending = batch.pending.saturating_sub(1);
            if batch.committing {
                // The publisher was told the error; its batch has ended with it.
                self.fast.remove(&fast.id);
            }
        }
        published
    }

    /// Tells the publisher of a message that is not taken, which may end its batch.
    fn refuse_fast(&mut self, reply: &Bytes, fast: &FastReply, refusal: Refusal) -> Published {
        let open = self.fast.open.len();
        let (error, duplicate) = match refusal {
            Refusal::Error(error) => (error, None),
            Refusal::Duplicate(sequence) => {
                (ErrorKind::AtomicPublishContainsDuplicateMessage.into(), Some(sequence))
            }
        };
        let published = match duplicate {
            Some(sequence) => Published::Duplicate(sequence),
            None => Published::Refused(error.clone()),
        };
        let commits = fast.operation == Operation::Commit;
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return published };
        if duplicate.is_some() {
            // It counts as stored.
            let due = if batch.pending == 0 {
                batch.persisted = fast.sequence;
                batch.due(open)
            } else {
                None
            };
            if let Some(ack) = due {
                self.send_flow(reply, ack);
            }
            if !commits {
                return published;
            }
        }
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return published };
        if !fast.gap_ok && batch.last == 1 {
            // A batch that fails with its first message is answered like a message of its own.
            self.fast.remove(&fast.id);
            let answer = match duplicate {
                Some(sequence) => {
                    let tail = Tail::DuplicateBatch { id: &fast.id, count: fast.sequence };
                    self.ack.ack(sequence, tail)
                }
                None => self.ack.error(&error),
            };
            self.send_flow(reply, answer);
            return published;
        }
        if duplicate.is_none() {
            self.send_flow(reply, flow_error(fast.sequence, &error));
        }
        if fast.gap_ok && !commits {
            return published;
        }
        if duplicate.is_none()
            && let Some(batch) = self.fast.open.get_mut(&fast.id)
        {
            batch.last = batch.last.saturating_sub(1);
            batch.catch_up();
        }
        self.commit_fast(&fast.id, reply);
        published
    }

    /// Notes that a message of a batch is stored, and sends what is due: flow control, or the
    /// final acknowledgement if it was the last one missing.
    pub(in crate::stream) fn register_fast(
        &mut self,
        fast: &FastReply,
        reply: &Bytes,
        now: Timestamp,
    ) {
        let open = self.fast.open.len();
        let deadline = now.saturating_add(self.context.batches.timeout);
        let sequence = self.last_sequence;
        let Some(batch) = self.fast.open.get_mut(&fast.id) else { return };
        batch.deadline = deadline;
        batch.pending = batch.pending.saturating_sub(1);
        batch.stream_sequence = sequence;
        batch.persisted = if batch.pending == 0 { batch.last } else { fast.sequence };
        if batch.committing && batch.last == batch.persisted {
            let count = batch.last;
            self.fast.remove(&fast.id);
            self.final_ack(&fast.id, reply, sequence, count);
        } else if let Some(ack) = batch.due(open) {
            self.send_flow(reply, ack);
        }
    }
}

/// Refuses what this server cannot do, and takes the field off that asks for it.
fn strip_api_level(message: &mut Inbound) -> Result<(), ApiError> {
    if !headers::has_value(&message.header, headers::REQUIRED_API_LEVEL) {
        return Ok(());
    }
    if api_level::exceeds_level(&message.header) {
        return Err(ErrorKind::RequiredApiLevel.into());
    }
    let mut header = message.header.to_vec();
    headers::remove(&mut header, headers::REQUIRED_API_LEVEL);
    message.header = header.into();
    Ok(())
}
