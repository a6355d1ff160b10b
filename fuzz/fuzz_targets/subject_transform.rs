//! Transforms of any source, destination and subject: a made transform applies exactly to the
//! subjects its source matches, and a reversible one leads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sublist::subject::{is_subset_match, is_valid_literal_subject};
use sublist::transform::{SubjectTransform, validate_mapping};

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>, u32)| {
    let (source, destination, subject, bits) = input;
    if validate_mapping(&source, &destination).is_ok() {
        assert!(SubjectTransform::new(&source, &destination).is_ok());
    }
    let strict = SubjectTransform::new_strict(&source, &destination);
    let Ok(Some(transform)) = SubjectTransform::new(&source, &destination) else {
        assert!(!matches!(strict, Ok(Some(_))), "strict accepts no more than lenient does");
        return;
    };
    // Must not panic, whatever the subject.
    transform.transform(&subject, || bits);
    let takes_all = transform.source() == b">" && transform.destination() == b">";
    let applies =
        is_valid_literal_subject(&subject) && is_subset_match(&subject, transform.source());
    let result = transform.match_subject(&subject, || bits);
    assert_eq!(result.is_ok(), applies || takes_all);
    // Tokens of the source that read like functions, or match more than themselves, do not survive
    // the way back.
    let plain = source.split(|&b| b == b'.').all(|token| {
        token == b"*" || !token.iter().any(|b| b"*${".contains(b))
    });
    if let (true, Ok(there), Ok(Some(_)), Some(reverse)) =
        (plain, result, strict, transform.reverse())
    {
        if let Ok(back) = reverse.match_subject(&there, || bits) {
            assert_eq!(back, subject);
        }
    }
});
