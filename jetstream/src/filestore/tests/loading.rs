//! Which blocks a question loads: only those it needs.

use super::*;

#[test]
fn last_message_of_a_wildcard_loads_its_block_only() {
    let mut rig = Rig::small(512, |_| {});
    rig.put("foo.22.baz", "hello");
    rig.put("foo.22.bar", "hello");
    rig.put_many("foo.11.foo", 300);
    rig.unload();
    let found = rig.store().load_last(&filter("foo.22.*")).unwrap();
    assert_eq!(found.sequence(), seq(2));
    let loaded = rig.loaded();
    assert!(loaded.iter().filter(|first| **first != 1).count() <= 1, "{loaded:?}");
    assert!(loaded.contains(&1));
}

#[test]
fn search_skips_blocks_that_cannot_match() {
    for (even, from) in [("a", 0), ("c", 0), ("a", 3), ("c", 3)] {
        for wanted in [filter("b"), SubjectFilter::any(["b", "d"])] {
            Rig::each(
                0,
                |_| {},
                |rig| {
                    for number in 0..10 {
                        rig.put(if number % 2 == 0 { even } else { "a" }, "");
                        if number % 2 == 1 {
                            rig.roll();
                        }
                    }
                    rig.put("b", "");
                    rig.unload();
                    let found = rig.store().load_next(&wanted, seq(from)).unwrap().found().unwrap();
                    assert_eq!(found.sequence(), seq(11));
                    // The block in which a search begins may be looked at.
                    let loaded = rig.loaded();
                    let begin = if from == 0 { 1 } else { 3 };
                    assert!(loaded.iter().all(|first| [begin, 11].contains(first)), "{loaded:?}");
                },
            );
        }
    }
}

#[test]
fn first_message_of_a_late_subject_loads_one_block() {
    let mut rig = Rig::small(4096, |_| {});
    for _ in 0..500 {
        rig.put("foo.A", &"ZZZ".repeat(33));
    }
    rig.roll();
    for _ in 0..10 {
        rig.put("foo.B", &"ZZZ".repeat(33));
    }
    rig.reopen();
    rig.unload();
    let found = rig.store().load_next(&filter("foo.B"), seq(0)).unwrap();
    assert_eq!(found.sequence(), seq(501));
    assert_eq!(rig.loaded(), [501]);
}

#[test]
fn search_from_the_end_does_not_go_back_to_blocks_before_it() {
    let mut rig = Rig::small(128, |_| {});
    let names =
        ["BB", "AA", "BB", "BB", "BB", "BB", "BB", "BB", "AA", "AA", "BB", "BB", "BB", "BB"];
    for name in names {
        rig.put(&format!("foo.{name}.bar"), "hello");
    }
    assert_eq!(rig.spans().len(), 7);
    assert!(rig.remove(1) && rig.remove(2));
    assert_eq!(rig.spans().len(), 6);
    rig.unload();
    let found = rig.store().load_next(&filter("foo.AA.bar"), seq(11)).unwrap();
    assert_eq!(found.found(), None);
    assert!(rig.loaded().len() <= 1, "{:?}", rig.loaded());
    let found = rig.store().load_next(&filter("foo.AA.bar"), seq(4)).unwrap();
    assert_eq!(found.sequence(), seq(9));
}

#[test]
fn search_that_begins_in_a_removed_block_finds_what_follows() {
    let mut rig = Rig::small(128, |_| {});
    for name in ["BB", "BB", "AA", "BB", "BB", "BB", "BB", "BB", "AA", "AA"] {
        rig.put(&format!("foo.{name}.bar"), "hello");
    }
    assert_eq!(rig.spans().len(), 5);
    assert!(rig.remove(3) && rig.remove(4));
    assert_eq!(rig.spans().len(), 4);
    let found = rig.store().load_next(&filter("foo.AA.bar"), seq(4)).unwrap();
    assert_eq!(found.sequence(), seq(9));
}

#[test]
fn search_behind_the_last_match_loads_the_first_block_only() {
    let mut rig = Rig::small(128, |_| {});
    for _ in 0..2 {
        rig.put("foo.22.bar", "hello");
        rig.put("foo.22.baz", "hello");
    }
    for _ in 0..16 {
        rig.put("foo.22.baz", "hello");
    }
    assert_eq!(rig.spans().len(), 10);
    rig.unload();
    let found = rig.store().load_next(&filter("foo.*.bar"), seq(4)).unwrap();
    assert_eq!(found.found(), None);
    assert_eq!(rig.loaded(), [3]);
}

#[test]
fn purge_of_a_subject_loads_its_blocks_only() {
    let mut rig = Rig::new();
    rig.put("foo", "");
    rig.roll();
    rig.put("bar", "");
    rig.roll();
    rig.put("baz", "");
    rig.unload();
    let request = crate::store::PurgeRequest { filter: filter("bar"), below: seq(0), keep: 0 };
    assert_eq!(rig.store().purge_matching(&request), Ok(1));
    assert!(!rig.loaded().contains(&1), "{:?}", rig.loaded());
}

#[test]
fn counting_subjects_from_the_start_loads_nothing() {
    let mut rig = Rig::small(1024, |_| {});
    let mut random = TestRandom(5);
    let mut subjects = Vec::new();
    for number in 1..=400 {
        let subject = format!("foo.{}.{number}", random.below(20) + 1);
        rig.put(&subject, &"ABC".repeat(25));
        subjects.push(subject);
    }
    rig.reopen();
    rig.unload();
    let pending = rig.store().num_pending(seq(0), &filter("foo.*.*"), true).unwrap();
    assert_eq!((pending.total, rig.loaded()), (400, vec![]));
    for text in ["foo.10.*", "*.22.*", "*.*.222", "foo.5.299", "*.2.*"] {
        let start = 100 + random.below(100);
        let which = filter(text);
        let behind = &subjects[start as usize - 1..];
        let expected = behind.iter().filter(|s| which.matches(s.as_bytes())).count() as u64;
        let pending = rig.store().num_pending(seq(start), &which, true).unwrap();
        assert_eq!(pending.total, expected, "{text} from {start}");
    }
}

#[test]
fn reading_keeps_a_block_until_it_was_idle_for_long_enough() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put_many("foo.bar", 500);
            rig.unload();
            assert!(rig.loaded().is_empty());
            rig.tick_after(0.1);
            // Whoever goes on where it was has the block loaded.
            rig.store().load(seq(1)).unwrap();
            rig.store().load(seq(2)).unwrap();
            assert_eq!(rig.loaded(), [1]);
            for _ in 0..5 {
                rig.tick_after(6.0);
                rig.store().load(seq(1)).unwrap();
                assert_eq!(rig.loaded(), [1]);
            }
            rig.tick_after(11.0);
            assert!(rig.loaded().is_empty());
        },
    );
}

#[test]
fn walk_over_all_blocks_leaves_no_more_than_the_cache_holds() {
    let mut rig = Rig::small(100, |_| {});
    rig.cache_bytes = 1;
    for _ in 0..10 {
        rig.put("Z", &"Z".repeat(19));
    }
    rig.reopen();
    assert_eq!(rig.spans().len(), 5);
    for deleted in [false, true] {
        if deleted {
            assert!(rig.remove(2) && rig.remove(9));
        }
        for number in (1..=10).chain((1..=10).rev()) {
            let found = rig.store().load(seq(number));
            assert_eq!(found.is_err(), deleted && [2, 9].contains(&number), "{number}");
            // The block that was read, the one that is written, and the one written before it.
            assert!(rig.loaded().len() <= 3);
        }
    }
}

#[test]
fn last_values_are_found_after_blocks_left_memory() {
    Rig::each(
        1024,
        |config| config.max_msgs_per_subject = 1,
        |rig| {
            for number in 1..=100 {
                rig.put(&format!("kv.{number}"), "value");
            }
            rig.reopen();
            assert_eq!(rig.store().fast_state().num_subjects, 100);
            rig.tick_after(20.0);
            assert!(rig.loaded().is_empty());
            assert_eq!(rig.store().load_last(&filter("kv.22")).unwrap().sequence(), seq(22));
            rig.tick_after(20.0);
            assert!(rig.loaded().is_empty());
            rig.put("kv.X", "Y");
            let state = rig.store().filtered_state(seq(1), &filter("kv.X")).unwrap();
            assert_eq!((state.messages, state.first, state.last), (1, seq(101), seq(101)));
        },
    );
}

#[test]
fn single_records_are_read_without_their_blocks() {
    Rig::each(
        64 << 10,
        |_| {},
        |rig| {
            rig.store().cache_bytes = 1;
            for number in 1..=600 {
                rig.put_with("foo", "NATS/1.0\r\nA: b\r\n\r\n", &format!("{number:0>300}"));
            }
            rig.store().flush().unwrap();
            let packs = rig.config.compression == StoreCompression::S2;
            if packs {
                for _ in 0..8 {
                    rig.tick_after(1.0);
                }
            }
            rig.unload();
            for number in [500, 250, 90, 410, 333, 2, 175, 1] {
                let message = rig.store().load(seq(number)).unwrap();
                assert_eq!(message.payload(), format!("{number:0>300}").as_bytes());
                assert_eq!(message.header(), b"NATS/1.0\r\nA: b\r\n\r\n");
                assert_eq!(message.subject(), b"foo");
                if !packs {
                    assert!(rig.loaded().is_empty(), "{number}");
                }
            }
            assert!(rig.remove(251) && rig.remove(91));
            assert!(rig.store().load(seq(251)).is_err());
            assert_eq!(rig.sequences().len(), 598);
            rig.lose_index();
            assert_eq!(rig.sequences().len(), 598);
        },
    );
}

#[test]
fn damage_met_while_reading_a_single_record_is_dealt_with() {
    let mut rig = Rig::small(64 << 10, |_| {});
    rig.store().cache_bytes = 1;
    for number in 1..=400 {
        rig.put("foo", &format!("{number:0>300}"));
    }
    rig.store().sync().unwrap();
    rig.unload();
    let at = rig.read_file("1.blk").windows(3).position(|bytes| bytes == b"050").unwrap();
    assert!(rig.disk.flip_bit(&rig.file("1.blk"), at, 3));
    assert!(rig.store().load(seq(130)).is_ok());
    assert_eq!(rig.loaded().len(), 0);
    let error = rig.store().load(seq(50)).unwrap_err();
    assert!(matches!(error, crate::error::StoreError::CorruptMessage { .. }), "{error}");
    assert_eq!(rig.state().lost.and_then(|lost| lost.messages), Some(vec![50]));
    assert_eq!(rig.sequences().len(), 399);
}
