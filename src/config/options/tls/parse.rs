//! Reading a `tls {}` block (spec 02 §5.11). The first error ends the block.

use super::{CertificatePair, CipherSuite, Curve, OcspPeerOptions, TlsOptions, TlsVersion, files};
use crate::config::lang::{Kind, Table, Value};
use crate::config::load::{Loader, array, integer, seconds, string, table};
use crate::config::options::defaults;
use crate::config::report::Diagnostic;
use crate::config::text::{self, quote};

/// What a TLS block configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum TlsUse {
    /// A listener for clients or leafnodes, or connections to servers.
    Plain,
    /// Routes and gateways: both sides always verify each other.
    Peers,
}

impl TlsOptions {
    /// Reads the block and the files it names.
    pub(in crate::config) fn load(
        loader: &Loader<'_>,
        value: &Value,
        purpose: TlsUse,
    ) -> Result<TlsOptions, Diagnostic> {
        let mut options = TlsOptions::parse(value, purpose)?;
        files::read(loader.environment, &mut options)
            .map_err(|error| Diagnostic::at(value, error))?;
        if purpose == TlsUse::Peers {
            options.verify = true;
        }
        Ok(options)
    }

    fn parse(block: &Value, purpose: TlsUse) -> Result<TlsOptions, Diagnostic> {
        let mut options = TlsOptions::default();
        let fail = |value: &Value, text: String| Err(Diagnostic::at(value, text));
        for (key, value) in table(block)?.iter() {
            let name = key.to_lowercase();
            match name.as_str() {
                "cert_file" => options.cert_file = file_name(&name, value)?,
                "key_file" => options.key_file = file_name(&name, value)?,
                "ca_file" => options.ca_file = file_name(&name, value)?,
                "insecure" => options.insecure = switch(&name, value)?,
                "verify" => options.verify = switch(&name, value)?,
                "verify_and_map" => {
                    options.verify_and_map = switch(&name, value)?;
                    options.verify |= options.verify_and_map;
                }
                "verify_cert_and_check_known_urls" => {
                    options.check_known_urls = switch(&name, value)?;
                    if options.check_known_urls && purpose == TlsUse::Plain {
                        return fail(value, format!("{name} not supported in this context"));
                    }
                    options.verify |= options.check_known_urls;
                }
                "allow_insecure_cipher_suites" => {
                    options.allow_insecure_cipher_suites = switch(&name, value)?;
                }
                "cipher_suites" => {
                    options.cipher_suites = list(&name, value, |name| {
                        let suite = CipherSuite::ALL.into_iter().find(|suite| suite.name == name);
                        suite.ok_or_else(|| format!("unrecognized cipher {name}"))
                    })?;
                }
                "curve_preferences" => {
                    options.curve_preferences = list(&name, value, |name| {
                        let curve = Curve::ALL.into_iter().find(|curve| curve.name() == name);
                        curve.ok_or_else(|| format!("unrecognized curve preference {name}"))
                    })?;
                }
                "timeout" => {
                    let timeout = seconds(value).map_err(|error| {
                        Diagnostic::at(
                            value,
                            format!("error parsing tls config, 'timeout' {error}"),
                        )
                    })?;
                    options.timeout = text::seconds(timeout);
                }
                "connection_rate_limit" => {
                    options.connection_rate_limit = integer(value).map_err(|_| {
                        let text = "error parsing tls config, 'connection_rate_limit' wrong type";
                        Diagnostic::at(value, text)
                    })?;
                }
                "pinned_certs" => pinned_certs(&mut options, value)?,
                "cert_store" => return fail(value, certificate_store(value)),
                "cert_match_by" => {
                    let by = value.as_text().unwrap_or_default().to_lowercase();
                    if by.is_empty() {
                        let text = "expected 'cert_match_by' to be a valid non-empty string";
                        return fail(value, text.to_owned());
                    }
                    if !matches!(by.as_str(), "issuer" | "subject" | "thumbprint") {
                        return fail(value, "cert match by type not implemented".to_owned());
                    }
                }
                "cert_match" => {
                    if value.as_text().is_none_or(|text| text.is_empty()) {
                        let text = "expected 'cert_match' to be a valid non-empty string";
                        return fail(value, text.to_owned());
                    }
                }
                "cert_match_skip_invalid" => {
                    if !matches!(value.kind, Kind::Bool(_)) {
                        let text = "expected 'cert_match_skip_invalid' to be a boolean";
                        return fail(value, text.to_owned());
                    }
                }
                "ca_certs_match" => {
                    let items = value.as_array().unwrap_or_default();
                    if items.iter().any(|item| item.as_text().is_none()) {
                        let text = "error parsing ca_cert_match: unsupported type *conf.token \
                                    where string is expected";
                        return fail(value, text.to_owned());
                    }
                }
                "handshake_first" | "first" | "immediate" => {
                    handshake_first(&mut options, key, value)?;
                }
                "ocsp_peer" => {
                    options.ocsp_peer = Some(match &value.kind {
                        Kind::Bool(verify) => {
                            OcspPeerOptions { verify: *verify, ..OcspPeerOptions::default() }
                        }
                        // The error of the inner block is reported inside of one of the outer.
                        Kind::Table(fields) => ocsp_peer(fields)
                            .map_err(|error| Diagnostic::at(value, error.to_string()))?,
                        _ => {
                            let found = block.type_name();
                            return fail(
                                value,
                                format!("error parsing ocsp peer config: unsupported type {found}"),
                            );
                        }
                    });
                }
                "certs" | "certificates" => {
                    options.certificates = certificates(block, value)?;
                }
                "min_version" => options.min_version = min_version(value)?,
                _ => {
                    let key = quote(key);
                    return fail(value, format!("error parsing tls config, unknown field {key}"));
                }
            }
        }
        if !options.certificates.is_empty() && !options.cert_file.is_empty() {
            let text = "error parsing tls config, cannot combine 'cert_file' option with 'certs' \
                        option";
            return fail(block, text.to_owned());
        }
        let insecure: Vec<&str> =
            options.cipher_suites.iter().filter(|s| s.insecure).map(|s| s.name).collect();
        if !insecure.is_empty() && !options.allow_insecure_cipher_suites {
            let names = insecure.join(", ");
            return fail(
                block,
                format!(
                    "insecure cipher suites configured without 'allow_insecure_cipher_suites' \
                     option set: {names}"
                ),
            );
        }
        if options.cipher_suites.is_empty() {
            options.cipher_suites = CipherSuite::defaults();
        }
        if options.curve_preferences.is_empty() {
            options.curve_preferences = Curve::ALL.to_vec();
        }
        Ok(options)
    }
}

fn file_name(key: &str, value: &Value) -> Result<String, Diagnostic> {
    string(value).map_err(|_| {
        Diagnostic::at(value, format!("error parsing tls config, expected '{key}' to be filename"))
    })
}

fn switch(key: &str, value: &Value) -> Result<bool, Diagnostic> {
    match value.kind {
        Kind::Bool(on) => Ok(on),
        _ => Err(Diagnostic::at(
            value,
            format!("error parsing tls config, expected '{key}' to be a boolean"),
        )),
    }
}

/// A list of names that must not be empty.
fn list<T>(
    key: &str,
    value: &Value,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Diagnostic> {
    let items = array(value)?;
    if items.is_empty() {
        let text = format!("error parsing tls config, '{key}' cannot be empty");
        return Err(Diagnostic::at(value, text));
    }
    let parse = |item: &Value| parse(&string(item)?).map_err(|error| Diagnostic::at(item, error));
    items.iter().map(parse).collect()
}

fn pinned_certs(options: &mut TlsOptions, value: &Value) -> Result<(), Diagnostic> {
    const FORM: &str = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo";
    let Some(items) = value.as_array() else {
        return Err(Diagnostic::at(
            value,
            format!("error parsing tls config, expected 'pinned_certs' to be a list of {FORM}"),
        ));
    };
    options.pinned_certs.clear();
    for item in items {
        let key = string(item)?.to_lowercase();
        if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Diagnostic::at(
                item,
                format!(
                    "error parsing tls config, 'pinned_certs' key {key} does not look like {FORM}"
                ),
            ));
        }
        options.pinned_certs.insert(key);
    }
    Ok(())
}

/// Certificate stores exist on another operating system only, so this is always an error.
fn certificate_store(value: &Value) -> String {
    let store = value.as_text().unwrap_or_default().to_lowercase();
    match store.as_str() {
        "" => "expected 'cert_store' to be a valid non-empty string",
        "windowscurrentuser" | "windowslocalmachine" => {
            "cert_store not compatible with current operating system"
        }
        _ => "cert store type not implemented",
    }
    .to_owned()
}

fn handshake_first(options: &mut TlsOptions, key: &str, value: &Value) -> Result<(), Diagnostic> {
    let fail = |text: String| Err(Diagnostic::at(value, text));
    match &value.kind {
        Kind::Bool(on) => options.handshake_first = *on,
        Kind::String(_) => {
            let written = string(value)?;
            match written.to_lowercase().as_str() {
                "true" | "on" => options.handshake_first = true,
                "false" | "off" => options.handshake_first = false,
                "auto" | "auto_fallback" => {
                    options.handshake_first = true;
                    options.handshake_first_fallback = defaults::HANDSHAKE_FIRST_FALLBACK;
                }
                _ => match text::parse_duration(&written) {
                    Ok(delay) => {
                        options.handshake_first = true;
                        options.handshake_first_fallback = delay.clamp_to_zero();
                    }
                    Err(_) => {
                        let (key, written) = (quote(key), quote(&written));
                        return fail(format!("field {key}'s value {written} is invalid"));
                    }
                },
            }
        }
        _ => {
            let (key, found) = (quote(key), value.type_name());
            return fail(format!("field {key} should be a boolean or a string, got {found}"));
        }
    }
    Ok(())
}

fn certificates(block: &Value, value: &Value) -> Result<Vec<CertificatePair>, Diagnostic> {
    let unsupported = |at: &Value, found: &str| {
        let text = format!("error parsing certificates config: unsupported type {found}");
        Diagnostic::at(at, text)
    };
    let items = value.as_array().ok_or_else(|| unsupported(value, block.type_name()))?;
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        let fields = item.as_table().ok_or_else(|| unsupported(item, item.type_name()))?;
        let mut pair = CertificatePair::default();
        let mut last = item;
        for (key, value) in fields.iter() {
            last = value;
            let file = string(value).map_err(|_| unsupported(value, value.type_name()))?;
            match key {
                "cert_file" => pair.cert_file = file,
                "key_file" => pair.key_file = file,
                _ => {
                    let key = quote(key);
                    let text = format!("error parsing tls certs config, unknown field {key}");
                    return Err(Diagnostic::at(value, text));
                }
            }
        }
        if pair.cert_file.is_empty() || pair.key_file.is_empty() {
            let text = "error parsing certificates config: both 'cert_file' and 'cert_key' \
                        options are required";
            return Err(Diagnostic::at(last, text));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

fn min_version(value: &Value) -> Result<TlsVersion, Diagnostic> {
    let reason = match value.as_text().as_deref() {
        None => format!("'min_version' wrong type: {value}"),
        Some("1.2") => return Ok(TlsVersion::Tls12),
        Some("1.3") => return Ok(TlsVersion::Tls13),
        Some(old @ ("1.0" | "1.1")) => format!("unsupported TLS version: TLS {old}"),
        Some(unknown) => format!("unknown version: {unknown}"),
    };
    Err(Diagnostic::at(value, format!("error parsing tls config: {reason}")))
}

/// `ocsp_peer {}`. Negative numbers leave the default.
fn ocsp_peer(fields: &Table) -> Result<OcspPeerOptions, Diagnostic> {
    let mut options = OcspPeerOptions::default();
    for (key, value) in fields.iter() {
        let switch = || match value.kind {
            Kind::Bool(on) => Ok(on),
            _ => Err(unknown_peer_field(key, value)),
        };
        let seconds = || {
            seconds(value).map_err(|error| {
                let error =
                    if error == "wrong type" { "unexpected type".to_owned() } else { error };
                let text = format!("error parsing tls peer config, conversion error: {error}");
                Diagnostic::at(value, text)
            })
        };
        match key.to_lowercase().as_str() {
            "verify" => options.verify = switch()?,
            "warn_only" => options.warn_only = switch()?,
            "unknown_is_good" => options.unknown_is_good = switch()?,
            "allow_when_ca_unreachable" => options.allow_when_ca_unreachable = switch()?,
            "allowed_clockskew" => {
                // A malformed duration is reported like a wrong type here, and only here.
                let skew = seconds().map_err(|_| {
                    let text = "error parsing tls peer config, conversion error: unexpected type";
                    Diagnostic::at(value, text)
                })?;
                if skew >= 0.0 {
                    options.allowed_clock_skew = text::seconds(skew);
                }
            }
            "ca_timeout" => {
                let timeout = seconds()?;
                if timeout >= 0.0 {
                    options.ca_timeout = text::seconds(timeout);
                }
            }
            "cache_ttl_when_next_update_unset" => {
                let ttl = seconds()?;
                if ttl >= 0.0 {
                    options.ttl_when_next_update_unset = text::seconds(ttl);
                }
            }
            _ => return Err(unknown_peer_field(key, value)),
        }
    }
    Ok(options)
}

fn unknown_peer_field(key: &str, value: &Value) -> Diagnostic {
    let key = quote(key);
    Diagnostic::at(value, format!("error parsing tls peer config, unknown field [{key}]"))
}
