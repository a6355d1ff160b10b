//! Requests of the API as they are acted upon.

use crate::config::{ConsumerConfig, StreamConfig};
use crate::time::DateTime;
use serde::Deserialize;

/// A stream to create or update.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamConfigRequest {
    /// The configuration.
    #[serde(flatten)]
    pub config: StreamConfig,
    /// Refuse what would be changed silently.
    pub pedantic: bool,
}

/// What a consumer request may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerAction {
    /// Create it, or update the one there is.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// Create it only.
    Create,
    /// Update it only.
    Update,
}

/// A consumer to create or update.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CreateConsumerRequest {
    /// The stream's name.
    pub stream_name: String,
    /// The configuration.
    pub config: ConsumerConfig,
    /// What may be done.
    pub action: ConsumerAction,
    /// Refuse what would be changed silently.
    pub pedantic: bool,
}

/// A page of names or streams.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PageRequest {
    /// Where the page starts; less than nothing is the start.
    pub offset: i64,
    /// Only streams with subjects that have one in common with this.
    pub subject: String,
}

/// What of a stream's state is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamInfoRequest {
    /// Where the page of subjects starts.
    pub offset: i64,
    /// With the deleted sequences.
    pub deleted_details: bool,
    /// With the messages of each of these subjects.
    pub subjects_filter: String,
}

/// What is purged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PurgeRequest {
    /// Below this sequence.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// Of these subjects.
    pub filter: String,
    /// All but so many.
    pub keep: u64,
}

/// Which message is deleted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MessageDeleteRequest {
    /// By its sequence.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// Without overwriting it.
    pub no_erase: bool,
}

/// Until when a consumer rests.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PauseRequest {
    /// Until then.
    pub pause_until: Option<DateTime>,
}

/// Which group loses its pinned client.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UnpinRequest {
    /// The group.
    pub group: String,
}
