//! What a server and an authorization service say to each other (spec 03 §26).

use super::check::Issues;
use super::json::Object;
use super::{Base, DecodeError, Generic, Kind, Seen, encode};
use crate::nkey::{self, KeyType};
use nkeys::KeyPair;
use serde::Serialize;

/// The server that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerId {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub host: String,
    /// Its public key.
    pub id: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The key to seal the answer with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// The connection in question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientInformation {
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Its id.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u64,
    /// As whom it presents itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Name of the application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tags of its user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Name of its user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    /// `Client` or `Leafnode`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `nats`, `websocket` or `mqtt`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub client_type: String,
    /// Its MQTT client id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mqtt_id: String,
    /// What it signed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What it said in CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectInformation {
    /// A token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// A public key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nkey: String,
    /// A signature.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sig: String,
    /// A secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_token: String,
    /// A user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// A password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pass: String,
    /// Name of the application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Language of the library.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// Version of the library.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Version of the protocol.
    pub protocol: i64,
}

/// What TLS says of it. Certificates are in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsInformation {
    /// Version of TLS.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Cipher suite.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cipher: String,
    /// Certificates that were not verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<String>,
    /// Chains of certificates that were, the client's own first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_chains: Vec<Vec<String>>,
}

/// A server asks who a connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthorizationRequest {
    /// What all tokens have.
    #[serde(skip)]
    pub base: Base,
    /// The server.
    pub server_id: ServerId,
    /// The key under which the user is to be known.
    pub user_nkey: String,
    /// The connection.
    pub client_info: ClientInformation,
    /// What it said.
    pub connect_opts: ConnectInformation,
    /// What TLS says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<TlsInformation>,
}

impl AuthorizationRequest {
    /// Only what an authorization service needs to answer is read.
    pub(super) fn read(claims: &Object<'_>, _: Seen) -> Result<AuthorizationRequest, DecodeError> {
        let nats = claims.object("nats")?;
        let server = nats.object("server_id")?;
        let connect = nats.object("connect_opts")?;
        let client = nats.object("client_info")?;
        Ok(AuthorizationRequest {
            base: Base::read(claims)?,
            server_id: ServerId {
                name: server.text("name")?,
                host: server.text("host")?,
                id: server.text("id")?,
                version: server.text("version")?,
                cluster: server.text("cluster")?,
                tags: server.texts("tags")?.unwrap_or_default(),
                xkey: server.text("xkey")?,
            },
            user_nkey: nats.text("user_nkey")?,
            client_info: ClientInformation {
                host: client.text("host")?,
                id: u64::try_from(client.integer("id")?).unwrap_or_default(),
                user: client.text("user")?,
                name: client.text("name")?,
                tags: client.texts("tags")?.unwrap_or_default(),
                name_tag: client.text("name_tag")?,
                kind: client.text("kind")?,
                client_type: client.text("type")?,
                nonce: client.text("nonce")?,
                ..ClientInformation::default()
            },
            connect_opts: ConnectInformation {
                jwt: connect.text("jwt")?,
                nkey: connect.text("nkey")?,
                sig: connect.text("sig")?,
                auth_token: connect.text("auth_token")?,
                user: connect.text("user")?,
                pass: connect.text("pass")?,
                name: connect.text("name")?,
                lang: connect.text("lang")?,
                version: connect.text("version")?,
                protocol: connect.integer("protocol")?,
            },
            client_tls: None,
        })
    }

    /// Signs the request in a server's name.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn encode(&self, key: &KeyPair, now: i64) -> Result<String, String> {
        #[derive(Serialize)]
        struct Nats<'a> {
            #[serde(flatten)]
            request: &'a AuthorizationRequest,
            #[serde(flatten)]
            generic: Generic,
        }
        let generic = Generic::new(Kind::AuthorizationRequest.name());
        encode(&self.base, &Nats { request: self, generic }, key, now)
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthorizationResponse {
    /// What all tokens have.
    #[serde(skip)]
    pub base: Base,
    /// The user's token, if it is let in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// Why not, if it is not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The account, where one of its signing keys issued the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
}

impl AuthorizationResponse {
    pub(super) fn read(claims: &Object<'_>, _: Seen) -> Result<AuthorizationResponse, DecodeError> {
        let nats = claims.object("nats")?;
        Ok(AuthorizationResponse {
            base: Base::read(claims)?,
            jwt: nats.text("jwt")?,
            error: nats.text("error")?,
            issuer_account: nats.text("issuer_account")?,
        })
    }

    /// What is wrong with the answer at that time (seconds since the epoch).
    #[must_use]
    pub fn validate(&self, now: i64) -> Issues {
        let mut issues = Issues::default();
        if !nkey::is_public(KeyType::User, &self.base.subject) {
            issues.error("Subject must be a user public key");
        }
        if !nkey::is_public(KeyType::Server, &self.base.audience) {
            issues.error("Audience must be a server public key");
        }
        if self.error.is_empty() && self.jwt.is_empty() {
            issues.error("Error or Jwt is required");
        }
        if !self.error.is_empty() && !self.jwt.is_empty() {
            issues.error("Only Error or Jwt can be set");
        }
        if !self.issuer_account.is_empty()
            && !nkey::is_public(KeyType::Account, &self.issuer_account)
        {
            issues.error("issuer_account is not an account public key");
        }
        self.base.check_times(now, &mut issues);
        issues
    }

    /// Signs the answer.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn encode(&self, key: &KeyPair, now: i64) -> Result<String, String> {
        #[derive(Serialize)]
        struct Nats<'a> {
            #[serde(flatten)]
            response: &'a AuthorizationResponse,
            #[serde(flatten)]
            generic: Generic,
        }
        let generic = Generic::new(Kind::AuthorizationResponse.name());
        encode(&self.base, &Nats { response: self, generic }, key, now)
    }
}
