//! The thread that asks authorization services and waits for their answers.

use super::policy::{Policy, Subjected};
use super::request::{Presented, build};
use super::response::{Authority, Expectation, Refusal, judge, no_account, place};
use super::{Outcome, SUBJECT, XKEY_HEADER};
use crate::account::Account;
use crate::client::ClientShared;
use crate::closed::ClosedState;
use crate::config::text::quote;
use crate::delivery::Kind;
use crate::internal::{self, Client, Context, Inbox, Interest, Mail, Outgoing, Received, Wake};
use crate::jwt::UserClaims;
use crate::server::Server;
use crate::worker::Message;
use jiff::Timestamp;
use nkeys::{KeyPair, XKey};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What others ask of the thread.
pub enum Order {
    /// To have a service asked about a connection.
    Ask(Box<Ask>),
    /// The account is there into which the user of that request is put, or the reason why not.
    Fetched(Vec<u8>, Result<(), String>),
}

/// A connection about which a service is to be asked.
pub struct Ask {
    /// The connection.
    pub client: Arc<ClientShared>,
    /// What it sent.
    pub presented: Presented,
    /// Who is asked.
    pub subjected: Subjected,
}

/// The account in which it is, from the side of this thread.
struct Seat {
    client: Arc<Client>,
    _interest: Interest,
}

/// A request that was sent.
struct Pending {
    ask: Box<Ask>,
    account: Arc<Account>,
    user_key: String,
    deadline: Instant,
    /// What was answered, while the account is being fetched into which the user is put.
    placing: Option<(UserClaims, String)>,
}

struct Thread {
    context: Context,
    orders: Arc<Mail<Order>>,
    seats: HashMap<u32, Seat>,
    /// By their reply subjects.
    pending: HashMap<Vec<u8>, Pending>,
}

/// Starts the thread.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(server: &Arc<Server>) -> io::Result<Arc<Mail<Order>>> {
    let inbox = Inbox::new();
    let orders = Arc::new(Mail::new(inbox.clone()));
    let own = orders.clone();
    internal::spawn(server, "callout", inbox, move |context| {
        Thread { context, orders: own, seats: HashMap::new(), pending: HashMap::new() }.run();
    })?;
    Ok(orders)
}

impl Thread {
    fn run(mut self) {
        loop {
            let deadline = self.pending.values().map(|p| p.deadline).min();
            let wake = self.context.wait(deadline);
            while let Some(batch) = self.context.next_batch() {
                for message in batch.iter() {
                    self.answered(&message);
                }
                self.context.settle(batch);
            }
            for order in self.orders.take() {
                match order {
                    Order::Ask(ask) => self.ask(ask),
                    Order::Fetched(reply, fetched) => self.fetched(&reply, fetched),
                }
            }
            self.expire();
            if wake == Wake::Closed {
                return;
            }
        }
    }

    fn server(&self) -> Arc<Server> {
        self.context.server().clone()
    }

    // ---- the question ----

    fn ask(&mut self, ask: Box<Ask>) {
        if ask.client.egress.is_closed() {
            return;
        }
        if let Err((ask, text)) = self.send(ask) {
            self.server().log.warnf(format_args!("{text}"));
            tell(&ask.client, Outcome::Refused(ClosedState::AuthenticationViolation));
        }
    }

    fn send(&mut self, ask: Box<Ask>) -> Result<(), (Box<Ask>, String)> {
        let server = self.server();
        let account = match &ask.subjected.policy {
            Policy::Configured(callout) => match server.account(&callout.account) {
                Some(account) => account,
                None => {
                    let name = quote(&callout.account);
                    let error = "account missing";
                    let text = format!("No valid account {name} for auth callout request: {error}");
                    return Err((ask, text));
                }
            },
            Policy::Account(account, _) => account.clone(),
        };
        let issuer = match &ask.subjected.policy {
            Policy::Configured(callout) => callout.issuer.clone(),
            Policy::Account(account, _) => account.name.clone(),
        };
        let user_key = KeyPair::new_user().public_key();
        let timeout = Duration::from_millis(server.settings().auth_timeout_ms);
        let now = Timestamp::now().as_second();
        let expires = now.saturating_add(i64::try_from(timeout.as_secs()).unwrap_or(0));
        let xkey = ask.subjected.policy.xkey().to_owned();
        let sealed = !xkey.is_empty();
        let request =
            build(&server, &ask.client, &ask.presented, &issuer, &user_key, expires, sealed);
        let failed = |what: &str, e: String| {
            format!("Error {what} auth request claim on account {}: {e}", quote(&account.name))
        };
        let mut body = match request.encode(server.identity.key_pair(), now) {
            Ok(token) => token.into_bytes(),
            Err(e) => return Err((ask, failed("encoding", e))),
        };
        let mut header = Vec::new();
        if sealed {
            let sealed = XKey::from_public_key(&xkey)
                .and_then(|recipient| server.identity.xkey().seal(&body, &recipient));
            match sealed {
                Ok(sealed) => body = sealed,
                Err(e) => return Err((ask, failed("encrypting", e.to_string()))),
            }
            let own = server.identity.xkey_public();
            header = format!("NATS/1.0\r\n{XKEY_HEADER}: {own}\r\n\r\n").into_bytes();
        }
        let Some(seat) = self.seat(&account) else {
            return Err((ask, "Error setting up reply subscription for auth request".to_owned()));
        };
        let reply = self.reply_subject();
        let message = Outgoing {
            subject: SUBJECT.as_bytes(),
            reply: reply.as_bytes(),
            header: &header,
            body: &body,
        };
        // Without a service nobody answers, which ends with the time for it.
        self.context.publisher.publish(&seat, &message);
        let deadline = Instant::now() + timeout;
        let pending = Pending { ask, account, user_key, deadline, placing: None };
        self.pending.insert(reply.into_bytes(), pending);
        Ok(())
    }

    fn seat(&mut self, account: &Arc<Account>) -> Option<Arc<Client>> {
        if let Some(seat) = self.seats.get(&account.id) {
            return Some(seat.client.clone());
        }
        let server = self.server();
        let client = Client::new(&server, Kind::Account, account, self.context.inbox());
        let hash = crate::identity::node_hash(&server.info().server_name);
        let subject = format!("$SYS._INBOX.{hash}.*");
        let interest = client.subscribe(subject.as_bytes(), None, 0).ok()?;
        let seat = Seat { client: client.clone(), _interest: interest };
        self.seats.insert(account.id, seat);
        Some(client)
    }

    fn reply_subject(&self) -> String {
        let server = self.context.server();
        let hash = crate::identity::node_hash(&server.info().server_name);
        format!("$SYS._INBOX.{hash}.{}", server.random_text(8))
    }

    // ---- the answer ----

    fn answered(&mut self, message: &Received<'_>) {
        let Some(pending) = self.pending.get(message.subject) else { return };
        if pending.placing.is_some() {
            // A second answer to the same question.
            return;
        }
        let same = message.account().is_some_and(|account| account.id == pending.account.id);
        if !same {
            return;
        }
        match self.judge(pending, message.body) {
            Err(refusal) => self.refuse(message.subject, &refusal),
            Ok((claims, placement)) => self.place(message.subject, claims, placement),
        }
    }

    fn judge(&self, pending: &Pending, body: &[u8]) -> Result<(UserClaims, String), Refusal> {
        let server = self.context.server();
        let Subjected { policy, proxy_required, trusted_proxy } = &pending.ask.subjected;
        let trust = pending.account.trust().unwrap_or_default();
        let authority = match policy {
            Policy::Configured(callout) => Authority::Issuer(&callout.issuer),
            Policy::Account(_, external) => Authority::Account(&trust, &external.allowed_accounts),
        };
        let info = server.info();
        let expected = Expectation {
            account: &pending.account.name,
            user_key: &pending.user_key,
            server_id: &info.server_id,
            authority,
            proxy_required: *proxy_required,
            trusted_proxy: *trusted_proxy,
            now: Timestamp::now(),
        };
        let open = |sealed: &[u8]| {
            let sender = XKey::from_public_key(policy.xkey()).map_err(|e| e.to_string())?;
            let opened = server.identity.xkey().open(sealed, &sender);
            opened.map_err(|_| "nkeys: could not decrypt input".to_owned())
        };
        let open: Option<super::response::Open<'_>> =
            if policy.xkey().is_empty() { None } else { Some(&open) };
        judge(body, open, &expected).map(|judged| (judged.claims, judged.placement))
    }

    /// Puts the user into the account, which may have to be fetched first.
    fn place(&mut self, reply: &[u8], claims: UserClaims, placement: String) {
        let server = self.server();
        let with_claims = self
            .pending
            .get(reply)
            .is_some_and(|pending| matches!(pending.ask.subjected.policy, Policy::Account(..)));
        let account = server.account(&placement);
        let there = account.as_ref().is_some_and(|account| {
            !with_claims || (account.trust().is_some() && !account.is_expired())
        });
        if !there && with_claims {
            let (orders, key) = (self.orders.clone(), reply.to_vec());
            let done = move |fetched| {
                // A thread that has ended has no connections that wait.
                let _ = orders.send(Order::Fetched(key, fetched));
            };
            if server.fetch_account_then(placement.clone(), Box::new(done)) {
                if let Some(pending) = self.pending.get_mut(reply) {
                    pending.placing = Some((claims, placement));
                }
                return;
            }
        }
        let Some(pending) = self.pending.remove(reply) else { return };
        let placed = match account.filter(|_| there) {
            Some(account) => place(claims, account, Timestamp::now()),
            None => Err(no_account(&placement, &pending.account.name, "account missing")),
        };
        match placed {
            Ok(user) => {
                let name = user.token.as_ref().map(|token| token.name.clone()).unwrap_or_default();
                tell(&pending.ask.client, Outcome::Granted(Arc::new(user), name));
            }
            Err(refusal) => self.say_refused(&pending, &refusal),
        }
    }

    fn fetched(&mut self, reply: &[u8], fetched: Result<(), String>) {
        let placing = self.pending.get_mut(reply).and_then(|pending| pending.placing.take());
        let Some((claims, placement)) = placing else { return };
        match fetched {
            Ok(()) => self.place(reply, claims, placement),
            Err(error) => {
                let Some(pending) = self.pending.remove(reply) else { return };
                let refusal = no_account(&placement, &pending.account.name, &error);
                self.say_refused(&pending, &refusal);
            }
        }
    }

    fn refuse(&mut self, reply: &[u8], refusal: &Refusal) {
        if let Some(pending) = self.pending.remove(reply) {
            self.say_refused(&pending, refusal);
        }
    }

    fn say_refused(&mut self, pending: &Pending, refusal: &Refusal) {
        let server = self.server();
        server.log.warnf(format_args!("{}", refusal.text));
        if let Some(system) = server.system() {
            let Pending { ask, account, .. } = pending;
            system.refused_in_account(&ask.client, account, &refusal.text);
        }
        tell(&pending.ask.client, Outcome::Refused(refusal.state));
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let late: Vec<Vec<u8>> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(reply, _)| reply.clone())
            .collect();
        for reply in late {
            let Some(pending) = self.pending.remove(&reply) else { continue };
            let server = self.server();
            server.log.debugf(format_args!(
                "Authorization callout response not received in time on account {}",
                quote(&pending.account.name)
            ));
            if let Some(system) = server.system() {
                system.refused_in_account(&pending.ask.client, &pending.account, "");
            }
            tell(&pending.ask.client, Outcome::Refused(ClosedState::AuthenticationViolation));
        }
    }
}

fn tell(client: &Arc<ClientShared>, outcome: Outcome) {
    if let Some(reactor) = client.server.reactor(client.reactor) {
        reactor.send(Message::CalloutAnswered(client.token(), Box::new(outcome)));
    }
}
