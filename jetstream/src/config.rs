//! Configuration of streams and consumers, in the exact JSON form of the API and of `meta.inf`.
//!
//! Spec 06 §3 gives names, order and which fields are always written. Durations are integer
//! nanoseconds. Values are kept as they were given: checking and defaulting is the stream
//! engine's work. A JSON `null` reads as the field's zero value.

use crate::time::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// An enum that JSON writes as one of a few words.
macro_rules! json_words {
    (
        $(#[$doc:meta])*
        $name:ident, $unknown:expr, $read:expr;
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word JSON uses.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let given = std::borrow::Cow::<str>::deserialize(deserializer)?;
                let read: fn(&str) -> String = $read;
                match read(&given).as_str() {
                    $($word => Ok($name::$variant),)+
                    _ => {
                        let unknown: fn(&str) -> String = $unknown;
                        Err(de::Error::custom(unknown(&given)))
                    }
                }
            }
        }
    };
}

fn can_not_unmarshal(given: &str) -> String {
    let quoted = serde_json::Value::from(given).to_string();
    format!("can not unmarshal {}", serde_json::Value::from(quoted))
}

json_words! {
    /// Which messages a stream keeps.
    RetentionPolicy, can_not_unmarshal, str::to_owned;
    /// All, until a limit is reached.
    #[default]
    Limits = "limits",
    /// Those that a consumer still needs.
    Interest = "interest",
    /// Those that no consumer has acknowledged.
    WorkQueue = "workqueue",
}

json_words! {
    /// What gives way when a limit is reached.
    DiscardPolicy, can_not_unmarshal, str::to_ascii_lowercase;
    /// The oldest messages.
    #[default]
    Old = "old",
    /// The message being published.
    New = "new",
}

json_words! {
    /// Where messages are held.
    StorageType, can_not_unmarshal, str::to_owned;
    /// In files.
    #[default]
    File = "file",
    /// In memory.
    Memory = "memory",
}

json_words! {
    /// How closed message blocks are compressed.
    StoreCompression, |_| "unknown compression algorithm".to_owned(), str::to_owned;
    /// Not at all.
    #[default]
    None = "none",
    /// With S2.
    S2 = "s2",
}

json_words! {
    /// When a publish is acknowledged.
    PersistMode, can_not_unmarshal, |given| {
        if given.is_empty() { "default".to_owned() } else { given.to_owned() }
    };
    /// Once it is stored.
    #[default]
    Default = "default",
    /// Possibly before.
    Async = "async",
}

json_words! {
    /// Where a consumer starts.
    DeliverPolicy, can_not_unmarshal, |given| {
        if given == "undefined" { "all".to_owned() } else { given.to_owned() }
    };
    /// At the first message.
    #[default]
    All = "all",
    /// At the last message.
    Last = "last",
    /// At the last message of each subject.
    LastPerSubject = "last_per_subject",
    /// After the last message.
    New = "new",
    /// At a given sequence.
    ByStartSequence = "by_start_sequence",
    /// At a given time.
    ByStartTime = "by_start_time",
}

json_words! {
    /// What a consumer's clients must acknowledge.
    AckPolicy, can_not_unmarshal, str::to_owned;
    /// Nothing.
    #[default]
    None = "none",
    /// One message for all before it.
    All = "all",
    /// Every message.
    Explicit = "explicit",
    /// Like `All`, by the answers to flow control.
    FlowControl = "flow_control",
}

json_words! {
    /// How fast a consumer replays.
    ReplayPolicy, can_not_unmarshal, str::to_owned;
    /// As fast as it can.
    #[default]
    Instant = "instant",
    /// At the pace at which the messages were stored.
    Original = "original",
}

json_words! {
    /// How a consumer chooses among its priority groups.
    PriorityPolicy, |given| {
        format!("unknown priority policy: {}", serde_json::Value::from(given))
    }, str::to_owned;
    /// No groups.
    #[default]
    None = "none",
    /// Clients take part when a threshold is exceeded.
    Overflow = "overflow",
    /// One client at a time.
    PinnedClient = "pinned_client",
    /// The lowest priority first.
    Prioritized = "prioritized",
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageType::File => "File",
            StorageType::Memory => "Memory",
        })
    }
}

impl fmt::Display for StoreCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreCompression::None => "None",
            StoreCompression::S2 => "S2",
        })
    }
}

/// Whether a value is the one its type starts with, and so left out of JSON.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads `null` as the zero value.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Where the servers of an asset may be.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// The cluster's name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub cluster: String,
    /// Tags each server must have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// The server that should lead.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub preferred: String,
}

/// Rewrites subjects that match `source` into `destination`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectTransformConfig {
    /// The subjects it applies to.
    #[serde(rename = "src", deserialize_with = "or_default")]
    pub source: String,
    /// What they become.
    #[serde(rename = "dest", deserialize_with = "or_default")]
    pub destination: String,
}

/// Publishes stored messages again under another subject.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RePublish {
    /// The subjects it applies to.
    #[serde(rename = "src", deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub source: String,
    /// What they become.
    #[serde(rename = "dest", deserialize_with = "or_default")]
    pub destination: String,
    /// Whether the payload is left out.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub headers_only: bool,
}

/// The API of another account or domain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalStream {
    /// The prefix of its API subjects.
    #[serde(rename = "api", deserialize_with = "or_default")]
    pub api_prefix: String,
    /// The prefix of its delivery subjects.
    #[serde(rename = "deliver", deserialize_with = "or_default")]
    pub deliver_prefix: String,
}

/// The durable consumer that feeds a source.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConsumerSource {
    /// The consumer's name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub name: String,
    /// Where it delivers.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub deliver_subject: String,
}

/// A stream that another one mirrors or takes messages from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSource {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The sequence to start at, 0 for the first.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// The time to start at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<DateTime>,
    /// The subjects taken.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub filter_subject: String,
    /// How subjects are rewritten, each entry also a filter.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub subject_transforms: Vec<SubjectTransformConfig>,
    /// Where it is, when not in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// The consumer to use instead of one made for the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<StreamConsumerSource>,
}

/// Limits and defaults for the consumers of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConsumerLimits {
    /// In nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    /// Messages delivered and not yet acknowledged.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
}

/// The configuration of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConfig {
    /// The stream's name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Free text.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub description: String,
    /// Subjects whose messages are stored.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub subjects: Vec<String>,
    /// Which messages are kept.
    #[serde(deserialize_with = "or_default")]
    pub retention: RetentionPolicy,
    /// Consumers allowed; -1 for any number.
    #[serde(deserialize_with = "or_default")]
    pub max_consumers: i64,
    /// Messages held; 0 or less for any number.
    #[serde(deserialize_with = "or_default")]
    pub max_msgs: i64,
    /// Bytes held; 0 or less for any number.
    #[serde(deserialize_with = "or_default")]
    pub max_bytes: i64,
    /// Age of the oldest message in nanoseconds; 0 for any.
    #[serde(deserialize_with = "or_default")]
    pub max_age: i64,
    /// Messages held of each subject; 0 or less for any number.
    #[serde(deserialize_with = "or_default")]
    pub max_msgs_per_subject: i64,
    /// Bytes of one message, header included; 0 or less for the server's limit.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_msg_size: i32,
    /// What gives way at a limit.
    #[serde(deserialize_with = "or_default")]
    pub discard: DiscardPolicy,
    /// Where messages are held.
    #[serde(deserialize_with = "or_default")]
    pub storage: StorageType,
    /// Servers that hold a copy.
    #[serde(deserialize_with = "or_default")]
    pub num_replicas: i64,
    /// Whether publishes go unacknowledged.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub no_ack: bool,
    /// For how long message ids are remembered, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub duplicate_window: i64,
    /// Where its servers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The stream this one is a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    /// Streams this one takes messages from.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub sources: Vec<StreamSource>,
    /// How closed blocks are compressed.
    #[serde(deserialize_with = "or_default")]
    pub compression: StoreCompression,
    /// The first sequence to give out; 0 counts as 1.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub first_seq: u64,
    /// Rewrites subjects before anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransformConfig>,
    /// Publishes stored messages again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub republish: Option<RePublish>,
    /// Whether every replica answers direct gets.
    #[serde(deserialize_with = "or_default")]
    pub allow_direct: bool,
    /// Whether mirrors answer direct gets for their origin.
    #[serde(deserialize_with = "or_default")]
    pub mirror_direct: bool,
    /// Whether a full subject refuses new messages.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub discard_new_per_subject: bool,
    /// Whether nothing may change any more.
    #[serde(deserialize_with = "or_default")]
    pub sealed: bool,
    /// Whether messages cannot be deleted through the API.
    #[serde(deserialize_with = "or_default")]
    pub deny_delete: bool,
    /// Whether the stream cannot be purged through the API.
    #[serde(deserialize_with = "or_default")]
    pub deny_purge: bool,
    /// Whether a message may replace all before it.
    #[serde(deserialize_with = "or_default")]
    pub allow_rollup_hdrs: bool,
    /// Limits and defaults for consumers.
    #[serde(deserialize_with = "or_default")]
    pub consumer_limits: StreamConsumerLimits,
    /// Whether messages may carry their own time to live.
    #[serde(deserialize_with = "or_default")]
    pub allow_msg_ttl: bool,
    /// How long markers of deleted subjects stay, in nanoseconds; 0 for no markers.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub subject_delete_marker_ttl: i64,
    /// Whether messages are increments of counters.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub allow_msg_counter: bool,
    /// Whether atomic batches may be published.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub allow_atomic: bool,
    /// Whether messages may be scheduled.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub allow_msg_schedules: bool,
    /// When a publish is acknowledged.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    /// Whether fast batches may be published.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub allow_batched: bool,
    /// Free keys and values.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
}

impl StreamConfig {
    /// The longest a message may stay in nanoseconds, `None` when age does not matter.
    pub fn max_age_nanos(&self) -> Option<i64> {
        (self.max_age > 0).then_some(self.max_age)
    }
}

/// The configuration of a consumer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerConfig {
    /// The name under which it survives its clients.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub durable_name: String,
    /// The consumer's name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub name: String,
    /// Free text.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub description: String,
    /// Where it starts.
    #[serde(deserialize_with = "or_default")]
    pub deliver_policy: DeliverPolicy,
    /// The sequence to start at.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// The time to start at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<DateTime>,
    /// What must be acknowledged.
    #[serde(deserialize_with = "or_default")]
    pub ack_policy: AckPolicy,
    /// How long to wait for an acknowledgement, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub ack_wait: i64,
    /// Deliveries of one message; 0 or less for any number.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    /// Waits before each redelivery, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub backoff: Vec<i64>,
    /// The subjects delivered.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub filter_subject: String,
    /// The subjects delivered, when several.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub filter_subjects: Vec<String>,
    /// The pace of delivery.
    #[serde(deserialize_with = "or_default")]
    pub replay_policy: ReplayPolicy,
    /// Bits per second; 0 for any number.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    /// Share of acknowledgements that are sampled, in percent.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub sample_freq: String,
    /// Pull requests waiting.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    /// Messages delivered and not yet acknowledged; -1 for any number.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    /// Whether a push consumer asks its client to keep up.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub flow_control: bool,
    /// Whether the payload is left out.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub headers_only: bool,
    /// Messages of one pull request.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_batch: i64,
    /// How long a pull request may wait, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_expires: i64,
    /// Bytes of one pull request.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// Where a push consumer delivers.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub deliver_subject: String,
    /// The queue group it delivers to.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub deliver_group: String,
    /// Time between heartbeats, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub idle_heartbeat: i64,
    /// How long it survives without clients, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    /// Servers that hold a copy; 0 for as many as the stream has.
    #[serde(deserialize_with = "or_default")]
    pub num_replicas: i64,
    /// Whether its state is held in memory.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    /// Made by a mirror or source.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub direct: bool,
    /// Feeds a source by its durable name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub sourcing: bool,
    /// Free keys and values.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
    /// Until when it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<DateTime>,
    /// Names of its priority groups.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub priority_groups: Vec<String>,
    /// How it chooses among them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    /// How long a client stays pinned, in nanoseconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub priority_timeout: i64,
}

/// The contents of a stream's `meta.inf`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StreamMeta {
    /// When the stream was created.
    #[serde(rename = "Created")]
    pub created: DateTime,
    /// Its configuration, at the same level of the JSON.
    #[serde(flatten)]
    pub config: StreamConfig,
}

/// The contents of a consumer's `meta.inf`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConsumerMeta {
    /// When the consumer was created.
    #[serde(rename = "Created")]
    pub created: DateTime,
    /// Its name, apart from the one in the configuration.
    #[serde(rename = "Name")]
    pub name: String,
    /// Its configuration, at the same level of the JSON.
    #[serde(flatten)]
    pub config: ConsumerConfig,
}
