//! Subjects: tokens, validity, wildcards and the relations between two subjects.
//!
//! A subject is bytes, not text: nothing on the wire makes it UTF-8. Tokens are separated by
//! `.`; `*` and `>` are wildcards only when they are a whole token. Everything here is a pure
//! function that neither allocates nor fails. Implements spec 01 §6 and the subject relations
//! of spec 01 §14.

/// The byte between two tokens.
pub const TOKEN_SEPARATOR: u8 = b'.';
/// The wildcard for exactly one token, when it is a token of its own.
pub const PARTIAL_WILDCARD: u8 = b'*';
/// The wildcard for one or more trailing tokens, when it is the last token.
pub const FULL_WILDCARD: u8 = b'>';

const PARTIAL_TOKEN: &[u8] = b"*";
const FULL_TOKEN: &[u8] = b">";

/// The tokens of a subject, in order. Empty tokens are yielded as empty slices, so the empty
/// subject has one (empty) token.
pub fn tokens(subject: &[u8]) -> Tokens<'_> {
    Tokens { rest: Some(subject) }
}

/// Iterator over the tokens of a subject, see [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match rest.iter().position(|&b| b == TOKEN_SEPARATOR) {
            Some(at) => {
                let (token, tail) = rest.split_at(at);
                self.rest = tail.get(1..);
                Some(token)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

/// How many tokens a subject has, empty ones included; the empty subject has none.
pub fn num_tokens(subject: &[u8]) -> usize {
    if subject.is_empty() {
        return 0;
    }
    1 + subject.iter().filter(|&&b| b == TOKEN_SEPARATOR).count()
}

/// The token at a position counted from one; empty when there is no such token.
pub fn token_at(subject: &[u8], position: usize) -> &[u8] {
    match position.checked_sub(1) {
        Some(index) => tokens(subject).nth(index).unwrap_or_default(),
        None => &[],
    }
}

/// True when some token is `*` or `>`. Does not ask whether the subject is valid.
pub fn subject_has_wildcard(subject: &[u8]) -> bool {
    let mut token_start = true;
    let mut bytes = subject.iter().peekable();
    while let Some(&b) = bytes.next() {
        if token_start && (b == PARTIAL_WILDCARD || b == FULL_WILDCARD) {
            match bytes.peek() {
                None | Some(&&TOKEN_SEPARATOR) => return true,
                Some(_) => {}
            }
        }
        token_start = b == TOKEN_SEPARATOR;
    }
    false
}

/// True when no token is a wildcard: the opposite of [`subject_has_wildcard`].
pub fn subject_is_literal(subject: &[u8]) -> bool {
    !subject_has_wildcard(subject)
}

/// What a subject that may be subscribed to looks like, see [`subscription_shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectShape {
    /// No wildcard token: it matches itself only.
    Literal,
    /// At least one wildcard token.
    Wildcard,
}

/// Checks a subject by the rules of a subscription (spec 01 §6.1): no empty token, and `>`
/// as a token only at the end. White space and control bytes pass, for the control line was
/// split on white space before. `None` means invalid.
pub fn subscription_shape(subject: &[u8]) -> Option<SubjectShape> {
    let mut shape = SubjectShape::Literal;
    let mut token_len = 0_usize;
    let mut token_first = 0_u8;
    let mut full_seen = false;
    for &b in subject {
        if full_seen {
            return None;
        }
        if b != TOKEN_SEPARATOR {
            if token_len == 0 {
                token_first = b;
            }
            token_len = token_len.saturating_add(1);
            continue;
        }
        match (token_len, token_first) {
            (0, _) => return None,
            (1, FULL_WILDCARD) => full_seen = true,
            (1, PARTIAL_WILDCARD) => shape = SubjectShape::Wildcard,
            _ => {}
        }
        token_len = 0;
    }
    match (token_len, token_first) {
        (0, _) => None,
        (1, FULL_WILDCARD | PARTIAL_WILDCARD) => Some(SubjectShape::Wildcard),
        _ => Some(shape),
    }
}

/// Whether the subject is valid for subscribing in configuration and JetStream: a
/// subscription subject (see [`subscription_shape`]) without white space.
pub fn is_valid_subject(subject: &[u8]) -> bool {
    subscription_shape(subject).is_some() && !subject.iter().any(|&b| is_subject_whitespace(b))
}

/// [`is_valid_subject`], and moreover valid UTF-8 with neither NUL nor U+FFFD, which marks
/// text that was damaged before it reached us.
pub fn is_valid_subject_with_rune_check(subject: &[u8]) -> bool {
    if subject.contains(&0) {
        return false;
    }
    match std::str::from_utf8(subject) {
        Ok(text) => !text.contains('\u{FFFD}') && is_valid_subject(subject),
        Err(_) => false,
    }
}

/// Whether the subject has no empty and no wildcard token. White space passes.
pub fn is_valid_literal_subject(subject: &[u8]) -> bool {
    subscription_shape(subject) == Some(SubjectShape::Literal)
}

/// Whether the subject is valid and has no wildcard token.
pub fn is_valid_publish_subject(subject: &[u8]) -> bool {
    is_valid_subject(subject) && subject_is_literal(subject)
}

fn is_subject_whitespace(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

/// Whether a published subject, every token of which stands for itself, matches a filter that
/// may hold wildcards (spec 01 §6.4). A subject with an empty token matches nothing.
pub fn match_literal(literal: &[u8], filter: &[u8]) -> bool {
    let (mut rest, mut wanted) = (literal, filter);
    loop {
        // Both stand at the start of a token.
        let token_len = match wanted {
            [FULL_WILDCARD] => return tokens(rest).all(|token| !token.is_empty()),
            [PARTIAL_WILDCARD] | [PARTIAL_WILDCARD, TOKEN_SEPARATOR, ..] => {
                wanted = wanted.get(1..).unwrap_or_default();
                rest.iter().position(|&b| b == TOKEN_SEPARATOR).unwrap_or(rest.len())
            }
            _ => {
                let same = rest
                    .iter()
                    .zip(wanted)
                    .take_while(|(a, b)| a == b && **a != TOKEN_SEPARATOR)
                    .count();
                wanted = wanted.get(same..).unwrap_or_default();
                same
            }
        };
        if token_len == 0 {
            return false;
        }
        match (rest.get(token_len..).unwrap_or_default(), wanted) {
            ([], []) => return true,
            ([TOKEN_SEPARATOR, tail @ ..], [TOKEN_SEPARATOR, wanted_tail @ ..]) => {
                (rest, wanted) = (tail, wanted_tail);
            }
            _ => return false,
        }
    }
}

/// Whether everything `subject` can stand for is matched by `filter`; both may hold wildcards.
///
/// Two corners follow the reference exactly: what lies under the filter's `>` is not looked
/// at, not even for empty tokens, and a filter token that merely starts with `*` accepts any
/// literal token. Empty tokens elsewhere give false.
pub fn is_subset_match(subject: &[u8], filter: &[u8]) -> bool {
    let mut subject_tokens = tokens(subject);
    for wanted in tokens(filter) {
        let Some(token) = subject_tokens.next() else { return false };
        match (wanted, token) {
            ([], _) => return false,
            (FULL_TOKEN, _) => return true,
            (_, [] | FULL_TOKEN) => return false,
            (_, PARTIAL_TOKEN) => {
                if wanted != PARTIAL_TOKEN {
                    return false;
                }
            }
            ([PARTIAL_WILDCARD, ..], _) => {}
            _ => {
                if wanted != token {
                    return false;
                }
            }
        }
    }
    subject_tokens.next().is_none()
}

/// Whether a subject is selected by a filter: [`is_subset_match`] under its usual name.
pub fn subject_matches_filter(subject: &[u8], filter: &[u8]) -> bool {
    is_subset_match(subject, filter)
}

/// Whether some literal subject could match both subjects.
///
/// As in the reference, when both hold wildcards a token that merely starts with `*` or `>`
/// counts as able to match: the answer may be a false yes, never a false no.
pub fn subjects_collide(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (shape_a, shape_b) = (WildcardUse::of(a), WildcardUse::of(b));
    match (shape_a.any(), shape_b.any()) {
        (false, false) => return false,
        (false, true) => return is_subset_match(a, b),
        (true, false) => return is_subset_match(b, a),
        (true, true) => {}
    }
    // The shorter of two must end in `>` to reach the length of the other.
    let lengths_meet = match shape_a.tokens.cmp(&shape_b.tokens) {
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Less => shape_a.full,
        std::cmp::Ordering::Greater => shape_b.full,
    };
    lengths_meet && tokens(a).zip(tokens(b)).all(|(x, y)| tokens_could_meet(x, y))
}

struct WildcardUse {
    partial: bool,
    full: bool,
    tokens: usize,
}

impl WildcardUse {
    fn of(subject: &[u8]) -> Self {
        let mut seen = Self { partial: false, full: false, tokens: 0 };
        for token in tokens(subject) {
            seen.partial |= token == PARTIAL_TOKEN;
            seen.full |= token == FULL_TOKEN;
            seen.tokens = seen.tokens.saturating_add(1);
        }
        seen
    }

    fn any(&self) -> bool {
        self.partial || self.full
    }
}

fn tokens_could_meet(a: &[u8], b: &[u8]) -> bool {
    match (a.first(), b.first()) {
        (None, _) | (_, None) => false,
        (Some(&x), Some(&y)) => {
            [x, y].iter().any(|&c| c == PARTIAL_WILDCARD || c == FULL_WILDCARD) || a == b
        }
    }
}

/// Whether some literal subject matches both subscription subjects, exactly: unlike
/// [`subjects_collide`], `*` and `>` inside a longer token are ordinary bytes.
pub fn subjects_overlap(a: &[u8], b: &[u8]) -> bool {
    let (mut tokens_a, mut tokens_b) = (tokens(a), tokens(b));
    loop {
        match (tokens_a.next(), tokens_b.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some([]), _) | (_, Some([])) => return false,
            (Some(FULL_TOKEN), Some(_)) | (Some(_), Some(FULL_TOKEN)) => return true,
            (Some(PARTIAL_TOKEN), Some(_)) | (Some(_), Some(PARTIAL_TOKEN)) => {}
            (Some(x), Some(y)) => {
                if x != y {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(subject: &str) -> Option<SubjectShape> {
        subscription_shape(subject.as_bytes())
    }

    #[test]
    fn tokens_are_split_at_dots_and_counted_from_one() {
        let subject = b"orders.eu.42.*";
        assert_eq!(
            tokens(subject).collect::<Vec<_>>(),
            [&b"orders"[..], &b"eu"[..], &b"42"[..], &b"*"[..]]
        );
        assert_eq!(num_tokens(subject), 4);
        let at: Vec<&[u8]> = (0..=5).map(|i| token_at(subject, i)).collect();
        assert_eq!(at, [&b""[..], b"orders", b"eu", b"42", b"*", b""]);
        assert_eq!(num_tokens(b""), 0);
        assert_eq!(num_tokens(b".."), 3);
        assert_eq!(tokens(b"").count(), 1);
        assert_eq!(token_at(b"a.", 2), b"");
    }

    #[test]
    fn wildcards_count_only_as_whole_tokens() {
        for literal in [
            "foo",
            "foo*",
            "foo**",
            "foo.**",
            "foo*bar",
            "foo.*bar",
            "foo*.bar",
            "*bar",
            "foo>",
            "foo>>",
            "foo.>>",
            "foo>bar",
            "foo.>bar",
            "foo>.bar",
            ">bar",
            "a,*,>,b",
            "foo.***.bar",
        ] {
            assert!(subject_is_literal(literal.as_bytes()), "{literal}");
            assert!(!subject_has_wildcard(literal.as_bytes()), "{literal}");
            assert!(is_valid_literal_subject(literal.as_bytes()), "{literal}");
            assert!(is_valid_subject(literal.as_bytes()), "{literal}");
            assert!(is_valid_publish_subject(literal.as_bytes()), "{literal}");
        }
        for wildcard in ["*", ">", "foo.*", "foo.>", "foo.*.>", "foo.*.bar", "foo.bar.>", "*.bar"] {
            assert!(subject_has_wildcard(wildcard.as_bytes()), "{wildcard}");
            assert!(!subject_is_literal(wildcard.as_bytes()), "{wildcard}");
            assert!(!is_valid_literal_subject(wildcard.as_bytes()), "{wildcard}");
            assert!(!is_valid_publish_subject(wildcard.as_bytes()), "{wildcard}");
            assert!(is_valid_subject(wildcard.as_bytes()), "{wildcard}");
            assert_eq!(shape(wildcard), Some(SubjectShape::Wildcard), "{wildcard}");
        }
    }

    #[test]
    fn empty_tokens_and_early_full_wildcards_are_invalid_everywhere() {
        for bad in ["", ".", ".foo", "foo.", "foo..bar", "foo.bar..baz", "..", ">.", "*."] {
            assert_eq!(shape(bad), None, "{bad}");
            assert!(!is_valid_subject(bad.as_bytes()), "{bad}");
            assert!(!is_valid_literal_subject(bad.as_bytes()), "{bad}");
            assert!(!is_valid_publish_subject(bad.as_bytes()), "{bad}");
        }
        for bad in [">.bar", "foo.>.bar", ">.>", "a.>.*"] {
            assert_eq!(shape(bad), None, "{bad}");
            assert!(!is_valid_subject(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn white_space_is_invalid_in_subjects_but_not_in_literals_or_subscriptions() {
        for spaced in ["a b", " ", "a.\t", "a\nb", "\r.a", "a.\u{c}b"] {
            assert!(!is_valid_subject(spaced.as_bytes()), "{spaced:?}");
            assert!(!is_valid_publish_subject(spaced.as_bytes()), "{spaced:?}");
            assert!(is_valid_literal_subject(spaced.as_bytes()), "{spaced:?}");
            assert_eq!(shape(spaced), Some(SubjectShape::Literal), "{spaced:?}");
        }
        // Only the ASCII characters named by the rule count; a vertical tab does not.
        assert!(is_valid_subject(b"a.\x0b"));
    }

    #[test]
    fn rune_check_refuses_nul_replacement_character_and_invalid_utf8() {
        assert!(is_valid_subject(b"foo.bar.\0"));
        assert!(!is_valid_subject_with_rune_check(b"foo.bar.\0"));
        assert!(is_valid_subject("foo.\u{fffd}".as_bytes()));
        assert!(!is_valid_subject_with_rune_check("foo.\u{fffd}".as_bytes()));
        assert!(is_valid_subject(b"foo.\xff\xfe"));
        assert!(!is_valid_subject_with_rune_check(b"foo.\xff\xfe"));
        assert!(is_valid_subject_with_rune_check("größe.*.日本.>".as_bytes()));
        assert!(!is_valid_subject_with_rune_check(b"foo..bar"));
        assert!(!is_valid_subject_with_rune_check(b""));
    }

    #[test]
    fn literal_matching_table() {
        let table = [
            ("foo", "foo", true),
            ("foo", "bar", false),
            ("foo", "*", true),
            ("foo", ">", true),
            ("foo.bar", ">", true),
            ("foo.bar", "foo.>", true),
            ("foo.bar", "bar.>", false),
            ("foo.bar", "foo", false),
            ("foo", "foo.>", false),
            ("stats.test.22", "stats.>", true),
            ("stats.test.22", "stats.*.*", true),
            ("stats.test.foos", "stats.test.foos", true),
            ("stats.test.foos", "stats.test.foo", false),
            ("stats.test", "stats.test.*", false),
            ("stats.test.foos", "stats.*", false),
            ("stats.test.foos", "stats.*.*.foos", false),
            // Wildcard bytes inside longer tokens are ordinary bytes.
            ("*bar", "*bar", true),
            ("xbar", "*bar", false),
            ("foo*", "foo*", true),
            ("foo*bar", "foo*bar", true),
            ("foo.***.bar", "foo.***.bar", true),
            (">bar", ">bar", true),
            ("foo>", "foo>", true),
            ("foo>bar", "foo>bar", true),
            ("foo.>>>.bar", "foo.>>>.bar", true),
            // A published wildcard stands for itself.
            ("foo.*", "foo.*", true),
            ("foo.>", "foo.*", true),
            ("foo.*", "foo.bar", false),
            // Empty tokens match nothing.
            ("foo..bar", "foo.*.bar", false),
            ("foo.", "foo.>", false),
            ("foo..bar", ">", false),
            (".foo", ">", false),
            ("", ">", false),
        ];
        for (literal, filter, expected) in table {
            assert_eq!(
                match_literal(literal.as_bytes(), filter.as_bytes()),
                expected,
                "{literal} against {filter}"
            );
        }
    }

    #[test]
    fn subset_matching_table() {
        let table = [
            ("foo.bar", "foo.bar", true),
            ("foo.*", ">", true),
            ("foo.*", "*.*", true),
            ("foo.*", "foo.*", true),
            ("foo.*", "foo.bar", false),
            ("foo.>", ">", true),
            ("foo.>", "*.>", true),
            ("foo.>", "foo.>", true),
            ("foo.>", "foo.bar", false),
            ("foo.>", "foo.*", false),
            ("foo.*", "foo.>", true),
            ("foo", "foo.>", false),
            ("foo.bar", "foo", false),
            ("foo", "foo.bar", false),
            ("foo..bar", "foo.*", false),
            ("foo.*", "foo..bar", false),
            ("foo..bar", "foo.*.bar", false),
            // The corners kept from the reference.
            ("foo..bar", "foo.>", true),
            ("foo.baz", "foo.*bar", true),
            ("foo.*", "foo.*bar", false),
        ];
        for (subject, filter, expected) in table {
            assert_eq!(
                is_subset_match(subject.as_bytes(), filter.as_bytes()),
                expected,
                "{subject} of {filter}"
            );
            assert_eq!(
                subject_matches_filter(subject.as_bytes(), filter.as_bytes()),
                expected,
                "{subject} of {filter}"
            );
        }
    }

    #[test]
    fn collision_table() {
        let table = [
            ("foo.*", "foo.*.bar.>", false),
            ("foo.*", "foo.foo", true),
            ("foo.*", "*.foo", true),
            ("foo.bar.>", "*.bar.foo", true),
            ("foo", "foo", true),
            ("foo", "bar", false),
            ("foo.>", "foo", false),
            ("foo.>", "*", false),
            ("foo.>", "*.*.*", true),
            (">", "a.b.c", true),
            ("a.*", "b.*", false),
            // Equal subjects collide whatever they are.
            ("a..b", "a..b", true),
            ("a..*", "a.b.*", false),
            // Both hold wildcards, so a token that only starts with one may match.
            ("*.*foo", "*.bar", true),
            ("foo.*foo", "foo.bar", false),
        ];
        for (a, b, expected) in table {
            assert_eq!(subjects_collide(a.as_bytes(), b.as_bytes()), expected, "{a} and {b}");
            assert_eq!(subjects_collide(b.as_bytes(), a.as_bytes()), expected, "{b} and {a}");
        }
    }

    #[test]
    fn overlap_is_exact_about_wildcard_bytes_inside_tokens() {
        let table = [
            ("uplink.*.*.>", "uplink.1.2.3.>", true),
            ("foo.*", "*.foo", true),
            ("*.*foo", "*.bar", false),
            ("foo.>", "foo", false),
            ("foo.>", "*", false),
            (">", "a", true),
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a..b", "a.*.b", false),
        ];
        for (a, b, expected) in table {
            assert_eq!(subjects_overlap(a.as_bytes(), b.as_bytes()), expected, "{a} and {b}");
            assert_eq!(subjects_overlap(b.as_bytes(), a.as_bytes()), expected, "{b} and {a}");
        }
    }
}
