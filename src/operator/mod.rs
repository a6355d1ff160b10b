//! Operator mode: accounts and users come as signed claims (spec 03 §7 and §22 to §25).
//!
//! * [`Operators`]: whose signatures count;
//! * [`user`]: whether a connection may be the user of the token it sent;
//! * [`claims`]: making an account what its claims say;
//! * [`resolver`]: where the claims of accounts come from;
//! * [`desk`]: the thread that fetches and applies them, watches their time, and answers requests
//!   about them. No other thread changes accounts in this mode.
//!
//! A reactor only ever looks at accounts that are there; for others the connection is paused until
//! the desk has found out (`Decision::Fetch`).

pub mod claims;
pub mod desk;
pub mod resolver;
pub mod user;

use crate::config::options::Options;
use std::collections::BTreeSet;

/// Whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operators {
    /// Keys that may issue accounts.
    pub trusted: BTreeSet<String>,
    /// Those of them that belong to operators whose own keys, and whose accounts' own keys, sign
    /// nothing.
    pub strict: BTreeSet<String>,
    /// The only accounts whose users may connect; empty for all.
    pub pinned: BTreeSet<String>,
    /// The user token of connections without one; empty for none.
    pub default_sentinel: String,
    /// The first operator's own key, if it is strict: it issues no accounts.
    pub strict_identity: Option<String>,
    /// The first operator's keys: they may ask for accounts to be deleted.
    pub deleters: BTreeSet<String>,
}

impl Operators {
    /// As configured; `None` without operators and trusted keys.
    #[must_use]
    pub fn of(o: &Options) -> Option<Operators> {
        if o.trusted_keys.is_empty() {
            return None;
        }
        let strict = o.operators.iter().filter(|op| op.claims.strict_signing_key_usage);
        let first = o.operators.first().map(|op| &op.claims);
        let strict_identity = first
            .filter(|claims| claims.strict_signing_key_usage)
            .map(|claims| claims.subject.clone());
        let mut deleters: BTreeSet<String> =
            first.into_iter().flat_map(|claims| claims.signing_keys.iter().cloned()).collect();
        if let Some(claims) = first.filter(|claims| !claims.strict_signing_key_usage) {
            deleters.insert(claims.subject.clone());
        }
        Some(Operators {
            trusted: o.trusted_keys.iter().cloned().collect(),
            strict: strict.flat_map(|op| op.claims.signing_keys.iter().cloned()).collect(),
            pinned: o.resolver_pinned_accounts.clone(),
            default_sentinel: o.default_sentinel.clone(),
            strict_identity,
            deleters,
        })
    }
}
