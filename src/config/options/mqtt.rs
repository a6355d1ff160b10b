//! `mqtt {}` (spec 02 §5.6).

use super::listen::Port;
use super::tls::TlsOptions;
use super::tls::parse::TlsUse;
use crate::config::lang::Value;
use crate::config::load::{Loader, boolean, integer, port, string};
use crate::config::report::Diagnostic;
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

impl Loader<'_> {
    pub(super) fn mqtt(&mut self, mqtt: &mut MqttOptions, block: &Value) {
        let result = self.mqtt_block(mqtt, block);
        self.ok(result);
    }

    fn mqtt_block(&mut self, mqtt: &mut MqttOptions, block: &Value) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let text = format!("Expected mqtt to be a map, got {}", block.type_name());
            return Err(Diagnostic::at(block, text));
        };
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "listen" => self.listen(value, &mut mqtt.host, &mut mqtt.port),
                "port" => mqtt.port = port(value)?,
                "host" | "net" => mqtt.host = string(value)?,
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Plain);
                    if let Some(tls) = self.ok(tls) {
                        mqtt.tls_timeout = tls.timeout;
                        mqtt.tls = Some(tls);
                    }
                }
                "authorization" | "authentication" => {
                    let auth = self.simple_authorization(value);
                    mqtt.username = auth.username;
                    mqtt.password = auth.password;
                    mqtt.token = auth.token;
                    mqtt.auth_timeout = auth.timeout;
                }
                "no_auth_user" => mqtt.no_auth_user = string(value)?,
                "ack_wait" | "ackwait" => {
                    mqtt.ack_wait = self.signed_duration("ack_wait", value)?;
                }
                "js_api_timeout" | "api_timeout" => {
                    mqtt.js_api_timeout = self.signed_duration("js_api_timeout", value)?;
                }
                "max_ack_pending" | "max_pending" | "max_inflight" => {
                    let number = integer(value)?;
                    match u16::try_from(number) {
                        Ok(number) => mqtt.max_ack_pending = number,
                        Err(_) => self.error(
                            value,
                            format!("invalid value {number}, should in [0..65535] range"),
                        ),
                    }
                }
                "js_domain" => mqtt.js_domain = string(value)?,
                "stream_replicas" => mqtt.stream_replicas = integer(value)?,
                "consumer_replicas" => {
                    let text = "consumer replicas setting ignored in this server version";
                    self.questionable(key, value, text);
                }
                "consumer_memory_storage" => mqtt.consumer_memory_storage = boolean(value)?,
                "consumer_inactive_threshold" | "consumer_auto_cleanup" => {
                    mqtt.consumer_inactive_threshold =
                        self.duration("consumer_inactive_threshold", value)?;
                }
                "reject_qos2_publish" => mqtt.reject_qos2_publish = boolean(value)?,
                "downgrade_qos2_subscribe" => mqtt.downgrade_qos2_subscribe = boolean(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }
}
