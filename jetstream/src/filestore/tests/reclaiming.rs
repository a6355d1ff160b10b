//! Space that is given back: compaction, compression, blocks that go.

use super::*;
use crate::error::StoreError;
use crate::filestore::upkeep::file_is_compressed;

/// Which blocks are compressed in their files.
fn compressed(rig: &mut Rig) -> Vec<bool> {
    let store = rig.store.as_ref().unwrap();
    store.blocks.iter().map(|block| file_is_compressed(store, block)).collect()
}

/// Asserts that recovery, with and without the index, finds the same state.
fn assert_recovers(rig: &mut Rig) {
    let (state, all) = (rig.state(), rig.all());
    rig.reopen();
    assert_eq!((&rig.state(), &rig.all()), (&state, &all), "with index");
    rig.lose_index();
    assert_eq!((&rig.state(), &rig.all()), (&state, &all), "without index");
}

#[test]
fn compact_tells_how_many_went_and_leaves_one_block() {
    Rig::each(
        512,
        |_| {},
        |rig| {
            for _ in 0..10 {
                rig.put("A", &"ABC".repeat(33));
            }
            assert_eq!(rig.spans().len(), 4);
            assert_eq!(rig.store().compact(seq(10)), Ok(9));
            assert_eq!((rig.spans(), rig.store().blocks.len()), (vec![(10, 10)], 1));
            assert_eq!(rig.store().subjects_totals(b"").unwrap(), [((*b"A").into(), 1)]);
            rig.store().sync().unwrap();
            assert_eq!(rig.files(".blk"), ["4.blk"]);
        },
    );
}

#[test]
fn compact_counts_only_what_was_there() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put_many("foo", 10);
            for number in [2, 3, 4] {
                assert_eq!(rig.store().erase(seq(number), &mut TestRandom(1)), Ok(true));
            }
            for number in [7, 8, 9] {
                assert!(rig.remove(number));
            }
            assert_eq!(rig.store().compact(seq(6)), Ok(2));
            assert_eq!(rig.sequences(), [6, 10]);
        },
    );
}

#[test]
fn compact_of_the_head_of_a_large_compressed_block_keeps_the_tail() {
    Rig::each(
        8 << 20,
        |_| {},
        |rig| {
            let mut random = TestRandom(3);
            let mut payloads = Vec::new();
            for number in 1..=50 {
                let mut payload = vec![0; 64 << 10];
                random.fill(&mut payload);
                let now = Timestamp::from_nanos(rig.now + number);
                let message =
                    NewMessage { subject: b"zzz", payload: &payload, ..NewMessage::default() };
                rig.store().store_message(message, now).unwrap();
                payloads.push(payload);
            }
            rig.roll();
            rig.tick_after(1.0);
            assert_eq!(rig.store().compact(seq(45)), Ok(44));
            for restart in [false, true] {
                if restart {
                    rig.reopen();
                }
                assert_eq!(rig.shape(), (6, 45, 50));
                for number in 45..=50 {
                    let message = rig.store().load(seq(number)).unwrap();
                    assert_eq!(message.payload(), payloads[number as usize - 1]);
                }
            }
            let raw = rig.store().utilization().unwrap().0;
            assert!(raw < 8 * (64 << 10), "{raw}");
        },
    );
}

#[test]
fn compaction_drops_tombstones_of_blocks_that_are_gone() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            for _ in 0..3 {
                rig.put("foo", "");
            }
            rig.roll();
            rig.put("foo", "");
            assert!(rig.remove(3) && rig.remove(2));
            assert_eq!((rig.shape(), rig.state().deleted), ((2, 1, 4), vec![2, 3]));
            assert!(rig.remove(1));
            rig.roll();
            assert_eq!(rig.spans(), [(4, 4)]);
            assert!(rig.store().blocks[0].raw_len > 33);
            rig.upkeep();
            assert_eq!(rig.store().blocks[0].raw_len, 33);
            assert_recovers(rig);
            assert_eq!(rig.shape(), (1, 4, 4));
        },
    );
}

#[test]
fn small_blocks_are_compacted_down_to_their_messages() {
    Rig::each(
        1000,
        |config| config.max_msgs_per_subject = 1,
        |rig| {
            let subjects: Vec<String> = ('A'..='T').map(String::from).collect();
            for subject in &subjects {
                rig.put(subject, &"Z".repeat(19));
            }
            assert_eq!(rig.store().blocks.len(), 1);
            let (raw, live) = rig.store().utilization().unwrap();
            assert_eq!((raw, live), (1000, 1000));
            for subject in &subjects[1..19] {
                rig.put(subject, &"Z".repeat(19));
            }
            let block = &rig.store().blocks[0];
            assert_eq!((block.raw_len, block.bytes), (1000, 100));
            rig.upkeep();
            let block = &rig.store().blocks[0];
            assert_eq!((block.raw_len, block.bytes), (100, 100));
            assert_recovers(rig);
        },
    );
}

#[test]
fn compaction_leaves_no_dead_bytes() {
    let mut rig = Rig::new();
    for subject in 'A'..='J' {
        rig.put(&subject.to_string(), &"Z".repeat(1024));
    }
    for number in 2..10 {
        assert!(rig.remove(number));
    }
    rig.roll();
    let (raw, live) = rig.store().utilization().unwrap();
    assert!(raw > live);
    rig.upkeep();
    assert_eq!(rig.store().utilization().unwrap(), (live, live));
    assert_eq!(rig.sequences(), [1, 10]);
}

#[test]
fn compaction_keeps_deletes_in_the_middle_and_pulls_the_end_back() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            for _ in 0..6 {
                rig.put("foo", "");
            }
            for number in [1, 3, 4, 6] {
                assert!(rig.remove(number));
            }
            rig.roll();
            let deletes = |rig: &mut Rig| {
                let block = &rig.store().blocks[0];
                (block.first.seq, block.last.seq, block.deleted.iter().collect::<Vec<_>>())
            };
            assert_eq!(deletes(rig), (2, 6, vec![3, 4, 6]));
            rig.store().rewrite_live(0).unwrap();
            assert_eq!(deletes(rig), (2, 5, vec![3, 4]));
            assert_eq!(rig.shape(), (2, 2, 6));
            rig.lose_index();
            assert_eq!(deletes(rig), (2, 5, vec![3, 4]));
            assert!(rig.remove(5));
            rig.store().rewrite_live(0).unwrap();
            assert_eq!(deletes(rig), (2, 2, vec![]));
            rig.lose_index();
            assert_eq!(deletes(rig), (2, 2, vec![]));
            assert_eq!(rig.shape(), (1, 2, 6));
        },
    );
}

#[test]
fn removing_the_first_message_after_compaction_keeps_the_accounts() {
    Rig::each(
        1 << 20,
        |_| {},
        |rig| {
            for _ in 0..100 {
                rig.put("foo", "");
            }
            for number in 2..=40 {
                assert!(rig.remove(number));
            }
            rig.roll();
            rig.store().rewrite_live(0).unwrap();
            rig.store().check_invariants();
            assert!(rig.remove(1));
            assert_eq!(rig.shape(), (60, 41, 100));
            assert_recovers(rig);
        },
    );
}

#[test]
fn compaction_changes_nothing_but_the_space_taken() {
    Rig::each(
        1 << 20,
        |_| {},
        |rig| {
            for number in 1..=1000 {
                rig.put(&format!("kv.{}", number % 10), &"ABC".repeat(33));
            }
            rig.roll();
            let last = rig.store().totals.last;
            rig.store().append_tombstone(last.seq, last.timestamp).unwrap();
            type Change = fn(&mut Rig);
            let changes: [Change; 3] = [
                |rig| assert!(rig.remove(1)),
                |rig| (997..=1000).rev().for_each(|number| assert!(rig.remove(number))),
                |rig| {
                    for number in [500, 502, 504, 506, 508, 510] {
                        assert_eq!(rig.store().erase(seq(number), &mut TestRandom(1)), Ok(true));
                    }
                },
            ];
            for change in changes {
                change(rig);
                let (state, (raw, live)) = (rig.state(), rig.store().utilization().unwrap());
                rig.store().rewrite_live(0).unwrap();
                let (after, kept) = rig.store().utilization().unwrap();
                assert_eq!((rig.state(), kept), (state, live));
                assert!(after < raw);
            }
            assert_recovers(rig);
        },
    );
}

#[test]
fn empty_block_stays_for_its_tombstones_until_nobody_needs_them() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put("foo", "");
            rig.put("foo", "");
            rig.roll();
            rig.put("foo", "");
            assert!(rig.remove(2) && rig.remove(3));
            for restart in [false, true] {
                if restart {
                    rig.lose_index();
                }
                assert_eq!((rig.shape(), rig.state().deleted), ((1, 1, 3), vec![2, 3]));
                assert_eq!(rig.store().load(seq(2)), Err(StoreError::DeletedMessage));
                assert_eq!(rig.store().load(seq(3)), Err(StoreError::MessageNotFound));
            }
            assert_eq!(rig.put("foo", ""), 4);
            assert!(rig.store().blocks.len() > 1);
            assert!(rig.remove(1));
            assert_eq!(rig.store().blocks.len(), 1);
            rig.lose_index();
            assert_eq!(rig.sequences(), [4]);
        },
    );
}

#[test]
fn removing_nearly_everything_twice_and_then_the_rest() {
    for by_tombstone in [false, true] {
        Rig::each(
            330,
            |_| {},
            |rig| {
                for _ in 0..50 {
                    rig.put("foo", "");
                }
                (2..=49).for_each(|number| assert!(rig.remove(number)));
                rig.roll();
                for _ in 0..50 {
                    rig.put("foo", "");
                }
                (50..=100).for_each(|number| assert!(rig.remove(number)));
                assert_eq!(rig.shape(), (1, 1, 100));
                if by_tombstone {
                    // As after a kill between the tombstone and what follows from it.
                    rig.store().append_tombstone(1, 0).unwrap();
                } else {
                    assert!(rig.remove(1));
                    assert_eq!(rig.shape(), (0, 101, 100));
                }
                rig.lose_index();
                assert_eq!(rig.shape(), (0, 101, 100));
            },
        );
    }
}

#[test]
fn byte_limit_below_the_block_size_still_rolls_blocks() {
    Rig::each(
        512,
        |config| config.max_bytes = 300,
        |rig| {
            for _ in 0..200 {
                rig.put("zzz", &"ABC".repeat(33));
            }
            rig.store().sync().unwrap();
            let files = rig.files(".blk");
            assert_eq!(files.len(), 1, "{files:?}");
            let number: u32 = files[0].trim_end_matches(".blk").parse().unwrap();
            assert!(number > 60);
            assert!(rig.read_file(&files[0]).len() <= 512);
            assert_eq!(rig.sequences(), [199, 200]);
        },
    );
}

#[test]
fn erase_keeps_the_tombstones_beside_it() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put("foo", "");
            rig.put("foo", "");
            rig.put("foo", "secret!");
            assert!(rig.remove(2));
            rig.put("foo", "");
            assert_eq!(rig.store().erase(seq(3), &mut TestRandom(1)), Ok(true));
            for restart in [false, true] {
                if restart {
                    rig.lose_index();
                }
                assert_eq!((rig.shape(), rig.state().deleted), ((2, 1, 4), vec![2, 3]));
                assert_eq!(rig.store().load(seq(2)), Err(StoreError::DeletedMessage));
                assert_eq!(rig.store().load(seq(3)), Err(StoreError::DeletedMessage));
            }
        },
    );
}

#[test]
fn erase_of_the_last_message_of_a_block_keeps_its_tombstones_for_others() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put("foo", "");
            rig.put("foo", "");
            rig.roll();
            rig.put("foo", "secret!");
            assert!(rig.remove(2));
            assert_eq!(rig.store().erase(seq(3), &mut TestRandom(1)), Ok(true));
            assert_eq!(rig.spans(), [(1, 2)], "the erased message was alone in its block");
            for name in rig.files(".blk") {
                let content = rig.read_file(&name);
                assert!(!content.windows(7).any(|bytes| bytes == b"secret!"), "{name}");
            }
            for restart in [false, true] {
                if restart {
                    rig.lose_index();
                }
                assert_eq!((rig.shape(), rig.state().deleted), ((1, 1, 3), vec![2, 3]));
                assert_eq!(rig.store().load(seq(2)), Err(StoreError::DeletedMessage));
                assert_eq!(rig.store().load(seq(3)), Err(StoreError::MessageNotFound));
            }
        },
    );
}

#[test]
fn erase_leaves_a_block_as_compressed_as_it_was() {
    for in_last_block in [true, false] {
        Rig::each(
            0,
            |_| {},
            |rig| {
                let packs = rig.config.compression == StoreCompression::S2;
                for _ in 0..3 {
                    rig.put("foo", &"long and always the same ".repeat(20));
                }
                if !in_last_block {
                    rig.roll();
                    rig.upkeep();
                    assert_eq!(compressed(rig), [packs, false]);
                }
                assert_eq!(rig.store().erase(seq(2), &mut TestRandom(1)), Ok(true));
                assert_eq!((rig.shape(), rig.state().num_deleted), ((2, 1, 3), 1));
                assert_eq!(rig.put("foo", ""), 4);
                let expected = rig.state();
                for restart in 0..3 {
                    match restart {
                        0 => {}
                        1 => rig.reopen(),
                        _ => rig.lose_index(),
                    }
                    assert_eq!(rig.state(), expected);
                    let all = compressed(rig);
                    let (last, before) = all.split_last().unwrap();
                    assert!(!last && before.iter().all(|one| *one == packs), "{all:?}");
                }
            },
        );
    }
}

#[test]
fn truncate_leaves_the_last_block_uncompressed_and_the_others_as_they_were() {
    for erased in [false, true] {
        Rig::each(
            0,
            |_| {},
            |rig| {
                let packs = rig.config.compression == StoreCompression::S2;
                let payload = "long and always the same ".repeat(20);
                rig.put("foo", &payload);
                rig.put("foo", &payload);
                rig.roll();
                rig.upkeep();
                assert_eq!(compressed(rig), [packs, false]);
                rig.put("foo", &payload);
                if erased {
                    assert_eq!(rig.store().erase(seq(2), &mut TestRandom(1)), Ok(true));
                } else {
                    assert!(rig.remove(2));
                }
                assert_eq!((rig.shape(), rig.state().num_deleted), ((2, 1, 3), 1));
                let now = rig.time();
                rig.store().truncate(seq(2), now).unwrap();
                assert_eq!((rig.shape(), rig.state().num_deleted), ((1, 1, 2), 1));
                assert_eq!(compressed(rig).last(), Some(&false));
                rig.upkeep();
                assert_eq!(compressed(rig)[0], packs);
                rig.reopen();
                assert_eq!(rig.put("foo", &payload), 3);
                rig.roll();
                rig.upkeep();
                let all = compressed(rig);
                let with_messages: Vec<bool> = all
                    .iter()
                    .zip(&rig.store().blocks)
                    .filter(|(_, block)| !block.is_empty())
                    .map(|(packed, _)| *packed)
                    .collect();
                assert!(with_messages.iter().all(|one| *one == packs), "{all:?}");
                assert_recovers(rig);
                assert_eq!(rig.sequences(), [1, 3]);
            },
        );
    }
}

#[test]
fn index_after_truncate_has_the_checksum_of_the_record_that_is_last() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            let mut third = [0; 8];
            for number in 1..=5 {
                rig.put("foo", "");
                if number == 3 {
                    third = rig.store().blocks[0].last_checksum;
                }
            }
            assert_ne!(rig.store().blocks[0].last_checksum, third);
            let now = rig.time();
            rig.store().truncate(seq(3), now).unwrap();
            assert_eq!(rig.store().blocks[0].last_checksum, third);
            assert_eq!(rig.store().index_content().last_checksum, third);
            if rig.encryption.is_none() {
                assert_eq!(rig.read_file("1.blk").last_chunk::<8>(), Some(&third));
            }
            rig.reopen();
            assert_eq!(rig.opened.len(), 1, "the index is believed: {:?}", rig.opened);
        },
    );
}

#[test]
fn schedules_of_a_block_go_with_it() {
    let mut rig = Rig::small(700, |config| {
        config.allow_msg_schedules = true;
        config.max_msgs = 10;
    });
    for number in 0..10 {
        let header = format!(
            "NATS/1.0\r\nNats-Schedule: @at 2100-01-01T00:00:00Z\r\n             Nats-Schedule-Target: foo.target.{number}\r\n\r\n"
        );
        rig.put_with(&format!("foo.sched.{number}"), &header, "x");
    }
    let schedules = |rig: &mut Rig| rig.store().expiry.schedules.as_ref().unwrap().len();
    assert_eq!(schedules(&mut rig), 10);
    let (_, end) = rig.spans()[0];
    assert!(end < 10);
    rig.store().compact(seq(end + 1)).unwrap();
    assert_eq!(schedules(&mut rig) as u64, 10 - end);
    let now = rig.time();
    let lowered = StreamConfig { max_msgs: 1, ..rig.config.clone() };
    rig.store().update_config(lowered, now).unwrap();
    assert_eq!((rig.sequences(), schedules(&mut rig)), (vec![10], 1));
}
