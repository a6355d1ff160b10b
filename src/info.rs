//! The INFO line (spec 01 §3): what the server tells a connection of itself.

use parser::json_input::{self, INT, JsonError, Kind};
use serde::Serialize;

/// The version announced to clients, peers and monitoring: client libraries compare it.
pub const VERSION: &str = "2.14.5";
/// The client protocol level.
pub const PROTO: i32 = 1;
/// The JetStream API level.
pub const API_LEVEL: u32 = 4;
/// What `go` says: the field names the runtime.
pub const RUNTIME: &str = concat!("rust-", env!("CARGO_PKG_RUST_VERSION"));

fn is_false(b: &bool) -> bool {
    !*b
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The INFO of a client connection, fields in the order in which they are sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Info {
    /// The server's public nkey.
    pub server_id: String,
    /// The configured name, or the id.
    pub server_name: String,
    /// See [`VERSION`].
    pub version: &'static str,
    /// See [`PROTO`].
    pub proto: i32,
    /// Revision the server was built from.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub git_commit: &'static str,
    /// See [`RUNTIME`].
    pub go: &'static str,
    /// Listen host or advertised host.
    pub host: String,
    /// Listen port or advertised port.
    pub port: u16,
    /// Whether headers are supported.
    pub headers: bool,
    /// Whether a CONNECT must carry credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Whether the connection must be upgraded to TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// Whether client certificates are verified.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// Whether the connection may be upgraded to TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Largest payload in bytes for this connection, -1 for no limit.
    pub max_payload: i32,
    /// Whether JetStream is enabled.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The connection's id.
    #[serde(skip_serializing_if = "is_zero")]
    pub client_id: u64,
    /// The peer's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    /// Bytes for the client to sign.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// Name of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// JetStream domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Addresses of the servers that a client may connect to instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Lame duck mode.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// Set in the INFO that answers the first PING after CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The connection's account, with `connect_info`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    /// Whether that is the system account.
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    /// See [`API_LEVEL`].
    pub api_lvl: u32,
    /// The server's public curve key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

const BYTE: Kind = Kind::Integer("uint8", 0, 255);

/// The fields of an INFO as a peer may send it, with their types.
const FIELDS: [(&str, Kind); 46] = [
    ("server_id", Kind::Text),
    ("server_name", Kind::Text),
    ("version", Kind::Text),
    ("proto", INT),
    ("git_commit", Kind::Text),
    ("go", Kind::Text),
    ("host", Kind::Text),
    ("port", INT),
    ("headers", Kind::Bool),
    ("auth_required", Kind::Bool),
    ("tls_required", Kind::Bool),
    ("tls_verify", Kind::Bool),
    ("tls_available", Kind::Bool),
    ("max_payload", Kind::Integer("int32", i32::MIN as i64, i32::MAX as i64)),
    ("jetstream", Kind::Bool),
    ("ip", Kind::Text),
    ("client_id", Kind::Integer("uint64", 0, i64::MAX)),
    ("client_ip", Kind::Text),
    ("nonce", Kind::Text),
    ("cluster", Kind::Text),
    ("cluster_dynamic", Kind::Bool),
    ("domain", Kind::Text),
    ("connect_urls", Kind::Texts),
    ("ws_connect_urls", Kind::Texts),
    ("ldm", Kind::Bool),
    ("compression", Kind::Text),
    ("connect_info", Kind::Bool),
    ("remote_account", Kind::Text),
    ("acc_is_sys", Kind::Bool),
    ("api_lvl", INT),
    ("import", Kind::Permission),
    ("export", Kind::Permission),
    ("lnoc", Kind::Bool),
    ("lnocu", Kind::Bool),
    ("info_on_connect", Kind::Bool),
    ("route_pool_size", INT),
    ("route_pool_idx", INT),
    ("route_account", Kind::Text),
    ("route_acc_add_reqid", Kind::Text),
    ("gossip_mode", BYTE),
    ("gateway", Kind::Text),
    ("gateway_urls", Kind::Texts),
    ("gateway_url", Kind::Text),
    ("gateway_cmd", BYTE),
    ("leafnode_urls", Kind::Texts),
    ("xkey", Kind::Text),
];

/// Judges an INFO that a client sent; there is nothing to learn from it (spec 01 §2.2).
///
/// # Errors
/// It is no JSON, or a field has the wrong type.
pub fn judge_client_info(json: &[u8]) -> Result<(), JsonError> {
    json_input::decode(json, "Info", &FIELDS, &mut |_, _| {})
}
