//! Who may connect, and as whom (spec 03 §2 to §4 and §6).
//!
//! [`Authenticator`] is made from the options and decides about one CONNECT at a time. It opens
//! nothing and waits for nothing: where a hash function has to be run, it says so, and the
//! connection is parked until the [`pool`] has done it.
//!
//! The order in which ways to authenticate are tried is part of the protocol; see
//! [`Authenticator::decide`].

pub mod password;
pub mod permissions;
pub mod pool;
pub mod screen;
pub mod verdicts;

use crate::account::Account;
use crate::callout::{Policy, Subjected};
use crate::client::ConnectOptions;
use crate::closed::ClosedState;
use crate::config::options::Options;
use crate::config::options::auth::{
    AuthCallout, ConnectionType, ConnectionTypes, Permissions as Configured,
};
use crate::config::secret::Secret;
use crate::config::text::quote;
use crate::nkey;
use crate::operator::user::{Fetched, TokenUser};
use crate::operator::{self, Operators};
use crate::tls::dn::DistinguishedName;
use crate::tls::peer::{Candidate, Peer};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::Timestamp;
use nkeys::KeyPair;
use password::{Check, Hashed};
use permissions::Permissions;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A user, known by a name and password or by an nkey.
pub struct User {
    /// The name or the public nkey.
    pub name: String,
    password: Secret,
    /// The account its connections belong to.
    pub account: Arc<Account>,
    /// `None` if nothing is restricted.
    pub permissions: Option<Arc<Permissions>>,
    connection_types: ConnectionTypes,
    proxy_required: bool,
    /// What the token says, if it came with one.
    pub token: Option<Box<TokenUser>>,
}

impl User {
    /// A user that a token speaks of.
    pub(crate) fn by_token(
        name: String,
        account: Arc<Account>,
        permissions: Option<Arc<Permissions>>,
        connection_types: ConnectionTypes,
        proxy_required: bool,
        token: TokenUser,
    ) -> User {
        User {
            name,
            password: Secret::default(),
            account,
            permissions,
            connection_types,
            proxy_required,
            token: Some(Box::new(token)),
        }
    }
}

/// The credentials that are looked at where there are no users.
enum Single {
    None,
    Token(Secret),
    User { name: String, password: Secret },
}

/// A connection that wants to authenticate.
pub struct Attempt<'a> {
    /// What it sent; what it did not is filled in for users that need not authenticate.
    pub options: &'a mut ConnectOptions,
    /// The challenge in its INFO, empty if there was none.
    pub nonce: &'a str,
    /// What kind of connection it is.
    pub kind: ConnectionType,
    /// The names in its certificate, if it presented one.
    pub peer: Option<&'a Peer>,
    /// Set to what is to be logged as a warning.
    pub warning: Option<String>,
    /// Set to the key of the trusted proxy that vouches for the connection.
    pub proxy: Option<String>,
    /// Set to what is to be logged at debug level although it is let in.
    pub debug: Option<String>,
    /// Where it comes from.
    pub address: IpAddr,
    /// What time it is.
    pub now: Timestamp,
    /// Finds accounts by name.
    pub find: &'a dyn Fn(&str) -> Option<Arc<Account>>,
    /// Set to who else has a say about it.
    pub subjected: Option<Subjected>,
    /// What came of the [`Decision::Fetch`] for the same attempt before.
    pub fetched: Option<Fetched>,
}

impl Attempt<'_> {
    /// The user whom it is about has to come through a trusted proxy, or need not.
    fn needs_proxy(&mut self, required: bool) {
        if let Some(subjected) = &mut self.subjected {
            subjected.proxy_required = required;
        }
    }
}

/// What is decided about an attempt.
pub enum Decision {
    /// It may connect, as that user; without one it stays in the global account.
    Granted(Option<Arc<User>>),
    /// It may not.
    Denied(Denial),
    /// It may, if the password matches the hash.
    Pending(Option<Arc<User>>, Hashed),
    /// That depends on an account that has to be fetched first.
    Fetch(String),
}

/// Why an attempt was refused. The peer always gets the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The state in which the connection is closed.
    pub reason: ClosedState,
    /// What to log at debug level.
    pub debug: Option<String>,
    /// What to log at error level.
    pub error: Option<String>,
    /// The account is not one of the pinned ones.
    pub unpinned: bool,
}

impl Denial {
    /// Wrong credentials.
    pub fn plain() -> Denial {
        Denial {
            reason: ClosedState::AuthenticationViolation,
            debug: None,
            error: None,
            unpinned: false,
        }
    }

    /// For another reason than the credentials.
    pub fn of(reason: ClosedState) -> Denial {
        Denial { reason, ..Denial::plain() }
    }

    /// With a text for the debug log.
    pub(crate) fn because(text: impl Into<String>) -> Denial {
        Denial { debug: Some(text.into()), ..Denial::plain() }
    }

    pub(crate) fn proxy_required() -> Denial {
        let debug = Some("proxy connection required".to_owned());
        Denial { debug, ..Denial::of(ClosedState::ProxyRequired) }
    }
}

/// Decides who may connect. Immutable; a reload makes another one.
pub struct Authenticator {
    users: HashMap<String, Arc<User>>,
    nkeys: HashMap<String, Arc<User>>,
    single: Single,
    no_auth_user: String,
    /// The user without credentials was made up by the server and is not announced.
    no_auth_user_is_internal: bool,
    proxy_required: bool,
    /// Users are found by certificate (`verify_and_map`).
    maps_certificates: bool,
    trusted_proxies: Vec<KeyPair>,
    /// Set in operator mode: users come with tokens then.
    operators: Option<Operators>,
    /// Who else has a say about connections.
    callout: Option<Arc<AuthCallout>>,
    /// What could not be compiled, for the log.
    errors: Vec<String>,
}

impl Authenticator {
    /// From options whose baseline is set. `account` finds accounts by name; `None` is the global
    /// one. `internal_user` names the user that the server added for clients without credentials.
    pub fn new(
        o: &Options,
        account: impl Fn(Option<&str>) -> Arc<Account>,
        internal_user: Option<&str>,
    ) -> Authenticator {
        let mut compiled = Compiled::default();
        let mut users = HashMap::new();
        for user in &o.users {
            let permissions = compiled.permissions(user.permissions.as_ref());
            let entry = Arc::new(User {
                name: user.username.clone(),
                password: user.password.clone(),
                account: account(user.account.as_deref()),
                permissions,
                connection_types: user.allowed_connection_types,
                proxy_required: user.proxy_required,
                token: None,
            });
            users.insert(user.username.clone(), entry);
        }
        let mut nkeys = HashMap::new();
        for user in &o.nkeys {
            let permissions = compiled.permissions(user.permissions.as_ref());
            let entry = Arc::new(User {
                name: user.nkey.clone(),
                password: Secret::default(),
                account: account(user.account.as_deref()),
                permissions,
                connection_types: user.allowed_connection_types,
                proxy_required: user.proxy_required,
                token: None,
            });
            nkeys.insert(user.nkey.clone(), entry);
        }
        let single = if !o.authorization.is_empty() {
            Single::Token(o.authorization.clone())
        } else if !o.username.is_empty() {
            Single::User { name: o.username.clone(), password: o.password.clone() }
        } else {
            Single::None
        };
        let trusted = o.proxies.as_ref().map(|p| p.trusted.as_slice()).unwrap_or_default();
        let no_auth_user = internal_user.unwrap_or(&o.no_auth_user).to_owned();
        if let Some(name) = internal_user {
            let entry = User {
                name: name.to_owned(),
                // The last seven characters of the name, so that it can be used like others.
                password: name.get(INTERNAL_USER_PASSWORD_START..).unwrap_or_default().into(),
                account: account(None),
                permissions: None,
                connection_types: ConnectionTypes::default(),
                proxy_required: false,
                token: None,
            };
            users.insert(name.to_owned(), Arc::new(entry));
        }
        Authenticator {
            users,
            nkeys,
            single,
            no_auth_user,
            no_auth_user_is_internal: internal_user.is_some(),
            proxy_required: o.proxy_required,
            maps_certificates: o.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
            trusted_proxies: trusted.iter().filter_map(|key| nkey::verifier(key)).collect(),
            operators: Operators::of(o),
            callout: o.auth_callout.clone().map(Arc::new),
            errors: compiled.errors,
        }
    }

    /// The account in which a configured service decides about connections.
    pub fn callout_account(&self) -> Option<&str> {
        self.callout.as_ref().map(|callout| callout.account.as_str())
    }

    /// Whose signatures count, in operator mode.
    pub fn operators(&self) -> Option<&Operators> {
        self.operators.as_ref()
    }

    /// Whether a connection must authenticate.
    pub fn required(&self) -> bool {
        self.operators.is_some()
            || !self.users.is_empty()
            || !self.nkeys.is_empty()
            || !matches!(self.single, Single::None)
    }

    /// Whether there are users, by name or by nkey.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty() || !self.nkeys.is_empty()
    }

    /// The account of the user of that name.
    pub fn account_of_user(&self, name: &str) -> Option<&Arc<Account>> {
        self.users.get(name).map(|user| &user.account)
    }

    /// The account of the user with that nkey.
    pub fn account_of_nkey(&self, nkey: &str) -> Option<&Arc<Account>> {
        self.nkeys.get(nkey).map(|user| &user.account)
    }

    /// Whether INFO says so: not if there is a user for those without credentials.
    pub fn announced(&self) -> bool {
        self.required() && (self.no_auth_user.is_empty() || self.no_auth_user_is_internal)
    }

    /// Whether connections get a challenge to sign.
    pub fn needs_nonce(&self) -> bool {
        self.operators.is_some() || !self.nkeys.is_empty() || !self.trusted_proxies.is_empty()
    }

    /// Texts to log at error level: permissions that make no sense.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Whether a connection of that kind may go on without CONNECT: then [`decide`](Self::decide)
    /// is asked with the default options (spec 01 §2.9).
    pub fn may_skip_connect(&self, kind: ConnectionType) -> bool {
        self.users
            .get(&self.no_auth_user)
            .is_some_and(|user| !user.proxy_required && user.connection_types.allows(kind))
    }

    /// Decides about an attempt. The first rule that applies is the only one: a signature of a
    /// proxy, nkeys, users, then the single token or user.
    pub fn decide(&self, attempt: &mut Attempt<'_>) -> Decision {
        let trusted_proxy = match self.proxy(attempt) {
            Ok(trusted) => trusted,
            Err(denial) => return Decision::Denied(denial),
        };
        if let Some(callout) = &self.callout {
            attempt.subjected = Some(Subjected {
                policy: Policy::Configured(callout.clone()),
                proxy_required: false,
                trusted_proxy,
            });
        }
        if !self.required() {
            return Decision::Granted(None);
        }
        if let Some(operators) = &self.operators {
            return operator::user::decide(operators, attempt, trusted_proxy);
        }
        let anonymous = attempt.options.user.is_empty()
            && attempt.options.pass.is_empty()
            && attempt.options.auth_token.is_empty();
        match self.nkey_user(attempt, anonymous) {
            Ok(Some(user)) => return self.decide_nkey(attempt, user, trusted_proxy),
            Ok(None) => {}
            Err(denial) => return Decision::Denied(denial),
        }
        if !self.users.is_empty() {
            if self.maps_certificates {
                return self.decide_by_certificate(attempt, trusted_proxy);
            }
            if anonymous && let Some(user) = self.users.get(&self.no_auth_user) {
                attempt.options.user.clone_from(&user.name);
                user.password.expose().clone_into(&mut attempt.options.pass);
            }
            if !attempt.options.user.is_empty() {
                return self.decide_user(attempt, trusted_proxy);
            }
        }
        self.decide_single(attempt, trusted_proxy)
    }

    /// Whether a trusted proxy vouches for the connection.
    fn proxy(&self, attempt: &mut Attempt<'_>) -> Result<bool, Denial> {
        let signature = &attempt.options.proxy_sig;
        if signature.is_empty() || self.trusted_proxies.is_empty() {
            return Ok(false);
        }
        let untrusted = |text: &str| Denial {
            debug: Some(text.to_owned()),
            ..Denial::of(ClosedState::ProxyNotTrusted)
        };
        let Ok(signature) = BASE64URL_NOPAD.decode(signature.as_bytes()) else {
            return Err(untrusted("Proxy signature not valid base64"));
        };
        let nonce = attempt.nonce.as_bytes();
        let mut trusted = self.trusted_proxies.iter();
        match trusted.find(|key| key.verify(nonce, &signature).is_ok()) {
            Some(key) => {
                attempt.proxy = Some(key.public_key());
                Ok(true)
            }
            None => Err(untrusted("proxy is not trusted")),
        }
    }

    /// The nkey user that the attempt is about, if it is about one.
    fn nkey_user(
        &self,
        attempt: &mut Attempt<'_>,
        anonymous: bool,
    ) -> Result<Option<&Arc<User>>, Denial> {
        if self.nkeys.is_empty() {
            return Ok(None);
        }
        if anonymous
            && attempt.options.nkey.is_empty()
            && self.nkeys.contains_key(&self.no_auth_user)
        {
            attempt.options.nkey.clone_from(&self.no_auth_user);
        }
        if attempt.options.nkey.is_empty() {
            return Ok(None);
        }
        let user = self.nkeys.get(&attempt.options.nkey);
        let user = user.filter(|user| user.connection_types.allows(attempt.kind));
        user.map(Some).ok_or_else(Denial::plain)
    }

    fn decide_nkey(&self, attempt: &mut Attempt<'_>, user: &Arc<User>, trusted: bool) -> Decision {
        attempt.needs_proxy(user.proxy_required);
        if user.proxy_required && !trusted {
            return Decision::Denied(Denial::proxy_required());
        }
        if user.name == self.no_auth_user {
            return Decision::Granted(Some(user.clone()));
        }
        match verify_signature(&user.name, attempt.nonce, &attempt.options.sig) {
            Ok(()) => Decision::Granted(Some(user.clone())),
            Err(text) => Decision::Denied(Denial::because(text)),
        }
    }

    /// The certificate names the user; a password that the user has is still asked for.
    fn decide_by_certificate(&self, attempt: &mut Attempt<'_>, trusted: bool) -> Decision {
        let kind = attempt.kind;
        let peer = attempt.peer.filter(|peer| !peer.is_nameless());
        let found = peer.and_then(|peer| {
            peer.candidates().find_map(|candidate| match candidate {
                Candidate::Email(name)
                | Candidate::Dns(name)
                | Candidate::Uri(name)
                | Candidate::Subject(name) => {
                    self.users.get(name).filter(|user| user.connection_types.allows(kind))
                }
                Candidate::Name(name) => self.user_of_name(name, kind),
            })
        });
        let Some(user) = found else { return Decision::Denied(Denial::plain()) };
        if !attempt.options.user.is_empty() {
            let sent = quote(&attempt.options.user);
            attempt.warning =
                Some(format!("User {sent} found in connect proto, but user required from cert"));
        }
        attempt.options.user.clone_from(&user.name);
        self.decide_user(attempt, trusted)
    }

    /// The user whose name is that distinguished name; with its parts in the same places, or else
    /// in any order, of several the first by name.
    fn user_of_name(&self, name: &DistinguishedName, kind: ConnectionType) -> Option<&Arc<User>> {
        let mut in_any_order: Option<&Arc<User>> = None;
        for user in self.users.values().filter(|user| user.connection_types.allows(kind)) {
            let Some(own) = DistinguishedName::parse(&user.name) else { continue };
            if own.equals(name) {
                return Some(user);
            }
            if own.equals_in_any_order(name)
                && in_any_order.is_none_or(|other| user.name < other.name)
            {
                in_any_order = Some(user);
            }
        }
        in_any_order
    }

    fn decide_user(&self, attempt: &mut Attempt<'_>, trusted: bool) -> Decision {
        let user = self.users.get(&attempt.options.user);
        let Some(user) = user.filter(|user| user.connection_types.allows(attempt.kind)) else {
            return Decision::Denied(Denial::plain());
        };
        attempt.needs_proxy(user.proxy_required);
        if user.proxy_required && !trusted {
            return Decision::Denied(Denial::proxy_required());
        }
        compare(&user.password, &attempt.options.pass, Some(user.clone()))
    }

    fn decide_single(&self, attempt: &mut Attempt<'_>, trusted: bool) -> Decision {
        attempt.needs_proxy(self.proxy_required);
        if self.proxy_required && !trusted {
            return Decision::Denied(Denial::proxy_required());
        }
        match &self.single {
            Single::None => Decision::Denied(Denial::plain()),
            Single::Token(token) => compare(token, &attempt.options.auth_token, None),
            Single::User { name, password } => {
                if *name == attempt.options.user {
                    compare(password, &attempt.options.pass, None)
                } else {
                    Decision::Denied(Denial::plain())
                }
            }
        }
    }
}

/// Where the password begins in the name of the user made up by the server (spec 03 §2.3).
const INTERNAL_USER_PASSWORD_START: usize = 6;

fn compare(configured: &Secret, presented: &str, user: Option<Arc<User>>) -> Decision {
    match password::check(configured, presented) {
        Check::Done(true) => Decision::Granted(user),
        Check::Done(false) => Decision::Denied(Denial::plain()),
        Check::Slow(hashed) => Decision::Pending(user, hashed),
    }
}

/// Whether `signature` is that of the nonce by the nkey. The error is for the debug log.
pub fn verify_signature(nkey: &str, nonce: &str, signature: &str) -> Result<(), String> {
    // Without a challenge a signature would prove nothing.
    if signature.is_empty() || nonce.is_empty() {
        return Err("Signature missing".to_owned());
    }
    let decoded = BASE64URL_NOPAD.decode(signature.as_bytes());
    let Ok(signature) = decoded.or_else(|_| BASE64.decode(signature.as_bytes())) else {
        return Err("Signature not valid base64".to_owned());
    };
    let Some(key) = nkey::verifier(nkey) else {
        return Err("User nkey not valid: nkeys: invalid public key".to_owned());
    };
    key.verify(nonce.as_bytes(), &signature).map_err(|_| "Signature not verified".to_owned())
}

/// Compiles permissions, once where several users share them.
#[derive(Default)]
struct Compiled {
    known: Vec<(Arc<Configured>, Arc<Permissions>)>,
    errors: Vec<String>,
}

impl Compiled {
    fn permissions(&mut self, configured: Option<&Arc<Configured>>) -> Option<Arc<Permissions>> {
        let configured = configured?;
        if let Some((_, same)) = self.known.iter().find(|(c, _)| Arc::ptr_eq(c, configured)) {
            return Some(same.clone());
        }
        let (permissions, errors) = Permissions::compile(configured);
        self.errors.extend(errors);
        let permissions = Arc::new(permissions);
        self.known.push((configured.clone(), permissions.clone()));
        Some(permissions)
    }
}

/// How a connection is named where its authentication failed: ` - User "x"`, or nothing.
///
/// `jwt_user` is the public key of the user of an accepted token.
pub fn who(o: &ConnectOptions, jwt_user: &str) -> String {
    if !o.nkey.is_empty() {
        format!(" - Nkey {}", quote(&o.nkey))
    } else if !o.user.is_empty() {
        format!(" - User {}", quote(&o.user))
    } else if !jwt_user.is_empty() {
        format!(" - JWT User {}", quote(jwt_user))
    } else if !o.auth_token.is_empty() {
        " - Token \"[REDACTED]\"".to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests;
