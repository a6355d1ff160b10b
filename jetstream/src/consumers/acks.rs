//! What clients say about messages they got (spec 07b §B4).

use super::advisory::{AboutDelivery, Event};
use super::subjects::AckInfo;
use super::{Consumer, Turn};
use crate::config::AckPolicy;
use crate::duration;
use crate::time::Timestamp;
use crate::types::{ConsumerSequence, SequencePair, StreamSequence};
use parser::json_input::{self, Kind, Value};

const NAK: &[u8] = b"-NAK";
const NEXT: &[u8] = b"+NXT";
const TERM: &[u8] = b"+TERM";
const PROGRESS: &[u8] = b"+WPI";
const NAK_OPTIONS: [(&str, Kind); 1] =
    [("delay", Kind::Integer("time.Duration", i64::MIN, i64::MAX))];

/// Why the server terminates messages itself.
pub(super) const DELETED_BY_LIMITS: &str = "Message deleted by stream limits";
/// As [`DELETED_BY_LIMITS`], for one message that was removed.
pub(super) const UNACKED_DELETED: &str = "Unacknowledged message was deleted";

/// A delivery as the subject of its acknowledgement names it.
#[derive(Clone, Copy)]
struct Named {
    stream: StreamSequence,
    consumer: ConsumerSequence,
    deliveries: u64,
}

impl Named {
    fn about(self) -> AboutDelivery {
        AboutDelivery {
            consumer_seq: self.consumer.get(),
            stream_seq: self.stream.get(),
            deliveries: self.deliveries,
        }
    }
}

impl Consumer {
    /// A client answered a message: `subject` is the message's reply subject, `reply` where the
    /// client wants a confirmation, empty for none. Headers are left out of `payload`.
    ///
    /// `imported` is for `+NXT`, as in [`Consumer::pull`].
    pub fn ack(
        &mut self,
        turn: &mut Turn<'_>,
        subject: &[u8],
        reply: &[u8],
        payload: &[u8],
        imported: Option<super::ImportedInterest>,
    ) {
        if self.closed {
            return;
        }
        if self.config().inactive_threshold > 0 {
            self.note_use(turn.now);
        }
        let info = AckInfo::parse(subject).unwrap_or_default();
        let named = Named {
            stream: info.stream.into(),
            consumer: info.consumer.into(),
            deliveries: info.deliveries,
        };
        let is_confirmed = match payload {
            b"" | b"+ACK" | b"+OK" => self.acknowledge(turn, named, true),
            PROGRESS => {
                self.progress_update(named.stream, turn.now);
                true
            }
            _ if payload.starts_with(NEXT) => {
                self.acknowledge(turn, named, true);
                self.pull(turn, reply, b"", &payload[NEXT.len()..], imported);
                false
            }
            _ if payload.starts_with(NAK) => {
                self.nak(named, &payload[NAK.len()..], turn.now);
                true
            }
            _ if payload.starts_with(TERM) => {
                let reason = String::from_utf8_lossy(payload[TERM.len()..].trim_ascii());
                self.terminate(turn, named, reason.into_owned())
            }
            _ => true,
        };
        if is_confirmed && !named.stream.is_zero() {
            self.confirm(reply);
        }
        self.check_invariants();
    }

    /// Takes an acknowledgement; returns whether it may be confirmed.
    fn acknowledge(&mut self, turn: &mut Turn<'_>, named: Named, sample: bool) -> bool {
        let Named { stream, consumer, .. } = named;
        // Consumers with flow control are told of deliveries, and may hear of them late.
        if stream >= self.progress.next_stream && !self.config().flow_control {
            let last = turn.store.fast_state().last_seq;
            if stream > last {
                self.warn(format!(
                    "JetStream consumer '{} > {} > {}' ACK sequence {stream} past last stream sequence of {last}",
                    self.context.account, self.stream, self.name
                ));
            }
            return false;
        }
        let unblocks = self.is_at_max_ack_pending();
        let consumer = match self.config().ack_policy {
            AckPolicy::None => return false,
            AckPolicy::Explicit => {
                self.acknowledge_one(named, sample, turn.now).unwrap_or(consumer)
            }
            AckPolicy::All | AckPolicy::FlowControl => {
                // What was never delivered cannot be acknowledged, whatever the client says.
                let delivered = self.progress.delivered();
                let floor = SequencePair {
                    consumer: consumer.min(delivered.consumer),
                    stream: stream.min(delivered.stream),
                };
                let current = self.progress.floor;
                if floor.consumer <= current.consumer || floor.stream <= current.stream {
                    return true;
                }
                let acknowledged = self.progress.acknowledge_up_to(floor);
                self.redelivery.keep_from(floor.stream.next());
                self.record_acked(floor.consumer, floor.stream, turn.now);
                self.release_all(acknowledged, floor.stream);
                self.ready |= unblocks;
                return true;
            }
        };
        self.record_acked(consumer, stream, turn.now);
        self.release(stream, stream);
        self.ready |= unblocks;
        true
    }

    /// Takes one message off what is pending; returns the number of its first delivery.
    fn acknowledge_one(
        &mut self,
        named: Named,
        sample: bool,
        now: Timestamp,
    ) -> Option<ConsumerSequence> {
        let pending = self.progress.pending.remove(&named.stream);
        if let Some(pending) = pending {
            if sample && self.is_sampled() {
                let ack_time = now.nanos().saturating_sub(pending.timestamp.nanos());
                self.advise(Event::Acked { delivery: named.about(), ack_time }, now);
            }
            self.progress.raise_floor(pending.sequence, named.stream);
        }
        self.progress.redelivered.remove(&named.stream);
        self.redelivery.remove(named.stream);
        pending.map(|pending| pending.sequence)
    }

    fn is_sampled(&mut self) -> bool {
        match self.config().sample_percent() {
            0 => false,
            100.. => true,
            // One in a hundred more than asked for, as in the reference.
            percent => self.random.below(100) <= percent,
        }
    }

    /// The client is still at work.
    fn progress_update(&mut self, stream: StreamSequence, now: Timestamp) {
        if let Some(pending) = self.progress.pending.get_mut(&stream) {
            pending.timestamp = now;
            let consumer = pending.sequence;
            self.record_delivered(consumer, stream, 1, now, now);
        }
    }

    /// The client wants the message again, at once or later.
    fn nak(&mut self, named: Named, argument: &[u8], now: Timestamp) {
        let Named { stream, consumer, .. } = named;
        let is_known = consumer > self.progress.floor.consumer
            && consumer <= self.progress.next_consumer
            && self.progress.pending.contains_key(&stream);
        if !is_known {
            return;
        }
        self.advise(Event::Nak(named.about()), now);
        let argument = argument.trim_ascii();
        if !argument.is_empty() {
            if let Some(delay) = nak_delay(argument) {
                self.delay_redelivery(stream, delay, now);
                return;
            }
            let shown = parser::quote::quote(argument);
            self.warn(format!(
                "JetStream consumer '{} > {} > {}' bad NAK delay value: {shown}",
                self.context.account, self.stream, self.name
            ));
        }
        self.redelivery.push(stream);
        self.ready = true;
    }

    /// Delivers a pending message again after `delay` nanoseconds.
    fn delay_redelivery(&mut self, stream: StreamSequence, delay: i64, now: Timestamp) {
        self.redelivery.remove(stream);
        let count = self.progress.redeliveries(stream).saturating_add(1);
        let ack_wait = self.config().ack_wait;
        let Some(pending) = self.progress.pending.get_mut(&stream) else { return };
        // Then it expires, by the usual wait, when the delay has passed.
        let nanos = now.nanos().saturating_sub(ack_wait).saturating_add(delay);
        pending.timestamp = Timestamp::from_nanos(nanos);
        let (consumer, timestamp) = (pending.sequence, pending.timestamp);
        self.record_delivered(consumer, stream, count, timestamp, now);
        self.expect_ack(stream, timestamp);
    }

    /// The message is not to be delivered any more; returns whether that may be confirmed.
    fn terminate(&mut self, turn: &mut Turn<'_>, named: Named, reason: String) -> bool {
        let is_confirmed = self.acknowledge(turn, named, false);
        self.advise(Event::Terminated { delivery: named.about(), reason }, turn.now);
        is_confirmed
    }

    /// Gives up a pending message that is gone from the stream.
    pub(super) fn terminate_gone(
        &mut self,
        turn: &mut Turn<'_>,
        stream: StreamSequence,
        reason: &str,
    ) {
        let Some(pending) = self.progress.pending.get(&stream).copied() else { return };
        let deliveries = self.progress.redeliveries(stream).max(1);
        let named = Named { stream, consumer: pending.sequence, deliveries };
        let is_first = self.progress.pending.first_key_value().is_some_and(|(at, _)| *at == stream);
        if self.config().ack_policy == AckPolicy::Explicit || is_first {
            self.terminate(turn, named, reason.to_owned());
            return;
        }
        // Acknowledging it would acknowledge those before it, which were not deleted. The
        // reference does that, and so forgets messages that nobody acknowledged.
        self.ready |= self.is_at_max_ack_pending();
        self.progress.pending.remove(&stream);
        self.progress.redelivered.remove(&stream);
        self.redelivery.remove(stream);
        self.record_state("deleted message");
        let delivery = named.about();
        self.advise(Event::Terminated { delivery, reason: reason.to_owned() }, turn.now);
    }

    /// An answer to flow control came, for consumers that are acknowledged by it.
    pub(super) fn acknowledge_by_flow_control(
        &mut self,
        turn: &mut Turn<'_>,
        consumer: ConsumerSequence,
        stream: StreamSequence,
    ) {
        let named = Named { stream, consumer, deliveries: 1 };
        self.acknowledge(turn, named, false);
    }
}

/// The delay a NAK asks for in nanoseconds: an object with `delay`, or a duration.
fn nak_delay(argument: &[u8]) -> Option<i64> {
    if argument.first() != Some(&b'{') {
        return duration::parse(argument);
    }
    let mut delay = 0;
    json_input::decode(argument, "ConsumerNakOptions", &NAK_OPTIONS, &mut |_, value| {
        if let Value::Integer(nanos) = value {
            delay = nanos;
        }
    })
    .ok()
    .map(|()| delay)
}
