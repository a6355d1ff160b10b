//! Header blocks of any bytes: nothing panics or runs away, what is found lies
//! where it says, and what was set or removed is found or gone.
//!
//! The input is `<key> NUL <value> NUL <header block>`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use parser::headers;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (Some(key), Some(value), Some(header)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let _ = headers::status(header);
    let _ = headers::remove_status(header);
    let _ = headers::append(header, key, value);
    let _ = headers::set(header, key, value);
    if let Some(left) = headers::remove_prefixed(header, key) {
        assert!(left.len() <= header.len());
    }
    for (name, content) in headers::fields(header) {
        assert!(!name.is_empty() && !content.is_empty());
    }
    if let Some(index) = headers::key_index(header, key) {
        assert!(header[..index].ends_with(b"\r\n"));
        assert!(header[index..].strip_prefix(key).is_some_and(|tail| tail.starts_with(b":")));
        assert!(headers::get(header, key).is_some());
        assert!(headers::get_ignore_case(header, key).is_some());
    }

    // With a proper key the edits promise more.
    if key.is_empty() || !key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        return;
    }
    let removed = headers::remove(header, key);
    let gone = removed.as_deref().is_none_or(|left| headers::get(left, key).is_none());
    assert!(gone || !ends_its_lines(header), "removed");
    if ends_its_lines(header) {
        let replaced = headers::replace(header, key, value);
        assert!(replaced.ends_with(b"\r\n\r\n"));
        let plain: Vec<u8> =
            value.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }).collect();
        let expected = plain.trim_ascii_blanks();
        assert_eq!(headers::get(&replaced, key), Some(expected), "replaced");
    }
});

fn ends_its_lines(header: &[u8]) -> bool {
    header.ends_with(b"\r\n\r\n")
}

trait TrimBlanks {
    fn trim_ascii_blanks(&self) -> &[u8];
}

impl TrimBlanks for Vec<u8> {
    fn trim_ascii_blanks(&self) -> &[u8] {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.iter().position(|byte| !blank(byte)).unwrap_or(self.len());
        let end = self.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
        &self[start..end]
    }
}
