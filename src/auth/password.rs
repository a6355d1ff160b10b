//! Comparing presented passwords and tokens with configured ones (spec 03 §2.6).
//!
//! A configured secret is either plain text, compared in constant time, or a bcrypt hash. Checking
//! a hash takes tens of milliseconds by design, so it is never done by a reactor: [`Check`] says
//! which of the two it is, and [`super::pool`] does the slow one.

use crate::config::secret::Secret;
use crate::process::banner::is_bcrypt;

/// Characters of a bcrypt hash: what follows them is not looked at.
const HASH_LEN: usize = 60;
/// The shortest stored hash that is looked at at all.
const MIN_HASH_LEN: usize = 59;
/// The costs that are accepted.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// The outcome of a comparison, or what is left to do for it.
#[derive(Debug)]
pub enum Check {
    /// Known at once.
    Done(bool),
    /// Takes a hash function: see [`Hashed::verify`].
    Slow(Hashed),
}

/// A presented secret to be checked against a stored hash.
#[derive(Debug)]
pub struct Hashed {
    hash: Secret,
    presented: Secret,
}

impl Hashed {
    /// The stored hash.
    pub fn hash(&self) -> &Secret {
        &self.hash
    }

    /// Whether the secret is the one that was hashed. Takes as long as the hash's cost asks for. A
    /// stored hash that is not well-formed matches nothing.
    pub fn verify(&self) -> bool {
        let hash = self.hash.expose();
        if hash.len() < MIN_HASH_LEN || !cost(hash).is_some_and(|cost| COSTS.contains(&cost)) {
            return false;
        }
        let Some(hash) = hash.get(..HASH_LEN) else { return false };
        // An error means that the hash is damaged.
        bcrypt::verify(self.presented.expose(), hash).unwrap_or(false)
    }
}

fn cost(hash: &str) -> Option<u32> {
    hash.get(4..6)?.parse().ok()
}

/// Compares a presented secret with the configured one.
pub fn check(configured: &Secret, presented: &str) -> Check {
    if is_bcrypt(configured.expose()) {
        Check::Slow(Hashed { hash: configured.clone(), presented: presented.into() })
    } else {
        Check::Done(configured.matches(presented.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(stored: &str, presented: &str) -> bool {
        match check(&stored.into(), presented) {
            Check::Done(same) => same,
            Check::Slow(hashed) => hashed.verify(),
        }
    }

    fn hashed(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    #[test]
    fn plain_secrets_match_only_as_a_whole() {
        for (stored, presented, same) in [
            ("secret", "secret", true),
            ("secret", "Secret", false),
            ("secret", "secre", false),
            ("secret", "secrets", false),
            ("secret", "", false),
            ("", "", true),
            ("", "x", false),
            ("$2a$nothash", "$2a$nothash", true),
        ] {
            assert_eq!(matches(stored, presented), same, "{stored:?} and {presented:?}");
        }
    }

    #[test]
    fn hashes_of_every_variant_match_their_password() {
        let hash = hashed("derek");
        for variant in ["2a", "2b", "2x", "2y"] {
            let stored = format!("${variant}${}", &hash[4..]);
            assert!(matches(&stored, "derek"), "{variant}");
            assert!(!matches(&stored, "derek2"), "{variant}");
            assert!(!matches(&stored, ""), "{variant}");
        }
    }

    #[test]
    fn a_hash_is_never_its_own_password() {
        let hash = hashed("derek");
        assert!(!matches(&hash, &hash));
    }

    #[test]
    fn only_the_first_72_bytes_of_a_password_count() {
        let long = "x".repeat(72);
        let hash = hashed(&long);
        assert!(matches(&hash, &format!("{long}and more")));
        assert!(!matches(&hash, &long[1..]));
    }

    #[test]
    fn damaged_hashes_match_nothing() {
        let hash = hashed("derek");
        let bad = [
            hash[..58].to_owned(),
            hash[..59].to_owned(),
            format!("$2a$03${}", &hash[7..]),
            format!("$2a$32${}", &hash[7..]),
            format!("{}!{}", &hash[..20], &hash[21..]),
            "$2a$04$".to_owned(),
            hash[..30].to_owned(),
        ];
        for stored in bad {
            assert!(!matches(&stored, "derek"), "{stored}");
        }
        assert!(matches(&format!("{hash}trailing"), "derek"));
    }
}
