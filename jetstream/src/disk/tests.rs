use super::*;

fn dir() -> PathBuf {
    PathBuf::from("/store")
}

fn sim_with_file(seed: u64, content: &[u8]) -> (SimDisk, PathBuf) {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(&dir()).unwrap();
    let path = dir().join("1.blk");
    disk.open(&path, OpenMode::Create).unwrap().write_at(content, 0).unwrap();
    disk.sync_all();
    (disk, path)
}

fn behaves_as_a_file_system(disk: &dyn Disk, root: &Path) {
    let dir = root.join("msgs");
    disk.create_dir_all(&dir).unwrap();
    disk.create_dir_all(&dir).unwrap();
    let path = dir.join("1.blk");
    assert_eq!(disk.open(&path, OpenMode::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.open(&path, OpenMode::ReadWrite).unwrap_err().kind(), io::ErrorKind::NotFound);
    let file = disk.open(&path, OpenMode::Create).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(b"hello world", 0).unwrap();
    file.write_at(b"W", 6).unwrap();
    file.sync_data().unwrap();
    let mut buf = [0; 8];
    assert_eq!(file.read_at(&mut buf, 6).unwrap(), 5);
    assert_eq!(&buf[..5], b"World");
    assert_eq!(file.read_at(&mut buf, 100).unwrap(), 0);
    file.set_len(5).unwrap();
    assert_eq!(file.len().unwrap(), 5);
    assert_eq!(disk.read(&path).unwrap(), b"hello");
    disk.write_atomic(&path, b"replaced", Durability::Synced).unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"replaced");
    assert!(!disk.exists(&staging_path(&path)));
    assert_eq!(disk.metadata(&path).unwrap(), Metadata { len: 8, is_dir: false });
    disk.open(&path, OpenMode::CreateTruncate).unwrap();
    assert_eq!(disk.metadata(&path).unwrap().len, 0);
    let other = dir.join("a");
    disk.rename(&path, &other).unwrap();
    assert!(!disk.exists(&path));
    let names: Vec<String> = disk.list(&dir).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["a"]);
    assert!(remove_file_if_exists(disk, &other).unwrap());
    assert!(!remove_file_if_exists(disk, &other).unwrap());
    disk.open(&other, OpenMode::Create).unwrap();
    let moved = root.join("__msgs__");
    disk.rename(&dir, &moved).unwrap();
    assert!(disk.exists(&moved.join("a")));
    disk.sync_dir(root).unwrap();
    assert!(remove_dir_if_exists(disk, &moved).unwrap());
    assert!(!remove_dir_if_exists(disk, &moved).unwrap());
    assert!(!disk.exists(&moved.join("a")));
}

#[test]
fn real_and_simulated_disks_behave_alike() {
    let root = tempfile::tempdir().unwrap();
    behaves_as_a_file_system(&RealDisk, root.path());
    let sim = SimDisk::new(1);
    sim.create_dir_all(&dir()).unwrap();
    behaves_as_a_file_system(&sim, &dir());
}

#[test]
fn synced_bytes_survive_a_power_loss_for_every_seed() {
    for seed in 0..64 {
        let (disk, path) = sim_with_file(seed, b"");
        let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(b"kept", 0).unwrap();
        file.sync_data().unwrap();
        file.write_at(b"lost?", 4).unwrap();
        disk.power_loss();
        let content = disk.read(&path).unwrap();
        assert!(content.starts_with(b"kept"), "seed {seed}: {content:?}");
        assert!(b"keptlost?".starts_with(&content[..]), "seed {seed}: {content:?}");
        assert!(file.read_at(&mut [0], 0).is_err());
    }
}

#[test]
fn unsynced_bytes_are_lost_torn_and_kept_over_the_seeds() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..256 {
        let (disk, path) = sim_with_file(seed, b"");
        let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(b"abcd", 0).unwrap();
        disk.power_loss();
        lengths.insert(disk.read(&path).unwrap().len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn new_names_need_a_directory_sync_to_be_sure() {
    let mut seen = [false; 2];
    for seed in 0..64 {
        let (disk, _) = sim_with_file(seed, b"");
        let fresh = dir().join("2.blk");
        let file = disk.open(&fresh, OpenMode::Create).unwrap();
        file.write_at(b"x", 0).unwrap();
        file.sync_data().unwrap();
        disk.power_loss();
        seen[usize::from(disk.exists(&fresh))] = true;
        let file = disk.open(&fresh, OpenMode::Create).unwrap();
        file.write_at(b"x", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(&dir()).unwrap();
        disk.power_loss();
        assert_eq!(disk.read(&fresh).unwrap(), b"x");
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn atomic_write_leaves_old_or_new_content_at_every_crash_point() {
    for seed in 0..32 {
        for call in 0..8 {
            let (disk, path) = sim_with_file(seed, b"old");
            disk.set_fault(disk.calls() + call, Fault::Crash);
            let written = disk.write_atomic(&path, b"newer", Durability::Synced);
            disk.power_loss();
            let content = disk.read(&path).unwrap();
            if written.is_ok() {
                assert_eq!(content, b"newer", "seed {seed} call {call}");
            } else {
                assert!(content == b"old" || content == b"newer", "seed {seed} call {call}");
            }
        }
    }
}

#[test]
fn full_disk_refuses_growth_and_recovers_when_space_is_freed() {
    let (disk, path) = sim_with_file(3, b"12345678");
    disk.set_capacity(Some(10));
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    let error = file.write_at(b"abcd", 8).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.write_at(b"87654321", 0).unwrap();
    disk.set_capacity(None);
    file.write_at(b"abcd", 8).unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"87654321abcd");
}

#[test]
fn faults_happen_at_their_call_and_no_other() {
    let (disk, path) = sim_with_file(5, b"");
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    disk.set_fault(disk.calls() + 1, Fault::Fail);
    file.write_at(b"a", 0).unwrap();
    assert!(file.write_at(b"b", 1).is_err());
    file.write_at(b"c", 1).unwrap();
    disk.set_fault(disk.calls(), Fault::FailFromNow);
    assert!(file.sync_data().is_err());
    assert!(file.write_at(b"d", 2).is_err());
    disk.clear_faults();
    file.write_at(b"d", 2).unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"acd");
    let before = disk.sync_counts();
    file.sync_data().unwrap();
    disk.sync_dir(&dir()).unwrap();
    let after = disk.sync_counts();
    assert_eq!((after.files - before.files, after.directories - before.directories), (1, 1));
}

#[test]
fn flipped_bit_is_seen_and_stays() {
    let (disk, path) = sim_with_file(5, b"aaaa");
    assert!(disk.flip_bit(&path, 2, 1));
    assert!(!disk.flip_bit(&path, 4, 1));
    disk.power_loss();
    assert_eq!(disk.read(&path).unwrap(), b"aaca");
    let copy = disk.fork(9);
    copy.open(&path, OpenMode::ReadWrite).unwrap().write_at(b"z", 0).unwrap();
    assert_eq!(disk.read(&path).unwrap(), b"aaca");
}
