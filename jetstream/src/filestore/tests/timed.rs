//! Age, time to live, delete markers and schedules.

use super::*;

const SECOND: i64 = 1_000_000_000;

#[test]
fn messages_expire_by_age_and_the_deadline_says_when() {
    let mut rig = Rig::small(250, |config| config.max_age = 10 * SECOND);
    rig.put_many("foo", 10);
    rig.wait(5.0);
    rig.put_many("foo", 10);
    let due = rig.store().next_deadline().unwrap();
    assert!(due.nanos() <= rig.now + 10 * SECOND);
    rig.tick_after(4.0);
    assert_eq!(rig.shape(), (20, 1, 20));
    rig.tick_after(1.5);
    assert_eq!(rig.shape(), (10, 11, 20));
    let deadline = rig.store().expiry.deadline().unwrap();
    assert!(deadline > rig.now && deadline <= rig.now + 5 * SECOND);
    rig.tick_after(5.0);
    assert_eq!(rig.shape(), (0, 21, 20));
    rig.lose_index();
    assert_eq!(rig.shape(), (0, 21, 20));
}

#[test]
fn messages_expire_while_the_store_is_closed() {
    let mut rig = Rig::small(250, |config| config.max_age = 10 * SECOND);
    rig.put_many("foo", 10);
    rig.wait(8.0);
    rig.put_many("bar", 5);
    let now = rig.time();
    rig.store().stop(now).unwrap();
    rig.close_roughly();
    rig.wait(5.0);
    rig.open();
    assert_eq!(rig.shape(), (5, 11, 15));
    assert_eq!(rig.state().num_subjects, 1);
    rig.close_roughly();
    rig.wait(100.0);
    rig.open();
    assert_eq!(rig.shape(), (0, 16, 15));
    rig.reopen();
    assert_eq!(rig.shape(), (0, 16, 15));
}

#[test]
fn never_outlives_max_age_also_over_a_restart() {
    let mut rig = Rig::with(|config| {
        config.max_age = SECOND;
        config.allow_msg_ttl = true;
    });
    rig.put("foo", "x");
    rig.put_with("bar", "NATS/1.0\r\nNats-TTL: never\r\n\r\n", "x");
    rig.put("foo", "x");
    rig.tick_after(2.0);
    assert_eq!(rig.sequences(), [2]);
    rig.lose_index();
    assert_eq!(rig.sequences(), [2]);
}

#[test]
fn time_to_live_removes_with_a_tombstone() {
    let mut rig = Rig::small(400, |config| config.allow_msg_ttl = true);
    for n in 1..=10 {
        rig.put_with("foo", &format!("NATS/1.0\r\nNats-TTL: {n}s\r\n\r\n"), "x");
        rig.put("foo", "y");
    }
    for n in 1..=5 {
        rig.tick_after(1.0);
        assert_eq!(rig.shape().0, 20 - n, "after {n} seconds");
    }
    let left = rig.sequences();
    rig.lose_index();
    assert_eq!(rig.sequences(), left);
    rig.reopen();
    rig.tick_after(1.0);
    assert_eq!(rig.shape().0, 14);
    rig.tick_after(100.0);
    assert_eq!(rig.shape().0, 10);
}

#[test]
fn time_to_live_is_recovered_without_its_file_and_from_a_damaged_one() {
    let mut rig = Rig::small(400, |config| config.allow_msg_ttl = true);
    for n in 1..=8 {
        rig.put_with("foo", &format!("NATS/1.0\r\nNats-TTL: {}\r\n\r\n", 2 * n), "x");
    }
    for how in 0..3 {
        let now = rig.time();
        rig.store().stop(now).unwrap();
        rig.close_roughly();
        match how {
            0 => rig.disk.remove_file(&rig.file("thw.db")).unwrap(),
            1 => rig.write_file("thw.db", b"\x01garbage"),
            _ => {
                rig.disk.remove_file(&rig.file("index.db")).unwrap();
            }
        }
        rig.open();
        let before = rig.shape().0;
        rig.tick_after(2.0);
        assert_eq!(rig.shape().0, before - 1, "{how}");
    }
}

#[test]
fn enabling_time_to_live_takes_up_stored_headers_and_disabling_drops_them() {
    let mut rig = Rig::new();
    rig.put_with("foo", "NATS/1.0\r\nNats-TTL: 1s\r\n\r\n", "x");
    rig.tick_after(2.0);
    assert_eq!(rig.shape().0, 1);
    let mut config = rig.config.clone();
    config.allow_msg_ttl = true;
    let now = rig.time();
    rig.store().update_config(config.clone(), now).unwrap();
    assert_eq!(rig.shape().0, 0, "it was overdue");
    rig.put_with("foo", "NATS/1.0\r\nNats-TTL: 1s\r\n\r\n", "x");
    config.allow_msg_ttl = false;
    rig.store().update_config(config, now).unwrap();
    rig.tick_after(5.0);
    assert_eq!(rig.shape().0, 1);
}

#[test]
fn last_message_of_a_subject_becomes_a_marker() {
    let mut rig = Rig::with(|config| {
        config.max_age = SECOND;
        config.allow_msg_ttl = true;
        config.subject_delete_marker_ttl = 60 * SECOND;
        config.allow_rollup_hdrs = true;
    });
    rig.put("foo", "1");
    rig.put("foo", "2");
    rig.put("bar", "3");
    rig.effects();
    rig.tick_after(1.5);
    let effects = rig.effects();
    let marker =
        b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1m0s\r\nNats-Rollup: sub\r\n\r\n";
    let mut proposed = Vec::new();
    let mut published = Vec::new();
    for effect in effects {
        match effect {
            StoreEffect::ProposeRemoval { sequence } => proposed.push(sequence.get()),
            StoreEffect::Publish { subject, header, payload } => {
                assert_eq!(header.as_ref(), marker);
                assert!(payload.is_empty());
                published.push(String::from_utf8(subject.to_vec()).unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(proposed, [1]);
    assert_eq!(published, ["foo", "bar"]);
    assert_eq!(rig.shape().0, 3, "the stream removes, not the store");
    rig.tick_after(0.5);
    assert!(rig.effects().is_empty(), "not proposed again so soon");
    rig.remove(1);
    rig.effects();
    rig.tick_after(2.5);
    let again = rig.effects();
    assert_eq!(again.len(), 2, "{again:?}");
    rig.store().reset_proposals();
    rig.reopen();
    assert_eq!(rig.shape().0, 2, "nothing expires at open");
}

#[test]
fn markers_themselves_are_removed_without_a_marker() {
    let mut rig = Rig::with(|config| {
        config.allow_msg_ttl = true;
        config.subject_delete_marker_ttl = SECOND;
    });
    let marker = "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 1s\r\n\r\n";
    rig.put_with("foo", marker, "");
    rig.effects();
    rig.tick_after(2.0);
    assert_eq!(rig.effects(), [StoreEffect::ProposeRemoval { sequence: seq(1) }]);
}

#[test]
fn schedules_fire_and_are_recovered() {
    for lose in [false, true] {
        let mut rig = Rig::with(|config| config.allow_msg_schedules = true);
        let header = "NATS/1.0\r\nNats-Schedule: @every 10s\r\nNats-Schedule-Target: out\r\n\r\n";
        rig.put_with("sched.1", header, "body");
        rig.put("other", "x");
        if lose {
            rig.lose_index();
        } else {
            rig.reopen();
        }
        rig.effects();
        rig.tick_after(12.0);
        let fired = rig.effects();
        match fired.as_slice() {
            [StoreEffect::Publish { subject, payload, .. }] => {
                assert_eq!((subject.as_ref(), payload.as_ref()), (&b"out"[..], &b"body"[..]));
            }
            other => panic!("{other:?}"),
        }
        rig.remove(1);
        rig.effects();
        rig.tick_after(30.0);
        assert!(rig.effects().is_empty());
    }
}

#[test]
fn idle_blocks_leave_memory_and_come_back() {
    let mut rig = Rig::small(300, |_| {});
    rig.put_many("foo", 50);
    rig.store().sync().unwrap();
    rig.all();
    let held =
        |rig: &mut Rig| rig.store().blocks.iter().map(|block| block.loaded_bytes()).sum::<usize>();
    assert!(held(&mut rig) > 0);
    rig.tick_after(5.0);
    rig.tick_after(11.0);
    rig.tick_after(11.0);
    assert_eq!(held(&mut rig), 0);
    rig.put("foo", "after");
    assert_eq!(rig.all().len(), 51);
}

#[test]
fn index_is_written_in_time_and_trusted_after_a_kill() {
    let mut rig = Rig::new();
    rig.put_many("foo", 10);
    rig.tick_after(1.0);
    rig.tick_after(121.0);
    assert_eq!(rig.files("index.db"), ["index.db"]);
    rig.close_roughly();
    rig.open();
    assert!(rig.opened.iter().all(|effect| !matches!(effect, StoreEffect::Warn { .. })));
    assert_eq!(rig.shape(), (10, 1, 10));
}
