//! Which connections are delegated to an authorization service (spec 03 §26.2).

use crate::account::Account;
use crate::config::options::auth::AuthCallout;
use crate::jwt::account::ExternalAuthorization;
use std::sync::Arc;

/// Who is asked about a connection.
#[derive(Clone)]
pub enum Policy {
    /// The service of the configuration.
    Configured(Arc<AuthCallout>),
    /// The service that the claims of the user's account name.
    Account(Arc<Account>, ExternalAuthorization),
}

/// What a connection is subjected to after the login that the server itself decides.
pub struct Subjected {
    /// Who is asked.
    pub policy: Policy,
    /// The user may connect through a trusted proxy only.
    pub proxy_required: bool,
    /// It did.
    pub trusted_proxy: bool,
}

impl Policy {
    /// Whether the service decides about a connection that presents itself as `user`. `account` is
    /// where the server itself would have let it in; `None` if it would not, or into the global
    /// account.
    #[must_use]
    pub fn delegates(&self, user: &str, account: Option<&str>) -> bool {
        match self {
            Policy::Configured(callout) => {
                let bound = account.is_some_and(|account| {
                    let allowed = &callout.allowed_accounts;
                    !allowed.is_empty() && !allowed.iter().any(|name| name == account)
                });
                !bound && !callout.auth_users.iter().any(|name| name == user)
            }
            Policy::Account(_, external) => !external.auth_users.iter().any(|key| key == user),
        }
    }

    /// The key that requests are sealed for, if they are.
    #[must_use]
    pub fn xkey(&self) -> &str {
        match self {
            Policy::Configured(callout) => &callout.xkey,
            Policy::Account(_, external) => &external.xkey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(allowed: &[&str]) -> Policy {
        let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        Policy::Configured(Arc::new(AuthCallout {
            auth_users: list(&["auth"]),
            allowed_accounts: list(allowed),
            ..AuthCallout::default()
        }))
    }

    #[test]
    fn the_service_decides_about_all_but_its_own_users_and_accounts_that_are_not_its() {
        // allowed accounts, user, account, delegated
        for (allowed, user, account, delegated) in [
            (&[][..], "u", None, true),
            (&[], "", None, true),
            (&[], "auth", None, false),
            (&[], "auth", Some("A"), false),
            (&[], "u", Some("A"), true),
            (&["A"], "u", Some("A"), true),
            (&["A"], "u", Some("B"), false),
            (&["A"], "u", None, true),
        ] {
            let got = configured(allowed).delegates(user, account);
            assert_eq!(got, delegated, "{allowed:?} {user} {account:?}");
        }
    }

    #[test]
    fn the_users_that_claims_name_are_not_delegated() {
        let account = Arc::new(Account::new("A", crate::account::AccountLimits::default(), false));
        let external = ExternalAuthorization {
            auth_users: vec!["UAUTH".to_owned()],
            ..ExternalAuthorization::default()
        };
        let policy = Policy::Account(account, external);
        assert!(!policy.delegates("UAUTH", Some("A")));
        assert!(policy.delegates("UOTHER", Some("A")) && policy.delegates("", None));
    }
}
