//! An account: its limits, its streams by name.

use super::usage::{self, AccountUsage, Tiers};
use super::{JetStream, Level, Outside, Target};
use crate::api::responses::{AccountInfo, AccountLimits, ApiUsage, TierUsage};
use crate::api::subjects::PREFIX;
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level::API_LEVEL;
use crate::config::{StorageType, StreamConfig};
use crate::consumers::ConsumerContext;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of an account when it is added.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// Its name.
    pub name: String,
    /// Its limits; `None` if it may not use JetStream.
    pub limits: Option<Tiers>,
}

/// An account of the server.
pub(super) struct Account {
    pub limits: Tiers,
    pub enabled: bool,
    pub streams: BTreeMap<String, u64>,
    pub usage: Arc<AccountUsage>,
    pub context: Arc<ConsumerContext>,
    pub api_total: u64,
    pub api_errors: u64,
}

impl JetStream {
    /// Adds an account, and brings back its streams.
    ///
    /// # Errors
    /// When the account is promised more than the server has (spec 07a §A1.2).
    pub fn add_account(
        &mut self,
        facts: AccountFacts,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<(), ApiError> {
        let AccountFacts { name, limits } = facts;
        let enabled = limits.is_some();
        let limits = limits.unwrap_or_default();
        if enabled {
            self.check_promise(&limits)?;
        }
        let context = ConsumerContext {
            account: name.clone(),
            domain: self.settings.domain.clone(),
            ack_format: self.settings.ack_format,
            max_payload: self.settings.max_payload,
        };
        let account = Account {
            usage: Arc::new(AccountUsage::new(&limits)),
            limits,
            enabled,
            streams: BTreeMap::new(),
            context: Arc::new(context),
            api_total: 0,
            api_errors: 0,
        };
        self.accounts.insert(name.clone(), account);
        out.subscribe(&name, super::ClientId::API, &format!("{PREFIX}>"), None, Target::Api);
        if enabled {
            self.recover_account(&name, now, out);
        }
        Ok(())
    }

    /// Whether the server has what it promises its accounts.
    fn check_promise(&self, limits: &Tiers) -> Result<(), ApiError> {
        for storage in [StorageType::Memory, StorageType::File] {
            let positive = |limits: &AccountLimits| usage::storage_limit(limits, storage).max(0);
            let wanted: i64 = limits.values().map(positive).fold(0, i64::saturating_add);
            if wanted == 0 {
                continue;
            }
            let others = self.accounts.values().flat_map(|account| account.limits.values());
            let promised = others.map(positive).fold(wanted, i64::saturating_add);
            let max = self.usage.max(storage);
            let reserved = self.usage.reserved.get(storage).saturating_add(wanted);
            if promised > max || reserved > max {
                return Err(usage::exceeded(storage));
            }
        }
        Ok(())
    }

    /// The configurations of an account's streams, by name.
    pub(super) fn configs<'a>(
        &'a self,
        account: &'a str,
    ) -> impl Iterator<Item = &'a StreamConfig> + 'a {
        let streams = self.accounts.get(account).into_iter().flat_map(|a| a.streams.values());
        streams.filter_map(|id| self.streams.get(id)).map(|entry| entry.stream.config())
    }

    /// Checks what a stream needs against what account and server have (spec 07a §A1.4). Streams of
    /// the same name do not count; `added` is what it needs of the server beyond what it has.
    pub(super) fn check_limits(
        &self,
        account: &str,
        config: &StreamConfig,
        added: i64,
        is_new: bool,
    ) -> Result<(), ApiError> {
        let Some(state) = self.accounts.get(account) else {
            return Err(ErrorKind::NotEnabledForAccount.into());
        };
        let Some((tier, limits, _)) = state.usage.tier(config.num_replicas) else {
            return Err(ErrorKind::NoLimits.into());
        };
        let tiered = state.usage.is_tiered();
        let counts = |other: &&StreamConfig| {
            other.name != config.name && (!tiered || usage::tier_name(other.num_replicas) == tier)
        };
        if is_new && limits.max_streams > 0 {
            let streams = self.configs(account).filter(counts).count();
            if i64::try_from(streams).unwrap_or(i64::MAX) >= limits.max_streams {
                return Err(ErrorKind::MaximumStreamsLimit.into());
            }
        }
        if config.max_consumers > 0
            && limits.max_consumers > 0
            && config.max_consumers > limits.max_consumers
        {
            return Err(ErrorKind::MaximumConsumersLimit.into());
        }
        let storage = config.storage;
        let limit = usage::storage_limit(limits, storage);
        if limit >= 0 {
            let others = self.configs(account).filter(counts).filter(|c| c.storage == storage);
            let reserved = others
                .filter(|other| other.max_bytes > 0)
                .map(|other| usage::account_reservation(other, tiered))
                .fold(0, i64::saturating_add);
            if reserved.saturating_add(usage::account_reservation(config, tiered)) > limit {
                return Err(usage::exceeded(storage));
            }
        }
        let reserved = self.usage.reserved.get(storage);
        if reserved.saturating_add(added) > self.usage.max(storage) {
            return Err(usage::exceeded(storage));
        }
        Ok(())
    }

    /// Usage and limits of an account (spec 07c §C2).
    pub(super) fn account_info(&self, account: &str) -> Option<AccountInfo> {
        let state = self.accounts.get(account)?;
        let mut tiers = BTreeMap::new();
        for (name, limits, used) in state.usage.tiers() {
            let mut tier = TierUsage {
                memory: positive(used.get(StorageType::Memory)),
                storage: positive(used.get(StorageType::File)),
                reserved_memory: 0,
                reserved_storage: 0,
                streams: 0,
                consumers: 0,
                limits: *limits,
            };
            for id in state.streams.values() {
                let Some(entry) = self.streams.get(id) else { continue };
                let config = entry.stream.config();
                if name != usage::UNTIERED && usage::tier_name(config.num_replicas) != name {
                    continue;
                }
                tier.streams += 1;
                tier.consumers += entry.consumers.len();
                let reserved = positive(config.max_bytes);
                match config.storage {
                    StorageType::Memory => tier.reserved_memory += reserved,
                    StorageType::File => tier.reserved_storage += reserved,
                }
            }
            tiers.insert(name.to_owned(), tier);
        }
        let mut total = TierUsage {
            memory: 0,
            storage: 0,
            reserved_memory: 0,
            reserved_storage: 0,
            streams: 0,
            consumers: 0,
            limits: AccountLimits::ZERO,
        };
        for tier in tiers.values() {
            total.memory += tier.memory;
            total.storage += tier.storage;
            total.reserved_memory += tier.reserved_memory;
            total.reserved_storage += tier.reserved_storage;
            total.streams += tier.streams;
            total.consumers += tier.consumers;
        }
        if let Some(flat) = tiers.remove(usage::UNTIERED) {
            total.limits = flat.limits;
        }
        Some(AccountInfo {
            total,
            domain: self.settings.domain.clone(),
            api: ApiUsage {
                level: API_LEVEL,
                total: state.api_total,
                errors: state.api_errors,
                inflight: 0,
            },
            tiers,
        })
    }

    /// Changes what the server has promised to streams.
    pub(super) fn reserve(&self, config: &StreamConfig, sign: i64) {
        if config.max_bytes > 0 {
            self.usage.reserved.add(config.storage, config.max_bytes.saturating_mul(sign));
        }
    }

    /// Removes directories of an account that hold nothing any more.
    pub(super) fn remove_empty_account(&self, account: &str, out: &mut dyn Outside) {
        let streams = super::layout::streams(&self.settings.store_dir, account);
        let is_empty =
            |dir: &std::path::Path| self.disk.list(dir).is_ok_and(|entries| entries.is_empty());
        let own = super::layout::account(&self.settings.store_dir, account);
        for dir in [streams, own] {
            if !is_empty(&dir) {
                return;
            }
            if let Err(error) = self.disk.remove_dir_all(&dir) {
                let text = format!("Could not remove directory {}: {error}", dir.display());
                return out.log(Level::Warn, &text);
            }
        }
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
