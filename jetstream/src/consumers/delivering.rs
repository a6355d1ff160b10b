//! Which message is next, and sending it (spec 07b §B3).
//!
//! A message is looked at first and counted only once it is known that it can go: until then
//! nothing has changed, and nothing must be taken back.

use super::waiting::Served;
use super::{Consumer, ConsumerEffect, Delivery, Mode, Turn};
use crate::config::AckPolicy;
use crate::error::StoreError;
use crate::headers;
use crate::message::StoredMessage;
use crate::store::Lookup;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::{Bytes, BytesMut};

const PIN_ID: &str = "Nats-Pin-Id";
/// Room for the reply subjects of the messages of one call: so many share one allocation.
const REPLY_BUFFER_LEN: usize = 2048;

/// How much may be delivered in one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Messages.
    pub messages: usize,
    /// Bytes of subjects, headers and payloads; one message may exceed it.
    pub bytes: usize,
}

impl Default for Budget {
    /// Enough to make a write to a socket worthwhile.
    fn default() -> Self {
        Budget { messages: 256, bytes: 256 << 10 }
    }
}

/// What was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delivered {
    /// Messages.
    pub messages: usize,
    /// Bytes of subjects, headers and payloads.
    pub bytes: usize,
}

/// Where a message comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Stream,
    SkipList,
    Redelivery,
}

/// A message that can be delivered.
struct Candidate {
    message: StoredMessage,
    /// The count of its delivery.
    count: u64,
    origin: Origin,
}

/// Why nothing can be delivered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stall {
    /// There is nothing, or nobody to give it to.
    Idle,
    /// Too many messages are not acknowledged.
    MaxAckPending,
    /// The message must wait for its moment.
    Paced,
}

impl Consumer {
    /// Delivers what can be delivered, within a budget. When the budget ends it,
    /// [`Consumer::is_ready`] stays true.
    pub fn deliver(&mut self, turn: &mut Turn<'_>, budget: Budget) -> Delivered {
        let mut delivered = Delivered::default();
        if !self.is_ready() {
            return delivered;
        }
        let mut replies = BytesMut::new();
        while delivered.messages < budget.messages && delivered.bytes < budget.bytes {
            match self.deliver_next(turn, &mut replies) {
                Ok(bytes) => {
                    delivered.messages += 1;
                    delivered.bytes = delivered.bytes.saturating_add(bytes);
                }
                Err(stall) => {
                    self.stall(turn, stall);
                    break;
                }
            }
        }
        self.check_invariants();
        delivered
    }

    /// Whether somebody could get a message now.
    pub(super) fn can_deliver(&self) -> bool {
        if self.pause_deadline.is_some() {
            return false;
        }
        match &self.mode {
            Mode::Push(push) => {
                push.active && !push.flow.as_ref().is_some_and(|flow| flow.is_stalled())
            }
            Mode::Pull(pull) => !pull.waiting.is_empty(),
        }
    }

    fn deliver_next(
        &mut self,
        turn: &mut Turn<'_>,
        replies: &mut BytesMut,
    ) -> Result<usize, Stall> {
        if !self.can_deliver() {
            return Err(Stall::Idle);
        }
        let candidate = self.next_candidate(turn)?;
        let sequence = candidate.message.sequence();
        let is_first = candidate.origin != Origin::Redelivery;
        let left = self.num_pending().saturating_sub(u64::from(is_first));
        let info = super::subjects::AckInfo {
            deliveries: candidate.count,
            stream: sequence.get(),
            consumer: self.progress.next_consumer.get(),
            timestamp: u64::try_from(candidate.message.timestamp().nanos()).unwrap_or(0),
            pending: left,
        };
        let reply = ack_reply(&self.ack_prefix, &info, replies);
        let headers_only = self.config().headers_only;
        let mut header = headers_only.then(|| {
            let mut header = candidate.message.header().to_vec();
            let size = candidate.message.payload().len();
            headers::append(&mut header, headers::MESSAGE_SIZE, &size.to_string());
            Bytes::from(header)
        });
        let payload_len = if headers_only { 0 } else { candidate.message.payload().len() };
        let header_len = header.as_ref().map_or(candidate.message.header().len(), Bytes::len);
        let content_len = reply.len() + header_len + payload_len;
        let size = candidate.message.subject().len() + content_len;
        if let Some(pacing) = &mut self.pacing
            && !pacing.admit(sequence, candidate.message.timestamp(), size as u64, turn.now)
        {
            return Err(Stall::Paced);
        }
        let mut served = None;
        let to = match &self.mode {
            Mode::Push(push) => push.subject.clone(),
            Mode::Pull(_) => {
                let min_pending = left.saturating_add(1);
                let Some(taker) = self.next_taker(turn, size, min_pending) else {
                    return Err(Stall::Idle);
                };
                if let Some(id) = taker.pin_id {
                    let stored = header.as_deref().unwrap_or(candidate.message.header());
                    let mut pinned = stored.to_vec();
                    headers::append(&mut pinned, PIN_ID, &id);
                    header = Some(Bytes::from(pinned));
                }
                let to = taker.served.reply.clone();
                served = Some(taker.served);
                to
            }
        };
        let flow_len = to.len() + content_len;
        let delivery = Delivery { to, reply, header, headers_only, message: candidate.message };
        self.commit(sequence, candidate.count, candidate.origin, turn.now);
        self.effect(ConsumerEffect::Deliver(delivery));
        self.after_delivery(served, flow_len, turn.now);
        Ok(size)
    }

    /// Counts a delivery.
    fn commit(&mut self, sequence: StreamSequence, count: u64, origin: Origin, now: Timestamp) {
        match origin {
            Origin::Redelivery => {
                self.redelivery.pop();
                self.progress.note_redelivery(sequence);
            }
            Origin::SkipList => {
                self.num_pending -= 1;
                self.progress.next_stream = sequence.next();
                if let Some(list) = &mut self.skip_list {
                    list.sequences.pop_front();
                    if list.sequences.is_empty() {
                        self.progress.next_stream = list.resume.max(sequence).next();
                        self.skip_list = None;
                    }
                }
            }
            Origin::Stream => {
                self.num_pending -= 1;
                self.progress.next_stream = sequence.next();
            }
        }
        let consumer = self.progress.next_consumer;
        self.progress.next_consumer = consumer.next();
        self.record_delivered(consumer, sequence, count, now, now);
        if self.config().ack_policy == AckPolicy::None {
            self.progress.floor.consumer = consumer;
            self.progress.floor.stream = self.progress.floor.stream.max(sequence);
            self.release(sequence, sequence);
        } else {
            self.progress.track(sequence, consumer, now);
            self.expect_ack(sequence, now);
        }
    }

    /// What follows a delivery: flow control, heartbeats, the end of a request, activity.
    fn after_delivery(&mut self, served: Option<Served>, bytes: usize, now: Timestamp) {
        let wants_acks =
            self.config().ack_policy == AckPolicy::FlowControl && self.is_at_max_ack_pending();
        match &mut self.mode {
            Mode::Push(push) => {
                let is_due =
                    push.flow.as_mut().is_some_and(|flow| flow.sent(bytes as u64, wants_acks));
                if is_due {
                    self.send_flow_control();
                }
                self.restart_heartbeat(now);
            }
            Mode::Pull(pull) => {
                pull.last_used = now;
                if let Some(served) = served {
                    self.finish_request(served);
                }
            }
        }
    }

    /// The next message: one that is due again, else the next of the skip list, else of the
    /// stream.
    fn next_candidate(&mut self, turn: &mut Turn<'_>) -> Result<Candidate, Stall> {
        if let Some(candidate) = self.next_redelivery(turn)? {
            return Ok(candidate);
        }
        if self.is_at_max_ack_pending() {
            return Err(Stall::MaxAckPending);
        }
        while let Some(sequence) =
            self.skip_list.as_ref().and_then(|list| list.sequences.front().copied())
        {
            match turn.store.load(sequence) {
                Ok(message) => {
                    return Ok(Candidate { message, count: 1, origin: Origin::SkipList });
                }
                Err(error) => {
                    // It was removed since; the others are still there.
                    self.skip(sequence);
                    if !is_gone(&error) {
                        return Err(self.lookup_failed(&error));
                    }
                }
            }
        }
        match turn.store.load_next(&self.filter, self.progress.next_stream) {
            Ok(Lookup::Found(message)) => {
                Ok(Candidate { message, count: 1, origin: Origin::Stream })
            }
            Ok(Lookup::Exhausted(last)) => {
                self.progress.next_stream = self.progress.next_stream.max(last.next());
                self.caught_up = true;
                self.reached_end(turn);
                Err(Stall::Idle)
            }
            Err(error) => Err(self.lookup_failed(&error)),
        }
    }

    /// Passes over a message of the skip list.
    pub(super) fn skip(&mut self, sequence: StreamSequence) -> bool {
        let Some(list) = &mut self.skip_list else { return false };
        let Ok(at) = list.sequences.binary_search(&sequence) else { return false };
        list.sequences.remove(at);
        if list.sequences.is_empty() {
            self.progress.next_stream = self.progress.next_stream.max(list.resume.next());
            self.skip_list = None;
        }
        true
    }

    /// The next message that is due again and may be delivered.
    fn next_redelivery(&mut self, turn: &mut Turn<'_>) -> Result<Option<Candidate>, Stall> {
        while let Some(sequence) = self.redelivery.front() {
            let count = self.progress.next_count(sequence);
            if self.gave_up_redelivery(sequence, count, turn.now) {
                self.redelivery.pop();
                continue;
            }
            match turn.store.load(sequence) {
                Ok(message) => {
                    return Ok(Some(Candidate { message, count, origin: Origin::Redelivery }));
                }
                Err(error) => {
                    self.redelivery.pop();
                    if !is_gone(&error) {
                        // It stays pending, and is tried again when it expires.
                        return Err(self.lookup_failed(&error));
                    }
                    self.terminate_gone(turn, sequence, super::acks::UNACKED_DELETED);
                }
            }
        }
        Ok(None)
    }

    fn lookup_failed(&mut self, error: &StoreError) -> Stall {
        let text = format!(
            "Received an error looking up message for consumer '{} > {} > {}': {error}",
            self.context.account, self.stream, self.name
        );
        self.effect(ConsumerEffect::Error(text));
        Stall::Idle
    }

    /// Waits until something changes.
    fn stall(&mut self, turn: &mut Turn<'_>, stall: Stall) {
        self.ready = false;
        if stall == Stall::Paced {
            return;
        }
        if let Some(pacing) = &mut self.pacing {
            pacing.let_go();
            pacing.caught_up(self.progress.next_stream);
            self.drop_idle_pacing();
        }
        if let Mode::Pull(pull) = &self.mode {
            // One-shot requests end here, but not while only acknowledgements are missing.
            let ends = stall != Stall::MaxAckPending && pull.waiting.has_no_wait();
            let is_due = pull.waiting.deadline().is_some_and(|deadline| deadline <= turn.now);
            if ends || is_due {
                self.check_waiting(turn.interest, turn.now, stall != Stall::MaxAckPending);
            }
        }
    }
}

/// The reply subject of a delivery, cut off a buffer that others share.
fn ack_reply(prefix: &str, info: &super::subjects::AckInfo, buffer: &mut BytesMut) -> Bytes {
    // Five numbers of at most 20 digits, and dots.
    let needed = prefix.len() + 5 * 21;
    if buffer.capacity() < needed {
        // A call that delivers a single message makes no more than that takes.
        let is_first = buffer.capacity() == 0;
        let len = if is_first { needed } else { REPLY_BUFFER_LEN.max(needed) };
        *buffer = BytesMut::with_capacity(len);
    }
    buffer.extend_from_slice(prefix.as_bytes());
    info.write(buffer);
    buffer.split().freeze()
}

/// Whether a message is simply not there any more.
pub(super) fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::MessageNotFound | StoreError::DeletedMessage)
}
