//! One HTTP/1.1 connection of the monitoring server, without the socket ("spec 04, 2").
//!
//! The driver hands in what it read with [`HttpConnection::receive`], then calls
//! [`HttpConnection::next_event`] until it returns None, answering each request in order with
//! [`super::response::Response::encode`] before it asks for the next. It arms a timer for
//! [`HttpConnection::deadline`] and closes the connection without a word when that passes. After
//! an event or answer that ends the connection it sends what is pending, shuts its side down and
//! drops the engine.
//!
//! Request bodies are skipped, not used. Bounds: a head of [`MAX_HEAD_BYTES`] and
//! [`MAX_HEADERS`] headers, a body of [`MAX_SKIPPED_BODY_BYTES`] (beyond it the request is
//! answered and the connection ends). The inbox holds at most a head and what one read brought;
//! the driver must not read on while requests wait.

use std::time::{Duration, Instant};

use super::request::{Method, Query, Request};
use super::response::rejection;

/// Largest head: the reference's 1 MiB and the slack its reader allows.
pub const MAX_HEAD_BYTES: usize = (1 << 20) + 4096;

/// Most headers of one request.
pub const MAX_HEADERS: usize = 16 * 1024;

/// Largest body skipped to keep a connection.
pub const MAX_SKIPPED_BODY_BYTES: u64 = 256 << 10;

/// Longest a head may take: from accept for the first, from its first byte for later ones.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// What the engine asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request to answer.
    Request(Request),
    /// Something that is no request: send these bytes, then close.
    Reject(Vec<u8>),
}

enum Phase {
    /// Waiting for a head to become complete.
    Head,
    /// Skipping a body of known length, then handing out the request.
    Body { request: Request, remaining: u64 },
    /// Skipping a chunked body, then handing out the request.
    Chunks { request: Request, chunk: Chunk, skipped: u64 },
    /// Nothing further is read.
    Ended,
}

/// Where in a chunked body the input stands.
#[derive(Clone, Copy)]
enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

/// What a step through the input came to.
enum Step {
    /// Another step can be taken at once.
    GoOn(Phase),
    /// Nothing more without input.
    Wait(Phase),
    /// A request is to be answered.
    Deliver(Request),
    /// The connection ends with this.
    Reject(Vec<u8>),
}

impl Step {
    /// Delivers a request as the last of its connection.
    fn last(mut request: Request) -> Self {
        request.keep_alive = false;
        Step::Deliver(request)
    }
}

/// The state of one connection.
pub struct HttpConnection {
    inbox: Vec<u8>,
    /// How much of the inbox was searched for the end of the head.
    searched: usize,
    first_line_checked: bool,
    head_started: Option<Instant>,
    phase: Phase,
}

impl HttpConnection {
    /// A connection accepted at the given time.
    pub fn new(accepted: Instant) -> Self {
        HttpConnection {
            inbox: Vec::new(),
            searched: 0,
            first_line_checked: false,
            head_started: Some(accepted),
            phase: Phase::Head,
        }
    }

    /// Takes what was read from the peer.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Ended) || bytes.is_empty() {
            return;
        }
        if matches!(self.phase, Phase::Head) {
            self.head_started.get_or_insert(now);
        }
        self.inbox.extend_from_slice(bytes);
    }

    /// When to give up on the peer; None while there is nothing to wait for.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Head => self.head_started.map(|started| started + HEAD_TIMEOUT),
            _ => None,
        }
    }

    /// The next thing to do, or None when more input is needed. `now` is when the head of a
    /// request already waiting in the inbox counts as begun.
    pub fn next_event(&mut self, now: Instant) -> Option<Event> {
        loop {
            let step = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Ended => return None,
                Phase::Head => self.step_head(),
                Phase::Body { request, remaining } => self.step_body(request, remaining),
                Phase::Chunks { request, chunk, skipped } => {
                    self.step_chunks(request, chunk, skipped)
                }
            };
            match step {
                Step::GoOn(phase) => self.phase = phase,
                Step::Wait(phase) => {
                    self.phase = phase;
                    return None;
                }
                Step::Reject(answer) => return Some(Event::Reject(answer)),
                Step::Deliver(request) => {
                    if request.keep_alive {
                        self.phase = Phase::Head;
                        self.head_started = (!self.inbox.is_empty()).then_some(now);
                    } else {
                        self.inbox = Vec::new();
                    }
                    return Some(Event::Request(request));
                }
            }
        }
    }

    /// Parses a head once it is complete; the phase it leads to has the body.
    fn step_head(&mut self) -> Step {
        if !self.first_line_checked {
            let Some(end) = memchr::memchr(b'\n', &self.inbox) else {
                return self.wait_for_head();
            };
            if let Err(answer) = check_first_line(self.inbox.get(..end).unwrap_or_default()) {
                return Step::Reject(answer);
            }
            self.first_line_checked = true;
        }
        let Some(length) = self.find_head_end() else { return self.wait_for_head() };
        if length > MAX_HEAD_BYTES {
            return Step::Reject(too_large());
        }
        let parsed = parse_head(self.inbox.get(..length).unwrap_or_default());
        self.inbox.drain(..length);
        self.searched = 0;
        self.first_line_checked = false;
        match parsed {
            Err(answer) => Step::Reject(answer),
            Ok((request, Body::Length(remaining))) => {
                Step::GoOn(Phase::Body { request, remaining })
            }
            Ok((request, Body::Chunked)) => {
                Step::GoOn(Phase::Chunks { request, chunk: Chunk::Size, skipped: 0 })
            }
        }
    }

    fn wait_for_head(&self) -> Step {
        if self.inbox.len() > MAX_HEAD_BYTES {
            Step::Reject(too_large())
        } else {
            Step::Wait(Phase::Head)
        }
    }

    /// The length of the head, blank line included; each byte is looked at once.
    fn find_head_end(&mut self) -> Option<usize> {
        // A terminator may straddle what was searched and what is new.
        let mut at = self.searched.saturating_sub(2);
        while let Some(found) = memchr::memchr(b'\n', self.inbox.get(at..)?) {
            let newline = at + found;
            match (self.inbox.get(newline + 1), self.inbox.get(newline + 2)) {
                (Some(b'\n'), _) => return Some(newline + 2),
                (Some(b'\r'), Some(b'\n')) => return Some(newline + 3),
                _ => at = newline + 1,
            }
        }
        self.searched = self.inbox.len();
        None
    }

    fn step_body(&mut self, request: Request, remaining: u64) -> Step {
        if remaining > MAX_SKIPPED_BODY_BYTES {
            return Step::last(request);
        }
        match self.skip(remaining) {
            0 => Step::Deliver(request),
            remaining => Step::Wait(Phase::Body { request, remaining }),
        }
    }

    /// Drops up to `count` bytes of the inbox and tells how many are still to come.
    fn skip(&mut self, count: u64) -> u64 {
        let available = usize::try_from(count).unwrap_or(usize::MAX).min(self.inbox.len());
        self.inbox.drain(..available);
        count.saturating_sub(available as u64)
    }

    /// Takes one step through a chunked body. Where the framing is broken the request is still
    /// answered, but nothing behind it can be trusted.
    fn step_chunks(&mut self, request: Request, chunk: Chunk, skipped: u64) -> Step {
        if skipped > MAX_SKIPPED_BODY_BYTES {
            return Step::last(request);
        }
        if let Chunk::Data(remaining) = chunk {
            let left = self.skip(remaining);
            let skipped = skipped.saturating_add(remaining.saturating_sub(left));
            return if left == 0 {
                Step::GoOn(Phase::Chunks { request, chunk: Chunk::DataEnd, skipped })
            } else {
                Step::Wait(Phase::Chunks { request, chunk: Chunk::Data(left), skipped })
            };
        }
        let Some(end) = memchr::memchr(b'\n', &self.inbox) else {
            return if self.inbox.len() > MAX_CHUNK_LINE_BYTES {
                Step::last(request)
            } else {
                Step::Wait(Phase::Chunks { request, chunk, skipped })
            };
        };
        let line: Vec<u8> = self.inbox.drain(..=end).collect();
        let line = line.trim_ascii();
        let skipped = skipped.saturating_add(end as u64).saturating_add(1);
        let chunk = match chunk {
            Chunk::Size => match chunk_size(line) {
                None => return Step::last(request),
                Some(0) => Chunk::Trailer,
                Some(size) => Chunk::Data(size),
            },
            Chunk::DataEnd if line.is_empty() => Chunk::Size,
            Chunk::Trailer if line.is_empty() => return Step::Deliver(request),
            Chunk::Trailer => Chunk::Trailer,
            Chunk::DataEnd | Chunk::Data(_) => return Step::last(request),
        };
        Step::GoOn(Phase::Chunks { request, chunk, skipped })
    }
}

/// Longest line of a chunked body's framing.
const MAX_CHUNK_LINE_BYTES: usize = 4096;

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&b| b == b';').next()?.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u64::from_str_radix(text, 16).ok()
}

enum Body {
    Length(u64),
    Chunked,
}

fn bad_request() -> Vec<u8> {
    rejection("400 Bad Request", "400 Bad Request")
}

fn too_large() -> Vec<u8> {
    let status = "431 Request Header Fields Too Large";
    rejection(status, status)
}

fn with_reason(status: &str, reason: &str) -> Vec<u8> {
    let status = format!("{status}: {reason}");
    rejection(&status, &status)
}

/// Refuses what is not even the beginning of a request without waiting for more of it.
fn check_first_line(line: &[u8]) -> Result<(), Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let version = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    let words = line.split(|&b| b == b' ').count();
    match version {
        _ if words < 3 => Err(bad_request()),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(with_reason("505 HTTP Version Not Supported", "unsupported protocol version"))
        }
        _ => Err(bad_request()),
    }
}

fn parse_head(head: &[u8]) -> Result<(Request, Body), Vec<u8>> {
    // No head has more headers than lines.
    let lines = memchr::memchr_iter(b'\n', head).count();
    if lines > MAX_HEADERS {
        return Err(too_large());
    }
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(bad_request()),
    }
    let method = Method::from_text(parsed.method.unwrap_or_default());
    let target = parsed.path.unwrap_or_default();
    let (raw_path, path, raw_query) =
        Request::split_target(method, target).ok_or_else(bad_request)?;
    let is_http11 = parsed.version == Some(1);
    let values = |name: &'static str| {
        let of_name = parsed.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        of_name.map(|header| header.value.trim_ascii())
    };
    match values("host").count() {
        0 if is_http11 => {
            return Err(with_reason("400 Bad Request", "missing required Host header"));
        }
        0 | 1 => {}
        _ => return Err(bad_request()),
    }
    let body = body_of(values("transfer-encoding"), values("content-length"), is_http11)?;
    let says = |word: &str| {
        let mut tokens = values("connection").flat_map(|value| value.split(|&b| b == b','));
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    let keep_alive = !says("close") && (is_http11 || says("keep-alive"));
    // The peer holds its body back until told to go on, and nobody here wants it.
    let awaits_permission =
        values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"));
    let (body, keep_alive) =
        if awaits_permission { (Body::Length(0), false) } else { (body, keep_alive) };
    let query = Query::parse(&raw_query);
    Ok((Request { method, raw_path, path, raw_query, query, is_http11, keep_alive }, body))
}

fn body_of<'a>(
    mut encodings: impl Iterator<Item = &'a [u8]>,
    lengths: impl Iterator<Item = &'a [u8]>,
    is_http11: bool,
) -> Result<Body, Vec<u8>> {
    if is_http11 && let Some(encoding) = encodings.next() {
        let is_chunked = encoding.eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
        let refused = || rejection("501 Not Implemented", "Unsupported transfer encoding");
        return if is_chunked { Ok(Body::Chunked) } else { Err(refused()) };
    }
    let mut length: Option<&[u8]> = None;
    for value in lengths {
        if length.is_some_and(|first| first != value) {
            return Err(bad_request());
        }
        length = Some(value);
    }
    let Some(length) = length else { return Ok(Body::Length(0)) };
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(length).ok().filter(|_| is_number);
    let number = number.and_then(|text| text.parse().ok());
    number.map(Body::Length).ok_or_else(bad_request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

    fn connection() -> (HttpConnection, Instant) {
        let now = Instant::now();
        (HttpConnection::new(now), now)
    }

    /// Feeds the input in pieces of one size and collects what comes out.
    fn events(input: &[u8], piece: usize) -> Vec<Event> {
        let (mut connection, now) = connection();
        let mut events = Vec::new();
        for piece in input.chunks(piece) {
            connection.receive(piece, now);
            while let Some(event) = connection.next_event(now) {
                events.push(event);
            }
        }
        events
    }

    fn requests(input: &str) -> Vec<Request> {
        let whole = events(input.as_bytes(), usize::MAX);
        for piece in [1, 2, 7] {
            assert_eq!(events(input.as_bytes(), piece), whole, "in pieces of {piece}: {input:?}");
        }
        let request = |event| match event {
            Event::Request(request) => request,
            Event::Reject(bytes) => panic!("rejected: {}", String::from_utf8_lossy(&bytes)),
        };
        whole.into_iter().map(request).collect()
    }

    #[track_caller]
    fn rejected(input: &[u8], status: &str, body: &str) {
        let expected = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let found = events(input, 4096);
        assert_eq!(found, [Event::Reject(expected.into_bytes())]);
    }

    #[test]
    fn requests_are_found_however_the_input_is_cut() {
        let all = requests(&format!("{OK}{OK}HEAD /varz?a=b HTTP/1.1\r\nhost:x\r\n\r\n"));
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].path, "/healthz");
        assert_eq!((all[2].method, all[2].query.get("a")), (Method::Head, "b"));
    }

    #[test]
    fn bare_newlines_end_lines_too() {
        let all = requests("GET /healthz HTTP/1.1\nHost: x\n\n");
        assert_eq!(all[0].path, "/healthz");
    }

    #[test]
    fn keep_alive_follows_version_and_connection_header() {
        let keeps = |version: &str, header: &str| {
            let input = format!("GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n");
            requests(&input)[0].keep_alive
        };
        assert!(keeps("1.1", ""));
        assert!(keeps("1.1", "Connection: upgrade\r\n"));
        assert!(!keeps("1.1", "Connection: Close, foo\r\n"));
        assert!(!keeps("1.0", ""));
        assert!(keeps("1.0", "Connection: foo, Keep-Alive\r\n"));
    }

    #[test]
    fn nothing_is_read_behind_the_last_request() {
        let input = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n{OK}");
        assert_eq!(requests(&input).len(), 1);
    }

    #[test]
    fn bodies_are_skipped_and_the_connection_kept() {
        let length = format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi{OK}");
        let chunked = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n\
             2;x=y\r\nhi\r\n0a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n{OK}"
        );
        for input in [length, chunked] {
            let all = requests(&input);
            assert_eq!((all[0].path.as_str(), all[0].keep_alive), ("/a", true));
            assert_eq!(all[1].path, "/healthz");
        }
    }

    #[test]
    fn bodies_that_are_large_withheld_or_broken_end_the_connection() {
        let inputs = [
            "Content-Length: 262145\r\n\r\n".to_owned(),
            "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".to_owned(),
            "Transfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned(),
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhigh\r\n".to_owned(),
            format!("Transfer-Encoding: chunked\r\n\r\n80000\r\n{}\r\n", "x".repeat(0x80000)),
        ];
        for headers in inputs {
            let input = format!("POST /a HTTP/1.1\r\nHost: x\r\n{headers}{OK}");
            let all = events(input.as_bytes(), 4096);
            let [Event::Request(request)] = all.as_slice() else { panic!("{all:?}") };
            assert!(!request.keep_alive);
        }
    }

    #[test]
    fn the_largest_body_that_is_skipped_keeps_the_connection() {
        let body = "x".repeat(256 << 10);
        let input =
            format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 262144\r\n\r\n{body}{OK}");
        assert_eq!(events(input.as_bytes(), 4096).len(), 2);
    }

    #[test]
    fn what_is_no_request_is_rejected_with_the_reference_text() {
        let bad: [&[u8]; 12] = [
            b"garbage\r\n",
            b"GET /healthz\r\n",
            b"\r\nGET / HTTP/1.1\r\n",
            b"GET / FTP/1.1\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"G@T / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\n",
        ];
        for input in bad {
            rejected(input, "400 Bad Request", "400 Bad Request");
        }
        let missing_host = "400 Bad Request: missing required Host header";
        rejected(b"GET / HTTP/1.1\r\n\r\n", missing_host, missing_host);
        let version = "505 HTTP Version Not Supported: unsupported protocol version";
        rejected(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", version, version);
        rejected(
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501 Not Implemented",
            "Unsupported transfer encoding",
        );
    }

    #[test]
    fn heads_are_bounded_in_size_and_number_of_headers() {
        let status = "431 Request Header Fields Too Large";
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "a".repeat(1_100_000));
        rejected(long.as_bytes(), status, status);
        let endless_line = vec![b'a'; MAX_HEAD_BYTES + 1];
        rejected(&endless_line, status, status);
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS));
        rejected(many.as_bytes(), status, status);
        let large = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n{}\r\n",
            "a".repeat(900_000),
            "A: b\r\n".repeat(2000)
        );
        assert!(matches!(events(large.as_bytes(), 4096)[..], [Event::Request(_)]));
    }

    #[test]
    fn only_an_unfinished_head_has_a_deadline() {
        let (mut connection, start) = connection();
        assert_eq!(connection.deadline(), Some(start + HEAD_TIMEOUT));
        connection.receive(OK.as_bytes(), start);
        assert!(connection.next_event(start).is_some());
        assert_eq!(connection.deadline(), None, "an idle connection may wait");
        let later = start + Duration::from_secs(60);
        connection.receive(b"GET", later);
        assert_eq!(connection.next_event(later), None);
        assert_eq!(connection.deadline(), Some(later + HEAD_TIMEOUT));
        connection.receive(b" /", later + Duration::from_secs(4));
        assert_eq!(connection.deadline(), Some(later + HEAD_TIMEOUT), "trickling gains no time");
    }
}
