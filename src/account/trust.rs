//! What an account's claims say of its users: who signs for it, who is let in no more, and what
//! users may do whose tokens do not say it (spec 03 §25).

use crate::auth::permissions::Permissions;
use crate::jwt::account::{ExternalAuthorization, Scope, SigningKeys};
use crate::jwt::is_revoked;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of one account, as its claims in force have it.
#[derive(Default)]
pub struct Trust {
    /// The claims as they came; empty for an account that has none yet, but must be there.
    pub token: String,
    /// Who issued them.
    pub issuer: String,
    /// When they were, in seconds since the epoch.
    pub issued_at: i64,
    /// When they end, in seconds since the epoch; 0 for never.
    pub expires: i64,
    /// The name for people.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
    /// The keys that sign for it.
    pub signing_keys: SigningKeys,
    /// Users whose tokens count no longer.
    pub revocations: BTreeMap<String, i64>,
    /// Tokens alone do not let anybody in.
    pub disallow_bearer: bool,
    /// Of users whose tokens say nothing.
    pub default_permissions: Option<Arc<Permissions>>,
    /// Who decides about its users.
    pub external: Option<ExternalAuthorization>,
}

impl Trust {
    /// Whether a key signs for the account, and with which scope.
    #[must_use]
    pub fn signer(&self, key: &str) -> Option<Option<&Scope>> {
        self.signing_keys.get(key).map(Option::as_ref)
    }

    /// Whether a user's token of that time counts no longer.
    #[must_use]
    pub fn is_revoked(&self, user: &str, issued_at: i64) -> bool {
        is_revoked(&self.revocations, user, issued_at)
    }
}
