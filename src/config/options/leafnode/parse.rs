//! Reading `leafnodes {}` but for its remotes (spec 02 §5.3).

use super::{LeafNodeOptions, LeafUser};
use crate::config::lang::Value;
use crate::config::load::{Loader, boolean, port, string, table};
use crate::config::options::compression::CompressionMode;
use crate::config::options::tls::TlsOptions;
use crate::config::options::tls::parse::TlsUse;
use crate::config::options::{Options, Switch};
use crate::config::report::Diagnostic;
use crate::config::text::quote;
use crate::nkey::{self, KeyType};
use std::collections::HashSet;

impl Loader<'_> {
    pub(in crate::config::options) fn leafnodes(&mut self, options: &mut Options, block: &Value) {
        let result = self.leafnodes_block(options, block);
        self.ok(result);
    }

    fn leafnodes_block(&mut self, options: &mut Options, block: &Value) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let found = block.type_name();
            let text = format!("Expected map to define a leafnode, got {found}");
            return Err(Diagnostic::at(block, text));
        };
        for (key, value) in fields.iter() {
            let leafnode = &mut options.leafnode;
            match key.to_lowercase().as_str() {
                "listen" => self.listen(value, &mut leafnode.host, &mut leafnode.port),
                "port" => leafnode.port = port(value)?,
                "host" | "net" => leafnode.host = string(value)?,
                "authorization" => {
                    self.leafnode_authorization(leafnode, value)?;
                    self.ok_at(value, leafnode.check_authorization());
                }
                "remotes" => {
                    if let Some(remotes) = self.leafnode_remotes(value) {
                        leafnode.remotes = remotes;
                    }
                }
                "reconnect" | "reconnect_delay" | "reconnect_interval" => {
                    leafnode.reconnect_interval = self.duration("reconnect", value)?;
                }
                "dial_timeout" => leafnode.dial_timeout = self.duration("dial_timeout", value)?,
                "tls" => {
                    let tls = TlsOptions::load(self, value, TlsUse::Plain);
                    if let Some(tls) = self.ok(tls) {
                        leafnode.tls_timeout = tls.timeout;
                        leafnode.tls = Some(tls);
                    }
                }
                "leafnode_advertise" | "advertise" => leafnode.advertise = string(value)?,
                "no_advertise" => {
                    let on = boolean(value)?;
                    options.set_switch(Switch::LeafNodeNoAdvertise, on);
                }
                "min_version" | "minimum_version" => {
                    let version = string(value)?;
                    if self.ok_at(value, check_min_version(&version)).is_some() {
                        leafnode.min_version = version;
                    }
                }
                "compression" => {
                    let result = self.compression(
                        &mut leafnode.compression,
                        CompressionMode::S2Auto,
                        key,
                        value,
                    );
                    self.ok(result);
                }
                "isolate_leafnode_interest" | "isolate" => {
                    leafnode.isolate_interest = boolean(value)?;
                }
                "write_deadline" => {
                    leafnode.write_deadline = self.duration("write_deadline", value)?;
                }
                "write_timeout" => leafnode.write_timeout = self.write_timeout(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    fn leafnode_authorization(
        &mut self,
        leafnode: &mut LeafNodeOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        for (key, value) in table(block)?.iter() {
            match key.to_lowercase().as_str() {
                "user" | "username" => leafnode.username = string(value)?,
                "pass" | "password" => leafnode.password = string(value)?.into(),
                "nkey" => {
                    leafnode.nkey = string(value)?;
                    if !nkey::is_public(KeyType::User, &leafnode.nkey) {
                        self.error(value, "Not a valid public nkey for leafnode authorization");
                    }
                }
                "timeout" => {
                    let timeout = self.auth_timeout("leafnode authorization", key, value);
                    leafnode.auth_timeout = timeout?;
                }
                "users" => {
                    let users = self.leafnode_users(value);
                    leafnode.users = self.ok(users).unwrap_or_default();
                }
                "account" => leafnode.account = string(value)?,
                "proxy_required" => leafnode.proxy_required = boolean(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    fn leafnode_users(&mut self, value: &Value) -> Result<Vec<LeafUser>, Diagnostic> {
        let Some(items) = value.as_array() else {
            let text = format!("Expected users field to be an array, got {value}");
            return Err(Diagnostic::at(value, text));
        };
        let mut users = Vec::with_capacity(items.len());
        for item in items {
            let Some(fields) = item.as_table() else {
                self.error(item, format!("Expected user entry to be a map/struct, got {item}"));
                continue;
            };
            let mut user = LeafUser::default();
            for (key, value) in fields.iter() {
                match key.to_lowercase().as_str() {
                    "user" | "username" => user.username = string(value)?,
                    "pass" | "password" => user.password = string(value)?.into(),
                    "account" => user.account = Some(string(value)?),
                    "proxy_required" => user.proxy_required = boolean(value)?,
                    _ => self.unknown(key, value),
                }
            }
            users.push(user);
        }
        Ok(users)
    }
}

impl LeafNodeOptions {
    /// Checks that single credentials and users do not mix, and that users are unique.
    ///
    /// # Errors
    /// The reason.
    pub(in crate::config) fn check_authorization(&self) -> Result<(), String> {
        if self.users.is_empty() {
            return Ok(());
        }
        if !self.username.is_empty() {
            return Err("can not have a single user/pass and a users array".to_owned());
        }
        if !self.nkey.is_empty() {
            return Err("can not have a single nkey and a users array".to_owned());
        }
        let mut names = HashSet::new();
        match self.users.iter().find(|user| !names.insert(user.username.as_str())) {
            Some(user) => {
                let name = quote(&user.username);
                Err(format!("duplicate user {name} detected in leafnode authorization"))
            }
            None => Ok(()),
        }
    }
}

/// The three numbers of a semantic version; pre-release and build are checked and dropped.
fn version_numbers(text: &str) -> Option<[u64; 3]> {
    let (rest, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    let pre_word =
        |part: &str| word(part) && (number(part) || part.bytes().any(|b| !b.is_ascii_digit()));
    if !build.is_none_or(|b| b.split('.').all(word))
        || !pre.is_none_or(|p| p.split('.').all(pre_word))
    {
        return None;
    }
    let parts: Vec<&str> = core.split('.').collect();
    match parts.as_slice() {
        [a, b, c] if number(a) && number(b) && number(c) => {
            Some([a.parse().ok()?, b.parse().ok()?, c.parse().ok()?])
        }
        _ => None,
    }
}

/// Older leafnodes do not tell their version, so a lower bound would refuse them all.
pub(in crate::config) fn check_min_version(version: &str) -> Result<(), String> {
    match version_numbers(version) {
        None => Err("invalid leafnode's minimum version: invalid semver".to_owned()),
        Some(numbers) if numbers < [2, 8, 0] => {
            Err("the minimum version should be at least 2.8.0".to_owned())
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_versions_are_semantic_and_not_too_old() {
        for version in ["2.8.0", "2.10.3-beta.1", "3.0.0+build.01", "2.8.1-0a"] {
            assert_eq!(check_min_version(version), Ok(()), "{version}");
        }
        for version in ["", "2.8", "2.8.0.1", "v2.8.0", "02.8.0", "2.8.0-", "2.8.0-01", "2.8.x"] {
            assert_eq!(
                check_min_version(version),
                Err("invalid leafnode's minimum version: invalid semver".to_owned()),
                "{version}"
            );
        }
        assert_eq!(
            check_min_version("2.7.9"),
            Err("the minimum version should be at least 2.8.0".to_owned())
        );
    }
}
