//! The lines logged at start ("spec 02, 8.1").
//!
//! Each function turns facts into the ordered lines of one moment of the start; the caller logs
//! them and does the work between. Nothing here decides anything but wording and order.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::text::friendly_bytes;
use super::version::VERSION;
use crate::logging::Level;
use parser::quote::quoted;

/// A line and its level.
pub type Line = (Level, String);

/// The line logged when everything is up.
pub const READY: &str = "Server is ready";

/// Payload limit beyond which a warning is logged, in bytes.
const LARGE_PAYLOAD_BYTES: i64 = 8 * 1024 * 1024;

/// Feature flags this version knows, with their defaults.
pub const KNOWN_FEATURE_FLAGS: [(&str, bool); 2] =
    [("js_ack_fc_v2", false), ("js_raft_delete_range", false)];

/// What is known of a server before it opens anything.
#[derive(Clone, Debug, Default)]
pub struct HeadFacts<'a> {
    /// Shown in brackets behind `Git:`; empty when built without version control.
    pub git: &'a str,
    /// Shown behind `Go build:` on debug level, where the reference has its runtime's version.
    pub build: &'a str,
    /// Cluster name, where there is one to show.
    pub cluster: Option<&'a str>,
    /// Server name.
    pub name: &'a str,
    /// Node hash; only with JetStream.
    pub node: Option<&'a str>,
    /// Public key of the server.
    pub id: &'a str,
    /// The configured feature flags.
    pub feature_flags: &'a [(String, bool)],
}

/// The lines from `Starting nats-server` to the feature flags.
pub fn head(facts: &HeadFacts<'_>) -> Vec<Line> {
    let git = if facts.git.is_empty() { "not set" } else { facts.git };
    let mut lines = vec![
        notice("Starting nats-server"),
        notice(format!("  Version:  {VERSION}")),
        notice(format!("  Git:      [{git}]")),
        (Level::Debug, format!("  Go build: {}", facts.build)),
    ];
    if let Some(cluster) = facts.cluster {
        lines.push(notice(format!("  Cluster:  {cluster}")));
    }
    lines.push(notice(format!("  Name:     {}", facts.name)));
    if let Some(node) = facts.node {
        lines.push(notice(format!("  Node:     {node}")));
    }
    lines.push(notice(format!("  ID:       {}", facts.id)));
    lines.extend(feature_flags(facts.feature_flags));
    lines
}

fn feature_flags(flags: &[(String, bool)]) -> Vec<Line> {
    if flags.is_empty() {
        return Vec::new();
    }
    let mut sorted: Vec<&(String, bool)> = flags.iter().collect();
    sorted.sort();
    let mut configured = Vec::new();
    let mut unsupported = Vec::new();
    for (name, value) in sorted {
        let known = KNOWN_FEATURE_FLAGS.iter().find(|(known, _)| known == name);
        let label = match (known, value) {
            (None, _) => {
                unsupported.push(name.as_str());
                continue;
            }
            (Some((_, true)), true) => "enabled",
            (Some((_, true)), false) => "opt-out",
            (Some((_, false)), true) => "opt-in",
            (Some((_, false)), false) => "disabled",
        };
        configured.push(format!("{name} ({label})"));
    }
    if configured.is_empty() {
        configured.push("none".to_owned());
    }
    let mut lines = vec![
        notice("  Feature flags:"),
        notice(format!("    Configured:    {}", configured.join(", "))),
    ];
    if !unsupported.is_empty() {
        lines.push(notice(format!("    Unsupported:   {}", unsupported.join(", "))));
    }
    lines
}

/// A trusted operator as the banner shows it.
#[derive(Clone, Debug)]
pub struct Operator<'a> {
    /// System account the operator's claims name.
    pub system_account: &'a str,
    /// Name of the operator.
    pub name: &'a str,
    /// Seconds since the epoch.
    pub issued_at: i64,
    /// Seconds since the epoch; 0 means never.
    pub expires_at: i64,
}

/// What the configuration gives reason to say.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationFacts<'a> {
    /// Some password is in the clear; see [`is_bcrypt`].
    pub plaintext_passwords: bool,
    /// Port of the profiling endpoint, where one listens.
    pub profile_port: Option<u16>,
    /// Rate of block profiling; not positive means off.
    pub block_profile_rate: i64,
    /// Path and digest of the configuration file; the digest may be empty.
    pub configuration_file: Option<(&'a str, &'a str)>,
    /// Trusted operators in configured order.
    pub operators: &'a [Operator<'a>],
    /// Whether a system account is configured.
    pub has_system_account: bool,
    /// The option `max_payload`.
    pub max_payload: i64,
    /// Whether the option `default_js_domain` is in use.
    pub has_default_js_domain: bool,
}

/// The lines between the head and the writing of the pid file.
pub fn configuration(facts: &ConfigurationFacts<'_>) -> Vec<Line> {
    configuration_in_zone(facts, &TimeZone::system())
}

fn configuration_in_zone(facts: &ConfigurationFacts<'_>, zone: &TimeZone) -> Vec<Line> {
    let mut lines = Vec::new();
    if facts.plaintext_passwords {
        lines.push(warn("Plaintext passwords detected, use nkeys or bcrypt"));
    }
    if let Some(port) = facts.profile_port {
        lines.push(notice(format!("profiling port: {port}")));
    }
    if facts.block_profile_rate > 0 {
        let rate = facts.block_profile_rate;
        lines.push(warn(format!(
            "Block profiling is enabled (rate {rate}), this may have a performance impact"
        )));
    }
    if let Some((path, digest)) = facts.configuration_file {
        let digest = if digest.is_empty() { String::new() } else { format!("({digest})") };
        lines.push(notice(format!("Using configuration file: {path} {digest}")));
    }
    if !facts.operators.is_empty() {
        lines.push(notice("Trusted Operators"));
    }
    for operator in facts.operators {
        lines.push(notice(format!("  System  : {}", quoted(operator.system_account))));
        lines.push(notice(format!("  Operator: {}", quoted(operator.name))));
        lines.push(notice(format!("  Issued  : {}", moment(operator.issued_at, zone))));
        let expires = match operator.expires_at {
            0 => "Never".to_owned(),
            at => moment(at, zone),
        };
        lines.push(notice(format!("  Expires : {expires}")));
    }
    if !facts.operators.is_empty() && !facts.has_system_account {
        lines.push(warn("Trusted Operators should utilize a System Account"));
    }
    if facts.max_payload > LARGE_PAYLOAD_BYTES {
        lines.push(warn(format!(
            "Maximum payloads over {} are generally discouraged and could lead to poor performance",
            friendly_bytes(LARGE_PAYLOAD_BYTES)
        )));
    }
    if facts.has_default_js_domain {
        lines.push(warn(
            "The option `default_js_domain` is a temporary backwards compatibility measure \
             and will be removed",
        ));
    }
    lines
}

/// `2024-02-29 23:59:58 +0000 UTC`
fn moment(seconds: i64, zone: &TimeZone) -> String {
    let at = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(zone.clone());
    at.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// What JetStream was started with.
#[derive(Clone, Debug, Default)]
pub struct JetStreamFacts<'a> {
    /// Leave out the ASCII art.
    pub no_art: bool,
    /// Whether unknown fields of requests are refused.
    pub strict: bool,
    /// Memory limit in bytes.
    pub max_memory: i64,
    /// Disk limit in bytes.
    pub max_store: i64,
    /// Store directory.
    pub store_dir: &'a str,
    /// Domain, where one is configured.
    pub domain: Option<&'a str>,
    /// Cipher, where encryption is configured.
    pub encryption: Option<&'a str>,
    /// API level.
    pub api_level: u32,
}

/// The JetStream banner, which follows the line `Starting JetStream`.
pub fn jetstream(facts: &JetStreamFacts<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    if !facts.no_art {
        let art = [
            r"    _ ___ _____ ___ _____ ___ ___   _   __  __",
            r" _ | | __|_   _/ __|_   _| _ \ __| /_\ |  \/  |",
            r"| || | _|  | | \__ \ | | |   / _| / _ \| |\/| |",
            r" \__/|___| |_| |___/ |_| |_|_\___/_/ \_\_|  |_|",
            "",
            "         https://docs.nats.io/jetstream",
            "",
        ];
        lines.extend(art.map(notice));
    }
    lines.push(notice("---------------- JETSTREAM ----------------"));
    if facts.strict {
        lines.push(notice("  Strict:          true"));
    }
    lines.push(notice(format!("  Max Memory:      {}", friendly_bytes(facts.max_memory))));
    lines.push(notice(format!("  Max Storage:     {}", friendly_bytes(facts.max_store))));
    lines.push(notice(format!("  Store Directory: \"{}\"", facts.store_dir)));
    if let Some(domain) = facts.domain {
        lines.push(notice(format!("  Domain:          {domain}")));
    }
    if let Some(cipher) = facts.encryption {
        lines.push(notice(format!("  Encryption:      {cipher}")));
    }
    lines.push(notice(format!("  API Level:       {}", facts.api_level)));
    lines.push(notice("-------------------------------------------"));
    lines
}

/// A listener whose opening is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Client connections.
    Client,
    /// Route connections.
    Route,
    /// Gateway connections.
    Gateway,
    /// Leafnode connections.
    Leafnode,
    /// WebSocket clients.
    WebSocket {
        /// Whether the connections are encrypted.
        tls: bool,
    },
    /// MQTT clients.
    Mqtt {
        /// Whether the connections are encrypted.
        tls: bool,
    },
    /// Monitoring over HTTP.
    Monitor {
        /// Whether the connections are encrypted.
        tls: bool,
    },
}

/// The line that announces a listener; `host_port` holds the port really listened on.
pub fn listening(listener: Listener, host_port: &str) -> Line {
    notice(match listener {
        Listener::Client => format!("Listening for client connections on {host_port}"),
        Listener::Route => format!("Listening for route connections on {host_port}"),
        Listener::Gateway => format!("Listening for gateways connections on {host_port}"),
        Listener::Leafnode => format!("Listening for leafnode connections on {host_port}"),
        Listener::WebSocket { tls } => {
            let scheme = if tls { "wss" } else { "ws" };
            format!("Listening for websocket clients on {scheme}://{host_port}")
        }
        Listener::Mqtt { tls } => {
            let scheme = if tls { "tls" } else { "mqtt" };
            format!("Listening for MQTT clients on {scheme}://{host_port}")
        }
        Listener::Monitor { tls } => {
            let scheme = if tls { "https" } else { "http" };
            format!("Starting {scheme} monitor on {host_port}")
        }
    })
}

/// How clients may connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientListenerFacts {
    /// PROXY protocol headers are read.
    pub proxy_protocol: bool,
    /// TLS is configured.
    pub tls: bool,
    /// Plain connections are accepted too.
    pub allow_non_tls: bool,
    /// The TLS handshake always precedes INFO, without falling back.
    pub handshake_first_only: bool,
}

/// The lines that follow the announcement of the client listener.
pub fn client_listener(facts: ClientListenerFacts) -> Vec<Line> {
    let mut lines = Vec::new();
    if facts.proxy_protocol {
        lines.push(notice("PROXY protocol enabled for client connections"));
    }
    if facts.tls {
        let optional = facts.allow_non_tls && !facts.handshake_first_only;
        let degree = if optional { "available" } else { "required" };
        lines.push(notice(format!("TLS {degree} for client connections")));
        if facts.handshake_first_only {
            lines.push(warn(
                "Clients that are not using \"TLS Handshake First\" option will fail to connect",
            ));
        }
    }
    lines
}

/// Whether a configured password is a bcrypt hash: `$2a$`, `$2b$`, `$2x$` or `$2y$`, a two-digit
/// cost and `$`. Any other counts as plain text.
pub fn is_bcrypt(password: &str) -> bool {
    let variant = ["$2a$", "$2b$", "$2x$", "$2y$"];
    let Some(rest) = variant.iter().find_map(|prefix| password.strip_prefix(prefix)) else {
        return false;
    };
    matches!(rest.as_bytes(), [b'0'..=b'9', b'0'..=b'9', b'$', ..])
}

fn notice(text: impl Into<String>) -> Line {
    (Level::Notice, text.into())
}

fn warn(text: impl Into<String>) -> Line {
    (Level::Warn, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn head_of_a_plain_server() {
        let facts = HeadFacts { name: "N1", id: "NABC", build: "rust", ..HeadFacts::default() };
        let lines = head(&facts);
        let expected = [
            "Starting nats-server",
            "  Version:  2.14.5",
            "  Git:      [not set]",
            "  Go build: rust",
            "  Name:     N1",
            "  ID:       NABC",
        ];
        assert_eq!(texts(&lines), expected);
        let debug = lines.iter().filter(|(level, _)| *level == Level::Debug).count();
        assert_eq!(debug, 1, "only the build is a debug line");
    }

    #[test]
    fn head_of_a_clustered_jetstream_server() {
        let facts = HeadFacts {
            git: "abcdefg",
            cluster: Some("C1"),
            name: "N1",
            node: Some("0wM5J1Lm"),
            id: "NABC",
            ..HeadFacts::default()
        };
        let lines = head(&facts);
        let expected = [
            "  Git:      [abcdefg]",
            "  Go build: ",
            "  Cluster:  C1",
            "  Name:     N1",
            "  Node:     0wM5J1Lm",
            "  ID:       NABC",
        ];
        assert_eq!(texts(&lines)[2..], expected);
    }

    #[test]
    fn feature_flags_are_sorted_and_labelled() {
        let flags =
            [("z", true), ("js_raft_delete_range", false), ("js_ack_fc_v2", true), ("a", false)]
                .map(|(name, value)| (name.to_owned(), value));
        assert_eq!(
            texts(&feature_flags(&flags)),
            [
                "  Feature flags:",
                "    Configured:    js_ack_fc_v2 (opt-in), js_raft_delete_range (disabled)",
                "    Unsupported:   a, z",
            ]
        );
        let unknown = [("a".to_owned(), true)];
        assert_eq!(texts(&feature_flags(&unknown))[1], "    Configured:    none");
        assert!(feature_flags(&[]).is_empty());
    }

    #[test]
    fn configuration_lines_come_in_order() {
        let operators = [Operator {
            system_account: "",
            name: "O\"1",
            issued_at: 1_709_251_198,
            expires_at: 0,
        }];
        let facts = ConfigurationFacts {
            plaintext_passwords: true,
            profile_port: Some(6060),
            block_profile_rate: 5,
            configuration_file: Some(("/etc/nats.conf", "sha256:ab")),
            operators: &operators,
            has_system_account: false,
            max_payload: LARGE_PAYLOAD_BYTES + 1,
            has_default_js_domain: true,
        };
        let lines = configuration_in_zone(&facts, &TimeZone::UTC);
        assert_eq!(
            texts(&lines),
            [
                "Plaintext passwords detected, use nkeys or bcrypt",
                "profiling port: 6060",
                "Block profiling is enabled (rate 5), this may have a performance impact",
                "Using configuration file: /etc/nats.conf (sha256:ab)",
                "Trusted Operators",
                "  System  : \"\"",
                "  Operator: \"O\\\"1\"",
                "  Issued  : 2024-02-29 23:59:58 +0000 UTC",
                "  Expires : Never",
                "Trusted Operators should utilize a System Account",
                "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance",
                "The option `default_js_domain` is a temporary backwards compatibility measure and will be removed",
            ]
        );
        assert!(configuration(&ConfigurationFacts::default()).is_empty());
    }

    #[test]
    fn jetstream_banner_shows_limits_and_options() {
        let facts = JetStreamFacts {
            strict: true,
            max_memory: 1 << 30,
            max_store: 3 << 40,
            store_dir: "/data/jetstream",
            domain: Some("hub"),
            encryption: Some("ChaCha20-Poly1305"),
            api_level: 4,
            no_art: false,
        };
        let lines = jetstream(&facts);
        assert_eq!(lines.len(), 7 + 9);
        assert_eq!(
            texts(&lines)[7..],
            [
                "---------------- JETSTREAM ----------------",
                "  Strict:          true",
                "  Max Memory:      1.00 GB",
                "  Max Storage:     3.00 TB",
                "  Store Directory: \"/data/jetstream\"",
                "  Domain:          hub",
                "  Encryption:      ChaCha20-Poly1305",
                "  API Level:       4",
                "-------------------------------------------",
            ]
        );
        let bare = jetstream(&JetStreamFacts { no_art: true, ..JetStreamFacts::default() });
        assert_eq!(bare.len(), 6);
    }

    #[test]
    fn listeners_are_announced_with_their_scheme() {
        let table = [
            (Listener::Client, "Listening for client connections on h:1"),
            (Listener::Route, "Listening for route connections on h:1"),
            (Listener::Gateway, "Listening for gateways connections on h:1"),
            (Listener::Leafnode, "Listening for leafnode connections on h:1"),
            (Listener::WebSocket { tls: true }, "Listening for websocket clients on wss://h:1"),
            (Listener::WebSocket { tls: false }, "Listening for websocket clients on ws://h:1"),
            (Listener::Mqtt { tls: true }, "Listening for MQTT clients on tls://h:1"),
            (Listener::Mqtt { tls: false }, "Listening for MQTT clients on mqtt://h:1"),
            (Listener::Monitor { tls: true }, "Starting https monitor on h:1"),
            (Listener::Monitor { tls: false }, "Starting http monitor on h:1"),
        ];
        for (listener, expected) in table {
            assert_eq!(listening(listener, "h:1"), (Level::Notice, expected.to_owned()));
        }
    }

    #[test]
    fn handshake_first_makes_tls_required_whatever_else_is_allowed() {
        let facts = |allow_non_tls, handshake_first_only| ClientListenerFacts {
            proxy_protocol: true,
            tls: true,
            allow_non_tls,
            handshake_first_only,
        };
        let lines = client_listener(facts(true, false));
        assert_eq!(
            texts(&lines),
            [
                "PROXY protocol enabled for client connections",
                "TLS available for client connections",
            ]
        );
        let lines = client_listener(facts(true, true));
        assert_eq!(texts(&lines)[1], "TLS required for client connections");
        assert_eq!(lines[2].0, Level::Warn);
        assert!(client_listener(ClientListenerFacts::default()).is_empty());
    }

    #[test]
    fn only_bcrypt_hashes_are_not_plain_text() {
        let table = [
            ("$2a$11$ooo", true),
            ("$2y$04$", true),
            ("$2c$11$ooo", false),
            ("$2a$1$ooo", false),
            ("s3cr3t", false),
            ("", false),
        ];
        for (password, expected) in table {
            assert_eq!(is_bcrypt(password), expected, "{password}");
        }
    }
}
