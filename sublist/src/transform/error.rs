//! What can be wrong with a subject transform, in the reference's words (spec 03 §15.2).

use std::fmt;

/// Why a transform cannot be made, or does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// Source, destination or the subject to transform is not a valid subject for its place.
    InvalidSubject,
    /// The subject does not match the source.
    NoMatchingTransform,
    /// The destination is wrong.
    Destination {
        /// The token at fault, as it is shown; empty where none is.
        token: String,
        /// What is wrong with it.
        fault: DestinationFault,
    },
}

/// What is wrong with the destination of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationFault {
    /// An empty token, one after `>`, or white space.
    InvalidTransform,
    /// Something in double braces that is no mapping function.
    UnknownFunction,
    /// A function refers to a wildcard that the source does not have.
    IndexOutOfRange,
    /// A function lacks arguments.
    NotEnoughArguments,
    /// A function has more arguments than it takes.
    TooManyArguments,
    /// An argument is not a number, out of range, or a delimiter with a space or a dot.
    InvalidArgument,
    /// A strict transform leaves a wildcard of the source unused.
    NotUsingAllWildcards,
    /// A strict transform uses a function that cannot be reversed.
    NotSupportedForImport,
}

impl TransformError {
    pub(super) fn at(token: &[u8], fault: DestinationFault) -> Self {
        Self::Destination { token: String::from_utf8_lossy(token).into_owned(), fault }
    }
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject => f.write_str("invalid subject"),
            Self::NoMatchingTransform => f.write_str("no matching transforms available"),
            Self::Destination { token, fault } if token.is_empty() => fault.fmt(f),
            Self::Destination { token, fault } => write!(f, "{fault} in {token}"),
        }
    }
}

impl std::error::Error for TransformError {}

impl fmt::Display for DestinationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::InvalidTransform => "invalid transform",
            Self::UnknownFunction => "unknown function",
            Self::IndexOutOfRange => "wildcard index out of range",
            Self::NotEnoughArguments => "not enough arguments passed to the function",
            Self::TooManyArguments => "too many arguments passed to the function",
            Self::InvalidArgument => "function argument is invalid or in the wrong format",
            Self::NotUsingAllWildcards => "not using all of the token wildcard(s)",
            Self::NotSupportedForImport => {
                "the only mapping function allowed for import transforms is {{Wildcard()}}"
            }
        };
        write!(f, "invalid mapping destination: {what}")
    }
}
