//! A configured secret: a password, token, seed or private key.

use std::fmt;
use std::hint::black_box;

/// A text that must not be printed. Its debug form is redacted and comparing two secrets takes a
/// time that depends on their lengths alone.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that has to use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether no secret is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with bytes from elsewhere in a time that depends on the lengths alone.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(other).fold(0u8, |acc, (a, b)| acc | (a ^ b));
        // The barrier keeps the loop from being turned into an early exit.
        own.len() == other.len() && black_box(differing) == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "[REDACTED]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("s3cr3t")), "[REDACTED]");
        assert_eq!(format!("{:?}", Secret::default()), "\"\"");
    }

    #[test]
    fn secrets_are_equal_only_when_all_bytes_are() {
        let secret = Secret::new("abc");
        assert!(secret.matches(b"abc") && secret == Secret::from("abc"));
        for other in ["", "ab", "abcd", "abd", "xbc"] {
            assert!(!secret.matches(other.as_bytes()), "{other}");
        }
    }
}
