//! `leafnodes {}` (spec 02 §5.3 and §5.5).

mod parse;
mod remote;

use super::compression::CompressionOptions;
use super::listen::{Port, WriteTimeout};
use super::tls::TlsOptions;
use crate::config::secret::Secret;
use crate::config::text::SignedDuration;
use crate::config::url::Url;
use std::time::Duration;

pub(in crate::config) use parse::check_min_version;

/// Accepting leafnode connections, and connecting to other servers as a leafnode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafNodeOptions {
    /// `host`.
    pub host: String,
    /// `port`; unset accepts no leafnodes.
    pub port: Port,
    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { nkey }`, a public user key.
    pub nkey: String,
    /// `authorization { account }`.
    pub account: String,
    /// `authorization { users }`.
    pub users: Vec<LeafUser>,
    /// `authorization { proxy_required }`.
    pub proxy_required: bool,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `advertise`.
    pub advertise: String,
    /// `no_advertise`.
    pub no_advertise: bool,
    /// `reconnect_interval`.
    pub reconnect_interval: Duration,
    /// `dial_timeout` of all remotes; zero takes the default of one second.
    pub dial_timeout: Duration,
    /// `compression` of accepted connections.
    pub compression: CompressionOptions,
    /// `min_version` of accepted leafnodes; empty accepts all.
    pub min_version: String,
    /// `isolate_leafnode_interest`.
    pub isolate_interest: bool,
    /// `write_deadline`; zero takes that of the server.
    pub write_deadline: Duration,
    /// `write_timeout`.
    pub write_timeout: WriteTimeout,
    /// `remotes`.
    pub remotes: Vec<RemoteLeafOptions>,
}

/// A user of the leafnode listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafUser {
    /// `user`.
    pub username: String,
    /// `password`.
    pub password: Secret,
    /// `account`; `None` is the global account.
    pub account: Option<String>,
    /// `proxy_required`.
    pub proxy_required: bool,
}

/// A server to connect to as a leafnode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteLeafOptions {
    /// `urls`.
    pub urls: Vec<Url>,
    /// `account` on this side; empty until validated means the global account.
    pub local_account: String,
    /// `credentials`: path of a credentials file, expanded.
    pub credentials: String,
    /// `nkey`: a user seed.
    pub nkey: Secret,
    /// `no_randomize`.
    pub no_randomize: bool,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `hub`: this side acts as the hub.
    pub hub: bool,
    /// `deny_imports`.
    pub deny_imports: Vec<String>,
    /// `deny_exports`.
    pub deny_exports: Vec<String>,
    /// `first_info_timeout`.
    pub first_info_timeout: Duration,
    /// `dial_timeout`; zero takes that of the listener block.
    pub dial_timeout: Duration,
    /// `compression`.
    pub compression: CompressionOptions,
    /// `ws_compression`.
    pub websocket_compression: bool,
    /// `ws_no_masking`.
    pub websocket_no_masking: bool,
    /// `proxy {}`: an HTTP proxy for WebSocket connections.
    pub proxy: HttpProxyOptions,
    /// `jetstream_cluster_migrate`: move leaders away while disconnected.
    pub jetstream_cluster_migrate: bool,
    /// `jetstream_cluster_migrate { leader_migrate_delay }`.
    pub jetstream_cluster_migrate_delay: Duration,
    /// `isolate_leafnode_interest`.
    pub local_isolation: bool,
    /// `request_isolation`.
    pub request_isolation: bool,
    /// `disabled`.
    pub disabled: bool,
    /// `ignore_discovered_servers`.
    pub ignore_discovered_servers: bool,
}

/// An HTTP proxy in front of a leafnode remote; not used while the URL is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpProxyOptions {
    /// `url`, which may contain credentials.
    pub url: Secret,
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: Secret,
    /// `timeout`.
    pub timeout: SignedDuration,
}
