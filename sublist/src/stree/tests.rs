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

const SEVEN: [&str; 7] =
    ["foo.bar.A", "foo.bar.B", "foo.bar.C", "foo.baz.A", "foo.baz.B", "foo.baz.C", "foo.bar"];

fn root_node<V>(tree: &SubjectTree<V>) -> Node<'_> {
    match tree.root {
        Some(Link::Node(at)) => Node::read(&tree.arena, at),
        other => panic!("no node at the root: {other:?}"),
    }
}

fn child<'a, V>(tree: &'a SubjectTree<V>, node: Node<'a>, key: u8) -> Node<'a> {
    match node.find(key).map(|index| node.link(index)) {
        Some(Link::Node(at)) => Node::read(&tree.arena, at),
        other => panic!("no node under {key}: {other:?}"),
    }
}

#[test]
fn nodes_grow_and_shrink_to_any_fanout() {
    let subject = |key: u8| [b"foo.bar.", &[key][..]].concat();
    let keys: Vec<u8> = (0..=255).filter(|&key| key != 127).collect();
    let mut tree = SubjectTree::new();
    // An odd factor visits all keys in an order that is not sorted.
    for n in 0..keys.len() {
        let key = keys[n * 101 % keys.len()];
        assert_eq!(tree.insert(&subject(key), key), None);
        tree.check_invariants();
        if n > 0 {
            assert_eq!(root_node(&tree).prefix, b"foo.bar.");
            assert_eq!(root_node(&tree).fanout(), n + 1);
        }
    }
    for (n, &key) in keys.iter().enumerate() {
        assert_eq!(tree.find(&subject(key)), Some(&key));
        assert_eq!(tree.delete(&subject(key)), Some(key));
        assert_eq!(tree.delete(&subject(key)), None);
        assert_eq!(tree.find(&subject(key)), None);
        assert_eq!(tree.len(), keys.len() - n - 1);
        tree.check_invariants();
    }
    assert!(tree.is_empty());
    assert_eq!(tree.heap_bytes(), 0);
}

#[test]
fn a_lone_survivor_takes_the_place_of_its_node() {
    let mut tree = tree_of(["foo.bar.A", "foo.bar.B", "foo.bar.C"]);
    assert_eq!(tree.delete(b"foo.bar.C"), Some(2));
    assert_eq!(tree.delete(b"foo.bar.B"), Some(1));
    assert!(matches!(tree.root, Some(Link::Leaf(_))));
    assert_eq!(tree.find(b"foo.bar.A"), Some(&0));
    assert_eq!(tree.delete(b"foo.bar.A"), Some(0));
    assert!(tree.root.is_none());
    assert_eq!(tree.delete(b"foo.bar.A"), None);
}

#[test]
fn prefix_mismatch_splits_a_node() {
    let mut tree = tree_of(["foo.bar.A", "foo.bar.B", "foo.bar.C"]);
    assert_eq!(root_node(&tree).prefix, b"foo.bar.");
    tree.insert(b"foo.foo.A", 44);
    tree.check_invariants();
    assert_eq!(root_node(&tree).prefix, b"foo.");
    for (subject, value) in
        [("foo.bar.A", 0), ("foo.bar.B", 1), ("foo.bar.C", 2), ("foo.foo.A", 44)]
    {
        assert_eq!(tree.find(subject.as_bytes()), Some(&value), "{subject}");
    }
}

#[test]
fn tree_is_built_from_shared_prefixes_and_rejoins_on_delete() {
    let mut tree = tree_of(SEVEN);
    let root = root_node(&tree);
    assert_eq!((root.prefix, root.keys), (&b"foo.ba"[..], &b"rz"[..]));
    let bar = child(&tree, root, b'r');
    assert_eq!((bar.prefix, bar.keys, bar.terminal.is_some()), (&b""[..], &b"."[..], true));
    let below = child(&tree, bar, b'.');
    assert_eq!((below.prefix, below.keys), (&b""[..], &b"ABC"[..]));
    let baz = child(&tree, root, b'z');
    assert_eq!((baz.prefix, baz.keys, baz.terminal), (&b"."[..], &b"ABC"[..], None));

    assert_eq!(tree.delete(b"foo.bar"), Some(6));
    tree.check_invariants();
    let bar = child(&tree, root_node(&tree), b'r');
    assert_eq!((bar.prefix, bar.keys, bar.terminal), (&b"."[..], &b"ABC"[..], None));
    for (value, subject) in SEVEN[..6].iter().enumerate() {
        assert_eq!(tree.find(subject.as_bytes()), Some(&value));
    }
}

#[test]
fn filters_match_literals_and_wildcards_over_nodes() {
    let six = &SEVEN[..6];
    let cases: [(&str, usize, usize); 13] = [
        ("foo.bar.A", 1, 1),
        ("foo.baz.A", 1, 1),
        ("foo.bar", 0, 1),
        ("foo.*.A", 2, 2),
        ("foo.bar.*", 3, 3),
        ("foo.baz.*", 3, 3),
        ("foo.*", 0, 1),
        ("*.bar", 0, 1),
        (">", 6, 7),
        ("foo.>", 6, 7),
        ("foo.bar.>", 3, 3),
        ("foo.baz.>", 3, 3),
        ("foo.ba", 0, 0),
    ];
    for (filter, of_six, of_seven) in cases {
        assert_eq!(matches(&tree_of(six.iter().copied()), filter).len(), of_six, "{filter}");
        assert_eq!(matches(&tree_of(SEVEN), filter).len(), of_seven, "{filter}");
    }
}

#[test]
fn visited_subjects_come_with_their_values() {
    let tree = tree_of(SEVEN);
    let mut seen = Vec::new();
    tree.match_filter(b">", |subject, &value| {
        assert_eq!(subject, SEVEN[value].as_bytes());
        seen.push(value);
    });
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn match_stops_when_told_to() {
    let tree = tree_of(SEVEN);
    let until = |filter: &[u8], stop_after: usize| {
        let mut visited = 0;
        let completed = tree.match_until(filter, |_, _| {
            visited += 1;
            visited < stop_after
        });
        (visited, completed)
    };
    assert_eq!(until(b"foo.>", 3), (3, false));
    assert_eq!(until(b"foo.bar", 3), (1, true));
    assert_eq!(until(b"foo.baz.*", 4), (3, true));
}

#[test]
fn iteration_is_in_bytewise_order_and_stops_when_told_to() {
    let tree = tree_of(SEVEN);
    let mut sorted = SEVEN;
    sorted.sort();
    let mut walked = Vec::new();
    assert!(tree.iter_ordered(|subject, &value| {
        assert_eq!(subject, SEVEN[value].as_bytes());
        walked.push(SEVEN[value]);
        true
    }));
    assert_eq!(walked, sorted);
    let mut fast = Vec::new();
    assert!(tree.iter_unordered(|subject, _| {
        fast.push(String::from_utf8(subject.to_vec()).unwrap());
        true
    }));
    fast.sort();
    assert_eq!(fast, sorted);
    for stop_after in [2, 4] {
        let mut visited = 0;
        assert!(!tree.iter_ordered(|_, _| {
            visited += 1;
            visited != stop_after
        }));
        assert_eq!(visited, stop_after);
        visited = 0;
        assert!(!tree.iter_unordered(|_, _| {
            visited += 1;
            visited != stop_after
        }));
        assert_eq!(visited, stop_after);
    }
    let items: Vec<String> = (0..20).map(|n| format!("level1.level2.level3.item{n}")).collect();
    assert_eq!(matches(&tree_of(items.iter().map(|s| &**s)), ">").len(), 20);
}

#[test]
fn values_can_be_changed_while_walking() {
    let mut tree = tree_of(SEVEN);
    tree.match_filter_mut(b"foo.bar.*", |_, value| *value += 100);
    tree.iter_unordered_mut(|subject, value| {
        *value += 1000;
        subject != b"foo.bar.B"
    });
    let values =
        |tree: &SubjectTree<usize>| SEVEN.map(|subject| *tree.find(subject.as_bytes()).unwrap());
    assert_eq!(values(&tree), [1100, 1101, 102, 3, 4, 5, 1006]);
    tree.values_mut().for_each(|value| *value = 1);
    assert_eq!(tree.values().sum::<usize>(), 7);
}

#[test]
fn subjects_without_a_shared_prefix() {
    let mut tree = SubjectTree::new();
    for key in b'A'..=b'Z' {
        assert_eq!(tree.insert(&[key], key), None);
    }
    assert_eq!((root_node(&tree).prefix, root_node(&tree).fanout()), (&b""[..], 26));
    assert_eq!(tree.delete(b"B"), Some(b'B'));
    assert_eq!(tree.delete(b"Z"), Some(b'Z'));
    assert_eq!(root_node(&tree).fanout(), 24);
    tree.check_invariants();
}

#[test]
fn terminal_wildcard_matches_the_rest_of_a_split_token() {
    let tree = tree_of([
        "STATE.GLOBAL.CELL1.7PDSGAALXNN000010.PROPERTY-A",
        "STATE.GLOBAL.CELL1.7PDSGAALXNN000010.PROPERTY-B",
        "STATE.GLOBAL.CELL1.7PDSGAALXNN000010.PROPERTY-C",
    ]);
    assert_eq!(matches(&tree, "STATE.GLOBAL.CELL1.7PDSGAALXNN000010.*").len(), 3);
}

#[test]
fn wildcards_around_short_tokens_find_what_a_scan_finds() {
    let subjects: Vec<String> = (1..=10_000u32)
        .map(|n| format!("foo.{}.{n}", n.wrapping_mul(0x9e37_79b9) >> 16 & 0xf))
        .collect();
    let tree = tree_of(subjects.iter().map(|s| &**s));
    assert_eq!(matches(&tree, "foo.*.*").len(), 10_000);
    for filter in ["*.2.*", "*.*.222", "foo.*.10", "foo.1.*"] {
        let mut expected: Vec<&String> = subjects
            .iter()
            .filter(|subject| naive_match(filter.as_bytes(), subject.as_bytes()))
            .collect();
        expected.sort();
        assert!(!expected.is_empty());
        assert!(matches(&tree, filter).iter().eq(expected), "{filter}");
    }
}

#[test]
fn scattered_subjects_stay_findable_after_every_insert() {
    let fixed = [
        "0d00.2abbb82c1d.6e16.fa7f85470e.3e46",
        "534b12.3486c17249.4dde0666",
        "6f26aabd.920ee3.d4d3.5ffc69f6",
        "8850.ade3b74c31.aa533f77.9f59.a4bd8415.b3ed7b4111",
        "5a75047dcb.5548e845b6.76024a34.14d5b3.80c426.51db871c3a",
        "825fa8acfc.5331.00caf8bbbd.107c4b.c291.126d1d010e",
    ];
    let generated = (0..600u64).map(|n| {
        let noise = |k: u64| (n * 8 + k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        let tokens = (0..noise(7) % 6 + 1).map(|k| format!("{:x}", noise(k) >> (noise(k) % 48)));
        format!("{n:x}{}", tokens.collect::<Vec<_>>().join("."))
    });
    let subjects: Vec<String> = fixed.into_iter().map(String::from).chain(generated).collect();
    let mut tree = SubjectTree::new();
    for (n, subject) in subjects.iter().enumerate() {
        assert_eq!(tree.insert(subject.as_bytes(), n), None, "{subject}");
        assert_eq!(tree.len(), n + 1);
        for (value, earlier) in subjects[..=n].iter().enumerate() {
            assert_eq!(tree.find(earlier.as_bytes()), Some(&value), "{earlier}");
        }
    }
}

#[test]
fn partial_literals_after_a_wildcard_are_compared_to_their_end() {
    let tree = tree_of([
        "foo.xxxxx.foo1234.zz",
        "foo.yyy.foo123.zz",
        "foo.yyybar789.zz",
        "foo.yyy.foo12345.zz",
        "foo.yyy.foo12345.yy",
        "foo.yyy.foo123456789.zz",
    ]);
    assert_eq!(matches(&tree, "foo.*.foo123456789.*"), ["foo.yyy.foo123456789.zz"]);
    assert!(matches(&tree, "foo.*.*.zzz.foo.>").is_empty());
    let tree = tree_of(["A.B.C.D.0.G.H.I.0", "A.B.C.D.1.G.H.I.0"]);
    assert_eq!(matches(&tree, "A.B.*.D.1.*.*.I.0"), ["A.B.C.D.1.G.H.I.0"]);
}

#[test]
fn wildcards_that_are_no_whole_token_are_literals() {
    let tree = tree_of(["foo.123", "one.two.three.four.five", "'*.123", "bar"]);
    assert_eq!(matches(&tree, ">").len(), 4);
    assert_eq!(matches(&tree, "'*.*"), ["'*.123"]);
    for filter in [
        "invalid.>",
        "foo.>.bar",
        "'*.*.*'",
        "`>`",
        "\">\"",
        "'>'",
        "'*.>'",
        "'*.>.",
        "`invalid.>`",
        "'*.*'",
    ] {
        assert!(matches(&tree, filter).is_empty(), "{filter}");
    }
}

#[test]
fn long_tokens_survive_the_deletion_of_their_neighbours() {
    let mut tree =
        tree_of(["a1.aaaaaaaaaaaaaaaaaaaaaa0", "a2.0", "a1.aaaaaaaaaaaaaaaaaaaaaa1", "a2.1"]);
    tree.delete(b"a2.0");
    tree.delete(b"a2.1");
    tree.check_invariants();
    assert_eq!(tree.len(), 2);
    assert_eq!(tree.find(b"a1.aaaaaaaaaaaaaaaaaaaaaa0"), Some(&0));
    assert_eq!(tree.find(b"a1.aaaaaaaaaaaaaaaaaaaaaa1"), Some(&2));
}

#[test]
fn each_subject_is_visited_once() {
    let tree = tree_of(["foo.bar.A", "foo.bar.B", "foo.bar.C", "foo.bar.>"]);
    for filter in [">", "foo.>", "foo.bar.>"] {
        let expected = ["foo.bar.>", "foo.bar.A", "foo.bar.B", "foo.bar.C"];
        assert_eq!(matches(&tree, filter), expected, "{filter}");
    }
}

#[test]
fn empty_tree_answers_everything() {
    let mut tree = SubjectTree::<u8>::new();
    assert_eq!((tree.len(), tree.is_empty(), tree.heap_bytes()), (0, true, 0));
    assert_eq!(tree.find(b"foo"), None);
    assert_eq!(tree.delete(b"foo"), None);
    assert!(tree.match_until(b">", |_, _| panic!("nothing is there")));
    assert!(tree.iter_ordered(|_, _| panic!("nothing is there")));
    assert!(tree.iter_unordered(|_, _| panic!("nothing is there")));
    tree.shrink_to_fit();
    tree.check_invariants();
}

#[test]
fn trailing_nulls_are_part_of_a_subject() {
    let mut tree = SubjectTree::new();
    let short = [&b"foo.bar.baz_"[..], &[0; 10]].concat();
    let long = [&b"foo.bar.baz_"[..], &[0; 20]].concat();
    tree.insert(&short, 1);
    tree.insert(&long, 2);
    assert_eq!(tree.find(&short), Some(&1));
    assert_eq!(tree.find(&long), Some(&2));
}

#[test]
fn subjects_with_byte_127_are_left_out() {
    let mut tree = SubjectTree::new();
    for subject in [&b"foo.bar.baz.\x7f"[..], b"foo\x7fbar", b"\x7f"] {
        assert_eq!(tree.insert(subject, 1), None);
        assert!(tree.entry_or_insert_with(subject, || 1).is_none());
        assert_eq!(tree.find(subject), None);
    }
    assert_eq!(tree.len(), 0);
    assert!(SubjectTree::<u8>::is_indexable(b"foo"));
}

#[test]
fn entries_are_made_when_missing_only() {
    let mut tree = SubjectTree::new();
    assert_eq!(tree.entry_or_insert_with(b"foo", || 1), Some((&mut 1, true)));
    assert_eq!(tree.entry_or_insert_with(b"foo", || panic!("it is there")), Some((&mut 1, false)));
}

#[test]
fn odd_filters_match_nothing() {
    let tree = tree_of(["foo", "foo.bar"]);
    for filter in ["", ".", "..", "foo.", ".foo", "foo.bar."] {
        assert!(matches(&tree, filter).is_empty(), "{filter}");
    }
}

#[test]
fn subjects_that_end_within_others_are_told_apart() {
    let mut tree = tree_of(["a", "aa", "aaa", "verylongprefix.suffix", "verylongprefix.suffix2"]);
    for (value, subject) in ["a", "aa", "aaa"].into_iter().enumerate() {
        assert_eq!(tree.find(subject.as_bytes()), Some(&value));
    }
    for subject in ["", "very", "verylongprefix.", "aaaa"] {
        assert_eq!(tree.find(subject.as_bytes()), None, "{subject}");
        assert_eq!(tree.delete(subject.as_bytes()), None, "{subject}");
    }
    assert_eq!(tree.len(), 5);
    assert_eq!(tree.delete(b"aa"), Some(1));
    assert_eq!((tree.find(b"a"), tree.find(b"aaa")), (Some(&0), Some(&2)));
    tree.check_invariants();
}

#[test]
fn clear_forgets_everything_and_leaves_a_usable_tree() {
    let mut tree = tree_of(["foo.bar", "foo.baz", "bar.baz"]);
    tree.clear();
    assert_eq!((tree.len(), tree.heap_bytes()), (0, 0));
    assert_eq!(tree.find(b"foo.bar"), None);
    assert_eq!(tree.insert(b"new.entry", 42), None);
    assert_eq!(tree.find(b"new.entry"), Some(&42));
}

/// Publishers choose subjects, and each may extend the one before by a byte.
#[test]
fn very_deep_trees_do_not_exhaust_the_stack() {
    let longest = vec![b'a'; 4_000];
    let mut tree = SubjectTree::new();
    for len in 1..=longest.len() {
        tree.insert(&longest[..len], len);
    }
    let mut visited = 0;
    tree.match_filter(b"*", |subject, &len| {
        visited += 1;
        assert_eq!((subject.len(), len), (visited, visited));
    });
    assert_eq!(visited, longest.len());
    for len in (1..=longest.len()).rev() {
        assert_eq!(tree.delete(&longest[..len]), Some(len));
    }
}

#[test]
fn a_subject_longer_than_any_block_is_kept() {
    let mut tree = SubjectTree::new();
    let long = vec![b'x'; 300_000];
    let longer = [&long[..], b".y"].concat();
    for (value, subject) in [&long, &longer].into_iter().enumerate() {
        assert_eq!(tree.insert(subject, value), None);
        tree.check_invariants();
    }
    assert_eq!((tree.find(&long), tree.find(&longer)), (Some(&0), Some(&1)));
    assert_eq!(tree.delete(&long), Some(0));
    tree.check_invariants();
    assert_eq!(tree.find(&longer), Some(&1));
}

#[test]
fn an_entry_costs_less_than_half_of_what_the_reference_takes() {
    // The reference retains 58.5 bytes per entry for these subjects and an eight-byte value.
    let mut tree = SubjectTree::new();
    for n in 0..250_000u64 {
        tree.insert(format!("account.{}.stream.{n}", n % 1000).as_bytes(), n);
    }
    assert!(tree.heap_bytes() / tree.len() <= 29);
}

#[test]
fn shrinking_gives_memory_back() {
    let mut tree = SubjectTree::new();
    for n in 0..20_000u32 {
        tree.insert(format!("subject.{n}").as_bytes(), n);
    }
    for n in 0..19_900u32 {
        tree.delete(format!("subject.{n}").as_bytes());
    }
    let before = tree.heap_bytes();
    tree.shrink_to_fit();
    tree.check_invariants();
    assert!(tree.heap_bytes() * 10 < before);
    assert!((19_900..20_000).all(|n| tree.find(format!("subject.{n}").as_bytes()) == Some(&n)));
    assert_eq!(tree.len(), 100);
}
