//! A file store of many messages on many subjects: what its users wait for, and what it takes to
//! hold it. `FILESTORE_LARGE_MESSAGES` and `FILESTORE_LARGE_SUBJECTS` change the size,
//! `FILESTORE_LARGE_CACHE` the bytes of loaded blocks that are kept.
//!
//! Every step runs once, since each is long enough by itself; the figures go to standard output.

use jetstream::config::{StorageType, StreamConfig};
use jetstream::disk::RealDisk;
use jetstream::filestore::{FileStore, FileStoreOptions};
use jetstream::filter::SubjectFilter;
use jetstream::store::{NewMessage, RandomSource, Store};
use jetstream::time::{DateTime, Timestamp};
use jetstream::types::StreamSequence;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const START: i64 = 1_700_000_000_000_000_000;

#[derive(Debug)]
struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// Numbers without order, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn resident_megabytes() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).ok_or("no value")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// Nanoseconds this thread had a processor, so that a busy machine does not count.
fn processor_nanoseconds() -> Outcome<f64> {
    let times = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(times.split_whitespace().next().ok_or("no time")?.parse()?)
}

fn timed<T>(name: &str, count: u64, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let (start, used) = (Instant::now(), processor_nanoseconds()?);
    let result = work()?;
    let (taken, used) = (start.elapsed(), processor_nanoseconds()? - used);
    let each = |nanoseconds: f64| nanoseconds / count as f64;
    let (wall, processor) = (each(taken.as_nanos() as f64), each(used));
    println!("{name}: {wall:.0} ns, processor {processor:.0} ns ({count} in {taken:.2?})");
    Ok(result)
}

fn open(dir: &Path, cache_bytes: usize) -> Outcome<FileStore> {
    let config = StreamConfig {
        name: "S".to_owned(),
        subjects: vec![">".to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        ..StreamConfig::default()
    };
    let created = DateTime::parse("2024-01-01T00:00:00Z")?;
    let mut options =
        FileStoreOptions::new(Arc::new(RealDisk), dir.join("S"), created, Box::new(Zeros));
    options.cache_bytes = cache_bytes;
    Ok(FileStore::open(options, config, Timestamp::from_nanos(START))?)
}

fn subject(number: u64) -> String {
    format!("orders.{}.{}", number / 1000, number % 1000)
}

fn write(dir: &Path, cache: usize, total: u64, subjects: u64) -> Outcome<()> {
    let mut store = open(dir, cache)?;
    let before = resident_megabytes()?;
    timed("write", total, || {
        for number in 0..total {
            let subject = subject(number * 7919 % subjects);
            let message = NewMessage {
                subject: subject.as_bytes(),
                payload: &[b'x'; 128],
                ..NewMessage::default()
            };
            store.store_message(message, Timestamp::from_nanos(START + number as i64))?;
            while let Some(effect) = store.poll_effect() {
                black_box(effect);
            }
        }
        store.sync()?;
        Ok(())
    })?;
    println!("resident after writing: {:.1} MB", resident_megabytes()? - before);
    store.stop(Timestamp::from_nanos(START))?;
    Ok(())
}

fn read(dir: &Path, cache: usize, total: u64, subjects: u64) -> Outcome<()> {
    let before = resident_megabytes()?;
    let mut store = timed("open with index", 1, || open(dir, cache))?;
    println!("resident after opening: {:.1} MB", resident_megabytes()? - before);
    let mut numbers = Numbers(12_345);
    for (name, count) in [("load random, cold", 20_000), ("load random, warm", 1_000_000)] {
        timed(name, count, || {
            for _ in 0..count {
                black_box(store.load(StreamSequence::new(numbers.below(total) + 1))?);
            }
            Ok(())
        })?;
    }
    println!("resident: {:.1} MB", resident_megabytes()? - before);
    for (name, count) in [("load last, cold", 1000), ("load last, warm", 1_000_000)] {
        timed(name, count, || {
            for _ in 0..count {
                let filter = SubjectFilter::new(subject(numbers.below(subjects)));
                black_box(store.load_last(&filter)?);
            }
            Ok(())
        })?;
    }
    let groups = (subjects / 1000).max(1);
    type Name = fn(u64) -> String;
    let searches: [(&str, Name, u64); 3] = [
        ("next by orders.N.*", |n| format!("orders.{n}.*"), groups),
        ("next by orders.*.N", |n| format!("orders.*.{n}"), 1000.min(subjects)),
        ("next by literal", subject, subjects),
    ];
    for ((name, make, bound), pass) in
        searches.into_iter().flat_map(|search| [(search, "cold"), (search, "warm")])
    {
        timed(&format!("{name}, {pass}"), 2000, || {
            for _ in 0..2000 {
                let filter = SubjectFilter::new(make(numbers.below(bound)));
                let start = StreamSequence::new(numbers.below(total / 2) + 1);
                let found = store.load_next(&filter, start)?.found().ok_or("nothing found")?;
                black_box(found);
            }
            Ok(())
        })?;
    }
    let filter = SubjectFilter::new("orders.0.*");
    let count = store.num_pending(StreamSequence::new(0), &filter, false)?.total;
    timed("all of orders.0.* in order, warm", count, || {
        let (mut start, mut found) = (StreamSequence::ZERO, 0);
        while let Some(message) = store.load_next(&filter, start)?.found() {
            start = message.sequence().next();
            found += 1;
        }
        if found == count { Ok(()) } else { Err("messages are missing".into()) }
    })?;
    for pass in ["cold", "warm"] {
        timed(&format!("num pending of orders.N.*, {pass}"), 50, || {
            for _ in 0..50 {
                let filter = SubjectFilter::new(format!("orders.{}.*", numbers.below(groups)));
                let start = StreamSequence::new(numbers.below(total) + 1);
                black_box(store.num_pending(start, &filter, false)?);
            }
            Ok(())
        })?;
    }
    timed("everything in order", total, || {
        let (mut start, mut found) = (StreamSequence::ZERO, 0);
        while let Some(message) = store.load_next(&SubjectFilter::All, start)?.found() {
            start = message.sequence().next();
            found += 1;
        }
        if found == total { Ok(()) } else { Err("messages are missing".into()) }
    })?;
    println!("resident: {:.1} MB", resident_megabytes()? - before);
    timed("stop", 1, || Ok(store.stop(Timestamp::from_nanos(START))?))?;
    drop(store);
    fs::remove_file(dir.join("S/msgs/index.db"))?;
    let before = resident_megabytes()?;
    let mut store = timed("open without index", 1, || open(dir, cache))?;
    println!("resident after opening: {:.1} MB", resident_megabytes()? - before);
    timed("stop", 1, || Ok(store.stop(Timestamp::from_nanos(START))?))?;
    Ok(())
}

fn main() -> Outcome<()> {
    // Tried out only, like criterion's benches with this argument: a small store will do.
    let (total, subjects) = if std::env::args().any(|argument| argument == "--test") {
        (20_000, 2_000)
    } else {
        (10_000_000, 1_000_000)
    };
    let total = setting("FILESTORE_LARGE_MESSAGES", total);
    let subjects = setting("FILESTORE_LARGE_SUBJECTS", subjects);
    let cache = usize::try_from(setting("FILESTORE_LARGE_CACHE", 8 << 30))?;
    // A directory that is given is kept, and not written again.
    let kept = std::env::var_os("FILESTORE_LARGE_DIR");
    let scratch = if kept.is_none() { Some(tempfile::tempdir()?) } else { None };
    let dir = match (&kept, &scratch) {
        (Some(dir), _) => Path::new(dir),
        (None, Some(scratch)) => scratch.path(),
        (None, None) => return Err("no directory".into()),
    };
    if !dir.join("S").exists() {
        write(dir, cache, total, subjects)?;
    }
    read(dir, cache, total, subjects)
}
