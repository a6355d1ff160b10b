//! A reactor serving frames over real sockets, in the clear and over TLS.
//!
//! The service gives every frame (four bytes of length, then the payload) back to the connection
//! it came from, or to the one that subscribed.

use eventloop::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use eventloop::rustls::server::UnbufferedServerConnection;
use eventloop::rustls::{self, ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use eventloop::{
    Cause, Core, DeadlineAction, Egress, Input, Io, Limits, ListenerId, Reactor, Sender, Service,
    Slots, Taken, TcpListener, TcpStream,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { max_pending_bytes: 256 << 20, write_deadline_ms: 10_000 };

enum Message {
    /// Resumes all connections.
    Resume,
    Stop,
}

/// What the test sees of the service.
#[derive(Default)]
struct Seen {
    ends: Mutex<Vec<String>>,
    most_pending: AtomicUsize,
    reads: AtomicUsize,
    pauses: AtomicUsize,
}

/// A frame that pauses its connection.
const PAUSE: &[u8] = b"pause";

struct Frames {
    tls: Option<Arc<ServerConfig>>,
    /// The connection that gets the frames of all others.
    sink: Option<Arc<Egress>>,
    holds: bool,
    seen: Arc<Seen>,
}

impl Service for Frames {
    type Conn = ();
    type Message = Message;

    fn accepted(&mut self, core: &mut Core<Self>, _: ListenerId, stream: TcpStream, _: SocketAddr) {
        let tls = self.tls.clone();
        core.adopt(stream, LIMITS, |io| {
            if let Some(config) = tls {
                io.start_tls(UnbufferedServerConnection::new(config).unwrap());
            } else {
                io.reply().extend_from_slice(b"hello");
            }
        })
        .unwrap();
    }

    fn accept_failed(&mut self, _: ListenerId, _: &io::Error, _: Duration) {}

    fn input(&mut self, (): &mut (), io: &mut Io<'_>, input: &mut Input<'_>) -> Taken {
        self.seen.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = input.bytes();
        let mut used = 0;
        let mut wanted = 4;
        while let Some(head) = bytes.get(used..used + 4) {
            let len = u32::from_le_bytes(head.try_into().unwrap()) as usize;
            if len == 0 {
                // An empty frame subscribes.
                self.sink = Some(io.egress().clone());
                io.reply().extend_from_slice(b"done");
                used += 4;
                continue;
            }
            let end = used + 4 + len;
            if end > bytes.len() {
                wanted = 4 + len;
                break;
            }
            if bytes.get(used + 4..end) == Some(PAUSE) {
                self.seen.pauses.fetch_add(1, Ordering::Relaxed);
                io.pause();
                used = end;
                break;
            }
            let to = self.sink.clone().unwrap_or_else(|| io.egress().clone());
            let slice = input.slice(used, 4 + len);
            let (stage, pool) = io.stager.stage(&to);
            if len > 100_000 {
                stage.append_shared(slice, pool);
            } else {
                stage.buffer().extend_from_slice(&slice);
            }
            io.stager.account(4 + len);
            used = end;
        }
        if let Some(sink) = &self.sink {
            self.seen.most_pending.fetch_max(sink.pending_bytes(), Ordering::Relaxed);
        }
        Taken { used, wanted, more: false, secure: false }
    }

    fn secured(&mut self, (): &mut (), io: &mut Io<'_>, session: &rustls::CommonState) {
        assert!(!session.is_handshaking());
        io.reply().extend_from_slice(b"hello");
    }

    fn timer(&mut self, (): &mut (), _: &mut Io<'_>, _: u8) {}

    fn write_deadline(&mut self, (): &mut (), _: usize, _: usize, _: bool) -> DeadlineAction {
        DeadlineAction::Close
    }

    fn stalled(&mut self, (): &mut (), _: &Arc<Egress>) {}

    fn holds_producers(&self) -> bool {
        self.holds
    }

    fn closed(&mut self, (): (), _: &mut Io<'_>, cause: Cause) {
        let mut ends = self.seen.ends.lock().unwrap();
        ends.push(match cause {
            Cause::Eof => "eof".to_owned(),
            Cause::Tls { .. } => "tls".to_owned(),
            other => format!("{other:?}"),
        });
    }

    fn message(&mut self, core: &mut Core<Self>, message: Message) {
        match message {
            Message::Resume => core.for_each(self, |_, (), io| io.resume()),
            Message::Stop => core.stop(),
        }
    }

    fn pass_ended(&mut self, _took: Duration) {}
}

struct Running {
    address: SocketAddr,
    sender: Sender<Message>,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sender.send(Message::Stop);
        if let Some(t) = self.thread.take()
            && !std::thread::panicking()
        {
            t.join().unwrap();
        }
    }
}

fn run(tls: Option<Arc<ServerConfig>>, holds: bool) -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::<Frames>::new(Arc::new(Slots::default())).unwrap();
    reactor.core().listen(ListenerId(0), TcpListener::from_std(listener)).unwrap();
    let sender = reactor.sender();
    let seen = Arc::new(Seen::default());
    let mut service = Frames { tls, sink: None, holds, seen: seen.clone() };
    let thread = std::thread::spawn(move || reactor.run(&mut service).unwrap());
    Running { address, sender, seen, thread: Some(thread) }
}

fn connect(address: SocketAddr) -> StdStream {
    let s = StdStream::connect(address).unwrap();
    s.set_nodelay(true).unwrap();
    s.set_read_timeout(Some(DEADLINE)).unwrap();
    s.set_write_timeout(Some(DEADLINE)).unwrap();
    s
}

fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == bytes, "{} bytes differ", bytes.len());
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut f = (payload.len() as u32).to_le_bytes().to_vec();
    f.extend_from_slice(payload);
    f
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "timed out: {what}");
        std::thread::yield_now();
    }
}

/// A certificate of its own authority for localhost, and a client that trusts it.
fn tls() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn secured(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> rustls::StreamOwned<ClientConnection, StdStream> {
    let name = ServerName::try_from("localhost").unwrap();
    rustls::StreamOwned::new(ClientConnection::new(config, name).unwrap(), connect(address))
}

/// Frames of sizes around every boundary: small ones, the block's, and far beyond it.
const SIZES: [usize; 9] = [1, 5, 4_096, 65_531, 65_532, 65_533, 100_001, 1 << 20, 5_000_000];

#[test]
fn frames_of_any_size_come_back_whole() {
    let server = run(None, true);
    let mut s = connect(server.address);
    expect(&mut s, b"hello");
    for size in SIZES {
        let f = frame(&pattern(size));
        let mut writer = s.try_clone().unwrap();
        let sent = f.clone();
        let thread = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        expect(&mut s, &f);
        thread.join().unwrap();
    }
}

#[test]
fn frames_may_be_cut_anywhere() {
    let server = run(None, true);
    let mut s = connect(server.address);
    expect(&mut s, b"hello");
    let mut bytes = frame(b"abc");
    bytes.extend(frame(&pattern(300)));
    for cut in bytes.chunks(1) {
        s.write_all(cut).unwrap();
    }
    expect(&mut s, &bytes);
}

#[test]
fn frames_of_any_size_come_back_whole_over_tls() {
    let (config, client) = tls();
    let server = run(Some(config), true);
    let mut s = secured(server.address, client);
    expect(&mut s, b"hello");
    for size in SIZES {
        let f = frame(&pattern(size));
        // The client is one thread: more than the sockets hold goes out in pieces.
        let mut got = Vec::new();
        let mut piece = vec![0; 32 * 1024];
        for chunk in f.chunks(32 * 1024) {
            s.write_all(chunk).unwrap();
        }
        while got.len() < f.len() {
            let n = s.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..n]);
        }
        assert!(got == f, "{size} bytes differ");
    }
    s.conn.send_close_notify();
    s.flush().unwrap();
    until("the end is seen", || *server.seen.ends.lock().unwrap() == ["eof"]);
}

#[test]
fn tls_peers_that_break_the_protocol_are_closed_alone() {
    let (config, client) = tls();
    let server = run(Some(config), true);
    let mut good = secured(server.address, client);
    expect(&mut good, b"hello");
    let mut bad = connect(server.address);
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    until("the end is seen", || *server.seen.ends.lock().unwrap() == ["tls"]);
    let mut rest = Vec::new();
    // An alert, then the end; a reset is one too.
    let _ = bad.read_to_end(&mut rest);
    good.write_all(&frame(b"still here")).unwrap();
    expect(&mut good, &frame(b"still here"));
}

#[test]
fn the_end_of_a_peer_is_reported() {
    let server = run(None, true);
    let s = connect(server.address);
    s.shutdown(Shutdown::Write).unwrap();
    until("the end is seen", || *server.seen.ends.lock().unwrap() == ["eof"]);
}

#[test]
fn a_publisher_is_held_back_to_the_pace_of_a_steady_reader() {
    let server = run(None, true);
    let mut sink = connect(server.address);
    expect(&mut sink, b"hello");
    sink.write_all(&frame(b"")).unwrap();
    expect(&mut sink, b"done");
    let mut source = connect(server.address);
    expect(&mut source, b"hello");
    const FRAMES: usize = 4_000;
    let f = frame(&pattern(10_000));
    let sent = f.clone();
    let thread = std::thread::spawn(move || {
        for _ in 0..FRAMES {
            source.write_all(&sent).unwrap();
        }
    });
    for _ in 0..FRAMES {
        expect(&mut sink, &f);
    }
    thread.join().unwrap();
    let most = server.seen.most_pending.load(Ordering::Relaxed);
    assert!(most < 20_000_000, "{most} bytes were pending");
}

#[test]
fn a_reader_that_stops_does_not_stop_the_publisher() {
    let server = run(None, true);
    let mut sink = connect(server.address);
    expect(&mut sink, b"hello");
    sink.write_all(&frame(b"")).unwrap();
    expect(&mut sink, b"done");
    let mut source = connect(server.address);
    expect(&mut source, b"hello");
    // Far more than the sockets hold, while nobody reads.
    let f = frame(&pattern(10_000));
    for _ in 0..5_000 {
        source.write_all(&f).unwrap();
    }
    for _ in 0..5_000 {
        expect(&mut sink, &f);
    }
}

#[test]
fn a_paused_connection_is_not_read_until_it_resumes() {
    let server = run(None, true);
    let (mut paused, mut other) = (connect(server.address), connect(server.address));
    expect(&mut paused, b"hello");
    expect(&mut other, b"hello");
    paused.write_all(&[frame(PAUSE), frame(b"kept")].concat()).unwrap();
    until("it pauses", || server.seen.pauses.load(Ordering::Relaxed) == 1);
    paused.write_all(&frame(b"unread")).unwrap();
    // Others are served meanwhile.
    for n in 0..100_u32 {
        let f = frame(&n.to_le_bytes());
        other.write_all(&f).unwrap();
        expect(&mut other, &f);
    }
    paused.set_nonblocking(true).unwrap();
    let early = paused.read(&mut [0; 1]);
    assert!(early.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
    paused.set_nonblocking(false).unwrap();
    server.sender.send(Message::Resume);
    expect(&mut paused, &[frame(b"kept"), frame(b"unread")].concat());
}

#[test]
fn the_end_of_a_paused_peer_is_seen_when_it_resumes() {
    let server = run(None, true);
    let mut s = connect(server.address);
    s.write_all(&frame(PAUSE)).unwrap();
    until("it pauses", || server.seen.pauses.load(Ordering::Relaxed) == 1);
    drop(s);
    server.sender.send(Message::Resume);
    until("the end is seen", || !server.seen.ends.lock().unwrap().is_empty());
}
