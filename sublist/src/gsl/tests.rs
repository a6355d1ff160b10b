//! Behaviour of the generic subject list, among it what the reference's own tests ask for.

use std::collections::BTreeSet;
use std::sync::RwLock;

use proptest::prelude::*;

use super::*;

fn list_of<'a>(subjects: impl IntoIterator<Item = &'a str>) -> GenericSublist<usize> {
    let mut list = GenericSublist::new();
    for (value, subject) in subjects.into_iter().enumerate() {
        list.insert(subject.as_bytes(), value).unwrap();
    }
    list.check_invariants();
    list
}

fn matched<T: Ord + Clone>(list: &GenericSublist<T>, subject: &str) -> Vec<T> {
    let mut values = Vec::new();
    list.match_subject(subject.as_bytes(), |value| values.push(value.clone()));
    values.sort();
    assert_eq!(list.num_interest(subject.as_bytes()), values.len(), "{subject}");
    assert_eq!(list.has_interest(subject.as_bytes()), !values.is_empty(), "{subject}");
    values
}

/// The longest path from the root.
fn levels<T>(list: &GenericSublist<T>) -> usize {
    let mut pending = vec![(list.root, 0)];
    let mut deepest = 0;
    while let Some((at, depth)) = pending.pop() {
        deepest = deepest.max(depth);
        let node = &list.nodes[at];
        let children = node.literals.values().copied().chain(node.partial).chain(node.full);
        pending.extend(children.map(|child| (child, depth + 1)));
    }
    deepest
}

#[test]
fn new_list_is_empty() {
    let list = SimpleSublist::new();
    assert_eq!(list.count(), 0);
    assert!(!list.has_interest(b"foo"));
    assert!(!list.matches_full_wildcard());
}

#[test]
fn count_follows_inserts_and_removes() {
    let mut list = list_of(["foo", "bar", "foo.bar"]);
    assert_eq!(list.count(), 3);
    // The same value under the same subject counts again, but can be removed only once.
    list.insert(b"foo", 0).unwrap();
    assert_eq!(list.count(), 4);
    assert_eq!(matched(&list, "foo"), [0]);
    assert_eq!(list.remove(b"foo", &0), Ok(()));
    assert_eq!(list.remove(b"foo", &0), Err(GenericSublistError::NotFound));
    assert_eq!(list.count(), 3);
}

#[test]
fn literal_and_wildcard_subjects_match() {
    let cases: [(&[&str], &str, &[usize]); 9] = [
        (&["foo"], "foo", &[0]),
        (&["foo.bar.baz"], "foo.bar.baz", &[0]),
        (&["a.b.c", "a.*.c"], "a.b.c", &[0, 1]),
        (&["a.b.c", "a.b.*"], "a.b.c", &[0, 1]),
        (&["a.b.c", "a.>"], "a.b.c", &[0, 1]),
        // A wildcard in the subject that is asked for is an ordinary token.
        (&["a.b.c", "a.>"], "a.>", &[1]),
        (&["foo"], "foo.bar", &[]),
        (&["foo.*", "foo.bar", "*.*", "*.>"], "foo.*", &[0, 2, 3]),
        (&["foo.>"], "foo", &[]),
    ];
    for (subjects, subject, expected) in cases {
        let list = list_of(subjects.iter().copied());
        assert_eq!(matched(&list, subject), expected, "{subjects:?} {subject}");
    }
}

#[test]
fn remove_literal_ends_interest() {
    let mut list = list_of(["a.b.c.d"]);
    assert_eq!(list.count(), 1);
    assert_eq!(matched(&list, "a.b.c.d"), [0]);
    list.remove(b"a.b.c.d", &0).unwrap();
    assert_eq!(list.count(), 0);
    assert!(matched(&list, "a.b.c.d").is_empty());
}

#[test]
fn remove_wildcards_one_by_one() {
    let subjects = ["a.b.c.d", "a.b.*.d", "a.b.>"];
    let mut list = list_of(subjects);
    assert_eq!(matched(&list, "a.b.c.d"), [0, 1, 2]);
    list.remove(b"a.b.*.d", &1).unwrap();
    assert_eq!((list.count(), matched(&list, "a.b.c.d")), (2, vec![0, 2]));
    list.remove(b"a.b.>", &2).unwrap();
    assert_eq!((list.count(), matched(&list, "a.b.c.d")), (1, vec![0]));
    list.remove(b"a.b.c.d", &0).unwrap();
    assert_eq!((list.count(), matched(&list, "a.b.c.d")), (0, vec![]));
}

#[test]
fn remove_prunes_empty_levels() {
    for subject in ["a.b.c.d.e.f", "a.b.*.d.e.>"] {
        let mut list = GenericSublist::new();
        assert_eq!(levels(&list), 0);
        list.insert(subject.as_bytes(), ()).unwrap();
        assert_eq!(levels(&list), 6);
        list.remove(subject.as_bytes(), &()).unwrap();
        assert_eq!(levels(&list), 0);
        list.check_invariants();
    }
}

#[test]
fn invalid_subjects_are_refused_without_a_trace() {
    let mut list = GenericSublist::new();
    for subject in ["", ".foo", "foo.", "foo..bar", "foo.bar..baz", "foo.>.baz", ">.foo", "a.b..d"]
    {
        let refused = Err(GenericSublistError::InvalidSubject);
        assert_eq!(list.insert(subject.as_bytes(), ()), refused, "{subject}");
        assert_eq!(list.remove(subject.as_bytes(), &()), refused, "{subject}");
    }
    assert_eq!((list.count(), levels(&list)), (0, 0));
    assert!(!list.matches_full_wildcard());
    assert_eq!(GenericSublistError::InvalidSubject.to_string(), "gsl: invalid subject");
    assert_eq!(GenericSublistError::NotFound.to_string(), "gsl: no matches found");
}

#[test]
fn remove_of_unknown_subject_or_value_is_not_found() {
    let mut list = list_of(["foo.bar"]);
    for (subject, value) in [("foo", 0), ("foo.bar.baz", 0), ("foo.*", 0), ("foo.bar", 1), ("x", 0)]
    {
        let result = list.remove(subject.as_bytes(), &value);
        assert_eq!(result, Err(GenericSublistError::NotFound), "{subject} {value}");
    }
    assert_eq!(list.count(), 1);
}

#[test]
fn wildcard_characters_inside_tokens_are_literals() {
    for subject in ["foo.*-", "foo.>-"] {
        let mut list = list_of([subject]);
        assert!(matched(&list, "foo.bar").is_empty());
        assert_eq!(matched(&list, subject), [0]);
        assert_eq!(list.remove(b"foo.bar", &0), Err(GenericSublistError::NotFound));
        assert_eq!(list.count(), 1);
        assert_eq!(list.remove(subject.as_bytes(), &0), Ok(()));
        assert_eq!(list.count(), 0);
    }
}

#[test]
fn subjects_with_empty_tokens_match_nothing() {
    let list = list_of([">"]);
    for subject in ["", ".foo", "..foo", "foo..", "foo.", "foo..bar", "foo...bar"] {
        assert!(matched(&list, subject).is_empty(), "{subject}");
    }
}

#[test]
fn interest_follows_each_kind_of_subject() {
    let mut list = GenericSublist::new();
    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("foo", &["foo"], &["bar", "foo.bar"]),
        ("foo.*", &["foo.bar"], &["foo", "foo.bar.baz"]),
        ("foo.>", &["foo.bar", "foo.bar.baz"], &["foo"]),
        ("*.>", &["foo.bar", "foo.baz", "foo.bar.baz"], &["foo"]),
        ("*.bar", &["foo.bar"], &["foo", "foo.baz", "foo.bar.baz"]),
        ("*", &["foo"], &["foo.bar"]),
    ];
    for (subject, with, without) in cases {
        list.insert(subject.as_bytes(), 7).unwrap();
        for asked in with {
            assert_eq!(matched(&list, asked), [7], "{subject} {asked}");
        }
        for asked in without {
            assert!(matched(&list, asked).is_empty(), "{subject} {asked}");
        }
        list.remove(subject.as_bytes(), &7).unwrap();
        for asked in with.iter().chain(without) {
            assert!(matched(&list, asked).is_empty(), "{subject} {asked}");
        }
    }
}

#[test]
fn shorter_wildcard_does_not_hide_longer_literal() {
    let list = list_of(["stream.A.child", "stream.*"]);
    assert!(list.has_interest(b"stream.A.child"));
    assert!(list.has_interest(b"stream.A"));
    assert!(!list.has_interest(b"stream.A.other"));
}

#[test]
fn full_wildcard_is_seen_at_the_top_only() {
    let mut list = list_of(["stream.A.child", "stream.*", "stream.>"]);
    assert!(!list.matches_full_wildcard());
    list.insert(b">", 11).unwrap();
    assert!(list.matches_full_wildcard());
    list.remove(b">", &11).unwrap();
    assert!(!list.matches_full_wildcard());
}

#[test]
fn single_filter_is_the_only_subject() {
    let mut list = GenericSublist::new();
    assert_eq!(list.matches_single_filter(), None);
    list.insert(b"stream.A.child", 11).unwrap();
    assert_eq!(list.matches_single_filter(), Some(&b"stream.A.child"[..]));
    list.insert(b"stream.A.child", 22).unwrap();
    assert_eq!(list.matches_single_filter(), Some(&b"stream.A.child"[..]));
    list.insert(b"stream.A.other", 22).unwrap();
    assert_eq!(list.matches_single_filter(), None);
    list.insert(b"stream.*", 33).unwrap();
    assert_eq!(list.matches_single_filter(), None);
    list.remove(b"stream.A.child", &11).unwrap();
    list.remove(b"stream.A.child", &22).unwrap();
    list.remove(b"stream.A.other", &22).unwrap();
    assert_eq!(list.matches_single_filter(), Some(&b"stream.*"[..]));

    assert_eq!(list_of(["foo", "foo.bar", "foo.baz"]).matches_single_filter(), None);
    assert_eq!(list_of(["foo", "foo.bar"]).matches_single_filter(), None);
    assert_eq!(list_of(["foo.bar", "foo.baz"]).matches_single_filter(), None);
    assert_eq!(list_of([">"]).matches_single_filter(), Some(&b">"[..]));
}

#[test]
fn interest_starting_in_a_prefix() {
    let list = list_of(["foo.bar.baz", "one.*.three", "two.>"]);
    for prefix in ["foo", "foo.bar", "foo.bar.baz", "one.x", "one.x.three", "two", "two.a.b"] {
        assert!(list.has_interest_starting_in(prefix.as_bytes()), "{prefix}");
    }
    for prefix in ["", "fo", "foo.baz", "foo.bar.baz.qux", "one.x.four", "bar"] {
        assert!(!list.has_interest_starting_in(prefix.as_bytes()), "{prefix}");
    }
}

#[test]
fn list_behind_a_lock_serves_readers_during_changes() {
    let list = RwLock::new(list_of(["foo.bar.baz", "foo.*.baz", "foo.>"]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for value in 1000..2000 {
                let mut list = list.write().unwrap();
                list.insert(b"test.subject", value).unwrap();
                list.insert(b"foo.*.test", value).unwrap();
                list.remove(b"test.subject", &value).unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let list = list.read().unwrap();
                    assert!(list.has_interest_starting_in(b"foo.bar"));
                    assert!(!list.has_interest_starting_in(b"other.subject"));
                    assert!(list.has_interest(b"foo.bar.baz"));
                }
            });
        }
    });
    let list = list.into_inner().unwrap();
    assert_eq!(list.count(), 3 + 1000);
    list.check_invariants();
}

/// Filters of many tokens come from API requests; neither matching nor dropping may recurse.
#[test]
fn very_deep_filters_do_not_exhaust_the_stack() {
    let filter = vec!["*"; 20_000].join(".");
    let subject = vec!["a"; 20_000].join(".");
    let mut list = SimpleSublist::new();
    list.insert(filter.as_bytes(), ()).unwrap();
    list.insert(subject.as_bytes(), ()).unwrap();
    assert_eq!(list.num_interest(subject.as_bytes()), 2);
    assert!(!list.has_interest(filter.strip_suffix(".*").unwrap().as_bytes()));
    list.remove(filter.as_bytes(), &()).unwrap();
    assert_eq!(list.num_interest(subject.as_bytes()), 1);
}

fn naive_match(filter: &str, subject: &str) -> bool {
    let filter: Vec<&str> = filter.split('.').collect();
    let subject: Vec<&str> = subject.split('.').collect();
    if subject.iter().any(|token| token.is_empty()) {
        return false;
    }
    let (head, open) = match filter.split_last() {
        Some((&">", head)) => (head, true),
        _ => (&filter[..], false),
    };
    let fits = head.len() <= subject.len()
        && head.iter().zip(&subject).all(|(&want, &token)| want == "*" || want == token);
    fits && if open { subject.len() > head.len() } else { subject.len() == head.len() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(14),
        ..ProptestConfig::default()
    })]

    #[test]
    fn list_behaves_like_a_set_of_filters(
        steps in prop::collection::vec((any::<bool>(), "([ab*]\\.){0,3}[ab*>]", 0u8..3), 0..60),
        subjects in prop::collection::vec("([abc]\\.){0,4}[abc]?", 1..10),
    ) {
        let mut list = GenericSublist::new();
        let mut model = BTreeSet::new();
        let mut count = 0;
        for (add, filter, value) in steps {
            if add {
                list.insert(filter.as_bytes(), value).unwrap();
                model.insert((filter, value));
                count += 1;
            } else {
                let present = model.remove(&(filter.clone(), value));
                prop_assert_eq!(list.remove(filter.as_bytes(), &value).is_ok(), present);
                count -= usize::from(present);
            }
            list.check_invariants();
        }
        prop_assert_eq!(list.count(), count);
        let filters: BTreeSet<&str> = model.iter().map(|(filter, _)| &**filter).collect();
        let single = (filters.len() == 1).then(|| filters.first().unwrap().as_bytes());
        prop_assert_eq!(list.matches_single_filter(), single);
        prop_assert_eq!(list.matches_full_wildcard(), filters.contains(">"));
        for subject in subjects {
            let mut expected: Vec<u8> = model
                .iter()
                .filter(|(filter, _)| naive_match(filter, &subject))
                .map(|&(_, value)| value)
                .collect();
            expected.sort();
            prop_assert_eq!(matched(&list, &subject), expected);
        }
    }
}
