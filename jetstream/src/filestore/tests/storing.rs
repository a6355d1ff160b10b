//! Storing, skipping and loading.

use super::*;
use crate::config::DiscardPolicy;
use crate::error::StoreError;
use crate::filestore::record::stored_len;
use crate::store::DiscardNewCheck;

#[test]
fn message_comes_back_with_all_its_parts() {
    let mut rig = Rig::new();
    let number = rig.put_with("foo", "NATS/1.0\r\nA: b\r\n\r\n", "hello");
    assert_eq!(number, 1);
    let now = rig.now;
    for reopened in [false, true] {
        let message = rig.store().load(seq(1)).unwrap();
        assert_eq!(message.subject(), b"foo");
        assert_eq!(message.header(), b"NATS/1.0\r\nA: b\r\n\r\n");
        assert_eq!(message.payload(), b"hello");
        assert_eq!(message.sequence(), seq(1));
        assert_eq!(message.timestamp().nanos(), now);
        if !reopened {
            rig.reopen();
        }
    }
    assert_eq!(rig.state().bytes, stored_len(3, 18, 5));
}

#[test]
fn empty_subject_header_and_payload_are_stored() {
    let mut rig = Rig::new();
    rig.put("", "");
    rig.put("foo", "");
    rig.reopen();
    assert_eq!(rig.all().len(), 2);
    assert_eq!(rig.state().bytes, 30 + 33);
    assert_eq!(rig.state().num_subjects, 1);
}

#[test]
fn never_used_store_starts_at_zero_and_purge_makes_it_one() {
    let mut rig = Rig::new();
    assert_eq!(rig.shape(), (0, 0, 0));
    rig.reopen();
    assert_eq!(rig.shape(), (0, 0, 0));
    assert_eq!(rig.store().purge().unwrap(), 0);
    assert_eq!(rig.shape(), (0, 1, 0));
    assert_eq!(rig.put("foo", "x"), 1);
}

#[test]
fn load_errors_tell_where_the_sequence_lies() {
    let mut rig = Rig::new();
    rig.put_many("foo", 5);
    rig.remove(1);
    rig.remove(3);
    let load = |rig: &mut Rig, number| rig.store().load(seq(number)).map(|m| m.sequence().get());
    assert_eq!(load(&mut rig, 0), Ok(2));
    assert_eq!(load(&mut rig, 1), Err(StoreError::MessageNotFound));
    assert_eq!(load(&mut rig, 3), Err(StoreError::DeletedMessage));
    assert_eq!(load(&mut rig, 5), Ok(5));
    assert_eq!(load(&mut rig, 6), Err(StoreError::Eof));
    let now = rig.time();
    rig.store().stop(now).unwrap();
    assert_eq!(load(&mut rig, 2), Err(StoreError::Closed));
    assert_eq!(rig.store().stop(now), Err(StoreError::Closed));
}

#[test]
fn raw_message_must_have_the_next_sequence() {
    let mut rig = Rig::new();
    rig.put("foo", "x");
    let now = rig.time();
    let mut raw = |number, time| {
        let message = NewMessage { subject: b"foo", payload: b"y", ..NewMessage::default() };
        let time = Timestamp::from_nanos(time);
        let stored =
            rig.store().store_raw_message(message, seq(number), time, DiscardNewCheck::Skip, now);
        stored.map(|stored| (stored.sequence.get(), stored.timestamp.nanos()))
    };
    assert_eq!(raw(1, 5), Err(StoreError::SequenceMismatch));
    assert_eq!(raw(3, 5), Err(StoreError::SequenceMismatch));
    assert_eq!(raw(2, 5), Ok((2, 5)));
    assert_eq!(raw(0, 6), Ok((3, 6)));
}

#[test]
fn message_over_32_mib_is_too_large_and_a_smaller_one_gets_its_own_block() {
    let mut rig = Rig::small(1000, |_| {});
    rig.put_many("foo", 3);
    let large = "x".repeat(20_000);
    rig.put("foo", &large);
    rig.put_many("foo", 1);
    rig.kill_after_sync();
    assert_eq!(rig.files(".blk"), ["1.blk", "2.blk", "3.blk"]);
    assert_eq!(rig.all()[3].3, large);
    let too_large = "x".repeat(32 << 20);
    assert_eq!(rig.try_put("foo", "", &too_large), Err(StoreError::MessageTooLarge));
    assert_eq!(rig.put("foo", "x"), 6);
}

#[test]
fn blocks_roll_at_their_size_and_count_up() {
    let mut rig = Rig::small(400, |_| {});
    let per_block = 400 / stored_len(3, 0, 7);
    rig.put_many("foo", 5 * per_block as usize + 1);
    rig.store().sync().unwrap();
    let mut expected: Vec<String> = (1..=6).map(|n| format!("{n}.blk")).collect();
    expected.sort();
    assert_eq!(rig.files(".blk"), expected);
    assert_eq!(rig.all().len() as u64, 5 * per_block + 1);
    rig.reopen();
    rig.put_many("foo", per_block as usize);
    rig.store().sync().unwrap();
    assert_eq!(rig.files(".blk").len(), 7);
}

#[test]
fn one_sync_covers_everything_appended() {
    let mut rig = Rig::new();
    rig.store().sync().unwrap();
    let before = rig.disk.sync_counts();
    rig.put_many("foo", 1000);
    assert_eq!(rig.store().durable_sequence(), seq(0));
    assert_eq!(rig.store().sync().unwrap(), seq(1000));
    let after = rig.disk.sync_counts();
    assert_eq!(after.files - before.files, 1);
    assert_eq!(after.directories, before.directories);
    assert_eq!(after.writes - before.writes, 1);
    assert_eq!(rig.store().durable_sequence(), seq(1000));
    rig.disk.power_loss();
    rig.close_roughly();
    rig.open();
    assert_eq!(rig.shape(), (1000, 1, 1000));
}

#[test]
fn unsynced_messages_are_readable() {
    let mut rig = Rig::new();
    rig.put_many("foo", 3);
    assert_eq!(rig.sequences(), [1, 2, 3]);
    rig.store().flush().unwrap();
    rig.put("foo", &"y".repeat(10_000));
    assert_eq!(rig.sequences(), [1, 2, 3, 4]);
}

#[test]
fn small_cache_serves_every_message() {
    let mut rig = Rig::small(500, |_| {});
    rig.cache_bytes = 1;
    rig.reopen();
    for number in 0..200 {
        rig.put(&format!("foo.{}", number % 7), &format!("payload {number}"));
    }
    rig.store().sync().unwrap();
    for number in (0..200u64).rev().chain(0..200) {
        let message = rig.store().load(seq(number + 1)).unwrap();
        assert_eq!(message.payload(), format!("payload {number}").as_bytes());
    }
    let found = rig.store().load_last(&filter("foo.3")).unwrap();
    assert_eq!(found.sequence().get(), 200);
}

#[test]
fn skip_uses_up_one_sequence() {
    let mut rig = Rig::new();
    let now = rig.time();
    assert_eq!(rig.store().skip(seq(0), now).unwrap(), seq(1));
    assert_eq!(rig.shape(), (0, 2, 1));
    assert_eq!(rig.put("foo", "x"), 2);
    assert_eq!(rig.store().skip(seq(3), now).unwrap(), seq(3));
    assert_eq!(rig.store().skip(seq(3), now), Err(StoreError::SequenceMismatch));
    assert_eq!(rig.put("foo", "x"), 4);
    for _ in 0..2 {
        assert_eq!(rig.shape(), (2, 2, 4));
        assert_eq!(rig.state().deleted, [3]);
        rig.lose_index();
    }
    rig.reopen();
    assert_eq!(rig.shape(), (2, 2, 4));
}

#[test]
fn trailing_skips_survive_with_and_without_index() {
    let mut rig = Rig::new();
    let now = rig.time();
    rig.put("foo", "x");
    rig.store().skip_many(seq(2), 10, now).unwrap();
    assert_eq!(rig.shape(), (1, 1, 11));
    rig.reopen();
    assert_eq!(rig.shape(), (1, 1, 11));
    assert_eq!(rig.state().deleted, (2..=11).collect::<Vec<_>>());
    rig.lose_index();
    assert_eq!(rig.shape(), (1, 1, 11));
    assert_eq!(rig.put("foo", "y"), 12);
    rig.lose_index();
    assert_eq!(rig.sequences(), [1, 12]);
}

#[test]
fn only_skips_survive_a_lost_index() {
    let mut rig = Rig::new();
    let now = rig.time();
    rig.store().skip_many(seq(1), 5, now).unwrap();
    rig.lose_index();
    assert_eq!(rig.shape(), (0, 6, 5));
    assert_eq!(rig.put("foo", "x"), 6);
}

#[test]
fn skipping_very_many_takes_one_record_and_little_memory() {
    let mut rig = Rig::new();
    let now = rig.time();
    rig.put("foo", "x");
    rig.store().skip_many(seq(2), 1 << 40, now).unwrap();
    rig.put("foo", "y");
    assert_eq!(rig.shape(), (2, 1, (1 << 40) + 2));
    rig.lose_index();
    assert_eq!(rig.shape(), (2, 1, (1 << 40) + 2));
    assert_eq!(rig.sequences(), [1, (1 << 40) + 2]);
    assert!(rig.files(".blk").len() <= 3);
}

#[test]
fn skip_dates_only_when_nobody_was_interested() {
    let mut rig = Rig::new();
    rig.put("foo", "x");
    let stored_at = rig.now;
    rig.wait(10.0);
    let now = rig.time();
    rig.store().skip(seq(2), now).unwrap();
    rig.store().skip_many(seq(3), 3, now).unwrap();
    assert_eq!(rig.state().last_time.nanos(), stored_at);
    rig.store().skip_no_interest(seq(6), now).unwrap();
    assert_eq!(rig.state().last_time.nanos(), rig.now - rig.now % 100_000_000);
    let expected = rig.state();
    rig.lose_index();
    assert_eq!(rig.state().last_time, expected.last_time);
}

#[test]
fn last_time_is_remembered_over_removal_purge_and_restart() {
    let mut rig = Rig::new();
    rig.put_many("foo", 3);
    let last = rig.state().last_time;
    rig.remove(3);
    rig.wait(5.0);
    rig.lose_index();
    assert_eq!((rig.state().last_time, rig.shape()), (last, (2, 1, 3)));
    rig.store().purge().unwrap();
    assert_eq!((rig.state().last_time, rig.shape()), (last, (0, 4, 3)));
    rig.lose_index();
    assert_eq!((rig.state().last_time, rig.shape()), (last, (0, 4, 3)));
    rig.reopen();
    assert_eq!((rig.state().last_time, rig.shape()), (last, (0, 4, 3)));
}

#[test]
fn sequence_from_time_steps_over_deletes() {
    let mut rig = Rig::small(300, |_| {});
    let mut times = Vec::new();
    for _ in 0..20 {
        rig.wait(1.0);
        rig.put("foo", "payload");
        times.push(rig.now);
    }
    for number in [1, 5, 6, 7, 12, 20] {
        rig.remove(number);
    }
    let live = rig.sequences();
    for (index, time) in times.iter().enumerate() {
        for offset in [-1, 0, 1] {
            let at = Timestamp::from_nanos(time + offset);
            let found = rig.store().sequence_from_time(at).get();
            let first_at = index as u64 + 1 + u64::from(offset > 0);
            let expected = live.iter().copied().find(|number| *number >= first_at);
            match expected {
                Some(expected) => assert_eq!(found, expected, "{index} {offset}"),
                None => assert_eq!(found, 21, "{index} {offset}"),
            }
        }
    }
}

#[test]
fn next_and_previous_agree_with_a_scan() {
    let mut rig = Rig::small(600, |_| {});
    let mut random = TestRandom(3);
    let subjects = ["a.x", "a.y", "b.x", "b.y.z", "c"];
    for _ in 0..300 {
        let subject = subjects[random.below(5) as usize];
        rig.put(subject, "payload");
    }
    for _ in 0..120 {
        rig.remove(random.below(300) + 1);
    }
    let all = rig.all();
    let filters = [
        filter("a.x"),
        filter("a.*"),
        filter("*.x"),
        filter("b.>"),
        filter("nothing"),
        filter("nothing.*"),
        SubjectFilter::any(["a.y", "b.y.*"]),
        filter(">"),
    ];
    for which in &filters {
        let matching: Vec<u64> = all
            .iter()
            .filter(|(_, subject, ..)| which.matches(subject.as_bytes()))
            .map(|(number, ..)| *number)
            .collect();
        for start in 0..=301 {
            let next = rig.store().load_next(which, seq(start)).unwrap();
            let expected = matching.iter().copied().find(|number| *number >= start);
            assert_eq!(next.clone().found().map(|m| m.sequence().get()), expected, "{which:?}");
            if expected.is_none() {
                assert_eq!(next.sequence(), seq(300));
            }
            let previous = rig.store().load_previous(which, seq(start)).unwrap().found();
            let expected = matching.iter().copied().rfind(|number| *number <= start);
            assert_eq!(previous.map(|m| m.sequence().get()), expected, "{which:?} {start}");
        }
        let last = rig.store().load_last(which).ok().map(|m| m.sequence().get());
        let expected = matching.last().copied();
        assert_eq!(last, if which.is_all() { expected.filter(|n| *n == 300) } else { expected });
    }
}

#[test]
fn discard_new_refuses_with_the_limit_that_is_reached() {
    let mut rig = Rig::with(|config| {
        config.discard = DiscardPolicy::New;
        config.max_msgs = 2;
    });
    rig.put_many("foo", 2);
    assert_eq!(rig.try_put("foo", "", "x"), Err(StoreError::MaxMessages));
    let mut rig = Rig::with(|config| {
        config.discard = DiscardPolicy::New;
        config.max_bytes = 80;
    });
    rig.put_many("foo", 2);
    assert_eq!(rig.try_put("foo", "", "x"), Err(StoreError::MaxBytes));
    assert_eq!(rig.shape(), (2, 1, 2));
    let mut rig = Rig::with(|config| {
        config.discard = DiscardPolicy::New;
        config.discard_new_per_subject = true;
        config.max_msgs_per_subject = 1;
    });
    rig.put("foo", "x");
    rig.put("bar", "x");
    assert_eq!(rig.try_put("foo", "", "x"), Err(StoreError::MaxMessagesPerSubject));
    assert_eq!(
        rig.put_with("foo", "NATS/1.0\r\nNats-Rollup: sub\r\n\r\n", "x"),
        3,
        "a rollup makes room itself"
    );
}

#[test]
fn discard_new_replaces_within_a_subject() {
    let mut rig = Rig::with(|config| {
        config.discard = DiscardPolicy::New;
        config.max_msgs = 2;
        config.max_msgs_per_subject = 1;
        config.max_bytes = 80;
    });
    rig.put("foo", "1234567");
    rig.put("bar", "1234567");
    assert_eq!(rig.put("foo", "7654321"), 3);
    assert_eq!(rig.sequences(), [2, 3]);
    assert_eq!(rig.try_put("foo", "", "larger than before"), Err(StoreError::MaxBytes));
    assert_eq!(rig.try_put("baz", "", "1"), Err(StoreError::MaxMessages));
}

#[test]
fn follower_accepts_what_its_leader_accepted() {
    let mut rig = Rig::with(|config| {
        config.discard = DiscardPolicy::New;
        config.max_msgs = 1;
    });
    rig.put("foo", "x");
    let now = rig.time();
    let message = NewMessage { subject: b"foo", payload: b"y", ..NewMessage::default() };
    rig.store().store_raw_message(message, seq(2), now, DiscardNewCheck::Skip, now).unwrap();
    assert_eq!(rig.shape(), (2, 1, 2));
}

#[test]
fn effects_account_for_every_change() {
    let mut rig = Rig::with(|config| config.max_msgs = 3);
    rig.put_many("foo", 5);
    rig.remove(4);
    rig.store().purge().unwrap();
    let size = stored_len(3, 0, 7);
    let (mut messages, mut bytes) = (0i64, 0i64);
    for effect in rig.effects() {
        match effect {
            StoreEffect::Added { bytes: added, .. } => {
                assert_eq!(added, size);
                messages += 1;
                bytes += added as i64;
            }
            StoreEffect::Removed { bytes: removed, subject, .. } => {
                assert_eq!(subject.as_ref(), b"foo");
                messages -= 1;
                bytes -= removed as i64;
            }
            StoreEffect::RemovedMany { messages: gone, bytes: removed } => {
                messages -= gone as i64;
                bytes -= removed as i64;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((messages, bytes), (0, 0));
    rig.put_many("foo", 2);
    rig.reopen();
    assert_eq!(rig.opened, [StoreEffect::Usage { bytes: 2 * size as i64 }]);
}
