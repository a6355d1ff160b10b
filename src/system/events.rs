//! What is published in the system account (spec 04 §4.1 and §5). Field order is that of the JSON.

use crate::account::Account;
use crate::client::ClientShared;
use crate::closed::ClosedState;
use crate::monitor::accstatz::AccountStat;
use crate::monitor::format::{Time, is_default};
use crate::monitor::varz::feature_flags;
use crate::server::Server;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// The types of events.
const CONNECT: &str = "io.nats.server.advisory.v1.client_connect";
const DISCONNECT: &str = "io.nats.server.advisory.v1.client_disconnect";
const CONNECTIONS: &str = "io.nats.server.advisory.v1.account_connections";

/// Where clients that come into an account are told of.
pub fn connect_subject(account: &str) -> String {
    format!("$SYS.ACCOUNT.{account}.CONNECT")
}

/// Where clients that leave an account are told of.
pub fn disconnect_subject(account: &str) -> String {
    format!("$SYS.ACCOUNT.{account}.DISCONNECT")
}

/// Where refused clients are told of.
pub fn auth_error_subject(server_id: &str) -> String {
    format!("$SYS.SERVER.{server_id}.CLIENT.AUTH.ERR")
}

/// Where the number of an account's connections is told, in the order of publication.
pub fn connections_subjects(account: &str) -> [String; 2] {
    [format!("$SYS.SERVER.ACCOUNT.{account}.CONNS"), format!("$SYS.ACCOUNT.{account}.SERVER.CONNS")]
}

/// Where the server tells of itself: `STATSZ`, `SHUTDOWN`, `LAMEDUCK`.
pub fn server_subject(server_id: &str, what: &str) -> String {
    format!("$SYS.SERVER.{server_id}.{what}")
}

/// The `server` block of everything that is published.
#[derive(Clone, Debug, Serialize)]
pub struct ServerInfo {
    name: String,
    host: String,
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    domain: String,
    ver: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    feature_flags: BTreeMap<&'static str, bool>,
    jetstream: bool,
    flags: u64,
    seq: u64,
    time: Time,
}

/// JetStream is enabled.
const FLAG_JETSTREAM: u64 = 1;
/// Snapshots of streams in binary form are understood.
const FLAG_BINARY_SNAPSHOT: u64 = 2;

impl ServerInfo {
    /// The block of message number `seq`.
    pub fn stamp(server: &Server, seq: u64) -> ServerInfo {
        let (info, options) = (server.info(), server.options());
        let jetstream = options.jetstream.enabled;
        let cluster = match options.gateway.name.as_str() {
            "" => &info.cluster,
            name => name,
        };
        ServerInfo {
            name: info.server_name.clone(),
            host: info.host.clone(),
            id: info.server_id.clone(),
            cluster: cluster.to_owned(),
            domain: options.jetstream.domain.clone(),
            ver: info.version,
            tags: options.server_tags.clone(),
            metadata: options.server_metadata.clone(),
            feature_flags: feature_flags(&options),
            jetstream,
            flags: if jetstream { FLAG_JETSTREAM | FLAG_BINARY_SNAPSHOT } else { 0 },
            seq,
            time: Time::utc(SystemTime::now()),
        }
    }
}

/// A client connection, as events show it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ver: String,
    #[serde(skip_serializing_if = "is_default")]
    rtt: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Time>,
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name_tag: String,
    kind: &'static str,
    client_type: &'static str,
}

impl ClientInfo {
    /// A client that is in that account.
    pub fn of(client: &ClientShared, account: &Account) -> ClientInfo {
        let mut info = ClientInfo {
            start: Some(Time::local(client.start)),
            host: client.peer().ip().to_canonical().to_string(),
            id: client.cid,
            acc: account.name.clone(),
            name_tag: account.name_tag(),
            kind: "Client",
            client_type: "nats",
            ..ClientInfo::default()
        };
        client.with_details(|d| {
            info.user.clone_from(&d.user);
            info.name.clone_from(&d.name);
            info.lang.clone_from(&d.lang);
            info.ver.clone_from(&d.version);
            info.jwt.clone_from(&d.jwt);
        });
        info
    }
}

/// Messages and bytes of a connection.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Data {
    /// Messages.
    pub msgs: i64,
    /// Bytes.
    pub bytes: i64,
}

/// A connection that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub(super) client: ClientInfo,
    sent: Data,
    received: Data,
    reason: Cow<'static, str>,
    at: SystemTime,
}

impl Ended {
    /// A connection that ends at that time.
    pub fn now(
        client: &ClientShared,
        account: &Account,
        reason: ClosedState,
        at: SystemTime,
    ) -> Ended {
        let mut info = ClientInfo::of(client, account);
        info.stop = Some(Time::local(at));
        info.rtt = u64::try_from(client.rtt().as_nanos()).unwrap_or(u64::MAX);
        let (msgs, bytes) = client.egress.delivered();
        Ended {
            client: info,
            sent: Data {
                msgs: client.in_messages.load(Ordering::Relaxed),
                bytes: client.in_bytes.load(Ordering::Relaxed),
            },
            received: Data { msgs, bytes },
            reason: Cow::Borrowed(reason.text()),
            at,
        }
    }
}

impl Ended {
    /// The same, for a reason that is no closed state.
    #[must_use]
    pub fn because(self, reason: &str) -> Ended {
        Ended { reason: Cow::Owned(reason.to_owned()), ..self }
    }
}

/// Where an account hears of logins that failed.
pub const ACCOUNT_AUTH_ERROR_SUBJECT: &str = "$SYS.ACCOUNT.CLIENT.AUTH.ERR";

/// What all typed events begin with.
#[derive(Clone, Debug, Serialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    timestamp: Time,
    server: ServerInfo,
}

/// A client that was let in.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectEvent {
    #[serde(flatten)]
    typed: Typed,
    client: ClientInfo,
}

impl ConnectEvent {
    /// The event.
    pub fn new(id: String, server: ServerInfo, client: ClientInfo) -> ConnectEvent {
        let timestamp = Time::utc(SystemTime::now());
        ConnectEvent { typed: Typed { kind: CONNECT, id, timestamp, server }, client }
    }
}

/// A client that has gone, or was refused.
#[derive(Clone, Debug, Serialize)]
pub struct DisconnectEvent {
    #[serde(flatten)]
    typed: Typed,
    client: ClientInfo,
    sent: Data,
    received: Data,
    reason: Cow<'static, str>,
}

impl DisconnectEvent {
    /// The event of a connection that ended; its time is the machine's.
    pub fn ended(id: String, server: ServerInfo, ended: Ended) -> DisconnectEvent {
        DisconnectEvent::new(id, server, Time::local(ended.at), ended)
    }

    /// The event of a client that was refused.
    pub fn refused(id: String, server: ServerInfo, ended: Ended) -> DisconnectEvent {
        DisconnectEvent::new(id, server, Time::utc(ended.at), ended)
    }

    fn new(id: String, server: ServerInfo, timestamp: Time, ended: Ended) -> DisconnectEvent {
        let Ended { client, sent, received, reason, .. } = ended;
        let typed = Typed { kind: DISCONNECT, id, timestamp, server };
        DisconnectEvent { typed, client, sent, received, reason }
    }
}

/// The connections of an account.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionsEvent {
    #[serde(flatten)]
    typed: Typed,
    #[serde(flatten)]
    stat: AccountStat,
}

impl ConnectionsEvent {
    /// The event.
    pub fn new(id: String, server: ServerInfo, stat: AccountStat) -> ConnectionsEvent {
        let timestamp = Time::utc(SystemTime::now());
        ConnectionsEvent { typed: Typed { kind: CONNECTIONS, id, timestamp, server }, stat }
    }

    /// The same event in a message of its own.
    #[must_use]
    pub fn stamped(mut self, server: ServerInfo) -> ConnectionsEvent {
        self.typed.server = server;
        self
    }
}

/// All accounts that have connections, but the global one.
pub fn accounts_in_use(server: &Server) -> Vec<Arc<Account>> {
    let mut accounts = server.accounts();
    let global = server.global_account().id;
    accounts.retain(|account| account.id != global && account.client_count() > 0);
    accounts
}
