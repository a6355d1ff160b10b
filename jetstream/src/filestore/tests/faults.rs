//! Failing and full disks.

use super::*;
use crate::disk::Fault;
use crate::error::StoreError;

#[test]
fn failed_write_is_remembered_and_reading_goes_on() {
    let mut rig = Rig::new();
    rig.put_many("foo", 5);
    rig.store().sync().unwrap();
    rig.put("foo", "unwritten");
    rig.disk.set_fault(rig.disk.calls(), Fault::Fail);
    let error = rig.store().sync().unwrap_err();
    assert!(matches!(error, StoreError::Io(_)));
    assert_eq!(rig.try_put("foo", "", "x"), Err(error.clone()));
    assert_eq!(rig.store().remove(seq(1)), Err(error.clone()));
    assert_eq!(rig.store().purge(), Err(error.clone()));
    assert_eq!(rig.store().sync(), Err(error));
    assert_eq!(rig.store().load(seq(3)).unwrap().payload(), b"payload");
    let warned = rig.effects().into_iter().any(
        |e| matches!(e, StoreEffect::Warn { text } if text.starts_with("Critical write error")),
    );
    assert!(warned);
    rig.close_roughly();
    rig.disk.power_loss();
    rig.open();
    assert!(rig.shape().0 >= 5);
    assert_eq!(rig.store().durable_sequence().get(), rig.shape().2);
}

#[test]
fn failed_sync_is_never_forgotten() {
    // After a failed fsync the system may drop the pages and let the next one succeed; taking
    // that for durability is how acknowledged data gets lost.
    let mut rig = Rig::new();
    rig.put("foo", "x");
    rig.disk.set_fault(rig.disk.calls() + 1, Fault::Fail);
    assert!(rig.store().sync().is_err());
    assert!(rig.store().sync().is_err());
    assert_eq!(rig.store().durable_sequence(), seq(0));
}

#[test]
fn full_disk_is_told_as_such_and_costs_nothing_durable() {
    let mut rig = Rig::small(500, |_| {});
    rig.put_many("foo", 20);
    rig.store().sync().unwrap();
    rig.disk.set_capacity(Some(2000));
    let mut failed = None;
    for _ in 0..100 {
        if let Err(error) = rig.try_put("foo", "", "payload") {
            failed = Some(error);
            break;
        }
        if let Err(error) = rig.store().sync() {
            failed = Some(error);
            break;
        }
    }
    let Some(StoreError::NoSpace(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("no space left"), "{text}");
    let durable = rig.store().durable_sequence().get();
    rig.close_roughly();
    rig.open();
    assert!(rig.shape().2 >= durable);
    assert!(rig.sequences().len() as u64 >= durable);
    rig.close_roughly();
    rig.disk.set_capacity(None);
    rig.open();
    let last = rig.shape().2;
    assert_eq!(rig.put("foo", "x"), last + 1);
}

#[test]
fn read_errors_are_passed_on_and_not_remembered() {
    let mut rig = Rig::new();
    rig.put_many("foo", 3);
    rig.reopen();
    let moved = Rig::dir().join("away");
    rig.disk.rename(&rig.file("1.blk"), &moved).unwrap();
    rig.disk.create_dir_all(&rig.file("1.blk")).unwrap();
    assert!(matches!(rig.store().load(seq(1)), Err(StoreError::Io(_))));
    rig.disk.remove_dir_all(&rig.file("1.blk")).unwrap();
    rig.disk.rename(&moved, &rig.file("1.blk")).unwrap();
    assert!(rig.store().load(seq(1)).is_ok());
    assert_eq!(rig.put("foo", "x"), 4);
}

#[test]
fn every_single_failing_call_leaves_a_store_that_opens() {
    let mut call = 0;
    loop {
        let mut rig = Rig::small(300, |config| config.max_msgs = 12);
        rig.put_many("foo", 4);
        rig.store().sync().unwrap();
        rig.disk.set_fault(rig.disk.calls() + call, Fault::Fail);
        let mut durable = 4;
        for n in 0..30u64 {
            if rig.try_put("foo", "", "payload").is_err() {
                break;
            }
            if n % 7 == 0 {
                let _ = rig.store().remove(seq(n));
            }
            match rig.store().sync() {
                Ok(last) => durable = last.get(),
                Err(_) => break,
            }
        }
        let reached = rig.store().failed.is_some();
        rig.close_roughly();
        rig.disk.power_loss();
        rig.open();
        assert!(rig.shape().2 >= durable, "call {call}");
        assert_eq!(rig.state().lost.and_then(|lost| lost.messages), None, "call {call}");
        let last = rig.shape().2;
        assert_eq!(rig.put("foo", "x"), last + 1);
        if !reached {
            break;
        }
        call += 1;
    }
    assert!(call > 20, "{call}");
}
