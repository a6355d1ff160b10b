//! The files a `tls {}` block names: read once, when the configuration is, and checked: what cannot
//! be used is an error of the configuration.

use super::{CertificatePair, TlsOptions};
use crate::config::environment::{self, Environment};
use crate::config::secret::Secret;
use crate::tls::certificates;
use data_encoding::BASE64;

/// Reads certificates, keys and authorities.
///
/// # Errors
/// The text of the error; the caller knows the position.
pub(in crate::config) fn read(
    environment: &dyn Environment,
    options: &mut TlsOptions,
) -> Result<(), String> {
    match (options.cert_file.is_empty(), options.key_file.is_empty()) {
        (false, true) => return Err("missing 'key_file' in TLS configuration".to_owned()),
        (true, false) => return Err("missing 'cert_file' in TLS configuration".to_owned()),
        (false, false) => {
            let mut pair = CertificatePair {
                cert_file: options.cert_file.clone(),
                key_file: options.key_file.clone(),
                ..CertificatePair::default()
            };
            read_pair(environment, &mut pair)
                .map_err(|error| format!("error parsing X509 certificate/key pair: {error}"))?;
            options.certificates = vec![pair];
        }
        (true, true) => {
            let count = options.certificates.len();
            for (index, pair) in options.certificates.iter_mut().enumerate() {
                read_pair(environment, pair).map_err(|error| {
                    let number = index + 1;
                    format!("error parsing X509 certificate/key pair {number}/{count}: {error}")
                })?;
            }
        }
    }
    if !options.ca_file.is_empty() {
        let ca = environment::read(environment, &options.ca_file)?;
        if !block_types(&ca).iter().any(|kind| kind == CERTIFICATE) {
            return Err("failed to parse root ca certificate".to_owned());
        }
        options.ca = Some(ca);
    }
    Ok(())
}

const CERTIFICATE: &str = "CERTIFICATE";

fn read_pair(environment: &dyn Environment, pair: &mut CertificatePair) -> Result<(), String> {
    pair.chain = environment::read(environment, &pair.cert_file)?;
    let key = environment::read(environment, &pair.key_file)?;
    check_chain(&block_types(&pair.chain))?;
    check_key(&block_types(&key))?;
    certificates::load(&pair.chain, &key)?;
    pair.key = Secret::new(String::from_utf8_lossy(&key));
    Ok(())
}

fn is_key(kind: &str) -> bool {
    kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY")
}

fn check_chain(kinds: &[String]) -> Result<(), String> {
    if kinds.iter().any(|kind| kind == CERTIFICATE) {
        return Ok(());
    }
    Err(match kinds {
        [] => "tls: failed to find any PEM data in certificate input".to_owned(),
        [kind] if kind.ends_with("PRIVATE KEY") => {
            "tls: failed to find certificate PEM data in certificate input, but did find a \
             private key; PEM inputs may have been switched"
                .to_owned()
        }
        _ => format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping \
             PEM blocks of the following types: [{}]",
            kinds.join(" ")
        ),
    })
}

fn check_key(kinds: &[String]) -> Result<(), String> {
    if kinds.iter().any(|kind| is_key(kind)) {
        return Ok(());
    }
    Err(match kinds {
        [] => "tls: failed to find any PEM data in key input".to_owned(),
        [kind] if kind == CERTIFICATE => {
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned()
        }
        _ => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after \
             skipping PEM blocks of the following types: [{}]",
            kinds.join(" ")
        ),
    })
}

/// The types of the PEM blocks in a file, in order. Blocks that are not well formed do not count.
fn block_types(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let mut kinds = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim_end) {
        let label = |prefix: &str| line.strip_prefix(prefix)?.strip_suffix("-----");
        if let Some(kind) = label("-----BEGIN ") {
            open = Some((kind.to_owned(), String::new()));
        } else if let Some(kind) = label("-----END ") {
            if let Some((begun, body)) = open.take()
                && begun == kind
                && BASE64.decode(body.as_bytes()).is_ok()
            {
                kinds.push(begun);
            }
        } else if let Some((_, body)) = &mut open
            && !line.contains(':')
        {
            body.push_str(line.trim());
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(kind: &str) -> String {
        format!("text before\n-----BEGIN {kind}-----\nAQID\nBAUG\n-----END {kind}-----\n")
    }

    #[test]
    fn blocks_are_found_by_type() {
        let both = format!("{}{}", pem("EC PARAMETERS"), pem("EC PRIVATE KEY"));
        assert_eq!(block_types(both.as_bytes()), ["EC PARAMETERS", "EC PRIVATE KEY"]);
        let broken = "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n";
        assert!(block_types(broken.as_bytes()).is_empty());
        assert!(block_types(b"-----BEGIN CERTIFICATE-----\nAQID\n").is_empty());
    }

    #[test]
    fn switched_files_are_named() {
        let certificate = block_types(pem("CERTIFICATE").as_bytes());
        let key = block_types(pem("PRIVATE KEY").as_bytes());
        assert_eq!((check_chain(&certificate), check_key(&key)), (Ok(()), Ok(())));
        assert!(check_chain(&key).unwrap_err().ends_with("PEM inputs may have been switched"));
        assert!(check_key(&certificate).unwrap_err().contains("a certificate rather than a key"));
        assert_eq!(
            check_chain(&[]).unwrap_err(),
            "tls: failed to find any PEM data in certificate input"
        );
        let other = ["A".to_owned(), "B".to_owned()];
        assert!(check_chain(&other).unwrap_err().ends_with("following types: [A B]"));
        assert!(check_key(&other).unwrap_err().ends_with("following types: [A B]"));
    }
}
