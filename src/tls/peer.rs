//! What is known of the other side of a TLS connection: its certificates, the names in the first of
//! them (spec 03 §5.1), and whether its key is pinned (spec 03 §9.2).

use super::dn::{self, DistinguishedName};
use data_encoding::HEXLOWER;
use eventloop::rustls::pki_types::CertificateDer;
use eventloop::rustls::{CommonState, ProtocolVersion};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// A certificate the peer presented, as monitoring shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject, see [`dn::shown`].
    pub subject: String,
    /// SHA-256 of the SubjectPublicKeyInfo, lower-case hex.
    pub spki_sha256: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub cert_sha256: String,
}

/// The names in the peer's certificate that a user may be found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its e-mail addresses.
    pub emails: Vec<String>,
    /// Its DNS names.
    pub dns_names: Vec<String>,
    /// Its URIs.
    pub uris: Vec<String>,
    /// Its subject for matching; `None` where that is not possible.
    pub name: Option<DistinguishedName>,
    /// See [`dn::regrouped_with_domain_components`].
    pub subject_with_domain_components: Option<String>,
    /// See [`dn::regrouped`].
    pub subject: String,
}

/// One way to find the user of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate<'a> {
    /// The user is called like this e-mail address.
    Email(&'a str),
    /// The user is called like this DNS name.
    Dns(&'a str),
    /// The user is called like this URI.
    Uri(&'a str),
    /// The user's name, read as a distinguished name, is this one: with the parts in the same
    /// places, else in any order.
    Name(&'a DistinguishedName),
    /// The user is called like this text of the subject.
    Subject(&'a str),
}

impl Peer {
    /// Whether the certificate names nobody: nothing is tried then.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.emails.is_empty()
            && self.dns_names.is_empty()
            && self.uris.is_empty()
            && self.subject.is_empty()
            && self.subject_with_domain_components.is_none()
    }

    /// The ways to find the user, in the order in which they are tried.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let emails = self.emails.iter().map(|e| Candidate::Email(e));
        let dns = self.dns_names.iter().map(|d| Candidate::Dns(d));
        let uris = self.uris.iter().map(|u| Candidate::Uri(u));
        let name = self.name.iter().map(Candidate::Name);
        let longer = self.subject_with_domain_components.iter().map(|s| Candidate::Subject(s));
        let subject = std::iter::once(Candidate::Subject(self.subject.as_str()));
        emails.chain(dns).chain(uris).chain(name).chain(longer).chain(subject)
    }

    fn of(certificate: &X509Certificate<'_>) -> Peer {
        let subject = certificate.subject();
        let mut peer = Peer {
            name: DistinguishedName::from_subject(subject),
            subject_with_domain_components: dn::regrouped_with_domain_components(subject),
            subject: dn::regrouped(subject),
            ..Peer::default()
        };
        // A certificate whose extension cannot be read has been refused before.
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            for name in &names.value.general_names {
                match name {
                    GeneralName::RFC822Name(email) => peer.emails.push((*email).to_owned()),
                    GeneralName::DNSName(name) => peer.dns_names.push((*name).to_owned()),
                    GeneralName::URI(uri) => peer.uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }
        peer
    }
}

/// What a TLS connection agreed on, and who is at its other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsState {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite's registered name.
    pub cipher_suite: String,
    /// The handshake came before the first INFO.
    pub first: bool,
    /// The certificates the peer presented, its own first.
    pub certificates: Vec<PeerCertificate>,
    /// The same in DER.
    pub presented: Vec<Box<[u8]>>,
    /// The names in the first of them.
    pub peer: Option<Peer>,
}

impl TlsState {
    /// The state of a session whose handshake is complete.
    #[must_use]
    pub fn of(session: &CommonState, first: bool) -> TlsState {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let cipher_suite = suite
            .and_then(|suite| suite.as_str())
            .map_or_else(String::new, |name| name.replacen("TLS13_", "TLS_", 1));
        let presented = session.peer_certificates().unwrap_or_default();
        let peer = presented.first().and_then(|first| {
            X509Certificate::from_der(first).ok().map(|(_, parsed)| Peer::of(&parsed))
        });
        let certificates = presented.iter().map(|c| summary(c)).collect();
        let presented = presented.iter().map(|c| c.as_ref().into()).collect();
        TlsState { version, cipher_suite, first, certificates, presented, peer }
    }

    /// Whether the peer's key is one of these; any is while there are none.
    ///
    /// # Errors
    /// The line for the debug log.
    pub fn check_pins(&self, pinned: &BTreeSet<String>) -> Result<(), String> {
        if pinned.is_empty() {
            return Ok(());
        }
        match self.certificates.first() {
            None => {
                Err("Failed pinned cert test as client did not provide a certificate".to_owned())
            }
            Some(own) if pinned.contains(&own.spki_sha256) => Ok(()),
            Some(own) => Err(format!("Failed pinned cert test for key id: {}", own.spki_sha256)),
        }
    }
}

fn summary(certificate: &CertificateDer<'_>) -> PeerCertificate {
    let hex = |bytes: &[u8]| HEXLOWER.encode(&Sha256::digest(bytes));
    let cert_sha256 = hex(certificate);
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => PeerCertificate {
            subject: dn::shown(parsed.subject()),
            spki_sha256: hex(parsed.public_key().raw),
            cert_sha256,
        },
        Err(_) => {
            PeerCertificate { subject: String::new(), spki_sha256: String::new(), cert_sha256 }
        }
    }
}

/// A certificate as the log names it: `<subject> SHA-256: <hex>`.
#[must_use]
pub fn description(certificate: &CertificateDer<'_>) -> String {
    let PeerCertificate { subject, cert_sha256, .. } = summary(certificate);
    format!("{subject} SHA-256: {cert_sha256}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn peer(names: Vec<SanType>, common_name: &str) -> Peer {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
        Peer::of(&parsed)
    }

    #[test]
    fn candidates_come_in_the_order_of_the_specification() {
        let peer = peer(
            vec![
                SanType::URI("spiffe://localhost/a".try_into().unwrap()),
                SanType::DnsName("a.example".try_into().unwrap()),
                SanType::Rfc822Name("a@example".try_into().unwrap()),
                SanType::DnsName("b.example".try_into().unwrap()),
            ],
            "a",
        );
        let candidates: Vec<_> = peer.candidates().collect();
        let name = DistinguishedName::parse("CN=a").unwrap();
        let want = [
            Candidate::Email("a@example"),
            Candidate::Dns("a.example"),
            Candidate::Dns("b.example"),
            Candidate::Uri("spiffe://localhost/a"),
            Candidate::Name(&name),
            Candidate::Subject("CN=a"),
        ];
        assert_eq!(candidates, want);
        assert!(!peer.is_nameless());
    }

    #[test]
    fn a_certificate_without_names_is_nameless() {
        assert!(peer(Vec::new(), "").is_nameless());
    }

    #[test]
    fn pins_are_fingerprints_of_the_peers_key() {
        let pins = |pins: &[&str]| pins.iter().map(|p| (*p).to_owned()).collect::<BTreeSet<_>>();
        let mut state = TlsState::default();
        assert_eq!(state.check_pins(&pins(&[])), Ok(()));
        assert_eq!(
            state.check_pins(&pins(&["aa"])).unwrap_err(),
            "Failed pinned cert test as client did not provide a certificate"
        );
        let made = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let summary = summary(made.der());
        let key = summary.spki_sha256.clone();
        assert_eq!(key.len(), 64);
        assert_ne!(key, summary.cert_sha256);
        state.certificates.push(summary);
        assert_eq!(state.check_pins(&pins(&["aa", &key])), Ok(()));
        assert_eq!(
            state.check_pins(&pins(&["aa"])).unwrap_err(),
            format!("Failed pinned cert test for key id: {key}")
        );
    }
}
