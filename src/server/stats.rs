//! The server's counters.

use crate::account::Traffic;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters since the start.
#[derive(Default)]
pub struct Stats {
    /// Messages and bytes of all connections.
    pub traffic: Traffic,
    /// Connections accepted.
    pub total_connections: AtomicU64,
    /// Slow consumers of all kinds.
    pub slow_consumers: AtomicI64,
    /// Slow consumers that were clients.
    pub slow_clients: AtomicI64,
    /// Times a producer was held back for a slow consumer.
    pub stalled: AtomicI64,
}

impl Stats {
    /// Counts a client that was too slow.
    pub fn slow_consumer(&self) {
        self.slow_consumers.fetch_add(1, Ordering::Relaxed);
        self.slow_clients.fetch_add(1, Ordering::Relaxed);
    }
}
