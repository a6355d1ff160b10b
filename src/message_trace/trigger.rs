//! The headers that ask for a trace (spec 04 §10.1).

use super::{DESTINATION, DISABLED, HeaderMap};

/// What a header block begins with.
const VERSION_LINE: &[u8] = b"NATS/1.0\r\n";
/// The header of the W3C's trace context, in any case.
const TRACE_PARENT: &[u8] = b"traceparent";

/// The headers of a message that asks to be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    map: HeaderMap,
    /// It is asked for by `traceparent` alone: the account says where the trace goes.
    pub external: bool,
}

/// The next header: its key, its value without blanks around it, and what follows. Nothing at the
/// end, and where the block is not well-formed.
fn next(block: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = memchr::memchr(b':', block)?;
    let (key, rest) = (block.get(..colon)?, block.get(colon + 1..)?);
    let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let rest = rest.get(blanks..)?;
    let end = memchr::memmem::find(rest, b"\r\n")?;
    let value = rest.get(..end)?;
    let blanks = value.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    Some((key, value.get(..end - blanks)?, rest.get(end + 2..)?))
}

/// Whether the value of `traceparent` says that the caller records.
fn is_sampled(value: &[u8]) -> bool {
    let mut parts = value.split(|b| *b == b'-');
    let flags = parts.nth(3).filter(|_| parts.next().is_none());
    let Some(&[high, low]) = flags else { return false };
    let digit = |b: u8| char::from(b).to_digit(16);
    match (digit(high), digit(low)) {
        // The reference reads a number of eight bits with a sign.
        (Some(high), Some(low)) => high < 8 && low & 1 == 1,
        _ => false,
    }
}

/// Whether a header block has a header that may ask for a trace. Cheap, and true too often.
pub fn may_ask(header: &[u8]) -> bool {
    let Some(mut block) = header.strip_prefix(VERSION_LINE) else { return false };
    while let Some(colon) = memchr::memchr(b':', block) {
        let key = block.get(..colon).unwrap_or_default();
        if key == DESTINATION.as_bytes() || key.eq_ignore_ascii_case(TRACE_PARENT) {
            return true;
        }
        let rest = block.get(colon + 1..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(rest, b"\r\n") else { return false };
        block = rest.get(end + 2..).unwrap_or_default();
    }
    false
}

impl Headers {
    /// The headers of a message, if they ask for a trace.
    pub fn parse(header: &[u8]) -> Option<Headers> {
        let mut block = header.strip_prefix(VERSION_LINE)?;
        let mut map = HeaderMap::new();
        let (mut asked, mut external) = (false, false);
        while let Some((key, value, rest)) = next(block) {
            block = rest;
            if key.is_empty() || value.is_empty() {
                continue;
            }
            if key.eq_ignore_ascii_case(TRACE_PARENT) {
                external |= is_sampled(value);
            } else if !asked && key == DESTINATION.as_bytes() {
                if value == DISABLED.as_bytes() {
                    return None;
                }
                asked = true;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            map.entry(text(key)).or_default().push(text(value));
        }
        (asked || external).then_some(Headers { map, external: !asked })
    }

    /// The first value of a header.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.map.get(key)?.first().map(String::as_str)
    }

    /// Whether nothing is to be delivered.
    pub fn asks_for_trace_only(&self) -> bool {
        let value = self.first("Nats-Trace-Only").unwrap_or_default().to_lowercase();
        matches!(value.as_str(), "1" | "true" | "on")
    }

    /// All of them.
    pub fn into_map(self) -> HeaderMap {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &str) -> Option<Headers> {
        let header = format!("NATS/1.0\r\n{lines}\r\n");
        let parsed = Headers::parse(header.as_bytes());
        assert!(parsed.is_none() || may_ask(header.as_bytes()), "{lines}");
        parsed
    }

    #[test]
    fn a_destination_or_a_sampled_trace_context_asks() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        assert!(parse("A: b\r\n").is_none());
        assert!(parse("Nats-Trace-Only: true\r\n").is_none());
        assert!(!parse("Nats-Trace-Dest: d\r\n").unwrap().external);
        assert!(parse(&format!("traceparent: {parent}-01\r\n")).unwrap().external);
        assert!(parse(&format!("TraceParent:{parent}-7f\r\n")).unwrap().external);
        for flags in ["00", "02", "81", "1", "001", "zz", "01-02"] {
            assert!(parse(&format!("traceparent: {parent}-{flags}\r\n")).is_none(), "{flags}");
        }
        let both = parse(&format!("traceparent: {parent}-01\r\nNats-Trace-Dest: d\r\n")).unwrap();
        assert!(!both.external);
    }

    #[test]
    fn what_only_looks_like_one_of_the_headers_is_none() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (key, value) in [("Nats-Trace-Dest", "some.dest"), ("traceparent", parent)] {
            assert!(parse(&format!("{key}:{value}\r\n")).is_some());
            for line in [
                format!("Some-Prefix-{key}: {value}\r\n"),
                format!("{key}-Some-Suffix: {value}\r\n"),
                format!("{key} : {value}\r\n"),
                format!("{key}:      \r\n"),
                format!("Other: {key}: {value}\r\n"),
            ] {
                assert!(parse(&line).is_none(), "{line}");
            }
            let unended = format!("NATS/1.0\r\n{key}: {value}");
            assert!(Headers::parse(unended.as_bytes()).is_none());
            let unversioned = format!("{key}: {value}\r\n");
            assert!(Headers::parse(unversioned.as_bytes()).is_none());
        }
        let short = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-01\r\n";
        assert!(parse(short).is_none());
    }

    #[test]
    fn the_headers_may_stand_anywhere_among_others() {
        let parent = "TrAcEpArEnT:  00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-27  \r\n";
        let wanted = "Nats-Trace-Dest: some.dest\r\n";
        let other = ["Some: value1\r\n", "Some: value2\r\n"];
        for line in [wanted, parent] {
            for at in 0..=2 {
                let mut lines = other.to_vec();
                lines.insert(at, line);
                let headers = parse(&lines.concat()).unwrap();
                assert_eq!(headers.external, line == parent);
                assert_eq!(headers.into_map()["Some"], ["value1", "value2"]);
            }
        }
        for lines in [[wanted, parent], [parent, wanted]] {
            let headers = parse(&lines.concat()).unwrap();
            assert!(!headers.external && headers.into_map().len() == 2);
        }
    }

    #[test]
    fn a_disabled_destination_disables_the_trace_context_too() {
        let lines = "traceparent: 0-1-2-01\r\nNats-Trace-Dest: trace disabled\r\n";
        assert!(parse(lines).is_none());
    }

    #[test]
    fn keys_keep_their_case_and_values_lose_their_blanks() {
        let headers = parse(
            "nats-trace-dest: no\r\nNats-Trace-Dest: \t one \t\r\nNats-Trace-Dest: two\r\n\
             empty:\r\n: x\r\nMiXeD: v\r\n",
        )
        .unwrap();
        assert_eq!(headers.first("Nats-Trace-Dest"), Some("one"));
        let map = headers.into_map();
        assert_eq!(map["Nats-Trace-Dest"], ["one", "two"]);
        assert_eq!(
            (&map["MiXeD"][..], &map["nats-trace-dest"][..]),
            (&["v".to_owned()][..], &["no".to_owned()][..])
        );
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn what_is_not_well_formed_ends_the_headers() {
        assert!(Headers::parse(b"NATS/1.0\r\nNats-Trace-Dest: d").is_none());
        assert!(Headers::parse(b"NATS/1.0 503\r\nNats-Trace-Dest: d\r\n\r\n").is_none());
        assert!(Headers::parse(b"").is_none());
        assert!(parse("A: b\r\nNats-Trace-Dest : d\r\n").is_none(), "a blank before the colon");
        let headers = parse("Nats-Trace-Dest: d\r\nA: b\r\nnonsense\r\n").unwrap();
        assert_eq!(headers.into_map().len(), 2);
    }

    #[test]
    fn trace_only_is_on_in_several_ways() {
        for (value, on) in [
            ("1", true),
            ("true", true),
            ("TRUE", true),
            ("On", true),
            ("0", false),
            ("yes", false),
        ] {
            let headers = parse(&format!("Nats-Trace-Dest: d\r\nNats-Trace-Only: {value}\r\n"));
            assert_eq!(headers.unwrap().asks_for_trace_only(), on, "{value}");
        }
    }
}
