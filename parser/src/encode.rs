//! Building what the server sends: deliveries and the small protocol lines.
//!
//! Everything is appended to a buffer the caller owns and reuses, without
//! formatting machinery; sizes a publisher wrote are echoed digit by digit.
//! What is passed in must already be fit for a control line: subjects, replies
//! and subscription ids come from parsed lines and hold no blanks.
//!
//! Implements spec 01 §3.1 and §5.2-5.4.

use bytes::BufMut;

/// A ready-made `PING` line.
pub const PING: &[u8] = b"PING\r\n";
/// A ready-made `PONG` line.
pub const PONG: &[u8] = b"PONG\r\n";
/// A ready-made `+OK` line.
pub const OK: &[u8] = b"+OK\r\n";

/// Most digits a u64 has in decimal.
pub const MAX_DECIMAL_DIGITS: usize = 20;

/// The decimal digits of a number, without leading zeros.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: [u8; MAX_DECIMAL_DIGITS],
    start: u8,
}

impl Decimal {
    /// Writes out `value`.
    #[inline]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        let mut digits = [b'0'; MAX_DECIMAL_DIGITS];
        let mut start = MAX_DECIMAL_DIGITS;
        let mut rest = value;
        // Twenty digits hold any u64, so `start` stays in the array.
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        Self { digits, start: start as u8 }
    }

    /// The digits, at least one.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(usize::from(self.start)..).unwrap_or_default()
    }
}

/// Appends `value` in decimal.
#[inline]
pub fn decimal(out: &mut impl BufMut, value: u64) {
    out.put_slice(Decimal::new(value).as_bytes());
}

/// The sizes of a message, with the digits to echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes<'a> {
    /// Length of the header block in bytes; 0 when there is none.
    pub header_len: u32,
    /// Length of headers and body in bytes.
    pub total_len: u32,
    /// Digits of the header length.
    pub header_digits: &'a [u8],
    /// Digits of the total length.
    pub total_digits: &'a [u8],
}

/// Appends the line of a delivery, up to and including its `CR LF`: `HMSG` when
/// the message has headers and the receiver takes them, otherwise `MSG`.
///
/// When headers have to be left out the size is written anew; the caller then
/// sends the payload from `header_len` on. `reply` is empty when there is none.
#[inline]
pub fn delivery_line(
    out: &mut impl BufMut,
    subject: &[u8],
    sid: &[u8],
    reply: &[u8],
    sizes: &Sizes<'_>,
    receiver_takes_headers: bool,
) {
    if sizes.header_len == 0 {
        msg_line(out, subject, sid, reply, sizes.total_digits);
    } else if receiver_takes_headers {
        hmsg_line(out, subject, sid, reply, sizes.header_digits, sizes.total_digits);
    } else {
        let body_len = sizes.total_len.saturating_sub(sizes.header_len);
        msg_line(out, subject, sid, reply, Decimal::new(u64::from(body_len)).as_bytes());
    }
}

/// Appends `MSG <subject> <sid> [<reply> ]<size>` and `CR LF`.
#[inline]
pub fn msg_line(out: &mut impl BufMut, subject: &[u8], sid: &[u8], reply: &[u8], size: &[u8]) {
    out.put_slice(b"MSG ");
    address(out, subject, sid, reply);
    out.put_slice(size);
    out.put_slice(b"\r\n");
}

/// Appends `HMSG <subject> <sid> [<reply> ]<header size> <total size>` and
/// `CR LF`.
#[inline]
pub fn hmsg_line(
    out: &mut impl BufMut,
    subject: &[u8],
    sid: &[u8],
    reply: &[u8],
    header_size: &[u8],
    total_size: &[u8],
) {
    out.put_slice(b"HMSG ");
    address(out, subject, sid, reply);
    out.put_slice(header_size);
    out.put_u8(b' ');
    out.put_slice(total_size);
    out.put_slice(b"\r\n");
}

/// Upper bound of the length of a delivery's line, for reserving room.
#[inline]
#[must_use]
pub const fn max_line_len(subject: &[u8], sid: &[u8], reply: &[u8]) -> usize {
    // Longest verb, its blank and four others, two sizes, line end.
    4 + 5 + 2 * MAX_DECIMAL_DIGITS + 2 + subject.len() + sid.len() + reply.len()
}

#[inline]
fn address(out: &mut impl BufMut, subject: &[u8], sid: &[u8], reply: &[u8]) {
    for field in [subject, sid, reply] {
        // Subscriptions of internal kinds have no id, and most messages no reply.
        if !field.is_empty() {
            out.put_slice(field);
            out.put_u8(b' ');
        }
    }
}

/// Appends `-ERR '<text>'` and `CR LF`. The text is not escaped.
pub fn error_line(out: &mut impl BufMut, text: &[u8]) {
    out.put_slice(b"-ERR '");
    out.put_slice(text);
    out.put_slice(b"'\r\n");
}

/// Appends an INFO for a client, with the space between JSON and `CR LF`.
pub fn info_line(out: &mut impl BufMut, json: &[u8]) {
    out.put_slice(b"INFO ");
    out.put_slice(json);
    out.put_slice(b" \r\n");
}

/// Appends the whole message that tells a requester nobody got its request.
///
/// `sid` is the requester's subscription that matches `reply`; `subject` is the
/// request's, after account mapping.
pub fn no_responders(out: &mut impl BufMut, reply: &[u8], sid: &[u8], subject: &[u8]) {
    const BEFORE: &[u8] = b"NATS/1.0 503\r\nNats-Subject: ";
    const AFTER: &[u8] = b"\r\n\r\n";
    let len = Decimal::new((BEFORE.len() + subject.len() + AFTER.len()) as u64);
    hmsg_line(out, reply, sid, b"", len.as_bytes(), len.as_bytes());
    out.put_slice(BEFORE);
    out.put_slice(subject);
    out.put_slice(AFTER);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(build: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        build(&mut out);
        String::from_utf8(out).expect("ASCII in, ASCII out")
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for value in [0, 1, 9, 10, 99, 100, 4096, 999_999_999, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(built(|out| decimal(out, value)), value.to_string());
        }
    }

    #[test]
    fn delivery_without_headers_echoes_the_digits() {
        let sizes = Sizes { header_len: 0, total_len: 5, header_digits: b"", total_digits: b"005" };
        let line = built(|out| delivery_line(out, b"foo", b"1", b"", &sizes, true));
        assert_eq!(line, "MSG foo 1 005\r\n");
        let line = built(|out| delivery_line(out, b"foo", b"a1", b"_INBOX.2", &sizes, false));
        assert_eq!(line, "MSG foo a1 _INBOX.2 005\r\n");
    }

    #[test]
    fn delivery_with_headers_depends_on_the_receiver() {
        let sizes =
            Sizes { header_len: 12, total_len: 17, header_digits: b"012", total_digits: b"0017" };
        let line = built(|out| delivery_line(out, b"foo", b"1", b"bar", &sizes, true));
        assert_eq!(line, "HMSG foo 1 bar 012 0017\r\n");
        let line = built(|out| delivery_line(out, b"foo", b"1", b"bar", &sizes, false));
        assert_eq!(line, "MSG foo 1 bar 5\r\n", "the remaining size is rendered anew");
        let line = built(|out| delivery_line(out, b"foo", b"1", b"", &sizes, true));
        assert_eq!(line, "HMSG foo 1 012 0017\r\n");
    }

    #[test]
    fn delivery_of_hpub_with_empty_header_is_a_msg() {
        let sizes = Sizes { header_len: 0, total_len: 5, header_digits: b"0", total_digits: b"5" };
        let line = built(|out| delivery_line(out, b"foo", b"1", b"", &sizes, true));
        assert_eq!(line, "MSG foo 1 5\r\n");
    }

    #[test]
    fn line_room_is_never_too_small() {
        let (subject, sid, reply) = (b"some.subject", b"123", b"_INBOX.xyz");
        let longest = [b'9'; MAX_DECIMAL_DIGITS];
        let line = built(|out| hmsg_line(out, subject, sid, reply, &longest, &longest));
        assert!(line.len() <= max_line_len(subject, sid, reply));
    }

    #[test]
    fn error_text_is_framed_and_not_escaped() {
        let line = built(|out| error_line(out, b"Permissions Violation for Publish to \"a'b\""));
        assert_eq!(line, "-ERR 'Permissions Violation for Publish to \"a'b\"'\r\n");
    }

    #[test]
    fn info_has_a_space_before_its_line_end() {
        assert_eq!(built(|out| info_line(out, b"{\"port\":1}")), "INFO {\"port\":1} \r\n");
    }

    #[test]
    fn no_responders_names_the_subject_and_counts_it() {
        assert_eq!(
            built(|out| no_responders(out, b"_INBOX.1", b"7", b"foo.bar")),
            "HMSG _INBOX.1 7 39 39\r\nNATS/1.0 503\r\nNats-Subject: foo.bar\r\n\r\n\r\n"
        );
    }
}
