//! Textual forms the configuration shares with the reference: quoting, durations, numbers and
//! system error texts (spec 02, head and §2.4).
//!
//! Operators' tools match on these texts, so they are spelled here once and tested by table.

use parser::quote::write_escaped_char;
use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

/// The text in double quotes, with control and unprintable characters escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    parser::quote::quote(text.as_bytes())
}

/// A list of texts, each quoted, in square brackets and separated by spaces.
#[must_use]
pub fn quote_list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|t| quote(t.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

/// A single character in single quotes, the form of an integer printed as a quoted value.
#[must_use]
pub fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    // Writing to a String cannot fail.
    let _ = write_escaped_char(&mut out, c, '\'');
    out.push('\'');
    out
}

/// A length of time with a sign, in nanoseconds: what a configured duration can be before it is
/// checked. Negative values are legal in some places and errors in others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedDuration(i64);

impl SignedDuration {
    /// No time.
    pub const ZERO: SignedDuration = SignedDuration(0);

    /// From whole seconds, saturating.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> SignedDuration {
        SignedDuration(seconds.saturating_mul(1_000_000_000))
    }

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> SignedDuration {
        SignedDuration(nanos)
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whether this is less than no time.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The duration, a negative one cut to zero.
    #[must_use]
    pub fn clamp_to_zero(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for SignedDuration {
    fn from(d: Duration) -> SignedDuration {
        SignedDuration(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for SignedDuration {
    /// `2m0s`, `1.5s`, `50ms`, `-3ns`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_char('-')?;
        }
        let nanos = self.0.unsigned_abs();
        let (unit, name) = match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (whole, rest) = (nanos / unit, nanos % unit);
        let (hours, minutes) = (whole / 3600, whole / 60 % 60);
        let whole = if name == "s" { whole % 60 } else { whole };
        if name == "s" && hours > 0 {
            write!(f, "{hours}h")?;
        }
        if name == "s" && (hours > 0 || minutes > 0) {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{whole}")?;
        if rest > 0 {
            let width = unit.ilog10() as usize;
            let digits = format!("{rest:0width$}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str(name)
    }
}

/// A duration as operators read and write it: `2m0s`, `50ms`.
#[must_use]
pub fn duration(d: Duration) -> String {
    SignedDuration::from(d).to_string()
}

/// Parses a duration: a signed sequence of decimal numbers, each with a unit (`h`, `m`, `s`,
/// `ms`, `us`, `µs`, `ns`), or a plain `0`.
///
/// # Errors
/// The text of the error, beginning with `time: `.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("time: invalid duration {}", quote_time(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    // Sums are kept as magnitudes up to 2^63, so that the most negative duration is reachable.
    const LIMIT: u64 = 1 << 63;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (whole_text, after) = rest.split_at(digits);
        let mut whole: u64 = 0;
        for digit in whole_text.bytes() {
            whole = whole
                .checked_mul(10)
                .and_then(|w| w.checked_add(u64::from(digit - b'0')))
                .filter(|&w| w <= LIMIT)
                .ok_or_else(invalid)?;
        }
        let (mut fraction, mut scale, mut fraction_digits) = (0u64, 1f64, 0);
        let mut after = after;
        if let Some(tail) = after.strip_prefix('.') {
            let end = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            fraction_digits = end;
            let (fraction_text, tail) = tail.split_at(end);
            for digit in fraction_text.bytes() {
                // Digits beyond the precision of 63 bits are dropped.
                let Some(next) = fraction
                    .checked_mul(10)
                    .and_then(|w| w.checked_add(u64::from(digit - b'0')))
                    .filter(|&w| w < LIMIT)
                else {
                    break;
                };
                fraction = next;
                scale *= 10.0;
            }
            after = tail;
        }
        if digits == 0 && fraction_digits == 0 {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(end);
        let unit_nanos: u64 = match unit {
            "" => return Err(format!("time: missing unit in duration {}", quote_time(text))),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                let unit = quote_time(unit);
                return Err(format!("time: unknown unit {unit} in duration {}", quote_time(text)));
            }
        };
        let mut part = whole.checked_mul(unit_nanos).filter(|&p| p <= LIMIT).ok_or_else(invalid)?;
        if fraction > 0 {
            // The product is below one unit, which fits: an hour is 3.6e12 nanoseconds.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            #[expect(clippy::cast_precision_loss)]
            let nanos = (fraction as f64 * (unit_nanos as f64 / scale)) as u64;
            part = part.checked_add(nanos).filter(|&p| p <= LIMIT).ok_or_else(invalid)?;
        }
        total = total.checked_add(part).filter(|&t| t <= LIMIT).ok_or_else(invalid)?;
        rest = tail;
    }
    if negative {
        return Ok(SignedDuration(0i64.checked_sub_unsigned(total).ok_or_else(invalid)?));
    }
    i64::try_from(total).map(SignedDuration).map_err(|_| invalid())
}

/// The quoting used inside duration errors: every byte that is not plain ASCII becomes `\xNN`.
fn quote_time(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let mut utf8 = [0; 4];
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\x7f' => out.push(c),
            _ => {
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// Seconds as a floating point number to a duration; negative ones are cut to zero, too large
/// ones to the largest duration that the signed form can hold.
#[must_use]
pub fn seconds(value: f64) -> Duration {
    let limit = Duration::from_nanos(i64::MAX.unsigned_abs());
    if value.is_nan() || value <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(value).map_or(limit, |d| d.min(limit))
}

/// A floating point number in its shortest form, with an exponent for very large and very small
/// ones (below 1e-4 and from 1e21 on).
#[must_use]
pub fn float(value: f64) -> String {
    float_with(value, 1e-4)
}

/// A floating point number as JSON has it: an exponent below 1e-6 and from 1e21 on.
#[must_use]
pub fn json_float(value: f64) -> String {
    let text = float_with(value, 1e-6);
    // JSON drops the leading zero of a two-digit negative exponent.
    match text.split_once("e-0") {
        Some((mantissa, digit)) => format!("{mantissa}e-{digit}"),
        None => text,
    }
}

fn float_with(value: f64, smallest: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && (magnitude < smallest || magnitude >= 1e21) {
        let text = format!("{value:e}");
        if let Some((mantissa, exponent)) = text.split_once('e') {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            return format!("{mantissa}e{sign}{digits:0>2}");
        }
        return text;
    }
    format!("{value}")
}

/// Parses a decimal integer the way configured sizes and percentages are read. `function` is the
/// name that begins the error text.
///
/// # Errors
/// `strconv.<function>: parsing "<text>": invalid syntax` or `… value out of range`.
pub fn parse_integer(function: &str, text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let reason = if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse::<i64>() {
            Ok(value) => return Ok(value),
            Err(_) => "value out of range",
        }
    };
    Err(format!("strconv.{function}: parsing {}: {reason}", quote(text)))
}

/// The text of a system error without the decoration of the standard library: `no such file or
/// directory`.
#[must_use]
pub fn system_error(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.find(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text),
        None => &text,
    };
    text.to_lowercase()
}

/// The directory part of a path, cleaned: `.` when there is none.
#[must_use]
pub fn directory_of(path: &str) -> String {
    match path.rfind('/') {
        Some(end) => clean_path(path.get(..=end).unwrap_or("/")),
        None => String::from("."),
    }
}

/// Joins two paths with a slash and cleans the result. An absolute second path is joined under
/// the first one just the same.
#[must_use]
pub fn join_path(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean_path(second),
        (false, true) => clean_path(first),
        (false, false) => clean_path(&format!("{first}/{second}")),
    }
}

/// The shortest path equivalent to the given one by text alone: no empty or `.` elements, `..`
/// resolved where possible, `.` for nothing.
#[must_use]
pub fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => String::from("."),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_with_the_escapes_operators_know() {
        for (text, quoted) in [
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("\"\\", r#""\"\\""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\u{1}\u{7f}", r#""\x01\x7f""#),
            ("é☃", r#""é☃""#),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{a0}\u{ad}\u{2028}", r#""\u00a0\u00ad\u2028""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(quote(text), quoted, "{text:?}");
        }
        assert_eq!(quote_list(["a", "b c"]), r#"["a" "b c"]"#);
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('\x05'), r"'\x05'");
    }

    #[test]
    fn durations_print_in_their_shortest_form() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (50_000_000, "50ms"),
            (3_300_000_000, "3.3s"),
            (120_000_000_000, "2m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_001_000_000, "1h1m1.001s"),
            (-30_000_000_000, "-30s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(SignedDuration(nanos).to_string(), text);
            if text != "1.1µs" {
                assert_eq!(parse_duration(text), Ok(SignedDuration(nanos)), "{text}");
            }
        }
    }

    #[test]
    fn durations_are_parsed_by_unit() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+5s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("1.5h", 5_400_000_000_000),
            ("5µs", 5_000),
            ("5μs", 5_000),
            ("-2m", -120_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(SignedDuration(nanos)), "{text}");
        }
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("s", r#"time: invalid duration "s""#),
            (".s", r#"time: invalid duration ".s""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("10", r#"time: missing unit in duration "10""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1é", r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#),
        ] {
            assert_eq!(parse_duration(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn floats_take_an_exponent_only_when_far_from_one() {
        for (value, text, json) in [
            (0.5, "0.5", "0.5"),
            (61.0, "61", "61"),
            (0.00001, "1e-05", "0.00001"),
            (0.000_000_1, "1e-07", "1e-7"),
            (1e21, "1e+21", "1e+21"),
            (1e20, "100000000000000000000", "100000000000000000000"),
        ] {
            assert_eq!((float(value), json_float(value)), (text.to_owned(), json.to_owned()));
        }
    }

    #[test]
    fn integers_name_the_function_and_the_reason() {
        assert_eq!(parse_integer("Atoi", "-12"), Ok(-12));
        assert_eq!(
            parse_integer("Atoi", "1x"),
            Err(r#"strconv.Atoi: parsing "1x": invalid syntax"#.to_owned())
        );
        assert_eq!(
            parse_integer("ParseInt", "99999999999999999999"),
            Err(r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#
                .to_owned())
        );
    }

    #[test]
    fn paths_are_joined_below_the_directory_of_the_file() {
        assert_eq!(directory_of("a.conf"), ".");
        assert_eq!(directory_of("./x/a.conf"), "x");
        assert_eq!(directory_of("/a.conf"), "/");
        assert_eq!(directory_of(""), ".");
        assert_eq!(join_path(".", "./b.conf"), "b.conf");
        assert_eq!(join_path("x", "/etc/b.conf"), "x/etc/b.conf");
        assert_eq!(join_path("x/y", "../b.conf"), "x/b.conf");
        assert_eq!(clean_path("/../a//b/./c/"), "/a/b/c");
        assert_eq!(clean_path("../../a"), "../../a");
    }

    #[test]
    fn system_errors_lose_their_number() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(system_error(&error), "no such file or directory");
    }

    #[test]
    fn float_seconds_never_overflow() {
        assert_eq!(seconds(0.5), Duration::from_millis(500));
        assert_eq!(seconds(-1.0), Duration::ZERO);
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
        assert_eq!(seconds(1e300), Duration::from_nanos(i64::MAX.unsigned_abs()));
    }
}
