//! What a store is after it was stopped, or killed, and opened again; also what expired meanwhile.

use std::path::Path;

use super::*;
use crate::error::StoreError;
use crate::filestore::index_db::{IndexFile, IndexedSubject, IndexedSubjects};
use crate::filestore::record::{NamedHash, NewRecord, RecordKind};
use crate::store::PurgeRequest;

fn age(seconds: i64) -> impl Fn(&mut StreamConfig) {
    move |config| config.max_age = seconds * 1_000_000_000
}

fn purge(rig: &mut Rig, subject: &str) -> u64 {
    let request = PurgeRequest { filter: filter(subject), below: seq(0), keep: 0 };
    rig.store().purge_matching(&request).unwrap()
}

#[test]
fn stopped_store_refuses_and_opens_with_what_it_had() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            let size = 30 + 3 + "[00000022] Hello World!".len() as u64;
            for round in 1..=2 {
                for number in 1..=100 {
                    rig.put("foo", &format!("[{number:08}] Hello World!"));
                }
                let now = rig.time();
                rig.store().stop(now).unwrap();
                assert_eq!(rig.try_put_closed("foo"), Err(StoreError::Closed));
                rig.open();
                let state = rig.state();
                assert_eq!((state.messages, state.bytes), (round * 100, round * 100 * size));
            }
            rig.store().purge().unwrap();
            rig.reopen();
            assert_eq!((rig.state().messages, rig.state().bytes), (0, 0));
            let number = rig.put("foo", "Hello");
            assert!(rig.remove(number));
            rig.reopen();
            assert_eq!(rig.state().first_seq, seq(number + 1));
        },
    );
}

#[test]
fn everything_expires_again_and_again_also_around_deletes() {
    Rig::each(256, age(1), |rig| {
        for round in 0..2 {
            for _ in 0..500 {
                rig.put("foo", "Hello World");
            }
            if round == 1 {
                for number in [502, 602, 702, 802] {
                    assert!(rig.remove(number));
                }
            }
            rig.tick_after(1.5);
            let state = rig.state();
            assert_eq!((state.messages, state.bytes), (0, 0));
            assert_eq!(state.first_seq, seq(500 * (round + 1) + 1));
        }
    });
}

#[test]
fn first_message_behind_an_expired_block_is_dated_when_its_neighbour_was_removed() {
    Rig::each(256, age(1), |rig| {
        for _ in 0..7 {
            rig.put("foo", "ZZ");
        }
        rig.wait(1.5);
        assert_eq!((rig.put("foo", "ZZ"), rig.put("foo", "ZZ")), (8, 9));
        let time = rig.now;
        assert_eq!(rig.spans()[1].0, 8);
        assert!(rig.remove(8));
        rig.reopen();
        let state = rig.state();
        assert_eq!((state.messages, state.first_seq), (1, seq(9)));
        assert_eq!(state.first_time.nanos(), time);
        rig.tick_after(2.0);
        let state = rig.state();
        assert_eq!((state.messages, state.first_seq, state.last_seq), (0, seq(10), seq(9)));
        assert_eq!(state.last_time.nanos(), time);
    });
}

#[test]
fn messages_that_expired_while_the_store_was_closed_are_gone() {
    // How many, then after a while how many more; which are removed; what is left at the end.
    type Case = (u64, u64, &'static [u64], (u64, u64, u64));
    let cases: [Case; 6] = [
        (500, 0, &[], (0, 501, 500)),
        (10, 10, &[], (10, 11, 20)),
        (5, 15, &[], (15, 6, 20)),
        (150, 100, &[141, 142, 143, 144, 145, 146, 147, 148, 149, 150], (100, 151, 250)),
        (10, 10, &[2, 4, 6], (10, 11, 20)),
        (7, 3, &[8, 9, 10], (0, 11, 10)),
    ];
    for (early, late, removed, expected) in cases {
        for with_index in [true, false] {
            Rig::each(8 << 10, age(10), |rig| {
                let put = |rig: &mut Rig, count: u64| {
                    for number in 1..=count {
                        rig.put(&format!("orders.{}", number % 10), &"ABC".repeat(33));
                    }
                };
                put(rig, early);
                rig.wait(5.0);
                put(rig, late);
                for number in removed {
                    assert!(rig.remove(*number));
                }
                let now = rig.time();
                rig.store().stop(now).unwrap();
                rig.wait(6.0);
                if !with_index {
                    let _ = rig.disk.remove_file(&rig.file("index.db"));
                }
                rig.open();
                assert_eq!(rig.shape(), expected, "{early} and {late}");
                let (messages, first, last) = expected;
                let state = rig.store().filtered_state(seq(1), &filter("orders.*")).unwrap();
                assert_eq!(state.messages, messages);
                if messages > 0 {
                    assert_eq!((state.first, state.last), (seq(first), seq(last)));
                    let five = rig.store().filtered_state(seq(1), &filter("orders.5")).unwrap();
                    assert_eq!(five.messages, messages.div_ceil(10).min(late / 10 + late % 10 / 5));
                } else {
                    rig.store().sync().unwrap();
                    assert_eq!(rig.files(".blk").len(), 1, "one block remembers the sequence");
                }
            });
        }
    }
}

#[test]
fn time_of_the_last_message_survives_its_expiry() {
    Rig::each(0, age(1), |rig| {
        rig.put("foo", "a");
        rig.put("foo", "b");
        let time = rig.now;
        rig.tick_after(2.0);
        assert_eq!(rig.state().messages, 0);
        for _ in 0..2 {
            rig.reopen();
            assert_eq!(rig.state().last_time.nanos(), time);
        }
        rig.lose_index();
        assert_eq!(rig.state().last_time.nanos(), time);
        assert_eq!(rig.put("foo", "c"), 3);
        assert_eq!(rig.put("foo", "d"), 4);
        let time = rig.now;
        assert!(rig.remove(4) && rig.remove(3));
        rig.reopen();
        assert_eq!((rig.state().last_time.nanos(), rig.state().last_seq), (time, seq(4)));
    });
}

#[test]
fn stream_of_skips_alone_keeps_its_last_sequence_over_restarts() {
    for at_once in [false, true] {
        let mut rig = Rig::new();
        let now = rig.time();
        if at_once {
            rig.store().skip_many(seq(0), 22, now).unwrap();
        } else {
            (0..22).for_each(|_| assert!(rig.store().skip(seq(0), now).is_ok()));
        }
        for _ in 0..5 {
            rig.reopen();
            assert_eq!(rig.shape(), (0, 23, 22));
        }
    }
}

#[test]
fn skipping_many_needs_the_next_sequence_and_is_counted() {
    let mut rig = Rig::small(1024, |_| {});
    let now = rig.time();
    assert_eq!(rig.store().skip_many(seq(10), 100, now), Err(StoreError::SequenceMismatch));
    rig.store().skip_many(seq(1), 100, now).unwrap();
    assert_eq!((rig.shape(), rig.store().blocks.len()), ((0, 101, 100), 1));
    rig.store().skip_many(seq(101), 100_000, now).unwrap();
    assert_eq!((rig.shape(), rig.store().blocks.len()), ((0, 100_101, 100_100), 1));
    for many in [true, false] {
        let mut rig = Rig::small(1024, |_| {});
        rig.put("foo", "");
        if many {
            rig.store().skip_many(seq(2), 10, now).unwrap();
        } else {
            (2..12).for_each(|number| assert!(rig.store().skip(seq(number), now).is_ok()));
        }
        assert_eq!(rig.shape(), (1, 1, 11));
        assert_eq!((rig.state().num_deleted, rig.state().deleted.len()), (10, 10));
        assert_eq!(rig.store().fast_state().num_deleted, 10);
        assert_eq!(rig.put("foo", ""), 12);
        for number in 1..=12 {
            let found = rig.store().load(seq(number)).map(|_| ());
            let skipped = (2..12).contains(&number);
            assert_eq!(found, if skipped { Err(StoreError::DeletedMessage) } else { Ok(()) });
        }
    }
}

#[test]
fn skip_behind_a_large_message_is_appended_not_written_over_it() {
    Rig::each(
        0,
        |_| {},
        |rig| {
            rig.put("foo", &"x".repeat(256 << 10));
            let now = rig.time();
            rig.store().skip(seq(2), now).unwrap();
            rig.store().compact(seq(2)).unwrap();
            assert_eq!(rig.shape(), (0, 3, 2));
            rig.store().skip(seq(3), now).unwrap();
            assert_eq!(rig.shape(), (0, 4, 3));
            rig.lose_index();
            assert_eq!((rig.shape(), rig.state().lost), ((0, 4, 3), None));
        },
    );
}

#[test]
fn missing_blocks_at_the_start_the_end_and_between_are_named() {
    Rig::each(
        4096,
        |_| {},
        |rig| {
            for _ in 0..500 {
                rig.put("foo", "Hello World");
            }
            let lost = |rig: &mut Rig| rig.state().lost.and_then(|lost| lost.messages);
            let all = rig.spans();
            let mut expected: Vec<u64> = (1..=500).collect();
            let number_of = |rig: &mut Rig, span: (u64, u64)| {
                let blocks = &rig.store().blocks;
                let block = blocks.iter().find(|block| block.first.seq == span.0).unwrap();
                format!("{}.blk", block.index)
            };
            for gone in [all[0], all[all.len() - 1], all[all.len() - 3]] {
                let name = number_of(rig, gone);
                let now = rig.time();
                rig.store().stop(now).unwrap();
                rig.disk.remove_file(&rig.file(&name)).unwrap();
                rig.open();
                expected.retain(|number| !(gone.0..=gone.1).contains(number));
                assert_eq!(lost(rig), Some((gone.0..=gone.1).collect()));
                assert_eq!(rig.sequences(), expected);
                let state = rig.state();
                assert_eq!((state.first_seq, state.last_seq), (seq(expected[0]), seq(500)));
                assert_eq!(state.num_deleted, 500 - expected[0] + 1 - expected.len() as u64);
            }
        },
    );
}

#[test]
fn sequences_survive_the_loss_of_the_only_block_beside_the_index() {
    Rig::each(1024, age(2), |rig| {
        for _ in 0..100 {
            rig.put("foo", "Hello World");
        }
        rig.tick_after(2.5);
        let now = rig.time();
        rig.store().stop(now).unwrap();
        let blocks = rig.files(".blk");
        assert_eq!(blocks.len(), 1);
        rig.disk.remove_file(&rig.file(&blocks[0])).unwrap();
        rig.open();
        assert_eq!(rig.shape(), (0, 101, 100));
    });
}

#[test]
fn block_that_comes_back_beside_its_tombstone_is_removed_again() {
    let mut rig = Rig::new();
    rig.put("test", "");
    rig.store().flush().unwrap();
    let old = rig.read_file("1.blk");
    assert!(rig.remove(1));
    rig.roll();
    rig.store().tidy().unwrap();
    let now = rig.time();
    rig.store().stop(now).unwrap();
    assert_eq!(rig.files(".blk"), ["2.blk"]);
    // As after a kill between the block with the tombstone and the removal of the other.
    rig.disk.remove_file(&rig.file("index.db")).unwrap();
    rig.write_file("1.blk", &old);
    rig.open();
    assert_eq!(rig.shape(), (0, 2, 1));
    assert_eq!(rig.files(".blk"), ["2.blk"]);
}

#[test]
fn index_from_before_a_purge_is_not_believed_after_it() {
    for keeps_first in [true, false] {
        Rig::each(
            1000,
            |_| {},
            |rig| {
                if keeps_first {
                    rig.put("foo.0", &"x".repeat(20));
                }
                for _ in 0..100 {
                    rig.put("foo.1", &"x".repeat(20));
                }
                rig.put("foo.2", "xxxxxx");
                rig.store().write_index().unwrap();
                let old = rig.read_file("index.db");
                assert_eq!(purge(rig, "foo.1"), 100);
                let (state, all) = (rig.state(), rig.all());
                assert_eq!(all.len(), if keeps_first { 2 } else { 1 });
                if !keeps_first {
                    assert_eq!(rig.spans().len(), 1);
                }
                rig.reopen();
                assert_eq!((&rig.state(), &rig.all()), (&state, &all));
                rig.lose_index();
                assert_eq!((&rig.state(), &rig.all()), (&state, &all));
                let now = rig.time();
                rig.store().stop(now).unwrap();
                rig.write_file("index.db", &old);
                rig.open();
                // What is gone was removed, not lost, whatever the index says of it.
                assert_eq!(rig.all(), all);
                assert_eq!(rig.state().first_seq, state.first_seq);
            },
        );
    }
}

#[test]
fn purge_up_to_a_sequence_in_a_removed_tail_keeps_the_last_sequence() {
    let mut rig = Rig::new();
    for number in 1..=10 {
        rig.put(&format!("foo.{number}"), "abc");
    }
    assert!(rig.remove(8) && rig.remove(9) && rig.remove(10));
    let request = PurgeRequest { filter: SubjectFilter::All, below: seq(8), keep: 0 };
    assert_eq!(rig.store().purge_matching(&request), Ok(7));
    assert_eq!(rig.shape(), (0, 11, 10));
    rig.store().write_index().unwrap();
    assert_eq!(rig.shape(), (0, 11, 10));
    rig.reopen();
    assert_eq!(rig.shape(), (0, 11, 10));
}

#[test]
fn index_with_a_spoilt_subject_is_not_believed() {
    let mut rig = Rig::new();
    rig.put("foo.bar", "ABC");
    rig.put("foo.baz", "XYZ");
    let now = rig.time();
    rig.store().stop(now).unwrap();
    let hash = NamedHash::new("S");
    let mut index = IndexFile::open(&rig.read_file("index.db"), &hash, None).unwrap();
    let mut subjects = IndexedSubjects::default();
    for found in index.subjects.iter() {
        let spoilt: &[u8] =
            if found.subject == b"foo.bar" { "foo\u{fffd}bar".as_bytes() } else { found.subject };
        subjects.push(IndexedSubject { subject: spoilt, ..found });
    }
    index.subjects = subjects;
    let mut file = index.encode();
    let sum = hash.sum(&file);
    file.extend_from_slice(&sum);
    rig.write_file("index.db", &file);
    rig.open();
    for (subject, payload) in [("foo.bar", "ABC"), ("foo.baz", "XYZ")] {
        let found = rig.store().load_last(&filter(subject)).unwrap();
        assert_eq!(found.payload(), payload.as_bytes());
    }
}

/// A block of messages with these sequences.
fn block_of(numbers: &[u64]) -> Vec<u8> {
    let hash = NamedHash::for_block("S", 1);
    let mut block = Vec::new();
    for number in numbers {
        let record = NewRecord {
            seq: *number,
            timestamp: 1_700_000_000_000_000_000 + *number as i64,
            kind: RecordKind::Message,
            subject: b"foo",
            header: b"",
            payload: b"",
        };
        record.encode(&mut block, &hash).unwrap();
    }
    block
}

#[test]
fn records_out_of_order_and_doubled_ones_are_passed_over() {
    for (numbers, live, deleted) in [
        (&[1, 3, 2, 4][..], &[1, 3, 4][..], &[2][..]),
        (&[1, 2, 2, 3], &[1, 2, 3], &[]),
        (&[2, 4, 12], &[2, 4, 12], &[3, 5, 6, 7, 8, 9, 10, 11]),
    ] {
        let mut rig = Rig::new();
        rig.close_roughly();
        rig.disk = SimDisk::new(7);
        rig.disk.create_dir_all(&Rig::dir().join("msgs")).unwrap();
        rig.write_file("1.blk", &block_of(numbers));
        rig.open();
        for restart in [false, true] {
            if restart {
                rig.reopen();
                rig.unload();
            }
            assert_eq!(rig.sequences(), live, "{numbers:?}");
            assert_eq!(rig.state().deleted, deleted, "{numbers:?}");
            for number in deleted {
                assert_eq!(rig.store().load(seq(*number)), Err(StoreError::DeletedMessage));
            }
        }
    }
}

#[test]
fn counts_of_timed_messages_are_recovered() {
    Rig::each(
        0,
        |config| (config.allow_msg_ttl, config.allow_msg_schedules) = (true, true),
        |rig| {
            let header =
                "NATS/1.0\r\nNats-TTL: 5\r\nNats-Schedule: @at 2100-01-01T00:00:00Z\r\n\r\n";
            rig.put_with("foo", header, "");
            for restart in 0..3 {
                match restart {
                    0 => {}
                    1 => rig.reopen(),
                    _ => rig.lose_index(),
                }
                let block = &rig.store().blocks[0];
                assert_eq!((block.ttls, block.schedules), (1, 1));
            }
        },
    );
}

#[test]
fn single_timed_message_expires_without_index_and_without_its_own_file() {
    Rig::each(
        0,
        |config| config.allow_msg_ttl = true,
        |rig| {
            rig.put_with("test", "NATS/1.0\r\nNats-TTL: 1\r\n\r\n", "");
            let now = rig.time();
            rig.store().stop(now).unwrap();
            for name in ["index.db", "thw.db"] {
                rig.disk.remove_file(&rig.file(name)).unwrap();
            }
            rig.open();
            assert_eq!(rig.shape(), (1, 1, 1));
            rig.tick_after(2.0);
            assert_eq!(rig.shape(), (0, 2, 1));
        },
    );
}

#[test]
fn expiry_file_that_covers_everything_is_not_added_to() {
    let mut rig = Rig::with(|config| config.allow_msg_ttl = true);
    rig.put_with("test", "NATS/1.0\r\nNats-TTL: 120\r\n\r\n", "");
    let wheel = |rig: &mut Rig| rig.store().expiry.ttls.as_ref().unwrap().len();
    assert_eq!(wheel(&mut rig), 1);
    // Taken out behind the store's back, it comes back only if the messages are read again.
    rig.store().expiry.ttls.as_mut().unwrap().clear();
    rig.reopen();
    assert_eq!((rig.shape(), wheel(&mut rig)), ((1, 1, 1), 0));
}

#[test]
fn encrypted_stream_emptied_by_age_goes_on() {
    Rig::each(0, age(1), |rig| {
        for round in 0..2 {
            for _ in 0..5 {
                rig.put("foo", "Hello World");
            }
            rig.tick_after(1.5);
            assert_eq!(rig.shape(), (0, 10 * round + 6, 10 * round + 5));
            rig.reopen();
            for _ in 0..5 {
                rig.put("foo", "Hello World");
            }
            rig.unload();
            let last = seq(10 * round + 10);
            assert_eq!(rig.store().load(last).unwrap().payload(), b"Hello World");
            rig.reopen();
            assert_eq!(rig.store().load(last).unwrap().payload(), b"Hello World");
            rig.tick_after(1.5);
            rig.lose_index();
            assert_eq!(rig.shape(), (0, 10 * round + 11, 10 * round + 10));
        }
    });
}

#[test]
fn purge_of_an_encrypted_stream_cut_short_between_key_and_block_is_undone() {
    Rig::each(
        4 << 10,
        |_| {},
        |rig| {
            if rig.encryption.is_none() {
                return;
            }
            for _ in 0..40 {
                rig.put("foo", &"x".repeat(512));
            }
            rig.store().sync().unwrap();
            rig.close_roughly();
            rig.disk.sync_all();
            let before = rig.disk.fork(1);
            rig.open();
            let (state, all) = (rig.state(), rig.all());
            rig.store().purge().unwrap();
            let number = rig.store().blocks[0].index;
            let (block, key) = (format!("{number}.blk"), format!("{number}.key"));
            let contents = (rig.read_file(&block), rig.read_file(&key));
            rig.close_roughly();
            // The message directory is the old one; the key of the block that was to replace it has
            // been staged, its block has not.
            rig.disk = before;
            let _ = rig.disk.remove_file(&rig.file("index.db"));
            rig.write_file(&block, &contents.0);
            let staged = Rig::dir().join("__new_msgs__");
            rig.disk.create_dir_all(&staged).unwrap();
            let file = rig.disk.open(&staged.join(&key), OpenMode::CreateTruncate).unwrap();
            file.write_at(&contents.1, 0).unwrap();
            rig.disk.sync_all();
            rig.open();
            assert_eq!((rig.state(), rig.all()), (state, all));
            assert!(!rig.disk.exists(&staged));
            assert!(!rig.files(".blk").contains(&block));
        },
    );
}

#[test]
fn files_of_older_servers_and_strangers_leave_the_index_alone() {
    let mut rig = Rig::small(200, |_| {});
    rig.put_many("foo", 20);
    let (state, all) = (rig.state(), rig.all());
    let now = rig.time();
    rig.store().stop(now).unwrap();
    for name in ["1.idx", "2.fss", "10.blk.tmp", "10.blk.random"] {
        rig.write_file(name, b"something");
    }
    rig.open();
    assert_eq!((rig.state(), rig.all()), (state, all));
    let warned = rig.opened.iter().any(|effect| matches!(effect, StoreEffect::Warn { .. }));
    assert!(!warned, "{:?}", rig.opened);
    assert_eq!((rig.files(".idx"), rig.files(".fss")), (vec![], vec![]));
}

#[test]
fn index_of_very_many_subjects_is_read_back() {
    let mut rig = Rig::new();
    let mut random = TestRandom(11);
    let now = rig.time();
    for _ in 0..20_000 {
        let subject = format!("foo.{:x}.{:x}", random.next(), random.next());
        let message = NewMessage { subject: subject.as_bytes(), ..NewMessage::default() };
        rig.store().store_message(message, now).unwrap();
    }
    let totals = rig.store().subjects_totals(b"").unwrap();
    assert_eq!(totals.len(), 20_000);
    rig.reopen();
    assert_eq!(rig.opened.len(), 1, "the index is believed");
    assert_eq!(rig.store().subjects_totals(b"").unwrap(), totals);
    assert!(rig.disk.exists(Path::new(&rig.file("index.db"))));
}

#[test]
fn both_limits_of_a_stream_that_discards_new_messages_hold() {
    let edit = |config: &mut StreamConfig| {
        config.discard = crate::config::DiscardPolicy::New;
        config.discard_new_per_subject = true;
        (config.max_msgs, config.max_msgs_per_subject) = (100, 1);
    };
    Rig::each(128, edit, |rig| {
        for number in 1..=101 {
            let stored = rig.try_put(&format!("kv.{number}"), "", "value").map(|_| ());
            let full = number == 101;
            assert_eq!(stored, if full { Err(StoreError::MaxMessages) } else { Ok(()) });
        }
        for number in 1..=100 {
            let stored = rig.try_put(&format!("kv.{number}"), "", "value").map(|_| ());
            assert_eq!(stored, Err(StoreError::MaxMessagesPerSubject));
        }
        assert_eq!((rig.shape(), rig.state().deleted), ((100, 1, 100), vec![]));
    });
}

#[test]
fn last_sequences_below_a_maximum() {
    let mut rig = Rig::small(256, |_| {});
    for group in ["foo", "bar"] {
        for _ in 0..33 {
            for name in ["foo", "bar", "baz"] {
                rig.put(&format!("{group}.{name}"), "abc");
            }
        }
    }
    let cases: [(&[&str], u64, &[u64]); 13] = [
        (&["foo.*"], 3, &[1, 2, 3]),
        (&["foo.*"], 0, &[97, 98, 99]),
        (&["bar.*"], 0, &[196, 197, 198]),
        (&["bar.*"], 99, &[]),
        (&["foo.foo", "foo.bar", "foo.baz"], 3, &[1, 2, 3]),
        (&["foo.foo", "foo.bar", "foo.baz"], 0, &[97, 98, 99]),
        (&["bar.foo", "bar.bar", "bar.baz"], 0, &[196, 197, 198]),
        (&["bar.foo", "bar.bar", "bar.baz"], 99, &[]),
        (&["foo.foo"], 3, &[1]),
        (&["foo.*", "foo.bar"], 3, &[1, 2, 3]),
        (&["bar.>", "bar.bar", "bar.baz"], 0, &[196, 197, 198]),
        (&[">"], 0, &[97, 98, 99, 196, 197, 198]),
        (&[">"], 99, &[97, 98, 99]),
    ];
    for (filters, max, expected) in cases {
        let filters: Vec<_> = filters.iter().map(SubjectFilter::new).collect();
        let found = rig.store().multi_last_sequences(&filters, seq(max), 0).unwrap();
        let found: Vec<u64> = found.into_iter().map(StreamSequence::get).collect();
        assert_eq!(found, expected, "{filters:?} up to {max}");
    }
}

#[test]
fn state_of_everything_follows_deletes_and_purge() {
    Rig::each(
        1024,
        |_| {},
        |rig| {
            for _ in 0..100 {
                rig.put("foo", "Hello World");
            }
            let steps: [(&[u64], u64, (u64, u64)); 5] = [
                (&[], 1, (100, 1)),
                (&[2], 2, (98, 3)),
                (&[3, 4, 5], 2, (95, 6)),
                (&[], 6, (95, 6)),
                (&[8, 10, 12, 14, 16, 18], 7, (88, 7)),
            ];
            for (removed, start, (messages, first)) in steps {
                removed.iter().for_each(|number| assert!(rig.remove(*number)));
                let state = rig.store().filtered_state(seq(start), &SubjectFilter::All).unwrap();
                assert_eq!(
                    (state.messages, state.first, state.last),
                    (messages, seq(first), seq(100))
                );
            }
            rig.store().purge().unwrap();
            let state = rig.store().filtered_state(seq(0), &SubjectFilter::All).unwrap();
            assert_eq!((state.messages, state.first, state.last), (0, seq(101), seq(100)));
        },
    );
}
