//! The server: what all connections share, and its life from listening to shutdown.
//!
//! Locks here are taken one at a time, never under another, and never per message.

mod launch;
mod listen;
mod replace;
mod settings;
mod stats;

pub use launch::Launch;
pub use listen::{ListenError, host_port, listen};
pub use replace::{Reloaded, Replacement};
pub use settings::Settings;
pub use stats::{KindCounters, Stats};

use crate::account::{Account, Accounts};
use crate::advertise::{HostPortError, parse_host_port};
use crate::auth::Authenticator;
use crate::auth::pool::HashPool;
use crate::callout;
use crate::client::{ClientShared, Details};
use crate::closed::{ClosedRing, ClosedState};
use crate::config::options::Options;
use crate::identity::{NONCE_SEED_BYTES, SEED_BYTES, ServerIdentity, nonce};
use crate::info::{API_LEVEL, Info, PROTO, RUNTIME, VERSION};
use crate::internal::{Inbox, Mail};
use crate::jetstream::Handle;
use crate::logging::Logger;
use crate::monitor::Monitor;
use crate::monitor::histogram::{Histogram, Snapshot};
use crate::monitor::metrics::FIRST_NANOS;
use crate::monitor::service::{self as monitoring, MonitorError};
use crate::operator::Operators;
use crate::operator::desk::{self, Applier, Order};
use crate::operator::resolver::Resolver;
use crate::process::banner;
use crate::profile;
use crate::subscription::Subscription;
use crate::system::System;
use crate::tls::{RateLimit, ServerTls};
use crate::worker::{Message, Worker};
use ahash::RandomState;
use eventloop::{ListenerId, Reactor, Sender, Slots, TcpListener};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The listener for clients.
pub const CLIENT_LISTENER: ListenerId = ListenerId(0);

/// Connections copied from the registry while it is locked once.
const CLIENTS_AT_A_TIME: usize = 1024;

/// A client connection that has ended, as monitoring shows it.
pub struct ClosedClient {
    /// What was known of it.
    pub shared: Arc<ClientShared>,
    /// What it said of itself.
    pub details: Details,
    /// Why it ended.
    pub reason: ClosedState,
    /// When.
    pub stop: SystemTime,
    /// Bytes it did not take.
    pub pending_bytes: usize,
    /// The subscriptions it had.
    pub subscriptions: Vec<Arc<Subscription>>,
}

/// What went wrong at start.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be opened; the text is what the reference prints.
    Listen(ListenError),
    /// The accounts do not fit together; the text is what the reference prints.
    Accounts(String),
    /// The monitoring port cannot be served.
    Monitor(MonitorError),
    /// `client_advertise` is no address.
    Advertise(String, HostPortError),
    /// TLS is configured in a way that cannot work.
    Tls(String),
    /// JetStream cannot run; the text is what the reference prints.
    JetStream(String),
    /// The system refused a thread, a poll or randomness.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Listen(e) => {
                let quoted = parser::quote::quote(e.to_string().as_bytes());
                write!(f, "Error listening on port: {}, {quoted}", e.address())
            }
            StartError::Accounts(text) => f.write_str(text),
            StartError::JetStream(text) => write!(f, "Can't start JetStream: {text}"),
            StartError::Monitor(e) => e.fmt(f),
            StartError::Advertise(text, e) => {
                let what = "Error setting server INFO with ClientAdvertise value of";
                write!(f, "{what} {text}, err={e}")
            }
            StartError::Tls(text) => f.write_str(text),
            StartError::System(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(e: io::Error) -> StartError {
        StartError::System(e)
    }
}

/// A running server.
pub struct Server {
    /// The log.
    pub log: Arc<Logger>,
    /// Keys and id.
    pub identity: ServerIdentity,
    /// Hashes subscription ids; seeded once, so that peers cannot choose collisions.
    pub hasher: RandomState,
    /// Counters.
    pub stats: Stats,
    /// The profiling port, once it is served.
    profiling: OnceLock<profile::service::Port>,
    /// What monitoring keeps.
    pub monitor: Monitor,
    /// When the server was made.
    pub start: SystemTime,
    /// The same, for measuring.
    pub started: Instant,
    options: RwLock<Arc<Options>>,
    /// When they were loaded.
    configured: RwLock<SystemTime>,
    /// Held while they are being replaced.
    reloading: Mutex<()>,
    launch: OnceLock<Launch>,
    /// Events and services of the system account, once they have started.
    system: OnceLock<Arc<System>>,
    settings: RwLock<Arc<Settings>>,
    info: RwLock<Arc<Info>>,
    accounts: Accounts,
    authenticator: RwLock<Arc<Authenticator>>,
    /// Checks hashed passwords.
    pub hash_pool: Arc<HashPool>,
    /// TLS for clients and monitoring.
    tls: RwLock<Option<Arc<ServerTls>>>,
    tls_rate: Option<RateLimit>,
    clients: Mutex<BTreeMap<u64, Arc<ClientShared>>>,
    closed: Mutex<ClosedRing<Arc<ClosedClient>>>,
    next_cid: AtomicU64,
    random: AtomicU64,
    senders: OnceLock<Vec<Sender<Message>>>,
    /// How long passes of each reactor took, in nanoseconds.
    passes: Vec<Histogram>,
    /// Connections of each reactor.
    loads: Vec<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// JetStream, once it has started.
    jetstream: OnceLock<Arc<Handle>>,
    /// Inboxes of the server's own parts, closed at shutdown.
    inboxes: Mutex<Vec<Arc<Inbox>>>,
    /// Where claims of accounts come from, until the desk takes it over.
    resolver: Mutex<Option<Resolver>>,
    /// The system account's claims are still to be fetched.
    bootstraps: bool,
    /// Orders for the thread that asks authorization services, once one is asked.
    callout: Mutex<Option<Arc<Mail<callout::Order>>>>,
    /// Orders for the desk, in operator mode.
    desk: OnceLock<Arc<Mail<Order>>>,
    /// When the reactors' clocks began.
    ticks_from: OnceLock<Instant>,
    /// Actual address of the client listener.
    address: OnceLock<SocketAddr>,
    shutting_down: AtomicBool,
    lame_duck: AtomicBool,
    /// Becomes true when shutdown is complete.
    stopped: Mutex<bool>,
    stopped_signal: Condvar,
}

fn seed() -> io::Result<[u8; SEED_BYTES]> {
    let mut bytes = [0; SEED_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(bytes)
}

impl Server {
    /// A server that does not listen yet. The options' baseline is set and validated.
    ///
    /// # Errors
    /// When the system gives no randomness for the server's keys, the configured system account does
    /// not exist, or certificates are unusable.
    pub fn new(options: Arc<Options>, log: Arc<Logger>) -> Result<Arc<Server>, StartError> {
        let identity = ServerIdentity::from_seeds(seed()?, seed()?)
            .map_err(|e| io::Error::other(e.to_string()))?;
        let settings = Settings::from_options(&options);
        let tls = match &options.tls {
            Some(tls) => Some(Arc::new(ServerTls::new(tls).map_err(StartError::Tls)?)),
            None => None,
        };
        let rate = options.tls.as_ref().map_or(0, |tls| tls.connection_rate_limit);
        let reactors = std::thread::available_parallelism().map_or(1, usize::from);
        let random = u64::from_le_bytes(seed()?[..8].try_into().unwrap_or_default());
        let accounts = Accounts::new(&options, random).map_err(StartError::Accounts)?;
        let authenticator = {
            let account = |name: Option<&str>| {
                let found = name.and_then(|name| accounts.get(name));
                found.unwrap_or_else(|| accounts.global().clone())
            };
            Authenticator::new(&options, account, accounts.internal_user())
        };
        let mut resolver = None;
        let mut bootstraps = false;
        if let Some(operators) = authenticator.operators() {
            let now = jiff::Timestamp::now().as_second();
            resolver = Resolver::open(&options, now).map_err(StartError::Accounts)?;
            if let Some(resolver) = &mut resolver {
                let applier = Applier {
                    accounts: &accounts,
                    operators,
                    log: &log,
                    cluster: &options.cluster.name,
                    now,
                };
                let single = options.operators.len() == 1;
                bootstraps = desk::prepare_system_account(&applier, resolver, single)
                    .map_err(StartError::Accounts)?;
            }
        }
        let name =
            if options.server_name.is_empty() { identity.id() } else { &options.server_name };
        let info = Info {
            server_id: identity.id().to_owned(),
            server_name: name.to_owned(),
            version: VERSION,
            proto: PROTO,
            git_commit: option_env!("NATS_SERVER_GIT_COMMIT").unwrap_or_default(),
            go: RUNTIME,
            host: options.host.clone(),
            port: 0,
            headers: settings.headers,
            auth_required: authenticator.required(),
            tls_required: tls.is_some() && !options.allow_non_tls,
            tls_verify: tls.as_ref().is_some_and(|tls| tls.verify),
            tls_available: tls.is_some() && options.allow_non_tls,
            max_payload: options.max_payload,
            cluster: options.cluster.name.clone(),
            api_lvl: API_LEVEL,
            xkey: identity.xkey_public().to_owned(),
            ..Info::default()
        };
        let start = SystemTime::now();
        Ok(Arc::new(Server {
            log,
            identity,
            hasher: RandomState::new(),
            stats: Stats::default(),
            monitor: Monitor::default(),
            profiling: OnceLock::new(),
            start,
            started: Instant::now(),
            closed: Mutex::new(ClosedRing::new(
                usize::try_from(options.max_closed_clients).unwrap_or(0),
            )),
            options: RwLock::new(options),
            configured: RwLock::new(start),
            reloading: Mutex::new(()),
            launch: OnceLock::new(),
            system: OnceLock::new(),
            settings: RwLock::new(Arc::new(settings)),
            info: RwLock::new(Arc::new(info)),
            accounts,
            authenticator: RwLock::new(Arc::new(authenticator)),
            hash_pool: Arc::default(),
            tls: RwLock::new(tls),
            tls_rate: RateLimit::new(rate),
            clients: Mutex::new(BTreeMap::new()),
            next_cid: AtomicU64::new(0),
            random: AtomicU64::new(random),
            senders: OnceLock::new(),
            passes: (0..reactors).map(|_| Histogram::new(FIRST_NANOS)).collect(),
            loads: (0..reactors).map(|_| AtomicUsize::new(0)).collect(),
            threads: Mutex::new(Vec::new()),
            jetstream: OnceLock::new(),
            inboxes: Mutex::new(Vec::new()),
            resolver: Mutex::new(resolver),
            bootstraps,
            callout: Mutex::new(None),
            desk: OnceLock::new(),
            ticks_from: OnceLock::new(),
            address: OnceLock::new(),
            shutting_down: AtomicBool::new(false),
            lame_duck: AtomicBool::new(false),
            stopped: Mutex::new(false),
            stopped_signal: Condvar::new(),
        }))
    }

    /// Opens the listeners and starts the reactors.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(self: &Arc<Server>) -> Result<(), StartError> {
        for warning in self.tls().iter().flat_map(|tls| &tls.warnings) {
            self.log.warnf(format_args!("{warning}"));
        }
        // First, so that the rest of the start can be watched.
        if let Some((port, thread)) = monitoring::start(self).map_err(StartError::Monitor)? {
            self.threads.lock().push(thread);
            let _ = self.monitor.port.set(port);
        }
        if let Some(system) = System::start(self)? {
            let _ = self.system.set(system);
        }
        let started = self.start_jetstream().and_then(|()| self.start_clients());
        if started.is_err() {
            self.close_monitoring();
        }
        started
    }

    /// Serves the profiling port, if one is configured; the first thing a server does.
    ///
    /// # Errors
    /// The text of the failure.
    pub fn start_profiling(self: &Arc<Server>) -> Result<(), String> {
        if let Some((port, thread)) = profile::service::start(self)? {
            self.threads.lock().push(thread);
            let _ = self.profiling.set(port);
        }
        Ok(())
    }

    /// Where profiles are served, if they are.
    pub fn profiling_address(&self) -> Option<SocketAddr> {
        self.profiling.get().map(|port| port.address)
    }

    fn close_monitoring(&self) {
        if let Some(port) = self.profiling.get() {
            port.close();
        }
        if let Some(port) = self.monitor.port.get() {
            port.close();
        }
    }

    fn start_jetstream(self: &Arc<Server>) -> Result<(), StartError> {
        let started = crate::jetstream::start(self).map_err(|e| StartError::JetStream(e.0))?;
        let Some(handle) = started else { return Ok(()) };
        let domain = handle.settings().domain.clone();
        let _ = self.jetstream.set(handle);
        let mut info = self.info.write();
        let mut changed = Info::clone(&info);
        changed.jetstream = true;
        changed.domain = domain.unwrap_or_default();
        *info = Arc::new(changed);
        Ok(())
    }

    fn start_clients(self: &Arc<Server>) -> Result<(), StartError> {
        let options = self.options();
        let (listener, address) =
            listen(&options.host, options.port).map_err(StartError::Listen)?;
        let _ = self.address.set(address);
        {
            let mut info = Info::clone(&self.info());
            info.port = address.port();
            if !options.client_advertise.is_empty() {
                let text = &options.client_advertise;
                (info.host, info.port) = parse_host_port(text, address.port())
                    .map_err(|e| StartError::Advertise(text.clone(), e))?;
            }
            *self.info.write() = Arc::new(info);
        }
        let on = listen::host_port(&options.host, address.port());
        let tls = self.tls();
        let facts = banner::ClientListenerFacts {
            proxy_protocol: options.proxy_protocol,
            tls: tls.is_some(),
            allow_non_tls: options.allow_non_tls,
            handshake_first_only: tls
                .as_ref()
                .is_some_and(|tls| tls.handshake_first && tls.fallback.is_zero()),
        };
        let announced = banner::listening(banner::Listener::Client, &on);
        for (level, line) in std::iter::once(announced).chain(banner::client_listener(facts)) {
            self.log.at_level(level, format_args!("{line}"));
        }
        self.hash_pool.start()?;
        self.start_expiry()?;
        self.start_desk()?;
        let slots = Arc::new(Slots::default());
        let _ = self.ticks_from.set(Instant::now());
        let mut reactors = Vec::new();
        for _ in 0..self.loads.len() {
            reactors.push(Reactor::<Worker>::new(slots.clone())?);
        }
        let senders: Vec<_> = reactors.iter().map(Reactor::sender).collect();
        let _ = self.senders.set(senders);
        let mut listener = Some(TcpListener::from_std(listener));
        for (index, mut reactor) in reactors.into_iter().enumerate() {
            if let Some(l) = listener.take() {
                reactor.core().listen(CLIENT_LISTENER, l)?;
            }
            let server = self.clone();
            let thread =
                std::thread::Builder::new().name(format!("reactor-{index}")).spawn(move || {
                    let mut worker = Worker::new(server.clone(), index);
                    if let Err(e) = reactor.run(&mut worker) {
                        // Only a poll that fails for good ends here: its connections are lost.
                        server.log.errorf(format_args!("Reactor {index} failed: {e}"));
                    }
                })?;
            self.threads.lock().push(thread);
        }
        if self.tls_rate.is_some() {
            let server = self.clone();
            let thread = std::thread::Builder::new().name("tls-rate".to_owned());
            let thread = thread.spawn(move || server.report_tls_rejections())?;
            self.threads.lock().push(thread);
        }
        self.log.noticef(format_args!("{}", banner::READY));
        Ok(())
    }

    /// Starts the thread that deals with the claims of accounts, in operator mode.
    fn start_desk(self: &Arc<Server>) -> io::Result<()> {
        let Some(resolver) = self.resolver.lock().take() else { return Ok(()) };
        let operators = self.authenticator().operators().cloned();
        let operators = operators.unwrap_or_else(Operators::default);
        let _ = self.desk.set(desk::start(self, operators, resolver, self.bootstraps)?);
        Ok(())
    }

    /// Has an authorization service asked about a connection, which is told when there is an
    /// answer. `false` if nobody can ask.
    pub fn call_out(self: &Arc<Server>, ask: callout::Ask) -> bool {
        let orders = {
            let mut callout = self.callout.lock();
            match &*callout {
                Some(orders) => orders.clone(),
                None => match callout::thread::start(self) {
                    Ok(orders) => callout.insert(orders).clone(),
                    Err(e) => {
                        self.log.errorf(format_args!("No thread for authorization callouts: {e}"));
                        return false;
                    }
                },
            }
        };
        orders.send(callout::Order::Ask(Box::new(ask))).is_ok()
    }

    /// Orders for the desk, in operator mode.
    pub fn desk(&self) -> Option<&Arc<Mail<Order>>> {
        self.desk.get()
    }

    /// Starts the thread that forgets answers of services which do not come.
    fn start_expiry(self: &Arc<Server>) -> io::Result<()> {
        let server = self.clone();
        let expiry = std::thread::Builder::new().name("responses".to_owned());
        let thread = expiry.spawn(move || server.accounts.expiry().run(|| server.accounts()))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Registers the inbox and the thread of a part of this server.
    pub(crate) fn add_internal(&self, inbox: Arc<Inbox>, thread: JoinHandle<()>) {
        self.threads.lock().push(thread);
        self.inboxes.lock().push(inbox.clone());
        if self.is_shutting_down() {
            // Shutdown may have looked for inboxes before this one was there.
            inbox.close();
        }
    }

    /// JetStream, if it runs.
    pub fn jetstream(&self) -> Option<&Arc<Handle>> {
        self.jetstream.get()
    }

    /// JetStream has stopped working: connections to come are told.
    pub(crate) fn jetstream_ended(&self) {
        let mut info = self.info.write();
        let mut changed = Info::clone(&info);
        changed.jetstream = false;
        *info = Arc::new(changed);
    }

    /// The time as the reactors' clocks have it, in milliseconds.
    pub fn ticks(&self) -> u64 {
        let since = self.ticks_from.get().map_or(Duration::ZERO, Instant::elapsed);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// TLS for clients and monitoring, where it is configured.
    pub fn tls(&self) -> Option<Arc<ServerTls>> {
        self.tls.read().clone()
    }

    /// Uses other certificates or rules for the handshakes to come, or none; what is encrypted
    /// already stays as it is.
    pub fn replace_tls(&self, tls: Option<Arc<ServerTls>>) {
        let allow_non_tls = self.settings().allow_non_tls;
        {
            let mut info = self.info.write();
            let mut changed = Info::clone(&info);
            changed.tls_required = tls.is_some() && !allow_non_tls;
            changed.tls_verify = tls.as_ref().is_some_and(|tls| tls.verify);
            changed.tls_available = tls.is_some() && allow_non_tls;
            *info = Arc::new(changed);
        }
        *self.tls.write() = tls;
    }

    /// The limit of TLS handshakes per second, where one is configured.
    pub fn tls_rate(&self) -> Option<&RateLimit> {
        self.tls_rate.as_ref()
    }

    /// Says every second how many connections the limit of TLS handshakes has rejected, if any.
    fn report_tls_rejections(&self) {
        let Some(rate) = &self.tls_rate else { return };
        while !self.sleep_unless_stopped(Duration::from_secs(1)) {
            let rejected = rate.take_rejected();
            if rejected > 0 {
                self.log.warnf(format_args!(
                    "Rejected {rejected} connections due to TLS rate limiting"
                ));
            }
        }
    }

    /// The options in force.
    pub fn options(&self) -> Arc<Options> {
        self.options.read().clone()
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// The INFO that new connections get, without what is particular to them.
    pub fn info(&self) -> Arc<Info> {
        self.info.read().clone()
    }

    /// Decides who may connect.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        self.authenticator.read().clone()
    }

    /// The account of connections that are in no other.
    pub fn global_account(&self) -> &Arc<Account> {
        self.accounts.global()
    }

    /// The system account, unless there is none.
    pub fn system_account(&self) -> Option<&Arc<Account>> {
        self.accounts.system()
    }

    /// The system account's name, empty if there is none.
    pub fn system_account_name(&self) -> String {
        self.system_account().map_or(String::new(), |a| a.name.clone())
    }

    /// All accounts.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.all()
    }

    /// The account with that name.
    pub fn account(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts.get(name)
    }

    /// The accounts, for changing them.
    pub fn account_registry(&self) -> &Accounts {
        &self.accounts
    }

    /// Tells the connections of an account that it has changed.
    pub fn tell_account_changed(&self, account: &Account) {
        for cid in account.client_ids() {
            let Some(client) = self.client(cid) else { continue };
            if let Some(reactor) = self.reactor(client.reactor) {
                reactor.send(Message::AccountChanged(client.token()));
            }
        }
    }

    /// Whether that is the system account.
    pub fn is_system_account(&self, account: &Account) -> bool {
        self.accounts.system().is_some_and(|system| system.id == account.id)
    }

    /// Where clients connect to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.get().copied()
    }

    /// Where monitoring is served, if it is.
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.monitor.port.get().map(|port| port.address)
    }

    /// When the options in force were loaded.
    pub fn configured(&self) -> SystemTime {
        *self.configured.read()
    }

    /// Events and services of the system account, if there is one.
    pub fn system(&self) -> Option<&Arc<System>> {
        self.system.get()
    }

    /// How the process was started, if that is known.
    pub fn launch(&self) -> Option<&Launch> {
        self.launch.get()
    }

    /// Says how the process was started.
    pub fn set_launch(&self, launch: Launch) {
        // A process is started once.
        let _ = self.launch.set(launch);
    }

    /// Whether clients can connect.
    pub fn is_ready(&self) -> bool {
        self.address.get().is_some() && !self.is_lame_duck() && !self.is_shutting_down()
    }

    /// The next id of a connection of any kind.
    pub fn next_cid(&self) -> u64 {
        self.next_cid.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A random number below `n` (0 for 0): for spreading timers, not for secrets.
    pub fn random_below(&self, n: u64) -> u64 {
        // splitmix64
        let mut z = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(n)) >> 64) as u64
    }

    /// Random letters and digits, not fit for secrets.
    pub fn random_text(&self, length: usize) -> String {
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let digit = || {
            let at = usize::try_from(self.random_below(digits.len() as u64)).unwrap_or(0);
            digits.get(at).copied().map_or('0', char::from)
        };
        std::iter::repeat_with(digit).take(length).collect()
    }

    /// A challenge for a connection to sign. Without randomness from the system it is empty, which
    /// no signature matches.
    pub fn nonce(&self) -> String {
        let mut bytes = [0; NONCE_SEED_BYTES];
        match getrandom::fill(&mut bytes) {
            Ok(()) => nonce(bytes),
            Err(e) => {
                self.log.errorf(format_args!("No randomness for a nonce: {e}"));
                String::new()
            }
        }
    }

    /// Appends the INFO line for a client; `edit` changes what it says.
    pub fn write_info(
        &self,
        out: &mut Vec<u8>,
        client: &ClientShared,
        edit: &mut dyn FnMut(&mut Info),
    ) {
        let mut info = Info::clone(&self.info());
        info.client_id = client.cid;
        info.client_ip = client.peer().ip().to_canonical().to_string();
        edit(&mut info);
        // Serialising a plain structure into memory cannot fail.
        let json = crate::json::to_vec(&info).unwrap_or_default();
        parser::encode::info_line(out, &json);
    }

    // ---- connections ----

    /// Which reactor a new connection goes to: the one with the fewest.
    pub fn choose_reactor(&self) -> usize {
        let least = self.loads.iter().enumerate().min_by_key(|(_, l)| l.load(Ordering::Relaxed));
        let index = least.map_or(0, |(index, _)| index);
        self.loads[index].fetch_add(1, Ordering::Relaxed);
        index
    }

    /// The connection chosen for that reactor did not come to be, or has ended.
    pub fn release_reactor(&self, index: usize) {
        self.loads[index].fetch_sub(1, Ordering::Relaxed);
    }

    /// For sending to a reactor.
    pub fn reactor(&self, index: usize) -> Option<&Sender<Message>> {
        self.senders.get()?.get(index)
    }

    /// A pass of that reactor over what it had to do is over.
    pub fn note_pass(&self, index: usize, nanos: u64) {
        if let Some(passes) = self.passes.get(index) {
            passes.note(nanos);
        }
    }

    /// How long passes of the reactors took, in nanoseconds.
    pub fn pass_durations(&self) -> Snapshot {
        let mut all = Histogram::new(FIRST_NANOS).snapshot();
        self.passes.iter().for_each(|passes| all.add(&passes.snapshot()));
        all
    }

    /// Reactors of this server.
    pub fn reactors(&self) -> usize {
        self.loads.len()
    }

    /// Registers a client. `false` if there are as many as there may be.
    pub fn client_opened(&self, client: &Arc<ClientShared>) -> bool {
        let max = self.settings().max_connections;
        self.stats.total_connections.fetch_add(1, Ordering::Relaxed);
        let mut clients = self.clients.lock();
        // One that is refused takes no place while it is being told so.
        let room = usize::try_from(max).is_ok_and(|max| clients.len() < max);
        if room {
            clients.insert(client.cid, client.clone());
        }
        room
    }

    /// A client connection has ended.
    pub fn client_closed(
        &self,
        client: &Arc<ClientShared>,
        reason: ClosedState,
        subscriptions: Vec<Arc<Subscription>>,
    ) {
        self.clients.lock().remove(&client.cid);
        self.release_reactor(client.reactor);
        let entry = ClosedClient {
            shared: client.clone(),
            details: client.details(),
            reason,
            stop: SystemTime::now(),
            pending_bytes: client.egress.pending_bytes(),
            subscriptions,
        };
        self.closed.lock().push(Arc::new(entry));
    }

    /// The open client connections, by id. They are taken a few at a time, so that a connection
    /// that opens or closes never waits for all of them; one that does so meanwhile may be missing.
    pub fn clients(&self) -> Vec<Arc<ClientShared>> {
        let mut all: Vec<Arc<ClientShared>> = Vec::new();
        loop {
            let from = all.last().map_or(Bound::Unbounded, |c| Bound::Excluded(c.cid));
            let clients = self.clients.lock();
            let before = all.len();
            let rest = clients.range((from, Bound::Unbounded));
            all.extend(rest.take(CLIENTS_AT_A_TIME).map(|(_, c)| c.clone()));
            if all.len() - before < CLIENTS_AT_A_TIME {
                return all;
            }
        }
    }

    /// The open client connection with that id.
    pub fn client(&self, cid: u64) -> Option<Arc<ClientShared>> {
        self.clients.lock().get(&cid).cloned()
    }

    /// How many client connections are open.
    pub fn client_count(&self) -> usize {
        self.clients.lock().len()
    }

    /// The last closed client connections, oldest first.
    pub fn closed_clients(&self) -> Vec<Arc<ClosedClient>> {
        self.closed.lock().iter().cloned().collect()
    }

    /// Closes a client connection from any thread.
    pub fn close_client(&self, client: &ClientShared, reason: ClosedState) {
        client.want_end(reason);
        if let Some(reactor) = self.reactor(client.reactor) {
            reactor.send(Message::Close(client.token(), reason));
        }
    }

    // ---- the end ----

    /// Whether shutdown has begun.
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// Whether the server is in lame duck mode.
    pub fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(Ordering::Relaxed)
    }

    /// Stops the server: listeners are closed, connections flushed and closed, threads ended.
    /// Returns when all that is done; a second call waits for the first one.
    pub fn shutdown(&self) {
        if self.shutting_down.swap(true, Ordering::SeqCst) {
            return self.wait_for_shutdown();
        }
        self.stopped_signal.notify_all();
        self.log.noticef(format_args!("Initiating Shutdown..."));
        // Connections are closed after that, so that those who listen hear of it.
        if let Some(system) = self.system() {
            system.shut_down();
        }
        self.close_monitoring();
        self.hash_pool.stop();
        self.accounts.expiry().end();
        // What they still say reaches connections that are there.
        for inbox in std::mem::take(&mut *self.inboxes.lock()) {
            inbox.close();
        }
        for sender in self.senders.get().into_iter().flatten() {
            sender.send(Message::Shutdown);
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for t in threads {
            // A thread that panicked has said so; the others are still to be waited for.
            let _ = t.join();
        }
        self.log.noticef(format_args!("Server Exiting.."));
        *self.stopped.lock() = true;
        self.stopped_signal.notify_all();
    }

    /// Waits until shutdown is complete.
    pub fn wait_for_shutdown(&self) {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            self.stopped_signal.wait(&mut stopped);
        }
    }

    /// Enters lame duck mode: no new clients, the present ones are told and then closed one by one
    /// within the configured time, and the server shuts down (spec 01 §12.2). Blocks until done.
    pub fn lame_duck_shutdown(&self) {
        if self.is_shutting_down() || self.lame_duck.swap(true, Ordering::SeqCst) {
            return;
        }
        self.log.noticef(format_args!("Entering lame duck mode, stop accepting new clients"));
        let options = self.options();
        if let Some(system) = self.system() {
            system.lame_duck();
        }
        for sender in self.senders.get().into_iter().flatten() {
            sender.send(Message::LameDuck);
        }
        if self.client_count() == 0 {
            return self.shutdown();
        }
        if self.sleep_unless_stopped(options.lame_duck_grace_period) {
            return;
        }
        self.log.noticef(format_args!("Closing existing clients"));
        let mut clients = self.clients();
        let budget = match options.lame_duck_duration.checked_sub(options.lame_duck_grace_period) {
            Some(d) if !d.is_zero() => d,
            _ => Duration::from_secs(1),
        };
        let count = clients.len().max(1);
        let interval_ns = (budget.as_nanos() as u64 / count as u64)
            .clamp(1, Duration::from_secs(1).as_nanos() as u64);
        let batch = if budget.as_nanos() < count as u128 {
            count / (budget.as_nanos().max(1) as usize)
        } else {
            1
        };
        while !clients.is_empty() {
            let at = clients.len().saturating_sub(batch.max(1));
            for client in clients.drain(at..) {
                self.close_client(&client, ClosedState::ServerShutdown);
            }
            let pause = (interval_ns / 2).max(self.random_below(interval_ns));
            if !clients.is_empty() && self.sleep_unless_stopped(Duration::from_nanos(pause)) {
                return;
            }
        }
        self.shutdown();
    }

    /// Sleeps; `true` if shutdown began meanwhile.
    fn sleep_unless_stopped(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut stopped = self.stopped.lock();
        while !self.is_shutting_down() {
            if self.stopped_signal.wait_until(&mut stopped, until).timed_out() {
                return self.is_shutting_down();
            }
        }
        true
    }
}
