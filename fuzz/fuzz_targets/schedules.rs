//! Any bytes decode to schedules or fail, and any header block is a schedule or not: no panic,
//! valid schedules, and a next time that is not in the past.
#![no_main]

use jetstream::schedules::{Firing, Schedules, next_firing};
use jetstream::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((schedules, high)) = Schedules::decode(bytes) {
        schedules.check_invariants();
        let (again, high_again) = Schedules::decode(&schedules.encode(high)).expect("own file");
        assert_eq!((again.len(), high_again), (schedules.len(), high));
    }
    let now = Timestamp::from_seconds(1_700_000_000);
    let mut header = b"NATS/1.0\r\nNats-Schedule: ".to_vec();
    header.extend_from_slice(bytes);
    header.extend_from_slice(b"\r\n\r\n");
    if let Ok(Some(Firing::Repeating(next))) = next_firing(&header, now, now) {
        assert!(next > now);
    }
    let mut schedules = Schedules::new();
    schedules.on_stored(1, b"subject", &header, now, now);
    schedules.on_stored(2, b"subject", bytes, now, now);
    schedules.check_invariants();
});
