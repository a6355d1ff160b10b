//! Header blocks of messages: lookup, iteration and the edits the server makes.
//!
//! ```text
//! NATS/1.0[ <code>[ <description>]] CR LF
//! <key>:<value> CR LF          any number of these
//! CR LF
//! ```
//!
//! A block that a client sends is opaque: nothing checks that it looks like
//! this (spec 01 §5.1). So every function here takes any bytes, finds in them
//! what it can and leaves the rest alone. Keys are compared with their case
//! unless a function says otherwise.
//!
//! Edits give a new block; where the rules say that nothing worth sending is
//! left they give `None`, and the message is then one without headers.
//!
//! Implements spec 01 §5.1 and spec 05 §4.3.

/// The version line that begins a header block.
pub const VERSION_LINE: &[u8] = b"NATS/1.0\r\n";
/// A header block without any field.
pub const EMPTY: &[u8] = b"NATS/1.0\r\n\r\n";

const VERSION: &[u8] = b"NATS/1.0";
const CR_LF: &[u8] = b"\r\n";

/// Offset of the first `key` that begins a line and is followed by a colon.
///
/// The line must be preceded by `CR LF`, so the version line is no candidate.
#[must_use]
pub fn key_index(header: &[u8], key: &[u8]) -> Option<usize> {
    find_key(header, |line| line.strip_prefix(key), key)
}

/// The value of the first field with this key: what follows the colon, without
/// leading spaces, up to `CR LF` or the end of the block.
#[must_use]
pub fn get<'a>(header: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    value_at(header, key_index(header, key)?, key)
}

/// Like [`get`], ignoring the case of ASCII letters in the key.
#[must_use]
pub fn get_ignore_case<'a>(header: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let index = find_key(
        header,
        |line| {
            let (head, tail) = line.split_at_checked(key.len())?;
            head.eq_ignore_ascii_case(key).then_some(tail)
        },
        key,
    )?;
    value_at(header, index, key)
}

fn find_key(
    header: &[u8],
    strip_key: impl Fn(&[u8]) -> Option<&[u8]>,
    key: &[u8],
) -> Option<usize> {
    if key.is_empty() {
        return None;
    }
    line_ends(header).find(|start| {
        let line = header.get(*start..).unwrap_or_default();
        strip_key(line).is_some_and(|tail| tail.first() == Some(&b':'))
    })
}

/// Offsets behind every `CR LF`.
fn line_ends(header: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\n', header)
        .filter(|at| at.checked_sub(1).and_then(|before| header.get(before)) == Some(&b'\r'))
        .map(|at| at + 1)
}

fn value_at<'a>(header: &'a [u8], key_at: usize, key: &[u8]) -> Option<&'a [u8]> {
    let mut value = header.get(key_at + key.len() + 1..)?;
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    let end = find(value, CR_LF).unwrap_or(value.len());
    value.get(..end)
}

/// The fields of a header block in order.
///
/// Keys are given as written, values without spaces and tabs around them;
/// fields with an empty key or value are left out. A block without the version
/// line has no fields, and what does not parse ends the iteration.
#[must_use]
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header.strip_prefix(VERSION_LINE).unwrap_or_default() }
}

/// Iterator over the fields of a header block; see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let colon = memchr::memchr(b':', self.rest)?;
            let (key, tail) = self.rest.split_at_checked(colon)?;
            let value = trim_start_blanks(tail.get(1..)?);
            let end = find(value, CR_LF)?;
            let (value, tail) = value.split_at_checked(end)?;
            self.rest = tail.get(CR_LF.len()..)?;
            let value = trim_end_blanks(value);
            if !key.is_empty() && !value.is_empty() {
                return Some((key, value));
            }
        }
    }
}

/// Status of a message that carries one in its version line, such as
/// `NATS/1.0 503` or `NATS/1.0 100 Idle Heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// The code, three digits.
    pub code: u16,
    /// The description, possibly empty.
    pub description: &'a [u8],
}

/// The status in the version line, if there is one.
#[must_use]
pub fn status(header: &[u8]) -> Option<Status<'_>> {
    let line = header.get(..find(header, CR_LF)?)?;
    let text = trim_start_blanks(line.strip_prefix(VERSION)?.strip_prefix(b" ")?);
    let (code, description) = text.split_at_checked(3)?;
    if !description.is_empty() && !description.starts_with(b" ") {
        return None;
    }
    let code = u16::try_from(crate::line::parse_size(code)?).ok()?;
    Some(Status { code, description: trim_end_blanks(trim_start_blanks(description)) })
}

/// Replaces the value of the first field with this key, or else appends the
/// field.
///
/// A single space behind the colon stays. A field whose line does not end is
/// left as it is. An empty block becomes the bare field, without version line.
#[must_use]
pub fn set(header: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    if let Some(key_at) = key_index(header, key) {
        let mut value_start = key_at + key.len() + 1;
        if header.get(value_start) == Some(&b' ') {
            value_start += 1;
        }
        let old = header.get(value_start..).unwrap_or_default();
        let Some(old_len) = memchr::memchr(b'\r', old) else { return header.to_vec() };
        let (before, after) = (header.get(..value_start), old.get(old_len..));
        return [before.unwrap_or_default(), value, after.unwrap_or_default()].concat();
    }
    match header.strip_suffix(CR_LF) {
        Some(open) => [open, key, b": ", value, CR_LF, CR_LF].concat(),
        None => [header, key, b": ", value, CR_LF].concat(),
    }
}

/// Removes every field with this key and appends one with the new value. This
/// is how a connection changes the header of a message that passes through.
#[must_use]
pub fn replace(header: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let fields = open_block(header).and_then(|open| remove(open, key));
    close_with(fields.as_deref().unwrap_or(VERSION_LINE), key, value)
}

/// Appends a field, whether or not the key is there already.
#[must_use]
pub fn append(header: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    close_with(open_block(header).unwrap_or(VERSION_LINE), key, value)
}

/// The block without its last two bytes, which should be the empty line.
fn open_block(header: &[u8]) -> Option<&[u8]> {
    header.len().checked_sub(CR_LF.len()).filter(|len| *len > 0).and_then(|len| header.get(..len))
}

/// `open` with one more field and the empty line. The value cannot break out of
/// its line: line ends in it become spaces, and it is trimmed.
fn close_with(open: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(open.len() + key.len() + value.len() + 6);
    block.extend_from_slice(open);
    block.extend_from_slice(key);
    block.extend_from_slice(b": ");
    let on_one_line =
        value.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte });
    let value: Vec<u8> = on_one_line.collect();
    block.extend_from_slice(trim_end_blanks(trim_start_blanks(&value)));
    block.extend_from_slice(b"\r\n\r\n");
    block
}

/// Removes every field with this key. `None` when no field is left.
#[must_use]
pub fn remove(header: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut block = header.to_vec();
    while let Some(start) = key_index(&block, key) {
        let Some(len) = find(block.get(start..).unwrap_or_default(), CR_LF) else { break };
        block.drain(start..start + len + CR_LF.len());
        if block.len() <= EMPTY.len() {
            return None;
        }
    }
    Some(block)
}

/// Removes every line that begins with this prefix. `None` when no field is
/// left.
#[must_use]
pub fn remove_prefixed(header: &[u8], prefix: &[u8]) -> Option<Vec<u8>> {
    let mut block = header.to_vec();
    let mut from = 0;
    // An empty prefix would be found at the same place for ever.
    while !prefix.is_empty()
        && let Some(offset) = find(block.get(from..).unwrap_or_default(), prefix)
    {
        let start = from + offset;
        let past = start + prefix.len();
        if start.checked_sub(1).and_then(|at| block.get(at)) != Some(&b'\n') {
            from = past;
            continue;
        }
        let Some(len) = find(block.get(past..).unwrap_or_default(), CR_LF) else { break };
        block.drain(start..past + len + CR_LF.len());
        if block.len() <= EMPTY.len() {
            return None;
        }
        from = start;
    }
    Some(block)
}

/// Removes status and description from the version line. `None` when the block
/// has nothing else.
#[must_use]
pub fn remove_status(header: &[u8]) -> Option<Vec<u8>> {
    let line_end = memchr::memchr(b'\r', header).unwrap_or(0);
    if !header.starts_with(VERSION) || line_end <= VERSION.len() {
        return Some(header.to_vec());
    }
    let block = [VERSION, header.get(line_end..).unwrap_or_default()].concat();
    (block.len() != EMPTY.len()).then_some(block)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn trim_start_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_end_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: impl AsRef<[u8]>) -> String {
        String::from_utf8_lossy(bytes.as_ref()).into_owned()
    }

    #[test]
    fn lookup_needs_line_start_exact_case_and_colon() {
        let header =
            b"NATS/1.0\r\nfoobar: 1\r\nfoo : 2\r\nFoo: 3\r\nxfoo: 4\r\nfoo: 5\r\nfoo: 6\r\n\r\n";
        assert_eq!(get(header, b"foo"), Some(&b"5"[..]), "first exact key wins");
        assert_eq!(key_index(header, b"foo"), Some(47));
        assert_eq!(get(header, b"Foo"), Some(&b"3"[..]));
        assert_eq!(get(header, b"foobar"), Some(&b"1"[..]));
        assert_eq!(get(header, b"bar"), None);
        assert_eq!(get(header, b"NATS/1.0"), None);
        assert_eq!(get(header, b""), None);
        assert_eq!(get(b"", b"foo"), None);
    }

    #[test]
    fn lookup_survives_a_key_that_repeats_itself() {
        // A candidate right behind a failed one must not end the search.
        assert_eq!(get(b"NATS/1.0\r\nAA: 1\r\nA: 2\r\n\r\n", b"A"), Some(&b"2"[..]));
    }

    #[test]
    fn lookup_needs_cr_lf_before_the_key() {
        assert_eq!(get(b"NATS/1.0\nfoo: 1\r\n\r\n", b"foo"), None);
        assert_eq!(get(b"foo: 1\r\n\r\n", b"foo"), None);
        assert_eq!(get(b"\r\nfoo: 1\r\n\r\n", b"foo"), Some(&b"1"[..]));
    }

    #[test]
    fn value_is_stripped_of_leading_spaces_only() {
        let header = b"NATS/1.0\r\na:1\r\nb:   2  \r\nc:\t3\r\nd:\r\ne: x:y\rz\r\nf: end";
        for (key, value) in [
            (&b"a"[..], &b"1"[..]),
            (b"b", b"2  "),
            (b"c", b"\t3"),
            (b"d", b""),
            (b"e", b"x:y\rz"),
            (b"f", b"end"),
        ] {
            assert_eq!(get(header, key), Some(value), "{}", text(key));
        }
    }

    #[test]
    fn lookup_can_ignore_case() {
        let header = b"NATS/1.0\r\nTraceParent: 00-a-b-01\r\ntraceparent: 2\r\n\r\n";
        assert_eq!(get_ignore_case(header, b"traceparent"), Some(&b"00-a-b-01"[..]));
        assert_eq!(get(header, b"traceparent"), Some(&b"2"[..]));
        assert_eq!(get_ignore_case(header, b"trace"), None);
        assert_eq!(get_ignore_case(b"NATS/1.0\r\nab", b"abc"), None);
    }

    #[test]
    fn fields_are_trimmed_and_empty_ones_left_out() {
        let header = b"NATS/1.0\r\nA: 1 \r\nb:\t 2\t\r\nempty: \r\n: nokey\r\nA:3\r\n\r\n";
        let found: Vec<_> = fields(header).map(|(key, value)| (text(key), text(value))).collect();
        let expected = [("A", "1"), ("b", "2"), ("A", "3")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn fields_need_the_version_line_and_end_with_what_does_not_parse() {
        assert_eq!(fields(b"A: 1\r\n\r\n").count(), 0);
        assert_eq!(fields(b"NATS/1.0 503\r\nA: 1\r\n\r\n").count(), 0);
        assert_eq!(fields(b"NATS/1.0\r\nA: 1\r\nB: unfinished").count(), 1);
        assert_eq!(fields(b"NATS/1.0\r\nno colon\r\n\r\n").count(), 0);
        assert_eq!(fields(b"").count(), 0);
    }

    #[test]
    fn status_is_read_from_the_version_line() {
        let of = |header: &'static [u8]| status(header).map(|s| (s.code, text(s.description)));
        assert_eq!(of(b"NATS/1.0 503\r\n\r\n"), Some((503, String::new())));
        assert_eq!(
            of(b"NATS/1.0 100 Idle Heartbeat\r\nA: 1\r\n\r\n"),
            Some((100, "Idle Heartbeat".to_owned()))
        );
        assert_eq!(of(b"NATS/1.0\r\n\r\n"), None);
        assert_eq!(of(b"NATS/1.0 50\r\n\r\n"), None);
        assert_eq!(of(b"NATS/1.0 5030\r\n\r\n"), None);
        assert_eq!(of(b"NATS/1.0 x03\r\n\r\n"), None);
        assert_eq!(of(b"NATS/1.0 503"), None);
        assert_eq!(of(b"HTTP/1.0 503\r\n\r\n"), None);
    }

    #[test]
    fn set_replaces_the_first_value_or_appends() {
        for (header, expected) in [
            ("NATS/1.0\r\n\r\n", "NATS/1.0\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\na: 1\r\n\r\n", "NATS/1.0\r\na: 1\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\nk: 1\r\n\r\n", "NATS/1.0\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\nk:1\r\nb: 2\r\n\r\n", "NATS/1.0\r\nk:new\r\nb: 2\r\n\r\n"),
            ("NATS/1.0\r\nk:  1\r\n\r\n", "NATS/1.0\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\nk: longer value\r\n\r\n", "NATS/1.0\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\nk: 1\r\nk: 2\r\n\r\n", "NATS/1.0\r\nk: new\r\nk: 2\r\n\r\n"),
            ("NATS/1.0\r\nkk: 1\r\n\r\n", "NATS/1.0\r\nkk: 1\r\nk: new\r\n\r\n"),
            ("NATS/1.0\r\nk: no end", "NATS/1.0\r\nk: no end"),
            ("", "k: new\r\n"),
        ] {
            assert_eq!(text(set(header.as_bytes(), b"k", b"new")), expected, "{header:?}");
        }
    }

    #[test]
    fn replace_removes_all_and_appends_at_the_end() {
        for (header, expected) in [
            ("", "NATS/1.0\r\nk: v\r\n\r\n"),
            ("NATS/1.0\r\n\r\n", "NATS/1.0\r\nk: v\r\n\r\n"),
            ("NATS/1.0\r\nk: 1\r\n\r\n", "NATS/1.0\r\nk: v\r\n\r\n"),
            ("NATS/1.0\r\nk: 1\r\na: 2\r\nk: 3\r\n\r\n", "NATS/1.0\r\na: 2\r\nk: v\r\n\r\n"),
        ] {
            assert_eq!(text(replace(header.as_bytes(), b"k", b"v")), expected, "{header:?}");
        }
    }

    #[test]
    fn append_keeps_what_is_there() {
        let twice = append(&append(b"", b"k", b"1"), b"k", b"2");
        assert_eq!(text(twice), "NATS/1.0\r\nk: 1\r\nk: 2\r\n\r\n");
    }

    #[test]
    fn an_appended_value_stays_on_its_line() {
        let block = append(b"", b"k", b" a\r\nb: c\t");
        assert_eq!(text(block), "NATS/1.0\r\nk: a  b: c\r\n\r\n");
    }

    #[test]
    fn remove_takes_every_field_of_that_key() {
        for (header, expected) in [
            ("NATS/1.0\r\na: 1\r\n\r\n", None),
            ("NATS/1.0\r\na: 1\r\nb: 2\r\n\r\n", Some("NATS/1.0\r\nb: 2\r\n\r\n")),
            ("NATS/1.0\r\na: 1\r\nb: 2\r\na: 3\r\n\r\n", Some("NATS/1.0\r\nb: 2\r\n\r\n")),
            ("NATS/1.0\r\nab: 1\r\nba: 2\r\n\r\n", Some("NATS/1.0\r\nab: 1\r\nba: 2\r\n\r\n")),
            ("NATS/1.0\r\nb: 2\r\na: no end", Some("NATS/1.0\r\nb: 2\r\na: no end")),
            ("NATS/1.0\r\n\r\n", Some("NATS/1.0\r\n\r\n")),
        ] {
            assert_eq!(
                remove(header.as_bytes(), b"a").map(text).as_deref(),
                expected,
                "{header:?}"
            );
        }
    }

    #[test]
    fn remove_prefixed_takes_every_line_with_that_prefix() {
        for (header, expected) in [
            ("NATS/1.0\r\nX-a: 1\r\nX-b: 2\r\n\r\n", None),
            ("NATS/1.0\r\nX-a: 1\r\nY: 2\r\nX-b: 3\r\n\r\n", Some("NATS/1.0\r\nY: 2\r\n\r\n")),
            ("NATS/1.0\r\nY: X-\r\nZX-: 1\r\n\r\n", Some("NATS/1.0\r\nY: X-\r\nZX-: 1\r\n\r\n")),
            ("NATS/1.0\r\nY: 1\r\nX-no end", Some("NATS/1.0\r\nY: 1\r\nX-no end")),
        ] {
            let left = remove_prefixed(header.as_bytes(), b"X-");
            assert_eq!(left.map(text).as_deref(), expected, "{header:?}");
        }
        assert_eq!(remove_prefixed(b"A\nB", b"").as_deref(), Some(&b"A\nB"[..]));
    }

    #[test]
    fn remove_status_keeps_the_fields() {
        for (header, expected) in [
            ("NATS/1.0 503\r\n\r\n", None),
            ("NATS/1.0 100 Idle\r\nA: 1\r\n\r\n", Some("NATS/1.0\r\nA: 1\r\n\r\n")),
            ("NATS/1.0\r\nA: 1\r\n\r\n", Some("NATS/1.0\r\nA: 1\r\n\r\n")),
            ("NATS/1.0\r\n\r\n", Some("NATS/1.0\r\n\r\n")),
            ("whatever\r\n", Some("whatever\r\n")),
            ("NATS/1.0 503", Some("NATS/1.0 503")),
        ] {
            let left = remove_status(header.as_bytes());
            assert_eq!(left.map(text).as_deref(), expected, "{header:?}");
        }
    }
}
