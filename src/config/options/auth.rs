//! Users, permissions and the authorization callout (spec 02 §5.7, spec 03 §2 and §12).

use crate::config::secret::Secret;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A user known by name and password.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// `user`.
    pub username: String,
    /// `password`; may be empty.
    pub password: Secret,
    /// `permissions`, or the default permissions of the block the user is in.
    pub permissions: Option<Arc<Permissions>>,
    /// The account the user belongs to; `None` is the global account.
    pub account: Option<String>,
    /// `allowed_connection_types`.
    pub allowed_connection_types: ConnectionTypes,
    /// `proxy_required`.
    pub proxy_required: bool,
}

/// A user known by the public part of an nkey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NkeyUser {
    /// `nkey`, a public user key.
    pub nkey: String,
    /// `permissions`, or the default permissions of the block the user is in.
    pub permissions: Option<Arc<Permissions>>,
    /// The account the user belongs to; `None` is the global account.
    pub account: Option<String>,
    /// `allowed_connection_types`.
    pub allowed_connection_types: ConnectionTypes,
    /// `proxy_required`.
    pub proxy_required: bool,
}

/// What a user may publish and subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// `publish`; `None` allows everything.
    pub publish: Option<SubjectPermission>,
    /// `subscribe`; `None` allows everything. Entries may be `"subject queue"`.
    pub subscribe: Option<SubjectPermission>,
    /// `allow_responses`: publishing to reply subjects of received messages.
    pub responses: Option<ResponsePermission>,
}

/// Allowed and denied subjects; a denial wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectPermission {
    /// `None` allows everything that is not denied, an empty list allows nothing.
    pub allow: Option<Vec<String>>,
    /// Denied subjects.
    pub deny: Vec<String>,
}

/// How far reply subjects may be published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Messages per reply subject; negative for no limit.
    pub max_messages: i64,
    /// How long a reply subject may be used, `None` for ever.
    pub expires: Option<Duration>,
}

impl Default for ResponsePermission {
    fn default() -> ResponsePermission {
        ResponsePermission { max_messages: 1, expires: Some(Duration::from_secs(120)) }
    }
}

/// A kind of client connection, for restricting users to some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionType {
    /// Plain or TLS client connection.
    Standard,
    /// Client connection over WebSocket.
    Websocket,
    /// Leafnode connection.
    Leafnode,
    /// Leafnode connection over WebSocket.
    LeafnodeWs,
    /// MQTT connection.
    Mqtt,
    /// MQTT connection over WebSocket.
    MqttWs,
    /// Connection inside the process.
    InProcess,
}

impl ConnectionType {
    /// All of them.
    pub const ALL: [ConnectionType; 7] = [
        ConnectionType::Standard,
        ConnectionType::Websocket,
        ConnectionType::Leafnode,
        ConnectionType::LeafnodeWs,
        ConnectionType::Mqtt,
        ConnectionType::MqttWs,
        ConnectionType::InProcess,
    ];

    /// The name in configurations and user JWTs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ConnectionType::Standard => "STANDARD",
            ConnectionType::Websocket => "WEBSOCKET",
            ConnectionType::Leafnode => "LEAFNODE",
            ConnectionType::LeafnodeWs => "LEAFNODE_WS",
            ConnectionType::Mqtt => "MQTT",
            ConnectionType::MqttWs => "MQTT_WS",
            ConnectionType::InProcess => "IN_PROCESS",
        }
    }

    /// The type of that name, which must be in upper case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ConnectionType> {
        ConnectionType::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// A set of connection types. The empty set, the default, allows all of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionTypes(u8);

impl ConnectionTypes {
    /// Adds a type.
    pub fn insert(&mut self, kind: ConnectionType) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether connections of this type are allowed.
    #[must_use]
    pub const fn allows(self, kind: ConnectionType) -> bool {
        self.0 == 0 || self.0 & (1 << kind as u8) != 0
    }

    /// Whether nothing is restricted.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for ConnectionTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = ConnectionType::ALL.iter().filter(|&&t| !self.is_empty() && self.allows(t));
        f.debug_set().entries(named.map(|t| t.name())).finish()
    }
}

/// `auth_callout {}`: delegating authentication to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthCallout {
    /// `issuer`, a public account key.
    pub issuer: String,
    /// `account` in which the service listens.
    pub account: String,
    /// `auth_users` that are authenticated by the server itself.
    pub auth_users: Vec<String>,
    /// `xkey`, a public curve key for sealing requests; may be empty.
    pub xkey: String,
    /// `allowed_accounts` the service may place users in; empty allows all.
    pub allowed_accounts: Vec<String>,
}
