//! Encryption at rest: key derivation, key files, sealed files, block keystreams (spec 06,
//! section 4).
//!
//! Every asset (a stream, a message block, a consumer) has a random seed. The seed lies in a key
//! file, sealed with a key derived from the operator's key and the asset's name. Small files are
//! sealed with the seed; blocks are XORed with a keystream of the seed and the nonce that stands
//! in the key file, so that each byte can be read and written where it is.

use std::fmt;

use aes::Aes256;
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{Aead, KeyInit};
use chacha20::XChaCha20;
use chacha20poly1305::XChaCha20Poly1305;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use hmac::{Hmac, Mac};
use sha2::Sha256;

type Aes256Gcm16 = AesGcm<Aes256, U16>;

const SEED_LEN: usize = 32;
/// Key files shorter than this are refused whatever their cipher.
const MIN_KEY_FILE_LEN: usize = 64;

/// Fills a buffer with bytes nobody can guess. The store never draws randomness itself.
pub type FillRandom<'a> = &'a mut dyn FnMut(&mut [u8]);

/// The ciphers of `jetstream { cipher: ... }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cipher {
    /// XChaCha20-Poly1305 and XChaCha20.
    #[default]
    ChaCha,
    /// AES-256-GCM with a nonce of 16 bytes, and AES-256-CTR.
    Aes,
}

impl Cipher {
    /// The cipher this one is converted from, or to.
    pub fn other(self) -> Cipher {
        match self {
            Cipher::ChaCha => Cipher::Aes,
            Cipher::Aes => Cipher::ChaCha,
        }
    }

    /// Bytes of a nonce.
    pub fn nonce_len(self) -> usize {
        match self {
            Cipher::ChaCha => 24,
            Cipher::Aes => 16,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cipher::ChaCha => "ChaCha20-Poly1305",
            Cipher::Aes => "AES-GCM",
        })
    }
}

/// Why something sealed could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionError {
    /// A key file of an impossible length.
    BadKeySize,
    /// No key that is known opens it.
    UnableToRecoverKeys,
    /// The data was changed, or sealed with another seed.
    Unauthentic,
}

impl fmt::Display for EncryptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EncryptionError::BadKeySize => "encryption bad key size",
            EncryptionError::UnableToRecoverKeys => "unable to recover keys",
            EncryptionError::Unauthentic => "message authentication failed",
        })
    }
}

impl std::error::Error for EncryptionError {}

/// One operator key as it applies to one account (or RAFT group).
#[derive(Clone)]
struct MasterKey {
    key: Vec<u8>,
    info: String,
}

impl MasterKey {
    fn derive(&self, context: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(self.info.as_bytes());
        mac.update(context.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The operator's encryption settings for one store.
#[derive(Clone)]
pub struct EncryptionConfig {
    current: MasterKey,
    previous: Option<MasterKey>,
    cipher: Cipher,
}

impl fmt::Debug for EncryptionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionConfig").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

impl EncryptionConfig {
    /// Settings with the configured key string. `info` is the account name, or the group name of
    /// a RAFT log.
    pub fn new(key: &str, info: &str, cipher: Cipher) -> EncryptionConfig {
        let current = MasterKey { key: key.as_bytes().to_vec(), info: info.to_owned() };
        EncryptionConfig { current, previous: None, cipher }
    }

    /// Adds the key that was in use before, which existing files may still need.
    pub fn with_previous_key(mut self, key: &str) -> EncryptionConfig {
        let info = self.current.info.clone();
        self.previous = Some(MasterKey { key: key.as_bytes().to_vec(), info });
        self
    }

    /// The cipher new files are written with.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Makes a new seed for the asset `context`, and its key file.
    pub fn generate(&self, context: &str, fill: FillRandom<'_>) -> (AssetKey, Vec<u8>) {
        let mut seed = [0u8; SEED_LEN];
        fill(&mut seed);
        let mut nonce = vec![0u8; self.cipher.nonce_len()];
        fill(&mut nonce);
        let sealed = seal(self.cipher, &self.current.derive(context), &nonce, &seed);
        let mut file = nonce.clone();
        file.extend_from_slice(&sealed);
        (AssetKey { cipher: self.cipher, seed, nonce }, file)
    }

    /// A key file for the seed of `old`, sealed as new ones are. With the same cipher the nonce
    /// stays too, and with it a block's keystream: only the key file has to be replaced.
    pub fn reseal(
        &self,
        context: &str,
        old: &AssetKey,
        fill: FillRandom<'_>,
    ) -> (AssetKey, Vec<u8>) {
        let nonce = if old.cipher == self.cipher {
            old.nonce.clone()
        } else {
            let mut nonce = vec![0u8; self.cipher.nonce_len()];
            fill(&mut nonce);
            nonce
        };
        let sealed = seal(self.cipher, &self.current.derive(context), &nonce, &old.seed);
        let mut file = nonce.clone();
        file.extend_from_slice(&sealed);
        (AssetKey { cipher: self.cipher, seed: old.seed, nonce }, file)
    }

    /// Opens a key file. The second value tells whether it must be replaced because it is of
    /// another cipher or of the previous key.
    ///
    /// # Errors
    /// [`EncryptionError::BadKeySize`] and [`EncryptionError::UnableToRecoverKeys`].
    pub fn open_key_file(
        &self,
        context: &str,
        file: &[u8],
    ) -> Result<(AssetKey, bool), EncryptionError> {
        if file.len() < MIN_KEY_FILE_LEN {
            return Err(EncryptionError::BadKeySize);
        }
        let masters = std::iter::once(&self.current).chain(&self.previous);
        for (age, master) in masters.enumerate() {
            let kek = master.derive(context);
            for cipher in [self.cipher, self.cipher.other()] {
                let Some((nonce, sealed)) = file.split_at_checked(cipher.nonce_len()) else {
                    continue;
                };
                let Some(seed) = open(cipher, &kek, nonce, sealed) else { continue };
                let Ok(seed) = <[u8; SEED_LEN]>::try_from(seed) else { continue };
                let key = AssetKey { cipher, seed, nonce: nonce.to_vec() };
                return Ok((key, age > 0 || cipher != self.cipher));
            }
        }
        Err(EncryptionError::UnableToRecoverKeys)
    }
}

/// The opened key of one asset.
#[derive(Clone)]
pub struct AssetKey {
    cipher: Cipher,
    seed: [u8; SEED_LEN],
    nonce: Vec<u8>,
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssetKey").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

impl AssetKey {
    /// The sealed form of a small file: a fresh nonce, then the sealed content.
    pub fn seal(&self, plain: &[u8], fill: FillRandom<'_>) -> Vec<u8> {
        let mut out = vec![0u8; self.cipher.nonce_len()];
        fill(&mut out);
        let sealed = seal(self.cipher, &self.seed, &out, plain);
        out.extend_from_slice(&sealed);
        out
    }

    /// The content of a sealed small file.
    ///
    /// # Errors
    /// [`EncryptionError::Unauthentic`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let (nonce, sealed) =
            sealed.split_at_checked(self.cipher.nonce_len()).ok_or(EncryptionError::Unauthentic)?;
        open(self.cipher, &self.seed, nonce, sealed).ok_or(EncryptionError::Unauthentic)
    }

    /// Encrypts or decrypts bytes of a block that lie at `offset` of its file.
    pub fn apply_keystream(&self, data: &mut [u8], offset: u64) {
        // The nonce's length belongs to the cipher since the key was made or opened.
        match self.cipher {
            Cipher::ChaCha => {
                let mut stream = XChaCha20::new_from_slices(&self.seed, &self.nonce)
                    .expect("seed and nonce have the cipher's lengths");
                stream.seek(offset);
                stream.apply_keystream(data);
            }
            Cipher::Aes => {
                let mut stream = Ctr128BE::<Aes256>::new_from_slices(&self.seed, &self.nonce)
                    .expect("seed and nonce have the cipher's lengths");
                stream.seek(offset);
                stream.apply_keystream(data);
            }
        }
    }
}

fn seal(cipher: Cipher, key: &[u8; 32], nonce: &[u8], plain: &[u8]) -> Vec<u8> {
    let sealed = match cipher {
        Cipher::ChaCha => {
            let nonce = nonce.try_into().expect("nonce has the cipher's length");
            XChaCha20Poly1305::new(key.into()).encrypt(nonce, plain)
        }
        Cipher::Aes => {
            let nonce = nonce.try_into().expect("nonce has the cipher's length");
            Aes256Gcm16::new(key.into()).encrypt(nonce, plain)
        }
    };
    sealed.expect("files are far below the ciphers' limits")
}

fn open(cipher: Cipher, key: &[u8; 32], nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    match cipher {
        Cipher::ChaCha => {
            XChaCha20Poly1305::new(key.into()).decrypt(nonce.try_into().ok()?, sealed).ok()
        }
        Cipher::Aes => Aes256Gcm16::new(key.into()).decrypt(nonce.try_into().ok()?, sealed).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0u8;
        move |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
        }
    }

    #[test]
    fn key_files_open_with_their_key_and_have_their_lengths() {
        for (cipher, len) in [(Cipher::ChaCha, 72), (Cipher::Aes, 64)] {
            let config = EncryptionConfig::new("s3cr3t", "$G", cipher);
            let (key, file) = config.generate("ORDERS", &mut counting());
            assert_eq!(file.len(), len);
            let (opened, convert) = config.open_key_file("ORDERS", &file).unwrap();
            assert!(!convert);
            assert_eq!(opened.seed, key.seed);
            assert_eq!(
                config.open_key_file("OTHER", &file).unwrap_err(),
                EncryptionError::UnableToRecoverKeys
            );
            assert_eq!(
                config.open_key_file("ORDERS", &file[..60]).unwrap_err(),
                EncryptionError::BadKeySize
            );
        }
    }

    #[test]
    fn other_cipher_and_previous_key_open_and_ask_for_conversion() {
        let old = EncryptionConfig::new("old", "$G", Cipher::Aes);
        let (key, file) = old.generate("ORDERS", &mut counting());
        let other_cipher = EncryptionConfig::new("old", "$G", Cipher::ChaCha);
        let rotated = EncryptionConfig::new("new", "$G", Cipher::ChaCha).with_previous_key("old");
        for config in [other_cipher, rotated] {
            let (opened, convert) = config.open_key_file("ORDERS", &file).unwrap();
            assert!(convert);
            assert_eq!((opened.cipher, opened.seed), (Cipher::Aes, key.seed));
        }
    }

    #[test]
    fn keystream_depends_on_the_offset_only() {
        for cipher in [Cipher::ChaCha, Cipher::Aes] {
            let config = EncryptionConfig::new("s3cr3t", "$G", cipher);
            let (key, _) = config.generate("ORDERS:1", &mut counting());
            let mut whole = vec![0u8; 1000];
            key.apply_keystream(&mut whole, 0);
            for start in [1, 63, 64, 65, 500, 999] {
                let mut part = vec![0u8; 1000 - start];
                key.apply_keystream(&mut part, start as u64);
                assert_eq!(part, whole[start..], "{cipher} from {start}");
            }
        }
    }

    #[test]
    fn sealed_files_open_and_changed_ones_do_not() {
        for cipher in [Cipher::ChaCha, Cipher::Aes] {
            let config = EncryptionConfig::new("s3cr3t", "$G", cipher);
            let (key, _) = config.generate("ORDERS", &mut counting());
            let sealed = key.seal(b"state", &mut counting());
            assert_eq!(sealed.len(), cipher.nonce_len() + 5 + 16);
            assert_eq!(key.open(&sealed).unwrap(), b"state");
            for at in 0..sealed.len() {
                let mut bad = sealed.clone();
                bad[at] ^= 1;
                assert_eq!(key.open(&bad).unwrap_err(), EncryptionError::Unauthentic);
            }
            assert_eq!(key.open(&sealed[..7]).unwrap_err(), EncryptionError::Unauthentic);
        }
    }
}
