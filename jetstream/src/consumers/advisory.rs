//! What a consumer tells those who watch it (spec 07c §C8).
//!
//! Mostly nobody listens: so an advisory is kept as it came about, and becomes JSON only when its
//! driver has found an interested subscriber.

use crate::config::ConsumerConfig;
use crate::gojson;
use crate::time::{DateTime, Timestamp};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// An event of one consumer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advisory {
    /// When it happened.
    pub time: Timestamp,
    /// The stream.
    pub stream: String,
    /// The consumer.
    pub consumer: String,
    /// What happened.
    pub event: Event,
}

/// A delivery that an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AboutDelivery {
    /// The number of the delivery.
    pub consumer_seq: u64,
    /// The message.
    pub stream_seq: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// What happened to a consumer or one of its messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// It rests, or goes on.
    Pause {
        /// Whether it rests now.
        paused: bool,
        /// Until when.
        until: DateTime,
    },
    /// A client became the only one that gets messages.
    Pinned {
        /// The account.
        account: String,
        /// The priority group.
        group: String,
        /// The id given to the client.
        id: String,
    },
    /// A client is no longer the only one.
    Unpinned {
        /// The account.
        account: String,
        /// The priority group.
        group: String,
        /// `admin` or `timeout`.
        reason: &'static str,
    },
    /// A message is not delivered any more.
    MaxDeliver {
        /// The message.
        stream_seq: u64,
        /// How often it was delivered.
        deliveries: u64,
    },
    /// A client wants a message again.
    Nak(AboutDelivery),
    /// A message is not to be delivered any more.
    Terminated {
        /// The delivery.
        delivery: AboutDelivery,
        /// Why; may be empty.
        reason: String,
    },
    /// A sample of an acknowledgement.
    Acked {
        /// The delivery.
        delivery: AboutDelivery,
        /// Nanoseconds from delivery to acknowledgement.
        ack_time: i64,
    },
}

impl Event {
    pub(super) fn pause(config: &ConsumerConfig, now: Timestamp) -> Self {
        let until = config.pause_until.unwrap_or(DateTime::ZERO);
        Event::Pause { paused: is_after(until, now), until }
    }

    /// Where it is published, without the names at the end; and its type, without the beginning.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Event::Created => ("ADVISORY.CONSUMER.CREATED", "advisory.v1.consumer_action"),
            Event::Deleted => ("ADVISORY.CONSUMER.DELETED", "advisory.v1.consumer_action"),
            Event::Pause { .. } => ("ADVISORY.CONSUMER.PAUSE", "advisory.v1.consumer_pause"),
            Event::Pinned { .. } => {
                ("ADVISORY.CONSUMER.PINNED", "advisory.v1.consumer_group_pinned")
            }
            Event::Unpinned { .. } => {
                ("ADVISORY.CONSUMER.UNPINNED", "advisory.v1.consumer_group_unpinned")
            }
            Event::MaxDeliver { .. } => {
                ("ADVISORY.CONSUMER.MAX_DELIVERIES", "advisory.v1.max_deliver")
            }
            Event::Nak(_) => ("ADVISORY.CONSUMER.MSG_NAKED", "advisory.v1.nak"),
            Event::Terminated { .. } => {
                ("ADVISORY.CONSUMER.MSG_TERMINATED", "advisory.v1.terminated")
            }
            Event::Acked { .. } => ("METRIC.CONSUMER.ACK", "metric.v1.consumer_ack"),
        }
    }
}

/// Whether a moment lies in the future. No time at all never does.
pub(super) fn is_after(moment: DateTime, now: Timestamp) -> bool {
    !moment.is_zero() && moment.to_timestamp() > now
}

impl Advisory {
    /// Where it is published.
    pub fn subject(&self) -> String {
        format!("$JS.EVENT.{}.{}.{}", self.event.names().0, self.stream, self.consumer)
    }

    /// Its JSON. `id` is to be different for each.
    pub fn to_json(&self, id: &str, domain: Option<&str>) -> Vec<u8> {
        let domain = domain.filter(|domain| !domain.is_empty());
        // Texts and numbers always have a JSON form.
        gojson::to_vec(&Encoded { advisory: self, id, domain }).unwrap_or_default()
    }
}

struct Encoded<'a> {
    advisory: &'a Advisory,
    id: &'a str,
    domain: Option<&'a str>,
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Encoded { advisory, id, domain } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format!("io.nats.jetstream.{}", advisory.event.names().1))?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("timestamp", &advisory.time)?;
        if let Event::Pinned { account, .. } | Event::Unpinned { account, .. } = &advisory.event
            && !account.is_empty()
        {
            map.serialize_entry("account", account)?;
        }
        map.serialize_entry("stream", &advisory.stream)?;
        map.serialize_entry("consumer", &advisory.consumer)?;
        let delivery = |about: &AboutDelivery, map: &mut S::SerializeMap| {
            map.serialize_entry("consumer_seq", &about.consumer_seq)?;
            map.serialize_entry("stream_seq", &about.stream_seq)
        };
        match &advisory.event {
            Event::Created => map.serialize_entry("action", "create")?,
            Event::Deleted => map.serialize_entry("action", "delete")?,
            Event::Pause { paused, until } => {
                map.serialize_entry("paused", paused)?;
                map.serialize_entry("pause_until", until)?;
            }
            Event::Pinned { group, id, .. } => {
                // Here the domain comes before the rest.
                serialize_domain(&mut map, *domain)?;
                map.serialize_entry("group", group)?;
                map.serialize_entry("pinned_id", id)?;
                return map.end();
            }
            Event::Unpinned { group, reason, .. } => {
                serialize_domain(&mut map, *domain)?;
                map.serialize_entry("group", group)?;
                map.serialize_entry("reason", reason)?;
                return map.end();
            }
            Event::MaxDeliver { stream_seq, deliveries } => {
                map.serialize_entry("stream_seq", stream_seq)?;
                map.serialize_entry("deliveries", deliveries)?;
            }
            Event::Nak(about) => {
                delivery(about, &mut map)?;
                map.serialize_entry("deliveries", &about.deliveries)?;
            }
            Event::Terminated { delivery: about, reason } => {
                delivery(about, &mut map)?;
                map.serialize_entry("deliveries", &about.deliveries)?;
                if !reason.is_empty() {
                    map.serialize_entry("reason", reason)?;
                }
            }
            Event::Acked { delivery: about, ack_time } => {
                delivery(about, &mut map)?;
                map.serialize_entry("ack_time", ack_time)?;
                map.serialize_entry("deliveries", &about.deliveries)?;
            }
        }
        serialize_domain(&mut map, *domain)?;
        map.end()
    }
}

fn serialize_domain<M: SerializeMap>(map: &mut M, domain: Option<&str>) -> Result<(), M::Error> {
    match domain {
        Some(domain) => map.serialize_entry("domain", domain),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: Event, domain: Option<&str>) -> (String, String) {
        let advisory = Advisory {
            time: Timestamp::from_seconds(1_700_000_000),
            stream: "S".to_owned(),
            consumer: "C".to_owned(),
            event,
        };
        let json = String::from_utf8(advisory.to_json("ID", domain)).expect("UTF-8");
        (advisory.subject(), json)
    }

    #[test]
    fn every_advisory_has_its_subject_and_form() {
        let delivery = AboutDelivery { consumer_seq: 3, stream_seq: 2, deliveries: 1 };
        let until = DateTime::parse("2030-01-01T00:00:00Z").expect("a date");
        for (event, place, kind, rest) in [
            (
                Event::Created,
                "ADVISORY.CONSUMER.CREATED",
                "advisory.v1.consumer_action",
                r#""action":"create""#,
            ),
            (
                Event::Deleted,
                "ADVISORY.CONSUMER.DELETED",
                "advisory.v1.consumer_action",
                r#""action":"delete""#,
            ),
            (
                Event::Pause { paused: true, until },
                "ADVISORY.CONSUMER.PAUSE",
                "advisory.v1.consumer_pause",
                r#""paused":true,"pause_until":"2030-01-01T00:00:00Z""#,
            ),
            (
                Event::MaxDeliver { stream_seq: 2, deliveries: 5 },
                "ADVISORY.CONSUMER.MAX_DELIVERIES",
                "advisory.v1.max_deliver",
                r#""stream_seq":2,"deliveries":5"#,
            ),
            (
                Event::Nak(delivery),
                "ADVISORY.CONSUMER.MSG_NAKED",
                "advisory.v1.nak",
                r#""consumer_seq":3,"stream_seq":2,"deliveries":1"#,
            ),
            (
                Event::Terminated { delivery, reason: "why <not>".to_owned() },
                "ADVISORY.CONSUMER.MSG_TERMINATED",
                "advisory.v1.terminated",
                r#""consumer_seq":3,"stream_seq":2,"deliveries":1,"reason":"why \u003cnot\u003e""#,
            ),
            (
                Event::Terminated { delivery, reason: String::new() },
                "ADVISORY.CONSUMER.MSG_TERMINATED",
                "advisory.v1.terminated",
                r#""consumer_seq":3,"stream_seq":2,"deliveries":1"#,
            ),
            (
                Event::Acked { delivery, ack_time: 77 },
                "METRIC.CONSUMER.ACK",
                "metric.v1.consumer_ack",
                r#""consumer_seq":3,"stream_seq":2,"ack_time":77,"deliveries":1"#,
            ),
        ] {
            let start = format!(
                r#"{{"type":"io.nats.jetstream.{kind}","id":"ID","timestamp":"2023-11-14T22:13:20Z","stream":"S","consumer":"C",{rest}"#
            );
            let subject = format!("$JS.EVENT.{place}.S.C");
            assert_eq!(json(event.clone(), None), (subject.clone(), format!("{start}}}")));
            let with_domain = format!(r#"{start},"domain":"HUB"}}"#);
            assert_eq!(json(event, Some("HUB")), (subject, with_domain));
        }
    }

    #[test]
    fn pins_name_account_and_group() {
        let (account, group) = ("$G".to_owned(), "A".to_owned());
        let pinned =
            Event::Pinned { account: account.clone(), group: group.clone(), id: "P".to_owned() };
        assert_eq!(
            json(pinned, Some("HUB")).1,
            r#"{"type":"io.nats.jetstream.advisory.v1.consumer_group_pinned","id":"ID","timestamp":"2023-11-14T22:13:20Z","account":"$G","stream":"S","consumer":"C","domain":"HUB","group":"A","pinned_id":"P"}"#
        );
        let (subject, json) = json(Event::Unpinned { account, group, reason: "admin" }, None);
        assert_eq!(subject, "$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.S.C");
        assert!(json.ends_with(r#""stream":"S","consumer":"C","group":"A","reason":"admin"}"#));
    }
}
