//! Sequence sets and expiries: what deleting and expiring messages costs a stream.

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use jetstream::seqset::SequenceSet;
use jetstream::time::Timestamp;
use jetstream::timewheel::TimeWheel;
use std::hint::black_box;

const MEMBERS: u64 = 1_000_000;

/// Numbers below `range`, spread evenly and in no order.
fn scattered(range: u64) -> impl Iterator<Item = u64> {
    (0..MEMBERS).map(move |index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % range)
}

fn sequence_set(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequence_set");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MEMBERS));
    group.bench_function("insert/dense", |bencher| {
        bencher.iter(|| (0..MEMBERS).collect::<SequenceSet>());
    });
    group.bench_function("insert/random/range=3000000", |bencher| {
        bencher.iter(|| scattered(3_000_000).collect::<SequenceSet>());
    });
    group.bench_function("insert/sparse/range=10000000000", |bencher| {
        bencher.iter(|| scattered(10_000_000_000).collect::<SequenceSet>());
    });
    let dense: SequenceSet = (0..MEMBERS).collect();
    let random: SequenceSet = scattered(3_000_000).collect();
    let sparse: SequenceSet = (0..MEMBERS).map(|index| index * 2048).collect();
    for (name, set) in [("dense", &dense), ("random", &random), ("sparse", &sparse)] {
        group.bench_function(format!("iterate/{name}"), |bencher| {
            bencher.iter(|| set.iter().fold(0, u64::wrapping_add));
        });
        let mut encoded = Vec::new();
        set.encode_into(&mut encoded);
        group.bench_function(format!("encode/{name}/bytes={}", encoded.len()), |bencher| {
            bencher.iter(|| {
                encoded.clear();
                set.encode_into(&mut encoded);
            });
        });
        group.bench_function(format!("decode/{name}"), |bencher| {
            bencher.iter(|| SequenceSet::decode(&encoded).expect("own encoding"));
        });
    }
    group.bench_function("contains/random", |bencher| {
        bencher.iter(|| scattered(3_000_000).filter(|number| random.contains(*number)).count());
    });
    group.bench_function("remove/absent", |bencher| {
        let mut set = sparse.clone();
        bencher.iter(|| (0..MEMBERS).filter(|index| set.remove(index * 2048 + 1)).count());
    });
    group.finish();
}

fn time_wheel(criterion: &mut Criterion) {
    let at = |number: u64| Timestamp::from_seconds((number % 86_400) as i64);
    let filled = || {
        let mut wheel = TimeWheel::new();
        (0..MEMBERS).for_each(|sequence| wheel.insert(sequence, at(sequence)));
        wheel
    };
    let mut group = criterion.benchmark_group("time_wheel");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MEMBERS));
    group.bench_function("insert", |bencher| bencher.iter(filled));
    group.bench_function("insert/same_second", |bencher| {
        bencher.iter(|| {
            let mut wheel = TimeWheel::new();
            (0..MEMBERS).for_each(|sequence| wheel.insert(sequence, at(7)));
            wheel
        });
    });
    group.bench_function("update", |bencher| {
        bencher.iter_batched_ref(
            filled,
            |wheel| {
                (0..MEMBERS).for_each(|sequence| {
                    black_box(wheel.update(sequence, at(sequence), at(sequence + 1)));
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("expire", |bencher| {
        bencher.iter_batched_ref(
            filled,
            |wheel| wheel.take_expired(Timestamp::from_seconds(86_400)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

mod groups {
    // The macro makes a function that cannot carry a doc comment.
    #![allow(missing_docs)]
    use super::{sequence_set, time_wheel};
    criterion::criterion_group!(benches, sequence_set, time_wheel);
}
criterion_main!(groups::benches);
