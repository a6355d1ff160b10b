//! What monitoring shows (spec 04 §3.9, §3.10).

use super::info::Shown;
use super::usage::{self, UNTIERED};
use super::{JetStream, Outside};
use crate::api::responses::ClusterInfo;
use crate::config::{StorageType, StreamConfig};
use crate::consumers::ConsumerInfo;
use crate::stream::sourcing::StreamSourceInfo;
use crate::time::Timestamp;
use crate::types::StreamState;
use serde::Serialize;

/// All accounts together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Accounts that may use JetStream.
    pub accounts: usize,
    /// Their streams.
    pub streams: usize,
    /// Their consumers.
    pub consumers: usize,
    /// Their messages.
    pub messages: u64,
    /// The bytes of those.
    pub bytes: u64,
}

/// What of accounts is to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// One account alone.
    pub account: Option<String>,
    /// All accounts.
    pub accounts: bool,
    /// Their streams.
    pub streams: bool,
    /// The consumers of those.
    pub consumers: bool,
    /// The consumers of mirrors and sources, too.
    pub direct_consumers: bool,
    /// Configurations.
    pub config: bool,
    /// Where the page of accounts starts.
    pub offset: usize,
    /// How many accounts fit; `None` for all of them.
    pub limit: Option<usize>,
}

/// How the API was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ApiDetail {
    level: u32,
    total: u64,
    errors: u64,
}

/// An account.
#[derive(Debug, Serialize)]
pub struct AccountDetail {
    name: String,
    id: String,
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiDetail,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<StreamDetail>,
}

/// A stream.
#[derive(Debug, Serialize)]
pub struct StreamDetail {
    name: String,
    created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<StreamConfig>,
    state: StreamState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    direct_consumer_detail: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<StreamSourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<StreamSourceInfo>,
}

/// Why something is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unhealthy {
    /// There is no such account, stream or consumer; the text says which.
    Missing(String),
    /// It cannot do its work; the text says why.
    Broken(String),
}

impl JetStream {
    /// All accounts together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for account in self.accounts.values().filter(|account| account.enabled) {
            totals.accounts += 1;
            for entry in account.streams.values().filter_map(|id| self.streams.get(id)) {
                let state = entry.stream.state();
                totals.streams += 1;
                totals.consumers += entry.consumers.len();
                totals.messages += state.messages;
                totals.bytes += state.bytes;
            }
        }
        totals
    }

    /// The accounts that are wanted.
    pub fn account_details(
        &mut self,
        wanted: &Wanted,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Vec<AccountDetail> {
        let enabled = self.accounts.iter().filter(|(_, account)| account.enabled);
        let names: Vec<String> = enabled.map(|(name, _)| name.clone()).collect();
        let found = wanted.account.as_ref().filter(|name| names.contains(name));
        let chosen: Vec<String> = match (found, wanted.accounts) {
            (Some(name), _) => vec![name.clone()],
            (None, false) => Vec::new(),
            (None, true) => match wanted.limit {
                None => names,
                Some(limit) => names.into_iter().skip(wanted.offset).take(limit).collect(),
            },
        };
        chosen.iter().filter_map(|name| self.account_detail(name, wanted, now, out)).collect()
    }

    fn account_detail(
        &mut self,
        name: &str,
        wanted: &Wanted,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<AccountDetail> {
        let account = self.accounts.get(name)?;
        let used = |storage| {
            let tiers = account.usage.tiers();
            tiers.map(|(_, _, used)| used.get(storage)).fold(0, i64::saturating_add)
        };
        let limit = |storage| {
            let limits = account.limits.get(UNTIERED);
            // No limit shows as the largest number.
            limits.map_or(0, |limits| usage::storage_limit(limits, storage)).cast_unsigned()
        };
        let mut detail = AccountDetail {
            name: name.to_owned(),
            id: name.to_owned(),
            memory: u64::try_from(used(StorageType::Memory)).unwrap_or(0),
            storage: u64::try_from(used(StorageType::File)).unwrap_or(0),
            reserved_memory: limit(StorageType::Memory),
            reserved_storage: limit(StorageType::File),
            accounts: 0,
            ha_assets: 0,
            api: ApiDetail { level: 0, total: account.api_total, errors: account.api_errors },
            stream_detail: Vec::new(),
        };
        if wanted.streams {
            let ids: Vec<u64> = account.streams.values().copied().collect();
            let details = ids.into_iter().filter_map(|id| self.stream_detail(id, wanted, now, out));
            detail.stream_detail = details.collect();
        }
        Some(detail)
    }

    fn stream_detail(
        &mut self,
        id: u64,
        wanted: &Wanted,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<StreamDetail> {
        let info = self.stream_info(id, Shown { cluster: true, ..Shown::default() }, now)?;
        let entry = self.streams.get(&id)?;
        let name = entry.name.clone();
        let consumers: Vec<u64> = entry.consumers.values().copied().collect();
        let (mut shown, mut direct) = (Vec::new(), Vec::new());
        if wanted.consumers {
            for consumer in consumers {
                let is_direct =
                    self.consumers.get(&consumer).is_some_and(|c| c.consumer.config().direct);
                let Some(mut info) = self.consumer_info(consumer, false, now, out) else {
                    continue;
                };
                if !wanted.config {
                    info.config = None;
                }
                if is_direct { direct.push(info) } else { shown.push(info) }
            }
        }
        Some(StreamDetail {
            name,
            created: info.created,
            cluster: info.cluster,
            config: wanted.config.then_some(info.config),
            state: info.state,
            consumer_detail: shown,
            direct_consumer_detail: if wanted.direct_consumers { direct } else { Vec::new() },
            mirror: info.mirror,
            sources: info.sources,
        })
    }

    /// Whether everything stored is there and works; empty names stand for all there are.
    ///
    /// # Errors
    /// What is wrong, in the order in which it was found.
    pub fn check_health(
        &self,
        account: &str,
        stream: &str,
        consumer: &str,
    ) -> Result<(), Vec<Unhealthy>> {
        let mut wrong = Vec::new();
        if !account.is_empty() && !self.is_enabled(account) {
            let text = format!("JetStream account {account:?} not found");
            return Err(vec![Unhealthy::Missing(text)]);
        }
        for (name, state) in &self.accounts {
            if !state.enabled || (!account.is_empty() && name != account) {
                continue;
            }
            if !stream.is_empty() && !state.streams.contains_key(stream) {
                let text = format!("JetStream stream {stream:?} not found on account {name:?}");
                wrong.push(Unhealthy::Missing(text));
                continue;
            }
            let dir = super::layout::streams(&self.settings.store_dir, name);
            for found in self.disk.list(&dir).unwrap_or_default() {
                let is_wanted = stream.is_empty() || found.name == stream;
                let is_stream = found.is_dir && !found.name.starts_with('.');
                if is_wanted && is_stream && !state.streams.contains_key(&found.name) {
                    wrong.push(Unhealthy::Broken(format!(
                        "JetStream stream '{name} > {}' could not be recovered",
                        found.name
                    )));
                }
            }
            for (known, id) in &state.streams {
                if !stream.is_empty() && known != stream {
                    continue;
                }
                let Some(entry) = self.streams.get(id) else { continue };
                if !consumer.is_empty() && !entry.consumers.contains_key(consumer) {
                    wrong.push(Unhealthy::Missing(format!(
                        "JetStream consumer {consumer:?} not found for stream {known:?} on account \
                         {name:?}"
                    )));
                }
                if let Some(error) = entry.stream.write_error() {
                    wrong.push(Unhealthy::Broken(format!(
                        "JetStream stream '{name} > {known}' write error: {error}"
                    )));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}
