//! Filters with wildcards as the subject tree reads them (spec 06, subject tree rules).
//!
//! A filter is cut into literal runs and wildcards. `*` and `>` are wildcards only when they are a
//! whole token, `>` only as the last one; everywhere else they are bytes like any other.
//!
//! Subjects with empty tokens are valid keys: `*` matches an empty token except at the end of a
//! subject, and `foo.>` matches `foo.`, as in the reference.

use smallvec::SmallVec;

use super::walk::{Filter, NextByte};
use crate::subject::TOKEN_SEPARATOR as SEPARATOR;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment<'a> {
    /// Bytes that must be there, separators included.
    Literal(&'a [u8]),
    /// `*`: the bytes up to the next separator.
    Token,
    /// `>`: everything that is left.
    Rest,
}

/// A filter, ready to be followed byte by byte.
pub(super) struct Pattern<'a> {
    segments: SmallVec<[Segment<'a>; 8]>,
}

/// How much of a pattern has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    segment: usize,
    /// In a literal: how many of its bytes were read. In a token: 1 once a byte of it was read.
    offset: usize,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(filter: &'a [u8]) -> Self {
        let mut segments = SmallVec::new();
        let mut literal_start = 0;
        let mut token_start = 0;
        while token_start <= filter.len() {
            let rest = &filter[token_start..];
            let token_len = memchr::memchr(SEPARATOR, rest).unwrap_or(rest.len());
            let token_end = token_start + token_len;
            let wildcard = match &filter[token_start..token_end] {
                b"*" => Some(Segment::Token),
                b">" if token_end == filter.len() => Some(Segment::Rest),
                _ => None,
            };
            if let Some(wildcard) = wildcard {
                if literal_start < token_start {
                    segments.push(Segment::Literal(&filter[literal_start..token_start]));
                }
                segments.push(wildcard);
                literal_start = token_end;
            }
            token_start = token_end + 1;
        }
        if literal_start < filter.len() {
            segments.push(Segment::Literal(&filter[literal_start..]));
        }
        Self { segments }
    }
}

impl Filter for Pattern<'_> {
    type State = Position;

    fn start(&self) -> Position {
        Position { segment: 0, offset: 0 }
    }

    fn advance(&self, state: &Position, key: &[u8], from: usize) -> Option<Position> {
        let Position { mut segment, mut offset } = *state;
        let mut bytes = &key[from..];
        while !bytes.is_empty() {
            match self.segments.get(segment)? {
                Segment::Rest => break,
                Segment::Token => match memchr::memchr(SEPARATOR, bytes) {
                    None => {
                        offset = 1;
                        break;
                    }
                    Some(end) => {
                        bytes = &bytes[end..];
                        segment += 1;
                        offset = 0;
                    }
                },
                Segment::Literal(literal) => {
                    let wanted = &literal[offset..];
                    let len = wanted.len().min(bytes.len());
                    if wanted[..len] != bytes[..len] {
                        return None;
                    }
                    bytes = &bytes[len..];
                    offset += len;
                    if offset == literal.len() {
                        segment += 1;
                        offset = 0;
                    }
                }
            }
        }
        Some(Position { segment, offset })
    }

    fn accepts(&self, state: &Position, _key: &[u8]) -> bool {
        match self.segments.get(state.segment) {
            None | Some(Segment::Rest) => true,
            Some(Segment::Token) => state.offset == 1 && state.segment + 1 == self.segments.len(),
            Some(Segment::Literal(_)) => false,
        }
    }

    fn next(&self, state: &Position) -> NextByte {
        match self.segments.get(state.segment) {
            None => NextByte::None,
            Some(Segment::Rest | Segment::Token) => NextByte::Any,
            Some(Segment::Literal(literal)) => NextByte::Only(literal[state.offset]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(filter: &str) -> Vec<Segment<'_>> {
        Pattern::new(filter.as_bytes()).segments.into_vec()
    }

    fn matches(filter: &str, subject: &str) -> bool {
        let pattern = Pattern::new(filter.as_bytes());
        // Reading the subject in two pieces, cut anywhere, must not make a difference.
        let results: Vec<bool> = (0..=subject.len())
            .map(|cut| {
                let head = subject.as_bytes().get(..cut).unwrap_or_default();
                pattern
                    .advance(&pattern.start(), head, 0)
                    .and_then(|state| pattern.advance(&state, subject.as_bytes(), cut))
                    .is_some_and(|state| pattern.accepts(&state, subject.as_bytes()))
            })
            .collect();
        assert!(results.iter().all(|&r| r == results[0]), "{filter} {subject} {results:?}");
        results[0]
    }

    #[test]
    fn filters_are_cut_at_whole_token_wildcards_only() {
        use Segment::{Literal, Rest, Token};
        assert_eq!(segments("foo.bar"), [Literal(b"foo.bar")]);
        assert_eq!(segments("*"), [Token]);
        assert_eq!(segments(">"), [Rest]);
        assert_eq!(segments("foo.*.bar.>"), [Literal(b"foo."), Token, Literal(b".bar."), Rest]);
        assert_eq!(segments("*.*"), [Token, Literal(b"."), Token]);
        assert_eq!(segments("foo.>.bar"), [Literal(b"foo.>.bar")]);
        assert_eq!(segments("'*.*'"), [Literal(b"'*.*'")]);
        assert_eq!(segments("'>'"), [Literal(b"'>'")]);
        assert!(segments("").is_empty());
    }

    #[test]
    fn wildcards_match_by_token() {
        for (filter, subject, expected) in [
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo", false),
            ("foo.*", "foo.bar.baz", false),
            ("foo.>", "foo", false),
            ("foo.>", "foo.bar.baz", true),
            ("*.bar", "foo.bar", true),
            ("*.bar", "foo.baz", false),
            ("*.*.c", "a.b.c", true),
            (">", "foo", true),
            ("foo.>.bar", "foo.x.bar", false),
            ("'*.*'", "'a.b'", false),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn empty_tokens_match_except_a_last_one_under_a_star() {
        assert!(matches("*.bar", ".bar"));
        assert!(matches("foo.*.bar", "foo..bar"));
        assert!(!matches("foo.*", "foo."));
        assert!(matches("foo.>", "foo."));
        assert!(!matches(".", "foo"));
    }
}
