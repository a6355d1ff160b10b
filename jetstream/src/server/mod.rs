//! JetStream of one server: accounts with their streams and consumers, and the API (spec 07a §A1,
//! spec 07c).
//!
//! [`JetStream`] owns everything and does no input or output but through its disk and its
//! [`Outside`]. Its driver
//! 1. adds the accounts ([`JetStream::add_account`]), which brings back what is stored;
//! 2. hands in what arrives at its subscriptions ([`JetStream::received`]) and changes of the
//!    interest it watches ([`JetStream::interest_changed`]);
//! 3. calls [`JetStream::commit`] when it has handed in all there was: what was stored becomes
//!    durable with one sync a stream, and is acknowledged and delivered then;
//! 4. calls [`JetStream::tick`] once [`JetStream::next_deadline`] has passed, and
//!    [`JetStream::work`] as long as [`JetStream::has_work`].
//!
//! Ids of streams and consumers are never used twice, so that what arrives for one that is gone
//! finds nothing.

mod account;
mod advisory;
mod api;
mod consumer_api;
mod consumers;
mod info;
mod layout;
mod monitor;
mod outside;
mod pump;
mod recovery;
mod schedule;
mod settings;
mod stream_api;
mod streams;
pub mod usage;

#[cfg(test)]
mod tests;

pub use account::AccountFacts;
pub use api::{NoRequester, Requester};
pub use monitor::{AccountDetail, StreamDetail, Totals, Unhealthy, Wanted};
pub use outside::{ClientId, Incoming, Level, Outgoing, Outside, Target};
pub use settings::{Commit, Keys, Settings};
pub use usage::Tiers;

use crate::config::StorageType;
use crate::consumers::{Consumer, FilterIndex};
use crate::disk::SharedDisk;
use crate::error::StoreError;
use crate::store::RandomSource;
use crate::stream::context::BatchCount;
use crate::stream::{Stream, SubscriptionId};
use crate::time::Timestamp;
use account::Account;
use ahash::RandomState;
use schedule::Schedule;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use usage::ServerUsage;

/// Makes sources of randomness that cannot be guessed.
pub type Secrets = Arc<dyn Fn() -> Box<dyn RandomSource + Send> + Send + Sync>;

/// A map by id. It is never iterated, so that its order reaches nothing.
type ById<T> = HashMap<u64, T, RandomState>;

/// A stream with what belongs to it.
struct StreamEntry {
    account: String,
    name: String,
    stream: Stream,
    /// Its consumers by name.
    consumers: BTreeMap<String, u64>,
    /// Which of them get a message.
    filters: FilterIndex<u64>,
    /// The subjects it is subscribed to.
    subjects: Vec<String>,
    /// Something was stored that is not committed yet.
    dirty: bool,
    /// Its subscriptions for mirror and sources, by number.
    sources: BTreeMap<u64, SubscriptionId>,
    /// Its subscriptions for direct gets, with their targets.
    direct: Vec<(String, Target)>,
}

/// A consumer with what belongs to it.
struct ConsumerEntry {
    stream: u64,
    consumer: Consumer,
    /// It waits for its turn to deliver.
    queued: bool,
}

/// JetStream of one server. See the module for how to drive it.
pub struct JetStream {
    settings: Settings,
    disk: SharedDisk,
    secrets: Secrets,
    accounts: BTreeMap<String, Account>,
    streams: ById<StreamEntry>,
    consumers: ById<ConsumerEntry>,
    usage: Arc<ServerUsage>,
    batch_count: Arc<BatchCount>,
    random: Random,
    last_id: u64,
    schedule: Schedule,
    /// Streams with something to commit.
    dirty: Vec<u64>,
    /// Streams with something that is not durable although it was acknowledged, and when that is
    /// to be over.
    unsynced: BTreeSet<u64>,
    sync_at: Option<Timestamp>,
    /// Consumers with something to deliver.
    ready: VecDeque<u64>,
    /// Why nothing is taken any more.
    failed: Option<StoreError>,
    api_total: u64,
    api_errors: u64,
}

/// Randomness that need not be secret: ids, names, seeds. It comes from a seed, so that a run can
/// be repeated (SplitMix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Letters and digits.
    fn name(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut letter = || {
            let at = usize::try_from(self.next() % ALPHABET.len() as u64).unwrap_or(0);
            char::from(ALPHABET[at])
        };
        (0..len).map(|_| letter()).collect()
    }

    /// An id for an advisory.
    fn id(&mut self) -> String {
        self.name(22)
    }
}

impl JetStream {
    /// JetStream without accounts.
    pub fn new(settings: Settings, disk: SharedDisk, secrets: Secrets, seed: u64) -> JetStream {
        JetStream {
            usage: Arc::new(ServerUsage::new(settings.max_memory, settings.max_store)),
            settings,
            disk,
            secrets,
            accounts: BTreeMap::new(),
            streams: ById::default(),
            consumers: ById::default(),
            batch_count: Arc::default(),
            random: Random(seed),
            last_id: 0,
            schedule: Schedule::default(),
            dirty: Vec::new(),
            unsynced: BTreeSet::new(),
            sync_at: None,
            ready: VecDeque::new(),
            failed: None,
            api_total: 0,
            api_errors: 0,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the server holds and promised.
    pub fn usage(&self) -> &Arc<ServerUsage> {
        &self.usage
    }

    /// Answers of the API, and how many of them were errors.
    pub fn api_counts(&self) -> (u64, u64) {
        (self.api_total, self.api_errors)
    }

    /// Why nothing is taken any more, if that is so.
    pub fn failed(&self) -> Option<&StoreError> {
        self.failed.as_ref()
    }

    /// Something arrived at a subscription.
    pub fn received(
        &mut self,
        target: Target,
        account: &str,
        message: Incoming,
        requester: &dyn Requester,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        if self.failed.is_some() {
            return;
        }
        match target {
            Target::Publish(id) => self.publish(id, message, now, out),
            Target::Api => self.api(account, &message, requester, now, out),
            Target::DirectGet(id) => self.direct_get(id, &message, None, out),
            Target::DirectGetLast(id) => {
                let subject = last_subject(&message.subject);
                self.direct_get(id, &message, Some(subject), out);
            }
            Target::Source(id, source) => self.source_message(id, source, message, now, out),
            Target::Ack(id) => self.ack(id, &message, now, out),
            Target::FlowControl(id) => self.flow_control(id, &message, now, out),
            Target::Next(id) => self.pull(id, &message, requester, now, out),
            Target::Reset(id) => self.reset_consumer(id, &message, account, now, out),
        }
    }

    /// Makes what was stored durable, and lets go what waited for that.
    pub fn commit(&mut self, now: Timestamp, out: &mut dyn Outside) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.streams.get_mut(&id) else { continue };
            entry.dirty = false;
            let is_async = entry.stream.config().persist_mode == crate::config::PersistMode::Async;
            let wait = self.settings.commit == Commit::Durable
                && !is_async
                && entry.stream.config().storage == StorageType::File;
            if wait {
                // A failure is told as an effect.
                let _ = entry.stream.sync();
            } else {
                if let Err(error) = entry.stream.store().flush() {
                    let text = format!("JetStream stream could not be written: {error}");
                    out.log(Level::Error, &text);
                }
                let last = entry.stream.last_sequence();
                entry.stream.committed(last);
                if let Commit::Lazy(interval) = self.settings.commit
                    && entry.stream.config().storage == StorageType::File
                {
                    self.unsynced.insert(id);
                    self.sync_at.get_or_insert(now.saturating_add(interval));
                }
            }
            self.pump_stream(id, now, out);
        }
    }

    /// Whether [`JetStream::work`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When [`JetStream::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [self.schedule.next(), self.sync_at].into_iter().flatten().min()
    }

    /// Makes durable what was acknowledged without being so.
    fn sync_late(&mut self, now: Timestamp, out: &mut dyn Outside) {
        if self.sync_at.is_none_or(|at| at > now) {
            return;
        }
        self.sync_at = None;
        for id in std::mem::take(&mut self.unsynced) {
            if let Some(entry) = self.streams.get_mut(&id) {
                // A failure is told as an effect.
                let _ = entry.stream.sync();
                self.pump_stream(id, now, out);
            }
        }
    }

    /// Ends everything: clients that wait are told, and stores are closed.
    pub fn stop(&mut self, now: Timestamp, out: &mut dyn Outside) {
        let accounts: Vec<String> = self.accounts.keys().cloned().collect();
        for account in accounts {
            let streams: Vec<u64> = self
                .accounts
                .get(&account)
                .into_iter()
                .flat_map(|a| a.streams.values().copied())
                .collect();
            for id in streams {
                self.stop_stream(id, now, out);
            }
        }
    }

    fn stop_stream(&mut self, id: u64, now: Timestamp, out: &mut dyn Outside) {
        let Some(entry) = self.streams.get(&id) else { return };
        let consumers: Vec<u64> = entry.consumers.values().copied().collect();
        for consumer in consumers {
            let stopped = self.with_consumer(consumer, now, out, |entry, turn| {
                entry.consumer.announce_shutdown();
                (entry.consumer.name().to_owned(), turn.now)
            });
            let Some((name, now)) = stopped else { continue };
            if let Some(entry) = self.consumers.get_mut(&consumer)
                && let Err(error) = entry.consumer.stop(now)
            {
                out.log(Level::Warn, &format!("Could not stop consumer '{name}': {error}"));
            }
        }
        let Some(entry) = self.streams.get_mut(&id) else { return };
        if let Err(error) = entry.stream.stop(now) {
            let name = &entry.name;
            out.log(Level::Warn, &format!("Could not stop stream '{name}': {error}"));
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Marks a stream for the next commit.
    fn mark_dirty(&mut self, id: u64) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.dirty
        {
            entry.dirty = true;
            self.dirty.push(id);
        }
    }

    /// The stream of that name.
    fn stream_id(&self, account: &str, name: &str) -> Option<u64> {
        self.accounts.get(account)?.streams.get(name).copied()
    }
}

/// The subject behind `$JS.API.DIRECT.GET.<stream>.`.
fn last_subject(subject: &[u8]) -> &[u8] {
    let mut tokens = subject.splitn(6, |byte| *byte == b'.');
    tokens.nth(5).unwrap_or_default()
}
