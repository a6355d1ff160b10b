//! Asking an origin for a consumer (spec 07a §A11.1, §A11.2).

use super::names::digit;
use crate::api_error::ApiError;
use crate::config::{AckPolicy, ConsumerConfig, ExternalStream, StreamSource};
use crate::gojson;
use crate::random::Random;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often an origin's consumer is to be heard of, in nanoseconds.
pub(super) const HEARTBEAT: i64 = 1_000_000_000;
/// For how long a consumer outlives its stream's interest, in nanoseconds.
pub(super) const INACTIVE_THRESHOLD: i64 = 10_000_000_000;
const ACK_WAIT: i64 = 22 * 3_600_000_000_000;
const API_PREFIX: &str = "$JS.API";

/// Whether it is for a mirror or a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Mirror,
    Source,
}

impl Kind {
    /// The prefix of the consumer's name.
    fn name_prefix(self) -> &'static str {
        match self {
            Kind::Mirror => "JS_MIRROR_",
            Kind::Source => "JS_SRC_",
        }
    }

    /// The token of deliver subjects.
    fn token(self) -> &'static str {
        match self {
            Kind::Mirror => "M",
            Kind::Source => "S",
        }
    }

    fn metadata_prefix(self) -> &'static str {
        match self {
            Kind::Mirror => "_nats.mirror",
            Kind::Source => "_nats.src",
        }
    }
}

/// The name of the consumer made for a mirror or source, from its hash.
pub(super) fn consumer_name(kind: Kind, hash: &str) -> String {
    format!("{}{hash}", kind.name_prefix())
}

/// Subjects of another account or domain start with its prefix.
fn behind(external: Option<&ExternalStream>, subject: String) -> String {
    match external {
        Some(external) => subject.replacen(API_PREFIX, &external.api_prefix, 1).replace("..", "."),
        None => subject,
    }
}

/// A subject for the deliveries of a new consumer.
pub(super) fn deliver_subject(kind: Kind, source: &StreamSource, random: &mut Random) -> String {
    let prefix = source.external.as_ref().map_or("", |external| external.deliver_prefix.as_str());
    let token = kind.token();
    if prefix.is_empty() {
        random.inbox(&format!("$JS.{token}"))
    } else {
        random.inbox(&format!("{prefix}.{token}")).replace("..", ".")
    }
}

/// The configuration every consumer of this kind has. Where it starts and what it filters is left
/// to be set.
pub(super) fn consumer_config(
    kind: Kind,
    hash: &str,
    deliver_subject: String,
    stream: &str,
    account: &str,
    domain: Option<&str>,
) -> ConsumerConfig {
    let prefix = kind.metadata_prefix();
    let mut metadata = BTreeMap::from([
        (format!("{prefix}.stream"), stream.to_owned()),
        (format!("{prefix}.acc"), account.to_owned()),
    ]);
    if let Some(domain) = domain {
        metadata.insert(format!("{prefix}.domain"), domain.to_owned());
    }
    ConsumerConfig {
        name: consumer_name(kind, hash),
        deliver_subject,
        ack_policy: AckPolicy::None,
        ack_wait: ACK_WAIT,
        max_deliver: 1,
        idle_heartbeat: HEARTBEAT,
        flow_control: true,
        direct: true,
        sourcing: true,
        inactive_threshold: INACTIVE_THRESHOLD,
        metadata,
        ..ConsumerConfig::default()
    }
}

/// Sets what the consumer delivers: one filter is sent so that the subject of the request can have
/// it too.
pub(super) fn set_filters(config: &mut ConsumerConfig, source: &StreamSource) {
    config.filter_subject.clone_from(&source.filter_subject);
    let mut filters: Vec<String> =
        source.subject_transforms.iter().map(|transform| transform.source.clone()).collect();
    if config.filter_subject.is_empty() && filters.len() == 1 {
        config.filter_subject = filters.remove(0);
    }
    config.filter_subjects = filters;
}

/// The subject to which a request for this consumer goes.
pub(super) fn create_subject(source: &StreamSource, config: &ConsumerConfig) -> Bytes {
    let (origin, filter) = (&source.name, &config.filter_subject);
    let subject = if filter.is_empty() {
        format!("$JS.API.CONSUMER.CREATE.{origin}")
    } else {
        format!("$JS.API.CONSUMER.CREATE.{origin}.{}.{filter}", config.name)
    };
    behind(source.external.as_ref(), subject).into()
}

/// The subject to which a request goes that makes an existing consumer start where it was
/// acknowledged.
pub(super) fn reset_subject(source: &StreamSource, consumer: &str) -> Bytes {
    let subject = format!("$JS.API.CONSUMER.RESET.{}.{consumer}", source.name);
    behind(source.external.as_ref(), subject).into()
}

/// The subject to which a request goes that deletes a consumer.
pub(super) fn delete_subject(source: &StreamSource, consumer: &str) -> Bytes {
    let subject = format!("$JS.API.CONSUMER.DELETE.{}.{consumer}", source.name);
    behind(source.external.as_ref(), subject).into()
}

/// The body of a request for a consumer.
pub(super) fn create_body(origin: &str, config: &ConsumerConfig) -> Bytes {
    #[derive(Serialize)]
    struct CreateRequest<'a> {
        stream_name: &'a str,
        config: &'a ConsumerConfig,
        action: &'static str,
    }
    let request = CreateRequest { stream_name: origin, config, action: "" };
    gojson::to_vec(&request).unwrap_or_default().into()
}

/// A suffix for a consumer whose name must not be taken on a server that does not know it is the
/// same again.
pub(super) fn unique_suffix(random: &mut Random) -> String {
    (0..8).map(|_| digit(random.next() >> 7)).collect()
}

/// The answer to a request for a consumer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CreateResponse {
    pub(super) error: Option<ApiError>,
    pub(super) name: String,
    pub(super) config: Option<ConsumerConfig>,
    pub(super) delivered: Delivered,
}

/// What a consumer delivered so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delivered {
    pub(super) stream_seq: u64,
}
