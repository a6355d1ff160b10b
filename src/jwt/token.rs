//! The outer form of a token: three parts in base64, of which the last signs the others.

use super::Base;
use super::json::Object;
use crate::nkey;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, Encoding};
use nkeys::KeyPair;
use serde::Serialize;
use sha2::{Digest, Sha512_256};
use std::fmt;
use std::sync::LazyLock;

/// The longest token that is decoded, in bytes.
pub const MAX_TOKEN_BYTES: usize = 1024 * 1024;

/// The header of the tokens that are written.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    pub(super) fn other(text: impl Into<String>) -> DecodeError {
        DecodeError(text.into())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Bits that do not fill a byte need not be zero, and line ends do not count.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64URL_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.ignore.push_str("\r\n");
    // The alphabet is that of a valid encoding.
    specification.encoding().unwrap_or(BASE64URL_NOPAD)
});

fn decode_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    BASE64.decode(text.as_bytes()).map_err(|error| {
        DecodeError(format!("illegal base64 data at input byte {}", error.position))
    })
}

/// The parts of a token, decoded.
pub(super) struct Parts<'a> {
    /// The claims, JSON.
    pub payload: Vec<u8>,
    /// The version that the header speaks of.
    pub header_version: i64,
    signature: Vec<u8>,
    /// Header and claims as they stand in the token.
    signed: &'a str,
    /// The claims alone.
    claims: &'a str,
}

/// Takes a token apart.
pub(super) fn split(token: &str) -> Result<Parts<'_>, DecodeError> {
    if token.len() > MAX_TOKEN_BYTES {
        let length = token.len();
        return Err(DecodeError(format!(
            "token size {length} exceeds maximum of {MAX_TOKEN_BYTES} bytes: token too large"
        )));
    }
    let mut chunks = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (chunks.next(), chunks.next(), chunks.next(), chunks.next())
    else {
        return Err(DecodeError("expected 3 chunks".to_owned()));
    };
    let header_version = check_header(&decode_base64(header)?)?;
    let payload = decode_base64(claims)?;
    let signature = decode_base64(signature)?;
    let signed = token.get(..header.len() + claims.len() + 1).unwrap_or_default();
    Ok(Parts { payload, header_version, signature, signed, claims })
}

fn check_header(json: &[u8]) -> Result<i64, DecodeError> {
    let json = serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(json))
        .map_err(|e| DecodeError(e.to_string()))?;
    let header = Object::of(&json, "Header")?;
    let (kind, algorithm) = (header.text("typ")?, header.text("alg")?);
    let quoted = |text: &str| parser::quote::quote(text.as_bytes());
    if !kind.eq_ignore_ascii_case("jwt") {
        return Err(DecodeError(format!("not supported type {}", quoted(&kind))));
    }
    match algorithm.to_ascii_lowercase().as_str() {
        "ed25519" => Ok(1),
        "ed25519-nkey" => Ok(2),
        _ => Err(DecodeError(format!("unexpected {} algorithm", quoted(&algorithm)))),
    }
}

impl Parts<'_> {
    /// Checks the signature; the first version of the format signs the claims alone.
    pub fn verify(&self, issuer: &str, version: i64) -> Result<(), DecodeError> {
        let (signed, name) = if version <= 1 { (self.claims, 1) } else { (self.signed, 2) };
        let key = nkey::verifier(issuer);
        if key.is_some_and(|key| key.verify(signed.as_bytes(), &self.signature).is_ok()) {
            return Ok(());
        }
        Err(DecodeError(format!("claim failed V{name} signature verification")))
    }
}

/// Signs claims: the issuer becomes the key, the time `now` (seconds since the epoch) that of
/// issue, and the id is made from the base claims.
///
/// # Errors
/// The key cannot sign, or the claims have no subject.
pub fn encode(
    base: &Base,
    nats: &impl Serialize,
    key: &KeyPair,
    now: i64,
) -> Result<String, String> {
    #[derive(Serialize)]
    struct Token<'a, T> {
        #[serde(flatten)]
        base: &'a Base,
        nats: &'a T,
    }
    if base.subject.is_empty() {
        return Err("subject is not set".to_owned());
    }
    let mut base = base.clone();
    base.issuer = key.public_key();
    base.issued_at = now;
    base.id = String::new();
    let json = crate::json::to_vec(&base).map_err(|e| e.to_string())?;
    base.id = BASE32_NOPAD.encode(&Sha512_256::digest(&json));
    let json = crate::json::to_vec(&Token { base: &base, nats }).map_err(|e| e.to_string())?;
    let mut token = BASE64URL_NOPAD.encode(HEADER.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&json, &mut token);
    let signature = key.sign(token.as_bytes()).map_err(|e| e.to_string())?;
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut token);
    Ok(token)
}
