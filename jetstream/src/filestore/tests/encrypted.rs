//! Encryption at rest.

use super::*;
use crate::config::StoreCompression;
use crate::error::StoreError;
use crate::filestore::encryption::Cipher;

fn rig(cipher: Cipher, edit: impl FnOnce(&mut StreamConfig)) -> Rig {
    let mut rig = Rig::with(edit);
    rig.close_roughly();
    rig.disk = SimDisk::new(7);
    rig.block_size = 500;
    rig.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", cipher));
    rig.open();
    rig
}

fn fill(rig: &mut Rig) -> Vec<(u64, String, String, String)> {
    for n in 0..40 {
        rig.put(&format!("visible.{}", n % 3), &format!("readable payload {n}"));
        if n % 10 == 0 {
            rig.store().sync().unwrap();
        }
    }
    rig.remove(7);
    rig.all()
}

fn assert_nothing_readable(rig: &Rig) {
    for suffix in [".blk", "index.db"] {
        for name in rig.files(suffix) {
            let content = rig.read_file(&name);
            for plain in [&b"visible"[..], b"readable"] {
                assert!(!content.windows(plain.len()).any(|w| w == plain), "{name}");
            }
        }
    }
    let meta = rig.disk.read(&Rig::dir().join("meta.inf")).unwrap();
    assert!(!meta.windows(4).any(|w| w == b"name"));
}

#[test]
fn nothing_is_readable_without_the_key() {
    for cipher in [Cipher::ChaCha, Cipher::Aes] {
        for compression in [StoreCompression::None, StoreCompression::S2] {
            let mut rig = rig(cipher, |config| config.compression = compression);
            let all = fill(&mut rig);
            for _ in 0..10 {
                rig.tick_after(0.1);
            }
            rig.reopen();
            assert_eq!(rig.all(), all);
            rig.lose_index();
            assert_eq!(rig.all(), all);
            let now = rig.time();
            rig.store().stop(now).unwrap();
            assert_nothing_readable(&rig);
            assert_eq!(rig.files(".key").len(), rig.files(".blk").len());
            rig.close_roughly();
            rig.encryption = None;
            assert_eq!(rig.try_open().unwrap_err().0, StoreError::NoMainKey);
            rig.encryption = Some(EncryptionConfig::new("wrong", "$G", cipher));
            assert_eq!(rig.try_open().unwrap_err().0, StoreError::UnableToRecoverKeys);
        }
    }
}

#[test]
fn appending_after_reopening_continues_the_keystream() {
    let mut rig = rig(Cipher::ChaCha, |_| {});
    for n in 0..30 {
        rig.put("foo", &format!("payload {n}"));
        rig.reopen();
    }
    rig.lose_index();
    assert_eq!(rig.sequences(), (1..=30).collect::<Vec<_>>());
}

#[test]
fn cipher_and_key_may_change_between_openings() {
    for (from, to) in [(Cipher::ChaCha, Cipher::Aes), (Cipher::Aes, Cipher::ChaCha)] {
        let mut rig = rig(from, |_| {});
        let all = fill(&mut rig);
        let now = rig.time();
        rig.store().stop(now).unwrap();
        rig.close_roughly();
        rig.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", to));
        rig.open();
        assert_eq!(rig.all(), all);
        rig.reopen();
        assert_eq!(rig.all(), all);
        rig.store().stop(now).unwrap();
        rig.close_roughly();
        let rotated = EncryptionConfig::new("another", "$G", to).with_previous_key("s3cr3t");
        rig.encryption = Some(rotated);
        rig.open();
        assert_eq!(rig.all(), all);
        rig.store().stop(now).unwrap();
        rig.close_roughly();
        rig.encryption = Some(EncryptionConfig::new("another", "$G", to));
        rig.open();
        assert_eq!(rig.all(), all, "the old key is not needed any more");
        rig.lose_index();
        assert_eq!(rig.all(), all);
    }
}

#[test]
fn plain_store_becomes_encrypted() {
    let mut rig = Rig::small(500, |config| config.compression = StoreCompression::S2);
    let all = fill(&mut rig);
    for _ in 0..10 {
        rig.tick_after(0.1);
    }
    let now = rig.time();
    rig.store().stop(now).unwrap();
    rig.close_roughly();
    rig.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", Cipher::Aes));
    rig.open();
    assert_eq!(rig.all(), all);
    rig.reopen();
    assert_eq!(rig.all(), all);
    rig.store().stop(now).unwrap();
    assert_nothing_readable(&rig);
}

#[test]
fn conversion_survives_a_crash_at_every_call() {
    for (old, new) in [(None, Cipher::ChaCha), (Some(Cipher::ChaCha), Cipher::Aes)] {
        let mut base = match old {
            Some(cipher) => rig(cipher, |_| {}),
            None => Rig::small(500, |_| {}),
        };
        let all = fill(&mut base);
        let now = base.time();
        base.store().stop(now).unwrap();
        base.close_roughly();
        base.disk.sync_all();
        let mut call = 0;
        loop {
            let mut copy = Rig::new();
            copy.config = base.config.clone();
            copy.block_size = base.block_size;
            copy.disk = base.disk.fork(call);
            copy.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", new));
            copy.disk.set_fault(call, crate::disk::Fault::Crash);
            let opened = copy.try_open();
            let crashed = copy.disk.is_crashed();
            copy.close_roughly();
            copy.disk.power_loss();
            copy.open();
            assert_eq!(copy.all(), all, "{old:?} call {call}");
            if !crashed {
                opened.unwrap();
                break;
            }
            call += 1;
        }
        assert!(call > 10);
    }
}

#[test]
fn block_whose_key_is_damaged_is_set_aside_and_reported() {
    let mut rig = rig(Cipher::ChaCha, |_| {});
    let all = fill(&mut rig);
    rig.store().sync().unwrap();
    rig.close_roughly();
    rig.disk.sync_all();
    rig.disk.flip_bit(&rig.file("2.key"), 30, 1);
    rig.open();
    assert!(rig.all().len() < all.len());
    assert!(rig.state().lost.unwrap().bytes > 0);
    assert_eq!(rig.files(".bad"), ["2.blk.bad", "2.key.bad"]);
    assert_eq!(rig.put("foo", "x"), 41);
}

#[test]
fn erase_of_an_encrypted_message_is_a_removal() {
    let mut rig = rig(Cipher::Aes, |_| {});
    fill(&mut rig);
    assert!(rig.store().erase(seq(3), &mut TestRandom(1)).unwrap());
    let left = rig.sequences();
    assert!(!left.contains(&3));
    rig.lose_index();
    assert_eq!(rig.sequences(), left);
}
