//! Which of several certificates a client gets (`certs`).

use eventloop::rustls::client::verify_server_name;
use eventloop::rustls::pki_types::ServerName;
use eventloop::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use eventloop::rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Certificates in the order of the configuration.
#[derive(Debug)]
pub struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// The certificates of a listener; with none, every handshake fails.
    #[must_use]
    pub fn new(certificates: Vec<Arc<CertifiedKey>>) -> Certificates {
        Certificates(certificates)
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> Option<&CertifiedKey> {
        self.0.first().map(|first| &**first)
    }
}

fn suits(certificate: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
    let named = hello.server_name().is_none_or(|name| {
        let parsed = certificate.cert.first().map(ParsedCertificate::try_from);
        match (parsed, ServerName::try_from(name)) {
            (Some(Ok(parsed)), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
            _ => false,
        }
    });
    named && certificate.key.choose_scheme(hello.signature_schemes()).is_some()
}

impl ResolvesServerCert for Certificates {
    /// The first that has the name the client asked for and a key it can check, else the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suiting = match &*self.0 {
            [only] => Some(only),
            all => all.iter().find(|certificate| suits(certificate, &hello)),
        };
        suiting.or(self.0.first()).cloned()
    }
}
