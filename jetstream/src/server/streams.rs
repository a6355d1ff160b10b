//! Streams come, change and go (spec 07a §A3.1, §A4, §A5).

use super::schedule::Asset;
use super::usage::StreamResources;
use super::{ClientId, Incoming, JetStream, Level, Outside, StreamEntry, Target, layout};
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::{RetentionPolicy, StorageType, StreamConfig};
use crate::consumers::FilterIndex;
use crate::disk::{SharedDisk, remove_dir_if_exists};
use crate::error::{StoreError, StoreResult};
use crate::filestore::encryption::EncryptionConfig;
use crate::filestore::{FileStore, FileStoreOptions, MAX_BLOCK_SIZE};
use crate::memstore::MemoryStore;
use crate::store::{RandomSource, Store};
use crate::stream::config::{
    ConfigContext, StreamLookup, check_consumer_limits, check_update, subjects_overlap, validate,
};
use crate::stream::context::{MemoryStaging, StagingArea};
use crate::stream::{Action, Inbound, Origin, Stream, StreamContext};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The queue group of those who answer direct gets.
const DIRECT_QUEUE: &str = "_sys_";

/// Where the batches of a stream in files wait: one store each, in a directory of its own.
struct FileStaging {
    disk: SharedDisk,
    dir: PathBuf,
    encryption: Option<EncryptionConfig>,
    secrets: super::Secrets,
    now: Timestamp,
}

impl StagingArea for FileStaging {
    fn open(&mut self, hash: &str) -> StoreResult<Box<dyn Store>> {
        let (encryption, random) = (self.encryption.clone(), (self.secrets)());
        open_stage(&self.disk, &self.dir, encryption, random, hash, self.now)
    }
}

/// Opens the store of one batch.
pub(super) fn open_stage(
    disk: &SharedDisk,
    dir: &Path,
    encryption: Option<EncryptionConfig>,
    random: Box<dyn RandomSource + Send>,
    hash: &str,
    now: Timestamp,
) -> StoreResult<Box<dyn Store>> {
    let config = StreamConfig {
        name: hash.to_owned(),
        storage: StorageType::File,
        ..StreamConfig::default()
    };
    let created = crate::time::DateTime::ZERO;
    let mut options = FileStoreOptions::new(disk.clone(), dir.join(hash), created, random);
    options.block_size = MAX_BLOCK_SIZE;
    options.encryption = encryption;
    let store = FileStore::open(options, config, now).map_err(|error| error.0)?;
    Ok(Box::new(store))
}

/// The streams of one account as configurations refer to them.
struct Visible<'a>(BTreeMap<&'a str, &'a StreamConfig>);

impl StreamLookup for Visible<'_> {
    fn config(&self, name: &str) -> Option<&StreamConfig> {
        self.0.get(name).copied()
    }
}

impl JetStream {
    /// What a configuration is checked against.
    fn with_config_context<T>(
        &self,
        account: &str,
        requested: &StreamConfig,
        pedantic: bool,
        f: impl FnOnce(&ConfigContext<'_>) -> T,
    ) -> T {
        let streams = Visible(self.configs(account).map(|c| (c.name.as_str(), c)).collect());
        let limits = self.accounts.get(account).and_then(|state| {
            let tier = state.usage.tier(requested.num_replicas);
            tier.map(|(_, limits, _)| *limits)
        });
        let context = ConfigContext {
            pedantic,
            max_duplicate_window: self.settings.max_duplicate_window,
            max_bytes_required: limits.is_some_and(|l| l.max_bytes_required),
            memory_max_stream_bytes: limits.map_or(0, |l| l.memory_max_stream_bytes),
            file_max_stream_bytes: limits.map_or(0, |l| l.storage_max_stream_bytes),
            streams: &streams,
        };
        f(&context)
    }

    /// Creates a stream, or finds the one that is the same already.
    pub(super) fn create_stream(
        &mut self,
        account: &str,
        requested: &StreamConfig,
        pedantic: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<u64, ApiError> {
        let invalid = |text: &str| Err(ErrorKind::StreamInvalidConfig.with(text));
        if requested.sealed {
            return invalid("stream configuration for create can not be sealed");
        }
        if requested.mirror_direct && requested.mirror.is_none() {
            return invalid("stream has no mirror but does have mirror direct");
        }
        let mut requested = requested.clone();
        let level = api_level::required_by_stream(&requested);
        api_level::set_required(&mut requested.metadata, level);
        // Limits are looked at before the configuration is, as far as they can be.
        let sized =
            StreamConfig { num_replicas: requested.num_replicas.max(1), ..requested.clone() };
        let existing = self.stream_id(account, &requested.name);
        if existing.is_none() {
            self.check_limits(account, &sized, sized.max_bytes.max(0), true)?;
        }
        let mut config = self.with_config_context(account, &requested, pedantic, |context| {
            validate(&requested, context)
        })?;
        if config.num_replicas > 1 {
            return Err(ErrorKind::StreamReplicasNotSupported.into());
        }
        if let Some(id) = existing
            && let Some(entry) = self.streams.get(&id)
        {
            let stored = entry.stream.config();
            api_level::copy_required(&stored.metadata, &mut config.metadata);
            if *stored == config {
                return Ok(id);
            }
            return Err(ErrorKind::StreamNameExist.into());
        }
        if self.configs(account).any(|o| subjects_overlap(&config.subjects, &o.subjects)) {
            return Err(ErrorKind::StreamSubjectOverlap.into());
        }
        let store = self.open_store(account, &config, now.to_date_time(), now);
        let store = store.map_err(|error| {
            let text =
                format!("Error creating store for stream '{account} > {}': {error}", config.name);
            out.log(Level::Error, &text);
            ErrorKind::StreamCreate.with("error creating store for stream")
        })?;
        let id = self.add_stream(account, config, now, store, now, out);
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.stream.advise(Action::Create, now);
            entry.stream.start(now);
        }
        self.pump_stream(id, now, out);
        Ok(id)
    }

    /// Opens the store of a stream.
    pub(super) fn open_store(
        &self,
        account: &str,
        config: &StreamConfig,
        created: crate::time::DateTime,
        now: Timestamp,
    ) -> StoreResult<Box<dyn Store>> {
        if config.storage == StorageType::Memory {
            return Ok(Box::new(MemoryStore::new(config.clone())?));
        }
        let dir = layout::stream(&self.settings.store_dir, account, &config.name);
        let mut options = FileStoreOptions::new(self.disk.clone(), dir, created, (self.secrets)());
        options.encryption = self.settings.encryption(account);
        let store = FileStore::open(options, config.clone(), now).map_err(|error| error.0)?;
        Ok(Box::new(store))
    }

    /// Takes a stream over that has its store, and subscribes for it.
    pub(super) fn add_stream(
        &mut self,
        account: &str,
        config: StreamConfig,
        created: Timestamp,
        store: Box<dyn Store>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> u64 {
        let id = self.next_id();
        let staging: Box<dyn StagingArea> = match config.storage {
            StorageType::Memory => Box::new(MemoryStaging),
            StorageType::File => Box::new(FileStaging {
                disk: self.disk.clone(),
                dir: layout::batches(&layout::stream(
                    &self.settings.store_dir,
                    account,
                    &config.name,
                )),
                encryption: self.settings.encryption(account),
                secrets: self.secrets.clone(),
                now,
            }),
        };
        let usage = self.accounts.get(account).map(|state| state.usage.clone()).unwrap_or_default();
        let context = StreamContext {
            account: account.to_owned(),
            domain: self.settings.domain.clone(),
            max_payload: self.settings.max_payload,
            max_pending: self.settings.max_pending,
            batches: self.settings.batches,
            batch_count: self.batch_count.clone(),
            resources: Arc::new(StreamResources { server: self.usage.clone(), account: usage }),
            staging,
            seed: self.random.next(),
        };
        self.reserve(&config, 1);
        let name = config.name.clone();
        let stream = Stream::new(config, created, store, context);
        let entry = StreamEntry {
            account: account.to_owned(),
            name: name.clone(),
            stream,
            consumers: BTreeMap::new(),
            filters: FilterIndex::new(),
            subjects: Vec::new(),
            dirty: false,
            sources: BTreeMap::new(),
            direct: Vec::new(),
        };
        self.streams.insert(id, entry);
        if let Some(state) = self.accounts.get_mut(account) {
            state.streams.insert(name, id);
        }
        self.update_subscriptions(id, out);
        id
    }

    /// Subscribes to what the stream's configuration says, and to nothing else.
    fn update_subscriptions(&mut self, id: u64, out: &mut dyn Outside) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let config = entry.stream.config();
        let target = Target::Publish(id);
        let is_sealed = config.sealed;
        let wanted: Vec<String> = if is_sealed { Vec::new() } else { config.subjects.clone() };
        for subject in &entry.subjects {
            if !wanted.contains(subject) {
                out.unsubscribe(subject, target);
            }
        }
        for subject in &wanted {
            if !entry.subjects.contains(subject) {
                out.subscribe(&entry.account, ClientId(id), subject, None, target);
            }
        }
        let direct =
            if config.allow_direct { direct_subjects(&entry.name, id) } else { Vec::new() };
        entry.subjects = wanted;
        for (subject, target) in &entry.direct {
            if !direct.iter().any(|(wanted, _)| wanted == subject) {
                out.unsubscribe(subject, *target);
            }
        }
        for (subject, target) in &direct {
            if !entry.direct.iter().any(|(present, _)| present == subject) {
                let queue = Some(DIRECT_QUEUE);
                out.subscribe(&entry.account, ClientId(id), subject, queue, *target);
            }
        }
        entry.direct = direct;
    }

    /// The mirror has caught up: it answers for its origin too.
    pub(super) fn answer_for_origin(&mut self, id: u64, out: &mut dyn Outside) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let config = entry.stream.config();
        let Some(mirror) = config.mirror.as_ref().filter(|m| m.external.is_none()) else { return };
        if !config.mirror_direct {
            return;
        }
        for (subject, target) in direct_subjects(&mirror.name, id) {
            if !entry.direct.iter().any(|(present, _)| *present == subject) {
                let queue = Some(DIRECT_QUEUE);
                out.subscribe(&entry.account, ClientId(id), &subject, queue, target);
                entry.direct.push((subject, target));
            }
        }
    }

    /// Changes a stream (spec 07a §A4).
    pub(super) fn update_stream(
        &mut self,
        account: &str,
        requested: &StreamConfig,
        pedantic: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<u64, ApiError> {
        let mut requested = requested.clone();
        let level = api_level::required_by_stream(&requested);
        api_level::set_required(&mut requested.metadata, level);
        let found = self.stream_id(account, &requested.name);
        let found = found.and_then(|id| Some((id, self.streams.get(&id)?)));
        let Some((id, entry)) = found else {
            self.with_config_context(account, &requested, pedantic, |context| {
                validate(&requested, context)
            })?;
            return Err(ErrorKind::StreamNotFound.into());
        };
        let old = entry.stream.config().clone();
        let config = self.with_config_context(account, &requested, pedantic, |context| {
            check_update(&old, &requested, context)
        })?;
        let added = config.max_bytes.max(0).saturating_sub(old.max_bytes.max(0)).max(0);
        self.check_limits(account, &config, added, false)?;
        let consumers: Vec<_> = entry
            .consumers
            .iter()
            .filter_map(|(name, id)| {
                let config = self.consumers.get(id)?.consumer.config();
                Some((name.as_str(), config.inactive_threshold, config.max_ack_pending))
            })
            .collect();
        check_consumer_limits(&old, &config, consumers)?;
        let overlaps = self.configs(account).any(|other| {
            other.name != config.name && subjects_overlap(&config.subjects, &other.subjects)
        });
        if overlaps {
            return Err(ErrorKind::StreamSubjectOverlap.into());
        }
        self.reserve(&old, -1);
        self.reserve(&config, 1);
        let becomes_interest =
            old.retention != config.retention && config.retention == RetentionPolicy::Interest;
        let updated = match self.streams.get_mut(&id) {
            Some(entry) => entry.stream.update_config(config, now),
            None => Ok(()),
        };
        self.update_subscriptions(id, out);
        self.adopt_stream_config(id);
        if becomes_interest {
            self.remove_unneeded(id, now, out);
        }
        self.pump_stream(id, now, out);
        updated.map_err(|error| ErrorKind::StreamUpdate.with(error))?;
        Ok(id)
    }

    /// Deletes a stream with its consumers.
    pub(super) fn delete_stream(
        &mut self,
        id: u64,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(), ApiError> {
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(ErrorKind::StreamNotFound.into());
        };
        let consumers: Vec<u64> = entry.consumers.values().copied().collect();
        for consumer in consumers {
            self.remove_consumer(consumer, now, out);
        }
        let Some(entry) = self.streams.get_mut(&id) else { return Ok(()) };
        let deleted = entry.stream.delete(now);
        self.pump_stream(id, now, out);
        let Some(entry) = self.streams.remove(&id) else { return Ok(()) };
        self.schedule.forget(Asset::Stream(id));
        out.unsubscribe_all(Target::Publish(id));
        out.unsubscribe_all(Target::DirectGet(id));
        out.unsubscribe_all(Target::DirectGetLast(id));
        self.reserve(entry.stream.config(), -1);
        if let Some(state) = self.accounts.get_mut(&entry.account) {
            state.streams.remove(&entry.name);
        }
        if entry.stream.config().storage == StorageType::File {
            let dir = layout::stream(&self.settings.store_dir, &entry.account, &entry.name);
            if let Err(error) = remove_dir_if_exists(self.disk.as_ref(), &dir) {
                out.log(Level::Warn, &format!("Could not remove {}: {error}", dir.display()));
            }
            self.remove_empty_account(&entry.account, out);
        }
        match deleted {
            Ok(()) | Err(StoreError::Closed) => Ok(()),
            Err(error) => Err(ErrorKind::StreamDelete.with(error)),
        }
    }

    /// A message on one of a stream's subjects.
    pub(super) fn publish(
        &mut self,
        id: u64,
        message: Incoming,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let inbound = Inbound {
            subject: message.subject,
            reply: message.reply,
            header: message.header,
            payload: message.payload,
            from: Origin::Client,
        };
        entry.stream.publish(inbound, now);
        self.mark_dirty(id);
        self.pump_stream(id, now, out);
    }

    /// A message or an answer for a mirror or source.
    pub(super) fn source_message(
        &mut self,
        id: u64,
        source: u64,
        message: Incoming,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let Some(source) = entry.sources.get(&source).copied() else { return };
        let inbound = Inbound {
            subject: message.subject,
            reply: message.reply,
            header: message.header,
            payload: message.payload,
            from: Origin::Source,
        };
        entry.stream.received(source, inbound, now);
        self.mark_dirty(id);
        self.pump_stream(id, now, out);
    }

    /// A direct get; `subject` is the one at the end of the request's.
    pub(super) fn direct_get(
        &mut self,
        id: u64,
        message: &Incoming,
        subject: Option<&[u8]>,
        out: &mut dyn Outside,
    ) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let (reply, header, body) = (message.reply.clone(), &message.header, &message.payload);
        let stream = &mut entry.stream;
        let get = match subject {
            None => stream.direct_get(reply, header, body),
            Some(subject) => stream.direct_get_last(subject, reply, header, body),
        };
        let Some(mut get) = get else { return };
        while let Some(answer) = stream.next_direct(&mut get) {
            let message = super::Outgoing {
                to: &answer.subject,
                subject: &answer.subject,
                reply: &answer.reply,
                header: &answer.header,
                payload: &answer.payload,
            };
            out.send(&entry.account, ClientId(id), message);
        }
    }
}

/// The subjects for direct gets from a stream of that name.
fn direct_subjects(name: &str, id: u64) -> Vec<(String, Target)> {
    vec![
        (format!("$JS.API.DIRECT.GET.{name}"), Target::DirectGet(id)),
        (format!("$JS.API.DIRECT.GET.{name}.>"), Target::DirectGetLast(id)),
    ]
}
