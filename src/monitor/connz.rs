//! `/connz` (spec 04 §3.2): the open connections and the last closed ones.
//!
//! A snapshot collects the connections (a pointer each), sorts them by one number, and builds
//! entries for the page asked for only. Ties are in the order of connection ids.

use super::format::{Time, is_default, since, uptime};
use super::request::Query;
use super::subsz::SubDetail;
use super::{parameters, parameters::Subscriptions};
use crate::account::GLOBAL_ACCOUNT;
use crate::client::{ClientShared, Details};
use crate::config::text::SignedDuration;
use crate::server::{ClosedClient, Server};
use crate::subscription::Subscription;
use crate::tls::PeerCertificate;
use ::sublist::Subscription as _;
use ::sublist::subject::subjects_collide;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Connections on a page, and subscriptions on one of `/subsz`, if nothing else is asked for.
pub const DEFAULT_LIMIT: usize = 1024;

/// Which connections are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Those that are open.
    #[default]
    Open,
    /// The last ones that were closed.
    Closed,
    /// Both.
    All,
    /// None, which a request by message can ask for.
    None,
}

/// The order of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By id, which is the order in which they came.
    #[default]
    Cid,
    /// Most subscriptions first.
    Subscriptions,
    /// Most bytes pending first.
    Pending,
    /// Most messages delivered first.
    MessagesTo,
    /// Most messages received first.
    MessagesFrom,
    /// Most bytes delivered first.
    BytesTo,
    /// Most bytes received first.
    BytesFrom,
    /// Last active first.
    Last,
    /// Longest idle first.
    Idle,
    /// Shortest lived first.
    Uptime,
    /// Last closed first.
    Stop,
    /// By the text of the reason.
    Reason,
    /// Longest round trip first.
    Rtt,
}

impl Sort {
    fn parse(text: &str) -> Result<Sort, String> {
        Ok(match text {
            "" | "cid" | "start" => Sort::Cid,
            "subs" => Sort::Subscriptions,
            "pending" => Sort::Pending,
            "msgs_to" => Sort::MessagesTo,
            "msgs_from" => Sort::MessagesFrom,
            "bytes_to" => Sort::BytesTo,
            "bytes_from" => Sort::BytesFrom,
            "last" => Sort::Last,
            "idle" => Sort::Idle,
            "uptime" => Sort::Uptime,
            "stop" => Sort::Stop,
            "reason" => Sort::Reason,
            "rtt" => Sort::Rtt,
            _ => return Err(format!("invalid sorting option: {text}")),
        })
    }
}

/// What is asked of `/connz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnzOptions {
    /// The name of an order, empty for the default.
    pub sort: String,
    /// Show whom the connections were authenticated as.
    pub auth: bool,
    /// Show their subscriptions.
    pub subscriptions: bool,
    /// Show their subscriptions with all fields; wins over the plain list.
    pub subscriptions_detail: bool,
    /// Connections to skip; negative for none.
    pub offset: i64,
    /// Most connections on a page; zero or less for the default.
    pub limit: i64,
    /// Only the connection with this id, unless zero.
    pub cid: u64,
    /// Only connections in this state.
    pub state: State,
    /// Only connections of this user, unless empty.
    pub user: String,
    /// Only connections of this account, unless empty.
    pub account: String,
    /// Only connections of this MQTT client, unless empty.
    pub mqtt_client: String,
    /// Only open connections with a subscription that has a subject in common with this one;
    /// needs an account. Empty or `>` for all.
    pub filter_subject: String,
}

impl ConnzOptions {
    /// From the parameters of an HTTP request.
    ///
    /// # Errors
    /// The text of the 400 answer.
    pub fn from_query(query: &Query) -> Result<ConnzOptions, String> {
        let auth = parameters::bool(query, "auth")?;
        let subscriptions = parameters::subscriptions(query)?;
        let offset = parameters::int(query, "offset")?;
        let limit = parameters::int(query, "limit")?;
        let cid = parameters::uint64(query, "cid")?;
        let state = match query.get("state").to_lowercase().as_str() {
            "" | "open" => State::Open,
            "closed" => State::Closed,
            "any" | "all" => State::All,
            _ => return Err(format!("Error decoding state for {}", query.get("state"))),
        };
        Ok(ConnzOptions {
            sort: query.get("sort").to_owned(),
            auth,
            subscriptions: subscriptions == Subscriptions::List,
            subscriptions_detail: subscriptions == Subscriptions::Detail,
            offset,
            limit,
            cid,
            state,
            user: query.get("user").to_owned(),
            account: query.get("acc").to_owned(),
            mqtt_client: query.get("mqtt_client").to_owned(),
            filter_subject: String::new(),
        })
    }
}

/// The document at `/connz`.
#[derive(Clone, Debug, Serialize)]
pub struct Connz {
    server_id: String,
    now: Time,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    /// Absent when the account asked for does not exist.
    connections: Option<Vec<ConnInfo>>,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnInfo {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    client_type: &'static str,
    ip: String,
    port: u16,
    start: Time,
    last_activity: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Time>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: usize,
    in_msgs: i64,
    out_msgs: i64,
    in_bytes: i64,
    out_bytes: i64,
    #[serde(skip_serializing_if = "is_default")]
    stalls: i64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    tls_version: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cipher_suite: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<TlsPeerCert>,
    #[serde(skip_serializing_if = "is_default")]
    tls_first: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    authorized_user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name_tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyInfo>,
}

/// The proxy that vouched for a connection.
#[derive(Clone, Debug, Serialize)]
struct ProxyInfo {
    key: String,
}

/// A certificate that the client presented.
#[derive(Clone, Debug, Serialize)]
struct TlsPeerCert {
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    spki_sha256: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cert_sha256: String,
}

impl From<&PeerCertificate> for TlsPeerCert {
    fn from(certificate: &PeerCertificate) -> TlsPeerCert {
        TlsPeerCert {
            subject: certificate.subject.clone(),
            spki_sha256: certificate.spki_sha256.clone(),
            cert_sha256: certificate.cert_sha256.clone(),
        }
    }
}

/// An open or a closed connection.
enum Connection {
    Open(Arc<ClientShared>),
    Closed(Arc<ClosedClient>),
}

impl Connection {
    fn shared(&self) -> &Arc<ClientShared> {
        match self {
            Connection::Open(c) => c,
            Connection::Closed(c) => &c.shared,
        }
    }

    fn stop(&self) -> Option<SystemTime> {
        match self {
            Connection::Open(_) => None,
            Connection::Closed(c) => Some(c.stop),
        }
    }

    fn pending_bytes(&self) -> usize {
        match self {
            Connection::Open(c) => c.egress.pending_bytes(),
            Connection::Closed(c) => c.pending_bytes,
        }
    }

    fn subscription_count(&self) -> usize {
        match self {
            Connection::Open(c) => c.subscription_count(),
            Connection::Closed(c) => c.subscriptions.len(),
        }
    }

    /// Its subscriptions by id, shorter ids first: they are numbers as a rule.
    fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all = match self {
            Connection::Open(c) => c.subscriptions(),
            Connection::Closed(c) => c.subscriptions.clone(),
        };
        // Comparing the beginnings from a table beside spares most of the way to the ids.
        all.sort_by_cached_key(|s| (s.sid().len(), beginning(s.sid())));
        all
    }

    fn with_details<R>(&self, f: impl FnOnce(&Details) -> R) -> R {
        match self {
            Connection::Open(c) => c.with_details(f),
            Connection::Closed(c) => f(&c.details),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Connection::Open(_) => "",
            Connection::Closed(c) => c.reason.text(),
        }
    }
}

/// What connections are compared by, smallest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(i128, &'static str);

impl Key {
    fn of(sort: Sort, c: &Connection, now: SystemTime) -> Key {
        let shared = c.shared();
        let count = |n: usize| i128::try_from(n).unwrap_or(i128::MAX);
        let nanos = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
        let (delivered_messages, delivered_bytes) = shared.egress.delivered();
        let ascending = match sort {
            Sort::Cid => i128::from(shared.cid),
            Sort::Uptime => nanos(since(shared.start, c.stop().unwrap_or(now))),
            Sort::Reason => return Key(0, c.reason()),
            Sort::Subscriptions => -count(c.subscription_count()),
            Sort::Pending => -count(c.pending_bytes()),
            Sort::MessagesTo => -i128::from(delivered_messages),
            Sort::BytesTo => -i128::from(delivered_bytes),
            Sort::MessagesFrom => -i128::from(shared.in_messages.load(Ordering::Relaxed)),
            Sort::BytesFrom => -i128::from(shared.in_bytes.load(Ordering::Relaxed)),
            Sort::Last => -instant(shared.last_activity()),
            // Longest idle first is least recently active first, also if that is in the future.
            Sort::Idle => instant(shared.last_activity()),
            Sort::Stop => -c.stop().map_or(0, instant),
            Sort::Rtt => -nanos(shared.rtt()),
        };
        Key(ascending, "")
    }
}

/// The first bytes as a number that compares like them.
fn beginning(sid: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(sid).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(bytes)
}

/// A point in time as a number.
fn instant(at: SystemTime) -> i128 {
    let nanos = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(e) => -nanos(e.duration()),
    }
}

/// Takes the snapshot.
///
/// # Errors
/// The text of the 400 answer.
pub fn connz(server: &Server, options: &ConnzOptions) -> Result<Connz, String> {
    let sort = Sort::parse(&options.sort)?;
    if options.state != State::Closed {
        match sort {
            Sort::Stop => return Err("sort by stop only valid on closed connections".to_owned()),
            Sort::Reason => {
                return Err("sort by reason only valid on closed connections".to_owned());
            }
            _ => {}
        }
    }
    let filter = Some(options.filter_subject.as_str()).filter(|f| !f.is_empty() && *f != ">");
    if filter.is_some() && options.account.is_empty() {
        return Err("filter by subject only valid with account filtering".to_owned());
    }
    let offset = usize::try_from(options.offset).unwrap_or(0);
    let limit = match usize::try_from(options.limit) {
        _ if options.cid > 0 => 1,
        Ok(limit) if limit > 0 => limit,
        _ => DEFAULT_LIMIT,
    };
    let now = SystemTime::now();
    let mut document = Connz {
        server_id: String::new(),
        now: Time::utc(now),
        num_connections: 0,
        total: 0,
        offset,
        limit,
        connections: None,
    };
    if !options.account.is_empty() && server.account(&options.account).is_none() {
        return Ok(document);
    }
    document.server_id.clone_from(&server.info().server_id);
    let (total, mut chosen) = choose(server, options, filter);
    document.total = total;
    if sort == Sort::Cid {
        chosen.sort_unstable_by_key(|c| c.shared().cid);
    } else {
        chosen.sort_by_cached_key(|c| (Key::of(sort, c, now), c.shared().cid));
    }
    let page: Vec<ConnInfo> =
        chosen.iter().skip(offset).take(limit).map(|c| describe(server, options, c, now)).collect();
    document.num_connections = page.len();
    document.connections = Some(page);
    Ok(document)
}

/// The connections asked for, and how many there are before filters other than the account's.
fn choose(
    server: &Server,
    options: &ConnzOptions,
    filter: Option<&str>,
) -> (usize, Vec<Connection>) {
    let mut chosen = Vec::new();
    let mut total = 0;
    let account = options.account.as_str();
    let passes = |d: &Details, account_name: &str| {
        (account.is_empty() || account_name == account)
            && (options.user.is_empty() || d.user == options.user)
            // No client of this server speaks MQTT yet.
            && options.mqtt_client.is_empty()
    };
    if matches!(options.state, State::Open | State::All) {
        if options.cid > 0 {
            // An open connection is shown whatever it would be filtered by.
            chosen.extend(server.client(options.cid).map(Connection::Open));
            total += match server.account(account) {
                Some(account) => account.client_count(),
                None => server.client_count(),
            };
        } else {
            let is_filtered = filter.is_some()
                || [account, &options.user, &options.mqtt_client].iter().any(|f| !f.is_empty());
            for client in server.clients() {
                if !is_filtered {
                    total += 1;
                    chosen.push(Connection::Open(client));
                    continue;
                }
                let (is_of_account, passes) = client.with_details(|d| {
                    (account.is_empty() || d.account == account, passes(d, &d.account))
                });
                total += usize::from(is_of_account);
                if passes && filter.is_none_or(|f| has_interest(&client, f)) {
                    chosen.push(Connection::Open(client));
                }
            }
        }
    }
    if matches!(options.state, State::Closed | State::All) {
        // Connections of the global account are kept without the name of an account.
        let account_name = |c: &ClosedClient| match c.details.account.as_str() {
            GLOBAL_ACCOUNT => String::new(),
            name => name.to_owned(),
        };
        let closed = server.closed_clients();
        let of_account = |c: &&Arc<ClosedClient>| account.is_empty() || account_name(c) == account;
        total += closed.iter().filter(of_account).count();
        let by_id = |c: &&Arc<ClosedClient>| options.cid == 0 || c.shared.cid == options.cid;
        if options.cid == 0 || chosen.is_empty() {
            let found =
                closed.iter().filter(by_id).filter(|c| passes(&c.details, &account_name(c)));
            chosen.extend(found.cloned().map(Connection::Closed));
        }
    }
    (total, chosen)
}

fn has_interest(client: &ClientShared, filter: &str) -> bool {
    client.any_subscription(|s| subjects_collide(filter.as_bytes(), s.subject()))
}

fn describe(server: &Server, options: &ConnzOptions, c: &Connection, now: SystemTime) -> ConnInfo {
    let shared = c.shared();
    let tls = shared.tls();
    let details = c.with_details(Details::clone);
    let end = c.stop().unwrap_or(now);
    let last = shared.last_activity();
    let (out_msgs, out_bytes) = shared.egress.delivered();
    let is_open = c.stop().is_none();
    let tag = |account: &str| server.account(account).map_or(String::new(), |a| a.name_tag());
    let mut info = ConnInfo {
        cid: shared.cid,
        kind: "Client",
        client_type: "nats",
        ip: shared.peer().ip().to_canonical().to_string(),
        port: shared.peer().port(),
        start: Time::local(shared.start),
        last_activity: Time::local(last),
        stop: c.stop().map(Time::local),
        reason: c.reason(),
        rtt: rtt_text(shared.rtt()),
        uptime: uptime(since(shared.start, end)),
        idle: uptime(since(last, end)),
        pending_bytes: c.pending_bytes(),
        in_msgs: shared.in_messages.load(Ordering::Relaxed),
        out_msgs,
        in_bytes: shared.in_bytes.load(Ordering::Relaxed),
        out_bytes,
        stalls: shared.egress.stalls(),
        subscriptions: c.subscription_count(),
        name: details.name,
        lang: details.lang,
        version: details.version,
        tls_version: tls.map_or("", |tls| tls.version),
        tls_cipher_suite: tls.map_or_else(String::new, |tls| tls.cipher_suite.clone()),
        tls_peer_certs: match tls {
            // Closed connections never show them.
            Some(tls) if options.auth && is_open => {
                tls.certificates.iter().map(Into::into).collect()
            }
            _ => Vec::new(),
        },
        tls_first: tls.is_some_and(|tls| tls.first),
        authorized_user: String::new(),
        account: String::new(),
        subscriptions_list: Vec::new(),
        subscriptions_list_detail: Vec::new(),
        // Closed connections are kept with it.
        jwt: if options.auth || !is_open { details.jwt } else { String::new() },
        name_tag: String::new(),
        proxy: shared.proxy_key().map(|key| ProxyInfo { key: key.to_owned() }),
    };
    if options.auth {
        info.authorized_user = details.user;
        if details.account != GLOBAL_ACCOUNT {
            info.name_tag = tag(&details.account);
            info.account.clone_from(&details.account);
        } else if is_open {
            info.name_tag = tag(&details.account);
        }
    }
    if options.subscriptions_detail {
        info.subscriptions_list_detail = c
            .subscriptions()
            .iter()
            .map(|s| {
                let detail = SubDetail::new(s, shared.cid);
                if is_open {
                    detail
                } else {
                    detail.of_account(&details.account, &tag(&details.account))
                }
            })
            .collect();
    } else if options.subscriptions {
        let subject = |s: &Arc<Subscription>| String::from_utf8_lossy(s.subject()).into_owned();
        info.subscriptions_list = c.subscriptions().iter().map(subject).collect();
    }
    info
}

/// Between a microsecond and a millisecond the reference drops what is below a microsecond.
fn rtt_text(rtt: Duration) -> String {
    let nanos = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
    let shown = if (1_001..1_000_000).contains(&nanos) { nanos - nanos % 1_000 } else { nanos };
    SignedDuration::from(Duration::from_nanos(shown)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(query: &str) -> Result<ConnzOptions, String> {
        ConnzOptions::from_query(&Query::parse(query))
    }

    #[test]
    fn parameters_are_read() {
        let o = from(
            "sort=subs&auth=1&subs=detail&offset=2&limit=3&cid=4&state=ANY&user=u&acc=a&mqtt_client=m",
        );
        let expected = ConnzOptions {
            sort: "subs".into(),
            auth: true,
            subscriptions: false,
            subscriptions_detail: true,
            offset: 2,
            limit: 3,
            cid: 4,
            state: State::All,
            user: "u".into(),
            account: "a".into(),
            mqtt_client: "m".into(),
            filter_subject: String::new(),
        };
        assert_eq!(o, Ok(expected));
        assert_eq!(from(""), Ok(ConnzOptions::default()));
    }

    #[test]
    fn bad_parameters_are_named() {
        let boolean = |name: &str| {
            Err(format!(
                "Error decoding boolean for '{name}': strconv.ParseBool: parsing \"xxx\": invalid syntax"
            ))
        };
        let int = |name: &str| {
            Err(format!(
                "Error decoding int for '{name}': strconv.Atoi: parsing \"xxx\": invalid syntax"
            ))
        };
        assert_eq!(from("auth=xxx"), boolean("auth"));
        assert_eq!(from("subs=xxx"), boolean("subs"));
        assert_eq!(from("offset=xxx"), int("offset"));
        assert_eq!(from("limit=xxx"), int("limit"));
        assert_eq!(from("state=xXx"), Err("Error decoding state for xXx".to_owned()));
    }

    #[test]
    fn points_in_time_compare_as_numbers_on_both_sides_of_now_and_the_epoch() {
        let now = SystemTime::now();
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let ordered = [
            SystemTime::UNIX_EPOCH - minutes(1),
            SystemTime::UNIX_EPOCH,
            now - minutes(15),
            now - minutes(1),
            now - Duration::from_secs(2),
            now,
            now + Duration::from_secs(2),
            now + minutes(10),
        ];
        assert!(ordered.map(instant).is_sorted_by(|a, b| a < b));
        assert_eq!(instant(now), instant(now));
    }

    #[test]
    fn round_trips_are_cut_to_microseconds_below_a_millisecond() {
        let table = [
            (0, "0s"),
            (999, "999ns"),
            (1_000, "1µs"),
            (125_999, "125µs"),
            (1_500_001, "1.500001ms"),
            (2_003_500_000, "2.0035s"),
        ];
        for (nanos, text) in table {
            assert_eq!(rtt_text(Duration::from_nanos(nanos)), text);
        }
    }
}
