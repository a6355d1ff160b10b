//! CONNECT: what the client says of itself, and as whom it is let in (spec 01 §4, spec 03 §3).
//!
//! Most logins are decided at once. Where a password has to be hashed, the connection is paused
//! ([`Checking`]) and goes on with [`Client::password_checked`].

use super::{Client, FIRST_PING_MS, PublishCheck, TIMER_SUBSCRIPTIONS, effective_limit};
use crate::account::Account;
use crate::auth::{Attempt, Decision, Denial, User, who};
use crate::closed::ClosedState;
use crate::config::options::auth::ConnectionType;
use crate::logging::ConnectIdentity;
use crate::logging::label::user_label;
use eventloop::Io;
use std::sync::Arc;

/// Time between telling a client that its account allows it no subscription and closing it.
const SUBSCRIPTIONS_CLOSE_MS: u64 = 20;

/// What made a connection authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    FirstConnect,
    LaterConnect,
    /// Another command than CONNECT, which the user without credentials allows.
    OtherCommand,
}

/// A login that waits for its password to be checked.
pub(super) struct Checking {
    user: Option<Arc<User>>,
    occasion: Occasion,
}

impl Client {
    pub(super) fn connect(&mut self, io: &mut Io<'_>, json: &[u8]) {
        let first = !self.connect_received;
        let server = self.shared.server.clone();
        let settings = server.settings();
        self.shared.set_rtt(self.accepted.elapsed());
        // Between 100 and 120 percent, so that connections made at once are not pinged at once.
        let base = settings.ping_interval_ms.min(FIRST_PING_MS);
        self.arm_ping(io, base + server.random_below(base / 5 + 1));
        if let Err(e) = self.options.update(json) {
            self.shared.error(format_args!("{e}"));
            return self.close(io, ClosedState::ProtocolViolation);
        }
        // Without operators nobody vouches for a JWT, and it is as if there were none (spec 03).
        self.options.jwt.clear();
        self.connect_received = true;
        if !first {
            self.drop_subscriptions();
            // As at accept, a full account is no error here.
            let _ = self.enter_account(server.global_account().clone());
        }
        self.update_details();
        self.log_in(io, if first { Occasion::FirstConnect } else { Occasion::LaterConnect });
    }

    /// A command came where a CONNECT is expected: goes on if there is a user for connections
    /// without credentials, and ends the connection otherwise (spec 01 §2.9).
    pub(super) fn login_without_connect(&mut self, io: &mut Io<'_>) {
        let authenticator = self.shared.server.authenticator();
        if self.connect_received || !authenticator.may_skip_connect(ConnectionType::Standard) {
            return self.auth_violation(io, &Denial::plain());
        }
        self.connect_received = true;
        self.log_in(io, Occasion::OtherCommand);
    }

    fn log_in(&mut self, io: &mut Io<'_>, occasion: Occasion) {
        let server = self.shared.server.clone();
        let mut attempt = Attempt {
            options: &mut self.options,
            nonce: &self.nonce,
            kind: ConnectionType::Standard,
            peer: self.shared.tls().and_then(|tls| tls.peer.as_ref()),
            warning: None,
        };
        let decision = server.authenticator().decide(&mut attempt);
        if let Some(warning) = attempt.warning {
            self.shared.warn(format_args!("{warning}"));
        }
        match decision {
            Decision::Granted(user) => self.logged_in(io, user.as_deref(), occasion),
            Decision::Denied(denial) => self.auth_violation(io, &denial),
            Decision::Pending(user, hashed) => {
                self.checking = Some(Box::new(Checking { user, occasion }));
                io.pause();
                server.hash_pool.check(self.shared.clone(), hashed);
            }
        }
    }

    /// The password of the login that was waited for has been checked.
    pub fn password_checked(&mut self, io: &mut Io<'_>, matches: bool) {
        let Some(checking) = self.checking.take() else { return };
        io.resume();
        if matches {
            self.logged_in(io, checking.user.as_deref(), checking.occasion);
        } else {
            self.auth_violation(io, &Denial::plain());
        }
    }

    fn logged_in(&mut self, io: &mut Io<'_>, user: Option<&User>, occasion: Occasion) {
        if let Some(user) = user {
            if self.enter_account(user.account.clone()).is_err() {
                let text = "maximum account active connections exceeded";
                self.shared.error(format_args!("{text}"));
                self.send_error(io, text);
                return self.close(io, ClosedState::MaxAccountConnectionsExceeded);
            }
            if self.max_subscriptions == 0 {
                self.too_many_subscriptions(io);
                io.arm(TIMER_SUBSCRIPTIONS, SUBSCRIPTIONS_CLOSE_MS);
            }
        }
        let permissions = user.and_then(|user| user.permissions.as_ref());
        self.permissions = permissions.map(|p| Box::new(PublishCheck::new(p.clone())));
        self.shared.set_permissions(permissions);
        self.limits.auth_pending = false;
        self.update_details();
        if occasion != Occasion::OtherCommand {
            self.finish_connect(io, occasion == Occasion::FirstConnect);
        }
    }

    /// Registers the connection with an account, and no longer with the one before. A connection
    /// that is refused is registered with none, but counts as one of the new account from then on.
    fn enter_account(
        &mut self,
        account: Arc<Account>,
    ) -> Result<(), crate::account::TooManyConnections> {
        self.account.remove_client(self.shared.cid);
        let settings = self.shared.server.settings();
        let limits = &account.limits;
        self.limits.max_payload = effective_limit(settings.max_payload, limits.max_payload);
        self.max_subscriptions =
            effective_limit(settings.max_subscriptions, limits.max_subscriptions);
        for (what, effective, own) in [
            ("Payload", self.limits.max_payload, limits.max_payload),
            ("Subscriptions", self.max_subscriptions, limits.max_subscriptions),
        ] {
            if own >= 0 && effective < own {
                self.shared.debug(format_args!(
                    "Max {what} set to {effective} from server overrides account or user config"
                ));
            }
        }
        self.memo = None;
        self.mappings = account.mappings();
        self.account = account;
        self.account.add_client(self.shared.cid)
    }

    fn finish_connect(&mut self, io: &mut Io<'_>, first: bool) {
        if !self.options.account.is_empty() || self.options.new_account {
            return self.auth_violation(io, &Denial::plain());
        }
        let trace = self.shared.server.log.trace_enabled();
        self.limits.announce = self.options.pedantic || trace;
        let headers = self.shared.server.settings().headers && self.options.headers;
        self.limits.headers = headers;
        self.shared.set_takes_headers(headers);
        self.describe(first);
        if !(0..=1).contains(&self.options.protocol) {
            self.send_error(io, "invalid client protocol");
            self.close(io, ClosedState::BadClientProtocolVersion);
            return self.shared.error(format_args!("invalid client protocol"));
        }
        if self.options.no_responders && !headers {
            self.send_error(io, "no responders requires headers support");
            self.close(io, ClosedState::NoRespondersRequiresHeaders);
            return self.shared.error(format_args!("no responders requires headers support"));
        }
        if self.options.verbose {
            self.send_ok(io);
        }
    }

    /// The label that log lines carry. What the first CONNECT tells stays in it.
    fn describe(&self, first: bool) {
        let o = &self.options;
        let user = user_label(&o.nkey, &o.user, &o.jwt, !o.auth_token.is_empty());
        self.shared.update_label(|label| {
            label.set_account_and_user(Some(&self.account.name), user.as_deref());
            if first {
                label.append_connect(ConnectIdentity {
                    version: &o.version,
                    lang: &o.lang,
                    name: &o.name,
                });
            }
        });
    }

    /// What monitoring shows, also of a connection whose authentication fails.
    fn update_details(&self) {
        let o = &self.options;
        self.shared.update_details(|d| {
            d.name.clone_from(&o.name);
            d.lang.clone_from(&o.lang);
            d.version.clone_from(&o.version);
            d.protocol = o.protocol;
            d.jwt = o.shown_jwt().to_owned();
            d.user = if !o.nkey.is_empty() {
                o.nkey.clone()
            } else if !o.user.is_empty() {
                o.user.clone()
            } else if !o.auth_token.is_empty() && o.jwt.is_empty() {
                "[REDACTED]".to_owned()
            } else {
                String::new()
            };
            d.account.clone_from(&self.account.name);
        });
    }

    #[cold]
    fn auth_violation(&mut self, io: &mut Io<'_>, denial: &Denial) {
        if let Some(text) = &denial.debug {
            self.shared.debug(format_args!("{text}"));
        }
        self.shared.error(format_args!("authentication error{}", who(&self.options)));
        self.send_error(io, "Authorization Violation");
        self.close(io, denial.reason);
    }
}
