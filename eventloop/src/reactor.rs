//! The reactor: one thread, one poll, its connections, and the application's [`Service`].
//!
//! A pass of the loop: poll; take the mail (adopted sockets, notes of egress queues); accept; read
//! each ready connection once, at most one block, so that none starves the others; hand over what
//! was staged; expire timers. A connection that filled its block stays ready for the next pass.
//!
//! Back-pressure: when a hand-over leaves a destination with more than
//! [`HOLD_ABOVE_BYTES`](crate::HOLD_ABOVE_BYTES) pending, the connection whose bytes caused it is
//! *held*: not read until the destination has drained, for [`HOLD_TICKS`] at most. A destination
//! that drains too slowly for that is not waited for again (its own limits deal with it), so that
//! one slow reader cannot throttle a publisher. A queue of this process ([`Intake`](crate::Intake))
//! that is full is waited for without such a limit: all connections that staged something for queues
//! since the last hand-over are held until it has room.

use crate::Token;
use crate::egress::{
    DeadlineCheck, Egress, HOLD_ABOVE_BYTES, HOLD_UNTIL_BYTES, HandOver, Limits, Recovery,
    WriteMode,
};
use crate::intake::Waiter;
use crate::mailbox::{Mailbox, Note, Sender};
use crate::pool::{BLOCK_BYTES, Block};
use crate::stage::{STAGING_BUDGET_BYTES, Stager};
use crate::timer::TimerWheel;
use crate::tls::{Tls, TlsBuffers, TlsSession, TlsWrite};
use bytes::Bytes;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry};
use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest that a connection is held for one destination, in ticks (spec 01 §8.3: 10 ms a read).
const HOLD_TICKS: u64 = 10;
/// A connection that staged more than this in one read is handed over on its own, so that holding
/// it back can be decided by what it did; lighter ones share one hand-over a pass.
const OWN_HAND_OVER_BYTES: usize = 16 * 1024;
/// Connections accepted in one pass.
const ACCEPTS_PER_PASS: usize = 128;
/// First pause after a failed accept, doubled up to the last (spec 01 §1).
const ACCEPT_PAUSE_MIN_MS: u64 = 10;
const ACCEPT_PAUSE_MAX_MS: u64 = 1000;
/// How often a closing connection's remaining output is looked at, in ticks.
const DRAIN_CHECK_TICKS: u64 = 5;
/// An idle reactor frees its buffers after this many ticks.
const TRIM_TICKS: u64 = 5_000;

const WAKER: usize = usize::MAX;
/// Listeners have the tokens from here up.
const LISTENERS: usize = usize::MAX - 1024;

/// Timer kinds from here up are the reactor's own.
const KIND_WRITE_DEADLINE: u8 = 250;
const KIND_HOLD: u8 = 251;
const KIND_DRAIN: u8 = 252;
const KIND_ACCEPT: u8 = 253;

/// Why a connection went down, when the reactor noticed it.
#[derive(Debug)]
pub enum Cause {
    /// The service asked for it.
    Requested,
    /// The peer closed its side.
    Eof,
    /// A read failed.
    Read(io::Error),
    /// The peer broke the TLS protocol, or its certificate was refused.
    Tls {
        /// What the session says of it.
        error: rustls::Error,
        /// The peer's hello was understood: what came before spoke TLS.
        greeted: bool,
    },
    /// A write failed.
    Write(io::Error),
    /// More output pending than allowed.
    SlowConsumerPending,
    /// The write deadline passed, with this many bytes in this many chunks.
    SlowConsumerDeadline {
        /// Bytes pending.
        bytes: usize,
        /// Chunks they are in.
        chunks: usize,
    },
}

/// What the service decides when a write deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineAction {
    /// Close the connection as a slow consumer.
    Close,
    /// Keep it and start a new deadline.
    Retry,
}

/// Names a listener of a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(pub u16);

/// Slots are small numbers, unique among the open connections of all reactors.
#[derive(Default)]
pub struct Slots(Mutex<(Vec<u32>, u32)>);

impl Slots {
    fn take(&self) -> u32 {
        let mut s = self.0.lock();
        s.0.pop().unwrap_or_else(|| {
            s.1 += 1;
            s.1 - 1
        })
    }

    fn put(&self, slot: u32) {
        self.0.lock().0.push(slot);
    }
}

/// Bytes that arrived, behind what was carried over.
pub struct Input<'a> {
    bytes: &'a [u8],
    source: Source_<'a>,
    shared: Option<Bytes>,
}

enum Source_<'a> {
    Block(&'a Block),
    Carried,
}

impl<'a> Input<'a> {
    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A refcounted slice of the bytes: nothing is copied.
    pub fn slice(&mut self, start: usize, len: usize) -> Bytes {
        let shared = self.shared.get_or_insert_with(|| match self.source {
            Source_::Block(block) => block.share(),
            // Only a buffer that is shared from the start is given as carried.
            Source_::Carried => Bytes::copy_from_slice(self.bytes),
        });
        shared.slice(start..start + len)
    }
}

/// How much of an input was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes used from the front; the rest is carried over.
    pub used: usize,
    /// Lower bound of the bytes that the carried ones must reach before it is worth calling again.
    pub wanted: usize,
    /// Set when the input was left early although it holds more commands: it is given again, with
    /// what has arrived meanwhile, as soon as the connection is not held.
    pub more: bool,
    /// Set when TLS begins with the bytes that were not used.
    pub secure: bool,
}

/// The application on one reactor: state machines and their effects. All methods run on the
/// reactor's thread.
pub trait Service: Sized {
    /// A connection's state machine.
    type Conn;
    /// What other threads send to this reactor.
    type Message: Send + 'static;

    /// A listener of this reactor accepted a connection.
    fn accepted(
        &mut self,
        core: &mut Core<Self>,
        listener: ListenerId,
        stream: TcpStream,
        peer: SocketAddr,
    );
    /// Accepting failed; it is tried again after `pause`.
    fn accept_failed(&mut self, listener: ListenerId, error: &io::Error, pause: Duration);
    /// Bytes arrived.
    fn input(&mut self, conn: &mut Self::Conn, io: &mut Io<'_>, input: &mut Input<'_>) -> Taken;
    /// The TLS handshake that [`Io::start_tls`] began has ended well.
    fn secured(&mut self, conn: &mut Self::Conn, io: &mut Io<'_>, session: &rustls::CommonState);
    /// A timer of the connection came due. Timers fire at or after the tick they were armed for;
    /// one that no longer matters is ignored or armed again.
    fn timer(&mut self, conn: &mut Self::Conn, io: &mut Io<'_>, kind: u8);
    /// The write deadline passed; `progress` says whether anything was written in that time.
    fn write_deadline(
        &mut self,
        conn: &mut Self::Conn,
        bytes: usize,
        chunks: usize,
        progress: bool,
    ) -> DeadlineAction;
    /// This connection's bytes filled `destination` past three quarters of its limit, and it is
    /// held back for that (spec 01 §8.3).
    fn stalled(&mut self, conn: &mut Self::Conn, destination: &Arc<Egress>);
    /// A connection that was stalled is read again.
    fn unstalled(&mut self, conn: &mut Self::Conn, stall: Stall) {
        let _ = (conn, stall);
    }
    /// A connection that was kept past its write deadline has caught up.
    fn recovered(&mut self, conn: &mut Self::Conn, recovery: Recovery) {
        let _ = (conn, recovery);
    }
    /// Whether producers are held back for destinations at all (`no_fast_producer_stall`).
    fn holds_producers(&self) -> bool;
    /// The connection is going down: it gets no more input, and its output is flushed where the
    /// cause allows. Its subscriptions end here.
    fn closed(&mut self, conn: Self::Conn, io: &mut Io<'_>, cause: Cause);
    /// A message arrived.
    fn message(&mut self, core: &mut Core<Self>, message: Self::Message);
    /// A pass of the loop ended, which took that long from the end of its wait: time to publish
    /// counters.
    fn pass_ended(&mut self, took: Duration);
}

/// How a connection was held back for destinations that were nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How long.
    pub lasted: Duration,
    /// How long it would have been at most, if it was not the destinations that ended it.
    pub timed_out: Option<Duration>,
}

#[derive(Default)]
struct Held {
    /// Queues of this process waited for that have no room yet.
    rooms: usize,
    /// Since when, if a destination was nearly full.
    stalled: Option<Instant>,
    /// Destinations waited for that have not answered yet.
    outstanding: usize,
    until: u64,
    /// Each destination with what it had pending when the hold began.
    destinations: SmallVec<[(Arc<Egress>, usize); 2]>,
}

struct Entry<C> {
    generation: u32,
    /// `None` once the service has been told of the end: the entry only drains its output.
    conn: Option<C>,
    socket: Arc<TcpStream>,
    egress: Arc<Egress>,
    carry: Vec<u8>,
    wanted: usize,
    /// The carried bytes hold complete commands.
    carry_more: bool,
    in_ready: bool,
    /// The socket may have bytes.
    readable: bool,
    /// The peer has closed its side: behind the last bytes comes no other event.
    read_closed: bool,
    held: Option<Box<Held>>,
    /// Not read until the state machine resumes: it waits for an answer from another thread.
    paused: bool,
    drain_until: u64,
    tls: Option<Box<Tls>>,
    /// Armed timers: kind and tick.
    armed: SmallVec<[(u8, u64); 2]>,
}

struct Listener {
    socket: TcpListener,
    pause_ms: u64,
    ready: bool,
}

#[derive(Clone, Copy)]
struct Timer {
    token: Token,
    kind: u8,
    tick: u64,
}

/// What a connection's state machine can do besides staging: see [`Service::input`].
pub struct Io<'a> {
    /// Ticks (milliseconds) since the reactor started.
    pub now: u64,
    /// The thread's stages.
    pub stager: &'a mut Stager,
    egress: &'a Arc<Egress>,
    socket: &'a TcpStream,
    close: Option<bool>,
    arm: SmallVec<[(u8, u64); 2]>,
    start_tls: Option<TlsSession>,
    pause: Option<bool>,
    hand_over: HandOverLog,
}

#[derive(Default)]
struct HandOverLog {
    heavy: SmallVec<[(Arc<Egress>, usize, bool); 2]>,
}

impl Io<'_> {
    /// The connection's own output.
    pub fn egress(&self) -> &Arc<Egress> {
        self.egress
    }

    /// This side's address of the connection.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The buffer staged for the connection itself.
    pub fn reply(&mut self) -> &mut Vec<u8> {
        self.stager.stage(self.egress).0.buffer()
    }

    /// Closes the connection after this call; with `flush`, after its pending output.
    pub fn close(&mut self, flush: bool) {
        self.close.get_or_insert(flush);
    }

    /// Whether the connection is to be closed.
    pub fn is_closing(&self) -> bool {
        self.close.is_some()
    }

    /// Puts TLS between the socket and the state machine, from the bytes on that are not used yet.
    /// What has been staged before goes out in the clear.
    pub fn start_tls(&mut self, session: impl Into<TlsSession>) {
        self.hand_over_now();
        self.start_tls = Some(session.into());
    }

    /// Whether TLS begins after this call: the bytes that follow are not for the state machine.
    pub fn is_starting_tls(&self) -> bool {
        self.start_tls.is_some()
    }

    /// Stops reading the connection after this call: its state machine cannot go on before an
    /// answer comes from another thread. Bytes that were not used are kept; timers still fire.
    pub fn pause(&mut self) {
        self.pause = Some(true);
    }

    /// Reads the connection again, beginning with the bytes that were kept.
    pub fn resume(&mut self) {
        self.pause = Some(false);
    }

    /// Arms timer `kind` (below 250) to fire `after_ms` from now.
    pub fn arm(&mut self, kind: u8, after_ms: u64) {
        debug_assert!(kind < KIND_WRITE_DEADLINE);
        self.arm.push((kind, self.now + after_ms));
    }

    /// Hands over if much has been staged. Returns whether this connection should stop for now
    /// because a destination is full.
    pub fn within_budget(&mut self) -> bool {
        if self.stager.staged_bytes() < STAGING_BUDGET_BYTES {
            return true;
        }
        self.hand_over_now();
        self.hand_over.heavy.is_empty() && !self.stager.has_full_intakes()
    }

    /// Hands over what is staged so far, unless it is for this connection alone: what is staged
    /// for the connection after this arrives when all that is on its way.
    pub fn hand_over_others(&mut self) {
        if self.stager.has_others(self.egress) {
            self.hand_over_now();
        }
    }

    /// Hands over everything staged so far.
    pub fn hand_over_now(&mut self) {
        let log = &mut self.hand_over;
        self.stager.hand_over(self.now, Some(self.egress.slot()), |e, r| log.see(e, r));
    }
}

impl HandOverLog {
    fn see(&mut self, egress: &Arc<Egress>, result: HandOver) {
        if let HandOver::Pending(bytes) = result
            && (bytes > HOLD_ABOVE_BYTES || egress.is_gated())
            && !self.heavy.iter().any(|(e, ..)| Arc::ptr_eq(e, egress))
        {
            self.heavy.push((egress.clone(), bytes, egress.is_gated()));
        }
    }
}

/// A reactor's connections and machinery, as the service sees them.
pub struct Core<S: Service> {
    conns: Slab<Entry<S::Conn>>,
    generation: u32,
    registry: Registry,
    mailbox: Arc<Mailbox>,
    slots: Arc<Slots>,
    wheel: TimerWheel<Timer>,
    stager: Stager,
    tls_buffers: TlsBuffers,
    started: Instant,
    now: u64,
    ready: Vec<Token>,
    /// Connections that staged something for queues of this process since the last hand-over.
    fillers: Vec<Token>,
    listeners: Vec<Option<Listener>>,
    stop: bool,
    stop_when_drained: bool,
}

impl<S: Service> Core<S> {
    /// Ticks (milliseconds) since the reactor started.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Connections, including those that only drain.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// The thread's stages.
    pub fn stager(&mut self) -> &mut Stager {
        &mut self.stager
    }

    /// The reactor's mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Ends the reactor after this pass.
    pub fn stop(&mut self) {
        self.stop = true;
    }

    /// Ends the reactor once it has no connections left.
    pub fn stop_when_drained(&mut self) {
        self.stop_when_drained = true;
    }

    /// Listens: connections are announced by [`Service::accepted`].
    ///
    /// # Errors
    /// When the listener cannot be registered with the poll.
    pub fn listen(&mut self, id: ListenerId, mut socket: TcpListener) -> io::Result<()> {
        let at = id.0 as usize;
        debug_assert!(at < WAKER - LISTENERS);
        self.registry.register(&mut socket, mio::Token(LISTENERS + at), Interest::READABLE)?;
        if self.listeners.len() <= at {
            self.listeners.resize_with(at + 1, || None);
        }
        self.listeners[at] = Some(Listener { socket, pause_ms: 0, ready: false });
        Ok(())
    }

    /// Stops listening and closes the socket.
    pub fn unlisten(&mut self, id: ListenerId) {
        if let Some(l) = self.listeners.get_mut(id.0 as usize)
            && let Some(mut l) = l.take()
        {
            // The socket is closed below in any case, which also takes it out of the poll.
            let _ = self.registry.deregister(&mut l.socket);
        }
    }

    /// Takes over a connected socket. `make` builds the state machine, and may stage output (an
    /// INFO) and arm timers; the output is written before this returns.
    ///
    /// # Errors
    /// When the socket cannot be registered with the poll.
    pub fn adopt(
        &mut self,
        mut stream: TcpStream,
        limits: Limits,
        make: impl FnOnce(&mut Io<'_>) -> S::Conn,
    ) -> io::Result<Token> {
        self.generation = (self.generation + 1) & 0x3fff_ffff;
        let key = self.conns.vacant_key();
        let token = Token { key: key as u32, generation: self.generation };
        stream.register(
            &self.registry,
            mio::Token(token.pack()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let socket = Arc::new(stream);
        let egress = Arc::new(Egress::new(
            socket.clone(),
            token,
            self.slots.take(),
            self.mailbox.clone(),
            limits,
        ));
        let mut io = Io {
            now: self.now,
            stager: &mut self.stager,
            egress: &egress,
            socket: &socket,
            close: None,
            arm: SmallVec::new(),
            start_tls: None,
            pause: None,
            hand_over: HandOverLog::default(),
        };
        let conn = make(&mut io);
        io.hand_over_now();
        let (close, arm, tls) = (io.close, std::mem::take(&mut io.arm), io.start_tls.take());
        self.conns.insert(Entry {
            generation: token.generation,
            conn: Some(conn),
            socket,
            egress,
            carry: Vec::new(),
            wanted: 0,
            carry_more: false,
            in_ready: false,
            readable: false,
            read_closed: false,
            held: None,
            paused: false,
            drain_until: 0,
            tls: None,
            armed: SmallVec::new(),
        });
        for (kind, tick) in arm {
            self.arm(token, kind, tick);
        }
        if let Some(session) = tls {
            self.start_tls(token, session);
        }
        if close.is_some() {
            self.arm(token, KIND_DRAIN, self.now);
        }
        self.flush_own();
        Ok(token)
    }

    fn entry(&mut self, token: Token) -> Option<&mut Entry<S::Conn>> {
        self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)
    }

    fn arm(&mut self, token: Token, kind: u8, tick: u64) {
        let Some(entry) = self.entry(token) else { return };
        if let Some((_, armed)) = entry.armed.iter_mut().find(|(k, _)| *k == kind) {
            if *armed <= tick {
                return;
            }
            *armed = tick;
        } else {
            entry.armed.push((kind, tick));
        }
        self.wheel.arm(tick, Timer { token, kind, tick });
    }

    fn make_ready(&mut self, token: Token) {
        if let Some(entry) = self.entry(token)
            && !entry.in_ready
        {
            entry.in_ready = true;
            self.ready.push(token);
        }
    }

    /// Runs `f` on a connection's state machine, as if input had arrived.
    pub fn with(
        &mut self,
        service: &mut S,
        token: Token,
        f: impl FnOnce(&mut S, &mut S::Conn, &mut Io<'_>),
    ) {
        self.run(service, token, |service, conn, io, _| f(service, conn, io));
    }

    /// Runs `f` on every connection.
    pub fn for_each(
        &mut self,
        service: &mut S,
        mut f: impl FnMut(&mut S, &mut S::Conn, &mut Io<'_>),
    ) {
        let tokens: Vec<Token> = self
            .conns
            .iter()
            .map(|(key, e)| Token { key: key as u32, generation: e.generation })
            .collect();
        for token in tokens {
            self.run(service, token, |service, conn, io, _| f(service, conn, io));
        }
    }

    /// The common frame of everything a state machine does: call it, then apply what it asked for.
    fn run<R>(
        &mut self,
        service: &mut S,
        token: Token,
        f: impl FnOnce(&mut S, &mut S::Conn, &mut Io<'_>, Option<&rustls::CommonState>) -> R,
    ) -> Option<R> {
        let entry =
            self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)?;
        let conn = entry.conn.as_mut()?;
        let mut io = Io {
            now: self.now,
            stager: &mut self.stager,
            egress: &entry.egress,
            socket: &entry.socket,
            close: None,
            arm: SmallVec::new(),
            start_tls: None,
            pause: None,
            hand_over: HandOverLog::default(),
        };
        let session = entry.tls.as_ref().map(|t| t.session());
        let result = f(service, conn, &mut io, session);
        if io.close.is_some()
            || io.stager.staged_bytes() > OWN_HAND_OVER_BYTES
            || !io.hand_over.heavy.is_empty()
        {
            io.hand_over_now();
        }
        let (close, arm, log) =
            (io.close, std::mem::take(&mut io.arm), std::mem::take(&mut io.hand_over));
        let (tls, pause) = (io.start_tls.take(), io.pause);
        if self.stager.take_touched_intake() {
            self.fillers.push(token);
        }
        for (kind, tick) in arm {
            self.arm(token, kind, tick);
        }
        if let Some(pause) = pause {
            self.set_paused(token, pause);
        }
        if let Some(session) = tls {
            self.start_tls(token, session);
        }
        self.flush_own();
        if let Some(flush) = close {
            self.begin_close(service, token, Cause::Requested, flush);
        } else if !log.heavy.is_empty() {
            self.hold(service, token, log);
        }
        if self.stager.has_full_intakes() {
            self.hold_fillers();
        }
        Some(result)
    }

    fn set_paused(&mut self, token: Token, paused: bool) {
        let Some(entry) = self.entry(token) else { return };
        entry.paused = paused;
        if !paused {
            // What was kept may hold complete commands.
            entry.carry_more = !entry.carry.is_empty();
            self.make_ready(token);
        }
    }

    /// Stops reading a connection until the destinations it filled have drained.
    fn hold(&mut self, service: &mut S, token: Token, log: HandOverLog) {
        if !service.holds_producers() {
            return;
        }
        let (mailbox, until) = (self.mailbox.clone(), self.now + HOLD_TICKS);
        let Some(entry) = self.entry(token) else { return };
        let rooms = entry.held.as_ref().map_or(0, |held| held.rooms);
        let mut held = Held { rooms, until, ..Held::default() };
        for (egress, bytes, gated) in log.heavy {
            // A connection cannot wait for itself: it may be what has to be read to go on.
            if Arc::ptr_eq(&egress, &entry.egress) {
                continue;
            }
            if gated && let Some(conn) = &mut entry.conn {
                egress.count_stall();
                service.stalled(conn, &egress);
            }
            if egress.wait_for_drain(&mailbox, token) {
                if gated && held.stalled.is_none() {
                    held.stalled = Some(Instant::now());
                }
                held.outstanding += 1;
                held.destinations.push((egress, bytes));
            }
        }
        let wait = held.outstanding > 0;
        if wait || rooms > 0 {
            entry.held = Some(Box::new(held));
        }
        if wait {
            self.arm(token, KIND_HOLD, until);
        }
    }

    /// Stops reading the connections that filled queues of this process, until those have room.
    #[cold]
    fn hold_fillers(&mut self) {
        let full = self.stager.take_full_intakes();
        for token in std::mem::take(&mut self.fillers) {
            let mailbox = &self.mailbox;
            let Some(entry) =
                self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)
            else {
                continue;
            };
            if entry.conn.is_none() {
                continue;
            }
            let waits = |intake: &&Arc<dyn crate::Intake>| {
                intake.wait_for_room(Waiter::new(mailbox.clone(), token))
            };
            let rooms = full.iter().filter(waits).count();
            if rooms > 0 {
                entry.held.get_or_insert_default().rooms += rooms;
            }
        }
    }

    /// A queue of this process has room again.
    fn room(&mut self, token: Token) {
        let Some(entry) = self.entry(token) else { return };
        let Some(held) = &mut entry.held else { return };
        held.rooms = held.rooms.saturating_sub(1);
        self.release_if_done(token);
    }

    /// Reads the connection again if nothing is waited for any more.
    fn release_if_done(&mut self, token: Token) {
        let Some(entry) = self.entry(token) else { return };
        let Some(held) = &entry.held else { return };
        if held.rooms > 0 || held.outstanding > 0 {
            return;
        }
        entry.held = None;
        if entry.readable || entry.carry_more {
            self.make_ready(token);
        }
    }

    fn release(&mut self, service: &mut S, token: Token, answered: bool) {
        let now = self.now;
        let Some(entry) = self.entry(token) else { return };
        let Some(held) = &mut entry.held else { return };
        if answered {
            held.outstanding = held.outstanding.saturating_sub(1);
        } else if held.outstanding == 0 {
            return;
        } else if now < held.until {
            let until = held.until;
            self.arm(token, KIND_HOLD, until);
            return;
        } else {
            for (egress, before) in &held.destinations {
                let now = egress.pending_bytes();
                if now > HOLD_UNTIL_BYTES
                    && before.saturating_sub(now) < (HOLD_ABOVE_BYTES - HOLD_UNTIL_BYTES) / 2
                {
                    egress.mark_lagging();
                }
            }
            held.outstanding = 0;
        }
        if held.outstanding == 0
            && let Some(since) = held.stalled.take()
            && let Some(conn) = &mut entry.conn
        {
            let timed_out = (!answered).then_some(Duration::from_millis(HOLD_TICKS));
            service.unstalled(conn, Stall { lasted: since.elapsed(), timed_out });
        }
        self.release_if_done(token);
    }

    fn begin_close(&mut self, service: &mut S, token: Token, cause: Cause, flush: bool) {
        let now = self.now;
        let Some(entry) =
            self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)
        else {
            return;
        };
        let Some(conn) = entry.conn.take() else { return };
        entry.held = None;
        entry.carry = Vec::new();
        entry.carry_more = false;
        let mut io = Io {
            now,
            stager: &mut self.stager,
            egress: &entry.egress,
            socket: &entry.socket,
            close: Some(flush),
            arm: SmallVec::new(),
            start_tls: None,
            pause: None,
            hand_over: HandOverLog::default(),
        };
        service.closed(conn, &mut io, cause);
        io.hand_over_now();
        if let Some(tls) = &mut entry.tls {
            let (pool, buffers) = (&mut self.stager.pool, &mut self.tls_buffers);
            if flush {
                tls.flush(&entry.egress, &entry.socket, buffers, &mut |v| pool.put_staging(v));
                tls.close_notify();
            }
            // An alert tells the peer why, where the socket still takes it.
            tls.flush(&entry.egress, &entry.socket, buffers, &mut |v| pool.put_staging(v));
        }
        self.flush_own();
        let Some(entry) = self.entry(token) else { return };
        if flush && !entry.egress.is_closed() && entry.egress.pending_bytes() > 0 {
            // The write deadline ends a drain that makes no progress.
            entry.drain_until = now + DRAIN_LIMIT_TICKS;
            self.arm(token, KIND_DRAIN, now + DRAIN_CHECK_TICKS);
        } else {
            self.finish_close(token);
        }
    }

    fn finish_close(&mut self, token: Token) {
        if self.entry(token).is_none() {
            return;
        }
        let entry = self.conns.remove(token.key as usize);
        entry.egress.close();
        // The peer may be gone already; the socket is released when its last user is done.
        let _ = entry.socket.shutdown(Shutdown::Both);
        self.slots.put(entry.egress.slot());
    }

    fn drain_check(&mut self, service: &mut S, token: Token) {
        let now = self.now;
        let Some(entry) = self.entry(token) else { return };
        if entry.conn.is_some() {
            self.begin_close(service, token, Cause::Requested, true);
            return;
        }
        if entry.egress.is_closed() || entry.egress.pending_bytes() == 0 || now >= entry.drain_until
        {
            self.finish_close(token);
        } else {
            self.arm(token, KIND_DRAIN, now + DRAIN_CHECK_TICKS);
        }
    }

    fn start_tls(&mut self, token: Token, session: TlsSession) {
        let Some(entry) = self.entry(token) else { return };
        let mut tls = Tls::new(session);
        // What the state machine left unused before now; `feed` knows if this is about an input.
        tls.replay(std::mem::take(&mut entry.carry));
        entry.carry_more = false;
        entry.egress.set_mode(WriteMode::Owner);
        entry.tls = Some(Box::new(tls));
        entry.readable = true;
        self.flush(token);
        self.make_ready(token);
    }

    /// Writes for the connections of this reactor whose transport only it may use.
    fn flush_own(&mut self) {
        while let Some(token) = self.stager.to_flush.pop() {
            self.flush(token);
        }
    }

    fn flush(&mut self, token: Token) {
        let now = self.now;
        let Some(entry) =
            self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)
        else {
            return;
        };
        let (pool, buffers) = (&mut self.stager.pool, &mut self.tls_buffers);
        let Some(tls) = &mut entry.tls else {
            entry.egress.flush(now, &mut |v| pool.put_staging(v));
            return;
        };
        match tls.flush(&entry.egress, &entry.socket, buffers, &mut |v| pool.put_staging(v)) {
            TlsWrite::Done => {}
            TlsWrite::Full => entry.egress.mark_blocked(now),
            TlsWrite::Broken(error) => entry.egress.mark_broken(error),
        }
    }

    fn write_deadline(&mut self, service: &mut S, token: Token) {
        let now = self.now;
        let Some(entry) = self.entry(token) else { return };
        match entry.egress.check_deadline(now) {
            DeadlineCheck::Clear => {}
            DeadlineCheck::Again(tick) => self.arm(token, KIND_WRITE_DEADLINE, tick),
            DeadlineCheck::Exceeded { bytes, chunks, progress } => {
                let Some(conn) = &mut entry.conn else { return self.finish_close(token) };
                match service.write_deadline(conn, bytes, chunks, progress) {
                    DeadlineAction::Retry => {
                        let tick = entry.egress.restart_deadline(now);
                        self.arm(token, KIND_WRITE_DEADLINE, tick);
                    }
                    DeadlineAction::Close => self.begin_close(
                        service,
                        token,
                        Cause::SlowConsumerDeadline { bytes, chunks },
                        false,
                    ),
                }
            }
        }
    }

    fn recovered(&mut self, service: &mut S, token: Token) {
        let now = self.now;
        let Some(entry) = self.entry(token) else { return };
        if let Some(recovery) = entry.egress.take_recovery(now)
            && let Some(conn) = &mut entry.conn
        {
            service.recovered(conn, recovery);
        }
    }

    fn closed_elsewhere(&mut self, service: &mut S, token: Token) {
        let Some(entry) = self.entry(token) else { return };
        let error = entry.egress.take_write_error();
        let cause = error.map_or(Cause::SlowConsumerPending, Cause::Write);
        if entry.conn.is_some() {
            self.begin_close(service, token, cause, false);
        } else {
            self.finish_close(token);
        }
    }

    fn accept(&mut self, service: &mut S, id: ListenerId) {
        for _ in 0..ACCEPTS_PER_PASS {
            let Some(Some(l)) = self.listeners.get_mut(id.0 as usize) else { return };
            match l.socket.accept() {
                Ok((stream, peer)) => {
                    l.pause_ms = 0;
                    service.accepted(self, id, stream, peer);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    l.ready = false;
                    return;
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    l.pause_ms = (l.pause_ms * 2).clamp(ACCEPT_PAUSE_MIN_MS, ACCEPT_PAUSE_MAX_MS);
                    l.ready = false;
                    let pause = l.pause_ms;
                    service.accept_failed(id, &e, Duration::from_millis(pause));
                    let token = Token { key: u32::from(id.0), generation: 0 };
                    let tick = self.now + pause;
                    self.wheel.arm(tick, Timer { token, kind: KIND_ACCEPT, tick });
                    return;
                }
            }
        }
    }

    /// Reads a connection once and gives the bytes to its state machine.
    fn read(&mut self, service: &mut S, token: Token) {
        let Some(entry) =
            self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)
        else {
            return;
        };
        entry.in_ready = false;
        if entry.held.is_some() || entry.paused || entry.conn.is_none() {
            return;
        }
        let carried = entry.carry.len();
        let mut carry = std::mem::take(&mut entry.carry);
        let feed_carried = std::mem::take(&mut entry.carry_more);
        let wanted = entry.wanted;
        let socket = entry.socket.clone();
        if carried > BLOCK_BYTES || (wanted > BLOCK_BYTES && !feed_carried) {
            // A payload larger than a block is gathered in a buffer of its own, which grows with
            // what has really arrived, and is then shared as it is.
            if !feed_carried {
                // What is wanted of a payload is known; the end of a long line is not.
                let target = if wanted > carried + 1 { wanted } else { carried + BLOCK_BYTES };
                let limit = target.min((carried * 2).max(BLOCK_BYTES));
                carry.resize(limit, 0);
                let n = self.read_some(service, token, &socket, &mut carry[carried..]);
                carry.truncate(carried + n.unwrap_or(0));
                if carry.len() < wanted || n.is_none() {
                    if let Some(entry) = self.entry(token) {
                        entry.carry = carry;
                    }
                    return;
                }
            }
            let shared = Bytes::from(carry);
            let mut input =
                Input { bytes: &shared, source: Source_::Carried, shared: Some(shared.clone()) };
            self.feed(service, token, &mut input);
            return;
        }
        let mut block = self.stager.pool.block();
        let room = match block.bytes_mut() {
            Some(b) if carried <= b.len() => b,
            // A fresh block is never shared, and what is carried is bounded by what was read.
            _ => return,
        };
        room[..carried].copy_from_slice(&carry);
        // The freed buffer goes to the allocator: an idle connection holds none.
        drop(carry);
        let mut n = 0;
        if !(feed_carried && carried == room.len()) {
            match self.read_some(service, token, &socket, &mut room[carried..]) {
                Some(got) => n = got,
                None if feed_carried && self.entry(token).is_some_and(|e| e.conn.is_some()) => {}
                None => {
                    if carried > 0
                        && let Some(entry) = self.entry(token)
                    {
                        entry.carry = block.bytes()[..carried].to_vec();
                    }
                    self.stager.pool.put_block(block);
                    return;
                }
            }
        }
        let mut input = Input {
            bytes: &block.bytes()[..carried + n],
            source: Source_::Block(&block),
            shared: None,
        };
        self.feed(service, token, &mut input);
        drop(input);
        self.stager.pool.put_block(block);
    }

    /// Reads from the socket once, through the TLS session if there is one. `None` if there is
    /// nothing to process.
    fn read_some(
        &mut self,
        service: &mut S,
        token: Token,
        mut socket: &TcpStream,
        into: &mut [u8],
    ) -> Option<usize> {
        let entry =
            self.conns.get_mut(token.key as usize).filter(|e| e.generation == token.generation)?;
        let Some(tls) = &mut entry.tls else {
            let read = socket.read(into);
            let full = read.as_ref().is_ok_and(|n| *n == into.len());
            return self.read_result(service, token, read, full);
        };
        let read = tls.read(socket, into, &mut self.tls_buffers);
        let established = tls.just_established();
        let handshaking = tls.session().is_handshaking();
        if established || handshaking || read.plaintext.is_err() {
            // The session may have something to say: the handshake, an alert, new keys.
            self.flush(token);
        }
        if established {
            self.run(service, token, |service, conn, io, session| {
                if let Some(session) = session {
                    service.secured(conn, io, session);
                }
            });
            // What was queued during the handshake can be encrypted now.
            self.flush(token);
        }
        self.read_result(service, token, read.plaintext, read.more)
    }

    /// Interprets a read: the bytes it brought, or nothing to process.
    fn read_result(
        &mut self,
        service: &mut S,
        token: Token,
        read: io::Result<usize>,
        more: bool,
    ) -> Option<usize> {
        match read {
            Ok(0) => {
                self.begin_close(service, token, Cause::Eof, true);
                None
            }
            Ok(n) => {
                if more || self.entry(token).is_some_and(|e| e.read_closed) {
                    self.make_ready(token);
                } else if let Some(entry) = self.entry(token) {
                    // A short read has emptied the socket: the next bytes make a new event.
                    entry.readable = false;
                }
                Some(n)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && !more => {
                if let Some(entry) = self.entry(token) {
                    entry.readable = false;
                }
                None
            }
            Err(e)
                if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) =>
            {
                self.make_ready(token);
                None
            }
            Err(e) => {
                let greeted = self
                    .entry(token)
                    .and_then(|e| e.tls.as_ref())
                    .is_some_and(|t| t.session().protocol_version().is_some());
                let cause = match e.downcast::<rustls::Error>() {
                    Ok(error) => Cause::Tls { error, greeted },
                    Err(e) => Cause::Read(e),
                };
                self.begin_close(service, token, cause, false);
                None
            }
        }
    }

    fn feed(&mut self, service: &mut S, token: Token, input: &mut Input<'_>) {
        let taken = self.run(service, token, |service, conn, io, _| service.input(conn, io, input));
        let Some(taken) = taken else { return };
        let rest = input.bytes.get(taken.used..).unwrap_or_default();
        let Some(entry) = self.entry(token) else { return };
        if taken.secure
            && let Some(tls) = &mut entry.tls
        {
            // The rest is the peer's side of the handshake.
            tls.replay(rest.to_vec());
            return self.make_ready(token);
        }
        // What was left early has not been looked at: anything may be enough for it.
        entry.wanted = if taken.more { 0 } else { taken.wanted };
        if !rest.is_empty() {
            let mut carry = Vec::new();
            carry.reserve_exact(rest.len());
            carry.extend_from_slice(rest);
            entry.carry = carry;
            entry.carry_more = taken.more;
        }
        if taken.more && entry.held.is_none() {
            self.make_ready(token);
        }
    }
}

fn wall_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Longest that a closing connection's output is waited for: the write deadline of the reference's
/// default, which ends a drain without progress anyway.
const DRAIN_LIMIT_TICKS: u64 = 10_000;

/// A reactor: see the module.
pub struct Reactor<S: Service> {
    poll: Poll,
    core: Core<S>,
    messages: Arc<Mutex<Vec<S::Message>>>,
}

impl<S: Service> Reactor<S> {
    /// A reactor that has not run yet. `slots` is shared by all reactors of the process.
    ///
    /// # Errors
    /// When the system has no descriptors left for a poll.
    pub fn new(slots: Arc<Slots>) -> io::Result<Reactor<S>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let mailbox = Arc::new(Mailbox::new(mio::Waker::new(&registry, mio::Token(WAKER))?));
        let core = Core {
            conns: Slab::new(),
            generation: 0,
            registry,
            mailbox: mailbox.clone(),
            slots,
            wheel: TimerWheel::new(),
            stager: Stager::new(Some(mailbox)),
            tls_buffers: TlsBuffers::default(),
            started: Instant::now(),
            now: 0,
            ready: Vec::new(),
            fillers: Vec::new(),
            listeners: Vec::new(),
            stop: false,
            stop_when_drained: false,
        };
        Ok(Reactor { poll, core, messages: Arc::new(Mutex::new(Vec::new())) })
    }

    /// For other threads to reach this reactor.
    pub fn sender(&self) -> Sender<S::Message> {
        Sender::new(self.messages.clone(), self.core.mailbox.clone())
    }

    /// The connections and machinery, before the loop runs.
    pub fn core(&mut self) -> &mut Core<S> {
        &mut self.core
    }

    /// Runs until [`Core::stop`].
    ///
    /// # Errors
    /// When polling fails for another reason than an interrupting signal.
    pub fn run(mut self, service: &mut S) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut notes = Vec::new();
        let mut due = Vec::new();
        let mut ready = Vec::new();
        let mut trimmed = false;
        while !self.core.stop {
            let core = &mut self.core;
            if core.stop_when_drained && core.conns.is_empty() {
                break;
            }
            let accepting = core.listeners.iter().flatten().any(|l| l.ready);
            let timeout = if !core.ready.is_empty() || accepting {
                Some(Duration::ZERO)
            } else {
                let next = core.wheel.next_tick().map(|t| t.saturating_sub(core.now).max(1));
                let trim = (!trimmed).then_some(TRIM_TICKS);
                next.into_iter().chain(trim).min().map(Duration::from_millis)
            };
            match self.poll.poll(&mut events, timeout) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                r => r?,
            }
            let began = Instant::now();
            core.now = began.duration_since(core.started).as_millis() as u64;
            core.stager.wall_nanos = wall_nanos();
            if events.is_empty() && core.ready.is_empty() && !accepting {
                if !trimmed && core.wheel.next_tick().is_none_or(|t| t > core.now) {
                    trimmed = true;
                    core.stager.pool.trim();
                    core.tls_buffers.trim();
                }
            } else {
                trimmed = false;
            }
            for event in &events {
                match event.token().0 {
                    WAKER => {}
                    t if t >= LISTENERS => {
                        if let Some(Some(l)) = core.listeners.get_mut(t - LISTENERS) {
                            l.ready = true;
                        }
                    }
                    t => {
                        let token = Token::unpack(t);
                        if event.is_writable() {
                            core.flush(token);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            if let Some(entry) = core.entry(token) {
                                entry.readable = true;
                                entry.read_closed |= event.is_read_closed() || event.is_error();
                            }
                            core.make_ready(token);
                        }
                    }
                }
            }
            core.mailbox.open();
            let messages = std::mem::take(&mut *self.messages.lock());
            for m in messages {
                service.message(core, m);
            }
            core.mailbox.take_notes(&mut notes);
            for note in notes.drain(..) {
                match note {
                    Note::Flush(t) => core.flush(t),
                    Note::Resume(t) => core.release(service, t, true),
                    Note::Room(t) => core.room(t),
                    Note::Blocked(t) => {
                        if let Some(tick) = core.entry(t).and_then(|e| e.egress.deadline()) {
                            core.arm(t, KIND_WRITE_DEADLINE, tick);
                        }
                    }
                    Note::Recovered(t) => core.recovered(service, t),
                    Note::Close(t) => core.closed_elsewhere(service, t),
                }
            }
            for n in 0..core.listeners.len() {
                if core.listeners[n].as_ref().is_some_and(|l| l.ready) {
                    core.accept(service, ListenerId(n as u16));
                }
            }
            std::mem::swap(&mut core.ready, &mut ready);
            for token in ready.drain(..) {
                core.read(service, token);
            }
            core.now = core.started.elapsed().as_millis() as u64;
            core.wheel.expire(core.now, |t| due.push(t));
            for timer in due.drain(..) {
                core.fire(service, timer);
            }
            core.stager.hand_over(core.now, None, |_, _| {});
            if core.stager.has_full_intakes() {
                core.hold_fillers();
            }
            core.fillers.clear();
            core.flush_own();
            service.pass_ended(began.elapsed());
        }
        Ok(())
    }
}

impl<S: Service> Core<S> {
    fn fire(&mut self, service: &mut S, timer: Timer) {
        let Timer { token, kind, tick } = timer;
        if kind == KIND_ACCEPT {
            if let Some(Some(l)) = self.listeners.get_mut(token.key as usize) {
                l.ready = true;
            }
            return;
        }
        let Some(entry) = self.entry(token) else { return };
        let Some(at) = entry.armed.iter().position(|a| *a == (kind, tick)) else { return };
        entry.armed.swap_remove(at);
        match kind {
            KIND_WRITE_DEADLINE => self.write_deadline(service, token),
            KIND_HOLD => self.release(service, token, false),
            KIND_DRAIN => self.drain_check(service, token),
            _ => {
                self.run(service, token, |service, conn, io, _| service.timer(conn, io, kind));
            }
        }
    }
}
