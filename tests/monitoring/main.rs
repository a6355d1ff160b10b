//! The monitoring port, asked over HTTP (spec 04 §2 and §3).

#[path = "../support/mod.rs"]
mod support;

mod connz;
mod endpoints;
mod metrics;
mod serving;
mod subsz;
mod traces;
mod varz;

use nats_server::config::options::Options;
use nats_server::config::options::listen::Port;
use nats_server::logging::{LogOptions, Logger};
use nats_server::server::{Server, StartError};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use support::{DEADLINE, Wire, wait_until};

/// A server in this process, shut down when dropped.
pub struct Monitored {
    /// The server itself.
    pub server: Arc<Server>,
    dir: tempfile::TempDir,
}

/// A server that listens on free ports, with its options as `configure` leaves them.
pub fn try_start(configure: impl FnOnce(&mut Options)) -> Result<Monitored, StartError> {
    let mut options = Options {
        host: "127.0.0.1".into(),
        port: Port::RANDOM,
        http_port: Port::RANDOM,
        ..Options::default()
    };
    configure(&mut options);
    options.set_baseline();
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = Arc::new(Logger::new());
    let log_file = Some(dir.path().join("log"));
    log.configure(&LogOptions { log_file, ..LogOptions::default() }).expect("log");
    let server = Server::new(Arc::new(options), log).expect("server");
    let monitored = Monitored { server, dir };
    monitored.server.start().map(|()| monitored)
}

/// The same, of a server that must start.
pub fn start_with(configure: impl FnOnce(&mut Options)) -> Monitored {
    try_start(configure).expect("the server starts")
}

/// A server as it is without configuration.
pub fn start() -> Monitored {
    start_with(|_| {})
}

/// A server that has no subscriptions but those of its clients.
pub fn start_bare() -> Monitored {
    start_with(|o| o.no_system_account = true)
}

impl Monitored {
    /// Where monitoring is served.
    pub fn http(&self) -> SocketAddr {
        self.server.monitor_address().expect("monitoring is served")
    }

    /// A connection that has sent nothing.
    pub fn connect(&self) -> Wire {
        Wire::open(self.server.address().expect("the server listens"))
    }

    /// A connection after CONNECT; `options` are JSON members.
    pub fn client(&self, options: &str) -> Wire {
        let mut wire = self.connect();
        let comma = if options.is_empty() { "" } else { "," };
        wire.send(format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false{comma}{options}}}\r\nPING\r\n"
        ));
        wire.until_pong();
        wire
    }

    /// A client with that name that has subscribed to `foo` and sent itself `hello`.
    pub fn busy_client(&self, name: &str) -> Wire {
        let mut wire = self.client(&format!("\"name\":\"{name}\""));
        wire.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\n");
        assert_eq!(wire.message().1, b"hello");
        // The counters are those of finished read batches.
        wire.sync();
        wire
    }

    /// The answer to a GET on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        request(self.http(), "GET", path)
    }

    /// The document at a path, which must be one.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"), "{path}");
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Checks that a path is answered with a bad request and that text.
    pub fn expect_bad_request(&self, path: &str, text: &str) {
        let answer = self.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (400, text), "{path}");
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"), "{path}");
    }

    /// Waits until that many connections have been closed.
    pub fn wait_for_closed(&self, count: usize) {
        wait_until("connections are closed", || {
            (self.server.closed_clients().len() == count).then_some(())
        });
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("the log")
    }
}

impl Drop for Monitored {
    fn drop(&mut self) {
        self.server.shutdown();
    }
}

/// An HTTP answer, its body put together.
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Answer {
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).expect("a status");
        let headers: Vec<_> = lines
            .map(|l| l.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(n, v)| n == "Transfer-Encoding" && v == "chunked");
        let body = if chunked { joined_chunks(rest) } else { rest.to_owned() };
        Answer { status: status.parse().expect("a status"), headers, body }
    }
}

fn joined_chunks(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("the end of a chunk");
    }
}

/// Sends one request on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    Answer::parse(&raw_request(address, request.as_bytes()))
}

/// Sends bytes and returns everything that comes back until the connection ends.
pub fn raw_request(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.write_all(bytes).expect("sends");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer up to the end of the connection");
    text
}

/// The strings at a field of each element.
pub fn strings<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|v| v[field].as_str().expect("a string")).collect()
}

/// The numbers at a field of each element.
pub fn numbers(list: &Value, field: &str) -> Vec<i64> {
    let list = list.as_array().expect("a list");
    list.iter().map(|v| v[field].as_i64().expect("a number")).collect()
}

/// The keys of an object in the order in which they stand in the text, at the first level.
pub fn keys(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|l| l.strip_prefix("  \"")?.split_once("\": "))
        .map(|(key, _)| key)
        .collect()
}
