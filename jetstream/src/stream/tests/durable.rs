//! Streams in files whose server loses power at any moment.

use super::*;
use crate::conformance::Zeros;
use crate::disk::{Disk, Fault, SimDisk, remove_dir_if_exists};
use crate::error::StoreResult;
use crate::filestore::{FileStore, FileStoreOptions};
use crate::stream::context::StagingArea;
use crate::time::DateTime;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/js/S";
const BATCHES: &str = "/js/S/batches";

fn options(disk: &SimDisk, dir: PathBuf) -> FileStoreOptions {
    FileStoreOptions::new(Arc::new(disk.clone()), dir, DateTime::ZERO, Box::new(Zeros))
}

/// Stages batches below the directory of the stream.
struct FileStaging(SimDisk);

impl FileStaging {
    fn dir(hash: &str) -> PathBuf {
        PathBuf::from(BATCHES).join(hash)
    }
}

impl StagingArea for FileStaging {
    fn open(&mut self, hash: &str) -> StoreResult<Box<dyn Store>> {
        let config = StreamConfig { name: hash.to_owned(), ..StreamConfig::default() };
        let options = options(&self.0, Self::dir(hash));
        Ok(Box::new(FileStore::open(options, config, START).map_err(|error| error.0)?))
    }
}

fn in_files() -> StreamConfig {
    let requested =
        StreamConfig { storage: StorageType::File, allow_atomic: true, ..config(&["foo.*"]) };
    validate(&requested, &ConfigContext::default()).expect("valid")
}

/// Starts the server on what the disk has.
fn open(disk: &SimDisk, config: StreamConfig) -> StoreResult<Stream> {
    let store = FileStore::open(options(disk, PathBuf::from(DIR)), config.clone(), START)
        .map_err(|error| error.0)?;
    let mut staging = FileStaging(disk.clone());
    let context =
        StreamContext { staging: Box::new(FileStaging(disk.clone())), ..StreamContext::default() };
    let mut stream = Stream::new(config, START, Box::new(store), context);
    stream.start(START);
    if let Some((hash, stored)) = stream.unfinished_batch() {
        stream.recover_batch(&mut *staging.open(&hash)?, stored, START)?;
    }
    let removed = remove_dir_if_exists(disk, Path::new(BATCHES));
    removed.map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(stream)
}

fn publish(stream: &mut Stream, fields: &[(&str, &str)], payload: &str) -> Published {
    let message = Inbound {
        subject: Bytes::from_static(b"foo.a"),
        reply: Bytes::from_static(b"reply"),
        header: header(fields),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        from: Origin::Client,
    };
    stream.publish(message, START)
}

/// The answers that leave now.
fn answers(stream: &mut Stream) -> Vec<String> {
    std::iter::from_fn(|| stream.poll_effect())
        .filter_map(|effect| match effect {
            StreamEffect::Send(message) => {
                Some(String::from_utf8(message.payload.to_vec()).expect("text"))
            }
            _ => None,
        })
        .collect()
}

fn payloads(stream: &mut Stream) -> Vec<String> {
    (1..=stream.last_sequence().get())
        .map(|number| {
            let message = stream.store().load(sequence(number)).expect("held");
            String::from_utf8(message.payload().to_vec()).expect("text")
        })
        .collect()
}

/// Runs `work` until the power fails at each disk call in turn, several times each with another
/// part of what was unsynced kept, and gives what was answered and what a restart finds to `check`.
fn lose_power_everywhere(
    work: impl Fn(&mut Stream, &mut Vec<String>),
    check: impl Fn(&[String], &[String], &str),
) {
    for chance in 0..6 {
        for call in 0.. {
            let disk = SimDisk::new(chance);
            let mut told = Vec::new();
            disk.set_fault(call, Fault::Crash);
            if let Ok(mut stream) = open(&disk, in_files()) {
                work(&mut stream, &mut told);
            }
            let done = !disk.is_crashed();
            disk.power_loss();
            disk.clear_faults();
            let mut stream = open(&disk, in_files()).expect("opens after power came back");
            let found = payloads(&mut stream);
            check(&told, &found, &format!("power lost at call {call}, chance {chance}"));
            // What was there stays there.
            publish(&mut stream, &[], "after");
            stream.sync().expect("in order");
            drop(stream);
            disk.power_loss();
            let mut stream = open(&disk, in_files()).expect("opens again");
            let again = payloads(&mut stream);
            assert_eq!(again[..found.len()], found[..]);
            assert_eq!(again.last().map(String::as_str), Some("after"));
            if done {
                break;
            }
        }
    }
}

#[test]
fn acknowledged_messages_survive_power_loss_at_any_call() {
    lose_power_everywhere(
        |stream, told| {
            for group in 0..4 {
                for number in 0..3 {
                    publish(stream, &[], &format!("{group}.{number}"));
                }
                if stream.sync().is_err() {
                    return;
                }
                told.extend(answers(stream));
            }
        },
        |told, found, context| {
            assert!(found.len() >= told.len(), "{context}: {told:?} but {found:?}");
            for (number, payload) in found.iter().enumerate() {
                assert_eq!(*payload, format!("{}.{}", number / 3, number % 3), "{context}");
            }
        },
    );
}

#[test]
fn atomic_batch_is_whole_or_absent_after_power_loss_at_any_call() {
    for end in ["1", "eob"] {
        lose_power_everywhere(
            |stream, told| {
                publish(stream, &[], "plain");
                if stream.sync().is_err() {
                    return;
                }
                told.extend(answers(stream));
                for number in 1..=4 {
                    let text = number.to_string();
                    let mut fields =
                        vec![("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", text.as_str())];
                    if number == 4 {
                        fields.push(("Nats-Batch-Commit", end));
                    }
                    publish(stream, &fields, &text);
                }
                if stream.sync().is_err() {
                    return;
                }
                told.extend(
                    answers(stream).into_iter().filter(|answer| answer.contains(r#""count""#)),
                );
            },
            |told, found, context| {
                let whole: &[&str] = if end == "1" {
                    &["plain", "1", "2", "3", "4"]
                } else {
                    &["plain", "1", "2", "3"]
                };
                let found: Vec<&str> = found.iter().map(String::as_str).collect();
                let possible: &[&[&str]] = match told.len() {
                    0 => &[&[], &["plain"], whole],
                    1 => &[&["plain"], whole],
                    _ => &[whole],
                };
                assert!(possible.contains(&found.as_slice()), "{context}: {told:?}, {found:?}");
            },
        );
    }
}

#[test]
fn counters_of_a_completed_batch_are_counted() {
    // The server stops when the first two of three messages are stored.
    let disk = SimDisk::new(1);
    let config = StreamConfig { allow_msg_counter: true, ..in_files() };
    let fields = |number: &'static str, commit: bool| {
        let mut fields =
            vec![("Nats-Incr", "5"), ("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", number)];
        if commit {
            fields.push(("Nats-Batch-Commit", "1"));
        }
        header(&fields)
    };
    let message = |header: &Bytes, payload: &'static [u8]| {
        let header = header.clone();
        (Bytes::from_static(b"foo.a"), header, Bytes::from_static(payload))
    };
    let put = |store: &mut dyn Store, (subject, header, payload): (Bytes, Bytes, Bytes)| {
        let message = crate::store::NewMessage {
            subject: &subject,
            header: &header,
            payload: &payload,
            ..crate::store::NewMessage::default()
        };
        store.store_message(message, START).expect("stored");
    };
    let hash = crate::stream::sourcing::names::short_hash("b");
    let mut stage = FileStaging(disk.clone()).open(&hash).expect("made");
    let options = options(&disk, PathBuf::from(DIR));
    let mut store = FileStore::open(options, config.clone(), START).expect("new");
    for (number, payload) in [("1", &br#"{"val":"5"}"#[..]), ("2", br#"{"val":"10"}"#)] {
        put(&mut *stage, message(&fields(number, false), b""));
        put(&mut store, message(&fields(number, false), payload));
    }
    put(&mut *stage, message(&fields("3", true), b""));
    stage.sync().expect("in order");
    store.sync().expect("in order");
    drop((stage, store));
    let mut stream = open(&disk, config).expect("in order");
    assert_eq!(payloads(&mut stream), [r#"{"val":"5"}"#, r#"{"val":"10"}"#, r#"{"val":"15"}"#]);
    assert!(!disk.exists(&FileStaging::dir(&hash)), "the stage is gone");
}
