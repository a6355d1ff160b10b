//! `proxies {}` (spec 02 §5.13).

/// Proxies that are trusted to connect on behalf of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiesOptions {
    /// Public keys of the trusted proxies.
    pub trusted: Vec<String>,
}
