//! How a connection is named in log lines ("spec 01, 13.1" and "spec 02, 10.5").
//!
//! `<remote> - <kind>:<id>` from accept on; the first CONNECT of a client appends what it said of
//! itself and who it was authenticated as, and that part is never rebuilt. Account and user are
//! also kept on their own, for the suffix of rate-limited statements.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use parser::quote::quoted;

/// The kinds of connection a label distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A NATS client on a plain or TLS socket.
    Client,
    /// A NATS client over WebSocket.
    WebSocket,
    /// An MQTT client.
    Mqtt,
    /// An MQTT client over WebSocket.
    MqttWebSocket,
    /// A route to a server of the same cluster.
    Router,
    /// A gateway connection to another cluster.
    Gateway,
    /// A leafnode connection.
    Leaf,
    /// A leafnode connection over WebSocket.
    LeafWebSocket,
}

impl ConnectionKind {
    fn tag(self) -> &'static str {
        match self {
            ConnectionKind::Client => "cid",
            ConnectionKind::WebSocket => "wid",
            ConnectionKind::Mqtt => "mid",
            ConnectionKind::MqttWebSocket => "mid_ws",
            ConnectionKind::Router => "rid",
            ConnectionKind::Gateway => "gid",
            ConnectionKind::Leaf => "lid",
            ConnectionKind::LeafWebSocket => "lid_ws",
        }
    }

    fn is_websocket(self) -> bool {
        matches!(
            self,
            ConnectionKind::WebSocket
                | ConnectionKind::MqttWebSocket
                | ConnectionKind::LeafWebSocket
        )
    }
}

/// What a client's CONNECT tells about the client library; absent fields are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectIdentity<'a> {
    /// Version of the client library.
    pub version: &'a str,
    /// Language of the client library.
    pub lang: &'a str,
    /// Name the application chose.
    pub name: &'a str,
}

/// The label of one connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionLabel {
    text: String,
    account: Option<String>,
    user: Option<String>,
}

impl ConnectionLabel {
    /// The label of an accepted or solicited connection. `client_ip` is the address a WebSocket
    /// proxy reported; it is ignored for other kinds.
    pub fn new(
        kind: ConnectionKind,
        remote: SocketAddr,
        client_ip: Option<IpAddr>,
        id: u64,
    ) -> Self {
        let tag = kind.tag();
        let text = match client_ip.filter(|_| kind.is_websocket()) {
            Some(IpAddr::V6(ip)) => format!("[{ip}]/{remote} - {tag}:{id}"),
            Some(IpAddr::V4(ip)) => format!("{ip}/{remote} - {tag}:{id}"),
            None => format!("{remote} - {tag}:{id}"),
        };
        ConnectionLabel { text, account: None, user: None }
    }

    /// The label of an internal client: `SYSTEM`, `JETSTREAM` or `ACCOUNT`.
    pub fn internal(name: &str) -> Self {
        ConnectionLabel { text: name.to_owned(), account: None, user: None }
    }

    /// Remembers who the connection belongs to; called for every successful CONNECT. A user that
    /// is not known leaves the former one in place.
    pub fn set_account_and_user(&mut self, account: Option<&str>, user: Option<&str>) {
        if let Some(account) = account {
            self.account = Some(account.to_owned());
        }
        if let Some(user) = user {
            self.user = Some(user.to_owned());
        }
    }

    /// Appends what the first CONNECT of a client revealed; call it once, after
    /// [`ConnectionLabel::set_account_and_user`].
    pub fn append_connect(&mut self, identity: ConnectIdentity<'_>) {
        let version = if identity.version.is_empty() {
            String::new()
        } else {
            format!("v{}", identity.version)
        };
        let parts: Vec<&str> = [version.as_str(), identity.lang, identity.name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        if !parts.is_empty() {
            self.append_quoted(&parts.join(":"));
        }
        if let (Some(account), Some(user)) = (&self.account, &self.user) {
            let owner = format!("{account}/{user}");
            self.append_quoted(&owner);
        }
    }

    /// Appends ` - "<text>"`, as is done with the client identifier of an MQTT CONNECT.
    pub fn append_quoted(&mut self, text: &str) {
        self.text = format!("{} - {}", self.text, quoted(text));
    }

    /// The key under which a rate-limited statement of this connection is counted: the same
    /// statement from any connection of the same account shares it.
    pub fn limited_key(&self, message: &str) -> String {
        match &self.account {
            Some(account) => format!("{message} - Account:{account}"),
            None => message.to_owned(),
        }
    }

    /// The line logged for a rate-limited statement; takes the key made by
    /// [`ConnectionLabel::limited_key`].
    pub fn limited_line<'a>(&'a self, key: &'a str) -> impl Display + 'a {
        LimitedLine { label: self, key }
    }

    /// The label text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Display for ConnectionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct LimitedLine<'a> {
    label: &'a ConnectionLabel,
    key: &'a str,
}

impl Display for LimitedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.label.text.is_empty() {
            write!(f, "{} - ", self.label.text)?;
        }
        f.write_str(self.key)?;
        match self.label.user.as_deref() {
            Some(user) if !user.is_empty() => write!(f, " - {user}"),
            _ => Ok(()),
        }
    }
}

/// How an account is shown: its name, with the name tag behind a slash when it has one.
pub fn account_label(name: &str, name_tag: &str) -> String {
    if name_tag.is_empty() { name.to_owned() } else { format!("{name}/{name_tag}") }
}

/// How an authenticated user is shown; the first credential that is not empty decides. `jwt` is
/// the public key of the user whose JWT was presented.
pub fn user_label(nkey: &str, user: &str, jwt: &str, has_token: bool) -> Option<String> {
    if !nkey.is_empty() {
        Some(format!("nkey:{nkey}"))
    } else if !user.is_empty() {
        Some(format!("user:{user}"))
    } else if !jwt.is_empty() {
        Some(format!("jwt:{jwt}"))
    } else {
        has_token.then(|| "token".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> SocketAddr {
        "127.0.0.1:51000".parse().expect("an address")
    }

    fn client() -> ConnectionLabel {
        ConnectionLabel::new(ConnectionKind::Client, remote(), None, 5)
    }

    #[test]
    fn every_kind_has_its_tag() {
        let table = [
            (ConnectionKind::Client, "127.0.0.1:51000 - cid:7"),
            (ConnectionKind::WebSocket, "127.0.0.1:51000 - wid:7"),
            (ConnectionKind::Mqtt, "127.0.0.1:51000 - mid:7"),
            (ConnectionKind::MqttWebSocket, "127.0.0.1:51000 - mid_ws:7"),
            (ConnectionKind::Router, "127.0.0.1:51000 - rid:7"),
            (ConnectionKind::Gateway, "127.0.0.1:51000 - gid:7"),
            (ConnectionKind::Leaf, "127.0.0.1:51000 - lid:7"),
            (ConnectionKind::LeafWebSocket, "127.0.0.1:51000 - lid_ws:7"),
        ];
        for (kind, expected) in table {
            assert_eq!(ConnectionLabel::new(kind, remote(), None, 7).as_str(), expected);
        }
        assert_eq!(ConnectionLabel::internal("JETSTREAM").as_str(), "JETSTREAM");
    }

    #[test]
    fn a_websocket_proxy_shows_the_client_first() {
        let v4 = Some("10.1.2.3".parse().expect("an address"));
        let v6 = Some("2001:db8::1".parse().expect("an address"));
        let label = |kind, ip| ConnectionLabel::new(kind, remote(), ip, 1).to_string();
        assert_eq!(label(ConnectionKind::WebSocket, v4), "10.1.2.3/127.0.0.1:51000 - wid:1");
        assert_eq!(label(ConnectionKind::WebSocket, v6), "[2001:db8::1]/127.0.0.1:51000 - wid:1");
        assert_eq!(label(ConnectionKind::Client, v4), "127.0.0.1:51000 - cid:1");
    }

    #[test]
    fn zone_of_an_ipv6_address_is_kept() {
        let remote = "[fe80::1%3]:4222".parse().expect("an address");
        let label = ConnectionLabel::new(ConnectionKind::Client, remote, None, 1);
        assert_eq!(label.as_str(), "[fe80::1%3]:4222 - cid:1");
    }

    #[test]
    fn connect_appends_library_and_owner() {
        let table = [
            (("1.0.0", "go", "test"), Some("user:joe"), r#" - "v1.0.0:go:test" - "$G/user:joe""#),
            (("1.0.0", "go", ""), None, r#" - "v1.0.0:go""#),
            (("", "go", "test"), None, r#" - "go:test""#),
            (("", "", "test"), None, r#" - "test""#),
            (("1.0.0", "", "test"), None, r#" - "v1.0.0:test""#),
            (("", "", ""), Some("token"), r#" - "$G/token""#),
            (("", "", ""), None, ""),
            (("1\"%s", "", ""), None, r#" - "v1\"%s""#),
        ];
        for ((version, lang, name), user, expected) in table {
            let mut label = client();
            label.set_account_and_user(Some("$G"), user);
            label.append_connect(ConnectIdentity { version, lang, name });
            assert_eq!(label.as_str(), format!("127.0.0.1:51000 - cid:5{expected}"));
        }
    }

    #[test]
    fn limited_statements_end_with_account_and_user() {
        let mut label = client();
        assert_eq!(label.limited_key("maximum subscriptions"), "maximum subscriptions");
        label.set_account_and_user(Some(&account_label("A", "")), Some("user:joe"));
        let key = label.limited_key("maximum subscriptions");
        assert_eq!(key, "maximum subscriptions - Account:A");
        assert_eq!(
            label.limited_line(&key).to_string(),
            "127.0.0.1:51000 - cid:5 - maximum subscriptions - Account:A - user:joe"
        );
    }

    #[test]
    fn the_first_credential_present_names_the_user() {
        let table = [
            (("U1", "joe", "UJ", true), Some("nkey:U1")),
            (("", "joe", "UJ", true), Some("user:joe")),
            (("", "", "UJ", true), Some("jwt:UJ")),
            (("", "", "", true), Some("token")),
            (("", "", "", false), None),
        ];
        for ((nkey, user, jwt, token), expected) in table {
            assert_eq!(user_label(nkey, user, jwt, token).as_deref(), expected);
        }
        assert_eq!(account_label("ACME", "prod"), "ACME/prod");
    }
}
