//! `tls {}` blocks (spec 02 §5.11).

pub(in crate::config) mod files;
pub(in crate::config) mod parse;

use crate::config::secret::Secret;
use std::collections::BTreeSet;
use std::time::Duration;

/// A `tls {}` block with the files it names already read. Building a TLS configuration from it,
/// which is where certificates and keys are decoded, is the transport's work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsOptions {
    /// `cert_file`.
    pub cert_file: String,
    /// `key_file`.
    pub key_file: String,
    /// `ca_file`.
    pub ca_file: String,
    /// `verify`, also set by `verify_and_map` and `verify_cert_and_check_known_urls`: peers must
    /// present a certificate that verifies. Always set for clusters and gateways.
    pub verify: bool,
    /// `verify_and_map`: the certificate names the user.
    pub verify_and_map: bool,
    /// `verify_cert_and_check_known_urls` (clusters and gateways).
    pub check_known_urls: bool,
    /// `insecure`: do not verify the server when connecting to it.
    pub insecure: bool,
    /// `handshake_first`: the TLS handshake comes before the first INFO.
    pub handshake_first: bool,
    /// How long to wait for a handshake before INFO is sent after all; zero never falls back.
    pub handshake_first_fallback: Duration,
    /// `timeout` of the handshake, zero if not configured.
    pub timeout: Duration,
    /// `connection_rate_limit` in handshakes per second, 0 for no limit.
    pub connection_rate_limit: i64,
    /// `allow_insecure_cipher_suites`.
    pub allow_insecure_cipher_suites: bool,
    /// `cipher_suites` in order of preference; the secure ones if not configured.
    pub cipher_suites: Vec<CipherSuite>,
    /// `curve_preferences` in order of preference; all if not configured.
    pub curve_preferences: Vec<Curve>,
    /// `pinned_certs`: lower-case hex SHA-256 of accepted public keys; empty accepts all.
    pub pinned_certs: BTreeSet<String>,
    /// `min_version`.
    pub min_version: TlsVersion,
    /// `ocsp_peer`.
    pub ocsp_peer: Option<OcspPeerOptions>,
    /// The PEM files of `cert_file`/`key_file` or of `certs`, in order.
    pub certificates: Vec<CertificatePair>,
    /// The PEM content of `ca_file`.
    pub ca: Option<Vec<u8>>,
}

/// A certificate chain with its private key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CertificatePair {
    /// Where the chain was read.
    pub cert_file: String,
    /// Where the key was read.
    pub key_file: String,
    /// PEM content of the chain.
    pub chain: Vec<u8>,
    /// PEM content of the key.
    pub key: Secret,
}

/// The lowest TLS version spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A key exchange group that can be preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// X25519 with ML-KEM-768.
    X25519MlKem768,
    /// X25519.
    X25519,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// All of them, in the default order of preference.
    pub const ALL: [Curve; 5] =
        [Curve::X25519MlKem768, Curve::X25519, Curve::P256, Curve::P384, Curve::P521];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Curve::X25519MlKem768 => "X25519MLKEM768",
            Curve::X25519 => "X25519",
            Curve::P256 => "CurveP256",
            Curve::P384 => "CurveP384",
            Curve::P521 => "CurveP521",
        }
    }
}

/// A TLS cipher suite that can be named in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite {
    /// The IANA name.
    pub name: &'static str,
    /// The IANA number.
    pub id: u16,
    /// Whether it takes `allow_insecure_cipher_suites` to use it.
    pub insecure: bool,
}

const fn secure(name: &'static str, id: u16) -> CipherSuite {
    CipherSuite { name, id, insecure: false }
}

const fn insecure(name: &'static str, id: u16) -> CipherSuite {
    CipherSuite { name, id, insecure: true }
}

impl CipherSuite {
    /// Every suite a configuration may name; the secure ones first.
    pub const ALL: [CipherSuite; 25] = [
        secure("TLS_AES_128_GCM_SHA256", 0x1301),
        secure("TLS_AES_256_GCM_SHA384", 0x1302),
        secure("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
        secure("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc009),
        secure("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xc00a),
        secure("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xc013),
        secure("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xc014),
        secure("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
        secure("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
        secure("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
        secure("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
        secure("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
        secure("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
        insecure("TLS_RSA_WITH_RC4_128_SHA", 0x0005),
        insecure("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 0x000a),
        insecure("TLS_RSA_WITH_AES_128_CBC_SHA", 0x002f),
        insecure("TLS_RSA_WITH_AES_256_CBC_SHA", 0x0035),
        insecure("TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003c),
        insecure("TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009c),
        insecure("TLS_RSA_WITH_AES_256_GCM_SHA384", 0x009d),
        insecure("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", 0xc007),
        insecure("TLS_ECDHE_RSA_WITH_RC4_128_SHA", 0xc011),
        insecure("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", 0xc012),
        insecure("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xc023),
        insecure("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xc027),
    ];

    /// The suites used when none are configured.
    #[must_use]
    pub fn defaults() -> Vec<CipherSuite> {
        CipherSuite::ALL.into_iter().filter(|suite| !suite.insecure).collect()
    }
}

/// `ocsp_peer`: checking the revocation status of peers' certificates.
#[derive(Clone, Debug, PartialEq)]
pub struct OcspPeerOptions {
    /// `verify`.
    pub verify: bool,
    /// `ca_timeout`.
    pub ca_timeout: Duration,
    /// `allowed_clockskew`.
    pub allowed_clock_skew: Duration,
    /// `warn_only`.
    pub warn_only: bool,
    /// `unknown_is_good`.
    pub unknown_is_good: bool,
    /// `allow_when_ca_unreachable`.
    pub allow_when_ca_unreachable: bool,
    /// `cache_ttl_when_next_update_unset`.
    pub ttl_when_next_update_unset: Duration,
}

impl Default for OcspPeerOptions {
    fn default() -> OcspPeerOptions {
        OcspPeerOptions {
            verify: false,
            ca_timeout: Duration::from_secs(2),
            allowed_clock_skew: Duration::from_secs(30),
            warn_only: false,
            unknown_is_good: false,
            allow_when_ca_unreachable: false,
            ttl_when_next_update_unset: Duration::from_secs(3600),
        }
    }
}
