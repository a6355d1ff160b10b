//! The server's counters.

use crate::account::Traffic;
use crate::delivery::Kind;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A counter for each kind of connection.
#[derive(Default)]
pub struct KindCounters {
    /// Clients.
    pub clients: AtomicU64,
    /// Routes.
    pub routes: AtomicU64,
    /// Gateways.
    pub gateways: AtomicU64,
    /// Leafnodes.
    pub leafs: AtomicU64,
}

impl KindCounters {
    /// Counts one; kinds that are parts of this server have no connections to count.
    pub fn count(&self, kind: Kind) {
        let counter = match kind {
            Kind::Client => &self.clients,
            Kind::Router => &self.routes,
            Kind::Gateway => &self.gateways,
            Kind::Leaf => &self.leafs,
            Kind::System | Kind::JetStream | Kind::Account => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counters since the start.
#[derive(Default)]
pub struct Stats {
    /// Messages and bytes of clients.
    pub client_traffic: Traffic,
    /// Messages and bytes of routes, gateways and leafnodes.
    pub link_traffic: Traffic,
    /// Client connections accepted.
    pub total_connections: AtomicU64,
    /// Connections that were too slow.
    pub slow_consumers: KindCounters,
    /// Connections that did not answer PINGs.
    pub stale_connections: KindCounters,
    /// Times a producer was held back for a slow consumer.
    pub stalled: AtomicI64,
    /// Logins that failed because the issuing account is not one of the pinned ones.
    pub pinned_account_fails: AtomicU64,
}
