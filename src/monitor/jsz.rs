//! `/jsz` (spec 04 §3.9) of a server without JetStream.

use super::format::Time;
use crate::server::Server;
use serde::Serialize;
use std::time::SystemTime;

/// What is asked of `/jsz` that matters without JetStream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JszOptions {
    /// Answer only as the leader of the JetStream cluster.
    pub leader_only: bool,
}

/// JetStream API statistics.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ApiStats {
    level: u32,
    total: u64,
    errors: u64,
}

/// The JetStream configuration's part that is always shown.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Config {
    max_memory: i64,
    max_storage: i64,
}

/// The document at `/jsz`.
#[derive(Clone, Debug, Serialize)]
pub struct Jsz {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiStats,
    server_id: String,
    now: Time,
    disabled: bool,
    config: Config,
    streams: usize,
    consumers: usize,
    messages: u64,
    bytes: u64,
    total: usize,
}

/// Takes the snapshot.
///
/// # Errors
/// The text of the 400 answer.
pub fn jsz(server: &Server, options: &JszOptions) -> Result<Jsz, String> {
    if options.leader_only {
        return Err("filtered response: not leader".to_owned());
    }
    Ok(Jsz {
        memory: 0,
        storage: 0,
        reserved_memory: 0,
        reserved_storage: 0,
        accounts: 0,
        ha_assets: 0,
        api: ApiStats::default(),
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        disabled: true,
        config: Config::default(),
        streams: 0,
        consumers: 0,
        messages: 0,
        bytes: 0,
        total: 0,
    })
}
