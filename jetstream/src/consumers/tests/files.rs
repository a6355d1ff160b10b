//! Consumers on a disk that loses what was not synced (spec 07b §B10, spec 06 §10).

use super::*;
use crate::consumer::files::ConsumerDirectory;
use crate::disk::{Durability, SimDisk};
use crate::filestore::{FileStore, FileStoreOptions};
use crate::store::RandomSource;
use std::path::PathBuf;

/// As good as random for a test.
struct Counter(u8);

impl RandomSource for Counter {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

/// Opens stream and consumer as they lie on a disk.
fn open(disk: &SimDisk, now: Timestamp) -> Fixture {
    let config = stream(|config| config.storage = StorageType::File);
    let created = START.to_date_time();
    let path = PathBuf::from("/jetstream/S");
    let shared = Arc::new(disk.clone());
    let options = FileStoreOptions::new(shared, path.clone(), created, Box::new(Counter(0)));
    let store = FileStore::open(options, config, now).expect("a store");
    let directory = ConsumerDirectory {
        disk: Arc::new(disk.clone()),
        path: path.join("obs").join(NAME),
        stream: STREAM.to_owned(),
        durability: Durability::Synced,
        encryption: None,
        random: Box::new(|buffer| buffer.fill(7)),
    };
    let config = checked(pull(|config| config.ack_wait = 1_000_000_000), store.config());
    let files = ConsumerStore::in_files(directory, NAME, created, config.clone()).expect("files");
    let new = NewConsumer { store: files, recovering: now > START, ..new_consumer(config) };
    let mut fixture = Fixture::with_at(Box::new(store), new, now);
    while fixture.store.poll_effect().is_some() {}
    fixture
}

fn close(mut fixture: Fixture) -> Timestamp {
    let now = fixture.now;
    fixture.consumer.stop(now).expect("written");
    fixture.store.stop(now).expect("written");
    now
}

#[test]
fn restart_goes_on_where_it_stopped() {
    let disk = SimDisk::new(3);
    let mut fixture = open(&disk, START);
    fixture.publish_many(6);
    fixture.pull("r", "4");
    fixture.ack(2);
    fixture.ack(1);
    let now = close(fixture);
    let mut fixture = open(&disk, now.saturating_add(Duration::from_millis(100)));
    let info = fixture.info();
    assert_eq!((info.num_ack_pending, info.num_pending), (2, 2));
    assert_eq!(fixture.positions(), ((4, 4), (2, 2)));
    assert!(!fixture.events.contains(&Event::Created));
    fixture.pull("r", "9");
    assert_eq!(fixture.take_sequences(), [5, 6]);
    fixture.advance_millis(2_000);
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers[..2], [(3, 7, 2, 0), (4, 8, 2, 0)]);
}

#[test]
fn state_is_written_soon_after_a_change() {
    let disk = SimDisk::new(3);
    let mut fixture = open(&disk, START);
    fixture.publish_many(2);
    fixture.store.sync().expect("synced");
    fixture.pull("r", "2");
    fixture.ack(1);
    let soon = fixture.now.saturating_add(Duration::from_millis(100));
    assert!(fixture.consumer.next_deadline().is_some_and(|at| at <= soon));
    fixture.advance_millis(100);
    fixture.ack(2);
    fixture.advance_millis(100);
    drop(fixture);
    disk.power_loss();
    let mut fixture = open(&disk, START.saturating_add(Duration::from_secs(1)));
    assert_eq!(fixture.positions(), ((2, 2), (2, 2)));
}

#[test]
fn stream_that_lost_its_end_takes_the_consumer_back() {
    let disk = SimDisk::new(3);
    let mut fixture = open(&disk, START);
    fixture.publish_many(3);
    fixture.store.sync().expect("synced");
    let kept = disk.fork(1);
    fixture.publish_many(2);
    fixture.pull("r", "5");
    for sequence in 1..=5 {
        fixture.ack(sequence);
    }
    let now = close(fixture);
    // The stream comes back from before, the consumer from after.
    let name = PathBuf::from("/jetstream/S/obs/C/o.dat");
    let state = crate::disk::Disk::read(&disk, &name).expect("a state");
    crate::disk::Disk::write_atomic(&kept, &name, &state, Durability::Synced).expect("written");
    let mut fixture = open(&kept, now.saturating_add(Duration::from_secs(1)));
    let text =
        "JetStream consumer '$G > S > C' delivered sequence 5 past last stream sequence of 3";
    assert_eq!(fixture.others, [ConsumerEffect::Warn(text.to_owned())]);
    assert_eq!(fixture.positions(), ((5, 3), (5, 3)));
    // What is stored now under sequences that were delivered once is not skipped.
    fixture.publish_many(2);
    fixture.pull("r", "9");
    let numbers: Vec<_> = fixture.take_got().iter().map(Got::numbers).collect();
    assert_eq!(numbers, [(4, 6, 1, 1), (5, 7, 1, 0)]);
}

#[test]
fn power_may_fail_after_any_operation() {
    for stop in 0..40_u64 {
        let disk = SimDisk::new(stop);
        let mut fixture = open(&disk, START);
        let mut acknowledged = Vec::new();
        let mut published = 0;
        for step in 0..stop {
            match step % 5 {
                0 | 1 => {
                    fixture.publish("foo", "x");
                    fixture.store.sync().expect("synced");
                    published += 1;
                }
                2 => fixture.pull("r", "2"),
                3 => {
                    for sequence in fixture.take_sequences() {
                        if sequence % 3 != 0 {
                            fixture.ack_again(sequence);
                            acknowledged.push((sequence, fixture.now));
                        }
                    }
                }
                _ => fixture.advance_millis(70),
            }
        }
        let crashed = fixture.now;
        drop(fixture);
        disk.power_loss();
        let mut fixture = open(&disk, crashed.saturating_add(Duration::from_secs(5)));
        let first = fixture.now;
        fixture.advance_millis(2_000);
        fixture.pull("r", "100");
        let mut seen = fixture.take_sequences();
        seen.sort_unstable();
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(seen, once, "no message comes twice at once");
        for sequence in 1..=published {
            let acked = acknowledged.iter().find(|(acked, _)| *acked == sequence);
            if let Some((_, at)) = acked {
                // What was written before the power failed stays acknowledged.
                let is_written = crashed.saturating_since(*at) >= Duration::from_millis(140);
                assert!(!is_written || !seen.contains(&sequence), "{stop}: {sequence}");
            } else {
                assert!(seen.contains(&sequence), "{stop}: {sequence} was lost after {first}");
            }
        }
    }
}
