//! Defaults of everything nobody configured (spec 02 §3).

use super::Options;
use super::account::DEFAULT_SYSTEM_ACCOUNT;
use super::compression::{CompressionMode, CompressionOptions};
use super::listen::Port;
use std::time::Duration;

/// The constants of spec 02 §3 that the options fall back to.
pub mod defaults {
    use std::time::Duration;

    /// Host of every listener.
    pub const HOST: &str = "0.0.0.0";
    /// Port for clients.
    pub const PORT: u16 = 4222;
    /// Port of a leafnode remote whose URL has none.
    pub const LEAFNODE_PORT: u16 = 7422;
    /// Longest control line in bytes.
    pub const MAX_CONTROL_LINE: i32 = 4096;
    /// Largest message in bytes.
    pub const MAX_PAYLOAD: i32 = 1024 * 1024;
    /// Size in bytes above which `max_payload` gets a warning.
    pub const MAX_PAYLOAD_WARNING: i32 = 8 * 1024 * 1024;
    /// Bytes pending per connection.
    pub const MAX_PENDING: i64 = 64 * 1024 * 1024;
    /// Client connections.
    pub const MAX_CONNECTIONS: i64 = 64 * 1024;
    /// Closed connections remembered.
    pub const MAX_CLOSED_CLIENTS: i64 = 10_000;
    /// Time between pings.
    pub const PING_INTERVAL: Duration = Duration::from_secs(120);
    /// Unanswered pings.
    pub const PING_MAX: i64 = 2;
    /// Largest ping interval of routes.
    pub const ROUTE_MAX_PING_INTERVAL: Duration = Duration::from_secs(30);
    /// TLS handshake.
    pub const TLS_TIMEOUT: Duration = Duration::from_secs(2);
    /// Authentication without TLS; with TLS it is a second more than the handshake may take.
    pub const AUTH_TIMEOUT: Duration = Duration::from_secs(2);
    /// Waiting for a TLS handshake with `handshake_first: auto`.
    pub const HANDSHAKE_FIRST_FALLBACK: Duration = Duration::from_millis(50);
    /// Writing to a connection.
    pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);
    /// Closing all clients.
    pub const LAME_DUCK_DURATION: Duration = Duration::from_secs(120);
    /// Before the first client is closed.
    pub const LAME_DUCK_GRACE_PERIOD: Duration = Duration::from_secs(10);
    /// Connections per route.
    pub const ROUTE_POOL_SIZE: i64 = 3;
    /// Between attempts to reach a leafnode remote.
    pub const LEAFNODE_RECONNECT: Duration = Duration::from_secs(1);
    /// TLS handshake with a leafnode remote.
    pub const LEAFNODE_TLS_TIMEOUT: Duration = Duration::from_secs(2);
    /// Waiting for the first INFO of a leafnode remote.
    pub const LEAFNODE_INFO_WAIT: Duration = Duration::from_secs(1);
    /// Failed first connects between two reports.
    pub const CONNECT_ERROR_REPORTS: i64 = 3600;
    /// Failed reconnects between two reports.
    pub const RECONNECT_ERROR_REPORTS: i64 = 1;
    /// Looking up an account.
    pub const ACCOUNT_FETCH_TIMEOUT: Duration = Duration::from_millis(1900);
    /// Syncing of stores with `sync_interval: always`, and if not configured.
    pub const SYNC_INTERVAL: Duration = Duration::from_secs(120);
    /// Queued JetStream API requests.
    pub const JETSTREAM_REQUEST_QUEUE_LIMIT: i64 = 10_000;
    /// Concurrent disk operations.
    pub const JETSTREAM_CONCURRENT_IO: i64 = 4096;
}

fn default_to<T: PartialEq + Default>(option: &mut T, value: impl Into<T>) {
    if *option == T::default() {
        *option = value.into();
    }
}

fn default_mode(compression: &mut CompressionOptions, mode: CompressionMode) {
    if matches!(&compression.mode, CompressionMode::Unset)
        || matches!(&compression.mode, CompressionMode::Named(name) if name.is_empty())
    {
        compression.mode = mode;
    }
}

/// With TLS the handshake is part of the time an authentication may take.
fn default_auth_timeout(tls: bool, tls_timeout: Duration) -> Duration {
    if tls { tls_timeout.saturating_add(Duration::from_secs(1)) } else { defaults::AUTH_TIMEOUT }
}

impl Options {
    /// Fills everything that is not configured with its default. Ports stay as they are, except
    /// that clients are listened to on 4222.
    pub fn set_baseline(&mut self) {
        default_to(&mut self.host, defaults::HOST);
        let host = self.host.clone();
        default_to(&mut self.http_host, host);
        default_to(&mut self.port, Port::from(defaults::PORT));
        default_to(&mut self.max_connections, defaults::MAX_CONNECTIONS);
        default_to(&mut self.ping_interval, defaults::PING_INTERVAL);
        default_to(&mut self.ping_max, defaults::PING_MAX);
        default_to(&mut self.tls_timeout, defaults::TLS_TIMEOUT);
        let auth_timeout = default_auth_timeout(self.tls.is_some(), self.tls_timeout);
        default_to(&mut self.auth_timeout, auth_timeout);
        self.set_cluster_baseline();
        self.set_leafnode_baseline();
        default_to(&mut self.max_control_line, defaults::MAX_CONTROL_LINE);
        default_to(&mut self.max_payload, defaults::MAX_PAYLOAD);
        default_to(&mut self.max_pending, defaults::MAX_PENDING);
        default_to(&mut self.write_deadline, defaults::WRITE_DEADLINE);
        default_to(&mut self.max_closed_clients, defaults::MAX_CLOSED_CLIENTS);
        default_to(&mut self.lame_duck_duration, defaults::LAME_DUCK_DURATION);
        default_to(&mut self.lame_duck_grace_period, defaults::LAME_DUCK_GRACE_PERIOD);
        let gateway = &mut self.gateway;
        if gateway.port.is_set() {
            default_to(&mut gateway.host, defaults::HOST);
            default_to(&mut gateway.tls_timeout, defaults::TLS_TIMEOUT);
            let timeout = default_auth_timeout(gateway.tls.is_some(), gateway.tls_timeout);
            default_to(&mut gateway.auth_timeout, timeout);
        }
        default_to(&mut self.connect_error_reports, defaults::CONNECT_ERROR_REPORTS);
        default_to(&mut self.reconnect_error_reports, defaults::RECONNECT_ERROR_REPORTS);
        if self.websocket.port.is_set() {
            default_to(&mut self.websocket.host, defaults::HOST);
        }
        if self.mqtt.port.is_set() {
            default_to(&mut self.mqtt.host, defaults::HOST);
            default_to(&mut self.mqtt.tls_timeout, defaults::TLS_TIMEOUT);
        }
        self.set_jetstream_baseline();
    }

    fn set_cluster_baseline(&mut self) {
        let cluster = &mut self.cluster;
        if !cluster.port.is_set() && cluster.listen_text.is_empty() {
            return;
        }
        default_to(&mut cluster.host, defaults::HOST);
        default_to(&mut cluster.tls_timeout, defaults::TLS_TIMEOUT);
        let timeout = default_auth_timeout(cluster.tls.is_some(), cluster.tls_timeout);
        default_to(&mut cluster.auth_timeout, timeout);
        default_to(&mut cluster.pool_size, defaults::ROUTE_POOL_SIZE);
        if cluster.pool_size > 0 {
            // The system account gets a route of its own, so that its traffic is never behind
            // that of others.
            let system = match self.system_account.as_str() {
                "" if self.no_system_account => None,
                "" => Some(DEFAULT_SYSTEM_ACCOUNT),
                name => Some(name),
            };
            if let Some(system) = system
                && !cluster.pinned_accounts.iter().any(|account| account == system)
            {
                cluster.pinned_accounts.push(system.to_owned());
            }
        }
        default_mode(&mut cluster.compression, CompressionMode::Accept);
    }

    fn set_leafnode_baseline(&mut self) {
        let leafnode = &mut self.leafnode;
        if leafnode.port.is_set() {
            default_to(&mut leafnode.host, defaults::HOST);
            default_to(&mut leafnode.tls_timeout, defaults::TLS_TIMEOUT);
            let timeout = default_auth_timeout(leafnode.tls.is_some(), leafnode.tls_timeout);
            default_to(&mut leafnode.auth_timeout, timeout);
            default_mode(&mut leafnode.compression, CompressionMode::S2Auto);
        }
        for remote in &mut leafnode.remotes {
            for url in &mut remote.urls {
                url.set_default_port(defaults::LEAFNODE_PORT);
            }
            default_mode(&mut remote.compression, CompressionMode::S2Auto);
            default_to(&mut remote.first_info_timeout, defaults::LEAFNODE_INFO_WAIT);
        }
        default_to(&mut leafnode.reconnect_interval, defaults::LEAFNODE_RECONNECT);
    }

    fn set_jetstream_baseline(&mut self) {
        let jetstream = &mut self.jetstream;
        if !jetstream.max_memory_set {
            default_to(&mut jetstream.max_memory, -1);
        }
        if !jetstream.max_store_set {
            default_to(&mut jetstream.max_store, -1);
        }
        if !jetstream.sync_set {
            default_to(&mut jetstream.sync_interval, defaults::SYNC_INTERVAL);
        }
        if jetstream.request_queue_limit <= 0 {
            jetstream.request_queue_limit = defaults::JETSTREAM_REQUEST_QUEUE_LIMIT;
        }
        if jetstream.info_queue_limit <= 0 {
            jetstream.info_queue_limit = jetstream.request_queue_limit;
        }
        if jetstream.max_concurrent_io <= 0 {
            jetstream.max_concurrent_io = defaults::JETSTREAM_CONCURRENT_IO;
        }
    }
}
