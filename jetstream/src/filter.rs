//! Which subjects a lookup is about.
//!
//! Spec 06 §15, §15.1. A filter is built once, by a consumer or a request, and tells the stores
//! the cheapest way to find its messages: everything, one subject, one wildcard, or several of
//! them. Wildcards count only as whole tokens.

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;
use sublist::gsl::SimpleSublist;
use sublist::stree::{SubjectTree, intersect_gsl};

/// From so many wildcards on, a union keeps its filters in a list as well: matching then costs a
/// walk along the subject instead of a comparison with each of them.
const LISTED_WILDCARDS: usize = 8;
/// From so many literals on, a union finds them by their hash.
const HASHED_LITERALS: usize = 16;

/// A set of subjects, given by literal subjects and wildcards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectFilter {
    /// Every message, also those without a subject.
    All,
    /// The messages of one subject.
    Literal(Box<[u8]>),
    /// The messages whose subject matches one wildcard.
    Wildcard(Box<[u8]>),
    /// The messages whose subject matches any of several.
    Any(Box<FilterUnion>),
}

/// Several filters at once; at least two, none of them `>`.
#[derive(Clone, Debug)]
pub struct FilterUnion {
    /// Sorted, each once.
    literals: Vec<SubjectFilter>,
    /// Sorted, each once.
    wildcards: Vec<SubjectFilter>,
    /// All of them, when there are many wildcards.
    list: Option<SimpleSublist>,
    /// Where literals are, when there are many.
    places: Option<Places>,
}

/// The places of literals by their hash.
#[derive(Clone, Debug)]
struct Places {
    hasher: RandomState,
    table: HashTable<u32>,
}

impl Places {
    fn new(literals: &[SubjectFilter]) -> Self {
        let hasher = RandomState::new();
        let hash = |place: &u32| {
            literals.get(*place as usize).map_or(0, |literal| hasher.hash_one(literal.text()))
        };
        let mut table = HashTable::with_capacity(literals.len());
        for place in (0_u32..).take(literals.len()) {
            table.insert_unique(hash(&place), place, hash);
        }
        Places { hasher, table }
    }

    fn contain(&self, literals: &[SubjectFilter], subject: &[u8]) -> bool {
        let is_it = |place: &u32| {
            literals.get(*place as usize).is_some_and(|literal| literal.text() == subject)
        };
        self.table.find(self.hasher.hash_one(subject), is_it).is_some()
    }
}

/// List and places follow from the rest.
impl PartialEq for FilterUnion {
    fn eq(&self, other: &Self) -> bool {
        self.literals == other.literals && self.wildcards == other.wildcards
    }
}

impl Eq for FilterUnion {}

impl FilterUnion {
    fn new(literals: Vec<SubjectFilter>, wildcards: Vec<SubjectFilter>) -> Self {
        let list = (wildcards.len() >= LISTED_WILDCARDS).then(|| {
            let mut list = SimpleSublist::new();
            for part in literals.iter().chain(&wildcards) {
                // What the list refuses has an empty token, and so matches nothing.
                let _ = list.insert(part.text(), ());
            }
            list
        });
        let places = (literals.len() >= HASHED_LITERALS).then(|| Places::new(&literals));
        FilterUnion { literals, wildcards, list, places }
    }

    fn matches(&self, subject: &[u8]) -> bool {
        self.has_literal(subject)
            || match &self.list {
                Some(list) => list.has_interest(subject),
                None => self.wildcards.iter().any(|part| part.matches(subject)),
            }
    }

    fn has_literal(&self, subject: &[u8]) -> bool {
        if let Some(places) = &self.places {
            return places.contain(&self.literals, subject);
        }
        self.literals.binary_search_by(|part| part.text().cmp(subject)).is_ok()
    }
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
        let (mut literals, mut wildcards) = (Vec::new(), Vec::new());
        for filter in filters {
            match SubjectFilter::new(filter) {
                SubjectFilter::Literal(subject) => literals.push(SubjectFilter::Literal(subject)),
                SubjectFilter::Wildcard(subject) => {
                    wildcards.push(SubjectFilter::Wildcard(subject));
                }
                _ => return SubjectFilter::All,
            }
        }
        for parts in [&mut literals, &mut wildcards] {
            parts.sort_unstable_by(|one, other| one.text().cmp(other.text()));
            parts.dedup();
        }
        match (literals.len(), wildcards.len()) {
            (0, 0) => SubjectFilter::All,
            (1, 0) => literals.remove(0),
            (0, 1) => wildcards.remove(0),
            _ => SubjectFilter::Any(Box::new(FilterUnion::new(literals, wildcards))),
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
            SubjectFilter::Any(union) => union.matches(subject),
        }
    }

    /// What every matching subject starts with: for a quick look before [`SubjectFilter::matches`].
    pub fn literal_prefix(&self) -> &[u8] {
        match self {
            SubjectFilter::Literal(literal) => literal,
            SubjectFilter::Wildcard(wildcard) => {
                // A star inside a token is literal; leaving it out only makes the prefix shorter.
                let end = memchr::memchr2(b'*', b'>', wildcard).unwrap_or(wildcard.len());
                let whole = wildcard.get(..end).unwrap_or_default();
                let token = memchr::memrchr(b'.', whole).map_or(0, |dot| dot + 1);
                whole.get(..token).unwrap_or_default()
            }
            SubjectFilter::All | SubjectFilter::Any(_) => b"",
        }
    }

    /// The filters this one is the union of: itself, or its parts. Never yields
    /// [`SubjectFilter::Any`].
    pub fn parts(&self) -> SmallVec<[&SubjectFilter; 1]> {
        match self {
            SubjectFilter::Any(union) => union.literals.iter().chain(&union.wildcards).collect(),
            single => SmallVec::from_slice(&[single]),
        }
    }

    /// The text of a single filter: `>` for everything, `None` for a union.
    pub fn as_subject(&self) -> Option<&[u8]> {
        match self {
            SubjectFilter::Any(_) => None,
            single => Some(single.text()),
        }
    }

    /// The text of a single filter; a union has none.
    fn text(&self) -> &[u8] {
        match self {
            SubjectFilter::All => b">",
            SubjectFilter::Literal(subject) | SubjectFilter::Wildcard(subject) => subject,
            SubjectFilter::Any(_) => b"",
        }
    }

    /// Calls `visit` for every matching subject of an index, each once, until it returns false;
    /// returns whether it never did. Subjects come in the order of their bytes, unless the filter
    /// is a union.
    pub fn visit<V>(
        &self,
        tree: &SubjectTree<V>,
        mut visit: impl FnMut(&[u8], &V) -> bool,
    ) -> bool {
        match self {
            SubjectFilter::All => tree.iter_ordered(visit),
            SubjectFilter::Literal(subject) => {
                tree.find(subject).is_none_or(|value| visit(subject, value))
            }
            SubjectFilter::Wildcard(wildcard) => tree.match_until(wildcard, visit),
            SubjectFilter::Any(union) => {
                if let Some(list) = &union.list {
                    return intersect_gsl(tree, list, visit);
                }
                for (index, part) in union.wildcards.iter().enumerate() {
                    let earlier = &union.wildcards[..index];
                    let seen = |subject: &[u8]| earlier.iter().any(|part| part.matches(subject));
                    if !tree.match_until(part.text(), |subject, value| {
                        seen(subject) || visit(subject, value)
                    }) {
                        return false;
                    }
                }
                union.literals.iter().all(|part| {
                    let subject = part.text();
                    union.wildcards.iter().any(|wildcard| wildcard.matches(subject))
                        || tree.find(subject).is_none_or(|value| visit(subject, value))
                })
            }
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
/// Wildcards count only as whole tokens: `*x` is literal here as in the index, so that what is
/// counted is what is found. Empty tokens match nothing.
pub fn wildcard_matches(filter: &[u8], subject: &[u8]) -> bool {
    let (mut filter, mut subject) = (filter, subject);
    loop {
        match filter {
            b">" => return true,
            [b'*', rest @ ..] if rest.is_empty() || rest[0] == b'.' => {
                let len = memchr::memchr(b'.', subject).unwrap_or(subject.len());
                if len == 0 {
                    return false;
                }
                (filter, subject) = (rest, &subject[len..]);
            }
            _ => {
                let len = memchr::memchr(b'.', filter).unwrap_or(filter.len());
                let (token, rest) = filter.split_at(len);
                match subject.strip_prefix(token) {
                    Some(after) if len > 0 => (filter, subject) = (rest, after),
                    _ => return false,
                }
            }
        }
        // Both are now at the end of a token, or the subject is inside one.
        match (filter.split_first(), subject.split_first()) {
            (None, None) => return true,
            (Some((_, rest)), Some((b'.', after))) => (filter, subject) = (rest, after),
            _ => return false,
        }
    }
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
            ("*x.*", "foo.bar", false),
            ("*x.*", "*x.bar", true),
        ] {
            let filter = SubjectFilter::new(filter);
            assert_eq!(filter.matches(subject.as_bytes()), expected, "{filter:?}");
            let may_match = subject.as_bytes().starts_with(filter.literal_prefix());
            assert!(may_match || !expected, "{filter:?}");
        }
    }

    #[test]
    fn union_matches_each_of_its_parts() {
        let filter = SubjectFilter::any(["foo", "bar.*"]);
        assert!(filter.matches(b"foo"));
        assert!(filter.matches(b"bar.x"));
        assert!(!filter.matches(b"bar"));
    }

    #[test]
    fn many_filters_match_like_few() {
        let literals: Vec<String> = (0..100).map(|n| format!("l.{n}")).collect();
        let wildcards: Vec<String> = (0..100).map(|n| format!("w.{n}.*")).collect();
        let mut tree = SubjectTree::new();
        for n in 0..200 {
            tree.insert(format!("l.{n}").as_bytes(), ());
            tree.insert(format!("w.{n}.x").as_bytes(), ());
        }
        for filters in [literals.clone(), wildcards.clone(), [literals, wildcards].concat()] {
            let union = SubjectFilter::any(&filters);
            let single: Vec<SubjectFilter> = filters.iter().map(SubjectFilter::new).collect();
            let expected = |subject: &[u8]| single.iter().any(|part| part.matches(subject));
            let (mut matching, mut visited) = (0, 0);
            tree.iter_ordered(|subject, ()| {
                assert_eq!(union.matches(subject), expected(subject));
                matching += usize::from(union.matches(subject));
                true
            });
            assert!(union.visit(&tree, |subject, ()| {
                assert!(union.matches(subject));
                visited += 1;
                true
            }));
            assert_eq!((matching, visited), (filters.len(), filters.len()));
            assert!(!union.matches(b"l") && !union.matches(b"w.1") && !union.matches(b"l.100"));
            assert_eq!(union, SubjectFilter::any(filters.iter().rev()));
        }
    }

    #[test]
    fn index_is_visited_once_for_each_matching_subject() {
        let mut tree = SubjectTree::new();
        for subject in ["a.1", "a.2", "b.1", "b.2", "c"] {
            tree.insert(subject.as_bytes(), ());
        }
        let visited = |filter: &SubjectFilter| {
            let mut subjects = Vec::new();
            assert!(filter.visit(&tree, |subject, ()| {
                subjects.push(String::from_utf8_lossy(subject).into_owned());
                true
            }));
            subjects.sort();
            subjects
        };
        assert_eq!(visited(&SubjectFilter::All).len(), 5);
        assert_eq!(visited(&SubjectFilter::new("a.*")), ["a.1", "a.2"]);
        assert_eq!(visited(&SubjectFilter::new("c")), ["c"]);
        assert_eq!(visited(&SubjectFilter::new("d")).len(), 0);
        let union = SubjectFilter::any(["*.1", "a.*", "a.1", "c", "d"]);
        assert_eq!(visited(&union), ["a.1", "a.2", "b.1", "c"]);
        let mut count = 0;
        assert!(!union.visit(&tree, |_, ()| {
            count += 1;
            count < 2
        }));
        assert_eq!(count, 2);
    }

    proptest::proptest! {
        #[test]
        fn matching_agrees_with_comparing_token_by_token(
            filter in "[ab*>]{0,2}(\\.[ab*>]{0,2}){0,3}",
            subject in "[ab]{0,2}(\\.[ab]{0,2}){0,3}",
        ) {
            let mut given = subject.split('.');
            let mut expected = true;
            let mut open_ended = false;
            let tokens: Vec<&str> = filter.split('.').collect();
            for (index, token) in tokens.iter().enumerate() {
                let found = given.next();
                let last = index + 1 == tokens.len();
                expected &= match (*token, found) {
                    (">", Some(_)) if last => {
                        open_ended = true;
                        true
                    }
                    ("*", Some(found)) => !found.is_empty(),
                    (token, Some(found)) => !token.is_empty() && token == found,
                    (_, None) => false,
                };
            }
            expected &= open_ended || given.next().is_none();
            let matches = wildcard_matches(filter.as_bytes(), subject.as_bytes());
            proptest::prop_assert_eq!(matches, expected);
        }
    }
}
