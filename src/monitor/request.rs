//! A monitoring request ("spec 04, 2"): method, path and query, and what its answer has to obey.

use super::response::Response;

/// The methods that matter; any other is served like GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: the answer has no body.
    Head,
    /// CONNECT, whose target is never redirected.
    Connect,
    /// OPTIONS.
    Options,
    /// Anything else.
    Other,
}

impl Method {
    pub(super) fn from_text(text: &str) -> Self {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// A request whose head is complete and whose body, if any, was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as sent, still percent-encoded; `*` is kept as it is.
    pub raw_path: String,
    /// The path, decoded.
    pub path: String,
    /// The query, without the question mark, as sent.
    pub raw_query: String,
    /// The decoded query.
    pub query: Query,
    /// Whether the peer speaks HTTP/1.1 rather than 1.0.
    pub is_http11: bool,
    /// Whether the peer asked for the connection to stay open, or did not say otherwise.
    pub keep_alive: bool,
}

impl Request {
    /// Splits and decodes a request target; None when it is malformed.
    pub(super) fn split_target(method: Method, target: &str) -> Option<(String, String, String)> {
        if method == Method::Connect && !target.starts_with('/') {
            return Some((String::new(), String::new(), String::new()));
        }
        if target == "*" {
            return Some(("*".into(), "*".into(), String::new()));
        }
        let rest = if target.starts_with('/') {
            target
        } else {
            // The absolute form names scheme and host, which do not matter here.
            let (scheme, after) = target.split_once("://")?;
            let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            if !is_scheme {
                return None;
            }
            after.get(after.find(['/', '?']).unwrap_or(after.len())..)?
        };
        let (raw_path, raw_query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_decode(raw_path, false)?;
        Some((raw_path.to_owned(), path, raw_query.to_owned()))
    }

    /// Finds what is asked for below the base path (see [`normalize_base_path`]).
    pub fn resolve(&self, base_path: &str) -> Resolution {
        if self.raw_path == "*" && self.method == Method::Options {
            return Resolution::Answer(Response::options());
        }
        if self.method != Method::Connect {
            let clean = clean_keeping_slash(&self.raw_path);
            if clean != self.raw_path {
                let query = if self.raw_query.is_empty() { "" } else { "?" };
                let location = format!("{clean}{query}{}", self.raw_query);
                return Resolution::Answer(Response::redirect(&location, self.method));
            }
        }
        let below = match base_path {
            "/" => Some(self.path.as_str()),
            base if self.path == base => Some("/"),
            base => {
                self.path.strip_prefix(base).filter(|rest| rest.starts_with('/') && *rest != "/")
            }
        };
        match below {
            Some(endpoint) => Resolution::Endpoint(endpoint.to_owned()),
            None => Resolution::Answer(Response::not_found()),
        }
    }
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// An endpoint, by its path without the base path, such as `/varz`; the root is `/`. Nothing
    /// says that it exists.
    Endpoint(String),
    /// The answer is already known.
    Answer(Response),
}

/// The base path option as it is used: `/` when empty, else with a leading slash and cleaned.
pub fn normalize_base_path(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    clean(&format!("/{path}"))
}

/// Removes empty, `.` and `..` elements of a rooted path, and a trailing slash.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn clean_keeping_slash(path: &str) -> String {
    let mut cleaned = clean(path);
    if path.ends_with('/') && cleaned != "/" {
        cleaned.push('/');
    }
    cleaned
}

/// Decoded query parameters; of several with one name the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a query; malformed pairs are dropped.
    pub fn parse(raw: &str) -> Self {
        let mut pairs = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(name), Some(value)) =
                (percent_decode(name, true), percent_decode(value, true))
            {
                pairs.push((name, value));
            }
        }
        Query { pairs }
    }

    /// The value of a parameter; empty when it is absent.
    pub fn get(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Decodes `%xx`, and `+` as a blank where asked to; None when an escape is malformed. Bytes that
/// are not UTF-8 become U+FFFD.
fn percent_decode(text: &str, plus_is_blank: bool) -> Option<String> {
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
                out.push(high << 4 | low);
            }
            b'+' if plus_is_blank => out.push(b' '),
            byte => out.push(byte),
        }
    }
    Some(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Request {
        let (raw_path, path, raw_query) =
            Request::split_target(Method::Get, target).expect("a well-formed target");
        let query = Query::parse(&raw_query);
        Request {
            method: Method::Get,
            raw_path,
            path,
            raw_query,
            query,
            is_http11: true,
            keep_alive: true,
        }
    }

    fn endpoint(target: &str, base: &str) -> Option<String> {
        match get(target).resolve(base) {
            Resolution::Endpoint(endpoint) => Some(endpoint),
            Resolution::Answer(_) => None,
        }
    }

    #[test]
    fn targets_split_into_path_and_query() {
        let table = [
            ("/varz", Some(("/varz", ""))),
            ("/connz?limit=1", Some(("/connz", "limit=1"))),
            ("/%68ealthz?", Some(("/healthz", ""))),
            ("http://foo:8222/healthz?x=1", Some(("/healthz", "x=1"))),
            ("*", Some(("*", ""))),
            ("/%zz", None),
            ("/%4", None),
            ("healthz", None),
            ("1x://foo/healthz", None),
        ];
        for (target, expected) in table {
            let split = Request::split_target(Method::Get, target);
            let split = split.as_ref().map(|(_, path, query)| (path.as_str(), query.as_str()));
            assert_eq!(split, expected, "{target}");
        }
    }

    #[test]
    fn base_paths_are_rooted_and_clean() {
        let table =
            [("", "/"), ("/", "/"), ("nats", "/nats"), ("/nats/", "/nats"), ("a/../b//c", "/b/c")];
        for (configured, expected) in table {
            assert_eq!(normalize_base_path(configured), expected);
        }
    }

    #[test]
    fn endpoints_are_found_below_the_base_path() {
        let table = [
            ("/varz", "/", Some("/varz")),
            ("/", "/", Some("/")),
            ("/varz/", "/", Some("/varz/")),
            ("/nats/varz", "/nats", Some("/varz")),
            ("/nats", "/nats", Some("/")),
            ("/nats/", "/nats", None),
            ("/natsvarz", "/nats", None),
            ("/varz", "/nats", None),
        ];
        for (target, base, expected) in table {
            assert_eq!(endpoint(target, base).as_deref(), expected, "{target} below {base}");
        }
    }

    #[test]
    fn paths_that_are_not_clean_are_redirected_with_their_query() {
        let table = [
            ("//varz", "/varz"),
            ("/a/../varz?x=1", "/varz?x=1"),
            ("/./varz/", "/varz/"),
            ("/%76arz/../healthz", "/healthz"),
        ];
        for (target, location) in table {
            let expected = Resolution::Answer(Response::redirect(location, Method::Get));
            assert_eq!(get(target).resolve("/"), expected);
        }
    }

    #[test]
    fn query_pairs_decode_and_the_first_wins() {
        let query = Query::parse("a=1&a=2&b=x+y%3E&bad=%zz&semi=1;x=2&&flag&c%3d=3");
        assert_eq!(query.get("a"), "1");
        assert_eq!(query.get("b"), "x y>");
        for absent in ["bad", "semi", "x", "flag", "none"] {
            assert_eq!(query.get(absent), "", "{absent}");
        }
        assert_eq!(query.get("c="), "3");
        assert_eq!(Query::parse("x=%ff").get("x"), "\u{fffd}");
    }
}
