//! Deliveries of sources (spec 07a §A11.2).

use super::delivery::{Delivery, source_header};
use super::mirroring::stripped;
use crate::api_error::ErrorKind;
use crate::headers;
use crate::stream::Stream;
use crate::stream::apply::{Member, Place};
use crate::stream::check::Refusal;
use crate::stream::message::{Inbound, Origin, Published};
use crate::time::Timestamp;
use bytes::Bytes;

impl Stream {
    /// Takes in a message of a source, which gets a sequence and time of its own.
    pub(super) fn source_delivered(&mut self, number: usize, message: Inbound, now: Timestamp) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        let Some(delivery) = Delivery::of_reply(&message.reply) else { return };
        if link.consumer != delivery.consumer || delivery.deliveries > 1 {
            return;
        }
        let (origin_sequence, delivered) = (link.origin_sequence, link.delivered);
        let is_next = delivery.consumer_sequence == delivered.saturating_add(1);
        if delivery.stream_sequence <= origin_sequence {
            if is_next {
                link.delivered = delivery.consumer_sequence;
            }
            return;
        }
        if !is_next {
            if delivery.consumer_sequence > delivered {
                // Deliveries got lost.
                link.next_sequence = origin_sequence.saturating_add(1);
                self.retry(number, now);
            }
            return;
        }
        link.delivered = delivery.consumer_sequence;
        link.origin_sequence = delivery.stream_sequence;
        link.set_pending(delivery.pending);
        let mut header = stripped(&message.header).to_vec();
        headers::remove(&mut header, headers::STREAM_SOURCE);
        let value = source_header(&link.index_name, delivery.stream_sequence, &message.subject);
        headers::append(&mut header, headers::STREAM_SOURCE, &value);
        let random = &mut self.random;
        let Some(link) = self.sourcing.link(number) else { return };
        let inbound = Inbound {
            subject: link.transformed(&message.subject, || random.bits()),
            reply: Bytes::new(),
            header: header.into(),
            payload: message.payload,
            from: Origin::Source,
        };
        let published = match self.check(inbound, now) {
            Ok(proposal) => self.apply_as(&proposal, Place::Next, Member::No, now),
            Err(Refusal::Error(error)) => Published::Refused(error),
            // It was sourced, or published here, before.
            Err(Refusal::Duplicate(sequence)) => Published::Duplicate(sequence),
        };
        match published {
            Published::Refused(error) => {
                // A full stream is no error: its source waits until there is room.
                if !error.is(ErrorKind::StreamStoreFailed) {
                    let name = self.sourcing.link(number).map(|link| link.index_name.as_str());
                    self.warn(format!(
                        "Error processing inbound source {} for '{}' > '{}': {error}",
                        crate::quote::quote(name.unwrap_or_default()),
                        self.context.account,
                        self.config.name
                    ));
                }
                if let Some(link) = self.sourcing.link_mut(number) {
                    link.delivered = delivered;
                    link.origin_sequence = origin_sequence;
                    link.next_sequence = delivery.stream_sequence;
                }
                self.retry(number, now);
            }
            Published::Failed(_) => self.disconnect(number),
            _ => {}
        }
    }
}
