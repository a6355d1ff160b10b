//! Mirrors and sources: messages of other streams (spec 07a §A11).
//!
//! Each origin has a link, which asks the origin for a consumer and follows its deliveries. The
//! stream's driver holds the subscriptions: it is told which by [`StreamEffect::Subscribe`] and
//! [`StreamEffect::Unsubscribe`], and hands what comes in to [`Stream::received`].

mod delivery;
mod info;
mod link;
mod mirroring;
pub mod names;
mod recovery;
mod request;
mod setup;
mod sourced;
#[cfg(test)]
mod tests;

pub use info::StreamSourceInfo;

use super::Stream;
use super::message::{Inbound, Outbound, StreamEffect, SubscriptionId};
use crate::config::StreamConfig;
use crate::headers;
use crate::time::Timestamp;
use bytes::Bytes;
use delivery::is_control;
use link::{Link, Phase};
use request::Kind;

/// The links of a stream: that of its mirror, or those of its sources in the order of the
/// configuration.
#[derive(Debug, Default)]
pub(super) struct Sourcing {
    links: Vec<Link>,
    next_subscription: u64,
}

impl Sourcing {
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.links.iter().filter_map(Link::deadline).min()
    }

    fn link(&self, number: usize) -> Option<&Link> {
        self.links.get(number)
    }

    fn link_mut(&mut self, number: usize) -> Option<&mut Link> {
        self.links.get_mut(number)
    }

    fn mirror(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.kind == Kind::Mirror)
    }

    fn sources(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.kind == Kind::Source)
    }

    fn subscription(&mut self) -> SubscriptionId {
        self.next_subscription += 1;
        SubscriptionId(self.next_subscription)
    }

    pub(super) fn check_invariants(&self) {
        let mirrors = self.links.iter().filter(|link| link.kind == Kind::Mirror).count();
        assert!(mirrors == 0 || self.links.len() == 1, "a mirror has no sources");
        let mut subscriptions: Vec<_> = self.links.iter().filter_map(Link::subscription).collect();
        let count = subscriptions.len();
        subscriptions.sort_unstable();
        subscriptions.dedup();
        assert_eq!(subscriptions.len(), count, "each subscription belongs to one link");
    }
}

impl Stream {
    /// Sets up the links and schedules their first attempts.
    pub(super) fn start_sourcing(&mut self, now: Timestamp) {
        self.stop_sourcing();
        let mirror = self.config.mirror.iter().map(|source| Link::new(Kind::Mirror, source));
        let sources = self.config.sources.iter().map(|source| Link::new(Kind::Source, source));
        self.sourcing.links = mirror.chain(sources).collect();
        if self.config.mirror.is_none() {
            self.recover_positions((0..self.sourcing.links.len()).collect());
        }
        for number in 0..self.sourcing.links.len() {
            self.retry(number, now);
        }
    }

    /// Ends all links.
    pub(super) fn stop_sourcing(&mut self) {
        for number in 0..self.sourcing.links.len() {
            self.disconnect(number);
        }
        self.sourcing.links.clear();
    }

    /// Asks the origins to delete the consumers that were made for this stream. Should a request
    /// get lost, they go for lack of interest.
    pub(super) fn delete_sourcing_consumers(&mut self) {
        for (source, name) in self.own_consumers(&self.config) {
            self.send_now(Outbound::plain(request::delete_subject(&source, &name), ""));
        }
    }

    fn send_now(&mut self, message: Outbound) {
        self.outbox.push(StreamEffect::Send(message));
    }

    /// The consumers that are made for a stream of this configuration.
    fn own_consumers(&self, config: &StreamConfig) -> Vec<(crate::config::StreamSource, String)> {
        let (stream, account) = (&config.name, &self.context.account);
        let domain = self.context.domain.as_deref();
        let mirror = config.mirror.iter().filter(|source| source.consumer.is_none());
        let mirror = mirror.map(|source| {
            let hash = names::mirror_hash(stream, account, domain);
            (source.clone(), request::consumer_name(Kind::Mirror, &hash))
        });
        let sources = config.sources.iter().filter(|source| source.consumer.is_none());
        let sources = sources.map(|source| {
            let hash = names::source_hash(stream, account, domain, source, &config.sources);
            (source.clone(), request::consumer_name(Kind::Source, &hash))
        });
        mirror.chain(sources).collect()
    }

    /// Adapts the links to a changed configuration: sources come and go, and a mirror may become a
    /// stream of its own.
    pub(super) fn update_sourcing(&mut self, old: &StreamConfig, now: Timestamp) {
        if self.config.mirror.is_some()
            || (old.mirror.is_none() && old.sources == self.config.sources)
        {
            return;
        }
        let before = self.own_consumers(old);
        let after = self.own_consumers(&self.config);
        for (source, name) in before {
            let is_same = |(other, kept): &(crate::config::StreamSource, String)| {
                *kept == name && other.name == source.name && other.external == source.external
            };
            if !after.iter().any(is_same) {
                self.send_now(Outbound::plain(request::delete_subject(&source, &name), ""));
            }
        }
        let mut existing = std::mem::take(&mut self.sourcing.links);
        let mut added = Vec::new();
        for (number, source) in self.config.sources.clone().iter().enumerate() {
            let name = names::index_name(source);
            let is_same = |link: &Link| link.kind == Kind::Source && link.index_name == name;
            let link = match existing.iter().position(is_same) {
                Some(position) => existing.swap_remove(position),
                None => {
                    added.push(number);
                    Link::new(Kind::Source, source)
                }
            };
            self.sourcing.links.push(link);
        }
        for link in existing {
            if let Some(id) = link.subscription() {
                self.outbox.push(StreamEffect::Unsubscribe { id });
            }
        }
        self.recover_positions(added.clone());
        for number in added {
            self.retry(number, now);
        }
    }

    /// Drops a link's subscription.
    fn disconnect(&mut self, number: usize) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        let subscription = link.subscription();
        link.phase = Phase::Idle;
        link.consumer = Bytes::new();
        if let Some(id) = subscription {
            self.outbox.push(StreamEffect::Unsubscribe { id });
        }
    }

    /// Starts over with a link, as soon as that may be.
    fn retry(&mut self, number: usize, now: Timestamp) {
        self.disconnect(number);
        let jitter = self.random.duration(link::JITTER);
        if let Some(link) = self.sourcing.link_mut(number) {
            link.wait(jitter, now);
        }
    }

    /// Does what has fallen due.
    pub(super) fn tick_sourcing(&mut self, now: Timestamp) {
        for number in 0..self.sourcing.links.len() {
            let Some(link) = self.sourcing.link_mut(number) else { break };
            if link.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            match link.phase {
                Phase::Idle => {}
                Phase::Waiting { .. } => self.ask(number, now),
                Phase::Asking { .. } => {
                    link.failed(None);
                    self.retry(number, now);
                }
                Phase::Receiving { .. } => {
                    link.next_sequence = link.origin_sequence.saturating_add(1);
                    self.retry(number, now);
                }
            }
        }
    }

    /// Takes in a message that came in on a subscription of this stream. What came in on one that
    /// was dropped is passed over.
    pub fn received(&mut self, id: SubscriptionId, message: Inbound, now: Timestamp) {
        let links = &self.sourcing.links;
        let Some(number) = links.iter().position(|link| link.subscription() == Some(id)) else {
            return;
        };
        let is_receiving = matches!(links[number].phase, Phase::Receiving { .. });
        if is_receiving {
            self.delivered(number, message, now);
        } else {
            self.answered(number, &message.payload, now);
        }
        self.settle(now);
    }

    /// Takes in what a consumer delivers.
    fn delivered(&mut self, number: usize, message: Inbound, now: Timestamp) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        link.last_heard = Some(now);
        if is_control(&message.header, &message.payload) {
            self.control(number, &message, now);
            return;
        }
        match link.kind {
            Kind::Mirror => self.mirror_delivered(number, message, now),
            Kind::Source => self.source_delivered(number, message, now),
        }
    }

    /// Answers a consumer that wants to know how far we are, and finds out from heartbeats when
    /// deliveries got lost.
    fn control(&mut self, number: usize, message: &Inbound, now: Timestamp) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        if !message.reply.is_empty() {
            // The answer acknowledges what is stored, so it must not leave before that is durable.
            let mut header = b"NATS/1.0\r\n".to_vec();
            super::republish::put(&mut header, headers::LAST_CONSUMER, link.delivered);
            super::republish::put(&mut header, headers::LAST_STREAM, link.origin_sequence);
            header.extend_from_slice(b"\r\n");
            self.send_held(Outbound::status(message.reply.clone(), header));
            return;
        }
        let delivered = headers::value(&message.header, headers::LAST_CONSUMER);
        let delivered = delivered.and_then(super::publish_headers::number).unwrap_or(0);
        if delivered > 0 && delivered != link.delivered {
            link.next_sequence = link.origin_sequence.saturating_add(1);
            self.retry(number, now);
        } else if let Some(stalled) = headers::value(&message.header, headers::CONSUMER_STALLED)
            && !stalled.is_empty()
        {
            let reply = Bytes::copy_from_slice(stalled);
            self.send_held(Outbound::plain(reply, ""));
        }
    }
}
