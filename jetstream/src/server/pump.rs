//! Carrying out what streams and consumers ask for.

use super::schedule::Asset;
use super::{ClientId, ConsumerEntry, JetStream, Level, Outgoing, Outside, Target};
use crate::consumers::{Budget, ConsumerEffect, ReplyInterest, Turn};
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::store::Store;
use crate::stream::{Outbound, StreamEffect};
use crate::time::Timestamp;
use crate::types::StreamSequence;
use std::time::Duration;

/// Who listens, as consumers ask.
pub(super) struct Listeners<'a> {
    pub out: &'a dyn Outside,
    pub account: &'a str,
}

impl ReplyInterest for Listeners<'_> {
    fn has_interest(&self, account: Option<&str>, subject: &[u8], _: Duration) -> bool {
        self.out.has_interest(account.unwrap_or(self.account), subject)
    }
}

/// What came of a stream's effects that concerns the consumers as a whole.
#[derive(Default)]
struct Follow {
    failed: Option<StoreError>,
    caught_up: bool,
}

/// The subject a purge was about; `None` for everything.
fn filter_text(filter: &SubjectFilter) -> Option<&str> {
    filter.as_subject().and_then(|subject| std::str::from_utf8(subject).ok())
}

fn send(out: &mut dyn Outside, account: &str, from: ClientId, message: &Outbound) {
    out.send(
        account,
        from,
        Outgoing {
            to: &message.subject,
            subject: &message.subject,
            reply: &message.reply,
            header: &message.header,
            payload: &message.payload,
        },
    );
}

impl JetStream {
    /// Carries out what a stream asks for, until it asks for nothing more.
    pub(super) fn pump_stream(&mut self, id: u64, now: Timestamp, out: &mut dyn Outside) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let (consumers, ready) = (&mut self.consumers, &mut self.ready);
        let mut follow = Follow::default();
        // Consumers that have something to say in their turn.
        let mut touched: Vec<u64> = Vec::new();
        while let Some(effect) = entry.stream.poll_effect() {
            let account = &entry.account;
            match effect {
                StreamEffect::Send(message) => send(out, account, ClientId(id), &message),
                StreamEffect::Stored { sequence, subject } => {
                    entry.filters.matching(&subject, |consumer| {
                        if let Some(c) = consumers.get_mut(&consumer) {
                            c.consumer.stored(sequence, &subject);
                            if c.consumer.is_ready() && !c.queued {
                                c.queued = true;
                                ready.push_back(consumer);
                            }
                        }
                    });
                }
                StreamEffect::Removed { sequence, subject } => {
                    for consumer in entry.consumers.values() {
                        let Some(c) = consumers.get_mut(consumer) else { continue };
                        let interest = Listeners { out, account };
                        let store = entry.stream.store();
                        let mut turn = Turn { store, interest: &interest, now };
                        c.consumer.removed(&mut turn, sequence, &subject);
                        touched.push(*consumer);
                    }
                }
                StreamEffect::RemovedMany { .. } => {
                    for consumer in entry.consumers.values() {
                        let Some(c) = consumers.get_mut(consumer) else { continue };
                        let interest = Listeners { out, account };
                        let store = entry.stream.store();
                        let mut turn = Turn { store, interest: &interest, now };
                        c.consumer.removed_many(&mut turn);
                        touched.push(*consumer);
                    }
                }
                StreamEffect::Purged { filter, .. } => {
                    let text = filter_text(&filter);
                    for consumer in entry.consumers.values() {
                        let Some(c) = consumers.get_mut(consumer) else { continue };
                        let interest = Listeners { out, account };
                        let store = entry.stream.store();
                        let mut turn = Turn { store, interest: &interest, now };
                        c.consumer.purged(&mut turn, text);
                        touched.push(*consumer);
                    }
                }
                StreamEffect::Advisory { subject, json } => {
                    if out.has_interest(account, subject.as_bytes()) {
                        let message = Outgoing::plain(subject.as_bytes(), &json);
                        out.send(account, ClientId::API, message);
                    }
                }
                StreamEffect::SystemAdvisory { subject, json } => out.send_system(&subject, &json),
                StreamEffect::Usage { delta } => {
                    let config = entry.stream.config();
                    self.usage.used.add(config.storage, delta);
                    if let Some(state) = self.accounts.get(account)
                        && let Some((_, _, used)) = state.usage.tier(config.num_replicas)
                    {
                        let copies = config.num_replicas.max(1);
                        used.add(config.storage, delta.saturating_mul(copies));
                    }
                }
                StreamEffect::Subscribe { id: source, subject } => {
                    let subject = String::from_utf8_lossy(&subject).into_owned();
                    let target = Target::Source(id, source.get());
                    entry.sources.insert(source.get(), source);
                    out.subscribe(account, ClientId(id), &subject, None, target);
                }
                StreamEffect::Unsubscribe { id: source } => {
                    entry.sources.remove(&source.get());
                    out.unsubscribe_all(Target::Source(id, source.get()));
                }
                StreamEffect::MirrorCaughtUp => follow.caught_up = true,
                StreamEffect::StoreFailed(error) => follow.failed = Some(error),
                StreamEffect::Warn(text) => out.log(Level::Warn, &text),
            }
        }
        self.schedule.arm(Asset::Stream(id), entry.stream.next_deadline());
        let name = entry.name.clone();
        for consumer in touched {
            self.pump_consumer(consumer, now, out);
        }
        if follow.caught_up {
            self.answer_for_origin(id, out);
        }
        if let Some(error) = follow.failed {
            self.store_failed(&name, error, now, out);
        }
    }

    /// A store cannot go on: with a full disk, nothing can (spec 07a §A1.5).
    fn store_failed(
        &mut self,
        stream: &str,
        error: StoreError,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        out.log(
            Level::Error,
            &format!("JetStream failed to store messages of '{stream}': {error}"),
        );
        match error {
            StoreError::NoSpace(_) => {
                self.advise_out_of_space(stream, now, out);
                self.failed = Some(error);
            }
            StoreError::PermissionDenied(_) => self.failed = Some(error),
            _ => {}
        }
    }

    /// Runs `f` on a consumer with its turn, then carries out what it asks for.
    pub(super) fn with_consumer<R>(
        &mut self,
        id: u64,
        now: Timestamp,
        out: &mut dyn Outside,
        f: impl FnOnce(&mut ConsumerEntry, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let entry = self.consumers.get_mut(&id)?;
        let stream = self.streams.get_mut(&entry.stream)?;
        let result = {
            let interest = Listeners { out, account: &stream.account };
            let store: &mut dyn Store = stream.stream.store();
            let mut turn = Turn { store, interest: &interest, now };
            f(entry, &mut turn)
        };
        self.pump_consumer(id, now, out);
        Some(result)
    }

    /// Carries out what a consumer asks for, until it asks for nothing more.
    pub(super) fn pump_consumer(&mut self, id: u64, now: Timestamp, out: &mut dyn Outside) {
        let mut acked: Vec<(StreamSequence, StreamSequence)> = Vec::new();
        let mut review = false;
        let mut delete = false;
        let Some(entry) = self.consumers.get_mut(&id) else { return };
        let Some(stream) = self.streams.get_mut(&entry.stream) else { return };
        let (stream_id, account) = (entry.stream, &stream.account);
        let from = ClientId(stream_id);
        while let Some(effect) = entry.consumer.poll_effect() {
            match effect {
                ConsumerEffect::Deliver(delivery) => out.send(
                    account,
                    from,
                    Outgoing {
                        to: &delivery.to,
                        subject: delivery.subject(),
                        reply: &delivery.reply,
                        header: delivery.header(),
                        payload: delivery.payload(),
                    },
                ),
                ConsumerEffect::Send { subject, reply, header } => out.send(
                    account,
                    from,
                    Outgoing {
                        to: &subject,
                        subject: &subject,
                        reply: &reply,
                        header: &header,
                        payload: b"",
                    },
                ),
                ConsumerEffect::Advisory(advisory) => {
                    let subject = advisory.subject();
                    if out.has_interest(account, subject.as_bytes()) {
                        let domain = self.settings.domain.as_deref();
                        let json = advisory.to_json(&self.random.id(), domain);
                        let message = Outgoing::plain(subject.as_bytes(), &json);
                        out.send(account, ClientId::API, message);
                    }
                }
                ConsumerEffect::Acked { first, last } => acked.push((first, last)),
                ConsumerEffect::InterestChanged { .. } => review = true,
                ConsumerEffect::Delete => delete = true,
                ConsumerEffect::Warn(text) => out.log(Level::Warn, &text),
                ConsumerEffect::Error(text) => out.log(Level::Error, &text),
            }
        }
        self.schedule.arm(Asset::Consumer(id), entry.consumer.next_deadline());
        if entry.consumer.is_ready() && !entry.queued {
            entry.queued = true;
            self.ready.push_back(id);
        }
        for (first, last) in acked {
            self.release_acked(stream_id, first, last, now, out);
        }
        if review {
            self.remove_unneeded(stream_id, now, out);
        }
        if delete {
            self.remove_consumer(id, now, out);
        }
    }

    /// Delivers what consumers have to deliver, a bounded part of it. To be called while
    /// [`JetStream::has_work`].
    pub fn work(&mut self, now: Timestamp, out: &mut dyn Outside) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            if let Some(entry) = self.consumers.get_mut(&id) {
                entry.queued = false;
            }
            self.with_consumer(id, now, out, |entry, turn| {
                entry.consumer.deliver(turn, Budget::default());
            });
        }
    }

    /// Does what has fallen due.
    pub fn tick(&mut self, now: Timestamp, out: &mut dyn Outside) {
        self.sync_late(now, out);
        // What an asset arms anew while it is looked at comes later, so that this ends.
        let mut due = Vec::new();
        while let Some(asset) = self.schedule.take_due(now) {
            due.push(asset);
        }
        for asset in due {
            match asset {
                Asset::Stream(id) => {
                    if let Some(entry) = self.streams.get_mut(&id) {
                        entry.stream.tick(now);
                        self.mark_dirty(id);
                        self.pump_stream(id, now, out);
                    }
                }
                Asset::Consumer(id) => {
                    self.with_consumer(id, now, out, |entry, turn| entry.consumer.tick(turn));
                }
            }
        }
    }
}
