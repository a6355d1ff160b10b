//! Store directories written by the Go server open here with the same content, and the
//! directories written here hold what `state.json` beside them says.
//!
//! The same for snapshots. The directories under `tests/data` are described in the READMEs there.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jetstream::config::{StorageType, StoreCompression, StreamConfig};
use jetstream::consumer::codec;
use jetstream::disk::{RealDisk, SimDisk};
use jetstream::filestore::encryption::{Cipher, EncryptionConfig};
use jetstream::filestore::meta_file::{MetaFile, read_consumer_meta, read_stream_meta};
use jetstream::filestore::restore::{Restore, RestoreError};
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::filter::SubjectFilter;
use jetstream::store::{
    ConsumerSnapshot, DiscardNewCheck, NewMessage, RandomSource, SnapshotRequest, Store,
};
use jetstream::time::{DateTime, Timestamp};
use jetstream::types::{MessageTtl, StreamSequence};
use serde::{Deserialize, Serialize};

const KINDS: [&str; 7] = ["plain", "s2", "chacha", "aes", "aes-s2", "ttl", "kv"];
const NOW: i64 = 1_700_000_200_000_000_000;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    seq: u64,
    subject: String,
    header: String,
    payload: String,
    ts: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    msgs: u64,
    bytes: u64,
    first: u64,
    last: u64,
    last_ts: i64,
    deleted: Vec<u64>,
    messages: Vec<Message>,
}

struct Counter(u8);

impl RandomSource for Counter {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_mul(73).wrapping_add(41);
            *byte = self.0;
        }
    }
}

fn open(dir: &Path, kind: &str) -> FileStore {
    let created = DateTime::parse("2024-01-01T00:00:00Z").unwrap();
    let mut options = FileStoreOptions::new(Arc::new(RealDisk), dir, created, Box::new(Counter(1)));
    options.block_size = 1000;
    let mut config = StreamConfig {
        name: "S".into(),
        subjects: vec!["foo.>".into(), "bar".into()],
        storage: StorageType::File,
        num_replicas: 1,
        ..StreamConfig::default()
    };
    match kind {
        "chacha" => {
            options.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", Cipher::ChaCha))
        }
        "aes" | "aes-s2" => {
            options.encryption = Some(EncryptionConfig::new("s3cr3t", "$G", Cipher::Aes));
        }
        "ttl" => config.allow_msg_ttl = true,
        "kv" => config.max_msgs_per_subject = 1,
        _ => {}
    }
    if kind.ends_with("s2") {
        config.compression = StoreCompression::S2;
    }
    FileStore::open(options, config, Timestamp::from_nanos(NOW)).unwrap()
}

fn state_of(store: &mut FileStore) -> State {
    let state = store.state();
    assert_eq!(state.lost, None);
    let mut messages = Vec::new();
    let mut start = StreamSequence::ZERO;
    while let Some(message) = store.load_next(&SubjectFilter::All, start).unwrap().found() {
        start = message.sequence().next();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        messages.push(Message {
            seq: message.sequence().get(),
            subject: text(message.subject()),
            header: text(message.header()),
            payload: text(message.payload()),
            ts: message.timestamp().nanos(),
        });
    }
    State {
        msgs: state.messages,
        bytes: state.bytes,
        first: state.first_seq.get(),
        last: state.last_seq.get(),
        last_ts: state.last_time.nanos(),
        deleted: state.deleted,
        messages,
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn kind_of(name: &str) -> &'static str {
    KINDS
        .into_iter()
        .filter(|kind| name.starts_with(&format!("{kind}-")))
        .max_by_key(|kind| kind.len())
        .unwrap()
}

/// Opens copies of all directories. The Go server leaves no trace of what a limit per subject
/// displaced but its index file, so that only our own directories keep that without an index.
fn check_directories(samples: &Path, ours: bool) -> usize {
    let mut checked = 0;
    for entry in fs::read_dir(samples).unwrap() {
        let entry = entry.unwrap();
        let expected = entry.path().join("state.json");
        if !expected.exists() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        let expected: State = serde_json::from_slice(&fs::read(expected).unwrap()).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("S");
        copy_dir(&entry.path().join("S"), &dir);
        for round in 0..3 {
            let mut store = open(&dir, kind_of(&name));
            assert_eq!(state_of(&mut store), expected, "{name}, opening {round}");
            if round == 1 {
                store.sync().unwrap();
            } else {
                store.stop(Timestamp::from_nanos(NOW)).unwrap();
            }
            drop(store);
            if round == 1 && (ours || !name.starts_with("kv")) {
                let _ = fs::remove_file(dir.join("msgs/index.db"));
            }
        }
        checked += 1;
    }
    checked
}

#[test]
fn directories_of_the_go_server_open_with_their_content() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store");
    assert_eq!(check_directories(&samples, false), 19);
}

fn write_directory(dir: &Path, kind: &str, stop: bool) {
    let _ = fs::remove_dir_all(dir);
    let mut store = filled(&dir.join("S"), kind);
    let state = state_of(&mut store);
    if stop {
        store.stop(Timestamp::from_nanos(NOW)).unwrap();
    } else {
        store.sync().unwrap();
    }
    fs::write(dir.join("state.json"), serde_json::to_vec_pretty(&state).unwrap()).unwrap();
}

/// A store in which most of what can happen has happened.
fn filled(dir: &Path, kind: &str) -> FileStore {
    let mut store = open(dir, kind);
    let now = Timestamp::from_nanos(NOW);
    let put = |store: &mut FileStore, subject: &str, header: &str, payload: &str, ts: i64| {
        let message = NewMessage {
            subject: subject.as_bytes(),
            header: header.as_bytes(),
            payload: payload.as_bytes(),
            ttl: MessageTtl::of_header(header.as_bytes()).unwrap(),
        };
        let time = Timestamp::from_nanos(ts);
        store
            .store_raw_message(message, StreamSequence::ZERO, time, DiscardNewCheck::Skip, now)
            .unwrap();
    };
    for n in 0..60i64 {
        let header = match (n % 4, kind == "ttl" && n % 3 == 0) {
            (_, true) => "NATS/1.0\r\nNats-TTL: 1000000000\r\n\r\n".to_owned(),
            (0, _) => format!("NATS/1.0\r\nN: {n}\r\n\r\n"),
            _ => String::new(),
        };
        let subject = format!("foo.{}", n % 9);
        let payload = format!("payload payload payload {n}");
        put(&mut store, &subject, &header, &payload, 1_700_000_000_000_000_000 + n * 1_000_000_000);
    }
    for number in [1, 2, 17, 18, 33, 60] {
        let _ = store.remove(StreamSequence::new(number));
    }
    let _ = store.erase(StreamSequence::new(40), &mut Counter(9));
    store.skip_many(StreamSequence::new(61), 3, now).unwrap();
    put(&mut store, "bar", "", "last", 1_700_000_100_000_000_000);
    store.remove(StreamSequence::new(64)).unwrap();
    for _ in 0..40 {
        store.tick(now).unwrap();
    }
    store
}

/// Writes directories of every kind, and reads them again. With `FILESTORE_SAMPLES` set they are
/// left there, for another server to read.
#[test]
fn directories_written_here_hold_what_they_should() {
    let scratch = tempfile::tempdir().unwrap();
    let target = std::env::var_os("FILESTORE_SAMPLES")
        .map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    for kind in KINDS {
        write_directory(&target.join(format!("{kind}-stopped")), kind, true);
        write_directory(&target.join(format!("{kind}-killed")), kind, false);
    }
    assert_eq!(check_directories(&target, true), 2 * KINDS.len());
}

/// Unpacks an archive that arrives in pieces.
fn unpack(archive: &[u8], piece: usize, dir: &Path) -> Result<(), RestoreError> {
    let mut restore = Restore::new(Arc::new(RealDisk), dir, 1 << 20);
    for part in archive.chunks(piece) {
        restore.feed(part)?;
    }
    restore.finish()
}

/// Restores all archives, under the encryption their directories are named after.
fn check_snapshots(samples: &Path) -> usize {
    let mut checked = 0;
    for entry in fs::read_dir(samples).unwrap() {
        let entry = entry.unwrap();
        let Ok(archive) = fs::read(entry.path().join("archive.s2")) else { continue };
        let kind = entry.file_name().into_string().unwrap();
        let state = fs::read(entry.path().join("state.json")).unwrap();
        let expected: State = serde_json::from_slice(&state).unwrap();
        for piece in [7, 512, archive.len()] {
            let scratch = tempfile::tempdir().unwrap();
            let dir = scratch.path().join("S");
            unpack(&archive, piece, &dir).unwrap();
            let meta = read_stream_meta(&fs::read(dir.join("meta.inf")).unwrap()).unwrap();
            assert!(matches!(meta, MetaFile::Supported(meta) if meta.config.name == "S"));
            let consumer = dir.join("obs/dlc");
            let meta = read_consumer_meta(&fs::read(consumer.join("meta.inf")).unwrap()).unwrap();
            assert!(matches!(meta, MetaFile::Supported(_)));
            let state = codec::decode(&fs::read(consumer.join("o.dat")).unwrap()).unwrap();
            assert_eq!((state.delivered.stream.get(), state.ack_floor.stream.get()), (9, 3));
            // The archive is in the clear; opened with a key, everything is encrypted.
            for round in 0..2 {
                let mut store = open(&dir, &kind);
                assert_eq!(state_of(&mut store), expected, "{kind}, opening {round}");
                store.stop(Timestamp::from_nanos(NOW)).unwrap();
            }
        }
        checked += 1;
    }
    checked
}

#[test]
fn snapshots_of_the_go_server_are_restored() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/snapshots");
    assert_eq!(check_snapshots(&samples), 4);
}

/// The archive of a filled store, with a consumer.
fn snapshot(store: &mut FileStore, check_messages: bool) -> Vec<u8> {
    let consumer = ConsumerSnapshot {
        name: "dlc".into(),
        meta: (&br#"{"Created":"2024-01-01T00:00:00Z","Name":"dlc","durable_name":"dlc","deliver_policy":"all","ack_policy":"explicit","replay_policy":"instant","num_replicas":0}"#[..]).into(),
        // Floor (1, 3), delivered (7, 9), nothing pending.
        state: Ok((&[22, 2, 1, 3, 7, 9, 0, 0][..]).into()),
    };
    let request = SnapshotRequest {
        check_messages,
        consumers: vec![consumer],
        now: Timestamp::from_nanos(NOW + 123_456_789),
    };
    let mut archive = Vec::new();
    store.snapshot(request).unwrap().archive.read_to_end(&mut archive).unwrap();
    archive
}

/// Takes snapshots, and restores them again. With `FILESTORE_SNAPSHOTS` set they are left there,
/// for another server to read.
#[test]
fn snapshots_taken_here_are_restored() {
    let scratch = tempfile::tempdir().unwrap();
    let target = std::env::var_os("FILESTORE_SNAPSHOTS")
        .map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    for kind in ["plain", "s2", "chacha", "aes-s2", "ttl"] {
        let stores = tempfile::tempdir().unwrap();
        let dir = target.join(kind);
        fs::create_dir_all(&dir).unwrap();
        let mut store = filled(&stores.path().join("S"), kind);
        let archive = snapshot(&mut store, true);
        assert_eq!(snapshot(&mut store, false), archive, "checking changes nothing");
        fs::write(dir.join("archive.s2"), archive).unwrap();
        let state = serde_json::to_vec_pretty(&state_of(&mut store)).unwrap();
        fs::write(dir.join("state.json"), state).unwrap();
    }
    assert_eq!(check_snapshots(&target), 5);
}

#[test]
fn cut_and_damaged_archives_are_refused_or_bring_proper_messages_only() {
    let stores = tempfile::tempdir().unwrap();
    let mut store = filled(&stores.path().join("S"), "plain");
    let expected = state_of(&mut store);
    let archive = snapshot(&mut store, false);
    let restore_into = |archive: &[u8]| {
        let disk = SimDisk::new(1);
        let mut restore = Restore::new(Arc::new(disk.clone()), Path::new("/S"), 1 << 20);
        restore.feed(archive)?;
        restore.finish().map(|()| disk)
    };
    for cut in (0..archive.len()).step_by(5) {
        assert!(restore_into(&archive[..cut]).is_err(), "cut at {cut}");
    }
    for at in (0..archive.len()).step_by(3) {
        let mut bad = archive.clone();
        bad[at] ^= 1 << (at % 8);
        let Ok(disk) = restore_into(&bad) else { continue };
        // The compressed stream is checksummed, so that what passes differs in no content.
        let created = DateTime::parse("2024-01-01T00:00:00Z").unwrap();
        let mut options =
            FileStoreOptions::new(Arc::new(disk), "/S", created, Box::new(Counter(1)));
        options.block_size = 1000;
        let config = store.config().clone();
        let mut restored = FileStore::open(options, config, Timestamp::from_nanos(NOW)).unwrap();
        assert_eq!(state_of(&mut restored), expected, "bit flipped at {at}");
    }
}
