//! The thread that speaks for the system account: events in the order in which they were left,
//! answers in the order of the requests, statistics when they are due.

use super::events::{
    ACCOUNT_AUTH_ERROR_SUBJECT, ConnectEvent, ConnectionsEvent, DisconnectEvent, ServerInfo,
    accounts_in_use, auth_error_subject, connect_subject, connections_subjects, disconnect_subject,
    server_subject,
};
use super::services;
use super::stats::Schedule;
use super::{Order, Profiled, System};
use crate::identity::nuid::Nuid;
use crate::internal::{Context, Interest, Outgoing, Received, Wake};
use crate::json;
use crate::monitor::accstatz::AccountStat;
use crate::profile::CpuProfile;
use crate::server::Server;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often an account's connections are told although nothing has changed.
const CONNECTIONS_INTERVAL: Duration = Duration::from_secs(30);

/// What the thread needs to say something.
pub(super) struct Speaker<'a> {
    context: &'a mut Context,
    system: &'a Arc<System>,
    ids: Nuid,
    /// When statistics are due.
    pub schedule: Schedule,
    /// Other servers were told that this one goes.
    leaving: bool,
}

impl Speaker<'_> {
    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        self.context.server()
    }

    /// The `server` block of the next message.
    pub fn stamp(&mut self) -> ServerInfo {
        ServerInfo::stamp(self.context.server(), self.system.next_seq())
    }

    /// The id of the next event.
    pub fn next_id(&mut self) -> String {
        self.ids.next_id()
    }

    /// Publishes in the system account.
    pub fn send(&mut self, subject: &[u8], body: &[u8]) {
        self.send_with(subject, b"", body);
    }

    /// The same with a header.
    pub fn send_with(&mut self, subject: &[u8], header: &[u8], body: &[u8]) {
        let message = Outgoing { subject, header, body, ..Outgoing::default() };
        self.context.publisher.publish(self.system.client(), &message);
    }

    fn event(&mut self, subject: &str, event: &impl Serialize) {
        // Plain structures in memory always serialise.
        let body = json::to_vec(event).unwrap_or_default();
        self.send(subject.as_bytes(), &body);
    }

    /// Sends the statistics to that subject.
    pub fn send_stats(&mut self, subject: &[u8]) {
        let body = services::stats_body(self);
        self.send(subject, &body);
    }

    /// Sends the statistics to all who listen, unless that was done just now.
    pub fn broadcast_stats(&mut self) {
        if self.leaving || !self.schedule.admits(Instant::now()) {
            return;
        }
        let subject = server_subject(&self.server().info().server_id, "STATSZ");
        if self.system.is_heard(&subject) {
            self.send_stats(subject.as_bytes());
        }
    }

    fn tell_connections(&mut self, stat: AccountStat) {
        let name = stat.account().to_owned();
        let (id, stamp) = (self.next_id(), self.stamp());
        let mut event = ConnectionsEvent::new(id, stamp, stat);
        for (at, subject) in connections_subjects(&name).iter().enumerate() {
            if at > 0 {
                event = event.stamped(self.stamp());
            }
            self.event(subject, &event);
        }
    }

    /// Starts a profile of the processor; its answer comes when `duration` has passed.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn profile(&mut self, message: &Received<'_>, duration: Duration) -> io::Result<()> {
        let (reply, header) = (message.reply.to_vec(), message.header.to_vec());
        let system = self.system.clone();
        let make = move || match CpuProfile::start() {
            Err(text) => Err(format!("Failed to start CPU profile: {text}")),
            Ok(profile) => {
                std::thread::sleep(duration);
                profile.finish()
            }
        };
        let thread = std::thread::Builder::new().name("profile".to_owned());
        thread.spawn(move || {
            let done = Profiled { reply, header, outcome: make() };
            system.leave(Order::Profiled(Box::new(done)));
        })?;
        Ok(())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Connected(client) => {
                let subject = connect_subject(&client.acc);
                let event = ConnectEvent::new(self.next_id(), self.stamp(), *client);
                self.event(&subject, &event);
            }
            Order::Disconnected(ended) => {
                let subject = disconnect_subject(&ended.client.acc);
                let event = DisconnectEvent::ended(self.next_id(), self.stamp(), *ended);
                self.event(&subject, &event);
            }
            Order::AuthError(ended) => {
                let subject = auth_error_subject(&self.server().info().server_id);
                let event = DisconnectEvent::refused(self.next_id(), self.stamp(), *ended);
                self.event(&subject, &event);
            }
            Order::AccountAuthError(ended, account) => {
                let event = DisconnectEvent::refused(self.next_id(), self.stamp(), *ended);
                // Plain structures in memory always serialise.
                let body = json::to_vec(&event).unwrap_or_default();
                let subject = ACCOUNT_AUTH_ERROR_SUBJECT.as_bytes();
                let message = Outgoing { subject, reply: b"", header: b"", body: &body };
                let origin = self.system.client().origin();
                self.context.publisher.publish_in(&account, &origin, &message);
            }
            Order::Connections(stat) => {
                if !self.leaving {
                    self.tell_connections(*stat);
                }
            }
            Order::Statsz => self.broadcast_stats(),
            Order::Profiled(done) => services::answer_profile(self, &done),
            Order::LameDuck => {
                self.announce("LAMEDUCK");
                self.leaving = true;
            }
            Order::Shutdown(done) => {
                self.announce("SHUTDOWN");
                self.context.publisher.hand_over();
                drop(done);
            }
        }
    }

    fn announce(&mut self, what: &str) {
        let subject = server_subject(&self.server().info().server_id, what);
        let stamp = self.stamp();
        self.event(&subject, &stamp);
    }

    fn look_at_messages(&mut self) {
        while let Some(batch) = self.context.next_batch() {
            for message in batch.iter() {
                services::serve(self, &message);
            }
            self.context.settle(batch);
        }
    }
}

/// Speaks until the server ends. `interests` are the thread's subscriptions.
pub(super) fn run(mut context: Context, system: &Arc<System>, interests: Vec<Interest>) {
    let random = |bytes: &mut [u8]| {
        // Ids need not be secrets; without randomness they are still different on this server.
        let _ = getrandom::fill(bytes);
    };
    let now = Instant::now();
    let mut speaker = Speaker {
        context: &mut context,
        system,
        ids: Nuid::new(Box::new(random)),
        schedule: Schedule::new(now),
        leaving: false,
    };
    let mut next_connections = now + CONNECTIONS_INTERVAL;
    loop {
        let deadline = speaker.schedule.next().min(next_connections);
        let wake = speaker.context.wait(Some(deadline));
        // What happened comes before what is asked, so that answers do not run ahead of events.
        for order in system.take() {
            speaker.obey(order);
        }
        speaker.look_at_messages();
        if wake == Wake::Closed {
            break;
        }
        let now = Instant::now();
        if now >= speaker.schedule.next() {
            speaker.schedule.beat(now);
            speaker.broadcast_stats();
        }
        if now >= next_connections {
            next_connections = now + CONNECTIONS_INTERVAL;
            for account in accounts_in_use(speaker.server()) {
                system.connections_changed(&account);
            }
        }
    }
    speaker.context.publisher.hand_over();
    for interest in interests {
        system.client().unsubscribe(interest);
    }
}
