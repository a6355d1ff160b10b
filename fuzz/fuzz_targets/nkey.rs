//! Any text is a key or none; a public key has one type, and is no seed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nats_server::nkey::{decode_public, public_key_type, seed_type, verifier};

fuzz_target!(|text: &str| {
    if let Some(kind) = public_key_type(text) {
        assert!(decode_public(kind, text).is_ok());
        assert!(seed_type(text).is_err());
    } else {
        assert!(verifier(text).is_none());
    }
});
