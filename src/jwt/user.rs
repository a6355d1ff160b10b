//! The claims of users, and what they may do.

use super::check::{self, Issues, quoted};
use super::json::Object;
use super::{Base, DecodeError, Generic, Kind, Seen, encode, is_zero};
use crate::nkey::{self, KeyType};
use nkeys::KeyPair;
use serde::Serialize;
use serde_json::Value;

/// No limit.
pub const UNLIMITED: i64 = -1;

/// Allowed and denied subjects. A list that is missing differs from one that is empty only where a
/// user must have none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubjectLists {
    /// Allowed.
    #[serde(skip_serializing_if = "no_texts")]
    pub allow: Option<Vec<String>>,
    /// Denied.
    #[serde(skip_serializing_if = "no_texts")]
    pub deny: Option<Vec<String>>,
}

fn no_texts(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

impl SubjectLists {
    pub(super) fn read(object: &Object<'_>) -> Result<SubjectLists, DecodeError> {
        Ok(SubjectLists { allow: object.texts("allow")?, deny: object.texts("deny")? })
    }

    /// Whether nothing is restricted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        no_texts(&self.allow) && no_texts(&self.deny)
    }

    fn validate(&self, with_queues: bool, issues: &mut Issues) {
        let lists = [&self.allow, &self.deny];
        for text in lists.into_iter().flatten().flatten() {
            let parts: Vec<&str> = text.split(' ').collect();
            match parts.as_slice() {
                [subject] => check::subject(subject, issues),
                [subject, queue] => {
                    check::subject(subject, issues);
                    check::subject(queue, issues);
                    if !with_queues {
                        issues.error(format!(
                            "Permission Subject \"{text}\" is not allowed to contain queue"
                        ));
                    }
                }
                _ => {
                    issues.error(format!("Permission Subject \"{text}\" contains too many spaces"))
                }
            }
        }
    }
}

/// How far reply subjects may be published to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Responses {
    /// Messages per reply subject.
    pub max: i64,
    /// Nanoseconds.
    pub ttl: i64,
}

/// Permissions without limits: those of users, and the default ones of accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Permissions {
    /// Publishing.
    #[serde(rename = "pub")]
    pub publish: SubjectLists,
    /// Subscribing.
    #[serde(rename = "sub")]
    pub subscribe: SubjectLists,
    /// Publishing to reply subjects.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<Responses>,
}

impl Permissions {
    pub(super) fn read(object: &Object<'_>) -> Result<Permissions, DecodeError> {
        let responses = match object.value("resp") {
            None => None,
            Some(_) => {
                let responses = object.object("resp")?;
                Some(Responses { max: responses.integer("max")?, ttl: responses.integer("ttl")? })
            }
        };
        Ok(Permissions {
            publish: SubjectLists::read(&object.object("pub")?)?,
            subscribe: SubjectLists::read(&object.object("sub")?)?,
            responses,
        })
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty() && self.responses.is_none()
    }

    pub(super) fn validate(&self, issues: &mut Issues) {
        self.subscribe.validate(true, issues);
        self.publish.validate(false, issues);
    }
}

/// A time of the day, from and to, each `HH:MM:SS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// From.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// To.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub end: String,
}

/// What a user may do, or whoever is signed for by a scoped key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserPermissions {
    /// Subjects.
    #[serde(flatten)]
    pub permissions: Permissions,
    /// Networks to connect from, in CIDR notation.
    #[serde(rename = "src", skip_serializing_if = "no_texts")]
    pub sources: Option<Vec<String>>,
    /// Times to be connected at.
    #[serde(skip_serializing_if = "no_times")]
    pub times: Option<Vec<TimeRange>>,
    /// The time zone of these, of the IANA's names; empty for the server's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub times_location: String,
    /// Subscriptions; -1 is no limit, 0 is none.
    #[serde(rename = "subs", skip_serializing_if = "is_zero")]
    pub max_subscriptions: i64,
    /// Bytes. Carried along, never enforced.
    #[serde(rename = "data", skip_serializing_if = "is_zero")]
    pub max_data: i64,
    /// Bytes of a message; -1 is no limit.
    #[serde(rename = "payload", skip_serializing_if = "is_zero")]
    pub max_payload: i64,
    /// The token is enough; nothing has to be signed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bearer_token: bool,
    /// Only by way of a trusted proxy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_required: bool,
    /// Kinds of connections; all if empty.
    #[serde(skip_serializing_if = "no_texts")]
    pub allowed_connection_types: Option<Vec<String>>,
}

fn no_times(times: &Option<Vec<TimeRange>>) -> bool {
    times.as_ref().is_none_or(Vec::is_empty)
}

impl UserPermissions {
    /// Nothing is restricted.
    #[must_use]
    pub fn unlimited() -> UserPermissions {
        UserPermissions {
            max_subscriptions: UNLIMITED,
            max_data: UNLIMITED,
            max_payload: UNLIMITED,
            ..UserPermissions::default()
        }
    }

    /// `default` is the limit where none is said.
    pub(super) fn read(object: &Object<'_>, default: i64) -> Result<UserPermissions, DecodeError> {
        let times = object.array("times")?.map(|items| {
            let ranges = items.iter().map(|item| {
                let range = Object::of(item, "TimeRange")?;
                Ok(TimeRange { start: range.text("start")?, end: range.text("end")? })
            });
            ranges.collect::<Result<Vec<_>, DecodeError>>()
        });
        Ok(UserPermissions {
            permissions: Permissions::read(object)?,
            sources: sources(object)?,
            times: times.transpose()?,
            times_location: object.text("times_location")?,
            max_subscriptions: object.integer_or("subs", default)?,
            max_data: object.integer_or("data", default)?,
            max_payload: object.integer_or("payload", default)?,
            bearer_token: object.boolean("bearer_token")?,
            proxy_required: object.boolean("proxy_required")?,
            allowed_connection_types: object.texts("allowed_connection_types")?,
        })
    }

    fn validate(&self, issues: &mut Issues) {
        self.permissions.validate(issues);
        for text in self.sources.iter().flatten() {
            if super::times::Network::parse(text).is_none() {
                issues.error(format!("invalid cidr {} in user src limits", quoted(text)));
            }
        }
        for range in self.times.iter().flatten() {
            for (name, text) in [("start", &range.start), ("end", &range.end)] {
                if text.is_empty() {
                    issues.error(format!(
                        "time ranges {name} must contain {} {name}",
                        if name == "start" { "a" } else { "an" }
                    ));
                } else if super::times::parse_time(text).is_none() {
                    issues.error(format!("{name} in time range is invalid {}", quoted(text)));
                }
            }
        }
        if !self.times_location.is_empty()
            && let Err(error) = super::times::zone(&self.times_location)
        {
            issues.error(format!("could not parse iana time zone by name: {error}"));
        }
    }
}

/// An array, or a text with commas.
fn sources(object: &Object<'_>) -> Result<Option<Vec<String>>, DecodeError> {
    let Some(Value::String(text)) = object.value("src") else { return object.texts("src") };
    let mut list: Vec<String> = Vec::new();
    for part in text.to_lowercase().split(',').map(str::trim) {
        if !part.is_empty() && !list.iter().any(|other| other == part) {
            list.push(part.to_owned());
        }
    }
    Ok(Some(list))
}

/// The claims of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// What all tokens have.
    pub base: Base,
    /// What it may do.
    pub user: UserPermissions,
    /// The account, where one of its signing keys issued the token.
    pub issuer_account: String,
    /// Tags.
    pub tags: Vec<String>,
}

#[derive(Serialize)]
struct UserNats<'a> {
    #[serde(flatten)]
    user: &'a UserPermissions,
    #[serde(skip_serializing_if = "str::is_empty")]
    issuer_account: &'a str,
    #[serde(flatten)]
    generic: Generic,
}

impl UserClaims {
    /// Of a user without any restriction.
    #[must_use]
    pub fn new(subject: &str) -> UserClaims {
        UserClaims {
            base: Base { subject: subject.to_owned(), ..Base::default() },
            user: UserPermissions::unlimited(),
            ..UserClaims::default()
        }
    }

    pub(super) fn read(claims: &Object<'_>, seen: Seen) -> Result<UserClaims, DecodeError> {
        let nats = claims.object("nats")?;
        let first = seen.version == 1;
        let mut user = UserPermissions::read(&nats, if first { UNLIMITED } else { 0 })?;
        if first {
            user.proxy_required = false;
            user.allowed_connection_types = None;
        }
        Ok(UserClaims {
            base: Base::read(claims)?,
            user,
            issuer_account: if first { claims } else { &nats }.text("issuer_account")?,
            tags: Generic::read(claims, &nats, seen)?.tags,
        })
    }

    /// The account it belongs to.
    #[must_use]
    pub fn account(&self) -> &str {
        if self.issuer_account.is_empty() { &self.base.issuer } else { &self.issuer_account }
    }

    /// Whether it says nothing of what the user may do: its signing key does.
    #[must_use]
    pub fn has_empty_permissions(&self) -> bool {
        self.user == UserPermissions::default()
    }

    /// What is wrong with the claims at that time (seconds since the epoch).
    #[must_use]
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        self.base.check_times(now, &mut issues);
        self.user.validate(&mut issues);
        if !self.issuer_account.is_empty()
            && !nkey::is_public(KeyType::Account, &self.issuer_account)
        {
            issues.error("account_id is not an account public key");
        }
        issues
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// The subject is no user, or the key cannot sign.
    pub fn encode(&self, key: &KeyPair, now: i64) -> Result<String, String> {
        if !nkey::is_public(KeyType::User, &self.base.subject) {
            return Err("expected subject to be user public key".to_owned());
        }
        let mut generic = Generic::new(Kind::User.name());
        generic.tags.clone_from(&self.tags);
        let nats = UserNats { user: &self.user, issuer_account: &self.issuer_account, generic };
        encode(&self.base, &nats, key, now)
    }
}
