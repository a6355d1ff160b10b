//! `gateway {}` (spec 02 §5.2).

use super::listen::{Port, WriteTimeout};
use super::tls::TlsOptions;
use crate::config::secret::Secret;
use crate::config::url::Url;
use std::time::Duration;

/// The gateway of a cluster to other clusters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayOptions {
    /// `name`.
    pub name: String,
    /// `host`.
    pub host: String,
    /// `port`.
    pub port: Port,
    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `advertise`.
    pub advertise: String,
    /// `connect_retries`.
    pub connect_retries: i64,
    /// `connect_backoff`.
    pub connect_backoff: bool,
    /// `gateways`; the own name may be among them and is ignored.
    pub remotes: Vec<RemoteGatewayOptions>,
    /// `reject_unknown_cluster`.
    pub reject_unknown: bool,
    /// `write_deadline`; zero takes that of the server.
    pub write_deadline: Duration,
    /// `write_timeout`.
    pub write_timeout: WriteTimeout,
}

/// A cluster to connect to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteGatewayOptions {
    /// `name` of the cluster.
    pub name: String,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `url` or `urls`.
    pub urls: Vec<Url>,
}
