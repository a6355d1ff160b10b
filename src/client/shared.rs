//! The part of a client connection that other threads see.

use crate::account::StreamImport;
use crate::auth::permissions::Permissions;
use crate::auth::screen::Screen;
use crate::closed::ClosedState;
use crate::delivery::Message;
use crate::logging::trace::{Direction, Operation, Payload};
use crate::logging::{ConnectionLabel, Level};
use crate::server::Server;
use crate::subscription::{Destination, Subscription};
use crate::tls::TlsState;
use ::sublist::Subscription as _;
use eventloop::{Egress, Token};
use hashbrown::HashTable;
use parking_lot::Mutex;
use parser::encode;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a client said of itself and was authenticated as; shown by monitoring.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// Name of the application.
    pub name: String,
    /// Language of the client library.
    pub lang: String,
    /// Version of the client library.
    pub version: String,
    /// The user it was authenticated as, as monitoring shows it.
    pub user: String,
    /// Name of its account.
    pub account: String,
    /// The user JWT it sent, unless that is good for anyone who bears it.
    pub jwt: String,
    /// Whether it understands asynchronous INFO.
    pub protocol: i64,
    /// The name for people of the user of its token.
    pub user_name: String,
    /// When the time of its user is over.
    pub expires: Option<SystemTime>,
}

const TAKES_HEADERS: u8 = 1;
const HOLDS_DENIED: u8 = 2;
const TRACKS_REPLIES: u8 = 4;
const HAS_SHADOWS: u8 = 8;
const KNOWS_RTT: u8 = 16;
const HAD_FIRST_PONG: u8 = 32;

/// A client whose round-trip time is not known gets no PING for it this soon after it was accepted,
/// unless it had its first PONG: many libraries wait for that one before anything else.
const NO_PING_BEFORE: Duration = Duration::from_secs(2);
const TAKES_ASYNC_INFO: u8 = 64;

/// What deliveries have to know of a connection, read once per message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits(u8);

impl Traits {
    /// Headers were negotiated.
    pub fn takes_headers(self) -> bool {
        self.0 & TAKES_HEADERS != 0
    }

    /// Messages on denied subjects are to be held back.
    pub fn holds_denied(self) -> bool {
        self.0 & HOLDS_DENIED != 0
    }

    /// Some of its subscriptions have shadows in other accounts.
    pub fn has_shadows(self) -> bool {
        self.0 & HAS_SHADOWS != 0
    }

    /// A round-trip time was measured or estimated.
    pub fn knows_rtt(self) -> bool {
        self.0 & KNOWS_RTT != 0
    }

    /// Reply subjects of delivered messages are to be noted.
    pub fn tracks_replies(self) -> bool {
        self.0 & TRACKS_REPLIES != 0
    }
}

/// A client connection as seen by deliveries, monitoring and control.
pub struct ClientShared {
    /// The connection's id.
    pub cid: u64,
    /// The socket's peer.
    pub socket_peer: SocketAddr,
    /// The client's own address where a proxy told it.
    proxied: OnceLock<SocketAddr>,
    /// The key of the trusted proxy that vouched for the connection.
    proxy_key: OnceLock<Box<str>>,
    /// What the TLS handshake came to, once it is complete.
    tls: OnceLock<Box<TlsState>>,
    /// Its output.
    pub egress: Arc<Egress>,
    /// Which reactor owns it.
    pub reactor: usize,
    /// The server.
    pub server: Arc<Server>,
    /// When it was accepted.
    pub start: SystemTime,
    /// What deliveries have to know of it, one bit each: looked at for every message.
    traits: AtomicU8,
    /// Messages and bytes received, without what is being processed.
    pub in_messages: AtomicI64,
    /// See `in_messages`.
    pub in_bytes: AtomicI64,
    /// Nanoseconds since the epoch.
    last_activity: AtomicU64,
    rtt_nanos: AtomicU64,
    /// When the last PING was sent: nanoseconds after the start of the server, 0 for never.
    ping_sent: AtomicU64,
    /// PINGs without an answer.
    pings_outstanding: AtomicI64,
    subscriptions: Mutex<HashTable<Arc<Subscription>>>,
    /// Subscriptions in accounts whose streams its own imports, by the address of the
    /// subscription they belong to.
    shadows: Mutex<HashMap<usize, Vec<Arc<Subscription>>>>,
    /// What is checked at delivery; nothing for most connections, see [`Traits`].
    screen: Mutex<Option<Box<Screen>>>,
    label: Mutex<ConnectionLabel>,
    details: Mutex<Details>,
    /// Set when another thread wants the connection closed, with the reason.
    wanted_end: Mutex<Option<ClosedState>>,
}

fn nanos_since_epoch(t: SystemTime) -> u64 {
    t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

impl fmt::Debug for ClientShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientShared").field("cid", &self.cid).finish_non_exhaustive()
    }
}

/// What shadows are found by.
fn address(sub: &Arc<Subscription>) -> usize {
    Arc::as_ptr(sub).addr()
}

fn remove_shadows(shadows: impl IntoIterator<Item = Arc<Subscription>>) {
    for shadow in shadows {
        shadow.close();
        if let Destination::Shadow(s) = &shadow.to {
            // It is there for as long as its parent; a full removal may have come first.
            let _ = s.import.exporter.sublist.remove(&shadow);
        }
    }
}

impl ClientShared {
    /// A connection that was just accepted.
    pub fn new(
        server: Arc<Server>,
        cid: u64,
        peer: SocketAddr,
        egress: Arc<Egress>,
        reactor: usize,
        label: ConnectionLabel,
    ) -> ClientShared {
        let start = SystemTime::now();
        ClientShared {
            cid,
            socket_peer: peer,
            proxied: OnceLock::new(),
            proxy_key: OnceLock::new(),
            tls: OnceLock::new(),
            egress,
            reactor,
            server,
            start,
            traits: AtomicU8::new(0),
            in_messages: AtomicI64::new(0),
            in_bytes: AtomicI64::new(0),
            last_activity: AtomicU64::new(nanos_since_epoch(start)),
            rtt_nanos: AtomicU64::new(0),
            ping_sent: AtomicU64::new(0),
            pings_outstanding: AtomicI64::new(0),
            subscriptions: Mutex::new(HashTable::new()),
            shadows: Mutex::default(),
            screen: Mutex::new(None),
            label: Mutex::new(label),
            details: Mutex::new(Details::default()),
            wanted_end: Mutex::new(None),
        }
    }

    /// The client's address: as told by a proxy, or the socket's peer.
    pub fn peer(&self) -> SocketAddr {
        self.proxied.get().copied().unwrap_or(self.socket_peer)
    }

    /// Records the address that a proxy told.
    pub fn set_proxied(&self, peer: SocketAddr) {
        // A connection has one header; a second address would be a defect of the caller.
        let _ = self.proxied.set(peer);
    }

    /// The key of the trusted proxy that vouched for the connection.
    pub fn proxy_key(&self) -> Option<&str> {
        self.proxy_key.get().map(|key| &**key)
    }

    /// Records that key; a connection comes through one proxy.
    pub(super) fn set_proxy_key(&self, key: &str) {
        self.proxy_key.get_or_init(|| key.into());
    }

    /// What the TLS handshake came to; `None` without TLS or before it is complete.
    pub fn tls(&self) -> Option<&TlsState> {
        self.tls.get().map(|state| &**state)
    }

    /// Records what the TLS handshake came to.
    pub(super) fn set_tls(&self, state: TlsState) {
        // There is one handshake a connection.
        let _ = self.tls.set(Box::new(state));
    }

    /// The connection's name in its reactor.
    pub fn token(&self) -> Token {
        self.egress.token()
    }

    /// What deliveries have to know of it.
    pub fn traits(&self) -> Traits {
        Traits(self.traits.load(Ordering::Relaxed))
    }

    fn set_trait(&self, which: u8, on: bool) {
        if on {
            self.traits.fetch_or(which, Ordering::Relaxed);
        } else {
            self.traits.fetch_and(!which, Ordering::Relaxed);
        }
    }

    /// Whether headers were negotiated.
    pub fn takes_headers(&self) -> bool {
        self.traits().takes_headers()
    }

    /// Records what was negotiated.
    pub fn set_takes_headers(&self, on: bool) {
        self.set_trait(TAKES_HEADERS, on);
    }

    /// Whether it gets asynchronous INFO: it said so, and has had its first PONG.
    pub fn takes_async_info(&self) -> bool {
        self.traits.load(Ordering::Relaxed) & TAKES_ASYNC_INFO != 0
    }

    /// From now on it gets asynchronous INFO.
    pub(super) fn set_takes_async_info(&self) {
        self.set_trait(TAKES_ASYNC_INFO, true);
    }

    /// Replaces the permissions that deliveries are checked against.
    pub fn set_permissions(&self, permissions: Option<&Arc<Permissions>>) {
        let screen = permissions.map(|p| Box::new(Screen::new(p.clone())));
        let tracks = permissions.is_some_and(|p| p.responses().is_some());
        *self.screen.lock() = screen;
        self.set_trait(HOLDS_DENIED, false);
        self.set_trait(TRACKS_REPLIES, tracks);
    }

    /// What its user may do; `None` is everything.
    pub fn permissions(&self) -> Option<Arc<Permissions>> {
        self.screen.lock().as_ref().map(|screen| screen.permissions().clone())
    }

    /// From now on, messages on denied subjects are held back.
    pub fn hold_denied(&self) {
        if let Some(screen) = &mut *self.screen.lock() {
            screen.hold_denied();
            self.set_trait(HOLDS_DENIED, true);
        }
    }

    /// Whether a message may go to a subscription of that queue group (empty for none).
    #[cold]
    pub fn passes_screen(&self, subject: &[u8], queue: &[u8]) -> bool {
        self.screen.lock().as_mut().is_none_or(|screen| screen.passes(subject, queue))
    }

    /// A message was delivered that has a reply subject: it may be answered.
    #[cold]
    pub fn delivered_reply(&self, reply: &[u8]) {
        if let Some(screen) = &mut *self.screen.lock() {
            screen.delivered(reply, Instant::now());
        }
    }

    /// Whether the subject is one of a reply that may be published to; uses the grant.
    #[cold]
    pub fn takes_reply(&self, subject: &[u8]) -> bool {
        let mut screen = self.screen.lock();
        screen.as_mut().is_some_and(|screen| screen.takes_reply(subject, Instant::now()))
    }

    /// Notes that something came from the client at that time, in nanoseconds since the epoch.
    pub fn touch(&self, at: u64) {
        self.last_activity.store(at, Ordering::Relaxed);
    }

    /// When something last came from the client, or a message went to it.
    pub fn last_activity(&self) -> SystemTime {
        let received = self.last_activity.load(Ordering::Relaxed);
        UNIX_EPOCH + Duration::from_nanos(received.max(self.egress.last_delivery()))
    }

    /// The last round-trip time, zero if none was measured.
    pub fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt_nanos.load(Ordering::Relaxed))
    }

    /// Records a round-trip time, at least one nanosecond.
    pub fn set_rtt(&self, rtt: Duration) {
        self.rtt_nanos.store((rtt.as_nanos() as u64).max(1), Ordering::Relaxed);
        self.set_trait(KNOWS_RTT, true);
    }

    /// The first PING after CONNECT was answered.
    pub fn set_had_first_pong(&self) {
        self.set_trait(HAD_FIRST_PONG, true);
    }

    /// Whether the first PING after CONNECT was answered.
    pub fn had_first_pong(&self) -> bool {
        self.traits().0 & HAD_FIRST_PONG != 0
    }

    /// Appends a PING.
    pub fn ping(&self, out: &mut Vec<u8>) {
        if self.server.log.trace_enabled() {
            self.trace_op(Direction::Outbound, "PING", None);
        }
        self.pings_outstanding.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(self.server.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.ping_sent.store(now.max(1), Ordering::Relaxed);
        out.extend_from_slice(encode::PING);
    }

    /// Appends a PING if its answer would tell the round-trip time of a client of which none is
    /// known, and the client can be expected to answer (spec 01 §9.3).
    #[cold]
    pub fn ping_for_rtt(&self, out: &mut Vec<u8>) {
        let age = self.start.elapsed().unwrap_or_default();
        if self.had_first_pong() || age > NO_PING_BEFORE {
            self.ping(out);
        }
    }

    /// PINGs without an answer.
    pub fn pings_outstanding(&self) -> i64 {
        self.pings_outstanding.load(Ordering::Relaxed)
    }

    /// How long ago the last PING was sent.
    pub fn since_ping(&self) -> Option<Duration> {
        let sent = Duration::from_nanos(self.ping_sent.load(Ordering::Relaxed));
        (!sent.is_zero()).then(|| self.server.started.elapsed().saturating_sub(sent))
    }

    /// A PONG came: all PINGs are answered.
    pub fn pong(&self) {
        self.pings_outstanding.store(0, Ordering::Relaxed);
        if let Some(rtt) = self.since_ping() {
            self.set_rtt(rtt);
        }
    }

    fn hash(&self, sid: &[u8]) -> u64 {
        self.server.hasher.hash_one(sid)
    }

    /// The subscription with that id.
    pub fn subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        self.subscriptions.lock().find(self.hash(sid), |s| s.sid() == sid).cloned()
    }

    /// How many subscriptions it has.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.lock().len()
    }

    /// All its subscriptions.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.subscriptions.lock().iter().cloned().collect()
    }

    /// Adds a subscription whose id is not in use.
    pub fn remember(&self, sub: &Arc<Subscription>) {
        let hash = self.hash(sub.sid());
        self.subscriptions.lock().insert_unique(hash, sub.clone(), |s| self.hash(s.sid()));
    }

    /// Removes a subscription; does nothing if it is not there any more.
    pub fn forget(&self, sub: &Arc<Subscription>) {
        let hash = self.hash(sub.sid());
        if let Ok(entry) = self.subscriptions.lock().find_entry(hash, |s| Arc::ptr_eq(s, sub)) {
            entry.remove();
        }
        if self.traits().has_shadows() {
            let shadows = self.shadows.lock().remove(&address(sub));
            remove_shadows(shadows.unwrap_or_default());
        }
    }

    /// Adds a subscription that gets messages of another account for one of its own.
    pub fn remember_shadow(&self, of: &Arc<Subscription>, shadow: Arc<Subscription>) {
        self.set_trait(HAS_SHADOWS, true);
        self.shadows.lock().entry(address(of)).or_default().push(shadow);
    }

    /// Removes the shadows of a subscription whose import is none of these; returns the imports of
    /// those that stay.
    pub fn retain_shadows(
        &self,
        of: &Arc<Subscription>,
        imports: &[Arc<StreamImport>],
    ) -> Vec<Arc<StreamImport>> {
        if !self.traits().has_shadows() {
            return Vec::new();
        }
        let stays = |shadow: &Arc<Subscription>| match &shadow.to {
            Destination::Shadow(s) => imports.iter().find(|i| Arc::ptr_eq(i, &s.import)).cloned(),
            _ => None,
        };
        let mut gone = Vec::new();
        let mut present = Vec::new();
        if let Some(shadows) = self.shadows.lock().get_mut(&address(of)) {
            for shadow in std::mem::take(shadows) {
                match stays(&shadow) {
                    Some(import) => {
                        present.push(import);
                        shadows.push(shadow);
                    }
                    None => gone.push(shadow),
                }
            }
        }
        remove_shadows(gone);
        present
    }

    /// Removes and returns all subscriptions.
    pub fn forget_all(&self) -> Vec<Arc<Subscription>> {
        if self.traits().has_shadows() {
            let shadows = std::mem::take(&mut *self.shadows.lock());
            remove_shadows(shadows.into_values().flatten());
        }
        self.subscriptions.lock().drain().collect()
    }

    /// Whether one of its subscriptions is like that.
    pub fn any_subscription(&self, is: impl FnMut(&Arc<Subscription>) -> bool) -> bool {
        self.subscriptions.lock().iter().any(is)
    }

    /// Looks at what the client said of itself.
    pub fn with_details<R>(&self, f: impl FnOnce(&Details) -> R) -> R {
        f(&self.details.lock())
    }

    /// What the client said of itself.
    pub fn details(&self) -> Details {
        self.details.lock().clone()
    }

    /// Changes it.
    pub fn update_details(&self, f: impl FnOnce(&mut Details)) {
        f(&mut self.details.lock());
    }

    /// Changes the label that its log lines carry.
    pub fn update_label(&self, f: impl FnOnce(&mut ConnectionLabel)) {
        f(&mut self.label.lock());
    }

    /// Asks the owning reactor to close the connection; the first reason counts.
    pub fn want_end(&self, reason: ClosedState) {
        self.wanted_end.lock().get_or_insert(reason);
    }

    /// The reason another thread gave for closing the connection.
    pub fn wanted_end(&self) -> Option<ClosedState> {
        *self.wanted_end.lock()
    }

    /// Logs at error level, behind the label.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.server.log.errorf(format_args!("{} - {message}", self.label.lock()));
    }

    /// Logs at notice level, behind the label.
    pub fn notice(&self, message: fmt::Arguments<'_>) {
        self.server.log.noticef(format_args!("{} - {message}", self.label.lock()));
    }

    /// Logs at warning level, behind the label.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.server.log.warnf(format_args!("{} - {message}", self.label.lock()));
    }

    /// Logs a warning unless one of that kind was logged lately (spec 01 §13.1). `format` names the
    /// kind: the text with its variable parts left out.
    pub fn limited_warn(&self, format: &str, message: fmt::Arguments<'_>) {
        let label = self.label.lock();
        let key = label.limited_key(format);
        let line = label.limited_key(&message.to_string());
        self.server.log.limited_by_key(
            Level::Warn,
            Instant::now(),
            &key,
            format_args!("{}", label.limited_line(&line)),
        );
    }

    /// Logs at debug level, behind the label.
    pub fn debug(&self, message: fmt::Arguments<'_>) {
        if self.server.log.debug_enabled() {
            self.server.log.debugf(format_args!("{} - {message}", self.label.lock()));
        }
    }

    /// Logs a protocol trace, behind the label.
    pub fn trace(&self, message: fmt::Arguments<'_>) {
        self.server.log.tracef(format_args!("{} - {message}", self.label.lock()));
    }

    /// Traces an operation.
    #[cold]
    pub fn trace_op(&self, direction: Direction, verb: &str, arguments: Option<&[u8]>) {
        self.trace(format_args!("{}", Operation { direction, verb, arguments }));
    }

    /// Traces headers and body of a message.
    #[cold]
    pub fn trace_payload(&self, direction: Direction, message: &[u8], header_len: usize) {
        let settings = self.server.settings();
        let (max, headers_only) = (settings.max_traced_bytes, settings.trace_headers);
        if let Some(p) = Payload::new(direction, message, header_len, max, headers_only) {
            self.trace(format_args!("{p}"));
        }
    }

    /// Traces a delivery to this client.
    #[cold]
    pub fn trace_delivery(&self, sub: &Subscription, message: &Message<'_>) {
        let with_headers = message.header_len > 0 && self.takes_headers();
        let skip = if with_headers { 0 } else { message.header_len };
        let body = &message.payload_crlf[skip..message.payload_crlf.len() - 2];
        let mut line = Vec::new();
        line.extend_from_slice(message.subject);
        line.extend_from_slice(sub.framed_sid());
        if !message.reply.is_empty() {
            line.extend_from_slice(message.reply);
            line.push(b' ');
        }
        if with_headers {
            line.extend_from_slice(message.header_digits);
            line.push(b' ');
        }
        if skip > 0 {
            line.extend_from_slice(body.len().to_string().as_bytes());
        } else {
            line.extend_from_slice(message.size_digits);
        }
        let verb = if with_headers { "HMSG" } else { "MSG" };
        self.trace_op(Direction::Outbound, verb, Some(&line));
        self.trace_payload(
            Direction::Outbound,
            body,
            if with_headers { message.header_len } else { 0 },
        );
    }

    /// Traces that a subscription is gone.
    #[cold]
    pub fn trace_removal(&self, sub: &Subscription) {
        self.trace_op(Direction::Internal, "DELSUB", Some(sub.sid()));
    }

    /// Debug lines of an auto-unsubscribe limit that was reached (spec 01 §5.8).
    pub fn reached_max(&self, sub: &Subscription, exceeded: bool) {
        if exceeded {
            self.debug(format_args!("Auto-unsubscribe limit [{}] exceeded", sub.max()));
        } else {
            self.debug(format_args!(
                "Auto-unsubscribe limit of {} reached for sid '{}'",
                sub.max(),
                String::from_utf8_lossy(sub.sid())
            ));
        }
    }

    /// Whether the subscription is the one this client has under that id, for tests and checks.
    pub fn holds(&self, sub: &Arc<Subscription>) -> bool {
        self.subscription(sub.sid()).is_some_and(|s| Arc::ptr_eq(&s, sub))
            && !sub.subject().is_empty()
    }
}
