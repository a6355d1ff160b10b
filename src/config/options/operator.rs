//! Operator mode: operators, trusted keys and account resolvers (spec 02 §5.9).

use std::time::Duration;

/// A configured operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// The JWT.
    pub jwt: String,
    /// What it says, as far as the configuration depends on it.
    pub claims: OperatorClaims,
}

/// The claims of an operator JWT the configuration depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorClaims {
    /// `sub`, the operator's public key.
    pub subject: String,
    /// `account_server_url`.
    pub account_server_url: String,
    /// `system_account`.
    pub system_account: String,
    /// `signing_keys`.
    pub signing_keys: Vec<String>,
    /// `assert_server_version`.
    pub assert_server_version: String,
    /// `strict_signing_key_usage`.
    pub strict_signing_key_usage: bool,
}

/// Where account JWTs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountResolver {
    /// `MEMORY`: only those in the configuration and those pushed.
    Memory,
    /// `URL(…)`: fetched from a server. The URL ends with a slash.
    Url(String),
    /// `type: full`: all of them, in a directory, kept in step with the other servers.
    Full(DirectoryResolver),
    /// `type: cache`: those in use, in a directory, looked up from the other servers.
    Cache(DirectoryResolver),
}

/// A resolver that keeps account JWTs in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryResolver {
    /// `dir`.
    pub directory: String,
    /// `limit`: most JWTs kept.
    pub limit: i64,
    /// `ttl` of a cached JWT, `None` for ever. Only with a cache.
    pub ttl: Option<Duration>,
    /// `interval` between synchronisations. Only with a full one.
    pub interval: Duration,
    /// `allow_delete` and `hard_delete`. Only with a full one.
    pub delete: DeleteMode,
    /// `timeout` of a look-up.
    pub fetch_timeout: Duration,
}

/// What deleting an account does to its JWT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteMode {
    /// Deleting is not allowed.
    #[default]
    None,
    /// The file is renamed.
    Rename,
    /// The file is removed.
    Hard,
}
