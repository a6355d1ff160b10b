//! `/accstatz` (spec 04 §3.8): traffic of the accounts.

use super::format::Time;
use crate::account::Account;
use crate::server::Server;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// Messages and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessagesBytes {
    msgs: i64,
    bytes: i64,
}

/// Traffic in one direction, and how much of it was with other servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DataStats {
    msgs: i64,
    bytes: i64,
    gateways: MessagesBytes,
    routes: MessagesBytes,
    leafs: MessagesBytes,
}

/// An account's statistics.
#[derive(Clone, Debug, Serialize)]
pub struct AccountStat {
    acc: String,
    name: String,
    conns: usize,
    leafnodes: usize,
    total_conns: usize,
    num_subscriptions: u32,
    sent: DataStats,
    received: DataStats,
    slow_consumers: i64,
}

impl AccountStat {
    /// The account's name.
    pub fn account(&self) -> &str {
        &self.acc
    }

    /// The statistics of that account now.
    pub fn of(account: &Account) -> AccountStat {
        let load = |n: &AtomicI64| n.load(Ordering::Relaxed);
        let data = |msgs: &AtomicI64, bytes: &AtomicI64| DataStats {
            msgs: load(msgs),
            bytes: load(bytes),
            ..DataStats::default()
        };
        let (connections, traffic) = (account.client_count(), &account.traffic);
        AccountStat {
            acc: account.name.clone(),
            name: account.name_tag(),
            conns: connections,
            leafnodes: 0,
            total_conns: connections,
            num_subscriptions: u32::try_from(account.sublist.count()).unwrap_or(u32::MAX),
            sent: data(&traffic.out_messages, &traffic.out_bytes),
            received: data(&traffic.in_messages, &traffic.in_bytes),
            slow_consumers: load(&account.slow_consumers),
        }
    }
}

/// The document at `/accstatz`.
#[derive(Clone, Debug, Serialize)]
pub struct Accstatz {
    server_id: String,
    now: Time,
    account_statz: Vec<AccountStat>,
}

impl Accstatz {
    /// The statistics of these accounts; those without connections are in it if `unused` is set.
    pub fn of(server: &Server, accounts: Vec<Arc<Account>>, unused: bool) -> Accstatz {
        let used = accounts.iter().filter(|a| unused || a.client_count() > 0);
        Accstatz {
            server_id: server.info().server_id.clone(),
            now: Time::utc(SystemTime::now()),
            account_statz: used.map(|a| AccountStat::of(a)).collect(),
        }
    }

    /// Whether no account is in it.
    pub fn is_empty(&self) -> bool {
        self.account_statz.is_empty()
    }
}

/// Takes the snapshot; accounts without connections are in it if `unused` is set.
pub fn accstatz(server: &Server, unused: bool) -> Accstatz {
    Accstatz::of(server, server.accounts(), unused)
}
