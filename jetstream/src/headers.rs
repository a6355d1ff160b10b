//! Reading and rewriting single fields of a NATS header block.
//!
//! A block is the line `NATS/1.0`, optionally with a status, then `Name: value` lines, each ended
//! by CRLF, then an empty line. Names compare byte by byte. Fields are found without parsing the
//! block, because stores look at two or three of them on every message (spec 06 §14).

use memchr::memmem;

/// The time to live of the message.
pub const TTL: &str = "Nats-TTL";
/// Replaces older messages: `sub` of the subject, `all` of the stream.
pub const ROLLUP: &str = "Nats-Rollup";
/// Why the message is a delete marker.
pub const MARKER_REASON: &str = "Nats-Marker-Reason";
/// What a key-value client meant by the message.
pub const KV_OPERATION: &str = "KV-Operation";
/// The id by which duplicates are found.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// When the message is to be published.
pub const SCHEDULE: &str = "Nats-Schedule";
/// The time zone of the pattern.
pub const SCHEDULE_TIME_ZONE: &str = "Nats-Schedule-Time-Zone";
/// The time to live of what is published.
pub const SCHEDULE_TTL: &str = "Nats-Schedule-TTL";
/// Where it is published.
pub const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// The subject whose last message is published instead.
pub const SCHEDULE_SOURCE: &str = "Nats-Schedule-Source";
/// The rollup of what is published.
pub const SCHEDULE_ROLLUP: &str = "Nats-Schedule-Rollup";
/// On a published message, the subject of its schedule.
pub const SCHEDULER: &str = "Nats-Scheduler";
/// On a published message, when its schedule fires next, or `purge`.
pub const SCHEDULE_NEXT: &str = "Nats-Schedule-Next";
/// The stream the publisher means.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// The sequence the publisher takes for the stream's last.
pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// The sequence the publisher takes for the last of a subject.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// That subject, when it is not the one published to.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str =
    "Nats-Expected-Last-Subject-Sequence-Subject";
/// The id the publisher takes for that of the last message.
pub const EXPECTED_LAST_MESSAGE_ID: &str = "Nats-Expected-Last-Msg-Id";
/// What is added to a counter.
pub const INCREMENT: &str = "Nats-Incr";
/// What a counter received from each of its sources.
pub const COUNTER_SOURCES: &str = "Nats-Counter-Sources";
/// The atomic batch a message belongs to.
pub const BATCH_ID: &str = "Nats-Batch-Id";
/// Its place in that batch.
pub const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
/// Ends that batch: `1` with this message, `eob` before it.
pub const BATCH_COMMIT: &str = "Nats-Batch-Commit";
/// Where a sourced message comes from.
pub const STREAM_SOURCE: &str = "Nats-Stream-Source";
/// The API level the sender relies on.
pub const REQUIRED_API_LEVEL: &str = "Nats-Required-Api-Level";
/// Who sent a message that came through an import.
pub const REQUEST_INFO: &str = "Nats-Request-Info";
/// On messages read from a stream, its name.
pub const STREAM: &str = "Nats-Stream";
/// On messages read from a stream, their subject.
pub const SUBJECT: &str = "Nats-Subject";
/// On messages read from a stream, their sequence.
pub const SEQUENCE: &str = "Nats-Sequence";
/// On messages read from a stream, when they were stored.
pub const TIME_STAMP: &str = "Nats-Time-Stamp";
/// The sequence of the message before this one, of its subject or in the answer.
pub const LAST_SEQUENCE: &str = "Nats-Last-Sequence";
/// How many messages are still to come.
pub const NUM_PENDING: &str = "Nats-Num-Pending";
/// The length of a payload that was left out.
pub const MESSAGE_SIZE: &str = "Nats-Msg-Size";
/// The last consumer sequence delivered.
pub const LAST_CONSUMER: &str = "Nats-Last-Consumer";
/// The last stream sequence delivered.
pub const LAST_STREAM: &str = "Nats-Last-Stream";
/// Where to answer so that a stalled consumer goes on.
pub const CONSUMER_STALLED: &str = "Nats-Consumer-Stalled";

/// The first line of a header block.
const STATUS_LINE: &[u8] = b"NATS/1.0\r\n";
const CRLF: &[u8] = b"\r\n";
/// A block of this length or less holds no field.
const EMPTY_BLOCK_LEN: usize = STATUS_LINE.len() + CRLF.len();

/// Where the first field called `name` starts.
fn find(header: &[u8], name: &str) -> Option<usize> {
    memmem::find_iter(header, name).find(|start| {
        header[..*start].ends_with(CRLF) && header.get(start + name.len()) == Some(&b':')
    })
}

/// The value of the first field called `name`, without leading spaces; `None` without the field.
pub fn value<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if header.is_empty() {
        return None;
    }
    let value = header.get(find(header, name)? + name.len() + 1..)?;
    let value = &value[value.iter().take_while(|byte| **byte == b' ').count()..];
    Some(&value[..memmem::find(value, CRLF).unwrap_or(value.len())])
}

/// Whether a field called `name` has a value that is not empty.
pub fn has_value(header: &[u8], name: &str) -> bool {
    value(header, name).is_some_and(|value| !value.is_empty())
}

/// Removes every field whose line starts with `prefix`. A block without fields becomes empty.
pub fn remove_with_prefix(header: &mut Vec<u8>, prefix: &str) {
    let mut from = 0;
    while let Some(found) =
        header.get(from..).and_then(|rest| memmem::find(rest, prefix.as_bytes()))
    {
        let start = from + found;
        if start == 0 || header[start - 1] != b'\n' {
            from = start + prefix.len();
            continue;
        }
        let Some(end) = memmem::find(&header[start..], CRLF) else { return };
        header.drain(start..start + end + CRLF.len());
        if header.len() <= EMPTY_BLOCK_LEN {
            header.clear();
            return;
        }
        from = start;
    }
}

/// Removes every field called `name`. A block without fields becomes empty.
pub fn remove(header: &mut Vec<u8>, name: &str) {
    remove_with_prefix(header, &format!("{name}:"));
}

/// Adds a field at the end of the block, which is started if it is empty.
///
/// Line breaks in `value` would end the field: they become spaces.
pub fn append(header: &mut Vec<u8>, name: &str, value: &str) {
    if header.len() > CRLF.len() {
        header.truncate(header.len() - CRLF.len());
    } else {
        header.clear();
        header.extend_from_slice(STATUS_LINE);
    }
    header.extend_from_slice(name.as_bytes());
    header.extend_from_slice(b": ");
    header.extend(value.trim_matches([' ', '\t', '\r', '\n']).bytes().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    }));
    header.extend_from_slice(CRLF);
    header.extend_from_slice(CRLF);
}

/// Gives the first field called `name` this value, adding the field if there is none. A space
/// after the colon stays.
///
/// Line breaks in `value` would end the field: they become spaces.
pub fn set(header: &mut Vec<u8>, name: &str, value: &str) {
    let Some(start) = find(header, name) else { return append(header, name, value) };
    let mut start = start + name.len() + 1;
    start += usize::from(header.get(start) == Some(&b' '));
    let rest = header.get(start..).unwrap_or_default();
    let end = start + memchr::memchr(b'\r', rest).unwrap_or(rest.len());
    let value = value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
    header.splice(start..end, value);
}

/// A block without the status its first line may carry: the line becomes `NATS/1.0`. `None` when
/// there is no status; empty when nothing but the status was there.
pub fn without_status(header: &[u8]) -> Option<Vec<u8>> {
    let version = &STATUS_LINE[..STATUS_LINE.len() - CRLF.len()];
    let end = memchr::memchr(b'\r', header)?;
    if !header.starts_with(version) || end <= version.len() {
        return None;
    }
    let rest = &header[end..];
    let mut out = Vec::with_capacity(version.len() + rest.len());
    if version.len() + rest.len() > EMPTY_BLOCK_LEN {
        out.extend_from_slice(version);
        out.extend_from_slice(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_the_first_value_or_adds_the_field() {
        let mut header = b"NATS/1.0\r\nNats-Incr: +1\r\nA:b\r\n\r\n".to_vec();
        set(&mut header, INCREMENT, "-1000");
        assert_eq!(header, b"NATS/1.0\r\nNats-Incr: -1000\r\nA:b\r\n\r\n");
        set(&mut header, "A", "c");
        assert_eq!(header, b"NATS/1.0\r\nNats-Incr: -1000\r\nA:c\r\n\r\n");
        set(&mut header, "D", "e");
        assert_eq!(header, b"NATS/1.0\r\nNats-Incr: -1000\r\nA:c\r\nD: e\r\n\r\n");
    }

    #[test]
    fn status_is_taken_off_the_first_line() {
        assert_eq!(without_status(b"NATS/1.0\r\nA: b\r\n\r\n"), None);
        assert_eq!(without_status(b""), None);
        assert_eq!(
            without_status(b"NATS/1.0 503 None\r\nA: b\r\n\r\n"),
            Some(b"NATS/1.0\r\nA: b\r\n\r\n".to_vec())
        );
        assert_eq!(without_status(b"NATS/1.0 503\r\n\r\n"), Some(Vec::new()));
    }
    use proptest::prelude::*;

    const BLOCK: &[u8] = b"NATS/1.0\r\nNats-TTL:  1s\r\nX-Nats-TTL: 2\r\nEmpty:\r\n\r\n";

    #[test]
    fn values_are_found_by_whole_names() {
        assert_eq!(value(BLOCK, "Nats-TTL"), Some(&b"1s"[..]));
        assert_eq!(value(BLOCK, "X-Nats-TTL"), Some(&b"2"[..]));
        assert_eq!(value(BLOCK, "Empty"), Some(&b""[..]));
        assert_eq!(value(BLOCK, "Nats"), None);
        assert_eq!(value(BLOCK, "nats-ttl"), None);
        assert_eq!(value(b"", "Nats-TTL"), None);
        assert!(has_value(BLOCK, "Nats-TTL") && !has_value(BLOCK, "Empty"));
    }

    #[test]
    fn a_name_inside_a_value_is_no_field() {
        let block = b"NATS/1.0\r\nA: Nats-TTL: 5\r\nNats-TTL: 7\r\n\r\n";
        assert_eq!(value(block, "Nats-TTL"), Some(&b"7"[..]));
    }

    #[test]
    fn removing_the_last_field_empties_the_block() {
        let mut block =
            b"NATS/1.0\r\nA: 1\r\nNats-Schedule: x\r\nNats-Scheduler: y\r\n\r\n".to_vec();
        remove_with_prefix(&mut block, "Nats-Schedule");
        assert_eq!(block, b"NATS/1.0\r\nA: 1\r\n\r\n");
        remove(&mut block, "A");
        assert!(block.is_empty());
    }

    #[test]
    fn removing_leaves_longer_names_alone() {
        let mut block = b"NATS/1.0\r\nAB: 1\r\nA: 2\r\nB: A: 3\r\n\r\n".to_vec();
        remove(&mut block, "A");
        assert_eq!(block, b"NATS/1.0\r\nAB: 1\r\nB: A: 3\r\n\r\n");
    }

    #[test]
    fn appending_starts_a_block_and_cannot_break_it() {
        let mut block = Vec::new();
        append(&mut block, "A", "1");
        append(&mut block, "B", " 2\r\nC: 3 ");
        assert_eq!(block, b"NATS/1.0\r\nA: 1\r\nB: 2  C: 3\r\n\r\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in "(NATS/1.0)?[AB: \r\n]{0,60}") {
            let mut block = bytes.into_bytes();
            let _ = value(&block, "A");
            remove(&mut block, "A");
            remove_with_prefix(&mut block, "B");
            append(&mut block, "A", "1");
            prop_assert!(block.ends_with(b"A: 1\r\n\r\n"));
        }
    }
}
