//! Delivery to a subject of the consumer's own: who listens, heartbeats, flow control (spec 07b
//! §B3.4, §B3.5).

use super::{Consumer, ConsumerEffect, Mode, Turn};
use crate::config::AckPolicy;
use crate::headers;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;
use std::time::Duration;

const FLOW_CONTROL_NAME_LEN: usize = 4;

impl Consumer {
    /// Whether anybody listens on the deliver subject.
    pub fn is_active(&self) -> bool {
        !self.closed && matches!(&self.mode, Mode::Push(push) if push.active)
    }

    /// Interest in the deliver subject came or went: with a deliver group, that of its queue.
    pub fn interest_changed(&mut self, active: bool, now: Timestamp) {
        if !self.closed {
            self.set_active(active, now);
        }
    }

    pub(super) fn set_active(&mut self, active: bool, now: Timestamp) {
        let interval = self.heartbeat_interval();
        let Mode::Push(push) = &mut self.mode else { return };
        if active && !push.active {
            self.ready = true;
            push.heartbeat = interval.map(|interval| now.saturating_add(interval));
        }
        push.active = active;
        if active {
            self.delete_deadline = None;
        } else {
            push.heartbeat = None;
            if self.delete_deadline.is_none() {
                self.restart_inactivity(now);
            }
        }
    }

    fn heartbeat_interval(&self) -> Option<Duration> {
        let nanos = u64::try_from(self.config().idle_heartbeat).ok()?;
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// The next heartbeat is due after a whole interval without messages.
    pub(super) fn restart_heartbeat(&mut self, now: Timestamp) {
        let interval = self.heartbeat_interval();
        if let Mode::Push(push) = &mut self.mode {
            push.heartbeat = interval.map(|interval| now.saturating_add(interval));
        }
    }

    /// Nothing was sent for a while: says that the consumer is there.
    pub(super) fn send_push_heartbeat(&mut self, now: Timestamp) {
        let mut header = self.heartbeat_header().into_bytes();
        let Mode::Push(push) = &self.mode else { return };
        let subject = push.subject.clone();
        let unanswered = push.flow.as_ref().and_then(|flow| flow.unanswered());
        let is_answered = push.flow.is_some() && unanswered.is_none();
        if let Some(reply) = unanswered {
            let reply = String::from_utf8_lossy(reply).into_owned();
            headers::append(&mut header, headers::CONSUMER_STALLED, &reply);
        }
        let (reply, header) = (Bytes::new(), Bytes::from(header));
        self.effect(ConsumerEffect::Send { subject, reply, header });
        let by_flow_control = self.config().ack_policy == AckPolicy::FlowControl;
        if by_flow_control && is_answered && !self.progress.pending.is_empty() {
            self.send_flow_control();
        }
        self.restart_heartbeat(now);
    }

    /// Asks the client to confirm that it keeps up.
    pub(super) fn send_flow_control(&mut self) {
        let mut reply = self.context.flow_control_prefix(&self.stream, &self.name);
        self.random.append_name(FLOW_CONTROL_NAME_LEN, &mut reply);
        let reply = Bytes::from(reply);
        let Mode::Push(push) = &mut self.mode else { return };
        let Some(flow) = &mut push.flow else { return };
        flow.requested(reply.clone());
        let subject = push.subject.clone();
        let header = Bytes::from_static(b"NATS/1.0 100 FlowControl Request\r\n\r\n");
        self.effect(ConsumerEffect::Send { subject, reply, header });
    }

    /// A message came on a flow control subject of the consumer: the answer to a request, if it
    /// was sent to the latest one.
    pub fn flow_control_reply(&mut self, turn: &mut Turn<'_>, subject: &[u8], header: &[u8]) {
        let Mode::Push(push) = &mut self.mode else { return };
        let Some(flow) = &mut push.flow else { return };
        if self.closed || !flow.answered(subject) {
            return;
        }
        self.ready = true;
        if self.config().ack_policy == AckPolicy::FlowControl {
            let number = |name| {
                let value = headers::value(header, name)?;
                std::str::from_utf8(value).ok()?.parse::<u64>().ok()
            };
            let stream = number(headers::LAST_STREAM).unwrap_or(0);
            let consumer = number(headers::LAST_CONSUMER).unwrap_or(0);
            if stream > 0 {
                self.acknowledge_by_flow_control(turn, consumer.into(), stream.into());
            }
        }
        self.check_invariants();
    }

    /// A message that was delivered to `to` reached nobody.
    pub fn delivery_failed(&mut self, turn: &mut Turn<'_>, stream: StreamSequence, to: &[u8]) {
        if self.closed || !self.progress.pending.contains_key(&stream) {
            if self.config().is_push() && !self.closed {
                let active = turn.interest.has_interest(None, to, Duration::MAX);
                self.set_active(active, turn.now);
            }
            return;
        }
        self.progress.forget_delivery(stream);
        if self.config().is_push() {
            // It expires like others that are not acknowledged, and is sent to whoever listens
            // by then.
            let active = turn.interest.has_interest(None, to, Duration::MAX);
            self.set_active(false, turn.now);
            self.set_active(active, turn.now);
        } else {
            self.check_waiting(turn.interest, turn.now, false);
            self.credit_request(to);
            self.redelivery.push(stream);
            self.ready = true;
        }
        self.check_invariants();
    }
}
