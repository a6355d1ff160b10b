//! Decoding and checking of the textual form of NATS keys (spec 03 §1.1).
//!
//! A key is base32 text over `prefix ‖ payload ‖ crc16`. This module only reads that text: it
//! answers "is this a public key of that type" for the configuration and hands out the decoded
//! bytes. Making keys, signing and sealing live elsewhere.

use data_encoding::BASE32_NOPAD;
use std::fmt;

/// The type of entity a key stands for, which is also the first letter of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `A…`, an account.
    Account,
    /// `C…`, a cluster.
    Cluster,
    /// `N…`, a server.
    Server,
    /// `O…`, an operator.
    Operator,
    /// `U…`, a user.
    User,
    /// `X…`, an X25519 key used for sealing, not for signing.
    Curve,
}

impl KeyType {
    const ALL: [KeyType; 6] = [
        KeyType::Account,
        KeyType::Cluster,
        KeyType::Server,
        KeyType::Operator,
        KeyType::User,
        KeyType::Curve,
    ];

    /// The prefix byte of a public key of this type.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        match self {
            KeyType::Account => 0,
            KeyType::Cluster => 2 << 3,
            KeyType::Server => 13 << 3,
            KeyType::Operator => 14 << 3,
            KeyType::User => 20 << 3,
            KeyType::Curve => 23 << 3,
        }
    }

    fn from_prefix(prefix: u8) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|t| t.prefix() == prefix)
    }
}

/// The prefix byte that marks a seed; the type of the key follows in the next five bits.
const SEED_PREFIX: u8 = 18 << 3;

/// Why a key's text was refused. The texts are the ones operators know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not base32, or too short to hold a prefix and a checksum.
    Encoding,
    /// The checksum does not match the content.
    Checksum,
    /// A well-formed key, but of another type than asked for.
    Prefix,
    /// A well-formed key, but not a seed.
    Seed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Encoding => "nkeys: invalid encoded key",
            KeyError::Checksum => "nkeys: invalid checksum",
            KeyError::Prefix => "nkeys: invalid prefix byte",
            KeyError::Seed => "nkeys: invalid seed",
        })
    }
}

impl std::error::Error for KeyError {}

/// CRC-16/XMODEM: polynomial 0x1021, start 0, nothing reflected.
fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Decodes the text to `prefix ‖ payload` after verifying the checksum.
fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    // Trailing bits that do not fill a byte are not required to be zero.
    let mut spec = BASE32_NOPAD.specification();
    spec.check_trailing_bits = false;
    let encoding = spec.encoding().map_err(|_| KeyError::Encoding)?;
    let mut raw = encoding.decode(text.as_bytes()).map_err(|_| KeyError::Encoding)?;
    if raw.len() < 4 {
        return Err(KeyError::Encoding);
    }
    let crc = raw.split_off(raw.len() - 2);
    if crc != crc16(&raw).to_le_bytes() {
        return Err(KeyError::Checksum);
    }
    Ok(raw)
}

/// Decodes a public key of the given type to its payload (32 bytes for every key made by the
/// NATS tools; the length is not part of the check, as in the reference).
///
/// # Errors
/// [`KeyError`] when the text is not a key, or a key of another type.
pub fn decode_public(kind: KeyType, text: &str) -> Result<Vec<u8>, KeyError> {
    let mut raw = decode(text)?;
    // The low three bits of the prefix byte are not part of the type.
    if raw.first().map(|b| b & 0xF8) != Some(kind.prefix()) {
        return Err(KeyError::Prefix);
    }
    Ok(raw.split_off(1))
}

/// Whether the text is a public key of the given type.
#[must_use]
pub fn is_public(kind: KeyType, text: &str) -> bool {
    decode_public(kind, text).is_ok()
}

/// The type of a public key of any kind, `None` if the text is no public key.
#[must_use]
pub fn public_key_type(text: &str) -> Option<KeyType> {
    KeyType::from_prefix(*decode(text).ok()?.first()?)
}

/// The type of key a seed makes.
///
/// # Errors
/// [`KeyError`] when the text is not a seed of a known type.
pub fn seed_type(text: &str) -> Result<KeyType, KeyError> {
    let raw = decode(text)?;
    let (Some(&first), Some(&second)) = (raw.first(), raw.get(1)) else {
        return Err(KeyError::Encoding);
    };
    if first & 0xF8 != SEED_PREFIX {
        return Err(KeyError::Seed);
    }
    KeyType::from_prefix(((first & 0x07) << 5) | ((second & 0xF8) >> 3)).ok_or(KeyError::Prefix)
}

/// A public key that can verify signatures.
#[must_use]
pub fn verifier(text: &str) -> Option<nkeys::KeyPair> {
    let kind = public_key_type(text).filter(|kind| *kind != KeyType::Curve)?;
    // Of other lengths it is none that was ever made.
    if decode_public(kind, text).ok()?.len() != 32 {
        return None;
    }
    nkeys::KeyPair::from_public_key(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the text of a key, for tests only: the product never encodes here.
    fn encode(head: &[u8], payload: &[u8]) -> String {
        let mut raw = [head, payload].concat();
        raw.extend_from_slice(&crc16(&raw).to_le_bytes());
        BASE32_NOPAD.encode(&raw)
    }

    fn seed(kind: KeyType) -> String {
        let p = kind.prefix();
        encode(&[SEED_PREFIX | (p >> 5), (p & 31) << 3], &[7; 32])
    }

    #[test]
    fn public_key_is_recognised_by_its_type_only() {
        for kind in KeyType::ALL {
            let text = encode(&[kind.prefix()], &[9; 32]);
            assert_eq!(text.len(), 56);
            assert_eq!(public_key_type(&text), Some(kind));
            for other in KeyType::ALL {
                assert_eq!(is_public(other, &text), other == kind, "{kind:?} as {other:?}");
            }
        }
    }

    #[test]
    fn first_letter_names_the_type() {
        let letters: String =
            KeyType::ALL.iter().map(|k| encode(&[k.prefix()], &[0; 32]).remove(0)).collect();
        assert_eq!(letters, "ACNOUX");
    }

    #[test]
    fn damaged_key_is_refused() {
        let text = encode(&[KeyType::User.prefix()], &[1; 32]);
        let last = if text.ends_with('A') { "B" } else { "A" };
        let damaged = format!("{}{last}", &text[..55]);
        assert_eq!(decode_public(KeyType::User, &damaged), Err(KeyError::Checksum));
        assert_eq!(decode_public(KeyType::User, &text.to_lowercase()), Err(KeyError::Encoding));
        assert_eq!(decode_public(KeyType::User, ""), Err(KeyError::Encoding));
        assert_eq!(decode_public(KeyType::User, "AAAA"), Err(KeyError::Encoding));
    }

    #[test]
    fn seed_tells_its_type_and_is_no_public_key() {
        for kind in KeyType::ALL {
            let text = seed(kind);
            assert_eq!(seed_type(&text), Ok(kind));
            assert_eq!(public_key_type(&text), None);
        }
        assert_eq!(seed_type(&encode(&[KeyType::User.prefix()], &[1; 32])), Err(KeyError::Seed));
    }

    #[test]
    fn keys_made_by_the_nats_tools_are_valid() {
        let account = "AB5UKNPVHDWBP5WODG742274I3OGY5FM3CBIFCYI4OFEH7Y23GNZPXFE";
        assert!(is_public(KeyType::Account, account));
        let user = "UBRYMDSRTC6AVJL6USKKS3FIOE466GMEU67PZDGOWYSYHWA7GSKO42VW";
        assert_eq!(decode_public(KeyType::User, user).map(|payload| payload.len()), Ok(32));
    }
}
