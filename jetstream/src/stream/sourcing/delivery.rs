//! What can be read from the messages of an origin's consumer: the place a delivery has in the
//! origin, and the header by which a stored message tells where it came from
//! (spec 07a §A11.2, §A11.3; ack replies: spec 07b §B3.2).

use crate::stream::publish_headers::number;
use crate::time::Timestamp;
use smallvec::SmallVec;

/// Tokens of the short form of an ack reply: `$JS.ACK.<stream>.<consumer>.…`.
const SHORT_LEN: usize = 9;
/// Least tokens of the long form, which has domain and account before the stream.
const LONG_LEN: usize = 11;

/// The place of a delivery, from the reply subject that acknowledges it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) stream: &'a [u8],
    pub(super) consumer: &'a [u8],
    /// How often the message was delivered.
    pub(super) deliveries: u64,
    pub(super) stream_sequence: u64,
    pub(super) consumer_sequence: u64,
    /// When the origin stored the message.
    pub(super) timestamp: Timestamp,
    /// How many messages are to follow.
    pub(super) pending: u64,
}

impl<'a> Delivery<'a> {
    /// Reads a reply subject; `None` when it is none of an acknowledgement.
    pub(super) fn of_reply(reply: &'a [u8]) -> Option<Self> {
        let tokens: SmallVec<[&[u8]; 12]> = reply.split(|byte| *byte == b'.').collect();
        let skip = match tokens.len() {
            SHORT_LEN => 2,
            LONG_LEN.. => 4,
            _ => return None,
        };
        if tokens[..2] != [&b"$JS"[..], b"ACK"] {
            return None;
        }
        let [stream, consumer, deliveries, stream_sequence, consumer_sequence, time, pending, ..] =
            tokens.get(skip..)?
        else {
            return None;
        };
        Some(Delivery {
            stream,
            consumer,
            deliveries: number(deliveries)?,
            stream_sequence: number(stream_sequence)?,
            consumer_sequence: number(consumer_sequence)?,
            timestamp: Timestamp::from_nanos(i64::try_from(number(time)?).ok()?),
            pending: number(pending)?,
        })
    }
}

/// Whether a message is none of the origin's but its consumer's: a heartbeat, or flow control.
pub(super) fn is_control(header: &[u8], payload: &[u8]) -> bool {
    payload.is_empty() && header.starts_with(b"NATS/1.0 100 ")
}

/// The value of `Nats-Stream-Source` for a message of the source with this index name.
pub(super) fn source_header(index_name: &str, sequence: u64, subject: &[u8]) -> String {
    let mut parts = index_name.splitn(2, ' ');
    let origin = parts.next().unwrap_or_default();
    let filters = parts.next().unwrap_or_default();
    format!("{origin} {sequence} {filters} {}", String::from_utf8_lossy(subject))
}

/// Which source a stored message is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum StoredFrom {
    /// The source with this index name.
    Source(String),
    /// Any source with an origin of this name: written before sources had filters.
    Origin(String),
}

/// Reads the value of `Nats-Stream-Source`, in its present form and two older ones: the source,
/// and the sequence the message had in its origin.
pub(super) fn read_source_header(value: &[u8]) -> Option<(StoredFrom, u64)> {
    if value.starts_with(b"$JS.ACK.") {
        let delivery = Delivery::of_reply(value)?;
        let origin = String::from_utf8_lossy(delivery.stream).into_owned();
        return Some((StoredFrom::Origin(origin), delivery.stream_sequence));
    }
    let value = String::from_utf8_lossy(value);
    let fields: SmallVec<[&str; 5]> = value.split(' ').collect();
    match fields.as_slice() {
        [origin, sequence] => {
            Some((StoredFrom::Origin((*origin).to_owned()), number(sequence.as_bytes())?))
        }
        [origin, sequence, filters, destinations, ..] => Some((
            StoredFrom::Source(format!("{origin} {filters} {destinations}")),
            number(sequence.as_bytes())?,
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_ack_replies_are_read() {
        let expected = Delivery {
            stream: b"O",
            consumer: b"C",
            deliveries: 1,
            stream_sequence: 7,
            consumer_sequence: 5,
            timestamp: Timestamp::from_nanos(1_700_000_000_000_000_000),
            pending: 3,
        };
        for reply in [
            &b"$JS.ACK.O.C.1.7.5.1700000000000000000.3"[..],
            b"$JS.ACK.hub.hash.O.C.1.7.5.1700000000000000000.3",
            b"$JS.ACK._.hash.O.C.1.7.5.1700000000000000000.3.random",
        ] {
            assert_eq!(Delivery::of_reply(reply), Some(expected));
        }
        for reply in [
            &b""[..],
            b"$JS.ACK.O.C.1.7.5.1700000000000000000",
            b"$JS.ACK.O.C.1.7.5.1700000000000000000.3.x",
            b"$JS.NAK.O.C.1.7.5.1700000000000000000.3",
            b"$JS.ACK.O.C.1.x.5.1700000000000000000.3",
            b"$JS.ACK.O.C.1.7.5.99999999999999999999.3",
        ] {
            assert_eq!(Delivery::of_reply(reply), None);
        }
    }

    #[test]
    fn source_headers_read_back() {
        let value = source_header("O:hash a.*\x0cb > x", 42, b"a.1");
        assert_eq!(value, "O:hash 42 a.*\x0cb > x a.1");
        let value = source_header("O a.* >", 42, b"a.1");
        assert_eq!(value, "O 42 a.* > a.1");
        let from = StoredFrom::Source("O a.* >".to_owned());
        assert_eq!(read_source_header(value.as_bytes()), Some((from, 42)));
        let origin = || StoredFrom::Origin("O".to_owned());
        assert_eq!(read_source_header(b"O 7"), Some((origin(), 7)));
        assert_eq!(read_source_header(b"$JS.ACK.O.C.1.7.5.1.3"), Some((origin(), 7)));
        for damaged in [&b""[..], b"O", b"O x", b"O 7 >", b"O x > >", b"$JS.ACK.O"] {
            assert_eq!(read_source_header(damaged), None);
        }
    }

    #[test]
    fn control_messages_have_status_100_and_no_payload() {
        assert!(is_control(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b""));
        assert!(!is_control(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b"x"));
        assert!(!is_control(b"NATS/1.0\r\nA: b\r\n\r\n", b""));
        assert!(!is_control(b"", b""));
    }
}
