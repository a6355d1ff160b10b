//! Opening listeners.

use crate::config::options::listen::Port;
use crate::process::errno::error_text;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// Connections that may wait to be accepted; the kernel limits it further.
const BACKLOG: i32 = 4096;

/// A listener could not be opened.
#[derive(Debug)]
pub struct ListenError {
    host: String,
    port: Port,
    /// The system call that failed, as it stands before the reason; empty for other reasons.
    step: &'static str,
    error: io::Error,
}

impl ListenError {
    /// `host:port` as configured.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = error_text(&self.error);
        write!(f, "listen tcp {}: {}{text}", self.address(), self.step)
    }
}

impl std::error::Error for ListenError {}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Listens on a host and port, and tells the actual address. `0.0.0.0` and `::` take connections
/// of both families (spec 01 §10).
///
/// # Errors
/// When the host has no address, the port is no port, or the system refuses.
pub fn listen(host: &str, port: Port) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |(step, error)| ListenError { host: host.to_owned(), port, step, error };
    let number = port
        .to_bind()
        .ok_or_else(|| failed(("", io::Error::new(io::ErrorKind::InvalidInput, "invalid port"))))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let any = matches!(bare, "" | "0.0.0.0" | "::");
    let result = if any {
        open(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number), true)
            // A system without IPv6 still has the other family.
            .or_else(|_| open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number), false))
    } else {
        (bare, number)
            .to_socket_addrs()
            .and_then(|mut addresses| {
                let none = || io::Error::new(io::ErrorKind::NotFound, "no such host");
                addresses.next().ok_or_else(none)
            })
            .map_err(|e| ("", e))
            .and_then(|first| open(first, false))
    };
    let listener = result.map_err(failed)?;
    let address = listener.local_addr().map_err(|e| failed(("", e)))?;
    Ok((listener, address))
}

/// Opens the listener, or tells which step failed.
fn open(
    address: SocketAddr,
    both_families: bool,
) -> Result<TcpListener, (&'static str, io::Error)> {
    let at = |step: &'static str| move |e: io::Error| (step, e);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .map_err(at("socket: "))?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families).map_err(at("setsockopt: "))?;
    }
    socket.set_reuse_address(true).map_err(at("setsockopt: "))?;
    socket.bind(&address.into()).map_err(at("bind: "))?;
    socket.listen(BACKLOG).map_err(at("listen: "))?;
    socket.set_nonblocking(true).map_err(at("setnonblock: "))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn any_address_takes_both_families() {
        let (listener, address) = listen("0.0.0.0", Port::RANDOM).unwrap();
        listener.set_nonblocking(false).unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let (_listener, address) = listen("127.0.0.1", Port::RANDOM).unwrap();
        let e = listen("127.0.0.1", Port::from(address.port())).unwrap_err();
        let at = format!("127.0.0.1:{}", address.port());
        assert_eq!(e.to_string(), format!("listen tcp {at}: bind: address already in use"));
        assert!(listen("127.0.0.1", Port::new(70_000)).is_err());
    }

    #[test]
    fn ipv6_hosts_get_brackets() {
        assert_eq!(host_port("::1", 4222), "[::1]:4222");
        assert_eq!(host_port("127.0.0.1", 1), "127.0.0.1:1");
    }
}
