//! The profiling port (spec 04 §11): HTTP below `/debug/`, for `go tool pprof` and the like.
//!
//! A profile takes as long as it is told to, so each connection has a thread of its own while it is
//! served. Bounds: [`MAX_CONNECTIONS`] connections, [`MAX_SECONDS`] a profile.

use super::CpuProfile;
use crate::monitor::debug;
use crate::monitor::http::{Event, HttpConnection};
use crate::monitor::request::Request;
use crate::monitor::response::{Response, Status};
use crate::process::errno::error_text;
use crate::server::{Server, listen};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Connections served at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 8;
/// The longest profile, in seconds.
const MAX_SECONDS: u64 = 300;
/// The length of a profile if nothing is said, in seconds.
const DEFAULT_SECONDS: u64 = 30;
/// How long a peer may take to send a request, and to take an answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the end of the server is looked at.
const TICK: Duration = Duration::from_millis(100);

const INDEX: &str = "<html>\n<head><title>/debug/pprof/</title></head>\n<body>\n\
    <p><a href=\"profile?seconds=10\">profile</a>: where the processor spends its time; \
    <code>seconds</code> says how long to look.</p>\n\
    <p><a href=\"cmdline\">cmdline</a>: the command line.</p>\n</body>\n</html>\n";

/// A profiling port that is being served.
pub struct Port {
    /// Where it listens.
    pub address: SocketAddr,
    closing: Arc<AtomicBool>,
}

impl Port {
    /// Closes the port. Profiles that are being made end early.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; if that fails, so does accepting.
        let _ = TcpStream::connect_timeout(&self.address, PEER_TIMEOUT);
    }
}

/// Listens on the configured port, if there is one, and serves it from a new thread.
///
/// # Errors
/// The text of the failure.
pub fn start(server: &Arc<Server>) -> Result<Option<(Port, JoinHandle<()>)>, String> {
    let options = server.options();
    if !options.prof_port.is_set() {
        return Ok(None);
    }
    let (listener, address) =
        listen(&options.host, options.prof_port).map_err(|e| e.to_string())?;
    listener.set_nonblocking(false).map_err(|e| error_text(&e))?;
    let closing = Arc::new(AtomicBool::new(false));
    let port = Port { address, closing: closing.clone() };
    let thread = std::thread::Builder::new()
        .name("profile".into())
        .spawn(move || accept(&listener, &closing))
        .map_err(|e| error_text(&e))?;
    Ok(Some((port, thread)))
}

fn accept(listener: &TcpListener, closing: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if closing.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // There are too many open files; it may pass.
            std::thread::sleep(TICK);
            continue;
        };
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (closing, held) = (closing.clone(), Held(open.clone()));
        let thread = std::thread::Builder::new().name("profile".into());
        // Without a thread the connection is closed with what the closure holds.
        let _ = thread.spawn(move || {
            let _held = held;
            // A peer that goes away is its own affair.
            let _ = serve(stream, &closing);
        });
    }
}

/// One of the connections that are counted.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(mut stream: TcpStream, closing: &AtomicBool) -> io::Result<()> {
    stream.set_read_timeout(Some(PEER_TIMEOUT))?;
    stream.set_write_timeout(Some(PEER_TIMEOUT))?;
    let mut http = HttpConnection::new(Instant::now());
    let mut block = [0; 4096];
    loop {
        let read = stream.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        http.receive(bytes, Instant::now());
        while let Some(event) = http.next_event(Instant::now()) {
            let mut out = Vec::new();
            let ends = match event {
                Event::Request(request) => {
                    let answer = answer(&request, closing);
                    answer.encode(&request, SystemTime::now(), &mut out)
                }
                Event::Reject(bytes) => {
                    out = bytes;
                    true
                }
            };
            stream.write_all(&out)?;
            if ends || closing.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
}

fn answer(request: &Request, closing: &AtomicBool) -> Response {
    match request.path.as_str() {
        "/debug/pprof/" => Response::html(INDEX.into()),
        "/debug/pprof/cmdline" => Response::error(Status::Ok, &debug::arguments().join("\0")),
        "/debug/pprof/profile" => profile(request.query.get("seconds"), closing),
        "/debug/vars" => Response::variables(debug::vars()),
        _ => Response::not_found(),
    }
}

fn profile(seconds: &str, closing: &AtomicBool) -> Response {
    let seconds = seconds.parse().ok().filter(|s| *s > 0).unwrap_or(DEFAULT_SECONDS);
    let failed = |text: String| {
        Response::error(
            Status::InternalServerError,
            &format!("Could not enable CPU profiling: {text}\n"),
        )
    };
    let profile = match CpuProfile::start() {
        Ok(profile) => profile,
        Err(text) => return failed(text),
    };
    // Beginning may take a while: symbols are read.
    let end = Instant::now() + Duration::from_secs(seconds.min(MAX_SECONDS));
    while Instant::now() < end && !closing.load(Ordering::Relaxed) {
        std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
    }
    match profile.finish() {
        Ok(bytes) => Response::download("profile", bytes),
        Err(text) => failed(text),
    }
}
