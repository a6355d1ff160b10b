//! From PEM to a certificate chain with its key (spec 02 §5.11, loading).
//!
//! Errors are the texts that follow `error parsing X509 certificate/key pair: `.

use eventloop::rustls::crypto::aws_lc_rs;
use eventloop::rustls::pki_types::pem::PemObject;
use eventloop::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use eventloop::rustls::sign::{CertifiedKey, SigningKey};
use eventloop::rustls::{Error, RootCertStore, SignatureAlgorithm};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The certificates of a PEM file, in order; blocks of other types are skipped.
pub fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    // A block that is not well formed counts as text between blocks.
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// A chain with its key, checked to belong together.
///
/// # Errors
/// The text of the reference.
pub fn load(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, String> {
    let chain = chain(chain_pem);
    let Some(leaf) = chain.first() else {
        return Err("tls: failed to find any PEM data in certificate input".to_owned());
    };
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|_| "x509: malformed certificate".to_owned())?;
    let algorithm = parsed.public_key().algorithm.algorithm.to_id_string();
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| "tls: failed to parse private key".to_owned())?;
    let key = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|_| "tls: failed to parse private key".to_owned())?;
    let expected = match algorithm.as_str() {
        "1.2.840.113549.1.1.1" => SignatureAlgorithm::RSA,
        "1.2.840.10045.2.1" => SignatureAlgorithm::ECDSA,
        "1.3.101.112" => SignatureAlgorithm::ED25519,
        _ => return Err("tls: unknown public key algorithm".to_owned()),
    };
    if key.algorithm() != expected {
        return Err("tls: private key type does not match public key type".to_owned());
    }
    certified(chain, key)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
) -> Result<CertifiedKey, String> {
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A key that cannot tell its public half is taken at its word, as in the handshake.
        Ok(()) | Err(Error::InconsistentKeys(eventloop::rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(Error::InconsistentKeys(_)) => {
            Err("tls: private key does not match public key".to_owned())
        }
        Err(e) => Err(format!("tls: {e}")),
    }
}

/// The authorities of a CA file. Certificates that cannot be authorities are left out.
///
/// # Errors
/// When there is none: `failed to parse root ca certificate`.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(chain(pem));
    if added == 0 {
        return Err("failed to parse root ca certificate".to_owned());
    }
    Ok(roots)
}

/// The authorities that the system trusts.
///
/// # Errors
/// When none can be found: with them a certificate could never be verified.
pub fn system_authorities() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("no 'ca_file' is configured and the system has no root certificates".to_owned());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    fn made(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn error(chain: &str, key: &str) -> String {
        load(chain.as_bytes(), key.as_bytes()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_pair_is_loaded_whatever_its_algorithm() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let (chain, key) = made(algorithm);
            let loaded = load(chain.as_bytes(), key.as_bytes()).unwrap();
            assert_eq!(loaded.cert.len(), 1);
        }
    }

    #[test]
    fn a_pair_that_does_not_match_is_refused() {
        let (chain, _) = made(&PKCS_ECDSA_P256_SHA256);
        let (_, other) = made(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(error(&chain, &other), "tls: private key does not match public key");
        let (_, other) = made(&PKCS_ED25519);
        assert_eq!(error(&chain, &other), "tls: private key type does not match public key type");
        assert_eq!(error(&chain, &chain), "tls: failed to parse private key");
        let garbage = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
        assert_eq!(error(&chain, garbage), "tls: failed to parse private key");
        let garbage = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert_eq!(error(garbage, &other), "x509: malformed certificate");
    }

    #[test]
    fn authorities_need_at_least_one_certificate() {
        let (chain, key) = made(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(authorities(chain.as_bytes()).unwrap().len(), 1);
        for bad in
            [key.as_str(), "", "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(
                authorities(bad.as_bytes()).map(|_| ()).unwrap_err(),
                "failed to parse root ca certificate"
            );
        }
    }
}
