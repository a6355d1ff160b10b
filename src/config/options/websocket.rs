//! `websocket {}` (spec 02 §5.4).

use super::listen::Port;
use super::tls::TlsOptions;
use crate::config::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

/// The WebSocket listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebsocketOptions {
    /// `host`.
    pub host: String,
    /// `port`.
    pub port: Port,
    /// `advertise`.
    pub advertise: String,
    /// `no_auth_user`.
    pub no_auth_user: String,
    /// `jwt_cookie`: cookie taken as the user JWT.
    pub jwt_cookie: String,
    /// `user_cookie`.
    pub user_cookie: String,
    /// `pass_cookie`.
    pub pass_cookie: String,
    /// `token_cookie`.
    pub token_cookie: String,
    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { token }`.
    pub token: Secret,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `no_tls`; without effect when TLS is configured.
    pub no_tls: bool,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// `same_origin`.
    pub same_origin: bool,
    /// `allowed_origins`; empty allows all.
    pub allowed_origins: Vec<String>,
    /// `compression`.
    pub compression: bool,
    /// `handshake_timeout`; zero for none.
    pub handshake_timeout: Duration,
    /// `ping_interval`; zero takes that of the server.
    pub ping_interval: Duration,
    /// `headers` added to the response of the upgrade.
    pub headers: BTreeMap<String, String>,
}
