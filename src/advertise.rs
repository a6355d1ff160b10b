//! Addresses as text: `host:port` parsing, what a server advertises of itself, and the counted
//! set of what others advertised ("spec 01, 3.6").

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::process::host::is_global_unicast;
use parser::quote::quoted;

/// Joins host and port; a host that holds a colon is put in brackets.
pub fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Why a `host:port` text is not one; shows the reference's wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPortError {
    /// Nothing was given.
    Empty,
    /// The text does not split; holds the text and the reason.
    Address(String, &'static str),
    /// The port is not a number, or not one of 16 bits.
    Port(String, &'static str),
}

impl fmt::Display for HostPortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPortError::Empty => f.write_str("no hostport specified"),
            HostPortError::Address(text, reason) => write!(f, "address {text}: {reason}"),
            HostPortError::Port(text, reason) => {
                write!(f, "strconv.Atoi: parsing {}: {reason}", quoted(text))
            }
        }
    }
}

impl std::error::Error for HostPortError {}

/// Parses `host[:port]`. A port that is missing, 0 or -1 becomes the default; blanks around
/// either part are dropped.
///
/// # Errors
/// When there is no text, or it is not of that form. Ports the network cannot express are
/// refused too, where the reference would only fail once it uses them.
pub fn parse_host_port(text: &str, default_port: u16) -> Result<(String, u16), HostPortError> {
    if text.is_empty() {
        return Err(HostPortError::Empty);
    }
    let completed;
    let (host, port) = match split_host_port(text) {
        Err(HostPortError::Address(_, MISSING_PORT)) => {
            completed = format!("{text}:{default_port}");
            split_host_port(&completed)?
        }
        other => other?,
    };
    let port = port.trim();
    let number: i64 = match port.parse() {
        Ok(number) => number,
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let reason = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            return Err(HostPortError::Port(port.to_owned(), reason));
        }
    };
    let port = match number {
        0 | -1 => default_port,
        number => u16::try_from(number)
            .map_err(|_| HostPortError::Port(port.to_owned(), "value out of range"))?,
    };
    Ok((host.trim().to_owned(), port))
}

const MISSING_PORT: &str = "missing port in address";
const TOO_MANY_COLONS: &str = "too many colons in address";

/// Splits `host:port` or `[host]:port`.
fn split_host_port(text: &str) -> Result<(&str, &str), HostPortError> {
    let failed = |reason| HostPortError::Address(text.to_owned(), reason);
    let (before, port) = text.rsplit_once(':').ok_or_else(|| failed(MISSING_PORT))?;
    let host = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) =
            bracketed.split_once(']').ok_or_else(|| failed("missing ']' in address"))?;
        match rest.strip_prefix(':') {
            Some(after) if after.len() == port.len() => host,
            Some(_) => return Err(failed(TOO_MANY_COLONS)),
            None => return Err(failed(MISSING_PORT)),
        }
    } else if before.contains(':') {
        return Err(failed(TOO_MANY_COLONS));
    } else {
        before
    };
    if host.contains('[') || before.get(1..).is_some_and(|rest| rest.contains('[')) {
        return Err(failed("unexpected '[' in address"));
    }
    let closing = usize::from(text.starts_with('['));
    if text.matches(']').count() > closing {
        return Err(failed("unexpected ']' in address"));
    }
    Ok((host, port))
}

/// The addresses of this machine others can reach, if `host` stands for all of them
/// (`0.0.0.0` or `::`); None when it does not.
pub fn non_local_ips(host: &str, interfaces: &[IpAddr]) -> Option<Vec<IpAddr>> {
    let ip: IpAddr = host.parse().ok()?;
    if !ip.to_canonical().is_unspecified() {
        return None;
    }
    Some(interfaces.iter().copied().filter(|ip| is_global_unicast(*ip)).collect())
}

/// The URLs a server advertises for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectUrls {
    /// `host:port` texts, in order.
    pub urls: Vec<String>,
    /// The host stands for all addresses but none of them can be told to others; to be logged as
    /// the error `Address "<host>" can not be resolved properly`.
    pub is_unresolved: bool,
}

/// Determines what to advertise: the configured text if there is one, every reachable address if
/// the listener accepts on all, else its own address. `port` is the one listened on, `interfaces`
/// are this machine's addresses.
///
/// # Errors
/// When the configured text is not `host[:port]`.
pub fn connect_urls(
    advertise: &str,
    host: &str,
    port: u16,
    interfaces: &[IpAddr],
) -> Result<ConnectUrls, HostPortError> {
    if !advertise.is_empty() {
        let (host, port) = parse_host_port(advertise, port)?;
        return Ok(ConnectUrls { urls: vec![join_host_port(&host, port)], is_unresolved: false });
    }
    let urls: Vec<String> = non_local_ips(host, interfaces)
        .unwrap_or_default()
        .iter()
        .map(|ip| join_host_port(&ip.to_canonical().to_string(), port))
        .collect();
    if !urls.is_empty() {
        return Ok(ConnectUrls { urls, is_unresolved: false });
    }
    if host == "0.0.0.0" || host == "::" {
        return Ok(ConnectUrls { urls, is_unresolved: true });
    }
    Ok(ConnectUrls { urls: vec![join_host_port(host, port)], is_unresolved: false })
}

/// URLs learned from other servers, each with the number of servers that advertise it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedUrls {
    counts: BTreeMap<String, u64>,
}

impl CountedUrls {
    /// Counts a URL; true when it was not known before.
    pub fn add(&mut self, url: &str) -> bool {
        let count = self.counts.entry(url.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// Takes one count back; true when that was the last and the URL is gone.
    pub fn remove(&mut self, url: &str) -> bool {
        match self.counts.get_mut(url) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => self.counts.remove(url).is_some(),
            None => false,
        }
    }

    /// The URLs, each once, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(String::as_str)
    }

    /// Whether no URL is known.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn host_ports_parse_by_the_table() {
        let table = [
            ("addr:1234", "addr", 1234),
            (" addr:1234 ", "addr", 1234),
            (" addr : 1234 ", "addr", 1234),
            ("addr", "addr", 5678),
            (" addr ", "addr", 5678),
            ("addr:-1", "addr", 5678),
            (" addr : -1 ", "addr", 5678),
            ("addr:0", "addr", 5678),
            (" addr : 0 ", "addr", 5678),
            ("[::1]:1234", "::1", 1234),
            ("[::1]", "::1", 5678),
            (":1234", "", 1234),
        ];
        for (text, host, port) in table {
            assert_eq!(parse_host_port(text, 5678), Ok((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn bad_host_ports_are_refused_with_the_reference_text() {
        let table = [
            ("", "no hostport specified"),
            ("addr:addr", r#"strconv.Atoi: parsing "addr": invalid syntax"#),
            ("addr:::1234", "address addr:::1234: too many colons in address"),
            ("::1", "address ::1: too many colons in address"),
            ("[::1", "address [::1: missing ']' in address"),
            ("[::1]x:1", "address [::1]x:1:0: missing port in address"),
            ("a[b:1", "address a[b:1: unexpected '[' in address"),
            ("a]b:1", "address a]b:1: unexpected ']' in address"),
            ("addr:70000", r#"strconv.Atoi: parsing "70000": value out of range"#),
            (
                "addr:99999999999999999999",
                r#"strconv.Atoi: parsing "99999999999999999999": value out of range"#,
            ),
        ];
        for (text, expected) in table {
            let error = parse_host_port(text, 0).expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_configured_address_goes_before_all() {
        let urls = |advertise| connect_urls(advertise, "0.0.0.0", 4222, &ips(&["10.0.0.7"]));
        let one = |url: &str| Ok(ConnectUrls { urls: vec![url.into()], is_unresolved: false });
        assert_eq!(urls("nats.example:1"), one("nats.example:1"));
        assert_eq!(urls("nats.example"), one("nats.example:4222"));
        assert_eq!(urls("[::1]:-1"), one("[::1]:4222"));
        assert!(urls("nats.example:x").is_err());
    }

    #[test]
    fn a_wildcard_host_is_advertised_by_its_reachable_addresses() {
        let interfaces = ips(&["127.0.0.1", "10.0.0.7", "::1", "2001:db8::7", "fe80::1"]);
        for host in ["0.0.0.0", "::"] {
            let found = connect_urls("", host, 4222, &interfaces).expect("nothing to parse");
            assert_eq!(found.urls, ["10.0.0.7:4222", "[2001:db8::7]:4222"]);
            assert!(!found.is_unresolved);
            let none = connect_urls("", host, 4222, &ips(&["127.0.0.1"])).expect("no text");
            assert_eq!(none, ConnectUrls { urls: vec![], is_unresolved: true });
        }
    }

    #[test]
    fn a_particular_host_is_advertised_as_it_is() {
        let interfaces = ips(&["10.0.0.7"]);
        for (host, expected) in [
            ("127.0.0.1", "127.0.0.1:4222"),
            ("localhost", "localhost:4222"),
            ("::1", "[::1]:4222"),
        ] {
            let found = connect_urls("", host, 4222, &interfaces).expect("nothing to parse");
            assert_eq!(found.urls, [expected]);
        }
    }

    #[test]
    fn urls_stay_until_the_last_count_is_taken_back() {
        let mut urls = CountedUrls::default();
        assert!(urls.add("a:1"));
        assert!(!urls.add("a:1"));
        assert!(urls.add("b:2"));
        assert_eq!(urls.iter().collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert!(!urls.remove("a:1"));
        assert!(urls.remove("a:1"));
        assert!(!urls.remove("a:1"));
        assert!(urls.remove("b:2"));
        assert!(urls.is_empty());
    }
}
