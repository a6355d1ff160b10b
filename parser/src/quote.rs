//! Quoting of arbitrary bytes for log lines and `-ERR` texts: what `%q` gives.
//!
//! Printable characters stand for themselves; quotes, backslashes and the usual
//! control characters get their two-character escapes, other control characters
//! and bytes that are not UTF-8 become `\x..`, other characters `\u....` or
//! `\U........` (spec 01 §2.5, §2.6 and §7.1).

use std::fmt::{self, Display, Write};

/// Displays bytes in double quotes with everything unprintable escaped.
pub struct Quoted<'a>(pub &'a [u8]);

/// Displays a string quoted; see [`Quoted`].
#[must_use]
pub fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text.as_bytes())
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_escaped(f, self.0)?;
        f.write_char('"')
    }
}

/// Quotes `bytes`, including the surrounding double quotes.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    Quoted(bytes).to_string()
}

/// Writes `bytes` escaped as between double quotes, but without them.
///
/// # Errors
/// Those of `out`.
pub fn write_escaped(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            write_escaped_char(out, character, '"')?;
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Writes one character escaped as between two of `delimiter`.
///
/// # Errors
/// Those of `out`.
pub fn write_escaped_char(out: &mut impl Write, character: char, delimiter: char) -> fmt::Result {
    match character {
        c if c == delimiter => {
            out.write_char('\\')?;
            out.write_char(c)
        }
        '\\' => out.write_str("\\\\"),
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        _ if is_printable(character) => out.write_char(character),
        _ => match u32::from(character) {
            code @ 0..=0x7f => write!(out, "\\x{code:02x}"),
            code @ 0x80..=0xffff => write!(out, "\\u{code:04x}"),
            code => write!(out, "\\U{code:08x}"),
        },
    }
}

fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    crate::printable::is_printable(u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_byte_is_quoted_as_the_reference_does() {
        for (bytes, quoted) in [
            (&b""[..], r#""""#),
            (b"foo bar 5", r#""foo bar 5""#),
            (b"a\"b\\c'd", r#""a\"b\\c'd""#),
            (b"\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            (b"\x00\x01\x1b\x1f\x7f", r#""\x00\x01\x1b\x1f\x7f""#),
            ("é ü 日本 €".as_bytes(), r#""é ü 日本 €""#),
            ("😀".as_bytes(), r#""😀""#),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
            ("\u{80}\u{a0}\u{ad}".as_bytes(), r#""\u0080\u00a0\u00ad""#),
            ("\u{2028}\u{feff}\u{e000}".as_bytes(), r#""\u2028\ufeff\ue000""#),
            ("\u{10ffff}\u{e0001}".as_bytes(), r#""\U0010ffff\U000e0001""#),
            ("\u{fffd}".as_bytes(), "\"\u{fffd}\""),
            (b"\xff\xfe", r#""\xff\xfe""#),
            (b"a\xe2\x82", r#""a\xe2\x82""#),
            (b"\xe2\x82a\xc3", r#""\xe2\x82a\xc3""#),
            (b"\xed\xa0\x80", r#""\xed\xa0\x80""#),
            (b"\xf4\x90\x80\x80", r#""\xf4\x90\x80\x80""#),
            (b"\xc0\xaf", r#""\xc0\xaf""#),
        ] {
            assert_eq!(quote(bytes), quoted, "{bytes:x?}");
        }
    }
}
