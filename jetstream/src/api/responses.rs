//! Answers of the API; the order of fields is that of the JSON (spec 07c §C1.5).

use crate::api_error::ApiError;
use crate::config::StreamConfig;
use crate::gojson;
use crate::time::Timestamp;
use crate::types::StreamState;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most names on a page.
pub const NAMES_LIMIT: usize = 1024;
/// The most streams or consumers on a page.
pub const LIST_LIMIT: usize = 256;
/// The most subjects on a page of a stream's state.
pub const SUBJECTS_LIMIT: usize = 100_000;

/// An answer: its type, an error if there is one, and what belongs to the request.
#[derive(Debug, Serialize)]
pub struct Response<T: Serialize> {
    /// What it answers to.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// The rest.
    #[serde(flatten)]
    pub body: T,
}

impl<T: Serialize> Response<T> {
    /// The JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Plain structures have no way to fail.
        gojson::to_vec(self).unwrap_or_default()
    }
}

/// Nothing besides the type.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Nothing {}

/// Whether it was done; only said when it was.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Success {
    /// It was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub success: bool,
}

/// A page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// All there are.
    pub total: usize,
    /// Where the page starts.
    pub offset: usize,
    /// How many fit.
    pub limit: usize,
}

impl Page {
    /// The part of `all` from `offset` on.
    pub fn of<T>(all: &[T], offset: i64, limit: usize) -> (Page, &[T]) {
        let total = all.len();
        let offset = usize::try_from(offset).unwrap_or(0).min(total);
        let rest = all.get(offset..).unwrap_or_default();
        (Page { total, offset, limit }, rest.get(..limit).unwrap_or(rest))
    }
}

/// What was purged.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Purged {
    /// It was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub success: bool,
    /// Messages.
    pub purged: u64,
}

/// Names of streams.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamNames {
    /// Where in all of them.
    #[serde(flatten)]
    pub page: Page,
    /// The names; `null` when there are none.
    pub streams: Option<Vec<String>>,
}

/// Names of consumers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConsumerNames {
    /// Where in all of them.
    #[serde(flatten)]
    pub page: Page,
    /// The names.
    pub consumers: Vec<String>,
}

/// Streams or consumers, under the name `streams` or `consumers`.
#[derive(Clone, Debug, Serialize)]
pub struct List<T: Serialize> {
    /// Where in all of them.
    #[serde(flatten)]
    pub page: Page,
    /// The assets.
    #[serde(flatten)]
    pub assets: BTreeMap<&'static str, Vec<T>>,
    /// Those that cannot be shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<String, String>,
}

/// The server a stream is on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClusterInfo {
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The server's name.
    pub leader: String,
}

/// A stream with its state.
#[derive(Clone, Debug, Serialize)]
pub struct StreamInfo<S: Serialize> {
    /// Its configuration.
    pub config: StreamConfig,
    /// When it was created.
    pub created: Timestamp,
    /// Its state.
    pub state: StreamState,
    /// The server's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// The stream it mirrors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<S>,
    /// The streams it takes messages from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<S>,
    /// When this was said.
    pub ts: Timestamp,
    /// It was created just now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub did_create: bool,
}

/// A stream with its state, on a page of subjects.
#[derive(Clone, Debug, Serialize)]
pub struct PagedStreamInfo<S: Serialize> {
    /// Where in all subjects.
    #[serde(flatten)]
    pub page: Page,
    /// The stream; nothing when there is an error.
    #[serde(flatten)]
    pub info: Option<StreamInfo<S>>,
}

/// A message that was got.
#[derive(Clone, Debug, Serialize)]
pub struct MessageGet {
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<StoredMessageJson>,
}

/// A stored message in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct StoredMessageJson {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// Its header block in base 64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hdrs: String,
    /// Its payload in base 64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// When it was stored.
    pub time: Timestamp,
}

/// How a consumer's rest was changed.
#[derive(Clone, Debug, Serialize)]
pub struct Paused {
    /// Whether it rests.
    pub paused: bool,
    /// Until when.
    pub pause_until: crate::time::DateTime,
    /// For how long, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub pause_remaining: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Limits of an account or of one of its tiers; -1 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct AccountLimits {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes in files.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers of one stream.
    pub max_consumers: i64,
    /// Messages delivered and not acknowledged, of one consumer.
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory.
    pub memory_max_stream_bytes: i64,
    /// Bytes of one stream in files.
    pub storage_max_stream_bytes: i64,
    /// Whether every stream must have `max_bytes`.
    pub max_bytes_required: bool,
}

impl AccountLimits {
    /// No limits.
    pub const UNLIMITED: AccountLimits = AccountLimits {
        max_memory: -1,
        max_storage: -1,
        max_streams: -1,
        max_consumers: -1,
        max_ack_pending: -1,
        memory_max_stream_bytes: -1,
        storage_max_stream_bytes: -1,
        max_bytes_required: false,
    };
    /// What is shown above tiers.
    pub const ZERO: AccountLimits = AccountLimits {
        max_memory: 0,
        max_storage: 0,
        max_streams: 0,
        max_consumers: 0,
        max_ack_pending: 0,
        memory_max_stream_bytes: 0,
        storage_max_stream_bytes: 0,
        max_bytes_required: false,
    };
}

/// What an account, or one of its tiers, uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TierUsage {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes in files.
    pub storage: u64,
    /// Bytes promised to streams in memory.
    pub reserved_memory: u64,
    /// Bytes promised to streams in files.
    pub reserved_storage: u64,
    /// Streams.
    pub streams: usize,
    /// Consumers.
    pub consumers: usize,
    /// The limits.
    pub limits: AccountLimits,
}

/// How much the API was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ApiUsage {
    /// The level of the API.
    pub level: u32,
    /// Answers.
    pub total: u64,
    /// Answers with errors.
    pub errors: u64,
    /// Requests waiting.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub inflight: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}

/// Usage and limits of an account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountInfo {
    /// All tiers together.
    #[serde(flatten)]
    pub total: TierUsage,
    /// The server's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The API.
    pub api: ApiUsage,
    /// Each tier by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, TierUsage>,
}
