//! JSON as the reference writes it: compact, with `<`, `>`, `&` and the two Unicode line
//! separators escaped, so that files and messages are the same byte for byte.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::io::{self, Write};

struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut chars = tail.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// The JSON of a value.
///
/// # Errors
/// Only those of the value's own serializer.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, HtmlSafe))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_line_separators_are_escaped_in_keys_and_values() {
        let value = serde_json::json!({"a>": "<b>&\u{2028}\u{2029}\u{e9}\n\"", "n": [1, 2.5]});
        let json = String::from_utf8(to_vec(&value).expect("plain value")).expect("text");
        assert_eq!(
            json,
            "{\"a\\u003e\":\"\\u003cb\\u003e\\u0026\\u2028\\u2029\u{e9}\\n\\\"\",\"n\":[1,2.5]}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("own output"), value);
    }
}
