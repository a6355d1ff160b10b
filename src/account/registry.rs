//! The accounts of a server by name, as its configuration asks for them (spec 03 §2.3 and §13).
//!
//! The global account always exists. The system account is the configured one, or one named
//! `$SYS`, or made up unless that is switched off.

use super::expiry::Expiry;
use super::linking::{Activations, Linked, NoActivations, Unlinked, link};
use super::{Account, AccountLimits, DIGITS, Definition, GLOBAL_ACCOUNT, Mappings, SYSTEM_ACCOUNT};
use crate::config::options::Options;
use crate::config::options::account as configured;
use crate::message_trace::AccountDestination;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The accounts of a server.
pub struct Accounts {
    by_name: RwLock<BTreeMap<String, Arc<Account>>>,
    global: Arc<Account>,
    system: Option<Arc<Account>>,
    internal_user: Option<String>,
    expiry: Arc<Expiry>,
    cache: bool,
    /// Held while accounts are changed and linked: the only lock under which others are taken.
    changing: Mutex<()>,
}

/// What came of a change of accounts.
#[derive(Default)]
pub struct Changes {
    /// Accounts whose limits or stream imports may be others now: their connections have to be told.
    pub affected: Vec<Arc<Account>>,
    /// Accounts that are there no more; their connections have to be closed.
    pub removed: Vec<Arc<Account>>,
    /// Imports that could not be made.
    pub unlinked: Vec<Unlinked>,
}

impl Accounts {
    /// From options whose baseline is set. `random` makes the name of a user, where the server has
    /// to add one.
    ///
    /// # Errors
    /// The text to print when the system account is not there, or mappings or imports cannot be
    /// made.
    pub fn new(o: &Options, mut random: u64) -> Result<Accounts, String> {
        let cache = !o.no_sublist_cache;
        let expiry = Arc::new(Expiry::default());
        let mut by_name = BTreeMap::new();
        let empty = |name: &str| {
            let mut made = Account::new(name, AccountLimits::default(), cache);
            made.expiry = expiry.clone();
            Arc::new(made)
        };
        // Of several entries of one name the last is meant, but there is only one `$G`.
        for account in &o.accounts {
            by_name.entry(account.name.clone()).or_insert_with(|| empty(&account.name));
        }
        let global = by_name.entry(GLOBAL_ACCOUNT.to_owned());
        let global = global.or_insert_with(|| empty(GLOBAL_ACCOUNT)).clone();
        let name = match o.system_account.as_str() {
            "" if by_name.contains_key(SYSTEM_ACCOUNT) => Some(SYSTEM_ACCOUNT),
            "" => None,
            name => Some(name),
        };
        let with_operators = !o.trusted_keys.is_empty() || !o.operators.is_empty();
        let mut internal_user = None;
        let system = match name {
            // Its claims are fetched when the server starts.
            Some(name) if with_operators => {
                Some(by_name.entry(name.to_owned()).or_insert_with(|| empty(name)).clone())
            }
            Some(name) => {
                let account = by_name.get(name).cloned();
                let account = account.ok_or("error resolving system account: account missing")?;
                // With nothing but a system account configured, clients must still be able to
                // connect without credentials.
                let alone = by_name.len() == 2;
                if alone && o.no_auth_user.is_empty() && !o.authorization_defined {
                    let letters = std::iter::repeat_with(|| {
                        let digit = DIGITS[(random % 62) as usize];
                        random /= 62;
                        char::from(digit)
                    });
                    internal_user = Some(format!("nats-{}", letters.take(8).collect::<String>()));
                }
                Some(account)
            }
            None if o.no_system_account || with_operators => None,
            None => Some(
                by_name
                    .entry(SYSTEM_ACCOUNT.to_owned())
                    .or_insert_with(|| empty(SYSTEM_ACCOUNT))
                    .clone(),
            ),
        };
        let accounts = Accounts {
            by_name: RwLock::new(by_name),
            global,
            system,
            internal_user,
            expiry,
            cache,
            changing: Mutex::new(()),
        };
        if let Some(unlinked) = accounts.configure(o)?.unlinked.first() {
            let Unlinked { kind, subject, reason, .. } = unlinked;
            let kind = kind.name();
            return Err(format!("Error adding {kind} import {subject:?}: {reason}"));
        }
        Ok(accounts)
    }

    /// Makes the accounts those of the options: adds, changes and removes. Accounts that stay keep
    /// their subscriptions, and imports that stay are not interrupted. In operator mode, where
    /// accounts are not configured, nothing is removed.
    ///
    /// # Errors
    /// The text to print where mappings cannot be made; nothing has changed then.
    pub fn configure(&self, o: &Options) -> Result<Changes, String> {
        let _changing = self.changing.lock();
        let mut mappings = Vec::new();
        for account in &o.accounts {
            mappings.push(Mappings::new(&account.mappings, &o.cluster.name)?);
        }
        let mut changes = Changes::default();
        let names: BTreeSet<&str> = o.accounts.iter().map(|a| a.name.as_str()).collect();
        let exists = |name: &str| names.contains(name) || name == GLOBAL_ACCOUNT;
        for (account, mappings) in o.accounts.iter().zip(mappings) {
            let made = self.get_or_make(&account.name);
            made.set_limits(limits(account.limits));
            made.set_trace_destination(AccountDestination {
                subject: account.trace_destination.clone(),
                sampling: account.trace_sampling,
            });
            made.set_mappings(mappings);
            made.set_definition(self.complete(&account.name, Definition::of(account, exists)));
            made.touch();
        }
        let with_operators = !o.trusted_keys.is_empty() || !o.operators.is_empty();
        for account in self.all() {
            if names.contains(account.name.as_str()) || account.trust().is_some() {
                continue;
            }
            let permanent = with_operators
                || account.id == self.global.id
                || self.system.as_ref().is_some_and(|system| system.id == account.id);
            let nothing = Definition::default();
            account.set_definition(if permanent {
                self.complete(&account.name, nothing)
            } else {
                nothing
            });
            account.set_limits(AccountLimits::default());
            account.set_trace_destination(AccountDestination::default());
            account.set_mappings(None);
            if !permanent {
                self.by_name.write().remove(&account.name);
                changes.removed.push(account);
            }
        }
        for account in &changes.removed {
            self.link(account, &NoActivations);
        }
        for account in self.all() {
            // What claims say is not for the configuration to change.
            if account.trust().is_some() {
                continue;
            }
            changes.unlinked.extend(self.link(&account, &NoActivations).unlinked);
            changes.affected.push(account);
        }
        Ok(changes)
    }

    /// With what the system account is for, if there is one.
    fn complete(&self, name: &str, mut definition: Definition) -> Definition {
        if let Some(system) = &self.system {
            definition.add_system(name, &system.name);
        }
        definition
    }

    /// Changes one account under the lock of changes: `edit` replaces what it states; then its own
    /// imports, and those of accounts that import from it, are made anew.
    pub fn change(
        &self,
        account: &Arc<Account>,
        activations: &dyn Activations,
        edit: impl FnOnce(&Arc<Account>) -> Definition,
    ) -> Changes {
        let _changing = self.changing.lock();
        account.set_definition(self.complete(&account.name, edit(account)));
        account.touch();
        let mut changes = Changes {
            unlinked: self.link(account, activations).unlinked,
            affected: vec![account.clone()],
            removed: Vec::new(),
        };
        for other in self.all() {
            let imports = other.definition().exporters().any(|name| name == account.name);
            if other.id == account.id || !imports {
                continue;
            }
            let linked = self.link(&other, activations);
            changes.unlinked.extend(linked.unlinked);
            if linked.streams_changed {
                changes.affected.push(other);
            }
        }
        changes
    }

    /// Makes the imports of an account anew, where the time or somebody else's terms may have
    /// changed what it may import. Tells whether its connections have to be told.
    pub fn relink(&self, account: &Arc<Account>, activations: &dyn Activations) -> bool {
        let _changing = self.changing.lock();
        self.link(account, activations).streams_changed
    }

    fn link(&self, account: &Arc<Account>, activations: &dyn Activations) -> Linked {
        link(account, &|name| self.get(name), activations)
    }

    /// The account of that name, which is made if there is none.
    pub fn get_or_make(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.get(name) {
            return account;
        }
        let mut by_name = self.by_name.write();
        let made = by_name.entry(name.to_owned()).or_insert_with(|| {
            let mut made = Account::new(name, AccountLimits::default(), self.cache);
            made.expiry = self.expiry.clone();
            Arc::new(made)
        });
        made.clone()
    }

    /// When answers of services are forgotten.
    pub fn expiry(&self) -> &Arc<Expiry> {
        &self.expiry
    }

    /// The account of connections that are in no other.
    pub fn global(&self) -> &Arc<Account> {
        &self.global
    }

    /// The system account, unless there is none.
    pub fn system(&self) -> Option<&Arc<Account>> {
        self.system.as_ref()
    }

    /// The account of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Account>> {
        self.by_name.read().get(name).cloned()
    }

    /// All accounts, by name.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.by_name.read().values().cloned().collect()
    }

    /// The user that was added for clients without credentials, see spec 03 §2.3.
    pub fn internal_user(&self) -> Option<&str> {
        self.internal_user.as_deref()
    }
}

fn limits(configured: configured::AccountLimits) -> AccountLimits {
    AccountLimits {
        max_subscriptions: i64::from(configured.max_subscriptions),
        max_payload: i64::from(configured.max_payload),
        max_connections: i64::from(configured.max_connections),
        max_leafnodes: i64::from(configured.max_leafnodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::account::AccountOptions;

    fn options(names: &[&str]) -> Options {
        let accounts = names.iter().map(|&name| AccountOptions::new(name)).collect();
        Options { accounts, ..Options::with_defaults() }
    }

    fn names(accounts: &Accounts) -> Vec<String> {
        accounts.all().iter().map(|a| a.name.clone()).collect()
    }

    fn system(accounts: &Accounts) -> Option<&str> {
        accounts.system().map(|a| a.name.as_str())
    }

    #[test]
    fn a_server_without_accounts_has_the_global_and_the_system_account() {
        let accounts = Accounts::new(&options(&[]), 1).unwrap();
        assert_eq!(names(&accounts), ["$G", "$SYS"]);
        assert_eq!(system(&accounts), Some("$SYS"));
        assert_eq!(accounts.internal_user(), None);
    }

    #[test]
    fn the_system_account_is_the_configured_one() {
        let mut o = options(&["A", "B"]);
        o.system_account = "B".to_owned();
        let accounts = Accounts::new(&o, 1).unwrap();
        assert_eq!(names(&accounts), ["$G", "A", "B"]);
        assert_eq!(system(&accounts), Some("B"));
        o.system_account = "C".to_owned();
        let error = Accounts::new(&o, 1).err();
        assert_eq!(error.as_deref(), Some("error resolving system account: account missing"));
    }

    #[test]
    fn an_account_with_the_default_name_is_the_system_account() {
        let accounts = Accounts::new(&options(&["$SYS", "A"]), 1).unwrap();
        assert_eq!(system(&accounts), Some("$SYS"));
        assert_eq!(names(&accounts), ["$G", "$SYS", "A"]);
    }

    #[test]
    fn caching_of_matches_can_be_switched_off_in_all_accounts() {
        let mut o = options(&["A", "B"]);
        let accounts = Accounts::new(&o, 1).unwrap();
        assert!(accounts.all().iter().all(|account| account.sublist.cache_enabled()));
        o.no_sublist_cache = true;
        let accounts = Accounts::new(&o, 1).unwrap();
        assert!(!accounts.all().iter().any(|account| account.sublist.cache_enabled()));
    }

    #[test]
    fn the_system_account_can_be_switched_off() {
        let o = Options { no_system_account: true, ..options(&["A"]) };
        let accounts = Accounts::new(&o, 1).unwrap();
        assert_eq!(names(&accounts), ["$G", "A"]);
        assert_eq!(system(&accounts), None);
    }

    #[test]
    fn a_system_account_alone_gets_a_user_for_clients_without_credentials() {
        let user = |o: &Options| Accounts::new(o, 0x1234_5678_9abc).unwrap().internal_user;
        let name = user(&options(&["$SYS"])).expect("a user");
        assert!(name.starts_with("nats-") && name.len() == 13, "{name}");
        let named = Options { system_account: "S".to_owned(), ..options(&["S"]) };
        assert!(user(&named).is_some());
        assert!(user(&options(&["$SYS", "A"])).is_none(), "another account");
        let other = Options { no_auth_user: "u".to_owned(), ..options(&["$SYS"]) };
        assert!(user(&other).is_none(), "a user is configured");
        let block = Options { authorization_defined: true, ..options(&["$SYS"]) };
        assert!(user(&block).is_none(), "an authorization block");
    }
}
