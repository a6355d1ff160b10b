//! Consumers come, change and go (spec 07b §B2), and what clients send them.

use super::api::Requester;
use super::pump::Listeners;
use super::schedule::Asset;
use super::{
    ClientId, ConsumerEntry, Incoming, JetStream, Level, Outgoing, Outside, Target, layout,
};
use crate::api::requests::ConsumerAction;
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::{AckPolicy, ConsumerConfig, RetentionPolicy, StorageType};
use crate::consumer::ConsumerStore;
use crate::consumer::files::ConsumerDirectory;
use crate::consumers::config::{ConsumerLimits, admission, defaults, request, update, validate};
use crate::consumers::subjects::{next_subscription, reset_subscription};
use crate::consumers::{Consumer, NewConsumer, Turn};
use crate::disk::Durability;
use crate::error::StoreResult;
use crate::stream::ConsumerView;
use crate::time::{DateTime, Timestamp};
use crate::types::StreamSequence;

/// A consumer as retention sees it.
struct View<'a>(&'a Consumer);

impl ConsumerView for View<'_> {
    fn needs(&self, sequence: StreamSequence, subject: &[u8]) -> bool {
        self.0.needs(sequence, subject)
    }

    fn floor(&self) -> StreamSequence {
        self.0.store().state().map(|state| state.ack_floor.stream).unwrap_or_default()
    }
}

impl JetStream {
    fn consumer_limits(&self, account: &str, replicas: i64) -> ConsumerLimits {
        let limits = self.accounts.get(account).and_then(|state| {
            let tier = state.usage.tier(replicas);
            tier.map(|(_, limits, _)| *limits)
        });
        ConsumerLimits {
            server_max_ack_pending: self.settings.max_ack_pending,
            server_max_request_batch: self.settings.max_request_batch,
            account_max_ack_pending: limits.map_or(0, |l| l.max_ack_pending),
            account_max_consumers: limits.map_or(0, |l| l.max_consumers),
        }
    }

    /// Creates or updates a consumer as a client asked for it; its id, and whether it is new.
    pub(super) fn create_consumer(
        &mut self,
        stream_id: u64,
        mut config: ConsumerConfig,
        action: ConsumerAction,
        pedantic: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(u64, bool), ApiError> {
        let not_found = || ApiError::from(ErrorKind::StreamNotFound);
        let random = self.random.next();
        let entry = self.streams.get(&stream_id).ok_or_else(not_found)?;
        let account = entry.account.clone();
        let stream = entry.stream.config().clone();
        let limits = self.consumer_limits(&account, stream.num_replicas);
        request::prepare_sourcing(&mut config, &stream, &admission::generated_name(random));
        let known = entry.consumers.get(config.given_name()).copied();
        let known = known.filter(|_| !config.given_name().is_empty());
        if let Some(current) = known.and_then(|id| self.consumers.get(&id)) {
            request::keep_unchangeable(&mut config, current.consumer.config());
        }
        let level = config.required_api_level();
        api_level::set_required(&mut config.metadata, level);
        defaults::apply(&mut config, &stream, &limits, pedantic)?;
        validate::check(&config, &stream, &limits, false)?;
        if let Some(id) = known {
            return self.update_consumer(id, config, action, now, out).map(|()| (id, false));
        }
        if action == ConsumerAction::Update {
            return Err(ErrorKind::ConsumerDoesNotExist.into());
        }
        let others: Vec<(&str, &ConsumerConfig)> = entry
            .consumers
            .iter()
            .filter_map(|(name, id)| {
                Some((name.as_str(), self.consumers.get(id)?.consumer.config()))
            })
            .collect();
        admission::check_new(&config, &stream, &limits, others.iter().copied())?;
        let mut name = config.given_name().to_owned();
        if name.is_empty() {
            name = admission::generated_name(self.random.next());
        }
        let created = now.to_date_time();
        let id = self.add_consumer(stream_id, &name, config, created, false, now, out).map_err(
            |error| {
                let text = format!(
                    "Error creating consumer '{account} > {} > {name}': {error}",
                    stream.name
                );
                out.log(Level::Error, &text);
                ErrorKind::ConsumerCreate.with("error creating store for consumer")
            },
        )?;
        Ok((id, true))
    }

    fn update_consumer(
        &mut self,
        id: u64,
        mut config: ConsumerConfig,
        action: ConsumerAction,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(), ApiError> {
        let Some(entry) = self.consumers.get(&id) else {
            return Err(ErrorKind::ConsumerDoesNotExist.into());
        };
        let old = entry.consumer.config().clone();
        let stream_id = entry.stream;
        if config.name.is_empty() {
            config.name.clone_from(&old.name);
        }
        let same = update::is_same(&mut config.clone(), &old);
        if action == ConsumerAction::Create {
            return if same { Ok(()) } else { Err(ErrorKind::ConsumerAlreadyExists.into()) };
        }
        let Some(stream) = self.streams.get(&stream_id) else {
            return Err(ErrorKind::StreamNotFound.into());
        };
        if stream.stream.config().retention == RetentionPolicy::WorkQueue {
            let others: Vec<(&str, &ConsumerConfig)> = stream
                .consumers
                .iter()
                .filter_map(|(name, id)| {
                    Some((name.as_str(), self.consumers.get(id)?.consumer.config()))
                })
                .collect();
            admission::check_partition(&config, others.iter().copied())?;
        }
        let updated = self
            .with_consumer(id, now, out, |entry, turn| entry.consumer.update_config(turn, config));
        updated.unwrap_or(Ok(()))?;
        self.refresh_consumer(id, &old, now, out);
        Ok(())
    }

    /// Adapts what follows from a consumer's configuration.
    fn refresh_consumer(
        &mut self,
        id: u64,
        old: &ConsumerConfig,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let Some(entry) = self.consumers.get(&id) else { return };
        let config = entry.consumer.config().clone();
        let stream_id = entry.stream;
        if let Some(stream) = self.streams.get_mut(&stream_id) {
            stream.filters.remove(id, old);
            stream.filters.insert(id, &config);
        }
        self.tell_interest(stream_id);
        if old.deliver_subject != config.deliver_subject
            || old.deliver_group != config.deliver_group
        {
            self.watch_delivery(id, now, out);
        }
    }

    /// The store of a consumer.
    fn open_consumer_store(
        &self,
        stream_id: u64,
        name: &str,
        created: DateTime,
        config: ConsumerConfig,
    ) -> StoreResult<ConsumerStore> {
        let Some(stream) = self.streams.get(&stream_id) else {
            return Err(crate::error::StoreError::Closed);
        };
        let in_memory = config.direct
            || config.mem_storage
            || stream.stream.config().storage == StorageType::Memory;
        if in_memory {
            return ConsumerStore::in_memory(name, config);
        }
        let dir = layout::stream(&self.settings.store_dir, &stream.account, &stream.name);
        let mut random = (self.secrets)();
        let directory = ConsumerDirectory {
            disk: self.disk.clone(),
            path: layout::consumers(&dir).join(name),
            stream: stream.name.clone(),
            durability: Durability::Synced,
            encryption: self.settings.encryption(&stream.account),
            random: Box::new(move |bytes| random.fill(bytes)),
        };
        ConsumerStore::in_files(directory, name, created, config)
    }

    /// Takes a consumer in, new or recovered, and subscribes for it.
    #[expect(clippy::too_many_arguments)] // All of it describes the one consumer.
    pub(super) fn add_consumer(
        &mut self,
        stream_id: u64,
        name: &str,
        mut config: ConsumerConfig,
        created: DateTime,
        recovering: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> StoreResult<u64> {
        if config.name.is_empty() && !name.is_empty() && !recovering && config.is_durable() {
            name.clone_into(&mut config.name);
        }
        let store = self.open_consumer_store(stream_id, name, created, config.clone())?;
        let id = self.next_id();
        let seed = self.random.next();
        let Some(stream) = self.streams.get_mut(&stream_id) else {
            return Err(crate::error::StoreError::Closed);
        };
        let Some(account) = self.accounts.get(&stream.account) else {
            return Err(crate::error::StoreError::Closed);
        };
        let active = config.is_push()
            && out.has_interest(&stream.account, config.deliver_subject.as_bytes());
        let consumer = {
            let interest = Listeners { out, account: &stream.account };
            let mut turn = Turn { store: stream.stream.store(), interest: &interest, now };
            let new = NewConsumer {
                name: name.to_owned(),
                created,
                store,
                context: account.context.clone(),
                seed,
                active,
                recovering,
            };
            Consumer::new(&mut turn, new)?
        };
        stream.consumers.insert(name.to_owned(), id);
        stream.filters.insert(id, consumer.config());
        let from = ClientId(stream_id);
        let (owner, stream_name) = (&stream.account, &stream.name);
        let mut subscribe =
            |subject: &str, target| out.subscribe(owner, from, subject, None, target);
        if config.ack_policy != AckPolicy::None {
            for subject in account.context.ack_subscriptions(stream_name, name) {
                subscribe(&subject, Target::Ack(id));
            }
        }
        if config.flow_control {
            for subject in account.context.flow_control_subscriptions(stream_name, name) {
                subscribe(&subject, Target::FlowControl(id));
            }
        }
        if !config.is_push() {
            subscribe(&next_subscription(stream_name, name), Target::Next(id));
        }
        subscribe(&reset_subscription(stream_name, name), Target::Reset(id));
        self.consumers.insert(id, ConsumerEntry { stream: stream_id, consumer, queued: false });
        self.tell_interest(stream_id);
        self.watch_delivery(id, now, out);
        self.pump_consumer(id, now, out);
        Ok(id)
    }

    /// Watches the interest in a push consumer's deliver subject.
    fn watch_delivery(&mut self, id: u64, now: Timestamp, out: &mut dyn Outside) {
        let Some(entry) = self.consumers.get(&id) else { return };
        let Some(stream) = self.streams.get(&entry.stream) else { return };
        let config = entry.consumer.config();
        let subject = config.is_push().then_some(config.deliver_subject.as_str());
        out.watch(&stream.account, subject, id);
        if let Some(subject) = subject {
            let active = out.has_interest(&stream.account, subject.as_bytes());
            self.interest_changed(id, active, now, out);
        }
    }

    /// The interest in a consumer's deliver subject may have changed.
    pub fn interest_changed(
        &mut self,
        consumer: u64,
        active: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        self.with_consumer(consumer, now, out, |entry, turn| {
            // With a queue group, or interest of a wildcard, the notification says too little.
            let subject = entry.consumer.config().deliver_subject.clone();
            let interest = turn.interest;
            let active =
                active || interest.has_interest(None, subject.as_bytes(), std::time::Duration::MAX);
            entry.consumer.interest_changed(active, turn.now);
        });
    }

    /// Tells a stream what its consumers take.
    pub(super) fn tell_interest(&mut self, stream_id: u64) {
        let Some(stream) = self.streams.get_mut(&stream_id) else { return };
        let consumers = stream.consumers.values().filter_map(|id| self.consumers.get(id));
        let configs: Vec<&ConsumerConfig> = consumers.map(|c| c.consumer.config()).collect();
        let mut filters: Vec<&[u8]> = Vec::new();
        for config in &configs {
            if config.filters().next().is_none() {
                filters.push(b"");
            }
            filters.extend(config.filters().map(str::as_bytes));
        }
        let count = configs.iter().filter(|config| !config.direct).count() as u64;
        stream.stream.set_interest(filters, count);
    }

    /// The stream's configuration changed.
    pub(super) fn adopt_stream_config(&mut self, stream_id: u64) {
        self.tell_interest(stream_id);
    }

    /// Deletes a consumer. Its stream is not, or not yet.
    pub(super) fn remove_consumer(&mut self, id: u64, now: Timestamp, out: &mut dyn Outside) {
        let Some(entry) = self.consumers.get_mut(&id) else { return };
        let stream_id = entry.stream;
        if let Err(error) = entry.consumer.delete(now, false) {
            let name = entry.consumer.name();
            out.log(Level::Warn, &format!("Could not remove consumer '{name}': {error}"));
        }
        // What it still says is said before it is gone.
        self.pump_consumer(id, now, out);
        let Some(entry) = self.consumers.remove(&id) else { return };
        self.schedule.forget(Asset::Consumer(id));
        for target in
            [Target::Ack(id), Target::FlowControl(id), Target::Next(id), Target::Reset(id)]
        {
            out.unsubscribe_all(target);
        }
        let mut empty = false;
        let mut retention = RetentionPolicy::Limits;
        if let Some(stream) = self.streams.get_mut(&stream_id) {
            out.watch(&stream.account, None, id);
            stream.consumers.remove(entry.consumer.name());
            stream.filters.remove(id, entry.consumer.config());
            empty = stream.consumers.is_empty();
            retention = stream.stream.config().retention;
        }
        self.tell_interest(stream_id);
        if retention == RetentionPolicy::Interest {
            if empty {
                if let Some(stream) = self.streams.get_mut(&stream_id)
                    && let Err(error) = stream.stream.purge_all(now)
                {
                    out.log(Level::Warn, &format!("Could not purge: {error}"));
                }
                self.mark_dirty(stream_id);
                self.pump_stream(stream_id, now, out);
            } else {
                self.remove_unneeded(stream_id, now, out);
            }
        }
    }

    /// Messages were acknowledged by a consumer of a stream that keeps only what is needed.
    pub(super) fn release_acked(
        &mut self,
        stream_id: u64,
        first: StreamSequence,
        last: StreamSequence,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let Some(stream) = self.streams.get_mut(&stream_id) else { return };
        let consumers = stream.consumers.values().filter_map(|id| self.consumers.get(id));
        let views: Vec<View<'_>> = consumers.map(|entry| View(&entry.consumer)).collect();
        let views: Vec<&dyn ConsumerView> = views.iter().map(|v| v as &dyn ConsumerView).collect();
        let start = first.max(stream.stream.state().first_seq);
        let mut sequence = start;
        while sequence <= last {
            let released = stream.stream.acknowledged(sequence, views.iter().copied(), now);
            if let Err(error) = released {
                out.log(Level::Warn, &format!("Could not remove message {sequence}: {error}"));
                break;
            }
            sequence = sequence.next();
        }
        self.mark_dirty(stream_id);
        self.pump_stream(stream_id, now, out);
    }

    /// Removes what no consumer of a stream needs.
    pub(super) fn remove_unneeded(
        &mut self,
        stream_id: u64,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let Some(stream) = self.streams.get_mut(&stream_id) else { return };
        let consumers = stream.consumers.values().filter_map(|id| self.consumers.get(id));
        let views: Vec<View<'_>> = consumers.map(|entry| View(&entry.consumer)).collect();
        let views: Vec<&dyn ConsumerView> = views.iter().map(|v| v as &dyn ConsumerView).collect();
        if let Err(error) = stream.stream.remove_unneeded(&views, now) {
            out.log(Level::Warn, &format!("Could not remove messages: {error}"));
        }
        self.mark_dirty(stream_id);
        self.pump_stream(stream_id, now, out);
    }

    // ---- what clients send ----

    pub(super) fn ack(
        &mut self,
        id: u64,
        message: &Incoming,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        self.with_consumer(id, now, out, |entry, turn| {
            entry.consumer.ack(turn, &message.subject, &message.reply, &message.payload, None);
        });
    }

    pub(super) fn pull(
        &mut self,
        id: u64,
        message: &Incoming,
        requester: &dyn Requester,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        self.with_consumer(id, now, out, |entry, turn| {
            let Incoming { reply, header, payload, .. } = message;
            entry.consumer.pull(turn, reply, header, payload, requester.imported());
        });
    }

    pub(super) fn flow_control(
        &mut self,
        id: u64,
        message: &Incoming,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        self.with_consumer(id, now, out, |entry, turn| {
            entry.consumer.flow_control_reply(turn, &message.subject, &message.header);
        });
    }

    pub(super) fn reset_consumer(
        &mut self,
        id: u64,
        message: &Incoming,
        account: &str,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let answer = self.with_consumer(id, now, out, |entry, turn| {
            entry.consumer.answer_reset(turn, &message.header, &message.payload)
        });
        if let Some(answer) = answer.filter(|_| !message.reply.is_empty()) {
            out.send(account, ClientId::API, Outgoing::plain(&message.reply, &answer));
        }
    }
}
