//! `ocsp` and `ocsp_cache` (spec 02 §5.13).

use crate::config::lang::{Kind, Value};
use crate::config::load::{Loader, boolean, seconds, string};
use crate::config::report::Diagnostic;
use crate::config::text::{self, quote};
use std::time::Duration;

/// Stapling of the server's own certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspOptions {
    /// `mode`.
    pub mode: OcspMode,
    /// `url` used instead of the ones in the certificates.
    pub override_urls: Vec<String>,
}

/// When certificates are stapled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OcspMode {
    /// If the certificate asks for it.
    #[default]
    Auto,
    /// Always, and stop when revoked.
    Always,
    /// Never.
    Never,
    /// If the certificate asks for it, and stop when revoked.
    Must,
}

/// The cache of responses about peers' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspCacheOptions {
    /// `type: local`, as opposed to `none`.
    pub local: bool,
    /// `local_store`: the directory.
    pub local_store: String,
    /// `preserve_revoked`.
    pub preserve_revoked: bool,
    /// `save_interval`, whole seconds and at least one.
    pub save_interval: Duration,
}

impl Default for OcspCacheOptions {
    fn default() -> OcspCacheOptions {
        OcspCacheOptions {
            local: true,
            local_store: "_rc_".to_owned(),
            preserve_revoked: false,
            save_interval: Duration::from_secs(300),
        }
    }
}

impl Loader<'_> {
    pub(super) fn ocsp(
        &mut self,
        ocsp: &mut Option<OcspOptions>,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let mut options = OcspOptions { mode: OcspMode::Auto, override_urls: Vec::new() };
        match &block.kind {
            Kind::Bool(true) => {}
            Kind::Bool(false) => options.mode = OcspMode::Never,
            Kind::Table(fields) => {
                for (key, value) in fields.iter() {
                    // A wrong type is reported where the whole option is.
                    let text = |value| string(value).map_err(|e| e.wrong_type_of_block(block));
                    match key {
                        "mode" => match text(value)?.to_lowercase().as_str() {
                            "always" => options.mode = OcspMode::Always,
                            "must" => options.mode = OcspMode::Must,
                            "never" => options.mode = OcspMode::Never,
                            "auto" => options.mode = OcspMode::Auto,
                            _ => {
                                let text =
                                    "error parsing ocsp config: unsupported ocsp mode string";
                                self.error(value, text);
                            }
                        },
                        "url" => options.override_urls = vec![text(value)?],
                        // The reference knows this key but can take no value for it.
                        "urls" => {
                            let found = value.type_name();
                            let text = format!(
                                "interface conversion: interface {{}} is {found}, not []string"
                            );
                            return Err(Diagnostic::at(block, text));
                        }
                        _ => {
                            let text = "error parsing ocsp config: unsupported field string";
                            self.error(value, text);
                            return Ok(());
                        }
                    }
                }
            }
            _ => {
                let found = block.type_name();
                let text = format!("error parsing ocsp config: unsupported type {found}");
                return Err(Diagnostic::at(block, text));
            }
        }
        *ocsp = Some(options);
        Ok(())
    }
}

impl OcspCacheOptions {
    pub(super) fn parse(value: &Value) -> Result<OcspCacheOptions, Diagnostic> {
        let mut options = OcspCacheOptions::default();
        let fields = match &value.kind {
            Kind::Bool(local) => return Ok(OcspCacheOptions { local: *local, ..options }),
            Kind::Table(fields) => fields,
            _ => {
                let found = value.type_name();
                let text = format!("error parsing tags: unsupported type {found}");
                return Err(Diagnostic::at(value, text));
            }
        };
        for (key, value) in fields.iter() {
            let unknown = || {
                let key = quote(key);
                let text = format!("error parsing OCSP peer cache config, unknown field [{key}]");
                Diagnostic::at(value, text)
            };
            match key.to_lowercase().as_str() {
                "type" => {
                    let name = value.as_text().ok_or_else(unknown)?;
                    options.local = match name.to_lowercase().as_str() {
                        "local" => true,
                        "none" => false,
                        _ => {
                            let text = format!(
                                "error parsing OCSP peer cache config, unknown type [{name}]"
                            );
                            return Err(Diagnostic::at(value, text));
                        }
                    };
                }
                "local_store" => {
                    options.local_store = value.as_text().ok_or_else(unknown)?.into();
                }
                "preserve_revoked" => {
                    options.preserve_revoked = boolean(value).map_err(|_| unknown())?;
                }
                "save_interval" => {
                    let interval = seconds(value).map_err(|error| {
                        // The text of a malformed duration names the block of the peers.
                        let (block, error) = match error.as_str() {
                            "wrong type" => ("OCSP peer cache", "unexpected type"),
                            error => ("tls peer", error),
                        };
                        let text =
                            format!("error parsing {block} config, conversion error: {error}");
                        Diagnostic::at(value, text)
                    })?;
                    let whole = Duration::from_secs(text::seconds(interval).as_secs());
                    options.save_interval = whole.max(Duration::from_secs(1));
                }
                _ => return Err(unknown()),
            }
        }
        Ok(options)
    }
}
