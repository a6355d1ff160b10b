//! The claims of accounts.

use super::check::{self, Issues, quoted};
use super::json::Object;
use super::shares::{Export, Import, validate_exports, validate_imports};
use super::user::{Permissions, UNLIMITED, UserPermissions};
use super::{Base, DecodeError, Generic, Kind, Seen, encode, is_zero};
use crate::nkey::{self, KeyType};
use nkeys::KeyPair;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Limits of JetStream, or of one of its tiers. Storage of 0 is none at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JetStreamLimits {
    /// Bytes in memory.
    #[serde(rename = "mem_storage", skip_serializing_if = "is_zero")]
    pub memory_storage: i64,
    /// Bytes on disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    /// Streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    /// Consumers.
    #[serde(rename = "consumer", skip_serializing_if = "is_zero")]
    pub consumers: i64,
    /// Messages without acknowledgement.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory; 0 or less for no limit.
    #[serde(rename = "mem_max_stream_bytes", skip_serializing_if = "is_zero")]
    pub memory_max_stream_bytes: i64,
    /// Bytes of one stream on disk; 0 or less for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    /// Streams must be limited in size.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub max_bytes_required: bool,
}

impl JetStreamLimits {
    fn read(object: &Object<'_>) -> Result<JetStreamLimits, DecodeError> {
        Ok(JetStreamLimits {
            memory_storage: object.integer("mem_storage")?,
            disk_storage: object.integer("disk_storage")?,
            streams: object.integer("streams")?,
            consumers: object.integer("consumer")?,
            max_ack_pending: object.integer("max_ack_pending")?,
            memory_max_stream_bytes: object.integer("mem_max_stream_bytes")?,
            disk_max_stream_bytes: object.integer("disk_max_stream_bytes")?,
            max_bytes_required: object.boolean("max_bytes_required")?,
        })
    }

    /// Whether anything may be stored.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.memory_storage != 0 || self.disk_storage != 0
    }
}

/// What the operator allows; -1 is no limit, and what is missing is 0: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Subscriptions of a connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes. Carried along, never enforced.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of a message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Imports.
    #[serde(skip_serializing_if = "is_zero")]
    pub imports: i64,
    /// Exports.
    #[serde(skip_serializing_if = "is_zero")]
    pub exports: i64,
    /// Exports may have wildcards.
    #[serde(rename = "wildcards", skip_serializing_if = "std::ops::Not::not")]
    pub wildcard_exports: bool,
    /// Bearer tokens do not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disallow_bearer: bool,
    /// Connections of clients.
    #[serde(rename = "conn", skip_serializing_if = "is_zero")]
    pub connections: i64,
    /// Connections of leafnodes.
    #[serde(rename = "leaf", skip_serializing_if = "is_zero")]
    pub leafnodes: i64,
    /// JetStream without tiers.
    #[serde(flatten)]
    pub jetstream: JetStreamLimits,
    /// JetStream by tier.
    #[serde(rename = "tiered_limits", skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, JetStreamLimits>,
}

impl Limits {
    /// No limit, and no JetStream.
    #[must_use]
    pub fn unlimited() -> Limits {
        Limits {
            subs: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            imports: UNLIMITED,
            exports: UNLIMITED,
            wildcard_exports: true,
            connections: UNLIMITED,
            leafnodes: UNLIMITED,
            ..Limits::default()
        }
    }

    fn read(object: &Object<'_>, seen: Seen) -> Result<Limits, DecodeError> {
        let mut limits = Limits {
            subs: object.integer("subs")?,
            data: object.integer("data")?,
            payload: object.integer("payload")?,
            imports: object.integer("imports")?,
            exports: object.integer("exports")?,
            wildcard_exports: object.boolean("wildcards")?,
            disallow_bearer: object.boolean("disallow_bearer")?,
            connections: object.integer("conn")?,
            leafnodes: object.integer("leaf")?,
            ..Limits::default()
        };
        if seen.version > 1 {
            for (tier, value) in object.object("tiered_limits")?.members().into_iter().flatten() {
                let value = Object::of(value, "JetStreamLimits")?;
                limits.tiers.insert(tier.clone(), JetStreamLimits::read(&value)?);
            }
            let flat = JetStreamLimits::read(object)?;
            if limits.tiers.is_empty() {
                limits.jetstream = flat;
            }
        }
        Ok(limits)
    }
}

/// What is signed with a key of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The key.
    pub key: String,
    /// A name for people.
    pub role: String,
    /// What users signed with it may do.
    pub template: UserPermissions,
    /// For people.
    pub description: String,
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            kind: &'static str,
            key: &'a str,
            role: &'a str,
            template: &'a UserPermissions,
            description: &'a str,
        }
        Written {
            kind: "user_scope",
            key: &self.key,
            role: &self.role,
            template: &self.template,
            description: &self.description,
        }
        .serialize(serializer)
    }
}

/// Signing keys, with what is particular to each.
pub type SigningKeys = BTreeMap<String, Option<Scope>>;

fn write_signing_keys<S: Serializer>(keys: &SigningKeys, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(keys.len()))?;
    for (key, scope) in keys {
        match scope {
            None => list.serialize_element(key)?,
            Some(scope) => list.serialize_element(scope)?,
        }
    }
    list.end()
}

fn read_signing_keys(object: &Object<'_>) -> Result<SigningKeys, DecodeError> {
    let mut keys = SigningKeys::new();
    for item in object.array("signing_keys")?.unwrap_or_default() {
        match item {
            Value::String(key) => {
                keys.insert(key.clone(), None);
            }
            Value::Object(_) => {
                let scope = Object::of(item, "UserScope")?;
                if scope.value("kind").and_then(Value::as_str) != Some("user_scope") {
                    let kind = scope.value("type").and_then(Value::as_str).unwrap_or("%!q(<nil>)");
                    return Err(DecodeError::other(format!("unknown signing key scope {kind}")));
                }
                let key = scope.text("key")?;
                let template = UserPermissions::read(&scope.object("template")?, UNLIMITED)?;
                let (role, description) = (scope.text("role")?, scope.text("description")?);
                keys.insert(key.clone(), Some(Scope { key, role, template, description }));
            }
            _ => {}
        }
    }
    Ok(keys)
}

/// One destination of a subject mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WeightedMapping {
    /// Where to.
    pub subject: String,
    /// Percentage; 0 is 100.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// In that cluster only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

impl WeightedMapping {
    /// The percentage.
    #[must_use]
    pub fn percent(&self) -> i64 {
        if self.weight == 0 { 100 } else { self.weight }
    }
}

/// Who decides about the account's users (spec 03 §26).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExternalAuthorization {
    /// Users about whom nobody else decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth_users: Vec<String>,
    /// Accounts that users may be put into; `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_accounts: Vec<String>,
    /// The key to seal requests with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// Where message traces go that trace headers ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The subject.
    #[serde(rename = "dest", skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// Percentage; 0 is 100.
    #[serde(skip_serializing_if = "is_zero")]
    pub sampling: i64,
}

/// The claims of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountClaims {
    /// What all tokens have.
    pub base: Base,
    /// The particular part.
    pub account: Account,
}

/// What is particular to accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// What it uses of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// What others may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// What the operator allows.
    pub limits: Limits,
    /// Keys that sign for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "write_signing_keys")]
    pub signing_keys: SigningKeys,
    /// Users whose tokens count no longer: key or `*`, and seconds since the epoch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, i64>,
    /// Of users whose tokens say nothing.
    pub default_permissions: Permissions,
    /// Subject mappings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, Vec<WeightedMapping>>,
    /// Who decides about its users.
    pub authorization: ExternalAuthorization,
    /// Where message traces go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// `system` or `owner`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_traffic: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl AccountClaims {
    /// Of an account without limits, and without JetStream.
    #[must_use]
    pub fn new(subject: &str) -> AccountClaims {
        AccountClaims {
            base: Base { subject: subject.to_owned(), ..Base::default() },
            account: Account { limits: Limits::unlimited(), ..Account::default() },
        }
    }

    pub(super) fn read(claims: &Object<'_>, seen: Seen) -> Result<AccountClaims, DecodeError> {
        let nats = claims.object("nats")?;
        let mut account = Account {
            limits: Limits::read(&nats.object("limits")?, seen)?,
            signing_keys: read_signing_keys(&nats)?,
            revocations: nats.numbers("revocations")?,
            tags: Generic::read(claims, &nats, seen)?.tags,
            ..Account::default()
        };
        for item in nats.array("imports")?.unwrap_or_default() {
            account.imports.push(Import::read(item)?);
        }
        for item in nats.array("exports")?.unwrap_or_default() {
            account.exports.push(Export::read(item)?);
        }
        if seen.version > 1 {
            let authorization = nats.object("authorization")?;
            account.default_permissions = Permissions::read(&nats.object("default_permissions")?)?;
            account.mappings = mappings(&nats)?;
            account.authorization = ExternalAuthorization {
                auth_users: authorization.texts("auth_users")?.unwrap_or_default(),
                allowed_accounts: authorization.texts("allowed_accounts")?.unwrap_or_default(),
                xkey: authorization.text("xkey")?,
            };
            account.trace = match nats.value("trace") {
                None => None,
                Some(_) => {
                    let trace = nats.object("trace")?;
                    let (destination, sampling) = (trace.text("dest")?, trace.integer("sampling")?);
                    Some(Trace { destination, sampling })
                }
            };
            account.cluster_traffic = nats.text("cluster_traffic")?;
            account.description = nats.text("description")?;
            account.info_url = nats.text("info_url")?;
        }
        Ok(AccountClaims { base: Base::read(claims)?, account })
    }

    /// What is wrong with the claims at that time (seconds since the epoch).
    #[must_use]
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        self.base.check_times(now, &mut issues);
        self.account.validate(&self.base.subject, &mut issues);
        if nkey::is_public(KeyType::Account, &self.base.issuer)
            && self.account.limits != Limits::default()
        {
            issues.warn("self-signed account JWTs shouldn't contain operator limits");
        }
        issues
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// The subject is no account, or the key cannot sign.
    pub fn encode(&self, key: &KeyPair, now: i64) -> Result<String, String> {
        #[derive(Serialize)]
        struct Nats<'a> {
            #[serde(flatten)]
            account: &'a Account,
            #[serde(flatten)]
            generic: Generic,
        }
        if !nkey::is_public(KeyType::Account, &self.base.subject) {
            return Err("expected subject to be account public key".to_owned());
        }
        let generic = Generic::new(Kind::Account.name());
        encode(&self.base, &Nats { account: &self.account, generic }, key, now)
    }
}

fn mappings(nats: &Object<'_>) -> Result<BTreeMap<String, Vec<WeightedMapping>>, DecodeError> {
    let mut mappings = BTreeMap::new();
    let object = nats.object("mappings")?;
    for source in object.members().into_iter().flat_map(serde_json::Map::keys) {
        let mut destinations = Vec::new();
        // The name is one of the object's own, so the look-up finds exactly it.
        for item in object.array(source)?.unwrap_or_default() {
            let mapping = Object::of(item, "WeightedMapping")?;
            let weight = mapping.integer("weight")?;
            if !(0..=255).contains(&weight) {
                return Err(DecodeError::other(format!(
                    "json: cannot unmarshal number {weight} into Go struct field \
                     WeightedMapping.weight of type uint8"
                )));
            }
            let (subject, cluster) = (mapping.text("subject")?, mapping.text("cluster")?);
            destinations.push(WeightedMapping { subject, weight, cluster });
        }
        mappings.insert(source.clone(), destinations);
    }
    Ok(mappings)
}

impl Account {
    /// Whether somebody else decides about its users.
    #[must_use]
    pub fn has_external_authorization(&self) -> bool {
        !self.authorization.auth_users.is_empty()
    }

    fn validate(&self, subject: &str, issues: &mut Issues) {
        validate_imports(&self.imports, subject, issues);
        validate_exports(&self.exports, issues);
        if !self.limits.tiers.is_empty() {
            if self.limits.jetstream != JetStreamLimits::default() {
                issues.error("JetStream Limits and tiered JetStream Limits are mutually exclusive");
            }
            if self.limits.tiers.contains_key("") {
                issues.error("Tiered JetStream Limits can not contain a blank \"\" tier name");
            }
        }
        self.default_permissions.validate(issues);
        self.validate_mappings(issues);
        self.authorization.validate(issues);
        self.validate_trace(issues);
        self.validate_counts(issues);
        for (key, scope) in &self.signing_keys {
            match scope {
                Some(scope) if !nkey::is_public(KeyType::Account, &scope.key) => {
                    issues.error(format!("{} is not an account public key", scope.key));
                }
                None if !nkey::is_public(KeyType::Account, key) => {
                    issues.error(format!("{} is not a valid account signing key", quoted(key)));
                }
                _ => {}
            }
        }
        check::info(&self.description, &self.info_url, issues);
        if !matches!(self.cluster_traffic.as_str(), "" | "system" | "owner") {
            let option = quoted(&self.cluster_traffic);
            issues.error(format!("unknown cluster traffic option: {option}"));
        }
    }

    fn validate_mappings(&self, issues: &mut Issues) {
        for (source, destinations) in &self.mappings {
            check::subject(source, issues);
            let name = quoted(source);
            let mut by_cluster: BTreeMap<&str, i64> = BTreeMap::new();
            for destination in destinations {
                check::subject(&destination.subject, issues);
                let percent = destination.percent();
                if percent > 100 {
                    issues.error(format!("Mapping {name} has a weight {percent} that exceeds 100"));
                }
                let cluster = destination.cluster.as_str();
                let total = by_cluster.entry(cluster).or_default();
                *total += percent;
                if *total > 100 && !cluster.is_empty() {
                    issues.error(format!(
                        "Mapping {name} in cluster {} exceeds 100% among all of it's weighted to \
                         mappings",
                        quoted(cluster)
                    ));
                }
            }
            if by_cluster.get("").is_some_and(|total| *total > 100) {
                issues.error(format!(
                    "Mapping {name} exceeds 100% among all of it's weighted to mappings"
                ));
            }
        }
    }

    fn validate_trace(&self, issues: &mut Issues) {
        let Some(trace) = &self.trace else { return };
        let mut found = Issues::default();
        check::subject(&trace.destination, &mut found);
        if let Some(issue) = found.iter().next() {
            issues.error(format!("the account Trace.Destination {}", issue.text));
        }
        if check::has_wildcards(&trace.destination) {
            issues.error(format!(
                "the account Trace.Destination subject {} is not a valid publish subject",
                quoted(&trace.destination)
            ));
        }
        if !(0..=100).contains(&trace.sampling) {
            issues.error(format!(
                "the account Trace.Sampling value '{}' is not valid, should be in the range \
                 [1..100]",
                trace.sampling
            ));
        }
    }

    fn validate_counts(&self, issues: &mut Issues) {
        let count = |items: usize| i64::try_from(items).unwrap_or(i64::MAX);
        let limits = &self.limits;
        let too_many_imports = count(self.imports.len()) > limits.imports;
        let text = "the account contains more imports than allowed by the operator";
        if *limits != Limits::default() && limits.imports >= 0 && too_many_imports {
            issues.error(text);
        }
        if limits.imports != UNLIMITED && too_many_imports {
            issues.error(text);
        }
        if limits.exports == UNLIMITED {
            return;
        }
        if count(self.exports.len()) > limits.exports {
            issues.error("the account contains more exports than allowed by the operator");
        }
        if !limits.wildcard_exports {
            for _ in self.exports.iter().filter(|e| check::has_wildcards(&e.subject)) {
                issues.error(
                    "the account contains wildcard exports that are not allowed by the operator",
                );
            }
        }
    }
}

impl ExternalAuthorization {
    fn validate(&self, issues: &mut Issues) {
        if !self.allowed_accounts.is_empty() && self.auth_users.is_empty() {
            issues.error("External authorization cannot have accounts without users specified");
        }
        for user in &self.auth_users {
            if !nkey::is_public(KeyType::User, user) {
                let user = quoted(user);
                issues.error(format!("AuthUser {user} is not a valid user public key"));
            }
        }
        for account in &self.allowed_accounts {
            if account == "*" {
                if self.allowed_accounts.len() > 1 {
                    issues.error("AllowedAccounts can only be a list of accounts or \"*\"");
                }
            } else if !nkey::is_public(KeyType::Account, account) {
                let account = quoted(account);
                issues.error(format!("Account {account} is not a valid account public key"));
            }
        }
        if !self.xkey.is_empty() && !nkey::is_public(KeyType::Curve, &self.xkey) {
            issues.error(format!("XKey {} is not a valid public xkey", quoted(&self.xkey)));
        }
    }
}
