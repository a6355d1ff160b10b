//! Removing, erasing, purging, compacting, truncating, and limits by count.

use super::*;
use crate::config::StoreCompression;
use crate::deletes::{DeleteBlock, ReplicatedState};
use crate::error::StoreError;
use crate::seqset::SequenceSet;
use crate::store::PurgeRequest;

fn purge(rig: &mut Rig, subject: &str, below: u64, keep: u64) -> u64 {
    let request = PurgeRequest { filter: filter(subject), below: seq(below), keep };
    let purged = rig.store().purge_matching(&request).unwrap();
    rig.store().check_invariants();
    purged
}

#[test]
fn remove_tells_gone_from_never_there() {
    let mut rig = Rig::new();
    assert_eq!(rig.store().remove(seq(1)), Err(StoreError::Eof));
    rig.put_many("foo", 4);
    assert_eq!(rig.store().remove(seq(0)), Err(StoreError::MessageNotFound));
    assert!(rig.remove(2));
    assert!(!rig.remove(2));
    assert!(rig.remove(1));
    assert_eq!(rig.store().remove(seq(1)), Err(StoreError::MessageNotFound));
    assert_eq!(rig.store().remove(seq(5)), Err(StoreError::Eof));
    assert_eq!(rig.shape(), (2, 3, 4));
}

#[test]
fn removals_survive_without_an_index() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 30);
    for number in [1, 2, 9, 10, 15, 29, 30] {
        assert!(rig.remove(number));
    }
    let expected = rig.all();
    let state = rig.state();
    rig.lose_index();
    assert_eq!(rig.all(), expected);
    assert_eq!(rig.state().deleted, state.deleted);
    rig.reopen();
    assert_eq!(rig.all(), expected);
    assert_eq!(rig.state().deleted, state.deleted);
}

#[test]
fn removing_everything_one_by_one_keeps_the_last_sequence() {
    for backwards in [false, true] {
        let mut rig = Rig::small(250, |_| {});
        rig.put_many("foo", 20);
        for number in 1..=20 {
            rig.remove(if backwards { 21 - number } else { number });
        }
        assert_eq!(rig.shape(), (0, 21, 20));
        rig.lose_index();
        assert_eq!(rig.shape(), (0, 21, 20));
        assert!(rig.files(".blk").len() <= 4, "{:?}", rig.files(".blk"));
        rig.reopen();
        assert_eq!(rig.shape(), (0, 21, 20));
        assert_eq!(rig.put("foo", "x"), 21);
    }
}

#[test]
fn emptied_blocks_leave_the_disk_after_the_next_sync() {
    let mut rig = Rig::small(250, |config| config.max_msgs = 3);
    rig.put_many("foo", 40);
    rig.store().sync().unwrap();
    assert!(rig.files(".blk").len() <= 2);
    assert_eq!(rig.shape(), (3, 38, 40));
    rig.lose_index();
    assert_eq!(rig.shape(), (3, 38, 40));
}

#[test]
fn displaced_message_survives_when_the_displacing_one_does_not() {
    // A key-value bucket: the only value of a key must not be lost to a crash that also loses
    // the value which replaced it.
    for seed in 0..64 {
        let mut rig = Rig::small(60, |config| config.max_msgs_per_subject = 1);
        rig.disk = SimDisk::new(seed);
        rig.open();
        rig.put("key", "first value");
        rig.store().sync().unwrap();
        for n in 0..5 {
            rig.put("key", &format!("value {n}"));
        }
        rig.disk.power_loss();
        rig.close_roughly();
        rig.open();
        assert_eq!(rig.all().len(), 1, "seed {seed}");
        let last = rig.store().load_last(&filter("key")).unwrap();
        assert!(last.payload().starts_with(b"first") || last.payload().starts_with(b"value"));
    }
}

#[test]
fn erased_bytes_are_gone_from_the_file() {
    for compression in [StoreCompression::None, StoreCompression::S2] {
        let mut rig = Rig::small(500, |config| config.compression = compression);
        for n in 0..30 {
            rig.put("foo", &format!("secret {n:02} secret"));
        }
        rig.tick_after(0.0);
        rig.store().sync().unwrap();
        for number in [3, 7, 8, 9, 29, 30] {
            assert!(rig.store().erase(seq(number), &mut TestRandom(number)).unwrap());
            assert!(!rig.store().erase(seq(number), &mut TestRandom(1)).unwrap());
            rig.store().check_invariants();
        }
        let expected = rig.all();
        assert_eq!(expected.len(), 24);
        rig.lose_index();
        assert_eq!(rig.all(), expected);
        for name in rig.files(".blk") {
            let raw = rig.read_file(&name);
            let content = super::super::files::open_content(raw).data;
            for number in [2, 6, 7, 8, 28, 29] {
                let secret = format!("secret {number:02} secret");
                assert!(!content.windows(secret.len()).any(|w| w == secret.as_bytes()));
            }
        }
    }
}

#[test]
fn purge_survives_in_every_way() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 20);
    assert_eq!(rig.store().purge().unwrap(), 20);
    assert_eq!(rig.shape(), (0, 21, 20));
    assert_eq!(rig.files(".blk").len(), 1);
    rig.tick_after(1.0);
    assert!(!rig.disk.exists(&Rig::dir().join("__msgs__")));
    rig.lose_index();
    assert_eq!(rig.shape(), (0, 21, 20));
    rig.put_many("foo", 3);
    rig.reopen();
    assert_eq!(rig.sequences(), [21, 22, 23]);
}

#[test]
fn purge_by_subject_sequence_and_keep() {
    let build = || {
        let mut rig = Rig::small(300, |_| {});
        for n in 0..30 {
            rig.put(["foo", "bar", "baz.x"][n % 3], "payload");
        }
        rig
    };
    let mut rig = build();
    assert_eq!(purge(&mut rig, "foo", 1, 0), 0, "sequence 1 purges nothing");
    assert_eq!(purge(&mut rig, "foo", 0, 0), 10);
    assert_eq!(rig.shape(), (20, 2, 30));
    let expected = rig.all();
    rig.lose_index();
    assert_eq!(rig.all(), expected);
    let mut rig = build();
    assert_eq!(purge(&mut rig, "bar", 10, 0), 3);
    assert_eq!(purge(&mut rig, "bar", 0, 2), 5);
    assert_eq!(purge(&mut rig, "bar", 0, 2), 0);
    assert_eq!(purge(&mut rig, "baz.*", 15, 8), 2);
    let expected = rig.all();
    rig.lose_index();
    assert_eq!(rig.all(), expected);
    let mut rig = build();
    assert_eq!(purge(&mut rig, ">", 0, 7), 23);
    assert_eq!(rig.shape(), (7, 24, 30));
    let mut rig = build();
    assert_eq!(purge(&mut rig, "", 12, 3), 11, "keep does not count with a sequence");
    assert_eq!(rig.shape(), (19, 12, 30));
    let mut rig = build();
    assert_eq!(purge(&mut rig, ">", 0, 0), 30);
    assert_eq!(rig.shape(), (0, 31, 30));
}

#[test]
fn purge_of_one_message_tells_its_filter() {
    let mut rig = Rig::new();
    rig.put("foo.a", "x");
    rig.put("bar", "x");
    rig.effects();
    purge(&mut rig, "foo.*", 0, 0);
    match rig.effects().as_slice() {
        [StoreEffect::Removed { sequence, subject, .. }] => {
            assert_eq!((sequence.get(), subject.as_ref()), (1, &b"foo.*"[..]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn compact_drops_what_is_below() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 40);
    rig.remove(25);
    assert_eq!(rig.store().compact(seq(24)).unwrap(), 23);
    assert_eq!(rig.shape(), (16, 24, 40));
    rig.store().check_invariants();
    rig.lose_index();
    assert_eq!(rig.shape(), (16, 24, 40));
    assert_eq!(rig.store().compact(seq(24)).unwrap(), 0);
    assert_eq!(rig.store().compact(seq(25)).unwrap(), 1);
    assert_eq!(rig.shape(), (15, 26, 40));
    let first_time = rig.state().first_time;
    assert_eq!(first_time, rig.store().load(seq(26)).unwrap().timestamp());
    assert_eq!(rig.store().compact(seq(41)).unwrap(), 15);
    assert_eq!(rig.shape(), (0, 41, 40));
    rig.put("foo", "x");
    assert_eq!(rig.store().compact(seq(100)).unwrap(), 1);
    assert_eq!(rig.shape(), (0, 100, 99));
    for _ in 0..2 {
        rig.lose_index();
        assert_eq!(rig.shape(), (0, 100, 99));
    }
    assert_eq!(rig.put("foo", "x"), 100);
    assert_eq!(rig.store().compact(seq(0)).unwrap(), 1);
    assert_eq!(rig.shape(), (0, 101, 100));
}

#[test]
fn compact_to_a_deleted_tail_empties_the_stream() {
    let mut rig = Rig::new();
    rig.put_many("foo", 5);
    rig.remove(4);
    rig.remove(5);
    assert_eq!(rig.store().compact(seq(4)).unwrap(), 3);
    assert_eq!(rig.shape(), (0, 6, 5));
    assert!(rig.state().first_time.is_zero());
    rig.lose_index();
    assert_eq!(rig.shape(), (0, 6, 5));
}

#[test]
fn compact_of_a_large_head_gives_the_space_back() {
    let mut rig = Rig::small(8 << 20, |_| {});
    let payload = "x".repeat(1000);
    for _ in 0..4000 {
        rig.put("foo", &payload);
    }
    rig.store().sync().unwrap();
    let before = rig.disk.metadata(&rig.file("1.blk")).unwrap().len;
    assert_eq!(rig.store().compact(seq(3900)).unwrap(), 3899);
    rig.store().sync().unwrap();
    let after = rig.disk.metadata(&rig.file("1.blk")).unwrap().len;
    assert!(after * 10 < before, "{before} {after}");
    rig.put("foo", "after");
    rig.lose_index();
    assert_eq!(rig.shape(), (102, 3900, 4001));
}

#[test]
fn truncate_drops_what_is_above() {
    for deleted in [None, Some(17), Some(5), Some(30)] {
        let mut rig = Rig::small(250, |_| {});
        rig.put_many("foo", 40);
        if let Some(number) = deleted {
            rig.remove(number);
        }
        let now = rig.time();
        rig.store().truncate(seq(17), now).unwrap();
        rig.store().check_invariants();
        let expected: Vec<u64> = (1..=17).filter(|n| Some(*n) != deleted).collect();
        assert_eq!(rig.sequences(), expected, "{deleted:?}");
        assert_eq!(rig.shape().2, 17);
        rig.lose_index();
        assert_eq!(rig.sequences(), expected, "{deleted:?}");
        assert_eq!(rig.shape().2, 17);
        assert_eq!(rig.put("foo", "x"), 18);
        rig.lose_index();
        assert_eq!(rig.sequences().last(), Some(&18));
        assert_eq!(rig.store().truncate(seq(30), now), Err(StoreError::Eof));
    }
}

#[test]
fn truncate_keeps_tombstones_written_behind_the_cut() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 40);
    for number in [2, 3, 9] {
        rig.remove(number);
    }
    let now = rig.time();
    rig.store().truncate(seq(12), now).unwrap();
    let expected: Vec<u64> = (1..=12).filter(|n| ![2, 3, 9].contains(n)).collect();
    assert_eq!(rig.sequences(), expected);
    rig.lose_index();
    assert_eq!(rig.sequences(), expected);
}

#[test]
fn truncate_to_zero_starts_over() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 20);
    rig.wait(3.0);
    let now = rig.time();
    rig.store().truncate(seq(0), now).unwrap();
    assert_eq!(rig.shape(), (0, 0, 0));
    assert_eq!(rig.state().last_time, now);
    assert_eq!(rig.files(".blk"), ["1.blk"]);
    assert_eq!(rig.put("foo", "x"), 1);
    rig.lose_index();
    assert_eq!(rig.sequences(), [1]);
}

#[test]
fn max_messages_and_bytes_remove_the_oldest() {
    let mut rig = Rig::small(250, |config| config.max_msgs = 10);
    rig.put_many("foo", 25);
    assert_eq!(rig.shape(), (10, 16, 25));
    let mut rig = Rig::small(250, |config| config.max_bytes = 400);
    rig.put_many("foo", 25);
    assert_eq!(rig.shape(), (10, 16, 25));
    rig.lose_index();
    assert_eq!(rig.shape(), (10, 16, 25));
}

#[test]
fn max_messages_per_subject_keeps_the_newest_of_each() {
    for per_subject in [1, 2, 5] {
        let mut rig = Rig::small(300, |config| config.max_msgs_per_subject = per_subject);
        for n in 0..90 {
            rig.put(&format!("foo.{}", (n * n) % 7), "payload");
        }
        let all = rig.all();
        let mut counts = std::collections::BTreeMap::new();
        for (_, subject, ..) in &all {
            *counts.entry(subject.clone()).or_insert(0) += 1;
        }
        // The newest of each subject, as many as the limit allows.
        let mut expected: Vec<(u64, String)> = Vec::new();
        let mut held = std::collections::BTreeMap::new();
        for n in (0..90u64).rev() {
            let subject = format!("foo.{}", (n * n) % 7);
            let count: &mut i64 = held.entry(subject.clone()).or_insert(0);
            *count += 1;
            if *count <= per_subject {
                expected.push((n + 1, subject));
            }
        }
        expected.reverse();
        let found: Vec<_> = all.iter().map(|(n, subject, ..)| (*n, subject.clone())).collect();
        assert_eq!(found, expected);
        let states = rig.store().subjects_state(&filter("foo.*")).unwrap();
        assert_eq!(states.len(), counts.len());
        for (subject, state) in states {
            let subject = String::from_utf8(subject.into()).unwrap();
            let of: Vec<u64> =
                all.iter().filter(|(_, s, ..)| *s == subject).map(|(n, ..)| *n).collect();
            assert_eq!(state.messages, of.len() as u64);
            assert_eq!((state.first.get(), state.last.get()), (of[0], of[of.len() - 1]));
        }
        rig.lose_index();
        assert_eq!(rig.all(), all);
        rig.reopen();
        assert_eq!(rig.all(), all);
        let newest = rig.put("foo.0", "x");
        let states = rig.store().subjects_state(&filter("foo.0")).unwrap();
        assert_eq!(states[0].1.messages, counts["foo.0"].min(per_subject) as u64);
        assert_eq!(states[0].1.last, seq(newest));
    }
}

#[test]
fn compaction_gives_space_back_and_changes_nothing() {
    let mut rig = Rig::small(4 << 20, |_| {});
    let payload = "x".repeat(2000);
    for n in 0..2500 {
        rig.put(&format!("foo.{}", n % 10), &payload);
    }
    let mut random = TestRandom(5);
    for _ in 0..3000 {
        let number = random.below(1800) + 1;
        let _ = rig.store().remove(seq(number));
    }
    rig.store().check_invariants();
    let expected = rig.all();
    rig.store().sync().unwrap();
    let size = |rig: &Rig| rig.disk.metadata(&rig.file("1.blk")).unwrap().len;
    let before = size(&rig);
    rig.tick_after(1.0);
    assert!(size(&rig) * 2 < before);
    assert_eq!(rig.all(), expected);
    rig.lose_index();
    assert_eq!(rig.all(), expected);
    rig.reopen();
    assert_eq!(rig.all(), expected);
}

#[test]
fn deleted_sequences_of_a_leader_are_removed() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 40);
    let mut set = SequenceSet::new();
    set.insert(20);
    set.insert(22);
    let blocks = [
        DeleteBlock::Range { first: 3, count: 7 },
        DeleteBlock::Set(set),
        DeleteBlock::List(vec![30, 31]),
        DeleteBlock::Range { first: 1000, count: u64::MAX },
    ];
    rig.store().sync_deleted(&blocks).unwrap();
    rig.store().check_invariants();
    let gone = [3, 4, 5, 6, 7, 8, 9, 20, 22, 30, 31];
    let expected: Vec<u64> = (1..=40).filter(|n| !gone.contains(n)).collect();
    assert_eq!(rig.sequences(), expected);
    assert_eq!(rig.state().deleted, gone);
}

#[test]
fn binary_state_lists_gaps_and_deletes() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 60);
    let mut random = TestRandom(8);
    for number in 10..=25 {
        rig.remove(number);
    }
    for _ in 0..20 {
        let _ = rig.store().remove(seq(random.below(60) + 1));
    }
    let state = rig.state();
    let encoded = rig.store().encoded_state(4).unwrap();
    let decoded = ReplicatedState::decode(&encoded).unwrap();
    assert_eq!(decoded.failed, 4);
    assert_eq!((decoded.messages, decoded.bytes), (state.messages, state.bytes));
    let mut deleted: Vec<u64> = decoded.deleted.iter().flat_map(|block| block.iter()).collect();
    deleted.sort_unstable();
    assert_eq!(deleted, state.deleted);
    assert_eq!(state.num_deleted, deleted.len() as u64);
}

#[test]
fn delete_removes_the_directory() {
    let mut rig = Rig::new();
    rig.put_many("foo", 3);
    rig.store().delete().unwrap();
    assert!(!rig.disk.exists(&Rig::dir()));
    assert!(!rig.disk.exists(&PathBuf::from("/jetstream/.S")));
    assert_eq!(rig.store().delete(), Err(StoreError::Closed));
}
