//! Accounts: the routing domains. Each has its own subscriptions, limits and counters.

use crate::subscription::Subscription;
use ::sublist::Sublist;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// Name of the account that connections belong to unless they are told otherwise.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// Name of the default system account.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// Limits of an account; -1 means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Subscriptions of one connection.
    pub max_subscriptions: i64,
    /// Payload bytes of one message, headers included.
    pub max_payload: i64,
    /// Client connections.
    pub max_connections: i64,
}

impl Default for AccountLimits {
    fn default() -> Self {
        AccountLimits { max_subscriptions: -1, max_payload: -1, max_connections: -1 }
    }
}

/// Messages and bytes, both ways. Bytes include headers and exclude line ends (spec 01 §15).
#[derive(Default)]
pub struct Traffic {
    /// Messages received.
    pub in_messages: AtomicI64,
    /// Bytes received.
    pub in_bytes: AtomicI64,
    /// Messages delivered.
    pub out_messages: AtomicI64,
    /// Bytes delivered.
    pub out_bytes: AtomicI64,
}

impl Traffic {
    /// Adds what one read batch brought.
    pub fn add(&self, batch: &TrafficBatch) {
        if batch.in_messages != 0 {
            self.in_messages.fetch_add(batch.in_messages, Ordering::Relaxed);
            self.in_bytes.fetch_add(batch.in_bytes, Ordering::Relaxed);
        }
        if batch.out_messages != 0 {
            self.out_messages.fetch_add(batch.out_messages, Ordering::Relaxed);
            self.out_bytes.fetch_add(batch.out_bytes, Ordering::Relaxed);
        }
    }
}

/// Traffic of one read batch, counted without atomics.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficBatch {
    /// Messages received.
    pub in_messages: i64,
    /// Bytes received.
    pub in_bytes: i64,
    /// Messages delivered.
    pub out_messages: i64,
    /// Bytes delivered.
    pub out_bytes: i64,
}

/// An account.
pub struct Account {
    /// Its name.
    pub name: String,
    /// A small number that is never given to another account: the key of match caches.
    pub id: u32,
    /// Who subscribes to what.
    pub sublist: Sublist<Arc<Subscription>>,
    /// Limits of its connections.
    pub limits: AccountLimits,
    /// When it came to be as it is.
    pub updated: SystemTime,
    /// Counters.
    pub traffic: Traffic,
    /// Its slow consumers since the start.
    pub slow_consumers: AtomicI64,
    /// Ids of the client connections in it.
    clients: Mutex<HashSet<u64>>,
    /// When it was last logged that a connection has too many subscriptions.
    subscription_limit_logged: Mutex<Option<Instant>>,
}

/// A connection with too many subscriptions is logged once in this time for all of an account.
const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(2);

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Account {
    /// An account without connections.
    pub fn new(name: &str, limits: AccountLimits, cache: bool) -> Account {
        Account {
            name: name.to_owned(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            sublist: if cache { Sublist::with_cache() } else { Sublist::without_cache() },
            limits,
            updated: SystemTime::now(),
            traffic: Traffic::default(),
            slow_consumers: AtomicI64::new(0),
            clients: Mutex::new(HashSet::new()),
            subscription_limit_logged: Mutex::new(None),
        }
    }

    /// The name that monitoring shows beside the name.
    pub fn name_tag(&self) -> String {
        self.name.clone()
    }

    /// Registers a client connection.
    ///
    /// # Errors
    /// [`TooManyConnections`] when the account's limit is reached.
    pub fn add_client(&self, cid: u64) -> Result<(), TooManyConnections> {
        let mut clients = self.clients.lock();
        if let Ok(max) = usize::try_from(self.limits.max_connections)
            && clients.len() >= max
        {
            return Err(TooManyConnections);
        }
        clients.insert(cid);
        Ok(())
    }

    /// Removes a client connection.
    pub fn remove_client(&self, cid: u64) {
        self.clients.lock().remove(&cid);
    }

    /// Whether it is to be logged that a connection has too many subscriptions: at most every two
    /// seconds (spec 01 §7.1).
    pub fn logs_subscription_limit(&self, now: Instant) -> bool {
        let mut last = self.subscription_limit_logged.lock();
        if last.is_some_and(|t| now.saturating_duration_since(t) < LIMIT_LOG_INTERVAL) {
            return false;
        }
        *last = Some(now);
        true
    }

    /// Client connections registered.
    pub fn client_count(&self) -> usize {
        self.clients.lock().len()
    }
}

/// The account has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyConnections;
