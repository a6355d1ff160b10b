//! Counters: messages that add to a number held per subject (spec 07a §A7.7).

use crate::api_error::{ApiError, ErrorKind};
use crate::gojson;
use crate::headers;
use num_bigint::BigInt;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a counter got from each subject of each of its origins.
/// A `null` in place of an origin's subjects stays one until the origin is heard of.
pub(super) type CounterSources = BTreeMap<String, Option<BTreeMap<String, String>>>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct CounterValue {
    val: Option<String>,
}

/// The state of one counter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Counter {
    pub(super) total: BigInt,
    sources: CounterSources,
}

/// A decimal number of any size with an optional sign.
fn parse(text: &[u8]) -> Option<BigInt> {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    BigInt::parse_bytes(text, 10)
}

/// A number that counts as 0 when it is missing or damaged.
fn parse_or_zero(text: &str) -> BigInt {
    parse(text.as_bytes()).unwrap_or_default()
}

/// The increment a header names; `Ok(None)` without one.
///
/// # Errors
/// `10171` when it is no number.
pub(super) fn increment(value: Option<&[u8]>) -> Result<Option<BigInt>, ApiError> {
    match value {
        None | Some([]) => Ok(None),
        Some(text) => match parse(text) {
            Some(increment) => Ok(Some(increment)),
            None => Err(ErrorKind::MessageIncrInvalid.into()),
        },
    }
}

/// The value in a counter's payload; empty when it has none.
pub(super) fn value_of(payload: &[u8]) -> String {
    read_value(payload).unwrap_or_default()
}

fn read_value(payload: &[u8]) -> Result<String, ApiError> {
    serde_json::from_slice::<Option<CounterValue>>(payload)
        .map(|value| value.unwrap_or_default().val.unwrap_or_default())
        .map_err(|_| ErrorKind::MessageCounterBroken.into())
}

impl Counter {
    /// The counter as its last message has it.
    ///
    /// # Errors
    /// `10172` when the message is no counter.
    pub(super) fn of_message(header: &[u8], payload: &[u8]) -> Result<Counter, ApiError> {
        let total = parse_or_zero(&read_value(payload)?);
        let sources = match headers::value(header, headers::COUNTER_SOURCES) {
            None | Some([]) => CounterSources::new(),
            Some(json) => serde_json::from_slice::<Option<CounterSources>>(json)
                .map_err(|_| ApiError::from(ErrorKind::MessageCounterBroken))?
                .unwrap_or_default(),
        };
        Ok(Counter { total, sources })
    }

    /// Adds `increment`, or what a sourced message has more than the last one of its source, and
    /// gives the header and payload to store.
    ///
    /// # Errors
    /// `10172` when a sourced message is no counter.
    pub(super) fn add(
        &mut self,
        increment: BigInt,
        stream_source: Option<&[u8]>,
        subject: &[u8],
        header: &[u8],
        payload: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), ApiError> {
        let mut header = header.to_vec();
        let increment = match stream_source {
            None | Some([]) => increment,
            Some(source) => {
                let source = String::from_utf8_lossy(source);
                let mut fields = source.split(' ');
                let origin = fields.next().unwrap_or_default();
                let text = String::from_utf8_lossy(subject);
                // Fields two to four are the sequence, the filter and the destination.
                let origin_subject = fields.nth(3).unwrap_or(&text);
                let value = parse_or_zero(&read_value(payload)?);
                let known = self
                    .sources
                    .entry(origin.to_owned())
                    .or_default()
                    .get_or_insert_default()
                    .entry(origin_subject.to_owned())
                    .or_default();
                let difference = &value - parse_or_zero(known);
                *known = value.to_string();
                headers::set(&mut header, headers::INCREMENT, &difference.to_string());
                difference
            }
        };
        self.total += increment;
        if !self.sources.is_empty() {
            let json = gojson::to_vec(&self.sources)
                .map_err(|_| ApiError::from(ErrorKind::MessageCounterBroken))?;
            let json = String::from_utf8_lossy(&json);
            headers::set(&mut header, headers::COUNTER_SOURCES, &json);
        }
        Ok((header, format!("{{\"val\":\"{}\"}}", self.total).into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("text")
    }

    #[test]
    fn increments_have_an_optional_sign_and_any_size() {
        let large = "9".repeat(60);
        for (given, expected) in [
            ("1", Some("1")),
            ("+1", Some("1")),
            ("-12", Some("-12")),
            ("007", Some("7")),
            (large.as_str(), Some(large.as_str())),
            ("1.5", None),
            ("1_000", None),
            ("+", None),
            ("+-1", None),
            (" 1", None),
            ("x", None),
        ] {
            let parsed = increment(Some(given.as_bytes()));
            match expected {
                Some(number) => {
                    assert_eq!(parsed.expect("valid").expect("there").to_string(), number);
                }
                None => assert_eq!(parsed.expect_err("invalid").err_code, 10171, "{given}"),
            }
        }
        assert_eq!(increment(None), Ok(None));
        assert_eq!(increment(Some(b"")), Ok(None));
    }

    #[test]
    fn totals_add_up() {
        let mut counter = Counter::default();
        let header = b"NATS/1.0\r\nNats-Incr: 5\r\n\r\n";
        let (stored, payload) = counter.add(5.into(), None, b"a", header, b"").expect("added");
        assert_eq!((stored.as_slice(), text(&payload)), (&header[..], r#"{"val":"5"}"#));
        let mut counter = Counter::of_message(&stored, &payload).expect("a counter");
        let (_, payload) = counter.add((-7).into(), None, b"a", header, b"").expect("added");
        assert_eq!(text(&payload), r#"{"val":"-2"}"#);
        assert_eq!(value_of(&payload), "-2");
    }

    #[test]
    fn sourced_totals_are_taken_over_as_differences() {
        let sourced = |counter: &mut Counter, value: &str| {
            let source = b"O 3 > > a.b";
            let header = b"NATS/1.0\r\nNats-Incr: 1\r\nNats-Stream-Source: O 3 > > a.b\r\n\r\n";
            let payload = format!(r#"{{"val":"{value}"}}"#);
            counter.add(1.into(), Some(source), b"x", header, payload.as_bytes()).expect("added")
        };
        let mut counter = Counter { total: 100.into(), ..Counter::default() };
        let (_, payload) = sourced(&mut counter, "10");
        assert_eq!(text(&payload), r#"{"val":"110"}"#);
        let (header, payload) = sourced(&mut counter, "25");
        assert_eq!(text(&payload), r#"{"val":"125"}"#);
        assert_eq!(
            text(&header),
            "NATS/1.0\r\nNats-Incr: 15\r\nNats-Stream-Source: O 3 > > a.b\r\n\
             Nats-Counter-Sources: {\"O\":{\"a.b\":\"25\"}}\r\n\r\n"
        );
        assert_eq!(Counter::of_message(&header, &payload), Ok(counter));
    }

    #[test]
    fn origin_without_subjects_is_filled_in_when_it_is_heard_of() {
        let header = b"NATS/1.0\r\nNats-Counter-Sources: {\"O\":null}\r\n\r\n";
        let mut counter = Counter::of_message(header, br#"{"val":"1"}"#).expect("a counter");
        let (kept, _) = counter.add(1.into(), None, b"a", header, b"").expect("added");
        assert_eq!(kept, header);
        let payload = br#"{"val":"5"}"#;
        let (header, payload) =
            counter.add(5.into(), Some(b"O 1 > > a.b"), b"a", b"", payload).expect("added");
        assert_eq!(text(&payload), r#"{"val":"7"}"#);
        assert!(text(&header).contains(r#"Nats-Counter-Sources: {"O":{"a.b":"5"}}"#));
        let null = b"NATS/1.0\r\nNats-Counter-Sources: null\r\n\r\n";
        assert!(Counter::of_message(null, br#"{"val":"1"}"#).is_ok());
    }

    #[test]
    fn damaged_counters_are_told() {
        assert_eq!(Counter::of_message(b"", b"x").expect_err("damaged").err_code, 10172);
        assert_eq!(Counter::of_message(b"", b"{}").expect("empty").total, BigInt::default());
        let header = b"NATS/1.0\r\nNats-Counter-Sources: x\r\n\r\n";
        let error = Counter::of_message(header, br#"{"val":"1"}"#).expect_err("damaged");
        assert_eq!(error.err_code, 10172);
        let broken = Counter::default().add(1.into(), Some(b"O 1"), b"a", b"", b"?");
        assert_eq!(broken.expect_err("damaged").err_code, 10172);
    }
}
