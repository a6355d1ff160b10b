//! Who this server is: its keys and the identifiers derived from them.
//!
//! A server is known by its Ed25519 public key (`N…`), made anew at every start, which is also
//! the `server_id` of INFO; a second key pair on Curve25519 (`X…`) seals what is sent to it.
//! [`nuid`] makes the identifiers of events and inboxes, [`node_hash`] the short names that
//! RAFT, routes and gateways use for a server or a cluster.

pub mod nuid;

pub use nuid::Nuid;

use nkeys::{KeyPair, KeyPairType, XKey};
use sha2::{Digest, Sha256};

/// Bytes of randomness each of the two key pairs is made from.
pub const SEED_BYTES: usize = 32;

/// The keys a server makes for itself at start.
pub struct ServerIdentity {
    key_pair: KeyPair,
    xkey: XKey,
    id: String,
    xkey_public: String,
}

impl ServerIdentity {
    /// Makes the keys from randomness the caller provides.
    ///
    /// # Errors
    /// When the signing key cannot be made from the seed.
    pub fn from_seeds(
        signing: [u8; SEED_BYTES],
        sealing: [u8; SEED_BYTES],
    ) -> Result<Self, nkeys::error::Error> {
        let key_pair = KeyPair::new_from_raw(KeyPairType::Server, signing)?;
        let xkey = XKey::new_from_raw(sealing);
        let id = key_pair.public_key();
        let xkey_public = xkey.public_key();
        Ok(ServerIdentity { key_pair, xkey, id, xkey_public })
    }

    /// The public key, `N…`: the server's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public curve key, `X…`, announced in INFO as `xkey`.
    pub fn xkey_public(&self) -> &str {
        &self.xkey_public
    }

    /// The key pair that signs in the server's name.
    pub fn key_pair(&self) -> &KeyPair {
        &self.key_pair
    }

    /// The key pair that seals and opens messages for the server.
    pub fn xkey(&self) -> &XKey {
        &self.xkey
    }
}

/// Bytes of randomness in a challenge.
pub const NONCE_SEED_BYTES: usize = 11;

/// The challenge a client signs, from randomness the caller provides ("spec 01, 3.4"): 15
/// characters of URL-safe base64, which as such are the signed bytes.
pub fn nonce(seed: [u8; NONCE_SEED_BYTES]) -> String {
    let mut text = String::with_capacity(NONCE_SEED_BYTES.div_ceil(3) * 4);
    for group in seed.chunks(3) {
        let mut bits = 0u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        // Of an incomplete group only the characters that hold some of its bits are written.
        for at in 0..=group.len() {
            let digit = (bits >> (18 - 6 * at)) & 0x3f;
            text.push(char::from(BASE64_URL[digit as usize]));
        }
    }
    text
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The alphabet of the hashes and identifiers below.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of [`node_hash`].
pub const NODE_HASH_BYTES: usize = 8;

/// The eight-character hash of a server or cluster name.
pub fn node_hash(name: &str) -> String {
    name_hash(name, NODE_HASH_BYTES)
}

/// The hash of a name at another length, at most that of a SHA-256 digest (32).
///
/// Each of the first bytes of the digest picks a character, so the distribution is slightly
/// uneven; peers of other versions compute the same.
pub fn name_hash(name: &str, length: usize) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(length).map(|byte| base62(u64::from(*byte))).collect()
}

fn base62(value: u64) -> char {
    let digit = usize::try_from(value % 62).unwrap_or_default();
    BASE62.get(digit).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_their_kind() {
        let identity = ServerIdentity::from_seeds([1; 32], [2; 32]).expect("keys");
        assert!(identity.id().starts_with('N'));
        assert!(identity.xkey_public().starts_with('X'));
        assert_eq!(identity.id().len(), 56);
        assert_eq!(identity.xkey_public().len(), 56);
    }

    #[test]
    fn the_same_seeds_make_the_same_server() {
        let first = ServerIdentity::from_seeds([1; 32], [2; 32]).expect("keys");
        let again = ServerIdentity::from_seeds([1; 32], [2; 32]).expect("keys");
        let other = ServerIdentity::from_seeds([3; 32], [4; 32]).expect("keys");
        assert_eq!(first.id(), again.id());
        assert_eq!(first.xkey_public(), again.xkey_public());
        assert_ne!(first.id(), other.id());
        assert_ne!(first.xkey_public(), other.xkey_public());
    }

    #[test]
    fn a_signature_is_verified_with_the_public_key_alone() {
        let identity = ServerIdentity::from_seeds([1; 32], [2; 32]).expect("keys");
        let signature = identity.key_pair().sign(b"nonce").expect("signed");
        let public = KeyPair::from_public_key(identity.id()).expect("a public key");
        assert!(public.verify(b"nonce", &signature).is_ok());
        assert!(public.verify(b"other", &signature).is_err());
    }

    #[test]
    fn what_is_sealed_for_the_xkey_opens_with_it() {
        let identity = ServerIdentity::from_seeds([1; 32], [2; 32]).expect("keys");
        let sender = XKey::new_from_raw([9; 32]);
        let receiver = XKey::from_public_key(identity.xkey_public()).expect("a public key");
        let sealed = sender.seal(b"secret", &receiver).expect("sealed");
        assert!(sealed.starts_with(b"xkv1"));
        assert_eq!(identity.xkey().open(&sealed, &sender).expect("opened"), b"secret");
    }

    #[test]
    fn nonces_are_url_safe_base64_without_padding() {
        assert_eq!(nonce(*b"hello world"), "aGVsbG8gd29ybGQ");
        assert_eq!(nonce([0xff; 11]), "______________8");
        assert_ne!(nonce([1; 11]), nonce([2; 11]));
    }

    #[test]
    fn name_hashes_match_those_of_other_servers() {
        // SHA-256 of "abc" begins ba 78 16 bf 8f 01 cf ea.
        assert_eq!(node_hash("abc"), "0wM5J1Lm");
        assert_eq!(name_hash("abc", 6), "0wM5J1");
        assert_eq!(node_hash("").len(), NODE_HASH_BYTES);
    }
}
