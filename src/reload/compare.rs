//! Which options changed, and whether a running server can take them over (spec 02 §11.3, §11.4).
//!
//! Pure: two options in, changes or the reference's refusal out. Options are looked at in the
//! reference's order, because the first that cannot be changed is the one the operator is told of.
//!
//! Where this differs from the reference: a missing `proxies {}` block counts as an empty list
//! (the reference crashes when the block comes or goes), and of blocks of which nothing can be
//! changed the refusal names the field, where the reference prints both blocks with addresses of
//! memory in them.

use super::change::Change;
use crate::advertise::parse_host_port;
use crate::config::options::Options;
use crate::config::options::account::DEFAULT_SYSTEM_ACCOUNT;
use crate::config::options::leafnode::LeafNodeOptions;
use crate::config::options::tls::TlsOptions;
use crate::config::text::duration;
use crate::config::url::Url;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

/// What a running server has, where the options in force do not tell.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The port that clients connect to.
    pub port: u16,
    /// JetStream is enabled.
    pub jetstream: bool,
}

/// The refusal of a change.
fn refused(field: &str, old: impl Display, new: impl Display) -> String {
    format!("config reload not supported for {field}: old={old}, new={new}")
}

/// Refuses any change of that option.
fn fixed<T: PartialEq + Display>(field: &str, old: &T, new: &T) -> Result<(), String> {
    if old == new { Ok(()) } else { Err(refused(field, old, new)) }
}

fn fixed_duration(field: &str, old: Duration, new: Duration) -> Result<(), String> {
    if old == new { Ok(()) } else { Err(refused(field, duration(old), duration(new))) }
}

/// A list as the reference prints one.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            item.fmt(f)?;
        }
        f.write_str("]")
    }
}

/// A map as the reference prints one.
struct Map<'a, T>(&'a BTreeMap<String, T>);

impl<T: Display> Display for Map<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("map[")?;
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{key}:{value}")?;
        }
        f.write_str("]")
    }
}

/// A block of which nothing may change: refuses with the name of the field.
macro_rules! fixed_fields {
    ($block:literal, $old:expr, $new:expr, $($name:literal $field:ident,)*) => {
        $(if $old.$field != $new.$field {
            return Err(refused($block, format_args!("{{{}}}", $name), format_args!("{{{} changed}}", $name)));
        })*
    };
}

/// The name of the system account as the reference keeps it: an account called `$SYS` is one.
fn system_account(o: &Options) -> &str {
    if o.system_account.is_empty() && o.accounts.iter().any(|a| a.name == DEFAULT_SYSTEM_ACCOUNT) {
        DEFAULT_SYSTEM_ACCOUNT
    } else {
        &o.system_account
    }
}

fn sorted<T: Clone, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_by_key(key);
    list
}

/// The parts of a TLS block that make up the handshake's configuration.
fn handshake(tls: &TlsOptions) -> TlsOptions {
    TlsOptions {
        timeout: Duration::ZERO,
        handshake_first: false,
        handshake_first_fallback: Duration::ZERO,
        pinned_certs: Default::default(),
        connection_rate_limit: 0,
        verify_and_map: false,
        ..tls.clone()
    }
}

/// What has changed, in the reference's order. The baseline of both is set, and `new` is validated.
///
/// # Errors
/// The text for the operator, naming the first change that a running server cannot take over.
pub fn compare(old: &Options, new: &Options, running: Running) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    listening(old, new, running, &mut changes)?;
    authentication(old, new, &mut changes)?;
    limits(old, new, &mut changes)?;
    links(old, new, &mut changes)?;
    jetstream(old, new, running, &mut changes)?;
    process(old, new, &mut changes)?;
    tls(old, new, &mut changes)?;
    rest(old, new, &mut changes)?;
    Ok(changes)
}

fn listening(
    old: &Options,
    new: &Options,
    running: Running,
    changes: &mut Vec<Change>,
) -> Result<(), String> {
    fixed("ServerName", &old.server_name, &new.server_name)?;
    fixed("Host", &old.host, &new.host)?;
    // A port chosen by the system stays what it is.
    if !new.port.is_random() {
        fixed("Port", &i64::from(running.port), &new.port.configured())?;
    }
    if old.client_advertise != new.client_advertise {
        let text = &new.client_advertise;
        if !text.is_empty() {
            parse_host_port(text, 0)
                .map_err(|e| format!("invalid ClientAdvertise value of {text}, err={e}"))?;
        }
        changes.push(Change::ClientAdvertise);
    }
    let mut switch = |old: bool, new: bool, change: Change| {
        if old != new {
            changes.push(change);
        }
    };
    switch(old.trace, new.trace, Change::Trace);
    switch(old.debug, new.debug, Change::Debug);
    switch(old.trace_verbose, new.trace_verbose, Change::TraceVerbose);
    switch(old.trace_headers, new.trace_headers, Change::TraceHeaders);
    fixed("NoSublistCache", &old.no_sublist_cache, &new.no_sublist_cache)?;
    fixed("NoHeaderSupport", &old.no_header_support, &new.no_header_support)?;
    switch(old.logtime, new.logtime, Change::Logtime);
    switch(old.logtime_utc, new.logtime_utc, Change::LogtimeUtc);
    if old.log_format != new.log_format {
        changes.push(Change::LogFormat);
    }
    if old.max_connections != new.max_connections {
        changes.push(Change::MaxConnections);
    }
    fixed("MaxSubs", &old.max_subscriptions, &new.max_subscriptions)?;
    fixed("MaxSubTokens", &old.max_sub_tokens, &new.max_sub_tokens)
}

fn authentication(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    let by_nkey = |o: &Options| sorted(&o.nkeys, |user| user.nkey.clone());
    if by_nkey(old) != by_nkey(new) {
        changes.push(Change::Nkeys);
    }
    // Users and accounts are never compared: every reload looks at all connections again.
    changes.push(Change::Users);
    changes.push(Change::Accounts);
    if old.no_auth_user != new.no_auth_user {
        let removed = new.no_auth_user.is_empty()
            && !new.users.iter().any(|user| user.username == old.no_auth_user);
        if !removed {
            return Err(refused("NoAuthUser", &old.no_auth_user, &new.no_auth_user));
        }
    }
    if old.default_sentinel != new.default_sentinel {
        changes.push(Change::DefaultSentinel);
    }
    let (was, is) = (system_account(old), new.system_account.as_str());
    if was != is && !(was == DEFAULT_SYSTEM_ACCOUNT && is.is_empty()) {
        return Err(refused("SystemAccount", was, is));
    }
    fixed("NoSystemAccount", &old.no_system_account, &new.no_system_account)?;
    if old.username != new.username {
        changes.push(Change::Username);
    }
    if old.password != new.password {
        changes.push(Change::Password);
    }
    fixed("ProxyRequired", &old.proxy_required, &new.proxy_required)?;
    fixed("ProxyProtocol", &old.proxy_protocol, &new.proxy_protocol)?;
    if old.authorization != new.authorization {
        changes.push(Change::Token);
    }
    if old.auth_callout != new.auth_callout {
        let shown = |is: bool| if is { "{configured}" } else { "<nil>" };
        return Err(refused(
            "AuthCallout",
            shown(old.auth_callout.is_some()),
            shown(new.auth_callout.is_some()),
        ));
    }
    Ok(())
}

fn limits(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    if old.ping_interval != new.ping_interval {
        changes.push(Change::PingInterval);
    }
    if old.ping_max != new.ping_max {
        changes.push(Change::PingMax);
    }
    fixed("HTTPHost", &old.http_host, &new.http_host)?;
    fixed("HTTPPort", &old.http_port, &new.http_port)?;
    fixed("HTTPBasePath", &old.http_base_path, &new.http_base_path)?;
    fixed("HTTPSPort", &old.https_port, &new.https_port)?;
    if old.auth_timeout != new.auth_timeout {
        changes.push(Change::AuthTimeout);
    }
    if old.max_control_line != new.max_control_line {
        changes.push(Change::MaxControlLine);
    }
    if old.max_payload != new.max_payload {
        changes.push(Change::MaxPayload);
    }
    fixed("MaxPending", &old.max_pending, &new.max_pending)?;
    if old.no_fast_producer_stall != new.no_fast_producer_stall {
        changes.push(Change::NoFastProducerStall);
    }
    Ok(())
}

fn links(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    let (was, is) = (&old.cluster, &new.cluster);
    if was != is {
        if was.host != is.host {
            let (was, is) = (&was.host, &is.host);
            return Err(format!(
                "config reload not supported for cluster host: old={was}, new={is}"
            ));
        }
        if was.port != is.port && !is.port.is_random() {
            let (was, is) = (was.port, is.port);
            return Err(format!(
                "config reload not supported for cluster port: old={was}, new={is}"
            ));
        }
        if !is.advertise.is_empty() {
            let text = &is.advertise;
            parse_host_port(text, 0)
                .map_err(|e| format!("invalid Cluster.Advertise value of {text}, err={e}"))?;
        }
        changes.push(Change::Cluster);
    }
    let (was, is) = (&old.gateway, &new.gateway);
    fixed_fields!("Gateway", was, is,
        "Name" name, "Host" host, "Port" port, "Username" username, "Password" password,
        "AuthTimeout" auth_timeout, "TLSTimeout" tls_timeout, "Advertise" advertise,
        "ConnectRetries" connect_retries, "ConnectBackoff" connect_backoff,
        "RejectUnknown" reject_unknown, "WriteDeadline" write_deadline,
        "WriteTimeout" write_timeout,
    );
    let remotes = |o: &Options| {
        let address = |r: &crate::config::options::gateway::RemoteGatewayOptions| {
            (r.name.clone(), r.tls_timeout, r.urls.iter().map(Url::to_string).collect::<Vec<_>>())
        };
        sorted(&o.gateway.remotes.iter().map(address).collect::<Vec<_>>(), |r| r.0.clone())
    };
    if remotes(old) != remotes(new) {
        return Err(refused("Gateway", "{Gateways}", "{Gateways changed}"));
    }
    let (was, is) = (&old.leafnode, &new.leafnode);
    let leafnode = |field: &str, old: &dyn Display, new: &dyn Display| {
        format!("config reload not supported for LeafNode: field \"{field}\": old={old}, new={new}")
    };
    if was.host != is.host {
        return Err(leafnode("Host", &was.host, &is.host));
    }
    if was.port != is.port && !is.port.is_random() {
        return Err(leafnode("Port", &was.port, &is.port));
    }
    // Nothing of a leafnode is changed while it is in use yet.
    let same = LeafNodeOptions { port: was.port, ..is.clone() };
    if *was != same {
        return Err(leafnode("Remotes", &"{…}", &"{… changed}"));
    }
    Ok(())
}

fn jetstream(
    old: &Options,
    new: &Options,
    running: Running,
    changes: &mut Vec<Change>,
) -> Result<(), String> {
    let (was, is) = (&old.jetstream, &new.jetstream);
    if was.enabled != is.enabled || (is.enabled && !running.jetstream) {
        changes.push(Change::JetStream(is.enabled));
    }
    fixed("NoJetStreamStrict", &was.no_strict, &is.no_strict)?;
    let mut limits_unset = false;
    for (change, was, is) in [
        (Change::JetStreamMaxMemory, was.max_memory, is.max_memory),
        (Change::JetStreamMaxStore, was.max_store, is.max_store),
    ] {
        match (was, is) {
            _ if was == is || !running.jetstream => {}
            (-1, _) => {
                let text = "config reload not supported for jetstream dynamic max memory and store";
                return Err(text.to_owned());
            }
            (_, -1) => limits_unset = true,
            (was, is) if is > was => changes.push(change),
            _ => {
                let text =
                    "config reload not supported for decreasing jetstream max memory and store";
                return Err(text.to_owned());
            }
        }
    }
    fixed("JetStreamDomain", &was.domain, &is.domain)?;
    fixed("JetStreamExtHint", &was.extension_hint, &is.extension_hint)?;
    let key = |field: &str, differs: bool| {
        // A key is not to be shown.
        if differs { Err(refused(field, "[REDACTED]", "[REDACTED]")) } else { Ok(()) }
    };
    key("JetStreamKey", was.key != is.key)?;
    key("JetStreamOldKey", was.previous_key != is.previous_key)?;
    if was.cipher != is.cipher {
        let name = |o: &Options| format!("{:?}", o.jetstream.cipher);
        return Err(refused("JetStreamCipher", name(old), name(new)));
    }
    fixed("JetStreamUniqueTag", &was.unique_tag, &is.unique_tag)?;
    if was.limits != is.limits {
        let text = |o: &Options| {
            let l = &o.jetstream.limits;
            format!(
                "{{{} {} {} {} {} {} {} {}}}",
                l.max_request_batch,
                l.max_ack_pending,
                l.max_ha_assets,
                duration(l.duplicate_window),
                l.max_batch_inflight_per_stream,
                l.max_batch_inflight_total,
                l.max_batch_messages,
                duration(l.max_batch_timeout),
            )
        };
        return Err(refused("JetStreamLimits", text(old), text(new)));
    }
    key("JetStreamTpm", was.tpm != is.tpm)?;
    fixed("JetStreamMaxCatchup", &was.max_catchup, &is.max_catchup)?;
    fixed("JetStreamRequestQueueLimit", &was.request_queue_limit, &is.request_queue_limit)?;
    fixed("JetStreamInfoQueueLimit", &was.info_queue_limit, &is.info_queue_limit)?;
    if is.enabled {
        fixed("JetStreamConcurrentIOs", &was.max_concurrent_io, &is.max_concurrent_io)?;
    }
    fixed("StreamMaxBufferedMsgs", &was.max_buffered_messages, &is.max_buffered_messages)?;
    fixed("StreamMaxBufferedSize", &was.max_buffered_size, &is.max_buffered_size)?;
    if running.jetstream && old.store_dir != new.store_dir {
        if !new.store_dir.is_empty() {
            return Err("config reload not supported for jetstream storage directory".to_owned());
        }
        if is.enabled && !limits_unset {
            return Err("config reload not supported for jetstream storage dir".to_owned());
        }
    }
    if is.enabled && limits_unset {
        let text = "config reload not supported for jetstream max memory and max store";
        return Err(text.to_owned());
    }
    fixed_duration("SyncInterval", was.sync_interval, is.sync_interval)?;
    fixed("SyncAlways", &was.sync_always, &is.sync_always)?;
    if old.default_js_domain != new.default_js_domain {
        let (was, is) = (Map(&old.default_js_domain), Map(&new.default_js_domain));
        return Err(refused("JsAccDefaultDomain", was, is));
    }
    let (was, is) = (&old.websocket, &new.websocket);
    fixed_fields!("Websocket", was, is,
        "Host" host, "Port" port, "Advertise" advertise, "NoAuthUser" no_auth_user,
        "JWTCookie" jwt_cookie, "UsernameCookie" user_cookie, "PasswordCookie" pass_cookie,
        "TokenCookie" token_cookie, "Username" username, "Password" password, "Token" token,
        "AuthTimeout" auth_timeout, "NoTLS" no_tls, "SameOrigin" same_origin,
        "AllowedOrigins" allowed_origins, "Compression" compression,
        "HandshakeTimeout" handshake_timeout, "PingInterval" ping_interval, "Headers" headers,
    );
    let (was, is) = (&old.mqtt, &new.mqtt);
    fixed_fields!("MQTT", was, is,
        "Host" host, "Port" port, "NoAuthUser" no_auth_user, "Username" username,
        "Password" password, "Token" token, "JsDomain" js_domain, "AuthTimeout" auth_timeout,
        "TLSTimeout" tls_timeout, "JSAPITimeout" js_api_timeout,
        "RejectQoS2Pub" reject_qos2_publish, "DowngradeQoS2Sub" downgrade_qos2_subscribe,
    );
    if was != is {
        changes.push(Change::Mqtt);
    }
    Ok(())
}

fn process(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    fixed("ProfPort", &old.prof_port, &new.prof_port)?;
    let mut differs = |differs: bool, change: Change| {
        if differs {
            changes.push(change);
        }
    };
    differs(old.prof_block_rate != new.prof_block_rate, Change::ProfBlockRate);
    differs(old.pid_file != new.pid_file, Change::PidFile);
    differs(old.ports_file_dir != new.ports_file_dir, Change::PortsFileDir);
    differs(old.log_file != new.log_file, Change::LogFile);
    fixed("LogSizeLimit", &old.log_size_limit, &new.log_size_limit)?;
    fixed("LogMaxFiles", &old.log_max_files, &new.log_max_files)?;
    differs(old.syslog != new.syslog, Change::Syslog);
    differs(old.remote_syslog != new.remote_syslog, Change::RemoteSyslog);
    let by_text = |o: &Options| sorted(&o.routes, Url::to_string);
    differs(by_text(old) != by_text(new), Change::Routes);
    Ok(())
}

fn tls(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    if old.tls_timeout != new.tls_timeout {
        changes.push(Change::TlsTimeout);
    }
    let none = TlsOptions::default();
    let was = old.tls.as_ref().unwrap_or(&none);
    let is = new.tls.as_ref().unwrap_or(&none);
    fixed("TLSMap", &was.verify_and_map, &is.verify_and_map)?;
    if old.tls.as_ref().map(handshake) != new.tls.as_ref().map(handshake) {
        changes.push(Change::Tls);
    }
    if was.pinned_certs != is.pinned_certs {
        changes.push(Change::TlsPinnedCerts);
    }
    fixed("TLSRateLimit", &was.connection_rate_limit, &is.connection_rate_limit)?;
    if was.handshake_first != is.handshake_first {
        changes.push(Change::TlsHandshakeFirst);
    }
    if was.handshake_first_fallback != is.handshake_first_fallback {
        changes.push(Change::TlsHandshakeFirstFallback);
    }
    fixed("AllowNonTLS", &old.allow_non_tls, &new.allow_non_tls)
}

fn rest(old: &Options, new: &Options, changes: &mut Vec<Change>) -> Result<(), String> {
    if old.write_deadline != new.write_deadline {
        changes.push(Change::WriteDeadline);
    }
    if old.write_timeout != new.write_timeout {
        // The default has no name here.
        let name = |text: String| if text == "default" { String::new() } else { text };
        let (was, is) = (old.write_timeout.to_string(), new.write_timeout.to_string());
        return Err(refused("WriteTimeout", name(was), name(is)));
    }
    fixed("MaxClosedClients", &old.max_closed_clients, &new.max_closed_clients)?;
    fixed_duration("LameDuckDuration", old.lame_duck_duration, new.lame_duck_duration)?;
    fixed_duration("LameDuckGracePeriod", old.lame_duck_grace_period, new.lame_duck_grace_period)?;
    if old.max_traced_msg_len != new.max_traced_msg_len {
        changes.push(Change::MaxTracedMsgLen);
    }
    // With operators these are their keys, and the operators are what has changed.
    let by_operators = !old.operators.is_empty() && !old.trusted_keys.is_empty();
    if !by_operators && old.trusted_keys != new.trusted_keys {
        return Err(refused("TrustedKeys", List(&old.trusted_keys), List(&new.trusted_keys)));
    }
    if old.operators != new.operators {
        let names = |o: &Options| format!("[{} operators]", o.operators.len());
        return Err(refused("TrustedOperators", names(old), names(new)));
    }
    if old.account_resolver.is_some() != new.account_resolver.is_some() {
        let text = "config reload does not support moving to or from an account resolver";
        return Err(text.to_owned());
    }
    if old.account_resolver != new.account_resolver {
        changes.push(Change::Accounts);
    }
    if old.account_resolver_tls != new.account_resolver_tls {
        changes.push(Change::Accounts);
    }
    if old.connect_error_reports != new.connect_error_reports {
        changes.push(Change::ConnectErrorReports);
    }
    if old.reconnect_error_reports != new.reconnect_error_reports {
        changes.push(Change::ReconnectErrorReports);
    }
    if old.server_tags != new.server_tags {
        changes.push(Change::Tags);
    }
    if old.server_metadata != new.server_metadata {
        changes.push(Change::Metadata);
    }
    if old.feature_flags != new.feature_flags {
        return Err(refused("FeatureFlags", Map(&old.feature_flags), Map(&new.feature_flags)));
    }
    if old.ocsp != new.ocsp {
        changes.push(Change::Ocsp);
    }
    let trusted = |o: &Options| o.proxies.as_ref().map_or_else(Vec::new, |p| p.trusted.clone());
    let (was, is) = (trusted(old), trusted(new));
    let removed: Vec<String> = was.iter().filter(|key| !is.contains(key)).cloned().collect();
    let added: Vec<String> = is.iter().filter(|key| !was.contains(key)).cloned().collect();
    if !removed.is_empty() || !added.is_empty() {
        changes.push(Change::Proxies { removed, added });
    }
    if old.ocsp_cache != new.ocsp_cache {
        changes.push(Change::OcspCache);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::account::AccountOptions;
    use crate::config::options::listen::{Port, WriteTimeout};
    use crate::config::options::proxies::ProxiesOptions;

    const RUNNING: Running = Running { port: 4222, jetstream: false };

    /// What becomes of a change of the default options.
    fn changed(edit: impl FnOnce(&mut Options)) -> Result<Vec<Change>, String> {
        let old = Options::with_defaults();
        let mut new = old.clone();
        edit(&mut new);
        compare(&old, &new, RUNNING)
    }

    #[test]
    fn without_a_change_users_and_accounts_are_looked_at_all_the_same() {
        assert_eq!(changed(|_| {}), Ok(vec![Change::Users, Change::Accounts]));
    }

    #[test]
    fn options_that_cannot_change_are_refused_with_their_values() {
        type Edit = fn(&mut Options);
        let table: [(&str, Edit); 20] = [
            ("ServerName: old=, new=a", |o| o.server_name = "a".into()),
            ("Host: old=0.0.0.0, new=127.0.0.1", |o| o.host = "127.0.0.1".into()),
            ("Port: old=4222, new=4223", |o| o.port = Port::from(4223)),
            ("NoSublistCache: old=false, new=true", |o| o.no_sublist_cache = true),
            ("NoHeaderSupport: old=false, new=true", |o| o.no_header_support = true),
            ("MaxSubs: old=0, new=10", |o| o.max_subscriptions = 10),
            ("MaxSubTokens: old=0, new=3", |o| o.max_sub_tokens = 3),
            ("NoAuthUser: old=, new=u", |o| o.no_auth_user = "u".into()),
            ("SystemAccount: old=, new=S", |o| o.system_account = "S".into()),
            ("NoSystemAccount: old=false, new=true", |o| o.no_system_account = true),
            ("ProxyProtocol: old=false, new=true", |o| o.proxy_protocol = true),
            ("HTTPPort: old=0, new=8222", |o| o.http_port = Port::from(8222)),
            ("MaxPending: old=67108864, new=1000000", |o| o.max_pending = 1_000_000),
            ("ProfPort: old=0, new=1234", |o| o.prof_port = Port::from(1234)),
            ("LogSizeLimit: old=0, new=5", |o| o.log_size_limit = 5),
            ("WriteTimeout: old=, new=retry", |o| o.write_timeout = WriteTimeout::Retry),
            ("LameDuckDuration: old=2m0s, new=30s", |o| {
                o.lame_duck_duration = Duration::from_secs(30);
            }),
            ("TrustedKeys: old=[], new=[A B]", |o| {
                o.trusted_keys = vec!["A".into(), "B".into()];
            }),
            ("FeatureFlags: old=map[], new=map[a:true b:false]", |o| {
                o.feature_flags = [("a".into(), true), ("b".into(), false)].into();
            }),
            ("AllowNonTLS: old=false, new=true", |o| o.allow_non_tls = true),
        ];
        for (text, edit) in table {
            let expected = format!("config reload not supported for {text}");
            assert_eq!(changed(edit), Err(expected));
        }
    }

    #[test]
    fn the_first_refusal_in_order_is_told() {
        let text = "config reload not supported for Host: old=0.0.0.0, new=h";
        let both = changed(|o| {
            o.max_pending = 1;
            o.host = "h".into();
        });
        assert_eq!(both, Err(text.to_owned()));
    }

    #[test]
    fn a_port_chosen_by_the_system_stays() {
        let mut old = Options::with_defaults();
        old.port = Port::RANDOM;
        let mut new = old.clone();
        let running = Running { port: 33_000, ..RUNNING };
        assert!(compare(&old, &new, running).is_ok());
        new.port = Port::from(33_000);
        assert!(compare(&old, &new, running).is_ok());
        new.port = Port::from(33_001);
        let text = "config reload not supported for Port: old=33000, new=33001";
        assert_eq!(compare(&old, &new, running), Err(text.to_owned()));
    }

    #[test]
    fn the_user_without_credentials_may_go_with_its_entry_only() {
        let mut old = Options::with_defaults();
        old.no_auth_user = "u".to_owned();
        let mut new = Options::with_defaults();
        assert!(compare(&old, &new, RUNNING).is_ok());
        new.users.push(crate::config::options::auth::User {
            username: "u".to_owned(),
            ..Default::default()
        });
        let text = "config reload not supported for NoAuthUser: old=u, new=";
        assert_eq!(compare(&old, &new, RUNNING), Err(text.to_owned()));
    }

    #[test]
    fn the_default_system_account_may_become_unset_but_no_other() {
        let mut old = Options::with_defaults();
        old.accounts.push(AccountOptions::new("$SYS"));
        let new = Options::with_defaults();
        assert!(compare(&old, &new, RUNNING).is_ok());
        old.system_account = "S".to_owned();
        let text = "config reload not supported for SystemAccount: old=S, new=";
        assert_eq!(compare(&old, &new, RUNNING), Err(text.to_owned()));
    }

    #[test]
    fn trusted_proxies_come_and_go_with_and_without_their_block() {
        let of = |keys: &[&str]| {
            let trusted = keys.iter().map(|&key| key.to_owned()).collect();
            Options { proxies: Some(ProxiesOptions { trusted }), ..Options::with_defaults() }
        };
        let proxies = |old: &Options, new: &Options| {
            let changes = compare(old, new, RUNNING).unwrap();
            changes.into_iter().find_map(|change| match change {
                Change::Proxies { removed, added } => Some((removed, added)),
                _ => None,
            })
        };
        let keys = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
        let none = Options::with_defaults();
        assert_eq!(proxies(&none, &of(&["A"])), Some((keys(&[]), keys(&["A"]))));
        assert_eq!(proxies(&of(&["A"]), &none), Some((keys(&["A"]), keys(&[]))));
        assert_eq!(proxies(&of(&["A", "B"]), &of(&["B", "C"])), Some((keys(&["A"]), keys(&["C"]))));
        assert_eq!(proxies(&of(&["A", "B"]), &of(&["B", "A"])), None);
        assert_eq!(proxies(&none, &of(&[])), None);
    }

    #[test]
    fn a_cluster_keeps_its_host_and_port() {
        let edit = |f: fn(&mut Options)| {
            let mut old = Options::with_defaults();
            old.cluster.host = "h".into();
            old.cluster.port = Port::from(6222);
            let mut new = old.clone();
            f(&mut new);
            compare(&old, &new, RUNNING)
        };
        let refusal = |text: &str| Err(format!("config reload not supported for cluster {text}"));
        assert_eq!(edit(|o| o.cluster.host = "i".into()), refusal("host: old=h, new=i"));
        let other = edit(|o| o.cluster.port = Port::from(1));
        assert_eq!(other, refusal("port: old=6222, new=1"));
        assert!(edit(|o| o.cluster.port = Port::RANDOM).is_ok());
        assert_eq!(
            edit(|o| o.cluster.advertise = "a:b:c".into()),
            Err("invalid Cluster.Advertise value of a:b:c, err=address a:b:c: too many colons in address"
                .to_owned())
        );
    }

    #[test]
    fn limits_of_jetstream_may_only_grow_while_it_runs() {
        let running = Running { jetstream: true, ..RUNNING };
        let edit = |memory: i64, new_memory: i64, enabled: bool| {
            let mut old = Options::with_defaults();
            old.jetstream.enabled = true;
            old.jetstream.max_memory = memory;
            let mut new = old.clone();
            new.jetstream.max_memory = new_memory;
            new.jetstream.enabled = enabled;
            compare(&old, &new, running)
        };
        assert!(edit(10, 20, true).unwrap().contains(&Change::JetStreamMaxMemory));
        let refusal = |text: &str| Err(format!("config reload not supported for {text}"));
        assert_eq!(edit(20, 10, true), refusal("decreasing jetstream max memory and store"));
        assert_eq!(edit(-1, 10, true), refusal("jetstream dynamic max memory and store"));
        assert_eq!(edit(10, -1, true), refusal("jetstream max memory and max store"));
        assert!(edit(10, -1, false).unwrap().contains(&Change::JetStream(false)));
    }
}
