//! `cluster {}` (spec 02 §5.1).

use super::auth::{Permissions, SubjectPermission};
use super::compression::{CompressionMode, CompressionOptions};
use super::listen::{Port, WriteTimeout};
use super::tls::TlsOptions;
use super::tls::parse::TlsUse;
use super::{Options, Switch, defaults};
use crate::config::lang::Value;
use crate::config::load::{Loader, array, boolean, integer, port, string};
use crate::config::permissions;
use crate::config::report::Diagnostic;
use crate::config::secret::Secret;
use crate::config::text::duration;
use std::sync::Arc;
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

impl Loader<'_> {
    pub(super) fn cluster(&mut self, options: &mut Options, block: &Value) {
        let result = self.cluster_block(options, block);
        self.ok(result);
    }

    fn cluster_block(&mut self, options: &mut Options, block: &Value) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let found = block.type_name();
            let text = format!("Expected map to define cluster, got {found}");
            return Err(Diagnostic::at(block, text));
        };
        // Permissions of the block win over those of its authorization, wherever they stand.
        let mut authorization_permissions = None;
        for (key, value) in fields.iter() {
            let cluster = &mut options.cluster;
            match key.to_lowercase().as_str() {
                "name" => {
                    let name = string(value)?;
                    if name.contains(' ') {
                        self.error(value, "cluster name cannot contain spaces");
                    } else {
                        cluster.name = name;
                    }
                }
                "listen" => self.listen(value, &mut cluster.host, &mut cluster.port),
                "port" => cluster.port = port(value)?,
                "host" | "net" => cluster.host = string(value)?,
                "authorization" => {
                    let permissions = self.cluster_authorization(cluster, key, value)?;
                    authorization_permissions = permissions.or(authorization_permissions);
                }
                "routes" => {
                    if let Some(routes) = self.urls("route", array(value)?) {
                        options.routes = routes;
                    }
                }
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Peers);
                    if let Some(tls) = self.ok(tls) {
                        cluster.tls_timeout = tls.timeout;
                        cluster.tls = Some(tls);
                    }
                }
                "cluster_advertise" | "advertise" => cluster.advertise = string(value)?,
                "no_advertise" => {
                    let on = boolean(value)?;
                    options.set_switch(Switch::ClusterNoAdvertise, on);
                }
                "connect_retries" => cluster.connect_retries = integer(value)?,
                "connect_backoff" => cluster.connect_backoff = boolean(value)?,
                "permissions" => {
                    if value.as_table().is_none() {
                        let text = format!("Expected permissions to be a map/struct, got {value}");
                        self.report.errors.push(Diagnostic::general(text));
                        continue;
                    }
                    let Some(permissions) = self.permissions(value) else { continue };
                    if permissions.responses.is_some() {
                        let text = "Cluster permissions do not support dynamic responses";
                        self.error(value, text);
                        continue;
                    }
                    let permissions = RoutePermissions::from(permissions);
                    if self.ok_at(value, permissions.check()).is_some() {
                        cluster.permissions = Some(permissions);
                    }
                }
                "pool_size" => cluster.pool_size = integer(value)?,
                "accounts" => {
                    cluster.pinned_accounts =
                        self.string_array("accounts", value).unwrap_or_default();
                }
                "compression" => {
                    let compression = &mut cluster.compression;
                    let result = self.compression(compression, CompressionMode::S2Fast, key, value);
                    self.ok(result);
                }
                "ping_interval" => {
                    cluster.ping_interval = self.duration("ping_interval", value)?;
                    let limit = defaults::ROUTE_MAX_PING_INTERVAL;
                    if cluster.ping_interval > limit {
                        let limit = duration(limit);
                        self.warning(
                            value,
                            format!(
                                "Cluster 'ping_interval' will reset to {limit} which is the max \
                                 for routes"
                            ),
                        );
                    }
                }
                "ping_max" => cluster.ping_max = integer(value)?,
                "write_deadline" => {
                    cluster.write_deadline = self.duration("write_deadline", value)?;
                }
                "write_timeout" => cluster.write_timeout = self.write_timeout(value)?,
                _ => self.unknown(key, value),
            }
        }
        if options.cluster.permissions.is_none() {
            options.cluster.permissions = authorization_permissions;
        }
        Ok(())
    }

    fn cluster_authorization(
        &mut self,
        cluster: &mut ClusterOptions,
        key: &str,
        value: &Value,
    ) -> Result<Option<RoutePermissions>, Diagnostic> {
        let auth = self.authorization(value)?;
        let refused = if auth.users.is_some() {
            Some("Cluster authorization does not allow multiple users")
        } else if !auth.token.is_empty() {
            Some("Cluster authorization does not support tokens")
        } else if auth.callout.is_some() {
            Some("Cluster authorization does not support callouts")
        } else {
            None
        };
        if let Some(text) = refused {
            self.error(value, text);
            return Ok(None);
        }
        cluster.username = auth.username;
        cluster.password = auth.password;
        cluster.auth_timeout = auth.timeout;
        let Some(permissions) = auth.default_permissions else {
            return Ok(None);
        };
        let permissions = RoutePermissions::from(Arc::unwrap_or_clone(permissions));
        if self.ok_at(value, permissions.check()).is_none() {
            return Ok(None);
        }
        let text = "setting \"permissions\" within cluster authorization block is deprecated";
        self.questionable(key, value, text);
        Ok(Some(permissions))
    }
}

impl From<Permissions> for RoutePermissions {
    fn from(permissions: Permissions) -> RoutePermissions {
        RoutePermissions { import: permissions.publish, export: permissions.subscribe }
    }
}

impl RoutePermissions {
    /// Checks that all subjects are valid and none names a queue.
    ///
    /// # Errors
    /// The reason, naming list and subject.
    pub(in crate::config) fn check(&self) -> Result<(), String> {
        for (side, permission) in [("import", &self.import), ("export", &self.export)] {
            let Some(SubjectPermission { allow, deny }) = permission else { continue };
            let lists = [("allow", allow.as_deref().unwrap_or_default()), ("deny", deny)];
            for (list, subjects) in lists {
                permissions::check(subjects, false)
                    .map_err(|error| format!("cluster {side} {list}: {error}"))?;
            }
        }
        Ok(())
    }
}
