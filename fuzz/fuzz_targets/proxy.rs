//! PROXY protocol headers cut anywhere give what they give whole and leave the
//! same bytes to the next layer; what has to be carried is bounded.
//!
//! The first byte tells the length of the pieces, the rest is the peer's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use parser::proxy::{Decoder, Outcome, ProxyError};

const MAX_CARRY: usize = 107;

fuzz_target!(|data: &[u8]| {
    let [piece_len, stream @ ..] = data else { return };
    let whole = run([stream]);
    for len in [1, usize::from(*piece_len).max(1)] {
        let cut = run(stream.chunks(len));
        assert_eq!(cut.0, whole.0, "in pieces of {len}");
        if cut.0.is_ok() {
            assert_eq!(cut.1, whole.1, "left by pieces of {len}");
        }
    }
});

/// The outcome and, once it is known, the bytes left to the next layer.
fn run<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Result<Outcome, ProxyError>, Option<Vec<u8>>) {
    let mut decoder = Decoder::new();
    let mut carry = Vec::new();
    let mut outcome = Ok(Outcome::NeedMore);
    for piece in pieces {
        carry.extend_from_slice(piece);
        if outcome != Ok(Outcome::NeedMore) {
            continue;
        }
        let mut pos = 0;
        outcome = decoder.decode(&carry, &mut pos);
        carry.drain(..pos);
        match &outcome {
            Ok(Outcome::NeedMore) => {
                assert!(carry.len() < MAX_CARRY, "carry is bounded");
                assert!(!decoder.eof_error().is_empty());
            }
            Ok(Outcome::Direct) => assert_eq!(pos, 0, "a direct connection keeps its bytes"),
            Ok(Outcome::Done(_)) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let left = (outcome != Ok(Outcome::NeedMore)).then_some(carry);
    (outcome, left)
}
