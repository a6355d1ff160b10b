//! Texts of protocol trace lines: what was received or sent, with the secrets of
//! a CONNECT taken out and payloads cut to a configured length.
//!
//! Texts are bytes, because subjects and arguments are; they go to the log
//! behind the connection's label. Implements spec 01 §13.2.

use std::borrow::Cow;

use crate::quote::quote_into;

const REDACTED: &[u8] = b"[REDACTED]";

/// Which way a traced operation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received from the peer.
    Inbound,
    /// Sent to the peer.
    Outbound,
    /// Neither: a subscription was removed.
    Internal,
}

impl Direction {
    const fn arrow(self) -> &'static str {
        match self {
            Self::Inbound => "<<-",
            Self::Outbound => "->>",
            Self::Internal => "<->",
        }
    }
}

/// What the operator wants to see of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadOptions {
    /// Longest payload shown in full, in bytes; 0 is unlimited
    /// (`max_traced_msg_len`).
    pub max_len: usize,
    /// Whether only headers are shown (`trace_headers`).
    pub headers_only: bool,
}

/// The line of an operation: `<<- [PUB foo 5]`, `->> [PONG]`.
#[must_use]
pub fn operation(direction: Direction, op: &str, arg: Option<&[u8]>) -> Vec<u8> {
    let mut line = Vec::with_capacity(8 + op.len() + arg.map_or(0, <[u8]>::len));
    line.extend_from_slice(direction.arrow().as_bytes());
    line.extend_from_slice(b" [");
    line.extend_from_slice(op.as_bytes());
    if let Some(arg) = arg {
        line.push(b' ');
        line.extend_from_slice(arg);
    }
    line.push(b']');
    line
}

/// The line of a message's content: `<<- MSG_PAYLOAD: ["hello"]`. `None` when
/// there is nothing to show.
///
/// `payload` is headers and body without the final `CR LF`, `header_len` the
/// length of the headers in bytes.
#[must_use]
pub fn payload(
    direction: Direction,
    payload: &[u8],
    header_len: usize,
    options: PayloadOptions,
) -> Option<String> {
    let shown = match options.headers_only {
        false => payload,
        true => {
            // The headers' last line end and the empty line are not shown.
            let headers = payload.get(..header_len)?;
            headers.get(..headers.len().checked_sub(b"\r\n\r\n".len())?)?
        }
    };
    if shown.is_empty() {
        return None;
    }
    let cut = shown.get(..options.max_len).filter(|cut| !cut.is_empty() && cut.len() < shown.len());
    let mut line = format!("{} MSG_PAYLOAD: [\"", direction.arrow());
    quote_into(&mut line, cut.unwrap_or(shown));
    line.push_str(if cut.is_some() { "...\"]" } else { "\"]" });
    Some(line)
}

/// The argument of a CONNECT with its secrets replaced by `[REDACTED]`.
///
/// Values of keys that begin with `auth_token` or `pass`, and of the keys `sig`,
/// `proxy_sig` and `nkey`. The argument need not be valid JSON, so this looks
/// for `key : value` and `key = value` wherever they stand; better one secret
/// too many than one too few.
#[must_use]
pub fn redact_connect(arg: &[u8]) -> Cow<'_, [u8]> {
    match redact(arg, next_prefixed_secret) {
        Cow::Borrowed(arg) => redact(arg, next_exact_secret),
        Cow::Owned(arg) => Cow::Owned(redact(&arg, next_exact_secret).into_owned()),
    }
}

/// Where a secret begins and ends.
type Span = (usize, usize);

/// Replaces every span that `next`, given the text and where to go on, finds.
fn redact(text: &[u8], next: impl Fn(&[u8], usize) -> Option<Span>) -> Cow<'_, [u8]> {
    let mut redacted: Option<Vec<u8>> = None;
    let mut copied = 0;
    while let Some((start, end)) = next(text, copied) {
        let out = redacted.get_or_insert_with(|| Vec::with_capacity(text.len()));
        out.extend_from_slice(text.get(copied..start).unwrap_or_default());
        out.extend_from_slice(REDACTED);
        copied = end;
    }
    match redacted {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The value of the next key that begins with `auth_token` or `pass`.
fn next_prefixed_secret(text: &[u8], from: usize) -> Option<Span> {
    let mut at = from;
    while at < text.len() {
        let rest = text.get(at..)?;
        let Some(key_len) = [&b"auth_token"[..], b"pass"]
            .into_iter()
            .find_map(|key| rest.starts_with(key).then_some(key.len()))
        else {
            at += 1;
            continue;
        };
        at += key_len;
        // The key goes on up to the first place where it can end.
        loop {
            if let Some(span) = value_after_key(text, at) {
                return Some(span);
            }
            match text.get(at) {
                Some(byte) if !is_space(*byte) => at += 1,
                // No key that begins inside this word can end in it either.
                _ => break,
            }
        }
    }
    None
}

/// The value of the next key that is one of the exact ones.
fn next_exact_secret(text: &[u8], from: usize) -> Option<Span> {
    (from..text.len()).find_map(|at| {
        let begins_word = match at.checked_sub(1) {
            None => true,
            // The byte before must not belong to the previous secret.
            Some(before) => before >= from && !is_word(*text.get(before)?),
        };
        if !begins_word {
            return None;
        }
        let rest = text.get(at..)?;
        [&b"proxy_sig"[..], b"nkey", b"sig"]
            .into_iter()
            .filter(|key| rest.starts_with(key))
            .find_map(|key| value_after_key(text, at + key.len()))
    })
}

/// The value behind a key that ends at `at`: an optional quote, a colon or an
/// equals sign, another optional quote, all with space around, then everything
/// up to a quote, comma, line end or closing brace.
fn value_after_key(text: &[u8], at: usize) -> Option<Span> {
    let at = skip_space(text, skip_quote(text, at));
    if !matches!(text.get(at)?, b':' | b'=') {
        return None;
    }
    let start = skip_quote(text, skip_space(text, at + 1));
    let rest = text.get(start..)?;
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n' | b'}'))
        .unwrap_or(rest.len());
    Some((start, start + len))
}

fn skip_quote(text: &[u8], at: usize) -> usize {
    at + usize::from(text.get(at) == Some(&b'"'))
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: PayloadOptions = PayloadOptions { max_len: 0, headers_only: false };

    #[test]
    fn operations_are_shown_with_arrow_and_brackets() {
        for (direction, op, arg, line) in [
            (Direction::Inbound, "PUB", Some(&b"foo 5"[..]), "<<- [PUB foo 5]"),
            (Direction::Inbound, "PING", None, "<<- [PING]"),
            (Direction::Outbound, "MSG", Some(b"foo 1 5"), "->> [MSG foo 1 5]"),
            (Direction::Outbound, "OK", None, "->> [OK]"),
            (Direction::Inbound, "PUB", Some(b""), "<<- [PUB ]"),
            (Direction::Internal, "DELSUB", Some(b"1"), "<-> [DELSUB 1]"),
        ] {
            assert_eq!(operation(direction, op, arg), line.as_bytes());
        }
    }

    #[test]
    fn payload_is_quoted_and_cut() {
        let at_most = |max_len| PayloadOptions { max_len, headers_only: false };
        for (bytes, options, line) in [
            (&b"hello"[..], ALL, Some(r#"<<- MSG_PAYLOAD: ["hello"]"#)),
            (b"", ALL, None),
            (b"a\r\n\xff", ALL, Some(r#"<<- MSG_PAYLOAD: ["a\r\n\xff"]"#)),
            (b"over length", at_most(10), Some(r#"<<- MSG_PAYLOAD: ["over lengt..."]"#)),
            (b"over length", at_most(11), Some(r#"<<- MSG_PAYLOAD: ["over length"]"#)),
            (b"over length", at_most(12), Some(r#"<<- MSG_PAYLOAD: ["over length"]"#)),
        ] {
            assert_eq!(payload(Direction::Inbound, bytes, 0, options).as_deref(), line);
        }
        let sent = payload(Direction::Outbound, b"x", 0, ALL);
        assert_eq!(sent.as_deref(), Some(r#"->> MSG_PAYLOAD: ["x"]"#));
    }

    #[test]
    fn headers_only_shows_headers_without_their_end() {
        let message = b"NATS/1.0\r\nFoo: 1\r\n\r\ntest";
        let shown = |header_len, max_len| {
            let options = PayloadOptions { max_len, headers_only: true };
            payload(Direction::Inbound, message, header_len, options)
        };
        let whole = r#"<<- MSG_PAYLOAD: ["NATS/1.0\r\nFoo: 1"]"#;
        assert_eq!(shown(20, 0).as_deref(), Some(whole));
        assert_eq!(shown(20, 4).as_deref(), Some(r#"<<- MSG_PAYLOAD: ["NATS..."]"#));
        assert_eq!(shown(0, 0), None, "no headers, nothing to show");
        assert_eq!(shown(4, 0), None);
        assert_eq!(shown(99, 0), None);
    }

    #[test]
    fn secrets_are_redacted_whatever_the_notation() {
        for (arg, shown) in [
            (r#"{"user":"a","pass":"b"}"#, r#"{"user":"a","pass":"[REDACTED]"}"#),
            (r#"{"pass":   "b"}"#, r#"{"pass":   "[REDACTED]"}"#),
            (r#"{"pass":""}"#, r#"{"pass":"[REDACTED]"}"#),
            (r#"{"pass":"    "}"#, r#"{"pass":"[REDACTED]"}"#),
            (r#"{"pass":    "b"     }"#, r#"{"pass":    "[REDACTED]"     }"#),
            (r#"{"pass":"with blanks in it",}"#, r#"{"pass":"[REDACTED]",}"#),
            (r#"{"password":"b"}"#, r#"{"password":"[REDACTED]"}"#),
            ("{pass:b ,   password =  c}", "{pass:[REDACTED],   password =  [REDACTED]}"),
            ("{pass:b ,   password=  c}", "{pass:[REDACTED],   password=  [REDACTED]}"),
            ("{user = a, password =  b}", "{user = a, password =  [REDACTED]}"),
            ("{pass:b\r\n", "{pass:[REDACTED]\r\n"),
            (
                r#"{"pass":"a","pass":"b","password":"c"}"#,
                r#"{"pass":"[REDACTED]","pass":"[REDACTED]","password":"[REDACTED]"}"#,
            ),
            (
                r#"{pass = "a",pass= "b",password ="c"}"#,
                r#"{pass = "[REDACTED]",pass= "[REDACTED]",password ="[REDACTED]"}"#,
            ),
            (
                r#"{"user":"s","pass":"s","tls_required":false,"name":"s"}"#,
                r#"{"user":"s","pass":"[REDACTED]","tls_required":false,"name":"s"}"#,
            ),
            (r#"{"auth_token":"t"}"#, r#"{"auth_token":"[REDACTED]"}"#),
            ("{auth_token:t ,  password =  b}", "{auth_token:[REDACTED],  password =  [REDACTED]}"),
            ("{user = a, auth_token =  t}", "{user = a, auth_token =  [REDACTED]}"),
            (
                r#"{"auth_token":"a","auth_token":"b","pass":"c"}"#,
                r#"{"auth_token":"[REDACTED]","auth_token":"[REDACTED]","pass":"[REDACTED]"}"#,
            ),
            (r#"{"sig":"s","user":"a"}"#, r#"{"sig":"[REDACTED]","user":"a"}"#),
            (r#"{"nkey":"nkey"}"#, r#"{"nkey":"[REDACTED]"}"#),
            (r#"{"proxy_sig":"p","sig":"s"}"#, r#"{"proxy_sig":"[REDACTED]","sig":"[REDACTED]"}"#),
            (
                r#"{"name":"foo sig:bar","sig":"s"}"#,
                r#"{"name":"foo sig:[REDACTED]","sig":"[REDACTED]"}"#,
            ),
            ("sig=abc", "sig=[REDACTED]"),
            (
                r#"{"name":"unterminated,"sig":"abc"}"#,
                r#"{"name":"unterminated,"sig":"[REDACTED]"}"#,
            ),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&redact_connect(arg.as_bytes())),
                shown,
                "argument {arg}"
            );
        }
    }

    #[test]
    fn what_is_not_secret_stays() {
        for arg in [
            r#"{"verbose":false,"user":"a","jwt":"ey.J","lang":"go"}"#,
            r#"{"design":"x","unsig":1,"my_sig":2,"nkeys":3}"#,
            "{pass}",
            "pass word",
            "",
        ] {
            assert!(matches!(redact_connect(arg.as_bytes()), Cow::Borrowed(_)), "{arg}");
        }
    }

    #[test]
    fn a_key_may_grow_until_its_separator() {
        let shown = redact_connect(br#"{"passphrase" : "x", "compass=y"}"#);
        assert_eq!(&*shown, &br#"{"passphrase" : "[REDACTED]", "compass=[REDACTED]"}"#[..]);
    }
}
