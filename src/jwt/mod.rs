//! JSON Web Tokens of operators, accounts and users (spec 03 §21).
//!
//! [`decode`] takes a token apart, checks its signature with the key that it names as its issuer,
//! and reads its claims. Whether that issuer is one to be trusted, and whether the claims make
//! sense at this time, is not part of decoding: see the `validate` methods, which list
//! [`Issue`]s. [`encode`] signs claims.
//!
//! Two versions of the format are read, one is written. Claims are values without any state; what
//! time it is, is an argument.

pub mod account;
pub mod authorization;
mod check;
mod json;
pub mod shares;
pub mod template;
pub mod times;
mod token;
pub mod user;
mod verified;

pub use account::AccountClaims;
pub use authorization::{AuthorizationRequest, AuthorizationResponse};
pub use check::{Issue, Issues, Level};
pub use shares::{ActivationClaims, Share};
pub use token::{DecodeError, MAX_TOKEN_BYTES, encode};
pub use user::{UserClaims, UserPermissions};
pub use verified::VerifiedClaims;

use crate::nkey::{self, KeyType};
use json::Object;
use serde::Serialize;

/// The claims that all tokens have. Times are seconds since the epoch, zero for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Base {
    /// For whom it is.
    #[serde(rename = "aud", skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// When it ends.
    #[serde(rename = "exp", skip_serializing_if = "is_zero")]
    pub expires: i64,
    /// Its id, a hash of these claims.
    #[serde(rename = "jti", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was issued.
    #[serde(rename = "iat", skip_serializing_if = "is_zero")]
    pub issued_at: i64,
    /// Public key of who issued it.
    #[serde(rename = "iss", skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// A name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it begins.
    #[serde(rename = "nbf", skip_serializing_if = "is_zero")]
    pub not_before: i64,
    /// Public key of whom it is about.
    #[serde(rename = "sub", skip_serializing_if = "String::is_empty")]
    pub subject: String,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Base {
    fn read(object: &Object<'_>) -> Result<Base, DecodeError> {
        Ok(Base {
            audience: object.text("aud")?,
            expires: object.integer("exp")?,
            id: object.text("jti")?,
            issued_at: object.integer("iat")?,
            issuer: object.text("iss")?,
            name: object.text("name")?,
            not_before: object.integer("nbf")?,
            subject: object.text("sub")?,
        })
    }

    /// Whether its time has not come, or is over.
    pub fn check_times(&self, now: i64, issues: &mut Issues) {
        if self.expires > 0 && now > self.expires {
            issues.time("claim is expired");
        }
        if self.not_before > 0 && self.not_before > now {
            issues.time("claim is not yet valid");
        }
    }
}

/// The fields that end the particular claims of every token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Generic {
    /// Tags, in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What kind of token it is.
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    pub kind: &'static str,
    /// Version of the format.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

impl Generic {
    /// Those of a token of that kind that is to be signed.
    #[must_use]
    pub fn new(kind: &'static str) -> Generic {
        Generic { tags: Vec::new(), kind, version: VERSION }
    }

    fn read(claims: &Object<'_>, nats: &Object<'_>, seen: Seen) -> Result<Generic, DecodeError> {
        let tags = if seen.version == 1 { claims.texts("tags")? } else { nats.texts("tags")? };
        let kind = seen.kind.map_or("", Kind::name);
        Ok(Generic { tags: tags.unwrap_or_default(), kind, version: seen.version })
    }
}

/// The version of the format that is written.
const VERSION: i64 = 2;

/// What kind of token it is, and in which version.
#[derive(Clone, Copy)]
struct Seen {
    version: i64,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Operator,
    Account,
    User,
    Activation,
    AuthorizationRequest,
    AuthorizationResponse,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Operator,
        Kind::Account,
        Kind::User,
        Kind::Activation,
        Kind::AuthorizationRequest,
        Kind::AuthorizationResponse,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Operator => "operator",
            Kind::Account => "account",
            Kind::User => "user",
            Kind::Activation => "activation",
            Kind::AuthorizationRequest => "authorization_request",
            Kind::AuthorizationResponse => "authorization_response",
        }
    }

    /// Who may issue it.
    fn issuers(self) -> &'static [(KeyType, &'static str)] {
        const OPERATOR: (KeyType, &str) = (KeyType::Operator, "operator");
        const ACCOUNT: (KeyType, &str) = (KeyType::Account, "account");
        match self {
            Kind::Operator => &[OPERATOR],
            Kind::Account | Kind::Activation => &[ACCOUNT, OPERATOR],
            Kind::User | Kind::AuthorizationResponse => &[ACCOUNT],
            Kind::AuthorizationRequest => &[(KeyType::Server, "server")],
        }
    }
}

/// The claims of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorClaims {
    /// What all tokens have.
    pub base: Base,
    /// Other keys that sign for it.
    pub signing_keys: Vec<String>,
    /// Where account JWTs can be fetched.
    pub account_server_url: String,
    /// Where applications connect.
    pub operator_service_urls: Vec<String>,
    /// The system account's public key.
    pub system_account: String,
    /// The least version a server must have.
    pub assert_server_version: String,
    /// Its own key signs nothing but itself.
    pub strict_signing_key_usage: bool,
    /// Tags.
    pub tags: Vec<String>,
}

/// As they stand in the token.
#[derive(Serialize)]
struct OperatorNats<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    signing_keys: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    account_server_url: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    operator_service_urls: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    system_account: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    assert_server_version: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict_signing_key_usage: bool,
    #[serde(flatten)]
    generic: Generic,
}

impl OperatorClaims {
    fn read(claims: &Object<'_>, seen: Seen) -> Result<OperatorClaims, DecodeError> {
        let nats = claims.object("nats")?;
        Ok(OperatorClaims {
            base: Base::read(claims)?,
            signing_keys: nats.texts("signing_keys")?.unwrap_or_default(),
            account_server_url: nats.text("account_server_url")?,
            operator_service_urls: nats.texts("operator_service_urls")?.unwrap_or_default(),
            system_account: nats.text("system_account")?,
            assert_server_version: nats.text("assert_server_version")?,
            strict_signing_key_usage: nats.boolean("strict_signing_key_usage")?,
            tags: Generic::read(claims, &nats, seen)?.tags,
        })
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// See [`encode`].
    pub fn encode(&self, key: &nkeys::KeyPair, now: i64) -> Result<String, String> {
        let mut generic = Generic::new(Kind::Operator.name());
        generic.tags.clone_from(&self.tags);
        let nats = OperatorNats {
            signing_keys: &self.signing_keys,
            account_server_url: &self.account_server_url,
            operator_service_urls: &self.operator_service_urls,
            system_account: &self.system_account,
            assert_server_version: &self.assert_server_version,
            strict_signing_key_usage: self.strict_signing_key_usage,
            generic,
        };
        encode(&self.base, &nats, key, now)
    }

    /// Whether it, or a key of its, issued something.
    #[must_use]
    pub fn did_sign(&self, issued: &Base) -> bool {
        if issued.issuer == self.base.subject {
            return !self.strict_signing_key_usage || issued.subject == self.base.subject;
        }
        self.signing_keys.contains(&issued.issuer)
    }
}

/// Claims that no other type is made for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenericClaims {
    /// What all tokens have.
    pub base: Base,
    /// The rest.
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// The claims of a token whose signature is that of its issuer.
#[derive(Clone, Debug)]
pub enum Claims {
    /// Of an operator.
    Operator(Box<OperatorClaims>),
    /// Of an account.
    Account(Box<AccountClaims>),
    /// Of a user.
    User(Box<UserClaims>),
    /// The permission to import something.
    Activation(Box<ActivationClaims>),
    /// A server asks who a connection is.
    AuthorizationRequest(Box<AuthorizationRequest>),
    /// The answer to that.
    AuthorizationResponse(Box<AuthorizationResponse>),
    /// Anything else.
    Generic(Box<GenericClaims>),
}

impl Claims {
    /// The claims that all tokens have.
    #[must_use]
    pub fn base(&self) -> &Base {
        match self {
            Claims::Operator(c) => &c.base,
            Claims::Account(c) => &c.base,
            Claims::User(c) => &c.base,
            Claims::Activation(c) => &c.base,
            Claims::AuthorizationRequest(c) => &c.base,
            Claims::AuthorizationResponse(c) => &c.base,
            Claims::Generic(c) => &c.base,
        }
    }
}

/// Decodes a token and checks its signature and the kind of its issuer.
///
/// # Errors
/// The reason, worded as tools show it.
pub fn decode(token: &str) -> Result<Claims, DecodeError> {
    let parts = token::split(token)?;
    let json = serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(&parts.payload))
        .map_err(|e| DecodeError::other(e.to_string()))?;
    let claims = Object::of(&json, "identifier")?;
    let nats = claims.object("nats")?;
    let outer = claims.text("type")?;
    let (kind, version) =
        if outer.is_empty() { (nats.text("type")?, nats.integer("version")?) } else { (outer, 1) };
    if version > VERSION {
        return Err(DecodeError::other("JWT was generated by a newer version "));
    }
    let known = Kind::ALL.into_iter().find(|k| k.name() == kind);
    let seen = Seen { version, kind: known };
    let decoded = match known {
        None if kind == "cluster" => {
            return Err(DecodeError::other("ClusterClaims are not supported"));
        }
        None if kind == "server" => {
            return Err(DecodeError::other("ServerClaims are not supported"));
        }
        None => {
            let base = Base::read(&claims)?;
            let data = nats.members().cloned().unwrap_or_default();
            Claims::Generic(Box::new(GenericClaims { base, data }))
        }
        Some(_) if version < 1 => {
            return Err(DecodeError::other(format!(
                "library supports version {VERSION} or less - received {version}"
            )));
        }
        Some(Kind::Operator) => Claims::Operator(Box::new(OperatorClaims::read(&claims, seen)?)),
        Some(Kind::Account) => Claims::Account(Box::new(AccountClaims::read(&claims, seen)?)),
        Some(Kind::User) => Claims::User(Box::new(UserClaims::read(&claims, seen)?)),
        Some(Kind::Activation) => {
            Claims::Activation(Box::new(ActivationClaims::read(&claims, seen)?))
        }
        Some(Kind::AuthorizationRequest) => {
            Claims::AuthorizationRequest(Box::new(AuthorizationRequest::read(&claims, seen)?))
        }
        Some(Kind::AuthorizationResponse) => {
            Claims::AuthorizationResponse(Box::new(AuthorizationResponse::read(&claims, seen)?))
        }
    };
    // What has no version of its own is signed as the first one was.
    let version = if known.is_none() { 1 } else { version };
    parts.verify(&decoded.base().issuer, version)?;
    if let Some(kind) = known {
        let issuer = &decoded.base().issuer;
        if !kind.issuers().iter().any(|(k, _)| nkey::is_public(*k, issuer)) {
            let names: Vec<&str> = kind.issuers().iter().map(|(_, name)| *name).collect();
            return Err(DecodeError::other(format!(
                "unable to validate expected prefixes - [{}]",
                names.join(" ")
            )));
        }
    }
    Ok(decoded)
}

macro_rules! decode_as {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $claims:ty, $error:literal) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// It is another kind of token, or none.
        pub fn $name(token: &str) -> Result<$claims, DecodeError> {
            match decode(token)? {
                Claims::$variant(claims) => Ok(*claims),
                _ => Err(DecodeError::other($error)),
            }
        }
    };
}

decode_as!(
    /// Decodes an operator's token.
    decode_operator, Operator, OperatorClaims, "not operator claim"
);
decode_as!(
    /// Decodes an account's token.
    decode_account, Account, AccountClaims, "not account claim"
);
decode_as!(
    /// Decodes a user's token.
    decode_user, User, UserClaims, "not user claim"
);
decode_as!(
    /// Decodes the permission to import something.
    decode_activation, Activation, ActivationClaims, "not activation claim"
);
decode_as!(
    /// Decodes a request for authorization.
    decode_authorization_request,
    AuthorizationRequest,
    AuthorizationRequest,
    "not an authorization request claim"
);
decode_as!(
    /// Decodes the answer to a request for authorization.
    decode_authorization_response,
    AuthorizationResponse,
    AuthorizationResponse,
    "not an authorization request claim"
);

/// Decodes any token to what it says besides the base claims.
///
/// # Errors
/// It is no token.
pub fn decode_generic(token: &str) -> Result<GenericClaims, DecodeError> {
    let parts = token::split(token)?;
    let json = serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(&parts.payload))
        .map_err(|e| DecodeError::other(e.to_string()))?;
    let claims = Object::of(&json, "GenericClaims")?;
    let base = Base::read(&claims)?;
    let nats = claims.object("nats")?;
    parts.verify(&base.issuer, parts.header_version)?;
    Ok(GenericClaims { base, data: nats.members().cloned().unwrap_or_default() })
}

/// Whether what was issued to `subject` at `issued_at` has been revoked, for it or for all.
#[must_use]
pub fn is_revoked(
    revocations: &std::collections::BTreeMap<String, i64>,
    subject: &str,
    issued_at: i64,
) -> bool {
    [subject, "*"].iter().any(|key| revocations.get(*key).is_some_and(|t| *t >= issued_at))
}

#[cfg(test)]
mod tests;
