//! Which subjects a lookup is about.
//!
//! Spec 06 §15, §15.1. A filter is built once, by a consumer or a request, and tells the stores
//! the cheapest way to find its messages: everything, one subject, one wildcard, or several of
//! them. Wildcards count only as whole tokens.

use smallvec::SmallVec;

/// A set of subjects, given by literal subjects and wildcards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectFilter {
    /// Every message, also those without a subject.
    All,
    /// The messages of one subject.
    Literal(Box<[u8]>),
    /// The messages whose subject matches one wildcard.
    Wildcard(Box<[u8]>),
    /// The messages whose subject matches any of several; at least two, none of them `>`.
    Any(Box<[SubjectFilter]>),
}

impl SubjectFilter {
    /// The filter a request names: empty and `>` mean everything.
    pub fn new(filter: impl AsRef<[u8]>) -> Self {
        let filter = filter.as_ref();
        if filter.is_empty() || filter == b">" {
            SubjectFilter::All
        } else if has_wildcard(filter) {
            SubjectFilter::Wildcard(filter.into())
        } else {
            SubjectFilter::Literal(filter.into())
        }
    }

    /// The union of several filters; everything when there are none or one is `>`.
    pub fn any<T: AsRef<[u8]>>(filters: impl IntoIterator<Item = T>) -> Self {
        let mut parts: Vec<SubjectFilter> = Vec::new();
        for filter in filters {
            let part = SubjectFilter::new(filter);
            if part == SubjectFilter::All {
                return SubjectFilter::All;
            }
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        match parts.len() {
            0 => SubjectFilter::All,
            1 => parts.remove(0),
            _ => SubjectFilter::Any(parts.into_boxed_slice()),
        }
    }

    /// Whether this is [`SubjectFilter::All`].
    pub fn is_all(&self) -> bool {
        matches!(self, SubjectFilter::All)
    }

    /// Whether a message of `subject` is among those asked for.
    pub fn matches(&self, subject: &[u8]) -> bool {
        match self {
            SubjectFilter::All => true,
            SubjectFilter::Literal(literal) => **literal == *subject,
            SubjectFilter::Wildcard(wildcard) => wildcard_matches(wildcard, subject),
            SubjectFilter::Any(parts) => parts.iter().any(|part| part.matches(subject)),
        }
    }

    /// The filters this one is the union of: itself, or its parts. Never yields
    /// [`SubjectFilter::Any`].
    pub fn parts(&self) -> SmallVec<[&SubjectFilter; 1]> {
        match self {
            SubjectFilter::Any(parts) => parts.iter().collect(),
            single => SmallVec::from_slice(&[single]),
        }
    }

    /// The text of a single filter: `>` for everything, `None` for a union.
    pub fn as_subject(&self) -> Option<&[u8]> {
        match self {
            SubjectFilter::All => Some(b">"),
            SubjectFilter::Literal(subject) | SubjectFilter::Wildcard(subject) => Some(subject),
            SubjectFilter::Any(_) => None,
        }
    }
}

/// Whether a token of `subject` is `*`, or its last token is `>`.
pub fn has_wildcard(subject: &[u8]) -> bool {
    let mut tokens = subject.split(|byte| *byte == b'.').peekable();
    while let Some(token) = tokens.next() {
        if token == b"*" || (token == b">" && tokens.peek().is_none()) {
            return true;
        }
    }
    false
}

/// Whether a literal `subject` matches `filter`, token by token.
///
/// Empty tokens of the filter match nothing. A token that merely starts with `*` stands for any
/// token, which is what the reference's matcher by tokens does with it (spec 06 §15).
pub fn wildcard_matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut subject_tokens = subject.split(|byte| *byte == b'.');
    for token in filter.split(|byte| *byte == b'.') {
        let Some(given) = subject_tokens.next() else { return false };
        match token {
            [] => return false,
            b">" => return true,
            _ if given.is_empty() => return false,
            [b'*', ..] => {}
            _ if token != given => return false,
            _ => {}
        }
    }
    subject_tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_the_cheapest_form() {
        assert_eq!(SubjectFilter::new(""), SubjectFilter::All);
        assert_eq!(SubjectFilter::new(">"), SubjectFilter::All);
        assert_eq!(SubjectFilter::new("foo"), SubjectFilter::Literal((*b"foo").into()));
        assert_eq!(SubjectFilter::new("foo.*"), SubjectFilter::Wildcard((*b"foo.*").into()));
        assert_eq!(SubjectFilter::new("fo*"), SubjectFilter::Literal((*b"fo*").into()));
        assert_eq!(SubjectFilter::any(["a", "a"]), SubjectFilter::new("a"));
        assert_eq!(SubjectFilter::any(["a", ">"]), SubjectFilter::All);
        assert_eq!(SubjectFilter::any(Vec::<&str>::new()), SubjectFilter::All);
        assert_eq!(SubjectFilter::any(["a", "b.*"]).parts().len(), 2);
    }

    #[test]
    fn matching_goes_by_whole_tokens() {
        for (filter, subject, expected) in [
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo", false),
            ("foo.*", "foo.bar.baz", false),
            ("foo.>", "foo.bar.baz", true),
            ("foo.>", "foo", false),
            ("*.bar", "foo.bar", true),
            ("*.*", "foo", false),
            ("foo.*.baz", "foo.bar.baz", true),
            ("foo.*.baz", "foo..baz", false),
            ("*x.*", "foo.bar", true),
        ] {
            assert_eq!(
                SubjectFilter::new(filter).matches(subject.as_bytes()),
                expected,
                "{filter}"
            );
        }
    }

    #[test]
    fn union_matches_each_of_its_parts() {
        let filter = SubjectFilter::any(["foo", "bar.*"]);
        assert!(filter.matches(b"foo"));
        assert!(filter.matches(b"bar.x"));
        assert!(!filter.matches(b"bar"));
    }
}
