//! What can go wrong with a sublist.

use std::fmt;

/// Why a sublist refused a call. The texts are those of spec 01 §14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SublistError {
    /// The subject has an empty token or an early `>`, or a notification was asked for with a
    /// wildcard. The caller's fault.
    InvalidSubject,
    /// The subscription to be removed is not there.
    NotFound,
    /// The listener is registered for this subject and queue group already.
    AlreadyRegistered,
    /// There are 2³² tokens in the trie. Memory runs out long before.
    Full,
}

impl fmt::Display for SublistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidSubject => "sublist: invalid subject",
            Self::NotFound => "sublist: no matches found",
            Self::AlreadyRegistered => "sublist: notification already registered",
            Self::Full => "sublist: too many tokens",
        })
    }
}

impl std::error::Error for SublistError {}
