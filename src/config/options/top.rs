//! Reading the top level of a configuration (spec 02 §4).

use super::account::parse::user_names;
use super::account::{AccountOptions, GLOBAL_ACCOUNT};
use super::auth_parse::{Authorization, UserList};
use super::ocsp::OcspCacheOptions;
use super::tls::TlsOptions;
use super::tls::parse::TlsUse;
use super::{LogFormat, Options, Switch};
use crate::config::claims::{ClaimsDecoder, UnverifiedClaims};
use crate::config::environment::Environment;
use crate::config::lang::{self, Kind, Table, Value};
use crate::config::load::{Loader, boolean, duration_text, integer, integer32, port, string};
use crate::config::report::{ConfigError, Diagnostic, Report};
use crate::config::text::{SignedDuration, quote};

impl Options {
    /// Reads a configuration file into these options, on top of what is set already. Returns the
    /// warnings.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or parsed, or has errors. What was right is set
    /// nevertheless.
    pub fn load_file(
        &mut self,
        environment: &dyn Environment,
        claims: &dyn ClaimsDecoder,
        path: &str,
    ) -> Result<Report, ConfigError> {
        path.clone_into(&mut self.config_file);
        let (table, digest) = lang::parse_file(environment, path)?;
        self.config_digest = digest;
        self.load_table(environment, claims, path, &table)
    }

    /// Reads a configuration that is no file, with JWTs decoded but not verified.
    ///
    /// # Errors
    /// [`ConfigError`] if the text cannot be parsed or has errors.
    pub fn load_text(
        &mut self,
        environment: &dyn Environment,
        text: &str,
    ) -> Result<Report, ConfigError> {
        let table = lang::parse_text(environment, text.as_bytes())?;
        self.load_table(environment, &UnverifiedClaims, "", &table)
    }

    fn load_table(
        &mut self,
        environment: &dyn Environment,
        claims: &dyn ClaimsDecoder,
        path: &str,
        table: &Table,
    ) -> Result<Report, ConfigError> {
        let mut loader = Loader { environment, claims, report: Report::default() };
        if table.is_empty() {
            let text = format!("{path}: config has no values or is empty");
            loader.report.warnings.push(Diagnostic::general(text));
        }
        // Other blocks depend on whether there is a system account.
        if let Some(value) = table.get("system_account").or_else(|| table.get("system")) {
            match value.as_text() {
                Some(name) => self.system_account = name.into(),
                None => loader.error(value, "system account name must be a string"),
            }
        }
        // Accounts are connected to each other if nothing is wrong anywhere, and refer to options
        // of the top level: they come last.
        let is_accounts = |key: &str| key.eq_ignore_ascii_case("accounts");
        for (key, value) in table.iter().filter(|(key, _)| !is_accounts(key)) {
            let result = loader.top_level(self, key, value);
            loader.ok(result);
        }
        for (_, value) in table.iter().filter(|(key, _)| is_accounts(key)) {
            loader.accounts(self, value);
        }
        if let Some(callout) = &self.auth_callout {
            for name in &callout.allowed_accounts {
                if !self.accounts.iter().any(|account| account.name == *name) {
                    let name = quote(name);
                    loader.report.errors.push(Diagnostic::general(format!(
                        "auth_callout allowed account {name} not found in configured accounts"
                    )));
                }
            }
        }
        if loader.report.errors.is_empty() {
            Ok(loader.report)
        } else {
            Err(ConfigError::Content(loader.report))
        }
    }
}

impl Loader<'_> {
    fn top_level(
        &mut self,
        options: &mut Options,
        key: &str,
        value: &Value,
    ) -> Result<(), Diagnostic> {
        let fail = |text: String| Err(Diagnostic::at(value, text));
        match key.to_lowercase().as_str() {
            // Read before everything else.
            "system_account" | "system" => {}
            "listen" => self.listen(value, &mut options.host, &mut options.port),
            "client_advertise" => options.client_advertise = string(value)?,
            "port" => options.port = port(value)?,
            "server_name" => {
                let name = string(value)?;
                if name.contains(' ') {
                    return fail("server name cannot contain spaces".to_owned());
                }
                options.server_name = name;
            }
            "host" | "net" => options.host = string(value)?,
            "debug" => options.set_switch(Switch::Debug, boolean(value)?),
            "trace" => options.set_switch(Switch::Trace, boolean(value)?),
            "trace_verbose" => {
                options.set_switch(Switch::TraceVerbose, boolean(value)?);
                options.set_switch(Switch::Trace, boolean(value)?);
            }
            "trace_headers" => {
                options.set_switch(Switch::TraceHeaders, boolean(value)?);
                options.set_switch(Switch::Trace, boolean(value)?);
            }
            "logtime" => options.set_switch(Switch::Logtime, boolean(value)?),
            "logtime_utc" => options.set_switch(Switch::LogtimeUtc, boolean(value)?),
            "log_format" => {
                options.log_format = match string(value)?.to_lowercase().as_str() {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return fail("log_format must be 'text' or 'json'".to_owned()),
                };
            }
            "mappings" | "maps" => {
                let mut account = AccountOptions::new(GLOBAL_ACCOUNT);
                self.account_mappings(&mut account, value);
                options.accounts.push(account);
            }
            "disable_sublist_cache" | "no_sublist_cache" => {
                options.no_sublist_cache = boolean(value)?;
            }
            "default_sentinel" => options.default_sentinel = string(value)?,
            "authorization" => self.top_level_authorization(options, value)?,
            "http" => self.listen(value, &mut options.http_host, &mut options.http_port),
            "https" => self.listen(value, &mut options.http_host, &mut options.https_port),
            "http_port" | "monitor_port" => options.http_port = port(value)?,
            "https_port" => options.https_port = port(value)?,
            "http_base_path" => options.http_base_path = string(value)?,
            "cluster" => self.cluster(options, value),
            "gateway" => self.gateway(&mut options.gateway, value),
            "leaf" | "leafnodes" => self.leafnodes(options, value),
            "websocket" | "ws" => self.websocket(&mut options.websocket, value),
            "mqtt" => self.mqtt(&mut options.mqtt, value),
            "store_dir" | "storedir" => {
                // JetStream's block can set it as well.
                if !options.store_dir.is_empty() {
                    return fail("Duplicate 'store_dir' configuration".to_owned());
                }
                options.store_dir = string(value)?;
            }
            "jetstream" => self.jetstream(options, value),
            "logfile" | "log_file" => options.log_file = string(value)?,
            "logfile_size_limit" | "log_size_limit" => options.log_size_limit = integer(value)?,
            "logfile_max_num" | "log_max_num" => options.log_max_files = integer(value)?,
            "syslog" => options.set_switch(Switch::Syslog, boolean(value)?),
            "remote_syslog" => options.remote_syslog = string(value)?,
            "pidfile" | "pid_file" => options.pid_file = string(value)?,
            "ports_file_dir" => options.ports_file_dir = string(value)?,
            "prof_port" => options.prof_port = port(value)?,
            "prof_block_rate" => options.prof_block_rate = integer(value)?,
            "max_control_line" => options.max_control_line = size32(key, value)?,
            "max_payload" => options.max_payload = size32(key, value)?,
            "max_pending" => options.max_pending = integer(value)?,
            "proxy_protocol" => options.proxy_protocol = boolean(value)?,
            "max_connections" | "max_conn" => {
                // Zero would mean the default, but asks for no connections.
                options.max_connections = match integer(value)? {
                    0 => -1,
                    number => number,
                };
            }
            "max_traced_msg_len" => options.max_traced_msg_len = integer(value)?,
            "max_subscriptions" | "max_subs" => options.max_subscriptions = integer(value)?,
            "max_sub_tokens" | "max_subscription_tokens" => {
                let number = integer(value)?;
                match u8::try_from(number) {
                    Ok(tokens @ 1..) => options.max_sub_tokens = tokens,
                    _ if number > 0 => return fail(format!("{key} value is too big")),
                    _ => return fail(format!("{key} value can not be negative")),
                }
            }
            "ping_interval" => options.ping_interval = self.duration("ping_interval", value)?,
            "ping_max" => options.ping_max = integer(value)?,
            "tls" => {
                let tls = TlsOptions::load(self, value, TlsUse::Plain)?;
                options.tls_timeout = tls.timeout;
                options.tls = Some(tls);
            }
            "ocsp" => self.ocsp(&mut options.ocsp, value)?,
            "ocsp_cache" => options.ocsp_cache = Some(OcspCacheOptions::parse(value)?),
            "allow_non_tls" => options.allow_non_tls = boolean(value)?,
            "write_deadline" => {
                options.write_deadline = self.duration("write_deadline", value)?;
            }
            "write_timeout" => options.write_timeout = self.write_timeout(value)?,
            "lame_duck_duration" => {
                let duration = plain_duration("lame_duck_duration", value)?;
                if duration < SignedDuration::from_secs(30) {
                    return fail(format!(
                        "invalid lame_duck_duration of {duration}, minimum is 30 seconds"
                    ));
                }
                options.lame_duck_duration = duration.clamp_to_zero();
            }
            "lame_duck_grace_period" => {
                let duration = plain_duration("lame_duck_grace_period", value)?;
                if duration.is_negative() {
                    let text = "invalid lame_duck_grace_period, needs to be positive";
                    return fail(text.to_owned());
                }
                options.lame_duck_grace_period = duration.clamp_to_zero();
            }
            "operator" | "operators" | "roots" | "root" | "root_operators" | "root_operator" => {
                self.operators(options, value);
            }
            "resolver" | "account_resolver" | "accounts_resolver" => {
                self.account_resolver(options, value)?;
            }
            "resolver_tls" => {
                options.account_resolver_tls = Some(TlsOptions::load(self, value, TlsUse::Plain)?);
            }
            "resolver_preload" => self.resolver_preload(options, value),
            "resolver_pinned_accounts" => self.resolver_pinned_accounts(options, value),
            "no_auth_user" => options.no_auth_user = string(value)?,
            "no_system_account" | "no_system" | "no_sys_acc" => {
                options.no_system_account = boolean(value)?;
            }
            "no_header_support" => options.no_header_support = boolean(value)?,
            "trusted" | "trusted_keys" => self.trusted_keys(options, value),
            "connect_error_reports" => options.connect_error_reports = integer(value)?,
            "reconnect_error_reports" => options.reconnect_error_reports = integer(value)?,
            "server_tags" => self.server_tags(options, value)?,
            "server_metadata" => server_metadata(options, value)?,
            "feature_flags" => feature_flags(options, value)?,
            "default_js_domain" => {
                let Some(domains) = value.as_table() else {
                    let found = value.type_name();
                    return fail(format!(
                        "error default_js_domain config: unsupported type {found}"
                    ));
                };
                options.default_js_domain.clear();
                for (account, domain) in domains.iter() {
                    // A wrong type is reported where the whole option is.
                    let domain = string(domain).map_err(|e| e.wrong_type_of_block(value))?;
                    options.default_js_domain.insert(account.to_owned(), domain);
                }
            }
            "no_fast_producer_stall" => options.no_fast_producer_stall = boolean(value)?,
            "max_closed_clients" => options.max_closed_clients = integer(value)?,
            "proxies" => options.proxies = Some(self.proxies(value)?),
            _ => self.unknown(key, value),
        }
        Ok(())
    }

    fn top_level_authorization(
        &mut self,
        options: &mut Options,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        let fail = |text: String| Err(Diagnostic::at(block, text));
        let Authorization {
            username,
            password,
            token,
            timeout,
            users,
            callout,
            proxy_required,
            ..
        } = self.authorization(block)?;
        let has_password = !username.is_empty() || !password.is_empty();
        options.authorization_defined = true;
        options.username = username;
        options.password = password;
        options.authorization = token;
        options.auth_timeout = timeout;
        options.auth_callout = callout;
        options.proxy_required = proxy_required;
        if has_password && !options.authorization.is_empty() {
            return fail("Cannot have a user/pass and token".to_owned());
        }
        let mut names = user_names(options);
        if users.is_some() || !names.is_empty() {
            if !options.username.is_empty() {
                let text = "Can not have a single user/pass and a users array";
                return fail(text.to_owned());
            }
            if !options.authorization.is_empty() {
                return fail("Can not have a token and a users array".to_owned());
            }
        }
        let UserList { users, nkeys } = users.unwrap_or_default();
        if let Some(user) = users.iter().find(|user| !names.insert(user.username.clone())) {
            return fail(format!("Duplicate user {} detected", quote(&user.username)));
        }
        options.users.extend(users);
        if let Some(user) = nkeys.iter().find(|user| !names.insert(user.nkey.clone())) {
            return fail(format!("Duplicate nkey {} detected", quote(&user.nkey)));
        }
        options.nkeys.extend(nkeys);
        Ok(())
    }

    fn server_tags(&mut self, options: &mut Options, value: &Value) -> Result<(), Diagnostic> {
        let mut tags = Vec::new();
        let mut result = Ok(());
        match &value.kind {
            Kind::String(_) => tags.extend(value.as_text()),
            Kind::Array(items) => {
                for item in items.items() {
                    match (item.as_text(), &item.position) {
                        (Some(tag), Some(_)) => tags.push(tag),
                        _ => {
                            let text = super::operator::unsupported("tags", item);
                            result = Err(Diagnostic::at(value, text));
                            break;
                        }
                    }
                }
            }
            _ => {
                let text = format!("error parsing tags: unsupported type {}", value.type_name());
                result = Err(Diagnostic::at(value, text));
            }
        }
        for tag in tags {
            let tag = tag.trim().to_lowercase();
            if !tag.is_empty() && !options.server_tags.contains(&tag) {
                options.server_tags.push(tag);
            }
        }
        result
    }
}

fn server_metadata(options: &mut Options, value: &Value) -> Result<(), Diagnostic> {
    let Some(fields) = value.as_table() else {
        let text = format!("error parsing metadata: unsupported type {}", value.type_name());
        return Err(Diagnostic::at(value, text));
    };
    for (name, value) in fields.iter() {
        options.server_metadata.insert(name.to_owned(), string(value)?);
    }
    Ok(())
}

fn feature_flags(options: &mut Options, value: &Value) -> Result<(), Diagnostic> {
    let Some(flags) = value.as_table() else {
        let text = format!("error parsing feature flags: unsupported type {}", value.type_name());
        return Err(Diagnostic::at(value, text));
    };
    for (name, value) in flags.iter() {
        let on = boolean(value).map_err(|_| {
            let (name, found) = (quote(name), value.type_name());
            let text = format!("error parsing feature flag {name}: expected bool, got {found}");
            Diagnostic::at(value, text)
        })?;
        options.feature_flags.insert(name.to_owned(), on);
    }
    Ok(())
}

/// A size that has to fit into 32 bits.
fn size32(key: &str, value: &Value) -> Result<i32, Diagnostic> {
    if integer(value)? > i64::from(i32::MAX) {
        return Err(Diagnostic::at(value, format!("{key} value is too big")));
    }
    integer32(value)
}

fn plain_duration(field: &str, value: &Value) -> Result<SignedDuration, Diagnostic> {
    duration_text(value)?
        .map_err(|error| Diagnostic::at(value, format!("error parsing {field}: {error}")))
}
