//! What matching, subscribing and unsubscribing cost.
//!
//! `hit` is a subject in the shared result cache, `miss` one that is not. `scattered` spreads
//! subscriptions over subjects of five tokens with mostly unique ones; misses walk through
//! them in an order no cache can foresee. `eight_words` is 8 + 8² + … + 8⁵ subjects over
//! eight words, and three wildcards.

// The macro below makes a public function without documentation.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sublist::subject::{
    is_subset_match, is_valid_literal_subject, match_literal, subject_is_literal,
};
use sublist::{Matches, Sublist, Subscription};

struct Sub {
    subject: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl Subscription for Sub {
    fn subject(&self) -> &[u8] {
        &self.subject
    }

    fn queue(&self) -> Option<&[u8]> {
        self.queue.as_deref()
    }
}

type List = Sublist<Arc<Sub>>;

fn sub(subject: &str) -> Arc<Sub> {
    Arc::new(Sub { subject: subject.as_bytes().into(), queue: None })
}

fn member(subject: &str, queue: &str) -> Arc<Sub> {
    Arc::new(Sub { subject: subject.as_bytes().into(), queue: Some(queue.as_bytes().into()) })
}

/// A number that looks random, the same for the same input.
fn scramble(n: usize) -> usize {
    let mut x = (n as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as usize
}

/// Five tokens: a service, a region, a tenant, a device, a number.
fn scattered(n: usize) -> String {
    let r = scramble(n);
    format!("svc{}.r{}.tenant{}.dev{:x}.{n}", r % 20, (r >> 8) % 50, (r >> 16) % 5000, r >> 44)
}

/// The same with a wildcard: every subject of `scattered(n)` matches `wild(n)`.
fn wild(n: usize) -> String {
    let subject = scattered(n);
    let (head, last) = subject.rsplit_once('.').unwrap_or_default();
    if n.is_multiple_of(2) {
        format!("{subject}.>")
    } else {
        let (head, _) = head.rsplit_once('.').unwrap_or_default();
        format!("{head}.*.{last}")
    }
}

fn eight_words() -> List {
    const WORDS: [&str; 8] =
        ["north", "south", "east", "west", "spring", "summer", "autumn", "winter"];
    let list = List::with_cache();
    let mut level: Vec<String> = vec![String::new()];
    for _ in 0..5 {
        level = level
            .iter()
            .flat_map(|head| {
                let dot = if head.is_empty() { "" } else { "." };
                WORDS.map(|word| format!("{head}{dot}{word}"))
            })
            .collect();
        for subject in &level {
            list.insert(sub(subject)).unwrap();
        }
    }
    for subject in ["sky.>", "sky.north.cloud.>", "sky.*.*.rain.*"] {
        list.insert(sub(subject)).unwrap();
    }
    list
}

fn scattered_list(count: usize, subject: impl Fn(usize) -> String) -> List {
    let list = List::with_cache();
    for n in 0..count {
        list.insert(sub(&subject(n))).unwrap();
    }
    list
}

/// Published subjects, shuffled and packed together so that reading them costs little.
fn published(count: usize, subject: impl Fn(usize) -> String) -> Vec<Box<[u8]>> {
    (0..65_536).map(|n| subject(scramble(n) % count).into_bytes().into()).collect()
}

fn hit(c: &mut Criterion) {
    let mut group = c.benchmark_group("hit");
    let list = eight_words();
    for subject in
        ["north", "north.south", "north.south.east", "north.south.east.west", "sky.north.cloud.x"]
    {
        group.bench_function(BenchmarkId::from_parameter(subject), |b| {
            b.iter(|| list.match_subject(black_box(subject.as_bytes())));
        });
    }
    group.bench_function("nothing_on_the_last_of_five", |b| {
        b.iter(|| list.match_subject(black_box(b"north.south.east.west.none")));
    });
}

fn miss(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss");
    let mut buffer = Matches::new();

    let list = eight_words();
    for subject in ["north.south.east.west", "sky.north.cloud.rain.x", "north.south.east.west.none"]
    {
        group.bench_function(BenchmarkId::new("eight_words", subject), |b| {
            b.iter(|| list.match_into(black_box(subject.as_bytes()), &mut buffer));
        });
    }

    let mut scattered_bench = |name: &str, count: usize, list: &List, subjects: &[Box<[u8]>]| {
        let mut turn = subjects.iter().cycle();
        group.bench_function(BenchmarkId::new(format!("{name}/into"), count), |b| {
            b.iter(|| list.match_into(black_box(turn.next().unwrap()), &mut buffer));
            assert!(!buffer.is_empty());
        });
        list.set_cache_enabled(false);
        group.bench_function(BenchmarkId::new(format!("{name}/uncached"), count), |b| {
            b.iter(|| list.match_subject(black_box(turn.next().unwrap())));
        });
        list.set_cache_enabled(true);
        group.bench_function(BenchmarkId::new(format!("{name}/through_cache"), count), |b| {
            b.iter(|| list.match_subject(black_box(turn.next().unwrap())));
        });
    };
    for count in [100_000, 1_000_000] {
        let list = scattered_list(count, scattered);
        scattered_bench("literal", count, &list, &published(count, scattered));
        let list = scattered_list(count, wild);
        let matching = |n: usize| match n % 2 {
            0 => format!("{}.tail", scattered(n)),
            _ => scattered(n),
        };
        scattered_bench("wildcard", count, &list, &published(count, matching));
    }
}

/// Subjects that mostly nobody wants, published where 10,000 subscriptions have wildcards: several
/// branches are followed, all but a few in vain.
fn nobody(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss/nobody");
    let list = List::with_cache();
    for n in 0..10_000_usize {
        let (zone, kind) = (n / 4 % 500, n / 4 % 700);
        let subject = match n % 4 {
            0 => format!("site.zone.{zone}.*.{n}"),
            1 => format!("site.zone.{zone}.{n}.>"),
            2 => format!("site.zone.*.{kind}.{n}"),
            _ => format!("site.zone.{zone}.{kind}.*"),
        };
        list.insert(sub(&subject)).unwrap();
    }
    let subjects: Vec<Vec<u8>> = (0..65_536)
        .map(scramble)
        .map(|r| format!("site.zone.{}.{}.{}", r % 500, r / 500 % 700, r / 7 % 50_000).into_bytes())
        .collect();
    let mut turn = subjects.iter().cycle();
    let mut buffer = Matches::new();
    group.bench_function("into", |b| {
        b.iter(|| list.match_into(black_box(turn.next().unwrap()), &mut buffer));
    });
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    let mut buffer = Matches::new();
    for count in [10, 512] {
        let list = List::without_cache();
        (0..count).for_each(|_| list.insert(sub("foo")).unwrap());
        group.bench_function(BenchmarkId::new("plain", count), |b| {
            b.iter(|| list.match_into(black_box(b"foo"), &mut buffer));
        });
        let list = List::without_cache();
        (0..count).for_each(|i| list.insert(member("foo", &format!("q{}", i % 4))).unwrap());
        group.bench_function(BenchmarkId::new("four_queue_groups", count), |b| {
            b.iter(|| list.match_into(black_box(b"foo"), &mut buffer));
        });
    }
}

fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("change");
    group.sample_size(20);
    const COUNT: usize = 100_000;
    type Make = fn(usize) -> Arc<Sub>;
    let kinds: [(&str, Make); 5] = [
        ("scattered", |n| sub(&scattered(n))),
        ("wildcard", |n| sub(&wild(n))),
        ("two_tokens", |n| sub(&format!("foo.{n}"))),
        ("one_subject", |_| sub("foo")),
        ("one_queue_group", |_| member("foo", "bar")),
    ];
    for (name, make) in kinds {
        let subs: Vec<_> = (0..COUNT).map(make).collect();
        let filled = || {
            let list = List::with_cache();
            subs.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
            list
        };
        group.throughput(criterion::Throughput::Elements(COUNT as u64));
        group.bench_function(BenchmarkId::new("insert", name), |b| {
            b.iter_batched(
                List::with_cache,
                |list| {
                    subs.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
                    list
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("remove", name), |b| {
            b.iter_batched(
                filled,
                |list| {
                    subs.iter().for_each(|s| list.remove(s).unwrap());
                    list
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("remove_batch", name), |b| {
            b.iter_batched(
                filled,
                |list| {
                    list.remove_batch(&subs).unwrap();
                    list
                },
                BatchSize::PerIteration,
            );
        });
    }
}

/// Ten threads match subjects nobody has, while others add and remove without pause.
fn contention(c: &mut Criterion) {
    const MATCHERS: usize = 10;
    const CHANGERS: usize = 10;
    let mut group = c.benchmark_group("contention");
    group.sample_size(10);
    group.bench_function("10_match_10_insert_10_remove", |b| {
        b.iter_custom(|iterations| {
            let list = List::with_cache();
            let stop = AtomicBool::new(false);
            let subs: Vec<_> = (0..10_000).map(|n| sub(&format!("foo.bar.baz.{n}"))).collect();
            subs.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
            let left = AtomicUsize::new(MATCHERS);
            let start = Instant::now();
            std::thread::scope(|scope| {
                for changer in 0..CHANGERS {
                    let (list, stop, subs) = (&list, &stop, &subs);
                    scope.spawn(move || {
                        let mut n = changer;
                        while !stop.load(Ordering::Relaxed) {
                            list.insert(sub(&format!("foo.bar.baz.{n}"))).unwrap();
                            n += CHANGERS;
                        }
                    });
                    scope.spawn(move || {
                        let mut n = changer;
                        while !stop.load(Ordering::Relaxed) {
                            // Most are gone after a while; looking for them costs the same.
                            let _ = list.remove(&subs[scramble(n) % subs.len()]);
                            n += CHANGERS;
                        }
                    });
                }
                for matcher in 0..MATCHERS {
                    let (list, stop, left) = (&list, &stop, &left);
                    scope.spawn(move || {
                        for n in 0..iterations / MATCHERS as u64 {
                            list.match_subject(format!("foo.bar.baz.{matcher}x{n}").as_bytes());
                        }
                        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                            stop.store(true, Ordering::Relaxed);
                        }
                    });
                }
            });
            start.elapsed()
        });
    });
}

fn subjects(c: &mut Criterion) {
    let mut group = c.benchmark_group("subject");
    group.bench_function("is_valid_literal_subject", |b| {
        b.iter(|| is_valid_literal_subject(black_box(b"foo.bar.baz.22")));
    });
    group.bench_function("subject_is_literal", |b| {
        b.iter(|| subject_is_literal(black_box(b"foo.bar.baz.22")));
    });
    let cases = [
        ("short_one_wildcard", "foo.baz.12345", "foo.baz.*"),
        ("short_mixed", "foo.baz.12345", "foo.*.>"),
        (
            "long_one_wildcard",
            "foo.alpha.beta.gamma.delta.epsilon.zeta.12345",
            "foo.alpha.beta.gamma.delta.epsilon.zeta.*",
        ),
        (
            "long_late_mismatch",
            "foo.alpha.beta.gamma.delta.epsilon.zeta.12345",
            "foo.*.*.*.*.*.*.99999",
        ),
    ];
    for (name, subject, filter) in cases {
        let (subject, filter) = (subject.as_bytes(), filter.as_bytes());
        group.bench_function(BenchmarkId::new("match_literal", name), |b| {
            b.iter(|| match_literal(black_box(subject), black_box(filter)));
        });
        group.bench_function(BenchmarkId::new("is_subset_match", name), |b| {
            b.iter(|| is_subset_match(black_box(subject), black_box(filter)));
        });
    }
}

criterion_group!(benches, hit, miss, nobody, fan_out, change, contention, subjects);
criterion_main!(benches);
