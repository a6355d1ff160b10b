//! The reply subject of a fast batch's messages, which tells all about them:
//! `<prefix>.<id>.<flow>.<gap>.<sequence>.<operation>.$FI`.

use crate::headers;
use crate::stream::publish_headers::number;
use bytes::Bytes;
use serde::Deserialize;

const SUFFIX: &[u8] = b".$FI";
/// How replies start that an import put in place of the publisher's.
const SERVICE_REPLY: &[u8] = b"_R_.";
/// The interval of acknowledgements for a publisher that does not name one.
const DEFAULT_FLOW: u16 = 10;

/// What is done with a message of a fast batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Store it.
    Append,
    /// Store it and end the batch.
    Commit,
    /// End the batch.
    CommitWithout,
    /// Say how far the batch is.
    Ping,
}

/// The place of a message in a fast batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FastReply {
    /// The batch.
    pub(crate) id: Bytes,
    /// The largest interval of acknowledgements the publisher takes.
    pub(crate) flow: u16,
    /// Whether messages may get lost on the way.
    pub(crate) gap_ok: bool,
    /// The message's number, from 1.
    pub(crate) sequence: u64,
    /// What to do with it.
    pub(crate) operation: Operation,
}

impl FastReply {
    /// What the reply subject says: `None` when it is not that of a fast batch, `Some(None)` when
    /// it is but cannot be read. The publisher's own reply counts when an import replaced it.
    pub(crate) fn of(reply: &Bytes, header: &[u8]) -> Option<Option<FastReply>> {
        if reply.ends_with(SUFFIX) && reply.len() > SUFFIX.len() {
            return Some(Self::parse(reply));
        }
        if !reply.starts_with(SERVICE_REPLY) {
            return None;
        }
        #[derive(Deserialize)]
        struct RequestInfo {
            reply: Option<String>,
        }
        let info = headers::value(header, headers::REQUEST_INFO)?;
        let info: RequestInfo = serde_json::from_slice(info).ok()?;
        let original = Bytes::from(info.reply?);
        let is_fast = original.ends_with(SUFFIX) && original.len() > SUFFIX.len();
        is_fast.then(|| Self::parse(&original))
    }

    fn parse(reply: &Bytes) -> Option<FastReply> {
        let subject = reply.strip_suffix(SUFFIX)?;
        let mut tokens = subject.rsplitn(6, |byte| *byte == b'.');
        let operation = tokens.next()?;
        let sequence = tokens.next()?;
        let gap = tokens.next()?;
        let flow = tokens.next()?;
        let id = tokens.next()?;
        // Something must precede the id.
        tokens.next()?;
        // The highest number is left out so that counting on from it is safe.
        let sequence = number(sequence).filter(|number| !matches!(*number, 0 | u64::MAX))?;
        let operation = match (number(operation)?, sequence) {
            (0, 1) => Operation::Append,
            (1, 2..) => Operation::Append,
            (2, _) => Operation::Commit,
            (3, 2..) => Operation::CommitWithout,
            (4, _) => Operation::Ping,
            _ => return None,
        };
        let gap_ok = match gap {
            b"ok" => true,
            b"fail" => false,
            _ => return None,
        };
        let flow = match flow {
            digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                u16::try_from(number(digits).unwrap_or(u64::MAX)).unwrap_or(u16::MAX)
            }
            _ => 0,
        };
        let flow = if flow == 0 { DEFAULT_FLOW } else { flow };
        Some(FastReply { id: reply.slice_ref(id), flow, gap_ok, sequence, operation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(reply: &str) -> Option<Option<FastReply>> {
        FastReply::of(&Bytes::copy_from_slice(reply.as_bytes()), b"")
    }

    fn reply(flow: u16, gap_ok: bool, sequence: u64, operation: Operation) -> FastReply {
        FastReply { id: Bytes::from_static(b"id"), flow, gap_ok, sequence, operation }
    }

    #[test]
    fn every_token_is_read_from_the_end() {
        for (text, expected) in [
            ("_INBOX.a.b.id.5.ok.1.0.$FI", reply(5, true, 1, Operation::Append)),
            ("p.id.0.fail.2.1.$FI", reply(10, false, 2, Operation::Append)),
            ("p.id.x.fail.2.2.$FI", reply(10, false, 2, Operation::Commit)),
            ("p.id.70000.fail.1.2.$FI", reply(65535, false, 1, Operation::Commit)),
            ("p.id.1.ok.2.3.$FI", reply(1, true, 2, Operation::CommitWithout)),
            ("p.id.1.ok.9.4.$FI", reply(1, true, 9, Operation::Ping)),
        ] {
            assert_eq!(parse(text), Some(Some(expected)), "{text}");
        }
    }

    #[test]
    fn patterns_that_make_no_sense_are_told_apart_from_other_replies() {
        for text in [
            "p.id.1.ok.1.5.$FI",
            "p.id.1.ok.1.x.$FI",
            "p.id.1.ok.2.0.$FI",
            "p.id.1.ok.1.1.$FI",
            "p.id.1.ok.1.3.$FI",
            "p.id.1.ok.0.4.$FI",
            "p.id.1.ok.18446744073709551615.1.$FI",
            "p.id.1.maybe.1.0.$FI",
            "id.1.ok.1.0.$FI",
            "ok.1.0.$FI",
            "x.$FI",
        ] {
            assert_eq!(parse(text), Some(None), "{text}");
        }
        for text in ["", ".$FI", "$FI", "_INBOX.a", "p.id.1.ok.1.0.$FJ"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn reply_replaced_by_an_import_is_found_in_the_request_info() {
        let header =
            b"NATS/1.0\r\nNats-Request-Info: {\"acc\":\"A\",\"reply\":\"p.id.5.ok.1.0.$FI\"}\r\n\r\n";
        let of = |reply: &'static str, header| FastReply::of(&Bytes::from(reply), header);
        let expected = Some(Some(reply(5, true, 1, Operation::Append)));
        assert_eq!(of("_R_.x.y", header), expected);
        assert_eq!(of("_INBOX.x", header), None);
        assert_eq!(of("_R_.x.y", b""), None);
        assert_eq!(of("_R_.x", b"NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n"), None);
    }
}
