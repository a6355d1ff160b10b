//! Texts of trace lines, behind the connection label ("spec 01, 13.2" and "spec 02, 10.6").
//!
//! Everything here is a `Display` value, so that nothing is rendered unless the trace switch is
//! on. Bytes that are not UTF-8 show as U+FFFD in operations and escaped in payloads.

use std::fmt::{self, Display};

use parser::quote::{Quoted, write_escaped};

/// Which way a traced operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the connection to the server.
    Inbound,
    /// From the server to the connection.
    Outbound,
    /// Neither: the server's own bookkeeping, as for `DELSUB`.
    Internal,
}

impl Direction {
    fn arrow(self) -> &'static str {
        match self {
            Direction::Inbound => "<<-",
            Direction::Outbound => "->>",
            Direction::Internal => "<->",
        }
    }
}

/// A protocol operation: `<<- [OP args]`, or `<<- [OP]` without arguments.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// The verb.
    pub verb: &'a str,
    /// The raw arguments, without CR.
    pub arguments: Option<&'a [u8]>,
}

impl Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}", self.direction.arrow(), self.verb)?;
        if let Some(arguments) = self.arguments {
            f.write_str(" ")?;
            for chunk in arguments.utf8_chunks() {
                f.write_str(chunk.valid())?;
                if !chunk.invalid().is_empty() {
                    f.write_str("\u{fffd}")?;
                }
            }
        }
        f.write_str("]")
    }
}

/// A payload: `<<- MSG_PAYLOAD: ["…"]`.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    direction: Direction,
    shown: &'a [u8],
    cut: bool,
}

impl<'a> Payload<'a> {
    /// The trace of a message, or None when there is nothing to show.
    ///
    /// `message` is header block and payload without the final CRLF, `header_bytes` the size of
    /// the header block (0 without one). `max_bytes` is the option `max_traced_msg_len`, where 0
    /// means no limit; `headers_only` the option `trace_headers`.
    pub fn new(
        direction: Direction,
        message: &'a [u8],
        header_bytes: usize,
        max_bytes: usize,
        headers_only: bool,
    ) -> Option<Self> {
        let mut shown = message;
        if headers_only {
            // The block ends with CRLF of its last line and the CRLF that closes it.
            shown = message.get(..header_bytes)?;
            shown = shown.get(..shown.len().checked_sub(4)?)?;
        }
        if shown.is_empty() {
            return None;
        }
        match shown.get(..max_bytes) {
            Some(head) if max_bytes > 0 && max_bytes < shown.len() => {
                Some(Payload { direction, shown: head, cut: true })
            }
            _ => Some(Payload { direction, shown, cut: false }),
        }
    }
}

impl Display for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = self.direction.arrow();
        if self.cut {
            write!(f, "{arrow} MSG_PAYLOAD: [\"")?;
            write_escaped(f, self.shown)?;
            f.write_str("...\"]")
        } else {
            write!(f, "{arrow} MSG_PAYLOAD: [{}]", Quoted(self.shown))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(direction: Direction, verb: &str, arguments: Option<&str>) -> String {
        let arguments = arguments.map(str::as_bytes);
        Operation { direction, verb, arguments }.to_string()
    }

    fn payload(message: &str, header: usize, max: usize, headers_only: bool) -> Option<String> {
        let payload =
            Payload::new(Direction::Inbound, message.as_bytes(), header, max, headers_only);
        payload.map(|payload| payload.to_string())
    }

    #[test]
    fn operations_show_direction_verb_and_arguments() {
        assert_eq!(operation(Direction::Inbound, "PUB", Some("foo 5")), "<<- [PUB foo 5]");
        assert_eq!(operation(Direction::Outbound, "PONG", None), "->> [PONG]");
        assert_eq!(operation(Direction::Internal, "DELSUB", Some("1")), "<-> [DELSUB 1]");
    }

    #[test]
    fn payloads_are_quoted_and_cut_at_the_maximum() {
        let table = [
            ("normal", 0, 10, Some(r#"<<- MSG_PAYLOAD: ["normal"]"#)),
            ("over length", 0, 10, Some(r#"<<- MSG_PAYLOAD: ["over lengt..."]"#)),
            ("ten bytes!", 0, 10, Some(r#"<<- MSG_PAYLOAD: ["ten bytes!"]"#)),
            ("unlimited length", 0, 0, Some(r#"<<- MSG_PAYLOAD: ["unlimited length"]"#)),
            ("a\tb\"", 0, 0, Some(r#"<<- MSG_PAYLOAD: ["a\tb\""]"#)),
            ("", 0, 10, None),
        ];
        for (message, header, max, expected) in table {
            assert_eq!(payload(message, header, max, false).as_deref(), expected);
        }
    }

    #[test]
    fn headers_only_shows_the_block_without_its_end() {
        let message = "NATS/1.0\r\nFoo: 1\r\n\r\npayload";
        assert_eq!(
            payload(message, 20, 0, true).as_deref(),
            Some(r#"<<- MSG_PAYLOAD: ["NATS/1.0\r\nFoo: 1"]"#)
        );
        assert_eq!(
            payload(message, 20, 8, true).as_deref(),
            Some(r#"<<- MSG_PAYLOAD: ["NATS/1.0..."]"#)
        );
        assert_eq!(payload("payload", 0, 0, true), None);
        assert_eq!(payload("short", 22, 0, true), None);
    }
}
