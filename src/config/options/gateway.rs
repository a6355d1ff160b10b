//! `gateway {}` (spec 02 §5.2).

use super::listen::{Port, WriteTimeout};
use super::tls::TlsOptions;
use super::tls::parse::TlsUse;
use crate::config::lang::Value;
use crate::config::load::{Loader, array, boolean, integer, port, string, url};
use crate::config::report::Diagnostic;
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

impl Loader<'_> {
    pub(super) fn gateway(&mut self, gateway: &mut GatewayOptions, block: &Value) {
        let result = self.gateway_block(gateway, block);
        self.ok(result);
    }

    fn gateway_block(
        &mut self,
        gateway: &mut GatewayOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let found = block.type_name();
            let text = format!("Expected gateway to be a map, got {found}");
            return Err(Diagnostic::at(block, text));
        };
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "name" => {
                    let name = string(value)?;
                    if name.contains(' ') {
                        self.error(value, "gateway name cannot contain spaces");
                    } else {
                        gateway.name = name;
                    }
                }
                "listen" => self.listen(value, &mut gateway.host, &mut gateway.port),
                "port" => gateway.port = port(value)?,
                "host" | "net" => gateway.host = string(value)?,
                "authorization" => {
                    let auth = self.authorization(value)?;
                    if auth.users.is_some() {
                        self.error(value, "Gateway authorization does not allow multiple users");
                    } else if !auth.token.is_empty() {
                        self.error(value, "Gateway authorization does not support tokens");
                    } else if auth.callout.is_some() {
                        self.error(value, "Gateway authorization does not support callouts");
                    } else {
                        gateway.username = auth.username;
                        gateway.password = auth.password;
                        gateway.auth_timeout = auth.timeout;
                    }
                }
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Peers);
                    if let Some(tls) = self.ok(tls) {
                        gateway.tls_timeout = tls.timeout;
                        gateway.tls = Some(tls);
                    }
                }
                "advertise" => gateway.advertise = string(value)?,
                "connect_retries" => gateway.connect_retries = integer(value)?,
                "connect_backoff" => gateway.connect_backoff = boolean(value)?,
                "gateways" => gateway.remotes = self.remote_gateways(value)?,
                "reject_unknown" | "reject_unknown_cluster" => {
                    gateway.reject_unknown = boolean(value)?;
                }
                "write_deadline" => {
                    gateway.write_deadline = self.duration("write_deadline", value)?;
                }
                "write_timeout" => gateway.write_timeout = self.write_timeout(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    fn remote_gateways(&mut self, value: &Value) -> Result<Vec<RemoteGatewayOptions>, Diagnostic> {
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            let text = format!("Expected gateways field to be an array, got {found}");
            return Err(Diagnostic::general(text));
        };
        let mut remotes = Vec::with_capacity(items.len());
        for item in items {
            let Some(fields) = item.as_table() else {
                let text = format!("Expected gateway entry to be a map/struct, got {item}");
                self.error(item, text);
                continue;
            };
            let mut remote = RemoteGatewayOptions::default();
            for (key, value) in fields.iter() {
                match key.to_lowercase().as_str() {
                    "name" => remote.name = string(value)?,
                    "tls" => {
                        let tls = TlsOptions::load(self, value, TlsUse::Peers);
                        if let Some(tls) = self.ok(tls) {
                            remote.tls_timeout = tls.timeout;
                            remote.tls = Some(tls);
                        }
                    }
                    "url" => {
                        let parsed = url("gateway", &string(value)?);
                        remote.urls.extend(self.ok_at(value, parsed));
                    }
                    "urls" => {
                        if let Some(urls) = self.urls("gateway", array(value)?) {
                            remote.urls = urls;
                        }
                    }
                    _ => self.unknown(key, value),
                }
            }
            remotes.push(remote);
        }
        Ok(remotes)
    }
}
