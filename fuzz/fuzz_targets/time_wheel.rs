//! Any bytes decode to a wheel or fail; what decodes is written and read back unchanged, and
//! everything in it expires.
#![no_main]

use jetstream::time::Timestamp;
use jetstream::timewheel::TimeWheel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((mut wheel, high)) = TimeWheel::decode(bytes) else { return };
    assert_eq!(TimeWheel::decode(&wheel.encode(high)), Ok((wheel.clone(), high)));
    let expired = wheel.take_expired(Timestamp::from_nanos(i64::MAX));
    assert!(expired.is_sorted_by_key(|(sequence, expiry)| (*expiry, *sequence)));
    assert!(wheel.is_empty());
});
