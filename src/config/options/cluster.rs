//! `cluster {}` (spec 02 §5.1).

use super::auth::SubjectPermission;
use super::compression::CompressionOptions;
use super::listen::{Port, WriteTimeout};
use super::tls::TlsOptions;
use crate::config::secret::Secret;
use std::time::Duration;

/// The cluster a server is part of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterOptions {
    /// `name`.
    pub name: String,
    /// `host`.
    pub host: String,
    /// `port`; unset turns clustering off.
    pub port: Port,
    /// `-cluster` as written.
    pub listen_text: String,
    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `permissions`.
    pub permissions: Option<RoutePermissions>,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `advertise`.
    pub advertise: String,
    /// `no_advertise`: do not tell clients about the other servers.
    pub no_advertise: bool,
    /// `connect_retries` of implicit routes.
    pub connect_retries: i64,
    /// `connect_backoff`.
    pub connect_backoff: bool,
    /// `pool_size`; negative disables pooling.
    pub pool_size: i64,
    /// `accounts` with a route of their own.
    pub pinned_accounts: Vec<String>,
    /// `compression`.
    pub compression: CompressionOptions,
    /// `ping_interval`; zero takes that of the server.
    pub ping_interval: Duration,
    /// `ping_max`; zero takes that of the server.
    pub ping_max: i64,
    /// `write_deadline`; zero takes that of the server.
    pub write_deadline: Duration,
    /// `write_timeout`.
    pub write_timeout: WriteTimeout,
}

/// What interest crosses a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePermissions {
    /// Subjects this server asks its peers for.
    pub import: Option<SubjectPermission>,
    /// Subjects peers may ask this server for.
    pub export: Option<SubjectPermission>,
}
