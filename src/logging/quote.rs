//! Double-quoted strings as they appear in the reference's log lines and error texts.
//!
//! Operators and tools match on these texts, so the escapes must agree byte for byte: short
//! escapes for the seven control characters that have one, `\xNN` for other ASCII controls and
//! for bytes that are not UTF-8, `\uNNNN` / `\UNNNNNNNN` for characters that do not print.

use std::fmt::{self, Display, Write};

/// Displays text in double quotes with everything unprintable escaped.
pub struct Quoted<'a>(pub &'a [u8]);

/// Quotes a string; see [`Quoted`].
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

/// Writes the escaped text without the surrounding quotes.
pub fn write_escaped(out: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            write_char(out, c)?;
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

fn write_char(out: &mut dyn Write, c: char) -> fmt::Result {
    match c {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        ' '..='~' => out.write_char(c),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c if is_printable(c) => out.write_char(c),
        c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    }
}

/// Whether a character prints: letters, marks, numbers, punctuation, symbols and the space.
///
/// The standard library's debug escape follows the same classes, except that it also escapes
/// combining marks at the start of a string; in second position it keeps them.
fn is_printable(c: char) -> bool {
    let mut buffer = [0u8; 5];
    let (first, rest) = buffer.split_at_mut(1);
    first.copy_from_slice(b"a");
    let length = c.encode_utf8(rest).len();
    let text = buffer.get(..=length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.is_some_and(|text| text.escape_debug().nth(1) == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_follow_the_table() {
        let cases: [(&[u8], &str); 10] = [
            (b"plain", r#""plain""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            (b"\x00\x1b\x7f", r#""\x00\x1b\x7f""#),
            (b"\xff\xfeok", r#""\xff\xfeok""#),
            ("h\u{e9}llo \u{4e16}".as_bytes(), "\"h\u{e9}llo \u{4e16}\""),
            ("\u{a0}\u{200b}\u{2028}".as_bytes(), r#""\u00a0\u200b\u2028""#),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
            ("\u{1f600}\u{e0001}".as_bytes(), "\"\u{1f600}\\U000e0001\""),
            (b"", r#""""#),
        ];
        for (input, expected) in cases {
            assert_eq!(Quoted(input).to_string(), expected);
        }
    }

    #[test]
    fn a_combining_mark_prints_even_in_first_position() {
        assert_eq!(quoted("\u{301}").to_string(), "\"\u{301}\"");
    }

    #[test]
    fn a_cut_utf8_sequence_is_escaped_byte_by_byte() {
        assert_eq!(Quoted(b"a\xe4\xb8").to_string(), r#""a\xe4\xb8""#);
    }
}
