//! `accounts {}` (spec 02 §5.8 and §5.10, spec 03 §2.3 and §14).

mod link;
mod mapping;
pub(super) mod parse;
mod shares;

use super::auth::Permissions;
use std::sync::Arc;
use std::time::Duration;

/// The account of users that belong to no other one.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// The name of the system account if none is configured.
pub const DEFAULT_SYSTEM_ACCOUNT: &str = "$SYS";

/// One account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountOptions {
    /// The key of the account in `accounts {}`.
    pub name: String,
    /// `nkey`, a public account key.
    pub nkey: String,
    /// `limits`.
    pub limits: AccountLimits,
    /// `jetstream`; `None` if the account may not use it.
    pub jetstream: Option<JetStreamAccountLimits>,
    /// `jetstream { cluster_traffic: owner }`: replication traffic belongs to this account.
    pub owns_cluster_traffic: bool,
    /// `default_permissions`.
    pub default_permissions: Option<Arc<Permissions>>,
    /// `mappings`.
    pub mappings: Vec<Mapping>,
    /// `exports` of streams, in the order they were added.
    pub stream_exports: Vec<StreamExport>,
    /// `exports` of services.
    pub service_exports: Vec<ServiceExport>,
    /// `imports` of streams.
    pub stream_imports: Vec<StreamImport>,
    /// `imports` of services.
    pub service_imports: Vec<ServiceImport>,
    /// `msg_trace`: where traces of messages go; empty if nowhere.
    pub trace_destination: String,
    /// Percentage of messages with a trace header from outside that are traced, 0..100.
    pub trace_sampling: u8,
}

impl AccountOptions {
    /// An account with nothing but a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> AccountOptions {
        AccountOptions { name: name.into(), ..AccountOptions::default() }
    }
}

/// `limits {}`; -1 is no limit, 0 allows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// `max_connections`.
    pub max_connections: i32,
    /// `max_subscriptions` per connection.
    pub max_subscriptions: i32,
    /// `max_payload` in bytes.
    pub max_payload: i32,
    /// `max_leafnodes`.
    pub max_leafnodes: i32,
}

impl Default for AccountLimits {
    fn default() -> AccountLimits {
        AccountLimits {
            max_connections: -1,
            max_subscriptions: -1,
            max_payload: -1,
            max_leafnodes: -1,
        }
    }
}

/// `jetstream {}` of an account; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JetStreamAccountLimits {
    /// `max_memory` in bytes.
    pub max_memory: i64,
    /// `max_store` in bytes.
    pub max_store: i64,
    /// `max_streams`.
    pub max_streams: i64,
    /// `max_consumers`.
    pub max_consumers: i64,
    /// `max_ack_pending` of a consumer.
    pub max_ack_pending: i64,
    /// `mem_max_stream_bytes`.
    pub memory_max_stream_bytes: i64,
    /// `disk_max_stream_bytes`.
    pub store_max_stream_bytes: i64,
    /// `max_bytes_required`: streams must be limited in size.
    pub max_bytes_required: bool,
}

impl Default for JetStreamAccountLimits {
    fn default() -> JetStreamAccountLimits {
        JetStreamAccountLimits {
            max_memory: -1,
            max_store: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            store_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}

/// A subject mapping of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The subject mapped, possibly with wildcards.
    pub source: String,
    /// Where it goes. What the weights leave of 100 stays with the source.
    pub destinations: Vec<MapDestination>,
}

/// One weighted destination of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDestination {
    /// The subject, possibly with transform functions.
    pub subject: String,
    /// Percentage of messages, 0..100.
    pub weight: u8,
    /// Only in the cluster of this name; empty for all.
    pub cluster: String,
}

/// A stream others may import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamExport {
    /// The subject exported.
    pub subject: String,
    /// Accounts that may import; `None` for all.
    pub accounts: Option<Vec<String>>,
    /// Token of the subject that must be the importing account's name, counted from 1; 0 for
    /// none.
    pub account_token_position: u64,
}

/// A service others may import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceExport {
    /// The subject exported.
    pub subject: String,
    /// Accounts that may import; `None` for all.
    pub accounts: Option<Vec<String>>,
    /// Token of the subject that must be the importing account's name, counted from 1; 0 for
    /// none.
    pub account_token_position: u64,
    /// `response_type`.
    pub response_type: ResponseType,
    /// `response_threshold`; `None` for the default of two minutes.
    pub response_threshold: Option<Duration>,
    /// `latency`.
    pub latency: Option<ServiceLatency>,
    /// `allow_trace`.
    pub allow_trace: bool,
}

/// How many messages a service answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// One.
    #[default]
    Singleton,
    /// Any number.
    Streamed,
    /// One answer in pieces.
    Chunked,
}

/// Where latency measurements of a service go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLatency {
    /// Percentage of requests measured, 1..100; 0 measures those whose headers ask for it.
    pub sampling: u8,
    /// The subject of the measurements.
    pub subject: String,
}

/// A stream of another account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamImport {
    /// The exporting account.
    pub account: String,
    /// The subject exported there.
    pub subject: String,
    /// `prefix` put in front of the subject here; empty for none.
    pub prefix: String,
    /// `to`: the subject here; empty for the same as there.
    pub to: String,
    /// `allow_trace`.
    pub allow_trace: bool,
}

/// A service of another account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceImport {
    /// The exporting account.
    pub account: String,
    /// The subject there.
    pub subject: String,
    /// The subject requests are sent to here.
    pub to: String,
    /// `share`: tell the service about the requesting connection.
    pub share: bool,
}
