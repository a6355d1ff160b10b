//! Compression of routes and leafnode connections (spec 02 §2.4).

use crate::config::text::SignedDuration;

/// `compression` of a cluster, a leafnode listener or a leafnode remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressionOptions {
    /// The mode.
    pub mode: CompressionMode,
    /// With [`CompressionMode::S2Auto`]: round-trip times up to which a connection is not
    /// compressed, compressed fast, better; above the last one best. Zero skips a level.
    pub rtt_thresholds: Vec<SignedDuration>,
}

/// How a connection is compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CompressionMode {
    /// Nothing configured.
    #[default]
    Unset,
    /// A name as configured, not yet validated.
    Named(String),
    /// Do not take part in the negotiation at all.
    NotSupported,
    /// No compression.
    Off,
    /// Compress if the other side asks for it.
    Accept,
    /// Choose by round-trip time.
    S2Auto,
    /// S2 without compressing.
    S2Uncompressed,
    /// S2 at its fastest.
    S2Fast,
    /// S2 with better compression.
    S2Better,
    /// S2 with its best compression.
    S2Best,
}

impl CompressionMode {
    /// The name used on the wire and in monitoring; empty while unset.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            CompressionMode::Unset => "",
            CompressionMode::Named(name) => name,
            CompressionMode::NotSupported => "not supported",
            CompressionMode::Off => "off",
            CompressionMode::Accept => "accept",
            CompressionMode::S2Auto => "s2_auto",
            CompressionMode::S2Uncompressed => "s2_uncompressed",
            CompressionMode::S2Fast => "s2_fast",
            CompressionMode::S2Better => "s2_better",
            CompressionMode::S2Best => "s2_best",
        }
    }
}
