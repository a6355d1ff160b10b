//! What is told of mirrors and sources (spec 07a §A2.1).

use super::link::Link;
use crate::api_error::ApiError;
use crate::config::{ExternalStream, SubjectTransformConfig};
use crate::stream::Stream;
use crate::time::Timestamp;
use serde::Serialize;

/// How a mirror or source is doing, as responses have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StreamSourceInfo {
    /// The origin's name.
    pub name: String,
    /// Where it is, when not in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// Messages of the origin that are not here yet.
    pub lag: u64,
    /// Nanoseconds since the origin was last heard of; -1 when it never was.
    pub active: i64,
    /// Why there is no consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// The subjects taken.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// How subjects are rewritten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransformConfig>,
}

fn info_of(link: &Link, now: Timestamp) -> StreamSourceInfo {
    StreamSourceInfo {
        name: link.source.name.clone(),
        external: link.source.external.clone(),
        lag: link.lag,
        active: link.last_heard.map_or(-1, |heard| {
            i64::try_from(now.saturating_since(heard).as_nanos()).unwrap_or(i64::MAX)
        }),
        error: link.error.clone(),
        filter_subject: link.source.filter_subject.clone(),
        subject_transforms: link.source.subject_transforms.clone(),
    }
}

impl Stream {
    /// How the mirror is doing; `None` when the stream is none.
    pub fn mirror_info(&self, now: Timestamp) -> Option<StreamSourceInfo> {
        self.sourcing.mirror().map(|link| info_of(link, now))
    }

    /// How the sources are doing, in the order of the configuration.
    pub fn sources_info(&self, now: Timestamp) -> Vec<StreamSourceInfo> {
        self.sourcing.sources().map(|link| info_of(link, now)).collect()
    }
}
