//! The engine's outside: the server's accounts, reached through the worker's publisher.

use crate::account::Account;
use crate::delivery::Kind;
use crate::internal::{Client, Inbox, Interest, Outgoing as Message, Publisher, Watch};
use crate::server::Server;
use ahash::RandomState;
use jetstream::api::subjects::is_direct;
use jetstream::server::{ClientId, Level, Outgoing, Outside, Target};
use std::collections::HashMap;
use std::sync::Arc;

type Map<K, V> = HashMap<K, V, RandomState>;

/// What the engine has asked for so far.
pub(super) struct Subscriptions {
    inbox: Arc<Inbox>,
    accounts: Map<String, Arc<Account>>,
    clients: Map<(String, ClientId), Arc<Client>>,
    system: Option<Arc<Client>>,
    /// The tags subscriptions have in the inbox, never used twice.
    last_tag: u64,
    tags: Map<Target, u64>,
    targets: Map<u64, Target>,
    held: Map<Target, Vec<(String, Arc<Client>, Interest)>>,
    /// The watches of consumers, with their accounts.
    watches: Map<u64, (Arc<Account>, Arc<Watch>)>,
    /// The client that sent last: most messages come from the same one.
    last_sender: Option<(String, ClientId, Arc<Client>)>,
}

impl Subscriptions {
    pub fn new(server: &Server, inbox: &Arc<Inbox>) -> Subscriptions {
        let system = server.system_account();
        Subscriptions {
            inbox: inbox.clone(),
            accounts: server.accounts().into_iter().map(|a| (a.name.clone(), a)).collect(),
            clients: Map::default(),
            system: system.map(|account| Client::new(server, Kind::System, account, inbox)),
            last_tag: 0,
            tags: Map::default(),
            targets: Map::default(),
            held: Map::default(),
            watches: Map::default(),
            last_sender: None,
        }
    }

    /// What a message with that tag is for.
    pub fn target(&self, tag: u64) -> Option<Target> {
        self.targets.get(&tag).copied()
    }

    fn tag(&mut self, target: Target) -> u64 {
        if let Some(tag) = self.tags.get(&target) {
            return *tag;
        }
        self.last_tag += 1;
        self.tags.insert(target, self.last_tag);
        self.targets.insert(self.last_tag, target);
        self.last_tag
    }

    fn client(&mut self, server: &Server, account: &str, id: ClientId) -> Option<Arc<Client>> {
        if let Some((name, last, client)) = &self.last_sender
            && *last == id
            && name == account
        {
            return Some(client.clone());
        }
        let key = (account.to_owned(), id);
        let client = match self.clients.get(&key) {
            Some(client) => client.clone(),
            None => {
                let found = self.accounts.get(account)?;
                let kind = if id == ClientId::API { Kind::System } else { Kind::JetStream };
                let client = Client::new(server, kind, found, &self.inbox);
                self.clients.insert(key, client.clone());
                client
            }
        };
        self.last_sender = Some((account.to_owned(), id, client.clone()));
        Some(client)
    }

    fn forget(&mut self, target: Target) {
        if let Some(tag) = self.tags.remove(&target) {
            self.targets.remove(&tag);
        }
        if let Target::Publish(stream) = target {
            // The stream is gone, and with it who it was.
            self.clients.retain(|(_, id), _| *id != ClientId(stream));
            self.last_sender = None;
        }
    }
}

/// The outside during one call of the engine.
pub(super) struct Driver<'a> {
    pub subscriptions: &'a mut Subscriptions,
    pub publisher: &'a mut Publisher,
}

impl Outside for Driver<'_> {
    fn send(&mut self, account: &str, from: ClientId, message: Outgoing<'_>) {
        let server = self.publisher.server().clone();
        let Some(client) = self.subscriptions.client(&server, account, from) else { return };
        let sent = Message {
            subject: message.subject,
            reply: message.reply,
            header: message.header,
            body: message.payload,
        };
        if message.to == message.subject {
            self.publisher.publish(&client, &sent);
        } else {
            self.publisher.publish_by(&client, message.to, &sent);
        }
    }

    fn send_system(&mut self, subject: &str, payload: &[u8]) {
        let Some(client) = &self.subscriptions.system else { return };
        let message = Message { subject: subject.as_bytes(), body: payload, ..Message::default() };
        self.publisher.publish(client, &message);
    }

    fn has_interest(&self, account: &str, subject: &[u8]) -> bool {
        let found = self.subscriptions.accounts.get(account);
        found.is_some_and(|account| account.sublist.has_interest(subject))
    }

    fn subscribe(
        &mut self,
        account: &str,
        from: ClientId,
        subject: &str,
        queue: Option<&str>,
        target: Target,
    ) {
        let server = self.publisher.server().clone();
        let subscriptions = &mut *self.subscriptions;
        let Some(client) = subscriptions.client(&server, account, from) else { return };
        let tag = subscriptions.tag(target);
        // Requests that only a stream or consumer answers find no responder without it.
        let refuses = (target == Target::Api).then_some(is_direct as fn(&[u8]) -> bool);
        let queue = queue.map(str::as_bytes);
        match client.subscribe_except(subject.as_bytes(), queue, tag, refuses) {
            Ok(interest) => {
                let held = subscriptions.held.entry(target).or_default();
                held.push((subject.to_owned(), client, interest));
            }
            Err(error) => server
                .log
                .errorf(format_args!("JetStream could not subscribe to {subject:?}: {error}")),
        }
    }

    fn unsubscribe(&mut self, subject: &str, target: Target) {
        let Some(held) = self.subscriptions.held.get_mut(&target) else { return };
        if let Some(at) = held.iter().position(|(known, ..)| known == subject) {
            let (_, client, interest) = held.swap_remove(at);
            client.unsubscribe(interest);
        }
    }

    fn unsubscribe_all(&mut self, target: Target) {
        for (_, client, interest) in self.subscriptions.held.remove(&target).unwrap_or_default() {
            client.unsubscribe(interest);
        }
        self.subscriptions.forget(target);
    }

    fn watch(&mut self, account: &str, subject: Option<&str>, consumer: u64) {
        let subscriptions = &mut *self.subscriptions;
        if let Some((account, watch)) = subscriptions.watches.remove(&consumer) {
            subscriptions.inbox.unwatch(&account, &watch);
        }
        let Some(subject) = subject else { return };
        let Some(account) = subscriptions.accounts.get(account) else { return };
        // A deliver subject is literal, which was checked.
        if let Ok(watch) = subscriptions.inbox.watch(account, subject.as_bytes(), consumer) {
            subscriptions.watches.insert(consumer, (account.clone(), watch));
        }
    }

    fn log(&mut self, level: Level, text: &str) {
        let log = &self.publisher.server().log;
        match level {
            Level::Debug => log.debugf(format_args!("{text}")),
            Level::Info => log.noticef(format_args!("{text}")),
            Level::Warn => log.warnf(format_args!("{text}")),
            Level::Error => log.errorf(format_args!("{text}")),
        }
    }
}
