//! Accounts: the routing domains. Each has its own subscriptions, limits and counters.

pub mod expiry;
pub(crate) mod imports;
pub mod linking;
mod mappings;
mod registry;
pub mod responses;
pub mod shares;
pub mod trust;

pub use imports::{ServiceImport, StreamImport};
pub use mappings::{Mapped, Mappings};
pub use registry::Accounts;
pub use responses::Responses;
pub use shares::{Definition, ServiceExport};

use crate::message_trace::AccountDestination;
use crate::subscription::{Destination, Subscription};
use ::sublist::Sublist;
use expiry::Expiry;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use trust::Trust;

use parking_lot::{Mutex, RwLock};

/// Name of the account that connections belong to unless they are told otherwise.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// Name of the default system account.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// Time between two log lines about connections of an account with too many subscriptions.
const MAX_SUBSCRIPTIONS_LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Limits of an account; -1 means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Subscriptions of one connection.
    pub max_subscriptions: i64,
    /// Payload bytes of one message, headers included.
    pub max_payload: i64,
    /// Client connections.
    pub max_connections: i64,
    /// Leafnode connections.
    pub max_leafnodes: i64,
}

impl Default for AccountLimits {
    fn default() -> Self {
        AccountLimits {
            max_subscriptions: -1,
            max_payload: -1,
            max_connections: -1,
            max_leafnodes: -1,
        }
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

/// Traffic of one read batch, counted without atomics. What is delivered to parts of this server
/// does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficBatch {
    /// Messages received.
    pub in_messages: i64,
    /// Bytes received.
    pub in_bytes: i64,
    /// Messages delivered to clients.
    pub out_messages: i64,
    /// Bytes delivered to clients.
    pub out_bytes: i64,
}

impl TrafficBatch {
    /// Adds another batch.
    pub fn add(&mut self, other: &TrafficBatch) {
        self.in_messages += other.in_messages;
        self.in_bytes += other.in_bytes;
        self.out_messages += other.out_messages;
        self.out_bytes += other.out_bytes;
    }
}

/// An account.
pub struct Account {
    /// Its name.
    pub name: String,
    /// A small number that is never given to another account: the key of match caches.
    pub id: u32,
    /// Who subscribes to what.
    pub sublist: Sublist<Arc<Subscription>>,
    limits: Mutex<AccountLimits>,
    updated: Mutex<SystemTime>,
    /// Counters.
    pub traffic: Traffic,
    /// Its slow consumers since the start.
    pub slow_consumers: AtomicI64,
    /// Ids of the client connections in it.
    clients: Mutex<HashSet<u64>>,
    /// Where traces go that others ask for.
    trace_destination: Mutex<AccountDestination>,
    /// What it shares and uses.
    definition: RwLock<Arc<Definition>>,
    /// What its claims say of its users; nothing without operators, or as long as there are none.
    trust: RwLock<Option<Arc<Trust>>>,
    /// Its time is over, or it was deleted.
    expired: AtomicBool,
    has_stream_imports: AtomicBool,
    /// Streams of other accounts.
    stream_imports: RwLock<Arc<[Arc<StreamImport>]>>,
    /// Services of other accounts, as they stand in the sublist.
    service_imports: RwLock<Arc<[Arc<Subscription>]>>,
    /// Answers that its services owe to other accounts, once there was a request.
    responses: OnceLock<Arc<Responses>>,
    expiry: Arc<Expiry>,
    has_mappings: AtomicBool,
    mappings: RwLock<Option<Arc<Mappings>>>,
    /// When a connection with too many subscriptions was last logged.
    subscription_limit_logged: Mutex<Option<Instant>>,
}

/// Characters of generated names.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Account {
    /// An account without connections.
    pub fn new(name: &str, limits: AccountLimits, cache: bool) -> Account {
        Account {
            name: name.to_owned(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            sublist: if cache { Sublist::with_cache() } else { Sublist::without_cache() },
            limits: Mutex::new(limits),
            updated: Mutex::new(SystemTime::now()),
            traffic: Traffic::default(),
            slow_consumers: AtomicI64::new(0),
            clients: Mutex::new(HashSet::new()),
            trace_destination: Mutex::default(),
            definition: RwLock::default(),
            trust: RwLock::new(None),
            expired: AtomicBool::new(false),
            has_stream_imports: AtomicBool::new(false),
            stream_imports: RwLock::default(),
            service_imports: RwLock::default(),
            responses: OnceLock::new(),
            expiry: Arc::default(),
            has_mappings: AtomicBool::new(false),
            mappings: RwLock::new(None),
            subscription_limit_logged: Mutex::new(None),
        }
    }

    /// The name that monitoring shows beside the name: the one for people, if there is one.
    pub fn name_tag(&self) -> String {
        match self.trust() {
            Some(trust) if !trust.name.is_empty() => trust.name.clone(),
            _ => self.name.clone(),
        }
    }

    /// How logs name it.
    pub fn trace_label(&self) -> String {
        match self.trust() {
            Some(trust) if !trust.name.is_empty() => format!("{}/{}", self.name, trust.name),
            _ => self.name.clone(),
        }
    }

    /// What its claims say of its users.
    pub fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.read().clone()
    }

    /// Replaces what its claims say of its users.
    pub fn set_trust(&self, trust: Trust) {
        *self.trust.write() = Some(Arc::new(trust));
    }

    /// Its claims are no more.
    pub fn clear_trust(&self) {
        *self.trust.write() = None;
    }

    /// Whether its time is over, or it was deleted.
    pub fn is_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// Records that its time is over, or that it is not any more.
    pub fn set_expired(&self, expired: bool) {
        self.expired.store(expired, Ordering::Relaxed);
    }

    /// Registers a client connection.
    ///
    /// # Errors
    /// [`TooManyConnections`] when the account's limit is reached.
    pub fn add_client(&self, cid: u64) -> Result<(), TooManyConnections> {
        let mut clients = self.clients.lock();
        if let Ok(max) = usize::try_from(self.limits().max_connections)
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

    /// Limits of its connections.
    pub fn limits(&self) -> AccountLimits {
        *self.limits.lock()
    }

    /// Replaces the limits, for the connections to come.
    pub fn set_limits(&self, limits: AccountLimits) {
        *self.limits.lock() = limits;
    }

    /// Where traces of messages go that others ask to be traced.
    pub fn trace_destination(&self) -> AccountDestination {
        self.trace_destination.lock().clone()
    }

    /// Replaces that.
    pub fn set_trace_destination(&self, destination: AccountDestination) {
        *self.trace_destination.lock() = destination;
    }

    /// When it came to be as it is.
    pub fn updated(&self) -> SystemTime {
        *self.updated.lock()
    }

    /// It was changed.
    pub fn touch(&self) {
        *self.updated.lock() = SystemTime::now();
    }

    /// What it shares and uses.
    pub fn definition(&self) -> Arc<Definition> {
        self.definition.read().clone()
    }

    fn set_definition(&self, mut definition: Definition) {
        let mut current = self.definition.write();
        definition.reuse(&current);
        *current = Arc::new(definition);
    }

    /// Whether its subscriptions get messages of streams of other accounts.
    pub fn has_stream_imports(&self) -> bool {
        self.has_stream_imports.load(Ordering::Relaxed)
    }

    /// Streams of other accounts that its subscriptions get messages of.
    pub fn stream_imports(&self) -> Arc<[Arc<StreamImport>]> {
        self.stream_imports.read().clone()
    }

    fn set_stream_imports(&self, imports: Vec<Arc<StreamImport>>) {
        self.has_stream_imports.store(!imports.is_empty(), Ordering::Relaxed);
        *self.stream_imports.write() = imports.into();
    }

    /// Services of other accounts: the subscriptions that lead to them.
    pub fn service_imports(&self) -> Arc<[Arc<Subscription>]> {
        self.service_imports.read().clone()
    }

    fn set_service_imports(&self, imports: Vec<Arc<Subscription>>) {
        *self.service_imports.write() = imports.into();
    }

    /// Ids of its client connections.
    pub fn client_ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.clients.lock().iter().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The answers that its services owe. From the first call on there is a subscription for them;
    /// `random` then makes their subjects.
    pub fn responses(&self, random: u64) -> &Arc<Responses> {
        self.responses.get_or_init(|| {
            let responses = Arc::new(Responses::new(random, self.expiry.clone()));
            let to = Destination::Responses(responses.clone());
            let subscription = Subscription::new(&responses.subject(), None, b"", to);
            // The subject is valid, and only a full index refuses one.
            let inserted = self.sublist.insert(Arc::new(subscription));
            debug_assert!(inserted.is_ok());
            responses
        })
    }

    /// The same, unless there was no request yet.
    pub fn existing_responses(&self) -> Option<&Responses> {
        self.responses.get().map(|responses| &**responses)
    }

    /// The mappings in force. Looked at once per read of a connection.
    pub fn mappings(&self) -> Option<Arc<Mappings>> {
        if !self.has_mappings.load(Ordering::Relaxed) {
            return None;
        }
        self.mappings.read().clone()
    }

    /// Replaces the mappings.
    pub fn set_mappings(&self, mappings: Option<Mappings>) {
        let mut current = self.mappings.write();
        self.has_mappings.store(mappings.is_some(), Ordering::Relaxed);
        *current = mappings.map(Arc::new);
    }

    /// Whether to log that a connection has too many subscriptions: not all of them are.
    pub fn logs_subscription_limit(&self, now: Instant) -> bool {
        let mut last = self.subscription_limit_logged.lock();
        let due = last.is_none_or(|at| now.duration_since(at) >= MAX_SUBSCRIPTIONS_LOG_INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }

    /// Client connections registered.
    pub fn client_count(&self) -> usize {
        self.clients.lock().len()
    }
}

/// The account has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyConnections;
