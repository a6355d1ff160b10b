//! Syslog destinations ("spec 02, 10.4").
//!
//! Local: the daemon's socket, `<PRI>Mmm _d HH:MM:SS tag[pid]: msg\n`, facility daemon. Remote:
//! UDP, TCP or a named socket, `<PRI>RFC3339 hostname tag[pid]: msg\n`, facility kernel (0).
//! Lines carry no level label and no stamp of ours.
//!
//! A daemon that went away is reconnected and the line sent again, once. So that a dead or
//! stalled peer cannot stop a reactor, writes and reconnects time out, and after one that did
//! nothing is sent for a while; lines in between are lost. Names are resolved when the log is
//! configured.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;

use super::line::Level;
use crate::process::errno::error_text;
use parser::quote::quoted;

/// Sockets of a local daemon, in the order they are tried.
const LOCAL_SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Facility bits of the local destination: daemon.
const FACILITY_DAEMON: u8 = 3 << 3;

/// Facility bits of the remote destination.
const FACILITY_KERNEL: u8 = 0;

/// Longest wait for the first connection to a remote daemon.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for a later connection; a reactor may be the one waiting.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// A delivery that took this long and failed counts as stalled.
const STALLED_AFTER: Duration = Duration::from_millis(20);

/// How long nothing is sent after a stall; bounds the share of time a bad peer can cost.
const STALL_PAUSE: Duration = Duration::from_secs(5);

/// Longest wait for the peer to take one line.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

impl Level {
    /// The syslog severity; traces go out as notices, as they always have.
    fn severity(self) -> u8 {
        match self {
            Level::Fatal => 2,
            Level::Error => 3,
            Level::Warn => 4,
            Level::Notice | Level::Trace => 5,
            Level::Debug => 7,
        }
    }
}

/// Where a remote syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAddress {
    /// `udp://host:port`
    Udp(String),
    /// `tcp://host:port`
    Tcp(String),
    /// `unix:///path`
    Unix(PathBuf),
}

impl RemoteAddress {
    /// Parses the value of `remote_syslog`.
    ///
    /// # Errors
    /// The text the reference prints for an unusable value.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = split_scheme(url)?;
        let after_authority = rest.strip_prefix("//");
        let (authority, path) = match after_authority {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match scheme.as_str() {
            "udp" => Ok(RemoteAddress::Udp(host.to_owned())),
            "tcp" => Ok(RemoteAddress::Tcp(host.to_owned())),
            "unix" => Ok(RemoteAddress::Unix(PathBuf::from(path))),
            _ => Err(format!("error invalid network type: {}", quoted(&scheme))),
        }
    }
}

/// Splits `scheme:rest`; without a scheme the whole text is the rest.
fn split_scheme(url: &str) -> Result<(String, &str), String> {
    for (at, c) in url.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => {
                return Err(format!("parse {}: missing protocol scheme", quoted(url)));
            }
            ':' => {
                let (scheme, rest) = url.split_at(at);
                return Ok((scheme.to_ascii_lowercase(), rest.get(1..).unwrap_or_default()));
            }
            _ => break,
        }
    }
    // Without a scheme the text is a path, whose first segment may hold no colon.
    let first_segment = url.split('/').next().unwrap_or_default();
    if first_segment.contains(':') {
        let reason = "first path segment in URL cannot contain colon";
        return Err(format!("parse {}: {reason}", quoted(url)));
    }
    Ok((String::new(), url))
}

/// The name a process goes by in syslog: the last part of its own path.
pub fn tag_of(argv0: &str) -> &str {
    argv0.rsplit('/').find(|part| !part.is_empty()).unwrap_or(argv0)
}

enum Socket {
    Datagram(UnixDatagram),
    Stream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Socket {
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Socket::Datagram(socket) => socket.send(line).map(drop),
            Socket::Udp(socket) => socket.send(line).map(drop),
            Socket::Stream(socket) => socket.write_all(line),
            Socket::Tcp(socket) => socket.write_all(line),
        }
    }
}

enum Peer {
    Local,
    Unix(PathBuf),
    Udp(Vec<SocketAddr>),
    Tcp(Vec<SocketAddr>),
}

/// A connection to a syslog daemon.
pub struct Syslog {
    peer: Peer,
    socket: Option<Socket>,
    /// Nothing is sent before this, after the peer stalled.
    paused_until: Option<Instant>,
    facility: u8,
    hostname: String,
    tag: String,
    pid: u32,
    zone: TimeZone,
    line: Vec<u8>,
}

impl Syslog {
    /// Connects to the daemon of this machine.
    ///
    /// # Errors
    /// The reference's text, when no daemon listens.
    pub fn local(tag: &str) -> Result<Self, String> {
        let socket = connect_local(&LOCAL_SOCKETS).ok_or_else(|| {
            format!("error connecting to syslog: {}", quoted("Unix syslog delivery error"))
        })?;
        Ok(Self::new(Peer::Local, socket, FACILITY_DAEMON, tag))
    }

    /// Connects to the daemon a `remote_syslog` URL names.
    ///
    /// # Errors
    /// The reference's text: a bad URL, a name that does not resolve, or no connection.
    pub fn remote(url: &str, tag: &str) -> Result<Self, String> {
        let address = RemoteAddress::parse(url)?;
        let failed = |reason: String| format!("error connecting to syslog: {}", quoted(&reason));
        let peer = match address {
            RemoteAddress::Unix(path) => Peer::Unix(path),
            RemoteAddress::Udp(host) => Peer::Udp(resolve("udp", &host).map_err(failed)?),
            RemoteAddress::Tcp(host) => Peer::Tcp(resolve("tcp", &host).map_err(failed)?),
        };
        let socket = connect(&peer, FIRST_CONNECT_TIMEOUT).map_err(failed)?;
        Ok(Self::new(peer, socket, FACILITY_KERNEL, tag))
    }

    fn new(peer: Peer, socket: Socket, facility: u8, tag: &str) -> Self {
        Syslog {
            peer,
            socket: Some(socket),
            paused_until: None,
            facility,
            hostname: crate::process::host::hostname().unwrap_or_default(),
            tag: tag.to_owned(),
            pid: std::process::id(),
            zone: TimeZone::system(),
            line: Vec::with_capacity(256),
        }
    }

    /// Sends one message; a line that cannot be delivered is lost.
    pub fn send(&mut self, level: Level, now: SystemTime, message: &[u8]) {
        let started = Instant::now();
        if self.paused_until.is_some_and(|until| started < until) {
            return;
        }
        self.paused_until = None;
        self.render(level, now, message);
        if self.try_send().is_ok() {
            return;
        }
        // A daemon that restarted is found again at once; one that stalls is not tried twice.
        if started.elapsed() < STALLED_AFTER {
            self.socket = connect(&self.peer, RECONNECT_TIMEOUT).ok();
            if self.try_send().is_ok() {
                return;
            }
        }
        let ended = Instant::now();
        if ended.duration_since(started) >= STALLED_AFTER {
            self.paused_until = Some(ended + STALL_PAUSE);
        }
    }

    /// Sends the rendered line; a socket that fails is given up, as part of the line may be out.
    fn try_send(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        let sent = socket.send(&self.line);
        if sent.is_err() {
            self.socket = None;
        }
        sent
    }

    fn render(&mut self, level: Level, now: SystemTime, message: &[u8]) {
        let at = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let local = at.to_zoned(self.zone.clone());
        self.line.clear();
        let priority = self.facility | level.severity();
        let head = match self.peer {
            Peer::Local => local.strftime("%b %e %H:%M:%S").to_string(),
            _ => format!("{} {}", rfc3339(&local), self.hostname),
        };
        let written = write!(self.line, "<{priority}>{head} {}[{}]: ", self.tag, self.pid);
        debug_assert!(written.is_ok(), "a vector accepts every write");
        self.line.extend_from_slice(message);
        if message.last() != Some(&b'\n') {
            self.line.push(b'\n');
        }
    }
}

/// Whole seconds with the offset as `Z` or `±hh:mm`.
fn rfc3339(at: &jiff::Zoned) -> String {
    if at.offset().is_zero() {
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

fn connect_local(paths: &[&str]) -> Option<Socket> {
    let datagram = paths.iter().find_map(|path| {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT)).ok()?;
        Some(Socket::Datagram(socket))
    });
    datagram.or_else(|| paths.iter().find_map(|path| connect_unix_stream(Path::new(path)).ok()))
}

fn connect_unix_stream(path: &Path) -> io::Result<Socket> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // Set before connecting, since the kernel makes it bound that wait too: a daemon that no
    // longer accepts would otherwise be waited for without end.
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    Ok(Socket::Stream(std::os::fd::OwnedFd::from(socket).into()))
}

fn connect_udp(address: &SocketAddr) -> io::Result<Socket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(Socket::Udp(socket))
}

fn connect_tcp(address: &SocketAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = TcpStream::connect_timeout(address, timeout)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(Socket::Tcp(socket))
}

fn connect(peer: &Peer, timeout: Duration) -> Result<Socket, String> {
    let describe = |network: &str, address: &dyn std::fmt::Display, error: &io::Error| {
        format!("dial {network} {address}: connect: {}", error_text(error))
    };
    match peer {
        Peer::Local => {
            connect_local(&LOCAL_SOCKETS).ok_or_else(|| "Unix syslog delivery error".to_owned())
        }
        Peer::Unix(path) => {
            connect_unix_stream(path).map_err(|error| describe("unix", &path.display(), &error))
        }
        Peer::Udp(addresses) => first_that_connects(addresses, connect_udp)
            .map_err(|(address, error)| describe("udp", &address, &error)),
        Peer::Tcp(addresses) => {
            first_that_connects(addresses, |address| connect_tcp(address, timeout))
                .map_err(|(address, error)| describe("tcp", &address, &error))
        }
    }
}

/// Tries the addresses in order and reports the first failure when none works.
fn first_that_connects(
    addresses: &[SocketAddr],
    connect: impl Fn(&SocketAddr) -> io::Result<Socket>,
) -> Result<Socket, (String, io::Error)> {
    let mut failure = None;
    for address in addresses {
        match connect(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = failure.or(Some((address.to_string(), error))),
        }
    }
    Err(failure.unwrap_or_else(|| (String::new(), io::Error::other("no address"))))
}

fn resolve(network: &str, host_port: &str) -> Result<Vec<SocketAddr>, String> {
    let Some((host, _)) = host_port.rsplit_once(':').filter(|_| !host_port.ends_with(']')) else {
        return Err(format!("dial {network}: address {host_port}: missing port in address"));
    };
    let addresses = match host_port.to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(format!("dial {network}: lookup {host}: no such host"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 2024-03-01 02:03:04 UTC.
    fn march() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_709_258_584)
    }

    /// A UDP peer and a logger connected to it.
    fn udp_pair(tag: &str) -> (UdpSocket, Syslog) {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("a loopback port");
        peer.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let address = peer.local_addr().expect("bound");
        let syslog = Syslog::remote(&format!("udp://{address}"), tag).expect("connected");
        (peer, syslog)
    }

    fn receive(peer: &UdpSocket) -> String {
        let mut buffer = [0; 4096];
        let length = peer.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[test]
    fn remote_urls_name_network_and_address() {
        let udp = RemoteAddress::parse("udp://foo.com:1000");
        assert_eq!(udp, Ok(RemoteAddress::Udp("foo.com:1000".into())));
        let tcp = RemoteAddress::parse("TCP://foo.com:1000");
        assert_eq!(tcp, Ok(RemoteAddress::Tcp("foo.com:1000".into())));
        let unix = RemoteAddress::parse("unix:///foo.sock");
        assert_eq!(unix, Ok(RemoteAddress::Unix("/foo.sock".into())));
    }

    #[test]
    fn unusable_remote_urls_are_refused() {
        let table = [
            ("http://foo.com:1000", r#"error invalid network type: "http""#),
            ("localhost:514", r#"error invalid network type: "localhost""#),
            ("foo", r#"error invalid network type: """#),
            (
                "127.0.0.1:514",
                r#"parse "127.0.0.1:514": first path segment in URL cannot contain colon"#,
            ),
            ("://x", r#"parse "://x": missing protocol scheme"#),
        ];
        for (url, expected) in table {
            assert_eq!(RemoteAddress::parse(url), Err(expected.to_owned()), "{url}");
        }
    }

    #[test]
    fn tag_is_the_last_part_of_the_path() {
        let table = [
            ("nats-server", "nats-server"),
            ("./nats-server", "nats-server"),
            ("/home/bin/nats-server", "nats-server"),
            ("../../nats-server", "nats-server"),
            ("nats-server.service1", "nats-server.service1"),
            ("nats-server service1", "nats-server service1"),
        ];
        for (argv0, expected) in table {
            assert_eq!(tag_of(argv0), expected);
        }
    }

    #[test]
    fn remote_line_has_rfc3339_time_hostname_tag_and_pid() {
        let (peer, mut syslog) = udp_pair("tagged");
        syslog.zone = TimeZone::UTC;
        syslog.hostname = "here".into();
        syslog.pid = 42;
        syslog.send(Level::Notice, march(), b"foo bar");
        assert_eq!(receive(&peer), "<5>2024-03-01T02:03:04Z here tagged[42]: foo bar\n");
        syslog.zone = TimeZone::fixed(jiff::tz::offset(-5));
        syslog.send(Level::Debug, march(), b"already ended\n");
        assert_eq!(receive(&peer), "<7>2024-02-29T21:03:04-05:00 here tagged[42]: already ended\n");
    }

    #[test]
    fn every_level_has_its_severity() {
        let (peer, mut syslog) = udp_pair("t");
        let table = [
            (Level::Fatal, "<2>"),
            (Level::Error, "<3>"),
            (Level::Warn, "<4>"),
            (Level::Notice, "<5>"),
            (Level::Trace, "<5>"),
            (Level::Debug, "<7>"),
        ];
        for (level, expected) in table {
            syslog.send(level, march(), b"x");
            assert!(receive(&peer).starts_with(expected));
        }
    }

    #[test]
    fn local_line_goes_to_the_daemons_socket() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).expect("bound");
        daemon.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let missing = dir.path().join("missing");
        let paths = [missing.to_str().expect("text"), path.to_str().expect("text")];
        let socket = connect_local(&paths).expect("connected");
        let mut syslog = Syslog::new(Peer::Local, socket, FACILITY_DAEMON, "nats");
        syslog.zone = TimeZone::UTC;
        syslog.pid = 7;
        syslog.send(Level::Error, march(), b"broken");
        let mut buffer = [0; 256];
        let length = daemon.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..length], b"<27>Mar  1 02:03:04 nats[7]: broken\n");
    }

    #[test]
    fn a_named_stream_socket_gets_the_remote_format() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let daemon = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let url = format!("unix://{}", path.display());
        let mut syslog = Syslog::remote(&url, "nats").expect("connected");
        let (mut accepted, _) = daemon.accept().expect("a connection");
        syslog.zone = TimeZone::UTC;
        syslog.send(Level::Warn, march(), b"careful");
        drop(syslog);
        let mut text = String::new();
        io::Read::read_to_string(&mut accepted, &mut text).expect("read");
        assert!(text.starts_with("<4>2024-03-01T02:03:04Z "), "{text}");
        assert!(text.ends_with("]: careful\n"), "{text}");
    }

    #[test]
    fn no_daemon_is_an_error_with_the_reference_text() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("none");
        let url = format!("unix://{}", path.display());
        assert_eq!(
            Syslog::remote(&url, "x").err().as_deref(),
            Some(
                format!(
                    "error connecting to syslog: \"dial unix {}: connect: \
                     no such file or directory\"",
                    path.display()
                )
                .as_str()
            )
        );
        assert_eq!(
            Syslog::remote("udp://foo.com", "x").err().as_deref(),
            Some(
                "error connecting to syslog: \"dial udp: address foo.com: missing port in address\""
            )
        );
    }

    #[test]
    fn a_peer_that_reads_nothing_is_left_alone_for_a_while() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let daemon = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let url = format!("unix://{}", path.display());
        let mut syslog = Syslog::remote(&url, "nats").expect("connected");
        let (_stalled, _) = daemon.accept().expect("a connection");
        let line = [b'x'; 4096];
        // Socket buffers are finite, so at some point the daemon's is full.
        while syslog.paused_until.is_none() {
            syslog.send(Level::Notice, march(), &line);
        }
        assert!(syslog.socket.is_none(), "part of a line may be out on the old connection");
        syslog.send(Level::Notice, march(), b"lost");
        assert!(syslog.socket.is_none(), "nothing is tried during the pause");
        syslog.paused_until = Some(Instant::now());
        syslog.send(Level::Notice, march(), b"back");
        let (mut accepted, _) = daemon.accept().expect("a second connection");
        drop(syslog);
        let mut text = String::new();
        io::Read::read_to_string(&mut accepted, &mut text).expect("read");
        assert!(text.ends_with("]: back\n"), "{text}");
    }

    #[test]
    fn a_stream_peer_that_closes_is_reconnected() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("log");
        let daemon = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let url = format!("unix://{}", path.display());
        let mut syslog = Syslog::remote(&url, "nats").expect("connected");
        drop(daemon.accept().expect("a connection"));
        syslog.send(Level::Notice, march(), b"after the restart");
        let (mut accepted, _) = daemon.accept().expect("a second connection");
        drop(syslog);
        let mut text = String::new();
        io::Read::read_to_string(&mut accepted, &mut text).expect("read");
        assert!(text.ends_with("]: after the restart\n"), "{text}");
    }
}
