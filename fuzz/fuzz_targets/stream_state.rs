//! Any bytes decode to a replicated stream state or fail; what decodes is written and read back
//! unchanged, as far as the format carries deletes at all.
#![no_main]

use jetstream::deletes::{ReplicatedState, count_deleted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut state) = ReplicatedState::decode(bytes) else { return };
    assert!(ReplicatedState::is_encoded(bytes));
    if state.last <= state.first || count_deleted(&state.deleted) == 0 {
        state.deleted.clear();
    }
    assert_eq!(ReplicatedState::decode(&state.encode()), Ok(state));
});
