//! `ocsp` and `ocsp_cache` (spec 02 §5.13).

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
