//! Operator mode: operators, trusted keys and account resolvers (spec 02 §5.9).

use super::{Options, defaults};
use crate::config::claims::undecorate;
use crate::config::environment;
use crate::config::lang::{Kind, Table, Value};
use crate::config::load::{Loader, boolean, duration_text, integer, string};
use crate::config::report::Diagnostic;
use crate::config::text::{SignedDuration, quote, system_error};
use crate::config::url::Url;
use crate::nkey::{self, KeyType};
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

/// How an operator JWT that stands in the configuration itself begins.
const JWT_PREFIX: &str = "eyJ";

impl Loader<'_> {
    /// `operator`: files or JWTs.
    pub(super) fn operators(&mut self, options: &mut Options, value: &Value) {
        let mut sources = Vec::new();
        match &value.kind {
            Kind::String(_) => sources.extend(value.as_text()),
            Kind::Array(items) => {
                for item in items.items() {
                    match (item.as_text(), &item.position) {
                        (Some(source), Some(_)) => sources.push(source),
                        _ => {
                            self.error(value, unsupported("operators", item));
                            break;
                        }
                    }
                }
            }
            _ => {
                let found = value.type_name();
                self.error(value, format!("error parsing operators: unsupported type {found}"));
            }
        }
        options.operators.clear();
        for source in sources {
            let operator = self.operator(&source);
            let operator = operator.map_err(|error| format!("error parsing operator JWT: {error}"));
            options.operators.extend(self.ok_at(value, operator));
        }
        let [operator] = options.operators.as_slice() else { return };
        // What is configured explicitly wins, whether it stands before or after.
        if options.account_resolver.is_none()
            && let Ok(server) = Url::parse(operator.claims.account_server_url.trim())
        {
            let url = url_with_slash(format!("{server}/accounts"));
            options.account_resolver = Some(AccountResolver::Url(url));
        }
        if options.system_account.is_empty() {
            options.system_account.clone_from(&operator.claims.system_account);
        }
    }

    fn operator(&self, source: &str) -> Result<Operator, String> {
        let content = match environment::read(self.environment, source) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(_) if source.starts_with(JWT_PREFIX) => source.to_owned(),
            Err(error) => return Err(error),
        };
        let jwt = undecorate(&content).to_owned();
        let claims = self.claims.operator(&jwt)?;
        Ok(Operator { jwt, claims })
    }

    /// `trusted_keys`.
    pub(super) fn trusted_keys(&mut self, options: &mut Options, value: &Value) {
        let mut last = value;
        match &value.kind {
            Kind::String(_) => {
                options.trusted_keys = value.as_text().map(Into::into).into_iter().collect();
            }
            Kind::Array(items) => {
                options.trusted_keys.clear();
                for item in items.items() {
                    last = item;
                    match item.as_text() {
                        Some(key) => options.trusted_keys.push(key.into()),
                        None => {
                            let found = item.type_name();
                            let text =
                                format!("error parsing trusted: unsupported type in array {found}");
                            self.error(item, text);
                        }
                    }
                }
            }
            _ => {
                let found = value.type_name();
                self.error(value, format!("error parsing trusted: unsupported type {found}"));
            }
        }
        for key in &options.trusted_keys {
            if !nkey::is_public(KeyType::Operator, key) {
                let key = quote(key);
                let text = format!("trust key {key} required to be a valid public operator nkey");
                self.error(last, text);
            }
        }
    }

    /// `resolver`.
    pub(super) fn account_resolver(
        &mut self,
        options: &mut Options,
        value: &Value,
    ) -> Result<(), Diagnostic> {
        options.account_resolver = match &value.kind {
            Kind::String(_) => match resolver_from_text(&string(value)?) {
                Ok(resolver) => resolver,
                Err(error) => return Err(Diagnostic::at(value, error)),
            },
            Kind::Table(fields) => self.directory_resolver(value, fields)?,
            _ => {
                let found = value.type_name();
                let text = format!("error parsing operator resolver, wrong type {found}");
                return Err(Diagnostic::at(value, text));
            }
        };
        if options.account_resolver.is_none() {
            self.error(
                value,
                "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing \
                 dir and type state=[FULL|CACHE])",
            );
        }
        Ok(())
    }

    fn directory_resolver(
        &mut self,
        value: &Value,
        fields: &Table,
    ) -> Result<Option<AccountResolver>, Diagnostic> {
        let text = |key: &str| fields.get(key).map(string).transpose();
        let switch = |key: &str| fields.get(key).map(boolean).transpose();
        let duration = |key: &str| match fields.get(key).map(duration_text).transpose()? {
            Some(Ok(duration)) => Ok(Some(duration)),
            Some(Err(error)) => Err(Diagnostic::at(value, error)),
            None => Ok(None),
        };
        let directory = text("dir")?.unwrap_or_default();
        let kind = text("type")?.unwrap_or_default().to_uppercase();
        let allow_delete = switch("allow_delete")?.unwrap_or_default();
        let hard_delete = switch("hard_delete")?;
        let limit = fields.get("limit").map(integer).transpose()?.unwrap_or_default();
        let ttl = duration("ttl")?.unwrap_or_default();
        let interval = duration("interval")?.unwrap_or_default();
        let timeout = duration("timeout")?;
        match kind.as_str() {
            "MEM" | "MEMORY" => return Ok(Some(AccountResolver::Memory)),
            "CACHE" | "FULL" => {}
            _ => return Ok(None),
        }
        self.check_directory(value, &directory);
        let mut resolver = DirectoryResolver {
            directory,
            limit,
            ttl: None,
            interval: interval.clamp_to_zero(),
            delete: DeleteMode::None,
            fetch_timeout: defaults::ACCOUNT_FETCH_TIMEOUT,
        };
        let cache = kind == "CACHE";
        if cache {
            if interval != SignedDuration::ZERO {
                self.error(value, "CACHE does not accept sync");
            }
            if allow_delete {
                self.error(value, "CACHE does not accept allow_delete");
            }
            if hard_delete.is_some() {
                self.error(value, "CACHE does not accept hard_delete");
            }
            if resolver.limit <= 0 {
                resolver.limit = CACHE_LIMIT;
            }
            resolver.ttl = Some(ttl.clamp_to_zero()).filter(|ttl| !ttl.is_zero());
        } else {
            if ttl != SignedDuration::ZERO {
                self.error(value, "FULL does not accept ttl");
            }
            if hard_delete.is_some() && !allow_delete {
                self.error(value, "hard_delete has no effect without delete");
            }
            resolver.delete = match (allow_delete, hard_delete) {
                (false, _) => DeleteMode::None,
                (true, Some(true)) => DeleteMode::Hard,
                (true, _) => DeleteMode::Rename,
            };
            if resolver.limit <= 0 {
                resolver.limit = i64::MAX;
            }
            if resolver.interval.is_zero() {
                resolver.interval = Duration::from_secs(60);
            }
        }
        self.create_directory(&resolver.directory).map_err(|error| Diagnostic::at(value, error))?;
        if let Some(timeout) = timeout {
            if timeout <= SignedDuration::ZERO {
                let text = format!("Fetch timeout {timeout} is too smal");
                return Err(Diagnostic::at(value, text));
            }
            resolver.fetch_timeout = timeout.clamp_to_zero();
        }
        let variant = if cache { AccountResolver::Cache } else { AccountResolver::Full };
        Ok(Some(variant(resolver)))
    }

    fn check_directory(&mut self, value: &Value, directory: &str) {
        if directory.is_empty() {
            self.error(value, "dir has no value and needs to point to a directory");
        } else if self.environment.is_writable_directory(directory) == Some(false) {
            self.error(value, "dir needs to point to an accessible directory");
        }
    }

    fn create_directory(&self, directory: &str) -> Result<(), String> {
        if self.environment.is_writable_directory(directory).is_some() {
            return Ok(());
        }
        if directory.is_empty() {
            return Err("mkdir : no such file or directory".to_owned());
        }
        self.environment
            .create_directory(directory)
            .map_err(|error| format!("mkdir {directory}: {}", system_error(&error)))
    }

    /// `resolver_preload`.
    pub(super) fn resolver_preload(&mut self, options: &mut Options, value: &Value) {
        let Some(entries) = value.as_table() else {
            self.error(value, "preload should be a map of account_public_key:account_jwt");
            return;
        };
        options.resolver_preload.clear();
        for (account, value) in entries.iter() {
            let Some(jwt) = value.as_text() else {
                self.error(value, "preload map value should be a string JWT");
                continue;
            };
            // Whether it is expired and the like is found out when it is used.
            if self.claims.account(&jwt).is_err() {
                self.error(value, "invalid account JWT");
                continue;
            }
            options.resolver_preload.insert(account.to_owned(), jwt.into());
        }
    }

    /// `resolver_pinned_accounts`.
    pub(super) fn resolver_pinned_accounts(&mut self, options: &mut Options, value: &Value) {
        let accounts = self.string_array("resolver_pinned_accounts", value);
        if let Some(accounts) = accounts {
            options.resolver_pinned_accounts = accounts.into_iter().collect();
        }
    }
}

/// JWTs kept by a caching resolver whose limit is not configured.
const CACHE_LIMIT: i64 = 1000;

/// The error for an element that is no text. Elements from environment variables are printed by
/// their own type, others by that of their wrapper.
pub(super) fn unsupported(field: &str, item: &Value) -> String {
    if item.position.is_some() {
        format!("error parsing {field}: unsupported type *conf.token where string is expected")
    } else {
        format!("error parsing {field}: unsupported type {}", item.type_name())
    }
}

fn url_with_slash(mut url: String) -> String {
    if !url.ends_with('/') {
        url.push('/');
    }
    url
}

/// `MEM` or `URL(…)`, found anywhere in the text in any case. A URL that contains the former is
/// taken for a memory resolver, as in the reference.
fn resolver_from_text(text: &str) -> Result<Option<AccountResolver>, String> {
    let lower = text.to_ascii_lowercase();
    if lower.contains("mem") {
        return Ok(Some(AccountResolver::Memory));
    }
    let Some(at) = lower.find("url") else {
        return Ok(None);
    };
    let after = text.get(at + 3..).unwrap_or_default();
    let url = after.strip_prefix('(').map_or("", |inner| {
        let inner = inner.trim_start();
        let inner = inner.strip_prefix('"').unwrap_or(inner);
        let end = inner.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(inner.len());
        let (url, rest) = inner.split_at(end);
        let rest = rest.strip_prefix('"').unwrap_or(rest).trim_start();
        if rest.starts_with(')') {
            return url;
        }
        // Without quotes or space the closing parenthesis is part of what was read.
        url.rsplit_once(')').map_or("", |(url, _)| url)
    });
    Url::parse(url.trim())
        .map_err(|_| format!("error parsing account resolver url [{}]", quote(url)))?;
    Ok(Some(AccountResolver::Url(url_with_slash(url.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_recognised_in_their_textual_forms() {
        let url = |url: &str| Ok(Some(AccountResolver::Url(url.to_owned())));
        for (text, resolver) in [
            ("MEM", Ok(Some(AccountResolver::Memory))),
            ("memory ", Ok(Some(AccountResolver::Memory))),
            ("URL(http://members.example)", Ok(Some(AccountResolver::Memory))),
            ("URL(http://h:1/jwt)", url("http://h:1/jwt/")),
            ("url( \"http://h:1/jwt/\" )", url("http://h:1/jwt/")),
            ("URL(\"http://h\")", url("http://h/")),
            ("Url", url("/")),
            ("file", Ok(None)),
            (
                "URL(http://h:port)",
                Err("error parsing account resolver url [\"http://h:port\"]".to_owned()),
            ),
        ] {
            assert_eq!(resolver_from_text(text), resolver, "{text}");
        }
    }
}
