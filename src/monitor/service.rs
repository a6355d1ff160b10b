//! The reactor of the monitoring port (spec 04 §2): sockets on one side, [`HttpConnection`]s on the
//! other. It has a thread of its own, on which the documents are built too.
//!
//! Bounds: [`MAX_CONNECTIONS`] connections; per connection one answer and [`WAITING_BYTES`] of
//! requests that wait for the peer to take it. Unlike the reference's, an answer that the peer takes
//! no byte of for [`WRITE_DEADLINE_MS`] is given up with the connection.

use super::endpoints;
use super::http::{Event, HttpConnection};
use super::request::Method;
use crate::process::banner;
use crate::process::errno::error_text;
use crate::server::{ListenError, Server, host_port, listen};
use crate::tls::failure::Failure;
use eventloop::{
    Cause, Core, DeadlineAction, Egress, Input, Io, Limits, ListenerId, Reactor, Sender, Service,
    Slots, Taken, TcpListener, TcpStream,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Connections served at a time; further ones are closed at once. It keeps scrapers gone wrong from
/// using up the descriptors that clients need.
const MAX_CONNECTIONS: usize = 4096;
/// Output above which the next request of a connection waits.
const PENDING_BYTES: usize = 64 * 1024;
/// Requests that may wait for that, in bytes; a peer that sends more without reading is cut off.
const WAITING_BYTES: usize = 2 << 20;
/// Longest that a peer may take nothing of what is pending for it, in milliseconds.
const WRITE_DEADLINE_MS: u64 = 60_000;
/// How often pending output is looked at while something waits for it, in milliseconds.
const RESUME_MS: u64 = 5;
/// How long the peer has to read a refusal while what it still sends is dropped, in milliseconds:
/// closing at once could take the refusal away from it.
const LINGER_MS: u64 = 500;

const LISTENER: ListenerId = ListenerId(0);

/// Bytes that tell a plain request from a TLS record.
const HTTP_VERB_BYTES: usize = 5;
/// What a plain request begins with.
const HTTP_VERBS: [&[u8; HTTP_VERB_BYTES]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
/// The answer to one on the HTTPS port.
const NOT_HTTPS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

const TIMER_HEAD: u8 = 1;
const TIMER_RESUME: u8 = 2;
const TIMER_LINGER: u8 = 3;

/// Why monitoring could not be started; the text is what the reference prints.
#[derive(Debug)]
pub enum MonitorError {
    /// Both ports are configured.
    BothPorts(i64, i64),
    /// HTTPS without a certificate.
    NoCertificate,
    /// The port could not be listened on.
    Listen(ListenError),
    /// The system refused a poll or a thread.
    System(io::Error),
}

impl std::fmt::Display for MonitorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Can't start monitoring: ")?;
        match self {
            MonitorError::BothPorts(http, https) => {
                write!(f, "can't specify both HTTP ({http}) and HTTPs ({https}) ports")
            }
            MonitorError::NoCertificate => f.write_str("TLS cert and key required for HTTPS"),
            MonitorError::Listen(e) => write!(f, "can't listen to the monitor port: {e}"),
            MonitorError::System(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for MonitorError {}

impl From<io::Error> for MonitorError {
    fn from(e: io::Error) -> MonitorError {
        MonitorError::System(e)
    }
}

/// What other threads tell the monitoring thread.
pub enum Message {
    /// Close everything and end.
    Shutdown,
}

/// A monitoring port that is being served.
pub struct Port {
    /// Where it listens.
    pub address: SocketAddr,
    sender: Sender<Message>,
}

impl Port {
    /// Closes the port and its connections, and ends the thread.
    pub fn close(&self) {
        self.sender.send(Message::Shutdown);
    }
}

/// Listens on the configured port and serves it from a new thread; `None` if no port is configured.
///
/// # Errors
/// See [`MonitorError`].
pub fn start(server: &Arc<Server>) -> Result<Option<(Port, JoinHandle<()>)>, MonitorError> {
    let options = server.options();
    let (http, https) = (options.http_port, options.https_port);
    match (http.is_set(), https.is_set()) {
        (true, true) => {
            return Err(MonitorError::BothPorts(http.configured(), https.configured()));
        }
        (false, true) if server.tls().is_none() => return Err(MonitorError::NoCertificate),
        (false, false) => return Ok(None),
        _ => {}
    }
    let secure = https.is_set();
    let port = if secure { https } else { http };
    let (listener, address) = listen(&options.http_host, port).map_err(MonitorError::Listen)?;
    let at = host_port(&options.http_host, address.port());
    let (level, line) = banner::listening(banner::Listener::Monitor { tls: secure }, &at);
    server.log.at_level(level, format_args!("{line}"));
    let mut reactor = Reactor::<MonitorService>::new(Arc::new(Slots::default()))?;
    reactor.core().listen(LISTENER, TcpListener::from_std(listener))?;
    let port = Port { address, sender: reactor.sender() };
    let mut service = MonitorService { server: server.clone(), secure };
    let thread = std::thread::Builder::new().name("monitor".into()).spawn(move || {
        if let Err(e) = reactor.run(&mut service) {
            service.server.log.errorf(format_args!("monitoring: {}", error_text(&e)));
        }
    })?;
    Ok(Some((port, thread)))
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first bytes tell whether the peer speaks TLS, as it should.
    Sniffing,
    /// The TLS handshake is under way.
    Handshake,
    /// Requests are answered.
    Open,
    /// The last answer is on its way; then the connection is closed.
    LastAnswer,
    /// The same, but the peer is given time to read it.
    Refusal,
    /// It has been sent; the peer is given time to read it.
    Lingering,
}

/// A connection to the monitoring port.
pub struct Peer {
    address: SocketAddr,
    http: HttpConnection,
    phase: Phase,
    /// Bytes received since the engine last had no complete request.
    waiting_bytes: usize,
}

impl Peer {
    /// Tells a peer of the HTTPS port that speaks TLS from one that speaks HTTP.
    fn sniff(&mut self, server: &Server, io: &mut Io<'_>, bytes: &[u8]) -> Taken {
        let mut taken = Taken { used: 0, wanted: HTTP_VERB_BYTES, more: false, secure: false };
        let Some(verb) = bytes.get(..HTTP_VERB_BYTES) else { return taken };
        if HTTP_VERBS.iter().any(|known| known.as_slice() == verb) {
            self.report(server, "client sent an HTTP request to an HTTPS server");
            io.reply().extend_from_slice(NOT_HTTPS);
            self.phase = Phase::Refusal;
            self.end(io);
            taken.used = bytes.len();
            return taken;
        }
        match server.tls().map(|tls| tls.session_without_client_certificate()) {
            Some(Ok(session)) => {
                io.start_tls(session);
                self.phase = Phase::Handshake;
                taken.secure = true;
            }
            Some(Err(e)) => {
                self.report(server, &e);
                io.close(false);
            }
            // A reload has switched TLS off.
            None => io.close(false),
        }
        taken
    }

    fn report(&self, server: &Server, reason: &str) {
        let at = self.address;
        server.log.errorf(format_args!("monitoring: TLS handshake error from {at}: {reason}"));
    }

    /// Answers what has been asked for, as far as the peer takes it.
    fn serve(&mut self, server: &Server, io: &mut Io<'_>) {
        while self.phase == Phase::Open {
            if io.egress().pending_bytes() > PENDING_BYTES {
                return io.arm(TIMER_RESUME, RESUME_MS);
            }
            match self.http.next_event(Instant::now()) {
                None => {
                    self.waiting_bytes = 0;
                    return self.arm_deadline(io);
                }
                Some(Event::Request(request)) => {
                    let answer = endpoints::answer(server, &request);
                    if answer.encode(&request, SystemTime::now(), io.reply()) {
                        let reads_only = matches!(request.method, Method::Get | Method::Head);
                        self.phase = if reads_only { Phase::LastAnswer } else { Phase::Refusal };
                    }
                }
                Some(Event::Reject(bytes)) => {
                    io.reply().extend_from_slice(&bytes);
                    self.phase = Phase::Refusal;
                }
            }
            io.hand_over_now();
        }
        self.end(io);
    }

    /// Closes the connection when its last answer has gone out.
    fn end(&mut self, io: &mut Io<'_>) {
        if self.phase == Phase::Lingering {
            return;
        }
        if io.egress().pending_bytes() > 0 {
            return io.arm(TIMER_RESUME, RESUME_MS);
        }
        if self.phase == Phase::Refusal {
            self.phase = Phase::Lingering;
            io.arm(TIMER_LINGER, LINGER_MS);
        } else {
            io.close(true);
        }
    }

    fn arm_deadline(&self, io: &mut Io<'_>) {
        if let Some(deadline) = self.http.deadline() {
            let left = deadline.saturating_duration_since(Instant::now());
            io.arm(TIMER_HEAD, u64::try_from(left.as_millis()).unwrap_or(0).saturating_add(1));
        }
    }
}

/// The monitoring port's part of the server.
pub struct MonitorService {
    server: Arc<Server>,
    /// Connections are encrypted.
    secure: bool,
}

impl Service for MonitorService {
    type Conn = Peer;
    type Message = Message;

    fn accepted(
        &mut self,
        core: &mut Core<MonitorService>,
        _listener: ListenerId,
        stream: TcpStream,
        address: SocketAddr,
    ) {
        if core.connections() >= MAX_CONNECTIONS {
            return;
        }
        // Failing to switch off the delay of small packets is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let limits = Limits { max_pending_bytes: usize::MAX, write_deadline_ms: WRITE_DEADLINE_MS };
        let made = core.adopt(stream, limits, |io| {
            let http = HttpConnection::new(Instant::now());
            let phase = if self.secure { Phase::Sniffing } else { Phase::Open };
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let peer = Peer { address, http, phase, waiting_bytes: 0 };
            peer.arm_deadline(io);
            peer
        });
        if let Err(e) = made {
            self.server.log.errorf(format_args!("monitoring: {}", error_text(&e)));
        }
    }

    fn accept_failed(&mut self, _listener: ListenerId, error: &io::Error, pause: Duration) {
        self.server.log.errorf(format_args!(
            "monitoring: Accept error: {}; retrying in {}ms",
            error_text(error),
            pause.as_millis()
        ));
    }

    fn input(&mut self, peer: &mut Peer, io: &mut Io<'_>, input: &mut Input<'_>) -> Taken {
        let bytes = input.bytes();
        if peer.phase == Phase::Sniffing {
            return peer.sniff(&self.server, io, bytes);
        }
        if peer.phase == Phase::Open {
            peer.http.receive(bytes, Instant::now());
            peer.waiting_bytes = peer.waiting_bytes.saturating_add(bytes.len());
            peer.serve(&self.server, io);
            if peer.phase == Phase::Open
                && peer.waiting_bytes > WAITING_BYTES
                && io.egress().pending_bytes() > PENDING_BYTES
            {
                io.close(false);
            }
        }
        Taken { used: bytes.len(), wanted: 0, more: false, secure: false }
    }

    fn secured(
        &mut self,
        peer: &mut Peer,
        _io: &mut Io<'_>,
        _session: &eventloop::rustls::CommonState,
    ) {
        peer.phase = Phase::Open;
    }

    fn timer(&mut self, peer: &mut Peer, io: &mut Io<'_>, kind: u8) {
        match (kind, peer.phase) {
            // The handshake is part of the time for the first request.
            (TIMER_HEAD, Phase::Open | Phase::Sniffing | Phase::Handshake) => {
                match peer.http.deadline() {
                    Some(deadline) if Instant::now() >= deadline => io.close(false),
                    _ => peer.arm_deadline(io),
                }
            }
            (TIMER_RESUME, Phase::Sniffing | Phase::Handshake) => {}
            (TIMER_RESUME, _) => peer.serve(&self.server, io),
            (TIMER_LINGER, Phase::Lingering) => io.close(true),
            _ => {}
        }
    }

    fn write_deadline(
        &mut self,
        _peer: &mut Peer,
        _bytes: usize,
        _chunks: usize,
        progress: bool,
    ) -> DeadlineAction {
        if progress { DeadlineAction::Retry } else { DeadlineAction::Close }
    }

    fn stalled(&mut self, _peer: &mut Peer, _destination: &Arc<Egress>) {}

    fn holds_producers(&self) -> bool {
        false
    }

    fn closed(&mut self, peer: Peer, _io: &mut Io<'_>, cause: Cause) {
        if peer.phase == Phase::Handshake {
            let failure = match &cause {
                Cause::Tls { error, greeted } => Failure::session(error, *greeted),
                Cause::Eof => Failure::end(),
                Cause::Read(e) => Failure::socket(e),
                Cause::Requested if !self.server.is_shutting_down() => Failure::timeout(),
                _ => return,
            };
            peer.report(&self.server, &failure.text);
        }
    }

    fn message(&mut self, core: &mut Core<MonitorService>, message: Message) {
        match message {
            Message::Shutdown => {
                core.unlisten(LISTENER);
                core.for_each(self, |_, _, io| io.close(false));
                core.stop();
            }
        }
    }

    fn pass_ended(&mut self, _took: Duration) {}
}
