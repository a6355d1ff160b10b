//! Time to live of single messages, and markers for subjects that expired (spec 06 §14.2, §14.4).

use crate::duration;
use crate::headers;
use crate::time::Timestamp;
use crate::types::MessageTtl;
use std::fmt;

/// A `Nats-TTL` that is neither `never`, nor a duration of at least a second, nor a number of
/// seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidTtl;

impl fmt::Display for InvalidTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid per-message TTL")
    }
}

impl std::error::Error for InvalidTtl {}

impl MessageTtl {
    /// Reads the value of a `Nats-TTL` header. `0` is a duration below a second, and so invalid.
    pub fn parse(text: &[u8]) -> Result<MessageTtl, InvalidTtl> {
        if text.eq_ignore_ascii_case(b"never") {
            return Ok(MessageTtl::Never);
        }
        if let Some(nanos) = duration::parse(text) {
            let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| InvalidTtl)?;
            return if seconds == 0 { Err(InvalidTtl) } else { Ok(MessageTtl::Seconds(seconds)) };
        }
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Err(InvalidTtl);
        }
        let digits = std::str::from_utf8(text).map_err(|_| InvalidTtl)?;
        match digits.parse::<i64>().ok().and_then(|seconds| u64::try_from(seconds).ok()) {
            // Only zeros in several digits get here; they count as no time to live.
            Some(0) => Ok(MessageTtl::Unset),
            Some(seconds) => Ok(MessageTtl::Seconds(seconds)),
            None => Err(InvalidTtl),
        }
    }

    /// The time to live a header block names; unset without the field or with an empty one.
    pub fn of_header(header: &[u8]) -> Result<MessageTtl, InvalidTtl> {
        match headers::value(header, headers::TTL) {
            None | Some([]) => Ok(MessageTtl::Unset),
            Some(text) => MessageTtl::parse(text),
        }
    }

    /// When a message stored at `stored` expires, if this makes it expire.
    pub fn expiry(self, stored: Timestamp) -> Option<Timestamp> {
        match self {
            MessageTtl::Seconds(seconds) if seconds > 0 => {
                Some(stored.saturating_add(std::time::Duration::from_secs(seconds)))
            }
            _ => None,
        }
    }
}

/// Whether a header block is that of a delete marker, ours or a key-value client's.
pub fn is_delete_marker(header: &[u8]) -> bool {
    headers::has_value(header, headers::MARKER_REASON)
        || headers::value(header, headers::KV_OPERATION) == Some(b"PURGE")
}

/// The header block of the marker left behind by a subject whose last message expired; the marker
/// itself stays for `ttl_nanos`, in whole seconds.
pub fn max_age_marker(ttl_nanos: i64) -> Vec<u8> {
    let ttl = duration::format(ttl_nanos - ttl_nanos % 1_000_000_000);
    let (reason, ttl_name, rollup) = (headers::MARKER_REASON, headers::TTL, headers::ROLLUP);
    format!("NATS/1.0\r\n{reason}: MaxAge\r\n{ttl_name}: {ttl}\r\n{rollup}: sub\r\n\r\n")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_texts() {
        for (text, expected) in [
            ("never", Ok(MessageTtl::Never)),
            ("NEVER", Ok(MessageTtl::Never)),
            ("1s", Ok(MessageTtl::Seconds(1))),
            ("1.9s", Ok(MessageTtl::Seconds(1))),
            ("2m", Ok(MessageTtl::Seconds(120))),
            ("10", Ok(MessageTtl::Seconds(10))),
            ("0", Err(InvalidTtl)),
            ("00", Ok(MessageTtl::Unset)),
            ("0s", Err(InvalidTtl)),
            ("999ms", Err(InvalidTtl)),
            ("-1s", Err(InvalidTtl)),
            ("-1", Err(InvalidTtl)),
            ("", Err(InvalidTtl)),
            ("soon", Err(InvalidTtl)),
            ("99999999999999999999", Err(InvalidTtl)),
        ] {
            assert_eq!(MessageTtl::parse(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(MessageTtl::of_header(b"NATS/1.0\r\nA: b\r\n\r\n"), Ok(MessageTtl::Unset));
        assert_eq!(
            MessageTtl::of_header(b"NATS/1.0\r\nNats-TTL: 3\r\n\r\n"),
            Ok(MessageTtl::Seconds(3))
        );
    }

    #[test]
    fn expiry_is_whole_seconds_after_storing() {
        let stored = Timestamp::from_nanos(1_500_000_000);
        assert_eq!(
            MessageTtl::Seconds(2).expiry(stored),
            Some(Timestamp::from_nanos(3_500_000_000))
        );
        assert_eq!(MessageTtl::Never.expiry(stored), None);
        assert_eq!(MessageTtl::Unset.expiry(stored), None);
        assert_eq!(
            MessageTtl::Seconds(u64::MAX).expiry(stored),
            Some(Timestamp::from_nanos(i64::MAX))
        );
    }

    #[test]
    fn markers_are_recognised_and_written_exactly() {
        assert_eq!(
            max_age_marker(60_000_000_000),
            b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1m0s\r\nNats-Rollup: sub\r\n\r\n"
        );
        assert!(is_delete_marker(&max_age_marker(1_000_000_000)));
        assert!(is_delete_marker(b"NATS/1.0\r\nKV-Operation: PURGE\r\n\r\n"));
        assert!(!is_delete_marker(b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"));
        assert!(!is_delete_marker(b"NATS/1.0\r\nNats-Marker-Reason:\r\n\r\n"));
        assert!(!is_delete_marker(b""));
    }
}
