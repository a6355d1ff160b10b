//! Any bytes decode to a consumer's state or fail; what decodes is written and read back
//! unchanged, but for entries the format cannot tell apart from none.
#![no_main]

use jetstream::consumer::codec;
use jetstream::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut state) = codec::decode(bytes) else { return };
    // Times too far apart for the difference to be told are not kept.
    let now = Timestamp::from_seconds(1_700_000_000);
    let floor = state.ack_floor.stream;
    state.redelivered.retain(|stream, _| *stream != floor);
    assert_eq!(codec::decode(&codec::encode(&state, now)), Ok(state));
});
