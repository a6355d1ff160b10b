//! Cost of taking commands out of a read buffer, per command.

// The harness's macro makes a public function that it does not document.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parser::client::{Limits, Op, Parser};
use parser::encode::{Sizes, delivery_line};

const LIMITS: Limits = Limits {
    max_control_line: 4096,
    max_payload: 1024 * 1024,
    headers: true,
    auth_pending: false,
    announce: false,
};

/// Commands in one buffer, about as many as a read brings in.
const COMMANDS: usize = 1000;

/// Parses everything in `buf` and gives the number of commands.
fn drain(buf: &[u8]) -> usize {
    let mut parser = Parser::new();
    let mut pos = 0;
    let mut count = 0;
    while let Ok(Some(op)) = parser.next(buf, &mut pos, &LIMITS) {
        if let Op::Pub(publication) = &op {
            black_box(publication.payload.len());
        }
        black_box(&op);
        count += 1;
    }
    count
}

fn commands(c: &mut Criterion) {
    let payload = |len: usize| "x".repeat(len);
    let cases = [
        ("pub/subject=foo/size=16", format!("PUB foo 16\r\n{}\r\n", payload(16))),
        ("pub/subject=foo/size=1024", format!("PUB foo 1024\r\n{}\r\n", payload(1024))),
        (
            "pub_with_reply/size=16",
            format!(
                "PUB orders.new.eu.1234 _INBOX.aBcDeFgHiJkLmNoPqRsTuV.17 16\r\n{}\r\n",
                payload(16)
            ),
        ),
        (
            "hpub/size=38",
            format!("HPUB foo 22 38\r\nNATS/1.0\r\nName:Derek\r\n{}\r\n", payload(16)),
        ),
        ("pub_two_blanks/size=16", format!("PUB  foo  16\r\n{}\r\n", payload(16))),
        ("sub", "SUB orders.*.eu.> 17\r\n".to_owned()),
        ("unsub", "UNSUB 17\r\n".to_owned()),
        ("ping", "PING\r\n".to_owned()),
    ];
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    for (name, command) in cases {
        let buf = command.repeat(COMMANDS).into_bytes();
        assert_eq!(drain(&buf), COMMANDS);
        group.bench_function(name, |b| b.iter(|| drain(black_box(&buf))));
    }
    group.finish();
}

fn delivery(c: &mut Criterion) {
    let sizes = Sizes { header_len: 0, total_len: 16, header_digits: b"", total_digits: b"16" };
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    group.bench_function("msg_line", |b| {
        b.iter_batched_ref(
            || Vec::with_capacity(COMMANDS * 64),
            |out| {
                for _ in 0..COMMANDS {
                    delivery_line(out, black_box(b"foo.bar"), b"17", b"", &sizes, true);
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, commands, delivery);
criterion_main!(benches);
