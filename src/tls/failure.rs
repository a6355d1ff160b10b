//! What a failed handshake is called in the log: the texts of the reference, which operators search
//! for and alert on (spec 01 §10).

use super::verifier;
use crate::process::errno::error_text;
use eventloop::rustls::pki_types::UnixTime;
use eventloop::rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible,
};
use std::io;

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What follows `TLS handshake error: `.
    pub text: String,
    /// The peer did not speak TLS at all, or said nothing: probes do that, and it is no error.
    pub probe: bool,
}

impl Failure {
    fn error(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), probe: false }
    }

    /// The peer closed the connection.
    #[must_use]
    pub fn end() -> Failure {
        Failure::error("EOF")
    }

    /// The time for the handshake has passed.
    #[must_use]
    pub fn timeout() -> Failure {
        Failure { text: "i/o timeout".to_owned(), probe: true }
    }

    /// The peer's certificate is none of the pinned ones.
    #[must_use]
    pub fn not_pinned() -> Failure {
        Failure::error("certificate not pinned")
    }

    /// The socket failed.
    #[must_use]
    pub fn socket(error: &io::Error) -> Failure {
        Failure::error(error_text(error))
    }

    /// The session failed; `greeted` if the peer's hello had been understood. Must be called on the
    /// thread of the handshake, before another one goes on there.
    #[must_use]
    pub fn session(error: &Error, greeted: bool) -> Failure {
        let refused = verifier::take_refused();
        if !greeted && is_not_tls(error) {
            let text = "tls: first record does not look like a TLS handshake".to_owned();
            return Failure { text, probe: true };
        }
        let mut text = text(error);
        if matches!(error, Error::InvalidCertificate(_)) && !refused.is_empty() {
            text.push_str(&format!(" ({})", refused.join("; ")));
        }
        Failure::error(text)
    }
}

/// Whether the first bytes are no record of TLS.
fn is_not_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::InvalidEmptyPayload
        )
    )
}

fn text(error: &Error) -> String {
    let own = match error {
        Error::AlertReceived(alert) => return format!("remote error: tls: {}", alert_text(*alert)),
        Error::InvalidCertificate(e) => {
            return format!("tls: failed to verify certificate: x509: {}", certificate_text(e));
        }
        Error::NoCertificatesPresented => "client didn't provide a certificate",
        Error::PeerIncompatible(e) => match e {
            PeerIncompatible::NoCipherSuitesInCommon => {
                "no cipher suite supported by both client and server"
            }
            PeerIncompatible::NoKxGroupsInCommon => {
                "no ECDHE curve supported by both client and server"
            }
            PeerIncompatible::NoSignatureSchemesInCommon => {
                "peer doesn't support any of the certificate's signature algorithms"
            }
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired => {
                "client offered only unsupported versions"
            }
            _ => return format!("tls: {error}"),
        },
        Error::General(text) if text.contains("no server certificate chain resolved") => {
            "no certificates configured"
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "unexpected message"
        }
        Error::DecryptError => "bad record MAC",
        Error::PeerSentOversizedRecord => "oversized record received",
        _ => return format!("tls: {error}"),
    };
    format!("tls: {own}")
}

fn certificate_text(error: &CertificateError) -> String {
    const VALIDITY: &str = "certificate has expired or is not yet valid";
    match error {
        // Not signed by the authority of that name is signed by another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired | CertificateError::NotValidYet => VALIDITY.to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("{VALIDITY}: current time {} is after {}", date(*time), date(*not_after))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("{VALIDITY}: current time {} is before {}", date(*time), date(*not_before))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        CertificateError::BadEncoding => "malformed certificate".to_owned(),
        other => other.to_string(),
    }
}

/// A point in time as RFC 3339 writes it.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

fn alert_text(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CloseNotify => "close notify",
        A::UnexpectedMessage => "unexpected message",
        A::BadRecordMac => "bad record MAC",
        A::DecryptionFailed => "decryption failed",
        A::RecordOverflow => "record overflow",
        A::DecompressionFailure => "decompression failure",
        A::HandshakeFailure => "handshake failure",
        A::BadCertificate => "bad certificate",
        A::UnsupportedCertificate => "unsupported certificate",
        A::CertificateRevoked => "revoked certificate",
        A::CertificateExpired => "expired certificate",
        A::CertificateUnknown => "unknown certificate",
        A::IllegalParameter => "illegal parameter",
        A::UnknownCA => "unknown certificate authority",
        A::AccessDenied => "access denied",
        A::DecodeError => "error decoding message",
        A::DecryptError => "error decrypting message",
        A::ExportRestriction => "export restriction",
        A::ProtocolVersion => "protocol version not supported",
        A::InsufficientSecurity => "insufficient security level",
        A::InternalError => "internal error",
        A::InappropriateFallback => "inappropriate fallback",
        A::UserCanceled => "user canceled",
        A::NoRenegotiation => "no renegotiation",
        A::MissingExtension => "missing extension",
        A::UnsupportedExtension => "unsupported extension",
        A::CertificateUnobtainable => "certificate unobtainable",
        A::UnrecognisedName => "unrecognized name",
        A::BadCertificateStatusResponse => "bad certificate status response",
        A::BadCertificateHashValue => "bad certificate hash value",
        A::UnknownPSKIdentity => "unknown PSK identity",
        A::CertificateRequired => "certificate required",
        A::NoApplicationProtocol => "no application protocol",
        A::EncryptedClientHelloRequired => "encrypted client hello required",
        other => return format!("alert({})", u8::from(other)),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_a_first_record_that_is_no_tls_is_a_probe() {
        let garbage = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let probe = Failure::session(&garbage, false);
        assert!(probe.probe);
        assert_eq!(probe.text, "tls: first record does not look like a TLS handshake");
        assert!(!Failure::session(&garbage, true).probe);
        assert!(!Failure::session(&Error::NoCertificatesPresented, false).probe);
        assert!(Failure::timeout().probe && !Failure::end().probe && !Failure::not_pinned().probe);
    }

    #[test]
    fn texts_are_the_ones_operators_know() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let table = [
            (
                Error::AlertReceived(AlertDescription::BadCertificate),
                "remote error: tls: bad certificate",
            ),
            (Error::NoCertificatesPresented, "tls: client didn't provide a certificate"),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ),
            (
                Error::InvalidCertificate(CertificateError::ExpiredContext {
                    time: at(1_700_000_000),
                    not_after: at(1_600_000_000),
                }),
                "tls: failed to verify certificate: x509: certificate has expired or is not yet \
                 valid: current time 2023-11-14T22:13:20Z is after 2020-09-13T12:26:40Z",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "tls: no cipher suite supported by both client and server",
            ),
            (Error::AlertReceived(AlertDescription::Unknown(99)), "remote error: tls: alert(99)"),
        ];
        for (error, want) in table {
            assert_eq!(Failure::session(&error, true).text, want);
        }
    }
}
