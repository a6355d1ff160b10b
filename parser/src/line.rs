//! Control lines and payload frames: the part of the text protocol that is the
//! same for every verb and every connection kind.
//!
//! A control line is `VERB blanks argument [CR] LF`; a publishing verb is
//! followed by a payload of announced size and a strict `CR LF`. This module
//! finds the end of an argument, splits it, reads sizes and frames payloads.
//! It holds no state: a parser keeps the offsets between reads and passes them
//! back in, so that no byte is searched twice.
//!
//! Invariant: every slice handed out lies inside the buffer that was passed in.
//!
//! Implements spec 01 §2.1-2.4 and §2.7 and spec 05 §1.1.

use crate::state::State;

/// Longest decimal size field, in digits; longer ones are invalid.
const MAX_SIZE_DIGITS: usize = 9;

/// Routes, gateways and leafnodes may send control lines this many times as
/// long as clients, because their lines also carry accounts, origins and queues.
pub const LINK_CONTROL_LINE_FACTOR: u32 = 16;

/// Whether `byte` separates a verb from its argument (space or tab).
#[inline]
#[must_use]
pub const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether `byte` separates arguments of the verbs that also split on line
/// ends (SUB, UNSUB and the link verbs).
#[inline]
#[must_use]
pub const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The control line limit, in bytes, of a connection that is not a client.
#[must_use]
pub const fn link_control_line_limit(max_control_line: u32) -> u64 {
    // Widened, because the product of a large configured value overflows.
    max_control_line as u64 * LINK_CONTROL_LINE_FACTOR as u64
}

/// Reads a size field: one to nine ASCII digits, leading zeros allowed.
///
/// Anything else is `None`, which the protocol calls "bad or missing".
#[inline]
#[must_use]
pub const fn parse_size(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS {
        return None;
    }
    let mut value = 0u32;
    let mut rest = digits;
    // Nine digits are below 10^9, so neither step can overflow a u32.
    while let [digit, tail @ ..] = rest {
        let number = digit.wrapping_sub(b'0');
        if number > 9 {
            return None;
        }
        value = value * 10 + number as u32;
        rest = tail;
    }
    Some(value)
}

/// The arguments of a control line, at most `N` of them.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a, const N: usize> {
    items: [&'a [u8]; N],
    count: usize,
    overflow: bool,
}

impl<'a, const N: usize> Args<'a, N> {
    /// Splits on runs of spaces and tabs, as PUB and HPUB do.
    #[inline]
    #[must_use]
    pub fn split_blanks(arg: &'a [u8]) -> Self {
        Self::split(arg, is_blank)
    }

    /// Splits on runs of spaces, tabs, CR and LF, as SUB, UNSUB and the link
    /// verbs do.
    #[inline]
    #[must_use]
    pub fn split_separators(arg: &'a [u8]) -> Self {
        Self::split(arg, is_separator)
    }

    /// The arguments, or `None` when there were more than `N`.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&[&'a [u8]]> {
        if self.overflow { None } else { self.items.get(..self.count) }
    }

    #[inline(always)]
    fn split(arg: &'a [u8], separates: impl Fn(u8) -> bool) -> Self {
        let mut args = Self { items: [&[]; N], count: 0, overflow: false };
        let mut at = 0;
        loop {
            while arg.get(at).is_some_and(|byte| separates(*byte)) {
                at += 1;
            }
            let start = at;
            while arg.get(at).is_some_and(|byte| !separates(*byte)) {
                at += 1;
            }
            let word = arg.get(start..at).unwrap_or_default();
            if word.is_empty() {
                return args;
            }
            let Some(slot) = args.items.get_mut(args.count) else {
                args.overflow = true;
                return args;
            };
            *slot = word;
            args.count += 1;
        }
    }
}

/// What is known of a control line whose argument has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line is complete.
    Complete {
        /// The argument without its line end.
        arg: &'a [u8],
        /// Offset in the buffer just behind the LF.
        end: usize,
    },
    /// No LF yet. `scanned` bytes of the argument need no second look.
    Incomplete {
        /// Bytes of the argument present, all searched.
        scanned: usize,
    },
}

/// The argument of a control line exceeds the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlLineTooLong;

/// Looks for the end of the argument that begins at `start`, of which `scanned`
/// bytes were already searched, and enforces the control line limit.
///
/// The first byte of an argument belongs to it whatever it is, even a line end.
/// If a CR follows it anywhere before the LF, the last byte before the LF is
/// dropped (spec 01 §2.3): normally that is the CR itself. Unlike in the
/// reference the outcome does not depend on where reads were cut.
///
/// # Errors
/// [`ControlLineTooLong`] when the argument is longer than `limit` bytes, also while
/// its end is not there yet.
#[inline]
pub fn scan_line(
    buf: &[u8],
    start: usize,
    scanned: usize,
    limit: u64,
) -> Result<Line<'_>, ControlLineTooLong> {
    let present = buf.get(start..).unwrap_or_default();
    let from = scanned.max(1);
    let found = memchr::memchr(b'\n', present.get(from..).unwrap_or_default());
    let Some(at) = found.map(|offset| from + offset) else {
        let length = present.len() - usize::from(drops_a_byte(present, present.len()));
        return match exceeds(length, limit) {
            true => Err(ControlLineTooLong),
            false => Ok(Line::Incomplete { scanned: present.len() }),
        };
    };
    let length = at - usize::from(drops_a_byte(present, at));
    if exceeds(length, limit) {
        return Err(ControlLineTooLong);
    }
    let arg = present.get(..length).unwrap_or_default();
    Ok(Line::Complete { arg, end: start + at + 1 })
}

/// Whether a CR behind the first of the `length` bytes makes the last one drop.
#[inline]
fn drops_a_byte(present: &[u8], length: usize) -> bool {
    let tail = present.get(1..length).unwrap_or_default();
    // The usual case is a CR right at the end; the search is for the others.
    tail.last() == Some(&b'\r') || memchr::memchr(b'\r', tail).is_some()
}

/// Whether `length` bytes are more than `limit` allows.
#[inline]
const fn exceeds(length: usize, limit: u64) -> bool {
    length as u64 > limit
}

/// What is known of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The payload and its CR LF are complete.
    Complete {
        /// The payload.
        payload: &'a [u8],
        /// The payload with its CR LF.
        payload_crlf: &'a [u8],
        /// Offset in the buffer just behind the CR LF.
        end: usize,
    },
    /// More bytes are needed; what is there is right so far.
    Incomplete {
        /// Offset the buffer has to reach before anything can be decided.
        wanted: usize,
    },
    /// The payload is not followed by CR LF.
    Unterminated {
        /// Which of the two bytes is wrong.
        state: State,
        /// Offset of the wrong byte in the buffer.
        index: usize,
    },
}

/// Frames the payload of `size` bytes that begins at `start`, judging each of
/// its two terminators as soon as it is there.
#[inline]
#[must_use]
pub fn frame_payload(buf: &[u8], start: usize, size: u32) -> Frame<'_> {
    // Both are far below usize::MAX: `start` is an offset, `size` under 10^9.
    let body_end = start.saturating_add(size as usize);
    let end = body_end.saturating_add(2);
    if let Some(payload_crlf) = buf.get(start..end)
        && let Some(payload) = payload_crlf.strip_suffix(b"\r\n")
    {
        return Frame::Complete { payload, payload_crlf, end };
    }
    match (buf.get(body_end), buf.get(body_end.saturating_add(1))) {
        (None, _) => Frame::Incomplete { wanted: body_end.saturating_add(1) },
        (Some(b'\r'), None) => Frame::Incomplete { wanted: end },
        (Some(b'\r'), Some(_)) => {
            Frame::Unterminated { state: State::PAYLOAD_LF, index: body_end.saturating_add(1) }
        }
        (Some(_), _) => Frame::Unterminated { state: State::PAYLOAD_CR, index: body_end },
    }
}

/// Offset of the first byte at or below a space, from `from` on.
///
/// Searches eight bytes at a time: arguments are short, and a call into a
/// vectorised search costs more than it saves.
#[inline(always)]
pub(crate) fn word_end(buf: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    let mut rest = buf.get(from..)?;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Marks bytes below 0x21. Borrows can only mark bytes above a true hit,
        // so the lowest mark is exact.
        let marks = word.wrapping_sub(ONES * 0x21) & !word & HIGH;
        if marks != 0 {
            return Some(at + (marks.trailing_zeros() / 8) as usize);
        }
        at += 8;
        rest = tail;
    }
    rest.iter().position(|byte| *byte <= b' ').map(|offset| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_to_nine_digits() {
        for (digits, size) in [
            (&b""[..], None),
            (b"0", Some(0)),
            (b"12345678", Some(12_345_678)),
            (b"000000001", Some(1)),
            (b"999999999", Some(999_999_999)),
            (b"1000000000", None),
            (b"0000000000", None),
            (b"12345invalid678", None),
            (b"-1", None),
            (b"+1", None),
            (b" 1", None),
            (b"1/", None),
            (b"1:", None),
        ] {
            assert_eq!(parse_size(digits), size, "{}", digits.escape_ascii());
        }
    }

    #[test]
    fn arguments_are_split_on_the_separators_of_their_verb() {
        let words = |args: Args<'static, 3>| args.get().map(<[&[u8]]>::to_vec);
        let arg = b" a\r\tb\n c ";
        assert_eq!(words(Args::split_blanks(arg)), Some(vec![&b"a\r"[..], b"b\n", b"c"]));
        assert_eq!(words(Args::split_separators(arg)), Some(vec![&b"a"[..], b"b", b"c"]));
        assert_eq!(words(Args::split_blanks(b" \t ")), Some(vec![]));
        assert_eq!(words(Args::split_blanks(b"1 2 3 4")), None, "more than it holds");
    }

    #[test]
    fn link_limit_is_sixteen_times_the_configured_one() {
        assert_eq!(link_control_line_limit(4096), 65_536);
        assert_eq!(link_control_line_limit(u32::MAX), 68_719_476_720);
        let arg = [b'x'; 65_537];
        let limit = link_control_line_limit(4096);
        assert_eq!(scan_line(&arg, 0, 0, limit), Err(ControlLineTooLong));
        let fits = Line::Incomplete { scanned: 65_536 };
        assert_eq!(scan_line(&arg[1..], 0, 0, limit), Ok(fits));
    }

    #[test]
    fn a_line_is_searched_from_where_the_last_search_ended() {
        let line = Line::Complete { arg: b"ab", end: 6 };
        assert_eq!(scan_line(b"--ab\r\n", 2, 0, 10), scan_line(b"--ab\r\n", 2, 2, 10));
        assert_eq!(scan_line(b"--ab\n\n", 2, 3, 10), Ok(Line::Complete { arg: b"ab\n", end: 6 }));
        assert_eq!(scan_line(b"--ab\r\n", 2, 3, 10), Ok(line));
    }

    #[test]
    fn payload_terminators_are_judged_as_they_come() {
        let unterminated = |state, index| Frame::Unterminated { state, index };
        for (buf, frame) in [
            (&b"PUB"[..], Frame::Incomplete { wanted: 6 }),
            (b"PUBok", Frame::Incomplete { wanted: 6 }),
            (b"PUBok\r", Frame::Incomplete { wanted: 7 }),
            (b"PUBok\r\n", Frame::Complete { payload: b"ok", payload_crlf: b"ok\r\n", end: 7 }),
            (b"PUBok\rx", unterminated(State::PAYLOAD_LF, 6)),
            (b"PUBokx", unterminated(State::PAYLOAD_CR, 5)),
            (b"PUBokx\n", unterminated(State::PAYLOAD_CR, 5)),
        ] {
            assert_eq!(frame_payload(buf, 3, 2), frame, "{}", buf.escape_ascii());
        }
    }

    #[test]
    fn word_ends_at_the_first_byte_up_to_a_space() {
        for (buf, end) in [
            (&b"foo 1"[..], Some(3)),
            (b"foo", None),
            (b"", None),
            (b"a.long.subject\tx", Some(14)),
            (b"\xff\x80\xa0\xa1!!!!!! \x00", Some(10)),
            (b"12345678 \x00\x00\x00\x00\x00\x00\x00", Some(8)),
            (b"1234567\x00!\x00", Some(7)),
        ] {
            assert_eq!(word_end(buf, 0), end, "{}", buf.escape_ascii());
        }
        assert_eq!(word_end(b"foo", 4), None);
    }
}
