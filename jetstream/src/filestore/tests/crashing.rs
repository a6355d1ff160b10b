//! Power lost in the middle of one call: what a call has not finished must not undo what earlier
//! ones made durable.

use super::*;
use crate::disk::Fault;

/// Lets `call` lose the power at each of its disk calls, several times each with a different part
/// of what was unsynced kept, and gives the recovered store to `check`.
fn crash_everywhere(
    prepare: impl Fn(&mut Rig),
    call: impl Fn(&mut Rig) -> crate::error::StoreResult<()>,
    check: impl Fn(&mut Rig, &str),
) {
    for chance in 0..12 {
        let mut number = 0;
        loop {
            let mut rig = Rig::small(250, |_| {});
            rig.close_roughly();
            rig.disk = SimDisk::new(chance);
            rig.open();
            prepare(&mut rig);
            rig.store().sync().unwrap();
            rig.disk.set_fault(rig.disk.calls() + number, Fault::Crash);
            let done = call(&mut rig).is_ok();
            rig.close_roughly();
            rig.disk.power_loss();
            rig.open();
            check(&mut rig, &format!("crash at call {number}, chance {chance}"));
            if done {
                assert!(number > 0, "the call changed nothing");
                break;
            }
            number += 1;
        }
    }
}

#[test]
fn truncate_to_a_skipped_sequence_never_falls_below_it() {
    // The sequence a log is cut at was skipped: no message tells it. The cut takes the skip away,
    // so a tombstone for the sequence has to be durable before.
    crash_everywhere(
        |rig| {
            rig.put_many("foo", 2);
            let now = rig.time();
            rig.store().skip_many(seq(0), 4, now).unwrap();
            rig.put_many("foo", 9);
        },
        |rig| {
            let now = rig.time();
            rig.store().truncate(seq(4), now)
        },
        |rig, context| {
            let (_, _, last) = rig.shape();
            assert!((4..=15).contains(&last), "{context}: last sequence {last}");
            assert_eq!(rig.sequences()[..2], [1, 2], "{context}");
        },
    );
}

#[test]
fn truncate_cut_short_brings_no_removed_message_back() {
    // The tombstones of 4 and 5 stand in blocks that a truncate removes before it cuts the block
    // with their messages.
    crash_everywhere(
        |rig| {
            rig.put_many("foo", 12);
            rig.remove(2);
            rig.remove(4);
            rig.remove(5);
        },
        |rig| {
            let now = rig.time();
            rig.store().truncate(seq(3), now)
        },
        |rig, context| {
            let found = rig.sequences();
            let removed = |number: &u64| [2, 4, 5].contains(number);
            assert!(!found.iter().any(removed), "{context}: {found:?}");
            assert_eq!(found[..2], [1, 3], "{context}");
            let last = rig.shape().2;
            assert!((3..=12).contains(&last), "{context}: last sequence {last}");
        },
    );
}

#[test]
fn truncate_keeps_removals_whose_tombstones_fill_many_blocks() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 60);
    let removed: Vec<u64> = (2..50).filter(|number| number % 5 != 1).collect();
    for number in &removed {
        rig.remove(*number);
    }
    let now = rig.time();
    rig.store().truncate(seq(50), now).unwrap();
    let expected: Vec<u64> = (1..=50).filter(|number| !removed.contains(number)).collect();
    assert_eq!(rig.sequences(), expected);
    rig.lose_index();
    assert_eq!(rig.sequences(), expected);
    assert_eq!(rig.put("foo", "x"), 51);
}

#[test]
fn last_sequence_told_by_a_dropped_block_alone_is_told_again() {
    let mut rig = Rig::small(250, |_| {});
    rig.put_many("foo", 8);
    for number in 1..=8 {
        rig.remove(number);
    }
    rig.store().sync().unwrap();
    let number: u32 = rig
        .files(".blk")
        .iter()
        .map(|name| name.strip_suffix(".blk").unwrap().parse().unwrap())
        .max()
        .unwrap();
    // A block was started behind the tombstones, and a crash left nothing but its name.
    rig.close_roughly();
    rig.write_file(&format!("{}.blk", number + 1), b"");
    for _ in 0..3 {
        rig.open();
        assert_eq!(rig.shape(), (0, 9, 8));
        rig.lose_index();
        rig.close_roughly();
    }
    rig.open();
    assert_eq!(rig.put("foo", "x"), 9);
}

#[test]
fn displaced_message_of_a_dropped_block_stays_away_when_its_displacer_is_removed() {
    // The block with the older values was dropped, but its file is there until the next sync. The
    // tombstone of what displaced them must not get to the disk before the file is gone.
    for chance in 0..12 {
        let mut rig = Rig::small(250, |config| config.max_msgs_per_subject = 1);
        rig.close_roughly();
        rig.disk = SimDisk::new(chance);
        rig.open();
        rig.put("key", "an older value");
        rig.put("other", "keeps the block");
        rig.put("filler", &"x".repeat(150));
        let newest = rig.put("key", "the last value");
        rig.put("filler", "x");
        rig.store().sync().unwrap();
        rig.put("other", "lets the block go");
        assert!(!rig.store().doomed.is_empty(), "the first block is dropped");
        rig.remove(newest);
        rig.store().flush_last().unwrap();
        rig.close_roughly();
        rig.disk.power_loss();
        rig.open();
        let found = rig.all();
        assert!(
            !found.iter().any(|(_, _, _, payload)| payload == "an older value"),
            "chance {chance}: {found:?}"
        );
    }
}
