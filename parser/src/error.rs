//! What can be wrong with a client's bytes.
//!
//! Every variant ends the connection. Some are answered with an `-ERR` line,
//! the others close silently; all are logged. The texts are the protocol's
//! (spec 01 §2.5-2.7 and §7.1).

use crate::quote::quote;
use crate::state::State;

/// Bytes of input shown in the log line of a parse error.
const SNIPPET_BYTES: usize = 32;

/// Why the bytes of a client connection cannot be accepted. All are the peer's
/// fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// A byte that does not fit the grammar.
    UnexpectedByte {
        /// Where in the grammar the parser was.
        state: State,
        /// Offset of the byte among the bytes that were new in this read.
        index: usize,
        /// The input from that byte on, quoted; see [`snippet`].
        snippet: Box<str>,
    },
    /// A command other than CONNECT while authentication is pending. The parser
    /// did not move: when the connection may go on as the `no_auth_user`, call
    /// it again with `auth_pending` off.
    AuthRequired,
    /// The argument of a control line is longer than the limit.
    MaxControlLine,
    /// The size announced by PUB or HPUB is above the limit.
    MaxPayload {
        /// The raw argument.
        arg: Box<[u8]>,
        /// Whether the verb was HPUB.
        is_hpub: bool,
        /// Announced size in bytes, headers included.
        size: u32,
        /// The limit in bytes.
        limit: i64,
        /// Announced size of the header block in bytes, 0 for PUB.
        header_len: u32,
        /// Offset in the buffer where the message begins, as far as it is
        /// there: a message trace reports this error to the destination named
        /// in the headers.
        payload_start: usize,
    },
    /// HPUB, but headers were not negotiated.
    HeadersNotSupported {
        /// The raw argument.
        arg: Box<[u8]>,
    },
    /// PUB with a wrong number of arguments.
    PubArgs(Box<[u8]>),
    /// PUB with an invalid size.
    PubSize(Box<[u8]>),
    /// HPUB with a wrong number of arguments.
    HpubArgs(Box<[u8]>),
    /// HPUB with an invalid header size.
    HpubHeaderSize(Box<[u8]>),
    /// HPUB with an invalid total size.
    HpubTotalSize(Box<[u8]>),
    /// HPUB with a header size above the total size.
    HpubHeaderOverTotal(Box<[u8]>),
    /// SUB with a wrong number of arguments.
    SubArgs(Box<[u8]>),
    /// UNSUB with a wrong number of arguments.
    UnsubArgs(Box<[u8]>),
}

impl ParseError {
    /// The line for the log, at error level.
    ///
    /// For [`ParseError::AuthRequired`] this is the form without an identity.
    #[must_use]
    pub fn log_text(&self) -> String {
        match self {
            Self::UnexpectedByte { state, index, snippet } => format!(
                "Client parser ERROR, state={}, i={index}: proto='{snippet}...'",
                state.number()
            ),
            Self::AuthRequired => "authentication error".to_owned(),
            Self::MaxControlLine => "maximum control line exceeded".to_owned(),
            Self::MaxPayload { size, limit, .. } => {
                format!("maximum payload exceeded: {size} vs {limit}")
            }
            Self::HeadersNotSupported { .. } => "message headers not supported".to_owned(),
            Self::PubArgs(arg) => format!("processPub Parse Error: {}", quote(arg)),
            Self::PubSize(arg) => format!("processPub Bad or Missing Size: {}", quote(arg)),
            Self::HpubArgs(arg) => format!("processHeaderPub Parse Error: {}", quote(arg)),
            Self::HpubHeaderSize(arg) => {
                format!("processHeaderPub Bad or Missing Header Size: {}", quote(arg))
            }
            Self::HpubTotalSize(arg) => {
                format!("processHeaderPub Bad or Missing Total Size: {}", quote(arg))
            }
            Self::HpubHeaderOverTotal(arg) => {
                format!("processHeaderPub Header Size larger then TotalSize: {}", quote(arg))
            }
            Self::SubArgs(arg) => format!("processSub Parse Error: {}", quote(arg)),
            Self::UnsubArgs(arg) => format!("processUnsub Parse Error: {}", quote(arg)),
        }
    }

    /// The text of the `-ERR` the peer gets, if it gets one before the close.
    #[must_use]
    pub const fn wire_error(&self) -> Option<&'static str> {
        match self {
            Self::UnexpectedByte { .. } => Some("Unknown Protocol Operation"),
            Self::AuthRequired => Some("Authorization Violation"),
            Self::MaxControlLine => Some("maximum control line exceeded"),
            Self::MaxPayload { .. } => Some("Maximum Payload Violation"),
            Self::HeadersNotSupported { .. }
            | Self::PubArgs(_)
            | Self::PubSize(_)
            | Self::HpubArgs(_)
            | Self::HpubHeaderSize(_)
            | Self::HpubTotalSize(_)
            | Self::HpubHeaderOverTotal(_)
            | Self::SubArgs(_)
            | Self::UnsubArgs(_) => None,
        }
    }

    /// Verb and raw argument of the command that failed, for protocol tracing:
    /// a command whose line was complete is traced before it is judged. `None`
    /// for errors found before that point.
    #[must_use]
    pub fn traced_op(&self) -> Option<(&'static str, &[u8])> {
        match self {
            Self::UnexpectedByte { .. } | Self::AuthRequired | Self::MaxControlLine => None,
            Self::MaxPayload { arg, is_hpub: true, .. } | Self::HeadersNotSupported { arg } => {
                Some(("HPUB", arg))
            }
            Self::MaxPayload { arg, .. } => Some(("PUB", arg)),
            Self::PubArgs(arg) | Self::PubSize(arg) => Some(("PUB", arg)),
            Self::HpubArgs(arg)
            | Self::HpubHeaderSize(arg)
            | Self::HpubTotalSize(arg)
            | Self::HpubHeaderOverTotal(arg) => Some(("HPUB", arg)),
            Self::SubArgs(arg) => Some(("SUB", arg)),
            Self::UnsubArgs(arg) => Some(("UNSUB", arg)),
        }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.log_text())
    }
}

impl std::error::Error for ParseError {}

/// The input shown in the log for a wrong byte at `start`: 32 bytes, quoted.
///
/// When fewer remain, the last byte of the buffer is left out; nothing left
/// gives an empty pair of quotes (spec 01 §2.5).
#[must_use]
pub fn snippet(buf: &[u8], start: usize) -> String {
    let rest = buf.get(start..).unwrap_or_default();
    let shown = rest.get(..SNIPPET_BYTES).or_else(|| rest.split_last().map(|(_, shown)| shown));
    quote(shown.unwrap_or_default())
}
