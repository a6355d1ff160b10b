//! What several documents show of JetStream (spec 04 §3.2).

use crate::jetstream::Handle;
use crate::server::Server;
use jetstream::api_level::API_LEVEL;
use jetstream::config::StorageType;
use jetstream::server::Totals;
use serde::Serialize;

/// How it is configured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Config {
    max_memory: i64,
    max_storage: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    store_dir: String,
    #[serde(skip_serializing_if = "is_zero")]
    sync_interval: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sync_always: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    domain: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    compress_ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    unique_tag: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// How the API was used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ApiStats {
    level: u32,
    total: u64,
    errors: u64,
}

/// What it holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stats {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiStats,
}

/// `limits {}`, as far as they are set.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Limits {
    #[serde(skip_serializing_if = "is_zero")]
    max_request_batch: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_ha_assets: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_duplicate_window: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_inflight_per_stream: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_inflight_total: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_size: i64,
    #[serde(skip_serializing_if = "is_zero")]
    max_batch_timeout: i64,
}

fn nanos(d: std::time::Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

/// How JetStream is configured.
pub fn config(server: &Server, handle: &Handle) -> Config {
    let (settings, options) = (handle.settings(), server.options());
    let o = &options.jetstream;
    Config {
        max_memory: settings.max_memory,
        max_storage: settings.max_store,
        store_dir: settings.store_dir.display().to_string(),
        sync_interval: nanos(o.sync_interval),
        sync_always: o.sync_always,
        domain: o.domain.clone(),
        compress_ok: false,
        unique_tag: o.unique_tag.clone(),
        strict: settings.strict,
    }
}

/// What JetStream holds; `totals` tells the number of accounts.
pub fn stats(handle: &Handle, totals: &Totals) -> Stats {
    let usage = handle.usage();
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    let (total, errors) = handle.api_counts();
    Stats {
        memory: positive(usage.used.get(StorageType::Memory)),
        storage: positive(usage.used.get(StorageType::File)),
        reserved_memory: positive(usage.reserved.get(StorageType::Memory)),
        reserved_storage: positive(usage.reserved.get(StorageType::File)),
        accounts: totals.accounts,
        ha_assets: 0,
        api: ApiStats { level: API_LEVEL, total, errors },
    }
}

/// The limits that are configured.
pub fn limits(server: &Server) -> Limits {
    let options = server.options();
    let l = &options.jetstream.limits;
    Limits {
        max_request_batch: l.max_request_batch,
        max_ack_pending: l.max_ack_pending,
        max_ha_assets: l.max_ha_assets,
        max_duplicate_window: nanos(l.duplicate_window),
        max_batch_inflight_per_stream: l.max_batch_inflight_per_stream,
        max_batch_inflight_total: l.max_batch_inflight_total,
        max_batch_size: l.max_batch_messages,
        max_batch_timeout: nanos(l.max_batch_timeout),
    }
}

/// JetStream if it runs.
pub fn running(server: &Server) -> Option<&Handle> {
    server.jetstream().map(|handle| &**handle).filter(|handle| handle.is_enabled())
}

/// The numbers of all accounts; nothing if JetStream is too busy to tell.
pub fn totals(handle: &Handle) -> Totals {
    handle.ask(|engine, _, _| engine.totals()).unwrap_or_default()
}
