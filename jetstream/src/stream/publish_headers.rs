//! The header fields that mean something when a message is published (spec 07a §A7.8).

use crate::headers;
/// Reads all fields of interest in one pass. Of a field that is there more than once the first
/// counts; `None` means absent, and a value may be empty.
macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $name:path;)+) => {
        /// The values of a header block. Names are compared byte by byte.
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct PublishHeaders<'a> {
            $($(#[$doc])* pub(super) $field: Option<&'a [u8]>,)+
        }

        impl<'a> PublishHeaders<'a> {
            fn put(&mut self, name: &[u8], value: &'a [u8]) {
                match name {
                    $(name if name == $name.as_bytes() => {
                        self.$field.get_or_insert(value);
                    })+
                    _ => {}
                }
            }
        }
    };
}

fields! {
    message_id = headers::MESSAGE_ID;
    expected_stream = headers::EXPECTED_STREAM;
    expected_last_sequence = headers::EXPECTED_LAST_SEQUENCE;
    expected_last_subject_sequence = headers::EXPECTED_LAST_SUBJECT_SEQUENCE;
    expected_subject = headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT;
    expected_last_message_id = headers::EXPECTED_LAST_MESSAGE_ID;
    rollup = headers::ROLLUP;
    ttl = headers::TTL;
    increment = headers::INCREMENT;
    stream_source = headers::STREAM_SOURCE;
    batch_id = headers::BATCH_ID;
    batch_sequence = headers::BATCH_SEQUENCE;
    batch_commit = headers::BATCH_COMMIT;
    schedule = headers::SCHEDULE;
    schedule_time_zone = headers::SCHEDULE_TIME_ZONE;
    schedule_ttl = headers::SCHEDULE_TTL;
    schedule_target = headers::SCHEDULE_TARGET;
    schedule_source = headers::SCHEDULE_SOURCE;
    schedule_rollup = headers::SCHEDULE_ROLLUP;
    scheduler = headers::SCHEDULER;
    schedule_next = headers::SCHEDULE_NEXT;
    required_api_level = headers::REQUIRED_API_LEVEL;
    request_info = headers::REQUEST_INFO;
}

const CRLF: &[u8] = b"\r\n";

/// Where the first line break is.
fn find_line_break(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\r', text).find(|at| text.get(at + 1) == Some(&b'\n'))
}

impl<'a> PublishHeaders<'a> {
    /// The fields of a header block; none of an empty one.
    pub(super) fn parse(header: &'a [u8]) -> Self {
        let mut fields = PublishHeaders::default();
        let Some(first) = find_line_break(header) else { return fields };
        let mut rest = header.get(first + CRLF.len()..).unwrap_or_default();
        while !rest.is_empty() {
            let end = find_line_break(rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(end);
            rest = tail.get(CRLF.len()..).unwrap_or_default();
            if !line.starts_with(b"Nats-") {
                continue;
            }
            if let Some(colon) = memchr::memchr(b':', line) {
                let (name, value) = (&line[..colon], &line[colon + 1..]);
                let spaces = value.iter().take_while(|byte| **byte == b' ').count();
                fields.put(name, &value[spaces..]);
            }
        }
        fields
    }
}

/// The value of a field that counts only when it is not empty.
pub(super) fn given(value: Option<&[u8]>) -> Option<&[u8]> {
    value.filter(|value| !value.is_empty())
}

/// A sequence as a publisher expects it. What cannot be read becomes the highest number, which no
/// stream gets to, so that it never matches. Numbers too large wrap around, as they do in the
/// reference.
pub(super) fn expected_sequence(value: Option<&[u8]>) -> Option<u64> {
    given(value).map(|digits| {
        if !digits.iter().all(u8::is_ascii_digit) {
            return u64::MAX;
        }
        digits.iter().fold(0_u64, |number, digit| {
            number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
        })
    })
}

/// A number without sign; `None` when it is something else or too large.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a message replaces once it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rollup {
    /// All others of its subject.
    Subject,
    /// All others.
    All,
}

impl Rollup {
    /// The rollup a field names, or its lower-cased text when it names none.
    pub(super) fn parse(value: &[u8]) -> Result<Rollup, String> {
        match value.to_ascii_lowercase().as_slice() {
            b"sub" => Ok(Rollup::Subject),
            b"all" => Ok(Rollup::All),
            other => Err(String::from_utf8_lossy(other).to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_field_of_a_whole_name_counts() {
        let header =
            b"NATS/1.0\r\nX-Nats-Msg-Id: no\r\nNats-Msg-Id-X: no\r\nOther: Nats-Msg-Id: no\
            \r\nNats-Msg-Id:  yes\r\nNats-Msg-Id: late\r\nnats-ttl: 1\r\nNats-Rollup:\r\n\r\n";
        let fields = PublishHeaders::parse(header);
        assert_eq!(fields.message_id, Some(&b"yes"[..]));
        assert_eq!(fields.ttl, None);
        assert_eq!(fields.rollup, Some(&b""[..]));
        assert_eq!(given(fields.rollup), None);
    }

    #[test]
    fn damaged_blocks_are_read_as_far_as_they_go() {
        for header in [&b""[..], b"NATS/1.0", b"Nats-Msg-Id: a\r\n", b"NATS/1.0\r\nNats-Msg-Id\r\n"]
        {
            assert_eq!(PublishHeaders::parse(header).message_id, None);
        }
        let fields = PublishHeaders::parse(b"NATS/1.0\r\nNats-Msg-Id: a");
        assert_eq!(fields.message_id, Some(&b"a"[..]));
    }

    #[test]
    fn agrees_with_looking_up_each_field() {
        let header = b"NATS/1.0 200\r\nNats-Schedule:@at x\r\nNats-Batch-Id: 7\r\n\r\n";
        let fields = PublishHeaders::parse(header);
        assert_eq!(fields.schedule, headers::value(header, headers::SCHEDULE));
        assert_eq!(fields.batch_id, headers::value(header, headers::BATCH_ID));
    }

    #[test]
    fn sequences_that_cannot_be_read_match_nothing() {
        assert_eq!(expected_sequence(None), None);
        assert_eq!(expected_sequence(Some(b"")), None);
        assert_eq!(expected_sequence(Some(b"012")), Some(12));
        assert_eq!(expected_sequence(Some(b"-1")), Some(u64::MAX));
        assert_eq!(expected_sequence(Some(b"1 ")), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!(number(b""), None);
        assert_eq!(number(b"+1"), None);
    }
}
