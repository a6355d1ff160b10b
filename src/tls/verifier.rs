//! Checking clients' certificates, and remembering which ones were refused: the log names them
//! (spec 01 §10), while the error of the session does not.
//!
//! A handshake's step and the report of its failure happen on one thread without another handshake
//! in between, so what was refused last on a thread belongs to the failure that is reported next.

use super::peer;
use eventloop::rustls::client::danger::HandshakeSignatureValid;
use eventloop::rustls::pki_types::{CertificateDer, UnixTime};
use eventloop::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use eventloop::rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static REFUSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The certificates refused last on this thread, as `<subject> SHA-256: <hex>`; tells them once.
pub fn take_refused() -> Vec<String> {
    REFUSED.with(|refused| std::mem::take(&mut *refused.borrow_mut()))
}

/// A verifier that remembers what it refuses.
#[derive(Debug)]
pub struct Remembering(pub Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Remembering {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now);
        if verified.is_err() {
            let all = std::iter::once(end_entity).chain(intermediates);
            let described = all.map(|certificate| peer::description(certificate)).collect();
            REFUSED.with(|refused| *refused.borrow_mut() = described);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
