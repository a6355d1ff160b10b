//! `/varz` (spec 04 §3.1): the server as a whole.
//!
//! Every request builds the document from the options in force and the counters. The reference
//! keeps its first document and renews parts of it, which cannot be told from this except that its
//! fields that no reload changes are those of the start.

use super::format::{Time, is_default, nanos, uptime};
use super::jetstream;
use crate::account::Traffic;
use crate::config::options::Options;
use crate::config::options::gateway::RemoteGatewayOptions;
use crate::config::options::leafnode::RemoteLeafOptions;
use crate::config::options::listen::WriteTimeout;
use crate::config::options::tls::TlsOptions;
use crate::config::url::Url;
use crate::process::banner::KNOWN_FEATURE_FLAGS;
use crate::server::{KindCounters, Server};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

/// The document at `/varz`.
#[derive(Clone, Debug, Serialize)]
pub struct Varz {
    server_id: String,
    server_name: String,
    version: &'static str,
    proto: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    git_commit: &'static str,
    go: &'static str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_default")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connect_urls: Vec<String>,
    max_connections: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_subscriptions: i64,
    ping_interval: i64,
    ping_max: i64,
    http_host: String,
    http_port: i64,
    http_base_path: String,
    https_port: i64,
    auth_timeout: f64,
    max_control_line: i32,
    max_payload: i32,
    max_pending: i64,
    cluster: Cluster,
    gateway: Gateway,
    leaf: Leaf,
    mqtt: Mqtt,
    websocket: Websocket,
    jetstream: JetStream,
    tls_timeout: f64,
    write_deadline: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    write_timeout: &'static str,
    start: Time,
    now: Time,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    routes: usize,
    remotes: usize,
    leafnodes: usize,
    in_msgs: i64,
    in_bytes: i64,
    in_client_msgs: i64,
    in_client_bytes: i64,
    out_msgs: i64,
    out_bytes: i64,
    out_client_msgs: i64,
    out_client_bytes: i64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: i64,
    subscriptions: u32,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: Time,
    config_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    feature_flags: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    system_account: String,
    #[serde(skip_serializing_if = "is_default")]
    pinned_account_fails: u64,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskIoWait,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxies: Option<Proxies>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_not_after: Option<Time>,
}

/// A counter for each kind of connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

impl ByKind {
    /// The counters now.
    pub fn of(counters: &KindCounters) -> ByKind {
        ByKind {
            clients: counters.clients.load(Ordering::Relaxed),
            routes: counters.routes.load(Ordering::Relaxed),
            gateways: counters.gateways.load(Ordering::Relaxed),
            leafs: counters.leafs.load(Ordering::Relaxed),
        }
    }

    /// Of all kinds.
    pub fn sum(self) -> u64 {
        [self.routes, self.gateways, self.leafs]
            .iter()
            .fold(self.clients, |a, b| a.saturating_add(*b))
    }
}

/// Waiting for the disk, which only JetStream does.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct DiskIoWait {
    waiters: i64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Cluster {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    addr: String,
    #[serde(skip_serializing_if = "is_default")]
    cluster_port: i64,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    pool_size: i64,
    #[serde(skip_serializing_if = "is_default")]
    write_deadline: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    write_timeout: &'static str,
}

impl Cluster {
    fn of(o: &Options, name: &str) -> Cluster {
        let c = &o.cluster;
        Cluster {
            name: name.to_owned(),
            addr: c.host.clone(),
            cluster_port: c.port.configured(),
            auth_timeout: c.auth_timeout.as_secs_f64(),
            urls: hosts(&o.routes),
            tls_timeout: c.tls_timeout.as_secs_f64(),
            tls_required: c.tls.is_some(),
            tls_verify: c.tls.is_some(),
            pool_size: c.pool_size,
            write_deadline: nanos(c.write_deadline),
            write_timeout: write_timeout(c.write_timeout),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct Gateway {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    advertise: String,
    #[serde(skip_serializing_if = "is_default")]
    connect_retries: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<RemoteGateway>,
    #[serde(skip_serializing_if = "is_default")]
    reject_unknown: bool,
    #[serde(skip_serializing_if = "is_default")]
    write_deadline: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    write_timeout: &'static str,
}

impl Gateway {
    fn of(o: &Options) -> Gateway {
        let g = &o.gateway;
        Gateway {
            name: g.name.clone(),
            host: g.host.clone(),
            port: g.port.configured(),
            auth_timeout: g.auth_timeout.as_secs_f64(),
            tls_timeout: g.tls_timeout.as_secs_f64(),
            tls_required: g.tls.is_some(),
            tls_verify: g.tls.is_some(),
            advertise: g.advertise.clone(),
            connect_retries: g.connect_retries,
            gateways: g.remotes.iter().map(RemoteGateway::of).collect(),
            reject_unknown: g.reject_unknown,
            // The reference shows those of the cluster here.
            write_deadline: nanos(o.cluster.write_deadline),
            write_timeout: write_timeout(o.cluster.write_timeout),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct RemoteGateway {
    name: String,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

impl RemoteGateway {
    fn of(r: &RemoteGatewayOptions) -> RemoteGateway {
        RemoteGateway {
            name: r.name.clone(),
            tls_timeout: r.tls_timeout.as_secs_f64(),
            urls: hosts(&r.urls),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct Leaf {
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remotes: Vec<RemoteLeaf>,
    #[serde(skip_serializing_if = "is_default")]
    tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    write_deadline: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    write_timeout: &'static str,
}

impl Leaf {
    fn of(o: &Options) -> Leaf {
        let l = &o.leafnode;
        Leaf {
            host: l.host.clone(),
            port: l.port.configured(),
            auth_timeout: l.auth_timeout.as_secs_f64(),
            tls_timeout: l.tls_timeout.as_secs_f64(),
            tls_required: l.tls.is_some(),
            tls_verify: l.tls.as_ref().is_some_and(|t| t.verify),
            remotes: l.remotes.iter().map(RemoteLeaf::of).collect(),
            tls_ocsp_peer_verify: verifies_ocsp(l.tls.as_ref()),
            // The reference shows those of the cluster here.
            write_deadline: nanos(o.cluster.write_deadline),
            write_timeout: write_timeout(o.cluster.write_timeout),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct RemoteLeaf {
    #[serde(skip_serializing_if = "String::is_empty")]
    local_account: String,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deny: Option<Deny>,
    #[serde(skip_serializing_if = "is_default")]
    tls_ocsp_peer_verify: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Deny {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<String>,
}

impl RemoteLeaf {
    fn of(r: &RemoteLeafOptions) -> RemoteLeaf {
        let denies = !r.deny_exports.is_empty() || !r.deny_imports.is_empty();
        RemoteLeaf {
            local_account: r.local_account.clone(),
            tls_timeout: r.tls_timeout.as_secs_f64(),
            urls: hosts(&r.urls),
            deny: denies
                .then(|| Deny { exports: r.deny_exports.clone(), imports: r.deny_imports.clone() }),
            tls_ocsp_peer_verify: verifies_ocsp(r.tls.as_ref()),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct Mqtt {
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    no_auth_user: String,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    tls_map: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    js_domain: String,
    #[serde(skip_serializing_if = "is_default")]
    ack_wait: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_ack_pending: u16,
    #[serde(skip_serializing_if = "is_default")]
    tls_ocsp_peer_verify: bool,
}

impl Mqtt {
    fn of(o: &Options) -> Mqtt {
        let m = &o.mqtt;
        Mqtt {
            host: m.host.clone(),
            port: m.port.configured(),
            no_auth_user: m.no_auth_user.clone(),
            auth_timeout: m.auth_timeout.as_secs_f64(),
            tls_map: maps(m.tls.as_ref()),
            tls_timeout: m.tls_timeout.as_secs_f64(),
            tls_pinned_certs: pinned(m.tls.as_ref()),
            js_domain: m.js_domain.clone(),
            ack_wait: m.ack_wait.as_nanos(),
            max_ack_pending: m.max_ack_pending,
            tls_ocsp_peer_verify: verifies_ocsp(m.tls.as_ref()),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
struct Websocket {
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    advertise: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    no_auth_user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt_cookie: String,
    #[serde(skip_serializing_if = "is_default")]
    handshake_timeout: i64,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: f64,
    #[serde(skip_serializing_if = "is_default")]
    no_tls: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_map: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    same_origin: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    compression: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_ocsp_peer_verify: bool,
}

impl Websocket {
    fn of(o: &Options) -> Websocket {
        let w = &o.websocket;
        Websocket {
            host: w.host.clone(),
            port: w.port.configured(),
            advertise: w.advertise.clone(),
            no_auth_user: w.no_auth_user.clone(),
            jwt_cookie: w.jwt_cookie.clone(),
            handshake_timeout: nanos(w.handshake_timeout),
            auth_timeout: w.auth_timeout.as_secs_f64(),
            no_tls: w.no_tls,
            tls_map: maps(w.tls.as_ref()),
            tls_pinned_certs: pinned(w.tls.as_ref()),
            same_origin: w.same_origin,
            allowed_origins: w.allowed_origins.clone(),
            compression: w.compression,
            tls_ocsp_peer_verify: verifies_ocsp(w.tls.as_ref()),
        }
    }
}

/// JetStream: an empty object where it does not run.
#[derive(Clone, Debug, Default, Serialize)]
struct JetStream {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<jetstream::Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<jetstream::Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<jetstream::Limits>,
}

impl JetStream {
    fn of(server: &Server) -> JetStream {
        let Some(handle) = jetstream::running(server) else { return JetStream::default() };
        JetStream {
            config: Some(jetstream::config(server, handle)),
            stats: Some(jetstream::stats(handle, &jetstream::totals(handle))),
            limits: Some(jetstream::limits(server)),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Proxies {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trusted: Vec<Proxy>,
}

#[derive(Clone, Debug, Serialize)]
struct Proxy {
    key: String,
}

fn hosts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.host.clone()).collect()
}

fn maps(tls: Option<&TlsOptions>) -> bool {
    tls.is_some_and(|t| t.verify_and_map)
}

fn pinned(tls: Option<&TlsOptions>) -> Vec<String> {
    tls.map_or_else(Vec::new, |t| t.pinned_certs.iter().cloned().collect())
}

fn verifies_ocsp(tls: Option<&TlsOptions>) -> bool {
    tls.and_then(|t| t.ocsp_peer.as_ref()).is_some_and(|peer| peer.verify)
}

fn write_timeout(policy: WriteTimeout) -> &'static str {
    match policy {
        WriteTimeout::Default => "",
        WriteTimeout::Close => "close",
        WriteTimeout::Retry => "retry",
    }
}

/// The known feature flags as they are in force; unknown ones are not shown.
pub fn feature_flags(o: &Options) -> BTreeMap<&'static str, bool> {
    let in_force = |(name, default): &(&'static str, bool)| {
        (*name, o.feature_flags.get(*name).copied().unwrap_or(*default))
    };
    KNOWN_FEATURE_FLAGS.iter().map(in_force).collect()
}

/// Messages and bytes received and delivered.
fn traffic(t: &Traffic) -> [i64; 4] {
    let load = |n: &AtomicI64| n.load(Ordering::Relaxed);
    [load(&t.in_messages), load(&t.in_bytes), load(&t.out_messages), load(&t.out_bytes)]
}

/// Messages and bytes received and delivered: of everything, and of clients alone.
pub fn totals(server: &Server) -> ([i64; 4], [i64; 4]) {
    let stats = &server.stats;
    let clients = traffic(&stats.client_traffic);
    let links = traffic(&stats.link_traffic);
    let all = [0, 1, 2, 3].map(|n: usize| clients[n].saturating_add(links[n]));
    (all, clients)
}

/// Takes the snapshot.
pub fn varz(server: &Server) -> Varz {
    let (info, o) = (server.info(), server.options());
    let used = server.monitor.usage.look(Instant::now());
    let stats = &server.stats;
    let slow = ByKind::of(&stats.slow_consumers);
    let stale = ByKind::of(&stats.stale_connections);
    let (all, clients) = totals(server);
    let now = SystemTime::now();
    let subscriptions =
        server.accounts().iter().fold(0_u64, |n, a| n.saturating_add(a.sublist.count()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Varz {
        server_id: info.server_id.clone(),
        server_name: info.server_name.clone(),
        version: info.version,
        proto: info.proto,
        git_commit: info.git_commit,
        go: info.go,
        host: info.host.clone(),
        port: info.port,
        auth_required: info.auth_required,
        tls_required: info.tls_required,
        tls_verify: info.tls_verify,
        tls_ocsp_peer_verify: info.tls_required && verifies_ocsp(o.tls.as_ref()),
        connect_urls: info.connect_urls.clone(),
        max_connections: o.max_connections,
        max_subscriptions: o.max_subscriptions,
        ping_interval: nanos(o.ping_interval),
        ping_max: o.ping_max,
        http_host: o.http_host.clone(),
        http_port: o.http_port.configured(),
        http_base_path: o.http_base_path.clone(),
        https_port: o.https_port.configured(),
        auth_timeout: o.auth_timeout.as_secs_f64(),
        max_control_line: o.max_control_line,
        max_payload: o.max_payload,
        max_pending: o.max_pending,
        cluster: Cluster::of(&o, &info.cluster),
        gateway: Gateway::of(&o),
        leaf: Leaf::of(&o),
        mqtt: Mqtt::of(&o),
        websocket: Websocket::of(&o),
        jetstream: JetStream::of(server),
        tls_timeout: o.tls_timeout.as_secs_f64(),
        write_deadline: nanos(o.write_deadline),
        write_timeout: write_timeout(o.write_timeout),
        start: Time::utc(server.start),
        now: Time::utc(now),
        uptime: uptime(server.started.elapsed()),
        mem: used.resident_bytes,
        cores,
        gomaxprocs: server.reactors(),
        cpu: used.cpu_percent,
        connections: server.client_count(),
        total_connections: stats.total_connections.load(Ordering::Relaxed),
        routes: 0,
        remotes: 0,
        leafnodes: 0,
        in_msgs: all[0],
        in_bytes: all[1],
        in_client_msgs: clients[0],
        in_client_bytes: clients[1],
        out_msgs: all[2],
        out_bytes: all[3],
        out_client_msgs: clients[2],
        out_client_bytes: clients[3],
        slow_consumers: slow.sum(),
        stale_connections: stale.sum(),
        stalled_clients: stats.stalled.load(Ordering::Relaxed),
        subscriptions: u32::try_from(subscriptions).unwrap_or(u32::MAX),
        http_req_stats: server.monitor.requests(),
        config_load_time: Time::utc(server.configured()),
        config_digest: o.config_digest.clone(),
        tags: o.server_tags.clone(),
        metadata: o.server_metadata.clone(),
        feature_flags: feature_flags(&o),
        system_account: server.system_account_name(),
        pinned_account_fails: stats.pinned_account_fails.load(Ordering::Relaxed),
        slow_consumer_stats: slow,
        stale_connection_stats: stale,
        disk_io_wait_stats: DiskIoWait::default(),
        proxies: o.proxies.as_ref().map(|p| Proxies {
            trusted: p.trusted.iter().map(|key| Proxy { key: key.clone() }).collect(),
        }),
        tls_cert_not_after: server.tls().and_then(|tls| tls.not_after).map(Time::utc),
    }
}
