//! The system account's events and services (spec 04 §4 to §6).
//!
//! * [`events`]: what is published, as JSON structures;
//! * [`requests`]: what is asked, decoded and filtered;
//! * [`services`]: the answers, most of them the documents of [`crate::monitor`];
//! * [`encoding`]: compressed answers;
//! * [`stats`]: the server's own statistics, and when they are sent;
//! * [`thread`]: the thread that owns all of this.
//!
//! [`System`] is the other threads' side: they leave what has happened, and go on. Nothing is built
//! for an event that nobody has subscribed to.
//!
//! Where this differs from the reference: after the event of lame duck mode it sends nothing more.
//! Here connections that end are still told of, services still answer and the shutdown is still
//! announced; only what would make other servers think that this one is back is left out.

pub mod encoding;
pub mod events;
pub mod requests;
pub mod services;
pub mod stats;
mod thread;
mod user_info;

use crate::account::{Account, GLOBAL_ACCOUNT};
use crate::client::ClientShared;
use crate::closed::ClosedState;
use crate::internal::{Client, Inbox};
use crate::monitor::accstatz::AccountStat;
use crate::server::Server;
use crate::subscription::{Destination, Subscription};
use ::sublist::Matches;
use events::{ClientInfo, Ended};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// Events that wait for the thread; more are dropped and counted. It takes them faster than
/// connections can come and go, unless it is kept from running.
const MAX_WAITING: usize = 1 << 17;
/// How long a shutdown waits for its announcement to be sent.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);

/// Something that has happened.
pub(crate) enum Order {
    /// A client was let in.
    Connected(Box<ClientInfo>),
    /// A client connection ended.
    Disconnected(Box<Ended>),
    /// A client was refused.
    AuthError(Box<Ended>),
    /// A client was refused, which its account hears.
    AccountAuthError(Box<Ended>, Arc<Account>),
    /// An account's connections have changed.
    Connections(Box<AccountStat>),
    /// Send the server's statistics.
    Statsz,
    /// Clients are being sent away.
    LameDuck,
    /// A profile is done.
    Profiled(Box<Profiled>),
    /// Announce the end; the sender is dropped when that is done.
    Shutdown(mpsc::Sender<()>),
}

/// What came of a request for a profile.
pub(crate) struct Profiled {
    /// Where the answer goes.
    pub reply: Vec<u8>,
    /// The header of the request.
    pub header: Vec<u8>,
    /// The profile, or the text of what went wrong.
    pub outcome: Result<Vec<u8>, String>,
}

/// The system account as the other threads see it.
pub struct System {
    client: Arc<Client>,
    inbox: Arc<Inbox>,
    waiting: Mutex<Vec<Order>>,
    dropped: AtomicU64,
    /// Messages stamped so far.
    seq: AtomicU64,
    ended: AtomicBool,
}

impl System {
    /// Starts events and services, if there is a system account.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(server: &Arc<Server>) -> io::Result<Option<Arc<System>>> {
        let Some(account) = server.system_account() else { return Ok(None) };
        let inbox = Inbox::new();
        let system = Arc::new(System {
            client: Client::new(server, crate::delivery::Kind::System, account, &inbox),
            inbox: inbox.clone(),
            waiting: Mutex::default(),
            dropped: AtomicU64::new(0),
            // The first message has number 2, as in the reference.
            seq: AtomicU64::new(1),
            ended: AtomicBool::new(false),
        });
        let own = system.clone();
        // Subscriptions are there when the server is ready, not some time later.
        let interests = services::subscribe(server, &system.client);
        crate::internal::spawn(server, "system", inbox, move |context| {
            thread::run(context, &own, interests);
        })?;
        Ok(Some(system))
    }

    /// Who publishes in the system account.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The number of the next message that is stamped.
    pub fn next_seq(&self) -> u64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Events that were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn leave(&self, order: Order) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= MAX_WAITING {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            waiting.push(order);
        }
        self.inbox.wake();
    }

    /// Events that wait for the thread.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Whether anybody but this server itself has subscribed to that.
    pub(crate) fn is_heard(&self, subject: &str) -> bool {
        let mut matches = Matches::<Arc<Subscription>>::new();
        self.client.account().sublist.match_into(subject.as_bytes(), &mut matches);
        let other = |s: &Arc<Subscription>| match &s.to {
            Destination::Internal(endpoint) => endpoint.client.id() != self.client.id(),
            _ => true,
        };
        matches.plain().iter().any(other) || !matches.queues().is_empty()
    }

    /// A client was let in, or looked at anew by a reload.
    pub fn connected(&self, client: &ClientShared, account: &Account) {
        if self.is_heard(&events::connect_subject(&account.name)) {
            self.leave(Order::Connected(Box::new(ClientInfo::of(client, account))));
        }
    }

    /// A client connection has ended.
    pub fn disconnected(&self, client: &ClientShared, account: &Account, reason: ClosedState) {
        if self.is_heard(&events::disconnect_subject(&account.name)) {
            let ended = Ended::now(client, account, reason, SystemTime::now());
            self.leave(Order::Disconnected(Box::new(ended)));
        }
    }

    /// A client was refused.
    pub fn refused(
        &self,
        server: &Server,
        client: &ClientShared,
        account: &Account,
        reason: ClosedState,
    ) {
        if self.is_heard(&events::auth_error_subject(&server.info().server_id)) {
            let ended = Ended::now(client, account, reason, SystemTime::now());
            self.leave(Order::AuthError(Box::new(ended)));
        }
    }

    /// A client was refused for that reason: its account hears of it.
    pub fn refused_in_account(&self, client: &ClientShared, account: &Arc<Account>, reason: &str) {
        if account.sublist.has_interest(events::ACCOUNT_AUTH_ERROR_SUBJECT.as_bytes()) {
            let state = ClosedState::AuthenticationViolation;
            let ended = Ended::now(client, account, state, SystemTime::now()).because(reason);
            self.leave(Order::AccountAuthError(Box::new(ended), account.clone()));
        }
    }

    /// The number of an account's connections has changed.
    pub fn connections_changed(&self, account: &Account) {
        if account.name == GLOBAL_ACCOUNT {
            return;
        }
        let subjects = events::connections_subjects(&account.name);
        if subjects.iter().any(|subject| self.is_heard(subject)) {
            self.leave(Order::Connections(Box::new(AccountStat::of(account))));
        }
    }

    /// Tags, metadata or JetStream have changed.
    pub fn send_stats(&self) {
        self.leave(Order::Statsz);
    }

    /// Lame duck mode begins.
    pub fn lame_duck(&self) {
        self.leave(Order::LameDuck);
    }

    /// Announces the end; returns when that has been handed over to those who listen, or when it
    /// takes too long. Nothing that happens from then on is told.
    pub fn shut_down(&self) {
        let (done, all_done) = mpsc::channel();
        self.leave(Order::Shutdown(done));
        self.ended.store(true, Ordering::Relaxed);
        // Its other end is dropped without a word; only the waiting counts.
        let _ = all_done.recv_timeout(SHUTDOWN_WAIT);
    }
}
