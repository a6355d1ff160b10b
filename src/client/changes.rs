//! What a change of its account means for a connection: limits, imports, permissions, and whether
//! it may stay (spec 03 §23 and §25).

use super::{Client, PublishCheck, TIMER_EXPIRY, TIMER_SUBSCRIPTIONS};
use crate::account::trust::Trust;
use crate::auth::permissions::Permissions;
use crate::auth::{Denial, User};
use crate::callout;
use crate::client::login::SUBSCRIPTIONS_CLOSE_MS;
use crate::closed::ClosedState;
use eventloop::Io;
use std::sync::Arc;
use std::time::SystemTime;

/// Whether a connection stays.
enum Verdict {
    Stays,
    /// It is told that it may not be here.
    Violation,
    Told(ClosedState, &'static str),
    /// Without a word.
    Closed(ClosedState),
}

impl Client {
    /// The public key of the user of its token, if it was let in with one.
    pub(super) fn token_user(&self) -> &str {
        // Users that a service has let in have a key nobody else knows.
        let user = self.user.as_ref().filter(|_| !self.options.jwt.is_empty());
        user.map_or("", |user| &user.name)
    }

    /// Closes the connection after telling it why.
    pub fn expel(&mut self, io: &mut Io<'_>, reason: ClosedState, text: &str) {
        self.shared.error(format_args!("{text}"));
        self.send_error(io, text);
        self.close(io, reason);
    }

    /// Sees to it that the connection ends with the time of its user.
    pub(super) fn arm_expiry(&mut self, io: &mut Io<'_>) {
        let token = self.user.as_ref().and_then(|user| user.token.as_ref());
        let valid_for = token.and_then(|token| token.valid_for);
        self.shared.update_details(|d| {
            d.user_name = token.map(|token| token.name.clone()).unwrap_or_default();
            d.expires = valid_for.and_then(|time| SystemTime::now().checked_add(time));
        });
        self.expires_at = valid_for.map(|time| {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4);
            io.arm(TIMER_EXPIRY, millis);
            io.now.saturating_add(millis)
        });
    }

    /// The time of the user may be over.
    pub(super) fn expiry_timer(&mut self, io: &mut Io<'_>) {
        match self.expires_at {
            // Another login has come since the timer was set.
            Some(at) if io.now < at => io.arm(TIMER_EXPIRY, at - io.now),
            Some(_) => self.auth_expired(io, "User Authentication Expired"),
            None => {}
        }
    }

    fn auth_expired(&mut self, io: &mut Io<'_>, text: &'static str) {
        self.send_error(io, text);
        self.shared.debug(format_args!("{text}"));
        self.close(io, ClosedState::AuthenticationExpired);
    }

    /// The account has changed.
    pub fn account_changed(&mut self, io: &mut Io<'_>) {
        if self.reason.is_some() {
            return;
        }
        if self.account.is_expired() {
            return self.auth_expired(io, "Account Authentication Expired");
        }
        self.apply_limits();
        let by_token = self.user.as_ref().is_some_and(|user| user.account.id == self.account.id);
        let operators = self.shared.server.authenticator().operators().is_some();
        if by_token && operators && self.account.trust().is_none() {
            return self.auth_violation(io, &Denial::plain());
        }
        if let (Some(user), Some(trust)) = (self.user.clone(), self.account.trust()) {
            match judge(&user, &trust) {
                Verdict::Stays => self.renew_default_permissions(io, &user, &trust),
                Verdict::Violation => return self.auth_violation(io, &Denial::plain()),
                Verdict::Told(reason, text) => {
                    self.send_error(io, text);
                    self.shared.debug(format_args!("{text}"));
                    return self.close(io, reason);
                }
                Verdict::Closed(reason) => return self.close(io, reason),
            }
        }
        if self.account.has_stream_imports() || self.shared.traits().has_shadows() {
            self.renew_shadows();
        }
        let count = i64::try_from(self.shared.subscription_count()).unwrap_or(i64::MAX);
        if self.max_subscriptions >= 0 && count > self.max_subscriptions {
            self.too_many_subscriptions(io);
            io.arm(TIMER_SUBSCRIPTIONS, SUBSCRIPTIONS_CLOSE_MS);
        }
    }

    /// What it may do from now on.
    pub(super) fn set_permissions(&mut self, permissions: Option<&Arc<Permissions>>) {
        let server = &self.shared.server;
        let configured = server.authenticator();
        let beside_service = configured.callout_account() == Some(self.account.name.as_str())
            || self.account.trust().is_some_and(|trust| trust.external.is_some());
        // Only the server asks an authorization service.
        let own = beside_service.then(|| {
            let configured = permissions.map(|permissions| permissions.configured().clone());
            let mut configured = configured.unwrap_or_default();
            let publish = configured.publish.get_or_insert_default();
            publish.deny.push(callout::SUBJECT.to_owned());
            Arc::new(Permissions::compile(&configured).0)
        });
        let permissions = own.as_ref().or(permissions);
        self.permissions = permissions.map(|p| Box::new(PublishCheck::new(p.clone())));
        self.shared.set_permissions(permissions);
    }

    /// Who has no permissions of its own gets those that the account has for such users.
    fn renew_default_permissions(&mut self, io: &mut Io<'_>, user: &User, trust: &Trust) {
        let by_default = user.token.as_ref().is_some_and(|token| token.default_permissions);
        let permissions = trust.default_permissions.as_ref();
        let same = match (&self.permissions, permissions) {
            (Some(check), Some(permissions)) => Arc::ptr_eq(&check.permissions, permissions),
            (None, None) => true,
            _ => false,
        };
        if !by_default || same {
            return;
        }
        self.set_permissions(permissions);
        self.drop_denied_subscriptions(io);
    }
}

fn judge(user: &User, trust: &Trust) -> Verdict {
    let Some(token) = &user.token else { return Verdict::Stays };
    if token.bearer && trust.disallow_bearer {
        return Verdict::Violation;
    }
    if trust.is_revoked(&user.name, token.issued_at) {
        return Verdict::Told(ClosedState::Revocation, "User Authentication Revoked");
    }
    // What its signing key lets users do may have changed, or the key may sign no more.
    match trust.signer(&token.issuer) {
        Some(scope) if scope == token.scope.as_ref() => Verdict::Stays,
        _ => Verdict::Closed(ClosedState::AuthenticationViolation),
    }
}
