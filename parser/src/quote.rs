//! Quoting of arbitrary bytes for log lines and `-ERR` texts: what `%q` gives.
//!
//! Printable characters stand for themselves; quotes, backslashes and the usual
//! control characters get their two-character escapes, other control characters
//! and bytes that are not UTF-8 become `\x..`, other characters `\u....` or
//! `\U........` (spec 01 §2.5, §2.6 and §7.1).

use std::fmt::Write;

/// Quotes `bytes`, including the surrounding double quotes.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    quote_into(&mut out, bytes);
    out.push('"');
    out
}

/// Appends `bytes` quoted, but without surrounding double quotes.
pub fn quote_into(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            quote_char(out, character);
        }
        for byte in chunk.invalid() {
            push_formatted(out, format_args!("\\x{byte:02x}"));
        }
    }
}

fn quote_char(out: &mut String, character: char) {
    let escape = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        _ if is_printable(character) => return out.push(character),
        _ => {
            let code = u32::from(character);
            return match code {
                0..=0x7f => push_formatted(out, format_args!("\\x{code:02x}")),
                0x80..=0xffff => push_formatted(out, format_args!("\\u{code:04x}")),
                _ => push_formatted(out, format_args!("\\U{code:08x}")),
            };
        }
    };
    out.push_str(escape);
}

/// Writing to a string cannot fail.
fn push_formatted(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
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
