//! Texts in quotes as the reference writes them where it does not use its JSON encoder: names and
//! batch ids in acknowledgements, subjects in error texts (spec 07a §A3, §A7.1).

use std::fmt::Write;

/// Appends `text` in double quotes. What cannot be printed is escaped: `\n` and the like, `\x07`
/// for other control characters and bytes that are no UTF-8, `\u200b` for characters.
pub fn quote_into(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_char(out, character);
        }
        for byte in chunk.invalid() {
            push_escaped(out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push(b'"');
}

/// `text` in double quotes, as [`quote_into`] writes it.
pub fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote_into(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

fn push_escaped(out: &mut Vec<u8>, escaped: std::fmt::Arguments<'_>) {
    let mut text = String::with_capacity(8);
    // Writing to a string cannot fail.
    let _ = text.write_fmt(escaped);
    out.extend_from_slice(text.as_bytes());
}

fn push_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\x07' => out.extend_from_slice(b"\\a"),
        '\x08' => out.extend_from_slice(b"\\b"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\x0b' => out.extend_from_slice(b"\\v"),
        ' '..='~' => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        '\0'..='\x7f' => push_escaped(out, format_args!("\\x{:02x}", u32::from(character))),
        _ if character.escape_debug().count() == 1 => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        '\u{80}'..='\u{ffff}' => push_escaped(out, format_args!("\\u{:04x}", u32::from(character))),
        _ => push_escaped(out, format_args!("\\U{:08x}", u32::from(character))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_stays_and_the_rest_is_escaped() {
        for (text, quoted) in [
            (&b""[..], r#""""#),
            (b"ORDERS", r#""ORDERS""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\n\t\x01\x7f", r#""\n\t\x01\x7f""#),
            ("\u{e9}\u{4e16}".as_bytes(), "\"\u{e9}\u{4e16}\""),
            ("\u{200b}\u{e000}".as_bytes(), r#""\u200b\ue000""#),
            (b"a\xffb", r#""a\xffb""#),
        ] {
            let mut out = Vec::new();
            quote_into(&mut out, text);
            assert_eq!(String::from_utf8_lossy(&out), quoted);
        }
        assert_eq!(quote("foo.>"), r#""foo.>""#);
    }
}
