//! Deliveries of a mirror's origin (spec 07a §A11.1).

use super::delivery::Delivery;
use crate::error::StoreResult;
use crate::headers;
use crate::stream::Stream;
use crate::stream::apply::{Member, Place};
use crate::stream::check::Refusal;
use crate::stream::message::{Inbound, Origin, Published, StreamEffect};
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;

/// A mirror this many messages behind may answer for its origin.
const CAUGHT_UP: u64 = 10;

/// The header of an origin's message without what its publisher asked of the origin alone.
pub(super) fn stripped(header: &Bytes) -> Bytes {
    let has = |prefix: &str| memchr::memmem::find(header, prefix.as_bytes()).is_some();
    if !has("Nats-Expected-") && !has("Nats-Batch-") {
        return header.clone();
    }
    let mut rest = header.to_vec();
    headers::remove_with_prefix(&mut rest, "Nats-Expected-");
    headers::remove_with_prefix(&mut rest, "Nats-Batch-");
    rest.into()
}

impl Stream {
    /// Takes in a message of the mirrored stream, which keeps its sequence and time.
    pub(super) fn mirror_delivered(&mut self, number: usize, message: Inbound, now: Timestamp) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        let Some(delivery) = Delivery::of_reply(&message.reply) else { return };
        if link.consumer != delivery.consumer || delivery.deliveries > 1 {
            return;
        }
        let (lag, origin_sequence, delivered) = (link.lag, link.origin_sequence, link.delivered);
        if delivery.stream_sequence <= origin_sequence {
            if delivery.consumer_sequence == delivered.saturating_add(1) {
                link.delivered = delivery.consumer_sequence;
            }
            return;
        }
        if delivery.stream_sequence > origin_sequence.saturating_add(1) {
            if delivery.consumer_sequence != delivered.saturating_add(1) {
                // Deliveries got lost.
                return self.retry(number, now);
            }
            // The origin has nothing in between any more.
            let last = StreamSequence::new(delivery.stream_sequence).previous();
            if self.skip_to(last, now).is_err() {
                return self.retry(number, now);
            }
        }
        let Some(link) = self.sourcing.link_mut(number) else { return };
        link.delivered = delivery.consumer_sequence;
        link.origin_sequence = delivery.stream_sequence;
        link.set_pending(delivery.pending);
        if self.config.mirror_direct && !link.has_caught_up && delivery.pending < CAUGHT_UP {
            link.has_caught_up = true;
            self.outbox.push(StreamEffect::MirrorCaughtUp);
        }
        let Some(link) = self.sourcing.link(number) else { return };
        let random = &mut self.random;
        let inbound = Inbound {
            subject: link.transformed(&message.subject, || random.bits()),
            reply: Bytes::new(),
            header: stripped(&message.header),
            payload: message.payload,
            from: Origin::Mirror,
        };
        let place = Place::At {
            sequence: StreamSequence::new(delivery.stream_sequence),
            timestamp: delivery.timestamp,
        };
        let published = match self.check(inbound, now) {
            Ok(proposal) => self.apply_as(&proposal, place, Member::No, now),
            Err(Refusal::Error(error)) => Published::Refused(error),
            Err(Refusal::Duplicate(sequence)) => Published::Duplicate(sequence),
        };
        match published {
            Published::Refused(error) => self.warn(format!(
                "Error processing inbound mirror message for '{}' > '{}': {error}",
                self.context.account, self.config.name
            )),
            Published::OutOfSequence => {
                let last = self.last_sequence.get();
                if let Some(link) = self.sourcing.link_mut(number) {
                    link.lag = lag;
                    link.delivered = delivered;
                    link.origin_sequence =
                        if delivery.stream_sequence <= last { last } else { origin_sequence };
                }
                self.retry(number, now);
            }
            Published::Failed(_) => self.disconnect(number),
            _ => {}
        }
    }

    /// Uses up all sequences up to `last` without messages.
    pub(super) fn skip_to(&mut self, last: StreamSequence, now: Timestamp) -> StoreResult<()> {
        let count = last.get().saturating_sub(self.last_sequence.get());
        if count == 0 {
            return Ok(());
        }
        self.store.skip_many(self.last_sequence.next(), count, now)?;
        self.drain_store();
        self.last_sequence = last;
        Ok(())
    }
}
