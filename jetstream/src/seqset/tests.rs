use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn encoded(set: &SequenceSet) -> Vec<u8> {
    let mut out = Vec::new();
    set.encode_into(&mut out);
    out
}

#[test]
fn insert_and_remove_tell_whether_they_changed_the_set() {
    let mut set = SequenceSet::new();
    for sequence in [1, 2, 22, 222, 2000, 2, 2, 22] {
        set.insert(sequence);
    }
    assert_eq!(set.len(), 5);
    assert_eq!(set.nodes(), 1);
    assert!(!set.insert(222));
    assert!(set.remove(222));
    assert!(!set.remove(222));
    assert!(!set.remove(9_999_999));
    assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 22, 2000]);
    for sequence in [1, 2, 22, 2000] {
        assert!(set.remove(sequence));
    }
    assert!(set.is_empty());
    assert_eq!((set.nodes(), set.min(), set.max()), (0, None, None));
    set.check_invariants();
}

#[test]
fn a_dense_run_is_one_node_per_2048_and_shrinks_to_nothing() {
    let mut set = SequenceSet::new();
    let count = 100 * 2048;
    for sequence in 0..count {
        assert!(set.insert(sequence));
    }
    set.check_invariants();
    assert_eq!((set.len(), set.nodes()), (count, 100));
    assert_eq!(set.state(), (0, count - 1, count));
    for sequence in (0..count).rev() {
        assert!(set.contains(sequence));
        assert!(set.remove(sequence));
        assert!(!set.contains(sequence));
    }
    assert_eq!((set.len(), set.nodes()), (0, 0));
}

#[test]
fn iteration_ascends_whatever_the_order_of_insertion() {
    // A multiplier that is coprime with the modulus walks through every number once, shuffled.
    let count = 50_000_u64;
    let mut set = SequenceSet::new();
    for index in 0..count {
        set.insert(index * 28_657 % count);
    }
    assert!(set.iter().eq(0..count));
    assert_eq!(set.iter().take(10).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn state_of_the_empty_set_is_zeros() {
    assert_eq!(SequenceSet::new().state(), (0, 0, 0));
    assert_eq!([0_u64, 1000].into_iter().collect::<SequenceSet>().state(), (0, 1000, 2));
}

#[test]
fn clone_is_independent_and_equal() {
    let mut set: SequenceSet = (0..10_000).map(|index| index * 3).collect();
    let copy = set.clone();
    assert_eq!(set, copy);
    set.remove(3);
    assert_ne!(set, copy);
    assert!(copy.contains(3));
}

#[test]
fn equality_goes_by_members_not_by_form() {
    let mut grown: SequenceSet = (0..20).collect();
    for sequence in 5..20 {
        grown.remove(sequence);
    }
    assert_eq!(grown, (0..5).collect());
    let other: SequenceSet = (1..6).collect();
    assert_ne!(grown, other);
    assert_eq!(SequenceSet::new(), SequenceSet::new());
    assert_ne!(SequenceSet::new(), other);
}

#[test]
fn union_holds_every_member_once() {
    let one: SequenceSet = (0..10_000).step_by(2).collect();
    let two: SequenceSet = (0..10_000).step_by(3).collect();
    let expected: SequenceSet = (0..10_000).filter(|n| n % 2 == 0 || n % 3 == 0).collect();
    assert_eq!(SequenceSet::union_of([&one, &two]), expected);
    assert_eq!(SequenceSet::union_of([]), SequenceSet::new());
    let mut full = SequenceSet::new();
    full.insert_range(2048..=4095);
    full.union_with(&two);
    full.check_invariants();
    assert!(full.contains(3001) && full.contains(9999));
}

#[test]
fn ranges_cut_at_any_offset() {
    let mut set = SequenceSet::new();
    set.insert_range(100..=10_000);
    set.insert_range(50..=200);
    set.check_invariants();
    assert!(set.iter().eq(50..=10_000));
    set.remove_below(2048);
    set.remove_above(8000);
    set.check_invariants();
    assert!(set.iter().eq(2048..=8000));
    assert_eq!(set.next_absent(0), Some(0));
    assert_eq!(set.next_absent(3000), Some(8001));
    set.remove_above(u64::MAX);
    set.remove_below(u64::MAX);
    assert!(set.is_empty());
}

#[test]
fn encoding_takes_ten_bytes_and_266_per_node() {
    assert_eq!(encoded(&SequenceSet::new()), [22, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    let set: SequenceSet = [1, 2048, 1_000_000].into_iter().collect();
    let bytes = encoded(&set);
    assert_eq!(bytes.len(), 10 + 3 * 266);
    assert_eq!(bytes.len(), set.encoded_len());
    assert_eq!(bytes[2..10], [3, 0, 0, 0, 3, 0, 0, 0]);
}

/// Rebuilds the tree as a reader does and checks that its order and heights are those of an AVL
/// tree; returns the height.
fn check_tree(nodes: &[(u64, u16)]) -> u16 {
    let Some(((base, height), rest)) = nodes.split_first() else { return 0 };
    let split = rest.iter().position(|(other, _)| other > base).unwrap_or(rest.len());
    let (left, right) = rest.split_at(split);
    assert!(right.iter().all(|(other, _)| other > base), "right of the node only higher bases");
    let (left, right) = (check_tree(left), check_tree(right));
    assert!(left.abs_diff(right) <= 1, "balanced");
    assert_eq!(*height, 1 + left.max(right));
    *height
}

#[test]
fn encoding_is_a_balanced_tree_in_pre_order() {
    for count in (0..70).chain([1000, 1023, 1024, 1025]) {
        let set: SequenceSet = (0..count).map(|index| index * 2048 + 7).collect();
        let bytes = encoded(&set);
        let nodes: Vec<(u64, u16)> = bytes[10..]
            .chunks_exact(266)
            .map(|node| {
                (
                    u64::from_le_bytes(node[..8].try_into().expect("eight bytes")),
                    u16::from_le_bytes(node[264..].try_into().expect("two bytes")),
                )
            })
            .collect();
        check_tree(&nodes);
    }
}

#[test]
fn decoding_tells_its_length_and_allows_what_follows() {
    let set: SequenceSet = (0..5000).step_by(7).collect();
    let mut bytes = encoded(&set);
    let len = bytes.len();
    bytes.extend_from_slice(b"rest");
    assert_eq!(SequenceSet::decode(&bytes), Ok((set, len)));
}

#[test]
fn decoding_refuses_what_is_not_a_set() {
    let bad = Err(SequenceSetError::BadEncoding);
    let bytes = encoded(&(0..5000).step_by(7).collect());
    assert_eq!(SequenceSet::decode(&[]), bad);
    assert_eq!(SequenceSet::decode(&bytes[..9]), bad);
    assert_eq!(SequenceSet::decode(&bytes[..bytes.len() - 1]), bad);
    let mut wrong = bytes.clone();
    wrong[0] = 23;
    assert_eq!(SequenceSet::decode(&wrong), bad);
    wrong = bytes.clone();
    wrong[1] = 3;
    assert_eq!(SequenceSet::decode(&wrong), Err(SequenceSetError::BadVersion));
    assert_eq!(SequenceSetError::BadVersion.to_string(), "ss: bad version");
    wrong = bytes.clone();
    wrong[2..6].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(SequenceSet::decode(&wrong), bad);
    // A base so high that its bits lie past the last number.
    wrong = encoded(&[5].into_iter().collect());
    wrong[10..18].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(SequenceSet::decode(&wrong), bad);
}

#[test]
fn unaligned_bases_of_other_writers_are_read() {
    let mut bytes = encoded(&[0, 1, 2047].into_iter().collect());
    bytes[10..18].copy_from_slice(&1000_u64.to_le_bytes());
    let (set, _) = SequenceSet::decode(&bytes).expect("legal base");
    set.check_invariants();
    assert_eq!(set.iter().collect::<Vec<_>>(), [1000, 1001, 3047]);
}

#[test]
fn version_1_is_read_and_its_count_checked() {
    // Two nodes of 4096 sequences each.
    let mut bytes = vec![22, 1, 2, 0, 0, 0, 4, 0, 0, 0];
    for (base, members) in [(4096_u64, [0, 4095]), (0, [1, 2048])] {
        bytes.extend_from_slice(&base.to_le_bytes());
        let mut bits = [0_u64; 64];
        for member in members {
            bits[member / 64] |= 1 << (member % 64);
        }
        bits.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(&1_u16.to_le_bytes());
    }
    let (set, len) = SequenceSet::decode(&bytes).expect("valid");
    assert_eq!(len, bytes.len());
    assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2048, 4096, 8191]);
    bytes[6] = 5;
    assert_eq!(SequenceSet::decode(&bytes), Err(SequenceSetError::BadEncoding));
}

#[test]
fn removing_what_is_absent_changes_nothing() {
    let members = [22, 222, 2222, 222_222];
    let mut set: SequenceSet = members.into_iter().collect();
    for absent in [0, 23, 2223, 5000, 100_000, 999_999] {
        assert!(!set.remove(absent));
    }
    assert_eq!((set.nodes(), set.len()), (3, 4));
    assert!(members.into_iter().all(|member| set.remove(member)));
    assert!(set.is_empty());
}

#[test]
fn iteration_crosses_words_nodes_and_gaps_and_can_stop() {
    let members = [0, 1, 63, 64, 127, 128, 2047, 2048, 4095, 4096, 100_000, 1_000_000];
    let set: SequenceSet = members.into_iter().collect();
    assert!(set.iter().eq(members));
    let mut visited = 0;
    let found = set.iter().inspect(|_| visited += 1).find(|member| *member == 64);
    assert_eq!((found, visited), (Some(64), 4));
}

#[test]
fn filling_the_gaps_of_existing_nodes_adds_no_nodes() {
    let mut set: SequenceSet = (0..8 * 2048).step_by(2).collect();
    assert_eq!((set.nodes(), set.len()), (8, 4 * 2048));
    for sequence in (1..8 * 2048).step_by(2) {
        assert!(set.insert(sequence));
    }
    assert_eq!((set.nodes(), set.len()), (8, 8 * 2048));
    assert!((0..8 * 2048).all(|sequence| !set.insert(sequence)));
    assert_eq!(set.len(), 8 * 2048);
    set.check_invariants();
}

#[test]
fn node_count_beyond_the_bytes_is_refused_in_both_versions() {
    for version in [1, 2] {
        for nodes in [u32::MAX, 0x0080_0000, 1] {
            let mut bytes = vec![22, version];
            bytes.extend_from_slice(&nodes.to_le_bytes());
            bytes.extend_from_slice(&0_u32.to_le_bytes());
            assert_eq!(SequenceSet::decode(&bytes), Err(SequenceSetError::BadEncoding));
        }
    }
    let mut valid = vec![22, 2, 1, 0, 0, 0, 0, 0, 0, 0];
    valid.resize(10 + 266, 0);
    assert_eq!(SequenceSet::decode(&valid), Ok((SequenceSet::new(), 276)));
}

#[test]
fn millions_of_random_sequences_take_a_fraction_of_a_hash_set() {
    let mut set = SequenceSet::new();
    let mut mix = 42_u64;
    for _ in 0..5_000_000 {
        mix = mix.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        set.insert((mix >> 33) % 7_000_000);
    }
    // A hash set takes more than the eight bytes of each of its sequences.
    let hashed = set.len() as usize * 8;
    assert!(set.heap_bytes() * 20 < hashed, "{} of {hashed}", set.heap_bytes());
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    InsertRange(u64, u64),
    Remove(u64),
    RemoveBelow(u64),
    RemoveAbove(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let sequence =
        || prop_oneof![4 => 0_u64..300, 4 => 0_u64..9000, 1 => u64::MAX - 5000..=u64::MAX];
    prop_oneof![
        10 => sequence().prop_map(Op::Insert),
        3 => (0_u64..9000, 0_u64..5000).prop_map(|(from, len)| Op::InsertRange(from, from + len)),
        8 => sequence().prop_map(Op::Remove),
        1 => (0_u64..9000).prop_map(Op::RemoveBelow),
        1 => (0_u64..9000).prop_map(Op::RemoveAbove),
    ]
}

proptest! {
    #[test]
    fn behaves_like_an_ordered_set(ops in prop::collection::vec(op(), 0..80)) {
        let mut set = SequenceSet::new();
        let mut model = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(n) => prop_assert_eq!(set.insert(n), model.insert(n)),
                Op::InsertRange(from, to) => {
                    set.insert_range(from..=to);
                    model.extend(from..=to);
                }
                Op::Remove(n) => prop_assert_eq!(set.remove(n), model.remove(&n)),
                Op::RemoveBelow(n) => {
                    set.remove_below(n);
                    model = model.split_off(&n);
                }
                Op::RemoveAbove(n) => {
                    set.remove_above(n);
                    model.split_off(&(n + 1));
                }
            }
            set.check_invariants();
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.min(), model.first().copied());
            prop_assert_eq!(set.max(), model.last().copied());
        }
        prop_assert!(set.iter().eq(model.iter().copied()));
        for probe in [0, 299, 2047, 2048, 5000] {
            prop_assert_eq!(set.contains(probe), model.contains(&probe));
            let absent = (probe..).find(|n| !model.contains(n));
            prop_assert_eq!(set.next_absent(probe), absent);
            prop_assert_eq!(set.count_from(probe), model.range(probe..).count() as u64);
        }
        let bytes = encoded(&set);
        prop_assert_eq!(bytes.len(), set.encoded_len());
        let (decoded, len) = SequenceSet::decode(&bytes).expect("own encoding");
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!(decoded, set);
    }

    #[test]
    fn decoding_any_bytes_holds_the_invariants(mut bytes in prop::collection::vec(any::<u8>(), 0..900)) {
        if let [magic, version, nodes, rest @ ..] = bytes.as_mut_slice() {
            *magic = 22;
            *version = 1 + *version % 2;
            *nodes %= 4;
            rest.iter_mut().take(3).for_each(|byte| *byte = 0);
        }
        if let Ok((set, len)) = SequenceSet::decode(&bytes) {
            set.check_invariants();
            prop_assert!(len <= bytes.len());
        }
    }
}
