//! The vocabulary of the stores: sequences, the state of a stream, totals and limits.
//!
//! Spec 06 §13, §15, §16. Nothing here does anything; the configuration structs are in
//! [`crate::config`].

use crate::time::Timestamp;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;
use std::fmt;

macro_rules! sequence_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first sequence: sequences of messages start at 1.
            pub const ZERO: $name = $name(0);

            /// The sequence with this number.
            pub const fn new(number: u64) -> Self {
                $name(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Whether this is sequence 0, which no message has.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// The sequence after this one, saturating.
            pub const fn next(self) -> Self {
                $name(self.0.saturating_add(1))
            }

            /// The sequence before this one, saturating at 0.
            pub const fn previous(self) -> Self {
                $name(self.0.saturating_sub(1))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                $name(number)
            }
        }
    };
}

sequence_type! {
    /// The number of a message in its stream.
    StreamSequence
}

sequence_type! {
    /// The number of a delivery of a consumer.
    ConsumerSequence
}

/// A delivery seen from both sides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct SequencePair {
    /// The consumer's count of deliveries.
    #[serde(rename = "consumer_seq")]
    pub consumer: ConsumerSequence,
    /// The message's place in the stream.
    #[serde(rename = "stream_seq")]
    pub stream: StreamSequence,
}

/// Count and ends of the messages of one subject, or of those that match a filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct SimpleState {
    /// How many messages.
    #[serde(rename = "messages")]
    pub messages: u64,
    /// The first of them, 0 when there is none.
    #[serde(rename = "first_seq")]
    pub first: StreamSequence,
    /// The last of them, 0 when there is none.
    #[serde(rename = "last_seq")]
    pub last: StreamSequence,
}

/// Messages that a recovery found missing or damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LostStreamData {
    /// Their sequences where known, in order; `None` is written as `null`.
    #[serde(rename = "msgs")]
    pub messages: Option<Vec<u64>>,
    /// How many bytes of the store they took.
    pub bytes: u64,
}

/// The state of a stream, in the form spec 06 §16 gives for JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct StreamState {
    /// Messages held.
    #[serde(default)]
    pub messages: u64,
    /// Bytes held, as the storage type accounts for them.
    #[serde(default)]
    pub bytes: u64,
    /// The first message held; one past the last sequence when the stream is empty.
    #[serde(default)]
    pub first_seq: StreamSequence,
    /// When that message was stored.
    #[serde(default, rename = "first_ts")]
    pub first_time: Timestamp,
    /// The last sequence given out; it never goes back.
    #[serde(default)]
    pub last_seq: StreamSequence,
    /// When the last sequence was given out.
    #[serde(default, rename = "last_ts")]
    pub last_time: Timestamp,
    /// Distinct subjects held.
    #[serde(default)]
    pub num_subjects: u64,
    /// Messages per subject, only where asked for.
    #[serde(default)]
    pub subjects: Option<BTreeMap<String, u64>>,
    /// Sequences between first and last that hold nothing.
    #[serde(default)]
    pub num_deleted: u64,
    /// Those sequences in order, only in the detailed state.
    #[serde(default)]
    pub deleted: Vec<u64>,
    /// What was lost, only in the detailed state.
    #[serde(default)]
    pub lost: Option<LostStreamData>,
    /// Consumers of the stream.
    #[serde(default, rename = "consumer_count")]
    pub consumers: u64,
}

impl Serialize for StreamState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("messages", &self.messages)?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("first_seq", &self.first_seq)?;
        map.serialize_entry("first_ts", &self.first_time)?;
        map.serialize_entry("last_seq", &self.last_seq)?;
        map.serialize_entry("last_ts", &self.last_time)?;
        if self.num_subjects > 0 {
            map.serialize_entry("num_subjects", &self.num_subjects)?;
        }
        if let Some(subjects) = self.subjects.as_ref().filter(|subjects| !subjects.is_empty()) {
            map.serialize_entry("subjects", subjects)?;
        }
        if self.num_deleted > 0 {
            map.serialize_entry("num_deleted", &self.num_deleted)?;
        }
        if !self.deleted.is_empty() {
            map.serialize_entry("deleted", &self.deleted)?;
        }
        if let Some(lost) = &self.lost {
            map.serialize_entry("lost", lost)?;
        }
        map.serialize_entry("consumer_count", &self.consumers)?;
        map.end()
    }
}

/// How long a message may stay, by its `Nats-TTL` header (spec 06 §14.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MessageTtl {
    /// No header: the stream's limits alone decide.
    #[default]
    Unset,
    /// `never`: not even the stream's `max_age` removes it.
    Never,
    /// So many whole seconds after it was stored.
    Seconds(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_state_has_exactly_the_mandatory_fields() {
        let json = serde_json::to_string(&StreamState::default()).expect("plain struct");
        assert_eq!(
            json,
            r#"{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#
        );
    }

    #[test]
    fn full_state_keeps_field_order_and_reads_back() {
        let state = StreamState {
            messages: 2,
            bytes: 70,
            first_seq: StreamSequence::new(1),
            first_time: Timestamp::from_nanos(1_700_000_000_500_000_000),
            last_seq: StreamSequence::new(4),
            last_time: Timestamp::from_nanos(1_700_000_001_000_000_000),
            num_subjects: 1,
            subjects: Some(BTreeMap::from([("foo".to_owned(), 2)])),
            num_deleted: 2,
            deleted: vec![2, 3],
            lost: Some(LostStreamData { messages: None, bytes: 12 }),
            consumers: 3,
        };
        let json = serde_json::to_string(&state).expect("plain struct");
        assert_eq!(
            json,
            concat!(
                r#"{"messages":2,"bytes":70,"first_seq":1,"first_ts":"2023-11-14T22:13:20.5Z","#,
                r#""last_seq":4,"last_ts":"2023-11-14T22:13:21Z","num_subjects":1,"#,
                r#""subjects":{"foo":2},"num_deleted":2,"deleted":[2,3],"#,
                r#""lost":{"msgs":null,"bytes":12},"consumer_count":3}"#
            )
        );
        assert_eq!(serde_json::from_str::<StreamState>(&json).expect("own output"), state);
    }
}
