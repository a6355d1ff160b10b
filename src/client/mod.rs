//! A client connection: the state machine between the parser and the delivery path.
//!
//! Owned by one reactor; [`ClientShared`] is the part that others see. Implements spec 01 §3 to §9.

mod changes;
mod connect;
mod login;
mod opening;
mod reload;
mod shared;
mod traced;

pub use connect::ConnectOptions;
pub use shared::{ClientShared, Details, Traits};

use crate::account::imports::shadows;
use crate::account::{Account, Mapped, Mappings, StreamImport, TrafficBatch};
use crate::auth::User;
use crate::auth::permissions::Permissions;
use crate::auth::verdicts::Verdicts;
use crate::closed::ClosedState;
use crate::config::secret::Secret;
use crate::delivery::{Fanout, Kind, Matched, Message, Origin};
use crate::info::judge_client_info;
use crate::logging::trace::Direction;
use crate::message_trace::trigger::may_ask;
use crate::process::errno::error_text;
use crate::server::Settings;
use crate::subscription::{Destination, Subscription};
use ::sublist::Subscription as _;
use ::sublist::subject::is_valid_literal_subject;
use bytes::Bytes;
use eventloop::{Cause, DeadlineAction, Input, Io, Recovery, Stall, Taken};
use opening::Opening;
use parser::client::{Limits, Op, ParseError, Parser, Pub};
use parser::encode;
use parser::quote::quote;
use parser::redact::redact_connect;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Timer kinds.
const TIMER_PING: u8 = 1;
const TIMER_AUTH: u8 = 2;
const TIMER_OPENING: u8 = 3;
const TIMER_SUBSCRIPTIONS: u8 = 4;
const TIMER_EXPIRY: u8 = 5;

/// First PING after CONNECT: at most this long after it (spec 01 §9.1).
const FIRST_PING_MS: u64 = 2_000;
/// A round-trip time older than this is measured again.
const RTT_REFRESH: Duration = Duration::from_secs(3600);

/// A connection that was held back this long in all in one read is told of in the log.
const STALL_REPORTED: Duration = Duration::from_millis(5);

/// The last subject published to, with its matches: most publishers stay on one subject.
struct Memo {
    generation: u64,
    subject: Vec<u8>,
    matched: Matched,
}

/// Why a publication does not go out; the client has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Its subject.
    Subject,
    /// Its reply subject.
    Reply,
}

/// What a connection with permissions checks before it publishes.
struct PublishCheck {
    permissions: Arc<Permissions>,
    verdicts: Verdicts,
}

/// Verdicts on subjects published to that are kept (spec 03 §12.2).
const PUBLISH_CACHED: usize = 128;

/// A client connection.
pub struct Client {
    shared: Arc<ClientShared>,
    account: Arc<Account>,
    parser: Parser,
    limits: Limits,
    options: Box<ConnectOptions>,
    connect_received: bool,
    max_subscriptions: i64,
    /// Tick of the next PING, unless activity puts it off.
    ping_due: u64,
    /// Tick of the last PUB, SUB, UNSUB or PING.
    last_inbound: u64,
    /// This read batch had a CONNECT, SUB or UNSUB.
    active: bool,
    accepted: Instant,
    memo: Option<Box<Memo>>,
    /// `None` if the user may do everything.
    permissions: Option<Box<PublishCheck>>,
    /// The challenge in INFO, empty if there was none.
    nonce: Box<str>,
    /// As whom it was let in, if it has to be known after the login.
    user: Option<Arc<User>>,
    /// Set while the account of its user is being fetched: nothing is read meanwhile.
    fetching: Option<login::Occasion>,
    /// Set while an authorization service is being asked: nothing is read meanwhile.
    calling_out: Option<login::Occasion>,
    /// Set while a password is being checked: nothing is read meanwhile.
    checking: Option<Box<login::Checking>>,
    /// Tick at which the user's time is over.
    expires_at: Option<u64>,
    /// User, password or nkey are those of the user without credentials or of a certificate, and
    /// were not presented.
    identity_filled_in: bool,
    /// The hash that the presented password was found to match.
    verified: Option<Box<Secret>>,
    /// The account's subject mappings, looked up for every read.
    mappings: Option<Arc<Mappings>>,
    /// A write deadline has passed, and the connection has not caught up since.
    slow_consumer: bool,
    /// Set until the connection takes commands.
    opening: Option<Box<Opening>>,
    reason: Option<ClosedState>,
}

impl PublishCheck {
    fn new(permissions: Arc<Permissions>) -> PublishCheck {
        PublishCheck { permissions, verdicts: Verdicts::new(PUBLISH_CACHED) }
    }

    /// Whether the user may publish to that subject, by the lists or as an answer.
    fn allows(&mut self, shared: &ClientShared, subject: &[u8]) -> bool {
        let permissions = &self.permissions;
        self.verdicts.get(subject, b"", || permissions.may_publish(subject))
            || (permissions.responses().is_some() && shared.takes_reply(subject))
    }
}

impl Client {
    /// A connection that was just accepted. With `room` unset there are as many as there may be,
    /// and it is refused.
    pub fn accepted(
        shared: Arc<ClientShared>,
        settings: &Settings,
        room: bool,
        io: &mut Io<'_>,
    ) -> Client {
        let server = shared.server.clone();
        let account = server.global_account().clone();
        shared.debug(format_args!("Client connection created"));
        shared.update_details(|d| d.account.clone_from(&account.name));
        // At this point a full account is not an error: authentication decides (spec 01 §10).
        let _ = account.add_client(shared.cid);
        let authenticator = server.authenticator();
        let nonce = if authenticator.needs_nonce() { server.nonce() } else { String::new() };
        let mut client = Client {
            limits: Limits {
                max_control_line: settings.max_control_line,
                max_payload: effective_limit(settings.max_payload, account.limits().max_payload),
                headers: false,
                auth_pending: authenticator.required(),
                announce: true,
            },
            max_subscriptions: effective_limit(
                settings.max_subscriptions,
                account.limits().max_subscriptions,
            ),
            shared,
            account,
            parser: Parser::new(),
            options: Box::default(),
            connect_received: false,
            ping_due: 0,
            last_inbound: io.now,
            active: false,
            accepted: Instant::now(),
            memo: None,
            permissions: None,
            nonce: nonce.into(),
            user: None,
            fetching: None,
            calling_out: None,
            checking: None,
            expires_at: None,
            identity_filled_in: false,
            verified: None,
            mappings: None,
            slow_consumer: false,
            opening: None,
            reason: None,
        };
        client.open(settings, room, io);
        client
    }

    fn start_timers(&self, settings: &Settings, io: &mut Io<'_>) {
        if self.limits.auth_pending {
            io.arm(TIMER_AUTH, settings.auth_timeout_ms);
        }
        io.arm(TIMER_PING, settings.ping_interval_ms);
    }

    /// There are as many connections as there may be: says so, and closes.
    pub fn refuse_over_limit(&mut self, io: &mut Io<'_>) {
        self.send_error(io, "maximum connections exceeded");
        self.shared.error(format_args!("maximum connections exceeded"));
        self.close(io, ClosedState::MaxConnectionsExceeded);
    }

    /// The server goes into lame duck mode: a client that understands asynchronous INFO is told.
    pub fn lame_duck(&self, io: &mut Io<'_>) {
        if self.takes_async_info() {
            let server = self.shared.server.clone();
            server.write_info(io.reply(), &self.shared, &mut |info| {
                info.ldm = true;
                info.connect_urls.clear();
            });
        }
    }

    /// Whether a login is being decided elsewhere.
    fn is_waiting(&self) -> bool {
        self.checking.is_some() || self.fetching.is_some() || self.calling_out.is_some()
    }

    /// The part that others see.
    pub fn shared(&self) -> &Arc<ClientShared> {
        &self.shared
    }

    /// Whether it gets asynchronous INFO: it said so, and has had its first PONG.
    pub fn takes_async_info(&self) -> bool {
        self.options.protocol >= 1 && self.shared.had_first_pong()
    }

    /// Whether it understands asynchronous INFO at all.
    pub fn knows_async_info(&self) -> bool {
        self.options.protocol >= 1
    }

    /// Closes the connection; the first reason counts.
    pub fn close(&mut self, io: &mut Io<'_>, reason: ClosedState) {
        let first = self.reason.is_none();
        let reason = *self.reason.get_or_insert(reason);
        if first {
            self.tell_closed(reason);
        }
        io.close(!reason.skips_flush());
    }

    fn tell_closed(&self, reason: ClosedState) {
        self.shared.debug(format_args!("Client connection closed: {}", reason.text()));
    }

    fn send_error(&self, io: &mut Io<'_>, text: &str) {
        if self.shared.server.log.trace_enabled() {
            self.shared.trace_op(Direction::Outbound, "-ERR", Some(text.as_bytes()));
        }
        encode::error_line(io.reply(), text.as_bytes());
    }

    fn send_ok(&self, io: &mut Io<'_>) {
        if self.shared.server.log.trace_enabled() {
            self.shared.trace_op(Direction::Outbound, "OK", None);
        }
        io.reply().extend_from_slice(encode::OK);
    }

    /// Bytes arrived: takes the commands out of them.
    pub fn input(
        &mut self,
        fanout: &mut Fanout,
        batch: &mut TrafficBatch,
        io: &mut Io<'_>,
        input: &mut Input<'_>,
    ) -> Taken {
        let bytes = input.bytes();
        if self.reason.is_some() {
            // Refused already; what it says does not count.
            return Taken { used: bytes.len(), wanted: 1, more: false, secure: false };
        }
        let trace = self.shared.server.log.trace_enabled();
        fanout.trace = trace;
        self.limits.announce = self.options.pedantic || trace;
        self.mappings = self.account.mappings();
        let mut own = TrafficBatch::default();
        let mut pos = 0;
        let mut more = false;
        if self.opening.is_some() && !self.opening_input(io, bytes, &mut pos) {
            let wanted = bytes.len().saturating_sub(pos) + 1;
            let secure = io.is_starting_tls();
            return Taken { used: pos, wanted, more: false, secure };
        }
        loop {
            match self.parser.next(bytes, &mut pos, &self.limits) {
                Ok(Some(Op::Pub(publication))) => {
                    match self.mappings.clone() {
                        None => self.publish(fanout, &mut own, io, input, &publication, trace),
                        Some(m) => {
                            let p = &publication;
                            self.publish_mapped(&m, fanout, &mut own, io, input, p, trace);
                        }
                    }
                    if !io.within_budget() {
                        more = true;
                        break;
                    }
                }
                Ok(Some(op)) => self.operation(fanout, &mut own, io, op, trace),
                Ok(None) => break,
                Err(error) => {
                    if let ParseError::MaxPayload { is_hpub: true, .. } = &error {
                        self.trace_oversized(fanout, io, bytes, &error);
                    }
                    self.parse_error(io, &error, trace);
                }
            }
            if io.is_closing() || self.is_waiting() {
                break;
            }
        }
        if own.in_messages > 0 {
            self.shared.in_messages.fetch_add(own.in_messages, Ordering::Relaxed);
            self.shared.in_bytes.fetch_add(own.in_bytes, Ordering::Relaxed);
            batch.in_messages += own.in_messages;
            batch.in_bytes += own.in_bytes;
        }
        let out = fanout.take_traffic();
        own.add(&out);
        batch.add(&out);
        self.account.traffic.add(&own);
        // PING and PONG are no activity: they come from idle clients too.
        if std::mem::take(&mut self.active) || own.in_messages > 0 {
            self.shared.touch(io.stager.wall_nanos);
        }
        Taken { used: pos, wanted: self.parser.wanted(), more, secure: false }
    }

    fn operation(
        &mut self,
        fanout: &mut Fanout,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        op: Op<'_>,
        trace: bool,
    ) {
        let inbound = |verb: &str, arg: Option<&[u8]>| {
            if trace {
                self.shared.trace_op(Direction::Inbound, verb, arg);
            }
        };
        match op {
            Op::Pub(_) => {}
            Op::PubLine(line) => {
                inbound(if line.is_hpub { "HPUB" } else { "PUB" }, Some(line.arg));
                if self.options.pedantic && !is_valid_literal_subject(line.subject) {
                    self.send_error(io, "Invalid Publish Subject");
                    if line.repeated {
                        // A cut publication is judged twice (spec 01 §2.4).
                        self.send_error(io, "Invalid Publish Subject");
                    }
                }
            }
            Op::Sub { subject, queue, sid, arg } => {
                inbound("SUB", Some(arg));
                self.last_inbound = io.now;
                self.active = true;
                self.subscribe(io, subject, queue, sid);
            }
            Op::Unsub { sid, max, arg } => {
                inbound("UNSUB", Some(arg));
                self.last_inbound = io.now;
                self.active = true;
                self.unsubscribe(io, sid, max);
            }
            Op::Ping => {
                inbound("PING", None);
                self.last_inbound = io.now;
                self.ping(io);
            }
            Op::Pong => {
                inbound("PONG", None);
                self.shared.pong();
            }
            Op::Ok => {}
            Op::Err(text) => {
                self.shared.error(format_args!("Client Error {}", String::from_utf8_lossy(text)));
                self.close(io, ClosedState::ParseError);
            }
            Op::Connect(json) => {
                if trace {
                    let shown = redact_connect(json);
                    self.shared.trace_op(Direction::Inbound, "CONNECT", Some(&shown));
                }
                self.active = true;
                self.connect(io, json);
            }
            Op::Info(json) => {
                if let Err(e) = judge_client_info(json) {
                    self.shared.error(format_args!("{e}"));
                    self.close(io, ClosedState::ProtocolViolation);
                }
            }
            Op::EmptyHmsg => {
                own.in_messages += 1;
                if let Some(check) = &mut self.permissions
                    && !check.allows(&self.shared, b"")
                {
                    return self.publish_violation(io, b"");
                }
                if self.options.verbose {
                    self.send_ok(io);
                }
                let _ = fanout;
            }
        }
    }

    #[cold]
    fn parse_error(&mut self, io: &mut Io<'_>, error: &ParseError, trace: bool) {
        if trace && let Some((verb, arg)) = error.traced_op() {
            self.shared.trace_op(Direction::Inbound, verb, Some(arg));
        }
        if matches!(error, ParseError::AuthRequired) {
            return self.login_without_connect(io);
        }
        let shared = self.shared.clone();
        let log = || shared.error(format_args!("{error}"));
        let text = error.wire_error().unwrap_or_default();
        // What is sent, logged and closed is told of in the reference's order.
        match error {
            ParseError::MaxPayload { .. } => {
                log();
                self.send_error(io, text);
                self.close(io, ClosedState::MaxPayloadExceeded);
            }
            ParseError::MaxControlLine => {
                self.send_error(io, text);
                self.close(io, ClosedState::MaxControlLineExceeded);
                log();
            }
            _ => {
                if !text.is_empty() {
                    self.send_error(io, text);
                }
                log();
                self.close(io, ClosedState::ProtocolViolation);
            }
        }
    }

    // ---- PING and PONG ----

    fn ping(&mut self, io: &mut Io<'_>) {
        if self.shared.server.log.trace_enabled() {
            self.shared.trace_op(Direction::Outbound, "PONG", None);
        }
        // The answer says that all that was published before is on its way.
        io.hand_over_others();
        io.reply().extend_from_slice(encode::PONG);
        if self.connect_received && !self.shared.had_first_pong() {
            self.shared.set_had_first_pong();
            if self.options.protocol >= 1 {
                self.shared.set_takes_async_info();
                let server = self.shared.server.clone();
                let account = &self.account;
                let max_payload = self.limits.max_payload;
                server.write_info(io.reply(), &self.shared, &mut |info| {
                    info.connect_info = true;
                    info.remote_account.clone_from(&account.name);
                    info.acc_is_sys = server.is_system_account(account);
                    info.max_payload = i32::try_from(max_payload).unwrap_or(-1);
                });
            }
        }
    }

    /// A timer came due.
    pub fn timer(&mut self, io: &mut Io<'_>, kind: u8) {
        let server = self.shared.server.clone();
        let settings = server.settings();
        match kind {
            TIMER_AUTH if self.limits.auth_pending && !self.is_waiting() => {
                self.send_error(io, "Authentication Timeout");
                self.shared.debug(format_args!("Authentication Timeout"));
                self.close(io, ClosedState::AuthenticationTimeout);
            }
            TIMER_OPENING => self.opening_timer(&settings, io),
            TIMER_PING => self.ping_timer(io, &settings),
            TIMER_SUBSCRIPTIONS => self.close(io, ClosedState::MaxSubscriptionsExceeded),
            TIMER_EXPIRY => self.expiry_timer(io),
            _ => {}
        }
    }

    fn arm_ping(&mut self, io: &mut Io<'_>, after_ms: u64) {
        self.ping_due = io.now + after_ms;
        io.arm(TIMER_PING, after_ms);
    }

    fn ping_timer(&mut self, io: &mut Io<'_>, settings: &Settings) {
        if io.now < self.ping_due {
            // CONNECT has put it off, which an armed timer does not know.
            return io.arm(TIMER_PING, self.ping_due - io.now);
        }
        self.shared.debug(format_args!("Client Ping Timer"));
        let idle = io.now - self.last_inbound;
        let measured = self.shared.since_ping().is_some_and(|ago| ago <= RTT_REFRESH);
        if idle < settings.ping_interval_ms && self.shared.traits().knows_rtt() && measured {
            let ago = GoDuration(Duration::from_secs((idle + 500) / 1000));
            self.shared
                .debug(format_args!("Delaying PING due to remote client data or ping {ago} ago"));
        } else {
            if self.shared.pings_outstanding() + 1 > settings.ping_max {
                self.shared.server.stats.stale_connections.count(Kind::Client);
                self.shared.debug(format_args!("Stale Client Connection - Closing"));
                encode::error_line(io.reply(), b"Stale Connection");
                return self.close(io, ClosedState::StaleConnection);
            }
            self.shared.ping(io.reply());
        }
        self.arm_ping(io, settings.ping_interval_ms);
    }

    // ---- SUB and UNSUB ----

    fn subscribe(&mut self, io: &mut Io<'_>, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        let settings = self.shared.server.settings();
        if !self.may_subscribe(subject, queue) {
            return self.subscribe_violation(io, subject, queue, sid);
        }
        if settings.max_subscription_tokens > 0 {
            let tokens = 1 + memchr::memchr_iter(b'.', subject).count();
            if tokens > settings.max_subscription_tokens {
                let s = quote(subject);
                self.send_error(
                    io,
                    &format!("Permissions Violation for Subscription to {s}, too many tokens"),
                );
                self.shared.error(format_args!(
                    "Subscription Violation Too Many Tokens - Subject {s}, SID {}",
                    String::from_utf8_lossy(sid)
                ));
                return;
            }
        }
        if self.max_subscriptions >= 0
            && self.shared.subscription_count() as i64 >= self.max_subscriptions
        {
            return self.too_many_subscriptions(io);
        }
        if self.shared.subscription(sid).is_none() {
            let sub = Arc::new(Subscription::new(
                subject,
                queue,
                sid,
                Destination::Client(self.shared.clone()),
            ));
            self.shared.remember(&sub);
            if self.account.sublist.insert(sub.clone()).is_err() {
                self.shared.forget(&sub);
                return self.send_error(io, "Invalid Subject");
            }
            if self.account.has_stream_imports() {
                self.add_shadows(&sub, &self.account.stream_imports());
            }
        }
        if self.options.verbose {
            self.send_ok(io);
        }
    }

    /// Subscribes in the accounts whose streams this one imports (spec 03 §17).
    #[cold]
    fn add_shadows(&self, sub: &Arc<Subscription>, imports: &[Arc<StreamImport>]) {
        for (exporter, shadow) in shadows(&self.account, sub, imports) {
            self.shared.debug(format_args!(
                "Creating import subscription on {} from account {}",
                quote(shadow.subject()),
                quote(exporter.name.as_bytes())
            ));
            if exporter.sublist.insert(shadow.clone()).is_ok() {
                self.shared.remember_shadow(sub, shadow);
            } else {
                self.shared.error(format_args!(
                    "Could not add shadow import subscription for account {}",
                    quote(exporter.name.as_bytes())
                ));
            }
        }
    }

    /// The streams that the account imports have changed: shadows that have none any more go, those
    /// of new ones come. What did not change is not interrupted.
    pub(super) fn renew_shadows(&self) {
        let imports = self.account.stream_imports();
        for sub in self.shared.subscriptions() {
            let present = self.shared.retain_shadows(&sub, &imports);
            let is_new = |import: &&Arc<StreamImport>| {
                !present.iter().any(|other| Arc::ptr_eq(other, import))
            };
            let new: Vec<_> = imports.iter().filter(is_new).cloned().collect();
            self.add_shadows(&sub, &new);
        }
    }

    fn may_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        if queue == Some(b"_sys_") {
            return false;
        }
        let Some(check) = &self.permissions else { return true };
        if !check.permissions.may_subscribe(subject, queue.unwrap_or_default()) {
            return false;
        }
        if check.permissions.reaches_denied(subject, queue.is_some_and(|q| !q.is_empty())) {
            self.shared.hold_denied();
        }
        true
    }

    #[cold]
    fn subscribe_violation(
        &self,
        io: &mut Io<'_>,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) {
        let (subject, sid) = (quote(subject), String::from_utf8_lossy(sid));
        let error = format!("Permissions Violation for Subscription to {subject}");
        match queue.map(quote) {
            None => {
                self.send_error(io, &error);
                self.shared
                    .error(format_args!("Subscription Violation - Subject {subject}, SID {sid}"));
            }
            Some(queue) => {
                self.send_error(io, &format!("{error} using queue {queue}"));
                self.shared.error(format_args!(
                    "Subscription Violation - Subject {subject}, Queue: {queue}, SID {sid}"
                ));
            }
        }
    }

    fn too_many_subscriptions(&self, io: &mut Io<'_>) {
        if self.account.logs_subscription_limit(Instant::now()) {
            self.shared.error(format_args!("maximum subscriptions exceeded"));
        }
        self.send_error(io, "maximum subscriptions exceeded");
    }

    fn unsubscribe(&mut self, io: &mut Io<'_>, sid: &[u8], max: Option<i64>) {
        let sub = self.shared.subscription(sid);
        if self.options.verbose {
            self.send_ok(io);
        }
        let Some(sub) = sub else { return };
        let max = max.unwrap_or(0);
        if max > 0 && max > sub.delivered() {
            sub.set_max(max);
        } else {
            sub.set_max(0);
            self.remove(&sub);
        }
    }

    fn remove(&mut self, sub: &Arc<Subscription>) {
        if self.shared.server.log.trace_enabled() {
            self.shared.trace_removal(sub);
        }
        sub.close();
        // A delivery that reached its limit may have removed it already.
        let _ = self.account.sublist.remove(sub);
        self.shared.forget(sub);
    }

    fn drop_subscriptions(&mut self) {
        let subs = self.shared.forget_all();
        // A server that shuts down does not tell of each.
        let log = &self.shared.server.log;
        let trace = log.trace_enabled() && !self.shared.server.is_shutting_down();
        for sub in &subs {
            sub.close();
            if trace {
                self.shared.trace_removal(sub);
            }
        }
        // Deliveries that reached a limit may have removed some already.
        let _ = self.account.sublist.remove_batch(subs.iter());
        self.memo = None;
    }

    // ---- PUB ----

    /// Publishes under the subject that the account's mappings give.
    #[expect(clippy::too_many_arguments)] // Those of `publish`, and the mappings.
    #[cold]
    fn publish_mapped(
        &mut self,
        mappings: &Mappings,
        fanout: &mut Fanout,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        input: &mut Input<'_>,
        p: &Pub<'_>,
        trace: bool,
    ) {
        if !p.announced {
            self.publish_line(io, p, trace);
        }
        let mut subject = Vec::new();
        let mapped = match mappings.map_into(p.subject, || fanout.random_bits(), &mut subject) {
            Mapped::Unchanged => Pub { announced: true, ..*p },
            // A message that is dropped has no subject, so it reaches nobody.
            Mapped::Changed | Mapped::Dropped => Pub { subject: &subject, announced: true, ..*p },
        };
        if trace && mapped.subject != p.subject {
            let change = [p.subject, b" -> ", mapped.subject].concat();
            self.shared.trace_op(Direction::Inbound, "MAPPING", Some(&change));
        }
        if may_ask(p.header()) {
            return self.publish_traced(p.subject, fanout, own, io, input, &mapped, trace);
        }
        self.publish_untraced(fanout, own, io, input, &mapped, trace);
    }

    #[inline]
    fn publish(
        &mut self,
        fanout: &mut Fanout,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        input: &mut Input<'_>,
        p: &Pub<'_>,
        trace: bool,
    ) {
        if p.header_len > 0 && may_ask(p.header()) {
            return self.publish_traced(p.subject, fanout, own, io, input, p, trace);
        }
        self.publish_untraced(fanout, own, io, input, p, trace);
    }

    /// Counts a publication, and checks whether it may go out.
    #[inline]
    fn admit(
        &mut self,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        p: &Pub<'_>,
        trace: bool,
    ) -> Result<(), Refused> {
        own.in_messages += 1;
        own.in_bytes += p.payload.len() as i64;
        self.last_inbound = io.now;
        if !p.announced && self.limits.announce {
            self.publish_line(io, p, trace);
        }
        if trace {
            self.shared.trace_payload(Direction::Inbound, p.payload, p.header_len as usize);
        }
        if matches!(p.subject.first(), Some(b'_' | b'$')) && self.is_reserved_subject(p.subject) {
            self.publish_violation(io, p.subject);
            return Err(Refused::Subject);
        }
        if let Some(check) = &mut self.permissions
            && !check.allows(&self.shared, p.subject)
        {
            self.publish_violation(io, p.subject);
            return Err(Refused::Subject);
        }
        if matches!(p.reply.first(), Some(b'_' | b'$')) && is_reserved_reply(p.reply) {
            let reply = quote(p.reply);
            self.send_error(
                io,
                &format!("Permissions Violation for Publish with Reply of {reply}"),
            );
            self.shared.error(format_args!("Publish Violation - Reply {reply}"));
            return Err(Refused::Reply);
        }
        if self.options.verbose {
            self.send_ok(io);
        }
        Ok(())
    }

    #[inline]
    fn publish_untraced(
        &mut self,
        fanout: &mut Fanout,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        input: &mut Input<'_>,
        p: &Pub<'_>,
        trace: bool,
    ) {
        if self.admit(own, io, p, trace).is_err() {
            return;
        }
        let message = Message {
            subject: p.subject,
            reply: p.reply,
            header_len: p.header_len as usize,
            header_digits: p.hdr_digits,
            size_digits: p.size_digits,
            payload_crlf: p.payload_crlf,
            tail: tail(input.bytes(), p),
        };
        let origin = Origin {
            client: Some(&self.shared),
            ..Origin::client(self.shared.cid, self.options.echo)
        };
        let (start, len) = (p.payload_start, p.payload_crlf.len());
        let mut share = || -> Bytes { input.slice(start, len) };
        let generation = self.account.sublist.generation();
        let memo =
            self.memo.take().filter(|m| m.generation == generation && m.subject == p.subject);
        let memo = match memo {
            Some(memo) => Ok(memo),
            None => fanout
                .matches(&self.account, p.subject)
                .map(|matched| Box::new(Memo { generation, subject: p.subject.to_vec(), matched })),
        };
        let delivered = match &memo {
            Ok(memo) => fanout.deliver_to(
                io.stager,
                &self.account,
                &memo.matched,
                &origin,
                &message,
                &mut share,
            ),
            Err(hash) => {
                let account = &self.account;
                fanout.deliver_uncached(io.stager, account, *hash, &origin, &message, &mut share)
            }
        };
        self.memo = memo.ok();
        if !delivered.any && !p.reply.is_empty() && self.options.no_responders {
            self.no_responders(io, p);
        }
    }

    /// What is done about the line of a publication before anything about the message.
    #[cold]
    fn publish_line(&self, io: &mut Io<'_>, p: &Pub<'_>, trace: bool) {
        if trace {
            let verb = if p.is_hpub { "HPUB" } else { "PUB" };
            self.shared.trace_op(Direction::Inbound, verb, Some(p.arg));
        }
        if self.options.pedantic && !is_valid_literal_subject(p.subject) {
            self.send_error(io, "Invalid Publish Subject");
        }
    }

    fn is_reserved_subject(&self, subject: &[u8]) -> bool {
        (subject.len() > 5 && subject.starts_with(b"_GR_."))
            || (subject.starts_with(b"$NRG.")
                && !self.shared.server.is_system_account(&self.account))
    }

    #[cold]
    fn publish_violation(&self, io: &mut Io<'_>, subject: &[u8]) {
        let subject = quote(subject);
        self.send_error(io, &format!("Permissions Violation for Publish to {subject}"));
        self.shared.error(format_args!("Publish Violation - Subject {subject}"));
    }

    /// Tells the publisher that its request reached nobody (spec 01 §5.4).
    #[cold]
    fn no_responders(&self, io: &mut Io<'_>, p: &Pub<'_>) {
        let mut matches = ::sublist::Matches::new();
        self.account.sublist.match_into(p.reply, &mut matches);
        let own = matches
            .plain()
            .iter()
            .find(|s| matches!(&s.to, Destination::Client(c) if c.cid == self.shared.cid));
        if let Some(sub) = own {
            encode::no_responders(io.reply(), p.reply, sub.sid(), p.subject);
        }
    }

    // ---- the end ----

    /// The write deadline passed.
    pub fn write_deadline(
        &mut self,
        bytes: usize,
        chunks: usize,
        progress: bool,
    ) -> DeadlineAction {
        let server = self.shared.server.clone();
        let settings = server.settings();
        if self.limits.auth_pending {
            return DeadlineAction::Close;
        }
        let state = if self.slow_consumer { "State" } else { "Detected" };
        self.shared.notice(format_args!(
            "Slow Consumer {state}: WriteDeadline of {} exceeded with {chunks} chunks of {bytes} total bytes.",
            GoDuration(Duration::from_millis(settings.write_deadline_ms)),
        ));
        server.stats.slow_consumers.count(Kind::Client);
        self.account.slow_consumers.fetch_add(1, Ordering::Relaxed);
        if settings.retry_writes && progress {
            self.slow_consumer = true;
            DeadlineAction::Retry
        } else {
            DeadlineAction::Close
        }
    }

    /// This client's messages filled a destination.
    pub fn stalled(&self) {
        self.shared.server.stats.stalled.fetch_add(1, Ordering::Relaxed);
    }

    /// It was held back for destinations that were nearly full, and goes on.
    pub fn unstalled(&self, stall: Stall) {
        if let Some(limit) = stall.timed_out {
            let limit = GoDuration(limit);
            self.shared.debug(format_args!("Timed out of fast producer stall ({limit})"));
        }
        if stall.lasted >= STALL_REPORTED {
            let lasted = GoDuration(to_millis(stall.lasted));
            self.shared.limited_warn(
                "Producer was stalled for a total of %v",
                format_args!("Producer was stalled for a total of {lasted}"),
            );
        }
    }

    /// Kept past its write deadline, it has caught up.
    pub fn recovered(&mut self, recovery: Recovery) {
        self.slow_consumer = false;
        let Recovery { took_ms, chunks, bytes } = recovery;
        self.shared.notice(format_args!(
            "Slow Consumer Recovered: Flush took {}.{:03}s with {chunks} chunks of {bytes} total bytes.",
            took_ms / 1000,
            took_ms % 1000
        ));
    }

    /// Taking the commands out of one read took long.
    pub fn slow_read(&self, took: Duration) {
        self.shared.warn(format_args!("Readloop processing time: {}", GoDuration(took)));
    }

    fn report_write_error(&self, io: &Io<'_>, error: &std::io::Error) {
        // Behind TLS bytes go out one buffer at a time.
        let call = if self.shared.tls().is_some() { "write" } else { "writev" };
        let local = io.local_address().map_or_else(|_| String::new(), |a| a.to_string());
        let (peer, text) = (self.shared.socket_peer, error_text(error));
        self.shared
            .debug(format_args!("Error flushing: {call} tcp {local}->{peer}: {call}: {text}"));
    }

    /// The connection goes down.
    pub fn closed(mut self, io: &mut Io<'_>, cause: &Cause) {
        let server = self.shared.server.clone();
        let told = self.reason.is_some();
        self.opening_closed(cause);
        let reason = self.reason.or(self.shared.wanted_end()).unwrap_or_else(|| match cause {
            Cause::Eof | Cause::Requested => ClosedState::ClientClosed,
            // A session that breaks after its handshake is a read that fails.
            Cause::Read(_) | Cause::Tls { .. } => ClosedState::ReadError,
            Cause::Write(error) => {
                self.report_write_error(io, error);
                ClosedState::WriteError
            }
            Cause::SlowConsumerPending => {
                self.shared.notice(format_args!(
                    "Slow Consumer Detected: MaxPending of {} Exceeded",
                    server.settings().max_pending_bytes
                ));
                server.stats.slow_consumers.count(Kind::Client);
                self.account.slow_consumers.fetch_add(1, Ordering::Relaxed);
                ClosedState::SlowConsumerPendingBytes
            }
            Cause::SlowConsumerDeadline { .. } => ClosedState::SlowConsumerWriteDeadline,
        });
        if !told {
            self.tell_closed(reason);
        }
        let subscriptions = self.shared.subscriptions();
        self.drop_subscriptions();
        self.account.remove_client(self.shared.cid);
        if let Some(system) = server.system() {
            system.disconnected(&self.shared, &self.account, reason);
            system.connections_changed(&self.account);
        }
        server.client_closed(&self.shared, reason, subscriptions);
    }
}

/// The smaller of two limits of which a negative one means unlimited.
fn effective_limit(a: i64, b: i64) -> i64 {
    match (a < 0, b < 0) {
        (true, _) => b,
        (_, true) => a,
        _ => a.min(b),
    }
}

fn is_reserved_reply(reply: &[u8]) -> bool {
    reply.starts_with(b"_R_.")
        || (reply.len() > 8 && reply.starts_with(b"$JS.ACK."))
        || (reply.len() > 5 && reply.starts_with(b"_GR_."))
}

/// What follows the subject id in `MSG`, if the input has it in one piece exactly as it is sent:
/// reply, sizes, line end, payload, line end, each separated by one blank.
fn tail<'a>(input: &'a [u8], p: &Pub<'a>) -> Option<&'a [u8]> {
    let with_headers = p.header_len > 0;
    let mut line = p.size_digits.len() + 2;
    if with_headers {
        line += p.hdr_digits.len() + 1;
    }
    if !p.reply.is_empty() {
        line += p.reply.len() + 1;
    }
    let start = p.payload_start.checked_sub(line)?;
    let tail = input.get(start..p.payload_start + p.payload_crlf.len())?;
    let mut at = 0;
    if !p.reply.is_empty() {
        // The field begins where it should, so that nothing else stands in between.
        if !std::ptr::eq(tail.as_ptr(), p.reply.as_ptr()) {
            return None;
        }
        at += p.reply.len();
        if tail.get(at) != Some(&b' ') {
            return None;
        }
        at += 1;
    }
    if with_headers {
        if !std::ptr::eq(tail.get(at..)?.as_ptr(), p.hdr_digits.as_ptr()) {
            return None;
        }
        at += p.hdr_digits.len();
        if tail.get(at) != Some(&b' ') {
            return None;
        }
        at += 1;
    }
    if !std::ptr::eq(tail.get(at..)?.as_ptr(), p.size_digits.as_ptr()) {
        return None;
    }
    at += p.size_digits.len();
    (tail.get(at..at + 2)? == b"\r\n").then_some(tail)
}

/// Rounded to the nearest millisecond.
fn to_millis(time: Duration) -> Duration {
    let millis = (time + Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// A duration as the reference prints it.
pub struct GoDuration(pub Duration);

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos < 1_000 {
            return write!(f, "{nanos}ns");
        }
        if nanos < 1_000_000 {
            return write!(f, "{}µs", nanos as f64 / 1e3);
        }
        if nanos < 1_000_000_000 {
            return write!(f, "{}ms", nanos as f64 / 1e6);
        }
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let rest = (nanos % 60_000_000_000) as f64 / 1e9;
        write!(f, "{rest}s")
    }
}
