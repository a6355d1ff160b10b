//! Reading `accounts {}` (spec 02 §5.8).

use super::{AccountLimits, AccountOptions, GLOBAL_ACCOUNT, JetStreamAccountLimits};
use crate::config::lang::{Kind, Table, Value};
use crate::config::load::{Loader, integer, integer32, string};
use crate::config::options::Options;
use crate::config::options::auth_parse::UserList;
use crate::config::options::jetstream::enabled_word;
use crate::config::report::Diagnostic;
use crate::config::text::{self, quote};
use crate::nkey::{self, KeyType};
use ::sublist::subject::is_valid_publish_subject;
use std::collections::HashSet;
use std::sync::Arc;

/// Names and nkeys of all users, which must be unique across accounts and authorization.
pub(in crate::config::options) fn user_names(options: &Options) -> HashSet<String> {
    let users = options.users.iter().map(|user| user.username.clone());
    users.chain(options.nkeys.iter().map(|user| user.nkey.clone())).collect()
}

impl Loader<'_> {
    pub(in crate::config::options) fn accounts(&mut self, options: &mut Options, block: &Value) {
        let first = options.accounts.len();
        let result = match &block.kind {
            Kind::Array(items) => self.account_names(options, items.items()),
            Kind::Table(accounts) => self.account_table(options, accounts),
            _ => Ok(()),
        };
        self.ok(result);
        // Imports refer to exports of any account, so they are checked when all are known, and
        // only if everything else is right.
        if self.report.errors.is_empty() {
            let errors = super::link::check(options, first);
            self.report.errors.extend(errors.into_iter().map(|text| Diagnostic::at(block, text)));
        }
    }

    fn account_names(&mut self, options: &mut Options, items: &[Value]) -> Result<(), Diagnostic> {
        let mut names = HashSet::new();
        for item in items {
            let name = string(item)?;
            if name == GLOBAL_ACCOUNT {
                self.error(item, format!("{} is a Reserved Account", quote(&name)));
            } else if names.insert(name.clone()) {
                options.accounts.push(AccountOptions::new(name));
            } else {
                self.error(item, format!("Duplicate Account Entry: {name}"));
            }
        }
        Ok(())
    }

    fn account_table(&mut self, options: &mut Options, accounts: &Table) -> Result<(), Diagnostic> {
        let mut names = user_names(options);
        for (name, value) in accounts.iter() {
            // Variables may be defined between the accounts.
            if value.used_as_variable {
                continue;
            }
            let Some(fields) = value.as_table() else {
                self.error(value, "Expected map entries for accounts");
                continue;
            };
            if name == GLOBAL_ACCOUNT {
                self.error(value, format!("{} is a Reserved Account", quote(name)));
                continue;
            }
            let mut account = AccountOptions::new(name);
            let mut users: Option<(UserList, &Value)> = None;
            let result = self.account(&mut account, &mut users, fields);
            let permissions = account.default_permissions.clone();
            options.accounts.push(account);
            result?;
            if let Some((mut list, at)) = users {
                list.apply_default_permissions(permissions.as_ref());
                self.add_account_users(options, &mut names, name, list, at);
            }
        }
        Ok(())
    }

    fn add_account_users(
        &mut self,
        options: &mut Options,
        names: &mut HashSet<String>,
        account: &str,
        list: UserList,
        at: &Value,
    ) {
        if list.users.is_empty() && list.nkeys.is_empty() {
            return;
        }
        if !options.username.is_empty() {
            self.error(at, "Can not have a single user/pass and accounts");
            return;
        }
        if !options.authorization.is_empty() {
            self.error(at, "Can not have a token and accounts");
            return;
        }
        for mut user in list.nkeys {
            if !names.insert(user.nkey.clone()) {
                self.error(at, format!("Duplicate nkey {} detected", quote(&user.nkey)));
            }
            user.account = Some(account.to_owned());
            options.nkeys.push(user);
        }
        for mut user in list.users {
            if !names.insert(user.username.clone()) {
                self.error(at, format!("Duplicate user {} detected", quote(&user.username)));
            }
            user.account = Some(account.to_owned());
            options.users.push(user);
        }
    }

    fn account<'v>(
        &mut self,
        account: &mut AccountOptions,
        users: &mut Option<(UserList, &'v Value)>,
        fields: &'v Table,
    ) -> Result<(), Diagnostic> {
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "nkey" => match value.as_text() {
                    Some(key) if nkey::is_public(KeyType::Account, &key) => {
                        account.nkey = key.into();
                    }
                    _ => {
                        let key = value.quoted();
                        let text = format!("Not a valid public nkey for an account: {key}");
                        self.error(value, text);
                    }
                },
                "imports" => self.account_imports(account, value),
                "exports" => self.account_exports(account, value),
                "jetstream" => {
                    let result = self.account_jetstream(account, value);
                    self.ok(result);
                }
                "users" => {
                    let list = match value.as_array() {
                        Some(_) => self.users(value),
                        None => self.users(value).map_err(Diagnostic::without_position),
                    };
                    *users = self.ok(list).map(|list| (list, value));
                }
                "default_permissions" => {
                    account.default_permissions = self.permissions(value).map(Arc::new);
                }
                "mappings" | "maps" => self.account_mappings(account, value),
                "limits" => {
                    let result = self.account_limits(&mut account.limits, value);
                    self.ok(result);
                }
                "msg_trace" | "trace_dest" => {
                    let result = self.account_trace(account, key, value);
                    self.ok(result);
                }
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    fn account_limits(
        &mut self,
        limits: &mut AccountLimits,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(fields) = block.as_table() else {
            let text = format!("Expected account limits to be a map/struct, got {block}");
            return Err(Diagnostic::at(block, text));
        };
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "max_connections" | "max_conn" => limits.max_connections = integer32(value)?,
                "max_subscriptions" | "max_subs" => limits.max_subscriptions = integer32(value)?,
                "max_payload" | "max_pay" => limits.max_payload = integer32(value)?,
                "max_leafnodes" | "max_leafs" => limits.max_leafnodes = integer32(value)?,
                _ => {
                    let text = format!("Unknown field {} parsing account limits", quote(key));
                    self.unknown_as(value, text);
                }
            }
        }
        Ok(())
    }

    fn account_jetstream(
        &mut self,
        account: &mut AccountOptions,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let fields = match &block.kind {
            Kind::Bool(true) => {
                account.jetstream = Some(JetStreamAccountLimits::default());
                return Ok(());
            }
            Kind::Bool(false) => return Ok(()),
            Kind::String(_) => {
                let enabled = enabled_word(block).map_err(Diagnostic::without_position)?;
                account.jetstream = enabled.then(JetStreamAccountLimits::default);
                return Ok(());
            }
            Kind::Table(fields) => fields,
            _ => {
                let found = block.type_name();
                let text = format!("Expected map, bool or string to define JetStream, got {found}");
                return Err(Diagnostic::general(text));
            }
        };
        let mut limits = JetStreamAccountLimits::default();
        for (key, value) in fields.iter() {
            let expected = |what: &str| {
                let text = format!("Expected {what} for {}, got {value}", quote(key));
                Diagnostic::at(value, text)
            };
            let size = || integer(value).map_err(|_| expected("a parseable size"));
            match key.to_lowercase().as_str() {
                "max_memory" | "max_mem" | "mem" | "memory" => limits.max_memory = size()?,
                "max_store" | "max_file" | "max_disk" | "store" | "disk" => {
                    limits.max_store = size()?;
                }
                "max_streams" | "streams" => limits.max_streams = size()?,
                "max_consumers" | "consumers" => limits.max_consumers = size()?,
                "max_bytes_required" | "max_stream_bytes" | "max_bytes" => match value.kind {
                    Kind::Bool(required) => limits.max_bytes_required = required,
                    _ => return Err(expected("a parseable bool")),
                },
                "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
                    limits.memory_max_stream_bytes = size()?;
                }
                "disk_max_stream_bytes" | "store_max_stream_bytes" => {
                    limits.store_max_stream_bytes = size()?;
                }
                "max_ack_pending" => limits.max_ack_pending = size()?,
                "cluster_traffic" => match value.as_text().as_deref() {
                    Some("system" | "") => account.owns_cluster_traffic = false,
                    Some("owner") => account.owns_cluster_traffic = true,
                    Some(_) => return Err(expected("'system' or 'owner' string value")),
                    None => return Err(expected("either 'system' or 'owner' string value")),
                },
                _ => self.unknown(key, value),
            }
        }
        account.jetstream = Some(limits);
        Ok(())
    }

    fn account_trace(
        &mut self,
        account: &mut AccountOptions,
        block_key: &str,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        match &block.kind {
            Kind::String(_) => account.trace_destination = trace_destination(block_key, block)?,
            Kind::Table(fields) => {
                for (key, value) in fields.iter() {
                    match key.to_lowercase().as_str() {
                        "dest" => account.trace_destination = trace_destination(key, value)?,
                        "sampling" => account.trace_sampling = trace_sampling(key, value)?,
                        _ if value.used_as_variable => {}
                        _ => {
                            let (key, block_key) = (quote(key), quote(block_key));
                            return Err(Diagnostic::at(
                                value,
                                format!(
                                    "Unknown field {key} parsing account message trace map/struct \
                                     {block_key}"
                                ),
                            ));
                        }
                    }
                }
            }
            _ => {
                let (key, found) = (quote(block_key), block.type_name());
                return Err(Diagnostic::at(
                    block,
                    format!(
                        "Expected account message trace {key} to be a string or a map/struct, got \
                         {found}"
                    ),
                ));
            }
        }
        if account.trace_destination.is_empty() {
            if account.trace_sampling > 0 {
                let text = "Trace destination sampling ignored since no destination was set";
                self.warning(block, text);
                account.trace_sampling = 0;
            }
        } else if account.trace_sampling == 0 {
            account.trace_sampling = 100;
        }
        Ok(())
    }
}

fn trace_destination(key: &str, value: &Value) -> Result<String, Diagnostic> {
    let Ok(destination) = string(value) else {
        let (key, found) = (quote(key), value.type_name());
        let text = format!("Field {key} should be a string, got {found}");
        return Err(Diagnostic::at(value, text));
    };
    if !is_valid_publish_subject(destination.as_bytes()) {
        let text = format!("Trace destination {} is not valid", quote(&destination));
        return Err(Diagnostic::at(value, text));
    }
    Ok(destination)
}

fn trace_sampling(key: &str, value: &Value) -> Result<u8, Diagnostic> {
    let number = match &value.kind {
        Kind::Integer(number) => *number,
        Kind::String(_) => {
            let written = string(value)?;
            let digits = written.strip_suffix('%').unwrap_or(&written);
            text::parse_integer("Atoi", digits).map_err(|_| {
                let written = quote(&written);
                let text = format!("Invalid trace destination sampling value {written}");
                Diagnostic::at(value, text)
            })?
        }
        _ => {
            let (key, found) = (quote(key), value.type_name());
            return Err(Diagnostic::at(
                value,
                format!(
                    "Trace destination sampling field {key} should be an integer or a percentage, \
                     got {found}"
                ),
            ));
        }
    };
    match u8::try_from(number) {
        Ok(sampling @ 1..=100) => Ok(sampling),
        // The misspelling is part of the known text.
        _ => Err(Diagnostic::at(
            value,
            format!("Ttrace destination sampling value {number} is invalid, needs to be [1..100]"),
        )),
    }
}
