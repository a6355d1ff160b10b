//! Subjects of a tree that are in another tree, or that a subject list has interest in (spec 06,
//! subject tree rules).

use super::SubjectTree;
use super::walk::{Filter, NextByte};
use crate::gsl::{GenericSublist, Interest};
use crate::subject::TOKEN_SEPARATOR;

/// Calls `visit` for every subject that is in both trees, once each, in bytewise order, with its
/// values in the first and in the second tree.
pub fn lazy_intersect<A, B>(
    left: &SubjectTree<A>,
    right: &SubjectTree<B>,
    mut visit: impl FnMut(&[u8], &A, &B),
) {
    // Each subject of the smaller tree is looked up in the larger one.
    if left.len() <= right.len() {
        left.iter_ordered(|subject, a| {
            if let Some(b) = right.find(subject) {
                visit(subject, a, b);
            }
            true
        });
    } else {
        right.iter_ordered(|subject, b| {
            if let Some(a) = left.find(subject) {
                visit(subject, a, b);
            }
            true
        });
    }
}

/// Calls `visit` for every subject of the tree that the list has interest in, once each however many
/// of its subjects match, in bytewise order, until it returns false; returns whether it was never so.
pub fn intersect_gsl<V, T: Ord>(
    tree: &SubjectTree<V>,
    list: &GenericSublist<T>,
    visit: impl FnMut(&[u8], &V) -> bool,
) -> bool {
    tree.walk_until(Interested { list }, visit)
}

/// As [`intersect_gsl`], with the values to be changed.
pub fn intersect_gsl_mut<V, T: Ord>(
    tree: &mut SubjectTree<V>,
    list: &GenericSublist<T>,
    visit: impl FnMut(&[u8], &mut V) -> bool,
) -> bool {
    tree.walk_until_mut(Interested { list }, visit)
}

/// The filter that lets through what a list has interest in. It follows the list token by token, so
/// a part of the tree without interest is left at its first byte that rules interest out.
struct Interested<'a, T> {
    list: &'a GenericSublist<T>,
}

#[derive(Clone)]
struct Progress {
    /// After the whole tokens read so far.
    interest: Interest,
    /// Where the token begins that is being read.
    token_start: usize,
}

impl<T> Filter for Interested<'_, T> {
    type State = Progress;

    fn start(&self) -> Progress {
        Progress { interest: Interest::start(self.list), token_start: 0 }
    }

    fn advance(&self, state: &Progress, key: &[u8], from: usize) -> Option<Progress> {
        let mut state = state.clone();
        for end in memchr::memchr_iter(TOKEN_SEPARATOR, &key[from..]) {
            let end = from + end;
            let token = &key[state.token_start..end];
            // No list has interest in a subject with an empty token.
            if token.is_empty() || !state.interest.read_token(self.list, token) {
                return None;
            }
            state.token_start = end + 1;
        }
        let begun = &key[state.token_start..];
        state.interest.leads_on_from(self.list, begun).then_some(state)
    }

    fn accepts(&self, state: &Progress, key: &[u8]) -> bool {
        let last = &key[state.token_start..];
        !last.is_empty() && state.interest.ends_with(self.list, last)
    }

    fn next(&self, _state: &Progress) -> NextByte {
        NextByte::Any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_of<V: Clone>(entries: &[(&str, V)]) -> SubjectTree<V> {
        let mut tree = SubjectTree::new();
        for (subject, value) in entries {
            assert!(tree.insert(subject.as_bytes(), value.clone()).is_none());
        }
        tree
    }

    fn shared<A: Clone, B: Clone>(
        left: &SubjectTree<A>,
        right: &SubjectTree<B>,
    ) -> Vec<(String, A, B)> {
        let mut found = Vec::new();
        lazy_intersect(left, right, |subject, a, b| {
            found.push((String::from_utf8_lossy(subject).into_owned(), a.clone(), b.clone()));
        });
        found
    }

    #[test]
    fn trees_share_exactly_equal_subjects() {
        let left = tree_of(&[
            ("foo.bar", 1),
            ("foo.bar.baz.qux", 2),
            ("bar", 3),
            ("a.b.c", 4),
            ("a.b.ee", 5),
            ("bb.c.d", 6),
        ]);
        let right = tree_of(&[
            ("foo.bar", "one"),
            ("foo.bar.baz.qux", "two"),
            ("baz", "x"),
            ("a.b.d", "x"),
            ("a.b.e", "x"),
            ("b.c.d", "x"),
            ("foo.bar.baz.qux.alice", "x"),
            ("foo.bar.baz.qux.bob", "x"),
        ]);
        let expected = [("foo.bar".into(), 1, "one"), ("foo.bar.baz.qux".into(), 2, "two")];
        assert_eq!(shared(&left, &right), expected);
        let swapped = expected.map(|(subject, a, b)| (subject, b, a));
        assert_eq!(shared(&right, &left), swapped);
        assert_eq!(shared(&left, &SubjectTree::<()>::new()), []);
        assert_eq!(shared(&SubjectTree::<()>::new(), &left), []);
    }

    #[test]
    fn values_keep_their_side_whichever_tree_is_smaller() {
        let mut large = SubjectTree::new();
        for n in 0..100 {
            large.insert(format!("large.{n}").as_bytes(), n);
        }
        let small =
            tree_of(&[("large.5", 500), ("large.10", 1000), ("large.50", 5000), ("small.only", 9)]);
        let expected = [
            ("large.10".into(), 10, 1000),
            ("large.5".into(), 5, 500),
            ("large.50".into(), 50, 5000),
        ];
        assert_eq!(shared(&large, &small), expected);
        let swapped = expected.map(|(subject, a, b)| (subject, b, a));
        assert_eq!(shared(&small, &large), swapped);
    }

    const SUBJECTS: [&str; 7] = [
        "eight.nine",
        "one.two.seven",
        "one.two.six",
        "one.two.three.five",
        "one.two.three.four",
        "stream.A",
        "stream.A.child",
    ];

    fn list_of(subjects: &[&str]) -> GenericSublist<usize> {
        let mut list = GenericSublist::new();
        for (value, subject) in subjects.iter().enumerate() {
            list.insert(subject.as_bytes(), value).unwrap();
        }
        list
    }

    #[test]
    fn subjects_with_interest_are_visited_once() {
        let tree = tree_of(&SUBJECTS.map(|subject| (subject, ())));
        let cases: [(&[&str], &[&str]); 24] = [
            (&["one.two.six", "eight.nine"], &["eight.nine", "one.two.six"]),
            (&["one.two.*.*"], &["one.two.three.five", "one.two.three.four"]),
            (&["one.two.*.four", "one.two.*.*"], &["one.two.three.five", "one.two.three.four"]),
            (&["*.*", "*.*.*", "*.*.*.*"], &SUBJECTS),
            (&["one.>"], &SUBJECTS[1..5]),
            (&["one.two.three.four", "one.>", ">"], &SUBJECTS),
            (&["stream.A.>", "stream.A"], &["stream.A", "stream.A.child"]),
            (&["stream.*.child", "stream.A"], &["stream.A", "stream.A.child"]),
            (
                &[
                    "stream.A.child",
                    "*.A.child",
                    "stream.*.child",
                    "stream.A.*",
                    "stream.*.*",
                    "*.A.*",
                    "*.*.child",
                ],
                &["stream.A.child"],
            ),
            (
                &["stream.A.child", "*.A.child", "stream.A.*", "*.A.*", "*.*.child"],
                &["stream.A.child"],
            ),
            (&["stream.A.child", "stream.*.*"], &["stream.A.child"]),
            (&["stream.A.child", "stream.*.>"], &["stream.A.child"]),
            (&["stream.A.child", "*.*"], &["eight.nine", "stream.A", "stream.A.child"]),
            (&["stream.A.child", "stream.*"], &["stream.A", "stream.A.child"]),
            (
                &["stream.A", "*.*.*"],
                &["one.two.seven", "one.two.six", "stream.A", "stream.A.child"],
            ),
            (&[">"], &SUBJECTS),
            (&["one"], &[]),
            (&["one", "eight", "ten"], &[]),
            (&["stream.A.not-child", "stream.A.child.>"], &[]),
            (&["one.*.six", "one.two.seven"], &["one.two.seven", "one.two.six"]),
            (
                &["one.*.*.four", "one.*.*.five", "one.*.three"],
                &["one.two.three.five", "one.two.three.four"],
            ),
            (&["one.two.*.*", "*.two.three.four"], &["one.two.three.five", "one.two.three.four"]),
            (&["one.*.four.five", "one.two.three.four"], &["one.two.three.four"]),
            (&[], &[]),
        ];
        for (filters, expected) in cases {
            let mut found = Vec::new();
            let completed = intersect_gsl(&tree, &list_of(filters), |subject, ()| {
                found.push(String::from_utf8_lossy(subject).into_owned());
                true
            });
            assert!(completed);
            assert_eq!(found, expected, "{filters:?}");
        }
    }

    #[test]
    fn intersection_stops_when_told_to() {
        let tree = tree_of(&SUBJECTS.map(|subject| (subject, ())));
        let mut visited = 0;
        assert!(!intersect_gsl(&tree, &list_of(&[">"]), |_, ()| {
            visited += 1;
            false
        }));
        assert_eq!(visited, 1);
    }

    #[test]
    fn intersection_can_change_values() {
        let mut tree = tree_of(&SUBJECTS.map(|subject| (subject, 0)));
        intersect_gsl_mut(&mut tree, &list_of(&["one.>", "one.*.six"]), |_, value| {
            *value += 1;
            true
        });
        assert_eq!(
            SUBJECTS.map(|s| tree.find(s.as_bytes()).copied()).iter().flatten().sum::<i32>(),
            4
        );
    }

    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 256,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(14),
            ..ProptestConfig::default()
        })]

        #[test]
        fn intersection_is_what_has_interest(
            subjects in prop::collection::btree_set("([ab]{0,2}\\.){0,3}[abc*>]{0,2}", 0..30),
            filters in prop::collection::vec("([ab]{1,2}\\.|\\*\\.){0,3}([abc]{1,2}|\\*|>)", 0..6),
        ) {
            let mut tree = SubjectTree::new();
            for subject in &subjects {
                tree.insert(subject.as_bytes(), ());
            }
            let filters: Vec<&str> = filters.iter().map(|filter| &**filter).collect();
            let list = list_of(&filters);
            let mut found = Vec::new();
            intersect_gsl(&tree, &list, |subject, ()| {
                found.push(String::from_utf8_lossy(subject).into_owned());
                true
            });
            let expected: Vec<String> = subjects
                .into_iter()
                .filter(|subject| list.has_interest(subject.as_bytes()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
