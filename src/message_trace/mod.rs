//! Message tracing: the way of one message, told to whoever asked for it in a header (spec 04 §10).
//!
//! [`trigger`] reads the headers; [`Tracer`] goes along with the message through the delivery path
//! and notes what becomes of it; [`events`] is what is told. A message without the headers costs a
//! look at the names of its headers, and one without headers nothing.

pub mod events;
pub mod trigger;

use crate::account::Account;
use crate::client::ClientShared;
use crate::config::text::quote;
use crate::delivery::Kind;
use crate::subscription::Subscription;
use crate::system::encoding::Encoding;
use crate::system::events::ServerInfo;
use ::sublist::Subscription as _;
use events::{Detail, Event, Message, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigger::Headers;

/// Traces of messages go there.
pub const DESTINATION: &str = "Nats-Trace-Dest";
/// The value of that header with which a message is not traced any further.
pub const DISABLED: &str = "trace disabled";

/// Where an account wants traces of messages that others ask to be traced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDestination {
    /// The subject; empty if it wants none.
    pub subject: String,
    /// The percentage of such messages that are traced.
    pub sampling: u8,
}

impl AccountDestination {
    /// Whether a message is among those traced; `random` is below 100. One percent too many is, as
    /// in the reference.
    pub fn samples(&self, random: u64) -> bool {
        matches!(self.sampling, 0 | 100..) || random <= u64::from(self.sampling)
    }
}

/// Why a message did not reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It was the publisher's own.
    NoEcho,
    /// The subscription's permissions.
    Denied,
    /// The subscription has ended.
    Closed,
    /// The connection has.
    ClientClosed,
    /// The subscription had all it wanted.
    AutoUnsubscribe,
    /// The connection is too slow.
    Slow,
}

impl Undelivered {
    fn text(self) -> &'static str {
        match self {
            Undelivered::NoEcho => "Not delivered because of no echo",
            Undelivered::Denied => "Not delivered because subscription denies this subject",
            Undelivered::Closed => "Not delivered because subscription is closed",
            Undelivered::ClientClosed => "Not delivered because client is closed",
            Undelivered::AutoUnsubscribe => "Not delivered because auto-unsubscribe exceeded",
            Undelivered::Slow => {
                "Not delivered because fast producer not stalled and consumer is slow"
            }
        }
    }
}

/// What a client's message with the trigger comes to.
pub enum Begun {
    /// It is not traced.
    Untraced,
    /// It is not traced, here and behind: the header has to say so.
    Disabled,
    /// It goes nowhere, and there is nothing to tell.
    Dropped,
    /// The publisher may not publish traces there; it goes nowhere.
    Forbidden(String),
    /// It is traced.
    Traced(Box<Tracer>),
}

/// The trace of one message.
pub struct Tracer {
    /// Nothing is delivered to applications.
    pub only: bool,
    destination: String,
    account: Arc<Account>,
    encoding: Encoding,
    request: Request,
    events: Vec<Event>,
    /// The subject of the subscription in the exporter's account, while the message is in one that
    /// imports it.
    imported: Option<String>,
}

impl Tracer {
    /// Begins the trace of a client's message, if its headers ask for one. `may_publish` tells
    /// whether the client may publish to a subject; `random` is below 100.
    pub fn begin(
        client: &ClientShared,
        account: &Arc<Account>,
        header: &[u8],
        subject: &[u8],
        size: usize,
        may_publish: impl FnOnce(&str) -> bool,
        random: u64,
    ) -> Begun {
        let Some(headers) = Headers::parse(header) else { return Begun::Untraced };
        let only = !headers.external && headers.asks_for_trace_only();
        let give_up = if only { Begun::Dropped } else { Begun::Untraced };
        if let Some(value) = headers.first("Nats-Trace-Origin-Account") {
            client.error(format_args!(
                "Message tracing disabled because of header \"Nats-Trace-Origin-Account\" with value={}",
                quote(value)
            ));
            return if only { Begun::Dropped } else { Begun::Disabled };
        }
        let destination = if headers.external {
            let wanted = account.trace_destination();
            if wanted.subject.is_empty() {
                return Begun::Untraced;
            }
            if !wanted.samples(random) {
                return Begun::Disabled;
            }
            wanted.subject
        } else {
            headers.first(DESTINATION).unwrap_or_default().to_owned()
        };
        if !::sublist::subject::is_valid_literal_subject(destination.as_bytes()) {
            client.error(format_args!(
                "Destination {} is not valid, won't be able to trace events",
                quote(&destination)
            ));
            return give_up;
        }
        if !may_publish(&destination) {
            return Begun::Forbidden(destination);
        }
        let encoding = Encoding::of(header);
        let ingress = Detail::Ingress {
            kind: kind_number(Kind::Client),
            cid: client.cid,
            name: client.with_details(|d| d.name.clone()),
            acc: account.name.clone(),
            subj: text(subject),
            error: String::new(),
        };
        Begun::Traced(Box::new(Tracer {
            only,
            destination,
            account: account.clone(),
            encoding,
            request: Request { header: headers.into_map(), msgsize: size },
            events: vec![Event::now(ingress)],
            imported: None,
        }))
    }

    /// The account in which the trace is published.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The subject of the trace.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The message was refused.
    pub fn refused(&mut self, why: &str) {
        if let Some(Event { detail: Detail::Ingress { error, .. }, .. }) = self.events.first_mut() {
            why.clone_into(error);
        }
    }

    /// The account maps the subject.
    pub fn mapped(&mut self, to: &[u8]) {
        self.events.push(Event::now(Detail::SubjectMapping { to: text(to) }));
    }

    /// The message crosses into an account that imports it, by a subscription to `of`.
    pub fn exported(&mut self, importer: &str, to: &[u8], of: &[u8]) {
        let acc = importer.to_owned();
        self.imported = Some(text(of));
        self.events.push(Event::now(Detail::StreamExport { acc, to: text(to) }));
    }

    /// The message is back in the account of the exporter.
    pub fn left_export(&mut self) {
        self.imported = None;
    }

    /// The message is a request to another account.
    pub fn requested(&mut self, exporter: &str, from: &[u8], to: &[u8]) {
        let (acc, from, to) = (exporter.to_owned(), text(from), text(to));
        self.events.push(Event::now(Detail::ServiceImport { acc, from, to }));
    }

    /// The message reached a client in that account, or not.
    pub fn reached(
        &mut self,
        client: &ClientShared,
        account: &Account,
        subscription: &Subscription,
        undelivered: Option<Undelivered>,
    ) {
        let other = account.id != self.account.id;
        self.events.push(Event::now(Detail::Egress {
            kind: kind_number(Kind::Client),
            cid: client.cid,
            name: client.with_details(|d| d.name.clone()),
            acc: if other { account.name.clone() } else { String::new() },
            sub: self.imported.clone().unwrap_or_else(|| text(subscription.subject())),
            queue: subscription.queue().map(text).unwrap_or_default(),
            error: undelivered.map_or("", Undelivered::text),
        }));
    }

    /// Header and body of what is published.
    pub fn finish(self, server: ServerInfo) -> (Vec<u8>, Vec<u8>) {
        let message = Message { server, request: self.request, hops: 0, events: self.events };
        // Plain structures in memory always serialise.
        let body = crate::json::to_vec(&message).unwrap_or_default();
        self.encoding.encode(body)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number of a kind of connection in traces.
fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Client => 0,
        Kind::Router => 1,
        Kind::Gateway => 2,
        Kind::System => 3,
        Kind::Leaf => 4,
        Kind::JetStream => 5,
        Kind::Account => 6,
    }
}

/// Headers by name, in the order of the names.
type HeaderMap = BTreeMap<String, Vec<String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_takes_one_percent_more_than_it_says() {
        let samples = |sampling: u8, random: u64| {
            AccountDestination { subject: "d".to_owned(), sampling }.samples(random)
        };
        assert!(samples(100, 99) && samples(0, 99));
        assert!(samples(10, 0) && samples(10, 10) && !samples(10, 11));
    }
}
