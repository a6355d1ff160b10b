//! From a `tls {}` block to what a listener's handshakes need (spec 02 §5.11, spec 03 §9.1).
//!
//! A [`ServerTls`] does not change; a reload builds another one and swaps it, so that handshakes
//! under way and connections end with what they began with.
//!
//! Where this differs from the reference: suites with CBC, RC4, 3DES or without forward secrecy and
//! the curve P-521 are not offered, because the TLS library has none of them on purpose. Naming them
//! in a configuration is accepted with a warning, as clients have others in common with the server;
//! a configuration that leaves no curve is refused.

use super::certificates;
use super::choice::Certificates;
use super::verifier::Remembering;
use crate::config::options::tls::{Curve, TlsOptions, TlsVersion};
use eventloop::rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use eventloop::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use eventloop::rustls::server::{
    NoServerSessionStorage, UnbufferedServerConnection, WebPkiClientVerifier,
};
use eventloop::rustls::version::{TLS12, TLS13};
use eventloop::rustls::{self, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The suites of TLS 1.3; a configuration cannot restrict them.
const SUITES_13: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// The suites of TLS 1.2, in the server's order of preference.
const SUITES_12: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// A listener's side of TLS.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    unverified: Arc<ServerConfig>,
    /// Whether clients must present a certificate.
    pub verify: bool,
    /// Keys of which a client must have one; empty for any.
    pub pinned: BTreeSet<String>,
    /// The handshake comes before the first INFO.
    pub handshake_first: bool,
    /// How long a client may take to begin that handshake before it gets INFO; zero for ever.
    pub fallback: Duration,
    /// When the first certificate ends.
    pub not_after: Option<SystemTime>,
    /// What an operator should know of the configuration.
    pub warnings: Vec<String>,
}

impl ServerTls {
    /// Builds what handshakes need.
    ///
    /// # Errors
    /// The text for the operator.
    pub fn new(options: &TlsOptions) -> Result<ServerTls, String> {
        let mut warnings = Vec::new();
        let suites = suites(options, &mut warnings);
        let provider = Arc::new(CryptoProvider {
            kx_groups: groups(options, &mut warnings)?,
            cipher_suites: suites.iter().chain(&SUITES_13).copied().collect(),
            ..aws_lc_rs::default_provider()
        });
        let certificates = Arc::new(load(options)?);
        let only_13 = options.min_version == TlsVersion::Tls13 || suites.is_empty();
        let versions: &[&SupportedProtocolVersion] =
            if only_13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let build = |verify: bool| -> Result<Arc<ServerConfig>, String> {
            let failed = |e: rustls::Error| format!("tls: {e}");
            let builder = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)
                .map_err(failed)?;
            let builder = if verify {
                let roots = match &options.ca {
                    Some(ca) => certificates::authorities(ca)?,
                    None => certificates::system_authorities()?,
                };
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                        .build()
                        .map_err(|e| format!("tls: {e}"))?;
                builder.with_client_cert_verifier(Arc::new(Remembering(verifier)))
            } else {
                builder.with_no_client_auth()
            };
            let mut config = builder.with_cert_resolver(certificates.clone());
            // Sessions are resumed with tickets alone, so that nothing is kept per client.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
            config.send_tls13_tickets = 1;
            config.ignore_client_order = true;
            Ok(Arc::new(config))
        };
        let config = build(options.verify)?;
        let unverified = if options.verify { build(false)? } else { config.clone() };
        Ok(ServerTls {
            config,
            unverified,
            verify: options.verify,
            pinned: options.pinned_certs.clone(),
            handshake_first: options.handshake_first,
            fallback: options.handshake_first_fallback,
            not_after: certificates.first().and_then(|c| c.cert.first()).and_then(|c| end(c)),
            warnings,
        })
    }

    /// A session for a connection that was accepted.
    ///
    /// # Errors
    /// The library's, as text.
    pub fn session(&self) -> Result<UnbufferedServerConnection, String> {
        session(&self.config)
    }

    /// The same without asking for a client's certificate: for monitoring.
    ///
    /// # Errors
    /// See [`ServerTls::session`].
    pub fn session_without_client_certificate(&self) -> Result<UnbufferedServerConnection, String> {
        session(&self.unverified)
    }
}

fn session(config: &Arc<ServerConfig>) -> Result<UnbufferedServerConnection, String> {
    UnbufferedServerConnection::new(config.clone()).map_err(|e| format!("tls: {e}"))
}

/// The certificates of a block.
fn load(options: &TlsOptions) -> Result<Certificates, String> {
    let count = options.certificates.len();
    let mut loaded = Vec::with_capacity(count);
    for (index, pair) in options.certificates.iter().enumerate() {
        let certified = certificates::load(&pair.chain, pair.key.expose().as_bytes());
        loaded.push(Arc::new(certified.map_err(|e| {
            let number = if options.cert_file.is_empty() {
                format!(" {}/{count}", index + 1)
            } else {
                String::new()
            };
            format!("error parsing X509 certificate/key pair{number}: {e}")
        })?));
    }
    Ok(Certificates::new(loaded))
}

/// The suites of TLS 1.2 that the configuration names.
fn suites(options: &TlsOptions, warnings: &mut Vec<String>) -> Vec<SupportedCipherSuite> {
    if options.cipher_suites.is_empty() {
        return SUITES_12.to_vec();
    }
    let known = |id: u16| {
        let with_id = |suite: &&SupportedCipherSuite| u16::from(suite.suite()) == id;
        SUITES_12.iter().chain(&SUITES_13).any(|suite| with_id(&suite))
    };
    // The default names suites as well that are not offered; it is nobody's wish.
    if options.cipher_suites != crate::config::options::tls::CipherSuite::defaults() {
        for suite in options.cipher_suites.iter().filter(|suite| !known(suite.id)) {
            let name = suite.name;
            warnings.push(format!("TLS cipher suite {name} is not supported and not offered"));
        }
    }
    let wanted = |suite: &SupportedCipherSuite| {
        options.cipher_suites.iter().any(|wanted| wanted.id == u16::from(suite.suite()))
    };
    SUITES_12.into_iter().filter(wanted).collect()
}

/// The key exchange groups that the configuration names, in its order.
fn groups(
    options: &TlsOptions,
    warnings: &mut Vec<String>,
) -> Result<Vec<&'static dyn SupportedKxGroup>, String> {
    let configured = match options.curve_preferences.as_slice() {
        [] => &Curve::ALL[..],
        configured => configured,
    };
    let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
    for curve in configured {
        match curve {
            Curve::X25519MlKem768 => groups.push(kx_group::X25519MLKEM768),
            Curve::X25519 => groups.push(kx_group::X25519),
            Curve::P256 => groups.push(kx_group::SECP256R1),
            Curve::P384 => groups.push(kx_group::SECP384R1),
            Curve::P521 if configured == Curve::ALL => {}
            Curve::P521 => {
                let name = curve.name();
                warnings.push(format!("TLS curve {name} is not supported and not offered"));
            }
        }
    }
    if groups.is_empty() {
        let names: Vec<&str> = configured.iter().map(|curve| curve.name()).collect();
        return Err(format!("none of the configured curves is supported: {}", names.join(", ")));
    }
    Ok(groups)
}

/// When a certificate ends.
fn end(certificate: &[u8]) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::tls::{CertificatePair, CipherSuite};

    fn pair() -> CertificatePair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        CertificatePair {
            chain: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into(),
            ..CertificatePair::default()
        }
    }

    fn options() -> TlsOptions {
        TlsOptions { certificates: vec![pair()], ..TlsOptions::default() }
    }

    fn suite(name: &str) -> CipherSuite {
        CipherSuite::ALL.into_iter().find(|suite| suite.name == name).unwrap()
    }

    fn error(options: &TlsOptions) -> String {
        ServerTls::new(options).map(|_| ()).unwrap_err()
    }

    #[test]
    fn defaults_offer_everything_without_a_warning() {
        let mut o = options();
        o.cipher_suites = CipherSuite::defaults();
        o.curve_preferences = Curve::ALL.to_vec();
        let tls = ServerTls::new(&o).unwrap();
        assert_eq!(tls.warnings, Vec::<String>::new());
        assert_eq!(tls.config.crypto_provider().cipher_suites.len(), 9);
        assert_eq!(tls.config.crypto_provider().kx_groups.len(), 4);
        assert!(tls.not_after.is_some() && !tls.verify);
    }

    #[test]
    fn suites_and_curves_that_are_not_offered_are_warned_of() {
        let mut o = options();
        o.cipher_suites = vec![
            suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
            suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ];
        o.curve_preferences = vec![Curve::P521, Curve::P256];
        let tls = ServerTls::new(&o).unwrap();
        assert_eq!(
            tls.warnings,
            [
                "TLS cipher suite TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not supported and not offered",
                "TLS curve CurveP521 is not supported and not offered",
            ]
        );
        let provider = tls.config.crypto_provider();
        assert_eq!(provider.cipher_suites.len(), 4);
        assert_eq!(provider.kx_groups.len(), 1);
        o.curve_preferences = vec![Curve::P521];
        assert_eq!(error(&o), "none of the configured curves is supported: CurveP521");
    }

    #[test]
    fn pairs_that_do_not_match_are_named_by_their_number() {
        let mut o = options();
        let mut wrong = pair();
        wrong.key = pair().key;
        o.certificates.push(wrong.clone());
        assert_eq!(
            error(&o),
            "error parsing X509 certificate/key pair 2/2: tls: private key does not match public key"
        );
        o.certificates = vec![wrong];
        o.cert_file = "server.pem".to_owned();
        assert_eq!(
            error(&o),
            "error parsing X509 certificate/key pair: tls: private key does not match public key"
        );
    }

    #[test]
    fn authorities_that_are_none_are_refused() {
        let mut o = options();
        o.verify = true;
        o.ca = Some(b"nothing".to_vec());
        assert_eq!(error(&o), "failed to parse root ca certificate");
        o.ca = Some(pair().chain);
        assert!(ServerTls::new(&o).unwrap().verify);
    }
}
