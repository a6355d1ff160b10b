//! The answers to publishers, byte for byte (spec 07a §A7.1, §A10).

use crate::api_error::{ApiError, ErrorKind};
use crate::gojson;
use crate::quote::quote_into;
use crate::types::StreamSequence;
use bytes::Bytes;
use serde::Serialize;
use std::io::Write;

/// What follows the sequence of an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tail<'a> {
    /// Nothing: a message of its own.
    Plain,
    /// The message was there before.
    Duplicate,
    /// The end of a batch.
    Batch { id: &'a [u8], count: u64 },
    /// A batch of one message, which was there before.
    DuplicateBatch { id: &'a [u8], count: u64 },
    /// A counter, with its new value.
    Counter(&'a str),
}

/// Writes the acknowledgements of one stream.
#[derive(Clone, Debug)]
pub(super) struct AckWriter {
    stream: String,
    /// All up to the sequence.
    prefix: Vec<u8>,
}

#[derive(Serialize)]
struct ErrorAck<'a> {
    error: &'a ApiError,
    stream: &'a str,
    seq: u64,
}

fn decimal_len(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

impl AckWriter {
    pub(super) fn new(stream: &str, domain: Option<&str>) -> Self {
        let mut prefix = b"{\"stream\":".to_vec();
        quote_into(&mut prefix, stream.as_bytes());
        if let Some(domain) = domain {
            prefix.extend_from_slice(b",\"domain\":");
            quote_into(&mut prefix, domain.as_bytes());
        }
        prefix.extend_from_slice(b",\"seq\":");
        AckWriter { stream: stream.to_owned(), prefix }
    }

    /// The acknowledgement of a message. A plain one is a single allocation.
    pub(super) fn ack(&self, sequence: StreamSequence, tail: Tail<'_>) -> Bytes {
        let number = sequence.get();
        let mut out = Vec::with_capacity(self.prefix.len() + decimal_len(number) + 1);
        out.extend_from_slice(&self.prefix);
        put_number(&mut out, number);
        match tail {
            Tail::Plain => out.push(b'}'),
            Tail::Duplicate => out.extend_from_slice(b",\"duplicate\": true}"),
            Tail::Batch { id, count } => put_batch(&mut out, id, count),
            Tail::DuplicateBatch { id, count } => {
                out.extend_from_slice(b",\"duplicate\": true");
                put_batch(&mut out, id, count);
            }
            Tail::Counter(value) => {
                out.extend_from_slice(b",\"val\":");
                quote_into(&mut out, value.as_bytes());
                out.push(b'}');
            }
        }
        out.into()
    }

    /// The answer to a message that is not taken.
    pub(super) fn error(&self, error: &ApiError) -> Bytes {
        let ack = ErrorAck { error, stream: &self.stream, seq: 0 };
        gojson::to_vec(&ack).unwrap_or_default().into()
    }

    /// The answer to a message that was dropped because too many came in at once.
    pub(super) fn too_many_requests(&self) -> Bytes {
        self.error(&ErrorKind::StreamTooManyRequests.into())
    }
}

fn put_batch(out: &mut Vec<u8>, id: &[u8], count: u64) {
    out.extend_from_slice(b",\"batch\":");
    quote_into(out, id);
    out.extend_from_slice(b",\"count\":");
    put_number(out, count);
    out.push(b'}');
}

/// Tells a fast publisher that its messages up to `sequence` are stored, and when to expect the
/// next word.
pub(super) fn flow_ack(sequence: u64, messages: u16) -> Bytes {
    format!("{{\"type\":\"ack\",\"seq\":{sequence},\"msgs\":{messages}}}").into()
}

/// Tells a fast publisher that messages from `expected` up to `received` got lost.
pub(super) fn flow_gap(expected: u64, received: u64) -> Bytes {
    format!("{{\"type\":\"gap\",\"last_seq\":{expected},\"seq\":{received}}}").into()
}

/// Tells a fast publisher that its message `sequence` is not taken.
pub(super) fn flow_error(sequence: u64, error: &ApiError) -> Bytes {
    #[derive(Serialize)]
    struct FlowError<'a> {
        r#type: &'static str,
        seq: u64,
        error: &'a ApiError,
    }
    let error = FlowError { r#type: "err", seq: sequence, error };
    gojson::to_vec(&error).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: u64) -> StreamSequence {
        StreamSequence::new(number)
    }

    #[test]
    fn acknowledgements_have_the_exact_bytes() {
        let writer = AckWriter::new("S", None);
        let batch = Tail::Batch { id: b"id", count: 3 };
        let repeated = Tail::DuplicateBatch { id: b"id", count: 1 };
        for (number, tail, expected) in [
            (1, Tail::Plain, r#"{"stream":"S","seq":1}"#),
            (u64::MAX, Tail::Plain, r#"{"stream":"S","seq":18446744073709551615}"#),
            (7, Tail::Duplicate, r#"{"stream":"S","seq":7,"duplicate": true}"#),
            (9, batch, r#"{"stream":"S","seq":9,"batch":"id","count":3}"#),
            (9, repeated, r#"{"stream":"S","seq":9,"duplicate": true,"batch":"id","count":1}"#),
            (9, Tail::Counter("12"), r#"{"stream":"S","seq":9,"val":"12"}"#),
        ] {
            assert_eq!(writer.ack(sequence(number), tail), expected);
        }
        let writer = AckWriter::new("S", Some("D"));
        assert_eq!(writer.ack(sequence(0), Tail::Plain), r#"{"stream":"S","domain":"D","seq":0}"#);
    }

    #[test]
    fn plain_acknowledgement_fills_its_allocation() {
        for number in [0, 1, 9, 10, 99, 100, u64::MAX] {
            let ack = AckWriter::new("ORDERS", None).ack(sequence(number), Tail::Plain);
            assert_eq!(ack.len(), r#"{"stream":"ORDERS","seq":}"#.len() + decimal_len(number));
        }
    }

    #[test]
    fn errors_name_the_stream_but_not_the_domain() {
        let writer = AckWriter::new("S", Some("D"));
        assert_eq!(
            writer.error(&ErrorKind::StreamWrongLastSequence.with(5)),
            concat!(
                r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"#,
                r#""stream":"S","seq":0}"#
            )
        );
        assert_eq!(
            writer.too_many_requests(),
            concat!(
                r#"{"error":{"code":429,"err_code":10167,"description":"too many requests"},"#,
                r#""stream":"S","seq":0}"#
            )
        );
    }

    #[test]
    fn flow_messages_have_the_exact_bytes() {
        assert_eq!(flow_ack(10, 500), r#"{"type":"ack","seq":10,"msgs":500}"#);
        assert_eq!(flow_gap(2, 5), r#"{"type":"gap","last_seq":2,"seq":5}"#);
        assert_eq!(
            flow_error(3, &ErrorKind::StreamNotMatch.into()),
            concat!(
                r#"{"type":"err","seq":3,"error":{"code":400,"err_code":10060,"#,
                r#""description":"expected stream does not match"}}"#
            )
        );
    }
}
