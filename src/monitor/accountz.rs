//! `/accountz` (spec 04 §3.7): the accounts, and all about one of them.

use super::format::{Time, is_default};
use crate::account::shares::Terms;
use crate::account::{Account, Definition, ServiceExport, ServiceImport};
use crate::config::options::account::ResponseType;
use crate::server::Server;
use crate::subscription::Destination as To;
use ::sublist::SublistStats;
use ::sublist::transform::SubjectMapping;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// All about an account. What it does not have is left out.
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mappings: BTreeMap<String, Vec<Destination>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name_tag: String,
    sublist_stats: SublistStats,
}

/// One destination of a mapping. The weights of a mapping add up: each is the upper end of a share.
#[derive(Clone, Debug, Serialize)]
struct Destination {
    subject: String,
    weight: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
}

/// What measures a service.
#[derive(Clone, Debug, Serialize)]
struct Latency {
    sampling: Sampling,
    results: String,
}

/// A percentage, or `headers` where requests ask for it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Sampling {
    Percent(u8),
    Headers(&'static str),
}

/// Something that others may import.
#[derive(Clone, Debug, Serialize)]
struct Export {
    subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    token_req: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    response_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_latency: Option<Latency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approved_accounts: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    revoked_activations: BTreeMap<String, Time>,
}

impl Export {
    fn new(subject: &str, kind: &'static str, terms: &Terms) -> Export {
        let at = |seconds: &i64| {
            let seconds = Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
            Time::local(SystemTime::UNIX_EPOCH + seconds)
        };
        let revoked = terms.revocations.iter().map(|(key, seconds)| (key.clone(), at(seconds)));
        Export {
            subject: subject.to_owned(),
            kind,
            token_req: terms.token_required,
            response_type: "",
            service_latency: None,
            approved_accounts: terms.accounts.clone(),
            revoked_activations: revoked.collect(),
        }
    }

    fn of_service(export: &ServiceExport) -> Export {
        let response_type = match export.response_type {
            ResponseType::Singleton => "Singleton",
            ResponseType::Streamed => "Streamed",
            ResponseType::Chunked => "Chunked",
        };
        let latency = export.latency.as_ref().map(|l| Latency {
            sampling: match l.sampling {
                0 => Sampling::Headers("headers"),
                percent => Sampling::Percent(percent),
            },
            results: l.subject.clone(),
        });
        Export {
            response_type,
            service_latency: latency,
            ..Export::new(&export.subject, "service", &export.terms)
        }
    }
}

/// Something of another account.
#[derive(Clone, Debug, Serialize)]
struct Import {
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    to: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    local_subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    invalid: bool,
    share: bool,
    tracking: bool,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mappings(account: &Account) -> BTreeMap<String, Vec<Destination>> {
    let Some(mappings) = account.mappings() else { return BTreeMap::new() };
    let of = |mapping: &SubjectMapping| {
        let destinations = mapping.shares().map(|(transform, weight, cluster)| Destination {
            subject: text(transform.destination()),
            weight,
            cluster: cluster.to_owned(),
        });
        (text(mapping.source()), destinations.collect())
    };
    mappings.iter().map(of).collect()
}

fn exports(definition: &Definition) -> Vec<Export> {
    let streams = definition.stream_exports.iter();
    let streams = streams.map(|e| Export::new(&e.subject, "stream", &e.terms));
    definition.service_exports.iter().map(|e| Export::of_service(e)).chain(streams).collect()
}

/// The imports in force, then those that are asked for and not possible.
fn imports(account: &Account, definition: &Definition) -> Vec<Import> {
    let streams = account.stream_imports();
    let mut all: Vec<Import> = streams
        .iter()
        .map(|import| Import {
            subject: text(&import.from),
            account: import.exporter.name.clone(),
            to: String::new(),
            local_subject: text(&import.to),
            kind: "stream",
            invalid: false,
            share: false,
            tracking: false,
        })
        .collect();
    let services = account.service_imports();
    let linked: Vec<&ServiceImport> = services
        .iter()
        .filter_map(|subscription| match &subscription.to {
            To::Service(import) => Some(&**import),
            _ => None,
        })
        .collect();
    let service = |subject: String, exporter: &str, here: String, invalid, share| Import {
        subject,
        account: exporter.to_owned(),
        to: here.clone(),
        local_subject: here,
        kind: "service",
        invalid,
        share,
        tracking: false,
    };
    all.extend(linked.iter().map(|import| {
        let (there, here) = (text(&import.to), text(&import.from));
        service(there, &import.exporter.name, here, false, import.share)
    }));
    for wanted in &definition.service_imports {
        let w = &wanted.import;
        if !linked.iter().any(|import| import.wanted == *w) {
            all.push(service(w.subject.clone(), &w.account, w.to.clone(), true, w.share));
        }
    }
    all
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
    document.account_detail = Some(account_info(server, &account));
    Ok(document)
}

/// All about an account.
pub fn account_info(server: &Server, account: &Account) -> AccountInfo {
    let stats = account.sublist.stats();
    let definition = account.definition();
    AccountInfo {
        account_name: account.name.clone(),
        update_time: Time::utc(account.updated()),
        is_system: server.is_system_account(account),
        expired: false,
        complete: true,
        jetstream_enabled: crate::jetstream::is_enabled_for(server, &account.name),
        leafnode_connections: 0,
        client_connections: account.client_count(),
        subscriptions: stats.num_subscriptions,
        mappings: mappings(account),
        exports: exports(&definition),
        imports: imports(account, &definition),
        name_tag: account.name_tag(),
        sublist_stats: stats,
    }
}
