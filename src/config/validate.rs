//! Checks of options against each other, and the adjustments that follow from them (spec 02 §6).
//!
//! Runs at start and on every reload, after [`Options::set_baseline`]. The first failure is the
//! result, in the order in which the reference checks.

use super::claims::ClaimsDecoder;
use super::options::Options;
use super::options::account::{AccountOptions, DEFAULT_SYSTEM_ACCOUNT, GLOBAL_ACCOUNT};
use super::options::auth::{Permissions, SubjectPermission, User};
use super::options::compression::{CompressionMode, CompressionOptions};
use super::options::leafnode;
use super::options::operator::AccountResolver;
use super::permissions;
use super::secret::Secret;
use super::text::{SignedDuration, duration, quote, quote_list};
use super::url::Url;
use crate::nkey::{self, KeyType};
use ::sublist::subject::is_valid_subject;
use std::collections::HashSet;

/// The version of the reference this server stands in for; operator JWTs may ask for one.
const SERVER_VERSION: [i64; 3] = [2, 14, 5];

/// Round-trip times up to which compression by round-trip time compresses a level less.
const DEFAULT_RTT_THRESHOLDS: [SignedDuration; 3] = [
    SignedDuration::from_nanos(10_000_000),
    SignedDuration::from_nanos(50_000_000),
    SignedDuration::from_nanos(100_000_000),
];

/// Checks the options, and brings those that can be written in several ways into one form.
///
/// # Errors
/// The text of the first failure.
pub fn validate(options: &mut Options, claims: &dyn ClaimsDecoder) -> Result<(), String> {
    let (grace, lame_duck) = (options.lame_duck_grace_period, options.lame_duck_duration);
    if !lame_duck.is_zero() && grace >= lame_duck {
        let (grace, lame_duck) = (duration(grace), duration(lame_duck));
        return Err(format!(
            "lame duck grace period ({grace}) should be strictly lower than lame duck duration \
             ({lame_duck})"
        ));
    }
    if i64::from(options.max_payload) > options.max_pending {
        let (payload, pending) = (options.max_payload, options.max_pending);
        return Err(format!(
            "max_payload ({payload}) cannot be higher than max_pending ({pending})"
        ));
    }
    if options.server_name.contains(' ') {
        return Err("server name cannot contain spaces".to_owned());
    }
    operators(options, claims)?;
    leafnodes(options)?;
    users(options)?;
    proxies(options)?;
    gateway(options)?;
    cluster(options)?;
    mqtt(options)?;
    jetstream(options)?;
    websocket(options)
}

fn fail<T>(text: &str) -> Result<T, String> {
    Err(text.to_owned())
}

fn operators(options: &mut Options, claims: &dyn ClaimsDecoder) -> Result<(), String> {
    let Some(first) = options.operators.first() else {
        if !options.default_sentinel.is_empty() {
            return fail("default sentinel requires operators and accounts");
        }
        return Ok(());
    };
    if !options.default_sentinel.is_empty() {
        let Ok(user) = claims.user(&options.default_sentinel) else {
            return fail("default sentinel JWT not valid");
        };
        // A user of a scoped signing key gets its rights from the account, which is not known
        // yet; it is checked when it is used.
        let scoped = !user.issuer_account.is_empty() && user.has_empty_permissions;
        if !user.bearer_token && !scoped {
            return fail("default sentinel must be a bearer token");
        }
    }
    let Some(resolver) = &options.account_resolver else {
        return fail("operators require an account resolver to be configured");
    };
    if !options.accounts.is_empty() {
        return fail("operators do not allow Accounts to be configured directly");
    }
    if !options.users.is_empty() || !options.nkeys.is_empty() {
        return fail("operators do not allow users to be configured directly");
    }
    if !options.trusted_keys.is_empty() {
        return fail("conflicting options for 'TrustedKeys' and 'TrustedOperators'");
    }
    let system = |account: &str| account == options.system_account;
    let all = || options.operators.iter().map(|operator| &operator.claims);
    if options.system_account.is_empty() {
        let directory = matches!(resolver, AccountResolver::Full(_) | AccountResolver::Cache(_));
        if first.claims.system_account.is_empty() && directory {
            return fail(
                "using nats based account resolver - the system account needs to be specified in \
                 configuration or the operator jwt",
            );
        }
    } else if all().any(|claims| !claims.system_account.is_empty())
        && !all().any(|claims| system(&claims.system_account))
    {
        return fail("system_account in config and operator JWT must be identical");
    }
    for claims in all() {
        operator_version(&claims.subject, &claims.assert_server_version)?;
    }
    let mut keys = Vec::new();
    for claims in all() {
        if !claims.strict_signing_key_usage {
            keys.push(claims.subject.clone());
        }
        keys.extend(claims.signing_keys.iter().cloned());
    }
    options.trusted_keys = keys;
    if let Some(key) =
        options.trusted_keys.iter().find(|key| !nkey::is_public(KeyType::Operator, key))
    {
        let key = quote(key);
        return Err(format!("trusted Keys {key} are required to be a valid public operator nkey"));
    }
    if !options.resolver_pinned_accounts.is_empty() {
        let pinned = &mut options.resolver_pinned_accounts;
        if let Some(key) = pinned.iter().find(|key| !nkey::is_public(KeyType::Account, key)) {
            let key = quote(key);
            return Err(format!("pinned account key {key} is not a valid public account nkey"));
        }
        // The system account can always connect.
        if !options.system_account.is_empty() {
            pinned.insert(options.system_account.clone());
        }
    }
    if options.auth_callout.is_some() {
        return fail("operators do not allow authorization callouts to be configured directly");
    }
    Ok(())
}

/// Whether this server is new enough for an operator.
fn operator_version(operator: &str, asserted: &str) -> Result<(), String> {
    if asserted.is_empty() {
        return Ok(());
    }
    let numbers = asserted_version(asserted).map_err(|error| {
        format!("operator {operator} expects version {asserted} got error instead: {error}")
    })?;
    for ((name, wanted), own) in
        ["major", "minor", "update"].into_iter().zip(numbers).zip(SERVER_VERSION)
    {
        if wanted > own {
            return Err(format!(
                "operator {operator} expected {name} version {wanted} > server {name} version {own}"
            ));
        }
        if own > wanted {
            break;
        }
    }
    Ok(())
}

fn asserted_version(text: &str) -> Result<[i64; 3], String> {
    let parts: Vec<&str> = text.split('.').collect();
    let [major, minor, update] = parts.as_slice() else {
        return fail("asserted server version must be of the form <major>.<minor>.<update>");
    };
    let number = |part: &str| {
        super::text::parse_integer("Atoi", part)
            .map_err(|_| format!("asserted server version cant parse {part} to int"))
    };
    let numbers = [number(major)?, number(minor)?, number(update)?];
    if numbers.iter().any(|number| *number < 0) {
        return Err(format!("asserted server version can'b contain negative values: {text}"));
    }
    Ok(numbers)
}

fn leafnodes(options: &mut Options) -> Result<(), String> {
    options.leafnode.check_authorization()?;
    let mut names = HashSet::new();
    for remote in &mut options.leafnode.remotes {
        if remote.local_account.is_empty() {
            GLOBAL_ACCOUNT.clone_into(&mut remote.local_account);
        }
        let name = remote.safe_name();
        permissions::check(&remote.deny_imports, false)
            .map_err(|error| format!("invalid deny_imports for remote {name}: {error}"))?;
        permissions::check(&remote.deny_exports, false)
            .map_err(|error| format!("invalid deny_exports for remote {name}: {error}"))?;
        if !names.insert(remote.identity()) {
            return Err(format!("duplicate remote {name}"));
        }
    }
    if options.operators.is_empty() {
        leafnode_accounts(options)?;
    } else {
        leafnodes_with_operators(options)?;
    }
    let leafnode = &mut options.leafnode;
    normalize_compression(&mut leafnode.compression, CompressionMode::S2Auto)?;
    for remote in &mut leafnode.remotes {
        remote.check_proxy()?;
        let websockets = remote.urls.iter().filter(|url| url.is_websocket()).count();
        if websockets != 0 && websockets != remote.urls.len() {
            let urls = quote_list(remote.urls.iter().map(|url| url.redacted().to_string()));
            return Err(format!(
                "remote leaf node configuration cannot have a mix of websocket and non-websocket \
                 urls: {urls}"
            ));
        }
        normalize_compression(&mut remote.compression, CompressionMode::S2Auto)?;
    }
    if !leafnode.port.is_set() {
        return Ok(());
    }
    if !leafnode.min_version.is_empty() {
        leafnode::check_min_version(&leafnode.min_version)?;
    }
    if options.gateway.name.is_empty() && !options.gateway.port.is_set() {
        return Ok(());
    }
    if options.system_account.is_empty() {
        return fail(
            "leaf nodes and gateways (both being defined) require a system account to also be \
             configured",
        );
    }
    Ok(())
}

/// Without operators every account that leafnodes bind to must be configured.
fn leafnode_accounts(options: &Options) -> Result<(), String> {
    let mut known: HashSet<&str> = options.accounts.iter().map(|a| a.name.as_str()).collect();
    known.extend([GLOBAL_ACCOUNT, ""]);
    if options.system_account.is_empty() && !options.no_system_account {
        known.insert(DEFAULT_SYSTEM_ACCOUNT);
    }
    let leafnode = &options.leafnode;
    let users = leafnode.users.iter().filter_map(|user| user.account.as_ref());
    let authorization = std::iter::once(&leafnode.account).chain(users);
    let remotes = leafnode.remotes.iter().map(|remote| &remote.local_account);
    let uses = authorization.map(|a| (a, "authorization")).chain(remotes.map(|a| (a, "remote")));
    for (account, place) in uses {
        if !known.contains(account.as_str()) {
            let account = quote(account);
            return Err(format!(
                "cannot find local account {account} specified in leafnode {place}"
            ));
        }
    }
    Ok(())
}

fn leafnodes_with_operators(options: &Options) -> Result<(), String> {
    let leafnode = &options.leafnode;
    if !leafnode.users.is_empty() {
        return fail("operator mode does not allow specifying users in leafnode config");
    }
    let is_account = |name: &str| nkey::is_public(KeyType::Account, name);
    if leafnode.remotes.iter().any(|remote| !is_account(&remote.local_account)) {
        return fail(
            "operator mode requires account nkeys in remotes. Please add an `account` key to each \
             remote in your `leafnodes` section, to assign it to an account. Each account value \
             should be a 56 character public key, starting with the letter 'A'",
        );
    }
    if leafnode.port.is_set() && !leafnode.account.is_empty() && !is_account(&leafnode.account) {
        return fail("operator mode and non account nkeys are incompatible");
    }
    Ok(())
}

fn users(options: &Options) -> Result<(), String> {
    for user in &options.users {
        permissions(user.permissions.as_deref()).map_err(|error| {
            format!("invalid permissions for user {}: {error}", quote(&user.username))
        })?;
    }
    for user in &options.nkeys {
        permissions(user.permissions.as_deref()).map_err(|error| {
            format!("invalid permissions for nkey {}: {error}", quote(&user.nkey))
        })?;
    }
    no_auth_user(options, &options.no_auth_user)
}

fn permissions(permissions: Option<&Permissions>) -> Result<(), String> {
    let Some(permissions) = permissions else { return Ok(()) };
    for (side, permission, queues) in
        [("publish", &permissions.publish, false), ("subscribe", &permissions.subscribe, true)]
    {
        let Some(SubjectPermission { allow, deny }) = permission else { continue };
        for (list, subjects) in [("allow", allow.as_deref().unwrap_or_default()), ("deny", deny)] {
            permissions::check(subjects, queues)
                .map_err(|error| format!("{side} {list}: {error}"))?;
        }
    }
    Ok(())
}

fn no_auth_user(options: &Options, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Ok(());
    }
    if !options.operators.is_empty() {
        return fail("no_auth_user not compatible with Trusted Operator");
    }
    if options.users.is_empty() && options.nkeys.is_empty() {
        return Err(format!("no_auth_user: \"{name}\" present, but users/nkeys are not defined"));
    }
    let known = options.users.iter().any(|user| user.username == name)
        || options.nkeys.iter().any(|user| user.nkey == name);
    if known {
        return Ok(());
    }
    Err(format!(
        "no_auth_user: \"{name}\" not present as user or nkey in authorization block or account \
         configuration"
    ))
}

fn proxies(options: &Options) -> Result<(), String> {
    let keys = options.proxies.iter().flat_map(|proxies| &proxies.trusted);
    for key in keys {
        if nkey::public_key_type(key).is_none() {
            return Err(format!("proxy trusted key {} is invalid", quote(key)));
        }
    }
    Ok(())
}

fn gateway(options: &Options) -> Result<(), String> {
    let gateway = &options.gateway;
    if gateway.name.is_empty() {
        if gateway.port.is_set() {
            return fail("gateway has no name");
        }
        return Ok(());
    }
    if gateway.name.contains(' ') {
        return fail("gateway name cannot contain spaces");
    }
    if !gateway.port.is_set() {
        let name = quote(&gateway.name);
        return Err(format!("gateway {name} has no port specified (select -1 for random port)"));
    }
    for (index, remote) in gateway.remotes.iter().enumerate() {
        if remote.name.is_empty() {
            return Err(format!("gateway in the list {index} has no name"));
        }
        if remote.urls.is_empty() {
            return Err(format!("gateway {} has no URL", quote(&remote.name)));
        }
    }
    Ok(())
}

fn cluster(options: &mut Options) -> Result<(), String> {
    let cluster = &mut options.cluster;
    if cluster.name.contains(' ') {
        return fail("cluster name cannot contain spaces");
    }
    if let Some(permissions) = &cluster.permissions {
        permissions.check()?;
    }
    normalize_compression(&mut cluster.compression, CompressionMode::S2Fast)?;
    let gateway = &options.gateway.name;
    if !gateway.is_empty() && *gateway != cluster.name {
        if !cluster.name.is_empty() {
            return fail("cluster name conflicts between cluster and gateway definitions");
        }
        cluster.name.clone_from(gateway);
    }
    if cluster.pinned_accounts.is_empty() {
        return Ok(());
    }
    if cluster.pool_size < 0 {
        return fail("pool_size cannot be negative if pinned accounts are specified");
    }
    let mut seen = HashSet::new();
    if let Some(account) = cluster.pinned_accounts.iter().find(|account| !seen.insert(*account)) {
        let (account, list) = (quote(account), quote_list(&cluster.pinned_accounts));
        return Err(format!(
            "found duplicate account name {account} in pinned accounts list {list}"
        ));
    }
    Ok(())
}

fn mqtt(options: &Options) -> Result<(), String> {
    let mqtt = &options.mqtt;
    if !mqtt.port.is_set() {
        return Ok(());
    }
    let clustered = options.cluster.port.is_set() || options.gateway.port.is_set();
    if options.server_name.is_empty() && clustered {
        return fail("mqtt requires server name to be explicitly set");
    }
    no_auth_user(options, &mqtt.no_auth_user)?;
    if !options.users.is_empty() || !options.nkeys.is_empty() {
        if !mqtt.username.is_empty() {
            return fail(
                "mqtt authentication username not compatible with presence of users/nkeys",
            );
        }
        if !mqtt.token.is_empty() {
            return fail("mqtt authentication token not compatible with presence of users/nkeys");
        }
    }
    if mqtt.ack_wait.is_negative() {
        return fail("ack wait must be a positive value");
    }
    if mqtt.js_api_timeout.is_negative() {
        return fail("JS API timeout must be a positive value");
    }
    // A leafnode may use the JetStream of its hub.
    let leafnode = options.leafnode.port.is_set() || !options.leafnode.remotes.is_empty();
    if !options.jetstream.enabled && !clustered && !leafnode {
        return fail("mqtt requires JetStream to be enabled if running in standalone mode");
    }
    Ok(())
}

fn jetstream(options: &mut Options) -> Result<(), String> {
    default_domains(options)?;
    let domain = &options.jetstream.domain;
    if !domain.is_empty() {
        let derived = domain_api(domain);
        if !is_valid_subject(derived.as_bytes()) {
            let derived = quote(&derived);
            return Err(format!("invalid domain name: derived {derived} is not a valid subject"));
        }
        if domain.contains([' ', '\t', '\r', '\n', '\x0c', '.', '*', '>']) {
            return fail("invalid domain name: may not contain ., * or >");
        }
    }
    if !options.jetstream.enabled || !options.cluster.port.is_set() {
        return Ok(());
    }
    if options.server_name.is_empty() {
        return fail("jetstream cluster requires `server_name` to be set");
    }
    if options.cluster.name.is_empty() {
        return fail("jetstream cluster requires `cluster.name` to be set");
    }
    let hint = options.jetstream.extension_hint.to_lowercase();
    if !matches!(hint.as_str(), "" | "will_extend" | "no_extend") {
        return Err(format!("expected 'no_extend' for string value, got '{hint}'"));
    }
    options.jetstream.extension_hint = hint;
    if options.jetstream.max_catchup < 0 {
        return fail("jetstream max catchup cannot be negative");
    }
    Ok(())
}

/// The subjects of the JetStream API of a domain.
fn domain_api(domain: &str) -> String {
    format!("$JS.{domain}.API.>")
}

fn default_domains(options: &Options) -> Result<(), String> {
    let domains = &options.default_js_domain;
    for (account, domain) in domains {
        let name = quote(account);
        if !options.operators.is_empty() {
            if !nkey::is_public(KeyType::Account, account) {
                return Err(format!(
                    "default_js_domain contains account name {name}, which is not a valid public \
                     account nkey"
                ));
            }
            continue;
        }
        let configured: Option<&AccountOptions> =
            options.accounts.iter().find(|known| known.name == *account);
        match configured {
            _ if account == GLOBAL_ACCOUNT => {}
            None => {
                return Err(format!(
                    "in non operator mode, `default_js_domain` references non existing account \
                     {name}"
                ));
            }
            Some(known) if known.jetstream.is_some() && !domain.is_empty() => {
                return Err(format!(
                    "default_js_domain contains account name {name} with enabled JetStream"
                ));
            }
            Some(_) => {}
        }
    }
    let system = match options.system_account.as_str() {
        "" => DEFAULT_SYSTEM_ACCOUNT,
        system => system,
    };
    for (account, domain) in domains {
        let name = quote(account);
        if account == system {
            return Err(format!("system account {name} can not be in default_js_domain"));
        }
        if !domain.is_empty() && !is_valid_subject(domain_api(domain).as_bytes()) {
            let domain = quote(domain);
            return Err(format!(
                "default_js_domain contains account {name} with invalid domain name {domain}"
            ));
        }
    }
    Ok(())
}

fn websocket(options: &Options) -> Result<(), String> {
    let websocket = &options.websocket;
    if !websocket.port.is_set() {
        return Ok(());
    }
    if websocket.tls.is_none() && !websocket.no_tls {
        return fail("websocket requires TLS configuration");
    }
    for origin in &websocket.allowed_origins {
        let url = Url::parse_request(origin)
            .map_err(|error| format!("unable to parse allowed origin: {error}"))?;
        let quoted = quote(origin);
        if url.scheme != "http" && url.scheme != "https" {
            return Err(format!(
                "unable to parse allowed origin {quoted}: allowed origins must be absolute URLs \
                 with http or https scheme"
            ));
        }
        if url.host.is_empty() {
            return Err(format!("unable to parse allowed origin {quoted}: host is required"));
        }
        // A host without a port is fine.
        match super::url::split_host_port(&url.host) {
            Err(error) if !error.contains("missing port") => {
                return Err(format!("unable to parse allowed origin: {error}"));
            }
            _ => {}
        }
    }
    no_auth_user(options, &websocket.no_auth_user)?;
    if !options.users.is_empty() || !options.nkeys.is_empty() {
        if !websocket.username.is_empty() {
            return fail(
                "websocket authentication username not compatible with presence of users/nkeys",
            );
        }
        if !websocket.token.is_empty() {
            return fail(
                "websocket authentication token not compatible with presence of users/nkeys",
            );
        }
    }
    if !websocket.jwt_cookie.is_empty()
        && options.operators.is_empty()
        && options.trusted_keys.is_empty()
    {
        let cookie = quote(&websocket.jwt_cookie);
        return Err(format!(
            "trusted operators or trusted keys configuration is required for JWT authentication \
             via cookie {cookie}"
        ));
    }
    for name in websocket.headers.keys() {
        let quoted = quote(name);
        let lower = name.to_lowercase();
        if matches!(
            lower.as_str(),
            "host" | "content-length" | "connection" | "upgrade" | "nats-no-masking"
        ) {
            return Err(format!("websocket: invalid header {quoted} not allowed"));
        }
        if lower.starts_with("sec-websocket-") {
            return Err(format!(
                "websocket: invalid header {quoted}, \"Sec-WebSocket-\" prefix not allowed"
            ));
        }
    }
    Ok(())
}

/// Turns a configured compression into one of the known modes. `on` is the mode that plain
/// approval stands for.
fn normalize_compression(
    options: &mut CompressionOptions,
    on: CompressionMode,
) -> Result<(), String> {
    let written = options.mode.name().to_owned();
    let name = match written.to_lowercase().as_str() {
        "" => return Ok(()),
        "on" | "enabled" | "true" => on.name().to_owned(),
        other => other.to_owned(),
    };
    options.mode = match name.as_str() {
        "not supported" | "not_supported" => CompressionMode::NotSupported,
        "disabled" | "off" | "false" => CompressionMode::Off,
        "accept" => CompressionMode::Accept,
        "fast" | "s2_fast" => CompressionMode::S2Fast,
        "better" | "s2_better" => CompressionMode::S2Better,
        "best" | "s2_best" => CompressionMode::S2Best,
        "auto" | "s2_auto" => {
            options.rtt_thresholds = rtt_thresholds(&written, &options.rtt_thresholds)?;
            CompressionMode::S2Auto
        }
        _ => return Err(format!("unsupported compression mode {}", quote(&written))),
    };
    Ok(())
}

fn rtt_thresholds(
    mode: &str,
    configured: &[SignedDuration],
) -> Result<Vec<SignedDuration>, String> {
    if configured.is_empty() {
        return Ok(DEFAULT_RTT_THRESHOLDS.to_vec());
    }
    let shown = || {
        let texts: Vec<String> = configured.iter().map(SignedDuration::to_string).collect();
        format!("[{}]", texts.join(" "))
    };
    let mut thresholds = Vec::with_capacity(configured.len());
    let mut highest = SignedDuration::ZERO;
    for threshold in configured {
        let threshold = (*threshold).max(SignedDuration::ZERO);
        // Zero skips a level and may stand anywhere.
        if threshold != SignedDuration::ZERO && threshold < highest {
            return Err(format!("RTT threshold values {} should be in ascending order", shown()));
        }
        highest = highest.max(threshold);
        thresholds.push(threshold);
    }
    while thresholds.last() == Some(&SignedDuration::ZERO) {
        thresholds.pop();
    }
    let mode = quote(mode);
    match thresholds.len() {
        0 => Err(format!("compression mode {mode} requires at least one RTT threshold")),
        1..=4 => Ok(thresholds),
        _ => Err(format!(
            "compression mode {mode} should have no more than 4 RTT thresholds: {}",
            shown()
        )),
    }
}

/// Checks that the configured system account exists. With operators it is looked up when the
/// server starts.
///
/// # Errors
/// The text of the failure.
pub fn check_system_account(options: &Options) -> Result<(), String> {
    let name = options.system_account.as_str();
    let known = options.accounts.iter().any(|account| account.name == name);
    if name.is_empty() || name == GLOBAL_ACCOUNT || known || !options.operators.is_empty() {
        return Ok(());
    }
    fail("error resolving system account: account missing")
}

/// Whether clients without credentials need a hidden user to land in the global account: there is
/// a system account and no other, and nothing about users is configured (spec 02 §6.3).
#[must_use]
pub fn needs_internal_user(options: &Options) -> bool {
    let system = match options.system_account.as_str() {
        "" => DEFAULT_SYSTEM_ACCOUNT,
        name => name,
    };
    let configured = |name: &str| options.accounts.iter().any(|account| account.name == name);
    let only_system = configured(system)
        && options.accounts.iter().all(|a| a.name == system || a.name == GLOBAL_ACCOUNT);
    only_system
        && !options.no_system_account
        && options.operators.is_empty()
        && !options.authorization_defined
        && options.no_auth_user.is_empty()
}

/// Adds the hidden user. `name` is `nats-` and eight random characters, kept across reloads so
/// that clients stay connected; the last seven are its password.
pub fn add_internal_user(options: &mut Options, name: &str) {
    let password = name.char_indices().rev().nth(6).and_then(|(i, _)| name.get(i..));
    options.users.push(User {
        username: name.to_owned(),
        password: Secret::new(password.unwrap_or(name)),
        account: Some(GLOBAL_ACCOUNT.to_owned()),
        ..User::default()
    });
    name.clone_into(&mut options.no_auth_user);
}

/// Leafnode connections need a stable cluster name; a server that has none takes its own.
/// Returns whether that was done, in which case the name is not shown as a cluster.
pub fn name_leafnode_cluster(options: &mut Options) -> bool {
    let cluster = &mut options.cluster;
    let unnamed = cluster.name.is_empty() && !cluster.port.is_set();
    if unnamed && !options.leafnode.remotes.is_empty() {
        cluster.name.clone_from(&options.server_name);
        return true;
    }
    false
}
