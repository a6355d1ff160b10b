//! The options of a server: one typed tree per configuration, with its defaults (spec 02 §3-§5).
//!
//! Options come to be in layers: an empty tree, the command line's flags, the file, the flags
//! again, then [`Options::set_baseline`] fills what nobody set and
//! [`validate`](crate::config::validate) checks what belongs together. Until the baseline is set,
//! zero, empty and `None` mean "not configured". Afterwards the tree is complete, lives in an
//! `Arc<Options>` and does not change; a reload builds a new one and compares.

pub mod account;
pub mod auth;
pub mod cluster;
pub mod compression;
pub mod gateway;
pub mod jetstream;
pub mod leafnode;
pub mod listen;
pub mod mqtt;
pub mod ocsp;
pub mod operator;
pub mod proxies;
pub mod tls;
pub mod websocket;

mod auth_parse;
mod baseline;
mod top;

use super::secret::Secret;
use super::url::Url;
use account::AccountOptions;
use auth::{AuthCallout, NkeyUser, User};
use cluster::ClusterOptions;
use gateway::GatewayOptions;
use jetstream::JetStreamOptions;
use leafnode::LeafNodeOptions;
use listen::{Port, WriteTimeout};
use mqtt::MqttOptions;
use ocsp::{OcspCacheOptions, OcspOptions};
use operator::{AccountResolver, Operator};
use proxies::ProxiesOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tls::TlsOptions;
use websocket::WebsocketOptions;

pub use baseline::defaults;

/// Everything an operator can configure. Field docs name the configuration key; sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The configuration file as named on the command line, empty without one.
    pub config_file: String,
    /// `sha256:…` of the configuration file's content (spec 02 §1.11), empty without one.
    pub config_digest: String,
    /// `-t`: only check the configuration.
    pub check_config: bool,

    /// `server_name`; empty lets the server use its generated id.
    pub server_name: String,
    /// `host`, `net`, `listen`: where clients connect.
    pub host: String,
    /// `port`, `listen`.
    pub port: Port,
    /// `client_advertise`: `host[:port]` told to clients and cluster instead of the listener's.
    pub client_advertise: String,
    /// `proxy_protocol`: client connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,

    /// `debug`.
    pub debug: bool,
    /// `trace`.
    pub trace: bool,
    /// `trace_verbose`: trace the system account too.
    pub trace_verbose: bool,
    /// `trace_headers`: of messages trace only the headers.
    pub trace_headers: bool,
    /// `max_traced_msg_len` in bytes, 0 for no limit.
    pub max_traced_msg_len: i64,
    /// `logtime`: timestamps in the log.
    pub logtime: bool,
    /// `logtime_utc`.
    pub logtime_utc: bool,
    /// `log_format`, which the reference does not have.
    pub log_format: LogFormat,
    /// `log_file`; empty logs to standard error.
    pub log_file: String,
    /// `log_size_limit` in bytes, 0 for no rotation.
    pub log_size_limit: i64,
    /// `log_max_num`: files kept, including the active one; 0 keeps all.
    pub log_max_files: i64,
    /// `syslog`.
    pub syslog: bool,
    /// `remote_syslog`: `udp://`, `tcp://` or `unix://` address.
    pub remote_syslog: String,
    /// `pid_file`.
    pub pid_file: String,
    /// `ports_file_dir`.
    pub ports_file_dir: String,
    /// `prof_port`.
    pub prof_port: Port,
    /// `prof_block_rate`.
    pub prof_block_rate: i64,
    /// `connect_error_reports`: log every n-th failed first connect.
    pub connect_error_reports: i64,
    /// `reconnect_error_reports`: log every n-th failed reconnect.
    pub reconnect_error_reports: i64,

    /// `max_connections`; negative refuses all.
    pub max_connections: i64,
    /// `max_subscriptions` per connection, 0 for no limit.
    pub max_subscriptions: i64,
    /// `max_sub_tokens`, 0 for no limit.
    pub max_sub_tokens: u8,
    /// `max_control_line` in bytes.
    pub max_control_line: i32,
    /// `max_payload` in bytes.
    pub max_payload: i32,
    /// `max_pending` in bytes per connection.
    pub max_pending: i64,
    /// `max_closed_clients` remembered for monitoring.
    pub max_closed_clients: i64,
    /// `ping_interval`.
    pub ping_interval: Duration,
    /// `ping_max`: unanswered pings before a connection is stale.
    pub ping_max: i64,
    /// `write_deadline`.
    pub write_deadline: Duration,
    /// `write_timeout`.
    pub write_timeout: WriteTimeout,
    /// `lame_duck_duration`.
    pub lame_duck_duration: Duration,
    /// `lame_duck_grace_period`.
    pub lame_duck_grace_period: Duration,
    /// `no_fast_producer_stall`.
    pub no_fast_producer_stall: bool,
    /// `disable_sublist_cache`.
    pub no_sublist_cache: bool,
    /// `no_header_support`.
    pub no_header_support: bool,

    /// Host of `http` or `https`.
    pub http_host: String,
    /// `http_port`.
    pub http_port: Port,
    /// `https_port`.
    pub https_port: Port,
    /// `http_base_path`.
    pub http_base_path: String,

    /// `tls {}` for clients.
    pub tls: Option<TlsOptions>,
    /// Limit for the TLS handshake of a client.
    pub tls_timeout: Duration,
    /// `allow_non_tls`.
    pub allow_non_tls: bool,

    /// `authorization { user }`.
    pub username: String,
    /// `authorization { password }`.
    pub password: Secret,
    /// `authorization { token }`.
    pub authorization: Secret,
    /// `authorization { timeout }`.
    pub auth_timeout: Duration,
    /// `authorization { auth_callout {} }`.
    pub auth_callout: Option<AuthCallout>,
    /// `authorization { proxy_required }`.
    pub proxy_required: bool,
    /// Whether a top-level `authorization {}` block was present (spec 02 §6.3).
    pub authorization_defined: bool,
    /// Users of the `authorization` block and of all accounts.
    pub users: Vec<User>,
    /// Users known by their public nkey.
    pub nkeys: Vec<NkeyUser>,
    /// `no_auth_user`.
    pub no_auth_user: String,
    /// `default_sentinel`: the JWT used for connections without one.
    pub default_sentinel: String,
    /// `proxies {}`.
    pub proxies: Option<ProxiesOptions>,

    /// `accounts {}`, and `$G` when `mappings {}` is configured.
    pub accounts: Vec<AccountOptions>,
    /// `system_account`.
    pub system_account: String,
    /// `no_system_account`.
    pub no_system_account: bool,
    /// `operator`.
    pub operators: Vec<Operator>,
    /// `trusted_keys`, later also the keys of the operators.
    pub trusted_keys: Vec<String>,
    /// `resolver`.
    pub account_resolver: Option<AccountResolver>,
    /// `resolver_tls`.
    pub account_resolver_tls: Option<TlsOptions>,
    /// `resolver_preload`: account public key to account JWT.
    pub resolver_preload: BTreeMap<String, String>,
    /// `resolver_pinned_accounts`.
    pub resolver_pinned_accounts: BTreeSet<String>,

    /// `cluster {}`.
    pub cluster: ClusterOptions,
    /// `cluster { routes }` or `-routes`.
    pub routes: Vec<Url>,
    /// `-routes` as written.
    pub routes_text: String,
    /// `gateway {}`.
    pub gateway: GatewayOptions,
    /// `leafnodes {}`.
    pub leafnode: LeafNodeOptions,
    /// `websocket {}`.
    pub websocket: WebsocketOptions,
    /// `mqtt {}`.
    pub mqtt: MqttOptions,
    /// `jetstream {}`.
    pub jetstream: JetStreamOptions,
    /// `store_dir` of the top level or of `jetstream {}`.
    pub store_dir: String,
    /// `default_js_domain`: account to domain.
    pub default_js_domain: BTreeMap<String, String>,

    /// `server_tags`, trimmed, in lower case, without duplicates.
    pub server_tags: Vec<String>,
    /// `server_metadata`.
    pub server_metadata: BTreeMap<String, String>,
    /// `feature_flags`.
    pub feature_flags: BTreeMap<String, bool>,
    /// `ocsp`.
    pub ocsp: Option<OcspOptions>,
    /// `ocsp_cache`.
    pub ocsp_cache: Option<OcspCacheOptions>,

    /// Switches the file sets explicitly; they win over the snapshot of the command line when
    /// the file is reloaded (spec 02 §11.2).
    pub explicit_in_file: BTreeMap<Switch, bool>,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`: as the reference writes them.
    #[default]
    Text,
    /// `json`: one object a line.
    Json,
}

/// Boolean options that are tracked as explicitly set, by the file or by the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
    /// `trace_verbose`.
    TraceVerbose,
    /// `trace_headers`.
    TraceHeaders,
    /// `logtime`.
    Logtime,
    /// `logtime_utc`.
    LogtimeUtc,
    /// `syslog`.
    Syslog,
    /// `cluster { no_advertise }`.
    ClusterNoAdvertise,
    /// `leafnodes { no_advertise }`.
    LeafNodeNoAdvertise,
    /// `jetstream`.
    JetStream,
}

impl Options {
    /// Options with every default applied, as a server without configuration has them.
    #[must_use]
    pub fn with_defaults() -> Options {
        let mut options = Options::default();
        options.set_baseline();
        options
    }

    /// Sets the switch, and notes that the file did.
    pub(super) fn set_switch(&mut self, switch: Switch, on: bool) {
        *self.switch_mut(switch) = on;
        self.explicit_in_file.insert(switch, on);
    }

    /// The option a switch stands for.
    pub fn switch_mut(&mut self, switch: Switch) -> &mut bool {
        match switch {
            Switch::Debug => &mut self.debug,
            Switch::Trace => &mut self.trace,
            Switch::TraceVerbose => &mut self.trace_verbose,
            Switch::TraceHeaders => &mut self.trace_headers,
            Switch::Logtime => &mut self.logtime,
            Switch::LogtimeUtc => &mut self.logtime_utc,
            Switch::Syslog => &mut self.syslog,
            Switch::ClusterNoAdvertise => &mut self.cluster.no_advertise,
            Switch::LeafNodeNoAdvertise => &mut self.leafnode.no_advertise,
            Switch::JetStream => &mut self.jetstream.enabled,
        }
    }

    /// The base path of the monitoring endpoints: cleaned, with a leading slash.
    #[must_use]
    pub fn normalized_http_base_path(&self) -> String {
        super::text::clean_path(&format!("/{}", self.http_base_path))
    }
}
