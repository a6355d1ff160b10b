//! Whether a connection may be the user of the token it sent (spec 03 §7).

use super::Operators;
use crate::account::Account;
use crate::account::trust::Trust;
use crate::auth::permissions::Permissions;
use crate::auth::{Attempt, Decision, Denial, User, verify_signature};
use crate::callout::{Policy, Subjected};
use crate::config::options::auth::{
    ConnectionType, ConnectionTypes, Permissions as Configured, ResponsePermission,
    SubjectPermission,
};
use crate::config::text::quote_list;
use crate::jwt::account::Scope;
use crate::jwt::template::{self, AccountFacts};
use crate::jwt::user::{Permissions as Claimed, SubjectLists};
use crate::jwt::{UserClaims, decode_user, times};
use std::sync::Arc;
use std::time::Duration;

/// What a token says of its user, as far as it matters after the login.
#[derive(Clone, Debug)]
pub struct TokenUser {
    /// The name for people.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
    /// The key that signed the token.
    pub issuer: String,
    /// Its scope at that time.
    pub scope: Option<Scope>,
    /// When it did, in seconds since the epoch.
    pub issued_at: i64,
    /// The token alone was enough.
    pub bearer: bool,
    /// The token says nothing of permissions: they are the account's default ones.
    pub default_permissions: bool,
    /// Subscriptions; -1 for no limit.
    pub max_subscriptions: i64,
    /// Bytes of a message; -1 for no limit.
    pub max_payload: i64,
    /// How long it may stay.
    pub valid_for: Option<Duration>,
}

/// The answer for an account that is not there, or not any more.
pub type Fetched = Result<(), String>;

/// Decides about an attempt in operator mode. `trusted_proxy` tells that a trusted proxy vouches for
/// the connection.
pub fn decide(operators: &Operators, attempt: &mut Attempt<'_>, trusted_proxy: bool) -> Decision {
    match judge(operators, attempt, trusted_proxy) {
        Ok(decision) => decision,
        Err(denial) => Decision::Denied(denial),
    }
}

fn denied(text: impl Into<String>) -> Denial {
    Denial::because(text)
}

fn judge(
    operators: &Operators,
    attempt: &mut Attempt<'_>,
    trusted_proxy: bool,
) -> Result<Decision, Denial> {
    let now = attempt.now.as_second();
    let sent = decode_user(&attempt.options.jwt);
    let mut claims = match sent {
        Ok(claims) => claims,
        Err(_) if !operators.default_sentinel.is_empty() => {
            attempt.options.jwt.clone_from(&operators.default_sentinel);
            decode_user(&operators.default_sentinel)
                .map_err(|e| denied(format!("User JWT not valid: {e}")))?
        }
        Err(_) => return Err(denied("Authentication requires a user JWT")),
    };
    if claims.user.proxy_required && !trusted_proxy {
        return Err(Denial::proxy_required());
    }
    let issues = claims.validate(now);
    if issues.blocking(true) {
        let texts: Vec<&str> = issues.iter().map(|issue| issue.text.as_str()).collect();
        let issues = texts.join(" ");
        return Err(denied(format!("User JWT no longer valid: &{{Issues:[{issues}]}}")));
    }
    let name = claims.account().to_owned();
    if !operators.pinned.is_empty() && !operators.pinned.contains(&name) {
        let text = format!("Account {name} not listed as operator pinned account");
        return Err(Denial { unpinned: true, ..denied(text) });
    }
    if let Some(Err(error)) = &attempt.fetched {
        return Err(denied(format!("Account JWT lookup error: {error}")));
    }
    let known = (attempt.find)(&name);
    let known = known.and_then(|account| account.trust().map(|trust| (account, trust)));
    let Some((account, trust)) = known.filter(|(account, _)| {
        // One that was fetched anew and is still over is judged below.
        !account.is_expired() || attempt.fetched.is_some()
    }) else {
        if attempt.fetched.is_some() {
            return Err(denied("Account JWT lookup error: account missing"));
        }
        return Ok(Decision::Fetch(name));
    };
    if !operators.trusted.contains(&trust.issuer) {
        return Err(denied("Account JWT not signed by trusted operator"));
    }
    if let Some(external) = &trust.external {
        attempt.subjected = Some(Subjected {
            policy: Policy::Account(account.clone(), external.clone()),
            proxy_required: claims.user.proxy_required,
            trusted_proxy,
        });
    }
    let scope = sign_off(&mut claims, &trust)?;
    if account.is_expired() {
        return Err(denied("Account JWT has expired"));
    }
    if claims.user.bearer_token && trust.disallow_bearer {
        return Err(denied("Account does not allow bearer tokens"));
    }
    check_connection(&claims, attempt)?;
    if trust.is_revoked(&claims.base.subject, claims.base.issued_at) {
        return Err(denied("User authentication revoked"));
    }
    if !times::allows_source(&claims.user, attempt.address) {
        let text = format!("Bad src Ip {}", attempt.address);
        return Err(Denial { error: Some(text), ..Denial::plain() });
    }
    let Ok(range) = times::allows_time(&claims.user, attempt.now) else {
        let text = "Outside connect times".to_owned();
        return Err(Denial { error: Some(text), ..Denial::plain() });
    };
    let user = user_of(claims, account, &trust, scope, now, range);
    Ok(Decision::Granted(Some(Arc::new(user))))
}

/// Whether the account signs for the user; what a scoped key's users may do comes from its scope.
fn sign_off(claims: &mut UserClaims, trust: &Trust) -> Result<Option<Scope>, Denial> {
    let Some(scope) = trust.signer(&claims.base.issuer) else {
        return Err(denied("User JWT issuer is not known"));
    };
    let Some(scope) = scope else { return Ok(None) };
    let invalid = |text: &str| denied(format!("User JWT is not valid: {text}"));
    if claims.base.issuer != scope.key {
        return Err(invalid("issuer not the scoped signer"));
    }
    if !claims.has_empty_permissions() {
        return Err(invalid("scoped users require no permissions or limits set"));
    }
    let facts = AccountFacts { name: &trust.name, tags: &trust.tags };
    claims.user = template::expand(&scope.template, claims, facts)
        .map_err(|_| denied("User JWT generated invalid permissions"))?;
    Ok(Some(scope.clone()))
}

/// The kind of connection, and the signature of its challenge.
fn check_connection(claims: &UserClaims, attempt: &mut Attempt<'_>) -> Result<(), Denial> {
    let (types, unknown) = connection_types(claims);
    if !unknown.is_empty() {
        let text = format!("invalid connection types {}", quote_list(&unknown));
        if types == ConnectionTypes::default() {
            return Err(denied(text));
        }
        attempt.debug = Some(text);
    }
    if !types.allows(attempt.kind) {
        return Err(denied("Connection type not allowed"));
    }
    if claims.user.bearer_token {
        return Ok(());
    }
    verify_signature(&claims.base.subject, attempt.nonce, &attempt.options.sig).map_err(denied)
}

/// The kinds of connection that a user may have, and the names that are none.
pub(crate) fn connection_types(claims: &UserClaims) -> (ConnectionTypes, Vec<String>) {
    let mut types = ConnectionTypes::default();
    let mut unknown = Vec::new();
    for name in claims.user.allowed_connection_types.iter().flatten() {
        match ConnectionType::from_name(&name.to_uppercase()) {
            Some(kind) => types.insert(kind),
            None => unknown.push(name.to_uppercase()),
        }
    }
    (types, unknown)
}

pub(crate) fn user_of(
    claims: UserClaims,
    account: Arc<Account>,
    trust: &Trust,
    scope: Option<Scope>,
    now: i64,
    range: Option<Duration>,
) -> User {
    let configured = permissions(&claims.user.permissions);
    let default_permissions = configured.is_none();
    let permissions = match configured {
        Some(configured) => Some(Arc::new(Permissions::compile(&configured).0)),
        None => trust.default_permissions.clone(),
    };
    let expires = (claims.base.expires != 0).then(|| {
        let seconds = claims.base.expires.saturating_sub(now);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    });
    let valid_for = match (expires, range) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let (connection_types, _) = connection_types(&claims);
    let proxy_required = claims.user.proxy_required;
    let token = TokenUser {
        name: claims.base.name,
        tags: claims.tags,
        issuer: claims.base.issuer,
        scope,
        issued_at: claims.base.issued_at,
        bearer: claims.user.bearer_token,
        default_permissions,
        max_subscriptions: clamp(claims.user.max_subscriptions),
        max_payload: clamp(claims.user.max_payload),
        valid_for,
    };
    User::by_token(
        claims.base.subject,
        account,
        permissions,
        connection_types,
        proxy_required,
        token,
    )
}

/// Limits are kept in 32 bits.
pub(super) fn clamp(limit: i64) -> i64 {
    limit.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// Permissions of claims as those of a configuration; `None` if they say nothing.
#[must_use]
pub fn permissions(claimed: &Claimed) -> Option<Configured> {
    if claimed.is_empty() {
        return None;
    }
    let lists = |lists: &SubjectLists| {
        (!lists.is_empty()).then(|| SubjectPermission {
            allow: lists.allow.clone(),
            deny: lists.deny.clone().unwrap_or_default(),
        })
    };
    let mut publish = lists(&claimed.publish);
    let responses = claimed.responses.map(|responses| {
        // Whoever may answer may publish nothing else, unless it is said.
        publish.get_or_insert_default().allow.get_or_insert_default();
        let default = ResponsePermission::default();
        ResponsePermission {
            max_messages: match responses.max {
                0 => default.max_messages,
                max => max,
            },
            expires: match responses.ttl {
                0 => default.expires,
                nanos => u64::try_from(nanos).ok().map(Duration::from_nanos),
            },
        }
    });
    Some(Configured { publish, subscribe: lists(&claimed.subscribe), responses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::user::Responses;

    fn texts(list: &[&str]) -> Option<Vec<String>> {
        (!list.is_empty()).then(|| list.iter().map(|&s| s.to_owned()).collect())
    }

    #[test]
    fn permissions_of_claims_are_those_of_a_configuration() {
        assert_eq!(permissions(&Claimed::default()), None);
        let claimed = Claimed {
            publish: SubjectLists { allow: texts(&["foo", "bar"]), deny: texts(&["baz"]) },
            subscribe: SubjectLists { allow: texts(&["x"]), deny: None },
            responses: None,
        };
        let got = permissions(&claimed).unwrap();
        let publish = got.publish.unwrap();
        assert_eq!((publish.allow, publish.deny), (texts(&["foo", "bar"]), vec!["baz".to_owned()]));
        assert_eq!(got.subscribe.unwrap().allow, texts(&["x"]));
        assert_eq!(got.responses, None);
    }

    #[test]
    fn who_may_answer_may_publish_nothing_else() {
        let second = 1_000_000_000;
        for (max, ttl, messages, expires) in [
            (22, second / 10, 22, Some(Duration::from_millis(100))),
            (0, 0, 1, Some(Duration::from_secs(120))),
            (-1, -second, -1, None),
        ] {
            let responses = Some(Responses { max, ttl });
            let got = permissions(&Claimed { responses, ..Claimed::default() }).unwrap();
            assert_eq!(got.publish.unwrap().allow, Some(vec![]));
            let responses = got.responses.unwrap();
            assert_eq!((responses.max_messages, responses.expires), (messages, expires));
        }
    }
}
