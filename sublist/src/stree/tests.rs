//! Behaviour of the subject tree, among it what the reference's own tests ask for.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn tree_of<'a>(subjects: impl IntoIterator<Item = &'a str>) -> SubjectTree<usize> {
    let mut tree = SubjectTree::new();
    for (value, subject) in subjects.into_iter().enumerate() {
        assert_eq!(tree.insert(subject.as_bytes(), value), None);
    }
    tree.check_invariants();
    tree
}

fn matches<V>(tree: &SubjectTree<V>, filter: &str) -> Vec<String> {
    let mut found = Vec::new();
    tree.match_filter(filter.as_bytes(), |subject, _| {
        found.push(String::from_utf8_lossy(subject).into_owned());
    });
    found
}

#[test]
fn insert_find_and_update() {
    let mut tree = SubjectTree::new();
    assert_eq!(tree.len(), 0);
    assert_eq!(tree.insert(b"foo.bar.baz", 22), None);
    assert_eq!(tree.len(), 1);
    assert_eq!(tree.find(b"foo.bar.*"), None);
    assert_eq!(tree.find(b"foo.bar.baz"), Some(&22));
    assert_eq!(tree.insert(b"foo.bar.baz", 33), Some(22));
    assert_eq!(tree.len(), 1);
    assert_eq!(tree.insert(b"foo.bar", 22), None);
    assert_eq!(tree.len(), 2);
    assert_eq!(tree.find(b"foo.bar"), Some(&22));
    assert_eq!(tree.find(b"foo.bar.baz"), Some(&33));
    *tree.find_mut(b"foo.bar").unwrap() = 44;
    assert_eq!(tree.find(b"foo.bar"), Some(&44));
    tree.check_invariants();
}

/// What the filter rules say, token by token.
fn naive_match(filter: &[u8], subject: &[u8]) -> bool {
    let wanted: Vec<&[u8]> = filter.split(|&b| b == b'.').collect();
    let tokens: Vec<&[u8]> = subject.split(|&b| b == b'.').collect();
    for (index, &token) in wanted.iter().enumerate() {
        if token == b">" && index + 1 == wanted.len() {
            return tokens.len() > index;
        }
        let Some(&actual) = tokens.get(index) else { return false };
        let is_last = index + 1 == tokens.len();
        let fits = if token == b"*" { !(actual.is_empty() && is_last) } else { token == actual };
        if !fits {
            return false;
        }
    }
    !filter.is_empty() && wanted.len() == tokens.len()
}

/// Subjects of few distinct bytes, so that they share prefixes, split and collide often.
fn subject() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'.'), 4 => Just(b'a'), 4 => Just(b'b'), 2 => Just(b'c'),
        1 => Just(b'*'), 1 => Just(b'>'), 1 => Just(0u8), 1 => Just(0xffu8),
    ];
    prop_oneof![
        8 => prop::collection::vec(byte, 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (0u8..=255).prop_map(|b| vec![b'a', b'.', b]),
    ]
}

fn filter() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        2 => Just(b"*".to_vec()), 1 => Just(b">".to_vec()), 1 => Just(b"*a".to_vec()),
        3 => prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'c')], 0..3),
    ];
    prop::collection::vec(token, 1..5).prop_map(|tokens| tokens.join(&b'.'))
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>),
    Delete(Vec<u8>),
    /// Deletes the n-th subject there is, so that deletes hit.
    DeleteNth(usize),
    Match(Vec<u8>),
    Shrink,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => subject().prop_map(Step::Insert),
        1 => subject().prop_map(Step::Delete),
        4 => any::<usize>().prop_map(Step::DeleteNth),
        4 => filter().prop_map(Step::Match),
        1 => Just(Step::Shrink),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(14), ..ProptestConfig::default() })]

    #[test]
    fn tree_behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 0..120)) {
        let mut tree = SubjectTree::new();
        let mut model = BTreeMap::new();
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(subject) => {
                    let old = tree.insert(&subject, value);
                    if subject.contains(&127) {
                        prop_assert_eq!(old, None);
                    } else {
                        prop_assert_eq!(old, model.insert(subject, value));
                    }
                }
                Step::Delete(subject) => {
                    prop_assert_eq!(tree.delete(&subject), model.remove(&subject));
                }
                Step::DeleteNth(n) => {
                    if let Some(subject) = model.keys().nth(n % model.len().max(1)).cloned() {
                        prop_assert_eq!(tree.find(&subject), model.get(&subject));
                        prop_assert_eq!(tree.delete(&subject), model.remove(&subject));
                    }
                }
                Step::Match(filter) => {
                    let mut found = Vec::new();
                    tree.match_filter(&filter, |subject, value| found.push((subject.to_vec(), *value)));
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(subject, _)| naive_match(&filter, subject))
                        .map(|(subject, value)| (subject.clone(), *value))
                        .collect();
                    prop_assert_eq!(found, expected);
                }
                Step::Shrink => tree.shrink_to_fit(),
            }
            tree.check_invariants();
            prop_assert_eq!(tree.len(), model.len());
        }
        let mut walked = Vec::new();
        tree.iter_ordered(|subject, value| {
            walked.push((subject.to_vec(), *value));
            true
        });
        prop_assert_eq!(walked, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn wildcards_by_position_match_a_single_entry() {
    let tree = tree_of(["foo.bar.baz.A"]);
    for filter in [
        "foo.bar.*.A",
        "foo.*.baz.A",
        "foo.*.*.A",
        "foo.*.*.*",
        "*.*.*.*",
        ">",
        "foo.>",
        "foo.*.>",
        "foo.bar.>",
        "foo.bar.*.>",
    ] {
        assert_eq!(matches(&tree, filter), ["foo.bar.baz.A"], "{filter}");
    }
    assert!(matches(&tree, "foo.bar.baz").is_empty());
}
