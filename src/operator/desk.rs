//! The thread that fetches the claims of accounts and applies them, watches their time, and answers
//! requests about them (spec 03 §13 and §22.4).
//!
//! It may wait for disks and servers. Connections that need an account leave an [`Order`] and are
//! told by [`Message::AccountFetched`].

use super::Operators;
use super::claims::{self, ActivationCheck, definition, exporters, next_activation_end, verify};
use super::resolver::{FetchError, Resolver};
use crate::account::linking::Unlinked;
use crate::account::trust::Trust;
use crate::account::{Account, AccountLimits, Accounts, Definition};
use crate::client::ClientShared;
use crate::closed::ClosedState;
use crate::delivery::Kind;
use crate::internal::{self, Batch, Context, Inbox, Mail, Outgoing, Wake};
use crate::jwt::AccountClaims;
use crate::logging::Logger;
use crate::nkey::{self, KeyType};
use crate::server::Server;
use crate::worker::Message;
use jiff::Timestamp;
use parser::quote::quote;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod requests;

/// Claims that were applied so shortly ago are not fetched again.
const REFETCH_AFTER: Duration = Duration::from_secs(1);
/// A fetch that took longer is a warning.
const SLOW_FETCH: Duration = Duration::from_secs(1);
/// Time between two attempts to fetch the system account.
const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(1);
/// The account has more connections than it may have.
pub const TOO_MANY_CONNECTIONS: &str = "maximum account active connections exceeded";

/// What is done with an account that was to be fetched.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// What others ask of the desk.
pub enum Order {
    /// Somebody waits for an account.
    Fetch {
        /// The account's key.
        account: String,
        /// What to do when it is there, or not to be had.
        done: Done,
    },
    /// The configuration has been read again: claims that it brings, and the directory's files, may
    /// be others.
    Reload(BTreeMap<String, String>),
}

/// Makes accounts what their claims say.
pub struct Applier<'a> {
    /// The accounts.
    pub accounts: &'a Accounts,
    /// Whose signatures count.
    pub operators: &'a Operators,
    /// The log.
    pub log: &'a Logger,
    /// The cluster's name, for mappings.
    pub cluster: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Applier<'_> {
    /// Applies claims that were verified. Returns the accounts whose connections have to be told.
    pub fn apply(
        &self,
        account: &Arc<Account>,
        claims: &AccountClaims,
        token: &str,
    ) -> Vec<Arc<Account>> {
        let check = ActivationCheck { now: self.now, log: self.log };
        self.log
            .debugf(format_args!("Updating account claims: {}/{}", account.name, claims.base.name));
        let has_system_account = self.accounts.system().is_some();
        let changes = self.accounts.change(account, &check, |account| {
            account.set_trust(claims::trust(self.operators, claims, token));
            let expires = claims.base.expires;
            account.set_expired(expires != 0 && expires <= self.now);
            account.set_limits(claims::limits(claims));
            account.set_mappings(claims::mappings(claims, self.cluster));
            definition(claims, has_system_account)
        });
        for unlinked in &changes.unlinked {
            self.report(unlinked);
        }
        changes.affected
    }

    fn report(&self, unlinked: &Unlinked) {
        let Unlinked { importer, exporter, kind, subject, reason, missing } = unlinked;
        let kind = kind.name();
        if *missing {
            self.log.errorf(format_args!(
                "Can't locate account [{exporter}] for import of [{subject}] {kind} (err={reason})"
            ));
        } else {
            self.log.debugf(format_args!(
                "Error adding {kind} import to account [{importer}]: {reason}"
            ));
        }
    }
}

/// The system account at start: with its claims if they are there, or else, unless the resolver has
/// nothing but what it was given, with its own key alone, so that its users can bring claims.
/// Returns whether its claims are still to be fetched.
///
/// # Errors
/// The text for the operator.
pub fn prepare_system_account(
    applier: &Applier<'_>,
    resolver: &mut Resolver,
    single_operator: bool,
) -> Result<bool, String> {
    let Some(system) = applier.accounts.system() else { return Ok(false) };
    let fetched = match resolver.fetch(&system.name, applier.now) {
        Ok(token) => verify(applier.operators, &token, applier.now).and_then(|claims| {
            if claims.base.subject == system.name {
                Ok((claims, token))
            } else {
                Err("account validation failed".to_owned())
            }
        }),
        Err(FetchError::NotHere) => Err("account missing".to_owned()),
        Err(FetchError::Other(error)) => Err(error),
    };
    match fetched {
        Ok((claims, token)) => {
            applier.apply(system, &claims, &token);
            Ok(false)
        }
        Err(_) if single_operator && !matches!(resolver, Resolver::Memory(_)) => {
            applier.log.noticef(format_args!("Using bootstrapping system account"));
            let issuer = applier.operators.trusted.iter().next().cloned().unwrap_or_default();
            system.set_trust(Trust {
                issuer,
                signing_keys: [(system.name.clone(), None)].into(),
                ..Trust::default()
            });
            Ok(true)
        }
        Err(error) => Err(format!("error resolving system account: {error}")),
    }
}

struct Desk {
    server: Arc<Server>,
    operators: Operators,
    resolver: Resolver,
    context: Context,
    orders: Arc<Mail<Order>>,
    /// Who it is in the system account, if there is one.
    system: Option<Arc<internal::Client>>,
    subscriptions: Vec<internal::Interest>,
    /// Messages that came while it waited for others.
    backlog: VecDeque<Box<Batch>>,
    /// When accounts have to be looked at, in seconds since the epoch.
    due: BTreeMap<String, i64>,
    next_bootstrap: Option<Instant>,
    next_check: Option<Instant>,
    next_sync: Option<Instant>,
    /// Messages sent with the server's block.
    sequence: u64,
    /// Where answers of synchronisation come.
    pack_inbox: String,
}

/// Starts the desk.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(
    server: &Arc<Server>,
    operators: Operators,
    resolver: Resolver,
    bootstraps: bool,
) -> io::Result<Arc<Mail<Order>>> {
    let inbox = Inbox::new();
    let orders = Arc::new(Mail::new(inbox.clone()));
    let desk_orders = orders.clone();
    let desk_server = server.clone();
    let desk_inbox = inbox.clone();
    internal::spawn(server, "accounts", inbox, move |context| {
        let system = desk_server
            .system_account()
            .map(|account| internal::Client::new(&desk_server, Kind::System, account, &desk_inbox));
        let desk = Desk {
            server: desk_server,
            operators,
            resolver,
            context,
            orders: desk_orders,
            system,
            subscriptions: Vec::new(),
            backlog: VecDeque::new(),
            due: BTreeMap::new(),
            next_bootstrap: bootstraps.then(Instant::now),
            next_check: None,
            next_sync: None,
            sequence: 0,
            pack_inbox: String::new(),
        };
        desk.run();
    })?;
    Ok(orders)
}

fn unix_now() -> i64 {
    Timestamp::now().as_second()
}

impl Desk {
    fn run(mut self) {
        self.watch_present_accounts();
        self.subscribe();
        let now = Instant::now();
        if let Some(directory) = self.resolver.directory() {
            let check = u64::try_from(directory.check_interval()).unwrap_or(1);
            self.next_check = Some(now + Duration::from_secs(check));
            self.next_sync = directory.interval.map(|interval| now + interval);
        }
        loop {
            let wake = if self.backlog.is_empty() {
                self.context.wait(self.deadline())
            } else {
                Wake::Messages
            };
            while let Some(batch) = self.backlog.pop_front().or_else(|| self.context.next_batch()) {
                for message in batch.iter() {
                    self.request(&message);
                }
                self.context.settle(batch);
            }
            for order in self.orders.take() {
                self.obey(order);
            }
            self.tick();
            if wake == Wake::Closed {
                return;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let now = unix_now();
        let due = self.due.values().min().map(|at| {
            let seconds = u64::try_from(at.saturating_sub(now)).unwrap_or(0);
            Instant::now() + Duration::from_secs(seconds)
        });
        let others = [self.next_bootstrap, self.next_check, self.next_sync];
        others.into_iter().flatten().chain(due).min()
    }

    fn tick(&mut self) {
        let (now, instant) = (unix_now(), Instant::now());
        let due: Vec<String> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.look_at(&name, now);
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= instant);
        if is_due(self.next_bootstrap) {
            self.bootstrap(instant);
        }
        if is_due(self.next_check) {
            self.expire_directory(now, instant);
        }
        if is_due(self.next_sync) {
            self.synchronise(instant);
        }
    }

    // ---- time ----

    fn watch_present_accounts(&mut self) {
        for account in self.server.accounts() {
            self.watch(&account);
        }
    }

    /// Notes when the account has to be looked at next.
    fn watch(&mut self, account: &Account) {
        let now = unix_now();
        let expires = account.trust().map_or(0, |trust| trust.expires);
        let own = (expires > now).then_some(expires);
        let activation = next_activation_end(&account.definition(), now);
        match own.into_iter().chain(activation).min() {
            Some(at) => _ = self.due.insert(account.name.clone(), at),
            None => _ = self.due.remove(&account.name),
        }
    }

    /// The time of an account, or of an activation of its, is over.
    fn look_at(&mut self, name: &str, now: i64) {
        self.due.remove(name);
        let Some(account) = self.server.account(name) else { return };
        let expires = account.trust().map_or(0, |trust| trust.expires);
        if expires != 0 && expires <= now {
            self.server.log.debugf(format_args!("Account [{name}] has expired"));
            account.set_expired(true);
            return self.server.tell_account_changed(&account);
        }
        let log = self.server.log.clone();
        let check = ActivationCheck { now, log: &log };
        if self.server.account_registry().relink(&account, &check) {
            self.server.tell_account_changed(&account);
        }
        self.watch(&account);
    }

    /// Tries to get the claims of the system account.
    fn bootstrap(&mut self, now: Instant) {
        self.next_bootstrap = Some(now + BOOTSTRAP_INTERVAL);
        let Some(system) = self.server.system_account().cloned() else { return };
        let done = system.trust().is_some_and(|trust| !trust.token.is_empty());
        if done || self.fetch_and_apply(&system.name).is_ok() {
            self.next_bootstrap = None;
            self.server.log.noticef(format_args!("System account fetched and updated"));
        }
    }

    fn expire_directory(&mut self, now: i64, instant: Instant) {
        let Some(directory) = self.resolver.directory() else { return };
        let check = u64::try_from(directory.check_interval()).unwrap_or(1);
        let gone = directory.expire(now);
        self.next_check = Some(instant + Duration::from_secs(check));
        let _ = gone;
    }

    // ---- orders ----

    fn obey(&mut self, order: Order) {
        match order {
            Order::Fetch { account, done } => done(self.fetch(&account)),
            Order::Reload(preloaded) => self.reload(&preloaded),
        }
    }

    fn reload(&mut self, preloaded: &BTreeMap<String, String>) {
        let now = unix_now();
        if let Err(error) = self.resolver.preload(preloaded, now) {
            self.server.log.errorf(format_args!("{error}"));
        }
        let mut changed = Vec::new();
        if let Resolver::Memory(tokens) = &mut self.resolver {
            tokens.retain(|account, _| preloaded.contains_key(account));
            changed.extend(preloaded.keys().cloned());
            for account in self.server.accounts() {
                if account.trust().is_some() && !preloaded.contains_key(&account.name) {
                    self.forget(&account, "removed");
                }
            }
        }
        if let Some(directory) = self.resolver.directory() {
            match directory.reread(now) {
                Ok(accounts) => changed.extend(accounts),
                Err(error) => self.server.log.errorf(format_args!("{error}")),
            }
        }
        for name in changed {
            if !self.is_loaded(&name) || self.update_from_resolver(&name).is_ok() {
                continue;
            }
            if let Some(account) = self.server.account(&name) {
                self.forget(&account, "bad claims");
            }
        }
    }

    /// The account has no claims any more: nobody is in it until there are new ones.
    fn forget(&mut self, account: &Arc<Account>, why: &str) {
        let name = quote(account.name.as_bytes());
        self.server.log.noticef(format_args!("Reloaded: deleting account [{why}]: {name}"));
        account.clear_trust();
        let log = self.server.log.clone();
        let check = ActivationCheck { now: unix_now(), log: &log };
        let registry = self.server.account_registry();
        let changes = registry.change(account, &check, |_| Definition::default());
        for affected in changes.affected {
            self.server.tell_account_changed(&affected);
        }
        self.due.remove(&account.name);
    }

    fn is_loaded(&self, name: &str) -> bool {
        self.server.account(name).is_some_and(|account| account.trust().is_some())
    }

    // ---- claims ----

    /// Sees to it that an account is there, for a connection of one of its users.
    fn fetch(&mut self, name: &str) -> Result<(), String> {
        let Some(account) = self.server.account(name).filter(|a| a.trust().is_some()) else {
            return self.fetch_and_apply(name);
        };
        if !account.is_expired() {
            return Ok(());
        }
        self.server.log.debugf(format_args!("Requested account [{name}] has expired"));
        let recently = account.updated().elapsed().is_ok_and(|age| age < REFETCH_AFTER);
        if recently || self.fetch_and_apply(name).is_err() {
            return Err("account expired".to_owned());
        }
        Ok(())
    }

    /// Verified claims of an account, from wherever they are.
    fn claims_of(&mut self, name: &str) -> Result<(AccountClaims, String), String> {
        if !nkey::is_public(KeyType::Account, name) {
            return Err("will only fetch valid account keys".to_owned());
        }
        let begun = Instant::now();
        let fetched = match self.resolver.fetch(name, unix_now()) {
            Err(FetchError::NotHere) => self.look_up(name),
            Err(FetchError::Other(error)) => Err(error),
            Ok(token) => Ok(token),
        };
        let took = begun.elapsed();
        let line = format!("Account [{name}] fetch took {}", crate::client::GoDuration(took));
        if took > SLOW_FETCH {
            self.server.log.warnf(format_args!("{line}"));
        } else {
            self.server.log.debugf(format_args!("{line}"));
        }
        let token = fetched.inspect_err(|error| {
            self.server.log.warnf(format_args!("Account fetch failed: {error}"));
        })?;
        let claims = verify(&self.operators, &token, unix_now())?;
        if claims.base.subject != name {
            return Err("account validation failed".to_owned());
        }
        Ok((claims, token))
    }

    /// Fetches an account and those that it imports from, directly or not, and applies them.
    fn fetch_and_apply(&mut self, name: &str) -> Result<(), String> {
        let (claims, token) = self.claims_of(name)?;
        self.apply_with_exporters(claims, token);
        Ok(())
    }

    fn apply_with_exporters(&mut self, claims: AccountClaims, token: String) {
        let mut fetched = vec![(claims, token)];
        let mut next = 0;
        let mut failed: Vec<String> = Vec::new();
        while let Some((claims, _)) = fetched.get(next) {
            next += 1;
            let wanted: Vec<String> = exporters(claims).map(str::to_owned).collect();
            for exporter in wanted {
                let known = fetched.iter().any(|(other, _)| other.base.subject == exporter);
                if known || failed.contains(&exporter) || self.is_loaded(&exporter) {
                    continue;
                }
                match self.claims_of(&exporter) {
                    Ok(found) => fetched.push(found),
                    Err(_) => failed.push(exporter),
                }
            }
        }
        // Those that export come first.
        for (claims, token) in fetched.into_iter().rev() {
            self.apply(&claims, &token);
        }
    }

    fn apply(&mut self, claims: &AccountClaims, token: &str) {
        let server = self.server.clone();
        let account = server.account_registry().get_or_make(&claims.base.subject);
        let cluster = server.options().cluster.name.clone();
        let applier = Applier {
            accounts: server.account_registry(),
            operators: &self.operators,
            log: &server.log,
            cluster: &cluster,
            now: unix_now(),
        };
        for affected in applier.apply(&account, claims, token) {
            server.tell_account_changed(&affected);
        }
        server.expel_over_limit(&account);
        self.watch(&account);
    }

    /// Applies claims to an account that is loaded.
    fn update(&mut self, account: &Arc<Account>, token: &str) -> Result<(), String> {
        if account.trust().is_some_and(|trust| trust.token == token) {
            let name = &account.name;
            self.server.log.debugf(format_args!(
                "Requested account update for [{name}], same claims detected"
            ));
            return Ok(());
        }
        let claims = verify(&self.operators, token, unix_now())?;
        if claims.base.subject != account.name {
            return Err("account validation failed".to_owned());
        }
        self.apply_with_exporters(claims, token.to_owned());
        Ok(())
    }

    fn update_from_resolver(&mut self, name: &str) -> Result<(), String> {
        let Some(account) = self.server.account(name) else { return Ok(()) };
        match self.resolver.fetch(name, unix_now()) {
            Ok(token) => self.update(&account, &token),
            Err(FetchError::NotHere) => Err("account missing".to_owned()),
            Err(FetchError::Other(error)) => Err(error),
        }
    }

    /// The account is deleted: nobody may be in it any more.
    fn disable(&mut self, name: &str) {
        let Some(account) = self.server.account(name) else { return };
        self.server.log.debugf(format_args!("Disable account {name} due to remove"));
        let log = self.server.log.clone();
        let check = ActivationCheck { now: unix_now(), log: &log };
        let changes = self.server.account_registry().change(&account, &check, |account| {
            account.set_limits(AccountLimits {
                max_subscriptions: 0,
                max_payload: 0,
                max_connections: 0,
                max_leafnodes: 0,
            });
            account.set_expired(true);
            Definition {
                stream_imports: Vec::new(),
                service_imports: Vec::new(),
                ..Definition::clone(&account.definition())
            }
        });
        for affected in changes.affected {
            self.server.tell_account_changed(&affected);
        }
        self.due.remove(name);
    }

    // ---- messages ----

    /// Asks the other servers for the claims of an account.
    fn look_up(&mut self, name: &str) -> Result<String, String> {
        let Some(system) = self.system.clone() else {
            return Err("eventing shut down".to_owned());
        };
        let reply = self.inbox_subject();
        let subject = format!("$SYS.REQ.ACCOUNT.{name}.CLAIMS.LOOKUP");
        let interest = system
            .subscribe(reply.as_bytes(), None, requests::LOOKUP_ANSWER)
            .map_err(|e| e.to_string())?;
        let request = Outgoing {
            subject: subject.as_bytes(),
            reply: reply.as_bytes(),
            ..Outgoing::default()
        };
        let asked = self.context.publisher.publish(&system, &request);
        let answer = if asked { self.await_answer(&reply) } else { Ok(Vec::new()) };
        system.unsubscribe(interest);
        let token = String::from_utf8(answer?).unwrap_or_default();
        if token.is_empty() {
            return Err("account jwt not found".to_owned());
        }
        self.resolver.store(name, &token, unix_now())?;
        Ok(token)
    }

    fn await_answer(&mut self, reply: &str) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.resolver.timeout();
        loop {
            match self.context.wait(Some(deadline)) {
                Wake::Closed => return Err("fetching jwt failed due to shutdown".to_owned()),
                Wake::Deadline => return Err("fetching jwt timed out".to_owned()),
                Wake::Messages | Wake::Woken => {}
            }
            let mut answer = None;
            while let Some(batch) = self.context.next_batch() {
                let own = |m: &internal::Received<'_>| m.subject == reply.as_bytes();
                // An empty answer says that one server does not have it; others may.
                let found = batch.iter().find(|m| own(m) && !m.body.is_empty());
                answer = answer.or(found.map(|m| m.body.to_vec()));
                self.backlog.push_back(batch);
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                return Err("fetching jwt timed out".to_owned());
            }
        }
    }

    /// A subject for one answer.
    fn inbox_subject(&self) -> String {
        let random = self.server.random_text(8);
        let hash = crate::identity::node_hash(&self.server.info().server_name);
        format!("$SYS._INBOX.{hash}.{random}")
    }
}

impl Server {
    /// Has an account fetched for a connection, which is told when that is done. `false` if there
    /// is nobody to do it.
    pub fn fetch_account(&self, account: String, client: Arc<ClientShared>) -> bool {
        let done = move |fetched| {
            if let Some(reactor) = client.server.reactor(client.reactor) {
                reactor.send(Message::AccountFetched(client.token(), fetched));
            }
        };
        self.fetch_account_then(account, Box::new(done))
    }

    /// The configuration has been read again: so are the claims that it brings.
    pub fn reload_claims(&self, preloaded: &BTreeMap<String, String>) {
        if let Some(orders) = self.desk() {
            // Closed only when the server ends.
            let _ = orders.send(Order::Reload(preloaded.clone()));
        }
    }

    /// Has an account fetched for somebody else. `false` if there is nobody to do it.
    pub fn fetch_account_then(&self, account: String, done: Done) -> bool {
        let order = Order::Fetch { account, done };
        self.desk().is_some_and(|orders| orders.send(order).is_ok())
    }

    /// Closes the newest connections of an account that are beyond its limit.
    fn expel_over_limit(&self, account: &Account) {
        let Ok(limit) = usize::try_from(account.limits().max_connections) else { return };
        for cid in account.client_ids().into_iter().skip(limit) {
            let Some(client) = self.client(cid) else { continue };
            if let Some(reactor) = self.reactor(client.reactor) {
                let reason = ClosedState::MaxAccountConnectionsExceeded;
                reactor.send(Message::Expel(client.token(), reason, TOO_MANY_CONNECTIONS));
            }
        }
    }
}
