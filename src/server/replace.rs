//! What a reload replaces in the server, and how the connections come to know (spec 02 §11.6).

use super::{Info, Server, Settings};
use crate::account::Account;
use crate::advertise::parse_host_port;
use crate::auth::Authenticator;
use crate::config::options::Options;
use crate::tls::ServerTls;
use crate::worker::Message;
use parking_lot::MutexGuard;
use parser::quote::quoted;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::SystemTime;

/// What comes in the place of what a server has.
pub struct Replacement {
    /// The options, with their baseline set and validated.
    pub options: Arc<Options>,
    /// TLS for the handshakes to come.
    pub tls: Option<Arc<ServerTls>>,
    /// Who may connect.
    pub authenticator: Arc<Authenticator>,
}

/// What a reload says to the connections.
pub struct Reloaded {
    /// The keys of proxies that are trusted no longer.
    pub untrusted_proxies: Vec<String>,
}

impl Server {
    /// Waits for its turn to reload.
    pub fn begin_reload(&self) -> MutexGuard<'_, ()> {
        self.reloading.lock()
    }

    /// Replaces options and all that follows from them, for connections to come.
    pub fn replace(&self, new: Replacement) {
        let options = new.options;
        *self.settings.write() = Arc::new(Settings::from_options(&options));
        let required = new.authenticator.required();
        *self.authenticator.write() = new.authenticator;
        self.replace_tls(new.tls);
        {
            let mut info = self.info.write();
            let mut changed = Info::clone(&info);
            changed.auth_required = required;
            changed.max_payload = options.max_payload;
            let port = self.address.get().map_or(0, |a| a.port());
            (changed.host, changed.port) = (options.host.clone(), port);
            // The address was checked when the options were compared.
            if !options.client_advertise.is_empty()
                && let Ok(advertised) = parse_host_port(&options.client_advertise, port)
            {
                (changed.host, changed.port) = advertised;
            }
            *info = Arc::new(changed);
        }
        *self.options.write() = options;
    }

    /// The options in force were loaded then.
    pub fn set_configured(&self, at: SystemTime) {
        *self.configured.write() = at;
    }

    /// The account of that name, or the global one.
    pub fn account_or_global(&self, name: Option<&str>) -> Arc<Account> {
        let found = name.and_then(|name| self.account(name));
        found.unwrap_or_else(|| self.global_account().clone())
    }

    /// Makes the accounts those of the options.
    ///
    /// # Errors
    /// The text for the operator; nothing has changed then.
    pub fn configure_accounts(&self, options: &Options) -> Result<(), String> {
        let changes = self.accounts.configure(options)?;
        for unlinked in changes.unlinked {
            let (kind, subject) = (unlinked.kind.name(), quoted(&unlinked.subject));
            let reason = unlinked.reason;
            self.log.errorf(format_args!("Error adding {kind} import {subject}: {reason}"));
        }
        Ok(())
    }

    /// The user that was added for clients without credentials.
    pub fn internal_user(&self) -> Option<&str> {
        self.accounts.internal_user()
    }

    /// Closes as many connections, chosen at random, as there are beyond the limit. Returns how
    /// many.
    pub fn close_over_limit(&self, limit: i64) -> usize {
        let mut clients = self.clients();
        let over = clients.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for _ in 0..over {
            let at = self.random_below(clients.len() as u64) as usize;
            let client = clients.swap_remove(at);
            if let Some(reactor) = self.reactor(client.reactor) {
                reactor.send(Message::Refuse(client.token()));
            }
        }
        over
    }

    /// Has every connection looked at with the new options; returns when that has been done.
    pub fn reload_connections(&self, reloaded: Reloaded) {
        let reloaded = Arc::new(reloaded);
        let (done, all_done) = mpsc::channel();
        for sender in self.senders.get().into_iter().flatten() {
            sender.send(Message::Reloaded(reloaded.clone(), done.clone()));
        }
        drop(done);
        // Each reactor drops its end when it is done, or when it is gone.
        while all_done.recv().is_ok() {}
    }
}
