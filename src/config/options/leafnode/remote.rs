//! Reading `leafnodes { remotes }` (spec 02 §5.5).

use super::{HttpProxyOptions, RemoteLeafOptions};
use crate::config::environment::Environment;
use crate::config::lang::{Kind, Value};
use crate::config::load::{Loader, boolean, string, url};
use crate::config::options::account::GLOBAL_ACCOUNT;
use crate::config::options::compression::CompressionMode;
use crate::config::options::defaults;
use crate::config::options::tls::TlsOptions;
use crate::config::options::tls::parse::TlsUse;
use crate::config::report::Diagnostic;
use crate::config::secret::Secret;
use crate::config::text::{self, quote, quote_list};
use crate::config::url::Url;
use crate::nkey::{self, KeyType};
use std::collections::HashSet;

impl Loader<'_> {
    pub(super) fn leafnode_remotes(&mut self, value: &Value) -> Option<Vec<RemoteLeafOptions>> {
        let remotes = self.leafnode_remote_list(value);
        self.ok(remotes)
    }

    fn leafnode_remote_list(
        &mut self,
        value: &Value,
    ) -> Result<Vec<RemoteLeafOptions>, Diagnostic> {
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            let text = format!("Expected remotes field to be an array, got {found}");
            return Err(Diagnostic::at(value, text));
        };
        let mut names = HashSet::new();
        let mut remotes = Vec::with_capacity(items.len());
        for item in items {
            if item.as_table().is_none() {
                let text = format!("Expected remote leafnode entry to be a map/struct, got {item}");
                self.error(item, text);
                continue;
            }
            let mut remote = RemoteLeafOptions::default();
            let (last, proxy) = self.leafnode_remote(&mut remote, item)?;
            match remote.check_proxy() {
                Err(error) => {
                    self.error(proxy.unwrap_or(item), error);
                    continue;
                }
                Ok(None) => {}
                Ok(Some(warning)) => self.warning(proxy.unwrap_or(item), warning),
            }
            if !names.insert(remote.identity()) {
                self.error(last, format!("duplicate remote {}", remote.safe_name()));
                continue;
            }
            remotes.push(remote);
        }
        Ok(remotes)
    }

    /// Fills the remote; returns the last value and that of the proxy, for error positions.
    fn leafnode_remote<'v>(
        &mut self,
        remote: &mut RemoteLeafOptions,
        entry: &'v Value,
    ) -> Result<(&'v Value, Option<&'v Value>), Diagnostic> {
        let mut last = entry;
        let mut proxy = None;
        for (key, value) in entry.as_table().into_iter().flat_map(|fields| fields.iter()) {
            last = value;
            match key.to_lowercase().as_str() {
                "no_randomize" | "dont_randomize" => remote.no_randomize = boolean(value)?,
                "url" | "urls" => self.remote_urls(remote, value),
                "account" | "local" => remote.local_account = string(value)?,
                "creds" | "credentials" => {
                    let path = expand_path(self.environment, &string(value)?);
                    if let Some(path) = self.ok_at(value, path) {
                        remote.credentials = path;
                        self.check_single_identity(remote, value);
                    }
                }
                "nkey" | "seed" => {
                    let seed = string(value)?;
                    if nkey::seed_type(&seed) == Ok(KeyType::User) {
                        remote.nkey = Secret::new(seed);
                        self.check_single_identity(remote, value);
                    } else {
                        let seed = quote(&seed);
                        let text = format!("Remote leafnode nkey is not a valid seed: {seed}");
                        self.error(value, text);
                    }
                }
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Plain);
                    if let Some(tls) = self.ok(tls) {
                        remote.tls_timeout = if tls.timeout.is_zero() {
                            defaults::LEAFNODE_TLS_TIMEOUT
                        } else {
                            tls.timeout
                        };
                        remote.tls = Some(tls);
                    }
                }
                "hub" => remote.hub = boolean(value)?,
                "deny_imports" | "deny_import" => {
                    if let Some(subjects) = self.permission_subjects(value, false) {
                        remote.deny_imports = subjects;
                    }
                }
                "deny_exports" | "deny_export" => {
                    if let Some(subjects) = self.permission_subjects(value, false) {
                        remote.deny_exports = subjects;
                    }
                }
                "ws_compress"
                | "ws_compression"
                | "websocket_compress"
                | "websocket_compression" => remote.websocket_compression = boolean(value)?,
                "ws_no_masking" | "websocket_no_masking" => {
                    remote.websocket_no_masking = boolean(value)?;
                }
                "jetstream_cluster_migrate" | "js_cluster_migrate" => {
                    self.remote_migrate(remote, value)?;
                }
                "isolate_leafnode_interest" | "isolate" => {
                    remote.local_isolation = boolean(value)?;
                }
                "request_isolation" => remote.request_isolation = boolean(value)?,
                "compression" => {
                    let result = self.compression(
                        &mut remote.compression,
                        CompressionMode::S2Auto,
                        key,
                        value,
                    );
                    self.ok(result);
                }
                "first_info_timeout" => remote.first_info_timeout = self.duration(key, value)?,
                "dial_timeout" => remote.dial_timeout = self.duration(key, value)?,
                "disabled" => remote.disabled = boolean(value)?,
                "proxy" => {
                    if value.as_table().is_some() {
                        proxy = Some(value);
                        last = self.remote_proxy(&mut remote.proxy, value)?;
                    } else {
                        let found = value.type_name();
                        self.error(value, format!("Expected proxy to be a map, got {found}"));
                    }
                }
                "ignore_discovered_servers" => {
                    remote.ignore_discovered_servers = boolean(value)?;
                }
                _ => self.unknown(key, value),
            }
        }
        Ok((last, proxy))
    }

    fn remote_urls(&mut self, remote: &mut RemoteLeafOptions, value: &Value) {
        match &value.kind {
            Kind::Array(items) => {
                if let Some(urls) = self.urls("leafnode", items.items()) {
                    remote.urls = urls;
                }
            }
            Kind::String(_) => {
                let parsed = url("leafnode", &value.as_text().unwrap_or_default());
                remote.urls.extend(self.ok_at(value, parsed));
            }
            _ => {
                let text =
                    format!("Expected remote leafnode url to be an array or string, got {value}");
                self.error(value, text);
            }
        }
    }

    fn check_single_identity(&mut self, remote: &RemoteLeafOptions, value: &Value) {
        if !remote.credentials.is_empty() && !remote.nkey.is_empty() {
            self.error(value, "Remote leafnode can not have both creds and nkey defined");
        }
    }

    fn remote_migrate(
        &mut self,
        remote: &mut RemoteLeafOptions,
        value: &Value,
    ) -> Result<(), Diagnostic> {
        match &value.kind {
            Kind::Bool(migrate) => remote.jetstream_cluster_migrate = *migrate,
            Kind::Table(fields) => {
                remote.jetstream_cluster_migrate = true;
                if let Some(delay) = fields.get("leader_migrate_delay") {
                    remote.jetstream_cluster_migrate_delay = self
                        .duration("leader_migrate_delay", delay)
                        .map_err(|error| error.wrong_type_of_block(value))?;
                }
            }
            _ => {
                let found = value.type_name();
                self.report.errors.push(Diagnostic::general(format!(
                    "Expected boolean or map for jetstream_cluster_migrate, got {found}"
                )));
            }
        }
        Ok(())
    }

    fn remote_proxy<'v>(
        &mut self,
        proxy: &mut HttpProxyOptions,
        block: &'v Value,
    ) -> Result<&'v Value, Diagnostic> {
        let mut last = block;
        for (key, value) in block.as_table().into_iter().flat_map(|fields| fields.iter()) {
            last = value;
            match key.to_lowercase().as_str() {
                "url" => proxy.url = string(value)?.into(),
                "username" => proxy.username = string(value)?,
                "password" => proxy.password = string(value)?.into(),
                "timeout" => proxy.timeout = self.signed_duration("proxy timeout", value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(last)
    }
}

impl RemoteLeafOptions {
    /// What tells this remote from others, across reloads. Contains secrets: for comparing only.
    #[must_use]
    pub fn identity(&self) -> String {
        let optional = match (self.credentials.as_str(), self.nkey.expose()) {
            ("", "") => String::new(),
            ("", nkey) => format!(", nkey={}", quote(nkey)),
            (credentials, _) => format!(", credentials={}", quote(credentials)),
        };
        self.name_with(self.urls.iter().map(Url::to_string), &optional)
    }

    /// The same without secrets, for logs and messages.
    #[must_use]
    pub fn safe_name(&self) -> String {
        let optional = if !self.credentials.is_empty() {
            format!(", credentials={}", quote(&self.credentials))
        } else if !self.nkey.is_empty() {
            ", nkey=\"[REDACTED]\"".to_owned()
        } else {
            String::new()
        };
        self.name_with(self.urls.iter().map(|url| url.redacted().to_string()), &optional)
    }

    fn name_with(&self, urls: impl Iterator<Item = String>, optional: &str) -> String {
        let account = match self.local_account.as_str() {
            "" => GLOBAL_ACCOUNT,
            account => account,
        };
        format!("urls={}, account={}{optional}", quote_list(urls), quote(account))
    }

    /// Checks the proxy against the URLs. A proxy that will not be used is a warning.
    ///
    /// # Errors
    /// The reason.
    pub(in crate::config) fn check_proxy(&self) -> Result<Option<&'static str>, String> {
        let proxy = &self.proxy;
        if proxy.url.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(proxy.url.expose())
            .map_err(|error| format!("invalid proxy URL: {error}"))?;
        if url.scheme != "http" && url.scheme != "https" {
            return Err(format!("proxy URL scheme must be http or https, got: {}", url.scheme));
        }
        if url.host.is_empty() {
            return Err("proxy URL must specify a host".to_owned());
        }
        if proxy.timeout.is_negative() {
            return Err("proxy timeout must be >= 0".to_owned());
        }
        if proxy.username.is_empty() != proxy.password.is_empty() {
            return Err(
                "proxy username and password must both be specified or both be empty".to_owned()
            );
        }
        let websocket = |url: &&Url| url.scheme == "ws" || url.scheme == "wss";
        if let Some(url) = self.urls.iter().find(|url| url.scheme == "wss")
            && self.tls.is_none()
        {
            return Err(format!(
                "proxy is configured but remote URL {url} requires TLS and no TLS configuration is \
                 provided. When using proxy with TLS endpoints, ensure TLS is properly configured \
                 for the leafnode remote"
            ));
        }
        let proxied = self.urls.iter().filter(websocket).count();
        Ok(if self.urls.is_empty() || proxied == self.urls.len() {
            None
        } else if proxied == 0 {
            Some(
                "proxy configuration will be ignored: proxy settings only apply to WebSocket \
                 connections (ws:// or wss://), but all configured URLs use TCP connections \
                 (nats://)",
            )
        } else {
            Some(
                "proxy configuration will only be used for WebSocket URLs: proxy settings do not \
                 apply to TCP connections (nats://)",
            )
        })
    }
}

/// Replaces `$NAME` and `${NAME}` by environment variables, and a leading tilde by `$HOME`.
fn expand_path(environment: &dyn Environment, path: &str) -> Result<String, String> {
    let variable = |name: &str| {
        let value = environment.variable(name).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    };
    let mut expanded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, remaining) = shell_name(after);
        match name {
            Some(name) => expanded.push_str(&variable(name)),
            // Malformed braces are swallowed; a dollar sign before anything else stays.
            None if after.starts_with('{') => {}
            None => expanded.push('$'),
        }
        rest = remaining;
    }
    expanded.push_str(rest);
    let Some(below_home) = expanded.strip_prefix('~') else {
        return Ok(expanded);
    };
    match variable("HOME") {
        home if home.is_empty() => Err("failed to get home dir, require $HOME".to_owned()),
        home => Ok(text::join_path(&home, below_home)),
    }
}

/// The name of a variable after its dollar sign, and what follows it.
fn shell_name(text: &str) -> (Option<&str>, &str) {
    if let Some(braced) = text.strip_prefix('{') {
        return match braced.split_once('}') {
            Some(("", rest)) => (None, rest),
            Some((name, rest)) => (Some(name), rest),
            None => (None, braced),
        };
    }
    let name_end = match text.chars().next() {
        // Special parameters have one character.
        Some('*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9') => 1,
        _ => text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at(name_end);
    ((!name.is_empty()).then_some(name), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Without a home directory where there is none.
    struct Variables(Option<&'static str>);

    impl Environment for Variables {
        fn read_file(&self, _: &str) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn variable(&self, name: &str) -> Option<Vec<u8>> {
            match name {
                "HOME" => self.0.map(|home| home.as_bytes().to_vec()),
                "DIR" => Some(b"creds".to_vec()),
                _ => None,
            }
        }
        fn is_writable_directory(&self, _: &str) -> Option<bool> {
            None
        }
        fn create_directory(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn credential_paths_are_expanded_like_in_a_shell() {
        for (path, expanded) in [
            ("a.creds", "a.creds"),
            ("~/a.creds", "/home/nats/a.creds"),
            ("$HOME/a.creds", "/home/nats/a.creds"),
            ("/x/a.creds", "/x/a.creds"),
            ("$DIR/a.creds", "creds/a.creds"),
            ("x/${DIR}y/$DIR", "x/credsy/creds"),
            ("$UNSET/a", "/a"),
            ("a$", "a$"),
            ("a$/b", "a$/b"),
            ("a${}b", "ab"),
            ("a${b", "ab"),
        ] {
            let expansion = expand_path(&Variables(Some("/home/nats")), path);
            assert_eq!(expansion.as_deref(), Ok(expanded), "{path}");
        }
        assert!(expand_path(&Variables(None), "~/a.creds").is_err());
    }

    #[test]
    fn names_of_remotes_hide_secrets() {
        let remote = RemoteLeafOptions {
            urls: vec![Url::parse("nats://u:p@h:1").unwrap()],
            nkey: "SUSEED".into(),
            ..RemoteLeafOptions::default()
        };
        assert_eq!(
            remote.safe_name(),
            r#"urls=["nats://u:xxxxx@h:1"], account="$G", nkey="[REDACTED]""#
        );
        assert_eq!(remote.identity(), r#"urls=["nats://u:p@h:1"], account="$G", nkey="SUSEED""#);
        let remote = RemoteLeafOptions {
            credentials: "a.creds".to_owned(),
            local_account: "A".to_owned(),
            ..RemoteLeafOptions::default()
        };
        assert_eq!(remote.safe_name(), r#"urls=[], account="A", credentials="a.creds""#);
        // Names in quotes cannot be mistaken for one another.
        let named = |account: &str, credentials: &str| RemoteLeafOptions {
            local_account: account.to_owned(),
            credentials: credentials.to_owned(),
            ..RemoteLeafOptions::default()
        };
        assert_ne!(
            named("A", "creds").identity(),
            named("A\", credentials=\"creds", "").identity()
        );
    }
}
