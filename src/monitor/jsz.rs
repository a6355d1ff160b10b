//! `/jsz` (spec 04 §3.9).

use super::format::Time;
use super::jetstream::{Config, Limits, Stats, config, limits, running, stats, totals};
use crate::server::Server;
use jetstream::server::{AccountDetail, Wanted};
use serde::Serialize;
use std::time::SystemTime;

/// What is asked of `/jsz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JszOptions {
    /// Answer only as the leader of the JetStream cluster.
    pub leader_only: bool,
    /// What of accounts is to be shown.
    pub wanted: Wanted,
}

/// The document at `/jsz`.
#[derive(Debug, Serialize)]
pub struct Jsz {
    #[serde(flatten)]
    stats: Stats,
    server_id: String,
    now: Time,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    streams: usize,
    consumers: usize,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<AccountDetail>,
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
    let mut document = Jsz {
        stats: Stats::default(),
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        disabled: true,
        config: Config::default(),
        limits: None,
        streams: 0,
        consumers: 0,
        messages: 0,
        bytes: 0,
        account_details: Vec::new(),
        total: 0,
    };
    let Some(handle) = running(server) else { return Ok(document) };
    let totals = totals(handle);
    document.disabled = false;
    document.stats = stats(handle, &totals);
    document.config = config(server, handle);
    document.limits = Some(limits(server));
    document.streams = totals.streams;
    document.consumers = totals.consumers;
    document.messages = totals.messages;
    document.bytes = totals.bytes;
    document.total = totals.accounts;
    let wanted = options.wanted.clone();
    let details = handle.ask(move |engine, now, out| engine.account_details(&wanted, now, out));
    document.account_details = details.unwrap_or_default();
    Ok(document)
}
