//! CONNECT: what the client says of itself, and as whom it is let in (spec 01 §4, spec 03 §3).
//!
//! Most logins are decided at once. Where a password has to be hashed, the connection is paused
//! ([`Checking`]) and goes on with [`Client::password_checked`].

use super::connect::ConnectOptions;
use super::{Client, FIRST_PING_MS, TIMER_SUBSCRIPTIONS, effective_limit};
use crate::account::{Account, GLOBAL_ACCOUNT};
use crate::auth::{Attempt, Decision, Denial, User, who};
use crate::callout::request::Presented;
use crate::callout::{Ask, Outcome, Subjected};
use crate::closed::ClosedState;
use crate::config::options::auth::ConnectionType;
use crate::config::secret::Secret;
use crate::config::text::{quote, quote_list};
use crate::logging::ConnectIdentity;
use crate::logging::label::user_label;
use crate::operator::desk::TOO_MANY_CONNECTIONS;
use crate::operator::user::Fetched;
use eventloop::Io;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Time between telling a client that its account allows it no subscription and closing it.
pub(super) const SUBSCRIPTIONS_CLOSE_MS: u64 = 20;

/// What made a connection authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    FirstConnect,
    LaterConnect,
    /// The configuration has changed.
    Reload,
    /// Another command than CONNECT, which the user without credentials allows.
    OtherCommand,
}

/// A login that waits for its password to be checked.
pub(super) struct Checking {
    user: Option<Arc<User>>,
    occasion: Occasion,
    hash: Box<Secret>,
    /// Who else has a say.
    subjected: Option<Subjected>,
    /// The configuration has changed meanwhile: the answer does not count.
    pub(super) outdated: bool,
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
        self.identity_filled_in = false;
        // Without operators nobody vouches for a JWT, and it is as if there were none (spec 03).
        if server.authenticator().operators().is_none() {
            self.options.jwt.clear();
        }
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

    pub(super) fn log_in(&mut self, io: &mut Io<'_>, occasion: Occasion) {
        self.decide(io, occasion, None);
    }

    fn decide(&mut self, io: &mut Io<'_>, occasion: Occasion, fetched: Option<Fetched>) {
        let server = self.shared.server.clone();
        let nobody = |o: &ConnectOptions| o.user.is_empty() && o.nkey.is_empty();
        let came_as_nobody = nobody(&self.options);
        let mut attempt = Attempt {
            options: &mut self.options,
            nonce: &self.nonce,
            kind: ConnectionType::Standard,
            peer: self.shared.tls().and_then(|tls| tls.peer.as_ref()),
            warning: None,
            proxy: None,
            debug: None,
            address: self.shared.peer().ip().to_canonical(),
            now: Timestamp::now(),
            find: &|name| server.account(name),
            subjected: None,
            fetched,
        };
        let decision = server.authenticator().decide(&mut attempt);
        let Attempt { warning, proxy, debug, subjected, .. } = attempt;
        if let Some(text) = debug {
            self.shared.debug(format_args!("{text}"));
        }
        if let Some(warning) = warning {
            self.shared.warn(format_args!("{warning}"));
        }
        if let Some(key) = proxy {
            self.shared.set_proxy_key(&key);
        }
        self.identity_filled_in |= came_as_nobody && !nobody(&self.options);
        match decision {
            Decision::Granted(user) => self.decided(io, occasion, Ok(user), subjected),
            Decision::Fetch(account) => {
                self.fetching = Some(occasion);
                io.pause();
                if !server.fetch_account(account, self.shared.clone()) {
                    self.account_fetched(io, Err("account missing".to_owned()));
                }
            }
            Decision::Denied(denial) => self.decided(io, occasion, Err(denial), subjected),
            // What was presented has not changed, and neither has what it is compared with.
            Decision::Pending(user, hashed)
                if occasion == Occasion::Reload
                    && self.verified.as_deref().is_some_and(|hash| hash == hashed.hash()) =>
            {
                self.decided(io, occasion, Ok(user), subjected);
            }
            Decision::Pending(user, hashed) => {
                let hash = Box::new(hashed.hash().clone());
                let checking = Checking { user, occasion, hash, outdated: false, subjected };
                self.checking = Some(Box::new(checking));
                io.pause();
                server.hash_pool.check(self.shared.clone(), hashed);
            }
        }
    }

    /// The account of the login that was waited for is there, or the reason why it is not.
    pub fn account_fetched(&mut self, io: &mut Io<'_>, fetched: Fetched) {
        let Some(occasion) = self.fetching.take() else { return };
        io.resume();
        self.decide(io, occasion, Some(fetched));
    }

    /// The password of the login that was waited for has been checked.
    pub fn password_checked(&mut self, io: &mut Io<'_>, matches: bool) {
        let Some(checking) = self.checking.take() else { return };
        io.resume();
        if checking.outdated {
            self.log_in(io, checking.occasion);
        } else if matches {
            self.verified = Some(checking.hash);
            self.decided(io, checking.occasion, Ok(checking.user), checking.subjected);
        } else {
            self.decided(io, checking.occasion, Err(Denial::plain()), checking.subjected);
        }
    }

    /// The server itself has decided; an authorization service may have to confirm, or to know
    /// better (spec 03 §26).
    fn decided(
        &mut self,
        io: &mut Io<'_>,
        occasion: Occasion,
        result: Result<Option<Arc<User>>, Denial>,
        subjected: Option<Subjected>,
    ) {
        let user = result.as_ref().ok().and_then(Option::as_ref);
        let asked = subjected.filter(|subjected| {
            let account = user.map(|user| user.account.name.as_str());
            let account = account.filter(|name| *name != GLOBAL_ACCOUNT);
            subjected.policy.delegates(&self.presents_as(user), account)
        });
        if let Some(subjected) = asked {
            let token = user.and_then(|user| user.token.as_ref());
            let presented = Presented {
                options: (*self.options).clone(),
                nonce: self.nonce.to_string(),
                user: self.presents_as(user),
                name_tag: token.map(|token| token.name.clone()).unwrap_or_default(),
                tags: token.map(|token| token.tags.clone()).unwrap_or_default(),
            };
            self.calling_out = Some(occasion);
            io.pause();
            let ask = Ask { client: self.shared.clone(), presented, subjected };
            if !self.shared.server.clone().call_out(ask) {
                let refused = Outcome::Refused(ClosedState::AuthenticationViolation);
                self.callout_answered(io, refused);
            }
            return;
        }
        match result {
            Ok(user) => self.logged_in(io, user.as_ref(), occasion),
            Err(denial) => self.auth_violation(io, &denial),
        }
    }

    /// As whom the connection presents itself.
    fn presents_as(&self, user: Option<&Arc<User>>) -> String {
        let o = &self.options;
        if !o.nkey.is_empty() {
            o.nkey.clone()
        } else if !o.user.is_empty() {
            o.user.clone()
        } else if !o.jwt.is_empty() {
            user.map(|user| user.name.clone()).unwrap_or_default()
        } else if !o.auth_token.is_empty() {
            "[REDACTED]".to_owned()
        } else {
            String::new()
        }
    }

    /// The authorization service has answered, or not in time.
    pub fn callout_answered(&mut self, io: &mut Io<'_>, outcome: Outcome) {
        let Some(occasion) = self.calling_out.take() else { return };
        io.resume();
        match outcome {
            Outcome::Refused(reason) => self.auth_violation(io, &Denial::of(reason)),
            Outcome::Granted(user, name) => {
                self.options.jwt.clear();
                if !name.is_empty() {
                    self.options.user = name;
                    self.options.nkey.clear();
                    self.options.auth_token.clear();
                }
                self.logged_in(io, Some(&user), occasion);
            }
        }
    }

    fn logged_in(&mut self, io: &mut Io<'_>, user: Option<&Arc<User>>, occasion: Occasion) {
        self.user = user.filter(|user| user.token.is_some()).cloned();
        self.arm_expiry(io);
        self.say_authenticated();
        let user = user.map(|user| &**user);
        if occasion == Occasion::Reload {
            return self.stays(io, user);
        }
        if let Some(user) = user {
            if self.enter_account(user.account.clone()).is_err() {
                let reason = ClosedState::MaxAccountConnectionsExceeded;
                return self.expel(io, reason, TOO_MANY_CONNECTIONS);
            }
            if self.max_subscriptions == 0 {
                self.too_many_subscriptions(io);
                io.arm(TIMER_SUBSCRIPTIONS, SUBSCRIPTIONS_CLOSE_MS);
            }
        }
        self.set_permissions(user.and_then(|user| user.permissions.as_ref()));
        self.limits.auth_pending = false;
        self.update_details();
        self.tell_connected();
        if occasion != Occasion::OtherCommand {
            self.finish_connect(io, occasion == Occasion::FirstConnect);
        }
    }

    /// A line for the debug log about a user that came with a token.
    fn say_authenticated(&self) {
        if self.options.jwt.is_empty() {
            return;
        }
        let Some(user) = &self.user else { return };
        let (Some(token), Some(trust)) = (&user.token, user.account.trust()) else { return };
        let tags = |tags: &[String]| quote_list(tags);
        self.shared.debug(format_args!(
            "Authenticated JWT: Client {} (claim-name: {}, claim-tags: {}) signed with {} by \
             Account {} (claim-name: {}, claim-tags: {}) signed with {} has mappings {}",
            quote(&user.name),
            quote(&token.name),
            tags(&token.tags),
            quote(&token.issuer),
            quote(&user.account.name),
            quote(&trust.name),
            tags(&trust.tags),
            quote(&trust.issuer),
            user.account.mappings().is_some()
        ));
    }

    /// Registers the connection with an account, and no longer with the one before. A connection
    /// that is refused is registered with none, but counts as one of the new account from then on.
    fn enter_account(
        &mut self,
        account: Arc<Account>,
    ) -> Result<(), crate::account::TooManyConnections> {
        self.account.remove_client(self.shared.cid);
        self.memo = None;
        self.mappings = account.mappings();
        self.account = account;
        self.apply_limits();
        self.account.add_client(self.shared.cid)?;
        if let Some(system) = self.shared.server.system() {
            system.connections_changed(&self.account);
        }
        Ok(())
    }

    /// Makes the limits of account and server those of the connection.
    pub(super) fn apply_limits(&mut self) {
        let settings = self.shared.server.settings();
        let mut limits = self.account.limits();
        if let Some(token) = self.user.as_ref().and_then(|user| user.token.as_ref()) {
            let current = self.account.trust().and_then(|trust| {
                let scope = trust.signer(&token.issuer).flatten();
                scope.map(|scope| (scope.template.max_payload, scope.template.max_subscriptions))
            });
            let (payload, subscriptions) =
                current.unwrap_or((token.max_payload, token.max_subscriptions));
            limits.max_payload = effective_limit(payload, limits.max_payload);
            limits.max_subscriptions = effective_limit(subscriptions, limits.max_subscriptions);
        }
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
    }

    /// Those who listen hear that it was let in.
    pub(super) fn tell_connected(&self) {
        if let Some(system) = self.shared.server.system() {
            system.connected(&self.shared, &self.account);
        }
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
        let user = user_label(&o.nkey, &o.user, self.token_user(), !o.auth_token.is_empty());
        self.shared.update_label(|label| {
            label.set_account_and_user(Some(&self.account.trace_label()), user.as_deref());
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
            } else if !o.jwt.is_empty() {
                self.token_user().to_owned()
            } else if !o.auth_token.is_empty() {
                "[REDACTED]".to_owned()
            } else {
                String::new()
            };
            d.account.clone_from(&self.account.name);
        });
    }

    #[cold]
    pub(super) fn auth_violation(&mut self, io: &mut Io<'_>, denial: &Denial) {
        if let Some(text) = &denial.debug {
            self.shared.debug(format_args!("{text}"));
        }
        if let Some(text) = &denial.error {
            self.shared.error(format_args!("{text}"));
        }
        if denial.unpinned {
            self.shared.server.stats.pinned_account_fails.fetch_add(1, Ordering::Relaxed);
        }
        let who = who(&self.options, self.token_user());
        self.shared.error(format_args!("authentication error{who}"));
        self.send_error(io, "Authorization Violation");
        let server = &self.shared.server;
        if let Some(system) = server.system() {
            system.refused(server, &self.shared, &self.account, denial.reason);
        }
        self.close(io, denial.reason);
    }
}
