//! `/accountz` (spec 04 §3.7): the accounts, and all about one of them.

use super::format::{Time, is_default};
use crate::server::Server;
use ::sublist::SublistStats;
use serde::Serialize;
use std::time::SystemTime;

/// All about an account. What this server's accounts cannot have yet (mappings, imports, exports,
/// claims) is left out, as the reference leaves it out of an account without.
#[derive(Clone, Debug, Serialize)]
pub struct AccountInfo {
    account_name: String,
    update_time: Time,
    #[serde(skip_serializing_if = "is_default")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: usize,
    client_connections: usize,
    subscriptions: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    name_tag: String,
    sublist_stats: SublistStats,
}

/// The document at `/accountz`.
#[derive(Clone, Debug, Serialize)]
pub struct Accountz {
    server_id: String,
    now: Time,
    #[serde(skip_serializing_if = "String::is_empty")]
    system_account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<AccountInfo>,
}

/// Takes the snapshot: of that account, or the names of all if `name` is empty.
///
/// # Errors
/// The text of the 400 answer.
pub fn accountz(server: &Server, name: &str) -> Result<Accountz, String> {
    let mut document = Accountz {
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        system_account: server.system_account_name(),
        accounts: Vec::new(),
        account_detail: None,
    };
    if name.is_empty() {
        document.accounts = server.accounts().iter().map(|a| a.name.clone()).collect();
        document.accounts.sort_unstable();
        return Ok(document);
    }
    let account = server.account(name).ok_or_else(|| format!("Account {name} does not exist"))?;
    let stats = account.sublist.stats();
    document.account_detail = Some(AccountInfo {
        account_name: account.name.clone(),
        update_time: Time::utc(account.updated),
        is_system: server.is_system_account(&account),
        expired: false,
        complete: true,
        jetstream_enabled: crate::jetstream::is_enabled_for(server, &account.name),
        leafnode_connections: 0,
        client_connections: account.client_count(),
        subscriptions: stats.num_subscriptions,
        name_tag: account.name_tag(),
        sublist_stats: stats,
    });
    Ok(document)
}
