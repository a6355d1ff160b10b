//! `websocket {}` (spec 02 §5.4).

use super::listen::Port;
use super::tls::TlsOptions;
use super::tls::parse::TlsUse;
use crate::config::lang::{Kind, Value};
use crate::config::load::{Loader, boolean, duration_text, port, string};
use crate::config::report::Diagnostic;
use crate::config::secret::Secret;
use crate::config::text::SignedDuration;
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

impl Loader<'_> {
    pub(super) fn websocket(&mut self, websocket: &mut WebsocketOptions, block: &Value) {
        let result = self.websocket_block(websocket, block);
        self.ok(result);
    }

    fn websocket_block(
        &mut self,
        websocket: &mut WebsocketOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let found = block.type_name();
            let text = format!("Expected websocket to be a map, got {found}");
            return Err(Diagnostic::at(block, text));
        };
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "listen" => self.listen(value, &mut websocket.host, &mut websocket.port),
                "port" => websocket.port = port(value)?,
                "host" | "net" => websocket.host = string(value)?,
                "advertise" => websocket.advertise = string(value)?,
                "no_tls" => websocket.no_tls = boolean(value)?,
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Plain);
                    if let Some(tls) = self.ok(tls) {
                        websocket.tls = Some(tls);
                    }
                }
                "same_origin" => websocket.same_origin = boolean(value)?,
                "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin"
                | "origins" | "origin" => {
                    websocket.allowed_origins =
                        self.string_array("allowed origins", value).unwrap_or_default();
                }
                "handshake_timeout" => {
                    // Unlike elsewhere, a bare number gets no warning here.
                    let timeout = match &value.kind {
                        Kind::Integer(number) => Ok(SignedDuration::from_secs(*number)),
                        Kind::String(_) => duration_text(value)?,
                        _ => {
                            let found = value.type_name();
                            Err(format!(
                                "error parsing handshake timeout: unsupported type {found}"
                            ))
                        }
                    };
                    if let Some(timeout) = self.ok_at(value, timeout) {
                        websocket.handshake_timeout = timeout.clamp_to_zero();
                    }
                }
                "compress" | "compression" => websocket.compression = boolean(value)?,
                "authorization" | "authentication" => {
                    let auth = self.simple_authorization(value);
                    websocket.username = auth.username;
                    websocket.password = auth.password;
                    websocket.token = auth.token;
                    websocket.auth_timeout = auth.timeout;
                }
                "jwt_cookie" => websocket.jwt_cookie = string(value)?,
                "user_cookie" => websocket.user_cookie = string(value)?,
                "pass_cookie" => websocket.pass_cookie = string(value)?,
                "token_cookie" => websocket.token_cookie = string(value)?,
                "no_auth_user" => websocket.no_auth_user = string(value)?,
                "headers" => self.websocket_headers(websocket, value),
                "ping_interval" => {
                    websocket.ping_interval = self.duration("ping_interval", value)?;
                }
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    fn websocket_headers(&mut self, websocket: &mut WebsocketOptions, value: &Value) {
        let Some(headers) = value.as_table() else {
            let found = value.type_name();
            self.error(value, format!("error parsing headers: unsupported type {found}"));
            return;
        };
        websocket.headers.clear();
        for (name, value) in headers.iter() {
            match string(value) {
                Ok(text) => {
                    websocket.headers.insert(name.to_owned(), text);
                }
                Err(_) => {
                    let found = value.type_name();
                    let text = format!("error parsing header key {name}: unsupported type {found}");
                    self.error(value, text);
                }
            }
        }
    }
}
