//! The subject tree at a million subjects, and the memory it takes for them.
//!
//! The subjects are those of the reference's own measurements, so that the figures can be put side
//! by side: `subj.<1 to 100>.<n>` for matching and `account.<0 to 999>.stream.<n>` for memory.

// The functions that criterion's macros make public carry no documentation.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sublist::stree::{SubjectTree, lazy_intersect};

const SUBJECTS: u64 = 1_000_000;

/// A multiplicative scramble: the same subjects in every run, in no order the tree could exploit.
fn scrambled(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

fn spread_subjects() -> Vec<Vec<u8>> {
    (0..SUBJECTS).map(|n| format!("subj.{}.{n}", scrambled(n) % 100 + 1).into_bytes()).collect()
}

fn account_subjects(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("account.{}.stream.{n}", n % 1000).into_bytes()).collect()
}

fn identifier_subjects() -> Vec<Vec<u8>> {
    (0..SUBJECTS)
        .map(|n| format!("orders.{:016x}{:016x}.created", scrambled(n), scrambled(!n)).into_bytes())
        .collect()
}

fn build(subjects: &[Vec<u8>]) -> SubjectTree<u64> {
    let mut tree = SubjectTree::new();
    for (subject, value) in subjects.iter().zip(0..) {
        tree.insert(subject, value);
    }
    tree
}

fn report_memory(name: &str, subjects: &[Vec<u8>]) {
    let tree = build(subjects);
    let per_entry = tree.heap_bytes() as f64 / tree.len() as f64;
    println!("stree/memory/{name}: {per_entry:.1} bytes per subject with an 8-byte value");
}

fn benches(c: &mut Criterion) {
    report_memory("account_250k", &account_subjects(250_000));
    report_memory("account_1m", &account_subjects(SUBJECTS));
    report_memory("spread_1m", &spread_subjects());
    report_memory("identifiers_1m", &identifier_subjects());

    let mut group = c.benchmark_group("stree");
    group.sample_size(10);
    for (name, subjects) in [("spread", spread_subjects()), ("account", account_subjects(SUBJECTS))]
    {
        group.bench_function(format!("build/{name}/subjects=1m"), |b| {
            b.iter_with_large_drop(|| build(&subjects));
        });
        let tree = build(&subjects);
        group.bench_function(format!("find_all_in_order/{name}/subjects=1m"), |b| {
            b.iter(|| subjects.iter().filter(|subject| tree.find(subject).is_some()).count());
        });
        let mut n = 0;
        group.bench_function(format!("find/{name}/subjects=1m"), |b| {
            b.iter(|| {
                n += 1;
                let subject = &subjects[(scrambled(n) % SUBJECTS) as usize];
                black_box(tree.find(subject))
            });
        });
        let mut tree = tree;
        group.bench_function(format!("delete_and_insert/{name}/subjects=1m"), |b| {
            b.iter(|| {
                n += 1;
                let subject = &subjects[(scrambled(n) % SUBJECTS) as usize];
                let value = tree.delete(subject).unwrap_or_default();
                tree.insert(subject, value)
            });
        });
    }

    let subjects = spread_subjects();
    let tree = build(&subjects);
    for filter in [">", "subj.*.*", "*.*.*", "subj.1.*", "subj.1.>", "subj.*.1", "*.*.1"] {
        group.bench_function(format!("match/filter={filter}/subjects=1m"), |b| {
            b.iter(|| {
                let mut found = 0;
                tree.match_filter(black_box(filter.as_bytes()), |_, _| found += 1);
                found
            });
        });
    }
    group.bench_function("iter_ordered/subjects=1m", |b| {
        b.iter(|| {
            let mut found = 0;
            tree.iter_ordered(|_, _| {
                found += 1;
                true
            });
            found
        });
    });
    let some: Vec<Vec<u8>> = subjects.iter().step_by(100).cloned().collect();
    let small = build(&some);
    group.bench_function("lazy_intersect/10k_with_1m", |b| {
        b.iter(|| {
            let mut found = 0;
            lazy_intersect(&tree, &small, |_, _, _| found += 1);
            found
        });
    });
    group.bench_function("delete_all/subjects=1m", |b| {
        b.iter_batched(
            || build(&subjects),
            |mut tree| {
                for subject in &subjects {
                    tree.delete(subject);
                }
                tree
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(stree, benches);
criterion_main!(stree);
