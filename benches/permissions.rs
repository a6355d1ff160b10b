//! What a permission check costs: of a subject that was checked before, and of a new one.

#![allow(missing_docs)] // The functions that criterion's macros make have none.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nats_server::auth::permissions::Permissions;
use nats_server::auth::verdicts::Verdicts;
use nats_server::config::options::auth::{Permissions as Configured, SubjectPermission};
use std::hint::black_box;

fn permissions(entries: usize) -> Permissions {
    let allow = (0..entries).map(|n| format!("orders.{n}.>")).collect();
    let deny = vec!["orders.*.secret".to_owned()];
    let publish = Some(SubjectPermission { allow: Some(allow), deny });
    Permissions::compile(&Configured { publish, ..Configured::default() }).0
}

fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish_check");
    for entries in [1, 10, 1000] {
        let permissions = permissions(entries);
        let subject = b"orders.0.created.eu".as_slice();
        let mut verdicts = Verdicts::new(128);
        group.bench_function(BenchmarkId::new("cached/entries", entries), |b| {
            b.iter(|| verdicts.get(black_box(subject), b"", || permissions.may_publish(subject)));
        });
        group.bench_function(BenchmarkId::new("new/entries", entries), |b| {
            b.iter(|| permissions.may_publish(black_box(subject)));
        });
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
