//! Opening errors, meta files and configuration updates.

use super::*;
use crate::config::{StorageType, StreamMeta};
use crate::error::StoreError;
use crate::filestore::record::NamedHash;

#[test]
fn wrong_configurations_are_refused_with_their_texts() {
    let mut rig = Rig::new();
    let text = |rig: &mut Rig| rig.try_open().unwrap_err().to_string();
    rig.config.name = String::new();
    assert_eq!(text(&mut rig), "name required");
    rig.config.name = "S".into();
    rig.config.storage = StorageType::Memory;
    assert_eq!(text(&mut rig), "fileStore requires file storage type in config");
    rig.config.storage = StorageType::File;
    rig.block_size = (8 << 20) + 1;
    assert_eq!(text(&mut rig), "filestore max block size is 8.00 MB");
    let mut rig = Rig::new();
    rig.disk = SimDisk::new(1);
    rig.disk.create_dir_all(&PathBuf::from("/jetstream")).unwrap();
    rig.disk.open(&Rig::dir(), OpenMode::Create).unwrap();
    assert_eq!(text(&mut rig), "storage directory is not a directory");
}

#[test]
fn meta_files_hold_the_configuration_and_its_sum() {
    let mut rig = Rig::with(|config| config.max_msgs = 7);
    let meta = rig.disk.read(&Rig::dir().join("meta.inf")).unwrap();
    assert!(meta.starts_with(b"{\"Created\":\"2024-01-01T00:00:00Z\",\"name\":\"S\""));
    let sum = rig.disk.read(&Rig::dir().join("meta.sum")).unwrap();
    let expected: String =
        NamedHash::new("S").sum(&meta).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sum, expected.as_bytes());
    let read: StreamMeta = serde_json::from_slice(&meta).unwrap();
    assert_eq!(read.config, rig.config);
    let mut config = rig.config.clone();
    config.description = "changed".into();
    let now = rig.time();
    rig.store().update_config(config.clone(), now).unwrap();
    let meta = rig.disk.read(&Rig::dir().join("meta.inf")).unwrap();
    let read: StreamMeta = serde_json::from_slice(&meta).unwrap();
    assert_eq!(read.config, config);
    assert_eq!(rig.store().config(), &config);
}

#[test]
fn update_enforces_lowered_limits() {
    let mut rig = Rig::small(250, |_| {});
    for n in 0..30 {
        rig.put(&format!("foo.{}", n % 3), "payload");
    }
    let now = rig.time();
    let mut config = rig.config.clone();
    config.max_msgs = 20;
    rig.store().update_config(config.clone(), now).unwrap();
    assert_eq!(rig.shape(), (20, 11, 30));
    config.max_msgs_per_subject = 2;
    rig.store().update_config(config.clone(), now).unwrap();
    assert_eq!(rig.sequences(), [25, 26, 27, 28, 29, 30]);
    config.max_bytes = 42 * 3;
    rig.store().update_config(config.clone(), now).unwrap();
    assert_eq!(rig.sequences(), [28, 29, 30]);
    config.max_msgs_per_subject = -5;
    rig.store().update_config(config, now).unwrap();
    assert_eq!(rig.store().config().max_msgs_per_subject, -1);
    rig.store().check_invariants();
}

#[test]
fn update_of_name_or_storage_is_refused() {
    let mut rig = Rig::new();
    let now = rig.time();
    let mut config = rig.config.clone();
    config.storage = StorageType::Memory;
    assert_eq!(
        rig.store().update_config(config.clone(), now),
        Err(StoreError::FileStorageRequired)
    );
    config.storage = StorageType::File;
    config.name = String::new();
    assert_eq!(rig.store().update_config(config, now), Err(StoreError::NameRequired));
}

#[test]
fn failed_meta_write_keeps_the_old_configuration() {
    let mut rig = Rig::new();
    let now = rig.time();
    let old = rig.config.clone();
    let mut config = old.clone();
    config.max_msgs = 3;
    rig.disk.set_capacity(Some(0));
    assert!(matches!(rig.store().update_config(config, now), Err(StoreError::NoSpace(_))));
    assert_eq!(rig.store().config(), &old);
}

#[test]
fn first_sequence_of_the_configuration_is_kept() {
    let mut rig = Rig::with(|config| config.first_seq = 1000);
    assert_eq!(rig.shape(), (0, 1000, 999));
    rig.lose_index();
    assert_eq!(rig.shape(), (0, 1000, 999));
    assert!(rig.state().last_time.is_zero());
    assert_eq!(rig.put("foo", "x"), 1000);
    rig.reopen();
    assert_eq!(rig.shape(), (1, 1000, 1000));
}

#[test]
fn consumers_are_counted_in_the_state() {
    let mut rig = Rig::new();
    rig.store().set_consumers(3);
    assert_eq!(rig.state().consumers, 3);
}
