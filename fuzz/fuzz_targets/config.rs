//! Any text either parses, to a digest that stays the same, or is refused with a line; loading it
//! into options and validating them never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nats_server::config::Options;
use nats_server::config::claims::UnverifiedClaims;
use nats_server::config::environment::Environment;
use nats_server::config::lang::{digest, parse_text};
use nats_server::config::validate::validate;
use std::io;

/// A machine without files, where `$V` is a number.
struct Bare;

impl Environment for Bare {
    fn read_file(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        (name == "V").then(|| b"22".to_vec())
    }
    fn is_writable_directory(&self, _: &str) -> Option<bool> {
        None
    }
    fn create_directory(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    match parse_text(&Bare, data) {
        Ok(table) => {
            let again = parse_text(&Bare, data).expect("parsed before");
            assert_eq!(digest::of(&table), digest::of(&again));
        }
        Err(error) => assert!(error.line().is_some_and(|line| line > 0)),
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let mut options = Options::default();
        if options.load_text(&Bare, text).is_ok() {
            options.set_baseline();
            // Any answer will do, as long as there is one.
            let _ = validate(&mut options, &UnverifiedClaims);
        }
    }
});
