//! Fetching claims from a server by HTTP or HTTPS: one request a connection, with one deadline.

use crate::config::options::tls::TlsOptions;
use crate::config::url::Url;
use crate::tls::certificates;
use eventloop::rustls::pki_types::ServerName;
use eventloop::rustls::sign::SingleCertAndKey;
use eventloop::rustls::{ClientConfig, ClientConnection, StreamOwned};
use parser::quote::quote;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time for a request, all in all.
pub(super) const TIMEOUT: Duration = Duration::from_millis(1_900);
/// The longest answer, head included: the longest token and some room.
const MAX_ANSWER_BYTES: usize = crate::jwt::MAX_TOKEN_BYTES + 64 * 1024;

/// Fetches from one server.
pub struct Fetcher {
    /// Ends with a slash.
    base: String,
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

/// A stream whose reads and writes end at a deadline.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Fetcher {
    /// For a URL that ends with a slash.
    ///
    /// # Errors
    /// The URL is none, or TLS cannot be used as configured.
    pub fn new(base: &str, tls: Option<&TlsOptions>) -> Result<Fetcher, String> {
        let url = Url::parse(base)?;
        let tls = if url.scheme == "https" { Some(client_tls(tls)?) } else { None };
        Ok(Fetcher { base: base.to_owned(), url, tls })
    }

    /// Fetches the claims of an account; with an empty name it only looks whether the server is
    /// there.
    ///
    /// # Errors
    /// The reason.
    pub fn fetch(&self, account: &str) -> Result<String, String> {
        let url = format!("{}{account}", self.base);
        let quoted = quote(url.as_bytes());
        let failed = |why: &dyn std::fmt::Display| format!("could not fetch <{quoted}>: {why}");
        let answer = self.request(account).map_err(|e| failed(&e))?;
        let (status, reason, body) =
            parse(&answer).ok_or_else(|| failed(&"malformed HTTP response"))?;
        if status != 200 {
            return Err(failed(&format!("{status} {reason}").trim_end()));
        }
        String::from_utf8(body).map_err(|_| failed(&"malformed HTTP response"))
    }

    fn request(&self, account: &str) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + TIMEOUT;
        let host = self.url.hostname();
        let port = match self.url.port() {
            "" if self.tls.is_some() => 443,
            "" => 80,
            port => port.parse().map_err(|_| io::Error::other("invalid port"))?,
        };
        let mut last = io::Error::other("no address");
        let mut connected = None;
        for address in (host, port).to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(e) => last = e,
            }
        }
        let Some(stream) = connected else { return Err(last) };
        let stream = Timed { stream, deadline };
        let path = if self.url.path.is_empty() { "/" } else { &self.url.path };
        let request = format!(
            "GET {path}{account} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nats-server\r\n\
             Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
            self.url.host
        );
        match &self.tls {
            None => exchange(stream, request.as_bytes()),
            Some(config) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| io::Error::other("invalid server name"))?;
                let session = ClientConnection::new(config.clone(), name)
                    .map_err(|e| io::Error::other(e.to_string()))?;
                exchange(StreamOwned::new(session, stream), request.as_bytes())
            }
        }
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(n) => answer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            // Some servers end a TLS session by closing the connection.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(answer),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(io::Error::other("answer too long"));
        }
        if is_complete(&answer) {
            return Ok(answer);
        }
    }
}

/// Whether the length that the answer states has come, so that its end need not be waited for.
fn is_complete(answer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(answer) else { return false };
    let length = header(&response, "content-length").and_then(|text| text.parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - head >= length)
}

fn header<'a>(response: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

/// Status, reason and body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, String, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else { return None };
    let status = response.code?;
    let reason = response.reason.unwrap_or_default().to_owned();
    let body = answer.get(head..).unwrap_or_default();
    let chunked = header(&response, "transfer-encoding")
        .is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked"));
    let body = if chunked {
        unchunk(body)?
    } else {
        match header(&response, "content-length") {
            Some(length) => body.get(..length.parse().ok()?)?.to_vec(),
            None => body.to_vec(),
        }
    };
    Some((status, reason, body))
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(body).ok()?
        else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(whole);
        }
        let end = start.checked_add(size)?;
        whole.extend_from_slice(body.get(start..end)?);
        body = body.get(end.checked_add(2)?..)?;
    }
}

/// TLS for asking the server.
fn client_tls(options: Option<&TlsOptions>) -> Result<Arc<ClientConfig>, String> {
    let roots = match options.and_then(|o| o.ca.as_deref()) {
        Some(pem) => certificates::authorities(pem)?,
        None => certificates::system_authorities()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(
        eventloop::rustls::crypto::aws_lc_rs::default_provider(),
    ));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = builder.with_root_certificates(roots);
    // The server of claims may want to know who asks.
    let own = options.and_then(|o| o.certificates.first());
    Ok(Arc::new(match own {
        Some(pair) => {
            let certified = certificates::load(&pair.chain, pair.key.expose().as_bytes())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request, and returns its first line.
    fn answer(text: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwt/v1/accounts/", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let n = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..n]);
            }
            stream.write_all(text.as_bytes()).unwrap();
            String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
        });
        (url, thread)
    }

    #[test]
    fn claims_are_what_the_server_answers() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken",
            "HTTP/1.0 200 OK\r\n\r\ntoken",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nto\r\n3\r\nken\r\n0\r\n\r\n",
        ] {
            let (url, thread) = answer(text);
            let fetcher = Fetcher::new(&url, None).unwrap();
            assert_eq!(fetcher.fetch("AX").as_deref(), Ok("token"), "{text}");
            assert_eq!(thread.join().unwrap(), "GET /jwt/v1/accounts/AX HTTP/1.1");
        }
    }

    #[test]
    fn anything_but_success_is_an_error_with_the_address() {
        let (url, thread) = answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let fetcher = Fetcher::new(&url, None).unwrap();
        assert_eq!(
            fetcher.fetch("AX").unwrap_err(),
            format!("could not fetch <\"{url}AX\">: 404 Not Found")
        );
        thread.join().unwrap();
        let (url, thread) = answer("nonsense");
        assert!(Fetcher::new(&url, None).unwrap().fetch("").unwrap_err().contains("malformed"));
        thread.join().unwrap();
        // Nobody listens there any more.
        assert!(Fetcher::new(&url, None).unwrap().fetch("").is_err());
    }
}
