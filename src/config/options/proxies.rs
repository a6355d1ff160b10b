//! `proxies {}` (spec 02 §5.13).

use crate::config::lang::Value;
use crate::config::load::{Loader, string};
use crate::config::report::Diagnostic;
use crate::config::text::quote;
use crate::nkey;

/// Proxies that are trusted to connect on behalf of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiesOptions {
    /// Public keys of the trusted proxies.
    pub trusted: Vec<String>,
}

impl Loader<'_> {
    pub(super) fn proxies(&mut self, block: &Value) -> Result<ProxiesOptions, Diagnostic> {
        let expected = |value: &Value, what: &str| {
            let found = value.type_name();
            Diagnostic::at(value, format!("expected {what}, got {found}"))
        };
        let mut proxies = ProxiesOptions::default();
        let fields = block.as_table();
        let fields = fields.ok_or_else(|| expected(block, "proxies to be a map/struct"))?;
        for (key, value) in fields.iter() {
            if !key.eq_ignore_ascii_case("trusted") {
                self.unknown(key, value);
                continue;
            }
            let Some(items) = value.as_array() else {
                let error = expected(value, "proxies' trusted field to be an array");
                self.report.errors.push(error);
                continue;
            };
            proxies.trusted.clear();
            for item in items {
                let Some(fields) = item.as_table() else {
                    let error = expected(item, "proxies' trusted entry to be a map/struct");
                    self.report.errors.push(error);
                    continue;
                };
                let mut trusted = String::new();
                for (key, value) in fields.iter() {
                    match key.to_lowercase().as_str() {
                        "key" | "public_key" => {
                            trusted = string(value)?;
                            if nkey::public_key_type(&trusted).is_none() {
                                let text = format!("invalid proxy key {}", quote(&trusted));
                                self.error(value, text);
                            }
                        }
                        _ => self.unknown(key, value),
                    }
                }
                proxies.trusted.push(trusted);
            }
        }
        Ok(proxies)
    }
}
