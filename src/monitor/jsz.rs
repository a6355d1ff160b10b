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

/// Accounts on a page.
const DEFAULT_ACCOUNTS: usize = 1024;

/// What of accounts is asked for, as it is given in a request.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// One account alone, or empty.
    pub account: String,
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
    /// Where the page starts.
    pub offset: i64,
    /// How many accounts fit: 0 for the default, less for all of them.
    pub limit: i64,
}

impl From<Asked> for Wanted {
    fn from(asked: Asked) -> Wanted {
        let streams = asked.streams || asked.consumers;
        let account = Some(asked.account).filter(|name| !name.is_empty());
        let offset = usize::try_from(asked.offset).ok().filter(|_| asked.limit >= 0);
        Wanted {
            accounts: asked.accounts || (streams && account.is_none()),
            account,
            streams,
            consumers: asked.consumers,
            direct_consumers: asked.direct_consumers,
            config: asked.config,
            offset: offset.unwrap_or(0),
            limit: match asked.limit {
                0 => Some(DEFAULT_ACCOUNTS),
                limit => usize::try_from(limit).ok(),
            },
        }
    }
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
