//! What challenges and reply subjects cost: making them, and verifying that a client signed one.

#![allow(missing_docs)] // The functions that criterion's macros make have none.

use criterion::{Criterion, criterion_group, criterion_main};
use nats_server::account::responses::reply_subject;
use nats_server::{identity, nkey};
use nkeys::KeyPair;
use std::hint::black_box;

const SEED: [u8; identity::NONCE_SEED_BYTES] = [7; identity::NONCE_SEED_BYTES];

fn nonce_generation(c: &mut Criterion) {
    c.bench_function("nonce", |b| b.iter(|| identity::nonce(black_box(SEED))));
}

fn public_verify(c: &mut Criterion) {
    let user = KeyPair::new_user();
    let nonce = identity::nonce(SEED);
    let signature = user.sign(nonce.as_bytes()).expect("signs");
    let public = nkey::verifier(&user.public_key()).expect("a public key");
    c.bench_function("verify", |b| {
        b.iter(|| public.verify(black_box(nonce.as_bytes()), &signature).expect("verifies"));
    });
}

fn service_reply(c: &mut Criterion) {
    c.bench_function("service_reply", |b| b.iter(|| reply_subject(black_box(7), black_box(8))));
}

criterion_group!(benches, nonce_generation, public_verify, service_reply);
criterion_main!(benches);
