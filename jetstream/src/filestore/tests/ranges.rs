//! Deletes as replicas are told of them: gaps between blocks as ranges, deletes within as sets.

use std::collections::BTreeSet;

use super::*;
use crate::deletes::DeleteBlock;

/// A delete block as first and last sequence and count, with `true` for a range.
type Told = (bool, u64, u64, u64);

fn told(rig: &mut Rig) -> Vec<Told> {
    let blocks = rig.store().delete_blocks();
    blocks
        .iter()
        .map(|block| {
            let (first, last, count) = block.state();
            (matches!(block, DeleteBlock::Range { .. }), first, last, count)
        })
        .collect()
}

fn range(first: u64, count: u64) -> Told {
    (true, first, first + count - 1, count)
}

fn set(first: u64, last: u64, count: u64) -> Told {
    (false, first, last, count)
}

#[test]
fn gaps_between_blocks_are_ranges_and_deletes_within_are_sets() {
    let mut rig = Rig::small(256, |_| {});
    for _ in 0..20 {
        rig.put("foo", &"x".repeat(20));
    }
    assert_eq!(rig.spans(), [(1, 4), (5, 8), (9, 12), (13, 16), (17, 20)]);
    let steps: [(&[u64], &[Told]); 9] = [
        (&[9], &[range(9, 1)]),
        (&[10], &[range(9, 2)]),
        (&[8], &[set(8, 8, 1), range(9, 2)]),
        (&[18, 17], &[set(8, 8, 1), range(9, 2), range(17, 2)]),
        (&[6, 5, 7], &[range(5, 6), range(17, 2)]),
        (&[20], &[range(5, 6), range(17, 2), set(20, 20, 1)]),
        (&[19], &[range(5, 6), range(17, 4)]),
        (&[11, 12], &[range(5, 8), range(17, 4)]),
        (&[1, 2, 3, 4], &[range(17, 4)]),
    ];
    for (removed, expected) in steps {
        for number in removed {
            assert!(rig.remove(*number));
        }
        assert_eq!(told(&mut rig), expected, "after {removed:?}");
    }
}

#[test]
fn gaps_of_whole_blocks_grow_and_stay_apart() {
    let mut rig = Rig::small(256, |_| {});
    for _ in 0..20 {
        rig.put("foo", &"x".repeat(256));
    }
    assert_eq!(rig.spans().len(), 20);
    let steps: [(&[u64], &[Told]); 9] = [
        (&[10], &[range(10, 1)]),
        (&[15], &[range(10, 1), range(15, 1)]),
        (&[11], &[range(10, 2), range(15, 1)]),
        (&[5], &[range(5, 1), range(10, 2), range(15, 1)]),
        (&[6, 7, 8, 9], &[range(5, 7), range(15, 1)]),
        (&[3, 16, 17, 18], &[range(3, 1), range(5, 7), range(15, 4)]),
        (&[1], &[range(3, 1), range(5, 7), range(15, 4)]),
        (&[20], &[range(3, 1), range(5, 7), range(15, 4), range(20, 1)]),
        (&[19], &[range(3, 1), range(5, 7), range(15, 6)]),
    ];
    for (removed, expected) in steps {
        for number in removed {
            assert!(rig.remove(*number));
        }
        assert_eq!(told(&mut rig), expected, "after {removed:?}");
    }
}

#[test]
fn blocks_of_tombstones_make_one_range() {
    let mut rig = Rig::small(33 * 6, |_| {});
    for _ in 0..6 {
        rig.put("foo", "");
    }
    for round in 0..5 {
        rig.roll();
        assert!(rig.remove(round + 2));
        if round > 0 {
            assert!(rig.remove(7 + (round - 1) * 2));
            assert!(rig.remove(8 + (round - 1) * 2));
        }
        if round < 4 {
            rig.put("foo", "");
            rig.put("foo", "");
        }
    }
    assert_eq!(told(&mut rig), [set(2, 6, 5), range(7, 8)]);
    let expected = rig.state();
    rig.store().rewrite_live(0).unwrap();
    rig.store().check_invariants();
    assert_eq!(told(&mut rig), [range(2, 13)]);
    assert_eq!(rig.state().deleted, expected.deleted);
}

#[test]
fn ranges_of_a_replica_are_removed_at_the_start_the_end_and_over_whole_blocks() {
    for payload in [256, 20] {
        let mut rig = Rig::small(256, |_| {});
        let mut live: BTreeSet<u64> = BTreeSet::new();
        for _ in 0..20 {
            live.insert(rig.put("foo", &"x".repeat(payload)));
        }
        for (first, last) in
            [(1, 1), (1, 1), (1, 2), (3, 4), (9, 13), (8, 8), (17, 17), (20, 20), (7, 18), (1, 20)]
        {
            let deleted = [DeleteBlock::Range { first, count: last - first + 1 }];
            rig.store().sync_deleted(&deleted).unwrap();
            rig.store().check_invariants();
            live.retain(|number| !(first..=last).contains(number));
            assert!(rig.sequences().iter().eq(&live), "{first} to {last}");
            let state = rig.state();
            assert_eq!((state.messages, state.last_seq.get()), (live.len() as u64, 20));
            assert_eq!(state.first_seq.get(), live.first().copied().unwrap_or(21));
            let absent = (state.first_seq.get()..=20).filter(|number| !live.contains(number));
            assert!(state.deleted.iter().copied().eq(absent), "{first} to {last}");
            // The tombstones of blocks that went are still known.
            rig.lose_index();
            assert!(rig.sequences().iter().eq(&live), "{first} to {last}, without index");
            rig.reopen();
            assert!(rig.sequences().iter().eq(&live), "{first} to {last}, with index");
        }
        rig.store().sync().unwrap();
        assert!(rig.spans().is_empty());
    }
}

#[test]
fn number_of_deletes_is_right_when_a_block_lost_its_first() {
    Rig::each(
        4096,
        |_| {},
        |rig| {
            for _ in 0..300 {
                rig.put("foo", "Hello World");
            }
            let (first, _) = rig.spans()[1];
            for number in first..first + 10 {
                assert!(rig.remove(number));
            }
            assert_eq!(rig.store().fast_state().num_deleted, 10);
            assert_eq!(rig.state().num_deleted, 10);
        },
    );
}

#[test]
fn truncate_to_a_sequence_whose_block_is_gone() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put("foo", "");
            rig.roll();
            rig.put("foo", "");
            rig.roll();
            rig.put("foo", "");
            assert!(rig.remove(2));
            assert_eq!(rig.spans(), [(1, 1), (3, 3)]);
            assert_eq!((rig.shape(), rig.state().num_deleted), ((2, 1, 3), 1));
            let now = rig.time();
            rig.store().truncate(seq(2), now).unwrap();
            assert_eq!((rig.shape(), rig.state().num_deleted), ((1, 1, 2), 1));
            rig.lose_index();
            assert_eq!((rig.shape(), rig.state().num_deleted), ((1, 1, 2), 1));
        },
    );
}
