//! Requests of the system account: their options, and whom they are for (spec 04 §6.1).

use crate::server::Server;
use parser::json_input::{self, INT, Kind, Value};

/// The options of a request that were given.
#[derive(Clone, Debug, Default)]
pub struct Options(Vec<(&'static str, Value)>);

/// An option: its place in the reference's structures, and its type.
pub type Field = (&'static str, Kind);

/// A number without a sign.
pub const UINT64: Kind = Kind::Integer("uint64", 0, i64::MAX);

macro_rules! filter_fields {
    ($prefix:literal) => {
        [
            (concat!($prefix, "server_name"), Kind::Text),
            (concat!($prefix, "cluster"), Kind::Text),
            (concat!($prefix, "host"), Kind::Text),
            (concat!($prefix, "exact_match"), Kind::Bool),
            (concat!($prefix, "tags"), Kind::Texts),
            (concat!($prefix, "domain"), Kind::Text),
        ]
    };
}

/// The filter of requests with other options.
const FILTER: [Field; 6] = filter_fields!("EventFilterOptions.");
/// The filter of requests without.
const BARE_FILTER: [Field; 6] = filter_fields!("");

/// The name of an option in JSON.
fn json_name(field: &'static str) -> &'static str {
    field.rsplit('.').next().unwrap_or(field)
}

impl Options {
    /// Decodes a request's body with these options of its own besides the filter. `name` is that of
    /// the reference's structure. An empty body has no options.
    ///
    /// # Errors
    /// The text of the answer.
    pub fn decode(body: &[u8], name: &str, own: &[Field]) -> Result<Options, String> {
        Options::decode_fields(body, name, &[own, &FILTER].concat())
    }

    /// The same for requests that have nothing but a filter.
    ///
    /// # Errors
    /// The text of the answer.
    pub fn decode_filter(body: &[u8]) -> Result<Options, String> {
        Options::decode_fields(body, "EventFilterOptions", &BARE_FILTER)
    }

    /// The same without a filter; an empty body is no JSON.
    ///
    /// # Errors
    /// The text for the log.
    pub fn decode_bare(body: &[u8], name: &str, own: &[Field]) -> Result<Options, String> {
        let mut options = Options::default();
        json_input::decode(body, name, own, &mut |at, value| options.set(own, at, value))
            .map_err(|e| e.to_string())?;
        Ok(options)
    }

    fn decode_fields(body: &[u8], name: &str, fields: &[Field]) -> Result<Options, String> {
        if body.is_empty() {
            return Ok(Options::default());
        }
        Options::decode_bare(body, name, fields)
    }

    fn set(&mut self, fields: &[Field], at: usize, value: Value) {
        let Some((field, _)) = fields.get(at) else { return };
        let name = json_name(field);
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// A switch; off unless given.
    pub fn switch(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// A text; empty unless given.
    pub fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// A number; zero unless given.
    pub fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    /// A list of texts; empty unless given.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// Whether the request is for that server.
    pub fn concerns(&self, server: &Server) -> bool {
        let (info, options) = (server.info(), server.options());
        let exact = self.switch("exact_match");
        let passes = |name: &str, own: &str| {
            let wanted = self.text(name);
            wanted.is_empty() || if exact { own == wanted } else { own.contains(&wanted) }
        };
        let domain = self.text("domain");
        let has_tag = |tag: &String| {
            let tag = tag.trim().to_lowercase();
            options.server_tags.contains(&tag)
        };
        passes("server_name", &info.server_name)
            && passes("host", &info.host)
            && passes("cluster", &info.cluster)
            && self.texts("tags").iter().all(has_tag)
            && (domain.is_empty() || domain == options.jetstream.domain)
    }
}

/// Options of `CONNZ`.
pub const CONNZ: [Field; 12] = [
    ("ConnzOptions.sort", Kind::Text),
    ("ConnzOptions.auth", Kind::Bool),
    ("ConnzOptions.subscriptions", Kind::Bool),
    ("ConnzOptions.subscriptions_detail", Kind::Bool),
    ("ConnzOptions.offset", INT),
    ("ConnzOptions.limit", INT),
    ("ConnzOptions.cid", UINT64),
    ("ConnzOptions.mqtt_client", Kind::Text),
    ("ConnzOptions.state", Kind::Integer("server.ConnState", i64::MIN, i64::MAX)),
    ("ConnzOptions.user", Kind::Text),
    ("ConnzOptions.acc", Kind::Text),
    ("ConnzOptions.filter_subject", Kind::Text),
];

/// Options of `SUBSZ`.
pub const SUBSZ: [Field; 5] = [
    ("SubszOptions.offset", INT),
    ("SubszOptions.limit", INT),
    ("SubszOptions.subscriptions", Kind::Bool),
    ("SubszOptions.account", Kind::Text),
    ("SubszOptions.test", Kind::Text),
];

/// Options of `ROUTEZ`.
pub const ROUTEZ: [Field; 2] = [
    ("RoutezOptions.subscriptions", Kind::Bool),
    ("RoutezOptions.subscriptions_detail", Kind::Bool),
];

/// Options of `GATEWAYZ`.
pub const GATEWAYZ: [Field; 5] = [
    ("GatewayzOptions.name", Kind::Text),
    ("GatewayzOptions.accounts", Kind::Bool),
    ("GatewayzOptions.account_name", Kind::Text),
    ("GatewayzOptions.subscriptions", Kind::Bool),
    ("GatewayzOptions.subscriptions_detail", Kind::Bool),
];

/// Options of `LEAFZ`.
pub const LEAFZ: [Field; 2] =
    [("LeafzOptions.subscriptions", Kind::Bool), ("LeafzOptions.account", Kind::Text)];

/// Options of `ACCOUNTZ`.
pub const ACCOUNTZ: [Field; 1] = [("AccountzOptions.account", Kind::Text)];

/// Options of `JSZ`.
pub const JSZ: [Field; 11] = [
    ("JSzOptions.account", Kind::Text),
    ("JSzOptions.accounts", Kind::Bool),
    ("JSzOptions.streams", Kind::Bool),
    ("JSzOptions.consumer", Kind::Bool),
    ("JSzOptions.direct_consumer", Kind::Bool),
    ("JSzOptions.config", Kind::Bool),
    ("JSzOptions.leader_only", Kind::Bool),
    ("JSzOptions.offset", INT),
    ("JSzOptions.limit", INT),
    ("JSzOptions.raft", Kind::Bool),
    ("JSzOptions.stream_leader_only", Kind::Bool),
];

/// Options of `HEALTHZ`.
pub const HEALTHZ: [Field; 8] = [
    ("HealthzOptions.js-enabled", Kind::Bool),
    ("HealthzOptions.js-enabled-only", Kind::Bool),
    ("HealthzOptions.js-server-only", Kind::Bool),
    ("HealthzOptions.js-meta-only", Kind::Bool),
    ("HealthzOptions.account", Kind::Text),
    ("HealthzOptions.stream", Kind::Text),
    ("HealthzOptions.consumer", Kind::Text),
    ("HealthzOptions.details", Kind::Bool),
];

/// Options of `PROFILEZ`.
pub const PROFILEZ: [Field; 3] = [
    ("ProfilezOptions.name", Kind::Text),
    ("ProfilezOptions.debug", INT),
    ("ProfilezOptions.duration", Kind::Integer("time.Duration", i64::MIN, i64::MAX)),
];

/// Options of `IPQUEUESZ`.
pub const IPQUEUESZ: [Field; 2] =
    [("IpqueueszOptions.all", Kind::Bool), ("IpqueueszOptions.filter", Kind::Text)];

/// Options of `RAFTZ`.
pub const RAFTZ: [Field; 2] =
    [("RaftzOptions.account", Kind::Text), ("RaftzOptions.group", Kind::Text)];

/// Options of an account's `STATZ`.
pub const STATZ: [Field; 2] = [
    ("AccountStatzOptions.accounts", Kind::Texts),
    ("AccountStatzOptions.include_unused", Kind::Bool),
];

/// The connection that `KICK` and `LDM` are about.
pub const CID: [Field; 1] = [("cid", UINT64)];

/// What `CONNS` may say of itself.
pub const CONNS: [Field; 1] = [("acc", Kind::Text)];

/// What servers ask of each other about subscriptions.
pub const NSUBS: [Field; 3] = [("acc", Kind::Text), ("subject", Kind::Text), ("queue", Kind::Text)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_decoded_and_errors_name_the_references_structures() {
        let body = br#"{"AUTH":true,"limit":3,"tags":["a","b"],"what":{},"acc":"A","acc":"B"}"#;
        let options = Options::decode(body, "ConnzEventOptions", &CONNZ).unwrap();
        assert!(options.switch("auth") && !options.switch("subscriptions"));
        assert_eq!((options.number("limit"), options.text("acc")), (3, "B".to_owned()));
        assert_eq!(options.texts("tags"), ["a", "b"]);
        let error = |body: &str| {
            Options::decode(body.as_bytes(), "ConnzEventOptions", &CONNZ).map(|_| ()).unwrap_err()
        };
        let field = "json: cannot unmarshal";
        assert_eq!(
            error(r#"{"auth":1}"#),
            format!(
                "{field} number into Go struct field ConnzEventOptions.ConnzOptions.auth of type bool"
            )
        );
        assert_eq!(
            error(r#"{"tags":"a"}"#),
            format!(
                "{field} string into Go struct field ConnzEventOptions.EventFilterOptions.tags of type []string"
            )
        );
        assert_eq!(
            error(r#"{"cid":-1}"#),
            format!(
                "{field} number -1 into Go struct field ConnzEventOptions.ConnzOptions.cid of type uint64"
            )
        );
        assert_eq!(error("{"), "unexpected end of JSON input");
        assert_eq!(
            error("[]"),
            format!("{field} array into Go value of type server.ConnzEventOptions")
        );
        assert!(Options::decode(b"", "ConnzEventOptions", &CONNZ).is_ok());
        assert!(Options::decode_bare(b"", "KickClientReq", &CID).is_err());
    }
}
