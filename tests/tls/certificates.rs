//! Certificates made for a test: an authority, a server's and clients'.

use eventloop::rustls::pki_types::pem::PemObject;
use eventloop::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Pair {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }

    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// An authority, and a directory for what it issues.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub dir: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        // Authorities of one name would be taken for each other.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, dir }
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub fn issue(&self, edit: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A server's certificate for that host name.
    pub fn server(&self, name: &str) -> Pair {
        self.issue(|params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    /// A client's certificate with that common name.
    pub fn client(&self, name: &str) -> Pair {
        self.issue(|params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.distinguished_name.push(DnType::OrganizationName, "Synadia");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// Writes a pair into the directory; returns the paths of certificate and key.
    pub fn write(&self, name: &str, pair: &Pair) -> (PathBuf, PathBuf) {
        let at = |kind: &str| self.dir.path().join(format!("{name}-{kind}.pem"));
        let paths = (at("cert"), at("key"));
        std::fs::write(&paths.0, &pair.chain).unwrap();
        std::fs::write(&paths.1, &pair.key).unwrap();
        paths
    }

    /// The members of a `tls {}` block for a server with a certificate of this authority.
    pub fn server_config(&self) -> String {
        let (cert, key) = self.write("server", &self.server("localhost"));
        format!("cert_file: {cert:?}, key_file: {key:?}")
    }

    /// The member that names the authority's file.
    pub fn ca_config(&self) -> String {
        format!("ca_file: {:?}", self.dir.path().join("ca.pem"))
    }
}
