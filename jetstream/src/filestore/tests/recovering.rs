//! Opening from damaged, old, cut and missing files.

use super::*;
use crate::config::{PersistMode, StoreCompression};
use crate::error::StoreError;
use crate::filestore::record::{NamedHash, NewRecord, RecordKind, stored_len};

fn warnings(rig: &Rig) -> Vec<String> {
    rig.opened
        .iter()
        .filter_map(|effect| match effect {
            StoreEffect::Warn { text } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

/// A store of several blocks with deletes, closed, and what is in it.
fn sample(edit: impl FnOnce(&mut StreamConfig)) -> (Rig, Vec<(u64, String, String, String)>) {
    let mut rig = Rig::small(400, edit);
    for n in 0..30 {
        rig.put(&format!("foo.{}", n % 4), &format!("payload {n}"));
    }
    for number in [2, 11, 12, 19] {
        rig.remove(number);
    }
    let all = rig.all();
    let now = rig.time();
    rig.store().stop(now).unwrap();
    rig.close_roughly();
    rig.disk.sync_all();
    (rig, all)
}

#[test]
fn index_file_is_written_at_stop_and_used() {
    let (mut rig, all) = sample(|_| {});
    assert_eq!(rig.files("index.db"), ["index.db"]);
    rig.open();
    assert_eq!(warnings(&rig), Vec::<String>::new());
    assert_eq!(rig.all(), all);
}

#[test]
fn any_damaged_byte_of_the_index_changes_nothing() {
    let (rig, all) = sample(|_| {});
    let len = rig.read_file("index.db").len();
    for at in 0..len {
        let mut copy = Rig::new();
        copy.config = rig.config.clone();
        copy.block_size = rig.block_size;
        copy.disk = rig.disk.fork(at as u64);
        assert!(copy.disk.flip_bit(&copy.file("index.db"), at, (at % 8) as u8));
        copy.open();
        assert_eq!(warnings(&copy), ["Stream state checksum did not match"], "byte {at}");
        assert_eq!(copy.all(), all, "byte {at}");
        assert_eq!(copy.shape().2, 30);
    }
    for cut in [0, 1, 31, 32, len - 1] {
        let mut copy = Rig::new();
        copy.config = rig.config.clone();
        copy.disk = rig.disk.fork(1);
        let content = rig.read_file("index.db");
        copy.write_file("index.db", &content[..cut]);
        copy.open();
        assert_eq!(copy.all(), all, "cut {cut}");
    }
}

#[test]
fn any_flipped_bit_of_a_block_costs_at_most_its_record() {
    for with_index in [false, true] {
        let (rig, all) = sample(|_| {});
        for name in rig.files(".blk") {
            let content = rig.read_file(&name);
            for at in 0..content.len() {
                let mut copy = Rig::new();
                copy.config = rig.config.clone();
                copy.block_size = rig.block_size;
                copy.disk = rig.disk.fork(at as u64);
                assert!(copy.disk.flip_bit(&copy.file(&name), at, (at * 5 % 8) as u8));
                if !with_index {
                    copy.disk.remove_file(&copy.file("index.db")).unwrap();
                }
                copy.open();
                check_damaged(&mut copy, &all, &format!("{name} byte {at} index {with_index}"));
            }
        }
    }
}

/// What is served must have been stored; at most one message, or one removal, may be missing, and
/// a missing message must be reported.
fn check_damaged(copy: &mut Rig, all: &[(u64, String, String, String)], context: &str) {
    let found = copy.all();
    copy.store().check_invariants();
    let state = copy.state();
    let lost = state.lost.clone().unwrap_or_default();
    for message in &found {
        let same = all.iter().any(|original| original == message);
        // The border between subject and payload is what the format does not protect; a
        // removed message may come back when its tombstone is what was hit.
        let border = all.iter().any(|(number, subject, _, payload)| {
            *number == message.0
                && format!("{subject}{payload}") == format!("{}{}", message.1, message.3)
        });
        let resurrected = [2, 11, 12, 19].contains(&message.0);
        assert!(same || border || resurrected, "{context}: {message:?}");
    }
    let missing: Vec<u64> = all
        .iter()
        .map(|(number, ..)| *number)
        .filter(|number| !found.iter().any(|(n, ..)| n == number))
        .collect();
    assert!(missing.len() <= 1, "{context}: {missing:?}");
    for number in missing {
        let listed = lost.messages.iter().flatten().any(|n| *n == number);
        let at_end = number == 30 && lost.bytes > 0;
        assert!(listed || at_end, "{context}: {number} is lost silently: {lost:?}");
        if listed {
            let error = copy.store().load(seq(number)).unwrap_err();
            assert!(
                matches!(error, StoreError::CorruptMessage { .. }) || error == StoreError::Eof,
                "{context}: {error}"
            );
        }
    }
    assert_eq!(copy.put("after", "x"), copy_last(&state) + 1, "{context}");
    let expected = without_removed(copy.all());
    copy.lose_index();
    assert_eq!(without_removed(copy.all()), expected, "{context}: reopened");
}

/// Damage to a tombstone brings its message back when the index goes too; nothing else may change.
fn without_removed(all: Vec<(u64, String, String, String)>) -> Vec<(u64, String, String, String)> {
    all.into_iter().filter(|(number, ..)| ![2, 11, 12, 19].contains(number)).collect()
}

fn copy_last(state: &StreamState) -> u64 {
    state.last_seq.get()
}

#[test]
fn records_behind_damage_stay_and_the_lost_ones_are_named() {
    let (mut rig, all) = sample(|_| {});
    let name = "2.blk";
    let record = stored_len(5, 0, 10) as usize;
    for at in 3 * record + 3..5 * record - 3 {
        rig.disk.flip_bit(&rig.file(name), at, 3);
    }
    rig.disk.remove_file(&rig.file("index.db")).unwrap();
    rig.open();
    let found = rig.all();
    let lost = rig.state().lost.unwrap();
    let missing: Vec<u64> = all
        .iter()
        .map(|(number, ..)| *number)
        .filter(|number| !found.iter().any(|(n, ..)| n == number))
        .collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert_eq!(lost.messages, Some(missing.clone()));
    assert_eq!(lost.bytes, 2 * record as u64);
    assert!(warnings(&rig).iter().any(|w| w.contains("2.blk is damaged")));
    assert!(matches!(
        rig.store().load(seq(missing[0])),
        Err(StoreError::CorruptMessage { reason, .. }) if reason == "invalid checksum"
    ));
    // The rewritten block is sound: a server that stops at bad records reads all of it.
    rig.lose_index();
    assert_eq!(rig.all(), found);
    assert_eq!(rig.state().lost, None);
}

#[test]
fn damage_found_while_running_is_lost_once_and_stepped_over() {
    let (mut rig, all) = sample(|_| {});
    let record = stored_len(5, 0, 9) as usize;
    rig.disk.flip_bit(&rig.file("1.blk"), 3 * record + 25, 1);
    rig.open();
    assert_eq!(warnings(&rig), Vec::<String>::new());
    let before = rig.shape().0;
    rig.effects();
    let found = rig.all();
    assert_eq!(found.len(), all.len() - 1);
    assert_eq!(rig.shape().0, before - 1);
    let lost = rig.state().lost.unwrap().messages.unwrap();
    assert_eq!(lost.len(), 1);
    assert!(matches!(rig.store().load(seq(lost[0])), Err(StoreError::CorruptMessage { .. })));
    let effects = rig.effects();
    assert!(effects.iter().any(|e| matches!(e, StoreEffect::RemovedMany { messages: 1, .. })));
    assert!(effects.iter().any(|e| matches!(e, StoreEffect::Warn { .. })));
    let total: u64 = rig.store().subjects_totals(b"").unwrap().iter().map(|(_, total)| total).sum();
    assert_eq!(total, before - 1);
    rig.store().check_invariants();
}

#[test]
fn snapshot_check_counts_damage() {
    let (mut rig, _) = sample(|_| {});
    rig.disk.flip_bit(&rig.file("1.blk"), 130, 1);
    rig.open();
    let request = crate::store::SnapshotRequest {
        check_messages: true,
        ..crate::store::SnapshotRequest::default()
    };
    let error = rig.store().snapshot(request).err().unwrap();
    assert_eq!(error.to_string(), "snapshot check detected 1 bad messages");
    assert!(rig.store().snapshot(crate::store::SnapshotRequest::default()).is_ok());
}

#[test]
fn cut_last_block_keeps_whole_records_and_the_last_sequence() {
    let (rig, all) = sample(|_| {});
    let name = rig
        .files(".blk")
        .iter()
        .max_by_key(|n| n.len() * 100 + n.as_bytes()[0] as usize)
        .unwrap()
        .clone();
    let content = rig.read_file(&name);
    for cut in 0..content.len() {
        let mut copy = Rig::new();
        copy.config = rig.config.clone();
        copy.block_size = rig.block_size;
        copy.disk = rig.disk.fork(cut as u64);
        copy.write_file(&name, &content[..cut]);
        copy.open();
        let found = copy.all();
        let resurrected = [2, 11, 12, 19];
        for message in &found {
            assert!(all.contains(message) || resurrected.contains(&message.0), "cut {cut}");
        }
        assert_eq!(copy.shape().2, 30, "the index told the last sequence, cut {cut}");
        let lost = copy.state().lost.and_then(|lost| lost.messages).unwrap_or_default();
        for (number, ..) in &all {
            let there = found.iter().any(|(n, ..)| n == number);
            assert!(there || lost.contains(number), "cut {cut}: {number}");
        }
        assert_eq!(copy.put("foo", "x"), 31);
    }
}

#[test]
fn replicated_stream_rolls_back_to_what_its_blocks_hold() {
    for mode in [PersistMode::Default, PersistMode::Async] {
        let (mut rig, _) = sample(|config| {
            config.persist_mode = mode;
            config.num_replicas = if mode == PersistMode::Async { 1 } else { 3 };
        });
        let name = rig.files(".blk").into_iter().max_by_key(|n| n.len()).unwrap();
        let last_block = rig.files(".blk").len();
        let name = if rig.files(".blk").contains(&format!("{last_block}.blk")) {
            format!("{last_block}.blk")
        } else {
            name
        };
        rig.write_file(&name, b"");
        rig.open();
        assert!(rig.shape().2 < 30);
    }
}

#[test]
fn missing_block_is_reported_with_its_sequences() {
    let (mut rig, all) = sample(|_| {});
    rig.disk.remove_file(&rig.file("2.blk")).unwrap();
    rig.open();
    let found = rig.sequences();
    let missing: Vec<u64> =
        all.iter().map(|(n, ..)| *n).filter(|number| !found.contains(number)).collect();
    assert!(missing.len() > 3);
    assert_eq!(rig.state().lost.unwrap().messages, Some(missing));
    assert_eq!(rig.shape().2, 30);
    assert!(
        warnings(&rig)
            .contains(&"Stream state detected prior state, could not locate msg block 2".into())
    );
}

#[test]
fn dropped_blocks_are_not_taken_for_lost() {
    let mut rig = Rig::small(250, |config| config.max_msgs = 5);
    rig.put_many("foo", 20);
    rig.reopen();
    rig.put_many("foo", 20);
    rig.store().sync().unwrap();
    rig.close_roughly();
    rig.disk.power_loss();
    rig.open();
    assert_eq!(rig.shape(), (5, 36, 40), "{:?} {:?}", rig.state().lost, rig.opened);
    assert_eq!(rig.state().lost, None);
}

#[test]
fn garbage_block_is_set_aside_not_destroyed() {
    let (mut rig, all) = sample(|_| {});
    let garbage: Vec<u8> = (0..300u32).map(|n| (n * 7 % 251) as u8).collect();
    rig.write_file("2.blk", &garbage);
    rig.disk.remove_file(&rig.file("index.db")).unwrap();
    rig.open();
    assert!(rig.all().len() < all.len());
    assert_eq!(rig.read_file("2.blk.bad"), garbage);
    assert_eq!(rig.state().lost.unwrap().bytes, 300);
    rig.lose_index();
    assert_eq!(rig.read_file("2.blk.bad"), garbage);
}

#[test]
fn old_index_beside_newer_blocks_is_not_believed() {
    let (mut rig, _) = sample(|_| {});
    let old = rig.read_file("index.db");
    rig.open();
    rig.put_many("bar", 20);
    rig.remove(7);
    let expected = rig.all();
    let now = rig.time();
    rig.store().stop(now).unwrap();
    rig.close_roughly();
    rig.write_file("index.db", &old);
    rig.open();
    assert_eq!(rig.all(), expected);
}

#[test]
fn files_of_other_names_are_left_out() {
    let (mut rig, all) = sample(|_| {});
    let block = rig.read_file("1.blk");
    for name in ["10.blk.tmp", "10.blk.random", "x.blk", "-1.blk", "99999999999.blk", "7.new"] {
        rig.write_file(name, &block);
    }
    rig.write_file("1.idx", b"legacy");
    rig.write_file("1.fss", b"legacy");
    rig.disk.remove_file(&rig.file("index.db")).unwrap();
    rig.open();
    assert_eq!(rig.all(), all);
    assert_eq!(rig.files(".idx").len() + rig.files(".fss").len(), 0);
}

#[test]
fn empty_and_missing_directories_give_an_empty_store() {
    let mut rig = Rig::new();
    rig.close_roughly();
    rig.write_file("1.blk", b"");
    rig.write_file("2.blk", b"");
    rig.open();
    assert_eq!(rig.shape(), (0, 0, 0));
    assert_eq!(rig.put("foo", "x"), 1);
    rig.kill_after_sync();
    assert_eq!(rig.sequences(), [1]);
}

#[test]
fn purge_cut_short_is_finished_or_undone() {
    // Before the tombstone's block is in place the purge has not happened.
    let (mut rig, all) = sample(|_| {});
    let staging = Rig::dir().join("__new_msgs__");
    rig.disk.create_dir_all(&staging).unwrap();
    rig.disk.sync_all();
    rig.open();
    assert_eq!(rig.all(), all);
    assert!(!rig.disk.exists(&staging));
    // With it, and whatever else is there, it has.
    for old_is_moved in [false, true] {
        let (mut rig, _) = sample(|_| {});
        let last = {
            rig.open();
            rig.store().purge().unwrap();
            let name = rig.files(".blk").remove(0);
            (name.clone(), rig.read_file(&name))
        };
        let (mut rig, _) = sample(|_| {});
        rig.disk.create_dir_all(&staging).unwrap();
        let file = rig.disk.open(&staging.join(&last.0), OpenMode::Create).unwrap();
        file.write_at(&last.1, 0).unwrap();
        if old_is_moved {
            let msgs = Rig::dir().join("msgs");
            rig.disk.rename(&msgs, &Rig::dir().join("__msgs__")).unwrap();
        }
        rig.disk.sync_all();
        rig.open();
        assert_eq!(rig.shape(), (0, 31, 30));
        rig.tick_after(1.0);
        assert!(!rig.disk.exists(&staging));
        assert!(!rig.disk.exists(&Rig::dir().join("__msgs__")));
    }
}

#[test]
fn compressed_blocks_are_read_and_damage_costs_no_other_block() {
    let mut rig = Rig::small(4000, |config| config.compression = StoreCompression::S2);
    for n in 0..300 {
        rig.put("foo", &format!("payload that compresses well, well, well {n}"));
    }
    for _ in 0..20 {
        rig.tick_after(0.1);
    }
    rig.store().sync().unwrap();
    let compressed =
        rig.files(".blk").iter().filter(|n| rig.read_file(n).starts_with(b"cmp")).count();
    assert_eq!(compressed, rig.files(".blk").len() - 1, "all but the last are compressed");
    rig.remove(5);
    let all = rig.all();
    rig.lose_index();
    assert_eq!(rig.all(), all);
    rig.reopen();
    assert_eq!(rig.all(), all);
    rig.store().sync().unwrap();
    let in_block = |rig: &mut Rig| {
        rig.close_roughly();
        rig.disk.sync_all();
        let _ = rig.disk.remove_file(&rig.file("index.db"));
        rig.disk.flip_bit(&rig.file("2.blk"), 100, 2);
        rig.open();
        rig.sequences()
    };
    let left = in_block(&mut rig);
    let missing: Vec<u64> =
        all.iter().map(|(n, ..)| *n).filter(|number| !left.contains(number)).collect();
    assert!(!missing.is_empty());
    assert_eq!(missing.len() as u64, missing[missing.len() - 1] - missing[0] + 1);
    assert!(rig.state().lost.unwrap().bytes > 0);
    assert_eq!(rig.put("foo", "x"), 301);
}

#[test]
fn random_bytes_in_every_file_do_no_harm() {
    for seed in 0..200 {
        let mut random = TestRandom(seed);
        let (mut rig, all) = sample(|_| {});
        let names: Vec<String> =
            rig.files(".blk").into_iter().chain(["index.db".to_owned()]).collect();
        for _ in 0..1 + random.below(4) {
            let name = &names[random.below(names.len() as u64) as usize];
            let mut content = rig.read_file(name);
            let at = random.below(content.len() as u64 + 1) as usize;
            let len = random.below(40) as usize;
            let mut noise = vec![0; len];
            random.fill(&mut noise);
            match random.below(3) {
                0 => content.truncate(at),
                1 => {
                    content.splice(at..at, noise);
                }
                _ => {
                    let end = (at + len).min(content.len());
                    content.splice(at..end, noise);
                }
            }
            rig.write_file(name, &content);
        }
        rig.open();
        let found = rig.all();
        for message in &found {
            let border = all.iter().any(|(n, s, _, p)| {
                *n == message.0 && format!("{s}{p}") == format!("{}{}", message.1, message.3)
            });
            assert!(border || [2, 11, 12, 19].contains(&message.0), "seed {seed}: {message:?}");
        }
        let last = rig.shape().2;
        assert_eq!(rig.put("foo", "x"), last + 1, "seed {seed}");
        let expected = without_removed(rig.all());
        rig.lose_index();
        assert_eq!(without_removed(rig.all()), expected, "seed {seed}");
    }
}

/// No store writes its files so. The message was there again at the second opening.
#[test]
fn a_tombstone_in_front_of_its_message_removes_it_for_good() {
    let mut rig = Rig::new();
    let now = rig.time();
    rig.store().stop(now).unwrap();
    rig.close_roughly();
    let _ = rig.disk.remove_file(&rig.file("index.db"));
    let name = rig.config.name.clone();
    let mut message = NewRecord::skip(1, 7);
    (message.kind, message.subject, message.payload) = (RecordKind::Message, b"foo", b"gone");
    for (number, record) in [(1, NewRecord::tombstone(1, 7)), (2, message)] {
        let mut data = Vec::new();
        record.encode(&mut data, &NamedHash::for_block(&name, number)).unwrap();
        rig.write_file(&format!("{number}.blk"), &data);
    }
    for _ in 0..3 {
        rig.open();
        assert_eq!(rig.all(), []);
        rig.store().sync().unwrap();
        rig.close_roughly();
        let _ = rig.disk.remove_file(&rig.file("index.db"));
    }
}
