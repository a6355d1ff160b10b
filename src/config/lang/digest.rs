//! The checksum of a configuration (spec 02 §1.11): SHA-256 of its JSON form.
//!
//! Formatting, comments and quoting do not change it; includes and variables are resolved. The
//! JSON form is sorted by key and escapes `<`, `>` and `&`, as the reference's encoder does.

use super::value::{Kind, Table, Value};
use crate::config::text;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// `sha256:` and the hex digest.
#[must_use]
pub fn of(table: &Table) -> String {
    let mut hasher = Sha256::new();
    hash_table(&mut hasher, table);
    hasher.update(b"\n");
    let mut out = String::from("sha256:");
    for byte in hasher.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn hash_table(hasher: &mut Sha256, table: &Table) {
    let mut entries: Vec<(&str, &Value)> = table.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
    hasher.update(b"{");
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            hasher.update(b",");
        }
        hash_string(hasher, key.as_bytes());
        hasher.update(b":");
        hash_value(hasher, value);
    }
    hasher.update(b"}");
}

/// Recurses as deeply as values nest, which the parser bounds.
fn hash_value(hasher: &mut Sha256, value: &Value) {
    match &value.kind {
        Kind::String(bytes) => hash_string(hasher, bytes),
        Kind::Bool(on) => hasher.update(on.to_string()),
        Kind::Integer(number) => hasher.update(number.to_string()),
        Kind::Float(number) => hasher.update(text::json_float(*number)),
        Kind::Datetime(time) => hasher.update(format!("\"{time}\"")),
        Kind::Array(array) => {
            hasher.update(b"[");
            for (i, item) in array.items().iter().enumerate() {
                if i > 0 {
                    hasher.update(b",");
                }
                hash_value(hasher, item);
            }
            hasher.update(b"]");
        }
        Kind::Table(table) => hash_table(hasher, table),
    }
}

fn hash_string(hasher: &mut Sha256, bytes: &[u8]) {
    let mut out = String::with_capacity(bytes.len().saturating_add(2));
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                _ => out.push(c),
            }
        }
        for _ in chunk.invalid() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
    hasher.update(out);
}
