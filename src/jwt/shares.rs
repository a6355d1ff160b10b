//! Exports and imports in account claims, and activations: the permission to import what is not
//! for everybody.

use super::check::{self, Issues, quoted};
use super::json::Object;
use super::{Base, DecodeError, Generic, Kind, Seen, encode, is_zero};
use crate::nkey::{self, KeyType};
use nkeys::KeyPair;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an export, import or activation is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// It does not say.
    #[default]
    Unknown,
    /// A stream.
    Stream,
    /// A service.
    Service,
}

impl Share {
    fn read(object: &Object<'_>, field: &str) -> Result<Share, DecodeError> {
        match object.value(field) {
            None => Ok(Share::Unknown),
            Some(Value::String(text)) if text == "stream" => Ok(Share::Stream),
            Some(Value::String(text)) if text == "service" => Ok(Share::Service),
            Some(other) => {
                let text = other.as_str().unwrap_or_default();
                Err(DecodeError::other(format!("unknown export type {}", quoted(text))))
            }
        }
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Share::Unknown => "unknown",
            Share::Stream => "stream",
            Share::Service => "service",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref)] // Serde asks so.
    fn is_unknown(&self) -> bool {
        *self == Share::Unknown
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Where measurements of a service go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Percentage of requests measured; 0 measures those whose headers ask for it.
    #[serde(serialize_with = "sampling")]
    pub sampling: i64,
    /// The subject of the measurements.
    pub results: String,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // Serde asks so.
fn sampling<S: Serializer>(percent: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match percent {
        0 => serializer.serialize_str("headers"),
        percent => serializer.serialize_i64(*percent),
    }
}

/// Something others may import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Export {
    /// A name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What it is.
    #[serde(rename = "type", skip_serializing_if = "Share::is_unknown")]
    pub share: Share,
    /// An activation is needed.
    #[serde(rename = "token_req", skip_serializing_if = "std::ops::Not::not")]
    pub token_required: bool,
    /// Activations that count no longer: importing account or `*`, and seconds since the epoch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, i64>,
    /// `Singleton`, `Stream` or `Chunked`; empty for the first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_type: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_threshold: i64,
    /// Measurements.
    #[serde(rename = "service_latency", skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Token of the subject that must be the importing account, counted from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub account_token_position: i64,
    /// For tools.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub advertise: bool,
    /// Message traces go on into this account.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_trace: bool,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
}

impl Export {
    pub(super) fn read(value: &Value) -> Result<Export, DecodeError> {
        let object = Object::of(value, "Export")?;
        let latency = match object.value("service_latency") {
            None => None,
            Some(_) => {
                let latency = object.object("service_latency")?;
                let by_headers = latency
                    .value("sampling")
                    .and_then(Value::as_str)
                    .is_some_and(|text| text.eq_ignore_ascii_case("headers"));
                let sampling = if by_headers { 0 } else { latency.integer("sampling")? };
                Some(Latency { sampling, results: latency.text("results")? })
            }
        };
        let position = object.integer("account_token_position")?;
        if position < 0 {
            return Err(DecodeError::other(format!(
                "json: cannot unmarshal number {position} into Go struct field \
                 Export.account_token_position of type uint"
            )));
        }
        Ok(Export {
            name: object.text("name")?,
            subject: object.text("subject")?,
            share: Share::read(&object, "type")?,
            token_required: object.boolean("token_req")?,
            revocations: object.numbers("revocations")?,
            response_type: object.text("response_type")?,
            response_threshold: object.integer("response_threshold")?,
            latency,
            account_token_position: position,
            advertise: object.boolean("advertise")?,
            allow_trace: object.boolean("allow_trace")?,
            description: object.text("description")?,
            info_url: object.text("info_url")?,
        })
    }

    fn validate(&self, issues: &mut Issues) {
        let service = self.share == Share::Service;
        let response = quoted(&self.response_type);
        match self.share {
            Share::Unknown => issues.error("invalid export type: \"unknown\""),
            Share::Service => {
                if !matches!(self.response_type.as_str(), "" | "Singleton" | "Stream" | "Chunked") {
                    issues.error(format!("invalid response type for service: {response}"));
                }
            }
            Share::Stream => {
                if !self.response_type.is_empty() {
                    issues.error(format!("invalid response type for stream: {response}"));
                }
                if self.allow_trace {
                    issues.error("AllowTrace only valid for service export");
                }
            }
        }
        if let Some(latency) = &self.latency {
            if !service {
                issues.error("latency tracking only permitted for services");
            }
            if !(0..=100).contains(&latency.sampling) {
                issues.error("sampling percentage needs to be between 1-100");
            }
            check::subject(&latency.results, issues);
            if check::has_wildcards(&latency.results) {
                issues.error("results subject can not contain wildcards");
            }
        }
        if self.response_threshold < 0 {
            issues.error("negative response threshold is invalid");
        }
        if self.response_threshold > 0 && !service {
            issues.error("response threshold only valid for services");
        }
        check::subject(&self.subject, issues);
        self.validate_position(issues);
        check::info(&self.description, &self.info_url, issues);
    }

    fn validate_position(&self, issues: &mut Issues) {
        let (position, subject) = (self.account_token_position, &self.subject);
        if position <= 0 {
            return;
        }
        if !check::has_wildcards(subject) {
            return issues.error(format!(
                "Account Token Position can only be used with wildcard subjects: {subject}"
            ));
        }
        let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
        match subject.split('.').nth(index) {
            None => issues.error(format!(
                "Account Token Position {position} exceeds length of subject '{subject}'"
            )),
            Some("*") => {}
            Some(token) => issues.error(format!(
                "Account Token Position {position} matches '{token}' but must match a * in: {subject}"
            )),
        }
    }
}

pub(super) fn validate_exports(exports: &[Export], issues: &mut Issues) {
    for export in exports {
        export.validate(issues);
    }
    for (kind, service) in [(Share::Service, true), (Share::Stream, false)] {
        let of_kind = exports.iter().filter(|e| (e.share == Share::Service) == service);
        let subjects: Vec<&str> = of_kind.map(|e| e.subject.as_str()).collect();
        let mut reported: BTreeMap<&str, &str> = BTreeMap::new();
        for (i, inner) in subjects.iter().enumerate() {
            for (j, outer) in subjects.iter().enumerate() {
                if i != j && check::is_contained_in(inner, outer) {
                    reported.entry(outer).or_insert(inner);
                }
            }
        }
        for (outer, inner) in reported {
            let (kind, outer, inner) = (kind.name(), quoted(outer), quoted(inner));
            issues.error(format!("{kind} export subject {outer} already exports {inner}"));
        }
    }
}

/// Something of another account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Import {
    /// A name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject: there, unless it is a service without `local_subject`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The exporting account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// An activation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The old form of `local_subject`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The subject here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// What it is.
    #[serde(rename = "type", skip_serializing_if = "Share::is_unknown")]
    pub share: Share,
    /// The service is told who asks.
    #[serde(rename = "share", skip_serializing_if = "std::ops::Not::not")]
    pub share_connection: bool,
    /// Message traces come here with the stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_trace: bool,
}

impl Import {
    pub(super) fn read(value: &Value) -> Result<Import, DecodeError> {
        let object = Object::of(value, "Import")?;
        Ok(Import {
            name: object.text("name")?,
            subject: object.text("subject")?,
            account: object.text("account")?,
            token: object.text("token")?,
            to: object.text("to")?,
            local_subject: object.text("local_subject")?,
            share: Share::read(&object, "type")?,
            share_connection: object.boolean("share")?,
            allow_trace: object.boolean("allow_trace")?,
        })
    }

    /// What is wrong with it in the claims of account `importer`.
    pub fn validate(&self, importer: &str, issues: &mut Issues) {
        let (service, subject) = (self.share == Share::Service, quoted(&self.subject));
        if self.share == Share::Unknown {
            issues.error("invalid import type: \"unknown\"");
        }
        if service && self.allow_trace {
            issues.error("AllowTrace only valid for stream import");
        }
        if self.account.is_empty() {
            issues.error("account to import from is not specified");
        }
        if !self.to.is_empty() {
            issues.warn("the field to has been deprecated (use LocalSubject instead)");
        }
        check::subject(&self.subject, issues);
        if !self.local_subject.is_empty() {
            validate_renaming(&self.local_subject, &self.subject, issues);
            if !self.to.is_empty() {
                issues.error("Local Subject replaces To");
            }
        }
        if self.share_connection && !service {
            issues.error(format!(
                "sharing information (for latency tracking) is only valid for services: {subject}"
            ));
        }
        if self.token.is_empty() {
            return;
        }
        let Ok(activation) = super::decode_activation(&self.token) else {
            return issues.error(format!("import {subject} contains an invalid activation token"));
        };
        if activation.base.issuer != self.account && activation.issuer_account != self.account {
            issues.error(format!("activation token doesn't match account for import {subject}"));
        }
        if activation.base.subject != importer {
            issues.error(format!(
                "activation token doesn't match account it is being included in, {subject}"
            ));
        }
        if activation.share != self.share {
            issues.error(format!(
                "mismatch between token import type {} and type of import {}",
                activation.share.name(),
                self.share.name()
            ));
        }
        activation.validate_without_times(issues);
        let imported = if service && !self.to.is_empty() { &self.to } else { &self.subject };
        if !check::is_contained_in(imported, &activation.subject) {
            issues.error(format!(
                "activation token import subject {} doesn't match import {subject}",
                quoted(&activation.subject)
            ));
        }
    }

    /// The subject here, for finding imports in each other's way.
    fn here(&self) -> String {
        if !self.to.is_empty() {
            return self.to.clone();
        }
        if self.local_subject.is_empty() {
            return self.subject.clone();
        }
        let reference = |token: &str| token.strip_prefix('$').is_some_and(is_number);
        let tokens: Vec<&str> =
            self.local_subject.split('.').map(|t| if reference(t) { "*" } else { t }).collect();
        tokens.join(".")
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

fn validate_renaming(here: &str, there: &str, issues: &mut Issues) {
    check::subject(here, issues);
    if there.is_empty() {
        issues.error("subject cannot be empty");
    }
    if here.contains(' ') {
        issues.error(format!("subject {} cannot have spaces", quoted(here)));
    }
    let open = |subject: &str| subject == ">" || subject.ends_with(".>");
    if open(here) != open(there) {
        issues.error("both, renaming subject and subject, need to end or not end in >");
    }
    let wildcards = there.split('.').filter(|token| *token == "*").count();
    let mut references = 0;
    for token in here.split('.') {
        if token == "*" {
            references += 1;
        }
        if let Some(Ok(index)) = token.strip_prefix('$').map(str::parse::<i64>) {
            if usize::try_from(index).is_ok_and(|index| index > wildcards) {
                let (here, there) = (quoted(here), quoted(there));
                issues.error(format!(
                    "Reference ${index} in {here} reference * in {there} that do not exist"
                ));
            } else {
                references += 1;
            }
        }
    }
    if references != wildcards {
        issues.error("subject does not contain enough * or reference wildcards $[0-9]");
    }
}

pub(super) fn validate_imports(imports: &[Import], importer: &str, issues: &mut Issues) {
    let mut seen: Vec<(&str, String)> = Vec::new();
    for import in imports {
        if import.share == Share::Service {
            let here = import.here();
            let same = seen.iter().filter(|(account, _)| *account == import.account);
            for (_, other) in same {
                if check::is_contained_in(&here, other) || check::is_contained_in(other, &here) {
                    issues.error(format!(
                        "overlapping subject namespace for {} and {} in same account {}",
                        quoted(&here),
                        quoted(other),
                        quoted(&import.account)
                    ));
                }
            }
            if seen.iter().any(|(account, other)| *account == import.account && *other == here) {
                issues.error(format!(
                    "overlapping subject namespace for {} in account {}",
                    quoted(&here),
                    quoted(&import.account)
                ));
            }
            seen.push((&import.account, here));
        }
        import.validate(importer, issues);
    }
}

/// The permission to import something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivationClaims {
    /// What all tokens have; its subject is the importing account.
    pub base: Base,
    /// What may be imported.
    pub subject: String,
    /// And what that is.
    pub share: Share,
    /// The exporting account, where one of its signing keys issued the token.
    pub issuer_account: String,
    /// Tags.
    pub tags: Vec<String>,
}

#[derive(Serialize)]
struct ActivationNats<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    #[serde(rename = "kind", skip_serializing_if = "Share::is_unknown")]
    share: Share,
    #[serde(skip_serializing_if = "str::is_empty")]
    issuer_account: &'a str,
    #[serde(flatten)]
    generic: Generic,
}

impl ActivationClaims {
    pub(super) fn read(claims: &Object<'_>, seen: Seen) -> Result<ActivationClaims, DecodeError> {
        let nats = claims.object("nats")?;
        let first = seen.version == 1;
        Ok(ActivationClaims {
            base: Base::read(claims)?,
            subject: nats.text("subject")?,
            share: Share::read(&nats, if first { "type" } else { "kind" })?,
            issuer_account: if first { claims } else { &nats }.text("issuer_account")?,
            tags: Generic::read(claims, &nats, seen)?.tags,
        })
    }

    fn validate_without_times(&self, issues: &mut Issues) {
        if self.share == Share::Unknown {
            issues.error("invalid import type: \"unknown\"");
        }
        check::subject(&self.subject, issues);
        if !self.issuer_account.is_empty()
            && !nkey::is_public(KeyType::Account, &self.issuer_account)
        {
            issues.error("account_id is not an account public key");
        }
    }

    /// What is wrong with the claims at that time (seconds since the epoch).
    #[must_use]
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        self.base.check_times(now, &mut issues);
        self.validate_without_times(&mut issues);
        issues
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// The subject is no account, or the key cannot sign.
    pub fn encode(&self, key: &KeyPair, now: i64) -> Result<String, String> {
        if !nkey::is_public(KeyType::Account, &self.base.subject) {
            return Err("expected subject to be an account".to_owned());
        }
        let mut generic = Generic::new(Kind::Activation.name());
        generic.tags.clone_from(&self.tags);
        let nats = ActivationNats {
            subject: &self.subject,
            share: self.share,
            issuer_account: &self.issuer_account,
            generic,
        };
        encode(&self.base, &nats, key, now)
    }
}
