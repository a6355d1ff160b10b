//! `mqtt {}` (spec 02 §5.6).

use super::listen::Port;
use super::tls::TlsOptions;
use crate::config::secret::Secret;
use crate::config::text::SignedDuration;
use std::time::Duration;

/// The MQTT listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MqttOptions {
    /// `host`.
    pub host: String,
    /// `port`.
    pub port: Port,
    /// `no_auth_user`.
    pub no_auth_user: String,
    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { token }`.
    pub token: Secret,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `js_domain`.
    pub js_domain: String,
    /// `stream_replicas`; zero and less choose by the size of the cluster.
    pub stream_replicas: i64,
    /// `consumer_memory_storage`.
    pub consumer_memory_storage: bool,
    /// `consumer_inactive_threshold`; zero for never.
    pub consumer_inactive_threshold: Duration,
    /// `tls`.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake.
    pub tls_timeout: Duration,
    /// `ack_wait`; zero takes the default of 30 seconds. Negative only until validated.
    pub ack_wait: SignedDuration,
    /// `js_api_timeout`; zero takes the default of 5 seconds. Negative only until validated.
    pub js_api_timeout: SignedDuration,
    /// `max_ack_pending` per subscription; zero takes the default of 1024.
    pub max_ack_pending: u16,
    /// `reject_qos2_publish`.
    pub reject_qos2_publish: bool,
    /// `downgrade_qos2_subscribe`.
    pub downgrade_qos2_subscribe: bool,
}
