//! `/subsz` (spec 04 §3.6): statistics of the subscriptions, and the subscriptions.

use super::connz::DEFAULT_LIMIT;
use super::format::{Time, is_default};
use super::parameters;
use super::request::Query;
use crate::server::Server;
use crate::subscription::{Destination, Subscription};
use ::sublist::subject::{is_valid_literal_subject, match_literal};
use ::sublist::{SublistStats, Subscription as _};
use serde::Serialize;
use std::sync::Arc;
use std::time::SystemTime;

/// What is asked of `/subsz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubszOptions {
    /// List the subscriptions.
    pub subscriptions: bool,
    /// Subscriptions to skip; negative for none.
    pub offset: i64,
    /// Most subscriptions on a page; zero or less for the default.
    pub limit: i64,
    /// Only this account, unless empty.
    pub account: String,
    /// Only subscriptions that get messages published to this subject, unless empty.
    pub test: String,
}

impl SubszOptions {
    /// From the parameters of an HTTP request.
    ///
    /// # Errors
    /// The text of the 400 answer.
    pub fn from_query(query: &Query) -> Result<SubszOptions, String> {
        Ok(SubszOptions {
            subscriptions: parameters::bool(query, "subs")?,
            offset: parameters::int(query, "offset")?,
            limit: parameters::int(query, "limit")?,
            account: query.get("acc").to_owned(),
            test: query.get("test").to_owned(),
        })
    }
}

/// A subscription with all fields.
#[derive(Clone, Debug, Serialize)]
pub struct SubDetail {
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    account_tag: String,
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    qgroup: String,
    sid: String,
    msgs: i64,
    #[serde(skip_serializing_if = "is_default")]
    max: i64,
    cid: u64,
}

impl SubDetail {
    /// A subscription of the connection with that id.
    pub fn new(subscription: &Subscription, cid: u64) -> SubDetail {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        SubDetail {
            account: String::new(),
            account_tag: String::new(),
            subject: text(subscription.subject()),
            qgroup: subscription.queue().map(text).unwrap_or_default(),
            sid: text(subscription.sid()),
            msgs: subscription.delivered(),
            max: subscription.max(),
            cid,
        }
    }

    /// The same, with its account.
    pub fn of_account(mut self, account: &str, tag: &str) -> SubDetail {
        self.account = account.to_owned();
        self.account_tag = tag.to_owned();
        self
    }
}

/// The document at `/subsz`.
#[derive(Clone, Debug, Serialize)]
pub struct Subsz {
    server_id: String,
    now: Time,
    #[serde(flatten)]
    stats: SublistStats,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubDetail>,
}

/// Takes the snapshot.
///
/// # Errors
/// The text of the 400 answer.
pub fn subsz(server: &Server, options: &SubszOptions) -> Result<Subsz, String> {
    let test = options.test.as_bytes();
    if !test.is_empty() && !is_valid_literal_subject(test) {
        return Err(format!(
            "invalid test subject, must be valid publish subject: {}",
            options.test
        ));
    }
    let offset = usize::try_from(options.offset).unwrap_or(0);
    let limit = match usize::try_from(options.limit) {
        Ok(limit) if limit > 0 => limit,
        _ => DEFAULT_LIMIT,
    };
    let mut stats = SublistStats::default();
    let mut total: usize = 0;
    let mut page = Vec::new();
    let wanted = offset..offset.saturating_add(limit);
    for account in server.accounts() {
        if !options.account.is_empty() && account.name != options.account {
            continue;
        }
        stats.add(&account.sublist.stats());
        if !options.subscriptions {
            continue;
        }
        let tag = account.name_tag();
        // Only what is on the page is kept: there may be millions.
        let before = total;
        let (seen, shown) = account.sublist.scan(
            || (before, Vec::new()),
            |(seen, shown), s: &Arc<Subscription>| {
                if is_local(s) && (test.is_empty() || match_literal(test, s.subject())) {
                    if wanted.contains(seen) {
                        shown.push(s.clone());
                    }
                    *seen += 1;
                }
            },
        );
        total = seen;
        page.extend(
            shown.iter().map(|s| SubDetail::new(s, cid_of(s)).of_account(&account.name, &tag)),
        );
    }
    Ok(Subsz {
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        stats,
        total,
        offset,
        limit,
        subscriptions_list: page,
    })
}

/// Whether it is a client's or a part of this server's, not another server's.
fn is_local(subscription: &Subscription) -> bool {
    !matches!(subscription.to, Destination::Link(_))
}

fn cid_of(subscription: &Subscription) -> u64 {
    match &subscription.to {
        Destination::Client(client) => client.cid,
        Destination::Link(link) => link.id(),
        Destination::Shadow(shadow) => cid_of(&shadow.parent),
        Destination::Internal(endpoint) => endpoint.client.id(),
        Destination::Service(_) | Destination::Responses(_) => 0,
    }
}
