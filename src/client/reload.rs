//! What a reload means for a connection: who it is may have to be decided anew, and with it what
//! it may do (spec 02 §11.7).
//!
//! Where this differs from the reference:
//! * Clients that presented a name stay when it is still good, also where a single user, or nobody,
//!   is configured; the reference closes all of those at every reload, changed or not.
//! * A connection that has not sent CONNECT yet is not refused for it; it logs in by the new rules.
//! * A password whose hash has not changed is not hashed again.

use super::login::Occasion;
use super::{Client, TIMER_AUTH};
use crate::auth::{Denial, User};
use crate::closed::ClosedState;
use crate::server::Reloaded;
use crate::subscription::Subscription;
use ::sublist::Subscription as _;
use eventloop::Io;
use parser::quote::quote;
use std::sync::Arc;

impl Client {
    /// The options have changed.
    pub fn reloaded(&mut self, io: &mut Io<'_>, reloaded: &Reloaded) {
        if self.reason.is_some() {
            return;
        }
        let server = self.shared.server.clone();
        let settings = server.settings();
        self.limits.max_control_line = settings.max_control_line;
        self.apply_limits();
        let authenticator = server.authenticator();
        if !self.connect_received {
            self.limits.auth_pending = authenticator.required();
            if self.limits.auth_pending && self.opening.is_none() {
                io.arm(TIMER_AUTH, settings.auth_timeout_ms);
            }
            return;
        }
        if self.fetching.is_some() || self.calling_out.is_some() {
            // What comes of it is judged by the new rules.
            return;
        }
        if let Some(checking) = &mut self.checking {
            // Its password is being compared with what was configured before.
            checking.outdated = true;
            return;
        }
        let proxy = self.shared.proxy_key();
        if proxy.is_some_and(|key| reloaded.untrusted_proxies.iter().any(|gone| gone == key)) {
            let reason = ClosedState::ProxyNotTrusted;
            return self.auth_violation(io, &Denial::of(reason));
        }
        if self.user_has_moved() {
            return self.close(io, ClosedState::ClientClosed);
        }
        if std::mem::take(&mut self.identity_filled_in) {
            self.options.user.clear();
            self.options.pass.clear();
            self.options.nkey.clear();
        }
        self.log_in(io, Occasion::Reload);
    }

    /// Whether the user is configured in another account now, or not at all although users are.
    fn user_has_moved(&self) -> bool {
        let authenticator = self.shared.server.authenticator();
        if !authenticator.has_users() {
            return false;
        }
        let account = if !self.options.nkey.is_empty() {
            authenticator.account_of_nkey(&self.options.nkey)
        } else if !self.options.user.is_empty() {
            authenticator.account_of_user(&self.options.user)
        } else {
            return false;
        };
        account.is_none_or(|account| account.id != self.account.id)
    }

    /// The connection may go on after a reload, as that user.
    pub(super) fn stays(&mut self, io: &mut Io<'_>, user: Option<&User>) {
        let server = self.shared.server.clone();
        let account = user.map_or_else(|| server.global_account().id, |user| user.account.id);
        if account != self.account.id {
            // It reconnects, and comes into the right one.
            return self.close(io, ClosedState::ClientClosed);
        }
        self.set_permissions(user.and_then(|user| user.permissions.as_ref()));
        self.limits.auth_pending = false;
        self.mappings = self.account.mappings();
        self.memo = None;
        self.tell_connected();
        self.drop_denied_subscriptions(io);
        if self.account.has_stream_imports() || self.shared.traits().has_shadows() {
            self.renew_shadows();
        }
    }

    /// Removes the subscriptions that the permissions do not allow any longer.
    pub(super) fn drop_denied_subscriptions(&mut self, io: &mut Io<'_>) {
        let mut denied: Vec<Arc<Subscription>> = self.shared.subscriptions();
        denied.retain(|sub| !self.may_subscribe(sub.subject(), sub.queue()));
        denied.sort_by(|a, b| a.sid().cmp(b.sid()));
        for sub in denied {
            self.remove(&sub);
            let (subject, sid) = (quote(sub.subject()), quote(sub.sid()));
            let queue = match sub.queue() {
                Some(queue) if !queue.is_empty() => format!("using queue {} ", quote(queue)),
                _ => String::new(),
            };
            self.send_error(
                io,
                &format!("Permissions Violation for Subscription to {subject} {queue}(sid {sid})"),
            );
            self.shared.server.log.noticef(format_args!(
                "Removed sub {subject} {queue}(sid {sid}) for {} - not authorized",
                self.named()
            ));
        }
    }

    /// Whom the log says that the connection is.
    fn named(&self) -> String {
        let o = &self.options;
        if !o.nkey.is_empty() {
            format!("Nkey {}", quote(o.nkey.as_bytes()))
        } else if !o.user.is_empty() {
            format!("User {}", quote(o.user.as_bytes()))
        } else if !o.jwt.is_empty() {
            format!("JWT User {}", quote(self.token_user().as_bytes()))
        } else if !o.auth_token.is_empty() {
            "Token \"[REDACTED]\"".to_owned()
        } else {
            "User \"N/A\"".to_owned()
        }
    }
}
