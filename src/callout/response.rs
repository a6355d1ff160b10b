//! What the answer of an authorization service means (spec 03 §26.4).
//!
//! [`judge`] is everything that can be said before the account is looked up into which the user is
//! put; [`place`] is the rest.

use crate::account::Account;
use crate::account::trust::Trust;
use crate::auth::User;
use crate::closed::ClosedState;
use crate::config::text::quote;
use crate::jwt::template::{self, AccountFacts};
use crate::jwt::{UserClaims, decode_authorization_response, decode_user, times};
use crate::operator::user::{connection_types, user_of};
use jiff::Timestamp;
use std::sync::Arc;

/// Whose answer is expected, and about whom.
pub struct Expectation<'a> {
    /// The account in which the service was asked.
    pub account: &'a str,
    /// The key under which the user is to be known.
    pub user_key: &'a str,
    /// The server's id.
    pub server_id: &'a str,
    /// Who may answer.
    pub authority: Authority<'a>,
    /// Only through a trusted proxy, and whether it came through one.
    pub proxy_required: bool,
    /// See `proxy_required`.
    pub trusted_proxy: bool,
    /// What time it is.
    pub now: Timestamp,
}

/// Who may answer.
pub enum Authority<'a> {
    /// This key signs the user.
    Issuer(&'a str),
    /// The account, which may put users into these others.
    Account(&'a Trust, &'a [String]),
}

/// Why a connection is refused: the state in which it is closed, and the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state.
    pub state: ClosedState,
    /// The reason.
    pub text: String,
}

impl Refusal {
    fn because(text: impl Into<String>) -> Refusal {
        let text: String = text.into();
        let mut letters = text.chars();
        // The first letter is a large one.
        let text = match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect(),
            None => text,
        };
        Refusal { state: ClosedState::AuthenticationViolation, text }
    }
}

/// What an answer says, checked as far as that is possible without the account.
pub struct Judged {
    /// The user.
    pub claims: UserClaims,
    /// The account into which it is put.
    pub placement: String,
}

/// Opens a sealed answer.
pub type Open<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, String>;

/// Checks an answer. `open` is there if the request was sealed.
///
/// # Errors
/// The connection is refused.
pub fn judge(
    body: &[u8],
    open: Option<Open<'_>>,
    expected: &Expectation<'_>,
) -> Result<Judged, Refusal> {
    let account = quote(expected.account);
    let refuse = |text: String| Err(Refusal::because(text));
    if body.is_empty() {
        return refuse(format!(
            "auth callout violation: \"no reason supplied\" on account {account}"
        ));
    }
    let mut sealed = false;
    let mut token = body.to_vec();
    if let Some(open) = open
        && !body.starts_with(b"eyJ")
    {
        token = open(body).map_err(|e| {
            Refusal::because(format!(
                "error decrypting auth callout response on account {account}: {e}"
            ))
        })?;
        sealed = true;
    }
    let response = decode_authorization_response(&String::from_utf8_lossy(&token))
        .map_err(|e| Refusal::because(e.to_string()))?;
    let now = expected.now.as_second();
    if let Some(issue) = response.validate(now).iter().next() {
        let text = &issue.text;
        return refuse(format!("authorization response had validation errors: {text}"));
    }
    if response.base.subject != expected.user_key {
        return refuse(
            "auth callout violation: auth callout response is not for expected user".to_owned(),
        );
    }
    if response.base.audience != expected.server_id {
        return refuse(
            "auth callout violation: auth callout response is not for server".to_owned(),
        );
    }
    if !response.error.is_empty() {
        return refuse(format!("auth callout service returned an error: {}", response.error));
    }
    if let Authority::Account(trust, _) = &expected.authority
        && !sealed
    {
        let signer = match response.issuer_account.as_str() {
            "" => &response.base.issuer,
            issuer => issuer,
        };
        if signer != expected.account && trust.signer(signer).is_none() {
            return refuse("auth callout signing key is unknown".to_owned());
        }
    }
    let claims = decode_user(&response.jwt).map_err(|e| Refusal::because(e.to_string()))?;
    check_user(&claims, expected)?;
    let placement = placement(&claims, expected)?;
    Ok(Judged { claims, placement })
}

fn check_user(claims: &UserClaims, expected: &Expectation<'_>) -> Result<(), Refusal> {
    let account = quote(expected.account);
    let refuse = |text: String| Err(Refusal::because(text));
    if (expected.proxy_required || claims.user.proxy_required) && !expected.trusted_proxy {
        let refusal = Refusal::because("proxy connection required");
        return Err(Refusal { state: ClosedState::ProxyRequired, ..refusal });
    }
    if let Some(issue) = claims.validate(expected.now.as_second()).iter().next() {
        return refuse(format!("Error validating user JWT: {}", issue.text));
    }
    if claims.base.subject != expected.user_key {
        return refuse(format!(
            "Expected authorized user of {} but got {} on account {account}",
            quote(expected.user_key),
            quote(&claims.base.subject)
        ));
    }
    if times::allows_time(&claims.user, expected.now).is_err() {
        return refuse(format!(
            "authorized user on account {account} outside of valid connect times"
        ));
    }
    let (types, unknown) = connection_types(claims);
    if !unknown.is_empty() && types.is_empty() {
        return refuse(format!(
            "authorized user on account {account} using invalid connection type"
        ));
    }
    Ok(())
}

fn placement(claims: &UserClaims, expected: &Expectation<'_>) -> Result<String, Refusal> {
    let account = quote(expected.account);
    match &expected.authority {
        Authority::Issuer(issuer) => {
            if !claims.issuer_account.is_empty() {
                return Err(Refusal::because(format!(
                    "error non operator mode account {account}: attempted to use issuer_account"
                )));
            }
            if claims.base.issuer != **issuer {
                return Err(Refusal::because(format!(
                    "wrong issuer for auth callout response on account {account}, expected {} got \
                     {}",
                    quote(issuer),
                    quote(&claims.base.issuer)
                )));
            }
            Ok(claims.base.audience.clone())
        }
        Authority::Account(_, allowed) => {
            let target = claims.account();
            let permitted = match *allowed {
                [any] if any == "*" => true,
                names => names.iter().any(|name| name == target),
            };
            if target != expected.account && !permitted {
                return Err(Refusal::because(format!(
                    "account {} not permitted as valid account option for auth callout for \
                     account {account}",
                    quote(&claims.base.issuer)
                )));
            }
            Ok(target.to_owned())
        }
    }
}

/// The account into which a user was to be put is not there.
#[must_use]
pub fn no_account(placement: &str, account: &str, error: &str) -> Refusal {
    let (placement, account) = (quote(placement), quote(account));
    Refusal::because(format!(
        "no valid account {placement} for auth callout response on account {account}: {error}"
    ))
}

/// Makes the user of an answer one of that account.
///
/// # Errors
/// The connection is refused.
pub fn place(
    mut claims: UserClaims,
    account: Arc<Account>,
    now: Timestamp,
) -> Result<User, Refusal> {
    let trust = account.trust();
    let mut scope = None;
    if let Some(trust) = &trust {
        let Some(found) = trust.signer(&claims.base.issuer) else {
            let issuer = quote(&claims.base.issuer);
            return Err(Refusal::because(format!("user JWT issuer {issuer} is not known")));
        };
        if let Some(found) = found {
            let invalid = |text: &str| Refusal::because(format!("user JWT is not valid: {text}"));
            if claims.base.issuer != found.key {
                return Err(invalid("issuer not the scoped signer"));
            }
            if !claims.has_empty_permissions() {
                return Err(invalid("scoped users require no permissions or limits set"));
            }
            let facts = AccountFacts { name: &trust.name, tags: &trust.tags };
            claims.user = template::expand(&found.template, &claims, facts).map_err(|e| {
                Refusal::because(format!("user JWT generated invalid permissions: {e}"))
            })?;
            scope = Some(found.clone());
        }
    }
    let range = times::allows_time(&claims.user, now).unwrap_or(None);
    // Limits of subscriptions, payload and bytes are not those of the token.
    claims.user.max_subscriptions = crate::jwt::user::UNLIMITED;
    claims.user.max_payload = crate::jwt::user::UNLIMITED;
    claims.user.bearer_token = false;
    let none = Trust::default();
    let trust = trust.as_deref().unwrap_or(&none);
    Ok(user_of(claims, account, trust, scope, now.as_second(), range))
}

#[cfg(test)]
mod tests;
