//! URLs of routes, gateways, leafnode remotes and proxies.
//!
//! Configurations in the field hold URLs that stricter parsers refuse or rewrite, and error
//! texts and remote names print them back. This parser therefore accepts what the reference
//! accepts, keeps the parts as they were written, and prints them the same way.

use super::secret::Secret;
use super::text::quote;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// User name and optional password in front of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The unescaped user name.
    pub name: String,
    /// The unescaped password, `None` when there was no colon.
    pub password: Option<Secret>,
}

/// A parsed URL. [`fmt::Display`] prints it whole, credentials included; [`Url::redacted`] is the
/// form for logs, and the debug form is redacted too.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Url {
    /// In lower case, empty for a relative reference.
    pub scheme: String,
    /// What follows the scheme when that is not a path.
    pub opaque: String,
    /// Credentials, if any were given.
    pub user: Option<UserInfo>,
    /// `host` or `host:port`; an IPv6 address is in brackets.
    pub host: String,
    /// The path as it was written.
    pub path: String,
    /// The query without its question mark, `None` when there was none.
    pub query: Option<String>,
    /// The fragment without its hash sign, as written.
    pub fragment: String,
    omit_host: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    UserInfo,
    Host,
    Zone,
    Path,
    Fragment,
}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    /// The full text of the error: `parse "<text>": <reason>`.
    pub fn parse(text: &str) -> Result<Url, String> {
        let (body, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Url::parse_body(body, false)
            .map_err(|reason| format!("parse {}: {reason}", quote(body)))?;
        unescape(fragment, Part::Fragment)
            .map_err(|reason| format!("parse {}: {reason}", quote(text)))?;
        fragment.clone_into(&mut url.fragment);
        Ok(url)
    }

    /// Parses a URL that must be absolute, as in the `Origin` of a request: a scheme or a rooted
    /// path, no fragment.
    ///
    /// # Errors
    /// The full text of the error: `parse "<text>": <reason>`.
    pub fn parse_request(text: &str) -> Result<Url, String> {
        Url::parse_body(text, true).map_err(|reason| format!("parse {}: {reason}", quote(text)))
    }

    fn parse_body(text: &str, request: bool) -> Result<Url, String> {
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        if text.is_empty() && request {
            return Err("empty url".to_owned());
        }
        let mut url = Url::default();
        if text == "*" {
            text.clone_into(&mut url.path);
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        url.query = query;
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if request {
                return Err("invalid URI for request".to_owned());
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let mut path = rest;
        let relative = url.scheme.is_empty();
        if let Some(authority) = rest.strip_prefix("//")
            && (!relative || !request && !rest.starts_with("///"))
        {
            let end = authority.find('/').unwrap_or(authority.len());
            let (authority, after) = authority.split_at(end);
            (url.user, url.host) = parse_authority(authority)?;
            path = after;
        } else if !relative && rest.starts_with('/') {
            url.omit_host = true;
        }
        unescape(path, Part::Path)?;
        path.clone_into(&mut url.path);
        Ok(url)
    }

    /// The host without port and brackets.
    #[must_use]
    pub fn hostname(&self) -> &str {
        let host = self.host.get(..self.host.len() - self.port_suffix().len()).unwrap_or("");
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The port as it was written, empty if none was.
    #[must_use]
    pub fn port(&self) -> &str {
        self.port_suffix().strip_prefix(':').unwrap_or("")
    }

    fn port_suffix(&self) -> &str {
        match self.host.rfind(':').and_then(|colon| self.host.get(colon..)) {
            Some(suffix) if is_optional_port(suffix) => suffix,
            _ => "",
        }
    }

    /// Appends a port when there is none.
    pub fn set_default_port(&mut self, port: u16) {
        if self.port().is_empty() {
            self.host = join_host_port(self.hostname(), &port.to_string());
        }
    }

    /// Whether this is a `ws` or `wss` URL.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.scheme.starts_with("ws")
    }

    /// The URL with its password replaced, for logs and messages.
    #[must_use]
    pub fn redacted(&self) -> Url {
        let mut url = self.clone();
        if let Some(UserInfo { password: Some(password), .. }) = &mut url.user {
            *password = Secret::new("xxxxx");
        }
        url
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if self.opaque.is_empty() {
            let authority = !self.host.is_empty() || self.user.is_some();
            let empty_host = !self.scheme.is_empty() && !self.omit_host && !self.path.is_empty();
            if authority || empty_host {
                out.push_str("//");
            }
            if let Some(user) = &self.user {
                escape_into(&mut out, &user.name, Part::UserInfo);
                if let Some(password) = &user.password {
                    out.push(':');
                    escape_into(&mut out, password.expose(), Part::UserInfo);
                }
                out.push('@');
            }
            escape_into(&mut out, &self.host, Part::Host);
            let path = as_escaped(&self.path, Part::Path);
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                out.push('/');
            }
            if out.is_empty() && path.split('/').next().is_some_and(|s| s.contains(':')) {
                out.push_str("./");
            }
            out.push_str(&path);
        } else {
            out.push_str(&self.opaque);
        }
        if let Some(query) = &self.query {
            out.push('?');
            out.push_str(query);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&as_escaped(&self.fragment, Part::Fragment));
        }
        f.write_str(&out)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.redacted())
    }
}

/// Splits `host:port`, `[address]:port` or `:port`.
///
/// # Errors
/// The full text of the error: `address <text>: <reason>`.
pub fn split_host_port(text: &str) -> Result<(&str, &str), String> {
    let fail = |reason: &str| Err(format!("address {text}: {reason}"));
    let Some((host, port)) = text.rsplit_once(':') else {
        return fail("missing port in address");
    };
    let (mut host, mut before_port) = (host, host);
    let mut opening_from = text;
    if let Some(inner) = text.strip_prefix('[') {
        let Some(end) = inner.find(']') else {
            return fail("missing ']' in address");
        };
        let (address, after) = inner.split_at(end);
        let after = after.strip_prefix(']').unwrap_or("");
        if after.is_empty() || !after.starts_with(':') {
            return fail("missing port in address");
        }
        if after.len() != port.len() + 1 {
            return fail("too many colons in address");
        }
        (host, before_port, opening_from) = (address, after, inner);
    } else if host.contains(':') {
        return fail("too many colons in address");
    }
    if opening_from.contains('[') {
        return fail("unexpected '[' in address");
    }
    let closing_in = if text.starts_with('[') { before_port } else { text };
    if closing_in.contains(']') {
        return fail("unexpected ']' in address");
    }
    Ok((host, port))
}

/// `host:port`, with brackets around a host that has colons.
#[must_use]
pub fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((text.get(..i).unwrap_or(""), text.get(i + 1..).unwrap_or(""))),
            _ => break,
        }
    }
    Ok(("", text))
}

fn parse_authority(authority: &str) -> Result<(Option<UserInfo>, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Ok((None, parse_host(authority)?));
    };
    let host = parse_host(host)?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    if !user.bytes().all(valid) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (user, None),
    };
    let name = unescape(name, Part::UserInfo)?;
    let password = match password {
        Some(password) => Some(Secret::new(unescape(password, Part::UserInfo)?)),
        None => None,
    };
    Ok((Some(UserInfo { name, password }), host))
}

fn parse_host(host: &str) -> Result<String, String> {
    let bad_port = |port: &str| Err(format!("invalid port {} after host", quote(port)));
    match host.rfind('[') {
        Some(0) => {
            let inner = host.get(1..).unwrap_or("");
            let Some((name, port)) = inner.rsplit_once(']') else {
                return Err("missing ']' in host".to_owned());
            };
            if !is_optional_port(port) {
                return bad_port(port);
            }
            let name = match name.find("%25") {
                Some(zone) => {
                    let (address, zone) = name.split_at(zone);
                    unescape(address, Part::Host)? + &unescape(zone, Part::Zone)?
                }
                None => unescape(name, Part::Host)?,
            };
            let address = name.split('%').next().unwrap_or("");
            let empty_zone = name.ends_with('%');
            return match address.parse::<Ipv6Addr>() {
                Ok(_) if !empty_zone => Ok(format!("[{name}]{port}")),
                _ if address.parse::<IpAddr>().is_ok() && !empty_zone => {
                    Err("invalid IP-literal".to_owned())
                }
                _ => {
                    let reason = address_error(&name);
                    Err(format!("invalid host: ParseAddr({}): {reason}", quote(&name)))
                }
            };
        }
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    // Lists of hosts with ports are tolerated: only the last port is looked at.
    let port = host.rfind(':').and_then(|colon| host.get(colon..)).unwrap_or("");
    if !is_optional_port(port) {
        return bad_port(port);
    }
    unescape(host, Part::Host)
}

/// The usual reason an address in brackets is refused.
fn address_error(name: &str) -> &'static str {
    if name.ends_with('%') {
        "missing IPv6 zone"
    } else if name.contains(':') {
        "each group must have 4 or less digits"
    } else {
        "unable to parse IP"
    }
}

fn is_optional_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn must_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let allowed: &[u8] = match part {
        Part::UserInfo => b"$&+,;=",
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !allowed.contains(&byte)
}

fn escape_into(out: &mut String, text: &str, part: Part) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        // Bytes of the host that are not ASCII are escaped like any other.
        if must_escape(byte, part) {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(nibble)).map(|&h| char::from(h)));
            }
        } else {
            out.push(char::from(byte));
        }
    }
}

/// The text as written when it is a valid encoding, else encoded anew.
fn as_escaped(text: &str, part: Part) -> String {
    let valid = |b: u8| b"!$&'()*+,;=:@[]%".contains(&b) || !must_escape(b, part);
    if text == "*" || text.bytes().all(valid) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, &unescape(text, part).unwrap_or_default(), part);
    out
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    let hex = |byte: Option<&u8>| byte.and_then(|&b| char::from(b).to_digit(16));
    let bytes = text.as_bytes();
    let host = part == Part::Host || part == Part::Zone;
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            if host && byte < 0x80 && must_escape(byte, part) {
                let bad = quote(&char::from(byte).to_string());
                return Err(format!("invalid character {bad} in host name"));
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let escape = bytes.get(at..bytes.len().min(at + 3)).unwrap_or_default();
        let refuse = || {
            let escape = quote(&String::from_utf8_lossy(escape));
            Err(format!("invalid URL escape {escape}"))
        };
        let (Some(high), Some(low)) = (hex(escape.get(1)), hex(escape.get(2))) else {
            return refuse();
        };
        let Ok(value) = u8::try_from(high << 4 | low) else {
            return refuse();
        };
        // In a host only bytes beyond ASCII may be escaped, and the percent sign of a zone.
        let percent = value == b'%';
        if part == Part::Host && high < 8 && !percent
            || part == Part::Zone && !percent && value != b' ' && must_escape(value, Part::Host)
        {
            return refuse();
        }
        out.push(value);
        at += 3;
    }
    Ok(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        let url = Url::parse("nats-route://us%40er:p%3Ass@Host.example:6222/a%2Fb?x=1#f").unwrap();
        assert_eq!(url.scheme, "nats-route");
        let user = url.user.clone().unwrap();
        assert_eq!((user.name.as_str(), user.password.unwrap().expose()), ("us@er", "p:ss"));
        assert_eq!((url.hostname(), url.port()), ("Host.example", "6222"));
        assert_eq!((url.path.as_str(), url.query.as_deref()), ("/a%2Fb", Some("x=1")));
        assert_eq!(url.to_string(), "nats-route://us%40er:p%3Ass@Host.example:6222/a%2Fb?x=1#f");
        assert_eq!(format!("{url:?}"), "nats-route://us%40er:xxxxx@Host.example:6222/a%2Fb?x=1#f");
    }

    #[test]
    fn urls_print_back_as_written() {
        for text in [
            "nats://127.0.0.1:4222",
            "nats://u:p@h:1,h2:2",
            "127.0.0.1",
            "localhost:4222",
            "nats://[::1]:4222",
            "nats://[fe80::1%25en0]",
            "ws://h/path/",
            "file:///x",
            "mailto:x@y",
            "/only/path",
            "http://h?",
            "nats://user@h",
            "nats://:@h",
            "",
            "*",
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_urls_are_refused_with_the_reason() {
        for (text, reason) in [
            (":8080", "missing protocol scheme"),
            ("127.0.0.1:4222", "first path segment in URL cannot contain colon"),
            ("nats://h:port", "invalid port \":port\" after host"),
            ("nats://h:-1", "invalid port \":-1\" after host"),
            ("nats://a b", "invalid character \" \" in host name"),
            ("nats://h/%zz", "invalid URL escape \"%zz\""),
            ("nats://h/%4", "invalid URL escape \"%4\""),
            ("nats://%41", "invalid URL escape \"%41\""),
            ("nats://[::1", "missing ']' in host"),
            ("nats://[1.2.3.4]", "invalid IP-literal"),
            ("nats://a[::1]", "invalid IP-literal"),
            ("nats://a b@h", "net/url: invalid userinfo"),
            ("nats://h\u{1}", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(Url::parse(text), Err(format!("parse {}: {reason}", quote(text))), "{text}");
        }
        assert_eq!(Url::parse_request("").unwrap_err(), "parse \"\": empty url");
        assert_eq!(Url::parse_request("h").unwrap_err(), "parse \"h\": invalid URI for request");
    }

    #[test]
    fn passwords_are_redacted_and_nothing_else() {
        for (text, redacted) in [
            ("nats://foo:bar@example.org", "nats://foo:xxxxx@example.org"),
            ("nats://foo@example.org", "nats://foo@example.org"),
            ("nats://example.org", "nats://example.org"),
            ("nats://example.org/foo?bar=1", "nats://example.org/foo?bar=1"),
        ] {
            assert_eq!(Url::parse(text).unwrap().redacted().to_string(), redacted);
        }
    }

    #[test]
    fn urls_are_equal_when_credentials_and_host_are() {
        for text in [
            "nats://localhost:4222",
            "nats://ivan:pwd@localhost:4222",
            "nats://ivan@localhost:4222",
            "nats://ivan:@localhost:4222",
        ] {
            assert_eq!(Url::parse(text), Url::parse(text));
        }
        for (one, other) in [
            ("nats://host1:4222", "nats://host2:4222"),
            ("nats://ivan:pwd@h:4222", "nats://ivan:other@h:4222"),
        ] {
            assert_ne!(Url::parse(one), Url::parse(other));
        }
    }

    #[test]
    fn default_port_is_added_once() {
        for (text, host) in
            [("nats://h", "h:7422"), ("nats://h:1", "h:1"), ("nats://[::1]", "[::1]:7422")]
        {
            let mut url = Url::parse(text).unwrap();
            url.set_default_port(7422);
            assert_eq!(url.host, host);
        }
    }

    #[test]
    fn host_and_port_are_split_strictly() {
        assert_eq!(split_host_port("h:1"), Ok(("h", "1")));
        assert_eq!(split_host_port(":1"), Ok(("", "1")));
        assert_eq!(split_host_port("h:"), Ok(("h", "")));
        assert_eq!(split_host_port("[::1]:-1"), Ok(("::1", "-1")));
        for (text, reason) in [
            ("h", "missing port in address"),
            ("", "missing port in address"),
            ("::1", "too many colons in address"),
            ("[::1]", "missing port in address"),
            ("[::1", "missing ']' in address"),
            ("[::1]x:1", "missing port in address"),
            ("[::1]:1:2", "too many colons in address"),
            ("[[::1]:1", "unexpected '[' in address"),
            ("a]:1", "unexpected ']' in address"),
            ("a[:1", "unexpected '[' in address"),
        ] {
            assert_eq!(split_host_port(text), Err(format!("address {text}: {reason}")), "{text}");
        }
    }
}
