//! JSON as the reference writes it ("spec 04, 1.1" and "spec 01, 3.1").
//!
//! Clients and tools compare and sometimes scan these texts, so besides being JSON they keep the
//! reference's choices: `<`, `>`, `&`, U+2028 and U+2029 are escaped inside strings, and numbers
//! with a fraction use the shortest form without a trailing `.0`. Field order is the declaration
//! order of the structs; maps must be ordered ones.

use std::fmt::{Display, LowerExp};
use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// Serialises without white space.
///
/// # Errors
/// When the value's own serialisation fails.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out,
        Escaping(CompactFormatter),
    ))?;
    Ok(out)
}

/// Serialises with `indent` (blanks) per level and no newline at the end.
///
/// # Errors
/// When the value's own serialisation fails.
pub fn to_vec_indented<T: Serialize + ?Sized>(
    value: &T,
    indent: &str,
) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    let formatter = Escaping(PrettyFormatter::with_indent(indent.as_bytes()));
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    Ok(out)
}

/// Adds the reference's choices for strings and numbers to a layout.
struct Escaping<F>(F);

/// Hands the layout's events to the inner formatter.
macro_rules! delegate {
    ($($name:ident($($argument:ident: $kind:ty),*)),* $(,)?) => {
        $(
            fn $name<W: ?Sized + io::Write>(
                &mut self,
                out: &mut W
                $(, $argument: $kind)*
            ) -> io::Result<()> {
                self.0.$name(out $(, $argument)*)
            }
        )*
    };
}

impl<F: Formatter> Formatter for Escaping<F> {
    delegate!(
        begin_array(),
        end_array(),
        begin_array_value(first: bool),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first: bool),
        end_object_key(),
        begin_object_value(),
        end_object_value(),
    );

    fn write_f32<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f32) -> io::Result<()> {
        write_float(out, f64::from(value.abs()), value)
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        write_float(out, value.abs(), value)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        write_fragment(out, fragment)
    }
}

/// Writes part of a string that needs no escape of JSON's own.
fn write_fragment<W: ?Sized + io::Write>(out: &mut W, fragment: &str) -> io::Result<()> {
    let bytes = fragment.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (escape, length): (&[u8], usize) = match byte {
            b'<' => (b"\\u003c", 1),
            b'>' => (b"\\u003e", 1),
            b'&' => (b"\\u0026", 1),
            0xe2 => match bytes.get(at + 1..at + 3) {
                Some([0x80, 0xa8]) => (b"\\u2028", 3),
                Some([0x80, 0xa9]) => (b"\\u2029", 3),
                _ => (b"", 1),
            },
            _ => (b"", 1),
        };
        if !escape.is_empty() {
            out.write_all(bytes.get(copied..at).unwrap_or_default())?;
            out.write_all(escape)?;
            copied = at + length;
        }
        at += length;
    }
    out.write_all(bytes.get(copied..).unwrap_or_default())
}

/// Writes the shortest digits; with an exponent below 1e-6 and from 1e21 on.
fn write_float<W, N>(out: &mut W, magnitude: f64, value: N) -> io::Result<()>
where
    W: ?Sized + io::Write,
    N: Display + LowerExp,
{
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return write!(out, "{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            write!(out, "{digits}e+{exponent}")
        }
        _ => out.write_all(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn text<T: Serialize + ?Sized>(value: &T) -> String {
        String::from_utf8(to_vec(value).expect("serialised")).expect("text")
    }

    #[test]
    fn markup_and_line_separators_are_escaped() {
        let table = [
            ("foo.>", r#""foo.\u003e""#),
            ("<a href=\"x\">&", r#""\u003ca href=\"x\"\u003e\u0026""#),
            ("a\u{2028}b\u{2029}c\u{2027}", "\"a\\u2028b\\u2029c\u{2027}\""),
            ("\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}\""),
            ("h\u{e9}llo \u{4e16}", "\"h\u{e9}llo \u{4e16}\""),
            ("", r#""""#),
        ];
        for (value, expected) in table {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn keys_of_maps_are_escaped_and_ordered() {
        let map = BTreeMap::from([("b", 1), ("a>", 2)]);
        assert_eq!(text(&map), r#"{"a\u003e":2,"b":1}"#);
    }

    #[test]
    fn floats_have_the_shortest_form() {
        let table = [
            (2.0, "2"),
            (0.5, "0.5"),
            (-0.1, "-0.1"),
            (0.0, "0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (123_456.789, "123456.789"),
        ];
        for (value, expected) in table {
            assert_eq!(text(&value), expected);
        }
        assert_eq!(text(&0.1f32), "0.1");
    }

    #[test]
    fn indentation_keeps_empty_collections_on_one_line() {
        let value = serde_json::json!({"a": [1, 2], "b": [], "c": {}, "d": "<"});
        let out = to_vec_indented(&value, "  ").expect("serialised");
        let expected = "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": [],\n  \"c\": {},\n  \
                        \"d\": \"\\u003c\"\n}";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
