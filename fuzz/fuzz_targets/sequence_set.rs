//! Any bytes decode to a valid set or fail; what decodes is written and read back unchanged, and
//! goes on behaving as an ordered set.
#![no_main]

use jetstream::seqset::SequenceSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((mut set, len)) = SequenceSet::decode(bytes) else { return };
    assert!(len <= bytes.len());
    set.check_invariants();
    let mut encoded = Vec::new();
    set.encode_into(&mut encoded);
    assert_eq!(encoded.len(), set.encoded_len());
    assert_eq!(SequenceSet::decode(&encoded), Ok((set.clone(), encoded.len())));
    // The bytes after the set are taken as sequences to add and remove.
    for pair in bytes[len..].chunks_exact(4) {
        let sequence = u64::from(u16::from_le_bytes([pair[0], pair[1]]));
        let there = set.contains(sequence);
        if pair[2] & 1 == 0 {
            assert_eq!(set.insert(sequence), !there);
        } else {
            assert_eq!(set.remove(sequence), there);
        }
        assert_eq!(set.contains(sequence), pair[2] & 1 == 0);
    }
    set.check_invariants();
});
